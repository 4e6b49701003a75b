// Owns the tables of functions of one code: the nearest code, and where runtimes are not so exact,
// what they compute.

#include "qat/table.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "core/math.h"
#include "core/ops/ops.h"
#include "qat/fixed_point.h"
#include "qat/profile_internal.h"

static double sigmoid(double x, const float *k)
{
    (void)k;
    return dc_sigmoid(x);
}

static double hyperbolic_tangent(double x, const float *k)
{
    (void)k;
    return dc_tanh(x);
}

static double hard_sigmoid(double x, const float *k)
{
    const double y = (double)k[0] * x + (double)k[1];
    return y < 0.0 ? 0.0 : y > 1.0 ? 1.0 : y;
}

static double silu(double x, const float *k)
{
    (void)k;
    return x * dc_sigmoid(x);
}

static double gelu(double x, const float *k)
{
    (void)k;
    return 0.5 * x * (1.0 + dc_erf(x * 0.70710678118654752440));
}

// 1/2 (1 + tanh u) = sigmoid(2 u); u is sqrt(2 / pi) times the cubic.
static double gelu_tanh(double x, const float *k)
{
    (void)k;
    return x * dc_sigmoid(1.59576912160573071176 * (x + 0.044715 * x * x * x));
}

static double elu(double x, const float *k)
{
    return x > 0.0 ? x : (double)k[0] * (dc_exp(x) - 1.0);
}

static double softplus(double x, const float *k)
{
    (void)k;
    return (x < 0.0 ? 0.0 : x) + dc_ln(1.0 + dc_exp(x < 0.0 ? x : -x));
}

static double error_function(double x, const float *k)
{
    (void)k;
    return dc_erf(x);
}

static double negative(double x, const float *k)
{
    (void)k;
    return -x;
}

static double absolute(double x, const float *k)
{
    (void)k;
    return fabs(x);
}

// Below 0, where there is none: 0.
static double square_root(double x, const float *k)
{
    (void)k;
    return x > 0.0 ? sqrt(x) : 0.0;
}

static double h_swish(double x, const float *k)
{
    (void)k;
    const double gate = x + 3.0;
    return x * (gate < 0.0 ? 0.0 : gate > 6.0 ? 6.0 : gate) / 6.0;
}

// TFLite's h-swish in 16 bits: the input at 2^7 times its resolution; a gate relu6(x + 3) / 6 as a
// fraction of 2^15; the last product truncates. Formula: TFLite kernels/internal/reference
// hard_swish; the multipliers are those of 32 bits, rounded.
struct factor16 {
    int32_t multiplier, shift;
};

static struct factor16 factor16(double factor)
{
    struct factor16 f;
    dc_quantize_multiplier(&f.multiplier, &f.shift, factor, 1024);
    f.multiplier = f.multiplier >= INT32_MAX - (1 << 15) ? INT16_MAX
                                                         : (f.multiplier + (1 << 15)) >> 16;
    return f;
}

static int32_t saturate16(int64_t x)
{
    return x < INT16_MIN ? INT16_MIN : x > INT16_MAX ? INT16_MAX : (int32_t)x;
}

// round(a * b / 2^15), as gemmlowp has it for 16 bits: a nudge, then C's truncating division.
static int32_t high_product(int32_t a, int32_t b)
{
    const int32_t product = a * b;
    return saturate16((product + (product >= 0 ? 1 << 14 : 1 - (1 << 14))) / (1 << 15));
}

static double h_swish_tflite(const struct dc_ilayer *layer, const struct dc_ilayer *input, int code,
                             const struct dc_profile *profile)
{
    (void)profile;
    const double fine = (double)(input->scale * (1.0f / 128.0f));
    const struct factor16 out = factor16(fine / (double)layer->scale);
    const struct factor16 gate = factor16(fine / (double)(3.0f / 32768.0f));
    const int32_t x = (code - input->zero_point) * 128;
    int32_t share = x;
    if (gate.shift > 0)
        share = saturate16((int64_t)share *
                           (INT64_C(1) << (gate.shift < 32 ? gate.shift - 1 : 31)));
    share = high_product(share, gate.multiplier);
    if (gate.shift > 0)
        share = saturate16((int64_t)share * 2);
    if (gate.shift < 0)
        share = dc_rounding_divide_pot(share, -gate.shift < 31 ? -gate.shift : 31);
    share = (share + (1 << 15)) >> 1;
    const int32_t product = share * high_product(x, out.multiplier) / (1 << 15);
    const int right = out.shift > 0 ? 0 : -out.shift < 31 ? -out.shift : 31;
    return (double)dc_rounding_divide_pot(product, right);
}

// TFLM's sigmoid and tanh in 32 bits, which miss the nearest code where the exact value is within
// 1e-6 of a half. Formulae: TFLite kernels/internal/reference/integer_ops logistic.h and tanh.h.

static double in_32_bits(const struct dc_ilayer *layer, const struct dc_ilayer *input, int code,
                         const struct dc_profile *profile)
{
    (void)profile;
    enum { INTEGER_BITS = 4 };
    const bool tanh_wanted = layer->function == DC_F_TANH;
    const int32_t x = code - input->zero_point;
    int32_t multiplier, shift;
    dc_quantize_multiplier(&multiplier, &shift, (double)input->scale * 0x1p27, 1024);
    const double radius = floor(15.0 * ldexp(1.0, 27 - shift));
    if ((double)x <= -radius || (double)x >= radius)
        return x > 0 ? (tanh_wanted ? 127.0 : 255.0) : tanh_wanted ? -128.0 : 0.0;
    const int32_t fixed = dc_requantize_double(x, multiplier, shift);
    const int32_t size = fixed < 0 ? -fixed : fixed;
    if (tanh_wanted) {
        const int32_t power = dc_exp_of_negative(-size, INTEGER_BITS + 1);
        const int32_t y = fixed == 0 ? 0 : dc_shift_left(dc_reciprocal(power) - (1 << 29), 2);
        return (double)dc_rounding_divide_pot(fixed < 0 ? -y : y, 24);
    }
    const int32_t y = dc_shift_left(dc_reciprocal(dc_exp_of_negative(-size, INTEGER_BITS)), 1);
    return (double)dc_rounding_divide_pot(fixed == 0 ? 1 << 30 : fixed < 0 ? INT32_MAX - y : y, 23);
}

static bool within(float size, float low, float high)
{
    return fabsf(size) >= low && fabsf(size) <= high;
}

// Leaky ReLU scales a code by one of two factors: TFLM's double, TFLite's float32 from left to
// right, by integers. The XNNPACK delegate has factors in units of 1/256 and takes none far from 1.
// ONNX Runtime rounds a float32 quotient. Formulae: TFLite kernels/activations.cc and
// kernels/internal/reference/leaky_relu.h; XNNPACK src/operators/unary-elementwise-nc.c,
// src/qs8-vlrelu; onnxruntime core/mlas/lib/qlutils.h.
static double leaky_relu(const struct dc_ilayer *layer, const struct dc_ilayer *input, int code,
                         const struct dc_profile *profile)
{
    const int32_t x = code - input->zero_point;
    const float s_in = input->scale, s_out = layer->scale, stated = layer->parameters[0];
    const float slope = x < 0 ? stated : 1.0f, ratio = s_in / s_out;
    double factor = (double)s_in * (double)slope / (double)s_out;
    int32_t multiplier, shift;
    if (profile->runtime == DC_RUNTIME_ANY)
        return round(x * factor);
    if (profile->runtime == DC_RUNTIME_ONNX)
        return (double)rintf(slope * ((float)x * s_in) / s_out);
    if (profile->runtime == DC_RUNTIME_XNNPACK && isnormal(stated) &&
        within(ratio, 0x1p-8f, 0x1p7f) && within(ratio * stated, 0x1p-8f, 0x1p7f))
        return floor((x * (double)rintf(256.0f * (ratio * slope)) + 128.0) / 256.0);
    if (profile->runtime != DC_RUNTIME_TFLM)
        factor = (double)(s_in * slope / s_out);
    const bool once = profile->rounding == DC_ROUND_SINGLE;
    dc_quantize_multiplier(&multiplier, &shift, fmin(fabs(factor), 0x1p100),
                           once ? SHIFT_MAX_SINGLE : SHIFT_MAX_DOUBLE);
    multiplier = factor < 0.0 ? -multiplier : multiplier;
    return (double)(once ? dc_requantize_single(x, multiplier, shift)
                         : dc_requantize_double(x, multiplier, shift));
}

// Runtimes that compute `code`, in steps of the output from its zero point; others have the nearest
// code of `function`.
#define TFLITE_FAMILY (1u << DC_RUNTIME_TFLM | 1u << DC_RUNTIME_TFLITE | 1u << DC_RUNTIME_XNNPACK)
static const struct {
    const struct dc_op *op;
    float scale;
    int zero_point;
    double (*function)(double x, const float *parameters);
    unsigned runtimes;
    double (*code)(const struct dc_ilayer *layer, const struct dc_ilayer *input, int code,
                   const struct dc_profile *profile);
} functions[] = {
    [DC_F_SIGMOID] = {&dc_op_sigmoid, 1.0f / 256.0f, -128, sigmoid, 1u << DC_RUNTIME_TFLM,
                      in_32_bits},
    [DC_F_TANH] = {&dc_op_tanh, 1.0f / 128.0f, 0, hyperbolic_tangent, 1u << DC_RUNTIME_TFLM,
                   in_32_bits},
    [DC_F_H_SWISH] = {&dc_op_h_swish, 0.0f, 0, h_swish, TFLITE_FAMILY, h_swish_tflite},
    [DC_F_LEAKY_RELU] = {&dc_op_leaky_relu, 0.0f, 0, NULL, UINT_MAX, leaky_relu},
    [DC_F_HARD_SIGMOID] = {&dc_op_hard_sigmoid, 1.0f / 255.0f, -128, hard_sigmoid, 0, NULL},
    [DC_F_SILU] = {&dc_op_silu, 0.0f, 0, silu, 0, NULL},
    [DC_F_GELU] = {&dc_op_gelu, 0.0f, 0, gelu, 0, NULL},
    [DC_F_GELU_TANH] = {&dc_op_gelu_tanh, 0.0f, 0, gelu_tanh, 0, NULL},
    [DC_F_ELU] = {&dc_op_elu, 0.0f, 0, elu, 0, NULL},
    [DC_F_SOFTPLUS] = {&dc_op_softplus, 0.0f, 0, softplus, 0, NULL},
    [DC_F_ERF] = {&dc_op_erf, 0.0f, 0, error_function, 0, NULL},
    [DC_F_NEGATE] = {&dc_op_negate, 0.0f, 0, negative, 0, NULL},
    [DC_F_ABS] = {&dc_op_abs, 0.0f, 0, absolute, 0, NULL},
    [DC_F_SQRT] = {&dc_op_sqrt, 0.0f, 0, square_root, 0, NULL},
};
static_assert(sizeof functions / sizeof functions[0] == DC_IFUNCTION_COUNT, "a row for each");

void dc_fill_table(int8_t *table, const struct dc_ilayer *layer, const struct dc_ilayer *input,
                   const struct dc_profile *profile)
{
    for (int i = 0; i < DC_TABLE_CODES; i++) {
        const bool own = functions[layer->function].runtimes >> profile->runtime & 1u;
        const double x = (double)input->scale * (double)(i - 128 - input->zero_point);
        const double steps = own ? functions[layer->function].code(layer, input, i - 128, profile)
                                 : round(functions[layer->function].function(x, layer->parameters) /
                                         (double)layer->scale);
        const double code = steps + (double)layer->zero_point;
        table[i] = (int8_t)(code < (double)layer->clamp_low    ? layer->clamp_low
                            : code > (double)layer->clamp_high ? layer->clamp_high
                                                               : (int)code);
    }
}

const struct dc_op *dc_ifunction_op(enum dc_ifunction function)
{
    return functions[function].op;
}

const char *dc_ifunction_name(enum dc_ifunction function)
{
    return functions[function].op->name;
}

int dc_ifunction_parameters(enum dc_ifunction function)
{
    return (int)(functions[function].op->attribute_bytes / sizeof(float));
}

int dc_ifunction_of(const struct dc_op *float_op)
{
    for (int f = 0; f < DC_IFUNCTION_COUNT; f++)
        if (functions[f].op == float_op)
            return f;
    return -1;
}

int dc_ifunction_find(const char *name)
{
    for (int f = 0; name && f < DC_IFUNCTION_COUNT; f++)
        if (strcmp(functions[f].op->name, name) == 0)
            return f;
    return -1;
}

float dc_ifunction_scale(enum dc_ifunction function, bool power_of_two, int *zero_point)
{
    const float scale = functions[function].scale;
    int exponent;
    *zero_point = functions[function].zero_point;
    return power_of_two && frexpf(scale, &exponent) != 0.5f ? 0.0f : scale;
}
