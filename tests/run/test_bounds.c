// Model and experiment files that ask for too much, or give a thing of the wrong kind: refused with
// the place, before anything is made of it.

#define _XOPEN_SOURCE 700
#include "run/experiment.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>
// clang-format on

#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"

static struct dc_error error;

#define REPEAT(layers) "repeat: {count: 1024, layers: [" layers "]}"
#define FIVE(name)     name ", " name ", " name ", " name ", " name

static const struct model_case {
    const char *text;   // behind the name
    const char *words;  // in the message
} model_cases[] = {
    // things of the wrong kind
    {"input: [8]\nblocks: [x]\nlayers: [nosuch]\n", "m.yaml:3:9: error: blocks must be a mapping"},
    {"input: [8]\nblocks: x\nlayers: [relu]\n", "m.yaml:3:9: error: blocks must be a mapping"},
    {"input: [8]\nparameters: [1]\nlayers: [relu]\n", "m.yaml:3:13: error: parameters must be a m"},
    {"input: [8]\nlayers: {relu: 1}\n", "m.yaml:3:9: error: layers must be a list, not a mapping"},
    {"input: [8]\nlayers: relu\n", "m.yaml:3:9: error: layers must be a list, not one value"},
    {"input: [8]\nlayers: []\n", "m.yaml:3:9: error: layers must be a list of at least one"},
    {"input: {a: 1}\nlayers: [relu]\n", "m.yaml:2:8: error: 'input' must be a list"},
    {"input: [[8]]\nlayers: [relu]\n", "m.yaml:2:9: error: 'input' must be a number, not a list"},
    {"input: [8]\nlayers: [[relu]]\n", "m.yaml:3:10: error: a layer is a name"},
    {"input: [8]\nlayers: [relu: [1]]\n", "m.yaml:3:16: error: layer 'relu' must be a mapping"},
    {"input: [8]\nlayers: [repeat: [relu]]\n", "m.yaml:3:18: error: repeat must be a mapping"},
    {"input: [8]\nlayers: [repeat: {count: 2, layers: relu}]\n", "m.yaml:3:37: error: layers must"},
    {"input: [8]\nblocks: {b: {layers: [relu]}}\nlayers: [b: [1]]\n",
     "m.yaml:4:13: error: the keys of block 'b' must be a mapping"},
    {"input: [8]\nblocks: {b: [relu]}\nlayers: [b]\n", "m.yaml:3:13: error: block 'b' has no la"},
    {"input: [8]\nblocks: {b: {layers: relu}}\nlayers: [b]\n", "m.yaml:3:22: error: layers must"},
    {"input: [8]\nblocks: {b: {parameters: 3, layers: [relu]}}\nlayers: [b]\n",
     "m.yaml:3:26: error: parameters must be a mapping"},
    // fractions where a whole number is meant
    {"input: [28.7, 28, 1]\nlayers: [relu]\n", "m.yaml:2:9: error: 'input' must be a whole"},
    {"input: [8, 8, 1]\nlayers: [conv: {filters: 4, kernel: [3.9, 3]}]\n", ":38: error: 'kernel'"},
    {"input: [8, 8, 1]\nlayers: [conv: {filters: 4.5, kernel: 3}]\n", ":26: error: 'filters'"},
    {"input: [8, 8, 1]\nlayers: [conv: {filters: 4, kernel: 3, stride: 1.99}]\n",
     "error: 'stride'"},
    {"input: [8, 8, 1]\nlayers: [conv: {filters: 4, kernel: 3, dilation: 1.5}]\n",
     "'dilation' mus"},
    {"input: [8, 8, 1]\nlayers: [conv: {filters: 4, kernel: 3, padding: 0.5}]\n", "a whole number"},
    {"input: [8, 8, 1]\nlayers: [pad: {padding: [1, 1, 1.5, 1]}]\n", "padding is same, valid, a "},
    {"input: [8, 8, 1]\nlayers: [reshape: {shape: [64.9]}]\n", "'shape' must be a whole number"},
    {"input: [8, 8, 1]\nlayers: [max_pool: {kernel: 2.5}]\n", "'kernel' must be a whole number"},
    {"input: [8, 8, 1]\nlayers: [repeat: {count: 1.5, layers: [relu]}]\n", "'count' must be a who"},
    {"input: [8, 8, 1]\nlayers: [slice: {end: 1e300}]\n", "'end' must be"},
    {"input: [8, 8, 1]\nlayers: [conv: {filters: 4, kernel: [3, 3, 3]}]\n", "a list of up to 2"},
    // too much
    {"input: [8]\nlayers:\n  - " REPEAT(REPEAT(REPEAT("relu: {when: 0}"))) "\n",
     "m.yaml:4:67: error: the network comes to more than 4096 layers here"},
    {"input: [8]\nlayers: [" REPEAT(FIVE("relu")) "]\n", "m.yaml:3:10: error: the network comes"},
    {"input: [8]\nblocks:\n  a: {layers: [" FIVE("b") "]}\n  b: {layers: [" FIVE(
         "c") "]}\n  c: {layers: [" FIVE("d") "]}\n  d: {layers: [" FIVE("e") "]}\n  e: {layers: "
                                                                              "[" FIVE(
                                                                                  "f") "]}\n  "
                                                                                       "f: "
                                                                                       "{layer"
                                                                                       "s: "
                                                                                       "[" FIVE(
                                                                                           "relu") "]}\nlayers: [a]\n",
     "the network comes to more than 4096 layers"},
    {"input: [65536, 65536, 1]\nlayers: [relu]\n", "is more than 2147483647 values"},
    {"input: [8, 8, 4096]\nlayers: [flatten, dense: {units: 1048576}]\n",
     "[262144, 1048576] is mo"},
    {"input: [1, 1, 65536]\nlayers: [depthwise_conv: {kernel: 1, multiplier: 64},"
     " depthwise_conv: {kernel: 1, multiplier: 64}, depthwise_conv: {kernel: 1, multiplier: 64}]\n",
     "layer 'depthwise_conv3'"},
};

static void wrong_models_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof model_cases / sizeof model_cases[0]; i++) {
        char text[4096];
        struct dc_model model;
        snprintf(text, sizeof text, "name: m\n%s", model_cases[i].text);
        test_write(test_path("m.yaml"), text, strlen(text));
        assert_int_equal(
            dc_model_read(&model, &(struct dc_model_spec){.path = test_path("m.yaml")}, &error),
            DC_ERR_CONFIG);
        if (!strstr(error.message, model_cases[i].words))
            fail_msg("%s: nothing about '%s': %s", text, model_cases[i].words, error.message);
    }
}

static struct dc_experiment *read_tiny(const char *setting)
{
    struct dc_experiment *experiment = NULL;
    if (dc_experiment_read(&experiment, test_path("tiny.yaml"), &setting, 1, &error) != DC_OK)
        fail_msg("%s", error.message);
    return experiment;
}

static void limits_are_read_and_shape_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes;
    } good[] = {{"0", 0},
                {"1000000", 1000000},
                {"500MiB", 500 << 20},
                {"1.5 GiB", 3 << 29},
                {"8GiB", INT64_C(8) << 30},
                {"2KiB", 2048}};
    static const char *const bad[] = {"8GB", "-1", "x", "1.5", "[1]", "1e30", "GiB", "''", "1KiBs"};
    uint64_t hashes[2];
    char setting[64];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(setting, sizeof setting, "limits.memory=%s", good[i].text);
        struct dc_experiment *experiment = read_tiny(setting);
        assert_int_equal(experiment->bounds.memory, good[i].bytes);
        assert_int_equal(dc_stage_hash(&hashes[i > 0], experiment, &experiment->stages[0], &error),
                         DC_OK);
        assert_true(hashes[0] == hashes[i > 0]);
        struct dc_text_buffer text = {0};
        dc_experiment_write(&text, experiment);
        char line[64];
        snprintf(line, sizeof line, "limits:\n  memory: %lld\n", (long long)good[i].bytes);
        assert_non_null(strstr(text.text, line));
        dc_text_free(&text);
        dc_experiment_free(experiment);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *const settings[] = {setting};
        struct dc_experiment *experiment = NULL;
        snprintf(setting, sizeof setting, "limits.memory=%s", bad[i]);
        assert_int_equal(
            dc_experiment_read(&experiment, test_path("tiny.yaml"), settings, 1, &error),
            DC_ERR_CONFIG);
        assert_non_null(strstr(error.message, "'memory' must be a number of bytes"));
    }
}

static void pipes_are_no_configuration(void **state)
{
    (void)state;
    struct dc_experiment *experiment = NULL;
    struct dc_model model;
    static const char *const names[] = {"pipe.yaml", "pipe.onnx"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mkfifo(test_path(names[i]), 0600), 0);
        assert_int_not_equal(
            dc_model_read(&model, &(struct dc_model_spec){.path = test_path(names[i])}, &error),
            DC_OK);
        assert_non_null(strstr(error.message, "not a file but a pipe"));
    }
    assert_int_equal(dc_experiment_read(&experiment, test_path("pipe.yaml"), NULL, 0, &error),
                     DC_ERR_CONFIG);
}

static int set_up(void **state)
{
    (void)state;
    test_folder();
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
        cmocka_unit_test(wrong_models_are_refused),
        cmocka_unit_test(limits_are_read_and_shape_nothing),
        cmocka_unit_test(pipes_are_no_configuration),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
