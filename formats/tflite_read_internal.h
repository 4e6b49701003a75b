// What the files of the TFLite reader share: tflite_read.c (the file in order, the finished graph),
// tflite_read_values.c (values, constants, nodes), tflite_read_layers.c (operators with windows or
// weights, functions) and tflite_read_moves.c (what moves values).

#ifndef DC_FORMATS_TFLITE_READ_INTERNAL_H
#define DC_FORMATS_TFLITE_READ_INTERNAL_H

#include "core/network.h"
#include "core/ops/ops.h"
#include "formats/imported.h"
#include "formats/tflite.h"

// Of a tensor: how it is had in the graph.
struct dc_tflite_value {
    int node;      // of reals, or the `quantize` that stores it; -1: not made
    int constant;  // the tensor that holds its numbers; -1: it is computed
    int producer;  // operator, or -1
    bool needed;   // by the output
    // Padding before `node` that the windows which read it take over (dc__tflite_pad).
    bool padded;
    int before[2], after[2];
};

struct dc_tflite_reading {
    struct dc_tflite_file file;
    struct dc_arena *arena;  // of the reading alone
    struct dc_error *error;
    struct dc_graph *graph;
    struct dc_tflite_value *values;  // [file.tensor_count]
    bool as_floats;                  // values that the file has as codes are reals
    int32_t batch;                   // what the file says it is
    int64_t budget;                  // numbers that constants may still become
    const float **data;              // of the graph's parameters
    struct dc_codes *codes;          // of the graph's parameters; zero: floats
    int data_capacity, codes_capacity;
    bool integers;  // a value is stored as codes
};

// One operator being read.
struct dc_tflite_call {
    struct dc_tflite_reading *r;
    const struct dc_tflite_operator *o;
    const char *name;        // for the node of its value
    const struct dc_op *op;  // the row's, of converters that serve several
    int index;
};

typedef enum dc_status dc_tflite_convert(struct dc_tflite_call *call);

static inline const struct dc_tflite_tensor *dc__tensor(const struct dc_tflite_call *call, int k)
{
    return &call->r->file.tensors[call->o->inputs[k]];
}
static inline const struct dc_tflite_tensor *dc__result(const struct dc_tflite_call *call)
{
    return &call->r->file.tensors[call->o->output];
}

// tflite_read_values.c. Whether a tensor's values are codes.
bool dc__tflite_is_stored(const struct dc_tflite_tensor *t);
bool dc__tflite_is_given(const struct dc_tflite_call *call, int k);  // input k is not left out
// Input k as a node of reals, [batch, ...] as the file has its shape. `shared`: it may be a
// constant.
DC_MUST_USE enum dc_status dc__tflite_input(struct dc_tflite_call *call, int *node, int k,
                                            bool shared);
// Whether input k is a constant, and its numbers as floats.
bool dc__tflite_is_constant(const struct dc_tflite_call *call, int k);
DC_MUST_USE enum dc_status dc__tflite_numbers(struct dc_tflite_call *call, const float **values,
                                              int64_t *count, int k);
// The same of int8 or int4, as codes in the graph's arena.
DC_MUST_USE enum dc_status dc__tflite_codes(struct dc_tflite_call *call, const int8_t **codes,
                                            int64_t *count, int k);
// The int32 or int64 constant of input k: up to `most` numbers.
enum { DC_TFLITE_LIST = 8 };
DC_MUST_USE enum dc_status dc__tflite_list(struct dc_tflite_call *call,
                                           int64_t values[DC_TFLITE_LIST], int *count, int k);
// The file's shape of a tensor that is computed: [batch, ...].
DC_MUST_USE enum dc_status dc__tflite_shape(const struct dc_tflite_call *call,
                                            struct dc_shape *shape,
                                            const struct dc_tflite_tensor *t);
// A node "NAME.PART" that reads nodes[0 .. count - 1] and becomes nodes[0]; "NAME" where there is
// no part, and where "real" is the value itself, which is no code.
DC_MUST_USE enum dc_status dc__tflite_emit(struct dc_tflite_call *call, const char *part,
                                           const struct dc_op *op, const void *attributes,
                                           int *nodes, int count);
// Parameter `slot` of a node: floats, or the codes they stand for.
DC_MUST_USE enum dc_status dc__tflite_set(struct dc_tflite_call *call, int node, int slot,
                                          const float *data, const struct dc_codes *codes,
                                          int64_t count);
// The operator's value: node of reals, in the shape that the file gives it, behind a fused
// activation. activation: enum dc_tflite_activation, or none.
DC_MUST_USE enum dc_status dc__tflite_give(struct dc_tflite_call *call, int node,
                                           int64_t activation);
// What several operators in a row make of a node: stored and read again, where the value is codes.
DC_MUST_USE enum dc_status dc__tflite_store(struct dc_tflite_call *call, int *node, int k);
DC_MUST_USE enum dc_status dc__tflite_refuse_call(const struct dc_tflite_call *call,
                                                  const char *why);

// tflite_read_layers.c
dc_tflite_convert dc__tflite_conv, dc__tflite_depthwise, dc__tflite_conv_transpose,
    dc__tflite_dense, dc__tflite_matmul, dc__tflite_pool, dc__tflite_reduce, dc__tflite_softmax,
    dc__tflite_function, dc__tflite_clip, dc__tflite_pair, dc__tflite_prelu;
// tflite_read_moves.c
dc_tflite_convert dc__tflite_reshape, dc__tflite_transpose, dc__tflite_concat, dc__tflite_pad,
    dc__tflite_strided_slice, dc__tflite_slice, dc__tflite_resize, dc__tflite_quantize,
    dc__tflite_dequantize;

#endif
