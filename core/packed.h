// Files that may be packed: plain, gzip or xz, told by their first bytes, read from the beginning.
//
// Decoding goes no further than it is asked to. How far that may be at most, dc_packed_expect says
// once the file's own header is read; until then it is dc_unpacked_most of the file's size.
// Memory is that of the decoder alone: xz's dictionary is bounded by the file's size too.

#ifndef DC_CORE_PACKED_H
#define DC_CORE_PACKED_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

struct dc_packed;

DC_MUST_USE enum dc_status dc_packed_open(struct dc_packed **packed, const char *path,
                                          struct dc_error *error);
void dc_packed_close(struct dc_packed *packed);  // NULL is allowed

// The next `bytes` bytes; *got is less only where the file ends.
DC_MUST_USE enum dc_status dc_packed_read(struct dc_packed *packed, void *to, size_t bytes,
                                          size_t *got, struct dc_error *error);

// The file holds so many bytes in all, those read before included, says its header.
void dc_packed_expect(struct dc_packed *packed, int64_t bytes);

// How many bytes follow where that is known without decoding (of plain files), else -1.
int64_t dc_packed_left(const struct dc_packed *packed);

#endif
