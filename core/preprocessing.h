// What is done to a photograph before a network reads it, as numbers and as text.
//
// One place for the rule of resizing and of normalization: data/ carries it out, the experiment,
// the bundle's manifest and the exported C state it. The arithmetic is of integers, so that any
// machine repeats it bit for bit.
//
// Resizing an axis from F pixels to T. Output i is a weighted sum of pixels j with weights n:
//   bilinear  n = max(0, 2 M - |(2 j + 1) T - (2 i + 1) F|), M = max(F, T)
//   area      n = max(0, min((j + 1) T, (i + 1) F) - max(j T, i F))
//   nearest   n = 1 of j = floor((2 i + 1) F / (2 T)), 0 of the others
// Bilinear is a triangle as wide as two output pixels where it shrinks (antialiased), area the
// share that a pixel covers. With S the sum of all n, coefficients are k = floor((2^23 n + S) / (2
// S)), and the value is min(255, (2^21 + sum k p) >> 22). The rows of the image first, then the
// columns, 8 bits between. This is Pillow's BILINEAR in every bit; area is its BOX where F is a
// multiple of T; nearest is its NEAREST.
//
// Fitting: stretch takes the whole image. crop takes its largest part of the output's shape, pad
// puts the whole image into the largest part of the output that has its shape; what is left is 0.
// The largest part, of the shape a x b, of h x w: where w a > h b it is h high and max(1, floor((2
// h b + a) / (2 a))) wide, else w wide and max(1, floor((2 w a + b) / (2 b))) high; it is centred,
// the odd pixel below or to the right of it.

#ifndef DC_CORE_PREPROCESSING_H
#define DC_CORE_PREPROCESSING_H

#include <stdbool.h>
#include <stdint.h>

enum dc_resize_method { DC_RESIZE_BILINEAR, DC_RESIZE_AREA, DC_RESIZE_NEAREST, DC_RESIZE_METHODS };
enum dc_resize_fit { DC_FIT_STRETCH, DC_FIT_CROP, DC_FIT_PAD, DC_RESIZE_FITS };

enum { DC_RESIZE_BITS = 22, DC_RESIZE_SIDE_MAX = 65535 };

struct dc_resize {
    int height, width;  // of the output; 0: no resizing
    int method, fit;
};

// NULL behind the last; a place in the list is the enum's value.
extern const char *const dc_resize_methods[];
extern const char *const dc_resize_fits[];

bool dc_resize_equal(const struct dc_resize *a, const struct dc_resize *b);

// A rectangle of an image.
struct dc_part {
    int top, left, height, width;
};

// What is read of an image of height x width, and where its pixels go in the output.
void dc_resize_parts(struct dc_part *from, struct dc_part *to, const struct dc_resize *resize,
                     int height, int width);

#define DC_RESIZE_ARITHMETIC                                                                       \
    "S = sum of n, k = floor((2^23 n + S) / (2 S)), value = min(255, (2^21 + sum of k p) >> 22); " \
    "rows first, then columns, 8 bits between"

// One sentence of a method's and a fit's rule, for records that people read.
const char *dc_resize_method_rule(int method);
const char *dc_resize_fit_rule(int fit);

// What is known of a sample, and said by a network: its class; numbers; or which of several things
// it shows.
enum dc_label_kind { DC_LABELS_CLASSES, DC_LABELS_VALUES, DC_LABELS_TAGS, DC_LABEL_KINDS };
extern const char *const dc_label_kinds[];  // "classes", "values", "tags", NULL

enum { DC_NORMALIZATION_CHANNELS = 64 };

struct dc_normalization {
    int channels;  // 1: the same for all values; else the sample's last dimension
    float mean[DC_NORMALIZATION_CHANNELS];
    float deviation[DC_NORMALIZATION_CHANNELS];  // above 0
};

// All that comes between the bytes of a sample and a network's input.
struct dc_preprocessing {
    // The network reads bytes, normalized one by one; else the rest, but for labels, says nothing.
    bool bytes;
    struct dc_normalization normalization;  // of x / 255
    struct dc_resize resize;                // of photographs of other sizes; height 0: none
    int classes;                            // 0: the outputs have no names
    const char *const *class_names;         // [classes]
    enum dc_label_kind labels;              // what the outputs are
};

// NULL, or what cannot be in it for a network of this input and so many outputs.
const char *dc_preprocessing_fault(const struct dc_preprocessing *p, int height, int width,
                                   int channels, int outputs);

// y = x * scale + shift is (x / unit - mean) / std, computed in float32, multiply then add; both
// are rounded once from double. unit: 255 of uint8 values, 1 of floats.
void dc_normalization_factors(float *scale, float *shift, float mean, float std, double unit);

#endif
