#include "tests/qat/helper_simulate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/plan.h"
#include "qat/simulate.h"

enum { BATCH = 32 };

static void must(enum dc_status status, const struct dc_error *error)
{
    if (status != DC_OK)
        fail_msg("%s", error->message);
}

int64_t test_simulation_apart(const struct dc_ctx *ctx, const struct dc_imodel *model,
                              const int8_t *inputs, const int8_t *outputs, int64_t rows)
{
    const struct dc_ilayer *in = &model->layers[0];
    const int64_t in_size = dc_ilayer_size(in), out_size = dc_ilayer_size(dc_imodel_output(model));
    const struct dc_shape sample = DC_SHAPE(DC_BATCH, in->height, in->width, in->channels);
    struct dc_error error;
    struct dc_graph *graph = NULL;
    struct dc_params *params = NULL;
    struct dc_plan *plan = NULL;
    int input, output;
    int64_t apart = 0;
    must(dc_simulate(&graph, &params, &input, &output, model, &sample, &error), &error);
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = BATCH, .outputs = &output, .output_count = 1};
    must(dc_plan_create(&plan, ctx, graph, &config, &error), &error);
    float *x = malloc(sizeof *x * (size_t)(BATCH * (in_size + out_size)));
    float *y = x + BATCH * in_size;
    assert_non_null(x);
    for (int64_t first = 0; first < rows; first += BATCH) {
        const int64_t count = rows - first < BATCH ? rows - first : BATCH;
        const struct dc_step step = {.total_batch = count};
        for (int64_t i = 0; i < count * in_size; i++)
            x[i] = in->scale * (float)(inputs[first * in_size + i] - in->zero_point);
        dc_plan_bind(plan, input, x);
        must(dc_plan_forward(plan, params, count, &step, &error), &error);
        dc_imodel_dequantize_output(y, model, outputs + first * out_size, count * out_size);
        const float *have = dc_plan_value(plan, output);
        for (int64_t i = 0; i < count * out_size; i++)
            apart += have[i] != y[i];
    }
    free(x);
    dc_plan_free(plan);
    dc_params_free(params);
    dc_graph_free(graph);
    return apart;
}
