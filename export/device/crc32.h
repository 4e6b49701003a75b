#pragma once

#include "export/device/cores.h"

/* The CRC-32 of zlib and IEEE 802.3. */
HELPER uint32_t crc32_of(const int8_t *codes, int32_t count)
{
    uint32_t crc = 0xFFFFFFFFu;
    int32_t i;
    int bit;
    for (i = 0; i < count; i++) {
        crc ^= (uint32_t)codes[i] & 0xFFu;
        for (bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1u ? 0xEDB88320u : 0u);
    }
    return ~crc;
}
