// Owns finding one tag in an Exif block (JEITA CP-3451, a TIFF 6.0 directory).

#include "data/image.h"

enum { ORIENTATION = 0x0112, TYPE_SHORT = 3, ENTRY_BYTES = 12 };

static uint32_t number(const uint8_t *p, int bytes, bool big)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint32_t)p[i] << 8 * (big ? bytes - 1 - i : i);
    return value;
}

int dc__exif_orientation(const uint8_t *tiff, size_t size)
{
    if (size < 8 || tiff[0] != tiff[1] || (tiff[0] != 'I' && tiff[0] != 'M'))
        return 1;
    const bool big = tiff[0] == 'M';
    const size_t directory = number(tiff + 4, 4, big);
    if (number(tiff + 2, 2, big) != 42 || directory > size - 2)
        return 1;
    const size_t entries = number(tiff + directory, 2, big);
    for (size_t i = 0; i < entries && directory + 2 + (i + 1) * ENTRY_BYTES <= size; i++) {
        const uint8_t *entry = tiff + directory + 2 + i * ENTRY_BYTES;
        if (number(entry, 2, big) != ORIENTATION)
            continue;
        const uint32_t value = number(entry + 8, 2, big);
        const bool sound = number(entry + 2, 2, big) == TYPE_SHORT &&
                           number(entry + 4, 4, big) == 1;
        return sound && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}
