#pragma once

#include "export/device/finish.h"
#include "export/device/saturate.h"

/* Both inputs by integer multipliers, one shift with ties upward, as XNNPACK. */
static void add(int8_t *y, const int8_t *a, const int8_t *b, const struct layer *l)
{
    const int32_t *m = l->multipliers, shift = 1 - l->shifts[2];
    const int32_t count = (int32_t)l->out_h * l->out_w * l->out_c;
    int32_t i;
    for (i = 0; i < count; i++) {
        const int64_t sum = (int64_t)m[0] * (a[i] - l->in_zero) +
                            (int64_t)m[1] * (b[i] - l->other_zero);
        y[i] = finish(saturate((sum + ((int64_t)1 << (shift - 1))) >> shift), l);
    }
}
