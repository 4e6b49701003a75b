// Owns the weights a stage starts from, and where those of an earlier stage are.

#include <string.h>

#include "core/file.h"
#include "run/run_internal.h"
#include "run/safetensors.h"
#include "train/checkpoint.h"

enum dc_status dc__stage_weights(const char **path, struct dc_run *run,
                                 const struct dc_stage *stage, const struct dc_stage *reader,
                                 struct dc_error *error)
{
    const bool imported = !stage->trains && !stage->quantizes;
    *path = imported ? stage->weights[0] ? stage->weights : NULL
                     : dc_run_weights_path(run, stage, error);
    if (imported || (*path && dc_file_exists(*path)))
        return DC_OK;
    if (!*path)
        return DC_ERR_MEMORY;
    return dc_fail(error, DC_ERR_USAGE,
                   "stage '%s' needs stage '%s', which is not done yet (%s is "
                   "missing): do it first, or all with decant run",
                   reader->name, stage->name, *path);
}

// What ONNX and this model both hold, in order: what training changes, and statistics.
static int next_slice(const struct dc_params *params, int i)
{
    while (i < params->count && !dc_role_is_trained(params->slices[i].role) &&
           params->slices[i].role != DC_ROLE_STATISTIC)
        i++;
    return i;
}

// One slice after the other, where both have as many and each pair agrees in shape; else an error
// that names the first pairs that differ.
static enum dc_status copy_by_order(struct dc_params *to, const struct dc_params *from,
                                    struct dc_error *error)
{
    char list[1024] = "";
    size_t used = 0;
    int different = 0, a = next_slice(to, 0), b = next_slice(from, 0);
    for (; a < to->count || b < from->count;
         a = next_slice(to, a + 1), b = next_slice(from, b + 1)) {
        const struct dc_slice *x = a < to->count ? &to->slices[a] : NULL;
        const struct dc_slice *y = b < from->count ? &from->slices[b] : NULL;
        char want[DC_SHAPE_TEXT] = "nothing", have[DC_SHAPE_TEXT] = "nothing";
        if (x && y && dc_shape_equal(&x->shape, &y->shape)) {
            memcpy(to->value + x->offset, from->value + y->offset,
                   sizeof(float) * (size_t)x->count);
            continue;
        }
        if (x)
            dc_shape_text(want, &x->shape);
        if (y)
            dc_shape_text(have, &y->shape);
        if (++different <= 6 && used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s %s: %s %s",
                                     used ? "; " : "", x ? x->name : "", want, y ? y->name : "",
                                     have);
    }
    if (different == 0)
        return DC_OK;
    return dc_fail(error, DC_ERR_CONFIG,
                   "no layer has the same name, and in order %d do not fit: %s%s", different, list,
                   different > 6 ? "; ..." : "");
}

static enum dc_status take_onnx(const struct dc_run *run, const struct dc_stage *stage,
                                struct dc_params *params, const char *path, struct dc_error *error)
{
    struct dc_model other = {0};
    int copied = 0;
    DC_TRY(dc_model_read(&other, &(struct dc_model_spec){.path = path}, error));
    enum dc_status status = dc_params_copy_by_name(params, other.params, &copied, error);
    if (status == DC_OK && copied == 0)
        status = copy_by_order(params, other.params, error);
    else if (status == DC_OK && copied < params->count)
        dc_log(run->ctx, DC_LOG_WARNING, "%s: %d of %d weights were taken from %s, by name",
               stage->name, copied, params->count, path);
    dc_model_free(&other);
    return status == DC_OK
               ? DC_OK
               : dc_context(status, error, "stage '%s' starts from '%s'", stage->name, path);
}

// Slices of the same name from a file, from safetensors by what they call the layers, or from an
// ONNX network by name or else by order.
static enum dc_status take_weights(struct dc_run *run, const struct dc_stage *stage,
                                   const struct dc_model *model, struct dc_params *params,
                                   const char *path, const char *what, struct dc_error *error)
{
    int copied = 0, wanted;
    if (dc_model_is_onnx(path))
        return take_onnx(run, stage, params, path, error);
    if (dc_is_safetensors(path)) {
        DC_TRY_IN(dc_safetensors_take(params, model->graph, path, stage->weights_names, &copied,
                                      &wanted, error),
                  error, "stage '%s'", stage->name);
        if (copied < wanted)
            dc_log(run->ctx, DC_LOG_WARNING, "%s: %d of %d weights were taken from %s, by name",
                   stage->name, copied, wanted, path);
        return DC_OK;
    }
    DC_TRY_IN(dc_weights_read_matching(path, params, &copied, error), error,
              "stage '%s' starts from '%s'", stage->name, what);
    if (copied == 0)
        return dc_fail(error, DC_ERR_CONFIG, "stage '%s': no layer of '%s' has the same name",
                       stage->name, what);
    return DC_OK;
}

enum dc_status dc__start_weights(struct dc_run *run, const struct dc_stage *stage,
                                 const struct dc_model *model, struct dc_params *params,
                                 struct dc_error *error)
{
    const char *given = stage->trains && stage->train.init_from[0] ? stage->train.init_from
                                                                   : stage->weights;
    const struct dc_stage *parent = dc_experiment_stage(run->experiment,
                                                        given[0] ? given : stage->from);
    const int64_t seed = stage->seed >= 0 ? stage->seed : run->experiment->seed;
    int copied = 0;
    dc_params_init(params, (uint32_t)seed);
    if (model->params)
        DC_TRY(dc_params_copy_by_name(params, model->params, &copied, error));
    if (!parent)
        return given[0] ? take_weights(run, stage, model, params, given, given, error) : DC_OK;
    const char *path = NULL;
    DC_TRY(dc__stage_weights(&path, run, parent, stage, error));
    return path ? take_weights(run, stage, model, params, path, parent->name, error) : DC_OK;
}
