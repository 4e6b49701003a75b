#pragma once

#include "export/device/cores.h"

/* Weights of at most 4 bits lie two a byte, the first in the low half, and become codes a few rows
   at a time. */
#ifndef UNPACKED_CODES
#define UNPACKED_CODES 4608
#endif
/* Of a byte with two codes, the one in the low half. */
HELPER int low_code(int byte)
{
    return (int32_t)((uint32_t)byte << 28) >> 28;
}

#if UNPACKED_CODES > 0
static ALIGNED int8_t unpacked[(UNPACKED_CODES + 31) / 32 * 32];

OUT_OF_LINE void unpack(const int8_t *from, int32_t first, int32_t count)
{
    int8_t *to = unpacked;
    from += first / 2;
    if (first % 2 && count > 0) {
        *to++ = (int8_t)(*from++ >> 4);
        count--;
    }
#if defined(VECTORS)
    for (; count >= 32; count -= 32, from += 16, to += 32) {
        const int8x16_t bytes = vldrbq_s8(from);
        int8x16x2_t codes;
        codes.val[0] = vshrq_n_s8(vshlq_n_s8(bytes, 4), 4);
        codes.val[1] = vshrq_n_s8(bytes, 4);
        vst2q_s8(to, codes);
    }
#endif
    for (; count >= 2; count -= 2) {
        const int byte = *from++;
        *to++ = (int8_t)low_code(byte);
        *to++ = (int8_t)(byte >> 4);
    }
    if (count)
        *to = (int8_t)low_code(*from);
}
#endif

/* `count` weights of the layer from `first` on, until the next call. */
HELPER const int8_t *find_weights(const struct layer *l, int32_t first, int32_t count)
{
#if UNPACKED_CODES > 0
    if (l->packed) {
        unpack(l->weights, first, count);
        return unpacked;
    }
#endif
    (void)count;
    return l->weights + first;
}
