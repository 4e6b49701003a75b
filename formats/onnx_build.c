// Owns what an import makes, as it grows: values by name, and nodes of the graph with their names,
// sizes and parameters. Every converter puts through it; it knows no operator.

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "core/random.h"
#include "formats/onnx_internal.h"

// Values by name.

static int *slot_of(const struct dc_import *m, const char *name)
{
    uint64_t at = dc_hash_name(name) % (uint64_t)m->slot_count;
    while (m->slots[at] >= 0 && strcmp(m->values[m->slots[at]].name, name) != 0)
        at = (at + 1) % (uint64_t)m->slot_count;
    return &m->slots[at];
}

struct dc_onnx_value *dc__onnx_find(const struct dc_import *m, const char *name)
{
    const int i = *slot_of(m, name);
    return i < 0 ? NULL : &m->values[i];
}

enum dc_status dc__onnx_add_value(struct dc_import *m, const char *name, int producer,
                                  struct dc_error *error)
{
    int *slot = slot_of(m, name);
    if (*slot >= 0)
        return dc_fail(error, DC_ERR_DATA, "two values are named '%s'", name);
    *slot = m->value_count;
    assert(m->values);
    m->values[m->value_count++] = (struct dc_onnx_value){.name = name, .producer = producer};
    return DC_OK;
}

struct dc_onnx_value *dc__onnx_output(const struct dc_onnx_call *call, size_t k)
{
    const Onnx__NodeProto *proto = call->proto;
    return k < proto->n_output && *proto->output[k] ? dc__onnx_find(call->m, proto->output[k])
                                                    : NULL;
}

void dc__onnx_give(const struct dc_onnx_call *call, size_t k, int node,
                   const struct dc_onnx_view *view)
{
    struct dc_onnx_value *v = dc__onnx_output(call, k);
    if (!v)
        return;
    v->kind = DC_VALUE_GRAPH;
    v->node = node;
    v->view = *view;
}

void dc__onnx_give_constant(const struct dc_onnx_call *call, const struct dc_onnx_constant *value)
{
    struct dc_onnx_value *v = dc__onnx_output(call, 0);
    if (!v)
        return;
    v->kind = DC_VALUE_CONSTANT;
    v->constant = *value;
}

// Nodes of the graph.

// The same copy made twice: a transposition or a reshape that there is already.
static int find_equal(const struct dc_graph *graph, const struct dc_op *op, const void *attributes,
                      int input)
{
    if (op != &dc_op_reshape && op != &dc_op_transpose)
        return -1;
    for (int i = input + 1; i < graph->count; i++)
        if (graph->nodes[i].op == op && graph->nodes[i].inputs[0] == input &&
            memcmp(graph->nodes[i].attributes, attributes, op->attribute_bytes) == 0)
            return i;
    return -1;
}

enum dc_status dc__onnx_emit(struct dc_import *m, const char *name, const struct dc_op *op,
                             const void *attributes, const int *inputs, int count, int *node,
                             struct dc_error *error)
{
    const int found = count == 1 ? find_equal(m->graph, op, attributes, inputs[0]) : -1;
    if (found >= 0) {
        *node = found;
        return DC_OK;
    }
    const char *unique = dc__import_name(m->graph, m->arena, name, error);
    if (!unique)
        return DC_ERR_MEMORY;
    DC_TRY(dc_graph_add(m->graph, unique, op, attributes, attributes ? op->attribute_bytes : 0,
                        inputs, count, node, error));
    return dc__import_check_size(&m->graph->nodes[*node].shape, error);
}

enum dc_status dc__onnx_set(struct dc_import *m, int node, int slot, const float *data,
                            int64_t count, struct dc_error *error)
{
    const int param = m->graph->nodes[node].params[slot];
    const struct dc_param_spec *spec = &m->graph->params[param];
    if (dc_shape_count(&spec->shape) != count)
        return dc_fail(error, DC_ERR_DATA, "'%s' has %" PRId64 " values where %" PRId64 " belong",
                       spec->name, count, dc_shape_count(&spec->shape));
    while (param >= m->data_capacity) {
        const int filled = m->data_capacity;
        m->data = dc_arena_grow(m->arena, m->data, filled, &m->data_capacity, sizeof *m->data,
                                error);
        if (!m->data)
            return DC_ERR_MEMORY;
    }
    m->data[param] = data;
    return DC_OK;
}

enum dc_status dc__fold_fail_batch(struct dc_error *error)
{
    return dc_fail(error, DC_ERR_DATA, "the result depends on the size of the batch");
}
