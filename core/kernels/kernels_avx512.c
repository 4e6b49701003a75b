// The AVX-512 level: 16 lanes, fused multiply-add, 32 registers. Needs the f, bw, dq and vl parts;
// nothing else is compiled with their flags.

#include "core/kernels/kernels.h"

#if defined(__x86_64__)

#include "core/kernels/vector_avx512.h"

#include "core/kernels/convolution.inc.h"
#include "core/kernels/depthwise.inc.h"
#include "core/kernels/epilogue.inc.h"
#include "core/kernels/pointwise.inc.h"
#include "core/kernels/random.inc.h"

// Half a vector costs what a whole one does, and masks on top: layers of few channels run the AVX2
// kernels.
enum { NARROW = WIDTH / 2 };

static void conv_panels_any(float *y, const int32_t *y_offset, const float *x,
                            const int32_t *x_offset, int pixels, const float *panels,
                            const struct dc_taps *taps, const float *bias, int channels, bool add)
{
    (channels > NARROW ? conv_panels : dc__kernels_avx2.conv_panels)(
        y, y_offset, x, x_offset, pixels, panels, taps, bias, channels, add);
}

static void conv_gradient_any(float *dw, int dw_stride, const float *x, const int32_t *x_offset,
                              const float *dy, int dy_stride, int pixels,
                              const struct dc_taps *taps, int channels)
{
    (channels > NARROW ? conv_gradient : dc__kernels_avx2.conv_gradient)(
        dw, dw_stride, x, x_offset, dy, dy_stride, pixels, taps, channels);
}

static void depthwise_any(float *y, const int32_t *y_offset, const float *x,
                          const int32_t *x_offset, int pixels, const float *w,
                          const int32_t *tap_offset, int taps, const float *bias, int channels,
                          bool add)
{
    (channels > NARROW ? depthwise : dc__kernels_avx2.depthwise)(
        y, y_offset, x, x_offset, pixels, w, tap_offset, taps, bias, channels, add);
}

static void depthwise_gradient_any(float *dw, const float *x, const int32_t *x_offset,
                                   const float *dy, int pixels, const int32_t *tap_offset, int taps,
                                   int channels)
{
    (channels > NARROW ? depthwise_gradient : dc__kernels_avx2.depthwise_gradient)(
        dw, x, x_offset, dy, pixels, tap_offset, taps, channels);
}

const struct dc_kernels dc__kernels_avx512 = {
    .conv_panels = conv_panels_any,
    .conv_gradient = conv_gradient_any,
    .depthwise = depthwise_any,
    .depthwise_gradient = depthwise_gradient_any,
    .epilogue = epilogue,
    .epilogue_gradient = epilogue_gradient,
    .moments = moments,
    .epilogue_gradient_sums = epilogue_gradient_sums,
    .epilogue_step_sums = epilogue_step_sums,
    .range = range,
    .pointwise = pointwise,
    .max_line = max_line,
    .softmax_line = softmax_line,
    .line_moment = line_moment,
    .normalize_line = normalize_line,
    .philox = philox,
};

#endif
