#pragma once

#include "export/device/cores.h"

/* Right shifts of negative numbers are arithmetic on every compiler we know; the self-test would
   show one where they are not. */
HELPER int8_t finish_code(int32_t code, const struct layer *l)
{
    return (int8_t)(code < l->low ? l->low : code > l->high ? l->high : code);
}

/* Steps of the output from its zero point, as a code. */
HELPER int8_t finish(int32_t steps, const struct layer *l)
{
    const int32_t low = l->low - l->out_zero, high = l->high - l->out_zero;
    return (int8_t)((steps < low ? low : steps > high ? high : steps) + l->out_zero);
}

#if defined(VECTORS)
/* Of four, still 32 bits wide. */
HELPER int32x4_t codes_of(int32x4_t steps, const struct layer *l)
{
    const int32x4_t codes = vaddq_n_s32(steps, l->out_zero);
    return vminq_s32(vmaxq_s32(codes, vdupq_n_s32(l->low)), vdupq_n_s32(l->high));
}

HELPER void finish_four(int8_t *y, int32x4_t steps, const struct layer *l)
{
    vstrbq_s32(y, codes_of(steps, l));
}
#endif
