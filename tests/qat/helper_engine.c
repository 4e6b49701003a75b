#include "tests/qat/helper_engine.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qat/engine.h"
#include "qat/profile.h"

struct dc_ctx *test_context(int threads, enum dc_isa isa)
{
    struct dc_ctx *ctx = NULL;
    const struct dc_ctx_config config = {.threads = threads, .isa = isa, .isa_given = true};
    assert_int_equal(dc_ctx_create(&ctx, &config, NULL), DC_OK);
    return ctx;
}

int test_profile_count(void)
{
    int count = 0;
    while (dc_profile_table()[count])
        count++;
    return count;
}

static enum oracle_codes codes_of(const char *profile)
{
    if (strcmp(profile, "tflm") == 0)
        return TFLM_CODES;
    if (strcmp(profile, "litert-xnnpack") == 0 || strcmp(profile, "litert-arm64") == 0)
        return XNNPACK_CODES;
    return strncmp(profile, "pot-", 4) == 0      ? NEAREST_CODES
           : strcmp(profile, "onnxruntime") == 0 ? ORT_CODES
                                                 : TFLITE_CODES;
}

struct oracle_layer test_describe(const struct dc_imodel *m, const struct dc_ilayer *l)
{
    const struct dc_ilayer *x = &m->layers[l->inputs[0]];
    const bool shifts = strncmp(m->profile->name, "pot-", 4) == 0;
    const bool delegate = strcmp(m->profile->name, "litert-xnnpack") == 0 ||
                          strcmp(m->profile->name, "litert-arm64") == 0;
    const struct dc_ilayer *other = &m->layers[l->inputs[l->op == DC_I_ADD]];
    return (struct oracle_layer){.fused = strcmp(m->profile->name, "onnxruntime") == 0 &&
                                          l->bits > 4 && x->bits > 4 && other->bits > 4,
                                 .single = strcmp(m->profile->name, "ruy") == 0 || shifts,
                                 .to_even = strcmp(m->profile->name, "pot-half-even") == 0,
                                 .away = strcmp(m->profile->name, "pot-half-away") == 0,
                                 .even = strcmp(m->profile->name, "onnxruntime") == 0 || delegate,
                                 .delegate = delegate,
                                 .float_product = strncmp(m->profile->name, "litert-", 7) == 0 ||
                                                  strcmp(m->profile->name, "ruy") == 0,
                                 .dense_away = strcmp(m->profile->name, "litert-reference") == 0,
                                 .vectors = strcmp(m->profile->name, "litert-builtin") == 0,
                                 .codes = codes_of(m->profile->name),
                                 .slope = l->parameters[0],
                                 .offset = l->parameters[1],
                                 .in_h = x->height,
                                 .in_w = x->width,
                                 .in_c = x->channels,
                                 .out_h = l->height,
                                 .out_w = l->width,
                                 .out_c = l->channels,
                                 .kernel_h = l->window.kernel[0],
                                 .kernel_w = l->window.kernel[1],
                                 .stride_h = l->window.stride[0],
                                 .stride_w = l->window.stride[1],
                                 .dilation_h = l->window.dilation[0],
                                 .dilation_w = l->window.dilation[1],
                                 .pad_top = l->window.before[0],
                                 .pad_left = l->window.before[1],
                                 .in_scale = x->scale,
                                 .out_scale = l->scale,
                                 .in_zero_point = x->zero_point,
                                 .out_zero_point = l->zero_point,
                                 .low = l->clamp_low,
                                 .high = l->clamp_high};
}

// The product of scales is rounded to float32 for fully connected layers with one weight scale
// under single rounding and in LiteRT's built-in kernels, and only there. Codes seldom show it, so
// the multipliers are compared themselves.
static void check_multipliers(const struct dc_ilayer *l, const struct oracle_layer *o)
{
    const bool in_float = (o->single || o->vectors) && l->op == DC_I_FULLY_CONNECTED &&
                          !l->per_channel;
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
                const int iy = y - l->window.before[0], ix = w - l->window.before[1];
                if (l->op == DC_I_PAD) {
                    const int ic = c - l->first_channel;
                    const bool inside = iy >= 0 && ix >= 0 && iy < x->height && ix < x->width &&
                                        ic >= 0 && ic < x->channels;
                    *to =
                        inside
                            ? trace->outputs[l->inputs[0]][(iy * x->width + ix) * x->channels + ic]
                            : (int8_t)x->zero_point;
                } else if (l->op == DC_I_SLICE) {
                    const int row = y * l->window.stride[0] + l->window.before[0];
                    const int column = w * l->window.stride[1] + l->window.before[1];
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

double test_closeness(const struct dc_imodel *m)
{
    return m->profile->runtime == DC_RUNTIME_TFLM ? 0x1p-16 : 1e-9;
}

// Every layer's codes and sums, computed by the oracle from the traced inputs of that layer.
static void check_layer(const struct dc_imodel *m, int i, const struct dc_itrace *trace)
{
    const struct dc_ilayer *l = &m->layers[i];
    const struct oracle_layer o = test_describe(m, l);
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
    } else if (l->op == DC_I_MULTIPLY) {
        const struct dc_ilayer *b = &m->layers[l->inputs[1]];
        const int shape[3] = {b->height, b->width, b->channels};
        oracle_integer_multiply(codes, sums, x, trace->outputs[l->inputs[1]], b->scale,
                                b->zero_point, shape, &o);
    } else if (l->op == DC_I_MEAN) {
        oracle_integer_mean(codes, sums, x, &o);
    } else if (l->op == DC_I_AVERAGE_POOL || l->op == DC_I_MAX_POOL) {
        oracle_integer_pool(codes, x, l->op == DC_I_AVERAGE_POOL, &o);
        has_sums = false;
    } else if (l->op == DC_I_TABLE) {
        for (int64_t k = 0; k < size; k++) {
            bool doubtful = false;
            codes[k] = l->function == DC_F_LEAKY_RELU ? oracle_leaky_relu(x[k], &o)
                       : l->function == DC_F_H_SWISH && m->profile->runtime >= DC_RUNTIME_TFLM
                           ? oracle_h_swish16(x[k], &o)
                           : oracle_function_code(&doubtful, (enum oracle_function)l->function,
                                                  x[k], test_closeness(m), &o);
            codes[k] = doubtful ? trace->outputs[i][k] : codes[k];
        }
        has_sums = false;
    } else if (l->op == DC_I_SOFTMAX) {
        bool doubtful[64] = {false};
        assert_true(size == l->channels && size <= 64);
        if (dc_profile_rounding(m->profile, l->op) == DC_ROUND_FIXED_POINT)
            oracle_integer_softmax(codes, x, &o);
        else if (dc_profile_rounding(m->profile, l->op) == DC_ROUND_16_BITS)
            oracle_short_softmax(codes, doubtful, x, &o);
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
        struct dc_ctx *ctx = test_context(2, (enum dc_isa)isa);
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
void test_check_model(struct dc_imodel *m, int samples, struct dc_random *random)
{
    struct dc_ctx *ctx = test_context(1, DC_ISA_SCALAR);
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
