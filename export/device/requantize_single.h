#pragma once

#include "export/device/saturate.h"

/* x * multiplier * 2^(shift - 31), rounded once with ties upward, as ruy does. */
static int32_t requantize(int32_t x, const struct layer *l, int i)
{
    const int right = 31 - l->shifts[i];
    return saturate(((int64_t)x * l->multipliers[i] + ((int64_t)1 << (right - 1))) >> right);
}
