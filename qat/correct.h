// What quantization moved on average, measured on samples and taken back, layer by layer from the
// input on, so that each layer is measured behind the corrected ones.
//
//   dc_correction_create(&c, ctx, graph, params, input, max_rows, kind, error)
//   for (int pass = 0; pass < dc_correction_passes(c); pass++)
//       for all batches: dc_correction_add(c, x, rows, error)
//       dc_correction_end_pass(c, error)
//   dc_correction_free(c)

#ifndef DC_QAT_CORRECT_H
#define DC_QAT_CORRECT_H

#include "core/graph.h"
#include "core/params.h"

enum dc_correction_kind {
    // Empirical bias correction (Nagel et al., arXiv:1906.04721, section 4.2): the bias of each
    // layer, or the beta behind it, takes E[float] - E[quantized] of its output channels.
    DC_CORRECT_BIASES,
    // Re-estimation of batch normalization (Nagel et al., arXiv:2203.11086, section 2.3): running
    // statistics become those of all samples under quantization; variances unbiased.
    DC_CORRECT_STATISTICS
};

struct dc_correction;

// graph: quantized and calibrated; params are changed. All must outlive it; input: the input node.
DC_MUST_USE enum dc_status
dc_correction_create(struct dc_correction **correction, const struct dc_ctx *ctx,
                     const struct dc_graph *graph, struct dc_params *params, int input,
                     int64_t max_rows, enum dc_correction_kind kind, struct dc_error *error);
void dc_correction_free(struct dc_correction *correction);  // NULL is allowed

// Layers that have no parameter to correct are left out; 0: nothing is to be done.
int dc_correction_passes(const struct dc_correction *correction);
DC_MUST_USE enum dc_status dc_correction_add(struct dc_correction *correction, const float *x,
                                             int64_t rows, struct dc_error *error);
DC_MUST_USE enum dc_status dc_correction_end_pass(struct dc_correction *correction,
                                                  struct dc_error *error);

#endif
