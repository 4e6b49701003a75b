// Owns the walk of samples through a float network and its integers side by side.

#include "qat/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/ops/ops.h"
#include "core/plan.h"
#include "qat/engine.h"
#include "qat/fake_quantize.h"
#include "qat/profile.h"

enum { ROWS = 8 };

struct sums {
    double signal, noise, noise_alone;
    int64_t values, clipped, saturated, largest;
    int64_t bins[DC_COMPARISON_BINS];
};

struct dc_comparison {
    struct dc_arena *arena;
    const struct dc_imodel *model;
    struct dc_params *params;
    struct dc_plan *plan;
    struct dc_engine *engine;
    struct dc_itrace *trace, *alone;
    int input;
    int *nodes;      // [layer]: of the float graph, with the layer's value
    int8_t **ideal;  // [layer]: the float value's codes
    struct sums *sums;
};

// The node whose value an integer layer holds: its own, or that of the batch normalization and the
// ReLU that the layer took in (qat/lower.c), unless that is a layer of its own.
static enum dc_status find_node(int *node, const struct dc_graph *graph,
                                const struct dc_imodel *model, const struct dc_ilayer *l,
                                struct dc_error *error)
{
    *node = dc_graph_find(graph, l->name);
    if (*node < 0)
        return dc_fail(error, DC_ERR_CONFIG, "the float network has no layer '%s'", l->name);
    if (dc_ilayer_has_weights(l) || l->op == DC_I_ADD || l->op == DC_I_MULTIPLY ||
        l->op == DC_I_MAX_POOL || l->op == DC_I_AVERAGE_POOL) {
        const struct dc_layer_chain chain = dc_graph_layer(graph, NULL, *node,
                                                           dc_ilayer_has_weights(l));
        bool apart = false;
        for (int i = 0; chain.clamp >= 0 && i < model->count; i++)
            apart = apart || strcmp(model->layers[i].name, graph->nodes[chain.clamp].name) == 0;
        *node = !apart ? chain.last : chain.norm >= 0 ? chain.norm : *node;
    }
    if (dc_shape_row(&graph->nodes[*node].shape) == dc_ilayer_size(l))
        return DC_OK;
    return dc_fail(error, DC_ERR_CONFIG, "layer '%s' has another shape in the float network",
                   l->name);
}

static enum dc_status make(struct dc_comparison *c, const struct dc_ctx *ctx,
                           const struct dc_graph *graph, struct dc_error *error)
{
    const int count = c->model->count;
    c->nodes = DC_NEW(c->arena, int, count, error);
    c->ideal = DC_NEW(c->arena, int8_t *, count, error);
    c->sums = DC_NEW(c->arena, struct sums, count, error);
    if (!c->nodes || !c->ideal || !c->sums)
        return DC_ERR_MEMORY;
    for (int i = 0; i < count; i++) {
        const struct dc_ilayer *l = &c->model->layers[i];
        DC_TRY(find_node(&c->nodes[i], graph, c->model, l, error));
        c->ideal[i] = DC_NEW(c->arena, int8_t, dc_ilayer_size(l), error);
        if (!c->ideal[i])
            return DC_ERR_MEMORY;
    }
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = ROWS, .outputs = c->nodes, .output_count = count};
    DC_TRY(dc_plan_create(&c->plan, ctx, graph, &config, error));
    DC_TRY(dc_engine_create(&c->engine, ctx, c->model, error));
    DC_TRY(dc_itrace_create(&c->trace, c->model, error));
    return dc_itrace_create(&c->alone, c->model, error);
}

enum dc_status dc_comparison_create(struct dc_comparison **comparison, const struct dc_ctx *ctx,
                                    const struct dc_imodel *model, const struct dc_graph *graph,
                                    struct dc_params *params, int input, struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    *comparison = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_comparison *c = DC_NEW(arena, struct dc_comparison, 1, error);
    if (!c) {
        dc_arena_free(arena);
        return DC_ERR_MEMORY;
    }
    *c = (struct dc_comparison){.arena = arena, .model = model, .params = params, .input = input};
    const enum dc_status status = make(c, ctx, graph, error);
    if (status == DC_OK)
        *comparison = c;
    else
        dc_comparison_free(c);
    return status;
}

void dc_comparison_free(struct dc_comparison *c)
{
    if (!c)
        return;
    dc_plan_free(c->plan);
    dc_engine_free(c->engine);
    dc_itrace_free(c->trace);
    dc_itrace_free(c->alone);
    dc_arena_free(c->arena);
}

// The nearest code, ends included; *clipped counts values more than half a step outside.
static int8_t nearest(float x, const struct dc_ilayer *l, enum dc_code_rounding rounding,
                      int64_t *clipped)
{
    const float code = dc_round_code(x / l->scale, rounding) + (float)l->zero_point;
    *clipped += code < -128.0f || code > 127.0f;
    return (int8_t)(code > 127.0f ? 127.0f : code >= -128.0f ? code : -128.0f);
}

static double squared_error(float x, int8_t code, const struct dc_ilayer *l)
{
    const double difference = (double)l->scale * (code - l->zero_point) - (double)x;
    return difference * difference;
}

int dc_comparison_bin(double code, int low, int high)
{
    const int inside = DC_COMPARISON_BINS - 2 * DC_COMPARISON_BEYOND;
    const double at = (code - low + 0.5) * inside / (high - low + 1) + DC_COMPARISON_BEYOND;
    return at < 0.0 ? 0 : at < DC_COMPARISON_BINS - 1 ? (int)at : DC_COMPARISON_BINS - 1;
}

static void add_layer(struct sums *s, const struct dc_ilayer *l, const float *x,
                      const int8_t *codes, const int8_t *alone, const int32_t *accumulators)
{
    const int64_t size = dc_ilayer_size(l);
    for (int64_t i = 0; i < size; i++) {
        s->signal += (double)x[i] * (double)x[i];
        s->bins[dc_comparison_bin((double)x[i] / (double)l->scale + l->zero_point,
                                  dc_code_low(l->bits), dc_code_high(l->bits))]++;
        s->noise += squared_error(x[i], codes[i], l);
        s->noise_alone += squared_error(x[i], alone[i], l);
        s->saturated += (codes[i] == 127 && l->clamp_high == 127) ||
                        (codes[i] == -128 && l->clamp_low == -128 && l->zero_point > -128);
        const int64_t sum = accumulators ? accumulators[i] : 0;
        const int64_t magnitude = sum < 0 ? -sum : sum;
        s->largest = magnitude > s->largest ? magnitude : s->largest;
    }
    s->values += size;
}

static void add_sample(struct dc_comparison *c, int64_t row)
{
    const struct dc_imodel *model = c->model;
    for (int i = 0; i < model->count; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        const int64_t size = dc_ilayer_size(l);
        const float *x = (const float *)dc_plan_value(c->plan, c->nodes[i]) + row * size;
        const enum dc_code_rounding rounding = i == 0 ? model->profile->input : DC_CODE_HALF_AWAY;
        for (int64_t k = 0; k < size; k++)
            c->ideal[i][k] = nearest(x[k], l, rounding, &c->sums[i].clipped);
    }
    dc_engine_trace(c->engine, c->trace, c->ideal[0]);
    dc_engine_trace_alone(c->engine, c->alone, c->ideal);
    for (int i = 0; i < model->count; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        const float *x = (const float *)dc_plan_value(c->plan, c->nodes[i]) +
                         row * dc_ilayer_size(l);
        add_layer(&c->sums[i], l, x, c->trace->outputs[i], c->alone->outputs[i],
                  c->trace->accumulators[i]);
    }
}

enum dc_status dc_comparison_add(struct dc_comparison *c, const float *x, int64_t rows,
                                 struct dc_error *error)
{
    const int64_t size = dc_ilayer_size(&c->model->layers[0]);
    for (int64_t first = 0; first < rows; first += ROWS) {
        const int64_t some = rows - first < ROWS ? rows - first : ROWS;
        const struct dc_step step = {.total_batch = some};
        dc_plan_bind(c->plan, c->input, x + first * size);
        DC_TRY(dc_plan_forward(c->plan, c->params, some, &step, error));
        for (int64_t row = 0; row < some; row++)
            add_sample(c, row);
    }
    for (int i = 0; i < c->model->count; i++)
        if (!isfinite(c->sums[i].signal))
            return dc_fail(error, DC_ERR_NUMERIC, "the float value of layer '%s' is not finite",
                           c->model->layers[i].name);
    return DC_OK;
}

static double decibels(double signal, double noise)
{
    return 10.0 * log10(signal / noise);
}

struct dc_layer_comparison dc_comparison_layer(const struct dc_comparison *c, int layer)
{
    const struct sums *s = &c->sums[layer];
    return (struct dc_layer_comparison){.sqnr = decibels(s->signal, s->noise),
                                        .sqnr_alone = decibels(s->signal, s->noise_alone),
                                        .clipped = (double)s->clipped / (double)s->values,
                                        .saturated = (double)s->saturated / (double)s->values,
                                        .largest = s->largest};
}

const int64_t *dc_comparison_bins(const struct dc_comparison *c, int layer)
{
    return c->sums[layer].bins;
}
