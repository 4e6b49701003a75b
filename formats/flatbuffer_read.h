// FlatBuffers, the reading side: bytes from outside, of which nothing is believed.
//
// Every offset is bounded before it is followed: what a call returns lies within the bytes, aligned
// as its type wants, and is not copied. Failures stick: after one, every call finds nothing, and
// `fault` tells what was wrong, so that a caller asks once, behind a whole table. A caller that
// walks a vector of tables does work in the size of the file.

#ifndef DC_FORMATS_FLATBUFFER_READ_H
#define DC_FORMATS_FLATBUFFER_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dc_flat_reader {
    const uint8_t *bytes;  // [size], aligned to 8, the caller's
    uint32_t size;
    const char *fault;  // NULL: none so far; the end of a sentence
};

// A table; at 0: there is none, and all its fields are absent.
struct dc_flat_ref {
    uint32_t at, vtable, vtable_bytes, bytes;
};

// A vector; count 0 where it is absent.
struct dc_flat_items {
    const void *first;
    uint32_t count;
};

// The root table. Bytes without this identifier (4 characters) are a fault.
struct dc_flat_ref dc_flat_open(struct dc_flat_reader *reader, const void *bytes, size_t size,
                                const char *identifier);

// A number of 1, 2, 4 or 8 bytes, with its sign; `absent` where the table does not state it.
int64_t dc_flat_number(struct dc_flat_reader *reader, struct dc_flat_ref table, int field,
                       int bytes, int64_t absent);
bool dc_flat_has(struct dc_flat_reader *reader, struct dc_flat_ref table, int field);
struct dc_flat_ref dc_flat_child(struct dc_flat_reader *reader, struct dc_flat_ref table,
                                 int field);
// Items of item_bytes (a power of two), aligned to them.
struct dc_flat_items dc_flat_items(struct dc_flat_reader *reader, struct dc_flat_ref table,
                                   int field, uint32_t item_bytes);
// Table i of a vector of tables, which dc_flat_items gave with item_bytes 4.
struct dc_flat_ref dc_flat_item(struct dc_flat_reader *reader, struct dc_flat_items tables,
                                uint32_t i);
// A text, which ends in 0; "" where it is absent.
const char *dc_flat_text(struct dc_flat_reader *reader, struct dc_flat_ref table, int field);

#endif
