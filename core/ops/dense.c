// Owns the dense layer: y = x w + bias over the last axis. Everything before it, batch and axes of
// a row, is one list of rows, the pixels of the convolution kernels; it is cut over the chunks as
// one.
//
// The weight gradient is cut over blocks of weight rows, not over chunks of the batch: a block
// keeps the partial sums of all chunks in cache and folds them over the fixed tree at once. The
// bits are those of chunk partials.

#include <string.h>

#include "core/ops/conv_geometry.h"
#include "core/parallel.h"

enum { BLOCK_FLOATS = 32768, ROW_STEP = 6 };

static const int32_t no_offset = 0;  // the one run of a row

struct job {
    const struct dc_op_call *call;
    int64_t rows;  // of x and y: batch times axes before the last
    int in, units;
    int32_t *x_offset, *y_offset;  // [rows]: offsets of a row in x and in y
    float *forward_panels, *backward_panels;
    float *partials;  // [threads][chunks][block_rows * units]
    int block_rows;
};

static int block_rows_of(int in, int units, int chunks)
{
    const int rows = BLOCK_FLOATS / (units * chunks) / ROW_STEP * ROW_STEP;
    return rows < ROW_STEP ? ROW_STEP : rows > in ? in : rows;
}

static size_t round64(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static size_t offset_bytes(int64_t rows)
{
    return round64(sizeof(int32_t) * (size_t)rows);
}

// Values on the last axis, and how many rows of them there are.
static int64_t last_of(const struct dc_shape *shape)
{
    return shape->dims[shape->rank - 1];
}

static int64_t rows_of(const struct dc_shape *shape)
{
    return dc_shape_product(shape, 0, shape->rank - 1);
}

static void memory(struct dc_op_memory *memory, const struct dc_node *node,
                   const struct dc_shape *in, const struct dc_shape *out, const struct dc_ctx *ctx)
{
    (void)node;
    const int64_t n = last_of(in), units = last_of(out), offsets = 2 * offset_bytes(rows_of(in));
    const int block = block_rows_of((int)n, (int)units, ctx->chunks);
    memory->forward = offsets + sizeof(float) * (size_t)dc__panel_floats((int)units, n);
    memory->kept = sizeof(float) * (size_t)dc__panel_floats((int)units, n);
    memory->backward = offsets + sizeof(float) * (size_t)dc__panel_floats((int)n, units) +
                       sizeof(float) * (size_t)(ctx->threads * ctx->chunks * block * units);
}

static struct job make_job(const struct dc_op_call *call)
{
    struct job job = {.call = call,
                      .rows = rows_of(&call->in[0].shape),
                      .in = (int)last_of(&call->in[0].shape),
                      .units = (int)last_of(&call->out.shape)};
    char *scratch = call->scratch;
    job.x_offset = (int32_t *)scratch;
    job.y_offset = (int32_t *)(scratch + offset_bytes(job.rows));
    for (int64_t r = 0; r < job.rows; r++) {
        job.x_offset[r] = (int32_t)(r * job.in);
        job.y_offset[r] = (int32_t)(r * job.units);
    }
    job.forward_panels = (float *)(scratch + 2 * offset_bytes(job.rows));
    job.backward_panels = job.forward_panels;
    job.partials = job.backward_panels + dc__panel_floats(job.in, job.units);
    job.block_rows = block_rows_of(job.in, job.units, call->ctx->chunks);
    return job;
}

// y[rows] = x[rows] * panels (+ bias) for the rows of one chunk.
static void multiply(const struct job *job, float *y, const int32_t *y_offset, const float *x,
                     const int32_t *x_offset, const float *panels, int depth, int channels,
                     const float *bias, int chunk, bool add)
{
    const struct dc_taps taps = {.run_offset = &no_offset, .runs = 1, .run_length = depth};
    const struct dc_ctx *ctx = job->call->ctx;
    const struct dc_rows rows = dc_chunk_rows(job->rows, ctx->chunks, chunk);
    ctx->kernels->conv_panels(y, y_offset + rows.first, x, x_offset + rows.first, (int)rows.count,
                              panels, &taps, bias, channels, add);
}

static void forward_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *job = arg;
    const struct dc_dense_attributes *a = job->call->node->attributes;
    multiply(job, dc_f32(&job->call->out), job->y_offset, dc_f32(&job->call->in[0]), job->x_offset,
             job->forward_panels, job->in, job->units, a->bias ? job->call->param[1] : NULL, chunk,
             false);
}

// Kernels take 32-bit offsets.
static enum dc_status check_size(const struct dc_op_call *call, struct dc_error *error)
{
    const int64_t in = last_of(&call->in[0].shape), units = last_of(&call->out.shape);
    const int64_t rows = rows_of(&call->in[0].shape);
    if (rows <= INT32_MAX / (in > units ? in : units))
        return DC_OK;
    return dc_fail(error, DC_ERR_CONFIG,
                   "a batch of %lld rows is too large for a dense layer of "
                   "%lld inputs and %lld units",
                   (long long)rows, (long long)in, (long long)units);
}

static enum dc_status forward(const struct dc_op_call *call, struct dc_error *error)
{
    DC_TRY(check_size(call, error));
    struct job job = make_job(call);
    if (call->kept)
        job.forward_panels = call->kept;
    if (!(call->kept && call->kept_filled))
        dc__pack(job.forward_panels, call->param[0], job.in, job.units, job.units, 1);
    dc_parallel_for(call->ctx, call->ctx->chunks, forward_chunk, &job);
    return DC_OK;
}

static void data_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *job = arg;
    multiply(job, dc_f32(&job->call->d_in[0]), job->x_offset, dc_f32(&job->call->d_out),
             job->y_offset, job->backward_panels, job->units, job->in, NULL, chunk,
             job->call->add_gradient[0]);
}

// Weight rows [index * block_rows, ...): every chunk's partial, then the tree.
static void weight_block(void *arg, int index, int thread)
{
    const struct job *job = arg;
    const struct dc_op_call *call = job->call;
    const int chunks = call->ctx->chunks, first = index * job->block_rows;
    const int n = job->in - first < job->block_rows ? job->in - first : job->block_rows;
    const int64_t count = (int64_t)n * job->units;
    const struct dc_taps taps = {.run_offset = &no_offset, .runs = 1, .run_length = n};
    float *partials = job->partials + (int64_t)thread * chunks * job->block_rows * job->units;
    memset(partials, 0, sizeof(float) * (size_t)(count * chunks));
    for (int chunk = 0; chunk < chunks; chunk++) {
        const struct dc_rows rows = dc_chunk_rows(job->rows, chunks, chunk);
        call->ctx->kernels->conv_gradient(partials + chunk * count, job->units,
                                          dc_f32(&call->in[0]) + first, job->x_offset + rows.first,
                                          dc_f32(&call->d_out) + rows.first * job->units,
                                          job->units, (int)rows.count, &taps, job->units);
    }
    dc_tree_sum(call->ctx, call->d_param[0] + (int64_t)first * job->units, partials, count, count);
}

static void bias_gradient(const struct job *job)
{
    const struct dc_op_call *call = job->call;
    const int chunks = call->ctx->chunks;
    float *partials = job->partials;  // [chunks][units]: a block holds at least that
    memset(partials, 0, sizeof(float) * (size_t)(chunks * job->units));
    for (int chunk = 0; chunk < chunks; chunk++) {
        const struct dc_rows rows = dc_chunk_rows(job->rows, chunks, chunk);
        const float *dy = dc_f32(&call->d_out) + rows.first * job->units;
        for (int64_t r = 0; r < rows.count; r++)
            for (int c = 0; c < job->units; c++)
                partials[chunk * job->units + c] += dy[r * job->units + c];
    }
    dc_tree_sum(call->ctx, call->d_param[1], partials, job->units, job->units);
}

static enum dc_status backward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    struct job job = make_job(call);
    if (call->d_param[1])
        bias_gradient(&job);
    if (call->d_param[0])
        dc_parallel_for(call->ctx, (job.in + job.block_rows - 1) / job.block_rows, weight_block,
                        &job);
    if (call->d_in[0].data) {
        dc__pack(job.backward_panels, call->param[0], job.units, job.in, 1, job.units);
        dc_parallel_for(call->ctx, call->ctx->chunks, data_chunk, &job);
    }
    return DC_OK;
}

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_dense_attributes *a = node->attributes;
    char text[DC_SHAPE_TEXT];
    if (in->rank < 2)
        return dc_fail(error, DC_ERR_CONFIG, "dense needs [batch, ..., values], not %s",
                       dc_shape_text(text, in));
    if (a->units < 1)
        return dc_fail(error, DC_ERR_CONFIG, "units must be at least 1, not %d", a->units);
    *out = *in;
    out->dims[in->rank - 1] = a->units;
    return DC_OK;
}

static int declare(struct dc_param_spec specs[DC_OP_PARAMS_MAX], const struct dc_node *node,
                   const struct dc_shape *in)
{
    const struct dc_dense_attributes *a = node->attributes;
    specs[0] = (struct dc_param_spec){
        .name = "weight",
        .role = DC_ROLE_WEIGHT,
        .shape = DC_SHAPE(last_of(in), a->units),
        .init = DC_INIT_KAIMING_NORMAL,
        .fan = last_of(in),
    };
    specs[1] = (struct dc_param_spec){
        .name = "bias", .role = DC_ROLE_BIAS, .shape = DC_SHAPE(a->units)};
    return a->bias ? 2 : 1;
}

static int64_t macs(const struct dc_node *node, const struct dc_shape *in,
                    const struct dc_shape *out)
{
    (void)node;
    return last_of(in) * dc_shape_row(out);
}

const struct dc_op dc_op_dense = {
    .name = "dense",
    .inputs_min = 1,
    .inputs_max = 1,
    .flags = DC_OP_READS_INPUT,
    .attribute_bytes = sizeof(struct dc_dense_attributes),
    .infer = infer,
    .declare = declare,
    .memory = memory,
    .forward = forward,
    .backward = backward,
    .macs = macs,
};
