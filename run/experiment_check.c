// Owns what an experiment's stages must satisfy before any data is read, and who their teachers
// are.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "export/c_source.h"
#include "export/formats.h"
#include "qat/fake_quantize.h"
#include "run/experiment_schema.h"
#include "run/network.h"
#include "run/safetensors.h"
#include "run/target.h"

enum dc_status dc__want_stage(struct dc_experiment *experiment, const struct dc_stage *stage,
                              const char *group, const char *key, const char *name,
                              struct dc_error *error)
{
    const struct dc_stage *found = dc_experiment_stage(experiment, name);
    if (found && found < stage)
        return DC_OK;
    const char *names[DC_STAGES_MAX];
    const int count = (int)(stage - experiment->stages);
    for (int i = 0; i < count; i++)
        names[i] = experiment->stages[i].name;
    char hint[DC_HINT];
    return dc_fail_yaml(error, dc_stage_place(stage, group, key),
                        "stage '%s': no stage '%s' before it%s", stage->name, name,
                        dc_did_you_mean(hint, name, names, count));
}

enum dc_status dc_want_stage(struct dc_stage **stage, struct dc_experiment *experiment,
                             const char *owner, const char *name, struct dc_error *error)
{
    const char *names[DC_STAGES_MAX];
    char hint[DC_HINT], all[512];
    *stage = dc_experiment_stage(experiment, name);
    if (*stage)
        return DC_OK;
    for (int i = 0; i < experiment->stage_count; i++)
        names[i] = experiment->stages[i].name;
    dc_join(all, sizeof all, names, experiment->stage_count);
    return dc_fail(error, DC_ERR_USAGE, "%s has no stage '%s'; there are: %s%s", owner, name, all,
                   dc_did_you_mean(hint, name, names, experiment->stage_count));
}

// A file that a stage names: it is there, and of a kind that is read. `what`: "model", "weights".
static enum dc_status want_file(const struct dc_stage *stage, const struct dc_yaml *place,
                                const char *what, const char *path, struct dc_error *error)
{
    char hint[DC_HINT];
    const bool model = strcmp(what, "model") == 0;
    const char *foreign = dc_model_foreign(path), *dot = strrchr(path, '.');
    if (model && dot && strcmp(dot, ".h5") == 0)
        foreign = "an HDF5 file holds weights: name a model file here, and it as 'weights'; a "
                  "network of Keras is taken as TFLite or ONNX (tf2onnx)";
    if (dc_is_safetensors(path))
        foreign = model ? "a safetensors file holds weights: name a model file here, and it as "
                          "'weights'; or write the network as ONNX (torch.onnx.export)"
                        : NULL;
    if (foreign)
        return dc_fail_yaml(error, place, "stage '%s': %s", stage->name, foreign);
    if (dc_file_exists(path))
        return DC_OK;
    if (model) {
        const bool stated = place && place->kind == DC_YAML_SCALAR;
        char who[128];
        snprintf(who, sizeof who, "stage '%.64s': ", stage->name);
        return dc_search_fail(error, place, who, DC_SEARCH_MODEL, stated ? place->text : path,
                              path);
    }
    return dc_fail_yaml(error, place, "stage '%s': there is no %s file %s%s", stage->name, what,
                        path, dc_file_hint(hint, path, NULL));
}

// A stage before this one, or a file.
static enum dc_status check_init_from(struct dc_experiment *experiment,
                                      const struct dc_stage *stage, struct dc_error *error)
{
    const char *given = stage->train.init_from;
    const struct dc_stage *parent = dc_experiment_stage(experiment, given);
    const struct dc_yaml *place = dc_stage_place(stage, "train", "init_from");
    if (!parent && given[0] && (dc_model_foreign(given) || dc_is_safetensors(given)))
        return want_file(stage, place, "weights", given, error);
    if (!given[0] || (parent && parent < stage) || (!parent && dc_file_exists(given)))
        return DC_OK;
    return dc_fail_yaml(error, place,
                        "stage '%s': init_from '%s' is neither a stage before it nor a file",
                        stage->name, given);
}

// The bundle and its C.
static bool is_always_written(const char *format)
{
    return strcmp(format, "bundle") == 0 || strcmp(format, "c") == 0;
}

// The fewest bits that a stage asks of any activation.
static int64_t least_activation_bits(const struct dc_quantize_spec *q)
{
    int64_t least = q->first_last > 0 && q->first_last < q->activations ? q->first_last
                                                                        : q->activations;
    for (int i = 0; i < q->layers.count; i++) {
        const int64_t bits = q->layers.items[i].activations;
        least = bits > 0 && bits < least ? bits : least;
    }
    return least;
}

static enum dc_status check_export(struct dc_experiment *experiment, const struct dc_stage *stage,
                                   struct dc_error *error)
{
    const struct dc_texts *formats = &stage->export.formats;
    const struct dc_yaml *given = dc_yaml_get(stage->where, "formats");
    const struct dc_yaml *place = given ? given : stage->where;
    static const char *const known[] = {"bundle", "c", "memory", "onnx", "tflite"};
    char hint[DC_HINT];
    int always = 0;
    DC_TRY(dc__want_stage(experiment, stage, NULL, "export", stage->export.stage, error));
    const struct dc_stage *from = dc_experiment_stage(experiment, stage->export.stage);
    if (!dc_c_name_fits(stage->export.c_name))
        return dc_fail_yaml(error, dc_yaml_get(stage->where, "c_name"),
                            "c_name '%s': " DC_C_NAME_RULE, stage->export.c_name);
    if (!from->quantizes)
        return dc_fail_yaml(error, stage->where,
                            "stage '%s' exports '%s', which is not "
                            "quantized; give that stage a 'quantize' or export another",
                            stage->name, stage->export.stage);
    for (int i = 0; i < formats->count; i++) {
        const char *name = formats->items[i];
        const struct dc_export_format *format = dc_export_format_find(name);
        const bool listed = given && given->kind == DC_YAML_SEQUENCE && i < given->count;
        if (!is_always_written(name) && !format)
            return dc_fail_yaml(error, listed ? given->items[i] : place,
                                "formats are bundle, c, %s, not '%s'%s", dc_export_format_names(),
                                name,
                                dc_did_you_mean(hint, name, known, sizeof known / sizeof *known));
        if (format && least_activation_bits(&from->quantize) < format->least_activation_bits)
            return dc_fail_yaml(error, place,
                                "%s has activations of %d bits and more, stage '%s' asks for %lld",
                                name, format->least_activation_bits, from->name,
                                (long long)least_activation_bits(&from->quantize));
        always += is_always_written(name);
    }
    if (always != 2)
        return dc_fail_yaml(error, place,
                            "formats must be [bundle, c] and what else is wanted: a bundle holds "
                            "its C");
    return DC_OK;
}

static enum dc_status check_average(const struct dc_stage *stage, struct dc_error *error)
{
    if (!(stage->train.config.average_decay > 0.0))
        return dc_fail_yaml(
            error, stage->where,
            "stage '%s' learns from its own moving average: set train.average_decay", stage->name);
    if (stage->distill.caches)
        return dc_fail_yaml(error, dc_stage_place(stage, "distill", "cache"),
                            "stage '%s': a moving average changes with every step and cannot be "
                            "cached",
                            stage->name);
    return DC_OK;
}

// A stage before this one, or a file of logits.
static enum dc_status check_teacher(const char *name, struct dc_experiment *experiment,
                                    const struct dc_stage *stage, const char *key,
                                    struct dc_error *error)
{
    if (!strcmp(name, DC_TEACHER_AVERAGE))
        return check_average(stage, error);
    if (!dc__teacher_is_file(name))
        return dc__want_stage(experiment, stage, "distill", key, name, error);
    const char *dot = strrchr(name, '.'), *foreign = dc_model_foreign(name);
    if (dc_model_is_imported(name) || (dot && strcmp(dot, ".yaml") == 0))
        return dc_fail_yaml(error, dc_stage_place(stage, "distill", key),
                            "stage '%s': a network that teaches is a stage of its own: stages: "
                            "{teacher: {model: %s}}, and here teacher: teacher",
                            stage->name, strrchr(name, '/') ? strrchr(name, '/') + 1 : name);
    if (foreign && dot && strcmp(dot, ".h5") != 0)
        return dc_fail_yaml(error, dc_stage_place(stage, "distill", key), "stage '%s': %s",
                            stage->name, foreign);
    if (!dc_file_exists(name))
        return dc_fail_yaml(
            error, dc_stage_place(stage, "distill", key),
            "stage '%s': there is no file of logits %s; a teacher is a stage before "
            "this one, or such a file",
            stage->name, name);
    return DC_OK;
}

static enum dc_status check_peers(const struct dc_stage *stage, struct dc_error *error)
{
    const struct dc_texts *peers = &stage->distill.peers;
    if (peers->count >= DC_TEACHERS_MAX || (peers->count > 0 && stage->distill.caches))
        return dc_fail_yaml(error, dc_stage_place(stage, "distill", "peers"),
                            "stage '%s': up to %d peers, and none can be cached", stage->name,
                            DC_TEACHERS_MAX - 1);
    for (int i = 0; i < peers->count; i++)
        DC_TRY(want_file(stage, dc_stage_place(stage, "distill", "peers"), "model", peers->items[i],
                         error));
    return DC_OK;
}

// A sweep trains a teacher a seed, and a cache holds the outputs of one.
static enum dc_status check_swept_cache(struct dc_experiment *experiment,
                                        const struct dc_stage *stage, struct dc_error *error)
{
    const char *names[DC_TEACHERS_MAX];
    double unused[DC_TEACHERS_MAX];
    const int count = dc_stage_teachers(names, unused, stage);
    for (int i = 0; i < count; i++) {
        const struct dc_stage *teacher = dc_teacher_stage(experiment, stage, names[i]);
        if (teacher && teacher->trains)
            return dc_fail_yaml(error, dc_stage_place(stage, "distill", "cache"),
                                "stage '%s': each of the 'seeds' trains a '%s' of its own, and a "
                                "cache holds the outputs of one teacher; leave out its 'path', and "
                                "each run keeps its own",
                                stage->name, teacher->name);
    }
    return DC_OK;
}

static enum dc_status check_distill(struct dc_experiment *experiment, const struct dc_stage *stage,
                                    struct dc_error *error)
{
    const struct dc_distill_spec *distill = &stage->distill;
    if (!!distill->teacher[0] + (distill->teachers.count > 0) + (distill->peers.count > 0) != 1)
        return dc_fail_yaml(error, stage->where,
                            "stage '%s' distills: name its 'teacher', or several 'teachers', or "
                            "'peers' that learn with it",
                            stage->name);
    DC_TRY(check_peers(stage, error));
    if (distill->teachers.count > DC_TEACHERS_MAX)
        return dc_fail_yaml(error, dc_stage_place(stage, "distill", "teachers"),
                            "stage '%s': up to %d teachers", stage->name, DC_TEACHERS_MAX);
    if (distill->teacher[0])
        DC_TRY(check_teacher(distill->teacher, experiment, stage, "teacher", error));
    for (int i = 0; i < distill->teachers.count; i++)
        DC_TRY(
            check_teacher(distill->teachers.items[i].name, experiment, stage, "teachers", error));
    if (distill->caches && distill->cache.path[0] && experiment->seeds.count > 1)
        return check_swept_cache(experiment, stage, error);
    return DC_OK;
}

// What labels that are values or tags have no use for.
static enum dc_status check_targets(const struct dc_stage *stage, struct dc_error *error)
{
    const bool values = stage->labels == DC_LABELS_VALUES;
    const char *kind = values ? "values" : "tags";
    const struct dc_loss_list *losses = &stage->distill.losses;
    if (stage->train.loss == DC_LABEL_CROSS_ENTROPY ||
        (values && stage->train.loss == DC_LABEL_BINARY))
        return dc_fail_yaml(error, dc_stage_place(stage, "train", "loss"),
                            "stage '%s': data.labels are %s, which loss %s does not fit; leave it "
                            "out, or say %s",
                            stage->name, kind,
                            stage->train.loss == DC_LABEL_BINARY ? "binary_cross_entropy"
                                                                 : "cross_entropy",
                            values ? "mean_squared_error" : "binary_cross_entropy");
    if (stage->distills && (stage->distill.teachers.count > 1 || stage->distill.peers.count > 0))
        return dc_fail_yaml(error, dc_stage_place(stage, NULL, "distill"),
                            "stage '%s': data.labels are %s, and several teachers are averaged as "
                            "probabilities of classes; name one",
                            stage->name, kind);
    for (int i = 0; stage->distills && i < losses->count; i++) {
        const struct dc_term_kind *k = losses->items[i].kind;
        if (k != &dc_term_label && k != &dc_term_mse && !k->features &&
            (values || k != &dc_term_bce))
            return dc_fail_yaml(error, dc_stage_place(stage, "distill", "losses"),
                                "stage '%s': loss '%s' compares class scores, and data.labels are "
                                "%s: take label, %s or losses on layers",
                                stage->name, k->name, kind, values ? "mse" : "bce, mse");
    }
    return DC_OK;
}

// What loss reconstruction has no use for, and the others for normal classes.
static enum dc_status check_reconstruction(const struct dc_experiment *experiment,
                                           const struct dc_stage *stage, struct dc_error *error)
{
    const struct dc_data_spec *data = &experiment->data;
    const struct dc_loss_list *losses = &stage->distill.losses;
    if (!stage->trains)
        return DC_OK;
    if (!dc_stage_classifies(stage) && !dc_stage_reconstructs(stage))
        return check_targets(stage, error);
    if (!dc_stage_reconstructs(stage))
        return data->normal.count == 0
                   ? DC_OK
                   : dc_fail_yaml(error, dc_stage_place(stage, "train", "loss"),
                                  "stage '%s' learns labels, of which data.normal leaves only "
                                  "some: it is for loss reconstruction",
                                  stage->name);
    if (dc_data_has_validation(experiment) && data->normal.count == 0)
        return dc_fail_yaml(error, dc_stage_place(stage, "train", "loss"),
                            "stage '%s': a reconstruction is validated by what it tells from "
                            "data.normal: name these classes, or set data.validation to 0",
                            stage->name);
    for (int i = 0; stage->distills && i < losses->count; i++) {
        const struct dc_term_kind *kind = losses->items[i].kind;
        if (kind != &dc_term_label && !kind->features)
            return dc_fail_yaml(error, dc_stage_place(stage, "distill", "losses"),
                                "stage '%s': loss '%s' compares class scores, a reconstruction "
                                "has none; label and losses on layers can be used",
                                stage->name, kind->name);
    }
    return DC_OK;
}

// What calibration fixes needs weights to calibrate.
static enum dc_status check_quantize(const struct dc_stage *stage, struct dc_error *error)
{
    const struct dc_quantize_spec *q = &stage->quantize;
    const bool has_weights = stage->from[0] || stage->train.init_from[0] || stage->weights[0] ||
                             dc_model_is_imported(stage->model);
    const char *key = q->observer > DC_OBSERVER_MIN_MAX ? "observer"
                      : q->weight_scale                 ? "weight_scale"
                      : q->weight_observer              ? "weight_observer"
                      : q->activation_scale             ? "activation_scale"
                      : q->power_of_two                 ? "power_of_two"
                      : q->fold_batch_norm              ? "fold_batch_norm"
                      : q->equalize                     ? "equalize"
                      : dc_folds(q)                     ? "conv_granularity"
                                                        : NULL;
    if (key && !has_weights)
        return dc_fail_yaml(error, dc_stage_place(stage, "quantize", key),
                            "stage '%s': this '%s' works in calibration, which needs trained "
                            "weights: name them in 'from', 'init_from' or 'weights'",
                            stage->name, key);
    if (q->adarounds && stage->trains)
        return dc_fail_yaml(error, dc_stage_place(stage, "quantize", "adaround"),
                            "stage '%s': adaround rounds weights for good; leave out 'train'",
                            stage->name);
    if (dc_folds(q) && stage->distills && stage->distill.peers.count > 0)
        return dc_fail_yaml(error, dc_stage_place(stage, "distill", "peers"),
                            "stage '%s' folds batch normalization and keeps its statistics, which "
                            "peers would not survive",
                            stage->name);
    if (q->correct_bias && stage->trains)
        return dc_fail_yaml(error, dc_stage_place(stage, "quantize", "correct_bias"),
                            "stage '%s': correct_bias is for calibration, training learns its "
                            "biases; leave out 'train'",
                            stage->name);
    if (q->re_estimate_batch_norm && dc_folds(q))
        return dc_fail_yaml(error, dc_stage_place(stage, "quantize", "re_estimate_batch_norm"),
                            "stage '%s' folds batch normalization: there is none to estimate",
                            stage->name);
    if (q->tracks && !stage->trains)
        return dc_fail_yaml(error, dc_stage_place(stage, "quantize", "oscillation"),
                            "stage '%s': oscillation is of training, and there is no 'train'",
                            stage->name);
    if (q->accumulator_bits < 32 && (q->weight_scale || q->weight_observer || q->adarounds))
        return dc_fail_yaml(error, dc_stage_place(stage, "quantize", "accumulator_bits"),
                            "stage '%s': accumulator_bits needs weight_scale auto and no other "
                            "weight_observer or adaround: scales must follow the weights",
                            stage->name);
    if (q->first_last == 1)
        return dc_fail_yaml(error, dc_stage_place(stage, "quantize", "first_last"),
                            "stage '%s': first_last is 2 to 8 bits, or 0", stage->name);
    return DC_OK;
}

// Keys that say what of a file of others is taken; a model file has one input and one end.
static enum dc_status check_file_keys(const struct dc_stage *stage, struct dc_error *error)
{
    if (stage->output[0] && !dc_model_is_imported(stage->model))
        return dc_fail_yaml(error, dc_stage_place(stage, NULL, "output"),
                            "stage '%s': 'output' is of an ONNX or TFLite file, and %s is a model "
                            "file, whose last layer is its output; leave it out",
                            stage->name, stage->model);
    if (stage->layout && !dc_model_has_layout(stage->model))
        return dc_fail_yaml(error, dc_stage_place(stage, NULL, "layout"),
                            "stage '%s': 'layout' is of an ONNX file; %s has its channels last; "
                            "leave it out",
                            stage->name, stage->model);
    return DC_OK;
}

enum dc_status dc__check_stage(struct dc_experiment *experiment, const struct dc_stage *stage,
                               struct dc_error *error)
{
    if (stage->exports)
        DC_TRY(check_export(experiment, stage, error));
    DC_TRY(dc_target_check_stage(experiment, stage, error));
    if (stage->exports)
        return DC_OK;
    DC_TRY(check_reconstruction(experiment, stage, error));
    if (!stage->model[0])
        return dc_fail_yaml(error, stage->where,
                            "stage '%s' needs a 'model', a 'from' or an 'export'", stage->name);
    DC_TRY(want_file(stage, dc_stage_place(stage, NULL, "model"), "model", stage->model, error));
    DC_TRY(check_file_keys(stage, error));
    if (!stage->trains && !stage->quantizes && !dc_model_is_imported(stage->model) &&
        !stage->weights[0])
        return dc_fail_yaml(error, stage->where,
                            "stage '%s' needs a 'train' or a 'quantize'; or 'weights' or an ONNX "
                            "or TFLite model, to be taken as they are",
                            stage->name);
    if (stage->weights[0])
        DC_TRY(want_file(stage, dc_stage_place(stage, NULL, "weights"), "weights", stage->weights,
                         error));
    if (stage->weights_names[0])
        DC_TRY(want_file(stage, dc_stage_place(stage, NULL, "weights_names"), "weights_names",
                         stage->weights_names, error));
    if (stage->quantizes && !experiment->profile[0])
        return dc_fail_yaml(error, stage->where,
                            "stage '%s' %s: the experiment needs a "
                            "'target' file, which names the integer arithmetic",
                            stage->name, stage->integers ? "is a file of integers" : "quantizes");
    if (stage->quantizes && !stage->trains && !stage->from[0] && !stage->weights[0] &&
        !dc_model_is_imported(stage->model))
        return dc_fail_yaml(error, stage->where,
                            "stage '%s' calibrates a trained network: name it "
                            "in 'from'",
                            stage->name);
    if (stage->quantizes)
        DC_TRY(check_quantize(stage, error));
    if (stage->distills)
        DC_TRY(check_distill(experiment, stage, error));
    if (stage->trains)
        DC_TRY(check_init_from(experiment, stage, error));
    if (stage->trains && stage->quantizes &&
        stage->quantize.start_epoch >= stage->train.config.epochs)
        return dc_fail_yaml(error, dc_stage_place(stage, "quantize", "start_epoch"),
                            "stage '%s' quantizes from epoch %lld on, but trains %lld epochs; to "
                            "calibrate alone, leave out 'train'",
                            stage->name, (long long)stage->quantize.start_epoch,
                            (long long)stage->train.config.epochs);
    if (stage->trains && stage->train.config.patience > 0 && !dc_data_has_validation(experiment))
        return dc_fail_yaml(error, dc_stage_place(stage, "train", "patience"),
                            "stage '%s': patience needs a validation set: data.validation is 0",
                            stage->name);
    return dc__check_effect(stage, error);
}
