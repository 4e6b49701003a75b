// Shape arithmetic.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/tensor.h"

static void shapes_count_their_values(void **state)
{
    (void)state;
    const struct dc_shape scalar = {.rank = 0}, image = DC_SHAPE(5, 4, 3, 2), none = DC_SHAPE(0, 7);
    assert_int_equal(dc_shape_count(&scalar), 1);
    assert_int_equal(dc_shape_count(&image), 120);
    assert_int_equal(dc_shape_count(&none), 0);
    assert_int_equal(dc_shape_row(&image), 24);
    assert_int_equal(dc_shape_row(&DC_SHAPE(DC_BATCH, 6)), 6);
    assert_int_equal(dc_shape_row(&DC_SHAPE(9)), 1);
    assert_int_equal(dc_shape_count(&DC_SHAPE(100000, 100000)), 10000000000);
}

static void shapes_compare_by_rank_and_dimensions(void **state)
{
    (void)state;
    struct dc_shape a = DC_SHAPE(2, 3), b = DC_SHAPE(2, 3);
    b.dims[5] = 9;  // behind the rank: no part of the shape
    assert_true(dc_shape_equal(&a, &b));
    assert_false(dc_shape_equal(&a, &DC_SHAPE(2, 4)));
    assert_false(dc_shape_equal(&a, &DC_SHAPE(2, 3, 1)));
    assert_false(dc_shape_equal(&a, &DC_SHAPE(DC_BATCH, 3)));
}

static void the_batch_is_filled_in(void **state)
{
    (void)state;
    const struct dc_shape filled = dc_shape_with_batch(&DC_SHAPE(DC_BATCH, 3), 17);
    assert_true(dc_shape_equal(&filled, &DC_SHAPE(17, 3)));
    const struct dc_shape fixed = dc_shape_with_batch(&DC_SHAPE(4, 3), 17);
    assert_true(dc_shape_equal(&fixed, &DC_SHAPE(4, 3)));
}

static void text_is_what_messages_show(void **state)
{
    (void)state;
    char text[DC_SHAPE_TEXT];
    assert_string_equal(dc_shape_text(text, &DC_SHAPE(DC_BATCH, 28, 28, 1)), "[batch, 28, 28, 1]");
    assert_string_equal(dc_shape_text(text, &DC_SHAPE(10)), "[10]");
    assert_string_equal(dc_shape_text(text, &(struct dc_shape){.rank = 0}), "[]");
    struct dc_shape wide = {.rank = 8};
    for (int i = 0; i < 8; i++)
        wide.dims[i] = INT64_MAX;
    assert_true(strlen(dc_shape_text(text, &wide)) < DC_SHAPE_TEXT);
}

static void samples_are_images(void **state)
{
    (void)state;
    static const struct {
        struct dc_shape sample, image;
    } cases[] = {
        {{1, {5}}, {3, {1, 1, 5}}},
        {{2, {20, 3}}, {3, {1, 20, 3}}},
        {{3, {28, 27, 3}}, {3, {28, 27, 3}}},
        {{4, {2, 3, 4, 5}}, {3, {6, 4, 5}}},
        {{7, {2, 3, 1, 2, 1, 4, 5}}, {3, {12, 4, 5}}},
        {{0, {0}}, {3, {1, 1, 1}}},
        {{3, {DC_BATCH, 20, 3}}, {3, {1, 20, 3}}},
        {{1, {DC_BATCH}}, {3, {1, 1, 1}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct dc_shape image = dc_shape_image(&cases[i].sample);
        assert_true(dc_shape_equal(&image, &cases[i].image));
    }
}

static void types_have_their_sizes(void **state)
{
    (void)state;
    assert_int_equal(dc_dtype_bytes(DC_F32), sizeof(float));
    assert_int_equal(dc_dtype_bytes(DC_F64), sizeof(double));
    assert_int_equal(dc_dtype_bytes(DC_I8), 1);
    assert_int_equal(dc_dtype_bytes(DC_U8), 1);
    assert_int_equal(dc_dtype_bytes(DC_I32), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_count_their_values),
        cmocka_unit_test(shapes_compare_by_rank_and_dimensions),
        cmocka_unit_test(the_batch_is_filled_in),
        cmocka_unit_test(samples_are_images),
        cmocka_unit_test(text_is_what_messages_show),
        cmocka_unit_test(types_have_their_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
