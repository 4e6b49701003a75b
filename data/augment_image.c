// Owns the augmentations of photographs: resized crops, cutout and colours.
//
// Places and colours are computed in double without libm, so that a view has the same bits on every
// machine. Definitions are torchvision's of 0.14 (antialiasing off) but where said.

#include <math.h>
#include <string.h>

#include "core/math.h"
#include "data/augment_kinds.h"

struct box {
    int64_t top, left, height, width;
};

static double unit(struct dc_random *random)
{
    return (double)dc_random_u32(random) * 0x1p-32;
}

// Where the centre of output pixel i lies along one axis of a box: between pixels low and high.
struct between {
    int64_t low, high;
    float share;  // of high
};

static struct between between_of(int64_t i, int64_t out, int64_t start, int64_t size)
{
    const double at = ((double)i + 0.5) * (double)size / (double)out - 0.5;
    const double inside = at < 0.0 ? 0.0 : at;
    const int64_t low = (int64_t)inside;
    const int64_t high = low + 1 < size ? low + 1 : size - 1;
    return (struct between){start + low, start + high, (float)(inside - (double)low)};
}

static float mix(float a, float b, float share)
{
    return a + share * (b - a);
}

// The box, bilinear to the whole image; beyond its edge is its edge.
static void resize(float *out, const float *in, const struct dc_shape *shape, struct box box)
{
    const int64_t height = shape->dims[0], width = shape->dims[1], channels = shape->dims[2];
    for (int64_t y = 0; y < height; y++) {
        const struct between v = between_of(y, height, box.top, box.height);
        for (int64_t x = 0; x < width; x++) {
            const struct between h = between_of(x, width, box.left, box.width);
            for (int64_t c = 0; c < channels; c++) {
                const float *p = in + c, *above = p + v.low * width * channels,
                            *below = p + v.high * width * channels;
                *out++ = mix(mix(above[h.low * channels], above[h.high * channels], h.share),
                             mix(below[h.low * channels], below[h.high * channels], h.share),
                             v.share);
            }
        }
    }
}

// Up to ten tries at an area and a ratio whose box fits; else the largest box in the middle whose
// ratio is allowed. All numbers are drawn, whichever is used.
void dc__random_resized_crop(float *out, const float *in, const struct dc_shape *shape,
                             const double *values, struct dc_random *random)
{
    const int64_t height = shape->dims[0], width = shape->dims[1];
    const double low = dc_ln(values[2]), high = dc_ln(values[3]);
    const double own = (double)width / (double)height;
    const double ratio = own < values[2] ? values[2] : own > values[3] ? values[3] : own;
    struct box box = {.height = height, .width = width};
    if (own < ratio)
        box.height = (int64_t)rint((double)width / ratio);
    else if (own > ratio)
        box.width = (int64_t)rint((double)height * ratio);
    box.top = (height - box.height) / 2;
    box.left = (width - box.width) / 2;
    bool found = false;
    for (int i = 0; i < 10; i++) {
        const double share = values[0] + (values[1] - values[0]) * unit(random);
        const double area = share * (double)(height * width);
        const double shape_ratio = dc_exp(low + (high - low) * unit(random));
        const int64_t w = (int64_t)rint(sqrt(area * shape_ratio));
        const int64_t h = (int64_t)rint(sqrt(area / shape_ratio));
        const double y = unit(random), x = unit(random);
        if (found || w < 1 || w > width || h < 1 || h > height)
            continue;
        found = true;
        box = (struct box){(int64_t)(y * (double)(height - h + 1)),
                           (int64_t)(x * (double)(width - w + 1)), h, w};
    }
    resize(out, in, shape, box);
}

void dc__centre_crop(float *out, const float *in, const struct dc_shape *shape,
                     const double *values, int64_t outcome)
{
    (void)outcome;
    struct box box = {.height = (int64_t)rint(values[0] * (double)shape->dims[0]),
                      .width = (int64_t)rint(values[0] * (double)shape->dims[1])};
    box.height = box.height < 1 ? 1 : box.height;
    box.width = box.width < 1 ? 1 : box.width;
    box.top = (shape->dims[0] - box.height) / 2;
    box.left = (shape->dims[1] - box.width) / 2;
    resize(out, in, shape, box);
}

// DeVries and Taylor, arXiv:1708.04552: the centre is any pixel, so a part may lie outside.
void dc__cutout(float *out, const float *in, const struct dc_shape *shape, const double *values,
                struct dc_random *random)
{
    const int64_t height = shape->dims[0], width = shape->dims[1], channels = shape->dims[2];
    const int64_t size = (int64_t)values[0];
    const int64_t top = (int64_t)dc_random_below(random, (uint32_t)height) - size / 2;
    const int64_t left = (int64_t)dc_random_below(random, (uint32_t)width) - size / 2;
    memcpy(out, in, (size_t)(height * width * channels) * sizeof *out);
    for (int64_t y = top < 0 ? 0 : top; y < top + size && y < height; y++)
        for (int64_t x = left < 0 ? 0 : left; x < left + size && x < width; x++)
            for (int64_t c = 0; c < channels; c++)
                out[(y * width + x) * channels + c] = 0.0f;
}

// ---- colours, of values in [0, 255] ----

static float clamp(double x)
{
    return (float)(x < 0.0 ? 0.0 : x > 255.0 ? 255.0 : x);
}

// Luma of ITU-R BT.601, with torchvision's four digits.
static double grey_of(const float *p, int64_t channels)
{
    return channels == 3 ? 0.2989 * (double)p[0] + 0.587 * (double)p[1] + 0.114 * (double)p[2]
                         : (double)p[0];
}

void dc__greyscale(float *out, const float *in, const struct dc_shape *shape, const double *values,
                   int64_t outcome)
{
    const int64_t channels = shape->dims[2], count = shape->dims[0] * shape->dims[1] * channels;
    const bool grey = outcome == 1 || values[0] >= 1.0;
    for (int64_t i = 0; i < count; i++)
        out[i] = grey ? (float)grey_of(in + i / channels * channels, channels) : in[i];
}

// factor of the image, the rest of one value for all, or of each pixel's grey
static void blend_with(float *image, int64_t pixels, int64_t channels, double factor,
                       const double *value)
{
    for (int64_t i = 0; i < pixels; i++) {
        float *p = image + i * channels;
        const double other = value ? *value : grey_of(p, channels);
        for (int64_t c = 0; c < channels; c++)
            p[c] = clamp(factor * (double)p[c] + (1.0 - factor) * other);
    }
}

// Hue, saturation and value of a pixel, hue turned by `turns`, and back.
static void turn_hue(float *p, double turns)
{
    const double r = (double)p[0], g = (double)p[1], b = (double)p[2];
    const double most = r > g ? (r > b ? r : b) : (g > b ? g : b);
    const double least = r < g ? (r < b ? r : b) : (g < b ? g : b);
    const double range = most - least;
    if (!(range > 0.0))
        return;  // grey has no hue
    double hue = most == r   ? (g - b) / range
                 : most == g ? 2.0 + (b - r) / range
                             : 4.0 + (r - g) / range;
    hue += 6.0 * turns;
    hue -= 6.0 * floor(hue / 6.0);
    for (int c = 0; c < 3; c++) {
        // each channel is a trapezoid of the hue: full within one sixth of its own, none beyond two
        double apart = fabs(hue - 2.0 * c);
        apart = apart > 3.0 ? 6.0 - apart : apart;
        const double height = 2.0 - apart;
        p[c] = clamp(least + range * (height < 0.0 ? 0.0 : height > 1.0 ? 1.0 : height));
    }
}

// A factor in [1 - strength, 1 + strength], not below 0.
static double factor_of(struct dc_random *random, double strength)
{
    const double low = 1.0 - strength < 0.0 ? 0.0 : 1.0 - strength;
    return low + (1.0 + strength - low) * unit(random);
}

// Brightness, contrast, saturation, hue, in an order that is drawn first.
void dc__colour_jitter(float *out, const float *in, const struct dc_shape *shape,
                       const double *values, struct dc_random *random)
{
    const int64_t pixels = shape->dims[0] * shape->dims[1], channels = shape->dims[2];
    int order[4] = {0, 1, 2, 3};
    for (int i = 3; i > 0; i--) {
        const int k = (int)dc_random_below(random, (uint32_t)i + 1), kept = order[i];
        order[i] = order[k];
        order[k] = kept;
    }
    double factors[4];
    for (int i = 0; i < 3; i++)
        factors[i] = factor_of(random, values[i]);
    factors[3] = values[3] * (2.0 * unit(random) - 1.0);
    memcpy(out, in, (size_t)(pixels * channels) * sizeof *out);
    for (int k = 0; k < 4; k++) {
        const double black = 0.0;
        double mean = 0.0;
        switch (order[k]) {
        case 0:
            blend_with(out, pixels, channels, factors[0], &black);
            break;
        case 1:
            for (int64_t i = 0; i < pixels; i++)
                mean += grey_of(out + i * channels, channels) / (double)pixels;
            blend_with(out, pixels, channels, factors[1], &mean);
            break;
        case 2:
            blend_with(out, pixels, channels, channels == 3 ? factors[2] : 1.0, NULL);
            break;
        default:
            for (int64_t i = 0; i < pixels && channels == 3 && factors[3] != 0.0; i++)
                turn_hue(out + i * channels, factors[3]);
        }
    }
}
