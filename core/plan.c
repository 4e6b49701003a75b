// Owns lifetimes, offsets and the run through a graph.
//
// Time: node at position p of the schedule runs forward at time p and backward at 2n - 1 - p. Every
// buffer (value, gradient, notes from forward to backward, scratch) lives from its first write to
// its last read; buffers whose lifetimes overlap do not overlap in memory. Placement is greedy by
// size at the lowest free offset, the method of Pisarchyk and Lee, arXiv:2001.03288.

#include "core/plan.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ALIGNMENT = 64, NONE = -1 };

struct buffer {
    size_t bytes, offset;
    int born, dies;
};

struct planned_node {
    bool needed;                                                    // runs in this plan
    bool has_gradient;                                              // takes part in backward
    int position;                                                   // in the schedule
    int value, gradient, saved, forward_scratch, backward_scratch;  // buffers, or NONE
    const void *bound;  // of an input node: the caller's memory
    double loss_weight;
    bool gradient_written;  // during backward: the next contribution is added
};

struct dc_plan {
    const struct dc_ctx *ctx;
    const struct dc_graph *graph;
    enum dc_mode mode;
    int64_t max_rows;
    struct dc_arena *arena;
    struct planned_node *nodes;
    int *schedule;
    int schedule_count;
    struct buffer *buffers;
    int buffer_count;
    size_t bytes, lower_bound;
    char *memory;
    struct dc_node_seconds *seconds;  // the caller's, or NULL
};

static struct dc_tensor tensor_of(const struct dc_plan *plan, int node, int buffer, int64_t rows)
{
    const struct dc_node *n = &plan->graph->nodes[node];
    return (struct dc_tensor){
        .data = buffer == NONE ? NULL : plan->memory + plan->buffers[buffer].offset,
        .dtype = n->dtype,
        .shape = dc_shape_with_batch(&n->shape, rows),
    };
}

static int add_buffer(struct dc_plan *plan, size_t bytes, int born, int dies)
{
    if (bytes == 0)
        return NONE;
    const size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    plan->buffers[plan->buffer_count] = (struct buffer){rounded, 0, born, dies};
    return plan->buffer_count++;
}

// Marks what the outputs and, in training, the losses depend on.
static void mark_needed(struct dc_plan *plan, const struct dc_plan_config *config)
{
    const struct dc_graph *graph = plan->graph;
    for (int i = 0; i < config->output_count; i++)
        plan->nodes[config->outputs[i]].needed = true;
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

static void extend(struct dc_plan *plan, int buffer, int time)
{
    if (buffer != NONE && plan->buffers[buffer].dies < time)
        plan->buffers[buffer].dies = time;
}

static int backward_time(const struct dc_plan *plan, int node)
{
    return 2 * plan->schedule_count - 1 - plan->nodes[node].position;
}

static void add_node_buffers(struct dc_plan *plan, int i)
{
    const struct dc_node *node = &plan->graph->nodes[i];
    struct planned_node *planned = &plan->nodes[i];
    const int now = planned->position, back = backward_time(plan, i);
    struct dc_shape in[DC_INPUTS_MAX];
    for (int k = 0; k < node->input_count; k++)
        in[k] = dc_shape_with_batch(&plan->graph->nodes[node->inputs[k]].shape, plan->max_rows);
    const struct dc_shape out = dc_shape_with_batch(&node->shape, plan->max_rows);
    const size_t bytes = (size_t)dc_shape_count(&out) * dc_dtype_bytes(node->dtype);
    if (node->op != &dc_op_input)
        planned->value = add_buffer(plan, bytes, now, now);
    struct dc_op_memory memory = {0};
    if (node->op->memory)
        node->op->memory(&memory, node, in, &out, plan->ctx);
    planned->forward_scratch = add_buffer(plan, memory.forward, now, now);
    if (plan->mode == DC_TRAINING)
        planned->saved = add_buffer(plan, memory.saved, now, planned->has_gradient ? back : now);
    if (planned->has_gradient) {
        planned->backward_scratch = add_buffer(plan, memory.backward, back, back);
        if (node->op->flags & DC_OP_READS_OUTPUT)
            extend(plan, planned->value, back);
        if (!(node->op->flags & DC_OP_LOSS))  // born when the first reader's backward writes it
            planned->gradient = add_buffer(plan, bytes, back, back);
    }
    for (int k = 0; k < node->input_count; k++) {
        struct planned_node *input = &plan->nodes[node->inputs[k]];
        extend(plan, input->value, now);
        if (planned->has_gradient && (node->op->flags & DC_OP_READS_INPUT))
            extend(plan, input->value, back);
        if (planned->has_gradient && input->gradient != NONE &&
            plan->buffers[input->gradient].born > back)
            plan->buffers[input->gradient].born = back;
    }
}

static void keep_outputs(struct dc_plan *plan, const struct dc_plan_config *config)
{
    const int end = 2 * plan->schedule_count;
    for (int i = 0; i < config->output_count; i++) {
        extend(plan, plan->nodes[config->outputs[i]].value, end);
        extend(plan, plan->nodes[config->outputs[i]].gradient, end);
    }
    for (int i = 0; i < plan->graph->count; i++)
        if (plan->graph->nodes[i].op->flags & DC_OP_LOSS)
            extend(plan, plan->nodes[i].value, end);
}

static int larger_first(const void *a, const void *b)
{
    const struct buffer *x = *(struct buffer *const *)a, *y = *(struct buffer *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : x > y;
}

static bool overlap_in_time(const struct buffer *a, const struct buffer *b)
{
    return a->born <= b->dies && b->born <= a->dies;
}

// The lowest offset at which `buffer` fits between the placed ones that are alive with it.
static size_t lowest_offset(const struct buffer *buffer, struct buffer *const *placed, int count)
{
    size_t offset = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < count; i++) {
            const struct buffer *other = placed[i];
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
    struct buffer **order = calloc((size_t)plan->buffer_count + 1, sizeof(struct buffer *));
    if (!order)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    for (int i = 0; i < plan->buffer_count; i++)
        order[i] = &plan->buffers[i];
    qsort(order, (size_t)plan->buffer_count, sizeof(struct buffer *), larger_first);
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

static enum dc_status build(struct dc_plan *plan, const struct dc_plan_config *config,
                            struct dc_error *error)
{
    const int count = plan->graph->count;
    plan->nodes = DC_NEW(plan->arena, struct planned_node, count, error);
    plan->schedule = DC_NEW(plan->arena, int, count, error);
    plan->buffers = DC_NEW(plan->arena, struct buffer, 5 * count, error);
    if (!plan->nodes || !plan->schedule || !plan->buffers)
        return DC_ERR_MEMORY;
    for (int i = 0; i < count; i++) {
        struct planned_node *node = &plan->nodes[i];
        node->value = node->gradient = node->saved = NONE;
        node->forward_scratch = node->backward_scratch = NONE;
        node->loss_weight = 1.0;
    }
    mark_needed(plan, config);
    DC_TRY(mark_gradients(plan, config->params, error));
    for (int p = 0; p < plan->schedule_count; p++)
        add_node_buffers(plan, plan->schedule[p]);
    keep_outputs(plan, config);
    DC_TRY(place_buffers(plan, error));
    plan->memory = dc_arena_alloc(plan->arena, plan->bytes, error);
    return plan->memory ? DC_OK : DC_ERR_MEMORY;
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

static struct dc_tensor value_of(const struct dc_plan *plan, int node, int64_t rows)
{
    struct dc_tensor tensor = tensor_of(plan, node, plan->nodes[node].value, rows);
    if (plan->graph->nodes[node].op == &dc_op_input) {
        assert(plan->nodes[node].bound || !"an input was not bound");
        tensor.data = (void *)plan->nodes[node].bound;
    }
    return tensor;
}

static void *buffer_memory(const struct dc_plan *plan, int buffer)
{
    return buffer == NONE ? NULL : plan->memory + plan->buffers[buffer].offset;
}

static struct dc_op_call make_call(const struct dc_plan *plan, int i, struct dc_params *params,
                                   int64_t rows, const struct dc_step *step)
{
    const struct dc_node *node = &plan->graph->nodes[i];
    struct dc_op_call call = {
        .ctx = plan->ctx, .node = node, .mode = plan->mode, .step = step, .rows = rows};
    for (int k = 0; k < node->input_count; k++)
        call.in[k] = value_of(plan, node->inputs[k], rows);
    call.out = tensor_of(plan, i, plan->nodes[i].value, rows);
    call.frozen = node->param_count > 0;
    for (int p = 0; p < node->param_count; p++) {
        const struct dc_slice *slice = &params->slices[node->params[p]];
        call.frozen = call.frozen && slice->frozen;
        call.param[p] = params->value + slice->offset;
        if (params->gradient && dc_role_is_trained(slice->role) && !slice->frozen)
            call.d_param[p] = params->gradient + slice->offset;
    }
    call.saved = buffer_memory(plan, plan->nodes[i].saved);
    return call;
}

void dc_plan_time_nodes(struct dc_plan *plan, struct dc_node_seconds *seconds)
{
    plan->seconds = seconds;
}

// Seconds of the clock where nodes are timed; 0 where not.
static double clock_of(const struct dc_plan *plan)
{
    struct timespec time = {0};
    if (plan->seconds)
        clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

enum dc_status dc_plan_forward(struct dc_plan *plan, struct dc_params *params, int64_t rows,
                               const struct dc_step *step, struct dc_error *error)
{
    assert(rows > 0 && rows <= plan->max_rows);
    for (int p = 0; p < plan->schedule_count; p++) {
        const int i = plan->schedule[p];
        const struct dc_node *node = &plan->graph->nodes[i];
        if (node->op == &dc_op_input)
            continue;
        struct dc_op_call call = make_call(plan, i, params, rows, step);
        call.scratch = buffer_memory(plan, plan->nodes[i].forward_scratch);
        const double start = clock_of(plan);
        DC_TRY_IN(node->op->forward(&call, error), error, "layer '%s'", node->name);
        if (plan->seconds)
            plan->seconds[i].forward += clock_of(plan) - start;
    }
    return DC_OK;
}

enum dc_status dc_plan_backward(struct dc_plan *plan, struct dc_params *params, int64_t rows,
                                const struct dc_step *step, struct dc_error *error)
{
    assert(plan->mode == DC_TRAINING);
    for (int i = 0; i < plan->graph->count; i++)
        plan->nodes[i].gradient_written = false;
    for (int p = plan->schedule_count - 1; p >= 0; p--) {
        const int i = plan->schedule[p];
        const struct dc_node *node = &plan->graph->nodes[i];
        struct planned_node *planned = &plan->nodes[i];
        const bool is_loss = node->op->flags & DC_OP_LOSS;
        if (!planned->has_gradient || (!is_loss && !planned->gradient_written))
            continue;
        struct dc_op_call call = make_call(plan, i, params, rows, step);
        call.scratch = buffer_memory(plan, planned->backward_scratch);
        call.d_out = tensor_of(plan, i, planned->gradient, rows);
        if (is_loss)
            call.d_out.data = &planned->loss_weight;
        for (int k = 0; k < node->input_count; k++) {
            struct planned_node *input = &plan->nodes[node->inputs[k]];
            call.d_in[k] = tensor_of(plan, node->inputs[k], input->gradient, rows);
            call.add_gradient[k] = input->gradient_written;
            input->gradient_written = true;
        }
        const double start = clock_of(plan);
        DC_TRY_IN(node->op->backward(&call, error), error, "layer '%s', backward", node->name);
        if (plan->seconds)
            plan->seconds[i].backward += clock_of(plan) - start;
    }
    return DC_OK;
}

int dc_plan_first_not_finite(struct dc_plan *plan, struct dc_params *params, int64_t rows,
                             const struct dc_step *step)
{
    for (int p = 0; p < plan->schedule_count; p++) {
        const int i = plan->schedule[p];
        const struct dc_node *node = &plan->graph->nodes[i];
        if (node->op != &dc_op_input) {
            struct dc_op_call call = make_call(plan, i, params, rows, step);
            call.scratch = buffer_memory(plan, plan->nodes[i].forward_scratch);
            if (node->op->forward(&call, NULL) != DC_OK)
                return i;
        }
        const struct dc_tensor value = value_of(plan, i, rows);
        const int64_t count = value.dtype == DC_F32 ? dc_shape_count(&value.shape) : 0;
        for (int64_t k = 0; k < count; k++)
            if (!isfinite(dc_f32(&value)[k]))
                return i;
    }
    return NONE;
}

const void *dc_plan_value(const struct dc_plan *plan, int node)
{
    return value_of(plan, node, 1).data;
}

const float *dc_plan_gradient(const struct dc_plan *plan, int node)
{
    return buffer_memory(plan, plan->nodes[node].gradient);
}

double dc_plan_loss(const struct dc_plan *plan, int loss_node)
{
    return *(const double *)dc_plan_value(plan, loss_node);
}
