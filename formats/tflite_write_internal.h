// What the files of the TFLite writer share: tflite_write.c (the rows and what each op is) and
// tflite_values.c (values, their grids, constants and parameters).

#ifndef DC_FORMATS_TFLITE_WRITE_INTERNAL_H
#define DC_FORMATS_TFLITE_WRITE_INTERNAL_H

#include "core/network.h"
#include "core/ops/ops.h"
#include "formats/tflite_build.h"

struct dc_tflite_writing {
    struct dc_tflite_builder build;
    const struct dc_network *network;
    const struct dc_graph *graph;
    const int64_t *places;  // [node], or NULL
    int *values;            // [node]: its tensor
};

static inline int index_of(const struct dc_tflite_writing *w, const struct dc_node *node)
{
    return (int)(node - w->graph->nodes);
}

static inline int in_of(const struct dc_tflite_writing *w, const struct dc_node *node, int i)
{
    return w->values[node->inputs[i]];
}

static inline const struct dc_node *input_of(const struct dc_tflite_writing *w,
                                             const struct dc_node *node)
{
    return &w->graph->nodes[node->inputs[0]];
}

static inline const struct dc_shape *shape_in(const struct dc_tflite_writing *w,
                                              const struct dc_node *node, int i)
{
    return &w->graph->nodes[node->inputs[i]].shape;
}

// The node that stores the node's value, whose name people know: itself in a float network.
const struct dc_node *dc__tflite_stored_by(const struct dc_tflite_writing *w,
                                           const struct dc_node *node);
// Its grid; NULL: the value is floats.
const struct dc_quantize_attributes *dc__tflite_grid(const struct dc_tflite_writing *w,
                                                     const struct dc_node *node);
enum dc_status dc__tflite_refuse(const struct dc_tflite_writing *w, const struct dc_node *node,
                                 const char *why);
// Whether a dense layer's value is the network's output.
bool dc__tflite_is_dense_output(const struct dc_tflite_writing *w, const struct dc_node *node);

// The operator's output becomes the node's value; a clamp of its grid becomes the activation.
DC_MUST_USE enum dc_status dc__tflite_put(struct dc_tflite_writing *w, const struct dc_node *node,
                                          struct dc_tflite_operator *o);

// "NODE/WHAT" by the name that people know; NULL: out of memory.
const char *dc__tflite_name(struct dc_tflite_writing *w, const struct dc_node *node,
                            const char *what);
// A float tensor, and one on the node's grid if it has one.
struct dc_tflite_tensor dc__tflite_constant(const char *name, const struct dc_shape *shape);
struct dc_tflite_tensor dc__tflite_value(const struct dc_tflite_writing *w,
                                         const struct dc_node *node, const char *name,
                                         const struct dc_shape *shape);

// Constants: integers named NODE/WHAT as dc_tflite_add_integers has them, floats (not copied).
DC_MUST_USE enum dc_status dc__tflite_add_integers(struct dc_tflite_writing *w,
                                                   const struct dc_node *node, const char *what,
                                                   const int32_t *values, int rows, int columns,
                                                   int *index);
DC_MUST_USE enum dc_status dc__tflite_add_floats(struct dc_tflite_writing *w, const char *name,
                                                 const struct dc_shape *shape, const float *values,
                                                 int *index);
// Parameters: floats of parameter k; a kernel of the file's shape; a bias, of zeros where the layer
// has none.
const float *dc__tflite_floats(const struct dc_tflite_writing *w, const struct dc_node *node,
                               int k);
DC_MUST_USE enum dc_status dc__tflite_add_kernel(struct dc_tflite_writing *w,
                                                 const struct dc_node *node,
                                                 const struct dc_shape *shape, bool depthwise,
                                                 int *index);
DC_MUST_USE enum dc_status dc__tflite_add_bias(struct dc_tflite_writing *w,
                                               const struct dc_node *node, bool has,
                                               int64_t channels, int *index);

#endif
