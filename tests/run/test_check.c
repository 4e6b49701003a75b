// What `decant check` knows without data: networks that cannot share the data, layers without
// integers, budgets by the measure of the export, settings that do nothing. Each case is the tiny
// experiment with some keys set; the message names the place.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <cmocka.h>

#include "core/file.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"

static struct outcome outcome;
static char root[512];

enum { SETS = 3 };

struct check_case {
    const char *name;
    const char *sets[SETS];  // KEY=VALUE; NULL behind the last
    int exit_code;
    const char *words[OUTCOME_WORDS];
};

static const struct check_case cases[] = {
    // what nobody can mean
    {"no losses",
     {"stages.student.distill.losses=[]"},
     2,
     {"stages.student.distill.losses:1:1: error:", "has no loss", "nothing would be learned"}},
    {"losses without weight",
     {"stages.student.distill.losses=[kd: {weight: 0}, label: {weight: 0}]"},
     2,
     {"error:", "no loss with a weight above 0"}},
    {"a loss that ends before it starts",
     {"stages.student.distill.losses=[kd: {start_epoch: 2, end_epoch: 1}, label]"},
     2,
     {"error:", "loss 'kd' ends before epoch 1 and starts at 2"}},
    {"an empty interval",
     {"stages.student.distill.losses=[kd: {start_epoch: 1, end_epoch: 1}, label]"},
     2,
     {"error:", "ends before epoch 1 and starts at 1"}},
    {"all layers frozen",
     {"stages.student.train.freeze=['*']"},
     2,
     {"stages.student.train.freeze:1:", "freezes all that it could train"}},
    {"all layers frozen, one by one",
     {"stages.student.train.freeze=[stem*, depthwise*, pointwise*, logits]"},
     2,
     {"freezes all that it could train"}},
    {"milestones that fall",
     {"stages.teacher.train.schedule=multi_step", "stages.teacher.train.milestones=[2, 1]"},
     2,
     {"stages.teacher.train.milestones:1:", "milestones rise, and 1 follows 2"}},
    {"a milestone twice",
     {"stages.teacher.train.schedule=multi_step", "stages.teacher.train.milestones=[1, 1]"},
     2,
     {"milestones rise"}},
    {"multi_step without milestones",
     {"stages.teacher.train.schedule=multi_step"},
     2,
     {"needs milestones"}},
    {"a temperature of 0",
     {"stages.student.distill.losses=[kd: {temperature: 0}]"},
     2,
     {"error:", "'temperature' must be in [1e-06, 10000], not 0"}},
    {"a key of another loss",
     {"stages.student.distill.losses=[kd: {gamma: 1}]"},
     2,
     {"error: unknown key 'gamma' in loss 'kd'",
      "keys here: weight, start_epoch, end_epoch, ramp_epochs, temperature\n"}},
    {"a loss that is none",
     {"stages.student.distill.losses=[hints]"},
     2,
     {"error: unknown key 'hints' in the list of losses", "did you mean 'hint'?"}},
    {"a loss on layers without layers",
     {"stages.student.distill.losses=[hint: {student: pool}]"},
     2,
     {"error:", "loss 'hint' lacks the key 'teacher'"}},
    // what may be meant, and is told
    {"momentum under adamw",
     {"stages.teacher.train.optimizer=adamw", "stages.teacher.train.momentum=0.8"},
     0,
     {"warning: ", "'momentum' has no effect, it works with optimizer sgd"}},
    {"beta under sgd", {"stages.teacher.train.beta1=0.8"}, 0, {"'beta1' has no effect"}},
    {"milestones under cosine",
     {"stages.teacher.train.milestones=[1, 2]"},
     0,
     {"'milestones' has no effect, it works with schedule multi_step"}},
    {"smoothing of squared errors",
     {"stages.teacher.train.loss=mean_squared_error", "stages.teacher.train.label_smoothing=0.1"},
     0,
     {"'label_smoothing' has no effect"}},
    {"a percentile of no observer",
     {"stages.quantized.quantize.percentile=0.99"},
     0,
     {"'percentile' has no effect, it works with observer percentile"}},
    {"a warm-up longer than training",
     {"stages.teacher.train.warmup_epochs=3"},
     0,
     {"the warm-up of 3 epochs is not over in 3"}},
    {"a milestone behind the end",
     {"stages.teacher.train.schedule=multi_step", "stages.teacher.train.milestones=[1, 9]"},
     0,
     {"the milestone 9 lies behind the last of 3 epochs"}},
    {"one loss without weight",
     {"stages.student.distill.losses=[kd, label: {weight: 0}]"},
     0,
     {"loss 'label' has weight 0 and no effect"}},
    {"a loss that never starts",
     {"stages.student.distill.losses=[kd: {start_epoch: 5}, label]"},
     0,
     {"loss 'kd' starts at epoch 5 and has no effect in 3 epochs"}},
    {"a ramp longer than training",
     {"stages.student.distill.losses=[kd: {ramp_epochs: 5}, label]"},
     0,
     {"loss 'kd' does not reach its weight"}},
    {"smoothing of labels that are not learned",
     {"stages.student.distill.losses=[kd]", "stages.student.train.label_smoothing=0.1"},
     0,
     {"'label_smoothing' has no effect, it works with loss 'label'"}},
    {"observers frozen after the end",
     {"stages.quantized.quantize.freeze_observers_epoch=50"},
     0,
     {"'freeze_observers_epoch' 50 lies behind the last of"}},
    {"a rate of 0", {"stages.teacher.train.learning_rate=0"}, 0, {"no weight changes"}},
    {"no epochs", {"stages.teacher.train.epochs=0"}, 0, {"trains 0 epochs"}},
    // networks that cannot read the same data
    {"a teacher of other samples",
     {"stages.teacher.model=other.yaml", "stages.teacher.parameters={}"},
     2,
     {"case.yaml:15:12: error:", "stage 'student' reads samples of [12, 12, 1], stage 'teacher' of "
                                 "[14, 14, 1]"}},
    {"a teacher of other classes",
     {"stages.teacher.parameters={width: 9, classes: 5}"},
     2,
     {"case.yaml:15:12: error:", "stage 'student' ends in 4 classes, stage 'teacher' in 5"}},
    {"other classes than the data is said to have",
     {"data.classes=7"},
     2,
     {"stage 'teacher' ends in 4 classes, and the data has 7", "parameters: {classes: 7}"}},
    {"a peer of other samples",
     {"stages.student.distill={peers: [other.yaml], losses: [kd, label]}"},
     2,
     {"reads other samples"}},
    // layers of losses
    {"an unknown layer of the student",
     {"stages.student.distill.losses=[hint: {student: stem_rely, teacher: stem_relu}]"},
     2,
     {"stages.student.distill.losses:1:18: error:", "the student has no layer 'stem_rely'",
      "did you mean 'stem_relu'"}},
    {"an unknown layer of the teacher",
     {"stages.student.distill.losses=[hint: {student: stem_relu, teacher: block9}]"},
     2,
     {"error:", "the teacher has no layer 'block9'"}},
    {"layers that do not pair",
     {"stages.student.distill.losses=[hint: {student: [stem_relu, pool], teacher: pool}]"},
     2,
     {"error:", "as many layers of the student as of the teacher, not 2 and 1"}},
    // soft-target caches
    {"a cache in a file",
     {"stages.student.distill.cache={path: other.yaml}"},
     2,
     {"stage 'student'", "other.yaml"}},
    {"a cache among the user's files",
     {"stages.student.distill.cache={path: .}"},
     2,
     {"error: stage 'student'", "is neither a soft-target cache nor empty"}},
    {"a cache in the run", {"stages.student.distill.cache={path: ''}"}, 0, {NULL}},
    {"a cache to be made", {"stages.student.distill.cache={path: new}"}, 0, {NULL}},
    // integers
    {"a grouped convolution",
     {"stages.teacher.model=grouped.yaml", "stages.student.model=grouped.yaml",
      "stages.teacher.parameters={}"},
     2,
     {"case.yaml:20:5: error: stage 'quantized'", "grouped"}},
    {"RAM", {"target=ram.yaml"}, 3, {"error: stage 'quantized'", "target small has 100"}},
    {"flash", {"target=flash.yaml"}, 3, {"error: stage 'quantized'", "target small has 100"}},
    {"what would fit",
     {"target=width.yaml"},
     3,
     {"width.yaml:3:8", "it would fit with parameters: {width:"}},
    {"multiplications", {"target=macs.yaml"}, 3, {"multiplications, and target small has 100"}},
};

static void run_check(const char *const *sets)
{
    const struct child here = {.folder = root};
    const char *arguments[2 + 2 * SETS + 1] = {"check", "case.yaml"};
    int count = 2;
    for (int i = 0; i < SETS && sets[i]; i++) {
        arguments[count++] = "--set";
        arguments[count++] = sets[i];
    }
    run_decant(&outcome, &here, arguments);
}

static void what_check_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run_check(cases[i].sets);
        assert_outcome(&outcome, cases[i].name, cases[i].exit_code, cases[i].words);
    }
}

static void nothing_is_said_of_what_works(void **state)
{
    (void)state;
    run_check((const char *const[SETS]){NULL});
    assert_int_equal(outcome.exit_code, 0);
    assert_string_equal(outcome.err, "");
}

static void a_run_is_not_its_own_cache(void **state)
{
    (void)state;
    const struct child here = {.folder = root};
    DECANT(&outcome, &here, "run", "case.yaml", "--run", "itself", "--set",
           "stages.student.distill.cache={path: itself}");
    assert_outcome(&outcome, "a run as cache", 2,
                   (const char *const[OUTCOME_WORDS]){"the cache would lie in the run's own"});
    assert_false(dc_file_exists(test_path("itself")));
}

// A stage's cost as check counts it is that of the manifest, in every byte.
static void budgets_have_one_measure(void **state)
{
    (void)state;
    const struct child here = {.folder = root};
    DECANT(&outcome, &here, "check", "export.yaml", "--json");
    assert_int_equal(outcome.exit_code, 0);
    json_t *checked = json_loads(outcome.out, 0, NULL);
    assert_non_null(checked);
    DECANT(&outcome, &here, "run", "export.yaml", "--run", "run", "--quiet");
    assert_int_equal(outcome.exit_code, 0);
    json_t *results = json_load_file(test_path("run/results.json"), 0, NULL);
    assert_non_null(results);
    const json_t *stage = json_object_get(checked, "quantized");
    const json_t *done = json_object_get(results, "stages");
    const json_t *cost = json_object_get(json_object_get(done, "int8"), "cost");
    const json_int_t flash = json_integer_value(json_object_get(cost, "weight_bytes")) +
                             json_integer_value(json_object_get(cost, "bias_bytes")) +
                             json_integer_value(json_object_get(cost, "rescale_bytes"));
    const json_t *memory = json_object_get(json_object_get(done, "int8"), "memory");
    const json_int_t ram = json_integer_value(json_object_get(stage, "ram_bytes"));
    const json_int_t whole = json_integer_value(json_object_get(stage, "flash_bytes"));
    const json_int_t arena = json_integer_value(json_object_get(cost, "arena_bytes"));
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(stage, "ram"), "activations")), arena);
    assert_true(ram >= arena + TINY_SIDE * TINY_SIDE + TINY_CLASSES && whole > flash);
    const double used = (double)json_integer_value(json_object_get(memory, "flash_bytes"));
    assert_true((double)whole < 1.1 * used && (double)whole > 0.9 * used);
    assert_true(strcmp(json_string_value(json_object_get(memory, "by")),
                       system("command -v arm-none-eabi-gcc >/dev/null") ? "estimate" : "linker") ==
                0);
    assert_true(flash > 0);
    assert_int_equal(json_integer_value(json_object_get(stage, "weight_bytes")), flash);
    stage = json_object_get(done, "quantized");
    assert_int_equal(json_integer_value(json_object_get(stage, "flash_bytes")), whole);
    assert_int_equal(json_integer_value(json_object_get(stage, "weight_bytes")), flash);
    assert_int_equal(json_integer_value(json_object_get(stage, "ram_bytes")), ram);
    json_decref(checked);
    json_decref(results);
}

static int set_up(void **state)
{
    (void)state;
    test_folder();
    tiny_files();
    snprintf(root, sizeof root, "%s", test_path(""));
    char *text = tiny_read(test_path("tiny.yaml"), NULL);
    tiny_text(test_path("case.yaml"), text);
    free(text);
    tiny_text(test_path("other.yaml"), "name: other\ninput: [14, 14, 1]\nlayers:\n  - flatten\n"
                                       "  - dense: {units: 4}\n");
    tiny_text(test_path("grouped.yaml"),
              "name: grouped\ninput: [12, 12, 1]\nlayers:\n"
              "  - conv: {filters: 4, kernel: 3}\n"
              "  - conv: {name: grouped, filters: 8, kernel: 3, groups: 2}\n"
              "  - global_average_pool\n  - flatten\n  - dense: {units: 4}\n");
    tiny_text(test_path("ram.yaml"), "name: small\nprofile: tflm\nram: 100\n");
    tiny_text(test_path("flash.yaml"), "name: small\nprofile: tflm\nflash: 100\n");
    tiny_text(test_path("width.yaml"), "name: small\nprofile: tflm\nflash: 6500\n");
    tiny_text(test_path("macs.yaml"), "name: small\nprofile: tflm\nmacs: 100\n");
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
        cmocka_unit_test(what_check_says),
        cmocka_unit_test(nothing_is_said_of_what_works),
        cmocka_unit_test(a_run_is_not_its_own_cache),
        cmocka_unit_test(budgets_have_one_measure),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
