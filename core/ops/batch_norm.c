// Owns batch normalization over the last axis (Ioffe and Szegedy, arXiv:1502.03167), with PyTorch's
// conventions: biased batch variance in the output, unbiased in the running one.
//
// Statistics are sums shifted by the running mean, float inside a tile, double across tiles, and
// the fixed tree across chunks. NaN in them stops the run: here is where a diverging network is
// seen.

#include <math.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "core/ops/ops.h"
#include "core/parallel.h"

struct job {
    const struct dc_op_call *call;
    int channels;
    int64_t row_pixels;
    double *partials;             // [chunks][2][channels]
    double *sums;                 // [2][channels]
    float *scale, *shift;         // forward: [channels] each
    const float *mean, *inverse;  // saved: mean and 1 / sqrt(variance + epsilon)
    float *a, *b, *d;             // backward
};

static bool uses_running(const struct dc_op_call *call)
{
    return call->mode == DC_INFERENCE || call->step->freeze_batch_norm || call->frozen;
}

static void memory(struct dc_op_memory *memory, const struct dc_node *node,
                   const struct dc_shape *in, const struct dc_shape *out, const struct dc_ctx *ctx)
{
    (void)node;
    (void)out;
    const size_t channels = (size_t)in->dims[in->rank - 1];
    memory->saved = 2 * sizeof(float) * channels;
    memory->forward = memory->backward =
        channels * (2 * sizeof(double) * (size_t)(ctx->chunks + 1) + 3 * sizeof(float));
}

static struct job make_job(const struct dc_op_call *call)
{
    const struct dc_shape *shape = &call->out.shape;
    struct job job = {.call = call, .channels = (int)shape->dims[shape->rank - 1]};
    job.row_pixels = dc_shape_row(shape) / job.channels;
    job.partials = call->scratch;
    job.sums = job.partials + (int64_t)call->ctx->chunks * 2 * job.channels;
    job.a = (float *)(job.sums + 2 * job.channels);
    job.b = job.a + job.channels;
    job.d = job.b + job.channels;
    job.scale = job.a;
    job.shift = job.b;
    job.mean = call->saved;
    job.inverse = call->saved ? (const float *)call->saved + job.channels : NULL;
    return job;
}

static struct dc_rows chunk_pixels(const struct job *job, int chunk)
{
    const struct dc_rows rows = dc_chunk_rows(job->call->rows, job->call->ctx->chunks, chunk);
    return (struct dc_rows){rows.first * job->row_pixels, rows.count * job->row_pixels};
}

static void sum_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *job = arg;
    const struct dc_rows pixels = chunk_pixels(job, chunk);
    double *sums = job->partials + (int64_t)chunk * 2 * job->channels;
    memset(sums, 0, 2 * sizeof(double) * (size_t)job->channels);
    job->call->ctx->kernels->shifted_sums(sums, sums + job->channels,
                                          dc_f32(&job->call->in[0]) + pixels.first * job->channels,
                                          job->call->param[DC_MEAN], pixels.count, job->channels);
}

static void normalize_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *job = arg;
    const struct dc_rows pixels = chunk_pixels(job, chunk);
    const int64_t at = pixels.first * job->channels;
    job->call->ctx->kernels->affine(dc_f32(&job->call->out) + at, dc_f32(&job->call->in[0]) + at,
                                    job->scale, job->shift, pixels.count, job->channels);
}

// Batch statistics into mean and inverse, and the running ones moved.
static enum dc_status take_statistics(const struct job *job, float *mean, float *inverse,
                                      struct dc_error *error)
{
    const struct dc_op_call *call = job->call;
    const struct dc_batch_norm_attributes *attributes = call->node->attributes;
    const int chunks = call->ctx->chunks, channels = job->channels;
    const double count = (double)(call->rows * job->row_pixels);
    if (count < 2.0)
        return dc_fail(error, DC_ERR_NUMERIC,
                       "batch normalization over one value per channel; take a larger batch");
    dc_parallel_for(call->ctx, chunks, sum_chunk, (void *)job);
    dc_tree_sum_double(job->sums, job->partials, chunks, 2 * channels, 2 * channels);
    const double keep = 1.0 - (double)attributes->momentum, take = (double)attributes->momentum;
    for (int c = 0; c < channels; c++) {
        const double offset = job->sums[c] / count;
        const double raw = job->sums[channels + c] / count - offset * offset;
        const double variance = raw < 0.0 ? 0.0 : raw;
        const double m = (double)call->param[DC_MEAN][c] + offset;
        if (!isfinite(m) || !isfinite(variance))
            return dc_fail(error, DC_ERR_NUMERIC,
                           "the batch statistics of channel %d are not finite", c);
        mean[c] = (float)m;
        inverse[c] = (float)(1.0 / sqrt(variance + (double)attributes->epsilon));
        float *running_mean = &call->param[DC_MEAN][c], *running = &call->param[DC_VARIANCE][c];
        *running_mean = (float)(keep * (double)*running_mean + take * m);
        *running = (float)(keep * (double)*running + take * (variance * count / (count - 1.0)));
    }
    return DC_OK;
}

static enum dc_status forward(const struct dc_op_call *call, struct dc_error *error)
{
    struct job job = make_job(call);
    const struct dc_batch_norm_attributes *attributes = call->node->attributes;
    float *mean = call->saved, *inverse = mean ? mean + job.channels : NULL;
    if (!uses_running(call))
        DC_TRY(take_statistics(&job, mean, inverse, error));
    for (int c = 0; c < job.channels; c++) {
        const float m = uses_running(call) ? call->param[DC_MEAN][c] : mean[c];
        const float i = uses_running(call)
                            ? (float)(1.0 / sqrt((double)call->param[DC_VARIANCE][c] +
                                                 (double)attributes->epsilon))
                            : inverse[c];
        if (mean) {
            mean[c] = m;
            inverse[c] = i;
        }
        const double scale = (double)call->param[DC_GAMMA][c] * (double)i;
        job.scale[c] = (float)scale;
        job.shift[c] = (float)((double)call->param[DC_BETA][c] - (double)m * scale);
    }
    dc_parallel_for(call->ctx, call->ctx->chunks, normalize_chunk, &job);
    return DC_OK;
}

static void gradient_sum_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *job = arg;
    const struct dc_rows pixels = chunk_pixels(job, chunk);
    const int64_t at = pixels.first * job->channels;
    double *sums = job->partials + (int64_t)chunk * 2 * job->channels;
    memset(sums, 0, 2 * sizeof(double) * (size_t)job->channels);
    job->call->ctx->kernels->gradient_sums(
        sums, sums + job->channels, dc_f32(&job->call->d_out) + at, dc_f32(&job->call->in[0]) + at,
        job->mean, pixels.count, job->channels);
}

static void gradient_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *job = arg;
    const struct dc_rows pixels = chunk_pixels(job, chunk);
    const int64_t at = pixels.first * job->channels;
    job->call->ctx->kernels->affine_gradient(
        dc_f32(&job->call->d_in[0]) + at, dc_f32(&job->call->d_out) + at,
        dc_f32(&job->call->in[0]) + at, job->mean, job->a, job->b, job->d, pixels.count,
        job->channels, job->call->add_gradient[0]);
}

// With n values per channel and x^ = (x - mean) * inverse:
//   d gamma = sum dy x^, d beta = sum dy
//   dx = gamma * inverse * (dy - sum dy / n - x^ * sum(dy x^) / n)
// and, where the statistics are constants, dx = gamma * inverse * dy.
static enum dc_status backward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    struct job job = make_job(call);
    const int chunks = call->ctx->chunks, channels = job.channels;
    dc_parallel_for(call->ctx, chunks, gradient_sum_chunk, &job);
    dc_tree_sum_double(job.sums, job.partials, chunks, 2 * channels, 2 * channels);
    const double count = (double)(call->rows * job.row_pixels);
    for (int c = 0; c < channels; c++) {
        const double inverse = (double)job.inverse[c], sum = job.sums[c];
        const double product = job.sums[channels + c] * inverse;  // sum dy x^
        const double a = (double)call->param[DC_GAMMA][c] * inverse;
        if (call->d_param[DC_GAMMA])
            call->d_param[DC_GAMMA][c] += (float)product;
        if (call->d_param[DC_BETA])
            call->d_param[DC_BETA][c] += (float)sum;
        const bool constant = uses_running(call);
        job.a[c] = (float)a;
        job.b[c] = constant ? 0.0f : (float)(-a * inverse * product / count);
        job.d[c] = constant ? 0.0f : (float)(-a * sum / count);
    }
    if (call->d_in[0].data)
        dc_parallel_for(call->ctx, chunks, gradient_chunk, &job);
    return DC_OK;
}

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_batch_norm_attributes *a = node->attributes;
    char text[DC_SHAPE_TEXT];
    if (in->rank < 2)
        return dc_fail(error, DC_ERR_CONFIG, "batch_norm needs at least [batch, channels], not %s",
                       dc_shape_text(text, in));
    if (!(a->epsilon > 0.0f) || !(a->momentum >= 0.0f && a->momentum <= 1.0f))
        return dc_fail(error, DC_ERR_CONFIG,
                       "batch_norm needs epsilon > 0 and momentum in [0, 1], not %g and %g",
                       (double)a->epsilon, (double)a->momentum);
    *out = *in;
    return DC_OK;
}

static int declare(struct dc_param_spec specs[DC_OP_PARAMS_MAX], const struct dc_node *node,
                   const struct dc_shape *in)
{
    (void)node;
    const struct dc_shape shape = DC_SHAPE(in->dims[in->rank - 1]);
    specs[DC_GAMMA] = (struct dc_param_spec){
        .name = "gamma", .role = DC_ROLE_NORM, .shape = shape, .init_value = 1.0f};
    specs[DC_BETA] = (struct dc_param_spec){.name = "beta", .role = DC_ROLE_NORM, .shape = shape};
    specs[DC_MEAN] = (struct dc_param_spec){
        .name = "mean", .role = DC_ROLE_STATISTIC, .shape = shape};
    specs[DC_VARIANCE] = (struct dc_param_spec){
        .name = "variance", .role = DC_ROLE_STATISTIC, .shape = shape, .init_value = 1.0f};
    return 4;
}

const struct dc_op dc_op_batch_norm = {
    .name = "batch_norm",
    .inputs_min = 1,
    .inputs_max = 1,
    .flags = DC_OP_READS_INPUT,
    .attribute_bytes = sizeof(struct dc_batch_norm_attributes),
    .infer = infer,
    .declare = declare,
    .memory = memory,
    .forward = forward,
    .backward = backward,
};
