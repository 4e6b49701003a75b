#pragma once

#include "export/device/finish.h"
#include "export/device/requantize.h"

/* Weights [out_c][inputs]; the inputs are all codes of the input value in order. */
static void fully_connected(int8_t *y, const int8_t *x, const struct layer *l)
{
    const int32_t inputs = (int32_t)l->in_h * l->in_w * l->in_c;
    const int8_t *w = l->weights;
    int32_t i;
    int o;
    for (o = 0; o < l->out_c; o++, w += inputs) {
        int32_t sum = l->biases[o];
        for (i = 0; i < inputs; i++)
            sum += w[i] * (x[i] - l->in_zero);
        y[o] = finish(requantize(sum, l, o) + l->out_zero, l);
    }
}
