// Owns the record of what a network was made of.

#include "run/lineage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/random.h"
#include "run/network.h"
#include "run/run_internal.h"

struct lineage {
    struct dc_run *run;
    bool wanted[DC_STAGES_MAX];
    json_t *stages, *files;
};

static json_t *hash_json(uint64_t hash)
{
    return json_sprintf("%016" PRIx64, hash);
}

// What a stage starts from: a stage's or a file's name, "" where it draws its weights.
static const char *start_of(const struct dc_stage *stage)
{
    return stage->trains && stage->train.init_from[0] ? stage->train.init_from
           : stage->weights[0]                        ? stage->weights
                                                      : stage->from;
}

static int index_of(const struct dc_experiment *experiment, const struct dc_stage *stage)
{
    return (int)(stage - experiment->stages);
}

// Marks a stage and all that it stands on. Stages name only those before them.
static void want(struct lineage *l, const struct dc_stage *stage)
{
    struct dc_experiment *experiment = l->run->experiment;
    const char *names[DC_TEACHERS_MAX + 1];
    double weights[DC_TEACHERS_MAX];
    const int i = index_of(experiment, stage);
    int count = stage->distills ? dc_stage_teachers(names, weights, stage) : 0;
    if (l->wanted[i])
        return;
    l->wanted[i] = true;
    names[count++] = start_of(stage);
    for (int k = 0; k < count; k++) {
        const struct dc_stage *other = dc_experiment_stage(experiment, names[k]);
        if (other && index_of(experiment, other) < i)
            want(l, other);
    }
}

// The name as the record has it: of a stage its own, of a file its last part, which is then listed.
static enum dc_status refer(json_t **name, struct lineage *l, const char *given,
                            struct dc_error *error)
{
    uint64_t hash = DC_HASH_START;
    const char *slash = strrchr(given, '/');
    *name = json_string(slash ? slash + 1 : given);
    if (!given[0] || !strcmp(given, DC_TEACHER_AVERAGE) ||
        dc_experiment_stage(l->run->experiment, given))
        return DC_OK;
    DC_TRY(dc_file_hash(&hash, given, error));
    json_array_append_new(l->files,
                          json_pack("{s:O, s:o}", "name", *name, "hash", hash_json(hash)));
    return DC_OK;
}

static enum dc_status hash_network(uint64_t *hash, struct dc_run *run, const struct dc_stage *stage,
                                   const struct dc_stage *reader, struct dc_error *error)
{
    struct dc_stage_network network = {0};
    const char *path = NULL;
    DC_TRY(dc__stage_weights(&path, run, stage, reader, error));
    DC_TRY(dc_stage_network_open(&network, stage, path, error));
    *hash = DC_HASH_START;
    for (int i = 0; i < network.params->count; i++) {
        const struct dc_slice *slice = &network.params->slices[i];
        *hash = dc_hash_bytes(*hash, slice->name, strlen(slice->name) + 1);
        *hash = dc_hash_bytes(*hash, network.params->value + slice->offset,
                              sizeof(float) * (uint64_t)slice->count);
    }
    dc_stage_network_close(&network);
    return DC_OK;
}

static enum dc_status add_stage(struct lineage *l, const struct dc_stage *stage,
                                const struct dc_stage *reader, struct dc_error *error)
{
    const char *names[DC_TEACHERS_MAX];
    double weights[DC_TEACHERS_MAX];
    uint64_t settings = 0, network = 0;
    json_t *name = NULL, *teachers = json_array();
    json_t *record = json_pack("{s:s, s:o}", "name", stage->name, "teachers", teachers);
    json_array_append_new(l->stages, record);
    const int count = stage->distills ? dc_stage_teachers(names, weights, stage) : 0;
    for (int i = 0; i < count; i++) {
        DC_TRY(refer(&name, l, names[i], error));
        json_array_append_new(teachers, name);
    }
    DC_TRY(refer(&name, l, start_of(stage), error));
    json_object_set_new(record, "starts_from", name);
    DC_TRY(dc_stage_hash(&settings, l->run->experiment, stage, error));
    DC_TRY(hash_network(&network, l->run, stage, reader, error));
    json_object_set_new(record, "settings", hash_json(settings));
    json_object_set_new(record, "weights", hash_json(network));
    return DC_OK;
}

enum dc_status dc_run_lineage(const char **text, struct dc_run *run, const struct dc_stage *from,
                              struct dc_error *error)
{
    struct lineage l = {.run = run, .stages = json_array(), .files = json_array()};
    const struct dc_experiment *experiment = run->experiment;
    json_t *root = json_pack("{s:s, s:o, s:o, s:o}", "hash", "FNV-1a, 64 bits", "train_data",
                             hash_json(run->train_source->hash), "stages", l.stages, "files",
                             l.files);
    enum dc_status status = root ? DC_OK : dc_fail(error, DC_ERR_MEMORY, "out of memory");
    want(&l, from);
    for (int i = 0; status == DC_OK && i < experiment->stage_count; i++)
        if (l.wanted[i])
            status = add_stage(&l, &experiment->stages[i], from, error);
    char *dump = status == DC_OK ? json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    *text = dump ? dc_arena_copy(run->arena, dump, error) : NULL;
    free(dump);
    json_decref(root);
    return status != DC_OK ? status : *text ? DC_OK : DC_ERR_MEMORY;
}
