#pragma once

#include "export/device/factor.h"
#include "export/device/finish.h"
#include "export/device/nearest_even.h"

/* Over height and width; the zero points' share is one float32, added before the rounding. */
static void mean(int8_t *y, const int8_t *x, const struct layer *l)
{
    const int32_t positions = (int32_t)l->in_h * l->in_w;
    const float f = factor(l->multipliers[0], l->shifts[0]);
    const volatile float zeros = (float)(positions * l->in_zero) * f;
    const volatile float offset = (float)l->out_zero - zeros;
    int32_t i;
    int c;
    for (c = 0; c < l->out_c; c++) {
        volatile float code;
        int32_t sum = 0;
        for (i = 0; i < positions; i++)
            sum += x[i * l->in_c + c];
        code = (float)sum * f;
        code = code + offset;
        y[c] = finish_code(nearest_even(code), l);
    }
}
