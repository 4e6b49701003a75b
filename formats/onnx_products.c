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

enum dc_status dc__onnx_reduce(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_import *m = call->m;
    const struct dc_onnx_value *v = call->in[0];
    const char *name = call->proto->op_type;
    const bool mean = strcmp(name, "ReduceMean") == 0,
               keep = dc__onnx_int(call, "keepdims", 1) != 0;
    const bool none = dc__onnx_int(call, "noop_with_empty_axes", 0) != 0;
    int64_t list[DC_ONNX_LIST];
    int count, node = v->node;
    unsigned axes = 0;
    DC_TRY(dc__onnx_list(call, 1, "axes", list, &count, error));
    if (count <= 0 && !none)
        return dc_fail(error, DC_ERR_DATA, "a reduction over the batch");
    for (int i = 0; i < count; i++) {
        DC_TRY(dc__onnx_axis(&list[i], v->view.rank, error));
        axes |= 1u << list[i];
    }
    struct dc_onnx_view view;
    const unsigned atoms = reduce_view(&view, m, v, axes, keep);
    if (atoms & 1)
        return dc_fail(error, DC_ERR_DATA, "a reduction over the batch");
    const struct dc_reduce_attributes a = {.axes = atoms};
    const bool pool = mean && atoms == 6 && dc__onnx_shape(m, v)->rank == 4;
    const struct dc_op *op = pool                        ? &dc_op_global_average_pool
                             : mean                      ? &dc_op_reduce_mean
                             : strcmp(name, "ReduceMax") ? &dc_op_reduce_sum
                                                         : &dc_op_reduce_max;
    if (atoms)
        DC_TRY(dc__onnx_emit(m, call->name, op, pool ? NULL : &a, &node, 1, &node, error));
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
