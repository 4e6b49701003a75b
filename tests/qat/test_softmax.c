// Softmax of codes in each arithmetic against its definition: scales from where all
// exponentials are near 1 to where one alone is left, few channels and many; what is refused; the
// graph that training sees, from quantization to integers.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops/ops.h"
#include "core/plan.h"
#include "qat/calibrate.h"
#include "qat/engine.h"
#include "qat/lower.h"
#include "qat/quantize.h"
#include "qat/softmax.h"
#include "tests/oracles/integer_oracle.h"
#include "tests/qat/helper_models.h"

static struct dc_error error;

static void must(enum dc_status status)
{
    if (status != DC_OK)
        fail_msg("%s", error.message);
}

// A layer of one position.
static struct dc_imodel *softmax_model(const char *profile, float scale, int channels)
{
    struct dc_imodel *m = NULL;
    struct dc_ilayer l = {.name = "x",
                          .op = DC_I_INPUT,
                          .height = 1,
                          .width = 1,
                          .channels = channels,
                          .scale = scale,
                          .zero_point = 17,
                          .bits = 8,
                          .clamp_low = -128,
                          .clamp_high = 127};
    must(dc_imodel_create(&m, "softmax", "", dc_profile_find(profile), &error));
    must(dc_imodel_add(m, &l, NULL, &error));
    l.name = "p";
    l.op = DC_I_SOFTMAX;
    l.input_count = 1;
    l.scale = DC_SOFTMAX_SCALE;
    l.zero_point = DC_SOFTMAX_ZERO_POINT;
    must(dc_imodel_add(m, &l, NULL, &error));
    return m;
}

// Codes of all kinds: spread, near the largest, all equal.
static void choose_codes(int8_t *x, int channels, int kind, struct dc_random *random)
{
    test_fill_codes(x, channels, random);
    for (int c = 0; c < channels && kind > 0; c++)
        x[c] = kind == 1 ? (int8_t)(100 + x[c] % 9) : x[0];
}

static void check_softmax(const char *profile, float scale, int channels, int kind,
                          struct dc_random *random)
{
    int8_t x[600], have[600], wanted[600];
    bool doubtful[600] = {false};
    struct dc_imodel *m = softmax_model(profile, scale, channels);
    const struct oracle_layer o = {.in_c = channels, .in_scale = scale, .low = -128, .high = 127};
    choose_codes(x, channels, kind, random);
    dc_softmax(have, x, &m->layers[1], m->profile);
    if (strcmp(profile, "tflm") == 0)
        oracle_integer_softmax(wanted, x, &o);
    else if (strcmp(profile, "litert-arm64") == 0)
        oracle_short_softmax(wanted, doubtful, x, &o);
    else  // of float32: a sum's error, that of an exponential, of a quotient and two products
        oracle_share_codes(wanted, doubtful, x, 256.0 * 0x1p-24 * (channels + 5), &o);
    for (int c = 0; c < channels; c++)
        if (have[c] != wanted[c] && (!doubtful[c] || abs(have[c] - wanted[c]) > 1))
            fail_msg("%s, scale %g, %d channels: code %d is %d, not %d", profile, (double)scale,
                     channels, c, have[c], wanted[c]);
    dc_imodel_free(m);
}

static void each_matches_its_definition(void **state)
{
    (void)state;
    static const char *const profiles[] = {"tflm", "ruy", "litert-arm64"};
    static const int counts[] = {1, 2, 3, 10, 100, 511};
    struct dc_random random;
    dc_random_start(&random, 21, DC_PURPOSE_TEST, 0, 0);
    for (int trial = 0; trial < 4500; trial++)
        check_softmax(profiles[trial % 3], exp2f(dc_random_between(&random, -14.0f, 8.0f)),
                      counts[trial / 3 % 6], trial / 18 % 3, &random);
}

// The fixed point stays within a code of the reals (reference: 0.0021 % of outputs differ).
static void fixed_point_is_near_the_reals(void **state)
{
    (void)state;
    struct dc_random random;
    int different = 0;
    dc_random_start(&random, 22, DC_PURPOSE_TEST, 0, 0);
    for (int trial = 0; trial < 2000; trial++) {
        int8_t x[10], have[10], wanted[10];
        bool doubtful[10];
        const float scale = exp2f(dc_random_between(&random, -6.0f, 0.0f));
        struct dc_imodel *m = softmax_model("litert-reference", scale, 10);
        const struct oracle_layer o = {.in_c = 10, .in_scale = scale, .low = -128, .high = 127};
        choose_codes(x, 10, trial % 2, &random);
        dc_softmax(have, x, &m->layers[1], m->profile);
        oracle_share_codes(wanted, doubtful, x, 0.0, &o);
        for (int c = 0; c < 10; c++) {
            assert_in_range(have[c] - wanted[c] + 1, 0, 2);
            different += have[c] != wanted[c];
        }
        dc_imodel_free(m);
    }
    assert_in_range(different, 0, 20);
}

static void other_grids_are_refused(void **state)
{
    (void)state;
    struct dc_imodel *m = softmax_model("tflm", 0.1f, 4);
    struct dc_ilayer l = m->layers[1];
    l.scale = 1.0f / 128.0f;
    assert_int_equal(dc_imodel_add(m, &l, NULL, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "scale 0.00390625 and zero point -128"));
    l = m->layers[1];
    l.zero_point = 0;
    assert_int_equal(dc_imodel_add(m, &l, NULL, &error), DC_ERR_DATA);
    dc_imodel_free(m);
    must(dc_imodel_create(&m, "wide", "", dc_profile_find("tflm"), &error));
    l = (struct dc_ilayer){.name = "x",
                           .height = 1,
                           .width = 1,
                           .channels = 4096,
                           .scale = 0.1f,
                           .bits = 8,
                           .clamp_low = -128,
                           .clamp_high = 127};
    must(dc_imodel_add(m, &l, NULL, &error));
    l.op = DC_I_SOFTMAX;
    l.input_count = 1;
    l.scale = DC_SOFTMAX_SCALE;
    l.zero_point = DC_SOFTMAX_ZERO_POINT;
    assert_int_equal(dc_imodel_add(m, &l, NULL, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "4095 channels at most, not 4096"));
    dc_imodel_free(m);
}

// dense, softmax: quantized, calibrated, lowered. The integers' probabilities are those of the
// simulated network to a code, whose grid nobody has to observe.
static void a_graph_ends_in_softmax(void **state)
{
    (void)state;
    enum { IN = 6, OUT = 5, ROWS = 40 };
    const struct dc_ctx_config ctx_config = {.threads = 1};
    const struct dc_quantize_config quantize = {.observer = DC_OBSERVER_MIN_MAX};
    const struct dc_dense_attributes dense = {OUT, true};
    struct dc_ctx *ctx = NULL;
    struct dc_graph *graph = NULL, *quantized = NULL;
    struct dc_params *params = NULL;
    struct dc_plan *plan = NULL;
    struct dc_imodel *model = NULL;
    struct dc_engine *engine = NULL;
    struct dc_lower_report report;
    struct dc_random random;
    int node, output;
    float x[ROWS * IN], y[ROWS * OUT];
    int8_t in[ROWS * IN], out[ROWS * OUT];
    must(dc_ctx_create(&ctx, &ctx_config, &error));
    must(dc_graph_create(&graph, &error));
    must(dc_graph_add_input(graph, "image", DC_F32, &DC_SHAPE(DC_BATCH, IN), &node, &error));
    must(
        dc_graph_add(graph, "logits", &dc_op_dense, &dense, sizeof dense, &node, 1, &node, &error));
    must(dc_graph_add(graph, "p", &dc_op_softmax, NULL, 0, &node, 1, &node, &error));
    must(dc_quantize_graph(&quantized, &output, graph, node, &quantize, &error));
    must(dc_params_create(&params, quantized, 0, false, &error));
    dc_params_init(params, 5);
    dc_random_start(&random, 23, DC_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < ROWS * IN; i++)
        x[i] = dc_random_between(&random, -3.0f, 3.0f);
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = ROWS, .outputs = &output, .output_count = 1};
    must(dc_plan_create(&plan, ctx, quantized, &config, &error));
    dc_plan_bind(plan, dc_graph_find(quantized, "image"), x);
    struct dc_step step = {.total_batch = ROWS, .quantizers_off = true};
    must(dc_plan_forward(plan, params, ROWS, &step, &error));
    step = (struct dc_step){.total_batch = ROWS};
    must(dc_plan_forward(plan, params, ROWS, &step, &error));
    memcpy(y, dc_plan_value(plan, output), sizeof y);
    must(dc_lower(&model, quantized, params, "image", "p", "net", "", dc_profile_find("ruy"),
                  &report, &error));
    assert_int_equal(dc_imodel_output(model)->op, DC_I_SOFTMAX);
    must(dc_imodel_quantize_input(in, model, x, ROWS * IN, &error));
    must(dc_engine_create(&engine, ctx, model, &error));
    dc_engine_run(engine, out, in, ROWS);
    for (int i = 0; i < ROWS * OUT; i++) {
        assert_true(fabsf(y[i] * 256.0f - rintf(y[i] * 256.0f)) == 0.0f);  // on the grid
        assert_true(fabsf(y[i] * 256.0f - (float)(out[i] + 128)) <= 3.0f);
    }
    dc_engine_free(engine);
    dc_imodel_free(model);
    dc_plan_free(plan);
    dc_params_free(params);
    dc_graph_free(quantized);
    dc_graph_free(graph);
    dc_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_matches_its_definition),
        cmocka_unit_test(fixed_point_is_near_the_reals),
        cmocka_unit_test(other_grids_are_refused),
        cmocka_unit_test(a_graph_ends_in_softmax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
