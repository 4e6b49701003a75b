// Owns the cut of a call over the chunks of its batch, for ops whose rows are independent.

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

enum dc_status dc_rows_backward(const struct dc_op_call *call, struct dc_error *error)
{
    bool wanted = false;
    (void)error;
    for (int i = 0; i < call->node->input_count; i++)
        wanted = wanted || call->d_in[i].data;
    if (wanted)
        dc_parallel_for(call->ctx, call->ctx->chunks, backward_chunk, (void *)call);
    return DC_OK;
}
