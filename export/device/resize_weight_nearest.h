#pragma once

#include "export/device/layer.h"

/* Resizing an axis from `from` pixels to `to`: the pixel in which the middle of output i lies. */
static int resize_first(int i, int to, int from)
{
    return (int)((2 * (int64_t)i + 1) * from / (2 * (int64_t)to));
}

static int64_t resize_weight(int i, int j, int to, int from)
{
    return j == resize_first(i, to, from);
}
