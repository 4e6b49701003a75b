#pragma once

#include "export/device/finish.h"

/* The mean of the taps inside the input, rounded half away from zero. */
static void average_pool(int8_t *y, const int8_t *x, const struct layer *l)
{
    int oy, ox, c, ky, kx;
    for (oy = 0; oy < l->out_h; oy++)
        for (ox = 0; ox < l->out_w; ox++)
            for (c = 0; c < l->out_c; c++) {
                int32_t sum = 0, taps = 0;
                for (ky = 0; ky < l->kernel_h; ky++)
                    for (kx = 0; kx < l->kernel_w; kx++) {
                        const int iy = oy * l->stride_h + ky - l->pad_top;
                        const int ix = ox * l->stride_w + kx - l->pad_left;
                        if (iy >= 0 && iy < l->in_h && ix >= 0 && ix < l->in_w) {
                            sum += x[((int32_t)iy * l->in_w + ix) * l->in_c + c];
                            taps++;
                        }
                    }
                *y++ = finish_code((sum > 0 ? sum + taps / 2 : sum - taps / 2) / taps, l);
            }
}
