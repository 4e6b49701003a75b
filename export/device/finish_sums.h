#pragma once

#include "export/device/cores.h"
#include "export/device/finish.h"
#include "export/device/requantize.h"

#if defined(VECTORS)
/* Codes of four channels, from `first` on, from their sums. */
HELPER void finish_vector(int8_t *y, int32x4_t sums, const struct layer *l, int first)
{
#if defined(SCALES_FOUR)
    finish_four(
        y, scale_four(sums, vldrwq_s32(l->multipliers + first), vldrwq_s32(l->shifts + first)), l);
#else
    int32_t all[4];
    int k;
    vstrwq_s32(all, sums);
    for (k = 0; k < 4; k++)
        y[k] = finish(requantize(all[k], l, first + k), l);
#endif
}
#endif

#if defined(VECTORS)
/* Codes of eight channels, from `first` on: sums of the even ones, and of the odd. */
HELPER void finish_halves(int8_t *y, int32x4_t even, int32x4_t odd, const struct layer *l,
                          int first)
{
#if defined(SCALES_FOUR)
    const int32x4x2_t multipliers = vld2q_s32(l->multipliers + first);
    const int32x4x2_t shifts = vld2q_s32(l->shifts + first);
    int16x8_t codes = vdupq_n_s16(0);
    codes = vmovnbq_s32(codes, codes_of(scale_four(even, multipliers.val[0], shifts.val[0]), l));
    codes = vmovntq_s32(codes, codes_of(scale_four(odd, multipliers.val[1], shifts.val[1]), l));
    vstrbq_s16(y, codes);
#else
    int32x4x2_t both;
    int32_t all[8];
    int k;
    both.val[0] = even;
    both.val[1] = odd;
    vst2q_s32(all, both);
    for (k = 0; k < 8; k++)
        y[k] = finish(requantize(all[k], l, first + k), l);
#endif
}
#endif

/* Codes of four channels from an array. */
HELPER void finish_sums(int8_t *y, const int32_t sums[4], const struct layer *l, int first)
{
#if defined(VECTORS)
    finish_vector(y, vldrwq_s32(sums), l, first);
#else
    int k;
    for (k = 0; k < 4; k++)
        y[k] = finish(requantize(sums[k], l, first + k), l);
#endif
}
