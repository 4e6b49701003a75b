// Owns networks as TFLite: one row a core op. Numbers are the network's own; kernels only change
// the order of their axes. Float networks and quantized ones (core/network.h) take the same rows:
// of the latter a value's tensor is what its node quantize stores, so that an operator between
// dequantize and quantize is an integer operator, whose fused activation makes the clamp.

#include "formats/tflite_write.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "formats/tflite_write_internal.h"

enum { REFUSED_TEXT = 3000 };

// What a maximum's padding holds: the least value.
static enum dc_status add_least(struct dc_tflite_writing *w, const struct dc_node *node, int *index)
{
    static const float least = -FLT_MAX;
    static const int8_t least_code = -128;
    struct dc_tflite_tensor tensor = dc__tflite_value(
        w, input_of(w, node), dc__tflite_name(w, node, "fill"), &DC_SHAPE(1));
    const bool codes = tensor.type == DC_TFLITE_INT8;
    tensor.data = codes ? (const void *)&least_code : &least;
    tensor.bytes = codes ? 1 : 4;
    return tensor.name ? dc_tflite_add_tensor(&w->build, &tensor, index) : DC_ERR_MEMORY;
}

// Window of a convolution or pool: VALID, SAME, or a pad before it.
static enum dc_status pad_window(struct dc_tflite_writing *w, const struct dc_node *node,
                                 const struct dc_window *window, struct dc_tflite_operator *o)
{
    const struct dc_shape *in = shape_in(w, node, 0);
    const bool padded_at_all = dc_window_is_padded(window), max = node->op == &dc_op_max_pool;
    const bool same = dc_window_is_same(window, 0, in->dims[1]) &&
                      dc_window_is_same(window, 1, in->dims[2]);
    o->options[0] = same && padded_at_all ? DC_TFLITE_SAME : DC_TFLITE_VALID;
    if (same || !padded_at_all)
        return DC_OK;
    if (node->op == &dc_op_average_pool)
        return dc__tflite_refuse(w, node,
                                 "an average over a padded window that is not TFLite's SAME");
    const int32_t amounts[] = {
        0, 0, window->before[0], window->after[0], window->before[1], window->after[1], 0, 0};
    struct dc_tflite_operator pad = {.code = max ? DC_TFLITE_PADV2 : DC_TFLITE_PAD,
                                     .input_count = max ? 3 : 2,
                                     .inputs = {o->inputs[0]}};
    struct dc_shape padded = *in;
    for (int i = 0; i < 2; i++)
        padded.dims[1 + i] += window->before[i] + window->after[i];
    const struct dc_tflite_tensor tensor = dc__tflite_value(
        w, input_of(w, node), dc__tflite_name(w, node, "padded"), &padded);
    if (!tensor.name)
        return DC_ERR_MEMORY;
    DC_TRY(dc__tflite_add_integers(w, node, "pads", amounts, 4, 2, &pad.inputs[1]));
    if (max)
        DC_TRY(add_least(w, node, &pad.inputs[2]));
    DC_TRY(dc_tflite_add_tensor(&w->build, &tensor, &pad.output));
    o->inputs[0] = pad.output;
    return dc_tflite_add_operator(&w->build, &pad);
}

static enum dc_status put_conv(struct dc_tflite_writing *w, const struct dc_node *node,
                               enum dc_tflite_code code)
{
    const struct dc_conv_attributes *a = node->attributes;
    const int64_t channels = shape_in(w, node, 0)->dims[3];
    const bool depthwise = a->groups == channels && a->groups > 1;
    if (a->groups != 1 && !depthwise)
        return dc__tflite_refuse(w, node, "TFLite has no convolution in groups, but one a channel");
    const struct dc_shape shape =
        depthwise ? DC_SHAPE(1, a->window.kernel[0], a->window.kernel[1], a->filters)
                  : DC_SHAPE(a->filters, a->window.kernel[0], a->window.kernel[1], channels);
    struct dc_tflite_operator o = {.code = depthwise ? DC_TFLITE_DEPTHWISE_CONV_2D : code,
                                   .input_count = 3,
                                   .inputs = {in_of(w, node, 0)}};
    int64_t *option = o.options + 1;
    DC_TRY(pad_window(w, node, &a->window, &o));
    *option++ = a->window.stride[1];
    *option++ = a->window.stride[0];
    if (depthwise)
        *option++ = a->filters / channels;
    *option++ = DC_TFLITE_NONE;
    *option++ = a->window.dilation[1];
    *option++ = a->window.dilation[0];
    DC_TRY(dc__tflite_add_kernel(w, node, &shape, depthwise, &o.inputs[1]));
    DC_TRY(dc__tflite_add_bias(w, node, a->bias, a->filters, &o.inputs[2]));
    return dc__tflite_put(w, node, &o);
}

static enum dc_status put_dense(struct dc_tflite_writing *w, const struct dc_node *node,
                                enum dc_tflite_code code)
{
    const struct dc_dense_attributes *a = node->attributes;
    const struct dc_shape *in = shape_in(w, node, 0);
    struct dc_tflite_operator o = {.code = code,
                                   .input_count = 3,
                                   .inputs = {in_of(w, node, 0)},
                                   .options = {[2] = !dc__tflite_is_dense_output(w, node)}};
    DC_TRY(dc__tflite_add_kernel(w, node, &DC_SHAPE(a->units, in->dims[in->rank - 1]), false,
                                 &o.inputs[1]));
    DC_TRY(dc__tflite_add_bias(w, node, a->bias, a->units, &o.inputs[2]));
    return dc__tflite_put(w, node, &o);
}

// y = x * factor + offset, in two operators.
static enum dc_status put_batch_norm(struct dc_tflite_writing *w, const struct dc_node *node,
                                     enum dc_tflite_code code)
{
    const struct dc_batch_norm_attributes *a = node->attributes;
    const int64_t channels = node->shape.dims[node->shape.rank - 1];
    const float *of[4];
    float *factor = DC_NEW(w->build.arena, float, channels, w->build.error);
    float *offset = DC_NEW(w->build.arena, float, channels, w->build.error);
    const char *names[3];
    for (int i = 0; i < 3; i++)
        names[i] = dc_arena_printf(w->build.arena, w->build.error, "%s/%s", node->name,
                                   (const char *const[]){"factor", "offset", "product"}[i]);
    if (!factor || !offset || !names[0] || !names[1] || !names[2])
        return DC_ERR_MEMORY;
    for (int k = 0; k < 4; k++)
        of[k] = dc__tflite_floats(w, node, k);
    for (int64_t c = 0; c < channels; c++) {
        const double f = (double)of[DC_GAMMA][c] /
                         sqrt((double)of[DC_VARIANCE][c] + (double)a->epsilon);
        factor[c] = (float)f;
        offset[c] = (float)((double)of[DC_BETA][c] - (double)of[DC_MEAN][c] * f);
    }
    struct dc_tflite_operator product = {
        .code = code, .version = 1, .input_count = 2, .inputs = {in_of(w, node, 0)}};
    struct dc_tflite_operator sum = {.code = DC_TFLITE_ADD, .input_count = 2};
    const struct dc_tflite_tensor tensor = dc__tflite_constant(names[2], &node->shape);
    DC_TRY(dc__tflite_add_floats(w, names[0], &DC_SHAPE(channels), factor, &product.inputs[1]));
    DC_TRY(dc__tflite_add_floats(w, names[1], &DC_SHAPE(channels), offset, &sum.inputs[1]));
    DC_TRY(dc_tflite_add_tensor(&w->build, &tensor, &product.output));
    DC_TRY(dc_tflite_add_operator(&w->build, &product));
    sum.inputs[0] = product.output;
    return dc__tflite_put(w, node, &sum);
}

static enum dc_status put_pool(struct dc_tflite_writing *w, const struct dc_node *node,
                               enum dc_tflite_code code)
{
    const struct dc_pool_attributes *a = node->attributes;
    const bool pads = dc_window_is_padded(&a->window);
    struct dc_tflite_operator o = {.code = code,
                                   .input_count = 1,
                                   .inputs = {in_of(w, node, 0)},
                                   .options = {0, a->window.stride[1], a->window.stride[0],
                                               a->window.kernel[1], a->window.kernel[0],
                                               DC_TFLITE_NONE}};
    if (a->window.dilation[0] > 1 || a->window.dilation[1] > 1)
        return dc__tflite_refuse(w, node, "TFLite has no dilated pool");
    if ((a->count_padding && pads) || a->uncounted[0] || a->uncounted[1])
        return dc__tflite_refuse(w, node, "TFLite's averages do not count padding");
    DC_TRY(pad_window(w, node, &a->window, &o));
    return dc__tflite_put(w, node, &o);
}

static enum dc_status put_mean(struct dc_tflite_writing *w, const struct dc_node *node,
                               enum dc_tflite_code code)
{
    struct dc_tflite_operator o = {.code = code,
                                   .input_count = 2,
                                   .inputs = {in_of(w, node, 0)},
                                   .options = {dc__tflite_grid(w, node) != NULL}};
    DC_TRY(dc__tflite_add_integers(w, node, "axes", (const int32_t[]){1, 2}, 2, 0, &o.inputs[1]));
    return dc__tflite_put(w, node, &o);
}

static enum dc_status put_operands(struct dc_tflite_writing *w, const struct dc_node *node,
                                   enum dc_tflite_code code, int version)
{
    struct dc_tflite_operator o = {
        .code = code, .version = version, .input_count = node->input_count};
    if (node->op == &dc_op_add && node->input_count != 2)
        return dc__tflite_refuse(w, node, "TFLite adds two values");
    for (int i = 0; i < node->input_count; i++)
        o.inputs[i] = in_of(w, node, i);
    return dc__tflite_put(w, node, &o);
}

// Functions of one value, and sums of two.
static enum dc_status put_plain(struct dc_tflite_writing *w, const struct dc_node *node,
                                enum dc_tflite_code code)
{
    return put_operands(w, node, code, 0);
}

// Version 3 where integers are multiplied by 1 and more.
static enum dc_status put_product(struct dc_tflite_writing *w, const struct dc_node *node,
                                  enum dc_tflite_code code)
{
    const struct dc_quantize_attributes *out = dc__tflite_grid(w, node);
    float factor = 0.0f;
    if (out) {
        const struct dc_node *nodes = w->graph->nodes;
        factor = dc__tflite_grid(w, &nodes[node->inputs[0]])->scale *
                 dc__tflite_grid(w, &nodes[node->inputs[1]])->scale / out->scale;
    }
    return put_operands(w, node, code, factor < 1.0f ? 0 : 3);
}

static enum dc_status put_leaky_relu(struct dc_tflite_writing *w, const struct dc_node *node,
                                     enum dc_tflite_code code)
{
    const struct dc_leaky_relu_attributes *a = node->attributes;
    struct dc_tflite_operator o = {.code = code,
                                   .input_count = 1,
                                   .inputs = {in_of(w, node, 0)},
                                   .options = {dc_tflite_float_bits(a->slope)}};
    return dc__tflite_put(w, node, &o);
}

static enum dc_status put_softmax(struct dc_tflite_writing *w, const struct dc_node *node,
                                  enum dc_tflite_code code)
{
    const struct dc_softmax_attributes *a = node->attributes;
    const int rank = node->shape.rank;
    struct dc_tflite_operator o = {
        .code = code, .input_count = 1, .inputs = {in_of(w, node, 0)}, .options = {0x3f800000}};
    if (a && a->axis && a->axis != -1 && a->axis != rank - 1)
        return dc__tflite_refuse(w, node, "TFLite's softmax is over the last axis");
    return dc__tflite_put(w, node, &o);
}

static enum dc_status put_concat(struct dc_tflite_writing *w, const struct dc_node *node,
                                 enum dc_tflite_code code)
{
    const struct dc_concat_attributes *a = node->attributes;
    struct dc_tflite_operator o = {.code = code, .input_count = node->input_count};
    const struct dc_tflite_tensor value = dc__tflite_value(w, node, node->name, &node->shape);
    o.options[0] = value.rank - (node->shape.rank - dc_axis_of(a->axis, node->shape.rank));
    for (int i = 0; i < node->input_count; i++)
        o.inputs[i] = in_of(w, node, i);
    return dc__tflite_put(w, node, &o);
}

static enum dc_status put_pad(struct dc_tflite_writing *w, const struct dc_node *node,
                              enum dc_tflite_code code)
{
    const struct dc_pad_attributes *a = node->attributes;
    const int32_t pads[] = {0, 0, a->top, a->bottom, a->left, a->right, a->before, a->after};
    struct dc_tflite_operator o = {.code = code, .input_count = 2, .inputs = {in_of(w, node, 0)}};
    DC_TRY(dc__tflite_add_integers(w, node, "pads", pads, 4, 2, &o.inputs[1]));
    return dc__tflite_put(w, node, &o);
}

static enum dc_status put_slice(struct dc_tflite_writing *w, const struct dc_node *node,
                                enum dc_tflite_code code)
{
    const struct dc_slice_attributes *a = node->attributes;
    const struct dc_shape *in = shape_in(w, node, 0);
    const int axis = dc_axis_of(a->axis, in->rank);
    const struct dc_tflite_tensor whole = dc__tflite_constant(node->name, in);
    int32_t parts[3][4];
    static const char *const names[] = {"begin", "end", "strides"};
    struct dc_tflite_operator o = {.code = code, .input_count = 4, .inputs = {in_of(w, node, 0)}};
    const int64_t first = a->begin < 0 ? a->begin + in->dims[axis] : a->begin;
    if (a->step < 1)
        return dc__tflite_refuse(w, node, "a slice that goes backwards");
    for (int i = 0; i < in->rank; i++) {
        parts[0][i] = i == axis ? (int32_t)first : 0;
        parts[2][i] = i == axis ? (int32_t)a->step : 1;
        parts[1][i] = i == axis ? (int32_t)(first + (node->shape.dims[axis] - 1) * a->step + 1)
                                : whole.shape[i];
    }
    for (int k = 0; k < 3; k++)
        DC_TRY(dc__tflite_add_integers(w, node, names[k], parts[k], in->rank, 0, &o.inputs[1 + k]));
    return dc__tflite_put(w, node, &o);
}

static enum dc_status put_reshape(struct dc_tflite_writing *w, const struct dc_node *node,
                                  enum dc_tflite_code code)
{
    struct dc_tflite_operator o = {.code = code, .input_count = 2, .inputs = {in_of(w, node, 0)}};
    const struct dc_tflite_tensor value = dc__tflite_value(w, node, node->name, &node->shape);
    DC_TRY(dc__tflite_add_integers(w, node, "shape", value.shape, value.rank, 0, &o.inputs[1]));
    return dc__tflite_put(w, node, &o);
}

static enum dc_status put_same(struct dc_tflite_writing *w, const struct dc_node *node,
                               enum dc_tflite_code code)
{
    (void)code;
    w->values[node - w->graph->nodes] = in_of(w, node, 0);
    return DC_OK;
}

static const struct {
    const struct dc_op *op;
    enum dc_status (*put)(struct dc_tflite_writing *w, const struct dc_node *node,
                          enum dc_tflite_code code);
    enum dc_tflite_code code;
} rows[] = {
    {&dc_op_conv, put_conv, DC_TFLITE_CONV_2D},
    {&dc_op_dense, put_dense, DC_TFLITE_FULLY_CONNECTED},
    {&dc_op_batch_norm, put_batch_norm, DC_TFLITE_MUL},
    {&dc_op_relu, put_plain, DC_TFLITE_RELU_OP},
    {&dc_op_relu6, put_plain, DC_TFLITE_RELU6_OP},
    {&dc_op_sigmoid, put_plain, DC_TFLITE_LOGISTIC},
    {&dc_op_tanh, put_plain, DC_TFLITE_TANH},
    {&dc_op_h_swish, put_plain, DC_TFLITE_HARD_SWISH},
    {&dc_op_leaky_relu, put_leaky_relu, DC_TFLITE_LEAKY_RELU},
    {&dc_op_softmax, put_softmax, DC_TFLITE_SOFTMAX},
    {&dc_op_add, put_plain, DC_TFLITE_ADD},
    {&dc_op_multiply, put_product, DC_TFLITE_MUL},
    {&dc_op_concat, put_concat, DC_TFLITE_CONCATENATION},
    {&dc_op_max_pool, put_pool, DC_TFLITE_MAX_POOL_2D},
    {&dc_op_average_pool, put_pool, DC_TFLITE_AVERAGE_POOL_2D},
    {&dc_op_global_average_pool, put_mean, DC_TFLITE_MEAN},
    {&dc_op_pad, put_pad, DC_TFLITE_PAD},
    {&dc_op_slice, put_slice, DC_TFLITE_STRIDED_SLICE},
    {&dc_op_flatten, put_reshape, DC_TFLITE_RESHAPE},
    {&dc_op_reshape, put_reshape, DC_TFLITE_RESHAPE},
    {&dc_op_dropout, put_same, DC_TFLITE_CODE_COUNT},
    {&dc_op_quantize, put_same, DC_TFLITE_CODE_COUNT},
    {&dc_op_dequantize, put_same, DC_TFLITE_CODE_COUNT},
};

static int row_of(const struct dc_node *node)
{
    for (int i = 0; i < (int)(sizeof rows / sizeof rows[0]); i++)
        if (rows[i].op == node->op && node->shape.rank <= 4)
            return i;
    return -1;
}

bool dc_tflite_has(const struct dc_op *op)
{
    bool found = false;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        found = found || rows[i].op == op;
    return found;
}

static enum dc_status check_ops(const struct dc_graph *graph, int input, struct dc_error *error)
{
    char text[REFUSED_TEXT] = "";
    for (int i = 0; i < graph->count; i++) {
        const struct dc_node *node = &graph->nodes[i];
        const size_t used = strlen(text);
        if (i != input && row_of(node) < 0)
            snprintf(text + used, sizeof text - used, "%s'%s' (%s)", used ? ", " : "", node->name,
                     node->op->name);
    }
    return text[0] ? dc_fail(error, DC_ERR_DATA, "no TFLite is written for %s", text) : DC_OK;
}

static enum dc_status write_network(const char *path, struct dc_tflite_writing *w)
{
    const struct dc_graph *g = w->graph;
    const int input = w->network->input;
    DC_TRY(check_ops(g, input, w->build.error));
    w->values = DC_NEW(w->build.arena, int, g->count, w->build.error);
    if (!w->values)
        return DC_ERR_MEMORY;
    for (int i = 0; i < g->count; i++) {
        const struct dc_node *node = &g->nodes[i];
        const struct dc_tflite_tensor value = dc__tflite_value(w, node, node->name, &node->shape);
        if (i == input)
            DC_TRY(dc_tflite_add_tensor(&w->build, &value, &w->values[i]));
        else
            DC_TRY(rows[row_of(node)].put(w, node, rows[row_of(node)].code));
    }
    w->build.file.input = w->values[input];
    w->build.file.output = w->values[w->network->output];
    return dc_tflite_save(&w->build, path);
}

enum dc_status dc_tflite_write_network(const char *path, const struct dc_network *network,
                                       const int64_t *places, const char *name, const char *note,
                                       const char *normalization, struct dc_error *error)
{
    struct dc_tflite_writing w = {.network = network, .graph = network->graph, .places = places};
    w.build.error = error;
    w.build.file = (struct dc_tflite_file){
        .name = name, .description = note, .normalization = normalization};
    DC_TRY(dc_arena_create(&w.build.arena, error));
    const enum dc_status status = write_network(path, &w);
    dc_arena_free(w.build.arena);
    return status;
}

enum dc_status dc_tflite_write_float(const char *path, const struct dc_graph *graph,
                                     const struct dc_params *params, int input, int output,
                                     const char *name, const char *note, struct dc_error *error)
{
    struct dc_network network;
    DC_TRY(dc_network_fold(&network, graph, params, input, output, error));
    const enum dc_status status = dc_tflite_write_network(path, &network, NULL, name, note,
                                                          note && note[0] ? note : NULL, error);
    dc_network_free(&network);
    return status;
}
