#pragma once

#include "export/device/finish.h"
#include "export/device/round_twice.h"

/* Over height and width; codes are summed as they are, biases[0] holds the zero points' share. */
static void mean(int8_t *y, const int8_t *x, const struct layer *l)
{
    const int32_t positions = (int32_t)l->in_h * l->in_w;
    int32_t i;
    int c;
    for (c = 0; c < l->out_c; c++) {
        int32_t sum = 0;
        for (i = 0; i < positions; i++)
            sum += x[i * l->in_c + c];
        y[c] = finish_code(
            round_twice(sum, l->multipliers[0], l->shifts[0], c < l->upward) + l->biases[0], l);
    }
}
