// The oracles themselves: every backward against central differences of its forward, losses also
// against published reference values. Nothing of the library is used here.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/oracles/oracles.h"

enum { VALUES_MAX = 4096 };

// A scalar function of arrays that lie in its struct.
struct problem {
    double (*value)(const struct problem *problem);
    double x[VALUES_MAX], w[VALUES_MAX], b[64], g[VALUES_MAX];  // inputs; g weighs the outputs
    int outputs;
    struct oracle_image in;
    struct oracle_window window;
    int filters, groups, rows, classes;
    bool flag;
    double number;
    double (*function)(double);
};

static struct problem problem;  // large, so not on the stack
static double y[VALUES_MAX], dx[VALUES_MAX], dw[VALUES_MAX], db[64];

static void fill(double *values, int count, double scale, uint32_t seed)
{
    uint64_t state = seed * 2654435761u + 1u;
    for (int i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        values[i] = scale * ((double)(state >> 33) * 0x1p-30 - 1.0);
    }
}

static void start(double (*value)(const struct problem *))
{
    problem = (struct problem){.value = value};
    fill(problem.x, VALUES_MAX, 1.0, 1);
    fill(problem.w, VALUES_MAX, 1.0, 2);
    fill(problem.b, 64, 1.0, 3);
    fill(problem.g, VALUES_MAX, 1.0, 4);
}

static double weighted(const struct problem *p, int outputs)
{
    double sum = 0.0;
    for (int i = 0; i < outputs; i++)
        sum += y[i] * p->g[i];
    return sum;
}

// Largest |central difference - analytic| / (1 + |analytic|) over an array inside `problem`.
static double worst(double *values, const double *analytic, int count)
{
    const double h = 1e-5;
    double largest = 0.0;
    for (int i = 0; i < count; i++) {
        const double keep = values[i];
        values[i] = keep + h;
        const double above = problem.value(&problem);
        values[i] = keep - h;
        const double below = problem.value(&problem);
        values[i] = keep;
        const double off = fabs((above - below) / (2.0 * h) - analytic[i]) /
                           (1.0 + fabs(analytic[i]));
        if (!(off <= largest))
            largest = off;
    }
    return largest;
}

#define ASSERT_GRADIENT(values, analytic, count)                                                   \
    do {                                                                                           \
        const double off__ = worst(values, analytic, count);                                       \
        if (!(off__ < 1e-7))                                                                       \
            fail_msg("%s is off by %g from central differences", #analytic, off__);                \
    } while (0)

static double conv_value(const struct problem *p)
{
    oracle_conv(y, p->x, p->w, p->b, p->in, p->window, p->filters, p->groups);
    return weighted(p, p->outputs);
}

static void conv_gradients(void **state)
{
    (void)state;
    const struct {
        struct oracle_image in;
        struct oracle_window window;
        int filters, groups;
    } cases[] = {
        {{2, 5, 6, 3}, {3, 2, 2, 1, 1, 2, 1, 0, 2, 1}, 4, 1},
        {{1, 6, 5, 4}, {2, 3, 1, 2, 2, 1, 0, 3, 1, 1}, 6, 2},
        {{2, 4, 4, 3}, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, 6, 3},
    };
    for (int i = 0; i < 3; i++) {
        start(conv_value);
        problem.in = cases[i].in;
        problem.window = cases[i].window;
        problem.filters = cases[i].filters;
        problem.groups = cases[i].groups;
        const struct oracle_image in = cases[i].in;
        const struct oracle_window v = cases[i].window;
        problem.outputs = in.n * cases[i].filters *
                          oracle_window_count(in.h, v.pad_top, v.pad_bottom, v.kernel_h, v.stride_h,
                                              v.dilation_h) *
                          oracle_window_count(in.w, v.pad_left, v.pad_right, v.kernel_w, v.stride_w,
                                              v.dilation_w);
        oracle_conv_backward(dx, dw, db, problem.g, problem.x, problem.w, in, v, problem.filters,
                             problem.groups);
        ASSERT_GRADIENT(problem.x, dx, in.n * in.h * in.w * in.c);
        ASSERT_GRADIENT(problem.w, dw,
                        v.kernel_h * v.kernel_w * in.c / problem.groups * problem.filters);
        ASSERT_GRADIENT(problem.b, db, problem.filters);
        dx[3] += 1e-4;  // the comparison must see this
        assert_true(worst(problem.x, dx, 8) > 1e-5);
    }
}

static double dense_value(const struct problem *p)
{
    oracle_dense(y, p->x, p->w, p->b, 3, 7, 5);
    return weighted(p, 15);
}

static void dense_gradients(void **state)
{
    (void)state;
    start(dense_value);
    oracle_dense_backward(dx, dw, db, problem.g, problem.x, problem.w, 3, 7, 5);
    ASSERT_GRADIENT(problem.x, dx, 21);
    ASSERT_GRADIENT(problem.w, dw, 35);
    ASSERT_GRADIENT(problem.b, db, 5);
}

// gamma is w, beta b; constant statistics are w + 10 (mean) and w + 20 (variance).
static double norm_value(const struct problem *p)
{
    if (p->flag)
        oracle_batch_norm_training(y, NULL, NULL, p->x, p->w, p->b, 1e-3, 12, 3);
    else
        oracle_batch_norm_inference(y, p->x, p->w, p->b, p->w + 10, p->w + 20, 1e-3, 12, 3);
    return weighted(p, 36);
}

static void batch_norm_gradients(void **state)
{
    (void)state;
    for (int training = 0; training < 2; training++) {
        start(norm_value);
        problem.flag = training;
        for (int c = 0; c < 3; c++)
            problem.w[20 + c] = 0.5 + c;
        if (training)
            oracle_batch_norm_training_backward(dx, dw, db, problem.g, problem.x, problem.w, 1e-3,
                                                12, 3);
        else
            oracle_batch_norm_inference_backward(dx, dw, db, problem.g, problem.x, problem.w,
                                                 problem.w + 10, problem.w + 20, 1e-3, 12, 3);
        ASSERT_GRADIENT(problem.x, dx, 36);
        ASSERT_GRADIENT(problem.w, dw, 3);
        ASSERT_GRADIENT(problem.b, db, 3);
    }
}

static double function_value(const struct problem *p)
{
    for (int i = 0; i < 400; i++)
        y[i] = p->function(p->x[i]);
    return weighted(p, 400);
}

static void slopes(void **state)
{
    (void)state;
    const struct {
        double (*value)(double), (*slope)(double);
    } cases[] = {{oracle_relu, oracle_relu_slope},
                 {oracle_relu6, oracle_relu6_slope},
                 {oracle_sigmoid, oracle_sigmoid_slope},
                 {oracle_tanh, oracle_tanh_slope},
                 {oracle_h_swish, oracle_h_swish_slope}};
    for (int i = 0; i < 5; i++) {
        start(function_value);
        problem.function = cases[i].value;
        for (int k = 0; k < 400; k++) {
            problem.x[k] = (k - 200) * 0.05 + 0.01;  // never within 1e-5 of a kink
            dx[k] = cases[i].slope(problem.x[k]) * problem.g[k];
        }
        ASSERT_GRADIENT(problem.x, dx, 400);
    }
}

static double softmax_value(const struct problem *p)
{
    oracle_softmax(y, p->x, 4, 5);
    return weighted(p, 20);
}

static double dropout_value(const struct problem *p)
{
    oracle_dropout(y, p->x, (const bool[]){true, false, true, true}, 0.25, 4);
    return weighted(p, 4);
}

static void softmax_and_dropout_gradients(void **state)
{
    (void)state;
    start(softmax_value);
    oracle_softmax_backward(dx, problem.g, problem.x, 4, 5);
    ASSERT_GRADIENT(problem.x, dx, 20);
    start(dropout_value);
    oracle_dropout(dx, problem.g, (const bool[]){true, false, true, true}, 0.25, 4);
    ASSERT_GRADIENT(problem.x, dx, 4);
}

static double max_pool_value(const struct problem *p)
{
    oracle_max_pool(y, p->x, p->in, p->window);
    return weighted(p, p->outputs);
}

static double average_pool_value(const struct problem *p)
{
    oracle_average_pool(y, p->x, p->in, p->window, p->flag);
    return weighted(p, p->outputs);
}

static double global_value(const struct problem *p)
{
    oracle_global_average_pool(y, p->x, p->in);
    return weighted(p, p->in.n * p->in.c);
}

static void pool_gradients(void **state)
{
    (void)state;
    const struct oracle_image in = {2, 5, 6, 3};
    const struct oracle_window window = {3, 2, 2, 1, 1, 1, 1, 1, 0, 1};
    const int count = in.n * in.h * in.w * in.c;
    start(max_pool_value);
    problem.in = in;
    problem.window = window;
    problem.outputs = 2 * 3 * 6 * 3;
    oracle_max_pool_backward(dx, problem.g, problem.x, in, window);
    ASSERT_GRADIENT(problem.x, dx, count);
    problem.value = average_pool_value;
    for (int counts = 0; counts < 2; counts++) {
        problem.flag = counts;
        oracle_average_pool_backward(dx, problem.g, in, window, counts);
        ASSERT_GRADIENT(problem.x, dx, count);
    }
    problem.value = global_value;
    oracle_global_average_pool_backward(dx, problem.g, in);
    ASSERT_GRADIENT(problem.x, dx, count);
}

static double pad_value(const struct problem *p)
{
    oracle_pad(y, p->x, (struct oracle_image){2, 3, 4, 2}, (struct oracle_sides){1, 2, 0, 3, 1, 2});
    return weighted(p, 2 * 6 * 7 * 5);
}

static double slice_value(const struct problem *p)
{
    oracle_slice(y, p->x, (const int[]){2, 7, 3}, 3, 1, 1, 6, 2);
    return weighted(p, 2 * 3 * 3);
}

static double concat_value(const struct problem *p)
{
    oracle_concat(y, (const double *const[]){p->x, p->w}, (const int[]){1, 3}, 2,
                  (const int[]){2, 4, 3}, 3, 1);
    return weighted(p, 24);
}

static double add_value(const struct problem *p)
{
    oracle_add(y, (const double *const[]){p->x, p->w, p->x}, 3, 10);
    return weighted(p, 10);
}

static void shape_gradients(void **state)
{
    (void)state;
    start(pad_value);
    oracle_pad_backward(dx, problem.g, (struct oracle_image){2, 3, 4, 2},
                        (struct oracle_sides){1, 2, 0, 3, 1, 2});
    ASSERT_GRADIENT(problem.x, dx, 48);
    start(slice_value);
    oracle_slice_backward(dx, problem.g, (const int[]){2, 7, 3}, 3, 1, 1, 6, 2);
    ASSERT_GRADIENT(problem.x, dx, 42);
    start(concat_value);
    oracle_concat_backward((double *const[]){dx, dw}, problem.g, (const int[]){1, 3}, 2,
                           (const int[]){2, 4, 3}, 3, 1);
    ASSERT_GRADIENT(problem.x, dx, 6);
    ASSERT_GRADIENT(problem.w, dw, 18);
    start(add_value);
    for (int i = 0; i < 10; i++)
        dx[i] = 2.0 * problem.g[i];
    ASSERT_GRADIENT(problem.x, dx, 10);
    ASSERT_GRADIENT(problem.w, problem.g, 10);
}

// The inputs whose losses float64 PyTorch gave: 4 rows, 6 classes, labels 0, 3, 5, 1.
static void reference_inputs(double *student, double *teacher, double *targets)
{
    const int labels[4] = {0, 3, 5, 1};
    for (int b = 0; b < 4; b++)
        for (int c = 0; c < 6; c++) {
            student[b * 6 + c] = (7 * b + 3 * c + 1) % 11 / 2.0 - 2.0;
            teacher[b * 6 + c] = (5 * b + 4 * c + 2) % 13 / 2.0 - 3.0;
            targets[b * 6 + c] = c == labels[b];
        }
}

static double norm(const double *v, int count)
{
    double sum = 0.0;
    for (int i = 0; i < count; i++)
        sum += v[i] * v[i];
    return sqrt(sum);
}

static void losses_match_reference_values(void **state)
{
    (void)state;
    double student[24], teacher[24], targets[24];
    reference_inputs(student, teacher, targets);
    const double ce = oracle_cross_entropy(dx, student, targets, NULL, 0.0, 4, 6);
    assert_true(fabs(ce - 2.9629145557) < 1e-9 && fabs(norm(dx, 24) - 0.5670730877) < 1e-9);
    assert_true(fabs(dx[0] + 0.24799394) < 1e-8 && fabs(dx[3] - 0.18058014) < 1e-8);
    const double expected[3][3] = {{1.0, 1.8580487605, 0.4020014784},
                                   {2.0, 2.4456541480, 0.4680036591},
                                   {4.0, 2.6749932935, 0.4828674159}};
    for (int i = 0; i < 3; i++) {
        const double kd = oracle_kd(dx, student, teacher, expected[i][0], 4, 6);
        assert_true(fabs(kd - expected[i][1]) < 1e-9);
        assert_true(fabs(norm(dx, 24) - expected[i][2]) < 1e-9);
    }
    assert_true(fabs(dx[0] + 0.00313710) < 1e-8 && fabs(dx[5] + 0.07942014) < 1e-8);
}

static double cross_entropy_value(const struct problem *p)
{
    return oracle_cross_entropy(NULL, p->x, p->w, p->flag ? p->b : NULL, p->number, 4, 6);
}

static double squared_error_value(const struct problem *p)
{
    return oracle_mean_squared_error(NULL, p->x, p->w, 4, 6);
}

static double kd_value(const struct problem *p)
{
    return oracle_kd(NULL, p->x, p->w, p->number, 4, 6);
}

static void loss_gradients(void **state)
{
    (void)state;
    start(cross_entropy_value);
    reference_inputs(problem.x, problem.g, problem.w);
    problem.w[0] = 0.7;  // a mixed target
    problem.w[2] = 0.3;
    for (int i = 0; i < 4; i++) {
        problem.flag = i % 2;
        problem.number = i / 2 * 0.1;
        oracle_cross_entropy(dx, problem.x, problem.w, problem.flag ? problem.b : NULL,
                             problem.number, 4, 6);
        ASSERT_GRADIENT(problem.x, dx, 24);
    }
    problem.value = squared_error_value;
    oracle_mean_squared_error(dx, problem.x, problem.w, 4, 6);
    ASSERT_GRADIENT(problem.x, dx, 24);
    problem.value = kd_value;
    problem.number = 3.0;
    oracle_kd(dx, problem.x, problem.w, 3.0, 4, 6);
    ASSERT_GRADIENT(problem.x, dx, 24);
}

// A few values worked out by hand, so that a forward and its backward cannot be wrong together.
static void forwards_match_hand_calculation(void **state)
{
    (void)state;
    const double x[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, w[4] = {1, 10, 100, 1000};
    const struct oracle_image in = {1, 3, 3, 1};
    oracle_conv(y, x, w, NULL, in, (struct oracle_window){2, 2, 1, 1, 1, 1, 0, 0, 0, 0}, 1, 1);
    assert_true(y[0] == 1 + 20 + 400 + 5000 && y[3] == 5 + 60 + 800 + 9000);
    oracle_conv(y, x, w, NULL, in, (struct oracle_window){2, 2, 2, 2, 1, 1, 1, 0, 0, 1}, 1, 1);
    assert_true(y[0] == 100 + 2000 && y[1] == 300 && y[2] == 4 + 50 + 700 + 8000 && y[3] == 906);
    oracle_conv(y, x, w, NULL, in, (struct oracle_window){2, 2, 1, 1, 2, 2, 0, 0, 0, 0}, 1, 1);
    assert_true(y[0] == 1 + 30 + 700 + 9000);
    const struct oracle_window padded = {2, 2, 2, 2, 1, 1, 1, 0, 1, 0};
    oracle_average_pool(y, x, in, padded, false);
    assert_true(y[0] == 1.0 && y[1] == 2.5 && y[3] == 7.0);
    oracle_average_pool(y, x, in, padded, true);
    assert_true(y[0] == 0.25 && y[1] == 1.25);
    oracle_max_pool(y, x, in, padded);
    assert_true(y[0] == 1.0 && y[1] == 3.0 && y[2] == 7.0 && y[3] == 9.0);
    const double pair[4] = {1, 5, 3, 9}, one[2] = {1, 1}, zero[2] = {0, 0};
    double mean[2], variance[2];
    oracle_batch_norm_training(y, mean, variance, pair, one, zero, 0.0, 2, 2);
    assert_true(mean[0] == 2 && mean[1] == 7 && variance[0] == 1 && variance[1] == 4);
    assert_true(y[0] == -1 && y[3] == 1);
    oracle_slice(y, x, (const int[]){3, 3}, 2, 1, 0, 3, 2);
    assert_true(y[0] == 1 && y[1] == 3 && y[2] == 4 && y[5] == 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forwards_match_hand_calculation),
        cmocka_unit_test(conv_gradients),
        cmocka_unit_test(dense_gradients),
        cmocka_unit_test(batch_norm_gradients),
        cmocka_unit_test(slopes),
        cmocka_unit_test(softmax_and_dropout_gradients),
        cmocka_unit_test(pool_gradients),
        cmocka_unit_test(shape_gradients),
        cmocka_unit_test(losses_match_reference_values),
        cmocka_unit_test(loss_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
