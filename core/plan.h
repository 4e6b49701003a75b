// Plans: where every value of a graph lives, and the run through it.
//
// A plan is made once for a graph, a largest batch and a mode. It gives every value, gradient,
// statistic and scratch a lifetime and an offset in one block of memory; after that, a step
// allocates nothing. Any batch of up to max_rows rows runs in it; chunk boundaries follow the rows
// given.
//
// Call order of a training step:
//   dc_plan_bind(plan, image, batch->inputs); dc_plan_bind(plan, target, batch->targets);
//   dc_plan_set_loss_weight(plan, loss, 0.9);
//   dc_plan_forward(plan, params, rows, &step, error);
//   dc_plan_backward(plan, params, rows, &step, error);     // gradients are added to
//   params->gradient dc_optimizer_step(...)

#ifndef DC_CORE_PLAN_H
#define DC_CORE_PLAN_H

#include "core/graph.h"
#include "core/params.h"

struct dc_plan;

struct dc_plan_config {
    enum dc_mode mode;
    int64_t max_rows;
    const int *outputs;  // nodes whose values must survive the run; nodes not needed are left out
    int output_count;
    const struct dc_params *params;  // training: frozen slices get no gradient
    // Inference: parameters keep the values of the first run, so that weights are packed only once,
    // for as many bytes more as they have, and a few rows can run at a time, while what lies
    // between inputs and outputs stays in the caches.
    bool constant_params;
};

// graph and ctx must outlive the plan.
DC_MUST_USE enum dc_status dc_plan_create(struct dc_plan **plan, const struct dc_ctx *ctx,
                                          const struct dc_graph *graph,
                                          const struct dc_plan_config *config,
                                          struct dc_error *error);
void dc_plan_free(struct dc_plan *plan);  // NULL is allowed

// Memory the plan holds, and the largest sum of what is alive at one moment (the lower bound).
size_t dc_plan_bytes(const struct dc_plan *plan);
size_t dc_plan_bytes_lower_bound(const struct dc_plan *plan);

// The caller's memory for an input node: [rows, ...]; stays the caller's, is never written.
void dc_plan_bind(struct dc_plan *plan, int input_node, const void *values);
void dc_plan_set_loss_weight(struct dc_plan *plan, int loss_node, double weight);

DC_MUST_USE enum dc_status dc_plan_forward(struct dc_plan *plan, struct dc_params *params,
                                           int64_t rows, const struct dc_step *step,
                                           struct dc_error *error);
DC_MUST_USE enum dc_status dc_plan_backward(struct dc_plan *plan, struct dc_params *params,
                                            int64_t rows, const struct dc_step *step,
                                            struct dc_error *error);

// From now on adds the wall time of every node's forward and backward to seconds[node]
// ([graph->count], the caller's); NULL stops it. For profiles.
struct dc_node_seconds {
    double forward, backward;
};
void dc_plan_time_nodes(struct dc_plan *plan, struct dc_node_seconds *seconds);

// Runs forward once more and looks at each value as it is made: the first node whose value is not
// finite, or -1. For the message when a run stops on NaN; statistics are updated along the way.
int dc_plan_first_not_finite(struct dc_plan *plan, struct dc_params *params, int64_t rows,
                             const struct dc_step *step);

// Whether a node's value is in memory, and not left to its readers (core/epilogue.h). Outputs are.
bool dc_plan_stores(const struct dc_plan *plan, int node);

// The value of a node after forward, NULL where it is not stored. Only those of outputs live on
// until the run is over.
const void *dc_plan_value(const struct dc_plan *plan, int node);
// The gradient of a node after backward, or NULL: only for nodes listed as outputs.
const float *dc_plan_gradient(const struct dc_plan *plan, int node);
double dc_plan_loss(const struct dc_plan *plan, int loss_node);
// The L2 norm of that value's gradient by the tensors the node reads, before the weight.
double dc_plan_loss_gradient_norm(const struct dc_plan *plan, int loss_node);

#endif
