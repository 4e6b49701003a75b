// A network with SiLU, GELU and a hard sigmoid from training to integers: under profiles whose
// runtime has a function in parts, each layer of the integers finds its own in the float network.

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_walk.h"

static const char model_text[] = "name: functions\n"
                                 "input: [12, 12, 1]\n"
                                 "layers:\n"
                                 "  - conv: {name: stem, filters: 6, kernel: 3, stride: 2}\n"
                                 "  - batch_norm: {name: stem_norm}\n"
                                 "  - silu: {name: act1}\n"
                                 "  - conv: {name: middle, filters: 6, kernel: 1}\n"
                                 "  - gelu: {name: act2}\n"
                                 "  - conv: {name: gate, filters: 6, kernel: 1}\n"
                                 "  - hard_sigmoid: {name: act3}\n"
                                 "  - flatten\n"
                                 "  - dense: {name: logits, units: 4}\n";

static void write_experiment(const char *profile)
{
    char text[1024];
    snprintf(text, sizeof text, "name: test\nprofile: %s\n", profile);
    tiny_text(test_path("target.yaml"), text);
    tiny_text(test_path("functions.yaml"), model_text);
    tiny_text(test_path("small.yaml"),
              "name: small\nseed: 3\n"
              "data: {source: idx, path: data, validation: 40}\n"
              "target: target.yaml\n"
              "stages:\n"
              "  float: {model: functions.yaml, train: {epochs: 1, batch: 32}}\n"
              "  trained: {from: float, quantize: {}, train: {epochs: 1, batch: 32}}\n"
              "  calibrated: {from: float, quantize: {correct_bias: true,\n"
              "                                        adaround: {iterations: 20}}}\n"
              "  int8: {export: trained, formats: [bundle, c]}\n");
}

// The entry of a layer in the last command's report; borrowed.
static json_t *layer_of(const json_t *report, const char *name)
{
    const json_t *all = json_object_get(json_object_get(report, "quantization"), "layers");
    size_t i;
    json_t *layer;
    json_array_foreach(all, i, layer)
    {
        if (strcmp(json_string_value(json_object_get(layer, "layer")), name) == 0)
            return layer;
    }
    return NULL;
}

static void runs_and_compares(const char *profile, bool parts)
{
    static const char *const stages[] = {"trained", "calibrated"};
    static const char *const layers[] = {"act1", "act1.gate", "act2", "gate"};
    write_experiment(profile);
    GOOD("run", "small.yaml", "--run", profile);
    for (int s = 0; s < 2; s++) {
        GOOD("eval", profile, "--stage", stages[s], "--quantization", "--json");
        json_t *report = json_loads(outcome.out, 0, NULL);
        for (int i = 0; i < 4; i++) {
            const json_t *layer = layer_of(report, layers[i]);
            assert_true((layer != NULL) == (parts || i != 1));
            const double sqnr = json_number_value(json_object_get(layer, "sqnr_alone"));
            if (layer && !(sqnr > 15.0))
                fail_msg("%s, %s: %s has %g dB", profile, stages[s], layers[i], sqnr);
        }
        json_decref(report);
    }
}

static void parts_are_compared(void **state)
{
    (void)state;
    runs_and_compares("tflm", true);
}

static void whole_functions_are_compared(void **state)
{
    (void)state;
    runs_and_compares("onnxruntime", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_compared),
        cmocka_unit_test(whole_functions_are_compared),
    };
    return cmocka_run_group_tests(tests, walk_set_up, walk_tear_down);
}
