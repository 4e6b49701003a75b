// Owns the layout of contact sheets and their writing as PNG.

#include "data/contact_sheet.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"

enum { ROWS_MAX = 12, VIEWS = 7, COLUMNS = VIEWS + 1, GAP = 2, CELL_LEAST = 64 };

struct sheet {
    const struct dc_loader_config *training;
    struct dc_arena *arena;
    int64_t ids[ROWS_MAX];
    int rows, scale, height, width;  // of the sheet, in pixels; scale: of a sample's
    uint8_t *pixels;                 // [height, width, 3]
};

// The first id of each class, then the second of each, until the sheet is full.
static void pick(struct sheet *s)
{
    const struct dc_source *source = s->training->source;
    const int classes = source->labels ? source->classes : 1;
    for (int turn = 0; turn < ROWS_MAX && s->rows < ROWS_MAX; turn++)
        for (int c = 0; c < classes && s->rows < ROWS_MAX; c++) {
            int seen = 0;
            for (int64_t i = 0; i < s->training->id_count; i++) {
                const int64_t id = s->training->ids[i];
                if ((source->labels ? source->labels[id] : 0) == c && seen++ == turn) {
                    s->ids[s->rows++] = id;
                    break;
                }
            }
        }
}

// A sample in raw units at a place of the sheet, each pixel scale x scale.
static void place(struct sheet *s, const float *sample, int row, int column)
{
    const int64_t *dims = s->training->source->sample.dims;
    const int cell_h = (int)dims[0] * s->scale, cell_w = (int)dims[1] * s->scale;
    const int channels = (int)dims[2];
    for (int y = 0; y < cell_h; y++)
        for (int x = 0; x < cell_w; x++) {
            const float *from = sample + ((y / s->scale) * dims[1] + x / s->scale) * channels;
            uint8_t *to = s->pixels + ((int64_t)(GAP + row * (cell_h + GAP) + y) * s->width + GAP +
                                       column * (cell_w + GAP) + x) *
                                          3;
            for (int c = 0; c < 3; c++) {
                const float v = from[channels == 3 ? c : 0] + 0.5f;
                to[c] = (uint8_t)(v < 0.0f ? 0.0f : v > 255.0f ? 255.0f : v);
            }
        }
}

// One epoch's view of the rows, or the samples as they are (epoch -1).
static enum dc_status draw_column(struct sheet *s, int epoch, struct dc_error *error)
{
    struct dc_loader_config config = *s->training;
    struct dc_loader *loader = NULL;
    struct dc_batch batch;
    config.mix_ids = config.mix_ids ? config.mix_ids : config.ids;
    config.mix_count = config.mix_ids == config.ids ? config.id_count : config.mix_count;
    config.ids = s->ids;
    config.id_count = config.batch = s->rows;
    config.shuffle = false;
    config.depth = config.threads = config.view_count = 1;
    config.augmentation_count = epoch < 0 ? 0 : config.augmentation_count;
    // raw units: (x / 255 - 0) / (1 / 255)
    config.views[0] = (struct dc_view){{1, {0.0f}, {1.0f / 255.0f}}, config.source->sample};
    DC_TRY(dc_loader_create(&loader, &config, error));
    enum dc_status status = dc_loader_start(loader, epoch < 0 ? 0 : epoch, 0, error);
    if (status == DC_OK)
        status = dc_loader_next(loader, &batch, error);
    for (int row = 0; status == DC_OK && row < s->rows; row++)
        place(s, batch.inputs + row * dc_shape_count(&config.source->sample), row, epoch + 1);
    dc_loader_free(loader);
    return status;
}

static void append(png_structp png, png_bytep bytes, size_t size)
{
    if (fwrite(bytes, 1, size, png_get_io_ptr(png)) != size)
        png_error(png, "no memory");
}

static void flush(png_structp png)
{
    (void)png;
}

// libpng leaves by longjmp; nothing is kept in variables that it would lose.
static bool encode(png_structp png, png_infop info, FILE *out, const struct sheet *s)
{
    png_text mark = {
        .compression = PNG_TEXT_COMPRESSION_NONE, .key = "Software", .text = DC_CONTACT_SHEET_MARK};
    if (setjmp(png_jmpbuf(png)))
        return false;
    png_set_write_fn(png, out, append, flush);
    png_set_IHDR(png, info, (png_uint_32)s->width, (png_uint_32)s->height, 8, PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_text(png, info, &mark, 1);
    png_write_info(png, info);
    for (int y = 0; y < s->height; y++)
        png_write_row(png, s->pixels + (size_t)y * (size_t)s->width * 3);
    png_write_end(png, info);
    return true;
}

static enum dc_status write_png(const char *path, const struct sheet *s, struct dc_error *error)
{
    char *bytes = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&bytes, &size);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    bool good = out && info && encode(png, info, out, s);
    good = out && fclose(out) == 0 && good;
    png_destroy_write_struct(&png, &info);
    const enum dc_status status = good ? dc_file_write(path, bytes, size, error)
                                       : dc_fail(error, DC_ERR_MEMORY, "no memory for %s", path);
    free(bytes);
    return status;
}

static enum dc_status draw(struct sheet *s, const char *path, struct dc_error *error)
{
    const struct dc_shape *sample = &s->training->source->sample;
    pick(s);
    const int side = (int)(sample->dims[0] > sample->dims[1] ? sample->dims[0] : sample->dims[1]);
    s->scale = side < CELL_LEAST ? (CELL_LEAST + side - 1) / side : 1;
    s->height = GAP + s->rows * ((int)sample->dims[0] * s->scale + GAP);
    s->width = GAP + COLUMNS * ((int)sample->dims[1] * s->scale + GAP);
    const size_t size = (size_t)s->height * (size_t)s->width * 3;
    s->pixels = dc_arena_alloc(s->arena, size, error);
    if (!s->pixels)
        return DC_ERR_MEMORY;
    memset(s->pixels, 255, size);
    for (int epoch = -1; epoch < VIEWS; epoch++)
        DC_TRY(draw_column(s, epoch, error));
    return write_png(path, s, error);
}

enum dc_status dc_contact_sheet_write(const char *path, const struct dc_loader_config *training,
                                      struct dc_error *error)
{
    const struct dc_shape *sample = &training->source->sample;
    struct sheet s = {.training = training};
    if (training->source->dtype != DC_U8 || sample->rank != 3 ||
        (sample->dims[2] != 1 && sample->dims[2] != 3) || sample->dims[0] > 2048 ||
        sample->dims[1] > 2048)
        return dc_fail(
            error, DC_ERR_DATA,
            "%s: a contact sheet shows images of bytes, of 1 or 3 channels and up to 2048 "
            "pixels a side",
            path);
    DC_TRY(dc_arena_create(&s.arena, error));
    const enum dc_status status = draw(&s, path, error);
    dc_arena_free(s.arena);
    return status;
}
