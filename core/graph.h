// Graphs: nodes in topological order, named, with the parameters they declare.
//
// A graph is built node by node and immutable afterwards; passes make new graphs. Node i's inputs
// have smaller indices. Node 0.. may be "input" nodes, whose values are bound by the caller of a
// plan. A training graph is a network's graph with loss nodes behind it.

#ifndef DC_CORE_GRAPH_H
#define DC_CORE_GRAPH_H

#include "core/op.h"

struct dc_graph {
    struct dc_arena *arena;
    struct dc_node *nodes;
    int count;
    struct dc_param_spec *params;  // full names: "NODE.weight"
    int param_count;
    int node_capacity, param_capacity;
};

DC_MUST_USE enum dc_status dc_graph_create(struct dc_graph **graph, struct dc_error *error);
void dc_graph_free(struct dc_graph *graph);  // NULL is allowed

// An input value, bound by name at run time. shape->dims[0] is DC_BATCH.
DC_MUST_USE enum dc_status dc_graph_add_input(struct dc_graph *graph, const char *name,
                                              enum dc_dtype dtype, const struct dc_shape *shape,
                                              int *node, struct dc_error *error);

// attributes: copied, attribute_bytes of it (pointers inside must outlive the graph or lie in its
// arena). Infers the shape and declares the parameters. *node: the new index.
DC_MUST_USE enum dc_status dc_graph_add(struct dc_graph *graph, const char *name,
                                        const struct dc_op *op, const void *attributes,
                                        size_t attribute_bytes, const int *inputs, int input_count,
                                        int *node, struct dc_error *error);

int dc_graph_find(const struct dc_graph *graph, const char *name);  // -1: none

// A name for what a layer is made of: `wanted`, with underscores behind it where a layer has that
// name itself. graph: NULL: there are no layers. In the arena; NULL: out of memory.
const char *dc_graph_free_name(const struct dc_graph *graph, struct dc_arena *arena,
                               const char *wanted, struct dc_error *error);

// A copy of node i of `from`, with its inputs renumbered by map[] (old index -> new index).
DC_MUST_USE enum dc_status dc_graph_add_copy(struct dc_graph *graph, const struct dc_graph *from,
                                             int i, const int *map, int *node,
                                             struct dc_error *error);
// The same under another name.
DC_MUST_USE enum dc_status dc_graph_add_copy_as(struct dc_graph *graph, const char *name,
                                                const struct dc_graph *from, int i, const int *map,
                                                int *node, struct dc_error *error);
// All nodes of `from`; map has from->count entries and is filled.
DC_MUST_USE enum dc_status dc_graph_add_all(struct dc_graph *graph, const struct dc_graph *from,
                                            int *map, struct dc_error *error);

// The one node that reads node i, or -1: none, or several. needed: [count], which nodes count;
// NULL: all do.
int dc_graph_only_reader(const struct dc_graph *graph, const bool *needed, int i);

// What a layer consists of that begins at node i: perhaps a batch normalization, where the node has
// weights (takes_norm), perhaps a clamp (relu, relu6, with weights hard_sigmoid), each the only
// reader of the node before it.
// -1: there is none. last: where the layer's value is, i itself where nothing follows.
struct dc_layer_chain {
    int norm, clamp, last;
};
struct dc_layer_chain dc_graph_layer(const struct dc_graph *graph, const bool *needed, int i,
                                     bool takes_norm);

// Multiply-accumulates of convolutions and dense layers for one sample.
int64_t dc_graph_macs(const struct dc_graph *graph);
int64_t dc_graph_node_macs(const struct dc_graph *graph, int i);

extern const struct dc_op dc_op_input;

#endif
