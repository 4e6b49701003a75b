// What a run knows of a network that is packaged for devices.

#ifndef DC_RUN_PACKAGE_H
#define DC_RUN_PACKAGE_H

#include "export/package.h"

// Describes the bundle in the folder, which is read and checked whole; accuracy of the integers and
// core where it lies in the run that made it. Payload, versions and parent are the caller's.
DC_MUST_USE enum dc_status dc_run_package(struct dc_package *package, const char *bundle,
                                          struct dc_error *error);

#endif
