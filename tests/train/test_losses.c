// Losses on labels: the definition in double precision, their own slopes, and the edges.

#include "tests/core/helper_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/core/helper_run.h"
#include "tests/oracles/oracles.h"
#include "train/losses.h"

static struct dc_ctx *ctx;

static int set_up(void **state)
{
    (void)state;
    ctx = run_context(DC_ISA_SCALAR, 2);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dc_ctx_free(ctx);
    return 0;
}

static void one_hot(float *targets, int rows, int classes)
{
    memset(targets, 0, sizeof(float) * (size_t)(rows * classes));
    for (int r = 0; r < rows; r++)
        targets[r * classes + (r * 7 + 3) % classes] = 1.0f;
}

// Rows that sum to 1, as mixup makes them.
static void mixed(float *targets, int rows, int classes)
{
    one_hot(targets, rows, classes);
    for (int r = 0; r < rows; r++) {
        float *t = targets + r * classes;
        t[(r * 7 + 3) % classes] = 0.625f;
        t[(r * 7 + 4) % classes] = 0.375f;
    }
}

// The oracle's loss and gradient of cross-entropy (attributes) or mean squared error (NULL).
static double oracle(double *gradient, const float *x, const float *y, int rows, int values,
                     const struct dc_cross_entropy_attributes *a)
{
    const int count = rows * values;
    double *wide = calloc((size_t)(2 * count + values), sizeof(double)), *weights = NULL;
    assert_non_null(wide);
    for (int i = 0; i < count; i++) {
        wide[i] = (double)x[i];
        wide[count + i] = (double)y[i];
    }
    if (a && a->class_weights) {
        weights = wide + 2 * count;
        for (int c = 0; c < values; c++)
            weights[c] = (double)a->class_weights[c];
    }
    const double loss = a ? oracle_cross_entropy(gradient, wide, wide + count, weights,
                                                 (double)a->label_smoothing, rows, values)
                          : oracle_mean_squared_error(gradient, wide, wide + count, rows, values);
    free(wide);
    return loss;
}

static void compare(const float *x, const float *y, int rows, int values,
                    const struct dc_cross_entropy_attributes *a, const char *name)
{
    double *gradient = calloc((size_t)(rows * values), sizeof(double));
    assert_non_null(gradient);
    struct loss_terms t;
    loss_open(&t, ctx, x, y, rows, values);
    loss_add(&t, a ? &dc_op_cross_entropy : &dc_op_mean_squared_error, a, y, 1.0);
    loss_check(&t, oracle(gradient, x, y, rows, values, a), gradient, name);
    loss_close(&t);
    free(gradient);
}

static const int shapes[][2] = {{1, 10}, {1, 2}, {4, 2}, {37, 10}, {128, 100}, {3, 1000}};
enum { SHAPES = sizeof shapes / sizeof shapes[0], LARGEST = 12800 };

static void cross_entropy_matches_definition(void **state)
{
    (void)state;
    static float logits[LARGEST], targets[LARGEST], weights[1000];
    run_fill(weights, 1000, 0.25, 4.0, 8);
    for (int s = 0; s < SHAPES; s++) {
        const int rows = shapes[s][0], classes = shapes[s][1];
        run_fill(logits, rows * classes, -8.0, 8.0, 1);
        for (int k = 0; k < 8; k++) {
            const struct dc_cross_entropy_attributes a = {k & 1 ? 0.1f : 0.0f,
                                                          k & 2 ? weights : NULL};
            char name[96];
            snprintf(name, sizeof name, "cross-entropy %d x %d%s%s%s", rows, classes,
                     k & 1 ? ", smoothed" : "", k & 2 ? ", weighted" : "", k & 4 ? ", mixed" : "");
            (k & 4 ? mixed : one_hot)(targets, rows, classes);
            compare(logits, targets, rows, classes, &a, name);
        }
    }
}

static void squared_error_matches_definition(void **state)
{
    (void)state;
    static float x[LARGEST], y[LARGEST];
    for (int s = 0; s < SHAPES; s++) {
        run_fill(x, shapes[s][0] * shapes[s][1], -2.0, 2.0, 2);
        run_fill(y, shapes[s][0] * shapes[s][1], -2.0, 2.0, 3);
        compare(x, y, shapes[s][0], shapes[s][1], NULL, "mean squared error");
    }
}

static void published_value(void **state)
{
    (void)state;
    static const struct fixture_row row = {
        .name = "CE",
        .loss = 2.9629145557,
        .norm = 0.5670730877,
        .first = {-0.24799394, 0.00899056, 0.04029288, 0.18058014, 0.00330744, 0.01482292},
    };
    const struct dc_cross_entropy_attributes a = {0};
    struct fixture f;
    struct loss_terms t;
    fixture_fill(&f);
    loss_open(&t, ctx, f.student, f.targets, FIXTURE_ROWS, FIXTURE_CLASSES);
    loss_add(&t, &dc_op_cross_entropy, &a, f.targets, 1.0);
    fixture_check(&t, &row);
    loss_close(&t);
}

static void large_and_constant_logits_are_fine(void **state)
{
    (void)state;
    const float large[] = {200.0f, -200.0f, 0.0f, -200.0f, 200.0f, 200.0f};
    const float targets[] = {0.0f, 1.0f, 0.0f, 0.0f, 0.0f, 1.0f};
    const float flat[] = {-7.5f, -7.5f, -7.5f, -7.5f, -7.5f, -7.5f};
    const struct dc_cross_entropy_attributes plain = {0}, smooth = {0.1f, NULL};
    compare(large, targets, 2, 3, &plain, "logits of 200");
    compare(large, targets, 2, 3, &smooth, "logits of 200, smoothed");
    compare(flat, targets, 2, 3, &plain, "constant logits");
}

static void gradients_are_slopes(void **state)
{
    (void)state;
    float x[40], targets[40];
    const float weights[10] = {0.5f, 2.0f, 1.0f, 3.0f, 0.25f, 1.5f, 1.0f, 0.75f, 2.5f, 1.0f};
    const struct dc_cross_entropy_attributes a = {0.1f, weights};
    run_fill(x, 40, -3.0, 3.0, 4);
    mixed(targets, 4, 10);
    loss_check_slopes(ctx, &dc_op_cross_entropy, &a, x, targets, 4, 10);
    loss_check_slopes(ctx, &dc_op_mean_squared_error, NULL, x, targets, 4, 10);
}

// Rows of an optimizer step may come in several batches: their losses and gradients add up.
static void batches_of_a_step_add_up(void **state)
{
    (void)state;
    float x[90], targets[90];
    double gradient[90];
    const struct dc_cross_entropy_attributes a = {0};
    run_fill(x, 90, -3.0, 3.0, 5);
    one_hot(targets, 9, 10);
    const double loss = oracle(gradient, x, targets, 9, 10, &a);
    double sum = 0.0;
    for (int first = 0; first < 9; first += 4) {
        struct loss_terms t;
        const int rows = first + 4 <= 9 ? 4 : 9 - first;
        loss_open(&t, ctx, x + first * 10, targets + first * 10, rows, 10);
        t.total_batch = 9;
        loss_add(&t, &dc_op_cross_entropy, &a, t.y, 1.0);
        sum += t.loss;
        for (int i = 0; i < rows * 10; i++)
            assert_true(fabs((double)t.gradient[i] - gradient[first * 10 + i]) <= 1e-7);
        loss_close(&t);
    }
    assert_true(fabs(sum - loss) <= 1e-14 * loss * 10);
}

static void bits_do_not_depend_on_threads(void **state)
{
    (void)state;
    static float x[370], targets[370];
    const struct dc_cross_entropy_attributes a = {0.1f, NULL};
    struct loss_terms t[3];
    run_fill(x, 370, -3.0, 3.0, 6);
    mixed(targets, 37, 10);
    for (int k = 0; k < 3; k++) {
        struct dc_ctx *other = run_context(DC_ISA_SCALAR, k + 1);
        loss_open(&t[k], other, x, targets, 37, 10);
        loss_add(&t[k], &dc_op_cross_entropy, &a, targets, 1.0);
        dc_ctx_free(other);
    }
    for (int k = 1; k < 3; k++) {
        assert_memory_equal(&t[k].loss, &t[0].loss, sizeof(double));
        assert_memory_equal(t[k].gradient, t[0].gradient, sizeof x);
    }
    for (int k = 0; k < 3; k++)
        loss_close(&t[k]);
}

static void not_finite_names_the_row(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    const struct dc_cross_entropy_attributes a = {0};
    for (int k = 0; k < 3; k++) {
        for (int column = 0; column < 3; column++) {
            float x[111], targets[111];
            struct dc_error error;
            struct loss_terms t;
            run_fill(x, 111, -1.0, 1.0, 7);
            one_hot(targets, 37, 3);
            x[30 * 3 + column] = bad[k];
            x[31 * 3] = x[34 * 3] = NAN;  // in the same chunk and a later one: the first is named
            loss_open(&t, ctx, x, targets, 37, 3);
            assert_int_equal(loss_try_add(&t, &dc_op_cross_entropy, &a, targets, 1.0, &error),
                             DC_ERR_NUMERIC);
            assert_non_null(strstr(error.message, "row 30"));
            assert_int_equal(
                loss_try_add(&t, &dc_op_mean_squared_error, NULL, targets, 1.0, &error),
                DC_ERR_NUMERIC);
            assert_non_null(strstr(error.message, "row 30"));
            loss_close(&t);
        }
    }
}

static void shapes_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    const struct dc_shape unequal[2] = {DC_SHAPE(DC_BATCH, 10), DC_SHAPE(DC_BATCH, 12)};
    const struct dc_shape image[2] = {DC_SHAPE(DC_BATCH, 4, 4, 3), DC_SHAPE(DC_BATCH, 4, 4, 3)};
    const struct dc_shape wide[2] = {DC_SHAPE(DC_BATCH, 5000), DC_SHAPE(DC_BATCH, 5000)};
    const struct dc_cross_entropy_attributes a = {0};
    assert_refused(&dc_op_cross_entropy, &a, unequal, 2, "[batch, 12]");
    assert_refused(&dc_op_cross_entropy, &a, image, 2, "[batch, 4, 4, 3]");
    assert_refused(&dc_op_cross_entropy, &a, wide, 2, "4096");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cross_entropy_matches_definition),
        cmocka_unit_test(squared_error_matches_definition),
        cmocka_unit_test(published_value),
        cmocka_unit_test(large_and_constant_logits_are_fine),
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(batches_of_a_step_add_up),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(not_finite_names_the_row),
        cmocka_unit_test(shapes_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
