// Owns what readers of a network ask of its graph.

#include "core/network.h"

#include "core/ops/ops.h"
#include "core/passes.h"

enum dc_status dc_network_fold(struct dc_network *network, const struct dc_graph *graph,
                               const struct dc_params *params, int input, int output,
                               struct dc_error *error)
{
    *network = (struct dc_network){.graph = NULL};
    DC_TRY(dc_fold_for_inference(&network->graph, &network->params, &network->output, graph, params,
                                 output, error));
    network->input = dc_graph_find(network->graph, graph->nodes[input].name);
    if (network->input >= 0)
        return DC_OK;
    dc_network_free(network);
    return dc_fail(error, DC_ERR_DATA, "the network does not read '%s'", graph->nodes[input].name);
}

void dc_network_free(struct dc_network *network)
{
    dc_params_free(network->params);
    dc_graph_free(network->graph);
    *network = (struct dc_network){.graph = NULL};
}

const struct dc_node *dc_network_quantizer(const struct dc_network *network, int i)
{
    if (!network->codes || network->graph->nodes[i].op == &dc_op_quantize)
        return NULL;
    const int reader = dc_graph_only_reader(network->graph, NULL, i);
    const struct dc_node *node = &network->graph->nodes[reader < 0 ? i : reader];
    return node->op == &dc_op_quantize ? node : NULL;
}
