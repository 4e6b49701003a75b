// Owns the mean of several teachers' probabilities. Everything is in double, from log-sum-exp, so
// that logits of any finite size are fine.

#include "distill/ensemble.h"

#include "core/math.h"
#include "core/ops/ops.h"
#include "train/row_loss.h"

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    char a[DC_SHAPE_TEXT], b[DC_SHAPE_TEXT];
    for (int i = 1; i < node->input_count; i++)
        if (!dc_shape_equal(&in[0], &in[i]))
            return dc_fail(error, DC_ERR_CONFIG, "teachers of one student give %s and %s",
                           dc_shape_text(a, &in[0]), dc_shape_text(b, &in[i]));
    if (in[0].rank != 2)
        return dc_fail(error, DC_ERR_CONFIG, "logits are [batch, classes], not %s",
                       dc_shape_text(a, &in[0]));
    *out = in[0];
    return DC_OK;
}

// log(exp(a) + exp(b)); a may be minus infinity.
static double log_add(double a, double b)
{
    const double high = a > b ? a : b, low = a > b ? b : a;
    return high + dc_ln(1.0 + dc_exp(low - high));
}

// log sigmoid(x)
static double log_sigmoid(double x)
{
    return x < 0.0 ? x - dc_ln(1.0 + dc_exp(x)) : -dc_ln(1.0 + dc_exp(-x));
}

static void forward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const struct dc_ensemble_attributes *a = call->node->attributes;
    const int64_t classes = call->in[0].shape.dims[1];
    const int count = call->node->input_count;
    const double t = (double)a->temperature;
    for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
        float *out = dc_f32(&call->out) + r * classes;
        double sums[8] = {0};
        for (int i = 0; i < count && !a->binary; i++)
            sums[i] = dc_log_sum_exp(NULL, dc_f32(&call->in[i]) + r * classes, t, classes);
        for (int64_t c = 0; c < classes; c++) {
            double yes = -1e300, no = -1e300;
            for (int i = 0; i < count; i++) {
                const double z = (double)dc_f32(&call->in[i])[r * classes + c] / t;
                const double weight = dc_ln(a->weights[i]);
                yes = log_add(yes, weight + (a->binary ? log_sigmoid(z) : z - sums[i]));
                if (a->binary)
                    no = log_add(no, weight + log_sigmoid(-z));
            }
            out[c] = (float)(t * (a->binary ? yes - no : yes));
        }
    }
}

static void backward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    (void)call;
    (void)rows;
}

const struct dc_op dc_op_ensemble = DC_ROW_OP(
    "ensemble", 2, 8, .flags = DC_OP_NO_GRADIENT,
    .attribute_bytes = sizeof(struct dc_ensemble_attributes), .infer = infer);
