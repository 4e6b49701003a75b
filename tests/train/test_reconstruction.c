// Errors of reconstruction against a plain loop, and the AUC against counting every pair.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "train/reconstruction.h"

enum { MOST = 300 };

// Won pairs, half of the equal ones, over all pairs.
static double brute_force(const double *values, const bool *positive, int count)
{
    double won = 0.0, pairs = 0.0;
    for (int p = 0; p < count; p++) {
        for (int n = 0; n < count; n++) {
            if (!positive[p] || positive[n])
                continue;
            pairs += 1.0;
            won += values[p] > values[n] ? 1.0 : values[p] == values[n] ? 0.5 : 0.0;
        }
    }
    return won / pairs;
}

static void auc_is_the_share_of_won_pairs(void **state)
{
    (void)state;
    uint32_t random = 7;
    for (int trial = 0; trial < 200; trial++) {
        static double values[MOST];
        static bool positive[MOST];
        struct dc_error error;
        const int count = 2 + trial * (MOST - 2) / 199, levels = 1 + trial % 7 * trial;
        for (int i = 0; i < count; i++) {
            random = random * 1664525u + 1013904223u;
            values[i] = (double)((random >> 8) % (uint32_t)levels) - 3.0;
            positive[i] = (random >> 30) == 0;
        }
        positive[0] = true;
        positive[count - 1] = false;
        double auc = -1.0;
        assert_int_equal(dc_auc(&auc, values, positive, count, &error), DC_OK);
        const double expected = brute_force(values, positive, count);
        if (!(fabs(auc - expected) <= 1e-12))
            fail_msg("trial %d: %.17g, not %.17g", trial, auc, expected);
    }
}

static void auc_at_its_ends(void **state)
{
    (void)state;
    static const struct {
        double values[4];
        bool positive[4];
        double auc;
    } cases[] = {
        {{1, 2, 3, 4}, {false, false, true, true}, 1.0},
        {{1, 2, 3, 4}, {true, true, false, false}, 0.0},
        {{5, 5, 5, 5}, {true, false, true, false}, 0.5},
        {{-0.0, 0.0, 0.0, 1}, {true, false, false, false}, 1.0 / 3.0},
        {{1, 2, 3, 4}, {true, true, true, true}, NAN},
        {{1, 2, 3, 4}, {false, false, false, false}, NAN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double auc = -1.0;
        struct dc_error error;
        assert_int_equal(dc_auc(&auc, cases[i].values, cases[i].positive, 4, &error), DC_OK);
        assert_true(isnan(cases[i].auc) ? isnan(auc) : auc == cases[i].auc);
    }
}

enum { ROWS = 9, VALUES = 7, CLASSES = 3 };

// Two batches; every figure worked out here from its definition.
static void errors_are_means_of_squares(void **state)
{
    (void)state;
    static const bool normal[CLASSES] = {false, true, false};
    float outputs[ROWS * VALUES], inputs[ROWS * VALUES];
    int32_t labels[ROWS];
    double expected[ROWS], sums[2] = {0.0}, sum = 0.0;
    bool anomalous[ROWS];
    int counts[2] = {0};
    struct dc_arena *arena = NULL;
    struct dc_reconstruction *r = NULL;
    struct dc_error error;
    for (int i = 0; i < ROWS * VALUES; i++) {
        outputs[i] = (float)(i * 37 % 19) / 8.0f;
        inputs[i] = (float)(i * 23 % 31) / 16.0f - 1.0f;
    }
    for (int row = 0; row < ROWS; row++) {
        labels[row] = row % CLASSES;
        anomalous[row] = row % CLASSES != 1;
        expected[row] = 0.0;
        for (int v = 0; v < VALUES; v++)
            expected[row] += pow(
                (double)outputs[row * VALUES + v] - (double)inputs[row * VALUES + v], 2);
        expected[row] /= VALUES;
        sums[anomalous[row]] += expected[row];
        counts[anomalous[row]]++;
    }
    assert_int_equal(dc_arena_create(&arena, &error), DC_OK);
    assert_int_equal(dc_reconstruction_create(&r, normal, ROWS, arena, &error), DC_OK);
    assert_int_equal(dc_reconstruction_add(r, &sum, outputs, inputs, labels, 4, VALUES, &error),
                     DC_OK);
    assert_true(fabs(sum - expected[0] - expected[1] - expected[2] - expected[3]) < 1e-12);
    assert_int_equal(dc_reconstruction_add(r, &sum, outputs + 4 * VALUES, inputs + 4 * VALUES,
                                           labels + 4, ROWS - 4, VALUES, &error),
                     DC_OK);
    assert_int_equal(dc_reconstruction_finish(r, &error), DC_OK);
    for (int row = 0; row < ROWS; row++)
        assert_true(fabs(r->errors[row] - expected[row]) < 1e-12);
    assert_true(fabs(r->normal_error - sums[0] / counts[0]) < 1e-12);
    assert_true(fabs(r->anomalous_error - sums[1] / counts[1]) < 1e-12);
    assert_true(fabs(r->auc - brute_force(expected, anomalous, ROWS)) < 1e-12);
    // full: one more is told
    assert_int_equal(dc_reconstruction_add(r, &sum, outputs, inputs, labels, 1, VALUES, &error),
                     DC_ERR_USAGE);
    dc_arena_free(arena);
}

static void not_finite_names_the_sample(void **state)
{
    (void)state;
    struct dc_arena *arena = NULL;
    struct dc_reconstruction *r = NULL;
    struct dc_error error;
    double sum;
    const float inputs[4] = {0}, outputs[4] = {0, 0, NAN, 0};
    assert_int_equal(dc_arena_create(&arena, &error), DC_OK);
    assert_int_equal(dc_reconstruction_create(&r, NULL, 4, arena, &error), DC_OK);
    assert_int_equal(dc_reconstruction_add(r, &sum, outputs, inputs, NULL, 2, 2, &error),
                     DC_ERR_NUMERIC);
    assert_non_null(strstr(error.message, "sample 1"));
    dc_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auc_is_the_share_of_won_pairs),
        cmocka_unit_test(auc_at_its_ends),
        cmocka_unit_test(errors_are_means_of_squares),
        cmocka_unit_test(not_finite_names_the_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
