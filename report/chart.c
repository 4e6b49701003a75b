// Owns the geometry of charts: ticks, axes, labels that do not lie on each other.

#include "report/chart.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/statistics.h"

// The area between the axes.
struct area {
    double left, top, width, height;
    double x_low, x_high, y_low, y_high;
};

static double x_of(const struct area *a, double x)
{
    return a->left + a->width * (x - a->x_low) / (a->x_high - a->x_low);
}

static double y_of(const struct area *a, double y)
{
    return a->top + a->height * (1.0 - (y - a->y_low) / (a->y_high - a->y_low));
}

static enum dc_paint series_paint(int number)
{
    return (enum dc_paint)(DC_PAINT_SERIES + number % DC_SERIES_PAINTS);
}

int dc_chart_ticks(double *ticks, double low, double high, int most)
{
    static const double steps[] = {1.0, 2.0, 2.5, 5.0, 10.0, 20.0, 25.0, 50.0};
    if (!(high > low))
        high = low + (low != 0.0 ? fabs(low) : 1.0);
    const double power = pow(10.0, floor(log10((high - low) / most)));
    for (int i = 0; i < 8; i++) {
        const double step = power * steps[i], first = floor(low / step + 1e-9);
        const double last = ceil(high / step - 1e-9);
        if (last - first > most && i < 7)
            continue;
        for (int k = 0; k <= most; k++)
            ticks[k] = (first + k) * step;
        return (int)fmin(last - first, most) + 1;
    }
    return 0;
}

enum { TICKS = 6 };

// Ticks of both axes with their lines; the area's ends become those of the ticks.
static void axes(struct dc_drawing *d, struct area *a, const char *x_words, const char *y_words,
                 bool whole_x)
{
    double ticks[TICKS + 1];
    int count = dc_chart_ticks(ticks, a->y_low, a->y_high, TICKS - 1);
    a->y_low = ticks[0];
    a->y_high = ticks[count - 1];
    for (int i = 0; i < count; i++) {
        const double y = y_of(a, ticks[i]);
        dc_draw_line(d, DC_PAINT_GRID, 0, a->left, y, a->left + a->width, y);
        dc_draw_words(d, DC_PAINT_MUTED, DC_ANCHOR_END, a->left - 6, y + 4, "%.5g", ticks[i]);
    }
    count = dc_chart_ticks(ticks, a->x_low, a->x_high, TICKS);
    for (int i = 0; i < count; i++)
        if (ticks[i] >= a->x_low && ticks[i] <= a->x_high &&
            (!whole_x || ticks[i] == floor(ticks[i])))
            dc_draw_words(d, DC_PAINT_MUTED, DC_ANCHOR_MIDDLE, x_of(a, ticks[i]),
                          a->top + a->height + 16, "%.5g", ticks[i]);
    dc_draw_words(d, DC_PAINT_MUTED, DC_ANCHOR_START, 0, 12, "%s", y_words);
    dc_draw_words(d, DC_PAINT_MUTED, DC_ANCHOR_END, a->left + a->width, a->top + a->height + 33,
                  "%s", x_words);
}

static void include(double *low, double *high, double value)
{
    if (!isfinite(value))
        return;
    *low = value < *low ? value : *low;
    *high = value > *high ? value : *high;
}

// Names at the ends of lines, moved apart, in order of the ends.
static void end_labels(struct dc_drawing *d, const struct area *a, const struct dc_series *series,
                       const double *ends, int count)
{
    int order[DC_CHART_SERIES_MAX], used = 0;
    double at[DC_CHART_SERIES_MAX];
    for (int i = 0; i < count; i++) {
        if (!isfinite(ends[i]))
            continue;
        int k = used++;
        for (; k > 0 && ends[order[k - 1]] > ends[i]; k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
    double least = a->top;
    for (int k = 0; k < used; k++) {
        at[k] = ends[order[k]] > least ? ends[order[k]] : least;
        least = at[k] + DC_WORDS_HEIGHT + 2;
    }
    double most = a->top + a->height;
    for (int k = used - 1; k >= 0; k--) {
        at[k] = at[k] < most ? at[k] : most;
        most = at[k] - DC_WORDS_HEIGHT - 2;
        dc_draw_words(d, series_paint(series[order[k]].paint), DC_ANCHOR_START,
                      a->left + a->width + 10, at[k] + 4, "%s", series[order[k]].name);
    }
}

// Returns where the line ends, NaN where it has no point.
static double one_line(struct dc_drawing *d, const struct area *a, const struct dc_series *s)
{
    double xy[2 * 512], end = NAN;
    const int stride = s->count / 512 + 1;  // of long trainings every so many epochs, and the last
    int used = 0;
    for (int i = 0; i < s->count; i++) {
        if (!isfinite(s->y[i]) || (i % stride != 0 && i != s->count - 1))
            continue;
        xy[2 * used] = x_of(a, s->x[i]);
        xy[2 * used + 1] = end = y_of(a, s->y[i]);
        if (s->count <= 24)
            dc_draw_dot(d, series_paint(s->paint), xy[2 * used], end, 2.2);
        used += used < 511;
    }
    if (used > 1)
        dc_draw_path(d, series_paint(s->paint), s->paint % 4, xy, used);
    if (used > 0 && fabs(xy[2 * used - 2] - a->left - a->width) > 8.0)
        dc_draw_line(d, DC_PAINT_GRID, 2, xy[2 * used - 2] + 5, end, a->left + a->width + 6, end);
    return end;
}

void dc_chart_lines(struct dc_drawing *d, const struct dc_series *series, int count,
                    const char *x_words, const char *y_words, bool from_zero)
{
    double longest = 0.0, ends[DC_CHART_SERIES_MAX];
    struct area a = {
        .x_low = INFINITY, .x_high = -INFINITY, .y_low = INFINITY, .y_high = -INFINITY};
    count = count < DC_CHART_SERIES_MAX ? count : DC_CHART_SERIES_MAX;
    for (int i = 0; i < count; i++) {
        const double length = (double)strlen(series[i].name);
        longest = length > longest ? length : longest;
        for (int k = 0; k < series[i].count; k++) {
            include(&a.x_low, &a.x_high, series[i].x[k]);
            include(&a.y_low, &a.y_high, series[i].y[k]);
        }
    }
    longest = longest < 18.0 ? longest : 18.0;
    d->width = 420;
    d->height = 250;
    a.left = 48;
    a.top = 26;
    a.width = d->width - a.left - 14 - longest * DC_LETTER_WIDTH;
    a.height = d->height - a.top - 40;
    if (from_zero)
        include(&a.y_low, &a.y_high, 0.0);
    if (!(a.x_high > a.x_low))
        a.x_high = a.x_low + 1.0;
    if (!isfinite(a.y_low)) {
        dc_draw_words(d, DC_PAINT_MUTED, DC_ANCHOR_START, 0, 12, "%s: no values", y_words);
        return;
    }
    axes(d, &a, x_words, y_words, true);
    for (int i = 0; i < count; i++)
        ends[i] = one_line(d, &a, &series[i]);
    end_labels(d, &a, series, ends, count);
}

void dc_chart_bars(struct dc_drawing *d, const struct dc_bar *bars, int count, const char *words)
{
    const double row = 20.0;
    double longest = 0.0, low = 0.0, high = 1.0, ticks[TICKS + 1];
    for (int i = 0; i < count; i++) {
        const double length = (double)strlen(bars[i].name);
        longest = length > longest ? length : longest;
        include(&low, &high, bars[i].bar);
        include(&low, &high, bars[i].tick);
    }
    longest = longest < 24.0 ? longest : 24.0;
    struct area a = {.left = longest * DC_LETTER_WIDTH + 12, .top = 24};
    const int tick_count = dc_chart_ticks(ticks, low, high, TICKS);
    a.x_low = ticks[0];
    a.x_high = ticks[tick_count - 1];
    d->width = 430;
    d->height = a.top + row * count + 24;
    a.width = d->width - a.left - 48;
    a.height = row * count;
    dc_draw_words(d, DC_PAINT_MUTED, DC_ANCHOR_START, 0, 12, "%s", words);
    for (int i = 0; i < tick_count; i++) {
        const double x = x_of(&a, ticks[i]);
        dc_draw_line(d, DC_PAINT_GRID, 0, x, a.top, x, a.top + a.height);
        dc_draw_words(d, DC_PAINT_MUTED, DC_ANCHOR_MIDDLE, x, a.top + a.height + 16, "%.4g",
                      ticks[i]);
    }
    for (int i = 0; i < count; i++) {
        const double y = a.top + row * i;
        const bool exact = !isfinite(bars[i].bar);
        const double x0 = x_of(&a, 0.0), x = exact ? x0 : x_of(&a, bars[i].bar);
        dc_draw_words(d, DC_PAINT_TEXT, DC_ANCHOR_START, 0, y + 14, "%.24s", bars[i].name);
        dc_draw_box(d, DC_PAINT_SERIES, 0.55, x < x0 ? x : x0, y + 4, fabs(x - x0), row - 8);
        if (isfinite(bars[i].tick))
            dc_draw_box(d, DC_PAINT_TEXT, 1.0, x_of(&a, bars[i].tick) - 1, y + 2, 2, row - 4);
        const double end = !exact && isfinite(bars[i].tick) && bars[i].tick > bars[i].bar
                               ? x_of(&a, bars[i].tick)
                               : x;
        if (exact)
            dc_draw_words(d, DC_PAINT_MUTED, DC_ANCHOR_START, end + 6, y + 14, "exact");
        else
            dc_draw_words(d, DC_PAINT_TEXT, DC_ANCHOR_START, end + 6, y + 14, "%.1f", bars[i].bar);
    }
}

void dc_chart_histogram(struct dc_drawing *d, const int64_t *counts, int bins, int clip_first,
                        int clip_last, const char *low, const char *high, const char *words)
{
    int64_t most = 1;
    d->width = 320;
    d->height = 130;
    const struct area a = {.left = 8, .top = 24, .width = d->width - 16, .height = 78};
    const double wide = a.width / bins, bottom = a.top + a.height;
    for (int i = 0; i < bins; i++)
        most = counts[i] > most ? counts[i] : most;
    for (int i = 0; i < bins; i++) {
        const double h = a.height * log1p((double)counts[i]) / log1p((double)most);
        const bool clipped = i < clip_first || i > clip_last;
        if (counts[i] > 0)
            dc_draw_box(d, clipped ? DC_PAINT_BAD : DC_PAINT_SERIES, clipped ? 1.0 : 0.6,
                        a.left + wide * i, bottom - h, wide * 0.92, h);
    }
    dc_draw_line(d, DC_PAINT_MUTED, 0, a.left, bottom, a.left + a.width, bottom);
    const double ends[2] = {a.left + wide * clip_first, a.left + wide * (clip_last + 1)};
    const char *const labels[2] = {low, high};
    for (int i = 0; i < 2; i++) {
        dc_draw_line(d, DC_PAINT_BAD, 1, ends[i], a.top, ends[i], bottom + 4);
        dc_draw_words(d, DC_PAINT_MUTED, DC_ANCHOR_MIDDLE, ends[i], bottom + 18, "%s", labels[i]);
    }
    dc_draw_words(d, DC_PAINT_TEXT, DC_ANCHOR_START, 0, 12, "%s", words);
}

void dc_chart_spans(struct dc_drawing *d, const struct dc_span *spans, int count)
{
    enum { NAME_HEIGHT = 16 };
    struct area a = {.left = 64, .top = 26, .width = 680, .height = 232};
    d->width = 760;
    d->height = 300;
    a.x_high = a.y_high = 1.0;
    for (int i = 0; i < count; i++) {
        a.x_high = spans[i].last + 1 > a.x_high ? spans[i].last + 1 : a.x_high;
        a.y_high = spans[i].high > a.y_high ? spans[i].high : a.y_high;
    }
    axes(d, &a, "layer", "byte of the arena", false);
    for (int i = 0; i < count; i++) {
        const struct dc_span *s = &spans[i];
        const double x = x_of(&a, s->first), w = x_of(&a, s->last + 1) - x;
        const double y = y_of(&a, s->high), h = y_of(&a, s->low) - y;
        const enum dc_paint paint = (enum dc_paint)(DC_PAINT_SERIES + i % DC_SERIES_PAINTS);
        const double edge[] = {x, y, x + w, y, x + w, y + h, x, y + h, x, y};
        dc_draw_box(d, paint, 0.3, x, y, w, h);
        dc_draw_path(d, paint, 0, edge, 5);
        if (h > NAME_HEIGHT && w > DC_LETTER_WIDTH * (double)strlen(s->name))
            dc_draw_words(d, DC_PAINT_TEXT, DC_ANCHOR_MIDDLE, x + w / 2, y + h / 2 + 4, "%s",
                          s->name);
    }
}

static int by_x(const void *a, const void *b)
{
    const struct dc_point *p = a, *q = b;
    return p->x != q->x ? (p->x > q->x) - (p->x < q->x) : (p->y > q->y) - (p->y < q->y);
}

void dc_chart_points(struct dc_drawing *d, struct dc_point *points, int count, const char *x_words,
                     const char *y_words)
{
    struct area a = {.left = 56, .top = 26, .width = 448, .height = 252};
    d->width = 520;
    d->height = 320;
    qsort(points, (size_t)count, sizeof *points, by_x);
    a.x_low = points[0].x;
    a.x_high = points[count - 1].x;
    a.y_low = a.y_high = points[0].y;
    for (int i = 1; i < count; i++) {
        a.y_low = points[i].y < a.y_low ? points[i].y : a.y_low;
        a.y_high = points[i].y > a.y_high ? points[i].y : a.y_high;
    }
    a.x_high += a.x_high > a.x_low ? 0.0 : 1.0;
    axes(d, &a, x_words, y_words, true);
    const struct dc_point *before = NULL;
    for (int i = 0; i < count; i++) {
        const struct dc_point *p = &points[i];
        const enum dc_paint paint = p->marked ? series_paint(0) : DC_PAINT_MUTED;
        if (p->marked && before)
            dc_draw_line(d, paint, 0, x_of(&a, before->x), y_of(&a, before->y), x_of(&a, p->x),
                         y_of(&a, p->y));
        before = p->marked ? p : before;
        dc_draw_dot(d, paint, x_of(&a, p->x), y_of(&a, p->y), 4.0);
    }
}

void dc_chart_reliability(struct dc_drawing *d, const struct dc_reliability *r, int paint)
{
    d->width = 320;
    d->height = 300;
    struct area a = {.left = 42, .top = 26, .width = 256, .height = 232};
    a.x_high = a.y_high = 100.0;
    int64_t all = 1;
    for (int b = 0; b < DC_RELIABILITY_BINS; b++)
        all += r->samples[b];
    axes(d, &a, "confidence, %", "accuracy, %; grey: share of samples", false);
    const double wide = a.width / DC_RELIABILITY_BINS;
    for (int b = 0; b < DC_RELIABILITY_BINS; b++) {
        const double n = (double)r->samples[b];
        if (r->samples[b] == 0)
            continue;
        const double accuracy = 100.0 * (double)r->right[b] / n;
        const double confidence = 100.0 * r->confidence[b] / n, share = 100.0 * n / (double)all;
        const double top = y_of(&a, accuracy), want = y_of(&a, confidence);
        const double x = a.left + wide * b;
        dc_draw_box(d, DC_PAINT_MUTED, 0.25, x, y_of(&a, share), wide,
                    a.top + a.height - y_of(&a, share));
        dc_draw_box(d, DC_PAINT_BAD, 0.5, x + wide * 0.42, top < want ? top : want, wide * 0.16,
                    fabs(top - want));
        dc_draw_dot(d, series_paint(paint), x + wide * 0.5, top, 3.0);
    }
    dc_draw_line(d, DC_PAINT_MUTED, 1, x_of(&a, 0.0), y_of(&a, 0.0), x_of(&a, 100.0),
                 y_of(&a, 100.0));
}

void dc_chart_matrix(struct dc_drawing *d, const int64_t *counts, int classes,
                     const char *const *names, const char *row_words, const char *column_words)
{
    double longest = 4.0;
    for (int c = 0; names && c < classes; c++)
        longest = (double)strlen(names[c]) + 3.0 > longest ? (double)strlen(names[c]) + 3.0
                                                           : longest;
    longest = longest < 16.0 ? longest : 16.0;
    const double cell = classes <= 12 ? 29.0 : 22.0, left = longest * DC_LETTER_WIDTH + 6;
    const double top = 36.0;
    d->width = left + cell * classes + 2;
    d->height = top + cell * classes + 4;
    dc_draw_words(d, DC_PAINT_MUTED, DC_ANCHOR_START, 0, 12, "%s", row_words);
    dc_draw_words(d, DC_PAINT_MUTED, DC_ANCHOR_END, d->width, 12, "%s", column_words);
    for (int i = 0; i < classes; i++) {
        double all = 1e-9;
        for (int k = 0; k < classes; k++)
            all += (double)counts[i * classes + k];
        const double y = top + cell * i;
        dc_draw_words(d, DC_PAINT_MUTED, DC_ANCHOR_MIDDLE, left + cell * (i + 0.5), top - 6, "%d",
                      i);
        if (names)
            dc_draw_words(d, DC_PAINT_TEXT, DC_ANCHOR_START, 0, y + cell * 0.5 + 4, "%d %.13s", i,
                          names[i]);
        else
            dc_draw_words(d, DC_PAINT_TEXT, DC_ANCHOR_START, 0, y + cell * 0.5 + 4, "%d", i);
        for (int k = 0; k < classes; k++) {
            const int64_t n = counts[i * classes + k];
            const double x = left + cell * k, share = (double)n / all;
            dc_draw_box(d, DC_PAINT_GRID, 0.35, x, y, cell - 1, cell - 1);
            if (n > 0)
                dc_draw_box(d, i == k ? DC_PAINT_SERIES : DC_PAINT_BAD,
                            i == k ? 0.55 * share : 0.12 + 0.88 * sqrt(share), x, y, cell - 1,
                            cell - 1);
            if (n > 0)
                dc_draw_words(d, DC_PAINT_TEXT, DC_ANCHOR_MIDDLE, x + cell * 0.5 - 0.5,
                              y + cell * 0.5 + 4, n < 10000 ? "%lld" : "%lldk",
                              (long long)(n < 10000 ? n : n / 1000));
        }
    }
}
