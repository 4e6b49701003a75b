#pragma once

#include "export/device/cores.h"

/* Where a half goes when a value becomes a code. */
#define HALF_AWAY 0
#define HALF_EVEN 1
#define HALF_UP   2

/* To the nearest integer; beyond 1024 the clamp comes next anyway. */
HELPER int32_t nearest(float steps, int half)
{
    int32_t whole;
    float rest;
    if (steps >= 1024.0f || steps <= -1024.0f)
        return steps > 0.0f ? 1024 : -1024;
    whole = (int32_t)steps;
    rest = steps - (float)whole;
    if (rest > 0.5f || (rest == 0.5f && (half != HALF_EVEN || whole % 2 != 0)))
        whole++;
    else if (rest < -0.5f ||
             (rest == -0.5f && (half == HALF_AWAY || (half == HALF_EVEN && whole % 2 != 0))))
        whole--;
    return whole;
}

/* Codes of real values, by one float32 division each. 1: one of them is not a number. */
HELPER int input_values(int8_t *codes, const float *values, float scale, int zero_point, int half,
                        int32_t size)
{
    int32_t i;
    for (i = 0; i < size; i++) {
        const volatile float steps = values[i] / scale;
        int32_t code;
        if (steps != steps)
            return 1;
        code = nearest(steps, half) + zero_point;
        codes[i] = (int8_t)(code < -128 ? -128 : code > 127 ? 127 : code);
    }
    return 0;
}
