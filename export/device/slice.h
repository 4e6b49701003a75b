#pragma once

#include "export/device/layer.h"

static void slice(int8_t *y, const int8_t *x, const struct layer *l)
{
    int oy, ox, c;
    for (oy = 0; oy < l->out_h; oy++)
        for (ox = 0; ox < l->out_w; ox++) {
            const int32_t iy = l->pad_top + (int32_t)oy * l->stride_h;
            const int32_t ix = l->pad_left + (int32_t)ox * l->stride_w;
            for (c = 0; c < l->out_c; c++)
                *y++ = x[(iy * l->in_w + ix) * l->in_c + l->first_channel + c];
        }
}
