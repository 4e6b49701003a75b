// The integer engine against exact definitions, bit for bit: every layer of random models, a grid
// of convolution shapes, tables, extreme scales, on every level of this machine.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qat/engine.h"
#include "qat/table.h"
#include "tests/qat/helper_engine.h"

static void every_op_matches_definition(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 3, DC_PURPOSE_TEST, 0, 0);
    for (const struct dc_profile *const *p = dc_profile_table(); *p; p++) {
        for (uint64_t seed = 0; seed < 8; seed++) {
            struct dc_imodel *m = test_every_op_model(*p, seed);
            test_check_model(m, 9, &random);
            dc_imodel_free(m);
        }
    }
}

static void convolution_grid_matches_definition(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 4, DC_PURPOSE_TEST, 0, 0);
    for (int trial = 0; trial < 300; trial++) {
        const struct dc_profile *profile = dc_profile_table()[trial % test_profile_count()];
        const bool depthwise = trial / test_profile_count() % 3 == 0;
        const int in_channels = 1 + (int)dc_random_below(&random, 9);
        struct dc_ilayer wanted = {
            .op = depthwise ? DC_I_DEPTHWISE_CONV2D : DC_I_CONV2D,
            .channels = depthwise ? in_channels * (1 + (int)dc_random_below(&random, 3))
                                  : 1 + (int)dc_random_below(&random, 17),
            .window = {.kernel = {1 + (int)dc_random_below(&random, 5),
                                  1 + (int)dc_random_below(&random, 5)},
                       .stride = {1 + (int)dc_random_below(&random, 3),
                                  1 + (int)dc_random_below(&random, 3)},
                       .dilation = {1 + (int)dc_random_below(&random, 2),
                                    1 + (int)dc_random_below(&random, 2)},
                       .before = {(int)dc_random_below(&random, 4),
                                  (int)dc_random_below(&random, 4)},
                       .after = {(int)dc_random_below(&random, 4),
                                 (int)dc_random_below(&random, 4)}},
            .per_channel = true,
        };
        struct dc_imodel *m = test_one_layer_model(profile, 9 + (int)dc_random_below(&random, 5),
                                                   9 + (int)dc_random_below(&random, 5),
                                                   in_channels, &wanted, &random);
        test_check_model(m, 1, &random);
        dc_imodel_free(m);
    }
}

// All codes of all functions, over scales from where tables are steps to where they are flat.
static void tables_match_definition(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 15, DC_PURPOSE_TEST, 0, 0);
    for (int trial = 0; trial < 400; trial++) {
        const struct dc_profile *profile = dc_profile_table()[trial % test_profile_count()];
        const struct dc_ilayer wanted = {
            .op = DC_I_TABLE, .function = (enum dc_ifunction)(trial / 9 % DC_IFUNCTION_COUNT)};
        struct dc_imodel *m = NULL;
        const float exponent = dc_random_between(&random, -12.0f, 2.0f);
        struct dc_ilayer input = {
            .name = "x",
            .op = DC_I_INPUT,
            .height = 1,
            .width = 16,
            .channels = 16,
            .scale = exp2f(profile->power_of_two ? rintf(exponent) : exponent),
            .bits = 8,
            .zero_point = (int)dc_random_below(&random, 256) - 128,
            .clamp_low = -128,
            .clamp_high = 127};
        assert_int_equal(dc_imodel_create(&m, "table", "", profile, NULL), DC_OK);
        assert_int_equal(dc_imodel_add(m, &input, NULL, NULL), DC_OK);
        test_add_layer(m, "table", &wanted, 0, -1, &random);
        test_check_model(m, 8, &random);
        const struct oracle_layer o = test_describe(m, &m->layers[1]);
        for (int code = -128; code < 128; code++) {
            bool doubtful = false;
            const int8_t have = m->layers[1].table[code + 128];
            if (wanted.function == DC_F_LEAKY_RELU) {
                assert_int_equal(have, oracle_leaky_relu(code, &o));
                continue;
            }
            const int8_t nearest = oracle_function_code(
                &doubtful, (enum oracle_function)wanted.function, code, test_closeness(m), &o);
            assert_true(abs(have - nearest) <= (doubtful || wanted.function == DC_F_H_SWISH));
            if (wanted.function == DC_F_H_SWISH && profile->runtime >= DC_RUNTIME_TFLM)
                assert_int_equal(have, oracle_h_swish16(code, &o));
        }
        dc_imodel_free(m);
    }
}

// Codes that TFLM gave where the exact value is within 3e-6 of a half: not the nearest ones.
static void near_halves_go_as_tflm_has_them(void **state)
{
    (void)state;
    for (int f = DC_F_SIGMOID; f <= DC_F_TANH; f++) {
        struct dc_ilayer x = {.scale = f == DC_F_TANH ? 1.0f / 256 : 1.0f / 128};
        struct dc_ilayer l = {.op = DC_I_TABLE,
                              .function = (enum dc_ifunction)f,
                              .clamp_low = -128,
                              .clamp_high = 127};
        l.scale = dc_ifunction_scale(l.function, false, &l.zero_point);
        int8_t tflm[DC_TABLE_CODES], nearest[DC_TABLE_CODES];
        dc_fill_table(tflm, &l, &x, dc_profile_find("tflm"));
        dc_fill_table(nearest, &l, &x, dc_profile_find("litert-reference"));
        for (int i = 0; i < DC_TABLE_CODES; i++)
            assert_int_equal(tflm[i] - nearest[i], i == 128 + 1 ? 1 : i == 128 - 1 ? -1 : 0);
    }
}

// A sigmoid's grid is fixed: another is refused.
static void other_grids_of_tables_are_refused(void **state)
{
    (void)state;
    struct dc_random random;
    struct dc_error error;
    dc_random_start(&random, 16, DC_PURPOSE_TEST, 0, 0);
    const struct dc_ilayer wanted = {.op = DC_I_TABLE, .function = DC_F_TANH};
    struct dc_imodel *m = test_one_layer_model(dc_profile_find("tflm"), 2, 2, 3, &wanted, &random);
    struct dc_ilayer again = m->layers[1];
    again.scale *= 2;
    assert_int_equal(dc_imodel_add(m, &again, NULL, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "tanh gives scale 0.0078125 and zero point 0"));
    again = m->layers[1];
    again.function = DC_IFUNCTION_COUNT;
    assert_int_equal(dc_imodel_add(m, &again, NULL, &error), DC_ERR_DATA);
    again.function = DC_F_LEAKY_RELU;
    again.parameters[0] = NAN;
    assert_int_equal(dc_imodel_add(m, &again, NULL, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "a parameter of leaky_relu is not finite"));
    dc_imodel_free(m);
}

// Slopes and scales at the ends of floats, and a slope of 0: every code, every profile.
static void leaky_relu_at_its_ends(void **state)
{
    (void)state;
    static const float slopes[] = {0.0f, -0.0f, 1.0f, -1.0f, 1e-30f, 1e-42f, 3e38f, -3e38f},
                       scales[] = {1.0f, 0x1p-20f, 0x1p-100f, 0x1p20f, 0x1p100f};
    for (int trial = 0; trial < 8 * 5 * 5; trial++) {
        for (int p = 0; p < test_profile_count(); p++) {
            const struct dc_profile *profile = dc_profile_table()[p];
            struct dc_imodel *m = NULL;
            struct dc_ilayer x = {.name = "x",
                                  .op = DC_I_INPUT,
                                  .height = 1,
                                  .width = 1,
                                  .channels = 1,
                                  .scale = scales[trial / 5 % 5],
                                  .bits = 8,
                                  .zero_point = 3,
                                  .clamp_low = -128,
                                  .clamp_high = 127};
            struct dc_ilayer l = x;
            l.op = DC_I_TABLE;
            l.input_count = 1;
            l.function = DC_F_LEAKY_RELU;
            l.parameters[0] = slopes[trial / 25];
            l.scale = scales[trial % 5];
            assert_int_equal(dc_imodel_create(&m, "ends", "", profile, NULL), DC_OK);
            assert_int_equal(dc_imodel_add(m, &x, NULL, NULL), DC_OK);
            assert_int_equal(dc_imodel_add(m, &l, NULL, NULL), DC_OK);
            for (int code = -128; code < 128; code++) {
                const double steps = (double)l.parameters[0] * (double)x.scale * (code - 3) /
                                     (double)l.scale;
                const double y = code < 3 ? steps : (code - 3) * (double)x.scale / (double)l.scale;
                const double near = y < -200 ? -200 : y > 200 ? 200 : y;
                const double want = near + 3 < -128 ? -128 : near + 3 > 127 ? 127 : near + 3;
                if (!(fabs(m->layers[1].table[code + 128] - want) <= 1.0))
                    fail_msg("%s, slope %g, scales %g and %g, code %d: %d, not %g", profile->name,
                             (double)l.parameters[0], (double)x.scale, (double)l.scale, code,
                             m->layers[1].table[code + 128], want);
            }
            dc_imodel_free(m);
        }
    }
}

// Multipliers above 1, tiny ones that vanish, clamps that saturate, biases near the ends of int32.
static void extreme_scales_match_definition(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 5, DC_PURPOSE_TEST, 0, 0);
    const float scales[] = {1e-12f, 1e-6f, 0.01f, 1.0f, 50.0f, 1e6f, 1e12f};
    static const char *const profiles[] = {"tflm", "ruy", "litert-reference", "litert-builtin"};
    enum { COUNT = sizeof scales / sizeof scales[0] };
    const int32_t biases[COUNT] = {-2000000000, 2000000000, 0, 1, -1, 1 << 20, -(1 << 30)};
    for (int trial = 0; trial < 8; trial++) {
        const struct dc_profile *profile = dc_profile_find(profiles[trial % 4]);
        struct dc_imodel *m = NULL;
        int8_t weights[COUNT * 6];
        test_fill_codes(weights, COUNT * 6, &random);
        for (int i = 0; i < COUNT * 6; i++)
            weights[i] = weights[i] == -128 ? 127 : weights[i];
        struct dc_ilayer l = {.name = "x",
                              .op = DC_I_INPUT,
                              .height = 1,
                              .width = 1,
                              .channels = 6,
                              .scale = 0.5f,
                              .zero_point = 11,
                              .bits = 8,
                              .clamp_low = -128,
                              .clamp_high = 127};
        assert_int_equal(dc_imodel_create(&m, "extreme", "", profile, NULL), DC_OK);
        assert_int_equal(dc_imodel_add(m, &l, NULL, NULL), DC_OK);
        l = (struct dc_ilayer){.name = "fc",
                               .op = DC_I_FULLY_CONNECTED,
                               .input_count = 1,
                               .height = 1,
                               .width = 1,
                               .channels = COUNT,
                               .scale = 0.25f,
                               .zero_point = -128 + 36 * trial,
                               .bits = 8,
                               .clamp_low = -120,
                               .clamp_high = 119,
                               .weight_bits = 8,
                               .per_channel = true,
                               .weights = weights,
                               .biases = biases,
                               .weight_scales = scales};
        assert_int_equal(dc_imodel_add(m, &l, NULL, NULL), DC_OK);
        test_check_model(m, 20, &random);
        dc_imodel_free(m);
    }
}

// Values that are alive together do not share bytes; the result does not depend on threads.
static void placement_and_threads(void **state)
{
    (void)state;
    struct dc_imodel *m = test_every_op_model(dc_profile_find("tflm"), 1);
    struct dc_block blocks[32];
    struct dc_block_plan plan;
    int64_t offsets[32], sum = 0;
    assert_int_equal(dc_imodel_place(blocks, &plan, m, DC_PLACE_APART, DC_I_ALIGNMENT, NULL),
                     DC_OK);
    for (int i = 0; i < m->count; i++)
        offsets[i] = blocks[i].offset;
    for (int i = 1; i < m->count - 1; i++) {
        assert_true(offsets[i] >= 0 && offsets[i] + dc_ilayer_size(&m->layers[i]) <= plan.bytes);
        sum += dc_ilayer_size(&m->layers[i]);
        for (int k = 0; k < i && m->layers[i].op != DC_I_RESHAPE; k++) {
            bool read_later = false;
            for (int r = i; r < m->count; r++) {
                for (int n = 0; n < m->layers[r].input_count; n++)
                    read_later = read_later || m->layers[r].inputs[n] == k;
            }
            if (k > 0 && read_later)
                assert_true(offsets[k] >= offsets[i] + dc_ilayer_size(&m->layers[i]) ||
                            offsets[i] >= offsets[k] + dc_ilayer_size(&m->layers[k]));
        }
    }
    assert_true(plan.bytes < sum);
    enum { ROWS = 37 };
    struct dc_random random;
    dc_random_start(&random, 8, DC_PURPOSE_TEST, 0, 0);
    int8_t *input = calloc(ROWS, 13 * 11 * 3), output[3][ROWS * 7];
    assert_non_null(input);
    test_fill_codes(input, ROWS * 13 * 11 * 3, &random);
    for (int threads = 1; threads <= 3; threads++) {
        struct dc_ctx *ctx = test_context(threads, dc_isa_detected());
        struct dc_engine *engine = NULL;
        assert_int_equal(dc_engine_create(&engine, ctx, m, NULL), DC_OK);
        dc_engine_run(engine, output[threads - 1], input, ROWS);
        dc_engine_free(engine);
        dc_ctx_free(ctx);
    }
    assert_memory_equal(output[0], output[1], sizeof output[0]);
    assert_memory_equal(output[0], output[2], sizeof output[0]);
    free(input);
    dc_imodel_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_matches_definition),
        cmocka_unit_test(tables_match_definition),
        cmocka_unit_test(near_halves_go_as_tflm_has_them),
        cmocka_unit_test(leaky_relu_at_its_ends),
        cmocka_unit_test(other_grids_of_tables_are_refused),
        cmocka_unit_test(convolution_grid_matches_definition),
        cmocka_unit_test(extreme_scales_match_definition),
        cmocka_unit_test(placement_and_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
