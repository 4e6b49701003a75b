#pragma once

#include "export/device/finish_sums.h"
#include "export/device/weights.h"

/* The taps of one output place that lie inside the image: rows x columns of them, from weights w
   and codes x on. A tap in the padding adds nothing: padding holds the input's zero point. */
struct taps {
    const int8_t *w, *x;
    int rows, columns;
    int32_t w_row, w_column, x_row, x_column; /* from one to the next */
};

/* Of `count` taps `dilation` apart from `start` on, those in [0, size): the first, and how many. */
static int inside(int *first, int start, int count, int dilation, int size)
{
    const int from = start < 0 ? (-start + dilation - 1) / dilation : 0;
    const int end = size > start ? (size - start + dilation - 1) / dilation : 0;
    *first = from;
    return (end < count ? end : count) - from;
}

static struct taps find_taps(const int8_t *w, const int8_t *x, const struct layer *l, int oy,
                             int ox)
{
    const int top = oy * l->stride_h - l->pad_top, left = ox * l->stride_w - l->pad_left;
    struct taps t;
    int ky, kx;
    t.rows = inside(&ky, top, l->kernel_h, l->dilation_h, l->in_h);
    t.columns = inside(&kx, left, l->kernel_w, l->dilation_w, l->in_w);
    t.w_column = l->out_c;
    t.w_row = (int32_t)l->kernel_w * l->out_c;
    t.x_column = (int32_t)l->dilation_w * l->in_c;
    t.x_row = (int32_t)l->dilation_h * l->in_w * l->in_c;
    t.w = w + ky * t.w_row + kx * t.w_column;
    t.x = t.rows > 0 && t.columns > 0
              ? x + ((int32_t)(top + ky * l->dilation_h) * l->in_w + left + kx * l->dilation_w) *
                        l->in_c
              : x;
    return t;
}

/* One channel, o, that reads channel i. */
static int32_t add_taps(int32_t sum, const struct taps *t, int o, int i, int zero)
{
    const int8_t *w_row = t->w + o, *x_row = t->x + i;
    int r, c;
    for (r = 0; r < t->rows; r++, w_row += t->w_row, x_row += t->x_row) {
        const int8_t *w = w_row, *x = x_row;
        for (c = 0; c < t->columns; c++, w += t->w_column, x += t->x_column)
            sum += *w * (*x - zero);
    }
    return sum;
}

/* As many channels at a time as the core is good at, each of which reads the input channel of its
   own number. Returns how many channels that were. */
#if defined(VECTORS)
OUT_OF_LINE int sum_taps(int8_t *y, const struct taps *t, const struct layer *l)
{
    const int16_t zero = (int16_t)l->in_zero;
    const int32_t w_column = t->w_column, x_column = t->x_column;
    int o, r, c;
    for (o = 0; o + 8 <= l->out_c; o += 8) {
        const int8_t *w_row = t->w + o, *x_row = t->x + o;
        const int32x4x2_t biases = vld2q_s32(l->biases + o);
        int32x4_t even = biases.val[0], odd = biases.val[1];
        for (r = t->rows; r > 0; r--, w_row += t->w_row, x_row += t->x_row) {
            const int8_t *w = w_row, *x = x_row;
            for (c = t->columns; c > 0; c--, w += w_column, x += x_column) {
                const int16x8_t ww = vldrbq_s16(w), xx = vsubq_n_s16(vldrbq_s16(x), zero);
                even = vaddq_s32(even, vmullbq_int_s16(ww, xx));
                odd = vaddq_s32(odd, vmulltq_int_s16(ww, xx));
            }
        }
        finish_halves(y + o, even, odd, l, o);
    }
    return o;
}
#else
OUT_OF_LINE int sum_taps(int8_t *y, const struct taps *t, const struct layer *l)
{
    const int32_t w_column = t->w_column, x_column = t->x_column;
    int o, r, c;
#if defined(WIDE_COLUMNS)
    const uint32_t half = (uint32_t)-l->in_zero & 0xFFFF, zeros = half << 16 | half;
#else
    const int zero = l->in_zero;
#endif
    for (o = 0; o + 4 <= l->out_c; o += 4) {
        const int8_t *w_row = t->w + o, *x_row = t->x + o;
        const int32_t *biases = l->biases + o;
        int32_t s0 = biases[0], s1 = biases[1], s2 = biases[2], s3 = biases[3], sums[4];
        for (r = t->rows; r > 0; r--, w_row += t->w_row, x_row += t->x_row) {
            const int8_t *w = w_row, *x = x_row;
            for (c = t->columns; c > 0; c--, w += w_column, x += x_column) {
#if defined(WIDE_COLUMNS)
                const uint32_t w_codes = *(const code_word *)w, x_codes = *(const code_word *)x;
                const uint32_t w_even = even_bytes(w_codes), w_odd = odd_bytes(w_codes);
                const uint32_t x_even = even_bytes_and(zeros, x_codes);
                const uint32_t x_odd = odd_bytes_and(zeros, x_codes);
                s0 = multiply_low(w_even, x_even, s0);
                s1 = multiply_low(w_odd, x_odd, s1);
                s2 = multiply_high(w_even, x_even, s2);
                s3 = multiply_high(w_odd, x_odd, s3);
#else
                s0 += w[0] * (x[0] - zero);
                s1 += w[1] * (x[1] - zero);
                s2 += w[2] * (x[2] - zero);
                s3 += w[3] * (x[3] - zero);
#endif
            }
        }
        sums[0] = s0;
        sums[1] = s1;
        sums[2] = s2;
        sums[3] = s3;
        finish_sums(y + o, sums, l, o);
    }
    return o;
}
#endif

/* Channels from o on, one by one. */
OUT_OF_LINE void add_others(int8_t *y, const struct taps *t, int o, const struct layer *l)
{
    const int multiple = l->out_c / l->in_c;
    for (; o < l->out_c; o++) {
        const int i = multiple == 1 ? o : o / multiple;
        y[o] = finish(requantize(add_taps(l->biases[o], t, o, i, l->in_zero), l, o), l);
    }
}

/* Weights [kernel_h][kernel_w][out_c]; output channel o reads input channel o / (out_c / in_c). */
static void depthwise_conv2d(int8_t *y, const int8_t *x, const struct layer *l)
{
    const int8_t *w = find_weights(l, 0, (int32_t)l->kernel_h * l->kernel_w * l->out_c);
    int oy, ox;
    for (oy = 0; oy < l->out_h; oy++)
        for (ox = 0; ox < l->out_w; ox++, y += l->out_c) {
            const struct taps t = find_taps(w, x, l, oy, ox);
            add_others(y, &t, l->out_c == l->in_c ? sum_taps(y, &t, l) : 0, l);
        }
}
