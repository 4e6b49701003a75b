// CIFAR: layout, names and damage, on tiny files. test_cifar10.c reads the real ones.

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
#include <cmocka.h>
// clang-format on

#include "core/file.h"
#include "tests/core/helper_folder.h"
#include "tests/data/helper_sources.h"

enum { PLANE = 1024 };

static struct dc_error error;
static char folder[512];

static struct dc_source *open_ok(const char *path, const char *split)
{
    struct dc_source *source = NULL;
    const struct dc_source_spec spec = {.path = path, .split = split};
    if (dc_source_open(&source, &spec, &error) != DC_OK)
        fail_msg("%s", error.message);
    return source;
}

static void check_refused(const char *split, const char *words)
{
    struct dc_source *source = NULL;
    const struct dc_source_spec spec = {.path = folder, .split = split};
    assert_int_equal(dc_source_open(&source, &spec, &error), DC_ERR_DATA);
    if (!strstr(error.message, words))
        fail_msg("nothing about '%s': %s", words, error.message);
}

// Value of plane c, row y, column x of record i of a file.
static uint8_t value(int file, int i, int c, int y, int x)
{
    return (uint8_t)test_pixel((((int64_t)file * 10 + i) * 3 + c) * PLANE + y * 32 + x);
}

// `count` records; the labels before the pixels are given by `label`, `coarse` stands before it.
static void write_batch(const char *name, int file, int count, int label_bytes, int classes)
{
    static uint8_t bytes[4 * (2 + 3 * PLANE)];
    uint8_t *to = bytes;
    char path[600];
    for (int i = 0; i < count; i++) {
        if (label_bytes == 2)
            *to++ = 250;  // coarse: not read
        *to++ = (uint8_t)((7 * file + i) % classes);
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < 32; y++)
                for (int x = 0; x < 32; x++)
                    *to++ = value(file, i, c, y, x);
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    test_write(path, bytes, (size_t)(to - bytes));
}

static void use_folder(const char *name)
{
    snprintf(folder, sizeof folder, "%s", test_path(name));
    assert_int_equal(dc_make_directory(folder, &error), DC_OK);
}

static void write_cifar10(void)
{
    static const char *const names[] = {"test_batch.bin",   "data_batch_1.bin", "data_batch_2.bin",
                                        "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"};
    for (int file = 0; file < 6; file++)
        write_batch(names[file], file, file == 3 ? 1 : 2, 1, 10);
}

static void planes_become_pixels(void **state)
{
    (void)state;
    use_folder("ten");
    write_cifar10();
    char line[700];
    snprintf(line, sizeof line, "cd '%s' && xz data_batch_2.bin && gzip data_batch_4.bin", folder);
    assert_int_equal(system(line), 0);
    struct dc_source *source = open_ok(folder, "train");
    assert_string_equal(source->ops->kind, "cifar10");
    assert_int_equal(source->count, 9);
    assert_int_equal(source->classes, 10);
    assert_null(source->class_names);
    for (int id = 0, file = 1, i = 0; id < 9; id++) {
        uint8_t pixels[3 * PLANE];
        assert_int_equal(dc_source_read(source, id, pixels, &error), DC_OK);
        assert_int_equal(source->labels[id], (7 * file + i) % 10);
        for (int p = 0; p < 3 * PLANE; p++)
            assert_int_equal(pixels[p], value(file, i, p % 3, p / 3 / 32, p / 3 % 32));
        if (++i == (file == 3 ? 1 : 2)) {
            i = 0;
            file++;
        }
    }
    dc_source_free(source);
    source = open_ok(folder, "test");
    assert_int_equal(source->count, 2);
    dc_source_free(source);
}

static void fine_labels_count_in_cifar100(void **state)
{
    (void)state;
    use_folder("hundred");
    write_batch("train.bin", 9, 4, 2, 100);
    write_batch("test.bin", 13, 2, 2, 100);
    struct dc_source *source = open_ok(folder, "train");
    assert_string_equal(source->ops->kind, "cifar100");
    assert_int_equal(source->classes, 100);
    uint8_t pixels[3 * PLANE];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(source->labels[i], 63 + i);
        assert_int_equal(dc_source_read(source, i, pixels, &error), DC_OK);
        assert_int_equal(pixels[3 * 33 + 2], value(9, i, 2, 1, 1));
    }
    dc_source_free(source);
    write_batch("train.bin", 9, 4, 1, 10);  // CIFAR-10 records under this name
    check_refused("train", "train.bin: record 3 is cut off");
}

static void damage_names_file_and_record(void **state)
{
    (void)state;
    static uint8_t bytes[2 * 3073];
    char path[600];
    use_folder("damaged");
    write_cifar10();
    snprintf(path, sizeof path, "%s/data_batch_5.bin", folder);
    test_write(path, bytes, 3073 + 100);
    check_refused("train", "data_batch_5.bin: record 1 is cut off: 3173 bytes");
    test_write(path, bytes, 0);
    check_refused("train", "data_batch_5.bin: the file is empty");
    bytes[3073] = 10;
    test_write(path, bytes, sizeof bytes);
    check_refused("train", "data_batch_5.bin: record 1 has label 10, but there are 10 classes");
    remove(path);
    check_refused("train", "data_batch_5.bin: no such file, nor with .gz or .xz");
    snprintf(path, sizeof path, "%s/batches.meta.txt", folder);
    test_write(path, "one\ntwo\n\n", 9);
    check_refused("test", "2 classes are named, the data has 10");
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
        cmocka_unit_test(planes_become_pixels),
        cmocka_unit_test(fine_labels_count_in_cifar100),
        cmocka_unit_test(damage_names_file_and_record),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
