// What the files of the ONNX writer share: onnx_write_graph.c (the rows, layers, functions of one
// and two values), onnx_write_shape.c (pooling, reductions, what moves values) and, below both,
// onnx_write_values.c.

#ifndef DC_FORMATS_ONNX_WRITE_INTERNAL_H
#define DC_FORMATS_ONNX_WRITE_INTERNAL_H

#include "core/network.h"
#include "core/ops/ops.h"
#include "formats/onnx_write.h"

struct dc_onnx_writing {
    struct dc_onnx_writer *w;
    const struct dc_network *network;
    const struct dc_graph *graph;
    const char **names;  // [graph->count]: of values in the file
};

// A node as operators of the file; `onnx` is the main one's name.
typedef void dc_onnx_writing_op(struct dc_onnx_writing *t, const struct dc_node *node,
                                const char *onnx);
dc_onnx_writing_op dc__onnx_put_pool;
dc_onnx_writing_op dc__onnx_put_global_pool;
dc_onnx_writing_op dc__onnx_put_reduce;
dc_onnx_writing_op dc__onnx_put_constant;
dc_onnx_writing_op dc__onnx_put_same;
dc_onnx_writing_op dc__onnx_put_reshape;
dc_onnx_writing_op dc__onnx_put_pads;
dc_onnx_writing_op dc__onnx_put_slice;
dc_onnx_writing_op dc__onnx_put_transpose;

static inline const char *in_of(const struct dc_onnx_writing *t, const struct dc_node *node, int i)
{
    return t->names[node->inputs[i]];
}

static inline const struct dc_shape *shape_in(const struct dc_onnx_writing *t,
                                              const struct dc_node *node, int i)
{
    return &t->graph->nodes[node->inputs[i]].shape;
}

// The node's value by one operator without attributes.
void dc__put_shaped(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx,
                    const char *const *inputs);
// Input i in the order of memory, and the value from an operator that gives it so.
const char *dc__in_memory(struct dc_onnx_writing *t, const struct dc_node *node, int i);
void dc__put_from_memory(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx,
                         const char *const *inputs);
// Constants "NODE/PART": dimensions for Reshape, one number.
const char *dc__put_dims(struct dc_onnx_writing *t, const struct dc_node *node, const char *part,
                         const struct dc_shape *shape);
const char *dc__put_number(struct dc_onnx_writing *t, const struct dc_node *node, const char *part,
                           float value);
// Parameter k, turned from [outer, space, channels] to [outer, channels, space]; shape: as it is
// then.
const char *dc__put_param(struct dc_onnx_writing *t, const struct dc_node *node, int k,
                          const struct dc_shape *shape, int64_t outer, int64_t space);

// What parameter k is in memory: floats, or in a quantized network codes of so many bytes.
const void *dc__values_of(const struct dc_onnx_writing *t, const struct dc_node *node, int k,
                          int *bytes);
// The same as a constant of the file, whose values are in the file's order; codes are read through
// a DequantizeLinear.
const char *dc__put_values(struct dc_onnx_writing *t, const struct dc_node *node, int k,
                           const struct dc_shape *shape, const void *values);
// Of codes of so many bits.
enum dc_onnx_type dc__type_of(int bits);
// Between a float and the codes that `quantizer` stores, by QuantizeLinear or DequantizeLinear; and
// a float rounded to its grid, the parts named after `base`.
const char *dc__put_conversion(struct dc_onnx_writing *t, const char *onnx, const char *name,
                               enum dc_onnx_type type, const struct dc_node *quantizer,
                               const char *x, const struct dc_shape *shape);
const char *dc__put_rounded(struct dc_onnx_writing *t, const struct dc_node *quantizer,
                            const char *base, const char *real, const struct dc_shape *shape);
// A float on the way from one order to another, of the values that `quantizer` stores: as codes in
// between, so that a runtime may move codes. quantizer NULL: the float itself.
const char *dc__put_step(struct dc_onnx_writing *t, const struct dc_node *quantizer,
                         const char *real, const struct dc_shape *shape);

// The axis of the file for an axis of memory.
int dc__file_axis(int axis, int rank);

#endif
