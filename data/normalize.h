// Normalization: from raw values to what a network reads.
//
//   uint8 sources:    y = (x / 255 - mean[c]) / deviation[c]
//   float32 sources:  y = (x - mean[c]) / deviation[c]
//
// computed as x * scale[c] + shift[c] in float32, multiply then add; scale and shift are rounded
// once from double. It comes after augmentation, so what augmentation fills with zero is raw zero.

#ifndef DC_DATA_NORMALIZE_H
#define DC_DATA_NORMALIZE_H

#include "core/preprocessing.h"
#include "core/source.h"

// channels fits the source and every deviation is a finite number above 0; else DC_ERR_CONFIG.
DC_MUST_USE enum dc_status dc_normalization_check(const struct dc_normalization *normalization,
                                                  const struct dc_source *source,
                                                  struct dc_error *error);

void dc_normalization_coefficients(float *scale, float *shift,
                                   const struct dc_normalization *normalization,
                                   enum dc_dtype dtype, int channel);

// Mean and population deviation per channel over the given samples, in the units above, accumulated
// in double. Images of rank 3 have their own channels, other samples share one. A channel that is
// constant gets deviation 1. Non-finite values are DC_ERR_DATA and name the sample.
DC_MUST_USE enum dc_status dc_dataset_statistics(struct dc_normalization *normalization,
                                                 const struct dc_source *source, const int64_t *ids,
                                                 int64_t count, struct dc_error *error);

// Raw values of a sample as floats. values: [n] of the source's type.
void dc_values_to_float(float *out, const void *values, enum dc_dtype dtype, int64_t n);

#endif
