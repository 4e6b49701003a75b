// Owns patterns: several nodes that exporters write for one function.
//
// A pattern is looked for backwards from its last node. Its other nodes were converted already;
// where nothing else reads them, they are left out of the finished graph.

#include <math.h>
#include <string.h>

#include "formats/onnx_internal.h"

// The node of this type that makes the value, or NULL.
static const Onnx__NodeProto *made_by(const struct dc_import *m, const struct dc_onnx_value *v,
                                      const char *op_type, size_t inputs)
{
    if (!v || v->producer < 0 || v->kind != DC_VALUE_GRAPH)
        return NULL;
    const Onnx__NodeProto *proto = m->model->graph->node[v->producer];
    return proto->n_input >= inputs && strcmp(proto->op_type, op_type) == 0 ? proto : NULL;
}

static const struct dc_onnx_value *input_of(const struct dc_import *m, const Onnx__NodeProto *proto,
                                            int i)
{
    return dc__onnx_find(m, proto->input[i]);
}

static bool is_number(const struct dc_onnx_value *v, double number)
{
    return v && v->kind == DC_VALUE_CONSTANT && v->constant.count == 1 && v->constant.f &&
           fabs((double)v->constant.f[0] - number) <= 1e-5 * fabs(number);
}

// x of op(x, number), or of op(number, x) with `either`.
static const struct dc_onnx_value *beside(const struct dc_import *m, const struct dc_onnx_value *v,
                                          const char *op_type, double number, bool either)
{
    const Onnx__NodeProto *proto = made_by(m, v, op_type, 2);
    if (!proto)
        return NULL;
    if (is_number(input_of(m, proto, 1), number))
        return input_of(m, proto, 0);
    return either && is_number(input_of(m, proto, 0), number) ? input_of(m, proto, 1) : NULL;
}

// x of 1 + erf(x / sqrt 2).
static const struct dc_onnx_value *erf_of(const struct dc_import *m, const struct dc_onnx_value *v)
{
    const Onnx__NodeProto *erf = made_by(m, beside(m, v, "Add", 1.0, true), "Erf", 1);
    if (!erf)
        return NULL;
    const struct dc_onnx_value *inner = input_of(m, erf, 0);
    const struct dc_onnx_value *x = beside(m, inner, "Div", 1.4142135623730951, false);
    return x ? x : beside(m, inner, "Mul", 0.7071067811865476, true);
}

// x of a product of x, 1 + erf(x / sqrt 2) and 1/2 in any order.
static const struct dc_onnx_value *gelu_of(const struct dc_import *m,
                                           const struct dc_onnx_value *const factors[2])
{
    const struct dc_onnx_value *leaves[4];
    int count = 0;
    for (int i = 0; i < 2; i++) {
        const Onnx__NodeProto *inner = made_by(m, factors[i], "Mul", 2);
        if (!inner || erf_of(m, factors[1 - i]) == factors[i]) {
            leaves[count++] = factors[i];
        } else {
            leaves[count++] = input_of(m, inner, 0);
            leaves[count++] = input_of(m, inner, 1);
        }
    }
    for (int i = 0; count == 3 && i < 3; i++) {
        const struct dc_onnx_value *x = erf_of(m, leaves[i]);
        const struct dc_onnx_value *a = leaves[(i + 1) % 3], *b = leaves[(i + 2) % 3];
        if (x && ((x == a && is_number(b, 0.5)) || (x == b && is_number(a, 0.5))))
            return x;
    }
    return NULL;
}

static double attribute_of(const Onnx__NodeProto *proto, const char *name, double otherwise)
{
    for (size_t i = 0; i < proto->n_attribute; i++)
        if (strcmp(proto->attribute[i]->name, name) == 0)
            return (double)proto->attribute[i]->f;
    return otherwise;
}

// Functions of x that are x times another.
static enum dc_status product_pattern(struct dc_onnx_call *call, bool *found,
                                      struct dc_error *error)
{
    struct dc_import *m = call->m;
    const struct dc_onnx_value *const factors[] = {call->in[0], call->in[1]};
    const struct dc_onnx_value *x = gelu_of(m, factors);
    const struct dc_op *op = x ? &dc_op_gelu : NULL;
    for (int i = 0; i < 2 && !op; i++) {
        const Onnx__NodeProto *sigmoid = made_by(m, factors[i], "Sigmoid", 1);
        const Onnx__NodeProto *hard = made_by(m, factors[i], "HardSigmoid", 1);
        x = factors[1 - i];
        if (sigmoid && input_of(m, sigmoid, 0) == x)
            op = &dc_op_silu;
        else if (hard && input_of(m, hard, 0) == x &&
                 fabs(attribute_of(hard, "alpha", 0.2) - 1.0 / 6.0) < 1e-6 &&
                 fabs(attribute_of(hard, "beta", 0.5) - 0.5) < 1e-6)
            op = &dc_op_h_swish;
    }
    if (!op || x->kind != DC_VALUE_GRAPH)
        return DC_OK;
    int node = x->node;
    DC_TRY(dc__onnx_emit(m, call->name, op, NULL, &node, 1, &node, error));
    dc__onnx_give(call, 0, node, &x->view);
    *found = true;
    return DC_OK;
}

// y of the mean of y over its last axis.
static const struct dc_onnx_value *mean_of(const struct dc_import *m, const struct dc_onnx_value *v)
{
    const Onnx__NodeProto *proto = made_by(m, v, "ReduceMean", 1);
    const struct dc_onnx_value *y = proto ? input_of(m, proto, 0) : NULL;
    if (!y || y->kind != DC_VALUE_GRAPH)
        return NULL;
    const struct dc_onnx_value *axes = proto->n_input > 1 ? input_of(m, proto, 1) : NULL;
    int64_t axis = axes && axes->constant.i && axes->constant.count == 1 ? axes->constant.i[0].c
                                                                         : 0;
    for (size_t i = 0; i < proto->n_attribute; i++) {
        const Onnx__AttributeProto *a = proto->attribute[i];
        if (strcmp(a->name, "axes") == 0 && a->n_ints == 1)
            axis = a->ints[0];
    }
    return v->view.rank == y->view.rank && (axis == -1 || axis == y->view.rank - 1) ? y : NULL;
}

// x and epsilon of (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon).
static const struct dc_onnx_value *normalized(const struct dc_import *m,
                                              const struct dc_onnx_value *top,
                                              const struct dc_onnx_value *bottom, float *epsilon)
{
    const Onnx__NodeProto *sub = made_by(m, top, "Sub", 2);
    const Onnx__NodeProto *root = made_by(m, bottom, "Sqrt", 1);
    const Onnx__NodeProto *add = root ? made_by(m, input_of(m, root, 0), "Add", 2) : NULL;
    if (!sub || !add)
        return NULL;
    const struct dc_onnx_value *number = input_of(m, add, 1), *x = input_of(m, sub, 0);
    const struct dc_onnx_value *square = mean_of(m, input_of(m, add, 0));
    const Onnx__NodeProto *mul = made_by(m, square, "Mul", 2);
    const bool squares = beside(m, square, "Pow", 2.0, false) == top ||
                         (mul && input_of(m, mul, 0) == top && input_of(m, mul, 1) == top);
    if (!squares || mean_of(m, input_of(m, sub, 1)) != x || number->kind != DC_VALUE_CONSTANT ||
        number->constant.count != 1 || !number->constant.f)
        return NULL;
    *epsilon = number->constant.f[0];
    return x;
}

// The constant float vector among a node's two inputs, of as many values as the other's last axis;
// *other: the other.
static const float *vector_of(const struct dc_import *m, const struct dc_onnx_value *const in[2],
                              const struct dc_onnx_value **other)
{
    for (int i = 0; i < 2; i++) {
        const struct dc_onnx_constant *c = &in[i]->constant;
        *other = in[1 - i];
        if (in[i]->kind == DC_VALUE_CONSTANT && c->f && c->rank == 1 &&
            (*other)->kind == DC_VALUE_GRAPH && (*other)->view.rank > 1 &&
            dc__onnx_dim(m, *other, (*other)->view.rank - 1).c == c->count)
            return c->f;
    }
    return NULL;
}

// A bias behind a product, a shift behind a scaled normalization.
static enum dc_status sum_pattern(struct dc_onnx_call *call, bool *found, struct dc_error *error)
{
    const struct dc_import *m = call->m;
    const struct dc_onnx_value *const in[] = {call->in[0], call->in[1]}, *other, *norm;
    const float *beta = vector_of(m, in, &other);
    const Onnx__NodeProto *matmul = beta ? made_by(m, other, "MatMul", 2) : NULL;
    const Onnx__NodeProto *mul = beta ? made_by(m, other, "Mul", 2) : NULL;
    if (matmul) {
        const struct dc_onnx_value *x = input_of(m, matmul, 0), *w = input_of(m, matmul, 1);
        *found = x->kind == DC_VALUE_GRAPH && w->kind == DC_VALUE_CONSTANT && w->constant.f &&
                 w->constant.rank == 2;
        return *found ? dc__onnx_dense(call, x, w->constant.f, beta, w->constant.dims[0],
                                       w->constant.dims[1], error)
                      : DC_OK;
    }
    if (!mul)
        return DC_OK;
    const struct dc_onnx_value *const factors[] = {input_of(m, mul, 0), input_of(m, mul, 1)};
    const float *gamma = vector_of(m, factors, &norm);
    const Onnx__NodeProto *div = gamma ? made_by(m, norm, "Div", 2) : NULL;
    float epsilon;
    const struct dc_onnx_value *x =
        div ? normalized(m, input_of(m, div, 0), input_of(m, div, 1), &epsilon) : NULL;
    *found = x != NULL;
    return x ? dc__onnx_normalize(call, x, 1, epsilon, gamma, beta, error) : DC_OK;
}

enum dc_status dc__onnx_pattern(struct dc_onnx_call *call, bool *found, struct dc_error *error)
{
    const char *name = call->proto->op_type;
    *found = false;
    if (call->count != 2)
        return DC_OK;
    if (strcmp(name, "Mul") == 0)
        return product_pattern(call, found, error);
    if (strcmp(name, "Add") == 0)
        return sum_pattern(call, found, error);
    float epsilon;
    const struct dc_onnx_value *x = strcmp(name, "Div") == 0
                                        ? normalized(call->m, call->in[0], call->in[1], &epsilon)
                                        : NULL;
    *found = x != NULL;
    return x ? dc__onnx_normalize(call, x, 1, epsilon, NULL, NULL, error) : DC_OK;
}
