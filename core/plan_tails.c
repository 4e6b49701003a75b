// Owns which element-wise nodes of a plan form tails, and their memory.
//
// A part is appended to the tail of the node it reads where nothing else reads that node; else it
// begins a tail of its own. A tail's result is left to its readers if all of them can apply it, and
// its gradient is left to the root if the root can and nothing else reads the root.

#include "core/plan_internal.h"

int dc__tail_last(const struct dc_planned_tail *tail)
{
    return tail->parts[tail->count - 1];
}

bool dc__plan_is_deferred(const struct dc_plan *plan, int node)
{
    const int t = plan->nodes[node].tail;
    return t != DC_NONE && !(plan->tails[t].materialized && dc__tail_last(&plan->tails[t]) == node);
}

int dc__plan_stored(const struct dc_plan *plan, int node)
{
    return dc__plan_is_deferred(plan, node) ? plan->tails[plan->nodes[node].tail].root : node;
}

static bool can_apply(const struct dc_plan *plan, int node)
{
    return plan->graph->nodes[node].op->flags & DC_OP_TAILS;
}

struct readers {
    int count, first;         // nodes that read it, the first of them
    int first_with_gradient;  // or DC_NONE
    bool all_apply;
};

static struct readers readers_of(const struct dc_plan *plan, int node)
{
    struct readers r = {0, DC_NONE, DC_NONE, true};
    for (int i = node + 1; i < plan->graph->count; i++) {
        const struct dc_node *n = &plan->graph->nodes[i];
        bool reads = false;
        for (int k = 0; k < n->input_count; k++)
            reads = reads || n->inputs[k] == node;
        if (!reads || !plan->nodes[i].needed)
            continue;
        r.first = r.count == 0 ? i : r.first;
        r.count++;
        r.all_apply = r.all_apply && can_apply(plan, i);
        if (plan->nodes[i].has_gradient && r.first_with_gradient == DC_NONE)
            r.first_with_gradient = i;
    }
    return r;
}

static void add_part(struct dc_plan *plan, int node)
{
    const struct dc_node *n = &plan->graph->nodes[node];
    const int input = n->inputs[0], before = plan->nodes[input].tail;
    if (before != DC_NONE && !plan->nodes[input].is_output &&
        plan->graph->nodes[input].op->tail->rank < n->op->tail->rank &&
        readers_of(plan, input).count == 1) {
        struct dc_planned_tail *tail = &plan->tails[before];
        tail->parts[tail->count++] = node;
        plan->nodes[node].tail = before;
        return;
    }
    plan->nodes[node].tail = plan->tail_count;
    plan->tails[plan->tail_count++] = (struct dc_planned_tail){
        .root = input, .parts = {node}, .count = 1, .last_writer = DC_NONE};
}

static void settle(struct dc_plan *plan, int t)
{
    struct dc_planned_tail *tail = &plan->tails[t];
    const int last = dc__tail_last(tail);
    const struct readers readers = readers_of(plan, last);
    tail->materialized = plan->nodes[last].is_output || !readers.all_apply;
    const struct dc_planned_node *root = &plan->nodes[tail->root];
    tail->gradient_through = root->has_gradient && !root->is_output &&
                             can_apply(plan, tail->root) && readers_of(plan, tail->root).count == 1;
    const int writer = readers.first_with_gradient;  // in backward the last
    if (writer != DC_NONE && can_apply(plan, writer))
        tail->last_writer = writer;
    if (can_apply(plan, tail->root) && root->noting == DC_NONE)
        plan->nodes[tail->root].noting = t;
}

void dc__plan_find_tails(struct dc_plan *plan)
{
    for (int p = 0; p < plan->schedule_count; p++)
        if (plan->graph->nodes[plan->schedule[p]].op->tail)
            add_part(plan, plan->schedule[p]);
    for (int t = 0; t < plan->tail_count; t++)
        settle(plan, t);
}

// When the tail's result is last read: by readers that apply the tail, forward and in backward.
static int last_read(const struct dc_plan *plan, const struct dc_planned_tail *tail)
{
    const int last = dc__tail_last(tail);
    int time = plan->nodes[last].position;
    for (int i = last + 1; i < plan->graph->count && !tail->materialized; i++) {
        const struct dc_node *node = &plan->graph->nodes[i];
        for (int k = 0; plan->nodes[i].needed && k < node->input_count; k++) {
            const int read = plan->nodes[i].has_gradient ? dc__plan_backward_time(plan, i)
                                                         : plan->nodes[i].position;
            if (node->inputs[k] == last && time < read)
                time = read;
        }
    }
    return time;
}

// The root's value and the coefficients live until the last reader, forward or backward, and until
// the gradient has gone through.
void dc__plan_add_tail_buffers(struct dc_plan *plan)
{
    for (int t = 0; t < plan->tail_count; t++) {
        struct dc_planned_tail *tail = &plan->tails[t];
        const int first = tail->parts[0], last = dc__tail_last(tail);
        const struct dc_planned_node *root = &plan->nodes[tail->root];
        const struct dc_shape shape = dc_shape_with_batch(&plan->graph->nodes[first].shape,
                                                          plan->max_rows);
        const int64_t channels = shape.dims[shape.rank - 1];
        int end = last_read(plan, tail);
        tail->sums = DC_NONE;
        if (plan->nodes[last].has_gradient) {
            const int through = dc__plan_backward_time(plan,
                                                       tail->gradient_through ? tail->root : first);
            end = end > through ? end : through;
            dc__plan_extend(plan, plan->nodes[last].gradient, through);
            tail->sums = dc__plan_add_buffer(
                plan, dc_gradient_sums_bytes(channels, plan->ctx),
                dc__plan_backward_time(plan,
                                       tail->last_writer != DC_NONE ? tail->last_writer : last),
                dc__plan_backward_time(plan, first));
        }
        dc__plan_extend(plan, root->value, end);
        tail->coefficients = dc__plan_add_buffer(plan, dc_tail_place(NULL, NULL, channels),
                                                 plan->nodes[first].position, end);
        tail->noted = dc__plan_add_buffer(plan, dc_notes_place(NULL, NULL, &shape, plan->ctx),
                                          root->position, plan->nodes[last].position);
    }
}

void dc__plan_place_tails(struct dc_plan *plan)
{
    for (int t = 0; t < plan->tail_count; t++) {
        struct dc_planned_tail *tail = &plan->tails[t];
        const struct dc_shape shape = dc_shape_with_batch(&plan->graph->nodes[tail->parts[0]].shape,
                                                          plan->max_rows);
        dc_tail_place(&tail->tail, dc__plan_memory(plan, tail->coefficients),
                      shape.dims[shape.rank - 1]);
        dc_notes_place(&tail->notes, dc__plan_memory(plan, tail->noted), &shape, plan->ctx);
        tail->gradient_notes.row_pixels = tail->notes.row_pixels;
    }
}
