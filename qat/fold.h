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

// Cross-layer equalization: Nagel et al., arXiv:1906.04721, section 4.1. Where one convolution or
// dense layer alone reads another through what commutes with positive factors (relu, pools,
// flatten, quantizers that are off), each channel i between them is divided by s = sqrt(r1 / r2) in
// the first (weights, bias, beta) and multiplied by it in the second; r: the largest magnitude of
// the weights that make and read the channel. Channels where one is 0 stay. Goes over all pairs
// `rounds` times. Batch normalization must be folded. *pairs: how many there are.
void dc_equalize(int *pairs, const struct dc_graph *graph, struct dc_params *params, int rounds);

// The parameter that adds to each output channel of layer i: beta of the batch normalization that
// alone reads it, else its bias, else NULL. *end: the node that owns it, or i.
float *dc__layer_bias(int *end, const struct dc_graph *graph, const struct dc_params *params,
                      int i);

#endif
