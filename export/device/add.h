#pragma once

#include "export/device/finish.h"
#include "export/device/requantize.h"

/* Both inputs are scaled to a common fine scale (entries 0 and 1), added, and scaled once (2). */
static void add(int8_t *y, const int8_t *a, const int8_t *b, const struct layer *l)
{
    const int32_t count = (int32_t)l->out_h * l->out_w * l->out_c;
    int32_t i = 0;
#if defined(SCALES_FOUR)
    const int32_t *m = l->multipliers, *s = l->shifts;
    for (; i + 3 < count; i += 4) {
        const int32x4_t x = vshlq_n_s32(vsubq_n_s32(vldrbq_s32(a + i), l->in_zero), 20);
        const int32x4_t z = vshlq_n_s32(vsubq_n_s32(vldrbq_s32(b + i), l->other_zero), 20);
        const int32x4_t sum = vaddq_s32(scale_four(x, vdupq_n_s32(m[0]), vdupq_n_s32(s[0])),
                                        scale_four(z, vdupq_n_s32(m[1]), vdupq_n_s32(s[1])));
        finish_four(y + i, scale_four(sum, vdupq_n_s32(m[2]), vdupq_n_s32(s[2])), l);
    }
#endif
    for (; i < count; i++) {
        const int32_t sum = requantize((a[i] - l->in_zero) * 1048576, l, 0) +
                            requantize((b[i] - l->other_zero) * 1048576, l, 1);
        y[i] = finish(requantize(sum, l, 2), l);
    }
}
