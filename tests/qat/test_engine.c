// The integer engine against exact definitions, bit for bit: every layer of random models, a grid
// of convolution shapes, extreme scales, on every level of this machine.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/context.h"
#include "qat/engine.h"
#include "qat/engine_kernels.h"
#include "qat/table.h"
#include "tests/oracles/integer_oracle.h"
#include "tests/qat/helper_models.h"

static struct dc_ctx *context(int threads, enum dc_isa isa)
{
    struct dc_ctx *ctx = NULL;
    const struct dc_ctx_config config = {.threads = threads, .isa = isa, .isa_given = true};
    assert_int_equal(dc_ctx_create(&ctx, &config, NULL), DC_OK);
    return ctx;
}

static int profile_count(void)
{
    int count = 0;
    while (dc_profile_table()[count])
        count++;
    return count;
}

static struct oracle_layer describe(const struct dc_imodel *m, const struct dc_ilayer *l)
{
    const struct dc_ilayer *x = &m->layers[l->inputs[0]];
    const bool shifts = strncmp(m->profile->name, "pot-", 4) == 0;
    return (struct oracle_layer){.single = strcmp(m->profile->name, "ruy") == 0 || shifts,
                                 .to_even = strcmp(m->profile->name, "pot-half-even") == 0,
                                 .even = strcmp(m->profile->name, "onnxruntime") == 0 ||
                                         strcmp(m->profile->name, "litert-xnnpack") == 0,
                                 .delegate = strcmp(m->profile->name, "litert-xnnpack") == 0,
                                 .dense_away = strcmp(m->profile->name, "litert-reference") == 0,
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

// The product of scales is rounded to float32 for fully connected layers with one weight scale
// under single rounding, and only there. Codes seldom show it, so the multipliers are compared
// themselves.
static void check_multipliers(const struct dc_ilayer *l, const struct oracle_layer *o)
{
    const bool in_float = o->single && l->op == DC_I_FULLY_CONNECTED && !l->per_channel;
    for (int c = 0; c < l->channels; c++) {
        int32_t m, s;
        volatile float rounded = o->in_scale * l->weight_scales[c];
        if (o->even) {
            const double factor = (double)oracle_even_factor(o->in_scale, l->weight_scales[c], o);
            const double have = ldexp((double)l->multipliers[c], l->shifts[c] - 31);
            assert_true(have == factor || (have == 0.0 && factor < 0x1p-32) ||
                        (have >= 0x1p59 && factor >= have));
            continue;
        }
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
                    const int ic = c - l->first_channel;
                    const bool inside = iy >= 0 && ix >= 0 && iy < x->height && ix < x->width &&
                                        ic >= 0 && ic < x->channels;
                    *to =
                        inside
                            ? trace->outputs[l->inputs[0]][(iy * x->width + ix) * x->channels + ic]
                            : (int8_t)x->zero_point;
                } else if (l->op == DC_I_SLICE) {
                    const int row = y * l->stride_h + l->pad_top;
                    const int column = w * l->stride_w + l->pad_left;
                    *to = trace->outputs[l->inputs[0]][(row * x->width + column) * x->channels +
                                                       l->first_channel + c];
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

// How far from a half a function's error decides: of doubles, or of TFLM's 32 bits, whose
// polynomial and reciprocal are good to about 2^-26 of sigmoid's 256 steps.
static double closeness(const struct dc_imodel *m)
{
    return m->profile->sigmoid_in_32_bits ? 0x1p-16 : 1e-9;
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
    } else if (l->op == DC_I_TABLE) {
        for (int64_t k = 0; k < size; k++) {
            bool doubtful = false;
            codes[k] = l->function == DC_F_H_SWISH && m->profile->h_swish_in_16_bits
                           ? oracle_h_swish16(x[k], &o)
                           : oracle_function_code(&doubtful, (enum oracle_function)l->function,
                                                  x[k], closeness(m), &o);
            codes[k] = doubtful ? trace->outputs[i][k] : codes[k];
        }
        has_sums = false;
    } else if (l->op == DC_I_SOFTMAX) {
        bool doubtful[64] = {false};
        assert_true(size == l->channels && size <= 64);
        if (strcmp(dc_profile_rounding(m->profile, l->op), "fixed_point") == 0)
            oracle_integer_softmax(codes, x, &o);
        else
            oracle_share_codes(codes, doubtful, x, 256.0 * 0x1p-24 * (double)(size + 5), &o);
        for (int64_t k = 0; k < size; k++)
            codes[k] = doubtful[k] ? trace->outputs[i][k] : codes[k];
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

// The codes that every level computes for a whole batch, on two threads.
static void check_levels(struct dc_imodel *m, const int8_t *wanted, const int8_t *input,
                         int samples)
{
    const int64_t out_size = dc_ilayer_size(dc_imodel_output(m));
    int8_t *output = calloc((size_t)(out_size * samples), 1);
    assert_non_null(output);
    for (int isa = 0; isa <= (int)dc_isa_detected(); isa++) {
        struct dc_ctx *ctx = context(2, (enum dc_isa)isa);
        struct dc_engine *engine = NULL;
        assert_int_equal(dc_engine_create(&engine, ctx, m, NULL), DC_OK);
        dc_engine_run(engine, output, input, samples);
        for (int64_t i = 0; i < out_size * samples; i++) {
            if (output[i] != wanted[i])
                fail_msg("%s, %s, '%s': code %d is %d, not %d", dc_isa_name((enum dc_isa)isa),
                         m->profile->name, dc_imodel_output(m)->name, (int)i, output[i], wanted[i]);
        }
        dc_engine_free(engine);
        dc_ctx_free(ctx);
    }
    free(output);
}

// Every layer's trace against the oracle, then every level against the trace.
static void check_model(struct dc_imodel *m, int samples, struct dc_random *random)
{
    struct dc_ctx *ctx = context(1, DC_ISA_SCALAR);
    struct dc_engine *engine = NULL;
    struct dc_itrace *trace = NULL;
    const int64_t in_size = dc_ilayer_size(&m->layers[0]);
    const int64_t out_size = dc_ilayer_size(dc_imodel_output(m));
    int8_t *input = calloc((size_t)(in_size * samples), 1);
    int8_t *wanted = calloc((size_t)(out_size * samples), 1);
    assert_true(input && wanted);
    assert_int_equal(dc_engine_create(&engine, ctx, m, NULL), DC_OK);
    assert_int_equal(dc_itrace_create(&trace, m, NULL), DC_OK);
    test_fill_codes(input, in_size * samples, random);
    memset(input, -128, (size_t)in_size);
    if (samples > 1)
        memset(input + in_size, 127, (size_t)in_size);
    for (int s = 0; s < samples; s++) {
        dc_engine_trace(engine, trace, input + s * in_size);
        for (int i = 1; i < m->count; i++)
            check_layer(m, i, trace);
        memcpy(wanted + s * out_size, trace->outputs[m->count - 1], (size_t)out_size);
    }
    check_levels(m, wanted, input, samples);
    dc_itrace_free(trace);
    dc_engine_free(engine);
    dc_ctx_free(ctx);
    free(input);
    free(wanted);
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

static void convolution_grid_matches_definition(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 4, DC_PURPOSE_TEST, 0, 0);
    for (int trial = 0; trial < 300; trial++) {
        const struct dc_profile *profile = dc_profile_table()[trial % profile_count()];
        const bool depthwise = trial / profile_count() % 3 == 0;
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
        struct dc_imodel *m = test_one_layer_model(profile, 9 + (int)dc_random_below(&random, 5),
                                                   9 + (int)dc_random_below(&random, 5),
                                                   in_channels, &wanted, &random);
        check_model(m, 1, &random);
        dc_imodel_free(m);
    }
}

// All codes of all functions, over scales from where tables are steps to where they are flat.
static void tables_match_definition(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 15, DC_PURPOSE_TEST, 0, 0);
    for (int trial = 0; trial < 400; trial++) {
        const struct dc_profile *profile = dc_profile_table()[trial % profile_count()];
        const struct dc_ilayer wanted = {.op = DC_I_TABLE,
                                         .function = (enum dc_ifunction)(trial / 8 % 3)};
        struct dc_imodel *m = NULL;
        const float exponent = dc_random_between(&random, -12.0f, 2.0f);
        struct dc_ilayer input = {
            .name = "x",
            .op = DC_I_INPUT,
            .height = 1,
            .width = 16,
            .channels = 16,
            .scale = exp2f(profile->power_of_two ? rintf(exponent) : exponent),
            .bits = 8,
            .zero_point = (int)dc_random_below(&random, 256) - 128,
            .clamp_low = -128,
            .clamp_high = 127};
        assert_int_equal(dc_imodel_create(&m, "table", "", profile, NULL), DC_OK);
        assert_int_equal(dc_imodel_add(m, &input, NULL, NULL), DC_OK);
        test_add_layer(m, "table", &wanted, 0, -1, &random);
        check_model(m, 8, &random);
        const struct oracle_layer o = describe(m, &m->layers[1]);
        for (int code = -128; code < 128; code++) {
            bool doubtful = false;
            const int8_t have = m->layers[1].table[code + 128];
            const int8_t nearest = oracle_function_code(
                &doubtful, (enum oracle_function)wanted.function, code, closeness(m), &o);
            assert_true(abs(have - nearest) <= (doubtful || wanted.function == DC_F_H_SWISH));
            if (wanted.function == DC_F_H_SWISH && profile->h_swish_in_16_bits)
                assert_int_equal(have, oracle_h_swish16(code, &o));
        }
        dc_imodel_free(m);
    }
}

// Codes that TFLM gave where the exact value is within 3e-6 of a half: not the nearest ones.
static void near_halves_go_as_tflm_has_them(void **state)
{
    (void)state;
    for (int f = DC_F_SIGMOID; f <= DC_F_TANH; f++) {
        struct dc_ilayer x = {.scale = f == DC_F_TANH ? 1.0f / 256 : 1.0f / 128};
        struct dc_ilayer l = {.op = DC_I_TABLE,
                              .function = (enum dc_ifunction)f,
                              .clamp_low = -128,
                              .clamp_high = 127};
        l.scale = dc_ifunction_scale(l.function, &l.zero_point);
        int8_t tflm[DC_TABLE_CODES], nearest[DC_TABLE_CODES];
        dc_fill_table(tflm, &l, &x, dc_profile_find("tflm"));
        dc_fill_table(nearest, &l, &x, dc_profile_find("litert-reference"));
        for (int i = 0; i < DC_TABLE_CODES; i++)
            assert_int_equal(tflm[i] - nearest[i], i == 128 + 1 ? 1 : i == 128 - 1 ? -1 : 0);
    }
}

// A sigmoid's grid is fixed: another is refused.
static void other_grids_of_tables_are_refused(void **state)
{
    (void)state;
    struct dc_random random;
    struct dc_error error;
    dc_random_start(&random, 16, DC_PURPOSE_TEST, 0, 0);
    const struct dc_ilayer wanted = {.op = DC_I_TABLE, .function = DC_F_TANH};
    struct dc_imodel *m = test_one_layer_model(dc_profile_find("tflm"), 2, 2, 3, &wanted, &random);
    struct dc_ilayer again = m->layers[1];
    again.scale *= 2;
    assert_int_equal(dc_imodel_add(m, &again, NULL, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "tanh gives scale 0.0078125 and zero point 0"));
    again = m->layers[1];
    again.function = DC_IFUNCTION_COUNT;
    assert_int_equal(dc_imodel_add(m, &again, NULL, &error), DC_ERR_DATA);
    dc_imodel_free(m);
}

// Whether the level of this machine has a kernel for the model's last layer.
static bool has_kernel(const struct dc_imodel *m)
{
    struct dc_arena *arena = NULL;
    struct dc__fast_layer *fast = NULL;
    assert_int_equal(dc_arena_create(&arena, NULL), DC_OK);
    assert_int_equal(dc__fast_layer_create(&fast, arena, dc__engine_kernels_for(dc_isa_detected()),
                                           m, m->count - 1, NULL),
                     DC_OK);
    dc_arena_free(arena);
    return fast != NULL;
}

static bool has_level(void)
{
    return dc__engine_kernels_for(dc_isa_detected()) != NULL;
}

// Shapes around the kernels' tiles: more channels than a vector, rows longer and shorter than a
// tile, remainders of both, rows that run on (1x1), whole images (fully connected).
static void kernel_grid_matches_definition(void **state)
{
    (void)state;
    struct dc_random random;
    int kernels = 0, wide = 0;
    enum { TRIALS = 120, PROFILES = 6 };
    static const char *const names[PROFILES] = {"tflm",        "ruy",         "litert-xnnpack",
                                                "onnxruntime", "pot-half-up", "pot-half-even"};
    dc_random_start(&random, 14, DC_PURPOSE_TEST, 0, 0);
    for (int trial = 0; trial < TRIALS; trial++) {
        const int kernel = trial % 4 == 0 ? 1 : 3, pad = (int)dc_random_below(&random, 2);
        const int channels = 1 + (int)dc_random_below(&random, 40);
        const int stride = 1 + (int)dc_random_below(&random, 2);
        struct dc_ilayer wanted = {
            .op = trial % 6 == 1   ? DC_I_DEPTHWISE_CONV2D
                  : trial % 5 == 0 ? DC_I_FULLY_CONNECTED
                                   : DC_I_CONV2D,
            .channels = trial % 6 == 1   ? channels
                        : trial % 3 == 0 ? 16 * (1 + trial % 4)
                                         : 1 + (int)dc_random_below(&random, 70),
            .kernel_h = kernel,
            .kernel_w = kernel,
            .stride_h = stride,
            .stride_w = stride,
            .dilation_w = trial % 7 == 0 ? 2 : 1,
            .pad_top = pad,
            .pad_bottom = pad,
            .pad_left = pad,
            .pad_right = pad,
            .clamp_low = trial % 2 ? -90 : -128,
            .clamp_high = 127,
            .per_channel = true,
        };
        struct dc_imodel *m = test_one_layer_model(
            dc_profile_find(names[(trial + trial / 7) % PROFILES]), 5 + trial % 3,
            5 + (int)dc_random_below(&random, 40), channels, &wanted, &random);
        // Half to even of a shift is the float's while float32 holds the sum.
        wide += strcmp(m->profile->name, "pot-half-even") == 0 &&
                (m->layers[1].accumulator_high >= 1 << 24 ||
                 m->layers[1].accumulator_low <= -(1 << 24));
        kernels += has_kernel(m);
        check_model(m, 3, &random);
        dc_imodel_free(m);
    }
    assert_true(!has_level() || kernels == TRIALS - wide);
    assert_in_range(wide, 1, TRIALS / PROFILES - 1);
}

static struct dc_ilayer dense_layer(int channels, const int8_t *weights, const int32_t *biases,
                                    const float *scales)
{
    return (struct dc_ilayer){.name = "fc",
                              .op = DC_I_FULLY_CONNECTED,
                              .input_count = 1,
                              .height = 1,
                              .width = 1,
                              .channels = channels,
                              .scale = 1.0f,
                              .zero_point = -3,
                              .bits = 8,
                              .clamp_low = -128,
                              .clamp_high = 127,
                              .weight_bits = 8,
                              .per_channel = true,
                              .weights = weights,
                              .biases = biases,
                              .weight_scales = scales};
}

// Every right shift from 0 to 31, sums over the whole range that kernels take, exact ties of both
// roundings, in each way that kernels know: channel c has the factor 2^-c (or a little less), and
// weights that make sums odd multiples of its half. The last trials are what kernels must leave:
// wider sums, factors above 1.
static void kernel_rescale_matches_definition(void **state)
{
    (void)state;
    struct dc_random random;
    enum { CHANNELS = 96, INPUTS = 3 };
    static const char *const names[4] = {"tflm", "ruy", "onnxruntime", "litert-xnnpack"};
    dc_random_start(&random, 15, DC_PURPOSE_TEST, 0, 0);
    for (int trial = 0; trial < 32; trial++) {
        const bool too_wide = trial >= 24 && trial % 4 < 2, above_one = trial >= 24 && !too_wide;
        int8_t weights[CHANNELS * INPUTS];
        int32_t biases[CHANNELS];
        float scales[CHANNELS];
        for (int c = 0; c < CHANNELS; c++) {
            const int shift = c % 32;
            const int32_t limit = (too_wide ? INT32_MAX : 1 << 30) - 100000;
            const int32_t near = (1 << (shift < 7 ? 7 : shift > 22 ? 29 : shift + 7)) - 1;
            const int32_t most = too_wide || trial % 3 == 2 ? limit : near < limit ? near : limit;
            // Within 128 codes of 0, on a half of the last place; the last third: anywhere.
            biases[c] = (int32_t)dc_random_below(&random, (uint32_t)most) * (c % 2 ? -1 : 1);
            if (!too_wide && trial % 3 == 0 && shift > 0 && shift < 31)
                biases[c] = biases[c] / (1 << shift) * (1 << shift) + (1 << (shift - 1));
            scales[c] = ldexpf(trial % 3 == 1 ? dc_random_between(&random, 0.51f, 0.99f) : 0.5f,
                               -shift) *
                        (trial % 3 == 0 ? 2.0f : 1.0f);
            scales[c] = scales[c] >= 1.0f ? 0.5f : scales[c];
            scales[c] = too_wide ? scales[c] * 1.99f : above_one && shift == 0 ? 1.5f : scales[c];
            scales[c] = too_wide && shift == 0 ? 0.99f : scales[c];
        }
        for (int i = 0; i < CHANNELS * INPUTS; i++)
            weights[i] = (int8_t)((int)dc_random_below(&random, 255) - 127) * (i % INPUTS == 0);
        struct dc_imodel *m = NULL;
        const struct dc_ilayer input = {.name = "x",
                                        .op = DC_I_INPUT,
                                        .height = 1,
                                        .width = 1,
                                        .channels = INPUTS,
                                        .scale = 1.0f,
                                        .zero_point = trial * 8 - 128,
                                        .bits = 8,
                                        .clamp_low = -128,
                                        .clamp_high = 127};
        const struct dc_ilayer l = dense_layer(CHANNELS, weights, biases, scales);
        assert_int_equal(dc_imodel_create(&m, "rescale", "",
                                          dc_profile_find(names[(trial + trial / 4) % 4]), NULL),
                         DC_OK);
        assert_int_equal(dc_imodel_add(m, &input, NULL, NULL), DC_OK);
        assert_int_equal(dc_imodel_add(m, &l, NULL, NULL), DC_OK);
        assert_int_equal(has_kernel(m), has_level() && !too_wide && !above_one);
        check_model(m, 40, &random);
        dc_imodel_free(m);
    }
}

// The widest sums: 32,768 taps of one sign, beyond what 16-bit or saturating sums would hold.
static void long_sums_match_definition(void **state)
{
    (void)state;
    struct dc_random random;
    enum { CHANNELS = 3, SIDE = 16, DEPTH = 128, INPUTS = SIDE * SIDE * DEPTH };
    dc_random_start(&random, 16, DC_PURPOSE_TEST, 0, 0);
    int8_t *weights = malloc((size_t)CHANNELS * INPUTS);
    assert_non_null(weights);
    for (int c = 0; c < CHANNELS; c++)
        memset(weights + (size_t)c * INPUTS, c == 0 ? 127 : c == 1 ? -127 : 1, INPUTS);
    const float scales[CHANNELS] = {0x1p-24f, 0x1.3p-24f, 0x1p-17f};
    for (int trial = 0; trial < 4; trial++) {
        struct dc_imodel *m = NULL;
        const struct dc_ilayer input = {.name = "x",
                                        .op = DC_I_INPUT,
                                        .height = SIDE,
                                        .width = SIDE,
                                        .channels = DEPTH,
                                        .scale = 1.0f,
                                        .zero_point = trial < 2 ? -128 : 127,
                                        .bits = 8,
                                        .clamp_low = -128,
                                        .clamp_high = 127};
        const struct dc_ilayer l = dense_layer(CHANNELS, weights, (const int32_t[]){77, -78, 0},
                                               scales);
        assert_int_equal(dc_imodel_create(&m, "long", "", dc_profile_table()[trial % 2], NULL),
                         DC_OK);
        assert_int_equal(dc_imodel_add(m, &input, NULL, NULL), DC_OK);
        assert_int_equal(dc_imodel_add(m, &l, NULL, NULL), DC_OK);
        assert_true(!has_level() || has_kernel(m));
        check_model(m, 3, &random);
        dc_imodel_free(m);
    }
    free(weights);
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
        const struct dc_profile *profile = dc_profile_table()[trial % 3];
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

// Values that are alive together do not share bytes; the result does not depend on threads.
static void placement_and_threads(void **state)
{
    (void)state;
    struct dc_imodel *m = test_every_op_model(dc_profile_find("tflm"), 1);
    int64_t offsets[32], bytes = 0, sum = 0;
    assert_int_equal(dc_imodel_place(offsets, &bytes, m, DC_I_ALIGNMENT, NULL), DC_OK);
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
        struct dc_ctx *ctx = context(threads, dc_isa_detected());
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_matches_definition),
        cmocka_unit_test(tables_match_definition),
        cmocka_unit_test(near_halves_go_as_tflm_has_them),
        cmocka_unit_test(other_grids_of_tables_are_refused),
        cmocka_unit_test(convolution_grid_matches_definition),
        cmocka_unit_test(kernel_grid_matches_definition),
        cmocka_unit_test(kernel_rescale_matches_definition),
        cmocka_unit_test(long_sums_match_definition),
        cmocka_unit_test(extreme_scales_match_definition),
        cmocka_unit_test(placement_and_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
