#pragma once

#include "export/device/finish.h"

/* Weights [out_c][inputs]. The product is a double (volatile: not fused, not wider), a half goes
   away from zero, as in LiteRT's reference kernel; beyond 1024 the clamp comes next anyway. */
static void fully_connected(int8_t *y, const int8_t *x, const struct layer *l)
{
    const int32_t inputs = (int32_t)l->in_h * l->in_w * l->in_c;
    const int8_t *w = l->weights;
    int32_t i;
    int o;
    for (o = 0; o < l->out_c; o++, w += inputs) {
        volatile double value;
        double rest;
        int32_t sum = l->biases[o], whole;
        for (i = 0; i < inputs; i++)
            sum += w[i] * x[i];
        value = (double)sum * l->factors[o];
        whole = value > 1024.0 ? 1024 : value < -1024.0 ? -1024 : (int32_t)value;
        rest = value - (double)whole;
        y[o] = finish(whole + (rest >= 0.5) - (rest <= -0.5), l);
    }
}
