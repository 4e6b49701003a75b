// Functions that a runtime has in parts, and those that a layer takes in.

#include "qat/split.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "helper_graphs.h"
#include "qat/calibrate.h"
#include "qat/compare.h"
#include "qat/engine.h"
#include "qat/fold.h"
#include "qat/lower.h"
#include "qat/profile.h"
#include "qat/quantize.h"

enum { IN = 6 * 6 * 2, OUT = 6 * 6 * 3, VALUES = TEST_ROWS * OUT };

static float images[TEST_ROWS * IN], wanted[VALUES], simulated[VALUES], got[VALUES];
static int8_t codes[TEST_ROWS * IN], output[VALUES];

// conv, a function, conv; calibrated, lowered and run: integers are the simulation but for ties,
// and near the float network. The model is the caller's.
static struct dc_imodel *integers(const struct dc_graph *g, int last, struct dc_params *plain,
                                  const struct dc_profile *profile)
{
    const struct dc_quantize_config config = {.observer = DC_OBSERVER_MIN_MAX,
                                              .power_of_two = profile->power_of_two,
                                              .folded = profile->power_of_two};
    struct dc_graph *q = NULL;
    struct dc_imodel *m = NULL;
    struct dc_engine *engine = NULL;
    struct dc_lower_report report;
    struct dc_comparison *comparison = NULL;
    int at, copied;
    test_must(dc_quantize_graph(&q, &at, g, last, &config, &test_error));
    struct dc_params *p = test_random_params(q);
    test_must(dc_params_copy_by_name(p, plain, &copied, &test_error));
    if (config.folded)
        dc_fold_batch_norms(&copied, q, p);
    test_fill(images, TEST_ROWS * IN, 2);
    test_run(g, plain, last, images, (struct dc_step){0}, wanted);
    test_run(q, p, at, images, dc_calibration_step(), NULL);
    test_must(dc_calibrate_scales(q, p, &test_error));
    test_run(q, p, at, images, (struct dc_step){0}, simulated);
    test_must(dc_lower(&m, q, p, "image", "out", "m", "", profile, &report, &test_error));
    test_must(dc_imodel_quantize_input(codes, m, images, TEST_ROWS * IN, &test_error));
    test_must(dc_engine_create(&engine, test_ctx, m, &test_error));
    dc_engine_run(engine, output, codes, TEST_ROWS);
    dc_imodel_dequantize_output(got, m, output, VALUES);
    const double step = (double)dc_imodel_output(m)->scale;
    for (int i = 0; i < VALUES; i++) {
        if (!(fabs((double)got[i] - (double)simulated[i]) <= 2.01 * step))
            fail_msg("%s, value %d: %g, simulated %g, a step is %g", profile->name, i,
                     (double)got[i], (double)simulated[i], step);
        if (!(fabs((double)got[i] - (double)wanted[i]) <= 12.0 * step))
            fail_msg("%s, value %d: %g, float %g, a step is %g", profile->name, i, (double)got[i],
                     (double)wanted[i], step);
    }
    test_must(dc_comparison_create(&comparison, test_ctx, m, g, plain, 0, &test_error));
    test_must(dc_comparison_add(comparison, images, 4, &test_error));
    for (int i = 1; i < m->count; i++)
        assert_true(dc_comparison_layer(comparison, i).sqnr > 20.0);
    dc_comparison_free(comparison);
    dc_engine_free(engine);
    dc_params_free(p);
    dc_graph_free(q);
    return m;
}

static void silu_is_a_sigmoid_and_a_product_in_tflite(void **state)
{
    (void)state;
    struct dc_graph *g = test_start(6, 6, 2), *split = NULL;
    int y = test_add_norm(g, "n", test_add_conv(g, "a", 0, 4, 3, 1, 1, true));
    y = test_add(g, "act", &dc_op_silu, NULL, y, -1);
    const int last = test_add_conv(g, "out", y, 3, 1, 1, 1, true);
    struct dc_params *plain = test_random_params(g);
    int map[8];
    for (const struct dc_profile *const *p = dc_profile_table(); *p; p++) {
        const bool parts = (*p)->runtime >= DC_RUNTIME_TFLM;
        assert_int_equal(dc_is_split(g, *p), parts);
        test_must(dc_split_functions(&split, map, g, *p, &test_error));
        assert_int_equal(split->count, g->count + parts);
        assert_string_equal(split->nodes[map[last]].name, "out");
        struct dc_imodel *m = integers(split, map[last], plain, *p);
        assert_int_equal(m->count, parts ? 5 : 4);
        assert_string_equal(m->layers[2].name, parts ? "act.gate" : "act");
        assert_int_equal(m->layers[2].op, DC_I_TABLE);
        assert_int_equal(m->layers[2].function, parts ? DC_F_SIGMOID : DC_F_SILU);
        if (parts) {
            assert_int_equal(m->layers[3].op, DC_I_MULTIPLY);
            assert_string_equal(m->layers[3].name, "act");
        }
        dc_imodel_free(m);
        dc_graph_free(split);
    }
    dc_params_free(plain);
    dc_graph_free(g);
}

// Its line goes into the convolution's scales and biases, its ends are those of the codes. Where
// scales are powers of two, or something else reads the sums, it is a table.
static void hard_sigmoid_is_in_the_layer_before_it(void **state)
{
    (void)state;
    static const struct dc_hard_sigmoid_attributes line = {1.0f / 6.0f, 0.5f};
    for (int trial = 0; trial < 3; trial++) {  // bare; normalized; read by another
        struct dc_graph *g = test_start(6, 6, 2);
        int y = test_add_conv(g, "a", 0, 4, 3, 1, 1, true);
        if (trial == 1)
            y = test_add_norm(g, "n", y);
        int gate = test_add(g, "gate", &dc_op_hard_sigmoid, &line, y, -1);
        if (trial == 2)
            gate = test_add(g, "gated", &dc_op_multiply, NULL, y, gate);
        const int last = test_add_conv(g, "out", gate, 3, 1, 1, 1, true);
        struct dc_params *plain = test_random_params(g);
        for (const struct dc_profile *const *p = dc_profile_table(); *p; p++) {
            struct dc_imodel *m = integers(g, last, plain, *p);
            const bool taken = trial < 2 && !(*p)->power_of_two;
            assert_int_equal(m->count, (taken ? 3 : 4) + (trial == 2));
            if (taken) {
                assert_int_equal(m->layers[1].op, DC_I_CONV2D);
                assert_true(m->layers[1].scale == 1.0f / 255.0f);
                assert_int_equal(m->layers[1].zero_point, -128);
                assert_int_equal(m->layers[1].clamp_low, -128);
                assert_int_equal(m->layers[1].clamp_high, 127);
            } else {
                assert_int_equal(m->layers[2].function, DC_F_HARD_SIGMOID);
            }
            dc_imodel_free(m);
        }
        dc_params_free(plain);
        dc_graph_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silu_is_a_sigmoid_and_a_product_in_tflite),
        cmocka_unit_test(hard_sigmoid_is_in_the_layer_before_it),
    };
    return cmocka_run_group_tests(tests, test_set_up, test_tear_down);
}
