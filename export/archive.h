// A folder as one file that is the same, byte for byte, whenever and wherever it is made.

#ifndef DC_EXPORT_ARCHIVE_H
#define DC_EXPORT_ARCHIVE_H

#include "core/arena.h"

// name: within the archive's folder, of less than 100 bytes.
struct dc__archive_file {
    const char *name, *bytes;
    size_t size;
};

// The bytes, in the arena, of an uncompressed ustar file of these files below a folder `base`:
// owner and group 0, times 0, modes 644, in the order given.
DC_MUST_USE enum dc_status dc__archive_make(char **bytes, size_t *size, const char *base,
                                            const struct dc__archive_file *files, int count,
                                            struct dc_arena *arena, struct dc_error *error);

#endif
