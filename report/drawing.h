// A picture as a list of marks, painted twice: as inline SVG, whose colours the page's style gives,
// and as PNG (docs/decisions/0009).
//
// Coordinates are in CSS pixels from the upper left. A drawing lives in an arena; where memory ran
// out it says so in `failed`, and painting it is DC_ERR_MEMORY.

#ifndef DC_REPORT_DRAWING_H
#define DC_REPORT_DRAWING_H

#include <stdint.h>

#include "core/arena.h"
#include "core/schema.h"

// What a mark means; the colours of light and dark are in one table (drawing.c). Series are told
// apart by dashes as well.
enum dc_paint {
    DC_PAINT_PAGE,
    DC_PAINT_TEXT,
    DC_PAINT_MUTED,
    DC_PAINT_GRID,
    DC_PAINT_GOOD,
    DC_PAINT_BAD,
    DC_PAINT_SERIES,  // and those behind it
    DC_PAINT_COUNT = DC_PAINT_SERIES + 6
};
enum { DC_SERIES_PAINTS = DC_PAINT_COUNT - DC_PAINT_SERIES };

struct dc_colours {
    const char *name;  // of the style sheet's variable
    uint32_t light, dark;
};
extern const struct dc_colours dc_paint_colours[DC_PAINT_COUNT];

enum dc_mark_kind { DC_MARK_LINE, DC_MARK_BOX, DC_MARK_DOT, DC_MARK_WORDS };
enum dc_anchor { DC_ANCHOR_START, DC_ANCHOR_MIDDLE, DC_ANCHOR_END };

struct dc_mark {
    enum dc_mark_kind kind;
    enum dc_paint paint;
    int dash;              // of a line: 0 solid, else a pattern
    double opacity;        // of a box
    double x, y, w, h;     // of a box; words and dots are at x, y, a dot's radius is w
    const double *points;  // of a line: x, y, x, y, ...
    int point_count;
    enum dc_anchor anchor;
    const char *words;
};

struct dc_drawing {
    struct dc_arena *arena;
    const char *name;   // of its PNG, and of its ids in the page: letters, digits, '-'
    const char *title;  // what the picture shows, in one line
    const char *words;  // what it says to who cannot see it
    double width, height;
    struct dc_mark *marks;
    int count, capacity;
    bool failed;
    struct dc_mark spare;  // takes what has no room
};

void dc_draw_path(struct dc_drawing *d, enum dc_paint paint, int dash, const double *xy, int count);
void dc_draw_line(struct dc_drawing *d, enum dc_paint paint, int dash, double x1, double y1,
                  double x2, double y2);
void dc_draw_box(struct dc_drawing *d, enum dc_paint paint, double opacity, double x, double y,
                 double w, double h);
void dc_draw_dot(struct dc_drawing *d, enum dc_paint paint, double x, double y, double radius);
void dc_draw_words(struct dc_drawing *d, enum dc_paint paint, enum dc_anchor anchor, double x,
                   double y, const char *format, ...) DC_PRINTF(6, 7);

enum { DC_WORDS_HEIGHT = 12 };  // of the letters of all words
#define DC_LETTER_WIDTH 6.6     // about; labels are given room by it

void dc_drawing_svg(struct dc_text_buffer *out, const struct dc_drawing *drawing);
// Rules for the classes that dc_drawing_svg uses, and the variables of both colour schemes.
void dc_drawing_style(struct dc_text_buffer *out);
// A file by itself, with the mark by which a later one may replace it.
#define DC_DRAWING_MARK "a drawing of Decant's"
void dc_drawing_svg_file(struct dc_text_buffer *out, const struct dc_drawing *drawing);

// A PNG in memory, freed with free().
struct dc_png {
    unsigned char *bytes;
    size_t size;
};
// In the light colours, two dots a pixel.
DC_MUST_USE enum dc_status dc_drawing_png(struct dc_png *png, const struct dc_drawing *drawing,
                                          struct dc_error *error);
// rgb: [height, width, 3]
DC_MUST_USE enum dc_status dc_image_png(struct dc_png *png, const uint8_t *rgb, int height,
                                        int width, struct dc_error *error);

#endif
