// Batch normalization against the definition in double precision: batch statistics, running ones,
// constant ones, and all gradients.

#include "helper_run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/ops/ops.h"
#include "tests/oracles/oracles.h"

enum { GAMMA, BETA, MEAN, VARIANCE };
enum { TILE = 64 };  // float sums of the kernels run over at most so many values

static const struct dc_shape shapes[] = {
    {2, {2, 1}},         {2, {37, 10}},       {4, {1, 3, 5, 7}}, {4, {5, 8, 8, 16}},
    {4, {16, 4, 4, 33}}, {4, {37, 3, 5, 17}}, {3, {9, 11, 3}},   {4, {2, 32, 32, 3}},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static const struct dc_batch_norm_attributes attributes = {.epsilon = 1e-3f, .momentum = 0.1f};

struct norm_arrays {
    int count, channels;
    double *x, *g, *gamma, *beta, *running_mean, *running_variance;  // inputs
    double *y, *dx, *d_gamma, *d_beta, *mean, *variance;             // results
    double *y_size, *dx_size, *d_gamma_size, *d_beta_size;
};

static struct norm_arrays open_arrays(struct run *run)
{
    const struct dc_shape *shape = &run->call.out.shape;
    const int channels = (int)shape->dims[shape->rank - 1];
    const int64_t values = dc_shape_count(shape);
    return (struct norm_arrays){
        .count = (int)(values / channels),
        .channels = channels,
        .x = run_wide(run, dc_f32(&run->call.in[0]), values),
        .g = run_wide(run, dc_f32(&run->call.d_out), values),
        .gamma = run_wide(run, run->call.param[GAMMA], channels),
        .beta = run_wide(run, run->call.param[BETA], channels),
        .running_mean = run_wide(run, run->before_param[MEAN], channels),
        .running_variance = run_wide(run, run->before_param[VARIANCE], channels),
        .y = run_doubles(run, values),
        .dx = run_doubles(run, values),
        .d_gamma = run_doubles(run, channels),
        .d_beta = run_doubles(run, channels),
        .mean = run_doubles(run, channels),
        .variance = run_doubles(run, channels),
        .y_size = run_doubles(run, values),
        .dx_size = run_doubles(run, values),
        .d_gamma_size = run_doubles(run, channels),
        .d_beta_size = run_doubles(run, channels),
    };
}

// Error bounds of one channel, in units of FLT_EPSILON, to first order. Sums carry TILE roundings
// of their absolute terms; the mean is off by `mean_off`, 1 / deviation by the factor `scale_off`,
// and both reach every result. Constant statistics have no error of their own.
static void bound_channel(struct norm_arrays *a, int c, bool batch_statistics)
{
    const double m = batch_statistics ? a->mean[c] : a->running_mean[c];
    const double v = batch_statistics ? a->variance[c] : a->running_variance[c];
    const double inverse = 1.0 / sqrt(v + (double)attributes.epsilon);
    const double s = fabs(a->gamma[c]) * inverse;
    double distance = 0.0, square = 0.0, sum_g = 0.0, sum_gh = 0.0;
    for (int i = c; i < a->count * a->channels; i += a->channels) {
        const double from_running = a->x[i] - a->running_mean[c];
        distance += fabs(from_running) / a->count;
        square += from_running * from_running / a->count;
        sum_g += fabs(a->g[i]) / a->count;
        sum_gh += fabs(a->g[i]) * (fabs(a->x[i]) + fabs(m)) * inverse / a->count;
    }
    const double mean_off = batch_statistics ? TILE * distance + fabs(m) : 0.0;
    const double scale_off = batch_statistics ? (TILE + 2) * square * inverse * inverse : 0.0;
    for (int i = c; i < a->count * a->channels; i += a->channels) {
        const double size = fabs(a->x[i]) + fabs(m), h = size * inverse;
        const double h_off = inverse * (mean_off + 2.0 * size) + h * scale_off;
        a->y_size[i] = s * (3.0 * size + mean_off + size * scale_off) + 3.0 * fabs(a->beta[c]);
        a->dx_size[i] = s * 4.0 * fabs(a->g[i]) + s * fabs(a->g[i]) * scale_off;
        if (batch_statistics)
            a->dx_size[i] += s * ((TILE + 4 + scale_off) * (sum_g + h * sum_gh) + h_off * sum_gh +
                                  h * sum_g * inverse * mean_off);
    }
    a->d_beta_size[c] = a->count * TILE * sum_g;
    a->d_gamma_size[c] = a->count * (sum_gh * (TILE + 4 + scale_off) + sum_g * inverse * mean_off);
}

static void check(struct run *run, struct norm_arrays *a, bool batch_statistics, const char *what)
{
    for (int c = 0; c < a->channels; c++)
        bound_channel(a, c, batch_statistics);
    const struct expected e = {
        .mode = DC_TRAINING,
        .y_factor = 1.0,
        .dx_factor = 1.0,
        .dp_factor = 1.0,
        .y = a->y,
        .y_magnitude = a->y_size,
        .dx = {a->dx},
        .dx_magnitude = {a->dx_size},
        .dp = {a->d_gamma, a->d_beta},
        .dp_magnitude = {a->d_gamma_size, a->d_beta_size},
        .same_bits = true,
    };
    char name[96];
    snprintf(name, sizeof name, "batch_norm with %s, %d x %d", what, a->count, a->channels);
    run_check(run, &e, name);
}

static void batch_statistics_match_definition(void **state)
{
    (void)state;
    for (int s = 0; s < SHAPES; s++) {
        struct run run;
        run_open(&run, &dc_op_batch_norm, &attributes, &shapes[s], 1);
        struct norm_arrays a = open_arrays(&run);
        const double epsilon = (double)attributes.epsilon;
        oracle_batch_norm_training(a.y, a.mean, a.variance, a.x, a.gamma, a.beta, epsilon, a.count,
                                   a.channels);
        oracle_batch_norm_training_backward(a.dx, a.d_gamma, a.d_beta, a.g, a.x, a.gamma, epsilon,
                                            a.count, a.channels);
        check(&run, &a, true, "batch statistics");
        // The last forward has moved the running statistics.
        const double take = (double)attributes.momentum;
        for (int c = 0; c < a.channels; c++) {
            const double unbiased = a.variance[c] * a.count / (a.count - 1.0);
            const double mean = (1.0 - take) * a.running_mean[c] + take * a.mean[c];
            const double variance = (1.0 - take) * a.running_variance[c] + take * unbiased;
            const double size = 16.0;  // |x - running mean|^2 is below 6.25
            assert_int_equal(first_outside(&run.call.param[MEAN][c], &mean, &size, TILE, 1), -1);
            assert_int_equal(first_outside(&run.call.param[VARIANCE][c], &variance, &size, TILE, 1),
                             -1);
        }
        run_close(&run);
    }
}

static void constant_statistics_match_definition(void **state)
{
    (void)state;
    for (int s = 0; s < SHAPES; s++) {
        struct run run;
        run_open(&run, &dc_op_batch_norm, &attributes, &shapes[s], 1);
        run.step.freeze_batch_norm = true;
        struct norm_arrays a = open_arrays(&run);
        const double epsilon = (double)attributes.epsilon;
        oracle_batch_norm_inference(a.y, a.x, a.gamma, a.beta, a.running_mean, a.running_variance,
                                    epsilon, a.count, a.channels);
        oracle_batch_norm_inference_backward(a.dx, a.d_gamma, a.d_beta, a.g, a.x, a.gamma,
                                             a.running_mean, a.running_variance, epsilon, a.count,
                                             a.channels);
        check(&run, &a, false, "constant statistics");
        assert_memory_equal(run.call.param[MEAN], run.before_param[MEAN], a.channels * 4);
        assert_memory_equal(run.call.param[VARIANCE], run.before_param[VARIANCE], a.channels * 4);
        struct dc_ctx *ctx = run_context(DC_ISA_SCALAR, 1);
        run.step.freeze_batch_norm = false;
        run_forward(&run, ctx, DC_INFERENCE);
        assert_int_equal(
            first_outside(dc_f32(&run.call.out), a.y, a.y_size, 1.0, (int64_t)a.count * a.channels),
            -1);
        dc_ctx_free(ctx);
        run_close(&run);
    }
}

// A constant channel has variance zero: the output is beta, nothing is divided by zero.
static void constant_channel_gives_beta(void **state)
{
    (void)state;
    struct run run;
    run_open(&run, &dc_op_batch_norm, &attributes, &DC_SHAPE(16, 5, 5, 2), 1);
    struct dc_ctx *ctx = run_context(dc_isa_detected(), 2);
    for (int i = 0; i < 16 * 25; i++)
        dc_f32(&run.call.in[0])[2 * i] = 0.7f;
    run_forward(&run, ctx, DC_TRAINING);
    run_backward(&run, ctx, false);
    for (int i = 0; i < 16 * 25; i++) {
        // 0.7 - mean is a few roundings; 1 / deviation is at most 32.
        assert_true(fabsf(dc_f32(&run.call.out)[2 * i] - run.call.param[BETA][0]) < 1e-4f);
        assert_true(isfinite(dc_f32(&run.call.d_in[0])[2 * i]));
    }
    dc_ctx_free(ctx);
    run_close(&run);
}

static void bad_numbers_stop_the_run(void **state)
{
    (void)state;
    struct dc_ctx *ctx = run_context(dc_isa_detected(), 1);
    struct dc_error error;
    struct run run;
    run_open(&run, &dc_op_batch_norm, &attributes, &DC_SHAPE(4, 3, 3, 3), 1);
    for (int i = 0; i < 2; i++) {
        dc_f32(&run.call.in[0])[40] = i ? INFINITY : NAN;  // channel 1
        assert_int_equal(run_try_forward(&run, ctx, DC_TRAINING, &error), DC_ERR_NUMERIC);
        assert_non_null(strstr(error.message, "channel 1"));
    }
    run_close(&run);
    run_open(&run, &dc_op_batch_norm, &attributes, &DC_SHAPE(1, 3), 1);
    assert_int_equal(run_try_forward(&run, ctx, DC_TRAINING, &error), DC_ERR_NUMERIC);
    assert_non_null(strstr(error.message, "one value per channel"));
    assert_int_equal(run_try_forward(&run, ctx, DC_INFERENCE, &error), DC_OK);
    run_close(&run);
    dc_ctx_free(ctx);
    const struct dc_batch_norm_attributes wrong = {.epsilon = 0.0f, .momentum = 0.1f};
    assert_refused(&dc_op_batch_norm, &wrong, &DC_SHAPE(DC_BATCH, 3), 1, "epsilon");
    assert_refused(&dc_op_batch_norm, &attributes, &DC_SHAPE(DC_BATCH), 1, "[batch]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_statistics_match_definition),
        cmocka_unit_test(constant_statistics_match_definition),
        cmocka_unit_test(constant_channel_gives_beta),
        cmocka_unit_test(bad_numbers_stop_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
