// One layer of a model file: its keys, and the node it becomes.

#ifndef DC_RUN_LAYER_H
#define DC_RUN_LAYER_H

#include "core/graph.h"
#include "core/schema.h"

// What every layer says, and the keys of its own kind.
struct dc_layer {
    const char *name;  // "": made from the op's name and a count
    struct dc_texts from;
    bool when;
    void *keys;  // as the kind's fields say
};

struct dc_layer_kind {
    const char *name, *help;
    const struct dc_op *op;
    struct dc_schema keys;
    size_t bytes;  // of the struct they fill
    // The op's attributes (zeroed) for an input of this shape. NULL: the keys are the attributes,
    // and a kind without keys takes the op's own defaults.
    void (*fill)(void *attributes, const void *keys, const struct dc_shape *in);
};

const struct dc_layer_kind *dc_layer_find(const char *name);
// The keys that every layer takes.
const struct dc_schema *dc_layer_schema(void);
// Names of all kinds; returns their number.
int dc_layer_names(const char *names[], int capacity);

// body: the layer's mapping, or NULL for a layer without keys.
DC_MUST_USE enum dc_status dc_layer_decode(struct dc_layer *layer, const struct dc_layer_kind *kind,
                                           const struct dc_yaml *body,
                                           const struct dc_decoder *decoder,
                                           struct dc_error *error);
DC_MUST_USE enum dc_status dc_layer_add(struct dc_graph *graph, const char *name,
                                        const struct dc_layer_kind *kind,
                                        const struct dc_layer *layer, const int *inputs, int count,
                                        int *node, struct dc_error *error);

#endif
