// Owns the record of what made a soft-target cache, beside its shards.

#include <jansson.h>

#include "core/file.h"
#include "core/folder.h"
#include "core/json.h"
#include "run/report.h"
#include "run/teacher.h"

static char *beside(struct dc_arena *arena, const char *folder, const char *name,
                    struct dc_error *error)
{
    return dc_arena_printf(arena, error, "%s/%s", folder, name);
}

// Whether a record is to stay: it names a run that is there. A damaged one is for --repair alone.
static bool stays(const char *path, bool repair)
{
    json_error_t problem;
    json_t *object = dc_file_exists(path) ? dc_json_read(path, &problem) : NULL;
    const char *run = json_string_value(json_object_get(object, "run"));
    const bool whole = run && json_object_get(object, "stage");
    const bool kept = whole ? dc_file_exists(run) : dc_file_exists(path) && !repair;
    json_decref(object);
    return kept;
}

enum dc_status dc__cache_record(const struct dc_stage_teacher *teacher, bool repair,
                                struct dc_error *error)
{
    const struct dc_run *run = teacher->run;
    const char *folder = dc_cache_folder(teacher->cache);
    char *experiment = beside(run->arena, folder, "experiment.yaml", error), *directory = NULL;
    char *made_by = beside(run->arena, folder, "made_by.json", error);
    if (!experiment || !made_by)
        return DC_ERR_MEMORY;
    if (stays(made_by, repair))
        return DC_OK;
    dc_sweep_files(experiment);
    dc_sweep_files(made_by);
    DC_TRY(dc_path_absolute(&directory, run->directory, NULL, run->arena, error));
    struct dc_text_buffer text = {0};
    dc_experiment_write(&text, run->experiment);
    enum dc_status status = text.failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory")
                                        : dc_file_write(experiment, text.text, text.length, error);
    dc_text_free(&text);
    DC_TRY(status);
    json_t *object = json_pack("{s:s, s:s}", "stage", teacher->stage->name, "run", directory);
    status = object ? dc_report_write(made_by, object, error)
                    : dc_fail(error, DC_ERR_MEMORY, "out of memory");
    json_decref(object);
    return status;
}
