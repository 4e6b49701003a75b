// The HDF5 wrapper: what is written is read back, by HDF5's own tool too; failures leave no file.

#define _XOPEN_SOURCE 700
#include "core/h5.h"

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
#include "tests/core/helper_folder.h"

static struct dc_arena *arena;
static struct dc_error error;

#define ok(call)                                                                                   \
    do {                                                                                           \
        if ((call) != DC_OK)                                                                       \
            fail_msg("%s", error.message);                                                         \
    } while (0)

static void write_sample(const char *path)
{
    struct dc_h5 *file = NULL;
    float weights[6] = {1.5f, -2.0f, 3.25f, 0.0f, 5.0f, 6.0f};
    int8_t codes[3] = {-128, 0, 127};
    double scalar = 0.1;
    const uint8_t rows[4] = {1, 2, 3, 4};
    ok(dc_h5_create(&file, path, &error));
    ok(dc_h5_write(file, "stage/weights", &(struct dc_tensor){weights, DC_F32, DC_SHAPE(2, 3)},
                   &error));
    ok(dc_h5_write(file, "stage/deep/codes", &(struct dc_tensor){codes, DC_I8, DC_SHAPE(3)},
                   &error));
    ok(dc_h5_write(file, "scalar", &(struct dc_tensor){&scalar, DC_F64, {0}}, &error));
    ok(dc_h5_write(file, "empty", &(struct dc_tensor){NULL, DC_I32, DC_SHAPE(0, 4)}, &error));
    ok(dc_h5_create_rows(file, "log/rows", DC_U8, &DC_SHAPE(2), &error));
    ok(dc_h5_append_rows(file, "log/rows", rows, 1, &error));
    ok(dc_h5_append_rows(file, "log/rows", rows, 0, &error));
    ok(dc_h5_append_rows(file, "log/rows", rows, 2, &error));
    ok(dc_h5_set_text(file, "name", "Caf\xc3\xa9 \"1\"", &error));
    ok(dc_h5_set_text(file, "nothing", "", &error));
    ok(dc_h5_set_int(file, "version", -9000000000, &error));
    ok(dc_h5_close_commit(file, DC_OK, &error));
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct dc_h5 *file = NULL;
    enum dc_dtype dtype = DC_U8;
    struct dc_shape shape;
    float weights[6];
    int32_t codes[3];
    uint8_t rows[6];
    double scalar = 0;
    char *text = NULL;
    int64_t version = 0;
    write_sample(test_path("s.h5"));
    ok(dc_h5_open(&file, test_path("s.h5"), &error));
    ok(dc_h5_describe(file, "stage/weights", &dtype, &shape, &error));
    assert_int_equal(dtype, DC_F32);
    assert_true(dc_shape_equal(&shape, &DC_SHAPE(2, 3)));
    ok(dc_h5_read(file, "stage/weights", &(struct dc_tensor){weights, DC_F32, shape}, &error));
    assert_true(weights[0] == 1.5f && weights[2] == 3.25f && weights[5] == 6.0f);
    ok(dc_h5_read(file, "stage/deep/codes", &(struct dc_tensor){codes, DC_I32, DC_SHAPE(3)},
                  &error));
    assert_true(codes[0] == -128 && codes[2] == 127);
    ok(dc_h5_describe(file, "stage/deep/codes", &dtype, &shape, &error));
    assert_int_equal(dtype, DC_I8);
    ok(dc_h5_read(file, "scalar", &(struct dc_tensor){&scalar, DC_F64, {0}}, &error));
    assert_true(scalar == 0.1);
    ok(dc_h5_describe(file, "empty", &dtype, &shape, &error));
    assert_true(dtype == DC_I32 && dc_shape_equal(&shape, &DC_SHAPE(0, 4)));
    ok(dc_h5_describe(file, "log/rows", &dtype, &shape, &error));
    assert_true(dtype == DC_U8 && dc_shape_equal(&shape, &DC_SHAPE(3, 2)));
    ok(dc_h5_read_rows(file, "log/rows", DC_U8, rows, 1, 2, &error));
    assert_memory_equal(rows, ((uint8_t[]){1, 2, 3, 4}), 4);
    ok(dc_h5_read_rows(file, "stage/weights", DC_F32, weights, 1, 1, &error));
    assert_true(weights[1] == 5.0f);
    ok(dc_h5_get_text(file, "name", &text, arena, &error));
    assert_string_equal(text, "Caf\xc3\xa9 \"1\"");
    ok(dc_h5_get_text(file, "nothing", &text, arena, &error));
    assert_string_equal(text, "");
    ok(dc_h5_get_int(file, "version", &version, &error));
    assert_true(version == -9000000000);
    assert_true(dc_h5_has(file, "stage/deep/codes") && dc_h5_has(file, "stage"));
    assert_false(dc_h5_has(file, "stage/codes"));
    assert_false(dc_h5_has(file, "none/codes"));
    dc_h5_close(file);
}

// The judge is h5dump, not our reader: little-endian types, shapes and values.
static void another_program_reads_it(void **state)
{
    (void)state;
    char line[1200];
    write_sample(test_path("s.h5"));
    snprintf(line, sizeof line,
             "h5dump -d /stage/weights '%s' > '%s' && grep -q H5T_IEEE_F32LE '%s' && "
             "grep -q '(1,0): 0, 5, 6' '%s'",
             test_path("s.h5"), test_path("dump"), test_path("dump"), test_path("dump"));
    if (system("h5dump --version > /dev/null 2>&1") != 0)
        skip();
    assert_int_equal(system(line), 0);
}

static void equal_content_gives_equal_bytes(void **state)
{
    (void)state;
    char *a = NULL, *b = NULL;
    size_t size_a = 0, size_b = 0;
    write_sample(test_path("a.h5"));
    sleep(1);  // object times have seconds
    write_sample(test_path("b.h5"));
    ok(dc_file_read(&a, &size_a, test_path("a.h5"), arena, &error));
    ok(dc_file_read(&b, &size_b, test_path("b.h5"), arena, &error));
    assert_int_equal(size_a, size_b);
    assert_memory_equal(a, b, size_a);
}

static void wrong_requests_name_file_and_array(void **state)
{
    (void)state;
    struct dc_h5 *file = NULL;
    float values[6];
    char *text = NULL;
    int64_t number = 0;
    write_sample(test_path("s.h5"));
    ok(dc_h5_open(&file, test_path("s.h5"), &error));
    struct dc_tensor tensor = {values, DC_F32, DC_SHAPE(3, 2)};
    assert_int_equal(dc_h5_read(file, "stage/weights", &tensor, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "s.h5: array 'stage/weights' is [2, 3], not [3, 2]"));
    assert_int_equal(dc_h5_read(file, "stage/none", &tensor, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "stage/none"));
    assert_int_equal(dc_h5_read_rows(file, "log/rows", DC_U8, values, 2, 2, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "has 3 rows; 2 from row 2"));
    assert_int_equal(dc_h5_read_rows(file, "log/rows", DC_U8, values, -1, 2, &error), DC_ERR_DATA);
    assert_int_equal(dc_h5_get_text(file, "none", &text, arena, &error), DC_ERR_DATA);
    assert_int_equal(dc_h5_get_text(file, "version", &text, arena, &error), DC_ERR_DATA);
    assert_int_equal(dc_h5_get_int(file, "name", &number, &error), DC_ERR_DATA);
    dc_h5_close(file);
    assert_int_equal(dc_h5_open(&file, test_path("missing.h5"), &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "missing.h5"));
    assert_non_null(strstr(error.message, "No such file"));
    assert_null(file);
    test_write(test_path("junk.h5"), "not hdf5 at all", 15);
    assert_int_equal(dc_h5_open(&file, test_path("junk.h5"), &error), DC_ERR_DATA);
}

static void truncated_file_is_refused(void **state)
{
    (void)state;
    char *bytes = NULL;
    size_t size = 0;
    struct dc_h5 *file = NULL;
    write_sample(test_path("s.h5"));
    ok(dc_file_read(&bytes, &size, test_path("s.h5"), arena, &error));
    test_write(test_path("cut.h5"), bytes, size / 2);
    assert_int_equal(dc_h5_open(&file, test_path("cut.h5"), &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "cut.h5"));
    assert_non_null(strstr(error.message, "truncated"));
}

// Large contiguous, large appended, and one that fails only when closing flushes it.
static void full_disk_leaves_no_file(void **state)
{
    (void)state;
    static float values[100000];
    for (int kind = 0; kind < 3; kind++) {
        struct dc_h5 *file = NULL;
        struct dc_tensor tensor = {values, DC_F32, DC_SHAPE(100000)};
        assert_int_equal(dc_make_directory(test_path("full"), &error), DC_OK);
        test_limit_files(kind == 2 ? 1024 : 65536);
        enum dc_status status = dc_h5_create(&file, test_path("full/f.h5"), &error);
        if (status == DC_OK && kind == 0)
            status = dc_h5_write(file, "x", &tensor, &error);
        if (status == DC_OK && kind == 1)
            status = dc_h5_create_rows(file, "x", DC_F32, &DC_SHAPE(1000), &error);
        for (int i = 0; kind == 1 && i < 100 && status == DC_OK; i++)
            status = dc_h5_append_rows(file, "x", values, 50, &error);
        tensor.shape = DC_SHAPE(10);
        if (status == DC_OK && kind == 2)
            status = dc_h5_write(file, "y", &tensor, &error);
        if (status == DC_OK)
            status = dc_h5_close_commit(file, DC_OK, &error);
        else
            dc_h5_close(file);
        test_limit_files(0);
        assert_int_equal(status, DC_ERR_IO);
        assert_non_null(strstr(error.message, "full/f.h5"));
        assert_non_null(strstr(error.message, "File too large"));
        assert_int_equal(test_folder_entries(test_path("full")), 0);
    }
    write_sample(test_path("full/after.h5"));  // the library still works
    assert_int_equal(test_folder_entries(test_path("full")), 1);
}

static void closing_without_commit_leaves_no_file(void **state)
{
    (void)state;
    struct dc_h5 *file = NULL;
    ok(dc_make_directory(test_path("gone"), &error));
    ok(dc_h5_create(&file, test_path("gone/f.h5"), &error));
    ok(dc_h5_set_int(file, "x", 1, &error));
    assert_int_equal(test_folder_entries(test_path("gone")), 1);
    dc_h5_close(file);
    assert_int_equal(test_folder_entries(test_path("gone")), 0);
    dc_h5_close(NULL);
    assert_int_equal(dc_h5_create(&file, test_path("no/f.h5"), &error), DC_ERR_IO);
    assert_non_null(strstr(error.message, "no/f.h5: cannot create the file: No such file"));
    assert_null(file);
}

static int set_up(void **state)
{
    (void)state;
    test_folder();
    return dc_arena_create(&arena, &error) == DC_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    dc_arena_free(arena);
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(another_program_reads_it),
        cmocka_unit_test(equal_content_gives_equal_bytes),
        cmocka_unit_test(wrong_requests_name_file_and_array),
        cmocka_unit_test(truncated_file_is_refused),
        cmocka_unit_test(full_disk_leaves_no_file),
        cmocka_unit_test(closing_without_commit_leaves_no_file),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
