// Several teachers as one: their probabilities averaged.
//
// Cross-entropy is linear in its target, so a student that copies the mean of probabilities has the
// mean of the gradients it would have from each teacher. Averaging logits, as some tools do, is
// another function.

#ifndef DC_DISTILL_ENSEMBLE_H
#define DC_DISTILL_ENSEMBLE_H

#include "core/op.h"

// Inputs: logits z_i of up to DC_INPUTS_MAX teachers, [batch, classes]. The output u is such that
//   softmax(u / T) = sum_i w_i softmax(z_i / T),  or with `binary`  sigmoid in place of softmax,
// so that a loss at temperature T reads it like one teacher's logits. No gradient flows, which is
// why a student that teaches another one is read through it too, be it alone.
struct dc_ensemble_attributes {
    float temperature;  // T > 0
    bool binary;
    double weights[8];  // above 0, sum 1
};

extern const struct dc_op dc_op_ensemble;

#endif
