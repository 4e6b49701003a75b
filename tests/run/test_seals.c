// What a run wrote and reads back is known to be what it wrote: checkpoints with every counter, the
// weights of parents, results. And what Decant 0.1 wrote is read, or refused with both versions.

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/file.h"
#include "run/run.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"

enum { SEAL = 16 };  // bytes at a sealed file's end

static struct outcome outcome;
static char root[512];  // the test's folder; decant runs in it
static const char *const none[OUTCOME_WORDS] = {NULL};
static const struct child here = {.folder = root};

// One bit of a byte at this share of the file is changed.
static void flip(const char *file, double share)
{
    size_t size = 0;
    char *bytes = tiny_read(test_path(file), &size);
    assert_true(bytes && size > 100);
    bytes[(size_t)(share * (double)(size - 1))] ^= 4;
    test_write(test_path(file), bytes, size);
    free(bytes);
}

// A counter of a checkpoint, where its attribute lies in the file, and the seal made anew or not.
static void set_counter(const char *file, const char *counter, int64_t value, bool seal)
{
    struct dc_error error;
    size_t size = 0;
    char *bytes = tiny_read(test_path(file), &size);
    assert_non_null(bytes);
    char *at = memmem(bytes, size, counter, strlen(counter) + 1);
    assert_non_null(at);
    memcpy(at + (strlen(counter) / 8 + 1) * 8 + 24, &value, sizeof value);
    test_write(test_path(file), bytes, seal ? size - SEAL : size);
    if (seal)
        assert_int_equal(dc_file_seal(test_path(file), &error), DC_OK);
    free(bytes);
}

// 9 batches an epoch; the checkpoint is of step 10, epoch 1 of 2 (from 0), batch 1.
static void counters_are_sealed(void **state)
{
    (void)state;
    static const struct {
        const char *counter;
        int64_t value;
    } cases[] = {{"epoch", -5},
                 {"epoch", 2},
                 {"epoch", 29},
                 {"epoch", 1000000000000},
                 {"epoch", (int64_t)1 << 32},
                 {"batch", 1000000000},
                 {"batch", -3},
                 {"batch", 0},
                 {"batch", 2},
                 {"batch", 10},
                 {"step", -1},
                 {"step", 5},
                 {"step", INT64_MAX},
                 {"best_epoch", 1000000000},
                 {"best_epoch", -7},
                 {"best_epoch", 1},
                 {"stale_epochs", -1000000000},
                 {"stale_epochs", 2}};
    static const char *const broken[OUTCOME_WORDS] = {
        "checkpoints/student/last.h5: its bytes are not those that were written", "remove it"};
    static const char *const unfit[OUTCOME_WORDS] = {"checkpoints/student/last.h5: step",
                                                     "do not fit this training"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int seal = 0; seal < 2; seal++) {
            must_shell("rm -rf x && cp -r stopped x");
            set_counter("x/checkpoints/student/last.h5", cases[i].counter, cases[i].value, seal);
            DECANT(&outcome, &here, "train", "seals.yaml", "student", "--run", "x");
            assert_outcome(&outcome, cases[i].counter, 1, seal ? unfit : broken);
        }
    }
    must_shell("rm -rf x && cp -r stopped x");
    set_counter("x/checkpoints/student/last.h5", "epoch", 1, true);  // as it was
    DECANT(&outcome, &here, "train", "seals.yaml", "student", "--run", "x");
    assert_outcome(&outcome, "the counters as they were", 0, none);
    must_shell("cmp x/checkpoints/student/final.h5 done/checkpoints/student/final.h5");
}

// Each reader of a stage's weights, with one bit of them changed.
static void parents_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *name, *prepare, *file;
        const char *arguments[10];
    } cases[] = {
        {"quantization-aware training",
         "cp -r student x",
         "x/checkpoints/student/final.h5",
         {"train", "seals.yaml", "quantized", "--run", "x"}},
        {"calibration",
         "cp -r student x",
         "x/checkpoints/student/final.h5",
         {"train", "seals.yaml", "calibrated", "--run", "x"}},
        {"a teacher",
         "cp -r student x",
         "x/checkpoints/student/final.h5",
         {"train", "seals.yaml", "pupil", "--run", "x"}},
        {"a stage's export",
         "cp -r done x && rm -r x/bundle",
         "x/checkpoints/calibrated/final.h5",
         {"run", "seals.yaml", "--run", "x"}},
        {"an export",
         "cp -r done x",
         "x/checkpoints/quantized/final.h5",
         {"export", "x", "--stage", "quantized", "--out", "y"}},
        {"an export of floats",
         "cp -r done x",
         "x/checkpoints/student/final.h5",
         {"export", "x", "--stage", "student", "--out", "y.onnx"}},
        {"a prediction",
         "cp -r done x",
         "x/checkpoints/student/final.h5",
         {"predict", "x", "--stage", "student", "--out", "y.h5"}},
        {"an evaluation",
         "cp -r done x",
         "x/checkpoints/quantized/final.h5",
         {"eval", "x", "--stage", "quantized"}},
        {"init_from a file",
         "cp -r done w && sed 's|batch: 32|batch: 32, init_from: w/checkpoints/student/final.h5|' "
         "seals.yaml > x.yaml",
         "w/checkpoints/student/final.h5",
         {"train", "x.yaml", "student", "--run", "x"}},
        {"a weights file",
         "cp -r done w && printf 'name: w\\ndata: {source: idx, path: data}\\nstages:\\n  taken: "
         "{model: model.yaml, weights: w/checkpoints/student/final.h5}\\n' > x.yaml",
         "w/checkpoints/student/final.h5",
         {"run", "x.yaml", "--run", "x"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const words[OUTCOME_WORDS] = {strchr(cases[i].file, '/'),
                                                  "its bytes are not those that were written"};
        for (int half = 0; half < 2; half++) {  // a header, a weight
            must_shell("rm -rf w x x.yaml y y.h5 y.onnx");
            must_shell("%s", cases[i].prepare);
            flip(cases[i].file, half ? 0.6 : 0.001);
            run_decant(&outcome, &here, cases[i].arguments);
            assert_outcome(&outcome, cases[i].name, 1, words);
        }
    }
    must_shell("rm -rf w x x.yaml");
}

// A changed bit anywhere, and any part of the file, is refused and crashes nothing.
static void every_bit_counts(void **state)
{
    (void)state;
    static const char *const words[OUTCOME_WORDS] = {"checkpoints/student/final.h5", "bytes"};
    for (int i = 0; i <= 20; i++) {
        must_shell("rm -rf x && cp -r done x");
        flip("x/checkpoints/student/final.h5", i / 20.0);
        DECANT(&outcome, &here, "eval", "x", "--stage", "student");
        assert_outcome(&outcome, "a changed bit", 1, words);
        must_shell("cp done/checkpoints/student/final.h5 x/checkpoints/student/");
        size_t size = 0;
        char *bytes = tiny_read(test_path("x/checkpoints/student/final.h5"), &size);
        test_write(test_path("x/checkpoints/student/final.h5"), bytes, size * (size_t)i / 21);
        free(bytes);
        DECANT(&outcome, &here, "eval", "x", "--stage", "student");
        assert_outcome(&outcome, "a part of a file", 1, words);
    }
}

static void results_are_sealed(void **state)
{
    (void)state;
    static const struct {
        const char *name, *change;  // sed, over the whole text
    } cases[] = {{"a better result", "s/\"accuracy\": 0/\"accuracy\": 1/"},
                 {"a stage less", "s/\"calibrated\": {/\"other\": {/"},
                 {"another experiment", "s/\"experiment\": \"seals\"/\"experiment\": \"x\"/"},
                 {"fewer differences", "s/\"different\": 0/\"different\": 1/"},
                 {"no hash", "s/content_hash/content_hush/"},
                 {"another hash", "s/content_hash\": \"./content_hash\": \"x/"}};
    static const char *const words[OUTCOME_WORDS] = {"results.json", "changed or is damaged"};
    static const char *const verbs[] = {"run", "eval"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char command[512];
        must_shell("rm -rf x && cp -r done x");
        snprintf(command, sizeof command,
                 "sed -i '%s' x/results.json && ! cmp -s done/results.json x/results.json",
                 cases[i].change);
        must_shell("%s", command);
        for (int v = 0; v < 2; v++) {
            if (v == 0)
                DECANT(&outcome, &here, verbs[v], "seals.yaml", "--run", "x");
            else
                DECANT(&outcome, &here, verbs[v], "x");
            assert_outcome(&outcome, cases[i].name, 1, words);
        }
    }
    must_shell("rm -rf x && cp -r done x && tr -d '\\n' < done/results.json > x/results.json");
    DECANT(&outcome, &here, "run", "seals.yaml", "--run", "x");  // blanks say nothing
    assert_outcome(&outcome, "other blanks", 0, none);
    must_shell("rm x/results.json");
    DECANT(&outcome, &here, "run", "seals.yaml", "--run", "x");
    assert_outcome(&outcome, "results made anew", 0, none);
}

// A finished run with a damaged bundle proves nothing of it: the bundle is written and proven
// again.
static void a_damaged_bundle_is_not_done(void **state)
{
    (void)state;
    static const char *const changes[] = {"truncate -s 3000 x/bundle/int8/model.h5",
                                          "sed -i s/int8_t/int16_t/ x/bundle/int8/tiny.c",
                                          "rm -r x/bundle/int8"};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        must_shell("rm -rf x && cp -r done x");
        must_shell("%s", changes[i]);
        DECANT(&outcome, &here, "run", "seals.yaml", "--run", "x");
        assert_outcome(&outcome, changes[i], 0, none);
        must_shell("diff -r done/bundle x/bundle");
    }
    must_shell("rm -rf x && cp -r done x && echo mine > x/bundle/int8/notes.txt");
    must_shell("truncate -s 3000 x/bundle/int8/model.h5");
    DECANT(&outcome, &here, "run", "seals.yaml", "--run", "x");
    assert_outcome(&outcome, "with the user's notes", 2,
                   (const char *const[OUTCOME_WORDS]){"notes.txt"});
    must_shell("grep -q mine x/bundle/int8/notes.txt");
}

// tests/golden/version-0.1: its run is refused, its bundle proven with its C made anew.
static void version_0_1(void **state)
{
    (void)state;
    static const struct {
        const char *name, *prepare;
        const char *arguments[10];
        int exit_code;
        const char *words[OUTCOME_WORDS];  // of stderr, or where it is good of stdout
    } cases[] = {
        {"a run",
         ":",
         {"run", "old/experiment.yaml", "--run", "old/run"},
         2,
         {"old/run was begun by version 0.1.0", "this is version " DECANT_VERSION}},
        {"a stage of a run",
         "rm old/run/results.json",
         {"train", "old/experiment.yaml", "student", "--run", "old/run"},
         2,
         {"old/run was begun by version 0.1.0", "this is version " DECANT_VERSION}},
        {"a checkpoint",
         "cp old/run/checkpoints/student/last.h5 new/checkpoints/student && rm new/results.json",
         {"run", "old/experiment.yaml", "--run", "new"},
         1,
         {"student/last.h5 has format version 3 of Decant 0.1",
          "Decant " DECANT_VERSION ", reads version 4"}},
        {"weights",
         "printf 'name: x\\ndata: {source: idx, path: data}\\nstages:\\n  taken: {model: "
         "old/model.yaml, weights: old/run/checkpoints/student/final.h5}\\n' > x.yaml",
         {"run", "x.yaml", "--run", "x"},
         1,
         {"student/final.h5 has format version 2 of Decant 0.1",
          "Decant " DECANT_VERSION ", reads version 3"}},
        {"weights of a parent",
         "cp old/run/checkpoints/student/final.h5 new/checkpoints/student && rm -r "
         "new/checkpoints/calibrated",
         {"run", "old/experiment.yaml", "--run", "new"},
         1,
         {"student/final.h5 has format version 2 of Decant 0.1", "reads version 3"}},
        {"results",
         "cp old/run/results.json new && sed -i 's/\"version\": 1/\"version\": 3/' "
         "new/results.json",
         {"eval", "new"},
         1,
         {"results.json has version 3", "reads 2"}},
        {"a bundle",
         ":",
         {"verify", "old/run/bundle/int8"},
         0,
         {"70 samples, 280 bytes compared, all equal", "not checked: written by version 0.1.0",
          "this is " DECANT_VERSION}},
        {"a bundle with other C",
         "echo x >> old/run/bundle/int8/tiny.c",
         {"verify", "old/run/bundle/int8"},
         1,
         {"tiny.c: is damaged"}},
        {"a bundle's answers",
         ":",
         {"eval", "old/run/bundle/int8", "--json"},
         0,
         {"\"accuracy\": 0.157142857"}},  // as version 0.1 printed it
        {"a bundle to be replaced",
         ":",
         {"export", "new", "--stage", "calibrated", "--out", "old/run/bundle/int8"},
         0,
         {"old/run/bundle/int8"}},
    };
    must_shell("cp -r '" DECANT_SOURCE_DIR "/tests/golden/version-0.1' kept");
    must_shell("cp -r kept old && rm -rf made");
    DECANT(&outcome, &here, "run", "old/experiment.yaml", "--run", "made");
    assert_outcome(&outcome, "the experiment of version 0.1", 0, none);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        must_shell("rm -rf old new x && cp -r kept old && chmod -R u+w old && cp -r made new");
        must_shell("%s", cases[i].prepare);
        run_decant(&outcome, &here, cases[i].arguments);
        if (cases[i].exit_code == 0)
            memcpy(outcome.err, outcome.out, sizeof outcome.err);
        assert_outcome(&outcome, cases[i].name, cases[i].exit_code, cases[i].words);
    }
}

static const char experiment[] =
    "name: seals\n"
    "data: {source: idx, path: data, validation: 40}\n"
    "target: target.yaml\n"
    "stages:\n"
    "  student: {model: model.yaml, train: {epochs: 2, batch: 32, learning_rate: 0.05}}\n"
    "  pupil:\n"
    "    model: model.yaml\n"
    "    train: {epochs: 1, batch: 32, learning_rate: 0.05}\n"
    "    distill: {teacher: student, losses: [kd: {temperature: 2}]}\n"
    "  quantized: {from: student, quantize: {}, train: {epochs: 1, learning_rate: 0.01}}\n"
    "  calibrated: {from: student, quantize: {}}\n"
    "  int8: {export: calibrated}\n";

static volatile sig_atomic_t stop;

static void stop_after_an_epoch(void *user, const struct dc_progress *progress)
{
    (void)user;
    stop = stop || progress->epoch_done;
}

static enum dc_status stop_in_the_second_epoch(const char *directory)
{
    struct dc_error error = {0};
    struct dc_run *run = NULL;
    const struct dc_run_options options = {.experiment = "seals.yaml",
                                           .directory = directory,
                                           .context = {.threads = 2, .stop = &stop},
                                           .hooks = {.progress = stop_after_an_epoch}};
    enum dc_status status = dc_run_open(&run, &options, &error);
    if (status == DC_OK)
        status = dc_run_stage(run, &run->experiment->stages[0], &error);
    dc_run_close(run);
    return status;
}

// done: all stages; student: the first; stopped: that one, one step into its second epoch.
static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", test_folder());
    tiny_files();
    tiny_text(test_path("seals.yaml"), experiment);
    DECANT(&outcome, &here, "run", "seals.yaml", "--run", "done");
    if (outcome.exit_code == 0)
        DECANT(&outcome, &here, "train", "seals.yaml", "student", "--run", "student");
    if (outcome.exit_code)
        fprintf(stderr, "%s", outcome.err);
    if (outcome.exit_code || chdir(root) != 0)
        return 1;
    return stop_in_the_second_epoch("stopped") == DC_ERR_STOPPED ? 0 : 1;
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
        cmocka_unit_test(counters_are_sealed),
        cmocka_unit_test(parents_are_checked),
        cmocka_unit_test(every_bit_counts),
        cmocka_unit_test(results_are_sealed),
        cmocka_unit_test(a_damaged_bundle_is_not_done),
        cmocka_unit_test(version_0_1),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
