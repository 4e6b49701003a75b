// Owns the calls into libpng, and what is done to one image before it is a sample.
//
// libpng reports errors by longjmp; decode() is the only function that crosses one, and it keeps
// what it needs afterwards in the struct, not in its own variables.

#include "data/png_read.h"

#include <inttypes.h>
#include <math.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "core/bounds.h"
#include "core/file.h"

enum { SIDE_MAX = 65535 };

struct decoder {
    png_structp png;
    png_infop info;
    const uint8_t *bytes;
    size_t size, taken;
    char reason[256];
};

static void on_error(png_structp png, png_const_charp message)
{
    struct decoder *decoder = png_get_error_ptr(png);
    snprintf(decoder->reason, sizeof decoder->reason, "%s", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;  // libpng warns of what it repairs: broken optional chunks, which are not read here
    (void)message;
}

static void on_read(png_structp png, png_bytep to, png_size_t size)
{
    struct decoder *decoder = png_get_io_ptr(png);
    if (size > decoder->size - decoder->taken)
        png_error(png, "the file is truncated");
    memcpy(to, decoder->bytes + decoder->taken, size);
    decoder->taken += size;
}

static bool decode(struct decoder *decoder)
{
    if (setjmp(png_jmpbuf(decoder->png)))
        return false;
    png_set_user_limits(decoder->png, SIDE_MAX, SIDE_MAX);
    // Texts, profiles and whatever else may unpack to megabytes each are passed over.
    png_set_keep_unknown_chunks(decoder->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_read_fn(decoder->png, decoder, on_read);
    png_read_png(decoder->png, decoder->info,
                 PNG_TRANSFORM_SCALE_16 | PNG_TRANSFORM_EXPAND | PNG_TRANSFORM_STRIP_ALPHA, NULL);
    return true;
}

static int64_t big_endian(const uint8_t *p)
{
    return (int64_t)p[0] << 24 | (int64_t)p[1] << 16 | (int64_t)p[2] << 8 | p[3];
}

// Before libpng asks for memory: the first chunk, IHDR, has width and height in bytes 16 to 23 and
// the colour type in byte 25 (bit 0 palette, bit 1 colour, both of which become three channels).
static enum dc_status check_header(const struct decoder *decoder, const char *path, int64_t limit,
                                   struct dc_error *error)
{
    if (decoder->size < 26)
        return DC_OK;  // libpng says what is missing
    const int64_t width = big_endian(decoder->bytes + 16), height = big_endian(decoder->bytes + 20);
    const int64_t channels = decoder->bytes[25] & 3 ? 3 : 1;
    if (width > SIDE_MAX || height > SIDE_MAX)
        return DC_OK;  // so does it of these
    if (width * height * channels > dc_inflated_most((int64_t)decoder->size))
        return dc_fail(error, DC_ERR_DATA,
                       "%s: byte 16: %" PRId64 "x%" PRId64
                       " pixels (width x height) cannot be in a file of %zu bytes",
                       path, width, height, decoder->size);
    return dc_want_memory(path, "its header", width * height * channels, limit, error);
}

static enum dc_status copy_pixels(struct dc__image *image, const struct decoder *decoder,
                                  struct dc_arena *arena, struct dc_error *error)
{
    png_bytepp rows = png_get_rows(decoder->png, decoder->info);
    image->height = (int)png_get_image_height(decoder->png, decoder->info);
    image->width = (int)png_get_image_width(decoder->png, decoder->info);
    image->channels = png_get_channels(decoder->png, decoder->info);
    const size_t row = (size_t)image->width * (size_t)image->channels;
    image->pixels = DC_NEW(arena, uint8_t, row * (size_t)image->height, error);
    for (int y = 0; image->pixels && y < image->height; y++)
        memcpy(image->pixels + (size_t)y * row, rows[y], row);
    return image->pixels ? DC_OK : DC_ERR_MEMORY;
}

enum dc_status dc__png_read(struct dc__image *image, const char *path, int64_t limit,
                            struct dc_arena *arena, struct dc_error *error)
{
    char *bytes = NULL;
    struct decoder decoder = {0};
    DC_TRY(dc_file_read(&bytes, &decoder.size, path, arena, error));
    decoder.bytes = (const uint8_t *)bytes;
    if (decoder.size < 8 || png_sig_cmp(decoder.bytes, 0, 8) != 0)
        return dc_fail(error, DC_ERR_DATA, "%s: not a PNG file", path);
    DC_TRY(check_header(&decoder, path, limit, error));
    decoder.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, on_error, on_warning);
    decoder.info = decoder.png ? png_create_info_struct(decoder.png) : NULL;
    enum dc_status status;
    if (!decoder.info)
        status = dc_fail(error, DC_ERR_MEMORY, "%s: out of memory", path);
    else if (!decode(&decoder))
        status = dc_fail(error, DC_ERR_DATA, "%s: near byte %zu: %s", path, decoder.taken,
                         decoder.reason);
    else
        status = copy_pixels(image, &decoder, arena, error);
    png_destroy_read_struct(&decoder.png, &decoder.info, NULL);
    return status;
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

// The two neighbours of output place i and the share of the second.
static void neighbours(int *first, int *second, double *share, int i, int to, int from)
{
    double at = ((double)i + 0.5) * (double)from / (double)to - 0.5;
    at = at < 0.0 ? 0.0 : at > (double)(from - 1) ? (double)(from - 1) : at;
    *first = (int)at;
    *second = *first + 1 < from ? *first + 1 : *first;
    *share = at - (double)*first;
}

enum dc_status dc__image_resize(struct dc__image *image, int height, int width,
                                struct dc_arena *arena, struct dc_error *error)
{
    const int channels = image->channels;
    const size_t row = (size_t)image->width * (size_t)channels;
    if (height == image->height && width == image->width)
        return DC_OK;
    uint8_t *out = DC_NEW(arena, uint8_t, (size_t)height * (size_t)width * (size_t)channels, error);
    if (!out)
        return DC_ERR_MEMORY;
    uint8_t *to = out;
    for (int y = 0; y < height; y++) {
        int top = 0, bottom = 0;
        double fy = 0.0;
        neighbours(&top, &bottom, &fy, y, height, image->height);
        const uint8_t *upper = image->pixels + (size_t)top * row;
        const uint8_t *lower = image->pixels + (size_t)bottom * row;
        for (int x = 0; x < width; x++, to += channels) {
            int left = 0, right = 0;
            double fx = 0.0;
            neighbours(&left, &right, &fx, x, width, image->width);
            for (int c = 0; c < channels; c++) {
                const int l = left * channels + c, r = right * channels + c;
                const double a = upper[l] * (1.0 - fx) + upper[r] * fx;
                const double b = lower[l] * (1.0 - fx) + lower[r] * fx;
                to[c] = (uint8_t)floor(a * (1.0 - fy) + b * fy + 0.5);
            }
        }
    }
    *image = (struct dc__image){height, width, channels, out};
    return DC_OK;
}
