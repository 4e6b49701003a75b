// Aligned bump allocation.
//
// An arena owns everything allocated from it; dc_arena_free frees it all at once. It grows by
// blocks, so pointers stay valid until the arena is freed. Memory is zeroed and aligned to 64
// bytes. Not thread safe: an arena has one owner.

#ifndef DC_CORE_ARENA_H
#define DC_CORE_ARENA_H

#include <stdint.h>

#include "core/error.h"

struct dc_arena;

DC_MUST_USE enum dc_status dc_arena_create(struct dc_arena **arena, struct dc_error *error);
void dc_arena_free(struct dc_arena *arena);  // NULL is allowed

// NULL with DC_ERR_MEMORY in *error when the allocator refuses. bytes may be 0.
DC_MUST_USE void *dc_arena_alloc(struct dc_arena *arena, size_t bytes, struct dc_error *error);
DC_MUST_USE char *dc_arena_copy(struct dc_arena *arena, const char *text, struct dc_error *error);
DC_MUST_USE char *dc_arena_printf(struct dc_arena *arena, struct dc_error *error,
                                  const char *format, ...) DC_PRINTF(3, 4);

// An array with room for one more item, where `count` fill *capacity: a larger copy, and *capacity
// with it; the old one stays in the arena. NULL: memory is out.
DC_MUST_USE void *dc_arena_grow(struct dc_arena *arena, void *items, int count, int *capacity,
                                size_t item_bytes, struct dc_error *error);

// Bytes handed out so far, and how many allocator calls that took (a test asserts that a training
// step makes none).
size_t dc_arena_used(const struct dc_arena *arena);

#define DC_NEW(arena, type, count, error)                                                          \
    ((type *)dc_arena_alloc((arena), sizeof(type) * (size_t)(count), (error)))

// A plain allocation for what is freed on its own: zeroed, 64-byte aligned, freed with free().
DC_MUST_USE void *dc_alloc(size_t bytes, struct dc_error *error);

#endif
