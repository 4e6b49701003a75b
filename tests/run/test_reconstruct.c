// A network that gives back its input, from training to export: the binary itself, on the tiny
// images, of which two classes of four are normal. Errors are worked out here from the pixels and
// the outputs of decant predict, the AUC from every pair.

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

#include "core/h5.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_walk.h"

enum { PIXELS = TINY_SIDE * TINY_SIDE, EPOCHS = 30, NORMAL = TINY_TRAIN / 2, BATCH = 16 };

static const char *const stages[] = {"student", "calibrated", "quantized"};

static const char experiment[] =
    "name: tiny\n"
    "data: {source: idx, path: data, normal: [1, 2]}\n"
    "target: target.yaml\n"
    "stages:\n"
    "  student:\n"
    "    model: %s/configs/models/autoencoder.yaml\n"
    "    parameters: {height: 12, width: 12, units: 32, bottleneck: 4, depth: 1}\n"
    "    train: {epochs: 30, batch: 16, loss: reconstruction, optimizer: adamw, learning_rate: "
    "0.01}\n"
    "  calibrated: {from: student, quantize: {}}\n"
    "  quantized: {from: student, quantize: {}, train: {epochs: 2, learning_rate: 0.001}}\n"
    "  int8: {export: quantized}\n";

#define DECANT_HERE(...)                                                                           \
    run_decant(&outcome, &(const struct child){.folder = root},                                    \
               (const char *const[]){__VA_ARGS__, NULL})

static int label_of(int sample)
{
    return sample * 7 % TINY_CLASSES;  // as tests/run/helper_experiment.c writes them
}

static bool is_anomalous(int sample)
{
    return label_of(sample) != 1 && label_of(sample) != 2;
}

// Pixels of the test images, normalized by mean and deviation of the normal training images.
static void read_inputs(double inputs[TINY_TEST * PIXELS])
{
    size_t sizes[2];
    unsigned char *train = (unsigned char *)tiny_read(test_path("data/train-images-idx3-ubyte"),
                                                      &sizes[0]);
    unsigned char *test = (unsigned char *)tiny_read(test_path("data/t10k-images-idx3-ubyte"),
                                                     &sizes[1]);
    double sum = 0.0, square = 0.0;
    assert_true(train && sizes[0] == 16 + TINY_TRAIN * PIXELS);
    assert_true(test && sizes[1] == 16 + TINY_TEST * PIXELS);
    for (int i = 0; i < TINY_TRAIN * PIXELS; i++)
        sum += is_anomalous(i / PIXELS) ? 0.0 : train[16 + i] / 255.0;
    const double mean = sum / (NORMAL * PIXELS);
    for (int i = 0; i < TINY_TRAIN * PIXELS; i++)
        square += is_anomalous(i / PIXELS) ? 0.0 : pow(train[16 + i] / 255.0 - mean, 2);
    for (int i = 0; i < TINY_TEST * PIXELS; i++)
        inputs[i] = (test[16 + i] / 255.0 - mean) / sqrt(square / (NORMAL * PIXELS));
    free(train);
    free(test);
}

static void read_outputs(float *outputs, const char *stage)
{
    struct dc_h5 *file = NULL;
    struct dc_error error;
    const struct dc_tensor tensor = {outputs, DC_F32, DC_SHAPE(TINY_TEST, PIXELS)};
    GOOD("predict", "run", "--stage", stage, "--split", "test", "--out", "all.h5");
    assert_int_equal(dc_h5_open(&file, test_path("all.h5"), &error), DC_OK);
    assert_int_equal(dc_h5_read(file, "logits", &tensor, &error), DC_OK);
    dc_h5_close(file);
}

static double number(const json_t *object, const char *key)
{
    const json_t *found = json_object_get(object, key);
    assert_true(json_is_number(found));
    return json_number_value(found);
}

// A pixel and a scale are rounded once to float32 each: relative errors of some 2^-23.
static void assert_near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-5 * expected))
        fail_msg("%.9g, not %.9g", value, expected);
}

static void eval_is_what_the_outputs_say(void **state)
{
    (void)state;
    static double inputs[TINY_TEST * PIXELS];
    static float outputs[TINY_TEST * PIXELS];
    read_inputs(inputs);
    for (int s = 0; s < 3; s++) {
        double errors[TINY_TEST] = {0.0}, sums[2] = {0.0}, won = 0.0, pairs = 0.0;
        int counts[2] = {0};
        read_outputs(outputs, stages[s]);
        for (int i = 0; i < TINY_TEST * PIXELS; i++)
            errors[i / PIXELS] += pow((double)outputs[i] - inputs[i], 2) / PIXELS;
        for (int n = 0; n < TINY_TEST; n++) {
            sums[is_anomalous(n)] += errors[n];
            counts[is_anomalous(n)]++;
            for (int m = 0; m < TINY_TEST; m++) {
                pairs += is_anomalous(n) && !is_anomalous(m);
                if (is_anomalous(n) && !is_anomalous(m))
                    won += errors[n] > errors[m] ? 1.0 : 0.0;
            }
        }
        GOOD("eval", "run", "--stage", stages[s], "--json");
        json_t *object = json_loads(outcome.out, 0, NULL);
        assert_non_null(object);
        assert_true(number(object, "samples") == TINY_TEST);
        assert_near(number(object, "loss"), (sums[0] + sums[1]) / TINY_TEST);
        assert_near(number(object, "normal_error"), sums[0] / counts[0]);
        assert_near(number(object, "anomalous_error"), sums[1] / counts[1]);
        assert_true(fabs(number(object, "auc") - won / pairs) <= 1.0 / pairs);
        assert_true(won > 0.9 * pairs);  // it learned what is normal
        assert_null(json_object_get(object, "accuracy"));
        json_decref(object);
    }
}

// The run's own record, the report on quantization and the bundle say the same as eval.
static void all_reports_agree(void **state)
{
    (void)state;
    json_error_t problem;
    json_t *results = json_load_file(test_path("run/results.json"), 0, &problem);
    assert_non_null(results);
    for (int s = 0; s < 3; s++) {
        const json_t *stage = json_object_get(json_object_get(results, "stages"), stages[s]);
        const char *kinds[] = {"float", s ? "int8" : "float"};
        GOOD("eval", "run", "--stage", stages[s], "--json");
        json_t *eval = json_loads(outcome.out, 0, NULL);
        assert_true(number(json_object_get(stage, kinds[1]), "auc") == number(eval, "auc"));
        assert_true(number(json_object_get(stage, kinds[1]), "loss") == number(eval, "loss"));
        json_decref(eval);
        if (s != 1)
            assert_true(number(stage, "steps") ==
                        (s ? 2 : EPOCHS) * ((NORMAL + BATCH - 1) / BATCH));
    }
    GOOD("eval", "run", "--stage", "quantized", "--quantization");
    char line[64];
    const json_t *stage = json_object_get(json_object_get(results, "stages"), "quantized");
    snprintf(line, sizeof line, "\ninteger      AUC %.4f\n",
             number(json_object_get(stage, "int8"), "auc"));
    assert_non_null(strstr(outcome.out, line));
    assert_null(strstr(outcome.out, "flips"));
    GOOD("eval", "run/bundle/int8", "--json");
    json_t *bundle = json_loads(outcome.out, 0, NULL);
    assert_true(number(bundle, "auc") == number(json_object_get(stage, "int8"), "auc"));
    json_decref(bundle);
    json_decref(results);
}

// No accuracy is claimed for what knows no labels; validation is the AUC.
static void metrics_say_what_was_measured(void **state)
{
    (void)state;
    char *metrics = tiny_read(test_path("run/metrics.jsonl"), NULL);
    assert_non_null(metrics);
    assert_null(strstr(metrics, "accuracy"));
    assert_null(strstr(metrics, "validation"));
    free(metrics);
    GOOD("run", "ae.yaml", "--run", "validated", "--set", "data.validation=40", "--set",
         "stages.student.train.epochs=2");
    assert_non_null(strstr(outcome.err, "validation AUC 0."));
    metrics = tiny_read(test_path("validated/metrics.jsonl"), NULL);
    assert_non_null(strstr(metrics, "\"validation_auc\""));
    assert_null(strstr(metrics, "accuracy"));
    free(metrics);
}

static void bits_do_not_depend_on_threads(void **state)
{
    (void)state;
    char where[256];
    GOOD("run", "ae.yaml", "--run", "one", "--threads", "1");
    for (int s = 0; s < 3; s++) {
        char names[2][128], paths[2][512];
        for (int k = 0; k < 2; k++) {
            snprintf(names[k], sizeof names[k], "%s/checkpoints/%s/final.h5", k ? "one" : "run",
                     stages[s]);
            snprintf(paths[k], sizeof paths[k], "%s", test_path(names[k]));
        }
        if (!tiny_same_arrays(paths[0], paths[1], where))
            fail_msg("%s: %s", stages[s], where);
    }
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *verb, *set;
        int exit_code;
        const char *words[OUTCOME_WORDS];
    } cases[] = {
        {"labels of normal classes alone",
         "check",
         "stages.student.train.loss=cross_entropy",
         2,
         {"stage 'student' learns labels", "data.normal"}},
        {"validation of nothing", "check", "data={path: data, validation: 40}", 2, {"validated"}},
        {"scores of a teacher",
         "check",
         "stages.quantized.distill={teacher: student, losses: [kd: {}]}",
         2,
         {"stage 'quantized'", "'kd' compares class scores"}},
        {"no such label", "run", "data.normal=[9]", 2, {"there is no label 9", "0 to 3"}},
        {"half a label", "run", "data.normal=[0.5]", 2, {"must be a whole number, not 0.5"}},
        {"all are normal", "run", "data.normal=[0, 1, 2, 3]", 2, {"no sample is of another"}},
        {"a classifier",
         "check",
         "stages.student={model: model.yaml, train: {loss: reconstruction}}",
         2,
         {"as many values as a sample has, 144, not 4"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (strcmp(cases[i].verb, "run") == 0)
            DECANT_HERE("run", "ae.yaml", "--run", "refused", "--set", cases[i].set);
        else
            DECANT_HERE("check", "ae.yaml", "--set", cases[i].set);
        assert_outcome(&outcome, cases[i].name, cases[i].exit_code, cases[i].words);
    }
}

static int set_up(void **state)
{
    char text[2048];
    walk_set_up(state);
    snprintf(text, sizeof text, experiment, DECANT_SOURCE_DIR);
    tiny_text(test_path("ae.yaml"), text);
    DECANT_HERE("run", "ae.yaml", "--run", "run", "--threads", "2");
    if (outcome.exit_code)
        fprintf(stderr, "%s", outcome.err);
    return outcome.exit_code;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eval_is_what_the_outputs_say),
        cmocka_unit_test(all_reports_agree),
        cmocka_unit_test(metrics_say_what_was_measured),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, walk_tear_down);
}
