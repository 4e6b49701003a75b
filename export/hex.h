// Bytes at an address of flash as Intel HEX (Intel, Hexadecimal Object File Format, revision A):
// what every programmer of chips reads.

#ifndef DC_EXPORT_HEX_H
#define DC_EXPORT_HEX_H

#include <stdint.h>

#include "core/arena.h"

// The text in the arena, *length characters. The bytes must end below 2^32 (DC_ERR_USAGE).
DC_MUST_USE enum dc_status dc_hex_encode(char **text, size_t *length, const void *bytes,
                                         size_t size, uint32_t address, struct dc_arena *arena,
                                         struct dc_error *error);

#endif
