// Passes: a finished graph in, another graph out.

#ifndef DC_CORE_PASSES_H
#define DC_CORE_PASSES_H

#include "core/graph.h"
#include "core/params.h"

// The inference form of a float network: dropout is left out, and a batch normalization whose input
// is a convolution or dense layer that nothing else reads is folded into it (weights times
// gamma / sqrt(variance + epsilon) per output channel, in double; the layer gets a bias). Others
// stay, with their running statistics. A clamp (relu, relu6, clip) that only a max pooling reads
// moves behind it, where there are fewer values and readers can take it as an epilogue; that gives
// the same values. Only nodes that `output` depends on are kept. *output_node: its place in the new
// graph. The new graph and parameters (without gradients) are the caller's.
DC_MUST_USE enum dc_status dc_fold_for_inference(struct dc_graph **folded,
                                                 struct dc_params **folded_params, int *output_node,
                                                 const struct dc_graph *graph,
                                                 const struct dc_params *params, int output,
                                                 struct dc_error *error);

// The same for several nodes whose values are wanted: nodes [count], places [count] in the new
// graph. A layer that is wanted itself is not folded into; of a wanted batch normalization that is
// folded, the place is its layer's, which has the same value.
DC_MUST_USE enum dc_status dc_fold_keeping(struct dc_graph **folded,
                                           struct dc_params **folded_params, int *places,
                                           const struct dc_graph *graph,
                                           const struct dc_params *params, const int *nodes,
                                           int count, struct dc_error *error);

#endif
