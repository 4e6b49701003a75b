// Owns the tables of functions of one code. One rule for every profile.

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
                   bool as_tflite)
{
    for (int i = 0; i < DC_TABLE_CODES; i++) {
        const bool tflite = layer->function == DC_F_H_SWISH && as_tflite;
        const double x = (double)input->scale * (double)(i - 128 - input->zero_point);
        const double y = functions[layer->function].function(x) / (double)layer->scale;
        const double code = (tflite ? h_swish_tflite(layer, input, i - 128) : round(y)) +
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
