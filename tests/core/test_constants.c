// The op that gives what is stored: in plans, in copies of graphs, and trained.

#include "helper_run.h"

#include <math.h>
#include <string.h>

#include "core/ops/ops.h"
#include "core/plan.h"

#define ATTRIBUTES(type, ...) (&(const struct dc_##type##_attributes){__VA_ARGS__})

static int add_node(struct dc_graph *graph, const char *name, const struct dc_op *op,
                    const void *attributes, const int *inputs, int count)
{
    int node;
    struct dc_error error;
    if (dc_graph_add(graph, name, op, attributes, op->attribute_bytes, inputs, count, &node,
                     &error) != DC_OK)
        fail_msg("%s", error.message);
    return node;
}

// In a plan: a constant serves every row, ops that cannot read it say so, and a copy of the graph
// keeps it; a concat takes 65 inputs.
static void constants_serve_every_row(void **state)
{
    (void)state;
    enum { ROWS = 5, INPUTS = 65 };
    struct dc_graph *graph = NULL;
    struct dc_params *params = NULL;
    struct dc_plan *plan = NULL;
    struct dc_error error;
    int x, map[4], reads[INPUTS], node;
    assert_int_equal(dc_graph_create(&graph, NULL), DC_OK);
    assert_int_equal(dc_graph_add_input(graph, "x", DC_F32, &DC_SHAPE(DC_BATCH, 2), &x, NULL),
                     DC_OK);
    const int constant = add_node(graph, "c", &dc_op_constant,
                                  ATTRIBUTES(constant, {2, {1, 2}}, DC_ROLE_STATISTIC), NULL, 0);
    assert_int_equal(dc_graph_add(graph, "r", &dc_op_relu, NULL, 0, &constant, 1, &node, &error),
                     DC_ERR_CONFIG);
    assert_non_null(strstr(error.message, "constant 'c'"));
    const int sum = add_node(graph, "sum", &dc_op_broadcast_add, NULL, (int[]){x, constant}, 2);
    for (int i = 0; i < INPUTS; i++)
        reads[i] = i % 2 ? sum : x;
    const int joined = add_node(graph, "wide", &dc_op_concat, ATTRIBUTES(concat, 1), reads, INPUTS);
    struct dc_graph *copy = NULL;
    assert_int_equal(dc_graph_create(&copy, NULL), DC_OK);
    assert_int_equal(dc_graph_add_all(copy, graph, map, NULL), DC_OK);
    assert_int_equal(dc_params_create(&params, copy, 0, false, NULL), DC_OK);
    assert_non_null(dc_params_find(params, "c.value"));
    memcpy(params->value, (float[]){10.0f, 20.0f}, 8);
    struct dc_ctx *ctx = run_context(dc_isa_detected(), 2);
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = ROWS, .outputs = &map[joined], .output_count = 1};
    assert_int_equal(dc_plan_create(&plan, ctx, copy, &config, NULL), DC_OK);
    float values[ROWS * 2];
    run_fill(values, ROWS * 2, -1.0, 1.0, 3);
    dc_plan_bind(plan, map[x], values);
    assert_int_equal(dc_plan_forward(plan, params, ROWS, &(struct dc_step){0}, NULL), DC_OK);
    const float *y = dc_plan_value(plan, map[joined]);
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < 2 * INPUTS; i++) {
            const float c = i / 2 % 2 ? (i % 2 ? 20.0f : 10.0f) : 0.0f;
            assert_true(y[r * 2 * INPUTS + i] == values[2 * r + i % 2] + c);
        }
    dc_plan_free(plan);
    dc_ctx_free(ctx);
    dc_params_free(params);
    dc_graph_free(copy);
    dc_graph_free(graph);
}

static void constants_are_trained(void **state)
{
    (void)state;
    const struct dc_node node = {.name = "c", .op = &dc_op_constant};
    float value[3] = {1.0f, 2.0f, NAN}, out[3], d_out[3] = {4.0f, 5.0f, 6.0f};
    float d_value[3] = {1.0f, 1.0f, 1.0f};
    const struct dc_op_call call = {.node = &node,
                                    .rows = 7,
                                    .out = {out, DC_F32, DC_SHAPE(1, 3)},
                                    .d_out = {d_out, DC_F32, DC_SHAPE(1, 3)},
                                    .param = {value},
                                    .d_param = {d_value}};
    assert_int_equal(dc_op_constant.forward(&call, NULL), DC_OK);
    assert_int_equal(dc_op_constant.backward(&call, NULL), DC_OK);
    assert_memory_equal(out, value, sizeof out);
    assert_true(d_value[0] == 5.0f && d_value[1] == 6.0f && d_value[2] == 7.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_serve_every_row),
        cmocka_unit_test(constants_are_trained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
