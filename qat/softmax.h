// Softmax of codes, over the channels of each position. Outputs stand at scale 1/256, zero point
// -128, as TensorFlow Lite has them: round(256 * exp(x_c) / sum exp(x)).
//
// With the largest code taken off, an exponential depends on one difference of codes alone, so that
// 256 of them serve a layer: exponentials[255 + d] = exp(s_in * d), d = code - largest <= 0.
//
// dc_profile_rounding says which of three arithmetics computes the rest:
//   fixed_point  exponentials are fractions of 2^31, summed in units of 2^-19 and divided by
//                Newton's steps; below about exp(-31) they are 0. So TFLM, CMSIS-NN and LiteRT's
//                reference kernels (TFLite kernels/internal/reference/softmax.h, gemmlowp
//                fixedpoint.h).
//   16_bits      exponentials are fractions of 65535, summed exactly; 256 / sum in float32 becomes
//   a
//                multiplier that rounds twice. So LiteRT's built-in kernel on 64-bit ARM
//                (SoftmaxInt8LUT in kernels/internal/optimized/optimized_ops.h).
//   otherwise    exponentials are float32: e * (1 / (sum / 256)), the sum in order of the channels,
//                a half upward. So that kernel elsewhere (Softmax in the same file); and profiles
//                that no runtime's code is known of.
// LiteRT's built-in kernel also serves its XNNPACK delegate.

#ifndef DC_QAT_SOFTMAX_H
#define DC_QAT_SOFTMAX_H

#include "qat/profile.h"

enum {
    DC_EXPONENTIALS = 256,
    DC_SOFTMAX_ZERO_POINT = -128,
    DC_SOFTMAX_CHANNELS_MAX = 4095  // of sums that stay in int32
};
#define DC_SOFTMAX_SCALE 0x1p-8f

// Integers or float32, all exact in double. exponentials: [DC_EXPONENTIALS].
void dc_fill_exponentials(double *exponentials, const struct dc_ilayer *input,
                          const struct dc_profile *profile);

// Whether the profile's exponentials are integers.
bool dc_softmax_of_integers(const struct dc_profile *profile);

// One position: codes and x are [layer->channels].
void dc_softmax(int8_t *codes, const int8_t *x, const struct dc_ilayer *layer,
                const struct dc_profile *profile);

#endif
