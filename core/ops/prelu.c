// Owns prelu: x < 0 ? slope * x : x with a trained slope for each channel, arXiv:1502.01852.

#include "core/ops/ops.h"

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    (void)node;
    if (in[0].rank < 2)
        return dc_fail(error, DC_ERR_CONFIG, "prelu needs [batch, ..., channels]");
    *out = in[0];
    return DC_OK;
}

static int declare(struct dc_param_spec specs[DC_OP_PARAMS_MAX], const struct dc_node *node,
                   const struct dc_shape *in)
{
    (void)node;
    specs[0] = (struct dc_param_spec){.name = "slope",
                                      .role = DC_ROLE_NORM,
                                      .shape = DC_SHAPE(in->dims[in->rank - 1]),
                                      .init_value = 0.25f};
    return 1;
}

static void forward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const struct dc_shape *shape = &call->out.shape;
    const int64_t row = dc_shape_row(shape), channels = shape->dims[shape->rank - 1];
    const float *x = dc_f32(&call->in[0]) + rows.first * row, *slope = call->param[0];
    float *y = dc_f32(&call->out) + rows.first * row;
    for (int64_t p = 0; p < rows.count * row; p += channels)
        for (int64_t c = 0; c < channels; c++)
            y[p + c] = x[p + c] < 0.0f ? slope[c] * x[p + c] : x[p + c];
}

static void backward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const struct dc_shape *shape = &call->out.shape;
    const int64_t row = dc_shape_row(shape), channels = shape->dims[shape->rank - 1];
    const float *x = dc_f32(&call->in[0]) + rows.first * row, *slope = call->param[0];
    const float *g = dc_f32(&call->d_out) + rows.first * row;
    float *dx = dc_input_target(call, 0, rows).at, *d_slope = dc_param_target(call, 0, rows);
    for (int64_t p = 0; p < rows.count * row; p += channels) {
        for (int64_t c = 0; c < channels; c++) {
            if (dx)
                dx[p + c] += x[p + c] <= 0.0f ? slope[c] * g[p + c] : g[p + c];
            if (d_slope)
                d_slope[c] += x[p + c] < 0.0f ? x[p + c] * g[p + c] : 0.0f;
        }
    }
}

const struct dc_op dc_op_prelu = DC_ADDING_OP("prelu", 1, 1, .flags = DC_OP_READS_INPUT,
                                              .infer = infer, .declare = declare);
