// Any source to one HDF5 file, which opens faster and streams when it is larger than memory.
//
// Layout, version 1: arrays train/inputs [n, sample...] (uint8 or float32) and train/labels [n]
// (int32), the same below test/; root attributes decant_data (1, the version), classes, and
// class_names, one name a line, where there are names; validation_samples, how many of the training
// samples, the last, are for validation, where there are any.
// Version 2, where there is something of it: labels [n, classes] (float32) with the root attribute
// labels ("values" or "tags"), and train/groups [n] (int32), ascending: samples of a group, as the
// windows of a recording, are never in two parts of the data.
// data/hdf5.c reads both; equal sources give equal files, and a source read back has the hash of
// the one written.

#ifndef DC_DATA_CONVERT_H
#define DC_DATA_CONVERT_H

#include "core/source.h"

enum { DC_DATA_FILE_VERSION = 2 };

// train or test may be NULL, not both; both must agree in sample, type and classes, else
// DC_ERR_DATA. class_names: [classes], or NULL for the sources' own. The file appears whole or not
// at all (DC_ERR_IO).
DC_MUST_USE enum dc_status dc_source_to_hdf5(const struct dc_source *train,
                                             const struct dc_source *test, const char *path,
                                             const char *const *class_names,
                                             struct dc_error *error);

#endif
