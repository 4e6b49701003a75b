// Owns the bytes of a FlatBuffer while it is written: growth, alignment, offsets, tables with their
// vtables. Knows no schema. Format: the FlatBuffers internals page (a vtable holds its own size,
// the table's size and each field's offset; a reference is the distance to what it refers to).

#include "formats/flatbuffer.h"

#include <string.h>

static const uint32_t size_max = (uint32_t)1 << 31;

// Room for `bytes` more, zeroed. Returns where they begin.
static uint32_t extend(struct dc_flatbuffer *flat, int64_t bytes)
{
    const uint32_t at = flat->size;
    if (flat->status != DC_OK)
        return 0;
    if (bytes > (int64_t)size_max - at) {
        flat->status = dc_fail(flat->error, DC_ERR_DATA, "a FlatBuffer holds at most 2 GiB");
        return 0;
    }
    const uint32_t wanted = at + (uint32_t)bytes;
    if (wanted > flat->capacity) {
        const uint64_t capacity = 2 * (uint64_t)wanted + 1024;
        uint8_t *larger = DC_NEW(flat->arena, uint8_t, capacity, flat->error);
        if (!larger) {
            flat->status = DC_ERR_MEMORY;
            return 0;
        }
        if (at > 0)
            memcpy(larger, flat->bytes, at);
        flat->bytes = larger;
        flat->capacity = capacity > size_max ? size_max : (uint32_t)capacity;
    }
    flat->size = wanted;
    return at;
}

// Pads until `ahead` bytes further on is a multiple of `alignment`.
static void align(struct dc_flatbuffer *flat, uint32_t ahead, uint32_t alignment)
{
    const uint32_t over = (flat->size + ahead) % alignment;
    (void)extend(flat, over ? alignment - over : 0);
}

static void put(struct dc_flatbuffer *flat, uint32_t at, int64_t value, int bytes)
{
    for (int i = 0; flat->status == DC_OK && i < bytes; i++)
        flat->bytes[at + (uint32_t)i] = (uint8_t)((uint64_t)value >> (8 * i));
}

void dc_flat_start(struct dc_flatbuffer *flat, const char *identifier, struct dc_arena *arena,
                   struct dc_error *error)
{
    *flat = (struct dc_flatbuffer){.arena = arena, .error = error};
    (void)extend(flat, 8);
    if (flat->status == DC_OK)
        memcpy(flat->bytes + 4, identifier, 4);
}

void dc_flat_table(struct dc_flatbuffer *flat, uint32_t slot, const char *fields,
                   const int64_t *values, uint32_t *slots)
{
    const uint32_t count = (uint32_t)strlen(fields), vtable_bytes = 4 + 2 * count;
    align(flat, vtable_bytes, 4);
    const uint32_t vtable = extend(flat, vtable_bytes);
    const uint32_t table = extend(flat, 4);
    put(flat, slot, (int64_t)table - slot, 4);
    put(flat, table, (int64_t)table - vtable, 4);
    for (int narrow = 0; narrow < 2; narrow++) {  // words first: bytes would break their alignment
        for (uint32_t i = 0; i < count; i++) {
            const bool is_byte = fields[i] == 'b';
            if (fields[i] == '-' || is_byte != (narrow == 1))
                continue;
            const uint32_t at = extend(flat, is_byte ? 1 : 4);
            put(flat, vtable + 4 + 2 * i, (int64_t)at - table, 2);
            if (fields[i] != 'r')
                put(flat, at, values[i], is_byte ? 1 : 4);
            if (slots)
                slots[i] = at;
        }
    }
    put(flat, vtable, vtable_bytes, 2);
    put(flat, vtable + 2, (int64_t)flat->size - table, 2);
}

uint32_t dc_flat_vector(struct dc_flatbuffer *flat, uint32_t slot, const void *items, int64_t count,
                        uint32_t item_bytes, uint32_t alignment)
{
    align(flat, 4, alignment);
    const uint32_t length = extend(flat, 4);
    const uint32_t first = extend(flat, count * item_bytes);
    put(flat, slot, (int64_t)length - slot, 4);
    put(flat, length, count, 4);
    if (flat->status == DC_OK && items && count > 0)
        memcpy(flat->bytes + first, items, (size_t)count * item_bytes);
    return first;
}

void dc_flat_string(struct dc_flatbuffer *flat, uint32_t slot, const char *text)
{
    (void)dc_flat_vector(flat, slot, text, (int64_t)strlen(text), 1, 4);
    (void)extend(flat, 1);
}
