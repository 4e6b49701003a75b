// Owns functions of one value and of two that broadcast.

#include <math.h>
#include <string.h>

#include "formats/onnx_internal.h"

static enum dc_status give_op(struct dc_onnx_call *call, const struct dc_op *op,
                              const void *attributes, struct dc_error *error)
{
    int node = call->in[0]->node;
    DC_TRY(dc__onnx_emit(call->m, call->name, op, attributes, &node, 1, &node, error));
    dc__onnx_give(call, 0, node, &call->in[0]->view);
    return DC_OK;
}

enum dc_status dc__onnx_unary(struct dc_onnx_call *call, struct dc_error *error)
{
    return give_op(call, call->row->op, NULL, error);
}

enum dc_status dc__onnx_leaky_relu(struct dc_onnx_call *call, struct dc_error *error)
{
    const struct dc_leaky_relu_attributes a = {dc__onnx_float(call, "alpha", 0.01f)};
    return give_op(call, &dc_op_leaky_relu, &a, error);
}

enum dc_status dc__onnx_hard_sigmoid(struct dc_onnx_call *call, struct dc_error *error)
{
    const struct dc_hard_sigmoid_attributes a = {dc__onnx_float(call, "alpha", 0.2f),
                                                 dc__onnx_float(call, "beta", 0.5f)};
    return give_op(call, &dc_op_hard_sigmoid, &a, error);
}

enum dc_status dc__onnx_elu(struct dc_onnx_call *call, struct dc_error *error)
{
    const struct dc_elu_attributes a = {dc__onnx_float(call, "alpha", 1.0f)};
    return give_op(call, &dc_op_elu, &a, error);
}

// x tanh(softplus(x))
enum dc_status dc__onnx_mish(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_import *m = call->m;
    int pair[2] = {call->in[0]->node, call->in[0]->node}, node;
    DC_TRY(dc__onnx_emit(m, call->name, &dc_op_softplus, NULL, pair, 1, &pair[1], error));
    DC_TRY(dc__onnx_emit(m, call->name, &dc_op_tanh, NULL, &pair[1], 1, &pair[1], error));
    DC_TRY(dc__onnx_emit(m, call->name, &dc_op_multiply, NULL, pair, 2, &node, error));
    dc__onnx_give(call, 0, node, &call->in[0]->view);
    return DC_OK;
}

enum dc_status dc__onnx_gelu(struct dc_onnx_call *call, struct dc_error *error)
{
    const bool by_tanh = dc__onnx_is(call, "approximate", "none", "tanh");
    if (!by_tanh && !dc__onnx_is(call, "approximate", "none", "none"))
        return dc_fail(error, DC_ERR_DATA, "an approximation that is not known");
    return give_op(call, by_tanh ? &dc_op_gelu_tanh : &dc_op_gelu, NULL, error);
}

enum dc_status dc__onnx_clip(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_clip_attributes a = {dc__onnx_float(call, "min", -INFINITY),
                                   dc__onnx_float(call, "max", INFINITY)};
    float *const ends[] = {&a.low, &a.high};
    for (int i = 0; i < 2; i++) {
        const struct dc_onnx_value *end = call->count > 1 + i ? call->in[1 + i] : NULL;
        if (end && (end->kind != DC_VALUE_CONSTANT || end->constant.count != 1))
            return dc_fail(error, DC_ERR_DATA, "the ends must be constant numbers");
        if (end)  // integers where integers are clipped
            *ends[i] = end->constant.f ? end->constant.f[0] : (float)end->constant.i[0].c;
    }
    const bool from_zero = a.low == 0.0f;
    if (from_zero && a.high == 6.0f)
        return give_op(call, &dc_op_relu6, NULL, error);
    if (from_zero && a.high == INFINITY)
        return give_op(call, &dc_op_relu, NULL, error);
    return give_op(call, &dc_op_clip, &a, error);
}

enum dc_status dc__onnx_prelu(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_import *m = call->m;
    const struct dc_onnx_value *x = call->in[0];
    const int64_t channels = x->view.rank > 1 ? dc__onnx_dim(m, x, 1).c : 0;
    const struct dc_onnx_constant *c = &call->in[1]->constant;
    const bool whole = c->count == 1;
    const bool each = c->count == channels &&
                      (c->rank == x->view.rank - 1 || c->rank == x->view.rank) &&
                      c->dims[c->rank - x->view.rank + 1] == channels;
    struct dc_onnx_view view;
    int node;
    if (!c->f || !(whole || each))
        return dc_fail(error, DC_ERR_DATA, "the slope must be a constant of each channel");
    float *slope = DC_NEW(m->arena, float, channels, error);
    if (!slope)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < channels; i++)
        slope[i] = c->f[whole ? 0 : i];
    DC_TRY(dc__onnx_last(m, &node, &view, x, 1, error));
    DC_TRY(dc__onnx_emit(m, call->name, &dc_op_prelu, NULL, &node, 1, &node, error));
    DC_TRY(dc__onnx_set(m, node, 0, slope, channels, error));
    dc__onnx_give(call, 0, node, &view);
    return DC_OK;
}

enum dc_status dc__onnx_pow(struct dc_onnx_call *call, struct dc_error *error)
{
    const float *exponent = dc__onnx_floats(call, 1, 1);
    if (!exponent || call->in[0]->kind != DC_VALUE_GRAPH)
        return dc_fail(error, DC_ERR_DATA, "the exponent must be a constant number");
    const struct dc_pow_attributes a = {*exponent};
    return give_op(call, &dc_op_pow, &a, error);
}

enum dc_status dc__onnx_binary(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_import *m = call->m;
    const struct dc_op *op = call->row->op;
    struct dc_onnx_value left = *call->in[0];
    bool found = false;
    DC_TRY(dc__onnx_pattern(call, &found, error));
    for (int i = 1; i < call->count && !found; i++) {  // Sum, Min and Max take several
        if (!call->in[i])
            return dc_fail(error, DC_ERR_DATA, "input %d is left out", i);
        const struct dc_onnx_value *const operands[] = {&left, call->in[i]};
        struct dc_onnx_pair pair;
        if (left.kind == DC_VALUE_CONSTANT && call->in[i]->kind == DC_VALUE_CONSTANT)
            return dc_fail(error, DC_ERR_DATA, "the first two of several inputs are constants");
        DC_TRY(dc__onnx_broadcast(m, &pair, operands, 0, call->name, error));
        const struct dc_node *nodes = m->graph->nodes;
        const bool plain = op == &dc_op_broadcast_add &&
                           dc_shape_equal(&nodes[pair.node[0]].shape, &nodes[pair.node[1]].shape);
        DC_TRY(dc__onnx_emit(m, call->name, plain ? &dc_op_add : op, NULL, pair.node, 2, &left.node,
                             error));
        left.kind = DC_VALUE_GRAPH;
        left.view = pair.view;
    }
    if (!found)
        dc__onnx_give(call, 0, left.node, &left.view);
    return DC_OK;
}
