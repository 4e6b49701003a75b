// Whole files: read whole, written whole. Packed ones are core/packed.h's.
//
// A file that Decant writes appears complete or not at all: it is written beside its final name,
// flushed to disk and renamed. Append-only logs are the one exception.

#ifndef DC_CORE_FILE_H
#define DC_CORE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/arena.h"

// Opens a file that others made: every reader does so here. It waits for nobody, and what is no
// regular file (a pipe, a device, a folder) is DC_ERR_DATA. The caller closes *file.
DC_MUST_USE enum dc_status dc_file_open(FILE **file, int64_t *size, const char *path,
                                        struct dc_error *error);

// The text of a file, zero-terminated, in the arena. *size may be NULL.
DC_MUST_USE enum dc_status dc_file_read(char **text, size_t *size, const char *path,
                                        struct dc_arena *arena, struct dc_error *error);

// *hash goes on over the file's bytes (dc_hash_bytes).
DC_MUST_USE enum dc_status dc_file_hash(uint64_t *hash, const char *path, struct dc_error *error);

// A sealed file ends in a checksum of all its bytes: seal appends it, check_seal wants it right
// (DC_ERR_DATA). For formats whose readers trust what they read.
DC_MUST_USE enum dc_status dc_file_seal(const char *path, struct dc_error *error);
DC_MUST_USE enum dc_status dc_file_check_seal(const char *path, struct dc_error *error);

DC_MUST_USE enum dc_status dc_file_write(const char *path, const void *bytes, size_t size,
                                         struct dc_error *error);

// For writers that need a path (HDF5): write to dc_temporary_path, where nothing is (NULL where
// something foreign is), then dc_file_commit flushes and renames it to `path`. On failure remove it
// with dc_file_discard.
DC_MUST_USE char *dc_temporary_path(struct dc_arena *arena, const char *path,
                                    struct dc_error *error);
DC_MUST_USE enum dc_status dc_file_commit(const char *temporary, const char *path,
                                          struct dc_error *error);
void dc_file_discard(const char *temporary);

// Create a directory and its parents; an existing one is fine.
DC_MUST_USE enum dc_status dc_make_directory(const char *path, struct dc_error *error);

bool dc_file_exists(const char *path);

// "$NAME" and "${NAME}" are replaced from the environment; a relative path is joined to the folder
// of `relative_to` (a file), which may be NULL. An unset variable is an error.
DC_MUST_USE enum dc_status dc_path_resolve(char **resolved, const char *path,
                                           const char *relative_to, struct dc_arena *arena,
                                           struct dc_error *error);
// The same, made absolute and without "..", so that a file elsewhere may name it too.
DC_MUST_USE enum dc_status dc_path_absolute(char **absolute, const char *path,
                                            const char *relative_to, struct dc_arena *arena,
                                            struct dc_error *error);

// Whether a path has this ending, ".png", behind something.
static inline bool dc_path_ends(const char *path, const char *ending)
{
    const size_t length = strlen(path), n = strlen(ending);
    return length > n && strcmp(path + length - n, ending) == 0;
}

#endif
