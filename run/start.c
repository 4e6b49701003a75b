// Owns the weights a stage starts from, and where those of an earlier stage are.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/op.h"
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

static enum dc_status take_imported(struct dc_params *params, bool *taken, const char *path,
                                    struct dc_error *error)
{
    struct dc_model other = {0};
    int copied = 0;
    DC_TRY(dc_model_read(&other, &(struct dc_model_spec){.path = path}, error));
    enum dc_status status = dc_params_copy_by_name(params, other.params, &copied, error);
    const bool by_order = copied == 0;
    if (status == DC_OK && by_order)
        status = copy_by_order(params, other.params, error);
    for (int i = 0; status == DC_OK && i < params->count; i++)
        taken[i] = by_order || dc_params_find(other.params, params->slices[i].name);
    dc_model_free(&other);
    return status;
}

// One layer's part of the list: its name where all of it is missing, else what is.
static int add_missing(char *list, size_t size, const struct dc_graph *graph,
                       const struct dc_node *node, const struct dc_params *params,
                       const bool *taken, int count)
{
    enum { NAMED = 4 };
    const char *missing[DC_OP_PARAMS_MAX];
    int wanted = 0, absent = 0;
    for (int p = 0; p < node->param_count; p++) {
        const struct dc_slice *slice = dc_params_find(params, graph->params[node->params[p]].name);
        if (!slice || (!dc_role_is_trained(slice->role) && slice->role != DC_ROLE_STATISTIC))
            continue;
        wanted++;
        if (!taken[slice - params->slices])
            missing[absent++] = slice->name;
    }
    if (absent == wanted && absent > 0) {
        missing[0] = node->name;
        absent = 1;
    }
    for (int i = 0; i < absent && count + i < NAMED; i++) {
        const size_t at = strlen(list);
        snprintf(list + at, size - at, "%s%s", at ? ", " : "", missing[i]);
    }
    const size_t used = strlen(list);
    if (count <= NAMED && count + absent > NAMED)
        snprintf(list + used, size - used, ", ...");
    return count + absent;
}

static const struct dc_yaml *place_of_weights(const struct dc_stage *stage)
{
    const bool first = stage->trains && stage->train.init_from[0];
    return dc_stage_place(stage, first ? "train" : NULL, first ? "init_from" : "weights");
}

// What of the model's layers the file lacked: nothing will fill it where the stage does not train.
static enum dc_status check_missing(char list[DC_MISSING_TEXT], const struct dc_stage *stage,
                                    const struct dc_graph *graph, const struct dc_params *params,
                                    const bool *taken, const char *what, struct dc_error *error)
{
    int missing = 0;
    list[0] = '\0';
    for (int i = 0; i < graph->count; i++)
        missing = add_missing(list, DC_MISSING_TEXT, graph, &graph->nodes[i], params, taken,
                              missing);
    if (missing > 0 && !stage->trains)
        return dc_fail_yaml(error, place_of_weights(stage),
                            "stage '%s': '%s' lacks weights of %s, and nothing trains them: take "
                            "weights of the whole network%s, or add a 'train'",
                            stage->name, what, list,
                            dc_is_safetensors(what) ? ", say in weights_names what they are called "
                                                      "there"
                                                    : "");
    return DC_OK;
}

static enum dc_status take(const struct dc_stage *stage, const struct dc_model *model,
                           struct dc_params *params, bool *taken, const char *path,
                           const char *what, struct dc_error *error)
{
    const bool names_itself = dc_is_safetensors(path);
    const enum dc_status status = names_itself
                                      ? dc_safetensors_take(params, model->graph, path,
                                                            stage->weights_names, taken, error)
                                  : dc_model_is_imported(path)
                                      ? take_imported(params, taken, path, error)
                                      : dc_weights_read_matching(path, params, taken, error);
    if (status != DC_OK)
        return dc_context_yaml(status, error, place_of_weights(stage),
                               names_itself ? "stage '%s'" : "stage '%s' starts from '%s'",
                               stage->name, what);
    for (int i = 0; i < params->count; i++)
        if (taken[i])
            return DC_OK;
    return dc_fail_yaml(error, place_of_weights(stage),
                        "stage '%s': no layer of '%s' has the same name", stage->name, what);
}

enum dc_status dc__take_weights(char missing[DC_MISSING_TEXT], const struct dc_stage *stage,
                                const struct dc_model *model, struct dc_params *params,
                                const char *path, const char *what, struct dc_error *error)
{
    bool *taken = dc_alloc((size_t)params->count * sizeof *taken, error);
    if (!taken)
        return DC_ERR_MEMORY;
    enum dc_status status = take(stage, model, params, taken, path, what, error);
    if (status == DC_OK)
        status = check_missing(missing, stage, model->graph, params, taken, what, error);
    free(taken);
    return status;
}

enum dc_status dc__start_weights(struct dc_run *run, const struct dc_stage *stage,
                                 const struct dc_model *model, struct dc_params *params,
                                 struct dc_error *error)
{
    const char *given = stage->trains && stage->train.init_from[0] ? stage->train.init_from
                                                                   : stage->weights;
    const struct dc_stage *parent = dc_experiment_stage(run->experiment,
                                                        given[0] ? given : stage->from);
    char missing[DC_MISSING_TEXT] = "";
    const int64_t seed = stage->seed >= 0 ? stage->seed : run->experiment->seed;
    int copied = 0;
    dc_params_init(params, (uint32_t)seed);
    if (model->params)
        DC_TRY(dc_params_copy_by_name(params, model->params, &copied, error));
    const char *path = given[0] ? given : NULL;
    if (parent)
        DC_TRY(dc__stage_weights(&path, run, parent, stage, error));
    if (!path)
        return DC_OK;
    const char *what = parent ? parent->name : given;
    DC_TRY(dc__take_weights(missing, stage, model, params, path, what, error));
    if (missing[0])
        dc_log(run->ctx, DC_LOG_WARNING,
               "%s: '%s' lacks weights of %s: they are trained from the start", stage->name, what,
               missing);
    return DC_OK;
}
