// Networks from ONNX; one sample is run where the network is small.

#include <stdlib.h>

#include "core/plan.h"
#include "formats/onnx.h"
#include "tests/faults/fuzz.h"

enum { RUN_MOST = 1 << 22 };

static void run_one(const struct dc_imported *onnx)
{
    struct dc_error error;
    struct dc_ctx *ctx = NULL;
    struct dc_plan *plan = NULL;
    const struct dc_ctx_config settings = {.threads = 1};
    int64_t total = 0;
    for (int i = 0; i < onnx->graph->count; i++)
        total += dc_shape_row(&onnx->graph->nodes[i].shape);
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = 1, .outputs = &onnx->output, .output_count = 1};
    if (total < RUN_MOST && dc_graph_macs(onnx->graph) < RUN_MOST &&
        dc_ctx_create(&ctx, &settings, &error) == DC_OK &&
        dc_plan_create(&plan, ctx, onnx->graph, &config, &error) == DC_OK) {
        float *x = calloc((size_t)dc_shape_row(&onnx->graph->nodes[onnx->input].shape), sizeof *x);
        if (x) {
            dc_plan_bind(plan, onnx->input, x);
            (void)!dc_plan_forward(plan, onnx->params, 1, NULL, &error);
        }
        free(x);
    }
    dc_plan_free(plan);
    dc_ctx_free(ctx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dc_imported *onnx = NULL;
    if (dc_onnx_read(&onnx, fuzz_file("x.onnx", data, size), NULL, NULL) == DC_OK) {
        run_one(onnx);
        fuzz_taken++;
    }
    dc_imported_free(onnx);
    return 0;
}
