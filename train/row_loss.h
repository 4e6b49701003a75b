// Losses that are a sum over the rows of a batch.
//
// Owns what such losses share as ops of a training graph: the cut over chunks, the sum in double
// over the fixed tree, division by the rows of the whole optimizer step, and the gradient that
// forward leaves for backward. A loss itself is one function of one row. Losses on labels are in
// train/losses.h, losses on a teacher in distill/.

#ifndef DC_TRAIN_ROW_LOSS_H
#define DC_TRAIN_ROW_LOSS_H

#include "core/op.h"

// One row: writes the gradient of the row's loss by x, returns the loss, both before any weight and
// before division by the batch. x: what is trained, y: what it is compared with.
typedef double dc_row_loss(float *gradient, const float *x, const float *y, int64_t values,
                           const void *attributes);

// The descriptor's functions, for ops with inputs (x, y) of equal shapes [batch, values].
// Not finite losses are DC_ERR_NUMERIC and name the row.
DC_MUST_USE enum dc_status dc_row_loss_infer(struct dc_shape *out, const struct dc_node *node,
                                             const struct dc_shape *in, struct dc_error *error);
void dc_row_loss_memory(struct dc_op_memory *memory, const struct dc_node *node,
                        const struct dc_shape *in, const struct dc_shape *out,
                        const struct dc_ctx *ctx);
DC_MUST_USE enum dc_status dc_row_loss_forward(const struct dc_op_call *call, dc_row_loss *loss,
                                               struct dc_error *error);
DC_MUST_USE enum dc_status dc_row_loss_backward(const struct dc_op_call *call,
                                                struct dc_error *error);

// log(sum_c exp(z_c / temperature)) of one row, and its softmax in double if p is not NULL.
double dc_log_sum_exp(double *p, const float *z, double temperature, int64_t classes);

enum { DC_CLASSES_MAX = 4096 };  // of a row, for what a loss keeps on the stack

#endif
