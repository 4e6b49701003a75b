// Owns the measuring of layers' mean outputs and what is changed after it. Sums are double, in the
// order of the samples; the last pass of a layer changes its parameters and nothing else.

#include "qat/correct.h"

#include <math.h>
#include <string.h>

#include "core/ops/ops.h"
#include "core/plan.h"
#include "qat/fake_quantize.h"
#include "qat/fold.h"

struct corrected {
    int target;  // whose values are looked at: the layer's, or those behind its normalization
    const struct dc_node *norm;  // or NULL
    float *bias;
    double *wanted;  // [channels]: means of the float network
    double *sums;    // [2][channels]: of values, and of squares, from `shift` on
    double *shift;   // [channels]: the first value
    int64_t count, channels;
};

struct dc_correction {
    const struct dc_ctx *ctx;
    const struct dc_graph *graph;
    struct dc_params *params;
    struct dc_arena *arena;
    struct dc_plan *plan;
    enum dc_correction_kind kind;
    int input, count, pass;
    int64_t max_rows;
    struct corrected *layers;
};

static enum dc_status add_layer(struct dc_correction *c, int i, struct dc_error *error)
{
    int end;
    float *bias = dc__layer_bias(&end, c->graph, c->params, i);
    const struct dc_shape *shape = &c->graph->nodes[i].shape;
    struct corrected *l = &c->layers[c->count];
    if (!bias || (end == i && c->kind == DC_CORRECT_STATISTICS))
        return DC_OK;
    *l = (struct corrected){.target = c->kind == DC_CORRECT_BIASES ? end : i,
                            .norm = end == i ? NULL : &c->graph->nodes[end],
                            .bias = bias,
                            .channels = shape->dims[shape->rank - 1]};
    l->wanted = DC_NEW(c->arena, double, 4 * l->channels, error);
    if (!l->wanted)
        return DC_ERR_MEMORY;
    l->sums = l->wanted + l->channels;
    l->shift = l->wanted + 3 * l->channels;
    c->count++;
    return DC_OK;
}

// The first pass of a bias correction is the float network's.
static bool is_float_pass(const struct dc_correction *c)
{
    return c->kind == DC_CORRECT_BIASES && c->pass == 0;
}

// The layers that a pass looks at: all in the float pass, else one.
static int first_layer(const struct dc_correction *c)
{
    return is_float_pass(c) ? 0 : c->pass - (c->kind == DC_CORRECT_BIASES);
}

static int layer_end(const struct dc_correction *c)
{
    return is_float_pass(c) ? c->count : first_layer(c) + 1;
}

// A plan of what the pass needs.
static enum dc_status start_pass(struct dc_correction *c, struct dc_error *error)
{
    int *outputs = DC_NEW(c->arena, int, c->count + 1, error);
    int count = 0;
    dc_plan_free(c->plan);
    c->plan = NULL;
    if (!outputs)
        return DC_ERR_MEMORY;
    if (c->pass == dc_correction_passes(c))
        return DC_OK;
    for (int i = first_layer(c); i < layer_end(c); i++) {
        struct corrected *l = &c->layers[i];
        outputs[count++] = l->target;
        memset(l->sums, 0, sizeof *l->sums * (size_t)(2 * l->channels));
        l->count = 0;
    }
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = c->max_rows, .outputs = outputs, .output_count = count};
    return dc_plan_create(&c->plan, c->ctx, c->graph, &config, error);
}

static enum dc_status create(struct dc_correction *c, struct dc_error *error)
{
    c->layers = DC_NEW(c->arena, struct corrected, c->graph->count, error);
    if (!c->layers)
        return DC_ERR_MEMORY;
    for (int i = 0; i < c->graph->count; i++) {
        int scale;
        if (dc_node_weight_quantizer(&scale, &c->graph->nodes[i]))
            DC_TRY(add_layer(c, i, error));
    }
    return start_pass(c, error);
}

enum dc_status dc_correction_create(struct dc_correction **correction, const struct dc_ctx *ctx,
                                    const struct dc_graph *graph, struct dc_params *params,
                                    int input, int64_t max_rows, enum dc_correction_kind kind,
                                    struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    *correction = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_correction *c = DC_NEW(arena, struct dc_correction, 1, error);
    if (!c) {
        dc_arena_free(arena);
        return DC_ERR_MEMORY;
    }
    *c = (struct dc_correction){.ctx = ctx,
                                .graph = graph,
                                .params = params,
                                .arena = arena,
                                .input = input,
                                .max_rows = max_rows,
                                .kind = kind};
    const enum dc_status status = create(c, error);
    if (status == DC_OK)
        *correction = c;
    else
        dc_correction_free(c);
    return status;
}

void dc_correction_free(struct dc_correction *c)
{
    if (!c)
        return;
    dc_plan_free(c->plan);
    dc_arena_free(c->arena);
}

int dc_correction_passes(const struct dc_correction *c)
{
    return c->count == 0 ? 0 : c->count + (c->kind == DC_CORRECT_BIASES);
}

static void add_values(struct corrected *l, const float *values, int64_t count)
{
    for (int64_t k = 0; k < l->channels && l->count == 0; k++)
        l->shift[k] = (double)values[k];
    for (int64_t i = 0; i < count; i++) {
        const int64_t channel = i % l->channels;
        const double off = (double)values[i] - l->shift[channel];
        l->sums[channel] += off;
        l->sums[l->channels + channel] += off * off;
    }
    l->count += count / l->channels;
}

enum dc_status dc_correction_add(struct dc_correction *c, const float *x, int64_t rows,
                                 struct dc_error *error)
{
    const struct dc_step step = {
        .quantizers_off = is_float_pass(c), .freeze_observers = true, .freeze_batch_norm = true};
    dc_plan_bind(c->plan, c->input, x);
    DC_TRY(dc_plan_forward(c->plan, c->params, rows, &step, error));
    for (int i = first_layer(c); i < layer_end(c); i++) {
        struct corrected *l = &c->layers[i];
        add_values(l, dc_plan_value(c->plan, l->target),
                   rows * dc_shape_row(&c->graph->nodes[l->target].shape));
    }
    return DC_OK;
}

static enum dc_status end_layer(const struct dc_correction *c, struct corrected *l,
                                struct dc_error *error)
{
    for (int64_t k = 0; k < l->channels; k++) {
        const double n = (double)l->count, off = l->sums[k] / n, mean = l->shift[k] + off;
        const double spread = l->sums[l->channels + k] - n * off * off;
        const double variance = spread < 0.0 ? 0.0 : spread / (n - 1.0);
        if (!isfinite(mean) || !isfinite(variance))
            return dc_fail(error, DC_ERR_NUMERIC, "'%s' has values that are not finite",
                           c->graph->nodes[l->target].name);
        if (is_float_pass(c)) {
            l->wanted[k] = mean;
        } else if (c->kind == DC_CORRECT_BIASES) {
            l->bias[k] = (float)((double)l->bias[k] + l->wanted[k] - mean);
        } else {
            const struct dc_slice *slices = c->params->slices;
            c->params->value[slices[l->norm->params[DC_MEAN]].offset + k] = (float)mean;
            c->params->value[slices[l->norm->params[DC_VARIANCE]].offset + k] = (float)variance;
        }
    }
    return DC_OK;
}

enum dc_status dc_correction_end_pass(struct dc_correction *c, struct dc_error *error)
{
    for (int i = first_layer(c); i < layer_end(c); i++) {
        if (c->layers[i].count < 2)
            return dc_fail(error, DC_ERR_CONFIG, "a correction needs at least 2 values a channel");
        DC_TRY(end_layer(c, &c->layers[i], error));
    }
    c->pass++;
    return start_pass(c, error);
}
