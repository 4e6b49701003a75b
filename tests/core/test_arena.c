// Arenas: alignment, zeroed memory, pointers that stay, refusals.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/arena.h"

static struct dc_arena *open_arena(void)
{
    struct dc_arena *arena = NULL;
    assert_int_equal(dc_arena_create(&arena, NULL), DC_OK);
    return arena;
}

static void memory_is_zeroed_aligned_and_stays(void **state)
{
    (void)state;
    struct dc_arena *arena = open_arena();
    enum { COUNT = 600 };
    unsigned char *blocks[COUNT];
    for (int i = 0; i < COUNT; i++) {
        const size_t bytes = (size_t)i * 7 + (i % 100 == 50 ? 300000 : 0);  // some above one block
        blocks[i] = dc_arena_alloc(arena, bytes, NULL);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 64, 0);
        for (size_t k = 0; k < bytes; k++)
            assert_int_equal(blocks[i][k], 0);
        memset(blocks[i], i % 251 + 1, bytes);
    }
    for (int i = 0; i < COUNT; i++) {
        const size_t bytes = (size_t)i * 7 + (i % 100 == 50 ? 300000 : 0);
        for (size_t k = 0; k < bytes; k++)
            assert_int_equal(blocks[i][k], i % 251 + 1);
    }
    dc_arena_free(arena);
}

static void used_counts_what_was_handed_out(void **state)
{
    (void)state;
    struct dc_arena *arena = open_arena();
    assert_int_equal(dc_arena_used(arena), 0);
    assert_non_null(dc_arena_alloc(arena, 100, NULL));
    const size_t used = dc_arena_used(arena);
    assert_in_range(used, 100, 163);
    int64_t *numbers = DC_NEW(arena, int64_t, 1000, NULL);
    assert_non_null(numbers);
    assert_in_range(dc_arena_used(arena), used + 8000, used + 8063);
    dc_arena_free(arena);
}

static void text_is_copied_and_formatted(void **state)
{
    (void)state;
    struct dc_arena *arena = open_arena();
    char source[] = "conv1";
    char *copy = dc_arena_copy(arena, source, NULL);
    source[0] = 'X';
    assert_string_equal(copy, "conv1");
    assert_string_equal(dc_arena_printf(arena, NULL, "%s.%s%d", copy, "weight", 3),
                        "conv1.weight3");
    assert_string_equal(dc_arena_printf(arena, NULL, "%s", ""), "");
    dc_arena_free(arena);
}

// A negative count becomes a huge size, which must not wrap around to a small one.
static void impossible_sizes_are_refused(void **state)
{
    (void)state;
    struct dc_arena *arena = open_arena();
    assert_non_null(dc_arena_alloc(arena, 1, NULL));
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 63, SIZE_MAX - 64, SIZE_MAX - 127,
                            SIZE_MAX / 2 + 1};
    for (int i = 0; i < 5; i++) {
        struct dc_error error = {DC_OK, ""};
        assert_null(dc_arena_alloc(arena, sizes[i], &error));
        assert_int_equal(error.status, DC_ERR_MEMORY);
        error = (struct dc_error){DC_OK, ""};
        assert_null(dc_alloc(sizes[i], &error));
        assert_int_equal(error.status, DC_ERR_MEMORY);
        assert_non_null(strstr(error.message, "out of memory"));
    }
    const int none = -1;
    assert_null(DC_NEW(arena, double, none, NULL));
    dc_arena_free(arena);
    dc_arena_free(NULL);
}

static void plain_allocation_is_aligned(void **state)
{
    (void)state;
    unsigned char *memory = dc_alloc(0, NULL);
    assert_non_null(memory);
    free(memory);
    memory = dc_alloc(1001, NULL);
    assert_int_equal((uintptr_t)memory % 64, 0);
    for (int i = 0; i < 1001; i++)
        assert_int_equal(memory[i], 0);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_stays),
        cmocka_unit_test(used_counts_what_was_handed_out),
        cmocka_unit_test(text_is_copied_and_formatted),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(plain_allocation_is_aligned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
