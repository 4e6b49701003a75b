// Layouts of photo folders: parts, classes, the seeded test set, and what does not belong there.

#define _XOPEN_SOURCE 700
#include "data/open.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
// clang-format on

#include "core/file.h"
#include "core/random.h"
#include "tests/core/helper_folder.h"
#include "tests/data/helper_png.h"

static struct dc_error error;

static void put(const char *path, int value)
{
    char folder[512];
    const uint16_t pixel = (uint16_t)(value % 256);
    snprintf(folder, sizeof folder, "%s", test_path(path));
    *strrchr(folder, '/') = '\0';
    assert_int_equal(dc_make_directory(folder, &error), DC_OK);
    test_write_png(test_path(path), &(struct test_png){1, 1, 8, 0, false, &pixel, NULL, 0});
}

// A class of `count` files, whose one pixel is their number from `first` on.
static void put_class(const char *folder, int count, int first)
{
    for (int i = 0; i < count; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%03d.png", folder, i);
        put(path, first + i);
    }
}

static struct dc_source_spec spec_of(const char *name, const char *split)
{
    static char path[512];
    snprintf(path, sizeof path, "%s", test_path(name));
    return (struct dc_source_spec){.kind = "photos", .path = path, .split = split};
}

static struct dc_source *open_ok(const struct dc_source_spec *spec)
{
    struct dc_source *source = NULL;
    if (dc_source_open(&source, spec, &error) != DC_OK)
        fail_msg("%s", error.message);
    return source;
}

static void check_refused(const struct dc_source_spec *spec, const char *words)
{
    struct dc_source *source = NULL;
    assert_int_equal(dc_source_open(&source, spec, &error), DC_ERR_DATA);
    assert_null(source);
    if (!strstr(error.message, words))
        fail_msg("nothing about '%s': %s", words, error.message);
}

static int pixel_of(const struct dc_source *source, int64_t id)
{
    uint8_t pixel;
    assert_int_equal(dc_source_read(source, id, &pixel, &error), DC_OK);
    return pixel;
}

static void parts_are_found_by_name(void **state)
{
    (void)state;
    static const char *const names[] = {"val", "valid", "validation"};
    put_class("parts/train/a", 3, 10);
    put_class("parts/train/b", 2, 20);
    put_class("parts/test/a", 1, 30);
    put_class("parts/test/b", 1, 40);
    for (int i = 0; i < 3; i++) {
        char before[64], after[64];
        snprintf(after, sizeof after, "parts/%s", names[i]);
        snprintf(before, sizeof before, "parts/%s", i ? names[i - 1] : "");
        if (i == 0) {
            put_class("parts/val/a", 1, 50);
            put_class("parts/val/b", 2, 60);
        } else {
            assert_int_equal(rename(test_path(before), test_path(after)), 0);
        }
        struct dc_source_spec spec = spec_of("parts", "train");
        struct dc_source *source = open_ok(&spec);
        static const int pixels[] = {10, 11, 12, 20, 21, 50, 60, 61};
        static const int labels[] = {0, 0, 0, 1, 1, 0, 1, 1};
        assert_int_equal(source->count, 8);
        assert_int_equal(source->own_validation, 3);
        assert_non_null(strstr(source->note, "3 of 8 are "));
        assert_non_null(strstr(source->note, names[i]));
        assert_true(dc_source_own_validation(&spec));
        for (int k = 0; k < 8; k++) {
            assert_int_equal(pixel_of(source, k), pixels[k]);
            assert_int_equal(source->labels[k], labels[k]);
        }
        dc_source_free(source);
        spec.split = "test";
        source = open_ok(&spec);
        assert_int_equal(source->count, 2);
        assert_int_equal(source->own_validation, 0);
        assert_int_equal(pixel_of(source, 1), 40);
        dc_source_free(source);
    }
    put_class("parts/val/a", 1, 1);
    put_class("parts/val/b", 1, 1);
    const struct dc_source_spec spec = spec_of("parts", "train");
    check_refused(&spec, "is a second folder for validation; keep one");
}

static void what_lies_beside_the_parts(void **state)
{
    (void)state;
    put_class("beside/train/a", 1, 1);
    put_class("beside/test/a", 1, 2);
    test_write(test_path("beside/README.md"), "x", 1);
    test_write(test_path("beside/train/.DS_Store"), "x", 1);
    test_write(test_path("beside/train/a/Thumbs.db"), "x", 1);
    test_write(test_path("beside/train/a/desktop.ini"), "x", 1);
    const struct dc_source_spec spec = spec_of("beside", "train");
    struct dc_source *source = open_ok(&spec);
    assert_int_equal(source->count, 1);
    assert_string_equal(source->note, "4 hidden or system files passed over");
    dc_source_free(source);
    put_class("beside/tests/a", 1, 2);
    check_refused(&spec, "beside/tests: beside train/ there may be test/ and val/ (or valid/, "
                         "validation/); did you mean 'test'?");
}

// Each class gives the floor of its share, and the largest remainders one more; the two splits are
// all files, and another seed gives another test set.
// Folders of folders that are called nearly as parts are: said so, not taken for classes.
static void nearly_parts_are_told(void **state)
{
    (void)state;
    static const char *const called[][2] = {{"Train", "train"}, {"TEST", "test"}};
    for (int i = 0; i < 2; i++) {
        char path[64], words[192];
        snprintf(path, sizeof path, "nearly%d/%s/a", i, called[i][0]);
        put_class(path, 3, 0);
        snprintf(path, sizeof path, "nearly%d", i);
        const struct dc_source_spec spec = spec_of(path, "train");
        snprintf(words, sizeof words,
                 "%s/%s: holds folders, as a part of the data does; call it '%s'", path,
                 called[i][0], called[i][1]);
        check_refused(&spec, words);
    }
    put_class("vehicles/Train", 5, 0);  // a class may be called so
    put_class("vehicles/bus", 5, 0);
    struct dc_source_spec spec = spec_of("vehicles", "train");
    spec.test_share = 0.2;
    dc_source_free(open_ok(&spec));
}

static void class_folders_alone_give_a_seeded_test_set(void **state)
{
    (void)state;
    put_class("alone/a", 30, 0);
    put_class("alone/b", 13, 100);
    put_class("alone/c", 7, 200);
    struct dc_source_spec spec = spec_of("alone", "train");
    spec.test_share = 0.2;
    spec.split_seed = 1;
    uint64_t hashes[3];
    for (int turn = 0; turn < 3; turn++) {
        bool seen[256] = {false};
        int counts[2][3] = {{0}};
        spec.split_seed = turn == 2 ? 2 : 1;
        for (int test = 0; test < 2; test++) {
            spec.split = test ? "test" : "train";
            struct dc_source *source = open_ok(&spec);
            int before = -1;
            for (int64_t i = 0; i < source->count; i++) {
                const int pixel = pixel_of(source, i);
                assert_true(pixel > before);  // in order
                before = pixel;
                assert_false(seen[pixel]);
                seen[pixel] = true;
                assert_int_equal(source->labels[i], pixel / 100);
                counts[test][pixel / 100]++;
            }
            if (test)
                hashes[turn] = source->hash;
            assert_non_null(strstr(source->note, "10 of 50 photographs are the test set"));
            dc_source_free(source);
        }
        // 10 of 50: 6, 2.6 and 1.4, so that b gets the one that is left
        assert_int_equal(counts[1][0], 6);
        assert_int_equal(counts[1][1], 3);
        assert_int_equal(counts[1][2], 1);
        assert_int_equal(counts[0][0] + counts[0][1] + counts[0][2], 40);
    }
    assert_true(hashes[0] == hashes[1]);
    assert_true(hashes[0] != hashes[2]);
    spec.split = "test";
    spec.test_share = 0.0;
    check_refused(&spec, "has no split 'test'; put class folders below train/ and test/, or give");
    put_class("few/a", 30, 0);
    put_class("few/b", 1, 100);
    spec = spec_of("few", "train");
    spec.test_share = 0.2;
    check_refused(&spec,
                  "class 'b' has 1 photographs, of which test: 0.2 leaves none for the test");
}

// The rule by hand: which files of one class are taken.
static void the_test_set_is_repeatable_by_its_rule(void **state)
{
    (void)state;
    put_class("rule/only", 9, 0);
    struct dc_source_spec spec = spec_of("rule", "test");
    spec.test_share = 0.35;  // 3.15 and a half: 3
    spec.split_seed = 7;
    int order[9];
    struct dc_random random;
    for (int i = 0; i < 9; i++)
        order[i] = i;
    dc_random_start(&random, 7, DC_PURPOSE_TEST_SHARE, 0, 0);
    for (int i = 8; i > 0; i--) {
        const int j = (int)dc_random_below(&random, (uint32_t)i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    struct dc_source *source = open_ok(&spec);
    assert_int_equal(source->count, 3);
    for (int i = 0; i < 3; i++) {
        const int pixel = pixel_of(source, i);
        assert_true(pixel == order[0] || pixel == order[1] || pixel == order[2]);
    }
    dc_source_free(source);
}

static void train_without_test_is_cut_too(void **state)
{
    (void)state;
    put_class("cut/train/a", 10, 0);
    put_class("cut/val/a", 2, 50);
    struct dc_source_spec spec = spec_of("cut", "train");
    spec.test_share = 0.2;
    struct dc_source *source = open_ok(&spec);
    assert_int_equal(source->count, 8 + 2);
    assert_int_equal(source->own_validation, 2);
    assert_int_equal(pixel_of(source, 9), 51);
    dc_source_free(source);
    spec.split = "test";
    source = open_ok(&spec);
    assert_int_equal(source->count, 2);
    dc_source_free(source);
}

static void every_class_is_in_every_part(void **state)
{
    (void)state;
    put_class("missing/train/a", 1, 1);
    put_class("missing/train/b", 1, 2);
    put_class("missing/test/b", 1, 3);
    struct dc_source_spec spec = spec_of("missing", "test");
    check_refused(&spec, "missing/test: class 'a' has no photograph here");
    assert_int_equal(dc_make_directory(test_path("missing/test/a"), &error), DC_OK);
    check_refused(&spec, "missing/test/a: class 'a' has no photograph here");
    test_write(test_path("missing/test/a/.x.png"), "x", 1);  // hidden: still empty
    check_refused(&spec, "missing/test/a: class 'a' has no photograph here");
    assert_int_equal(dc_make_directory(test_path("missing/test/c"), &error), DC_OK);
    check_refused(&spec, "missing/test/c: the training data has no such class");
    assert_int_equal(rmdir(test_path("missing/test/c")), 0);
    spec.split = "train";
    dc_source_free(open_ok(&spec));
    assert_int_equal(dc_make_directory(test_path("missing/train/empty"), &error), DC_OK);
    check_refused(&spec, "missing/train/empty: class 'empty' has no photograph here");
}

// Other data than the run's: its classes by name, some of them, from test/ or all of a folder.
static void foreign_data_may_have_a_part_alone(void **state)
{
    (void)state;
    static const char *const classes[] = {"z", "b", "a"};
    put_class("foreign/test/b", 2, 3);
    struct dc_source_spec spec = spec_of("foreign", "test");
    check_refused(&spec, "has test/, but no train/");
    spec.foreign = true;
    spec.class_names = classes;
    spec.class_count = 3;
    spec.test_share = 0.2;  // of no effect here
    struct dc_source *source = open_ok(&spec);
    assert_int_equal(source->count, 2);
    assert_int_equal(source->classes, 3);
    assert_int_equal(source->labels[0], 1);
    dc_source_free(source);
    put_class("whole/a", 2, 3);
    put_class("whole/z", 1, 9);
    spec.path = test_path("whole");
    source = open_ok(&spec);
    assert_int_equal(source->count, 3);
    assert_int_equal(source->labels[0], 0);
    assert_int_equal(pixel_of(source, 0), 9);
    assert_int_equal(source->labels[2], 2);
    dc_source_free(source);
    put_class("whole/other", 1, 1);
    check_refused(&spec, "whole/other: is not one of the classes named");
}

// class_names gives the labels' order; it is not another name for a folder.
static void class_names_are_the_folders_in_an_order(void **state)
{
    (void)state;
    static const char *const classes[] = {"wolf", "dog"}, *const wrong[] = {"wolf", "dogs"};
    put_class("names/dog", 1, 1);
    put_class("names/wolf", 1, 2);
    struct dc_source_spec spec = spec_of("names", "train");
    spec.class_names = classes;
    spec.class_count = 2;
    struct dc_source *source = open_ok(&spec);
    assert_string_equal(source->class_names[0], "wolf");
    assert_int_equal(pixel_of(source, 0), 2);
    assert_int_equal(source->labels[0], 0);
    assert_int_equal(pixel_of(source, 1), 1);
    assert_int_equal(source->labels[1], 1);
    dc_source_free(source);
    spec.class_names = wrong;
    check_refused(&spec, "names: has no folder of class 'dogs'; did you mean 'dog'?");
    spec.class_count = 1;
    check_refused(&spec, "names/dog: is not one of the classes named");
    spec.class_names = NULL;
    check_refused(&spec, "has 2 class folders, 1 were asked for");
}

static void strange_files_are_refused_by_name(void **state)
{
    (void)state;
    put_class("strange/a", 1, 1);
    const struct dc_source_spec spec = spec_of("strange", "train");
    static const struct {
        const char *path, *words;
    } cases[] = {
        {"strange/a/x.heic", "strange/a/x.heic: is no photograph by its name; .jpg, .jpeg"},
        {"strange/a/labels.txt", "labels.txt: is no photograph by its name"},
        {"strange/a/jpg", "a/jpg: is no photograph by its name"},
        {"strange/note.jpg", "strange/note.jpg: is not a class folder"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_write(test_path(cases[i].path), "x", 1);
        check_refused(&spec, cases[i].words);
        assert_int_equal(remove(test_path(cases[i].path)), 0);
    }
    put_class("strange/a/inner", 1, 1);
    check_refused(&spec, "strange/a/inner: is a folder within a class");
    assert_int_equal(dc_make_directory(test_path("nothing"), &error), DC_OK);
    const struct dc_source_spec nothing = spec_of("nothing", "train");
    check_refused(&nothing, "nothing: holds no class folder");
}

// Any number of threads gives the same samples, and tells of the same file where several are bad.
static void threads_change_nothing(void **state)
{
    (void)state;
    enum { FILES = 300 };
    uint64_t hash = 0;
    put_class("many/a", FILES, 0);
    put_class("many/b", 1, 7);
    struct dc_source_spec spec = spec_of("many", "train");
    for (int damaged = 0; damaged < 2; damaged++) {
        for (spec.threads = 1; spec.threads < 5; spec.threads++) {
            if (damaged) {
                check_refused(&spec, "many/a/140.png: neither JPEG");
                continue;
            }
            struct dc_source *source = open_ok(&spec);
            assert_int_equal(source->count, FILES + 1);
            for (int i = 0; i < FILES; i++)
                assert_int_equal(pixel_of(source, i), i % 256);
            assert_true(spec.threads == 1 || source->hash == hash);
            hash = source->hash;
            dc_source_free(source);
        }
        for (int i = 140; i < FILES; i += 3) {
            char name[64];
            snprintf(name, sizeof name, "many/a/%03d.png", i);
            test_write(test_path(name), "bad", 3);
        }
    }
}

// 5 files of 4 bytes: what the folder needs is known by its first file.
static void a_folder_is_held_against_the_limit(void **state)
{
    (void)state;
    put_class("limit/a", 5, 0);
    struct dc_source_spec spec = spec_of("limit", "train");
    spec.resize = (struct dc_resize){.height = 2, .width = 2};
    spec.memory = 19;
    check_refused(&spec, "the folder, by its first file, declares 20 bytes, more than the 19 that "
                         "limits.memory allows");
    spec.memory = 20;
    dc_source_free(open_ok(&spec));
}

static int set_up(void **state)
{
    (void)state;
    test_folder();
    return 0;
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
        cmocka_unit_test(parts_are_found_by_name),
        cmocka_unit_test(what_lies_beside_the_parts),
        cmocka_unit_test(nearly_parts_are_told),
        cmocka_unit_test(class_folders_alone_give_a_seeded_test_set),
        cmocka_unit_test(the_test_set_is_repeatable_by_its_rule),
        cmocka_unit_test(train_without_test_is_cut_too),
        cmocka_unit_test(every_class_is_in_every_part),
        cmocka_unit_test(foreign_data_may_have_a_part_alone),
        cmocka_unit_test(class_names_are_the_folders_in_an_order),
        cmocka_unit_test(strange_files_are_refused_by_name),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(a_folder_is_held_against_the_limit),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
