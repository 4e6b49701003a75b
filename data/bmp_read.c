// Owns reading Windows bitmaps: 1, 4 and 8 bits with a palette, 24 and 32 bits of colour, bottom up
// or top down, not compressed. A palette of greys alone makes one channel; the fourth byte of 32
// bits, alpha or nothing, is dropped. What else the format knows is refused by name.

#include <inttypes.h>
#include <string.h>

#include "core/bounds.h"
#include "data/image.h"

enum { FILE_HEADER = 14, INFO_HEADER = 40, PLAIN = 0, BIT_FIELDS = 3, SIDE_MAX = 65535 };

struct bitmap {
    int64_t offset, header, width, height, bits, compression, colours;
    bool top_down;
    const uint8_t *palette;  // [colours, 4]: blue, green, red, nothing
};

static uint32_t little(const uint8_t *p, int bytes)
{
    uint32_t value = 0;
    for (int i = bytes - 1; i >= 0; i--)
        value = value << 8 | p[i];
    return value;
}

// The masks of 32 bits as everybody writes them: blue first, no bits moved.
static bool plain_masks(const uint8_t *masks)
{
    return little(masks, 4) == 0xff0000 && little(masks + 4, 4) == 0xff00 &&
           little(masks + 8, 4) == 0xff;
}

static enum dc_status refuse(const struct dc__photo_file *file, struct dc_error *error,
                             const char *reason)
{
    return dc_fail(error, DC_ERR_DATA, "%s: BMP: %s", file->path, reason);
}

static enum dc_status read_header(struct bitmap *b, const struct dc__photo_file *file,
                                  struct dc_error *error)
{
    const uint8_t *p = file->bytes;
    if (file->size < FILE_HEADER + INFO_HEADER)
        return refuse(file, error, "the file is truncated");
    *b = (struct bitmap){.offset = little(p + 10, 4), .header = little(p + 14, 4)};
    if (b->header < INFO_HEADER)
        return refuse(file, error, "the header of OS/2 is not read; save it as a Windows BMP");
    const int64_t height = (int32_t)little(p + 22, 4);
    b->width = (int32_t)little(p + 18, 4);
    b->top_down = height < 0;
    b->height = height < 0 ? -height : height;
    b->bits = little(p + 28, 2);
    b->compression = little(p + 30, 4);
    if (b->width < 1 || b->height < 1 || b->width > SIDE_MAX || b->height > SIDE_MAX)
        return refuse(file, error, "width and height must be 1 to 65535");
    if (b->compression == 1 || b->compression == 2)
        return refuse(file, error, "run-length coding (RLE) is not read");
    const size_t masks = FILE_HEADER + INFO_HEADER;
    const bool fields = b->compression == BIT_FIELDS && b->bits == 32 && file->size >= masks + 12 &&
                        plain_masks(p + masks);
    if (b->compression != PLAIN && !fields)
        return refuse(file, error, "this compression, or order of colours, is not read");
    if (b->bits != 1 && b->bits != 4 && b->bits != 8 && b->bits != 24 && b->bits != 32)
        return dc_fail(error, DC_ERR_DATA,
                       "%s: BMP: %" PRId64 " bits a pixel; 1, 4, 8, 24 and 32 are read", file->path,
                       b->bits);
    if (b->bits > 8)
        return DC_OK;
    const int64_t stated = little(p + 46, 4), most = (int64_t)1 << b->bits;
    const int64_t start = FILE_HEADER + b->header;
    b->colours = stated ? stated : most;
    if (b->colours > most || start + 4 * b->colours > (int64_t)file->size)
        return refuse(file, error, "its palette is larger than it can be, or not there");
    b->palette = p + start;
    return DC_OK;
}

static bool is_grey(const struct bitmap *b)
{
    for (int64_t i = 0; i < b->colours; i++)
        if (b->palette[4 * i] != b->palette[4 * i + 1] ||
            b->palette[4 * i] != b->palette[4 * i + 2])
            return false;
    return b->bits <= 8;
}

// One row to `channels` values a pixel. false: a code without a colour.
static bool read_row(uint8_t *out, const uint8_t *row, const struct bitmap *b, int channels)
{
    const int64_t step = b->bits / 8;
    for (int64_t x = 0; x < b->width; x++) {
        const uint8_t *colour = row + x * step;
        if (b->palette) {
            const int64_t bit = x * b->bits;
            const int code = row[bit / 8] >> (8 - b->bits - bit % 8) & ((1 << b->bits) - 1);
            if (code >= b->colours)
                return false;
            colour = b->palette + 4 * (size_t)code;
        }
        for (int c = channels - 1; c >= 0; c--)
            *out++ = colour[c];
    }
    return true;
}

enum dc_status dc__bmp_decode(struct dc__image *image, int *orientation,
                              const struct dc__photo_file *file, struct dc_arena *arena,
                              struct dc_error *error)
{
    struct bitmap b = {0};
    *orientation = 1;
    DC_TRY(read_header(&b, file, error));
    const int64_t row = (b.width * b.bits + 31) / 32 * 4, size = (int64_t)file->size;
    if (b.offset > size || row * b.height > size - b.offset)
        return dc_fail(error, DC_ERR_DATA,
                       "%s: BMP: the file is truncated: %" PRId64
                       " bytes of pixels from byte %" PRId64 " on, of a file of %" PRId64,
                       file->path, row * b.height, b.offset, size);
    *image = (struct dc__image){(int)b.height, (int)b.width, is_grey(&b) ? 1 : 3, NULL};
    const int64_t line = b.width * image->channels;
    DC_TRY(dc_want_memory(file->path, "its header", line * b.height, file->limit, error));
    image->pixels = DC_NEW(arena, uint8_t, line * b.height, error);
    if (!image->pixels)
        return DC_ERR_MEMORY;
    for (int64_t y = 0; y < b.height; y++) {
        const uint8_t *from = file->bytes + b.offset + row * (b.top_down ? y : b.height - 1 - y);
        if (!read_row(image->pixels + y * line, from, &b, image->channels))
            return refuse(file, error, "a pixel has a colour that its palette lacks");
    }
    return DC_OK;
}
