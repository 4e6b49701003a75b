// Owns the calls into libjpeg: baseline and progressive JPEG of 8 bits, grey or YCbCr, by
// JDCT_ISLOW and fancy upsampling, so that a file gives the pixels that others get from it (Pillow
// does the same). Colour profiles are ignored. What libjpeg would repair is refused.
//
// libjpeg reports errors by a callback that must not return; decode() is the only function that a
// longjmp crosses, and it keeps what it needs afterwards in the struct, not in its own variables.

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
// jpeglib.h needs stdio.h before it
#include <jerror.h>
#include <jpeglib.h>

#include "core/bounds.h"
#include "data/image.h"

enum {
    SCANS_MAX = 200,  // of a progressive file: each costs a pass over the whole image
    EXIF_MARKER = JPEG_APP0 + 1,
    MARKER_BYTES_MAX = 65533
};

struct decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    const struct dc__photo_file *file;
    struct dc__image *image;
    int orientation;
    struct dc_arena *arena;
    struct dc_error *error;
    enum dc_status status;
};

static struct decoder *owner(j_common_ptr jpeg)
{
    return jpeg->client_data;
}

// Ends the decoding; a status other than DC_OK has its message already.
_Noreturn static void leave(struct decoder *d, enum dc_status status)
{
    d->status = status;
    longjmp(d->escape, 1);
}

_Noreturn static void refuse(struct decoder *d, const char *reason)
{
    const size_t left = d->jpeg.src ? d->jpeg.src->bytes_in_buffer : 0;
    leave(d, dc_fail(d->error, DC_ERR_DATA, "%s: near byte %zu: %s", d->file->path,
                     d->file->size > left ? d->file->size - left : 0, reason));
}

_Noreturn static void on_error(j_common_ptr jpeg)
{
    char reason[JMSG_LENGTH_MAX + 32];
    if (jpeg->err->msg_code == JERR_BAD_PRECISION)
        snprintf(reason, sizeof reason, "%d bits a sample; only 8 are read",
                 jpeg->err->msg_parm.i[0]);
    else
        jpeg->err->format_message(jpeg, reason);
    refuse(owner(jpeg), reason);
}

// Below 0 is a warning: the data is damaged. Some concern nothing that is read here.
static void on_message(j_common_ptr jpeg, int level)
{
    const int code = jpeg->err->msg_code;
    if (level >= 0 || code == JWRN_EXTRANEOUS_DATA || code == JWRN_BOGUS_ICC ||
        code == JWRN_JFIF_MAJOR)
        return;
    if (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER)
        refuse(owner(jpeg), "the file is truncated");
    on_error(jpeg);
}

static void on_progress(j_common_ptr jpeg)
{
    if (((j_decompress_ptr)jpeg)->input_scan_number > SCANS_MAX)
        refuse(owner(jpeg), "more than 200 scans");
}

// A block of 8 x 8 takes a bit at least, of Huffman's shortest code.
static bool can_hold(const struct jpeg_decompress_struct *jpeg, size_t bytes)
{
    int64_t blocks = 0;
    for (int c = 0; c < jpeg->num_components; c++)
        blocks += (int64_t)jpeg->comp_info[c].width_in_blocks * jpeg->comp_info[c].height_in_blocks;
    return blocks / 8 <= (int64_t)bytes;
}

static void check_header(struct decoder *d)
{
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    const int64_t pixels = (int64_t)jpeg->image_width * jpeg->image_height;
    const bool grey = jpeg->jpeg_color_space == JCS_GRAYSCALE;
    if (jpeg->data_precision != 8)
        ERREXIT1(jpeg, JERR_BAD_PRECISION, jpeg->data_precision);
    if (jpeg->arith_code)
        refuse(d, "arithmetic coding is not read");
    if (jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK)
        refuse(d, "CMYK colours, for printing, are not read; convert the file to RGB");
    if (!grey && jpeg->jpeg_color_space != JCS_YCbCr && jpeg->jpeg_color_space != JCS_RGB)
        refuse(d, "neither grey nor RGB");
    if (!can_hold(jpeg, d->file->size))
        leave(d, dc_fail(d->error, DC_ERR_DATA,
                         "%s: its header: %ux%u pixels (width x height) cannot be in a file of %zu "
                         "bytes",
                         d->file->path, jpeg->image_width, jpeg->image_height, d->file->size));
    // Several scans are gathered as coefficients of 2 bytes first.
    const int64_t bytes = pixels * (grey ? 1 : 3) * (jpeg_has_multiple_scans(jpeg) ? 3 : 1);
    const enum dc_status status = dc_want_memory(d->file->path, "its header", bytes, d->file->limit,
                                                 d->error);
    if (status != DC_OK)
        leave(d, status);
    jpeg->out_color_space = grey ? JCS_GRAYSCALE : JCS_RGB;
}

static void find_orientation(struct decoder *d)
{
    static const uint8_t name[6] = "Exif\0";
    for (jpeg_saved_marker_ptr m = d->jpeg.marker_list; m; m = m->next)
        if (m->data_length > sizeof name && memcmp(m->data, name, sizeof name) == 0) {
            d->orientation = dc__exif_orientation(m->data + sizeof name,
                                                  m->data_length - sizeof name);
            return;
        }
}

static void decode(struct decoder *d)
{
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    if (setjmp(d->escape))
        return;
    jpeg_create_decompress(jpeg);
    jpeg->client_data = d;
    d->progress.progress_monitor = on_progress;
    jpeg->progress = &d->progress;
    jpeg_mem_src(jpeg, d->file->bytes, (unsigned long)d->file->size);
    jpeg_save_markers(jpeg, EXIF_MARKER, MARKER_BYTES_MAX);
    jpeg_read_header(jpeg, TRUE);
    check_header(d);
    find_orientation(d);
    jpeg->dct_method = JDCT_ISLOW;
    jpeg->do_fancy_upsampling = TRUE;
    jpeg_start_decompress(jpeg);
    struct dc__image *image = d->image;
    image->height = (int)jpeg->output_height;
    image->width = (int)jpeg->output_width;
    image->channels = jpeg->output_components;
    const size_t row = (size_t)image->width * (size_t)image->channels;
    image->pixels = DC_NEW(d->arena, uint8_t, row * (size_t)image->height, d->error);
    if (!image->pixels)
        leave(d, DC_ERR_MEMORY);
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW line = image->pixels + (size_t)jpeg->output_scanline * row;
        jpeg_read_scanlines(jpeg, &line, 1);
    }
    jpeg_finish_decompress(jpeg);
}

enum dc_status dc__jpeg_decode(struct dc__image *image, int *orientation,
                               const struct dc__photo_file *file, struct dc_arena *arena,
                               struct dc_error *error)
{
    struct decoder d = {
        .file = file, .image = image, .orientation = 1, .arena = arena, .error = error};
    d.jpeg.err = jpeg_std_error(&d.errors);
    d.errors.error_exit = on_error;
    d.errors.emit_message = on_message;
    d.jpeg.client_data = &d;
    decode(&d);
    jpeg_destroy_decompress(&d.jpeg);
    *orientation = d.orientation;
    return d.status;
}

void dc__jpeg_version(char text[32])
{
#ifdef LIBJPEG_TURBO_VERSION_NUMBER
    const int number = LIBJPEG_TURBO_VERSION_NUMBER;
    snprintf(text, 32, "libjpeg-turbo %d.%d.%d", number / 1000000, number / 1000 % 1000,
             number % 1000);
#else
    snprintf(text, 32, "libjpeg %d", JPEG_LIB_VERSION);
#endif
}
