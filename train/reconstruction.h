// How well a network gives back its own input, and whether that tells normal samples from others.
//
// Of every sample the mean squared error over its values, of outputs against normalized inputs:
//   e_b = 1/values sum_v (output_v - input_v)^2
// A sample of a class that was not trained on should have the larger one. How often it has is the
// area under the receiver operating characteristic (Hanley and McNeil, Radiology 143, 1982):
//   AUC = (pairs of an anomalous sample with a lower normal one + half of the equal pairs) / pairs

#ifndef DC_TRAIN_RECONSTRUCTION_H
#define DC_TRAIN_RECONSTRUCTION_H

#include <stdbool.h>

#include "core/arena.h"

struct dc_reconstruction {
    const bool *normal;  // [classes]: what is not anomalous; NULL: nobody says, there is no AUC
    int64_t samples, capacity;
    double *errors;   // [capacity]
    bool *anomalous;  // [capacity]
    // by dc_reconstruction_finish; NaN where there is no such sample
    double normal_error, anomalous_error;  // means
    double auc;
};

DC_MUST_USE enum dc_status dc_reconstruction_create(struct dc_reconstruction **reconstruction,
                                                    const bool *normal, int64_t capacity,
                                                    struct dc_arena *arena, struct dc_error *error);
// outputs, inputs: [rows, values]; labels [rows] may be NULL without `normal`. *sum: of the rows'
// errors. An error that is not finite is DC_ERR_NUMERIC and names the sample.
DC_MUST_USE enum dc_status dc_reconstruction_add(struct dc_reconstruction *reconstruction,
                                                 double *sum, const float *outputs,
                                                 const float *inputs, const int32_t *labels,
                                                 int64_t rows, int64_t values,
                                                 struct dc_error *error);
DC_MUST_USE enum dc_status dc_reconstruction_finish(struct dc_reconstruction *reconstruction,
                                                    struct dc_error *error);

// Exact: pairs are counted in integers. NaN where one of the two kinds is missing. count below
// 2^31; values are finite.
DC_MUST_USE enum dc_status dc_auc(double *auc, const double *values, const bool *positive,
                                  int64_t count, struct dc_error *error);

#endif
