// Fake quantization and the quantizing pass: where quantizers stand, with how many bits, and what
// they compute; what cannot be quantized.

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/kernels/kernels.h"
#include "core/plan.h"
#include "core/random.h"
#include "qat/calibrate.h"
#include "qat/engine.h"
#include "qat/lower.h"
#include "qat/profile.h"
#include "qat/quantize.h"
#include "tests/qat/helper_graphs.h"

static void expect_quantizers(const struct dc_graph *g, const char *const *wanted)
{
    int count = 0;
    for (int i = 0; i < g->count; i++)
        count += g->nodes[i].op == &dc_op_fake_quantize;
    int listed = 0;
    for (; wanted[listed]; listed++) {
        if (dc_graph_find(g, wanted[listed]) < 0)
            fail_msg("no quantizer '%s'", wanted[listed]);
    }
    assert_int_equal(count, listed);
}

static void quantizers_stand_where_the_rules_say(void **state)
{
    (void)state;
    int output, at;
    struct dc_graph *g = test_network(&output), *q = NULL;
    const struct dc_quantize_config config = {.observer = DC_OBSERVER_MIN_MAX};
    test_must(dc_quantize_graph(&q, &at, g, output, &config, &test_error));
    expect_quantizers(q, (const char *const[]){"image.quant", "relu.quant", "relu6.quant",
                                               "pointwise.quant", "sum_relu.quant", "gap.quant",
                                               "logits.quant", NULL});
    assert_string_equal(q->nodes[at].name, "logits.quant");
    assert_ptr_equal(q->nodes[dc_graph_find(q, "conv")].op, &dc_op_quantized_conv);
    // The add reads both quantized values, the pool the sum's.
    const struct dc_node *sum = &q->nodes[dc_graph_find(q, "sum")];
    assert_string_equal(q->nodes[sum->inputs[0]].name, "relu.quant");
    assert_string_equal(q->nodes[sum->inputs[1]].name, "pointwise.quant");
    assert_string_equal(q->nodes[q->nodes[dc_graph_find(q, "pool")].inputs[0]].name,
                        "sum_relu.quant");
    // Every float slice has its namesake, and nothing else but ranges is new.
    struct dc_params *from = test_random_params(g), *to = NULL;
    int copied = 0;
    test_must(dc_params_create(&to, q, 0, false, &test_error));
    test_must(dc_params_copy_by_name(to, from, &copied, &test_error));
    assert_int_equal(copied, from->count);
    assert_int_equal(to->count, from->count + 7);
    dc_params_free(from);
    dc_params_free(to);
    dc_graph_free(g);
    dc_graph_free(q);
}

// Over a whole map: a mean with a scale of its own. Over a part of it, or with a ReLU that it takes
// in: a pool, which has its input's scale.
static void average_over_a_map_is_a_mean(void **state)
{
    (void)state;
    for (int trial = 0; trial < 3; trial++) {
        const int kernel = trial == 1 ? 3 : 6;
        struct dc_graph *g = test_start(6, 6, 2), *q = NULL;
        const struct dc_pool_attributes pool = {
            .window = {.kernel = {kernel, kernel}, .stride = {kernel, kernel}, .dilation = {1, 1}}};
        int x = test_add(g, "pool", &dc_op_average_pool, &pool,
                         test_add_conv(g, "a", 0, 4, 3, 1, 1, true), -1);
        if (trial == 2)
            x = test_add(g, "relu", &dc_op_relu, NULL, x, -1);
        const int output = test_add_conv(g, "out", x, 3, 1, 1, 1, true);
        const struct dc_quantize_config config = {.observer = DC_OBSERVER_MIN_MAX};
        int at;
        test_must(dc_quantize_graph(&q, &at, g, output, &config, &test_error));
        expect_quantizers(
            q, trial == 0 ? (const char *const[]){"image.quant", "a.quant", "pool.quant",
                                                  "out.quant", NULL}
                          : (const char *const[]){"image.quant", "a.quant", "out.quant", NULL});
        struct dc_params *p = test_random_params(q);
        float images[TEST_ROWS * 6 * 6 * 2];
        test_fill(images, TEST_ROWS * 72, 2);
        test_run(q, p, at, images, dc_calibration_step(), NULL);
        struct dc_imodel *m = NULL;
        struct dc_lower_report report;
        test_must(dc_lower(&m, q, p, "image", "out", "pool", "", dc_profile_find("tflm"), &report,
                           &test_error));
        assert_int_equal(m->layers[2].op, trial == 0 ? DC_I_MEAN : DC_I_AVERAGE_POOL);
        assert_int_equal(m->layers[2].scale == m->layers[1].scale, trial > 0);
        dc_imodel_free(m);
        dc_params_free(p);
        dc_graph_free(g);
        dc_graph_free(q);
    }
}

// Sigmoid and tanh have the grids that runtimes demand, whatever was observed; the integers are the
// simulated codes but for sums near ties.
static void functions_are_tables(void **state)
{
    (void)state;
    enum { OUT = 3 * 36 };
    static const struct dc_quantize_config configs[] = {
        {.observer = DC_OBSERVER_MIN_MAX},
        {.symmetric = true},
        {.activation_scaling = DC_STEP_LEARNED},
    };
    for (size_t c = 0; c < sizeof configs / sizeof configs[0]; c++) {
        struct dc_graph *g = test_start(6, 6, 2), *q = NULL;
        int at;
        int y = test_add(g, "gate", &dc_op_sigmoid, NULL,
                         test_add_conv(g, "a", 0, 4, 3, 1, 1, true), -1);
        y = test_add(g, "bent", &dc_op_tanh, NULL, test_add_conv(g, "b", y, 4, 3, 1, 1, true), -1);
        y = test_add(g, "swish", &dc_op_h_swish, NULL, test_add_conv(g, "c", y, 4, 3, 1, 1, true),
                     -1);
        const int output = test_add_conv(g, "out", y, 3, 1, 1, 1, true);
        test_must(dc_quantize_graph(&q, &at, g, output, &configs[c], &test_error));
        expect_quantizers(q, (const char *const[]){"image.quant", "a.quant", "gate.quant",
                                                   "b.quant", "bent.quant", "c.quant",
                                                   "swish.quant", "out.quant", NULL});
        struct dc_params *p = test_random_params(q);
        static float images[TEST_ROWS * 72], simulated[TEST_ROWS * OUT];
        static int8_t codes[TEST_ROWS * 72], got[TEST_ROWS * OUT];
        test_fill(images, TEST_ROWS * 72, 2);
        test_run(q, p, at, images, dc_calibration_step(), NULL);
        test_must(dc_calibrate_scales(q, p, &test_error));
        const struct dc_step step = {0};
        test_run(q, p, at, images, step, simulated);
        struct dc_imodel *m = NULL;
        struct dc_engine *engine = NULL;
        struct dc_lower_report report;
        test_must(dc_lower(&m, q, p, "image", "out", "tables", "", dc_profile_find("onnxruntime"),
                           &report, &test_error));
        assert_int_equal(m->count, 8);
        assert_int_equal(m->layers[2].op, DC_I_TABLE);
        assert_true(m->layers[2].scale == 1.0f / 256 && m->layers[2].zero_point == -128);
        assert_true(m->layers[4].scale == 1.0f / 128 && m->layers[4].zero_point == 0);
        assert_int_equal(m->layers[6].function, DC_F_H_SWISH);
        test_must(dc_imodel_quantize_input(codes, m, images, TEST_ROWS * 72, &test_error));
        test_must(dc_engine_create(&engine, test_ctx, m, &test_error));
        dc_engine_run(engine, got, codes, TEST_ROWS);
        int equal = 0;
        for (int i = 0; i < TEST_ROWS * OUT; i++) {
            const int promised = (int)lrintf(simulated[i] / dc_imodel_output(m)->scale) +
                                 dc_imodel_output(m)->zero_point;
            equal += promised == got[i];
            assert_true(abs(promised - got[i]) <= 2);
        }
        assert_true(equal >= TEST_ROWS * OUT * 9 / 10);
        dc_engine_free(engine);
        dc_imodel_free(m);
        dc_params_free(p);
        dc_graph_free(g);
        dc_graph_free(q);
    }
}

static void concat_inputs_share_one_quantizer(void **state)
{
    (void)state;
    int at;
    struct dc_graph *g = test_start(6, 6, 2), *q = NULL;
    const struct dc_pool_attributes pool = {.window = {.kernel = {3, 3},
                                                       .stride = {1, 1},
                                                       .dilation = {1, 1},
                                                       .before = {1, 1},
                                                       .after = {1, 1}}};
    const struct dc_concat_attributes last = {-1};
    const int a = test_add(g, "relu", &dc_op_relu, NULL, test_add_conv(g, "a", 0, 4, 3, 1, 1, true),
                           -1);
    const int b = test_add(g, "pool", &dc_op_average_pool, &pool,
                           test_add_conv(g, "b", 0, 3, 1, 1, 1, true), -1);
    const int both = test_add(g, "both", &dc_op_concat, &last, a, b);
    const int output = test_add_conv(g, "out", both, 4, 1, 1, 1, true);
    const struct dc_quantize_config config = {.observer = DC_OBSERVER_MIN_MAX};
    test_must(dc_quantize_graph(&q, &at, g, output, &config, &test_error));
    expect_quantizers(q, (const char *const[]){"image.quant", "both.quant", "out.quant", NULL});
    struct dc_params *p = test_random_params(q);
    float x[TEST_ROWS * 6 * 6 * 2];
    test_fill(x, TEST_ROWS * 72, 1);
    test_run(q, p, at, x, dc_calibration_step(), NULL);
    struct dc_imodel *m = NULL;
    struct dc_lower_report report;
    test_must(dc_lower(&m, q, p, "image", "out", "concat", "", dc_profile_find("tflm"), &report,
                       &test_error));
    assert_int_equal(report.layers, 6);
    assert_true(m->layers[1].scale == m->layers[2].scale);
    assert_int_equal(m->layers[1].clamp_low, m->layers[1].zero_point);
    dc_imodel_free(m);
    dc_params_free(p);
    dc_graph_free(g);
    dc_graph_free(q);
}

static void what_has_no_integers_is_refused(void **state)
{
    (void)state;
    int at;
    struct dc_graph *q = NULL;
    const struct dc_quantize_config config = {.observer = DC_OBSERVER_MIN_MAX};
    const struct dc_slice_attributes gaps = {.axis = -1, .begin = 0, .end = 4, .step = 2},
                                     back = {.axis = 1, .begin = 3, .end = 0, .step = -1};
    for (int trial = 0; trial < 6; trial++) {
        struct dc_graph *g = test_start(4, 4, 4);
        const int conv = test_add_conv(g, "conv", 0, 4, 1, 1, 1, false);
        int output;
        if (trial == 0)
            output = test_add(g, "bad", &dc_op_softmax, &(struct dc_softmax_attributes){.axis = -2},
                              conv, -1);
        else if (trial == 1)
            output = test_add_norm(g, "bad", 0);
        else if (trial == 2)
            output = test_add_conv(g, "bad", conv, 4, 1, 1, 2, false);  // in two groups
        else if (trial < 5)
            output = test_add(g, "bad", &dc_op_slice, trial == 3 ? &gaps : &back, conv, -1);
        else
            output = test_add(g, "end", &dc_op_add, NULL, conv,
                              test_add(g, "bad", &dc_op_relu, NULL, conv, -1));
        assert_int_equal(dc_quantize_graph(&q, &at, g, output, &config, &test_error),
                         DC_ERR_CONFIG);
        assert_non_null(strstr(test_error.message, "'bad'"));
        dc_graph_free(g);
    }
}

// Independent of the library's formula: brute force over the 256 codes for the nearest value.
static void rounding_takes_the_nearest_code(void **state)
{
    (void)state;
    const float ranges[][2] = {{-1.0f, 2.0f}, {0.0f, 6.0f}, {-3.0f, -1.0f}, {0.5f, 0.7f}, {0, 0}};
    for (size_t r = 0; r < sizeof ranges / sizeof ranges[0]; r++) {
        const struct dc_grid grid = dc_grid_of_range(ranges[r][0], ranges[r][1], 8);
        assert_true(grid.zero_point >= -128.0f && grid.zero_point <= 127.0f);
        assert_true(grid.step >= DC_STEP_FLOOR);
        assert_true(grid.zero_point == floorf(grid.zero_point));
        // The grid covers the range with 0 in it, within half a step at either end.
        const double low = fmin(0.0, (double)ranges[r][0]), high = fmax(0.0, (double)ranges[r][1]);
        const double first = (double)grid.step * (-128.0 - (double)grid.zero_point);
        const double last = (double)grid.step * (127.0 - (double)grid.zero_point);
        assert_true(fabs(first - low) <= 0.501 * (double)grid.step);
        assert_true(high == 0.0 || fabs(last - high) <= 0.501 * (double)grid.step);
        float x[1000], y[1000];
        float one[1000], pass[1000];
        for (int i = 0; i < 1000; i++)
            x[i] = ((float)i - 500.0f) * 0.011f;
        x[0] = INFINITY;
        x[1] = -INFINITY;
        x[2] = NAN;
        for (int i = 0; i < 1000; i++)
            one[i] = 1.0f;
        struct dc_epilogue epilogue = {.channels = 1, .period = dc_epilogue_period(1)};
        dc_epilogue_begin(&epilogue);
        dc_epilogue_quantize(&epilogue, grid);
        const struct dc_kernels *kernels = dc_kernels_for(dc_isa_detected());
        kernels->epilogue(y, x, &epilogue, 1000);
        kernels->epilogue_gradient(pass, one, x, &epilogue, 1000, false);
        assert_true(isnan(y[2]) && pass[2] == 1.0f);
        for (int i = 0; i < 1000; i++) {
            double best = INFINITY, lowest = 0.0, highest = 0.0;
            for (int code = -128; code <= 127 && i != 2; code++) {
                const double value = (double)grid.step * (code - (double)grid.zero_point);
                const double distance = fabs(value - fmax(-1e9, fmin(1e9, (double)x[i])));
                best = fmin(best, distance);
                lowest = fmin(lowest, value);
                highest = fmax(highest, value);
            }
            if (i == 2)
                continue;
            const double slack = 1e-5 * (fabs((double)x[i]) < 1e9 ? fabs((double)x[i]) : 1.0);
            const double distance = fabs((double)y[i] - fmax(-1e9, fmin(1e9, (double)x[i])));
            assert_true(distance <= best + slack + 1e-9 || isinf(x[i]));
            const double half = 0.5 * (double)grid.step;
            const bool inside = (double)x[i] > lowest - half * 0.98 &&
                                (double)x[i] < highest + half * 0.98;
            const bool outside = (double)x[i] < lowest - half * 1.02 ||
                                 (double)x[i] > highest + half * 1.02;
            if (inside || outside)
                assert_true(pass[i] == (inside ? 1.0f : 0.0f));
        }
    }
}

static void observers_follow_their_rules(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct dc_graph *g = test_start(1, 1, 4);
        const struct dc_fake_quantize_attributes a = {.observer = kind ? DC_OBSERVER_MIN_MAX
                                                                       : DC_OBSERVER_MOVING_AVERAGE,
                                                      .constant = 0.25f,
                                                      .bits = 8};
        const int node = test_add(g, "q", &dc_op_fake_quantize, &a, 0, -1);
        struct dc_params *p = NULL;
        test_must(dc_params_create(&p, g, 0, false, &test_error));
        float x[TEST_ROWS * 4] = {0};
        struct dc_plan *plan = NULL;
        const struct dc_plan_config config = {
            .mode = DC_INFERENCE, .max_rows = TEST_ROWS, .outputs = &node, .output_count = 1};
        test_must(dc_plan_create(&plan, test_ctx, g, &config, &test_error));
        dc_plan_bind(plan, 0, x);
        struct dc_step step = {0};
        assert_int_equal(dc_plan_forward(plan, p, TEST_ROWS, &step, &test_error), DC_ERR_NUMERIC);
        assert_non_null(strstr(test_error.message, "calibrate"));
        assert_int_equal(dc_observers_check(g, p, &test_error), DC_ERR_NUMERIC);
        step = dc_calibration_step();
        x[7] = 4.0f;
        x[90] = -2.0f;
        test_must(dc_plan_forward(plan, p, TEST_ROWS, &step, &test_error));
        const float *range = test_values(p, "q.range");
        assert_true(range[0] == -2.0f && range[1] == 4.0f && range[2] == 1.0f);
        assert_memory_equal(dc_plan_value(plan, node), x, sizeof x);  // passed through
        x[7] = 8.0f;
        x[90] = -1.0f;
        test_must(dc_plan_forward(plan, p, TEST_ROWS, &step, &test_error));
        assert_true(range[0] == (kind ? -2.0f : -1.75f) && range[1] == (kind ? 8.0f : 5.0f));
        test_must(dc_observers_check(g, p, &test_error));
        x[3] = NAN;
        assert_int_equal(dc_plan_forward(plan, p, TEST_ROWS, &step, &test_error), DC_ERR_NUMERIC);
        assert_non_null(strstr(test_error.message, "not finite"));
        step.freeze_observers = true;
        test_must(dc_plan_forward(plan, p, TEST_ROWS, &step, &test_error));
        dc_observers_reset(p);
        assert_true(range[2] == 0.0f);
        dc_plan_free(plan);
        dc_params_free(p);
        dc_graph_free(g);
    }
}

// Bits of every layer of test_network(), and codes that use them.
static void bits_stand_where_the_rules_say(void **state)
{
    (void)state;
    static const struct dc_layer_bits mixed[] = {{"depthwise", 2, 0}, {"relu", 0, 6}};
    static const struct {
        struct dc_quantize_config config;
        int bits[8], weights[8];  // image conv depthwise pointwise sum pool gap logits
    } cases[] = {
        {{.weight_bits = 4}, {8, 8, 8, 8, 8, 8, 8, 8}, {0, 4, 4, 4, 0, 0, 0, 4}},
        {{.weight_bits = 2, .activation_bits = 4, .first_last_bits = 8},
         {8, 4, 4, 4, 4, 4, 8, 8},
         {0, 8, 2, 2, 0, 0, 0, 8}},
        {{.weight_bits = 4, .activation_bits = 4, .layers = mixed, .layer_count = 2},
         {8, 6, 4, 4, 4, 4, 4, 4},
         {0, 4, 2, 4, 0, 0, 0, 4}},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        int output, at;
        struct dc_graph *g = test_network(&output), *q = NULL;
        struct dc_imodel *m = NULL;
        struct dc_lower_report report;
        static float x[TEST_ROWS * 12 * 10 * 3];
        test_must(dc_quantize_graph(&q, &at, g, output, &cases[k].config, &test_error));
        struct dc_params *p = test_random_params(q);
        test_fill(x, TEST_ROWS * 12 * 10 * 3, 2);
        test_run(q, p, at, x, dc_calibration_step(), NULL);
        test_must(dc_lower(&m, q, p, "image", "logits", "net", "", dc_profile_find("tflm"), &report,
                           &test_error));
        assert_int_equal(m->count, 8);
        for (int i = 0; i < m->count; i++) {
            const struct dc_ilayer *l = &m->layers[i];
            int most = 0;
            for (int64_t w = 0; w < l->weight_count; w++)
                most = abs(l->weights[w]) > most ? abs(l->weights[w]) : most;
            assert_int_equal(l->bits, cases[k].bits[i]);
            assert_int_equal(l->weight_bits, cases[k].weights[i]);
            assert_true(l->clamp_low >= -(1 << (l->bits - 1)));
            assert_true(l->clamp_high < 1 << (l->bits - 1));
            assert_int_equal(most, l->weight_count ? (1 << (l->weight_bits - 1)) - 1 : 0);
        }
        dc_imodel_free(m);
        dc_params_free(p);
        dc_graph_free(g);
        dc_graph_free(q);
    }
}

static void bits_that_fit_no_layer_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct dc_layer_bits layer;
        const char *says;
    } cases[] = {
        {{"nosuch", 4, 0}, "no layer 'nosuch'"},
        {{"sum", 4, 0}, "no weights"},
        {{"pool", 0, 4}, "no activations of its own"},
        {{"image", 0, 4}, "no activations of its own"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        int output, at;
        struct dc_graph *g = test_network(&output), *q = NULL;
        const struct dc_quantize_config config = {.layers = &cases[k].layer, .layer_count = 1};
        assert_int_equal(dc_quantize_graph(&q, &at, g, output, &config, &test_error),
                         DC_ERR_CONFIG);
        assert_non_null(strstr(test_error.message, cases[k].says));
        dc_graph_free(g);
    }
    int output, at;
    struct dc_graph *g = test_network(&output), *q = NULL;
    const struct dc_quantize_config shared = {.conv_per_tensor = true};
    assert_int_equal(dc_quantize_graph(&q, &at, g, output, &shared, &test_error), DC_ERR_CONFIG);
    assert_non_null(strstr(test_error.message, "'conv'"));
    dc_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantizers_stand_where_the_rules_say),
        cmocka_unit_test(average_over_a_map_is_a_mean),
        cmocka_unit_test(functions_are_tables),
        cmocka_unit_test(concat_inputs_share_one_quantizer),
        cmocka_unit_test(what_has_no_integers_is_refused),
        cmocka_unit_test(rounding_takes_the_nearest_code),
        cmocka_unit_test(observers_follow_their_rules),
        cmocka_unit_test(bits_stand_where_the_rules_say),
        cmocka_unit_test(bits_that_fit_no_layer_are_refused),
    };
    return cmocka_run_group_tests(tests, test_set_up, test_tear_down);
}
