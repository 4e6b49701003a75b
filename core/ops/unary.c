// Owns the ops that are a function of one value: one row each; the functions and their derivatives
// are core/kernels/pointwise.inc.h's. relu, sigmoid and others that networks trained here have used
// are activation.c's.

#include "core/kernels/kernels.h"
#include "core/ops/ops.h"

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    (void)node;
    (void)error;
    *out = in[0];
    return DC_OK;
}

static const struct {
    const struct dc_op *op;
    enum dc_function function;
} functions[] = {
    {&dc_op_leaky_relu, DC_LEAKY_RELU},
    {&dc_op_hard_sigmoid, DC_HARD_SIGMOID},
    {&dc_op_silu, DC_SILU},
    {&dc_op_elu, DC_ELU},
    {&dc_op_softplus, DC_SOFTPLUS},
    {&dc_op_gelu, DC_GELU},
    {&dc_op_gelu_tanh, DC_GELU_TANH},
    {&dc_op_erf, DC_ERF},
    {&dc_op_exp, DC_EXP},
    {&dc_op_log, DC_LOG},
    {&dc_op_sqrt, DC_SQRT},
    {&dc_op_pow, DC_POW},
    {&dc_op_negate, DC_NEGATE},
    {&dc_op_abs, DC_ABS},
    {&dc_op_reciprocal, DC_RECIPROCAL},
};

static const struct dc_pointwise *function_of(const struct dc_op_call *call)
{
    int i = 0;
    while (functions[i].op != call->node->op)
        i++;
    return &call->ctx->kernels->pointwise[functions[i].function];
}

// The attributes are one or two floats.
static void attributes_of(float k[2], const struct dc_op_call *call)
{
    const float *a = call->node->attributes;
    const size_t count = call->node->op->attribute_bytes / sizeof *a;
    k[0] = count > 0 ? a[0] : 0.0f;
    k[1] = count > 1 ? a[1] : 0.0f;
}

static void forward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const int64_t row = dc_shape_row(&call->out.shape), at = rows.first * row;
    float k[2];
    attributes_of(k, call);
    function_of(call)->value(dc_f32(&call->out) + at, dc_f32(&call->in[0]) + at, k,
                             rows.count * row);
}

static void backward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const int64_t row = dc_shape_row(&call->out.shape), at = rows.first * row;
    float k[2];
    attributes_of(k, call);
    function_of(call)->gradient(dc_f32(&call->d_in[0]) + at, dc_f32(&call->d_out) + at,
                                dc_f32(&call->in[0]) + at, k, rows.count * row,
                                call->add_gradient[0]);
}

#define FUNCTION(name_, bytes_)                                                                    \
    DC_ROW_OP(name_, 1, 1, .flags = DC_OP_READS_INPUT, .attribute_bytes = bytes_, .infer = infer)

const struct dc_op dc_op_leaky_relu = FUNCTION("leaky_relu",
                                               sizeof(struct dc_leaky_relu_attributes));
const struct dc_op dc_op_hard_sigmoid = FUNCTION("hard_sigmoid",
                                                 sizeof(struct dc_hard_sigmoid_attributes));
const struct dc_op dc_op_silu = FUNCTION("silu", 0);
const struct dc_op dc_op_elu = FUNCTION("elu", sizeof(struct dc_elu_attributes));
const struct dc_op dc_op_softplus = FUNCTION("softplus", 0);
const struct dc_op dc_op_gelu = FUNCTION("gelu", 0);
const struct dc_op dc_op_gelu_tanh = FUNCTION("gelu_tanh", 0);
const struct dc_op dc_op_erf = FUNCTION("erf", 0);
const struct dc_op dc_op_exp = FUNCTION("exp", 0);
const struct dc_op dc_op_log = FUNCTION("log", 0);
const struct dc_op dc_op_sqrt = FUNCTION("sqrt", 0);
const struct dc_op dc_op_pow = FUNCTION("pow", sizeof(struct dc_pow_attributes));
const struct dc_op dc_op_negate = FUNCTION("negate", 0);
const struct dc_op dc_op_abs = FUNCTION("abs", 0);
const struct dc_op dc_op_reciprocal = FUNCTION("reciprocal", 0);
