// Owns float networks as TFLite: one row a core op. Numbers are the network's own; kernels only
// change the order of their axes.

#include "formats/tflite_float.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/ops/ops.h"
#include "core/passes.h"
#include "formats/tflite_build.h"

enum { REFUSED_TEXT = 3000 };

struct writing {
    struct dc_tflite_builder build;
    const struct dc_graph *graph;
    const struct dc_params *params;
    int *values;  // [node]: its tensor
};

static int in_of(const struct writing *w, const struct dc_node *node, int i)
{
    return w->values[node->inputs[i]];
}

static const struct dc_shape *shape_in(const struct writing *w, const struct dc_node *node, int i)
{
    return &w->graph->nodes[node->inputs[i]].shape;
}

static enum dc_status refuse(const struct writing *w, const struct dc_node *node, const char *why)
{
    return dc_fail(w->build.error, DC_ERR_DATA, "node '%s' (%s): %s", node->name, node->op->name,
                   why);
}

static struct dc_tflite_tensor tensor_of(const char *name, const struct dc_shape *shape)
{
    struct dc_tflite_tensor tensor = {
        .name = name, .type = DC_TFLITE_FLOAT32, .rank = shape->rank, .arena_offset = -1};
    for (int i = 0; i < shape->rank && i < 4; i++)
        tensor.shape[i] = shape->dims[i] == DC_BATCH ? 1 : (int32_t)shape->dims[i];
    return tensor;
}

// The operator's output becomes the node's value.
static enum dc_status put(struct writing *w, const struct dc_node *node,
                          struct dc_tflite_operator *o)
{
    const struct dc_tflite_tensor value = tensor_of(node->name, &node->shape);
    DC_TRY(dc_tflite_add_tensor(&w->build, &value, &o->output));
    w->values[node - w->graph->nodes] = o->output;
    return dc_tflite_add_operator(&w->build, o);
}

static enum dc_status add_floats(struct writing *w, const char *name, const struct dc_shape *shape,
                                 const float *values, int *index)
{
    struct dc_tflite_tensor tensor = tensor_of(name, shape);
    tensor.data = values;
    tensor.bytes = 4 * dc_shape_count(shape);
    return dc_tflite_add_tensor(&w->build, &tensor, index);
}

static const struct dc_slice *slice_of(const struct writing *w, const struct dc_node *node, int k)
{
    return &w->params->slices[node->params[k]];
}

// [taps, in, out] of memory to [out, taps, in] of the file; taps and in go together.
static enum dc_status add_kernel(struct writing *w, const struct dc_node *node,
                                 const struct dc_shape *shape, int64_t out, bool turns, int *index)
{
    const struct dc_slice *s = slice_of(w, node, 0);
    const float *values = w->params->value + s->offset;
    const int64_t rows = s->count / out;
    float *turned = turns ? DC_NEW(w->build.arena, float, s->count, w->build.error) : NULL;
    if (turns && !turned)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; turns && i < s->count; i++)
        turned[i % out * rows + i / out] = values[i];
    return add_floats(w, s->name, shape, turns ? turned : values, index);
}

// Without a bias: zeros, which some runtimes want.
static enum dc_status add_bias(struct writing *w, const struct dc_node *node, bool has,
                               int64_t channels, int *index)
{
    const struct dc_slice *s = has ? slice_of(w, node, 1) : NULL;
    const float *values = s ? w->params->value + s->offset
                            : DC_NEW(w->build.arena, float, channels, w->build.error);
    const char *name = s ? s->name
                         : dc_arena_printf(w->build.arena, w->build.error, "%s.bias", node->name);
    if (!values || !name)
        return DC_ERR_MEMORY;
    return add_floats(w, name, &DC_SHAPE(channels), values, index);
}

// Window of a convolution or pool: VALID, SAME, or a pad before it, of `fill` where it is not 0.
static enum dc_status pad_window(struct writing *w, const struct dc_node *node,
                                 const struct dc_window *window, float fill,
                                 struct dc_tflite_operator *o)
{
    const struct dc_shape *in = shape_in(w, node, 0);
    const bool padded_at_all = dc_window_is_padded(window);
    const bool same = dc_window_is_same(window, 0, in->dims[1]) &&
                      dc_window_is_same(window, 1, in->dims[2]);
    o->options[0] = same && padded_at_all ? DC_TFLITE_SAME : DC_TFLITE_VALID;
    if (same || !padded_at_all)
        return DC_OK;
    if (node->op == &dc_op_average_pool)
        return refuse(w, node, "an average over a padded window that is not TFLite's SAME");
    const int32_t amounts[] = {
        0, 0, window->before[0], window->after[0], window->before[1], window->after[1], 0, 0};
    struct dc_tflite_operator pad = {.kind = fill == 0.0f ? DC_TFLITE_PAD : DC_TFLITE_PAD_VALUE,
                                     .input_count = fill == 0.0f ? 2 : 3,
                                     .inputs = {o->inputs[0]}};
    struct dc_shape padded = *in;
    for (int i = 0; i < 2; i++)
        padded.dims[1 + i] += window->before[i] + window->after[i];
    const char *name = dc_arena_printf(w->build.arena, w->build.error, "%s/padded", node->name);
    const char *filling = dc_arena_printf(w->build.arena, w->build.error, "%s/fill", node->name);
    float *value = DC_NEW(w->build.arena, float, 1, w->build.error);
    if (!name || !filling || !value)
        return DC_ERR_MEMORY;
    *value = fill;
    DC_TRY(dc_tflite_add_integers(&w->build, node->name, "pads", amounts, 4, 2, &pad.inputs[1]));
    if (pad.input_count == 3)
        DC_TRY(add_floats(w, filling, &DC_SHAPE(1), value, &pad.inputs[2]));
    const struct dc_tflite_tensor tensor = tensor_of(name, &padded);
    DC_TRY(dc_tflite_add_tensor(&w->build, &tensor, &pad.output));
    o->inputs[0] = pad.output;
    return dc_tflite_add_operator(&w->build, &pad);
}

static enum dc_status put_conv(struct writing *w, const struct dc_node *node,
                               enum dc_tflite_kind kind)
{
    const struct dc_conv_attributes *a = node->attributes;
    const int64_t channels = shape_in(w, node, 0)->dims[3];
    const bool depthwise = a->groups == channels && a->groups > 1;
    if (a->groups != 1 && !depthwise)
        return refuse(w, node, "TFLite has no convolution in groups, but one a channel");
    const struct dc_shape shape =
        depthwise ? DC_SHAPE(1, a->window.kernel[0], a->window.kernel[1], a->filters)
                  : DC_SHAPE(a->filters, a->window.kernel[0], a->window.kernel[1], channels);
    struct dc_tflite_operator o = {.kind = depthwise ? DC_TFLITE_DEPTHWISE_CONV : kind,
                                   .input_count = 3,
                                   .inputs = {in_of(w, node, 0)}};
    int64_t *option = o.options + 1;
    DC_TRY(pad_window(w, node, &a->window, 0.0f, &o));
    *option++ = a->window.stride[1];
    *option++ = a->window.stride[0];
    if (depthwise)
        *option++ = a->filters / channels;
    *option++ = DC_TFLITE_NONE;
    *option++ = a->window.dilation[1];
    *option++ = a->window.dilation[0];
    DC_TRY(add_kernel(w, node, &shape, a->filters, !depthwise, &o.inputs[1]));
    DC_TRY(add_bias(w, node, a->bias, a->filters, &o.inputs[2]));
    return put(w, node, &o);
}

static enum dc_status put_dense(struct writing *w, const struct dc_node *node,
                                enum dc_tflite_kind kind)
{
    const struct dc_dense_attributes *a = node->attributes;
    const struct dc_shape *in = shape_in(w, node, 0);
    struct dc_tflite_operator o = {
        .kind = kind, .input_count = 3, .inputs = {in_of(w, node, 0)}, .options = {[2] = 1}};
    DC_TRY(add_kernel(w, node, &DC_SHAPE(a->units, in->dims[in->rank - 1]), a->units, true,
                      &o.inputs[1]));
    DC_TRY(add_bias(w, node, a->bias, a->units, &o.inputs[2]));
    return put(w, node, &o);
}

// y = x * factor + offset, in two operators.
static enum dc_status put_batch_norm(struct writing *w, const struct dc_node *node,
                                     enum dc_tflite_kind kind)
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
        of[k] = w->params->value + slice_of(w, node, k)->offset;
    for (int64_t c = 0; c < channels; c++) {
        const double f = (double)of[DC_GAMMA][c] /
                         sqrt((double)of[DC_VARIANCE][c] + (double)a->epsilon);
        factor[c] = (float)f;
        offset[c] = (float)((double)of[DC_BETA][c] - (double)of[DC_MEAN][c] * f);
    }
    struct dc_tflite_operator product = {
        .kind = kind, .input_count = 2, .inputs = {in_of(w, node, 0)}};
    struct dc_tflite_operator sum = {.kind = DC_TFLITE_ADD, .input_count = 2};
    const struct dc_tflite_tensor tensor = tensor_of(names[2], &node->shape);
    DC_TRY(add_floats(w, names[0], &DC_SHAPE(channels), factor, &product.inputs[1]));
    DC_TRY(add_floats(w, names[1], &DC_SHAPE(channels), offset, &sum.inputs[1]));
    DC_TRY(dc_tflite_add_tensor(&w->build, &tensor, &product.output));
    DC_TRY(dc_tflite_add_operator(&w->build, &product));
    sum.inputs[0] = product.output;
    return put(w, node, &sum);
}

static enum dc_status put_pool(struct writing *w, const struct dc_node *node,
                               enum dc_tflite_kind kind)
{
    const struct dc_pool_attributes *a = node->attributes;
    const bool pads = dc_window_is_padded(&a->window);
    struct dc_tflite_operator o = {.kind = kind,
                                   .input_count = 1,
                                   .inputs = {in_of(w, node, 0)},
                                   .options = {0, a->window.stride[1], a->window.stride[0],
                                               a->window.kernel[1], a->window.kernel[0],
                                               DC_TFLITE_NONE}};
    if (a->window.dilation[0] > 1 || a->window.dilation[1] > 1)
        return refuse(w, node, "TFLite has no dilated pool");
    if ((a->count_padding && pads) || a->uncounted[0] || a->uncounted[1])
        return refuse(w, node, "TFLite's averages do not count padding");
    DC_TRY(pad_window(w, node, &a->window, -FLT_MAX, &o));
    return put(w, node, &o);
}

static enum dc_status put_mean(struct writing *w, const struct dc_node *node,
                               enum dc_tflite_kind kind)
{
    struct dc_tflite_operator o = {.kind = kind, .input_count = 2, .inputs = {in_of(w, node, 0)}};
    DC_TRY(dc_tflite_add_integers(&w->build, node->name, "axes", (const int32_t[]){1, 2}, 2, 0,
                                  &o.inputs[1]));
    return put(w, node, &o);
}

// Functions of one value, and sums of two.
static enum dc_status put_plain(struct writing *w, const struct dc_node *node,
                                enum dc_tflite_kind kind)
{
    struct dc_tflite_operator o = {.kind = kind, .input_count = node->input_count};
    if (kind == DC_TFLITE_ADD && node->input_count != 2)
        return refuse(w, node, "TFLite adds two values");
    for (int i = 0; i < node->input_count; i++)
        o.inputs[i] = in_of(w, node, i);
    return put(w, node, &o);
}

static enum dc_status put_leaky_relu(struct writing *w, const struct dc_node *node,
                                     enum dc_tflite_kind kind)
{
    const struct dc_leaky_relu_attributes *a = node->attributes;
    struct dc_tflite_operator o = {.kind = kind,
                                   .input_count = 1,
                                   .inputs = {in_of(w, node, 0)},
                                   .options = {dc_tflite_float_bits(a->slope)}};
    return put(w, node, &o);
}

static enum dc_status put_softmax(struct writing *w, const struct dc_node *node,
                                  enum dc_tflite_kind kind)
{
    const struct dc_softmax_attributes *a = node->attributes;
    const int rank = node->shape.rank;
    struct dc_tflite_operator o = {
        .kind = kind, .input_count = 1, .inputs = {in_of(w, node, 0)}, .options = {0x3f800000}};
    if (a && a->axis && a->axis != -1 && a->axis != rank - 1)
        return refuse(w, node, "TFLite's softmax is over the last axis");
    return put(w, node, &o);
}

static enum dc_status put_concat(struct writing *w, const struct dc_node *node,
                                 enum dc_tflite_kind kind)
{
    const struct dc_concat_attributes *a = node->attributes;
    struct dc_tflite_operator o = {.kind = kind, .input_count = node->input_count};
    o.options[0] = dc_axis_of(a->axis, node->shape.rank);
    for (int i = 0; i < node->input_count; i++)
        o.inputs[i] = in_of(w, node, i);
    return put(w, node, &o);
}

static enum dc_status put_pad(struct writing *w, const struct dc_node *node,
                              enum dc_tflite_kind kind)
{
    const struct dc_pad_attributes *a = node->attributes;
    const int32_t pads[] = {0, 0, a->top, a->bottom, a->left, a->right, a->before, a->after};
    struct dc_tflite_operator o = {.kind = kind, .input_count = 2, .inputs = {in_of(w, node, 0)}};
    DC_TRY(dc_tflite_add_integers(&w->build, node->name, "pads", pads, 4, 2, &o.inputs[1]));
    return put(w, node, &o);
}

static enum dc_status put_slice(struct writing *w, const struct dc_node *node,
                                enum dc_tflite_kind kind)
{
    const struct dc_slice_attributes *a = node->attributes;
    const struct dc_shape *in = shape_in(w, node, 0);
    const int axis = dc_axis_of(a->axis, in->rank);
    const struct dc_tflite_tensor whole = tensor_of(node->name, in);
    int32_t parts[3][4];
    static const char *const names[] = {"begin", "end", "strides"};
    struct dc_tflite_operator o = {.kind = kind, .input_count = 4, .inputs = {in_of(w, node, 0)}};
    const int64_t first = a->begin < 0 ? a->begin + in->dims[axis] : a->begin;
    if (a->step < 1)
        return refuse(w, node, "a slice that goes backwards");
    for (int i = 0; i < in->rank; i++) {
        parts[0][i] = i == axis ? (int32_t)first : 0;
        parts[2][i] = i == axis ? (int32_t)a->step : 1;
        parts[1][i] = i == axis ? (int32_t)(first + (node->shape.dims[axis] - 1) * a->step + 1)
                                : whole.shape[i];
    }
    for (int k = 0; k < 3; k++)
        DC_TRY(dc_tflite_add_integers(&w->build, node->name, names[k], parts[k], in->rank, 0,
                                      &o.inputs[1 + k]));
    return put(w, node, &o);
}

static enum dc_status put_reshape(struct writing *w, const struct dc_node *node,
                                  enum dc_tflite_kind kind)
{
    struct dc_tflite_operator o = {.kind = kind, .input_count = 2, .inputs = {in_of(w, node, 0)}};
    const struct dc_tflite_tensor value = tensor_of(node->name, &node->shape);
    DC_TRY(dc_tflite_add_integers(&w->build, node->name, "shape", value.shape, value.rank, 0,
                                  &o.inputs[1]));
    return put(w, node, &o);
}

static enum dc_status put_same(struct writing *w, const struct dc_node *node,
                               enum dc_tflite_kind kind)
{
    (void)kind;
    w->values[node - w->graph->nodes] = in_of(w, node, 0);
    return DC_OK;
}

static const struct {
    const struct dc_op *op;
    enum dc_status (*put)(struct writing *w, const struct dc_node *node, enum dc_tflite_kind kind);
    enum dc_tflite_kind kind;
} rows[] = {
    {&dc_op_conv, put_conv, DC_TFLITE_CONV},
    {&dc_op_dense, put_dense, DC_TFLITE_FULLY_CONNECTED},
    {&dc_op_batch_norm, put_batch_norm, DC_TFLITE_MULTIPLY},
    {&dc_op_relu, put_plain, DC_TFLITE_RELU_OF},
    {&dc_op_relu6, put_plain, DC_TFLITE_RELU6_OF},
    {&dc_op_sigmoid, put_plain, DC_TFLITE_LOGISTIC},
    {&dc_op_tanh, put_plain, DC_TFLITE_TANH},
    {&dc_op_h_swish, put_plain, DC_TFLITE_HARD_SWISH},
    {&dc_op_leaky_relu, put_leaky_relu, DC_TFLITE_LEAKY_RELU},
    {&dc_op_softmax, put_softmax, DC_TFLITE_SOFTMAX},
    {&dc_op_add, put_plain, DC_TFLITE_ADD},
    {&dc_op_concat, put_concat, DC_TFLITE_CONCATENATION},
    {&dc_op_max_pool, put_pool, DC_TFLITE_MAX_POOL},
    {&dc_op_average_pool, put_pool, DC_TFLITE_AVERAGE_POOL},
    {&dc_op_global_average_pool, put_mean, DC_TFLITE_MEAN},
    {&dc_op_pad, put_pad, DC_TFLITE_PAD},
    {&dc_op_slice, put_slice, DC_TFLITE_STRIDED_SLICE},
    {&dc_op_flatten, put_reshape, DC_TFLITE_RESHAPE},
    {&dc_op_reshape, put_reshape, DC_TFLITE_RESHAPE},
    {&dc_op_dropout, put_same, DC_TFLITE_ADD},
};

static int row_of(const struct dc_node *node)
{
    for (int i = 0; i < (int)(sizeof rows / sizeof rows[0]); i++)
        if (rows[i].op == node->op && node->shape.rank <= 4)
            return i;
    return -1;
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

static enum dc_status write_folded(const char *path, struct writing *w, const char *input_name,
                                   int output)
{
    const int input = dc_graph_find(w->graph, input_name);
    if (input < 0)
        return dc_fail(w->build.error, DC_ERR_DATA, "the network does not read '%s'", input_name);
    DC_TRY(check_ops(w->graph, input, w->build.error));
    w->values = DC_NEW(w->build.arena, int, w->graph->count, w->build.error);
    if (!w->values)
        return DC_ERR_MEMORY;
    for (int i = 0; i < w->graph->count; i++) {
        const struct dc_node *node = &w->graph->nodes[i];
        const struct dc_tflite_tensor value = tensor_of(node->name, &node->shape);
        if (i == input)
            DC_TRY(dc_tflite_add_tensor(&w->build, &value, &w->values[i]));
        else
            DC_TRY(rows[row_of(node)].put(w, node, rows[row_of(node)].kind));
    }
    w->build.file.input = w->values[input];
    w->build.file.output = w->values[output];
    return dc_tflite_save(&w->build, path);
}

enum dc_status dc_tflite_write_float(const char *path, const struct dc_graph *graph,
                                     const struct dc_params *params, int input, int output,
                                     const char *name, const char *note, struct dc_error *error)
{
    struct dc_graph *folded = NULL;
    struct dc_params *folded_params = NULL;
    int place = -1;
    DC_TRY(dc_fold_for_inference(&folded, &folded_params, &place, graph, params, output, error));
    struct writing w = {.graph = folded, .params = folded_params};
    w.build.error = error;
    w.build.file = (struct dc_tflite_file){
        .name = name, .description = note, .normalization = note && note[0] ? note : NULL};
    enum dc_status status = dc_arena_create(&w.build.arena, error);
    if (status == DC_OK)
        status = write_folded(path, &w, graph->nodes[input].name, place);
    dc_arena_free(w.build.arena);
    dc_params_free(folded_params);
    dc_graph_free(folded);
    return status;
}
