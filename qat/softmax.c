// Owns the three softmaxes of runtimes, from a layer's table of exponentials.

#include "qat/softmax.h"

#include <math.h>
#include <string.h>

#include "core/math.h"
#include "qat/fixed_point.h"

enum { INTEGER_BITS = 5, SUM_BITS = 12, HIGHEST = DC_EXPONENTIALS - 1, MOST_16_BITS = 65535 };

static double float_exponential(int difference, float scale)
{
    const float x = scale * (float)difference;
    return (double)(float)dc_exp((double)x);
}

static double short_exponential(int difference, float scale)
{
    const float e = (float)float_exponential(difference, scale) * MOST_16_BITS;
    return floor((double)e + 0.5);
}

static double fixed_exponential(int difference, float scale)
{
    int32_t multiplier, shift;
    const double factor = (double)scale * 0x1p26;
    dc_quantize_multiplier(&multiplier, &shift, factor < 0x1p31 - 1.0 ? factor : 0x1p31 - 1.0,
                           1024);
    if ((double)difference < -floor(31.0 * ldexp(1.0, 26 - shift)))
        return 0.0;
    return (double)dc_exp_of_negative(dc_requantize_double(difference, multiplier, shift),
                                      INTEGER_BITS);
}

static int8_t finish(int64_t code, const struct dc_ilayer *layer)
{
    return (int8_t)(code < layer->clamp_low    ? layer->clamp_low
                    : code > layer->clamp_high ? layer->clamp_high
                                               : code);
}

// e: the exponential of code 0, here and below.
static void in_float32(int8_t *codes, const int8_t *x, const struct dc_ilayer *layer,
                       const double *e)
{
    float sum = 0.0f;
    for (int c = 0; c < layer->channels; c++)
        sum += (float)e[x[c]];
    const float inverse = 1.0f / (sum * layer->scale);
    for (int c = 0; c < layer->channels; c++)
        codes[c] = finish((int64_t)((double)((float)e[x[c]] * inverse) + 0.5) + layer->zero_point,
                          layer);
}

static void in_16_bits(int8_t *codes, const int8_t *x, const struct dc_ilayer *layer,
                       const double *e)
{
    int32_t sum = 0, multiplier, shift;
    for (int c = 0; c < layer->channels; c++)
        sum += (int32_t)e[x[c]];
    const float inverse = 1.0f / ((float)sum * layer->scale);
    dc_quantize_multiplier(&multiplier, &shift, (double)inverse, 0);
    for (int c = 0; c < layer->channels; c++)
        codes[c] = finish(
            dc_requantize_double((int32_t)e[x[c]], multiplier, shift) + layer->zero_point, layer);
}

// A shift of more than 31 bits, which only sums of 2^28 and more ask for, is undefined in TFLite;
// what it divides is 0 then.
static void in_fixed_point(int8_t *codes, const int8_t *x, const struct dc_ilayer *layer,
                           const double *e)
{
    int32_t sum = 0;
    for (int c = 0; c < layer->channels; c++)
        sum += dc_rounding_divide_pot((int32_t)e[x[c]], SUM_BITS);
    int headroom = 0;
    while (((uint32_t)sum << headroom & UINT32_C(0x80000000)) == 0)
        headroom++;
    const int32_t fraction = (int32_t)(((uint32_t)sum << headroom) - UINT32_C(0x80000000));
    const int32_t inverse = dc_shift_left(dc_reciprocal(fraction), 1);
    const int right = SUM_BITS - headroom + 31 - 8;
    for (int c = 0; c < layer->channels; c++) {
        const int32_t share = dc_srdhm(inverse, (int32_t)e[x[c]]);
        codes[c] = finish(
            (right > 31 ? 0 : dc_rounding_divide_pot(share, right)) + layer->zero_point, layer);
    }
}

struct arithmetic {
    enum dc_rounding rounding;  // DC_AS_PROFILE: any other
    bool integers;
    double (*exponential)(int difference, float scale);
    void (*share)(int8_t *codes, const int8_t *x, const struct dc_ilayer *layer, const double *e);
};
static const struct arithmetic arithmetics[] = {
    {DC_ROUND_FIXED_POINT, true, fixed_exponential, in_fixed_point},
    {DC_ROUND_16_BITS, true, short_exponential, in_16_bits},
    {DC_AS_PROFILE, false, float_exponential, in_float32}};

static const struct arithmetic *arithmetic_of(const struct dc_profile *profile)
{
    const enum dc_rounding rounding = dc_profile_rounding(profile, DC_I_SOFTMAX);
    const struct arithmetic *a = arithmetics;
    while (a->rounding != DC_AS_PROFILE && a->rounding != rounding)
        a++;
    return a;
}

bool dc_softmax_of_integers(const struct dc_profile *profile)
{
    return arithmetic_of(profile)->integers;
}

void dc_fill_exponentials(double *exponentials, const struct dc_ilayer *input,
                          const struct dc_profile *profile)
{
    for (int i = 0; i < DC_EXPONENTIALS; i++)
        exponentials[i] = arithmetic_of(profile)->exponential(i - HIGHEST, input->scale);
}

void dc_softmax(int8_t *codes, const int8_t *x, const struct dc_ilayer *layer,
                const struct dc_profile *profile)
{
    int largest = x[0];
    for (int c = 1; c < layer->channels; c++)
        largest = x[c] > largest ? x[c] : largest;
    arithmetic_of(profile)->share(codes, x, layer, layer->exponentials + HIGHEST - largest);
}
