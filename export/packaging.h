// What makes a bundle a library for build systems, and a page for people.

#ifndef DC_EXPORT_PACKAGING_H
#define DC_EXPORT_PACKAGING_H

#include "qat/imodel.h"

// CMake, Arduino, ESP-IDF, Zephyr, README.md; NULL behind the last.
extern const char *const dc__package_files[];

// Writes them beside the pair `name`.h, `name`.c.
DC_MUST_USE enum dc_status dc__packaging_write(const char *directory, const char *name,
                                               const struct dc_imodel *model,
                                               struct dc_error *error);

#endif
