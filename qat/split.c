// Owns which functions fall into parts under which runtimes, and the graph that has the parts.
// Parts have no parameters, so that weights keep their names and their order.

#include "qat/split.h"

#include "core/ops/ops.h"

static bool falls_apart(const struct dc_node *node, const struct dc_profile *profile)
{
    return node->op == &dc_op_silu && profile && profile->runtime >= DC_RUNTIME_TFLM;
}

bool dc_is_split(const struct dc_graph *graph, const struct dc_profile *profile)
{
    for (int i = 0; i < graph->count; i++)
        if (falls_apart(&graph->nodes[i], profile))
            return true;
    return false;
}

// x sigmoid(x)
static enum dc_status add_silu(struct dc_graph *graph, const struct dc_node *node, int x, int *at,
                               struct dc_error *error)
{
    const char *gate = dc_arena_printf(graph->arena, error, "%s.gate", node->name);
    int factors[2] = {x, 0};
    if (!gate || !(gate = dc_graph_free_name(graph, graph->arena, gate, error)))
        return DC_ERR_MEMORY;
    DC_TRY(dc_graph_add(graph, gate, &dc_op_sigmoid, NULL, 0, &x, 1, &factors[1], error));
    return dc_graph_add(graph, node->name, &dc_op_multiply, NULL, 0, factors, 2, at, error);
}

enum dc_status dc_split_functions(struct dc_graph **split, int *map, const struct dc_graph *graph,
                                  const struct dc_profile *profile, struct dc_error *error)
{
    DC_TRY(dc_graph_create(split, error));
    enum dc_status status = DC_OK;
    for (int i = 0; i < graph->count && status == DC_OK; i++) {
        const struct dc_node *node = &graph->nodes[i];
        status = falls_apart(node, profile)
                     ? add_silu(*split, node, map[node->inputs[0]], &map[i], error)
                     : dc_graph_add_copy(*split, graph, i, map, &map[i], error);
    }
    if (status != DC_OK) {
        dc_graph_free(*split);
        *split = NULL;
    }
    return status;
}
