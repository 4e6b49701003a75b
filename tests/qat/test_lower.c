// Lowering: the integer engine gives what the fake-quantized float network promised, under every
// profile and every way to scale.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qat/calibrate.h"
#include "qat/engine.h"
#include "qat/fold.h"
#include "qat/lower.h"
#include "qat/profile.h"
#include "qat/quantize.h"
#include "tests/qat/helper_graphs.h"

// Scales are powers of two: so is every multiplier, that of a mean but for its count, and but for
// the offset of a fused addition.
static void shifts_alone(const struct dc_imodel *m)
{
    for (int i = 0; i < m->count; i++) {
        const struct dc_ilayer *l = &m->layers[i];
        int exponent;
        assert_true(frexpf(l->scale, &exponent) == 0.5f);
        for (int k = 0; k < l->rescales - l->fused && l->op != DC_I_MEAN; k++)
            assert_true((l->multipliers[k] & (l->multipliers[k] - 1)) == 0);
    }
}

// Sums of kernels fit the accumulator, biases included, and one that was not limited would not.
static void sums_fit(const struct dc_imodel *m, int bits)
{
    for (int i = 0; i < m->count; i++) {
        const struct dc_ilayer *l = &m->layers[i];
        if (!dc_ilayer_has_weights(l))
            continue;
        assert_true(l->accumulator_low >= -(INT64_C(1) << (bits - 1)));
        assert_true(l->accumulator_high < INT64_C(1) << (bits - 1));
    }
}

// No zero points, and the input's step is its larger end over 127.
static void zero_is_code_zero(const struct dc_imodel *m, const struct dc_params *p, bool powers)
{
    for (int i = 0; i < m->count; i++)
        assert_int_equal(m->layers[i].zero_point, 0);
    for (int i = 0; i < p->count && !powers; i++)
        if (strcmp(p->slices[i].name, "image.quant.range") == 0) {
            const float *range = p->value + p->slices[i].offset;
            const double larger = fmax(fabs((double)range[0]), fabs((double)range[1]));
            assert_true(fabs((double)m->layers[0].scale / (larger / 127.0) - 1.0) < 1e-6);
            return;
        }
    assert_true(powers);
}

// Codes of the engine against the fake-quantized network's values: at most one code apart in logits
// on nearly all, since each layer's rounding of a value near a tie may differ by one.
static void compare_with_engine(const struct dc_quantize_config *config)
{
    int output, at;
    struct dc_graph *g = test_network(&output), *q = NULL;
    test_must(dc_quantize_graph(&q, &at, g, output, config, &test_error));
    struct dc_params *p = test_random_params(q);
    test_values(p, "bn.gamma")[2] = -0.8f;  // negates codes
    test_values(p, "bn.gamma")[5] = 0.0f;   // floors the scale
    int folded = 0;
    if (config->folded)
        dc_fold_batch_norms(&folded, q, p);
    assert_int_equal(folded, config->folded ? 2 : 0);
    const bool coarse = config->weight_bits || config->activation_bits ||
                        (config->power_of_two && config->symmetric);
    // Integer biases are rounded to steps that grow with those of the weights; training does not
    // know that, so that a network of few bits is compared without them.
    for (int i = 0; i < p->count && coarse; i++) {
        const struct dc_slice *s = &p->slices[i];
        if (strstr(s->name, ".beta") || strstr(s->name, ".mean") || strstr(s->name, ".bias"))
            memset(p->value + s->offset, 0, sizeof(float) * (size_t)s->count);
    }
    enum { IN = 12 * 10 * 3, OUT = 5 };
    static float x[TEST_ROWS * IN], y[TEST_ROWS * OUT];
    static int8_t codes[TEST_ROWS * IN], got[TEST_ROWS * OUT];
    test_fill(x, TEST_ROWS * IN, 2);
    test_run(q, p, at, x, dc_calibration_step(), NULL);
    test_must(dc_calibrate_scales(q, p, &test_error));
    for (int i = 0; i < p->count; i++) {  // as training would: smaller, and one negative
        const struct dc_slice *s = &p->slices[i];
        if (strstr(s->name, ".step") || strstr(s->name, ".clip"))
            p->value[s->offset] *= i % 2 ? 0.8f : -0.9f;
    }
    test_run(q, p, at, x, (struct dc_step){0}, y);
    for (const struct dc_profile *const *profile = dc_profile_table(); *profile; profile++) {
        struct dc_imodel *m = NULL;
        struct dc_engine *engine = NULL;
        struct dc_lower_report report;
        if ((*profile)->power_of_two && !config->power_of_two) {
            assert_int_equal(dc_lower(&m, q, p, "image", "logits", "net", "a test", *profile,
                                      &report, &test_error),
                             DC_ERR_DATA);
            assert_non_null(strstr(test_error.message, "no power of two"));
            continue;
        }
        test_must(
            dc_lower(&m, q, p, "image", "logits", "net", "a test", *profile, &report, &test_error));
        assert_int_equal(report.layers, 8);  // image conv depthwise pointwise sum pool gap logits
        assert_true(config->folded || report.floored_channels == 1);
        if (config->power_of_two)
            shifts_alone(m);
        if (config->accumulator_bits)
            sums_fit(m, config->accumulator_bits);
        if (config->symmetric)
            zero_is_code_zero(m, p, config->power_of_two);
        assert_int_equal(report.raised_channels, config->accumulator_bits ? 1 : 0);  // the floored
        test_must(dc_imodel_quantize_input(codes, m, x, TEST_ROWS * IN, &test_error));
        test_must(dc_engine_create(&engine, test_ctx, m, &test_error));
        dc_engine_run(engine, got, codes, TEST_ROWS);
        const struct dc_ilayer *last = dc_imodel_output(m);
        int equal = 0, most = 0;
        for (int i = 0; i < TEST_ROWS * OUT; i++) {
            const int promised = (int)lrintf(y[i] / last->scale) + last->zero_point;
            const int apart = abs(promised - got[i]);
            equal += apart == 0;
            most = apart > most ? apart : most;
        }
        // Sums of few bits are often ties, which double rounding rounds twice; of shifts without
        // zero points most are, and only those that round a half to even are as in training: then
        // every code is. A mean whose zero points' share is a whole code is up to half a code off.
        const bool even = strstr(dc_rounding_name(dc_profile_rounding(*profile, DC_I_ADD)), "even");
        const bool shifts = config->power_of_two && config->symmetric;
        const bool off = dc_profile_rounding(*profile, DC_I_MEAN) == DC_ROUND_DOUBLE_UP;
        const bool twice = (coarse &&
                            strncmp(dc_rounding_name((*profile)->rounding), "double", 6) == 0) ||
                           (shifts && !even);
        if (shifts && even)
            assert_int_equal(equal, TEST_ROWS * OUT);
        if (!twice && (most > (coarse ? 1 : 3) || (!off && equal < TEST_ROWS * OUT * 7 / 10)))
            fail_msg("%s: %d of %d codes equal, %d apart", (*profile)->name, equal, TEST_ROWS * OUT,
                     most);
        dc_engine_free(engine);
        dc_imodel_free(m);
    }
    dc_params_free(p);
    dc_graph_free(g);
    dc_graph_free(q);
}

static void engine_gives_what_training_promised(void **state)
{
    (void)state;
    static const struct dc_quantize_config configs[] = {
        {.observer = DC_OBSERVER_MIN_MAX},
        {.weight_bits = 4, .weight_scaling = DC_SCALE_KEPT, .weight_observer = DC_OBSERVER_MSE},
        {.weight_bits = 2, .activation_bits = 4, .first_last_bits = 8},
        {.activation_bits = 4, .weight_scaling = DC_SCALE_LEARNED, .dense_per_tensor = true},
        {.weight_bits = 4,
         .activation_bits = 4,
         .first_last_bits = 8,
         .weight_scaling = DC_SCALE_LEARNED,
         .activation_scaling = DC_STEP_LEARNED},
        {.activation_scaling = DC_STEP_CLIPPED, .observer = DC_OBSERVER_MIN_MAX},
        {.power_of_two = true, .folded = true, .dense_per_tensor = true},
        {.symmetric = true, .observer = DC_OBSERVER_MIN_MAX},
        {.accumulator_bits = 18, .observer = DC_OBSERVER_MIN_MAX},
        {.symmetric = true, .activation_scaling = DC_STEP_LEARNED},
        {.symmetric = true, .power_of_two = true, .folded = true, .dense_per_tensor = true},
        {.power_of_two = true,
         .folded = true,
         .conv_per_tensor = true,
         .weight_scaling = DC_SCALE_LEARNED,
         .activation_scaling = DC_STEP_LEARNED},
    };
    for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++)
        compare_with_engine(&configs[i]);
}

// Zero kernels, zero, negative and tiny gamma, and biases far outside int32, against reals.
static void odd_channels_are_defined(void **state)
{
    (void)state;
    int at;
    struct dc_graph *g = test_start(1, 1, 4), *q = NULL;
    const int conv = test_add_conv(g, "conv", 0, 6, 1, 1, 1, false);
    const int output = test_add_norm(g, "bn", conv);
    const struct dc_quantize_config config = {.observer = DC_OBSERVER_MIN_MAX};
    test_must(dc_quantize_graph(&q, &at, g, output, &config, &test_error));
    struct dc_params *p = test_random_params(q);
    float *w = test_values(p, "conv.weight"), *gamma = test_values(p, "bn.gamma");
    for (int t = 0; t < 4; t++)
        w[t * 6 + 0] = 0.0f;  // a zero range
    gamma[1] = 0.0f;
    gamma[2] = -1.0f;
    gamma[3] = 1e-9f;
    for (int t = 0; t < 4; t++)
        w[t * 6 + 4] *= 1e-5f;
    test_values(p, "bn.beta")[4] = 3e6f;  // far beyond int32 at this scale
    float x[TEST_ROWS * 4], y[TEST_ROWS * 6];
    test_fill(x, TEST_ROWS * 4, 3);
    test_run(q, p, at, x, dc_calibration_step(), y);
    float *range = test_values(p, "bn.quant.range");
    range[0] = -4.0f;  // channel 4 saturates, the others stay visible
    range[1] = 4.0f;
    test_run(q, p, at, x, (struct dc_step){0}, y);
    struct dc_imodel *m = NULL;
    struct dc_engine *engine = NULL;
    struct dc_lower_report report;
    test_must(dc_lower(&m, q, p, "image", "bn", "odd", "", dc_profile_find("tflm"), &report,
                       &test_error));
    const struct dc_ilayer *l = dc_imodel_output(m);
    assert_int_equal(report.raised_channels, 1);
    assert_true(report.floored_channels >= 2);
    for (int t = 0; t < 4; t++) {
        assert_int_equal(l->weights[0 * 4 + t], 0);
        assert_int_equal(l->weights[1 * 4 + t], 0);
        assert_int_equal(l->weights[3 * 4 + t], 0);
        const float largest = fmaxf(fmaxf(fabsf(w[2]), fabsf(w[8])),
                                    fmaxf(fabsf(w[14]), fabsf(w[20])));
        assert_int_equal(l->weights[2 * 4 + t], -(int)lrintf(w[t * 6 + 2] / largest * 127.0f));
    }
    assert_true(l->biases[4] > 1 << 30);
    int8_t codes[TEST_ROWS * 4], got[TEST_ROWS * 6];
    test_must(dc_imodel_quantize_input(codes, m, x, TEST_ROWS * 4, &test_error));
    test_must(dc_engine_create(&engine, test_ctx, m, &test_error));
    dc_engine_run(engine, got, codes, TEST_ROWS);
    for (int i = 0; i < TEST_ROWS * 6; i++) {
        const int promised = (int)lrintf(y[i] / l->scale) + l->zero_point;
        assert_true(abs(promised - got[i]) <= 1);
    }
    dc_engine_free(engine);
    dc_imodel_free(m);
    dc_params_free(p);
    dc_graph_free(g);
    dc_graph_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engine_gives_what_training_promised),
        cmocka_unit_test(odd_channels_are_defined),
    };
    return cmocka_run_group_tests(tests, test_set_up, test_tear_down);
}
