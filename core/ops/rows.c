// Owns the cut of a call over the chunks of its batch, for ops whose rows are independent, and the
// sums over chunks of what all rows share.

#include <string.h>

#include "core/ops/ops.h"
#include "core/parallel.h"

static void forward_chunk(void *arg, int chunk, int thread)
{
    const struct dc_op_call *call = arg;
    (void)thread;
    call->node->op->forward_rows(call, dc_chunk_rows(call->rows, call->ctx->chunks, chunk));
}

static void backward_chunk(void *arg, int chunk, int thread)
{
    const struct dc_op_call *call = arg;
    (void)thread;
    call->node->op->backward_rows(call, dc_chunk_rows(call->rows, call->ctx->chunks, chunk));
}

enum dc_status dc_rows_forward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    dc_parallel_for(call->ctx, call->ctx->chunks, forward_chunk, (void *)call);
    return DC_OK;
}

static bool wants_input(const struct dc_op_call *call)
{
    bool wanted = false;
    for (int i = 0; i < call->node->input_count; i++)
        wanted = wanted || call->d_in[i].data;
    return wanted;
}

enum dc_status dc_rows_backward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    if (wants_input(call))
        dc_parallel_for(call->ctx, call->ctx->chunks, backward_chunk, (void *)call);
    return DC_OK;
}

// Parts of a chunk in the scratch: the constants among the inputs, then the parameters.
struct parts {
    int64_t offset[DC_INPUTS_MAX + DC_OP_PARAMS_MAX], count[DC_INPUTS_MAX + DC_OP_PARAMS_MAX];
    int64_t stride;
};

static bool shares(const struct dc_shape *in, int64_t rows)
{
    return in->dims[0] == 1 && rows > 1;
}

static void lay_out(struct parts *parts, const struct dc_node *node, const struct dc_shape *in,
                    int64_t rows)
{
    struct dc_param_spec specs[DC_OP_PARAMS_MAX];
    const int params = node->op->declare ? node->op->declare(specs, node, in) : 0;
    int64_t used = 0;
    *parts = (struct parts){0};
    for (int i = 0; i < node->input_count + params; i++) {
        const int p = i - node->input_count;
        parts->offset[i] = used;
        parts->count[i] = p >= 0                 ? dc_shape_count(&specs[p].shape)
                          : shares(&in[i], rows) ? dc_shape_row(&in[i])
                                                 : 0;
        used += (parts->count[i] + 15) / 16 * 16;
    }
    parts->stride = used;
}

static void parts_of(struct parts *parts, const struct dc_op_call *call)
{
    struct dc_shape in[DC_INPUTS_MAX];
    for (int i = 0; i < call->node->input_count; i++)
        in[i] = call->in[i].shape;
    lay_out(parts, call->node, in, call->rows);
}

void dc_adding_memory(struct dc_op_memory *memory, const struct dc_node *node,
                      const struct dc_shape *in, const struct dc_shape *out,
                      const struct dc_ctx *ctx)
{
    struct parts parts;
    lay_out(&parts, node, in, out->dims[0]);
    memory->backward = sizeof(float) * (size_t)(parts.stride * ctx->chunks);
}

int dc_chunk_of(const struct dc_op_call *call, struct dc_rows rows)
{
    int chunk = 0;
    while (dc_chunk_rows(call->rows, call->ctx->chunks, chunk).first < rows.first)
        chunk++;
    return chunk;
}

static float *part(const struct dc_op_call *call, int index, struct dc_rows rows)
{
    struct parts parts;
    parts_of(&parts, call);
    return (float *)call->scratch + dc_chunk_of(call, rows) * parts.stride + parts.offset[index];
}

bool dc_is_shared(const struct dc_op_call *call, int input)
{
    return shares(&call->in[input].shape, call->rows);
}

struct dc_target dc_input_target(const struct dc_op_call *call, int input, struct dc_rows rows)
{
    const int64_t row = dc_shape_row(&call->in[input].shape);
    float *dx = dc_f32(&call->d_in[input]);
    if (!dx)
        return (struct dc_target){NULL, 0};
    if (dc_is_shared(call, input))
        return (struct dc_target){part(call, input, rows), 0};
    return (struct dc_target){dx + rows.first * row, row};
}

float *dc_param_target(const struct dc_op_call *call, int param, struct dc_rows rows)
{
    return call->d_param[param] ? part(call, call->node->input_count + param, rows) : NULL;
}

static void adding_chunk(void *arg, int chunk, int thread)
{
    const struct dc_op_call *call = arg;
    const struct dc_rows rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    for (int i = 0; i < call->node->input_count && rows.count > 0; i++) {
        const struct dc_target target = dc_input_target(call, i, rows);
        if (target.row > 0 && !call->add_gradient[i])
            memset(target.at, 0, sizeof(float) * (size_t)(rows.count * target.row));
    }
    if (rows.count > 0)
        backward_chunk(arg, chunk, thread);
}

enum dc_status dc_adding_backward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    struct parts parts = {0};
    parts_of(&parts, call);
    float *scratch = call->scratch;
    bool wanted = wants_input(call);
    for (int p = 0; p < call->node->param_count; p++)
        wanted = wanted || call->d_param[p];
    if (!wanted)
        return DC_OK;
    if (parts.stride > 0)
        memset(scratch, 0, sizeof(float) * (size_t)(parts.stride * call->ctx->chunks));
    dc_parallel_for(call->ctx, call->ctx->chunks, adding_chunk, (void *)call);
    for (int i = 0; i < call->node->input_count + call->node->param_count; i++) {
        const int p = i - call->node->input_count;
        float *sum = p >= 0 ? call->d_param[p] : dc_f32(&call->d_in[i]);
        if (!sum || parts.count[i] == 0)
            continue;
        if (p < 0 && !call->add_gradient[i])
            memset(sum, 0, sizeof(float) * (size_t)parts.count[i]);
        dc_tree_sum(call->ctx, sum, scratch + parts.offset[i], parts.count[i], parts.stride);
    }
    return DC_OK;
}

int dc_axis_of(int axis, int rank)
{
    const int positive = axis < 0 ? axis + rank : axis;
    return positive >= 1 && positive < rank ? positive : 0;
}

int64_t dc_shape_product(const struct dc_shape *shape, int first, int end)
{
    int64_t count = 1;
    for (int i = first; i < end; i++)
        count *= shape->dims[i];
    return count;
}
