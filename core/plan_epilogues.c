// Owns which element-wise nodes of a plan form epilogues, and their memory.
//
// A part is appended to the epilogue of the node it reads where nothing else reads that node; else
// it begins an epilogue of its own. An epilogue's result is left to its readers if all of them can
// apply it, and its gradient is left to the root if the root can and nothing else reads the root.

#include "core/plan_internal.h"

int dc__epilogue_last(const struct dc_planned_epilogue *epilogue)
{
    return epilogue->parts[epilogue->count - 1];
}

bool dc__plan_is_deferred(const struct dc_plan *plan, int node)
{
    const int t = plan->nodes[node].epilogue;
    return t != DC_NONE &&
           !(plan->epilogues[t].materialized && dc__epilogue_last(&plan->epilogues[t]) == node);
}

int dc__plan_stored(const struct dc_plan *plan, int node)
{
    return dc__plan_is_deferred(plan, node) ? plan->epilogues[plan->nodes[node].epilogue].root
                                            : node;
}

static bool can_apply(const struct dc_plan *plan, int node)
{
    return plan->graph->nodes[node].op->flags & DC_OP_EPILOGUES;
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
    const int input = n->inputs[0], before = plan->nodes[input].epilogue;
    if (before != DC_NONE && !plan->nodes[input].is_output &&
        plan->graph->nodes[input].op->epilogue->rank < n->op->epilogue->rank &&
        readers_of(plan, input).count == 1) {
        struct dc_planned_epilogue *epilogue = &plan->epilogues[before];
        epilogue->parts[epilogue->count++] = node;
        plan->nodes[node].epilogue = before;
        return;
    }
    plan->nodes[node].epilogue = plan->epilogue_count;
    plan->epilogues[plan->epilogue_count++] = (struct dc_planned_epilogue){
        .root = input, .parts = {node}, .count = 1, .last_writer = DC_NONE};
}

static void settle(struct dc_plan *plan, int t)
{
    struct dc_planned_epilogue *epilogue = &plan->epilogues[t];
    const int last = dc__epilogue_last(epilogue);
    const struct readers readers = readers_of(plan, last);
    epilogue->materialized = plan->nodes[last].is_output || !readers.all_apply;
    const struct dc_planned_node *root = &plan->nodes[epilogue->root];
    epilogue->gradient_through = root->has_gradient && !root->is_output &&
                                 can_apply(plan, epilogue->root) &&
                                 readers_of(plan, epilogue->root).count == 1;
    const int writer = readers.first_with_gradient;  // in backward the last
    if (writer != DC_NONE && can_apply(plan, writer))
        epilogue->last_writer = writer;
    if (can_apply(plan, epilogue->root) && root->statistics_for == DC_NONE)
        plan->nodes[epilogue->root].statistics_for = t;
}

void dc__plan_find_epilogues(struct dc_plan *plan)
{
    for (int p = 0; p < plan->schedule_count; p++)
        if (plan->graph->nodes[plan->schedule[p]].op->epilogue)
            add_part(plan, plan->schedule[p]);
    for (int t = 0; t < plan->epilogue_count; t++)
        settle(plan, t);
}

// When the epilogue's result is last read: by readers that apply the epilogue, forward and in
// backward.
static int last_read(const struct dc_plan *plan, const struct dc_planned_epilogue *epilogue)
{
    const int last = dc__epilogue_last(epilogue);
    int time = plan->nodes[last].position;
    for (int i = last + 1; i < plan->graph->count && !epilogue->materialized; i++) {
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
void dc__plan_add_epilogue_buffers(struct dc_plan *plan)
{
    for (int t = 0; t < plan->epilogue_count; t++) {
        struct dc_planned_epilogue *epilogue = &plan->epilogues[t];
        const int first = epilogue->parts[0], last = dc__epilogue_last(epilogue);
        const struct dc_planned_node *root = &plan->nodes[epilogue->root];
        const struct dc_shape shape = dc_shape_with_batch(&plan->graph->nodes[first].shape,
                                                          plan->max_rows);
        const int64_t channels = shape.dims[shape.rank - 1];
        int end = last_read(plan, epilogue);
        epilogue->sums = DC_NONE;
        if (plan->nodes[last].has_gradient) {
            const int through = dc__plan_backward_time(
                plan, epilogue->gradient_through ? epilogue->root : first);
            end = end > through ? end : through;
            dc__plan_extend(plan, plan->nodes[last].gradient, through);
            epilogue->sums = dc__plan_add_buffer(
                plan, dc_gradient_sums_bytes(channels, plan->ctx),
                dc__plan_backward_time(
                    plan, epilogue->last_writer != DC_NONE ? epilogue->last_writer : last),
                dc__plan_backward_time(plan, first));
        }
        dc__plan_extend(plan, root->value, end);
        epilogue->coefficients = dc__plan_add_buffer(plan, dc_epilogue_place(NULL, NULL, channels),
                                                     plan->nodes[first].position, end);
        epilogue->statistics_buffer = dc__plan_add_buffer(
            plan, dc_statistics_place(NULL, NULL, &shape, plan->ctx), root->position,
            plan->nodes[last].position);
    }
}

void dc__plan_place_epilogues(struct dc_plan *plan)
{
    for (int t = 0; t < plan->epilogue_count; t++) {
        struct dc_planned_epilogue *epilogue = &plan->epilogues[t];
        const struct dc_shape shape = dc_shape_with_batch(
            &plan->graph->nodes[epilogue->parts[0]].shape, plan->max_rows);
        dc_epilogue_place(&epilogue->epilogue, dc__plan_memory(plan, epilogue->coefficients),
                          shape.dims[shape.rank - 1]);
        dc_statistics_place(&epilogue->statistics,
                            dc__plan_memory(plan, epilogue->statistics_buffer), &shape, plan->ctx);
        epilogue->gradient_statistics.row_pixels = epilogue->statistics.row_pixels;
    }
}
