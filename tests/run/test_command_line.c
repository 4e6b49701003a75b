// The command line as people and programs meet it: help, exit codes, and what goes to stdout.
// With --json stdout is one JSON document, told by jansson, which refuses whatever stands behind
// it.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"

static struct outcome outcome, other;
static struct child here;
static char root[512];

static const char *const verbs[] = {"run",     "check",  "train",  "teach", "eval",
                                    "predict", "export", "verify", "data",  "inspect",
                                    "bench",   "sweep",  "collect"};
enum { VERBS = sizeof verbs / sizeof verbs[0] };

// No line of a help is wider than a terminal.
static void assert_fits(const char *text, const char *name)
{
    for (const char *line = text; *line;) {
        const size_t length = strcspn(line, "\n");
        if (length > 80)
            fail_msg("%s: %.*s", name, (int)length, line);
        line += length + (line[length] == '\n');
    }
}

static void help_is_where_people_look_for_it(void **state)
{
    (void)state;
    DECANT(&outcome, &here, "help");
    assert_int_equal(outcome.exit_code, 0);
    assert_string_equal(outcome.err, "");
    assert_fits(outcome.out, "help");
    for (int v = 0; v < VERBS; v++)
        assert_non_null(strstr(outcome.out, verbs[v]));
    DECANT(&other, &here, "--help");
    assert_string_equal(other.out, outcome.out);
    DECANT(&other, &here, "-h");
    assert_string_equal(other.out, outcome.out);
    run_decant(&other, &here, (const char *const[]){NULL});  // nothing asked: not a result
    assert_int_equal(other.exit_code, 2);
    assert_string_equal(other.out, "");
    assert_string_equal(other.err, outcome.out);
    DECANT(&outcome, &here, "--version");
    assert_int_equal(outcome.exit_code, 0);
    assert_string_equal(outcome.out, "decant " DECANT_VERSION "\n");
    DECANT(&other, &here, "version");
    assert_string_equal(other.out, outcome.out);
}

static void every_verb_has_help(void **state)
{
    (void)state;
    for (int v = 0; v < VERBS; v++) {
        DECANT(&outcome, &here, "help", verbs[v]);
        assert_int_equal(outcome.exit_code, 0);
        assert_string_equal(outcome.err, "");
        assert_fits(outcome.out, verbs[v]);
        char usage[64];
        snprintf(usage, sizeof usage, "usage: decant %s ", verbs[v]);
        assert_int_equal(strncmp(outcome.out, usage, strlen(usage)), 0);
        assert_non_null(strstr(outcome.out, "\n  -h, --help "));
        assert_non_null(strstr(outcome.out, "\n  --json "));
        DECANT(&other, &here, verbs[v], "-h");
        assert_int_equal(other.exit_code, 0);
        assert_string_equal(other.out, outcome.out);
        DECANT(&other, &here, verbs[v], "--help", "what", "else", "there", "is");
        assert_string_equal(other.out, outcome.out);
    }
    DECANT(&outcome, &here, "help", "evla");
    assert_int_equal(outcome.exit_code, 2);
    assert_non_null(strstr(outcome.err, "did you mean 'eval'?"));
}

struct report {
    const char *arguments[10];
    const char *key;   // of the JSON object, NULL: the text alone is of interest
    const char *text;  // on stdout without --json
};

static const struct report reports[] = {
    {{"check", "tiny.yaml"}, "student", "tiny.yaml: ok, 3 stages"},
    {{"run", "export.yaml", "--run", "done"}, "stages", "the compiled C equals the engine"},
    {{"train", "export.yaml", "student", "--run", "done"}, "stages", "network "},
    {{"eval", "done"}, "accuracy", "binomial standard error"},
    {{"eval", "done", "--quantization"}, "in_training", "layer"},
    {{"predict", "done", "--out", "logits.h5"}, "file", "logits.h5: logits ["},
    {{"export", "done", "--stage", "quantized", "--out", "out"}, "verification", "(280 bytes)"},
    {{"export", "done", "--stage", "student", "--out", "s.onnx"}, "out", "s.onnx: stage 'student'"},
    {{"export", "done", "--stage", "quantized", "--out", "parts"}, "memory", "\n  RAM "},
    {{"verify", "done/bundle/int8"}, "samples", "all equal"},
    {{"verify", "done/bundle/int8"}, "rungs", "rungs not run: gcc-O0"},
    {{"verify", "done/bundle/int8", "--rungs", "gcc-O0"},
     "rungs",
     "\ngcc-O0             31        124"},
    {{"data", "data"}, "train", "train: idx, 300 samples of uint8 [12, 12, 1], 4 classes"},
    {{"data", "data", "--out", "data.h5"}, "test", "data.h5: 300 training and 70 test samples"},
    {{"inspect", "model.yaml"}, "layers", "tiny: "},
    {{"inspect", "s.onnx"}, "layers", "parameters"},
    {{"inspect", "done/bundle/int8"}, "cost", "multipliers and shifts"},
    {{"inspect", "done"}, "stages", "name: export"},
    {{"inspect", "logits.h5"}, "arrays", "logits "},
    {{"teach", "cached.yaml", "--run", "done"}, "made", "files made"},
    {{"inspect", "cache"}, "holds", "\"holds\""},
    {{"verify", "cache"}, "largest_error", "outputs of "},
};

static void stdout_holds_the_result_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof reports / sizeof reports[0]; i++) {
        const struct report *r = &reports[i];
        const char *arguments[12];
        int count = 0;
        for (; r->arguments[count]; count++)
            arguments[count] = r->arguments[count];
        arguments[count] = NULL;
        run_decant(&outcome, &here, arguments);
        if (outcome.exit_code != 0 || !strstr(outcome.out, r->text))
            fail_msg("%s %s: exit %d, no '%s' in: %s%s", arguments[0], arguments[1],
                     outcome.exit_code, r->text, outcome.out, outcome.err);
        if (strncmp(outcome.out, "network ", 8) == 0)
            assert_fits(outcome.out, "the table of results");
        arguments[count] = "--json";
        arguments[count + 1] = NULL;
        run_decant(&outcome, &here, arguments);
        json_error_t problem;
        json_t *json = json_loads(outcome.out, JSON_REJECT_DUPLICATES, &problem);
        if (outcome.exit_code != 0 || !json)
            fail_msg("%s %s --json: exit %d, %s in: %s%s", arguments[0], arguments[1],
                     outcome.exit_code, problem.text, outcome.out, outcome.err);
        if (!json_object_get(json, r->key))
            fail_msg("%s %s --json: no key '%s' in: %s", arguments[0], arguments[1], r->key,
                     outcome.out);
        json_decref(json);
    }
}

// --quiet leaves stderr empty, and a failure nothing on stdout.
static void stderr_holds_the_rest(void **state)
{
    (void)state;
    DECANT(&outcome, &here, "run", "tiny.yaml", "--run", "quiet", "--quiet", "--set",
           "stages.teacher.train.epochs=1", "--set", "stages.student.train.epochs=1");
    assert_int_equal(outcome.exit_code, 0);
    assert_string_equal(outcome.err, "");
    DECANT(&outcome, &here, "run", "tiny.yaml", "--run", "quiet", "--json", "--set",
           "stages.teacher.train.epochs=2");
    assert_int_equal(outcome.exit_code, 2);
    assert_string_equal(outcome.out, "");
    assert_non_null(strstr(outcome.err, "was done with other settings"));
}

static void verify_needs_a_compiler(void **state)
{
    (void)state;
    static const char *const lines[] = {"PATH=/nowhere", "CC=/nowhere/cc"};
    for (int i = 0; i < 2; i++) {
        const struct child bare = {.folder = root, .environment = lines[i]};
        DECANT(&outcome, &bare, "verify", "done/bundle/int8");
        assert_int_equal(outcome.exit_code, 1);
        assert_string_equal(outcome.out, "");
        assert_non_null(strstr(outcome.err, "a C compiler is needed"));
        assert_non_null(strstr(outcome.err, i ? "/nowhere/cc" : "cannot start cc"));
    }
}

// A rung that was asked for and cannot run is told, in both forms, and is a failure.
static void rungs_that_cannot_run_are_failures(void **state)
{
    (void)state;
    static const char *const tools[] = {"cc", "as", "ld"};
    char path[600], command[1400];
    assert_int_equal(mkdir(test_path("few"), 0700), 0);
    for (int i = 0; i < 3; i++) {
        snprintf(command, sizeof command, "ln -s \"$(command -v %s)\" %s/few/%s", tools[i], root,
                 tools[i]);
        assert_int_equal(system(command), 0);
    }
    snprintf(path, sizeof path, "PATH=%s/few", root);
    const struct child bare = {.folder = root, .environment = path};
    DECANT(&outcome, &bare, "verify", "done/bundle/int8", "--rungs", "rv32,clang-O3");
    assert_int_equal(outcome.exit_code, 1);
    assert_non_null(strstr(outcome.out, "clang-O3     not run: there is no clang here"));
    assert_non_null(
        strstr(outcome.out, "rv32         not run: there is no riscv64-unknown-elf-gcc"));
    assert_non_null(strstr(outcome.err, "rung clang-O3 was not run: there is no clang here"));
    DECANT(&outcome, &bare, "verify", "done/bundle/int8", "--rungs", "host", "--json");
    assert_int_equal(outcome.exit_code, 1);
    json_t *json = json_loads(outcome.out, JSON_REJECT_DUPLICATES, NULL);
    const json_t *rungs = json_object_get(json, "rungs");
    assert_int_equal(json_object_size(rungs), 6);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(rungs, "asan"), "outcome")), "not run");
    json_decref(json);
}

static void tool(const char *name, const char *script)
{
    char path[64];
    snprintf(path, sizeof path, "few/%s", name);
    tiny_text(test_path(path), script);
    assert_int_equal(chmod(test_path(path), 0700), 0);
}

// An emulator that says nothing and does not end is ended, and told. (Behind the test above.)
static void a_rung_that_hangs_is_ended(void **state)
{
    (void)state;
    char path[600];
    snprintf(path, sizeof path, "PATH=%s/few", root);
    tool("riscv64-unknown-elf-gcc", "#!/bin/sh\nexit 0\n");
    tool("qemu-system-riscv32", "#!/bin/sh\nexec /bin/sleep 600\n");
    assert_int_equal(setenv("DECANT_RUNG_SECONDS", "0.2", 1), 0);
    const struct child bare = {.folder = root, .environment = path};
    DECANT(&outcome, &bare, "verify", "done/bundle/int8", "--rungs", "rv32");
    assert_int_equal(unsetenv("DECANT_RUNG_SECONDS"), 0);
    assert_int_not_equal(outcome.exit_code, 0);
    assert_non_null(strstr(outcome.out, "no answer within 0.2 s"));
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", test_folder());
    here.folder = root;
    tiny_files();
    char *text = tiny_read(test_path("export.yaml"), NULL);
    char *at = strstr(text, "distill: {teacher: teacher, ");
    at += strlen("distill: {teacher: teacher, ");
    char *cached = malloc(strlen(text) + 100);
    sprintf(cached, "%.*scache: {path: cache}, %s", (int)(at - text), text, at);
    tiny_text(test_path("cached.yaml"), cached);
    free(text);
    free(cached);
    unsetenv("CC");
    return run_whole(&outcome, &here, "export.yaml", "done");
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
        cmocka_unit_test(help_is_where_people_look_for_it),
        cmocka_unit_test(every_verb_has_help),
        cmocka_unit_test(stdout_holds_the_result_alone),
        cmocka_unit_test(stderr_holds_the_rest),
        cmocka_unit_test(verify_needs_a_compiler),
        cmocka_unit_test(rungs_that_cannot_run_are_failures),
        cmocka_unit_test(a_rung_that_hangs_is_ended),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
