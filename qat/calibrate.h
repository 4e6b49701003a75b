// Post-training calibration: ranges without training.
//
// A calibration runs a quantized graph in inference mode over its samples: quantizers pass values
// through, observers look, batch normalization uses its running statistics, dropout is off. It
// goes over the samples `passes` times: once for least and greatest values and moving averages,
// and where an observer keeps a histogram (observe.h), once more to fill it. Weights with a kept or
// learned scale get it at the end, and activations with a trained one. Then lower (lower.h) or
// evaluate with an ordinary step.
//
//   dc_calibration_create(&c, ctx, graph, params, input, max_rows, error)
//   for (int pass = 0; pass < dc_calibration_passes(c); pass++)
//       for all batches: dc_calibration_add(c, x, rows, error)
//       dc_calibration_end_pass(c, error)
//   dc_calibration_free(c)

#ifndef DC_QAT_CALIBRATE_H
#define DC_QAT_CALIBRATE_H

#include "core/graph.h"
#include "core/params.h"

struct dc_calibration;

// Forgets all ranges. ctx, graph and params must outlive the calibration; input: the input node.
DC_MUST_USE enum dc_status dc_calibration_create(struct dc_calibration **calibration,
                                                 const struct dc_ctx *ctx,
                                                 const struct dc_graph *graph,
                                                 struct dc_params *params, int input,
                                                 int64_t max_rows, struct dc_error *error);
void dc_calibration_free(struct dc_calibration *calibration);  // NULL is allowed

int dc_calibration_passes(const struct dc_calibration *calibration);
// x: [rows, input values], rows <= max_rows.
DC_MUST_USE enum dc_status dc_calibration_add(struct dc_calibration *calibration, const float *x,
                                              int64_t rows, struct dc_error *error);
// The last one fixes ranges and scales, and checks that all are there.
DC_MUST_USE enum dc_status dc_calibration_end_pass(struct dc_calibration *calibration,
                                                   struct dc_error *error);

// The step that calibrates, for one's own plan of the graph.
struct dc_step dc_calibration_step(void);

// Forget all ranges and kept scales.
void dc_observers_reset(struct dc_params *params);
// Every range is [-1, 1], and scales follow: a network that was never fed, to be lowered for its
// shapes.
DC_MUST_USE enum dc_status dc_observers_assume(const struct dc_graph *graph,
                                               struct dc_params *params, struct dc_error *error);

// Every quantizer of the graph has a finite range, else DC_ERR_NUMERIC naming it.
DC_MUST_USE enum dc_status dc_observers_check(const struct dc_graph *graph,
                                              const struct dc_params *params,
                                              struct dc_error *error);

// Kept and learned scales of all weights, from the weights as they are, and trained steps of
// activations from their ranges. DC_ERR_NUMERIC names a layer whose weights are not finite.
DC_MUST_USE enum dc_status dc_calibrate_scales(const struct dc_graph *graph,
                                               struct dc_params *params, struct dc_error *error);

#endif
