// The reference level: plain loops in the order of the definitions, no vectors, no fused
// multiply-add. What every faster level is measured against.

#include "core/kernels/kernels.h"

#include "core/kernels/vector_scalar.h"

#include "core/kernels/tile.inc.h"

#include "core/kernels/epilogue.inc.h"
#include "core/kernels/pointwise.inc.h"
#include "core/kernels/random.inc.h"

static void conv_panels(float *y, const int32_t *y_offset, const float *x, const int32_t *x_offset,
                        int pixels, const float *panels, const struct dc_taps *taps,
                        const float *bias, int channels, bool add)
{
    const int64_t depth = (int64_t)taps->runs * taps->run_length;
    for (int p = 0; p < pixels; p++) {
        for (int c = 0; c < channels; c++) {
            float sum = bias ? bias[c] : 0.0f;
            for (int r = 0; r < taps->runs; r++) {
                const float *run = x + x_offset[p] + taps->run_offset[r];
                const float *w = panels +
                                 (c / DC_PANEL * depth + (int64_t)r * taps->run_length) * DC_PANEL;
                for (int k = 0; k < taps->run_length; k++)
                    sum += run[k] * w[k * DC_PANEL + c % DC_PANEL];
            }
            float *out = &y[y_offset[p] + c];
            *out = add ? *out + sum : sum;
        }
    }
}

static void conv_gradient(float *dw, int dw_stride, const float *x, const int32_t *x_offset,
                          const float *dy, int dy_stride, int pixels, const struct dc_taps *taps,
                          int channels)
{
    for (int k = 0; k < taps->runs * taps->run_length; k++) {
        const float *a = x + taps->run_offset[k / taps->run_length] + k % taps->run_length;
        for (int c = 0; c < channels; c++) {
            float sum = 0.0f;
            for (int p = 0; p < pixels; p++)
                sum += a[x_offset[p]] * dy[(int64_t)p * dy_stride + c];
            dw[(int64_t)k * dw_stride + c] += sum;
        }
    }
}

static void depthwise(float *y, const int32_t *y_offset, const float *x, const int32_t *x_offset,
                      int pixels, const float *w, const int32_t *tap_offset, int taps,
                      const float *bias, int channels, bool add)
{
    for (int p = 0; p < pixels; p++) {
        for (int c = 0; c < channels; c++) {
            float sum = bias ? bias[c] : 0.0f;
            for (int t = 0; t < taps; t++)
                sum += x[x_offset[p] + tap_offset[t] + c] * w[(int64_t)t * channels + c];
            float *out = &y[y_offset[p] + c];
            *out = add ? *out + sum : sum;
        }
    }
}

static void depthwise_gradient(float *dw, const float *x, const int32_t *x_offset, const float *dy,
                               int pixels, const int32_t *tap_offset, int taps, int channels)
{
    for (int t = 0; t < taps; t++) {
        for (int c = 0; c < channels; c++) {
            float sum = 0.0f;
            for (int p = 0; p < pixels; p++)
                sum += x[x_offset[p] + tap_offset[t] + c] * dy[(int64_t)p * channels + c];
            dw[(int64_t)t * channels + c] += sum;
        }
    }
}

const struct dc_kernels dc__kernels_scalar = {
    .conv_panels = conv_panels,
    .conv_gradient = conv_gradient,
    .depthwise = depthwise,
    .depthwise_gradient = depthwise_gradient,
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
