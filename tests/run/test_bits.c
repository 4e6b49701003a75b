// A run gives the same bytes with any number of threads, however its loader works ahead, and
// stopped at every step. Float, distilled and quantized stages, on every instruction set.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "run/run.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"

static volatile sig_atomic_t stop;

static void stop_at_every_step(void *user, const struct dc_progress *progress)
{
    (void)user;
    stop = !progress->epoch_done;
}

struct variant {
    const char *name;
    int threads;
    enum dc_isa isa;
    const char *overrides[4];
    bool stops;
};

static enum dc_status start(const struct variant *v, const char *directory, struct dc_error *error)
{
    struct dc_run_options options = {
        .experiment = test_path("tiny.yaml"),
        .overrides = v->overrides,
        .directory = directory,
        .context = {.threads = v->threads, .isa = v->isa, .isa_given = true},
    };
    while (options.override_count < 4 && v->overrides[options.override_count])
        options.override_count++;
    if (v->stops) {
        options.context.stop = &stop;
        options.hooks.progress = stop_at_every_step;
    }
    struct dc_run *run = NULL;
    stop = 0;
    enum dc_status status = dc_run_open(&run, &options, error);
    if (status == DC_OK)
        status = dc_run_all(run, error);
    dc_run_close(run);
    return status;
}

// Carries the variant out in a directory of its name; returns how often it had to be started.
static int carry_out(const struct variant *v)
{
    struct dc_error error = {0};
    int starts = 1;
    char directory[512];
    snprintf(directory, sizeof directory, "%s", test_path(v->name));
    enum dc_status status;
    while ((status = start(v, directory, &error)) == DC_ERR_STOPPED)
        starts++;
    if (status != DC_OK)
        fail_msg("%s: %s", v->name, error.message);
    return starts;
}

static void assert_same(const struct variant *a, const struct variant *b)
{
    if (!tiny_same_runs(test_path(a->name), test_path(b->name)))
        fail_msg("%s and %s differ", a->name, b->name);
}

static void threads_and_loader_change_no_bit(void **state)
{
    (void)state;
    for (int isa = 0; isa <= (int)dc_isa_detected(); isa++) {
        char names[3][64];
        for (int i = 0; i < 3; i++)
            snprintf(names[i], sizeof names[i], "%s-%d", dc_isa_name((enum dc_isa)isa), i + 1);
        const struct variant variants[] = {
            {names[0], 1, (enum dc_isa)isa, {"data.loader_depth=1"}, false},
            {names[1],
             2,
             (enum dc_isa)isa,
             {"data.loader_depth=8", "data.loader_threads=2"},
             false},
            {names[2], 3, (enum dc_isa)isa, {"data.loader_depth=8"}, false},
        };
        for (int i = 0; i < 3; i++) {
            carry_out(&variants[i]);
            assert_same(&variants[0], &variants[i]);
        }
    }
}

static void mixup_and_adamw_too(void **state)
{
    (void)state;
    const char *const more[] = {"data.augment=[flip, shift: {pixels: 2}, mixup: {alpha: 0.4}]",
                                "stages.teacher.train.optimizer=adamw",
                                "stages.teacher.train.learning_rate=0.01", "data.loader_threads=2"};
    struct variant one = {"mixup-1", 1, dc_isa_detected(), {more[0], more[1], more[2]}, false};
    struct variant three = {
        "mixup-3", 3, dc_isa_detected(), {more[0], more[1], more[2], more[3]}, false};
    carry_out(&one);
    carry_out(&three);
    assert_same(&one, &three);
}

static void stopped_at_every_step(void **state)
{
    (void)state;
    const struct variant whole = {"whole", 2, dc_isa_detected(), {NULL}, false};
    const struct variant pieces = {"pieces", 2, dc_isa_detected(), {NULL}, true};
    assert_int_equal(carry_out(&whole), 1);
    // 9 steps an epoch of the teacher and of QAT; 5 of the student, who accumulates 2 batches
    assert_int_equal(carry_out(&pieces), 1 + 3 * 9 + 3 * 5 + 3 * 9);
    assert_same(&whole, &pieces);
}

// The comparison must be able to fail.
static void another_seed_differs(void **state)
{
    (void)state;
    const struct variant one = {"seed-3", 1, dc_isa_detected(), {NULL}, false};
    const struct variant other = {"seed-4", 1, dc_isa_detected(), {"seed=4"}, false};
    char a[512], b[512];
    carry_out(&one);
    carry_out(&other);
    snprintf(a, sizeof a, "%s/checkpoints/student/final.h5", test_path(one.name));
    snprintf(b, sizeof b, "%s/checkpoints/student/final.h5", test_path(other.name));
    assert_true(tiny_same_arrays(a, a, NULL));
    assert_false(tiny_same_arrays(a, b, NULL));
}

static int set_up(void **state)
{
    (void)state;
    test_folder();
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
        cmocka_unit_test(threads_and_loader_change_no_bit),
        cmocka_unit_test(mixup_and_adamw_too),
        cmocka_unit_test(stopped_at_every_step),
        cmocka_unit_test(another_seed_differs),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
