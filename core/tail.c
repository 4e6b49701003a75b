// Owns what surrounds the kernels of tails: layout of coefficients and notes, the walk over tiles
// of rows, and the ops that are a tail of one part.

#include "core/tail.h"

#include <math.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "core/op.h"
#include "core/parallel.h"

enum { PERIOD_MULTIPLE = 16, PERIOD_LEAST = 64, TILE_PIXELS = 64, ALIGNMENT = 64 };

int dc_tail_period(int64_t channels)
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

void dc_note_rows(const struct dc_notes *notes, const struct dc_ctx *ctx, int chunk,
                  const float *values, int64_t rows)
{
    const int64_t row = notes->row_pixels * notes->channels;
    const int64_t at = (int64_t)chunk * 2 * notes->period;
    const int64_t tile = dc_tile_rows(notes->row_pixels);
    for (int64_t r = 0; r < rows && notes->wanted & DC_NOTE_MOMENTS; r += tile) {
        const int64_t n = rows - r < tile ? rows - r : tile;
        ctx->kernels->moments(notes->moments + at, notes->moments + at + notes->period,
                              values + r * row, notes->shift, notes->channels, notes->period,
                              n * row);
    }
    if (notes->wanted & DC_NOTE_RANGE)
        ctx->kernels->range(notes->ranges + at, notes->ranges + at + notes->period, values,
                            notes->period, rows * row);
}

void dc_note_gradient_rows(const struct dc_gradient_notes *notes, const struct dc_ctx *ctx,
                           int chunk, const float *dy, int64_t first_row, int64_t rows)
{
    const int64_t row = notes->row_pixels * notes->tail->channels;
    const int period = notes->tail->period;
    double *sums = notes->sums + (int64_t)chunk * 2 * period;
    const int64_t tile = dc_tile_rows(notes->row_pixels);
    for (int64_t r = 0; r < rows; r += tile) {
        const int64_t n = rows - r < tile ? rows - r : tile;
        const float *x = notes->x + (first_row + r) * row;
        if (notes->wanted & DC_NOTE_GRADIENTS)
            ctx->kernels->tail_gradient_sums(sums, sums + period, dy + r * row, x, notes->tail,
                                             n * row);
        if (notes->wanted & DC_NOTE_STEP)
            ctx->kernels->tail_step_sums(notes->steps + (int64_t)chunk * period, dy + r * row, x,
                                         notes->tail, n * row);
    }
}

double *dc_tail_total(double *sums, const struct dc_ctx *ctx, int period)
{
    double *total = sums + (int64_t)ctx->chunks * 2 * period;
    dc_tree_sum_double(total, sums, ctx->chunks, 2 * period, 2 * period);
    return total;
}

double dc_tail_fold(const double *sums, const struct dc_tail *tail, int channel)
{
    double sum = 0.0;
    for (int c = channel; c < tail->period; c += tail->channels)
        sum += sums[c];
    return sum;
}

void dc_tail_repeat(float *coefficients, const struct dc_tail *tail)
{
    for (int c = tail->channels; c < tail->period; c++)
        coefficients[c] = coefficients[c - tail->channels];
}

unsigned dc_tail_wanted(const struct dc_tail_part *part, const struct dc_op_call *call,
                        const struct dc_tail *tail)
{
    bool trained = false;
    for (int p = 0; p < call->node->param_count; p++)
        trained = trained || call->d_param[p];
    if (!part->finish_gradient)
        return 0;
    if (part->rank == DC_TAIL_QUANTIZE)
        return trained && tail->quantizes ? DC_NOTE_STEP : 0;
    return trained || !tail->constant ? DC_NOTE_GRADIENTS : 0;
}

void dc_tail_finish(struct dc_tail *tail, const struct dc_op_call *call,
                    const struct dc_gradient_notes *notes)
{
    const struct dc_tail_part *part = call->node->op->tail;
    const unsigned wanted = dc_tail_wanted(part, call, tail);
    if (part->finish_gradient)
        part->finish_gradient(tail, call,
                              wanted == 0              ? NULL
                              : wanted == DC_NOTE_STEP ? notes->steps
                                                       : notes->sums);
}

size_t dc_tail_place(struct dc_tail *tail, void *base, int64_t channels)
{
    const int period = dc_tail_period(channels);
    float *const coefficients = base;
    if (base)
        *tail = (struct dc_tail){
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

void dc_tail_begin(struct dc_tail *tail)
{
    tail->affine = tail->quantizes = tail->clips = false;
    tail->constant = true;
    tail->low = tail->pass_low = -INFINITY;
    tail->high = tail->pass_high = INFINITY;
}

static size_t sums_bytes(int period, const struct dc_ctx *ctx)
{
    return sizeof(double) * 2 * (size_t)period * (size_t)(ctx->chunks + 1);
}

size_t dc_gradient_sums_bytes(int64_t channels, const struct dc_ctx *ctx)
{
    return sums_bytes(dc_tail_period(channels), ctx) / 2 * 3;
}

void dc_gradient_notes_begin(struct dc_gradient_notes *notes, const struct dc_tail *tail,
                             const float *x, unsigned wanted, void *base, const struct dc_ctx *ctx)
{
    notes->tail = tail;
    notes->x = x;
    notes->wanted = wanted;
    notes->sums = base;
    notes->steps = notes->sums + (int64_t)(ctx->chunks + 1) * 2 * tail->period;
    memset(base, 0, dc_gradient_sums_bytes(tail->channels, ctx));
}

size_t dc_notes_place(struct dc_notes *notes, void *base, const struct dc_shape *shape,
                      const struct dc_ctx *ctx)
{
    const int64_t channels = shape->dims[shape->rank - 1];
    const int period = dc_tail_period(channels);
    const size_t floats = sizeof(float) * (size_t)period;
    if (base)
        *notes = (struct dc_notes){
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

void dc_notes_clear(const struct dc_notes *notes, const struct dc_ctx *ctx)
{
    if (notes->wanted & DC_NOTE_MOMENTS)
        memset(notes->moments, 0, sums_bytes(notes->period, ctx));
    for (int chunk = 0; chunk < ctx->chunks && notes->wanted & DC_NOTE_RANGE; chunk++) {
        float *range = notes->ranges + (int64_t)chunk * 2 * notes->period;
        for (int c = 0; c < notes->period; c++) {
            range[c] = INFINITY;
            range[notes->period + c] = -INFINITY;
        }
    }
}

// ---- an op that is a tail of one part ----------------------------------------------------------

struct job {
    const struct dc_op_call *call;
    const struct dc_tail *tail;
    const struct dc_notes *notes;
    const struct dc_gradient_notes *gradient_notes;
    int64_t row;  // values of a row
};

static size_t round_up(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

void dc_tail_memory(struct dc_op_memory *memory, const struct dc_node *node,
                    const struct dc_shape *in, const struct dc_shape *out, const struct dc_ctx *ctx)
{
    (void)node;
    (void)out;
    const int64_t channels = in->dims[in->rank - 1];
    memory->saved = round_up(sizeof(struct dc_tail)) + dc_tail_place(NULL, NULL, channels);
    memory->forward = round_up(memory->saved) + dc_notes_place(NULL, NULL, in, ctx);
    memory->backward = dc_gradient_sums_bytes(channels, ctx);
}

static void note_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *job = arg;
    const struct dc_rows rows = dc_chunk_rows(job->call->rows, job->call->ctx->chunks, chunk);
    dc_note_rows(job->notes, job->call->ctx, chunk,
                 dc_f32(&job->call->in[0]) + rows.first * job->row, rows.count);
}

void dc_tail_note_all(const struct dc_notes *notes, const struct dc_op_call *call)
{
    struct job job = {.call = call, .notes = notes, .row = dc_shape_row(&call->in[0].shape)};
    if (notes->wanted)
        dc_parallel_for(call->ctx, call->ctx->chunks, note_chunk, &job);
}

static void apply_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *job = arg;
    const struct dc_rows rows = dc_chunk_rows(job->call->rows, job->call->ctx->chunks, chunk);
    const int64_t at = rows.first * job->row;
    job->call->ctx->kernels->tail(dc_f32(&job->call->out) + at, dc_f32(&job->call->in[0]) + at,
                                  job->tail, rows.count * job->row);
}

void dc_tail_apply_all(const struct dc_tail *tail, const struct dc_op_call *call)
{
    struct job job = {.call = call, .tail = tail, .row = dc_shape_row(&call->in[0].shape)};
    dc_parallel_for(call->ctx, call->ctx->chunks, apply_chunk, &job);
}

enum dc_status dc_tail_forward(const struct dc_op_call *call, struct dc_error *error)
{
    const struct dc_tail_part *part = call->node->op->tail;
    const struct dc_shape *shape = &call->in[0].shape;
    char *base = call->saved ? call->saved : call->scratch;
    struct dc_tail *tail = (struct dc_tail *)base;
    const size_t placed = dc_tail_place(tail, base + round_up(sizeof *tail),
                                        shape->dims[shape->rank - 1]);
    struct dc_notes notes = {.wanted = 0};
    dc_notes_place(&notes, (char *)call->scratch + round_up(round_up(sizeof *tail) + placed), shape,
                   call->ctx);
    dc_tail_begin(tail);
    if (part->want)
        part->want(&notes, call);
    dc_notes_clear(&notes, call->ctx);
    dc_tail_note_all(&notes, call);
    DC_TRY(part->extend(tail, call, &notes, error));
    dc_tail_apply_all(tail, call);
    return DC_OK;
}

static void note_gradient_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *job = arg;
    const struct dc_rows rows = dc_chunk_rows(job->call->rows, job->call->ctx->chunks, chunk);
    dc_note_gradient_rows(job->gradient_notes, job->call->ctx, chunk,
                          dc_f32(&job->call->d_out) + rows.first * job->row, rows.first,
                          rows.count);
}

void dc_tail_note_all_gradients(const struct dc_gradient_notes *notes,
                                const struct dc_op_call *call)
{
    struct job job = {
        .call = call, .gradient_notes = notes, .row = dc_shape_row(&call->in[0].shape)};
    dc_parallel_for(call->ctx, call->ctx->chunks, note_gradient_chunk, &job);
}

static void apply_gradient_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *job = arg;
    const struct dc_op_call *call = job->call;
    const struct dc_rows rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    const int64_t at = rows.first * job->row;
    call->ctx->kernels->tail_gradient(dc_f32(&call->d_in[0]) + at, dc_f32(&call->d_out) + at,
                                      dc_f32(&call->in[0]) + at, job->tail, rows.count * job->row,
                                      call->add_gradient[0]);
}

void dc_tail_apply_all_gradients(const struct dc_tail *tail, const struct dc_op_call *call)
{
    struct job job = {.call = call, .tail = tail, .row = dc_shape_row(&call->in[0].shape)};
    if (call->d_in[0].data)
        dc_parallel_for(call->ctx, call->ctx->chunks, apply_gradient_chunk, &job);
}

enum dc_status dc_tail_backward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    const struct dc_tail_part *part = call->node->op->tail;
    struct dc_tail *tail = call->saved;
    struct dc_gradient_notes notes = {.row_pixels = dc_shape_row(&call->in[0].shape) /
                                                    tail->channels,
                                      .wanted = dc_tail_wanted(part, call, tail)};
    if (notes.wanted) {
        dc_gradient_notes_begin(&notes, tail, dc_f32(&call->in[0]), notes.wanted, call->scratch,
                                call->ctx);
        dc_tail_note_all_gradients(&notes, call);
    }
    dc_tail_finish(tail, call, &notes);
    dc_tail_apply_all_gradients(tail, call);
    return DC_OK;
}
