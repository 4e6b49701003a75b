// Owns a network as ONNX: one row a core op, each a few operators of set 13. Float networks and
// quantized ones (core/network.h) take the same rows.
//
// In the file a value of rank 4 is [batch, channels, height, width]; every other rank is as in
// memory. Operators whose meaning hangs on the order in memory (reshape, products, broadcasting
// over ranks) get a Transpose before and after. Numbers are the network's own; only orders change.

#include "formats/onnx_write_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REFUSED_TEXT = 3000, INT4_HIGH = 7, INT8_HIGH = 127 };

// A step on the way to the node's value, of its shape.
static const char *put_part(struct dc_onnx_writing *t, const struct dc_node *node, const char *part,
                            const char *onnx, const char *const *inputs)
{
    const struct dc_shape shape = dc_onnx_shape(&node->shape);
    return dc_onnx_put(t->w, onnx, dc_onnx_name(t->w, node->name, part), DC_ONNX_F32, &shape,
                       inputs, "%s", "");
}

static const char *put_vector(struct dc_onnx_writing *t, const struct dc_node *node, int k)
{
    const struct dc_slice *s = &t->network->params->slices[node->params[k]];
    return dc__put_param(t, node, k, &DC_SHAPE(s->count), 1, 1);
}

// Layers with weights.

// [kernel, in, out] in memory; [out, in, kernel] in the file, where it has this shape.
static const char *put_kernel(struct dc_onnx_writing *t, const struct dc_node *node,
                              const struct dc_shape *shape)
{
    const int64_t out = shape->dims[0], in = shape->dims[1], count = dc_shape_count(shape);
    const int64_t kernel = count / in / out;
    int bytes;
    const uint8_t *values = dc__values_of(t, node, 0, &bytes);
    uint8_t *turned = dc_alloc((size_t)(count * bytes), NULL);
    if (!turned) {
        dc_onnx_refuse(t->w, DC_ERR_MEMORY, "out of memory");
        return "";
    }
    for (int64_t i = 0; i < count; i++)
        memcpy(turned + ((i % out * in + i / out % in) * kernel + i / out / in) * bytes,
               values + i * bytes, (size_t)bytes);
    const char *name = dc__put_values(t, node, 0, shape, turned);
    free(turned);
    return name;
}

static void put_conv(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const bool up = node->op == &dc_op_conv_transpose;
    const struct dc_conv_transpose_attributes *transposed = node->attributes;
    const struct dc_conv_attributes *a = up ? &transposed->conv : node->attributes;
    const struct dc_shape shape = dc_onnx_shape(&node->shape);
    const int64_t channels = shape_in(t, node, 0)->dims[3];
    char more[64] = "";
    // The transposed one's weights are [kernel, filters / groups, in], the file's [in, filters /
    // groups, kernel].
    const char *weights = put_kernel(t, node,
                                     &DC_SHAPE(up ? channels : a->filters,
                                               (up ? a->filters : channels) / a->groups,
                                               a->window.kernel[0], a->window.kernel[1]));
    const char *bias = a->bias ? put_vector(t, node, 1) : NULL;
    if (up)
        snprintf(more, sizeof more, " output_padding=[%d,%d]", transposed->output_padding_h,
                 transposed->output_padding_w);
    dc_onnx_put(t->w, onnx, node->name, DC_ONNX_F32, &shape,
                DC_ONNX_IN(in_of(t, node, 0), weights, bias),
                "kernel_shape=[%d,%d] strides=[%d,%d] dilations=[%d,%d] group=%d "
                "pads=[%d,%d,%d,%d]%s",
                a->window.kernel[0], a->window.kernel[1], a->window.stride[0], a->window.stride[1],
                a->window.dilation[0], a->window.dilation[1], a->groups, a->window.before[0],
                a->window.before[1], a->window.after[0], a->window.after[1], more);
}

static void put_dense(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const struct dc_dense_attributes *a = node->attributes;
    const struct dc_shape *in = shape_in(t, node, 0);
    const int64_t inputs = in->dims[in->rank - 1];
    const char *weights = in->rank == 2
                              ? put_kernel(t, node, &DC_SHAPE(a->units, inputs))
                              : dc__put_param(t, node, 0, &DC_SHAPE(inputs, a->units), 1, 1);
    const char *bias = a->bias ? put_vector(t, node, 1) : NULL;
    if (in->rank == 2) {
        dc_onnx_put(t->w, onnx, node->name, DC_ONNX_F32, &node->shape,
                    DC_ONNX_IN(in_of(t, node, 0), weights, bias), "transB=%d", 1);
    } else if (!bias) {
        dc__put_from_memory(t, node, "MatMul", DC_ONNX_IN(dc__in_memory(t, node, 0), weights));
    } else {
        const char *product = dc_onnx_put(t->w, "MatMul", dc_onnx_name(t->w, node->name, "product"),
                                          DC_ONNX_F32, &node->shape,
                                          DC_ONNX_IN(dc__in_memory(t, node, 0), weights), "%s", "");
        dc__put_from_memory(t, node, "Add", DC_ONNX_IN(product, bias));
    }
}

static void put_batch_norm(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const struct dc_batch_norm_attributes *a = node->attributes;
    const struct dc_shape shape = dc_onnx_shape(&node->shape);
    const char *vectors[4];
    for (int k = 0; k < 4; k++)
        vectors[k] = put_vector(t, node, k);
    if (shape.rank != 2 && shape.rank != 4)
        dc_onnx_refuse(t->w, DC_ERR_DATA, "node '%s': batch_norm of rank %d", node->name,
                       shape.rank);
    dc_onnx_put(t->w, onnx, node->name, DC_ONNX_F32, &shape,
                DC_ONNX_IN(in_of(t, node, 0), vectors[0], vectors[1], vectors[2], vectors[3]),
                "epsilon~%.9g", (double)a->epsilon);
}

static void put_matmul(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const struct dc_matmul_attributes *a = node->attributes;
    static const char *const parts[] = {"turned0", "turned1"};
    const bool turns[2] = {a->transpose_a, a->transpose_b};
    const char *in[2];
    for (int i = 0; i < 2; i++) {
        struct dc_shape s = *shape_in(t, node, i);
        char perm[64] = "perm=[0";
        in[i] = dc__in_memory(t, node, i);
        if (!turns[i])
            continue;
        for (int k = 1; k < s.rank; k++)
            snprintf(perm + strlen(perm), sizeof perm - strlen(perm), ",%d",
                     k < s.rank - 2 ? k : 2 * s.rank - 3 - k);
        const int64_t last = s.dims[s.rank - 1];
        s.dims[s.rank - 1] = s.dims[s.rank - 2];
        s.dims[s.rank - 2] = last;
        in[i] = dc_onnx_put(t->w, "Transpose", dc_onnx_name(t->w, node->name, parts[i]),
                            DC_ONNX_F32, &s, DC_ONNX_IN(in[i]), "%s]", perm);
    }
    dc__put_from_memory(t, node, onnx, DC_ONNX_IN(in[0], in[1]));
}

// Functions of one value.

static void put_unary(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    dc__put_shaped(t, node, onnx, DC_ONNX_IN(in_of(t, node, 0)));
}

static void put_with_numbers(struct dc_onnx_writing *t, const struct dc_node *node,
                             const char *onnx)
{
    const struct dc_shape shape = dc_onnx_shape(&node->shape);
    const struct dc_leaky_relu_attributes *leaky = node->attributes;
    const struct dc_hard_sigmoid_attributes *hard = node->attributes;
    const char *const *in = DC_ONNX_IN(in_of(t, node, 0));
    if (node->op == &dc_op_leaky_relu || node->op == &dc_op_elu)  // one number
        dc_onnx_put(t->w, onnx, node->name, DC_ONNX_F32, &shape, in, "alpha~%.9g",
                    (double)leaky->slope);
    else
        dc_onnx_put(t->w, onnx, node->name, DC_ONNX_F32, &shape, in, "alpha~%.9g beta~%.9g",
                    (double)hard->alpha, (double)hard->beta);
}

static void put_clip(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const struct dc_clip_attributes *a = node->attributes;
    const bool six = node->op == &dc_op_relu6;
    const char *low = dc__put_number(t, node, "low", six ? 0.0f : a->low);
    const char *high = dc__put_number(t, node, "high", six ? 6.0f : a->high);
    dc__put_shaped(t, node, onnx, DC_ONNX_IN(in_of(t, node, 0), low, high));
}

static void put_pow(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const struct dc_pow_attributes *a = node->attributes;
    dc__put_shaped(t, node, onnx,
                   DC_ONNX_IN(in_of(t, node, 0), dc__put_number(t, node, "exponent", a->exponent)));
}

static void put_prelu(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const int64_t channels = node->shape.dims[node->shape.rank - 1];
    const struct dc_shape shape = node->shape.rank == 4 ? DC_SHAPE(channels, 1, 1)
                                                        : DC_SHAPE(channels);
    dc__put_shaped(t, node, onnx,
                   DC_ONNX_IN(in_of(t, node, 0), dc__put_param(t, node, 0, &shape, 1, 1)));
}

// x times a gate of x.
static void put_gated(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const struct dc_shape shape = dc_onnx_shape(&node->shape);
    const char *x = in_of(t, node, 0);
    char text[64] = "";
    if (node->op == &dc_op_h_swish)
        snprintf(text, sizeof text, "alpha~%.9g beta~0.5", 1.0 / 6.0);
    const char *gate = dc_onnx_put(t->w, onnx, dc_onnx_name(t->w, node->name, "gate"), DC_ONNX_F32,
                                   &shape, DC_ONNX_IN(x), "%s", text);
    dc__put_shaped(t, node, "Mul", DC_ONNX_IN(x, gate));
}

// x (1 + f(..)) / 2
static void put_gelu(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const char *x = in_of(t, node, 0), *inner;
    if (node->op == &dc_op_gelu_tanh) {
        inner = put_part(t, node, "cube", "Pow", DC_ONNX_IN(x, dc__put_number(t, node, "3", 3.0f)));
        inner = put_part(t, node, "small", "Mul",
                         DC_ONNX_IN(inner, dc__put_number(t, node, "0.044715", 0.044715f)));
        inner = put_part(t, node, "sum", "Add", DC_ONNX_IN(x, inner));
        inner = put_part(t, node, "scaled", "Mul",
                         DC_ONNX_IN(inner, dc__put_number(t, node, "sqrt(2/pi)", 0.79788456f)));
    } else {
        inner = put_part(t, node, "scaled", "Div",
                         DC_ONNX_IN(x, dc__put_number(t, node, "sqrt(2)", 1.41421356f)));
    }
    inner = put_part(t, node, "function", onnx, DC_ONNX_IN(inner));
    inner = put_part(t, node, "plus", "Add", DC_ONNX_IN(inner, dc__put_number(t, node, "1", 1.0f)));
    inner = put_part(t, node, "product", "Mul", DC_ONNX_IN(x, inner));
    dc__put_shaped(t, node, "Mul", DC_ONNX_IN(inner, dc__put_number(t, node, "0.5", 0.5f)));
}

static void put_softmax(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const struct dc_softmax_attributes *a = node->attributes;
    const struct dc_shape shape = dc_onnx_shape(&node->shape);
    dc_onnx_put(t->w, onnx, node->name, DC_ONNX_F32, &shape, DC_ONNX_IN(in_of(t, node, 0)),
                "axis=%d", dc__file_axis(a && a->axis ? a->axis : -1, shape.rank));
}

// Functions of several values.

static void put_add(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const char *sum = in_of(t, node, 0);
    char part[16];
    for (int i = 1; i + 1 < node->input_count; i++) {
        snprintf(part, sizeof part, "sum%d", i);
        sum = put_part(t, node, part, onnx, DC_ONNX_IN(sum, in_of(t, node, i)));
    }
    dc__put_shaped(t, node, onnx, DC_ONNX_IN(sum, in_of(t, node, node->input_count - 1)));
}

// Of unequal ranks: the lower one gets axes of size 1 behind the batch.
static void put_binary(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    static const char *const parts[] = {"wide0", "wide1"}, *const dims[] = {"dims0", "dims1"};
    const int rank = node->shape.rank;
    const char *in[2] = {in_of(t, node, 0), in_of(t, node, 1)};
    if (shape_in(t, node, 0)->rank == shape_in(t, node, 1)->rank) {
        dc__put_shaped(t, node, onnx, DC_ONNX_IN(in[0], in[1]));
        return;
    }
    for (int i = 0; i < 2; i++) {
        struct dc_shape s = *shape_in(t, node, i), wide = {.rank = rank};
        in[i] = dc__in_memory(t, node, i);
        if (s.rank == rank)
            continue;
        for (int k = 0; k < rank; k++)
            wide.dims[k] = k == 0               ? s.dims[0]
                           : k <= rank - s.rank ? 1
                                                : s.dims[k - (rank - s.rank)];
        in[i] = dc_onnx_put(t->w, "Reshape", dc_onnx_name(t->w, node->name, parts[i]), DC_ONNX_F32,
                            &wide, DC_ONNX_IN(in[i], dc__put_dims(t, node, dims[i], &wide)), "%s",
                            "");
    }
    dc__put_from_memory(t, node, onnx, DC_ONNX_IN(in[0], in[1]));
}

static void put_concat(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const struct dc_concat_attributes *a = node->attributes;
    const struct dc_shape shape = dc_onnx_shape(&node->shape);
    const char *in[DC_INPUTS_MAX + 1] = {NULL};
    for (int i = 0; i < node->input_count; i++)
        in[i] = in_of(t, node, i);
    dc_onnx_put(t->w, onnx, node->name, DC_ONNX_F32, &shape, in, "axis=%d",
                dc__file_axis(a->axis, shape.rank));
}

// Codes.

// A clamp that the range of the type does not do is a Clip on the grid.
static void put_quantize(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const struct dc_quantize_attributes *a = node->attributes;
    const struct dc_shape shape = dc_onnx_shape(&node->shape);
    const int8_t zero_point = (int8_t)a->zero_point;
    const int high_code = a->bits <= 4 ? INT4_HIGH : INT8_HIGH, low_code = -high_code - 1;
    const char *real = in_of(t, node, 0), *limits[2] = {"", NULL};
    dc__put_number(t, node, "scale", a->scale);
    dc_onnx_put_tensor(t->w, dc_onnx_name(t->w, node->name, "zero_point"), dc__type_of(a->bits),
                       &(struct dc_shape){0}, &zero_point);
    if (a->clamp_low > low_code)
        limits[0] = dc__put_number(t, node, "low",
                                   a->scale * (float)(a->clamp_low - a->zero_point));
    if (a->clamp_high < high_code)
        limits[1] = dc__put_number(t, node, "high",
                                   a->scale * (float)(a->clamp_high - a->zero_point));
    if (a->clamp_low > low_code || a->clamp_high < high_code) {
        real = dc__put_rounded(t, node, dc_onnx_name(t->w, node->name, "unclamped"), real, &shape);
        real = dc_onnx_put(t->w, "Clip", dc_onnx_name(t->w, node->name, "clamped"), DC_ONNX_F32,
                           &shape, DC_ONNX_IN(real, limits[0], limits[1]), "%s", "");
    }
    dc__put_conversion(t, onnx, node->name, dc__type_of(a->bits), node, real, &shape);
}

static void put_dequantize(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const struct dc_shape shape = dc_onnx_shape(&node->shape);
    dc__put_conversion(t, onnx, node->name, DC_ONNX_F32, &t->graph->nodes[node->inputs[0]],
                       in_of(t, node, 0), &shape);
}

static const struct {
    const struct dc_op *op;
    dc_onnx_writing_op *put;
    const char *onnx;
} rows[] = {
    {&dc_op_conv, put_conv, "Conv"},
    {&dc_op_conv_transpose, put_conv, "ConvTranspose"},
    {&dc_op_dense, put_dense, "Gemm"},
    {&dc_op_matmul, put_matmul, "MatMul"},
    {&dc_op_batch_norm, put_batch_norm, "BatchNormalization"},
    {&dc_op_relu, put_unary, "Relu"},
    {&dc_op_relu6, put_clip, "Clip"},
    {&dc_op_clip, put_clip, "Clip"},
    {&dc_op_leaky_relu, put_with_numbers, "LeakyRelu"},
    {&dc_op_prelu, put_prelu, "PRelu"},
    {&dc_op_sigmoid, put_unary, "Sigmoid"},
    {&dc_op_hard_sigmoid, put_with_numbers, "HardSigmoid"},
    {&dc_op_tanh, put_unary, "Tanh"},
    {&dc_op_h_swish, put_gated, "HardSigmoid"},
    {&dc_op_silu, put_gated, "Sigmoid"},
    {&dc_op_elu, put_with_numbers, "Elu"},
    {&dc_op_softplus, put_unary, "Softplus"},
    {&dc_op_gelu, put_gelu, "Erf"},
    {&dc_op_gelu_tanh, put_gelu, "Tanh"},
    {&dc_op_erf, put_unary, "Erf"},
    {&dc_op_exp, put_unary, "Exp"},
    {&dc_op_log, put_unary, "Log"},
    {&dc_op_sqrt, put_unary, "Sqrt"},
    {&dc_op_pow, put_pow, "Pow"},
    {&dc_op_negate, put_unary, "Neg"},
    {&dc_op_abs, put_unary, "Abs"},
    {&dc_op_reciprocal, put_unary, "Reciprocal"},
    {&dc_op_softmax, put_softmax, "Softmax"},
    {&dc_op_dropout, dc__onnx_put_same, NULL},
    {&dc_op_add, put_add, "Add"},
    {&dc_op_broadcast_add, put_binary, "Add"},
    {&dc_op_subtract, put_binary, "Sub"},
    {&dc_op_multiply, put_binary, "Mul"},
    {&dc_op_divide, put_binary, "Div"},
    {&dc_op_maximum, put_binary, "Max"},
    {&dc_op_minimum, put_binary, "Min"},
    {&dc_op_max_pool, dc__onnx_put_pool, "MaxPool"},
    {&dc_op_average_pool, dc__onnx_put_pool, "AveragePool"},
    {&dc_op_global_average_pool, dc__onnx_put_global_pool, "GlobalAveragePool"},
    {&dc_op_reduce_mean, dc__onnx_put_reduce, "ReduceMean"},
    {&dc_op_reduce_sum, dc__onnx_put_reduce, "ReduceSum"},
    {&dc_op_reduce_max, dc__onnx_put_reduce, "ReduceMax"},
    {&dc_op_constant, dc__onnx_put_constant, NULL},
    {&dc_op_concat, put_concat, "Concat"},
    {&dc_op_pad, dc__onnx_put_pads, "Pad"},
    {&dc_op_pad_axes, dc__onnx_put_pads, "Pad"},
    {&dc_op_slice, dc__onnx_put_slice, "Slice"},
    {&dc_op_flatten, dc__onnx_put_reshape, "Reshape"},
    {&dc_op_reshape, dc__onnx_put_reshape, "Reshape"},
    {&dc_op_transpose, dc__onnx_put_transpose, "Transpose"},
    {&dc_op_quantize, put_quantize, "QuantizeLinear"},
    {&dc_op_dequantize, put_dequantize, "DequantizeLinear"},
};

static int row_of(const struct dc_op *op)
{
    for (int i = 0; i < (int)(sizeof rows / sizeof rows[0]); i++)
        if (rows[i].op == op)
            return i;
    return -1;
}

static enum dc_status check_ops(const struct dc_graph *graph, int input, struct dc_error *error)
{
    char text[REFUSED_TEXT] = "";
    for (int i = 0; i < graph->count; i++) {
        const struct dc_node *node = &graph->nodes[i];
        const size_t used = strlen(text);
        if (i != input && row_of(node->op) < 0)
            snprintf(text + used, sizeof text - used, "%s'%s' (%s)", used ? ", " : "", node->name,
                     node->op->name);
    }
    return text[0] ? dc_fail(error, DC_ERR_DATA, "no ONNX is written for %s", text) : DC_OK;
}

static enum dc_status write_network(const char *path, struct dc_onnx_writing *t,
                                    struct dc_error *error)
{
    const struct dc_graph *g = t->graph;
    const struct dc_shape shape = dc_onnx_shape(&g->nodes[t->network->output].shape);
    DC_TRY(check_ops(g, t->network->input, error));
    t->names = DC_NEW(g->arena, const char *, g->count, error);
    if (!t->names)
        return DC_ERR_MEMORY;
    for (int i = 0; i < g->count; i++) {
        const struct dc_node *node = &g->nodes[i];
        const struct dc_shape in_file = dc_onnx_shape(&node->shape);
        t->names[i] = node->name;
        if (i == t->network->input)
            dc_onnx_put_input(t->w, node->name, &in_file);
        else
            rows[row_of(node->op)].put(t, node, rows[row_of(node->op)].onnx);
    }
    dc_onnx_put_output(t->w, t->names[t->network->output], &shape);
    return dc_onnx_save(t->w, path, error);
}

enum dc_status dc_onnx_write_network(const char *path, const struct dc_network *network,
                                     const char *name, const char *note, struct dc_error *error)
{
    struct dc_onnx_writing t = {.network = network, .graph = network->graph};
    enum dc_status status = dc_onnx_writer_create(&t.w, t.graph, name, note, error);
    if (status == DC_OK)
        status = write_network(path, &t, error);
    dc_onnx_writer_free(t.w);
    return status;
}

enum dc_status dc_onnx_write(const char *path, const struct dc_graph *graph,
                             const struct dc_params *params, int input, int output,
                             const char *name, const char *note, struct dc_error *error)
{
    struct dc_network network;
    DC_TRY(dc_network_fold(&network, graph, params, input, output, error));
    const enum dc_status status = dc_onnx_write_network(path, &network, name, note, error);
    dc_network_free(&network);
    return status;
}
