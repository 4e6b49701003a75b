// Owns the profiles `tflm` (TensorFlow Lite Micro's reference kernels, CMSIS-NN) and `ruy`
// (TFLite's single rounding). They share every formula but the rounding of one requantization, so
// each kernel is written once over it. Formulae: TFLite reference kernels conv, add, reduce (mean),
// pooling. And `onnxruntime`: float32 factors, rounded half to even; `litert-...`: LiteRT. And
// `pot-...`: shifts alone. Does not know about windows or memory.

#include "qat/profile.h"

#include <math.h>
#include <string.h>

#include "qat/fixed_point.h"

typedef int32_t rounding(int32_t x, int32_t multiplier, int32_t shift);

enum { ADD_LEFT_SHIFT = 20, SHIFT_MAX_DOUBLE = 1024, SHIFT_MAX_SINGLE = 30, SHIFT_MAX_EVEN = 60 };

// Compared before the zero point is added, so that nothing overflows.
static inline int8_t finish(int32_t value, const struct dc_ilayer *layer)
{
    const int32_t low = layer->clamp_low - layer->zero_point;
    const int32_t high = layer->clamp_high - layer->zero_point;
    return (int8_t)((value < low ? low : value > high ? high : value) + layer->zero_point);
}

static inline void requantize(int8_t *codes, const int32_t *accumulators,
                              const struct dc_ilayer *layer, rounding *round)
{
    for (int c = 0; c < layer->channels; c++)
        codes[c] = finish(round(accumulators[c], layer->multipliers[c], layer->shifts[c]), layer);
}

// Both operands are brought to the scale T / 2^20, T = 2 max(s_a, s_b), added there, and scaled
// once.
static inline void add(int8_t *codes, int32_t *sums, const int8_t *a, const int8_t *b,
                       const struct dc_ilayer *layer, int zero_point_a, int zero_point_b, int count,
                       rounding *round)
{
    const int32_t *m = layer->multipliers, *s = layer->shifts;
    for (int i = 0; i < count; i++) {
        const int32_t left = (a[i] - zero_point_a) * (1 << ADD_LEFT_SHIFT);
        const int32_t right = (b[i] - zero_point_b) * (1 << ADD_LEFT_SHIFT);
        sums[i] = round(left, m[0], s[0]) + round(right, m[1], s[1]);
        codes[i] = finish(round(sums[i], m[2], s[2]), layer);
    }
}

static inline void mean(int8_t *codes, const int32_t *accumulators, const struct dc_ilayer *layer,
                        rounding *round)
{
    for (int c = 0; c < layer->channels; c++)
        codes[c] = finish(round(accumulators[c], layer->multipliers[0], layer->shifts[0]), layer);
}

// Rounds half away from zero by C's truncating division. Scale and zero point are the input's.
static void average(int8_t *codes, const int32_t *sums, const struct dc_ilayer *layer, int taps)
{
    for (int c = 0; c < layer->channels; c++) {
        const int32_t half = sums[c] > 0 ? taps / 2 : -(taps / 2);
        const int32_t value = (sums[c] + half) / taps;
        codes[c] = (int8_t)(value < layer->clamp_low    ? layer->clamp_low
                            : value > layer->clamp_high ? layer->clamp_high
                                                        : value);
    }
}

// Scales are multiplied in double. LiteRT's built-in kernel, and ruy's profile, round the product
// s_in * s_w of fully connected layers with one weight scale to float32 first (float_product), as
// TFLM did once.
static void derive_weighted(struct dc_ilayer *layer, const struct dc_ilayer *input, int shift_max,
                            bool float_product)
{
    const bool product_in_float = float_product && layer->op == DC_I_FULLY_CONNECTED &&
                                  !layer->per_channel;
    for (int c = 0; c < layer->channels; c++) {
        const float in_float = input->scale * layer->weight_scales[c];
        const double product = product_in_float
                                   ? (double)in_float
                                   : (double)input->scale * (double)layer->weight_scales[c];
        dc_quantize_multiplier(&layer->multipliers[c], &layer->shifts[c],
                               product / (double)layer->scale, shift_max);
    }
}

static void derive_add(struct dc_ilayer *layer, const struct dc_ilayer *a,
                       const struct dc_ilayer *b, int shift_max)
{
    const double s_a = (double)a->scale, s_b = (double)b->scale;
    const double twice_max = 2.0 * (s_a < s_b ? s_b : s_a);
    const double factors[3] = {s_a / twice_max, s_b / twice_max,
                               twice_max / ((1 << ADD_LEFT_SHIFT) * (double)layer->scale)};
    for (int i = 0; i < 3; i++)
        dc_quantize_multiplier(&layer->multipliers[i], &layer->shifts[i], factors[i], shift_max);
}

// The division by the number of positions goes into the multiplier, which is first shifted up by as
// many bits as that number has, so that no precision is lost.
static void derive_mean(struct dc_ilayer *layer, const struct dc_ilayer *input, int shift_max)
{
    int32_t m, s;
    dc_quantize_multiplier(&m, &s, (double)input->scale / (double)layer->scale, shift_max);
    const int64_t positions = (int64_t)input->height * input->width;
    int bits = 0;
    while ((positions >> (bits + 1)) != 0)
        bits++;
    bits = bits > 32 ? 32 : bits;
    bits = bits > 31 + s ? 31 + s : bits;
    layer->multipliers[0] = (int32_t)(((int64_t)m << bits) / positions);
    layer->shifts[0] = s - bits;
}

static inline void derive(struct dc_ilayer *layer, const struct dc_ilayer *const *inputs,
                          int shift_max)
{
    if (dc_ilayer_has_weights(layer))
        derive_weighted(layer, inputs[0], shift_max, shift_max == SHIFT_MAX_SINGLE);
    else if (layer->op == DC_I_ADD)
        derive_add(layer, inputs[0], inputs[1], shift_max);
    else if (layer->op == DC_I_MEAN)
        derive_mean(layer, inputs[0], shift_max);
}

// One profile from one rounding.
#define DC_PROFILE_KERNELS(name, round, shift_max)                                                 \
    static void name##_derive(struct dc_ilayer *layer, const struct dc_ilayer *const *inputs)      \
    {                                                                                              \
        derive(layer, inputs, shift_max);                                                          \
    }                                                                                              \
    static void name##_requantize(int8_t *codes, const int32_t *accumulators,                      \
                                  const struct dc_ilayer *layer, const struct dc_ilayer *input)    \
    {                                                                                              \
        (void)input;                                                                               \
        requantize(codes, accumulators, layer, round);                                             \
    }                                                                                              \
    static void name##_add(int8_t *codes, int32_t *sums, const int8_t *a, const int8_t *b,         \
                           const struct dc_ilayer *layer, int zero_point_a, int zero_point_b,      \
                           int count)                                                              \
    {                                                                                              \
        add(codes, sums, a, b, layer, zero_point_a, zero_point_b, count, round);                   \
    }                                                                                              \
    static void name##_mean(int8_t *codes, const int32_t *accumulators,                            \
                            const struct dc_ilayer *layer, const struct dc_ilayer *input)          \
    {                                                                                              \
        (void)input;                                                                               \
        mean(codes, accumulators, layer, round);                                                   \
    }

DC_PROFILE_KERNELS(tflm, dc_requantize_double, SHIFT_MAX_DOUBLE)
DC_PROFILE_KERNELS(ruy, dc_requantize_single, SHIFT_MAX_SINGLE)
DC_PROFILE_KERNELS(half_even, dc_requantize_half_even, SHIFT_MAX_SINGLE)

static const struct dc_profile profile_tflm = {
    .name = "tflm",
    .h_swish_in_16_bits = true,
    .sigmoid_in_32_bits = true,
    .rounding = "double",
    .formula = "RDivPOT(SRDHM(x * 2^max(s, 0), m), max(-s, 0))",
    .ops = {[DC_I_SOFTMAX] = {.rounding = "fixed_point"}},
    .derive = tflm_derive,
    .requantize = tflm_requantize,
    .add = tflm_add,
    .mean = tflm_mean,
    .average = average,
};

static const struct dc_profile profile_ruy = {
    .name = "ruy",
    .h_swish_in_16_bits = true,
    .rounding = "single",
    .formula = "(x * m + 2^(30 - s)) >> (31 - s)",
    .derive = ruy_derive,
    .requantize = ruy_requantize,
    .add = ruy_add,
    .mean = ruy_mean,
    .average = average,
};

// Scales are powers of two, so that a requantization is one shift and an addition aligns its
// operands without loss; only the rounding of that shift differs. Half upward is ruy's formula. A
// mean over a number of positions that is no power of two multiplies by its reciprocal, as there.
#define DC_SHIFTING_PROFILE(id, name_, rule, kernels, formula_)                                    \
    static const struct dc_profile id = {                                                          \
        .name = (name_),                                                                           \
        .rounding = (rule),                                                                        \
        .formula = (formula_),                                                                     \
        .power_of_two = true,                                                                      \
        .derive = kernels##_derive,                                                                \
        .requantize = kernels##_requantize,                                                        \
        .add = kernels##_add,                                                                      \
        .mean = kernels##_mean,                                                                    \
        .average = average,                                                                        \
    }

DC_SHIFTING_PROFILE(profile_pot_half_up, "pot-half-up", "single", ruy,
                    "(x + 2^(n - 1)) >> n, n = 1 - s");
DC_SHIFTING_PROFILE(profile_pot_half_even, "pot-half-even", "half_even", half_even,
                    "half_to_even(x / 2^n), n = 1 - s");

// ONNX Runtime: an integer sum becomes a float32, is multiplied by one float32 factor and rounded
// half to even; additions and averages are those of QuantizeLinear over float32 values. A factor's
// 24 bits stand exactly in multiplier and shift. Formulae: onnxruntime mlas/lib/quantize.cpp,
// onnx/docs/Operators.md (QuantizeLinear).

static inline float factor_of(const struct dc_ilayer *layer, int i)
{
    return ldexpf((float)layer->multipliers[i], layer->shifts[i] - 31);
}

// Beyond int8 by far is far enough: the clamp comes next.
static inline int32_t nearest_even(float value)
{
    const float limited = value < -0x1p20f ? -0x1p20f : value > 0x1p20f ? 0x1p20f : value;
    return (int32_t)rintf(limited);
}

// The scales of an addition are all taken times one power of two, which changes no rounding, so
// that the output's is near 1. Factors above 2^60 saturate whatever they multiply.
static void even_derive(struct dc_ilayer *layer, const struct dc_ilayer *const *inputs)
{
    const struct dc_ilayer *x = inputs[0];
    int exponent;
    frexpf(layer->scale, &exponent);
    for (int i = 0; i < layer->rescales; i++) {
        double factor;
        if (layer->op == DC_I_ADD)
            factor = ldexp((double)(i < 2 ? inputs[i] : layer)->scale, -exponent);
        else if (layer->op == DC_I_MEAN)
            factor = (double)(x->scale / (layer->scale * (float)((int64_t)x->height * x->width)));
        else
            factor = (double)(x->scale * layer->weight_scales[i] / layer->scale);
        dc_quantize_multiplier(&layer->multipliers[i], &layer->shifts[i],
                               factor < 0x1p100 ? factor : 0x1p100, SHIFT_MAX_EVEN);
    }
}

static void even_requantize(int8_t *codes, const int32_t *accumulators,
                            const struct dc_ilayer *layer, const struct dc_ilayer *input)
{
    (void)input;
    for (int c = 0; c < layer->channels; c++)
        codes[c] = finish(nearest_even((float)accumulators[c] * factor_of(layer, c)), layer);
}

// sums: in steps of the output, before the clamp.
static void even_add(int8_t *codes, int32_t *sums, const int8_t *a, const int8_t *b,
                     const struct dc_ilayer *layer, int zero_point_a, int zero_point_b, int count)
{
    const float first = factor_of(layer, 0), second = factor_of(layer, 1);
    const float step = factor_of(layer, 2);
    for (int i = 0; i < count; i++) {
        const float left = first * (float)(a[i] - zero_point_a);
        const float right = second * (float)(b[i] - zero_point_b);
        sums[i] = nearest_even((left + right) / step);
        codes[i] = finish(sums[i], layer);
    }
}

static void even_mean(int8_t *codes, const int32_t *accumulators, const struct dc_ilayer *layer,
                      const struct dc_ilayer *input)
{
    (void)input;
    const float factor = factor_of(layer, 0);
    for (int c = 0; c < layer->channels; c++)
        codes[c] = finish(nearest_even((float)accumulators[c] * factor), layer);
}

// Even is counted from the zero point.
static void even_average(int8_t *codes, const int32_t *sums, const struct dc_ilayer *layer,
                         int taps)
{
    for (int c = 0; c < layer->channels; c++) {
        const int32_t sum = sums[c] - taps * layer->zero_point;
        codes[c] = finish(nearest_even((float)sum / (float)taps), layer);
    }
}

static const struct dc_profile profile_onnxruntime = {
    .name = "onnxruntime",
    .rounding = "float_even",
    .formula = "half_to_even(float32(float32(x) * float32(m * 2^(s - 31))))",
    .derive = even_derive,
    .requantize = even_requantize,
    .add = even_add,
    .mean = even_mean,
    .average = even_average,
};

// LiteRT's reference kernels: TFLM's arithmetic, but a fully connected layer multiplies by a double
// and rounds half away from zero, with one weight scale or many. Formula: LiteRT
// kernels/internal/reference/integer_ops/fully_connected.h.

static void reference_requantize(int8_t *codes, const int32_t *accumulators,
                                 const struct dc_ilayer *layer, const struct dc_ilayer *input)
{
    if (layer->op != DC_I_FULLY_CONNECTED) {
        tflm_requantize(codes, accumulators, layer, input);
        return;
    }
    for (int c = 0; c < layer->channels; c++) {
        const double factor = dc_dense_factor(layer, input, c);
        const double value = round(accumulators[c] * factor);
        codes[c] = finish(value < -0x1p20  ? -(1 << 20)
                          : value > 0x1p20 ? 1 << 20
                                           : (int32_t)value,
                          layer);
    }
}

static const struct dc_profile profile_litert_reference = {
    .name = "litert-reference",
    .h_swish_in_16_bits = true,
    .rounding = "double",
    .formula = "RDivPOT(SRDHM(x * 2^max(s, 0), m), max(-s, 0)); fully connected: "
               "round_half_away(x * s_in * s_w / s_out) in double",
    .ops = {[DC_I_FULLY_CONNECTED] = {.rounding = "double_away"},
            [DC_I_SOFTMAX] = {.rounding = "fixed_point"}},
    .derive = tflm_derive,
    .requantize = reference_requantize,
    .add = tflm_add,
    .mean = tflm_mean,
    .average = average,
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
    return NULL;
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
        even_derive(layer, inputs);
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
                        int count)
{
    const int32_t *m = layer->multipliers, *s = layer->shifts;
    for (int i = 0; i < count; i++) {
        sums[i] = m[0] * (a[i] - zero_point_a) + m[1] * (b[i] - zero_point_b);
        codes[i] = finish(dc_requantize_single(sums[i], m[2], s[2]), layer);
    }
}

static void xnnpack_mean(int8_t *codes, const int32_t *accumulators, const struct dc_ilayer *layer,
                         const struct dc_ilayer *input)
{
    const int32_t zero = input->height * input->width * input->zero_point;
    const float factor = factor_of(layer, 0);
    const float offset = (float)layer->zero_point - (float)zero * factor;
    for (int c = 0; c < layer->channels; c++) {
        const float scaled = (float)(accumulators[c] + zero) * factor;
        codes[c] = finish(nearest_even(scaled + offset) - layer->zero_point, layer);
    }
}

// The built-in softmax is another on 64-bit ARM.
#define DC_XNNPACK_PROFILE(id, name_, softmax)                                                     \
    static const struct dc_profile id = {                                                          \
        .name = (name_),                                                                           \
        .h_swish_in_16_bits = true,                                                                \
        .rounding = "float_even",                                                                  \
        .formula = "half_to_even(float32(float32(x) * float32(m * 2^(s - 31))))",                  \
        .ops = {[DC_I_CONV2D] = {.by = "delegate"},                                                \
                [DC_I_DEPTHWISE_CONV2D] = {.by = "delegate"},                                      \
                [DC_I_FULLY_CONNECTED] = {.by = "delegate"},                                       \
                [DC_I_ADD] = {.rounding = "plane", .by = "delegate"},                              \
                [DC_I_MEAN] = {.rounding = "float_even_offset", .by = "delegate"},                 \
                [DC_I_AVERAGE_POOL] = {.rounding = "half_away", .by = "built-in"},                 \
                [DC_I_SOFTMAX] = {.rounding = (softmax), .by = "built-in"}},                       \
        .refuses = xnnpack_refuses,                                                                \
        .derive = xnnpack_derive,                                                                  \
        .requantize = even_requantize,                                                             \
        .add = xnnpack_add,                                                                        \
        .mean = xnnpack_mean,                                                                      \
        .average = average,                                                                        \
    }

DC_XNNPACK_PROFILE(profile_litert_xnnpack, "litert-xnnpack", NULL);
DC_XNNPACK_PROFILE(profile_litert_arm64, "litert-arm64", "16_bits");

// LiteRT's built-in kernels, which run where it is given no delegate, on x86. TFLM's arithmetic,
// but the second rounding of a sum sends ties upward where vectors compute it: in all of a
// convolution or a fully connected layer (ruy), in whole blocks of 8 channels of a depthwise
// convolution and of 16 of a mean. A mean adds up codes as they are; the zero points' share is one
// rounded integer. Formulae: ruy ruy/kernel_avx512.cc; LiteRT
// kernels/internal/optimized/integer_ops; which channels are in blocks was measured
// (docs/integers.md).

enum { DEPTHWISE_BLOCK = 8, MEAN_BLOCK = 16 };

int dc_upward_channels(const struct dc_ilayer *layer)
{
    const int block = layer->op == DC_I_DEPTHWISE_CONV2D ? DEPTHWISE_BLOCK
                      : layer->op == DC_I_MEAN           ? MEAN_BLOCK
                                                         : 1;
    return layer->channels / block * block;
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
        derive_weighted(layer, x, SHIFT_MAX_DOUBLE, true);
    } else if (layer->op == DC_I_MEAN) {
        const float positions = (float)((int64_t)x->height * x->width);
        dc_quantize_multiplier(&layer->multipliers[0], &layer->shifts[0],
                               (double)(x->scale / (positions * layer->scale)), SHIFT_MAX_DOUBLE);
    } else {
        tflm_derive(layer, inputs);
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
        codes[c] = finish(round_twice(accumulators[c], layer, c, c < upward), layer);
}

static void builtin_mean(int8_t *codes, const int32_t *accumulators, const struct dc_ilayer *layer,
                         const struct dc_ilayer *input)
{
    const int32_t zero = input->height * input->width * input->zero_point;
    const int upward = dc_upward_channels(layer);
    const int32_t offset = dc_mean_offset(layer, input) - layer->zero_point;
    for (int c = 0; c < layer->channels; c++)
        codes[c] = finish(
            dc_saturate_int32((int64_t)round_twice(accumulators[c] + zero, layer, 0, c < upward) +
                              offset),
            layer);
}

static const struct dc_profile profile_litert_builtin = {
    .name = "litert-builtin",
    .h_swish_in_16_bits = true,
    .rounding = "double_up",
    .formula = "(SRDHM(x * 2^max(s, 0), m) + 2^(n - 1)) >> n, n = max(-s, 0); channels behind "
               "whole blocks of 8 (depthwise) or 16 (mean): RDivPOT(SRDHM(x * 2^max(s, 0), m), n)",
    .ops = {[DC_I_ADD] = {.rounding = "double"}},
    .refuses = builtin_refuses,
    .derive = builtin_derive,
    .requantize = builtin_requantize,
    .add = tflm_add,
    .mean = builtin_mean,
    .average = average,
};

static const struct dc_profile *const profiles[] = {&profile_tflm,
                                                    &profile_ruy,
                                                    &profile_litert_reference,
                                                    &profile_litert_xnnpack,
                                                    &profile_litert_arm64,
                                                    &profile_litert_builtin,
                                                    &profile_onnxruntime,
                                                    &profile_pot_half_up,
                                                    &profile_pot_half_even,
                                                    NULL};

double dc_dense_factor(const struct dc_ilayer *layer, const struct dc_ilayer *input, int channel)
{
    return (double)input->scale * (double)layer->weight_scales[channel] / (double)layer->scale;
}

const char *dc_profile_rounding(const struct dc_profile *profile, enum dc_iop op)
{
    return profile->ops[op].rounding ? profile->ops[op].rounding : profile->rounding;
}

const struct dc_profile *const *dc_profile_table(void)
{
    return profiles;
}

const struct dc_profile *dc_profile_find(const char *name)
{
    for (const struct dc_profile *const *p = profiles; *p; p++) {
        if (strcmp((*p)->name, name) == 0)
            return *p;
    }
    return NULL;
}
