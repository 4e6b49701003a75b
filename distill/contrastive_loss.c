// Owns CRD: the loss, its two memory banks and the constant Z.
//
// Four passes over chunks of rows: embeddings are normalized; in the first batch of all, Z is
// measured; losses and gradients; the banks take the batch in. Negatives of a row are drawn again
// in each pass that needs them, from a stream of (seed, epoch, id): nothing about them is state.

#include <math.h>

#include "core/math.h"
#include "core/parallel.h"
#include "core/random.h"
#include "distill/losses.h"
#include "train/row_loss.h"

enum { STUDENT, TEACHER, SIDES };
enum { BANK_STUDENT, BANK_TEACHER, NORMALIZER };
enum { VALUE, SQUARE, EXPONENTIALS, PARTIALS = EXPONENTIALS + SIDES };

struct job {
    const struct dc_op_call *call;
    const struct dc_crd_attributes *a;
    int64_t size;
    double *partials;  // [chunks][PARTIALS]
    double *d;         // [chunks][SIDES][size]: gradients by the normalized embeddings of a row
    double *norms;     // [SIDES][rows]
    float *v[SIDES];   // [rows][size]
};

static float dot(const float *a, const float *b, int64_t count)
{
    float lanes[16] = {0};
    int64_t i = 0;
    for (; i + 16 <= count; i += 16)
        for (int k = 0; k < 16; k++)
            lanes[k] += a[i + k] * b[i + k];
    for (; i < count; i++)
        lanes[0] += a[i] * b[i];
    for (int width = 8; width > 0; width /= 2)
        for (int k = 0; k < width; k++)
            lanes[k] += lanes[k + width];
    return lanes[0];
}

// Returns the norm; zeros stay.
static double normalize(float *v, const float *x, int64_t size)
{
    double square = 0.0;
    for (int64_t i = 0; i < size; i++)
        square += (double)x[i] * (double)x[i];
    const double norm = sqrt(square);
    for (int64_t i = 0; i < size; i++)
        v[i] = square == 0.0 ? 0.0f : (float)((double)x[i] / norm);
    return norm;
}

// An id of another class than that of `id`, uniformly.
static int64_t draw(struct dc_random *random, const struct dc_crd_attributes *a, int64_t id)
{
    const int64_t first = a->class_start[a->labels[id]], end = a->class_start[a->labels[id] + 1];
    const int64_t place = dc_random_below(random, (uint32_t)(a->samples - (end - first)));
    return a->by_class[place < first ? place : place + (end - first)];
}

static void normalize_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *j = arg;
    const struct dc_rows rows = dc_chunk_rows(j->call->rows, j->call->ctx->chunks, chunk);
    for (int s = 0; s < SIDES; s++)
        for (int64_t r = rows.first; r < rows.first + rows.count; r++)
            j->norms[s * j->call->rows + r] = normalize(
                j->v[s] + r * j->size, dc_f32(&j->call->in[s]) + r * j->size, j->size);
}

// exp(v . m / temperature) of one side's row r and an entry of the other side's bank.
static double exponential(const struct job *j, int s, int64_t r, int64_t entry)
{
    const float *m = j->call->param[s == STUDENT ? BANK_TEACHER : BANK_STUDENT] + entry * j->size;
    return dc_exp((double)dot(j->v[s] + r * j->size, m, j->size) / (double)j->a->temperature);
}

static struct dc_random stream_of(const struct job *j, int64_t r)
{
    const struct dc_step *step = j->call->step;
    struct dc_random random;
    dc_random_start(&random, step->seed, DC_PURPOSE_NEGATIVES, step->epoch, step->ids[r]);
    return random;
}

static void measure_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *j = arg;
    const struct dc_rows rows = dc_chunk_rows(j->call->rows, j->call->ctx->chunks, chunk);
    double *sums = j->partials + (ptrdiff_t)chunk * PARTIALS + EXPONENTIALS;
    sums[STUDENT] = sums[TEACHER] = 0.0;
    for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
        struct dc_random random = stream_of(j, r);
        const int64_t id = (int64_t)j->call->step->ids[r];
        for (int k = 0; k <= j->a->negatives; k++) {
            const int64_t entry = k == 0 ? id : draw(&random, j->a, id);
            for (int s = 0; s < SIDES; s++)
                sums[s] += exponential(j, s, r, entry);
        }
    }
}

// The loss of one row against one entry, and its gradients added to those by v.
static double contrast(const struct job *j, double *d, int64_t r, int64_t entry, bool own)
{
    const double noise = (double)j->a->negatives / (double)j->a->samples;
    double loss = 0.0;
    for (int s = 0; s < SIDES; s++) {
        const float *m = j->call->param[s == STUDENT ? BANK_TEACHER : BANK_STUDENT] +
                         entry * j->size;
        const double p = exponential(j, s, r, entry) / (double)j->call->param[NORMALIZER][s];
        const double below = p + noise + 1e-7;
        loss += dc_ln(below / (own ? p : noise));
        const double slope = (own ? p / below - 1.0 : p / below) / (double)j->a->temperature;
        for (int64_t i = 0; i < j->size; i++)
            d[s * j->size + i] += slope * (double)m[i];
    }
    return loss;
}

// Through the normalization: dx = (d - v (v . d)) / |x|. Returns the square of the gradients.
static double write_gradients(const struct job *j, double *d, int64_t r)
{
    double square = 0.0;
    for (int s = 0; s < SIDES; s++) {
        const float *v = j->v[s] + r * j->size;
        const double norm = j->norms[s * j->call->rows + r];
        float *gradient = (float *)j->call->saved + (s * j->call->rows + r) * j->size;
        double along = 0.0;
        for (int64_t i = 0; i < j->size; i++)
            along += (double)v[i] * d[s * j->size + i];
        for (int64_t i = 0; i < j->size; i++) {
            const double g = norm == 0.0 ? 0.0 : (d[s * j->size + i] - (double)v[i] * along) / norm;
            gradient[i] = (float)g;
            square += g * g;
        }
    }
    return square;
}

static void loss_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *j = arg;
    const struct dc_rows rows = dc_chunk_rows(j->call->rows, j->call->ctx->chunks, chunk);
    double *partial = j->partials + (ptrdiff_t)chunk * PARTIALS;
    double *d = j->d + chunk * SIDES * j->size;
    partial[VALUE] = partial[SQUARE] = 0.0;
    for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
        struct dc_random random = stream_of(j, r);
        const int64_t id = (int64_t)j->call->step->ids[r];
        for (int64_t i = 0; i < SIDES * j->size; i++)
            d[i] = 0.0;
        for (int k = 0; k <= j->a->negatives; k++)
            partial[VALUE] += contrast(j, d, r, k == 0 ? id : draw(&random, j->a, id), k == 0);
        partial[SQUARE] += write_gradients(j, d, r);
    }
}

static void remember_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *j = arg;
    const struct dc_rows rows = dc_chunk_rows(j->call->rows, j->call->ctx->chunks, chunk);
    const float keep = j->a->momentum, take = 1.0f - j->a->momentum;
    for (int s = 0; s < SIDES; s++) {
        for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
            float *m = j->call->param[BANK_STUDENT + s] + j->call->step->ids[r] * j->size;
            for (int64_t i = 0; i < j->size; i++)
                m[i] = keep * m[i] + take * j->v[s][r * j->size + i];
            normalize(m, m, j->size);
        }
    }
}

static enum dc_status measure(const struct job *j, struct dc_error *error)
{
    const struct dc_op_call *call = j->call;
    double sums[SIDES];
    dc_parallel_for(call->ctx, call->ctx->chunks, measure_chunk, (void *)j);
    dc_tree_sum_double(sums, j->partials + EXPONENTIALS, call->ctx->chunks, SIDES, PARTIALS);
    for (int s = 0; s < SIDES; s++) {
        const double mean = sums[s] / (double)(call->rows * (1 + (int64_t)j->a->negatives));
        if (!isfinite(mean))
            return dc_fail(error, DC_ERR_NUMERIC,
                           "the normalizer of the first batch is not finite");
        call->param[NORMALIZER][s] = (float)(mean * (double)j->a->samples);
    }
    return DC_OK;
}

static enum dc_status crd_forward(const struct dc_op_call *call, struct dc_error *error)
{
    const int chunks = call->ctx->chunks;
    const int64_t size = call->in[0].shape.dims[1];
    struct job j = {.call = call, .a = call->node->attributes, .size = size};
    double sums[2];
    if (!call->step->ids || !j.a->labels)
        return dc_fail(error, DC_ERR_CONFIG,
                       "crd draws samples of other classes, and there are no labels of samples");
    j.partials = call->scratch;
    j.d = j.partials + (ptrdiff_t)chunks * PARTIALS;
    j.norms = j.d + chunks * SIDES * size;
    j.v[STUDENT] = (float *)(j.norms + SIDES * call->rows);
    j.v[TEACHER] = j.v[STUDENT] + call->rows * size;
    dc_parallel_for(call->ctx, chunks, normalize_chunk, &j);
    if (call->param[NORMALIZER][0] == 0.0f)
        DC_TRY(measure(&j, error));
    dc_parallel_for(call->ctx, chunks, loss_chunk, &j);
    dc_tree_sum_double(sums, j.partials, chunks, 2, PARTIALS);
    DC_TRY(dc_loss_finish(call, sums[VALUE], sums[SQUARE], error));
    dc_parallel_for(call->ctx, chunks, remember_chunk, &j);
    return DC_OK;
}

static int crd_declare(struct dc_param_spec specs[DC_OP_PARAMS_MAX], const struct dc_node *node,
                       const struct dc_shape *in)
{
    const struct dc_crd_attributes *a = node->attributes;
    const int64_t size = in[0].dims[1];
    for (int s = 0; s < SIDES; s++)
        specs[s] = (struct dc_param_spec){.name = s == STUDENT ? "bank_student" : "bank_teacher",
                                          .role = DC_ROLE_BANK,
                                          .shape = DC_SHAPE(a->bank_rows, size),
                                          .init = DC_INIT_KAIMING_NORMAL,
                                          .fan = 2 * size};
    specs[NORMALIZER] = (struct dc_param_spec){.name = "normalizer",
                                               .role = DC_ROLE_BANK,
                                               .shape = DC_SHAPE(SIDES),
                                               .init = DC_INIT_CONSTANT};
    return NORMALIZER + 1;
}

static void crd_memory(struct dc_op_memory *memory, const struct dc_node *node,
                       const struct dc_shape *in, const struct dc_shape *out,
                       const struct dc_ctx *ctx)
{
    const int64_t rows = in[0].dims[0], size = in[0].dims[1];
    (void)node;
    (void)out;
    memory->saved = sizeof(float) * (size_t)(SIDES * rows * size);
    memory->forward = sizeof(double) *
                          (size_t)(ctx->chunks * (PARTIALS + SIDES * size) + SIDES * rows) +
                      sizeof(float) * (size_t)(SIDES * rows * size);
}

DC_LOSS_OP(crd, 2, sizeof(struct dc_crd_attributes), dc_row_loss_infer, crd_memory, crd_declare);

static const struct dc_field keys[] = {
    DC_FIELD(dc_crd_attributes, "temperature", FLOAT, temperature, "0.07", .minimum = 1e-6,
             .maximum = 1e4, .help = "divides similarities"),
    DC_FIELD(dc_crd_attributes, "momentum", FLOAT, momentum, "0.5", .maximum = 1,
             .help = "share of the memory bank's old entry"),
    DC_FIELD(dc_crd_attributes, "embedding", INT, embedding, "128", .minimum = 1, .maximum = 4096,
             .help = "size of the embeddings"),
    DC_FIELD(dc_crd_attributes, "negatives", INT, negatives, "16384", .minimum = 1, .maximum = 1e7,
             .help = "entries of other classes a sample"),
};
const struct dc_term_kind dc_term_crd = {.name = "crd",
                                         .help = "a sample's embedding is nearer its teacher's "
                                                 "than that of other samples (arXiv:1910.10699)",
                                         .weight = 0.8,
                                         .op = &dc_op_crd,
                                         .features = true,
                                         .adaptor = DC_ADAPTOR_EMBEDDING,
                                         .keys = DC_SCHEMA(NULL, keys),
                                         .bytes = sizeof(struct dc_crd_attributes)};
