// Owns the run through a plan: forward, backward, and the epilogues on the way.

#include <assert.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "core/plan_internal.h"

// Where the slice that runs begins in memory with all rows.
static size_t slice_offset(const struct dc_plan *plan, int node)
{
    const struct dc_node *n = &plan->graph->nodes[node];
    return (size_t)(plan->first * dc_shape_row(&n->shape)) * dc_dtype_bytes(n->dtype);
}

static struct dc_tensor tensor_of(const struct dc_plan *plan, int node, int buffer, int64_t rows)
{
    const struct dc_node *n = &plan->graph->nodes[node];
    char *data = dc__plan_memory(plan, buffer);
    if (plan->first > 0 && plan->nodes[node].is_output)
        data += slice_offset(plan, node);
    return (struct dc_tensor){
        .data = data,
        .dtype = n->dtype,
        .shape = dc_shape_with_batch(&n->shape, rows),
    };
}

// What readers of a node read: its value, or the stored value before its epilogue.
static struct dc_tensor value_of(const struct dc_plan *plan, int node, int64_t rows)
{
    const int stored = dc__plan_stored(plan, node);
    struct dc_tensor tensor = tensor_of(plan, stored, plan->nodes[stored].value, rows);
    if (plan->graph->nodes[stored].op == &dc_op_input) {
        assert(plan->nodes[stored].bound || !"an input was not bound");
        tensor.data = (char *)plan->nodes[stored].bound + slice_offset(plan, stored);
    }
    return tensor;
}

// Two calls of one node share their arrays: the later fills them anew.
static struct dc_op_call make_call(const struct dc_plan *plan, int i, struct dc_params *params,
                                   int64_t rows, const struct dc_step *step)
{
    const struct dc_node *node = &plan->graph->nodes[i];
    const struct dc_planned_node *planned = &plan->nodes[i];
    struct dc_op_call call = {.ctx = plan->ctx,
                              .node = node,
                              .mode = plan->mode,
                              .step = step,
                              .rows = rows,
                              .in = planned->in,
                              .d_in = planned->d_in,
                              .add_gradient = planned->add_gradient,
                              .in_epilogue = planned->in_epilogue,
                              .d_in_statistics = planned->d_in_statistics};
    for (int k = 0; k < node->input_count; k++) {
        const int input = node->inputs[k];
        const bool deferred = dc__plan_is_deferred(plan, input);
        call.in[k] = value_of(plan, input, rows);
        call.d_in[k] = (struct dc_tensor){.data = NULL};
        call.add_gradient[k] = false;
        call.in_epilogue[k] = deferred ? &plan->epilogues[plan->nodes[input].epilogue].epilogue
                                       : NULL;
        call.d_in_statistics[k] = NULL;
    }
    call.out = tensor_of(plan, i, plan->nodes[i].value, rows);
    call.frozen = node->param_count > 0;
    for (int p = 0; p < node->param_count; p++) {
        const struct dc_slice *slice = &params->slices[node->params[p]];
        call.frozen = call.frozen && slice->frozen;
        call.param[p] = params->value + slice->offset;
        if (params->gradient && dc_role_is_trained(slice->role) && !slice->frozen)
            call.d_param[p] = params->gradient + slice->offset;
    }
    call.saved = dc__plan_memory(plan, plan->nodes[i].saved);
    call.kept = dc__plan_memory(plan, plan->nodes[i].kept);
    call.kept_filled = plan->nodes[i].kept_filled;
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

struct run {
    struct dc_plan *plan;
    struct dc_params *params;
    int64_t rows;
    const struct dc_step *step;
};

static struct dc_op_call call_of(const struct run *run, int i)
{
    return make_call(run->plan, i, run->params, run->rows, run->step);
}

// Asks the parts of an epilogue what must be taken of its root's value.
static void begin_statistics(const struct run *run, struct dc_planned_epilogue *epilogue)
{
    epilogue->statistics.wanted = 0;
    for (int p = 0; p < epilogue->count; p++) {
        const struct dc_op_call call = call_of(run, epilogue->parts[p]);
        if (call.node->op->epilogue->want)
            call.node->op->epilogue->want(&epilogue->statistics, &call);
    }
    dc_statistics_clear(&epilogue->statistics, run->plan->ctx);
}

// Node i is a part: the first begins the epilogue, each extends it, the last may apply it.
static enum dc_status forward_part(const struct run *run, int i, struct dc_error *error)
{
    struct dc_plan *plan = run->plan;
    const int t = plan->nodes[i].epilogue;
    struct dc_planned_epilogue *epilogue = &plan->epilogues[t];
    struct dc_op_call call = call_of(run, i);
    call.in[0] = value_of(plan, epilogue->root, run->rows);
    if (i == epilogue->parts[0]) {
        if (plan->nodes[epilogue->root].statistics_for != t) {
            begin_statistics(run, epilogue);
            dc_epilogue_note_all(&epilogue->statistics, &call);
        }
        dc_epilogue_begin(&epilogue->epilogue);
    }
    DC_TRY(
        call.node->op->epilogue->extend(&epilogue->epilogue, &call, &epilogue->statistics, error));
    if (epilogue->materialized && i == dc__epilogue_last(epilogue))
        dc_epilogue_apply_all(&epilogue->epilogue, &call);
    return DC_OK;
}

static enum dc_status forward_node(const struct run *run, int i, struct dc_error *error)
{
    struct dc_plan *plan = run->plan;
    const struct dc_node *node = &plan->graph->nodes[i];
    if (node->op == &dc_op_input)
        return DC_OK;
    if (node->op->epilogue)
        return forward_part(run, i, error);
    struct dc_op_call call = call_of(run, i);
    call.scratch = dc__plan_memory(plan, plan->nodes[i].forward_scratch);
    if (plan->nodes[i].statistics_for != DC_NONE) {
        struct dc_planned_epilogue *epilogue = &plan->epilogues[plan->nodes[i].statistics_for];
        begin_statistics(run, epilogue);
        call.out_statistics = epilogue->statistics.wanted ? &epilogue->statistics : NULL;
    }
    DC_TRY(node->op->forward(&call, error));
    plan->nodes[i].kept_filled = true;
    return DC_OK;
}

static enum dc_status forward_slice(const struct run *run, struct dc_error *error)
{
    struct dc_plan *plan = run->plan;
    for (int p = 0; p < plan->schedule_count; p++) {
        const int i = plan->schedule[p];
        const double start = clock_of(plan);
        DC_TRY_IN(forward_node(run, i, error), error, "layer '%s'", plan->graph->nodes[i].name);
        if (plan->seconds)
            plan->seconds[i].forward += clock_of(plan) - start;
    }
    return DC_OK;
}

// The next rows, of slices as even as can be; *done rows went before them.
static struct run slice_of(struct dc_plan *plan, struct dc_params *params, int64_t rows,
                           int64_t *done, const struct dc_step *step)
{
    const int64_t slices = (rows - *done + plan->slice_rows - 1) / plan->slice_rows;
    const int64_t some = (rows - *done + slices - 1) / slices;
    plan->first = *done;
    *done += some;
    return (struct run){plan, params, some, step};
}

enum dc_status dc_plan_forward(struct dc_plan *plan, struct dc_params *params, int64_t rows,
                               const struct dc_step *step, struct dc_error *error)
{
    assert(rows > 0 && rows <= plan->max_rows);
    enum dc_status status = DC_OK;
    for (int64_t done = 0; done < rows && status == DC_OK;) {
        const struct run run = slice_of(plan, params, rows, &done, step);
        status = forward_slice(&run, error);
    }
    plan->first = 0;
    return status;
}

// The call's gradients of inputs, and marks them as written.
static void give_input_gradients(const struct run *run, struct dc_op_call *call)
{
    for (int k = 0; k < call->node->input_count; k++) {
        const int i = call->node->inputs[k];
        struct dc_planned_node *input = &run->plan->nodes[i];
        call->d_in[k] = tensor_of(run->plan, i, input->gradient, run->rows);
        call->add_gradient[k] = input->gradient_written;
        input->gradient_written = true;
    }
}

// What the parts of an epilogue must know of the gradients of its result.
static unsigned wanted_of(const struct run *run, const struct dc_planned_epilogue *epilogue)
{
    unsigned wanted = 0;
    for (int p = 0; p < epilogue->count; p++) {
        const struct dc_op_call part = call_of(run, epilogue->parts[p]);
        wanted |= dc_epilogue_wanted(part.node->op->epilogue, &part, &epilogue->epilogue);
    }
    return wanted;
}

static void begin_gradient_statistics(const struct run *run, struct dc_planned_epilogue *epilogue,
                                      unsigned wanted)
{
    const struct dc_tensor x = value_of(run->plan, epilogue->root, run->rows);
    dc_gradient_statistics_begin(&epilogue->gradient_statistics, &epilogue->epilogue, dc_f32(&x),
                                 wanted, dc__plan_memory(run->plan, epilogue->sums),
                                 run->plan->ctx);
}

// Where node i is the last to write the gradient of an epilogue's result, it statistics the sums
// for it.
static void give_gradient_statistics(const struct run *run, int i, struct dc_op_call *call)
{
    struct dc_plan *plan = run->plan;
    for (int k = 0; k < call->node->input_count; k++) {
        const int input = call->node->inputs[k], t = plan->nodes[input].epilogue;
        bool again = false;  // read once more by this node
        for (int m = k + 1; m < call->node->input_count; m++)
            again = again || call->node->inputs[m] == input;
        if (t == DC_NONE || again || !call->d_in[k].data)
            continue;
        assert(plan->epilogues);
        struct dc_planned_epilogue *epilogue = &plan->epilogues[t];
        const unsigned wanted = wanted_of(run, epilogue);
        if (epilogue->last_writer != i || dc__epilogue_last(epilogue) != input || !wanted)
            continue;
        begin_gradient_statistics(run, epilogue, wanted);
        call->d_in_statistics[k] = &epilogue->gradient_statistics;
        epilogue->gradient_statistics_taken = true;
    }
}

// Once all readers of an epilogue's result are done, at the turn of its first part with a gradient:
// sums, coefficients, and the root's gradient, unless the root takes it through the epilogue
// itself.
static void backward_epilogue(const struct run *run, struct dc_planned_epilogue *epilogue)
{
    struct dc_plan *plan = run->plan;
    const int last = dc__epilogue_last(epilogue);
    struct dc_op_call call = call_of(run, epilogue->parts[0]);
    const unsigned wanted = wanted_of(run, epilogue);
    call.d_out = tensor_of(plan, last, plan->nodes[last].gradient, run->rows);
    if (wanted && !epilogue->gradient_statistics_taken) {
        begin_gradient_statistics(run, epilogue, wanted);
        dc_epilogue_note_all_gradients(&epilogue->gradient_statistics, &call);
    }
    for (int p = 0; p < epilogue->count; p++) {
        const struct dc_op_call part = call_of(run, epilogue->parts[p]);
        dc_epilogue_finish(&epilogue->epilogue, &part, &epilogue->gradient_statistics);
    }
    if (epilogue->gradient_through) {
        plan->nodes[epilogue->root].gradient_written = true;
        return;
    }
    give_input_gradients(run, &call);
    dc_epilogue_apply_all_gradients(&epilogue->epilogue, &call);
}

static enum dc_status backward_node(const struct run *run, int i, struct dc_error *error)
{
    struct dc_plan *plan = run->plan;
    const struct dc_node *node = &plan->graph->nodes[i];
    struct dc_planned_node *planned = &plan->nodes[i];
    const bool is_loss = node->op->flags & DC_OP_LOSS;
    if (node->op->epilogue) {
        struct dc_planned_epilogue *epilogue = &plan->epilogues[planned->epilogue];
        int first = 0;  // what lies before it may be frozen
        while (!plan->nodes[epilogue->parts[first]].has_gradient)
            first++;
        if (i == epilogue->parts[first] &&
            plan->nodes[dc__epilogue_last(epilogue)].gradient_written)
            backward_epilogue(run, epilogue);
        return DC_OK;
    }
    if (!is_loss && !planned->gradient_written)
        return DC_OK;
    struct dc_op_call call = call_of(run, i);
    call.scratch = dc__plan_memory(plan, planned->backward_scratch);
    call.d_out = tensor_of(plan, i, planned->gradient, run->rows);
    const struct dc_planned_epilogue *through = planned->statistics_for == DC_NONE
                                                    ? NULL
                                                    : &plan->epilogues[planned->statistics_for];
    if (through && through->gradient_through) {
        const int last = dc__epilogue_last(through);
        call.d_out.data = dc__plan_memory(plan, plan->nodes[last].gradient);
        call.d_out_epilogue = &through->epilogue;
        call.d_out_stored = dc_f32(&call.out);
    }
    if (is_loss)
        call.d_out.data = &planned->loss_weight;
    give_input_gradients(run, &call);
    if (node->op->flags & DC_OP_EPILOGUES)
        give_gradient_statistics(run, i, &call);
    return node->op->backward(&call, error);
}

enum dc_status dc_plan_backward(struct dc_plan *plan, struct dc_params *params, int64_t rows,
                                const struct dc_step *step, struct dc_error *error)
{
    assert(plan->mode == DC_TRAINING);
    const struct run run = {plan, params, rows, step};
    for (int i = 0; i < plan->graph->count; i++)
        plan->nodes[i].gradient_written = false;
    for (int t = 0; t < plan->epilogue_count; t++)
        plan->epilogues[t].gradient_statistics_taken = false;
    for (int p = plan->schedule_count - 1; p >= 0; p--) {
        const int i = plan->schedule[p];
        const double start = clock_of(plan);
        if (plan->nodes[i].has_gradient)
            DC_TRY_IN(backward_node(&run, i, error), error, "layer '%s', backward",
                      plan->graph->nodes[i].name);
        if (plan->seconds)
            plan->seconds[i].backward += clock_of(plan) - start;
    }
    return DC_OK;
}

static int first_not_finite(const struct run *run)
{
    struct dc_plan *plan = run->plan;
    for (int p = 0; p < plan->schedule_count; p++) {
        const int i = plan->schedule[p];
        if (forward_node(run, i, NULL) != DC_OK)
            return i;
        const struct dc_tensor value = value_of(plan, i, run->rows);
        const int64_t count = value.dtype == DC_F32 ? dc_shape_count(&value.shape) : 0;
        for (int64_t k = 0; k < count; k++)
            if (!isfinite(dc_f32(&value)[k]))
                return dc__plan_stored(plan, i);
    }
    return DC_NONE;
}

int dc_plan_first_not_finite(struct dc_plan *plan, struct dc_params *params, int64_t rows,
                             const struct dc_step *step)
{
    int found = DC_NONE;
    for (int64_t done = 0; done < rows && found == DC_NONE;) {
        const struct run run = slice_of(plan, params, rows, &done, step);
        found = first_not_finite(&run);
    }
    plan->first = 0;
    return found;
}

bool dc_plan_stores(const struct dc_plan *plan, int node)
{
    return !dc__plan_is_deferred(plan, node);
}

const void *dc_plan_value(const struct dc_plan *plan, int node)
{
    return dc__plan_is_deferred(plan, node) ? NULL : value_of(plan, node, 1).data;
}

const float *dc_plan_gradient(const struct dc_plan *plan, int node)
{
    return dc__plan_memory(plan, plan->nodes[node].gradient);
}

double dc_plan_loss(const struct dc_plan *plan, int loss_node)
{
    return *(const double *)dc_plan_value(plan, loss_node);
}

double dc_plan_loss_gradient_norm(const struct dc_plan *plan, int loss_node)
{
    assert(dc_shape_count(&plan->graph->nodes[loss_node].shape) >= 2);
    return ((const double *)dc_plan_value(plan, loss_node))[1];
}
