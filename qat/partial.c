// Owns graphs whose rounding is partly undone. Decides nothing about where quantizers belong: it
// reads that from a graph that dc_quantize_graph made.

#include "qat/partial.h"

#include <stdlib.h>

#include "core/arena.h"
#include "qat/fake_quantize.h"

static bool is_weighted(const struct dc_node *node)
{
    int scale;
    return dc_node_weight_quantizer(&scale, node) != NULL;
}

// A chain of one input each goes on until its quantizer.
void dc_find_layers(int *layers, const struct dc_graph *quantized)
{
    for (int i = 0; i < quantized->count; i++) {
        const struct dc_node *node = &quantized->nodes[i];
        const int input = node->input_count == 1 ? node->inputs[0] : -1;
        const bool goes_on = input >= 0 && !is_weighted(node) &&
                             quantized->nodes[input].op != &dc_op_fake_quantize;
        layers[i] = goes_on ? layers[input] : i;
    }
}

bool dc_layer_is_quantized(const struct dc_graph *quantized, const int *layers, int layer)
{
    for (int i = layer; i < quantized->count; i++)
        if (layers[i] == layer &&
            (is_weighted(&quantized->nodes[i]) || quantized->nodes[i].op == &dc_op_fake_quantize))
            return true;
    return false;
}

// The float op under a quantized one: its attributes come first (fake_quantize.h).
static enum dc_status add_float(struct dc_graph *to, const struct dc_node *node, const int *map,
                                int *added, struct dc_error *error)
{
    const bool conv = node->op == &dc_op_quantized_conv;
    const size_t size = conv ? sizeof(struct dc_conv_attributes)
                             : sizeof(struct dc_dense_attributes);
    return dc_graph_add(to, node->name, conv ? &dc_op_conv : &dc_op_dense, node->attributes, size,
                        &map[node->inputs[0]], 1, added, error);
}

enum dc_status dc_quantize_partly(struct dc_graph **partial, int *partial_output,
                                  const struct dc_graph *quantized, int output, int layer,
                                  bool only, struct dc_error *error)
{
    struct dc_graph *to = NULL;
    int *map = dc_alloc((size_t)quantized->count * sizeof *map, error);
    int *layers = dc_alloc((size_t)quantized->count * sizeof *layers, error);
    enum dc_status status = map && layers ? dc_graph_create(&to, error) : DC_ERR_MEMORY;
    if (status == DC_OK)
        dc_find_layers(layers, quantized);
    for (int i = 0; status == DC_OK && i < quantized->count; i++) {
        const struct dc_node *node = &quantized->nodes[i];
        const bool rounds = (layers[i] == layer) == only;
        if (node->op == &dc_op_fake_quantize && !rounds)
            map[i] = map[node->inputs[0]];
        else if (is_weighted(node) && !rounds)
            status = add_float(to, node, map, &map[i], error);
        else
            status = dc_graph_add_copy(to, quantized, i, map, &map[i], error);
    }
    if (status == DC_OK) {
        *partial = to;
        *partial_output = map[output];
    } else {
        dc_graph_free(to);
    }
    free(map);
    free(layers);
    return status;
}
