// Owns which integer layer each op between dequantize and quantize is. Copies codes, scales and
// clamps as they are; derives nothing, which dc_imodel_add does, and computes nothing.

#include "qat/from_graph.h"

#include <stdlib.h>
#include <string.h>

#include "core/network.h"
#include "core/ops/ops.h"
#include "qat/profile.h"
#include "qat/table.h"

enum { NONE = -1 };

struct raising {
    const struct dc_graph *graph;
    const struct dc_codes *codes;
    struct dc_imodel *model;
    int *layer_of;  // [node]: of those that store
    struct dc_error *error;
};

static enum dc_status no_form(const struct raising *r, const struct dc_node *node, const char *why)
{
    return dc_fail(r->error, DC_ERR_DATA, "layer '%s' (%s) has no integers here: %s", node->name,
                   node->op->name, why);
}

static void set_shape(struct dc_ilayer *l, const struct dc_node *node)
{
    const struct dc_shape image = dc_shape_image(&node->shape);
    l->height = (int)image.dims[0];
    l->width = (int)image.dims[1];
    l->channels = (int)image.dims[2];
}

// Over all positions of an image or a series. Runtimes whose means of an image send ties upward do
// so by a kernel for images that keep their dimensions alone.
static enum dc_status set_mean(const struct raising *r, const struct dc_node *node,
                               const struct dc_shape *in, struct dc_ilayer *l)
{
    const struct dc_reduce_attributes *a = node->attributes;
    const bool pools = node->op == &dc_op_global_average_pool;
    if (!pools && a->axes != (in->rank == 4 ? 6u : in->rank == 3 ? 2u : 0u))
        return no_form(r, node, "a mean is over height and width");
    if (!pools && !(in->rank == 4 && a->keep) &&
        dc_profile_rounding(r->model->profile, DC_I_MEAN) == DC_ROUND_DOUBLE_UP)
        return no_form(r, node,
                       "this profile's runtime has another kernel for means that drop their "
                       "dimensions; export it with keepdims=True, or take another profile");
    l->op = DC_I_MEAN;
    return DC_OK;
}

// Codes from the parameter's [taps, channels] to [channels, taps]; depthwise ones lie so.
static enum dc_status set_weights(const struct raising *r, const struct dc_node *node,
                                  struct dc_ilayer *l, int inputs)
{
    const struct dc_codes *c = &r->codes[node->params[0]], *b = c + 1;
    const int64_t count = dc_shape_count(&r->graph->params[node->params[0]].shape);
    const int64_t taps = count / l->channels;
    if (!c->weights || node->param_count < 2 || !b->biases)
        return no_form(r, node, "its weights are no codes");
    int8_t *weights = DC_NEW(r->model->arena, int8_t, count, r->error);
    if (!weights)
        return DC_ERR_MEMORY;
    if (node->op == &dc_op_conv) {
        const struct dc_conv_attributes *a = node->attributes;
        const bool depthwise = a->groups == inputs && a->groups > 1;
        if (!depthwise && a->groups != 1)
            return no_form(r, node, "a convolution in groups, but one a channel");
        l->op = depthwise ? DC_I_DEPTHWISE_CONV2D : DC_I_CONV2D;
        l->window = a->window;
        if (c->by_channel && !depthwise && r->model->profile->rounding == DC_ROUND_DOUBLE_UP)
            return no_form(r, node,
                           "this profile's runtime has another kernel for depthwise convolutions, "
                           "of one channel too");
    } else {
        l->op = l->height * l->width == 1 ? DC_I_FULLY_CONNECTED : DC_I_CONV2D;
        if (l->op == DC_I_CONV2D)
            return no_form(r, node,
                           "a dense layer over the last axis of a map is computed by "
                           "another kernel than a convolution");
    }
    for (int64_t i = 0; i < count; i++)
        weights[l->op == DC_I_DEPTHWISE_CONV2D ? i : i % l->channels * taps + i / l->channels] =
            c->weights[i];
    l->weights = weights;
    l->biases = b->biases;
    l->weight_scales = c->scales;
    l->weight_bits = c->bits;
    l->per_channel = c->per_channel;
    return DC_OK;
}

static enum dc_status set_slice(const struct raising *r, const struct dc_node *node,
                                struct dc_ilayer *l)
{
    const struct dc_slice_attributes *a = node->attributes;
    const int rank = node->shape.rank, axis = dc_axis_of(a->axis, rank);
    if (a->step < 1 || (axis == rank - 1 && a->step != 1))
        return no_form(r, node, "a slice of every other channel");
    l->window.stride[0] = l->window.stride[1] = 1;
    if (axis == rank - 1) {
        l->first_channel = (int)a->begin;
        return DC_OK;
    }
    l->window.before[axis == rank - 2] = (int)a->begin;
    l->window.stride[axis == rank - 2] = (int)a->step;
    return DC_OK;
}

static enum dc_status set_op(const struct raising *r, const struct dc_node *node,
                             struct dc_ilayer *l)
{
    static const struct {
        const struct dc_op *op;
        enum dc_iop layer;
    } simple[] = {
        {&dc_op_add, DC_I_ADD},           {&dc_op_multiply, DC_I_MULTIPLY},
        {&dc_op_max_pool, DC_I_MAX_POOL}, {&dc_op_average_pool, DC_I_AVERAGE_POOL},
        {&dc_op_flatten, DC_I_RESHAPE},   {&dc_op_reshape, DC_I_RESHAPE},
        {&dc_op_pad, DC_I_PAD},           {&dc_op_concat, DC_I_CONCAT},
        {&dc_op_slice, DC_I_SLICE},       {&dc_op_softmax, DC_I_SOFTMAX},
    };
    const struct dc_shape *in = &r->graph->nodes[node->inputs[0]].shape;
    if (node->op == &dc_op_conv || node->op == &dc_op_dense)
        return set_weights(r, node, l, (int)in->dims[in->rank - 1]);
    if (node->op == &dc_op_global_average_pool || node->op == &dc_op_reduce_mean)
        return set_mean(r, node, in, l);
    const int function = dc_ifunction_of(node->op);
    l->op = DC_IOP_COUNT;
    for (size_t i = 0; i < sizeof simple / sizeof simple[0]; i++)
        if (simple[i].op == node->op)
            l->op = simple[i].layer;
    if (function >= 0) {
        l->op = DC_I_TABLE;
        l->function = (enum dc_ifunction)function;
        memcpy(l->parameters, node->attributes ? node->attributes : l->parameters,
               sizeof(float) * (size_t)dc_ifunction_parameters(l->function));
    }
    switch (l->op) {
    case DC_I_MAX_POOL:
    case DC_I_AVERAGE_POOL:
        l->window = ((const struct dc_pool_attributes *)node->attributes)->window;
        return DC_OK;
    case DC_I_PAD: {
        const struct dc_pad_attributes *a = node->attributes;
        l->window = (struct dc_window){.before = {a->top, a->left}, .after = {a->bottom, a->right}};
        l->first_channel = a->before;
        return DC_OK;
    }
    case DC_I_CONCAT:
        if (dc_axis_of(((const struct dc_concat_attributes *)node->attributes)->axis,
                       node->shape.rank) != node->shape.rank - 1)
            return no_form(r, node, "concatenation is along channels");
        return DC_OK;
    case DC_I_SLICE:
        return set_slice(r, node, l);
    case DC_IOP_COUNT:
        return no_form(r, node, "no integer layer computes it");
    default:
        return DC_OK;
    }
}

static bool same_grid(const struct dc_quantize_attributes *a, const struct dc_ilayer *l)
{
    return a->scale == l->scale && a->zero_point == l->zero_point;
}

// The layers that the op reads: each input is read from codes.
static enum dc_status find_inputs(const struct raising *r, const struct dc_node *node,
                                  struct dc_ilayer *l)
{
    if (node->input_count > DC_I_INPUTS_MAX)
        return no_form(r, node, "it reads too many values");
    for (int k = 0; k < node->input_count; k++) {
        const struct dc_node *read = &r->graph->nodes[node->inputs[k]];
        if (read->op == &dc_op_constant)
            return no_form(r, node, "one of its values is a constant");
        if (read->op != &dc_op_dequantize || r->layer_of[read->inputs[0]] == NONE)
            return no_form(r, node, "it reads floats; quantize the whole network");
        l->inputs[k] = r->layer_of[read->inputs[0]];
    }
    l->input_count = node->input_count;
    return DC_OK;
}

// Node i stores what node `inputs[0]` computes.
static enum dc_status raise_layer(struct raising *r, int i)
{
    const struct dc_node *store = &r->graph->nodes[i];
    const struct dc_node *node = &r->graph->nodes[store->inputs[0]];
    const struct dc_quantize_attributes *grid = store->attributes;
    struct dc_ilayer l = {.name = node->name,
                          .scale = grid->scale,
                          .zero_point = grid->zero_point,
                          .bits = grid->bits,
                          .clamp_low = grid->clamp_low,
                          .clamp_high = grid->clamp_high};
    set_shape(&l, store);
    if (node->op == &dc_op_input) {
        l.op = DC_I_INPUT;
        r->model->sample = (struct dc_shape){.rank = node->shape.rank - 1};
        memcpy(r->model->sample.dims, node->shape.dims + 1,
               sizeof node->shape.dims - sizeof node->shape.dims[0]);
        return dc_imodel_add(r->model, &l, &r->layer_of[i], r->error);
    }
    if (node->op == &dc_op_dequantize) {
        const int from = r->layer_of[node->inputs[0]];
        r->layer_of[i] = from;
        return from != NONE && same_grid(grid, &r->model->layers[from])
                   ? DC_OK
                   : no_form(r, store, "it only changes the scale of a value");
    }
    DC_TRY(find_inputs(r, node, &l));
    DC_TRY(set_op(r, node, &l));
    const struct dc_ilayer *x = &r->model->layers[l.inputs[0]];
    if (l.op == DC_I_RESHAPE && x->height == l.height && x->width == l.width &&
        same_grid(grid, x)) {
        r->layer_of[i] = l.inputs[0];  // [batch, c] and [batch, 1, 1, c] are the same integers
        return DC_OK;
    }
    return dc_imodel_add(r->model, &l, &r->layer_of[i], r->error);
}

static enum dc_status raise_all(struct raising *r, int output)
{
    const struct dc_node *last = &r->graph->nodes[output];
    for (int i = 0; i < r->graph->count; i++)
        r->layer_of[i] = NONE;
    for (int i = 0; i < r->graph->count; i++)
        if (r->graph->nodes[i].op == &dc_op_quantize)
            DC_TRY(raise_layer(r, i));
    while (last->op == &dc_op_flatten || last->op == &dc_op_reshape)
        last = &r->graph->nodes[last->inputs[0]];
    if (last->op != &dc_op_dequantize)
        return no_form(r, last, "it computes with floats; quantize the whole network");
    return r->layer_of[last->inputs[0]] == r->model->count - 1
               ? DC_OK
               : no_form(r, last, "it is not what the network computes last");
}

enum dc_status dc_imodel_from_graph(struct dc_imodel **model, const struct dc_graph *graph,
                                    const struct dc_codes *codes, int output, const char *name,
                                    const char *provenance, const struct dc_profile *profile,
                                    struct dc_error *error)
{
    struct raising r = {.graph = graph, .codes = codes, .error = error};
    *model = NULL;
    DC_TRY(dc_imodel_create(&r.model, name, provenance, profile, error));
    r.layer_of = dc_alloc((size_t)graph->count * sizeof *r.layer_of, error);
    const enum dc_status status = r.layer_of ? raise_all(&r, output) : DC_ERR_MEMORY;
    free(r.layer_of);
    if (status == DC_OK)
        *model = r.model;
    else
        dc_imodel_free(r.model);
    return status;
}
