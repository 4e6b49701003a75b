// An integer model as ONNX, in QDQ form: float operators between QuantizeLinear and
// DequantizeLinear, which ONNX Runtime and others fuse into integer ones.
//
// Operator set 13, signed int8 activations and weights, weights per output channel (axis 0) as
// codes behind a DequantizeLinear, int32 biases at scale s_in * s_w. The input and the output are
// floats, [batch, channels, height, width], the batch open; a vector is [batch, channels].
//
// What the file promises: every scale, zero point and code is the model's own; every layer ends in
// a QuantizeLinear at the model's scale. What it cannot promise: equal bits. ONNX rounds half to
// even from a float, profiles round integers, so that a layer may differ by one code where the
// exact result lies close to a half, and a runtime may fuse as it likes. A clamp that int8's own
// range does not make is a Clip between two equal quantizations, which changes no other code.

#ifndef DC_EXPORT_ONNX_H
#define DC_EXPORT_ONNX_H

#include "qat/imodel.h"

// The file appears whole.
DC_MUST_USE enum dc_status dc_export_onnx(const char *path, const struct dc_imodel *model,
                                          struct dc_error *error);

#endif
