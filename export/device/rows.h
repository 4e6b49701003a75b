#pragma once

#include "export/device/finish_sums.h"
#include "export/device/row_products.h"
#include "export/device/weights.h"

/* All channels at one place, or at two (b may be 0): rows of weights [out_c][count] by codes as
   they lie. */
#if defined(VECTORS)
HELPER void multiply_rows_by_two(int8_t *y, const int8_t *a, const int8_t *b, int32_t count,
                                 const struct layer *l)
{
    const int few = l->out_c < 4, last = l->out_c - 4;
    int o, k, p;
    for (o = 0; o < l->out_c; o += few ? 1 : 4) {
        const int first = !few && o > last ? last : o; /* the last four overlap those before */
        const int8_t *w = find_weights(l, first * count, few ? count : 4 * count);
        for (p = 0; p < (b ? 2 : 1); p++) {
            int8_t *at = y + p * l->out_c + first;
            int32_t sums[4];
            for (k = 0; k < 4; k++)
                sums[k] = l->biases[first + (few ? 0 : k)];
            add_row_products(sums, w, few ? 0 : count, p ? b : a, count);
            if (few)
                *at = finish(requantize(sums[0], l, first), l);
            else
                finish_sums(at, sums, l, first);
        }
    }
}

HELPER void multiply_rows(int8_t *y, const int8_t *x, int32_t count, const struct layer *l)
{
    multiply_rows_by_two(y, x, 0, count, l);
}
#else
HELPER void multiply_rows(int8_t *y, const int8_t *x, int32_t count, const struct layer *l)
{
    int o;
    for (o = 0; o < l->out_c; o += 2) {
        const int next = o + 1 < l->out_c;
        int32_t sums[2];
        sums[0] = l->biases[o];
        sums[1] = l->biases[o + next];
        if (l->packed && lies_in_bytes(count)) {
            const int8_t *w = l->weights + o * (count / 2);
            add_packed_row_products(sums, w, w + next * (count / 2), x, count);
        } else {
            const int8_t *w = find_weights(l, o * count, (1 + next) * count);
            add_row_products(sums, w, w + next * count, x, count);
        }
        y[o] = finish(requantize(sums[0], l, o), l);
        y[o + next] = finish(requantize(sums[1], l, o + next), l);
    }
}
#endif
