// An integer model as a TFLite file.
//
// Int8 in, int8 out, [1, height, width, channels] inside; a last fully connected layer gives
// [1, channels]. Convolutions and maxima whose padding is not TensorFlow's SAME get a PAD (maxima:
// PADV2 of -128) before them. TFLite derives its multipliers from the scales and has its own
// arithmetic on every runtime, so the model's profile should be the runtime's.
//
// Weights of at most 4 bits are INT4 where the profile's runtime computes the same from them, else
// INT8 (docs/integers.md).
//
// What TFLite cannot say is refused with layer and reason: clamps that are no fused activation, an
// average over a padded window that is not SAME.

#ifndef DC_EXPORT_TFLITE_H
#define DC_EXPORT_TFLITE_H

#include "qat/imodel.h"

// normalization: how float inputs become the network's, text for people and programs, kept as the
// file's metadata "normalization"; NULL: none. The file appears whole.
DC_MUST_USE enum dc_status dc_tflite_write(const char *path, const struct dc_imodel *model,
                                           const char *normalization, struct dc_error *error);

// How many layers have weights of at most 4 bits that dc_tflite_write writes as INT8 though the
// model does not ask for it.
int dc_tflite_unpacked(const struct dc_imodel *model);

#endif
