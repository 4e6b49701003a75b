// Owns predictions of finished networks.

#include "run/predict.h"

#include <math.h>
#include <string.h>

#include "core/h5.h"
#include "data/open.h"
#include "export/bundle.h"
#include "qat/engine.h"
#include "qat/profile.h"
#include "run/experiment_schema.h"
#include "run/quantization.h"
#include "run/report.h"
#include "run/run_internal.h"

static struct dc_stage *last_network(struct dc_experiment *experiment)
{
    for (int i = experiment->stage_count - 1; i >= 0; i--)
        if (!experiment->stages[i].exports)
            return &experiment->stages[i];
    return NULL;
}

enum dc_status dc__pick_stage(struct dc_stage **stage, struct dc_run *run, const char *name,
                              struct dc_error *error)
{
    if (name)
        DC_TRY(dc_want_stage(stage, run->experiment, run->directory, name, error));
    else
        *stage = last_network(run->experiment);
    if (!*stage)
        return dc_fail(error, DC_ERR_USAGE, "%s has no stage with a network", run->directory);
    if ((*stage)->exports)
        *stage = dc_experiment_stage(run->experiment, (*stage)->export.stage);
    if (!dc_run_stage_done(run, *stage))
        return dc_fail(error, DC_ERR_USAGE, "%s: stage '%s' is not done yet; decant run does it",
                       run->directory, (*stage)->name);
    return DC_OK;
}

static enum dc_status open_data(struct dc_source **source, struct dc_run *run,
                                const struct dc_predict_options *options, struct dc_error *error)
{
    const struct dc_source_spec given = dc_source_spec_of(options->data, options->split);
    struct dc_source_spec spec = dc__data_source(run->experiment, options->split);
    spec.kind = given.kind;
    spec.path = given.path;
    spec.any_labels = given.any_labels;
    spec.class_count = run->train_source->classes;
    spec.class_names = run->train_source->class_names;
    // Photographs become what the run's samples are; windows and the columns of tables are the
    // experiment's.
    const struct dc_shape *sample = &run->train_source->sample;
    spec.foreign = true;
    if (sample->rank == 3 && spec.resize.height == 0)
        spec.resize = (struct dc_resize){.height = (int)sample->dims[0],
                                         .width = (int)sample->dims[1]};
    spec.channels = sample->rank == 3 && sample->dims[2] <= 3 ? (int)sample->dims[2] : 0;
    spec.threads = run->ctx->threads;
    spec.stop = run->ctx->stop;
    return dc_source_open(source, &spec, error);
}

void dc__any_predictor_close(struct dc__any_predictor *p)
{
    dc_device_predictor_close(p->device);
    dc_float_predictor_free(p->floats);
    dc_integer_predictor_free(p->integers);
    dc_stage_network_close(&p->network);
}

enum dc_status dc__any_predictor_open(struct dc__any_predictor *p, struct dc_run *run,
                                      const struct dc_stage *stage, const char *profile,
                                      struct dc_error *error)
{
    char *weights = dc_run_weights_path(run, stage, error);
    if (!weights)
        return DC_ERR_MEMORY;
    DC_TRY(dc_stage_network_open(&p->network, stage, weights, error));
    const int64_t rows = dc__evaluation_rows(dc_graph_macs(p->network.graph));
    p->view = dc_run_view(run, stage, &p->network.model.sample);
    if (!stage->quantizes) {
        DC_TRY(dc_float_predictor_create(&p->floats, run->ctx, p->network.graph, p->network.params,
                                         p->network.image, p->network.output, rows, error));
        p->predictor = &p->floats->predictor;
        return DC_OK;
    }
    struct dc_imodel *model = NULL;
    DC_TRY(dc_stage_lower(&model, run->ctx, &p->network, p->network.params, profile, "", error));
    DC_TRY(dc_integer_predictor_create(&p->integers, run->ctx, model, rows, error));
    p->predictor = &p->integers->predictor;
    return DC_OK;
}

static enum dc_status open_bundle(struct dc__any_predictor *p, struct dc_prediction *out,
                                  struct dc_run *run, const char *bundle, struct dc_error *error)
{
    struct dc_imodel *model = NULL;
    int64_t macs = 0;
    DC_TRY(dc_bundle_read(&model, NULL, bundle, error));
    for (int i = 0; i < model->count; i++)
        macs += dc_ilayer_macs(model, i);
    p->view = dc_run_view(run, dc__bundle_stage(run, bundle), &model->sample);
    out->stage = bundle;
    out->arithmetic = model->profile->name;
    DC_TRY(dc_integer_predictor_create(&p->integers, run->ctx, model, dc__evaluation_rows(macs),
                                       error));
    p->predictor = &p->integers->predictor;
    return DC_OK;
}

static enum dc_status predict_counted(void *user, float *logits, const float *inputs, int64_t rows,
                                      struct dc_error *error)
{
    struct dc__counted *c = user;
    DC_TRY(c->inner->predict(c->inner->user, logits, inputs, rows, error));
    c->done += rows;
    if (c->progress->told)
        c->progress->told(c->progress->user, c->done, c->total);
    return DC_OK;
}

void dc__count(struct dc__counted *counted, const struct dc_predictor *inner,
               const struct dc_sample_progress *progress, int64_t total)
{
    *counted = (struct dc__counted){*inner, inner, progress, 0, total};
    counted->predictor.predict = predict_counted;
    counted->predictor.user = counted;
}

// Where a device is to answer, it does so beside the engine.
static enum dc_status open_device(struct dc__any_predictor *p, const struct dc_run *run,
                                  const struct dc_predict_options *options, struct dc_error *error)
{
    if (!options->device)
        return DC_OK;
    if (!p->integers)
        return dc_fail(error, DC_ERR_USAGE,
                       "--device is for a quantized stage or a bundle: this network is float");
    DC_TRY(dc_device_predictor_open(&p->device, run->ctx, options->device, p->integers, error));
    p->predictor = &p->device->predictor;
    return DC_OK;
}

// Whether the data has labels of the run's kind for so many outputs.
static bool fits_labels(const struct dc_run *run, const struct dc_source *source, int outputs)
{
    return (source->labels || source->targets) && source->classes == outputs &&
           (int)source->label_kind == run->experiment->data.labels;
}

static enum dc_status predict(struct dc_prediction *out, struct dc_run *run,
                              const struct dc__any_predictor *p, const struct dc_stage *stage,
                              const struct dc_source *source,
                              const struct dc_predict_options *options, struct dc_error *error)
{
    const int64_t limit = options->limit;
    struct dc__counted counted;
    char want[DC_SHAPE_TEXT], have[DC_SHAPE_TEXT];
    if (!dc_sample_fits(&p->view.sample, &source->sample) && !p->network.model.imported)
        return dc_fail(error, DC_ERR_DATA, "the network reads samples of %s, the data has %s",
                       dc_shape_text(want, &p->view.sample), dc_shape_text(have, &source->sample));
    out->samples = limit > 0 && limit < source->count ? limit : source->count;
    out->classes = p->predictor->classes;
    out->logits = DC_NEW(run->arena, float, out->samples * out->classes, error);
    if (!out->logits)
        return DC_ERR_MEMORY;
    const bool reconstructs = stage && dc_stage_reconstructs(stage);
    if (reconstructs ? !run->normal || source->labels : fits_labels(run, source, out->classes))
        DC_TRY(dc__scores_create(&out->scores, run, stage, p->predictor, out->samples, error));
    dc__count(&counted, p->predictor, &options->progress, out->samples);
    return dc__evaluate(out->scores, out->logits, &p->view, &counted.predictor, source, NULL,
                        out->samples, error);
}

// The data asked for; *other is opened for this and freed by the caller.
static enum dc_status pick_data(const struct dc_source **source, struct dc_source **other,
                                struct dc_run *run, const struct dc_predict_options *options,
                                struct dc_error *error)
{
    const bool test = strcmp(options->split, "test") == 0;
    *other = NULL;
    DC_TRY(dc_run_need_train_data(run, error));  // the normalization comes from it
    if (options->data)
        DC_TRY(open_data(other, run, options, error));
    else if (test)
        DC_TRY(dc_run_need_test_data(run, error));
    else if (!run->experiment->data.normalize.automatic)  // else it was told with the mean
        DC_TRY(dc__tell_changed(run, DC_SPLIT_TRAIN, error));
    *source = *other ? *other : test ? run->test_source : run->train_source;
    return DC_OK;
}

static enum dc_status copy_texts(const char *const **to, const char *const *from, int64_t count,
                                 struct dc_arena *arena, struct dc_error *error)
{
    const char **texts = from ? DC_NEW(arena, const char *, count, error) : NULL;
    if (from && !texts)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; from && i < count; i++)
        if (!(texts[i] = dc_arena_copy(arena, from[i], error)))
            return DC_ERR_MEMORY;
    *to = texts;
    return DC_OK;
}

// The source may be gone when they are read.
static enum dc_status name_samples(struct dc_prediction *out, const struct dc_run *run,
                                   const struct dc_source *source, struct dc_error *error)
{
    const bool named = source->classes == out->classes;
    out->labels = (enum dc_label_kind)run->experiment->data.labels;
    DC_TRY(copy_texts(&out->files, source->files, out->samples, run->arena, error));
    return copy_texts(&out->class_names, named ? source->class_names : NULL, out->classes,
                      run->arena, error);
}

enum dc_status dc_run_predict(struct dc_prediction *prediction, struct dc_run *run,
                              const struct dc_predict_options *options, struct dc_error *error)
{
    *prediction = (struct dc_prediction){0};
    struct dc_stage *stage = NULL;
    const struct dc_source *source = NULL;
    struct dc_source *other = NULL;
    const char *profile = options->profile ? options->profile : run->experiment->profile;
    if (!options->bundle)
        DC_TRY(dc__pick_stage(&stage, run, options->stage, error));
    DC_TRY(pick_data(&source, &other, run, options, error));
    struct dc__any_predictor p = {0};
    enum dc_status status = options->bundle
                                ? open_bundle(&p, prediction, run, options->bundle, error)
                                : dc__any_predictor_open(&p, run, stage, profile, error);
    if (stage) {
        prediction->stage = stage->name;
        prediction->arithmetic = stage->quantizes ? profile : "float32";
    }
    if (status == DC_OK)
        status = open_device(&p, run, options, error);
    if (status == DC_OK)
        status = predict(prediction, run, &p,
                         stage ? stage : dc__bundle_stage(run, options->bundle), source, options,
                         error);
    if (status == DC_OK) {
        prediction->probabilities = p.predictor->least_probability > 0.0f;
        prediction->reconstructs = stage && dc_stage_reconstructs(stage);
        if (p.device)
            prediction->device = p.device->answers;
        status = name_samples(prediction, run, source, error);
    }
    dc__any_predictor_close(&p);
    dc_source_free(other);
    return status;
}

static enum dc_status report_stage(json_t *report, struct dc_run *run, const struct dc_stage *stage,
                                   const struct dc_source *source,
                                   const struct dc_predict_options *options, struct dc_error *error)
{
    struct dc_stage_network network = {0};
    char *weights = dc_run_weights_path(run, stage, error);
    if (!weights)
        return DC_ERR_MEMORY;
    DC_TRY(dc_stage_network_open(&network, stage, weights, error));
    const int64_t count = options->limit > 0 && options->limit < source->count ? options->limit
                                                                               : source->count;
    enum dc_status status = DC_OK;
    if (dc_stage_reconstructs(stage) ? run->normal && !source->labels
                                     : !fits_labels(run, source, network.classes))
        status = dc_fail(error, DC_ERR_DATA, "the data has no labels for %d classes",
                         network.classes);
    json_object_set_new(report, "stage", json_string(stage->name));
    json_object_set_new(report, "samples", json_integer(count));
    if (status == DC_OK)
        status = dc_quantization_report(report, run, stage, &network,
                                        options->profile ? options->profile
                                                         : run->experiment->profile,
                                        source, count, INFINITY, error);
    dc_stage_network_close(&network);
    return status;
}

enum dc_status dc_run_quantization(json_t **report, struct dc_run *run,
                                   const struct dc_predict_options *options, struct dc_error *error)
{
    struct dc_stage *stage = NULL;
    const struct dc_source *source = NULL;
    struct dc_source *other = NULL;
    *report = NULL;
    if (options->bundle)
        return dc_fail(error, DC_ERR_USAGE,
                       "%s is a bundle, which has no float network to compare with: --quantization "
                       "is for runs",
                       options->bundle);
    DC_TRY(dc__pick_stage(&stage, run, options->stage, error));
    if (!stage->quantizes)
        return dc_fail(error, DC_ERR_USAGE, "stage '%s' is not quantized", stage->name);
    DC_TRY(pick_data(&source, &other, run, options, error));
    json_t *object = json_object();
    const enum dc_status status = report_stage(object, run, stage, source, options, error);
    dc_source_free(other);
    if (status == DC_OK)
        *report = object;
    else
        json_decref(object);
    return status;
}

enum dc_status dc_prediction_scores(json_t **json, const struct dc_prediction *prediction,
                                    struct dc_error *error)
{
    *json = NULL;
    if (!prediction->scores)
        return dc_fail(error, DC_ERR_DATA, "the data has no labels for %d classes",
                       prediction->classes);
    *json = dc_report_scores(prediction->scores);
    json_object_set_new(*json, "stage", json_string(prediction->stage));
    json_object_set_new(*json, "arithmetic", json_string(prediction->arithmetic));
    const struct dc_device_answers *d = &prediction->device;
    if (d->samples > 0)
        json_object_set_new(*json, "device",
                            json_pack("{s:s, s:I, s:I, s:I, s:f}", "network", d->name, "bytes",
                                      (json_int_t)d->bytes, "bytes_different",
                                      (json_int_t)d->different, "first_sample_different",
                                      (json_int_t)d->first_sample, "seconds_an_inference",
                                      d->seconds_an_inference));
    return *json ? DC_OK : dc_fail(error, DC_ERR_MEMORY, "out of memory");
}

static enum dc_status write_prediction(struct dc_h5 *file, const struct dc_prediction *prediction,
                                       struct dc_error *error)
{
    const struct dc_tensor logits = {prediction->logits, DC_F32,
                                     DC_SHAPE(prediction->samples, prediction->classes)};
    DC_TRY(dc_h5_set_text(file, "decant_file", "prediction", error));
    DC_TRY(dc_h5_set_int(file, "version", 1, error));
    DC_TRY(dc_h5_set_text(file, "stage", prediction->stage, error));
    DC_TRY(dc_h5_set_text(file, "arithmetic", prediction->arithmetic, error));
    return dc_h5_write(file, "logits", &logits, error);
}

enum dc_status dc_prediction_write(const char *path, const struct dc_prediction *prediction,
                                   struct dc_error *error)
{
    struct dc_h5 *file = NULL;
    DC_TRY(dc_h5_create(&file, path, error));
    return dc_h5_close_commit(file, write_prediction(file, prediction, error), error);
}
