// JSON that lies in files: manifests, results, environments. jansson parses; the file is opened as
// any that others made (core/file.h) and may have 16 MiB.

#ifndef DC_CORE_JSON_H
#define DC_CORE_JSON_H

#include <jansson.h>

#include "core/yaml.h"

// As json_load_file, duplicate keys refused: NULL with the reason in *problem.
json_t *dc_json_read(const char *path, json_error_t *problem);

// A YAML tree as JSON: what reads as a number, true or false is one, unless it is quoted. NULL: out
// of memory.
json_t *dc_json_of_yaml(const struct dc_yaml *node);

#endif
