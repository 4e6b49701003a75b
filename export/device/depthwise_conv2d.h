#pragma once

#include "export/device/finish.h"
#include "export/device/requantize.h"

/* Weights [kernel_h][kernel_w][out_c]; output channel o reads input channel o / (out_c / in_c). */
static void depthwise_conv2d(int8_t *y, const int8_t *x, const struct layer *l)
{
    const int multiple = l->out_c / l->in_c;
    int oy, ox, o, ky, kx;
    for (oy = 0; oy < l->out_h; oy++)
        for (ox = 0; ox < l->out_w; ox++)
            for (o = 0; o < l->out_c; o++) {
                int32_t sum = l->biases[o];
                for (ky = 0; ky < l->kernel_h; ky++)
                    for (kx = 0; kx < l->kernel_w; kx++) {
                        const int iy = oy * l->stride_h + ky * l->dilation_h - l->pad_top;
                        const int ix = ox * l->stride_w + kx * l->dilation_w - l->pad_left;
                        if (iy >= 0 && iy < l->in_h && ix >= 0 && ix < l->in_w)
                            sum += l->weights[((int32_t)ky * l->kernel_w + kx) * l->out_c + o] *
                                   (x[((int32_t)iy * l->in_w + ix) * l->in_c + o / multiple] -
                                    l->in_zero);
                    }
                *y++ = finish(requantize(sum, l, o) + l->out_zero, l);
            }
}
