// The HDF5 file driver under files being created. Internal to core/h5.c.
//
// HDF5 1.10 cannot let go of a file whose last writes the system refused: closing fails and the
// library crashes when the process exits. This driver remembers the first refusal and drops
// everything after it, so that the library closes in peace; the caller asks for the refusal.

#ifndef DC_CORE_H5_DRIVER_H
#define DC_CORE_H5_DRIVER_H

#include <hdf5.h>

// Set the driver on a file access list. *refused (kept by the caller until the file is closed)
// becomes the errno of the first refused write. Returns the driver, negative on failure; the caller
// lets it go with H5FDunregister after the file is closed, for closing still reads it.
hid_t dc__h5_set_driver(hid_t access_list, int *refused);

#endif
