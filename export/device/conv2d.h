#pragma once

#include "export/device/products.h"
#include "export/device/rows.h"

/* All channels at places a and b; b may be 0. Weights [out_c][kernel_h][kernel_w][in_c]. */
#if defined(VECTORS)
static void multiply_columns(int8_t *y, const column_code *a, const column_code *b,
                             const struct layer *l)
{
    multiply_rows_by_two(y, a, b, (int32_t)l->kernel_h * l->kernel_w * l->in_c, l);
}
#else
static void multiply_columns(int8_t *y, const column_code *a, const column_code *b,
                             const struct layer *l)
{
    const int32_t count = (int32_t)l->kernel_h * l->kernel_w * l->in_c;
    const int eights = takes_eights(l);
    int o;
    for (o = 0; o < l->out_c; o += 2) {
        const int next = o + 1 < l->out_c;
        int32_t sums[4];
        sums[0] = sums[1] = l->biases[o];
        sums[2] = sums[3] = l->biases[o + next];
        if (eights) {
            const int8_t *w = l->weights + o * (count / 2);
            add_packed_products(sums, w, w + next * (count / 2), a, b ? b : a, count);
        } else {
            const int8_t *w = find_weights(l, o * count, (1 + next) * count);
            add_products(sums, w, w + next * count, a, b ? b : a, count);
        }
        y[o] = finish(requantize(sums[0], l, o), l);
        y[o + next] = finish(requantize(sums[2], l, o + next), l);
        if (b) {
            y[l->out_c + o] = finish(requantize(sums[1], l, o), l);
            y[l->out_c + o + next] = finish(requantize(sums[3], l, o + next), l);
        }
    }
}
#endif

static void conv2d(int8_t *y, const int8_t *x, const struct layer *l)
{
    const column_code *waiting = 0;
    int oy, ox;
    for (oy = 0; oy < l->out_h; oy++)
        for (ox = 0; ox < l->out_w; ox++) {
            const column_code *column = find_column(waiting != 0, x, l, oy, ox);
            if (waiting) {
                multiply_columns(y, waiting, column, l);
                y += 2 * l->out_c;
                waiting = 0;
            } else {
                waiting = column;
            }
        }
    if (waiting)
        multiply_columns(y, waiting, 0, l);
}
