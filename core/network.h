// A network as it goes from one folder to another: a graph, its parameters, its ends, and where it
// is quantized, what stands for its numbers.
//
// In a quantized network every value that is stored is made by an op `quantize` and read through an
// op `dequantize` (core/ops/ops.h); between the two stands one float op, or several that only move
// values. So the graph says in float ops what integers compute, and each reader makes of it what it
// needs: a file with QuantizeLinear and DequantizeLinear (formats/onnx_write.h), a file of integer
// operators (formats/tflite_write.h), a simulation (qat/simulate.h). Weights and biases are codes.

#ifndef DC_CORE_NETWORK_H
#define DC_CORE_NETWORK_H

#include "core/graph.h"
#include "core/params.h"

// Of one parameter: real = scale * code, in the order of the parameter's values, whose last axis is
// the output channel. The last axis of scales is the same.
struct dc_codes {
    const int8_t *weights;  // of at most 8 bits; NULL: biases
    const int32_t *biases;  // NULL: weights
    int bits;               // of weights, 2 to 8
    bool packed;            // weights of at most 4 bits lie two a byte in files
    bool per_channel;       // false: all scales are equal
    bool by_channel;        // of a convolution of one channel that is a depthwise one in its file
    const float *scales;    // [output channels]
    int channels;
};

struct dc_network {
    struct dc_graph *graph;
    struct dc_params *params;
    int input, output;       // nodes
    struct dc_codes *codes;  // [params->count]; NULL: a float network
};

// The inference form (dc_fold_for_inference) of a float network from node `input` to `output`.
DC_MUST_USE enum dc_status dc_network_fold(struct dc_network *network, const struct dc_graph *graph,
                                           const struct dc_params *params, int input, int output,
                                           struct dc_error *error);

// Frees graph and parameters; codes lie in the graph's arena.
void dc_network_free(struct dc_network *network);

// The `quantize` that stores node i's value; NULL: the value is a float, or i is such a node.
const struct dc_node *dc_network_quantizer(const struct dc_network *network, int i);

#endif
