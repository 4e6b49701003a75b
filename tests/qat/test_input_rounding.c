// The network's input becomes codes by the profile's own rounding, and the same ones in training,
// in the integer engine and in simulation: values on half steps, beside them, and far outside.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/kernels/kernels.h"
#include "core/plan.h"
#include "core/random.h"
#include "qat/engine.h"
#include "qat/lower.h"
#include "qat/profile.h"
#include "qat/quantize.h"
#include "qat/simulate.h"
#include "tests/qat/helper_graphs.h"

enum { SIDE = 8, VALUES = SIDE * SIDE * SIDE, COUNT = TEST_ROWS * VALUES };

enum half { AWAY, EVEN, UP };

static const struct {
    const char *profile;
    enum half half;
} rules[] = {
    {"tflm", AWAY},           {"ruy", AWAY},          {"litert-reference", AWAY},
    {"litert-xnnpack", AWAY}, {"litert-arm64", AWAY}, {"litert-builtin", AWAY},
    {"onnxruntime", EVEN},    {"pot-half-up", UP},    {"pot-half-even", EVEN},
    {"pot-half-away", AWAY},
};

static float x[COUNT], y[COUNT], z[COUNT];
static int8_t codes[COUNT], out[COUNT];

// From the definition: the integers on both sides of the float32 quotient.
static int code_of(float value, float step, int zero_point, enum half half)
{
    volatile float quotient = value / step;
    const double exact = (double)quotient, below = floor(exact), rest = exact - below;
    const bool odd = fmod(below, 2.0) != 0.0;
    const bool tie_goes_up = half == UP || (half == AWAY ? exact > 0.0 : odd);
    const double nearest = below + (rest > 0.5 || (rest == 0.5 && tie_goes_up));
    const double code = nearest + zero_point;
    return code < -128.0 ? -128 : code > 127.0 ? 127 : (int)code;
}

// Quarters of steps over more than the grid, the floats next to them, and what lies far outside.
static void fill_values(float step, struct dc_random *random)
{
    for (int i = 0; i < COUNT; i++) {
        const float quarters = (float)((int)dc_random_below(random, 1200) - 600);
        const float at = step * (quarters / 4.0f);
        const uint32_t which = dc_random_below(random, 4);
        x[i] = which == 0 ? nextafterf(at, INFINITY) : which == 1 ? nextafterf(at, -INFINITY) : at;
    }
    x[0] = 1e30f;
    x[1] = -1e30f;
    x[2] = INFINITY;
    x[3] = -INFINITY;
    x[4] = -0.0f;
    x[5] = nextafterf(0.5f * step, 0.0f);
}

static void same(const float *have, float step, int zero_point, enum half half, const char *profile,
                 const char *where)
{
    for (int i = 0; i < COUNT; i++) {
        const int code = code_of(x[i], step, zero_point, half);
        if (have[i] != step * (float)(code - zero_point))
            fail_msg("%s, %s: %.9g at step %.9g is %.9g, not code %d", profile, where, (double)x[i],
                     (double)step, (double)have[i], code - zero_point);
    }
}

static void simulate(const struct dc_imodel *m)
{
    struct dc_graph *g = NULL;
    struct dc_params *p = NULL;
    struct dc_plan *plan = NULL;
    int input, output;
    test_must(dc_simulate(&g, &p, &input, &output, m, &DC_SHAPE(DC_BATCH, SIDE, SIDE, SIDE),
                          &test_error));
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = TEST_ROWS, .outputs = &output, .output_count = 1};
    const struct dc_step step = {.total_batch = TEST_ROWS};
    test_must(dc_plan_create(&plan, test_ctx, g, &config, &test_error));
    dc_plan_bind(plan, input, x);
    test_must(dc_plan_forward(plan, p, TEST_ROWS, &step, &test_error));
    memcpy(z, dc_plan_value(plan, output), sizeof z);
    dc_plan_free(plan);
    dc_params_free(p);
    dc_graph_free(g);
}

static void check(const struct dc_profile *profile, enum half half, float low, float high,
                  struct dc_random *random)
{
    int at;
    struct dc_graph *g = test_start(SIDE, SIDE, SIDE), *q = NULL;
    const struct dc_pool_attributes one = {
        .window = {.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}}};
    const int pool = test_add(g, "same", &dc_op_max_pool, &one, 0, -1);
    const struct dc_quantize_config config = {.power_of_two = profile->power_of_two,
                                              .input_rounding = profile->input};
    struct dc_lower_report report;
    struct dc_imodel *m = NULL;
    struct dc_engine *engine = NULL;
    test_must(dc_quantize_graph(&q, &at, g, pool, &config, &test_error));
    struct dc_params *p = test_random_params(q);
    float *range = test_values(p, "image.quant.range");
    range[0] = low;
    range[1] = high;
    range[2] = 1.0f;
    test_must(dc_lower(&m, q, p, "image", "same", "m", "", profile, &report, &test_error));
    const float step = m->layers[0].scale;
    const int zero_point = m->layers[0].zero_point;
    fill_values(step, random);
    test_run(q, p, at, x, (struct dc_step){0}, y);
    same(y, step, zero_point, half, profile->name, "training");
    test_must(dc_imodel_quantize_input(codes, m, x, COUNT, &test_error));
    test_must(dc_engine_create(&engine, test_ctx, m, &test_error));
    dc_engine_run(engine, out, codes, TEST_ROWS);
    dc_imodel_dequantize_output(y, m, out, COUNT);
    same(y, step, zero_point, half, profile->name, "engine");
    simulate(m);
    same(z, step, zero_point, half, profile->name, "simulation");
    dc_engine_free(engine);
    dc_imodel_free(m);
    dc_params_free(p);
    dc_graph_free(q);
    dc_graph_free(g);
}

static void every_profile_rounds_by_its_rule(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 29, DC_PURPOSE_TEST, 0, 0);
    int count = 0;
    while (dc_profile_table()[count])
        count++;
    assert_int_equal(count, sizeof rules / sizeof rules[0]);  // a new profile says its rule here
    for (int i = 0; i < count; i++) {
        const struct dc_profile *profile = dc_profile_find(rules[i].profile);
        assert_non_null(profile);
        check(profile, rules[i].half, -32.0f, 31.75f, &random);  // steps of 1/4: half of them ties
        check(profile, rules[i].half, -1.0f, 0.9921875f, &random);
        check(profile, rules[i].half, 0.0f, 63.75f, &random);
        for (int k = 0; k < 4; k++)
            check(profile, rules[i].half, dc_random_between(&random, -3.0f, 0.0f),
                  dc_random_between(&random, 0.1f, 3.0f), &random);
    }
}

// The kernel of every level gives the same bits.
static void levels_agree(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 31, DC_PURPOSE_TEST, 0, 0);
    for (enum dc_code_rounding rule = DC_CODE_HALF_AWAY; rule <= DC_CODE_HALF_UP; rule++) {
        struct dc_grid grid = dc_grid_of_range(-1.7f, 0.9f, 8);
        struct dc_epilogue epilogue = {.channels = 8, .period = dc_epilogue_period(8)};
        grid.rounding = rule;
        fill_values(grid.step, &random);
        dc_epilogue_begin(&epilogue);
        dc_epilogue_quantize(&epilogue, grid);
        dc_kernels_for(DC_ISA_SCALAR)->epilogue(y, x, &epilogue, COUNT);
        for (int isa = 0; isa <= (int)dc_isa_detected(); isa++) {
            dc_kernels_for((enum dc_isa)isa)->epilogue(z, x, &epilogue, COUNT);
            assert_memory_equal(z, y, sizeof z);
        }
        same(y, grid.step, (int)grid.zero_point,
             rule == DC_CODE_HALF_AWAY   ? AWAY
             : rule == DC_CODE_HALF_EVEN ? EVEN
                                         : UP,
             "levels", "kernel");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_profile_rounds_by_its_rule),
        cmocka_unit_test(levels_agree),
    };
    return cmocka_run_group_tests(tests, test_set_up, test_tear_down);
}
