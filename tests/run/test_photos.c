// Photographs from folder to network: the binary itself, on files that the test makes.

#include <jansson.h>
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

#include "data/image.h"
#include "run/run.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"
#include "tests/run/helper_photos.h"
#include "tests/run/helper_walk.h"

static json_t *load(const char *path)
{
    json_t *json = json_load_file(test_path(path), 0, NULL);
    assert_non_null(json);
    return json;
}

static int64_t number(const char *path, const char *key)
{
    json_t *json = load(path);
    const int64_t value = json_integer_value(json_object_get(json, key));
    json_decref(json);
    return value;
}

static const char fitting[] = "  resize: {size: 12, fit: crop}\n  channels: 1\n";

// 120 photographs, a fifth of which are the test set; what was done stands in the record.
static void class_folders_alone_are_enough(void **state)
{
    (void)state;
    photo_classes("own", 30, 1);
    photo_experiment("own", fitting);
    GOOD("check", "photos.yaml");
    GOOD("run", "photos.yaml", "--run", "run");
    assert_non_null(strstr(outcome.err, "24 of 120 photographs are the test set"));
    char *resolved = tiny_read(test_path("run/resolved.yaml"), NULL);
    static const char *const words[] = {"height: 12\n", "width: 12\n", "method: bilinear\n",
                                        "fit: crop\n",  "test: 0.2",   "max(0, 2 M - |(2 j + 1) T"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strstr(resolved, words[i]))
            fail_msg("no '%s' in %s", words[i], resolved);
    free(resolved);
    json_t *environment = load("run/env.json");
    const char *libraries = json_string_value(json_object_get(environment, "photo_libraries"));
    assert_non_null(strstr(libraries, "jpeg"));
    assert_int_equal(json_integer_value(json_object_get(environment, "train_samples")), 96);
    json_decref(environment);
    json_t *results = load("run/results.json");
    json_t *scores = json_object_get(json_object_get(json_object_get(results, "stages"), "student"),
                                     "float");
    assert_int_equal(json_integer_value(json_object_get(scores, "samples")), 24);
    assert_true(json_real_value(json_object_get(scores, "accuracy")) > 0.5);
    json_decref(results);
    GOOD("run", "photos.yaml", "--run", "run");  // the same again: nothing to do
}

static void some_samples_are_enough(void **state)
{
    (void)state;
    GOOD("train", "photos.yaml", "student", "--run", "some", "--set", "data.samples=41", "--set",
         "data.validation=16", "--set", "stages.student.train.epochs=1");
    assert_int_equal(number("some/env.json", "train_samples"), 41);
    assert_int_equal(number("some/env.json", "validation_samples"), 16);
    char path[600];
    struct dc_error error;
    struct dc_run *run = NULL;
    int counts[4] = {0};
    snprintf(path, sizeof path, "%s/photos.yaml", root);
    const struct dc_run_options how = {
        .experiment = path,
        .overrides = (const char *const[]){"data.samples=18", "data.test=0.5"},
        .override_count = 2,
        .directory = test_path("counted"),
    };
    if (dc_run_open(&run, &how, &error) != DC_OK || dc_run_need_train_data(run, &error) != DC_OK)
        fail_msg("%s", error.message);
    assert_int_equal(run->train_count, 18);  // of 15 a class: 4 each, and 2 classes one more
    for (int i = 0; i < 18; i++) {
        assert_true(i == 0 || run->train_ids[i] > run->train_ids[i - 1]);
        counts[run->train_source->labels[run->train_ids[i]]]++;
    }
    dc_run_close(run);
    assert_true(counts[0] == 5 && counts[1] == 5 && counts[2] == 4 && counts[3] == 4);
    BAD(2, "samples: 81 were asked for, there are 80 to train on", "train", "photos.yaml",
        "student", "--run", "many", "--set", "data.samples=81", "--set", "data.validation=16");
}

static void a_folder_of_its_own_validates(void **state)
{
    (void)state;
    assert_int_equal(mkdir(test_path("parted"), 0777), 0);
    photo_classes("parted/train", 10, 500);
    photo_classes("parted/valid", 3, 600);
    photo_classes("parted/test", 2, 700);
    photo_experiment("parted", fitting);
    GOOD("train", "photos.yaml", "student", "--run", "own-valid", "--set",
         "stages.student.train.patience=3");
    assert_int_equal(number("own-valid/env.json", "train_samples"), 40);
    assert_int_equal(number("own-valid/env.json", "validation_samples"), 12);
    char *metrics = tiny_read(test_path("own-valid/metrics.jsonl"), NULL);
    assert_non_null(strstr(metrics, "validation"));
    free(metrics);
    BAD(2, "parted has samples for validation of its own: leave out validation", "check",
        "photos.yaml", "--set", "data.validation=5");
}

// Other photographs: a test part alone, a folder of classes alone, some classes alone.
static void eval_reads_other_folders(void **state)
{
    (void)state;
    photo_experiment("own", fitting);
    photo_classes("other", 4, 900);
    GOOD("eval", "run", "--data", "photos:other");
    assert_non_null(strstr(outcome.out, "16 samples"));
    GOOD("eval", "run/bundle/int8", "--data", "photos:other");
    assert_int_equal(mkdir(test_path("alone"), 0777), 0);
    assert_int_equal(rename(test_path("other"), test_path("alone/test")), 0);
    GOOD("eval", "run", "--data", "photos:alone");
    assert_non_null(strstr(outcome.out, "16 samples"));
    for (int i = 0; i < 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "alone/test/b/%03d.bmp", i);
        assert_int_equal(remove(test_path(name)), 0);
    }
    assert_int_equal(rmdir(test_path("alone/test/b")), 0);
    GOOD("eval", "run", "--data", "photos:alone");
    assert_non_null(strstr(outcome.out, "12 samples"));
    assert_non_null(strstr(outcome.out, "b                       - "));
    assert_null(strstr(outcome.out, " nan"));
}

// Photographs asked one by one, by folder, by a bundle alone; the table, CSV and JSON say the same.
static void predict_names_classes(void **state)
{
    (void)state;
    photo_classes("asked", 3, 400);
    GOOD("eval", "run/bundle/int8", "--data", "photos:asked", "--json");
    json_t *scores = json_loads(outcome.out, 0, NULL);
    const int64_t right = (int64_t)(0.5 +
                                    12 * json_real_value(json_object_get(scores, "accuracy")));
    json_decref(scores);
    static const char *const folders[] = {"asked/a", "asked/b", "asked/c", "asked/d"};
    static const char *const networks[] = {"run/bundle/int8", "run", "moved"};
    char command[1200];
    snprintf(command, sizeof command, "cp -r %s/run/bundle/int8 %s/moved", root, root);
    assert_int_equal(system(command), 0);
    double first[12];
    for (int n = 0; n < 3; n++) {  // a bundle in its run, the run's last stage, a bundle elsewhere
        GOOD("predict", networks[n], folders[0], folders[1], folders[2], folders[3], "--json");
        json_t *json = json_loads(outcome.out, 0, NULL);
        const json_t *photos = json_object_get(json, "photos");
        int64_t found = 0;
        assert_int_equal(json_array_size(photos), 12);
        for (size_t i = 0; i < 12; i++) {
            const json_t *photo = json_array_get(photos, i);
            const json_t *all = json_object_get(photo, "probabilities");
            const double probability = json_real_value(json_object_get(photo, "probability"));
            const char *file = json_string_value(json_object_get(photo, "file"));
            double sum = 0.0;
            found += json_string_value(json_object_get(photo, "class"))[0] == file[6];
            for (size_t c = 0; c < 4; c++) {
                sum += json_real_value(json_array_get(all, c));
                assert_true(json_real_value(json_array_get(all, c)) <= probability);
            }
            assert_true(sum > 0.99999 && sum < 1.00001);
            assert_true(n == 0 || first[i] == probability);
            first[i] = probability;
        }
        assert_int_equal(found, right);
        json_decref(json);
    }
    GOOD("predict", "run", "asked/a/000.bmp", "asked/b", "--stage", "student");
    assert_non_null(strstr(outcome.out, "file  "));
    assert_non_null(strstr(outcome.out, "asked/b/002.bmp"));
    GOOD("predict", "run", "asked/a", "--out", "p.csv");
    GOOD("predict", "run", "asked/a/001.bmp", "--out", "p.csv");  // Decant's own: replaced
    char *csv = tiny_read(test_path("p.csv"), NULL), expected[64];
    snprintf(expected, sizeof expected, "asked/a/001.bmp,a,%.9g\r\n", first[1]);
    assert_memory_equal(csv, "file,class,probability\r\n", 24);
    assert_string_equal(csv + 24, expected);
    free(csv);
    GOOD("predict", "run", "asked/a", "--out", "p.json");
    GOOD("predict", "run", "asked/a", "--out", "p.json", "--json");  // what was done, on stdout
    json_t *summary = json_loads(outcome.out, 0, NULL), *whole = load("p.json");
    assert_int_equal(json_integer_value(json_object_get(summary, "photos")), 3);
    assert_int_equal(json_array_size(json_object_get(whole, "photos")), 3);
    json_decref(summary);
    json_decref(whole);
    tiny_text(test_path("mine.csv"), "a,b\n");
    BAD(2, "Decant did not write it", "predict", "run", "asked/a", "--out", "mine.csv");
    BAD(2, "written as .csv or .json", "predict", "run", "asked/a", "--out", "p.h5");
    BAD(2, "takes no --data", "predict", "run", "asked/a", "--data", "own");
    BAD(1, "asked: no such file or folder", "predict", "run", "not-asked");
    BAD(1, "asked/a: is a folder within a folder", "predict", "run", "asked");
    BAD(2, "neither a run directory nor a bundle", "predict", "asked/a/000.bmp", "asked/b");
    tiny_text(test_path("x.jpg"), "no photograph");
    BAD(1, "x.jpg: neither JPEG, PNG nor BMP", "predict", "run", "asked/a/000.bmp", "x.jpg");
}

// The example, built as its first lines say, gives the classes that the bundle predicts.
static void the_example_classifies(void **state)
{
    (void)state;
    char command[4096];
    int compared = 0;
    snprintf(command, sizeof command,
             "cc -std=c99 -pedantic -Wall -Wextra -Werror -DHEADER='\"tiny.h\"' "
             "-D'NET(what)=tiny_##what' -D'SIZE(what)=TINY_##what' -I %s/run/bundle/int8 "
             "%s/examples/classify.c %s/run/bundle/int8/tiny.c -o %s/classify",
             root, DECANT_SOURCE_DIR, root, root);
    assert_int_equal(system(command), 0);
    GOOD("predict", "run/bundle/int8", "own/a", "own/b", "own/c", "own/d", "--json");
    json_t *json = json_loads(outcome.out, 0, NULL);
    const json_t *photos = json_object_get(json, "photos");
    for (size_t i = 0; i < json_array_size(photos); i += 7, compared++) {
        const json_t *photo = json_array_get(photos, i);
        const char *file = json_string_value(json_object_get(photo, "file"));
        const char *class = json_string_value(json_object_get(photo, "class"));
        struct dc_arena *arena = NULL;
        struct dc__image image;
        char path[600], head[64], said[64] = "";
        snprintf(path, sizeof path, "%s/%s", root, file);
        assert_int_equal(dc_arena_create(&arena, NULL), DC_OK);
        assert_int_equal(dc__photo_read(&image, path, 0, arena, NULL), DC_OK);
        assert_int_equal(dc__image_channels(&image, 1, arena, NULL), DC_OK);
        const int start = snprintf(head, sizeof head, "P5 %d %d 255\n", image.width, image.height);
        FILE *pgm = fopen(test_path("photo.pgm"), "wb");
        fwrite(head, 1, (size_t)start, pgm);
        fwrite(image.pixels, (size_t)image.width, (size_t)image.height, pgm);
        assert_int_equal(fclose(pgm), 0);
        dc_arena_free(arena);
        snprintf(command, sizeof command, "%s/classify %s/photo.pgm", root, root);
        FILE *pipe = popen(command, "r");
        assert_non_null(pipe);
        assert_non_null(fgets(said, sizeof said, pipe));
        assert_int_equal(pclose(pipe), 0);
        if (said[0] != class[0] || said[1] != ' ')
            fail_msg("%s: the example says %s, predict %s", file, said, class);
    }
    assert_true(compared == 18);
    json_decref(json);
}

// Data as an experiment makes it; on the contact sheet, the first column is the samples themselves.
static void data_shows_what_an_experiment_reads(void **state)
{
    (void)state;
    struct dc_arena *arena = NULL;
    struct dc__image sheet, photo;
    photo_experiment("own", "  resize: {size: 12, fit: crop}\n  channels: 1\n  augment: [flip]\n");
    GOOD("data", "photos.yaml");
    assert_non_null(strstr(outcome.out, "train: photos, 96 samples of uint8 [12, 12, 1]"));
    assert_non_null(strstr(outcome.out, "24 of 120 photographs are the test set"));
    BAD(1, "give resize: [height, width] in the experiment", "data", "photos:own");
    GOOD("data", "photos.yaml", "--out", "sheet.png");
    GOOD("data", "photos.yaml", "--out", "sheet.png");  // Decant's own: replaced
    tiny_text(test_path("mine.png"), "a picture");
    BAD(2, "Decant did not write it", "data", "photos.yaml", "--out", "mine.png");
    BAD(2, "name an experiment", "data", "idx:data", "--out", "other.png");
    assert_int_equal(dc_arena_create(&arena, NULL), DC_OK);
    assert_int_equal(dc__photo_read(&sheet, test_path("sheet.png"), 0, arena, NULL), DC_OK);
    const int cell = 12 * 6 + 2;  // six times as large, and a gap
    assert_int_equal(sheet.height, 12 * cell + 2);
    assert_int_equal(sheet.width, 8 * cell + 2);
    // row 0 is the first training sample of class a: that of the file that is not in the test set
    const struct dc_resize resize = {12, 12, DC_RESIZE_BILINEAR, DC_FIT_CROP};
    int found = 0, flipped[2] = {0, 0};
    for (int i = 0; i < 30 && !found; i++) {
        char path[64];
        snprintf(path, sizeof path, "own/a/%03d.bmp", i);
        assert_int_equal(dc__photo_read(&photo, test_path(path), 0, arena, NULL), DC_OK);
        assert_int_equal(dc__image_channels(&photo, 1, arena, NULL), DC_OK);
        assert_int_equal(dc__image_resize(&photo, &resize, path, 0, arena, NULL), DC_OK);
        found = 1;
        for (int y = 0; y < 72; y++)
            for (int x = 0; x < 72 * 3; x++)
                found &= sheet.pixels[((2 + y) * sheet.width + 2) * 3 + x] ==
                         photo.pixels[y / 6 * 12 + x / 18];
    }
    assert_int_equal(found, 1);
    for (int column = 1; column < 8; column++) {  // as it is, or mirrored
        int same = 1, mirrored = 1;
        for (int x = 0; x < 12; x++) {
            const uint8_t seen = sheet.pixels[(2 * sheet.width + 2 + column * cell + 6 * x) * 3];
            same &= seen == photo.pixels[x];
            mirrored &= seen == photo.pixels[11 - x];
        }
        assert_true(same != mirrored);
        flipped[mirrored]++;
    }
    assert_true(flipped[0] > 0 && flipped[1] > 0);
    dc_arena_free(arena);
}

static void mistakes_are_told_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *lines, *words[OUTCOME_WORDS];
    } cases[] = {
        {"  resize: {size: 3, height: 4}\n", {"photos.yaml:6:", "a size, or a height and a width"}},
        {"  resize: {height: 4}\n", {"photos.yaml:6:", "needs a size, or a height and a width"}},
        {"  resize: {size: 4, method: bicubic}\n", {"photos.yaml:6:", "bilinear, area, nearest"}},
        {"  resize: {size: 4, fit: cover}\n", {"photos.yaml:6:", "stretch, crop, pad"}},
        {"  resize: {sise: 4}\n", {"photos.yaml:6:", "did you mean 'size'"}},
        {"  resize: [4, 5, 6]\n", {"photos.yaml:6:", "resize is [height, width], not 3 numbers"}},
        {"  resize: 0\n", {"photos.yaml:6:", "resize"}},
        {"  test: 1\n", {"photos.yaml:6:", "test"}},
        {"  channels: 2\n", {"photos.yaml:6:", "channels must be 1 or 3, not 2"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        photo_experiment("own", cases[i].lines);
        walk(NULL, (const char *const[]){"check", "photos.yaml", NULL});
        assert_outcome(&outcome, cases[i].lines, 2, cases[i].words);
    }
    photo_experiment("own", "");
    static const char *const kinds[][2] = {{"data.resize=4", "'resize' is for photographs"},
                                           {"data.channels=1", "'channels' is for photographs"},
                                           {"data.test=0.3", "'test' is for photographs"}};
    for (int i = 0; i < 3; i++)
        BAD(2, kinds[i][1], "check", "tiny.yaml", "--set", kinds[i][0]);
    photo_experiment("own", "  resize: 16\n  channels: 1\n");  // known without a photograph
    BAD(2,
        "reads samples of [12, 12, 1], data.resize and data.channels make photographs of "
        "[16, 16, 1]",
        "check", "photos.yaml");
    photo_experiment("own", "  resize: 12\n  channels: 3\n");
    BAD(2, "make photographs of [12, 12, 3]", "check", "photos.yaml");
    photo_experiment("own",
                     "  resize: 12\n  channels: 1\n  augment: [greyscale: {probability: 0.1}]\n");
    BAD(2, "photos.yaml: data: ", "check", "photos.yaml");
    photo_classes("fewer", 6, 40);  // names alone are known too
    photo_experiment("fewer", "  resize: 12\n  channels: 1\n");
    GOOD("check", "photos.yaml");
    tiny_text(test_path("fewer/a/notes.txt"), "x");
    BAD(1, "fewer/a/notes.txt: is no photograph by its name", "check", "photos.yaml");
    assert_int_equal(remove(test_path("fewer/a/notes.txt")), 0);
    assert_int_equal(rename(test_path("fewer/d"), test_path("d")), 0);
    BAD(2, "ends in 4 classes, and the data has 3", "check", "photos.yaml");
    BAD(1, "leaves none for the test set", "check", "photos.yaml", "--set", "data.test=0.01",
        "--set", "stages.student.parameters={classes: 3}");
    photo_experiment("not-there", "  resize: 12\n  channels: 1\n");
    GOOD("check", "photos.yaml");
    photo_experiment("own", "");
    BAD(2, "did you mean 'photos'", "check", "photos.yaml", "--set", "data.source=photo");
    BAD(1, "give resize: [height, width]", "run", "photos.yaml", "--run", "unequal");
}

// The forms of resize, and the older name of the kind.
static void resize_has_short_forms(void **state)
{
    (void)state;
    static const char *const forms[] = {"  resize: 12\n", "  resize: [12, 12]\n",
                                        "  resize: {height: 12, width: 12}\n",
                                        "  resize: {size: 12, method: bilinear, fit: stretch}\n"};
    char *first = NULL;
    for (int i = 0; i < 4; i++) {
        char lines[256], run[16];
        snprintf(lines, sizeof lines, "%s  channels: 1\n", forms[i]);
        snprintf(run, sizeof run, "form%d", i);
        photo_experiment("own", lines);
        GOOD("train", "photos.yaml", "student", "--run", run, "--set",
             "stages.student.train.epochs=0", "--set",
             i ? "data.source=photos" : "data.source=png");
        char path[64];
        snprintf(path, sizeof path, "%s/env.json", run);
        json_t *environment = load(path);
        const char *hash = json_string_value(json_object_get(environment, "train_data_hash"));
        if (first)
            assert_string_equal(hash, first);
        else
            first = strdup(hash);
        json_decref(environment);
    }
    free(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(class_folders_alone_are_enough),
        cmocka_unit_test(some_samples_are_enough),
        cmocka_unit_test(a_folder_of_its_own_validates),
        cmocka_unit_test(eval_reads_other_folders),
        cmocka_unit_test(predict_names_classes),
        cmocka_unit_test(the_example_classifies),
        cmocka_unit_test(data_shows_what_an_experiment_reads),
        cmocka_unit_test(mistakes_are_told_with_their_place),
        cmocka_unit_test(resize_has_short_forms),
    };
    return cmocka_run_group_tests(tests, walk_set_up, walk_tear_down);
}
