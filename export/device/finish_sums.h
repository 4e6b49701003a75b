#pragma once

#include "export/device/cores.h"
#include "export/device/finish.h"
#include "export/device/requantize.h"

/* Codes of four channels, from `first` on, from their sums. */
HELPER void finish_sums(int8_t *y, const int32_t sums[4], const struct layer *l, int first)
{
#if defined(SCALES_FOUR)
    finish_four(y,
                scale_four(vldrwq_s32(sums), vldrwq_s32(l->multipliers + first),
                           vldrwq_s32(l->shifts + first)),
                l);
#else
    int k;
    for (k = 0; k < 4; k++)
        y[k] = finish(requantize(sums[k], l, first + k), l);
#endif
}
