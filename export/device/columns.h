#pragma once

#include "export/device/cores.h"

/* What a kernel reads at one place of the image, as one column of kernel_h * kernel_w * in_c codes
   in the order of the weights. Padding is the input's zero point, whose share in every sum is in
   the biases. Two columns are at hand at a time.

   Cores with SIMD instructions on 16 bits (Cortex-M4, M7, M33) want their codes widened and the two
   columns a and b beside each other: of each four codes a0 a2, b0 b2, a1 a3, b1 b3, which is the
   order in which two instructions widen a word of weights. Behind the last code are zeros, to a
   multiple of four. */
/* Codes of the largest column. */
#ifndef COLUMN_CODES
#define COLUMN_CODES 4608
#endif

#if defined(WIDE_COLUMNS)
typedef uint32_t column_code; /* two codes of one column */
static column_code columns[1][(COLUMN_CODES + 3) / 4 * 4];

/* Code k of the column whose first word this is. */
OUT_OF_LINE void put_code(column_code *column, int32_t k, int code)
{
    column_code *word = column + k / 4 * 4 + 2 * (k & 1);
    const uint32_t half = (uint32_t)code & 0xFFFF;
    *word = k & 2 ? (*word & 0xFFFF) | half << 16 : (*word & 0xFFFF0000) | half;
}

/* `count` codes from `from`, or `fill` where that is 0, as codes `at` and following of column
   `which`. Returns the next place. */
OUT_OF_LINE int32_t append(int which, int32_t at, const int8_t *from, int32_t count, int fill)
{
    int32_t i = 0;
    if (from && at % 4 == 0) {
        column_code *to = columns[0] + at + which;
        for (; i + 3 < count; i += 4, to += 4) {
            const uint32_t codes = *(const code_word *)(from + i);
            to[0] = even_bytes(codes);
            to[2] = odd_bytes(codes);
        }
    }
    for (; i < count; i++)
        put_code(columns[0] + which, at + i, from ? from[i] : fill);
    return at + count;
}
#else
typedef int8_t column_code;
static ALIGNED column_code columns[2][(COLUMN_CODES + 15) / 16 * 16];

HELPER int32_t append(int which, int32_t at, const int8_t *from, int32_t count, int fill)
{
    column_code *to = columns[which] + at;
    int32_t i;
#if defined(VECTORS)
    for (i = 0; i < count; i += 16) {
        const mve_pred16_t some = vctp8q((uint32_t)(count - i));
        vstrbq_p_s8(to + i, from ? vldrbq_z_s8(from + i, some) : vdupq_n_s8((int8_t)fill), some);
    }
#else
    for (i = 0; i < count; i++)
        to[i] = (column_code)(from ? from[i] : fill);
#endif
    return at + count;
}
#endif

/* Column `which` of output place (oy, ox): copied, or where it lies. */
HELPER const column_code *find_column(int which, const int8_t *x, const struct layer *l, int oy,
                                      int ox)
{
    const int top = oy * l->stride_h - l->pad_top, left = ox * l->stride_w - l->pad_left;
    const int32_t run = (int32_t)l->kernel_w * l->in_c;
    int32_t at = 0;
    int ky, kx;
#if !defined(WIDE_COLUMNS)
    if (l->kernel_h * l->kernel_w == 1 && top >= 0 && top < l->in_h && left >= 0 && left < l->in_w)
        return x + ((int32_t)top * l->in_w + left) * l->in_c;
#endif
    for (ky = 0; ky < l->kernel_h; ky++) {
        const int iy = top + ky * l->dilation_h;
        const int8_t *row = iy >= 0 && iy < l->in_h ? x + (int32_t)iy * l->in_w * l->in_c : 0;
        if (!row) {
            at = append(which, at, 0, run, l->in_zero);
        } else if (l->dilation_w == 1 && left >= 0 && left + l->kernel_w <= l->in_w) {
            at = append(which, at, row + (int32_t)left * l->in_c, run, 0);
        } else {
            for (kx = 0; kx < l->kernel_w; kx++) {
                const int ix = left + kx * l->dilation_w;
                const int inside = ix >= 0 && ix < l->in_w;
                at = append(which, at, inside ? row + (int32_t)ix * l->in_c : 0, l->in_c,
                            l->in_zero);
            }
        }
    }
#if defined(WIDE_COLUMNS)
    (void)append(which, at, 0, (4 - at % 4) % 4, 0);
    return columns[0];
#else
    return columns[which];
#endif
}
