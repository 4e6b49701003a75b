// Owns the record of an experiment: the resolved file, and the hash of what shapes a stage.

#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "core/random.h"
#include "distill/cache.h"
#include "run/cascade.h"
#include "run/experiment_schema.h"

// An inherited stage is written with all it inherited; `from` stays, for its weights.
static void write_keys(struct dc_text_buffer *out, const struct dc_stage *stage, int indent)
{
    struct dc_stage stated = *stage;
    stated.quantizes = stage->quantizes && !stage->integers;  // the file says it
    dc_schema_write(&dc__stage_schema, out, &stated, indent);
}

static void write_stage(struct dc_text_buffer *out, const struct dc_stage *stage)
{
    dc_text_append(out, "  %s:\n", stage->name);
    write_keys(out, stage, 4);
}

void dc_experiment_write(struct dc_text_buffer *out, const struct dc_experiment *experiment)
{
    dc_schema_write(&dc__experiment_schema, out, experiment, 0);
    if (out->length > 0 && !out->failed && out->text[out->length - 1] != '\n')
        dc_text_append(out, "\n");
    for (int i = 0; i < experiment->stage_count; i++)
        write_stage(out, &experiment->stages[i]);
}

enum dc_status dc_stage_settings(json_t **settings, const struct dc_experiment *experiment,
                                 const struct dc_stage *stage, struct dc_error *error)
{
    struct dc_text_buffer text = {0};
    struct dc_stage resolved = *stage;
    struct dc_arena *arena = NULL;
    const struct dc_yaml *root = NULL;
    *settings = NULL;
    resolved.seed = stage->seed >= 0 ? stage->seed : experiment->seed;
    write_keys(&text, &resolved, 0);
    enum dc_status status = text.failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory")
                                        : dc_arena_create(&arena, error);
    if (status == DC_OK)
        status = dc_yaml_parse(&root, text.text, "settings", arena, error);
    if (status == DC_OK && !(*settings = dc_json_of_yaml(root)))
        status = dc_fail(error, DC_ERR_MEMORY, "out of memory");
    dc_arena_free(arena);
    dc_text_free(&text);
    return status;
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
    for (int i = 0; i < distill->peers.count; i++)
        distill->peers.items[i] = "file";
    cache->path = "";
    cache->fill = true;
    cache->block = 1;
}

enum dc_status dc_stage_hash(uint64_t *hash, struct dc_experiment *experiment,
                             const struct dc_stage *stage, struct dc_error *error)
{
    struct dc_text_buffer text = {.hashed = true};
    struct dc_experiment head = *experiment;
    struct dc_stage body = *stage;
    head.name = "";  // a name and the loader's depth shape nothing; of files, the content does
    head.target = body.model = body.weights = body.weights_names = "";
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
    const struct dc_stage *sure = stage->exports ? dc_cascade_teacher(experiment) : NULL;
    if (sure)
        dc_text_append(&text, "cascade: %.17g\n", experiment->cascade.accuracy);
    enum dc_status status = text.failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory") : DC_OK;
    uint64_t sum = status ? 0 : dc_hash_bytes(DC_HASH_START, text.text, text.length);
    dc_text_free(&text);
    // Files by their content, stages by their hash.
    const struct dc_texts none = {0}, *peers = stage->distills ? &stage->distill.peers : &none;
    const char *others[7 + 2 * DC_TEACHERS_MAX] = {stage->model,
                                                   stage->weights,
                                                   stage->weights_names,
                                                   stage->from,
                                                   stage->exports ? stage->export.stage : "",
                                                   stage->trains ? stage->train.init_from : ""};
    int count = 6;
    for (int i = 0; i < teacher_count; i++)
        others[count++] = strcmp(teachers[i], DC_TEACHER_AVERAGE) ? teachers[i] : "";
    for (int i = 0; i < peers->count; i++)
        others[count++] = peers->items[i];
    others[count++] = sure ? sure->name : "";
    for (int i = 0; i < count && status == DC_OK; i++) {
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
