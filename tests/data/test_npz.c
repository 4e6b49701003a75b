// NumPy's arrays: archives and folders that NumPy wrote (tests/golden/make_npz.py), every type of
// value, and what cannot be.

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
#include "core/npy.h"
#include "data/convert.h"
#include "tests/core/helper_folder.h"

static struct dc_error error;

static const char *golden(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/tests/golden/npz/%s", DECANT_SOURCE_DIR, name);
    return path;
}

static struct dc_source *open_ok(const char *path, const char *split)
{
    struct dc_source *source = NULL;
    const struct dc_source_spec spec = {.path = path, .split = split};
    if (dc_source_open(&source, &spec, &error) != DC_OK)
        fail_msg("%s", error.message);
    assert_string_equal(source->ops->kind, "npz");
    return source;
}

static void check_refused(const char *path, const char *split, int64_t memory, const char *words)
{
    struct dc_source *source = NULL;
    const struct dc_source_spec spec = {
        .kind = "npz", .path = path, .split = split, .memory = memory};
    assert_int_equal(dc_source_open(&source, &spec, &error), DC_ERR_DATA);
    assert_null(source);
    if (!strstr(error.message, words))
        fail_msg("nothing about '%s': %s", words, error.message);
}

static void check_samples(const struct dc_source *source, int64_t count,
                          const struct dc_shape *shape)
{
    const int64_t values = dc_shape_count(shape);
    uint8_t bytes[512];
    float floats[128];
    assert_int_equal(source->count, count);
    assert_true(dc_shape_equal(&source->sample, shape));
    assert_int_equal(source->classes, 4);
    for (int64_t i = 0; i < count; i++) {
        assert_int_equal(
            dc_source_read(source, i, source->dtype == DC_U8 ? (void *)bytes : floats, &error),
            DC_OK);
        assert_int_equal(source->labels[i], i % 4);
        for (int64_t k = 0; k < values; k++) {
            const int value = (int)((31 * i + 7 * k + 5) % 256);
            if (source->dtype == DC_U8)
                assert_int_equal(bytes[k], value);
            else
                assert_true(floats[k] == (float)value / 2.0f);
        }
    }
}

static void archives_and_folders_are_numpys(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct dc_shape sample;
        int validation;
    } cases[] = {{"keras.npz", {.rank = 3, .dims = {5, 6, 3}}, 0},
                 {"medmnist.npz", {.rank = 3, .dims = {9, 7, 1}}, 5},
                 {"keras", {.rank = 1, .dims = {8}}, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dc_source *source = open_ok(golden(cases[i].name), "train");
        check_samples(source, 11 + cases[i].validation, &cases[i].sample);
        assert_int_equal(source->own_validation, cases[i].validation);
        assert_int_equal(source->note != NULL, cases[i].validation > 0);
        assert_int_equal(
            dc_source_own_validation(&(struct dc_source_spec){.path = golden(cases[i].name)}),
            cases[i].validation > 0);
        dc_source_free(source);
        source = open_ok(golden(cases[i].name), "test");
        check_samples(source, 6, &cases[i].sample);
        assert_int_equal(source->own_validation, 0);
        dc_source_free(source);
    }
    // Converted, they are still for validation.
    struct dc_source *train = open_ok(golden("medmnist.npz"), "train"), *again = NULL;
    assert_int_equal(dc_source_to_hdf5(train, NULL, test_path("same.h5"), NULL, &error), DC_OK);
    const struct dc_source_spec spec = {.path = test_path("same.h5"), .split = "train"};
    assert_int_equal(dc_source_open(&again, &spec, &error), DC_OK);
    assert_int_equal(again->own_validation, 5);
    assert_true(again->hash == train->hash);
    assert_true(dc_source_own_validation(&spec));
    dc_source_free(train);
    dc_source_free(again);
}

// An NPY file of version `version` with this type, shape and values, in the test's folder.
static void write_npy(const char *name, int version, const char *type, const char *shape,
                      const void *values, size_t size)
{
    char bytes[4096] = "\x93NUMPY";
    char text[512];
    const int length = snprintf(
        text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n", type, shape);
    const size_t head = version == 1 ? 10 : 12;
    bytes[6] = (char)version;
    bytes[8] = (char)(length & 255);
    bytes[9] = (char)(length >> 8);
    memcpy(bytes + head, text, (size_t)length);
    memcpy(bytes + head + length, values, size);
    test_write(test_path(name), bytes, head + (size_t)length + size);
}

// Channels first are refused, or asked about where nothing else is impossible.
static void channels_first_are_told(void **state)
{
    (void)state;
    static const uint8_t pixels[2 * 4 * 6 * 7], labels[2] = {0, 1};
    assert_int_equal(dc_make_directory(test_path("nchw"), &error), DC_OK);
    write_npy("nchw/y_train.npy", 1, "|u1", "(2,)", labels, 2);
    write_npy("nchw/x_train.npy", 1, "|u1", "(2, 3, 6, 7)", pixels, 2 * 3 * 6 * 7);
    check_refused(test_path("nchw"), "train", 0,
                  "samples of 'x_train' are [3, 6, 7], read as height, width, channels; if that is "
                  "3 channels of 6x7, move them last, in numpy x.transpose(0, 2, 3, 1)");
    write_npy("nchw/x_train.npy", 1, "|u1", "(2, 1, 6, 7)", pixels, 2 * 6 * 7);
    struct dc_source *source = open_ok(test_path("nchw"), "train");
    assert_non_null(strstr(source->note, "if that is 1 channels of 6x7"));
    dc_source_free(source);
    write_npy("nchw/x_train.npy", 1, "|u1", "(2, 6, 7, 4)", pixels, 2 * 6 * 7 * 4);
    source = open_ok(test_path("nchw"), "train");
    assert_null(source->note);
    dc_source_free(source);
}

// Labels 2, 0, 1 of every integer type; inputs 1.5, -2 and 0.25 of every float, 7 and 200 of
// others.
static void every_type_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        int width;
    } integers[] = {{"|u1", 1}, {"<u2", 2}, {"<u4", 4}, {"<u8", 8},
                    {"|i1", 1}, {"<i2", 2}, {"<i4", 4}, {"<i8", 8}};
    static const double reals[3] = {1.5, -2.0, 0.25};
    static const float singles[3] = {1.5f, -2.0f, 0.25f};
    static const uint16_t halves[3] = {0x3e00, 0xc000, 0x3400};
    static const struct {
        const char *type;
        const void *values;
        size_t size;
    } floats[] = {{"<f2", halves, sizeof halves},
                  {"<f4", singles, sizeof singles},
                  {"<f8", reals, sizeof reals}};
    assert_int_equal(dc_make_directory(test_path("types"), &error), DC_OK);
    for (size_t i = 0; i < 8; i++)
        for (int f = 0; f < 3; f++) {
            uint8_t labels[24] = {0};
            float x;
            labels[0] = 2;
            labels[2 * integers[i].width] = 1;
            write_npy("types/x_train.npy", f == 1 ? 2 : 1, floats[f].type, "(3, 1)",
                      floats[f].values, floats[f].size);
            write_npy("types/y_train.npy", 1, integers[i].type, "(3,)", labels,
                      3 * (size_t)integers[i].width);
            struct dc_source *source = open_ok(test_path("types"), "train");
            assert_int_equal(source->classes, 3);
            assert_int_equal(source->labels[0] * 100 + source->labels[1] * 10 + source->labels[2],
                             201);
            for (int k = 0; k < 3; k++) {
                assert_int_equal(dc_source_read(source, k, &x, &error), DC_OK);
                assert_true(x == singles[k]);
            }
            dc_source_free(source);
        }
    const int16_t shorts[2] = {7, -200};
    float x[2];
    write_npy("types/x_train.npy", 1, "<i2", "(1, 2)", shorts, sizeof shorts);
    assert_int_equal(remove(test_path("types/y_train.npy")), 0);
    struct dc_source *source = open_ok(test_path("types"), "train");
    assert_null(source->labels);  // none are there
    assert_int_equal(dc_source_read(source, 0, x, &error), DC_OK);
    assert_true(x[0] == 7.0f && x[1] == -200.0f);
    dc_source_free(source);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static const uint8_t values[64];
    const char *folder = "bad";
    assert_int_equal(dc_make_directory(test_path(folder), &error), DC_OK);
    check_refused(test_path(folder), "train", 0, "has no array x_train or train_images");
    static const struct {
        const char *type, *shape;
        size_t size;
        const char *words;
    } inputs[] = {
        {"|u1", "(4, 3)", 11, "11 bytes of values, its shape needs 12"},
        {">f4", "(1, 1)", 4, "little-endian integers or floats in C order"},
        {"<c8", "(1, 1)", 8, "little-endian integers or floats"},
        {"|u1", "(4,)", 4, "is not [n, values], [n, height, width]"},
        {"|u1", "(1, 2, 2, 2, 2)", 16, "is not [n, values]"},
        {"|u1", "(0, 3)", 0, "at least one sample"},
        {"|u1", "(1000000000, 1000000000, 1000000000)", 8, "no shape that can be"},
        {"|u1", "(-1, 3)", 3, "no shape that can be"},
        {"|u1", "4, 3", 12, "no shape that can be"},
    };
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        write_npy("bad/x_train.npy", 1, inputs[i].type, inputs[i].shape, values, inputs[i].size);
        check_refused(test_path(folder), "train", 0, inputs[i].words);
    }
    write_npy("bad/x_train.npy", 1, "<f4", "(2, 1)", "\0\0\0\0\0\0\300\177", 8);
    check_refused(test_path(folder), "train", 0, "'x_train': sample 1 holds NaN");
    write_npy("bad/x_train.npy", 3, "|u1", "(4, 3)", values, 12);
    check_refused(test_path(folder), "train", 0, "not an NPY file of version 1 or 2");
    write_npy("bad/x_train.npy", 1, "|u1", "(4, 3)", values, 12);
    write_npy("bad/y_train.npy", 1, "<f4", "(4,)", values, 16);
    check_refused(test_path(folder), "train", 0, "'y_train' is not one integer for each of 4");
    write_npy("bad/y_train.npy", 1, "|u1", "(3,)", values, 3);
    check_refused(test_path(folder), "train", 0, "'y_train' is not one integer for each of 4");
    write_npy("bad/y_train.npy", 1, "|i1", "(4,)", "\0\0\377\0", 4);
    check_refused(test_path(folder), "train", 0, "sample 2 has label -1");
    write_npy("bad/y_train.npy", 1, "|u1", "(4,)", values, 4);
    write_npy("bad/x_val.npy", 1, "|u1", "(4, 2)", values, 8);
    write_npy("bad/y_val.npy", 1, "|u1", "(4,)", values, 4);
    check_refused(test_path(folder), "train", 0, "'x_val' differs from the training samples");
    assert_int_equal(remove(test_path("bad/x_val.npy")), 0);
    check_refused(test_path(folder), "train", 11, "limits.memory");
    write_npy("bad/x_test.npy", 1, "|u1", "(1, 3)", values, 3);
    write_npy("bad/y_test.npy", 1, "|u1", "(1,)", "\5", 1);
    check_refused(test_path(folder), "test", 0, "has label 5, but there are 1 classes");
}

// Cut anywhere, or one bit changed in what is read: refused, never read as something else.
static void damaged_archives_are_refused(void **state)
{
    (void)state;
    static const char *const archives[] = {"keras.npz", "medmnist.npz"};
    for (int a = 0; a < 2; a++) {
        struct dc_arena *arena = NULL;
        char *bytes = NULL;
        size_t size = 0;
        int refused = 0;
        assert_int_equal(dc_arena_create(&arena, &error), DC_OK);
        assert_int_equal(dc_file_read(&bytes, &size, golden(archives[a]), arena, &error), DC_OK);
        struct dc_source *source = open_ok(golden(archives[a]), "train");
        dc_source_free(source);
        for (size_t cut = 0; cut < size; cut += 13) {
            test_write(test_path("cut.npz"), bytes, cut);
            check_refused(test_path("cut.npz"), "train", 0, "cut.npz: ");
        }
        for (size_t i = 0; i < size; i += 3) {
            bytes[i] ^= 4;
            test_write(test_path("bit.npz"), bytes, size);
            const struct dc_source_spec spec = {.path = test_path("bit.npz"), .split = "train"};
            if (dc_source_open(&source, &spec, &error) == DC_OK) {
                // a name was hit, and labels or the validation set are not found
                assert_true(source->count == 11 || source->count == 16);
                for (int64_t id = 0; id < source->count; id++) {
                    uint8_t values[90];
                    assert_int_equal(dc_source_read(source, id, values, &error), DC_OK);
                    for (int64_t k = 0; k < dc_shape_count(&source->sample); k++)
                        assert_int_equal(values[k], (31 * id + 7 * k + 5) % 256);
                    assert_true(!source->labels || source->labels[id] == id % 4);
                }
                dc_source_free(source);
            } else {
                refused++;
            }
            bytes[i] ^= 4;
        }
        assert_true(refused > 100);
        dc_arena_free(arena);
    }
    check_refused(test_path("cut.npz"), "train", 0, "not a ZIP archive, truncated or damaged");
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
        cmocka_unit_test(archives_and_folders_are_numpys),
        cmocka_unit_test(channels_first_are_told),
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(damaged_archives_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
