// Softmax of codes, over the channels of each position. Outputs stand at scale 1/256, zero point
// -128, as TensorFlow Lite has them: round(256 * exp(x_c) / sum exp(x)).
//
// With the largest code taken off, an exponential depends on one difference of codes alone, so that
// 256 of them serve a layer: exponentials[255 + d] = exp(s_in * d), d = code - largest <= 0.
//   "fixed_point"   (dc_profile_rounding) fractions of 2^31, summed in units of 2^-19, divided by
//   Newton's steps: TFLM,
//                   CMSIS-NN, LiteRT's reference kernels (TFLite kernels/internal/reference
//                   softmax.h, gemmlowp). Below exp(-31 or less) an exponential is 0.
//   else float32    e * (1 / (sum / 256)), sum in order of the channels, a half upward: LiteRT's
//                   built-in kernel (kernels/internal/optimized/optimized_ops.h), which also serves
//                   its XNNPACK delegate. Of profiles that have no runtime's code of their own,
//                   too.

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

// One position: codes and x are [layer->channels].
void dc_softmax(int8_t *codes, const int8_t *x, const struct dc_ilayer *layer,
                const struct dc_profile *profile);

#endif
