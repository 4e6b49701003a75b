// Weights that oscillate between two codes in quantization-aware training: Nagel et al.,
// arXiv:2203.11086.
//
// Straight-through gradients push a weight that should lie between two codes across their border
// and back for ever. Per weight this keeps how often that happens, dampens it by a term of the
// loss, and freezes a weight that does it too often. State is a parameter "oscillation" of the
// quantized layers that track (struct dc_weight_quantizer); it changes nothing by itself.

#ifndef DC_QAT_OSCILLATION_H
#define DC_QAT_OSCILLATION_H

#include "core/context.h"
#include "core/graph.h"
#include "core/params.h"

// Rows of the parameter [DC_OSCILLATION_ROWS, weights].
enum dc_oscillation_row {
    DC_OSCILLATION_CODE,       // of the last step
    DC_OSCILLATION_DIRECTION,  // of its last change: -1, 1; 0: none yet
    DC_OSCILLATION_FREQUENCY,  // moving average of: the code changed against the last change
    DC_OSCILLATION_AVERAGE,    // moving average of codes; of a frozen weight its code
    DC_OSCILLATION_STATE,      // enum dc_oscillation_state
    DC_OSCILLATION_ROWS
};
enum dc_oscillation_state { DC_OSCILLATION_UNSEEN, DC_OSCILLATION_FREE, DC_OSCILLATION_FROZEN };

struct dc_oscillation_config {
    double momentum;            // share of the newest step in both averages, in (0, 1]
    double dampening;           // weight of sum (round(w) - clip(w))^2 in the end, from 0 at first
    double threshold;           // a weight freezes where its frequency is above; 0: none does
    double threshold_start;     // the threshold at freeze_start
    double freeze_start;        // share of the training before which none freezes
    double reported_frequency;  // above which a weight counts as oscillating
};

struct dc_oscillation;
// graph, params, ctx and config must outlive it; nothing is allocated later.
DC_MUST_USE enum dc_status
dc_oscillation_create(struct dc_oscillation **oscillation, const struct dc_ctx *ctx,
                      const struct dc_graph *graph, struct dc_params *params,
                      const struct dc_oscillation_config *config, struct dc_error *error);
void dc_oscillation_free(struct dc_oscillation *oscillation);  // NULL is allowed

// progress: share of the training that is done, in [0, 1]. Schedules are halves of a cosine.
// Before an optimizer step: the gradient of the dampening term, 2 weight (clip(w) - round(w)) where
// w lies inside its grid, is added to params->gradient.
void dc_oscillation_dampen(const struct dc_oscillation *oscillation, double progress);
// After it: codes are compared, weights frozen. A frozen weight is set to the code nearest to its
// average, times its scale, here and in params->average.
void dc_oscillation_track(const struct dc_oscillation *oscillation, double progress);

// Shares of a layer's weights; those that are frozen count as oscillating no more. false: the node
// does not track.
struct dc_oscillation_share {
    double oscillating, frozen;
};
bool dc_oscillation_of(struct dc_oscillation_share *share, const struct dc_node *node,
                       const struct dc_params *params, double reported_frequency);

#endif
