// How well a network gives numbers (regression), or tells which of several things a sample shows.
//
// Of values, over the samples, for each output and as a mean over outputs:
//   MAE = mean |y - t|,   RMSE = sqrt(mean (y - t)^2),
//   R2 = 1 - sum (y - t)^2 / sum (t - mean t)^2 (1 where targets do not
//   differ and are met, else 0)
// Of tags (outputs are logits z, said where z > 0):
//   F1 = 2 hits / (said + there), of all tags counted together; 1 where nothing is there or said
//   AP = mean over the samples that have the tag of the share of such samples among those whose
//        output is at least theirs; mAP: its mean over the tags that some sample has

#ifndef DC_TRAIN_TARGET_SCORES_H
#define DC_TRAIN_TARGET_SCORES_H

#include "core/arena.h"
#include "core/source.h"

struct dc_target_scores {
    enum dc_label_kind kind;
    int outputs;
    int64_t samples, capacity;
    float *said, *is;  // [capacity, outputs]
    // by dc_target_scores_finish
    double absolute_error, root_squared_error, r2;  // of values: means over the outputs
    double f1, average_precision;                   // of tags
    double *each;  // [outputs]: MAE, or AP (NaN: no sample has the tag)
};

DC_MUST_USE enum dc_status dc_target_scores_create(struct dc_target_scores **scores,
                                                   enum dc_label_kind kind, int outputs,
                                                   int64_t capacity, struct dc_arena *arena,
                                                   struct dc_error *error);
// outputs, targets: [rows, outputs]. *loss: the sum over rows of the mean squared error, or of the
// binary cross-entropy. A value that is not finite is DC_ERR_NUMERIC and names the sample.
DC_MUST_USE enum dc_status dc_target_scores_add(struct dc_target_scores *scores, double *loss,
                                                const float *outputs, const float *targets,
                                                int64_t rows, struct dc_error *error);
DC_MUST_USE enum dc_status dc_target_scores_finish(struct dc_target_scores *scores,
                                                   struct dc_error *error);

#endif
