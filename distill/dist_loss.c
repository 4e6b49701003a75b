// Owns DIST: correlations of softmaxes along rows and along classes of a batch.
//
// Three passes: softmaxes of both networks and correlations along rows, over chunks of rows;
// correlations along classes, over chunks of classes; and the gradient through the student's
// softmax, over chunks of rows.

#include <math.h>

#include "core/parallel.h"
#include "distill/losses.h"
#include "train/row_loss.h"

enum { INTER, INTRA, SQUARE, PARTIALS };

struct job {
    const struct dc_op_call *call;
    const struct dc_dist_attributes *attributes;
    int64_t rows, classes;
    double *partials;                // [chunks][PARTIALS]
    double *student, *teacher, *dy;  // [rows][classes]: softmaxes, and the gradient by the first
};

static double mean_of(const double *x, int64_t count, int64_t stride)
{
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++)
        sum += x[i * stride];
    return sum / (double)count;
}

// Pearson's correlation of a and b; adds scale times its gradient by a to da.
static double correlate(double *da, const double *a, const double *b, int64_t count, int64_t stride,
                        double scale)
{
    const double mean_a = mean_of(a, count, stride), mean_b = mean_of(b, count, stride);
    double aa = 0.0, bb = 0.0, ab = 0.0;
    for (int64_t i = 0; i < count; i++) {
        const double x = a[i * stride] - mean_a, y = b[i * stride] - mean_b;
        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    const double norm_a = sqrt(aa), norm_b = sqrt(bb), below = norm_a * norm_b + 1e-8;
    const double along = norm_a > 0.0 ? ab * norm_b / (norm_a * below * below) : 0.0;
    for (int64_t i = 0; i < count; i++)
        da[i * stride] += scale *
                          ((b[i * stride] - mean_b) / below - along * (a[i * stride] - mean_a));
    return ab / below;
}

static void rows_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *j = arg;
    const struct dc_rows rows = dc_chunk_rows(j->rows, j->call->ctx->chunks, chunk);
    const double tau = (double)j->attributes->tau;
    const double scale = -(double)j->attributes->beta * tau * tau / (double)j->rows;
    double sum = 0.0;
    for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
        const int64_t at = r * j->classes;
        const float *student = dc_f32(&j->call->in[0]) + at;
        const float *teacher = dc_f32(&j->call->in[1]) + at;
        dc_log_sum_exp(j->student + at, student, tau, j->classes);
        dc_log_sum_exp(j->teacher + at, teacher, tau, j->classes);
        for (int64_t c = 0; c < j->classes; c++) {
            j->dy[at + c] = 0.0;
            sum += 0.0 * (double)student[c] * (double)teacher[c];  // unless not finite
        }
        sum += 1.0 - correlate(j->dy + at, j->student + at, j->teacher + at, j->classes, 1, scale);
    }
    j->partials[chunk * PARTIALS + INTER] = sum;
    j->partials[chunk * PARTIALS + INTRA] = 0.0;
}

static void classes_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *j = arg;
    const struct dc_rows classes = dc_chunk_rows(j->classes, j->call->ctx->chunks, chunk);
    const double tau = (double)j->attributes->tau;
    const double scale = -(double)j->attributes->gamma * tau * tau / (double)j->classes;
    for (int64_t c = classes.first; c < classes.first + classes.count; c++)
        j->partials[chunk * PARTIALS + INTRA] +=
            1.0 - correlate(j->dy + c, j->student + c, j->teacher + c, j->rows, j->classes, scale);
}

static void gradient_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *j = arg;
    const struct dc_rows rows = dc_chunk_rows(j->rows, j->call->ctx->chunks, chunk);
    const double tau = (double)j->attributes->tau;
    float *gradient = j->call->saved;
    double square = 0.0;
    for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
        const double *y = j->student + r * j->classes, *dy = j->dy + r * j->classes;
        double along = 0.0;
        for (int64_t c = 0; c < j->classes; c++)
            along += y[c] * dy[c];
        for (int64_t c = 0; c < j->classes; c++) {
            const double g = (double)j->rows * y[c] / tau * (dy[c] - along);
            gradient[r * j->classes + c] = (float)g;
            square += g * g;
        }
    }
    j->partials[chunk * PARTIALS + SQUARE] = square;
}

static enum dc_status dist_forward(const struct dc_op_call *call, struct dc_error *error)
{
    const struct dc_dist_attributes *a = call->node->attributes;
    const int chunks = call->ctx->chunks;
    const int64_t classes = call->in[0].shape.dims[1], count = call->rows * classes;
    double sums[PARTIALS], *scratch = call->scratch;
    struct job job = {call, a, call->rows, classes, .partials = scratch};
    job.student = scratch + (ptrdiff_t)chunks * PARTIALS;
    job.teacher = job.student + count;
    job.dy = job.teacher + count;
    if (a->gamma != 0.0f && call->rows < 2)
        return dc_fail(error, DC_ERR_CONFIG,
                       "dist correlates classes over the batch and needs two rows, but this batch "
                       "has one; choose another batch size, or gamma: 0");
    dc_parallel_for(call->ctx, chunks, rows_chunk, &job);
    if (a->gamma != 0.0f)
        dc_parallel_for(call->ctx, chunks, classes_chunk, &job);
    dc_parallel_for(call->ctx, chunks, gradient_chunk, &job);
    dc_tree_sum_double(sums, job.partials, chunks, PARTIALS, PARTIALS);
    const double tau = (double)a->tau, rows = (double)call->rows;
    const double loss = tau * tau *
                        ((double)a->beta * sums[INTER] / rows +
                         (double)a->gamma * sums[INTRA] / (double)classes);
    return dc_loss_finish(call, rows * loss, sums[SQUARE], error);
}

static void dist_memory(struct dc_op_memory *memory, const struct dc_node *node,
                        const struct dc_shape *in, const struct dc_shape *out,
                        const struct dc_ctx *ctx)
{
    (void)node;
    (void)out;
    dc_loss_memory(memory, in, 0, ctx);
    memory->forward += 3 * sizeof(double) * (size_t)dc_shape_count(&in[0]);
}

DC_LOSS_OP(dist, 2, sizeof(struct dc_dist_attributes), dc_row_loss_infer, dist_memory, NULL);

static const struct dc_field keys[] = {
    DC_FIELD(dc_dist_attributes, "beta", FLOAT, beta, "1", .maximum = 1e6,
             .help = "weight of correlations along a row"),
    DC_FIELD(dc_dist_attributes, "gamma", FLOAT, gamma, "1", .maximum = 1e6,
             .help = "weight of correlations along the batch"),
    DC_FIELD(dc_dist_attributes, "tau", FLOAT, tau, "4", .minimum = 1e-3, .maximum = 1e4,
             .help = "divides logits"),
};
const struct dc_term_kind dc_term_dist = {
    .name = "dist",
    .help = "correlation of classes and of samples with the teacher's (arXiv:2205.10536)",
    .weight = 2.0,
    .op = &dc_op_dist,
    .keys = DC_SCHEMA(NULL, keys),
    .bytes = sizeof(struct dc_dist_attributes),
    .temperature = offsetof(struct dc_dist_attributes, tau)};
