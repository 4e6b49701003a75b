// The ops of the float network: their attributes and descriptors.
//
// Owns what a builder of graphs fills in for each op. A descriptor's `name` is what models and
// messages call it: the identifier without dc_op_. To add an op: its attributes and extern here,
// one row in table.c, one file or a function in a family's file, one oracle in tests/oracles/.
//
// Image values are [batch, height, width, channels]. Windows (convolution and pooling) share
//   out = (in + pad_before + pad_after - dilation * (kernel - 1) - 1) / stride + 1, rounded down.
// An op without attributes is added with NULL.

#ifndef DC_CORE_OPS_OPS_H
#define DC_CORE_OPS_OPS_H

#include "core/op.h"

// Parameters: weight [kernel_h, kernel_w, in / groups, filters], bias [filters].
// Filter f reads the input channels of group f / (filters / groups).
struct dc_conv_attributes {
    int filters;
    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int groups;  // 1: full; the number of input channels: depthwise
    int pad_top, pad_bottom, pad_left, pad_right;
    bool bias;
};

// Input [batch, in]. Parameters: weight [in, units], bias [units].
struct dc_dense_attributes {
    int units;
    bool bias;
};

// Over the last axis. Parameters gamma, beta, mean, variance, each [channels], in this order.
// y = (x - mean) / sqrt(variance + epsilon) * gamma + beta; training takes mean and (biased)
// variance of the batch and moves the running ones: running = (1 - momentum) * running + momentum *
// batch, with the unbiased batch variance, as PyTorch.
struct dc_batch_norm_attributes {
    float epsilon, momentum;
};
enum { DC_GAMMA, DC_BETA, DC_MEAN, DC_VARIANCE };

// Max pooling ignores padding. Average pooling divides by the taps inside the input, or by
// kernel_h * kernel_w with count_padding.
struct dc_pool_attributes {
    int kernel_h, kernel_w, stride_h, stride_w;
    int pad_top, pad_bottom, pad_left, pad_right;
    bool count_padding;  // of average pooling
};

// Zeros around height and width, and before and after the channels.
struct dc_pad_attributes {
    int top, bottom, left, right;
    int before, after;
};

// Indices begin, begin + step, ... below end of one axis (not the batch).
// 0 <= begin < end <= size, step >= 1.
struct dc_slice_attributes {
    int axis;  // from 1; negative counts from the last
    int64_t begin, end, step;
};

// New dimensions of a row: the batch stays in front. One of them may be -1, what is left.
struct dc_reshape_attributes {
    int rank;  // of dims
    int64_t dims[DC_RANK_MAX - 1];
};

struct dc_concat_attributes {
    int axis;  // from 1; negative counts from the last
};

// Zeroes a value with probability `rate` and divides the others by 1 - rate; nothing in inference.
struct dc_dropout_attributes {
    float rate;  // in [0, 1)
};

// forward and backward of ops that give forward_rows and backward_rows: those, chunk by chunk.
DC_MUST_USE enum dc_status dc_rows_forward(const struct dc_op_call *call, struct dc_error *error);
DC_MUST_USE enum dc_status dc_rows_backward(const struct dc_op_call *call, struct dc_error *error);

// The descriptor of such an op, whose file calls them so; what follows are designated fields.
#define DC_ROW_OP(name_, inputs_min_, inputs_max_, ...)                                            \
    {                                                                                              \
        .name = name_, .inputs_min = inputs_min_, .inputs_max = inputs_max_,                       \
        .forward = dc_rows_forward, .backward = dc_rows_backward, .forward_rows = forward_rows,    \
        .backward_rows = backward_rows, __VA_ARGS__                                                \
    }

extern const struct dc_op dc_op_conv;        // struct dc_conv_attributes
extern const struct dc_op dc_op_dense;       // struct dc_dense_attributes
extern const struct dc_op dc_op_batch_norm;  // struct dc_batch_norm_attributes
extern const struct dc_op dc_op_relu;        // max(x, 0)
extern const struct dc_op dc_op_relu6;       // min(max(x, 0), 6)
extern const struct dc_op dc_op_sigmoid;     // 1 / (1 + exp(-x))
extern const struct dc_op dc_op_tanh;
extern const struct dc_op dc_op_h_swish;              // x * relu6(x + 3) / 6, arXiv:1905.02244
extern const struct dc_op dc_op_add;                  // of 2 or more equal shapes, left to right
extern const struct dc_op dc_op_concat;               // struct dc_concat_attributes
extern const struct dc_op dc_op_max_pool;             // struct dc_pool_attributes
extern const struct dc_op dc_op_average_pool;         // struct dc_pool_attributes
extern const struct dc_op dc_op_global_average_pool;  // [batch, h, w, c] -> [batch, c]
extern const struct dc_op dc_op_pad;                  // struct dc_pad_attributes
extern const struct dc_op dc_op_slice;                // struct dc_slice_attributes
extern const struct dc_op dc_op_flatten;              // [batch, ...] -> [batch, values]
extern const struct dc_op dc_op_reshape;              // struct dc_reshape_attributes
extern const struct dc_op dc_op_dropout;              // struct dc_dropout_attributes
extern const struct dc_op dc_op_softmax;              // over the last axis

#endif
