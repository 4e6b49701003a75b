// Owns what operators with weights, windows or statistics, and functions of one and two values,
// become. Kernels change the order of their axes alone.

#include <float.h>
#include <string.h>

#include "formats/tflite_read_internal.h"

enum { OPTION_MOST = 1 << 16 };  // of a stride, a dilation, a filter

// Options by name, in the order of tflite_kinds.c.
enum { CONV_PADDING, CONV_STRIDE_W, CONV_STRIDE_H };
enum { POOL_FILTER_W = 3, POOL_FILTER_H, POOL_ACTIVATION };
enum { DENSE_ACTIVATION, DENSE_FORMAT };

// The window: kernel, strides and dilations [w, h], SAME or VALID over an input; and the padding
// that a PAD before it left to it.
static enum dc_status set_window(struct dc_tflite_call *call, struct dc_window *window, int input,
                                 const int64_t kernel[2], const int64_t *dilation)
{
    const int64_t *options = call->o->options;
    const struct dc_shape *in = &call->r->graph->nodes[input].shape;
    const struct dc_tflite_value *value = &call->r->values[call->o->inputs[0]];
    *window = (struct dc_window){.dilation = {1, 1}};
    if (in->rank != 4)
        return dc__tflite_refuse_call(call, "the input is no image of 4 dimensions");
    for (int i = 0; i < 2; i++) {
        const int64_t stride = options[CONV_STRIDE_W + 1 - i],
                      wide = dilation ? dilation[1 - i] : 1;
        if (stride < 1 || stride > OPTION_MOST || wide < 1 || wide > OPTION_MOST || kernel[i] < 1 ||
            kernel[i] > OPTION_MOST)
            return dc__tflite_refuse_call(call,
                                          "strides, dilations and filters are from 1 to 65536");
        window->kernel[i] = (int)kernel[i];
        window->stride[i] = (int)stride;
        window->dilation[i] = (int)wide;
        if (options[CONV_PADDING] == DC_TFLITE_SAME)
            dc_window_pad_same(window, i, in->dims[1 + i], false);
        if (value->padded) {
            window->before[i] = value->before[i];
            window->after[i] = value->after[i];
        }
    }
    if (options[CONV_PADDING] != DC_TFLITE_SAME && options[CONV_PADDING] != DC_TFLITE_VALID)
        return dc__tflite_refuse_call(call, "padding is neither SAME nor VALID");
    return DC_OK;
}

// Weights and bias.

static const struct dc_tflite_tensor *constant_of(const struct dc_tflite_call *call, int k)
{
    const struct dc_tflite_reading *r = call->r;
    return &r->file.tensors[r->values[call->o->inputs[k]].constant];
}

static bool computes_integers(const struct dc_tflite_call *call, int input)
{
    return dc__tflite_is_stored(dc__tensor(call, input)) && dc__tflite_is_stored(dc__result(call));
}

// A constant of this rank whose dimensions are known to fit; its place among the inputs is k.
static enum dc_status want_kernel(struct dc_tflite_call *call, int k, int rank, int input)
{
    if (!dc__tflite_is_constant(call, k))
        return dc__tflite_refuse_call(call, "the weights are computed, not constant");
    const struct dc_tflite_tensor *t = constant_of(call, k);
    if (t->rank != rank || !t->data)
        return dc_fail(call->r->error, DC_ERR_DATA, "the weights '%s' have %d dimensions, not %d",
                       t->name, t->rank, rank);
    if (computes_integers(call, input) &&
        ((t->type != DC_TFLITE_INT8 && t->type != DC_TFLITE_INT4) || t->scale_count == 0 ||
         t->zero_point != 0))
        return dc_fail(call->r->error, DC_ERR_DATA,
                       "the weights '%s' of an integer layer are int8 or int4 with zero point 0",
                       t->name);
    for (int i = 0; i < rank; i++)
        if (t->shape[i] < 1 || t->shape[i] > INT32_MAX / 2)
            return dc_fail(call->r->error, DC_ERR_DATA, "the weights '%s' are empty", t->name);
    return DC_OK;
}

// [out, rows] of the file becomes [rows, out]; out 1: as they lie.
static void turn(void *to, const void *from, int64_t count, int64_t out, int64_t width)
{
    const int64_t rows = count / out;
    for (int64_t i = 0; i < count; i++)
        memcpy((char *)to + (i % rows * out + i / rows) * width, (const char *)from + i * width,
               (size_t)width);
}

// out: the axis that comes first in the file, 1 of a depthwise kernel; channels: of the output.
static enum dc_status set_kernel(struct dc_tflite_call *call, int node, int k, int64_t out,
                                 int64_t channels, int input)
{
    struct dc_tflite_reading *r = call->r;
    const struct dc_tflite_tensor *t = constant_of(call, k);
    const float *values;
    const int8_t *codes;
    int64_t count;
    DC_TRY(dc__tflite_numbers(call, &values, &count, k));
    float *turned = DC_NEW(r->arena, float, count, r->error);
    float *scales = DC_NEW(r->graph->arena, float, channels, r->error);
    int8_t *turned_codes = DC_NEW(r->graph->arena, int8_t, count, r->error);
    if (!turned || !scales || !turned_codes)
        return DC_ERR_MEMORY;
    turn(turned, values, count, out, 4);
    if (!computes_integers(call, input))
        return dc__tflite_set(call, node, 0, turned, NULL, count);
    if (t->scale_count > 1 && t->scale_count != channels)
        return dc_fail(r->error, DC_ERR_DATA, "'%s' has %d scales for %lld channels", t->name,
                       t->scale_count, (long long)channels);
    DC_TRY(dc__tflite_codes(call, &codes, &count, k));
    turn(turned_codes, codes, count, out, 1);
    for (int64_t c = 0; c < channels; c++)
        scales[c] = t->scales[t->scale_count > 1 ? c : 0];
    const struct dc_codes kept = {.weights = turned_codes,
                                  .bits = t->type == DC_TFLITE_INT4 ? 4 : 8,
                                  .packed = t->type == DC_TFLITE_INT4,
                                  .per_channel = t->scale_count > 1,
                                  .by_channel = call->o->code == DC_TFLITE_DEPTHWISE_CONV_2D,
                                  .scales = scales,
                                  .channels = (int)channels};
    return dc__tflite_set(call, node, 0, turned, &kept, count);
}

// Of integers: int32 at the scale of input times weights; without one, zeros.
static enum dc_status set_biases(struct dc_tflite_call *call, int node, int k, int64_t channels,
                                 int input)
{
    struct dc_tflite_reading *r = call->r;
    const struct dc_codes *weights = &r->codes[r->graph->nodes[node].params[0]];
    float *values = DC_NEW(r->arena, float, channels, r->error);
    float *products = DC_NEW(r->graph->arena, float, channels, r->error);
    int32_t *biases = DC_NEW(r->graph->arena, int32_t, channels, r->error);
    if (!values || !products || !biases)
        return DC_ERR_MEMORY;
    if (dc__tflite_is_given(call, k)) {
        const struct dc_tflite_tensor *t = constant_of(call, k);
        if (t->type != DC_TFLITE_INT32 || t->bytes != 4 * channels)
            return dc_fail(r->error, DC_ERR_DATA,
                           "the bias '%s' of an integer layer is one int32 a channel", t->name);
        memcpy(biases, t->data, (size_t)t->bytes);
    }
    for (int64_t c = 0; c < channels; c++) {
        products[c] = dc__tensor(call, input)->scales[0] * weights->scales[c];
        values[c] = (float)((double)products[c] * biases[c]);
    }
    const struct dc_codes kept = {.biases = biases,
                                  .bits = 32,
                                  .per_channel = weights->per_channel,
                                  .scales = products,
                                  .channels = (int)channels};
    return dc__tflite_set(call, node, 1, values, &kept, channels);
}

static bool has_bias(const struct dc_tflite_call *call, int k, int input)
{
    return dc__tflite_is_given(call, k) || computes_integers(call, input);
}

static enum dc_status set_bias(struct dc_tflite_call *call, int node, int k, int64_t channels,
                               int input)
{
    const float *values;
    int64_t count;
    if (!has_bias(call, k, input))
        return DC_OK;
    if (dc__tflite_is_given(call, k) && !dc__tflite_is_constant(call, k))
        return dc__tflite_refuse_call(call, "the bias is computed, not constant");
    if (computes_integers(call, input))
        return set_biases(call, node, k, channels, input);
    DC_TRY(dc__tflite_numbers(call, &values, &count, k));
    return dc__tflite_set(call, node, 1, values, NULL, count);
}

static enum dc_status convolve(struct dc_tflite_call *call, bool depthwise)
{
    const int activation = CONV_STRIDE_H + 1 + depthwise;  // behind the multiplier, if there is one
    int node;
    DC_TRY(want_kernel(call, 1, 4, 0));
    DC_TRY(dc__tflite_input(call, &node, 0, false));
    const struct dc_tflite_tensor *t = constant_of(call, 1);
    const int64_t kernel[2] = {t->shape[1], t->shape[2]};
    const int64_t filters = t->shape[depthwise ? 3 : 0];
    struct dc_conv_attributes a = {.filters = (int)filters, .bias = has_bias(call, 2, 0)};
    DC_TRY(set_window(call, &a.window, node, kernel, call->o->options + activation + 1));
    const int64_t channels = call->r->graph->nodes[node].shape.dims[3];
    a.groups = (int)(depthwise ? channels : channels / t->shape[3]);
    if (depthwise ? t->shape[0] != 1 || filters % channels != 0
                  : channels % t->shape[3] != 0 || filters % a.groups != 0)
        return dc_fail(call->r->error, DC_ERR_DATA, "the weights '%s' do not fit %lld channels",
                       t->name, (long long)channels);
    DC_TRY(dc__tflite_emit(call, NULL, &dc_op_conv, &a, &node, 1));
    const int conv = node;
    DC_TRY(set_kernel(call, conv, 1, depthwise ? 1 : filters, filters, 0));
    DC_TRY(set_bias(call, conv, 2, filters, 0));
    return dc__tflite_give(call, node, call->o->options[activation]);
}

enum dc_status dc__tflite_conv(struct dc_tflite_call *call)
{
    return convolve(call, false);
}

enum dc_status dc__tflite_depthwise(struct dc_tflite_call *call)
{
    return convolve(call, true);
}

// Inputs: the output's shape, weights OHWI, the value, a bias.
enum dc_status dc__tflite_conv_transpose(struct dc_tflite_call *call)
{
    const int64_t *options = call->o->options;
    int node;
    DC_TRY(want_kernel(call, 1, 4, 2));
    if (computes_integers(call, 2))
        return dc__tflite_refuse_call(call, "transposed convolutions have no integers here");
    DC_TRY(dc__tflite_input(call, &node, 2, false));
    const struct dc_tflite_tensor *t = constant_of(call, 1), *out = dc__result(call);
    const struct dc_shape *in = &call->r->graph->nodes[node].shape;
    struct dc_conv_transpose_attributes a = {
        .conv = {.window = {.kernel = {t->shape[1], t->shape[2]}, .dilation = {1, 1}},
                 .filters = t->shape[0],
                 .groups = 1,
                 .bias = dc__tflite_is_given(call, 3)}};
    int *const more[2] = {&a.output_padding_h, &a.output_padding_w};
    if (in->rank != 4 || out->rank != 4 || in->dims[3] != t->shape[3])
        return dc__tflite_refuse_call(call, "input, weights and output do not fit");
    for (int i = 0; i < 2; i++) {
        const int64_t stride = options[CONV_STRIDE_W + 1 - i];
        if (stride < 1 || stride > OPTION_MOST || t->shape[1 + i] > OPTION_MOST)
            return dc__tflite_refuse_call(call, "strides and filters are from 1 to 65536");
        const int64_t whole = (in->dims[1 + i] - 1) * stride + t->shape[1 + i];
        const int64_t over = whole - out->shape[1 + i];
        const int64_t total = options[CONV_PADDING] == DC_TFLITE_SAME && over > 0 ? over : 0;
        if (total > OPTION_MOST || over - total > 0 || total - over >= stride)
            return dc__tflite_refuse_call(call, "the output's size does not fit");
        a.conv.window.stride[i] = (int)stride;
        a.conv.window.before[i] = (int)(total / 2);
        a.conv.window.after[i] = (int)(total - total / 2);
        *more[i] = (int)(total - over);
    }
    DC_TRY(dc__tflite_emit(call, NULL, &dc_op_conv_transpose, &a, &node, 1));
    const int conv = node;
    const float *values;
    int64_t count;
    DC_TRY(dc__tflite_numbers(call, &values, &count, 1));
    float *turned = DC_NEW(call->r->arena, float, count, call->r->error);
    if (!turned)
        return DC_ERR_MEMORY;
    // [filters, taps, in] to [taps, filters, in].
    const int64_t inner = t->shape[3], taps = (int64_t)t->shape[1] * t->shape[2];
    for (int64_t i = 0; i < count / inner; i++)
        memcpy(turned + (i % taps * t->shape[0] + i / taps) * inner, values + i * inner,
               sizeof(float) * (size_t)inner);
    DC_TRY(dc__tflite_set(call, conv, 0, turned, NULL, count));
    DC_TRY(set_bias(call, conv, 3, t->shape[0], 2));
    return dc__tflite_give(call, node, options[CONV_STRIDE_H + 1]);
}

// Over rows of as many values as the weights take: the last axis, or several flattened.
enum dc_status dc__tflite_dense(struct dc_tflite_call *call)
{
    int node;
    DC_TRY(want_kernel(call, 1, 2, 0));
    DC_TRY(dc__tflite_input(call, &node, 0, false));
    const struct dc_tflite_tensor *t = constant_of(call, 1);
    const struct dc_shape *in = &call->r->graph->nodes[node].shape;
    const struct dc_dense_attributes a = {t->shape[0], has_bias(call, 2, 0)};
    if (call->o->options[DENSE_FORMAT] != 0)
        return dc__tflite_refuse_call(call, "shuffled weights are not read");
    if (in->dims[in->rank - 1] != t->shape[1] && dc_shape_row(in) == t->shape[1]) {
        DC_TRY(dc__tflite_emit(call, "flat", &dc_op_flatten, NULL, &node, 1));
        DC_TRY(dc__tflite_store(call, &node, 0));
    } else if (in->dims[in->rank - 1] != t->shape[1]) {
        return dc_fail(call->r->error, DC_ERR_DATA, "the weights '%s' take %d values, not %lld",
                       t->name, t->shape[1], (long long)in->dims[in->rank - 1]);
    }
    DC_TRY(dc__tflite_emit(call, NULL, &dc_op_dense, &a, &node, 1));
    const int dense = node;
    DC_TRY(set_kernel(call, dense, 1, t->shape[0], t->shape[0], 0));
    DC_TRY(set_bias(call, dense, 2, t->shape[0], 0));
    return dc__tflite_give(call, node, call->o->options[DENSE_ACTIVATION]);
}

enum dc_status dc__tflite_matmul(struct dc_tflite_call *call)
{
    const struct dc_matmul_attributes a = {call->o->options[0] != 0, call->o->options[1] != 0};
    int nodes[2];
    if (dc__tflite_is_constant(call, 0) && dc__tflite_is_constant(call, 1))
        return dc__tflite_refuse_call(call, "both values are constants");
    for (int k = 0; k < 2; k++)
        DC_TRY(dc__tflite_input(call, &nodes[k], k, true));
    DC_TRY(dc__tflite_emit(call, NULL, &dc_op_matmul, &a, nodes, 2));
    return dc__tflite_give(call, nodes[0], DC_TFLITE_NONE);
}

enum dc_status dc__tflite_pool(struct dc_tflite_call *call)
{
    const int64_t *options = call->o->options;
    const int64_t kernel[2] = {options[POOL_FILTER_H], options[POOL_FILTER_W]};
    struct dc_pool_attributes a = {.count_padding = false};
    int node;
    DC_TRY(dc__tflite_input(call, &node, 0, false));
    DC_TRY(set_window(call, &a.window, node, kernel, NULL));
    DC_TRY(dc__tflite_emit(call, NULL, call->op, &a, &node, 1));
    return dc__tflite_give(call, node, options[POOL_ACTIVATION]);
}

// A mean over height and width of floats is the op that quantizes.
enum dc_status dc__tflite_reduce(struct dc_tflite_call *call)
{
    struct dc_reduce_attributes a = {.keep = call->o->options[0] != 0};
    int64_t axes[DC_TFLITE_LIST];
    int count, node;
    DC_TRY(dc__tflite_list(call, axes, &count, 1));
    DC_TRY(dc__tflite_input(call, &node, 0, false));
    const int rank = call->r->graph->nodes[node].shape.rank;
    for (int i = 0; i < count; i++) {
        const int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
        if (axis < 1 || axis >= rank)
            return dc__tflite_refuse_call(call, "an axis is the batch or none of the value's");
        a.axes |= 1u << axis;
    }
    const bool image = call->op == &dc_op_reduce_mean && rank == 4 && a.axes == 6;
    if (image && !dc__tflite_is_stored(dc__result(call)))
        DC_TRY(dc__tflite_emit(call, NULL, &dc_op_global_average_pool, NULL, &node, 1));
    else
        DC_TRY(dc__tflite_emit(call, NULL, call->op, &a, &node, 1));
    return dc__tflite_give(call, node, DC_TFLITE_NONE);
}

// Functions.

enum dc_status dc__tflite_softmax(struct dc_tflite_call *call)
{
    int node;
    if (dc_tflite_float_of(call->o->options[0]) != 1.0f)
        return dc__tflite_refuse_call(call, "a beta other than 1 is not read");
    DC_TRY(dc__tflite_input(call, &node, 0, false));
    DC_TRY(dc__tflite_emit(call, NULL, &dc_op_softmax, NULL, &node, 1));
    return dc__tflite_give(call, node, DC_TFLITE_NONE);
}

enum dc_status dc__tflite_function(struct dc_tflite_call *call)
{
    const struct dc_leaky_relu_attributes leaky = {dc_tflite_float_of(call->o->options[0])};
    const struct dc_elu_attributes elu = {1.0f};
    const struct dc_pow_attributes power = {call->o->code == DC_TFLITE_SQUARE ? 2.0f : -0.5f};
    const void *attributes = call->op == &dc_op_leaky_relu ? (const void *)&leaky
                             : call->op == &dc_op_elu      ? (const void *)&elu
                             : call->op == &dc_op_pow      ? (const void *)&power
                                                           : NULL;
    const struct dc_op *op = call->op == &dc_op_gelu && call->o->options[0] ? &dc_op_gelu_tanh
                                                                            : call->op;
    int node;
    DC_TRY(dc__tflite_input(call, &node, 0, false));
    DC_TRY(dc__tflite_emit(call, NULL, op, attributes, &node, 1));
    return dc__tflite_give(call, node, DC_TFLITE_NONE);
}

enum dc_status dc__tflite_clip(struct dc_tflite_call *call)
{
    const struct dc_clip_attributes a = {call->o->code == DC_TFLITE_RELU_0_TO_1 ? 0.0f : -1.0f,
                                         1.0f};
    int node;
    DC_TRY(dc__tflite_input(call, &node, 0, false));
    DC_TRY(dc__tflite_emit(call, NULL, &dc_op_clip, &a, &node, 1));
    return dc__tflite_give(call, node, DC_TFLITE_NONE);
}

enum dc_status dc__tflite_prelu(struct dc_tflite_call *call)
{
    const float *slope;
    int64_t count;
    int node;
    if (!dc__tflite_is_constant(call, 1))
        return dc__tflite_refuse_call(call, "the slope is computed, not constant");
    DC_TRY(dc__tflite_input(call, &node, 0, false));
    DC_TRY(dc__tflite_numbers(call, &slope, &count, 1));
    const struct dc_tflite_tensor *t = constant_of(call, 1);
    if (t->rank < 1 || t->shape[t->rank - 1] != count)
        return dc__tflite_refuse_call(call, "the slope differs over more than the channels");
    DC_TRY(dc__tflite_emit(call, NULL, &dc_op_prelu, NULL, &node, 1));
    DC_TRY(dc__tflite_set(call, node, 0, slope, NULL, count));
    return dc__tflite_give(call, node, DC_TFLITE_NONE);
}

enum dc_status dc__tflite_pair(struct dc_tflite_call *call)
{
    int nodes[2];
    if (dc__tflite_is_constant(call, 0) && dc__tflite_is_constant(call, 1))
        return dc__tflite_refuse_call(call, "both values are constants");
    for (int k = 0; k < 2; k++)
        DC_TRY(dc__tflite_input(call, &nodes[k], k, true));
    const struct dc_node *all = call->r->graph->nodes;
    const bool sum = call->op == &dc_op_broadcast_add && all[nodes[0]].op != &dc_op_constant &&
                     all[nodes[1]].op != &dc_op_constant &&
                     dc_shape_equal(&all[nodes[0]].shape, &all[nodes[1]].shape);
    DC_TRY(dc__tflite_emit(call, NULL, sum ? &dc_op_add : call->op, NULL, nodes, 2));
    return dc__tflite_give(call, nodes[0], call->o->options[0]);
}
