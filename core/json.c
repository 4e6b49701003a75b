// Owns the reading of JSON files.

#include "core/json.h"

#include <stdio.h>
#include <string.h>

#include "core/file.h"

enum { FILE_MAX = 16 * 1024 * 1024 };

json_t *dc_json_read(const char *path, json_error_t *problem)
{
    FILE *file = NULL;
    int64_t size = 0;
    struct dc_error error;
    json_t *root = NULL;
    memset(problem, 0, sizeof *problem);
    if (dc_file_open(&file, &size, path, &error) != DC_OK) {
        snprintf(problem->text, sizeof problem->text, "%.*s", (int)sizeof problem->text - 1,
                 error.message);
        return NULL;
    }
    if (size <= FILE_MAX)
        root = json_loadf(file, JSON_REJECT_DUPLICATES, problem);
    else
        snprintf(problem->text, sizeof problem->text, "too large");
    fclose(file);
    return root;
}

json_t *dc_json_of_yaml(const struct dc_yaml *node)
{
    json_t *json = NULL;
    if (node->kind == DC_YAML_MAPPING) {
        json = json_object();
        for (int i = 0; i < node->count; i++)
            json_object_set_new(json, node->keys[i]->text, dc_json_of_yaml(node->items[i]));
    } else if (node->kind == DC_YAML_SEQUENCE) {
        json = json_array();
        for (int i = 0; i < node->count; i++)
            json_array_append_new(json, dc_json_of_yaml(node->items[i]));
    } else if (!node->quoted) {
        json = json_loads(node->text, JSON_DECODE_ANY, NULL);
    }
    return json ? json : json_string(node->text);
}
