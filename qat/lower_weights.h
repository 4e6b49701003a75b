// The integers of one weighted layer. Internal to qat/; lower.h states the rules.

#ifndef DC_QAT_LOWER_WEIGHTS_H
#define DC_QAT_LOWER_WEIGHTS_H

#include "core/op.h"
#include "qat/imodel.h"
#include "qat/lower.h"

// Fills op, window, weights, biases and weight_scales of *layer, whose shape and output grid are
// set. node: quantized_conv or quantized_dense; norm: the batch_norm behind it, or NULL; squash:
// the hard_sigmoid behind that, or NULL, of whose ends the output's clamps are. Arrays are the
// arena's.
DC_MUST_USE enum dc_status
dc__lower_weights(struct dc_ilayer *layer, struct dc_arena *arena, const struct dc_node *node,
                  const struct dc_node *norm, const struct dc_node *squash,
                  const struct dc_params *params, const struct dc_ilayer *input,
                  struct dc_lower_report *report, struct dc_error *error);

#endif
