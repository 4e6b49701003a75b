// The report's charts: numbers in, a drawing out.
//
// Axes have a unit, in words above or below them; lines are labelled where they end, not in a
// legend. Every chart gives the drawing its size.

#ifndef DC_REPORT_CHART_H
#define DC_REPORT_CHART_H

#include "report/drawing.h"

enum { DC_CHART_SERIES_MAX = 12 };

struct dc_series {
    const char *name;
    int paint;  // which of the series' paints and dashes; any number
    const double *x, *y;
    int count;
};

// Ascending steps of 1, 2, 2.5 or 5 times a power of ten that cover [low, high] with at most `most`
// intervals. Returns how many ticks there are, at most `most` + 1.
int dc_chart_ticks(double *ticks, double low, double high, int most);

// Lines over x. from_zero: the vertical axis begins at 0. y that is not finite is left out.
void dc_chart_lines(struct dc_drawing *d, const struct dc_series *series, int count,
                    const char *x_words, const char *y_words, bool from_zero);

// A row a name: a bar to `bar`, a tick at `tick` (not finite: none). Infinite bars are written as
// exact.
struct dc_bar {
    const char *name;
    double bar, tick;
};
void dc_chart_bars(struct dc_drawing *d, const struct dc_bar *bars, int count, const char *words);

// Counts of bins, on a logarithmic scale; bins outside [clip_first, clip_last] are what the grid
// cuts off, with marks at its ends labelled low and high.
void dc_chart_histogram(struct dc_drawing *d, const int64_t *counts, int bins, int clip_first,
                        int clip_last, const char *low, const char *high, const char *words);

// Memory over time: a box a value, from the step that writes it to the last that reads it, between
// its first byte and its last. An output may lie over an input of its step.
struct dc_span {
    const char *name;
    int first, last;
    double low, high;
};
void dc_chart_spans(struct dc_drawing *d, const struct dc_span *spans, int count);

// Dots over x; those that are marked are joined in the order of x.
struct dc_point {
    double x, y;
    bool marked;
};
// Sorts the points by x.
void dc_chart_points(struct dc_drawing *d, struct dc_point *points, int count, const char *x_words,
                     const char *y_words);

struct dc_reliability;
// Accuracy over confidence, with what a calibrated network would have.
void dc_chart_reliability(struct dc_drawing *d, const struct dc_reliability *reliability,
                          int paint);

// counts: [classes][classes], rows are what is, columns what was said; names: [classes] or NULL.
// Rows are shaded by their shares; the diagonal by another colour.
enum { DC_MATRIX_CLASSES_MAX = 20 };
void dc_chart_matrix(struct dc_drawing *d, const int64_t *counts, int classes,
                     const char *const *names, const char *row_words, const char *column_words);

#endif
