// What the report measures against what the program predicts, and what it does with directories
// that are damaged, foreign or out of room. tests/report/check_page judges the page itself.

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/json.h"
#include "report/measures.h"
#include "report/write.h"
#include "run/predict.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"

static struct outcome outcome;
static struct dc_error error;
static char root[512];

static void must(enum dc_status status)
{
    if (status != DC_OK)
        fail_msg("%s", error.message);
}

static void decant(const char *verb, const char *what)
{
    DECANT(&outcome, &(const struct child){.folder = root}, verb, what, "--quiet");
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", test_folder());
    tiny_files();
    DECANT(&outcome, &(const struct child){.folder = root}, "run", "export.yaml", "--run", "run");
    if (outcome.exit_code != 0 || !strstr(outcome.out, "report: run/report.html"))
        fail_msg("exit %d: %s", outcome.exit_code, outcome.err);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

static struct dc_run *open_run(const volatile sig_atomic_t *stop)
{
    struct dc_run *run = NULL;
    const struct dc_run_options options = {.directory = test_path("run"),
                                           .context = {.threads = 2, .stop = stop}};
    must(dc_run_open(&run, &options, &error));
    return run;
}

static json_t *environment(void)
{
    json_error_t problem;
    json_t *json = dc_json_read(test_path("run/env.json"), &problem);
    assert_non_null(json);
    return json;
}

// `decant predict` takes another way through the program: its logits say the same.
static void answers_are_those_of_predict(void **state)
{
    (void)state;
    struct dc_run *run = open_run(NULL);
    struct dc_measures *m = NULL;
    json_t *env = environment();
    must(dc_measure_run(&m, run, env, &error));
    assert_int_equal(m->unmeasured_count, 0);
    assert_int_equal(m->samples, TINY_TEST);
    assert_int_equal(m->answer_count, 4);  // teacher, student, quantized in floats and in integers
    for (int k = 0; k < m->answer_count; k++) {
        const struct dc_answers *a = &m->answers[k];
        if (a->stage->quantizes && !a->integers)
            continue;
        struct dc_prediction p;
        const struct dc_predict_options what = {.stage = a->stage->name, .split = "test"};
        must(dc_run_predict(&p, run, &what, &error));
        for (int64_t i = 0; i < m->samples; i++) {
            const float *z = p.logits + i * p.classes;
            double sum = 0.0;
            for (int c = 0; c < p.classes; c++) {
                sum += exp((double)z[c]);
                assert_true(z[c] < z[a->said[i]] || (z[c] == z[a->said[i]] && c >= a->said[i]));
            }
            const double want = exp((double)z[a->said[i]]) / sum;
            assert_true(fabs((double)a->confidence[i] - want) < 1e-6);
        }
    }
    // the run counted the samples that rounding lost and won when it was made
    const struct dc_stage *q = dc_experiment_stage(run->experiment, "quantized");
    const json_t *flips = json_object_get(
        json_object_get(json_object_get(json_object_get(run->results, "stages"), "quantized"),
                        "quantization"),
        "flips");
    const struct dc_flips mine = dc_count_flips(m, dc_answers_of(m, q, false),
                                                dc_answers_of(m, q, true));
    assert_int_equal(mine.lost, json_integer_value(json_object_get(flips, "lost")));
    assert_int_equal(mine.won, json_integer_value(json_object_get(flips, "won")));
    json_decref(env);
    dc_measures_free(m);
    dc_run_close(run);
}

// Every weight and every value is in a bin, and weights under their own scale are never clipped.
static void bins_hold_all(void **state)
{
    (void)state;
    struct dc_run *run = open_run(NULL);
    struct dc_measures *m = NULL;
    json_t *env = environment();
    must(dc_measure_run(&m, run, env, &error));
    int weights = 0;
    for (int i = 0; i < m->layer_count; i++) {
        const struct dc_layer_bins *b = m->layers[i];
        int64_t all = 0, outside = 0;
        for (int k = 0; k < DC_COMPARISON_BINS; k++) {
            all += b->counts[k];
            outside += k < DC_COMPARISON_BEYOND || k >= DC_COMPARISON_BINS - DC_COMPARISON_BEYOND
                           ? b->counts[k]
                           : 0;
        }
        assert_true(all > 0);
        assert_true(b->least_scale > 0.0 && b->least_scale <= b->most_scale);
        if (b->weights) {
            struct dc_stage_network network;
            char name[128];
            snprintf(name, sizeof name, "%s.weight", b->layer);
            must(dc_stage_network_open(&network, b->stage, NULL, &error));
            assert_int_equal(all, dc_params_find(network.params, name)->count);
            assert_int_equal(outside, 0);
            dc_stage_network_close(&network);
            weights++;
        } else {
            assert_int_equal(all % TINY_TEST, 0);
        }
    }
    assert_int_equal(weights, 4);  // of tests/run/helper_experiment.h's network
    json_decref(env);
    dc_measures_free(m);
    dc_run_close(run);
}

static const struct {
    const char *name, *file, *text;
    int exit_code;
    const char *words[OUTCOME_WORDS];
} damages[] = {
    {"a line of the metrics",
     "metrics.jsonl",
     "{\"stage\":\"teacher\"}\n{\"a\":\n",
     1,
     {"metrics.jsonl:2: damaged"}},
    {"metrics that are no object", "metrics.jsonl", "[]\n", 1, {"metrics.jsonl:1: damaged"}},
    {"the environment", "env.json", "{\"version\": ", 1, {"env.json:1:", "damaged"}},
    {"the results",
     "results.json",
     "{\"version\": 2, \"stages\": {}}",
     1,
     {"results.json", "damaged"}},
    {"no results file", "results.json", "{}", 1, {"not a results file"}},
    {"the experiment", "resolved.yaml", "name: [", 2, {"resolved.yaml"}},
    {"another's page",
     "report.html",
     "<!doctype html><p>mine",
     2,
     {"report.html exists, and Decant did not write it"}},
    {"another's picture", "plots/mine.png", "mine", 2, {"plots", "mine.png"}},
};

static void damaged_and_foreign_directories(void **state)
{
    (void)state;
    char path[512];
    size_t size = 0;
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", test_path("run"), damages[i].file);
        char *before = tiny_read(path, &size);
        tiny_text(path, damages[i].text);
        decant("report", "run");
        assert_outcome(&outcome, damages[i].name, damages[i].exit_code, damages[i].words);
        char *after = tiny_read(path, NULL);
        assert_string_equal(after, damages[i].text);  // as it was
        assert_int_equal(remove(path), 0);
        if (before)
            test_write(path, before, size);
        free(before);
        free(after);
    }
    assert_int_equal(symlink("elsewhere", test_path("link")), 0);
    assert_int_equal(rename(test_path("run/report.html"), test_path("kept.html")), 0);
    assert_int_equal(rename(test_path("link"), test_path("run/report.html")), 0);
    decant("report", "run");
    assert_outcome(&outcome, "a link", 2, (const char *const[4]){"a symbolic link"});
    assert_int_equal(remove(test_path("run/report.html")), 0);
    decant("report", "run");
    assert_int_equal(outcome.exit_code, 0);
}

// Other labels under the same training data: the page says that they are not the run's; of a run
// whose record does not tell, as older ones, that it measures something else.
static void another_test_split_is_told(void **state)
{
    (void)state;
    size_t size = 0;
    char path[512];
    snprintf(path, sizeof path, "%s", test_path("data/t10k-labels-idx1-ubyte"));
    char *before = tiny_read(path, &size), *after = malloc(size);
    assert_non_null(before);
    assert_non_null(after);
    memcpy(after, before, 8);
    for (size_t i = 8; i < size; i++)
        after[i] = (char)((before[i] + 1) % TINY_CLASSES);
    test_write(path, after, size);
    size_t record_size = 0;
    char *record = tiny_read(test_path("run/env.json"), &record_size);
    static const char *const told[] = {"the test data is not what the run was made with",
                                       "measured again now it has"};
    for (int older = 0; older < 2; older++) {
        char *key = strstr(record, "\"test_data_hash\"");
        assert_non_null(key);
        key[1] = older ? 'T' : 't';
        test_write(test_path("run/env.json"), record, record_size);
        key[1] = 't';
        decant("report", "run");
        assert_int_equal(outcome.exit_code, 0);
        char *page = tiny_read(test_path("run/report.html"), NULL);
        assert_non_null(strstr(page, told[older]));
        assert_null(strstr(page, told[!older]));
        free(page);
    }
    test_write(test_path("run/env.json"), record, record_size);
    test_write(path, before, size);
    free(record);
    free(before);
    free(after);
    decant("report", "run");
    char *page = tiny_read(test_path("run/report.html"), NULL);
    assert_null(strstr(page, told[0]));
    assert_null(strstr(page, told[1]));
    free(page);
}

// A stop and a full disk leave the page and the plots that were there.
static void what_was_there_stays(void **state)
{
    (void)state;
    const volatile sig_atomic_t stop = 1;
    size_t size = 0, again = 0;
    char *page = tiny_read(test_path("run/report.html"), &size);
    const int plots = test_folder_entries(test_path("run/plots"));
    assert_non_null(page);
    struct dc_run *run = open_run(&stop);
    assert_int_equal(dc_write_report(run, &error), DC_ERR_STOPPED);
    dc_run_close(run);
    const struct child full = {.folder = root, .file_limit = 12000};
    DECANT(&outcome, &full, "report", "run");
    assert_int_equal(outcome.exit_code, 1);
    char *after = tiny_read(test_path("run/report.html"), &again);
    assert_int_equal(size, again);
    assert_memory_equal(page, after, size);
    assert_int_equal(test_folder_entries(test_path("run/plots")), plots);
    assert_true(plots > 10);
    free(page);
    free(after);
}

// `decant run` makes a page where there is none, or an older one than the results.
static void run_keeps_the_page_current(void **state)
{
    (void)state;
    char page[512];
    struct stat info;
    snprintf(page, sizeof page, "%s", test_path("run/report.html"));
    assert_int_equal(remove(page), 0);
    DECANT(&outcome, &(const struct child){.folder = root}, "run", "export.yaml", "--run", "run");
    assert_int_equal(outcome.exit_code, 0);
    assert_int_equal(stat(page, &info), 0);
    const struct timespec then = info.st_mtim;
    DECANT(&outcome, &(const struct child){.folder = root}, "run", "export.yaml", "--run", "run");
    assert_int_equal(stat(page, &info), 0);
    assert_true(info.st_mtim.tv_sec == then.tv_sec && info.st_mtim.tv_nsec == then.tv_nsec);
    assert_int_equal(utimensat(AT_FDCWD, test_path("run/results.json"), NULL, 0), 0);
    DECANT(&outcome, &(const struct child){.folder = root}, "run", "export.yaml", "--run", "run");
    assert_int_equal(stat(page, &info), 0);
    assert_true(info.st_mtim.tv_sec > then.tv_sec || info.st_mtim.tv_nsec > then.tv_nsec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_of_predict),
        cmocka_unit_test(bins_hold_all),
        cmocka_unit_test(damaged_and_foreign_directories),
        cmocka_unit_test(another_test_split_is_told),
        cmocka_unit_test(what_was_there_stays),
        cmocka_unit_test(run_keeps_the_page_current),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
