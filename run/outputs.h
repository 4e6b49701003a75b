// What the network of a finished stage gives: as floats, and of a stage that quantizes as integers.

#ifndef DC_RUN_OUTPUTS_H
#define DC_RUN_OUTPUTS_H

#include "run/network.h"
#include "run/run.h"

struct dc_comparison;

struct dc_stage_predictors {
    // Of a stage that quantizes: its network before rounding; else empty. `floats` runs it.
    struct dc_stage_network plain;
    struct dc_float_predictor *floats;
    struct dc_integer_predictor *integers;  // NULL where the stage does not quantize
    struct dc_view view;                    // what both read of a sample
    int64_t rows;                           // of a batch
};

// network: the stage's, with its weights; it must outlive the predictors.
DC_MUST_USE enum dc_status dc_stage_predictors_open(struct dc_stage_predictors *predictors,
                                                    struct dc_run *run,
                                                    const struct dc_stage *stage,
                                                    const struct dc_stage_network *network,
                                                    const char *profile, struct dc_error *error);
void dc_stage_predictors_close(struct dc_stage_predictors *predictors);

// `samples` of the numbers below count, spread evenly: data may be sorted by class.
void dc_spread_ids(int64_t *ids, int64_t samples, int64_t count);

// logits: [samples, classes], of these ids. A stop ends it.
DC_MUST_USE enum dc_status dc_stage_logits(float *logits, const struct dc_stage_predictors *from,
                                           bool integers, const struct dc_source *source,
                                           const int64_t *ids, int64_t samples,
                                           struct dc_error *error);

// Both networks layer by layer (qat/compare.h) over up to 128 samples of the source's first
// `count`. *samples: how many it were. *comparison is the caller's; the predictors must outlive it.
DC_MUST_USE enum dc_status dc_stage_compare(struct dc_comparison **comparison, int64_t *samples,
                                            const struct dc_run *run,
                                            const struct dc_stage_predictors *predictors,
                                            const struct dc_source *source, int64_t count,
                                            struct dc_error *error);

#endif
