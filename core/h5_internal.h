// What core/h5.c and core/h5_attributes.c share. Internal to them.

#ifndef DC_CORE_H5_INTERNAL_H
#define DC_CORE_H5_INTERNAL_H

#include <hdf5.h>

#include "core/h5.h"

struct dc_h5 {
    hid_t id;
    struct dc_arena *arena;
    char *path, *temporary;  // temporary: NULL when open for reading
    bool sealed;             // it is to end in a checksum
    bool failed;             // a write failed, so the file cannot be committed
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

#endif
