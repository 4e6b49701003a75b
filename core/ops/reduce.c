// Owns reductions over a set of axes of a row: sum, mean, maximum.
//
// The input is read once, in order; each line along the last axis goes to one output value or to a
// line of them. Sums are float across lines and double within a reduced line.

#include <math.h>

#include "core/ops/ops.h"

// A row of the input: sizes and strides in the output, 0 where the axis is reduced.
struct loop {
    int rank;
    int64_t size[DC_RANK_MAX], stride[DC_RANK_MAX];
    int64_t count;  // values that become one
};

static bool reduces(const struct dc_reduce_attributes *a, int axis)
{
    return a->axes >> axis & 1u;
}

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_reduce_attributes *a = node->attributes;
    char text[DC_SHAPE_TEXT];
    if (a->axes == 0 || reduces(a, 0) || a->axes >> in[0].rank)
        return dc_fail(error, DC_ERR_CONFIG,
                       "%s over axes of mask %#x: %s has axes 1 to %d behind the batch",
                       node->op->name, a->axes, dc_shape_text(text, &in[0]), in[0].rank - 1);
    *out = (struct dc_shape){0};
    for (int k = 0; k < in[0].rank; k++)
        if (!reduces(a, k) || a->keep)
            out->dims[out->rank++] = reduces(a, k) ? 1 : in[0].dims[k];
    return DC_OK;
}

static struct loop loop_of(const struct dc_op_call *call)
{
    const struct dc_reduce_attributes *a = call->node->attributes;
    const struct dc_shape *in = &call->in[0].shape;
    struct loop loop = {.rank = in->rank, .count = 1};
    int64_t stride = 1;
    for (int k = in->rank - 1; k >= 1; k--) {
        loop.size[k] = in->dims[k];
        loop.stride[k] = reduces(a, k) ? 0 : stride;
        stride *= reduces(a, k) ? 1 : in->dims[k];
        loop.count *= reduces(a, k) ? in->dims[k] : 1;
    }
    return loop;
}

// Steps the axes before the last one by one line; *at: its place in the output.
static bool next_line(const struct loop *loop, int64_t index[DC_RANK_MAX], int64_t *at)
{
    for (int k = loop->rank - 2; k >= 1; k--) {
        *at += loop->stride[k];
        if (++index[k] < loop->size[k])
            return true;
        *at -= loop->stride[k] * loop->size[k];
        index[k] = 0;
    }
    return false;
}

static void take_line(float *restrict y, const float *restrict x, int64_t count, int64_t stride,
                      bool max)
{
    if (stride == 0 && max) {
        for (int64_t i = 0; i < count; i++)
            y[0] = x[i] > y[0] || x[i] != x[i] ? x[i] : y[0];
    } else if (stride == 0) {
        double sum = 0.0;
        for (int64_t i = 0; i < count; i++)
            sum += (double)x[i];
        y[0] += (float)sum;
    } else if (max) {
        for (int64_t i = 0; i < count; i++)
            y[i] = x[i] > y[i] || x[i] != x[i] ? x[i] : y[i];
    } else {
        for (int64_t i = 0; i < count; i++)
            y[i] += x[i];
    }
}

static void forward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const struct loop loop = loop_of(call);
    const bool max = call->node->op == &dc_op_reduce_max;
    const int64_t out_row = dc_shape_row(&call->out.shape), line = loop.size[loop.rank - 1];
    const float *x = dc_f32(&call->in[0]) + rows.first * dc_shape_row(&call->in[0].shape);
    for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
        float *y = dc_f32(&call->out) + r * out_row;
        for (int64_t i = 0; i < out_row; i++)
            y[i] = max ? -INFINITY : 0.0f;
        int64_t index[DC_RANK_MAX] = {0}, at = 0;
        do {
            take_line(y + at, x, line, loop.stride[loop.rank - 1], max);
            x += line;
        } while (next_line(&loop, index, &at));
        for (int64_t i = 0; call->node->op == &dc_op_reduce_mean && i < out_row; i++)
            y[i] = y[i] / (float)loop.count;
    }
}

// Sum and mean: the gradient, divided. Maximum: the first value equal to it takes the gradient.
static void give_line(float *dx, const float *g, const float *x, const float *y, bool *taken,
                      const struct loop *loop, float divisor, bool max)
{
    const int64_t stride = loop->stride[loop->rank - 1];
    for (int64_t i = 0; i < loop->size[loop->rank - 1]; i++) {
        const int64_t o = i * stride;
        const bool first = max && !taken[o] && (x[i] == y[o] || x[i] != x[i]);
        if (max)
            taken[o] = taken[o] || first;
        if (!max || first)
            dx[i] += g[o] / divisor;
    }
}

static void max_memory(struct dc_op_memory *memory, const struct dc_node *node,
                       const struct dc_shape *in, const struct dc_shape *out,
                       const struct dc_ctx *ctx)
{
    (void)node;
    (void)in;
    (void)ctx;
    memory->saved = (size_t)dc_shape_count(out) * sizeof(bool);
}

static void backward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const struct loop loop = loop_of(call);
    const bool max = call->node->op == &dc_op_reduce_max;
    const float divisor = call->node->op == &dc_op_reduce_mean ? (float)loop.count : 1.0f;
    const int64_t out_row = dc_shape_row(&call->out.shape), line = loop.size[loop.rank - 1];
    const struct dc_target target = dc_input_target(call, 0, rows);
    const float *x = dc_f32(&call->in[0]) + rows.first * target.row;
    float *dx = target.at;
    for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
        bool *taken = max ? (bool *)call->saved + r * out_row : NULL;
        for (int64_t i = 0; max && i < out_row; i++)
            taken[i] = false;
        int64_t index[DC_RANK_MAX] = {0}, at = r * out_row;
        do {
            give_line(dx, dc_f32(&call->d_out) + at, x, dc_f32(&call->out) + at,
                      max ? taken + (at - r * out_row) : NULL, &loop, divisor, max);
            x += line;
            dx += line;
        } while (next_line(&loop, index, &at));
    }
}

#define REDUCE(name_, ...)                                                                         \
    DC_ADDING_OP(name_, 1, 1, .attribute_bytes = sizeof(struct dc_reduce_attributes),              \
                 .infer = infer, __VA_ARGS__)

const struct dc_op dc_op_reduce_mean = REDUCE("reduce_mean", .flags = 0);
const struct dc_op dc_op_reduce_sum = REDUCE("reduce_sum", .flags = 0);
const struct dc_op dc_op_reduce_max = {
    .name = "reduce_max",
    .inputs_min = 1,
    .inputs_max = 1,
    .flags = DC_OP_READS_INPUT | DC_OP_READS_OUTPUT,
    .attribute_bytes = sizeof(struct dc_reduce_attributes),
    .infer = infer,
    .memory = max_memory,
    .forward = dc_rows_forward,
    .backward = dc_adding_backward,
    .forward_rows = forward_rows,
    .backward_rows = backward_rows,
};
