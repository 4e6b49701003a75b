// Owns the augmentations. Each is one function and one row of the table.
//
// Every function draws the same number of times whatever it draws, except rejection inside Beta;
// none allocates or fails. Row copies do the moving; only rotation computes per pixel. Those of
// photographs are in augment_image.c.

#include "data/augment_kinds.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/math.h"

static void zero(float *out, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = 0.0f;
}

// out(y, x) = in(y + dy, x + dx), zero where that lies outside. Rows follow each other, so what is
// kept moves in one piece; then the columns that came around from the next row are zeroed.
static void translate(float *out, const float *in, const struct dc_shape *shape, int64_t dy,
                      int64_t dx)
{
    const int64_t height = shape->dims[0], width = shape->dims[1], channels = shape->dims[2];
    const int64_t row = width * channels;
    const int64_t top = dy < 0 ? -dy : 0, bottom = dy > 0 ? height - dy : height;
    const int64_t left = dx < 0 ? -dx : 0, right = dx > 0 ? width - dx : width;
    if (top >= bottom || left >= right) {
        zero(out, height * row);
        return;
    }
    zero(out, top * row);
    memcpy(out + top * row + left * channels, in + (top + dy) * row + (left + dx) * channels,
           (size_t)((bottom - top - 1) * row + (right - left) * channels) * sizeof *out);
    for (int64_t y = top; y < bottom; y++) {
        zero(out + y * row, left * channels);
        zero(out + y * row + right * channels, (width - right) * channels);
    }
    zero(out + bottom * row, (height - bottom) * row);
}

// Cropping a zero-padded image to its old size is a shift with zero fill. An outcome is a place,
// row by row.
static int64_t shift_places(const double *values)
{
    return 2 * (int64_t)values[0] + 1;
}

static int64_t shift_outcomes(const double *values)
{
    return shift_places(values) * shift_places(values);
}

static int64_t draw_shift(const double *values, struct dc_random *random)
{
    const int64_t places = shift_places(values);
    const int64_t y = dc_random_below(random, (uint32_t)places);
    return y * places + dc_random_below(random, (uint32_t)places);
}

static void shift(float *out, const float *in, const struct dc_shape *shape, const double *values,
                  int64_t outcome)
{
    const int64_t places = shift_places(values), pixels = (int64_t)values[0];
    translate(out, in, shape, outcome / places - pixels, outcome % places - pixels);
}

// Outcome 1 is the changed one. A probability of 0 or 1 leaves one outcome.
static int64_t chance_outcomes(const double *values)
{
    return values[0] > 0.0 && values[0] < 1.0 ? 2 : 1;
}

static int64_t draw_chance(const double *values, struct dc_random *random)
{
    const bool changed = (double)dc_random_unit(random) < values[0];
    return chance_outcomes(values) == 2 && changed;
}

static void flip(float *out, const float *in, const struct dc_shape *shape, const double *values,
                 int64_t outcome)
{
    const int64_t height = shape->dims[0], width = shape->dims[1], channels = shape->dims[2];
    const int64_t row = width * channels;
    if (outcome == 0 && values[0] < 1.0) {
        memcpy(out, in, (size_t)(height * row) * sizeof *out);
        return;
    }
    for (int64_t y = 0; y < height; y++, out += row, in += row) {
        const float *from = in + row - channels;
        float *to = out;
        for (int64_t x = 0; x < width; x++, to += channels, from -= channels)
            for (int64_t c = 0; c < channels; c++)
                to[c] = from[c];
    }
}

// A place in an image in units of 2^-32 pixels: whole pixels above, the fraction below.
struct place {
    int64_t y, x;
};

static float fraction(int64_t coordinate)
{
    return (float)(int32_t)((uint32_t)coordinate >> 8) * 0x1p-24f;
}

static float between(float a, float b, float share)
{
    return a + share * (b - a);
}

static float value_or_zero(const float *in, const struct dc_shape *shape, int64_t y, int64_t x,
                           int64_t c)
{
    const int64_t height = shape->dims[0], width = shape->dims[1], channels = shape->dims[2];
    return y < 0 || y >= height || x < 0 || x >= width ? 0.0f : in[(y * width + x) * channels + c];
}

// Bilinear, where a neighbour may lie outside and counts as zero.
static void sample_edge(float *out, const float *in, const struct dc_shape *shape,
                        struct place place)
{
    const int64_t y = place.y >> 32, x = place.x >> 32;
    for (int64_t c = 0; c < shape->dims[2]; c++) {
        const float above = between(value_or_zero(in, shape, y, x, c),
                                    value_or_zero(in, shape, y, x + 1, c), fraction(place.x));
        const float below = between(value_or_zero(in, shape, y + 1, x, c),
                                    value_or_zero(in, shape, y + 1, x + 1, c), fraction(place.x));
        out[c] = between(above, below, fraction(place.y));
    }
}

static bool is_inside(const struct dc_shape *shape, struct place place)
{
    const int64_t y = place.y >> 32, x = place.x >> 32;
    return y >= 0 && y + 1 < shape->dims[0] && x >= 0 && x + 1 < shape->dims[1];
}

static struct place ahead(struct place place, struct place step, int64_t count)
{
    return (struct place){place.y + count * step.y, place.x + count * step.x};
}

// `count` pixels all of whose neighbours are inside. Inlined with a constant number of channels.
static inline void sample_inside(float *out, const float *in, int64_t row, struct place place,
                                 struct place step, int64_t count, const int64_t channels)
{
    for (int64_t i = 0; i < count; i++, out += channels, place = ahead(place, step, 1)) {
        const float fy = fraction(place.y), fx = fraction(place.x);
        const float *from = in + (place.y >> 32) * row + (place.x >> 32) * channels;
        for (int64_t c = 0; c < channels; c++)
            out[c] = between(between(from[c], from[channels + c], fx),
                             between(from[row + c], from[row + channels + c], fx), fy);
    }
}

// One row of pixels, `step` apart. Those inside are neighbours, since a line meets the image once.
static void sample_row(float *out, const float *in, const struct dc_shape *shape,
                       struct place place, struct place step)
{
    const int64_t width = shape->dims[1], channels = shape->dims[2], row = width * channels;
    int64_t first = 0, end = width;
    for (; first < end && !is_inside(shape, ahead(place, step, first)); first++)
        sample_edge(out + first * channels, in, shape, ahead(place, step, first));
    for (; end > first && !is_inside(shape, ahead(place, step, end - 1)); end--)
        sample_edge(out + (end - 1) * channels, in, shape, ahead(place, step, end - 1));
    const struct place start = ahead(place, step, first);
    out += first * channels;
    if (channels == 1)
        sample_inside(out, in, row, start, step, end - first, 1);
    else if (channels == 3)
        sample_inside(out, in, row, start, step, end - first, 3);
    else
        sample_inside(out, in, row, start, step, end - first, channels);
}

// Places are linear in y and x, so fixed point steps through them without error.
static void rotate(float *out, const float *in, const struct dc_shape *shape, const double *values,
                   struct dc_random *random)
{
    const int64_t height = shape->dims[0], width = shape->dims[1], channels = shape->dims[2];
    const double degrees = (2.0 * (double)dc_random_unit(random) - 1.0) * values[0];
    const int64_t half = (int64_t)1 << 31;  // of a pixel
    const int64_t cosine = (int64_t)rint(dc_cos_turns(degrees / 360.0) * (double)half);
    const int64_t sine = (int64_t)rint(dc_sin_turns(degrees / 360.0) * (double)half);
    const struct place step = {2 * sine, 2 * cosine};
    for (int64_t y = 0; y < height; y++, out += width * channels) {
        const int64_t dy = 2 * y - (height - 1), dx = -(width - 1);  // from the middle, doubled
        const struct place first = {(height - 1) * half + cosine * dy + sine * dx,
                                    (width - 1) * half + cosine * dx - sine * dy};
        sample_row(out, in, shape, first, step);
    }
}

static int64_t one_outcome(const double *values)
{
    (void)values;
    return 1;
}

static int64_t draw_one(const double *values, struct dc_random *random)
{
    (void)values;
    (void)random;
    return 0;
}

#define SHIFT_OUTCOMES .outcomes = shift_outcomes, .draw = draw_shift, .apply_outcome = shift

const struct dc_augmentation_kind dc_augmentation_kinds[] = {
    {.name = "pad_crop",
     .help = "pad all sides with zeros, then crop to the old size at a random place",
     .parameter_count = 1,
     .parameters = {{"pad", 4, 0, 1024, true, "pixels of padding on each side"}},
     SHIFT_OUTCOMES},
    {.name = "flip",
     .help = "mirror left to right",
     .parameter_count = 1,
     .parameters = {{"probability", 0.5, 0, 1, false, "share of samples that are mirrored"}},
     .outcomes = chance_outcomes,
     .draw = draw_chance,
     .apply_outcome = flip},
    {.name = "shift",
     .help = "move by whole pixels on both axes, zeros where nothing is left",
     .parameter_count = 1,
     .parameters = {{"pixels", 2, 0, 1024, true, "largest move in each direction"}},
     SHIFT_OUTCOMES},
    {.name = "rotate",
     .help = "turn about the middle, bilinear, zeros from outside",
     .parameter_count = 1,
     .parameters = {{"degrees", 10, 0, 180, false, "largest angle in each direction"}},
     .apply = rotate},
    {.name = "mixup",
     .help = "blend with another training sample, targets too; comes last",
     .parameter_count = 1,
     .parameters = {{"alpha", 0.2, 0.05, 100, false, "the share is drawn from Beta(alpha, alpha)"}},
     .mixes = true},
    {.name = "cutmix",
     .help = "paste a rectangle of another training sample, targets by area; comes last",
     .parameter_count = 1,
     .parameters = {{"alpha", 1, 0.05, 100, false, "the share is drawn from Beta(alpha, alpha)"}},
     .mixes = true,
     .pastes = true},
    {.name = "random_resized_crop",
     .help = "a box of random area, ratio and place, resized to the image, bilinear",
     .parameter_count = 4,
     .parameters = {{"scale_min", 0.08, 0.001, 1, false, "least share of the area"},
                    {"scale_max", 1, 0.001, 1, false, "largest share of the area"},
                    {"ratio_min", 0.75, 0.01, 100, false, "least width over height"},
                    {"ratio_max", 4.0 / 3.0, 0.01, 100, false, "largest width over height"}},
     .apply = dc__random_resized_crop},
    {.name = "centre_crop",
     .help = "the middle of the image, resized to it, bilinear",
     .parameter_count = 1,
     .parameters = {{"share", 0.875, 0.01, 1, false, "of both sides that is kept"}},
     .outcomes = one_outcome,
     .draw = draw_one,
     .apply_outcome = dc__centre_crop},
    {.name = "cutout",
     .help = "zeros in a square around a random pixel",
     .parameter_count = 1,
     .parameters = {{"size", 16, 0, 1024, true, "side of the square in pixels"}},
     .apply = dc__cutout},
    {.name = "colour_jitter",
     .help = "random brightness, contrast, saturation and hue, in random order",
     .parameter_count = 4,
     .parameters = {{"brightness", 0.4, 0, 10, false, "factor is 1 and up to so much less or more"},
                    {"contrast", 0.4, 0, 10, false, "the same, against the mean grey"},
                    {"saturation", 0.4, 0, 10, false, "the same, against each pixel's grey"},
                    {"hue", 0, 0, 0.5, false, "largest turn of the hue, of a whole one"}},
     .colour = 1u << 2 | 1u << 3,
     .bytes = true,
     .apply = dc__colour_jitter},
    {.name = "greyscale",
     .help = "all three channels become the pixel's grey",
     .parameter_count = 1,
     .parameters = {{"probability", 0.1, 0, 1, false, "share of samples without colours"}},
     .colour = 1u << 0,
     .outcomes = chance_outcomes,
     .draw = draw_chance,
     .apply_outcome = dc__greyscale},
    {.name = NULL},
};

const struct dc_augmentation_kind *dc_augmentation_find(const char *name)
{
    for (const struct dc_augmentation_kind *kind = dc_augmentation_kinds; kind->name; kind++)
        if (!strcmp(kind->name, name))
            return kind;
    return NULL;
}

struct dc_augmentation dc_augmentation_default(const struct dc_augmentation_kind *kind)
{
    struct dc_augmentation augmentation = {.kind = kind};
    for (int i = 0; i < kind->parameter_count; i++)
        augmentation.values[i] = kind->parameters[i].value;
    return augmentation;
}

enum dc_status dc_augmentations_check(const struct dc_augmentation *list, int count,
                                      const struct dc_shape *sample, enum dc_dtype dtype,
                                      struct dc_error *error)
{
    char text[DC_SHAPE_TEXT];
    for (int i = 0; i < count; i++) {
        const struct dc_augmentation_kind *kind = list[i].kind;
        if (kind->mixes && i + 1 < count)
            return dc_fail(error, DC_ERR_CONFIG, "augmentation '%s' must come last", kind->name);
        if ((!kind->mixes || kind->pastes) && sample->rank != 3)
            return dc_fail(error, DC_ERR_CONFIG,
                           "augmentation '%s' needs images, but samples are %s", kind->name,
                           dc_shape_text(text, sample));
        if (kind->bytes && dtype != DC_U8)
            return dc_fail(error, DC_ERR_CONFIG,
                           "augmentation '%s' needs bytes, but samples are floats", kind->name);
        for (int p = 0; p < kind->parameter_count; p++) {
            const struct dc_augmentation_parameter *parameter = &kind->parameters[p];
            const double value = list[i].values[p];
            if (!(value >= parameter->low && value <= parameter->high) ||
                (parameter->integer && value != rint(value)))
                return dc_fail(error, DC_ERR_CONFIG,
                               "augmentation '%s': %s must be %s from %g to %g, not %g", kind->name,
                               parameter->name, parameter->integer ? "a whole number" : "a number",
                               parameter->low, parameter->high, value);
            if ((kind->colour >> p & 1u) && value > 0.0 && sample->dims[2] != 3)
                return dc_fail(error, DC_ERR_CONFIG,
                               "augmentation '%s': %s needs three channels, but samples are %s",
                               kind->name, parameter->name, dc_shape_text(text, sample));
            if (p > 0 && strstr(parameter->name, "_max") && value < list[i].values[p - 1])
                return dc_fail(error, DC_ERR_CONFIG, "augmentation '%s': %s is below %s",
                               kind->name, parameter->name, kind->parameters[p - 1].name);
        }
    }
    return DC_OK;
}

void dc__augment_stream(struct dc_random *random, uint32_t seed, uint32_t epoch, uint64_t id,
                        int position)
{
    dc_random_start(random, seed, DC_PURPOSE_AUGMENT, epoch, id);
    random->counter[0] = (uint32_t)position << 16;
}

float *dc_augmentation_view(float *sample, float *scratch, const struct dc_shape *shape,
                            const struct dc_augmentation *list, int count, uint32_t seed,
                            uint32_t epoch, uint64_t id)
{
    for (int i = 0; i < count; i++) {
        struct dc_random random;
        float *in = sample;
        if (list[i].kind->mixes)
            continue;
        dc__augment_stream(&random, seed, epoch, id, i);
        if (list[i].kind->apply)
            list[i].kind->apply(scratch, in, shape, list[i].values, &random);
        else
            list[i].kind->apply_outcome(scratch, in, shape, list[i].values,
                                        list[i].kind->draw(list[i].values, &random));
        sample = scratch;
        scratch = in;
    }
    return sample;
}

int64_t dc_augmentation_outcomes(const struct dc_augmentation *list, int count)
{
    const int64_t limit = 1 << 20;
    int64_t product = 1;
    for (int i = 0; i < count; i++) {
        const int64_t outcomes = list[i].kind->outcomes ? list[i].kind->outcomes(list[i].values)
                                                        : 0;
        if (outcomes == 0 || outcomes > limit / product)
            return 0;
        product *= outcomes;
    }
    return product;
}

// The number's digits, the last augmentation's first.
float *dc_augmentation_outcome(float *sample, float *scratch, const struct dc_shape *shape,
                               const struct dc_augmentation *list, int count, int64_t outcome)
{
    int64_t after = dc_augmentation_outcomes(list, count);
    for (int i = 0; i < count; i++) {
        float *in = sample;
        after /= list[i].kind->outcomes(list[i].values);
        assert(after > 0);
        list[i].kind->apply_outcome(scratch, in, shape, list[i].values, outcome / after);
        outcome %= after;
        sample = scratch;
        scratch = in;
    }
    return sample;
}

int64_t dc_augmentation_drawn(const struct dc_augmentation *list, int count, uint32_t seed,
                              uint32_t epoch, uint64_t id)
{
    int64_t outcome = 0;
    for (int i = 0; i < count; i++) {
        struct dc_random random;
        dc__augment_stream(&random, seed, epoch, id, i);
        outcome = outcome * list[i].kind->outcomes(list[i].values) +
                  list[i].kind->draw(list[i].values, &random);
    }
    return outcome;
}
