#pragma once

#include "export/device/saturate.h"

/* x * multiplier * 2^(shift - 31), of two nearest integers the one that lies farther from zero. The
   multiplier is 2^30 where scales are powers of two. */
static int32_t requantize(int32_t x, const struct layer *l, int i)
{
    const int64_t product = (int64_t)x * l->multipliers[i];
    const int right = 31 - l->shifts[i];
    return saturate((product + ((int64_t)1 << (right - 1)) - (product < 0)) >> right);
}
