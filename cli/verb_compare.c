// `decant compare`: runs side by side.

#include <stdio.h>

#include "cli/cli.h"
#include "report/compare.h"

struct compare {
    struct dc_cli cli;
    const char *out;
};

static const struct dc_option options[] = {
    DC_OPTION(compare, "--out", TEXT, out, "FILE.html", .help = "tables and curves as a page"),
    DC_OPTION_THREADS(compare),
    DC_OPTION_JSON(compare),
    DC_OPTION_QUIET(compare),
};

static enum dc_status show(const struct compare *own, struct dc_run *const *runs,
                           struct dc_error *error)
{
    const int count = own->cli.positional_count;
    json_t *comparison = NULL;
    struct dc_text_buffer text = {0};
    DC_TRY(dc_compare_runs(&comparison, runs, count, error));
    enum dc_status status = DC_OK;
    if (own->out)
        status = dc_write_comparison(own->out, comparison, runs, count, error);
    if (status == DC_OK && own->cli.json)
        return dc_cli_print_json(comparison, error);
    if (status == DC_OK) {
        dc_comparison_text(&text, comparison);
        status = dc_cli_print_text(&text, error);
    }
    json_decref(comparison);
    return status;
}

static enum dc_status compare(const struct dc_cli *cli, struct dc_error *error)
{
    struct dc_run *runs[DC_COMPARED_MAX] = {0};
    enum dc_status status = DC_OK;
    for (int r = 0; r < cli->positional_count && status == DC_OK; r++)
        status = dc_cli_open_run(&runs[r], cli, cli->positionals[r], error);
    if (status == DC_OK)
        status = show((const struct compare *)cli, runs, error);
    for (int r = 0; r < cli->positional_count; r++)
        dc_run_close(runs[r]);
    return status;
}

const struct dc_verb dc_verb_compare = {
    .name = "compare",
    .arguments = "RUN RUN...",
    .brief = "runs side by side, how seeds scatter, and paired differences",
    .text = "Runs whose settings are equal but for the seed are a group, of which mean, standard "
            "deviation and standard error are told; differences between networks of a run, and "
            "between groups by seed, are tested by a paired t-test where there are 4 or more.",
    DC_VERB_OPTIONS(options, compare),
    .positionals_min = 2,
    .positionals_max = DC_COMPARED_MAX,
    .run = compare,
};
