// Owns runs of libdecant.

#include <stdlib.h>
#include <string.h>

#include "export/verify.h"
#include "library/internal.h"
#include "report/write.h"
#include "run/predict.h"

static void show_progress(void *user, const struct dc_progress *p)
{
    const decant_context *context = user;
    if (!context->progress)
        return;
    const decant_progress progress = {.stage = p->stage,
                                      .epoch = p->epoch,
                                      .epochs = p->epochs,
                                      .step = p->step,
                                      .steps = p->steps,
                                      .loss = p->loss,
                                      .accuracy = p->accuracy,
                                      .seconds_left = p->seconds_left,
                                      .epoch_done = p->epoch_done};
    context->progress(context->progress_user, &progress);
}

static decant_code open_run(decant_run **out, decant_context *context,
                            const decant_experiment *experiment, const char *directory,
                            decant_error *error)
{
    decant_error ignored;
    struct dc_error own = {0};
    decant_run *run = dc_alloc(sizeof *run, &own);
    *out = NULL;
    enum dc_status status = run ? DC_OK : DC_ERR_MEMORY;
    if (run)
        run->options = (struct dc_run_options){
            .directory = directory,
            .context = dc__context_config(context),
            .hooks = {.user = context, .progress = show_progress},
            .sweeps = true,
        };
    if (run && experiment) {  // a copy: the caller's may be freed before the run
        if (decant_experiment_parse(&run->experiment, experiment->text, experiment->file,
                                    (const char *const *)experiment->settings, experiment->count,
                                    error ? error : &ignored) != DECANT_OK) {
            free(run);
            return error ? error->code : ignored.code;
        }
        run->options.experiment = run->experiment->file;
        run->options.text = run->experiment->text;
        run->options.overrides = (const char *const *)run->experiment->settings;
        run->options.override_count = run->experiment->count;
    }
    if (status == DC_OK)
        status = dc_run_open(&run->run, &run->options, &own);
    if (status == DC_OK)
        run->options.directory = run->run->directory;
    if (status == DC_OK)
        *out = run;
    else
        decant_run_close(run);
    return dc__give_error(error, status, &own);
}

decant_code decant_run_open(decant_run **run, decant_context *context,
                            const decant_experiment *experiment, const char *directory,
                            decant_error *error)
{
    *run = NULL;
    if (!experiment)
        return dc__refuse(error,
                          "there is no experiment to run; decant_run_load takes a directory");
    return open_run(run, context, experiment, directory, error);
}

decant_code decant_run_load(decant_run **run, decant_context *context, const char *directory,
                            decant_error *error)
{
    *run = NULL;
    if (!directory)
        return dc__refuse(error, "there is no directory to load");
    return open_run(run, context, NULL, directory, error);
}

void decant_run_close(decant_run *run)
{
    if (!run)
        return;
    dc_run_close(run->run);
    decant_experiment_free(run->experiment);
    free(run);
}

const char *decant_run_directory(const decant_run *run)
{
    return run->run->directory;
}

static bool is_loaded(const decant_run *run)
{
    return !run->experiment;
}

decant_code decant_run_all(decant_run *run, decant_error *error)
{
    struct dc_error own = {0};
    if (is_loaded(run))
        return dc__refuse(error, "a run that was loaded is not carried out: open its experiment");
    const bool sweep = run->run->experiment->seeds.count > 0;
    return dc__give_error(
        error, sweep ? dc_run_sweep(run->run, &run->options, &own) : dc_run_all(run->run, &own),
        &own);
}

decant_code decant_run_stage(decant_run *run, const char *name, decant_error *error)
{
    struct dc_error own = {0};
    struct dc_stage *stage = NULL;
    if (is_loaded(run))
        return dc__refuse(error, "a run that was loaded is not carried out: open its experiment");
    if (run->run->experiment->seeds.count > 0)
        return dc__refuse(error, "an experiment with seeds is carried out as a whole");
    enum dc_status status = dc_want_stage(&stage, run->run->experiment, run->run->directory,
                                          name ? name : "", &own);
    if (status == DC_OK && !dc_run_stage_done(run->run, stage))
        status = dc_run_stage(run->run, stage, &own);
    return dc__give_error(error, status, &own);
}

int decant_run_stage_done(decant_run *run, const char *name)
{
    const struct dc_stage *stage = dc_experiment_stage(run->run->experiment, name ? name : "");
    return stage && dc_run_stage_done(run->run, stage);
}

decant_code decant_run_results(const decant_run *run, char **json, decant_error *error)
{
    struct dc_error own = {0};
    return dc__give_error(error, dc__give_json(json, json_incref(run->run->results), &own), &own);
}

decant_code decant_run_evaluate(decant_run *run, const char *stage, const char *split, char **json,
                                decant_error *error)
{
    const struct dc_predict_options options = {.stage = stage, .split = split ? split : "test"};
    struct dc_prediction prediction = {0};
    struct dc_error own = {0};
    *json = NULL;
    if (strcmp(options.split, "test") != 0 && strcmp(options.split, "train") != 0)
        return dc__refuse(error, "the parts of a run's data are \"test\" and \"train\"");
    enum dc_status status = dc_run_predict(&prediction, run->run, &options, &own);
    json_t *scores = NULL;
    if (status == DC_OK)
        status = dc_prediction_scores(&scores, &prediction, &own);
    if (status == DC_OK)
        status = dc__give_json(json, scores, &own);
    return dc__give_error(error, status, &own);
}

decant_code decant_run_export(decant_run *run, const char *stage, const char *path, char **json,
                              decant_error *error)
{
    struct dc_error own = {0};
    if (json)
        *json = NULL;
    if (!stage || !path || !stage[0] || !path[0])
        return dc__refuse(error, "an export needs a stage and a path");
    json_t *result = json_object();
    enum dc_status status = dc_run_export_to(result, run->run, stage, NULL, path, NULL, &own);
    if (status == DC_OK)
        status = dc__give_json(json, json_incref(result), &own);
    json_decref(result);
    return dc__give_error(error, status, &own);
}

decant_code decant_run_verify(decant_run *run, const char *bundle, int64_t limit, char **json,
                              decant_error *error)
{
    struct dc_verify_report report = {0};
    struct dc_error own = {0};
    if (json)
        *json = NULL;
    if (!bundle || limit < 0)
        return dc__refuse(error, "a proof needs a bundle, and a limit of 0 or more samples");
    enum dc_status status = dc_run_verify(&report, run->run, bundle, limit, NULL, &own);
    if (status == DC_OK)
        status = dc__give_json(json, dc_verify_json(&report), &own);
    return dc__give_error(error, status, &own);
}

decant_code decant_run_report(decant_run *run, decant_error *error)
{
    struct dc_error own = {0};
    if (run->run->experiment->seeds.count > 0)
        return dc__refuse(error, "an experiment with seeds has a report a seed: load its runs");
    return dc__give_error(error, dc_write_report(run->run, &own), &own);
}
