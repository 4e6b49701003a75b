#pragma once

#include "export/device/layer.h"

/* multiplier * 2^(shift - 31), of a multiplier with 24 bits: a float32 to its last bit. */
static float factor(int32_t multiplier, int32_t shift)
{
    union {
        uint32_t bits;
        float value;
    } power;
    int32_t exponent = shift - 31;
    float f = (float)multiplier;
    for (; exponent < -126; exponent++) /* powers of two that are no normal numbers */
        f *= 0.5f;
    for (; exponent > 127; exponent--)
        f *= 2.0f;
    power.bits = (uint32_t)(exponent + 127) << 23;
    return f * power.value;
}
