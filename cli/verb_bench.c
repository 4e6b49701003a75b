// `decant bench`: what a step, an inference, the integer engine, the loader and a start cost here.

#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "cli/cli.h"

enum { WINDOWS = 7 };
#define SECONDS 0.5

static enum dc_status loader(json_t **result, const struct dc_bench_options *options,
                             struct dc_error *error)
{
    if (!options->source)
        return dc_fail(error, DC_ERR_USAGE, "decant bench loader needs --source KIND:PATH");
    return dc_bench_loader(result, options, error);
}

static const struct bench {
    const char *name, *options;  // letters besides t, j, q
    const char *mode;            // the only one; NULL: --mode says it
    enum dc_status (*run)(json_t **result, const struct dc_bench_options *options,
                          struct dc_error *error);
} benches[] = {
    {"step", "mkbwezP", NULL, dc_bench_step},
    {"infer", "mbweuP", "float", dc_bench_infer},
    {"engine", "mbwe", "qat", dc_bench_engine},
    {"loader", "bweaS", "float", loader},
    {"start", "s", "float", NULL},
};
enum { BENCHES = sizeof benches / sizeof benches[0] };

static enum dc_status find(const struct bench **found, const struct dc_cli *cli,
                           struct dc_error *error)
{
    const char *name = cli->positionals[0];
    char what[64], letters[64];
    *found = NULL;
    for (int i = 0; i < BENCHES; i++)
        if (strcmp(benches[i].name, name) == 0)
            *found = &benches[i];
    if (!*found)
        return dc_fail(error, DC_ERR_USAGE,
                       "decant bench does step, infer, engine, loader or start, not '%s'", name);
    if ((cli->positional_count == 2) != ((*found)->run == NULL))
        return dc_fail(error, DC_ERR_USAGE, "usage: decant bench %s%s", name,
                       (*found)->run ? "" : " EXPERIMENT");
    snprintf(what, sizeof what, "bench %s", name);
    snprintf(letters, sizeof letters, "tjqh%s", (*found)->options);
    return dc_cli_only(cli, what, letters, error);
}

static enum dc_status print(const json_t *result, bool json, struct dc_error *error)
{
    struct dc_text_buffer text = {0};
    if (json)
        return dc_cli_print_json(result, error);
    dc_bench_text(&text, result);
    const bool failed = text.failed || fputs(text.text ? text.text : "", stdout) < 0;
    dc_text_free(&text);
    return failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory") : DC_OK;
}

static enum dc_status bench(const struct dc_cli *cli, struct dc_error *error)
{
    const struct bench *what;
    json_t *result = NULL;
    DC_TRY(find(&what, cli, error));
    if (cli->windows > DC_BENCH_WINDOWS_MAX)
        return dc_fail(error, DC_ERR_USAGE, "--windows is at most %d", DC_BENCH_WINDOWS_MAX);
    const struct dc_bench_options options = {
        .model = cli->model ? cli->model : "resnet8",
        .mode = what->mode  ? what->mode
                : cli->mode ? cli->mode
                            : "float",
        .batch = cli->batch,
        .windows = cli->windows ? cli->windows : WINDOWS,
        .seconds = cli->seconds > 0.0 ? cli->seconds : SECONDS,
        .frozen = cli->frozen,
        .unfolded = cli->unfolded,
        .profile = cli->table,
        .augment = cli->augment,
        .source = cli->source,
        .context = dc_cli_context(cli),
    };
    DC_TRY(what->run ? what->run(&result, &options, error)
                     : dc_bench_start(&result, cli->positionals[1], cli->overrides,
                                      cli->override_count, &options, error));
    const enum dc_status status = print(result, cli->json, error);
    json_decref(result);
    return status;
}

const struct dc_verb dc_verb_bench = {
    .name = "bench",
    .arguments = "step|infer|engine|loader|start [EXPERIMENT]",
    .summary =
        "measure a training step, inference, the integer engine, the loader or a start\n\n"
        "  step     forward, backward and update of one batch: --model, --mode, --batch, --frozen\n"
        "  infer    the float network, batch normalization folded: --model, --batch, --unfolded\n"
        "  engine   the quantized network on the integer engine: --model, --batch\n"
        "  loader   batches alone: --source, --augment, --batch\n"
        "  start    EXPERIMENT from the start of the process to its first step: --set\n\n"
        "Rates are medians of timed windows (--windows, --seconds). A share of peak is of a dense\n"
        "layer of our own that fits the cache, measured in the same run on the same threads.\n"
        "Random samples; networks and modes are those of configs/bench.yaml, which is looked for\n"
        "here. Side by side with PyTorch: tests/bench/compare.",
    .options = "mkbweuzPaSstjq",
    .positionals_min = 1,
    .positionals_max = 2,
    .run = bench,
};
