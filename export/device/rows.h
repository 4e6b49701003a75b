#pragma once

#include "export/device/finish_sums.h"
#include "export/device/row_products.h"
#include "export/device/weights.h"

/* All channels at one place, or at two (b may be 0): rows of weights [out_c][count] by codes as
   they lie. */
#if defined(VECTORS)
/* Four channels, from `first` on, whose weights w and following are. */
OUT_OF_LINE void multiply_four_rows(int8_t *y, const int8_t *w, const int8_t *a, const int8_t *b,
                                    int32_t count, const struct layer *l, int first)
{
    const int32x4_t biases = vldrwq_s32(l->biases + first);
    y += first;
    finish_vector(y, vaddq_s32(sum_row_products(w, count, a, count), biases), l, first);
    if (b)
        finish_vector(y + l->out_c, vaddq_s32(sum_row_products(w, count, b, count), biases), l,
                      first);
}

HELPER void multiply_rows_by_two(int8_t *y, const int8_t *a, const int8_t *b, int32_t count,
                                 const struct layer *l)
{
    const int last = l->out_c - 4;
    int o;
    for (o = 0; l->out_c >= 4 && o < l->out_c; o += 4) {
        const int first = o > last ? last : o; /* the last four overlap those before */
        const int8_t *w = find_weights(l, first * count, 4 * count);
        multiply_four_rows(y, w, a, b, count, l, first);
    }
    for (; o < l->out_c; o++) { /* of fewer than four channels all */
        const int8_t *w = find_weights(l, o * count, count);
        int p;
        for (p = 0; p < (b ? 2 : 1); p++) {
            const int32x4_t sums = sum_row_products(w, 0, p ? b : a, count);
            y[p * l->out_c + o] = finish(
                requantize((int32_t)((uint32_t)l->biases[o] + (uint32_t)vgetq_lane_s32(sums, 0)), l,
                           o),
                l);
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
