// Owns Hinton's loss. Logits of any finite size are fine: all logarithms come from log-sum-exp.

#include "distill/kd_loss.h"

#include "train/row_loss.h"

static double kd_row(float *gradient, const float *student, const float *teacher, int64_t classes,
                     const void *attributes)
{
    const struct dc_kd_attributes *a = attributes;
    const double t = (double)a->temperature;
    double p_student[DC_CLASSES_MAX], p_teacher[DC_CLASSES_MAX];
    const double log_student = dc_log_sum_exp(p_student, student, t, classes);
    const double log_teacher = dc_log_sum_exp(p_teacher, teacher, t, classes);
    double divergence = 0.0;
    for (int64_t c = 0; c < classes; c++) {
        const double log_ratio = ((double)teacher[c] / t - log_teacher) -
                                 ((double)student[c] / t - log_student);
        divergence += p_teacher[c] * log_ratio;
        gradient[c] = (float)(t * (p_student[c] - p_teacher[c]));
    }
    return t * t * divergence;
}

static enum dc_status kd_forward(const struct dc_op_call *call, struct dc_error *error)
{
    return dc_row_loss_forward(call, kd_row, error);
}

const struct dc_op dc_op_kd = {
    .name = "kd",
    .inputs_min = 2,
    .inputs_max = 2,
    .flags = DC_OP_LOSS,
    .attribute_bytes = sizeof(struct dc_kd_attributes),
    .infer = dc_row_loss_infer,
    .memory = dc_row_loss_memory,
    .forward = kd_forward,
    .backward = dc_row_loss_backward,
};
