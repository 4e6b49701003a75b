// Owns the reading of experiment files: overrides, stages and what they inherit, and the checks
// that need no data.

#include "run/experiment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/random.h"
#include "data/open.h"
#include "distill/cache.h"
#include "qat/profile.h"
#include "run/experiment_schema.h"

// A stage is never made by --set: a mistyped name would be one.
static enum dc_status unknown_stage(const struct dc_yaml *stages, const char *text,
                                    const char *name, struct dc_error *error)
{
    const char *names[DC_STAGES_MAX];
    int count = 0;
    for (; count < stages->count && count < DC_STAGES_MAX; count++)
        names[count] = stages->keys[count]->text;
    char hint[DC_HINT];
    return dc_fail(error, DC_ERR_USAGE, "--set %s: there is no stage '%s'%s", text, name,
                   dc_did_you_mean(hint, name, names, count));
}

// --set a.b.c=value: the mapping a.b of the tree gets the key c.
static enum dc_status apply_override(const struct dc_yaml *root, const char *text,
                                     struct dc_arena *arena, struct dc_error *error)
{
    const char *equals = strchr(text, '=');
    char *path = dc_arena_copy(arena, text, error);
    const struct dc_yaml *value = NULL;
    if (!path)
        return DC_ERR_MEMORY;
    if (!equals || equals == text)
        return dc_fail(error, DC_ERR_USAGE, "--set needs KEY.KEY=VALUE, not '%s'", text);
    path[equals - text] = '\0';
    char *source = dc_arena_printf(arena, error, "--set %s", path);  // in messages
    if (!source)
        return DC_ERR_MEMORY;
    DC_TRY(dc_yaml_parse(&value, equals[1] ? equals + 1 : "''", source, arena, error));
    struct dc_yaml *at = (struct dc_yaml *)root;  // the tree is ours, in our arena
    for (char *key = path, *dot; at; key = dot + 1) {
        dot = strchr(key, '.');
        if (dot)
            *dot = '\0';
        int i = 0;
        while (at->kind == DC_YAML_MAPPING && i < at->count && strcmp(at->keys[i]->text, key) != 0)
            i++;
        if (at->kind != DC_YAML_MAPPING)
            return dc_fail(error, DC_ERR_USAGE, "--set %s: '%s' is not inside a mapping", text,
                           key);
        if (i == at->count && key == path + 7 && !strncmp(text, "stages.", 7))
            return unknown_stage(at, text, key, error);
        if (i == at->count) {
            const struct dc_yaml **keys = DC_NEW(arena, const struct dc_yaml *, i + 1, error);
            const struct dc_yaml **items = DC_NEW(arena, const struct dc_yaml *, i + 1, error);
            struct dc_yaml *name = DC_NEW(arena, struct dc_yaml, 1, error);
            struct dc_yaml *empty = DC_NEW(arena, struct dc_yaml, 1, error);
            if (!keys || !items || !name || !empty)
                return DC_ERR_MEMORY;
            if (i > 0) {
                memcpy(keys, at->keys, sizeof *keys * (size_t)i);
                memcpy(items, at->items, sizeof *items * (size_t)i);
            }
            *name = (struct dc_yaml){
                .kind = DC_YAML_SCALAR, .text = key, .where = {.file = source}};
            *empty = (struct dc_yaml){.kind = DC_YAML_MAPPING, .where = {.file = source}};
            keys[i] = name;
            items[i] = empty;
            at->keys = keys;
            at->items = items;
            at->count = i + 1;
        }
        if (!dot) {
            at->items[i] = value;
            return DC_OK;
        }
        at = (struct dc_yaml *)at->items[i];
    }
    return DC_OK;
}

const struct dc_yaml *dc_stage_place(const struct dc_stage *stage, const char *group,
                                     const char *key)
{
    const struct dc_yaml *mapping = group ? dc_yaml_get(stage->where, group) : stage->where;
    const struct dc_yaml *node = mapping ? dc_yaml_get(mapping, key) : NULL;
    return node ? node : stage->where;
}

struct dc_stage *dc_experiment_stage(struct dc_experiment *experiment, const char *name)
{
    for (int i = 0; i < experiment->stage_count; i++)
        if (strcmp(experiment->stages[i].name, name) == 0)
            return &experiment->stages[i];
    return NULL;
}

static enum dc_status want_stage(struct dc_experiment *experiment, const struct dc_stage *stage,
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

// A stage before this one, or a file beside the experiment.
static enum dc_status check_init_from(struct dc_experiment *experiment, struct dc_stage *stage,
                                      struct dc_error *error)
{
    const char *given = stage->train.init_from;
    const struct dc_stage *parent = dc_experiment_stage(experiment, given);
    if (!given[0] || (parent && parent < stage))
        return DC_OK;
    char *path = NULL, *real;
    DC_TRY(dc_path_resolve(&path, given, experiment->path, experiment->arena, error));
    real = realpath(path, NULL);
    if (!real)
        return dc_fail_yaml(error, dc_stage_place(stage, "train", "init_from"),
                            "stage '%s': init_from '%s' is neither a stage before it nor a file",
                            stage->name, given);
    stage->train.init_from = dc_arena_copy(experiment->arena, real, error);
    free(real);
    return stage->train.init_from ? DC_OK : DC_ERR_MEMORY;
}

static enum dc_status check_export(struct dc_experiment *experiment, const struct dc_stage *stage,
                                   struct dc_error *error)
{
    const struct dc_texts *formats = &stage->export.formats;
    const struct dc_yaml *given = dc_yaml_get(stage->where, "formats");
    const struct dc_yaml *place = given ? given : stage->where;
    bool bundle = false, c = false;
    DC_TRY(want_stage(experiment, stage, NULL, "export", stage->export.stage, error));
    if (!dc_experiment_stage(experiment, stage->export.stage)->quantizes)
        return dc_fail_yaml(error, stage->where,
                            "stage '%s' exports '%s', which is not "
                            "quantized; give that stage a 'quantize' or export another",
                            stage->name, stage->export.stage);
    for (int i = 0; i < formats->count; i++) {
        const bool is_bundle = strcmp(formats->items[i], "bundle") == 0;
        const bool is_c = strcmp(formats->items[i], "c") == 0;
        bundle = bundle || is_bundle;
        c = c || is_c;
        if (!is_bundle && !is_c)
            return dc_fail_yaml(error, place, "formats are bundle and c, not '%s'",
                                formats->items[i]);
    }
    if (!bundle || !c)
        return dc_fail_yaml(error, place, "formats must be [bundle, c]: a bundle holds its C");
    return DC_OK;
}

int dc_stage_teachers(const char *names[DC_TEACHERS_MAX], double weights[DC_TEACHERS_MAX],
                      const struct dc_stage *stage)
{
    const struct dc_named_values *list = &stage->distill.teachers;
    double sum = 0.0;
    names[0] = stage->distill.teacher;
    weights[0] = 1.0;
    for (int i = 0; i < list->count; i++)
        sum += list->items[i].value;
    for (int i = 0; i < list->count; i++) {
        names[i] = list->items[i].name;
        weights[i] = list->items[i].value / sum;
    }
    return list->count > 0 ? list->count : 1;
}

const struct dc_stage *dc_teacher_stage(struct dc_experiment *experiment,
                                        const struct dc_stage *stage, const char *name)
{
    return !strcmp(name, DC_TEACHER_AVERAGE) ? stage : dc_experiment_stage(experiment, name);
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

// A stage before this one, or a file beside the experiment: *name becomes its absolute path.
static enum dc_status check_teacher(const char **name, struct dc_experiment *experiment,
                                    const struct dc_stage *stage, const char *key,
                                    struct dc_error *error)
{
    char *path = NULL;
    if (!strcmp(*name, DC_TEACHER_AVERAGE))
        return check_average(stage, error);
    if (!strchr(*name, '.') && !strchr(*name, '/'))
        return want_stage(experiment, stage, "distill", key, *name, error);
    DC_TRY(dc_path_absolute(&path, *name, experiment->path, experiment->arena, error));
    if (!dc_file_exists(path))
        return dc_fail_yaml(
            error, dc_stage_place(stage, "distill", key),
            "stage '%s': there is no file of logits %s; a teacher is a stage before "
            "this one, or such a file",
            stage->name, path);
    *name = path;
    return DC_OK;
}

static enum dc_status check_distill(struct dc_experiment *experiment, struct dc_stage *stage,
                                    struct dc_error *error)
{
    struct dc_distill_spec *distill = &stage->distill;
    if (!distill->teacher[0] == (distill->teachers.count == 0))
        return dc_fail_yaml(error, stage->where,
                            "stage '%s' distills: name its 'teacher', or several 'teachers'",
                            stage->name);
    if (distill->teachers.count > DC_TEACHERS_MAX)
        return dc_fail_yaml(error, dc_stage_place(stage, "distill", "teachers"),
                            "stage '%s': up to %d teachers", stage->name, DC_TEACHERS_MAX);
    if (distill->teacher[0])
        DC_TRY(check_teacher(&distill->teacher, experiment, stage, "teacher", error));
    for (int i = 0; i < distill->teachers.count; i++)
        DC_TRY(
            check_teacher(&distill->teachers.items[i].name, experiment, stage, "teachers", error));
    for (int i = 0; i < distill->losses.count; i++) {
        struct dc_term_spec *loss = &distill->losses.items[i];
        if (dc_term_default_temperature(loss->kind) && loss->temperature == 0.0)
            loss->temperature = stage->quantizes ? 1.0 : 4.0;
    }
    return DC_OK;
}

static enum dc_status check_stage(struct dc_experiment *experiment, struct dc_stage *stage,
                                  struct dc_error *error)
{
    if (stage->exports)
        return check_export(experiment, stage, error);
    if (!stage->model[0])
        return dc_fail_yaml(error, stage->where,
                            "stage '%s' needs a 'model', a 'from' or an 'export'", stage->name);
    if (!dc_file_exists(stage->model))
        return dc_fail_yaml(error, dc_stage_place(stage, NULL, "model"),
                            "stage '%s': there is no model file %s", stage->name, stage->model);
    if (!stage->trains && !stage->quantizes && !dc_model_is_onnx(stage->model) &&
        !stage->weights[0])
        return dc_fail_yaml(error, stage->where,
                            "stage '%s' needs a 'train' or a 'quantize'; or 'weights' or an ONNX "
                            "model, to be taken as they are",
                            stage->name);
    if (stage->weights[0] && !dc_file_exists(stage->weights))
        return dc_fail_yaml(error, dc_stage_place(stage, NULL, "weights"),
                            "stage '%s': there is no weights file %s", stage->name, stage->weights);
    if (stage->quantizes && !experiment->profile[0])
        return dc_fail_yaml(error, stage->where,
                            "stage '%s' quantizes: the experiment needs a "
                            "'target' file, which names the integer arithmetic",
                            stage->name);
    if (stage->quantizes && !stage->trains && !stage->from[0] && !stage->weights[0] &&
        !dc_model_is_onnx(stage->model))
        return dc_fail_yaml(error, stage->where,
                            "stage '%s' calibrates a trained network: name it "
                            "in 'from'",
                            stage->name);
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
    if (stage->trains && stage->train.config.patience > 0 && experiment->data.validation == 0)
        return dc_fail_yaml(error, dc_stage_place(stage, "train", "patience"),
                            "stage '%s': patience needs a validation set: data.validation is 0",
                            stage->name);
    if (stage->trains && stage->train.keep == 0 && experiment->data.validation == 0)
        stage->train.keep = 1;  // without a validation set the last epoch is all there is
    return DC_OK;
}

static enum dc_status read_stage(struct dc_experiment *experiment, const struct dc_yaml *key,
                                 const struct dc_yaml *body, struct dc_error *error)
{
    const struct dc_decoder decoder = {experiment->arena, NULL};
    struct dc_stage *stage = &experiment->stages[experiment->stage_count];
    char label[128];
    snprintf(label, sizeof label, "stage '%s'", key->text);
    DC_TRY(dc_schema_defaults(&dc__stage_schema, stage, &decoder, error));
    stage->name = key->text;
    stage->where = body;
    if (!strcmp(stage->name, DC_TEACHER_AVERAGE))
        return dc_fail_yaml(error, key,
                            "no stage can be named '%s': that is what a stage's own "
                            "moving average is called as a teacher",
                            stage->name);
    if (body->kind != DC_YAML_MAPPING)
        return dc_fail_yaml(error, key, "%s must be a mapping", label);
    const struct dc_yaml *from = dc_yaml_get(body, "from");
    if (from && from->kind == DC_YAML_SCALAR && from->text[0]) {
        DC_TRY(want_stage(experiment, stage, NULL, "from", from->text, error));
        *stage = *dc_experiment_stage(experiment, from->text);
        stage->name = key->text;
        stage->where = body;
        stage->train.init_from = stage->weights = "";
        if (!dc_yaml_get(body, "train") && dc_yaml_get(body, "quantize"))
            stage->trains = false;  // calibration alone
    }
    const bool quantized = stage->quantizes;
    DC_TRY(dc_schema_decode(&dc__stage_schema, stage, body, label, true, &decoder, error));
    // A temperature inherited from a float stage costs a quantized student accuracy: back to the
    // default, 1, unless this stage states one.
    const struct dc_yaml *distill = dc_yaml_get(body, "distill");
    const bool states_losses = distill && dc_yaml_get(distill, "losses");
    for (int i = 0; stage->quantizes && !quantized && stage->distills && !states_losses &&
                    i < stage->distill.losses.count;
         i++)
        if (dc_term_default_temperature(stage->distill.losses.items[i].kind))
            stage->distill.losses.items[i].temperature = 0.0;
    stage->exports = stage->export.stage[0];
    DC_TRY(check_stage(experiment, stage, error));
    experiment->stage_count++;
    return DC_OK;
}

static enum dc_status read_target(struct dc_experiment *experiment, struct dc_error *error)
{
    experiment->profile = experiment->target_name = "";
    if (!experiment->target[0])
        return DC_OK;
    const struct dc_decoder decoder = {experiment->arena, NULL};
    const struct dc_yaml *root = NULL;
    DC_TRY(dc_yaml_read(&root, experiment->target, experiment->arena, error));
    DC_TRY(dc_schema_decode(&dc__target_schema, experiment, root, "target", true, &decoder, error));
    if (!dc_profile_find(experiment->profile)) {
        char names[256] = "";
        size_t used = 0;
        for (const struct dc_profile *const *p = dc_profile_table(); *p && used < sizeof names; p++)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "",
                                     (*p)->name);
        return dc_fail_yaml(error, dc_yaml_get(root, "profile"),
                            "no arithmetic profile '%s'; there are %s", experiment->profile, names);
    }
    return DC_OK;
}

static enum dc_status check_source(const struct dc_experiment *experiment,
                                   const struct dc_yaml *root, struct dc_error *error)
{
    const char *source = experiment->data.source;
    const char *const *kinds = dc_source_kinds();
    int count = 0;
    bool known = strcmp(source, "auto") == 0;
    for (; kinds[count]; count++)
        known = known || strcmp(source, kinds[count]) == 0;
    if (known)
        return DC_OK;
    char hint[DC_HINT];
    return dc_fail_yaml(error, dc_yaml_get(dc_yaml_get(root, "data"), "source"),
                        "no data source '%s'; there are auto, idx, cifar10, cifar100, hdf5 and png"
                        "%s",
                        source, dc_did_you_mean(hint, source, kinds, count));
}

static enum dc_status read_all(struct dc_experiment *experiment, const char *const *overrides,
                               int count, struct dc_error *error)
{
    const struct dc_decoder decoder = {experiment->arena, NULL};
    const struct dc_yaml *root = NULL;
    DC_TRY(dc_yaml_read(&root, experiment->path, experiment->arena, error));
    for (int i = 0; i < count; i++)
        DC_TRY(apply_override(root, overrides[i], experiment->arena, error));
    DC_TRY(dc_schema_defaults(&dc__experiment_schema, experiment, &decoder, error));
    DC_TRY(dc_schema_decode(&dc__experiment_schema, experiment, root, "the experiment", true,
                            &decoder, error));
    if (!experiment->data.path)
        return dc_fail_yaml(error, root, "the experiment lacks 'data' with a 'path'");
    DC_TRY(check_source(experiment, root, error));
    if (experiment->target[0] && !dc_file_exists(experiment->target))
        return dc_fail_yaml(error, dc_yaml_get(root, "target"), "there is no target file %s",
                            experiment->target);
    DC_TRY(read_target(experiment, error));
    const struct dc_yaml *stages = experiment->stage_list;
    if (stages->kind != DC_YAML_MAPPING || stages->count == 0 || stages->count > DC_STAGES_MAX)
        return dc_fail_yaml(error, stages, "stages must be a mapping of 1 to %d stages",
                            DC_STAGES_MAX);
    for (int i = 0; i < stages->count; i++)
        DC_TRY(read_stage(experiment, stages->keys[i], stages->items[i], error));
    return DC_OK;
}

enum dc_status dc_experiment_read(struct dc_experiment **out, const char *path,
                                  const char *const *overrides, int override_count,
                                  struct dc_error *error)
{
    *out = NULL;
    struct dc_arena *arena = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_experiment *experiment = DC_NEW(arena, struct dc_experiment, 1, error);
    enum dc_status status = experiment ? DC_OK : DC_ERR_MEMORY;
    if (experiment) {
        experiment->arena = arena;
        experiment->path = dc_arena_copy(arena, path, error);
        status = experiment->path ? read_all(experiment, overrides, override_count, error)
                                  : DC_ERR_MEMORY;
    }
    if (status != DC_OK) {
        dc_arena_free(arena);
        return status;
    }
    *out = experiment;
    return DC_OK;
}

void dc_experiment_free(struct dc_experiment *experiment)
{
    if (experiment)
        dc_arena_free(experiment->arena);
}

// An inherited stage is written with all it inherited; `from` stays, for its weights.
static void write_stage(struct dc_text_buffer *out, const struct dc_stage *stage)
{
    dc_text_append(out, "  %s:\n", stage->name);
    dc_schema_write(&dc__stage_schema, out, stage, 4);
}

void dc_experiment_write(struct dc_text_buffer *out, const struct dc_experiment *experiment)
{
    dc_schema_write(&dc__experiment_schema, out, experiment, 0);
    if (out->length > 0 && !out->failed && out->text[out->length - 1] != '\n')
        dc_text_append(out, "\n");
    for (int i = 0; i < experiment->stage_count; i++)
        write_stage(out, &experiment->stages[i]);
}

// Leaves what shapes a student: not where files lie, and of a cache nothing where it gives what the
// teacher would.
static void forget_places(struct dc_distill_spec *distill, struct dc_experiment *experiment,
                          const struct dc_stage *stage)
{
    struct dc_cache_keys *cache = &distill->cache;
    for (int i = 0; i < distill->teachers.count; i++)
        if (!dc_teacher_stage(experiment, stage, distill->teachers.items[i].name))
            distill->teachers.items[i].name = "file";
    if (distill->teacher[0] && !dc_teacher_stage(experiment, stage, distill->teacher))
        distill->teacher = "file";
    distill->caches = distill->caches &&
                      (cache->mode == DC_CACHE_STATIC || cache->type != 0 || cache->top > 0);
    cache->path = "";
    cache->fill = true;
    cache->block = 1;
}

enum dc_status dc_stage_hash(uint64_t *hash, struct dc_experiment *experiment,
                             const struct dc_stage *stage, struct dc_error *error)
{
    struct dc_text_buffer text = {0};
    struct dc_experiment head = *experiment;
    struct dc_stage body = *stage;
    head.name = "";  // a name and the loader's depth shape nothing; of files, the content does
    head.target = body.model = body.weights = "";
    const char *teachers[DC_TEACHERS_MAX];
    double unused[DC_TEACHERS_MAX];
    const int teacher_count = stage->distills ? dc_stage_teachers(teachers, unused, stage) : 0;
    if (stage->distills)
        forget_places(&body.distill, experiment, stage);
    const bool starts_from_file = stage->trains && stage->train.init_from[0] &&
                                  !dc_experiment_stage(experiment, stage->train.init_from);
    if (starts_from_file)
        body.train.init_from = "";
    head.data.loader_depth = head.data.loader_threads = 1;
    head.data.class_names.count = 0;
    dc_schema_write(&dc__experiment_schema, &text, &head, 0);
    write_stage(&text, &body);
    dc_text_append(&text, "profile: %s\n", experiment->profile);
    enum dc_status status = text.failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory") : DC_OK;
    uint64_t sum = status ? 0 : dc_hash_bytes(DC_HASH_START, text.text, text.length);
    dc_text_free(&text);
    // Files by their content, stages by their hash.
    const char *others[5 + DC_TEACHERS_MAX] = {stage->model, stage->weights, stage->from,
                                               stage->exports ? stage->export.stage : "",
                                               stage->trains ? stage->train.init_from : ""};
    for (int i = 0; i < teacher_count; i++)
        others[5 + i] = strcmp(teachers[i], DC_TEACHER_AVERAGE) ? teachers[i] : "";
    for (int i = 0; i < 5 + teacher_count && status == DC_OK; i++) {
        struct dc_stage *parent = dc_experiment_stage(experiment, others[i]);
        uint64_t other = 0;
        if (parent && parent < stage) {
            status = dc_stage_hash(&other, experiment, parent, error);
            sum = dc_hash_bytes(sum, &other, sizeof other);
        } else if (others[i][0]) {
            status = dc_file_hash(&sum, others[i], error);
        }
    }
    *hash = sum;
    return status;
}
