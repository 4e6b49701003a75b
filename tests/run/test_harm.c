// Nothing of the user's is deleted or overwritten, wherever a command is aimed; nothing that came
// from outside is executed. Each case counts every file of the folder before and after.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <zlib.h>

#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"

static struct outcome outcome;
static char root[512];  // the test's folder; decant runs in it

// Names, targets of links and contents of all that lies in the folder, as one text.
static char *everything(void)
{
    char line[2048];
    size_t size = 0;
    snprintf(line, sizeof line,
             "cd '%s' && { find . -printf '%%p %%l %%y\\n' | sort; find . -type f | sort | "
             "xargs -d '\\n' cksum; } > '%s.listing'",
             root, root);
    assert_int_equal(system(line), 0);
    snprintf(line, sizeof line, "%s.listing", root);
    char *text = tiny_read(line, &size);
    assert_true(text && size > 100);
    return text;
}

struct aim {
    const char *name;
    const char *prepare;  // shell, in the folder
    const char *arguments[10];
    int exit_code;
    const char *words[OUTCOME_WORDS];
};

#define RUN(directory)                                                                             \
    {                                                                                              \
        "run", "export.yaml", "--run", directory                                                   \
    }
#define EXPORT(out)                                                                                \
    {                                                                                              \
        "export", "done", "--stage", "quantized", "--out", out                                     \
    }
#define EXPORT_1(out)                                                                              \
    {                                                                                              \
        "export", "done", "--stage", "student", "--out", out                                       \
    }
#define PREDICT(out)                                                                               \
    {                                                                                              \
        "predict", "done", "--out", out                                                            \
    }
#define CONVERT(out)                                                                               \
    {                                                                                              \
        "data", "data", "--out", out                                                               \
    }
#define SET(value)                                                                                 \
    {                                                                                              \
        "run", "export.yaml", "--set", value                                                       \
    }
#define NEITHER                                                                                    \
    {                                                                                              \
        "neither a bundle nor empty"                                                               \
    }
#define NO_RUN                                                                                     \
    {                                                                                              \
        "neither a run directory nor empty"                                                        \
    }
#define NOT_OURS                                                                                   \
    {                                                                                              \
        "Decant did not write it"                                                                  \
    }

static const struct aim aims[] = {
    // bundles
    {"a thesis", "mkdir x; echo a > x/thesis.tex", EXPORT("x"), 2, NEITHER},
    {"a folder in a folder", "mkdir -p x/sub; echo a > x/sub/z", EXPORT("x"), 2, NEITHER},
    {"its own run", ":", EXPORT("done"), 2, NEITHER},
    {"its own checkpoints", ":", EXPORT("done/checkpoints/student"), 2, NEITHER},
    {"the data", ":", EXPORT("data"), 2, NEITHER},
    {"here", ":", EXPORT("."), 2, NEITHER},
    {"above", ":", EXPORT("data/.."), 2, NEITHER},
    {"a link to a folder", "mkdir y; echo a > y/b; ln -s y x", EXPORT("x"), 2, {"symbolic link"}},
    {"a link to a bundle", "ln -s done/bundle/int8 x", EXPORT("x"), 2, {"symbolic link"}},
    {"a link with a slash", "ln -s done/bundle/int8 x", EXPORT("x/"), 2, {"symbolic link"}},
    {"a file", "echo a > x", EXPORT("x"), 2, {"x is not a folder"}},
    {"a bundle with notes",
     "cp -r done/bundle/int8 x; echo a > x/notes.txt",
     EXPORT("x"),
     2,
     {"'notes.txt' in it was not written by Decant"}},
    {"a bundle with a folder", "cp -r done/bundle/int8 x; mkdir x/old", EXPORT("x"), 2, {"'old'"}},
    {"a bundle with a link for its C",
     "cp -r done/bundle/int8 x; mv x/tiny.c y; ln -s ../y x/tiny.c",
     EXPORT("x"),
     2,
     {"'tiny.c'"}},
    {"another's manifest", "mkdir x; echo '{}' > x/manifest.json", EXPORT("x"), 2, NEITHER},
    {"a damaged manifest", "cp -r done/bundle/int8 x; echo { > x/manifest.json", EXPORT("x"), 2,
     NEITHER},
    {"a manifest that lists more",
     "mkdir -p x/s; echo '{\"bundle_version\": 1, \"writer\": \"Decant 0\", \"files\": "
     "{\"../data\": 1, \"s\": 1}}' > x/manifest.json",
     EXPORT("x"),
     2,
     {"'s'"}},
    {"no name", ":", EXPORT(""), 2, {"--out needs PATH"}},
    // runs
    {"a home",
     "mkdir -p x/docs x/x.tmp-dir; echo a > x/docs/letter.tmp-1.txt; echo b > "
     "x/x.tmp-dir/photo.jpg",
     RUN("x"), 2, NO_RUN},
    {"a folder with a log", "mkdir x; echo mine > x/log.txt", RUN("x"), 2, NO_RUN},
    {"a folder with results", "mkdir x; echo {} > x/results.json", RUN("x"), 2, NO_RUN},
    {"a folder with an experiment", "mkdir x; cp export.yaml x", RUN("x"), 2, NO_RUN},
    {"a folder with a link for a log", "mkdir x; echo a > y; ln -s ../y x/log.txt", RUN("x"), 2,
     NO_RUN},
    {"the data as a run", ":", RUN("data"), 2, NO_RUN},
    {"here as a run", ":", RUN("."), 2, NO_RUN},
    {"a bundle as a run", ":", RUN("done/bundle/int8"), 2, NO_RUN},
    {"a run with no name", ":", RUN(""), 2, {"--run needs DIR"}},
    {"another experiment's run",
     "sed 's/^  teacher:/  master:/; s/teacher: teacher/teacher: master/' export.yaml > x.yaml",
     {"run", "x.yaml", "--run", "done"},
     2,
     {"done holds stage 'teacher'", "another"}},
    {"another experiment's checkpoints",
     "cp -r done x; rm x/results.json; mv x/checkpoints/teacher x/checkpoints/master",
     RUN("x"),
     2,
     {"x holds stage 'master'", "another"}},
    {"an empty name", ":", SET("name="), 2, {"name", "has no name"}},
    {"a name above", ":", SET("name=.."), 2, {"leaves its folder"}},
    {"a name here", ":", SET("name=."), 2, {"leaves its folder"}},
    {"a name elsewhere", ":", SET("name=../../x"), 2, {"leaves its folder"}},
    {"a name at the root", ":", SET("name=/x"), 2, {"leaves its folder"}},
    {"a stage above",
     "sed 's/^  teacher:/  ..:/' export.yaml > x.yaml",
     {"run", "x.yaml", "--run", "x"},
     2,
     {"x.yaml:10:3: error: the stage '..'", "leaves its folder"}},
    {"a stage elsewhere",
     "sed 's/^  int8:/  ..\\/..\\/int8:/' export.yaml > x.yaml",
     {"run", "x.yaml", "--run", "x"},
     2,
     {"x.yaml:", "the stage '../../int8'", "leaves its folder"}},
    {"a stage with no name",
     "sed \"s/^  int8:/  '':/\" export.yaml > x.yaml",
     {"check", "x.yaml"},
     2,
     {"x.yaml:", "the stage has no name"}},
    // caches
    {"a folder for a cache",
     "mkdir x; echo a > x/experiment.yaml",
     {"teach", "export.yaml", "--run", "done", "--set", "stages.student.distill.cache.path=x"},
     2,
     {"neither a soft-target cache nor empty"}},
    {"a file where a run keeps its cache",
     "cp -r done x; echo a > x/soft-targets",
     {"teach", "export.yaml", "--run", "x", "--set", "stages.student.distill.cache={block: 64}"},
     2,
     {"is not a folder that can be read"}},
    // files
    {"a thesis for logits", "echo a > x", PREDICT("x"), 2, NOT_OURS},
    {"the weights", ":", PREDICT("done/checkpoints/student/final.h5"), 2, NOT_OURS},
    {"a data set", "$DECANT data data --out x.h5", PREDICT("x.h5"), 2, NOT_OURS},
    {"a folder for logits", "mkdir x", PREDICT("x"), 2, {"x is a folder"}},
    {"a link for logits", "ln -s model.yaml x", PREDICT("x"), 2, {"a symbolic link"}},
    {"a pipe for logits", "mkfifo x", PREDICT("x"), 2, {"a device or a pipe"}},
    {"logits with no name", ":", PREDICT(""), 2, {"--out needs FILE"}},
    {"a model for data", ":", CONVERT("model.yaml"), 2, NOT_OURS},
    {"logits for data", "$DECANT predict done --out x.h5", CONVERT("x.h5"), 2, NOT_OURS},
    {"data onto itself",
     "$DECANT data data --out x.h5",
     {"data", "x.h5", "--out", "x.h5"},
     2,
     {"what this command reads"}},
    {"data onto itself by another name",
     "$DECANT data data --out x.h5; ln x.h5 y.h5",
     {"data", "hdf5:x.h5", "--out", "y.h5"},
     2,
     {"what this command reads"}},
    {"text for ONNX", "echo a > x.onnx", EXPORT_1("x.onnx"), 2, NOT_OURS},
    {"text for TFLite", "echo TFL3 > x.tflite", EXPORT_1("x.tflite"), 2, NOT_OURS},
    {"the network that the run reads",
     "$DECANT export done --stage student --out x.onnx; printf 'name: x\\ndata: {source: idx, "
     "path: "
     "data}\\nstages:\\n  taken: {model: x.onnx}\\n' > x.yaml; $DECANT run x.yaml --run y --quiet",
     {"export", "y", "--stage", "taken", "--out", "x.onnx"},
     2,
     {"what this command reads"}},
    {"a folder that is not there", "true", {"predict", "done", "--out", "x/y.h5"}, 1, {"x/y.h5"}},
    {"a folder for ONNX", "mkdir x.onnx", EXPORT_1("x.onnx"), 2, {"x.onnx is a folder"}},
};

static void nothing_foreign_is_touched(void **state)
{
    (void)state;
    const struct child here = {.folder = root};
    for (size_t i = 0; i < sizeof aims / sizeof *aims; i++) {
        must_shell("rm -rf x x.* y y.*; DECANT='%s'; { %s; } > /dev/null", DECANT_BINARY,
                   aims[i].prepare);
        char *before = everything();
        run_decant(&outcome, &here, aims[i].arguments);
        char *after = everything();
        if (strcmp(before, after) != 0)
            fail_msg("%s: files were touched:\n%s\nand now\n%s", aims[i].name, before, after);
        assert_outcome(&outcome, aims[i].name, aims[i].exit_code, aims[i].words);
        free(before);
        free(after);
    }
    must_shell("rm -rf x x.* y y.*");
}

// What Decant wrote before is replaced as ever, and an empty place is one to write to.
static void own_things_are_replaced(void **state)
{
    (void)state;
    static const struct aim own[] = {
        {"a bundle", "cp -r done/bundle/int8 x", EXPORT("x"), 0, {NULL}},
        {"a bundle with a slash", "cp -r done/bundle/int8 x", EXPORT("x//"), 0, {NULL}},
        {"an empty folder", "mkdir x", EXPORT("x"), 0, {NULL}},
        {"a bundle that lacks a file",
         "cp -r done/bundle/int8 x; rm x/tiny.c x/model.h5",
         EXPORT("x"),
         0,
         {NULL}},
        {"logits", "$DECANT predict done --out x", PREDICT("x"), 0, {NULL}},
        {"data", "$DECANT data data --out x", CONVERT("x"), 0, {NULL}},
        {"an empty file", "touch x", PREDICT("x"), 0, {NULL}},
        {"ONNX", "$DECANT export done --stage student --out x.onnx", EXPORT_1("x.onnx"), 0, {NULL}},
        {"TFLite",
         "$DECANT export done --stage student --out x.tflite",
         EXPORT_1("x.tflite"),
         0,
         {NULL}},
        {"integers as TFLite",
         "$DECANT export done --stage quantized --out x.tflite",
         EXPORT("x.tflite"),
         0,
         {NULL}},
        {"an empty run", "mkdir x", RUN("x"), 0, {NULL}},
        {"a link to an empty run", "mkdir y; ln -s y x", RUN("x"), 0, {NULL}},
        {"a run", "cp -r done x; rm x/results.json", RUN("x"), 0, {NULL}},
        {"a run that had only begun", "mkdir x; touch x/log.txt", RUN("x"), 0, {NULL}},
        {"a run of version 0.1",
         "cp -r done x; rm x/results.json; : > x/log.txt",
         RUN("x"),
         0,
         {NULL}},
    };
    const struct child here = {.folder = root};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        must_shell("rm -rf x x.* y y.*; DECANT='%s'; { %s; } > /dev/null", DECANT_BINARY,
                   own[i].prepare);
        run_decant(&outcome, &here, own[i].arguments);
        assert_outcome(&outcome, own[i].name, own[i].exit_code, own[i].words);
    }
    must_shell("rm -rf x x.* y y.*");
}

// Folders that a killed export left beside its bundle are gone after the next, and only those.
static void leftovers_of_an_export(void **state)
{
    (void)state;
    const pid_t ended = fork();
    if (ended == 0)
        _exit(0);
    assert_int_equal(waitpid(ended, NULL, 0), ended);
    must_shell(
        "cp -r done/bundle/int8 x.tmp-%d; { echo '%s'; ls done/bundle/int8; } > x.tmp-%d/.decant; "
        "mkdir x.tmp-mine x.old-1; echo a > x.old-1/b",
        (int)ended, "Decant writes these files here, and removes them:", (int)ended);
    const struct child here = {.folder = root};
    DECANT(&outcome, &here, "export", "done", "--stage", "quantized", "--out", "x");
    static const char *const none[OUTCOME_WORDS] = {NULL};
    assert_outcome(&outcome, "an export beside leftovers", 0, none);
    must_shell("test ! -e x.tmp-%d -a -d x.tmp-mine -a -f x.old-1/b -a ! -e x/.decant", (int)ended);
    must_shell("rm -r x x.*");
}

// A shard's temporary of a killed process goes when the shard is made; what else lies there stays.
static void leftovers_of_a_cache(void **state)
{
    (void)state;
    const struct child here = {.folder = root};
    static const char *const none[OUTCOME_WORDS] = {NULL};
    const pid_t ended = fork();
    if (ended == 0)
        _exit(0);
    assert_int_equal(waitpid(ended, NULL, 0), ended);
    for (int turn = 0; turn < 2; turn++) {
        DECANT(&outcome, &here, "teach", "export.yaml", "--run", "done", "--stage", "student",
               "--set", "stages.student.distill.cache.path=x");
        assert_outcome(&outcome, "a cache", 0, none);
        if (turn == 0)
            must_shell(
                "cd x/epoch-0000 && rm block-0000.h5 && touch block-0000.h5.tmp-%d photo.tmp-%d "
                "block-0000.h5.tmp-mine",
                (int)ended, (int)ended);
    }
    must_shell("cd x/epoch-0000 && test -f block-0000.h5 -a ! -e block-0000.h5.tmp-%d -a -f "
               "photo.tmp-%d -a "
               "-f block-0000.h5.tmp-mine",
               (int)ended, (int)ended);
    must_shell("rm -rf x");
}

// Killed at any moment of its verification, an export leaves a folder that the next removes.
static void leftovers_of_a_verification(void **state)
{
    (void)state;
    char environment[600];
    snprintf(environment, sizeof environment, "TMPDIR=%s/tmp", root);
    must_shell("rm -rf tmp; mkdir tmp tmp/decant-verify-1x tmp/decant-verify-mine");
    int left = 0;
    static const char *const none[OUTCOME_WORDS] = {NULL};
    for (long delay = 20000; delay < 1000000; delay += 20000) {
        const struct child killed = {
            .folder = root, .environment = environment, .signal = 9, .delay = delay};
        DECANT(&outcome, &killed, "verify", "done/bundle/int8");
        if (outcome.exit_code == 0)
            break;
        left += test_folder_entries(test_path("tmp")) > 2;
        usleep(20000);  // its compiler may still be writing
    }
    assert_true(left > 0);
    // a compiler outlives the program that was killed, and its files go with the verification after
    const struct child here = {.folder = root, .environment = environment};
    for (int i = 0; i < 50 && (i == 0 || test_folder_entries(test_path("tmp")) > 2); i++) {
        usleep(i ? 100000 : 0);
        DECANT(&outcome, &here, "verify", "done/bundle/int8");
        assert_outcome(&outcome, "a verification after killed ones", 0, none);
    }
    assert_int_equal(test_folder_entries(test_path("tmp")), 2);  // the user's
    must_shell("rm -r tmp");
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", test_folder());
    tiny_files();
    const struct child here = {.folder = root};
    DECANT(&outcome, &here, "run", "export.yaml", "--run", "done");
    if (outcome.exit_code)
        fprintf(stderr, "%s", outcome.err);
    return outcome.exit_code;
}

static int tear_down(void **state)
{
    (void)state;
    char listing[600];
    snprintf(listing, sizeof listing, "%s.listing", root);
    (void)remove(listing);
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_foreign_is_touched),  cmocka_unit_test(own_things_are_replaced),
        cmocka_unit_test(leftovers_of_an_export),      cmocka_unit_test(leftovers_of_a_cache),
        cmocka_unit_test(leftovers_of_a_verification),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
