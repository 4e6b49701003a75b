// Ops that move values: concat, slice, pad, reshape, flatten. No value may change by a bit.

#include "helper_run.h"

#include "core/ops/ops.h"
#include "tests/oracles/oracles.h"

static void dims_of(int dims[DC_RANK_MAX], const struct dc_shape *shape)
{
    for (int i = 0; i < shape->rank; i++)
        dims[i] = (int)shape->dims[i];
}

static double *gradient_of(struct run *run)
{
    return run_wide(run, dc_f32(&run->call.d_out), dc_shape_count(&run->call.out.shape));
}

// One input; y and dx are exact, an added gradient is rounded once.
static void check_one(struct run *run, const double *y, const double *dx, const char *name)
{
    const int64_t in = dc_shape_count(&run->call.in[0].shape);
    double *size = run_doubles(run, in);
    for (int64_t i = 0; i < in; i++)
        size[i] = dx[i] < 0 ? -dx[i] : dx[i];
    const struct expected e = {.mode = DC_TRAINING,
                               .dx_factor = 1.0,
                               .y = y,
                               .y_magnitude = y,
                               .dx = {dx},
                               .dx_magnitude = {size},
                               .same_bits = true};
    run_check(run, &e, name);
    run_close(run);
}

static void slice_matches_definition(void **state)
{
    (void)state;
    const struct {
        struct dc_shape shape;
        struct dc_slice_attributes attributes;
    } cases[] = {
        {{2, {5, 10}}, {1, 0, 10, 1}},
        {{2, {37, 10}}, {-1, 3, 7, 1}},
        {{2, {3, 10}}, {1, 1, 10, 3}},
        {{4, {2, 7, 5, 3}}, {1, 2, 6, 2}},
        {{4, {2, 7, 5, 3}}, {2, 1, 4, 1}},
        {{4, {16, 7, 5, 4}}, {-1, 1, 4, 2}},
        {{4, {2, 7, 5, 3}}, {1, 6, 7, 1}},
        {{4, {2, 7, 5, 3}}, {2, 0, 5, 9}},
        {{8, {2, 2, 3, 2, 1, 3, 2, 2}}, {5, 1, 3, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct run run;
        run_open(&run, &dc_op_slice, &cases[i].attributes, &cases[i].shape, 1);
        const struct dc_slice_attributes *a = &cases[i].attributes;
        const int rank = cases[i].shape.rank, axis = a->axis < 0 ? a->axis + rank : a->axis;
        int dims[DC_RANK_MAX];
        dims_of(dims, &cases[i].shape);
        const int64_t in = dc_shape_count(&cases[i].shape);
        double *y = run_doubles(&run, dc_shape_count(&run.call.out.shape));
        double *dx = run_doubles(&run, in);
        oracle_slice(y, run_wide(&run, dc_f32(&run.call.in[0]), in), dims, rank, axis,
                     (int)a->begin, (int)a->end, (int)a->step);
        oracle_slice_backward(dx, gradient_of(&run), dims, rank, axis, (int)a->begin, (int)a->end,
                              (int)a->step);
        check_one(&run, y, dx, "slice");
    }
    const struct dc_shape row = DC_SHAPE(DC_BATCH, 10);
    assert_refused(&dc_op_slice, &(struct dc_slice_attributes){0, 0, 1, 1}, &row, 1, "axis 0");
    assert_refused(&dc_op_slice, &(struct dc_slice_attributes){2, 0, 1, 1}, &row, 1, "axis 2");
    assert_refused(&dc_op_slice, &(struct dc_slice_attributes){-2, 0, 1, 1}, &row, 1, "axis -2");
    assert_refused(&dc_op_slice, &(struct dc_slice_attributes){1, 4, 4, 1}, &row, 1, "begin < end");
    assert_refused(&dc_op_slice, &(struct dc_slice_attributes){1, 0, 11, 1}, &row, 1, "<= 10");
    assert_refused(&dc_op_slice, &(struct dc_slice_attributes){1, 0, 10, 0}, &row, 1, "step");
    assert_refused(&dc_op_slice, &(struct dc_slice_attributes){1, -1, 5, 1}, &row, 1, "[-1, 5)");
}

static void pad_matches_definition(void **state)
{
    (void)state;
    const struct {
        struct oracle_image in;
        struct dc_pad_attributes pad;
    } cases[] = {{{2, 4, 5, 3}, {1, 1, 1, 1, 0, 0}},
                 {{1, 1, 1, 1}, {0, 2, 3, 1, 2, 0}},
                 {{37, 3, 4, 7}, {2, 0, 0, 5, 1, 3}},
                 {{5, 3, 2, 4}, {0, 0, 0, 0, 0, 4}},
                 {{3, 4, 4, 8}, {0}}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct oracle_image in = cases[i].in;
        const struct dc_pad_attributes p = cases[i].pad;
        const struct oracle_sides sides = {p.top, p.bottom, p.left, p.right, p.before, p.after};
        struct run run;
        run_open(&run, &dc_op_pad, &p, &DC_SHAPE(in.n, in.h, in.w, in.c), 1);
        const int64_t count = dc_shape_count(&run.call.in[0].shape);
        double *y = run_doubles(&run, dc_shape_count(&run.call.out.shape));
        double *dx = run_doubles(&run, count);
        oracle_pad(y, run_wide(&run, dc_f32(&run.call.in[0]), count), in, sides);
        oracle_pad_backward(dx, gradient_of(&run), in, sides);
        check_one(&run, y, dx, "pad");
    }
    const struct dc_pad_attributes wrong = {0, -1, 0, 0, 0, 0};
    assert_refused(&dc_op_pad, &wrong, &DC_SHAPE(DC_BATCH, 4, 4, 1), 1, "must not be negative");
    assert_refused(&dc_op_pad, &wrong, &DC_SHAPE(DC_BATCH, 4), 1, "not [batch, 4]");
}

static void concat_matches_definition(void **state)
{
    (void)state;
    const struct {
        int axis, inputs;
        struct dc_shape shape;  // of the first input
        int sizes[4];
    } cases[] = {
        {-1, 2, {2, {37, 3}}, {3, 5}},           {1, 3, {2, {5, 1}}, {1, 2, 7}},
        {3, 4, {4, {2, 3, 5, 4}}, {4, 1, 3, 8}}, {1, 2, {4, {16, 2, 3, 5}}, {2, 3}},
        {2, 3, {4, {3, 2, 1, 3}}, {1, 4, 2}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct dc_concat_attributes attributes = {cases[i].axis};
        const int rank = cases[i].shape.rank, inputs = cases[i].inputs;
        const int axis = cases[i].axis < 0 ? cases[i].axis + rank : cases[i].axis;
        struct dc_shape in[4];
        for (int k = 0; k < inputs; k++) {
            in[k] = cases[i].shape;
            in[k].dims[axis] = cases[i].sizes[k];
        }
        struct run run;
        run_open(&run, &dc_op_concat, &attributes, in, inputs);
        int dims[DC_RANK_MAX];
        dims_of(dims, &run.call.out.shape);
        double *x[4], *dx[4];
        struct expected e = {.mode = DC_TRAINING, .dx_factor = 1.0, .same_bits = true};
        for (int k = 0; k < inputs; k++) {
            const int64_t count = dc_shape_count(&in[k]);
            x[k] = run_wide(&run, dc_f32(&run.call.in[k]), count);
            dx[k] = run_doubles(&run, count);
            double *ones = run_doubles(&run, count);
            for (int64_t n = 0; n < count; n++)
                ones[n] = 1.0;
            e.dx[k] = dx[k];
            e.dx_magnitude[k] = ones;
        }
        double *y = run_doubles(&run, dc_shape_count(&run.call.out.shape));
        oracle_concat(y, (const double *const *)x, cases[i].sizes, inputs, dims, rank, axis);
        oracle_concat_backward(dx, gradient_of(&run), cases[i].sizes, inputs, dims, rank, axis);
        e.y = e.y_magnitude = y;
        run_check(&run, &e, "concat");
        run_close(&run);
    }
    const struct dc_concat_attributes last = {-1}, batch = {0};
    const struct dc_shape in[] = {DC_SHAPE(DC_BATCH, 4, 4, 3), DC_SHAPE(DC_BATCH, 4, 5, 3),
                                  DC_SHAPE(DC_BATCH, 9)};
    assert_refused(&dc_op_concat, &last, in, 2,
                   "input 1 is [batch, 4, 4, 3], input 2 is [batch, 4, 5, 3]");
    assert_refused(&dc_op_concat, &last, in + 1, 2, "input 2 is [batch, 9]");
    assert_refused(&dc_op_concat, &batch, in, 2, "axis 0");
}

static void reshape_on(const struct dc_op *op, const void *attributes, const struct dc_shape *in,
                       const struct dc_shape *out)
{
    struct run run;
    run_open(&run, op, attributes, in, 1);
    assert_true(dc_shape_equal(&run.call.out.shape, out));
    const int64_t count = dc_shape_count(in);
    double *y = run_doubles(&run, count), *dx = run_doubles(&run, count);
    oracle_reshape(y, run_wide(&run, dc_f32(&run.call.in[0]), count), (int)count);
    oracle_reshape(dx, gradient_of(&run), (int)count);
    check_one(&run, y, dx, op->name);
}

static void reshape_keeps_values_in_order(void **state)
{
    (void)state;
    reshape_on(&dc_op_flatten, NULL, &DC_SHAPE(37, 2, 3, 4), &DC_SHAPE(37, 24));
    reshape_on(&dc_op_flatten, NULL, &DC_SHAPE(5, 7), &DC_SHAPE(5, 7));
    const struct dc_reshape_attributes image = {3, {4, 3, 2}}, open = {2, {-1, 6}}, one = {1, {24}};
    reshape_on(&dc_op_reshape, &image, &DC_SHAPE(5, 24), &DC_SHAPE(5, 4, 3, 2));
    reshape_on(&dc_op_reshape, &open, &DC_SHAPE(3, 2, 12), &DC_SHAPE(3, 4, 6));
    reshape_on(&dc_op_reshape, &one, &DC_SHAPE(3, 2, 12), &DC_SHAPE(3, 24));
    const struct dc_reshape_attributes wrong[] = {
        {2, {5, 5}}, {2, {-1, 5}}, {2, {-1, -1}}, {1, {0}},
        {1, {-2}},   {0, {0}},     {8, {1}},      {3, {4294967296, 4294967296, 24}},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_refused(&dc_op_reshape, &wrong[i], &DC_SHAPE(DC_BATCH, 2, 12), 1, "");
    assert_refused(&dc_op_reshape, &wrong[0], &DC_SHAPE(DC_BATCH, 2, 12), 1,
                   "the 24 values of a row of [batch, 2, 12] do not fill");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slice_matches_definition),
        cmocka_unit_test(pad_matches_definition),
        cmocka_unit_test(concat_matches_definition),
        cmocka_unit_test(reshape_keeps_values_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
