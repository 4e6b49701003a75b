#pragma once

#include "export/device/factor.h"
#include "export/device/nearest_even.h"

/* The product in float32 (volatile: not fused, not wider), then half to even, as ONNX Runtime. */
static int32_t requantize(int32_t x, const struct layer *l, int i)
{
    const int32_t multiplier = l->multipliers[i], shift = l->shifts[i];
    const volatile float y = (float)x * factor(multiplier, shift);
    return nearest_even(y);
}
