// What the files of the ONNX importer share.
//
//   onnx.c           the file, its values and nodes in order, the finished graph
//   onnx_tensor.c    stored tensors, attributes
//   onnx_fold.c      constants from constants
//   onnx_arithmetic.c  on their elements
//   onnx_run.c       by running the operator itself
//   onnx_view.c      where the axes of a value lie in memory
//   onnx_layers.c    operators with weights, windows or statistics
//   onnx_products.c  matrix products, reductions
//   onnx_pointwise.c functions of one and two values
//   onnx_patterns.c  several nodes that stand for one function
//   onnx_shape.c     operators that move values
//   onnx_table.c     the operators by name
//
// A value of the file is a constant (floats, or integers that may be multiples of the batch) or a
// node of the graph with a view.

#ifndef DC_FORMATS_ONNX_INTERNAL_H
#define DC_FORMATS_ONNX_INTERNAL_H

#include "core/file.h"
#include "core/ops/ops.h"
#include "formats/onnx.h"
// made by protoc-c of formats/onnx.proto
#include <onnx.pb-c.h>

enum { DC_ONNX_ATTRIBUTE_MOST = 1 << 20 };  // of a kernel, a stride, a padding
// Elements that folding may make: of any file, and for each of its bytes.
enum { DC_ONNX_FOLDED_MOST = 1 << 25, DC_ONNX_FOLDED_A_BYTE = 2 };
enum { DC_ONNX_TYPE_FLOAT = 1, DC_ONNX_TYPE_INT64 = 7 };  // of elements: two of them
// Types of attributes.
enum {
    DC_ONNX_FLOAT = 1,
    DC_ONNX_INT = 2,
    DC_ONNX_STRING = 3,
    DC_ONNX_TENSOR = 4,
    DC_ONNX_FLOATS = 6,
    DC_ONNX_INTS = 7
};

// c + k * batch + n * (which row of the batch it is); n in constants with rows alone.
struct dc_linear {
    int64_t c, k, n;
};

struct dc_onnx_constant {
    int rank;
    int64_t dims[DC_RANK_MAX];
    int64_t count;
    int rows;             // 1 + the axis with an entry a row of the batch, stored once; 0: none
    float *f;             // [count], or
    struct dc_linear *i;  // [count]: integers and booleans
};

// Which axes of the memory an axis of the file's value consists of, first the slowest. Atom i is
// axis i of the node's shape; 0 is the batch. Axes of size 1 may be in no list.
struct dc_onnx_axis {
    int count;
    int atoms[DC_RANK_MAX];
};
struct dc_onnx_view {
    int rank;
    struct dc_onnx_axis axes[DC_RANK_MAX];
};

struct dc_onnx_value {
    const char *name;
    enum { DC_VALUE_UNKNOWN, DC_VALUE_CONSTANT, DC_VALUE_GRAPH } kind;
    struct dc_onnx_constant constant;
    bool stored;   // the constant is the file's own, not computed
    bool needed;   // by the output
    int node;      // of the graph
    int producer;  // of the file's nodes, or -1
    struct dc_onnx_view view;
};

struct dc_import {
    const char *path, *folder;
    const struct dc_onnx_options *options;
    struct dc_arena *arena;  // of the import alone
    Onnx__ModelProto *model;
    int64_t opset;
    bool batch_fixed;  // the file says 1 where the batch is
    uint64_t hash;
    struct dc_onnx_value *values;
    int value_count, *slots, slot_count;    // a hash table over their names
    int64_t folded, folded_most;            // elements made by folding, bounded by the file's bytes
    const struct dc_onnx_constant *lifted;  // what this graph runs on (onnx_run.c); NULL: a network
    struct dc_graph *graph;
    const float **data;  // of the graph's parameters
    int data_capacity;
    struct dc_onnx_external *externals;  // files of stored tensors
};

// One node of the file being imported.
struct dc_onnx_call {
    struct dc_import *m;
    const Onnx__NodeProto *proto;
    const struct dc_onnx_operator *row;
    const char *name;  // for nodes of the graph
    int count;
    struct dc_onnx_value *in[DC_INPUTS_MAX];  // NULL: left out
    const char *bad;                          // the attribute that could not be read
    uint64_t asked;                           // bit k: attribute k was looked at
};

typedef enum dc_status dc_onnx_convert(struct dc_onnx_call *call, struct dc_error *error);

struct dc_onnx_operator {
    const char *name;
    int inputs_min, inputs_max;
    dc_onnx_convert *convert;  // NULL: of constants only
    dc_onnx_convert *fold;     // all inputs are constants; NULL: convert and run (onnx_run.c)
    const struct dc_op *op;    // of converters that serve several
    // What the operator says of the order of an image's axes (onnx_input.c).
    enum { DC_SAYS_NOTHING, DC_READS_CHANNELS_FIRST, DC_KEEPS_AXES, DC_MOVES_AXES } layout;
};
const struct dc_onnx_operator *dc__onnx_operator(const char *name);

// onnx_input.c
// The one input that the output depends on, as a node.
DC_MUST_USE enum dc_status dc__onnx_add_input(struct dc_import *m, struct dc_imported *onnx,
                                              struct dc_error *error);

// onnx_build.c
// A value not yet made; producer: the index of its node, or -1. Two of a name are an error.
DC_MUST_USE enum dc_status dc__onnx_add_value(struct dc_import *m, const char *name, int producer,
                                              struct dc_error *error);
struct dc_onnx_value *dc__onnx_find(const struct dc_import *m, const char *name);
struct dc_onnx_value *dc__onnx_output(const struct dc_onnx_call *call, size_t k);  // NULL: unread
// A node of the graph with a name of its own, made from `name`; its size is checked.
DC_MUST_USE enum dc_status dc__onnx_emit(struct dc_import *m, const char *name,
                                         const struct dc_op *op, const void *attributes,
                                         const int *inputs, int count, int *node,
                                         struct dc_error *error);
// The node's parameter `slot`, of `count` floats that live as long as the import.
DC_MUST_USE enum dc_status dc__onnx_set(struct dc_import *m, int node, int slot, const float *data,
                                        int64_t count, struct dc_error *error);
// Output k is this node, seen so. An output that nothing reads is passed over.
void dc__onnx_give(const struct dc_onnx_call *call, size_t k, int node,
                   const struct dc_onnx_view *view);
void dc__onnx_give_constant(const struct dc_onnx_call *call, const struct dc_onnx_constant *value);
enum dc_status dc__fold_fail_batch(struct dc_error *error);

// onnx_tensor.c
DC_MUST_USE enum dc_status dc__onnx_tensor(struct dc_import *m, struct dc_onnx_constant *constant,
                                           const Onnx__TensorProto *tensor, struct dc_error *error);
// A constant with room for its values: dims are checked, the sum of all is bounded.
DC_MUST_USE enum dc_status dc__onnx_charge(struct dc_import *m, int64_t count,
                                           struct dc_error *error);
DC_MUST_USE enum dc_status dc__onnx_new(struct dc_import *m, struct dc_onnx_constant *constant,
                                        bool floats, int rank, const int64_t *dims,
                                        struct dc_error *error);
// Attributes; a wrong type or a number out of range is noted in call->bad.
const Onnx__AttributeProto *dc__onnx_attribute(struct dc_onnx_call *call, const char *name,
                                               int type);
// The element type that Cast or CastLike asks for.
int64_t dc__onnx_cast_type(struct dc_onnx_call *call);
int64_t dc__onnx_int(struct dc_onnx_call *call, const char *name, int64_t otherwise);
float dc__onnx_float(struct dc_onnx_call *call, const char *name, float otherwise);
bool dc__onnx_is(struct dc_onnx_call *call, const char *name, const char *otherwise,
                 const char *text);
void dc__onnx_ints(struct dc_onnx_call *call, const char *name, int *values, int count,
                   int otherwise);
// Integers of attribute `name`, or else of input `input`: how many, or -1: neither is there. The
// second form refuses multiples of the batch.
enum { DC_ONNX_LIST = 2 * DC_RANK_MAX };
DC_MUST_USE enum dc_status dc__onnx_linear_list(struct dc_onnx_call *call, int input,
                                                const char *name,
                                                struct dc_linear values[DC_ONNX_LIST], int *count,
                                                struct dc_error *error);
DC_MUST_USE enum dc_status dc__onnx_list(struct dc_onnx_call *call, int input, const char *name,
                                         int64_t values[DC_ONNX_LIST], int *count,
                                         struct dc_error *error);
// The constant float input, or NULL: it is left out, no constant or of another count (0: any).
const float *dc__onnx_floats(const struct dc_onnx_call *call, int input, int64_t count);
// The axes of a reduction (bits of the file's axes); none: they are empty and it does nothing.
DC_MUST_USE enum dc_status dc__onnx_reduced_axes(struct dc_onnx_call *call, unsigned *axes,
                                                 bool *none, int rank, struct dc_error *error);
// Axes of a value of this rank, each once, negative ones counted from the last.
DC_MUST_USE enum dc_status dc__onnx_axis(int64_t *axis, int rank, struct dc_error *error);

// onnx_fold.c, onnx_arithmetic.c. shape becomes what it and c broadcast to; c repeated to a shape.
DC_MUST_USE enum dc_status dc__fold_join(struct dc_onnx_constant *shape,
                                         const struct dc_onnx_constant *c, struct dc_error *error);
// Strides of c as one of `rank` axes, 0 where it is repeated.
void dc__fold_strides(int64_t strides[DC_RANK_MAX], const struct dc_onnx_constant *c, int rank);
DC_MUST_USE enum dc_status dc__fold_repeat(struct dc_import *m, struct dc_onnx_constant *out,
                                           const struct dc_onnx_constant *c,
                                           const struct dc_onnx_constant *shape,
                                           struct dc_error *error);
dc_onnx_convert dc__fold_arithmetic, dc__fold_cast, dc__fold_gather, dc__fold_concat,
    dc__fold_slice, dc__fold_shape, dc__fold_range, dc__fold_fill, dc__fold_where, dc__fold_reshape,
    dc__fold_transpose, dc__fold_expand, dc__fold_unary, dc__fold_scatter, dc__fold_constant,
    dc__fold_reduce, dc__fold_tile;
// onnx_run.c: any operator that has no such row.
dc_onnx_convert dc__fold_run;

// onnx_moves.c: what folding and converting both ask. The new dimensions that Reshape, Flatten,
// Squeeze or Unsqueeze give; the order of a transposition; where a slice begins and how many it
// takes (axes that are taken whole are left out).
struct dc_onnx_slices {
    int count;
    int64_t axes[DC_RANK_MAX], begin[DC_RANK_MAX], step[DC_RANK_MAX], size[DC_RANK_MAX];
};
DC_MUST_USE enum dc_status dc__onnx_new_dims(struct dc_onnx_call *call,
                                             struct dc_linear dims[DC_RANK_MAX], int *rank,
                                             struct dc_error *error);
DC_MUST_USE enum dc_status dc__onnx_permutation(struct dc_onnx_call *call, int order[DC_RANK_MAX],
                                                int rank, struct dc_error *error);
DC_MUST_USE enum dc_status dc__onnx_slices(struct dc_onnx_call *call, struct dc_onnx_slices *slices,
                                           struct dc_error *error);

// onnx_shape.c
dc_onnx_convert dc__onnx_same, dc__onnx_reshaped, dc__onnx_transpose, dc__onnx_slice,
    dc__onnx_split, dc__onnx_concat, dc__onnx_gather, dc__onnx_gather_nd, dc__onnx_pad,
    dc__onnx_expand, dc__onnx_tile, dc__onnx_resize, dc__onnx_depth_to_space;

// onnx_layers.c
dc_onnx_convert dc__onnx_conv, dc__onnx_gemm, dc__onnx_batch_norm, dc__onnx_group_norm,
    dc__onnx_layer_norm, dc__onnx_pool, dc__onnx_global_pool;
// y = x weight + bias over the last axis; weight [k, units], bias NULL: none.
DC_MUST_USE enum dc_status dc__onnx_dense(struct dc_onnx_call *call, const struct dc_onnx_value *x,
                                          const float *weight, const float *bias, int64_t k,
                                          int64_t units, struct dc_error *error);
// gamma and beta NULL: neither.
DC_MUST_USE enum dc_status dc__onnx_normalize(struct dc_onnx_call *call,
                                              const struct dc_onnx_value *x, int axes,
                                              float epsilon, const float *gamma, const float *beta,
                                              struct dc_error *error);

// onnx_products.c
dc_onnx_convert dc__onnx_matmul, dc__onnx_einsum, dc__onnx_reduce, dc__onnx_softmax;

// onnx_pointwise.c
dc_onnx_convert dc__onnx_unary, dc__onnx_binary, dc__onnx_leaky_relu, dc__onnx_hard_sigmoid,
    dc__onnx_elu, dc__onnx_mish, dc__onnx_clip, dc__onnx_prelu, dc__onnx_pow, dc__onnx_gelu;

// onnx_patterns.c: whether this node is the last of a pattern that is one op; then it is converted.
DC_MUST_USE enum dc_status dc__onnx_pattern(struct dc_onnx_call *call, bool *found,
                                            struct dc_error *error);

// onnx_view.c
struct dc_linear dc__onnx_dim(const struct dc_import *m, const struct dc_onnx_value *v, int axis);
const struct dc_shape *dc__onnx_shape(const struct dc_import *m, const struct dc_onnx_value *v);
// The atom that an axis is, or 0: it has several, is the batch, or has size 1 and none.
int dc__onnx_atom(const struct dc_import *m, const struct dc_onnx_value *v, int axis);
int dc__onnx_rank(const struct dc_onnx_value *v);  // of the file's value
// Axis i of the node's shape is axis i of the view: rank of them.
struct dc_onnx_view dc__onnx_plain(int rank);
// The view of [batch, h, w, c] as [batch, c, h, w]; also of any rank, the channels last.
struct dc_onnx_view dc__onnx_channels_last(int rank);
// Of what dc__onnx_image gives, for a value of the file of rank 4 or 3.
struct dc_onnx_view dc__onnx_image_view(int rank);
// Axes of a view as their first atoms lie in memory, the batch first; those of size 1 behind the
// one before them.
void dc__onnx_order(int order[DC_RANK_MAX], const struct dc_onnx_view *view, int count);
// The value with this axis as a single atom: itself, or a copy with this axis last.
DC_MUST_USE enum dc_status dc__onnx_single(struct dc_import *m, struct dc_onnx_value *single,
                                           int *atom, const struct dc_onnx_value *v, int axis,
                                           struct dc_error *error);
// A node that holds the value as the lists of `want` say: its axis i is all of want->axes[i]. Where
// the memory is so already, that is the value's node; else there is a transposition, a reshape or
// both.
DC_MUST_USE enum dc_status dc__onnx_arrange(struct dc_import *m, int *node,
                                            const struct dc_onnx_value *v,
                                            const struct dc_onnx_view *want,
                                            struct dc_error *error);
// Axis i of the node is the value's axis order[i].
DC_MUST_USE enum dc_status dc__onnx_ordered(struct dc_import *m, int *node,
                                            const struct dc_onnx_value *v, const int *order,
                                            struct dc_error *error);
// A node whose last axis is this axis of the value, the others as they lie; the view of it.
DC_MUST_USE enum dc_status dc__onnx_last(struct dc_import *m, int *node, struct dc_onnx_view *view,
                                         const struct dc_onnx_value *v, int axis,
                                         struct dc_error *error);
// An image as [batch, h, w, c]; a series is an image of height 1.
DC_MUST_USE enum dc_status dc__onnx_image(struct dc_import *m, int *node,
                                          const struct dc_onnx_value *v, struct dc_error *error);
// The same elements with other dimensions.
DC_MUST_USE enum dc_status dc__onnx_reshape(struct dc_import *m, struct dc_onnx_value *out,
                                            const struct dc_onnx_value *v,
                                            const struct dc_linear *dims, int rank,
                                            struct dc_error *error);
// Two values, one of which may be a constant, that broadcast: nodes with as many axes, in one
// order, of equal size or 1. The last `tail` axes of each (0, or 2 of matrices) do not broadcast
// and stay last, exchanged where they lie so. view: of the result, its last `tail` axes the nodes'
// last.
struct dc_onnx_pair {
    int node[2];
    bool exchanged[2];
    struct dc_onnx_view view;
};
DC_MUST_USE enum dc_status dc__onnx_broadcast(struct dc_import *m, struct dc_onnx_pair *pair,
                                              const struct dc_onnx_value *const operands[2],
                                              int tail, const char *name, struct dc_error *error);
// A constant as a value of the graph, the same in every row; its first axis has size 1, or it gets
// `batch` in front of the others.
DC_MUST_USE enum dc_status dc__onnx_repeat(struct dc_import *m, struct dc_onnx_value *out,
                                           const struct dc_onnx_value *v, const int64_t *row,
                                           int row_rank, struct dc_error *error);

#endif
