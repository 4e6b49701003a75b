// Owns the profiles `litert-...`: LiteRT's reference kernels, its XNNPACK delegate on x86 and on
// 64-bit ARM, and its built-in kernels. Does not know about windows or memory.

#include <math.h>

#include "qat/fixed_point.h"
#include "qat/profile_internal.h"

// LiteRT's reference kernels: TFLM's arithmetic, but a fully connected layer multiplies by a double
// and rounds half away from zero, with one weight scale or many. Formula: LiteRT
// kernels/internal/reference/integer_ops/fully_connected.h.

static void reference_derive(struct dc_ilayer *layer, const struct dc_ilayer *const *inputs)
{
    if (layer->op == DC_I_MULTIPLY)
        dc__derive_product(layer, inputs, SHIFT_MAX_DOUBLE, true);
    else
        dc__tflm_derive(layer, inputs);
}

static void reference_requantize(int8_t *codes, const int32_t *accumulators,
                                 const struct dc_ilayer *layer, const struct dc_ilayer *input)
{
    if (layer->op != DC_I_FULLY_CONNECTED) {
        dc__tflm_requantize(codes, accumulators, layer, input);
        return;
    }
    for (int c = 0; c < layer->channels; c++) {
        const double factor = dc_dense_factor(layer, input, c);
        const double value = round(accumulators[c] * factor);
        codes[c] = dc__finish(value < -0x1p20  ? -(1 << 20)
                              : value > 0x1p20 ? 1 << 20
                                               : (int32_t)value,
                              layer);
    }
}

const struct dc_profile dc__profile_litert_reference = {
    .name = "litert-reference",
    .input = DC_CODE_HALF_AWAY,
    .runtime = DC_RUNTIME_TFLITE,
    .rounding = DC_ROUND_DOUBLE,
    .formula = "RDivPOT(SRDHM(x * 2^max(s, 0), m), max(-s, 0)); fully connected: "
               "round_half_away(x * s_in * s_w / s_out) in double",
    .ops = {[DC_I_FULLY_CONNECTED] = {.rounding = DC_ROUND_DOUBLE_AWAY},
            [DC_I_SOFTMAX] = {.rounding = DC_ROUND_FIXED_POINT}},
    .derive = reference_derive,
    .requantize = reference_requantize,
    .add = dc__tflm_add,
    .multiply = dc__tflm_multiply,
    .mean = dc__tflm_mean,
    .average = dc__average,
};

// LiteRT with its XNNPACK delegate. Weighted ops are as ONNX Runtime's. An addition is one plane of
// integers, multipliers of about 21 bits, and one shift with ties upward. A mean adds its zero
// point before it rounds, so that ties go to even codes, and takes the input's zero point off as a
// float32. Averages are left to a built-in kernel. Formulae: XNNPACK src/microparams-init.c,
// src/operators/reduce-nd.c, src/reference; the order of float32 operations was measured
// (docs/integers.md).

enum { PLANE_BITS = 20 };

static const char *xnnpack_refuses(const struct dc_ilayer *layer,
                                   const struct dc_ilayer *const *inputs)
{
    for (int c = 0; dc_ilayer_has_weights(layer) && c < layer->channels; c++) {
        if (!(inputs[0]->scale * layer->weight_scales[c] / layer->scale < 256.0f))
            return "LiteRT's XNNPACK delegate takes no factor s_in * s_w / s_out of 256 or more";
    }
    for (int i = 0; layer->op == DC_I_ADD && i < 2; i++) {
        const float ratio = inputs[i]->scale / layer->scale;
        if (!(ratio >= 0x1p-10f && ratio < 256.0f))
            return "LiteRT's XNNPACK delegate adds where s_in / s_out lies in [2^-10, 2^8) alone";
    }
    if (layer->op == DC_I_MULTIPLY) {
        const float factor = inputs[0]->scale * inputs[1]->scale / layer->scale;
        if (layer->inputs[0] == layer->inputs[1])
            return "LiteRT's XNNPACK delegate computes the square of a value by a table of its own";
        if (!(factor >= 0x1p-16f && factor < 256.0f))
            return "LiteRT's XNNPACK delegate multiplies where s_a * s_b / s_out lies in "
                   "[2^-16, 2^8) alone";
    }
    return NULL;
}

static void xnnpack_multiply(int8_t *codes, const int32_t *products, const struct dc_ilayer *layer,
                             int count)
{
    const float factor = dc__factor_of(layer, 0);
    for (int i = 0; i < count; i++)
        codes[i] = dc__finish(dc__nearest_even((float)products[i] * factor), layer);
}

static void xnnpack_derive(struct dc_ilayer *layer, const struct dc_ilayer *const *inputs)
{
    const struct dc_ilayer *x = inputs[0];
    if (layer->op == DC_I_MEAN) {
        const float share = 1.0f / (float)((int64_t)x->height * x->width);
        dc_quantize_multiplier(&layer->multipliers[0], &layer->shifts[0],
                               (double)(x->scale / layer->scale * share), SHIFT_MAX_EVEN);
        return;
    }
    if (layer->op != DC_I_ADD) {
        dc__even_derive(layer, inputs);
        return;
    }
    const float ratios[2] = {x->scale / layer->scale, inputs[1]->scale / layer->scale};
    int exponent;
    frexpf(ratios[0] < ratios[1] ? ratios[1] : ratios[0], &exponent);
    const int shift = PLANE_BITS - (exponent - 1);
    for (int i = 0; i < 2; i++) {
        layer->multipliers[i] = (int32_t)rint(ldexp((double)ratios[i], shift));
        layer->shifts[i] = 31 - shift;
    }
    layer->multipliers[2] = 1 << 30;  // a shift alone
    layer->shifts[2] = 1 - shift;
}

static void xnnpack_add(int8_t *codes, int32_t *sums, const int8_t *a, const int8_t *b,
                        const struct dc_ilayer *layer, int zero_point_a, int zero_point_b,
                        int64_t first, int count)
{
    const int32_t *m = layer->multipliers, *s = layer->shifts;
    (void)first;
    for (int i = 0; i < count; i++) {
        sums[i] = m[0] * (a[i] - zero_point_a) + m[1] * (b[i] - zero_point_b);
        codes[i] = dc__finish(dc_requantize_single(sums[i], m[2], s[2]), layer);
    }
}

static void xnnpack_mean(int8_t *codes, const int32_t *accumulators, const struct dc_ilayer *layer,
                         const struct dc_ilayer *input)
{
    const int32_t zero = input->height * input->width * input->zero_point;
    const float factor = dc__factor_of(layer, 0);
    const float offset = (float)layer->zero_point - (float)zero * factor;
    for (int c = 0; c < layer->channels; c++) {
        const float scaled = (float)(accumulators[c] + zero) * factor;
        codes[c] = dc__finish(dc__nearest_even(scaled + offset) - layer->zero_point, layer);
    }
}

// The built-in softmax is another on 64-bit ARM.
#define DC_XNNPACK_PROFILE(id, name_, softmax)                                                     \
    const struct dc_profile id = {                                                                 \
        .name = (name_),                                                                           \
        .input = DC_CODE_HALF_AWAY,                                                                \
        .runtime = DC_RUNTIME_XNNPACK,                                                             \
        .rounding = DC_ROUND_FLOAT_EVEN,                                                           \
        .formula = "half_to_even(float32(float32(x) * float32(m * 2^(s - 31))))",                  \
        .ops = {[DC_I_CONV2D] = {.by = "delegate"},                                                \
                [DC_I_DEPTHWISE_CONV2D] = {.by = "delegate"},                                      \
                [DC_I_FULLY_CONNECTED] = {.by = "delegate"},                                       \
                [DC_I_ADD] = {.rounding = DC_ROUND_PLANE, .by = "delegate"},                       \
                [DC_I_MULTIPLY] = {.by = "delegate"},                                              \
                [DC_I_MEAN] = {.rounding = DC_ROUND_FLOAT_EVEN_OFFSET, .by = "delegate"},          \
                [DC_I_AVERAGE_POOL] = {.rounding = DC_ROUND_HALF_AWAY, .by = "built-in"},          \
                [DC_I_SOFTMAX] = {.rounding = (softmax), .by = "built-in"}},                       \
        .refuses = xnnpack_refuses,                                                                \
        .derive = xnnpack_derive,                                                                  \
        .requantize = dc__even_requantize,                                                         \
        .add = xnnpack_add,                                                                        \
        .multiply = xnnpack_multiply,                                                              \
        .mean = xnnpack_mean,                                                                      \
        .average = dc__average,                                                                    \
    }

DC_XNNPACK_PROFILE(dc__profile_litert_xnnpack, "litert-xnnpack", DC_AS_PROFILE);
DC_XNNPACK_PROFILE(dc__profile_litert_arm64, "litert-arm64", DC_ROUND_16_BITS);

// LiteRT's built-in kernels, which run where it is given no delegate, on x86. TFLM's arithmetic,
// but the second rounding of a sum sends ties upward where vectors compute it: in all of a
// convolution or a fully connected layer (ruy), in whole blocks of 8 channels of a depthwise
// convolution and of 16 of a mean. A mean adds up codes as they are; the zero points' share is one
// rounded integer. An addition rounds each operand once in whole blocks of 16 of all its values, in
// what is left twice. Formulae: ruy ruy/kernel_avx512.cc; LiteRT
// kernels/internal/optimized/integer_ops; which channels are in blocks was measured
// (docs/integers.md).

enum { DEPTHWISE_BLOCK = 8, MEAN_BLOCK = 16, ADD_BLOCK = 16 };

int dc_upward_channels(const struct dc_ilayer *layer)
{
    const int block = layer->op == DC_I_DEPTHWISE_CONV2D ? DEPTHWISE_BLOCK
                      : layer->op == DC_I_MEAN           ? MEAN_BLOCK
                                                         : 1;
    return layer->channels / block * block;
}

int64_t dc_block_values(const struct dc_ilayer *layer)
{
    return dc_ilayer_size(layer) / ADD_BLOCK * ADD_BLOCK;
}

int dc_mean_offset(const struct dc_ilayer *layer, const struct dc_ilayer *input)
{
    const float share = (float)input->zero_point * input->scale / layer->scale;
    const float limited = share < -0x1p20f ? -0x1p20f : share > 0x1p20f ? 0x1p20f : share;
    return layer->zero_point - (int)(limited > 0.0f ? limited + 0.5f : limited - 0.5f);
}

// Sums are narrowed to 16 bits before they are clamped.
static const char *builtin_refuses(const struct dc_ilayer *layer,
                                   const struct dc_ilayer *const *inputs)
{
    double most = 128.0;
    for (int i = 0; layer->op == DC_I_ADD && i < 2; i++) {
        const int zero = inputs[i]->zero_point, widest = zero < 0 ? 127 - zero : 128 + zero;
        most += widest * (double)inputs[i]->scale / (double)layer->scale;
    }
    return most < 0x1p15 ? NULL : "LiteRT's built-in addition wraps sums beyond 16 bits";
}

static void builtin_derive(struct dc_ilayer *layer, const struct dc_ilayer *const *inputs)
{
    const struct dc_ilayer *x = inputs[0];
    if (layer->op == DC_I_FULLY_CONNECTED) {
        dc__derive_weighted(layer, x, SHIFT_MAX_DOUBLE, true);
    } else if (layer->op == DC_I_MULTIPLY) {
        dc__derive_product(layer, inputs, SHIFT_MAX_DOUBLE, true);
    } else if (layer->op == DC_I_MEAN) {
        const float positions = (float)((int64_t)x->height * x->width);
        dc_quantize_multiplier(&layer->multipliers[0], &layer->shifts[0],
                               (double)(x->scale / (positions * layer->scale)), SHIFT_MAX_DOUBLE);
    } else {
        dc__tflm_derive(layer, inputs);
    }
}

static inline int32_t round_twice(int32_t x, const struct dc_ilayer *layer, int entry, bool upward)
{
    const int32_t m = layer->multipliers[entry], s = layer->shifts[entry];
    return upward ? dc_requantize_double_up(x, m, s) : dc_requantize_double(x, m, s);
}

static void builtin_requantize(int8_t *codes, const int32_t *accumulators,
                               const struct dc_ilayer *layer, const struct dc_ilayer *input)
{
    (void)input;
    const int upward = dc_upward_channels(layer);
    for (int c = 0; c < layer->channels; c++)
        codes[c] = dc__finish(round_twice(accumulators[c], layer, c, c < upward), layer);
}

// v * 2^20 * m * 2^(s - 31): the shift first, down where it is to the right, then one rounding.
static inline int32_t scale_once(int32_t v, int32_t m, int32_t s)
{
    const int shift = ADD_LEFT_SHIFT + s;
    return dc_srdhm(shift < 0 ? v >> -shift : v * (1 << shift), m);
}

static void builtin_add(int8_t *codes, int32_t *sums, const int8_t *a, const int8_t *b,
                        const struct dc_ilayer *layer, int zero_point_a, int zero_point_b,
                        int64_t first, int count)
{
    const int32_t *m = layer->multipliers, *s = layer->shifts;
    const int64_t blocks = dc_block_values(layer) - first;
    const int once = (int)(blocks < 0 ? 0 : blocks < count ? blocks : count);
    for (int i = 0; i < once; i++) {
        sums[i] = scale_once(a[i] - zero_point_a, m[0], s[0]) +
                  scale_once(b[i] - zero_point_b, m[1], s[1]);
        codes[i] = dc__finish(dc_requantize_double(sums[i], m[2], s[2]), layer);
    }
    dc__tflm_add(codes + once, sums + once, a + once, b + once, layer, zero_point_a, zero_point_b,
                 first + once, count - once);
}

static void builtin_mean(int8_t *codes, const int32_t *accumulators, const struct dc_ilayer *layer,
                         const struct dc_ilayer *input)
{
    const int32_t zero = input->height * input->width * input->zero_point;
    const int upward = dc_upward_channels(layer);
    const int32_t offset = dc_mean_offset(layer, input) - layer->zero_point;
    for (int c = 0; c < layer->channels; c++)
        codes[c] = dc__finish(
            dc_saturate_int32((int64_t)round_twice(accumulators[c] + zero, layer, 0, c < upward) +
                              offset),
            layer);
}

const struct dc_profile dc__profile_litert_builtin = {
    .name = "litert-builtin",
    .input = DC_CODE_HALF_AWAY,
    .runtime = DC_RUNTIME_TFLITE,
    .rounding = DC_ROUND_DOUBLE_UP,
    .formula = "(SRDHM(x * 2^max(s, 0), m) + 2^(n - 1)) >> n, n = max(-s, 0); channels behind "
               "whole blocks of 8 (depthwise) or 16 (mean): RDivPOT(SRDHM(x * 2^max(s, 0), m), n)",
    .ops = {[DC_I_ADD] = {.rounding = DC_ROUND_DOUBLE_BLOCKS},
            [DC_I_MULTIPLY] = {.rounding = DC_ROUND_DOUBLE}},
    .refuses = builtin_refuses,
    .derive = builtin_derive,
    .requantize = builtin_requantize,
    .add = builtin_add,
    .multiply = dc__tflm_multiply,
    .mean = builtin_mean,
    .average = dc__average,
};
