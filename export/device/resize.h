#pragma once

#include "export/device/layer.h"

#include "export/device/resize_weight.h"

enum { RESIZE_STRETCH, RESIZE_CROP, RESIZE_PAD };

/* length * numerator / denominator to the nearest integer, 1 at least. */
static int resize_share(int length, int numerator, int denominator)
{
    const int64_t twice = 2 * (int64_t)length * numerator;
    const int64_t share = (twice + denominator) / (2 * (int64_t)denominator);
    return share < 1 ? 1 : (int)share;
}

/* The largest part of *height x *width with the shape of like_h x like_w. */
static void resize_part(int *height, int *width, int like_h, int like_w)
{
    if ((int64_t)*width * like_h > (int64_t)*height * like_w)
        *width = resize_share(*height, like_w, like_h);
    else
        *height = resize_share(*width, like_h, like_w);
}

/* The pixels that weigh anything in output i: *count from *first on. Returns the sum of their
 * weights. */
static int64_t resize_reach(int *first, int *count, int i, int to, int from)
{
    int64_t sum, weight;
    int j = resize_first(i, to, from);
    while ((sum = resize_weight(i, j, to, from)) == 0)
        j++;
    *first = j++;
    for (; j < from && (weight = resize_weight(i, j, to, from)) != 0; j++)
        sum += weight;
    *count = j - *first;
    return sum;
}

/* The share of pixel j in output i, of 2^22. */
static int32_t resize_factor(int i, int j, int to, int from, int64_t sum)
{
    return (int32_t)((resize_weight(i, j, to, from) * 8388608 + sum) / (2 * sum));
}

static int32_t resize_byte(int32_t sum)
{
    return sum >= 255 * 4194304 ? 255 : sum / 4194304;
}

/* Adds a row of pixels, brought to `out_w` pixels, times `factor`. columns: for each output pixel
   how many coefficients it has and the first pixel, then all coefficients. */
static void resize_row(int32_t *sums, const uint8_t *row, const int32_t *columns, int32_t factor,
                       int out_w, int channels)
{
    const int32_t *factors = columns + 2 * out_w;
    int x, c, n;
    for (x = 0; x < out_w; x++) {
        const int count = (int)columns[2 * x];
        const uint8_t *pixels = row + (int64_t)columns[2 * x + 1] * channels;
        for (c = 0; c < channels; c++) {
            int32_t sum = 2097152;
            for (n = 0; n < count; n++)
                sum += factors[n] * pixels[n * channels + c];
            sums[x * channels + c] += resize_byte(sum) * factor;
        }
        factors += count;
    }
}

/* The part of an image at `image`, whose rows are `pitch` bytes apart, to out_h x out_w pixels. */
static void resize_plane(uint8_t *out, int out_pitch, int out_h, int out_w, const uint8_t *image,
                         int64_t pitch, int height, int width, int channels, int32_t *scratch)
{
    int32_t *sums = scratch, *columns = scratch + out_w * channels, *factors = columns + 2 * out_w;
    int64_t sum;
    int x, y, n, first, count;
    for (x = 0; x < out_w; x++) {
        sum = resize_reach(&first, &count, x, out_w, width);
        columns[2 * x] = count;
        columns[2 * x + 1] = first;
        for (n = 0; n < count; n++)
            *factors++ = resize_factor(x, first + n, out_w, width, sum);
    }
    for (y = 0; y < out_h; y++) {
        for (n = 0; n < out_w * channels; n++)
            sums[n] = 2097152;
        sum = resize_reach(&first, &count, y, out_h, height);
        for (n = first; n < first + count; n++)
            resize_row(sums, image + pitch * n, columns, resize_factor(y, n, out_h, height, sum),
                       out_w, channels);
        for (n = 0; n < out_w * channels; n++)
            out[n] = (uint8_t)resize_byte(sums[n]);
        out += out_pitch;
    }
}

/* scratch: channels * out_w + 4 * out_w + 2 * width numbers. 0: done; 1: a side is not 1 to 65535.
 */
static int resize(uint8_t *out, int out_h, int out_w, const uint8_t *image, int height, int width,
                  int channels, int fit, int32_t *scratch)
{
    const int64_t pitch = (int64_t)width * channels;
    int to_h = out_h, to_w = out_w, from_h = height, from_w = width;
    int32_t i;
    if (height < 1 || height > 65535 || width < 1 || width > 65535)
        return 1;
    if (fit == RESIZE_CROP)
        resize_part(&from_h, &from_w, out_h, out_w);
    if (fit == RESIZE_PAD)
        resize_part(&to_h, &to_w, height, width);
    image += pitch * ((height - from_h) / 2) + (int64_t)((width - from_w) / 2) * channels;
    for (i = 0; i < (int32_t)out_h * out_w * channels; i++)
        out[i] = 0;
    out += ((int32_t)((out_h - to_h) / 2) * out_w + (out_w - to_w) / 2) * channels;
    resize_plane(out, out_w * channels, to_h, to_w, image, pitch, from_h, from_w, channels,
                 scratch);
    return 0;
}
