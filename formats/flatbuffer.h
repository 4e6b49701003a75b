// FlatBuffers, the writing side: tables, vectors and strings appended from the root downwards.
//
// A reference is written after what refers to it: a table or a vector of references is laid down
// with empty slots, and each child fills the slot it is given. Offsets therefore always point
// forward, as the format wants. Failures stick: after one, every call does nothing, and `status`
// tells at the end.

#ifndef DC_FORMATS_FLATBUFFER_H
#define DC_FORMATS_FLATBUFFER_H

#include <stdbool.h>

#include "core/arena.h"

struct dc_flatbuffer {
    struct dc_arena *arena;  // owns the bytes
    struct dc_error *error;
    enum dc_status status;
    uint8_t *bytes;
    uint32_t size, capacity;
};

// Starts with an empty reference to the root at byte 0, then the identifier (4 characters).
void dc_flat_start(struct dc_flatbuffer *flat, const char *identifier, struct dc_arena *arena,
                   struct dc_error *error);

// A table; `slot` (a byte position) is made to refer to it. fields: one character a field number:
// 'b' one byte, 'i' four bytes, 'r' a reference to be filled, '-' absent. values: one a field, read
// for b and i. slots (NULL without references): the position of each field.
void dc_flat_table(struct dc_flatbuffer *flat, uint32_t slot, const char *fields,
                   const int64_t *values, uint32_t *slots);

// A vector whose first item is aligned to `alignment` (a power of two, at least 4) from the start
// of the file; items NULL: zeros, which are slots when item_bytes is 4. Items are little endian, as
// the host's must be. Returns the position of the first item.
uint32_t dc_flat_vector(struct dc_flatbuffer *flat, uint32_t slot, const void *items, int64_t count,
                        uint32_t item_bytes, uint32_t alignment);
void dc_flat_string(struct dc_flatbuffer *flat, uint32_t slot, const char *text);

#endif
