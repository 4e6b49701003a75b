#pragma once

#include "export/device/rows.h"

/* Weights [out_c][inputs]; the inputs are all codes of the input value in order. The input's zero
   point is in the biases. */
static void fully_connected(int8_t *y, const int8_t *x, const struct layer *l)
{
    multiply_rows(y, x, (int32_t)l->in_h * l->in_w * l->in_c, l);
}
