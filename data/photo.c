// Owns one photograph: which decoder reads it, its orientation, and its channels.

#include "data/image.h"

#include <stdio.h>
#include <string.h>

#include "core/bounds.h"
#include "core/file.h"
#include "data/open.h"

static const struct {
    const char *start;  // the first bytes of a file
    size_t length;
    dc__decode_photo *decode;
} formats[] = {
    {"\xff\xd8\xff", 3, dc__jpeg_decode},
    {"\x89PNG\r\n\x1a\n", 8, dc__png_decode},
    {"BM", 2, dc__bmp_decode},
};

// Exif's eight: output (y, x) is the stored pixel in row `y` or column `y`, counted from either
// end.
static const struct {
    bool swapped, from_bottom, from_right;
} orientations[9] = {
    [2] = {false, false, true}, [3] = {false, true, true}, [4] = {false, true, false},
    [5] = {true, false, false}, [6] = {true, true, false}, [7] = {true, true, true},
    [8] = {true, false, true},
};

void dc_photo_libraries(char text[64])
{
    char jpeg[32];
    dc__jpeg_version(jpeg);
    snprintf(text, 64, "%s, libpng %s", jpeg, dc__png_version());
}

static enum dc_status turn(struct dc__image *image, int orientation, const char *path,
                           int64_t limit, struct dc_arena *arena, struct dc_error *error)
{
    if (orientation == 1)
        return DC_OK;
    const bool swapped = orientations[orientation].swapped;
    const int64_t height = image->height, width = image->width, channels = image->channels;
    const int64_t bytes = height * width * channels;
    DC_TRY(dc_want_memory(path, "turning it upright", 2 * bytes, limit, error));
    uint8_t *out = DC_NEW(arena, uint8_t, bytes, error), *to = out;
    if (!out)
        return DC_ERR_MEMORY;
    for (int64_t y = 0; y < (swapped ? width : height); y++)
        for (int64_t x = 0; x < (swapped ? height : width); x++, to += channels) {
            int64_t row = swapped ? x : y, column = swapped ? y : x;
            row = orientations[orientation].from_bottom ? height - 1 - row : row;
            column = orientations[orientation].from_right ? width - 1 - column : column;
            const uint8_t *pixel = image->pixels + (row * width + column) * channels;
            to[0] = pixel[0];
            to[channels / 2] = pixel[channels / 2];  // of one channel the same
            to[channels - 1] = pixel[channels - 1];
        }
    image->pixels = out;
    image->height = (int)(swapped ? width : height);
    image->width = (int)(swapped ? height : width);
    return DC_OK;
}

enum dc_status dc__photo_read(struct dc__image *image, const char *path, int64_t limit,
                              struct dc_arena *arena, struct dc_error *error)
{
    char *bytes = NULL;
    struct dc__photo_file file = {.path = path, .limit = limit};
    DC_TRY(dc_file_read(&bytes, &file.size, path, arena, error));
    file.bytes = (const uint8_t *)bytes;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (file.size < formats[i].length ||
            memcmp(bytes, formats[i].start, formats[i].length) != 0)
            continue;
        int orientation = 1;
        DC_TRY(formats[i].decode(image, &orientation, &file, arena, error));
        return turn(image, orientation, path, limit, arena, error);
    }
    return dc_fail(error, DC_ERR_DATA,
                   "%s: neither JPEG, PNG nor BMP, whatever its name says; convert it, or take it "
                   "out",
                   path);
}

enum dc_status dc__image_channels(struct dc__image *image, int channels, struct dc_arena *arena,
                                  struct dc_error *error)
{
    const size_t count = (size_t)image->height * (size_t)image->width;
    if (channels == image->channels)
        return DC_OK;
    uint8_t *out = DC_NEW(arena, uint8_t, count * (size_t)channels, error);
    const uint8_t *in = image->pixels;
    if (!out)
        return DC_ERR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (channels == 3)
            memset(out + 3 * i, in[i], 3);
        else
            out[i] = (uint8_t)((299 * in[3 * i] + 587 * in[3 * i + 1] + 114 * in[3 * i + 2] + 500) /
                               1000);
    }
    image->pixels = out;
    image->channels = channels;
    return DC_OK;
}
