// Reading, decompression, atomic writes and path resolution.

#define _XOPEN_SOURCE 700
#include "core/file.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>
// clang-format on

#include "core/json.h"
#include "core/packed.h"
#include "tests/core/helper_folder.h"

static struct dc_arena *arena;
static struct dc_error error;

// A gzip header and body that end in a wrong checksum and length.
static const uint8_t gzip_bytes[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x73, 0x49, 0x4d, 0x4e, 0xcc, 0x2b,
    0x51, 0x48, 0x01, 0x51, 0xc5, 0x7a, 0x5c, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};

static void text_is_read_whole(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    test_write(test_path("text"), "abc\0def", 7);
    assert_int_equal(dc_file_read(&text, &size, test_path("text"), arena, &error), DC_OK);
    assert_int_equal(size, 7);
    assert_memory_equal(text, "abc\0def", 8);
    test_write(test_path("none"), "", 0);
    assert_int_equal(dc_file_read(&text, NULL, test_path("none"), arena, &error), DC_OK);
    assert_string_equal(text, "");
    assert_int_equal(dc_file_read(&text, &size, test_path("missing"), arena, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "missing: cannot open: No such file"));
    assert_int_equal(dc_file_read(&text, &size, test_path(""), arena, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "folder"));
}

// The packed files are made by the command-line tools, which share no code with the reader's loops.
static void pack(const char *command)
{
    char line[1024];
    snprintf(line, sizeof line, "cd '%s' && %s", test_path(""), command);
    assert_int_equal(system(line), 0);
}

static uint8_t *make_noise(size_t size)
{
    uint8_t *bytes = malloc(size);
    uint32_t x = 1;
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++) {
        x = x * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(i % 7 ? x >> 24 : 0);
    }
    return bytes;
}

// All that a file unpacks to, in static memory.
static enum dc_status read_packed(uint8_t **bytes, size_t *size, const char *path)
{
    static uint8_t unpacked[8 << 20];
    struct dc_packed *packed = NULL;
    *bytes = unpacked;
    DC_TRY(dc_packed_open(&packed, path, &error));
    const enum dc_status status = dc_packed_read(packed, unpacked, sizeof unpacked, size, &error);
    dc_packed_close(packed);
    return status;
}

static void packed_files_are_told_by_their_first_bytes(void **state)
{
    (void)state;
    const size_t size = 3000001;  // more than one growth of the buffer
    uint8_t *noise = make_noise(size), *bytes = NULL;
    size_t got = 0;
    test_write(test_path("n"), noise, size);
    pack("gzip -kc n > n.gz && xz -kc --delta=dist=1 --delta=dist=3 --lzma2=preset=1 n > n.xz &&"
         " cat n.gz n.gz > twice.gz && cat n.xz n.xz > twice.xz && mv n.xz misnamed.gz");
    static const struct {
        const char *name;
        int copies;
    } cases[] = {{"n", 1}, {"n.gz", 1}, {"misnamed.gz", 1}, {"twice.gz", 2}, {"twice.xz", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = test_path(cases[i].name);
        if (read_packed(&bytes, &got, path) != DC_OK)
            fail_msg("%s", error.message);
        assert_int_equal(got, (size_t)cases[i].copies * size);
        for (int copy = 0; copy < cases[i].copies; copy++)
            assert_memory_equal(bytes + (size_t)copy * size, noise, size);
    }
    free(noise);
}

// Cut at every kind of place, or changed in the middle: always an error that names the file.
static void damaged_files_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"n.gz", "misnamed.gz"};
    for (int i = 0; i < 2; i++) {
        char *packed = NULL;
        size_t size = 0, got = 0;
        uint8_t *bytes = NULL;
        assert_int_equal(dc_file_read(&packed, &size, test_path(names[i]), arena, &error), DC_OK);
        const size_t cuts[] = {8, 100, size / 2, size - 9, size - 1};
        for (size_t c = 0; c < sizeof cuts / sizeof cuts[0]; c++) {
            test_write(test_path("cut"), packed, cuts[c]);
            assert_int_equal(read_packed(&bytes, &got, test_path("cut")), DC_ERR_DATA);
            assert_non_null(strstr(error.message, "cut: truncated"));
        }
        packed[size / 2] ^= 0x55;
        test_write(test_path("bad"), packed, size);
        assert_int_equal(read_packed(&bytes, &got, test_path("bad")), DC_ERR_DATA);
        assert_non_null(strstr(error.message, "bad: damaged"));
        packed[size / 2] ^= 0x55;
        packed[size - 6] ^= 1;  // checksum or footer
        test_write(test_path("bad"), packed, size);
        assert_int_equal(read_packed(&bytes, &got, test_path("bad")), DC_ERR_DATA);
    }
    size_t got = 0;
    uint8_t *bytes = NULL;
    test_write(test_path("junk"), gzip_bytes, sizeof gzip_bytes);
    assert_int_equal(read_packed(&bytes, &got, test_path("junk")), DC_ERR_DATA);
}

// A pipe that nobody writes to, a device without end, a folder: each would be waited for, or read
// for ever.
static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    char *text = NULL;
    uint64_t hash = 0;
    struct dc_packed *packed = NULL;
    json_error_t problem;
    assert_int_equal(mkfifo(test_path("pipe"), 0600), 0);
    const struct {
        const char *path, *words;
    } cases[] = {{test_path("pipe"), "not a file but a pipe"},
                 {"/dev/zero", "not a file but a device"},
                 {"/", "not a file but a folder"},
                 {"", "cannot open"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = cases[i].path;
        assert_int_equal(dc_file_read(&text, NULL, path, arena, &error), DC_ERR_DATA);
        assert_non_null(strstr(error.message, cases[i].words));
        assert_int_equal(dc_file_hash(&hash, path, &error), DC_ERR_DATA);
        assert_int_equal(dc_file_check_seal(path, &error), DC_ERR_DATA);
        assert_int_equal(dc_packed_open(&packed, path, &error), DC_ERR_DATA);
        assert_null(packed);
        assert_null(dc_json_read(path, &problem));
        assert_non_null(strstr(problem.text, cases[i].words));
    }
}

// A tebibyte, of which nothing is stored: hashing it would take an hour.
static void what_has_no_seal_is_not_read(void **state)
{
    (void)state;
    pack("truncate -s 1T huge");
    assert_int_equal(dc_file_check_seal(test_path("huge"), &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "huge: its bytes are not those that were written"));
    pack("rm huge");
}

static void json_is_bounded(void **state)
{
    (void)state;
    enum { SIZE = 17 << 20 };
    char *text = malloc(SIZE);
    json_error_t problem;
    assert_non_null(text);
    memset(text, '[', SIZE);
    test_write(test_path("a.json"), text, SIZE);
    assert_null(dc_json_read(test_path("a.json"), &problem));
    assert_string_equal(problem.text, "too large");
    test_write(test_path("a.json"), text, 1 << 20);
    assert_null(dc_json_read(test_path("a.json"), &problem));
    assert_non_null(strstr(problem.text, "depth"));
    test_write(test_path("a.json"), "{\"a\": 1, \"a\": 2}", 16);
    assert_null(dc_json_read(test_path("a.json"), &problem));
    test_write(test_path("a.json"), "{\"a\": 1}", 8);
    json_t *root = dc_json_read(test_path("a.json"), &problem);
    assert_int_equal(json_integer_value(json_object_get(root, "a")), 1);
    json_decref(root);
    free(text);
}

static void written_files_appear_whole_or_not_at_all(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    uint8_t *noise = make_noise(100000);
    assert_int_equal(dc_make_directory(test_path("w/x/y"), &error), DC_OK);
    assert_int_equal(dc_make_directory(test_path("w/x/y/"), &error), DC_OK);
    assert_int_equal(dc_file_write(test_path("w/x/y/f"), "old", 3, &error), DC_OK);
    assert_int_equal(dc_file_write(test_path("w/x/y/f"), "newer", 5, &error), DC_OK);
    assert_int_equal(dc_file_read(&text, &size, test_path("w/x/y/f"), arena, &error), DC_OK);
    assert_string_equal(text, "newer");
    test_limit_files(65536);
    const enum dc_status status = dc_file_write(test_path("w/x/y/f"), noise, 100000, &error);
    test_limit_files(0);
    free(noise);
    assert_int_equal(status, DC_ERR_IO);
    assert_non_null(strstr(error.message, "w/x/y/f: cannot write: File too large"));
    assert_int_equal(dc_file_read(&text, &size, test_path("w/x/y/f"), arena, &error), DC_OK);
    assert_string_equal(text, "newer");
    assert_int_equal(test_folder_entries(test_path("w/x/y")), 1);
    assert_int_equal(dc_file_write(test_path("no/f"), "x", 1, &error), DC_ERR_IO);
    assert_int_equal(dc_make_directory(test_path("w/x/y/f/z"), &error), DC_ERR_IO);
    assert_true(dc_file_exists(test_path("w/x/y/f")));
    assert_false(dc_file_exists(test_path("w/x/y/g")));
}

static void paths_follow_variables_and_their_file(void **state)
{
    (void)state;
    static const struct {
        const char *path, *relative_to, *expected;
    } cases[] = {
        {"a/b", NULL, "a/b"},
        {"a/b", "e.yaml", "a/b"},
        {"a/b", "x/y/e.yaml", "x/y/a/b"},
        {"/a", "x/e.yaml", "/a"},
        {"$DC_T/c", "x/e.yaml", "/data/c"},
        {"a${DC_T}b$DC_T", NULL, "a/datab/data"},
        {"$DC_E/c", NULL, "/c"},
    };
    char *path = NULL;
    setenv("DC_T", "/data", 1);
    setenv("DC_E", "", 1);
    unsetenv("DC_U");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(dc_path_resolve(&path, cases[i].path, cases[i].relative_to, arena, &error),
                         DC_OK);
        assert_string_equal(path, cases[i].expected);
    }
    assert_int_equal(dc_path_resolve(&path, "$DC_U/x", NULL, arena, &error), DC_ERR_CONFIG);
    assert_non_null(strstr(error.message, "'$DC_U/x': the environment variable DC_U is not set"));
    assert_int_equal(dc_path_resolve(&path, "a/${DC_T", NULL, arena, &error), DC_ERR_CONFIG);
    assert_int_equal(dc_path_resolve(&path, "cost$", NULL, arena, &error), DC_ERR_CONFIG);
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
        cmocka_unit_test(text_is_read_whole),
        cmocka_unit_test(packed_files_are_told_by_their_first_bytes),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(what_has_no_seal_is_not_read),
        cmocka_unit_test(json_is_bounded),
        cmocka_unit_test(written_files_appear_whole_or_not_at_all),
        cmocka_unit_test(paths_follow_variables_and_their_file),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
