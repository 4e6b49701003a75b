// Owns matrix products of two values and what reduces axes: MatMul, Einsum, ReduceMean, Softmax.

#include <inttypes.h>
#include <string.h>

#include "formats/onnx_internal.h"

// The last two axes are the matrices', those before broadcast.
static enum dc_status product(struct dc_onnx_call *call, const struct dc_onnx_value *a,
                              const struct dc_onnx_value *b, struct dc_onnx_view *view, int *node,
                              struct dc_error *error)
{
    const struct dc_onnx_value *const operands[] = {a, b};
    struct dc_onnx_pair pair;
    if (dc__onnx_rank(a) < 2 || dc__onnx_rank(b) < 2)
        return dc_fail(error, DC_ERR_DATA, "a factor is no matrix");
    DC_TRY(dc__onnx_broadcast(call->m, &pair, operands, 2, call->name, error));
    const struct dc_matmul_attributes attributes = {pair.exchanged[0], pair.exchanged[1]};
    *view = pair.view;
    return dc__onnx_emit(call->m, call->name, &dc_op_matmul, &attributes, pair.node, 2, node,
                         error);
}

enum dc_status dc__onnx_matmul(struct dc_onnx_call *call, struct dc_error *error)
{
    const struct dc_onnx_constant *b = &call->in[1]->constant;
    struct dc_onnx_view view;
    int node;
    if (call->in[1]->kind == DC_VALUE_CONSTANT && b->f && b->rank == 2)
        return dc__onnx_dense(call, call->in[0], b->f, NULL, b->dims[0], b->dims[1], error);
    DC_TRY(product(call, call->in[0], call->in[1], &view, &node, error));
    dc__onnx_give(call, 0, node, &view);
    return DC_OK;
}

// Einsum of two operands: letters of both and the result are batches, one each is the row, the
// column and what is summed over.
struct letters {
    char text[3][DC_RANK_MAX + 1];  // of a, b and the result
};

static bool parse(struct letters *l, const ProtobufCBinaryData *equation)
{
    int part = 0, count = 0;
    for (size_t i = 0; i < equation->len; i++) {
        const char c = (char)equation->data[i];
        if (c == ' ')
            continue;
        const bool arrow = c == '-' && i + 1 < equation->len && equation->data[i + 1] == '>';
        if (c == ',' || arrow) {
            if (part != (arrow ? 1 : 0))
                return false;
            i += arrow ? 1 : 0;
            part++;
            count = 0;
            continue;
        }
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter || count == DC_RANK_MAX || strchr(l->text[part], c))
            return false;
        l->text[part][count++] = c;
    }
    return part == 2;
}

// The operand with its batch letters in the order of `batch`, then `row`, `column`.
static bool ordered(struct dc_onnx_value *v, const char *text, const char *batch, char row,
                    char column)
{
    const int n = (int)strlen(text), shared = (int)strlen(batch);
    struct dc_onnx_view view = {.rank = n};
    if (v->kind != DC_VALUE_GRAPH || n != v->view.rank || n != shared + 2)
        return false;
    for (int i = 0; i < n; i++) {
        const char c = i < shared ? batch[i] : i == shared ? row : column;
        const char *at = strchr(text, c);
        if (!at)
            return false;
        view.axes[i] = v->view.axes[at - text];
    }
    v->view = view;
    return true;
}

enum dc_status dc__onnx_einsum(struct dc_onnx_call *call, struct dc_error *error)
{
    const Onnx__AttributeProto *equation = dc__onnx_attribute(call, "equation", DC_ONNX_STRING);
    struct letters l = {0};
    char batch[DC_RANK_MAX + 1] = "", row = 0, column = 0, sum = 0;
    int shared = 0;
    struct dc_onnx_value a = *call->in[0], b = *call->in[1];
    bool good = equation && parse(&l, &equation->s);
    for (const char *c = l.text[2]; *c && good; c++) {
        const bool in_a = strchr(l.text[0], *c), in_b = strchr(l.text[1], *c);
        if (in_a && in_b)
            batch[shared++] = *c;
        else
            *(in_a ? &row : &column) = *c;
    }
    for (const char *c = l.text[0]; *c && good; c++)
        if (strchr(l.text[1], *c) && !strchr(l.text[2], *c))
            sum = *c;
    good = good && row && column && sum && (int)strlen(l.text[2]) == shared + 2 &&
           ordered(&a, l.text[0], batch, row, sum) && ordered(&b, l.text[1], batch, sum, column);
    if (!good)
        return dc_fail(error, DC_ERR_DATA, "an equation that is no product of matrices");
    struct dc_onnx_view made, view = {.rank = shared + 2};
    int node;
    DC_TRY(product(call, &a, &b, &made, &node, error));
    for (int i = 0; i < view.rank; i++) {
        const char c = l.text[2][i];
        view.axes[i] = made.axes[c == row      ? shared
                                 : c == column ? shared + 1
                                               : strchr(batch, c) - batch];
    }
    dc__onnx_give(call, 0, node, &view);
    return DC_OK;
}

// Reductions.

// The view after axes of the file (bits of `axes`) went or, with keep, became 1; and their atoms.
static unsigned reduce_view(struct dc_onnx_view *view, const struct dc_import *m,
                            const struct dc_onnx_value *v, unsigned axes, bool keep)
{
    const struct dc_shape *shape = dc__onnx_shape(m, v);
    unsigned atoms = 0;
    *view = (struct dc_onnx_view){0};
    for (int x = 0; x < v->view.rank; x++)
        for (int k = 0; axes >> x & 1 && k < v->view.axes[x].count; k++)
            atoms |= 1u << v->view.axes[x].atoms[k];
    int place[DC_RANK_MAX], count = 0;
    for (int i = 0; i < shape->rank; i++)
        place[i] = atoms >> i & 1 ? -1 : count++;
    for (int x = 0; x < v->view.rank; x++) {
        struct dc_onnx_axis axis = {0};
        for (int k = 0; !(axes >> x & 1) && k < v->view.axes[x].count; k++)
            axis.atoms[axis.count++] = place[v->view.axes[x].atoms[k]];
        if (keep || !(axes >> x & 1))
            view->axes[view->rank++] = axis;
    }
    return atoms;
}

// A function of the values, their sum, mean or maximum, and a function of that.
static const struct reduction {
    const char *name;
    const struct dc_op *before, *op, *after;
} reductions[] = {
    {"ReduceL1", &dc_op_abs, &dc_op_reduce_sum, NULL},
    {"ReduceL2", &dc_op_pow, &dc_op_reduce_sum, &dc_op_sqrt},
    {"ReduceLogSum", NULL, &dc_op_reduce_sum, &dc_op_log},
    {"ReduceLogSumExp", &dc_op_exp, &dc_op_reduce_sum, &dc_op_log},
    {"ReduceMax", NULL, &dc_op_reduce_max, NULL},
    {"ReduceMean", NULL, &dc_op_reduce_mean, NULL},
    {"ReduceMin", &dc_op_negate, &dc_op_reduce_max, &dc_op_negate},
    {"ReduceSum", NULL, &dc_op_reduce_sum, NULL},
    {"ReduceSumSquare", &dc_op_pow, &dc_op_reduce_sum, NULL},
};

// *node reduced over these atoms; what is exponentiated has its maximum taken off before, and put
// on again.
static enum dc_status reduce_node(struct dc_onnx_call *call, const struct reduction *r, int *node,
                                  unsigned atoms, struct dc_error *error)
{
    static const struct dc_pow_attributes square = {2.0f};
    struct dc_import *m = call->m;
    const struct dc_reduce_attributes a = {.axes = atoms}, keeping = {.axes = atoms, .keep = true};
    const bool pool = r->op == &dc_op_reduce_mean && atoms == 6 &&
                      m->graph->nodes[*node].shape.rank == 4;
    int most = -1, pair[2];
    if (r->before == &dc_op_exp && atoms) {
        pair[0] = *node;
        DC_TRY(dc__onnx_emit(m, call->name, &dc_op_reduce_max, &a, node, 1, &most, error));
        DC_TRY(dc__onnx_emit(m, call->name, &dc_op_reduce_max, &keeping, node, 1, &pair[1], error));
        DC_TRY(dc__onnx_emit(m, call->name, &dc_op_subtract, NULL, pair, 2, node, error));
    }
    if (r->before)
        DC_TRY(dc__onnx_emit(m, call->name, r->before, r->before == &dc_op_pow ? &square : NULL,
                             node, 1, node, error));
    if (atoms)
        DC_TRY(dc__onnx_emit(m, call->name, pool ? &dc_op_global_average_pool : r->op,
                             pool ? NULL : &a, node, 1, node, error));
    if (r->after)
        DC_TRY(dc__onnx_emit(m, call->name, r->after, NULL, node, 1, node, error));
    if (most < 0)
        return DC_OK;
    pair[0] = *node;
    pair[1] = most;
    return dc__onnx_emit(m, call->name, &dc_op_add, NULL, pair, 2, node, error);
}

enum dc_status dc__onnx_reduce(struct dc_onnx_call *call, struct dc_error *error)
{
    const struct dc_onnx_value *v = call->in[0];
    const bool keep = dc__onnx_int(call, "keepdims", 1) != 0;
    const struct reduction *r = reductions;
    struct dc_onnx_view view;
    int node = v->node;
    unsigned axes;
    bool none;
    while (strcmp(r->name, call->proto->op_type) != 0)
        r++;
    DC_TRY(dc__onnx_reduced_axes(call, &axes, &none, v->view.rank, error));
    const unsigned atoms = reduce_view(&view, call->m, v, axes, keep);
    if (atoms & 1)
        return dc_fail(error, DC_ERR_DATA, "a reduction over the batch");
    if (!none)
        DC_TRY(reduce_node(call, r, &node, atoms, error));
    dc__onnx_give(call, 0, node, &view);
    return DC_OK;
}

// Before operator set 13 a softmax is over all axes from `axis` on.
enum dc_status dc__onnx_softmax(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_import *m = call->m;
    const struct dc_onnx_value *v = call->in[0];
    int64_t axis = dc__onnx_int(call, "axis", m->opset < 13 ? 1 : -1);
    struct dc_softmax_attributes a;
    struct dc_onnx_value single;
    int node;
    DC_TRY(dc__onnx_axis(&axis, v->view.rank, error));
    for (int i = (int)axis + 1; i < v->view.rank && m->opset < 13; i++)
        if (dc__onnx_dim(m, v, i).c != 1)
            return dc_fail(error, DC_ERR_DATA, "a softmax over several axes");
    DC_TRY(dc__onnx_single(m, &single, &a.axis, v, (int)axis, error));
    const bool last = a.axis == dc__onnx_shape(m, &single)->rank - 1;
    DC_TRY(dc__onnx_emit(m, call->name, &dc_op_softmax, last ? NULL : &a, &single.node, 1, &node,
                         error));
    if (strcmp(call->proto->op_type, "LogSoftmax") == 0)
        DC_TRY(dc__onnx_emit(m, call->name, &dc_op_log, NULL, &node, 1, &node, error));
    dc__onnx_give(call, 0, node, &single.view);
    return DC_OK;
}
