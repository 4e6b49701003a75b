// What profile.c and profile_litert.c share: the last steps of a requantization, and the kernels
// that several targets have in common. Internal to qat/.

#ifndef DC_QAT_PROFILE_INTERNAL_H
#define DC_QAT_PROFILE_INTERNAL_H

#include <math.h>

#include "qat/profile.h"

enum { ADD_LEFT_SHIFT = 20, SHIFT_MAX_DOUBLE = 1024, SHIFT_MAX_SINGLE = 30, SHIFT_MAX_EVEN = 60 };

// Compared before the zero point is added, so that nothing overflows.
static inline int8_t dc__finish(int32_t value, const struct dc_ilayer *layer)
{
    const int32_t low = layer->clamp_low - layer->zero_point;
    const int32_t high = layer->clamp_high - layer->zero_point;
    return (int8_t)((value < low ? low : value > high ? high : value) + layer->zero_point);
}

static inline float dc__factor_of(const struct dc_ilayer *layer, int i)
{
    return ldexpf((float)layer->multipliers[i], layer->shifts[i] - 31);
}

// Beyond int8 by far is far enough: the clamp comes next.
static inline int32_t dc__nearest_even(float value)
{
    const float limited = value < -0x1p20f ? -0x1p20f : value > 0x1p20f ? 0x1p20f : value;
    return (int32_t)rintf(limited);
}

// As the fields of struct dc_profile that they stand for.
void dc__tflm_derive(struct dc_ilayer *layer, const struct dc_ilayer *const *inputs);
void dc__tflm_requantize(int8_t *codes, const int32_t *accumulators, const struct dc_ilayer *layer,
                         const struct dc_ilayer *input);
void dc__tflm_add(int8_t *codes, int32_t *sums, const int8_t *a, const int8_t *b,
                  const struct dc_ilayer *layer, int zero_point_a, int zero_point_b, int64_t first,
                  int count);
void dc__tflm_multiply(int8_t *codes, const int32_t *products, const struct dc_ilayer *layer,
                       int count);
void dc__tflm_mean(int8_t *codes, const int32_t *accumulators, const struct dc_ilayer *layer,
                   const struct dc_ilayer *input);
void dc__average(int8_t *codes, const int32_t *sums, const struct dc_ilayer *layer, int taps);
void dc__even_derive(struct dc_ilayer *layer, const struct dc_ilayer *const *inputs);
void dc__even_requantize(int8_t *codes, const int32_t *accumulators, const struct dc_ilayer *layer,
                         const struct dc_ilayer *input);

// Multipliers of a layer with weights. float_product: of fully connected layers with one weight
// scale, s_in * s_w is rounded to float32 first.
void dc__derive_weighted(struct dc_ilayer *layer, const struct dc_ilayer *input, int shift_max,
                         bool float_product);

// The multiplier of s_a * s_b / s_out, in double or left to right in float32.
void dc__derive_product(struct dc_ilayer *layer, const struct dc_ilayer *const *inputs,
                        int shift_max, bool in_float);

extern const struct dc_profile dc__profile_litert_reference, dc__profile_litert_xnnpack,
    dc__profile_litert_arm64, dc__profile_litert_builtin;

#endif
