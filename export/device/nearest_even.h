#pragma once

#include "export/device/layer.h"

/* To the nearest integer, a half to the even one; beyond 1024 the clamp comes next anyway. */
static int32_t nearest_even(float y)
{
    int32_t whole;
    float rest;
    if (y >= 1024.0f || y <= -1024.0f)
        return y > 0.0f ? 1024 : -1024;
    whole = (int32_t)y;
    rest = y - (float)whole;
    if (rest > 0.5f || (rest == 0.5f && whole % 2 != 0))
        whole++;
    else if (rest < -0.5f || (rest == -0.5f && whole % 2 != 0))
        whole--;
    return whole;
}
