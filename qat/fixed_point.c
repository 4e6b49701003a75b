// Owns the way from a real factor to its multiplier and shift, and gemmlowp's exponential and
// reciprocal (fixedpoint/fixedpoint.h). The arithmetic of single products is in the header, to be
// inlined.

#include "qat/fixed_point.h"

#include <assert.h>
#include <math.h>

void dc_quantize_multiplier(int32_t *multiplier, int32_t *shift, double factor, int32_t shift_max)
{
    assert(factor >= 0.0 && isfinite(factor));
    int exponent = 0;
    const double fraction = frexp(factor, &exponent);     // [0.5, 1), or 0
    int64_t m = (int64_t)floor(fraction * 0x1p31 + 0.5);  // exact: 53 bits hold it
    if (m == INT64_C(1) << 31) {
        m >>= 1;
        exponent++;
    }
    if (m == 0 || exponent < -31) {
        m = 0;
        exponent = 0;
    }
    if (exponent > shift_max) {
        m = INT32_MAX;
        exponent = shift_max;
    }
    *multiplier = (int32_t)m;
    *shift = exponent;
}

int32_t dc_exp_of_negative(int32_t a, int integer_bits)
{
    static const int32_t powers[] = {1672461947, 1302514674, 790015084, 290630308,
                                     39332535,   720401,     242};  // exp(-2^k), k from -2
    const int fraction = 31 - integer_bits;
    const int32_t quarter = 1 << (fraction - 2);
    const int32_t within = (a & (quarter - 1)) - quarter, rest = within - a;
    const int32_t base = 1895147668, third = 715827883;  // exp(-1/8), 1/3
    const int32_t x = dc_shift_left(within, integer_bits) + (1 << 28);
    const int32_t x2 = dc_srdhm(x, x), x3 = dc_srdhm(x2, x), x4 = dc_srdhm(x2, x2);
    const int32_t series = dc_rounding_divide_pot(
        dc_srdhm(dc_rounding_divide_pot(x4, 2) + x3, third) + x2, 1);
    int32_t result = dc_saturate_int32((int64_t)base + dc_srdhm(base, x + series));
    for (int k = -2; k < integer_bits; k++)
        if (rest & (1 << (fraction + k)))
            result = dc_srdhm(result, powers[k + 2]);
    return a == 0 ? INT32_MAX : result;
}

int32_t dc_reciprocal(int32_t a)
{
    const int32_t half = (int32_t)(((int64_t)a + INT32_MAX + 1) / 2);
    int32_t x = 1515870810 + dc_srdhm(half, -1010580540);
    for (int i = 0; i < 3; i++)
        x += dc_shift_left(dc_srdhm(x, (1 << 29) - dc_srdhm(half, x)), 2);
    return x;
}
