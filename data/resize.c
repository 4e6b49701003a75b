// Owns resizing photographs, by the rule of core/preprocessing.h. The exported C has its own
// (export/device/resize.h), written from the same rule: tests hold the two to each other and to
// Pillow.

#include <assert.h>

#include "core/bounds.h"
#include "data/image.h"

enum { HALF = 1 << (DC_RESIZE_BITS - 1) };

// The pixels that one output place reads, and their coefficients.
struct taps {
    int first, count;
    int32_t *factors;  // [count]
};

static int64_t largest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t smallest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// How much pixel j of `from` weighs in output i of `to`.
static int64_t weight(int method, int64_t i, int64_t j, int64_t to, int64_t from)
{
    if (method == DC_RESIZE_NEAREST)
        return j == (2 * i + 1) * from / (2 * to);
    if (method == DC_RESIZE_AREA)
        return largest(0, smallest((j + 1) * to, (i + 1) * from) - largest(j * to, i * from));
    const int64_t away = (2 * j + 1) * to - (2 * i + 1) * from;
    return largest(0, 2 * largest(from, to) - (away < 0 ? -away : away));
}

// No pixel outside [low, high) weighs anything in output i: the triangle is the widest of all.
static void reach(int64_t *low, int64_t *high, int64_t i, int64_t to, int64_t from)
{
    const int64_t centre = (2 * i + 1) * from, half = 2 * largest(from, to);
    *low = largest(0, (centre - half - to) / (2 * to));
    *high = smallest(from, (centre + half) / (2 * to) + 1);
}

static struct taps *make_taps(int method, int to, int from, struct dc_arena *arena,
                              struct dc_error *error)
{
    struct taps *taps = DC_NEW(arena, struct taps, to, error);
    for (int i = 0; taps && i < to; i++) {
        struct taps *t = &taps[i];
        int64_t low, high, sum = 0;
        reach(&low, &high, i, to, from);
        for (; low < high && weight(method, i, low, to, from) == 0; low++)
            continue;
        for (; high > low && weight(method, i, high - 1, to, from) == 0; high--)
            continue;
        *t = (struct taps){.first = (int)low, .count = (int)(high - low)};
        t->factors = DC_NEW(arena, int32_t, t->count, error);
        if (!t->factors)
            return NULL;
        for (int64_t j = low; j < high; j++)
            sum += weight(method, i, j, to, from);
        assert(sum > 0);  // the middle of an output lies in the image
        for (int k = 0; k < t->count; k++) {
            const int64_t n = weight(method, i, low + k, to, from);
            t->factors[k] = (int32_t)(((n << (DC_RESIZE_BITS + 1)) + sum) / (2 * sum));
        }
    }
    return taps;
}

static uint8_t finish(int32_t sum)
{
    const int32_t value = sum >> DC_RESIZE_BITS;
    return (uint8_t)(value > 255 ? 255 : value);
}

// One row: in [any, channels], out [width, channels]; channels is 1 or 3.
static void along_row(uint8_t *out, const uint8_t *in, const struct taps *taps, int width,
                      int channels)
{
    for (int x = 0; x < width; x++) {
        const int32_t *factors = taps[x].factors;
        const uint8_t *p = in + (size_t)taps[x].first * (size_t)channels;
        int32_t first = HALF, second = HALF, third = HALF;
        if (channels == 1) {
            for (int k = 0; k < taps[x].count; k++)
                first += factors[k] * p[k];
            *out++ = finish(first);
            continue;
        }
        for (int k = 0; k < taps[x].count; k++, p += 3) {
            first += factors[k] * p[0];
            second += factors[k] * p[1];
            third += factors[k] * p[2];
        }
        *out++ = finish(first);
        *out++ = finish(second);
        *out++ = finish(third);
    }
}

// One output row of `row` values from the rows of `in`.
static void along_columns(uint8_t *out, int32_t *sums, const uint8_t *in, const struct taps *taps,
                          size_t row)
{
    for (size_t i = 0; i < row; i++)
        sums[i] = HALF;
    in += (size_t)taps->first * row;
    for (int k = 0; k < taps->count; k++, in += row)
        for (size_t i = 0; i < row; i++)
            sums[i] += taps->factors[k] * in[i];
    for (size_t i = 0; i < row; i++)
        out[i] = finish(sums[i]);
}

enum dc_status dc__image_resize(struct dc__image *image, const struct dc_resize *resize,
                                const char *path, int64_t limit, struct dc_arena *arena,
                                struct dc_error *error)
{
    const size_t channels = (size_t)image->channels;
    assert(channels == 1 || channels == 3);
    struct dc_part from, to;
    dc_resize_parts(&from, &to, resize, image->height, image->width);
    DC_TRY(
        dc_want_memory(path, "resize",
                       ((int64_t)resize->height * resize->width + (int64_t)from.height * to.width) *
                           image->channels,
                       limit, error));
    const size_t row = (size_t)to.width * channels, pitch = (size_t)resize->width * channels;
    uint8_t *out = DC_NEW(arena, uint8_t, (size_t)resize->height * pitch, error);
    uint8_t *between = DC_NEW(arena, uint8_t, (size_t)from.height * row, error);
    int32_t *sums = DC_NEW(arena, int32_t, row, error);
    const struct taps *across = make_taps(resize->method, to.width, from.width, arena, error);
    const struct taps *down = make_taps(resize->method, to.height, from.height, arena, error);
    if (!out || !between || !sums || !across || !down)
        return DC_ERR_MEMORY;
    for (int y = 0; y < from.height; y++)
        along_row(between + (size_t)y * row,
                  image->pixels +
                      ((size_t)(from.top + y) * (size_t)image->width + (size_t)from.left) *
                          channels,
                  across, to.width, image->channels);
    for (int y = 0; y < to.height; y++)
        along_columns(out + (size_t)(to.top + y) * pitch + (size_t)to.left * channels, sums,
                      between, &down[y], row);
    *image = (struct dc__image){resize->height, resize->width, image->channels, out};
    return DC_OK;
}
