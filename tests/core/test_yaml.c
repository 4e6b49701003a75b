// The YAML tree, its places, and everything an experiment file must not contain.

#include "core/yaml.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

static struct dc_arena *arena;
static struct dc_error error;

static const struct dc_yaml *parse(const char *text)
{
    const struct dc_yaml *root = NULL;
    if (dc_yaml_parse(&root, text, "x.yaml", arena, &error) != DC_OK)
        fail_msg("%s", error.message);
    return root;
}

static void tree_has_values_and_places(void **state)
{
    (void)state;
    const struct dc_yaml *root = parse("# comment\n"
                                       "name: first\n"
                                       "list: [1, two, \"3\"]\n"
                                       "inner:\n"
                                       "  - {a: 'b c', d: ~}\n"
                                       "  - |\n"
                                       "    long\n"
                                       "    text\n"
                                       "empty:\n");
    assert_int_equal(root->kind, DC_YAML_MAPPING);
    assert_int_equal(root->count, 4);
    const struct dc_yaml *name = dc_yaml_get(root, "name");
    assert_string_equal(name->text, "first");
    assert_false(name->quoted);
    assert_int_equal(name->where.line, 2);
    assert_int_equal(name->where.column, 7);
    assert_int_equal(name->where.marked, 5);
    assert_string_equal(name->where.excerpt, "name: first");
    assert_string_equal(name->where.file, "x.yaml");
    const struct dc_yaml *list = dc_yaml_get(root, "list");
    assert_int_equal(list->kind, DC_YAML_SEQUENCE);
    assert_int_equal(list->count, 3);
    assert_null(list->keys);
    assert_string_equal(list->items[1]->text, "two");
    assert_string_equal(list->items[2]->text, "3");
    assert_true(list->items[2]->quoted);
    assert_int_equal(root->keys[1]->where.line, 3);
    assert_int_equal(root->keys[1]->where.column, 1);
    const struct dc_yaml *inner = dc_yaml_get(root, "inner");
    assert_int_equal(inner->count, 2);
    assert_string_equal(dc_yaml_get(inner->items[0], "a")->text, "b c");
    assert_string_equal(dc_yaml_get(inner->items[0], "d")->text, "");
    assert_string_equal(inner->items[1]->text, "long\ntext\n");
    assert_true(inner->items[1]->quoted);
    assert_string_equal(dc_yaml_get(root, "empty")->text, "");
    assert_int_equal(dc_yaml_get(root, "empty")->kind, DC_YAML_SCALAR);
    assert_null(dc_yaml_get(root, "nam"));
    assert_null(dc_yaml_get(list, "name"));
}

static void many_items_keep_their_order(void **state)
{
    (void)state;
    const struct dc_yaml *root = parse("[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]");
    assert_int_equal(root->count, 21);
    assert_string_equal(root->items[7]->text, "7");
    assert_string_equal(root->items[8]->text, "8");
    assert_string_equal(root->items[20]->text, "20");
}

// Windows line ends and a missing last newline change nothing.
static void carriage_returns_are_no_text(void **state)
{
    (void)state;
    const struct dc_yaml *root = parse("a: 1\r\nb: two");
    assert_string_equal(dc_yaml_get(root, "a")->text, "1");
    assert_string_equal(dc_yaml_get(root, "b")->text, "two");
    assert_string_equal(dc_yaml_get(root, "a")->where.excerpt, "a: 1");
}

static void broken_texts_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *start, *words;
    } cases[] = {
        {"a: 1\n%b \377\377: 2", "x.yaml:2:4: error: ", "byte 0xff is no text in UTF-8"},
        {"a: \xc0\xaf", "x.yaml:1:4: error: ", "byte 0xc0 is no text"},      // '/', too long
        {"a: \xe0\x80\xaf", "x.yaml:1:4: error: ", "byte 0xe0 is no text"},  // again
        {"a: \xed\xa0\x80", "x.yaml:1:4: error: ", "byte 0xed is no text"},  // half a pair
        {"a: \xf4\x90\x80\x80", "x.yaml:1:4: error: ", "byte 0xf4 is no text"},
        {"a: \xe2\x82", "x.yaml:1:4: error: ", "byte 0xe2 is no text"},  // cut off
        {"a: \x80", "x.yaml:1:4: error: ", "byte 0x80 is no text"},
        {"a: b\x1b[2Jc", "x.yaml:1:5: error: ", "byte 0x1b is no text"},  // what terminals obey
        {"a: 1\nb: 2\na: 3\n", "x.yaml:3:1: error: ", "'a' stands here twice; first in line 1"},
        {"a: &x 1\n", "x.yaml:1:", "anchor"},
        {"a: 1\nb: *a\n", "x.yaml:2:", ""},
        {"a: !!int 1\n", "x.yaml:1:4: error: ", "tag"},
        {"a: 1\n---\nb: 2\n", "x.yaml:2:", "second document"},
        {"[a, b]: 1\n", "x.yaml:1:", "key"},
        {"? {a: 1}\n: 1\n", "x.yaml:1:", "key"},
        {"", "x.yaml", "empty"},
        {"# nothing\n", "x.yaml", "empty"},
        {"---\n", "x.yaml", "empty"},
        {"a: [1, 2\nb: 3\n", "x.yaml:", "error: "},
        {"a: 1\n  b: 2\n", "x.yaml:1:4: ", "multiline"},
        {"a: \"unfinished\n", "x.yaml:", "error: "},
        {"a:\n\t- b\n", "x.yaml:2:", "error: "},
        {"a: {b: 1,\n", "x.yaml:", "error: "},
        {": 1\n", "x.yaml:1:", "key is missing"},
        {"a: 1\nb: \"\\0\"\n", "x.yaml:2:4: error: ", "zero byte"},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
         "x.yaml", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct dc_yaml *root = NULL;
        memset(&error, 0, sizeof error);
        const enum dc_status status = dc_yaml_parse(&root, cases[i].text, "x.yaml", arena, &error);
        if (status != DC_ERR_CONFIG || error.status != DC_ERR_CONFIG)
            fail_msg("case %zu was not refused: %s", i, cases[i].text);
        if (strncmp(error.message, cases[i].start, strlen(cases[i].start)) != 0)
            fail_msg("case %zu: the place is not %s: %s", i, cases[i].start, error.message);
        if (!strstr(error.message, cases[i].words))
            fail_msg("case %zu: nothing about %s: %s", i, cases[i].words, error.message);
    }
}

static void failure_at_a_node_shows_the_line(void **state)
{
    (void)state;
    const struct dc_yaml *root = parse("train:\n  epochs: many\n");
    const struct dc_yaml *epochs = dc_yaml_get(dc_yaml_get(root, "train"), "epochs");
    assert_int_equal(dc_fail_yaml(&error, epochs, "a number, not '%s'", epochs->text),
                     DC_ERR_CONFIG);
    assert_string_equal(error.message, "x.yaml:2:11: error: a number, not 'many'\n"
                                       "    2 |   epochs: many\n"
                                       "      |           ^~~~");
}

static void missing_file_is_a_configuration_error(void **state)
{
    (void)state;
    const struct dc_yaml *root = NULL;
    assert_int_equal(dc_yaml_read(&root, "/nonexistent/x.yaml", arena, &error), DC_ERR_CONFIG);
    assert_non_null(strstr(error.message, "/nonexistent/x.yaml"));
    assert_int_equal(error.status, DC_ERR_CONFIG);
}

static void nearest_name_is_suggested(void **state)
{
    (void)state;
    static const char *const names[] = {"temperature", "weight", "epochs", "start_epoch"};
    assert_string_equal(dc_suggest("temprature", names, 4, NULL), "temperature");
    assert_string_equal(dc_suggest("wieght", names, 4, NULL), "weight");
    assert_string_equal(dc_suggest("epoch", names, 4, NULL), "epochs");
    assert_null(dc_suggest("banana", names, 4, NULL));
    assert_null(dc_suggest("x", names, 4, NULL));
    assert_null(dc_suggest("", names, 0, NULL));
}

static int set_up(void **state)
{
    (void)state;
    return dc_arena_create(&arena, &error) == DC_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    dc_arena_free(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tree_has_values_and_places),
        cmocka_unit_test(many_items_keep_their_order),
        cmocka_unit_test(carriage_returns_are_no_text),
        cmocka_unit_test(broken_texts_are_refused_with_their_place),
        cmocka_unit_test(failure_at_a_node_shows_the_line),
        cmocka_unit_test(missing_file_is_a_configuration_error),
        cmocka_unit_test(nearest_name_is_suggested),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
