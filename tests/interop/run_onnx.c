// Runs an ONNX file on raw inputs: run_onnx MODEL.onnx ROWS INPUT.f32 OUTPUT.f32 [VALUE]. Input and
// output are float32 in the order of the file ([rows, c, h, w] of images). VALUE: of the file,
// taken for the output. For the judges beside it alone.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/plan.h"
#include "formats/onnx.h"

// [rows, a, b] to [rows, b, a].
static void exchange(float *to, const float *from, int64_t rows, int64_t a, int64_t b)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < a; i++)
            for (int64_t k = 0; k < b; k++)
                to[(r * b + k) * a + i] = from[(r * a + i) * b + k];
}

static enum dc_status run(const struct dc_imported *onnx, int64_t rows, const char *in_path,
                          const char *out_path, struct dc_error *error)
{
    char *text = NULL;
    size_t size = 0;
    struct dc_arena *arena = NULL;
    struct dc_ctx *ctx = NULL;
    struct dc_plan *plan = NULL;
    const struct dc_ctx_config settings = {.threads = 2};
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = rows, .outputs = &onnx->output, .output_count = 1};
    const struct dc_shape whole = dc_shape_with_batch(&onnx->graph->nodes[onnx->input].shape, rows);
    DC_TRY(dc_arena_create(&arena, error));
    DC_TRY(dc_file_read(&text, &size, in_path, arena, error));
    if ((int64_t)size != dc_shape_count(&whole) * 4)
        return dc_fail(error, DC_ERR_DATA, "%s: %zu bytes do not fit", in_path, size);
    float *values = DC_NEW(arena, float, dc_shape_count(&whole), error);
    if (!values)
        return DC_ERR_MEMORY;
    const int64_t channels = onnx->sample.dims[onnx->sample.rank - 1];
    if (onnx->channels_first)
        exchange(values, (const float *)(void *)text, rows, channels,
                 dc_shape_row(&whole) / channels);
    else
        memcpy(values, text, size);
    DC_TRY(dc_ctx_create(&ctx, &settings, error));
    DC_TRY(dc_plan_create(&plan, ctx, onnx->graph, &config, error));
    dc_plan_bind(plan, onnx->input, values);
    DC_TRY(dc_plan_forward(plan, onnx->params, rows, NULL, error));
    const struct dc_shape out = dc_shape_with_batch(&onnx->graph->nodes[onnx->output].shape, rows);
    const float *result = dc_plan_value(plan, onnx->output);
    float *turned = DC_NEW(arena, float, dc_shape_count(&out), error);
    if (!turned)
        return DC_ERR_MEMORY;
    if (out.rank == 4)  // an image, whose channels come first in files
        exchange(turned, result, rows, out.dims[1] * out.dims[2], out.dims[3]);
    DC_TRY(dc_file_write(out_path, out.rank == 4 ? turned : result,
                         (size_t)dc_shape_count(&out) * 4, error));
    dc_plan_free(plan);
    dc_ctx_free(ctx);
    dc_arena_free(arena);
    return DC_OK;
}

int main(int argc, char **argv)
{
    static struct dc_error error;
    struct dc_imported *onnx = NULL;
    const struct dc_onnx_options options = {.output = argc > 5 ? argv[5] : NULL};
    if (argc < 5 || argc > 6)
        return 2;
    enum dc_status status = dc_onnx_read(&onnx, argv[1], &options, &error);
    if (status == DC_OK)
        status = run(onnx, atoll(argv[2]), argv[3], argv[4], &error);
    dc_imported_free(onnx);
    if (status != DC_OK)
        fprintf(stderr, "%s\n", error.message);
    return dc_exit_code(status);
}
