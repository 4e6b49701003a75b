// Owns the walk from a quantized graph to integer layers. The numbers of weighted layers are
// lower_weights.c's. Each node maps to the layer that holds its value; nodes that the integer
// engine computes in one layer (convolution, normalization, ReLU) map to the same.

#include "qat/lower.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "qat/fake_quantize.h"
#include "qat/lower_weights.h"
#include "qat/table.h"

enum { NONE = -1 };

struct lowering {
    const struct dc_graph *graph;
    const struct dc_params *params;
    struct dc_imodel *model;
    struct dc_lower_report *report;
    bool *needed;
    int *layer_of;  // [node]: layer with its value, or NONE
    const char *input;
    struct dc_error *error;
};

static int only_reader(const struct lowering *w, int i)
{
    return dc_graph_only_reader(w->graph, w->needed, i);
}

static enum dc_status no_form(const struct lowering *w, int i, const char *why)
{
    return dc_fail(w->error, DC_ERR_CONFIG, "layer '%s' (%s) cannot be lowered: %s",
                   w->graph->nodes[i].name, w->graph->nodes[i].op->name, why);
}

// The grid of the value that node i ends: the first quantizer behind it, through nodes that do not
// change a grid.
static enum dc_status find_grid(const struct lowering *w, int i, struct dc_ilayer *l)
{
    static const struct dc_op *const keep[] = {
        &dc_op_max_pool, &dc_op_average_pool, &dc_op_flatten, &dc_op_reshape, &dc_op_pad,
        &dc_op_dropout,  &dc_op_concat,       &dc_op_relu,    &dc_op_relu6,   &dc_op_slice};
    int at = only_reader(w, i);
    while (at != NONE && w->graph->nodes[at].op != &dc_op_fake_quantize) {
        bool keeps = false;
        for (size_t k = 0; k < sizeof keep / sizeof keep[0]; k++)
            keeps = keeps || w->graph->nodes[at].op == keep[k];
        at = keeps ? only_reader(w, at) : NONE;
    }
    if (at == NONE)
        return no_form(w, i, "no quantizer follows it");
    if (!dc_has_range(&w->graph->nodes[at], w->params))
        return dc_fail(w->error, DC_ERR_NUMERIC, "'%s' has no finite range: train or calibrate",
                       w->graph->nodes[at].name);
    const struct dc_fake_quantize_attributes *a = w->graph->nodes[at].attributes;
    const struct dc_grid grid = dc_grid_of_node(&w->graph->nodes[at], w->params);
    l->bits = a->bits;
    l->scale = grid.step;
    l->zero_point = (int)grid.zero_point;
    return DC_OK;
}

static enum dc_status set_shape(const struct lowering *w, int i, struct dc_ilayer *l)
{
    const struct dc_shape image = dc_shape_image(&w->graph->nodes[i].shape);
    if (dc_shape_count(&image) > INT32_MAX)
        return no_form(w, i, "its values are too many");
    l->height = (int)image.dims[0];
    l->width = (int)image.dims[1];
    l->channels = (int)image.dims[2];
    return DC_OK;
}

// The clamps of a layer whose grid is set; relu: the node behind it (or relu6, hard_sigmoid), or
// NONE.
static void set_clamps(const struct lowering *w, struct dc_ilayer *l, int relu)
{
    l->clamp_low = dc_code_low(l->bits);
    l->clamp_high = dc_code_high(l->bits);
    if (relu == NONE)
        return;
    l->clamp_low = l->zero_point;
    const struct dc_op *op = w->graph->nodes[relu].op;
    if (op == &dc_op_relu6 || op == &dc_op_hard_sigmoid) {
        const float most = op == &dc_op_relu6 ? 6.0f : 1.0f;
        const float high = (float)l->zero_point + roundf(most / l->scale);
        l->clamp_high = high < (float)l->clamp_high ? (int)high : l->clamp_high;
    }
}

static void map_chain(const struct lowering *w, int from, int to, int layer)
{
    for (int i = from; i != to; i = only_reader(w, i))
        w->layer_of[i] = layer;
    w->layer_of[to] = layer;
}

static enum dc_status add_layer(struct lowering *w, struct dc_ilayer *l, int i, int end)
{
    int index;
    const struct dc_node *node = &w->graph->nodes[i];
    l->name = node->name;
    l->input_count = node->input_count;
    for (int k = 0; k < node->input_count; k++) {
        l->inputs[k] = w->layer_of[node->inputs[k]];
        if (l->inputs[k] == NONE)
            return no_form(w, i, "what it reads has no quantizer");
    }
    // The integer product reads its larger value first.
    if (l->op == DC_I_MULTIPLY && dc_ilayer_size(&w->model->layers[l->inputs[0]]) <
                                      dc_ilayer_size(&w->model->layers[l->inputs[1]])) {
        const int smaller = l->inputs[0];
        l->inputs[0] = l->inputs[1];
        l->inputs[1] = smaller;
    }
    DC_TRY(dc_imodel_add(w->model, l, &index, w->error));
    map_chain(w, i, end, index);
    w->report->layers++;
    return DC_OK;
}

static enum dc_status lower_weighted(struct lowering *w, int i, struct dc_ilayer *l)
{
    const struct dc_node *node = &w->graph->nodes[i];
    const int input = w->layer_of[node->inputs[0]];
    if (input == NONE)
        return no_form(w, i, "what it reads has no quantizer");
    const struct dc_layer_chain chain = dc_graph_layer(w->graph, w->needed, i, true);
    const struct dc_node *norm = chain.norm == NONE ? NULL : &w->graph->nodes[chain.norm];
    const struct dc_node *clamp = chain.clamp == NONE ? NULL : &w->graph->nodes[chain.clamp];
    const struct dc_node *squash = clamp && clamp->op == &dc_op_hard_sigmoid ? clamp : NULL;
    DC_TRY(find_grid(w, chain.last, l));
    set_clamps(w, l, chain.clamp);
    struct dc_arena *arena = NULL;
    DC_TRY(dc_arena_create(&arena, w->error));
    enum dc_status status = dc__lower_weights(l, arena, node, norm, squash, w->params,
                                              &w->model->layers[input], w->report, w->error);
    if (status == DC_OK)
        status = add_layer(w, l, i, chain.last);
    dc_arena_free(arena);
    if (status != DC_OK)
        return status;
    // Multipliers above 1: count where the worst sum times 2^shift leaves int32.
    const struct dc_ilayer *done = &w->model->layers[w->model->count - 1];
    for (int c = 0; c < done->channels; c++) {
        const double most = fmax(-(double)done->accumulator_low, (double)done->accumulator_high);
        w->report->shifted_channels += done->shifts[c] > 0 &&
                                       ldexp(most, done->shifts[c]) > (double)INT32_MAX;
    }
    return DC_OK;
}

static void set_slice(const struct lowering *w, int i, struct dc_ilayer *l)
{
    const struct dc_slice_attributes *a = w->graph->nodes[i].attributes;
    const int rank = w->graph->nodes[i].shape.rank;
    const int axis = a->axis < 0 ? a->axis + rank : a->axis;
    l->window.stride[0] = l->window.stride[1] = 1;
    if (axis == rank - 1) {
        l->first_channel = (int)a->begin;
    } else if (axis == rank - 2) {
        l->window.before[1] = (int)a->begin;
        l->window.stride[1] = (int)a->step;
    } else {
        l->window.before[0] = (int)a->begin;
        l->window.stride[0] = (int)a->step;
    }
}

// Pools, and sums of two: one layer with a ReLU behind it, perhaps.
static enum dc_status lower_simple(struct lowering *w, int i, struct dc_ilayer *l)
{
    const struct dc_node *node = &w->graph->nodes[i];
    const bool pairs = l->op == DC_I_ADD || l->op == DC_I_MULTIPLY;
    const bool arithmetic = pairs || l->op == DC_I_MEAN || l->op == DC_I_TABLE ||
                            l->op == DC_I_SOFTMAX;
    const bool pools = l->op == DC_I_MAX_POOL || l->op == DC_I_AVERAGE_POOL;
    const int relu = pairs || pools ? dc_graph_layer(w->graph, w->needed, i, false).clamp : NONE;
    const int end = relu == NONE ? i : relu;
    if (arithmetic) {
        DC_TRY(find_grid(w, end, l));
    } else {
        const int input = w->layer_of[node->inputs[0]];
        if (input == NONE)
            return no_form(w, i, "what it reads has no quantizer");
        l->scale = w->model->layers[input].scale;
        l->zero_point = w->model->layers[input].zero_point;
        l->bits = w->model->layers[input].bits;
    }
    if (l->op == DC_I_TABLE) {
        l->function = (enum dc_ifunction)dc_ifunction_of(node->op);
        if (dc_ifunction_parameters(l->function) > 0)
            memcpy(l->parameters, node->attributes,
                   sizeof(float) * (size_t)dc_ifunction_parameters(l->function));
    }
    if (pools)
        l->window = ((const struct dc_pool_attributes *)node->attributes)->window;
    if (l->op == DC_I_PAD) {
        const struct dc_pad_attributes *a = node->attributes;
        l->window = (struct dc_window){.before = {a->top, a->left}, .after = {a->bottom, a->right}};
        l->first_channel = a->before;
    }
    if (l->op == DC_I_SLICE)
        set_slice(w, i, l);
    set_clamps(w, l, relu);
    return add_layer(w, l, i, end);
}

// An average with a quantizer of its own (qat/quantize.c) is a mean: it may rescale, a pool may
// not.
static bool has_own_grid(const struct lowering *w, int i)
{
    const int reader = only_reader(w, i);
    return reader != NONE && w->graph->nodes[reader].op == &dc_op_fake_quantize;
}

static enum dc_status lower_node(struct lowering *w, int i)
{
    const struct dc_node *node = &w->graph->nodes[i];
    static const struct {
        const struct dc_op *op;
        enum dc_iop lowered;
    } simple[] = {
        {&dc_op_add, DC_I_ADD},           {&dc_op_global_average_pool, DC_I_MEAN},
        {&dc_op_max_pool, DC_I_MAX_POOL}, {&dc_op_average_pool, DC_I_AVERAGE_POOL},
        {&dc_op_flatten, DC_I_RESHAPE},   {&dc_op_reshape, DC_I_RESHAPE},
        {&dc_op_pad, DC_I_PAD},           {&dc_op_concat, DC_I_CONCAT},
        {&dc_op_slice, DC_I_SLICE},       {&dc_op_softmax, DC_I_SOFTMAX},
        {&dc_op_multiply, DC_I_MULTIPLY},
    };
    struct dc_ilayer l = {0};
    if (w->layer_of[i] != NONE)
        return DC_OK;  // the end of a chain already lowered
    DC_TRY(set_shape(w, i, &l));
    if (node->op == &dc_op_input) {
        if (strcmp(node->name, w->input) != 0)
            return no_form(w, i, "an integer model has one input");
        l.op = DC_I_INPUT;
        DC_TRY(find_grid(w, i, &l));
        set_clamps(w, &l, NONE);
        w->model->sample.rank = node->shape.rank - 1;
        memcpy(w->model->sample.dims, node->shape.dims + 1,
               sizeof node->shape.dims - sizeof(int64_t));
        return add_layer(w, &l, i, i);
    }
    if (node->op == &dc_op_fake_quantize || node->op == &dc_op_dropout) {
        w->layer_of[i] = w->layer_of[node->inputs[0]];
        return DC_OK;
    }
    if (node->op == &dc_op_quantized_conv || node->op == &dc_op_quantized_dense)
        return lower_weighted(w, i, &l);
    for (size_t k = 0; k < sizeof simple / sizeof simple[0]; k++) {
        if (simple[k].op != node->op)
            continue;
        l.op = simple[k].lowered;
        if (l.op == DC_I_AVERAGE_POOL && has_own_grid(w, i))
            l.op = DC_I_MEAN;
        const int input = w->layer_of[node->inputs[0]];
        const struct dc_ilayer *x = input == NONE ? NULL : &w->model->layers[input];
        if (l.op == DC_I_RESHAPE && x && x->height == l.height && x->width == l.width) {
            w->layer_of[i] = input;  // [batch, c] and [batch, 1, 1, c] are the same integers
            return DC_OK;
        }
        return lower_simple(w, i, &l);
    }
    l.op = DC_I_TABLE;
    return dc_ifunction_of(node->op) >= 0 ? lower_simple(w, i, &l)
                                          : no_form(w, i, "it has no integer form");
}

static int find_output(const struct dc_graph *graph, const char *output)
{
    const size_t length = strlen(output);
    for (int i = 0; i < graph->count; i++) {
        const char *name = graph->nodes[i].name;
        if (graph->nodes[i].op == &dc_op_fake_quantize && strncmp(name, output, length) == 0 &&
            (strcmp(name + length, ".quant") == 0 || name[length] == '\0'))
            return i;
    }
    return dc_graph_find(graph, output);
}

static enum dc_status lower_all(struct lowering *w, int output)
{
    w->needed[output] = true;
    for (int i = w->graph->count - 1; i >= 0; i--) {
        w->layer_of[i] = NONE;
        for (int k = 0; w->needed[i] && k < w->graph->nodes[i].input_count; k++)
            w->needed[w->graph->nodes[i].inputs[k]] = true;
    }
    for (int i = 0; i <= output; i++) {
        if (w->needed[i])
            DC_TRY(lower_node(w, i));
    }
    if (w->layer_of[output] != w->model->count - 1)
        return no_form(w, output, "it is not what the network computes last");
    return DC_OK;
}

enum dc_status dc_lower(struct dc_imodel **model, const struct dc_graph *quantized,
                        const struct dc_params *params, const char *input, const char *output,
                        const char *name, const char *provenance, const struct dc_profile *profile,
                        struct dc_lower_report *report, struct dc_error *error)
{
    struct lowering w = {
        .graph = quantized, .params = params, .report = report, .input = input, .error = error};
    *model = NULL;
    memset(report, 0, sizeof *report);
    const int at = find_output(quantized, output);
    if (at < 0)
        return dc_fail(error, DC_ERR_CONFIG, "the network has no layer '%s'", output);
    w.needed = dc_alloc((size_t)quantized->count * sizeof *w.needed, error);
    w.layer_of = dc_alloc((size_t)quantized->count * sizeof *w.layer_of, error);
    enum dc_status status = DC_ERR_MEMORY;
    if (w.needed && w.layer_of)
        status = dc_imodel_create(&w.model, name, provenance, profile, error);
    if (status == DC_OK)
        status = lower_all(&w, at);
    free(w.needed);
    free(w.layer_of);
    if (status == DC_OK)
        *model = w.model;
    else
        dc_imodel_free(w.model);
    return status;
}
