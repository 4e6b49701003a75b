// Pooling against the definitions.

#include "helper_run.h"

#include <math.h>

#include "core/ops/ops.h"
#include "tests/oracles/oracles.h"

struct pool_case {
    const char *name;
    int n, h, w, c;
    int kernel_h, kernel_w, stride_h, stride_w;
    int top, bottom, left, right;
};

static const struct pool_case pool_cases[] = {
    {"2x2", 2, 8, 8, 16, 2, 2, 2, 2, 0, 0, 0, 0},
    {"2x2 with a rest", 3, 7, 9, 5, 2, 2, 2, 2, 0, 0, 0, 0},
    {"3x3 stride 2, same", 2, 8, 8, 3, 3, 3, 2, 2, 0, 1, 0, 1},
    {"3x3 stride 1, padded", 2, 5, 6, 7, 3, 3, 1, 1, 1, 1, 1, 1},
    {"four pads", 1, 5, 6, 4, 4, 3, 2, 1, 3, 2, 0, 1},
    {"1x1 stride 2", 2, 5, 5, 8, 1, 1, 2, 2, 0, 0, 0, 0},
    {"whole image", 2, 4, 6, 9, 4, 6, 1, 1, 0, 0, 0, 0},
    {"one channel", 2, 9, 7, 1, 3, 2, 3, 2, 1, 0, 1, 0},
    {"one pixel", 1, 1, 1, 3, 2, 2, 1, 1, 1, 1, 1, 1},
    {"batch of chunks", 16, 4, 4, 3, 2, 2, 2, 2, 0, 0, 0, 0},
    {"batch 37", 37, 4, 5, 2, 3, 3, 2, 2, 1, 1, 1, 1},
    {"17x17 taps", 1, 18, 20, 2, 17, 17, 1, 2, 0, 0, 1, 0},
};
enum { CASES = sizeof pool_cases / sizeof pool_cases[0] };

static struct dc_pool_attributes attributes_of(const struct pool_case *c, bool count_padding)
{
    return (struct dc_pool_attributes){.window = {.kernel = {c->kernel_h, c->kernel_w},
                                                  .stride = {c->stride_h, c->stride_w},
                                                  .dilation = {1, 1},
                                                  .before = {c->top, c->left},
                                                  .after = {c->bottom, c->right}},
                                       .count_padding = count_padding};
}

static struct oracle_window window_of(const struct pool_case *c)
{
    return (struct oracle_window){c->kernel_h, c->kernel_w, c->stride_h, c->stride_w, 1,
                                  1,           c->top,      c->bottom,   c->left,     c->right};
}

struct pool_arrays {
    double *x, *x_size, *g, *g_size, *y, *y_size, *dx, *dx_size;
};

static struct pool_arrays open_arrays(struct run *run)
{
    const int64_t in = dc_shape_count(&run->call.in[0].shape);
    const int64_t out = dc_shape_count(&run->call.out.shape);
    return (struct pool_arrays){run_wide(run, dc_f32(&run->call.in[0]), in),
                                run_absolute(run, dc_f32(&run->call.in[0]), in),
                                run_wide(run, dc_f32(&run->call.d_out), out),
                                run_absolute(run, dc_f32(&run->call.d_out), out),
                                run_doubles(run, out),
                                run_doubles(run, out),
                                run_doubles(run, in),
                                run_doubles(run, in)};
}

static void check(struct run *run, const struct pool_arrays *a, double y_factor, int taps,
                  const char *name)
{
    const struct expected e = {.mode = DC_TRAINING,
                               .y_factor = y_factor,
                               .dx_factor = taps + 2,
                               .y = a->y,
                               .y_magnitude = a->y_size,
                               .dx = {a->dx},
                               .dx_magnitude = {a->dx_size},
                               .same_bits = true};
    run_check(run, &e, name);
}

// ties: values from a coarse grid, so that windows hold equal maxima.
static void max_pool_on(const struct pool_case *c, bool ties)
{
    const struct dc_pool_attributes attributes = attributes_of(c, false);
    const struct oracle_image in = {c->n, c->h, c->w, c->c};
    const struct oracle_window window = window_of(c);
    struct run run;
    run_open(&run, &dc_op_max_pool, &attributes, &DC_SHAPE(c->n, c->h, c->w, c->c), 1);
    float *x = dc_f32(&run.call.in[0]);
    for (int i = 0; ties && i < c->n * c->h * c->w * c->c; i++)
        x[i] = x[i] < 0.0f ? 0.0f : rintf(x[i] * 2.0f);
    const struct pool_arrays a = open_arrays(&run);
    oracle_max_pool(a.y, a.x, in, window);
    oracle_max_pool_backward(a.dx, a.g, a.x, in, window);
    oracle_max_pool_backward(a.dx_size, a.g_size, a.x, in, window);
    check(&run, &a, 0.0, c->kernel_h * c->kernel_w, c->name);
    struct dc_ctx *ctx = run_context(DC_ISA_SCALAR, 1);
    run_forward(&run, ctx, DC_INFERENCE);
    assert_int_equal(first_outside(dc_f32(&run.call.out), a.y, a.y_size, 0.0,
                                   dc_shape_count(&run.call.out.shape)),
                     -1);
    dc_ctx_free(ctx);
    run_close(&run);
}

static void max_pool_matches_definition(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        max_pool_on(&pool_cases[i], false);
        max_pool_on(&pool_cases[i], true);
    }
}

static void average_pool_matches_definition(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * CASES; i++) {
        const struct pool_case *c = &pool_cases[i / 2];
        const bool count_padding = i % 2;
        const struct dc_pool_attributes attributes = attributes_of(c, count_padding);
        const struct oracle_image in = {c->n, c->h, c->w, c->c};
        const struct oracle_window window = window_of(c);
        struct run run;
        run_open(&run, &dc_op_average_pool, &attributes, &DC_SHAPE(c->n, c->h, c->w, c->c), 1);
        const struct pool_arrays a = open_arrays(&run);
        oracle_average_pool(a.y, a.x, in, window, count_padding);
        oracle_average_pool(a.y_size, a.x_size, in, window, count_padding);
        oracle_average_pool_backward(a.dx, a.g, in, window, count_padding);
        oracle_average_pool_backward(a.dx_size, a.g_size, in, window, count_padding);
        const int taps = c->kernel_h * c->kernel_w;
        check(&run, &a, taps + 1, taps, c->name);
        run_close(&run);
    }
}

static void global_average_pool_matches_definition(void **state)
{
    (void)state;
    const struct oracle_image cases[] = {{1, 1, 1, 1}, {2, 8, 8, 64}, {37, 3, 5, 7}, {3, 25, 5, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct oracle_image in = cases[i];
        struct run run;
        run_open(&run, &dc_op_global_average_pool, NULL, &DC_SHAPE(in.n, in.h, in.w, in.c), 1);
        assert_int_equal(run.call.out.shape.rank, 2);
        const struct pool_arrays a = open_arrays(&run);
        oracle_global_average_pool(a.y, a.x, in);
        oracle_global_average_pool(a.y_size, a.x_size, in);
        oracle_global_average_pool_backward(a.dx, a.g, in);
        oracle_global_average_pool_backward(a.dx_size, a.g_size, in);
        check(&run, &a, in.h * in.w + 1, 1, "global_average_pool");
        run_close(&run);
    }
}

static void nan_survives_pooling(void **state)
{
    (void)state;
    const struct dc_op *const ops[] = {&dc_op_max_pool, &dc_op_average_pool};
    const struct dc_pool_attributes attributes = {
        .window = {.kernel = {2, 2}, .stride = {2, 2}, .dilation = {1, 1}}};
    struct dc_ctx *ctx = run_context(DC_ISA_SCALAR, 1);
    for (int i = 0; i < 2 * 4 * 2; i++) {
        struct run run;
        run_open(&run, ops[i % 2], &attributes, &DC_SHAPE(1, 2, 2, 3), 1);
        dc_f32(&run.call.in[0])[i / 4 * 3 + 1] = NAN;  // any tap, channel 1
        run_forward(&run, ctx, i / 2 % 2 ? DC_TRAINING : DC_INFERENCE);
        const float *y = dc_f32(&run.call.out);
        assert_true(!isnan(y[0]) && isnan(y[1]) && !isnan(y[2]));
        run_close(&run);
    }
    dc_ctx_free(ctx);
}

static void windows_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    const struct {
        struct dc_pool_attributes attributes;
        const char *part;
    } cases[] = {
        {{.window = {.kernel = {5, 5}, .stride = {1, 1}, .dilation = {1, 1}}},
         "kernel 5x5 does not fit an input of 3x4"},
        {{.window = {.kernel = {2, 2}, .stride = {2, 2}, .dilation = {1, 1}, .before = {2, 0}},
          .count_padding = true},
         "sees padding alone"},
        {{.window = {.kernel = {2, 2}, .stride = {2, 2}, .dilation = {1, 1}, .before = {0, 2}},
          .count_padding = true},
         "sees padding alone"},
        {{.window = {.kernel = {2, 2}, .stride = {1, 1}, .dilation = {1, 1}, .after = {2, 0}}},
         "sees padding alone"},
        {{.window = {.kernel = {2, 2}, .stride = {1, 1}, .dilation = {1, 1}, .after = {0, 2}}},
         "sees padding alone"},
        {{.window = {.kernel = {0, 2}, .stride = {1, 1}, .dilation = {1, 1}}},
         "kernel 0, stride 1"},
        {{.window = {.kernel = {2, 2}, .stride = {0, 1}, .dilation = {1, 1}}},
         "kernel 2, stride 0"},
        {{.window = {.kernel = {2, 2}, .stride = {1, 1}, .dilation = {1, 1}, .after = {-1, 0}}},
         "padding 0, -1 at 0"},
        {{.window = {.kernel = {300, 300},
                     .stride = {1, 1},
                     .dilation = {1, 1},
                     .before = {200, 200},
                     .after = {200, 200}}},
         "more than 65536 taps"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_refused(&dc_op_max_pool, &cases[i].attributes, &DC_SHAPE(DC_BATCH, 3, 4, 2), 1,
                       cases[i].part);
        assert_refused(&dc_op_average_pool, &cases[i].attributes, &DC_SHAPE(DC_BATCH, 3, 4, 2), 1,
                       cases[i].part);
    }
    assert_refused(&dc_op_max_pool, &cases[0].attributes, &DC_SHAPE(DC_BATCH, 3), 1,
                   "max_pool needs [batch, height, width, channels], not [batch, 3]");
    assert_refused(&dc_op_global_average_pool, NULL, &DC_SHAPE(DC_BATCH, 3), 1,
                   "global_average_pool needs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(max_pool_matches_definition),
        cmocka_unit_test(average_pool_matches_definition),
        cmocka_unit_test(global_average_pool_matches_definition),
        cmocka_unit_test(nan_survives_pooling),
        cmocka_unit_test(windows_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
