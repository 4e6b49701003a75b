// What a run writes down for other programs: metrics.csv beside metrics.jsonl, and the settings
// that made a result in results.json. Python's own readers judge them (judge_records.py).

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"

static struct outcome outcome;
static struct child here;
static char root[512];

static void judge(const char *arguments)
{
    char command[2048];
    snprintf(command, sizeof command, "cd '%s' && python3 '%s/tests/run/judge_records.py' %s", root,
             DECANT_SOURCE_DIR, arguments);
    if (system(command) != 0)
        fail_msg("judge_records.py %s", arguments);
}

static void the_table_says_what_the_lines_say(void **state)
{
    (void)state;
    DECANT(&outcome, &here, "run", "tiny.yaml", "--run", "done", "--set",
           "stages.teacher.parameters.width=7", "--set", "stages.student.seed=9");
    assert_int_equal(outcome.exit_code, 0);
    judge("done");
    // taken away, it comes back with the next start, though nothing else is left to do
    assert_int_equal(remove(test_path("done/metrics.csv")), 0);
    DECANT(&outcome, &here, "run", "tiny.yaml", "--run", "done", "--set",
           "stages.teacher.parameters.width=7", "--set", "stages.student.seed=9");
    assert_int_equal(outcome.exit_code, 0);
    judge("done");
}

// What ends a field or a row, in a name.
static void names_are_quoted(void **state)
{
    (void)state;
    tiny_text(test_path("names.yaml"), "name: names\n"
                                       "data: {source: idx, path: data, validation: 40}\n"
                                       "stages:\n"
                                       "  'a, \"b\"': {model: model.yaml, train: {epochs: 2}}\n");
    DECANT(&outcome, &here, "run", "names.yaml", "--run", "names");
    assert_int_equal(outcome.exit_code, 0);
    judge("names");
}

static void results_hold_what_made_them(void **state)
{
    (void)state;
    judge(
        "done teacher settings.train.learning_rate=0.05 settings.train.epochs=3 settings.seed=3 "
        "model_parameters.width=7 model_parameters.dropout=0.1 'settings.train.optimizer=\"sgd\"' "
        "settings.train.nesterov=true "
        "'command=\"decant run tiny.yaml --run done --set stages.teacher.parameters.width=7 "
        "--set stages.student.seed=9\"'");
    judge("done student settings.seed=9 model_parameters.width=6 "
          "settings.distill.losses.0.kd.temperature=3 settings.distill.losses.0.kd.weight=0.7");
    judge("done quantized settings.quantize.weights=8 settings.train.learning_rate=0.01 "
          "settings.distill.losses.0.kd.temperature=1 "  // the default of a stage that quantizes
          "'settings.from=\"student\"'");
}

// Killed at moments all over a run, and at a full disk: never half a row, and all of it in the end.
static void no_row_is_torn(void **state)
{
    (void)state;
    double seconds = 0.4;
    for (int i = 0; i < 6; i++) {
        const struct child killed = {
            .folder = root, .signal = SIGKILL, .delay = (long)(1e6 * seconds * (i + 1) / 8)};
        DECANT(&outcome, &killed, "run", "tiny.yaml", "--run", "killed");
        judge("--whole killed");
    }
    const struct child full = {.folder = root, .file_limit = 2500};
    DECANT(&outcome, &full, "run", "tiny.yaml", "--run", "killed");
    judge("--whole killed");
    DECANT(&outcome, &here, "run", "tiny.yaml", "--run", "killed");
    assert_int_equal(outcome.exit_code, 0);
    judge("killed");
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", test_folder());
    here.folder = root;
    tiny_files();
    return 0;
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
        cmocka_unit_test(the_table_says_what_the_lines_say),
        cmocka_unit_test(names_are_quoted),
        cmocka_unit_test(results_hold_what_made_them),
        cmocka_unit_test(no_row_is_torn),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
