// A run whose files were damaged, whose disk is full, or whose numbers are none: a message, and
// nothing half written.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/h5.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"

static struct outcome outcome;
static char root[512];  // the test's folder; decant runs in it

// A run directory with one file of it spoilt, started again.
struct damage_case {
    const char *name, *file;
    long keep;          // bytes that stay; -1: the byte in the middle of the file's data is changed
    const char *spoil;  // or: the new content
    bool resumes;       // results.json is taken away, so that the stages go on from checkpoints
    int exit_code;
    const char *words[OUTCOME_WORDS];
};

static const struct damage_case damage_cases[] = {
    {"a truncated checkpoint",
     "checkpoints/student/last.h5",
     3000,
     NULL,
     true,
     1,
     {"checkpoints/student/last.h5", "not those that were written", "remove it"}},
    {"an empty checkpoint",
     "checkpoints/student/last.h5",
     0,
     NULL,
     true,
     1,
     {"checkpoints/student/last.h5", "not those that were written", "remove it"}},
    {"a checkpoint with a changed byte",
     "checkpoints/teacher/last.h5",
     -1,
     NULL,
     true,
     1,
     {"checkpoints/teacher/last.h5", "not those that were written"}},
    {"a truncated best checkpoint",
     "checkpoints/student/best.h5",
     3000,
     NULL,
     true,
     1,
     {"checkpoints/student/best.h5", "not those that were written"}},
    {"truncated results", "results.json", 100, NULL, false, 1, {"results.json:", "damaged"}},
    {"results that are none",
     "results.json",
     0,
     "{\"a\": 1}",
     false,
     1,
     {"results.json: not a results file"}},
    {"an environment that is none", "env.json", 0, "{", true, 1, {"env.json", "damaged"}},
    {"other training data",
     "env.json",
     0,
     "{\"train_data_hash\": \"00\", \"instruction_set\": \"avx2\"}",
     true,
     1,
     {"the training data has changed", "hash 00"}},
};

static void copy_run(const char *to)
{
    char command[1100];
    snprintf(command, sizeof command, "rm -rf '%s' && cp -r '%s' '%s'", test_path(to),
             test_path("done"), test_path(to));
    assert_int_equal(system(command), 0);
}

static void spoil(const char *path, const struct damage_case *c)
{
    size_t size = 0;
    char *bytes = tiny_read(path, &size);
    assert_non_null(bytes);
    if (c->keep < 0) {
        struct dc_error error;
        struct dc_h5 *file = NULL;
        float weights[4 * 72];  // logits.weight [72, 4] of the teacher, found in the file
        const struct dc_tensor tensor = {weights, DC_F32, DC_SHAPE(72, 4)};
        assert_int_equal(dc_h5_open(&file, path, &error), DC_OK);
        assert_int_equal(dc_h5_read(file, "student/value/logits.weight", &tensor, &error), DC_OK);
        dc_h5_close(file);
        char *at = memmem(bytes, size, weights, sizeof weights);
        assert_non_null(at);
        at[101] ^= 1;
        test_write(path, bytes, size);
    } else if (c->spoil) {
        tiny_text(path, c->spoil);
    } else {
        test_write(path, bytes, (size_t)c->keep);
    }
    free(bytes);
}

static void damaged_runs_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof damage_cases / sizeof damage_cases[0]; i++) {
        const struct damage_case *c = &damage_cases[i];
        char path[512];
        copy_run("spoilt");
        snprintf(path, sizeof path, "%s/results.json", test_path("spoilt"));
        if (c->resumes)
            assert_int_equal(remove(path), 0);
        snprintf(path, sizeof path, "%s/%s", test_path("spoilt"), c->file);
        spoil(path, c);
        const struct child here = {.folder = root};
        DECANT(&outcome, &here, "run", "tiny.yaml", "--run", "spoilt");
        assert_outcome(&outcome, c->name, c->exit_code, c->words);
    }
}

static void a_damaged_result_is_not_predicted_with(void **state)
{
    (void)state;
    char path[512];
    copy_run("spoilt");
    snprintf(path, sizeof path, "%s/checkpoints/teacher/final.h5", test_path("spoilt"));
    size_t size = 0;
    char *bytes = tiny_read(path, &size);
    assert_non_null(bytes);
    test_write(path, bytes, size / 2);
    free(bytes);
    const struct child here = {.folder = root};
    DECANT(&outcome, &here, "predict", "spoilt", "--stage", "teacher", "--out", "p.h5");
    static const char *const words[OUTCOME_WORDS] = {"checkpoints/teacher/final.h5",
                                                     "not those that were written"};
    assert_outcome(&outcome, "a truncated result", 1, words);
    assert_null(tiny_read(test_path("p.h5"), NULL));
}

// A file at its size limit is like a full disk. Every limit is tried, so that every file of a run
// meets it once; whatever was there stays readable, and the run goes on when there is room.
static void a_full_disk(void **state)
{
    (void)state;
    static const size_t limits[] = {200, 500, 1500, 3000, 9000, 15000, 25000};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        char command[700];
        const struct child full = {.folder = root, .file_limit = limits[i]};
        DECANT(&outcome, &full, "run", "tiny.yaml", "--run", "full");
        static const char *const words[OUTCOME_WORDS] = {"full/", "File too large"};
        assert_outcome(&outcome, "a full disk", 1, words);
        if (i == 0)
            assert_non_null(strstr(outcome.err, "log.txt of the run cannot be written"));
        snprintf(command, sizeof command, "test -z \"$(find '%s' -name '*.tmp-*')\"",
                 test_path("full"));
        assert_int_equal(system(command), 0);
    }
    const struct child here = {.folder = root};
    const struct child full = {.folder = root, .file_limit = 1000};
    static const char *const words[OUTCOME_WORDS] = {"p.h5", "File too large"};
    DECANT(&outcome, &full, "predict", "done", "--out", "p.h5");
    assert_outcome(&outcome, "a full disk for predict", 1, words);
    assert_null(tiny_read(test_path("p.h5"), NULL));
    DECANT(&outcome, &here, "run", "tiny.yaml", "--run", "full");
    assert_int_equal(outcome.exit_code, 0);
    assert_true(tiny_same_runs(test_path("done"), test_path("full")));
}

static void not_a_number(void **state)
{
    (void)state;
    const struct child here = {.folder = root};
    DECANT(&outcome, &here, "run", "tiny.yaml", "--run", "nan", "--set",
           "stages.student.train.learning_rate=1000", "--set", "stages.student.train.clip_norm=0",
           "--set", "stages.student.train.epochs=30");
    static const char *const words[OUTCOME_WORDS] = {"stage 'student', epoch ", "step ", "layer '",
                                                     "not finite"};
    assert_outcome(&outcome, "a learning rate of 1000", 1, words);
    char path[512];
    snprintf(path, sizeof path, "%s/STATUS", test_path("nan"));
    char *text = tiny_read(path, NULL);
    assert_int_equal(strncmp(text, "failed\nstage: student\nreason: stage 'student', epoch ", 50),
                     0);
    free(text);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", test_folder());
    tiny_files();
    const struct child here = {.folder = root};
    DECANT(&outcome, &here, "run", "tiny.yaml", "--run", "done");
    if (outcome.exit_code)
        fprintf(stderr, "%s", outcome.err);
    return outcome.exit_code;
}

static int tear_down(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_runs_are_refused),
        cmocka_unit_test(a_damaged_result_is_not_predicted_with),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(not_a_number),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
