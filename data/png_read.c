// Owns the calls into libpng. Any PNG becomes 8-bit grey or RGB: palettes are looked up, 16 bits
// are scaled to 8 with rounding, fewer bits are spread over 0..255, interlacing is undone, alpha is
// dropped (colours stay as they are stored, nothing is blended), gamma and colour profiles are
// ignored. A header of more pixels than a file of its size can hold is refused.
//
// libpng reports errors by longjmp; decode() is the only function that crosses one, and it keeps
// what it needs afterwards in the struct, not in its own variables.

#include <inttypes.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "core/bounds.h"
#include "data/image.h"

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
    // Texts, profiles and whatever else may unpack to megabytes each are passed over, all but eXIf.
    png_set_keep_unknown_chunks(decoder->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_keep_unknown_chunks(decoder->png, PNG_HANDLE_CHUNK_AS_DEFAULT, (png_const_bytep) "eXIf",
                                1);
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

static int orientation_of(const struct decoder *decoder)
{
    png_uint_32 size = 0;
    png_bytep exif = NULL;
    if (!png_get_eXIf_1(decoder->png, decoder->info, &size, &exif))
        return 1;
    return dc__exif_orientation(exif, size);
}

enum dc_status dc__png_decode(struct dc__image *image, int *orientation,
                              const struct dc__photo_file *file, struct dc_arena *arena,
                              struct dc_error *error)
{
    struct decoder decoder = {.bytes = file->bytes, .size = file->size};
    DC_TRY(check_header(&decoder, file->path, file->limit, error));
    decoder.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, on_error, on_warning);
    decoder.info = decoder.png ? png_create_info_struct(decoder.png) : NULL;
    enum dc_status status;
    if (!decoder.info)
        status = dc_fail(error, DC_ERR_MEMORY, "%s: out of memory", file->path);
    else if (!decode(&decoder))
        status = dc_fail(error, DC_ERR_DATA, "%s: near byte %zu: %s", file->path, decoder.taken,
                         decoder.reason);
    else
        status = copy_pixels(image, &decoder, arena, error);
    if (status == DC_OK)
        *orientation = orientation_of(&decoder);
    png_destroy_read_struct(&decoder.png, &decoder.info, NULL);
    return status;
}

const char *dc__png_version(void)
{
    return png_get_libpng_ver(NULL);
}
