// `decant check`: an experiment validated without data.

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "run/run.h"

enum { COLUMNS = 78, INDENT = 18 };

struct check {
    struct dc_cli cli;
    struct dc_settings set;
    bool layers;
};

static const struct dc_option options[] = {
    DC_OPTION_SET(check),
    DC_OPTION(check, "--layers", FLAG, layers, NULL,
              .help = "MACs and instructions of each layer of quantized stages"),
    DC_OPTION_JSON(check),
    DC_OPTION_QUIET(check),
};

static long long number(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

void dc_cli_print_memory(const json_t *stage)
{
    const char *key;
    json_t *value;
    for (int which = 0; which < 2; which++) {
        int column = printf("  %-5s %9lld  ", which ? "RAM" : "flash",
                            number(stage, which ? "ram_bytes" : "flash_bytes"));
        bool first = true;
        json_object_foreach(json_object_get(stage, which ? "ram" : "flash"), key, value)
        {
            char part[64];
            const int length = snprintf(part, sizeof part, "%s %lld", key,
                                        (long long)json_integer_value(value));
            column += first ? 0 : printf(",");
            if (column + 1 + length > COLUMNS)
                column = printf("\n%*s", INDENT, "") - 1;
            column += printf("%s%s", first || column < INDENT ? "" : " ", part);
            first = false;
        }
        printf("\n");
    }
}

// What a quantized stage takes of a board: each part of its flash and RAM, instructions, and what
// each layer takes.
static void print_stage(const char *name, const json_t *stage, bool layers)
{
    json_t *value;
    size_t i;
    if (!json_object_get(stage, "flash"))
        return;
    printf("\n");
    dc_print_sentence("%s on a %s, %s, estimated:", name,
                      json_string_value(json_object_get(stage, "core")),
                      json_string_value(json_object_get(stage, "optimize")));
    dc_cli_print_memory(stage);
    dc_print_sentence("  most activations are alive at layer %s",
                      json_string_value(json_object_get(stage, "busiest")));
    const long long instructions = number(stage, "instructions");
    dc_print_sentence("  instructions %lld (not cycles), %.2f a MAC, %.0f %% in layer %s",
                      instructions, (double)instructions / (double)number(stage, "macs"),
                      100.0 * (double)number(stage, "heaviest_instructions") / (double)instructions,
                      json_string_value(json_object_get(stage, "heaviest")));
    if (json_object_get(stage, "latency_ms"))
        printf("  %.3g ms at %.6g MHz, if an instruction takes %.3g cycles\n",
               json_real_value(json_object_get(stage, "latency_ms")),
               json_real_value(json_object_get(stage, "clock_mhz")),
               json_real_value(json_object_get(stage, "cycles_per_instruction")));
    json_array_foreach(layers ? json_object_get(stage, "layer_costs") : NULL, i, value)
    {
        printf("  ");
        dc_print_name(json_string_value(json_object_get(value, "name")), 23);
        printf(" %-18s %11lld MACs %11lld instr.\n",
               json_string_value(json_object_get(value, "op")), number(value, "macs"),
               number(value, "instructions"));
    }
}

static enum dc_status check(const struct dc_cli *cli, struct dc_error *error)
{
    const struct dc_settings *set = &((const struct check *)cli)->set;
    const bool layers = ((const struct check *)cli)->layers;
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
            dc_print_name(name, 14);
            printf(" %12lld %14lld %12lld",
                   (long long)json_integer_value(json_object_get(stage, "parameters")),
                   (long long)json_integer_value(json_object_get(stage, "macs")),
                   (long long)json_integer_value(json_object_get(stage, "weight_bytes")));
            if (ram)
                printf(" %10lld", (long long)json_integer_value(ram));
            printf("\n");
        }
        json_object_foreach(report, name, stage)
        {
            const json_t *missing = json_object_get(stage, "missing_weights");
            if (missing)
                dc_print_sentence("%s: its file of weights lacks %s: trained from the start", name,
                                  json_string_value(missing));
            const char *note = json_string_value(json_object_get(stage, "note"));
            if (note)
                dc_print_sentence("%s", note);
            print_stage(name, stage, layers);
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
            "and, of a quantized one, what its target's budgets are held against: all of its flash "
            "and all of its RAM, part by part.",
    DC_VERB_OPTIONS(options, check),
    .positionals_min = 1,
    .positionals_max = 1,
    .run = check,
};
