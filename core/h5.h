// HDF5 as Decant uses it: a flat or nested set of named arrays with attributes.
//
// Thread safe: one lock serves the whole library, because HDF5 itself is not.
// Wraps the C library so that every failure is a dc_status with the file's name, and so that a file
// that is written appears whole (core/file.h). All integers and floats are stored little-endian.

#ifndef DC_CORE_H5_H
#define DC_CORE_H5_H

#include "core/arena.h"
#include "core/tensor.h"

struct dc_h5;

// Create writes to a temporary name until dc_h5_close_commit; dc_h5_close on a file being created
// discards it. Open is read-only, by a process of its own: a file that makes HDF5 crash, hang or
// reach for other files is DC_ERR_DATA (docs/decisions/0007-hdf5-reader-process.md).
DC_MUST_USE enum dc_status dc_h5_create(struct dc_h5 **file, const char *path,
                                        struct dc_error *error);
DC_MUST_USE enum dc_status dc_h5_open(struct dc_h5 **file, const char *path,
                                      struct dc_error *error);
// A sealed file ends in a checksum (core/file.h) that is checked before HDF5 sees a byte, and is
// then read in this process. Other tools read such a file like any other.
void dc_h5_seal(struct dc_h5 *file);  // takes effect when the file is committed
DC_MUST_USE enum dc_status dc_h5_open_sealed(struct dc_h5 **file, const char *path,
                                             struct dc_error *error);
// status: of all that was written; where it is not DC_OK the file is discarded and status returned.
DC_MUST_USE enum dc_status dc_h5_close_commit(struct dc_h5 *file, enum dc_status status,
                                              struct dc_error *error);
void dc_h5_close(struct dc_h5 *file);  // NULL is allowed

// name: "group/array"; groups are made as needed.
DC_MUST_USE enum dc_status dc_h5_write(struct dc_h5 *file, const char *name,
                                       const struct dc_tensor *tensor, struct dc_error *error);
// A growing array: created with rows 0, appended to row block by row block. row: shape of one row.
DC_MUST_USE enum dc_status dc_h5_create_rows(struct dc_h5 *file, const char *name,
                                             enum dc_dtype dtype, const struct dc_shape *row,
                                             struct dc_error *error);
DC_MUST_USE enum dc_status dc_h5_append_rows(struct dc_h5 *file, const char *name, const void *rows,
                                             int64_t count, struct dc_error *error);

// What lies behind a link to another file counts as there, and so does everything once the reader
// has died: reading it tells why it cannot be read.
bool dc_h5_has(const struct dc_h5 *file, const char *name);
// Shape and stored type; the type is the dc_dtype that holds it without loss, an error if none
// does.
DC_MUST_USE enum dc_status dc_h5_describe(const struct dc_h5 *file, const char *name,
                                          enum dc_dtype *dtype, struct dc_shape *shape,
                                          struct dc_error *error);
// Read the whole array into tensor->data; dtype and shape must equal what is stored (a stored
// integer or float type of another width is converted to tensor->dtype by HDF5).
DC_MUST_USE enum dc_status dc_h5_read(const struct dc_h5 *file, const char *name,
                                      const struct dc_tensor *tensor, struct dc_error *error);
// Rows [first, first + count) of dimension 0.
DC_MUST_USE enum dc_status dc_h5_read_rows(const struct dc_h5 *file, const char *name,
                                           enum dc_dtype dtype, void *rows, int64_t first,
                                           int64_t count, struct dc_error *error);

// Attributes of the root group: text (below 64 KiB; a list of texts is read as lines) and 64-bit
// integers.
DC_MUST_USE enum dc_status dc_h5_set_text(struct dc_h5 *file, const char *name, const char *text,
                                          struct dc_error *error);
DC_MUST_USE enum dc_status dc_h5_set_int(struct dc_h5 *file, const char *name, int64_t value,
                                         struct dc_error *error);
DC_MUST_USE enum dc_status dc_h5_get_text(const struct dc_h5 *file, const char *name, char **text,
                                          struct dc_arena *arena, struct dc_error *error);
DC_MUST_USE enum dc_status dc_h5_get_int(const struct dc_h5 *file, const char *name, int64_t *value,
                                         struct dc_error *error);
// Every array with its type and shape, by name; arrays whose type no dc_dtype holds are left out.
DC_MUST_USE enum dc_status dc_h5_list(const struct dc_h5 *file,
                                      void (*visit)(void *user, const char *name,
                                                    enum dc_dtype dtype,
                                                    const struct dc_shape *shape),
                                      void *user, struct dc_error *error);

#endif
