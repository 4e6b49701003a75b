// Owns softmax over one axis, in double from Decant's own exponential (core/math_inline.h), so that
// its bits do not depend on the machine. Losses have their own, from logits: this one is for
// attention, and for graphs that end in probabilities.

#include "core/kernels/kernels.h"
#include "core/math.h"
#include "core/ops/ops.h"

static int softmax_axis(const struct dc_node *node, int rank)
{
    const struct dc_softmax_attributes *a = node->attributes;
    return dc_axis_of(a && a->axis ? a->axis : -1, rank);
}

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    char text[DC_SHAPE_TEXT];
    if (softmax_axis(node, in[0].rank) == 0)
        return dc_fail(error, DC_ERR_CONFIG, "softmax needs an axis behind the batch, not %s",
                       dc_shape_text(text, &in[0]));
    *out = in[0];
    return DC_OK;
}

// y_i = exp(x_i - max x) / sum over values `stride` apart. A NaN anywhere makes the line NaN.
static void strided_line(float *y, const float *x, int64_t classes, int64_t stride)
{
    double top = (double)x[0], sum = 0.0;
    for (int64_t c = 1; c < classes; c++)
        top = (double)x[c * stride] > top ? (double)x[c * stride] : top;
    for (int64_t c = 0; c < classes; c++) {
        const double e = dc_exp((double)x[c * stride] - top);
        y[c * stride] = (float)e;
        sum += e;
    }
    for (int64_t c = 0; c < classes; c++)
        y[c * stride] = (float)((double)y[c * stride] / sum);
}

// dx_j = y_j (g_j - sum_i g_i y_i)
static void line_backward(float *dx, const float *g, const float *y, int64_t classes,
                          int64_t stride, bool add)
{
    double mean = 0.0;
    for (int64_t c = 0; c < classes; c++)
        mean += (double)g[c * stride] * (double)y[c * stride];
    for (int64_t c = 0; c < classes; c++) {
        const int64_t i = c * stride;
        const float d = (float)((double)y[i] * ((double)g[i] - mean));
        dx[i] = add ? dx[i] + d : d;
    }
}

static void run_rows(const struct dc_op_call *call, struct dc_rows rows, bool backward)
{
    const struct dc_shape *shape = &call->out.shape;
    const int axis = softmax_axis(call->node, shape->rank);
    const int64_t classes = shape->dims[axis],
                  stride = dc_shape_product(shape, axis + 1, shape->rank);
    const int64_t lines = rows.count * dc_shape_row(shape) / classes;
    float *y = dc_f32(&call->out);
    for (int64_t line = 0; line < lines; line++) {
        const int64_t i = rows.first * dc_shape_row(shape) + line / stride * stride * classes +
                          line % stride;
        if (backward)
            line_backward(dc_f32(&call->d_in[0]) + i, dc_f32(&call->d_out) + i, y + i, classes,
                          stride, call->add_gradient[0]);
        else if (stride == 1)
            call->ctx->kernels->softmax_line(y + i, dc_f32(&call->in[0]) + i, classes);
        else
            strided_line(y + i, dc_f32(&call->in[0]) + i, classes, stride);
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

const struct dc_op dc_op_softmax = DC_ROW_OP(
    "softmax", 1, 1, .flags = DC_OP_READS_OUTPUT,
    .attribute_bytes = sizeof(struct dc_softmax_attributes), .infer = infer);
