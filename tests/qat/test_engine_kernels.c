// The engine's faster kernels against exact definitions: shapes around their tiles, every shift and
// both kinds of rescale, the widest sums; and what they must leave to the plain loops.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qat/engine_kernels.h"
#include "tests/qat/helper_engine.h"

// Whether the level of this machine has a kernel for the model's last layer.
static bool has_kernel(const struct dc_imodel *m)
{
    struct dc_arena *arena = NULL;
    struct dc__fast_layer *fast = NULL;
    assert_int_equal(dc_arena_create(&arena, NULL), DC_OK);
    assert_int_equal(dc__fast_layer_create(&fast, arena, dc__engine_kernels_for(dc_isa_detected()),
                                           m, m->count - 1, NULL),
                     DC_OK);
    dc_arena_free(arena);
    return fast != NULL;
}

static bool has_level(void)
{
    return dc__engine_kernels_for(dc_isa_detected()) != NULL;
}

// Shapes around the kernels' tiles: more channels than a vector, rows longer and shorter than a
// tile, remainders of both, rows that run on (1x1), whole images (fully connected).
static void kernel_grid_matches_definition(void **state)
{
    (void)state;
    struct dc_random random;
    int kernels = 0, wide = 0;
    enum { TRIALS = 140, PROFILES = 7 };
    static const char *const names[PROFILES] = {"tflm",          "ruy",         "litert-xnnpack",
                                                "onnxruntime",   "pot-half-up", "pot-half-even",
                                                "litert-builtin"};
    dc_random_start(&random, 14, DC_PURPOSE_TEST, 0, 0);
    for (int trial = 0; trial < TRIALS; trial++) {
        const int kernel = trial % 4 == 0 ? 1 : 3, pad = (int)dc_random_below(&random, 2);
        const int channels = 1 + (int)dc_random_below(&random, 40);
        const int stride = 1 + (int)dc_random_below(&random, 2);
        struct dc_ilayer wanted = {
            .op = trial % 6 == 1   ? DC_I_DEPTHWISE_CONV2D
                  : trial % 5 == 0 ? DC_I_FULLY_CONNECTED
                                   : DC_I_CONV2D,
            .channels = trial % 6 == 1   ? channels
                        : trial % 3 == 0 ? 16 * (1 + trial % 4)
                                         : 1 + (int)dc_random_below(&random, 70),
            .window = {.kernel = {kernel, kernel},
                       .stride = {stride, stride},
                       .dilation = {0, trial % 7 == 0 ? 2 : 1},
                       .before = {pad, pad},
                       .after = {pad, pad}},
            .clamp_low = trial % 2 ? -90 : -128,
            .clamp_high = 127,
            .per_channel = true,
        };
        struct dc_imodel *m = test_one_layer_model(
            dc_profile_find(names[(trial + trial / 6) % PROFILES]), 5 + trial % 3,
            5 + (int)dc_random_below(&random, 40), channels, &wanted, &random);
        // Half to even of a shift is the float's while float32 holds the sum.
        wide += strcmp(m->profile->name, "pot-half-even") == 0 &&
                (m->layers[1].accumulator_high >= 1 << 24 ||
                 m->layers[1].accumulator_low <= -(1 << 24));
        kernels += has_kernel(m);
        test_check_model(m, 3, &random);
        dc_imodel_free(m);
    }
    assert_true(!has_level() || kernels == TRIALS - wide);
    assert_in_range(wide, 1, TRIALS / PROFILES - 1);
}

static struct dc_ilayer dense_layer(int channels, const int8_t *weights, const int32_t *biases,
                                    const float *scales)
{
    return (struct dc_ilayer){.name = "fc",
                              .op = DC_I_FULLY_CONNECTED,
                              .input_count = 1,
                              .height = 1,
                              .width = 1,
                              .channels = channels,
                              .scale = 1.0f,
                              .zero_point = -3,
                              .bits = 8,
                              .clamp_low = -128,
                              .clamp_high = 127,
                              .weight_bits = 8,
                              .per_channel = true,
                              .weights = weights,
                              .biases = biases,
                              .weight_scales = scales};
}

// Every right shift from 0 to 31, sums over the whole range that kernels take, exact ties of both
// roundings, in each way that kernels know: channel c has the factor 2^-c (or a little less), and
// weights that make sums odd multiples of its half. The last trials are what kernels must leave:
// wider sums, factors above 1.
static void kernel_rescale_matches_definition(void **state)
{
    (void)state;
    struct dc_random random;
    enum { CHANNELS = 96, INPUTS = 3, TRIALS = 40, LEFT = 30, PROFILES = 5 };
    static const char *const names[PROFILES] = {"tflm", "ruy", "onnxruntime", "litert-xnnpack",
                                                "litert-builtin"};
    dc_random_start(&random, 15, DC_PURPOSE_TEST, 0, 0);
    for (int trial = 0; trial < TRIALS; trial++) {
        const bool too_wide = trial >= LEFT && trial % 4 < 2;
        const bool above_one = trial >= LEFT && !too_wide;
        int8_t weights[CHANNELS * INPUTS];
        int32_t biases[CHANNELS];
        float scales[CHANNELS];
        for (int c = 0; c < CHANNELS; c++) {
            const int shift = c % 32;
            const int32_t limit = (too_wide ? INT32_MAX : 1 << 30) - 100000;
            const int32_t near = (1 << (shift < 7 ? 7 : shift > 22 ? 29 : shift + 7)) - 1;
            const int32_t most = too_wide || trial % 3 == 2 ? limit : near < limit ? near : limit;
            // Within 128 codes of 0, on a half of the last place; the last third: anywhere.
            biases[c] = (int32_t)dc_random_below(&random, (uint32_t)most) * (c % 2 ? -1 : 1);
            if (!too_wide && trial % 3 == 0 && shift > 0 && shift < 31)
                biases[c] = biases[c] / (1 << shift) * (1 << shift) + (1 << (shift - 1));
            scales[c] = ldexpf(trial % 3 == 1 ? dc_random_between(&random, 0.51f, 0.99f) : 0.5f,
                               -shift) *
                        (trial % 3 == 0 ? 2.0f : 1.0f);
            scales[c] = scales[c] >= 1.0f ? 0.5f : scales[c];
            scales[c] = too_wide ? scales[c] * 1.99f : above_one && shift == 0 ? 1.5f : scales[c];
            scales[c] = too_wide && shift == 0 ? 0.99f : scales[c];
        }
        for (int i = 0; i < CHANNELS * INPUTS; i++)
            weights[i] = (int8_t)((int)dc_random_below(&random, 255) - 127) * (i % INPUTS == 0);
        struct dc_imodel *m = NULL;
        const struct dc_ilayer input = {.name = "x",
                                        .op = DC_I_INPUT,
                                        .height = 1,
                                        .width = 1,
                                        .channels = INPUTS,
                                        .scale = 1.0f,
                                        .zero_point = trial * 6 - 128,
                                        .bits = 8,
                                        .clamp_low = -128,
                                        .clamp_high = 127};
        const struct dc_ilayer l = dense_layer(CHANNELS, weights, biases, scales);
        assert_int_equal(dc_imodel_create(&m, "rescale", "",
                                          dc_profile_find(names[(trial + trial / 5) % PROFILES]),
                                          NULL),
                         DC_OK);
        assert_int_equal(dc_imodel_add(m, &input, NULL, NULL), DC_OK);
        assert_int_equal(dc_imodel_add(m, &l, NULL, NULL), DC_OK);
        assert_int_equal(has_kernel(m), has_level() && !too_wide && !above_one);
        test_check_model(m, 40, &random);
        dc_imodel_free(m);
    }
}

// The widest sums: 32,768 taps of one sign, beyond what 16-bit or saturating sums would hold.
static void long_sums_match_definition(void **state)
{
    (void)state;
    struct dc_random random;
    enum { CHANNELS = 3, SIDE = 16, DEPTH = 128, INPUTS = SIDE * SIDE * DEPTH };
    dc_random_start(&random, 16, DC_PURPOSE_TEST, 0, 0);
    int8_t *weights = malloc((size_t)CHANNELS * INPUTS);
    assert_non_null(weights);
    for (int c = 0; c < CHANNELS; c++)
        memset(weights + (size_t)c * INPUTS, c == 0 ? 127 : c == 1 ? -127 : 1, INPUTS);
    const float scales[CHANNELS] = {0x1p-24f, 0x1.3p-24f, 0x1p-17f};
    for (int trial = 0; trial < 4; trial++) {
        struct dc_imodel *m = NULL;
        const struct dc_ilayer input = {.name = "x",
                                        .op = DC_I_INPUT,
                                        .height = SIDE,
                                        .width = SIDE,
                                        .channels = DEPTH,
                                        .scale = 1.0f,
                                        .zero_point = trial < 2 ? -128 : 127,
                                        .bits = 8,
                                        .clamp_low = -128,
                                        .clamp_high = 127};
        const struct dc_ilayer l = dense_layer(CHANNELS, weights, (const int32_t[]){77, -78, 0},
                                               scales);
        assert_int_equal(dc_imodel_create(&m, "long", "", dc_profile_table()[trial % 2], NULL),
                         DC_OK);
        assert_int_equal(dc_imodel_add(m, &input, NULL, NULL), DC_OK);
        assert_int_equal(dc_imodel_add(m, &l, NULL, NULL), DC_OK);
        assert_true(!has_level() || has_kernel(m));
        test_check_model(m, 3, &random);
        dc_imodel_free(m);
    }
    free(weights);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernel_grid_matches_definition),
        cmocka_unit_test(kernel_rescale_matches_definition),
        cmocka_unit_test(long_sums_match_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
