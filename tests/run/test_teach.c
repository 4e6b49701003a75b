// Soft-target caches through the program: training with one equals training without, in each mode;
// what does not fit is refused; what is damaged is repaired only when asked.

#include <glob.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "run/model.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"
#include "train/checkpoint.h"

static struct outcome outcome;

// 13 epochs of 9 batches: more than 100 steps.
static const char experiment[] =
    "name: cached\n"
    "seed: 3\n"
    "data: {source: idx, path: data, validation: 40,\n"
    "       augment: [pad_crop: {pad: 1}, flip]}\n"
    "stages:\n"
    "  teacher:\n"
    "    model: model.yaml\n"
    "    parameters: {width: 9}\n"
    "    train: {epochs: 2, batch: 32, learning_rate: 0.05}\n"
    "  student:\n"
    "    model: model.yaml\n"
    "    train: {epochs: 13, batch: 32, learning_rate: 0.05}\n"
    "    distill: {teacher: teacher, losses: [kd: {temperature: 3, weight: 0.7}, label: {weight: "
    "0.3}]}\n";

static void good(const char *what)
{
    if (outcome.exit_code != 0)
        fail_msg("%s: exit %d, signal %d: %s", what, outcome.exit_code, outcome.signal,
                 outcome.err);
}

static void copy(const char *from, const char *to)
{
    char command[1024];
    snprintf(command, sizeof command, "cp -r '%s' '%s'", test_path(from), test_path(to));
    assert_int_equal(system(command), 0);
}

// A run with the trained teacher of "off", in a directory of its own.
static void run(const char *directory, const char *cache, const char *more)
{
    char set[1024];
    snprintf(set, sizeof set, "--set=stages.student.distill.cache={path: %s/%s}", test_path("."),
             cache);
    if (access(test_path(directory), F_OK) != 0)
        copy("taught", directory);
    DECANT(&outcome, NULL, "run", test_path("cached.yaml"), "--run", test_path(directory), set,
           more ? more : "--quiet");
}

static void assert_same_student(const char *a, const char *b, bool same)
{
    char first[512], second[512], where[256] = "";
    snprintf(first, sizeof first, "%s/checkpoints/student/final.h5", test_path(a));
    snprintf(second, sizeof second, "%s/checkpoints/student/final.h5", test_path(b));
    if (tiny_same_arrays(first, second, where) != same)
        fail_msg("%s and %s: %s", a, b, where);
}

static int set_up(void **state)
{
    (void)state;
    test_folder();
    tiny_files();
    tiny_text(test_path("cached.yaml"), experiment);
    DECANT(&outcome, NULL, "train", test_path("cached.yaml"), "teacher", "--run",
           test_path("taught"));
    if (outcome.exit_code == 0) {
        copy("taught", "off");
        DECANT(&outcome, NULL, "run", test_path("cached.yaml"), "--run", test_path("off"));
    }
    if (outcome.exit_code != 0)
        fprintf(stderr, "%s", outcome.err);
    return outcome.exit_code;
}

static int tear_down(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

static void cached_training_has_the_same_bits(void **state)
{
    (void)state;
    run("on", "c-epochs, block: 100", NULL);  // filled as training goes
    good("epochs");
    assert_same_student("off", "on", true);
    assert_int_equal(test_folder_entries(test_path("c-epochs")), 13 + 3);
    run("again", "c-epochs, block: 100, fill: false", "--threads=1");  // shared
    good("shared");
    assert_same_student("off", "again", true);
    run("views", "c-views, mode: views, block: 64", NULL);
    good("views");
    assert_same_student("off", "views", true);
    assert_int_equal(test_folder_entries(test_path("c-views")), 1 + 3);
    // these shape the student, so they must not pass for the same
    run("half", "c-half, type: float16", NULL);
    good("half");
    assert_same_student("off", "half", false);
    run("static", "c-static, mode: static", NULL);
    good("static");
    assert_same_student("off", "static", false);
    run("top", "c-top, top: 2", NULL);
    good("top");
    assert_same_student("off", "top", false);
}

// Layers that losses read are columns beside the logits.
static void features_are_cached_too(void **state)
{
    (void)state;
    static const char losses[] = "--set=stages.student.distill.losses=[kd: {weight: 0.5}, "
                                 "hint: {student: stem_relu, teacher: stem_norm, weight: 1}, "
                                 "similarity: {student: pool, teacher: pool, weight: 1}]";
    copy("taught", "off-features");
    DECANT(&outcome, NULL, "run", test_path("cached.yaml"), "--run", test_path("off-features"),
           losses);
    good("features");
    run("features", "c-features", losses);
    good("cached features");
    assert_same_student("off-features", "features", true);
    assert_same_student("off", "features", false);
    run("fewer", "c-features", NULL);  // the losses of the file read logits alone
    assert_outcome(&outcome, "fewer", 2,
                   (const char *const[OUTCOME_WORDS]){"made with output 1 'stem", "needs none"});
}

static void verify(const char *folder, int exit_code, const char *word)
{
    DECANT(&outcome, NULL, "verify", test_path(folder));
    assert_outcome(&outcome, folder, exit_code, (const char *const[OUTCOME_WORDS]){NULL});
    if (!strstr(outcome.out, word) && !strstr(outcome.err, word))
        fail_msg("no '%s' in: %s%s", word, outcome.out, outcome.err);
}

// Stages that ask the same of one teacher share a folder in the run; what asks for more has
// another.
static void a_cache_without_a_path_lies_in_the_run(void **state)
{
    (void)state;
    char folder[64], text[2 * sizeof experiment];
    glob_t found;
    copy("taught", "own");
    snprintf(text, sizeof text, "%s  second: {from: student, train: {epochs: 1}}\n", experiment);
    tiny_text(test_path("two.yaml"), text);
    DECANT(&outcome, NULL, "run", test_path("two.yaml"), "--run", test_path("own"), "--set",
           "stages.student.distill.cache={mode: views}");
    good("own");
    assert_same_student("off", "own", true);
    assert_int_equal(glob(test_path("own/soft-targets/*"), 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    snprintf(folder, sizeof folder, "own/soft-targets/%s", strrchr(found.gl_pathv[0], '/') + 1);
    globfree(&found);
    verify(folder, 0, "0 outputs differ");
    // moved with its run, it is verified by what the run holds now
    assert_int_equal(rename(test_path("own"), test_path("moved")), 0);
    memmove(folder + strlen("moved"), folder + strlen("own"), strlen(folder + strlen("own")) + 1);
    memcpy(folder, "moved", strlen("moved"));
    verify(folder, 0, "0 outputs differ");
    copy("taught", "new");
    DECANT(&outcome, NULL, "teach", test_path("cached.yaml"), "--run", test_path("new"), "--set",
           "stages.student.distill.cache={mode: views}", "--set",
           "stages.student.distill.losses=[hint: {student: pool, teacher: pool, weight: 1}]");
    good("taught ahead");
    assert_int_equal(test_folder_entries(test_path("new/soft-targets")), 1);
}

static void verification_recomputes(void **state)
{
    (void)state;
    verify("c-epochs", 0, "0 outputs differ");
    verify("c-views", 0, "0 outputs differ");
    verify("c-static", 0, "0 outputs differ");
    verify("c-half", 0, "rounded to float16");
    verify("c-top", 0, "another top class (0.00 %)");
}

static void refused(const char *cache, const char *more, int exit_code, const char *a,
                    const char *b)
{
    char command[512];
    run("refused", cache, more);
    assert_outcome(&outcome, cache, exit_code, (const char *const[OUTCOME_WORDS]){a, b});
    snprintf(command, sizeof command, "rm -r '%s'", test_path("refused"));
    assert_int_equal(system(command), 0);
}

// The teacher taken from a run of before, so that what shapes its training has no part in it.
static void write_imported(const char *directory)
{
    char text[2048], body[sizeof experiment];
    snprintf(body, sizeof body, "%s", experiment);
    char *train = strstr(body, "    train: {epochs: 2");
    char *rest = strchr(train, '\n');
    *train = '\0';
    snprintf(text, sizeof text, "%s    weights: %s/checkpoints/teacher/final.h5%s", body, directory,
             rest);
    tiny_text(test_path("imported.yaml"), text);
}

static void teach(const char *more, int exit_code, const char *a, const char *b)
{
    char set[1024];
    snprintf(set, sizeof set, "--set=stages.student.distill.cache={path: %s/c-epochs, block: 100}",
             test_path("."));
    DECANT(&outcome, NULL, "teach", test_path("imported.yaml"), "--run", test_path("imported"), set,
           more);
    assert_outcome(&outcome, more, exit_code, (const char *const[OUTCOME_WORDS]){a, b});
}

// The least bit of the teacher's first weight.
static void change_teacher(const char *directory)
{
    char path[512];
    struct dc_error error;
    struct dc_model model;
    struct dc_params *params = NULL;
    const struct dc_named_value width = {"width", 9.0};
    snprintf(path, sizeof path, "%s/checkpoints/teacher/final.h5", test_path(directory));
    const struct dc_model_spec spec = {test_path("model.yaml"), &width, 1,
                                       DC_LAYOUT_AUTO,          NULL,   NULL};
    assert_int_equal(dc_model_read(&model, &spec, &error), DC_OK);
    assert_int_equal(dc_params_create(&params, model.graph, 0, false, &error), DC_OK);
    assert_int_equal(dc_weights_read(path, params, &error), DC_OK);
    unsigned char bytes[sizeof(float)];
    float *first = params->value + params->slices[0].offset;
    memcpy(bytes, first, sizeof bytes);
    bytes[0] ^= 1;
    memcpy(first, bytes, sizeof bytes);
    assert_int_equal(dc_weights_write(path, params, &error), DC_OK);
    dc_params_free(params);
    dc_model_free(&model);
}

static void what_changed_is_refused(void **state)
{
    (void)state;
    refused("c-epochs, block: 99", NULL, 2, "block '100'", "'99'");
    refused("c-epochs, block: 100, mode: static", NULL, 2, "epochs", "static");
    refused("c-nothing, fill: false", NULL, 1, "missing", "decant teach");
    write_imported("taught");
    teach("--quiet", 0, NULL, NULL);
    teach("--set=data.augment_seed=2", 2, "augment_seed '1'", "'2'");
    teach("--set=data.augment=[flip]", 2, "pad_crop", "'flip");
    teach("--set=data.normalize={mean: 0.5, deviation: 0.5}", 2, "preprocessing", "mean 0.5");
    copy("taught", "flipped");
    change_teacher("flipped");
    write_imported("flipped");
    teach("--quiet", 2, "made with teacher", "name another folder");
    write_imported("taught");
}

static void damage(const char *shard)
{
    size_t size = 0;
    char *bytes = tiny_read(test_path(shard), &size);
    assert_non_null(bytes);
    test_write(test_path(shard), bytes, size / 2);
    free(bytes);
}

static void damage_is_repaired_only_when_asked(void **state)
{
    (void)state;
    static const char shard[] = "c-epochs/epoch-0004/block-0001.h5";
    copy(shard, "before.h5");
    damage(shard);
    refused("c-epochs, block: 100", NULL, 1, "block-0001.h5", "--repair");
    teach("--quiet", 1, "block-0001.h5", "--repair");
    teach("--repair", 0, NULL, NULL);
    assert_non_null(strstr(outcome.out, "1 files made (1 of them repaired), 38 were there"));
    assert_true(tiny_same_arrays(test_path(shard), test_path("before.h5"), NULL));
    verify("c-epochs", 0, "0 outputs differ");
}

// What a cache knows of itself, when the run that made it is elsewhere, or its files are cut off.
static void a_manifest_is_repaired_too(void **state)
{
    (void)state;
    copy("c-epochs", "c-kept");
    damage("c-epochs/manifest.json");
    teach("--quiet", 1, "manifest.json", "--repair");
    damage("c-epochs/made_by.json");
    teach("--repair", 0, NULL, NULL);
    assert_non_null(strstr(outcome.out, "1 files made (1 of them repaired), 39 were there"));
    verify("c-epochs", 0, "0 outputs differ");
    // what another program wrote stays, whatever it is
    tiny_text(test_path("c-epochs/manifest.json"), "{\"name\": \"my app\",");
    teach("--repair", 1, "manifest.json", "damaged");
    // a cache may be moved, and its run
    verify("c-kept", 0, "0 outputs differ");
    tiny_text(test_path("c-kept/made_by.json"), "{\"stage\": \"student\", \"run\": \"/gone\"}");
    verify("c-kept", 2, "say with --run where it is");
    DECANT(&outcome, NULL, "verify", test_path("c-kept"), "--run", test_path("off"));
    good("with --run");
}

static void start_three(pid_t children[3], const char *cache)
{
    for (int i = 0; i < 3; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            char set[1024];
            snprintf(set, sizeof set, "--set=stages.student.distill.cache={path: %s/%s, block: 20}",
                     test_path("."), cache);
            execl(DECANT_BINARY, "decant", "teach", test_path("cached.yaml"), "--run",
                  test_path("taught"), set, "--quiet", "--threads=1", (char *)NULL);
            _exit(99);
        }
    }
}

// Three processes fill one cache, one is killed on the way; what is left open is made by another
// start, and all of it is what one process makes.
static void several_processes_fill_one_cache(void **state)
{
    (void)state;
    pid_t children[3];
    int status = 0;
    start_three(children, "c-shared");
    usleep(60 * 1000);
    kill(children[0], SIGKILL);
    assert_int_equal(waitpid(children[0], &status, 0), children[0]);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    run("shared", "c-shared, block: 20, fill: false", NULL);
    good("shared");
    assert_same_student("off", "shared", true);
    char command[512];
    snprintf(command, sizeof command, "test -z \"$(find '%s' -name '*.lock' -size +0)\"",
             test_path("c-shared"));
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cached_training_has_the_same_bits),
        cmocka_unit_test(a_cache_without_a_path_lies_in_the_run),
        cmocka_unit_test(features_are_cached_too),
        cmocka_unit_test(verification_recomputes),
        cmocka_unit_test(what_changed_is_refused),
        cmocka_unit_test(damage_is_repaired_only_when_asked),
        cmocka_unit_test(a_manifest_is_repaired_too),
        cmocka_unit_test(several_processes_fill_one_cache),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
