// Float TFLite files: what TFLite cannot say is refused with all names; a file holds the network's
// own numbers, kernels turned. LiteRT judges such files in tests/interop/check_tflite.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/ops/ops.h"
#include "formats/tflite_write.h"
#include "tests/core/helper_folder.h"

static struct dc_error error;
static struct dc_graph *graph;
static int x;

static void start(int64_t height, int64_t width, int64_t channels)
{
    const struct dc_shape shape = DC_SHAPE(DC_BATCH, height, width, channels);
    assert_int_equal(dc_graph_create(&graph, &error), DC_OK);
    assert_int_equal(dc_graph_add_input(graph, "x", DC_F32, &shape, &x, &error), DC_OK);
}

static int add(const char *name, const struct dc_op *op, const void *attributes, size_t size,
               int input)
{
    int node = -1;
    if (dc_graph_add(graph, name, op, attributes, size, &input, 1, &node, &error) != DC_OK)
        fail_msg("%s", error.message);
    return node;
}

// Writes from x to the node; random weights.
static enum dc_status write_to(const char *path, int node, float *first_weights, int count)
{
    struct dc_params *params = NULL;
    assert_int_equal(dc_params_create(&params, graph, 0, false, &error), DC_OK);
    dc_params_init(params, 5);
    if (count > 0)
        memcpy(first_weights, params->value + params->slices[0].offset,
               sizeof *first_weights * (size_t)count);
    const enum dc_status status = dc_tflite_write_float(test_path(path), graph, params, x, node,
                                                        "n", "", &error);
    dc_params_free(params);
    dc_graph_free(graph);
    return status;
}

static void refused(int node, const char *message)
{
    assert_int_equal(write_to("no.tflite", node, NULL, 0), DC_ERR_DATA);
    if (!strstr(error.message, message))
        fail_msg("'%s' does not say '%s'", error.message, message);
    assert_false(dc_file_exists(test_path("no.tflite")));
}

static void refuses_what_tflite_cannot_say(void **state)
{
    (void)state;
    const struct dc_resize_attributes resize = {.height = 8, .width = 8};
    const struct dc_group_norm_attributes norm = {2, 1e-5f};
    const struct dc_conv_attributes groups = {
        .filters = 4,
        .window = {.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}},
        .groups = 2};
    const struct dc_pool_attributes apart = {
        .window = {.kernel = {2, 2}, .stride = {1, 1}, .dilation = {2, 1}}};
    const struct dc_pool_attributes uneven = {
        .window = {.kernel = {2, 2}, .stride = {1, 1}, .dilation = {1, 1}, .before = {1, 0}}};
    const struct dc_softmax_attributes rows = {.axis = 1};
    start(4, 4, 2);
    refused(add("even", &dc_op_group_norm, &norm, sizeof norm,
                add("larger", &dc_op_resize, &resize, sizeof resize, x)),
            "'larger' (resize), 'even' (group_norm)");
    start(4, 4, 4);
    refused(add("grouped", &dc_op_conv, &groups, sizeof groups, x), "'grouped'");
    start(4, 4, 2);
    refused(add("holes", &dc_op_max_pool, &apart, sizeof apart, x), "no dilated pool");
    start(4, 4, 2);
    refused(add("average", &dc_op_average_pool, &uneven, sizeof uneven, x), "not TFLite's SAME");
    start(4, 4, 2);
    refused(add("shares", &dc_op_softmax, &rows, sizeof rows, x), "over the last axis");
}

// A dense layer's [in, out] lies in the file as [out, in].
static void kernels_are_turned(void **state)
{
    (void)state;
    enum { IN = 6, OUT = 5 };
    const struct dc_dense_attributes dense = {OUT, false};
    struct dc_arena *arena = NULL;
    char *bytes = NULL;
    size_t size = 0;
    float weights[IN * OUT], turned[OUT * IN];
    start(1, 1, IN);
    const int flat = add("flat", &dc_op_flatten, NULL, 0, x);
    const int node = add("dense", &dc_op_dense, &dense, sizeof dense, flat);
    if (write_to("dense.tflite", node, weights, IN * OUT) != DC_OK)
        fail_msg("%s", error.message);
    for (int i = 0; i < IN; i++)
        for (int o = 0; o < OUT; o++)
            turned[o * IN + i] = weights[i * OUT + o];
    assert_int_equal(dc_arena_create(&arena, NULL), DC_OK);
    assert_int_equal(dc_file_read(&bytes, &size, test_path("dense.tflite"), arena, NULL), DC_OK);
    assert_memory_equal(bytes + 4, "TFL3", 4);
    const char *found = memmem(bytes, size, turned, sizeof turned);
    assert_non_null(found);
    assert_int_equal((found - bytes) % 16, 0);
    assert_null(memmem(bytes, size, weights, sizeof weights));
    dc_arena_free(arena);
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refuses_what_tflite_cannot_say),
                                       cmocka_unit_test(kernels_are_turned)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
