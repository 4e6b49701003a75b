// Owns addition of two or more values of equal shape, left to right. No broadcasting.

#include <string.h>

#include "core/ops/ops.h"
#include "core/parallel.h"

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    for (int i = 1; i < node->input_count; i++) {
        if (dc_shape_equal(&in[i], &in[0]))
            continue;
        char a[DC_SHAPE_TEXT], b[DC_SHAPE_TEXT];
        return dc_fail(error, DC_ERR_CONFIG,
                       "add needs equal shapes: input 1 is %s, input %d is %s",
                       dc_shape_text(a, &in[0]), i + 1, dc_shape_text(b, &in[i]));
    }
    *out = in[0];
    return DC_OK;
}

static void sum_two(float *restrict y, const float *a, const float *b, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = a[i] + b[i];
}

static void accumulate(float *restrict y, const float *restrict x, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] += x[i];
}

static void forward_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct dc_op_call *call = arg;
    const int64_t row = dc_shape_row(&call->out.shape);
    const struct dc_rows rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    const int64_t at = rows.first * row, count = rows.count * row;
    float *y = dc_f32(&call->out) + at;
    sum_two(y, dc_f32(&call->in[0]) + at, dc_f32(&call->in[1]) + at, count);
    for (int i = 2; i < call->node->input_count; i++)
        accumulate(y, dc_f32(&call->in[i]) + at, count);
}

static enum dc_status forward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    dc_parallel_for(call->ctx, call->ctx->chunks, forward_chunk, (void *)call);
    return DC_OK;
}

static void backward_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct dc_op_call *call = arg;
    const int64_t row = dc_shape_row(&call->out.shape);
    const struct dc_rows rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    const int64_t at = rows.first * row, count = rows.count * row;
    const float *g = dc_f32(&call->d_out) + at;
    for (int i = 0; i < call->node->input_count; i++) {
        float *dx = dc_f32(&call->d_in[i]);
        if (!dx)
            continue;
        if (call->add_gradient[i])
            accumulate(dx + at, g, count);
        else
            memcpy(dx + at, g, (size_t)count * sizeof *g);
    }
}

static enum dc_status backward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    dc_parallel_for(call->ctx, call->ctx->chunks, backward_chunk, (void *)call);
    return DC_OK;
}

const struct dc_op dc_op_add = {
    .name = "add",
    .inputs_min = 2,
    .inputs_max = DC_INPUTS_MAX,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
