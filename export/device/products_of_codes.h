#pragma once

#include "export/device/cores.h"

/* Of value i and what the second value has there, each from its zero point. */
HELPER int32_t product_of_codes(const int8_t *a, const int8_t *b, int32_t i, const struct layer *l)
{
    const int32_t c = i % l->out_c, x = i / l->out_c % l->out_w, y = i / l->out_c / l->out_w;
    const int32_t place = (l->other_h > 1 ? y : 0) * l->other_w + (l->other_w > 1 ? x : 0);
    const int8_t other = b[place * l->other_c + (l->other_c > 1 ? c : 0)];
    return (a[i] - l->in_zero) * (other - l->other_zero);
}
