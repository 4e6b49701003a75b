// Owns the fake quantization of activations: observing a batch, the grid of a range, rounding, and
// the straight-through gradient. Minima and maxima are exact in any order, so chunks and threads
// cannot change a range. Weights are quantized_weights.c's.

#include "qat/fake_quantize.h"

#include <math.h>

#include "core/parallel.h"

enum { CHUNKS_MAX = 64 };

struct dc_grid dc_grid_of_range(float minimum, float maximum)
{
    const float low = minimum < 0.0f ? minimum : 0.0f;
    const float high = maximum > 0.0f ? maximum : 0.0f;
    const float step = (high - low) / (float)(DC_CODE_HIGH - DC_CODE_LOW);
    struct dc_grid grid = {.low = DC_CODE_LOW, .high = DC_CODE_HIGH};
    grid.step = step < DC_STEP_FLOOR ? DC_STEP_FLOOR : step;
    grid.inverse_step = 1.0f / grid.step;
    const float zero_point = grid.low - rintf(low / grid.step);
    grid.zero_point = zero_point < grid.low    ? grid.low
                      : zero_point > grid.high ? grid.high
                                               : zero_point;
    return grid;
}

// rint for |v| <= 2^22 by adding and taking away 1.5 * 2^23: no call, the same bits everywhere.
// Values beyond 2^20 are far outside any grid and are cut to it first. NaN stays NaN.
static inline float round_code(float v)
{
    const float magic = 12582912.0f, far = 1048576.0f;
    v = v < -far ? -far : v > far ? far : v;
    return (v + magic) - magic;
}

void dc_fake_quantize(float *y, uint8_t *mask, const float *x, struct dc_grid grid, int64_t count)
{
    for (int64_t first = 0; first < count; first += 8) {
        const int n = count - first < 8 ? (int)(count - first) : 8;
        unsigned bits = 0;
        for (int i = 0; i < n; i++) {
            const float code = round_code(x[first + i] * grid.inverse_step) + grid.zero_point;
            const float q = code < grid.low ? grid.low : code > grid.high ? grid.high : code;
            y[first + i] = (q - grid.zero_point) * grid.step;
            bits |= (unsigned)(q == code) << i;
        }
        if (mask)
            mask[first / 8] = (uint8_t)bits;
    }
}

struct chunk_range {
    float minimum, maximum;
    bool nan;
};

struct job {
    const struct dc_op_call *call;
    int64_t row;  // values of one row
    struct dc_grid grid;
    bool quantizes;
    struct chunk_range ranges[CHUNKS_MAX];
};

// Each chunk's bits start on a byte of their own.
static uint8_t *chunk_mask(const struct dc_op_call *call, struct dc_rows rows, int64_t row,
                           int chunk)
{
    return call->saved ? (uint8_t *)call->saved + rows.first * row / 8 + chunk : NULL;
}

static void observe_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    struct job *job = arg;
    const struct dc_rows rows = dc_chunk_rows(job->call->rows, job->call->ctx->chunks, chunk);
    const float *x = dc_f32(&job->call->in[0]) + rows.first * job->row;
    struct chunk_range range = {INFINITY, -INFINITY, false};
    for (int64_t i = 0; i < rows.count * job->row; i++) {
        range.minimum = x[i] < range.minimum ? x[i] : range.minimum;
        range.maximum = x[i] > range.maximum ? x[i] : range.maximum;
        range.nan |= x[i] != x[i];
    }
    job->ranges[chunk] = range;
}

static enum dc_status observe(struct job *job, struct dc_error *error)
{
    const struct dc_op_call *call = job->call;
    const struct dc_fake_quantize_attributes *a = call->node->attributes;
    struct chunk_range batch = {INFINITY, -INFINITY, false};
    dc_parallel_for(call->ctx, call->ctx->chunks, observe_chunk, job);
    for (int c = 0; c < call->ctx->chunks; c++) {
        const struct chunk_range *r = &job->ranges[c];
        batch.minimum = r->minimum < batch.minimum ? r->minimum : batch.minimum;
        batch.maximum = r->maximum > batch.maximum ? r->maximum : batch.maximum;
        batch.nan |= r->nan;
    }
    if (batch.nan || !isfinite(batch.minimum) || !isfinite(batch.maximum))
        return dc_fail(error, DC_ERR_NUMERIC, "'%s' observed a value that is %s", call->node->name,
                       batch.nan ? "NaN" : "infinite");
    float *range = call->param[0];
    if (range[DC_RANGE_SEEN] == 0.0f) {
        range[DC_RANGE_MIN] = batch.minimum;
        range[DC_RANGE_MAX] = batch.maximum;
        range[DC_RANGE_SEEN] = 1.0f;
    } else if (a->observer == DC_OBSERVER_MIN_MAX) {
        if (batch.minimum < range[DC_RANGE_MIN])
            range[DC_RANGE_MIN] = batch.minimum;
        if (batch.maximum > range[DC_RANGE_MAX])
            range[DC_RANGE_MAX] = batch.maximum;
    } else {
        range[DC_RANGE_MIN] += a->constant * (batch.minimum - range[DC_RANGE_MIN]);
        range[DC_RANGE_MAX] += a->constant * (batch.maximum - range[DC_RANGE_MAX]);
    }
    return DC_OK;
}

static void forward_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *job = arg;
    const struct dc_rows rows = dc_chunk_rows(job->call->rows, job->call->ctx->chunks, chunk);
    const float *x = dc_f32(&job->call->in[0]) + rows.first * job->row;
    float *y = dc_f32(&job->call->out) + rows.first * job->row;
    uint8_t *mask = chunk_mask(job->call, rows, job->row, chunk);
    const int64_t count = rows.count * job->row;
    if (job->quantizes) {
        dc_fake_quantize(y, mask, x, job->grid, count);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        y[i] = x[i];
    for (int64_t i = 0; mask && i < (count + 7) / 8; i++)
        mask[i] = 0xff;
}

static enum dc_status forward(const struct dc_op_call *call, struct dc_error *error)
{
    struct job job = {.call = call, .row = dc_shape_row(&call->out.shape)};
    const bool off = call->step && call->step->quantizers_off;
    const bool frozen = call->step && call->step->freeze_observers;
    const float *range = call->param[0];
    if (!frozen && call->rows > 0 && (call->mode == DC_TRAINING || off))
        DC_TRY(observe(&job, error));
    job.quantizes = !off;
    if (job.quantizes && !(range[DC_RANGE_SEEN] > 0.0f))
        return dc_fail(error, DC_ERR_NUMERIC,
                       "'%s' has no range: nothing was observed, so train or calibrate first",
                       call->node->name);
    job.grid = dc_grid_of_range(range[DC_RANGE_MIN], range[DC_RANGE_MAX]);
    dc_parallel_for(call->ctx, call->ctx->chunks, forward_chunk, &job);
    return DC_OK;
}

static void backward_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *job = arg;
    const struct dc_op_call *call = job->call;
    const struct dc_rows rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    const float *dy = dc_f32(&call->d_out) + rows.first * job->row;
    float *dx = dc_f32(&call->d_in[0]) + rows.first * job->row;
    const uint8_t *mask = chunk_mask(call, rows, job->row, chunk);
    for (int64_t i = 0; i < rows.count * job->row; i++) {
        const float d = mask[i / 8] >> (i % 8) & 1 ? dy[i] : 0.0f;
        dx[i] = call->add_gradient[0] ? dx[i] + d : d;
    }
}

static enum dc_status backward(const struct dc_op_call *call, struct dc_error *error)
{
    (void)error;
    struct job job = {.call = call, .row = dc_shape_row(&call->in[0].shape)};
    if (call->d_in[0].data)
        dc_parallel_for(call->ctx, call->ctx->chunks, backward_chunk, &job);
    return DC_OK;
}

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_fake_quantize_attributes *a = node->attributes;
    *out = in[0];
    if (!(a->constant > 0.0f) || !(a->constant <= 1.0f))
        return dc_fail(error, DC_ERR_CONFIG, "the averaging constant must be in (0, 1], not %g",
                       (double)a->constant);
    return DC_OK;
}

static int declare(struct dc_param_spec specs[DC_OP_PARAMS_MAX], const struct dc_node *node,
                   const struct dc_shape *in)
{
    (void)node;
    (void)in;
    specs[0] = (struct dc_param_spec){.name = "range",
                                      .role = DC_ROLE_OBSERVER,
                                      .shape = DC_SHAPE(DC_RANGE_COUNT),
                                      .init = DC_INIT_CONSTANT};
    return 1;
}

static void memory(struct dc_op_memory *memory, const struct dc_node *node,
                   const struct dc_shape *in, const struct dc_shape *out, const struct dc_ctx *ctx)
{
    (void)node;
    (void)in;
    memory->saved = (size_t)(dc_shape_count(out) / 8 + ctx->chunks + 1);
}

const struct dc_op dc_op_fake_quantize = {
    .name = "fake_quantize",
    .inputs_min = 1,
    .inputs_max = 1,
    .attribute_bytes = sizeof(struct dc_fake_quantize_attributes),
    .infer = infer,
    .declare = declare,
    .memory = memory,
    .forward = forward,
    .backward = backward,
};
