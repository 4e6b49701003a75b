// The frame of losses: what all of them share as ops of a training graph.
//
// Owns the sum in double over the fixed tree of chunks, division by the rows of the whole optimizer
// step, the norm of the gradient, and the gradient that forward leaves for backward. Losses that
// are a sum over rows are one function of one row (dc_row_loss_forward); a loss that sees the whole
// batch brings its own forward and ends in dc_loss_finish. Losses on labels are in train/losses.h,
// losses on a teacher in distill/.
//
// A loss's output is two doubles: the unweighted value, and the L2 norm of its gradient with
// respect to the tensors it reads, before the weight and over this batch alone. A loss over the
// whole batch is computed per batch and counts rows / total_batch, so that under gradient
// accumulation terms add up as those of rows do.

#ifndef DC_TRAIN_ROW_LOSS_H
#define DC_TRAIN_ROW_LOSS_H

#include "core/op.h"

enum { DC_LOSS_VALUE, DC_LOSS_GRADIENT_NORM, DC_LOSS_OUTPUTS };

enum { DC_LOSS_INPUTS_MAX = 3 };

struct dc_loss_row {
    float *gradient;                      // by in[0], to be written whole
    const float *in[DC_LOSS_INPUTS_MAX];  // the row of each input; the first is what is trained
    const struct dc_shape *shape[DC_LOSS_INPUTS_MAX];  // of the inputs, batch in front
    int64_t values;                                    // of in[0]
    const void *attributes;
    double *scratch;  // the doubles asked for, of this row alone
};

// Writes the gradient of the row's loss, returns the loss, both before any weight and before
// division by the batch.
typedef double dc_row_loss(const struct dc_loss_row *row);

// Inputs of equal shapes [batch, values], at most DC_CLASSES_MAX values; of equal shapes of any
// rank; or images [batch, height, width, channels] of any sizes.
DC_MUST_USE enum dc_status dc_row_loss_infer(struct dc_shape *out, const struct dc_node *node,
                                             const struct dc_shape *in, struct dc_error *error);
DC_MUST_USE enum dc_status dc_value_loss_infer(struct dc_shape *out, const struct dc_node *node,
                                               const struct dc_shape *in, struct dc_error *error);
DC_MUST_USE enum dc_status dc_map_loss_infer(struct dc_shape *out, const struct dc_node *node,
                                             const struct dc_shape *in, struct dc_error *error);

// Room for the gradient of in[0] and `doubles` of scratch a chunk.
void dc_loss_memory(struct dc_op_memory *memory, const struct dc_shape *in, int64_t doubles,
                    const struct dc_ctx *ctx);
void dc_row_loss_memory(struct dc_op_memory *memory, const struct dc_node *node,
                        const struct dc_shape *in, const struct dc_shape *out,
                        const struct dc_ctx *ctx);

// doubles: as given to dc_loss_memory. A row whose loss is not finite is DC_ERR_NUMERIC and named.
DC_MUST_USE enum dc_status dc_row_loss_forward(const struct dc_op_call *call, dc_row_loss *loss,
                                               int64_t doubles, struct dc_error *error);

// The end of a loss's forward: its value, a sum over rows, and its gradient's square, both before
// division. DC_ERR_NUMERIC where one is not finite.
DC_MUST_USE enum dc_status dc_loss_finish(const struct dc_op_call *call, double sum, double square,
                                          struct dc_error *error);

// d_in[k] from the gradients that forward saved, [rows, ...] of in[0], then of in[1], ... Inputs
// that want none but the first are taken to have none saved.
DC_MUST_USE enum dc_status dc_loss_backward(const struct dc_op_call *call, struct dc_error *error);

// log(sum_c exp(z_c / temperature)) of one row, and its softmax in double if p is not NULL.
double dc_log_sum_exp(double *p, const float *z, double temperature, int64_t classes);

enum { DC_CLASSES_MAX = 4096 };  // of a row, for what a loss keeps on the stack

// The descriptor dc_op_ID of a loss whose forward is ID_forward; `declares`: its declare or NULL.
#define DC_LOSS_OP(id, inputs, bytes, infer_, memory_, declares)                                   \
    const struct dc_op dc_op_##id = {                                                              \
        .name = #id,                                                                               \
        .inputs_min = (inputs),                                                                    \
        .inputs_max = (inputs),                                                                    \
        .flags = DC_OP_LOSS,                                                                       \
        .attribute_bytes = (bytes),                                                                \
        .infer = (infer_),                                                                         \
        .declare = (declares),                                                                     \
        .memory = (memory_),                                                                       \
        .forward = id##_forward,                                                                   \
        .backward = dc_loss_backward,                                                              \
    }

// The forward of a loss that is a sum of `row` over rows without scratch.
#define DC_ROW_LOSS_FORWARD(id, row)                                                               \
    static enum dc_status id##_forward(const struct dc_op_call *call, struct dc_error *error)      \
    {                                                                                              \
        return dc_row_loss_forward(call, (row), 0, error);                                         \
    }

#endif
