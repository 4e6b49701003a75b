#pragma once

#include "export/device/finish.h"
#include "export/device/requantize.h"

/* Both inputs are scaled to a common fine scale (entries 0 and 1), added, and scaled once (2). */
static void add(int8_t *y, const int8_t *a, const int8_t *b, const struct layer *l)
{
    const int32_t count = (int32_t)l->out_h * l->out_w * l->out_c;
    int32_t i;
    for (i = 0; i < count; i++) {
        const int64_t sum = requantize((int64_t)(a[i] - l->in_zero) * 1048576, l, 0) +
                            requantize((int64_t)(b[i] - l->other_zero) * 1048576, l, 1);
        y[i] = finish(requantize(sum, l, 2) + l->out_zero, l);
    }
}
