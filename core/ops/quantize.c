// Owns the ops between reals and codes, as ONNX's QuantizeLinear and DequantizeLinear compute them.
// Codes lie in float32, where every one is exact. No gradient: networks are trained with the fake
// quantization of qat/, these stand in networks that are done.

#include <math.h>

#include "core/ops/ops.h"

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_quantize_attributes *a = node->attributes;
    if (!(a->scale > 0.0f) || a->clamp_low > a->clamp_high)
        return dc_fail(error, DC_ERR_CONFIG, "codes from %d to %d at scale %g", a->clamp_low,
                       a->clamp_high, (double)a->scale);
    *out = in[0];
    return DC_OK;
}

static void quantize_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const struct dc_quantize_attributes *a = call->node->attributes;
    const int64_t row = dc_shape_row(&call->out.shape), end = (rows.first + rows.count) * row;
    const float *x = dc_f32(&call->in[0]), low = (float)a->clamp_low, high = (float)a->clamp_high;
    float *y = dc_f32(&call->out);
    for (int64_t i = rows.first * row; i < end; i++) {
        const float code = rintf(x[i] / a->scale) + (float)a->zero_point;
        y[i] = code < low ? low : code > high ? high : code;
    }
}

static void dequantize_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const struct dc_quantize_attributes *a = call->node->attributes;
    const int64_t row = dc_shape_row(&call->out.shape), end = (rows.first + rows.count) * row;
    const float *x = dc_f32(&call->in[0]);
    float *y = dc_f32(&call->out);
    for (int64_t i = rows.first * row; i < end; i++)
        y[i] = a->scale * (x[i] - (float)a->zero_point);
}

const struct dc_op dc_op_quantize = {
    .name = "quantize",
    .inputs_min = 1,
    .inputs_max = 1,
    .flags = DC_OP_NO_GRADIENT,
    .attribute_bytes = sizeof(struct dc_quantize_attributes),
    .infer = infer,
    .forward = dc_rows_forward,
    .forward_rows = quantize_rows,
};
const struct dc_op dc_op_dequantize = {
    .name = "dequantize",
    .inputs_min = 1,
    .inputs_max = 1,
    .flags = DC_OP_NO_GRADIENT,
    .attribute_bytes = sizeof(struct dc_quantize_attributes),
    .infer = infer,
    .forward = dc_rows_forward,
    .forward_rows = dequantize_rows,
};
