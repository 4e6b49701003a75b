#pragma once

#include "export/device/finish.h"
#include "export/device/requantize.h"

/* Over height and width; the multiplier holds the division. */
static void mean(int8_t *y, const int8_t *x, const struct layer *l)
{
    const int32_t positions = (int32_t)l->in_h * l->in_w;
    int32_t i;
    int c;
    for (c = 0; c < l->out_c; c++) {
        int32_t sum = 0;
        for (i = 0; i < positions; i++)
            sum += x[i * l->in_c + c];
        sum -= positions * l->in_zero;
        y[c] = finish(requantize(sum, l, 0), l);
    }
}
