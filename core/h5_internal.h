// Shared by the files that call HDF5's C library. Internal to core/.

#ifndef DC_CORE_H5_INTERNAL_H
#define DC_CORE_H5_INTERNAL_H

#include <hdf5.h>

#include "core/h5.h"

struct dc_h5 {
    hid_t id, driver;  // driver: of a file being created, else -1
    struct dc_arena *arena;
    char *path, *temporary;  // temporary: NULL when open for reading
    bool failed;             // a write failed, so the file cannot be committed
    int refused;             // errno of the first write the system refused (h5_driver.h), or 0
};

// Every public function holds the lock around HDF5 calls; the functions below expect it held.
void dc__h5_lock(void);
void dc__h5_unlock(void);

enum dc_status dc__h5_fail(const struct dc_h5 *file, struct dc_error *error, const char *what,
                           const char *name);
// After a write: `good` as HDF5 saw it, and what the system refused behind its back.
enum dc_status dc__h5_check_write(struct dc_h5 *file, bool good, const char *name,
                                  struct dc_error *error);
// The dc_dtype that holds every value of a stored type; DC_DTYPE_COUNT when there is none.
enum dc_dtype dc__h5_holding_type(hid_t type);
bool dc__h5_array_shape(hid_t set, struct dc_shape *shape);

#endif
