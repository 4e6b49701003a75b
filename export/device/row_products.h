#pragma once

#include "export/device/weights.h"

/* Sums of products, added to `sums`, which wrap at 32 bits on the way and end where they belong. */
#if defined(VECTORS)
/* Four rows of weights, `count` codes each and `pitch` apart, by codes x: the four sums. */
HELPER int32x4_t sum_row_products(const int8_t *w, int32_t pitch, const int8_t *x, int32_t count)
{
    const int8_t *w1 = w + pitch, *w2 = w1 + pitch, *w3 = w2 + pitch;
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, i;
    int32x4_t sums = vdupq_n_s32(0);
    if (count % 16 == 0)
        for (i = count / 16; i > 0; i--) {
            const int8x16_t xx = vldrbq_s8(x);
            s0 = vmladavaq_s8(s0, vldrbq_s8(w), xx);
            s1 = vmladavaq_s8(s1, vldrbq_s8(w1), xx);
            s2 = vmladavaq_s8(s2, vldrbq_s8(w2), xx);
            s3 = vmladavaq_s8(s3, vldrbq_s8(w3), xx);
            w += 16;
            w1 += 16;
            w2 += 16;
            w3 += 16;
            x += 16;
        }
    else
        for (i = count; i > 0; i -= 16) {
            const mve_pred16_t some = vctp8q((uint32_t)i);
            const int8x16_t xx = vldrbq_z_s8(x, some);
            s0 = vmladavaq_s8(s0, vldrbq_z_s8(w, some), xx);
            s1 = vmladavaq_s8(s1, vldrbq_z_s8(w1, some), xx);
            s2 = vmladavaq_s8(s2, vldrbq_z_s8(w2, some), xx);
            s3 = vmladavaq_s8(s3, vldrbq_z_s8(w3, some), xx);
            w += 16;
            w1 += 16;
            w2 += 16;
            w3 += 16;
            x += 16;
        }
    sums = vsetq_lane_s32(s0, sums, 0);
    sums = vsetq_lane_s32(s1, sums, 1);
    sums = vsetq_lane_s32(s2, sums, 2);
    return vsetq_lane_s32(s3, sums, 3);
}
#else
/* Rows w and v by codes x as they lie: wx, vx. */
OUT_OF_LINE void add_row_products(int32_t sums[2], const int8_t *w, const int8_t *v,
                                  const int8_t *x, int32_t count)
{
    uint32_t s0 = (uint32_t)sums[0], s1 = (uint32_t)sums[1];
    const int8_t *end = w + count;
#if defined(WIDE_COLUMNS)
    for (; end - w >= 4; w += 4, v += 4, x += 4) {
        const uint32_t w_codes = *(const code_word *)w, v_codes = *(const code_word *)v;
        const uint32_t x_codes = *(const code_word *)x;
        const uint32_t x_even = even_bytes(x_codes), x_odd = odd_bytes(x_codes);
        s0 = (uint32_t)multiply_halves(even_bytes(w_codes), x_even, (int32_t)s0);
        s1 = (uint32_t)multiply_halves(even_bytes(v_codes), x_even, (int32_t)s1);
        s0 = (uint32_t)multiply_halves(odd_bytes(w_codes), x_odd, (int32_t)s0);
        s1 = (uint32_t)multiply_halves(odd_bytes(v_codes), x_odd, (int32_t)s1);
    }
#endif
    while (w < end) {
        const int code = *x++;
        s0 += (uint32_t)(*w++ * code);
        s1 += (uint32_t)(*v++ * code);
    }
    sums[0] = (int32_t)s0;
    sums[1] = (int32_t)s1;
}

/* The same of packed rows that begin with a byte. A code in the upper half of its byte counts 16,
   so do those of the lower half once they are shifted. */
OUT_OF_LINE void add_packed_row_products(int32_t sums[2], const int8_t *w, const int8_t *v,
                                         const int8_t *x, int32_t count)
{
    uint32_t s0 = (uint32_t)sums[0], s1 = (uint32_t)sums[1];
    int32_t i = 0;
#if defined(WIDE_COLUMNS)
    const uint32_t upper = 0xF0F0F0F0;
    int32_t t0 = 0, t1 = 0;
    for (; i + 7 < count; i += 8) {
        const uint32_t first = *(const code_word *)(x + i);
        const uint32_t second = *(const code_word *)(x + i + 4);
        const uint32_t x04 = join_low(even_bytes(first), even_bytes(second));
        const uint32_t x26 = join_high(even_bytes(first), even_bytes(second));
        const uint32_t x15 = join_low(odd_bytes(first), odd_bytes(second));
        const uint32_t x37 = join_high(odd_bytes(first), odd_bytes(second));
        uint32_t codes = *(const code_word *)(w + i / 2);
        t0 = multiply_halves(even_bytes(codes << 4 & upper), x04, t0);
        t0 = multiply_halves(odd_bytes(codes << 4 & upper), x26, t0);
        t0 = multiply_halves(even_bytes(codes & upper), x15, t0);
        t0 = multiply_halves(odd_bytes(codes & upper), x37, t0);
        codes = *(const code_word *)(v + i / 2);
        t1 = multiply_halves(even_bytes(codes << 4 & upper), x04, t1);
        t1 = multiply_halves(odd_bytes(codes << 4 & upper), x26, t1);
        t1 = multiply_halves(even_bytes(codes & upper), x15, t1);
        t1 = multiply_halves(odd_bytes(codes & upper), x37, t1);
    }
    s0 += (uint32_t)(t0 >> 4);
    s1 += (uint32_t)(t1 >> 4);
#endif
    for (; i < count; i += 2) {
        const int w_codes = w[i / 2], v_codes = v[i / 2], first = x[i], second = x[i + 1];
        s0 += (uint32_t)(low_code(w_codes) * first + (w_codes >> 4) * second);
        s1 += (uint32_t)(low_code(v_codes) * first + (v_codes >> 4) * second);
    }
    sums[0] = (int32_t)s0;
    sums[1] = (int32_t)s1;
}
#endif
