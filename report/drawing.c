// Owns the marks of a drawing and their SVG; the PNG is png.c's.

#include "report/drawing.h"

#include <stdio.h>
#include <string.h>

#include "report/html.h"

// Series: told apart by people who do not see all colours, and by their dashes; each has a contrast
// of 4.5 with its page.
const struct dc_colours dc_paint_colours[DC_PAINT_COUNT] = {
    {"page", 0xffffff, 0x14171c}, {"text", 0x1c2129, 0xe6e9ee}, {"muted", 0x5a6472, 0x9aa5b4},
    {"grid", 0xd9dde3, 0x333a45}, {"good", 0x00725f, 0x45c9b0}, {"bad", 0xb3401c, 0xf2946b},
    {"s0", 0x1d5fa6, 0x77b0f2},   {"s1", 0x8a5a00, 0xe0ab45},   {"s2", 0x00725f, 0x45c9b0},
    {"s3", 0xa32a68, 0xf08abf},   {"s4", 0x5b4bb0, 0xb3a6f7},   {"s5", 0x4d5866, 0xaab4c2},
};

static struct dc_mark *add(struct dc_drawing *d, enum dc_mark_kind kind, enum dc_paint paint)
{
    if (d->count == d->capacity && !d->failed) {
        struct dc_mark *more = dc_arena_grow(d->arena, d->marks, d->count, &d->capacity,
                                             sizeof *more, NULL);
        d->failed = !more;
        d->marks = more ? more : d->marks;
    }
    if (d->failed)
        return &d->spare;
    struct dc_mark *mark = &d->marks[d->count++];
    *mark = (struct dc_mark){.kind = kind, .paint = paint, .opacity = 1.0};
    return mark;
}

void dc_draw_path(struct dc_drawing *d, enum dc_paint paint, int dash, const double *xy, int count)
{
    double *copy = DC_NEW(d->arena, double, 2 * count, NULL);
    struct dc_mark *mark = add(d, DC_MARK_LINE, paint);
    d->failed = d->failed || !copy;
    if (d->failed)
        return;
    memcpy(copy, xy, sizeof *xy * 2 * (size_t)count);
    mark->points = copy;
    mark->point_count = count;
    mark->dash = dash;
}

void dc_draw_line(struct dc_drawing *d, enum dc_paint paint, int dash, double x1, double y1,
                  double x2, double y2)
{
    dc_draw_path(d, paint, dash, (const double[]){x1, y1, x2, y2}, 2);
}

void dc_draw_box(struct dc_drawing *d, enum dc_paint paint, double opacity, double x, double y,
                 double w, double h)
{
    struct dc_mark *mark = add(d, DC_MARK_BOX, paint);
    mark->opacity = opacity;
    mark->x = x;
    mark->y = y;
    mark->w = w;
    mark->h = h;
}

void dc_draw_dot(struct dc_drawing *d, enum dc_paint paint, double x, double y, double radius)
{
    struct dc_mark *mark = add(d, DC_MARK_DOT, paint);
    mark->x = x;
    mark->y = y;
    mark->w = radius;
}

void dc_draw_words(struct dc_drawing *d, enum dc_paint paint, enum dc_anchor anchor, double x,
                   double y, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *copy = dc_arena_copy(d->arena, text, NULL);
    struct dc_mark *mark = add(d, DC_MARK_WORDS, paint);
    d->failed = d->failed || !copy;
    mark->words = copy;
    mark->anchor = anchor;
    mark->x = x;
    mark->y = y;
}

static void line_svg(struct dc_text_buffer *out, const struct dc_mark *m)
{
    dc_text_append(out, "<path class=\"l %s", dc_paint_colours[m->paint].name);
    if (m->dash > 0)
        dc_text_append(out, " d%d", m->dash);
    for (int i = 0; i < m->point_count; i++)
        dc_text_append(out, "%s%.1f %.1f", i ? "L" : "\" d=\"M", m->points[2 * i],
                       m->points[2 * i + 1]);
    dc_text_append(out, "\"/>");
}

static void mark_svg(struct dc_text_buffer *out, const struct dc_mark *m)
{
    static const char *const anchors[] = {"", " m", " e"};
    const char *paint = dc_paint_colours[m->paint].name;
    if (m->kind == DC_MARK_LINE)
        line_svg(out, m);
    if (m->kind == DC_MARK_DOT)
        dc_text_append(out, "<circle class=\"f %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>", paint,
                       m->x, m->y, m->w);
    if (m->kind == DC_MARK_BOX) {
        dc_text_append(out,
                       "<rect class=\"f %s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                       "height=\"%.1f\"",
                       paint, m->x, m->y, m->w, m->h);
        if (m->opacity < 1.0)
            dc_text_append(out, " opacity=\"%.2f\"", m->opacity);
        dc_text_append(out, "/>");
    }
    if (m->kind == DC_MARK_WORDS) {
        dc_text_append(out, "<text class=\"f %s%s\" x=\"%.1f\" y=\"%.1f\">", paint,
                       anchors[m->anchor], m->x, m->y);
        dc_html_text(out, "%s", m->words);
        dc_text_append(out, "</text>");
    }
}

void dc_drawing_svg(struct dc_text_buffer *out, const struct dc_drawing *d)
{
    dc_text_append(out,
                   "<svg viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" role=\"img\" "
                   "aria-labelledby=\"%s-t %s-d\"><title id=\"%s-t\">",
                   d->width, d->height, d->width, d->height, d->name, d->name, d->name);
    dc_html_text(out, "%s", d->title);
    dc_text_append(out, "</title><desc id=\"%s-d\">", d->name);
    dc_html_text(out, "%s", d->words);
    dc_text_append(out, "</desc>");
    for (int i = 0; i < d->count; i++)
        mark_svg(out, &d->marks[i]);
    dc_text_append(out, "</svg>\n");
    out->failed = out->failed || d->failed;
}

void dc_drawing_style(struct dc_text_buffer *out)
{
    for (int dark = 0; dark < 2; dark++) {
        dc_text_append(out, dark ? "@media (prefers-color-scheme:dark){:root{" : ":root{");
        for (int p = 0; p < DC_PAINT_COUNT; p++)
            dc_text_append(out, "--%s:#%06x;", dc_paint_colours[p].name,
                           dark ? dc_paint_colours[p].dark : dc_paint_colours[p].light);
        dc_text_append(out, dark ? "}}\n" : "}\n");
    }
    for (int p = 0; p < DC_PAINT_COUNT; p++)
        dc_text_append(out, ".l.%s{stroke:var(--%s)}.f.%s{fill:var(--%s)}",
                       dc_paint_colours[p].name, dc_paint_colours[p].name, dc_paint_colours[p].name,
                       dc_paint_colours[p].name);
    dc_text_append(out, "\n.l{fill:none;stroke-width:1.6;stroke-linejoin:round}.l.grid{"
                        "stroke-width:1}.d1{stroke-dasharray:7 3}.d2{stroke-dasharray:2 3}"
                        ".d3{stroke-dasharray:8 3 2 3}svg text{font-size:12px}"
                        ".m{text-anchor:middle}.e{text-anchor:end}\n");
}

void dc_drawing_svg_file(struct dc_text_buffer *out, const struct dc_drawing *d)
{
    dc_text_append(out,
                   "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\">"
                   "<!-- " DC_DRAWING_MARK " --><style>text{font:12px sans-serif}\n",
                   d->width, d->height);
    dc_drawing_style(out);
    dc_text_append(out, "</style><rect width=\"100%%\" height=\"100%%\" class=\"f page\"/>\n");
    dc_drawing_svg(out, d);
    dc_text_append(out, "</svg>\n");
}
