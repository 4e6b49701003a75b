// Owns the augmentations. Each is one function and one row of the table.
//
// Every function draws the same number of times whatever it draws, except rejection inside Beta;
// none allocates or fails. Row copies do the moving; only rotation computes per pixel.

#include "data/augment.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/math.h"

// out(y, x) = in(y + dy, x + dx), zero where that lies outside.
static void translate(float *out, const float *in, const struct dc_shape *shape, int64_t dy,
                      int64_t dx)
{
    const int64_t height = shape->dims[0], width = shape->dims[1], channels = shape->dims[2];
    const int64_t row = width * channels;
    const int64_t first = dx < 0 ? -dx : 0;
    const int64_t end = dx > 0 ? width - dx : width;
    for (int64_t y = 0; y < height; y++, out += row) {
        const int64_t from = y + dy;
        if (from < 0 || from >= height || first >= end) {
            memset(out, 0, (size_t)row * sizeof *out);
            continue;
        }
        memset(out, 0, (size_t)(first * channels) * sizeof *out);
        memcpy(out + first * channels, in + from * row + (first + dx) * channels,
               (size_t)((end - first) * channels) * sizeof *out);
        memset(out + end * channels, 0, (size_t)((width - end) * channels) * sizeof *out);
    }
}

// Cropping a zero-padded image to its old size is a shift with zero fill.
static void shift(float *out, const float *in, const struct dc_shape *shape, const double *values,
                  struct dc_random *random)
{
    const int64_t pixels = (int64_t)values[0];
    const uint32_t places = (uint32_t)(2 * pixels + 1);
    const int64_t dy = (int64_t)dc_random_below(random, places) - pixels;
    const int64_t dx = (int64_t)dc_random_below(random, places) - pixels;
    translate(out, in, shape, dy, dx);
}

static void flip(float *out, const float *in, const struct dc_shape *shape, const double *values,
                 struct dc_random *random)
{
    const int64_t height = shape->dims[0], width = shape->dims[1], channels = shape->dims[2];
    const int64_t row = width * channels;
    if (!((double)dc_random_unit(random) < values[0])) {
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

// Bilinear; the four neighbours of (y, x) that lie outside count as zero.
static void sample_at(float *out, const float *in, const struct dc_shape *shape, float y, float x)
{
    const int64_t height = shape->dims[0], width = shape->dims[1], channels = shape->dims[2];
    const float y0 = floorf(y), x0 = floorf(x);
    const float fy = y - y0, fx = x - x0;
    for (int64_t c = 0; c < channels; c++)
        out[c] = 0.0f;
    for (int corner = 0; corner < 4; corner++) {
        const int64_t row = (int64_t)y0 + corner / 2, column = (int64_t)x0 + corner % 2;
        if (row < 0 || row >= height || column < 0 || column >= width)
            continue;
        const float weight = (corner / 2 ? fy : 1.0f - fy) * (corner % 2 ? fx : 1.0f - fx);
        const float *from = in + (row * width + column) * channels;
        for (int64_t c = 0; c < channels; c++)
            out[c] += weight * from[c];
    }
}

static void rotate(float *out, const float *in, const struct dc_shape *shape, const double *values,
                   struct dc_random *random)
{
    const int64_t height = shape->dims[0], width = shape->dims[1], channels = shape->dims[2];
    const double degrees = (2.0 * (double)dc_random_unit(random) - 1.0) * values[0];
    const float cosine = (float)dc_cos_turns(degrees / 360.0);
    const float sine = (float)dc_sin_turns(degrees / 360.0);
    const float middle_y = (float)(height - 1) * 0.5f, middle_x = (float)(width - 1) * 0.5f;
    for (int64_t y = 0; y < height; y++) {
        for (int64_t x = 0; x < width; x++, out += channels) {
            const float dy = (float)y - middle_y, dx = (float)x - middle_x;
            sample_at(out, in, shape, middle_y + (cosine * dy + sine * dx),
                      middle_x + (cosine * dx - sine * dy));
        }
    }
}

static const struct dc_augmentation_kind kinds[] = {
    {.name = "pad_crop",
     .help = "pad all sides with zeros, then crop to the old size at a random place",
     .parameter_count = 1,
     .parameters = {{"pad", 4, 0, 1024, true, "pixels of padding on each side"}},
     .apply = shift},
    {.name = "flip",
     .help = "mirror left to right",
     .parameter_count = 1,
     .parameters = {{"probability", 0.5, 0, 1, false, "share of samples that are mirrored"}},
     .apply = flip},
    {.name = "shift",
     .help = "move by whole pixels on both axes, zeros where nothing is left",
     .parameter_count = 1,
     .parameters = {{"pixels", 2, 0, 1024, true, "largest move in each direction"}},
     .apply = shift},
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
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

const struct dc_augmentation_kind *const *dc_augmentations(void)
{
    static const struct dc_augmentation_kind *const all[] = {&kinds[0], &kinds[1], &kinds[2],
                                                             &kinds[3], &kinds[4], NULL};
    static_assert(sizeof all / sizeof all[0] == KINDS + 1, "one entry a kind");
    return all;
}

const struct dc_augmentation_kind *dc_augmentation_find(const char *name)
{
    for (int i = 0; i < KINDS; i++)
        if (!strcmp(kinds[i].name, name))
            return &kinds[i];
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
                                      const struct dc_shape *sample, struct dc_error *error)
{
    char text[DC_SHAPE_TEXT];
    for (int i = 0; i < count; i++) {
        const struct dc_augmentation_kind *kind = list[i].kind;
        if (kind->mixes && i + 1 < count)
            return dc_fail(error, DC_ERR_CONFIG, "augmentation '%s' must come last", kind->name);
        if (!kind->mixes && sample->rank != 3)
            return dc_fail(error, DC_ERR_CONFIG,
                           "augmentation '%s' needs images, but samples are %s", kind->name,
                           dc_shape_text(text, sample));
        for (int p = 0; p < kind->parameter_count; p++) {
            const struct dc_augmentation_parameter *parameter = &kind->parameters[p];
            const double value = list[i].values[p];
            if (!(value >= parameter->low && value <= parameter->high) ||
                (parameter->integer && value != rint(value)))
                return dc_fail(error, DC_ERR_CONFIG,
                               "augmentation '%s': %s must be %s from %g to %g, not %g", kind->name,
                               parameter->name, parameter->integer ? "a whole number" : "a number",
                               parameter->low, parameter->high, value);
        }
    }
    return DC_OK;
}

static void start_stream(struct dc_random *random, uint32_t seed, uint32_t epoch, uint64_t id,
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
        start_stream(&random, seed, epoch, id, i);
        list[i].kind->apply(scratch, in, shape, list[i].values, &random);
        sample = scratch;
        scratch = in;
    }
    return sample;
}

bool dc_augmentation_mix(int64_t *partner, float *lambda, const struct dc_augmentation *list,
                         int count, uint32_t seed, uint32_t epoch, uint64_t id, int64_t samples)
{
    struct dc_random random;
    if (count == 0 || !list[count - 1].kind->mixes)
        return false;
    assert(samples > 0 && samples <= UINT32_MAX);
    start_stream(&random, seed, epoch, id, count - 1);
    *partner = (int64_t)dc_random_below(&random, (uint32_t)samples);
    *lambda = (float)dc_random_beta(&random, list[count - 1].values[0]);
    return true;
}

// Gamma(shape >= 1). Accepts more than 95 of 100 tries.
static double gamma_from_one(struct dc_random *random, double shape)
{
    const double d = shape - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        const double x = dc_random_normal(random);
        const double root = 1.0 + c * x;
        const double u = ((double)dc_random_u32(random) + 1.0) * 0x1p-32;  // (0, 1]
        const double v = root * root * root;
        if (root > 0.0 && dc_ln(u) < 0.5 * x * x + d - d * v + d * dc_ln(v))
            return d * v;
    }
}

// Below 1: Gamma(a) = Gamma(a + 1) U^(1/a). U is at least 2^-32, so nothing underflows.
static double random_gamma(struct dc_random *random, double shape)
{
    if (shape >= 1.0)
        return gamma_from_one(random, shape);
    const double u = ((double)dc_random_u32(random) + 1.0) * 0x1p-32;
    return gamma_from_one(random, shape + 1.0) * dc_exp(dc_ln(u) / shape);
}

double dc_random_beta(struct dc_random *random, double alpha)
{
    const double a = random_gamma(random, alpha);
    const double b = random_gamma(random, alpha);
    return a / (a + b);
}
