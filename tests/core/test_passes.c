// Folding for inference: the folded network gives what the network gave, within the roundings that
// both make, and holds what it should.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/ops/ops.h"
#include "core/passes.h"
#include "core/plan.h"
#include "helper_run.h"

enum { ROWS = 7, SIDE = 8, IN = 3, FILTERS = 6, UNITS = 5 };

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

static int add(struct dc_graph *graph, const char *name, const struct dc_op *op,
               const void *attributes, int a, int b)
{
    const int inputs[2] = {a, b};
    struct dc_error error;
    int node = -1;
    if (dc_graph_add(graph, name, op, attributes, op->attribute_bytes, inputs, b < 0 ? 1 : 2, &node,
                     &error) != DC_OK)
        fail_msg("%s: %s", name, error.message);
    return node;
}

struct network {
    struct dc_graph *graph;
    struct dc_params *params;
    int output;
};

// Every case of the pass: convolution with and without a bias under batch norm, depthwise, dense;
// a convolution read twice, batch norm behind a relu, batch norm over two convolutions' sum;
// dropout in the middle and at the end; a branch that the output does not need.
static struct network make_network(void)
{
    struct dc_conv_attributes conv = {.window = {.kernel = {3, 3},
                                                 .stride = {1, 1},
                                                 .dilation = {1, 1},
                                                 .before = {1, 1},
                                                 .after = {1, 1}},
                                      .filters = FILTERS,
                                      .groups = 1};
    struct dc_conv_attributes biased = conv, depthwise = conv;
    const struct dc_batch_norm_attributes norm = {1e-3f, 0.1f};
    const struct dc_dropout_attributes dropout = {0.5f};
    const struct dc_dense_attributes dense = {UNITS, false}, logits = {UNITS, true};
    const struct dc_shape shape = DC_SHAPE(DC_BATCH, SIDE, SIDE, IN);
    struct network n;
    int x, first, a, b;
    biased.bias = true;
    depthwise.groups = FILTERS;
    assert_int_equal(dc_graph_create(&n.graph, NULL), DC_OK);
    struct dc_graph *g = n.graph;
    assert_int_equal(dc_graph_add_input(g, "x", DC_F32, &shape, &x, NULL), DC_OK);
    first = add(g, "first", &dc_op_conv, &conv, x, -1);
    a = add(g, "first_norm", &dc_op_batch_norm, &norm, first, -1);
    a = add(g, "relu", &dc_op_relu, NULL, a, -1);
    a = add(g, "relu_norm", &dc_op_batch_norm, &norm, a, -1);  // stays: no weights before it
    add(g, "unused", &dc_op_conv, &conv, a, -1);
    b = add(g, "depthwise", &dc_op_conv, &depthwise, a, -1);
    b = add(g, "depthwise_norm", &dc_op_batch_norm, &norm, b, -1);
    b = add(g, "drop", &dc_op_dropout, &dropout, b, -1);
    b = add(g, "biased", &dc_op_conv, &biased, b, -1);
    b = add(g, "biased_norm", &dc_op_batch_norm, &norm, b, -1);
    const int shared = add(g, "shared", &dc_op_conv, &conv, a, -1);
    a = add(g, "sum1", &dc_op_add, NULL, b, shared);
    b = add(g, "shared_norm", &dc_op_batch_norm, &norm, shared, -1);  // stays: not the only reader
    a = add(g, "sum2", &dc_op_add, NULL, a, b);
    a = add(g, "sum_norm", &dc_op_batch_norm, &norm, a, -1);  // stays
    a = add(g, "pool", &dc_op_global_average_pool, NULL, a, -1);
    a = add(g, "dense", &dc_op_dense, &dense, a, -1);
    a = add(g, "dense_norm", &dc_op_batch_norm, &norm, a, -1);
    a = add(g, "logits", &dc_op_dense, &logits, a, -1);
    n.output = add(g, "last_drop", &dc_op_dropout, &dropout, a, -1);
    assert_int_equal(dc_params_create(&n.params, g, 0, false, NULL), DC_OK);
    run_fill(n.params->value, n.params->total, -1.0, 1.0, 1);  // gammas of both signs
    for (int i = 0; i < n.params->count; i++) {
        const struct dc_slice *s = &n.params->slices[i];
        if (strstr(s->name, "variance"))
            run_fill(n.params->value + s->offset, s->count, 0.01, 4.0, 2);
    }
    n.params->value[dc_params_find(n.params, "first_norm.gamma")->offset] = 0.0f;
    n.params->value[dc_params_find(n.params, "first_norm.variance")->offset + 1] = 0.0f;
    assert_true(n.params->value[dc_params_find(n.params, "first_norm.gamma")->offset + 1] != 0.0f);
    return n;
}

// keeps: the parameters stay as they are, and the plan runs twice.
static void run_plan(float *y, const struct dc_graph *graph, struct dc_params *params, int output,
                     const float *x, bool keeps)
{
    const struct dc_plan_config config = {.mode = DC_INFERENCE,
                                          .max_rows = ROWS,
                                          .outputs = &output,
                                          .output_count = 1,
                                          .constant_params = keeps};
    struct dc_plan *plan = NULL;
    assert_int_equal(dc_plan_create(&plan, ctx, graph, &config, NULL), DC_OK);
    dc_plan_bind(plan, dc_graph_find(graph, "x"), x);
    for (int i = 0; i <= keeps; i++)
        assert_int_equal(dc_plan_forward(plan, params, ROWS, NULL, NULL), DC_OK);
    memcpy(y, dc_plan_value(plan, output), sizeof(float) * ROWS * UNITS);
    dc_plan_free(plan);
}

static void run_network(float *y, const struct dc_graph *graph, struct dc_params *params,
                        int output, const float *x)
{
    run_plan(y, graph, params, output, x, false);
}

// With absolute values everywhere and means below zero, nothing cancels: the output then bounds the
// sum of all absolute terms, and roundings on a path of `steps` operations are steps * epsilon of
// it.
static void magnitude_of(float *size, const struct network *n, const float *x)
{
    struct network absolute = *n;
    float all[ROWS * SIDE * SIDE * IN];
    assert_int_equal(dc_params_create(&absolute.params, n->graph, 0, false, NULL), DC_OK);
    for (int i = 0; i < n->params->count; i++) {
        const struct dc_slice *s = &n->params->slices[i];
        for (int64_t k = s->offset; k < s->offset + s->count; k++) {
            const float v = fabsf(n->params->value[k]);
            absolute.params->value[k] = strstr(s->name, ".mean") ? -v : v;
        }
    }
    for (int i = 0; i < ROWS * SIDE * SIDE * IN; i++)
        all[i] = fabsf(x[i]);
    run_network(size, n->graph, absolute.params, n->output, all);
    dc_params_free(absolute.params);
}

// Weights packed once give the bits of weights packed in every run.
static void constant_parameters_change_no_bit(void **state)
{
    (void)state;
    struct network n = make_network();
    float x[ROWS * SIDE * SIDE * IN], y[ROWS * UNITS], kept[ROWS * UNITS];
    run_fill(x, ROWS * SIDE * SIDE * IN, -1.0, 1.0, 3);
    run_network(y, n.graph, n.params, n.output, x);
    run_plan(kept, n.graph, n.params, n.output, x, true);
    assert_memory_equal(y, kept, sizeof y);
    dc_params_free(n.params);
    dc_graph_free(n.graph);
}

// Images of which a few fill the caches run a few at a time: the same bits of both outputs, one of
// them in the middle, for every number of rows; and a value that is not finite is found in any.
static void slices_change_no_bit(void **state)
{
    (void)state;
    enum { WIDE = 512, IMAGES = 7 };  // a node reads and writes 15 MB of an image
    const struct dc_shape shape = DC_SHAPE(DC_BATCH, WIDE, WIDE, 3);
    const struct dc_conv_attributes conv = {
        .window = {.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}},
        .filters = 12,
        .groups = 1,
        .bias = true};
    const struct dc_pool_attributes pool = {
        .window = {.kernel = {8, 8}, .stride = {8, 8}, .dilation = {1, 1}}};
    struct dc_graph *g = NULL;
    struct dc_params *params = NULL;
    int x;
    assert_int_equal(dc_graph_create(&g, NULL), DC_OK);
    assert_int_equal(dc_graph_add_input(g, "x", DC_F32, &shape, &x, NULL), DC_OK);
    const int middle = add(g, "pool", &dc_op_max_pool, &pool,
                           add(g, "c", &dc_op_conv, &conv, x, -1), -1);
    const int last = add(g, "gap", &dc_op_global_average_pool, NULL, middle, -1);
    const int outputs[2] = {middle, last};
    assert_int_equal(dc_params_create(&params, g, 0, false, NULL), DC_OK);
    run_fill(params->value, params->total, -1.0, 1.0, 1);
    float *image = malloc(sizeof(float) * IMAGES * WIDE * WIDE * 3);
    assert_non_null(image);
    run_fill(image, (int64_t)IMAGES * WIDE * WIDE * 3, -1.0, 1.0, 3);
    struct dc_plan *plans[2] = {NULL};
    for (int keeps = 0; keeps < 2; keeps++) {
        const struct dc_plan_config config = {.mode = DC_INFERENCE,
                                              .max_rows = IMAGES,
                                              .outputs = outputs,
                                              .output_count = 2,
                                              .constant_params = keeps};
        assert_int_equal(dc_plan_create(&plans[keeps], ctx, g, &config, NULL), DC_OK);
        dc_plan_bind(plans[keeps], x, image);
    }
    assert_true(2 * dc_plan_bytes(plans[1]) < dc_plan_bytes(plans[0]));  // it does cut
    for (int64_t rows = 1; rows <= IMAGES; rows += 2) {
        for (int keeps = 0; keeps < 2; keeps++)
            assert_int_equal(dc_plan_forward(plans[keeps], params, rows, NULL, NULL), DC_OK);
        for (int o = 0; o < 2; o++)
            assert_memory_equal(
                dc_plan_value(plans[0], outputs[o]), dc_plan_value(plans[1], outputs[o]),
                sizeof(float) * (size_t)(rows * dc_shape_row(&g->nodes[outputs[o]].shape)));
    }
    assert_int_equal(dc_plan_first_not_finite(plans[1], params, IMAGES, NULL), -1);
    image[(int64_t)(IMAGES - 1) * WIDE * WIDE * 3] = NAN;
    assert_int_equal(dc_plan_first_not_finite(plans[1], params, IMAGES, NULL), x);
    dc_plan_free(plans[0]);
    dc_plan_free(plans[1]);
    dc_params_free(params);
    dc_graph_free(g);
    free(image);
}

// conv, relu6, max pool: the clamp goes behind the pool, and no bit changes. Where something else
// reads the clamp too, it stays.
static void clamps_move_behind_max_pools(void **state)
{
    for (int shared = 0; shared < 2; shared++) {
        const struct dc_conv_attributes conv = {.window = {.kernel = {3, 3},
                                                           .stride = {1, 1},
                                                           .dilation = {1, 1},
                                                           .before = {1, 1},
                                                           .after = {1, 1}},
                                                .filters = UNITS,
                                                .groups = 1,
                                                .bias = true};
        const struct dc_pool_attributes pool = {
            .window = {.kernel = {3, 3}, .stride = {2, 2}, .dilation = {1, 1}, .before = {1, 1}}};
        const struct dc_reduce_attributes over = {.axes = 6};
        struct dc_graph *g = NULL, *folded = NULL;
        struct dc_params *params = NULL, *folded_params = NULL;
        int x, to;
        (void)state;
        assert_int_equal(dc_graph_create(&g, NULL), DC_OK);
        assert_int_equal(
            dc_graph_add_input(g, "x", DC_F32, &DC_SHAPE(DC_BATCH, SIDE, SIDE, IN), &x, NULL),
            DC_OK);
        const int clamp = add(g, "clamp", &dc_op_relu6, NULL,
                              add(g, "c", &dc_op_conv, &conv, x, -1), -1);
        int y = add(g, "sum", &dc_op_reduce_sum, &over,
                    add(g, "pool", &dc_op_max_pool, &pool, clamp, -1), -1);
        if (shared)
            y = add(g, "both", &dc_op_add, NULL, y,
                    add(g, "most", &dc_op_reduce_max, &over, clamp, -1));
        assert_int_equal(dc_params_create(&params, g, 0, false, NULL), DC_OK);
        run_fill(params->value, params->total, -2.0, 2.0, 1);
        assert_int_equal(dc_fold_for_inference(&folded, &folded_params, &to, g, params, y, NULL),
                         DC_OK);
        assert_true((dc_graph_find(folded, "clamp") > dc_graph_find(folded, "pool")) == !shared);
        float in[ROWS * SIDE * SIDE * IN], before[ROWS * UNITS], after[ROWS * UNITS];
        run_fill(in, ROWS * SIDE * SIDE * IN, -1.0, 1.0, 3);
        run_network(before, g, params, y, in);
        run_network(after, folded, folded_params, to, in);
        assert_memory_equal(before, after, sizeof before);
        dc_params_free(params);
        dc_params_free(folded_params);
        dc_graph_free(g);
        dc_graph_free(folded);
    }
}

static void folded_network_gives_the_same(void **state)
{
    (void)state;
    enum { STEPS = 9 * IN + 9 + 9 * FILTERS * 2 + SIDE * SIDE + FILTERS + UNITS + 40 };
    struct network n = make_network();
    float x[ROWS * SIDE * SIDE * IN];
    float before[ROWS * UNITS], after[ROWS * UNITS], size[ROWS * UNITS];
    struct dc_graph *folded = NULL;
    struct dc_params *params = NULL;
    int output;
    run_fill(x, ROWS * SIDE * SIDE * IN, -1.0, 1.0, 3);
    run_network(before, n.graph, n.params, n.output, x);
    magnitude_of(size, &n, x);
    assert_int_equal(
        dc_fold_for_inference(&folded, &params, &output, n.graph, n.params, n.output, NULL), DC_OK);
    run_network(after, folded, params, output, x);
    for (int i = 0; i < ROWS * UNITS; i++) {
        const double bound = 2.0 * STEPS * (double)FLT_EPSILON * (double)size[i];
        assert_true(bound < 0.1);  // else it bounds nothing
        if (!(fabs((double)after[i] - (double)before[i]) <= bound))
            fail_msg("output %d: %g folded, %g before, bound %g", i, (double)after[i],
                     (double)before[i], bound);
    }
    dc_params_free(params);
    dc_graph_free(folded);
    dc_params_free(n.params);
    dc_graph_free(n.graph);
}

// Folded weights and biases from the definition, to the last rounding.
static void folded_weights_are_the_definition(void **state)
{
    (void)state;
    static const char *const layers[][2] = {{"first", "first_norm"},
                                            {"depthwise", "depthwise_norm"},
                                            {"biased", "biased_norm"},
                                            {"dense", "dense_norm"}};
    struct network n = make_network();
    struct dc_graph *folded = NULL;
    struct dc_params *params = NULL;
    int output;
    assert_int_equal(
        dc_fold_for_inference(&folded, &params, &output, n.graph, n.params, n.output, NULL), DC_OK);
    for (int l = 0; l < 4; l++) {
        const float *of[5], *old_bias = NULL;
        static const char *const names[] = {"gamma", "beta", "mean", "variance"};
        char name[64];
        for (int k = 0; k < 4; k++) {
            snprintf(name, sizeof name, "%s.%s", layers[l][1], names[k]);
            of[k] = n.params->value + dc_params_find(n.params, name)->offset;
        }
        snprintf(name, sizeof name, "%s.bias", layers[l][0]);
        const struct dc_slice *bias = dc_params_find(params, name);
        if (dc_params_find(n.params, name))
            old_bias = n.params->value + dc_params_find(n.params, name)->offset;
        snprintf(name, sizeof name, "%s.weight", layers[l][0]);
        const struct dc_slice *from = dc_params_find(n.params, name);
        const struct dc_slice *to = dc_params_find(params, name);
        assert_true(bias && to && to->count == from->count);
        for (int64_t k = 0; k < to->count; k++) {
            const int64_t c = k % bias->count;
            const double scale = (double)of[0][c] / sqrt((double)of[3][c] + (double)1e-3f);
            const double want = (double)n.params->value[from->offset + k] * scale;
            const double b = old_bias ? (double)old_bias[c] : 0.0;
            const double shift = (double)of[1][c] + (b - (double)of[2][c]) * scale;
            assert_true(fabs((double)params->value[to->offset + k] - want) <=
                        0.51 * (double)FLT_EPSILON * fabs(want));
            assert_true(fabs((double)params->value[bias->offset + c] - shift) <=
                        0.51 * (double)FLT_EPSILON * fabs(shift) + 1e-15);
        }
    }
    dc_params_free(params);
    dc_graph_free(folded);
    dc_params_free(n.params);
    dc_graph_free(n.graph);
}

static void only_what_folds_is_gone(void **state)
{
    (void)state;
    static const char *const gone[] = {"first_norm", "depthwise_norm", "biased_norm", "dense_norm",
                                       "drop",       "last_drop",      "unused"};
    static const char *const there[] = {
        "x",      "first", "relu", "relu_norm", "depthwise", "biased", "shared_norm",
        "shared", "sum1",  "sum2", "sum_norm",  "pool",      "dense",  "logits"};
    struct network n = make_network();
    struct dc_graph *folded = NULL;
    struct dc_params *params = NULL;
    int output;
    assert_int_equal(
        dc_fold_for_inference(&folded, &params, &output, n.graph, n.params, n.output, NULL), DC_OK);
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
        if (dc_graph_find(folded, gone[i]) >= 0)
            fail_msg("'%s' is still there", gone[i]);
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        if (dc_graph_find(folded, there[i]) < 0)
            fail_msg("'%s' is gone", there[i]);
    assert_int_equal(folded->count, sizeof there / sizeof there[0]);
    assert_int_equal(output, dc_graph_find(folded, "logits"));
    assert_null(params->gradient);
    dc_params_free(params);
    dc_graph_free(folded);
    dc_params_free(n.params);
    dc_graph_free(n.graph);
}

static double value_at(const struct network *n, const char *name, int64_t c)
{
    return (double)n->params->value[dc_params_find(n->params, name)->offset + c];
}

// A wanted batch norm is its folded layer; a wanted layer under a batch norm stays what it was;
// what the output does not need is there if it is wanted.
static void wanted_values_survive(void **state)
{
    (void)state;
    enum { COUNT = 4, VALUES = ROWS * SIDE * SIDE * FILTERS };
    struct network n = make_network();
    float x[ROWS * SIDE * SIDE * IN], *values[2];
    const int wanted[COUNT] = {n.output, dc_graph_find(n.graph, "depthwise"),
                               dc_graph_find(n.graph, "first_norm"),
                               dc_graph_find(n.graph, "unused")};
    int places[COUNT];
    struct dc_graph *folded = NULL;
    struct dc_params *params = NULL;
    run_fill(x, ROWS * SIDE * SIDE * IN, -1.0, 1.0, 3);
    assert_int_equal(
        dc_fold_keeping(&folded, &params, places, n.graph, n.params, wanted, COUNT, NULL), DC_OK);
    assert_int_equal(places[0], dc_graph_find(folded, "logits"));
    assert_int_equal(places[1], dc_graph_find(folded, "depthwise"));
    assert_int_equal(places[2], dc_graph_find(folded, "first"));
    assert_int_equal(places[3], dc_graph_find(folded, "unused"));
    assert_true(dc_graph_find(folded, "depthwise_norm") > places[1]);
    assert_int_equal(dc_graph_find(folded, "first_norm"), -1);
    assert_null(dc_params_find(params, "depthwise.bias"));
    struct dc_plan *plans[2];
    for (int k = 0; k < 2; k++) {
        const struct dc_plan_config config = {.mode = DC_INFERENCE,
                                              .max_rows = ROWS,
                                              .outputs = k ? places : wanted,
                                              .output_count = COUNT};
        assert_int_equal(dc_plan_create(&plans[k], ctx, k ? folded : n.graph, &config, NULL),
                         DC_OK);
        dc_plan_bind(plans[k], 0, x);
        assert_int_equal(dc_plan_forward(plans[k], k ? params : n.params, ROWS, NULL, NULL), DC_OK);
        values[k] = (float *)dc_plan_value(plans[k], (k ? places : wanted)[2]);
    }
    for (int i = 0; i < VALUES; i++) {
        const int64_t c = i % FILTERS;  // 27 products of at most 1, and the batch norm
        const double scale = fabs(value_at(&n, "first_norm.gamma", c)) /
                             sqrt(value_at(&n, "first_norm.variance", c) + (double)1e-3f);
        const double size = (27.0 + fabs(value_at(&n, "first_norm.mean", c))) * scale +
                            fabs(value_at(&n, "first_norm.beta", c));
        assert_true(fabs((double)values[0][i] - (double)values[1][i]) <=
                    60.0 * (double)FLT_EPSILON * size);
    }
    for (int k = 0; k < 2; k++)
        dc_plan_free(plans[k]);
    dc_params_free(params);
    dc_graph_free(folded);
    dc_params_free(n.params);
    dc_graph_free(n.graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant_parameters_change_no_bit),
        cmocka_unit_test(slices_change_no_bit),
        cmocka_unit_test(clamps_move_behind_max_pools),
        cmocka_unit_test(folded_network_gives_the_same),
        cmocka_unit_test(folded_weights_are_the_definition),
        cmocka_unit_test(only_what_folds_is_gone),
        cmocka_unit_test(wanted_values_survive),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
