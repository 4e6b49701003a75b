// JSON that lies in files: manifests, results, environments. jansson parses; the file is opened as
// any that others made (core/file.h) and may have 16 MiB.

#ifndef DC_CORE_JSON_H
#define DC_CORE_JSON_H

#include <jansson.h>

// As json_load_file, duplicate keys refused: NULL with the reason in *problem.
json_t *dc_json_read(const char *path, json_error_t *problem);

#endif
