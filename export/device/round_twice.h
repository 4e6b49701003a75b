#pragma once

#include "export/device/layer.h"

/* x * multiplier * 2^(shift - 31), rounded twice: the high half of the product with ties
   upward, then the right shift, with ties upward or away from zero. */
static int32_t round_twice(int64_t x, int32_t multiplier, int32_t shift, int upward)
{
    const int right = shift < 0 ? -shift : 0;
    const int64_t half = right > 0 ? (int64_t)1 << (right - 1) : 0;
    x *= (int64_t)1 << (shift < 0 ? 0 : shift < 31 ? shift : 31);
    x = x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : x;
    x = (x * multiplier + ((int64_t)1 << 30)) >> 31;
    return (int32_t)(x < 0 && !upward ? -((half - x) >> right) : (half + x) >> right);
}
