// What judge_tflite_read.py judges: a TFLite file that was read, run.
//   read_tflite FILE floats IN OUT      float32 rows through the network of core ops
//   read_tflite FILE PROFILE IN OUT     int8 rows through the integer engine
//   read_tflite --operators FOLDER      a file of each operator that is read
// IN and OUT hold rows of values.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/plan.h"
#include "formats/tflite_read.h"
#include "qat/engine.h"
#include "qat/from_graph.h"
#include "qat/profile.h"
#include "tests/formats/helper_tflite.h"

static enum dc_status run_floats(const struct dc_imported *n, const char *in, const char *out,
                                 struct dc_error *error)
{
    const struct dc_ctx_config settings = {.threads = 1};
    struct dc_arena *arena = NULL;
    struct dc_ctx *ctx = NULL;
    struct dc_plan *plan = NULL;
    char *x;
    size_t size;
    DC_TRY(dc_arena_create(&arena, error));
    DC_TRY(dc_file_read(&x, &size, in, arena, error));
    const int64_t rows = (int64_t)size / 4 / dc_shape_row(&n->graph->nodes[n->input].shape);
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = rows, .outputs = &n->output, .output_count = 1};
    DC_TRY(dc_ctx_create(&ctx, &settings, error));
    DC_TRY(dc_plan_create(&plan, ctx, n->graph, &config, error));
    dc_plan_bind(plan, n->input, (const float *)x);
    DC_TRY(dc_plan_forward(plan, n->params, rows, NULL, error));
    DC_TRY(dc_file_write(out, dc_plan_value(plan, n->output),
                         4 * (size_t)(rows * dc_shape_row(&n->graph->nodes[n->output].shape)),
                         error));
    dc_plan_free(plan);
    dc_ctx_free(ctx);
    dc_arena_free(arena);
    return DC_OK;
}

static enum dc_status run_integers(const struct dc_imported *n, const char *profile, const char *in,
                                   const char *out, struct dc_error *error)
{
    const struct dc_ctx_config settings = {.threads = 1};
    struct dc_imodel *model = NULL;
    struct dc_engine *engine = NULL;
    struct dc_ctx *ctx = NULL;
    char *x;
    size_t size;
    if (!n->codes || !dc_profile_find(profile))
        return dc_fail(error, DC_ERR_DATA, "no integers, or no profile %s", profile);
    DC_TRY(dc_ctx_create(&ctx, &settings, error));
    DC_TRY(dc_imodel_from_graph(&model, n->graph, n->codes, n->output, "read", "",
                                dc_profile_find(profile), error));
    DC_TRY(dc_engine_create(&engine, ctx, model, error));
    DC_TRY(dc_file_read(&x, &size, in, model->arena, error));
    const int64_t rows = (int64_t)size / dc_ilayer_size(&model->layers[0]);
    const int64_t codes = dc_ilayer_size(dc_imodel_output(model));
    int8_t *y = DC_NEW(model->arena, int8_t, rows * codes, error);
    if (!y)
        return DC_ERR_MEMORY;
    dc_engine_run(engine, y, (const int8_t *)x, rows);
    DC_TRY(dc_file_write(out, y, (size_t)(rows * codes), error));
    dc_engine_free(engine);
    dc_imodel_free(model);
    dc_ctx_free(ctx);
    return DC_OK;
}

static int write_operators(const char *folder)
{
    static struct dc_error error;
    char path[4096];
    for (int i = 0; i < test_tflite_read_count; i++) {
        snprintf(path, sizeof path, "%s/%s.tflite", folder, test_tflite_read[i].name);
        if (test_tflite_write(path, &test_tflite_read[i], &error) != DC_OK) {
            fprintf(stderr, "%s\n", error.message);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct dc_error error;
    struct dc_imported *network = NULL;
    if (argc == 3 && strcmp(argv[1], "--operators") == 0)
        return write_operators(argv[2]);
    if (argc != 5)
        return 2;
    enum dc_status status = dc_tflite_read(&network, argv[1], NULL, &error);
    if (status == DC_OK)
        status = strcmp(argv[2], "floats") != 0
                     ? run_integers(network, argv[2], argv[3], argv[4], &error)
                     : run_floats(network, argv[3], argv[4], &error);
    dc_imported_free(network);
    if (status != DC_OK)
        fprintf(stderr, "%s\n", error.message);
    return dc_exit_code(status);
}
