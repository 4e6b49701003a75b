// The depthwise micro-kernels: forward, backward-data (the same kernel on other taps) and weight
// gradient. A vector is some channels of one pixel. Included once per level after
// convolution.inc.h.

enum { DEPTHWISE_TILE = 4, DEPTHWISE_TAPS = 9 };  // pixels at once; taps that stay in registers

// Channels [0, channels) of one vector for all pixels. fixed: `taps` is a constant, and the weights
// stay in registers.
TILE depthwise_tile(const int n, const int taps, const bool whole, float *y,
                    const int32_t *y_offset, const float *x, const int32_t *x_offset,
                    const float *w, const vf *fixed, const int32_t *tap_offset, const float *bias,
                    int w_stride, int channels, bool add)
{
    const int last = whole ? WIDTH : channels;
    const vf start = bias ? load_vector(bias, 0, 1, last) : vf_zero();
    vf sum[DEPTHWISE_TILE];
    const float *from[DEPTHWISE_TILE];
    UNROLL
    for (int i = 0; i < n; i++) {
        sum[i] = start;
        from[i] = x + x_offset[i];
    }
    UNROLL
    for (int t = 0; t < taps; t++) {
        const vf weight = fixed ? fixed[t] : load_vector(w + (int64_t)t * w_stride, 0, 1, last);
        UNROLL
        for (int i = 0; i < n; i++)
            sum[i] = vf_multiply_add(load_vector(from[i] + tap_offset[t], 0, 1, last), weight,
                                     sum[i]);
    }
    UNROLL
    for (int i = 0; i < n; i++) {
        float *out = y + y_offset[i];
        const vf s = add ? vf_add(load_vector(out, 0, 1, last), sum[i]) : sum[i];
        store_vector(out, s, 0, 1, last);
    }
}

TILE depthwise_vector(const int fixed_taps, const bool whole, float *y, const int32_t *y_offset,
                      const float *x, const int32_t *x_offset, int pixels, const float *w,
                      const int32_t *tap_offset, int taps, const float *bias, int w_stride,
                      int channels, bool add)
{
    vf fixed[DEPTHWISE_TAPS];
    int32_t offsets[DEPTHWISE_TAPS];
    UNROLL
    for (int t = 0; t < fixed_taps; t++) {
        fixed[t] = load_vector(w + (int64_t)t * w_stride, 0, 1, whole ? WIDTH : channels);
        offsets[t] = tap_offset[t];
    }
    const int count = fixed_taps ? fixed_taps : taps;
    const vf *weights = fixed_taps ? fixed : NULL;
    const int32_t *tap = fixed_taps ? offsets : tap_offset;
    int p = 0;
    for (; p + DEPTHWISE_TILE <= pixels; p += DEPTHWISE_TILE)
        depthwise_tile(DEPTHWISE_TILE, count, whole, y, y_offset + p, x, x_offset + p, w, weights,
                       tap, bias, w_stride, channels, add);
    for (; p < pixels; p++)
        depthwise_tile(1, count, whole, y, y_offset + p, x, x_offset + p, w, weights, tap, bias,
                       w_stride, channels, add);
}

static void depthwise(float *y, const int32_t *y_offset, const float *x, const int32_t *x_offset,
                      int pixels, const float *w, const int32_t *tap_offset, int taps,
                      const float *bias, int channels, bool add)
{
    for (int c = 0; c < channels; c += WIDTH) {
        const int n = smaller(channels - c, WIDTH);
        const float *b = bias ? bias + c : NULL;
#define CALL(fixed, whole)                                                                         \
    depthwise_vector(fixed, whole, y + c, y_offset, x + c, x_offset, pixels, w + c, tap_offset,    \
                     taps, b, channels, n, add)
        if (taps == DEPTHWISE_TAPS && n == WIDTH)
            CALL(DEPTHWISE_TAPS, true);
        else if (taps == DEPTHWISE_TAPS)
            CALL(DEPTHWISE_TAPS, false);
        else if (n == WIDTH)
            CALL(0, true);
        else
            CALL(0, false);
#undef CALL
    }
}

TILE depthwise_gradient_tile(const int taps, const bool whole, float *dw, const float *x,
                             const int32_t *x_offset, const float *dy, int pixels,
                             const int32_t *tap_offset, int stride, int channels)
{
    const int last = whole ? WIDTH : channels;
    vf sum[TILE_MAX];
    int64_t tap[TILE_MAX];
    UNROLL
    for (int t = 0; t < taps; t++) {
        sum[t] = vf_zero();
        tap[t] = tap_offset[t];
    }
    for (int p = 0; p < pixels; p++, dy += stride) {
        const vf d = load_vector(dy, 0, 1, last);
        const float *a = x + x_offset[p];
        UNROLL
        for (int t = 0; t < taps; t++)
            sum[t] = vf_multiply_add(load_vector(a + tap[t], 0, 1, last), d, sum[t]);
    }
    UNROLL
    for (int t = 0; t < taps; t++) {
        float *out = dw + (int64_t)t * stride;
        store_vector(out, vf_add(load_vector(out, 0, 1, last), sum[t]), 0, 1, last);
    }
}

static void depthwise_gradient(float *dw, const float *x, const int32_t *x_offset, const float *dy,
                               int pixels, const int32_t *tap_offset, int taps, int channels)
{
    for (int c = 0; c < channels; c += WIDTH) {
        const int last = smaller(channels - c, WIDTH);
        for (int t = 0, n = 0; t < taps; t += n) {
            n = next_tile(taps - t, DEPTHWISE_TAPS);
            float *out = dw + (int64_t)t * channels + c;
#define CALL(size)                                                                                 \
    if (last == WIDTH)                                                                             \
        depthwise_gradient_tile(size, true, out, x + c, x_offset, dy + c, pixels, tap_offset + t,  \
                                channels, last);                                                   \
    else                                                                                           \
        depthwise_gradient_tile(size, false, out, x + c, x_offset, dy + c, pixels, tap_offset + t, \
                                channels, last)
            DISPATCH(n, DEPTHWISE_TAPS)
#undef CALL
        }
    }
}
