// One layer of a model file: its keys, and the node it becomes.

#ifndef DC_RUN_LAYER_H
#define DC_RUN_LAYER_H

#include "core/graph.h"
#include "run/schema.h"

// Keys every layer has.
struct dc_layer_common {
    const char *name;  // "": made from the op's name and a count
    struct dc_texts from;
    bool when;
};

struct dc_layer_kind {
    const char *name;
    const struct dc_schema *schema;  // over union dc_layer, the common keys included
    // Adds the node; inputs are resolved. `where` is the layer's place for messages.
    enum dc_status (*build)(struct dc_graph *graph, const char *name, const void *layer,
                            const int *inputs, int input_count, int *node, struct dc_error *error);
};

enum { DC_LAYER_BYTES = 2048 };  // of the largest layer struct

const struct dc_layer_kind *dc_layer_find(const char *name);
// Names of all kinds; returns their number.
int dc_layer_names(const char *names[], int capacity);

#endif
