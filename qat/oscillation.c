// Owns the following of codes from step to step. Layers are independent of each other, so threads
// share them out; all is element-wise.

#include "qat/oscillation.h"

#include <math.h>

#include "core/math.h"
#include "core/parallel.h"
#include "qat/fake_quantize.h"

struct tracked {
    const struct dc_node *node;
    const struct dc_weight_quantizer *quantizer;
    float *scales;  // [channels]
    int64_t count, channels;
};

struct dc_oscillation {
    const struct dc_ctx *ctx;
    struct dc_params *params;
    const struct dc_oscillation_config *config;
    struct dc_arena *arena;
    struct tracked *layers;
    int count;
};

// The parameter's slice, or NULL: the node does not track. It is the last.
static const struct dc_slice *state_of(const struct dc_node *node, const struct dc_params *params)
{
    int scale;
    const struct dc_weight_quantizer *quantizer = dc_node_weight_quantizer(&scale, node);
    return quantizer && quantizer->tracks ? &params->slices[node->params[node->param_count - 1]]
                                          : NULL;
}

static enum dc_status create(struct dc_oscillation *o, const struct dc_graph *graph,
                             struct dc_error *error)
{
    o->layers = DC_NEW(o->arena, struct tracked, graph->count, error);
    if (!o->layers)
        return DC_ERR_MEMORY;
    for (int i = 0; i < graph->count; i++) {
        int scale;
        const struct dc_node *node = &graph->nodes[i];
        if (!state_of(node, o->params))
            continue;
        const struct dc_slice *weights = &o->params->slices[node->params[0]];
        struct tracked *layer = &o->layers[o->count++];
        *layer = (struct tracked){.node = node,
                                  .quantizer = dc_node_weight_quantizer(&scale, node),
                                  .count = weights->count,
                                  .channels = weights->shape.dims[weights->shape.rank - 1]};
        layer->scales = DC_NEW(o->arena, float, layer->channels, error);
        if (!layer->scales)
            return DC_ERR_MEMORY;
    }
    return DC_OK;
}

enum dc_status dc_oscillation_create(struct dc_oscillation **oscillation, const struct dc_ctx *ctx,
                                     const struct dc_graph *graph, struct dc_params *params,
                                     const struct dc_oscillation_config *config,
                                     struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    *oscillation = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_oscillation *o = DC_NEW(arena, struct dc_oscillation, 1, error);
    if (o)
        *o = (struct dc_oscillation){
            .ctx = ctx, .params = params, .config = config, .arena = arena};
    const enum dc_status status = o ? create(o, graph, error) : DC_ERR_MEMORY;
    if (status == DC_OK)
        *oscillation = o;
    else
        dc_arena_free(arena);
    return status;
}

void dc_oscillation_free(struct dc_oscillation *oscillation)
{
    if (oscillation)
        dc_arena_free(oscillation->arena);
}

// From `from` at share 0 to `to` at share 1.
static double half_cosine(double from, double to, double share)
{
    return to + (from - to) * 0.5 * (1.0 + dc_cos_turns(0.5 * share));
}

struct job {
    const struct dc_oscillation *o;
    double weight, threshold;  // threshold 0: nothing freezes
};

static void dampen_layer(void *arg, int index, int thread)
{
    const struct job *job = arg;
    const struct tracked *l = &job->o->layers[index];
    const struct dc_params *params = job->o->params;
    const struct dc_slice *slice = &params->slices[l->node->params[0]];
    const float high = (float)dc_code_high(l->quantizer->bits), twice = 2.0f * (float)job->weight;
    (void)thread;
    if (slice->frozen)
        return;
    dc_node_weight_scales(l->scales, l->node, params);
    for (int64_t i = 0; i < l->count; i++) {
        const float w = params->value[slice->offset + i], scale = l->scales[i % l->channels];
        const float code = dc_weight_code(w, scale, high);
        if (!(fabsf(w) > high * scale))
            params->gradient[slice->offset + i] += twice * (w - code * scale);
    }
}

void dc_oscillation_dampen(const struct dc_oscillation *o, double progress)
{
    struct job job = {.o = o, .weight = half_cosine(0.0, o->config->dampening, progress)};
    if (o->config->dampening > 0.0)
        dc_parallel_for(o->ctx, o->count, dampen_layer, &job);
}

// One weight: state points to its column, rows lie `count` apart. Algorithm 1 of the paper.
static void track_weight(float *state, int64_t count, float code, float momentum, float threshold)
{
    float *frequency = &state[DC_OSCILLATION_FREQUENCY * count];
    float *average = &state[DC_OSCILLATION_AVERAGE * count];
    const float moved = code - state[DC_OSCILLATION_CODE * count];
    const float direction = moved > 0.0f ? 1.0f : -1.0f;
    float oscillates = 0.0f;
    if (state[DC_OSCILLATION_STATE * count] == (float)DC_OSCILLATION_UNSEEN) {
        state[DC_OSCILLATION_STATE * count] = (float)DC_OSCILLATION_FREE;
        *average = code;
    } else if (moved != 0.0f) {
        oscillates = state[DC_OSCILLATION_DIRECTION * count] == -direction ? 1.0f : 0.0f;
        state[DC_OSCILLATION_DIRECTION * count] = direction;
    }
    state[DC_OSCILLATION_CODE * count] = code;
    *frequency = momentum * oscillates + (1.0f - momentum) * *frequency;
    *average = momentum * code + (1.0f - momentum) * *average;
    if (threshold > 0.0f && *frequency > threshold) {
        *average = rintf(*average);
        state[DC_OSCILLATION_STATE * count] = (float)DC_OSCILLATION_FROZEN;
    }
}

static void track_layer(void *arg, int index, int thread)
{
    const struct job *job = arg;
    const struct tracked *l = &job->o->layers[index];
    const struct dc_params *params = job->o->params;
    const int64_t at = params->slices[l->node->params[0]].offset;
    float *state = params->value + state_of(l->node, params)->offset;
    const float high = (float)dc_code_high(l->quantizer->bits);
    const float momentum = (float)job->o->config->momentum, threshold = (float)job->threshold;
    (void)thread;
    dc_node_weight_scales(l->scales, l->node, params);
    for (int64_t i = 0; i < l->count; i++) {
        const float scale = l->scales[i % l->channels];
        const float code = dc_weight_code(params->value[at + i], scale, high);
        float *own = state + i;
        if (own[DC_OSCILLATION_STATE * l->count] != (float)DC_OSCILLATION_FROZEN)
            track_weight(own, l->count, code, momentum, threshold);
        if (own[DC_OSCILLATION_STATE * l->count] != (float)DC_OSCILLATION_FROZEN)
            continue;
        params->value[at + i] = own[DC_OSCILLATION_AVERAGE * l->count] * scale;
        if (params->average)
            params->average[at + i] = params->value[at + i];
    }
}

void dc_oscillation_track(const struct dc_oscillation *o, double progress)
{
    const struct dc_oscillation_config *c = o->config;
    const double since = (progress - c->freeze_start) / (1.0 - c->freeze_start);
    const double threshold = half_cosine(c->threshold_start, c->threshold, since);
    struct job job = {.o = o, .threshold = c->threshold > 0.0 && since >= 0.0 ? threshold : 0.0};
    dc_parallel_for(o->ctx, o->count, track_layer, &job);
}

bool dc_oscillation_of(struct dc_oscillation_share *share, const struct dc_node *node,
                       const struct dc_params *params, double reported_frequency)
{
    const struct dc_slice *slice = state_of(node, params);
    int64_t oscillating = 0, frozen = 0;
    if (!slice)
        return false;
    const int64_t count = slice->count / DC_OSCILLATION_ROWS;
    const float *state = params->value + slice->offset;
    for (int64_t i = 0; i < count; i++) {
        const bool is_frozen = state[DC_OSCILLATION_STATE * count + i] ==
                               (float)DC_OSCILLATION_FROZEN;
        frozen += is_frozen;
        oscillating += !is_frozen &&
                       (double)state[DC_OSCILLATION_FREQUENCY * count + i] > reported_frequency;
    }
    *share = (struct dc_oscillation_share){(double)oscillating / (double)count,
                                           (double)frozen / (double)count};
    return true;
}
