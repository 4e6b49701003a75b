// Views: what one network reads of an augmented sample.
//
// A student and its teachers see the same crop of the same image, each at its own size and with its
// own normalization. A view is made of the sample as augmentation leaves it, in raw units: resized,
// then normalized. Pixel centres are at halves. An image that grows is bilinear with its edges
// repeated; one that shrinks in height or width is smoothed: along that axis a pixel is the mean of
// those within one output pixel of its place, weighed by a triangle (PyTorch's interpolate with
// antialias; Pillow's BILINEAR without its rounding).

#ifndef DC_DATA_VIEW_H
#define DC_DATA_VIEW_H

#include "core/arena.h"
#include "data/normalize.h"

struct dc_view {
    struct dc_normalization normalization;
    struct dc_shape sample;  // of an image of another size, or one that fits the source
};

bool dc_view_equal(const struct dc_view *a, const struct dc_view *b);

// Does a network of samples `to` read those of the data as they lie? The same shape does, and
// [20, 3] reads [20, 3, 1], which is what sources make of two axes.
bool dc_sample_fits(const struct dc_shape *to, const struct dc_shape *data);

// Only images change their size, and none its channels; else DC_ERR_CONFIG.
DC_MUST_USE enum dc_status dc_view_check(const struct dc_view *view, const struct dc_source *source,
                                         struct dc_error *error);

// What an output pixel reads along one axis: `count` pixels from `first` on.
struct dc_taps {
    int64_t first, count;
    float *weights;  // of sum 1
};

// A view prepared for one source.
struct dc_view_maker {
    struct dc_shape from, to;
    int64_t values, row;             // of a view, and of what scale and shift cover
    float *scale, *shift;            // [row] normalization, expanded to one row of an image
    struct dc_taps *rows, *columns;  // [height], [width] of an image that shrinks; else NULL
};
DC_MUST_USE enum dc_status dc_view_maker_create(struct dc_view_maker *maker,
                                                const struct dc_view *view,
                                                const struct dc_source *source,
                                                struct dc_arena *arena, struct dc_error *error);

// out: [maker->values]; sample: raw, of the source's shape. They do not overlap.
void dc_view_make(float *out, const float *sample, const struct dc_view_maker *maker);

#endif
