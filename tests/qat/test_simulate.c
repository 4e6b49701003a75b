// Fake-quantized evaluation in float32 against the integer engine: every op, random networks, and
// scales that put sums on exact ties. Under litert-xnnpack no byte differs; under another profile
// the ties do.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qat/engine.h"
#include "qat/simulate.h"
#include "tests/qat/helper_graphs.h"
#include "tests/qat/helper_models.h"
#include "tests/qat/helper_simulate.h"

enum { ROWS = 24, SEEDS = 40 };

// How many of the network's outputs differ from the engine's, on random codes; frees the model.
static int count_different(struct dc_imodel *model, struct dc_random *random)
{
    const int64_t inputs = ROWS * dc_ilayer_size(&model->layers[0]);
    const int64_t outputs = ROWS * dc_ilayer_size(dc_imodel_output(model));
    int8_t *codes = malloc((size_t)(inputs + outputs));
    struct dc_engine *engine = NULL;
    assert_non_null(codes);
    test_fill_codes(codes, inputs, random);
    test_must(dc_engine_create(&engine, test_ctx, model, &test_error));
    dc_engine_run(engine, codes + inputs, codes, ROWS);
    const int64_t apart = test_simulation_apart(test_ctx, model, codes, codes + inputs, ROWS);
    dc_engine_free(engine);
    free(codes);
    dc_imodel_free(model);
    return (int)apart;
}

static void every_op_equals_the_engine(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 11, DC_PURPOSE_TEST, 0, 0);
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        assert_int_equal(
            count_different(test_every_op_model(dc_profile_find("litert-xnnpack"), seed), &random),
            0);
}

// Layers by themselves, so that no later rounding hides a difference.
static const struct dc_ilayer alone[] = {
    {.op = DC_I_CONV2D, .channels = 9, .window = {.kernel = {3, 3}}, .per_channel = true},
    {.op = DC_I_CONV2D,
     .channels = 6,
     .window = {.kernel = {2, 3}, .stride = {2, 0}, .before = {0, 2}}},
    {.op = DC_I_CONV2D, .channels = 5, .window = {.kernel = {1, 1}}, .weight_bits = 2},
    {.op = DC_I_DEPTHWISE_CONV2D,
     .channels = 8,
     .window = {.kernel = {3, 3}, .dilation = {2, 0}, .after = {3, 0}},
     .per_channel = true},
    {.op = DC_I_FULLY_CONNECTED, .channels = 17, .clamp_low = -60, .clamp_high = 90},
    {.op = DC_I_AVERAGE_POOL, .window = {.kernel = {3, 2}, .stride = {0, 2}, .before = {2, 0}}},
    {.op = DC_I_MAX_POOL,
     .window = {.kernel = {2, 3}, .after = {0, 1}},
     .clamp_low = -20,
     .clamp_high = 99},
    {.op = DC_I_MEAN},
    {.op = DC_I_PAD,
     .window = {.before = {2, 0}, .after = {0, 1}},
     .first_channel = 1,
     .channels = 2},
    {.op = DC_I_SLICE,
     .window = {.stride = {3, 0}, .before = {2, 1}},
     .first_channel = 1,
     .channels = 2},
    {.op = DC_I_TABLE, .function = DC_F_SIGMOID},
    {.op = DC_I_TABLE, .function = DC_F_H_SWISH},
    {.op = DC_I_TABLE, .function = DC_F_LEAKY_RELU},
};

static void each_layer_alone_equals_the_engine(void **state)
{
    (void)state;
    const struct dc_profile *profile = dc_profile_find("litert-xnnpack");
    struct dc_random random;
    dc_random_start(&random, 12, DC_PURPOSE_TEST, 0, 0);
    for (size_t k = 0; k < sizeof alone / sizeof alone[0]; k++)
        for (int seed = 0; seed < SEEDS; seed++)
            assert_int_equal(
                count_different(test_one_layer_model(profile, 9, 8, 4, &alone[k], &random),
                                &random),
                0);
}

// One layer whose factors are powers of two: every other sum of an odd kind lies on a tie.
static struct dc_imodel *ties(const char *profile, enum dc_iop op, float input_scale,
                              struct dc_random *random)
{
    struct dc_imodel *m = NULL;
    test_must(dc_imodel_create(&m, "ties", "", dc_profile_find(profile), &test_error));
    const struct dc_ilayer input = {.name = "x",
                                    .op = DC_I_INPUT,
                                    .height = 4,
                                    .width = 4,
                                    .channels = 8,
                                    .scale = input_scale,
                                    .bits = 8,
                                    .zero_point = 3,
                                    .clamp_low = -128,
                                    .clamp_high = 127};
    int8_t weights[8 * 8];
    int32_t biases[8];
    float scales[8];
    struct dc_ilayer l = {.name = "layer",
                          .op = op,
                          .input_count = op == DC_I_ADD ? 2 : 1,
                          .height = op == DC_I_MEAN ? 1 : 4,
                          .width = op == DC_I_MEAN ? 1 : 4,
                          .channels = 8,
                          .window = {.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}},
                          .per_channel = true,
                          .weight_bits = 8,
                          .weights = weights,
                          .biases = biases,
                          .weight_scales = scales,
                          .scale = op == DC_I_CONV2D ? 8.0f : 0.5f,
                          .zero_point = -7,
                          .bits = 8,
                          .clamp_low = -128,
                          .clamp_high = 127};
    for (int i = 0; i < 64; i++)
        weights[i] = (int8_t)((int)dc_random_below(random, 61) - 30);
    for (int c = 0; c < 8; c++) {
        biases[c] = (int32_t)dc_random_below(random, 200);
        scales[c] = 0.5f;
    }
    test_must(dc_imodel_add(m, &input, NULL, &test_error));
    test_must(dc_imodel_add(m, &l, NULL, &test_error));
    return m;
}

static void ties_are_the_profiles(void **state)
{
    (void)state;
    static const enum dc_iop ops[] = {DC_I_CONV2D, DC_I_ADD, DC_I_MEAN};
    struct dc_random random;
    dc_random_start(&random, 13, DC_PURPOSE_TEST, 0, 0);
    for (int k = 0; k < 3; k++)
        assert_int_equal(count_different(ties("litert-xnnpack", ops[k], 0.125f, &random), &random),
                         0);
    assert_true(count_different(ties("tflm", DC_I_CONV2D, 0.125f, &random), &random) > 0);
    assert_true(count_different(ties("onnxruntime", DC_I_ADD, 0.125f, &random), &random) > 0);
}

// x + x of code k lies next to a tie; what its multiplier keeps of the ratio decides.
static void additions_keep_as_many_bits(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 14, DC_PURPOSE_TEST, 0, 0);
    for (int k = 3; k < 128; k += 2) {
        const float scale = (float)(0.5 * 2.5 / k / 2.0);
        assert_int_equal(count_different(ties("litert-xnnpack", DC_I_ADD, scale, &random), &random),
                         0);
    }
}

static void other_samples_are_refused(void **state)
{
    (void)state;
    struct dc_imodel *model = test_every_op_model(dc_profile_find("tflm"), 1);
    const struct dc_shape sample = DC_SHAPE(DC_BATCH, 13, 11, 1);
    struct dc_graph *graph = NULL;
    struct dc_params *params = NULL;
    int input, output;
    assert_int_equal(dc_simulate(&graph, &params, &input, &output, model, &sample, &test_error),
                     DC_ERR_CONFIG);
    assert_non_null(strstr(test_error.message, "143 values"));
    assert_null(graph);
    assert_null(params);
    dc_imodel_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_equals_the_engine),
        cmocka_unit_test(each_layer_alone_equals_the_engine),
        cmocka_unit_test(ties_are_the_profiles),
        cmocka_unit_test(additions_keep_as_many_bits),
        cmocka_unit_test(other_samples_are_refused),
    };
    return cmocka_run_group_tests(tests, test_set_up, test_tear_down);
}
