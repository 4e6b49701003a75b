// `decant check`: an experiment validated without data.

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "run/run.h"

struct check {
    struct dc_cli cli;
    struct dc_settings set;
};

static const struct dc_option options[] = {
    DC_OPTION_SET(check),
    DC_OPTION_JSON(check),
    DC_OPTION_QUIET(check),
};

static enum dc_status check(const struct dc_cli *cli, struct dc_error *error)
{
    const struct dc_settings *set = &((const struct check *)cli)->set;
    struct dc_experiment *experiment = NULL;
    json_t *report = NULL;
    DC_TRY(dc_experiment_read(&experiment, cli->positionals[0], set->items, set->count, error));
    const struct dc_ctx_config messages = dc_cli_context(cli);
    enum dc_status status = dc_run_check(experiment, &report, error);
    if (status == DC_OK)
        dc_experiment_warn(experiment, &messages.log);
    if (status == DC_OK && cli->json) {
        status = dc_cli_print_json(json_incref(report), error);
    } else if (status == DC_OK) {
        const char *name;
        json_t *stage;
        printf("%-14s %12s %14s %12s %10s\n", "stage", "parameters", "MACs", "bytes", "RAM");
        json_object_foreach(report, name, stage)
        {
            const json_t *ram = json_object_get(stage, "ram_bytes");
            printf("%-14s %12lld %14lld %12lld", name,
                   (long long)json_integer_value(json_object_get(stage, "parameters")),
                   (long long)json_integer_value(json_object_get(stage, "macs")),
                   (long long)json_integer_value(json_object_get(stage, "weight_bytes")));
            if (ram)
                printf(" %10lld", (long long)json_integer_value(ram));
            printf("\n");
        }
        printf("%s: ok, %d stages\n", cli->positionals[0], experiment->stage_count);
    }
    json_decref(report);
    dc_experiment_free(experiment);
    return status;
}

const struct dc_verb dc_verb_check = {
    .name = "check",
    .arguments = "EXPERIMENT",
    .brief = "validate an experiment, its models and shapes, without data",
    .text = "Prints the cost of each network: parameters, MACs of a sample, bytes of the weights "
            "and, of a quantized one, of the memory that its target needs while it runs.",
    DC_VERB_OPTIONS(options, check),
    .positionals_min = 1,
    .positionals_max = 1,
    .run = check,
};
