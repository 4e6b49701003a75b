// Owns the losses on relations between the samples of a batch: similarity, RKD, PKT.
//
// All of them see vectors through their dot products alone. So each is a function from the two Gram
// matrices [rows, rows] to a value and its gradient by the student's; forming the matrices and
// going back to the vectors is shared. Dot products and sums are in double, in one order whatever
// the number of threads; d^2 = |a|^2 + |b|^2 - 2 a.b of equal vectors is exactly 0.

#include <math.h>

#include "core/math.h"
#include "core/parallel.h"
#include "distill/losses.h"
#include "train/row_loss.h"

struct job {
    const struct dc_op_call *call;
    int64_t rows;
    double *gram[2];  // of student and teacher
    double *d_gram;   // by the student's; only its sum with its transpose matters
    double *partials;
    double *inverse[2], *parts;  // of rkd: 1 / D, and [chunks][rows][rows]; of pkt: rows
    double scale;
};

typedef double relation(struct job *job);

// In lanes, so that the compiler may keep several sums at once; the order is fixed.
static double dot(const float *a, const float *b, int64_t count)
{
    double lanes[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (int k = 0; k < 8; k++)
            lanes[k] += (double)a[i + k] * (double)b[i + k];
    for (; i < count; i++)
        lanes[0] += (double)a[i] * (double)b[i];
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
           ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

static void gram_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *j = arg;
    const struct dc_rows rows = dc_chunk_rows(j->rows, j->call->ctx->chunks, chunk);
    for (int k = 0; k < 2; k++) {
        const float *x = dc_f32(&j->call->in[k]);
        const int64_t size = dc_shape_row(&j->call->in[k].shape);
        for (int64_t a = rows.first; a < rows.first + rows.count; a++)
            for (int64_t b = 0; b <= a; b++)
                j->gram[k][a * j->rows + b] = j->gram[k][b * j->rows + a] = dot(x + a * size,
                                                                                x + b * size, size);
    }
}

// dx_a = sum over b of (dG_ab + dG_ba) x_b, times the rows of the batch.
static void vectors_chunk(void *arg, int chunk, int thread)
{
    enum { BLOCK = 64 };
    (void)thread;
    const struct job *j = arg;
    const struct dc_rows rows = dc_chunk_rows(j->rows, j->call->ctx->chunks, chunk);
    const int64_t n = j->rows, size = dc_shape_row(&j->call->in[0].shape);
    const float *x = dc_f32(&j->call->in[0]);
    float *gradient = j->call->saved;
    double square = 0.0;
    for (int64_t a = rows.first; a < rows.first + rows.count; a++) {
        for (int64_t start = 0; start < size; start += BLOCK) {
            const int64_t count = size - start < BLOCK ? size - start : BLOCK;
            double sum[BLOCK] = {0};
            for (int64_t b = 0; b < n; b++) {
                const double g = (double)n * (j->d_gram[a * n + b] + j->d_gram[b * n + a]);
                for (int64_t i = 0; i < count; i++)
                    sum[i] += g * (double)x[b * size + start + i];
            }
            for (int64_t i = 0; i < count; i++) {
                gradient[a * size + start + i] = (float)sum[i];
                square += sum[i] * sum[i];
            }
        }
    }
    j->partials[chunk] = square;
}

static void zero(double *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = 0.0;
}

static enum dc_status relation_forward(const struct dc_op_call *call, relation *loss,
                                       struct dc_error *error)
{
    const int64_t n = call->rows, count = n * n;
    double *scratch = call->scratch, square;
    struct job job = {.call = call, .rows = n, .partials = scratch};
    double *at = scratch + call->ctx->chunks;
    double **const places[] = {&job.gram[0],    &job.gram[1],    &job.d_gram,
                               &job.inverse[0], &job.inverse[1], &job.parts};
    for (int i = 0; i < (call->node->op == &dc_op_rkd ? 6 : 4); i++, at += count)
        *places[i] = at;
    dc_parallel_for(call->ctx, call->ctx->chunks, gram_chunk, &job);
    zero(job.d_gram, count);
    const double value = loss(&job);
    dc_parallel_for(call->ctx, call->ctx->chunks, vectors_chunk, &job);
    dc_tree_sum_double(&square, job.partials, call->ctx->chunks, 1, 1);
    return dc_loss_finish(call, (double)n * value, square, error);
}

static enum dc_status relation_infer(struct dc_shape *out, const struct dc_node *node,
                                     const struct dc_shape *in, struct dc_error *error)
{
    for (int k = 0; k < 2; k++)
        if (in[k].rank < 2)
            return dc_fail(error, DC_ERR_CONFIG, "%s relates vectors: [batch, ...]",
                           node->op->name);
    *out = DC_SHAPE(DC_LOSS_OUTPUTS);
    return DC_OK;
}

static void relation_memory(struct dc_op_memory *memory, const struct dc_node *node,
                            const struct dc_shape *in, const struct dc_shape *out,
                            const struct dc_ctx *ctx)
{
    const int64_t matrices = node->op == &dc_op_rkd ? 5 + ctx->chunks : 3;
    (void)out;
    memory->saved = sizeof(float) * (size_t)dc_shape_count(&in[0]);
    memory->forward = sizeof(double) *
                      (size_t)(ctx->chunks + (matrices * in[0].dims[0] + 3) * in[0].dims[0]);
}

// ---- similarity ----

static double similarity(struct job *j)
{
    const int64_t n = j->rows;
    const double scale = 1.0 / (double)(n * n);
    double total = 0.0;
    for (int64_t a = 0; a < n; a++) {
        const double *s = j->gram[0] + a * n, *t = j->gram[1] + a * n;
        double *d = j->d_gram + a * n, ss = 0.0, tt = 0.0, along = 0.0;
        for (int64_t b = 0; b < n; b++) {
            ss += s[b] * s[b];
            tt += t[b] * t[b];
        }
        // zeros stay, but what is not a number does not
        const double norm_s = ss == 0.0 ? 1.0 : sqrt(ss), norm_t = tt == 0.0 ? 1.0 : sqrt(tt);
        for (int64_t b = 0; b < n; b++) {
            const double difference = s[b] / norm_s - t[b] / norm_t;
            total += difference * difference;
            d[b] = 2.0 * scale * difference;
            along += d[b] * s[b] / norm_s;
        }
        for (int64_t b = 0; b < n; b++)
            d[b] = ss == 0.0 ? 0.0 : (d[b] - along * s[b] / norm_s) / norm_s;
    }
    return scale * total;
}

// ---- PKT ----

static const double pkt_epsilon = 1e-7;

static double pkt_norm(const struct job *j, int k, int64_t a)
{
    return sqrt(j->gram[k][a * j->rows + a]) + pkt_epsilon;
}

// (cosine + 1) / 2 of row a into p, and their sum.
static double pkt_row(double *p, const struct job *j, int k, int64_t a)
{
    double sum = 0.0;
    for (int64_t b = 0; b < j->rows; b++) {
        const double norms = pkt_norm(j, k, a) * pkt_norm(j, k, b);
        p[b] = (j->gram[k][a * j->rows + b] / norms + 1.0) / 2.0;
        sum += p[b];
    }
    return sum;
}

static double pkt(struct job *j)
{
    const int64_t n = j->rows;
    const double scale = 1.0 / (double)(n * n);
    double total = 0.0, *p = j->inverse[0], *q = p + n, *d_norm = q + n;
    zero(d_norm, n);
    for (int64_t a = 0; a < n; a++) {
        const double sum = pkt_row(p, j, 0, a), sum_t = pkt_row(q, j, 1, a);
        double *d = j->d_gram + a * n, along = 0.0;
        for (int64_t b = 0; b < n; b++) {
            const double t = q[b] / sum_t + pkt_epsilon, s = p[b] / sum + pkt_epsilon;
            total += q[b] / sum_t * dc_ln(t / s);
            d[b] = -scale * (q[b] / sum_t) / s;
            along += d[b] * p[b] / sum;
        }
        for (int64_t b = 0; b < n; b++) {
            const double d_cosine = (d[b] - along) / sum / 2.0;
            const double norm_a = pkt_norm(j, 0, a), norm_b = pkt_norm(j, 0, b);
            const double cosine = j->gram[0][a * n + b] / (norm_a * norm_b);
            d[b] = d_cosine / (norm_a * norm_b);
            d_norm[a] -= d_cosine * cosine / norm_a;
            d_norm[b] -= d_cosine * cosine / norm_b;
        }
    }
    for (int64_t a = 0; a < n; a++) {
        const double norm = sqrt(j->gram[0][a * n + a]);
        j->d_gram[a * n + a] += norm > 0.0 ? d_norm[a] / (2.0 * norm) : 0.0;
    }
    return scale * total;
}

// ---- RKD ----

static double huber(double x)
{
    const double size = fabs(x);
    return size < 1.0 ? 0.5 * x * x : size - 0.5;
}

static double huber_slope(double x)
{
    return x > 1.0 ? 1.0 : x < -1.0 ? -1.0 : x;
}

static double square_distance(const struct job *j, int k, int64_t a, int64_t b)
{
    const double *g = j->gram[k];
    const int64_t n = j->rows;
    return (g[a * n + a] - g[a * n + b]) + (g[b * n + b] - g[a * n + b]);
}

// d: the gradient by the squared distance of a and b.
static void push(double *d_gram, int64_t n, int64_t a, int64_t b, double d)
{
    d_gram[a * n + a] += d;
    d_gram[b * n + b] += d;
    d_gram[a * n + b] -= 2.0 * d;
}

static double distance(const struct job *j, int k, int64_t a, int64_t b)
{
    const double square = square_distance(j, k, a, b);
    return sqrt(square < 1e-12 ? 1e-12 : square);
}

static double rkd_distance(struct job *j, double weight)
{
    const int64_t n = j->rows;
    const double pairs = (double)(n * (n - 1)), scale = weight / (double)(n * n);
    double mean[2] = {0.0, 0.0}, total = 0.0, d_mean = 0.0;
    if (n < 2)  // no distances, but what is not a number is told
        return 0.0 * (j->gram[0][0] + j->gram[1][0]);
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < n * n; i++)
            mean[k] += i / n == i % n ? 0.0 : distance(j, k, i / n, i % n) / pairs;
    for (int pass = 0; pass < 2; pass++) {  // the gradient of the mean is known after the first
        for (int64_t i = 0; i < n * n; i++) {
            const int64_t a = i / n, b = i % n;
            if (a == b)
                continue;
            const double d = distance(j, 0, a, b);
            const double x = d / mean[0] - distance(j, 1, a, b) / mean[1];
            const double slope = scale * huber_slope(x);
            if (pass == 0) {
                total += scale * huber(x);
                d_mean -= slope * d / (mean[0] * mean[0]);
            } else if (square_distance(j, 0, a, b) > 1e-12) {
                push(j->d_gram, n, a, b, (slope / mean[0] + d_mean / pairs) / (2.0 * d));
            }
        }
    }
    return total;
}

// All angles at sample i. <e_b - e_i, e_c - e_i> = (G_bc - G_bi) + (G_ii - G_ci).
static double angles_at(const struct job *j, double *part, int64_t i)
{
    const int64_t n = j->rows;
    const double *g = j->gram[0], *h = j->gram[1];
    const double *r = j->inverse[0] + i * n, *q = j->inverse[1] + i * n;
    double total = 0.0;
    for (int64_t b = 0; b < n; b++) {
        double to_i = 0.0, d_inverse = 0.0;
        for (int64_t c = 0; c < n; c++) {
            const double s = (g[b * n + c] - g[b * n + i]) + (g[i * n + i] - g[c * n + i]);
            const double t = (h[b * n + c] - h[b * n + i]) + (h[i * n + i] - h[c * n + i]);
            const double x = s * r[b] * r[c] - t * q[b] * q[c];
            const double d = j->scale * huber_slope(x);
            const double d_dot = d * r[b] * r[c];
            total += j->scale * huber(x);
            part[b * n + c] += d_dot;
            to_i += d_dot;
            d_inverse += d * s * r[c];
        }
        // b and c stand for each other, so what c takes from i is what b takes
        part[b * n + i] -= 2.0 * to_i;
        part[i * n + i] += to_i;
        // 1 / D by D^2; twice, for b and for c
        push(part, n, i, b, -d_inverse * r[b] * r[b] * r[b]);
    }
    return total;
}

static void angles_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *j = arg;
    const int64_t n = j->rows;
    const struct dc_rows rows = dc_chunk_rows(n, j->call->ctx->chunks, chunk);
    double *part = j->parts + chunk * n * n;
    zero(part, n * n);
    j->partials[chunk] = 0.0;
    for (int64_t i = rows.first; i < rows.first + rows.count; i++)
        j->partials[chunk] += angles_at(j, part, i);
}

static double rkd_angle(struct job *j, double weight)
{
    const int64_t n = j->rows;
    const int chunks = j->call->ctx->chunks;
    double total;
    j->scale = weight / ((double)n * (double)n * (double)n);
    for (int k = 0; k < 2; k++) {
        for (int64_t i = 0; i < n * n; i++) {
            const double square = square_distance(j, k, i / n, i % n);
            j->inverse[k][i] = square <= 1e-24 ? 0.0 : 1.0 / sqrt(square);
        }
    }
    dc_parallel_for(j->call->ctx, chunks, angles_chunk, j);
    dc_tree_sum_double(&total, j->partials, chunks, 1, 1);
    dc_tree_sum_double(j->parts, j->parts, chunks, n * n, n * n);
    for (int64_t i = 0; i < n * n; i++)
        j->d_gram[i] += j->parts[i];
    return total;
}

static double rkd(struct job *j)
{
    const struct dc_rkd_attributes *a = j->call->node->attributes;
    double total = 0.0;
    if (a->distance_weight != 0.0f)
        total += rkd_distance(j, (double)a->distance_weight);
    if (a->angle_weight != 0.0f)
        total += rkd_angle(j, (double)a->angle_weight);
    return total;
}

#define RELATION_LOSS(id)                                                                          \
    static enum dc_status id##_forward(const struct dc_op_call *call, struct dc_error *error)      \
    {                                                                                              \
        return relation_forward(call, id, error);                                                  \
    }

RELATION_LOSS(similarity)
DC_LOSS_OP(similarity, 2, 0, relation_infer, relation_memory, NULL);
RELATION_LOSS(pkt)
DC_LOSS_OP(pkt, 2, 0, relation_infer, relation_memory, NULL);
RELATION_LOSS(rkd)
DC_LOSS_OP(rkd, 2, sizeof(struct dc_rkd_attributes), relation_infer, relation_memory, NULL);

const struct dc_term_kind dc_term_similarity = {
    .name = "similarity",
    .help = "which samples of a batch are alike (arXiv:1907.09682)",
    .weight = 3000.0,
    .op = &dc_op_similarity,
    .features = true};

const struct dc_term_kind dc_term_pkt = {.name = "pkt",
                                         .help = "the same as probabilities (arXiv:1803.10837)",
                                         .weight = 30000.0,
                                         .op = &dc_op_pkt,
                                         .features = true};

static const struct dc_field rkd_keys[] = {
    DC_FIELD(dc_rkd_attributes, "distance_weight", FLOAT, distance_weight, "25", .maximum = 1e6,
             .help = "of distances between samples"),
    DC_FIELD(dc_rkd_attributes, "angle_weight", FLOAT, angle_weight, "50", .maximum = 1e6,
             .help = "of angles between samples"),
};
const struct dc_term_kind dc_term_rkd = {
    .name = "rkd",
    .help = "distances and angles between samples (arXiv:1904.05068)",
    .weight = 1.0,
    .op = &dc_op_rkd,
    .features = true,
    .keys = DC_SCHEMA(NULL, rkd_keys),
    .bytes = sizeof(struct dc_rkd_attributes)};
