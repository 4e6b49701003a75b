// The plane that stands for an addition, on all 65,536 pairs of codes, against the definition.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qat/engine_kernels.h"
#include "tests/oracles/integer_oracle.h"
#include "tests/qat/helper_models.h"

enum { CODES = 256, PAIRS = CODES * CODES };

static int8_t first[PAIRS], second[PAIRS], wanted[PAIRS], found[PAIRS];

static struct dc_ilayer value(const char *name, float scale, int zero_point)
{
    return (struct dc_ilayer){.name = name,
                              .height = 1,
                              .width = 1,
                              .channels = 1,
                              .scale = scale,
                              .zero_point = zero_point,
                              .bits = 8,
                              .clamp_low = -128,
                              .clamp_high = 127};
}

static int random_code(struct dc_random *random)
{
    return (int)dc_random_below(random, CODES) - 128;
}

// x and y = 1 * x of another scale, and their sum.
static struct dc_imodel *sum_model(const struct dc_profile *profile, int trial,
                                   struct dc_random *random)
{
    struct dc_imodel *m = NULL;
    const float spread = trial % 8 == 0 ? 50.0f : 2.0f;
    struct dc_ilayer x = value("x", dc_random_between(random, 0.05f, 0.1f), random_code(random));
    struct dc_ilayer y = value(
        "y", x.scale * (trial % 4 == 1 ? 1.0f : dc_random_between(random, 0.5f, spread)),
        random_code(random));
    struct dc_ilayer sum = value("sum", (x.scale + y.scale) * dc_random_between(random, 0.4f, 1.0f),
                                 random_code(random));
    x.op = DC_I_INPUT;
    y.op = DC_I_FULLY_CONNECTED;
    y.input_count = 1;
    y.weight_bits = 8;
    y.weights = (const int8_t[]){1};
    y.biases = (const int32_t[]){0};
    y.weight_scales = (const float[]){1.0f};
    sum.op = DC_I_ADD;
    sum.input_count = 2;
    sum.inputs[1] = 1;
    if (trial % 3 == 0)
        sum.clamp_low = sum.zero_point;
    assert_int_equal(dc_imodel_create(&m, "sum", "", profile, NULL), DC_OK);
    assert_int_equal(dc_imodel_add(m, &x, NULL, NULL), DC_OK);
    assert_int_equal(dc_imodel_add(m, &y, NULL, NULL), DC_OK);
    assert_int_equal(dc_imodel_add(m, &sum, NULL, NULL), DC_OK);
    return m;
}

static void define(const struct dc_imodel *m)
{
    static int32_t sums[PAIRS];
    const struct dc_ilayer *l = m->layers;
    const struct oracle_layer o = {.single = strcmp(m->profile->name, "ruy") == 0,
                                   .in_scale = l[0].scale,
                                   .in_zero_point = l[0].zero_point,
                                   .out_scale = l[2].scale,
                                   .out_zero_point = l[2].zero_point,
                                   .low = l[2].clamp_low,
                                   .high = l[2].clamp_high};
    oracle_integer_add(wanted, sums, first, second, l[1].scale, l[1].zero_point, PAIRS, &o);
}

static void planes_are_additions(void **state)
{
    (void)state;
    struct dc_random random;
    int planes = 0, kernels = 0;
    dc_random_start(&random, 17, DC_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < PAIRS; i++) {
        first[i] = (int8_t)(i / CODES - 128);
        second[i] = (int8_t)(i % CODES - 128);
    }
    for (int trial = 0; trial < 48; trial++) {
        struct dc_imodel *m = sum_model(dc_profile_table()[trial % 2], trial, &random);
        define(m);
        for (int isa = 0; isa <= (int)dc_isa_detected(); isa++) {
            const struct dc__engine_kernels *k = dc__engine_kernels_for((enum dc_isa)isa);
            struct dc__fast_layer *fast = NULL;
            struct dc_arena *arena = NULL;
            assert_int_equal(dc_arena_create(&arena, NULL), DC_OK);
            assert_int_equal(dc__fast_layer_create(&fast, arena, k, m, 2, NULL), DC_OK);
            kernels += k != NULL;
            planes += fast != NULL;
            if (fast) {
                assert_int_equal(k->add(found, first, second, PAIRS, fast), PAIRS);
                assert_memory_equal(found, wanted, PAIRS);
                assert_int_equal(k->add(found, first, second, PAIRS - 1, fast),
                                 PAIRS - 4 * k->lanes);
            }
            dc_arena_free(arena);
        }
        dc_imodel_free(m);
    }
    assert_true(planes * 10 >= kernels * 9);  // the shortcut is the rule, not the exception
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(planes_are_additions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
