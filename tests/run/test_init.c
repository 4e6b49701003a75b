// `decant init`: from folders, arrays and tables to experiments that run as they are.

#include <jansson.h>
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

#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_photos.h"
#include "tests/run/helper_walk.h"

// Written, checked, and carried out with one epoch a stage.
static void runs_as_it_is(const char *data, const char *out, const char *directory)
{
    char path[128];
    GOOD("init", data, "--out", out, "--quick");
    GOOD("check", out);
    GOOD("run", out, "--run", directory, "--quiet", "--set", "stages.teacher.train.epochs=1",
         "--set", "stages.alone.train.epochs=1", "--set", "stages.student.train.epochs=1");
    snprintf(path, sizeof path, "%s/STATUS", directory);
    holds(path, "done");
}

static void class_folders_become_an_experiment(void **state)
{
    (void)state;
    photo_classes("own", 30, 1);
    GOOD("init", "own");  // 14 to 43 rows, 12 to 51 columns
    assert_non_null(strstr(outcome.out, "a                                        24            0  "
                                        "        6\n"));
    assert_non_null(strstr(outcome.out, "24 of 120 photographs are the test set"));
    assert_non_null(strstr(outcome.out, "decant run experiment.yaml"));
    holds("experiment.yaml",
          "\n  resize: {height: 16, width: 16, method: bilinear, fit: stretch}\n");
    holds("experiment.yaml", "\n  channels: 3\n");
    holds("experiment.yaml", "flip: {probability: 0.5}]\n");
    holds("experiment.yaml", "Too few samples to keep some for validation");
    BAD(2, "experiment.yaml is there, and nothing is overwritten", "init", "own");
    runs_as_it_is("own", "quick.yaml", "quick");
    holds("quick/report.html", "</html>");
    GOOD("init", "own", "--out", "said.yaml", "--json", "--target", "esp32-s3");
    json_t *said = json_loads(outcome.out, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(said, "names")), 4);
    assert_string_equal(json_string_value(json_object_get(said, "kind")), "photos");
    json_decref(said);
    holds("said.yaml", "power_of_two: true, symmetric: true, conv_granularity: per_tensor");
    assert_int_equal(mkdir(test_path("elsewhere"), 0777), 0);
    GOOD("init", "own", "--out", "elsewhere/e.yaml");  // paths hold from there
    GOOD("check", "elsewhere/e.yaml");
    char *text = tiny_read(test_path("elsewhere/e.yaml"), NULL);
    assert_non_null(strstr(text, "\n  path: /"));
    free(text);
}

static json_t *photos_of(const char *const *arguments)
{
    walk(NULL, arguments);
    if (outcome.exit_code != 0)
        fail_msg("exit %d: %s", outcome.exit_code, outcome.err);
    json_t *json = json_loads(outcome.out, 0, NULL);
    assert_non_null(json);
    return json;
}

static double share(const json_t *photo, size_t class)
{
    return json_real_value(json_array_get(json_object_get(photo, "probabilities"), class));
}

// The margin in codes, from probabilities and the scale that the manifest states.
static int margin_of(const json_t *photo, double scale)
{
    double first = 0.0, second = 0.0;
    for (size_t c = 0; c < 4; c++) {
        const double p = share(photo, c);
        second = p > first ? first : p > second ? p : second;
        first = p > first ? p : first;
    }
    return (int)lrint(log(first / second) / scale);
}

// Who settles a photograph, and that its answer is that of the stage alone.
static void a_cascade_sends_on_what_is_not_sure(void **state)
{
    (void)state;
#define ASK(...)                                                                                   \
    photos_of((const char *const[]){"predict", "quick", "own/a", "own/b", __VA_ARGS__, NULL})
    json_t *device = ASK("--json", "--stage", "quantized");
    json_t *teacher = ASK("--json", "--stage", "teacher");
    json_t *manifest = json_load_file(test_path("quick/bundle/int8/manifest.json"), 0, NULL);
    const json_t *layers = json_object_get(manifest, "layers");
    const json_t *last = json_array_get(layers, json_array_size(layers) - 1);
    const double scale = json_number_value(
        json_object_get(json_object_get(json_object_get(last, "output"), "scale"), "value"));
    assert_true(scale > 0.0);
    int margins[60], sorted[60], kept = 0;
    for (size_t i = 0; i < 60; i++) {
        margins[i] = margin_of(json_array_get(json_object_get(device, "photos"), i), scale);
        int k = (int)i;
        for (; k > 0 && sorted[k - 1] > margins[i]; k--)
            sorted[k] = sorted[k - 1];
        sorted[k] = margins[i];
    }
    const int threshold = sorted[30] > 0 ? sorted[30] : 1;
    char text[16];
    snprintf(text, sizeof text, "%d", threshold);
    json_t *both = ASK("--json", "--cascade", "quantized,teacher", "--threshold", text);
    for (size_t i = 0; i < 60; i++) {
        const json_t *photo = json_array_get(json_object_get(both, "photos"), i);
        const bool stays = margins[i] >= threshold;
        const json_t *alone = json_array_get(json_object_get(stays ? device : teacher, "photos"),
                                             i);
        assert_int_equal(json_integer_value(json_object_get(photo, "margin")), margins[i]);
        assert_string_equal(json_string_value(json_object_get(photo, "settled")),
                            stays ? "quantized" : "teacher");
        assert_string_equal(json_string_value(json_object_get(photo, "class")),
                            json_string_value(json_object_get(alone, "class")));
        for (size_t c = 0; c < 4; c++)
            assert_true(share(photo, c) == share(alone, c));
        kept += stays;
    }
    const json_t *totals = json_object_get(both, "cascade");
    assert_int_equal(json_integer_value(json_object_get(totals, "settled")), kept);
    assert_int_equal(json_integer_value(json_object_get(totals, "teacher")), 60 - kept);
    assert_true(kept > 0 && kept < 60);
    json_decref(device);
    json_decref(teacher);
    json_decref(manifest);
    json_decref(both);
    GOOD("predict", "quick", "own/a", "--cascade", "quantized,teacher", "--threshold", text);
    assert_non_null(strstr(outcome.out, "by the teacher\n"));
    for (const char *line = outcome.out, *end; (end = strchr(line, '\n')); line = end + 1)
        assert_true(end - line <= 80);
    GOOD("predict", "quick", "own/a", "--cascade", "quantized,teacher", "--threshold", text,
         "--out", "c.csv");
    holds("c.csv", "file,class,probability,settled,margin\r\n");
    BAD(2, "chose no threshold for stage 'quantized'", "predict", "quick", "own/a", "--cascade",
        "quantized,teacher");
    BAD(2, "names two stages", "predict", "quick", "own/a", "--cascade", "quantized");
    BAD(2, "a cascade is of a quantized stage", "predict", "quick", "own/a", "--cascade",
        "alone,teacher", "--threshold", "9");
    BAD(2, "--threshold is for --cascade", "predict", "quick", "own/a", "--threshold", "9");
    BAD(2, "--cascade is for photographs and a run", "predict", "quick/bundle/int8", "own/a",
        "--cascade", "quantized,teacher", "--threshold", "9");
}

// Pictures of one size stay as they are, grey ones have one channel.
static void grey_pictures_have_one_channel(void **state)
{
    (void)state;
    char path[64];
    assert_int_equal(mkdir(test_path("grey"), 0777), 0);
    for (int i = 0; i < 12; i++) {
        char command[1200];
        snprintf(path, sizeof path, "grey/%c", i % 2 ? 'b' : 'a');
        mkdir(test_path(path), 0777);
        snprintf(path, sizeof path, "grey/%c/%d.png", i % 2 ? 'b' : 'a', i);
        snprintf(
            command, sizeof command,
            "python3 -c 'import zlib,struct,sys\n"
            "c=lambda k,d:struct.pack(\">I\",len(d))+k+d+struct.pack(\">I\",zlib.crc32(k+d))\n"
            "open(sys.argv[1],\"wb\").write(b\"\\x89PNG\\r\\n\\x1a\\n\"+c(b\"IHDR\",struct.pack("
            "\">IIBBBBB\",10,12,8,0,0,0,0))+c(b\"IDAT\",zlib.compress((b\"\\0\"+bytes([%d]*10))*"
            "12))+c(b\"IEND\",b\"\"))' %s/%s",
            20 * i, root, path);
        assert_int_equal(system(command), 0);
    }
    GOOD("init", "grey", "--out", "grey.yaml");
    holds("grey.yaml", "All are 12x10 (height x width): taken as they are.");
    holds("grey.yaml", "\n  channels: 1\n");
    holds("grey.yaml", "Not mirrored: digits and letters would become others.");
    GOOD("check", "grey.yaml");
}

static void other_data_is_known_too(void **state)
{
    (void)state;
    runs_as_it_is("idx:data", "idx.yaml", "idx");
    holds("idx.yaml", "\n  source: idx\n");
    GOOD("data", "idx:data", "--out", "same.h5");
    GOOD("init", "same.h5", "--out", "h5.yaml");
    GOOD("check", "h5.yaml");
    holds("h5.yaml", "\nname: same\n");
}

static void recordings_become_windows(void **state)
{
    (void)state;
    char command[1200];
    snprintf(command, sizeof command, "python3 %s/tests/run/make_motions.py %s/motions 6",
             DECANT_SOURCE_DIR, root);
    assert_int_equal(system(command), 0);
    GOOD("init", "motions", "--out", "motions.yaml");
    assert_non_null(strstr(outcome.out, "windows of 128, every 64"));
    holds("motions.yaml", "\n  window: 128\n  stride: 64\n");
    GOOD("run", "motions.yaml", "--run", "motions-run", "--quiet", "--set",
         "stages.teacher.train.epochs=8", "--set", "stages.alone.train.epochs=30", "--set",
         "stages.student.train.epochs=8");
    json_t *results = json_load_file(test_path("motions-run/results.json"), 0, NULL);
    const json_t *alone = json_object_get(json_object_get(results, "stages"), "alone");
    const double right = json_real_value(
        json_object_get(json_object_get(alone, "float"), "accuracy"));
    if (right < 0.75)
        fail_msg("three motions are told apart in %.0f %%", 100.0 * right);
    json_decref(results);
    holds("motions-run/bundle/int8/ds_cnn_1d.h", "DS_CNN_1D_INPUT_SIZE");
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    BAD(1, "not-there: no such file or folder", "init", "not-there", "--out", "x.yaml");
    BAD(2, "no target 'cortex-m5'", "init", "own", "--out", "x.yaml", "--target", "cortex-m5");
    assert_non_null(strstr(outcome.err, "did you mean 'cortex-m"));
    tiny_text(test_path("small.yaml"), "name: small\nprofile: tflm\nflash: 300\n");
    BAD(3, "no network that init knows stays within", "init", "own", "--out", "x.yaml", "--target",
        "small.yaml");
    photo_classes("torn", 6, 1);
    tiny_text(test_path("torn/a/000.bmp"), "BM");
    tiny_text(test_path("torn/b/001.bmp"), "no picture");
    BAD(1, "torn: 2 photographs cannot be read", "init", "torn", "--out", "x.yaml");
    assert_non_null(strstr(outcome.err, "torn/b/001.bmp: neither JPEG, PNG nor BMP"));
    assert_int_equal(mkdir(test_path("torn/empty"), 0777), 0);
    BAD(1, "class 'empty' has no photograph here", "init", "torn", "--out", "x.yaml");
    tiny_text(test_path("x.csv"), "file,who\nown/a/000.bmp,me\n");
    BAD(1,
        "x.csv:2:15: error: there is no column 'label', and 'me' in column 'who' is no finite "
        "number",
        "init", "x.csv", "--out", "x.yaml");
    tiny_text(test_path("x.csv"), "file,label\na.png,1.5\nb.png,2.5\nc.png,nan\nd.png,0.5\n");
    BAD(1, "x.csv:4:7: error: 'nan' is no finite number", "init", "x.csv", "--out", "x.yaml");
    tiny_text(test_path("x.csv"), "file,label\nown/a/000.bmp,1\n\"own/a/001.bmp,2\n");
    BAD(1, "x.csv:3:1: error: the quote that begins here is never closed", "init", "x.csv", "--out",
        "x.yaml");
    tiny_text(test_path("x.csv"), "t,ax,ay\n0,1,2\n1,2,3\n");
    BAD(1, "x.csv:2:1: error: no cell of this row names a photograph", "init", "x.csv", "--out",
        "x.yaml");
    tiny_text(test_path("x_train.npy"), "");
    BAD(1, "x_train.npy: is one array; name the folder", "init", "x_train.npy", "--out", "x.yaml");
    BAD(1, "000.bmp: is one photograph", "init", "own/a/000.bmp", "--out", "x.yaml");
    assert_int_not_equal(access(test_path("x.yaml"), F_OK), 0);
    assert_int_equal(symlink("nowhere", test_path("x.yaml")), 0);
    BAD(2, "x.yaml is there, and nothing is overwritten", "init", "own", "--out", "x.yaml");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(class_folders_become_an_experiment),
        cmocka_unit_test(a_cascade_sends_on_what_is_not_sure),
        cmocka_unit_test(grey_pictures_have_one_channel),
        cmocka_unit_test(other_data_is_known_too),
        cmocka_unit_test(recordings_become_windows),
        cmocka_unit_test(what_is_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, walk_set_up, walk_tear_down);
}
