// Owns the names, the geometry and the texts of preprocessing.h; no pixel is touched here.

#include "core/preprocessing.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

const char *const dc_resize_methods[] = {"bilinear", "area", "nearest", NULL};
const char *const dc_resize_fits[] = {"stretch", "crop", "pad", NULL};
const char *const dc_label_kinds[] = {"classes", "values", "tags", NULL};
static_assert(sizeof dc_label_kinds / sizeof *dc_label_kinds == DC_LABEL_KINDS + 1,
              "a name for each kind");
static_assert(sizeof dc_resize_methods / sizeof *dc_resize_methods == DC_RESIZE_METHODS + 1,
              "a name for each method");
static_assert(sizeof dc_resize_fits / sizeof *dc_resize_fits == DC_RESIZE_FITS + 1,
              "a name for each fit");

bool dc_resize_equal(const struct dc_resize *a, const struct dc_resize *b)
{
    return a->height == b->height && a->width == b->width && a->method == b->method &&
           a->fit == b->fit;
}

static int rounded_share(int64_t length, int64_t numerator, int64_t denominator)
{
    const int64_t share = (2 * length * numerator + denominator) / (2 * denominator);
    return share < 1 ? 1 : (int)share;
}

// The largest part of `height` x `width` with the shape of `like_height` x `like_width`, centred.
static struct dc_part largest_part(int height, int width, int like_height, int like_width)
{
    struct dc_part part = {.height = height, .width = width};
    if ((int64_t)width * like_height > (int64_t)height * like_width)
        part.width = rounded_share(height, like_width, like_height);
    else
        part.height = rounded_share(width, like_height, like_width);
    part.top = (height - part.height) / 2;
    part.left = (width - part.width) / 2;
    return part;
}

void dc_resize_parts(struct dc_part *from, struct dc_part *to, const struct dc_resize *resize,
                     int height, int width)
{
    *from = (struct dc_part){.height = height, .width = width};
    *to = (struct dc_part){.height = resize->height, .width = resize->width};
    if (resize->fit == DC_FIT_CROP)
        *from = largest_part(height, width, resize->height, resize->width);
    else if (resize->fit == DC_FIT_PAD)
        *to = largest_part(resize->height, resize->width, height, width);
}

const char *dc_resize_method_rule(int method)
{
    static const char *const rules[DC_RESIZE_METHODS] = {
        [DC_RESIZE_BILINEAR] = ("output i of T from F pixels: pixel j weighs n = max(0, 2 M - "
                                "|(2 j + 1) T - (2 i + 1) F|), M = max(F, T)"),
        [DC_RESIZE_AREA] = ("output i of T from F pixels: pixel j weighs n = max(0, min((j + 1) T, "
                            "(i + 1) F) - max(j T, i F))"),
        [DC_RESIZE_NEAREST] = "output i of T from F pixels is pixel floor((2 i + 1) F / (2 T))",
    };
    return rules[method];
}

const char *dc_resize_fit_rule(int fit)
{
    static const char *const rules[DC_RESIZE_FITS] = {
        [DC_FIT_STRETCH] = "the whole image is read",
        [DC_FIT_CROP] = "the largest centred part of the output's shape is read",
        [DC_FIT_PAD] = ("the whole image is put into the largest centred part of the output that "
                        "has its shape; what is left is 0"),
    };
    return rules[fit];
}

const char *dc_preprocessing_fault(const struct dc_preprocessing *p, int height, int width,
                                   int channels, int outputs)
{
    const struct dc_normalization *n = &p->normalization;
    const struct dc_resize *r = &p->resize;
    if (!p->bytes)
        return NULL;
    if (n->channels != 1 && (n->channels != channels || channels > DC_NORMALIZATION_CHANNELS))
        return "a normalization of other channels than the input's";
    for (int c = 0; c < n->channels; c++)
        if (!isfinite(n->mean[c]) || !isfinite(n->deviation[c]) || !(n->deviation[c] > 0.0f))
            return "a mean or a deviation that is no number, or a deviation not above 0";
    if (r->height != 0 && (r->height != height || r->width != width || channels > 3))
        return "a resize to another size than the input's";
    if (r->method < 0 || r->method >= DC_RESIZE_METHODS || r->fit < 0 || r->fit >= DC_RESIZE_FITS)
        return "an unknown method or fit of resizing";
    return p->classes != 0 && p->classes != outputs ? "other class names than outputs" : NULL;
}

void dc_normalization_factors(float *scale, float *shift, float mean, float std, double unit)
{
    *scale = (float)(1.0 / (unit * (double)std));
    *shift = (float)(-(double)mean / (double)std);
}
