#pragma once

#include "export/device/finish.h"
#include "export/device/requantize.h"

/* Weights [out_c][kernel_h][kernel_w][in_c]. A tap in the padding adds nothing: padding holds the
   input's zero point. */
static void conv2d(int8_t *y, const int8_t *x, const struct layer *l)
{
    int oy, ox, o, ky, kx, i;
    for (oy = 0; oy < l->out_h; oy++)
        for (ox = 0; ox < l->out_w; ox++)
            for (o = 0; o < l->out_c; o++) {
                const int8_t *w = l->weights + (int32_t)o * l->kernel_h * l->kernel_w * l->in_c;
                int32_t sum = l->biases[o];
                for (ky = 0; ky < l->kernel_h; ky++) {
                    const int iy = oy * l->stride_h + ky * l->dilation_h - l->pad_top;
                    for (kx = 0; kx < l->kernel_w; kx++, w += l->in_c) {
                        const int ix = ox * l->stride_w + kx * l->dilation_w - l->pad_left;
                        if (iy >= 0 && iy < l->in_h && ix >= 0 && ix < l->in_w) {
                            const int8_t *p = x + ((int32_t)iy * l->in_w + ix) * l->in_c;
                            for (i = 0; i < l->in_c; i++)
                                sum += w[i] * (p[i] - l->in_zero);
                        }
                    }
                }
                *y++ = finish(requantize(sum, l, o) + l->out_zero, l);
            }
}
