// `decant bench`: what a step, an inference, the integer engine, the loader and a start cost here,
// and an inference on a device.

#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/device.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "core/file.h"
#include "report/drift.h"

struct bench_cli {
    struct dc_cli cli;
    const char *model, *mode, *augment, *source;
    int64_t batch, windows;
    double seconds;
    bool frozen, unfolded, profile;
    struct dc_settings set;
    struct dc_serial_options line;
    int64_t runs;
    double load, latency_ms;
    const char *out;
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
    DC_OPTIONS_DEVICE(bench_cli, "device", "a serial line, as /dev/ttyACM0"),
    DC_OPTION(bench_cli, "--runs", COUNT, runs, "N", .of = "device", .most = 100000,
              .fallback = "200", .help = "single inferences"),
    DC_OPTION(bench_cli, "--load", REAL, load, "S", .of = "device", .most = 864000,
              .fallback = "60", .help = "seconds of inferences without a pause, by its clock"),
    DC_OPTION(bench_cli, "--latency-ms", REAL, latency_ms, "MS", .of = "device", .most = 1e9,
              .help = "what an inference may take; else the target's, of a run or bundle"),
    DC_OPTION(bench_cli, "--out", TEXT, out, "FILE.svg", .of = "device",
              .help = "a chart of the run under load"),
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
    {"start", "float", NULL},           {"device", "float", NULL},
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
                       "decant bench does step, infer, engine, loader, start or device, not '%s'",
                       name);
    if (strcmp(name, "device") == 0)
        return DC_OK;
    if ((cli->positional_count == 2) != ((*found)->run == NULL))
        return dc_fail(error, DC_ERR_USAGE, "usage: decant bench %s%s", name,
                       (*found)->run ? "" : " EXPERIMENT");
    return DC_OK;
}

// What writes the words of a result; the result is freed.
typedef void words_of(struct dc_text_buffer *text, const json_t *result);

static enum dc_status print(json_t *result, words_of *words, bool json, struct dc_error *error)
{
    struct dc_text_buffer text = {0};
    if (json)
        return dc_cli_print_json(result, error);
    words(&text, result);
    json_decref(result);
    return dc_cli_print_text(&text, error);
}

// The limit of the target that a run, or the run of a bundle, has.
static enum dc_status find_latency(double *latency_ms, const struct dc_cli *cli,
                                   struct dc_error *error)
{
    const char *path = cli->positionals[1];
    char directory[4096];
    struct dc_run *run = NULL;
    if (dc_is_bundle(path)) {
        DC_TRY(dc_run_of_bundle(directory, sizeof directory, NULL, path, error));
        path = directory;
    }
    const enum dc_status status = dc_cli_open_run(&run, cli, path, error);
    if (status == DC_OK)
        *latency_ms = run->experiment->limits.latency_ms;
    dc_run_close(run);
    return status;
}

static enum dc_status bench_device(const struct bench_cli *own, struct dc_error *error)
{
    const struct dc_cli *cli = &own->cli;
    struct dc_progress_view view = dc_progress_start(cli->quiet);
    json_t *result = NULL;
    struct dc_bench_device_options how = {.line = own->line,
                                          .runs = own->runs,
                                          .load = own->load,
                                          .latency_ms = own->latency_ms,
                                          .context = dc_cli_context(cli),
                                          .told = dc_progress_load,
                                          .user = &view};
    how.context.stop = dc_cli_stop();
    if (!own->line.port)
        return dc_fail(error, DC_ERR_USAGE,
                       "decant bench device needs --device PORT, as /dev/ttyACM0, with a board "
                       "that runs examples/device/harness.c");
    if (own->out)
        DC_TRY(dc_drift_may_write(own->out, error));
    if (cli->positional_count > 1 && how.latency_ms == 0.0)
        DC_TRY(find_latency(&how.latency_ms, cli, error));
    DC_TRY(dc_bench_device(&result, &how, error));
    enum dc_status status = DC_OK;
    if (own->out)
        status = dc_drift_write(own->out, json_object_get(result, "load"), how.latency_ms, error);
    char broken[256] = "";
    if (json_object_get(result, "broken"))
        snprintf(broken, sizeof broken, "%s", json_string_value(json_object_get(result, "broken")));
    if (status == DC_OK)
        status = print(result, dc_bench_device_text, cli->json, error);
    else
        json_decref(result);
    return status == DC_OK && broken[0] ? dc_fail(error, DC_ERR_BUDGET, "%s", broken) : status;
}

static enum dc_status bench(const struct dc_cli *cli, struct dc_error *error)
{
    const struct bench_cli *own = (const struct bench_cli *)cli;
    const struct bench *what;
    json_t *result = NULL;
    DC_TRY(find(&what, cli, error));
    if (strcmp(what->name, "device") == 0)
        return bench_device(own, error);
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
    return print(result, dc_bench_text, cli->json, error);
}

const struct dc_verb dc_verb_bench = {
    .name = "bench",
    .arguments = "WHAT [EXPERIMENT|RUN|BUNDLE]",
    .brief = "time training steps, inferences, the loader, a device",
    .text =
        "  step     forward, backward and update of one batch\n"
        "  infer    the float network, batch normalization folded\n"
        "  engine   the quantized network on the integer engine\n"
        "  loader   batches alone\n"
        "  start    EXPERIMENT from the start of the process to its first step\n"
        "  device   a board that runs examples/device/harness.c: single inferences, and\n"
        "           a run under load, whose drift is judged; exit code 3 where one takes\n"
        "           longer than the target of RUN or BUNDLE allows\n\n"
        "Rates are medians of timed windows. A share of peak is of a dense layer of our own that "
        "fits the cache, measured in the same run on the same threads. Random samples; networks "
        "and modes are those of bench.yaml, found as experiments are. Side by side with "
        "PyTorch: tests/bench/compare.",
    DC_VERB_OPTIONS(options, bench_cli),
    .positionals_min = 1,
    .positionals_max = 2,
    .run = bench,
};
