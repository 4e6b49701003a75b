// What is done to a network's weights before they are quantized, without changing what it computes.

#ifndef DC_QAT_FOLD_H
#define DC_QAT_FOLD_H

#include "core/graph.h"
#include "core/params.h"

// Each batch normalization that alone reads a convolution or dense layer, quantized or not, moves
// into it: weights times gamma / sqrt(variance + epsilon), in double. The node stays with gamma 1,
// mean 0 and variance 1 - epsilon, and its beta is the layer's bias, so that weights keep their
// names. gamma is marked as frozen; training must keep the statistics (freeze_batch_norm).
// For scales that batch normalization must not multiply: one for a kernel, powers of two.
// *folded: how many. Folding what is folded changes nothing but the last bits.
void dc_fold_batch_norms(int *folded, const struct dc_graph *graph, struct dc_params *params);

#endif
