// Owns functions of one value: relu, relu6, clip, sigmoid, tanh, h_swish. Others are unary.c's.
//
// One function each way over an array.
// Multiply, then add, never fused: every instruction set gives the same bits. NaN stays NaN, and a
// gradient at NaN is passed on rather than hidden.

#include <math.h>

#include "core/math.h"
#include "core/ops/ops.h"

// y[i] = f(x[i])
typedef void function(float *restrict y, const float *restrict x, int64_t count);
// dx[i] = f'(v[i]) g[i], added to dx[i] where `add`; v: the output or the input, as flags say.
typedef void slope(float *restrict dx, const float *restrict g, const float *restrict v,
                   int64_t count, bool add);

static void sigmoid(float *restrict y, const float *restrict x, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = (float)dc_sigmoid((double)x[i]);
}

static void sigmoid_slope(float *restrict dx, const float *restrict g, const float *restrict y,
                          int64_t count, bool add)
{
    for (int64_t i = 0; i < count; i++) {
        const float d = y[i] * (1.0f - y[i]) * g[i];
        dx[i] = add ? dx[i] + d : d;
    }
}

static void hyperbolic_tangent(float *restrict y, const float *restrict x, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = (float)dc_tanh((double)x[i]);
}

static void tanh_slope(float *restrict dx, const float *restrict g, const float *restrict y,
                       int64_t count, bool add)
{
    for (int64_t i = 0; i < count; i++) {
        const float d = (1.0f - y[i]) * (1.0f + y[i]) * g[i];
        dx[i] = add ? dx[i] + d : d;
    }
}

static void h_swish(float *restrict y, const float *restrict x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const float shifted = x[i] + 3.0f;
        const float low = shifted < 0.0f ? 0.0f : shifted;
        const float gate = low > 6.0f ? 6.0f : low;
        y[i] = x[i] * gate / 6.0f;
    }
}

static void h_swish_slope(float *restrict dx, const float *restrict g, const float *restrict x,
                          int64_t count, bool add)
{
    for (int64_t i = 0; i < count; i++) {
        const float inner = x[i] / 3.0f + 0.5f;
        const float low = x[i] <= -3.0f ? 0.0f : inner;
        const float d = (x[i] >= 3.0f ? 1.0f : low) * g[i];
        dx[i] = add ? dx[i] + d : d;
    }
}

struct activation {
    const struct dc_op *op;
    function *value;
    slope *slope;
};

static const struct activation activations[] = {
    {&dc_op_sigmoid, sigmoid, sigmoid_slope},
    {&dc_op_tanh, hyperbolic_tangent, tanh_slope},
    {&dc_op_h_swish, h_swish, h_swish_slope},
};

static const struct activation *activation_of(const struct dc_op_call *call)
{
    const struct activation *activation = activations;
    while (activation->op != call->node->op)
        activation++;
    return activation;
}

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    (void)node;
    (void)error;
    *out = in[0];
    return DC_OK;
}

static void forward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const int64_t row = dc_shape_row(&call->out.shape), at = rows.first * row;
    activation_of(call)->value(dc_f32(&call->out) + at, dc_f32(&call->in[0]) + at,
                               rows.count * row);
}

static void backward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const int64_t row = dc_shape_row(&call->out.shape), at = rows.first * row;
    const bool reads_output = call->node->op->flags & DC_OP_READS_OUTPUT;
    const float *seen = dc_f32(reads_output ? &call->out : &call->in[0]);
    activation_of(call)->slope(dc_f32(&call->d_in[0]) + at, dc_f32(&call->d_out) + at, seen + at,
                               rows.count * row, call->add_gradient[0]);
}

// relu and relu6 are clamps: parts of an epilogue (core/epilogue.h). A gradient passes strictly
// inside.
static enum dc_status relu(struct dc_epilogue *epilogue, const struct dc_op_call *call,
                           const struct dc_statistics *statistics, struct dc_error *error)
{
    (void)call;
    (void)statistics;
    (void)error;
    epilogue->low = 0.0f;
    epilogue->pass_low = nextafterf(0.0f, 1.0f);
    return DC_OK;
}

static enum dc_status relu6(struct dc_epilogue *epilogue, const struct dc_op_call *call,
                            const struct dc_statistics *statistics, struct dc_error *error)
{
    epilogue->high = 6.0f;
    epilogue->pass_high = nextafterf(6.0f, 0.0f);
    return relu(epilogue, call, statistics, error);
}

static enum dc_status clip(struct dc_epilogue *epilogue, const struct dc_op_call *call,
                           const struct dc_statistics *statistics, struct dc_error *error)
{
    const struct dc_clip_attributes *a = call->node->attributes;
    (void)statistics;
    (void)error;
    epilogue->low = a->low;
    epilogue->high = a->high;
    epilogue->pass_low = nextafterf(a->low, INFINITY);
    epilogue->pass_high = nextafterf(a->high, -INFINITY);
    return DC_OK;
}

static enum dc_status clip_infer(struct dc_shape *out, const struct dc_node *node,
                                 const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_clip_attributes *a = node->attributes;
    if (!(a->low < a->high))
        return dc_fail(error, DC_ERR_CONFIG, "clip from %g to %g", (double)a->low, (double)a->high);
    return infer(out, node, in, error);
}

static const struct dc_epilogue_part clip_part = {.rank = DC_EPILOGUE_CLAMP, .extend = clip};
static const struct dc_epilogue_part relu_part = {.rank = DC_EPILOGUE_CLAMP, .extend = relu};
static const struct dc_epilogue_part relu6_part = {.rank = DC_EPILOGUE_CLAMP, .extend = relu6};

#define CLAMP(name_, part_, ...)                                                                   \
    {                                                                                              \
        .name = name_, .inputs_min = 1, .inputs_max = 1, .flags = DC_OP_READS_INPUT,               \
        .memory = dc_epilogue_memory, .forward = dc_epilogue_forward,                              \
        .backward = dc_epilogue_backward, .epilogue = &part_, __VA_ARGS__                          \
    }

const struct dc_op dc_op_relu = CLAMP("relu", relu_part, .infer = infer);
const struct dc_op dc_op_relu6 = CLAMP("relu6", relu6_part, .infer = infer);
const struct dc_op dc_op_clip = CLAMP("clip", clip_part, .infer = clip_infer,
                                      .attribute_bytes = sizeof(struct dc_clip_attributes));
const struct dc_op dc_op_sigmoid = DC_ROW_OP("sigmoid", 1, 1, .flags = DC_OP_READS_OUTPUT,
                                             .infer = infer);
const struct dc_op dc_op_tanh = DC_ROW_OP("tanh", 1, 1, .flags = DC_OP_READS_OUTPUT,
                                          .infer = infer);
const struct dc_op dc_op_h_swish = DC_ROW_OP("h_swish", 1, 1, .flags = DC_OP_READS_INPUT,
                                             .infer = infer);
