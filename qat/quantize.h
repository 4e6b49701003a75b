// The quantizing pass: a float graph in, the graph that trains under simulated int8 out.
//
// A fake_quantize node named NODE.quant is placed
//   - behind every float input,
//   - behind each chain conv | dense (+ batch_norm) (+ relu | relu6), whose weights are quantized,
//   - behind sigmoid, softmax over channels (fixed steps of 1/256), tanh (1/128) and h_swish,
//   - behind add (+ relu | relu6), global_average_pool, an average_pool over a whole map, and
//   concat.
// max_pool, other average_pools, flatten, reshape, pad, dropout, and relu behind a pool keep the
// quantizer of what they read. What only feeds a concat gets no quantizer of its own: all its
// inputs share the one behind it. Node and slice names stay, so weights copy by name from the float
// network.
//
// Run it on the network before losses are appended. What has no integer form is DC_ERR_CONFIG and
// names the layer: most functions, batch_norm or relu apart from a chain, convolutions in groups.
// What this pass takes, the lowering can.

#ifndef DC_QAT_QUANTIZE_H
#define DC_QAT_QUANTIZE_H

#include "core/graph.h"
#include "qat/fake_quantize.h"

// Other bits for one layer; 0: as the rest.
struct dc_layer_bits {
    const char *name;  // of a convolution or dense layer, or of the node its values come from
    int weights;       // 2 to 8
    int activations;   // of what the layer computes
};

struct dc_quantize_config {
    enum dc_observer observer;
    float constant;         // of the moving average; 0: 0.01
    double percentile;      // of activations; 0: 0.9999
    bool dense_per_tensor;  // one weight scale for a dense layer, for runtimes that need it
    bool conv_per_tensor;   // the same; refused before a batch normalization that stays
    int weight_bits, activation_bits;  // 2 to 8; 0: 8. The network's input always has 8
    int first_last_bits;  // of weights of the first and the last layer, of what the last reads and
                          // of the output; 0: as the rest
    enum dc_weight_scaling weight_scaling;
    enum dc_activation_scaling activation_scaling;  // the input's range is always observed
    float clip_decay;
    bool power_of_two;     // steps and scales
    bool symmetric;        // activations have zero point 0
    int accumulator_bits;  // kernels' sums stay within so many, a quarter of the range left to
                           // biases; 0: 32. With DC_SCALE_OF_WEIGHTS alone; refused where a layer
                           // has too many taps
    // Batch normalization is going to be folded (fold.h), so that one scale for a kernel, or a
    // power of two, stays.
    bool folded;
    bool tracks;                         // weights' oscillation (oscillation.h)
    enum dc_observer weight_observer;    // of kept and learned scales; moving_average: min_max
    double weight_percentile;            // of |w|; 0: 0.9999
    const struct dc_layer_bits *layers;  // go before first_last_bits
    int layer_count;
    enum dc_code_rounding input_rounding;  // of the network's input: the target's (profile.h)
};

// output: a node of `graph`; *quantized_output: its quantized value in the new graph, which is the
// caller's. Only what `output` depends on is kept.
DC_MUST_USE enum dc_status dc_quantize_graph(struct dc_graph **quantized, int *quantized_output,
                                             const struct dc_graph *graph, int output,
                                             const struct dc_quantize_config *config,
                                             struct dc_error *error);

#endif
