// Convolution against the definition in double precision: every shape of a grid, on every
// instruction set, forward and both gradients.

#include "helper_run.h"

#include <math.h>
#include <string.h>

#include "core/ops/ops.h"
#include "tests/oracles/oracles.h"

struct conv_case {
    const char *name;
    int n, h, w, c;
    int filters, kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, groups;
    int top, bottom, left, right;
    bool bias;
};

static const struct conv_case conv_cases[] = {
    // name                      n   h   w   c   f  kernel stride dilat groups pads      bias
    {"3x3 same", 2, 8, 8, 16, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, false},
    {"3x3 same, bias", 2, 7, 9, 8, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, true},
    {"3x3 no padding", 3, 6, 5, 4, 6, 3, 3, 1, 1, 1, 1, 1, 0, 0, 0, 0, true},
    {"3x3 stride 2, TensorFlow's same", 2, 8, 8, 16, 24, 3, 3, 2, 2, 1, 1, 1, 0, 1, 0, 1, false},
    {"3x3 stride 2, PyTorch's padding", 2, 8, 8, 16, 24, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, false},
    {"four different pads", 2, 5, 6, 3, 5, 4, 3, 1, 1, 1, 1, 1, 3, 1, 0, 2, true},
    {"pads as wide as the kernel", 1, 3, 4, 2, 3, 3, 2, 1, 1, 1, 1, 1, 3, 4, 2, 3, true},
    {"stride 2 leaves a rest", 2, 9, 8, 5, 7, 2, 3, 2, 3, 1, 1, 1, 0, 0, 0, 0, true},
    {"stride above the kernel", 2, 9, 10, 4, 4, 2, 1, 3, 4, 1, 1, 1, 0, 0, 0, 0, false},
    {"one channel in", 2, 11, 10, 1, 9, 5, 5, 1, 1, 1, 1, 1, 2, 2, 2, 2, true},
    {"three channels in, stride 2", 2, 12, 12, 3, 8, 3, 3, 2, 2, 1, 1, 1, 0, 1, 0, 1, false},
    {"one filter", 2, 6, 6, 7, 1, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, true},
    {"1x1", 3, 5, 7, 16, 32, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, false},
    {"1x1 odd channels", 2, 4, 5, 13, 17, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, true},
    {"1x1 stride 2", 2, 7, 8, 16, 32, 1, 1, 2, 2, 1, 1, 1, 0, 0, 0, 0, true},
    {"1x1 with padding", 1, 3, 3, 4, 5, 1, 1, 1, 1, 1, 1, 1, 1, 0, 2, 1, true},
    {"whole image", 2, 4, 4, 6, 10, 4, 4, 1, 1, 1, 1, 1, 0, 0, 0, 0, true},
    {"one pixel, padded", 2, 1, 1, 5, 6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, false},
    {"1x7 and 33 filters", 2, 3, 9, 6, 33, 1, 7, 1, 1, 1, 1, 1, 0, 0, 3, 3, false},
    {"10x4 stride 2 of DS-CNN", 1, 49, 10, 1, 16, 10, 4, 2, 2, 1, 1, 1, 4, 5, 1, 1, true},
    {"dilation 2", 2, 9, 9, 8, 8, 3, 3, 1, 1, 2, 2, 1, 2, 2, 2, 2, false},
    {"dilation 2x3, stride 2, odd pads", 2, 11, 12, 3, 5, 3, 2, 2, 2, 2, 3, 1, 1, 3, 2, 0, true},
    {"2 groups", 2, 6, 7, 8, 12, 3, 3, 1, 1, 1, 1, 2, 1, 1, 1, 1, true},
    {"3 groups, odd", 2, 5, 6, 9, 15, 3, 2, 2, 1, 1, 1, 3, 1, 0, 0, 1, false},
    {"4 groups of 1x1, dilation 2", 2, 5, 5, 16, 32, 1, 1, 1, 1, 2, 2, 4, 0, 0, 0, 0, true},
    {"depthwise 3x3", 2, 8, 8, 16, 16, 3, 3, 1, 1, 1, 1, 16, 1, 1, 1, 1, false},
    {"depthwise 3x3, bias, 19 channels", 2, 6, 7, 19, 19, 3, 3, 1, 1, 1, 1, 19, 1, 1, 1, 1, true},
    {"depthwise stride 2, same", 2, 8, 10, 8, 8, 3, 3, 2, 2, 1, 1, 8, 0, 1, 0, 1, false},
    {"depthwise 5x3, four pads", 2, 7, 6, 5, 5, 5, 3, 1, 2, 1, 1, 5, 3, 1, 2, 0, true},
    {"depthwise dilation 2", 2, 9, 9, 8, 8, 3, 3, 1, 1, 2, 2, 8, 2, 2, 2, 2, false},
    {"depthwise multiplier 2", 2, 6, 7, 5, 10, 3, 3, 1, 1, 1, 1, 5, 1, 1, 1, 1, true},
    {"depthwise multiplier 2, stride 2", 1, 7, 7, 8, 16, 3, 3, 2, 2, 1, 1, 8, 1, 1, 1, 1, false},
    {"depthwise of 1 channel", 2, 5, 5, 1, 1, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, true},
    {"batch 1", 1, 8, 8, 16, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, false},
    {"batch of chunks", 16, 4, 4, 5, 6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, true},
    {"batch 37", 37, 5, 4, 3, 8, 3, 3, 2, 1, 1, 1, 1, 0, 1, 1, 1, true},
    {"batch 37 depthwise", 37, 5, 4, 8, 8, 3, 3, 1, 1, 1, 1, 8, 1, 1, 1, 1, true},
    {"deeper than a block of runs", 5, 3, 2, 300, 70, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, true},
    {"deeper, dilated", 2, 4, 5, 260, 18, 3, 3, 1, 1, 1, 2, 1, 1, 1, 2, 2, true},
    {"many channels", 1, 3, 3, 130, 70, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, true},
};
enum { CASES = sizeof conv_cases / sizeof conv_cases[0] };

static struct dc_conv_attributes attributes_of(const struct conv_case *c)
{
    return (struct dc_conv_attributes){.window = {.kernel = {c->kernel_h, c->kernel_w},
                                                  .stride = {c->stride_h, c->stride_w},
                                                  .dilation = {c->dilation_h, c->dilation_w},
                                                  .before = {c->top, c->left},
                                                  .after = {c->bottom, c->right}},
                                       .filters = c->filters,
                                       .groups = c->groups,
                                       .bias = c->bias};
}

struct conv_result {
    double *y, *dx, *dw, *db;
};

// The oracle on the run's values, or on their absolute values.
static struct conv_result definition(struct run *run, const struct conv_case *c, bool absolute)
{
    double *(*convert)(struct run *, const float *, int64_t) = absolute ? run_absolute : run_wide;
    const struct oracle_image in = {c->n, c->h, c->w, c->c};
    const struct oracle_window window = {c->kernel_h,   c->kernel_w,   c->stride_h, c->stride_w,
                                         c->dilation_h, c->dilation_w, c->top,      c->bottom,
                                         c->left,       c->right};
    const int64_t x_count = dc_shape_count(&run->call.in[0].shape);
    const int64_t y_count = dc_shape_count(&run->call.out.shape);
    const int64_t w_count = dc_shape_count(&run->specs[0].shape);
    const double *x = convert(run, dc_f32(&run->call.in[0]), x_count);
    const double *g = convert(run, dc_f32(&run->call.d_out), y_count);
    const double *w = convert(run, run->call.param[0], w_count);
    const double *bias = c->bias ? convert(run, run->call.param[1], c->filters) : NULL;
    const struct conv_result result = {run_doubles(run, y_count), run_doubles(run, x_count),
                                       run_doubles(run, w_count), run_doubles(run, c->filters)};
    oracle_conv(result.y, x, w, bias, in, window, c->filters, c->groups);
    oracle_conv_backward(result.dx, result.dw, result.db, g, x, w, in, window, c->filters,
                         c->groups);
    return result;
}

// Inference cuts the work otherwise and gives the same bits.
static void check_inference(struct run *run, const char *name)
{
    for (int isa = 0; isa <= (int)dc_isa_detected(); isa++) {
        struct dc_ctx *ctx = run_context((enum dc_isa)isa, 3);
        const int64_t count = dc_shape_count(&run->call.out.shape);
        float *trained = run_floats(run, count);
        run_forward(run, ctx, DC_TRAINING);
        memcpy(trained, run->call.out.data, (size_t)count * sizeof *trained);
        run_forward(run, ctx, DC_INFERENCE);
        if (memcmp(trained, run->call.out.data, (size_t)count * sizeof *trained) != 0)
            fail_msg("%s on %s: inference gives other bits", name, dc_isa_name(ctx->isa));
        dc_ctx_free(ctx);
    }
}

static void convolution_matches_definition(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        const struct conv_case *c = &conv_cases[i];
        const struct dc_conv_attributes attributes = attributes_of(c);
        struct run run;
        run_open(&run, &dc_op_conv, &attributes, &DC_SHAPE(c->n, c->h, c->w, c->c), 1);
        const struct dc_shape *out = &run.call.out.shape;
        assert_int_equal(out->dims[1], oracle_window_count(c->h, c->top, c->bottom, c->kernel_h,
                                                           c->stride_h, c->dilation_h));
        assert_int_equal(out->dims[2], oracle_window_count(c->w, c->left, c->right, c->kernel_w,
                                                           c->stride_w, c->dilation_w));
        assert_true(dc_shape_equal(&run.specs[0].shape, &DC_SHAPE(c->kernel_h, c->kernel_w,
                                                                  c->c / c->groups, c->filters)));
        const struct conv_result slow = definition(&run, c, false);
        const struct conv_result size = definition(&run, c, true);
        const int taps = c->kernel_h * c->kernel_w * c->c / c->groups;
        const int readers = c->kernel_h * c->kernel_w * c->filters / c->groups;
        const int64_t pixels = c->n * out->dims[1] * out->dims[2];
        const struct expected e = {.mode = DC_TRAINING,
                                   .y_factor = taps + 1,
                                   .dx_factor = readers + 1,
                                   .dp_factor = (double)pixels + 1,
                                   .y = slow.y,
                                   .y_magnitude = size.y,
                                   .dx = {slow.dx},
                                   .dx_magnitude = {size.dx},
                                   .dp = {slow.dw, c->bias ? slow.db : NULL},
                                   .dp_magnitude = {size.dw, size.db}};
        run_check(&run, &e, c->name);
        check_inference(&run, c->name);
        run_close(&run);
    }
}

// Only the weight, only the input, or nothing may want a gradient.
static void unwanted_gradients_are_left_alone(void **state)
{
    (void)state;
    const struct conv_case *c = &conv_cases[1];
    const struct dc_conv_attributes attributes = attributes_of(c);
    for (int wanted = 0; wanted < 4; wanted++) {
        struct run run;
        run_open(&run, &dc_op_conv, &attributes, &DC_SHAPE(c->n, c->h, c->w, c->c), 1);
        const struct conv_result slow = definition(&run, c, false);
        const struct conv_result size = definition(&run, c, true);
        struct dc_ctx *ctx = run_context(dc_isa_detected(), 2);
        if (!(wanted & 1))
            run.call.d_in[0].data = NULL;
        if (!(wanted & 2))
            run.call.d_param[0] = run.call.d_param[1] = NULL;
        run_forward(&run, ctx, DC_TRAINING);
        run_backward(&run, ctx, false);
        if (wanted & 1)
            assert_int_equal(first_outside(dc_f32(&run.call.d_in[0]), slow.dx, size.dx, 200.0,
                                           dc_shape_count(&run.call.in[0].shape)),
                             -1);
        if (wanted & 2)
            assert_int_equal(first_outside(run.call.d_param[0], slow.dw, size.dw, 200.0,
                                           dc_shape_count(&run.specs[0].shape)),
                             -1);
        dc_ctx_free(ctx);
        run_close(&run);
    }
}

static void nan_reaches_only_what_reads_it(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct conv_case c = {"nan", 2, 5, 5,         4, 4, 3, 3, 1,
                                    1,     1, 1, i ? 4 : 1, 1, 1, 1, 1, true};
        const struct dc_conv_attributes attributes = attributes_of(&c);
        struct run run;
        run_open(&run, &dc_op_conv, &attributes, &DC_SHAPE(2, 5, 5, 4), 1);
        dc_f32(&run.call.in[0])[0] = NAN;  // image 0, pixel (0, 0), channel 0
        struct dc_ctx *ctx = run_context(dc_isa_detected(), 1);
        run_forward(&run, ctx, DC_INFERENCE);
        for (int p = 0; p < 2 * 5 * 5; p++)
            for (int f = 0; f < 4; f++) {
                const bool reads = p < 25 && p / 5 < 2 && p % 5 < 2 && (i == 0 || f == 0);
                assert_int_equal(isnan(dc_f32(&run.call.out)[p * 4 + f]) != 0, reads);
            }
        dc_ctx_free(ctx);
        run_close(&run);
    }
}

static void counts_multiply_accumulates(void **state)
{
    (void)state;
    const struct dc_conv_attributes depthwise = {
        .filters = 6,
        .window = {.kernel = {3, 3}, .stride = {1, 1}, .dilation = {1, 1}},
        .groups = 6};
    struct run run;
    run_open(&run, &dc_op_conv, &depthwise, &DC_SHAPE(1, 5, 6, 6), 1);
    const int64_t macs = dc_op_conv.macs(&run.node, &run.call.in[0].shape, &run.call.out.shape);
    assert_int_equal(macs, 3 * 4 * 6 * 9);
    run_close(&run);
}

static void shapes_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    const struct dc_conv_attributes good = attributes_of(&conv_cases[1]);
    const struct dc_shape image = DC_SHAPE(DC_BATCH, 7, 9, 8);
    struct dc_conv_attributes a = good;
    a.window.kernel[0] = 5;
    a.window.kernel[1] = 12;
    assert_refused(&dc_op_conv, &a, &image, 1, "5x12");
    a = good;
    a.groups = 3;
    assert_refused(&dc_op_conv, &a, &image, 1, "3");
    a = good;
    a.window.stride[1] = 0;
    assert_refused(&dc_op_conv, &a, &image, 1, "");
    a = good;
    a.window.before[1] = -1;
    assert_refused(&dc_op_conv, &a, &image, 1, "");
    a = good;
    a.filters = 0;
    assert_refused(&dc_op_conv, &a, &image, 1, "");
    assert_refused(&dc_op_conv, &good, &DC_SHAPE(DC_BATCH, 9), 1, "[batch, 9]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolution_matches_definition),
        cmocka_unit_test(unwanted_gradients_are_left_alone),
        cmocka_unit_test(nan_reaches_only_what_reads_it),
        cmocka_unit_test(counts_multiply_accumulates),
        cmocka_unit_test(shapes_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
