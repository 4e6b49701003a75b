// Owns the list of the float network's ops, found by name. The ops themselves are beside it.

#include <assert.h>
#include <string.h>

#include "core/ops/ops.h"

enum { OP_COUNT = 55 };

static const struct dc_op *const ops[] = {
    &dc_op_conv,
    &dc_op_conv_transpose,
    &dc_op_dense,
    &dc_op_matmul,
    &dc_op_batch_norm,
    &dc_op_layer_norm,
    &dc_op_group_norm,
    &dc_op_relu,
    &dc_op_relu6,
    &dc_op_clip,
    &dc_op_leaky_relu,
    &dc_op_prelu,
    &dc_op_sigmoid,
    &dc_op_hard_sigmoid,
    &dc_op_tanh,
    &dc_op_h_swish,
    &dc_op_silu,
    &dc_op_elu,
    &dc_op_softplus,
    &dc_op_gelu,
    &dc_op_gelu_tanh,
    &dc_op_erf,
    &dc_op_exp,
    &dc_op_log,
    &dc_op_sqrt,
    &dc_op_pow,
    &dc_op_negate,
    &dc_op_abs,
    &dc_op_reciprocal,
    &dc_op_softmax,
    &dc_op_dropout,
    &dc_op_add,
    &dc_op_broadcast_add,
    &dc_op_subtract,
    &dc_op_multiply,
    &dc_op_divide,
    &dc_op_maximum,
    &dc_op_minimum,
    &dc_op_max_pool,
    &dc_op_average_pool,
    &dc_op_global_average_pool,
    &dc_op_reduce_mean,
    &dc_op_reduce_sum,
    &dc_op_reduce_max,
    &dc_op_constant,
    &dc_op_concat,
    &dc_op_pad,
    &dc_op_pad_axes,
    &dc_op_slice,
    &dc_op_flatten,
    &dc_op_reshape,
    &dc_op_transpose,
    &dc_op_expand,
    &dc_op_gather,
    &dc_op_resize,
    NULL,
};
static_assert(sizeof ops / sizeof ops[0] == OP_COUNT + 1, "one row per op, and the NULL behind");

const struct dc_op *const *dc_op_table(void)
{
    return ops;
}

const struct dc_op *dc_op_find(const char *name)
{
    for (const struct dc_op *const *op = ops; *op; op++)
        if (strcmp((*op)->name, name) == 0)
            return *op;
    return NULL;
}
