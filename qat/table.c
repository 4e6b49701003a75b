// Owns the tables of functions of one code: the nearest code, and where runtimes are not so exact,
// what they compute.

#include "qat/table.h"

#include <math.h>
#include <string.h>

#include "core/math.h"
#include "qat/fixed_point.h"

static double h_swish(double x)
{
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

static double h_swish_tflite(const struct dc_ilayer *layer, const struct dc_ilayer *input, int code)
{
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
// 1e-6 of a half. Formulae: TFLite kernels/internal/reference/integer_ops logistic.h and tanh.h,
// gemmlowp fixedpoint/fixedpoint.h.

static int32_t shift_left(int32_t x, int bits)
{
    return dc_saturate_int32((int64_t)x * (INT64_C(1) << bits));
}

// exp(a) as a fraction of 2^31; a <= 0 in units of 2^(integer_bits - 31).
static int32_t exp_of_negative(int32_t a, int integer_bits)
{
    static const int32_t powers[] = {1672461947, 1302514674, 790015084, 290630308,
                                     39332535,   720401,     242};  // exp(-2^k), k from -2
    const int fraction = 31 - integer_bits;
    const int32_t quarter = 1 << (fraction - 2);
    const int32_t within = (a & (quarter - 1)) - quarter, rest = within - a;
    const int32_t base = 1895147668, third = 715827883;  // exp(-1/8), 1/3
    const int32_t x = shift_left(within, integer_bits) + (1 << 28);
    const int32_t x2 = dc_srdhm(x, x), x3 = dc_srdhm(x2, x), x4 = dc_srdhm(x2, x2);
    const int32_t series = dc_rounding_divide_pot(
        dc_srdhm(dc_rounding_divide_pot(x4, 2) + x3, third) + x2, 1);
    int32_t result = dc_saturate_int32((int64_t)base + dc_srdhm(base, x + series));
    for (int k = -2; k < integer_bits; k++)
        if (rest & (1 << (fraction + k)))
            result = dc_srdhm(result, powers[k + 2]);
    return a == 0 ? INT32_MAX : result;
}

// 2 / (1 + a) in units of 2^-29, by Newton's steps; a: a fraction of 2^31.
static int32_t reciprocal(int32_t a)
{
    const int32_t half = (int32_t)(((int64_t)a + INT32_MAX + 1) / 2);
    int32_t x = 1515870810 + dc_srdhm(half, -1010580540);
    for (int i = 0; i < 3; i++)
        x += shift_left(dc_srdhm(x, (1 << 29) - dc_srdhm(half, x)), 2);
    return x;
}

static double in_32_bits(const struct dc_ilayer *layer, const struct dc_ilayer *input, int code)
{
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
        const int32_t power = exp_of_negative(-size, INTEGER_BITS + 1);
        const int32_t y = fixed == 0 ? 0 : shift_left(reciprocal(power) - (1 << 29), 2);
        return (double)dc_rounding_divide_pot(fixed < 0 ? -y : y, 24);
    }
    const int32_t y = shift_left(reciprocal(exp_of_negative(-size, INTEGER_BITS)), 1);
    return (double)dc_rounding_divide_pot(fixed == 0 ? 1 << 30 : fixed < 0 ? INT32_MAX - y : y, 23);
}

static const struct {
    const char *name;
    double (*function)(double x);
    float scale;
    int zero_point;
} functions[] = {
    [DC_F_SIGMOID] = {"sigmoid", dc_sigmoid, 1.0f / 256.0f, -128},
    [DC_F_TANH] = {"tanh", dc_tanh, 1.0f / 128.0f, 0},
    [DC_F_H_SWISH] = {"h_swish", h_swish, 0.0f, 0},
};

void dc_fill_table(int8_t *table, const struct dc_ilayer *layer, const struct dc_ilayer *input,
                   const struct dc_profile *profile)
{
    for (int i = 0; i < DC_TABLE_CODES; i++) {
        const bool swish = layer->function == DC_F_H_SWISH;
        const bool fixed = swish ? profile->h_swish_in_16_bits : profile->sigmoid_in_32_bits;
        const double x = (double)input->scale * (double)(i - 128 - input->zero_point);
        const double y = functions[layer->function].function(x) / (double)layer->scale;
        const double code = (!fixed  ? round(y)
                             : swish ? h_swish_tflite(layer, input, i - 128)
                                     : in_32_bits(layer, input, i - 128)) +
                            (double)layer->zero_point;
        table[i] = (int8_t)(code < (double)layer->clamp_low    ? layer->clamp_low
                            : code > (double)layer->clamp_high ? layer->clamp_high
                                                               : (int)code);
    }
}

const char *dc_ifunction_name(enum dc_ifunction function)
{
    return functions[function].name;
}

int dc_ifunction_find(const char *name)
{
    for (int f = 0; name && f < DC_IFUNCTION_COUNT; f++)
        if (strcmp(functions[f].name, name) == 0)
            return f;
    return -1;
}

float dc_ifunction_scale(enum dc_ifunction function, int *zero_point)
{
    *zero_point = functions[function].zero_point;
    return functions[function].scale;
}
