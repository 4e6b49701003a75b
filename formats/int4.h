// Codes of 4 bits as files hold them: two a byte, the first in the low half, an odd last one alone.

#ifndef DC_FORMATS_INT4_H
#define DC_FORMATS_INT4_H

#include <stdint.h>
#include <string.h>

static inline int64_t dc_int4_bytes(int64_t count)
{
    return (count + 1) / 2;
}

// packed: [dc_int4_bytes(count)]; codes are in [-8, 7].
static inline void dc_int4_pack(uint8_t *packed, const int8_t *codes, int64_t count)
{
    memset(packed, 0, (size_t)dc_int4_bytes(count));
    for (int64_t i = 0; i < count; i++)
        packed[i / 2] |= (uint8_t)((codes[i] & 15) << (i % 2 * 4));
}

static inline void dc_int4_unpack(int8_t *codes, const uint8_t *packed, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const int code = packed[i / 2] >> (i % 2 * 4) & 15;
        codes[i] = (int8_t)(code < 8 ? code : code - 16);
    }
}

#endif
