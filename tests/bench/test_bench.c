// `decant bench`: what it prints can be read and holds what compare reads, its counts are those of
// the networks, and what it does not understand is refused. Rates are only looked at for being
// there.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <jansson.h>

#define IN_ROOT "cd '" DECANT_SOURCE_DIR "' && '" DECANT_BINARY "' bench "
#define QUICK   " --windows 2 --seconds 0.001 --threads 2 "

// Standard output and error of a command line behind `decant bench`; returns the exit code.
static int output_of(char text[65536], const char *arguments, const char *redirect)
{
    char command[2048];
    snprintf(command, sizeof command, IN_ROOT "%s %s", arguments, redirect);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    const size_t length = fread(text, 1, 65535, pipe);
    text[length] = '\0';
    const int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static json_t *result_of(const char *arguments)
{
    static char text[65536];
    json_error_t problem;
    if (output_of(text, arguments, "2>/dev/null") != 0)
        fail_msg("decant bench %s fails: %s", arguments, text);
    json_t *result = json_loads(text, JSON_REJECT_DUPLICATES, &problem);
    if (!result)
        fail_msg("decant bench %s: line %d: %s", arguments, problem.line, problem.text);
    return result;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value))
        fail_msg("no number '%s'", key);
    return json_number_value(value);
}

static void assert_positive(const json_t *object, const char *const *keys)
{
    for (; *keys; keys++)
        if (!(number(object, *keys) > 0.0))
            fail_msg("'%s' is %g", *keys, number(object, *keys));
}

static const char *const step_keys[] = {"samples_per_second",
                                        "samples_per_second_best",
                                        "gflops",
                                        "sgemm_gflops",
                                        "sgemm_share",
                                        "peak_memory_bytes",
                                        "plan_bytes",
                                        "cpu_seconds_per_step",
                                        "flop_per_sample",
                                        "calls",
                                        NULL};

// Counts of the four networks as published or as PyTorch's modules give them.
static void networks_have_their_counts(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double parameters, macs;
    } networks[] = {{"resnet8", 77946, 12501632},
                    {"dscnn", 23180, 2656768},
                    {"mobilenet_v1_025", 213586, 7489664},
                    {"resnet56", 855770, 125747840}};
    for (int i = 0; i < 4; i++) {
        char arguments[256];
        snprintf(arguments, sizeof arguments, "step --model %s --batch 2 --json" QUICK,
                 networks[i].name);
        json_t *result = result_of(arguments);
        assert_positive(result, step_keys);
        assert_true(number(result, "parameters") == networks[i].parameters);
        assert_true(number(result, "macs") == networks[i].macs);
        assert_true(number(result, "batch") == 2 && number(result, "threads") == 2);
        assert_true(number(result, "samples_per_second") <=
                    number(result, "samples_per_second_best"));
        json_decref(result);
    }
}

static void modes_have_profiles(void **state)
{
    (void)state;
    static const char *const modes[] = {"float", "kd", "qat", "kd_qat", "kd_qat --frozen"};
    for (int i = 0; i < 5; i++) {
        char arguments[256];
        snprintf(arguments, sizeof arguments, "step --mode %s --batch 3 --profile --json" QUICK,
                 modes[i]);
        json_t *result = result_of(arguments);
        const json_t *rows = json_object_get(result, "profile");
        double share = 0.0;
        assert_positive(result, step_keys);
        assert_true(json_array_size(rows) > 20);
        for (size_t r = 0; r < json_array_size(rows); r++)
            share += number(json_array_get(rows, r), "share");
        assert_true(share > 0.0 && share <= 1.0);
        assert_positive(result, (const char *const[]){"triad_gigabytes_per_second", NULL});
        json_decref(result);
    }
}

// 2 FLOP a multiplication forward, 2 for weights, 2 for inputs; the stem, whose input is the image,
// goes without the last: 32 * 32 * 16 * 27 multiplications.
static void flop_of_a_step(void **state)
{
    (void)state;
    json_t *step = result_of("step --batch 1 --json" QUICK);
    json_t *quantized = result_of("step --mode qat --batch 1 --json" QUICK);
    json_t *infer = result_of("infer --batch 1 --json" QUICK);
    const double wanted = 6.0 * 12501632 - 2.0 * 32 * 32 * 16 * 27;
    assert_true(number(step, "flop_per_sample") == wanted);
    assert_true(number(quantized, "flop_per_sample") == wanted);
    assert_true(number(infer, "flop_per_sample") == 2.0 * 12501632);
    json_decref(step);
    json_decref(quantized);
    json_decref(infer);
}

static void the_others_answer(void **state)
{
    (void)state;
    static const char *const rate[] = {"samples_per_second", "peak_memory_bytes", NULL};
    static const char *const engine[] = {"samples_per_second", "gmacs", NULL};
    json_t *results[] = {result_of("infer --model dscnn --unfolded --profile --json" QUICK),
                         result_of("engine --batch 3 --json" QUICK)};
    assert_positive(results[0], rate);
    assert_positive(results[1], engine);
    assert_true(json_is_false(json_object_get(results[0], "folded")));
    json_decref(results[0]);
    json_decref(results[1]);
}

// On a small data set that tests/write_tiny_idx writes.
static void loader_and_start(void **state)
{
    (void)state;
    char folder[] = "/tmp/decant-bench-test-XXXXXX", command[1024], temporary[64];
    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof command, "'%s/tests/write_tiny_idx' '%s/data' 300 20",
             DECANT_SOURCE_DIR, folder);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command,
             "loader --source 'idx:%s/data' --augment configs/augment/rotate-shift.yaml --batch 64 "
             "--windows 2 --seconds 0.001 --json",
             folder);
    json_t *loader = result_of(command);
    assert_positive(loader,
                    (const char *const[]){"samples_per_second", "cpu_seconds_per_sample", NULL});
    // a folder of its own as TMPDIR: the run directory must be gone afterwards
    snprintf(temporary, sizeof temporary, "%s/tmp", folder);
    assert_int_equal(mkdir(temporary, 0777), 0);
    setenv("TMPDIR", temporary, 1);
    snprintf(command, sizeof command,
             "start experiments/fashion-mnist.yaml --set 'data.path=%s/data' --set "
             "data.validation=60 --quiet --json",
             folder);
    json_t *start = result_of(command);
    unsetenv("TMPDIR");
    assert_positive(start, (const char *const[]){"start_seconds", "first_step_seconds", NULL});
    assert_string_equal(json_string_value(json_object_get(start, "stage")), "teacher");
    assert_int_equal(rmdir(temporary), 0);
    json_decref(loader);
    json_decref(start);
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    assert_int_equal(system(command), 0);
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *arguments, *said;
    } cases[] = {
        {"", "usage: decant bench"},
        {"walk", "not 'walk'"},
        {"step --modle resnet8", "did you mean '--model'?"},
        {"step --model resnet9", "did you mean 'resnet8'?"},
        {"step --mode kdd", "not 'kdd'"},
        {"step --frozen", "--mode qat or kd_qat"},
        {"step --seconds 0", "--seconds needs"},
        {"step --seconds nan", "--seconds needs"},
        {"step --windows 1001", "is 1000 at most"},
        {"step --batch 0", "--batch needs"},
        {"step --json=1", "takes no value"},
        {"step resnet8", "usage: decant bench step"},
        {"step --augment x", "takes no --augment"},
        {"infer --mode kd", "takes no --mode"},
        {"engine --profile", "takes no --profile"},
        {"loader", "needs --source"},
        {"loader --source idx:/nowhere", "/nowhere"},
        {"start", "usage: decant bench start EXPERIMENT"},
        {"start nowhere.yaml", "nowhere.yaml"},
        {"start --model x experiments/fashion-mnist.yaml", "takes no --model"},
    };
    static char text[65536];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int code = output_of(text, cases[i].arguments, "2>&1");
        if (code != 1 && code != 2)
            fail_msg("decant bench %s: exit %d", cases[i].arguments, code);
        if (!strstr(text, cases[i].said))
            fail_msg("decant bench %s: no '%s' in: %s", cases[i].arguments, cases[i].said, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_have_their_counts),
        cmocka_unit_test(modes_have_profiles),
        cmocka_unit_test(flop_of_a_step),
        cmocka_unit_test(the_others_answer),
        cmocka_unit_test(loader_and_start),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
