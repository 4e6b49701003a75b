// Fixed-point primitives of the TFLite family.
//
// A real factor M > 0 is a pair: M = multiplier * 2^(shift - 31), multiplier in [2^30, 2^31).
// Three roundings are live. TFLM's kernels and CMSIS-NN round twice; so does today's ruy, the
// second time with ties upward; ruy of 2020, and TFLite built for it, rounded once:
//   double     RDivPOT(SRDHM(x * 2^max(s, 0), m), n), n = max(-s, 0)
//   double_up  (SRDHM(x * 2^max(s, 0), m) + 2^(n - 1)) >> n
//   single     (x * m + 2^(30 - s)) >> (31 - s)
// Definitions: gemmlowp fixedpoint/fixedpoint.h; TFLite kernels/internal/common.h; ruy
// kernel_avx512.cc.
//
// All are total here: where TFLM's left shift would overflow int32 (undefined in C), the shifted
// value saturates. A left shift means M >= 1, so the code is clamped to its int8 bound either way:
// after the clamp, the result is the one of infinite precision.

#ifndef DC_QAT_FIXED_POINT_H
#define DC_QAT_FIXED_POINT_H

#include <stdint.h>

static inline int32_t dc_saturate_int32(int64_t x)
{
    return x < INT32_MIN ? INT32_MIN : x > INT32_MAX ? INT32_MAX : (int32_t)x;
}

// Saturating rounding doubling high multiply: round(a * b / 2^31), ties toward +infinity.
// Only INT32_MIN * INT32_MIN saturates.
static inline int32_t dc_srdhm(int32_t a, int32_t b)
{
    return dc_saturate_int32(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
}

// Rounding divide by a power of two: x / 2^exponent, ties away from zero. 0 <= exponent <= 31.
static inline int32_t dc_rounding_divide_pot(int32_t x, int32_t exponent)
{
    const int64_t mask = (INT64_C(1) << exponent) - 1;
    const int64_t remainder = x & mask;
    const int64_t threshold = (mask >> 1) + (x < 0);
    return (int32_t)((x >> exponent) + (remainder > threshold));
}

// shift in [-31, 1024].
static inline int32_t dc_requantize_double(int32_t x, int32_t multiplier, int32_t shift)
{
    const int32_t left = shift < 0 ? 0 : shift > 31 ? 31 : shift;
    const int32_t right = shift < 0 ? -shift : 0;
    const int32_t shifted = dc_saturate_int32((int64_t)x * (INT64_C(1) << left));
    return dc_rounding_divide_pot(dc_srdhm(shifted, multiplier), right);
}

// shift in [-31, 1024].
static inline int32_t dc_requantize_double_up(int32_t x, int32_t multiplier, int32_t shift)
{
    const int32_t right = shift < 0 ? -shift : 0;
    const int64_t high = dc_requantize_double(x, multiplier, shift < 0 ? 0 : shift);
    return (int32_t)((high + ((INT64_C(1) << right) >> 1)) >> right);
}

// shift in [-31, 30].
static inline int32_t dc_requantize_single(int32_t x, int32_t multiplier, int32_t shift)
{
    const int64_t product = (int64_t)x * multiplier;
    return dc_saturate_int32((product + (INT64_C(1) << (30 - shift))) >> (31 - shift));
}

// Once, half to even, for targets that shift by powers of two (m = 2^30). shift in [-31, 30].
static inline int32_t dc_requantize_half_even(int32_t x, int32_t multiplier, int32_t shift)
{
    const int64_t product = (int64_t)x * multiplier, unit = INT64_C(1) << (31 - shift);
    const int64_t down = product >> (31 - shift), rest = product & (unit - 1);
    return dc_saturate_int32(down + (rest > unit / 2 || (rest == unit / 2 && (down & 1))));
}

// Once, a half away from zero, for the same targets. shift in [-31, 30].
static inline int32_t dc_requantize_half_away(int32_t x, int32_t multiplier, int32_t shift)
{
    const int64_t product = (int64_t)x * multiplier, half = INT64_C(1) << (30 - shift);
    return dc_saturate_int32((product + half - (product < 0)) >> (31 - shift));
}

static inline int32_t dc_shift_left(int32_t x, int bits)
{
    return dc_saturate_int32((int64_t)x * (INT64_C(1) << bits));
}

// exp(a) as a fraction of 2^31; a <= 0 in units of 2^(integer_bits - 31), integer_bits at most 5.
int32_t dc_exp_of_negative(int32_t a, int integer_bits);

// 2 / (1 + a) in units of 2^-29, by three of Newton's steps; a >= 0: a fraction of 2^31.
int32_t dc_reciprocal(int32_t a);

// The pair of a factor, multiplier rounded half away from zero. Below 2^-32 both are 0, and so for
// factor 0. shift_max: where the rounding caps the shift (30 for single), the factor saturates.
// factor must be finite and not negative.
void dc_quantize_multiplier(int32_t *multiplier, int32_t *shift, double factor, int32_t shift_max);

#endif
