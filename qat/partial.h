// A quantized graph with only one of its layers quantized, or all but one: what that layer costs.
//
// A layer is what the integers compute at once: a convolution or dense layer with its rounded
// weights and the quantizer behind it; an addition, average or concatenation with its quantizer;
// the input with its quantizer.

#ifndef DC_QAT_PARTIAL_H
#define DC_QAT_PARTIAL_H

#include "core/graph.h"

// layers[node]: the node that begins its layer. Nodes that only pass quantized values on begin one
// of their own, which nothing quantizes. layers: [quantized->count].
void dc_find_layers(int *layers, const struct dc_graph *quantized);
// Whether anything of the layer that begins at this node is quantized.
bool dc_layer_is_quantized(const struct dc_graph *quantized, const int *layers, int layer);

// The graph with rounding left to this layer alone (only), or taken from it (not only). The names
// of nodes and parameters stay, so that values copy by name; observers stay where rounding does.
// layer: a node that begins one; *partial_output: `output` in the new graph, the caller's.
DC_MUST_USE enum dc_status dc_quantize_partly(struct dc_graph **partial, int *partial_output,
                                              const struct dc_graph *quantized, int output,
                                              int layer, bool only, struct dc_error *error);

#endif
