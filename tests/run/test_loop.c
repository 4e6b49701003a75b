// What the keys of a stage do: patience, keep, init_from, freeze, factors, inheritance; and what a
// second start does.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "run/network.h"
#include "run/run.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "train/checkpoint.h"

enum { OVERRIDES = 8 };

static char said[1024];  // stages and what was said of them

static void note_stage(void *user, const struct dc_stage *stage, const char *what)
{
    (void)user;
    const size_t used = strlen(said);
    if (strncmp(what, "tests", 5) == 0 || strncmp(what, "calibrates", 10) == 0)
        return;  // what a stage does on the way
    snprintf(said + used, sizeof said - used, "%s %.*s; ", stage->name, (int)strcspn(what, ";"),
             what);  // without what it reached
}

static enum dc_status start(struct dc_run **run, const char *directory,
                            const char *const overrides[OVERRIDES], struct dc_error *error)
{
    struct dc_run_options options = {
        .experiment = test_path("tiny.yaml"),
        .overrides = overrides,
        .directory = test_path(directory),
        .context = {.threads = 2},
        .hooks = {.stage = note_stage},
    };
    while (options.override_count < OVERRIDES && overrides[options.override_count])
        options.override_count++;
    said[0] = '\0';
    return dc_run_open(run, &options, error);
}

// Carries out the stages up to `last` (NULL: all). The caller closes.
static struct dc_run *carry_out(const char *directory, const char *last,
                                const char *const overrides[OVERRIDES])
{
    struct dc_error error = {0};
    struct dc_run *run = NULL;
    enum dc_status status = start(&run, directory, overrides, &error);
    for (int i = 0; last && status == DC_OK && i < run->experiment->stage_count; i++) {
        status = dc_run_stage(run, &run->experiment->stages[i], &error);
        if (strcmp(run->experiment->stages[i].name, last) == 0)
            break;
    }
    if (!last && status == DC_OK)
        status = dc_run_all(run, &error);
    if (status != DC_OK)
        fail_msg("%s: %s", directory, error.message);
    return run;
}

static const json_t *result(const struct dc_run *run, const char *stage, const char *key)
{
    const json_t *stages = json_object_get(run->results, "stages");
    return json_object_get(json_object_get(stages, stage), key);
}

// The weights of a stage, or with `checkpoint` a group of a checkpoint's: one slice, in out.
static void read_slice(float *out, int64_t count, const char *directory, const char *file,
                       const char *name)
{
    struct dc_error error = {0};
    struct dc_h5 *h5 = NULL;
    char path[512];
    enum dc_dtype dtype = DC_F32;
    struct dc_shape shape = {0};
    snprintf(path, sizeof path, "%s/checkpoints/%s", test_path(directory), file);
    if (dc_h5_open(&h5, path, &error) != DC_OK ||
        dc_h5_describe(h5, name, &dtype, &shape, &error) != DC_OK)
        fail_msg("%s", error.message);
    assert_int_equal(dc_shape_count(&shape), count);
    const struct dc_tensor tensor = {out, DC_F32, shape};
    assert_int_equal(dc_h5_read(h5, name, &tensor, &error), DC_OK);
    dc_h5_close(h5);
}

// Validation accuracies of a stage, as metrics.jsonl has them; returns their number.
static int validations(double accuracy[64], const char *directory, const char *stage)
{
    char path[512];
    snprintf(path, sizeof path, "%s/metrics.jsonl", test_path(directory));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    int count = 0;
    char line[4096];
    while (fgets(line, sizeof line, file)) {
        json_t *object = json_loads(line, 0, NULL);
        assert_non_null(object);
        if (strcmp(json_string_value(json_object_get(object, "stage")), stage) == 0)
            accuracy[count++] = json_real_value(json_object_get(object, "validation_accuracy"));
        json_decref(object);
    }
    fclose(file);
    return count;
}

// A rate of 0 and no augmentation: no epoch is better than the first.
static void patience_ends_a_stage(void **state)
{
    (void)state;
    const char *const still[OVERRIDES] = {"stages.teacher.train.epochs=9",
                                          "stages.teacher.train.patience=2",
                                          "stages.teacher.train.learning_rate=0",
                                          "stages.teacher.train.average_decay=0",
                                          "data.normalize={mean: [0], deviation: [1]}",
                                          "stages.teacher.parameters.dropout=0"};
    struct dc_run *run = carry_out("patience", "teacher", still);
    double accuracy[64];
    const int64_t epochs = json_integer_value(result(run, "teacher", "epochs"));
    const int64_t best = json_integer_value(result(run, "teacher", "best_epoch"));
    assert_int_equal(validations(accuracy, "patience", "teacher"), epochs);
    // running statistics still move, so that the accuracy may: what counts is the rule
    int expected_best = 0;
    for (int e = 1; e < (int)epochs; e++)
        expected_best = accuracy[e] > accuracy[expected_best] ? e : expected_best;
    assert_int_equal(best, expected_best + 1);
    assert_true(epochs == 9 || epochs == best + 2);
    assert_true(epochs < 9);
    dc_run_close(run);
}

static void best_or_last_is_kept(void **state)
{
    (void)state;
    const char *const best[OVERRIDES] = {"stages.teacher.train.epochs=6"};
    const char *const last[OVERRIDES] = {"stages.teacher.train.epochs=6",
                                         "stages.teacher.train.keep=last"};
    struct dc_run *a = carry_out("best", "teacher", best);
    struct dc_run *b = carry_out("last", "teacher", last);
    float final[72 * 4], average[72 * 4];
    read_slice(final, 72 * 4, "best", "teacher/final.h5", "logits.weight");
    read_slice(average, 72 * 4, "best", "teacher/best.h5", "student/average/logits.weight");
    assert_memory_equal(final, average, sizeof final);  // the moving average is the result
    read_slice(final, 72 * 4, "last", "teacher/final.h5", "logits.weight");
    read_slice(average, 72 * 4, "last", "teacher/last.h5", "student/average/logits.weight");
    assert_memory_equal(final, average, sizeof final);
    // the epochs before are the same, and best.h5 is that of the best epoch
    double accuracy[64];
    assert_int_equal(validations(accuracy, "best", "teacher"), 6);
    int expected = 0;
    for (int e = 1; e < 6; e++)
        expected = accuracy[e] > accuracy[expected] ? e : expected;
    assert_int_equal(json_integer_value(result(a, "teacher", "best_epoch")), expected + 1);
    dc_run_close(a);
    dc_run_close(b);
}

static void frozen_layers_keep_their_bits(void **state)
{
    (void)state;
    const char *const frozen[OVERRIDES] = {
        "stages.student.train.init_from=teacher", "stages.student.parameters.width=9",
        "stages.student.train.freeze=['stem*', depthwise_norm, logits.bias]",
        "stages.student.train.average_decay=0.7", "stages.student.train.keep=last"};
    struct dc_run *run = carry_out("frozen", "student", frozen);
    dc_run_close(run);
    static const struct {
        const char *name;
        int64_t count;
        bool frozen;
    } slices[] = {
        {"stem.weight", 9 * 9, true},       {"stem_norm.gamma", 9, true},
        {"stem_norm.mean", 9, true},        {"stem_norm.variance", 9, true},
        {"depthwise_norm.mean", 9, true},   {"depthwise_norm.beta", 9, true},
        {"logits.bias", 4, true},           {"depthwise.weight", 81, false},
        {"pointwise_norm.mean", 18, false}, {"logits.weight", 72 * 4, false},
    };
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        float before[72 * 4], after[72 * 4];
        read_slice(before, slices[i].count, "frozen", "teacher/final.h5", slices[i].name);
        read_slice(after, slices[i].count, "frozen", "student/final.h5", slices[i].name);
        const bool same = memcmp(before, after, sizeof(float) * (size_t)slices[i].count) == 0;
        if (same != slices[i].frozen)
            fail_msg("%s %s", slices[i].name, same ? "did not move" : "moved");
    }
}

// One step without momentum, decay or average: the change is the rate times the gradient, so a
// factor of the rate is a factor of the change.
static void factors_scale_the_change(void **state)
{
    (void)state;
    const char *overrides[OVERRIDES] = {
        "stages.teacher.train={epochs: 1, batch: 260, momentum: 0, nesterov: false, "
        "weight_decay: 0, schedule: constant, learning_rate: 0.125, average_decay: 0, keep: last}"};
    dc_run_close(carry_out("plain", "teacher", overrides));
    overrides[1] = "stages.teacher.train.learning_rate_factors={'logits*': 0.25, norm: 0.5}";
    dc_run_close(carry_out("factor", "teacher", overrides));
    overrides[1] = "stages.teacher.train.learning_rate=0";
    dc_run_close(carry_out("start", "teacher", overrides));
    static const struct {
        const char *name;
        int64_t count;
        double factor;
    } slices[] = {{"logits.weight", 72 * 4, 0.25},
                  {"pointwise.weight", 9 * 18, 1.0},
                  {"stem_norm.beta", 9, 0.5}};
    for (int i = 0; i < 3; i++) {
        float start_value[72 * 4], plain[72 * 4], factor[72 * 4];
        const int64_t count = slices[i].count;
        read_slice(start_value, count, "start", "teacher/final.h5", slices[i].name);
        read_slice(plain, count, "plain", "teacher/final.h5", slices[i].name);
        read_slice(factor, count, "factor", "teacher/final.h5", slices[i].name);
        double largest = 0.0;
        for (int k = 0; k < (int)count; k++) {
            const double change = (double)plain[k] - (double)start_value[k];
            const double scaled = (double)factor[k] - (double)start_value[k];
            const double expected = slices[i].factor * change;
            assert_true(fabs(scaled - expected) <= 2e-7 * fabs((double)plain[k]) + 2e-7);
            largest = fabs(change) > largest ? fabs(change) : largest;
        }
        assert_true(largest > 1e-4);
    }
}

static void init_from_starts_there(void **state)
{
    (void)state;
    char given[600], file[512];
    dc_run_close(carry_out("donor", "teacher", (const char *const[OVERRIDES]){NULL}));
    snprintf(file, sizeof file, "%s/checkpoints/teacher/final.h5", test_path("donor"));
    snprintf(given, sizeof given, "stages.teacher.train.init_from='%s'", file);
    const char *const still[OVERRIDES] = {given, "stages.teacher.train.epochs=0"};
    dc_run_close(carry_out("heir", "teacher", still));
    char other[512], where[256];
    snprintf(other, sizeof other, "%s/checkpoints/teacher/final.h5", test_path("heir"));
    if (!tiny_same_arrays(file, other, where))
        fail_msg("differs: %s", where);
}

static void a_second_start_skips_what_is_done(void **state)
{
    (void)state;
    struct dc_error error = {0};
    dc_run_close(carry_out("twice", NULL, (const char *const[OVERRIDES]){NULL}));
    assert_string_equal(said, "teacher starts; teacher done; student starts; student done; "
                              "quantized starts; quantized done; ");
    char data[512], hidden[512];
    snprintf(data, sizeof data, "%s", test_path("data"));
    snprintf(hidden, sizeof hidden, "%s", test_path("hidden"));
    assert_int_equal(rename(data, hidden), 0);  // nothing is read
    struct dc_run *run = carry_out("twice", NULL, (const char *const[OVERRIDES]){NULL});
    assert_null(run->train_source);
    dc_run_close(run);
    assert_int_equal(rename(hidden, data), 0);
    assert_string_equal(said, "teacher done before; student done before; quantized done before; ");
    // a changed stage is refused, one that was not done yet is not
    const char *const changed[OVERRIDES] = {"stages.student.train.learning_rate=0.04"};
    assert_int_equal(start(&run, "twice", changed, &error), DC_ERR_CONFIG);
    assert_non_null(strstr(error.message, "stage 'student' was done with other settings"));
    assert_non_null(strstr(error.message, "'learning_rate: 0.05' then, 'learning_rate: 0.04' now"));
    dc_run_close(carry_out("half", "teacher", (const char *const[OVERRIDES]){NULL}));
    dc_run_close(carry_out("half", NULL, changed));
    assert_string_equal(said, "teacher done before; student starts; student done; "
                              "quantized starts; quantized done; ");
}

// Resuming a stage takes out its own lines past its checkpoint and a line that was cut off, and
// leaves those of other stages, whatever their epochs.
static void metrics_of_other_stages_stay(void **state)
{
    (void)state;
    static const char *const one[OVERRIDES] = {"stages.teacher.train.epochs=1"};
    static const char late[] = "{\"stage\":\"teacher\",\"epoch\":2}\n";
    static const char torn[] = "{\"stage\":\"tea";
    char path[512], before[512];
    dc_run_close(carry_out("lines", NULL, one));
    snprintf(path, sizeof path, "%s/metrics.jsonl", test_path("lines"));
    snprintf(before, sizeof before, "%s", test_path("metrics-before"));
    size_t size = 0;
    char *text = tiny_read(path, &size), *longer = malloc(size + 100);
    test_write(before, text, size);
    sprintf(longer, "%s%s%s", text, late, torn);
    tiny_text(path, longer);
    assert_false(tiny_same_metrics(before, path));
    free(longer);
    free(text);
    char results[512];
    snprintf(results, sizeof results, "%s/results.json", test_path("lines"));
    assert_int_equal(remove(results), 0);
    dc_run_close(carry_out("lines", NULL, one));
    assert_true(tiny_same_metrics(before, path));
}

// Two processes in one directory would write over each other.
static void a_directory_has_one_worker(void **state)
{
    (void)state;
    struct dc_error error = {0};
    struct dc_run *first = carry_out("shared", "teacher", (const char *const[OVERRIDES]){NULL});
    struct dc_run *second = NULL;
    assert_int_equal(start(&second, "shared", (const char *const[OVERRIDES]){NULL}, &error), DC_OK);
    assert_int_equal(dc_run_all(second, &error), DC_ERR_USAGE);
    assert_non_null(strstr(error.message, "another decant is at work here"));
    dc_run_close(second);
    dc_run_close(first);
    dc_run_close(carry_out("shared", NULL, (const char *const[OVERRIDES]){NULL}));
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
        cmocka_unit_test(patience_ends_a_stage),
        cmocka_unit_test(best_or_last_is_kept),
        cmocka_unit_test(frozen_layers_keep_their_bits),
        cmocka_unit_test(factors_scale_the_change),
        cmocka_unit_test(init_from_starts_there),
        cmocka_unit_test(a_second_start_skips_what_is_done),
        cmocka_unit_test(metrics_of_other_stages_stay),
        cmocka_unit_test(a_directory_has_one_worker),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
