// The register-tiled micro-kernels of convolution and dense layers: forward, backward-data (the
// same kernel on other taps) and weight gradient.
//
// A tile is some pixels (or weight rows) by up to TILE_VECTORS vectors of channels, held in
// registers over the whole sum. Tile functions take their sizes as constants and are inlined, so
// that each size becomes straight-line code. Included once per level after a vector_*.h.

#include "core/kernels/tile.inc.h"

enum { GROUP = 4 };

// One call of conv_panels, from channel `first` on.
struct conv_block {
    const float *panels;
    int64_t panel_floats;
    const struct dc_taps *taps;
    const float *bias;
    int channels;  // of this block, up to TILE_VECTORS * WIDTH
    bool add;
    bool resumes;  // sums go on from what y holds
};

// Whether each GROUP of n pixels is evenly spaced in x, at one distance for all.
static inline bool evenly_spaced(const int32_t *x_offset, int n)
{
    const int32_t distance = x_offset[1] - x_offset[0];
    int32_t other = 0;
    for (int i = 0; i < n; i += GROUP)
        for (int j = 1; j < GROUP; j++)
            other |= (x_offset[i + j] - x_offset[i + j - 1]) ^ distance;
    return other == 0;
}

// group: 1, or GROUP where the pixels are evenly spaced, so that one address register serves a
// whole group.
TILE conv_tile(const int n, const int vectors, const int group, float *y, const int32_t *y_offset,
               const float *x, const int32_t *x_offset, const struct conv_block *b)
{
    const int last = b->channels - (vectors - 1) * WIDTH;
    vf sum[TILE_MAX][TILE_VECTORS];
    int64_t pixel[TILE_MAX];
    UNROLL
    for (int v = 0; v < vectors; v++) {
        const vf start = b->bias ? load_vector(b->bias, v, vectors, last) : vf_zero();
        UNROLL
        for (int i = 0; i < n; i++)
            sum[i][v] = b->resumes ? load_vector(y + y_offset[i], v, vectors, last) : start;
    }
    UNROLL
    for (int i = 0; i < n; i += group)
        pixel[i / group] = x_offset[i];
    const int64_t distance = group > 1 ? x_offset[1] - x_offset[0] : 0;
    const float *w = b->panels;
    for (int r = 0; r < b->taps->runs; r++) {
        prefetch_next(b->taps->prefetch);
        const float *a[GROUP];
        UNROLL
        for (int j = 0; j < group; j++)
            a[j] = x + b->taps->run_offset[r] + j * distance;
        const float *const end = a[0] + b->taps->run_length;
        while (a[0] != end) {
            vf weights[TILE_VECTORS];
            UNROLL
            for (int v = 0; v < vectors; v++)
                weights[v] = vf_load(w + v * WIDTH / DC_PANEL * b->panel_floats +
                                     v * WIDTH % DC_PANEL);
            UNROLL
            for (int i = 0; i < n; i++) {
                const vf value = vf_broadcast(a[i % group] + pixel[i / group]);
                UNROLL
                for (int v = 0; v < vectors; v++)
                    sum[i][v] = vf_multiply_add(value, weights[v], sum[i][v]);
            }
            UNROLL
            for (int j = 0; j < group; j++)
                a[j]++;
            w += DC_PANEL;
        }
    }
    UNROLL
    for (int i = 0; i < n; i++) {
        float *out = y + y_offset[i];
        UNROLL
        for (int v = 0; v < vectors; v++) {
            const vf before = b->add ? load_vector(out, v, vectors, last) : vf_zero();
            store_vector(out, b->add ? vf_add(before, sum[i][v]) : sum[i][v], v, vectors, last);
        }
    }
}

TILE conv_tiles(const int vectors, float *y, const int32_t *y_offset, const float *x,
                const int32_t *x_offset, int pixels, const struct conv_block *b)
{
    const int most = smaller(TILE_PIXELS, TILE_SUMS / vectors);
    for (int p = 0, n = 0; p < pixels; p += n) {
        n = TILE_SUMS / vectors;
        if (n % GROUP == 0 && n > most && p + n <= pixels && evenly_spaced(x_offset + p, n)) {
            conv_tile(TILE_SUMS / vectors, vectors, GROUP, y, y_offset + p, x, x_offset + p, b);
            continue;
        }
        n = next_tile(pixels - p, most);
#define CALL(size) conv_tile(size, vectors, 1, y, y_offset + p, x, x_offset + p, b)
        DISPATCH(n, most)
#undef CALL
    }
}

// Of deep convolutions whole runs at a time, so that their weights stay in the second cache for all
// pixels. A sum that is written and resumed has the bits of one that is not.
enum { BLOCK_DEPTH = 2048 };

static int runs_at_once(const struct dc_taps *taps, bool add)
{
    const int blocks = (taps->runs * taps->run_length + BLOCK_DEPTH - 1) / BLOCK_DEPTH;
    return add || blocks < 2 ? taps->runs + 1 : (taps->runs + blocks - 1) / blocks;
}

static void conv_panels(float *y, const int32_t *y_offset, const float *x, const int32_t *x_offset,
                        int pixels, const float *panels, const struct dc_taps *taps,
                        const float *bias, int channels, bool add)
{
    struct dc_taps part = *taps;
    struct conv_block b = {.panel_floats = (int64_t)taps->runs * taps->run_length * DC_PANEL,
                           .taps = &part,
                           .add = add};
    const int at_once = runs_at_once(taps, add);
    for (int c = 0; c < channels; c += b.channels) {
        b.channels = smaller(channels - c, TILE_VECTORS * WIDTH);
        b.bias = bias ? bias + c : NULL;
        const int vectors = (b.channels + WIDTH - 1) / WIDTH;
        for (int r = 0; r == 0 || r < taps->runs; r += at_once) {  // none: zeros
            part.run_offset = taps->run_offset + r;
            part.runs = smaller(taps->runs - r, at_once);
            b.panels = panels + c / DC_PANEL * b.panel_floats +
                       (int64_t)r * taps->run_length * DC_PANEL;
            b.resumes = r > 0;
#define CALL(size) conv_tiles(size, y + c, y_offset, x, x_offset, pixels, &b)
            DISPATCH_VECTORS(vectors)
#undef CALL
        }
    }
}

// One call of conv_gradient, a block of pixels and channels.
struct gradient_block {
    int dw_stride;
    const int32_t *x_offset;
    const float *dy;
    int dy_stride, pixels, channels;
    struct dc_prefetch *prefetch;
};

TILE gradient_tile(const int rows, const int vectors, const bool whole, float *dw, const float *x,
                   const struct gradient_block *b)
{
    const int last = whole ? WIDTH : b->channels - (vectors - 1) * WIDTH;
    vf sum[TILE_MAX][TILE_VECTORS];
    prefetch_next(b->prefetch);
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            sum[i][v] = vf_zero();
    }
    // `a` is carried from one pixel to the next, so that the compiler keeps a + i as it is: one
    // register and a displacement.
    const float *dy = b->dy, *a = x + b->x_offset[0];
    for (int p = 0;;) {
        vf d[TILE_VECTORS];
        UNROLL
        for (int v = 0; v < vectors; v++)
            d[v] = load_vector(dy, v, vectors, last);
        UNROLL
        for (int i = 0; i < rows; i++) {
            const vf value = vf_broadcast(a + i);
            UNROLL
            for (int v = 0; v < vectors; v++)
                sum[i][v] = vf_multiply_add(value, d[v], sum[i][v]);
        }
        if (++p == b->pixels)
            break;
        a = x + b->x_offset[p];
        dy += b->dy_stride;
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        float *out = dw + (int64_t)i * b->dw_stride;
        UNROLL
        for (int v = 0; v < vectors; v++)
            store_vector(out, vf_add(load_vector(out, v, vectors, last), sum[i][v]), v, vectors,
                         last);
    }
}

TILE gradient_tiles(const int vectors, const bool whole, float *dw, const float *x, int rows,
                    const struct gradient_block *b)
{
    const int most = TILE_SUMS / vectors;
    for (int k = 0, n = 0; k < rows; k += n) {
        n = next_tile(rows - k, most);
        float *out = dw + (int64_t)k * b->dw_stride;
#define CALL(size) gradient_tile(size, vectors, whole, out, x + k, b)
        DISPATCH(n, most)
#undef CALL
    }
}

enum { GRADIENT_PIXELS = 128 };  // a block of pixels stays in the first cache for all rows

static void conv_gradient(float *dw, int dw_stride, const float *x, const int32_t *x_offset,
                          const float *dy, int dy_stride, int pixels, const struct dc_taps *taps,
                          int channels)
{
    for (int p = 0; p < pixels; p += GRADIENT_PIXELS) {
        for (int c = 0; c < channels; c += TILE_VECTORS * WIDTH) {
            const struct gradient_block b = {dw_stride,
                                             x_offset + p,
                                             dy + (int64_t)p * dy_stride + c,
                                             dy_stride,
                                             smaller(pixels - p, GRADIENT_PIXELS),
                                             smaller(channels - c, TILE_VECTORS * WIDTH),
                                             taps->prefetch};
            const int vectors = (b.channels + WIDTH - 1) / WIDTH;
            for (int r = 0; r < taps->runs; r++) {
                float *out = dw + (int64_t)r * taps->run_length * dw_stride + c;
                const float *from = x + taps->run_offset[r];
                if (b.channels % WIDTH == 0) {
#define CALL(size) gradient_tiles(size, true, out, from, taps->run_length, &b)
                    DISPATCH_VECTORS(vectors)
#undef CALL
                } else {
#define CALL(size) gradient_tiles(size, false, out, from, taps->run_length, &b)
                    DISPATCH_VECTORS(vectors)
#undef CALL
                }
            }
        }
    }
}
