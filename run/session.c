// Owns the data of a run: its splits, normalization and loaders, opened when first needed.

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "data/open.h"
#include "data/split.h"
#include "run/experiment_schema.h"
#include "run/run_internal.h"

char *dc__path(const struct dc_run *run, const char *name, struct dc_error *error)
{
    return dc_arena_printf(run->arena, error, "%s/%s", run->directory, name);
}

char *dc_run_weights_path(struct dc_run *run, const struct dc_stage *stage, struct dc_error *error)
{
    return dc_arena_printf(run->arena, error, "%s/checkpoints/%s/final.h5", run->directory,
                           stage->name);
}

static enum dc_status open_split(struct dc_source **source, const struct dc_run *run,
                                 const char *split, struct dc_error *error)
{
    struct dc_source_spec spec = dc__data_source(run->experiment, split);
    spec.threads = run->ctx->threads;
    spec.stop = run->ctx->stop;
    DC_TRY_IN(dc_source_open(source, &spec, error), error, "%s: data", run->experiment->path);
    assert(*source);
    const char *told = run->train_source ? run->train_source->note : NULL;  // of both, often
    if ((*source)->note &&
        (source == &run->train_source || !told || strcmp(told, (*source)->note) != 0))
        dc_log(run->ctx, DC_LOG_INFO, "%s data: %s", split, (*source)->note);
    return DC_OK;
}

static struct dc_normalization given_normalization(const struct dc_normalize_spec *spec)
{
    struct dc_normalization normalization = {.channels = spec->mean.count};
    for (int c = 0; c < spec->mean.count; c++) {
        normalization.mean[c] = (float)spec->mean.items[c];
        normalization.deviation[c] = (float)spec->deviation.items[c];
    }
    return normalization;
}

// Mean and deviation as env.json has them of a run that has checkpoints; false: there are none.
// *changed: the training data is another one now.
static bool recorded_normalization(struct dc_normalization *normalization, bool *changed,
                                   struct dc_run *run)
{
    json_error_t problem;
    char now[32], *path = dc__path(run, "env.json", NULL);
    char *checkpoints = dc__path(run, "checkpoints", NULL);
    if (!path || !checkpoints || !dc_file_exists(checkpoints))
        return false;
    json_t *object = dc_json_read(path, &problem);
    const char *hash = json_string_value(json_object_get(object, "train_data_hash"));
    const json_t *record = json_object_get(object, "normalization");
    const json_t *mean = json_object_get(record, "mean");
    const json_t *deviation = json_object_get(record, "deviation");
    const size_t channels = json_array_size(mean);
    const bool there = hash && channels > 0 && channels <= DC_NORMALIZATION_CHANNELS &&
                       json_array_size(deviation) == channels;
    *normalization = (struct dc_normalization){.channels = (int)channels};
    for (size_t c = 0; there && c < channels; c++) {
        normalization->mean[c] = (float)json_number_value(json_array_get(mean, c));
        normalization->deviation[c] = (float)json_number_value(json_array_get(deviation, c));
    }
    snprintf(now, sizeof now, "%016" PRIx64, run->train_source->hash);
    *changed = there && strcmp(hash, now) != 0;
    json_decref(object);
    return there;
}

static enum dc_status set_normalization(struct dc_run *run, struct dc_error *error)
{
    const struct dc_normalize_spec *spec = &run->experiment->data.normalize;
    bool changed = false;
    // What was trained with one mean is asked with it, whatever the training data is now.
    if (spec->automatic && recorded_normalization(&run->normalization, &changed, run)) {
        if (changed)
            dc_log(
                run->ctx, DC_LOG_WARNING,
                "the training data has changed since this run began: its networks are asked with "
                "the mean and deviation that they were trained with");
        return dc_normalization_check(&run->normalization, run->train_source, error);
    }
    if (spec->automatic)
        return dc_dataset_statistics(&run->normalization, run->train_source, run->train_ids,
                                     run->train_count, error);
    run->normalization = given_normalization(spec);
    return dc_normalization_check(&run->normalization, run->train_source, error);
}

struct dc_view dc_run_view(const struct dc_run *run, const struct dc_stage *stage,
                           const struct dc_shape *sample)
{
    return (struct dc_view){.normalization = stage && !stage->normalize.automatic
                                                 ? given_normalization(&stage->normalize)
                                                 : run->normalization,
                            .sample = *sample};
}

struct dc_loader_config dc_run_training_samples(const struct dc_run *run, int64_t batch,
                                                uint32_t shuffle_seed)
{
    const struct dc_data_spec *data = &run->experiment->data;
    return (struct dc_loader_config){
        .source = run->train_source,
        .ids = run->train_ids,
        .id_count = run->train_count,
        .batch = batch,
        .shuffle = true,
        .shuffle_seed = shuffle_seed,
        .augment_seed = (uint32_t)data->augment_seed,
        .augmentations = data->augment.items,
        .augmentation_count = data->augment.count,
        .depth = (int)data->loader_depth,
        .threads = (int)data->loader_threads,
    };
}

// The data's own validation samples come last; where there are none, some are cut.
static enum dc_status cut_validation(struct dc_run *run, struct dc_error *error)
{
    const struct dc_data_spec *data = &run->experiment->data;
    const int64_t own = run->train_source->own_validation;
    if (own == 0)
        return dc_split_validation(&run->train_ids, &run->train_count, &run->validation_ids,
                                   &run->validation_count, run->train_source, data->validation,
                                   (uint32_t)data->split_seed, run->arena, error);
    run->validation_count = own;
    run->train_count = run->train_source->count - own;
    run->train_ids = DC_NEW(run->arena, int64_t, run->train_count, error);
    run->validation_ids = DC_NEW(run->arena, int64_t, own, error);
    if (!run->train_ids || !run->validation_ids)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < run->train_count; i++)
        run->train_ids[i] = i;
    for (int64_t i = 0; i < own; i++)
        run->validation_ids[i] = run->train_count + i;
    return DC_OK;
}

// data.samples of the training samples, by split.h's rule; validation stays as it is.
static enum dc_status keep_samples(struct dc_run *run, struct dc_error *error)
{
    const struct dc_data_spec *data = &run->experiment->data;
    const struct dc_source *source = run->train_source;
    const int64_t count = run->train_count;
    bool *chosen = NULL;
    if (data->samples == 0)
        return DC_OK;
    if (data->samples > count)
        return dc_fail(error, DC_ERR_CONFIG,
                       "samples: %lld were asked for, there are %lld to train on",
                       (long long)data->samples, (long long)count);
    int32_t *labels = DC_NEW(run->arena, int32_t, source->labels ? count : 0, error);
    if (!labels)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; source->labels && i < count; i++)
        labels[i] = source->labels[run->train_ids[i]];
    DC_TRY(dc_choose(&chosen, source->labels ? labels : NULL, source->classes, count, data->samples,
                     (uint32_t)data->split_seed, DC_PURPOSE_SUBSET, run->arena, error));
    run->train_count = 0;
    for (int64_t i = 0; i < count; i++)
        if (chosen[i])
            run->train_ids[run->train_count++] = run->train_ids[i];
    return DC_OK;
}

// Training keeps the samples of normal classes; validation keeps all, to tell them apart.
static enum dc_status keep_normal(struct dc_run *run, struct dc_error *error)
{
    const struct dc_numbers *normal = &run->experiment->data.normal;
    const struct dc_source *source = run->train_source;
    int64_t kept = 0;
    int listed = 0;
    if (normal->count == 0)
        return DC_OK;
    run->normal = DC_NEW(run->arena, bool, source->classes, error);
    if (!run->normal)
        return DC_ERR_MEMORY;
    for (int i = 0; i < normal->count; i++) {
        const int label = (int)normal->items[i];
        if (label >= source->classes)
            return dc_fail(error, DC_ERR_CONFIG, "normal: there is no label %d, labels are 0 to %d",
                           label, source->classes - 1);
        listed += !run->normal[label];
        run->normal[label] = true;
    }
    if (!source->labels || listed == source->classes)
        return dc_fail(error, DC_ERR_CONFIG, "normal: no sample is of another class");
    for (int64_t i = 0; i < run->train_count; i++)
        if (run->normal[source->labels[run->train_ids[i]]])
            run->train_ids[kept++] = run->train_ids[i];
    run->train_count = kept;
    return kept > 0 ? DC_OK
                    : dc_fail(error, DC_ERR_DATA, "normal: no training sample is of these classes");
}

enum dc_status dc__scores_create(struct dc_scores **scores, const struct dc_run *run,
                                 const struct dc_stage *stage, const struct dc_predictor *predictor,
                                 int64_t samples, struct dc_error *error)
{
    if (stage && dc_stage_reconstructs(stage))
        return dc_scores_create_reconstruction(scores, run->normal, samples, run->arena, error);
    const enum dc_label_kind labels = (enum dc_label_kind)run->experiment->data.labels;
    if (labels != DC_LABELS_CLASSES)
        return dc_scores_create_targets(scores, labels, predictor->classes, samples, run->arena,
                                        error);
    return dc_scores_create(scores, predictor->classes, run->arena, error);
}

enum dc_status dc_run_need_train_data(struct dc_run *run, struct dc_error *error)
{
    if (run->train_source)
        return DC_OK;
    DC_TRY(open_split(&run->train_source, run, "train", error));
    DC_TRY_IN(cut_validation(run, error), error, "%s: data", run->experiment->path);
    DC_TRY_IN(keep_samples(run, error), error, "%s: data", run->experiment->path);
    DC_TRY_IN(keep_normal(run, error), error, "%s: data", run->experiment->path);
    DC_TRY_IN(set_normalization(run, error), error, "%s: data", run->experiment->path);
    return DC_OK;
}

const char *const dc__hash_keys[DC_SPLITS] = {
    [DC_SPLIT_TRAIN] = "train_data_hash", [DC_SPLIT_TEST] = "test_data_hash"};
static const char *const split_names[DC_SPLITS] = {
    [DC_SPLIT_TRAIN] = "training", [DC_SPLIT_TEST] = "test"};

bool dc_run_data_changed(struct dc_data_change *change, const struct dc_run *run,
                         const json_t *environment, enum dc_split split)
{
    const struct dc_source *source = split == DC_SPLIT_TEST ? run->test_source : run->train_source;
    const char *then = json_string_value(json_object_get(environment, dc__hash_keys[split]));
    *change = (struct dc_data_change){.split = split_names[split]};
    snprintf(change->then, sizeof change->then, "%s", then ? then : "not recorded");
    snprintf(change->now, sizeof change->now, "%016" PRIx64, source->hash);
    return then ? strcmp(then, change->now) != 0 : split == DC_SPLIT_TRAIN;
}

enum dc_status dc__tell_changed(const struct dc_run *run, enum dc_split split,
                                struct dc_error *error)
{
    struct dc_data_change change;
    json_error_t problem;
    const char *path = dc__path(run, "env.json", error);
    if (!path)
        return DC_ERR_MEMORY;
    json_t *environment = dc_json_read(path, &problem);
    if (environment && dc_run_data_changed(&change, run, environment, split))
        dc_log(run->ctx, DC_LOG_WARNING,
               "the %s data is not what %s was made with (hash %s, now %s): what is measured on it "
               "now need not be what the run's records say",
               change.split, run->directory, change.then, change.now);
    json_decref(environment);
    return DC_OK;
}

enum dc_status dc__open_data(struct dc_run *run, struct dc_error *error)
{
    DC_TRY(dc_run_need_train_data(run, error));
    return run->test_source ? DC_OK : open_split(&run->test_source, run, "test", error);
}

enum dc_status dc_run_need_test_data(struct dc_run *run, struct dc_error *error)
{
    const bool open = run->test_source != NULL;
    DC_TRY(dc__open_data(run, error));
    return open ? DC_OK : dc__tell_changed(run, DC_SPLIT_TEST, error);
}

int64_t dc__evaluation_rows(int64_t macs)
{
    const int64_t batch_macs = 50000000000;  // a second or a few
    const int64_t rows = batch_macs / (macs > 0 ? macs : 1);
    return rows < 1 ? 1 : rows < DC_EVALUATION_BATCH ? rows : DC_EVALUATION_BATCH;
}

enum dc_status dc__plain_loader(struct dc_loader **loader, const struct dc_view *view,
                                const struct dc_source *source, const int64_t *ids, int64_t count,
                                int64_t batch, struct dc_error *error)
{
    const int64_t n = ids ? count : count < source->count ? count : source->count;
    int64_t *all = ids ? NULL : dc_alloc(sizeof *all * (size_t)n, error);
    if (!ids && !all)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; all && i < n; i++)
        all[i] = i;
    const struct dc_loader_config config = {
        .source = source,
        .ids = ids ? ids : all,
        .id_count = n,
        .batch = batch,
        .views = {*view},
        .view_count = 1,
        .depth = 2,
        .threads = 1,
        .stop = source->stop,
    };
    const enum dc_status status = dc_loader_create(loader, &config, error);
    free(all);
    DC_TRY(status);
    return dc_loader_start(*loader, 0, 0, error);
}

enum dc_status dc__evaluate(struct dc_scores *scores, float *logits, const struct dc_view *view,
                            const struct dc_predictor *predictor, const struct dc_source *source,
                            const int64_t *ids, int64_t count, struct dc_error *error)
{
    struct dc_loader *loader = NULL;
    DC_TRY(dc__plain_loader(&loader, view, source, ids, count, predictor->max_rows, error));
    const enum dc_status status = dc_evaluate(scores, logits, predictor, loader, error);
    dc_loader_free(loader);
    return status;
}
