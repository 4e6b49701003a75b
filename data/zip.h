// Files within a ZIP archive that lies in memory. Internal to data/.

#ifndef DC_DATA_ZIP_H
#define DC_DATA_ZIP_H

#include "core/arena.h"

struct dc__zip {
    const char *path;  // of the archive, for messages
    const uint8_t *bytes;
    size_t size, directory, directory_end;
    int entries;
};

// Finds the directory at the archive's end. Damage, and archives above 4 GiB, are DC_ERR_DATA.
DC_MUST_USE enum dc_status dc__zip_open(struct dc__zip *zip, const char *path, const uint8_t *bytes,
                                        size_t size, struct dc_error *error);

// A member by its name, stored or deflated, its checksum verified; *bytes NULL: there is none. What
// it declares is held against the limit (core/bounds.h). It lies in the arena or in the archive.
DC_MUST_USE enum dc_status dc__zip_read(const uint8_t **bytes, size_t *size,
                                        const struct dc__zip *zip, const char *name, int64_t limit,
                                        struct dc_arena *arena, struct dc_error *error);

#endif
