// Writes what judge_tflite_float.py judges: write_tflite_float FOLDER [MODEL.yaml ...], float
// networks as TFLite: those of tests/formats that TFLite has the ops of (the names of the others
// are printed), and model files with random weights. Beside NAME.tflite stand NAME.in and NAME.out,
// float32, NHWC.

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/plan.h"
#include "formats/tflite_write.h"
#include "run/model.h"
#include "tests/formats/helper_networks.h"

enum { ROWS = 5 };

static enum dc_status run(float *y, const struct dc_graph *graph, struct dc_params *params,
                          int input, int output, const float *x, struct dc_error *error)
{
    const struct dc_ctx_config settings = {.threads = 1};
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = ROWS, .outputs = &output, .output_count = 1};
    const struct dc_step step = {0};
    struct dc_ctx *ctx = NULL;
    struct dc_plan *plan = NULL;
    DC_TRY(dc_ctx_create(&ctx, &settings, error));
    DC_TRY(dc_plan_create(&plan, ctx, graph, &config, error));
    dc_plan_bind(plan, input, x);
    DC_TRY(dc_plan_forward(plan, params, ROWS, &step, error));
    memcpy(y, dc_plan_value(plan, output),
           sizeof *y * ROWS * (size_t)dc_shape_row(&graph->nodes[output].shape));
    dc_plan_free(plan);
    dc_ctx_free(ctx);
    return DC_OK;
}

static enum dc_status write_part(const char *folder, const char *name, const char *ending,
                                 const float *values, size_t count, struct dc_error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%s", folder, name, ending);
    return dc_file_write(path, values, sizeof *values * count, error);
}

// DC_ERR_DATA from the writer: TFLite has no such op.
static enum dc_status write_network(const char *folder, const char *name,
                                    const struct dc_graph *graph, struct dc_params *params,
                                    int input, int output, struct dc_error *error)
{
    char path[4096];
    const size_t in = ROWS * (size_t)dc_shape_row(&graph->nodes[input].shape);
    const size_t out = ROWS * (size_t)dc_shape_row(&graph->nodes[output].shape);
    snprintf(path, sizeof path, "%s/%s.tflite", folder, name);
    const enum dc_status status = dc_tflite_write_float(path, graph, params, input, output, name,
                                                        "random weights", error);
    if (status != DC_OK) {
        printf("refused %s\n", error->message);
        return status == DC_ERR_DATA ? DC_OK : status;
    }
    float *x = malloc(sizeof *x * in), *y = malloc(sizeof *y * out);
    assert_true(x && y);
    test_network_input(x, (int64_t)in);
    DC_TRY(run(y, graph, params, input, output, x, error));
    DC_TRY(write_part(folder, name, "in", x, in, error));
    DC_TRY(write_part(folder, name, "out", y, out, error));
    printf("file %s\n", name);
    free(x);
    free(y);
    return DC_OK;
}

static enum dc_status write_small(const char *folder, struct dc_error *error)
{
    for (int i = 0;; i++) {
        struct test_network n;
        if (!test_network_create(&n, i, error))
            return DC_ERR_DATA;
        if (!n.graph)
            return DC_OK;
        DC_TRY(write_network(folder, n.name, n.graph, n.params, n.input, n.output, error));
        test_network_free(&n);
    }
}

static enum dc_status write_model(const char *folder, const char *path, struct dc_error *error)
{
    struct dc_model m;
    struct dc_params *params = NULL;
    DC_TRY(dc_model_read(&m, &(struct dc_model_spec){.path = path}, error));
    DC_TRY(dc_params_create(&params, m.graph, 0, false, error));
    dc_params_init(params, 3);
    DC_TRY(write_network(folder, m.name, m.graph, params, m.input, m.output, error));
    dc_params_free(params);
    dc_model_free(&m);
    return DC_OK;
}

int main(int argc, char **argv)
{
    static struct dc_error error;
    if (argc < 2)
        return 2;
    enum dc_status status = write_small(argv[1], &error);
    for (int i = 2; i < argc && status == DC_OK; i++)
        status = write_model(argv[1], argv[i], &error);
    if (status != DC_OK)
        fprintf(stderr, "write_tflite_float: %s\n", error.message);
    return dc_exit_code(status);
}
