// Owns the opening of what is timed: from a model's name and a mode to a network with a batch of
// random samples. The stages are those of configs/bench.yaml; nothing about a network is decided
// here.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench_internal.h"
#include "core/file.h"
#include "core/random.h"

enum { DEFAULT_BATCH = 128, SEED = 1 };

const struct dc_bench_model dc_bench_models[] = {
    {"resnet8", "resnet8", "{}", 128},
    {"dscnn", "ds-cnn", "{}", 100},
    {"mobilenet_v1_025", "mobilenet-v1", "{width: 0.25, classes: 2}", 32},
    {"resnet56", "resnet-cifar", "{n: 9}", 128},
    {NULL, NULL, NULL, 0},
};

// A short name, or a model's name or file; *file stands for the latter's own entry.
static enum dc_status find_model(const struct dc_bench_model **found, struct dc_bench_model *file,
                                 const char *name, struct dc_arena *arena, struct dc_error *error)
{
    const char *names[16];
    int count = 0;
    for (const struct dc_bench_model *m = dc_bench_models; m->name; m++) {
        names[count++] = m->name;
        *found = m;
        if (strcmp(m->name, name) == 0)
            return DC_OK;
    }
    *file = (struct dc_bench_model){name, name, "{}", DEFAULT_BATCH};
    *found = file;
    char *path = NULL;
    DC_TRY(dc_search(&path, DC_SEARCH_MODEL, name, NULL, arena, error));
    if (dc_file_exists(path))
        return DC_OK;
    char hint[DC_HINT];
    return dc_fail(error, DC_ERR_USAGE,
                   "--model %s is neither a model (decant list models) nor resnet8, dscnn, "
                   "mobilenet_v1_025 or "
                   "resnet56%s",
                   name, dc_did_you_mean(hint, name, names, count));
}

enum dc_status dc__bench_experiment(char **path, struct dc_arena *arena, struct dc_error *error)
{
    DC_TRY(dc_search(path, DC_SEARCH_BENCH, "bench.yaml", NULL, arena, error));
    if (dc_file_exists(*path))
        return DC_OK;
    return dc_fail(error, DC_ERR_USAGE,
                   "there is no bench.yaml here, in DECANT_PATH or where Decant is installed");
}

// The stage of the mode; the model stands in the first stage, which the others inherit from.
static enum dc_status read_stage(struct dc__bench *bench, const struct dc_bench_model *model,
                                 struct dc_arena *arena, struct dc_error *error)
{
    char *path = NULL, *experiment = NULL;
    DC_TRY(dc__bench_experiment(&experiment, arena, error));
    DC_TRY(dc_search(&path, DC_SEARCH_MODEL, model->file, NULL, arena, error));
    DC_TRY(dc_path_absolute(&path, path, NULL, arena, error));
    const char *overrides[] = {
        dc_arena_printf(arena, error, "stages.float.model='%s'", path),
        dc_arena_printf(arena, error, "stages.float.parameters=%s", model->parameters)};
    if (!overrides[0] || !overrides[1])
        return DC_ERR_MEMORY;
    DC_TRY(dc_experiment_read(&bench->experiment, experiment, overrides, 2, error));
    bench->stage = dc_experiment_stage(bench->experiment, bench->options.mode);
    if (!bench->stage)
        return dc_fail(error, DC_ERR_USAGE, "--mode is float, kd, qat or kd_qat, not '%s'",
                       bench->options.mode);
    if (bench->options.frozen && !bench->stage->quantizes)
        return dc_fail(error, DC_ERR_USAGE, "--frozen is about observers: --mode qat or kd_qat");
    return DC_OK;
}

static enum dc_status fill(struct dc__bench *bench, struct dc_error *error)
{
    const int64_t rows = bench->rows, classes = bench->network.classes;
    const int64_t values = rows * dc_shape_count(&bench->network.model.sample);
    struct dc_random random;
    bench->images = dc_alloc(sizeof(float) * (size_t)values, error);
    bench->targets = dc_alloc(sizeof(float) * (size_t)(rows * classes), error);
    bench->teacher = dc_alloc(sizeof(float) * (size_t)(rows * classes), error);
    bench->ids = dc_alloc(sizeof(uint64_t) * (size_t)rows, error);
    if (!bench->images || !bench->targets || !bench->teacher || !bench->ids)
        return DC_ERR_MEMORY;
    memset(bench->targets, 0, sizeof(float) * (size_t)(rows * classes));
    dc_random_start(&random, SEED, DC_PURPOSE_TEST, 0, 0);
    for (int64_t i = 0; i < values; i++)
        bench->images[i] = dc_random_between(&random, -1.7f, 1.7f);  // deviation 1
    for (int64_t i = 0; i < rows * classes; i++)
        bench->teacher[i] = dc_random_between(&random, -4.0f, 4.0f);
    for (int64_t r = 0; r < rows; r++) {
        bench->ids[r] = (uint64_t)r;
        bench->targets[r * classes + dc_random_below(&random, (uint32_t)classes)] = 1.0f;
    }
    return DC_OK;
}

static enum dc_status open_all(struct dc__bench *bench, struct dc_arena *arena,
                               struct dc_error *error)
{
    struct dc_bench_model file;
    const struct dc_bench_model *model;
    DC_TRY(find_model(&model, &file, bench->options.model, arena, error));
    bench->rows = bench->options.batch ? bench->options.batch : model->batch;
    DC_TRY(read_stage(bench, model, arena, error));
    DC_TRY(dc_stage_network_open(&bench->network, bench->stage, NULL, error));
    dc_params_init(bench->network.params, SEED);
    DC_TRY(dc_ctx_create(&bench->ctx, &bench->options.context, error));
    return fill(bench, error);
}

enum dc_status dc__bench_open(struct dc__bench *bench, const struct dc_bench_options *options,
                              struct dc_error *error)
{
    *bench = (struct dc__bench){.options = *options};
    struct dc_arena *arena = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    const enum dc_status status = open_all(bench, arena, error);
    dc_arena_free(arena);
    if (status != DC_OK)
        dc__bench_close(bench);
    return status;
}

void dc__bench_close(struct dc__bench *bench)
{
    free(bench->ids);
    free(bench->teacher);
    free(bench->targets);
    free(bench->images);
    dc_ctx_free(bench->ctx);
    dc_stage_network_close(&bench->network);
    dc_experiment_free(bench->experiment);
    *bench = (struct dc__bench){0};
}

json_t *dc__bench_head(const char *verb, const struct dc__bench *bench)
{
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:i, s:s, s:b, s:f}", "bench", verb, "version",
        DECANT_VERSION, "model", bench->options.model, "mode", bench->options.mode, "parameters",
        (json_int_t)dc_params_trained_count(bench->network.params), "macs",
        (json_int_t)dc_graph_macs(bench->network.model.graph), "batch", (json_int_t)bench->rows,
        "threads", bench->ctx->threads, "isa", dc_isa_name(bench->ctx->isa), "frozen",
        (int)bench->options.frozen, "window_seconds", bench->options.seconds);
}

enum dc_status dc__add_peak(json_t *result, const struct dc_ctx *ctx, double flop_per_sample,
                            struct dc_error *error)
{
    double peak;
    DC_TRY(dc__sgemm_peak(&peak, ctx, error));
    const json_t *rate = json_object_get(result, "samples_per_second");
    const double flops = flop_per_sample * json_real_value(rate);
    json_object_set_new(result, "flop_per_sample", json_real(flop_per_sample));
    json_object_set_new(result, "gflops", json_real(1e-9 * flops));
    json_object_set_new(result, "sgemm_gflops", json_real(1e-9 * peak));
    json_object_set_new(result, "sgemm_is",
                        json_string("own dense layer, 512 x 256 x 256, same threads"));
    json_object_set_new(result, "sgemm_share", json_real(flops / peak));
    return DC_OK;
}

enum dc_status dc__finish(json_t **result, json_t *object, enum dc_status status,
                          struct dc_error *error)
{
    if (status == DC_OK && !object)
        status = dc_fail(error, DC_ERR_MEMORY, "out of memory");
    *result = status == DC_OK ? object : NULL;
    if (status != DC_OK)
        json_decref(object);
    return status;
}
