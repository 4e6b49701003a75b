// Owns softmax over the last axis, in double from Decant's own exponential (core/math.h), so that
// its bits do not depend on the machine. Losses have their own, from logits: this one is for graphs
// that end in probabilities.

#include "core/math.h"
#include "core/ops/ops.h"

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    (void)node;
    char text[DC_SHAPE_TEXT];
    if (in[0].rank < 2)
        return dc_fail(error, DC_ERR_CONFIG, "softmax needs an axis behind the batch, not %s",
                       dc_shape_text(text, &in[0]));
    *out = in[0];
    return DC_OK;
}

// y_i = exp(x_i - max x) / sum. A NaN anywhere makes the whole line NaN.
static void softmax_line(float *y, const float *x, int64_t classes)
{
    double top = (double)x[0], sum = 0.0;
    for (int64_t c = 1; c < classes; c++)
        top = (double)x[c] > top ? (double)x[c] : top;
    for (int64_t c = 0; c < classes; c++) {
        const double e = dc_exp((double)x[c] - top);
        y[c] = (float)e;
        sum += e;
    }
    for (int64_t c = 0; c < classes; c++)
        y[c] = (float)((double)y[c] / sum);
}

// dx_j = y_j (g_j - sum_i g_i y_i)
static void softmax_line_backward(float *dx, const float *g, const float *y, int64_t classes,
                                  bool add)
{
    double mean = 0.0;
    for (int64_t c = 0; c < classes; c++)
        mean += (double)g[c] * (double)y[c];
    for (int64_t c = 0; c < classes; c++) {
        const float d = (float)((double)y[c] * ((double)g[c] - mean));
        dx[c] = add ? dx[c] + d : d;
    }
}

static void run_rows(const struct dc_op_call *call, struct dc_rows rows, bool backward)
{
    const struct dc_shape *shape = &call->out.shape;
    const int64_t row = dc_shape_row(shape), classes = shape->dims[shape->rank - 1];
    const int64_t end = (rows.first + rows.count) * row;
    float *y = dc_f32(&call->out);
    for (int64_t i = rows.first * row; i < end; i += classes) {
        if (backward)
            softmax_line_backward(dc_f32(&call->d_in[0]) + i, dc_f32(&call->d_out) + i, y + i,
                                  classes, call->add_gradient[0]);
        else
            softmax_line(y + i, dc_f32(&call->in[0]) + i, classes);
    }
}

static void forward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    run_rows(call, rows, false);
}

static void backward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    run_rows(call, rows, true);
}

const struct dc_op dc_op_softmax = DC_ROW_OP("softmax", 1, 1, .flags = DC_OP_READS_OUTPUT,
                                             .infer = infer);
