// `decant report`: the page of a run, made or made anew.

#include <stdio.h>

#include "cli/cli.h"
#include "report/write.h"

struct report {
    struct dc_cli cli;
};

static const struct dc_option options[] = {
    DC_OPTION_THREADS(report),
    DC_OPTION_JSON(report),
    DC_OPTION_QUIET(report),
};

static enum dc_status report(const struct dc_cli *cli, struct dc_error *error)
{
    struct dc_run *run = NULL;
    DC_TRY(dc_cli_open_run(&run, cli, cli->positionals[0], error));
    enum dc_status status = dc_write_report(run, error);
    if (status == DC_OK && cli->json)
        status = dc_cli_print_json(
            json_pack("{s:o}", "report", json_sprintf("%s/report.html", run->directory)), error);
    else if (status == DC_OK)
        printf("%s/report.html\n", run->directory);
    dc_run_close(run);
    return status;
}

const struct dc_verb dc_verb_report = {
    .name = "report",
    .arguments = "RUN",
    .brief = "write RUN/report.html: what a run gave, what integers cost, where",
    .text = "One page that loads nothing; its figures are in RUN/plots as PNG, too. Every finished "
            "`decant run` writes it by itself.",
    DC_VERB_OPTIONS(options, report),
    .positionals_min = 1,
    .positionals_max = 1,
    .run = report,
};
