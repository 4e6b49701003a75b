#pragma once

#include "export/device/finish.h"

/* Over the channels, in float32 (volatile: not fused, not wider), a half upward. */
static void softmax(int8_t *y, const int8_t *x, const struct layer *l)
{
    const int32_t positions = (int32_t)l->out_h * l->out_w;
    int32_t i;
    int c;
    for (i = 0; i < positions; i++, x += l->out_c, y += l->out_c) {
        const float *e;
        volatile float sum = 0.0f, part, share;
        int most = -128;
        for (c = 0; c < l->out_c; c++)
            most = x[c] > most ? x[c] : most;
        e = l->float_exponentials + 255 - most;
        for (c = 0; c < l->out_c; c++)
            sum += e[x[c]];
        part = sum * 0.00390625f;
        part = 1.0f / part;
        for (c = 0; c < l->out_c; c++) {
            share = e[x[c]] * part;
            y[c] = finish((int32_t)((double)share + 0.5), l);
        }
    }
}
