// Owns cross-entropy, squared error and binary cross-entropy: one function of one row each.

#include "train/losses.h"

#include "core/math.h"
#include "train/row_loss.h"

static double cross_entropy_row(const struct dc_loss_row *row)
{
    const struct dc_cross_entropy_attributes *a = row->attributes;
    const float *z = row->in[0], *target = row->in[1];
    double p[DC_CLASSES_MAX];
    const double log_sum = dc_log_sum_exp(p, z, 1.0, row->values);
    const double keep = 1.0 - (double)a->label_smoothing;
    const double spread = (double)a->label_smoothing / (double)row->values;
    double loss = 0.0, mass = 0.0;
    for (int64_t c = 0; c < row->values; c++) {
        const double w = a->class_weights ? (double)a->class_weights[c] : 1.0;
        const double t = w * (keep * (double)target[c] + spread);
        loss += t * (log_sum - (double)z[c]);
        mass += t;
    }
    for (int64_t c = 0; c < row->values; c++) {
        const double w = a->class_weights ? (double)a->class_weights[c] : 1.0;
        const double t = w * (keep * (double)target[c] + spread);
        row->gradient[c] = (float)(mass * p[c] - t);
    }
    return loss;
}

static double squared_error_row(const struct dc_loss_row *row)
{
    double sum = 0.0;
    for (int64_t v = 0; v < row->values; v++) {
        const double d = (double)row->in[0][v] - (double)row->in[1][v];
        sum += d * d;
        row->gradient[v] = (float)(2.0 * d / (double)row->values);
    }
    return sum / (double)row->values;
}

// log(1 + exp(z)) - t z, without overflow.
static double binary_cross_entropy_row(const struct dc_loss_row *row)
{
    const struct dc_binary_cross_entropy_attributes *a = row->attributes;
    double sum = 0.0;
    for (int64_t v = 0; v < row->values; v++) {
        const double z = (double)row->in[0][v], y = (double)row->in[1][v];
        const double t = a->temperature > 0.0f ? dc_sigmoid(y / (double)a->temperature) : y;
        const double size = z < 0.0 ? -z : z, above = z < 0.0 ? 0.0 : z;
        sum += above - t * z + dc_ln(1.0 + dc_exp(-size)) + 0.0 * y;  // y must be finite
        row->gradient[v] = (float)((dc_sigmoid(z) - t) / (double)row->values);
    }
    return sum / (double)row->values;
}

DC_ROW_LOSS_FORWARD(cross_entropy, cross_entropy_row)
DC_LOSS_OP(cross_entropy, 2, sizeof(struct dc_cross_entropy_attributes), dc_row_loss_infer,
           dc_row_loss_memory, NULL);
DC_ROW_LOSS_FORWARD(mean_squared_error, squared_error_row)
DC_LOSS_OP(mean_squared_error, 2, 0, dc_value_loss_infer, dc_row_loss_memory, NULL);
DC_ROW_LOSS_FORWARD(binary_cross_entropy, binary_cross_entropy_row)
DC_LOSS_OP(binary_cross_entropy, 2, sizeof(struct dc_binary_cross_entropy_attributes),
           dc_row_loss_infer, dc_row_loss_memory, NULL);
