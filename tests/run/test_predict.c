// What users do with a finished run: predict, eval, export, verify. The binary itself, on a tiny
// run.

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/context.h"
#include "core/h5.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_walk.h"

static const char *const stages[] = {"student", "quantized"};

// Array `name` of an HDF5 file in the folder; returns its rows.
static int64_t read_rows(float *values, int64_t capacity, const char *file)
{
    struct dc_error error = {0};
    struct dc_h5 *h5 = NULL;
    enum dc_dtype dtype = DC_F32;
    struct dc_shape shape = {0};
    if (dc_h5_open(&h5, test_path(file), &error) != DC_OK ||
        dc_h5_describe(h5, "logits", &dtype, &shape, &error) != DC_OK)
        fail_msg("%s", error.message);
    assert_int_equal(dtype, DC_F32);
    assert_int_equal(shape.rank, 2);
    assert_int_equal(shape.dims[1], TINY_CLASSES);
    assert_true(dc_shape_count(&shape) <= capacity);
    const struct dc_tensor tensor = {values, DC_F32, shape};
    assert_int_equal(dc_h5_read(h5, "logits", &tensor, &error), DC_OK);
    dc_h5_close(h5);
    return shape.dims[0];
}

// Simulated evaluation gives the integers' outputs, all of them, under the profile whose rounding
// float32 can do, and its accuracy; under another it counts.
static void simulated_evaluation_is_the_engines(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        GOOD("eval", "run", "--stage", "quantized", "--quantization", "--json", "--profile",
             k == 0 ? "litert-xnnpack" : "tflm");
        json_t *report = json_loads(outcome.out, 0, NULL);
        const json_t *simulation = json_object_get(json_object_get(report, "quantization"),
                                                   "simulation");
        const json_t *simulated = json_object_get(report, "simulated");
        const json_int_t different = json_integer_value(json_object_get(simulation, "different"));
        const json_int_t furthest = json_integer_value(json_object_get(simulation, "furthest"));
        assert_int_equal(json_integer_value(json_object_get(simulation, "outputs")),
                         TINY_TEST * TINY_CLASSES);
        assert_true(k == 0 ? different == 0 : different < TINY_TEST * TINY_CLASSES);
        assert_int_equal(different > 0, furthest > 0);
        if (k == 0)
            assert_true(json_equal(json_object_get(simulated, "confusion"),
                                   json_object_get(json_object_get(report, "int8"), "confusion")));
        json_decref(report);
    }
}

// The same sample alone, among six others, among all; by one thread or three; on each instruction
// set by itself.
static void logits_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    for (int isa = 0; isa <= (int)dc_isa_detected(); isa++) {
        char environment[64];
        snprintf(environment, sizeof environment, "DECANT_ISA=%s", dc_isa_name((enum dc_isa)isa));
        for (int s = 0; s < 2; s++) {
            static float all[TINY_TEST * TINY_CLASSES], some[TINY_TEST * TINY_CLASSES];
            GOOD_UNDER(environment, "predict", "run", "--stage", stages[s], "--out", "all.h5",
                       "--threads", "1");
            assert_int_equal(read_rows(all, TINY_TEST * TINY_CLASSES, "all.h5"), TINY_TEST);
            static const char *const limits[] = {"1", "7", "69", "1000"};
            for (int i = 0; i < 4; i++) {
                const int64_t rows = i == 3 ? TINY_TEST : atoi(limits[i]);
                GOOD_UNDER(environment, "predict", "run", "--stage", stages[s], "--out", "some.h5",
                           "--limit", limits[i], "--threads", i % 2 ? "3" : "2");
                assert_int_equal(read_rows(some, TINY_TEST * TINY_CLASSES, "some.h5"), rows);
                assert_memory_equal(some, all, sizeof(float) * TINY_CLASSES * (size_t)rows);
            }
        }
    }
}

// Accuracy counted here from the logits, against labels as the test made them.
static void eval_agrees_with_predict(void **state)
{
    (void)state;
    for (int s = 0; s < 2; s++) {
        static float logits[TINY_TEST * TINY_CLASSES];
        GOOD("predict", "run", "--stage", stages[s], "--split", "test", "--out", "all.h5");
        assert_int_equal(read_rows(logits, TINY_TEST * TINY_CLASSES, "all.h5"), TINY_TEST);
        int correct = 0;
        for (int n = 0; n < TINY_TEST; n++) {
            int best = 0;
            for (int c = 1; c < TINY_CLASSES; c++)
                if (logits[n * TINY_CLASSES + c] > logits[n * TINY_CLASSES + best])
                    best = c;
            correct += best == n * 7 % TINY_CLASSES;
        }
        GOOD("eval", "run", "--stage", stages[s], "--json");
        json_t *object = json_loads(outcome.out, 0, NULL);
        assert_non_null(object);
        const double p = (double)correct / TINY_TEST;
        const double error = sqrt(p * (1.0 - p) / TINY_TEST);
        assert_int_equal(json_integer_value(json_object_get(object, "samples")), TINY_TEST);
        assert_true(fabs(json_real_value(json_object_get(object, "accuracy")) - p) < 1e-8);
        assert_true(fabs(json_real_value(json_object_get(object, "accuracy_error")) - error) <
                    1e-8);
        assert_string_equal(json_string_value(json_object_get(object, "stage")), stages[s]);
        assert_string_equal(json_string_value(json_object_get(object, "arithmetic")),
                            s ? "tflm" : "float32");
        json_decref(object);
        char line[64];
        snprintf(line, sizeof line, "accuracy   %.2f %% +- %.2f", 100.0 * p, 100.0 * error);
        GOOD("eval", "run", "--stage", stages[s]);
        assert_non_null(strstr(outcome.out, line));
        assert_true(p > 0.5);  // it learned: the order of samples and labels is right
    }
}

// The same images as HDF5, and by another path, give the same logits.
// The report against eval and predict: the same accuracy; flips that are the difference between the
// two accuracies, of samples that the integers' logits do get wrong or right; layers in order.
static void the_quantization_report_agrees_with_eval(void **state)
{
    (void)state;
    static float logits[TINY_TEST * TINY_CLASSES];
    GOOD("predict", "run", "--stage", "quantized", "--split", "test", "--out", "all.h5");
    assert_int_equal(read_rows(logits, TINY_TEST * TINY_CLASSES, "all.h5"), TINY_TEST);
    GOOD("eval", "run", "--stage", "quantized", "--json");
    json_t *plain = json_loads(outcome.out, 0, NULL);
    GOOD("eval", "run", "--stage", "quantized", "--quantization", "--json");
    json_t *report = json_loads(outcome.out, 0, NULL), *q = json_object_get(report, "quantization");
    const json_t *int8 = json_object_get(report, "int8"), *flips = json_object_get(q, "flips");
    const json_t *float32 = json_object_get(report, "float");
    const json_t *confusion = json_object_get(int8, "confusion");
    assert_true(json_equal(json_object_get(int8, "accuracy"), json_object_get(plain, "accuracy")));
    assert_true(json_equal(confusion, json_object_get(plain, "confusion")));
    const json_int_t lost = json_integer_value(json_object_get(flips, "lost"));
    const json_int_t won = json_integer_value(json_object_get(flips, "won"));
    const double gained = json_real_value(json_object_get(int8, "accuracy")) -
                          json_real_value(json_object_get(float32, "accuracy"));
    assert_true(fabs(gained * TINY_TEST - (double)(won - lost)) < 1e-6);
    assert_int_equal(json_array_size(json_object_get(flips, "lost_samples")), lost);
    assert_int_equal(json_array_size(json_object_get(flips, "won_samples")), won);
    for (int k = 0; k < lost + won; k++) {
        const json_t *list = json_object_get(flips, k < lost ? "lost_samples" : "won_samples");
        const json_int_t n = json_integer_value(json_array_get(list, k < lost ? k : k - lost));
        int best = 0;
        for (int c = 1; c < TINY_CLASSES; c++)
            if (logits[n * TINY_CLASSES + c] > logits[n * TINY_CLASSES + best])
                best = c;
        assert_int_equal(best == n * 7 % TINY_CLASSES, k >= lost);
    }
    const double p = json_real_value(json_object_get(flips, "p"));
    assert_true(p > 0.0 && p <= 1.0);
    json_t *layers = json_object_get(q, "layers"), *layer;
    size_t i;
    double before = -INFINITY;
    assert_true(json_array_size(layers) > 3);
    json_array_foreach(layers, i, layer)
    {
        const json_t *alone = json_object_get(layer, "sqnr_alone");
        const double now = json_is_null(alone) ? INFINITY : json_real_value(alone);
        assert_true(now >= before && now > 0.0);
        before = now;
        const char *op = json_string_value(json_object_get(layer, "op"));
        const double only = json_real_value(json_object_get(layer, "accuracy_only"));
        const double but = json_real_value(json_object_get(layer, "accuracy_but"));
        const bool copies = strcmp(op, "reshape") == 0 || strstr(op, "pool");
        assert_true(copies || (only > 0.25 && only <= 1.0 && but > 0.25 && but <= 1.0));
    }
    assert_true(json_real_value(
                    json_object_get(json_object_get(report, "in_training"), "accuracy")) > 0.25);
    assert_int_equal(json_integer_value(json_object_get(q, "tried_samples")), TINY_TEST);
    // The run's own record has the same report.
    json_t *results = json_load_file(test_path("run/results.json"), 0, NULL);
    const json_t *stage = json_object_get(json_object_get(results, "stages"), "quantized");
    assert_non_null(stage);
    assert_true(json_equal(json_object_get(stage, "quantization"), q));
    json_decref(results);
    GOOD("eval", "run", "--stage", "quantized", "--quantization");
    assert_non_null(strstr(outcome.out, "worst layer first"));
    assert_non_null(strstr(outcome.out, "McNemar"));
    json_decref(plain);
    json_decref(report);
    walk(NULL, (const char *const[]){"eval", "run", "--stage", "student", "--quantization", NULL});
    assert_int_equal(outcome.exit_code, 2);
    assert_non_null(strstr(outcome.err, "stage 'student' is not quantized"));
    walk(NULL, (const char *const[]){"eval", "run/bundle/int8", "--quantization", NULL});
    assert_int_equal(outcome.exit_code, 2);
    assert_non_null(strstr(outcome.err, "no float network"));
}

static void other_data_of_the_same_images(void **state)
{
    (void)state;
    static float here[TINY_TEST * TINY_CLASSES], there[TINY_TEST * TINY_CLASSES];
    GOOD("data", "data", "--out", "same.h5");
    GOOD("predict", "run", "--out", "all.h5");
    read_rows(here, TINY_TEST * TINY_CLASSES, "all.h5");
    static const char *const data[] = {"hdf5:same.h5", "same.h5", "idx:data"};
    for (int i = 0; i < 3; i++) {
        GOOD("predict", "run", "--data", data[i], "--split", "test", "--out", "some.h5");
        assert_int_equal(read_rows(there, TINY_TEST * TINY_CLASSES, "some.h5"), TINY_TEST);
        assert_memory_equal(here, there, sizeof here);
    }
}

static void exports_verify_under_every_profile(void **state)
{
    (void)state;
    static const char *const profiles[] = {"tflm", "ruy", "onnxruntime"};
    for (int i = 0; i < 3; i++) {
        GOOD("export", "run", "--stage", "quantized", "--profile", profiles[i], "--out",
             profiles[i]);
        GOOD("verify", profiles[i], "--run", "run", "--json");
        json_t *object = json_loads(outcome.out, 0, NULL);
        assert_non_null(object);
        assert_int_equal(json_integer_value(json_object_get(object, "samples")), TINY_TEST);
        assert_int_equal(json_integer_value(json_object_get(object, "bytes")),
                         TINY_TEST * TINY_CLASSES);
        assert_int_equal(json_integer_value(json_object_get(object, "different")), 0);
        json_decref(object);
    }
    GOOD("verify", "run/bundle/int8");  // its run is found from where it lies
    assert_non_null(strstr(outcome.out, "70 samples, 280 bytes compared, all equal"));
    walk(NULL, (const char *const[]){"verify", "ruy", NULL});
    assert_int_equal(outcome.exit_code, 2);
    assert_non_null(strstr(outcome.err, "--run"));
}

// A float stage as ONNX gives the stage's logits when it is read again; a quantized stage's file is
// the one that its export wrote, byte for byte.
static void onnx_files_are_the_stages(void **state)
{
    (void)state;
    static float before[TINY_TEST * TINY_CLASSES], after[TINY_TEST * TINY_CLASSES];
    size_t sizes[2];
    GOOD("export", "run", "--stage", "student", "--out", "student.onnx");
    tiny_text(test_path("again.yaml"),
              "name: again\ndata: {source: idx, path: data, validation: 40}\n"
              "stages:\n  student: {model: student.onnx}\n");
    GOOD("run", "again.yaml", "--run", "again");
    GOOD("predict", "run", "--stage", "student", "--split", "test", "--out", "some.h5");
    assert_int_equal(read_rows(before, TINY_TEST * TINY_CLASSES, "some.h5"), TINY_TEST);
    GOOD("predict", "again", "--stage", "student", "--split", "test", "--out", "some.h5");
    assert_int_equal(read_rows(after, TINY_TEST * TINY_CLASSES, "some.h5"), TINY_TEST);
    for (int i = 0; i < TINY_TEST * TINY_CLASSES; i++)
        assert_true(fabsf(before[i] - after[i]) <= 1e-4f * (1.0f + fabsf(before[i])));
    GOOD("export", "run", "--stage", "quantized", "--out", "quantized.onnx");
    char *one = tiny_read(test_path("run/bundle/int8/tiny.onnx"), &sizes[0]);
    char *other = tiny_read(test_path("quantized.onnx"), &sizes[1]);
    assert_true(one && other && sizes[0] == sizes[1] && sizes[0] > 1000);
    assert_memory_equal(one, other, sizes[0]);
    free(one);
    free(other);
    GOOD("export", "run", "--stage", "student", "--out", "student.tflite");
    one = tiny_read(test_path("student.tflite"), &sizes[0]);
    assert_true(one && sizes[0] > 1000 && memcmp(one + 4, "TFL3", 4) == 0);
    free(one);
}

// A bundle answers as the stage it was made from, and names its profile.
static void a_bundle_predicts_too(void **state)
{
    (void)state;
    static float stage[TINY_TEST * TINY_CLASSES], bundle[TINY_TEST * TINY_CLASSES];
    GOOD("predict", "run", "--stage", "quantized", "--out", "all.h5");
    read_rows(stage, TINY_TEST * TINY_CLASSES, "all.h5");
    GOOD("predict", "run/bundle/int8", "--out", "some.h5", "--json");
    assert_int_equal(read_rows(bundle, TINY_TEST * TINY_CLASSES, "some.h5"), TINY_TEST);
    assert_memory_equal(stage, bundle, sizeof stage);
    json_t *object = json_loads(outcome.out, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(object, "samples")), TINY_TEST);
    assert_string_equal(json_string_value(json_object_get(object, "arithmetic")), "tflm");
    json_decref(object);
    GOOD("eval", "ruy", "--run", "run", "--json");
    assert_non_null(strstr(outcome.out, "\"ruy\""));
    walk(NULL, (const char *const[]){"eval", "ruy", "--run", "run", "--stage", "student", NULL});
    assert_int_equal(outcome.exit_code, 2);
    walk(NULL, (const char *const[]){"eval", "run", "--run", "run", NULL});
    assert_int_equal(outcome.exit_code, 2);
}

static void copy_bundle(void)
{
    char command[2048];
    snprintf(command, sizeof command, "rm -rf '%s/bad' && cp -r '%s/run/bundle/int8' '%s/bad'",
             root, root, root);
    assert_int_equal(system(command), 0);
}

// verify must refuse the bundle `bad`, and name the file.
static void assert_caught(const char *name)
{
    walk(NULL, (const char *const[]){"verify", "bad", "--run", "run", NULL});
    if ((outcome.exit_code != 1 && outcome.exit_code != 4) || !strstr(outcome.err, name) ||
        outcome.out[0])
        fail_msg("%s: exit %d: %s%s", name, outcome.exit_code, outcome.out, outcome.err);
}

static void a_changed_bundle_is_caught(void **state)
{
    (void)state;
    struct dc_error error = {0};
    struct dc_h5 *h5 = NULL;
    struct dc_shape shape = {0};
    enum dc_dtype dtype = DC_F32;
    int8_t weights[4096];
    size_t size = 0;
    copy_bundle();
    char *bytes = tiny_read(test_path("bad/tiny.c"), &size);
    assert_non_null(bytes);
    char *array = strstr(strstr(bytes, "_weights["), "{");
    assert_non_null(array);
    char *digit = array + strcspn(array, "0123456789");
    *digit = *digit == '1' ? '2' : '1';
    test_write(test_path("bad/tiny.c"), bytes, size);
    free(bytes);
    assert_caught("bad/tiny.c");

    copy_bundle();
    if (dc_h5_open(&h5, test_path("bad/model.h5"), &error) != DC_OK ||
        dc_h5_describe(h5, "layers/01/weights", &dtype, &shape, &error) != DC_OK)
        fail_msg("%s", error.message);
    assert_int_equal(dtype, DC_I8);
    const size_t count = (size_t)dc_shape_count(&shape);
    assert_true(count <= sizeof weights);
    const struct dc_tensor tensor = {weights, DC_I8, shape};
    assert_int_equal(dc_h5_read(h5, "layers/01/weights", &tensor, &error), DC_OK);
    dc_h5_close(h5);
    bytes = tiny_read(test_path("bad/model.h5"), &size);
    char *at = memmem(bytes, size, weights, count);
    assert_non_null(at);
    at[count / 2] ^= 1;
    test_write(test_path("bad/model.h5"), bytes, size);
    free(bytes);
    assert_caught("bad/model.h5: 'layers/01/weights'");

    copy_bundle();
    assert_int_equal(remove(test_path("bad/tiny.h")), 0);
    assert_caught("bad/tiny.h");
    copy_bundle();
    assert_int_equal(remove(test_path("bad/model.h5")), 0);
    assert_caught("bad/model.h5");
}

static int set_up(void **state)
{
    walk_set_up(state);
    walk(NULL, (const char *const[]){"run", "export.yaml", "--run", "run", "--set",
                                     "stages.student.train.epochs=12", "--set",
                                     "stages.teacher.train.epochs=8", NULL});
    if (outcome.exit_code)
        fprintf(stderr, "%s", outcome.err);
    return outcome.exit_code;
}

// Networks are asked with the mean that they were trained with, and a word, whatever the training
// data is now.
static void the_training_data_may_change(void **state)
{
    (void)state;
    size_t size = 0;
    char *images = tiny_read(test_path("data/train-images-idx3-ubyte"), &size);
    GOOD("eval", "run", "--json");
    char *before = strdup(outcome.out);
    FILE *file = fopen(test_path("data/train-images-idx3-ubyte"), "wb");
    for (size_t i = 16; i < size; i++)
        images[i] = (char)((unsigned char)images[i] / 4);
    assert_true(file && fwrite(images, 1, size, file) == size && fclose(file) == 0);
    free(images);
    GOOD("eval", "run", "--json");
    assert_string_equal(outcome.out, before);
    free(before);
    assert_non_null(strstr(outcome.err, "training data has changed"));
}

// Another label of a test sample is told by whatever measures on it, and nothing goes on with it.
static void test_data_that_changed_is_told(void **state)
{
    (void)state;
    static const char labels[] = "data/t10k-labels-idx1-ubyte";
    size_t size = 0;
    char *bytes = tiny_read(test_path(labels), &size);
    assert_non_null(bytes);
    GOOD("train", "export.yaml", "teacher", "--run", "part");
    GOOD("eval", "run");
    assert_null(strstr(outcome.err, "hash"));
    bytes[size - 1] = (char)((bytes[size - 1] + 1) % TINY_CLASSES);
    test_write(test_path(labels), bytes, size);

    static const char told[] = "warning: the test data is not what run was made with (hash ";
    GOOD("eval", "run");
    assert_non_null(strstr(outcome.err, told));
    GOOD("verify", "run/bundle/int8");
    assert_non_null(strstr(outcome.err, told));
    GOOD("report", "run");
    assert_non_null(strstr(outcome.err, told));
    holds("run/report.html", "the test data is not what the run was made with (hash ");
    BAD(1, "the test data has changed since this run began", "run", "export.yaml", "--run", "part");
    assert_null(strstr(outcome.err, told));  // once is enough
    GOOD("train", "export.yaml", "teacher", "--run", "other");
    GOOD("compare", "part", "other", "--json");
    printed("\"key\": \"test_data_hash\"");

    bytes[size - 1] = (char)((bytes[size - 1] + TINY_CLASSES - 1) % TINY_CLASSES);
    test_write(test_path(labels), bytes, size);
    free(bytes);
    GOOD("eval", "run");
    assert_null(strstr(outcome.err, "hash"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_do_not_depend_on_the_batch),
        cmocka_unit_test(eval_agrees_with_predict),
        cmocka_unit_test(the_quantization_report_agrees_with_eval),
        cmocka_unit_test(simulated_evaluation_is_the_engines),
        cmocka_unit_test(other_data_of_the_same_images),
        cmocka_unit_test(exports_verify_under_every_profile),
        cmocka_unit_test(onnx_files_are_the_stages),
        cmocka_unit_test(a_bundle_predicts_too),
        cmocka_unit_test(a_changed_bundle_is_caught),
        cmocka_unit_test(test_data_that_changed_is_told),
        cmocka_unit_test(the_training_data_may_change),  // last
    };
    return cmocka_run_group_tests(tests, set_up, walk_tear_down);
}
