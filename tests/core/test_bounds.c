// Products that would wrap, limits that must not, and a YAML file with very many keys.

#include "core/bounds.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

#include "core/yaml.h"

static struct dc_error error;

static void products_are_exact_or_refused(void **state)
{
    (void)state;
    static const struct {
        int count;
        int64_t factors[4], product;  // product -1: refused
    } cases[] = {
        {0, {0}, 1},
        {3, {2, 3, 5}, 30},
        {2, {0, INT64_MAX}, 0},
        {3, {INT64_MAX, 1, 1}, INT64_MAX},
        {2, {INT64_C(1) << 32, INT64_C(1) << 32}, -1},  // wraps to 0
        {2, {INT64_C(1) << 32, (INT64_C(1) << 32) + 1}, -1},
        {3, {3037000500, 3037000500, 1}, -1},
        {3, {3037000499, 3037000499, 1}, 9223372030926249001},
        {2, {-1, 1}, -1},
        {4, {INT64_C(1) << 62, 2, 0, 1}, -1},
        {2, {1, INT64_MIN}, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t product = 7;
        const bool good = dc_product(&product, cases[i].factors, cases[i].count);
        assert_int_equal(good, cases[i].product >= 0);
        assert_true(!good || product == cases[i].product);
    }
    int64_t bytes = 0;
    assert_true(dc_shape_bytes(&bytes, &DC_SHAPE(3, 5), DC_F64) && bytes == 120);
    assert_false(dc_shape_bytes(&bytes, &DC_SHAPE(INT64_MAX / 4), DC_F64));
}

static void limits_are_named_and_never_wrap(void **state)
{
    (void)state;
    assert_int_equal(dc_want_memory("f", "its header", 100, 100, &error), DC_OK);
    assert_int_equal(dc_want_memory("f", "its header", 101, 100, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "f: its header declares 101 bytes"));
    assert_non_null(strstr(error.message, "limits.memory"));
    assert_int_equal(dc_want_memory("f", "its header", INT64_MAX, 0, &error), DC_ERR_DATA);
    assert_true(dc_memory_default() > 0);
    assert_true(dc_unpacked_most(0) == 64 << 20);
    assert_true(dc_unpacked_most(10) == 160 + (64 << 20));
    assert_true(dc_unpacked_most(INT64_MAX) == INT64_MAX);
    assert_true(dc_inflated_most(1) == 1032 + (64 << 20));
    assert_true(dc_inflated_most(INT64_MAX / 1032) == INT64_MAX);
}

// Of 60,000 keys each is compared with a few others, not with all: a second or two of CPU under
// valgrind where it was hours. The last one stands there twice.
static void many_keys_are_sorted_for_twins(void **state)
{
    (void)state;
    enum { KEYS = 60000 };
    const struct dc_yaml *root = NULL;
    struct dc_arena *arena = NULL;
    char *text = malloc(KEYS * 16), *to = text;
    assert_non_null(text);
    assert_int_equal(dc_arena_create(&arena, &error), DC_OK);
    *to++ = '{';  // one line, so that a place in it must not cost its length either
    for (int i = 0; i < KEYS; i++)
        to += sprintf(to, "k%d: %d,", i * 7 % KEYS, i);
    strcpy(to, "}");
    assert_int_equal(dc_yaml_parse(&root, text, "many.yaml", arena, &error), DC_OK);
    assert_int_equal(root->count, KEYS);
    assert_string_equal(dc_yaml_get(root, "k49")->text, "7");
    strcpy(to, "k49: 1, k56: 2}");
    assert_int_equal(dc_yaml_parse(&root, text, "many.yaml", arena, &error), DC_ERR_CONFIG);
    assert_non_null(strstr(error.message, "key 'k49' stands here twice; first in line 1"));
    free(text);
    dc_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_exact_or_refused),
        cmocka_unit_test(limits_are_named_and_never_wrap),
        cmocka_unit_test(many_keys_are_sorted_for_twins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
