#pragma once

#include "export/device/factor.h"
#include "export/device/finish.h"
#include "export/device/nearest_even.h"

/* a * b + c rounded to float32 once, without a library: the product is exact in double, the error
   of its sum with c is known, and decides where that lies midway between two floats. */
static float fused(float a, float b, float c)
{
    const volatile double product = (double)a * (double)b;
    const volatile double sum = product + (double)c;
    const volatile double added = sum - product, kept = sum - added;
    const volatile double error = (product - kept) + ((double)c - added);
    const volatile float near = (float)sum;
    const volatile double rest = sum - (double)near, far = (double)near + 2.0 * rest;
    const volatile float other = (float)far;
    return error != 0.0 && (rest > 0.0 ? error > 0.0 : rest < 0.0 && error < 0.0) &&
                   (double)other == far
               ? other
               : near;
}

/* Fused: factors 0 and 1 are ratios of scales, 2 is an offset that holds the zero points, as ONNX
   Runtime's QLinearAdd. Else both inputs as float32 values, their sum in steps of the output (2).
 */
static void add(int8_t *y, const int8_t *a, const int8_t *b, const struct layer *l)
{
    const int32_t *m = l->multipliers, *s = l->shifts;
    const float first = factor(m[0], s[0]), second = factor(m[1], s[1]), last = factor(m[2], s[2]);
    const int32_t count = (int32_t)l->out_h * l->out_w * l->out_c;
    int32_t i;
    for (i = 0; i < count; i++) {
        volatile float left, right;
        if (l->fused) {
            right = fused((float)b[i], second, last);
            y[i] = finish_code(nearest_even(fused((float)a[i], first, right)), l);
            continue;
        }
        left = first * (float)(a[i] - l->in_zero);
        right = second * (float)(b[i] - l->other_zero);
        left = left + right;
        left = left / last;
        y[i] = finish(nearest_even(left), l);
    }
}
