// Whole networks as integers, for the judges: their weights are random, their ranges those of
// random inputs.

#include "tests/interop/helper_network.h"

#include <stdlib.h>

#include "core/plan.h"
#include "qat/calibrate.h"
#include "qat/fold.h"
#include "qat/lower.h"
#include "qat/quantize.h"
#include "run/model.h"
#include "tests/formats/helper_networks.h"

enum { CALIBRATION_ROWS = 64 };

enum dc_status test_lower_random(struct dc_imodel **model, const char *path,
                                 const struct dc_profile *profile, int weight_bits,
                                 int activation_bits, struct dc_error *error)
{
    const struct dc_quantize_config config = {.observer = DC_OBSERVER_MIN_MAX,
                                              .weight_bits = weight_bits,
                                              .activation_bits = activation_bits,
                                              .first_last_bits = 8,
                                              .power_of_two = profile->power_of_two,
                                              .folded = profile->power_of_two};
    const struct dc_ctx_config settings = {.threads = 1};
    const struct dc_step step = dc_calibration_step();
    struct dc_lower_report report;
    struct dc_model m;
    struct dc_graph *g = NULL;
    struct dc_params *params = NULL;
    struct dc_ctx *ctx = NULL;
    struct dc_plan *plan = NULL;
    int output = -1, folded = 0;
    DC_TRY(dc_model_read(&m, &(struct dc_model_spec){.path = path}, error));
    DC_TRY(dc_quantize_graph(&g, &output, m.graph, m.output, &config, error));
    DC_TRY(dc_params_create(&params, g, 0, false, error));
    dc_params_init(params, 3);
    if (config.folded)
        dc_fold_batch_norms(&folded, g, params);
    const struct dc_plan_config plan_config = {
        .mode = DC_INFERENCE, .max_rows = CALIBRATION_ROWS, .outputs = &output, .output_count = 1};
    const int64_t count = CALIBRATION_ROWS * dc_shape_count(&m.sample);
    float *x = malloc(sizeof *x * (size_t)count);
    if (!x)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    test_network_input(x, count);
    DC_TRY(dc_ctx_create(&ctx, &settings, error));
    DC_TRY(dc_plan_create(&plan, ctx, g, &plan_config, error));
    const char *input = m.graph->nodes[m.input].name;
    dc_plan_bind(plan, dc_graph_find(g, input), x);
    DC_TRY(dc_plan_forward(plan, params, CALIBRATION_ROWS, &step, error));
    DC_TRY(dc_lower(model, g, params, input, g->nodes[output].name, m.name, "random weights",
                    profile, &report, error));
    dc_plan_free(plan);
    dc_ctx_free(ctx);
    free(x);
    dc_params_free(params);
    dc_graph_free(g);
    dc_model_free(&m);
    return DC_OK;
}
