// Targets: what each refuses before any data is read, with line and reason; budgets of finished
// integers; a network for a target that shifts, from training to its compiled C.

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"

static struct outcome outcome;
static char root[512];

#define SHIFTS "power_of_two: true, symmetric: true, conv_granularity: per_tensor"

static const struct {
    const char *limits, *quantize;
    int exit_code;
    const char *words[OUTCOME_WORDS];
} cases[] = {
    {"profile: tflm\nweight_bits: [8, 4]\n", "{weights: 4}", 0, {NULL}},
    {"profile: tflm\n",
     "{weights: 4}",
     2,
     {"--set stages.quantized.quantize:1:", "target small has weights of 8 bits, not 4"}},
    {"profile: tflm\nweight_bits: [4, 2]\n", "{weights: 2}", 0, {NULL}},
    {"profile: tflm\nweight_bits: [4, 2]\n",
     "{weights: 2, first_last: 8}",
     2,
     {"weights of 4 or 2 bits, not 8"}},
    {"profile: tflm\n", "{layers: {stem: {weights: 3}}}", 2, {"weights of 8 bits, not 3"}},
    {"profile: tflm\n",
     "{layers: {stem_relu: {activations: 4}}}",
     2,
     {"activations of 8 bits, not 4"}},
    {"profile: tflm\nactivation_bits: [4]\n", "{}", 2, {"activations of 4 bits, not 8"}},
    {"profile: tflm\npower_of_two: true\n",
     "{}",
     2,
     {"scales that are powers of two; say quantize: {power_of_two: true}"}},
    {"profile: tflm\nsymmetric: true\n", "{}", 2, {"no zero points", "{symmetric: true}"}},
    {"profile: tflm\nper_tensor: true\n", "{}", 2, {"{conv_granularity: per_tensor}"}},
    {"profile: tflm\nper_tensor: true\n",
     "{conv_granularity: per_tensor, dense_granularity: per_channel}",
     2,
     {"{dense_granularity: per_tensor}"}},
    {"profile: pot-half-up\n", "{}", 2, {"case.yaml:2:10: error:", "it needs power_of_two: true"}},
    {"profile: tflm\nmacs: 1000\n", "{}", 3, {"multiplications, and target small has 1000"}},
    {"profile: tflm\nflash: 100\n",
     "{}",
     3,
     {"case.yaml:3:8: error: stage 'quantized' takes", "bytes of flash, and target small has 100",
      "code"}},
    {"profile: tflm\nram: 700\n",
     "{}",
     3,
     {"bytes of RAM, and target small has 700", "the most at layer", "stack"}},
    {"profile: tflm\ninstructions: 5000\n",
     "{}",
     3,
     {"case.yaml:3:15: error: stage 'quantized' takes", "instructions, and target small has 5000",
      "estimated for a cortex-m4, -O2; the most,"}},
    {"profile: tflm\nclock_mhz: 8\nlatency_ms: 0.5\n",
     "{}",
     3,
     {"case.yaml:4:13: error: stage 'quantized' takes", "ms at 8 MHz, and target small has 0.5",
      "instructions of 1 cycles each"}},
    {"profile: tflm\nclock_mhz: 80\nlatency_ms: 500\ninstructions: 100000000\n"
     "cycles_per_instruction: 1.5\n",
     "{}",
     0,
     {NULL}},
    {"profile: tflm\nclock_mhz: 80\nlatency_ms: 0\n",
     "{}",
     2,
     {"case.yaml:4:13: error:", "'latency_ms' must be above 0; leave it out"}},
    {"profile: tflm\nflash: 0\n", "{}", 2, {"case.yaml:3:8: error:", "must be above 0"}},
    {"profile: tflm\nram: 0KiB\n", "{}", 2, {"case.yaml:3:6: error:", "must be above 0"}},
    {"profile: tflm\nmacs: 0\n", "{}", 2, {"case.yaml:3:7: error:", "must be above 0"}},
    {"profile: tflm\ninstructions: 0\n", "{}", 2, {"case.yaml:3:15: error:", "must be above 0"}},
    {"profile: tflm\nlatency_ms: 5\n", "{}", 2, {"case.yaml:3:13: error:", "say clock_mhz too"}},
    {"profile: tflm\nflash: 1MiB\nram: 1MiB\ncore: cortex-m55\noptimize: -Os\n", "{}", 0, {NULL}},
    {"profile: tflm\ncore: cortex-m5\n", "{}", 2, {"case.yaml:3:7:", "cortex-m55"}},
    {"profile: tflm\nformats: [bundle, c, onnx]\n", "{}", 0, {NULL}},
    {"profile: tflm\nformats: [bundle, c]\n",
     "{}",
     2,
     {"export.yaml:23:38: error:", "nothing is written as onnx for target small"}},
    {"profile: tflm\nalignment: 24\n", "{}", 2, {"case.yaml:3:12: error:", "not 24"}},
    {"profile: tflm\nfunctions: [cosine]\n",
     "{}",
     2,
     {"case.yaml:3:12: error:", "no function 'cosine'"}},
    {"profile: tflm\nweight_bit: [8]\n", "{}", 2, {"case.yaml:3:1:", "'weight_bits'?"}},
};

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    const struct child here = {.folder = root};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256], quantize[256];
        snprintf(text, sizeof text, "name: small\n%s", cases[i].limits);
        snprintf(quantize, sizeof quantize, "stages.quantized.quantize=%s", cases[i].quantize);
        tiny_text(test_path("case.yaml"), text);
        DECANT(&outcome, &here, "check", "export.yaml", "--set", "target=case.yaml", "--set",
               quantize, "--set", "data.path=nowhere");
        assert_outcome(&outcome, cases[i].limits, cases[i].exit_code, cases[i].words);
    }
}

// Every target that is shipped takes what it asks for.
static void shipped_targets_take_what_they_ask_for(void **state)
{
    (void)state;
    const struct child here = {.folder = root};
    glob_t found;
    assert_int_equal(glob(DECANT_SOURCE_DIR "/configs/targets/*.yaml", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 11);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char target[1024];
        snprintf(target, sizeof target, "target=%s", found.gl_pathv[i]);
        DECANT(&outcome, &here, "check", "export.yaml", "--set", target, "--set",
               "stages.quantized.quantize={" SHIFTS "}", "--set",
               "stages.int8.formats=[bundle, c]");
        assert_outcome(&outcome, target, 0, (const char *const[OUTCOME_WORDS]){NULL});
    }
    globfree(&found);
}

// Trained with shifts alone, exported and verified; then the same integers are too large.
static void integers_are_measured(void **state)
{
    (void)state;
    static const struct {
        const char *limit, *message;
    } limits[] = {
        {"bias_bits: 8\n", "has a bias of"},
        {"accumulator_bits: 17\n", "{accumulator_bits: 17} keeps them within"},
    };
    const struct child here = {.folder = root};
    for (int i = -1; i < 2; i++) {
        char text[256];
        snprintf(
            text, sizeof text,
            "name: small\nprofile: %s\nper_tensor: true\nsymmetric: true\npower_of_two: true\n%s",
            "pot-half-even", i < 0 ? "" : limits[i].limit);
        tiny_text(test_path("case.yaml"), text);
        DECANT(&outcome, &here, "run", "export.yaml", "--run", i < 0 ? "fits" : "large", "--set",
               "target=case.yaml", "--set", "stages.quantized.quantize={" SHIFTS "}", "--set",
               "stages.int8.formats=[bundle, c]");
        assert_outcome(&outcome, text, i < 0 ? 0 : 3,
                       (const char *const[OUTCOME_WORDS]){i < 0 ? NULL : limits[i].message});
        if (i < 0)
            assert_non_null(strstr(outcome.out, "equals the engine"));
    }
}

// A target with a budget of time has its instructions counted at export, where QEMU is.
static void instructions_are_counted(void **state)
{
    (void)state;
    const struct child here = {.folder = root};
    const bool tools = system("command -v arm-none-eabi-gcc qemu-system-arm >/dev/null") == 0;
    tiny_text(test_path("case.yaml"), "name: small\nprofile: tflm\nclock_mhz: 100\n"
                                      "latency_ms: 50\ncore: cortex-m3\noptimize: -Os\n");
    DECANT(&outcome, &here, "run", "export.yaml", "--run", "counted", "--set", "target=case.yaml");
    assert_outcome(&outcome, "a budget of time", 0, (const char *const[OUTCOME_WORDS]){NULL});
    char *results = tiny_read(test_path("counted/results.json"), NULL);
    assert_non_null(results);
    const char *counted = strstr(results, "\"by\": \"qemu\"");
    assert_true(tools == (counted != NULL));
    const char *number = counted ? strstr(counted, "\"instructions\": ") : NULL;
    if (number)
        assert_in_range(strtol(number + strlen("\"instructions\": "), NULL, 10), 10000, 4999999);
    free(results);
}

// What a file format cannot hold is refused as well, whatever the target.
static void formats_hold_what_they_can(void **state)
{
    (void)state;
    static const char *const quantize[] = {"{activations: 4}", "{first_last: 4}",
                                           "{layers: {stem_relu: {activations: 3}}}", "{}"};
    const struct child here = {.folder = root};
    for (int i = 0; i < 4; i++) {
        char text[256];
        snprintf(text, sizeof text, "stages.quantized.quantize=%s", quantize[i]);
        DECANT(&outcome, &here, "check", "export.yaml", "--set", text, "--set",
               "stages.int8.formats=[bundle, c, tflite]");
        assert_outcome(&outcome, text, i < 3 ? 2 : 0,
                       (const char *const[OUTCOME_WORDS]){
                           i < 3 ? "tflite has activations of 8 bits and more" : NULL});
    }
}

// A network with a function that the target has not; and one that it has.
static void functions_are_the_targets(void **state)
{
    (void)state;
    const struct child here = {.folder = root};
    tiny_text(test_path("bent.yaml"), "name: bent\ninput: [12, 12, 1]\nlayers:\n"
                                      "  - flatten: {}\n"
                                      "  - dense: {name: hidden, units: 8}\n"
                                      "  - tanh: {name: bend}\n"
                                      "  - dense: {units: 8}\n"
                                      "  - leaky_relu: {name: leak}\n"
                                      "  - dense: {units: 4}\n");
    static const struct {
        const char *functions, *refusal;
    } lists[] = {{"functions: []\n", "layer 'bend': target small has no tanh"},
                 {"functions: [tanh]\n", "layer 'leak': target small has no leaky_relu"},
                 {"functions: [leaky_relu, tanh]\n", NULL},
                 {"", NULL}};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "name: small\nprofile: tflm\n%s", lists[i].functions);
        tiny_text(test_path("case.yaml"), text);
        DECANT(&outcome, &here, "check", "export.yaml", "--set", "target=case.yaml", "--set",
               "stages.student.model=bent.yaml", "--set", "data.path=nowhere");
        assert_outcome(&outcome, "functions", lists[i].refusal ? 2 : 0,
                       (const char *const[OUTCOME_WORDS]){lists[i].refusal});
    }
}

// Weights and the arena of the compiled C, which is verified as ever, stand as the target wants.
static void alignment_is_the_targets(void **state)
{
    (void)state;
    const struct child here = {.folder = root};
    tiny_text(test_path("case.yaml"), "name: small\nprofile: tflm\nalignment: 32\n");
    DECANT(&outcome, &here, "run", "export.yaml", "--run", "aligned", "--set", "target=case.yaml");
    assert_outcome(&outcome, "alignment", 0, (const char *const[OUTCOME_WORDS]){NULL});
    assert_non_null(strstr(outcome.out, "equals the engine"));
    char *code = tiny_read(test_path("aligned/bundle/int8/tiny.c"), NULL);
    assert_non_null(code);
    assert_non_null(strstr(code, "_ALIGNMENT % 32 == 0"));
    assert_non_null(strstr(code, "static ALIGNED TINY_ARENA int8_t arena["));
    int places = 0;
    for (const char *at = code; (at = strstr(at, "arena + ")); places++) {
        at += strlen("arena + ");
        assert_int_equal(strtol(at, NULL, 10) % 32, 0);
    }
    assert_true(places > 4);
    free(code);
}

// 4-bit weights that a file holds as int8 are said, unless the target asks for that.
static void weights_that_are_not_packed_are_said(void **state)
{
    (void)state;
    const struct child here = {.folder = root};
    for (int packed = 0; packed < 2; packed++) {
        tiny_text(test_path("case.yaml"),
                  packed ? "name: small\nprofile: litert-xnnpack\nweight_bits: [4]\n"
                         : "name: small\nprofile: litert-xnnpack\nweight_bits: [4]\n"
                           "packed_weights: false\n");
        DECANT(&outcome, &here, "run", "export.yaml", "--run", packed ? "packed" : "wide", "--set",
               "target=case.yaml", "--set", "stages.quantized.quantize={weights: 4}", "--set",
               "stages.int8.formats=[bundle, c, tflite]");
        assert_outcome(&outcome, "weights of 4 bits", 0, (const char *const[OUTCOME_WORDS]){NULL});
        assert_true(packed == (strstr(outcome.err, "layers are written as int8: the runtime of "
                                                   "profile litert-xnnpack") != NULL));
    }
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", test_folder());
    tiny_files();
    return 0;
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
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(shipped_targets_take_what_they_ask_for),
        cmocka_unit_test(integers_are_measured),
        cmocka_unit_test(instructions_are_counted),
        cmocka_unit_test(formats_hold_what_they_can),
        cmocka_unit_test(functions_are_the_targets),
        cmocka_unit_test(alignment_is_the_targets),
        cmocka_unit_test(weights_that_are_not_packed_are_said),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
