// Integer models: what one may not be, and how inputs become codes.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/qat/helper_models.h"

static void refused(struct dc_imodel *m, const struct dc_ilayer *l, const char *because)
{
    struct dc_error error;
    assert_int_equal(dc_imodel_add(m, l, NULL, &error), DC_ERR_DATA);
    if (!strstr(error.message, because))
        fail_msg("'%s' does not say '%s'", error.message, because);
}

static void impossible_models_are_refused(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 6, DC_PURPOSE_TEST, 0, 0);
    const struct dc_ilayer pool = {.op = DC_I_MAX_POOL, .window = {.kernel = {2, 2}}};
    struct dc_imodel *m = test_one_layer_model(dc_profile_find("tflm"), 8, 8, 2, &pool, &random);
    struct dc_ilayer l = m->layers[1];
    l.zero_point = m->layers[0].zero_point == 3 ? 4 : 3;
    refused(m, &l, "zero point");
    l = m->layers[1];
    l.height++;
    refused(m, &l, "height");
    l = m->layers[1];
    l.window.before[0] = l.window.after[0] = 2;
    l.height += 4;
    refused(m, &l, "fit");
    l = m->layers[1];
    l.inputs[0] = 2;
    refused(m, &l, "earlier");
    l = m->layers[1];
    l.scale = 0.0f;
    refused(m, &l, "scale");
    const int8_t weights[4] = {127, 127, 127, -128};
    const int32_t biases[2] = {INT32_MAX - 100, 0};
    const float scales[2] = {1.0f, 1.0f};
    l = (struct dc_ilayer){.name = "dw",
                           .op = DC_I_DEPTHWISE_CONV2D,
                           .input_count = 1,
                           .height = 8,
                           .width = 7,
                           .channels = 2,
                           .window = {.kernel = {1, 2}, .stride = {1, 1}, .dilation = {1, 1}},
                           .scale = 1.0f,
                           .bits = 8,
                           .clamp_low = -128,
                           .clamp_high = 127,
                           .weight_bits = 8,
                           .weights = weights,
                           .biases = biases,
                           .weight_scales = scales};
    refused(m, &l, "beyond int32");
    l.biases = (const int32_t[2]){0, 0};
    refused(m, &l, "-128");
    dc_imodel_free(m);
}

static void input_codes_round_half_away(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 9, DC_PURPOSE_TEST, 0, 0);
    const struct dc_ilayer pool = {.op = DC_I_MAX_POOL, .window = {.kernel = {1, 1}}};
    struct dc_imodel *m = test_one_layer_model(dc_profile_find("tflm"), 1, 1, 1, &pool, &random);
    m->layers[0].scale = 0.5f;
    m->layers[0].zero_point = 10;
    const float x[] = {0.0f, 0.25f, -0.25f, 0.75f, 0.2f, 1e30f, -1e30f, -100.0f};
    const int8_t expected[] = {10, 11, 9, 12, 10, 127, -128, -128};
    int8_t codes[8];
    assert_int_equal(dc_imodel_quantize_input(codes, m, x, 8, NULL), DC_OK);
    assert_memory_equal(codes, expected, 8);
    const float nan_value = 0.0f / (x[0] + 0.0f);
    assert_int_equal(dc_imodel_quantize_input(codes, m, &nan_value, 1, NULL), DC_ERR_NUMERIC);
    dc_imodel_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(impossible_models_are_refused),
        cmocka_unit_test(input_codes_round_half_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
