// Owns what happens to a trained network: its test, and its export with proof.

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/folder.h"
#include "export/bundle.h"
#include "export/formats.h"
#include "export/measure.h"
#include "export/verify.h"
#include "qat/profile.h"
#include "run/cascade.h"
#include "run/lineage.h"
#include "run/log.h"
#include "run/quantization.h"
#include "run/report.h"
#include "run/run_internal.h"
#include "run/target.h"

// What a run's own report may spend on each layer alone: seconds, of networks for microcontrollers.
#define TRIED_MACS 5e11

static enum dc_status test_scores(json_t **scores_json, struct dc_run *run,
                                  const struct dc_stage *stage, const struct dc_view *view,
                                  const struct dc_predictor *predictor, struct dc_error *error)
{
    struct dc_scores *scores = NULL;
    DC_TRY(dc__scores_create(&scores, run, stage, predictor, run->test_source->count, error));
    DC_TRY(dc__evaluate(scores, NULL, view, predictor, run->test_source, NULL, INT64_MAX, error));
    *scores_json = dc_report_scores(scores);
    return DC_OK;
}

static enum dc_status test_float(json_t **scores, struct dc_run *run, const struct dc_stage *stage,
                                 const struct dc_graph *graph, struct dc_params *params, int input,
                                 int output, const struct dc_shape *sample, struct dc_error *error)
{
    struct dc_float_predictor *predictor = NULL;
    const struct dc_view view = dc_run_view(run, stage, sample);
    DC_TRY(dc_float_predictor_create(&predictor, run->ctx, graph, params, input, output,
                                     dc__evaluation_rows(dc_graph_macs(graph)), error));
    const enum dc_status status = test_scores(scores, run, stage, &view, &predictor->predictor,
                                              error);
    dc_float_predictor_free(predictor);
    return status;
}

enum dc_status dc__test_stage(struct dc_run *run, struct dc_stage *stage,
                              struct dc_stage_network *network, json_t *result,
                              struct dc_error *error)
{
    json_t *scores = NULL;
    char what[96];
    DC_TRY(dc_run_need_test_data(run, error));
    snprintf(what, sizeof what, "tests on %lld samples", (long long)run->test_source->count);
    dc__log_stage(run, stage, what);
    dc_report_counts(result, network);
    if (stage->quantizes)
        return dc_quantization_report(result, run, stage, network, run->experiment->profile,
                                      run->test_source, INT64_MAX, TRIED_MACS, error);
    DC_TRY(test_float(&scores, run, stage, network->graph, network->params, network->image,
                      network->output, &network->model.sample, error));
    json_object_set_new(result, "float", scores);
    return DC_OK;
}

enum dc_status dc__test_peer(struct dc_run *run, const struct dc_stage *stage,
                             const struct dc_model *model, struct dc_params *params, json_t *list,
                             struct dc_error *error)
{
    json_t *scores = NULL;
    DC_TRY(test_float(&scores, run, stage, model->graph, params, model->input, model->output,
                      &model->sample, error));
    json_array_append_new(list, json_pack("{s:s, s:o}", "model", model->name, "float", scores));
    return DC_OK;
}

// The codes that a device makes of the bytes themselves are those of evaluation.
static enum dc_status check_bytes(const int8_t *codes, const struct dc_imodel *model,
                                  const struct dc_source *source, struct dc_error *error)
{
    const int64_t size = dc_ilayer_size(&model->layers[0]);
    const int tables = model->preprocessing.normalization.channels;
    int8_t table[DC_NORMALIZATION_CHANNELS][DC_BYTE_CODES];
    uint8_t *bytes = model->preprocessing.bytes ? dc_alloc((size_t)size, error) : NULL;
    if (!bytes)
        return model->preprocessing.bytes ? DC_ERR_MEMORY : DC_OK;
    enum dc_status status = DC_OK;
    for (int c = 0; status == DC_OK && c < tables; c++)
        status = dc_imodel_byte_codes(table[c], model, c, error);
    if (status == DC_OK && (source->dtype != DC_U8 || dc_shape_count(&source->sample) != size))
        status = dc_fail(error, DC_ERR_DATA,
                         "%s reads bytes of another number or type than the data's", model->name);
    for (int64_t id = 0; status == DC_OK && id < source->count; id++) {
        status = dc_source_read(source, id, bytes, error);
        for (int64_t i = 0; status == DC_OK && i < size; i++)
            if (table[i % tables][bytes[i]] != codes[id * size + i])
                status = dc_fail(error, DC_ERR_VERIFY,
                                 "sample %lld, value %lld: byte %d gives code %d by the table of "
                                 "%s, evaluation reads %d",
                                 (long long)id, (long long)i, bytes[i], table[i % tables][bytes[i]],
                                 model->name, codes[id * size + i]);
    }
    free(bytes);
    return status;
}

// Codes of the whole test split, as the network's input reads them.
static enum dc_status test_codes(int8_t **codes, int64_t *samples, struct dc_run *run,
                                 const struct dc_stage *stage, const struct dc_imodel *model,
                                 struct dc_error *error)
{
    const struct dc_view view = dc_run_view(run, stage, &model->sample);
    const int64_t size = dc_ilayer_size(&model->layers[0]);
    struct dc_loader *loader = NULL;
    *samples = run->test_source->count;
    *codes = dc_alloc((size_t)(*samples * size), error);
    if (!*codes)
        return DC_ERR_MEMORY;
    DC_TRY(dc__plain_loader(&loader, &view, run->test_source, NULL, INT64_MAX, DC_EVALUATION_BATCH,
                            error));
    enum dc_status status = DC_OK;
    for (int64_t done = 0; status == DC_OK;) {
        struct dc_batch batch;
        status = dc_loader_next(loader, &batch, error);
        if (status != DC_OK || batch.rows == 0)
            break;
        status = dc_imodel_quantize_input(*codes + done * size, model, batch.inputs,
                                          batch.rows * size, error);
        done += batch.rows;
    }
    dc_loader_free(loader);
    return status == DC_OK ? check_bytes(*codes, model, run->test_source, error) : status;
}

// Class names are shipped where the outputs are the classes and JSON can hold them.
static bool names_outputs(const struct dc_source *source, const struct dc_imodel *model)
{
    bool good = source->class_names && source->classes == dc_ilayer_size(dc_imodel_output(model));
    for (int i = 0; good && i < source->classes; i++) {
        json_t *text = json_string(source->class_names[i]);  // NULL: not UTF-8
        good = text != NULL;
        json_decref(text);
    }
    return good;
}

// What a device does before the network, where the network reads the data's bytes as they are; and
// what its outputs are.
static enum dc_status set_preprocessing(struct dc_run *run, const struct dc_stage *from,
                                        struct dc_imodel *model, struct dc_error *error)
{
    const struct dc_source *source = run->train_source;
    const struct dc_view view = dc_run_view(run, from, &model->sample);
    struct dc_preprocessing p = {.labels = (enum dc_label_kind)run->experiment->data.labels};
    if (source->dtype == DC_U8 && dc_sample_fits(&view.sample, &source->sample)) {
        p.bytes = true;
        p.normalization = view.normalization;
        p.resize = run->experiment->data.resize;
        if (names_outputs(source, model)) {
            p.classes = source->classes;
            p.class_names = source->class_names;
        }
    }
    return dc_imodel_set_preprocessing(model, &p, error);
}

// Instructions by QEMU where a budget is about them and there is one, by the estimate elsewhere.
static enum dc_status measure_time(json_t *result, const struct dc_run *run,
                                   const struct dc_stage *from, const struct dc_imodel *model,
                                   const struct dc_vectors *vectors, struct dc_error *error)
{
    const struct dc_target_limits *target = &run->experiment->limits;
    const enum dc_rung rung = (enum dc_rung)(DC_RUNG_CORTEX_M0 + target->core);
    struct dc_ladder *ladder = NULL;
    struct dc_rung_result r = {0};
    if (target->instructions == 0 && target->latency_ms == 0.0)
        return DC_OK;
    DC_TRY(dc_ladder_create(&ladder, run->ctx, model, vectors, NULL, 0, error));
    const enum dc_status status = dc_ladder_run(&r, ladder, rung,
                                                dc_optimization_names[target->optimization], error);
    dc_ladder_free(ladder);
    if (status != DC_OK || r.outcome == DC_RUNG_NOT_RUN)
        return status;  // as estimated, which was held to the budgets before
    if (r.outcome != DC_RUNG_EQUAL)
        return dc_fail(error, DC_ERR_VERIFY, "on an emulated %s: %s", dc_rung_name(rung), r.why);
    json_object_set_new(result, "time",
                        json_pack("{s:s, s:I, s:f}", "by", "qemu", "instructions",
                                  (json_int_t)r.instructions, "latency_ms",
                                  dc_target_milliseconds(target, r.instructions)));
    return strcmp(model->profile->name, run->experiment->profile) != 0
               ? DC_OK
               : dc_target_check_time(target, from->name, r.instructions,
                                      ", counted by QEMU: instructions, not cycles", error);
}

// What the budgets are held to last: what a linker says where there is one for the target's core,
// or the estimate of `check` again.
static enum dc_status measure(json_t *result, const struct dc_run *run, const struct dc_stage *from,
                              const struct dc_imodel *model, const struct dc_vectors *vectors,
                              struct dc_error *error)
{
    const struct dc_target_limits *target = &run->experiment->limits;
    struct dc_footprint f;
    bool measured = false;
    int64_t flash = 0, ram = 0;
    DC_TRY(dc_target_footprint(&f, run->experiment, model, error));
    DC_TRY(dc_measure(&measured, &flash, &ram, run->ctx, model, vectors, (enum dc_core)target->core,
                      (enum dc_optimization)target->optimization, target->selftest, error));
    flash = measured ? flash : dc_footprint_flash(&f);
    ram = measured ? ram + f.stack : dc_footprint_ram(&f);
    json_t *estimated_flash = dc_report_flash(&f), *estimated_ram = dc_report_ram(&f);
    // what a linker says more or less is code, and scratch
    f.code += flash - dc_footprint_flash(&f);
    f.scratch += ram - dc_footprint_ram(&f);
    json_object_set_new(
        result, "memory",
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o}", "by",
                  measured ? "linker" : "estimate", "core", dc_core_names[target->core], "optimize",
                  dc_optimization_names[target->optimization], "flash_bytes", (json_int_t)flash,
                  "ram_bytes", (json_int_t)ram, "estimated_flash", estimated_flash, "estimated_ram",
                  estimated_ram, "flash", dc_report_flash(&f), "ram", dc_report_ram(&f)));
    if (strcmp(model->profile->name, run->experiment->profile) != 0)
        return DC_OK;
    return dc_target_check_memory(target, from->name, measured, flash, ram, error);
}

static enum dc_status write_and_verify(struct dc_run *run, const struct dc_stage *from,
                                       const struct dc_imodel *model, const char *directory,
                                       const struct dc_export_spec *how, json_t *result,
                                       struct dc_error *error)
{
    int8_t *codes = NULL;
    int64_t samples = 0;
    struct dc_vectors *vectors = NULL;
    struct dc_imodel_cost cost = {0};
    enum dc_status status = test_codes(&codes, &samples, run, from, model, error);
    if (status == DC_OK)
        status = dc_vectors_create(&vectors, run->ctx, model, codes,
                                   how->vectors < samples ? how->vectors : samples, error);
    if (status == DC_OK)
        status = measure(result, run, from, model, vectors, error);
    if (status == DC_OK)
        status = measure_time(result, run, from, model, vectors, error);
    if (status == DC_OK)
        status = dc_bundle_write(directory, model, vectors, &how->formats, error);
    if (status == DC_OK)
        status = dc_imodel_cost(&cost, model, error);
    json_object_set_new(result, "cost", dc_bundle_cost(&cost));
    if (status == DC_OK && how->verify) {
        struct dc_verify_report report = {0};
        status = dc_verify_bundle(run->ctx, directory, codes, samples, NULL, &report, error);
        json_object_set_new(result, "verification",
                            json_pack("{s:I, s:I, s:I, s:I, s:f}", "samples",
                                      (json_int_t)report.samples, "bytes", (json_int_t)report.bytes,
                                      "different", (json_int_t)report.different, "vectors",
                                      (json_int_t)report.vectors, "seconds", report.seconds));
    }
    dc_vectors_free(vectors);
    free(codes);
    return status;
}

// Where a model comes from, and what its input is: a device must normalize as training did.
static char *describe(struct dc_run *run, const struct dc_stage *from, struct dc_error *error)
{
    const struct dc_view view = dc_run_view(run, from, &run->train_source->sample);
    const struct dc_normalization *n = &view.normalization;
    const bool bytes = run->train_source->dtype == DC_U8;
    struct dc_text_buffer text = {0};
    dc_text_append(&text, "experiment %s, stage %s; input = (x%s - mean) / std, mean",
                   run->experiment->name, from->name, bytes ? " / 255" : "");
    for (int c = 0; c < n->channels; c++)
        dc_text_append(&text, "%s %.9g", c ? "," : "", (double)n->mean[c]);
    dc_text_append(&text, ", std");
    for (int c = 0; c < n->channels; c++)
        dc_text_append(&text, "%s %.9g", c ? "," : "", (double)n->deviation[c]);
    char *copy = NULL;
    if (text.failed)
        dc_fail(error, DC_ERR_MEMORY, "out of memory");
    else
        copy = dc_arena_copy(run->arena, text.text, error);
    dc_text_free(&text);
    return copy;
}

static void warn_of_wide_weights(const struct dc_run *run, const struct dc_export_format *format,
                                 const struct dc_imodel *model)
{
    const int count = format && format->unpacked ? format->unpacked(model) : 0;
    if (count > 0)
        dc_log(run->ctx, DC_LOG_WARNING,
               "%s: 4-bit weights of %d layers are written as int8: the runtime of profile %s does "
               "not compute the same from packed ones (docs/integers.md)",
               format->name, count, model->profile->name);
}

enum dc_status dc_run_export(struct dc_run *run, const struct dc_stage *from, const char *profile,
                             const char *directory, const struct dc_export_spec *how,
                             json_t *result, struct dc_error *error)
{
    DC_TRY(dc_bundle_may_write(directory, error));
    DC_TRY(dc_run_need_test_data(run, error));
    char *weights = dc_run_weights_path(run, from, error);
    char *provenance = describe(run, from, error);
    if (!weights || !provenance)
        return DC_ERR_MEMORY;
    struct dc_stage_network network = {0};
    struct dc_imodel *model = NULL;
    DC_TRY(dc_stage_network_open(&network, from, weights, error));
    enum dc_status status = dc_stage_lower(&model, run->ctx, &network, network.params, profile,
                                           provenance, error);
    if (status == DC_OK)
        status = set_preprocessing(run, from, model, error);
    if (status == DC_OK)
        status = dc_run_lineage(&model->lineage, run, from, error);
    if (status == DC_OK && how->c_name[0] &&
        !(model->name = dc_arena_copy(model->arena, how->c_name, error)))
        status = DC_ERR_MEMORY;
    if (status == DC_OK)
        dc_target_apply(model, &run->experiment->limits);
    if (status == DC_OK && run->experiment->cascades)
        status = dc__choose_cascade(result, run, from, &network, model, error);
    if (status == DC_OK && strcmp(profile, run->experiment->profile) == 0)
        status = dc_target_check_model(run->experiment, from->name, model, error);
    if (status == DC_OK)
        status = write_and_verify(run, from, model, directory, how, result, error);
    for (int i = 0; status == DC_OK && i < how->formats.count; i++)
        warn_of_wide_weights(run, dc_export_format_find(how->formats.items[i]), model);
    dc_imodel_free(model);
    dc_stage_network_close(&network);
    return status;
}

// An exported network may be what the run itself starts from, or is taught by.
static enum dc_status may_write_file(const struct dc_run *run, const char *path, const char *mark,
                                     struct dc_error *error)
{
    for (int i = 0; i < run->experiment->stage_count; i++) {
        const struct dc_stage *stage = &run->experiment->stages[i];
        const char *reads[3 + DC_TEACHERS_MAX] = {stage->model, stage->weights,
                                                  stage->trains ? stage->train.init_from : ""};
        double unused[DC_TEACHERS_MAX];
        const int count = stage->distills ? dc_stage_teachers(reads + 3, unused, stage) : 0;
        for (int k = 0; k < 3 + count; k++)
            DC_TRY(dc_file_may_replace(path, mark, NULL, reads[k] && reads[k][0] ? reads[k] : NULL,
                                       error));
    }
    return DC_OK;
}

enum dc_status dc_run_export_file(struct dc_run *run, const struct dc_stage *from,
                                  const char *profile, const char *path, struct dc_error *error)
{
    const struct dc_export_format *format = dc_export_format_of_path(path);
    if (!format || (!from->quantizes && !format->write_float))
        return dc_fail(error, DC_ERR_USAGE, "%s: %s", path,
                       format ? "this format takes quantized stages only"
                              : "no format ends like this");
    DC_TRY(may_write_file(run, path, format->mark, error));
    DC_TRY(dc_run_need_test_data(run, error));  // the note says how training normalized it
    char *weights = dc_run_weights_path(run, from, error);
    char *provenance = describe(run, from, error);
    struct dc_stage_network network = {0};
    struct dc_imodel *model = NULL;
    if (!weights || !provenance)
        return DC_ERR_MEMORY;
    DC_TRY(dc_stage_network_open(&network, from, weights, error));
    enum dc_status status = DC_OK;
    if (from->quantizes)
        status = dc_stage_lower(&model, run->ctx, &network, network.params, profile, provenance,
                                error);
    if (status == DC_OK && from->quantizes) {
        dc_target_apply(model, &run->experiment->limits);
        status = format->write(path, model, NULL, error);
        warn_of_wide_weights(run, format, model);
    }
    if (status == DC_OK && !from->quantizes)
        status = format->write_float(path, network.graph, network.params, network.image,
                                     network.output, network.model.name, provenance, error);
    dc_imodel_free(model);
    dc_stage_network_close(&network);
    return status;
}

const struct dc_stage *dc__bundle_stage(struct dc_run *run, const char *bundle)
{
    const char *name = strrchr(bundle, '/');
    const struct dc_stage *stage = dc_experiment_stage(run->experiment, name ? name + 1 : bundle);
    return stage && stage->exports ? dc_experiment_stage(run->experiment, stage->export.stage)
                                   : NULL;
}

static enum dc_status climb(struct dc_verify_report *report, const struct dc_run *run,
                            const struct dc_imodel *model, const struct dc_vectors *vectors,
                            const int8_t *codes, int64_t samples, const bool *rungs,
                            struct dc_error *error)
{
    struct dc_ladder *ladder = NULL;
    DC_TRY(dc_ladder_create(&ladder, run->ctx, model, vectors, codes, samples, error));
    report->climbed = true;
    const enum dc_status status = dc_ladder_climb(report->rungs, ladder, rungs, error);
    dc_ladder_free(ladder);
    return status;
}

enum dc_status dc_run_verify(struct dc_verify_report *report, struct dc_run *run,
                             const char *bundle, int64_t limit, const bool *rungs,
                             struct dc_error *error)
{
    DC_TRY(dc_run_need_test_data(run, error));
    struct dc_imodel *model = NULL;
    struct dc_vectors *vectors = NULL;
    int8_t *codes = NULL;
    int64_t samples = 0;
    DC_TRY(dc_bundle_read(&model, &vectors, bundle, error));
    enum dc_status status = test_codes(&codes, &samples, run, dc__bundle_stage(run, bundle), model,
                                       error);
    if (limit > 0 && limit < samples)
        samples = limit;
    if (status == DC_OK)
        status = dc_verify_bundle(run->ctx, bundle, codes, samples, NULL, report, error);
    if (limit == 0 && samples > DC_RUN_RUNG_SAMPLES)
        samples = DC_RUN_RUNG_SAMPLES;
    if (status == DC_OK && rungs)
        status = climb(report, run, model, vectors, codes, samples, rungs, error);
    free(codes);
    dc_vectors_free(vectors);
    dc_imodel_free(model);
    return status;
}

enum dc_status dc__export_stage(struct dc_run *run, struct dc_stage *stage, json_t *result,
                                struct dc_error *error)
{
    const double started = dc_seconds();
    const struct dc_stage *from = dc_experiment_stage(run->experiment, stage->export.stage);
    char *parent = dc__path(run, "bundle", error);
    char *directory = dc_arena_printf(run->arena, error, "%s/bundle/%s", run->directory,
                                      stage->name);
    if (!parent || !directory)
        return DC_ERR_MEMORY;
    DC_TRY(dc_make_directory(parent, error));
    dc__log_stage(run, stage,
                  stage->export.verify ? "writes the bundle and proves its C"
                                       : "writes the bundle");
    DC_TRY(dc_run_export(run, from, run->experiment->profile, directory, &stage->export, result,
                         error));
    json_object_set_new(result, "seconds", json_real(dc_seconds() - started));
    return DC_OK;
}
