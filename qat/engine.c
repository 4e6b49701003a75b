// Owns the arithmetic of an integer network. If a board's bytes differ, this is the file to read:
// one kernel an op, each the sum from the textbook, then the profile's requantization. Where the
// level has a faster kernel for a layer (engine_kernels.h), dc_engine_run uses it for the same
// bytes; a trace, and a layer that no kernel takes, always runs here.
//
// Invariants: models are valid when they exist (qat/imodel.c), so nothing is checked here; the
// proven accumulator bounds say that no int32 sum overflows. Values are int8, [height, width,
// channels]. Dot products run over weights widened to int16 and padded with zeros to a multiple of
// 16 taps, which changes no sum and lets the compiler use 16-bit multiply-adds.

#include "qat/engine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/parallel.h"
#include "qat/engine_kernels.h"
#include "qat/profile.h"
#include "qat/softmax.h"

enum { TAPS_BLOCK = 16, ROWS_BLOCK = 4 };

// What one thread needs for one sample.
struct workspace {
    int8_t *arena;
    int8_t **values;  // [layer]
    int16_t *window;  // the inputs under one window, minus the zero point
    int32_t *sums;    // of one position; unless they are traced
    void *padded;     // an input with its border, for the level's kernels
};

struct dc_engine {
    const struct dc_ctx *ctx;
    const struct dc_imodel *model;
    struct dc_arena *memory;
    struct dc_block *blocks;  // [layer], apart: nothing here is written over what it reads
    int16_t **wide;  // [layer]: weights [channels][taps padded], depthwise [taps][channels]
    const struct dc__engine_kernels *kernels;  // of the level, or NULL
    struct dc__fast_layer **fast;              // [layer]: or NULL: by the plain loops
    struct workspace *workspaces;              // [threads]
};

// One layer's call: everything a kernel reads and writes.
struct call {
    const struct dc_ilayer *layer;
    const struct dc_ilayer *const *in_layers;
    const int8_t *const *in;
    int8_t *out;
    const struct dc_profile *profile;
    const int16_t *wide;
    int16_t *window;
    int32_t *sums;
    bool trace;  // sums is [height, width, channels] and kept; else one position, reused
};

static int64_t padded_taps(int64_t taps)
{
    return (taps + TAPS_BLOCK - 1) / TAPS_BLOCK * TAPS_BLOCK;
}

static int32_t *sums_at(const struct call *call, int64_t position)
{
    return call->trace ? call->sums + position * call->layer->channels : call->sums;
}

static int32_t dot(const int16_t *a, const int16_t *b, int64_t count)
{
    int32_t sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (int32_t)a[i] * b[i];
    return sum;
}

// window[ky][kx][c] = x - zero point; 0 in the padding, which holds the zero point.
static void gather(const struct call *call, int oy, int ox)
{
    const struct dc_ilayer *l = call->layer, *x = call->in_layers[0];
    int16_t *to = call->window;
    for (int ky = 0; ky < l->window.kernel[0]; ky++) {
        const int iy = oy * l->window.stride[0] - l->window.before[0] + ky * l->window.dilation[0];
        for (int kx = 0; kx < l->window.kernel[1]; kx++, to += x->channels) {
            const int ix = ox * l->window.stride[1] - l->window.before[1] +
                           kx * l->window.dilation[1];
            if (iy < 0 || iy >= x->height || ix < 0 || ix >= x->width) {
                memset(to, 0, (size_t)x->channels * sizeof *to);
                continue;
            }
            const int8_t *from = call->in[0] + ((int64_t)iy * x->width + ix) * x->channels;
            for (int c = 0; c < x->channels; c++)
                to[c] = (int16_t)(from[c] - x->zero_point);
        }
    }
}

// sum[o] = bias[o] + sum over ky, kx, i of w[o][ky][kx][i] * (x[ky][kx][i] - zero point)
static void conv2d(const struct call *call)
{
    const struct dc_ilayer *l = call->layer;
    const int64_t taps = padded_taps(l->weight_count / l->channels);
    for (int oy = 0; oy < l->height; oy++) {
        for (int ox = 0; ox < l->width; ox++) {
            const int64_t position = (int64_t)oy * l->width + ox;
            int32_t *sums = sums_at(call, position);
            gather(call, oy, ox);
            for (int o = 0; o < l->channels; o++)
                sums[o] = l->biases[o] + dot(call->window, call->wide + o * taps, taps);
            call->profile->requantize(call->out + position * l->channels, sums, l,
                                      call->in_layers[0]);
        }
    }
}

static void fully_connected(const struct call *call)
{
    const struct dc_ilayer *l = call->layer;
    const int64_t inputs = l->weight_count / l->channels, taps = padded_taps(inputs);
    for (int64_t i = 0; i < inputs; i++)
        call->window[i] = (int16_t)(call->in[0][i] - call->in_layers[0]->zero_point);
    for (int o = 0; o < l->channels; o++)
        call->sums[o] = l->biases[o] + dot(call->window, call->wide + o * taps, taps);
    call->profile->requantize(call->out, call->sums, l, call->in_layers[0]);
}

// sum[c] = bias[c] + sum over ky, kx of w[ky][kx][c] * (x[ky][kx][c / multiplier] - zero point)
static void depthwise_conv2d(const struct call *call)
{
    const struct dc_ilayer *l = call->layer;
    const int in_channels = call->in_layers[0]->channels, multiplier = l->channels / in_channels;
    for (int oy = 0; oy < l->height; oy++) {
        for (int ox = 0; ox < l->width; ox++) {
            const int64_t position = (int64_t)oy * l->width + ox;
            int32_t *sums = sums_at(call, position);
            gather(call, oy, ox);
            memcpy(sums, l->biases, (size_t)l->channels * sizeof *sums);
            for (int tap = 0; tap < l->window.kernel[0] * l->window.kernel[1]; tap++) {
                const int16_t *w = call->wide + (int64_t)tap * l->channels;
                const int16_t *x = call->window + (int64_t)tap * in_channels;
                if (multiplier == 1) {
                    for (int c = 0; c < l->channels; c++)
                        sums[c] += (int32_t)w[c] * x[c];
                } else {
                    for (int c = 0; c < l->channels; c++)
                        sums[c] += (int32_t)w[c] * x[c / multiplier];
                }
            }
            call->profile->requantize(call->out + position * l->channels, sums, l,
                                      call->in_layers[0]);
        }
    }
}

static void add(const struct call *call)
{
    const struct dc_ilayer *l = call->layer;
    for (int64_t position = 0; position < (int64_t)l->height * l->width; position++) {
        const int64_t at = position * l->channels;
        call->profile->add(call->out + at, sums_at(call, position), call->in[0] + at,
                           call->in[1] + at, l, call->in_layers[0]->zero_point,
                           call->in_layers[1]->zero_point, at, l->channels);
    }
}

// The second value is read again along axes of which it has one.
static void multiply(const struct call *call)
{
    const struct dc_ilayer *l = call->layer, *a = call->in_layers[0], *b = call->in_layers[1];
    for (int y = 0; y < l->height; y++) {
        for (int x = 0; x < l->width; x++) {
            const int64_t position = (int64_t)y * l->width + x, at = position * l->channels;
            const int64_t row = b->height > 1 ? y : 0, column = b->width > 1 ? x : 0;
            const int8_t *other = call->in[1] + (row * b->width + column) * b->channels;
            int32_t *products = sums_at(call, position);
            for (int c = 0; c < l->channels; c++)
                products[c] = (call->in[0][at + c] - a->zero_point) *
                              (other[b->channels > 1 ? c : 0] - b->zero_point);
            call->profile->multiply(call->out + at, products, l, l->channels);
        }
    }
}

// The rows or columns of a pooling window that lie within the input.
static void clip_window(int *first, int *end, int out, int stride, int pad, int kernel, int size)
{
    const int start = out * stride - pad;
    *first = start < 0 ? 0 : start;
    *end = start + kernel > size ? size : start + kernel;
}

static void average_pool(const struct call *call)
{
    const struct dc_ilayer *l = call->layer, *x = call->in_layers[0];
    const int channels = l->channels;  // a copy, which sums cannot alias, for the vectorizer
    for (int oy = 0; oy < l->height; oy++) {
        for (int ox = 0; ox < l->width; ox++) {
            const int64_t position = (int64_t)oy * l->width + ox;
            int32_t *sums = sums_at(call, position);
            int y0, y1, x0, x1;
            clip_window(&y0, &y1, oy, l->window.stride[0], l->window.before[0], l->window.kernel[0],
                        x->height);
            clip_window(&x0, &x1, ox, l->window.stride[1], l->window.before[1], l->window.kernel[1],
                        x->width);
            memset(sums, 0, (size_t)l->channels * sizeof *sums);
            for (int iy = y0; iy < y1; iy++) {
                for (int ix = x0; ix < x1; ix++) {
                    const int8_t *from = call->in[0] + ((int64_t)iy * x->width + ix) * l->channels;
                    for (int c = 0; c < channels; c++)
                        sums[c] += from[c];
                }
            }
            call->profile->average(call->out + position * l->channels, sums, l,
                                   (y1 - y0) * (x1 - x0));
        }
    }
}

static void max_pool(const struct call *call)
{
    const struct dc_ilayer *l = call->layer, *x = call->in_layers[0];
    for (int oy = 0; oy < l->height; oy++) {
        for (int ox = 0; ox < l->width; ox++) {
            int8_t *out = call->out + ((int64_t)oy * l->width + ox) * l->channels;
            int y0, y1, x0, x1;
            clip_window(&y0, &y1, oy, l->window.stride[0], l->window.before[0], l->window.kernel[0],
                        x->height);
            clip_window(&x0, &x1, ox, l->window.stride[1], l->window.before[1], l->window.kernel[1],
                        x->width);
            memset(out, l->clamp_low, (size_t)l->channels);
            for (int iy = y0; iy < y1; iy++) {
                for (int ix = x0; ix < x1; ix++) {
                    const int8_t *from = call->in[0] + ((int64_t)iy * x->width + ix) * l->channels;
                    for (int c = 0; c < l->channels; c++)
                        out[c] = from[c] > out[c] ? from[c] : out[c];
                }
            }
            for (int c = 0; c < l->channels; c++)
                out[c] = out[c] > l->clamp_high ? (int8_t)l->clamp_high : out[c];
        }
    }
}

static void mean(const struct call *call)
{
    const struct dc_ilayer *l = call->layer, *x = call->in_layers[0];
    memset(call->sums, 0, (size_t)l->channels * sizeof *call->sums);
    for (int64_t position = 0; position < (int64_t)x->height * x->width; position++) {
        for (int c = 0; c < l->channels; c++)
            call->sums[c] += call->in[0][position * l->channels + c] - x->zero_point;
    }
    call->profile->mean(call->out, call->sums, l, x);
}

static void reshape(const struct call *call)
{
    if (call->out != call->in[0])
        memcpy(call->out, call->in[0], (size_t)dc_ilayer_size(call->layer));
}

static void pad(const struct call *call)
{
    const struct dc_ilayer *l = call->layer, *x = call->in_layers[0];
    const int8_t *from = call->in[0];
    memset(call->out, l->zero_point, (size_t)dc_ilayer_size(l));
    for (int iy = 0; iy < x->height; iy++) {
        for (int ix = 0; ix < x->width; ix++, from += x->channels) {
            const int64_t at = (int64_t)(iy + l->window.before[0]) * l->width + ix +
                               l->window.before[1];
            memcpy(call->out + at * l->channels + l->first_channel, from, (size_t)x->channels);
        }
    }
}

static void slice(const struct call *call)
{
    const struct dc_ilayer *l = call->layer, *x = call->in_layers[0];
    int8_t *to = call->out;
    for (int y = 0; y < l->height; y++) {
        for (int w = 0; w < l->width; w++, to += l->channels) {
            const int64_t at = (int64_t)(l->window.before[0] + y * l->window.stride[0]) * x->width +
                               l->window.before[1] + w * l->window.stride[1];
            memcpy(to, call->in[0] + at * x->channels + l->first_channel, (size_t)l->channels);
        }
    }
}

static void concat(const struct call *call)
{
    const struct dc_ilayer *l = call->layer;
    int8_t *to = call->out;
    for (int64_t position = 0; position < (int64_t)l->height * l->width; position++) {
        for (int i = 0; i < l->input_count; i++) {
            const int channels = call->in_layers[i]->channels;
            memcpy(to, call->in[i] + position * channels, (size_t)channels);
            to += channels;
        }
    }
}

static void table(const struct call *call)
{
    const int64_t size = dc_ilayer_size(call->layer);
    for (int64_t i = 0; i < size; i++)
        call->out[i] = call->layer->table[call->in[0][i] + 128];
}

static void softmax(const struct call *call)
{
    const struct dc_ilayer *l = call->layer;
    for (int64_t at = 0; at < dc_ilayer_size(l); at += l->channels)
        dc_softmax(call->out + at, call->in[0] + at, l, call->profile);
}

static void (*const kernels[DC_IOP_COUNT])(const struct call *) = {
    [DC_I_CONV2D] = conv2d,
    [DC_I_DEPTHWISE_CONV2D] = depthwise_conv2d,
    [DC_I_FULLY_CONNECTED] = fully_connected,
    [DC_I_ADD] = add,
    [DC_I_MULTIPLY] = multiply,
    [DC_I_AVERAGE_POOL] = average_pool,
    [DC_I_MAX_POOL] = max_pool,
    [DC_I_MEAN] = mean,
    [DC_I_RESHAPE] = reshape,
    [DC_I_PAD] = pad,
    [DC_I_CONCAT] = concat,
    [DC_I_SLICE] = slice,
    [DC_I_TABLE] = table,
    [DC_I_SOFTMAX] = softmax,
};

// The same bytes by the level's kernels; add's last codes by the plain loop.
static void run_fast(const struct dc_engine *engine, const struct dc__fast_layer *fast,
                     const struct call *call, void *padded)
{
    const struct dc_ilayer *l = call->layer;
    if (l->op == DC_I_DEPTHWISE_CONV2D) {
        engine->kernels->depthwise(call->out, padded, call->in[0], fast);
        return;
    }
    if (l->op != DC_I_ADD) {
        engine->kernels->convolve(call->out, padded, call->in[0], fast);
        return;
    }
    assert(call->in_layers[0] && call->in_layers[1]);
    const int64_t count = dc_ilayer_size(l);
    int64_t i = engine->kernels->add(call->out, call->in[0], call->in[1], count, fast);
    for (; i < count; i++)
        call->profile->add(call->out + i, call->sums, call->in[0] + i, call->in[1] + i, l,
                           call->in_layers[0]->zero_point, call->in_layers[1]->zero_point, i, 1);
}

// Layers in order. values[i] says where layer i's codes go, read[i] where its readers find them;
// values[0] is not written.
static void run_layers(const struct dc_engine *engine, const struct workspace *work,
                       int8_t *const *values, int8_t *const *read, const int8_t *input,
                       int32_t *const *traced)
{
    const struct dc_imodel *model = engine->model;
    for (int i = 1; i < model->count; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        const struct dc_ilayer *in_layers[DC_I_INPUTS_MAX] = {NULL};
        const int8_t *in[DC_I_INPUTS_MAX] = {NULL};
        for (int k = 0; k < l->input_count; k++) {
            in_layers[k] = &model->layers[l->inputs[k]];
            in[k] = read[l->inputs[k]] ? read[l->inputs[k]] : input;
        }
        int32_t *const sums = traced ? traced[i] : NULL;
        const struct call call = {.layer = l,
                                  .in_layers = in_layers,
                                  .in = in,
                                  .out = values[i],
                                  .profile = model->profile,
                                  .wide = engine->wide[i],
                                  .window = work->window,
                                  .sums = sums ? sums : work->sums,
                                  .trace = sums != NULL};
        if (!traced && engine->fast[i])
            run_fast(engine, engine->fast[i], &call, work->padded);
        else if (call.out)  // a reshape of the input is the input
            kernels[l->op](&call);
    }
}

struct run {
    struct dc_engine *engine;
    int8_t *output;
    const int8_t *input;
    int64_t rows;
};

static void run_block(void *arg, int index, int thread)
{
    const struct run *run = arg;
    const struct dc_imodel *model = run->engine->model;
    const struct workspace *work = &run->engine->workspaces[thread];
    const int64_t in_size = dc_ilayer_size(&model->layers[0]);
    const int64_t out_size = dc_ilayer_size(dc_imodel_output(model));
    const int64_t first = (int64_t)index * ROWS_BLOCK;
    for (int64_t row = first; row < first + ROWS_BLOCK && row < run->rows; row++) {
        work->values[model->count - 1] = run->output + row * out_size;
        run_layers(run->engine, work, work->values, work->values, run->input + row * in_size, NULL);
    }
}

void dc_engine_run(struct dc_engine *engine, int8_t *output, const int8_t *input, int64_t rows)
{
    struct run run = {engine, output, input, rows};
    const int blocks = (int)((rows + ROWS_BLOCK - 1) / ROWS_BLOCK);
    dc_parallel_for(engine->ctx, blocks, run_block, &run);
}

void dc_engine_trace(struct dc_engine *engine, struct dc_itrace *trace, const int8_t *input)
{
    memcpy(trace->outputs[0], input, (size_t)dc_ilayer_size(&engine->model->layers[0]));
    run_layers(engine, &engine->workspaces[0], trace->outputs, trace->outputs, input,
               trace->accumulators);
}

void dc_engine_trace_alone(struct dc_engine *engine, struct dc_itrace *trace, int8_t *const *values)
{
    memcpy(trace->outputs[0], values[0], (size_t)dc_ilayer_size(&engine->model->layers[0]));
    run_layers(engine, &engine->workspaces[0], trace->outputs, values, values[0],
               trace->accumulators);
}

enum dc_status dc_itrace_create(struct dc_itrace **trace, const struct dc_imodel *model,
                                struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    *trace = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_itrace *t = DC_NEW(arena, struct dc_itrace, 1, error);
    bool ok = t != NULL;
    if (ok) {
        t->arena = arena;
        t->outputs = DC_NEW(arena, int8_t *, model->count, error);
        t->accumulators = DC_NEW(arena, int32_t *, model->count, error);
        ok = t->outputs && t->accumulators;
    }
    for (int i = 0; ok && i < model->count; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        t->outputs[i] = DC_NEW(arena, int8_t, dc_ilayer_size(l), error);
        ok = t->outputs[i] != NULL;
        if (ok && dc_ilayer_has_accumulators(l)) {
            t->accumulators[i] = DC_NEW(arena, int32_t, dc_ilayer_size(l), error);
            ok = t->accumulators[i] != NULL;
        }
    }
    if (!ok) {
        dc_arena_free(arena);
        return DC_ERR_MEMORY;
    }
    *trace = t;
    return DC_OK;
}

void dc_itrace_free(struct dc_itrace *trace)
{
    if (trace)
        dc_arena_free(trace->arena);
}

static int16_t *widen(struct dc_arena *arena, const struct dc_ilayer *l, struct dc_error *error)
{
    const bool depthwise = l->op == DC_I_DEPTHWISE_CONV2D;
    const int64_t rows = depthwise ? 1 : l->channels;
    const int64_t taps = l->weight_count / rows, padded = padded_taps(taps);
    int16_t *wide = DC_NEW(arena, int16_t, rows * padded, error);
    for (int64_t r = 0; wide && r < rows; r++) {
        for (int64_t i = 0; i < taps; i++)
            wide[r * padded + i] = l->weights[r * taps + i];
    }
    return wide;
}

static bool create_workspace(struct workspace *work, const struct dc_engine *engine, int64_t bytes,
                             struct dc_error *error)
{
    const struct dc_imodel *model = engine->model;
    int64_t window = 0, sums = 0, padded = 0;
    for (int i = 1; i < model->count; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        const struct dc_ilayer *x = &model->layers[l->inputs[0]];
        int64_t taps = 0;
        if (l->op == DC_I_FULLY_CONNECTED)
            taps = dc_ilayer_size(x);
        else if (dc_ilayer_has_weights(l))
            taps = (int64_t)l->window.kernel[0] * l->window.kernel[1] * x->channels;
        window = taps > window ? taps : window;
        sums = l->channels > sums ? l->channels : sums;
        if (engine->fast[i] && engine->fast[i]->padded_bytes > padded)
            padded = engine->fast[i]->padded_bytes;
    }
    work->arena = DC_NEW(engine->memory, int8_t, bytes, error);
    work->values = DC_NEW(engine->memory, int8_t *, model->count, error);
    // Behind a layer's taps the window holds leftovers, but the weights there are 0.
    work->window = DC_NEW(engine->memory, int16_t, padded_taps(window), error);
    work->sums = DC_NEW(engine->memory, int32_t, sums, error);
    work->padded = DC_NEW(engine->memory, char, padded, error);
    if (!work->arena || !work->values || !work->window || !work->sums || !work->padded)
        return false;
    for (int i = 0; i < model->count; i++)
        work->values[i] = engine->blocks[i].offset < 0 ? NULL
                                                       : work->arena + engine->blocks[i].offset;
    return true;
}

static enum dc_status fill_engine(struct dc_engine *engine, struct dc_error *error)
{
    const struct dc_imodel *model = engine->model;
    const int threads = engine->ctx->threads;
    struct dc_block_plan plan;
    engine->blocks = DC_NEW(engine->memory, struct dc_block, model->count, error);
    engine->wide = DC_NEW(engine->memory, int16_t *, model->count, error);
    engine->workspaces = DC_NEW(engine->memory, struct workspace, threads, error);
    engine->kernels = dc__engine_kernels_for(engine->ctx->isa);
    engine->fast = DC_NEW(engine->memory, struct dc__fast_layer *, model->count, error);
    if (!engine->blocks || !engine->wide || !engine->workspaces || !engine->fast)
        return DC_ERR_MEMORY;
    DC_TRY(dc_imodel_place(engine->blocks, &plan, model, DC_PLACE_APART, model->alignment, error));
    for (int i = 1; i < model->count; i++) {
        DC_TRY(dc__fast_layer_create(&engine->fast[i], engine->memory, engine->kernels, model, i,
                                     error));
        if (!dc_ilayer_has_weights(&model->layers[i]))
            continue;
        engine->wide[i] = widen(engine->memory, &model->layers[i], error);
        if (!engine->wide[i])
            return DC_ERR_MEMORY;
    }
    for (int t = 0; t < threads; t++) {
        if (!create_workspace(&engine->workspaces[t], engine, plan.bytes, error))
            return DC_ERR_MEMORY;
    }
    return DC_OK;
}

enum dc_status dc_engine_create(struct dc_engine **engine, const struct dc_ctx *ctx,
                                const struct dc_imodel *model, struct dc_error *error)
{
    struct dc_arena *memory = NULL;
    *engine = NULL;
    DC_TRY(dc_arena_create(&memory, error));
    struct dc_engine *e = DC_NEW(memory, struct dc_engine, 1, error);
    if (!e) {
        dc_arena_free(memory);
        return DC_ERR_MEMORY;
    }
    e->ctx = ctx;
    e->model = model;
    e->memory = memory;
    const enum dc_status status = fill_engine(e, error);
    if (status != DC_OK) {
        dc_arena_free(memory);
        return status;
    }
    *engine = e;
    return DC_OK;
}

void dc_engine_free(struct dc_engine *engine)
{
    if (engine)
        dc_arena_free(engine->memory);
}
