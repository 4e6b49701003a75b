// A PNG writer for tests, from the specification (W3C PNG, second edition) and zlib alone: it
// shares nothing with libpng, which the code under test uses.

#ifndef DC_TESTS_DATA_HELPER_PNG_H
#define DC_TESTS_DATA_HELPER_PNG_H

#include <stdbool.h>
#include <stdint.h>

struct test_png {
    int width, height;
    int depth;   // bits a sample: 1, 2, 4, 8, 16
    int colour;  // 0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGBA
    bool interlaced;
    const uint16_t *samples;  // [height, width, samples a pixel], of `depth` bits
    const uint8_t *palette;   // [entries, 3]
    int entries;
};

void test_write_png(const char *path, const struct test_png *png);

#endif
