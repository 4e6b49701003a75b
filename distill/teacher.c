// Owns what identifies a teacher.

#include "distill/teacher.h"

#include <string.h>

#include "core/random.h"

uint64_t dc_teacher_hash(const struct dc_teacher *teacher)
{
    const struct dc_graph *graph = teacher->graph;
    const struct dc_params *params = teacher->unfolded;
    uint64_t hash = DC_HASH_START;
    for (int i = 0; i < graph->count; i++) {
        const struct dc_node *node = &graph->nodes[i];
        char shape[DC_SHAPE_TEXT];
        dc_shape_text(shape, &node->shape);
        hash = dc_hash_bytes(hash, node->name, strlen(node->name) + 1);
        hash = dc_hash_bytes(hash, node->op->name, strlen(node->op->name) + 1);
        hash = dc_hash_bytes(hash, shape, strlen(shape) + 1);
        hash = dc_hash_bytes(hash, node->inputs, sizeof *node->inputs * (size_t)node->input_count);
    }
    for (int i = 0; i < params->count; i++)
        hash = dc_hash_bytes(hash, params->value + params->slices[i].offset,
                             sizeof *params->value * (uint64_t)params->slices[i].count);
    return hash;
}
