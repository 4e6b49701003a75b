// Labels that are numbers or tags, from a table to C, HDF5, comparison and card.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/error.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_photos.h"
#include "tests/run/helper_walk.h"

enum { ROWS = 60 };

static const char run_quickly[] = "stages.teacher.train.epochs=1";

static void sets_up(const char *table, const char *experiment, const char *run)
{
    GOOD("init", table, "--out", experiment, "--quick");
    GOOD("run", experiment, "--run", run, "--quiet", "--set", run_quickly, "--set",
         "stages.alone.train.epochs=1", "--set", "stages.student.train.epochs=1");
}

// The header of a table, and those rows whose files the last command's stdout lists.
static void other_table(const char *to, const char *from)
{
    size_t size = 0;
    char path[64], *rows = tiny_read(test_path(from), &size);
    FILE *table = fopen(test_path(to), "w");
    assert_true(rows && table);
    for (char *row = strtok(rows, "\n"); row; row = strtok(NULL, "\n")) {
        snprintf(path, sizeof path, "%.*s", (int)strcspn(row, ","), row);
        if (row == rows || strstr(outcome.out, path))
            fprintf(table, "%s\n", row);
    }
    assert_int_equal(fclose(table), 0);
    free(rows);
}

static void values_are_learnt(void **state)
{
    (void)state;
    FILE *table = fopen(test_path("v.csv"), "w");
    fprintf(table, "file,x,y\n");
    for (int i = 0; i < ROWS / 2; i++)
        fprintf(table, "own/a/%03d.bmp,%d.5,1\nown/b/%03d.bmp,0,-1\n", i, i, i);
    assert_int_equal(fclose(table), 0);
    sets_up("v.csv", "v.yaml", "v");
    holds("v.yaml", "\n  label_column: [x, y]\n");
    holds("v.yaml", "\n  labels: values\n");
    holds("v.yaml", "losses: [{mse: {weight: 0.5}}, {label: {weight: 0.5}}]");
    holds("v/results.json", "\"mean_absolute_error\"");
    GOOD("eval", "v");
    printed("RMSE");
    // Another table is read as the experiment's own: the same rows, and their test part alone.
    char *own = strdup(outcome.out);
    GOOD("eval", "v", "--data", "v.csv");
    printed("RMSE");
    GOOD("data", "v.csv", "--list", "test");
    other_table("v-test.csv", "v.csv");
    GOOD("eval", "v", "--data", "v-test.csv");
    assert_string_equal(outcome.out, own);
    free(own);
    GOOD("predict", "v", "--data", "photos:own", "--out", "v-logits.h5");
    BAD(1, "no labels", "eval", "v", "--data", "photos:own");
    GOOD("predict", "v/bundle/int8", "own/a/001.bmp");
    printed("value");
    GOOD("predict", "v", "own/a/001.bmp", "--out", "v-out.csv");
    GOOD("predict", "v", "own/a/001.bmp", "--out", "v-out.csv");  // Decant's own: replaced
    holds("v-out.csv", "file,value,number\r\nown/a/001.bmp,x,");
}

static void tags_are_learnt(void **state)
{
    (void)state;
    FILE *table = fopen(test_path("t.csv"), "w");
    fprintf(table, "file,label\n");
    for (int i = 0; i < ROWS / 2; i++)
        fprintf(table, "own/a/%03d.bmp,top%s\nown/b/%03d.bmp,\n", i, i % 2 ? "|odd" : "", i);
    assert_int_equal(fclose(table), 0);
    // Every row counts once for each of its tags; 30 rows have none, 15 have both.
    GOOD("init", "t.csv", "--out", "counted.yaml", "--quick", "--json");
    json_error_t problem;
    json_t *found = json_loads(outcome.out, 0, &problem);
    json_t *train = json_object_get(found, "train"), *test = json_object_get(found, "test");
    json_t *samples = json_object_get(found, "samples");
    const json_t *names = json_object_get(found, "names");
    assert_int_equal(json_array_size(train), 2);
    for (size_t t = 0; t < 2; t++)
        assert_int_equal(json_integer_value(json_array_get(train, t)) +
                             json_integer_value(json_array_get(test, t)),
                         strcmp(json_string_value(json_array_get(names, t)), "odd") ? 30 : 15);
    assert_int_equal(json_integer_value(json_object_get(samples, "train")) +
                         json_integer_value(json_object_get(samples, "test")),
                     ROWS);
    json_decref(found);
    sets_up("t.csv", "t.yaml", "t");
    GOOD("data", "t.yaml");
    printed("  tag     0 odd ");
    holds("t.yaml", "\n  labels: tags\n");
    holds("t/results.json", "\"map\"");
}

static bool has(const char *file, const char *words)
{
    char *text = tiny_read(test_path(file), NULL);
    const bool found = text && strstr(text, words);
    free(text);
    return found;
}

// No class is spoken of; and two networks of one model live in one program, where they are called
// differently. For every code a tag is there exactly where its logit is above 0.
static void their_c_fits(void **state)
{
    (void)state;
    assert_false(has("v/bundle/int8/image_resnet.h", "argmax"));
    assert_false(has("v/bundle/int8/image_resnet.h", "class"));
    assert_false(has("v/bundle/int8/image_resnet.c", "first_of_largest"));
    holds("v/bundle/int8/image_resnet.h", "const char *const image_resnet_value_names[");
    holds("v/bundle/int8/README.md", "image_resnet_dequantize_output(values, output);");
    assert_false(has("t/bundle/int8/image_resnet.h", "argmax"));
    holds("t/bundle/int8/image_resnet.h", "#define IMAGE_RESNET_TAGS 2\n");
    GOOD("export", "v", "--stage", "quantized", "--out", "numbers", "--c-name", "numbers");
    GOOD("export", "t", "--stage", "quantized", "--out", "tags", "--c-name", "tags");
    tiny_text(test_path("both.c"),
              "#include \"numbers/numbers.h\"\n#include \"tags/tags.h\"\n"
              "int main(void)\n{\n    int8_t output[TAGS_OUTPUT_SIZE];\n"
              "    float values[TAGS_OUTPUT_SIZE];\n    int code, wrong = 0;\n"
              "    for (code = -128; code < 128; code++) {\n"
              "        output[0] = (int8_t)(-1 - code);\n        output[1] = (int8_t)code;\n"
              "        tags_dequantize_output(values, output);\n"
              "        wrong += tags_has_tag(output, 0) != (values[0] > 0.0f);\n"
              "        wrong += tags_has_tag(output, 1) != (values[1] > 0.0f);\n    }\n"
              "    return wrong || numbers_selftest() || tags_selftest();\n}\n");
    must_shell("cc -std=c99 -pedantic -Wall -Wextra -Werror -o both both.c numbers/numbers.c "
               "tags/tags.c && ./both");
    BAD(2, "--c-name 2nd: small letters", "export", "v", "--stage", "quantized", "--out", "n",
        "--c-name", "2nd");
    BAD(2, "--c-name is for bundles", "export", "v", "--stage", "quantized", "--out", "n.onnx",
        "--c-name", "net");
    GOOD("check", "v.yaml", "--set", "stages.int8.c_name=net");
    BAD(2, "c_name 'No'", "check", "v.yaml", "--set", "stages.int8.c_name=No");
}

static json_t *data_of(const char *source)
{
    GOOD("data", source, "--json");
    json_t *json = json_loads(outcome.out, 0, NULL);
    assert_non_null(json);
    return json;
}

static void they_become_hdf5(void **state)
{
    (void)state;
    static const char *const names[] = {"v", "t"};
    char yaml[16], h5[16], other[16];
    for (int i = 0; i < 2; i++) {
        snprintf(yaml, sizeof yaml, "%s.yaml", names[i]);
        snprintf(h5, sizeof h5, "%s.h5", names[i]);
        snprintf(other, sizeof other, "%s-h5.yaml", names[i]);
        GOOD("data", yaml, "--out", h5);
        json_t *before = data_of(yaml), *after = data_of(h5);
        for (int part = 0; part < 2; part++) {
            const char *key = part ? "test" : "train";
            assert_string_equal(
                json_string_value(json_object_get(json_object_get(before, key), "hash")),
                json_string_value(json_object_get(json_object_get(after, key), "hash")));
        }
        json_decref(before);
        json_decref(after);
        GOOD("init", h5, "--out", other);
        holds(other, i ? "\n  labels: tags\n" : "\n  labels: values\n");
        GOOD("check", other);
    }
    GOOD("data", "own.csv", "--out", "own.h5");  // a table of classes, all of one size
    GOOD("eval", "v", "--data", "v.h5");
}

// Which files are the test set: a table that reads as data again.
static void parts_are_listed(void **state)
{
    (void)state;
    GOOD("data", "v.yaml", "--list", "test");
    assert_int_equal(strncmp(outcome.out, "file,x,y\n", 9), 0);
    printed("/own/b/");
    int lines = 0;
    for (const char *c = outcome.out; *c; c++)
        lines += *c == '\n';
    assert_int_equal(lines, 1 + ROWS / 5);
    tiny_text(test_path("listed.csv"), outcome.out);
    GOOD("data", "t.csv", "--list", "test");
    assert_int_equal(strncmp(outcome.out, "file,odd,top\nown/", 17), 0);
    GOOD("data", "own", "--list", "train");
    printed("own/a/000.bmp,a\n");
    BAD(2, "samples of idx are no files", "data", "data", "--list", "test");
    BAD(2, "--list prints a table", "data", "own", "--list", "test", "--json");
}

static void they_are_compared_and_told(void **state)
{
    (void)state;
    must_shell("cp -r v v2 && cp -r t t2");
    GOOD("compare", "v", "v2");
    printed("\ntest MAE");
    printed("\ntest RMSE");
    printed("\ntest R2");
    printed("\ndifferences of R2");
    fits_a_terminal("compare of values", NULL);
    GOOD("compare", "t", "t2", "--out", "t.html");
    printed("\ntest mAP");
    printed("\ntest F1");
    holds("t.html", "quantized, integers, F1, A");
    holds("v/model-card.md", "type: rmse");
    holds("v/model-card.md", "mean absolute error (MAE)");
    holds("t/model-card.md", "| mAP ");
    json_t *results = json_load_file(test_path("v/results.json"), 0, NULL);
    const json_t *scores = json_object_get(
        json_object_get(json_object_get(results, "stages"), "alone"), "float");
    const double mae = json_real_value(json_object_get(scores, "mean_absolute_error"));
    const double rmse = json_real_value(json_object_get(scores, "root_mean_squared_error"));
    assert_true(rmse >= mae && mae > 0.0);
    json_decref(results);
}

// A row a value, tag or sample, of all of the test set.
static void predictions_are_csv(void **state)
{
    (void)state;
    GOOD("predict", "v", "--out", "v-all.csv");
    GOOD("predict", "v", "--out", "v-all.csv");  // Decant's own: replaced
    holds("v-all.csv", "file,value,number\r\n/");
    holds("v-all.csv", "/own/b/001.bmp,x,");
    GOOD("predict", "t", "--out", "t-all.csv");
    holds("t-all.csv", "file,tag,probability\r\n/");
    BAD(2, "--out v.txt: predictions of a data set go to FILE.h5", "predict", "v", "--out",
        "v.txt");
}

static int set_up(void **state)
{
    walk_set_up(state);
    photo_classes("own", 30, 1);
    FILE *table = fopen(test_path("own.csv"), "w");
    fprintf(table, "file,label\n");
    for (int i = 0; i < 10; i++) {
        char path[32];
        snprintf(path, sizeof path, "same%d.bmp", i);
        photo_file(test_path(path), 8, 8, i % 2, (unsigned)i);
        fprintf(table, "%s,%s\n", path, i % 2 ? "odd" : "even");
    }
    return fclose(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_learnt),   cmocka_unit_test(tags_are_learnt),
        cmocka_unit_test(their_c_fits),        cmocka_unit_test(they_become_hdf5),
        cmocka_unit_test(parts_are_listed),    cmocka_unit_test(they_are_compared_and_told),
        cmocka_unit_test(predictions_are_csv),
    };
    return cmocka_run_group_tests(tests, set_up, walk_tear_down);
}
