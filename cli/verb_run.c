// `decant run` and `decant train`: stages of an experiment, and the table of results.

#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/progress.h"
#include "report/write.h"
#include "run/cascade.h"
#include "run/report.h"
#include "run/run.h"

static void log_line(void *user, enum dc_log_level level, const char *line)
{
    struct dc_progress_view *view = user;
    dc_progress_clear(view);
    if (level != DC_LOG_DEBUG && !view->quiet)
        fprintf(stderr, "%s%s\n", level == DC_LOG_WARNING ? "warning: " : "", line);
}

struct dc_run_options dc_cli_run_options(const struct dc_cli *cli, struct dc_progress_view *view)
{
    struct dc_run_options options = {
        .experiment = cli->positionals[0],
        .overrides = cli->overrides,
        .override_count = cli->override_count,
        .directory = cli->run,
        .context = dc_cli_context(cli),
        .hooks = {view, dc_progress_show, dc_progress_stage, dc_progress_teach},
    };
    options.context.stop = dc_cli_stop();
    options.context.log = (struct dc_log_sink){log_line, view};
    return options;
}

static enum dc_status open_run(struct dc_run **run, const struct dc_cli *cli,
                               struct dc_progress_view *view, struct dc_error *error)
{
    const struct dc_run_options options = dc_cli_run_options(cli, view);
    return dc_run_open(run, &options, error);
}

static void print_verification(const struct dc_run *run)
{
    for (int i = 0; i < run->experiment->stage_count; i++) {
        const struct dc_stage *stage = &run->experiment->stages[i];
        const json_t *done = json_object_get(json_object_get(run->results, "stages"), stage->name);
        const json_t *proof = json_object_get(done, "verification");
        if (!proof)
            continue;
        printf("\n%s: the compiled C equals the engine on %lld test samples (%lld bytes), profile "
               "%s\n  %s/bundle/%s\n",
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
        return dc_cli_print_json(run->results, error);
    struct dc_text_buffer text = {0};
    dc_report_table(&text, run->experiment, run->results);
    printf("%s", text.text && !text.failed ? text.text : "");
    dc_text_free(&text);
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

static enum dc_status run(const struct dc_cli *cli, struct dc_error *error)
{
    struct dc_progress_view view = dc_progress_start(cli->quiet);
    struct dc_run *run = NULL;
    DC_TRY(open_run(&run, cli, &view, error));
    enum dc_status status = dc_run_all(run, error);
    dc_progress_clear(&view);
    if (status == DC_OK)
        status = print_results(run, cli->json, error);
    if (status == DC_OK)
        status = report(run, cli->json, error);
    dc_run_close(run);
    return status;
}

static enum dc_status train(const struct dc_cli *cli, struct dc_error *error)
{
    struct dc_progress_view view = dc_progress_start(cli->quiet);
    struct dc_run *run = NULL;
    DC_TRY(open_run(&run, cli, &view, error));
    struct dc_stage *stage = dc_experiment_stage(run->experiment, cli->positionals[1]);
    enum dc_status status = DC_OK;
    if (!stage)
        status = dc_fail(error, DC_ERR_USAGE, "%s has no stage '%s'", cli->positionals[0],
                         cli->positionals[1]);
    else if (!dc_run_stage_done(run, stage))
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
    .summary = "carry out all stages of an experiment, skipping those done\n\n"
               "Prints one table: network, parameters, MACs, bytes, test accuracy in float and as\n"
               "int8 by the integer engine, seconds of training, and writes RUN/report.html. An\n"
               "interrupted run goes on where it was when it is started again.",
    .options = "srtjq",
    .positionals_min = 1,
    .positionals_max = 1,
    .run = run,
};

const struct dc_verb dc_verb_train = {
    .name = "train",
    .arguments = "EXPERIMENT STAGE",
    .summary = "carry out one stage; the stages it builds on must be done",
    .options = "srtjq",
    .positionals_min = 2,
    .positionals_max = 2,
    .run = train,
};
