// HDF5 files that others made: what they may not ask for, and that a reader that dies is a message.
// The files are written with HDF5 itself.

#define _XOPEN_SOURCE 700
#include "core/h5.h"

// clang-format off
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <hdf5.h>
// clang-format on

#include "core/file.h"
#include "core/random.h"
#include "tests/core/helper_folder.h"

static struct dc_arena *arena;
static struct dc_error error;

#define ok(call)                                                                                   \
    do {                                                                                           \
        if ((call) != DC_OK)                                                                       \
            fail_msg("%s", error.message);                                                         \
    } while (0)

enum { ROWS = 6, VALUES = 8 };
static const uint8_t secret[ROWS * VALUES] = "what no data file may lead to: another file";

// An array of bytes [rows, values], chunked where chunk_rows > 0, left unwritten where `from` is
// NULL.
static void add_array(hid_t file, const char *name, hsize_t rows, hsize_t values,
                      hsize_t chunk_rows, hid_t plist, const void *from)
{
    const hid_t space = H5Screate_simple(2, (hsize_t[]){rows, values}, NULL);
    const hid_t create = plist >= 0 ? plist : H5Pcreate(H5P_DATASET_CREATE);
    if (chunk_rows > 0)
        assert_true(H5Pset_chunk(create, 2, (hsize_t[]){chunk_rows, values}) >= 0);
    const hid_t set = H5Dcreate2(file, name, H5T_STD_U8LE, space, H5P_DEFAULT, create, H5P_DEFAULT);
    assert_true(set >= 0);
    if (from)
        assert_true(H5Dwrite(set, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, from) >= 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(create);
}

static void external_storage(hid_t file)
{
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_external(plist, test_path("secret"), 0, sizeof secret) >= 0);
    add_array(file, "x", ROWS, VALUES, 0, plist, NULL);
}

static void external_link(hid_t file)
{
    assert_true(
        H5Lcreate_external(test_path("other.h5"), "/x", file, "x", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}

static void soft_link(hid_t file)
{
    add_array(file, "real", ROWS, VALUES, 0, -1, secret);
    assert_true(H5Lcreate_soft("/real", file, "x", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}

static void linked_group(hid_t file)
{
    assert_true(
        H5Lcreate_external(test_path("other.h5"), "/", file, "g", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}

static void virtual_array(hid_t file)
{
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    const hid_t space = H5Screate_simple(2, (hsize_t[]){ROWS, VALUES}, NULL);
    assert_true(H5Pset_virtual(plist, space, test_path("other.h5"), "/x", space) >= 0);
    H5Sclose(space);
    add_array(file, "x", ROWS, VALUES, 0, plist, NULL);
}

// Said to be optional, so that HDF5 lets the array be made without it.
static void unknown_filter(hid_t file)
{
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_filter(plist, 32015, H5Z_FLAG_OPTIONAL, 0, NULL) >= 0);
    add_array(file, "x", ROWS, VALUES, 2, plist, NULL);
}

static void wraps_to_zero(hid_t file)
{
    add_array(file, "x", (hsize_t)1 << 33, (hsize_t)1 << 31, 1, -1, NULL);
}

static void many_rows(hid_t file)
{
    add_array(file, "x", 100000000000, VALUES, 1000, -1, NULL);
}

static void long_rows(hid_t file)
{
    add_array(file, "x", 2, 4000000000, 1, -1, NULL);
}

static void huge_chunks(hid_t file)
{
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    const hid_t space = H5Screate_simple(2, (hsize_t[]){1, 4},
                                         (hsize_t[]){H5S_UNLIMITED, H5S_UNLIMITED});
    assert_true(H5Pset_chunk(plist, 2, (hsize_t[]){60000, 60000}) >= 0);
    H5Dclose(H5Dcreate2(file, "x", H5T_STD_U8LE, space, H5P_DEFAULT, plist, H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(plist);
}

static void late_storage(hid_t file)
{
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_alloc_time(plist, H5D_ALLOC_TIME_LATE) >= 0);
    add_array(file, "x", 200000, 100000, 0, plist, NULL);
}

static void array_is_group(hid_t file)
{
    H5Gclose(H5Gcreate2(file, "x", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

static void array_is_missing(hid_t file)
{
    (void)file;
}

static const struct {
    const char *name, *array;
    void (*make)(hid_t file);
    const char *words;
} cases[] = {
    {"external storage", "x", external_storage, "lies in other files"},
    {"an external link", "x", external_link, "is a soft or external link"},
    {"a soft link", "x", soft_link, "is a soft or external link"},
    {"a group elsewhere", "g/x", linked_group, "is a soft or external link"},
    {"a virtual array", "x", virtual_array, "is virtual"},
    {"a filter of others", "x", unknown_filter, "by a filter that is not HDF5's own"},
    {"a product that wraps to 0", "x", wraps_to_zero, "no file has so many values"},
    {"rows without end", "x", many_rows, "declares 800000000000 bytes, but only 0 are stored"},
    {"rows of gigabytes", "x", long_rows, "declares 8000000000 bytes, but only 0 are stored"},
    {"chunks of gigabytes", "x", huge_chunks, "declares 3600000000 bytes, but only 0 are stored"},
    {"storage never made", "x", late_storage, "declares 20000000000 bytes, but only 0"},
    {"a group", "x", array_is_group, "cannot read the array 'x'"},
    {"nothing", "x", array_is_missing, "has no array 'x'"},
};

// The file that others must not lead to, as HDF5 and as plain bytes.
static void write_targets(void)
{
    const hid_t other = H5Fcreate(test_path("other.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    add_array(other, "x", ROWS, VALUES, 0, -1, secret);
    H5Fclose(other);
    test_write(test_path("secret"), secret, sizeof secret);
}

static void arrays_that_ask_too_much_are_refused(void **state)
{
    (void)state;
    write_targets();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum dc_dtype dtype;
        struct dc_shape shape;
        struct dc_h5 *file = NULL;
        uint8_t values[ROWS * VALUES] = {0};
        const char *path = test_path("case.h5");
        const hid_t made = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
        cases[i].make(made);
        H5Fclose(made);
        ok(dc_h5_open(&file, path, &error));
        assert_int_equal(dc_h5_describe(file, cases[i].array, &dtype, &shape, &error), DC_ERR_DATA);
        if (!strstr(error.message, cases[i].words) || !strstr(error.message, "case.h5"))
            fail_msg("%s: %s", cases[i].name, error.message);
        assert_int_equal(dc_h5_read_rows(file, cases[i].array, DC_U8, values, 0, 1, &error),
                         DC_ERR_DATA);
        for (size_t v = 0; v < sizeof values; v++)
            assert_int_equal(values[v], 0);
        dc_h5_close(file);
    }
}

// Chunks that are compressed and longer than what is read at once, read in pieces of odd sizes.
static void packed_chunks_are_read_exactly(void **state)
{
    (void)state;
    enum { MANY = 5000, WIDE = 700 };
    uint8_t *values = malloc((size_t)MANY * WIDE), *back = malloc((size_t)MANY * WIDE);
    assert_true(values && back);
    for (int i = 0; i < MANY * WIDE; i++)
        values[i] = (uint8_t)(i / 3 + i / 701);
    for (hsize_t chunk_rows = 1; chunk_rows < 5000; chunk_rows = chunk_rows * 7 + 1) {
        struct dc_h5 *file = NULL;
        const hid_t made = H5Fcreate(test_path("packed.h5"), H5F_ACC_TRUNC, H5P_DEFAULT,
                                     H5P_DEFAULT);
        const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
        assert_true(H5Pset_chunk(plist, 2, (hsize_t[]){1, 1}) >= 0);
        assert_true(H5Pset_shuffle(plist) >= 0 && H5Pset_deflate(plist, 1) >= 0);
        add_array(made, "x", MANY, WIDE, chunk_rows, plist, values);
        H5Fclose(made);
        ok(dc_h5_open(&file, test_path("packed.h5"), &error));
        ok(dc_h5_read_rows(file, "x", DC_U8, back, 0, MANY, &error));
        assert_memory_equal(back, values, (size_t)MANY * WIDE);
        for (int first = 0, count = 1; first + count <= MANY;
             first += count, count = count * 3 + 1) {
            ok(dc_h5_read_rows(file, "x", DC_U8, back, first, count, &error));
            assert_memory_equal(back, values + first * WIDE, (size_t)count * WIDE);
        }
        dc_h5_close(file);
    }
    free(values);
    free(back);
}

// The one process that this one has started.
static pid_t only_child(void)
{
    char path[128];
    int child = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, "%d", &child) != 1)
        child = 0;
    fclose(file);
    return (pid_t)child;
}

static void a_reader_that_dies_is_a_message(void **state)
{
    (void)state;
    static const int stops[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
    struct dc_h5 *file = NULL;
    uint8_t values[ROWS * VALUES];
    enum dc_dtype dtype;
    struct dc_shape shape;
    write_targets();
    ok(dc_h5_open(&file, test_path("other.h5"), &error));
    const pid_t reader = only_child();
    if (reader <= 0) {
        dc_h5_close(file);
        skip();  // this kernel does not tell
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(kill(reader, stops[i]), 0);
    ok(dc_h5_read_rows(file, "x", DC_U8, values, 1, 2, &error));
    assert_memory_equal(values, secret + VALUES, 2 * VALUES);
    assert_int_equal(kill(reader, SIGSEGV), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(dc_h5_describe(file, "x", &dtype, &shape, &error), DC_ERR_DATA);
        assert_non_null(strstr(error.message, "other.h5: the process that reads it ended ("));
    }
    assert_true(dc_h5_has(file, "x"));  // so that it is asked for, and told
    dc_h5_close(file);
    assert_int_equal(only_child(), 0);
}

// Any bytes changed: a value, a message that names the file, or a dead reader that does.
static void damaged_files_never_end_this_process(void **state)
{
    (void)state;
    char *bytes = NULL;
    size_t size = 0;
    const hid_t made = H5Fcreate(test_path("whole.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    add_array(made, "x", ROWS, VALUES, 2, -1, secret);
    const hid_t space = H5Screate(H5S_SCALAR), type = H5Tcopy(H5T_C_S1);
    assert_true(H5Tset_size(type, H5T_VARIABLE) >= 0);
    const hid_t attribute = H5Acreate2(made, "names", type, space, H5P_DEFAULT, H5P_DEFAULT);
    const char *text = "a\nb\nc";
    assert_true(H5Awrite(attribute, type, &text) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Fclose(made);
    ok(dc_file_read(&bytes, &size, test_path("whole.h5"), arena, &error));
    for (uint64_t n = 0; n < 300; n++) {
        struct dc_random random;
        struct dc_h5 *file = NULL;
        enum dc_dtype dtype;
        struct dc_shape shape = {.rank = -1};
        uint8_t values[ROWS * VALUES];
        char *damaged = malloc(size), *words = NULL;
        dc_random_start(&random, 1, DC_PURPOSE_TEST, 0, n);
        memcpy(damaged, bytes, size);
        for (uint32_t k = 1 + dc_random_below(&random, 4); k > 0; k--)
            damaged[dc_random_below(&random, (uint32_t)size)] =
                (char)(n % 2 ? 0xff : dc_random_u32(&random));
        test_write(test_path("damaged.h5"), damaged, size);
        free(damaged);
        if (dc_h5_open(&file, test_path("damaged.h5"), &error) != DC_OK) {
            assert_non_null(strstr(error.message, "damaged.h5"));
            continue;
        }
        if (dc_h5_get_text(file, "names", &words, arena, &error) != DC_OK)
            assert_non_null(strstr(error.message, "damaged.h5"));
        if (dc_h5_describe(file, "x", &dtype, &shape, &error) == DC_OK &&
            dc_shape_equal(&shape, &DC_SHAPE(ROWS, VALUES)) &&
            dc_h5_read_rows(file, "x", DC_U8, values, 0, ROWS, &error) == DC_OK)
            shape.rank = 0;
        if (shape.rank < 0)
            assert_non_null(strstr(error.message, "damaged.h5"));
        dc_h5_close(file);
    }
}

static void pipes_are_not_waited_for(void **state)
{
    (void)state;
    struct dc_h5 *file = NULL;
    assert_int_equal(mkfifo(test_path("pipe.h5"), 0600), 0);
    assert_int_equal(dc_h5_open(&file, test_path("pipe.h5"), &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "not a file but a pipe"));
    assert_int_equal(dc_h5_open(&file, "/dev/zero", &error), DC_ERR_DATA);
    assert_int_equal(dc_h5_open(&file, "/", &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "a folder"));
}

static int set_up(void **state)
{
    (void)state;
    test_folder();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return dc_arena_create(&arena, &error);
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
        cmocka_unit_test(arrays_that_ask_too_much_are_refused),
        cmocka_unit_test(packed_chunks_are_read_exactly),
        cmocka_unit_test(a_reader_that_dies_is_a_message),
        cmocka_unit_test(damaged_files_never_end_this_process),
        cmocka_unit_test(pipes_are_not_waited_for),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
