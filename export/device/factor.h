#pragma once

#include "export/device/layer.h"

/* multiplier * 2^(shift - 31): a float32 to its last bit. */
static float factor(int32_t multiplier, int32_t shift)
{
    float f = (float)multiplier;
    int32_t i;
    for (i = shift; i < 31; i++)
        f *= 0.5f;
    for (i = 31; i < shift; i++)
        f *= 2.0f;
    return f;
}
