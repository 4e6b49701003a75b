// Owns the opening of a finished network for samples from elsewhere, and its outputs for arrays.

#include "run/asked.h"

#include <math.h>
#include <string.h>

#include "export/bundle.h"
#include "qat/profile.h"

enum dc_status dc_asked_bundle(struct dc_asked *a, const struct dc_ctx *ctx, const char *bundle,
                               struct dc_arena *arena, struct dc_error *error)
{
    struct dc_imodel *model = NULL;
    int64_t macs = 0;
    *a = (struct dc_asked){.stage = bundle};
    DC_TRY(dc_bundle_read(&model, NULL, bundle, error));
    for (int i = 0; i < model->count; i++)
        macs += dc_ilayer_macs(model, i);
    a->record = model->preprocessing;
    a->sample = model->sample;
    a->dtype = a->record.bytes ? DC_U8 : DC_F32;
    if (!a->record.bytes)
        a->record.normalization = (struct dc_normalization){
            .channels = 1, .mean = {0.0f}, .deviation = {1.0f}};
    a->predictor.view = (struct dc_view){a->record.normalization, model->sample};
    a->arithmetic = model->profile->name;
    const char **names = DC_NEW(arena, const char *, a->record.classes, error);
    for (int i = 0; names && i < a->record.classes; i++)
        names[i] = dc_arena_copy(arena, a->record.class_names[i], error);
    a->record.class_names = names;
    DC_TRY(dc_integer_predictor_create(&a->predictor.integers, ctx, model,
                                       dc__evaluation_rows(macs), error));
    a->predictor.predictor = &a->predictor.integers->predictor;
    return names ? DC_OK : DC_ERR_MEMORY;
}

// A run's record, or its data where the record does not say.
static enum dc_status know_samples(struct dc_asked *a, struct dc_run *run, struct dc_error *error)
{
    DC_TRY(dc__read_samples(&a->record, &a->sample, run, error));
    a->dtype = DC_U8;
    if (!a->record.bytes) {
        DC_TRY(dc_run_need_train_data(run, error));
        const struct dc_source *source = run->train_source;
        a->sample = source->sample;
        a->dtype = source->dtype;
        a->record = (struct dc_preprocessing){.bytes = source->dtype == DC_U8 &&
                                                       source->sample.rank == 3,
                                              .normalization = run->normalization,
                                              .classes = source->class_names ? source->classes : 0,
                                              .class_names = source->class_names};
    }
    a->record.labels = (enum dc_label_kind)run->experiment->data.labels;
    run->normalization = a->record.normalization;
    a->record.resize = run->experiment->data.resize;
    return DC_OK;
}

enum dc_status dc_asked_stage(struct dc_asked *a, struct dc_run *run, const char *name,
                              const char *profile, struct dc_error *error)
{
    struct dc_stage *stage = NULL;
    profile = profile ? profile : run->experiment->profile;
    *a = (struct dc_asked){0};
    DC_TRY(dc__pick_stage(&stage, run, name, error));
    DC_TRY(know_samples(a, run, error));
    a->stage = stage->name;
    a->arithmetic = stage->quantizes ? profile : "float32";
    a->reconstructs = dc_stage_reconstructs(stage);
    return dc__any_predictor_open(&a->predictor, run, stage, profile, error);
}

void dc_asked_close(struct dc_asked *a)
{
    dc__any_predictor_close(&a->predictor);
}

// A caller's array as a source of samples.
struct array {
    struct dc_source source;  // first, so that the pointers are the same
    const unsigned char *values;
    size_t bytes;  // of a sample
};

static enum dc_status read_array(const struct dc_source *source, int64_t id, void *values,
                                 struct dc_error *error)
{
    const struct array *array = (const struct array *)source;
    (void)error;
    memcpy(values, array->values + (size_t)id * array->bytes, array->bytes);
    return DC_OK;
}

static void free_array(struct dc_source *source)
{
    (void)source;  // the caller's
}

enum dc_status dc_asked_values(float *outputs, const struct dc_asked *a, const void *values,
                               int64_t count, const volatile sig_atomic_t *stop,
                               struct dc_error *error)
{
    static const struct dc_source_ops ops = {"array", read_array, free_array};
    const struct array array = {
        .source =
            {.ops = &ops, .count = count, .sample = a->sample, .dtype = a->dtype, .stop = stop},
        .values = values,
        .bytes = (size_t)dc_shape_count(&a->sample) * dc_dtype_bytes(a->dtype),
    };
    if (count == 0)
        return DC_OK;
    return dc__evaluate(NULL, outputs, &a->predictor.view, a->predictor.predictor, &array.source,
                        NULL, count, error);
}

void dc_asked_probabilities(float *rows, const struct dc_asked *a, int64_t count)
{
    if (a->predictor.predictor->least_probability <= 0.0f)
        dc_logits_to_probabilities(rows, a->record.labels, a->predictor.predictor->classes, count);
}

void dc_logits_to_probabilities(float *rows, enum dc_label_kind labels, int classes, int64_t count)
{
    for (int64_t i = 0; labels == DC_LABELS_TAGS && i < count * classes; i++)
        rows[i] = (float)(1.0 / (1.0 + exp(-(double)rows[i])));
    for (int64_t r = 0; labels == DC_LABELS_CLASSES && r < count; r++, rows += classes) {
        double sum = 0.0;
        float most = rows[0];
        for (int c = 1; c < classes; c++)
            most = rows[c] > most ? rows[c] : most;
        for (int c = 0; c < classes; c++)
            sum += exp((double)(rows[c] - most));
        for (int c = 0; c < classes; c++)
            rows[c] = (float)(exp((double)(rows[c] - most)) / sum);
    }
}
