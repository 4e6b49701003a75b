#pragma once

#include "export/device/layer.h"

/* x * multiplier * 2^(shift - 31), rounded once with ties upward, as ruy does. */
static int64_t requantize(int64_t x, const struct layer *l, int i)
{
    const int32_t multiplier = l->multipliers[i], shift = l->shifts[i];
    const int right = 31 - shift;
    return (x * multiplier + ((int64_t)1 << (right - 1))) >> right;
}
