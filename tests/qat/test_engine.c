// The integer engine against exact definitions, bit for bit: every layer of random models, a grid
// of convolution shapes, extreme scales, and what a model may not be.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/context.h"
#include "qat/engine.h"
#include "tests/oracles/integer_oracle.h"
#include "tests/qat/helper_models.h"

static struct dc_ctx *context(int threads)
{
    struct dc_ctx *ctx = NULL;
    const struct dc_ctx_config config = {.threads = threads};
    assert_int_equal(dc_ctx_create(&ctx, &config, NULL), DC_OK);
    return ctx;
}

static struct oracle_layer describe(const struct dc_imodel *m, const struct dc_ilayer *l)
{
    const struct dc_ilayer *x = &m->layers[l->inputs[0]];
    return (struct oracle_layer){.single = strcmp(m->profile->name, "ruy") == 0,
                                 .in_h = x->height,
                                 .in_w = x->width,
                                 .in_c = x->channels,
                                 .out_h = l->height,
                                 .out_w = l->width,
                                 .out_c = l->channels,
                                 .kernel_h = l->kernel_h,
                                 .kernel_w = l->kernel_w,
                                 .stride_h = l->stride_h,
                                 .stride_w = l->stride_w,
                                 .dilation_h = l->dilation_h,
                                 .dilation_w = l->dilation_w,
                                 .pad_top = l->pad_top,
                                 .pad_left = l->pad_left,
                                 .in_scale = x->scale,
                                 .out_scale = l->scale,
                                 .in_zero_point = x->zero_point,
                                 .out_zero_point = l->zero_point,
                                 .low = l->clamp_low,
                                 .high = l->clamp_high};
}

// The product of scales is rounded to float32 for fully connected layers with one weight scale, and
// only there. Codes seldom show it, so the multipliers are compared themselves.
static void check_multipliers(const struct dc_ilayer *l, const struct oracle_layer *o)
{
    const bool in_float = l->op == DC_I_FULLY_CONNECTED && !l->per_channel;
    for (int c = 0; c < l->channels; c++) {
        int32_t m, s;
        volatile float rounded = o->in_scale * l->weight_scales[c];
        const double exact = (double)o->in_scale * (double)l->weight_scales[c];
        oracle_multiplier(&m, &s, (in_float ? (double)rounded : exact) / (double)o->out_scale,
                          o->single);
        assert_int_equal(l->multipliers[c], m);
        assert_int_equal(l->shifts[c], s);
    }
}

static void copy_by_hand(int8_t *codes, const struct dc_imodel *m, const struct dc_ilayer *l,
                         const struct dc_itrace *trace)
{
    const struct dc_ilayer *x = &m->layers[l->inputs[0]];
    for (int y = 0; y < l->height; y++)
        for (int w = 0; w < l->width; w++)
            for (int c = 0; c < l->channels; c++) {
                int8_t *to = &codes[(y * l->width + w) * l->channels + c];
                const int iy = y - l->pad_top, ix = w - l->pad_left;
                if (l->op == DC_I_PAD) {
                    const bool inside = iy >= 0 && ix >= 0 && iy < x->height && ix < x->width;
                    *to = inside
                              ? trace->outputs[l->inputs[0]][(iy * x->width + ix) * x->channels + c]
                              : (int8_t)x->zero_point;
                } else if (l->op == DC_I_CONCAT) {
                    const int which = c >= x->channels;
                    const struct dc_ilayer *from = &m->layers[l->inputs[which]];
                    *to = trace->outputs[l->inputs[which]][(y * l->width + w) * from->channels + c -
                                                           which * x->channels];
                } else {
                    *to = trace->outputs[l->inputs[0]][c];
                }
            }
}

// Every layer's codes and sums, computed by the oracle from the traced inputs of that layer.
static void check_layer(const struct dc_imodel *m, int i, const struct dc_itrace *trace)
{
    const struct dc_ilayer *l = &m->layers[i];
    const struct oracle_layer o = describe(m, l);
    const int64_t size = dc_ilayer_size(l);
    const int8_t *x = trace->outputs[l->inputs[0]];
    int8_t *codes = calloc((size_t)size, 1);
    int32_t *sums = calloc((size_t)size, sizeof *sums);
    assert_true(codes && sums);
    bool has_sums = true;
    if (dc_ilayer_has_weights(l))
        check_multipliers(l, &o);
    if (l->op == DC_I_CONV2D || l->op == DC_I_DEPTHWISE_CONV2D) {
        oracle_integer_conv(codes, sums, x, l->weights, l->biases, l->weight_scales,
                            l->op == DC_I_DEPTHWISE_CONV2D, &o);
    } else if (l->op == DC_I_FULLY_CONNECTED) {
        oracle_integer_dense(codes, sums, x, l->weights, l->biases, l->weight_scales,
                             l->per_channel, o.in_h * o.in_w * o.in_c, &o);
    } else if (l->op == DC_I_ADD) {
        const struct dc_ilayer *b = &m->layers[l->inputs[1]];
        oracle_integer_add(codes, sums, x, trace->outputs[l->inputs[1]], b->scale, b->zero_point,
                           (int)size, &o);
    } else if (l->op == DC_I_MEAN) {
        oracle_integer_mean(codes, sums, x, &o);
    } else if (l->op == DC_I_AVERAGE_POOL || l->op == DC_I_MAX_POOL) {
        oracle_integer_pool(codes, x, l->op == DC_I_AVERAGE_POOL, &o);
        has_sums = false;
    } else {
        copy_by_hand(codes, m, l, trace);
        has_sums = false;
    }
    for (int64_t k = 0; k < size; k++) {
        if (codes[k] != trace->outputs[i][k])
            fail_msg("%s '%s', code %d: %d, not %d", m->profile->name, l->name, (int)k,
                     trace->outputs[i][k], codes[k]);
        if (!has_sums)
            continue;
        if (sums[k] != trace->accumulators[i][k])
            fail_msg("%s '%s', sum %d: %d, not %d", m->profile->name, l->name, (int)k,
                     trace->accumulators[i][k], sums[k]);
        assert_true(sums[k] >= l->accumulator_low && sums[k] <= l->accumulator_high);
    }
    free(codes);
    free(sums);
}

static void check_model(struct dc_imodel *m, int samples, struct dc_random *random)
{
    struct dc_ctx *ctx = context(2);
    struct dc_engine *engine = NULL;
    struct dc_itrace *trace = NULL;
    const int64_t in_size = dc_ilayer_size(&m->layers[0]);
    const int64_t out_size = dc_ilayer_size(dc_imodel_output(m));
    int8_t *input = calloc((size_t)(in_size * samples), 1);
    int8_t *output = calloc((size_t)(out_size * samples), 1);
    assert_true(input && output);
    assert_int_equal(dc_engine_create(&engine, ctx, m, NULL), DC_OK);
    assert_int_equal(dc_itrace_create(&trace, m, NULL), DC_OK);
    test_fill_codes(input, in_size * samples, random);
    memset(input, -128, (size_t)in_size);
    if (samples > 1)
        memset(input + in_size, 127, (size_t)in_size);
    dc_engine_run(engine, output, input, samples);
    for (int s = 0; s < samples; s++) {
        dc_engine_trace(engine, trace, input + s * in_size);
        for (int i = 1; i < m->count; i++)
            check_layer(m, i, trace);
        assert_memory_equal(output + s * out_size, trace->outputs[m->count - 1], (size_t)out_size);
    }
    dc_itrace_free(trace);
    dc_engine_free(engine);
    dc_ctx_free(ctx);
    free(input);
    free(output);
}

static void every_op_matches_definition(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 3, DC_PURPOSE_TEST, 0, 0);
    for (const struct dc_profile *const *p = dc_profile_table(); *p; p++) {
        for (uint64_t seed = 0; seed < 8; seed++) {
            struct dc_imodel *m = test_every_op_model(*p, seed);
            check_model(m, 9, &random);
            dc_imodel_free(m);
        }
    }
}

static struct dc_imodel *one_layer_model(const struct dc_profile *profile, int height, int width,
                                         int channels, const struct dc_ilayer *wanted,
                                         struct dc_random *random)
{
    struct dc_imodel *m = NULL;
    assert_int_equal(dc_imodel_create(&m, "one", "", profile, NULL), DC_OK);
    const struct dc_ilayer input = {.name = "x",
                                    .op = DC_I_INPUT,
                                    .height = height,
                                    .width = width,
                                    .channels = channels,
                                    .scale = 0.05f,
                                    .bits = 8,
                                    .zero_point = (int)dc_random_below(random, 256) - 128,
                                    .clamp_low = -128,
                                    .clamp_high = 127};
    assert_int_equal(dc_imodel_add(m, &input, NULL, NULL), DC_OK);
    test_add_layer(m, "layer", wanted, 0, -1, random);
    return m;
}

static void convolution_grid_matches_definition(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 4, DC_PURPOSE_TEST, 0, 0);
    for (int trial = 0; trial < 300; trial++) {
        const struct dc_profile *profile = dc_profile_table()[trial % 2];
        const bool depthwise = trial % 3 == 0;
        const int in_channels = 1 + (int)dc_random_below(&random, 9);
        struct dc_ilayer wanted = {
            .op = depthwise ? DC_I_DEPTHWISE_CONV2D : DC_I_CONV2D,
            .channels = depthwise ? in_channels * (1 + (int)dc_random_below(&random, 3))
                                  : 1 + (int)dc_random_below(&random, 17),
            .kernel_h = 1 + (int)dc_random_below(&random, 5),
            .kernel_w = 1 + (int)dc_random_below(&random, 5),
            .stride_h = 1 + (int)dc_random_below(&random, 3),
            .stride_w = 1 + (int)dc_random_below(&random, 3),
            .dilation_h = 1 + (int)dc_random_below(&random, 2),
            .dilation_w = 1 + (int)dc_random_below(&random, 2),
            .pad_top = (int)dc_random_below(&random, 4),
            .pad_bottom = (int)dc_random_below(&random, 4),
            .pad_left = (int)dc_random_below(&random, 4),
            .pad_right = (int)dc_random_below(&random, 4),
            .per_channel = true,
        };
        struct dc_imodel *m = one_layer_model(profile, 9 + (int)dc_random_below(&random, 5),
                                              9 + (int)dc_random_below(&random, 5), in_channels,
                                              &wanted, &random);
        check_model(m, 1, &random);
        dc_imodel_free(m);
    }
}

// Multipliers above 1, tiny ones that vanish, clamps that saturate, biases near the ends of int32.
static void extreme_scales_match_definition(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 5, DC_PURPOSE_TEST, 0, 0);
    const float scales[] = {1e-12f, 1e-6f, 0.01f, 1.0f, 50.0f, 1e6f, 1e12f};
    enum { COUNT = sizeof scales / sizeof scales[0] };
    const int32_t biases[COUNT] = {-2000000000, 2000000000, 0, 1, -1, 1 << 20, -(1 << 30)};
    for (int trial = 0; trial < 8; trial++) {
        const struct dc_profile *profile = dc_profile_table()[trial % 2];
        struct dc_imodel *m = NULL;
        int8_t weights[COUNT * 6];
        test_fill_codes(weights, COUNT * 6, &random);
        for (int i = 0; i < COUNT * 6; i++)
            weights[i] = weights[i] == -128 ? 127 : weights[i];
        struct dc_ilayer l = {.name = "x",
                              .op = DC_I_INPUT,
                              .height = 1,
                              .width = 1,
                              .channels = 6,
                              .scale = 0.5f,
                              .zero_point = 11,
                              .bits = 8,
                              .clamp_low = -128,
                              .clamp_high = 127};
        assert_int_equal(dc_imodel_create(&m, "extreme", "", profile, NULL), DC_OK);
        assert_int_equal(dc_imodel_add(m, &l, NULL, NULL), DC_OK);
        l = (struct dc_ilayer){.name = "fc",
                               .op = DC_I_FULLY_CONNECTED,
                               .input_count = 1,
                               .height = 1,
                               .width = 1,
                               .channels = COUNT,
                               .scale = 0.25f,
                               .zero_point = -128 + 36 * trial,
                               .bits = 8,
                               .clamp_low = -120,
                               .clamp_high = 119,
                               .weight_bits = 8,
                               .per_channel = true,
                               .weights = weights,
                               .biases = biases,
                               .weight_scales = scales};
        assert_int_equal(dc_imodel_add(m, &l, NULL, NULL), DC_OK);
        check_model(m, 20, &random);
        dc_imodel_free(m);
    }
}

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
    const struct dc_ilayer pool = {.op = DC_I_MAX_POOL, .kernel_h = 2, .kernel_w = 2};
    struct dc_imodel *m = one_layer_model(dc_profile_find("tflm"), 8, 8, 2, &pool, &random);
    struct dc_ilayer l = m->layers[1];
    l.zero_point = m->layers[0].zero_point == 3 ? 4 : 3;
    refused(m, &l, "zero point");
    l = m->layers[1];
    l.height++;
    refused(m, &l, "height");
    l = m->layers[1];
    l.pad_top = l.pad_bottom = 2;
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
                           .kernel_h = 1,
                           .kernel_w = 2,
                           .stride_h = 1,
                           .stride_w = 1,
                           .dilation_h = 1,
                           .dilation_w = 1,
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

// Values that are alive together do not share bytes; the result does not depend on threads.
static void placement_and_threads(void **state)
{
    (void)state;
    struct dc_imodel *m = test_every_op_model(dc_profile_find("tflm"), 1);
    int64_t offsets[32], bytes = 0, sum = 0;
    assert_int_equal(dc_imodel_place(offsets, &bytes, m, NULL), DC_OK);
    for (int i = 1; i < m->count - 1; i++) {
        assert_true(offsets[i] >= 0 && offsets[i] + dc_ilayer_size(&m->layers[i]) <= bytes);
        sum += dc_ilayer_size(&m->layers[i]);
        for (int k = 0; k < i && m->layers[i].op != DC_I_RESHAPE; k++) {
            bool read_later = false;
            for (int r = i; r < m->count; r++) {
                for (int n = 0; n < m->layers[r].input_count; n++)
                    read_later = read_later || m->layers[r].inputs[n] == k;
            }
            if (k > 0 && read_later)
                assert_true(offsets[k] >= offsets[i] + dc_ilayer_size(&m->layers[i]) ||
                            offsets[i] >= offsets[k] + dc_ilayer_size(&m->layers[k]));
        }
    }
    assert_true(bytes < sum);
    enum { ROWS = 37 };
    struct dc_random random;
    dc_random_start(&random, 8, DC_PURPOSE_TEST, 0, 0);
    int8_t *input = calloc(ROWS, 13 * 11 * 3), output[3][ROWS * 7];
    assert_non_null(input);
    test_fill_codes(input, ROWS * 13 * 11 * 3, &random);
    for (int threads = 1; threads <= 3; threads++) {
        struct dc_ctx *ctx = context(threads);
        struct dc_engine *engine = NULL;
        assert_int_equal(dc_engine_create(&engine, ctx, m, NULL), DC_OK);
        dc_engine_run(engine, output[threads - 1], input, ROWS);
        dc_engine_free(engine);
        dc_ctx_free(ctx);
    }
    assert_memory_equal(output[0], output[1], sizeof output[0]);
    assert_memory_equal(output[0], output[2], sizeof output[0]);
    free(input);
    dc_imodel_free(m);
}

static void input_codes_round_half_away(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 9, DC_PURPOSE_TEST, 0, 0);
    const struct dc_ilayer pool = {.op = DC_I_MAX_POOL, .kernel_h = 1, .kernel_w = 1};
    struct dc_imodel *m = one_layer_model(dc_profile_find("tflm"), 1, 1, 1, &pool, &random);
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
        cmocka_unit_test(every_op_matches_definition),
        cmocka_unit_test(convolution_grid_matches_definition),
        cmocka_unit_test(extreme_scales_match_definition),
        cmocka_unit_test(impossible_models_are_refused),
        cmocka_unit_test(placement_and_threads),
        cmocka_unit_test(input_codes_round_half_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
