// Lowering: a trained quantized graph in, the integer model out.
//
// Batch normalization folds exactly. Codes are those of the unfolded kernel, q = rint(w / s_w,c);
// with f = gamma / sqrt(variance + epsilon), the channel's scale becomes s_w,c * |f|, negative f
// negates its codes, and its bias is round((beta + (bias - mean) * f) / (s_in * scale)), half away
// from zero. What has no such integers is defined:
//   - f == 0, or a scale below DC_STEP_FLOOR: the scale is the floor, codes are re-rounded to it;
//   - a bias that would leave the accumulator's int32: the scale is raised until it fits and the
//     codes are re-rounded. Where all channels share a scale, all are raised.
// ReLU and ReLU6 become clamps: low = max(-128, zp), high = min(127, zp + round(6 / scale)).
// A dense layer over the last axis of a map becomes a convolution of 1 x 1.
// A value's grid is that of the fake_quantize it reaches without further arithmetic.

#ifndef DC_QAT_LOWER_H
#define DC_QAT_LOWER_H

#include "core/graph.h"
#include "core/params.h"
#include "qat/imodel.h"

struct dc_lower_report {
    int layers;
    int floored_channels;  // scale raised to the floor: zero gamma or nearly
    int raised_channels;   // scale raised for a bias outside int32
    int shifted_channels;  // multiplier above 1 whose left shift can leave int32: TFLM would
                           // overflow there, the engine and our exports saturate
};

// quantized: from dc_quantize_graph; input: name of its input node; output: name of the node whose
// quantized value is the output, with or without ".quant". name, provenance: of the model.
DC_MUST_USE enum dc_status dc_lower(struct dc_imodel **model, const struct dc_graph *quantized,
                                    const struct dc_params *params, const char *input,
                                    const char *output, const char *name, const char *provenance,
                                    const struct dc_profile *profile,
                                    struct dc_lower_report *report, struct dc_error *error);

#endif
