// The depthwise micro-kernels: forward, backward-data (the same kernel on other taps) and weight
// gradient. A vector is some channels of one pixel. Included once per level after a vector_*.h.

#include "core/kernels/tile.inc.h"

enum { DEPTHWISE_TILE = 4, DEPTHWISE_TAPS = 9 };  // pixels at once; taps that stay in registers

// One call of depthwise, for the channels of one vector.
struct depthwise_block {
    const float *w;
    const int32_t *tap_offset;
    const float *bias;
    int taps, w_stride, channels;
    bool add;
};

static inline void depthwise_store(float *out, vf sum, int lanes, bool add)
{
    store_vector(out, add ? vf_add(load_vector(out, 0, 1, lanes), sum) : sum, 0, 1, lanes);
}

TILE depthwise_fixed_tile(const int n, float *y, const int32_t *y_offset, const float *x,
                          const int32_t *x_offset, const vf *weight, const int64_t *tap, vf start,
                          int lanes, bool add)
{
    const float *a[DEPTHWISE_TILE];
    vf sum[DEPTHWISE_TILE];
    UNROLL
    for (int i = 0; i < n; i++) {
        a[i] = x + x_offset[i];
        sum[i] = start;
    }
    UNROLL
    for (int t = 0; t < DEPTHWISE_TAPS; t++) {
        UNROLL
        for (int i = 0; i < n; i++)
            sum[i] = vf_multiply_add(load_vector(a[i] + tap[t], 0, 1, lanes), weight[t], sum[i]);
    }
    UNROLL
    for (int i = 0; i < n; i++)
        depthwise_store(y + y_offset[i], sum[i], lanes, add);
}

// 3x3: the weights stay in registers.
TILE depthwise_fixed(const bool whole, float *y, const int32_t *y_offset, const float *x,
                     const int32_t *x_offset, int pixels, const struct depthwise_block *b)
{
    const int lanes = whole ? WIDTH : b->channels;
    const vf start = b->bias ? load_vector(b->bias, 0, 1, lanes) : vf_zero();
    vf weight[DEPTHWISE_TAPS];
    int64_t tap[DEPTHWISE_TAPS];
    UNROLL
    for (int t = 0; t < DEPTHWISE_TAPS; t++) {
        weight[t] = load_vector(b->w + (int64_t)t * b->w_stride, 0, 1, lanes);
        tap[t] = b->tap_offset[t];
    }
    int p = 0;
    for (; p + DEPTHWISE_TILE <= pixels; p += DEPTHWISE_TILE)
        depthwise_fixed_tile(DEPTHWISE_TILE, y, y_offset + p, x, x_offset + p, weight, tap, start,
                             lanes, b->add);
    for (; p < pixels; p++)
        depthwise_fixed_tile(1, y, y_offset + p, x, x_offset + p, weight, tap, start, lanes,
                             b->add);
}

TILE depthwise_tile(const int n, const bool whole, float *y, const int32_t *y_offset,
                    const float *x, const int32_t *x_offset, const struct depthwise_block *b)
{
    const int lanes = whole ? WIDTH : b->channels;
    const vf start = b->bias ? load_vector(b->bias, 0, 1, lanes) : vf_zero();
    vf sum[DEPTHWISE_TILE];
    UNROLL
    for (int i = 0; i < n; i++)
        sum[i] = start;
    for (int t = 0; t < b->taps; t++) {
        const vf weight = load_vector(b->w + (int64_t)t * b->w_stride, 0, 1, lanes);
        const float *from = x + b->tap_offset[t];
        UNROLL
        for (int i = 0; i < n; i++)
            sum[i] = vf_multiply_add(load_vector(from + x_offset[i], 0, 1, lanes), weight, sum[i]);
    }
    UNROLL
    for (int i = 0; i < n; i++)
        depthwise_store(y + y_offset[i], sum[i], lanes, b->add);
}

TILE depthwise_tiles(const bool whole, float *y, const int32_t *y_offset, const float *x,
                     const int32_t *x_offset, int pixels, const struct depthwise_block *b)
{
    int p = 0;
    for (; p + DEPTHWISE_TILE <= pixels; p += DEPTHWISE_TILE)
        depthwise_tile(DEPTHWISE_TILE, whole, y, y_offset + p, x, x_offset + p, b);
    for (; p < pixels; p++)
        depthwise_tile(1, whole, y, y_offset + p, x, x_offset + p, b);
}

static void depthwise(float *y, const int32_t *y_offset, const float *x, const int32_t *x_offset,
                      int pixels, const float *w, const int32_t *tap_offset, int taps,
                      const float *bias, int channels, bool add)
{
    for (int c = 0; c < channels; c += WIDTH) {
        const struct depthwise_block b = {w + c, tap_offset, bias ? bias + c : NULL,
                                          taps,  channels,   smaller(channels - c, WIDTH),
                                          add};
        const bool whole = b.channels == WIDTH;
        if (taps == DEPTHWISE_TAPS && whole)
            depthwise_fixed(true, y + c, y_offset, x + c, x_offset, pixels, &b);
        else if (taps == DEPTHWISE_TAPS)
            depthwise_fixed(false, y + c, y_offset, x + c, x_offset, pixels, &b);
        else if (whole)
            depthwise_tiles(true, y + c, y_offset, x + c, x_offset, pixels, &b);
        else
            depthwise_tiles(false, y + c, y_offset, x + c, x_offset, pixels, &b);
    }
}

// w_stride: of the channels in dw and dy.
TILE depthwise_gradient_tile(const int taps, const bool whole, float *dw, const float *x,
                             const int32_t *x_offset, const float *dy, int pixels,
                             const int32_t *tap_offset, int w_stride, int channels)
{
    const int lanes = whole ? WIDTH : channels;
    vf sum[TILE_MAX];
    int64_t tap[TILE_MAX];
    UNROLL
    for (int t = 0; t < taps; t++) {
        sum[t] = vf_zero();
        tap[t] = tap_offset[t];
    }
    // `a` is carried from one pixel to the next, so that the compiler keeps a + tap as it is: two
    // registers.
    const float *a = x + x_offset[0];
    for (int p = 0;;) {
        const vf d = load_vector(dy, 0, 1, lanes);
        UNROLL
        for (int t = 0; t < taps; t++)
            sum[t] = vf_multiply_add(load_vector(a + tap[t], 0, 1, lanes), d, sum[t]);
        if (++p == pixels)
            break;
        a = x + x_offset[p];
        dy += w_stride;
    }
    UNROLL
    for (int t = 0; t < taps; t++) {
        float *out = dw + (int64_t)t * w_stride;
        store_vector(out, vf_add(load_vector(out, 0, 1, lanes), sum[t]), 0, 1, lanes);
    }
}

static void depthwise_gradient(float *dw, const float *x, const int32_t *x_offset, const float *dy,
                               int pixels, const int32_t *tap_offset, int taps, int channels)
{
    if (pixels == 0)
        return;
    for (int c = 0; c < channels; c += WIDTH) {
        const int lanes = smaller(channels - c, WIDTH);
        for (int t = 0, n = 0; t < taps; t += n) {
            n = next_tile(taps - t, DEPTHWISE_TAPS);
            float *out = dw + (int64_t)t * channels + c;
#define CALL(size)                                                                                 \
    if (lanes == WIDTH)                                                                            \
        depthwise_gradient_tile(size, true, out, x + c, x_offset, dy + c, pixels, tap_offset + t,  \
                                channels, lanes);                                                  \
    else                                                                                           \
        depthwise_gradient_tile(size, false, out, x + c, x_offset, dy + c, pixels, tap_offset + t, \
                                channels, lanes)
            DISPATCH(n, DEPTHWISE_TAPS)
#undef CALL
        }
    }
}
