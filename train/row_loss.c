// Owns the frame around row-wise losses: see row_loss.h.

#include "train/row_loss.h"

#include <math.h>

#include "core/math.h"
#include "core/parallel.h"

struct job {
    const struct dc_op_call *call;
    dc_row_loss *loss;
    double *partials;   // [chunks]
    int64_t *bad_rows;  // [chunks]: first row whose loss is not finite, or -1
    int64_t values;
};

double dc_log_sum_exp(double *p, const float *z, double temperature, int64_t classes)
{
    double largest = (double)z[0];
    for (int64_t c = 1; c < classes; c++)
        largest = (double)z[c] > largest ? (double)z[c] : largest;
    double sum = 0.0;
    for (int64_t c = 0; c < classes; c++) {
        const double e = dc_exp(((double)z[c] - largest) / temperature);
        if (p)
            p[c] = e;
        sum += e;
    }
    for (int64_t c = 0; p && c < classes; c++)
        p[c] = p[c] / sum;
    return largest / temperature + dc_ln(sum);
}

enum dc_status dc_row_loss_infer(struct dc_shape *out, const struct dc_node *node,
                                 const struct dc_shape *in, struct dc_error *error)
{
    char a[DC_SHAPE_TEXT], b[DC_SHAPE_TEXT];
    if (in[0].rank != 2 || !dc_shape_equal(&in[0], &in[1]))
        return dc_fail(error, DC_ERR_CONFIG,
                       "%s compares two values of one shape [batch, values], not %s and %s",
                       node->op->name, dc_shape_text(a, &in[0]), dc_shape_text(b, &in[1]));
    if (in[0].dims[1] > DC_CLASSES_MAX)
        return dc_fail(error, DC_ERR_CONFIG, "%s takes up to %d values a row, not %s",
                       node->op->name, DC_CLASSES_MAX, dc_shape_text(a, &in[0]));
    *out = DC_SHAPE(1);
    return DC_OK;
}

void dc_row_loss_memory(struct dc_op_memory *memory, const struct dc_node *node,
                        const struct dc_shape *in, const struct dc_shape *out,
                        const struct dc_ctx *ctx)
{
    (void)node;
    (void)out;
    memory->saved = sizeof(float) * (size_t)dc_shape_count(&in[0]);
    memory->forward = (sizeof(double) + sizeof(int64_t)) * (size_t)ctx->chunks;
}

static void loss_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *job = arg;
    const struct dc_op_call *call = job->call;
    const struct dc_rows rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    const float *x = dc_f32(&call->in[0]), *y = dc_f32(&call->in[1]);
    float *gradient = call->saved;
    double sum = 0.0;
    job->bad_rows[chunk] = -1;
    for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
        const int64_t at = r * job->values;
        const double loss = job->loss(gradient + at, x + at, y + at, job->values,
                                      call->node->attributes);
        if (!isfinite(loss) && job->bad_rows[chunk] < 0)
            job->bad_rows[chunk] = r;
        sum += loss;
    }
    job->partials[chunk] = sum;
}

enum dc_status dc_row_loss_forward(const struct dc_op_call *call, dc_row_loss *loss,
                                   struct dc_error *error)
{
    const int chunks = call->ctx->chunks;
    struct job job = {
        .call = call, .loss = loss, .partials = call->scratch, .values = call->in[0].shape.dims[1]};
    job.bad_rows = (int64_t *)(job.partials + chunks);
    dc_parallel_for(call->ctx, chunks, loss_chunk, &job);
    for (int c = 0; c < chunks; c++)
        if (job.bad_rows[c] >= 0)
            return dc_fail(error, DC_ERR_NUMERIC, "the loss of row %lld of the batch is not finite",
                           (long long)job.bad_rows[c]);
    double total = 0.0;
    dc_tree_sum_double(&total, job.partials, chunks, 1, 1);
    *(double *)call->out.data = total / (double)call->step->total_batch;
    return DC_OK;
}

enum dc_status dc_row_loss_backward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    const double weight = *(const double *)call->d_out.data;
    const float scale = (float)(weight / (double)call->step->total_batch);
    const int64_t count = dc_shape_count(&call->in[0].shape);
    const float *saved = call->saved;
    float *dx = dc_f32(&call->d_in[0]);
    for (int64_t i = 0; dx && i < count; i++)
        dx[i] = call->add_gradient[0] ? dx[i] + scale * saved[i] : scale * saved[i];
    return DC_OK;
}
