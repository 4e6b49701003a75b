// YAML documents as a plain tree with places.
//
// libfyaml parses; the tree is copied into an arena, so that nothing else in Decant sees libfyaml.
// Strict: duplicate keys, anchors and tags are refused. Every node knows its line and column.

#ifndef DC_CORE_YAML_H
#define DC_CORE_YAML_H

#include <stdbool.h>

#include "core/arena.h"
#include "core/suggest.h"

enum { DC_LIST_MAX = 16 };

// A list of words.
struct dc_texts {
    int count;
    const char *items[DC_LIST_MAX];
};

enum dc_yaml_kind { DC_YAML_SCALAR, DC_YAML_SEQUENCE, DC_YAML_MAPPING };

struct dc_yaml {
    enum dc_yaml_kind kind;
    const char *text;              // of a scalar; "" for null
    bool quoted;                   // the scalar was quoted, so it is text whatever it looks like
    int count;                     // of items
    const struct dc_yaml **keys;   // [count] of a mapping: scalars
    const struct dc_yaml **items;  // [count] of a sequence or mapping
    struct dc_location where;
};

DC_MUST_USE enum dc_status dc_yaml_read(const struct dc_yaml **root, const char *path,
                                        struct dc_arena *arena, struct dc_error *error);
// The same from memory; `name` stands for the file in messages.
DC_MUST_USE enum dc_status dc_yaml_parse(const struct dc_yaml **root, const char *text,
                                         const char *name, struct dc_arena *arena,
                                         struct dc_error *error);

// NULL when the mapping has no such key.
const struct dc_yaml *dc_yaml_get(const struct dc_yaml *mapping, const char *key);

// A configuration error at a node's place.
enum dc_status dc_fail_yaml(struct dc_error *error, const struct dc_yaml *node, const char *format,
                            ...) DC_PRINTF(3, 4);

// Context for a failure, as dc_context, that has a place: a message without one gets the node's.
enum dc_status dc_context_yaml(enum dc_status status, struct dc_error *error,
                               const struct dc_yaml *node, const char *format, ...) DC_PRINTF(4, 5);

#endif
