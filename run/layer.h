// One layer of a model file: its keys, and the node it becomes.

#ifndef DC_RUN_LAYER_H
#define DC_RUN_LAYER_H

#include "core/graph.h"
#include "core/schema.h"

struct dc_padding {
    enum { DC_PADDING_EXPLICIT, DC_PADDING_SAME } kind;
    int top, bottom, left, right;
};

// The keys of all layers; a kind of layer takes some of them.
struct dc_layer {
    const char *name;  // "": made from the op's name and a count
    struct dc_texts from;
    bool when;
    int64_t filters, multiplier, groups, units, axis, begin, end, step;
    int64_t channels_before, channels_after;
    struct dc_numbers kernel, stride, dilation, shape;
    struct dc_padding padding;
    bool bias, count_padding;
    double epsilon, momentum, rate;
};

struct dc_layer_kind {
    const char *name;
    const struct dc_op *op;
    const char *keys;  // separated by spaces, besides name, from and when
};

const struct dc_layer_kind *dc_layer_find(const char *name);
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
