#pragma once

#include "export/device/round_twice.h"

/* As LiteRT's built-in kernels, whose vectors round upward. */
static int32_t requantize(int32_t x, const struct layer *l, int i)
{
    return round_twice(x, l->multipliers[i], l->shifts[i], i < l->upward);
}
