#pragma once

#include "export/device/layer.h"

/* Resizing an axis from `from` pixels to `to`: what pixel j weighs in output i, a triangle around
   the output's middle that is as wide as two outputs where it shrinks. */
static int64_t resize_weight(int i, int j, int to, int from)
{
    const int64_t larger = from > to ? from : to;
    const int64_t away = (2 * (int64_t)j + 1) * to - (2 * (int64_t)i + 1) * from;
    const int64_t weight = 2 * larger - (away < 0 ? -away : away);
    return weight > 0 ? weight : 0;
}

/* No pixel before it weighs anything. */
static int resize_first(int i, int to, int from)
{
    const int64_t larger = from > to ? from : to;
    const int64_t low = (2 * (int64_t)i + 1) * from - 2 * larger - to;
    return low > 0 ? (int)(low / (2 * (int64_t)to)) : 0;
}
