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

#include "core/epilogue.h"
#include "core/op.h"
#include "core/ops/ops.h"

// The least step of any grid, 2^-23: what a zero range, a zero kernel or a zero gamma gets. It is
// PyTorch's float32 epsilon.
#define DC_STEP_FLOOR 0x1p-23f

// Codes of b bits are [-2^(b-1), 2^(b-1) - 1]; those of weights leave out the lowest.
static inline int dc_code_low(int bits)
{
    return -(1 << (bits - 1));
}
static inline int dc_code_high(int bits)
{
    return (1 << (bits - 1)) - 1;
}

// Asymmetric codes over [min(0, minimum), max(0, maximum)]: step = (max - min) / (2^bits - 1) in
// float32, at least DC_STEP_FLOOR; zero_point = lowest code - rint(min / step), clamped. As PyTorch
// 1.13.
struct dc_grid dc_grid_of_range(float minimum, float maximum, int bits);

// The least power of two that is at least `step` (finite, positive), and the nearest one in ratio.
float dc_power_of_two_above(float step);
float dc_power_of_two_near(float step);

// Quantization as part of an epilogue: y = (q - zero_point) * step, q = clamp(rint(x *
// inverse_step) + zero_point); the gradient passes where nothing is clamped. NaN stays NaN.
void dc_epilogue_quantize(struct dc_epilogue *epilogue, struct dc_grid grid);

enum dc_observer {
    DC_OBSERVER_MOVING_AVERAGE,  // range += constant * (batch - range); the first batch sets it
    DC_OBSERVER_MIN_MAX,         // the widest range ever seen
    // Found in calibration from a histogram (observe.h), kept in training.
    DC_OBSERVER_PERCENTILE,
    DC_OBSERVER_MSE,
    DC_OBSERVER_ENTROPY
};

// Where the step of activations comes from. With what is trained, the range stays as calibrated:
// it gives the first value and the zero point, which is kept.
enum dc_activation_scaling {
    DC_STEP_OF_RANGE,
    DC_STEP_LEARNED,  // LSQ, Esser et al., arXiv:1902.08153: a parameter "step", whose gradient is
                      // divided by sqrt(values of a sample * largest code above the zero point)
    DC_STEP_CLIPPED   // PACT, Choi et al., arXiv:1805.06085: a parameter "clip", the greatest value
                      // of the grid, which takes the gradients of what lies beyond it
};

// Parameter: range [3] = minimum, maximum, seen (role observer); and where it is trained, the step
// or clip [1] (role quantizer), which counts by its size and stays positive so. A range that is not
// finite is DC_ERR_NUMERIC; so is quantizing before anything was seen, or calibrated.
struct dc_fake_quantize_attributes {
    enum dc_observer observer;
    float constant;     // of the moving average, in (0, 1]
    int bits;           // 8, or fewer
    double percentile;  // of that observer, in (0.5, 1]
    enum dc_activation_scaling scaling;
    float clip_decay;  // of DC_STEP_CLIPPED: the loss has clip_decay * clip^2 added
    // The step is a power of two: of a range, that above, of a trained one the nearest; gradients
    // are those of the step that is used.
    bool power_of_two;
    float fixed_low, fixed_high;  // a range that is not observed; equal: there is none
    bool symmetric;               // zero point 0, step = max |range| / largest code
    enum dc_code_rounding rounding;
};
enum { DC_RANGE_MIN, DC_RANGE_MAX, DC_RANGE_SEEN, DC_RANGE_COUNT };

struct dc_params;
// Whether the range is fixed, or was seen and is finite.
bool dc_has_range(const struct dc_node *node, const struct dc_params *params);
// The grid of a fake_quantize node as its parameters are; it must have a range.
struct dc_grid dc_grid_of_node(const struct dc_node *node, const struct dc_params *params);
// Starts a trained step or clip from the range; nothing for other nodes.
void dc_start_step(const struct dc_node *node, const struct dc_params *params);

// Weights: symmetric, codes in [-high, high], high = 2^(bits-1) - 1, a scale per output channel or
// one for the kernel. Where the scale comes from:
enum dc_weight_scaling {
    DC_SCALE_OF_WEIGHTS,  // max |w| / high at every step: nothing is clamped
    DC_SCALE_KEPT,        // a parameter that calibration sets (observe.h)
    DC_SCALE_LEARNED      // a parameter that calibration sets and training moves: LSQ, Esser et
                          // al., arXiv:1902.08153. The scale is |parameter|, so it stays positive;
                          // its gradient is divided by sqrt(weights of the scale * high)
};
// The gradient passes where nothing is clamped. KEPT and LEARNED have a parameter "scale"
// [channels] behind the float op's (role observer or quantizer); 0: not calibrated, an error.
struct dc_weight_quantizer {
    bool per_channel;
    int bits;  // 8, 4 or 2
    enum dc_weight_scaling scaling;
    enum dc_observer observer;  // of KEPT and LEARNED: min_max, percentile or mse
    double percentile;          // of |w|, in (0, 1]
    bool power_of_two;          // scales are, as steps of activations
    // Of scales of weights: they grow until sums of a channel, over inputs of input_bits, fit three
    // quarters of the accumulator; the rest is the bias's. 0: 32 bits, nothing grows.
    int accumulator_bits, input_bits;
    // Behind all other parameters stands "oscillation" (role observer; oscillation.h).
    bool tracks;
};

// What sum |code| of a channel, and its bias, may be; 0 for 32 bits.
static inline double dc_sum_limit(const struct dc_weight_quantizer *quantizer)
{
    return quantizer->accumulator_bits == 0
               ? 0.0
               : 0.75 * (double)(INT64_C(1) << (quantizer->accumulator_bits - 1)) /
                     (double)((1 << quantizer->input_bits) - 1);
}
static inline double dc_bias_limit(const struct dc_weight_quantizer *quantizer)
{
    return quantizer->accumulator_bits == 0
               ? 0.0
               : 0.25 * (double)(INT64_C(1) << (quantizer->accumulator_bits - 1)) - 1.0;
}

// scale = max |w| / high, at least the floor and what the accumulator asks for. weights: [taps,
// channels]; scales: [channels].
void dc_weight_scales(float *scales, const float *weights, int64_t taps, int channels,
                      const struct dc_weight_quantizer *quantizer);
// The code of a weight under its scale: rint(w * (1 / scale)), clamped to +-high.
static inline float dc_weight_code(float weight, float scale, float high)
{
    const float code = rintf(weight * (1.0f / scale));
    return code < -high ? -high : code > high ? high : code;
}
// The scale that a kept or learned parameter stands for.
static inline float dc_kept_scale(float parameter, const struct dc_weight_quantizer *quantizer)
{
    const float size = fabsf(parameter), scale = size < DC_STEP_FLOOR ? DC_STEP_FLOOR : size;
    return quantizer->power_of_two ? dc_power_of_two_near(scale) : scale;
}

// Weights of one output channel of `op`, a convolution or a dense layer, as the op itself declares
// them: kernel rows x columns x input channels of a group, or the values on the last axis.
int64_t dc_weight_taps(const struct dc_op *op, const struct dc_node *node,
                       const struct dc_shape *in);

struct dc_params;
// The scales of a quantized_conv or quantized_dense as its parameters are: [channels].
void dc_node_weight_scales(float *scales, const struct dc_node *node,
                           const struct dc_params *params);

// The float op's attributes come first, so that a quantized node passes for its float one.
struct dc_quantized_conv_attributes {
    struct dc_conv_attributes conv;
    struct dc_weight_quantizer weights;
};
struct dc_quantized_dense_attributes {
    struct dc_dense_attributes dense;
    struct dc_weight_quantizer weights;
};

// The quantizer of a quantized_conv or quantized_dense; NULL of other nodes. *scale: which of the
// node's parameters its scale is, or -1.
const struct dc_weight_quantizer *dc_node_weight_quantizer(int *scale, const struct dc_node *node);

extern const struct dc_op dc_op_fake_quantize;    // struct dc_fake_quantize_attributes
extern const struct dc_op dc_op_quantized_conv;   // struct dc_quantized_conv_attributes
extern const struct dc_op dc_op_quantized_dense;  // struct dc_quantized_dense_attributes

#endif
