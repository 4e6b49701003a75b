// `decant bench`: what a step, an inference, the integer engine, the loader and a start cost here.

#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "cli/cli.h"

struct bench_cli {
    struct dc_cli cli;
    const char *model, *mode, *augment, *source;
    int64_t batch, windows;
    double seconds;
    bool frozen, unfolded, profile;
    struct dc_settings set;
};

static const char *const modes[] = {"float", "kd", "qat", "kd_qat", NULL};

static const struct dc_option options[] = {
    DC_OPTION(bench_cli, "--model", TEXT, model, "NAME|FILE", .of = "step, infer, engine",
              .fallback = "resnet8",
              .help = "resnet8, dscnn, mobilenet_v1_025, resnet56, or a model's name or file"),
    DC_OPTION(bench_cli, "--mode", WORD, mode, "MODE", .of = "step", .choices = modes,
              .fallback = "float", .help = "what is trained"),
    DC_OPTION(bench_cli, "--batch", COUNT, batch, "N", .of = "step, infer, engine, loader",
              .most = 65536, .help = "samples a batch; else the model's: 128, 100, 32, 128"),
    DC_OPTION(bench_cli, "--windows", COUNT, windows, "N", .of = "step, infer, engine, loader",
              .most = DC_BENCH_WINDOWS_MAX, .fallback = "7",
              .help = "timed windows, of which the median counts"),
    DC_OPTION(bench_cli, "--seconds", REAL, seconds, "S", .of = "step, infer, engine, loader",
              .most = 3600, .fallback = "0.5", .help = "the least a window lasts"),
    DC_OPTION(bench_cli, "--frozen", FLAG, frozen, NULL, .of = "step",
              .help = "observers keep their ranges (qat, kd_qat)"),
    DC_OPTION(bench_cli, "--unfolded", FLAG, unfolded, NULL, .of = "infer",
              .help = "batch normalization stays apart; else it is folded"),
    DC_OPTION(bench_cli, "--profile", FLAG, profile, NULL, .of = "step, infer",
              .help = "a table of layers: time, rate, bytes, roofline bound"),
    DC_OPTION(bench_cli, "--augment", TEXT, augment, "NAME|FILE", .of = "loader",
              .help = "augmentations, as flip"),
    DC_OPTION(bench_cli, "--source", TEXT, source, "KIND:PATH", .of = "loader",
              .help = "data set, as cifar10:FOLDER"),
    DC_OPTION(bench_cli, "--set", SETTINGS, set, "KEY=VALUE", .of = "start",
              .help = "another value of a key of the experiment"),
    DC_OPTION_THREADS(bench_cli),
    DC_OPTION_JSON(bench_cli),
    DC_OPTION_QUIET(bench_cli),
};

static enum dc_status loader(json_t **result, const struct dc_bench_options *how,
                             struct dc_error *error)
{
    if (!how->source)
        return dc_fail(error, DC_ERR_USAGE, "decant bench loader needs --source KIND:PATH");
    return dc_bench_loader(result, how, error);
}

static const struct bench {
    const char *name;
    const char *mode;  // the only one; NULL: --mode says it
    enum dc_status (*run)(json_t **result, const struct dc_bench_options *how,
                          struct dc_error *error);
} benches[] = {
    {"step", NULL, dc_bench_step},      {"infer", "float", dc_bench_infer},
    {"engine", "qat", dc_bench_engine}, {"loader", "float", loader},
    {"start", "float", NULL},
};
enum { BENCHES = sizeof benches / sizeof benches[0] };

static enum dc_status find(const struct bench **found, const struct dc_cli *cli,
                           struct dc_error *error)
{
    const char *name = cli->positionals[0];
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
    return DC_OK;
}

static enum dc_status print(json_t *result, bool json, struct dc_error *error)
{
    struct dc_text_buffer text = {0};
    if (json)
        return dc_cli_print_json(result, error);
    dc_bench_text(&text, result);
    json_decref(result);
    return dc_cli_print_text(&text, error);
}

static enum dc_status bench(const struct dc_cli *cli, struct dc_error *error)
{
    const struct bench_cli *own = (const struct bench_cli *)cli;
    const struct bench *what;
    json_t *result = NULL;
    DC_TRY(find(&what, cli, error));
    const struct dc_bench_options how = {
        .model = own->model,
        .mode = what->mode ? what->mode : own->mode,
        .batch = own->batch,
        .windows = own->windows,
        .seconds = own->seconds,
        .frozen = own->frozen,
        .unfolded = own->unfolded,
        .profile = own->profile,
        .augment = own->augment,
        .source = own->source,
        .context = dc_cli_context(cli),
    };
    DC_TRY(what->run ? what->run(&result, &how, error)
                     : dc_bench_start(&result, cli->positionals[1], own->set.items, own->set.count,
                                      &how, error));
    return print(result, cli->json, error);
}

const struct dc_verb dc_verb_bench = {
    .name = "bench",
    .arguments = "step|infer|engine|loader|start [EXPERIMENT]",
    .brief = "time a training step, inference, the integer engine, the loader",
    .text =
        "  step     forward, backward and update of one batch\n"
        "  infer    the float network, batch normalization folded\n"
        "  engine   the quantized network on the integer engine\n"
        "  loader   batches alone\n"
        "  start    EXPERIMENT from the start of the process to its first step\n\n"
        "Rates are medians of timed windows. A share of peak is of a dense layer of our own that "
        "fits the cache, measured in the same run on the same threads. Random samples; networks "
        "and modes are those of bench.yaml, found as experiments are. Side by side with "
        "PyTorch: tests/bench/compare.",
    DC_VERB_OPTIONS(options, bench_cli),
    .positionals_min = 1,
    .positionals_max = 2,
    .run = bench,
};
