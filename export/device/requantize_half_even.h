#pragma once

#include "export/device/layer.h"

/* x * multiplier * 2^(shift - 31), of two nearest integers the even one. The multiplier is
   2^30 where scales are powers of two. */
static int64_t requantize(int64_t x, const struct layer *l, int i)
{
    const int32_t multiplier = l->multipliers[i], shift = l->shifts[i];
    const int right = 31 - shift;
    const int64_t half = (int64_t)1 << (right - 1);
    const int64_t y = (x * multiplier + half) >> right;
    return x * multiplier + half == y * 2 * half && y % 2 != 0 ? y - 1 : y;
}
