// Owns one task of a sweep: what it takes over from others, what it does, and its result file.

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/json.h"
#include "distill/teach.h"
#include "run/log.h"
#include "run/report.h"
#include "run/run_internal.h"
#include "run/sweep_file.h"

static const char *result_path(const struct dc_sweep *s, int task, struct dc_error *error)
{
    return dc_arena_printf(s->arena, error, "%s/results/%d.json", s->directory, task);
}

bool dc_sweep_task_done(const struct dc_sweep *s, int task)
{
    const char *path = result_path(s, task, NULL);
    return path && dc_file_exists(path);
}

bool dc_sweep_shares(const struct dc_sweep *s, int task)
{
    bool shares = false;
    for (int i = 0; i < DC_STAGES_MAX; i++)
        shares = shares || s->donors[task * DC_STAGES_MAX + i] == task;
    return shares;
}

// The weights are linked, or copied where that cannot be; they are never changed in place.
static enum dc_status take_weights(struct dc_run *run, const struct dc_stage *stage,
                                   const char *donor, struct dc_error *error)
{
    char *bytes = NULL;
    size_t size = 0;
    const char *folder = dc_arena_printf(run->arena, error, "%s/checkpoints/%s", run->directory,
                                         stage->name);
    const char *to = dc_run_weights_path(run, stage, error);
    if (!folder || !to)
        return DC_ERR_MEMORY;
    DC_TRY(dc_make_directory(folder, error));
    if (link(donor, to) == 0 || errno == EEXIST)
        return DC_OK;
    DC_TRY(dc_file_read(&bytes, &size, donor, run->arena, error));
    return dc_file_write(to, bytes, size, error);
}

// A stage as the donor has done it, with what its results say; nothing where it has not.
static enum dc_status take_over(struct dc_run *run, const struct dc_stage *stage,
                                const char *directory, struct dc_error *error)
{
    json_error_t ignored;
    char hash[32];
    uint64_t own = 0;
    const char *results = dc_arena_printf(run->arena, error, "%s/results.json", directory);
    const char *weights = dc_arena_printf(run->arena, error, "%s/checkpoints/%s/final.h5",
                                          directory, stage->name);
    if (!results || !weights)
        return DC_ERR_MEMORY;
    DC_TRY(dc_stage_hash(&own, run->experiment, stage, error));
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)own);
    json_t *all = dc_json_read(results, &ignored);
    json_t *done = json_object_get(json_object_get(all, "stages"), stage->name);
    const char *theirs = json_string_value(json_object_get(done, "config_hash"));
    enum dc_status status = DC_OK;
    if (theirs && strcmp(theirs, hash) == 0 && dc_file_exists(weights)) {
        status = take_weights(run, stage, weights, error);
        if (status == DC_OK) {
            json_object_set(json_object_get(run->results, "stages"), stage->name, done);
            status = dc__write_results(run, error);
            dc__log_stage(run, stage, "taken over from another task of the sweep");
        }
    }
    json_decref(all);
    return status;
}

static enum dc_status take_over_all(struct dc_run *run, const struct dc_sweep *s, int task,
                                    struct dc_error *error)
{
    for (int i = 0; i < run->experiment->stage_count; i++) {
        const int donor = s->donors[task * DC_STAGES_MAX + i];
        const struct dc_stage *stage = &run->experiment->stages[i];
        const char *directory = dc_arena_printf(run->arena, error, "%s/tasks/%d", s->directory,
                                                donor);
        if (!directory)
            return DC_ERR_MEMORY;
        if (donor >= 0 && donor != task && !dc_run_stage_done(run, stage))
            DC_TRY(take_over(run, stage, directory, error));
    }
    return DC_OK;
}

// Soft targets of the stages whose teachers are done.
static enum dc_status teach(struct dc_run *run, struct dc_error *error)
{
    for (int i = 0; i < run->experiment->stage_count; i++) {
        const struct dc_stage *stage = &run->experiment->stages[i];
        const char *names[DC_TEACHERS_MAX];
        double weights[DC_TEACHERS_MAX];
        struct dc_teach_report report;
        bool ready = stage->distills && stage->distill.caches;
        const int count = ready ? dc_stage_teachers(names, weights, stage) : 0;
        for (int t = 0; t < count; t++) {
            const struct dc_stage *teacher = dc_experiment_stage(run->experiment, names[t]);
            ready = ready && (!teacher || dc_run_stage_done(run, teacher));
        }
        if (ready)
            DC_TRY(dc_run_teach(&report, run, stage, false, error));
    }
    return DC_OK;
}

static enum dc_status carry_out(struct dc_run *run, const struct dc_sweep *s, int task, bool shared,
                                struct dc_error *error)
{
    DC_TRY(dc__begin(run, error));
    DC_TRY(take_over_all(run, s, task, error));
    if (!shared)
        return dc_run_all(run, error);
    for (int i = 0; i < run->experiment->stage_count; i++) {
        struct dc_stage *stage = &run->experiment->stages[i];
        if (s->donors[task * DC_STAGES_MAX + i] == task && !dc_run_stage_done(run, stage))
            DC_TRY(dc_run_stage(run, stage, error));
    }
    return teach(run, error);
}

static enum dc_status write_result(const struct dc_run *run, const struct dc_sweep *s, int task,
                                   double seconds, struct dc_error *error)
{
    const char *path = result_path(s, task, error);
    const char *folder = dc_arena_printf(s->arena, error, "%s/results", s->directory);
    if (!path || !folder)
        return DC_ERR_MEMORY;
    json_t *settings = json_object();
    for (int a = 0; a < s->axis_count; a++)
        json_object_set_new(settings, s->keys[a],
                            json_string(strchr(s->tasks[task].overrides[a], '=') + 1));
    json_t *result = json_pack("{s:i, s:o, s:s, s:f, s:O}", "task", task, "settings", settings,
                               "version", DECANT_VERSION, "seconds", seconds, "stages",
                               json_object_get(run->results, "stages"));
    enum dc_status status = result ? dc_make_directory(folder, error)
                                   : dc_fail(error, DC_ERR_MEMORY, "out of memory");
    if (status == DC_OK)
        status = dc_report_write(path, result, error);
    json_decref(result);
    return status;
}

enum dc_status dc_sweep_run_task(const struct dc_sweep *s, int task, bool shared,
                                 const struct dc_run_options *how, struct dc_error *error)
{
    const double started = dc_seconds();
    struct dc_run_options own = *how;
    struct dc_run *run = NULL;
    own.experiment = s->experiment;
    own.overrides = s->tasks[task].overrides;
    own.override_count = s->axis_count;
    own.of_sweep = task > 0;
    own.directory = dc_arena_printf(s->arena, error, "%s/tasks/%d", s->directory, task);
    own.caches = dc_arena_printf(s->arena, error, "%s/soft-targets", s->directory);
    if (!own.directory || !own.caches)
        return DC_ERR_MEMORY;
    DC_TRY(dc_run_open(&run, &own, error));
    enum dc_status status = carry_out(run, s, task, shared, error);
    if (status == DC_OK && !shared)
        status = write_result(run, s, task, dc_seconds() - started, error);
    dc_run_close(run);
    return status;
}
