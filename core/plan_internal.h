// What the files of a plan share: plan.c lays it out, plan_epilogues.c finds the epilogues,
// plan_run.c runs.

#ifndef DC_CORE_PLAN_INTERNAL_H
#define DC_CORE_PLAN_INTERNAL_H

#include "core/plan.h"

enum { DC_NONE = -1, DC_EPILOGUE_PARTS = 3 };

struct dc_buffer {
    size_t bytes, offset;
    int born, dies;
};

// One epilogue (core/epilogue.h): up to three nodes that read the stored value of `root` one after
// the other. Their values are not stored; that of the last is, where a reader cannot apply an
// epilogue.
struct dc_planned_epilogue {
    int root, parts[DC_EPILOGUE_PARTS], count;
    bool materialized;      // the last part's value is stored
    bool gradient_through;  // root's backward takes the gradient through the epilogue itself
    int last_writer;        // the node that finishes the gradient of the last part and can take its
                            // statistics
    int coefficients, statistics_buffer, sums;  // buffers
    struct dc_epilogue epilogue;
    struct dc_statistics statistics;
    struct dc_gradient_statistics gradient_statistics;
    bool gradient_statistics_taken;  // in this step
};

struct dc_planned_node {
    bool needed;        // runs in this plan
    bool has_gradient;  // takes part in backward
    bool is_output;
    int position;        // in the schedule
    int epilogue;        // the epilogue that this node is a part of, or DC_NONE
    int statistics_for;  // the epilogue whose statistics this node takes of its value, or DC_NONE
    int value, gradient, saved, kept, forward_scratch, backward_scratch;  // buffers, or DC_NONE
    bool kept_filled;
    const void *bound;  // of an input node: the caller's memory
    double loss_weight;
    bool gradient_written;  // during backward: the next contribution is added

    // The arrays of its calls (struct dc_op_call), [input_count].
    struct dc_tensor *in, *d_in;
    bool *add_gradient;
    const struct dc_epilogue **in_epilogue;
    const struct dc_gradient_statistics **d_in_statistics;
};

struct dc_plan {
    const struct dc_ctx *ctx;
    const struct dc_graph *graph;
    enum dc_mode mode;
    int64_t max_rows;
    int64_t slice_rows;  // that run at a time: inputs and outputs have all rows, other values these
    int64_t first;       // row of the slice that runs
    bool keeps;          // what ops make of parameters
    struct dc_arena *arena;
    struct dc_planned_node *nodes;
    int *schedule;
    int schedule_count;
    struct dc_planned_epilogue *epilogues;
    int epilogue_count;
    struct dc_buffer *buffers;
    int buffer_count;
    size_t bytes, lower_bound;
    char *memory;
    struct dc_node_seconds *seconds;  // the caller's, or NULL
};

int dc__plan_backward_time(const struct dc_plan *plan, int node);
int dc__plan_add_buffer(struct dc_plan *plan, size_t bytes, int born, int dies);
void dc__plan_extend(struct dc_plan *plan, int buffer, int time);
void *dc__plan_memory(const struct dc_plan *plan, int buffer);  // NULL for DC_NONE

// plan_epilogues.c. A part's last node and whether node's own value is left to its readers.
int dc__epilogue_last(const struct dc_planned_epilogue *epilogue);
bool dc__plan_is_deferred(const struct dc_plan *plan, int node);
// The node that stores what readers of `node` read.
int dc__plan_stored(const struct dc_plan *plan, int node);
void dc__plan_find_epilogues(struct dc_plan *plan);
void dc__plan_add_epilogue_buffers(struct dc_plan *plan);
void dc__plan_place_epilogues(struct dc_plan *plan);

#endif
