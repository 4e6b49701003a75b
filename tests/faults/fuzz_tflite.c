// Networks from TFLite: one sample is run where the network is small; of integers both forms, and
// the integer engine.

#include <stdlib.h>

#include "core/plan.h"
#include "formats/tflite_read.h"
#include "qat/engine.h"
#include "qat/from_graph.h"
#include "qat/profile.h"
#include "tests/faults/fuzz.h"

enum { RUN_MOST = 1 << 22 };

static bool is_small(const struct dc_graph *graph)
{
    int64_t total = 0;
    for (int i = 0; i < graph->count; i++)
        total += dc_shape_row(&graph->nodes[i].shape);
    return total < RUN_MOST && dc_graph_macs(graph) < RUN_MOST;
}

static void run_floats(const struct dc_ctx *ctx, const struct dc_imported *n)
{
    struct dc_error error;
    struct dc_plan *plan = NULL;
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = 1, .outputs = &n->output, .output_count = 1};
    if (!is_small(n->graph) || dc_plan_create(&plan, ctx, n->graph, &config, &error) != DC_OK)
        return;
    float *x = calloc((size_t)dc_shape_row(&n->graph->nodes[n->input].shape), sizeof *x);
    if (x) {
        dc_plan_bind(plan, n->input, x);
        (void)!dc_plan_forward(plan, n->params, 1, NULL, &error);
    }
    free(x);
    dc_plan_free(plan);
}

static void run_integers(const struct dc_ctx *ctx, const struct dc_imported *n)
{
    struct dc_error error;
    struct dc_imodel *model = NULL;
    struct dc_engine *engine = NULL;
    if (!is_small(n->graph) || dc_imodel_from_graph(&model, n->graph, n->codes, n->output, "fuzz",
                                                    "", dc_profile_find("tflm"), &error) != DC_OK)
        return;
    int8_t *x = calloc((size_t)dc_ilayer_size(&model->layers[0]), 1);
    int8_t *y = calloc((size_t)dc_ilayer_size(dc_imodel_output(model)), 1);
    if (x && y && dc_engine_create(&engine, ctx, model, &error) == DC_OK)
        dc_engine_run(engine, y, x, 1);
    free(x);
    free(y);
    dc_engine_free(engine);
    dc_imodel_free(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct dc_ctx_config settings = {.threads = 1};
    const char *path = fuzz_file("x.tflite", data, size);
    const struct dc_tflite_options floats = {.as_floats = true};
    struct dc_imported *network = NULL;
    struct dc_ctx *ctx = NULL;
    if (dc_ctx_create(&ctx, &settings, NULL) != DC_OK)
        return 0;
    if (dc_tflite_read(&network, path, NULL, NULL) == DC_OK) {
        run_floats(ctx, network);
        if (network->codes)
            run_integers(ctx, network);
        fuzz_taken++;
    }
    const bool both = network && network->codes;
    dc_imported_free(network);
    if (both && dc_tflite_read(&network, path, &floats, NULL) == DC_OK) {
        run_floats(ctx, network);
        dc_imported_free(network);
    }
    dc_ctx_free(ctx);
    return 0;
}
