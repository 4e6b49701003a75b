// Hinton's loss: published values, the definition in double precision, its own slopes, and the
// edges of its domain.

#include "tests/core/helper_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "distill/losses.h"
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

static void values_are_the_published_ones(void **state)
{
    (void)state;
    static const struct fixture_row rows[] = {
        {"CE",
         1.0,
         0.0,
         1.0f,
         2.9629145557,
         0.5670730877,
         {-0.24799394, 0.00899056, 0.04029288, 0.18058014, 0.00330744, 0.01482292}},
        {"KD T=1",
         0.0,
         1.0,
         1.0f,
         1.8580487605,
         0.4020014784,
         {-0.00046451, -0.00926469, -0.09459614, 0.17908166, -0.00776492, -0.06699140}},
        {"KD T=2",
         0.0,
         1.0,
         2.0f,
         2.4456541480,
         0.4680036591,
         {-0.00159719, -0.01859762, -0.08073351, 0.20523924, -0.02313054, -0.08118038}},
        {"KD T=4",
         0.0,
         1.0,
         4.0f,
         2.6749932935,
         0.4828674159,
         {-0.00313710, -0.02373924, -0.06615426, 0.20786057, -0.03540983, -0.07942014}},
        {"0.1 CE + 0.9 KD T=4",
         0.1,
         0.9,
         4.0f,
         2.7037854198,
         0.4540070177,
         {-0.02762279, -0.02046626, -0.05550955, 0.20513252, -0.03153810, -0.06999583}},
    };
    struct fixture f;
    fixture_fill(&f);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct dc_kd_attributes kd = {rows[i].temperature};
        const struct dc_cross_entropy_attributes label = {0};
        struct loss_terms t;
        loss_open(&t, ctx, f.student, f.teacher, FIXTURE_ROWS, FIXTURE_CLASSES);
        loss_add(&t, &dc_op_cross_entropy, &label, f.targets, rows[i].label_weight);
        loss_add(&t, &dc_op_kd, &kd, f.teacher, rows[i].kd_weight);
        fixture_check(&t, &rows[i]);
        loss_close(&t);
    }
}

static void compare(const float *student, const float *teacher, float temperature, int rows,
                    int classes, const char *name)
{
    const struct dc_kd_attributes kd = {temperature};
    const int count = rows * classes;
    double *wide = calloc((size_t)count * 3, sizeof(double));
    assert_non_null(wide);
    for (int i = 0; i < count; i++) {
        wide[i] = (double)student[i];
        wide[count + i] = (double)teacher[i];
    }
    const double loss = oracle_kd(wide + 2 * count, wide, wide + count, (double)temperature, rows,
                                  classes);
    struct loss_terms t;
    loss_open(&t, ctx, student, teacher, rows, classes);
    loss_add(&t, &dc_op_kd, &kd, teacher, 1.0);
    loss_check(&t, loss, wide + 2 * count, name);
    loss_close(&t);
    free(wide);
}

static void loss_matches_definition(void **state)
{
    (void)state;
    static const int shapes[][2] = {{1, 10}, {4, 2}, {37, 10}, {128, 100}, {3, 1000}};
    static const float temperatures[] = {0.5f, 1.0f, 4.0f, 20.0f};
    static float student[12800], teacher[12800];
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        const int rows = shapes[s][0], classes = shapes[s][1];
        run_fill(student, rows * classes, -8.0, 8.0, 1);
        run_fill(teacher, rows * classes, -8.0, 8.0, 2);
        for (size_t k = 0; k < sizeof temperatures / sizeof temperatures[0]; k++) {
            char name[64];
            snprintf(name, sizeof name, "kd, %d x %d, T = %g", rows, classes,
                     (double)temperatures[k]);
            compare(student, teacher, temperatures[k], rows, classes, name);
        }
    }
}

static void large_logits_are_fine(void **state)
{
    (void)state;
    const float student[] = {200.0f, -200.0f, 0.0f, -200.0f, -200.0f, 200.0f};
    const float teacher[] = {-200.0f, 200.0f, 200.0f, 200.0f, -200.0f, -200.0f};
    compare(student, teacher, 1.0f, 2, 3, "logits of 200, T = 1");
    compare(student, teacher, 4.0f, 2, 3, "logits of 200, T = 4");
}

// A teacher that says nothing, a student that says nothing, and a student that agrees.
static void constant_logits_are_fine(void **state)
{
    (void)state;
    float flat[20], other[20];
    for (int i = 0; i < 20; i++)
        flat[i] = 3.25f;
    run_fill(other, 20, -4.0, 4.0, 3);
    compare(flat, other, 4.0f, 2, 10, "constant student");
    compare(other, flat, 4.0f, 2, 10, "constant teacher");
    const struct dc_kd_attributes kd = {4.0f};
    struct loss_terms t;
    loss_open(&t, ctx, other, other, 2, 10);
    loss_add(&t, &dc_op_kd, &kd, other, 1.0);
    assert_true(t.loss == 0.0);
    for (int i = 0; i < 20; i++)
        assert_true(t.gradient[i] == 0.0f);
    loss_close(&t);
}

static void gradient_is_the_slope(void **state)
{
    (void)state;
    float student[40], teacher[40];
    run_fill(student, 40, -3.0, 3.0, 4);
    run_fill(teacher, 40, -3.0, 3.0, 5);
    for (float t = 1.0f; t < 5.0f; t += 1.5f) {
        const struct dc_kd_attributes kd = {t};
        loss_check_slopes(ctx, &dc_op_kd, &kd, student, teacher, 4, 10);
        loss_check_slopes(ctx, &dc_op_kd, &kd, student, teacher, 20, 2);
    }
}

// As T grows, the gradient becomes (centred student - centred teacher) / (classes batch).
static void gradient_keeps_its_size_at_high_temperature(void **state)
{
    (void)state;
    struct fixture f;
    fixture_fill(&f);
    const struct dc_kd_attributes kd = {4096.0f};
    struct loss_terms t;
    loss_open(&t, ctx, f.student, f.teacher, FIXTURE_ROWS, FIXTURE_CLASSES);
    loss_add(&t, &dc_op_kd, &kd, f.teacher, 1.0);
    for (int b = 0; b < FIXTURE_ROWS; b++) {
        double mean = 0.0;
        for (int c = 0; c < FIXTURE_CLASSES; c++)
            mean += (double)(f.student[b * FIXTURE_CLASSES + c] -
                             f.teacher[b * FIXTURE_CLASSES + c]) /
                    FIXTURE_CLASSES;
        for (int c = 0; c < FIXTURE_CLASSES; c++) {
            const int i = b * FIXTURE_CLASSES + c;
            const double want = ((double)(f.student[i] - f.teacher[i]) - mean) /
                                (FIXTURE_CLASSES * FIXTURE_ROWS);
            assert_true(fabs((double)t.gradient[i] - want) <= 1e-3);
        }
    }
    loss_close(&t);
}

static void not_finite_names_the_row(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    const struct dc_kd_attributes kd = {4.0f};
    for (int k = 0; k < 3; k++) {
        for (int side = 0; side < 2; side++) {
            for (int column = 0; column < 3; column++) {
                float z[2][15];
                struct dc_error error;
                struct loss_terms t;
                run_fill(z[0], 15, -1.0, 1.0, 6);
                run_fill(z[1], 15, -1.0, 1.0, 7);
                z[side][3 * 3 + column] = bad[k];
                loss_open(&t, ctx, z[0], z[1], 5, 3);
                assert_int_equal(loss_try_add(&t, &dc_op_kd, &kd, z[1], 1.0, &error),
                                 DC_ERR_NUMERIC);
                assert_non_null(strstr(error.message, "row 3"));
                loss_close(&t);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_the_published_ones),
        cmocka_unit_test(loss_matches_definition),
        cmocka_unit_test(large_logits_are_fine),
        cmocka_unit_test(constant_logits_are_fine),
        cmocka_unit_test(gradient_is_the_slope),
        cmocka_unit_test(gradient_keeps_its_size_at_high_temperature),
        cmocka_unit_test(not_finite_names_the_row),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
