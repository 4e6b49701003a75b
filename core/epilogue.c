// Owns what surrounds the kernels of epilogues: layout of coefficients and statistics, the walk
// over tiles of rows, and the ops that are an epilogue of one part.

#include "core/epilogue.h"

#include <math.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "core/op.h"
#include "core/parallel.h"

enum { PERIOD_MULTIPLE = 16, PERIOD_LEAST = 64, TILE_PIXELS = 64, ALIGNMENT = 64 };

int dc_epilogue_period(int64_t channels)
{
    int period = (int)channels;
    while (period % PERIOD_MULTIPLE != 0 || period < PERIOD_LEAST)
        period *= 2;
    return period;
}

int64_t dc_tile_rows(int64_t row_pixels)
{
    int64_t rows = 1;
    while (2 * rows * row_pixels <= TILE_PIXELS)
        rows *= 2;
    return rows;
}

void dc_note_rows(const struct dc_statistics *statistics, const struct dc_ctx *ctx, int chunk,
                  const float *values, int64_t rows)
{
    const int64_t row = statistics->row_pixels * statistics->channels;
    const int64_t at = (int64_t)chunk * 2 * statistics->period;
    const int64_t tile = dc_tile_rows(statistics->row_pixels);
    for (int64_t r = 0; r < rows && statistics->wanted & DC_NOTE_MOMENTS; r += tile) {
        const int64_t n = rows - r < tile ? rows - r : tile;
        ctx->kernels->moments(statistics->moments + at,
                              statistics->moments + at + statistics->period, values + r * row,
                              statistics->shift, statistics->channels, statistics->period, n * row);
    }
    if (statistics->wanted & DC_NOTE_RANGE)
        ctx->kernels->range(statistics->ranges + at, statistics->ranges + at + statistics->period,
                            values, statistics->period, rows * row);
}

void dc_note_gradient_rows(const struct dc_gradient_statistics *statistics,
                           const struct dc_ctx *ctx, int chunk, const float *dy, int64_t first_row,
                           int64_t rows)
{
    const int64_t row = statistics->row_pixels * statistics->epilogue->channels;
    const int period = statistics->epilogue->period;
    double *sums = statistics->sums + (int64_t)chunk * 2 * period;
    const int64_t tile = dc_tile_rows(statistics->row_pixels);
    for (int64_t r = 0; r < rows; r += tile) {
        const int64_t n = rows - r < tile ? rows - r : tile;
        const float *x = statistics->x + (first_row + r) * row;
        if (statistics->wanted & DC_NOTE_GRADIENTS)
            ctx->kernels->epilogue_gradient_sums(sums, sums + period, dy + r * row, x,
                                                 statistics->epilogue, n * row);
        if (statistics->wanted & DC_NOTE_STEP)
            ctx->kernels->epilogue_step_sums(statistics->steps + (int64_t)chunk * period,
                                             dy + r * row, x, statistics->epilogue, n * row);
    }
}

double *dc_epilogue_total(double *sums, const struct dc_ctx *ctx, int period)
{
    double *total = sums + (int64_t)ctx->chunks * 2 * period;
    dc_tree_sum_double(total, sums, ctx->chunks, 2 * period, 2 * period);
    return total;
}

double dc_epilogue_fold(const double *sums, const struct dc_epilogue *epilogue, int channel)
{
    double sum = 0.0;
    for (int c = channel; c < epilogue->period; c += epilogue->channels)
        sum += sums[c];
    return sum;
}

void dc_epilogue_repeat(float *coefficients, const struct dc_epilogue *epilogue)
{
    for (int c = epilogue->channels; c < epilogue->period; c++)
        coefficients[c] = coefficients[c - epilogue->channels];
}

unsigned dc_epilogue_wanted(const struct dc_epilogue_part *part, const struct dc_op_call *call,
                            const struct dc_epilogue *epilogue)
{
    bool trained = false;
    for (int p = 0; p < call->node->param_count; p++)
        trained = trained || call->d_param[p];
    if (!part->finish_gradient)
        return 0;
    if (part->rank == DC_EPILOGUE_QUANTIZE)
        return trained && epilogue->quantizes ? DC_NOTE_STEP : 0;
    return trained || !epilogue->constant ? DC_NOTE_GRADIENTS : 0;
}

void dc_epilogue_finish(struct dc_epilogue *epilogue, const struct dc_op_call *call,
                        const struct dc_gradient_statistics *statistics)
{
    const struct dc_epilogue_part *part = call->node->op->epilogue;
    const unsigned wanted = dc_epilogue_wanted(part, call, epilogue);
    if (part->finish_gradient)
        part->finish_gradient(epilogue, call,
                              wanted == 0              ? NULL
                              : wanted == DC_NOTE_STEP ? statistics->steps
                                                       : statistics->sums);
}

size_t dc_epilogue_place(struct dc_epilogue *epilogue, void *base, int64_t channels)
{
    const int period = dc_epilogue_period(channels);
    float *const coefficients = base;
    if (base)
        *epilogue = (struct dc_epilogue){
            .channels = (int)channels,
            .period = period,
            .scale = coefficients,
            .shift = coefficients + period,
            .mean = coefficients + 2 * period,
            .inverse = coefficients + 3 * period,
            .gradient_a = coefficients + 4 * period,
            .gradient_b = coefficients + 5 * period,
            .gradient_d = coefficients + 6 * period,
        };
    return 7 * sizeof(float) * (size_t)period;
}

void dc_epilogue_begin(struct dc_epilogue *epilogue)
{
    epilogue->affine = epilogue->quantizes = epilogue->clips = false;
    epilogue->constant = true;
    epilogue->low = epilogue->pass_low = -INFINITY;
    epilogue->high = epilogue->pass_high = INFINITY;
}

static size_t sums_bytes(int period, const struct dc_ctx *ctx)
{
    return sizeof(double) * 2 * (size_t)period * (size_t)(ctx->chunks + 1);
}

size_t dc_gradient_sums_bytes(int64_t channels, const struct dc_ctx *ctx)
{
    return sums_bytes(dc_epilogue_period(channels), ctx) / 2 * 3;
}

void dc_gradient_statistics_begin(struct dc_gradient_statistics *statistics,
                                  const struct dc_epilogue *epilogue, const float *x,
                                  unsigned wanted, void *base, const struct dc_ctx *ctx)
{
    statistics->epilogue = epilogue;
    statistics->x = x;
    statistics->wanted = wanted;
    statistics->sums = base;
    statistics->steps = statistics->sums + (int64_t)(ctx->chunks + 1) * 2 * epilogue->period;
    memset(base, 0, dc_gradient_sums_bytes(epilogue->channels, ctx));
}

size_t dc_statistics_place(struct dc_statistics *statistics, void *base,
                           const struct dc_shape *shape, const struct dc_ctx *ctx)
{
    const int64_t channels = shape->dims[shape->rank - 1];
    const int period = dc_epilogue_period(channels);
    const size_t floats = sizeof(float) * (size_t)period;
    if (base)
        *statistics = (struct dc_statistics){
            .channels = (int)channels,
            .period = period,
            .row_pixels = dc_shape_row(shape) / channels,
            .moments = base,
            .ranges = (float *)((char *)base + sums_bytes(period, ctx)),
            .shift = (float *)((char *)base + sums_bytes(period, ctx)) +
                     (int64_t)ctx->chunks * 2 * period,
        };
    return sums_bytes(period, ctx) + floats * (size_t)(2 * ctx->chunks + 1);
}

void dc_statistics_clear(const struct dc_statistics *statistics, const struct dc_ctx *ctx)
{
    if (statistics->wanted & DC_NOTE_MOMENTS)
        memset(statistics->moments, 0, sums_bytes(statistics->period, ctx));
    for (int chunk = 0; chunk < ctx->chunks && statistics->wanted & DC_NOTE_RANGE; chunk++) {
        float *range = statistics->ranges + (int64_t)chunk * 2 * statistics->period;
        for (int c = 0; c < statistics->period; c++) {
            range[c] = INFINITY;
            range[statistics->period + c] = -INFINITY;
        }
    }
}

// ---- an op that is an epilogue of one part
// ----------------------------------------------------------

struct job {
    const struct dc_op_call *call;
    const struct dc_epilogue *epilogue;
    const struct dc_statistics *statistics;
    const struct dc_gradient_statistics *gradient_statistics;
    int64_t row;  // values of a row
};

static size_t round_up(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

void dc_epilogue_memory(struct dc_op_memory *memory, const struct dc_node *node,
                        const struct dc_shape *in, const struct dc_shape *out,
                        const struct dc_ctx *ctx)
{
    (void)node;
    (void)out;
    const int64_t channels = in->dims[in->rank - 1];
    memory->saved = round_up(sizeof(struct dc_epilogue)) + dc_epilogue_place(NULL, NULL, channels);
    memory->forward = round_up(memory->saved) + dc_statistics_place(NULL, NULL, in, ctx);
    memory->backward = dc_gradient_sums_bytes(channels, ctx);
}

static void note_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *job = arg;
    const struct dc_rows rows = dc_chunk_rows(job->call->rows, job->call->ctx->chunks, chunk);
    dc_note_rows(job->statistics, job->call->ctx, chunk,
                 dc_f32(&job->call->in[0]) + rows.first * job->row, rows.count);
}

void dc_epilogue_note_all(const struct dc_statistics *statistics, const struct dc_op_call *call)
{
    struct job job = {
        .call = call, .statistics = statistics, .row = dc_shape_row(&call->in[0].shape)};
    if (statistics->wanted)
        dc_parallel_for(call->ctx, call->ctx->chunks, note_chunk, &job);
}

static void apply_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *job = arg;
    const struct dc_rows rows = dc_chunk_rows(job->call->rows, job->call->ctx->chunks, chunk);
    const int64_t at = rows.first * job->row;
    job->call->ctx->kernels->epilogue(dc_f32(&job->call->out) + at, dc_f32(&job->call->in[0]) + at,
                                      job->epilogue, rows.count * job->row);
}

void dc_epilogue_apply_all(const struct dc_epilogue *epilogue, const struct dc_op_call *call)
{
    struct job job = {.call = call, .epilogue = epilogue, .row = dc_shape_row(&call->in[0].shape)};
    dc_parallel_for(call->ctx, call->ctx->chunks, apply_chunk, &job);
}

enum dc_status dc_epilogue_forward(const struct dc_op_call *call, struct dc_error *error)
{
    const struct dc_epilogue_part *part = call->node->op->epilogue;
    const struct dc_shape *shape = &call->in[0].shape;
    char *base = call->saved ? call->saved : call->scratch;
    struct dc_epilogue *epilogue = (struct dc_epilogue *)base;
    const size_t placed = dc_epilogue_place(epilogue, base + round_up(sizeof *epilogue),
                                            shape->dims[shape->rank - 1]);
    struct dc_statistics statistics = {.wanted = 0};
    dc_statistics_place(&statistics,
                        (char *)call->scratch + round_up(round_up(sizeof *epilogue) + placed),
                        shape, call->ctx);
    dc_epilogue_begin(epilogue);
    if (part->want)
        part->want(&statistics, call);
    dc_statistics_clear(&statistics, call->ctx);
    dc_epilogue_note_all(&statistics, call);
    DC_TRY(part->extend(epilogue, call, &statistics, error));
    dc_epilogue_apply_all(epilogue, call);
    return DC_OK;
}

static void note_gradient_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *job = arg;
    const struct dc_rows rows = dc_chunk_rows(job->call->rows, job->call->ctx->chunks, chunk);
    dc_note_gradient_rows(job->gradient_statistics, job->call->ctx, chunk,
                          dc_f32(&job->call->d_out) + rows.first * job->row, rows.first,
                          rows.count);
}

void dc_epilogue_note_all_gradients(const struct dc_gradient_statistics *statistics,
                                    const struct dc_op_call *call)
{
    struct job job = {
        .call = call, .gradient_statistics = statistics, .row = dc_shape_row(&call->in[0].shape)};
    dc_parallel_for(call->ctx, call->ctx->chunks, note_gradient_chunk, &job);
}

static void apply_gradient_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *job = arg;
    const struct dc_op_call *call = job->call;
    const struct dc_rows rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    const int64_t at = rows.first * job->row;
    call->ctx->kernels->epilogue_gradient(dc_f32(&call->d_in[0]) + at, dc_f32(&call->d_out) + at,
                                          dc_f32(&call->in[0]) + at, job->epilogue,
                                          rows.count * job->row, call->add_gradient[0]);
}

void dc_epilogue_apply_all_gradients(const struct dc_epilogue *epilogue,
                                     const struct dc_op_call *call)
{
    struct job job = {.call = call, .epilogue = epilogue, .row = dc_shape_row(&call->in[0].shape)};
    if (call->d_in[0].data)
        dc_parallel_for(call->ctx, call->ctx->chunks, apply_gradient_chunk, &job);
}

enum dc_status dc_epilogue_backward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    const struct dc_epilogue_part *part = call->node->op->epilogue;
    struct dc_epilogue *epilogue = call->saved;
    struct dc_gradient_statistics statistics = {.row_pixels = dc_shape_row(&call->in[0].shape) /
                                                              epilogue->channels,
                                                .wanted = dc_epilogue_wanted(part, call, epilogue)};
    if (statistics.wanted) {
        dc_gradient_statistics_begin(&statistics, epilogue, dc_f32(&call->in[0]), statistics.wanted,
                                     call->scratch, call->ctx);
        dc_epilogue_note_all_gradients(&statistics, call);
    }
    dc_epilogue_finish(epilogue, call, &statistics);
    dc_epilogue_apply_all_gradients(epilogue, call);
    return DC_OK;
}
