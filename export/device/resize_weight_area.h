#pragma once

#include "export/device/layer.h"

/* Resizing an axis from `from` pixels to `to`: how much of pixel j output i covers. */
static int64_t resize_weight(int i, int j, int to, int from)
{
    const int64_t pixel = (int64_t)j * to, output = (int64_t)i * from;
    const int64_t start = pixel > output ? pixel : output;
    const int64_t end = pixel + to < output + from ? pixel + to : output + from;
    return end > start ? end - start : 0;
}

/* No pixel before it weighs anything. */
static int resize_first(int i, int to, int from)
{
    return (int)((int64_t)i * from / to);
}
