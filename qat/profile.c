// Owns the profiles `tflm` (TensorFlow Lite Micro's reference kernels, CMSIS-NN) and `ruy`
// (TFLite's single rounding). They share every formula but the rounding of one requantization, so
// each kernel is written once over it. Formulae: TFLite reference kernels conv, add, reduce (mean),
// pooling. And `onnxruntime`: float32 factors, rounded half to even; `pot-...`: shifts alone.
// Does not know about windows or memory.
//
// Inputs: TFLite's QUANTIZE rounds a half away from zero (LiteRT kernels/internal/reference/
// quantize.h, TfLiteRound), as its delegate's callers do; ONNX's QuantizeLinear to the even integer
// (onnx/docs/Operators.md; onnxruntime mlas/lib/quantize.cpp).

#include "qat/profile.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "qat/fixed_point.h"
#include "qat/profile_internal.h"

typedef int32_t requantizer(int32_t x, int32_t multiplier, int32_t shift);

static inline void requantize(int8_t *codes, const int32_t *accumulators,
                              const struct dc_ilayer *layer, requantizer *round)
{
    for (int c = 0; c < layer->channels; c++)
        codes[c] = dc__finish(round(accumulators[c], layer->multipliers[c], layer->shifts[c]),
                              layer);
}

// Both operands are brought to the scale T / 2^20, T = 2 max(s_a, s_b), added there, and scaled
// once.
static inline void add(int8_t *codes, int32_t *sums, const int8_t *a, const int8_t *b,
                       const struct dc_ilayer *layer, int zero_point_a, int zero_point_b, int count,
                       requantizer *round)
{
    const int32_t *m = layer->multipliers, *s = layer->shifts;
    for (int i = 0; i < count; i++) {
        const int32_t left = (a[i] - zero_point_a) * (1 << ADD_LEFT_SHIFT);
        const int32_t right = (b[i] - zero_point_b) * (1 << ADD_LEFT_SHIFT);
        sums[i] = round(left, m[0], s[0]) + round(right, m[1], s[1]);
        codes[i] = dc__finish(round(sums[i], m[2], s[2]), layer);
    }
}

static inline void multiply(int8_t *codes, const int32_t *products, const struct dc_ilayer *layer,
                            int count, requantizer *round)
{
    for (int i = 0; i < count; i++)
        codes[i] = dc__finish(round(products[i], layer->multipliers[0], layer->shifts[0]), layer);
}

static inline void mean(int8_t *codes, const int32_t *accumulators, const struct dc_ilayer *layer,
                        requantizer *round)
{
    for (int c = 0; c < layer->channels; c++)
        codes[c] = dc__finish(round(accumulators[c], layer->multipliers[0], layer->shifts[0]),
                              layer);
}

// Rounds half away from zero by C's truncating division. Scale and zero point are the input's.
void dc__average(int8_t *codes, const int32_t *sums, const struct dc_ilayer *layer, int taps)
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
void dc__derive_weighted(struct dc_ilayer *layer, const struct dc_ilayer *input, int shift_max,
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

void dc__derive_product(struct dc_ilayer *layer, const struct dc_ilayer *const *inputs,
                        int shift_max, bool in_float)
{
    const float product = inputs[0]->scale * inputs[1]->scale, quotient = product / layer->scale;
    const double exact = (double)inputs[0]->scale * (double)inputs[1]->scale / (double)layer->scale;
    dc_quantize_multiplier(&layer->multipliers[0], &layer->shifts[0],
                           fmin(in_float ? (double)quotient : exact, 0x1p100), shift_max);
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
        dc__derive_weighted(layer, inputs[0], shift_max, shift_max == SHIFT_MAX_SINGLE);
    else if (layer->op == DC_I_ADD)
        derive_add(layer, inputs[0], inputs[1], shift_max);
    else if (layer->op == DC_I_MULTIPLY)
        dc__derive_product(layer, inputs, shift_max, shift_max == SHIFT_MAX_SINGLE);
    else if (layer->op == DC_I_MEAN)
        derive_mean(layer, inputs[0], shift_max);
}

// One profile from one rounding.
#define DC_PROFILE_KERNELS(storage, name, round, shift_max)                                        \
    storage void name##_derive(struct dc_ilayer *layer, const struct dc_ilayer *const *inputs)     \
    {                                                                                              \
        derive(layer, inputs, shift_max);                                                          \
    }                                                                                              \
    storage void name##_requantize(int8_t *codes, const int32_t *accumulators,                     \
                                   const struct dc_ilayer *layer, const struct dc_ilayer *input)   \
    {                                                                                              \
        (void)input;                                                                               \
        requantize(codes, accumulators, layer, round);                                             \
    }                                                                                              \
    storage void name##_add(int8_t *codes, int32_t *sums, const int8_t *a, const int8_t *b,        \
                            const struct dc_ilayer *layer, int zero_point_a, int zero_point_b,     \
                            int64_t first, int count)                                              \
    {                                                                                              \
        (void)first;                                                                               \
        add(codes, sums, a, b, layer, zero_point_a, zero_point_b, count, round);                   \
    }                                                                                              \
    storage void name##_multiply(int8_t *codes, const int32_t *products,                           \
                                 const struct dc_ilayer *layer, int count)                         \
    {                                                                                              \
        multiply(codes, products, layer, count, round);                                            \
    }                                                                                              \
    storage void name##_mean(int8_t *codes, const int32_t *accumulators,                           \
                             const struct dc_ilayer *layer, const struct dc_ilayer *input)         \
    {                                                                                              \
        (void)input;                                                                               \
        mean(codes, accumulators, layer, round);                                                   \
    }

DC_PROFILE_KERNELS(, dc__tflm, dc_requantize_double, SHIFT_MAX_DOUBLE)
DC_PROFILE_KERNELS(static, ruy, dc_requantize_single, SHIFT_MAX_SINGLE)
DC_PROFILE_KERNELS(static, half_even, dc_requantize_half_even, SHIFT_MAX_SINGLE)
DC_PROFILE_KERNELS(static, half_away, dc_requantize_half_away, SHIFT_MAX_SINGLE)

static const struct dc_profile profile_tflm = {
    .name = "tflm",
    .input = DC_CODE_HALF_AWAY,
    .runtime = DC_RUNTIME_TFLM,
    .rounding = DC_ROUND_DOUBLE,
    .formula = "RDivPOT(SRDHM(x * 2^max(s, 0), m), max(-s, 0))",
    .ops = {[DC_I_SOFTMAX] = {.rounding = DC_ROUND_FIXED_POINT}},
    .derive = dc__tflm_derive,
    .requantize = dc__tflm_requantize,
    .add = dc__tflm_add,
    .multiply = dc__tflm_multiply,
    .mean = dc__tflm_mean,
    .average = dc__average,
};

static const struct dc_profile profile_ruy = {
    .name = "ruy",
    .input = DC_CODE_HALF_AWAY,
    .runtime = DC_RUNTIME_TFLITE,
    .rounding = DC_ROUND_SINGLE,
    .formula = "(x * m + 2^(30 - s)) >> (31 - s)",
    .derive = ruy_derive,
    .requantize = ruy_requantize,
    .add = ruy_add,
    .multiply = ruy_multiply,
    .mean = ruy_mean,
    .average = dc__average,
};

// Scales are powers of two, so that a requantization is one shift and an addition aligns its
// operands without loss; only the rounding of that shift differs, and is that of the input too.
// Half upward is ruy's formula; half away from zero is what high-level synthesis calls AP_RND_INF
// (Vitis HLS, ap_fixed). A mean over a number of positions that is no power of two
// multiplies by its reciprocal, as there.
#define DC_SHIFTING_PROFILE(id, name_, input_, rule, kernels, formula_)                            \
    static const struct dc_profile id = {                                                          \
        .name = (name_),                                                                           \
        .input = (input_),                                                                         \
        .rounding = (rule),                                                                        \
        .formula = (formula_),                                                                     \
        .power_of_two = true,                                                                      \
        .derive = kernels##_derive,                                                                \
        .requantize = kernels##_requantize,                                                        \
        .add = kernels##_add,                                                                      \
        .multiply = kernels##_multiply,                                                            \
        .mean = kernels##_mean,                                                                    \
        .average = dc__average,                                                                    \
    }

DC_SHIFTING_PROFILE(profile_pot_half_up, "pot-half-up", DC_CODE_HALF_UP, DC_ROUND_SINGLE, ruy,
                    "(x + 2^(n - 1)) >> n, n = 1 - s");
DC_SHIFTING_PROFILE(profile_pot_half_even, "pot-half-even", DC_CODE_HALF_EVEN, DC_ROUND_HALF_EVEN,
                    half_even, "half_to_even(x / 2^n), n = 1 - s");
DC_SHIFTING_PROFILE(profile_pot_half_away, "pot-half-away", DC_CODE_HALF_AWAY, DC_ROUND_HALF_AWAY,
                    half_away, "(x + 2^(n - 1) - (x < 0)) >> n, n = 1 - s");

// ONNX Runtime: an integer sum becomes a float32, is multiplied by one float32 factor and rounded
// half to even. An addition of int8 codes is QLinearAdd's on x86: fused multiply-adds, the zero
// points in one offset, so that ties go to even codes; of 4 bits, which ONNX Runtime fuses to no
// integer operator, it is QuantizeLinear's of a float32 sum, as are averages. A factor's 24 bits
// stand exactly in multiplier and shift. Formulae: onnxruntime mlas/lib/quantize.cpp,
// mlas/lib/intrinsics/avx2/qladd_avx2.cpp, onnx/docs/Operators.md (QuantizeLinear).

enum { INT4_BITS = 4 };

// value with its sign; below 2^-32 it is 0, above 2^60 it is that: the clamp comes next.
static void set_factor(struct dc_ilayer *layer, int i, float value)
{
    const double size = fabs((double)value);
    dc_quantize_multiplier(&layer->multipliers[i], &layer->shifts[i],
                           size < 0x1p100 ? size : 0x1p100, SHIFT_MAX_EVEN);
    if (value < 0.0f)
        layer->multipliers[i] = -layer->multipliers[i];
}

// Of QLinearAdd: both ratios of scales, and the offset, in which the second product is rounded.
static void fused_derive(struct dc_ilayer *layer, const struct dc_ilayer *const *inputs)
{
    const float first = inputs[0]->scale / layer->scale, second = inputs[1]->scale / layer->scale;
    const float share = second * (float)inputs[1]->zero_point;
    set_factor(layer, 0, first);
    set_factor(layer, 1, second);
    set_factor(layer, 2,
               (float)layer->zero_point - fmaf(first, (float)inputs[0]->zero_point, share));
}

// The scales of an addition of floats are all taken times one power of two, which changes no
// rounding, so that the output's is near 1.
void dc__even_derive(struct dc_ilayer *layer, const struct dc_ilayer *const *inputs)
{
    const struct dc_ilayer *x = inputs[0];
    int exponent;
    frexpf(layer->scale, &exponent);
    for (int i = 0; i < layer->rescales; i++) {
        if (layer->op == DC_I_ADD)
            set_factor(layer, i, ldexpf((i < 2 ? inputs[i] : layer)->scale, -exponent));
        else if (layer->op == DC_I_MULTIPLY)
            set_factor(layer, i, x->scale * inputs[1]->scale / layer->scale);
        else if (layer->op == DC_I_MEAN)
            set_factor(layer, i,
                       x->scale / (layer->scale * (float)((int64_t)x->height * x->width)));
        else
            set_factor(layer, i, x->scale * layer->weight_scales[i] / layer->scale);
    }
}

static void onnxruntime_derive(struct dc_ilayer *layer, const struct dc_ilayer *const *inputs)
{
    layer->fused = layer->op == DC_I_ADD && layer->bits > INT4_BITS &&
                   inputs[0]->bits > INT4_BITS && inputs[1]->bits > INT4_BITS;
    if (layer->fused)
        fused_derive(layer, inputs);
    else
        dc__even_derive(layer, inputs);
}

void dc__even_requantize(int8_t *codes, const int32_t *accumulators, const struct dc_ilayer *layer,
                         const struct dc_ilayer *input)
{
    (void)input;
    for (int c = 0; c < layer->channels; c++)
        codes[c] = dc__finish(dc__nearest_even((float)accumulators[c] * dc__factor_of(layer, c)),
                              layer);
}

// sums: in steps of the output from its zero point, before the clamp.
static void even_add(int8_t *codes, int32_t *sums, const int8_t *a, const int8_t *b,
                     const struct dc_ilayer *layer, int zero_point_a, int zero_point_b,
                     int64_t first, int count)
{
    const float left = dc__factor_of(layer, 0), right = dc__factor_of(layer, 1);
    const float last = dc__factor_of(layer, 2);  // offset, or the output's step
    (void)first;
    for (int i = 0; i < count; i++) {
        if (layer->fused) {
            const float inner = fmaf((float)b[i], right, last);
            sums[i] = dc__nearest_even(fmaf((float)a[i], left, inner)) - layer->zero_point;
        } else {
            const float x = left * (float)(a[i] - zero_point_a);
            const float y = right * (float)(b[i] - zero_point_b);
            sums[i] = dc__nearest_even((x + y) / last);
        }
        codes[i] = dc__finish(sums[i], layer);
    }
}

// QLinearMul: the zero point is added before the rounding. Formula: onnxruntime
// mlas/lib/qlmul.cpp.
static void even_multiply(int8_t *codes, const int32_t *products, const struct dc_ilayer *layer,
                          int count)
{
    const float factor = dc__factor_of(layer, 0);
    for (int i = 0; i < count; i++) {
        const float scaled = (float)products[i] * factor;
        const int32_t code = dc__nearest_even(scaled + (float)layer->zero_point);
        codes[i] = dc__finish(code - layer->zero_point, layer);
    }
}

static const char *onnxruntime_refuses(const struct dc_ilayer *layer,
                                       const struct dc_ilayer *const *inputs)
{
    const bool few = layer->op == DC_I_MULTIPLY &&
                     (layer->bits <= INT4_BITS || inputs[0]->bits <= INT4_BITS ||
                      inputs[1]->bits <= INT4_BITS);
    return few ? "ONNX Runtime has no integer product of values of 4 bits" : NULL;
}

static void even_mean(int8_t *codes, const int32_t *accumulators, const struct dc_ilayer *layer,
                      const struct dc_ilayer *input)
{
    (void)input;
    const float factor = dc__factor_of(layer, 0);
    for (int c = 0; c < layer->channels; c++)
        codes[c] = dc__finish(dc__nearest_even((float)accumulators[c] * factor), layer);
}

// Even is counted from the zero point.
static void even_average(int8_t *codes, const int32_t *sums, const struct dc_ilayer *layer,
                         int taps)
{
    for (int c = 0; c < layer->channels; c++) {
        const int32_t sum = sums[c] - taps * layer->zero_point;
        codes[c] = dc__finish(dc__nearest_even((float)sum / (float)taps), layer);
    }
}

static const struct dc_profile profile_onnxruntime = {
    .name = "onnxruntime",
    .input = DC_CODE_HALF_EVEN,
    .runtime = DC_RUNTIME_ONNX,
    .rounding = DC_ROUND_FLOAT_EVEN,
    .formula = "half_to_even(float32(float32(x) * float32(m * 2^(s - 31))))",
    .ops = {[DC_I_ADD] = {.rounding = DC_ROUND_FLOAT_EVEN_FUSED},
            [DC_I_MULTIPLY] = {.rounding = DC_ROUND_FLOAT_EVEN_OFFSET}},
    .refuses = onnxruntime_refuses,
    .derive = onnxruntime_derive,
    .requantize = dc__even_requantize,
    .add = even_add,
    .multiply = even_multiply,
    .mean = even_mean,
    .average = even_average,
};

static const struct dc_profile *const profiles[] = {&profile_tflm,
                                                    &profile_ruy,
                                                    &dc__profile_litert_reference,
                                                    &dc__profile_litert_xnnpack,
                                                    &dc__profile_litert_arm64,
                                                    &dc__profile_litert_builtin,
                                                    &profile_onnxruntime,
                                                    &profile_pot_half_up,
                                                    &profile_pot_half_even,
                                                    &profile_pot_half_away,
                                                    NULL};

const char *dc_code_rounding_name(enum dc_code_rounding rule)
{
    static const char *const names[] = {[DC_CODE_OF_PRODUCT] = "of_product",
                                        [DC_CODE_HALF_AWAY] = "half_away",
                                        [DC_CODE_HALF_EVEN] = "half_even",
                                        [DC_CODE_HALF_UP] = "half_up"};
    return names[rule];
}

double dc_dense_factor(const struct dc_ilayer *layer, const struct dc_ilayer *input, int channel)
{
    return (double)input->scale * (double)layer->weight_scales[channel] / (double)layer->scale;
}

const char *dc_rounding_name(enum dc_rounding rounding)
{
    static const char *const names[] = {
        [DC_AS_PROFILE] = "as_profile",
        [DC_ROUND_DOUBLE] = "double",
        [DC_ROUND_DOUBLE_UP] = "double_up",
        [DC_ROUND_DOUBLE_BLOCKS] = "double_blocks",
        [DC_ROUND_DOUBLE_AWAY] = "double_away",
        [DC_ROUND_SINGLE] = "single",
        [DC_ROUND_HALF_EVEN] = "half_even",
        [DC_ROUND_HALF_AWAY] = "half_away",
        [DC_ROUND_FLOAT_EVEN] = "float_even",
        [DC_ROUND_FLOAT_EVEN_FUSED] = "float_even_fused",
        [DC_ROUND_FLOAT_EVEN_OFFSET] = "float_even_offset",
        [DC_ROUND_PLANE] = "plane",
        [DC_ROUND_FIXED_POINT] = "fixed_point",
        [DC_ROUND_16_BITS] = "16_bits",
    };
    static_assert(sizeof names / sizeof names[0] == DC_ROUNDING_COUNT, "one name a rounding");
    return names[rounding];
}

enum dc_rounding dc_profile_rounding(const struct dc_profile *profile, enum dc_iop op)
{
    const enum dc_rounding own = profile->ops[op].rounding;
    return own == DC_AS_PROFILE ? profile->rounding : own;
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
