#pragma once

#include "export/device/cores.h"

/* x * multiplier * 2^(shift - 31), rounded twice: the high half of the product with ties
   upward, then the right shift with ties away from zero. As TensorFlow Lite Micro and CMSIS-NN. */
OUT_OF_LINE int32_t shift_up(int32_t x, int32_t shift)
{
    const int64_t wide = x * ((int64_t)1 << (shift < 31 ? shift : 31));
    return wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/* SMALL_SUMS: no sum of the network reaches 2^30. */
HELPER int32_t multiply_high_half(int32_t x, int32_t multiplier)
{
#if defined(SMALL_SUMS) && defined(WIDE_COLUMNS)
    int32_t y;
    __asm__("smmulr %0, %1, %2" : "=r"(y) : "r"(x * 2), "r"(multiplier));
    return y;
#else
    return (int32_t)(((int64_t)x * multiplier + ((int64_t)1 << 30)) >> 31);
#endif
}

HELPER int32_t requantize(int32_t x, const struct layer *l, int i)
{
    const int32_t multiplier = l->multipliers[i], shift = l->shifts[i];
    int32_t y;
    if (shift >= 0)
        return (int32_t)(((int64_t)shift_up(x, shift) * multiplier + ((int64_t)1 << 30)) >> 31);
    y = multiply_high_half(x, multiplier);
    y += y >> 31; /* ties of negative numbers go down: the bit below decides */
    return ((y >> (-shift - 1)) + 1) >> 1;
}

#if defined(VECTORS)
#define SCALES_FOUR
/* The same of four at once. */
HELPER int32x4_t scale_four(int32x4_t x, int32x4_t multipliers, int32x4_t shifts)
{
    const int32x4_t none = vdupq_n_s32(0), right = vminq_s32(shifts, none);
    x = vqshlq_s32(x, vmaxq_s32(shifts, none));
    x = vqrdmulhq_s32(x, multipliers);
    x = vqaddq_s32(x, vshrq_n_s32(vandq_s32(x, right), 31)); /* ties of negative numbers go down */
    return vrshlq_s32(x, right);
}
#endif
