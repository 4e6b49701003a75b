// TFLite files as stages: a float one taken as it is, one of integers run, exported and proven as
// it is, and both as a student's start. The files are those that Decant writes of a tiny run, whose
// own results are the oracle; other runtimes' files are tests/interop/check_tflite's.

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_walk.h"

static const char head[] = "name: lite\n"
                           "data: {source: idx, path: data, validation: 40}\n"
                           "target: target.yaml\n"
                           "stages:\n";

// Of the run in `outcome`: a number of a stage's results, "float" or "int8" among them.
static double result(const char *stage, const char *form, const char *key)
{
    const char *words[] = {stage, form, key};
    const char *at = strstr(outcome.out, "\"stages\":");
    char quoted[64];
    for (int i = 0; at && i < 3; i++) {
        snprintf(quoted, sizeof quoted, "\"%s\":", words[i]);
        at = strstr(at, quoted);
        at = at ? at + strlen(quoted) : NULL;
    }
    if (!at)
        fail_msg("no %s of %s of '%s' in: %.600s", key, form, stage, outcome.out);
    return atof(at);
}

static void write_experiment(const char *name, const char *text)
{
    char all[2048];
    snprintf(all, sizeof all, "%s%s", head, text);
    tiny_text(test_path(name), all);
}

static double trained_loss, integer_loss;

// A run of floats and integers, and both as TFLite.
static int make_files(void **state)
{
    if (walk_set_up(state) != 0)
        return 1;
    write_experiment("make.yaml",
                     "  trained: {model: model.yaml, train: {epochs: 2, batch: 32, "
                     "learning_rate: 0.05}}\n"
                     "  calibrated: {from: trained, quantize: {calibration_samples: 64}}\n");
    GOOD("run", "make.yaml", "--run", "make", "--json");
    trained_loss = result("trained", "float", "loss");
    integer_loss = result("calibrated", "int8", "loss");
    GOOD("export", "make", "--stage", "trained", "--out", "floats.tflite");
    GOOD("export", "make", "--stage", "calibrated", "--out", "integers.tflite");
    return 0;
}

static void floats_are_taken_as_they_are(void **state)
{
    (void)state;
    write_experiment("floats.yaml",
                     "  imported: {model: floats.tflite}\n"
                     "  same: {from: imported, train: {epochs: 1, learning_rate: 0}}\n"
                     "  student: {model: model.yaml, train: {epochs: 1, batch: 32},\n"
                     "            distill: {teacher: imported}}\n");
    GOOD("run", "floats.yaml", "--run", "floats", "--json");
    const double apart = result("imported", "float", "loss") - trained_loss;
    assert_true(apart < 1e-6 && apart > -1e-6);  // batch normalization is folded in the file
    assert_true(result("imported", "float", "loss") == result("same", "float", "loss"));
    GOOD("inspect", "floats.tflite");
    printed("conv");
}

static void integers_are_taken_as_they_are(void **state)
{
    (void)state;
    write_experiment("integers.yaml", "  keras: {model: integers.tflite}\n"
                                      "  int8: {export: keras, formats: [bundle, c, tflite]}\n");
    GOOD("check", "integers.yaml");
    printed("keras");
    GOOD("run", "integers.yaml", "--run", "integers", "--json");
    assert_true(result("keras", "int8", "loss") == integer_loss);
    assert_non_null(strstr(outcome.out, "\"different\": 0"));
    GOOD("verify", "integers/bundle/int8");
    printed("all equal");
    GOOD("eval", "integers", "--stage", "keras", "--profile", "litert-xnnpack");
    printed("litert-xnnpack arithmetic");
    GOOD("eval", "integers", "--stage", "keras", "--quantization");
    GOOD("export", "integers", "--stage", "keras", "--out", "again.tflite");
    holds("integers/report.html", "integers, taken as they are");
    // The record says what was said: no quantize that nobody asked for.
    size_t size;
    char *text = tiny_read(test_path("integers/resolved.yaml"), &size);
    assert_non_null(text);
    assert_non_null(strstr(text, "quantize: ''"));
    free(text);
    GOOD("run", "integers/resolved.yaml", "--run", "second", "--json");
    assert_true(result("keras", "int8", "loss") == integer_loss);
}

// With 'train' or 'quantize' it is the float network that the integers stand for.
static void integers_are_a_start(void **state)
{
    (void)state;
    write_experiment("start.yaml",
                     "  keras: {model: integers.tflite}\n"
                     "  floats: {model: integers.tflite, train: {epochs: 1, learning_rate: 0}}\n"
                     "  later: {from: keras, train: {epochs: 1, learning_rate: 0}}\n"
                     "  anew: {model: integers.tflite, quantize: {calibration_samples: 64}}\n"
                     "  trained: {from: keras, quantize: {}, train: {epochs: 1, batch: 32}}\n"
                     "  student: {model: model.yaml, train: {epochs: 1, batch: 32},\n"
                     "            distill: {teacher: keras}}\n");
    GOOD("run", "start.yaml", "--run", "start", "--json");
    const double floats = result("keras", "float", "loss");
    assert_true(result("floats", "float", "loss") == floats);
    assert_true(result("later", "float", "loss") == floats);
    const double apart = result("anew", "int8", "loss") - integer_loss;
    if (apart > 0.05 || apart < -0.05)
        fail_msg("int8 loss %g apart, floats %g, integers %g", apart, floats, integer_loss);
}

static void what_does_not_fit_is_told(void **state)
{
    (void)state;
    write_experiment("layout.yaml", "  keras: {model: integers.tflite, layout: nchw}\n");
    BAD(2, "'layout' is of an ONNX file", "check", "layout.yaml");
    write_experiment("sizes.yaml", "  keras: {model: integers.tflite, parameters: {width: 3}}\n");
    BAD(2, "a TFLite network has no parameters, and so no 'width'", "check", "sizes.yaml");
    write_experiment("output.yaml", "  keras: {model: floats.tflite, output: nowhere}\n");
    BAD(1, "no operator gives a value 'nowhere'", "check", "output.yaml");
    tiny_text(test_path("none.yaml"), "name: n\ndata: {source: idx, path: data}\n"
                                      "stages:\n  keras: {model: integers.tflite}\n");
    BAD(2, "stage 'keras' is a file of integers: the experiment needs a 'target'", "check",
        "none.yaml");
    tiny_text(test_path("broken.tflite"), "\x10\0\0\0TFL3");
    write_experiment("broken.yaml", "  keras: {model: broken.tflite}\n");
    BAD(1, "broken.tflite: not a TFLite file, or a damaged one", "check", "broken.yaml");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats_are_taken_as_they_are),
        cmocka_unit_test(integers_are_taken_as_they_are),
        cmocka_unit_test(integers_are_a_start),
        cmocka_unit_test(what_does_not_fit_is_told),
    };
    return cmocka_run_group_tests(tests, make_files, walk_tear_down);
}
