// Owns the filling and the verification of soft-target caches ahead of training.

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/folder.h"
#include "core/json.h"
#include "run/report.h"
#include "run/teacher.h"

// Teachers ready to run, without a training around them.
static enum dc_status open_teachers(struct dc_stage_teachers *teachers, struct dc_run *run,
                                    const struct dc_stage *stage, enum dc_cache_opening caches,
                                    struct dc_error *error)
{
    struct dc_stage_network student = {0};
    struct dc_training_graph graph = {0};
    DC_TRY(dc__teachers_open(teachers, run, stage, error));
    const struct dc_terms_sources sources = dc__teachers_sources(teachers, run);
    DC_TRY(dc_stage_network_open(&student, stage, NULL, error));
    enum dc_status status = dc_training_graph_create(&graph, &student, stage, &sources, error);
    if (status == DC_OK)
        status = dc__teachers_prepare(teachers, &graph.terms, NULL, caches, error);
    dc_training_graph_free(&graph);
    dc_stage_network_close(&student);
    return status;
}

static enum dc_status teach_stage(struct dc_teach_report *sum, struct dc_run *run,
                                  const struct dc_stage *stage, bool repair, struct dc_error *error)
{
    struct dc_stage_teachers teachers = {0};
    enum dc_status status = open_teachers(&teachers, run, stage,
                                          repair ? DC_CACHE_REPAIR : DC_CACHE_MAKE, error);
    for (int i = 0; i < teachers.count && status == DC_OK; i++) {
        struct dc_teach_report report;
        if (!teachers.items[i].cache)
            continue;
        struct dc_teach_job job = dc__teach_job(&teachers.items[i]);
        job.repair = repair;
        dc_log(run->ctx, DC_LOG_INFO, "%s: '%s' teaches %s: %lld samples, %lld views each, %.1f MB",
               stage->name, job.teacher->name, dc_cache_folder(job.cache),
               (long long)dc_cache_holds(job.cache)->id_count,
               (long long)(dc_cache_views(job.cache) * job.epochs),
               1e-6 * (double)dc_cache_bytes(job.cache) * (double)job.epochs);
        status = dc_teach(&report, &job, error);
        const bool mended = dc_cache_repaired(teachers.items[i].cache);
        sum->made += report.made + mended;
        sum->found += report.found;
        sum->repaired += report.repaired + mended;
        sum->seconds += report.seconds;
    }
    dc__teachers_close(&teachers);
    return status;
}

enum dc_status dc_run_teach(struct dc_teach_report *report, struct dc_run *run,
                            const struct dc_stage *stage, bool repair, struct dc_error *error)
{
    bool any = false;
    *report = (struct dc_teach_report){0};
    DC_TRY(dc_run_need_train_data(run, error));
    DC_TRY(dc__check_augment(run, error));
    for (int i = 0; i < run->experiment->stage_count; i++) {
        const struct dc_stage *each = &run->experiment->stages[i];
        if ((stage && each != stage) || !each->distills || !each->distill.caches)
            continue;
        any = true;
        if (!each->distill.cache.path[0] && !dc_file_exists(run->directory))
            DC_TRY(dc__begin(run, error));
        DC_TRY(teach_stage(report, run, each, repair, error));
    }
    if (any)
        return DC_OK;
    return dc_fail(error, DC_ERR_USAGE, "%s: %s%s%s has a 'distill' with a 'cache'",
                   run->experiment->path, stage ? "stage '" : "no stage", stage ? stage->name : "",
                   stage ? "' lacks what" : "");
}

bool dc_run_is_cache(const char *folder)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/made_by.json", folder);
    return dc_file_exists(path);
}

static enum dc_status verify_teachers(struct dc_cache_report *report, struct dc_run *run,
                                      const struct dc_stage *stage, const char *folder,
                                      int64_t samples, struct dc_error *error)
{
    struct dc_stage_teachers teachers = {0};
    char here[PATH_MAX], there[PATH_MAX];
    enum dc_status status = open_teachers(&teachers, run, stage, DC_CACHE_FIND, error);
    bool found = false;
    for (int i = 0; i < teachers.count && status == DC_OK && !found; i++) {
        if (!teachers.items[i].cache || !realpath(folder, here) ||
            !realpath(dc_cache_folder(teachers.items[i].cache), there) || strcmp(here, there) != 0)
            continue;
        found = true;
        const struct dc_teach_job job = dc__teach_job(&teachers.items[i]);
        status = dc_cache_verify(report, &job, samples, error);
    }
    if (status == DC_OK && !found)
        status = dc_fail(error, DC_ERR_DATA,
                         "%s: no teacher of stage '%s' has a cache of this name; give the folder "
                         "back the name that it had",
                         folder, stage->name);
    dc__teachers_close(&teachers);
    return status;
}

// Without its last name; false: there is none.
static bool climb(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return false;
    *slash = '\0';
    return true;
}

// Whether a cache lies in a run, wherever that was moved to: RUN/soft-targets/NAME.
static bool lies_in_run(char run[PATH_MAX], const char *folder)
{
    char resolved[PATH_MAX + 32];
    if (!realpath(folder, run) || !climb(run) || !dc_path_ends(run, "/" DC_CACHE_IN_RUN) ||
        !climb(run))
        return false;
    snprintf(resolved, sizeof resolved, "%s/resolved.yaml", run);
    return dc_file_exists(resolved);
}

// A cache is where it is, whatever the experiment that lies in it says: one of several teachers is
// called like its teacher, others lie in soft-targets/, of a run or a sweep.
static enum dc_status name_folder(struct dc_run *run, struct dc_stage *stage, const char *folder,
                                  struct dc_error *error)
{
    char whole[PATH_MAX];
    struct dc_distill_spec *distill = &stage->distill;
    if (!realpath(folder, whole))
        return dc_fail(error, DC_ERR_IO, "%s: cannot be found", folder);
    if ((!distill->cache.path[0] || distill->teachers.count > 1) && !climb(whole))
        return dc_fail(error, DC_ERR_USAGE, "%s is no soft-target cache", folder);
    const char *named = dc_arena_copy(run->arena, whole, error);
    if (!named)
        return DC_ERR_MEMORY;
    *(distill->cache.path[0] ? &distill->cache.path : &run->caches) = named;
    return DC_OK;
}

static enum dc_status open_maker(struct dc_run **run, struct dc_stage **stage, const char *folder,
                                 const struct dc_run_options *options, const json_t *made_by,
                                 struct dc_error *error)
{
    char own[PATH_MAX], experiment[PATH_MAX + 32];
    struct dc_run_options how = *options;
    const char *name = json_string_value(json_object_get(made_by, "stage"));
    const char *directory = json_string_value(json_object_get(made_by, "run"));
    if (!name || !directory)
        return dc_fail(error, DC_ERR_DATA,
                       "%s/made_by.json: damaged; decant teach --repair writes it anew", folder);
    snprintf(experiment, sizeof experiment, "%s/experiment.yaml", folder);
    how.experiment = experiment;
    how.directory = options->directory         ? options->directory
                    : lies_in_run(own, folder) ? own
                                               : directory;
    DC_TRY(dc_run_open(run, &how, error));
    *stage = dc_experiment_stage((*run)->experiment, name);
    if (!*stage)
        return dc_fail(error, DC_ERR_DATA, "%s has no stage '%s'", experiment, name);
    return name_folder(*run, *stage, folder, error);
}

enum dc_status dc_run_verify_cache(struct dc_cache_report *report, const char *folder,
                                   const struct dc_run_options *options, int64_t samples,
                                   struct dc_error *error)
{
    char path[PATH_MAX];
    json_error_t problem;
    struct dc_run *run = NULL;
    struct dc_stage *stage = NULL;
    snprintf(path, sizeof path, "%s/made_by.json", folder);
    json_t *made_by = dc_json_read(path, &problem);
    enum dc_status status = open_maker(&run, &stage, folder, options, made_by, error);
    if (status == DC_OK)
        status = dc_run_need_train_data(run, error);
    if (status == DC_OK)
        status = verify_teachers(report, run, stage, folder, samples, error);
    if (status != DC_OK && run && !dc_file_exists(run->directory))
        status = dc_context(status, error, "%s was made by the run %s; say with --run where it is",
                            folder, run->directory);
    dc_run_close(run);
    json_decref(made_by);
    return status;
}
