// `decant compare` on run directories whose accuracies are made up: groups, means and tests against
// numpy's and scipy's figures for the same numbers.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/json.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"

enum { SEEDS = 4 };

static struct outcome outcome;
static char root[512];

static const double teacher[SEEDS] = {0.9, 0.91, 0.92, 0.93};
static const double student[2][SEEDS] = {{0.80, 0.81, 0.79, 0.82}, {0.83, 0.82, 0.80, 0.85}};
static const double floats[2][SEEDS] = {{0.80, 0.80, 0.80, 0.80}, {0.85, 0.85, 0.85, 0.85}};
// integers less floats of group A: 0.003, 0.005, 0.001, 0.004
static const double integers[2][SEEDS] = {{0.803, 0.805, 0.801, 0.804}, {0.84, 0.86, 0.85, 0.85}};

static json_t *accuracy(double value)
{
    return json_pack("{s:f, s:i}", "accuracy", value, "samples", 1000);
}

// A copy of the run whose results are made up; version 1 of that file has no hash.
static void make_run(const char *name, int seed, const char *rate, int group)
{
    char path[600], command[3000];
    snprintf(command, sizeof command,
             "cp -r '%s/run' '%s/%s' && sed -i 's/^seed: .*/seed: %d/; "
             "s/learning_rate: 0\\.05$/learning_rate: %s/' '%s/%s/resolved.yaml'",
             root, root, name, seed, rate, root, name);
    assert_int_equal(system(command), 0);
    const int i = seed - 1;
    json_t *results = json_pack("{s:i, s:s, s:{s:{s:o}, s:{s:o}, s:{s:o, s:o}}}", "version", 1,
                                "experiment", "made up", "stages", "teacher", "float",
                                accuracy(teacher[i]), "student", "float",
                                accuracy(student[group][i]), "quantized", "float",
                                accuracy(floats[group][i]), "int8", accuracy(integers[group][i]));
    snprintf(path, sizeof path, "%s/%s/results.json", root, name);
    assert_int_equal(json_dump_file(results, path, JSON_REAL_PRECISION(9)), 0);
    json_decref(results);
}

static int set_up(void **state)
{
    (void)state;
    char name[16];
    snprintf(root, sizeof root, "%s", test_folder());
    tiny_files();
    const struct child here = {.folder = root};
    DECANT(&outcome, &here, "train", "tiny.yaml", "teacher", "--run", "run");
    if (outcome.exit_code != 0)
        fail_msg("%s", outcome.err);
    for (int seed = 1; seed <= SEEDS; seed++) {
        snprintf(name, sizeof name, "a%d", seed);
        make_run(name, seed, "0.05", 0);
        snprintf(name, sizeof name, "b%d", seed);
        make_run(name, seed, "0.2", 1);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

#define COMPARE(...)                                                                               \
    do {                                                                                           \
        const struct child here = {.folder = root};                                                \
        DECANT(&outcome, &here, "compare", __VA_ARGS__, "--quiet");                                \
        if (outcome.exit_code != 0)                                                                \
            fail_msg("exit %d: %s", outcome.exit_code, outcome.err);                               \
    } while (0)

static json_t *parsed(void)
{
    json_error_t problem;
    json_t *json = json_loads(outcome.out, JSON_REJECT_DUPLICATES, &problem);
    if (!json)
        fail_msg("%s", problem.text);
    return json;
}

static const json_t *find(const json_t *list, const char *key, const char *value, size_t nth)
{
    size_t i;
    const json_t *entry;
    json_array_foreach((json_t *)(uintptr_t)list, i, entry)
    {
        if (strcmp(json_string_value(json_object_get(entry, key)), value) == 0 && nth-- == 0)
            return entry;
    }
    fail_msg("no %s '%s'", key, value);
    return NULL;
}

static void near(const json_t *object, const char *key, double want)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value) || !(fabs(json_number_value(value) - want) < 1e-6))
        fail_msg("%s: %s, not %.9g", key, json_dumps(value, JSON_ENCODE_ANY), want);
}

static void one_group(void **state)
{
    (void)state;
    COMPARE("a1", "a2", "a3", "a4", "--json");
    json_t *c = parsed();
    assert_int_equal(json_array_size(json_object_get(c, "settings")), 0);
    assert_int_equal(json_array_size(json_object_get(c, "between")), 0);
    const json_t *entry = find(json_object_get(c, "measures"), "stage", "teacher", 0);
    assert_int_equal(json_array_size(json_object_get(entry, "groups")), 1);
    const json_t *group = json_array_get(json_object_get(entry, "groups"), 0);
    near(group, "mean", 0.915);                            // numpy
    near(group, "standard_deviation", 0.012909944487358);  // numpy, ddof=1
    near(group, "standard_error", 0.006454972243679);
    // hundredths of the first row of test_statistics.c's t-tests
    entry = find(json_object_get(c, "differences"), "what", "rounding", 0);
    assert_string_equal(json_string_value(json_object_get(entry, "test")), "paired t-test");
    near(entry, "mean", 0.00325);
    near(entry, "standard_deviation", 0.00170782512765993);
    near(entry, "p", 0.0318741951036);
    near(entry, "low", 0.000532469116204);
    near(entry, "high", 0.0059675308838);
    entry = find(json_object_get(c, "differences"), "what", "against the teacher", 0);
    near(entry, "mean", (0.803 + 0.805 + 0.801 + 0.804 - 0.9 - 0.91 - 0.92 - 0.93) / 4.0);
    json_decref(c);
}

// Three seeds: mean and standard error, and no test.
static void few_seeds_are_not_tested(void **state)
{
    (void)state;
    COMPARE("a1", "a2", "a3", "--json");
    json_t *c = parsed();
    const json_t *entry = find(json_object_get(c, "differences"), "what", "rounding", 0);
    near(entry, "mean", 0.003);
    near(entry, "standard_error", 0.001154700538379);
    assert_true(json_is_null(json_object_get(entry, "p")));
    assert_true(json_is_null(json_object_get(entry, "test")));
    json_decref(c);
    COMPARE("a1", "a2", "a3");
    assert_null(strstr(outcome.out, "p ="));
    assert_non_null(strstr(outcome.out, "nothing is tested"));
    for (const char *line = outcome.out; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 80);
}

// Group B has another learning rate: the setting is named, and seeds are paired.
static void two_groups(void **state)
{
    (void)state;
    COMPARE("b3", "a1", "b1", "a2", "a3", "b2", "--json");
    json_t *c = parsed();
    const json_t *settings = json_object_get(c, "settings");
    assert_true(json_array_size(settings) > 0);
    size_t i;
    const json_t *entry;
    json_array_foreach((json_t *)(uintptr_t)settings, i, entry)
    {
        assert_non_null(strstr(json_string_value(json_object_get(entry, "key")), "learning_rate"));
    }
    static const int groups[] = {0, 1, 0, 1, 1, 0};  // the first run's group comes first
    for (i = 0; i < 6; i++)
        assert_int_equal(json_integer_value(json_object_get(
                             json_array_get(json_object_get(c, "runs"), i), "group")),
                         groups[i]);
    entry = find(json_object_get(c, "between"), "stage", "student", 0);
    assert_int_equal(json_integer_value(json_object_get(entry, "runs")), 3);
    near(entry, "mean", (0.80 - 0.83 + 0.81 - 0.82 + 0.79 - 0.80) / 3.0);
    assert_true(json_is_null(json_object_get(entry, "p")));
    json_decref(c);
    COMPARE("a1", "b2", "--json");  // no seed in common: nothing is paired
    c = parsed();
    assert_int_equal(json_array_size(json_object_get(c, "between")), 0);
    json_decref(c);
}

static void a_page(void **state)
{
    (void)state;
    COMPARE("a1", "a2", "b1", "--out", "c.html");
    char *page = tiny_read(test_path("c.html"), NULL);
    assert_non_null(strstr(page, "written by Decant: comparison"));
    assert_non_null(strstr(page, "<th scope=\"row\">quantized, integers, B</th>"));
    assert_non_null(strstr(page, "<td>84.00</td>"));  // of b1 alone in its group
    assert_non_null(strstr(page, "<svg"));
    assert_non_null(strstr(page, "</html>"));
    free(page);
    COMPARE("a1", "a2", "--out", "c.html");
    tiny_text(test_path("mine.html"), "<!doctype html><p>mine");
    const struct child here = {.folder = root};
    DECANT(&outcome, &here, "compare", "a1", "a2", "--out", "mine.html");
    assert_outcome(&outcome, "another's page", 2, (const char *const[4]){"mine.html exists"});
    DECANT(&outcome, &here, "compare", "a1");
    assert_outcome(&outcome, "one run", 2, (const char *const[4]){"usage: decant compare"});
    DECANT(&outcome, &here, "compare", "a1", "nowhere");
    assert_outcome(&outcome, "no run", 2, (const char *const[4]){"nowhere", "not a run directory"});
    DECANT(&outcome, &here, "compare", "a1", "a2", "--out", "no/such/c.html");
    assert_int_equal(outcome.exit_code, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_group),
        cmocka_unit_test(few_seeds_are_not_tested),
        cmocka_unit_test(two_groups),
        cmocka_unit_test(a_page),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
