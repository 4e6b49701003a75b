// The text of error messages, as a user reads it.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/error.h"

static const struct dc_location where = {"experiments/cifar10.yaml", 14, 9, "        temprature: 4",
                                         10};

static void a_message_names_its_place(void **state)
{
    (void)state;
    struct dc_error error;
    assert_int_equal(dc_fail_at(&error, DC_ERR_CONFIG, &where, "did you mean 'temperature'?",
                                "keys here: temperature, weight", "unknown key '%s'", "temprature"),
                     DC_ERR_CONFIG);
    assert_int_equal(error.status, DC_ERR_CONFIG);
    assert_string_equal(error.message,
                        "experiments/cifar10.yaml:14:9: error: unknown key 'temprature'\n"
                        "   14 |         temprature: 4\n"
                        "      |         ^~~~~~~~~~ did you mean 'temperature'?\n"
                        "       keys here: temperature, weight");
}

static void what_is_unknown_is_left_out(void **state)
{
    (void)state;
    struct dc_error error;
    struct dc_location place = where;
    place.excerpt = NULL;
    dc_fail_at(&error, DC_ERR_CONFIG, &place, "a hint", NULL, "wrong");
    assert_string_equal(error.message, "experiments/cifar10.yaml:14:9: error: wrong (a hint)");
    place.line = place.column = 0;
    dc_fail_at(&error, DC_ERR_DATA, &place, NULL, NULL, "empty");
    assert_string_equal(error.message, "experiments/cifar10.yaml: error: empty");
    place = (struct dc_location){NULL, 1, 1, "x", 1};
    dc_fail_at(&error, DC_ERR_CONFIG, &place, NULL, NULL, "wrong");
    assert_string_equal(error.message, "<text>:1:1: error: wrong\n    1 | x\n      | ^");
}

static void the_caret_follows_tabs_and_line_ends(void **state)
{
    (void)state;
    struct dc_error error;
    struct dc_location place = {"a", 3, 3, "\t\tkey", 3};
    dc_fail_at(&error, DC_ERR_CONFIG, &place, NULL, NULL, "wrong");
    assert_string_equal(error.message, "a:3:3: error: wrong\n    3 | \t\tkey\n      | \t\t^~~");
    place = (struct dc_location){"a", 3, 6, "k:", 1};  // behind the end of the line
    dc_fail_at(&error, DC_ERR_CONFIG, &place, NULL, NULL, "wrong");
    assert_string_equal(error.message, "a:3:6: error: wrong\n    3 | k:\n      |      ^");
}

static void context_goes_in_front(void **state)
{
    (void)state;
    struct dc_error error;
    assert_int_equal(dc_fail(&error, DC_ERR_DATA, "%d bytes are missing", 3), DC_ERR_DATA);
    assert_int_equal(dc_context(DC_ERR_DATA, &error, "sample %d", 7), DC_ERR_DATA);
    assert_string_equal(error.message, "sample 7: 3 bytes are missing");
    dc_context(DC_ERR_DATA, &error, "train");
    assert_string_equal(error.message, "train: sample 7: 3 bytes are missing");
    // A place in a user's file leads.
    dc_fail_at(&error, DC_ERR_CONFIG, &where, NULL, NULL, "wrong");
    dc_context(DC_ERR_CONFIG, &error, "stage 'student'");
    assert_ptr_equal(strstr(error.message, "experiments/cifar10.yaml:14:9: error: "),
                     error.message);
}

static enum dc_status step(enum dc_status status, struct dc_error *error)
{
    return status == DC_OK ? DC_OK : dc_fail(error, status, "inner");
}

static enum dc_status steps(enum dc_status first, enum dc_status second, struct dc_error *error)
{
    DC_TRY(step(first, error));
    DC_TRY_IN(step(second, error), error, "step %d", 2);
    return DC_OK;
}

static void failures_are_forwarded(void **state)
{
    (void)state;
    struct dc_error error;
    assert_int_equal(steps(DC_OK, DC_OK, &error), DC_OK);
    assert_int_equal(steps(DC_ERR_IO, DC_OK, &error), DC_ERR_IO);
    assert_string_equal(error.message, "inner");
    assert_int_equal(steps(DC_OK, DC_ERR_NUMERIC, &error), DC_ERR_NUMERIC);
    assert_string_equal(error.message, "step 2: inner");
    assert_int_equal(steps(DC_OK, DC_ERR_NUMERIC, NULL), DC_ERR_NUMERIC);
    assert_int_equal(dc_fail_at(NULL, DC_ERR_CONFIG, &where, NULL, NULL, "x"), DC_ERR_CONFIG);
}

// What does not fit is cut; nothing is written behind the buffer.
static void long_messages_are_cut(void **state)
{
    (void)state;
    static struct {
        struct dc_error error;
        char guard[16];
    } room;
    static char text[3 * DC_ERROR_BYTES];
    memset(room.guard, 'g', sizeof room.guard);
    memset(text, 'x', sizeof text - 1);
    struct dc_location place = where;
    dc_fail(&room.error, DC_ERR_DATA, "%s", text);
    assert_int_equal(strlen(room.error.message), DC_ERROR_BYTES - 1);
    for (int i = 0; i < 20; i++)
        dc_context(DC_ERR_DATA, &room.error, "%s", text);
    assert_int_equal(strlen(room.error.message), DC_ERROR_BYTES - 1);
    dc_fail_at(&room.error, DC_ERR_DATA, &place, text, text, "%s", text);
    assert_int_equal(strlen(room.error.message), DC_ERROR_BYTES - 1);
    place.excerpt = text;
    place.column = place.marked = 2 * DC_ERROR_BYTES;
    dc_fail_at(&room.error, DC_ERR_DATA, &place, text, text, "short");
    assert_int_equal(strlen(room.error.message), DC_ERROR_BYTES - 1);
    for (size_t i = 0; i < sizeof room.guard; i++)
        assert_int_equal(room.guard[i], 'g');
}

static void exit_codes_are_the_documented_ones(void **state)
{
    (void)state;
    const int codes[DC_STATUS_COUNT] = {0, 2, 2, 1, 1, 1, 1, 3, 4, 85, 1};
    for (int i = 0; i < DC_STATUS_COUNT; i++)
        assert_int_equal(dc_exit_code((enum dc_status)i), codes[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_names_its_place),
        cmocka_unit_test(what_is_unknown_is_left_out),
        cmocka_unit_test(the_caret_follows_tabs_and_line_ends),
        cmocka_unit_test(context_goes_in_front),
        cmocka_unit_test(failures_are_forwarded),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(exit_codes_are_the_documented_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
