#pragma once

#include "export/device/finish.h"
#include "export/device/weights.h"

/* Weights [out_c][inputs]; the input's zero point is in the biases. The product is a double
   (volatile: not fused, not wider), a half goes away from zero, as in LiteRT's reference kernel;
   beyond 1024 the clamp comes next anyway. */
static void fully_connected(int8_t *y, const int8_t *x, const struct layer *l)
{
    const int32_t inputs = (int32_t)l->in_h * l->in_w * l->in_c;
    int32_t i;
    int o;
    for (o = 0; o < l->out_c; o++) {
        const int8_t *w = find_weights(l, o * inputs, inputs);
        volatile double value;
        double rest;
        uint32_t sum = (uint32_t)l->biases[o];
        int32_t whole;
        for (i = 0; i < inputs; i++)
            sum += (uint32_t)(w[i] * x[i]);
        value = (double)(int32_t)sum * l->factors[o];
        whole = value > 1024.0 ? 1024 : value < -1024.0 ? -1024 : (int32_t)value;
        rest = value - (double)whole;
        y[o] = finish(whole + (rest >= 0.5) - (rest <= -0.5), l);
    }
}
