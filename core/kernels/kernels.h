// Kernels: the inner loops, one table of function pointers per instruction-set level.
//
// A kernel is a free function over pointers with explicit sizes; drivers in core/ops/ cut the work,
// pad images and pack weights. Accumulating kernels (convolution, depthwise, sums) use fused
// multiply-add where the level has it and are held to an error bound; element-wise kernels
// multiply, then add, and give equal bits on every level. One source per family (*.inc.h) is
// included once per level, with the vector type of that level; kernels_scalar.c is the plain
// reference.
//
// Offsets are in floats. To add a level: a vector_*.h, a kernels_*.c, one row in kernels.c.

#ifndef DC_CORE_KERNELS_KERNELS_H
#define DC_CORE_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/context.h"
#include "core/epilogue.h"

enum { DC_PANEL = 16 };  // output channels of one packed weight panel

// A convolution seen from one image: every output pixel p reads `runs` contiguous stretches of
// run_length values, at x[x_offset[p] + run_offset[r]]: k = r * run_length + i counts them all.
// Weights lie in consecutive panels, [ceil(channels / DC_PANEL)][runs * run_length][DC_PANEL],
// zero-filled to the full panel.
struct dc_taps {
    const int32_t *run_offset;
    int runs, run_length;
    struct dc_prefetch *prefetch;  // or NULL
};

// Memory that will be read once the kernel is done. It asks for it line by line on the way, so that
// it is near by then; no result depends on it.
enum { DC_PREFETCH_RANGES = 4, DC_LINE = 64 };
struct dc_prefetch {
    const char *next[DC_PREFETCH_RANGES], *end[DC_PREFETCH_RANGES];
    int at;     // the range that is being asked for; those from `at` on are set
    int lines;  // to ask for with each run of a tile
};

// Functions of one value (core/ops/unary.c). k: two attributes, or anything.
enum dc_function {
    DC_LEAKY_RELU,
    DC_HARD_SIGMOID,
    DC_SILU,
    DC_ELU,
    DC_SOFTPLUS,
    DC_GELU,
    DC_GELU_TANH,
    DC_ERF,
    DC_EXP,
    DC_LOG,
    DC_SQRT,
    DC_POW,
    DC_NEGATE,
    DC_ABS,
    DC_RECIPROCAL,
    DC_FUNCTION_COUNT
};
struct dc_pointwise {
    void (*value)(float *y, const float *x, const float *k, int64_t count);  // y[i] = f(x[i])
    // dx[i] = f'(x[i]) g[i], added where `add`
    void (*gradient)(float *dx, const float *g, const float *x, const float *k, int64_t count,
                     bool add);
};

struct dc_kernels {
    // y[y_offset[p] + c] = bias[c] + sum_k x[..] * w[k][c] for any number of channels, w in panels;
    // added to y where `add`. bias: [channels] or NULL. The order of the sum over k depends on
    // nothing else.
    void (*conv_panels)(float *y, const int32_t *y_offset, const float *x, const int32_t *x_offset,
                        int pixels, const float *panels, const struct dc_taps *taps,
                        const float *bias, int channels, bool add);

    // dw[k * dw_stride + c] += sum_p x[..] * dy[p * dy_stride + c], k over all runs, c < channels.
    // The order of the sum over p depends on `pixels` and nothing else.
    void (*conv_gradient)(float *dw, int dw_stride, const float *x, const int32_t *x_offset,
                          const float *dy, int dy_stride, int pixels, const struct dc_taps *taps,
                          int channels);

    // y[y_offset[p] + c] = bias[c] + sum_t x[x_offset[p] + tap_offset[t] + c] * w[t * channels + c]
    void (*depthwise)(float *y, const int32_t *y_offset, const float *x, const int32_t *x_offset,
                      int pixels, const float *w, const int32_t *tap_offset, int taps,
                      const float *bias, int channels, bool add);
    // dw[t * channels + c] += sum_p x[x_offset[p] + tap_offset[t] + c] * dy[p * channels + c]
    void (*depthwise_gradient)(float *dw, const float *x, const int32_t *x_offset, const float *dy,
                               int pixels, const int32_t *tap_offset, int taps, int channels);

    // Epilogues (core/epilogue.h). count: values, whole pixels from channel 0 on; arrays of
    // coefficients and sums have `period` entries. The epilogue and its gradient are element-wise;
    // y may be x.
    void (*epilogue)(float *y, const float *x, const struct dc_epilogue *epilogue, int64_t count);
    void (*epilogue_gradient)(float *dx, const float *dy, const float *x,
                              const struct dc_epilogue *epilogue, int64_t count, bool add);
    // sum += x - shift, square += (x - shift)^2. float inside a tile of 64 pixels, double across.
    void (*moments)(double *sum, double *square, const float *x, const float *shift, int channels,
                    int period, int64_t count);
    // sum += g, product += g * (x - mean) of the dy that passes the epilogue; tiles as above.
    void (*epilogue_gradient_sums)(double *sum, double *product, const float *dy, const float *x,
                                   const struct dc_epilogue *epilogue, int64_t count);
    // sum += dy * (d y / d step) of an epilogue that quantizes: round(t) - t inside the grid, t =
    // clamp(x * scale + shift) / step, and the end of the grid outside; where the epilogue clips, 0
    // inside. The grid's ends are counted inside. Tiles as above; equal bits on every level.
    void (*epilogue_step_sums)(double *sum, const float *dy, const float *x,
                               const struct dc_epilogue *epilogue, int64_t count);
    // NaN changes nothing.
    void (*range)(float *least, float *greatest, const float *x, int period, int64_t count);

    // The same bits on every level, as all of pointwise.inc.h: functions; y = exp(x - max x) / sum;
    // sum of (x - centre)^power, power 1 or 2; y = (x - mean) * inverse (* gamma + beta, or NULL).
    const struct dc_pointwise *pointwise;                       // [DC_FUNCTION_COUNT]
    void (*max_line)(float *y, const float *x, int64_t count);  // y = max(y, x), NaN if either is
    void (*softmax_line)(float *y, const float *x, int64_t count);
    double (*line_moment)(const float *x, double centre, int power, int64_t count);
    void (*normalize_line)(float *y, const float *x, const float *gamma, const float *beta,
                           double mean, double inverse, int64_t count);

    // The next `count` numbers of a stream that stands at a fresh block (dc_random_start).
    void (*philox)(uint32_t *out, const uint32_t counter[4], const uint32_t key[2], int64_t count);
};

const struct dc_kernels *dc_kernels_for(enum dc_isa isa);

extern const struct dc_kernels dc__kernels_scalar;
extern const struct dc_kernels dc__kernels_sse2;
extern const struct dc_kernels dc__kernels_avx2;
extern const struct dc_kernels dc__kernels_avx512;

#endif
