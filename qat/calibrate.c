// Owns the way of calibration: passes, the values that histograms see, when ranges are fixed.
// Least and greatest values are fake_quantize.c's, rules for ranges observe.c's. A histogram is
// filled by one thread, and counts: threads and batches cannot change it.

#include "qat/calibrate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/parallel.h"
#include "core/plan.h"
#include "qat/observe.h"

struct dc_calibration {
    const struct dc_ctx *ctx;
    const struct dc_graph *graph;
    struct dc_params *params;
    struct dc_arena *arena;
    struct dc_plan *plan;
    int input, pass;
    int64_t rows;  // of the batch being added
    int count;     // quantizers
    int *nodes;
    struct dc_histogram *histograms;  // [count], or NULL: no observer keeps one
};

static float *param(const struct dc_calibration *c, const struct dc_node *node, int which)
{
    return c->params->value + c->params->slices[node->params[which]].offset;
}

static bool keeps_histogram(const struct dc_node *node)
{
    const struct dc_fake_quantize_attributes *a = node->attributes;
    return a->observer > DC_OBSERVER_MIN_MAX;
}

static enum dc_status create(struct dc_calibration *c, int64_t max_rows, struct dc_error *error)
{
    bool histograms = false;
    c->nodes = DC_NEW(c->arena, int, c->graph->count, error);
    if (!c->nodes)
        return DC_ERR_MEMORY;
    for (int i = 0; i < c->graph->count; i++) {
        if (c->graph->nodes[i].op != &dc_op_fake_quantize)
            continue;
        c->nodes[c->count++] = i;
        histograms = histograms || keeps_histogram(&c->graph->nodes[i]);
    }
    if (histograms)
        c->histograms = DC_NEW(c->arena, struct dc_histogram, c->count, error);
    if (histograms && !c->histograms)
        return DC_ERR_MEMORY;
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = max_rows, .outputs = c->nodes, .output_count = c->count};
    dc_observers_reset(c->params);
    return dc_plan_create(&c->plan, c->ctx, c->graph, &config, error);
}

enum dc_status dc_calibration_create(struct dc_calibration **calibration, const struct dc_ctx *ctx,
                                     const struct dc_graph *graph, struct dc_params *params,
                                     int input, int64_t max_rows, struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    *calibration = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_calibration *c = DC_NEW(arena, struct dc_calibration, 1, error);
    if (!c) {
        dc_arena_free(arena);
        return DC_ERR_MEMORY;
    }
    *c = (struct dc_calibration){
        .ctx = ctx, .graph = graph, .params = params, .arena = arena, .input = input};
    const enum dc_status status = create(c, max_rows, error);
    if (status == DC_OK)
        *calibration = c;
    else
        dc_calibration_free(c);
    return status;
}

void dc_calibration_free(struct dc_calibration *c)
{
    if (!c)
        return;
    dc_plan_free(c->plan);
    dc_arena_free(c->arena);
}

int dc_calibration_passes(const struct dc_calibration *c)
{
    return c->histograms ? 2 : 1;
}

static void fill_histogram(void *arg, int index, int thread)
{
    const struct dc_calibration *c = arg;
    const struct dc_node *node = &c->graph->nodes[c->nodes[index]];
    (void)thread;
    if (keeps_histogram(node))
        dc_histogram_add(&c->histograms[index], dc_plan_value(c->plan, c->nodes[index]),
                         c->rows * dc_shape_row(&node->shape));
}

enum dc_status dc_calibration_add(struct dc_calibration *c, const float *x, int64_t rows,
                                  struct dc_error *error)
{
    struct dc_step step = dc_calibration_step();
    step.freeze_observers = c->pass > 0;
    c->rows = rows;
    dc_plan_bind(c->plan, c->input, x);
    DC_TRY(dc_plan_forward(c->plan, c->params, rows, &step, error));
    if (c->pass > 0)
        dc_parallel_for(c->ctx, c->count, fill_histogram, c);
    return DC_OK;
}

enum dc_status dc_calibration_end_pass(struct dc_calibration *c, struct dc_error *error)
{
    DC_TRY(dc_observers_check(c->graph, c->params, error));
    c->pass++;
    for (int i = 0; i < c->count && c->histograms; i++) {
        const struct dc_node *node = &c->graph->nodes[c->nodes[i]];
        const struct dc_fake_quantize_attributes *a = node->attributes;
        float *range = param(c, node, 0);
        if (!keeps_histogram(node))
            continue;
        if (c->pass == 1)
            dc_histogram_start(&c->histograms[i], range[DC_RANGE_MIN], range[DC_RANGE_MAX]);
        else
            dc_histogram_range(&range[DC_RANGE_MIN], &range[DC_RANGE_MAX], &c->histograms[i],
                               a->observer, a->bits, a->percentile);
    }
    if (c->pass == dc_calibration_passes(c))
        return dc_calibrate_scales(c->graph, c->params, error);
    return DC_OK;
}

struct dc_step dc_calibration_step(void)
{
    return (struct dc_step){.quantizers_off = true, .freeze_batch_norm = true};
}

void dc_observers_reset(struct dc_params *params)
{
    for (int i = 0; i < params->count; i++) {
        const struct dc_slice *slice = &params->slices[i];
        if (slice->role == DC_ROLE_OBSERVER)
            memset(params->value + slice->offset, 0, sizeof(float) * (size_t)slice->count);
    }
}

enum dc_status dc_observers_assume(const struct dc_graph *graph, struct dc_params *params,
                                   struct dc_error *error)
{
    for (int i = 0; i < graph->count; i++) {
        const struct dc_node *node = &graph->nodes[i];
        if (node->op != &dc_op_fake_quantize)
            continue;
        float *range = params->value + params->slices[node->params[0]].offset;
        range[DC_RANGE_MIN] = -1.0f;
        range[DC_RANGE_MAX] = 1.0f;
        range[DC_RANGE_SEEN] = 1.0f;
    }
    return dc_calibrate_scales(graph, params, error);
}

enum dc_status dc_observers_check(const struct dc_graph *graph, const struct dc_params *params,
                                  struct dc_error *error)
{
    for (int i = 0; i < graph->count; i++) {
        const struct dc_node *node = &graph->nodes[i];
        if (node->op != &dc_op_fake_quantize)
            continue;
        if (!dc_has_range(node, params))
            return dc_fail(error, DC_ERR_NUMERIC, "'%s' has no finite range: train or calibrate",
                           node->name);
    }
    return DC_OK;
}

enum dc_status dc_calibrate_scales(const struct dc_graph *graph, struct dc_params *params,
                                   struct dc_error *error)
{
    for (int i = 0; i < graph->count; i++) {
        int kept;
        const struct dc_node *node = &graph->nodes[i];
        const struct dc_weight_quantizer *quantizer = dc_node_weight_quantizer(&kept, node);
        if (node->op == &dc_op_fake_quantize)
            dc_start_step(node, params);
        if (kept < 0)
            continue;
        const struct dc_slice *slice = &params->slices[node->params[0]];
        const float *weights = params->value + slice->offset;
        for (int64_t k = 0; k < slice->count; k++)
            if (!isfinite(weights[k]))
                return dc_fail(error, DC_ERR_NUMERIC, "'%s' has a weight that is not finite",
                               node->name);
        const int channels = (int)slice->shape.dims[slice->shape.rank - 1];
        float *scales = dc_alloc((size_t)channels * sizeof *scales, error);
        if (!scales)
            return DC_ERR_MEMORY;
        const enum dc_status status = dc_observe_weights(scales, weights, slice->count / channels,
                                                         channels, quantizer, error);
        const struct dc_slice *to = &params->slices[node->params[kept]];
        if (status == DC_OK)
            memcpy(params->value + to->offset, scales, sizeof *scales * (size_t)to->count);
        free(scales);
        DC_TRY(status);
    }
    return DC_OK;
}
