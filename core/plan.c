// Owns lifetimes and offsets of a graph's values. Epilogues are plan_epilogues.c's, the run
// plan_run.c's.
//
// Time: node at position p of the schedule runs forward at time p and backward at 2n - 1 - p. Every
// buffer (value, gradient, statistics from forward to backward, scratch) lives from its first write
// to its last read; buffers whose lifetimes overlap do not overlap in memory. Placement is greedy
// by size at the lowest free offset, the method of Pisarchyk and Lee, arXiv:2001.03288.

#include "core/plan_internal.h"

#include <assert.h>
#include <stdlib.h>

enum { ALIGNMENT = 64, SLICE_BYTES = 8 << 20 };  // a thread's share of the caches, about

int dc__plan_add_buffer(struct dc_plan *plan, size_t bytes, int born, int dies)
{
    if (bytes == 0)
        return DC_NONE;
    const size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    plan->buffers[plan->buffer_count] = (struct dc_buffer){rounded, 0, born, dies};
    return plan->buffer_count++;
}

// Marks what the outputs and, in training, the losses depend on.
static void mark_needed(struct dc_plan *plan, const struct dc_plan_config *config)
{
    const struct dc_graph *graph = plan->graph;
    for (int i = 0; i < config->output_count; i++)
        plan->nodes[config->outputs[i]].needed = plan->nodes[config->outputs[i]].is_output = true;
    for (int i = graph->count - 1; i >= 0; i--) {
        if (plan->mode == DC_TRAINING && (graph->nodes[i].op->flags & DC_OP_LOSS))
            plan->nodes[i].needed = true;
        for (int k = 0; plan->nodes[i].needed && k < graph->nodes[i].input_count; k++)
            plan->nodes[graph->nodes[i].inputs[k]].needed = true;
    }
    for (int i = 0; i < graph->count; i++) {
        plan->nodes[i].position = plan->schedule_count;
        if (plan->nodes[i].needed)
            plan->schedule[plan->schedule_count++] = i;
    }
}

static bool has_trained_param(const struct dc_node *node, const struct dc_params *params)
{
    for (int p = 0; p < node->param_count; p++) {
        const struct dc_slice *slice = &params->slices[node->params[p]];
        if (dc_role_is_trained(slice->role) && !slice->frozen)
            return true;
    }
    return false;
}

// A node takes part in backward if a trained parameter lies at or before it and a loss after it.
static enum dc_status mark_gradients(struct dc_plan *plan, const struct dc_params *params,
                                     struct dc_error *error)
{
    const struct dc_graph *graph = plan->graph;
    if (plan->mode != DC_TRAINING)
        return DC_OK;
    bool *before = DC_NEW(plan->arena, bool, 2 * graph->count, error);
    if (!before)
        return DC_ERR_MEMORY;
    bool *after = before + graph->count;
    for (int i = 0; i < graph->count; i++) {
        const struct dc_node *node = &graph->nodes[i];
        before[i] = has_trained_param(node, params);
        for (int k = 0; k < node->input_count && !(node->op->flags & DC_OP_NO_GRADIENT); k++)
            before[i] = before[i] || before[node->inputs[k]];
    }
    for (int i = graph->count - 1; i >= 0; i--) {
        const struct dc_node *node = &graph->nodes[i];
        after[i] = after[i] || (node->op->flags & DC_OP_LOSS);
        for (int k = 0; k < node->input_count && after[i]; k++)
            if (!(node->op->flags & DC_OP_NO_GRADIENT))
                after[node->inputs[k]] = true;
        plan->nodes[i].has_gradient = plan->nodes[i].needed && before[i] && after[i];
    }
    return DC_OK;
}

void *dc__plan_memory(const struct dc_plan *plan, int buffer)
{
    return buffer == DC_NONE ? NULL : plan->memory + plan->buffers[buffer].offset;
}

void dc__plan_extend(struct dc_plan *plan, int buffer, int time)
{
    if (buffer != DC_NONE && plan->buffers[buffer].dies < time)
        plan->buffers[buffer].dies = time;
}

int dc__plan_backward_time(const struct dc_plan *plan, int node)
{
    return 2 * plan->schedule_count - 1 - plan->nodes[node].position;
}

// A loss has none; of an epilogue the last part's is kept, and the root's where it is not the same.
static bool keeps_gradient(const struct dc_plan *plan, int i)
{
    const struct dc_planned_node *node = &plan->nodes[i];
    if (plan->graph->nodes[i].op->epilogue)
        return dc__epilogue_last(&plan->epilogues[node->epilogue]) == i;
    return !(plan->graph->nodes[i].op->flags & DC_OP_LOSS) &&
           !(node->statistics_for != DC_NONE &&
             plan->epilogues[node->statistics_for].gradient_through);
}

static size_t row_bytes(const struct dc_node *node)
{
    return (size_t)dc_shape_row(&node->shape) * dc_dtype_bytes(node->dtype);
}

// As many rows for each thread as let what one node reads and writes stay in the caches; all where
// something that must survive has no rows to cut.
static void choose_slice(struct dc_plan *plan)
{
    size_t most = 1;
    plan->slice_rows = plan->max_rows;
    for (int p = 0; p < plan->schedule_count; p++) {
        const struct dc_planned_node *planned = &plan->nodes[plan->schedule[p]];
        const struct dc_node *node = &plan->graph->nodes[plan->schedule[p]];
        size_t bytes = row_bytes(node);
        for (int k = 0; k < node->input_count; k++)
            bytes += row_bytes(&plan->graph->nodes[node->inputs[k]]);
        most = bytes > most ? bytes : most;
        if ((planned->is_output || node->op == &dc_op_input) &&
            (node->shape.rank == 0 || node->shape.dims[0] != DC_BATCH))
            return;
    }
    const int64_t rows = SLICE_BYTES / most > 1 ? (int64_t)(SLICE_BYTES / most) : 1;
    if (plan->keeps && rows * plan->ctx->threads < plan->max_rows)
        plan->slice_rows = rows * plan->ctx->threads;
}

static void add_node_buffers(struct dc_plan *plan, int i)
{
    const struct dc_node *node = &plan->graph->nodes[i];
    struct dc_planned_node *planned = &plan->nodes[i];
    const int now = planned->position, back = dc__plan_backward_time(plan, i);
    struct dc_shape in[DC_INPUTS_MAX];
    for (int k = 0; k < node->input_count; k++)
        in[k] = dc_shape_with_batch(&plan->graph->nodes[node->inputs[k]].shape, plan->slice_rows);
    const struct dc_shape out = dc_shape_with_batch(&node->shape, plan->slice_rows);
    const struct dc_shape all = dc_shape_with_batch(&node->shape, plan->max_rows);
    const size_t bytes = (size_t)dc_shape_count(planned->is_output ? &all : &out) *
                         dc_dtype_bytes(node->dtype);
    if (node->op != &dc_op_input && !dc__plan_is_deferred(plan, i))
        planned->value = dc__plan_add_buffer(plan, bytes, now, now);
    struct dc_op_memory memory = {0};
    if (node->op->memory && !node->op->epilogue)
        node->op->memory(&memory, node, in, &out, plan->ctx);
    planned->forward_scratch = dc__plan_add_buffer(plan, memory.forward, now, now);
    if (plan->keeps)
        planned->kept = dc__plan_add_buffer(plan, memory.kept, 0, 2 * plan->schedule_count);
    if (plan->mode == DC_TRAINING)
        planned->saved = dc__plan_add_buffer(plan, memory.saved, now,
                                             planned->has_gradient ? back : now);
    if (planned->has_gradient) {
        planned->backward_scratch = dc__plan_add_buffer(plan, memory.backward, back, back);
        if (node->op->flags & DC_OP_READS_OUTPUT)
            dc__plan_extend(plan, planned->value, back);
        if (keeps_gradient(plan, i))  // born when the first reader's backward writes it
            planned->gradient = dc__plan_add_buffer(plan, bytes, back, back);
    }
    for (int k = 0; k < node->input_count; k++) {
        struct dc_planned_node *input = &plan->nodes[node->inputs[k]];
        dc__plan_extend(plan, input->value, now);
        if (planned->has_gradient && (node->op->flags & DC_OP_READS_INPUT))
            dc__plan_extend(plan, input->value, back);
        if (planned->has_gradient && input->gradient != DC_NONE &&
            plan->buffers[input->gradient].born > back)
            plan->buffers[input->gradient].born = back;
    }
}

static void keep_outputs(struct dc_plan *plan, const struct dc_plan_config *config)
{
    const int end = 2 * plan->schedule_count;
    for (int i = 0; i < config->output_count; i++) {
        const int value = plan->nodes[config->outputs[i]].value;
        if (value != DC_NONE && plan->slice_rows < plan->max_rows)
            plan->buffers[value].born = 0;  // the rows of slices before are there
        dc__plan_extend(plan, value, end);
        dc__plan_extend(plan, plan->nodes[config->outputs[i]].gradient, end);
    }
    for (int i = 0; i < plan->graph->count; i++)
        if (plan->graph->nodes[i].op->flags & DC_OP_LOSS)
            dc__plan_extend(plan, plan->nodes[i].value, end);
}

static int larger_first(const void *a, const void *b)
{
    const struct dc_buffer *x = *(struct dc_buffer *const *)a, *y = *(struct dc_buffer *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : x > y;
}

static bool overlap_in_time(const struct dc_buffer *a, const struct dc_buffer *b)
{
    return a->born <= b->dies && b->born <= a->dies;
}

// The lowest offset at which `buffer` fits between the placed ones that are alive with it.
static size_t lowest_offset(const struct dc_buffer *buffer, struct dc_buffer *const *placed,
                            int count)
{
    size_t offset = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < count; i++) {
            const struct dc_buffer *other = placed[i];
            if (overlap_in_time(buffer, other) && offset < other->offset + other->bytes &&
                other->offset < offset + buffer->bytes) {
                offset = other->offset + other->bytes;
                moved = true;
            }
        }
    }
    return offset;
}

static enum dc_status place_buffers(struct dc_plan *plan, struct dc_error *error)
{
    struct dc_buffer **order = calloc((size_t)plan->buffer_count + 1, sizeof(struct dc_buffer *));
    if (!order)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    for (int i = 0; i < plan->buffer_count; i++)
        order[i] = &plan->buffers[i];
    qsort(order, (size_t)plan->buffer_count, sizeof(struct dc_buffer *), larger_first);
    for (int i = 0; i < plan->buffer_count; i++) {
        order[i]->offset = lowest_offset(order[i], order, i);
        if (plan->bytes < order[i]->offset + order[i]->bytes)
            plan->bytes = order[i]->offset + order[i]->bytes;
    }
    free(order);
    for (int time = 0; time <= 2 * plan->schedule_count; time++) {
        size_t alive = 0;
        for (int i = 0; i < plan->buffer_count; i++)
            if (plan->buffers[i].born <= time && time <= plan->buffers[i].dies)
                alive += plan->buffers[i].bytes;
        if (plan->lower_bound < alive)
            plan->lower_bound = alive;
    }
    return DC_OK;
}

static enum dc_status make_arrays(struct dc_plan *plan, struct dc_planned_node *node, int inputs,
                                  struct dc_error *error)
{
    const int count = inputs > 0 ? inputs : 1;
    node->in = DC_NEW(plan->arena, struct dc_tensor, count, error);
    node->d_in = DC_NEW(plan->arena, struct dc_tensor, count, error);
    node->add_gradient = DC_NEW(plan->arena, bool, count, error);
    node->in_epilogue = DC_NEW(plan->arena, const struct dc_epilogue *, count, error);
    node->d_in_statistics = DC_NEW(plan->arena, const struct dc_gradient_statistics *, count,
                                   error);
    return node->in && node->d_in && node->add_gradient && node->in_epilogue &&
                   node->d_in_statistics
               ? DC_OK
               : DC_ERR_MEMORY;
}

static enum dc_status build(struct dc_plan *plan, const struct dc_plan_config *config,
                            struct dc_error *error)
{
    const int count = plan->graph->count;
    plan->nodes = DC_NEW(plan->arena, struct dc_planned_node, count, error);
    plan->schedule = DC_NEW(plan->arena, int, count, error);
    plan->epilogues = DC_NEW(plan->arena, struct dc_planned_epilogue, count, error);
    plan->buffers = DC_NEW(plan->arena, struct dc_buffer, 8 * count, error);
    if (!plan->nodes || !plan->schedule || !plan->epilogues || !plan->buffers)
        return DC_ERR_MEMORY;
    for (int i = 0; i < count; i++) {
        struct dc_planned_node *node = &plan->nodes[i];
        DC_TRY(make_arrays(plan, node, plan->graph->nodes[i].input_count, error));
        node->value = node->gradient = node->saved = node->kept = DC_NONE;
        node->forward_scratch = node->backward_scratch = DC_NONE;
        node->epilogue = node->statistics_for = DC_NONE;
        node->loss_weight = 1.0;
    }
    mark_needed(plan, config);
    choose_slice(plan);
    DC_TRY(mark_gradients(plan, config->params, error));
    dc__plan_find_epilogues(plan);
    for (int p = 0; p < plan->schedule_count; p++)
        add_node_buffers(plan, plan->schedule[p]);
    dc__plan_add_epilogue_buffers(plan);
    keep_outputs(plan, config);
    DC_TRY(place_buffers(plan, error));
    plan->memory = dc_arena_alloc(plan->arena, plan->bytes, error);
    if (!plan->memory)
        return DC_ERR_MEMORY;
    dc__plan_place_epilogues(plan);
    return DC_OK;
}

enum dc_status dc_plan_create(struct dc_plan **out, const struct dc_ctx *ctx,
                              const struct dc_graph *graph, const struct dc_plan_config *config,
                              struct dc_error *error)
{
    assert(config->max_rows > 0 && (config->mode == DC_INFERENCE || config->params));
    *out = NULL;
    struct dc_arena *arena = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_plan *plan = DC_NEW(arena, struct dc_plan, 1, error);
    if (plan) {
        *plan = (struct dc_plan){.ctx = ctx,
                                 .graph = graph,
                                 .mode = config->mode,
                                 .max_rows = config->max_rows,
                                 .keeps = config->constant_params && config->mode == DC_INFERENCE,
                                 .arena = arena};
    }
    const enum dc_status status = plan ? build(plan, config, error) : DC_ERR_MEMORY;
    if (status != DC_OK) {
        dc_arena_free(arena);
        return status;
    }
    *out = plan;
    return DC_OK;
}

void dc_plan_free(struct dc_plan *plan)
{
    if (plan)
        dc_arena_free(plan->arena);
}

size_t dc_plan_bytes(const struct dc_plan *plan)
{
    return plan->bytes;
}

size_t dc_plan_bytes_lower_bound(const struct dc_plan *plan)
{
    return plan->lower_bound;
}

void dc_plan_bind(struct dc_plan *plan, int input_node, const void *values)
{
    assert(plan->graph->nodes[input_node].op == &dc_op_input);
    plan->nodes[input_node].bound = values;
}

void dc_plan_set_loss_weight(struct dc_plan *plan, int loss_node, double weight)
{
    plan->nodes[loss_node].loss_weight = weight;
}
