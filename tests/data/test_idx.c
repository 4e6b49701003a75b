// IDX: what is read, and what each kind of damage says.

#define _XOPEN_SOURCE 700
#include "data/open.h"

// clang-format off
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

#include "core/file.h"
#include "data/normalize.h"
#include "tests/core/helper_folder.h"
#include "tests/data/helper_sources.h"

static struct dc_error error;

static struct dc_source *open_ok(const char *folder, const char *split)
{
    struct dc_source *source = NULL;
    const struct dc_source_spec spec = {.path = folder, .split = split};
    if (dc_source_open(&source, &spec, &error) != DC_OK)
        fail_msg("%s", error.message);
    return source;
}

static void check_refused(const char *folder, const char *split, const char *words)
{
    struct dc_source *source = NULL;
    const struct dc_source_spec spec = {.kind = "idx", .path = folder, .split = split};
    assert_int_equal(dc_source_open(&source, &spec, &error), DC_ERR_DATA);
    assert_null(source);
    if (!strstr(error.message, words))
        fail_msg("nothing about '%s': %s", words, error.message);
}

static void images_and_labels_are_read(void **state)
{
    (void)state;
    uint64_t hashes[2];
    for (int packed = 0; packed < 2; packed++) {
        const char *folder = test_path(packed ? "packed" : "plain");
        test_write_idx_folder(folder, 12, 6, 4, 3, 5, packed);
        struct dc_source *train = open_ok(folder, "train"), *test = open_ok(folder, "test");
        assert_int_equal(train->count, 12);
        assert_int_equal(test->count, 6);
        assert_string_equal(train->ops->kind, "idx");
        assert_true(dc_shape_equal(&train->sample, &DC_SHAPE(4, 3, 1)));
        assert_int_equal(train->dtype, DC_U8);
        assert_int_equal(train->classes, 5);
        assert_int_equal(test->classes, 5);
        assert_null(train->class_names);
        for (int i = 0; i < 12; i++) {
            uint8_t pixels[12];
            assert_int_equal(dc_source_read(train, i, pixels, &error), DC_OK);
            assert_int_equal(train->labels[i], i % 5);
            for (int p = 0; p < 12; p++)
                assert_int_equal(pixels[p], (31 * i + 7 * p + 5) % 256);
        }
        assert_true(train->hash != test->hash);
        hashes[packed] = train->hash;
        dc_source_free(train);
        dc_source_free(test);
    }
    assert_true(hashes[0] == hashes[1]);  // of the content, not of the file
}

static void names_come_from_the_folder_or_the_spec(void **state)
{
    (void)state;
    const char *folder = test_path("named");
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    struct dc_source *source = NULL;
    test_write_idx_folder(folder, 12, 6, 2, 2, 5, false);
    test_write(test_path("named/classes.txt"), "one\ntwo two\r\nthree\nfour\nfive", 28);
    source = open_ok(folder, "test");
    assert_int_equal(source->classes, 5);
    assert_string_equal(source->class_names[1], "two two");
    assert_string_equal(source->class_names[4], "five");
    dc_source_free(source);
    struct dc_source_spec spec = {
        .path = folder, .split = "train", .class_names = names, .class_count = 6};
    assert_int_equal(dc_source_open(&source, &spec, &error), DC_OK);
    assert_int_equal(source->classes, 6);
    assert_string_equal(source->class_names[5], "f");
    dc_source_free(source);
    spec.class_count = 4;
    assert_int_equal(dc_source_open(&source, &spec, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "record 4 has label 4, but there are 4 classes"));
}

static void damage_names_file_and_place(void **state)
{
    (void)state;
    const char *folder = test_path("damaged");
    const uint8_t bytes[64] = {0};
    const uint8_t labels[10] = {0, 1, 2, 0, 1, 2, 0, 9, 1, 2};
    char images[256], records[256], test_records[256];
    snprintf(images, sizeof images, "%s/train-images-idx3-ubyte", folder);
    snprintf(records, sizeof records, "%s/train-labels-idx1-ubyte", folder);
    snprintf(test_records, sizeof test_records, "%s/t10k-labels-idx1-ubyte", folder);

    test_write_idx_folder(folder, 10, 10, 2, 3, 3, false);
    test_write_idx(images, 8, 3, (uint32_t[]){12, 2, 3}, bytes, 60);
    check_refused(folder, "train",
                  "train-images-idx3-ubyte: byte 4: the header says 12 records "
                  "of 6 bytes, but the file's size allows 10");
    test_write_idx(images, 8, 3, (uint32_t[]){10, 2, 3}, bytes, 57);
    check_refused(folder, "train", "allows 9 and a part of one");
    test_write_idx(images, 8, 3, (uint32_t[]){10, 2, 3}, bytes, 61);
    check_refused(folder, "train", "allows 10 and a part of one");
    test_write_idx(images, 8, 3, (uint32_t[]){10, 0, 3}, bytes, 60);
    check_refused(folder, "train", "byte 8: the header gives a dimension of 0");
    test_write_idx(images, 8, 3, (uint32_t[]){10, 65536, 65536}, bytes, 60);
    check_refused(folder, "train", "byte 12: the header gives a dimension of 65536");
    test_write_idx(images, 8, 3, (uint32_t[]){0, 2, 3}, bytes, 0);
    check_refused(folder, "train", "0 records");
    test_write_idx(images, 13, 3, (uint32_t[]){10, 2, 3}, bytes, 60);
    check_refused(folder, "train", "starts with 00 00 0d 03");
    test_write_idx(images, 8, 2, (uint32_t[]){10, 6}, bytes, 60);
    check_refused(folder, "train", "starts with 00 00 08 02");
    test_write(images, bytes, 9);
    check_refused(folder, "train", "9 bytes are too few");
    test_write_idx(images, 8, 3, (uint32_t[]){9, 2, 3}, bytes, 54);
    check_refused(folder, "train", "10 labels, but");

    test_write_idx_folder(folder, 10, 10, 2, 3, 3, false);
    test_write_idx(test_records, 8, 1, (uint32_t[]){10}, labels, 10);
    check_refused(folder, "test", "t10k-labels-idx1-ubyte: record 7 has label 9, but there are 3");
    test_write_idx(records, 8, 1, (uint32_t[]){10}, labels, 10);
    check_refused(folder, "train",
                  "train-labels-idx1-ubyte: record 7 has label 9, but no record "
                  "has label 3");
    remove(records);
    check_refused(folder, "train", "train-labels-idx1-ubyte: no such file, nor with .gz or .xz");
}

// One pixel, one label or the order of two samples: each must show in the hash.
static void any_change_changes_the_hash(void **state)
{
    (void)state;
    uint8_t pixels[15] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    uint8_t labels[5] = {0, 1, 2, 0, 1};
    uint64_t hashes[5];
    char folder[512], images[600], records[600];
    snprintf(folder, sizeof folder, "%s", test_path("hash"));
    snprintf(images, sizeof images, "%s/train-images-idx3-ubyte", folder);
    snprintf(records, sizeof records, "%s/train-labels-idx1-ubyte", folder);
    assert_int_equal(dc_make_directory(folder, &error), DC_OK);
    for (int k = 0; k < 5; k++) {
        const uint32_t dims[3] = {5, k == 4 ? 1 : 3, k == 4 ? 3 : 1};
        if (k == 1)
            pixels[14] = 16;
        if (k == 2)
            labels[0] = 1;
        if (k == 3)
            memcpy(pixels, ((uint8_t[]){4, 5, 6, 1, 2, 3}), 6);
        if (k == 3)
            labels[0] = 0;
        test_write_idx(images, 8, 3, dims, pixels, 15);
        test_write_idx(records, 8, 1, dims, labels, 5);
        struct dc_source *source = NULL;
        const struct dc_source_spec spec = {.path = folder, .split = "train", .class_count = 3};
        assert_int_equal(dc_source_open(&source, &spec, &error), DC_OK);
        hashes[k] = source->hash;
        dc_source_free(source);
        for (int i = 0; i < k; i++)
            assert_true(hashes[i] != hashes[k]);
    }
}

static void wrong_specs_are_refused(void **state)
{
    (void)state;
    struct dc_source *source = NULL;
    const char *folder = test_path("plain");
    struct dc_source_spec spec = {.path = folder, .split = "validation"};
    assert_int_equal(dc_source_open(&source, &spec, &error), DC_ERR_CONFIG);
    spec = (struct dc_source_spec){.path = folder, .split = "train", .kind = "idxx"};
    assert_int_equal(dc_source_open(&source, &spec, &error), DC_ERR_CONFIG);
    assert_non_null(strstr(error.message, "did you mean 'idx'?"));
    spec = (struct dc_source_spec){.path = folder, .split = "train", .channels = 3};
    assert_int_equal(dc_source_open(&source, &spec, &error), DC_ERR_CONFIG);
    spec = (struct dc_source_spec){.path = test_path("nowhere"), .split = "train"};
    assert_int_equal(dc_source_open(&source, &spec, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "nowhere: no such file or folder"));
    assert_int_equal(dc_make_directory(test_path("bare"), &error), DC_OK);
    spec = (struct dc_source_spec){.path = test_path("bare"), .split = "train"};
    assert_int_equal(dc_source_open(&source, &spec, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "bare: neither IDX"));
}

// Mean and deviation by hand, an offset that would eat a naive sum of squares, a constant channel.
static void statistics_follow_the_definition(void **state)
{
    (void)state;
    const float values[] = {10000.0f, 1, 7, 10002.0f, 3, 7, 10004.0f, 5, 7, 10002.0f, 3, 7};
    const int64_t ids[] = {1, 0};
    struct dc_normalization n;
    struct dc_source *source = test_source(2, DC_SHAPE(1, 2, 3), DC_F32, 0, values, NULL, -1);
    assert_int_equal(dc_dataset_statistics(&n, source, ids, 2, &error), DC_OK);
    assert_int_equal(n.channels, 3);
    assert_true(n.mean[0] == 10002.0f && n.mean[1] == 3.0f && n.mean[2] == 7.0f);
    assert_float_equal(n.deviation[0], 1.41421356, 1e-7);
    assert_float_equal(n.deviation[1], 1.41421356, 1e-7);
    assert_true(n.deviation[2] == 1.0f);
    dc_source_free(source);
    const float bad[] = {0, 1, NAN, 3};
    source = test_source(2, DC_SHAPE(2), DC_F32, 0, bad, NULL, -1);
    assert_int_equal(dc_dataset_statistics(&n, source, ids, 2, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "sample 1 holds NaN"));
    dc_source_free(source);
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
        cmocka_unit_test(images_and_labels_are_read),
        cmocka_unit_test(names_come_from_the_folder_or_the_spec),
        cmocka_unit_test(damage_names_file_and_place),
        cmocka_unit_test(any_change_changes_the_hash),
        cmocka_unit_test(wrong_specs_are_refused),
        cmocka_unit_test(statistics_follow_the_definition),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
