// Safetensors files: the three types, and what must be refused. Numbers from the types'
// definitions.

#include "formats/safetensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/helper_folder.h"

static struct dc_error error;

// A file of this header and `data` bytes 0x00, 0x3c, 0x00, 0x3c ... ; length: of the header as it
// is stated, or -1: right.
static const char *file_of(const char *header, int64_t length, size_t data)
{
    uint8_t bytes[2048] = {0};
    const size_t n = strlen(header);
    const uint64_t stated = length < 0 ? n : (uint64_t)length;
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(stated >> 8 * i);
    memcpy(bytes + 8, header, n);
    for (size_t i = 0; i < data; i++)
        bytes[8 + n + i] = i % 2 ? 0x3c : 0x00;
    const char *path = test_path("x.safetensors");
    test_write(path, bytes, 8 + n + data);
    const char *kept = getenv("DECANT_KEEP_SAFETENSORS");
    static int count;
    char seed[300];
    snprintf(seed, sizeof seed, "%s/%02d.safetensors", kept ? kept : "", count++);
    if (kept)
        test_write(seed, bytes, 8 + n + data);
    return path;
}

static void types_are_read(void **state)
{
    (void)state;
    struct dc_arena *arena = NULL;
    struct dc_safetensors file;
    float *values;
    assert_int_equal(dc_arena_create(&arena, &error), DC_OK);
    const char *path = file_of(
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"h\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[8,14]},"
        "\"f\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},"
        "\"b\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[14,16]},"
        "\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[16,24]},"
        "\"z\":{\"dtype\":\"F32\",\"shape\":[0,4],\"data_offsets\":[24,24]}}   ",
        -1, 24);
    assert_int_equal(dc_safetensors_read(&file, path, arena, &error), DC_OK);
    assert_int_equal(file.count, 5);
    assert_string_equal(file.tensors[0].name, "f");
    assert_null(dc_safetensors_find(&file, "__metadata__"));
    const struct dc_safetensor *f = dc_safetensors_find(&file, "f");
    assert_int_equal(f->shape.rank, 2);
    assert_int_equal(dc_safetensor_values(&values, f, arena, &error), DC_OK);
    assert_true(values[0] == 0x1.007800p-7f && values[1] == values[0]);  // 0x3c003c00
    assert_int_equal(dc_safetensor_values(&values, dc_safetensors_find(&file, "h"), arena, &error),
                     DC_OK);
    assert_true(values[0] == 1.0f && values[2] == 1.0f);  // 0x3c00
    assert_int_equal(dc_safetensor_values(&values, dc_safetensors_find(&file, "b"), arena, &error),
                     DC_OK);
    assert_true(values[0] == 0x1p-7f);  // 0x3c000000
    assert_int_equal(dc_safetensor_values(&values, dc_safetensors_find(&file, "z"), arena, &error),
                     DC_OK);
    assert_int_equal(dc_safetensor_values(&values, dc_safetensors_find(&file, "n"), arena, &error),
                     DC_ERR_DATA);
    assert_non_null(strstr(error.message, "'n' is I64; F32, F16 and BF16 are read"));
    dc_arena_free(arena);
}

#define ONE(dtype, shape, ends)                                                                    \
    "{\"a\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" ends "}}"

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *header, *says;
        int64_t length;
        size_t data;
    } cases[] = {
        {"{}", "a header of 1000000 bytes in a file of 10", 1000000, 0},
        {"{}", "a header of 9223372036854775807 bytes", INT64_MAX, 0},
        {"[1]", "no JSON object", -1, 0},
        {"{\"a\"", "no JSON object", -1, 0},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         "no JSON object", -1, 8},
        {"{\"a\":3}", "needs dtype, shape and two data_offsets", -1, 0},
        {ONE("F32", "[1]", "[0]"), "two data_offsets", -1, 4},
        {ONE("F32", "[1]", "[0,4.0]"), "two data_offsets", -1, 4},
        {ONE("F32", "3", "[0,4]"), "needs a shape", -1, 4},
        {ONE("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), "needs a shape", -1, 4},
        {ONE("F32", "[-1]", "[0,4]"), "too large or damaged", -1, 4},
        {ONE("F32", "[2147483647,2147483647]", "[0,4]"), "too large or damaged", -1, 4},
        {ONE("F32", "[2]", "[0,4]"), "asks for 8 bytes of F32, it has 4", -1, 4},
        {ONE("F32", "[1]", "[0,8]"), "and 4 bytes follow the header", -1, 4},
        {ONE("F32", "[1]", "[-4,0]"), "from byte -4 to 0", -1, 4},
        {ONE("F32", "[1]", "[4,0]"), "from byte 4 to 0", -1, 4},
        {ONE("F8_E4M3", "[1]", "[1,5]"), "begins at byte 1, where the one before it ends at 0", -1,
         5},
        {ONE("F32", "[1]", "[0,4]"), "2 bytes belong to no tensor", -1, 6},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         "'b' begins at byte 4, where the one before it ends at 8", -1, 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dc_arena *arena = NULL;
        struct dc_safetensors file;
        assert_int_equal(dc_arena_create(&arena, &error), DC_OK);
        const char *path = file_of(cases[i].header, cases[i].length, cases[i].data);
        if (dc_safetensors_read(&file, path, arena, &error) != DC_ERR_DATA ||
            !strstr(error.message, cases[i].says))
            fail_msg("case %d: '%s' does not say '%s'", (int)i, error.message, cases[i].says);
        dc_arena_free(arena);
    }
}

static int close_folder(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_read),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    test_folder();
    return cmocka_run_group_tests(tests, NULL, close_folder);
}
