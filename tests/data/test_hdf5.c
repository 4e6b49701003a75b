// HDF5 sources, in memory and streamed; conversion to them; inspection; wrong files.

#define _XOPEN_SOURCE 700
#include "data/convert.h"

// clang-format off
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <hdf5.h>
// clang-format on

#include "core/file.h"
#include "core/h5.h"
#include "data/inspect.h"
#include "data/open.h"
#include "tests/core/helper_folder.h"
#include "tests/data/helper_sources.h"

enum { COUNT = 900, HEIGHT = 20, WIDTH = 10, CHANNELS = 3, CLASSES = 7 };
enum { VALUES = HEIGHT * WIDTH * CHANNELS };

static struct dc_error error;
static uint8_t values[COUNT * VALUES];
static int32_t labels[COUNT];
static const char *const names[CLASSES] = {"a", "b b", "c", "d", "e", "f", "g"};

#define ok(call)                                                                                   \
    do {                                                                                           \
        if ((call) != DC_OK)                                                                       \
            fail_msg("%s", error.message);                                                         \
    } while (0)

static void check_refused(const char *path, const char *split, const char *words)
{
    struct dc_source *source = NULL;
    const struct dc_source_spec spec = {.path = path, .split = split};
    assert_int_equal(dc_source_open(&source, &spec, &error), DC_ERR_DATA);
    assert_null(source);
    if (!strstr(error.message, words))
        fail_msg("nothing about '%s': %s", words, error.message);
}

static void check_content(const struct dc_source *source, int64_t step)
{
    uint8_t pixels[VALUES];
    for (int64_t k = 0, id = 0; k < COUNT; k++, id = (id + step) % COUNT) {
        ok(dc_source_read(source, id, pixels, &error));
        assert_memory_equal(pixels, values + id * VALUES, VALUES);
        assert_int_equal(source->labels[id], labels[id]);
    }
}

// 540,000 bytes: whole under the default limit, streamed in blocks under one of 100,000; the same
// samples and the same hash, in order and jumping about.
static void memory_and_stream_agree(void **state)
{
    const char *path = test_path("all.h5");
    struct dc_source *memory = NULL, *stream = NULL, *test = NULL;
    ok(dc_source_to_hdf5(*state, *state, path, names, &error));
    struct dc_source_spec spec = {.path = path, .split = "train"};
    ok(dc_source_open(&memory, &spec, &error));
    spec.memory_limit = 100000;
    ok(dc_source_open(&stream, &spec, &error));
    spec.split = "test";
    ok(dc_source_open(&test, &spec, &error));
    assert_true(memory->ops->read != stream->ops->read);
    const struct dc_source *all[] = {memory, stream, test};
    for (int i = 0; i < 3; i++) {
        assert_string_equal(all[i]->ops->kind, "hdf5");
        assert_int_equal(all[i]->count, COUNT);
        assert_int_equal(all[i]->classes, CLASSES);
        assert_string_equal(all[i]->class_names[1], "b b");
        assert_true(dc_shape_equal(&all[i]->sample, &DC_SHAPE(HEIGHT, WIDTH, CHANNELS)));
        assert_true(all[i]->hash == memory->hash);
        check_content(all[i], 1);
        check_content(all[i], 397);
    }
    dc_source_free(memory);
    dc_source_free(stream);
    dc_source_free(test);
    spec.memory = 12 * COUNT - 1;  // streaming needs little, the labels are held
    assert_int_equal(dc_source_open(&memory, &spec, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "limits.memory"));
}

static void *read_everything(void *arg)
{
    check_content(arg, 211);
    return NULL;
}

static void streams_serve_several_threads(void **state)
{
    const char *path = test_path("threads.h5");
    struct dc_source *streams[2] = {NULL};
    pthread_t threads[3];
    ok(dc_source_to_hdf5(*state, *state, path, NULL, &error));
    for (int i = 0; i < 2; i++) {
        const struct dc_source_spec spec = {
            .path = path, .split = i ? "test" : "train", .memory_limit = 1};
        ok(dc_source_open(&streams[i], &spec, &error));
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_everything, streams[i % 2]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++)
        dc_source_free(streams[i]);
}

// From IDX files and back: hash, samples and labels survive; the file is the same every time.
static void conversion_keeps_everything(void **state)
{
    (void)state;
    struct dc_source *idx = NULL, *back = NULL;
    struct dc_arena *arena = NULL;
    char *bytes[2] = {NULL};
    size_t sizes[2] = {0};
    char folder[512], path[512];
    snprintf(folder, sizeof folder, "%s", test_path("idx"));
    snprintf(path, sizeof path, "%s", test_path("idx.h5"));
    test_write_idx_folder(folder, 40, 10, 5, 6, 4, false);
    ok(dc_arena_create(&arena, &error));
    ok(dc_source_open(&idx, &(struct dc_source_spec){.path = folder, .split = "train"}, &error));
    for (int i = 0; i < 2; i++) {
        ok(dc_source_to_hdf5(idx, NULL, path, NULL, &error));
        ok(dc_file_read(&bytes[i], &sizes[i], path, arena, &error));
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    ok(dc_source_open(&back, &(struct dc_source_spec){.path = path, .split = "train"}, &error));
    assert_true(back->hash == idx->hash);
    assert_int_equal(back->classes, 4);
    assert_null(back->class_names);
    check_refused(path, "test", "idx.h5: has neither array 'inputs' nor 'test/inputs'");
    dc_source_free(idx);
    dc_source_free(back);
    dc_arena_free(arena);
}

// Written with HDF5 itself: big-endian floats, 64-bit labels, [n, height, width].
static void files_of_other_programs_are_read(void **state)
{
    (void)state;
    const float inputs[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10.5f, -11};
    const int64_t targets[3] = {1, 0, 2};
    const char *path = test_path("other.h5");
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(3, (hsize_t[]){3, 2, 2}, NULL);
    const hid_t line = H5Screate_simple(1, (hsize_t[]){3}, NULL);
    const hid_t a = H5Dcreate2(file, "inputs", H5T_IEEE_F32BE, space, H5P_DEFAULT, H5P_DEFAULT,
                               H5P_DEFAULT);
    const hid_t b = H5Dcreate2(file, "labels", H5T_STD_I64BE, line, H5P_DEFAULT, H5P_DEFAULT,
                               H5P_DEFAULT);
    assert_true(H5Dwrite(a, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, inputs) >= 0);
    assert_true(H5Dwrite(b, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, targets) >= 0);
    H5Dclose(a);
    H5Dclose(b);
    H5Sclose(space);
    H5Sclose(line);
    H5Fclose(file);
    struct dc_source *source = NULL;
    float sample[4];
    ok(dc_source_open(&source, &(struct dc_source_spec){.path = path, .split = "train"}, &error));
    assert_int_equal(source->dtype, DC_F32);
    assert_int_equal(source->classes, 3);
    assert_true(dc_shape_equal(&source->sample, &DC_SHAPE(2, 2, 1)));
    ok(dc_source_read(source, 2, sample, &error));
    assert_memory_equal(sample, inputs + 8, sizeof sample);
    assert_int_equal(source->labels[2], 2);
    dc_source_free(source);
    check_refused(path, "test", "other.h5: has no split 'test'");
}

// What h5py makes of a list of words, of one type or the other.
static void names_may_be_a_list(void **state)
{
    (void)state;
    static const char fixed[3][5] = {"cat", {'a', ' ', 'd', 'o', 'g'}, "bird"};  // not all end in 0
    static const char *const variable[3] = {"cat", "a dog", "bird"};
    uint8_t inputs[12] = {0};
    int32_t targets[3] = {1, 0, 2};
    const char *path = test_path("list.h5");
    for (int k = 0; k < 2; k++) {
        struct dc_h5 *made = NULL;
        ok(dc_h5_create(&made, path, &error));
        ok(dc_h5_write(made, "inputs", &(struct dc_tensor){inputs, DC_U8, DC_SHAPE(3, 4)}, &error));
        ok(dc_h5_write(made, "labels", &(struct dc_tensor){targets, DC_I32, DC_SHAPE(3)}, &error));
        ok(dc_h5_close_commit(made, DC_OK, &error));
        const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
        const hid_t line = H5Screate_simple(1, (hsize_t[]){3}, NULL), type = H5Tcopy(H5T_C_S1);
        assert_true(H5Tset_size(type, k ? H5T_VARIABLE : sizeof fixed[0]) >= 0);
        assert_true(H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0);
        const hid_t list = H5Acreate2(file, "class_names", type, line, H5P_DEFAULT, H5P_DEFAULT);
        assert_true(H5Awrite(list, type, k ? (const void *)variable : (const void *)fixed) >= 0);
        H5Aclose(list);
        H5Tclose(type);
        H5Sclose(line);
        H5Fclose(file);
        struct dc_source *source = NULL;
        ok(dc_source_open(&source, &(struct dc_source_spec){.path = path, .split = "train"},
                          &error));
        assert_int_equal(source->classes, 3);
        for (int i = 0; i < 3; i++)
            assert_string_equal(source->class_names[i], variable[i]);
        dc_source_free(source);
    }
}

struct wrong {
    const char *name;  // of the array, or NULL
    enum dc_dtype dtype;
    struct dc_shape shape;
};

// A file of two arrays of zeros and perhaps an attribute.
static void write_arrays(const char *path, const struct wrong *arrays, const char *attribute,
                         int64_t number)
{
    static double zeros[64];
    struct dc_h5 *file = NULL;
    ok(dc_h5_create(&file, path, &error));
    for (int i = 0; i < 2; i++)
        if (arrays[i].name)
            ok(dc_h5_write(file, arrays[i].name,
                           &(struct dc_tensor){zeros, arrays[i].dtype, arrays[i].shape}, &error));
    if (attribute)
        ok(dc_h5_set_int(file, attribute, number, &error));
    ok(dc_h5_close_commit(file, DC_OK, &error));
}

static void wrong_files_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct wrong arrays[2];
        const char *words, *attribute;
        int64_t number;
    } cases[] = {
        {{{"x", DC_U8, {1, {3}}}}, "neither array 'inputs' nor 'train/inputs'", NULL, 0},
        {{{"inputs", DC_I32, {2, {3, 2}}}}, "'inputs' must be of uint8 or float32", NULL, 0},
        {{{"inputs", DC_F64, {2, {3, 2}}}}, "'inputs' must be of uint8 or float32", NULL, 0},
        {{{"inputs", DC_U8, {1, {3}}}}, "'inputs' is [3]; it must be", NULL, 0},
        {{{"inputs", DC_U8, {2, {0, 4}}}}, "'inputs' is [0, 4]; it must be", NULL, 0},
        {{{"inputs", DC_U8, {2, {3, 2}}}, {"labels", DC_U8, {1, {4}}}},
         "'labels' has 4 rows, 'inputs' has 3",
         NULL,
         0},
        {{{"inputs", DC_U8, {2, {3, 2}}}, {"labels", DC_U8, {2, {3, 1}}}},
         "'labels' must be [n] of integers, not [3, 1]",
         NULL,
         0},
        {{{"inputs", DC_U8, {2, {3, 2}}}, {"labels", DC_F32, {1, {3}}}},
         "'labels' must be [n] of integers, not [3] of floats",
         NULL,
         0},
        {{{"inputs", DC_U8, {2, {3, 2}}}},
         "version 3, this program reads 1 to 2",
         "decant_data",
         3},
        {{{"inputs", DC_U8, {2, {3, 2}}}, {"labels", DC_U8, {1, {3}}}},
         "attribute 'classes' is -1",
         "classes",
         -1},
    };
    char path[512];
    snprintf(path, sizeof path, "%s", test_path("wrong.h5"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_arrays(path, cases[i].arrays, cases[i].attribute, cases[i].number);
        check_refused(path, "train", cases[i].words);
        assert_non_null(strstr(error.message, "wrong.h5"));
    }
}

// Values and tags of other programs; groups must ascend.
static void other_labels_are_read_and_checked(void **state)
{
    (void)state;
    float numbers[6] = {1, 0, 1, 0, 0.5f, 1};
    int32_t groups[3] = {4, 4, 2};
    static const uint8_t inputs[6];
    static const struct {
        enum dc_label_kind kind;
        const char *said, *words;
        enum dc_status status;
        int outputs, group_rows, last_group;
    } cases[] = {
        {DC_LABELS_VALUES, NULL, NULL, DC_OK, 2, 0, 0},
        {DC_LABELS_VALUES, NULL, NULL, DC_OK, 0, 0, 0},
        {DC_LABELS_VALUES, "values", NULL, DC_OK, 2, 3, 5},
        {DC_LABELS_TAGS, NULL, "row 2 of 'labels' holds 0.5, which is neither 0", DC_ERR_DATA, 2, 0,
         0},
        {DC_LABELS_CLASSES, NULL, "of numbers say labels: values", DC_ERR_DATA, 2, 0, 0},
        {DC_LABELS_CLASSES, "values", "its labels are values; say labels: values", DC_ERR_CONFIG, 2,
         0, 0},
        {DC_LABELS_CLASSES, "many", "attribute 'labels' is 'many'", DC_ERR_DATA, 2, 0, 0},
        {DC_LABELS_VALUES, NULL, "'groups' falls at row 2", DC_ERR_DATA, 2, 3, 2},
        {DC_LABELS_VALUES, NULL, "'groups' has 2 rows, 'inputs' has 3", DC_ERR_DATA, 2, 2, 2},
    };
    char path[512];
    snprintf(path, sizeof path, "%s", test_path("labels.h5"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dc_h5 *file = NULL;
        struct dc_source *source = NULL;
        const int outputs = cases[i].outputs, rows = cases[i].group_rows;
        groups[2] = cases[i].last_group;
        ok(dc_h5_create(&file, path, &error));
        ok(dc_h5_write(file, "inputs",
                       &(struct dc_tensor){(void *)(uintptr_t)inputs, DC_U8, DC_SHAPE(3, 2)},
                       &error));
        ok(dc_h5_write(
            file, "labels",
            &(struct dc_tensor){numbers, DC_F32, outputs ? DC_SHAPE(3, outputs) : DC_SHAPE(3)},
            &error));
        if (rows)
            ok(dc_h5_write(file, "groups", &(struct dc_tensor){groups, DC_I32, DC_SHAPE(rows)},
                           &error));
        if (cases[i].said)
            ok(dc_h5_set_text(file, "labels", cases[i].said, &error));
        ok(dc_h5_close_commit(file, DC_OK, &error));
        const struct dc_source_spec spec = {
            .path = path, .split = "train", .label_kind = cases[i].kind};
        error.message[0] = '\0';
        if (dc_source_open(&source, &spec, &error) != cases[i].status ||
            (cases[i].words && !strstr(error.message, cases[i].words)))
            fail_msg("case %zu: %s", i, error.message);
        if (!source)
            continue;
        assert_null(source->labels);
        assert_int_equal(source->classes, outputs ? outputs : 1);
        assert_memory_equal(source->targets, numbers, sizeof(float) * (outputs ? 6 : 3));
        assert_string_equal(source->class_names[source->classes - 1], outputs ? "1" : "0");
        dc_source_free(source);
    }
}

static void wrong_values_are_refused(void **state)
{
    (void)state;
    float inputs[6] = {0, 1, 2, 3, NAN, 5};
    int32_t targets[3] = {0, 1, 1};
    char path[512];
    struct dc_h5 *file = NULL;
    snprintf(path, sizeof path, "%s", test_path("nan.h5"));
    for (int k = 0; k < 2; k++) {
        ok(dc_h5_create(&file, path, &error));
        ok(dc_h5_write(file, "inputs", &(struct dc_tensor){inputs, DC_F32, DC_SHAPE(3, 2)},
                       &error));
        ok(dc_h5_write(file, "labels", &(struct dc_tensor){targets, DC_I32, DC_SHAPE(3)}, &error));
        ok(dc_h5_set_text(file, "class_names", "yes\nno", &error));
        ok(dc_h5_close_commit(file, DC_OK, &error));
        check_refused(path, "train",
                      k ? "nan.h5: record 1 has label 2, but there are 2 classes"
                        : "nan.h5: row 2 of 'inputs' holds NaN");
        targets[1] = 2;
    }
}

static void a_full_disk_leaves_no_file(void **state)
{
    ok(dc_make_directory(test_path("full"), &error));
    test_limit_files(100000);
    const enum dc_status status = dc_source_to_hdf5(*state, NULL, test_path("full/f.h5"), NULL,
                                                    &error);
    test_limit_files(0);
    assert_int_equal(status, DC_ERR_IO);
    assert_non_null(strstr(error.message, "full/f.h5"));
    assert_int_equal(test_folder_entries(test_path("full")), 0);
}

static void unlike_splits_are_refused(void **state)
{
    struct dc_source *other = test_source(2, DC_SHAPE(HEIGHT, WIDTH, 1), DC_U8, CLASSES, values,
                                          labels, -1);
    assert_int_equal(dc_source_to_hdf5(*state, other, test_path("u.h5"), NULL, &error),
                     DC_ERR_DATA);
    assert_false(dc_file_exists(test_path("u.h5")));
    dc_source_free(other);
}

static void a_summary_counts_what_is_there(void **state)
{
    const struct dc_source *source = *state;
    struct dc_arena *arena = NULL;
    struct dc_source_summary summary;
    int64_t counts[CLASSES] = {0};
    double sum = 0.0;
    int low = 255, high = 0;
    ok(dc_arena_create(&arena, &error));
    ok(dc_source_inspect(&summary, source, arena, &error));
    for (int i = 0; i < COUNT; i++)
        counts[labels[i]]++;
    for (int i = 0; i < COUNT * VALUES; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
        sum += i % CHANNELS == 1 ? values[i] : 0;
    }
    assert_memory_equal(counts, summary.class_counts, sizeof counts);
    assert_true(summary.minimum == low && summary.maximum == high);
    assert_int_equal(summary.statistics.channels, CHANNELS);
    assert_float_equal(summary.statistics.mean[1], sum / (COUNT * HEIGHT * WIDTH) / 255.0, 1e-7);
    dc_arena_free(arena);
}

static int set_up(void **state)
{
    test_folder();
    for (int i = 0; i < COUNT * VALUES; i++)
        values[i] = (uint8_t)(test_pixel(i) / 2 + 10);
    for (int i = 0; i < COUNT; i++)
        labels[i] = test_pixel(i + 77) % CLASSES;
    *state = test_source(COUNT, DC_SHAPE(HEIGHT, WIDTH, CHANNELS), DC_U8, CLASSES, values, labels,
                         -1);
    return 0;
}

static int tear_down(void **state)
{
    dc_source_free(*state);
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_and_stream_agree),
        cmocka_unit_test(streams_serve_several_threads),
        cmocka_unit_test(conversion_keeps_everything),
        cmocka_unit_test(files_of_other_programs_are_read),
        cmocka_unit_test(names_may_be_a_list),
        cmocka_unit_test(wrong_files_are_refused),
        cmocka_unit_test(other_labels_are_read_and_checked),
        cmocka_unit_test(wrong_values_are_refused),
        cmocka_unit_test(a_full_disk_leaves_no_file),
        cmocka_unit_test(unlike_splits_are_refused),
        cmocka_unit_test(a_summary_counts_what_is_there),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
