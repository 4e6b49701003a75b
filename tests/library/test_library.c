// libdecant as a program uses it: errors, a run that is stopped and goes on, results, predictions
// on the caller's arrays, exports and proofs; and that nothing is written to standard output or
// error.

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
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
#include <jansson.h>

#include "library/decant.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"

static decant_context *context;
static decant_error error;
static int steps, lines;

#define GOOD(call)                                                                                 \
    do {                                                                                           \
        if ((call) != DECANT_OK)                                                                   \
            fail_msg("%s: %s: %s", #call, decant_code_name(error.code), error.message);            \
    } while (0)

static json_t *parse(char *text)
{
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    decant_free(text);
    return json;
}

static void mistakes_are_told(void **state)
{
    (void)state;
    decant_experiment *e = NULL;
    decant_run *run = NULL;
    decant_network *network = NULL;
    const char *const setting = "stages.student.train.epochs=none";
    assert_int_equal(
        decant_experiment_parse(&e, "name: x\nstagse: {}\n", "folder/x.yaml", NULL, 0, &error),
        DECANT_CONFIG);
    assert_null(e);
    assert_int_equal(error.code, DECANT_CONFIG);
    assert_int_equal(strncmp(error.message, "folder/x.yaml:2:1: error: unknown key 'stagse'", 46),
                     0);
    assert_int_equal(decant_experiment_parse(&e, NULL, "x.yaml", NULL, 0, NULL), DECANT_USAGE);
    assert_int_equal(decant_experiment_read(&e, "nothing-like-it", NULL, 0, &error), DECANT_CONFIG);
    assert_non_null(strstr(error.message, "there is no experiment 'nothing-like-it'"));
    assert_int_equal(decant_experiment_read(&e, test_path("export.yaml"), &setting, 1, &error),
                     DECANT_CONFIG);
    assert_int_equal(decant_experiment_read(&e, test_path("export.yaml"), NULL, 1, &error),
                     DECANT_USAGE);
    assert_int_equal(decant_run_load(&run, context, test_path("nowhere"), &error), DECANT_USAGE);
    assert_null(run);
    assert_int_equal(decant_network_load(&network, context, test_path("data"), &error),
                     DECANT_DATA);
    assert_null(network);
    assert_int_equal(decant_context_set_threads(context, -1, &error), DECANT_USAGE);
    assert_string_equal(decant_code_name((decant_code)77), "unknown");
    decant_experiment_free(NULL);
    decant_run_close(NULL);
    decant_network_close(NULL);
    decant_free(NULL);
}

static void an_experiment_is_known_before_it_runs(void **state)
{
    (void)state;
    decant_experiment *e = NULL;
    char *text = NULL;
    GOOD(decant_experiment_read(&e, test_path("export.yaml"), NULL, 0, &error));
    assert_string_equal(decant_experiment_name(e), "export");
    assert_int_equal(decant_experiment_stage_count(e), 4);
    assert_string_equal(decant_experiment_stage(e, 3), "int8");
    assert_null(decant_experiment_stage(e, 4));
    GOOD(decant_experiment_resolve(e, &text, &error));
    assert_non_null(strstr(text, "\n      learning_rate: "));
    decant_free(text);
    GOOD(decant_experiment_check(e, &text, &error));
    json_t *report = parse(text);
    assert_true(json_integer_value(json_object_get(json_object_get(report, "student"), "macs")) >
                0);
    json_decref(report);
    decant_experiment_free(e);
}

static void stop_at_step_5(void *user, const decant_progress *progress)
{
    assert_ptr_equal(user, &steps);
    assert_string_equal(progress->stage, "teacher");
    if (++steps == 5)
        decant_context_stop(context);
}

static void count_lines(void *user, decant_log_level level, const char *line)
{
    (void)level;
    assert_null(strchr(line, '\n'));
    ++*(int *)user;
}

static void a_run_stops_and_goes_on(void **state)
{
    (void)state;
    decant_experiment *e = NULL;
    decant_run *run = NULL;
    char *text = tiny_read(test_path("export.yaml"), NULL), *json = NULL;
    assert_non_null(text);
    GOOD(decant_experiment_parse(&e, text, test_path("not-there.yaml"), NULL, 0, &error));
    decant_context_set_progress(context, stop_at_step_5, &steps);
    decant_context_set_log(context, count_lines, &lines);
    GOOD(decant_run_open(&run, context, e, test_path("run"), &error));
    decant_experiment_free(e);  // the run has its own
    assert_string_equal(decant_run_directory(run), test_path("run"));
    assert_int_equal(decant_run_all(run, &error), DECANT_STOPPED);
    assert_int_equal(decant_run_stage_done(run, "teacher"), 0);
    decant_context_unstop(context);
    decant_context_set_progress(context, NULL, NULL);
    GOOD(decant_run_stage(run, "teacher", &error));
    assert_int_equal(decant_run_stage_done(run, "teacher"), 1);
    assert_int_equal(decant_run_stage_done(run, "none"), 0);
    assert_int_equal(decant_run_stage(run, "techer", &error), DECANT_USAGE);
    assert_non_null(strstr(error.message, "did you mean 'teacher'?"));
    GOOD(decant_run_all(run, &error));
    assert_true(lines > 0);
    GOOD(decant_run_results(run, &json, &error));
    json_t *results = parse(json);
    const json_t *stages = json_object_get(results, "stages");
    assert_int_equal(json_object_size(stages), 4);
    json_decref(results);
    decant_run_close(run);
    char *record = tiny_read(test_path("run/experiment.yaml"), NULL);  // as it was given
    assert_string_equal(record, text);
    free(record);
    free(text);
}

// The test images and labels behind their IDX headers.
static unsigned char *test_part(const char *name, size_t header)
{
    size_t size = 0;
    unsigned char *bytes = (unsigned char *)tiny_read(test_path(name), &size);
    assert_non_null(bytes);
    memmove(bytes, bytes + header, size - header);
    return bytes;
}

enum { VALUES = TINY_TEST * TINY_CLASSES };

static double share_right(const float *outputs, const unsigned char *labels)
{
    int right = 0;
    for (int i = 0; i < TINY_TEST; i++, outputs += TINY_CLASSES) {
        int best = 0;
        for (int c = 1; c < TINY_CLASSES; c++)
            best = outputs[c] > outputs[best] ? c : best;
        right += best == labels[i];
    }
    return (double)right / TINY_TEST;
}

static void predictions_are_those_of_evaluation(void **state)
{
    (void)state;
    decant_run *run = NULL;
    unsigned char *images = test_part("data/t10k-images-idx3-ubyte", 16);
    unsigned char *labels = test_part("data/t10k-labels-idx1-ubyte", 8);
    float outputs[VALUES], single[TINY_CLASSES];
    GOOD(decant_run_load(&run, context, test_path("run"), &error));
    static const char *const stages[] = {"student", "quantized"};
    for (int s = 0; s < 2; s++) {
        decant_network *network = NULL;
        char *json = NULL;
        int64_t shape[8];
        GOOD(decant_network_open(&network, run, stages[s], &error));
        assert_int_equal(decant_network_shape(network, shape), 3);
        assert_int_equal(shape[0] * shape[1] * shape[2], TINY_SIDE * TINY_SIDE);
        assert_int_equal(decant_network_output_count(network), TINY_CLASSES);
        assert_int_equal(decant_network_takes_bytes(network), 1);
        assert_int_equal(decant_network_predict_floats(network, outputs, outputs, 1, &error),
                         DECANT_USAGE);
        GOOD(decant_network_predict_bytes(network, outputs, images, TINY_TEST, &error));
        GOOD(decant_run_evaluate(run, stages[s], "test", &json, &error));
        json_t *scores = parse(json);
        const double told = json_real_value(json_object_get(scores, "accuracy"));
        assert_true(fabs(told - share_right(outputs, labels)) < 1e-8);  // 9 digits are written
        json_decref(scores);
        for (int i = 0; i < TINY_TEST; i += 23) {  // a sample's bits do not depend on its company
            GOOD(decant_network_predict_bytes(
                network, single, images + (size_t)i * TINY_SIDE * TINY_SIDE, 1, &error));
            assert_memory_equal(single, outputs + (size_t)i * TINY_CLASSES, sizeof single);
        }
        decant_network_close(network);
    }
    // the bundle, by itself: the quantized stage's outputs in every bit
    decant_network *bundle = NULL;
    float integers[VALUES];
    GOOD(decant_network_load(&bundle, context, test_path("run/bundle/int8"), &error));
    GOOD(decant_network_predict_bytes(bundle, integers, images, TINY_TEST, &error));
    assert_memory_equal(integers, outputs, sizeof outputs);
    decant_network_softmax(bundle, integers, TINY_TEST);
    for (int i = 0; i < TINY_TEST; i++) {
        double sum = 0.0;
        for (int c = 0; c < TINY_CLASSES; c++)
            sum += (double)integers[i * TINY_CLASSES + c];
        assert_true(sum > 0.999999 && sum < 1.000001);
    }
    decant_network_close(bundle);
    decant_run_close(run);
    free(images);
    free(labels);
}

static void exports_are_proven(void **state)
{
    (void)state;
    decant_run *run = NULL;
    char *json = NULL;
    GOOD(decant_run_load(&run, context, test_path("run"), &error));
    GOOD(decant_run_export(run, "student", test_path("student.onnx"), NULL, &error));
    GOOD(decant_run_export(run, "quantized", test_path("bundle"), &json, &error));
    json_t *result = parse(json);
    assert_non_null(json_object_get(result, "verification"));
    json_decref(result);
    GOOD(decant_run_verify(run, test_path("bundle"), 10, &json, &error));
    result = parse(json);
    assert_int_equal(json_integer_value(json_object_get(result, "samples")), 10);
    assert_int_equal(json_integer_value(json_object_get(result, "different")), 0);
    json_decref(result);
    assert_int_equal(decant_run_export(run, "student", test_path("x.onx"), NULL, &error),
                     DECANT_USAGE);
    assert_int_equal(decant_run_export(run, "student", test_path("data"), NULL, &error),
                     DECANT_USAGE);  // a folder of the user's
    assert_int_equal(decant_run_all(run, &error), DECANT_USAGE);
    GOOD(decant_run_report(run, &error));
    assert_int_equal(access(test_path("run/report.html"), R_OK), 0);
    decant_run_close(run);
}

// Both streams of this process lie in files while the tests run.
static int real[2];

static int begin(void **state)
{
    (void)state;
    test_folder();
    tiny_files();
    for (int i = 0; i < 2; i++) {
        const int file = open(test_path(i ? "stderr" : "stdout"), O_CREAT | O_WRONLY, 0600);
        real[i] = dup(i + 1);
        if (file < 0 || dup2(file, i + 1) < 0)
            return 1;
        close(file);
    }
    return decant_context_create(&context, &error) == DECANT_OK &&
                   decant_context_set_threads(context, 2, &error) == DECANT_OK
               ? 0
               : 1;
}

static int end(void **state)
{
    (void)state;
    decant_context_free(context);
    test_folder_remove();
    return 0;
}

static char shared_experiment[512];  // test_path has one place for all threads

// A run of its own in a context of its own, exported; NULL: all was well.
static void *run_alone(void *directory)
{
    static const char *const settings[] = {"stages.teacher.train.epochs=1",
                                           "stages.student.train.epochs=1",
                                           "stages.quantized.train.epochs=1"};
    decant_context *own = NULL;
    decant_experiment *e = NULL;
    decant_run *run = NULL;
    decant_error told;
    decant_code code = decant_context_create(&own, &told);
    if (code == DECANT_OK)
        code = decant_experiment_read(&e, shared_experiment, settings, 3, &told);
    if (code == DECANT_OK)
        code = decant_run_open(&run, own, e, directory, &told);
    if (code == DECANT_OK)
        code = decant_run_all(run, &told);
    decant_run_close(run);
    decant_experiment_free(e);
    decant_context_free(own);
    return code == DECANT_OK ? NULL : directory;
}

// Each compiles in a folder of its own beside the other's, whose process has the same number.
static void two_contexts_export_at_once(void **state)
{
    (void)state;
    char folders[2][512];
    pthread_t threads[2];
    snprintf(shared_experiment, sizeof shared_experiment, "%s", test_path("export.yaml"));
    for (int i = 0; i < 2; i++)
        snprintf(folders[i], sizeof folders[i], "%s", test_path(i ? "beside" : "first"));
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_alone, folders[i]), 0);
    for (int i = 0; i < 2; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

// cmocka writes its own lines to both, so that they are told by what stands in them.
static void nothing_was_written(void **state)
{
    (void)state;
    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        char *text = tiny_read(test_path(i ? "stderr" : "stdout"), NULL);
        assert_non_null(text);
        dup2(real[i], i + 1);
        close(real[i]);
        for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
            if (*line != '[')
                fail_msg("written: %.*s", (int)strcspn(line, "\n"), line);
        fprintf(i ? stderr : stdout, "%s", text);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(an_experiment_is_known_before_it_runs),
        cmocka_unit_test(a_run_stops_and_goes_on),
        cmocka_unit_test(predictions_are_those_of_evaluation),
        cmocka_unit_test(exports_are_proven),
        cmocka_unit_test(two_contexts_export_at_once),
        cmocka_unit_test(nothing_was_written),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
