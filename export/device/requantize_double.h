#pragma once

#include "export/device/layer.h"

/* x * multiplier * 2^(shift - 31), rounded twice: the high half of the product with ties
   upward, then the right shift with ties away from zero. As TensorFlow Lite Micro and CMSIS-NN. */
static int64_t requantize(int64_t x, const struct layer *l, int i)
{
    const int32_t multiplier = l->multipliers[i], shift = l->shifts[i];
    int64_t y;
    if (shift > 0) {
        x *= (int64_t)1 << (shift < 31 ? shift : 31);
        x = x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : x;
    }
    y = (x * multiplier + ((int64_t)1 << 30)) >> 31;
    if (shift < 0) {
        const int64_t half = (int64_t)1 << (-shift - 1);
        y = y < 0 ? -((half - y) >> -shift) : (half + y) >> -shift;
    }
    return y;
}
