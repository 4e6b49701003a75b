// Fake quantization: float values that a target's codes can hold, so that training feels them.
//
// Owns the grid of a value (scale and zero point from an observed range), the op that observes and
// rounds activations, and convolution and dense with weights rounded on the way in. Gradients pass
// straight through where a value lies inside its grid (Bengio et al., arXiv:1308.3432).
// Which nodes get a quantizer is quantize.h's; integers are lower.h's.
//
// Observers look at the batch in training unless step->freeze_observers, and in inference only
// where step->quantizers_off is set: that is calibration (calibrate.h).

#ifndef DC_QAT_FAKE_QUANTIZE_H
#define DC_QAT_FAKE_QUANTIZE_H

#include <math.h>

#include "core/op.h"
#include "core/ops/ops.h"

// The least step of any grid, 2^-23: what a zero range, a zero kernel or a zero gamma gets. It is
// PyTorch's float32 epsilon.
#define DC_STEP_FLOOR 0x1p-23f

enum { DC_CODE_LOW = -128, DC_CODE_HIGH = 127, DC_WEIGHT_HIGH = 127 };

// Asymmetric int8 over [min(0, minimum), max(0, maximum)]: step = (max - min) / 255 in float32, at
// least DC_STEP_FLOOR; zero_point = -128 - rint(min / step), clamped. As PyTorch 1.13.
struct dc_grid dc_grid_of_range(float minimum, float maximum);

// Quantization as part of a tail: y = (q - zero_point) * step, q = clamp(rint(x * inverse_step) +
// zero_point); the gradient passes where nothing is clamped. NaN stays NaN.
void dc_tail_quantize(struct dc_tail *tail, struct dc_grid grid);

enum dc_observer {
    DC_OBSERVER_MOVING_AVERAGE,  // range += constant * (batch - range); the first batch sets it
    DC_OBSERVER_MIN_MAX          // the widest range ever seen
};

// Parameter: range [3] = minimum, maximum, seen (role observer). A range that is not finite is
// DC_ERR_NUMERIC; so is quantizing before anything was seen.
struct dc_fake_quantize_attributes {
    enum dc_observer observer;
    float constant;  // of the moving average, in (0, 1]
};
enum { DC_RANGE_MIN, DC_RANGE_MAX, DC_RANGE_SEEN, DC_RANGE_COUNT };

// Weights: symmetric, codes in [-127, 127], scale = max |w| / 127 (at least the floor) per output
// channel or over the whole kernel. No weight is ever clamped, so the gradient passes everywhere.
// weights: [taps, channels]; scales: [channels].
void dc_weight_scales(float *scales, const float *weights, int64_t taps, int channels,
                      bool per_channel);
// The code of a weight under its scale: rint(w * (1 / scale)).
static inline float dc_weight_code(float weight, float scale)
{
    return rintf(weight * (1.0f / scale));
}

// The float op's attributes come first, so that a quantized node passes for its float one.
struct dc_quantized_conv_attributes {
    struct dc_conv_attributes conv;
    bool per_channel;
};
struct dc_quantized_dense_attributes {
    struct dc_dense_attributes dense;
    bool per_channel;
};

extern const struct dc_op dc_op_fake_quantize;    // struct dc_fake_quantize_attributes
extern const struct dc_op dc_op_quantized_conv;   // struct dc_quantized_conv_attributes
extern const struct dc_op dc_op_quantized_dense;  // struct dc_quantized_dense_attributes

#endif
