// TFLite files as networks: what each operator becomes, what is refused and in which words, what a
// file of integers is, and damage. LiteRT judges the numbers in tests/interop/check_tflite.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/ops/ops.h"
#include "core/plan.h"
#include "formats/flatbuffer_read.h"
#include "formats/tflite_read.h"
#include "tests/core/helper_folder.h"
#include "tests/formats/helper_tflite.h"

static struct dc_error error;

static const struct test_tflite *case_of(const char *name)
{
    for (int i = 0; i < test_tflite_read_count; i++)
        if (strcmp(test_tflite_read[i].name, name) == 0)
            return &test_tflite_read[i];
    fail_msg("no case %s", name);
    return NULL;
}

static struct dc_imported *read_case(const struct test_tflite *wanted)
{
    struct dc_imported *n = NULL;
    if (test_tflite_write(test_path("x.tflite"), wanted, &error) != DC_OK ||
        dc_tflite_read(&n, test_path("x.tflite"), NULL, &error) != DC_OK)
        fail_msg("%s: %s", wanted->name, error.message);
    return n;
}

// Every operator is read and runs; its result has the file's shape, but where one position is left,
// which is flattened.
static void operators_are_read(void **state)
{
    (void)state;
    struct dc_ctx *ctx = NULL;
    assert_int_equal(dc_ctx_create(&ctx, &(struct dc_ctx_config){.threads = 1}, &error), DC_OK);
    for (int i = 0; i < test_tflite_read_count; i++) {
        const struct test_tflite *wanted = &test_tflite_read[i];
        const struct test_step *last = &wanted->steps[wanted->steps[1].rank > 0];
        struct dc_imported *n = read_case(wanted);
        const struct dc_plan_config config = {
            .mode = DC_INFERENCE, .max_rows = 2, .outputs = &n->output, .output_count = 1};
        const struct dc_shape *shape = &n->graph->nodes[n->output].shape;
        struct dc_plan *plan = NULL;
        float *x = calloc(2 * (size_t)dc_shape_row(&n->graph->nodes[n->input].shape), sizeof *x);
        assert_non_null(x);
        if (dc_plan_create(&plan, ctx, n->graph, &config, &error) != DC_OK)
            fail_msg("%s: %s", wanted->name, error.message);
        dc_plan_bind(plan, n->input, x);
        assert_int_equal(dc_plan_forward(plan, n->params, 2, NULL, &error), DC_OK);
        int64_t count = 1;
        for (int k = 1; k < last->rank; k++)
            count *= last->shape[k];
        if (dc_shape_row(shape) != count || shape->dims[0] != DC_BATCH || n->codes)
            fail_msg("%s: another result", wanted->name);
        assert_string_equal(n->input_name, "x");
        dc_plan_free(plan);
        free(x);
        dc_imported_free(n);
    }
    dc_ctx_free(ctx);
}

static void refusals_name_the_operator(void **state)
{
    (void)state;
    for (int i = 0; i < test_tflite_refused_count; i++) {
        struct dc_imported *n = NULL;
        assert_int_equal(test_tflite_write(test_path("no.tflite"), &test_tflite_refused[i], &error),
                         DC_OK);
        if (dc_tflite_read(&n, test_path("no.tflite"), NULL, &error) != DC_ERR_DATA ||
            !strstr(error.message, test_tflite_reasons[i]) || !strstr(error.message, "no.tflite: "))
            fail_msg("%s: '%s' does not say '%s'", test_tflite_refused[i].name, error.message,
                     test_tflite_reasons[i]);
        assert_null(n);
    }
}

// Weights are turned, an activation is a node of its own, a PAD is the padding of what it is
// before.
static void what_layers_become(void **state)
{
    (void)state;
    struct dc_imported *n = read_case(case_of("pad_then_conv"));
    const struct dc_graph *g = n->graph;
    assert_int_equal(g->count, 3);
    const struct dc_conv_attributes *a = g->nodes[1].attributes;
    assert_true(g->nodes[1].op == &dc_op_conv && g->nodes[2].op == &dc_op_relu);
    assert_string_equal(g->nodes[1].name, "value1");
    assert_string_equal(g->nodes[2].name, "value1.relu");
    assert_int_equal(a->window.before[0], 1);
    assert_int_equal(a->window.after[0], 2);
    assert_int_equal(a->window.before[1], 0);
    assert_int_equal(a->window.after[1], 3);
    const struct dc_slice *weight = dc_params_find(n->params, "value1.weight");
    assert_non_null(weight);
    assert_true(dc_shape_equal(&weight->shape, &DC_SHAPE(3, 3, 4, 8)));
    struct dc_tflite_file file;
    struct dc_arena *arena = NULL;
    assert_int_equal(dc_arena_create(&arena, &error), DC_OK);
    assert_int_equal(dc_tflite_file_read(&file, test_path("x.tflite"), arena, &error), DC_OK);
    float *kernel = malloc((size_t)file.tensors[3].bytes);
    assert_non_null(kernel);
    memcpy(kernel, file.tensors[3].data, (size_t)file.tensors[3].bytes);
    for (int i = 0; i < 36; i++)
        for (int o = 0; o < 8; o++)
            assert_true(n->params->value[weight->offset + i * 8 + o] == kernel[o * 36 + i]);
    free(kernel);
    dc_arena_free(arena);
    dc_imported_free(n);
    n = read_case(case_of("pad_then_padded_conv"));
    assert_true(n->graph->nodes[1].op == &dc_op_pad);
    dc_imported_free(n);
    n = read_case(case_of("mean"));
    assert_true(n->graph->nodes[1].op == &dc_op_global_average_pool);
    dc_imported_free(n);
}

static void an_output_is_chosen(void **state)
{
    (void)state;
    struct dc_imported *n = NULL;
    const struct dc_tflite_options first = {.output = "value0"}, none = {.output = "value7"};
    assert_int_equal(test_tflite_write(test_path("two.tflite"), case_of("sqrt"), &error), DC_OK);
    assert_int_equal(dc_tflite_read(&n, test_path("two.tflite"), &first, &error), DC_OK);
    assert_int_equal(n->graph->count, 2);
    dc_imported_free(n);
    assert_int_equal(dc_tflite_read(&n, test_path("two.tflite"), &none, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "no operator gives a value 'value7'"));
}

// "a/b/Conv2D" are the weights of a layer "a/b".
static void layers_are_called_as_in_keras(void **state)
{
    (void)state;
    static const char ours[] = "operand0.1", keras[] = "a/b/Conv2D";
    struct dc_imported *n = NULL;
    struct dc_arena *arena = NULL;
    char *bytes;
    size_t size;
    const char *path = test_path("keras.tflite");
    assert_int_equal(test_tflite_write(path, case_of("conv_same"), &error), DC_OK);
    assert_int_equal(dc_arena_create(&arena, &error), DC_OK);
    assert_int_equal(dc_file_read(&bytes, &size, path, arena, &error), DC_OK);
    char *name = memmem(bytes, size, ours, strlen(ours));
    assert_non_null(name);
    memcpy(name, keras, strlen(keras));
    test_write(path, bytes, size);
    assert_int_equal(dc_tflite_read(&n, path, NULL, &error), DC_OK);
    assert_string_equal(n->graph->nodes[1].name, "a.b");
    assert_string_equal(n->graph->nodes[2].name, "a.b.relu6");
    dc_imported_free(n);
    dc_arena_free(arena);
}

// Of a sound file bytes are changed and ends cut: it is read or refused, nothing else (sanitizers
// watch). Without its identifier, and without the half of it that weights lie in, it is refused.
static void damage_is_refused(void **state)
{
    (void)state;
    struct dc_arena *arena = NULL;
    char *bytes;
    size_t size;
    int refused = 0;
    assert_int_equal(test_tflite_write(test_path("d.tflite"), case_of("dense"), &error), DC_OK);
    assert_int_equal(dc_arena_create(&arena, &error), DC_OK);
    assert_int_equal(dc_file_read(&bytes, &size, test_path("d.tflite"), arena, &error), DC_OK);
    for (size_t i = 0; i < size; i += 3) {
        struct dc_imported *n = NULL;
        bytes[i] ^= 0x55;
        test_write(test_path("d.tflite"), bytes, size);
        const enum dc_status status = dc_tflite_read(&n, test_path("d.tflite"), NULL, &error);
        assert_true(status == DC_OK || status == DC_ERR_DATA);
        refused += status == DC_ERR_DATA;
        assert_true(status == DC_ERR_DATA || i < 4 || i >= 8);
        dc_imported_free(n);
        bytes[i] ^= 0x55;
    }
    assert_true(refused > 100);
    for (size_t cut = 0; cut + 16 < size; cut += 16) {
        struct dc_imported *n = NULL;
        test_write(test_path("d.tflite"), bytes, cut);
        const enum dc_status status = dc_tflite_read(&n, test_path("d.tflite"), NULL, &error);
        dc_imported_free(n);
        assert_true(status == DC_ERR_DATA || (status == DC_OK && cut > size / 2));
        assert_true(status == DC_OK || strstr(error.message, "d.tflite: "));
    }
    dc_arena_free(arena);
}

// A reference that leads out of the file, field by field: nothing is read behind the end.
static void references_are_bounded(void **state)
{
    (void)state;
    // A root table at 16 whose vtable at 8 says: 8 bytes, one field of 4 at 4.
    static _Alignas(8) uint8_t bytes[28] = {16, 0, 0, 0, 'T', 'E', 'S', 'T', 6, 0, 8, 0, 4, 0,
                                            0,  0, 8, 0, 0,   0,   4,   0,   0, 0, 1, 0, 0, 0};
    struct dc_flat_reader r;
    struct dc_flat_ref t = dc_flat_open(&r, bytes, sizeof bytes, "TEST");
    assert_null(r.fault);
    assert_int_equal(dc_flat_number(&r, t, 0, 4, -1), 4);
    assert_int_equal(dc_flat_number(&r, t, 1, 4, -1), -1);
    assert_null(r.fault);
    assert_int_equal(dc_flat_items(&r, t, 0, 8).count, 0);  // one item of 8 bytes behind the end
    assert_non_null(r.fault);
    assert_int_equal(dc_flat_number(&r, t, 0, 4, -1), -1);  // failures stick
    for (int at = 0; at < 24; at++) {
        for (int value = 0; value < 256; value += 51) {
            const uint8_t kept = bytes[at];
            bytes[at] = (uint8_t)value;
            t = dc_flat_open(&r, bytes, sizeof bytes, "TEST");
            (void)dc_flat_text(&r, t, 0);
            const struct dc_flat_items items = dc_flat_items(&r, t, 0, 4);
            const uint8_t *end = (const uint8_t *)items.first + 4 * (size_t)items.count;
            assert_true(items.count == 0 || end <= bytes + sizeof bytes);
            (void)dc_flat_item(&r, items, 0);
            (void)dc_flat_child(&r, t, 0);
            bytes[at] = kept;
        }
    }
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_are_read),
        cmocka_unit_test(refusals_name_the_operator),
        cmocka_unit_test(what_layers_become),
        cmocka_unit_test(an_output_is_chosen),
        cmocka_unit_test(layers_are_called_as_in_keras),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(references_are_bounded),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
