// Owns what a stage does: train, calibrate, test, export.

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/passes.h"
#include "export/bundle.h"
#include "export/verify.h"
#include "qat/profile.h"
#include "run/log.h"
#include "run/teacher.h"
#include "train/checkpoint.h"

// Validation of a stage in training. The network's own parameters are the trained ones.
struct validation {
    struct dc_run *run;
    const struct dc_stage *stage;
    const struct dc_stage_network *network;
    struct dc_params *params;  // of the training graph: the network's slices come first
    struct dc_float_predictor *predictor;
    int64_t rows;  // of a batch
};

static enum dc_status validate(void *user, double *accuracy, struct dc_error *error)
{
    struct validation *v = user;
    struct dc_run *run = v->run;
    struct dc_scores *scores = NULL;
    struct dc_imodel *model = NULL;
    struct dc_integer_predictor *integers = NULL;
    if (v->stage->quantizes) {
        DC_TRY(dc_stage_lower(&model, NULL, v->network, v->params, run->experiment->profile, "",
                              error));
        DC_TRY(dc_integer_predictor_create(&integers, run->ctx, model, v->rows, error));
    }
    const struct dc_predictor *predictor = integers ? &integers->predictor
                                                    : &v->predictor->predictor;
    const struct dc_view view = dc_run_view(run, v->stage, &v->network->model.sample);
    enum dc_status status = dc__scores_create(&scores, run, v->stage, predictor,
                                              run->validation_count, error);
    if (status == DC_OK)
        status = dc__evaluate(scores, NULL, &view, predictor, run->train_source,
                              run->validation_ids, run->validation_count, error);
    dc_integer_predictor_free(integers);
    *accuracy = status == DC_OK ? dc_scores_measure(scores) : 0.0;
    return status;
}

static struct dc_train_config train_config(const struct dc_run *run, const struct dc_stage *stage)
{
    const struct dc_train_spec *t = &stage->train;
    const bool quantizes = stage->quantizes;
    struct dc_train_config config = t->config;
    config.seed = (uint32_t)(stage->seed >= 0 ? stage->seed : run->experiment->seed);
    config.keep_best = t->keep == 0;
    config.freeze_observers_epoch = quantizes ? (int)stage->quantize.freeze_observers_epoch
                                              : DC_NEVER;
    config.freeze_batch_norm_epoch = !quantizes ? DC_NEVER
                                     : dc_folds(&stage->quantize)
                                         ? 0
                                         : (int)stage->quantize.freeze_batch_norm_epoch;
    config.quantizers_epoch = quantizes ? (int)stage->quantize.start_epoch : 0;
    config.schedule.milestone_count = t->milestones.count;
    for (int i = 0; i < t->milestones.count; i++)
        config.schedule.milestones[i] = t->milestones.items[i];
    return config;
}

// Everything that lives while a stage trains.
struct training {
    struct dc_stage_network network;
    struct dc_training_graph graph;
    struct dc_params *params;
    struct dc_stage_teachers teachers;
    struct dc_training_parts parts;
    struct dc_loader *loader;
    struct validation validation;
    struct dc_oscillation *oscillation;  // or NULL
};

static void close_training(struct training *t)
{
    dc_oscillation_free(t->oscillation);
    dc_float_predictor_free(t->validation.predictor);
    dc_loader_free(t->loader);
    dc__teachers_close(&t->teachers);
    dc_params_free(t->params);
    dc_training_graph_free(&t->graph);
    dc_stage_network_close(&t->network);
}

// Ranges of a network that starts from trained weights are measured before the first step.
static enum dc_status calibrate_first(struct training *t, struct dc_run *run,
                                      const struct dc_stage *stage, struct dc_error *error)
{
    int copied = 0;
    DC_TRY(dc_params_copy_by_name(t->network.params, t->params, &copied, error));
    DC_TRY(dc__measure(run, stage, &t->network, error));
    for (int i = 0; i < t->network.params->count; i++) {
        const struct dc_slice *slice = &t->network.params->slices[i];
        if (slice->frozen)
            dc_params_find(t->params, slice->name)->frozen = true;
    }
    return dc_params_copy_by_name(t->params, t->network.params, &copied, error);
}

static enum dc_status open_training(struct training *t, struct dc_run *run,
                                    const struct dc_stage *stage,
                                    const struct dc_train_config *config, struct dc_error *error)
{
    DC_TRY(dc_stage_network_open(&t->network, stage, NULL, error));
    if (stage->distills)
        DC_TRY(dc__teachers_open(&t->teachers, run, stage, error));
    const struct dc_terms_sources sources = dc__teachers_sources(&t->teachers, run);
    DC_TRY(dc_training_graph_create(&t->graph, &t->network, stage, &sources, error));
    DC_TRY(dc_params_create(&t->params, t->graph.graph, dc_optimizer_states(config->optimizer.kind),
                            config->average_decay > 0.0, error));
    DC_TRY(dc__start_weights(run, stage, &t->network.model, t->params, error));
    DC_TRY(dc_apply_parameter_rules(t->params, stage, error));
    if (stage->quantizes && (stage->from[0] || stage->train.init_from[0] || stage->weights[0] ||
                             t->network.model.params))
        DC_TRY(calibrate_first(t, run, stage, error));
    struct dc_loader_config *loading = &t->parts.loading;
    *loading = dc_run_training_samples(run, config->batch, config->seed);
    loading->views[loading->view_count++] = dc_run_view(run, stage, &t->network.model.sample);
    DC_TRY(dc__teachers_prepare(&t->teachers, &t->graph.terms, t->params, DC_CACHE_MAKE, error));
    dc__teachers_join(&t->parts, &t->teachers);
    DC_TRY(dc_loader_create(&t->loader, loading, error));
    t->validation = (struct validation){
        .run = run,
        .stage = stage,
        .network = &t->network,
        .params = t->params,
        .rows = dc__evaluation_rows(dc_graph_macs(t->network.graph))};
    if (!stage->quantizes && run->validation_count > 0)
        DC_TRY(dc_float_predictor_create(&t->validation.predictor, run->ctx, t->graph.graph,
                                         t->params, t->graph.image, t->graph.output,
                                         t->validation.rows, error));
    return DC_OK;
}

static void before_update(void *user, double progress)
{
    dc_oscillation_dampen(user, progress);
}

static void after_update(void *user, double progress)
{
    dc_oscillation_track(user, progress);
}

static void report_oscillation(json_t *result, const struct training *t,
                               const struct dc_stage *stage)
{
    json_t *layers = json_array();
    for (int i = 0; i < t->network.graph->count; i++) {
        struct dc_oscillation_share share;
        const struct dc_node *node = &t->network.graph->nodes[i];
        if (dc_oscillation_of(&share, node, t->network.params,
                              stage->quantize.oscillation.reported_frequency))
            json_array_append_new(layers,
                                  json_pack("{s:s, s:f, s:f}", "layer", node->name, "oscillating",
                                            share.oscillating, "frozen", share.frozen));
    }
    json_object_set_new(result, "oscillation", layers);
}

static enum dc_status train(struct training *t, struct dc_run *run, struct dc_stage *stage,
                            struct dc_train_result *trained, struct dc_error *error)
{
    const struct dc_train_config config = train_config(run, stage);
    DC_TRY(open_training(t, run, stage, &config, error));
    const int count = t->parts.network_count;
    t->parts.networks[count] = (struct dc_network){.name = "student",
                                                   .trainable = true,
                                                   .graph = t->graph.graph,
                                                   .params = t->params,
                                                   .image = t->graph.image,
                                                   .output = t->graph.output,
                                                   .targets = t->graph.targets};
    struct dc_terms *terms = &t->graph.terms;
    for (int i = 0; i < terms->count; i++)
        terms->terms[i].network = count;
    if (stage->quantizes && stage->quantize.tracks)
        DC_TRY(dc_oscillation_create(&t->oscillation, run->ctx, t->graph.graph, t->params,
                                     &stage->quantize.oscillation, error));
    char *directory = dc_arena_printf(run->arena, error, "%s/checkpoints/%s", run->directory,
                                      stage->name);
    char *metrics = dc__path(run, "metrics.jsonl", error);
    uint64_t hash = 0;
    if (!directory || !metrics)
        return DC_ERR_MEMORY;
    DC_TRY(dc_stage_hash(&hash, run->experiment, stage, error));
    const struct dc_train_job job = {
        .stage = stage->name,
        .measure = dc_stage_measure(stage),
        .networks = t->parts.networks,
        .network_count = count + 1,
        .feeds = t->parts.feeds,
        .feed_count = t->parts.feed_count,
        .terms = terms->terms,
        .term_count = terms->count,
        .loader = t->loader,
        .samples = run->train_count,
        .config = &config,
        .hooks = {.evaluate = run->validation_count > 0 ? validate : NULL,
                  .evaluate_user = &t->validation,
                  .progress = dc__log_progress,
                  .progress_user = run,
                  .before_update = t->oscillation ? before_update : NULL,
                  .after_update = t->oscillation ? after_update : NULL,
                  .update_user = t->oscillation},
        .directory = directory,
        .metrics_path = metrics,
        .config_hash = hash,
    };
    return dc_train(trained, run->ctx, &job, error);
}

// Peers are tested and kept too: checkpoints/STAGE/peerN.h5.
static enum dc_status finish_peers(const struct training *t, struct dc_run *run,
                                   const struct dc_stage *stage, json_t *result,
                                   struct dc_error *error)
{
    json_t *list = json_array();
    if (t->graph.peer_count > 0)
        json_object_set(result, "peers", list);
    json_decref(list);
    for (int p = 1; p <= t->graph.peer_count; p++) {
        struct dc_params *params = NULL;
        char *path = dc_arena_printf(run->arena, error, "%s/checkpoints/%s/peer%d.h5",
                                     run->directory, stage->name, p);
        if (!path)
            return DC_ERR_MEMORY;
        DC_TRY(dc_training_peer(&params, &t->graph, p, t->params, error));
        enum dc_status status = dc_weights_write(path, params, error);
        if (status == DC_OK)
            status = dc__test_peer(run, stage, &t->graph.peers[p - 1], params, list, error);
        dc_params_free(params);
        DC_TRY(status);
    }
    return DC_OK;
}

enum dc_status dc__train_stage(struct dc_run *run, struct dc_stage *stage, json_t *result,
                               struct dc_error *error)
{
    struct training t = {0};
    struct dc_train_result trained = {0};
    char *weights = dc_run_weights_path(run, stage, error);
    enum dc_status status = weights ? train(&t, run, stage, &trained, error) : DC_ERR_MEMORY;
    int copied = 0;
    if (status == DC_OK)
        status = dc_params_copy_by_name(t.network.params, t.params, &copied, error);
    if (status == DC_OK && stage->quantizes)
        status = dc__re_estimate(run, stage, &t.network, error);
    if (status == DC_OK)
        status = dc_weights_write(weights, t.network.params, error);
    if (status == DC_OK)
        status = dc__test_stage(run, stage, &t.network, result, error);
    if (status == DC_OK)
        status = finish_peers(&t, run, stage, result, error);
    if (status == DC_OK && t.oscillation)
        report_oscillation(result, &t, stage);
    close_training(&t);
    DC_TRY(status);
    json_object_update_new(result,
                           json_pack("{s:i, s:I, s:I, s:f}", "epochs", trained.epochs, "steps",
                                     (json_int_t)trained.steps, "plan_bytes",
                                     (json_int_t)trained.plan_bytes, "seconds", trained.seconds));
    char key[32];
    snprintf(key, sizeof key, "validation_%s", dc_measure_names[dc_stage_measure(stage)].key);
    if (trained.best_epoch >= 0)
        json_object_update_new(result, json_pack("{s:i, s:f}", "best_epoch", trained.best_epoch + 1,
                                                 key, trained.best_accuracy));
    return DC_OK;
}

enum dc_status dc__untrained_stage(struct dc_run *run, struct dc_stage *stage, json_t *result,
                                   struct dc_error *error)
{
    const double started = dc_seconds();
    struct dc_stage_network network = {0};
    char *weights = dc_run_weights_path(run, stage, error);
    char *directory = dc_arena_printf(run->arena, error, "%s/checkpoints/%s", run->directory,
                                      stage->name);
    if (!weights || !directory)
        return DC_ERR_MEMORY;
    DC_TRY(dc_make_directory(directory, error));
    DC_TRY(dc_stage_network_open(&network, stage, NULL, error));
    enum dc_status status = dc__start_weights(run, stage, &network.model, network.params, error);
    const bool measures = stage->quantizes && !stage->integers;
    if (status == DC_OK && measures)
        status = dc__measure(run, stage, &network, error);
    if (status == DC_OK && measures)
        status = dc__re_estimate(run, stage, &network, error);
    if (status == DC_OK)
        status = dc_weights_write(weights, network.params, error);
    json_object_set_new(result, "seconds", json_real(dc_seconds() - started));
    if (status == DC_OK)
        status = dc__test_stage(run, stage, &network, result, error);
    dc_stage_network_close(&network);
    return status;
}
