#pragma once

#include "export/device/finish_sums.h"
#include "export/device/row_products.h"

/* All channels of one place: rows of weights [out_c][count] by codes x as they lie. */
#if defined(VECTORS)
HELPER void multiply_rows(int8_t *y, const int8_t *x, int32_t count, const struct layer *l)
{
    const int few = l->out_c < 4, last = l->out_c - 4;
    int o, k;
    for (o = 0; o < l->out_c; o += few ? 1 : 4) {
        const int first = !few && o > last ? last : o; /* the last four overlap those before */
        int32_t sums[4];
        for (k = 0; k < 4; k++)
            sums[k] = l->biases[first + (few ? 0 : k)];
        add_row_products(sums, l->weights + first * count, few ? 0 : count, x, count);
        if (few)
            y[first] = finish(requantize(sums[0], l, first), l);
        else
            finish_sums(y + first, sums, l, first);
    }
}
#else
HELPER void multiply_rows(int8_t *y, const int8_t *x, int32_t count, const struct layer *l)
{
    const int8_t *w = l->weights;
    int o;
    for (o = 0; o < l->out_c; o += 2, w += 2 * count) {
        const int next = o + 1 < l->out_c;
        int32_t sums[2];
        sums[0] = l->biases[o];
        sums[1] = l->biases[o + next];
        add_row_products(sums, w, w + next * count, x, count);
        y[o] = finish(requantize(sums[0], l, o), l);
        y[o + next] = finish(requantize(sums[1], l, o + next), l);
    }
}
#endif
