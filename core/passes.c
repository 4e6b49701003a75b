// Owns graph rewriting that does not concern quantization.

#include "core/passes.h"

#include <math.h>
#include <string.h>

#include "core/ops/ops.h"

struct fold {
    const struct dc_graph *graph;
    const struct dc_params *params;
    struct dc_graph *out;
    bool *needed, *wanted;
    int *map;     // old node -> new node
    int *folded;  // old convolution -> the batch normalization that it takes in, or -1
};

static bool has_weights(const struct dc_node *node)
{
    return node->op == &dc_op_conv || node->op == &dc_op_dense;
}

static void mark(struct fold *f, const int *nodes, int count)
{
    const struct dc_graph *graph = f->graph;
    for (int i = 0; i < count; i++)
        f->needed[nodes[i]] = f->wanted[nodes[i]] = true;
    for (int i = graph->count - 1; i >= 0; i--)
        for (int k = 0; f->needed[i] && k < graph->nodes[i].input_count; k++)
            f->needed[graph->nodes[i].inputs[k]] = true;
    for (int i = 0; i < graph->count; i++) {
        f->folded[i] = -1;
        if (f->needed[i] && has_weights(&graph->nodes[i]) && !f->wanted[i])
            f->folded[i] = dc_graph_layer(graph, NULL, i, true).norm;
    }
}

static enum dc_status add_with_bias(struct fold *f, int i, struct dc_error *error)
{
    const struct dc_node *node = &f->graph->nodes[i];
    const int input = f->map[node->inputs[0]];
    if (node->op == &dc_op_conv) {
        struct dc_conv_attributes a = *(const struct dc_conv_attributes *)node->attributes;
        a.bias = true;
        return dc_graph_add(f->out, node->name, node->op, &a, sizeof a, &input, 1, &f->map[i],
                            error);
    }
    struct dc_dense_attributes a = *(const struct dc_dense_attributes *)node->attributes;
    a.bias = true;
    return dc_graph_add(f->out, node->name, node->op, &a, sizeof a, &input, 1, &f->map[i], error);
}

// Whether node i is a clamp whose only reader is a max pooling: a monotone function of each value.
static bool moves_behind_pool(const struct fold *f, int i)
{
    const struct dc_node *node = &f->graph->nodes[i];
    const int reader = dc_graph_only_reader(f->graph, NULL, i);
    return !f->wanted[i] && reader >= 0 && f->graph->nodes[reader].op == &dc_op_max_pool &&
           (node->op == &dc_op_relu || node->op == &dc_op_relu6 || node->op == &dc_op_clip);
}

// Node i is the pooling, its input the clamp, whose map entry is that of its own input.
static enum dc_status add_pool_and_clamp(struct fold *f, int i, struct dc_error *error)
{
    const int clamp = f->graph->nodes[i].inputs[0], before = f->graph->nodes[clamp].inputs[0];
    const int kept = f->map[before];
    DC_TRY(dc_graph_add_copy(f->out, f->graph, i, f->map, &f->map[before], error));
    DC_TRY(dc_graph_add_copy(f->out, f->graph, clamp, f->map, &f->map[i], error));
    f->map[before] = kept;
    return DC_OK;
}

static enum dc_status rebuild(struct fold *f, struct dc_error *error)
{
    for (int i = 0; i < f->graph->count; i++) {
        const struct dc_node *node = &f->graph->nodes[i];
        if (!f->needed[i])
            continue;
        const int first = node->input_count ? node->inputs[0] : -1;
        if (node->op == &dc_op_dropout || moves_behind_pool(f, i))
            f->map[i] = f->map[first];
        else if (first >= 0 && moves_behind_pool(f, first))
            DC_TRY(add_pool_and_clamp(f, i, error));
        else if (first >= 0 && f->folded[first] == i)
            f->map[i] = f->map[first];
        else if (f->folded[i] >= 0)
            DC_TRY(add_with_bias(f, i, error));
        else
            DC_TRY(dc_graph_add_copy(f->out, f->graph, i, f->map, &f->map[i], error));
    }
    return DC_OK;
}

static const float *value_of(const struct dc_params *params, const struct dc_node *node, int p)
{
    return params->value + params->slices[node->params[p]].offset;
}

static void fold_values(const struct fold *f, struct dc_params *to, int i)
{
    const struct dc_node *node = &f->graph->nodes[i], *norm = &f->graph->nodes[f->folded[i]];
    const struct dc_node *target = &f->out->nodes[f->map[i]];
    const struct dc_batch_norm_attributes *a = norm->attributes;
    const struct dc_slice *slice = &f->params->slices[node->params[0]];
    const int64_t channels = slice->shape.dims[slice->shape.rank - 1];
    const float *w = value_of(f->params, node, 0);
    const float *bias = node->param_count > 1 ? value_of(f->params, node, 1) : NULL;
    float *new_w = to->value + to->slices[target->params[0]].offset;
    float *new_bias = to->value + to->slices[target->params[1]].offset;
    for (int64_t c = 0; c < channels; c++) {
        const double scale = (double)value_of(f->params, norm, DC_GAMMA)[c] /
                             sqrt((double)value_of(f->params, norm, DC_VARIANCE)[c] +
                                  (double)a->epsilon);
        for (int64_t k = c; k < slice->count; k += channels)
            new_w[k] = (float)((double)w[k] * scale);
        const double b = bias ? (double)bias[c] : 0.0;
        new_bias[c] = (float)((double)value_of(f->params, norm, DC_BETA)[c] +
                              (b - (double)value_of(f->params, norm, DC_MEAN)[c]) * scale);
    }
}

static enum dc_status fold(struct fold *f, struct dc_params **params, struct dc_error *error)
{
    DC_TRY(dc_graph_create(&f->out, error));
    DC_TRY(rebuild(f, error));
    DC_TRY(dc_params_create(params, f->out, 0, false, error));
    for (int i = 0; i < (*params)->count; i++) {
        const struct dc_slice *to = &(*params)->slices[i];
        const struct dc_slice *from = dc_params_find(f->params, to->name);
        if (from)
            memcpy((*params)->value + to->offset, f->params->value + from->offset,
                   sizeof(float) * (size_t)to->count);
    }
    for (int i = 0; i < f->graph->count; i++)
        if (f->needed[i] && f->folded[i] >= 0)
            fold_values(f, *params, i);
    return DC_OK;
}

enum dc_status dc_fold_keeping(struct dc_graph **folded, struct dc_params **folded_params,
                               int *places, const struct dc_graph *graph,
                               const struct dc_params *params, const int *nodes, int count,
                               struct dc_error *error)
{
    *folded = NULL;
    *folded_params = NULL;
    struct dc_arena *arena = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    struct fold f = {.graph = graph,
                     .params = params,
                     .needed = DC_NEW(arena, bool, graph->count, error),
                     .wanted = DC_NEW(arena, bool, graph->count, error),
                     .map = DC_NEW(arena, int, graph->count, error),
                     .folded = DC_NEW(arena, int, graph->count, error)};
    enum dc_status status = DC_ERR_MEMORY;
    if (f.needed && f.wanted && f.map && f.folded) {
        mark(&f, nodes, count);
        status = fold(&f, folded_params, error);
    }
    if (status == DC_OK) {
        for (int i = 0; i < count; i++)
            places[i] = f.map[nodes[i]];
        *folded = f.out;
    } else {
        dc_params_free(*folded_params);
        *folded_params = NULL;
        dc_graph_free(f.out);
    }
    dc_arena_free(arena);
    return status;
}

enum dc_status dc_fold_for_inference(struct dc_graph **folded, struct dc_params **folded_params,
                                     int *output_node, const struct dc_graph *graph,
                                     const struct dc_params *params, int output,
                                     struct dc_error *error)
{
    return dc_fold_keeping(folded, folded_params, output_node, graph, params, &output, 1, error);
}
