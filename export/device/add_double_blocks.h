#pragma once

#include "export/device/finish.h"
#include "export/device/round_twice.h"

/* v * 2^20 * multiplier * 2^(shift - 31): the shift first, downward, then one rounding. */
static int64_t round_once(int32_t v, int32_t multiplier, int32_t shift)
{
    const int64_t x = shift < -20 ? v >> (-20 - shift) : v * ((int64_t)1 << (20 + shift));
    return (x * multiplier + ((int64_t)1 << 30)) >> 31;
}

/* Both inputs are scaled to a common fine scale (entries 0 and 1), added, and scaled once (2); in
   whole blocks of 16 with one rounding each, as the vectors of LiteRT's built-in kernel. */
static void add(int8_t *y, const int8_t *a, const int8_t *b, const struct layer *l)
{
    const int32_t *m = l->multipliers, *s = l->shifts;
    const int32_t count = (int32_t)l->out_h * l->out_w * l->out_c, blocks = count / 16 * 16;
    int32_t i;
    for (i = 0; i < count; i++) {
        const int32_t v = a[i] - l->in_zero, w = b[i] - l->other_zero;
        const int64_t sum = i < blocks ? round_once(v, m[0], s[0]) + round_once(w, m[1], s[1])
                                       : round_twice((int64_t)v * 1048576, m[0], s[0], 0) +
                                             round_twice((int64_t)w * 1048576, m[1], s[1], 0);
        y[i] = finish(round_twice(sum, m[2], s[2], 0), l);
    }
}
