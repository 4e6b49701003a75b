// Owns the assembly of networks from what a stage says. No data is touched here.

#include "run/network.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/ops/ops.h"
#include "qat/engine.h"
#include "qat/from_graph.h"
#include "qat/lower.h"
#include "qat/profile.h"
#include "qat/quantize.h"
#include "qat/split.h"
#include "run/run_internal.h"
#include "run/safetensors.h"
#include "train/checkpoint.h"

bool dc_folds(const struct dc_quantize_spec *spec)
{
    return spec->fold_batch_norm || spec->power_of_two || spec->equalize > 0 ||
           spec->conv_granularity == 0;
}

// layers: [DC_LIST_MAX], the config's.
static struct dc_quantize_config quantize_config(struct dc_layer_bits *layers,
                                                 const struct dc_quantize_spec *spec)
{
    static const enum dc_observer of_weights[] = {DC_OBSERVER_MIN_MAX, DC_OBSERVER_PERCENTILE,
                                                  DC_OBSERVER_MSE};
    for (int i = 0; i < spec->layers.count; i++)
        layers[i] = (struct dc_layer_bits){spec->layers.items[i].name,
                                           (int)spec->layers.items[i].weights,
                                           (int)spec->layers.items[i].activations};
    enum dc_weight_scaling scaling = (enum dc_weight_scaling)spec->weight_scale;
    if (scaling == DC_SCALE_OF_WEIGHTS && (spec->weight_observer != 0 || spec->adarounds))
        scaling = DC_SCALE_KEPT;
    return (struct dc_quantize_config){
        .observer = (enum dc_observer)spec->observer,
        .constant = (float)spec->average_constant,
        .percentile = spec->percentile,
        .dense_per_tensor = spec->dense_granularity == 0,
        .conv_per_tensor = spec->conv_granularity == 0,
        .weight_bits = (int)spec->weights,
        .activation_bits = (int)spec->activations,
        .first_last_bits = (int)spec->first_last,
        .weight_scaling = scaling,
        .activation_scaling = (enum dc_activation_scaling)spec->activation_scale,
        .clip_decay = (float)spec->clip_decay,
        .power_of_two = spec->power_of_two,
        .symmetric = spec->symmetric,
        .accumulator_bits = (int)spec->accumulator_bits,
        .folded = dc_folds(spec),
        .tracks = spec->tracks,
        .weight_observer = of_weights[spec->weight_observer],
        .weight_percentile = spec->weight_percentile,
        .layers = layers,
        .layer_count = spec->layers.count,
    };
}

// Behind the softmax of a quantized network stands its quantizer.
static int logits_of(const struct dc_graph *graph, int output)
{
    const struct dc_node *node = &graph->nodes[output];
    if (node->op == &dc_op_fake_quantize && graph->nodes[node->inputs[0]].op == &dc_op_softmax)
        node = &graph->nodes[node->inputs[0]];
    return node->op == &dc_op_softmax ? node->inputs[0] : output;
}

static struct dc_model_spec model_spec(const struct dc_stage *stage, const char *path)
{
    const struct dc_yaml *place = stage->where ? dc_yaml_get(stage->where, "parameters") : NULL;
    return (struct dc_model_spec){path,
                                  stage->parameters.items,
                                  stage->parameters.count,
                                  (enum dc_onnx_layout)stage->layout,
                                  stage->output,
                                  place};
}

// The graph with functions in the parts that the profile's runtime has, where there are such.
static enum dc_status split_functions(struct dc_model *model, const struct dc_profile *profile,
                                      struct dc_error *error)
{
    if (!dc_is_split(model->graph, profile))
        return DC_OK;
    struct dc_graph *split;
    int *map = DC_NEW(model->graph->arena, int, model->graph->count, error);
    if (!map)
        return DC_ERR_MEMORY;
    DC_TRY(dc_split_functions(&split, map, model->graph, profile, error));
    model->whole = model->graph;
    model->graph = split;
    model->input = map[model->input];
    model->output = map[model->output];
    return DC_OK;
}

// quantizers: whether a stage that quantizes has them, too.
static enum dc_status open_graph(struct dc_stage_network *network, const struct dc_stage *stage,
                                 bool quantizers, struct dc_error *error)
{
    const struct dc_profile *profile = stage->quantizes && !stage->integers
                                           ? dc_profile_find(stage->profile)
                                           : NULL;
    const struct dc_model_spec spec = model_spec(stage, stage->model);
    DC_TRY(dc_model_read(&network->model, &spec, error));
    DC_TRY(split_functions(&network->model, profile, error));
    const struct dc_model *model = &network->model;
    network->graph = model->graph;
    network->image = model->input;
    network->output = model->output;
    const struct dc_shape *shape = &model->graph->nodes[model->output].shape;
    network->classes = (int)dc_shape_row(shape);
    if (shape->rank != 2) {
        char text[DC_SHAPE_TEXT];
        return dc_fail(error, DC_ERR_CONFIG,
                       "%s: the last layer gives %s; a classifier ends in [batch, classes], often "
                       "behind a flatten or a global_average_pool",
                       stage->model, dc_shape_text(text, shape));
    }
    if (dc_stage_reconstructs(stage) && network->classes != dc_shape_count(&model->sample))
        return dc_fail(error, DC_ERR_CONFIG,
                       "%s: with loss reconstruction the last layer must give as many values as a "
                       "sample has, %lld, not %d",
                       stage->model, (long long)dc_shape_count(&model->sample), network->classes);
    network->logits = logits_of(model->graph, model->output);
    if (!stage->quantizes || !quantizers)
        return DC_OK;
    if (stage->integers) {
        network->graph = model->integers->graph;
        network->image = model->integers->input;
        network->output = model->integers->output;
        network->logits = logits_of(network->graph, network->output);
        return DC_OK;
    }
    struct dc_layer_bits layers[DC_LIST_MAX];
    struct dc_quantize_config config = quantize_config(layers, &stage->quantize);
    if (profile)
        config.input_rounding = profile->input;
    DC_TRY_IN(dc_quantize_graph(&network->quantized, &network->output, model->graph, model->output,
                                &config, error),
              error, "model %s", stage->model);
    network->graph = network->quantized;
    network->logits = logits_of(network->graph, network->output);
    network->image = dc_graph_find(network->graph, model->graph->nodes[model->input].name);
    return DC_OK;
}

static enum dc_status open_network(struct dc_stage_network *network, const struct dc_stage *stage,
                                   const char *weights, bool quantizers, struct dc_error *error)
{
    *network = (struct dc_stage_network){0};
    enum dc_status status = open_graph(network, stage, quantizers, error);
    if (status == DC_OK)
        status = dc_params_create(&network->params, network->graph, 0, false, error);
    int copied = 0;
    char missing[DC_MISSING_TEXT];
    if (status == DC_OK && network->model.params)
        status = dc_params_copy_by_name(network->params, network->model.params, &copied, error);
    if (status == DC_OK && weights && dc_is_safetensors(weights)) {
        status = dc__take_weights(missing, stage, &network->model, network->params, weights,
                                  weights, error);
    } else if (status == DC_OK && weights) {
        status = dc_weights_read(weights, network->params, error);
    }
    if (status != DC_OK)
        dc_stage_network_close(network);
    return status;
}

enum dc_status dc_stage_network_open(struct dc_stage_network *network, const struct dc_stage *stage,
                                     const char *weights, struct dc_error *error)
{
    return open_network(network, stage, weights, true, error);
}

enum dc_status dc_stage_network_open_plain(struct dc_stage_network *network,
                                           const struct dc_stage *stage, struct dc_error *error)
{
    return open_network(network, stage, NULL, false, error);
}

void dc_stage_network_close(struct dc_stage_network *network)
{
    dc_params_free(network->params);
    dc_graph_free(network->quantized);
    dc_model_free(&network->model);
    *network = (struct dc_stage_network){0};
}

static enum dc_status label_loss(struct dc_label_loss *label, struct dc_arena *arena,
                                 const struct dc_stage *stage, int classes, struct dc_error *error)
{
    const struct dc_train_spec *train = &stage->train;
    *label = (struct dc_label_loss){train->loss, {(float)train->label_smoothing, NULL}};
    if (train->loss != 0 || train->class_weights.count == 0)
        return DC_OK;
    if (train->class_weights.count != classes)
        return dc_fail_yaml(error, dc_stage_place(stage, "train", "class_weights"),
                            "stage '%s': %d class weights for a network of %d classes", stage->name,
                            train->class_weights.count, classes);
    float *weights = DC_NEW(arena, float, classes, error);
    if (!weights)
        return DC_ERR_MEMORY;
    for (int c = 0; c < classes; c++)
        weights[c] = (float)train->class_weights.items[c];
    label->attributes.class_weights = weights;
    return DC_OK;
}

// A peer behind the student: it reads the same images. *output: its logits.
static enum dc_status add_peer(struct dc_training_graph *t, int *output,
                               const struct dc_stage *stage, const struct dc_shape *logits,
                               struct dc_error *error)
{
    const char *path = stage->distill.peers.items[t->peer_count];
    struct dc_model *model = &t->peers[t->peer_count];
    const struct dc_model_spec spec = model_spec(stage, path);
    DC_TRY(dc_model_read(model, &spec, error));
    t->peer_count++;
    int *map = DC_NEW(t->graph->arena, int, model->graph->count, error);
    if (!map)
        return DC_ERR_MEMORY;
    const struct dc_node *nodes = model->graph->nodes;
    if (!dc_shape_equal(&nodes[model->input].shape, &t->graph->nodes[t->image].shape) ||
        !dc_shape_equal(&nodes[model->output].shape, logits))
        return dc_fail(error, DC_ERR_CONFIG,
                       "peer %s reads other samples or has other classes than the stage's model",
                       path);
    for (int i = 0; i < model->graph->count; i++) {
        char *name = dc_arena_printf(t->graph->arena, error, "peer%d.%s", t->peer_count,
                                     nodes[i].name);
        map[i] = t->image;
        if (!name)
            return DC_ERR_MEMORY;
        if (i != model->input)
            DC_TRY(dc_graph_add_copy_as(t->graph, name, model->graph, i, map, &map[i], error));
    }
    *output = map[logits_of(model->graph, model->output)];
    return DC_OK;
}

// Each of the students learns from the labels and from the mean of the others.
static enum dc_status add_peer_terms(struct dc_training_graph *t, const struct dc_stage *stage,
                                     const struct dc_label_loss *label, const int *outputs,
                                     int network_nodes, struct dc_error *error)
{
    const struct dc_loss_list *losses = &stage->distill.losses;
    for (int s = 0; s <= t->peer_count; s++) {
        struct dc_terms_sources sources = {.teacher_count = t->peer_count};
        for (int other = 0, i = 0; other <= t->peer_count; other++)
            if (other != s)
                sources.teachers[i++] = (struct dc_term_teacher){
                    .name = "peer", .weight = 1.0 / t->peer_count, .peer = outputs[other]};
        if (s > 0)
            sources.prefix = dc_arena_printf(t->graph->arena, error, "peer%d.", s);
        if (s > 0 && !sources.prefix)
            return DC_ERR_MEMORY;
        DC_TRY_IN(dc_terms_build(&t->terms, t->graph, network_nodes, outputs[s], t->compared,
                                 losses->items, losses->count, label, &sources, error),
                  error, "stage '%s'", stage->name);
    }
    return DC_OK;
}

// Labels are bound to an input; a reconstruction is compared with the image as a row of values.
static enum dc_status add_targets(struct dc_training_graph *t, const struct dc_stage *stage,
                                  const struct dc_shape *shape, struct dc_error *error)
{
    t->targets = -1;
    if (dc_stage_reconstructs(stage))
        return dc_graph_add(t->graph, "targets", &dc_op_flatten, NULL, 0, &t->image, 1,
                            &t->compared, error);
    DC_TRY(dc_graph_add_input(t->graph, "targets", DC_F32, shape, &t->targets, error));
    t->compared = t->targets;
    return DC_OK;
}

static enum dc_status build_training(struct dc_training_graph *t,
                                     const struct dc_stage_network *network,
                                     const struct dc_stage *stage,
                                     const struct dc_terms_sources *sources, struct dc_error *error)
{
    static const struct dc_terms_sources none;
    DC_TRY(dc_graph_create(&t->graph, error));
    int *map = DC_NEW(t->graph->arena, int, network->graph->count, error);
    if (!map)
        return DC_ERR_MEMORY;
    DC_TRY(dc_graph_add_all(t->graph, network->graph, map, error));
    t->image = map[network->image];
    t->output = map[network->logits];
    const struct dc_shape shape = DC_SHAPE(DC_BATCH, network->classes);
    const struct dc_term_spec labels = {.kind = &dc_term_label, .weight = 1.0};
    const struct dc_loss_list *losses = &stage->distill.losses;
    const int peers = stage->distills ? stage->distill.peers.count : 0;
    struct dc_label_loss label;
    int outputs[1 + DC_TEACHERS_MAX] = {t->output};
    for (int p = 0; p < peers; p++)
        DC_TRY_IN(add_peer(t, &outputs[p + 1], stage, &shape, error), error, "stage '%s'",
                  stage->name);
    DC_TRY(add_targets(t, stage, &shape, error));
    DC_TRY(label_loss(&label, t->graph->arena, stage, network->classes, error));
    if (peers > 0)
        return add_peer_terms(t, stage, &label, outputs, network->graph->count, error);
    DC_TRY_IN(dc_terms_build(&t->terms, t->graph, network->graph->count, t->output, t->compared,
                             stage->distills ? losses->items : &labels,
                             stage->distills ? losses->count : 1, &label, sources ? sources : &none,
                             error),
              error, "stage '%s'", stage->name);
    return DC_OK;
}

enum dc_status dc_training_peer(struct dc_params **params, const struct dc_training_graph *training,
                                int peer, const struct dc_params *trained, struct dc_error *error)
{
    DC_TRY(dc_params_create(params, training->peers[peer - 1].graph, 0, false, error));
    for (int i = 0; i < (*params)->count; i++) {
        const struct dc_slice *to = &(*params)->slices[i];
        char name[1024];
        snprintf(name, sizeof name, "peer%d.%s", peer, to->name);
        const struct dc_slice *from = dc_params_find(trained, name);
        assert(from && from->count == to->count);
        memcpy((*params)->value + to->offset, trained->value + from->offset,
               sizeof(float) * (size_t)to->count);
    }
    return DC_OK;
}

enum dc_status dc_training_graph_create(struct dc_training_graph *training,
                                        const struct dc_stage_network *network,
                                        const struct dc_stage *stage,
                                        const struct dc_terms_sources *sources,
                                        struct dc_error *error)
{
    *training = (struct dc_training_graph){0};
    const enum dc_status status = build_training(training, network, stage, sources, error);
    if (status != DC_OK)
        dc_training_graph_free(training);
    return status;
}

enum dc_status dc_stage_sources(struct dc_terms_sources *sources, struct dc_stage_network *networks,
                                struct dc_experiment *experiment, const struct dc_stage *stage,
                                struct dc_error *error)
{
    const char *names[DC_TEACHERS_MAX];
    double weights[DC_TEACHERS_MAX];
    sources->teacher_count = stage->distills ? dc_stage_teachers(names, weights, stage) : 0;
    for (int i = 0; i < sources->teacher_count; i++) {
        const struct dc_stage *from = dc_teacher_stage(experiment, stage, names[i]);
        struct dc_term_teacher *teacher = &sources->teachers[i];
        *teacher = (struct dc_term_teacher){.name = names[i], .weight = weights[i]};
        if (!from)
            continue;
        DC_TRY_IN(dc_stage_network_open(&networks[i], from, NULL, error), error, "teacher '%s'",
                  names[i]);
        teacher->graph = networks[i].graph;
        teacher->output = networks[i].logits;
    }
    return DC_OK;
}

void dc_training_graph_free(struct dc_training_graph *training)
{
    for (int p = 0; p < training->peer_count; p++)
        dc_model_free(&training->peers[p]);
    dc_graph_free(training->graph);
    *training = (struct dc_training_graph){0};
}

enum rule { NO_DECAY, FREEZE, FACTOR };

// Returns how many slices the pattern names; of weight decay and factors it may be a role.
static int apply_rule(struct dc_params *params, enum rule rule, const char *pattern, double factor)
{
    int matched = 0;
    for (int i = 0; i < params->count; i++) {
        struct dc_slice *slice = &params->slices[i];
        const bool is_role = rule != FREEZE && !strcmp(pattern, dc_role_name(slice->role));
        const bool excluded = rule == FREEZE && slice->role == DC_ROLE_OBSERVER;
        if (excluded || (!is_role && !dc_slice_matches(slice, pattern)))
            continue;  // observers are freeze_observers_epoch's
        matched++;
        if (rule == NO_DECAY)
            slice->decay_factor = 0.0f;
        else if (rule == FREEZE)
            slice->frozen = true;
        else
            slice->learning_rate_factor = (float)factor;
    }
    return matched;
}

enum dc_status dc_apply_parameter_rules(struct dc_params *params, const struct dc_stage *stage,
                                        struct dc_error *error)
{
    const struct dc_train_spec *train = &stage->train;
    for (int e = 0; e < train->decay_exclude.count; e++) {
        const char *word = train->decay_exclude.items[e];
        bool known = apply_rule(params, NO_DECAY, word, 0.0) > 0;
        for (int r = 0; r < DC_ROLE_COUNT; r++)
            known = known || strcmp(word, dc_role_name((enum dc_role)r)) == 0;
        if (!known)
            return dc_fail_yaml(error, dc_stage_place(stage, "train", "decay_exclude"),
                                "stage '%s', decay_exclude: '%s' is neither a role nor a layer",
                                stage->name, word);
    }
    const int frozen = train->freeze.count;
    bool trains = frozen == 0;
    for (int i = 0; i < frozen + train->learning_rate_factors.count; i++) {
        const bool freezes = i < frozen;
        const char *key = freezes ? "freeze" : "learning_rate_factors";
        const struct dc_named_value item = freezes ? (struct dc_named_value){train->freeze.items[i],
                                                                             0.0}
                                                   : train->learning_rate_factors.items[i - frozen];
        if (apply_rule(params, freezes ? FREEZE : FACTOR, item.name, item.value) == 0)
            return dc_fail_yaml(error, dc_stage_place(stage, "train", key),
                                "stage '%s', %s: no layer matches '%s'", stage->name, key,
                                item.name);
    }
    for (int i = 0; i < params->count; i++)
        trains = trains ||
                 (dc_role_is_trained(params->slices[i].role) && !params->slices[i].frozen);
    return trains ? DC_OK
                  : dc_fail_yaml(error, dc_stage_place(stage, "train", "freeze"),
                                 "stage '%s' freezes all that it could train", stage->name);
}

enum dc_status dc_stage_lower(struct dc_imodel **model, const struct dc_ctx *ctx,
                              const struct dc_stage_network *network,
                              const struct dc_params *params, const char *profile,
                              const char *provenance, struct dc_error *error)
{
    const struct dc_profile *arithmetic = dc_profile_find(profile);
    if (!arithmetic) {
        const char *names[DC_LIST_MAX];
        char all[256], hint[DC_HINT];
        int known = 0;
        for (const struct dc_profile *const *p = dc_profile_table(); *p && known < DC_LIST_MAX; p++)
            names[known++] = (*p)->name;
        dc_join(all, sizeof all, names, known);
        return dc_fail(error, DC_ERR_CONFIG, "no arithmetic profile '%s'; there are %s%s", profile,
                       all, dc_did_you_mean(hint, profile, names, known));
    }
    struct dc_lower_report report;
    const struct dc_imported *integers = network->model.integers;
    if (integers && network->graph == integers->graph)
        return dc_imodel_from_graph(model, integers->graph, integers->codes, integers->output,
                                    network->model.name, provenance, arithmetic, error);
    DC_TRY(dc_lower(model, network->graph, params, network->graph->nodes[network->image].name,
                    network->graph->nodes[network->output].name, network->model.name, provenance,
                    arithmetic, &report, error));
    const struct {
        int count;
        const char *what;
    } notes[] = {
        {report.raised_channels,
         "had a bias outside the accumulator; their scale was raised and codes rounded anew"},
        {report.floored_channels, "have a scale near 0 and were given the least step"},
        {report.shifted_channels,
         "have a multiplier above 1 that can leave int32 on some runtimes"},
    };
    for (int i = 0; ctx && i < 3; i++)
        if (notes[i].count > 0)
            dc_log(ctx, DC_LOG_WARNING, "%d channels %s", notes[i].count, notes[i].what);
    return DC_OK;
}

static enum dc_status predict_integer(void *user, float *logits, const float *inputs, int64_t rows,
                                      struct dc_error *error)
{
    struct dc_integer_predictor *p = user;
    DC_TRY(dc_imodel_quantize_input(p->inputs, p->model, inputs, rows * p->input_codes, error));
    dc_engine_run(p->engine, p->outputs, p->inputs, rows);
    dc_imodel_dequantize_output(logits, p->model, p->outputs, rows * p->predictor.classes);
    return DC_OK;
}

enum dc_status dc_integer_predictor_create(struct dc_integer_predictor **out,
                                           const struct dc_ctx *ctx, struct dc_imodel *model,
                                           int64_t max_rows, struct dc_error *error)
{
    *out = NULL;
    struct dc_integer_predictor *p = dc_alloc(sizeof *p, error);
    if (!p) {
        dc_imodel_free(model);
        return DC_ERR_MEMORY;
    }
    p->model = model;
    p->input_codes = dc_ilayer_size(&model->layers[0]);
    const int64_t classes = dc_ilayer_size(dc_imodel_output(model));
    const struct dc_ilayer *last = dc_imodel_output(model);
    p->predictor = (struct dc_predictor){
        .predict = predict_integer,
        .user = p,
        .classes = (int)classes,
        .max_rows = max_rows,
        .least_probability = last->op == DC_I_SOFTMAX ? 0.5f * last->scale : 0.0f};
    p->inputs = dc_alloc((size_t)(max_rows * p->input_codes), error);
    p->outputs = dc_alloc((size_t)(max_rows * classes), error);
    const enum dc_status status = p->inputs && p->outputs
                                      ? dc_engine_create(&p->engine, ctx, model, error)
                                      : DC_ERR_MEMORY;
    if (status != DC_OK) {
        dc_integer_predictor_free(p);
        return status;
    }
    *out = p;
    return DC_OK;
}

void dc_integer_predictor_free(struct dc_integer_predictor *predictor)
{
    if (!predictor)
        return;
    dc_engine_free(predictor->engine);
    dc_imodel_free(predictor->model);
    free(predictor->inputs);
    free(predictor->outputs);
    free(predictor);
}
