// Owns block allocation behind arenas. A request larger than a block gets a block of its own.

#include "core/arena.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT = 64, BLOCK_BYTES = 256 * 1024, HUGE_PAGE = 2 * 1024 * 1024 };

struct block {
    struct block *next;
    size_t size, used;  // of the payload, which starts at ALIGNMENT
};

struct dc_arena {
    struct block *blocks;
    size_t used;
};

// Such a request comes from a negative count; rounding it up would wrap around to a small one.
static bool too_large(size_t bytes, struct dc_error *error)
{
    if (bytes <= SIZE_MAX / 2)
        return false;
    dc_fail(error, DC_ERR_MEMORY, "out of memory: %zu bytes were refused", bytes);
    return true;
}

static size_t round_up(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

void *dc_alloc(size_t bytes, struct dc_error *error)
{
    if (too_large(bytes, error))
        return NULL;
    const size_t size = round_up(bytes ? bytes : 1);
    const bool large = size >= 2 * (size_t)HUGE_PAGE;
    const size_t alignment = large ? HUGE_PAGE : ALIGNMENT;
    void *memory = aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (memory && large)  // a step walks through all of its plan: fewer pages, fewer page walks
        madvise(memory, size, MADV_HUGEPAGE);
    if (!memory) {
        dc_fail(error, DC_ERR_MEMORY, "out of memory: %zu bytes were refused", bytes);
        return NULL;
    }
    return memset(memory, 0, size);
}

enum dc_status dc_arena_create(struct dc_arena **arena, struct dc_error *error)
{
    *arena = calloc(1, sizeof **arena);
    return *arena ? DC_OK : dc_fail(error, DC_ERR_MEMORY, "out of memory");
}

void dc_arena_free(struct dc_arena *arena)
{
    if (!arena)
        return;
    for (struct block *block = arena->blocks; block;) {
        struct block *next = block->next;
        free(block);
        block = next;
    }
    free(arena);
}

void *dc_arena_alloc(struct dc_arena *arena, size_t bytes, struct dc_error *error)
{
    if (too_large(bytes, error))
        return NULL;
    const size_t size = round_up(bytes ? bytes : 1);
    struct block *block = arena->blocks;
    if (!block || block->size - block->used < size) {
        const size_t payload = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        block = dc_alloc(ALIGNMENT + payload, error);
        if (!block)
            return NULL;
        block->size = payload;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *memory = (char *)block + ALIGNMENT + block->used;
    block->used += size;
    arena->used += size;
    return memory;
}

char *dc_arena_copy(struct dc_arena *arena, const char *text, struct dc_error *error)
{
    const size_t bytes = strlen(text) + 1;
    char *copy = dc_arena_alloc(arena, bytes, error);
    return copy ? memcpy(copy, text, bytes) : NULL;
}

char *dc_arena_printf(struct dc_arena *arena, struct dc_error *error, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = dc_arena_alloc(arena, (size_t)length + 1, error);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

void *dc_arena_grow(struct dc_arena *arena, void *items, int count, int *capacity,
                    size_t item_bytes, struct dc_error *error)
{
    if (items && count < *capacity)
        return items;
    *capacity = *capacity ? 2 * *capacity : 64;
    void *larger = dc_arena_alloc(arena, (size_t)*capacity * item_bytes, error);
    if (larger && items && count > 0)
        memcpy(larger, items, (size_t)count * item_bytes);
    return larger;
}

size_t dc_arena_used(const struct dc_arena *arena)
{
    return arena->used;
}
