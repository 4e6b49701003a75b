// Owns graph construction. A finished graph is never changed; passes build another one.

#include "core/graph.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/bounds.h"
#include "core/ops/ops.h"

static enum dc_status infer_input(struct dc_shape *out, const struct dc_node *node,
                                  const struct dc_shape *in, struct dc_error *error)
{
    (void)in;
    (void)error;
    *out = *(const struct dc_shape *)node->attributes;
    return DC_OK;
}

const struct dc_op dc_op_input = {
    .name = "input", .flags = DC_OP_NO_GRADIENT, .infer = infer_input};

enum dc_status dc_graph_create(struct dc_graph **out, struct dc_error *error)
{
    *out = NULL;
    struct dc_arena *arena = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_graph *graph = DC_NEW(arena, struct dc_graph, 1, error);
    if (!graph) {
        dc_arena_free(arena);
        return DC_ERR_MEMORY;
    }
    graph->arena = arena;
    *out = graph;
    return DC_OK;
}

void dc_graph_free(struct dc_graph *graph)
{
    if (graph)
        dc_arena_free(graph->arena);
}

int dc_graph_find(const struct dc_graph *graph, const char *name)
{
    for (int i = 0; i < graph->count; i++)
        if (strcmp(graph->nodes[i].name, name) == 0)
            return i;
    return -1;
}

const char *dc_graph_free_name(const struct dc_graph *graph, struct dc_arena *arena,
                               const char *wanted, struct dc_error *error)
{
    const char *name = dc_arena_copy(arena, wanted, error);
    while (name && graph && dc_graph_find(graph, name) >= 0)
        name = dc_arena_printf(arena, error, "%s_", name);
    return name;
}

// A row of a value, or a parameter. What is larger fits no index of the kernels, and products of
// two such sizes still fit 64 bits.
static enum dc_status check_size(const struct dc_shape *shape, int first, const char *name,
                                 struct dc_error *error)
{
    int64_t count = 0;
    char text[DC_SHAPE_TEXT];
    if (dc_product(&count, shape->dims + first, shape->rank - first) && count <= INT32_MAX)
        return DC_OK;
    return dc_fail(error, DC_ERR_CONFIG, "layer '%s': %s is more than %d values", name,
                   dc_shape_text(text, shape), INT32_MAX);
}

static enum dc_status declare_params(struct dc_graph *graph, struct dc_node *node,
                                     const struct dc_shape *in, struct dc_error *error)
{
    if (!node->op->declare)
        return DC_OK;
    struct dc_param_spec specs[DC_OP_PARAMS_MAX] = {0};
    node->param_count = node->op->declare(specs, node, in);
    for (int i = 0; i < node->param_count; i++) {
        specs[i].name = dc_arena_printf(graph->arena, error, "%s.%s", node->name, specs[i].name);
        if (!specs[i].name)
            return DC_ERR_MEMORY;
        DC_TRY(check_size(&specs[i].shape, 0, node->name, error));
        graph->params = dc_arena_grow(graph->arena, graph->params, graph->param_count,
                                      &graph->param_capacity, sizeof specs[i], error);
        if (!graph->params)
            return DC_ERR_MEMORY;
        node->params[i] = graph->param_count;
        graph->params[graph->param_count++] = specs[i];
    }
    return DC_OK;
}

enum dc_status dc_graph_add(struct dc_graph *graph, const char *name, const struct dc_op *op,
                            const void *attributes, size_t attribute_bytes, const int *inputs,
                            int input_count, int *out, struct dc_error *error)
{
    if (dc_graph_find(graph, name) >= 0)
        return dc_fail(error, DC_ERR_CONFIG, "two layers are named '%s'", name);
    if (input_count < op->inputs_min || input_count > op->inputs_max)
        return dc_fail(error, DC_ERR_CONFIG, "'%s': %s takes %d to %d inputs, not %d", name,
                       op->name, op->inputs_min, op->inputs_max, input_count);
    graph->nodes = dc_arena_grow(graph->arena, graph->nodes, graph->count, &graph->node_capacity,
                                 sizeof *graph->nodes, error);
    if (!graph->nodes)
        return DC_ERR_MEMORY;
    struct dc_node node = {.op = op, .input_count = input_count, .dtype = DC_F32};
    node.name = dc_arena_copy(graph->arena, name, error);
    attribute_bytes = attributes ? attribute_bytes : 0;
    void *copy = attribute_bytes ? dc_arena_alloc(graph->arena, attribute_bytes, error) : NULL;
    if (!node.name || (attribute_bytes && !copy))
        return DC_ERR_MEMORY;
    if (attribute_bytes)
        memcpy(copy, attributes, attribute_bytes);
    node.attributes = copy;
    struct dc_shape in[DC_INPUTS_MAX];
    for (int i = 0; i < input_count; i++) {
        assert(inputs[i] >= 0 && inputs[i] < graph->count);
        node.inputs[i] = inputs[i];
        in[i] = graph->nodes[inputs[i]].shape;
    }
    for (int i = 0; i < input_count && !(op->flags & DC_OP_CONSTANT_INPUTS); i++)
        if (graph->nodes[inputs[i]].op == &dc_op_constant)
            return dc_fail(error, DC_ERR_CONFIG,
                           "layer '%s': %s does not read the constant '%s'; put an expand between",
                           name, op->name, graph->nodes[inputs[i]].name);
    DC_TRY_IN(op->infer(&node.shape, &node, in, error), error, "layer '%s'", name);
    DC_TRY(check_size(&node.shape, node.shape.rank > 0, name, error));
    if (op->flags & DC_OP_LOSS)
        node.dtype = DC_F64;
    DC_TRY(declare_params(graph, &node, in, error));
    *out = graph->count;
    graph->nodes[graph->count++] = node;
    return DC_OK;
}

enum dc_status dc_graph_add_input(struct dc_graph *graph, const char *name, enum dc_dtype dtype,
                                  const struct dc_shape *shape, int *node, struct dc_error *error)
{
    DC_TRY(dc_graph_add(graph, name, &dc_op_input, shape, sizeof *shape, NULL, 0, node, error));
    graph->nodes[*node].dtype = dtype;
    return DC_OK;
}

static size_t attribute_bytes_of(const struct dc_node *node)
{
    if (node->op == &dc_op_input)
        return sizeof(struct dc_shape);
    return node->attributes ? node->op->attribute_bytes : 0;
}

enum dc_status dc_graph_add_copy_as(struct dc_graph *graph, const char *name,
                                    const struct dc_graph *from, int i, const int *map, int *out,
                                    struct dc_error *error)
{
    const struct dc_node *node = &from->nodes[i];
    int inputs[DC_INPUTS_MAX];
    for (int k = 0; k < node->input_count; k++)
        inputs[k] = map[node->inputs[k]];
    DC_TRY(dc_graph_add(graph, name, node->op, node->attributes, attribute_bytes_of(node), inputs,
                        node->input_count, out, error));
    graph->nodes[*out].dtype = node->dtype;
    return DC_OK;
}

enum dc_status dc_graph_add_copy(struct dc_graph *graph, const struct dc_graph *from, int i,
                                 const int *map, int *out, struct dc_error *error)
{
    return dc_graph_add_copy_as(graph, from->nodes[i].name, from, i, map, out, error);
}

enum dc_status dc_graph_add_all(struct dc_graph *graph, const struct dc_graph *from, int *map,
                                struct dc_error *error)
{
    for (int i = 0; i < from->count; i++)
        DC_TRY(dc_graph_add_copy(graph, from, i, map, &map[i], error));
    return DC_OK;
}

int dc_graph_only_reader(const struct dc_graph *graph, const bool *needed, int i)
{
    int found = -1;
    for (int n = i + 1; n < graph->count; n++) {
        for (int k = 0; (!needed || needed[n]) && k < graph->nodes[n].input_count; k++) {
            if (graph->nodes[n].inputs[k] != i)
                continue;
            if (found >= 0)
                return -1;
            found = n;
        }
    }
    return found;
}

struct dc_layer_chain dc_graph_layer(const struct dc_graph *graph, const bool *needed, int i,
                                     bool takes_norm)
{
    struct dc_layer_chain chain = {-1, -1, i};
    int reader = dc_graph_only_reader(graph, needed, i);
    if (takes_norm && reader >= 0 && graph->nodes[reader].op == &dc_op_batch_norm) {
        chain.norm = chain.last = reader;
        reader = dc_graph_only_reader(graph, needed, reader);
    }
    const struct dc_op *op = reader >= 0 ? graph->nodes[reader].op : NULL;
    if (op &&
        (op == &dc_op_relu || op == &dc_op_relu6 || (takes_norm && op == &dc_op_hard_sigmoid)))
        chain.clamp = chain.last = reader;
    return chain;
}

int64_t dc_graph_node_macs(const struct dc_graph *graph, int i)
{
    const struct dc_node *node = &graph->nodes[i];
    if (!node->op->macs)
        return 0;
    struct dc_shape in[DC_INPUTS_MAX];
    for (int k = 0; k < node->input_count; k++)
        in[k] = dc_shape_with_batch(&graph->nodes[node->inputs[k]].shape, 1);
    const struct dc_shape out = dc_shape_with_batch(&node->shape, 1);
    return node->op->macs(node, in, &out);
}

int64_t dc_graph_macs(const struct dc_graph *graph)
{
    int64_t macs = 0;
    for (int i = 0; i < graph->count; i++)
        if (__builtin_add_overflow(macs, dc_graph_node_macs(graph, i), &macs))
            return INT64_MAX;
    return macs;
}
