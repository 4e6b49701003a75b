// Owns constants: values without inputs, one row that serves every row of the batch.

#include <string.h>

#include "core/ops/ops.h"

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_constant_attributes *a = node->attributes;
    (void)in;
    *out = a->shape;
    bool fits = out->rank >= 1 && out->rank <= DC_RANK_MAX && out->dims[0] == 1;
    for (int i = 1; fits && i < out->rank; i++)
        fits = out->dims[i] >= 1;
    char text[DC_SHAPE_TEXT];
    if (!fits)
        return dc_fail(error, DC_ERR_CONFIG, "a constant is [1, ...], not %s",
                       dc_shape_text(text, out));
    return DC_OK;
}

static int declare(struct dc_param_spec specs[DC_OP_PARAMS_MAX], const struct dc_node *node,
                   const struct dc_shape *in)
{
    const struct dc_constant_attributes *a = node->attributes;
    (void)in;
    specs[0] = (struct dc_param_spec){.name = "value", .role = a->role, .shape = a->shape};
    return 1;
}

static enum dc_status forward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    memcpy(call->out.data, call->param[0],
           sizeof(float) * (size_t)dc_shape_count(&call->out.shape));
    return DC_OK;
}

static enum dc_status backward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    const int64_t count = dc_shape_count(&call->out.shape);
    for (int64_t i = 0; call->d_param[0] && i < count; i++)
        call->d_param[0][i] += dc_f32(&call->d_out)[i];
    return DC_OK;
}

const struct dc_op dc_op_constant = {
    .name = "constant",
    .attribute_bytes = sizeof(struct dc_constant_attributes),
    .infer = infer,
    .declare = declare,
    .forward = forward,
    .backward = backward,
};
