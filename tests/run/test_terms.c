// Stages with every loss there is: the same bytes with any number of threads, stopped at every step
// and killed; every term in the metrics; layers that are not there are refused with a suggestion.

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/h5.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"

// 16 terms. Of the teacher a batch norm that is folded, and a convolution that must not be.
#define LOSSES                                                                                     \
    "--set=stages.student.distill.losses=["                                                        \
    "label: {weight: 0.3, ramp_epochs: 2}, kd: {weight: 0.1}, dkd: {weight: 0.1, beta: 1},"        \
    "standardized_kd: {weight: 0.1}, dist: {weight: 0.01, start_epoch: 1}, hard_label: {weight: "  \
    "0.1}, bce: {weight: 0.1},"                                                                    \
    "hint: {student: stem_relu, teacher: stem_norm, weight: 0.1},"                                 \
    "attention: {student: depthwise_relu, teacher: pointwise, weight: 1},"                         \
    "similarity: {student: pool, teacher: pool, weight: 1},"                                       \
    "rkd: {student: flatten2, teacher: flatten2, weight: 0.01},"                                   \
    "pkt: {student: flatten2, teacher: flatten2, weight: 1},"                                      \
    "nst: {student: pool, teacher: pointwise_relu, weight: 0.1},"                                  \
    "crd: {student: pool, teacher: pool, weight: 0.01, embedding: 8, negatives: 20},"              \
    "review: {student: [pointwise_relu, stem_relu], teacher: [pointwise_norm, stem_norm],"         \
    "weight: 0.1}]"

static const char *const names[] = {"label",     "kd",         "dkd",    "standardized_kd",
                                    "dist",      "hard_label", "bce",    "hint",
                                    "attention", "similarity", "rkd",    "pkt",
                                    "nst",       "crd",        "review", "review2"};
enum { NAMES = sizeof names / sizeof names[0] };

static struct outcome outcome;

static void run(const struct child *how, const char *directory, const char *threads)
{
    DECANT(&outcome, how, "run", test_path("tiny.yaml"), "--run", test_path(directory), LOSSES,
           "--threads", threads);
}

static void assert_good(void)
{
    if (outcome.exit_code != 0)
        fail_msg("exit %d, signal %d: %s", outcome.exit_code, outcome.signal, outcome.err);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    static const char *const threads[] = {"2", "3", "4"};
    for (int i = 0; i < 3; i++) {
        run(NULL, threads[i], threads[i]);
        assert_good();
        assert_true(tiny_same_runs(test_path("whole"), test_path(threads[i])));
    }
}

// At moments spread over a whole run, every other one by SIGKILL.
static void killed_and_resumed(void **state)
{
    (void)state;
    const double whole = outcome.seconds;
    int ends = 0;
    for (int i = 1; i <= 12; i++) {
        const struct child how = {.signal = i % 2 ? SIGKILL : SIGTERM,
                                  .delay = (long)(1e6 * whole * (i % 4 + 1) / 6.0)};
        run(&how, "killed", i % 3 ? "2" : "1");
        ends += outcome.exit_code != 0;
    }
    assert_true(ends > 0);
    run(NULL, "killed", "2");
    assert_good();
    assert_true(tiny_same_runs(test_path("whole"), test_path("killed")));
}

static double number_of(const json_t *line, const char *object, const char *name)
{
    const json_t *value = json_object_get(json_object_get(line, object), name);
    if (!json_is_real(value))
        fail_msg("%s.%s is not in the metrics", object, name);
    return json_real_value(value);
}

static void every_term_is_in_the_metrics(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s/metrics.jsonl", test_path("whole"));
    char *text = tiny_read(path, NULL);
    assert_non_null(text);
    int lines = 0;
    for (char *at = text; *at; at += strcspn(at, "\n") + 1) {
        json_t *line = json_loadb(at, strcspn(at, "\n"), 0, NULL);
        assert_non_null(line);
        double loss = 0.0;
        const bool teacher = !strcmp(json_string_value(json_object_get(line, "stage")), "teacher");
        for (int n = 0; n < (teacher ? 1 : NAMES); n++) {
            assert_true(number_of(line, "terms", names[n]) > 0.0);
            assert_true(number_of(line, "gradient_norms", names[n]) > 0.0);
            loss += number_of(line, "weights", names[n]) * number_of(line, "terms", names[n]);
        }
        assert_true(loss > 0.999999 * json_real_value(json_object_get(line, "loss")));
        assert_true(loss < 1.000001 * json_real_value(json_object_get(line, "loss")));
        lines++;
        json_decref(line);
    }
    assert_int_equal(lines, 9);
    free(text);
}

// Without learning and augmentation epochs differ in order and dropout alone: a sum or a norm that
// ran on from one epoch into the next would double.
static void epochs_count_by_themselves(void **state)
{
    (void)state;
    char path[512];
    DECANT(&outcome, NULL, "run", test_path("tiny.yaml"), "--run", test_path("still"),
           "--set=stages.student.train.learning_rate=0", "--set=data.augment=[]");
    assert_good();
    snprintf(path, sizeof path, "%s/metrics.jsonl", test_path("still"));
    char *text = tiny_read(path, NULL);
    assert_non_null(text);
    double first[2] = {0.0, 0.0};
    int lines = 0;
    for (char *at = text; *at; at += strcspn(at, "\n") + 1) {
        json_t *line = json_loadb(at, strcspn(at, "\n"), 0, NULL);
        assert_non_null(line);
        if (!strcmp(json_string_value(json_object_get(line, "stage")), "student")) {
            const double now[2] = {number_of(line, "terms", "kd"),
                                   number_of(line, "gradient_norms", "kd")};
            for (int k = 0; k < 2; k++) {
                first[k] = lines ? first[k] : now[k];
                assert_true(now[k] > 0.8 * first[k] && now[k] < 1.25 * first[k]);
            }
            lines++;
        }
        json_decref(line);
    }
    assert_int_equal(lines, 3);
    free(text);
}

// Beside the 16 above: their defaults are the authors' pairs of temperature and weight.
static void transformed_teachers(void **state)
{
    (void)state;
    char path[512];
    DECANT(&outcome, NULL, "run", test_path("tiny.yaml"), "--run", test_path("transformed"),
           "--set=stages.student.distill.losses=[label, ttm, wttm]",
           "--set=stages.student.train.learning_rate=0.001");
    assert_good();
    snprintf(path, sizeof path, "%s/metrics.jsonl", test_path("transformed"));
    char *text = tiny_read(path, NULL);
    assert_non_null(text);
    char *at = strstr(text, "\"stage\":\"student\"");
    assert_non_null(at);
    while (at > text && at[-1] != '\n')
        at--;
    json_t *line = json_loadb(at, strcspn(at, "\n"), 0, NULL);
    assert_non_null(line);
    assert_true(number_of(line, "weights", "ttm") == 45.0);
    assert_true(number_of(line, "weights", "wttm") == 4.0);
    assert_true(number_of(line, "gradient_norms", "ttm") > 0.0);
    assert_true(number_of(line, "terms", "wttm") > 0.0);
    json_decref(line);
    free(text);
    DECANT(&outcome, NULL, "check", test_path("tiny.yaml"),
           "--set=stages.student.distill.losses=[wttm: {temperature: 0}]");
    assert_outcome(&outcome, "temperature 0", 2, (const char *const[OUTCOME_WORDS]){"temperature"});
}

static void count_adaptors(void *user, const char *name, enum dc_dtype dtype,
                           const struct dc_shape *shape)
{
    (void)dtype;
    (void)shape;
    *(int *)user += strstr(name, "adaptor.") || strstr(name, "loss.");
}

// Adaptors and banks are state of a checkpoint, and no part of the network.
static void weights_hold_the_network_alone(void **state)
{
    (void)state;
    static const char *const files[] = {"final", "last"};
    for (int f = 0; f < 2; f++) {
        char path[512];
        struct dc_h5 *file = NULL;
        int found = 0;
        snprintf(path, sizeof path, "%s/checkpoints/student/%s.h5", test_path("whole"), files[f]);
        assert_int_equal(dc_h5_open(&file, path, NULL), DC_OK);
        assert_int_equal(dc_h5_list(file, count_adaptors, &found, NULL), DC_OK);
        dc_h5_close(file);
        assert_true(f == 0 ? found == 0 : found > 40);
    }
}

static void wrong_layers_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *losses;
        const char *words[OUTCOME_WORDS];
    } cases[] = {
        {"hint: {student: stem_rellu, teacher: stem_norm}",
         {"loss 'hint'", "the student has no layer 'stem_rellu'", "did you mean 'stem_relu'?"}},
        {"hint: {student: stem_relu, teacher: stemnorm}",
         {"the teacher has no layer 'stemnorm'", "did you mean 'stem_norm'?"}},
        {"hint: {student: pool, teacher: stem_norm}",
         {"no adaptor leads from [batch, 2, 2, 12] of the student to [batch, 6, 6, 9]"}},
        {"hint: {student: pool, teacher: stem_norm, adaptor: none}", {"compares values of one"}},
        {"attention: {student: [pool, stem], teacher: pool}", {"as many layers of the student"}},
        {"attention: {student: flatten2, teacher: pool}", {"[batch, height, width, channels]"}},
        {"review: {student: pool, teacher: stem}", {"review joins maps of one size"}},
        {"hint: {teacher: pool}", {"lacks the key 'student'"}},
        {"hint", {"'student' and 'teacher'"}},
        {"kd: {tau: 4}", {"unknown key 'tau' in loss 'kd'", "temperature"}},
        {"pkd", {"unknown key 'pkd'", "did you mean", "crd, review"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char set[256];
        snprintf(set, sizeof set, "--set=stages.student.distill.losses=[%s]", cases[i].losses);
        DECANT(&outcome, NULL, "check", test_path("tiny.yaml"), set);
        assert_outcome(&outcome, cases[i].losses, 2, cases[i].words);
    }
}

static int set_up(void **state)
{
    (void)state;
    test_folder();
    tiny_files();
    run(NULL, "whole", "1");
    if (outcome.exit_code)
        fprintf(stderr, "%s", outcome.err);
    return outcome.exit_code;
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
        cmocka_unit_test(killed_and_resumed),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(every_term_is_in_the_metrics),
        cmocka_unit_test(epochs_count_by_themselves),
        cmocka_unit_test(transformed_teachers),
        cmocka_unit_test(weights_hold_the_network_alone),
        cmocka_unit_test(wrong_layers_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
