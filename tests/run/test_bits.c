// A run gives the same bytes with any number of threads, more than there are cores too, however its
// loader works ahead, and stopped at every step. Float, distilled, quantized, and quantized and
// distilled stages, on every instruction set. DECANT_EXHAUSTIVE: at least 100 steps a stage.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
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

enum { OVERRIDES = 8 };

struct variant {
    const char *name;
    int threads;
    enum dc_isa isa;
    const char *overrides[OVERRIDES];
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
    while (options.override_count < OVERRIDES && v->overrides[options.override_count])
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

// What must not shape a result, the first row being what the others are compared with.
static const struct {
    int threads;
    const char *depth, *loaders;
} ways[] = {
    {1, "data.loader_depth=1", "data.loader_threads=1"},
    {2, "data.loader_depth=8", "data.loader_threads=2"},
    {3, "data.loader_depth=8", "data.loader_threads=1"},
    {4, "data.loader_depth=2", "data.loader_threads=4"},
    {7, "data.loader_depth=3", "data.loader_threads=3"},
};
enum { WAYS = sizeof ways / sizeof ways[0] };

// more: overrides of the series, NULL behind the last.
static void every_way_gives_the_same_bytes(const char *series, const char *const *more)
{
    for (int isa = 0; isa <= (int)dc_isa_detected(); isa++) {
        char names[WAYS][64];
        struct variant variants[WAYS];
        for (int i = 0; i < WAYS; i++) {
            snprintf(names[i], sizeof names[i], "%s-%s-%d", series, dc_isa_name((enum dc_isa)isa),
                     ways[i].threads);
            variants[i] = (struct variant){names[i],
                                           ways[i].threads,
                                           (enum dc_isa)isa,
                                           {ways[i].depth, ways[i].loaders},
                                           false};
            for (int k = 0; more[k]; k++)
                variants[i].overrides[2 + k] = more[k];
            carry_out(&variants[i]);
            assert_same(&variants[0], &variants[i]);
        }
    }
}

// 27 steps a stage (15 of the student, who accumulates two batches); exhaustively 180 and 100.
static const char *teacher_epochs(void)
{
    return getenv("DECANT_EXHAUSTIVE") ? "stages.teacher.train.epochs=20"
                                       : "stages.teacher.train.epochs=3";
}

static const char *student_epochs(void)
{
    return getenv("DECANT_EXHAUSTIVE") ? "stages.student.train.epochs=20"
                                       : "stages.student.train.epochs=3";
}

// Stages of tiny.yaml: float, distilled, quantized and distilled; 6 to 18 channels.
static void threads_and_loader_change_no_bit(void **state)
{
    (void)state;
    const char *const more[] = {teacher_epochs(), student_epochs(), NULL};
    every_way_gives_the_same_bytes("kd", more);
}

// The quantized stage follows the teacher, so it has labels alone; channels fill whole panels.
static void quantized_without_a_teacher_too(void **state)
{
    (void)state;
    const char *const more[] = {teacher_epochs(), student_epochs(),
                                "stages.teacher.parameters={width: 16}",
                                "stages.quantized.from=teacher", NULL};
    every_way_gives_the_same_bytes("qat", more);
}

// Learned scales of 4-bit weights and activations, from a histogram's ranges, and weights that are
// followed and frozen.
static void learned_scales_too(void **state)
{
    (void)state;
    const char *const more[] = {
        teacher_epochs(), student_epochs(),
        "stages.quantized.quantize={observer: mse, weights: 4, activations: 4, "
        "weight_scale: learned, activation_scale: learned, "
        "oscillation: {momentum: 0.2, dampening: 0.001, threshold: 0.1, freeze_start: 0}}"};
    struct variant one = {"lsq-1", 1, dc_isa_detected(), {more[0], more[1], more[2]}, false};
    struct variant three = {"lsq-3", 3, dc_isa_detected(), {more[0], more[1], more[2]}, false};
    carry_out(&one);
    carry_out(&three);
    assert_same(&one, &three);
    char *results = tiny_read(test_path("lsq-1/results.json"), NULL);
    assert_true(results && strstr(results, "\"oscillating\"") && strstr(results, "\"frozen\""));
    free(results);
}

// What is measured and changed without training.
static void calibration_alone_too(void **state)
{
    (void)state;
    const char *const more[] = {teacher_epochs(), "stages.quantized.train=''",
                                "stages.quantized.quantize={equalize: 2, power_of_two: true, "
                                "correct_bias: true, observer: entropy}"};
    struct variant one = {"ptq-1", 1, dc_isa_detected(), {more[0], more[1], more[2]}, false};
    struct variant three = {"ptq-3", 3, dc_isa_detected(), {more[0], more[1], more[2]}, false};
    char where[256] = "";
    carry_out(&one);
    carry_out(&three);
    if (!tiny_same_arrays(test_path("ptq-1/checkpoints/quantized/final.h5"),
                          test_path("ptq-3/checkpoints/quantized/final.h5"), where))
        fail_msg("%s differs", where);
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
        cmocka_unit_test(quantized_without_a_teacher_too),
        cmocka_unit_test(mixup_and_adamw_too),
        cmocka_unit_test(learned_scales_too),
        cmocka_unit_test(calibration_alone_too),
        cmocka_unit_test(stopped_at_every_step),
        cmocka_unit_test(another_seed_differs),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
