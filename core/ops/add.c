// Owns addition of two or more values of equal shape, left to right. No broadcasting.

#include <string.h>

#include "core/kernels/kernels.h"
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

static void sum_two(float *y, const float *a, const float *b, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = a[i] + b[i];
}

static void accumulate(float *restrict y, const float *restrict x, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] += x[i];
}

// Rows are worked on in blocks that stay in cache while they are brought through epilogues and
// their statistics are taken.
enum { BLOCK_VALUES = 16384 };

static int64_t block_rows(const struct dc_shape *shape)
{
    const int64_t values = dc_shape_row(shape), channels = shape->dims[shape->rank - 1];
    int64_t rows = dc_tile_rows(values / channels);
    while (2 * rows * values <= BLOCK_VALUES)
        rows *= 2;
    return rows;
}

static void memory(struct dc_op_memory *memory, const struct dc_node *node,
                   const struct dc_shape *in, const struct dc_shape *out, const struct dc_ctx *ctx)
{
    (void)node;
    (void)in;
    const int64_t block = block_rows(out) * dc_shape_row(out);
    memory->forward = memory->backward = sizeof(float) * (size_t)(block * ctx->threads);
}

static float *thread_block(const struct dc_op_call *call, int thread)
{
    const struct dc_shape *shape = &call->out.shape;
    return (float *)call->scratch + thread * block_rows(shape) * dc_shape_row(shape);
}

// Input k from value `at` on, through its epilogue into the buffer where it has one.
static const float *read_input(const struct dc_op_call *call, int k, int64_t at, int64_t count,
                               float *buffer)
{
    const float *x = dc_f32(&call->in[k]) + at;
    const struct dc_epilogue *epilogue = dc_in_epilogue(call, k);
    if (!epilogue)
        return x;
    call->ctx->kernels->epilogue(buffer, x, epilogue, count);
    return buffer;
}

static void forward_chunk(void *arg, int chunk, int thread)
{
    const struct dc_op_call *call = arg;
    const int64_t row = dc_shape_row(&call->out.shape), block = block_rows(&call->out.shape);
    const struct dc_rows rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    float *buffer = thread_block(call, thread);
    for (int64_t r = 0; r < rows.count; r += block) {
        const int64_t n = rows.count - r < block ? rows.count - r : block;
        const int64_t at = (rows.first + r) * row, count = n * row;
        float *y = dc_f32(&call->out) + at;
        const float *first = read_input(call, 0, at, count, y);
        sum_two(y, first, read_input(call, 1, at, count, buffer), count);
        for (int i = 2; i < call->node->input_count; i++)
            accumulate(y, read_input(call, i, at, count, buffer), count);
        if (call->out_statistics)
            dc_note_rows(call->out_statistics, call->ctx, chunk, y, n);
    }
}

static enum dc_status forward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    dc_parallel_for(call->ctx, call->ctx->chunks, forward_chunk, (void *)call);
    return DC_OK;
}

static void backward_chunk(void *arg, int chunk, int thread)
{
    const struct dc_op_call *call = arg;
    const int64_t row = dc_shape_row(&call->out.shape), block = block_rows(&call->out.shape);
    const struct dc_rows rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    for (int64_t r = 0; r < rows.count; r += block) {
        const int64_t n = rows.count - r < block ? rows.count - r : block;
        const int64_t at = (rows.first + r) * row, count = n * row;
        const float *g = dc_f32(&call->d_out) + at;
        if (call->d_out_epilogue) {
            float *through = thread_block(call, thread);
            call->ctx->kernels->epilogue_gradient(through, g, call->d_out_stored + at,
                                                  call->d_out_epilogue, count, false);
            g = through;
        }
        for (int i = 0; i < call->node->input_count; i++) {
            float *dx = dc_f32(&call->d_in[i]);
            if (dx && call->add_gradient[i])
                accumulate(dx + at, g, count);
            else if (dx)
                memcpy(dx + at, g, (size_t)count * sizeof *g);
            if (dc_d_in_statistics(call, i))
                dc_note_gradient_rows(dc_d_in_statistics(call, i), call->ctx, chunk, dx + at,
                                      rows.first + r, n);
        }
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
    .flags = DC_OP_EPILOGUES,
    .infer = infer,
    .memory = memory,
    .forward = forward,
    .backward = backward,
};
