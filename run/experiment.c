// Owns the reading of experiment files: overrides, stages and what they inherit. The checks that
// need no data are in experiment_check.c, what is written of it in experiment_record.c.

#include "run/experiment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/folder.h"
#include "core/random.h"
#include "data/open.h"
#include "distill/cache.h"
#include "run/cascade.h"
#include "run/experiment_schema.h"
#include "run/target.h"

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

bool dc_experiment_find_key(char path[128], const char *word)
{
    static const struct {
        const char *mapping, *prefix;
    } mappings[] = {{"the experiment", ""},
                    {"data", "data."},
                    {"a stage", "stages.STAGE."},
                    {"train", "stages.STAGE.train."},
                    {"distill", "stages.STAGE.distill."},
                    {"quantize", "stages.STAGE.quantize."}};
    const char *key, *mapping = dc_schema_find_key(&key, word, dc__experiment_places);
    for (size_t i = 0; mapping && i < sizeof mappings / sizeof mappings[0]; i++) {
        if (strcmp(mappings[i].mapping, mapping) != 0)
            continue;
        snprintf(path, 128, "%s%s", mappings[i].prefix, key);
        return true;
    }
    return false;
}

// Of the experiment and of a stage, whose names are those of folders.
static enum dc_status check_name(const struct dc_yaml *node, const char *what, const char *name,
                                 struct dc_error *error)
{
    const char *fault = dc_name_fault(name);
    if (!name[0])
        return dc_fail_yaml(error, node, "the %s has no name here", what);
    return fault ? dc_fail_yaml(error, node, "the %s '%s' is the name of a folder too, and %s",
                                what, name, fault)
                 : DC_OK;
}

static enum dc_status read_stage(struct dc_experiment *experiment, const struct dc_yaml *key,
                                 const struct dc_yaml *body, struct dc_error *error)
{
    const struct dc_decoder decoder = {experiment->arena, NULL, dc__experiment_places};
    struct dc_stage *stage = &experiment->stages[experiment->stage_count];
    char label[128];
    snprintf(label, sizeof label, "stage '%s'", key->text);
    DC_TRY(dc_schema_defaults(&dc__stage_schema, stage, &decoder, error));
    stage->name = key->text;
    stage->where = body;
    DC_TRY(check_name(key, "stage", stage->name, error));
    if (!strcmp(stage->name, DC_TEACHER_AVERAGE))
        return dc_fail_yaml(error, key,
                            "no stage can be named '%s': that is what a stage's own "
                            "moving average is called as a teacher",
                            stage->name);
    if (body->kind != DC_YAML_MAPPING)
        return dc_fail_yaml(error, key, "%s must be a mapping", label);
    const struct dc_yaml *from = dc_yaml_get(body, "from");
    if (from && from->kind == DC_YAML_SCALAR && from->text[0]) {
        DC_TRY(dc__want_stage(experiment, stage, NULL, "from", from->text, error));
        *stage = *dc_experiment_stage(experiment, from->text);
        stage->name = key->text;
        stage->where = body;
        stage->train.init_from = stage->weights = "";
        stage->quantizes = stage->quantizes && !stage->integers;
        stage->integers = false;
        if (!dc_yaml_get(body, "train") && dc_yaml_get(body, "quantize"))
            stage->trains = false;  // calibration alone
    }
    const struct dc__inherited inherited = {stage->distills, stage->quantizes};
    DC_TRY(dc_schema_decode(&dc__stage_schema, stage, body, label, true, &decoder, error));
    DC_TRY(dc__resolve_stage(experiment, stage, &inherited, error));
    DC_TRY(dc__check_stage(experiment, stage, error));
    experiment->stage_count++;
    return DC_OK;
}

// A stage that does not stand below 'stages'.
static enum dc_status check_stray_stages(const struct dc_yaml *root, struct dc_error *error)
{
    for (int i = 0; root->kind == DC_YAML_MAPPING && i < root->count; i++) {
        const struct dc_yaml *key = root->keys[i], *body = root->items[i];
        bool known = false;
        for (int f = 0; f < dc__experiment_schema.count; f++)
            known = known || strcmp(key->text, dc__experiment_schema.fields[f].key) == 0;
        if (!known && (dc_yaml_get(body, "model") || dc_yaml_get(body, "from") ||
                       dc_yaml_get(body, "export")))
            return dc_fail_yaml(error, key,
                                "'%s' looks like a stage: it belongs below 'stages', indented",
                                key->text);
    }
    return DC_OK;
}

static enum dc_status read_all(struct dc_experiment *experiment, const char *const *overrides,
                               int count, struct dc_error *error)
{
    const struct dc_decoder decoder = {experiment->arena, NULL, dc__experiment_places};
    const struct dc_yaml *root = NULL;
    DC_TRY(experiment->text
               ? dc_yaml_parse(&root, experiment->text, experiment->path, experiment->arena, error)
               : dc_yaml_read(&root, experiment->path, experiment->arena, error));
    for (int i = 0; i < count; i++)
        DC_TRY(apply_override(root, overrides[i], experiment->arena, error));
    DC_TRY(dc_schema_defaults(&dc__experiment_schema, experiment, &decoder, error));
    DC_TRY(check_stray_stages(root, error));
    DC_TRY(dc_schema_decode(&dc__experiment_schema, experiment, root, "the experiment", true,
                            &decoder, error));
    DC_TRY(check_name(dc_yaml_get(root, "name"), "experiment", experiment->name, error));
    if (!experiment->data.path)
        return dc_fail_yaml(error, root, "the experiment lacks 'data' with a 'path'");
    DC_TRY(dc__check_data_keys(experiment, root, error));
    const struct dc_numbers *seeds = &experiment->seeds;
    const struct dc_yaml *stated = dc_yaml_get(root, "seeds");
    if (seeds->count > 0 && stated->kind == DC_YAML_SCALAR)
        return dc_fail_yaml(error, stated,
                            "seeds are a list, as [1, 2, 3]; a single one is seed: %s",
                            stated->text);
    for (int i = 0; i < seeds->count; i++)
        for (int k = 0; k < i; k++)
            if (seeds->items[i] == seeds->items[k])
                return dc_fail_yaml(error, stated,
                                    "seed %.0f stands here twice: it would be one run",
                                    seeds->items[i]);
    if (experiment->target[0] && !dc_file_exists(experiment->target))
        return dc_search_fail(error, dc_yaml_get(root, "target"), "", DC_SEARCH_TARGET,
                              dc_yaml_get(root, "target")->text, experiment->target);
    DC_TRY(dc_target_read(experiment, error));
    const struct dc_yaml *stages = experiment->stage_list;
    if (stages->kind != DC_YAML_MAPPING || stages->count == 0 || stages->count > DC_STAGES_MAX)
        return dc_fail_yaml(error, stages, "stages must be a mapping of 1 to %d stages",
                            DC_STAGES_MAX);
    for (int i = 0; i < stages->count; i++)
        DC_TRY(read_stage(experiment, stages->keys[i], stages->items[i], error));
    for (int i = 0; i < experiment->stage_count; i++)
        experiment->stages[i].profile = experiment->profile;
    return dc_cascade_check(experiment, dc_yaml_get(root, "cascade"), error);
}

// experiment->path, and of an experiment given as text its copy.
static enum dc_status find_file(struct dc_experiment *experiment, const char *path,
                                const char *text, struct dc_error *error)
{
    char *found = NULL;
    if (text) {
        experiment->path = dc_arena_copy(experiment->arena, path, error);
        experiment->text = dc_arena_copy(experiment->arena, text, error);
        return experiment->path && experiment->text ? DC_OK : DC_ERR_MEMORY;
    }
    DC_TRY(dc_search(&found, DC_SEARCH_EXPERIMENT, path, NULL, experiment->arena, error));
    experiment->path = found;
    return strchr(path, '/') || dc_file_exists(found)
               ? DC_OK
               : dc_search_fail(error, NULL, "", DC_SEARCH_EXPERIMENT, path, found);
}

enum dc_status dc_experiment_parse(struct dc_experiment **out, const char *text, const char *path,
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
        status = find_file(experiment, path, text, error);
        if (status == DC_OK)
            status = read_all(experiment, overrides, override_count, error);
    }
    if (status != DC_OK) {
        dc_arena_free(arena);
        return status;
    }
    *out = experiment;
    return DC_OK;
}

enum dc_status dc_experiment_read(struct dc_experiment **out, const char *path,
                                  const char *const *overrides, int override_count,
                                  struct dc_error *error)
{
    return dc_experiment_parse(out, NULL, path, overrides, override_count, error);
}

void dc_experiment_free(struct dc_experiment *experiment)
{
    if (experiment)
        dc_arena_free(experiment->arena);
}
