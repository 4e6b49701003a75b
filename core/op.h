// Operations: what a node of a graph computes.
//
// An op is a constant descriptor. It infers its output shape, declares the parameters it owns,
// says how many bytes it needs before anything runs, and computes forward and backward. Ops of the
// float network are in core/ops/ (dc_op_find); losses, fake quantization and other folders bring
// descriptors of their own. To add one: one file, one row in a table, one oracle in tests/.
//
// Rules for forward and backward:
//   - inputs are const; outputs are written whole
//   - parameter gradients are ADDED to d_param; input gradients are written, or added where
//     call->add_gradient[i] is set (a value read by several nodes)
//   - work is cut over the context's fixed chunks; sums over chunks go through dc_tree_sum
//   - in inference a row's output depends on that row alone, bit for bit
//   - nothing is allocated

#ifndef DC_CORE_OP_H
#define DC_CORE_OP_H

#include "core/context.h"
#include "core/epilogue.h"
#include "core/params.h"
#include "core/tensor.h"

enum { DC_INPUTS_MAX = 72, DC_OP_PARAMS_MAX = 6 };

enum dc_mode { DC_INFERENCE, DC_TRAINING };

struct dc_op;

// One node: an op with its attributes, inputs and parameters. Every node has exactly one output.
struct dc_node {
    const char *name;
    const struct dc_op *op;
    const void *attributes;  // the op's own struct, or NULL
    int input_count;
    int inputs[DC_INPUTS_MAX];  // indices of earlier nodes
    int param_count;
    int params[DC_OP_PARAMS_MAX];  // indices of the graph's parameter specs
    struct dc_shape shape;         // of the output; dims[0] may be DC_BATCH
    enum dc_dtype dtype;
};

// What the step knows that a node may need.
struct dc_step {
    uint32_t seed;
    uint32_t epoch;
    int64_t step;         // optimizer steps done
    int64_t total_batch;  // rows of the whole optimizer step: losses divide by it
    const uint64_t *ids;  // [rows] sample ids, or NULL in inference
    bool freeze_observers;
    bool freeze_batch_norm;  // batch normalization uses running statistics even in training
    bool quantizers_off;     // fake quantization passes values through, observers still look
};

// One call of an op on one batch. Arrays by input are the caller's, of the node's input_count.
struct dc_op_call {
    const struct dc_ctx *ctx;
    const struct dc_node *node;
    enum dc_mode mode;
    const struct dc_step *step;
    int64_t rows;  // of this batch
    struct dc_tensor *in;
    struct dc_tensor out;
    struct dc_tensor d_out;            // of a loss: one double, the term's weight
    struct dc_tensor *d_in;            // of backward; data NULL where no gradient is wanted
    bool *add_gradient;                // of backward
    float *param[DC_OP_PARAMS_MAX];    // values; forward may write only STATISTIC, OBSERVER, BANK
    float *d_param[DC_OP_PARAMS_MAX];  // NULL where no gradient is wanted
    bool frozen;  // all parameters are: running statistics are used and stay as they are
    void *saved;  // forward's statistics for backward
    void *kept;   // of constant parameters (struct dc_plan_config), or NULL
    bool kept_filled;
    void *scratch;  // for this call alone

    // Of ops with DC_OP_EPILOGUES (core/epilogue.h); NULL, also of an array: nothing to do.
    const struct dc_epilogue **in_epilogue;      // in[i] holds stored values, to be read through it
    const struct dc_statistics *out_statistics;  // to be taken of out, row by row as it is written
    const struct dc_epilogue *d_out_epilogue;    // d_out is the gradient of this epilogue's result
    const float *d_out_stored;                   // and these are the stored values before it
    const struct dc_gradient_statistics **d_in_statistics;  // to be taken of d_in[i] once final
};

static inline const struct dc_epilogue *dc_in_epilogue(const struct dc_op_call *call, int input)
{
    return call->in_epilogue ? call->in_epilogue[input] : NULL;
}

static inline const struct dc_gradient_statistics *dc_d_in_statistics(const struct dc_op_call *call,
                                                                      int input)
{
    return call->d_in_statistics ? call->d_in_statistics[input] : NULL;
}

struct dc_op_memory {
    size_t saved;    // kept from forward to backward; 0 in inference
    size_t kept;     // what forward makes of the parameters alone, from one call to the next
    size_t forward;  // scratch of forward
    size_t backward;
};

enum {
    DC_OP_READS_INPUT = 1,   // backward reads the inputs
    DC_OP_READS_OUTPUT = 2,  // backward reads the output
    DC_OP_LOSS = 4,          // output is doubles: the unweighted value, then its gradient's norm
    DC_OP_NO_GRADIENT = 8,   // no gradient flows to the inputs
    DC_OP_EPILOGUES = 16,    // reads its inputs and d_out through epilogues, and takes statistics
    DC_OP_CONSTANT_INPUTS = 32,  // inputs may be [1, ...]: the same for every row
};

struct dc_op {
    const char *name;
    int inputs_min, inputs_max;
    unsigned flags;
    size_t attribute_bytes;  // size of the struct behind node->attributes; 0: none

    // in[i]: shapes of the inputs, dims[0] may be DC_BATCH. Says why a shape does not fit.
    enum dc_status (*infer)(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error);

    // Declare parameters: fill specs, return how many. NULL: none. Names are relative to the node.
    int (*declare)(struct dc_param_spec specs[DC_OP_PARAMS_MAX], const struct dc_node *node,
                   const struct dc_shape *in);

    // Shapes have their batch filled in. NULL: needs nothing.
    void (*memory)(struct dc_op_memory *memory, const struct dc_node *node,
                   const struct dc_shape *in, const struct dc_shape *out, const struct dc_ctx *ctx);

    enum dc_status (*forward)(const struct dc_op_call *call, struct dc_error *error);
    enum dc_status (*backward)(const struct dc_op_call *call, struct dc_error *error);

    // Of ops whose rows are independent (dc_rows_forward in core/ops/ops.h): the rows of one chunk.
    // backward_rows: at least one input wants its gradient.
    void (*forward_rows)(const struct dc_op_call *call, struct dc_rows rows);
    void (*backward_rows)(const struct dc_op_call *call, struct dc_rows rows);

    // Of element-wise ops that can stand in an epilogue; NULL: none. Then forward, backward and
    // memory are those of core/epilogue.h.
    const struct dc_epilogue_part *epilogue;

    // Multiply-accumulates for one row. NULL: 0.
    int64_t (*macs)(const struct dc_node *node, const struct dc_shape *in,
                    const struct dc_shape *out);
};

// The op of the float network with this name, or NULL.
const struct dc_op *dc_op_find(const char *name);
// All of them, NULL-terminated, for suggestions and documentation.
const struct dc_op *const *dc_op_table(void);

#endif
