// Owns the exact definitions of functions of one code, and of softmax, written from prose. Slow on
// purpose.

#include "integer_oracle.h"

#include <math.h>

#include "wide.h"

static long double function_of(enum oracle_function function, long double x,
                               const struct oracle_layer *l)
{
    const long double a = (long double)l->slope, b = (long double)l->offset;
    switch (function) {
    case ORACLE_SIGMOID:
        return 1 / (1 + expl(-x));
    case ORACLE_TANH:
        return tanhl(x);
    case ORACLE_H_SWISH:
        return x * (x < -3 ? 0 : x > 3 ? 6 : x + 3) / 6;
    case ORACLE_HARD_SIGMOID:
        return fminl(fmaxl(a * x + b, 0), 1);
    case ORACLE_SILU:
        return x / (1 + expl(-x));
    case ORACLE_GELU:
        return x / 2 * erfcl(-x / sqrtl(2));
    case ORACLE_GELU_TANH:
        return x / 2 * (1 + tanhl(sqrtl(2 / acosl(-1)) * (x + 0.044715L * x * x * x)));
    case ORACLE_ELU:
        return x > 0 ? x : a * expm1l(x);
    case ORACLE_SOFTPLUS:
        return x > 40 ? x : log1pl(expl(x));
    case ORACLE_ERF:
        return erfl(x);
    case ORACLE_NEGATE:
        return -x;
    case ORACLE_ABS:
        return fabsl(x);
    default:
        return x > 0 ? sqrtl(x) : 0;
    }
}

int8_t oracle_function_code(bool *doubtful, enum oracle_function function, int code, double close,
                            const struct oracle_layer *l)
{
    const long double x = (long double)l->in_scale * (code - l->in_zero_point);
    const long double y = function_of(function, x, l);
    const long double steps = y / (long double)l->out_scale, size = fabsl(steps);
    const long double whole = floorl(size), rest = size - whole;
    *doubtful = fabsl(rest - 0.5L) < (long double)close;
    const int64_t nearest = (int64_t)whole + (rest >= 0.5L);
    return clamp((steps < 0 ? -nearest : nearest) + l->out_zero_point, l);
}

// In units of 1/256, ties up, where both factors lie within a wide range; *taken: they do.
static int64_t plane_code(bool *taken, wide x, const struct oracle_layer *l)
{
    const double ratio = (double)narrow((double)l->in_scale / (double)l->out_scale);
    const double other = (double)narrow(ratio * (double)l->slope);
    *taken = fabs((double)l->slope) >= 0x1p-126 && ratio >= 1.0 / 256 && ratio <= 128 &&
             fabs(other) >= 1.0 / 256 && fabs(other) <= 128;
    return *taken ? (int64_t)nearest_up(x * nearest_even(256 * (x < 0 ? other : ratio)), 256) : 0;
}

int8_t oracle_leaky_relu(int code, const struct oracle_layer *l)
{
    const int64_t x = (int64_t)code - l->in_zero_point;
    const double slope = x < 0 ? (double)l->slope : 1.0;
    const double in = (double)l->in_scale, out = (double)l->out_scale;
    bool taken;
    if (l->codes == ORT_CODES)
        return even_code((double)narrow(slope * (double)narrow((double)x * in)) / out, l);
    if (l->codes == NEAREST_CODES) {
        const long double steps = (long double)slope * in * (long double)x / out;
        return clamp((int64_t)(steps < 0 ? ceill(steps - 0.5L) : floorl(steps + 0.5L)) +
                         l->out_zero_point,
                     l);
    }
    const int64_t plane = plane_code(&taken, x, l);
    if (l->codes == XNNPACK_CODES && taken)
        return clamp(plane + l->out_zero_point, l);
    const double factor = l->codes == TFLM_CODES ? in * slope / out
                                                 : (double)narrow((double)narrow(in * slope) / out);
    int32_t m, s;
    oracle_multiplier(&m, &s, fabs(factor), l->single);
    return clamp(oracle_requantize(x, factor < 0 ? -m : m, s, l->single) + l->out_zero_point, l);
}

static wide toward_zero(wide a, wide b)  // b > 0
{
    return a < 0 ? -(-a / b) : a / b;
}

static wide within16(wide x)
{
    return x > 32767 ? 32767 : x < -32768 ? -32768 : x;
}

// A 32-bit multiplier's upper half, rounded; 2^15 does not fit.
static wide half_multiplier(int32_t *shift, double factor)
{
    int32_t m;
    oracle_multiplier(&m, shift, factor, false);
    const wide upper = floor_divide((wide)m + power(15), power(16));
    return upper > 32767 ? 32767 : upper;
}

static wide product16(wide a, wide b)
{
    const wide ab = a * b;
    return within16(toward_zero(ab >= 0 ? ab + power(14) : ab + 1 - power(14), power(15)));
}

int8_t oracle_h_swish16(int code, const struct oracle_layer *l)
{
    volatile float fine = l->in_scale / 128.0f;  // exact: a power of two
    volatile float unit = 3.0f / 32768.0f;
    int32_t out_shift, gate_shift;
    const wide out = half_multiplier(&out_shift, (double)fine / (double)l->out_scale);
    const wide gate = half_multiplier(&gate_shift, (double)fine / (double)unit);
    const wide x = ((wide)code - l->in_zero_point) * 128;
    wide share = x;
    if (gate_shift > 0)
        share = within16(share * power(gate_shift > 40 ? 39 : gate_shift - 1));
    share = product16(share, gate);
    if (gate_shift > 0)
        share = within16(share * 2);
    if (gate_shift < 0)
        share = nearest_away(share, power(-gate_shift));
    share = floor_divide(share + power(15), 2);
    const wide product = toward_zero(share * product16(x, out), power(15));
    const wide steps = nearest_away(product, power(out_shift < 0 ? -out_shift : 0));
    return clamp((int64_t)steps + l->out_zero_point, l);
}

static int64_t fraction_power(int64_t z)  // exp(z / 2^26) * 2^31, z <= 0
{
    // Of exp(-1/4), exp(-1/2), exp(-1) ... exp(-16), each of 31 bits.
    static const int64_t steps[] = {1672461947, 1302514674, 790015084, 290630308,
                                    39332535,   720401,     242};
    if (z == 0)
        return INT32_MAX;
    const wide quarter = power(24);
    const wide within = z - floor_divide(z, quarter) * quarter - quarter;  // [-1/4, 0)
    const int64_t x = (int64_t)(within * 32 + power(28));  // exp(-1/8) (1 + x + x^2/2 + ...)
    const int64_t x2 = oracle_srdhm(x, x), x3 = oracle_srdhm(x2, x), x4 = oracle_srdhm(x2, x2);
    const int64_t thirds = oracle_srdhm(oracle_divide_pot(x4, 2) + x3, 715827883) + x2;
    int64_t y = 1895147668;
    y += oracle_srdhm(y, x + oracle_divide_pot(thirds, 1));
    wide rest = floor_divide(within - z, quarter);  // in quarters
    for (int k = 0; k < 7; k++) {
        if (rest % 2 != 0)
            y = oracle_srdhm(y, steps[k]);
        rest /= 2;
    }
    return y;
}

void oracle_integer_softmax(int8_t *codes, const int8_t *x, const struct oracle_layer *l)
{
    int32_t m, shift;
    int largest = x[0], bits = 0;
    int64_t e[4096], sum = 0;
    const double factor = (double)l->in_scale * 67108864.0;
    oracle_multiplier(&m, &shift, factor > 2147483647.0 ? 2147483647.0 : factor, false);
    const int64_t least = -(int64_t)floor(31.0 * 67108864.0 / exp2(shift));
    for (int c = 0; c < l->in_c; c++)
        largest = x[c] > largest ? x[c] : largest;
    for (int c = 0; c < l->in_c; c++) {
        const int64_t d = x[c] - largest;
        e[c] = d < least ? 0 : fraction_power(oracle_requantize(d, m, shift, false));
        sum += oracle_divide_pot(e[c], 12);
    }
    while ((wide)sum >= power(bits + 1))
        bits++;  // sum in [2^bits, 2^(bits + 1))
    const int64_t f = (int64_t)((wide)sum * power(31 - bits) - power(31));
    const int64_t half = (int64_t)nearest_away((wide)f + power(31) - 1, 2);  // (1 + f) / 2
    int64_t inverse = 1515870810 + oracle_srdhm(half, -1010580540);
    for (int k = 0; k < 3; k++)
        inverse += 4 * oracle_srdhm(inverse, (int64_t)power(29) - oracle_srdhm(half, inverse));
    inverse = 2 * inverse > INT32_MAX ? INT32_MAX : 2 * inverse;
    for (int c = 0; c < l->in_c; c++)
        codes[c] = clamp(oracle_divide_pot(oracle_srdhm(inverse, e[c]), bits + 4) - 128, l);
}

void oracle_short_softmax(int8_t *codes, bool *doubtful, const int8_t *x,
                          const struct oracle_layer *l)
{
    int32_t m, shift;
    int largest = -128;
    int64_t e[4096], sum = 0;
    bool any = false;
    for (int c = 0; c < l->in_c; c++)
        largest = x[c] > largest ? x[c] : largest;
    for (int c = 0; c < l->in_c; c++) {
        const float d = narrow((double)l->in_scale * (x[c] - largest));
        const long double share = 65535.0L * expl((long double)d), whole = floorl(share);
        e[c] = (int64_t)whole + (share - whole >= 0.5L);
        any = any || fabsl(share - whole - 0.5L) < 65535.0L * 0x1p-22L;  // some units of float32
        sum += e[c];
    }
    const float part = narrow((double)narrow((double)sum) / 256.0);
    oracle_multiplier(&m, &shift, (double)narrow(1.0 / (double)part), false);
    for (int c = 0; c < l->in_c; c++) {
        codes[c] = clamp(oracle_requantize(e[c], m, shift, false) - 128, l);
        doubtful[c] = any;
    }
}

void oracle_share_codes(int8_t *codes, bool *doubtful, const int8_t *x, double close,
                        const struct oracle_layer *l)
{
    for (int c = 0; c < l->in_c; c++) {
        long double sum = 0;
        for (int k = 0; k < l->in_c; k++)
            sum += expl((long double)l->in_scale * (x[k] - x[c]));
        const long double steps = 256 / sum;
        doubtful[c] = fabsl(steps + 0.5L - roundl(steps + 0.5L)) < (long double)close;
        codes[c] = clamp((int64_t)floorl(steps + 0.5L) - 128, l);
    }
}
