// Owns what is known of an experiment from shapes alone: networks are built, quantized and lowered
// with weights that mean nothing. What is refused here would be refused after hours of training.

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/open.h"
#include "distill/cache.h"
#include "export/formats.h"
#include "qat/calibrate.h"
#include "qat/fold.h"
#include "qat/imodel.h"
#include "qat/table.h"
#include "run/experiment_schema.h"
#include "run/network.h"
#include "run/report.h"
#include "run/run_internal.h"
#include "run/target.h"

// What the data must be, as the stages before say: from the first that says it.
struct wanted {
    const struct dc_stage *sample_from, *classes_from;
    struct dc_shape sample;
    int classes;
    int folders;  // class folders of photographs that are there; 0: not known
};

// What a file of weights lacks for a stage that trains is in the entry; else it is an error, as is
// another shape. The network keeps its own values.
static enum dc_status check_file(json_t *entry, const struct dc_stage *stage,
                                 const struct dc_stage_network *network, const char *path,
                                 struct dc_error *error)
{
    struct dc_params *params = NULL;
    char missing[DC_MISSING_TEXT] = "";
    if (!path[0])
        return DC_OK;
    DC_TRY(dc_params_create(&params, network->graph, 0, false, error));
    const enum dc_status status = dc__take_weights(missing, stage, &network->model, params, path,
                                                   path, error);
    dc_params_free(params);
    if (missing[0])
        json_object_set_new(entry, "missing_weights", json_string(missing));
    return status;
}

// The weights a stage starts from must have its shapes.
static enum dc_status check_parent(json_t *entry, struct dc_experiment *experiment,
                                   const struct dc_stage *stage,
                                   const struct dc_stage_network *network, struct dc_error *error)
{
    const bool given = stage->trains && stage->train.init_from[0];
    const struct dc_stage *parent = dc_experiment_stage(experiment, given ? stage->train.init_from
                                                                          : stage->from);
    struct dc_stage_network other = {0};
    int copied = 0;
    if (!parent)
        return check_file(entry, stage, network, given ? stage->train.init_from : stage->weights,
                          error);
    DC_TRY(dc_stage_network_open(&other, parent, NULL, error));
    enum dc_status status = dc_params_copy_by_name(network->params, other.params, &copied, error);
    dc_stage_network_close(&other);
    if (status == DC_OK && copied == 0)
        status = dc_fail(error, DC_ERR_CONFIG, "no layer has the same name");
    return status == DC_OK ? DC_OK
                           : dc_context(status, error, "weights of stage '%s'", parent->name);
}

// All stages read the experiment's data. An imported network may read images of another size: they
// are resized for it.
static enum dc_status check_sample(struct wanted *wanted, const struct dc_stage *stage,
                                   const struct dc_stage_network *network, struct dc_error *error)
{
    const struct dc_shape *sample = &network->model.sample, *other = &wanted->sample;
    char here[DC_SHAPE_TEXT], there[DC_SHAPE_TEXT];
    if (!wanted->sample_from && !network->model.imported) {
        wanted->sample = *sample;
        wanted->sample_from = stage;
        return DC_OK;
    }
    const bool resized = network->model.imported && sample->rank == 3 && other->rank == 3;
    if (!wanted->sample_from ||
        (resized ? sample->dims[2] == other->dims[2] : dc_shape_equal(sample, other)))
        return DC_OK;
    return dc_fail_yaml(error, dc_stage_place(stage, NULL, "model"),
                        "stage '%s' reads samples of %s, stage '%s' of %s, and both read the same "
                        "data",
                        stage->name, dc_shape_text(here, sample), wanted->sample_from->name,
                        dc_shape_text(there, other));
}

// What data.resize and data.channels make of photographs is known without one of them. A channel
// count of 0 stands for whatever the files have.
static enum dc_status check_resize(const struct dc_experiment *experiment,
                                   const struct dc_stage *stage,
                                   const struct dc_stage_network *network, struct dc_error *error)
{
    const struct dc_data_spec *data = &experiment->data;
    const struct dc_shape *sample = &network->model.sample;
    const int64_t channels = data->channels                              ? data->channels
                             : sample->rank == 3 && sample->dims[2] == 1 ? 1
                                                                         : 3;
    const struct dc_shape made = DC_SHAPE(data->resize.height, data->resize.width, channels);
    char here[DC_SHAPE_TEXT], there[DC_SHAPE_TEXT];
    const bool fits = network->model.imported ? sample->rank == 3 && sample->dims[2] == channels
                                              : dc_sample_fits(sample, &made);
    if (data->resize.height == 0 || fits)
        return DC_OK;
    return dc_fail_yaml(error, dc_stage_place(stage, NULL, "model"),
                        "stage '%s' reads samples of %s, data.resize%s photographs of %s (height, "
                        "width, channels)",
                        stage->name, dc_shape_text(here, sample),
                        data->channels ? " and data.channels make" : " makes",
                        dc_shape_text(there, &made));
}

static enum dc_status check_augment(const struct dc_experiment *experiment, struct dc_error *error)
{
    const struct dc_data_spec *data = &experiment->data;
    const struct dc_shape made = DC_SHAPE(data->resize.height, data->resize.width, data->channels);
    if (data->resize.height == 0 || data->channels == 0)
        return DC_OK;
    return dc_augmentations_check(data->augment.items, data->augment.count, &made, DC_U8, error);
}

static enum dc_status check_classes(struct wanted *wanted, const struct dc_experiment *experiment,
                                    const struct dc_stage *stage,
                                    const struct dc_stage_network *network, struct dc_error *error)
{
    const struct dc_data_spec *data = &experiment->data;
    const int64_t said = data->class_names.count > 0 ? data->class_names.count
                         : data->classes > 0         ? data->classes
                                                     : wanted->folders;
    if (dc_stage_reconstructs(stage))
        return DC_OK;
    if (said > 0 && network->classes != said)
        return dc_fail_yaml(error, dc_stage_place(stage, NULL, "model"),
                            "stage '%s' ends in %d classes, and the data has %lld; the models of "
                            "configs/ take it as parameters: {classes: %lld}",
                            stage->name, network->classes, (long long)said, (long long)said);
    if (!wanted->classes_from) {
        wanted->classes = network->classes;
        wanted->classes_from = stage;
    }
    if (network->classes != wanted->classes)
        return dc_fail_yaml(error, dc_stage_place(stage, NULL, "model"),
                            "stage '%s' ends in %d classes, stage '%s' in %d, and both read the "
                            "same data",
                            stage->name, network->classes, wanted->classes_from->name,
                            wanted->classes);
    return DC_OK;
}

// The integers that a stage is going to be, but for its numbers.
static enum dc_status lower_untrained(struct dc_imodel **model,
                                      const struct dc_experiment *experiment,
                                      const struct dc_stage *stage,
                                      const struct dc_stage_network *network,
                                      struct dc_error *error)
{
    int folded;
    if (!network->model.params)
        dc_params_init(network->params, 0);
    if (dc_folds(&stage->quantize))
        dc_fold_batch_norms(&folded, network->graph, network->params);
    DC_TRY(dc_target_check_functions(&experiment->limits, network->graph, error));
    DC_TRY(dc_observers_assume(network->graph, network->params, error));
    DC_TRY(dc_stage_lower(model, NULL, network, network->params, experiment->profile, "", error));
    dc_target_apply(*model, &experiment->limits);
    return DC_OK;
}

// Whether the stage's network with another value of a parameter keeps the budgets.
static bool would_fit(const struct dc_experiment *experiment, const struct dc_stage *stage,
                      const char *parameter, double value)
{
    struct dc_stage other = *stage;
    struct dc_stage_network network = {0};
    struct dc_imodel *model = NULL;
    int at = 0;
    while (at < other.parameters.count && strcmp(other.parameters.items[at].name, parameter) != 0)
        at++;
    if (at == DC_LIST_MAX)
        return false;
    other.parameters.items[at] = (struct dc_named_value){.name = parameter, .value = value};
    other.parameters.count += at == other.parameters.count;
    const bool fits = dc_stage_network_open(&network, &other, NULL, NULL) == DC_OK &&
                      lower_untrained(&model, experiment, &other, &network, NULL) == DC_OK &&
                      dc_target_check_budgets(experiment, stage->name, model, NULL) == DC_OK;
    dc_imodel_free(model);
    dc_stage_network_close(&network);
    return fits;
}

// What to change where a budget breaks: the first smaller width or size of the model with which it
// does not, in sixteenths of what it is.
static void say_what_fits(const struct dc_experiment *experiment, const struct dc_stage *stage,
                          const struct dc_stage_network *network, struct dc_error *error)
{
    static const char *const names[] = {"width", "filters", "units", "size", "height", "steps"};
    enum { PARTS = 16 };
    bool found = false;
    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
        for (int p = 0; p < network->model.parameter_count; p++) {
            const struct dc_named_value *v = &network->model.parameters[p];
            const bool whole = v->value == floor(v->value);
            int part = PARTS - 1;
            double value = 0.0;
            if (strcmp(v->name, names[n]) != 0)
                continue;
            for (; part > 0; part--) {
                value = whole ? floor(v->value * part / PARTS) : v->value * part / PARTS;
                if (value > 0.0 && would_fit(experiment, stage, v->name, value))
                    break;
            }
            const size_t used = strlen(error->message);
            if (part > 0)
                snprintf(error->message + used, sizeof error->message - used,
                         "%sparameters: {%s: %.6g}", found ? ", or with " : "\nit would fit with ",
                         v->name, value);
            found = found || part > 0;
        }
}

// Layers that a format of the stage's exports does not hold.
static enum dc_status check_formats(const struct dc_experiment *experiment,
                                    const struct dc_stage *stage, const struct dc_imodel *model,
                                    struct dc_error *error)
{
    for (int s = 0; s < experiment->stage_count; s++) {
        const struct dc_stage *e = &experiment->stages[s];
        const int count = e->exports && strcmp(e->export.stage, stage->name) == 0
                              ? e->export.formats.count
                              : 0;
        for (int k = 0; k < count * model->count; k++) {
            const char *name = e->export.formats.items[k / model->count];
            const struct dc_export_format *format = dc_export_format_find(name);
            const struct dc_ilayer *l = &model->layers[k % model->count];
            if (format && format->has && l->op == DC_I_TABLE &&
                !format->has(dc_ifunction_op(l->function)))
                return dc_fail_yaml(
                    error, dc_stage_place(e, NULL, "formats"),
                    "stage '%s': %s has no %s in integers, which layer '%s' is; the "
                    "bundle, its C and onnx have it",
                    e->name, name, dc_ifunction_name(l->function), l->name);
            const char *refused = format && format->refuses
                                      ? format->refuses(model, k % model->count)
                                      : NULL;
            if (refused)
                return dc_fail_yaml(error, dc_stage_place(e, NULL, "formats"),
                                    "stage '%s': %s holds no layer '%s' (%s) of profile %s, which "
                                    "%s",
                                    e->name, name, l->name, dc_iop_name(l->op),
                                    model->profile->name, refused);
        }
    }
    return DC_OK;
}

// Whether each layer has a form as integers, and what they cost.
static enum dc_status check_integers(json_t *entry, struct dc_experiment *experiment,
                                     const struct dc_stage *stage,
                                     const struct dc_stage_network *network, struct dc_error *error)
{
    struct dc_imodel *model = NULL;
    DC_TRY(lower_untrained(&model, experiment, stage, network, error));
    enum dc_status status = check_formats(experiment, stage, model, error);
    if (status == DC_OK)
        status = dc_report_cost(entry, experiment, model, error);
    if (status == DC_OK)
        status = dc_target_check_budgets(experiment, stage->name, model, error);
    if (status == DC_ERR_BUDGET && error)
        say_what_fits(experiment, stage, network, error);
    dc_imodel_free(model);
    return status;
}

// Where the teachers' outputs are to lie: each of several in a folder of its own.
static enum dc_status check_cache(struct dc_experiment *experiment, const struct dc_stage *stage,
                                  struct dc_error *error)
{
    const struct dc_distill_spec *distill = &stage->distill;
    const char *folder = distill->cache.path;
    enum dc_status status = DC_OK;
    if (!stage->distills || !distill->caches || !folder[0])  // or in the run
        return DC_OK;
    if (distill->teachers.count == 0)
        status = dc_cache_may_begin(folder, experiment->arena, error);
    for (int i = 0; status == DC_OK && i < distill->teachers.count; i++) {
        const char *one = dc_arena_printf(experiment->arena, error, "%s/%s", folder,
                                          distill->teachers.items[i].name);
        status = one ? dc_cache_may_begin(one, experiment->arena, error) : DC_ERR_MEMORY;
    }
    return status == DC_OK
               ? DC_OK
               : dc_context_yaml(status, error, dc_stage_place(stage, "distill", "cache"),
                                 "stage '%s'", stage->name);
}

// Of several outputs of an ONNX file, which is taken where nobody says it.
static void note_outputs(json_t *entry, const struct dc_stage *stage,
                         const struct dc_stage_network *network)
{
    const struct dc_imported *onnx = network->model.imported;
    if (onnx && onnx->passed_over)
        json_object_set_new(
            entry, "note",
            json_sprintf("stage '%s': %s has several outputs, and its first, '%s', is taken; "
                         "'output' of the stage names another: %s",
                         stage->name, network->model.name, onnx->output_name, onnx->passed_over));
}

static enum dc_status check_stage(json_t *entry, struct wanted *wanted,
                                  struct dc_experiment *experiment, const struct dc_stage *stage,
                                  struct dc_stage_network *network,
                                  struct dc_stage_network *teachers, struct dc_error *error)
{
    struct dc_training_graph training = {0};
    struct dc_terms_sources sources = {0};
    DC_TRY(dc_stage_network_open(network, stage, NULL, error));
    note_outputs(entry, stage, network);
    DC_TRY(check_sample(wanted, stage, network, error));
    DC_TRY(check_resize(experiment, stage, network, error));
    DC_TRY(check_classes(wanted, experiment, stage, network, error));
    DC_TRY(dc_stage_sources(&sources, teachers, experiment, stage, error));
    DC_TRY(check_cache(experiment, stage, error));
    if (stage->trains)
        DC_TRY(dc_training_graph_create(&training, network, stage, &sources, error));
    dc_training_graph_free(&training);
    DC_TRY(dc_apply_parameter_rules(network->params, stage, error));
    DC_TRY(check_parent(entry, experiment, stage, network, error));
    dc_report_counts(entry, network);
    return stage->quantizes ? check_integers(entry, experiment, stage, network, error) : DC_OK;
}

enum dc_status dc_run_check(struct dc_experiment *experiment, json_t **report,
                            struct dc_error *error)
{
    struct wanted wanted = {0};
    const struct dc_source_spec source = dc__data_source(experiment, "train");
    enum dc_status status = check_augment(experiment, error);
    json_t *stages = json_object();
    if (status == DC_OK)
        status = dc_source_look(&wanted.folders, &source, error);
    if (status != DC_OK)
        status = dc_context(status, error, "%s: data", experiment->path);
    *report = NULL;
    for (int i = 0; status == DC_OK && i < experiment->stage_count; i++) {
        const struct dc_stage *stage = &experiment->stages[i];
        if (stage->exports)
            continue;
        struct dc_stage_network network = {0}, teachers[DC_TEACHERS_MAX] = {0};
        json_t *entry = json_object();
        json_object_set_new(stages, stage->name, entry);
        status = check_stage(entry, &wanted, experiment, stage, &network, teachers, error);
        for (int t = 0; t < DC_TEACHERS_MAX; t++)
            dc_stage_network_close(&teachers[t]);
        dc_stage_network_close(&network);
        if (status != DC_OK)
            status = dc_context_yaml(status, error, stage->where, "stage '%s'", stage->name);
    }
    if (status == DC_OK)
        *report = stages;
    else
        json_decref(stages);
    return status;
}
