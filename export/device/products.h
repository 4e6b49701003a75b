#pragma once

#include "export/device/columns.h"
#include "export/device/weights.h"

/* Sums of products, added to `sums`, which wrap at 32 bits on the way and end where they belong. */
#if defined(WIDE_COLUMNS)
/* Rows w and v by the two columns, four codes at a time: wa, wb, va, vb. The last four of a row may
   reach into what follows it, up to three codes, which meet zeros. */
OUT_OF_LINE void add_products(int32_t sums[4], const int8_t *w, const int8_t *v,
                              const column_code *a, const column_code *b, int32_t count)
{
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3], fours = (count + 3) / 4;
    (void)b;
#if defined(__OPTIMIZE__) /* compilers do not find the 13 registers by themselves */
    uint32_t w_codes, v_codes, even, ax, bx;
    __asm__ volatile("1:\n"
                     "    ldrd   %[ax], %[bx], [%[a]], #8\n"
                     "    ldr    %[w_codes], [%[w]], #4\n"
                     "    ldr    %[v_codes], [%[v]], #4\n"
                     "    sxtb16 %[even], %[w_codes]\n"
                     "    smlad  %[s0], %[even], %[ax], %[s0]\n"
                     "    smlad  %[s1], %[even], %[bx], %[s1]\n"
                     "    sxtb16 %[even], %[v_codes]\n"
                     "    smlad  %[s2], %[even], %[ax], %[s2]\n"
                     "    smlad  %[s3], %[even], %[bx], %[s3]\n"
                     "    ldrd   %[ax], %[bx], [%[a]], #8\n"
                     "    sxtb16 %[w_codes], %[w_codes], ror #8\n"
                     "    sxtb16 %[v_codes], %[v_codes], ror #8\n"
                     "    subs   %[fours], %[fours], #1\n"
                     "    smlad  %[s0], %[w_codes], %[ax], %[s0]\n"
                     "    smlad  %[s1], %[w_codes], %[bx], %[s1]\n"
                     "    smlad  %[s2], %[v_codes], %[ax], %[s2]\n"
                     "    smlad  %[s3], %[v_codes], %[bx], %[s3]\n"
                     "    bne    1b\n"
                     : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [w] "+r"(w),
                       [v] "+r"(v), [a] "+r"(a), [fours] "+r"(fours), [w_codes] "=&r"(w_codes),
                       [v_codes] "=&r"(v_codes), [even] "=&r"(even), [ax] "=&r"(ax), [bx] "=&r"(bx)
                     :
                     : "cc", "memory");
#else
    for (; fours > 0; fours--, w += 4, v += 4, a += 4) {
        const uint32_t w_codes = *(const code_word *)w, v_codes = *(const code_word *)v;
        s0 = multiply_halves(even_bytes(w_codes), a[0], s0);
        s1 = multiply_halves(even_bytes(w_codes), a[1], s1);
        s2 = multiply_halves(even_bytes(v_codes), a[0], s2);
        s3 = multiply_halves(even_bytes(v_codes), a[1], s3);
        s0 = multiply_halves(odd_bytes(w_codes), a[2], s0);
        s1 = multiply_halves(odd_bytes(w_codes), a[3], s1);
        s2 = multiply_halves(odd_bytes(v_codes), a[2], s2);
        s3 = multiply_halves(odd_bytes(v_codes), a[3], s3);
    }
#endif
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

/* The same of packed rows, eight codes at a time. A code in the upper half of its byte counts 16,
   so do those of the lower half once they are shifted. */
OUT_OF_LINE void add_packed_products(int32_t sums[4], const int8_t *w, const int8_t *v,
                                     const column_code *a, const column_code *b, int32_t count)
{
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, eights = (count + 7) / 8;
    (void)b;
#if defined(__OPTIMIZE__)
    uint32_t w_codes, v_codes, even, ax, bx;
    __asm__ volatile("1:\n"
                     "    ldrd   %[ax], %[bx], [%[a]], #8\n"
                     "    ldr    %[w_codes], [%[w]]\n"
                     "    ldr    %[v_codes], [%[v]]\n"
                     "    lsls   %[w_codes], %[w_codes], #4\n"
                     "    lsls   %[v_codes], %[v_codes], #4\n"
                     "    and    %[w_codes], %[w_codes], #0xF0F0F0F0\n"
                     "    and    %[v_codes], %[v_codes], #0xF0F0F0F0\n"
                     "    sxtb16 %[even], %[w_codes]\n"
                     "    smlad  %[s0], %[even], %[ax], %[s0]\n"
                     "    smlad  %[s1], %[even], %[bx], %[s1]\n"
                     "    sxtb16 %[even], %[v_codes]\n"
                     "    smlad  %[s2], %[even], %[ax], %[s2]\n"
                     "    smlad  %[s3], %[even], %[bx], %[s3]\n"
                     "    ldrd   %[ax], %[bx], [%[a]], #8\n"
                     "    sxtb16 %[w_codes], %[w_codes], ror #8\n"
                     "    sxtb16 %[v_codes], %[v_codes], ror #8\n"
                     "    smlad  %[s0], %[w_codes], %[ax], %[s0]\n"
                     "    smlad  %[s1], %[w_codes], %[bx], %[s1]\n"
                     "    smlad  %[s2], %[v_codes], %[ax], %[s2]\n"
                     "    smlad  %[s3], %[v_codes], %[bx], %[s3]\n"
                     "    ldrd   %[ax], %[bx], [%[a]], #8\n"
                     "    ldr    %[w_codes], [%[w]], #4\n"
                     "    ldr    %[v_codes], [%[v]], #4\n"
                     "    and    %[w_codes], %[w_codes], #0xF0F0F0F0\n"
                     "    and    %[v_codes], %[v_codes], #0xF0F0F0F0\n"
                     "    sxtb16 %[even], %[w_codes]\n"
                     "    smlad  %[s0], %[even], %[ax], %[s0]\n"
                     "    smlad  %[s1], %[even], %[bx], %[s1]\n"
                     "    sxtb16 %[even], %[v_codes]\n"
                     "    smlad  %[s2], %[even], %[ax], %[s2]\n"
                     "    smlad  %[s3], %[even], %[bx], %[s3]\n"
                     "    ldrd   %[ax], %[bx], [%[a]], #8\n"
                     "    sxtb16 %[w_codes], %[w_codes], ror #8\n"
                     "    sxtb16 %[v_codes], %[v_codes], ror #8\n"
                     "    subs   %[eights], %[eights], #1\n"
                     "    smlad  %[s0], %[w_codes], %[ax], %[s0]\n"
                     "    smlad  %[s1], %[w_codes], %[bx], %[s1]\n"
                     "    smlad  %[s2], %[v_codes], %[ax], %[s2]\n"
                     "    smlad  %[s3], %[v_codes], %[bx], %[s3]\n"
                     "    bne    1b\n"
                     : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [w] "+r"(w),
                       [v] "+r"(v), [a] "+r"(a), [eights] "+r"(eights), [w_codes] "=&r"(w_codes),
                       [v_codes] "=&r"(v_codes), [even] "=&r"(even), [ax] "=&r"(ax), [bx] "=&r"(bx)
                     :
                     : "cc", "memory");
#else
    (void)w, (void)v, (void)a, (void)eights; /* takes_eights says no */
#endif
    sums[0] = (int32_t)((uint32_t)sums[0] + (uint32_t)(s0 >> 4));
    sums[1] = (int32_t)((uint32_t)sums[1] + (uint32_t)(s1 >> 4));
    sums[2] = (int32_t)((uint32_t)sums[2] + (uint32_t)(s2 >> 4));
    sums[3] = (int32_t)((uint32_t)sums[3] + (uint32_t)(s3 >> 4));
}
#elif !defined(VECTORS)
/* Rows w and v by columns a and b: wa, wb, va, vb. */
OUT_OF_LINE void add_products(int32_t sums[4], const int8_t *w, const int8_t *v,
                              const column_code *a, const column_code *b, int32_t count)
{
    uint32_t s0 = (uint32_t)sums[0], s1 = (uint32_t)sums[1];
    uint32_t s2 = (uint32_t)sums[2], s3 = (uint32_t)sums[3];
    const int8_t *end = w + count;
    while (w < end) {
        const int wx = *w++, vx = *v++, ax = *a++, bx = *b++;
        s0 += (uint32_t)(wx * ax);
        s1 += (uint32_t)(wx * bx);
        s2 += (uint32_t)(vx * ax);
        s3 += (uint32_t)(vx * bx);
    }
    sums[0] = (int32_t)s0;
    sums[1] = (int32_t)s1;
    sums[2] = (int32_t)s2;
    sums[3] = (int32_t)s3;
}

/* The same of packed rows. */
OUT_OF_LINE void add_packed_products(int32_t sums[4], const int8_t *w, const int8_t *v,
                                     const column_code *a, const column_code *b, int32_t count)
{
    uint32_t s0 = (uint32_t)sums[0], s1 = (uint32_t)sums[1];
    uint32_t s2 = (uint32_t)sums[2], s3 = (uint32_t)sums[3];
    const int8_t *end = w + count / 2;
    while (w < end) {
        const int w_codes = *w++, v_codes = *v++, ax = *a++, bx = *b++, ay = *a++, by = *b++;
        const int wx = low_code(w_codes), vx = low_code(v_codes);
        const int wy = w_codes >> 4, vy = v_codes >> 4;
        s0 += (uint32_t)(wx * ax + wy * ay);
        s1 += (uint32_t)(wx * bx + wy * by);
        s2 += (uint32_t)(vx * ax + vy * ay);
        s3 += (uint32_t)(vx * bx + vy * by);
    }
    sums[0] = (int32_t)s0;
    sums[1] = (int32_t)s1;
    sums[2] = (int32_t)s2;
    sums[3] = (int32_t)s3;
}
#endif
