// ONNX files as stages of an experiment: taken as they are, teaching at their own size and with
// their own normalization, calibrated and exported, trained on, and as a student's start.

#include "tests/formats/helper_onnx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_process.h"

static struct outcome outcome;
static struct onnx_file file;

// Convolution, ReLU, mean, dense on images of `side` pixels.
static void write_network(const char *path, int side, int filters)
{
    onnx_begin(&file, 13, "image", 4, (int64_t[]){0, 1, side, side});
    onnx_floats(&file, "stem.weight", 4, (int64_t[]){filters, 1, 3, 3});
    onnx_floats(&file, "stem.bias", 1, (int64_t[]){filters});
    onnx_floats(&file, "logits.weight", 2, (int64_t[]){TINY_CLASSES, filters});
    onnx_floats(&file, "logits.bias", 1, (int64_t[]){TINY_CLASSES});
    onnx_node(&file, "Conv", "image stem.weight stem.bias", "a", "pads=1,1,1,1");
    onnx_node(&file, "Relu", "a", "b", "");
    onnx_node(&file, "GlobalAveragePool", "b", "c", "");
    onnx_node(&file, "Flatten", "c", "d", "");
    onnx_node(&file, "Gemm", "d logits.weight logits.bias", "y", "transB=1");
    onnx_save(&file, path, "y");
}

static const char head[] = "name: import\n"
                           "data: {source: idx, path: data, validation: 40, augment: [flip]}\n"
                           "target: target.yaml\n"
                           "stages:\n";

// The same layers as a model file, under the names given.
static void write_model(const char *path, const char *stem, const char *logits, int filters)
{
    char text[512];
    snprintf(text, sizeof text,
             "name: like\ninput: [12, 12, 1]\nlayers:\n"
             "  - conv: {name: %s, filters: %d, kernel: 3, padding: same}\n"
             "  - relu\n  - global_average_pool\n  - dense: {name: %s, units: 4}\n",
             stem, filters, logits);
    tiny_text(path, text);
}

static void run(const char *name, const char *stages, int exit_code, const char *a, const char *b)
{
    char text[4096], path[512];
    snprintf(text, sizeof text, "%s%s", head, stages);
    snprintf(path, sizeof path, "%s.yaml", test_path(name));
    tiny_text(path, text);
    DECANT(&outcome, NULL, "run", path, "--run", test_path(name), "--json");
    assert_outcome(&outcome, name, exit_code, (const char *const[OUTCOME_WORDS]){a, b});
}

static int set_up(void **state)
{
    (void)state;
    test_folder();
    tiny_files();
    write_network(test_path("net.onnx"), TINY_SIDE, 6);
    write_network(test_path("large.onnx"), 16, 6);
    write_model(test_path("named.yaml"), "stem", "logits", 6);
    write_model(test_path("other.yaml"), "first", "last", 6);
    write_model(test_path("wide.yaml"), "first", "last", 7);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

// Test losses of two stages, from the results that --json printed: equal weights give equal ones.
static double loss_of(const char *stage)
{
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", stage);
    const char *at = strstr(outcome.out, key);
    at = at ? strstr(at, "\"float\":") : NULL;  // behind the settings, which name a loss too
    at = at ? strstr(at, "\"loss\":") : NULL;
    if (!at)
        fail_msg("no loss of '%s' in: %.600s", stage, outcome.out);
    return atof(at + strlen("\"loss\":"));
}

static void taken_as_it_is_and_trained_on(void **state)
{
    (void)state;
    run("taken",
        "  imported: {model: net.onnx}\n"
        "  same: {from: imported, train: {epochs: 1, batch: 32, learning_rate: 0}}\n"
        "  own: {model: net.onnx, train: {epochs: 1, batch: 32, learning_rate: 0}}\n"
        "  better: {from: imported, train: {epochs: 2, batch: 32, learning_rate: 0.05}}\n",
        0, NULL, NULL);
    assert_true(loss_of("imported") == loss_of("same"));
    assert_true(loss_of("imported") == loss_of("own"));
    assert_true(loss_of("better") < loss_of("imported"));
}

static void calibrated_and_exported(void **state)
{
    (void)state;
    run("integers",
        "  imported: {model: net.onnx}\n"
        "  calibrated: {from: imported, quantize: {}}\n"
        "  int8: {export: calibrated}\n",
        0, NULL, NULL);
    assert_non_null(strstr(outcome.out, "\"different\": 0"));
}

// By name, by order, and with both shapes where neither fits.
static void a_student_starts_from_onnx(void **state)
{
    (void)state;
    run("starts",
        "  imported: {model: net.onnx}\n"
        "  named: {model: named.yaml, train: {epochs: 1, learning_rate: 0, init_from: net.onnx}}\n"
        "  order: {model: other.yaml, train: {epochs: 1, learning_rate: 0, init_from: net.onnx}}\n",
        0, NULL, NULL);
    assert_true(loss_of("imported") == loss_of("named"));
    assert_true(loss_of("imported") == loss_of("order"));
    run("misfit", "  wide: {model: wide.yaml, train: {epochs: 1, init_from: net.onnx}}\n", 2,
        "first.weight [3, 3, 1, 7]", "stem.weight [3, 3, 1, 6]");
}

// A view of its own: 16 pixels, another normalization. With a cache the bits are the same.
static void teaches_at_its_own_size(void **state)
{
    (void)state;
    static const char stages[] =
        "  teacher: {model: large.onnx, normalize: {mean: [0.3], deviation: [0.2]}}\n"
        "  student: {model: named.yaml, train: {epochs: 2, batch: 32, learning_rate: 0.05},\n"
        "            distill: {teacher: teacher%s}}\n";
    char text[1024], a[512], b[512], where[256];
    snprintf(text, sizeof text, stages, "");
    run("online", text, 0, NULL, NULL);
    snprintf(text, sizeof text, stages, ", cache: {path: kept}");
    run("cached", text, 0, NULL, NULL);
    snprintf(a, sizeof a, "%s/checkpoints/student/final.h5", test_path("online"));
    snprintf(b, sizeof b, "%s/checkpoints/student/final.h5", test_path("cached"));
    if (!tiny_same_arrays(a, b, where))
        fail_msg("%s", where);
    DECANT(&outcome, NULL, "verify", test_path("kept"));
    assert_outcome(&outcome, "verify", 0, (const char *const[OUTCOME_WORDS]){NULL});
    assert_non_null(strstr(outcome.out, "0 outputs differ"));
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    run("untrained", "  nothing: {model: named.yaml}\n", 2, "'train'", "ONNX");
    run("missing", "  nothing: {model: nothing.onnx}\n", 2, "nothing.onnx", NULL);
    test_write(test_path("broken.onnx"), "\x08\x07\x12\xff", 4);
    run("broken", "  damaged: {model: broken.onnx}\n", 1, "broken.onnx", NULL);
    run("size", "  sized: {model: net.onnx, parameters: {depth: 3}}\n", 2, "height and width",
        "depth");
}

// Which of two outputs is taken is told by every verb that reads the file, until somebody says it.
static void one_of_two_outputs_is_told(void **state)
{
    (void)state;
    static const char told[] = "two.onnx has several outputs, and its first, 'y', is taken; "
                               "'output' of the stage names another: d";
    char path[512];
    write_network(test_path("two.onnx"), TINY_SIDE, TINY_CLASSES);
    onnx_save(&file, test_path("two.onnx"), "y d");  // d: as many values
    run("two", "  a: {model: two.onnx}\n", 0, told, NULL);
    snprintf(path, sizeof path, "%s.yaml", test_path("two"));
    DECANT(&outcome, NULL, "check", path);
    assert_non_null(strstr(outcome.out, "two.onnx has several outputs, and its first, 'y', is"));
    DECANT(&outcome, NULL, "inspect", test_path("two.onnx"));
    assert_non_null(strstr(outcome.out, "of its first output, 'y'; the others: d\n"));
    run("chosen", "  a: {model: two.onnx, output: d}\n", 0, NULL, NULL);
    assert_null(strstr(outcome.err, "outputs"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taken_as_it_is_and_trained_on),
        cmocka_unit_test(calibrated_and_exported),
        cmocka_unit_test(a_student_starts_from_onnx),
        cmocka_unit_test(teaches_at_its_own_size),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(one_of_two_outputs_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
