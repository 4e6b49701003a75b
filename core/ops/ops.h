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
#include "core/window.h"

// Parameters: weight [kernel_h, kernel_w, in / groups, filters], bias [filters].
// Filter f reads the input channels of group f / (filters / groups).
struct dc_conv_attributes {
    struct dc_window window;
    int filters;
    int groups;  // 1: full; the number of input channels: depthwise
    bool bias;
};

// The gradient of a convolution with the same numbers from [.., filters] to [.., in], used forward:
// out = (in - 1) * stride - pad_before - pad_after + dilation * (kernel - 1) + output_padding + 1.
// Parameters: weight [kernel_h, kernel_w, filters / groups, in], bias [filters].
struct dc_conv_transpose_attributes {
    struct dc_conv_attributes conv;
    int output_padding_h, output_padding_w;  // below the stride
};

// Input [batch, ..., in] -> [batch, ..., units]. Parameters: weight [in, units], bias [units].
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

// Over the last `axes` axes, together. Parameters gamma and beta of these axes' shape, with affine.
// y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, variance biased. arXiv:1607.06450.
struct dc_layer_norm_attributes {
    int axes;  // from 1
    float epsilon;
    bool affine;
};

// The same over everything between batch and channels, and the channels of a group, of [batch, ...,
// channels]. Parameters gamma, beta: [channels]. arXiv:1803.08494; groups = channels: instance
// normalization.
struct dc_group_norm_attributes {
    int groups;
    float epsilon;
};

// Max pooling ignores padding. Average pooling divides by the taps inside the input, or, with
// count_padding, by those inside input and padding, of which the uncounted last ones
// (part of the padding: what a ceiling mode adds) do not count.
struct dc_pool_attributes {
    struct dc_window window;
    bool count_padding;  // of average pooling
    int uncounted[2];    // of average pooling: places of the padding after that never count
};

// Zeros around height and width, and before and after the channels.
struct dc_pad_attributes {
    int top, bottom, left, right;
    int before, after;
};

// Any axes, before and after; entry k is of axis k + 1. REFLECT leaves out the edge value itself.
enum dc_pad_mode { DC_PAD_CONSTANT, DC_PAD_REFLECT, DC_PAD_EDGE };
struct dc_pad_axes_attributes {
    int before[DC_RANK_MAX - 1], after[DC_RANK_MAX - 1];
    enum dc_pad_mode mode;
    float value;  // of CONSTANT
};

// Indices begin, begin + step, ... below end of one axis (not the batch).
// step >= 1: 0 <= begin < end <= size. step <= -1: size > begin > end >= -1, downwards.
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

struct dc_softmax_attributes {
    int axis;  // from 1; negative counts from the last; 0 or without attributes: the last
};

// Output axis k is input axis axes[k]; axes[0] is 0, the batch.
struct dc_transpose_attributes {
    int axes[DC_RANK_MAX];
};

// New dimensions of a row, to which those of the input (aligned at the last, sizes equal or 1) are
// repeated. The input may be a constant: every row is it.
struct dc_expand_attributes {
    int rank;  // of dims
    int64_t dims[DC_RANK_MAX - 1];
};

// y[.., i, ..] = x[.., indices[i], ..]. Parameter: indices [count], whole numbers below the axis'
// size (DC_ROLE_STATISTIC: kept with the network, not trained); one outside is an error of forward.
struct dc_gather_attributes {
    int axis;  // from 1; negative counts from the last
    int64_t count;
};

// Over a set of axes: bit k of `axes` is axis k, not the batch. Without `keep` they disappear.
// The gradient of a maximum goes to the first of equals.
struct dc_reduce_attributes {
    unsigned axes;
    bool keep;  // as size 1
};

// Height and width of [batch, height, width, channels]. A pixel i of the output lies at
//   HALF_PIXEL          (i + 1/2) / scale - 1/2
//   PYTORCH_HALF_PIXEL  the same; 0 where the output has one pixel
//   ASYMMETRIC          i / scale
//   ALIGN_CORNERS       i (in - 1) / (out - 1); 0 where the output has one pixel
// of the input; beyond the edge is the edge. As ONNX's Resize.
enum dc_coordinates {
    DC_HALF_PIXEL,
    DC_PYTORCH_HALF_PIXEL,
    DC_ASYMMETRIC,
    DC_ALIGN_CORNERS,
    DC_COORDINATES_COUNT
};
enum dc_resize_mode {
    DC_RESIZE_LINEAR,
    DC_RESIZE_ROUND_DOWN,  // nearest; a half goes down (round_prefer_floor)
    DC_RESIZE_ROUND_UP,
    DC_RESIZE_FLOOR,
    DC_RESIZE_CEIL,
    DC_RESIZE_MODE_COUNT
};
struct dc_resize_attributes {
    int height, width;
    double scale_h, scale_w;  // 0: out / in
    enum dc_coordinates coordinates;
    enum dc_resize_mode mode;
};

// op(a) op(b), op the exchange of the last two axes where asked for: [batch, .., m, k] by
// [batch, .., k, n]. The axes before are broadcast; one of the inputs may be a constant.
struct dc_matmul_attributes {
    bool transpose_a, transpose_b;
};

// A value without inputs: [1, ...], the same for every row. Parameter: value. Readers that take it:
// those with DC_OP_CONSTANT_INPUTS.
struct dc_constant_attributes {
    struct dc_shape shape;  // dims[0] is 1
    enum dc_role role;      // WEIGHT, BIAS, NORM: trained; STATISTIC: fixed
};

// x < 0 ? slope * x : x
struct dc_leaky_relu_attributes {
    float slope;
};
// x > 0 ? x : alpha * (exp(x) - 1)
struct dc_elu_attributes {
    float alpha;
};
// min(max(alpha * x + beta, 0), 1)
struct dc_hard_sigmoid_attributes {
    float alpha, beta;
};
// min(max(x, low), high), low < high; the gradient passes strictly inside
struct dc_clip_attributes {
    float low, high;
};
struct dc_pow_attributes {
    float exponent;
};

// Zeroes a value with probability `rate` and divides the others by 1 - rate; nothing in inference.
struct dc_dropout_attributes {
    float rate;  // in [0, 1)
};

// code = round(real / scale) + zero_point, halves to even, clamped; real = scale * (code -
// zero_point). Codes lie in float32.
struct dc_quantize_attributes {
    float scale;
    int zero_point;
    int bits;                   // that a code needs in memory and files: 2 to 8
    int clamp_low, clamp_high;  // of quantize: codes
};

// forward and backward of ops that give forward_rows and backward_rows: those, chunk by chunk.
DC_MUST_USE enum dc_status dc_rows_forward(const struct dc_op_call *call, struct dc_error *error);
DC_MUST_USE enum dc_status dc_rows_backward(const struct dc_op_call *call, struct dc_error *error);

// backward of ops whose backward_rows always adds: input gradients are zeroed first where they are
// to be written; those of constants and parameters are summed per chunk in the scratch, then over
// the fixed tree. It adds to row r of input i at dc_input_target(..)->at + (r - rows.first) * row,
// and to parameter p at dc_param_target; NULL: not wanted.
struct dc_target {
    float *at;
    int64_t row;  // 0 of a constant
};
DC_MUST_USE enum dc_status dc_adding_backward(const struct dc_op_call *call,
                                              struct dc_error *error);
void dc_adding_memory(struct dc_op_memory *memory, const struct dc_node *node,
                      const struct dc_shape *in, const struct dc_shape *out,
                      const struct dc_ctx *ctx);
struct dc_target dc_input_target(const struct dc_op_call *call, int input, struct dc_rows rows);
float *dc_param_target(const struct dc_op_call *call, int param, struct dc_rows rows);
// A number below ctx->chunks for the rows of a chunk that has some, different for each.
int dc_chunk_of(const struct dc_op_call *call, struct dc_rows rows);

// Whether the input is a constant, one row for all of several.
bool dc_is_shared(const struct dc_op_call *call, int input);
// 1 .. rank - 1 for a valid axis behind the batch, else 0. Negative axes count from the last.
int dc_axis_of(int axis, int rank);
// Product of the dimensions [first, end).
int64_t dc_shape_product(const struct dc_shape *shape, int first, int end);

// The descriptor of an op with rows, whose file calls them so; what follows are designated fields.
#define DC_ADDING_OP(name_, inputs_min_, inputs_max_, ...)                                         \
    {                                                                                              \
        .name = name_, .inputs_min = inputs_min_, .inputs_max = inputs_max_,                       \
        .memory = dc_adding_memory, .forward = dc_rows_forward, .backward = dc_adding_backward,    \
        .forward_rows = forward_rows, .backward_rows = backward_rows, __VA_ARGS__                  \
    }
#define DC_ROW_OP(name_, inputs_min_, inputs_max_, ...)                                            \
    {                                                                                              \
        .name = name_, .inputs_min = inputs_min_, .inputs_max = inputs_max_,                       \
        .forward = dc_rows_forward, .backward = dc_rows_backward, .forward_rows = forward_rows,    \
        .backward_rows = backward_rows, __VA_ARGS__                                                \
    }

// Convolution and dense layers.
extern const struct dc_op dc_op_conv;            // struct dc_conv_attributes
extern const struct dc_op dc_op_conv_transpose;  // struct dc_conv_transpose_attributes
extern const struct dc_op dc_op_dense;           // struct dc_dense_attributes
extern const struct dc_op dc_op_matmul;          // struct dc_matmul_attributes

// Normalization.
extern const struct dc_op dc_op_batch_norm;  // struct dc_batch_norm_attributes
extern const struct dc_op dc_op_layer_norm;  // struct dc_layer_norm_attributes
extern const struct dc_op dc_op_group_norm;  // struct dc_group_norm_attributes

// Functions of one value.
extern const struct dc_op dc_op_relu;          // max(x, 0)
extern const struct dc_op dc_op_relu6;         // min(max(x, 0), 6)
extern const struct dc_op dc_op_clip;          // struct dc_clip_attributes
extern const struct dc_op dc_op_leaky_relu;    // struct dc_leaky_relu_attributes
extern const struct dc_op dc_op_prelu;         // parameter slope [channels]: x < 0 ? slope * x : x
extern const struct dc_op dc_op_sigmoid;       // 1 / (1 + exp(-x))
extern const struct dc_op dc_op_hard_sigmoid;  // struct dc_hard_sigmoid_attributes
extern const struct dc_op dc_op_tanh;
extern const struct dc_op dc_op_h_swish;    // x * relu6(x + 3) / 6, arXiv:1905.02244
extern const struct dc_op dc_op_silu;       // x * sigmoid(x)
extern const struct dc_op dc_op_elu;        // struct dc_elu_attributes, arXiv:1511.07289
extern const struct dc_op dc_op_softplus;   // ln(1 + exp(x))
extern const struct dc_op dc_op_gelu;       // x * (1 + erf(x / sqrt 2)) / 2, arXiv:1606.08415
extern const struct dc_op dc_op_gelu_tanh;  // x * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
extern const struct dc_op dc_op_erf;
extern const struct dc_op dc_op_exp;
extern const struct dc_op dc_op_log;
extern const struct dc_op dc_op_sqrt;
extern const struct dc_op dc_op_pow;         // struct dc_pow_attributes
extern const struct dc_op dc_op_negate;      // -x
extern const struct dc_op dc_op_abs;         // |x|
extern const struct dc_op dc_op_reciprocal;  // 1 / x
extern const struct dc_op dc_op_softmax;     // struct dc_softmax_attributes or NULL: the last axis
extern const struct dc_op dc_op_dropout;     // struct dc_dropout_attributes

// Of two values. The axes of their rows are aligned at the last and broadcast as NumPy's; the batch
// stays the batch. One of them may be a constant. A maximum's gradient goes to the first of equals.
extern const struct dc_op dc_op_add;  // of 2 or more equal shapes, left to right: no broadcasting
extern const struct dc_op dc_op_broadcast_add;
extern const struct dc_op dc_op_subtract;
extern const struct dc_op dc_op_multiply;
extern const struct dc_op dc_op_divide;
extern const struct dc_op dc_op_maximum;
extern const struct dc_op dc_op_minimum;

// Pooling and reductions.
extern const struct dc_op dc_op_max_pool;             // struct dc_pool_attributes
extern const struct dc_op dc_op_average_pool;         // struct dc_pool_attributes
extern const struct dc_op dc_op_global_average_pool;  // [batch, h, w, c] -> [batch, c]
extern const struct dc_op dc_op_reduce_mean;          // struct dc_reduce_attributes
extern const struct dc_op dc_op_reduce_sum;           // struct dc_reduce_attributes
extern const struct dc_op dc_op_reduce_max;           // struct dc_reduce_attributes

// What moves values.
extern const struct dc_op dc_op_constant;   // struct dc_constant_attributes
extern const struct dc_op dc_op_concat;     // struct dc_concat_attributes
extern const struct dc_op dc_op_pad;        // struct dc_pad_attributes
extern const struct dc_op dc_op_pad_axes;   // struct dc_pad_axes_attributes
extern const struct dc_op dc_op_slice;      // struct dc_slice_attributes
extern const struct dc_op dc_op_flatten;    // [batch, ...] -> [batch, values]
extern const struct dc_op dc_op_reshape;    // struct dc_reshape_attributes
extern const struct dc_op dc_op_transpose;  // struct dc_transpose_attributes
extern const struct dc_op dc_op_expand;     // struct dc_expand_attributes
extern const struct dc_op dc_op_gather;     // struct dc_gather_attributes
extern const struct dc_op dc_op_resize;     // struct dc_resize_attributes

// Between reals and codes, in networks that are done (core/network.h): not in dc_op_table.
extern const struct dc_op dc_op_quantize;    // struct dc_quantize_attributes
extern const struct dc_op dc_op_dequantize;  // struct dc_quantize_attributes

#endif
