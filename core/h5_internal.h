// What the files of core/h5*.c share. Internal to them.
//
//   h5.c             opening, closing, writing
//   h5_read.c        reading in this process, with the limits on what a file may ask for
//   h5_attributes.c  root attributes
//   h5_reader.c      reading by another process: the side that asks
//   h5_serve.c       the side that reads; it holds the file as if it were its own and uses
//   h5_read.c

#ifndef DC_CORE_H5_INTERNAL_H
#define DC_CORE_H5_INTERNAL_H

#include <hdf5.h>

#include "core/h5.h"

struct dc__h5_reader;

enum { DC__H5_NAME = 1024, DC__H5_TEXT_MAX = 1 << 20 };

// The array that was read last, kept open: it is checked once, and its chunks stay cached.
struct dc__h5_held {
    hid_t set;  // -1: none
    char name[DC__H5_NAME];
    enum dc_dtype dtype;  // DC_DTYPE_COUNT: no dc_dtype holds it
    struct dc_shape shape;
    int64_t row_bytes;   // of a row in memory at the wider of its two types; of rank 0 the value's
    int64_t chunk_rows;  // 1 without chunks
};

struct dc_h5 {
    hid_t id;
    struct dc_arena *arena;
    char *path, *temporary;        // temporary: NULL when open for reading
    struct dc__h5_reader *reader;  // who reads the file; NULL: this process
    struct dc__h5_held *held;      // when open for reading here
    int64_t file_bytes;            // when open for reading here
    bool sealed;                   // it is to end in a checksum
    bool failed;                   // a write failed, so the file cannot be committed
};

// HDF5 keeps process-wide state and is not thread safe: every public function holds this lock.
void dc__h5_lock(void);
void dc__h5_unlock(void);

// "PATH: cannot WHAT 'NAME': REASON", the reason from HDF5's error stack. name may be NULL.
DC_MUST_USE enum dc_status dc__h5_fail(const struct dc_h5 *file, struct dc_error *error,
                                       const char *what, const char *name);

// After a write that was `good` or not.
DC_MUST_USE enum dc_status dc__h5_check_write(struct dc_h5 *file, bool good, const char *name,
                                              struct dc_error *error);

// Open for reading in this process what lies at `where` and is called `path` in messages.
DC_MUST_USE enum dc_status dc__h5_open_here(struct dc_h5 **file, const char *where,
                                            const char *path, struct dc_error *error);

// As values are stored, and as they lie in memory; the dc_dtype that holds a stored type.
hid_t dc__h5_type(enum dc_dtype dtype, bool stored);
enum dc_dtype dc__h5_dtype(hid_t set);
// false: a rank above DC_RANK_MAX, or a dimension above INT64_MAX.
bool dc__h5_shape(hid_t set, struct dc_shape *shape);

// h5_read.c: the array of this name, opened and held against all limits. Under the lock.
DC_MUST_USE enum dc_status dc__h5_hold(const struct dc__h5_held **held, const struct dc_h5 *file,
                                       const char *name, struct dc_error *error);
void dc__h5_let_go(struct dc_h5 *file);
// As dc_h5_describe; dtype is DC_DTYPE_COUNT where none holds what is stored.
DC_MUST_USE enum dc_status dc__h5_look_at(enum dc_dtype *dtype, struct dc_shape *shape,
                                          const struct dc_h5 *file, const char *name,
                                          struct dc_error *error);

// h5_reader.c: as the public functions of the same names (h5.h), by the reader process.
DC_MUST_USE enum dc_status dc__reader_open(struct dc__h5_reader **reader, const char *path,
                                           struct dc_error *error);
void dc__reader_close(struct dc__h5_reader *reader);  // NULL is allowed
bool dc__reader_has(struct dc__h5_reader *reader, const char *name);
DC_MUST_USE enum dc_status dc__reader_describe(struct dc__h5_reader *reader, const char *name,
                                               enum dc_dtype *dtype, struct dc_shape *shape,
                                               struct dc_error *error);
DC_MUST_USE enum dc_status dc__reader_rows(struct dc__h5_reader *reader, const char *name,
                                           enum dc_dtype dtype, void *rows, int64_t first,
                                           int64_t count, struct dc_error *error);
DC_MUST_USE enum dc_status dc__reader_text(struct dc__h5_reader *reader, const char *name,
                                           char **text, struct dc_arena *arena,
                                           struct dc_error *error);
DC_MUST_USE enum dc_status dc__reader_int(struct dc__h5_reader *reader, const char *name,
                                          int64_t *value, struct dc_error *error);
DC_MUST_USE enum dc_status dc__reader_list(struct dc__h5_reader *reader,
                                           void (*visit)(void *user, const char *name,
                                                         enum dc_dtype dtype,
                                                         const struct dc_shape *shape),
                                           void *user, struct dc_error *error);

// What goes through the socket between both: one request, one answer. Values, texts and lists lie
// in memory that both have mapped; it grows when an answer says that it must (need).
enum dc__h5_question {
    DC__H5_OPEN,      // name: the path
    DC__H5_HAS,       // number: 1 or 0
    DC__H5_DESCRIBE,  // dtype, shape
    DC__H5_ROWS,      // number: how many rows from `first` on lie in the memory, at most `count`
    DC__H5_TEXT,      // number: its length; the text lies in the memory
    DC__H5_INT,       // number
    DC__H5_LIST,      // number: how many struct dc__h5_entry lie in the memory
};

struct dc__h5_request {
    enum dc__h5_question question;
    enum dc_dtype dtype;
    int64_t first, count;
    int64_t shared_bytes;  // size of the memory, and its name
    int segment;
    char name[4096];
};

struct dc__h5_answer {
    enum dc_status status;
    enum dc_dtype dtype;
    struct dc_shape shape;
    int64_t number;
    int64_t need;       // bytes that the memory must have, where they are more than it has
    int64_t row_bytes;  // of DC__H5_ROWS, at the dtype asked for
    char message[DC_ERROR_BYTES];
};

struct dc__h5_entry {
    enum dc_dtype dtype;
    struct dc_shape shape;
    char name[256];  // cut where it is longer
};

// Names the environment variable that makes a program a reader: "SOCKET FILE", descriptors.
extern const char dc__h5_reader_variable[];

#endif
