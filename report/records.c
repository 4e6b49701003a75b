// Owns the reading of a run's records, which may be damaged.

#include "report/records.h"

#include <string.h>

#include "core/file.h"
#include "core/json.h"

enum dc_status dc_read_metrics(json_t *lines, const char *directory, struct dc_arena *arena,
                               struct dc_error *error)
{
    char *path = dc_arena_printf(arena, error, "%s/metrics.jsonl", directory), *text = NULL;
    size_t size = 0;
    int number = 1;
    if (!path)
        return DC_ERR_MEMORY;
    if (!dc_file_exists(path))
        return DC_OK;
    DC_TRY(dc_file_read(&text, &size, path, arena, error));
    for (const char *at = text, *end; at < text + size; at = end + 1, number++) {
        json_error_t problem;
        end = memchr(at, '\n', size - (size_t)(at - text));
        if (!end)
            break;
        json_t *line = json_loadb(at, (size_t)(end - at), JSON_REJECT_DUPLICATES, &problem);
        if (!json_is_object(line)) {
            json_decref(line);
            return dc_fail(error, DC_ERR_DATA, "%s:%d: damaged: not a JSON object", path, number);
        }
        json_array_append_new(lines, line);
    }
    return DC_OK;
}

enum dc_status dc_read_environment(json_t **environment, const char *directory,
                                   struct dc_arena *arena, struct dc_error *error)
{
    char *path = dc_arena_printf(arena, error, "%s/env.json", directory);
    json_error_t problem;
    *environment = NULL;
    if (!path)
        return DC_ERR_MEMORY;
    if (!dc_file_exists(path))
        return DC_OK;
    *environment = dc_json_read(path, &problem);
    if (json_is_object(*environment))
        return DC_OK;
    const bool parsed = *environment != NULL;
    json_decref(*environment);
    *environment = NULL;
    return parsed ? dc_fail(error, DC_ERR_DATA, "%s: damaged: not a JSON object", path)
                  : dc_fail(error, DC_ERR_DATA, "%s:%d:%d: damaged: %s", path, problem.line,
                            problem.column, problem.text);
}
