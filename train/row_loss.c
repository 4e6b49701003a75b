// Owns the frame around losses: see row_loss.h.

#include "train/row_loss.h"

#include <math.h>

#include "core/math.h"
#include "core/parallel.h"

enum { VALUE, SQUARE, BAD_ROW, PARTIALS };  // of a chunk: sums, and the first bad row or -1

struct job {
    const struct dc_op_call *call;
    dc_row_loss *loss;
    double *partials;  // [chunks][PARTIALS]
    double *scratch;   // [chunks][doubles]
    int64_t doubles;
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

enum dc_status dc_value_loss_infer(struct dc_shape *out, const struct dc_node *node,
                                   const struct dc_shape *in, struct dc_error *error)
{
    char a[DC_SHAPE_TEXT], b[DC_SHAPE_TEXT];
    for (int k = 1; k < node->input_count; k++)
        if (!dc_shape_equal(&in[0], &in[k]))
            return dc_fail(error, DC_ERR_CONFIG, "%s compares values of one shape, not %s and %s",
                           node->op->name, dc_shape_text(a, &in[0]), dc_shape_text(b, &in[k]));
    *out = DC_SHAPE(DC_LOSS_OUTPUTS);
    return DC_OK;
}

enum dc_status dc_row_loss_infer(struct dc_shape *out, const struct dc_node *node,
                                 const struct dc_shape *in, struct dc_error *error)
{
    char text[DC_SHAPE_TEXT];
    if (in[0].rank != 2 || in[0].dims[1] > DC_CLASSES_MAX)
        return dc_fail(error, DC_ERR_CONFIG, "%s compares [batch, values], up to %d, not %s",
                       node->op->name, DC_CLASSES_MAX, dc_shape_text(text, &in[0]));
    return dc_value_loss_infer(out, node, in, error);
}

enum dc_status dc_map_loss_infer(struct dc_shape *out, const struct dc_node *node,
                                 const struct dc_shape *in, struct dc_error *error)
{
    char text[DC_SHAPE_TEXT];
    for (int k = 0; k < node->input_count; k++)
        if (in[k].rank != 4)
            return dc_fail(error, DC_ERR_CONFIG,
                           "%s compares [batch, height, width, channels], not %s", node->op->name,
                           dc_shape_text(text, &in[k]));
    *out = DC_SHAPE(DC_LOSS_OUTPUTS);
    return DC_OK;
}

void dc_loss_memory(struct dc_op_memory *memory, const struct dc_shape *in, int64_t doubles,
                    const struct dc_ctx *ctx)
{
    memory->saved = sizeof(float) * (size_t)dc_shape_count(&in[0]);
    memory->forward = sizeof(double) * (size_t)(PARTIALS + doubles) * (size_t)ctx->chunks;
}

void dc_row_loss_memory(struct dc_op_memory *memory, const struct dc_node *node,
                        const struct dc_shape *in, const struct dc_shape *out,
                        const struct dc_ctx *ctx)
{
    (void)node;
    (void)out;
    dc_loss_memory(memory, in, 0, ctx);
}

// In lanes, so that the compiler may keep several sums at once; the order is fixed.
static double square_of(const float *x, int64_t count)
{
    double lanes[4] = {0};
    for (int64_t i = 0; i < count; i++)
        lanes[i & 3] += (double)x[i] * (double)x[i];
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

static void loss_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *job = arg;
    const struct dc_op_call *call = job->call;
    const struct dc_rows rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    struct dc_loss_row row = {.attributes = call->node->attributes,
                              .values = dc_shape_row(&call->in[0].shape),
                              .scratch = job->scratch + chunk * job->doubles};
    double *partial = job->partials + (ptrdiff_t)chunk * PARTIALS;
    partial[VALUE] = partial[SQUARE] = 0.0;
    partial[BAD_ROW] = -1.0;
    for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
        for (int k = 0; k < call->node->input_count; k++) {
            row.shape[k] = &call->in[k].shape;
            row.in[k] = dc_f32(&call->in[k]) + r * dc_shape_row(row.shape[k]);
        }
        row.gradient = (float *)call->saved + r * row.values;
        const double loss = job->loss(&row);
        const double square = square_of(row.gradient, row.values);
        if (!isfinite(loss + square) && partial[BAD_ROW] < 0.0)
            partial[BAD_ROW] = (double)r;
        partial[VALUE] += loss;
        partial[SQUARE] += square;
    }
}

enum dc_status dc_row_loss_forward(const struct dc_op_call *call, dc_row_loss *loss,
                                   int64_t doubles, struct dc_error *error)
{
    const int chunks = call->ctx->chunks;
    double sums[2], *partials = call->scratch;
    struct job job = {call, loss, partials, partials + (ptrdiff_t)chunks * PARTIALS, doubles};
    dc_parallel_for(call->ctx, chunks, loss_chunk, &job);
    for (int c = 0; c < chunks; c++)
        if (partials[c * PARTIALS + BAD_ROW] >= 0.0)
            return dc_fail(error, DC_ERR_NUMERIC, "the loss of row %lld of the batch is not finite",
                           (long long)partials[c * PARTIALS + BAD_ROW]);
    dc_tree_sum_double(sums, partials, chunks, 2, PARTIALS);
    return dc_loss_finish(call, sums[VALUE], sums[SQUARE], error);
}

enum dc_status dc_loss_finish(const struct dc_op_call *call, double sum, double square,
                              struct dc_error *error)
{
    double *out = call->out.data;
    if (!isfinite(sum + square))
        return dc_fail(error, DC_ERR_NUMERIC, "the loss of the batch is not finite");
    out[DC_LOSS_VALUE] = sum / (double)call->step->total_batch;
    out[DC_LOSS_GRADIENT_NORM] = sqrt(square) / (double)call->step->total_batch;
    return DC_OK;
}

static void backward_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct dc_op_call *call = arg;
    const struct dc_rows rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    const double weight = *(const double *)call->d_out.data;
    const float scale = (float)(weight / (double)call->step->total_batch);
    for (int64_t k = 0, start = 0; k < call->node->input_count; k++) {
        float *dx = dc_f32(&call->d_in[k]);
        const int64_t row = dc_shape_row(&call->in[k].shape), first = rows.first * row;
        const float *saved = dx ? (const float *)call->saved + start : NULL;
        for (int64_t i = first; dx && i < first + rows.count * row; i++)
            dx[i] = call->add_gradient[k] ? dx[i] + scale * saved[i] : scale * saved[i];
        start += call->rows * row;
    }
}

enum dc_status dc_loss_backward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    dc_parallel_for(call->ctx, call->ctx->chunks, backward_chunk, (void *)call);
    return DC_OK;
}
