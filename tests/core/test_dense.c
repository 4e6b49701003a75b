// Dense layers against the definition in double precision.

#include "helper_run.h"

#include <stdio.h>

#include "core/ops/ops.h"
#include "tests/oracles/oracles.h"

struct dense_case {
    int rows, in, units;
    bool bias;
};

static const struct dense_case dense_cases[] = {
    {1, 1, 1, false},   {1, 64, 10, true},  {2, 3, 5, true},     {37, 64, 10, true},
    {16, 7, 33, false}, {5, 100, 17, true}, {100, 12, 16, true}, {3, 784, 120, false},
    {64, 31, 1, true},  {9, 1, 40, true},
};

struct dense_result {
    double *y, *dx, *dw, *db;
};

static struct dense_result definition(struct run *run, const struct dense_case *c, bool absolute)
{
    double *(*convert)(struct run *, const float *, int64_t) = absolute ? run_absolute : run_wide;
    const double *x = convert(run, dc_f32(&run->call.in[0]), c->rows * c->in);
    const double *g = convert(run, dc_f32(&run->call.d_out), c->rows * c->units);
    const double *w = convert(run, run->call.param[0], c->in * c->units);
    const double *bias = c->bias ? convert(run, run->call.param[1], c->units) : NULL;
    const struct dense_result r = {run_doubles(run, c->rows * c->units),
                                   run_doubles(run, c->rows * c->in),
                                   run_doubles(run, c->in * c->units), run_doubles(run, c->units)};
    oracle_dense(r.y, x, w, bias, c->rows, c->in, c->units);
    oracle_dense_backward(r.dx, r.dw, r.db, g, x, w, c->rows, c->in, c->units);
    return r;
}

static void dense_matches_definition(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof dense_cases / sizeof dense_cases[0]; i++) {
        const struct dense_case *c = &dense_cases[i];
        const struct dc_dense_attributes attributes = {.units = c->units, .bias = c->bias};
        struct run run;
        run_open(&run, &dc_op_dense, &attributes, &DC_SHAPE(c->rows, c->in), 1);
        const struct dense_result slow = definition(&run, c, false);
        const struct dense_result size = definition(&run, c, true);
        const struct expected e = {.mode = DC_TRAINING,
                                   .y_factor = c->in + 1,
                                   .dx_factor = c->units + 1,
                                   .dp_factor = c->rows + 1,
                                   .y = slow.y,
                                   .y_magnitude = size.y,
                                   .dx = {slow.dx},
                                   .dx_magnitude = {size.dx},
                                   .dp = {slow.dw, c->bias ? slow.db : NULL},
                                   .dp_magnitude = {size.dw, size.db}};
        char name[64];
        snprintf(name, sizeof name, "dense %dx%d -> %d", c->rows, c->in, c->units);
        run_check(&run, &e, name);
        run_close(&run);
    }
}

static void shapes_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    const struct dc_dense_attributes good = {.units = 10}, none = {.units = 0};
    assert_refused(&dc_op_dense, &good, &DC_SHAPE(DC_BATCH), 1, "not [batch]");
    assert_refused(&dc_op_dense, &none, &DC_SHAPE(DC_BATCH, 4), 1, "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense_matches_definition),
        cmocka_unit_test(shapes_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
