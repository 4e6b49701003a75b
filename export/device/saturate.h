#pragma once

#include "export/device/layer.h"

/* What lies beyond is beyond every code, too. */
static int32_t saturate(int64_t x)
{
    return x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : (int32_t)x;
}
