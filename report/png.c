// Owns what becomes PNG: drawings and small images, by cairo.

#include <cairo.h>
#include <stdlib.h>
#include <string.h>

#include "report/drawing.h"

static void set_colour(cairo_t *cairo, uint32_t colour, double opacity)
{
    cairo_set_source_rgba(cairo, (double)(colour >> 16 & 255) / 255.0,
                          (double)(colour >> 8 & 255) / 255.0, (double)(colour & 255) / 255.0,
                          opacity);
}

// The same patterns as in the page's style (drawing.c).
static void stroke(cairo_t *cairo, const struct dc_mark *m)
{
    static const double dashes[4][4] = {{0}, {7, 3}, {2, 3}, {8, 3, 2, 3}};
    static const int counts[4] = {0, 2, 2, 4};
    const int dash = m->dash & 3;
    for (int i = 0; i < m->point_count; i++)
        cairo_line_to(cairo, m->points[2 * i], m->points[2 * i + 1]);
    cairo_set_dash(cairo, dashes[dash], counts[dash], 0.0);
    cairo_set_line_width(cairo, m->paint == DC_PAINT_GRID ? 1.0 : 1.6);
    cairo_stroke(cairo);
}

static void words(cairo_t *cairo, const struct dc_mark *m)
{
    cairo_text_extents_t extents;
    cairo_text_extents(cairo, m->words, &extents);
    const double back = m->anchor == DC_ANCHOR_START ? 0.0
                        : m->anchor == DC_ANCHOR_END ? extents.x_advance
                                                     : 0.5 * extents.x_advance;
    cairo_move_to(cairo, m->x - back, m->y);
    cairo_show_text(cairo, m->words);
}

static void paint(cairo_t *cairo, const struct dc_mark *m)
{
    set_colour(cairo, dc_paint_colours[m->paint].light, m->opacity);
    cairo_new_path(cairo);  // words leave the pen behind them
    switch (m->kind) {
    case DC_MARK_LINE:
        stroke(cairo, m);
        break;
    case DC_MARK_BOX:
        cairo_rectangle(cairo, m->x, m->y, m->w, m->h);
        cairo_fill(cairo);
        break;
    case DC_MARK_DOT:
        cairo_arc(cairo, m->x, m->y, m->w, 0.0, 6.283185307179586);
        cairo_fill(cairo);
        break;
    case DC_MARK_WORDS:
        words(cairo, m);
        break;
    }
}

struct growing {
    struct dc_png *png;
    size_t capacity;
};

static cairo_status_t take(void *user, const unsigned char *bytes, unsigned int count)
{
    struct growing *to = user;
    struct dc_png *png = to->png;
    if (png->size + count > to->capacity) {
        const size_t wanted = 2 * (png->size + count);
        unsigned char *more = realloc(png->bytes, wanted);
        if (!more)
            return CAIRO_STATUS_NO_MEMORY;
        png->bytes = more;
        to->capacity = wanted;
    }
    memcpy(png->bytes + png->size, bytes, count);
    png->size += count;
    return CAIRO_STATUS_SUCCESS;
}

// Takes over the surface.
static enum dc_status encode(struct dc_png *png, cairo_surface_t *surface, struct dc_error *error)
{
    *png = (struct dc_png){0};
    struct growing to = {png, 0};
    const cairo_status_t status = cairo_surface_write_to_png_stream(surface, take, &to);
    cairo_surface_destroy(surface);
    if (status == CAIRO_STATUS_SUCCESS)
        return DC_OK;
    free(png->bytes);
    *png = (struct dc_png){0};
    return dc_fail(error, status == CAIRO_STATUS_NO_MEMORY ? DC_ERR_MEMORY : DC_ERR_INTERNAL,
                   "a picture could not be made: %s", cairo_status_to_string(status));
}

enum dc_status dc_drawing_png(struct dc_png *png, const struct dc_drawing *d,
                              struct dc_error *error)
{
    const int scale = 2;
    if (d->failed)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, scale * (int)d->width,
                                                          scale * (int)d->height);
    cairo_t *cairo = cairo_create(surface);
    cairo_scale(cairo, scale, scale);
    set_colour(cairo, dc_paint_colours[DC_PAINT_PAGE].light, 1.0);
    cairo_paint(cairo);
    cairo_select_font_face(cairo, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cairo, DC_WORDS_HEIGHT);
    for (int i = 0; i < d->count; i++)
        paint(cairo, &d->marks[i]);
    cairo_destroy(cairo);
    return encode(png, surface, error);
}

enum dc_status dc_image_png(struct dc_png *png, const uint8_t *rgb, int height, int width,
                            struct dc_error *error)
{
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    unsigned char *rows = cairo_image_surface_get_data(surface);
    const int stride = cairo_image_surface_get_stride(surface);
    for (int y = 0; rows && y < height; y++) {
        for (int x = 0; x < width; x++) {
            const uint8_t *from = rgb + ((int64_t)y * width + x) * 3;
            const uint32_t pixel = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];
            memcpy(rows + (int64_t)y * stride + (int64_t)4 * x, &pixel, sizeof pixel);
        }
    }
    cairo_surface_mark_dirty(surface);
    return encode(png, surface, error);
}
