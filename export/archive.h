// A folder as one file that is the same, byte for byte, whenever and wherever it is made.

#ifndef DC_EXPORT_ARCHIVE_H
#define DC_EXPORT_ARCHIVE_H

#include "core/arena.h"

// The bytes, in the arena, of an uncompressed ustar file of files of `folder` (NULL behind the
// last), below a folder `base`: owner and group 0, times 0, modes 644, in the order of the names.
// as: another name in the archive of the file of the same place; NULL: its own.
DC_MUST_USE enum dc_status dc__archive_make(char **bytes, size_t *size, const char *folder,
                                            const char *base, const char *const *names,
                                            const char *const *as, struct dc_arena *arena,
                                            struct dc_error *error);

#endif
