#pragma once

#include "export/device/cores.h"

/* Of codes whose scale and zero point are one, the order is that of what they stand for. */

/* Where the largest of the codes is, the first of equals. */
static int first_of_largest(const int8_t *codes, int32_t count)
{
    int32_t i;
    int best = 0;
    for (i = 1; i < count; i++)
        if (codes[i] > codes[best])
            best = (int)i;
    return best;
}

/* By how much the largest code is above the next. */
HELPER int margin_of_largest(const int8_t *codes, int32_t count)
{
    const int best = first_of_largest(codes, count);
    int32_t i;
    int next = -128;
    for (i = 0; i < count; i++)
        if (i != best && codes[i] > next)
            next = codes[i];
    return codes[best] - next;
}
