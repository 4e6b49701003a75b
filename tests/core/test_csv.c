// CSV as RFC 4180 has it, and everything that is not.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/csv.h"
#include "tests/core/helper_folder.h"

static struct dc_arena *arena;
static struct dc_error error;

static enum dc_status read_text(struct dc_csv *csv, const char *text, size_t size)
{
    test_write(test_path("t.csv"), text, size);
    error = (struct dc_error){0};
    return dc_csv_read(csv, "t.csv", 0, arena, &error);
}

struct good {
    const char *text;
    int columns, rows;
    const char *cells[8];
    int lines[4];
};

static void fields_are_as_they_are_meant(void **state)
{
    (void)state;
    static const struct good cases[] = {
        {"a,b\nc,d\n", 2, 2, {"a", "b", "c", "d"}, {1, 2}},
        {"a,b\r\nc,d\r\n", 2, 2, {"a", "b", "c", "d"}, {1, 2}},
        {"\xef\xbb\xbf"
         "a,b\nc,d",
         2,
         2,
         {"a", "b", "c", "d"},
         {1, 2}},
        {"\"a,1\",\"b\"\"2\"\"\"\n\"c\n3\",\"\"\nx,y\n",
         2,
         3,
         {"a,1", "b\"2\"", "c\n3", "", "x", "y"},
         {1, 2, 4}},
        {"a,b\n\n\r\nc,d\n\n", 2, 2, {"a", "b", "c", "d"}, {1, 4}},
        {"a\n\nb\n", 1, 3, {"a", "", "b"}, {1, 2, 3}},
        {" a , b\n", 2, 1, {" a ", " b"}, {1}},
        {"a,\n,b", 2, 2, {"a", "", "", "b"}, {1, 2}},
        {"a,", 2, 1, {"a", ""}, {1}},
        {"a;b,c\n", 2, 1, {"a;b", "c"}, {1}},
        {"\"a\r\nb\",c\n", 2, 1, {"a\r\nb", "c"}, {1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dc_csv csv;
        const struct good *c = &cases[i];
        if (read_text(&csv, c->text, strlen(c->text)) != DC_OK)
            fail_msg("%s: %s", c->text, error.message);
        assert_int_equal(csv.columns, c->columns);
        assert_int_equal(csv.rows, c->rows);
        for (int k = 0; k < c->columns * c->rows; k++)
            assert_string_equal(csv.cells[k], c->cells[k]);
        for (int k = 0; k < c->rows; k++)
            assert_int_equal(csv.lines[k], c->lines[k]);
    }
}

static void what_is_no_table_is_told_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;  // 0: up to the zero
        const char *words;
    } cases[] = {
        {"a,b\nc\n", 0, "t.csv:2:1: error: 1 fields in this row, and 2 in the first"},
        {"a,b\n\"c\n\n\",d,e\n", 0, "t.csv:2:1: error: 3 fields"},
        {"a,b\nc,\"d\n", 0, "t.csv:2:3: error: the quote that begins here is never closed"},
        {"a,b\nc,d\"e\n", 0, "t.csv:2:4: error: a quote within a field"},
        {"a,b\n\"c\"x,d\n", 0, "t.csv:2:4: error: text behind a closing quote"},
        {"a,b\rc,d\r", 0, "t.csv:1:4: error: a carriage return alone"},
        {"a,b\nc\0,d\n", 9, "t.csv:2:2: error: a zero byte"},
        {"a,b\n\"c\0\",d\n", 11, "t.csv:2:3: error: a zero byte"},
        {"\xff\xfe"
         "a\0,\0b\0",
         8, "t.csv:1:1: error: this is UTF-16"},
        {"a;b\nc;d\n", 0, "t.csv:1:1: error: fields are separated by ';'"},
        {"a\tb\nc\td\n", 0, "t.csv:1:1: error: fields are separated by tabs"},
        {"", 0, "t.csv: holds no row"},
        {"\xef\xbb\xbf", 0, "t.csv: holds no row"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dc_csv csv;
        const size_t size = cases[i].size ? cases[i].size : strlen(cases[i].text);
        assert_int_equal(read_text(&csv, cases[i].text, size), DC_ERR_DATA);
        if (!strstr(error.message, cases[i].words))
            fail_msg("case %zu: '%s', not '%s'", i, error.message, cases[i].words);
    }
}

static void a_cell_has_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int row, column;
        const char *words;
    } cases[] = {
        {"a,b\nc,dd\n", 1, 1, "t.csv:2:3: error: here"},
        {"\xef\xbb\xbf"
         "a,b\n",
         0, 1, "t.csv:1:3: error: here"},
        {"\"a,1\",b\n", 0, 1, "t.csv:1:7: error: here"},
        {"a,b\r\n\"c\",\"d\"\r\n", 1, 1, "t.csv:2:6: error: here"},
        {"a,b,c\n\"1\"\"\n\"\"2\n3\"\"\"\"4\",5,6\n", 1, 2, "t.csv:4:11: error: here"},
        {"a,b\n\"x\"\"\n\",y\n", 1, 1, "t.csv:3:3: error: here"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dc_csv csv;
        assert_int_equal(read_text(&csv, cases[i].text, strlen(cases[i].text)), DC_OK);
        assert_int_equal(dc_fail_csv(&error, &csv, cases[i].row, cases[i].column, "here"),
                         DC_ERR_DATA);
        if (!strstr(error.message, cases[i].words))
            fail_msg("case %zu: '%s', not '%s'", i, error.message, cases[i].words);
    }
}

static void numbers_are_numbers(void **state)
{
    (void)state;
    static const char *const no[] = {"",     "nan",   "inf", "0x10", "1e999",
                                     "1e39", "1.2.3", "1 2", "-",    "a"};
    static const struct {
        const char *text;
        double value;
    } yes[] = {{"1", 1},  {"-2.5e-3", -0.0025}, {" 3 ", 3},
               {"+4", 4}, {".5", 0.5},          {"3.4028235e38", 3.4028235e38}};
    double value;
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(dc_csv_number(&value, no[i]));
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        assert_true(dc_csv_number(&value, yes[i].text));
        assert_true(value == yes[i].value);
    }
}

static int set_up(void **state)
{
    (void)state;
    return chdir(test_folder()) != 0 || dc_arena_create(&arena, NULL) != DC_OK;
}

static int tear_down(void **state)
{
    (void)state;
    dc_arena_free(arena);
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_as_they_are_meant),
        cmocka_unit_test(what_is_no_table_is_told_with_its_place),
        cmocka_unit_test(a_cell_has_its_place),
        cmocka_unit_test(numbers_are_numbers),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
