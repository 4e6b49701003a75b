// Owns cross-entropy and mean squared error: one function of one row each.

#include "train/losses.h"

#include "train/row_loss.h"

static double cross_entropy_row(float *gradient, const float *z, const float *target,
                                int64_t classes, const void *attributes)
{
    const struct dc_cross_entropy_attributes *a = attributes;
    double p[DC_CLASSES_MAX];
    const double log_sum = dc_log_sum_exp(p, z, 1.0, classes);
    const double keep = 1.0 - (double)a->label_smoothing;
    const double spread = (double)a->label_smoothing / (double)classes;
    double loss = 0.0, mass = 0.0;
    for (int64_t c = 0; c < classes; c++) {
        const double w = a->class_weights ? (double)a->class_weights[c] : 1.0;
        const double t = w * (keep * (double)target[c] + spread);
        loss += t * (log_sum - (double)z[c]);
        mass += t;
    }
    for (int64_t c = 0; c < classes; c++) {
        const double w = a->class_weights ? (double)a->class_weights[c] : 1.0;
        const double t = w * (keep * (double)target[c] + spread);
        gradient[c] = (float)(mass * p[c] - t);
    }
    return loss;
}

static double squared_error_row(float *gradient, const float *x, const float *y, int64_t values,
                                const void *attributes)
{
    (void)attributes;
    double sum = 0.0;
    for (int64_t v = 0; v < values; v++) {
        const double d = (double)x[v] - (double)y[v];
        sum += d * d;
        gradient[v] = (float)(2.0 * d / (double)values);
    }
    return sum / (double)values;
}

static enum dc_status cross_entropy_forward(const struct dc_op_call *call, struct dc_error *error)
{
    return dc_row_loss_forward(call, cross_entropy_row, error);
}

static enum dc_status squared_error_forward(const struct dc_op_call *call, struct dc_error *error)
{
    return dc_row_loss_forward(call, squared_error_row, error);
}

const struct dc_op dc_op_cross_entropy = {
    .name = "cross_entropy",
    .inputs_min = 2,
    .inputs_max = 2,
    .flags = DC_OP_LOSS,
    .attribute_bytes = sizeof(struct dc_cross_entropy_attributes),
    .infer = dc_row_loss_infer,
    .memory = dc_row_loss_memory,
    .forward = cross_entropy_forward,
    .backward = dc_row_loss_backward,
};

const struct dc_op dc_op_mean_squared_error = {
    .name = "mean_squared_error",
    .inputs_min = 2,
    .inputs_max = 2,
    .flags = DC_OP_LOSS,
    .infer = dc_row_loss_infer,
    .memory = dc_row_loss_memory,
    .forward = squared_error_forward,
    .backward = dc_row_loss_backward,
};
