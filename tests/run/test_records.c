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

static void refused(const char *text, const char *const *arguments)
{
    run_decant(&outcome, &here, arguments);
    assert_int_equal(outcome.exit_code, 2);
    assert_string_equal(outcome.out, "");
    if (!strstr(outcome.err, text))
        fail_msg("no '%s' in: %s", text, outcome.err);
}

#define REFUSED(text, ...) refused((text), (const char *const[]){__VA_ARGS__, NULL})

// Each run of a sweep is the run that its seed alone gives, bit for bit, also after a kill.
static void seeds_are_a_run_each(void **state)
{
    (void)state;
    for (int i = 1; i <= 3; i++) {
        const struct child killed = {.folder = root, .signal = SIGKILL, .delay = 120000 * i};
        DECANT(&outcome, &killed, "run", "tiny.yaml", "--run", "swept", "--set", "seeds=[4, 7, 2]");
    }
    DECANT(&outcome, &here, "run", "tiny.yaml", "--run", "swept", "--set", "seeds=[4, 7, 2]");
    assert_int_equal(outcome.exit_code, 0);
    assert_non_null(strstr(outcome.out, "means and their standard errors over seeds 4, 7, 2\n"));
    DECANT(&outcome, &here, "run", "tiny.yaml", "--run", "seven", "--set", "seed=7");
    assert_int_equal(outcome.exit_code, 0);
    assert_true(tiny_same_runs(test_path("swept/seed-7"), test_path("seven")));
    judge("--sweep swept");
    judge("swept/seed-2");
    // one seed has no standard error
    DECANT(&outcome, &here, "run", "tiny.yaml", "--run", "single", "--set", "seeds=[3]");
    assert_int_equal(outcome.exit_code, 0);
    assert_null(strstr(outcome.out, "+-"));
    judge("--sweep single");
}

static void sweeps_and_runs_are_kept_apart(void **state)
{
    (void)state;
    REFUSED("swept is a sweep over seeds; name one of its runs: swept/seed-4", "eval", "swept");
    REFUSED("swept holds a sweep over seeds", "run", "tiny.yaml", "--run", "swept");
    REFUSED("seven holds a run of one seed", "run", "tiny.yaml", "--run", "seven", "--set",
            "seeds=[1, 2]");
    REFUSED("which decant run carries out", "train", "tiny.yaml", "teacher", "--set",
            "seeds=[1, 2]");
    REFUSED("a cache holds the outputs of one teacher", "check", "tiny.yaml", "--set",
            "seeds=[1, 2]", "--set", "stages.student.distill.cache={path: cache}");
    REFUSED("seed 2 stands here twice", "check", "tiny.yaml", "--set", "seeds=[2, 1, 2]");
    REFUSED("'seeds' must be a whole number", "check", "tiny.yaml", "--set", "seeds=[1.5]");
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
        cmocka_unit_test(seeds_are_a_run_each),
        cmocka_unit_test(sweeps_and_runs_are_kept_apart),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
