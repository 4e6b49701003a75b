// Owns what a stage does: train, calibrate, test, export.

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/passes.h"
#include "export/bundle.h"
#include "export/verify.h"
#include "qat/calibrate.h"
#include "qat/profile.h"
#include "run/run_internal.h"
#include "train/checkpoint.h"

static enum dc_status check_fits(const struct dc_run *run, const struct dc_stage *stage,
                                 const struct dc_stage_network *network, struct dc_error *error)
{
    const struct dc_source *source = run->train_source;
    char want[DC_SHAPE_TEXT], have[DC_SHAPE_TEXT];
    if (!dc_shape_equal(&network->model.sample, &source->sample))
        return dc_fail_yaml(error, dc_stage_place(stage, NULL, "model"),
                            "stage '%s': the model %s reads samples of %s, the data in %s has %s",
                            stage->name, stage->model, dc_shape_text(want, &network->model.sample),
                            run->experiment->data.path, dc_shape_text(have, &source->sample));
    if (network->classes != source->classes)
        return dc_fail_yaml(
            error, dc_stage_place(stage, NULL, "model"),
            "stage '%s': the model %s has %d classes, the data in %s has %d; set the "
            "model's parameter 'classes'",
            stage->name, stage->model, network->classes, run->experiment->data.path,
            source->classes);
    return DC_OK;
}

enum dc_status dc__check_data(struct dc_run *run, struct dc_error *error)
{
    const struct dc_augmentation_list *augment = &run->experiment->data.augment;
    DC_TRY_IN(dc_augmentations_check(augment->items, augment->count, &run->train_source->sample,
                                     run->train_source->dtype, error),
              error, "%s: data.augment", run->experiment->path);
    const struct dc_source *train = run->train_source, *test = run->test_source;
    char here[DC_SHAPE_TEXT], there[DC_SHAPE_TEXT];
    if (!dc_shape_equal(&train->sample, &test->sample) || train->classes != test->classes)
        return dc_fail(error, DC_ERR_DATA,
                       "%s: training samples are %s in %d classes, test samples %s in %d classes",
                       run->experiment->data.path, dc_shape_text(here, &train->sample),
                       train->classes, dc_shape_text(there, &test->sample), test->classes);
    for (int i = 0; i < run->experiment->stage_count; i++) {
        const struct dc_stage *stage = &run->experiment->stages[i];
        struct dc_stage_network network = {0};
        if (stage->exports)
            continue;
        DC_TRY(dc_stage_network_open(&network, stage, NULL, error));
        const enum dc_status status = check_fits(run, stage, &network, error);
        dc_stage_network_close(&network);
        DC_TRY(status);
    }
    return DC_OK;
}

// Validation of a stage in training. The network's own parameters are the trained ones.
struct validation {
    struct dc_run *run;
    const struct dc_stage *stage;
    const struct dc_stage_network *network;
    struct dc_params *params;  // of the training graph: the network's slices come first
    struct dc_float_predictor *predictor;
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
        DC_TRY(dc_integer_predictor_create(&integers, run->ctx, model, DC_EVALUATION_BATCH, error));
    }
    const struct dc_predictor *predictor = integers ? &integers->predictor
                                                    : &v->predictor->predictor;
    enum dc_status status = dc_scores_create(&scores, predictor->classes, run->arena, error);
    if (status == DC_OK)
        status = dc__evaluate(scores, NULL, run, predictor, run->train_source, run->validation_ids,
                              run->validation_count, error);
    dc_integer_predictor_free(integers);
    *accuracy = status == DC_OK ? dc_accuracy(scores) : 0.0;
    return status;
}

static enum dc_status want_done(const char *weights, const struct dc_stage *parent,
                                const struct dc_stage *stage, struct dc_error *error)
{
    if (dc_file_exists(weights))
        return DC_OK;
    return dc_fail(error, DC_ERR_USAGE,
                   "stage '%s' needs stage '%s', which is not done yet (%s is "
                   "missing): do it first, or all with decant run",
                   stage->name, parent->name, weights);
}

// The weights a stage starts from: init_from, else from, else random.
static enum dc_status start_weights(struct dc_run *run, const struct dc_stage *stage,
                                    struct dc_params *params, struct dc_error *error)
{
    const char *given = stage->trains ? stage->train.init_from : "";
    const struct dc_stage *parent = dc_experiment_stage(run->experiment,
                                                        given[0] ? given : stage->from);
    const int64_t seed = stage->seed >= 0 ? stage->seed : run->experiment->seed;
    dc_params_init(params, (uint32_t)seed);
    if (!parent && !given[0])
        return DC_OK;
    const char *weights = parent ? dc_run_weights_path(run, parent, error) : given;
    if (!weights)
        return DC_ERR_MEMORY;
    if (parent)
        DC_TRY(want_done(weights, parent, stage, error));
    int copied = 0;
    DC_TRY_IN(dc_weights_read_matching(weights, params, &copied, error), error,
              "stage '%s' starts from '%s'", stage->name, parent ? parent->name : given);
    if (copied == 0)
        return dc_fail(error, DC_ERR_CONFIG, "stage '%s': no layer of '%s' has the same name",
                       stage->name, parent ? parent->name : given);
    return DC_OK;
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
    config.freeze_batch_norm_epoch = quantizes ? (int)stage->quantize.freeze_batch_norm_epoch
                                               : DC_NEVER;
    config.quantizers_epoch = quantizes ? (int)stage->quantize.start_epoch : 0;
    config.schedule.milestone_count = t->milestones.count;
    for (int i = 0; i < t->milestones.count; i++)
        config.schedule.milestones[i] = t->milestones.items[i];
    return config;
}

static enum dc_status train_loader(struct dc_loader **loader, const struct dc_run *run,
                                   const struct dc_train_config *config, struct dc_error *error)
{
    const struct dc_data_spec *data = &run->experiment->data;
    const struct dc_loader_config loading = {
        .source = run->train_source,
        .ids = run->train_ids,
        .id_count = run->train_count,
        .batch = config->batch,
        .shuffle = true,
        .shuffle_seed = config->seed,
        .augment_seed = (uint32_t)data->augment_seed,
        .augmentations = data->augment.items,
        .augmentation_count = data->augment.count,
        .normalization = run->normalization,
        .view = run->train_source->sample,
        .depth = (int)data->loader_depth,
        .threads = (int)data->loader_threads,
    };
    return dc_loader_create(loader, &loading, error);
}

// The teacher of a stage in its inference form.
struct teacher {
    struct dc_stage_network network;
    struct dc_graph *folded;
    struct dc_params *folded_params;
    int places[2 + DC_TERMS_MAX];  // of the output, and of what the terms' inputs read
};

static enum dc_status open_teacher(struct teacher *teacher, struct dc_run *run,
                                   const struct dc_stage *stage, struct dc_error *error)
{
    const struct dc_stage *from = dc_experiment_stage(run->experiment, stage->distill.teacher);
    char *weights = dc_run_weights_path(run, from, error);
    if (!weights)
        return DC_ERR_MEMORY;
    DC_TRY(want_done(weights, from, stage, error));
    DC_TRY_IN(dc_stage_network_open(&teacher->network, from, weights, error), error, "teacher '%s'",
              from->name);
    return DC_OK;
}

// Once it is known what the terms read of it.
static enum dc_status fold_teacher(struct teacher *teacher, const struct dc_terms *terms,
                                   struct dc_error *error)
{
    const struct dc_stage_network *n = &teacher->network;
    teacher->places[0] = n->output;
    for (int i = 0; i < terms->input_count; i++)
        teacher->places[i + 1] = terms->inputs[i].teacher_node;
    if (n->quantized)
        return DC_OK;
    return dc_fold_keeping(&teacher->folded, &teacher->folded_params, teacher->places, n->graph,
                           n->params, teacher->places, 1 + terms->input_count, error);
}

static struct dc_network teacher_network(const struct teacher *teacher,
                                         const struct dc_terms *terms)
{
    struct dc_graph *graph = teacher->folded ? teacher->folded
                                             : (struct dc_graph *)teacher->network.graph;
    const char *image = teacher->network.graph->nodes[teacher->network.image].name;
    return (struct dc_network){
        .name = "teacher",
        .graph = graph,
        .params = teacher->folded ? teacher->folded_params : teacher->network.params,
        .image = dc_graph_find(graph, image),
        .output = teacher->places[0],
        .targets = -1,
        .outputs = teacher->places + 1,
        .output_count = terms->input_count,
    };
}

static void close_teacher(struct teacher *teacher)
{
    dc_params_free(teacher->folded_params);
    dc_graph_free(teacher->folded);
    dc_stage_network_close(&teacher->network);
}

// Everything that lives while a stage trains.
struct training {
    struct dc_stage_network network;
    struct dc_training_graph graph;
    struct dc_params *params;
    struct teacher teacher;
    struct dc_loader *loader;
    struct validation validation;
};

static void close_training(struct training *t)
{
    dc_float_predictor_free(t->validation.predictor);
    dc_loader_free(t->loader);
    close_teacher(&t->teacher);
    dc_params_free(t->params);
    dc_training_graph_free(&t->graph);
    dc_stage_network_close(&t->network);
}

static enum dc_status observe(struct dc_run *run, const struct dc_stage *stage,
                              struct dc_stage_network *network, struct dc_error *error)
{
    struct dc_plan *plan = NULL;
    struct dc_loader *loader = NULL;
    const struct dc_plan_config config = {.mode = DC_INFERENCE,
                                          .max_rows = DC_EVALUATION_BATCH,
                                          .outputs = &network->output,
                                          .output_count = 1};
    const int64_t wanted = stage->quantize.calibration_samples;
    const int64_t count = wanted < run->train_count ? wanted : run->train_count;
    DC_TRY(dc_plan_create(&plan, run->ctx, network->graph, &config, error));
    enum dc_status status = dc__plain_loader(&loader, run, run->train_source, run->train_ids, count,
                                             DC_EVALUATION_BATCH, error);
    dc_observers_reset(network->params);
    const struct dc_step step = dc_calibration_step();
    while (status == DC_OK) {
        struct dc_batch batch;
        status = dc_loader_next(loader, &batch, error);
        if (status != DC_OK || batch.rows == 0)
            break;
        dc_plan_bind(plan, network->image, batch.inputs);
        status = dc_plan_forward(plan, network->params, batch.rows, &step, error);
    }
    if (status == DC_OK)
        status = dc_observers_check(network->graph, network->params, error);
    dc_loader_free(loader);
    dc_plan_free(plan);
    return status;
}

// Ranges of a network that starts from trained weights are measured before the first step.
static enum dc_status calibrate_first(struct training *t, struct dc_run *run,
                                      const struct dc_stage *stage, struct dc_error *error)
{
    int copied = 0;
    DC_TRY(dc_params_copy_by_name(t->network.params, t->params, &copied, error));
    DC_TRY(observe(run, stage, &t->network, error));
    return dc_params_copy_by_name(t->params, t->network.params, &copied, error);
}

static enum dc_status open_training(struct training *t, struct dc_run *run,
                                    const struct dc_stage *stage,
                                    const struct dc_train_config *config, struct dc_error *error)
{
    DC_TRY(dc_stage_network_open(&t->network, stage, NULL, error));
    struct dc_terms_sources sources = {.labels = run->train_source->labels,
                                       .label_count = run->train_source->count,
                                       .ids = run->train_ids,
                                       .id_count = run->train_count};
    if (stage->distills) {
        DC_TRY(open_teacher(&t->teacher, run, stage, error));
        sources.teacher = t->teacher.network.graph;
        sources.teacher_output = t->teacher.network.output;
    }
    DC_TRY(dc_training_graph_create(&t->graph, &t->network, stage, &sources, error));
    DC_TRY(dc_params_create(&t->params, t->graph.graph, dc_optimizer_states(config->optimizer.kind),
                            config->average_decay > 0.0, error));
    DC_TRY(start_weights(run, stage, t->params, error));
    DC_TRY(dc_apply_parameter_rules(t->params, stage, error));
    if (stage->quantizes && (stage->from[0] || stage->train.init_from[0]))
        DC_TRY(calibrate_first(t, run, stage, error));
    if (stage->distills)
        DC_TRY(fold_teacher(&t->teacher, &t->graph.terms, error));
    DC_TRY(train_loader(&t->loader, run, config, error));
    t->validation = (struct validation){
        .run = run, .stage = stage, .network = &t->network, .params = t->params};
    if (!stage->quantizes && run->validation_count > 0)
        DC_TRY(dc_float_predictor_create(&t->validation.predictor, run->ctx, t->graph.graph,
                                         t->params, t->graph.image, t->graph.output,
                                         DC_EVALUATION_BATCH, error));
    return DC_OK;
}

static enum dc_status train(struct training *t, struct dc_run *run, struct dc_stage *stage,
                            struct dc_train_result *trained, struct dc_error *error)
{
    const struct dc_train_config config = train_config(run, stage);
    DC_TRY(open_training(t, run, stage, &config, error));
    const struct dc_network student = {.name = "student",
                                       .trainable = true,
                                       .graph = t->graph.graph,
                                       .params = t->params,
                                       .image = t->graph.image,
                                       .output = t->graph.output,
                                       .targets = t->graph.targets};
    struct dc_network networks[2];
    struct dc_feed feeds[1 + DC_TERMS_MAX];
    struct dc_terms *terms = &t->graph.terms;
    int count = 0;
    if (stage->distills)
        networks[count++] = teacher_network(&t->teacher, terms);
    for (int i = 0; i < terms->input_count; i++)
        feeds[i] = (struct dc_feed){.from = 0,
                                    .to = count,
                                    .from_node = t->teacher.places[i + 1],
                                    .input = terms->inputs[i].input};
    networks[count] = student;
    for (int i = 0; i < terms->count; i++)
        terms->terms[i].network = count;
    char *directory = dc_arena_printf(run->arena, error, "%s/checkpoints/%s", run->directory,
                                      stage->name);
    char *metrics = dc__path(run, "metrics.jsonl", error);
    uint64_t hash = 0;
    if (!directory || !metrics)
        return DC_ERR_MEMORY;
    DC_TRY(dc_stage_hash(&hash, run->experiment, stage, error));
    const struct dc_train_job job = {
        .stage = stage->name,
        .networks = networks,
        .network_count = count + 1,
        .feeds = feeds,
        .feed_count = terms->input_count,
        .terms = terms->terms,
        .term_count = terms->count,
        .loader = t->loader,
        .samples = run->train_count,
        .config = &config,
        .hooks = {.evaluate = run->validation_count > 0 ? validate : NULL,
                  .evaluate_user = &t->validation,
                  .progress = run->hooks.progress,
                  .progress_user = run->hooks.user},
        .directory = directory,
        .metrics_path = metrics,
        .config_hash = hash,
    };
    return dc_train(trained, run->ctx, &job, error);
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
    if (status == DC_OK)
        status = dc_weights_write(weights, t.network.params, error);
    if (status == DC_OK)
        status = dc__test_stage(run, stage, &t.network, result, error);
    close_training(&t);
    DC_TRY(status);
    json_object_update_new(result,
                           json_pack("{s:i, s:I, s:I, s:f}", "epochs", trained.epochs, "steps",
                                     (json_int_t)trained.steps, "plan_bytes",
                                     (json_int_t)trained.plan_bytes, "seconds", trained.seconds));
    if (trained.best_epoch >= 0)
        json_object_update_new(result, json_pack("{s:i, s:f}", "best_epoch", trained.best_epoch + 1,
                                                 "validation_accuracy", trained.best_accuracy));
    return DC_OK;
}

enum dc_status dc__calibrate_stage(struct dc_run *run, struct dc_stage *stage, json_t *result,
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
    enum dc_status status = start_weights(run, stage, network.params, error);
    if (status == DC_OK)
        status = observe(run, stage, &network, error);
    if (status == DC_OK)
        status = dc_weights_write(weights, network.params, error);
    json_object_set_new(result, "seconds", json_real(dc_seconds() - started));
    if (status == DC_OK)
        status = dc__test_stage(run, stage, &network, result, error);
    dc_stage_network_close(&network);
    return status;
}
