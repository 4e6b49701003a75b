// `decant run` and `decant train`: stages of an experiment, and the table of results.

#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/progress.h"
#include "report/write.h"
#include "run/cascade.h"
#include "run/report.h"
#include "run/run.h"

struct run {
    struct dc_cli cli;
    struct dc_settings set;
    const char *run;
    struct dc_job job;
};

static const struct dc_option options[] = {
    DC_OPTION_SET(run),
    DC_OPTION_RUN(run, "run directory; else runs/NAME, by the experiment's name"),
    DC_OPTION_JOB(run),
    DC_OPTION_THREADS(run),
    DC_OPTION_JSON(run),
    DC_OPTION_QUIET(run),
};

static void log_line(void *user, enum dc_log_level level, const char *line)
{
    struct dc_progress_view *view = user;
    dc_progress_clear(view);
    if (level != DC_LOG_DEBUG && !view->quiet)
        fprintf(stderr, "%s%s\n", level == DC_LOG_WARNING ? "warning: " : "", line);
}

struct dc_run_options dc_cli_run_options(const struct dc_cli *cli, const struct dc_settings *set,
                                         const char *directory, const struct dc_job *job,
                                         struct dc_progress_view *view)
{
    struct dc_run_options how = {
        .experiment = cli->positionals[0],
        .overrides = set ? set->items : NULL,
        .override_count = set ? set->count : 0,
        .directory = directory,
        .command = cli->command,
        .context = dc_cli_context(cli),
        .hooks = {view, dc_progress_show, dc_progress_stage, dc_progress_teach},
    };
    how.context.stop = dc_cli_stop();
    how.strict = job && job->strict;
    how.break_lock = job && job->break_lock;
    if (job && job->signal)
        dc_cli_stop_by(job->signal);
    how.context.log = (struct dc_log_sink){log_line, view};
    return how;
}

static enum dc_status open_run(struct dc_run **run, const struct dc_cli *cli,
                               struct dc_progress_view *view, struct dc_error *error)
{
    const struct run *own = (const struct run *)cli;
    const struct dc_run_options how = dc_cli_run_options(cli, &own->set, own->run, &own->job, view);
    return dc_run_open(run, &how, error);
}

static void print_verification(const struct dc_run *run)
{
    for (int i = 0; i < run->experiment->stage_count; i++) {
        const struct dc_stage *stage = &run->experiment->stages[i];
        const json_t *done = json_object_get(json_object_get(run->results, "stages"), stage->name);
        const json_t *proof = json_object_get(done, "verification");
        if (!proof)
            continue;
        printf("\n%s: the compiled C equals the engine on %lld test samples (%lld bytes)\n"
               "  profile %s, %s/bundle/%s\n",
               stage->name, (long long)json_integer_value(json_object_get(proof, "samples")),
               (long long)json_integer_value(json_object_get(proof, "bytes")),
               run->experiment->profile, run->directory, stage->name);
        struct dc_text_buffer cascade = {0};
        dc_cascade_text(&cascade, done);
        if (cascade.length > 0 && !cascade.failed)
            printf("  %s\n", cascade.text);
        dc_text_free(&cascade);
    }
}

static enum dc_status print_results(const struct dc_run *run, bool json, struct dc_error *error)
{
    if (json)
        return dc_cli_print_json(json_incref(run->results), error);
    struct dc_text_buffer text = {0};
    const bool sweep = run->experiment->seeds.count > 0;
    (sweep ? dc_sweep_table : dc_report_table)(&text, run->experiment, run->results);
    DC_TRY(dc_cli_print_text(&text, error));
    if (!sweep)
        print_verification(run);
    return DC_OK;
}

// What the run gave is said before: making the page takes seconds, and may fail by itself.
static enum dc_status report(struct dc_run *run, bool json, struct dc_error *error)
{
    if (fflush(stdout) != 0)
        return dc_fail(error, DC_ERR_IO, "stdout cannot be written");
    if (!dc_report_is_current(run))
        DC_TRY_IN(dc_write_report(run, error), error, "all stages are done, the report is not");
    if (!json)
        printf("\nreport: %s/report.html\n", run->directory);
    return DC_OK;
}

// Of a sweep: a page a seed.
static enum dc_status report_all(struct dc_run *run, const struct dc_cli *cli,
                                 struct dc_error *error)
{
    const struct dc_numbers *seeds = &run->experiment->seeds;
    if (seeds->count == 0)
        return report(run, cli->json, error);
    enum dc_status status = DC_OK;
    for (int i = 0; status == DC_OK && i < seeds->count; i++) {
        struct dc_run *one = NULL;
        char directory[4096];
        snprintf(directory, sizeof directory, "%s/seed-%.0f", run->directory, seeds->items[i]);
        DC_TRY(dc_cli_open_run(&one, cli, directory, error));
        status = report(one, cli->json, error);
        dc_run_close(one);
    }
    return status;
}

static enum dc_status run(const struct dc_cli *cli, struct dc_error *error)
{
    struct dc_progress_view view = dc_progress_start(cli->quiet);
    const struct run *own = (const struct run *)cli;
    struct dc_run_options how = dc_cli_run_options(cli, &own->set, own->run, &own->job, &view);
    struct dc_run *run = NULL;
    how.sweeps = true;
    DC_TRY(dc_run_open(&run, &how, error));
    enum dc_status status = run->experiment->seeds.count > 0 ? dc_run_sweep(run, &how, error)
                                                             : dc_run_all(run, error);
    dc_progress_clear(&view);
    if (status == DC_OK)
        status = print_results(run, cli->json, error);
    if (status == DC_OK)
        status = report_all(run, cli, error);
    dc_run_close(run);
    return status;
}

static enum dc_status train(const struct dc_cli *cli, struct dc_error *error)
{
    struct dc_progress_view view = dc_progress_start(cli->quiet);
    struct dc_run *run = NULL;
    DC_TRY(open_run(&run, cli, &view, error));
    struct dc_stage *stage = NULL;
    enum dc_status status = dc_want_stage(&stage, run->experiment, cli->positionals[0],
                                          cli->positionals[1], error);
    if (status == DC_OK && !dc_run_stage_done(run, stage))
        status = dc_run_stage(run, stage, error);
    dc_progress_clear(&view);
    if (status == DC_OK)
        status = print_results(run, cli->json, error);
    dc_run_close(run);
    return status;
}

const struct dc_verb dc_verb_run = {
    .name = "run",
    .arguments = "EXPERIMENT",
    .brief = "carry out all stages of an experiment, skipping those done",
    .text =
        "Prints one table: network, parameters, MACs, bytes, test accuracy in float and as int8 "
        "by the integer engine, seconds of training; and writes RUN/report.html. An interrupted "
        "run goes on where it was when it is started again. An experiment with seeds: [1, 2, 3] is "
        "carried out once for each, in RUN/seed-N; the table has means and standard errors.",
    DC_VERB_OPTIONS(options, run),
    .positionals_min = 1,
    .positionals_max = 1,
    .run = run,
};

const struct dc_verb dc_verb_train = {
    .name = "train",
    .arguments = "EXPERIMENT STAGE",
    .brief = "carry out one stage; the stages it builds on must be done",
    DC_VERB_OPTIONS(options, run),
    .positionals_min = 2,
    .positionals_max = 2,
    .run = train,
};
