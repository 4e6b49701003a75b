#pragma once

#include "export/device/cores.h"

/* What a kernel reads at one place of the image, as one column of kernel_h * kernel_w * in_c codes
   in the order of the weights. Padding is the input's zero point, whose share in every sum is in
   the biases. Two columns are at hand at a time.

   Cores with SIMD instructions on 16 bits (Cortex-M4, M7, M33) want their codes widened and the two
   columns a and b beside each other: of each four codes a0 a2, b0 b2, a1 a3, b1 b3, which is the
   order in which two instructions widen a word of weights; for packed weights of each eight
   a0 a4, b0 b4, a2 a6, b2 b6, a1 a5, b1 b5, a3 a7, b3 b7. Behind the last code are zeros, to a
   multiple of eight. */
/* Codes of the largest column. */
#ifndef COLUMN_CODES
#define COLUMN_CODES 4608
#endif

#if defined(WIDE_COLUMNS)
typedef uint32_t column_code; /* two codes of one column */
static column_code columns[1][(COLUMN_CODES + 7) / 8 * 8];

/* Code k of the column whose first word this is. */
OUT_OF_LINE void put_code(column_code *column, int32_t k, int code, int eights)
{
    const int32_t word = eights ? k / 8 * 4 + 2 * (k & 1) + (k >> 1 & 1) : k / 4 * 2 + (k & 1);
    const int high = eights ? k & 4 : k & 2;
    const uint32_t half = (uint32_t)code & 0xFFFF;
    column_code *to = column + 2 * word;
    *to = high ? (*to & 0xFFFF) | half << 16 : (*to & 0xFFFF0000) | half;
}

/* `count` codes from `from`, or `fill` where that is 0, as codes `at` and following of column
   `which`. Returns the next place. */
OUT_OF_LINE int32_t append(int which, int32_t at, const int8_t *from, int32_t count, int fill,
                           int eights)
{
    int32_t i = 0;
    if (from && at % 4 == 0 && !eights) {
        column_code *to = columns[0] + at + which;
        for (; i + 3 < count; i += 4, to += 4) {
            const uint32_t codes = *(const code_word *)(from + i);
            to[0] = even_bytes(codes);
            to[2] = odd_bytes(codes);
        }
    }
    if (from && at % 8 == 0 && eights) {
        column_code *to = columns[0] + at + which;
        for (; i + 7 < count; i += 8, to += 8) {
            const uint32_t first = *(const code_word *)(from + i);
            const uint32_t second = *(const code_word *)(from + i + 4);
            to[0] = join_low(even_bytes(first), even_bytes(second));
            to[2] = join_high(even_bytes(first), even_bytes(second));
            to[4] = join_low(odd_bytes(first), odd_bytes(second));
            to[6] = join_high(odd_bytes(first), odd_bytes(second));
        }
    }
    for (; i < count; i++)
        put_code(columns[0] + which, at + i, from ? from[i] : fill, eights);
    return at + count;
}
#else
typedef int8_t column_code;
static ALIGNED column_code columns[2][(COLUMN_CODES + 15) / 16 * 16];

HELPER int32_t append(int which, int32_t at, const int8_t *from, int32_t count, int fill,
                      int eights)
{
    column_code *to = columns[which] + at;
    int32_t i;
    (void)eights;
#if defined(VECTORS)
    if (from)
        for (i = count / 16; i > 0; i--, from += 16, to += 16)
            vstrbq_s8(to, vldrbq_s8(from));
    for (i = from ? count % 16 : count; i > 0; i -= 16, to += 16) {
        const mve_pred16_t some = vctp8q((uint32_t)i);
        vstrbq_p_s8(to, from ? vldrbq_z_s8(from, some) : vdupq_n_s8((int8_t)fill), some);
    }
#else
    i = 0;
#if defined(WORDS)
    for (; from && i + 3 < count; i += 4) {
        *(code_word *)(to + i) = *(const code_word *)(from + i);
        __asm__("" : "+r"(from)); /* a call of memcpy would take longer */
    }
#endif
    for (; i < count; i++)
        to[i] = (column_code)(from ? from[i] : fill);
#endif
    return at + count;
}
#endif

/* Whether packed weights are multiplied as they lie. */
HELPER int takes_eights(const struct layer *l)
{
#if defined(__OPTIMIZE__) || !defined(WIDE_COLUMNS)
    return l->packed && lies_in_bytes((int32_t)l->kernel_h * l->kernel_w * l->in_c);
#else
    return 0 * l->packed;
#endif
}

/* Column `which` of output place (oy, ox): copied, or where it lies. */
HELPER const column_code *find_column(int which, const int8_t *x, const struct layer *l, int oy,
                                      int ox)
{
    const int top = oy * l->stride_h - l->pad_top, left = ox * l->stride_w - l->pad_left;
    const int32_t row = (int32_t)l->in_w * l->in_c, run = (int32_t)l->kernel_w * l->in_c;
    int32_t from = top * row + left * l->in_c; /* of the first tap, which may lie in the padding */
    const int eights = takes_eights(l);
    int32_t at = 0;
    int ky, kx;
#if !defined(WIDE_COLUMNS)
    if (l->kernel_h * l->kernel_w == 1 && top >= 0 && top < l->in_h && left >= 0 && left < l->in_w)
        return x + from;
#endif
    if (l->dilation_w == 1) {
        const int beyond = left + l->kernel_w - l->in_w;
        const int32_t before = left < 0 ? (-left < l->kernel_w ? -left * l->in_c : run) : 0;
        const int32_t after = beyond > 0 ? (beyond < l->kernel_w ? beyond * l->in_c : run) : 0;
        const int32_t inside = run - before - after;
        for (ky = 0; ky < l->kernel_h; ky++, from += l->dilation_h * row) {
            const int iy = top + ky * l->dilation_h;
            if (iy < 0 || iy >= l->in_h || inside <= 0) {
                at = append(which, at, 0, run, l->in_zero, eights);
                continue;
            }
            if (before > 0)
                at = append(which, at, 0, before, l->in_zero, eights);
            at = append(which, at, x + from + before, inside, 0, eights);
            if (after > 0)
                at = append(which, at, 0, after, l->in_zero, eights);
        }
    } else {
        for (ky = 0; ky < l->kernel_h; ky++, from += l->dilation_h * row)
            for (kx = 0; kx < l->kernel_w; kx++) {
                const int iy = top + ky * l->dilation_h, ix = left + kx * l->dilation_w;
                const int inside = iy >= 0 && iy < l->in_h && ix >= 0 && ix < l->in_w;
                at = append(which, at, inside ? x + from + kx * l->dilation_w * l->in_c : 0,
                            l->in_c, l->in_zero, eights);
            }
    }
#if defined(WIDE_COLUMNS)
    (void)append(which, at, 0, (8 - at % 8) % 8, 0, eights);
    return columns[0];
#else
    return columns[which];
#endif
}
