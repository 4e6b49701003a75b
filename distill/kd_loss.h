// Distillation from soft targets.
//
// Owns the logit losses: what the student should copy from the teacher's class scores. Inputs are
// (student logits, teacher logits), both [batch, classes]; no gradient flows to the teacher.

#ifndef DC_DISTILL_KD_LOSS_H
#define DC_DISTILL_KD_LOSS_H

#include "core/op.h"

// Hinton et al., arXiv:1503.02531, with p = softmax(z / T):
//   L = T^2 / batch * sum_b sum_c p_t (log p_t - log p_s)
// Summed over classes, so that the weight means the same for 10 and for 1,000 classes.
struct dc_kd_attributes {
    float temperature;  // T > 0
};

extern const struct dc_op dc_op_kd;  // struct dc_kd_attributes

#endif
