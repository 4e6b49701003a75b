// Owns the import of a file: its bytes, its nodes in order, the finished graph.
//
// Nodes must come in order of use, as the format asks, so that a cycle is a node that reads what no
// node before it makes. A node of the graph that the output does not need (what a pattern replaced)
// is left out at the end. What a single node becomes is decided elsewhere (onnx_table.c).

#include "formats/onnx.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "core/suggest.h"
#include "formats/onnx_internal.h"

enum { OPSET_LEAST = 9, OPSET_MOST = 23, UNKNOWN_BYTES = 3000 };

// The unpacked file may take some times its bytes, and no more.
struct budget {
    size_t left;
};

static void *budget_alloc(void *data, size_t size)
{
    struct budget *budget = data;
    if (size > budget->left)
        return NULL;
    budget->left -= size;
    return malloc(size);
}

static void budget_free(void *data, void *memory)
{
    (void)data;
    free(memory);
}

// The file.

static enum dc_status read_model(struct dc_import *m, struct dc_error *error)
{
    char *bytes;
    size_t size;
    DC_TRY(dc_file_read(&bytes, &size, m->path, m->arena, error));
    m->hash = dc_hash_bytes(DC_HASH_START, bytes, size);
    m->folded_most = DC_ONNX_FOLDED_MOST + DC_ONNX_FOLDED_A_BYTE * (int64_t)size;
    struct budget budget = {16 * size + (1 << 20)};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    m->model = onnx__model_proto__unpack(&allocator, size, (const uint8_t *)bytes);
    if (!m->model || !m->model->graph)
        return dc_fail(error, DC_ERR_DATA, "%s: not an ONNX file, or a damaged one", m->path);
    for (size_t i = 0; i < m->model->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *set = m->model->opset_import[i];
        if (!*set->domain || strcmp(set->domain, "ai.onnx") == 0)
            m->opset = set->version;
    }
    if (m->opset < OPSET_LEAST || m->opset > OPSET_MOST)
        return dc_fail(error, DC_ERR_DATA, "%s: operator set %" PRId64 "; %d to %d are read",
                       m->path, m->opset, (int)OPSET_LEAST, (int)OPSET_MOST);
    return DC_OK;
}

static enum dc_status make_tables(struct dc_import *m, struct dc_error *error)
{
    const Onnx__GraphProto *graph = m->model->graph;
    size_t count = graph->n_initializer + graph->n_input;
    for (size_t i = 0; i < graph->n_node; i++)
        count += graph->node[i]->n_output;
    if (count > 1 << 24)
        return dc_fail(error, DC_ERR_DATA, "%s: %zu values", m->path, count);
    m->slot_count = 2 * (int)count + 1;
    m->values = DC_NEW(m->arena, struct dc_onnx_value, count, error);
    m->slots = DC_NEW(m->arena, int, m->slot_count, error);
    if (!m->values || !m->slots)
        return DC_ERR_MEMORY;
    memset(m->slots, 0xff, sizeof *m->slots * (size_t)m->slot_count);
    return DC_OK;
}

static enum dc_status add_values(struct dc_import *m, struct dc_error *error)
{
    const Onnx__GraphProto *graph = m->model->graph;
    for (size_t i = 0; i < graph->n_initializer; i++)
        DC_TRY(dc__onnx_add_value(m, graph->initializer[i]->name, -1, error));
    for (size_t i = 0; i < graph->n_input; i++)  // old files list initializers as inputs too
        if (!dc__onnx_find(m, graph->input[i]->name))
            DC_TRY(dc__onnx_add_value(m, graph->input[i]->name, -1, error));
    for (size_t n = 0; n < graph->n_node; n++)
        for (size_t k = 0; k < graph->node[n]->n_output; k++)
            if (*graph->node[n]->output[k])
                DC_TRY_IN(dc__onnx_add_value(m, graph->node[n]->output[k], (int)n, error), error,
                          "node '%s'", graph->node[n]->name);
    return DC_OK;
}

// What the output needs; the order of nodes; operators that are not known, all of them.
static enum dc_status check_nodes(struct dc_import *m, bool *needed, struct dc_error *error)
{
    const Onnx__GraphProto *graph = m->model->graph;
    char unknown[UNKNOWN_BYTES] = "";
    size_t used = 0;
    int count = 0;
    for (size_t n = graph->n_node; n-- > 0;) {
        const Onnx__NodeProto *node = graph->node[n];
        for (size_t k = 0; k < node->n_output; k++)
            needed[n] = needed[n] ||
                        (*node->output[k] && dc__onnx_find(m, node->output[k])->needed);
        for (size_t k = 0; needed[n] && k < node->n_input; k++) {
            struct dc_onnx_value *v = *node->input[k] ? dc__onnx_find(m, node->input[k]) : NULL;
            if (*node->input[k] && (!v || v->producer >= (int)n))
                return dc_fail(error, DC_ERR_DATA,
                               "%s: node '%s' (%s) reads '%s', which no node before it makes (a "
                               "cycle, or nodes out of order)",
                               m->path, node->name, node->op_type, node->input[k]);
            if (v)
                v->needed = true;
        }
        const bool ours = !*node->domain || strcmp(node->domain, "ai.onnx") == 0;
        if (!needed[n] || (ours && dc__onnx_operator(node->op_type)))
            continue;
        count++;
        if (used < sizeof unknown - 300)
            used += (size_t)snprintf(unknown + used, 300, "%s%.60s%s%.60s (node '%.120s')",
                                     used ? ", " : "", node->domain, ours ? "" : ".", node->op_type,
                                     node->name);
    }
    if (count > 0)
        return dc_fail(error, DC_ERR_DATA, "%s: %d unknown operators: %s", m->path, count, unknown);
    return DC_OK;
}

static enum dc_status read_constants(struct dc_import *m, struct dc_error *error)
{
    const Onnx__GraphProto *graph = m->model->graph;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        struct dc_onnx_value *v = dc__onnx_find(m, graph->initializer[i]->name);
        if (!v->needed)
            continue;
        DC_TRY_IN(dc__onnx_tensor(m, &v->constant, graph->initializer[i], error), error, "%s",
                  m->path);
        v->kind = DC_VALUE_CONSTANT;
        v->stored = true;
    }
    return DC_OK;
}

// Nodes.

// What the file calls the weight or the bias, without its ".weight" or ".bias"; else the node's
// name.
static const char *name_of(const struct dc_onnx_call *call, struct dc_error *error)
{
    for (int i = 0; i < call->count; i++) {
        const char *name = call->in[i] && call->in[i]->stored ? call->in[i]->name : "";
        const char *dot = strrchr(name, '.');
        if (dot && dot > name && (strcmp(dot, ".weight") == 0 || strcmp(dot, ".bias") == 0))
            return dc_arena_printf(call->m->arena, error, "%.*s", (int)(dot - name), name);
    }
    return *call->proto->name ? call->proto->name : call->proto->op_type;
}

// A constant that differs from row to row of the batch is an index, or on its way to become one.
static enum dc_status check_rows(const struct dc_onnx_call *call, dc_onnx_convert *convert,
                                 struct dc_error *error)
{
    static dc_onnx_convert *const all[] = {dc__fold_arithmetic, dc__fold_cast, dc__fold_shape,
                                           dc__onnx_same};
    for (int i = 0; i < call->count; i++) {
        bool takes = (i == 0 && convert == dc__fold_reshape) ||
                     (i == 1 && convert == dc__onnx_gather);
        for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
            takes = takes || convert == all[k];
        if (call->in[i] && call->in[i]->constant.rows && !takes)
            return dc__fold_fail_batch(error);
    }
    return DC_OK;
}

static enum dc_status convert_node(struct dc_import *m, const Onnx__NodeProto *proto,
                                   struct dc_error *error)
{
    const struct dc_onnx_operator *row = dc__onnx_operator(proto->op_type);
    struct dc_onnx_call call = {.m = m, .proto = proto, .row = row, .count = (int)proto->n_input};
    if (proto->n_input > DC_INPUTS_MAX || call.count < row->inputs_min ||
        call.count > row->inputs_max || proto->n_output < 1)
        return dc_fail(error, DC_ERR_DATA, "%zu inputs and %zu outputs do not fit", proto->n_input,
                       proto->n_output);
    bool constant = call.count > 0;
    for (int i = 0; i < call.count; i++) {
        call.in[i] = *proto->input[i] ? dc__onnx_find(m, proto->input[i]) : NULL;
        if (call.in[i] && call.in[i]->kind == DC_VALUE_UNKNOWN)
            return dc_fail(error, DC_ERR_DATA, "'%s' is an output that is not imported",
                           call.in[i]->name);
        if (i < row->inputs_min && !call.in[i])
            return dc_fail(error, DC_ERR_DATA, "input %d is left out", i);
        constant = constant && (!call.in[i] || call.in[i]->kind == DC_VALUE_CONSTANT);
    }
    call.name = name_of(&call, error);
    if (!call.name)
        return DC_ERR_MEMORY;
    dc_onnx_convert *convert = !constant    ? row->convert
                               : row->fold  ? row->fold
                               : call.in[0] ? dc__fold_run
                                            : NULL;
    if (!convert)
        return dc_fail(error, DC_ERR_DATA, "%s is not imported",
                       constant ? "this operator on constants" : "this operator on values");
    DC_TRY(check_rows(&call, convert, error));
    DC_TRY(convert(&call, error));
    if (call.bad)
        return dc_fail(error, DC_ERR_DATA, "attribute '%s' is of the wrong type or out of range",
                       call.bad);
    for (size_t i = 0; i < proto->n_attribute && i < 64; i++)
        if (!(call.asked >> i & 1) && (convert == row->convert || convert == dc__fold_run) &&
            !row->op)
            return dc_fail(error, DC_ERR_DATA, "attribute '%s' is not known",
                           proto->attribute[i]->name);
    return DC_OK;
}

static enum dc_status convert_all(struct dc_import *m, struct dc_imported *onnx,
                                  struct dc_error *error)
{
    const Onnx__GraphProto *graph = m->model->graph;
    bool *needed = DC_NEW(m->arena, bool, graph->n_node, error);
    if (!needed)
        return DC_ERR_MEMORY;
    DC_TRY(check_nodes(m, needed, error));
    DC_TRY(read_constants(m, error));
    DC_TRY(dc_graph_create(&m->graph, error));
    DC_TRY(dc__onnx_add_input(m, onnx, error));
    for (size_t n = 0; n < graph->n_node; n++)
        if (needed[n])
            DC_TRY_IN(convert_node(m, graph->node[n], error), error, "%s: node '%s' (%s)", m->path,
                      graph->node[n]->name, graph->node[n]->op_type);
    return DC_OK;
}

// The finished graph: what the output needs, and its parameters.
static enum dc_status finish(struct dc_import *m, struct dc_imported *onnx, int output,
                             struct dc_error *error)
{
    const struct dc_graph *from = m->graph;
    int *map = DC_NEW(m->arena, int, from->count, error);
    bool *needed = DC_NEW(m->arena, bool, from->count, error);
    if (!map || !needed)
        return DC_ERR_MEMORY;
    needed[output] = needed[0] = true;
    for (int i = output; i >= 0; i--)
        for (int k = 0; needed[i] && k < from->nodes[i].input_count; k++)
            needed[from->nodes[i].inputs[k]] = true;
    DC_TRY(dc_graph_create(&onnx->graph, error));
    for (int i = 0; i <= output; i++)
        if (needed[i])
            DC_TRY(dc_graph_add_copy(onnx->graph, from, i, map, &map[i], error));
    DC_TRY(dc_params_create(&onnx->params, onnx->graph, 0, false, error));
    for (int i = 0; i <= output; i++) {
        for (int p = 0; needed[i] && p < from->nodes[i].param_count; p++) {
            const int param = from->nodes[i].params[p];
            const struct dc_slice *slice =
                &onnx->params->slices[onnx->graph->nodes[map[i]].params[p]];
            assert(param < m->data_capacity && m->data[param]);
            memcpy(onnx->params->value + slice->offset, m->data[param],
                   sizeof(float) * (size_t)slice->count);
        }
    }
    onnx->output = map[output];
    return DC_OK;
}

static enum dc_status choose_output(struct dc_import *m, struct dc_imported *onnx,
                                    struct dc_error *error)
{
    const Onnx__GraphProto *graph = m->model->graph;
    const char *wanted = m->options ? m->options->output : NULL;
    if (!wanted && graph->n_output == 0)
        return dc_fail(error, DC_ERR_DATA, "%s: no output", m->path);
    onnx->output_name = wanted ? wanted : graph->output[0]->name;
    struct dc_onnx_value *v = dc__onnx_find(m, onnx->output_name);
    if (!v)
        return dc_fail(error, DC_ERR_DATA, "%s: there is no value '%s'", m->path,
                       onnx->output_name);
    v->needed = true;
    const char **others = DC_NEW(onnx->arena, const char *, (int64_t)graph->n_output + 1, error);
    char list[512];
    int count = 0;
    if (!others)
        return DC_ERR_MEMORY;
    for (size_t i = 1; !wanted && i < graph->n_output; i++)
        others[count++] = graph->output[i]->name;
    dc_join(list, sizeof list, others, count);
    if (count > 0)
        onnx->passed_over = dc_arena_copy(onnx->arena, list, error);
    return count == 0 || onnx->passed_over ? DC_OK : DC_ERR_MEMORY;
}

static enum dc_status import(struct dc_import *m, struct dc_imported *onnx, struct dc_error *error)
{
    DC_TRY(read_model(m, error));
    DC_TRY(make_tables(m, error));
    DC_TRY_IN(add_values(m, error), error, "%s", m->path);
    DC_TRY(choose_output(m, onnx, error));
    DC_TRY(convert_all(m, onnx, error));
    const struct dc_onnx_value *v = dc__onnx_find(m, onnx->output_name);
    if (v->kind != DC_VALUE_GRAPH)
        return dc_fail(error, DC_ERR_DATA, "%s: the output '%s' does not depend on the input",
                       m->path, v->name);
    static const int order[DC_RANK_MAX] = {0, 1, 2, 3, 4, 5, 6, 7};
    int output;
    DC_TRY_IN(v->view.rank == 4 ? dc__onnx_image(m, &output, v, error)
                                : dc__onnx_ordered(m, &output, v, order, error),
              error, "%s: the output", m->path);
    DC_TRY_IN(finish(m, onnx, output, error), error, "%s", m->path);
    onnx->opset = m->opset;
    onnx->hash = m->hash;
    onnx->input_name = dc_arena_copy(onnx->arena, onnx->input_name, error);
    onnx->output_name = dc_arena_copy(onnx->arena, onnx->output_name, error);
    return onnx->input_name && onnx->output_name ? DC_OK : DC_ERR_MEMORY;
}

enum dc_status dc_onnx_read(struct dc_imported **out, const char *path,
                            const struct dc_onnx_options *options, struct dc_error *error)
{
    *out = NULL;
    struct dc_arena *arena = NULL;
    struct dc_import m = {.path = path, .options = options};
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_imported *onnx = DC_NEW(arena, struct dc_imported, 1, error);
    if (!onnx) {
        dc_arena_free(arena);
        return DC_ERR_MEMORY;
    }
    onnx->arena = arena;
    enum dc_status status = dc_arena_create(&m.arena, error);
    const char *slash = strrchr(path, '/');
    if (status == DC_OK) {
        m.folder = dc_arena_printf(m.arena, error, "%.*s", slash ? (int)(slash + 1 - path) : 0,
                                   path);
        status = m.folder ? import(&m, onnx, error) : DC_ERR_MEMORY;
    }
    if (status == DC_ERR_CONFIG)  // an op refused what the file asks of it
        status = DC_ERR_DATA;
    if (m.model)
        onnx__model_proto__free_unpacked(m.model, NULL);
    dc_graph_free(m.graph);
    dc_arena_free(m.arena);
    if (status == DC_OK)
        *out = onnx;
    else
        dc_imported_free(onnx);
    return status;
}
