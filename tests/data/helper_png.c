// Owns the test's PNG writer: filter type 0 on every row, one IDAT.

#include "tests/data/helper_png.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static void put32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void put_chunk(FILE *file, const char *type, const uint8_t *data, uint32_t size)
{
    uint8_t word[4];
    uLong crc = crc32(0, (const uint8_t *)type, 4);
    if (size)
        crc = crc32(crc, data, size);
    put32(word, size);
    fwrite(word, 1, 4, file);
    fwrite(type, 1, 4, file);
    fwrite(data, 1, size, file);
    put32(word, (uint32_t)crc);
    fwrite(word, 1, 4, file);
}

// Every dx-th pixel of every dy-th row as packed rows; returns the bytes written.
static size_t put_pass(uint8_t *to, const struct test_png *png, int x0, int y0, int dx, int dy)
{
    static const int samples_of[7] = {1, 0, 3, 1, 2, 0, 4};
    const int n = samples_of[png->colour];
    uint8_t *start = to;
    if (x0 >= png->width)
        return 0;
    for (int y = y0; y < png->height; y += dy) {
        int bit = 0;
        *to++ = 0;
        for (int x = x0; x < png->width; x += dx)
            for (int s = 0; s < n; s++) {
                const uint16_t value = png->samples[(y * png->width + x) * n + s];
                for (int b = png->depth - 1; b >= 0; b--, bit++)
                    to[bit / 8] = (uint8_t)(to[bit / 8] | (value >> b & 1) << (7 - bit % 8));
            }
        to += (bit + 7) / 8;
    }
    return (size_t)(to - start);
}

void test_write_png(const char *path, const struct test_png *png)
{
    static const int passes[7][4] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                                     {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
    const size_t room = (size_t)png->width * (size_t)png->height * 16 + 8192;
    uint8_t *rows = calloc(room, 1), *packed = malloc(2 * room), header[13] = {0};
    FILE *file = fopen(path, "wb");
    uLongf size = 2 * room;
    size_t used = 0;
    if (!rows || !packed || !file)
        abort();
    if (png->interlaced)
        for (int p = 0; p < 7; p++)
            used += put_pass(rows + used, png, passes[p][0], passes[p][1], passes[p][2],
                             passes[p][3]);
    else
        used = put_pass(rows, png, 0, 0, 1, 1);
    if (compress(packed, &size, rows, used) != Z_OK)
        abort();
    put32(header, (uint32_t)png->width);
    put32(header + 4, (uint32_t)png->height);
    memcpy(header + 8,
           ((uint8_t[]){(uint8_t)png->depth, (uint8_t)png->colour, 0, 0, (uint8_t)png->interlaced}),
           5);
    fwrite("\211PNG\r\n\032\n", 1, 8, file);
    put_chunk(file, "IHDR", header, 13);
    if (png->entries)
        put_chunk(file, "PLTE", png->palette, 3 * (uint32_t)png->entries);
    put_chunk(file, "IDAT", packed, (uint32_t)size);
    put_chunk(file, "IEND", header, 0);
    if (fclose(file) != 0)
        abort();
    free(rows);
    free(packed);
}
