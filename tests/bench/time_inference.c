// Times the inference of a float network: a model file, folded, on random images. Decant's side of
// tests/bench/compare_onnx. One JSON object to stdout; with --layers a table of layers to stderr.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/passes.h"
#include "core/plan.h"
#include "run/model.h"

enum { WINDOWS_MAX = 64 };

struct network {
    struct dc_graph *graph;
    struct dc_params *params;
    struct dc_plan *plan;
    int output;
    int64_t values;  // of one image
};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// names: NAME=NUMBER overrides.
static enum dc_status open_network(struct network *network, const struct dc_ctx *ctx,
                                   const char *path, char **names, int count, int batch,
                                   struct dc_error *error)
{
    struct dc_named_value values[16];
    for (int i = 0; i < count && i < 16; i++) {
        char *equals = strchr(names[i], '=');
        if (!equals)
            return dc_fail(error, DC_ERR_USAGE, "'%s' is not NAME=NUMBER", names[i]);
        *equals = '\0';
        values[i] = (struct dc_named_value){names[i], strtod(equals + 1, NULL)};
    }
    struct dc_model model;
    struct dc_params *params = NULL;
    DC_TRY(dc_model_read(
        &model, &(struct dc_model_spec){path, values, count, DC_LAYOUT_AUTO, NULL, NULL}, error));
    DC_TRY(dc_params_create(&params, model.graph, 0, false, error));
    dc_params_init(params, 1);
    DC_TRY(dc_fold_for_inference(&network->graph, &network->params, &network->output, model.graph,
                                 params, model.output, error));
    network->values = dc_shape_count(&model.sample);
    dc_params_free(params);
    dc_model_free(&model);
    const struct dc_plan_config config = {.mode = DC_INFERENCE,
                                          .max_rows = batch,
                                          .outputs = &network->output,
                                          .output_count = 1,
                                          .params = network->params,
                                          .constant_params = true};
    return dc_plan_create(&network->plan, ctx, network->graph, &config, error);
}

static void print_layers(const struct dc_graph *graph, const struct dc_node_seconds *times,
                         int batch, int runs)
{
    for (int i = 0; i < graph->count; i++) {
        const double second = times[i].forward / runs;
        const double macs = (double)dc_graph_node_macs(graph, i) * batch;
        char text[DC_SHAPE_TEXT];
        if (second > 0.0)
            fprintf(stderr, "%-28s %-10s %-24s %8.3f ms %7.1f GFLOP/s\n", graph->nodes[i].name,
                    graph->nodes[i].op->name, dc_shape_text(text, &graph->nodes[i].shape),
                    1e3 * second, 2e-9 * macs / second);
    }
}

static enum dc_status measure(const struct network *network, const struct dc_ctx *ctx, int batch,
                              int windows, bool layers, struct dc_error *error)
{
    const int64_t count = batch * network->values;
    float *x = dc_alloc(sizeof(float) * (size_t)count, error);
    struct dc_node_seconds *times = dc_alloc(sizeof *times * (size_t)network->graph->count, error);
    double window[WINDOWS_MAX];
    if (!x || !times)
        return DC_ERR_MEMORY;
    uint32_t state = 1;
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) * 0x1p-23f - 1.0f;
    }
    dc_plan_bind(network->plan, 0, x);
    const struct dc_step step = {.total_batch = batch};
    for (int w = -1; w < windows; w++) {
        const double began = seconds();
        DC_TRY(dc_plan_forward(network->plan, network->params, batch, &step, error));
        if (w >= 0)
            window[w] = seconds() - began;
        else if (layers)
            dc_plan_time_nodes(network->plan, times);
    }
    if (layers)
        print_layers(network->graph, times, batch, windows);
    qsort(window, (size_t)windows, sizeof window[0], ascending);
    const double rate = batch / window[windows / 2];
    printf("{\"images_per_second\": %.2f, \"best\": %.2f, \"gflops\": %.2f, \"threads\": %d, "
           "\"isa\": \"%s\", \"plan_mib\": %.1f}\n",
           rate, batch / window[0], 2e-9 * rate * (double)dc_graph_macs(network->graph),
           ctx->threads, dc_isa_name(ctx->isa), (double)dc_plan_bytes(network->plan) / 1048576.0);
    free(x);
    free(times);
    return DC_OK;
}

int main(int argc, char **argv)
{
    const bool layers = argc > 1 && strcmp(argv[1], "--layers") == 0;
    argc -= layers;
    argv += layers;
    const int threads = argc > 2 ? atoi(argv[2]) : 1, batch = argc > 3 ? atoi(argv[3]) : 1;
    const int windows = argc > 4 ? atoi(argv[4]) : 5;
    if (argc < 2 || threads < 1 || batch < 1 || windows < 1 || windows > WINDOWS_MAX) {
        fprintf(stderr, "usage: time_inference [--layers] MODEL.yaml [THREADS [BATCH [WINDOWS "
                        "[NAME=NUMBER ...]]]]\n");
        return 2;
    }
    struct dc_error error;
    struct dc_ctx *ctx = NULL;
    struct network network = {0};
    const struct dc_ctx_config config = {.threads = threads};
    enum dc_status status = dc_ctx_create(&ctx, &config, &error);
    if (status == DC_OK)
        status = open_network(&network, ctx, argv[1], argv + 5, argc > 5 ? argc - 5 : 0, batch,
                              &error);
    if (status == DC_OK)
        status = measure(&network, ctx, batch, windows, layers, &error);
    if (status != DC_OK)
        fprintf(stderr, "time_inference: %s\n", error.message);
    dc_plan_free(network.plan);
    dc_params_free(network.params);
    dc_graph_free(network.graph);
    dc_ctx_free(ctx);
    return status == DC_OK ? 0 : 1;
}
