// Element-wise ops, softmax and dropout against their definitions.

#include "helper_run.h"

#include <math.h>
#include <string.h>

#include "core/ops/ops.h"
#include "tests/oracles/oracles.h"

struct activation_case {
    const struct dc_op *op;
    double (*value)(double);
    double (*slope)(double);
    double y_factor, dx_factor;  // roundings, in units of max(1, |x|) FLT_EPSILON
};

static const struct activation_case activation_cases[] = {
    {&dc_op_relu, oracle_relu, oracle_relu_slope, 0.0, 1.0},
    {&dc_op_relu6, oracle_relu6, oracle_relu6_slope, 0.0, 1.0},
    {&dc_op_sigmoid, oracle_sigmoid, oracle_sigmoid_slope, 1.0, 2.0},
    {&dc_op_tanh, oracle_tanh, oracle_tanh_slope, 1.0, 2.0},
    {&dc_op_h_swish, oracle_h_swish, oracle_h_swish_slope, 4.0, 4.0},
};
enum { ACTIVATIONS = sizeof activation_cases / sizeof activation_cases[0] };

static const struct dc_shape shapes[] = {
    {2, {1, 1}}, {2, {37, 5}}, {4, {5, 3, 5, 7}}, {3, {16, 9, 4}}, {2, {3, 1001}}};

static void activations_match_definition(void **state)
{
    (void)state;
    for (int a = 0; a < ACTIVATIONS; a++)
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            const struct activation_case *c = &activation_cases[a];
            struct run run;
            run_open(&run, c->op, NULL, &shapes[s], 1);
            const int64_t count = dc_shape_count(&shapes[s]);
            float *x = dc_f32(&run.call.in[0]);
            run_fill(x, count, -9.0, 9.0, 5);
            double *y = run_doubles(&run, count), *dx = run_doubles(&run, count);
            double *size = run_doubles(&run, count);
            const float *g = dc_f32(&run.call.d_out);
            for (int64_t i = 0; i < count; i++) {
                y[i] = c->value((double)x[i]);
                dx[i] = c->slope((double)x[i]) * (double)g[i];
                size[i] = fmax(1.0, fabs((double)x[i]));
            }
            const struct expected e = {.mode = DC_TRAINING,
                                       .y_factor = c->y_factor,
                                       .dx_factor = c->dx_factor,
                                       .y = y,
                                       .y_magnitude = size,
                                       .dx = {dx},
                                       .dx_magnitude = {size},
                                       .same_bits = true};
            run_check(&run, &e, c->op->name);
            run_close(&run);
        }
}

// One value through forward and backward with gradient 1.
static void one(const struct dc_op *op, float x, float *y, float *dx)
{
    struct run run;
    run_open(&run, op, NULL, &DC_SHAPE(1, 1), 1);
    struct dc_ctx *ctx = run_context(DC_ISA_SCALAR, 1);
    *dc_f32(&run.call.in[0]) = x;
    *dc_f32(&run.call.d_out) = 1.0f;
    run_forward(&run, ctx, DC_TRAINING);
    run_backward(&run, ctx, false);
    *y = *dc_f32(&run.call.out);
    *dx = *dc_f32(&run.call.d_in[0]);
    dc_ctx_free(ctx);
    run_close(&run);
}

static void nan_survives_activations(void **state)
{
    (void)state;
    for (int a = 0; a < ACTIVATIONS; a++) {
        float y, dx;
        one(activation_cases[a].op, NAN, &y, &dx);
        if (!isnan(y))
            fail_msg("%s(NaN) is %g", activation_cases[a].op->name, (double)y);
        if (dx == 0.0f)
            fail_msg("%s hides the gradient at NaN", activation_cases[a].op->name);
    }
}

static void kinks_pass_no_gradient(void **state)
{
    (void)state;
    const struct {
        const struct dc_op *op;
        float x, y, dx;
    } cases[] = {
        {&dc_op_relu, 0.0f, 0.0f, 0.0f},        {&dc_op_relu, 1e-30f, 1e-30f, 1.0f},
        {&dc_op_relu6, 0.0f, 0.0f, 0.0f},       {&dc_op_relu6, 6.0f, 6.0f, 0.0f},
        {&dc_op_relu6, 5.5f, 5.5f, 1.0f},       {&dc_op_h_swish, -3.0f, 0.0f, 0.0f},
        {&dc_op_h_swish, 3.0f, 3.0f, 1.0f},     {&dc_op_sigmoid, 1000.0f, 1.0f, 0.0f},
        {&dc_op_sigmoid, -1000.0f, 0.0f, 0.0f}, {&dc_op_tanh, 1000.0f, 1.0f, 0.0f},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float y, dx;
        one(cases[i].op, cases[i].x, &y, &dx);
        if (y != cases[i].y || dx != cases[i].dx)
            fail_msg("%s at %g: %g with slope %g", cases[i].op->name, (double)cases[i].x, (double)y,
                     (double)dx);
    }
}

static void add_matches_definition(void **state)
{
    (void)state;
    for (int inputs = 2; inputs <= 8; inputs += 3) {
        struct dc_shape in[DC_INPUTS_MAX];
        for (int i = 0; i < inputs; i++)
            in[i] = DC_SHAPE(37, 3, 5, 3);
        struct run run;
        run_open(&run, &dc_op_add, NULL, in, inputs);
        const int64_t count = dc_shape_count(in);
        double *x[DC_INPUTS_MAX], *size[DC_INPUTS_MAX];
        struct expected e = {.mode = DC_TRAINING, .same_bits = true};
        double *g = run_wide(&run, dc_f32(&run.call.d_out), count);
        double *g_size = run_absolute(&run, dc_f32(&run.call.d_out), count);
        for (int i = 0; i < inputs; i++) {
            x[i] = run_wide(&run, dc_f32(&run.call.in[i]), count);
            size[i] = run_absolute(&run, dc_f32(&run.call.in[i]), count);
            e.dx[i] = g;
            e.dx_magnitude[i] = g_size;
        }
        double *y = run_doubles(&run, count), *magnitude = run_doubles(&run, count);
        oracle_add(y, (const double *const *)x, inputs, (int)count);
        oracle_add(magnitude, (const double *const *)size, inputs, (int)count);
        e.y = y;
        e.y_magnitude = magnitude;
        e.y_factor = inputs - 1;
        e.dx_factor = 1.0;
        run_check(&run, &e, "add");
        run_close(&run);
    }
    assert_refused(&dc_op_add, NULL,
                   (struct dc_shape[]){DC_SHAPE(DC_BATCH, 4), DC_SHAPE(DC_BATCH, 5)}, 2,
                   "input 1 is [batch, 4], input 2 is [batch, 5]");
}

static void softmax_matches_definition(void **state)
{
    (void)state;
    const struct dc_shape cases[] = {{2, {1, 1}}, {2, {37, 10}}, {2, {5, 100}}, {4, {3, 2, 3, 7}}};
    for (size_t s = 0; s < sizeof cases / sizeof cases[0]; s++)
        for (double scale = 1.0; scale < 1e4; scale *= 90.0) {
            struct run run;
            run_open(&run, &dc_op_softmax, NULL, &cases[s], 1);
            const int64_t count = dc_shape_count(&cases[s]);
            const int classes = (int)cases[s].dims[cases[s].rank - 1];
            run_fill(dc_f32(&run.call.in[0]), count, -scale, scale, 8);
            const double *x = run_wide(&run, dc_f32(&run.call.in[0]), count);
            const double *g = run_wide(&run, dc_f32(&run.call.d_out), count);
            double *y = run_doubles(&run, count), *dx = run_doubles(&run, count);
            double *ones = run_doubles(&run, count);
            for (int64_t i = 0; i < count; i++)
                ones[i] = 1.0;
            oracle_softmax(y, x, (int)count / classes, classes);
            oracle_softmax_backward(dx, g, x, (int)count / classes, classes);
            const struct expected e = {.mode = DC_TRAINING,
                                       .y_factor = 2.0,   // relative
                                       .dx_factor = 4.0,  // |g| <= 1: absolute
                                       .y = y,
                                       .y_magnitude = y,
                                       .dx = {dx},
                                       .dx_magnitude = {ones},
                                       .same_bits = true};
            run_check(&run, &e, "softmax");
            run_close(&run);
        }
    assert_refused(&dc_op_softmax, NULL, &DC_SHAPE(DC_BATCH), 1, "behind the batch");
}

static void dropout_scales_what_it_keeps(void **state)
{
    (void)state;
    const struct dc_dropout_attributes attributes = {.rate = 0.3f};
    const struct dc_shape shape = DC_SHAPE(37, 250);
    const int64_t count = dc_shape_count(&shape);
    struct run run;
    run_open(&run, &dc_op_dropout, &attributes, &shape, 1);
    struct dc_ctx *ctx = run_context(DC_ISA_SCALAR, 1);
    run_forward(&run, ctx, DC_TRAINING);
    bool kept[37 * 250];
    int zeros = 0;
    for (int64_t i = 0; i < count; i++) {
        kept[i] = dc_f32(&run.call.out)[i] != 0.0f;
        zeros += !kept[i];
    }
    dc_ctx_free(ctx);
    // Binomial: mean 2775, deviation 44.
    assert_in_range(zeros, 2775 - 4 * 44, 2775 + 4 * 44);
    double *y = run_doubles(&run, count), *dx = run_doubles(&run, count);
    double *y_size = run_doubles(&run, count), *dx_size = run_doubles(&run, count);
    const float *x = dc_f32(&run.call.in[0]), *g = dc_f32(&run.call.d_out);
    oracle_dropout(y, run_wide(&run, x, count), kept, (double)attributes.rate, (int)count);
    oracle_dropout(dx, run_wide(&run, g, count), kept, (double)attributes.rate, (int)count);
    oracle_dropout(y_size, run_absolute(&run, x, count), kept, (double)attributes.rate, (int)count);
    oracle_dropout(dx_size, run_absolute(&run, g, count), kept, (double)attributes.rate,
                   (int)count);
    const struct expected e = {.mode = DC_TRAINING,
                               .y_factor = 2.0,
                               .dx_factor = 3.0,
                               .y = y,
                               .y_magnitude = y_size,
                               .dx = {dx},
                               .dx_magnitude = {dx_size},
                               .same_bits = true};
    run_check(&run, &e, "dropout");
    run_close(&run);
}

// The mask of one row of `values` ones, as bits of the sum of kept positions.
static void mask_of(float *y, const char *name, uint32_t seed, uint32_t epoch, uint64_t id,
                    int64_t row)
{
    const struct dc_dropout_attributes attributes = {.rate = 0.5f};
    struct run run;
    run_open(&run, &dc_op_dropout, &attributes, &DC_SHAPE(9, 64), 1);
    struct dc_ctx *ctx = run_context(DC_ISA_SCALAR, 2);
    uint64_t ids[9] = {11, 12, 13, 14, 15, 16, 17, 18, 19};
    ids[row] = id;
    run.node.name = name;
    run.step = (struct dc_step){.seed = seed, .epoch = epoch, .ids = ids};
    for (int i = 0; i < 9 * 64; i++)
        dc_f32(&run.call.in[0])[i] = 1.0f;
    run_forward(&run, ctx, DC_TRAINING);
    memcpy(y, dc_f32(&run.call.out) + row * 64, 64 * sizeof *y);
    dc_ctx_free(ctx);
    run_close(&run);
}

static void dropout_mask_follows_the_sample(void **state)
{
    (void)state;
    float base[64], other[64];
    mask_of(base, "drop", 1, 2, 77, 0);
    mask_of(other, "drop", 1, 2, 77, 8);
    assert_memory_equal(base, other, sizeof base);
    mask_of(other, "drop2", 1, 2, 77, 0);
    assert_memory_not_equal(base, other, sizeof base);
    mask_of(other, "drop", 2, 2, 77, 0);
    assert_memory_not_equal(base, other, sizeof base);
    mask_of(other, "drop", 1, 3, 77, 0);
    assert_memory_not_equal(base, other, sizeof base);
    mask_of(other, "drop", 1, 2, 78, 0);
    assert_memory_not_equal(base, other, sizeof base);
}

static void dropout_is_identity_in_inference(void **state)
{
    (void)state;
    const struct dc_dropout_attributes attributes = {.rate = 0.5f};
    struct run run;
    run_open(&run, &dc_op_dropout, &attributes, &DC_SHAPE(5, 31), 1);
    struct dc_ctx *ctx = run_context(DC_ISA_SCALAR, 1);
    run.step.ids = NULL;
    run_forward(&run, ctx, DC_INFERENCE);
    assert_memory_equal(run.call.out.data, run.call.in[0].data, 5 * 31 * 4);
    dc_ctx_free(ctx);
    run_close(&run);
    for (int i = 0; i < 3; i++) {
        const struct dc_dropout_attributes wrong = {.rate = (float[]){1.0f, -0.1f, NAN}[i]};
        assert_refused(&dc_op_dropout, &wrong, &DC_SHAPE(DC_BATCH, 4), 1, "must be in [0, 1)");
    }
}

// The comparison itself: it must see one value that is off, and a NaN.
static void comparison_finds_what_is_wrong(void **state)
{
    (void)state;
    const double slow[3] = {1.0, -2.0, 0.5}, magnitude[3] = {1.0, 2.0, 0.5};
    assert_int_equal(first_outside((float[]){1.0f, -2.0f, 0.5f}, slow, magnitude, 1.0, 3), -1);
    assert_int_equal(first_outside((float[]){1.0f, -2.000001f, 0.5f}, slow, magnitude, 1.0, 3), 1);
    assert_int_equal(first_outside((float[]){1.0f, -2.0f, NAN}, slow, magnitude, 1e9, 3), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparison_finds_what_is_wrong),
        cmocka_unit_test(activations_match_definition),
        cmocka_unit_test(nan_survives_activations),
        cmocka_unit_test(kinks_pass_no_gradient),
        cmocka_unit_test(add_matches_definition),
        cmocka_unit_test(softmax_matches_definition),
        cmocka_unit_test(dropout_scales_what_it_keeps),
        cmocka_unit_test(dropout_mask_follows_the_sample),
        cmocka_unit_test(dropout_is_identity_in_inference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
