// Owns what a stage leaves open: between decoding and checking, defaults that depend on other keys
// are filled in and names of files become absolute. It is the only place that does; what is checked
// afterwards is what is carried out and recorded.

#include <string.h>

#include "core/file.h"
#include "run/experiment_schema.h"

static bool is_stage(struct dc_experiment *experiment, const char *name)
{
    return dc_experiment_stage(experiment, name) != NULL;
}

static enum dc_status make_absolute(const char **name, enum dc_search_kind kind,
                                    const struct dc_experiment *experiment, struct dc_error *error)
{
    char *path = NULL;
    DC_TRY(dc_search(&path, kind, *name, experiment->path, experiment->arena, error));
    DC_TRY(dc_path_absolute(&path, path, NULL, experiment->arena, error));
    *name = path;
    return DC_OK;
}

static enum dc_status resolve_files(struct dc_experiment *experiment, struct dc_stage *stage,
                                    struct dc_error *error)
{
    struct dc_distill_spec *distill = &stage->distill;
    if (stage->trains && stage->train.init_from[0] && !is_stage(experiment, stage->train.init_from))
        DC_TRY(make_absolute(&stage->train.init_from, DC_SEARCH_NONE, experiment, error));
    if (!stage->distills)
        return DC_OK;
    for (int i = 0; i < distill->peers.count; i++)
        DC_TRY(make_absolute(&distill->peers.items[i], DC_SEARCH_MODEL, experiment, error));
    if (dc__teacher_is_file(distill->teacher))
        DC_TRY(make_absolute(&distill->teacher, DC_SEARCH_NONE, experiment, error));
    for (int i = 0; i < distill->teachers.count; i++)
        if (dc__teacher_is_file(distill->teachers.items[i].name))
            DC_TRY(
                make_absolute(&distill->teachers.items[i].name, DC_SEARCH_NONE, experiment, error));
    return DC_OK;
}

// A list of losses that was inherited is as its own stage resolved it, unless this one begins to
// quantize: then a temperature of a float stage would cost it accuracy, and the default holds
// again.
static enum dc_status resolve_losses(struct dc_experiment *experiment, struct dc_stage *stage,
                                     const struct dc__inherited *from, struct dc_error *error)
{
    const struct dc_yaml *distill = dc_yaml_get(stage->where, "distill");
    const bool states = distill && dc_yaml_get(distill, "losses");
    const bool inherits = from->distills && !states;
    if (inherits && from->quantizes == stage->quantizes)
        return DC_OK;
    for (int i = 0; i < stage->distill.losses.count; i++) {
        struct dc_term_spec *loss = &stage->distill.losses.items[i];
        const bool stated = !inherits && loss->stated && dc_yaml_get(loss->stated, "temperature");
        const float one = 1.0f;
        if (!loss->kind->quantized_at_1 || !stage->quantizes || stated)
            continue;
        if (inherits) {  // its attributes are another stage's
            void *own = dc_arena_alloc(experiment->arena, loss->kind->bytes, error);
            if (!own)
                return DC_ERR_MEMORY;
            loss->attributes = memcpy(own, loss->attributes, loss->kind->bytes);
        }
        memcpy((char *)loss->attributes + loss->kind->temperature, &one, sizeof one);
    }
    return DC_OK;
}

// A file of integers that nothing trains or quantizes anew is taken as it is.
static void resolve_integers(struct dc_stage *stage)
{
    stage->integers = !stage->trains && !stage->quantizes && !stage->weights[0] &&
                      !stage->from[0] && dc_model_is_integers(stage->model);
    stage->quantizes = stage->quantizes || stage->integers;
}

// The loss that labels want, where none is stated.
static void resolve_label_loss(struct dc_stage *stage)
{
    const struct dc_yaml *train = dc_yaml_get(stage->where, "train");
    const bool states = train && dc_yaml_get(train, "loss");
    if (stage->labels != DC_LABELS_CLASSES && !states &&
        stage->train.loss == DC_LABEL_CROSS_ENTROPY)
        stage->train.loss = stage->labels == DC_LABELS_VALUES ? DC_LABEL_SQUARED_ERROR
                                                              : DC_LABEL_BINARY;
}

// What a stage before this one took of its ONNX file says nothing of a model file.
static void forget_file_keys(struct dc_stage *stage)
{
    if (!dc_model_is_imported(stage->model) && !dc_yaml_get(stage->where, "output"))
        stage->output = "";
    if (!dc_model_has_layout(stage->model) && !dc_yaml_get(stage->where, "layout"))
        stage->layout = 0;
}

enum dc_status dc__resolve_stage(struct dc_experiment *experiment, struct dc_stage *stage,
                                 const struct dc__inherited *from, struct dc_error *error)
{
    stage->exports = stage->export.stage[0];
    stage->labels = (enum dc_label_kind)experiment->data.labels;
    if (stage->exports)
        return DC_OK;
    DC_TRY(resolve_files(experiment, stage, error));
    forget_file_keys(stage);
    resolve_integers(stage);
    resolve_label_loss(stage);
    if (stage->distills)
        DC_TRY(resolve_losses(experiment, stage, from, error));
    if (stage->trains && stage->train.keep == 0 && !dc_data_has_validation(experiment))
        stage->train.keep = 1;  // without a validation set the last epoch is all there is
    return DC_OK;
}
