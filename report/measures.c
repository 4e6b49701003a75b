// Owns the passes of samples through a run's networks, and what is kept of them.

#include "report/measures.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "qat/fake_quantize.h"
#include "run/cascade.h"
#include "run/outputs.h"
#include "train/mcnemar.h"

// One network may take so many multiplications: seconds of small networks, a minute of large ones.
#define MEASURED_MACS 2e12
// Of one network at a time, outputs in memory: 256 MiB.
#define MEASURED_OUTPUTS 67108864.0

// A stage while it is measured.
struct work {
    struct dc_measures *m;
    struct dc_run *run;
    const struct dc_stage *stage;
    struct dc_stage_network network;
    struct dc_stage_predictors predictors;
    float *logits;
};

static bool must_end(enum dc_status status)
{
    return status == DC_ERR_STOPPED || status == DC_ERR_MEMORY;
}

// A failure becomes a reason, unless the report must end with it.
static enum dc_status note(struct dc_measures *m, const struct dc_stage *stage,
                           enum dc_status status, struct dc_error *error)
{
    if (status == DC_OK || must_end(status))
        return status;
    const char *why = dc_arena_copy(m->arena, error->message, error);
    if (!why)
        return DC_ERR_MEMORY;
    m->unmeasured[m->unmeasured_count++] = (struct dc_unmeasured){stage, why};
    return DC_OK;
}

// Softmax's probability of the first of the largest outputs, which may be probabilities already.
static float confidence_of(const float *z, int best, int classes, bool probabilities)
{
    double sum = 0.0;
    if (probabilities)
        return z[best];
    for (int c = 0; c < classes; c++)
        sum += exp((double)z[c] - (double)z[best]);
    return (float)(1.0 / sum);
}

static enum dc_status keep_answers(struct work *w, bool integers, struct dc_error *error)
{
    struct dc_measures *m = w->m;
    struct dc_answers *a = &m->answers[m->answer_count];
    const struct dc_predictor *predictor = integers ? &w->predictors.integers->predictor
                                                    : &w->predictors.floats->predictor;
    *a = (struct dc_answers){.stage = w->stage, .integers = integers};
    snprintf(a->name, sizeof a->name, "%.60s%s", w->stage->name,
             integers              ? ", integers"
             : w->stage->quantizes ? ", floats"
                                   : "");
    a->said = DC_NEW(m->arena, int32_t, m->samples, error);
    a->confidence = DC_NEW(m->arena, float, m->samples, error);
    a->margin = integers ? DC_NEW(m->arena, uint8_t, m->samples, error) : NULL;
    if (!a->said || !a->confidence || (integers && !a->margin))
        return DC_ERR_MEMORY;
    DC_TRY(
        dc_stage_logits(w->logits, &w->predictors, integers, m->source, m->ids, m->samples, error));
    for (int64_t i = 0; i < m->samples; i++) {
        const float *z = w->logits + i * m->classes;
        int best = 0;
        for (int c = 0; c < m->classes; c++) {
            if (!isfinite(z[c]))
                return dc_fail(error, DC_ERR_NUMERIC,
                               "outputs of sample %" PRId64 " are not finite", m->ids[i]);
            best = z[c] > z[best] ? c : best;
        }
        a->said[i] = best;
        if (integers)
            a->margin[i] = (uint8_t)dc_output_margin(
                z, m->classes, dc_imodel_output(w->predictors.integers->model)->scale);
        a->confidence[i] = confidence_of(z, best, m->classes, predictor->least_probability > 0.0f);
        a->right += best == m->source->labels[m->ids[i]];
    }
    m->answer_count++;
    return DC_OK;
}

static struct dc_layer_bins *new_bins(struct work *w, const char *layer, struct dc_error *error)
{
    struct dc_measures *m = w->m;
    struct dc_layer_bins *bins = DC_NEW(m->arena, struct dc_layer_bins, 1, error);
    char *name = dc_arena_copy(m->arena, layer, error);
    if (!bins || !name)
        return NULL;
    *bins = (struct dc_layer_bins){.stage = w->stage, .layer = name};
    m->layers[m->layer_count++] = bins;
    return bins;
}

// Weights in units of their channel's scale. Layers whose weights are no node's are left out.
static enum dc_status weight_bins(struct work *w, const char *layer, struct dc_error *error)
{
    const struct dc_graph *graph = w->network.graph;
    const int at = dc_graph_find(graph, layer);
    const struct dc_node *node = at >= 0 ? &graph->nodes[at] : NULL;
    int scale = -1;
    const struct dc_weight_quantizer *quantizer = node ? dc_node_weight_quantizer(&scale, node)
                                                       : NULL;
    char name[512];
    snprintf(name, sizeof name, "%s.weight", layer);
    const struct dc_slice *weights = quantizer ? dc_params_find(w->network.params, name) : NULL;
    if (!weights)
        return DC_OK;
    const int64_t channels = weights->shape.dims[weights->shape.rank - 1];
    float *scales = DC_NEW(w->m->arena, float, channels, error);
    struct dc_layer_bins *bins = new_bins(w, layer, error);
    if (!scales || !bins)
        return DC_ERR_MEMORY;
    dc_node_weight_scales(scales, node, w->network.params);
    const int most = dc_code_high(quantizer->bits);
    bins->weights = true;
    bins->bits = quantizer->bits;
    bins->low = -most;
    bins->high = most;
    bins->least_scale = bins->most_scale = (double)scales[0];
    for (int64_t c = 0; c < channels; c++) {
        bins->least_scale = fmin(bins->least_scale, (double)scales[c]);
        bins->most_scale = fmax(bins->most_scale, (double)scales[c]);
    }
    const float *values = w->network.params->value + weights->offset;
    for (int64_t i = 0; i < weights->count; i++)
        bins->counts[dc_comparison_bin((double)values[i] / (double)scales[i % channels], -most,
                                       most)]++;
    return DC_OK;
}

static enum dc_status layer_bins(struct work *w, struct dc_error *error)
{
    struct dc_comparison *comparison = NULL;
    const struct dc_imodel *model = w->predictors.integers->model;
    int64_t samples = 0;
    enum dc_status status = dc_stage_compare(&comparison, &samples, w->run, &w->predictors,
                                             w->m->source, w->m->source->count, error);
    for (int i = 0; i < model->count && status == DC_OK; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        if (w->m->layer_count > DC_LAYER_BINS_MAX - 2) {
            w->m->layers_left_out++;
            continue;
        }
        if (dc_ilayer_has_weights(l))
            status = weight_bins(w, l->name, error);
        struct dc_layer_bins *bins = status == DC_OK ? new_bins(w, l->name, error) : NULL;
        if (!bins) {
            status = status == DC_OK ? DC_ERR_MEMORY : status;
            break;
        }
        bins->bits = l->bits;
        bins->low = (double)l->scale * (dc_code_low(l->bits) - l->zero_point);
        bins->high = (double)l->scale * (dc_code_high(l->bits) - l->zero_point);
        bins->least_scale = bins->most_scale = (double)l->scale;
        memcpy(bins->counts, dc_comparison_bins(comparison, i), sizeof bins->counts);
    }
    dc_comparison_free(comparison);
    return status;
}

static enum dc_status measure_classes(struct work *w, struct dc_error *error)
{
    struct dc_measures *m = w->m;
    if (w->network.classes != m->source->classes)
        return dc_fail(error, DC_ERR_DATA, "the network has %d outputs, the data %d classes",
                       w->network.classes, m->source->classes);
    m->classes = m->source->classes;
    w->logits = dc_alloc(sizeof(float) * (size_t)(m->samples * m->classes), error);
    if (!w->logits)
        return DC_ERR_MEMORY;
    DC_TRY(keep_answers(w, false, error));
    return w->stage->quantizes ? keep_answers(w, true, error) : DC_OK;
}

static enum dc_status measure_stage(struct work *w, struct dc_error *error)
{
    char *weights = dc_run_weights_path(w->run, w->stage, error);
    if (!weights)
        return DC_ERR_MEMORY;
    if (!dc_run_stage_done(w->run, w->stage))
        return dc_fail(error, DC_ERR_USAGE, "the stage is not done");
    DC_TRY(dc_stage_network_open(&w->network, w->stage, weights, error));
    DC_TRY(dc_stage_predictors_open(&w->predictors, w->run, w->stage, &w->network,
                                    w->run->experiment->profile, error));
    if (w->m->source->labels && dc_stage_classifies(w->stage))
        DC_TRY(measure_classes(w, error));
    return w->stage->quantizes ? layer_bins(w, error) : DC_OK;
}

// The largest network decides how many samples all of them see.
static enum dc_status choose_samples(struct dc_measures *m, struct dc_run *run,
                                     struct dc_error *error)
{
    const json_t *stages = json_object_get(run->results, "stages");
    const char *name;
    const json_t *stage;
    double macs = 1.0;
    json_object_foreach((json_t *)(uintptr_t)stages, name, stage)
    {
        macs = fmax(macs, json_number_value(json_object_get(stage, "macs")));
    }
    const double classes = m->source->classes > 0 ? m->source->classes : 1.0;
    const double affordable = fmin(floor(MEASURED_MACS / macs), floor(MEASURED_OUTPUTS / classes));
    m->samples = affordable < (double)m->source->count ? (int64_t)fmax(affordable, 1.0)
                                                       : m->source->count;
    m->ids = DC_NEW(m->arena, int64_t, m->samples, error);
    if (!m->ids)
        return DC_ERR_MEMORY;
    dc_spread_ids(m->ids, m->samples, m->source->count);
    return DC_OK;
}

static enum dc_status open_data(struct dc_measures *m, struct dc_run *run,
                                const json_t *environment, struct dc_error *error)
{
    struct dc_data_change change;
    DC_TRY(dc_run_need_test_data(run, error));
    if (dc_run_data_changed(&change, run, environment, DC_SPLIT_TRAIN) ||
        dc_run_data_changed(&change, run, environment, DC_SPLIT_TEST))
        return dc_fail(error, DC_ERR_DATA,
                       "the %s data is not what the run was made with (hash %s, now %s)",
                       change.split, change.then, change.now);
    m->source = run->test_source;
    DC_TRY(choose_samples(m, run, error));
    dc_log(run->ctx, DC_LOG_INFO,
           "report: every network is asked again on %" PRId64 " test samples", m->samples);
    return DC_OK;
}

static enum dc_status measure(struct dc_measures *m, struct dc_run *run, const json_t *environment,
                              struct dc_error *error)
{
    DC_TRY(note(m, NULL, open_data(m, run, environment, error), error));
    for (int i = 0; m->source && i < run->experiment->stage_count; i++) {
        struct work w = {.m = m, .run = run, .stage = &run->experiment->stages[i]};
        if (w.stage->exports)
            continue;
        const enum dc_status status = measure_stage(&w, error);
        free(w.logits);
        dc_stage_predictors_close(&w.predictors);
        dc_stage_network_close(&w.network);
        DC_TRY(note(m, w.stage, status, error));
    }
    return DC_OK;
}

enum dc_status dc_measure_run(struct dc_measures **out, struct dc_run *run,
                              const json_t *environment, struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    *out = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_measures *m = DC_NEW(arena, struct dc_measures, 1, error);
    if (!m) {
        dc_arena_free(arena);
        return DC_ERR_MEMORY;
    }
    m->arena = arena;
    const enum dc_status status = measure(m, run, environment, error);
    if (status == DC_OK)
        *out = m;
    else
        dc_arena_free(arena);
    return status;
}

void dc_measures_free(struct dc_measures *measures)
{
    if (measures)
        dc_arena_free(measures->arena);
}

const struct dc_answers *dc_answers_of(const struct dc_measures *m, const struct dc_stage *stage,
                                       bool integers)
{
    for (int i = 0; i < m->answer_count; i++)
        if (m->answers[i].stage == stage && m->answers[i].integers == integers)
            return &m->answers[i];
    return NULL;
}

const char *dc_why_unmeasured(const struct dc_measures *m, const struct dc_stage *stage)
{
    for (int i = 0; i < m->unmeasured_count; i++)
        if (!m->unmeasured[i].stage || m->unmeasured[i].stage == stage)
            return m->unmeasured[i].why;
    return NULL;
}

struct dc_flips dc_count_flips(const struct dc_measures *m, const struct dc_answers *before,
                               const struct dc_answers *now)
{
    struct dc_flips flips = {0};
    for (int64_t i = 0; i < m->samples; i++) {
        const int label = m->source->labels[m->ids[i]];
        const bool was = before->said[i] == label, is = now->said[i] == label;
        flips.lost += was && !is;
        flips.won += !was && is;
        flips.other += before->said[i] != now->said[i];
    }
    flips.p = dc_mcnemar(flips.lost, flips.won);
    return flips;
}
