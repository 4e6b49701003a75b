#pragma once

#include "export/device/layer.h"

/* One input of a concatenation: its channels go to [first, first + channels) of each position. */
static void place(int8_t *y, const int8_t *x, int first, int channels, const struct layer *l)
{
    const int32_t positions = (int32_t)l->out_h * l->out_w;
    int32_t i;
    int c;
    for (i = 0; i < positions; i++)
        for (c = 0; c < channels; c++)
            y[i * l->out_c + first + c] = x[i * channels + c];
}
