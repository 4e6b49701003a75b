// Owns what importers share: names of nodes, bounds of sizes, and the end of what they gave. Knows
// no format.

#include "formats/imported.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

enum { NAME_BYTES = 200 };

void dc_imported_free(struct dc_imported *imported)
{
    if (!imported)
        return;
    dc_params_free(imported->params);
    dc_graph_free(imported->graph);
    dc_arena_free(imported->arena);
}

const char *dc__import_name(const struct dc_graph *graph, struct dc_arena *arena, const char *name,
                            struct dc_error *error)
{
    char text[NAME_BYTES + 1];
    size_t n = 0;
    for (name += *name == '/'; *name && n < NAME_BYTES; name++)
        text[n++] = isalnum((unsigned char)*name) || strchr("._-", *name) ? *name
                    : *name == '/'                                        ? '.'
                                                                          : '_';
    text[n] = '\0';
    const char *unique = dc_arena_copy(arena, n ? text : "node", error);
    for (int i = 2; unique && dc_graph_find(graph, unique) >= 0; i++)
        unique = dc_arena_printf(arena, error, "%s_%d", n ? text : "node", i);
    return unique;
}

enum dc_status dc__import_check_size(const struct dc_shape *shape, struct dc_error *error)
{
    int64_t count = 1;
    for (int i = 1; i < shape->rank; i++) {
        const int64_t dim = shape->dims[i];
        if (dim < 1 || dim > DC_IMPORT_ROW_MAX || (count *= dim) > DC_IMPORT_ROW_MAX) {
            char text[DC_SHAPE_TEXT];
            return dc_fail(error, DC_ERR_DATA,
                           "a value of %s: dimensions must be from 1, and at "
                           "most %" PRId64 " values a sample",
                           dc_shape_text(text, shape), (int64_t)DC_IMPORT_ROW_MAX);
        }
    }
    return DC_OK;
}
