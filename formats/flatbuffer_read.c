// Owns the way from bytes to tables, vectors and texts of a FlatBuffer. Knows no schema, copies
// nothing. Format: the FlatBuffers internals page; flatbuffer.h has the writing side.

#include "formats/flatbuffer_read.h"

#include <string.h>

static const struct dc_flat_ref no_table;

static void fail(struct dc_flat_reader *reader, const char *fault)
{
    if (!reader->fault)
        reader->fault = fault;
}

// Whether `count` bytes at `at` lie within the file, and `at` is a multiple of `alignment`.
static bool within(struct dc_flat_reader *reader, uint64_t at, uint64_t count, uint32_t alignment)
{
    const bool good = !reader->fault && at + count <= reader->size && at % alignment == 0;
    if (!good)
        fail(reader, "a reference leads out of the file, or is damaged");
    return good;
}

// A little-endian number whose bytes are known to be there.
static uint64_t number_at(const struct dc_flat_reader *reader, uint64_t at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)reader->bytes[at + (uint64_t)i] << (8 * i);
    return value;
}

static struct dc_flat_ref table_at(struct dc_flat_reader *reader, uint64_t at)
{
    if (!within(reader, at, 4, 4))
        return no_table;
    const int64_t vtable = (int64_t)at - (int32_t)number_at(reader, at, 4);
    if (vtable < 0 || !within(reader, (uint64_t)vtable, 4, 2)) {
        fail(reader, "a table has no description");
        return no_table;
    }
    const struct dc_flat_ref table = {
        .at = (uint32_t)at,
        .vtable = (uint32_t)vtable,
        .vtable_bytes = (uint32_t)number_at(reader, (uint64_t)vtable, 2),
        .bytes = (uint32_t)number_at(reader, (uint64_t)vtable + 2, 2)};
    if (table.vtable_bytes < 4 || table.bytes < 4 ||
        !within(reader, table.vtable, table.vtable_bytes, 2) ||
        !within(reader, at, table.bytes, 4)) {
        fail(reader, "a table is larger than the file");
        return no_table;
    }
    return table;
}

// Where a reference of 4 bytes leads.
static uint64_t follow(const struct dc_flat_reader *reader, uint64_t at)
{
    return at + number_at(reader, at, 4);
}

// Where a field of so many bytes lies; 0: it is absent.
static uint64_t field_at(struct dc_flat_reader *reader, struct dc_flat_ref table, int field,
                         int bytes)
{
    const uint32_t entry = 4 + 2 * (uint32_t)field;
    if (reader->fault || !table.at || entry + 2 > table.vtable_bytes)
        return 0;
    const uint32_t offset = (uint32_t)number_at(reader, table.vtable + entry, 2);
    if (offset == 0)
        return 0;
    const uint64_t at = (uint64_t)table.at + offset;
    if (offset < 4 || offset + (uint32_t)bytes > table.bytes || at % (uint32_t)bytes != 0) {
        fail(reader, "a field lies outside its table");
        return 0;
    }
    return at;
}

struct dc_flat_ref dc_flat_open(struct dc_flat_reader *reader, const void *bytes, size_t size,
                                const char *identifier)
{
    *reader = (struct dc_flat_reader){.bytes = bytes, .size = (uint32_t)size};
    if (size < 8 || memcmp(reader->bytes + 4, identifier, 4) != 0)
        fail(reader, "it has not the identifier of such files");
    else if (size > INT32_MAX)
        fail(reader, "it is larger than 2 GiB");
    return reader->fault ? no_table : table_at(reader, follow(reader, 0));
}

int64_t dc_flat_number(struct dc_flat_reader *reader, struct dc_flat_ref table, int field,
                       int bytes, int64_t absent)
{
    const uint64_t at = field_at(reader, table, field, bytes);
    if (at == 0)
        return absent;
    const uint64_t value = number_at(reader, at, bytes), sign = UINT64_C(1) << (8 * bytes - 1);
    return bytes == 8 ? (int64_t)value : (int64_t)(value ^ sign) - (int64_t)sign;
}

bool dc_flat_has(struct dc_flat_reader *reader, struct dc_flat_ref table, int field)
{
    return field_at(reader, table, field, 1) != 0;
}

struct dc_flat_ref dc_flat_child(struct dc_flat_reader *reader, struct dc_flat_ref table, int field)
{
    const uint64_t at = field_at(reader, table, field, 4);
    return at ? table_at(reader, follow(reader, at)) : no_table;
}

struct dc_flat_items dc_flat_items(struct dc_flat_reader *reader, struct dc_flat_ref table,
                                   int field, uint32_t item_bytes)
{
    const struct dc_flat_items none = {NULL, 0};
    const uint64_t at = field_at(reader, table, field, 4);
    const uint64_t vector = at ? follow(reader, at) : 0;
    if (!at || !within(reader, vector, 4, 4))
        return none;
    const uint32_t count = (uint32_t)number_at(reader, vector, 4);
    if (count == 0 || !within(reader, vector + 4, (uint64_t)count * item_bytes, item_bytes))
        return none;
    return (struct dc_flat_items){reader->bytes + vector + 4, count};
}

struct dc_flat_ref dc_flat_item(struct dc_flat_reader *reader, struct dc_flat_items tables,
                                uint32_t i)
{
    if (reader->fault || i >= tables.count)
        return no_table;
    const uint64_t at = (uint64_t)((const uint8_t *)tables.first - reader->bytes) + 4 * (uint64_t)i;
    return table_at(reader, follow(reader, at));
}

const char *dc_flat_text(struct dc_flat_reader *reader, struct dc_flat_ref table, int field)
{
    const struct dc_flat_items text = dc_flat_items(reader, table, field, 1);
    const uint8_t *end = text.count ? (const uint8_t *)text.first + text.count : NULL;
    if (!end)
        return "";
    if (!within(reader, (uint64_t)(end - reader->bytes), 1, 1) || *end != 0) {
        fail(reader, "a text has no end");
        return "";
    }
    return text.first;
}
