// Written files, read back: the network that comes out gives what went in, every op that the writer
// knows is among them, and what it does not know is refused with all names. ONNX Runtime judges the
// same files in tests/interop/check_qdq.

#include "helper_onnx.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/ops/ops.h"
#include "formats/onnx_write.h"
#include "helper_networks.h"
#include "tests/core/helper_folder.h"

enum { ROWS = 3, VALUES = 8 * 12 * 4, MOST = 1 << 14 };

// Both run Decant's own ops on the same numbers. What differs is the batch normalization folded by
// one of them and GELU by another formula: some roundings of values near 1.
static const double error_most = 64 * 1.2e-7;

static double largest_difference(const float *a, const float *b, int64_t count)
{
    double difference = 0.0, largest = 0.0;
    for (int64_t i = 0; i < count; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);
        assert_true(isfinite(b[i]));
        difference = d > difference ? d : difference;
        largest = fabs((double)b[i]) > largest ? fabs((double)b[i]) : largest;
    }
    assert_true(largest > 0.0);
    return difference / largest;
}

static void round_trip(void **state)
{
    struct dc_error error;
    struct test_network n;
    static float input[ROWS * VALUES], want[MOST];
    (void)state;
    test_network_input(input, ROWS * VALUES);
    for (int i = 0;; i++) {
        if (!test_network_create(&n, i, &error))
            fail_msg("%s: %s", n.name, error.message);
        if (!n.graph)
            break;
        int64_t count;
        const char *path = test_path("network.onnx");
        if (test_network_run(&n, want, input, ROWS, &error) != DC_OK ||
            dc_onnx_write(path, n.graph, n.params, n.input, n.output, n.name, "a test", &error) !=
                DC_OK)
            fail_msg("%s: %s", n.name, error.message);
        float *have = onnx_run(path, ROWS, input, &count);
        const struct dc_shape out = dc_shape_with_batch(&n.graph->nodes[n.output].shape, ROWS);
        assert_int_equal(count, dc_shape_count(&out));
        const double e = largest_difference(have, want, count);
        if (!(e < error_most))
            fail_msg("%s: relative error %g", n.name, e);
        have[count / 2] += 1e-3f;  // the judge must be able to fail
        assert_true(largest_difference(have, want, count) > error_most);
        free(have);
        test_network_free(&n);
    }
}

static void refuses_all_at_once(void **state)
{
    struct dc_graph *g;
    struct dc_params *params;
    struct dc_error error;
    int x, node;
    const struct dc_shape shape = DC_SHAPE(DC_BATCH, 4, 4, 2);
    const struct dc_resize_attributes resize = {.height = 8, .width = 8};
    const struct dc_group_norm_attributes norm = {2, 1e-5f};
    (void)state;
    assert_int_equal(dc_graph_create(&g, &error), DC_OK);
    assert_int_equal(dc_graph_add_input(g, "x", DC_F32, &shape, &x, &error), DC_OK);
    assert_int_equal(
        dc_graph_add(g, "larger", &dc_op_resize, &resize, sizeof resize, &x, 1, &node, &error),
        DC_OK);
    assert_int_equal(
        dc_graph_add(g, "even", &dc_op_group_norm, &norm, sizeof norm, &node, 1, &node, &error),
        DC_OK);
    assert_int_equal(dc_params_create(&params, g, 0, false, &error), DC_OK);
    assert_int_equal(dc_onnx_write(test_path("no.onnx"), g, params, x, node, "n", "", &error),
                     DC_ERR_DATA);
    assert_non_null(strstr(error.message, "'larger' (resize), 'even' (group_norm)"));
    dc_params_free(params);
    dc_graph_free(g);
}

static int set_up(void **state)
{
    (void)state;
    return test_folder() ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

// A layer called as a parameter of another, and as a part of it.
static void names_are_told_apart(void **state)
{
    struct dc_graph *g;
    struct dc_params *params;
    struct dc_error error;
    int x, node;
    int64_t count;
    static const char *const names[] = {"a", "a.weight", "a.weight.weight", "a/order"};
    const struct dc_shape shape = DC_SHAPE(DC_BATCH, 4);
    const struct dc_dense_attributes dense = {4, true};
    float values[4] = {1.0f, -2.0f, 3.0f, 0.5f};
    (void)state;
    assert_int_equal(dc_graph_create(&g, &error), DC_OK);
    assert_int_equal(dc_graph_add_input(g, "x", DC_F32, &shape, &x, &error), DC_OK);
    node = x;
    for (int i = 0; i < 4; i++)
        assert_int_equal(
            dc_graph_add(g, names[i], &dc_op_dense, &dense, sizeof dense, &node, 1, &node, &error),
            DC_OK);
    assert_int_equal(dc_params_create(&params, g, 0, false, &error), DC_OK);
    for (int s = 0; s < params->count; s++)  // weights: 1, 2, 3, 4 times the unit matrix; no bias
        for (int64_t i = 0; i < params->slices[s].count; i++)
            params->value[params->slices[s].offset + i] = s % 2 == 0 && i % 5 == 0 ? 1 + s / 2 : 0;
    const char *path = test_path("alike.onnx");
    if (dc_onnx_write(path, g, params, x, node, "alike", "a test", &error) != DC_OK)
        fail_msg("%s", error.message);
    float *have = onnx_run(path, 1, values, &count);
    assert_int_equal(count, 4);
    for (int i = 0; i < 4; i++)
        assert_true(have[i] == 24.0f * values[i]);
    free(have);
    dc_params_free(params);
    dc_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip),
                                       cmocka_unit_test(refuses_all_at_once),
                                       cmocka_unit_test(names_are_told_apart)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
