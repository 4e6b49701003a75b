#pragma once

#include "export/device/layer.h"

static void pad(int8_t *y, const int8_t *x, const struct layer *l)
{
    int oy, ox, c;
    for (oy = 0; oy < l->out_h; oy++)
        for (ox = 0; ox < l->out_w; ox++) {
            const int iy = oy - l->pad_top, ix = ox - l->pad_left;
            const int inside = iy >= 0 && iy < l->in_h && ix >= 0 && ix < l->in_w;
            for (c = -l->first_channel; c < l->out_c - l->first_channel; c++)
                *y++ = inside && c >= 0 && c < l->in_c
                           ? x[((int32_t)iy * l->in_w + ix) * l->in_c + c]
                           : (int8_t)l->out_zero;
        }
}
