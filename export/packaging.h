// What makes a bundle a library for build systems, and a page for people.

#ifndef DC_EXPORT_PACKAGING_H
#define DC_EXPORT_PACKAGING_H

#include "core/yaml.h"
#include "qat/imodel.h"

// CMake, Arduino, ESP-IDF, Zephyr, README.md; NULL behind the last.
extern const char *const dc__package_files[];

// Writes them beside the pair `name`.h, `name`.c and the files of these formats (NULL: none).
DC_MUST_USE enum dc_status dc__packaging_write(const char *directory, const char *name,
                                               const struct dc_imodel *model,
                                               const struct dc_texts *formats,
                                               struct dc_error *error);

#endif
