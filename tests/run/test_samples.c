// Samples of any number of axes, from the data to the bundle: one experiment a shape, which trains,
// quantizes, exports C, TFLite and ONNX, verifies, and predicts by network and by bundle.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/h5.h"
#include "core/random.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_walk.h"

enum { SAMPLES = 24, VALUES_MAX = 512 };

// Training and test samples of a shape, two classes by the sign of the first value.
static void write_data(struct dc_shape sample)
{
    static float x[SAMPLES * VALUES_MAX];
    static int32_t labels[SAMPLES];
    struct dc_error error;
    struct dc_h5 *file = NULL;
    struct dc_shape shape = {.rank = sample.rank + 1, .dims = {SAMPLES}};
    struct dc_random random;
    dc_random_start(&random, 3, DC_PURPOSE_TEST, 0, 0);
    const int64_t size = dc_shape_count(&sample);
    for (int i = 0; i < sample.rank; i++)
        shape.dims[i + 1] = sample.dims[i];
    for (int64_t i = 0; i < SAMPLES * size; i++)
        x[i] = dc_random_between(&random, -1.0f, 1.0f);
    for (int i = 0; i < SAMPLES; i++)
        labels[i] = x[i * size] > 0.0f;
    assert_int_equal(dc_h5_create(&file, test_path("data.h5"), &error), DC_OK);
    for (int split = 0; split < 2; split++) {
        const char *const names[2][2] = {{"train/inputs", "train/labels"},
                                         {"test/inputs", "test/labels"}};
        assert_int_equal(
            dc_h5_write(file, names[split][0], &(struct dc_tensor){x, DC_F32, shape}, &error),
            DC_OK);
        assert_int_equal(dc_h5_write(file, names[split][1],
                                     &(struct dc_tensor){labels, DC_I32, DC_SHAPE(SAMPLES)},
                                     &error),
                         DC_OK);
    }
    assert_int_equal(dc_h5_close_commit(file, DC_OK, &error), DC_OK);
}

static void write_experiment(const char *input, const char *layers)
{
    char text[1024];
    snprintf(text, sizeof text, "name: odd\ninput: %s\nlayers:\n%s", input, layers);
    tiny_text(test_path("odd.yaml"), text);
    tiny_text(test_path("e.yaml"),
              "name: odd\ndata: {source: hdf5, path: data.h5}\ntarget: target.yaml\nstages:\n"
              "  net: {model: odd.yaml, train: {epochs: 1, batch: 8}}\n"
              "  q: {from: net, quantize: {}}\n"
              "  int8: {export: q, formats: [bundle, c, tflite, onnx]}\n");
}

// Both by the engine: the bundle's logits are its stage's.
static void predictions_are_equal(const char *input)
{
    char where[256];
    GOOD("predict", "runs/odd", "--stage", "q", "--out", "stage.h5");
    GOOD("predict", "runs/odd/bundle/int8", "--out", "bundle.h5");
    char *stage = strdup(test_path("stage.h5"));
    if (!tiny_same_arrays(stage, test_path("bundle.h5"), where))
        fail_msg("%s: %s", input, where);
    free(stage);
}

static void clear_runs(void)
{
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s/runs'", root);
    assert_int_equal(system(command), 0);
}

static const struct {
    struct dc_shape sample;
    const char *input, *layers, *manifest;
} cases[] = {
    {{1, {5}}, "[5]", "  - dense: {units: 8}\n  - relu\n  - dense: {units: 2}\n", "[\n  5\n ]"},
    {{1, {1}}, "[1]", "  - dense: {units: 2}\n", "[\n  1\n ]"},
    {{2, {6, 4}},
     "[6, 4]",
     "  - dense: {units: 8}\n  - relu\n  - flatten\n  - dense: {units: 2}\n",
     "[\n  6,\n  4\n ]"},
    {{2, {1, 4}},
     "[1, 4]",
     "  - dense: {units: 8}\n  - relu\n  - flatten\n  - dense: {units: 2}\n",
     "[\n  1,\n  4\n ]"},
    {{2, {6, 4}},
     "[6, 4, 1]",
     "  - conv: {filters: 4, kernel: 3}\n  - relu\n  - flatten\n  - dense: {units: 2}\n",
     "[\n  6,\n  4,\n  1\n ]"},
    {{3, {1, 1, 5}},
     "[1, 1, 5]",
     "  - flatten\n  - dense: {units: 4}\n  - leaky_relu: {slope: 0.2}\n  - dense: {units: 2}\n",
     "[\n  1,\n  1,\n  5\n ]"},
    {{4, {2, 3, 4, 5}},
     "[2, 3, 4, 5]",
     "  - dense: {units: 3}\n  - relu\n  - flatten\n  - dense: {units: 2}\n",
     "[\n  2,\n  3,\n  4,\n  5\n ]"},
    {{5, {2, 1, 3, 2, 4}},
     "[2, 1, 3, 2, 4]",
     "  - dense: {units: 3}\n  - relu6\n  - flatten\n  - dense: {units: 2}\n",
     "[\n  2,\n  1,\n  3,\n  2,\n  4\n ]"},
};

static void they_go_from_data_to_bundle(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_data(cases[i].sample);
        write_experiment(cases[i].input, cases[i].layers);
        GOOD("check", "e.yaml");
        clear_runs();
        GOOD("run", "e.yaml");
        if (!strstr(outcome.out, "equals the engine"))
            fail_msg("%s: %s", cases[i].input, outcome.out);
        char *manifest = tiny_read(test_path("runs/odd/bundle/int8/manifest.json"), NULL);
        if (!manifest || !strstr(manifest, "\"sample\": ") || !strstr(manifest, cases[i].manifest))
            fail_msg("%s: the manifest does not say %s", cases[i].input, cases[i].manifest);
        free(manifest);
        GOOD("eval", "runs/odd");
        GOOD("verify", "runs/odd/bundle/int8");
        predictions_are_equal(cases[i].input);
    }
}

// Rows and columns in another order, or channels first, are another sample.
static void others_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"[4, 6]", "[1, 6, 4]", "[24]", "[6, 4, 2]", "[2, 3, 4]"};
    write_data(DC_SHAPE(6, 4));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        write_experiment(wrong[i], "  - flatten\n  - dense: {units: 2}\n");
        clear_runs();
        DECANT(&outcome, &(const struct child){.folder = root}, "run", "e.yaml");
        assert_outcome(&outcome, wrong[i], 2,
                       (const char *const[OUTCOME_WORDS]){"reads samples of", wrong[i],
                                                          "has [6, 4, 1]", NULL});
    }
    write_experiment("[1, 1, 1, 1, 1, 1, 1, 1]", "  - flatten\n  - dense: {units: 2}\n");
    DECANT(&outcome, &(const struct child){.folder = root}, "check", "e.yaml");
    assert_outcome(&outcome, "eight axes", 2,
                   (const char *const[OUTCOME_WORDS]){"at most 7 sizes", NULL});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_go_from_data_to_bundle),
        cmocka_unit_test(others_are_refused),
    };
    return cmocka_run_group_tests(tests, walk_set_up, walk_tear_down);
}
