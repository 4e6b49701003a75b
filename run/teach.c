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
                                    const struct dc_stage *stage, bool make, struct dc_error *error)
{
    struct dc_stage_network student = {0};
    struct dc_training_graph graph = {0};
    DC_TRY(dc__teachers_open(teachers, run, stage, error));
    const struct dc_terms_sources sources = dc__teachers_sources(teachers, run);
    DC_TRY(dc_stage_network_open(&student, stage, NULL, error));
    enum dc_status status = dc_training_graph_create(&graph, &student, stage, &sources, error);
    if (status == DC_OK)
        status = dc__teachers_prepare(teachers, &graph.terms, NULL, make, error);
    dc_training_graph_free(&graph);
    dc_stage_network_close(&student);
    return status;
}

static enum dc_status teach_stage(struct dc_teach_report *sum, struct dc_run *run,
                                  const struct dc_stage *stage, bool repair, struct dc_error *error)
{
    struct dc_stage_teachers teachers = {0};
    enum dc_status status = open_teachers(&teachers, run, stage, true, error);
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
        sum->made += report.made;
        sum->found += report.found;
        sum->repaired += report.repaired;
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
    enum dc_status status = open_teachers(&teachers, run, stage, false, error);
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
        status = dc_fail(error, DC_ERR_DATA, "%s was moved: its experiment names %s", folder,
                         stage->distill.cache.path[0] ? stage->distill.cache.path
                                                      : DC_CACHE_IN_RUN " in its run");
    dc__teachers_close(&teachers);
    return status;
}

enum dc_status dc_run_verify_cache(struct dc_cache_report *report, const char *folder,
                                   const struct dc_run_options *options, int64_t samples,
                                   struct dc_error *error)
{
    char path[PATH_MAX], experiment[PATH_MAX + 32];
    json_error_t problem;
    snprintf(path, sizeof path, "%s/made_by.json", folder);
    snprintf(experiment, sizeof experiment, "%s/experiment.yaml", folder);
    json_t *made_by = dc_json_read(path, &problem);
    const char *name = json_string_value(json_object_get(made_by, "stage"));
    const char *directory = json_string_value(json_object_get(made_by, "run"));
    struct dc_run *run = NULL;
    enum dc_status status = DC_OK;
    if (!name || !directory)
        status = dc_fail(error, DC_ERR_DATA,
                         "%s: damaged; decant teach writes it anew once it is "
                         "removed",
                         path);
    if (status == DC_OK) {
        struct dc_run_options own = *options;
        own.experiment = experiment;
        own.directory = options->directory ? options->directory : directory;
        status = dc_run_open(&run, &own, error);
    }
    const struct dc_stage *stage = run ? dc_experiment_stage(run->experiment, name) : NULL;
    if (status == DC_OK && !stage)
        status = dc_fail(error, DC_ERR_DATA, "%s has no stage '%s'", experiment, name);
    if (status == DC_OK)
        status = dc_run_need_train_data(run, error);
    if (status == DC_OK)
        status = verify_teachers(report, run, stage, folder, samples, error);
    dc_run_close(run);
    json_decref(made_by);
    return status;
}
