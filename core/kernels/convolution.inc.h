// The register-tiled micro-kernels of convolution and dense layers, forward, backward-data (the
// same kernel on other taps) and weight gradient, and the depthwise ones.
//
// A tile is TILE_PIXELS pixels (or TILE_ROWS weight rows) by up to DC_PANEL channels, held in
// registers over the whole sum. Tile functions take their sizes as constants and are inlined, so
// that each combination becomes straight-line code. Included once per level after a vector_*.h.

#include "core/kernels/kernels.h"

#define TILE static inline __attribute__((always_inline)) void

// Tile loops have constant bounds and must be unrolled, so that accumulators stay in registers.
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

// A panel is worked on whole or, where at most half of its channels are there, by its first half.
enum { PANEL_VECTORS = DC_PANEL / WIDTH, HALF_VECTORS = PANEL_VECTORS / 2 };

static inline vf load_channels(const float *p, int v, int channels)
{
    const int left = channels - v * WIDTH;
    return left >= WIDTH ? vf_load(p + v * WIDTH)
           : left > 0    ? vf_load_first(p + v * WIDTH, left)
                         : vf_zero();
}

static inline void store_channels(float *p, vf value, int v, int channels)
{
    const int left = channels - v * WIDTH;
    if (left >= WIDTH)
        vf_store(p + v * WIDTH, value);
    else if (left > 0)
        vf_store_first(p + v * WIDTH, value, left);
}

TILE conv_tile(const int n, const int vectors, float *y, const int32_t *y_offset, const float *x,
               const int32_t *x_offset, const float *panel, const struct dc_taps *taps,
               const float *bias, int channels, bool add)
{
    vf sum[TILE_PIXELS][PANEL_VECTORS];
    UNROLL
    for (int v = 0; v < vectors; v++) {
        const vf start = bias ? load_channels(bias, v, channels) : vf_zero();
        UNROLL
        for (int i = 0; i < n; i++)
            sum[i][v] = start;
    }
    for (int r = 0; r < taps->runs; r++) {
        const float *run[TILE_PIXELS];
        UNROLL
        for (int i = 0; i < n; i++)
            run[i] = x + x_offset[i] + taps->run_offset[r];
        for (int k = 0; k < taps->run_length; k++, panel += DC_PANEL) {
            vf w[PANEL_VECTORS];
            UNROLL
            for (int v = 0; v < vectors; v++)
                w[v] = vf_load(panel + v * WIDTH);
            UNROLL
            for (int i = 0; i < n; i++) {
                const vf a = vf_broadcast(run[i] + k);
                UNROLL
                for (int v = 0; v < vectors; v++)
                    sum[i][v] = vf_multiply_add(a, w[v], sum[i][v]);
            }
        }
    }
    UNROLL
    for (int i = 0; i < n; i++) {
        float *out = y + y_offset[i];
        UNROLL
        for (int v = 0; v < vectors; v++) {
            const vf s = add ? vf_add(load_channels(out, v, channels), sum[i][v]) : sum[i][v];
            store_channels(out, s, v, channels);
        }
    }
}

TILE conv_tiles(const int vectors, float *y, const int32_t *y_offset, const float *x,
                const int32_t *x_offset, int pixels, const float *panel, const struct dc_taps *taps,
                const float *bias, int channels, bool add)
{
    int p = 0;
    for (; p + TILE_PIXELS <= pixels; p += TILE_PIXELS)
        conv_tile(TILE_PIXELS, vectors, y, y_offset + p, x, x_offset + p, panel, taps, bias,
                  channels, add);
    for (; p + 2 <= pixels; p += 2)
        conv_tile(2, vectors, y, y_offset + p, x, x_offset + p, panel, taps, bias, channels, add);
    for (; p < pixels; p++)
        conv_tile(1, vectors, y, y_offset + p, x, x_offset + p, panel, taps, bias, channels, add);
}

static void conv_panels(float *y, const int32_t *y_offset, const float *x, const int32_t *x_offset,
                        int pixels, const float *panels, const struct dc_taps *taps,
                        const float *bias, int channels, bool add)
{
    const int64_t panel = (int64_t)taps->runs * taps->run_length * DC_PANEL;
    for (int c = 0; c < channels; c += DC_PANEL, panels += panel) {
        const int left = channels - c < DC_PANEL ? channels - c : DC_PANEL;
        const float *b = bias ? bias + c : NULL;
        if (left > DC_PANEL / 2)
            conv_tiles(PANEL_VECTORS, y + c, y_offset, x, x_offset, pixels, panels, taps, b, left,
                       add);
        else
            conv_tiles(HALF_VECTORS, y + c, y_offset, x, x_offset, pixels, panels, taps, b, left,
                       add);
    }
}

TILE gradient_tile(const int rows, const int vectors, float *dw, int dw_stride, const float *x,
                   const int32_t *x_offset, const float *dy, int dy_stride, int pixels,
                   int channels)
{
    vf sum[TILE_ROWS][PANEL_VECTORS];
    UNROLL
    for (int i = 0; i < rows; i++)
        UNROLL
    for (int v = 0; v < vectors; v++)
        sum[i][v] = vf_zero();
    for (int p = 0; p < pixels; p++, dy += dy_stride) {
        const float *a = x + x_offset[p];
        vf d[PANEL_VECTORS];
        UNROLL
        for (int v = 0; v < vectors; v++)
            d[v] = load_channels(dy, v, channels);
        UNROLL
        for (int i = 0; i < rows; i++) {
            const vf b = vf_broadcast(a + i);
            UNROLL
            for (int v = 0; v < vectors; v++)
                sum[i][v] = vf_multiply_add(b, d[v], sum[i][v]);
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        float *out = dw + (int64_t)i * dw_stride;
        UNROLL
        for (int v = 0; v < vectors; v++)
            store_channels(out, vf_add(load_channels(out, v, channels), sum[i][v]), v, channels);
    }
}

TILE gradient_tiles(const int vectors, float *dw, int dw_stride, const float *x,
                    const int32_t *x_offset, const float *dy, int dy_stride, int pixels, int rows,
                    int channels)
{
    int k = 0;
    for (; k + TILE_ROWS <= rows; k += TILE_ROWS)
        gradient_tile(TILE_ROWS, vectors, dw + (int64_t)k * dw_stride, dw_stride, x + k, x_offset,
                      dy, dy_stride, pixels, channels);
    for (; k + TILE_ROWS / 2 <= rows; k += TILE_ROWS / 2)
        gradient_tile(TILE_ROWS / 2, vectors, dw + (int64_t)k * dw_stride, dw_stride, x + k,
                      x_offset, dy, dy_stride, pixels, channels);
    for (; k < rows; k++)
        gradient_tile(1, vectors, dw + (int64_t)k * dw_stride, dw_stride, x + k, x_offset, dy,
                      dy_stride, pixels, channels);
}

// Constant channel counts let full panels load without masks.
static void gradient_panel(float *dw, int dw_stride, const float *x, const int32_t *x_offset,
                           const float *dy, int dy_stride, int pixels, int rows, int channels)
{
    if (channels == DC_PANEL)
        gradient_tiles(PANEL_VECTORS, dw, dw_stride, x, x_offset, dy, dy_stride, pixels, rows,
                       DC_PANEL);
    else if (channels == DC_PANEL / 2)
        gradient_tiles(HALF_VECTORS, dw, dw_stride, x, x_offset, dy, dy_stride, pixels, rows,
                       DC_PANEL / 2);
    else if (channels > DC_PANEL / 2)
        gradient_tiles(PANEL_VECTORS, dw, dw_stride, x, x_offset, dy, dy_stride, pixels, rows,
                       channels);
    else
        gradient_tiles(HALF_VECTORS, dw, dw_stride, x, x_offset, dy, dy_stride, pixels, rows,
                       channels);
}

static void conv_gradient(float *dw, int dw_stride, const float *x, const int32_t *x_offset,
                          const float *dy, int dy_stride, int pixels, const struct dc_taps *taps,
                          int channels)
{
    for (int r = 0; r < taps->runs; r++, dw += (int64_t)taps->run_length * dw_stride)
        for (int c = 0; c < channels; c += DC_PANEL)
            gradient_panel(dw + c, dw_stride, x + taps->run_offset[r], x_offset, dy + c, dy_stride,
                           pixels, taps->run_length,
                           channels - c < DC_PANEL ? channels - c : DC_PANEL);
}

enum { DEPTHWISE_TILE = 4 };  // pixels that share one load of the weights

TILE depthwise_tile(const int n, float *y, const int32_t *y_offset, const float *x,
                    const int32_t *x_offset, const float *w, const int32_t *tap_offset, int taps,
                    const float *bias, int w_stride, int channels, bool add)
{
    vf sum[DEPTHWISE_TILE];
    UNROLL
    for (int i = 0; i < n; i++)
        sum[i] = bias ? load_channels(bias, 0, channels) : vf_zero();
    for (int t = 0; t < taps; t++) {
        const vf tap = load_channels(w + (int64_t)t * w_stride, 0, channels);
        UNROLL
        for (int i = 0; i < n; i++)
            sum[i] = vf_multiply_add(load_channels(x + x_offset[i] + tap_offset[t], 0, channels),
                                     tap, sum[i]);
    }
    UNROLL
    for (int i = 0; i < n; i++) {
        float *out = y + y_offset[i];
        const vf s = add ? vf_add(load_channels(out, 0, channels), sum[i]) : sum[i];
        store_channels(out, s, 0, channels);
    }
}

static void depthwise(float *y, const int32_t *y_offset, const float *x, const int32_t *x_offset,
                      int pixels, const float *w, const int32_t *tap_offset, int taps,
                      const float *bias, int channels, bool add)
{
    for (int c = 0; c < channels; c += WIDTH) {
        const int n = channels - c < WIDTH ? channels - c : WIDTH;
        const float *b = bias ? bias + c : NULL;
        int p = 0;
        for (; n == WIDTH && p + DEPTHWISE_TILE <= pixels; p += DEPTHWISE_TILE)
            depthwise_tile(DEPTHWISE_TILE, y + c, y_offset + p, x + c, x_offset + p, w + c,
                           tap_offset, taps, b, channels, WIDTH, add);
        for (; p < pixels; p++)
            depthwise_tile(1, y + c, y_offset + p, x + c, x_offset + p, w + c, tap_offset, taps, b,
                           channels, n, add);
    }
}

enum { GRADIENT_TAPS = 9 };  // taps whose sums stay in registers

TILE depthwise_gradient_tile(const int n, float *dw, const float *x, const int32_t *x_offset,
                             const float *dy, int pixels, const int32_t *tap_offset, int stride,
                             int channels)
{
    vf sum[GRADIENT_TAPS];
    UNROLL
    for (int t = 0; t < n; t++)
        sum[t] = vf_zero();
    for (int p = 0; p < pixels; p++) {
        const vf d = load_channels(dy + (int64_t)p * stride, 0, channels);
        const float *a = x + x_offset[p];
        UNROLL
        for (int t = 0; t < n; t++)
            sum[t] = vf_multiply_add(load_channels(a + tap_offset[t], 0, channels), d, sum[t]);
    }
    UNROLL
    for (int t = 0; t < n; t++) {
        float *out = dw + (int64_t)t * stride;
        store_channels(out, vf_add(load_channels(out, 0, channels), sum[t]), 0, channels);
    }
}

static void depthwise_gradient(float *dw, const float *x, const int32_t *x_offset, const float *dy,
                               int pixels, const int32_t *tap_offset, int taps, int channels)
{
    for (int c = 0; c < channels; c += WIDTH) {
        const int n = channels - c < WIDTH ? channels - c : WIDTH;
        int t = 0;
        for (; t + GRADIENT_TAPS <= taps; t += GRADIENT_TAPS)
            depthwise_gradient_tile(GRADIENT_TAPS, dw + (int64_t)t * channels + c, x + c, x_offset,
                                    dy + c, pixels, tap_offset + t, channels, n);
        for (; t < taps; t++)
            depthwise_gradient_tile(1, dw + (int64_t)t * channels + c, x + c, x_offset, dy + c,
                                    pixels, tap_offset + t, channels, n);
    }
}
