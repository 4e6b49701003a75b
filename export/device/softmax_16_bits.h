#pragma once

#include "export/device/finish.h"

/* Over the channels; exponentials are fractions of 65535, 256 / sum (a float32; volatile: not
   wider) becomes a multiplier that rounds twice. As LiteRT on 64-bit ARM. */
static void softmax(int8_t *y, const int8_t *x, const struct layer *l)
{
    const int32_t positions = (int32_t)l->out_h * l->out_w;
    int32_t i;
    int c;
    for (i = 0; i < positions; i++, x += l->out_c, y += l->out_c) {
        const int32_t *e;
        volatile float part;
        float inverse;
        int64_t multiplier;
        int32_t sum = 0;
        int most = -128, right = 0;
        for (c = 0; c < l->out_c; c++)
            most = x[c] > most ? x[c] : most;
        e = l->exponentials + 255 - most;
        for (c = 0; c < l->out_c; c++)
            sum += e[x[c]];
        part = (float)sum * 0.00390625f;
        part = 1.0f / part;
        for (inverse = part; inverse < 0.5f; right++)
            inverse *= 2.0f;
        multiplier = (int64_t)(inverse * 2147483648.0f);
        for (c = 0; c < l->out_c; c++) {
            const int64_t share = (e[x[c]] * multiplier + ((int64_t)1 << 30)) >> 31;
            y[c] = finish((int32_t)((share + ((int64_t)1 << (right - 1))) >> right), l);
        }
    }
}
