// `decant compare`: runs side by side.

#include <stdio.h>

#include "cli/cli.h"
#include "report/compare.h"

static enum dc_status show(const struct dc_cli *cli, struct dc_run *const *runs,
                           struct dc_error *error)
{
    json_t *comparison = NULL;
    struct dc_text_buffer text = {0};
    DC_TRY(dc_compare_runs(&comparison, runs, cli->positional_count, error));
    enum dc_status status = DC_OK;
    if (cli->out)
        status = dc_write_comparison(cli->out, comparison, runs, cli->positional_count, error);
    if (status == DC_OK && cli->json) {
        status = dc_cli_print_json(comparison, error);
    } else if (status == DC_OK) {
        dc_comparison_text(&text, comparison);
        printf("%s", text.text && !text.failed ? text.text : "");
        dc_text_free(&text);
    }
    json_decref(comparison);
    return status;
}

static enum dc_status compare(const struct dc_cli *cli, struct dc_error *error)
{
    struct dc_run *runs[DC_POSITIONALS_MAX] = {0};
    enum dc_status status = DC_OK;
    for (int r = 0; r < cli->positional_count && status == DC_OK; r++)
        status = dc_cli_open_run(&runs[r], cli, cli->positionals[r], error);
    if (status == DC_OK)
        status = show(cli, runs, error);
    for (int r = 0; r < cli->positional_count; r++)
        dc_run_close(runs[r]);
    return status;
}

const struct dc_verb dc_verb_compare = {
    .name = "compare",
    .arguments = "RUN RUN...",
    .summary = "accuracies of several runs, how seeds scatter, and paired differences\n\n"
               "Runs whose settings are equal but for the seed are a group, of which mean,\n"
               "standard deviation and standard error are told; differences between networks of\n"
               "a run, and between groups by seed, are tested by a paired t-test where there\n"
               "are 4 or more. --out FILE.html writes tables and curves as a page.",
    .options = "ojtq",
    .positionals_min = 2,
    .positionals_max = DC_COMPARED_MAX,
    .run = compare,
};
