#pragma once

#include "export/device/layer.h"

/* The code of each byte, by the table of its channel; all channels may share one. */
static void input_codes(int8_t *codes, const uint8_t *pixels, const int8_t *table, int tables,
                        int32_t size)
{
    int32_t i;
    for (i = 0; i < size; i++)
        codes[i] = table[256 * (i % tables) + pixels[i]];
}
