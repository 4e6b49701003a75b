// Owns the report of a quantized network: it evaluates the unrounded network and the integers on
// the same samples, and walks some of them through both.

#include "run/quantization.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "qat/compare.h"
#include "qat/oscillation.h"
#include "qat/profile.h"
#include "qat/simulate.h"
#include "run/outputs.h"
#include "run/report.h"
#include "run/run_internal.h"
#include "run/sensitivity.h"
#include "train/mcnemar.h"

enum { SENSITIVITY_SAMPLES = 1000, SENSITIVITY_LEAST = 100 };

// Everything the report is made from.
struct work {
    struct dc_run *run;
    const struct dc_stage *stage;
    const struct dc_source *source;
    int64_t count;
    double most_macs;
    int64_t tried;  // samples with each layer alone
    int classes;
    const struct dc_stage_network *network;  // as training simulates it
    struct dc_stage_predictors both;         // the unrounded network, and the integers
    struct dc_graph *shipped;                // as what ships is simulated
    struct dc_params *shipped_params;
    struct dc_float_predictor *in_training, *simulation;
    float *logits;     // [count, classes], of one of them
    float *simulated;  // the same, of the simulation
    bool *right;       // [count]: the float network gets the sample right
};

static enum dc_status open_all(struct work *w, const struct dc_stage *stage,
                               const struct dc_stage_network *network, const char *profile,
                               struct dc_error *error)
{
    int input, output;
    struct dc_ctx *ctx = w->run->ctx;
    DC_TRY(dc_stage_predictors_open(&w->both, w->run, stage, network, profile, error));
    const struct dc_stage_network *plain = &w->both.plain;
    DC_TRY(dc_float_predictor_create(&w->in_training, ctx, network->graph, network->params,
                                     network->image, network->output, w->both.rows, error));
    DC_TRY(dc_simulate(&w->shipped, &w->shipped_params, &input, &output, w->both.integers->model,
                       &plain->graph->nodes[plain->image].shape, error));
    DC_TRY(dc_float_predictor_create(&w->simulation, ctx, w->shipped, w->shipped_params, input,
                                     output, w->both.rows, error));
    const float least = w->both.integers->predictor.least_probability;
    w->in_training->predictor.least_probability = least;
    w->simulation->predictor.least_probability = least;
    w->classes = network->classes;
    w->logits = dc_alloc(sizeof *w->logits * (size_t)(w->count * w->classes), error);
    w->right = dc_alloc((size_t)w->count * sizeof *w->right, error);
    w->simulated = dc_alloc(sizeof *w->logits * (size_t)(w->count * w->classes), error);
    return w->logits && w->simulated && w->right ? DC_OK : DC_ERR_MEMORY;
}

static void close_all(struct work *w)
{
    dc_float_predictor_free(w->in_training);
    dc_float_predictor_free(w->simulation);
    dc_params_free(w->shipped_params);
    dc_graph_free(w->shipped);
    dc_stage_predictors_close(&w->both);
    free(w->logits);
    free(w->simulated);
    free(w->right);
}

static enum dc_status evaluate(json_t *object, const char *key, float *logits, const struct work *w,
                               const struct dc_predictor *predictor, struct dc_error *error)
{
    struct dc_scores *scores = NULL;
    DC_TRY(dc__scores_create(&scores, w->run, w->stage, predictor, w->count, error));
    DC_TRY(
        dc__evaluate(scores, logits, &w->both.view, predictor, w->source, NULL, w->count, error));
    json_object_set_new(object, key, dc_report_scores(scores));
    return DC_OK;
}

// The first of the largest logits is the label, as train/evaluate.h counts.
static bool is_right(const struct work *w, int64_t sample)
{
    const float *z = w->logits + sample * w->classes;
    int best = 0;
    for (int c = 1; c < w->classes; c++)
        best = z[c] > z[best] ? c : best;
    return best == w->source->labels[sample];
}

static json_t *flips(const struct work *w)
{
    json_t *lost = json_array(), *won = json_array();
    for (int64_t i = 0; i < w->count; i++)
        if (is_right(w, i) != w->right[i])
            json_array_append_new(w->right[i] ? lost : won, json_integer(i));
    const int64_t lost_count = (int64_t)json_array_size(lost);
    const int64_t won_count = (int64_t)json_array_size(won);
    return json_pack("{s:I, s:I, s:f, s:o, s:o}", "lost", (json_int_t)lost_count, "won",
                     (json_int_t)won_count, "p", dc_mcnemar(lost_count, won_count), "lost_samples",
                     lost, "won_samples", won);
}

static json_t *pair(int64_t least, int64_t most)
{
    return json_pack("[I, I]", (json_int_t)least, (json_int_t)most);
}

static json_t *range_of(const int32_t *values, int count)
{
    int32_t least = count ? values[0] : 0, most = least;
    for (int i = 1; i < count; i++) {
        least = values[i] < least ? values[i] : least;
        most = values[i] > most ? values[i] : most;
    }
    return pair(least, most);
}

static json_t *finite_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *layer_report(const struct dc_ilayer *l, const struct dc_layer_comparison *c)
{
    json_t *object = json_pack("{s:s, s:s, s:o, s:o, s:f, s:f, s:f, s:i}", "layer", l->name, "op",
                               dc_iop_name(l->op), "sqnr", finite_or_null(c->sqnr), "sqnr_alone",
                               finite_or_null(c->sqnr_alone), "clipped", c->clipped, "saturated",
                               c->saturated, "scale", (double)l->scale, "zero_point",
                               l->zero_point);
    if (l->rescales > 0) {
        json_object_set_new(object, "multipliers", range_of(l->multipliers, l->rescales));
        json_object_set_new(object, "shifts", range_of(l->shifts, l->rescales));
    }
    if (dc_ilayer_has_accumulators(l)) {
        json_object_set_new(object, "largest_sum", json_integer(c->largest));
        json_object_set_new(object, "sum_range", pair(l->accumulator_low, l->accumulator_high));
    }
    return object;
}

static double badness(const struct dc_layer_comparison *c)
{
    return isnan(c->sqnr_alone) ? INFINITY : c->sqnr_alone;
}

// Worst by itself first; the first of equals first.
static json_t *layers(const struct dc_comparison *comparison, const struct dc_imodel *model)
{
    json_t *array = json_array();
    double before = -INFINITY;
    for (int done = 0; done < model->count;) {
        double next = INFINITY;
        for (int i = 0; i < model->count; i++) {
            const struct dc_layer_comparison c = dc_comparison_layer(comparison, i);
            next = badness(&c) > before && badness(&c) < next ? badness(&c) : next;
        }
        for (int i = 0; i < model->count; i++) {
            const struct dc_layer_comparison c = dc_comparison_layer(comparison, i);
            if (badness(&c) != next)
                continue;
            json_array_append_new(array, layer_report(&model->layers[i], &c));
            done++;
        }
        before = next;
    }
    return array;
}

// Of networks that classify, on as many samples as may be; on none rather than on few.
static enum dc_status add_sensitivity(json_t *all, struct work *w, struct dc_error *error)
{
    int64_t ids[SENSITIVITY_SAMPLES];
    const int64_t samples = w->count < SENSITIVITY_SAMPLES ? w->count : SENSITIVITY_SAMPLES;
    const double macs = 2.0 * (double)dc_tried_layers(w->network->graph) *
                        (double)dc_graph_macs(w->network->graph);
    const double affordable = floor(w->most_macs / macs);
    w->tried = affordable < (double)samples ? (int64_t)affordable : samples;
    if (!dc_stage_classifies(w->stage) || (w->tried < SENSITIVITY_LEAST && w->tried < samples))
        w->tried = 0;
    if (w->tried == 0)
        return DC_OK;
    dc_spread_ids(ids, w->tried, w->count);
    return dc_add_sensitivity(all, w->run, &w->both.view, w->network, w->source, ids, w->tried,
                              error);
}

static void add_oscillation(const json_t *all, const struct work *w)
{
    size_t i;
    json_t *layer;
    json_array_foreach(all, i, layer)
    {
        struct dc_oscillation_share share;
        const int at = dc_graph_find(w->network->graph,
                                     json_string_value(json_object_get(layer, "layer")));
        if (at < 0 || !dc_oscillation_of(&share, &w->network->graph->nodes[at], w->network->params,
                                         w->stage->quantize.oscillation.reported_frequency))
            continue;
        json_object_set_new(layer, "oscillating", json_real(share.oscillating));
        json_object_set_new(layer, "frozen", json_real(share.frozen));
    }
}

// How often the simulation of what ships and the integers disagree: outputs, and codes at most.
static json_t *apart_from_simulation(const struct work *w)
{
    const int64_t outputs = w->count * w->classes;
    const double scale = (double)dc_imodel_output(w->both.integers->model)->scale;
    int64_t different = 0;
    double most = 0.0;
    for (int64_t i = 0; i < outputs; i++) {
        const double apart = fabs((double)w->simulated[i] - (double)w->logits[i]) / scale;
        different += apart >= 0.5;
        most = apart > most ? apart : most;
    }
    return json_pack("{s:I, s:I, s:I}", "outputs", (json_int_t)outputs, "different",
                     (json_int_t)different, "furthest", (json_int_t)lrint(most));
}

static enum dc_status report(json_t *object, struct work *w, struct dc_error *error)
{
    DC_TRY(evaluate(object, "float", w->logits, w, &w->both.floats->predictor, error));
    const bool classifies = dc_stage_classifies(w->stage);
    for (int64_t i = 0; classifies && i < w->count; i++)
        w->right[i] = is_right(w, i);
    DC_TRY(evaluate(object, "in_training", NULL, w, &w->in_training->predictor, error));
    DC_TRY(evaluate(object, "simulated", w->simulated, w, &w->simulation->predictor, error));
    DC_TRY(evaluate(object, "int8", w->logits, w, &w->both.integers->predictor, error));

    const struct dc_imodel *model = w->both.integers->model;
    DC_TRY(dc_report_cost(object, w->run->experiment, model, error));
    int64_t samples = 0;
    struct dc_comparison *comparison = NULL;
    DC_TRY(dc_stage_compare(&comparison, &samples, w->run, &w->both, w->source, w->count, error));
    json_t *all = layers(comparison, model);
    enum dc_status status = add_sensitivity(all, w, error);
    if (status == DC_OK)
        add_oscillation(all, w);
    json_object_set_new(object, "quantization",
                        json_pack("{s:s, s:o*, s:o, s:I, s:I, s:o*}", "profile",
                                  model->profile->name, "flips", classifies ? flips(w) : NULL,
                                  "simulation", apart_from_simulation(w), "compared_samples",
                                  (json_int_t)samples, "tried_samples", (json_int_t)w->tried,
                                  "layers", all));
    dc_comparison_free(comparison);
    return status;
}

enum dc_status dc_quantization_report(json_t *object, struct dc_run *run,
                                      const struct dc_stage *stage,
                                      const struct dc_stage_network *network, const char *profile,
                                      const struct dc_source *source, int64_t count,
                                      double most_macs, struct dc_error *error)
{
    struct work w = {.run = run,
                     .stage = stage,
                     .source = source,
                     .network = network,
                     .most_macs = most_macs,
                     .count = count < source->count ? count : source->count};
    enum dc_status status = open_all(&w, stage, network, profile, error);
    if (status == DC_OK)
        status = report(object, &w, error);
    close_all(&w);
    return status;
}

static double real_at(const json_t *object, const char *key, const char *inner)
{
    const json_t *found = json_object_get(object, key);
    return json_number_value(inner ? json_object_get(found, inner) : found);
}

static const char *decibels(char text[16], const json_t *layer, const char *key)
{
    const json_t *value = json_object_get(layer, key);
    if (json_is_null(value))
        snprintf(text, 16, "exact");
    else
        snprintf(text, 16, "%.1f", json_real_value(value));
    return text;
}

static const char *percent(char text[16], const json_t *layer, const char *key)
{
    const json_t *value = json_object_get(layer, key);
    if (value)
        snprintf(text, 16, "%.2f %%", 100.0 * json_real_value(value));
    else
        snprintf(text, 16, "-");
    return text;
}

// "least..most", or "-" where the layer has none.
static const char *range_text(char text[32], const json_t *range)
{
    const long long least = json_integer_value(json_array_get(range, 0));
    const long long most = json_integer_value(json_array_get(range, 1));
    if (!range)
        snprintf(text, 32, "-");
    else if (least == most)
        snprintf(text, 32, "%lld", least);
    else
        snprintf(text, 32, "%lld..%lld", least, most);
    return text;
}

// A sum as bits with its sign, so that accumulators can be judged.
static int bits_of(int64_t sum)
{
    int bits = 1;
    for (; sum > 0; sum >>= 1)
        bits++;
    return bits;
}

static const char *bits_text(char text[32], const json_t *layer)
{
    const json_t *range = json_object_get(layer, "sum_range");
    const int64_t low = json_integer_value(json_array_get(range, 0));
    const int64_t high = json_integer_value(json_array_get(range, 1));
    const int64_t largest = json_integer_value(json_object_get(layer, "largest_sum"));
    if (!range)
        snprintf(text, 32, "-");
    else
        snprintf(text, 32, "%d of %d", bits_of(largest),
                 bits_of(high > -(low + 1) ? high : -(low + 1)));
    return text;
}

enum { NAME_COLUMNS = 21 };

// Two tables, so that each fits a terminal: what rounding costs, and what the integers are.
static void layer_tables(struct dc_text_buffer *out, const json_t *layers)
{
    size_t i;
    const json_t *layer;
    dc_text_append(out, "%-*s %-16s %6s %6s %8s %8s %9s\n", NAME_COLUMNS, "layer", "op", "SQNR",
                   "alone", "only", "but", "oscillate");
    json_array_foreach(layers, i, layer)
    {
        char sqnr[16], alone[16], only[16], but[16], oscillating[16];
        dc_text_append_name(out, json_string_value(json_object_get(layer, "layer")), NAME_COLUMNS);
        dc_text_append(out, " %-16s %6s %6s %8s %8s %9s\n",
                       json_string_value(json_object_get(layer, "op")),
                       decibels(sqnr, layer, "sqnr"), decibels(alone, layer, "sqnr_alone"),
                       percent(only, layer, "accuracy_only"), percent(but, layer, "accuracy_but"),
                       percent(oscillating, layer, "oscillating"));
    }
    dc_text_append(out, "\n%-*s %8s %9s %10s %4s %8s %8s\n", NAME_COLUMNS, "layer", "clipped",
                   "saturated", "scale", "zero", "shifts", "sum bits");
    json_array_foreach(layers, i, layer)
    {
        char shifts[32], bits[32];
        dc_text_append_name(out, json_string_value(json_object_get(layer, "layer")), NAME_COLUMNS);
        dc_text_append(
            out, " %6.2f %% %7.2f %% %10.4g %4.0f %8s %8s\n",
            100.0 * real_at(layer, "clipped", NULL), 100.0 * real_at(layer, "saturated", NULL),
            real_at(layer, "scale", NULL), real_at(layer, "zero_point", NULL),
            range_text(shifts, json_object_get(layer, "shifts")), bits_text(bits, layer));
    }
}

void dc_quantization_text(struct dc_text_buffer *out, const json_t *report)
{
    const json_t *q = json_object_get(report, "quantization");
    const json_t *some = json_object_get(q, "flips");
    dc_text_append(out, "%s, %s arithmetic, %lld samples\n",
                   json_string_value(json_object_get(report, "stage")),
                   json_string_value(json_object_get(q, "profile")),
                   (long long)json_integer_value(json_object_get(report, "samples")));
    static const char *const networks[][2] = {{"float", "float"},
                                              {"in training", "in_training"},
                                              {"simulated", "simulated"},
                                              {"integer", "int8"}};
    const json_t *simulation = json_object_get(q, "simulation");
    for (int i = 0; i < 4; i++) {
        char text[32];
        const json_t *scores = json_object_get(report, networks[i][1]);
        dc_text_append(out, "%-12s %s\n", networks[i][0], dc_report_measure(text, scores));
    }
    dc_text_append(out,
                   "differing    %.0f of %.0f outputs, simulated and integer, by %.0f at most\n",
                   real_at(simulation, "different", NULL), real_at(simulation, "outputs", NULL),
                   real_at(simulation, "furthest", NULL));
    if (some)
        dc_text_append(out, "flips        %.0f lost, %.0f won; McNemar's p = %.3g\n",
                       real_at(some, "lost", NULL), real_at(some, "won", NULL),
                       real_at(some, "p", NULL));
    dc_text_append(out,
                   "\nworst layer first, over %.0f samples; SQNR in dB, alone: of this layer by\n"
                   "itself; only, but: accuracy with this layer alone quantized, and alone float,\n"
                   "over %.0f\n",
                   real_at(q, "compared_samples", NULL), real_at(q, "tried_samples", NULL));
    layer_tables(out, json_object_get(q, "layers"));
}
