// Owns the operators that move values: reshapes, transpositions, slices, concat, gather, pad,
// expand, resize. Most of them only change a view (onnx_view.c).

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "formats/onnx_internal.h"

enum dc_status dc__onnx_same(struct dc_onnx_call *call, struct dc_error *error)
{
    const struct dc_onnx_value *v = call->in[0];
    const bool dropout = strcmp(call->proto->op_type, "Dropout") == 0;
    const int64_t to = dc__onnx_cast_type(call), seed = dc__onnx_int(call, "seed", 0);
    const struct dc_onnx_value *rate = call->count > 1 ? call->in[1] : NULL;
    const struct dc_onnx_value *training = call->count > 2 ? call->in[2] : NULL;
    const float ratio = rate && rate->constant.f ? rate->constant.f[0]
                                                 : dc__onnx_float(call, "ratio", 0.5f);
    const bool trains = training && !(training->constant.i && !training->constant.i[0].c);
    (void)seed;
    if (v->kind == DC_VALUE_GRAPH && to != 1 && to != 10 && to != 11)
        return dc_fail(error, DC_ERR_DATA, "'%s' would become integers", v->name);
    if (dropout && trains && !(ratio == 0.0f))
        return dc_fail(error, DC_ERR_DATA, "the network was exported in training mode");
    if (v->kind == DC_VALUE_CONSTANT)
        dc__onnx_give_constant(call, &v->constant);
    else
        dc__onnx_give(call, 0, v->node, &v->view);
    return DC_OK;
}

enum dc_status dc__onnx_reshaped(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_linear dims[DC_RANK_MAX] = {0};
    struct dc_onnx_value out;
    int rank;
    DC_TRY(dc__onnx_new_dims(call, dims, &rank, error));
    DC_TRY(dc__onnx_reshape(call->m, &out, call->in[0], dims, rank, error));
    dc__onnx_give(call, 0, out.node, &out.view);
    return DC_OK;
}

enum dc_status dc__onnx_transpose(struct dc_onnx_call *call, struct dc_error *error)
{
    const struct dc_onnx_view *from = &call->in[0]->view;
    struct dc_onnx_view view = {.rank = from->rank};
    int order[DC_RANK_MAX];
    DC_TRY(dc__onnx_permutation(call, order, from->rank, error));
    for (int i = 0; i < view.rank; i++)
        view.axes[i] = from->axes[order[i]];
    dc__onnx_give(call, 0, call->in[0]->node, &view);
    return DC_OK;
}

// Slices.

// size indices of one axis, from begin.
static enum dc_status cut(struct dc_onnx_call *call, struct dc_onnx_value *v, int axis,
                          int64_t begin, int64_t step, int64_t size, struct dc_error *error)
{
    struct dc_onnx_value single;
    struct dc_slice_attributes a = {.begin = begin, .step = step};
    if (size < 1)
        return dc_fail(error, DC_ERR_DATA, "an empty slice of axis %d", axis);
    DC_TRY(dc__onnx_single(call->m, &single, &a.axis, v, axis, error));
    a.end = begin + (size - 1) * step + (step > 0 ? 1 : -1);
    *v = single;
    return dc__onnx_emit(call->m, call->name, &dc_op_slice, &a, &single.node, 1, &v->node, error);
}

enum dc_status dc__onnx_slice(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_onnx_slices s;
    struct dc_onnx_value v = *call->in[0];
    DC_TRY(dc__onnx_slices(call, &s, error));
    for (int i = 0; i < s.count; i++)
        DC_TRY(cut(call, &v, (int)s.axes[i], s.begin[i], s.step[i], s.size[i], error));
    dc__onnx_give(call, 0, v.node, &v.view);
    return DC_OK;
}

enum dc_status dc__onnx_split(struct dc_onnx_call *call, struct dc_error *error)
{
    int64_t axis = dc__onnx_int(call, "axis", 0), begin = 0;
    const int64_t outputs = (int64_t)call->proto->n_output;
    const struct dc_onnx_value *sizes = call->count > 1 ? call->in[1] : NULL;
    const Onnx__AttributeProto *a = dc__onnx_attribute(call, "split", DC_ONNX_INTS);
    (void)dc__onnx_int(call, "num_outputs", outputs);
    DC_TRY(dc__onnx_axis(&axis, call->in[0]->view.rank, error));
    const int64_t all = dc__onnx_dim(call->m, call->in[0], (int)axis).c;
    if ((a && a->n_ints != (size_t)outputs) ||
        (sizes && (!sizes->constant.i || sizes->constant.count != outputs)))
        return dc_fail(error, DC_ERR_DATA, "not as many sizes as outputs");
    for (int64_t k = 0; k < outputs; k++) {
        const int64_t even = (all + outputs - 1) / outputs;
        int64_t size = a ? a->ints[k] : sizes ? sizes->constant.i[k].c : even;
        if (!a && !sizes && size > all - begin)
            size = all - begin;
        if (size < 1 || size > all - begin)
            return dc_fail(error, DC_ERR_DATA, "part %" PRId64 " has size %" PRId64, k, size);
        struct dc_onnx_value v = *call->in[0];
        const struct dc_onnx_value *out = dc__onnx_output(call, (size_t)k);
        if (out && out->needed) {
            DC_TRY(cut(call, &v, (int)axis, begin, 1, size, error));
            dc__onnx_give(call, (size_t)k, v.node, &v.view);
        }
        begin += size;
    }
    return begin == all ? DC_OK : dc_fail(error, DC_ERR_DATA, "the parts are not the whole");
}

enum dc_status dc__onnx_concat(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_import *m = call->m;
    const struct dc_onnx_value *lead = NULL;
    for (int i = 0; i < call->count; i++) {
        if (!call->in[i])
            return dc_fail(error, DC_ERR_DATA, "input %d is left out", i);
        if (!lead && call->in[i]->kind == DC_VALUE_GRAPH)
            lead = call->in[i];
    }
    if (!lead)
        return dc_fail(error, DC_ERR_DATA, "constants only");
    int64_t axis = dc__onnx_int(call, "axis", 1);
    const int rank = lead->view.rank;
    int order[DC_RANK_MAX], nodes[DC_INPUTS_MAX] = {0};
    struct dc_onnx_view view = dc__onnx_plain(rank);
    struct dc_concat_attributes a = {0};
    DC_TRY(dc__onnx_axis(&axis, rank, error));
    dc__onnx_order(order, &lead->view, rank);
    for (int i = 0; i < rank; i++) {
        view.axes[order[i]].atoms[0] = i;
        a.axis = order[i] == axis ? i : a.axis;
    }
    for (int i = 0; i < call->count; i++) {
        struct dc_onnx_value v = *call->in[i];
        if (dc__onnx_rank(&v) != rank)
            return dc_fail(error, DC_ERR_DATA, "'%s' has another rank", v.name);
        if (v.kind == DC_VALUE_CONSTANT)
            DC_TRY(dc__onnx_repeat(m, &v, call->in[i], v.constant.dims + 1, rank - 1, error));
        DC_TRY(dc__onnx_ordered(m, &nodes[i], &v, order, error));
    }
    int node = nodes[0];
    if (call->count > 1)
        DC_TRY(dc__onnx_emit(m, call->name, &dc_op_concat, &a, nodes, call->count, &node, error));
    dc__onnx_give(call, 0, node, &view);
    return DC_OK;
}

// Gather.

// These of the file's axis `axis`, whose dimension in *v becomes these; one alone is a slice.
static enum dc_status pick(struct dc_onnx_call *call, struct dc_onnx_value *v, int axis,
                           const float *indices, int64_t count, struct dc_error *error)
{
    struct dc_import *m = call->m;
    struct dc_gather_attributes a = {.count = count};
    struct dc_onnx_value single;
    if (count == 1)
        return cut(call, v, axis, (int64_t)indices[0], 1, 1, error);
    DC_TRY(dc__onnx_single(m, &single, &a.axis, v, axis, error));
    *v = single;
    DC_TRY(dc__onnx_emit(m, call->name, &dc_op_gather, &a, &single.node, 1, &v->node, error));
    return dc__onnx_set(m, v->node, 0, indices, count, error);
}

// The constants' indices into `size` entries; of a row's part of `size`, with rows behind each
// other.
static enum dc_status read_indices(const struct dc_onnx_call *call, float **indices, int64_t size,
                                   struct dc_error *error)
{
    const struct dc_onnx_constant *index = &call->in[1]->constant;
    float *to = *indices = DC_NEW(call->m->arena, float, index->count, error);
    if (!to)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < index->count; i++) {
        const struct dc_linear from = index->i[i];
        const int64_t at = from.c + (from.c < 0 && !index->rows ? size : 0);
        if (from.k || from.n != (index->rows ? size : 0) || at < 0 || at >= size || at >= 1 << 24)
            return dc_fail(error, DC_ERR_DATA, "index %" PRId64 " of %" PRId64, at, size);
        to[i] = (float)at;
    }
    return DC_OK;
}

// Indices c + n * row into an axis of batch * n entries stay in their row: that axis becomes two.
static enum dc_status part_rows(const struct dc_onnx_call *call, struct dc_onnx_value *v,
                                int64_t *axis, struct dc_error *error)
{
    const struct dc_onnx_constant *index = &call->in[1]->constant;
    const struct dc_linear dim = dc__onnx_dim(call->m, v, (int)*axis);
    struct dc_linear dims[DC_RANK_MAX] = {{.k = 1}, {.c = dim.k}};
    struct dc_onnx_value parted = *v;
    int rank = 2;
    for (int i = 0; i < index->rows - 1; i++)
        if (index->dims[i] != 1)
            return dc__fold_fail_batch(error);
    if (*axis != 0 || dim.k < 1 || v->view.rank + 1 > DC_RANK_MAX)
        return dc_fail(error, DC_ERR_DATA, "indices of the batch's rows into '%s'", v->name);
    for (int i = 1; i < v->view.rank; i++)
        dims[rank++] = dc__onnx_dim(call->m, v, i);
    DC_TRY(dc__onnx_reshape(call->m, &parted, v, dims, rank, error));
    v->node = parted.node;
    v->view = parted.view;
    *axis = 1;
    return DC_OK;
}

// By constant indices, in whose place the axis' dimension goes.
enum dc_status dc__onnx_gather(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_import *m = call->m;
    struct dc_onnx_value v = *call->in[0], out;
    const struct dc_onnx_constant *index = &call->in[1]->constant;
    int64_t axis = dc__onnx_int(call, "axis", 0);
    struct dc_linear dims[DC_RANK_MAX] = {{0}};
    float *indices;
    int rank = 0;
    if (v.kind != DC_VALUE_GRAPH || call->in[1]->kind != DC_VALUE_CONSTANT || !index->i)
        return dc_fail(error, DC_ERR_DATA, "the indices must be constant integers");
    DC_TRY(dc__onnx_axis(&axis, v.view.rank, error));
    if (v.view.rank - 1 + index->rank > DC_RANK_MAX || index->count < 1)
        return dc_fail(error, DC_ERR_DATA, "too many axes, or no index");
    if (index->rows)
        DC_TRY(part_rows(call, &v, &axis, error));
    DC_TRY(read_indices(call, &indices, dc__onnx_dim(m, &v, (int)axis).c, error));
    for (int i = index->rows > 0; i < v.view.rank; i++) {  // the indices' own batch is in front
        for (int k = 0; i == axis && k < index->rank; k++)
            dims[rank++] = k == index->rows - 1 ? (struct dc_linear){.k = 1}
                                                : (struct dc_linear){.c = index->dims[k]};
        if (i != axis)
            dims[rank++] = dc__onnx_dim(m, &v, i);
    }
    DC_TRY(pick(call, &v, (int)axis, indices, index->count, error));
    DC_TRY(dc__onnx_reshape(m, &out, &v, dims, rank, error));
    dc__onnx_give(call, 0, out.node, &out.view);
    return DC_OK;
}

// By constant tuples of indices of the first axes, which become one axis.
enum dc_status dc__onnx_gather_nd(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_import *m = call->m;
    const struct dc_onnx_value *v = call->in[0];
    const struct dc_onnx_constant *index = &call->in[1]->constant;
    const int depth = index->rank ? (int)index->dims[index->rank - 1] : 0;
    if (v->kind != DC_VALUE_GRAPH || call->in[1]->kind != DC_VALUE_CONSTANT || !index->i ||
        depth < 1 || depth > v->view.rank || dc__onnx_int(call, "batch_dims", 0) != 0 ||
        index->rank - 1 + v->view.rank - depth > DC_RANK_MAX)
        return dc_fail(error, DC_ERR_DATA, "the indices must be constant tuples of integers");
    struct dc_linear merged[DC_RANK_MAX] = {{.c = 1}}, dims[DC_RANK_MAX] = {{0}};
    int rank = 1, made = 0;
    const int64_t count = index->count / depth;
    float *indices = DC_NEW(m->arena, float, count, error);
    if (!indices)
        return DC_ERR_MEMORY;
    for (int d = 0; d < depth; d++) {
        const struct dc_linear dim = dc__onnx_dim(m, v, d);
        if (dim.k)
            return dc_fail(error, DC_ERR_DATA, "'%s': not along the batch", v->name);
        for (int64_t i = 0; i < count; i++) {
            const struct dc_linear from = index->i[i * depth + d];
            const int64_t at = from.c + (from.c < 0 ? dim.c : 0);
            if (from.k || at < 0 || at >= dim.c || merged[0].c * dim.c > 1 << 24)
                return dc_fail(error, DC_ERR_DATA, "index %" PRId64 " of %" PRId64, at, dim.c);
            indices[i] = indices[i] * (float)dim.c + (float)at;
        }
        merged[0].c *= dim.c;
    }
    for (int i = 0; i < index->rank - 1; i++)
        dims[made++].c = index->dims[i];
    for (int i = depth; i < v->view.rank; i++)
        dims[made++] = merged[rank++] = dc__onnx_dim(m, v, i);
    struct dc_onnx_value one = *v, out;
    if (count < 1)
        return dc_fail(error, DC_ERR_DATA, "no index");
    DC_TRY(dc__onnx_reshape(m, &out, v, merged, rank, error));
    one.node = out.node;
    one.view = out.view;
    DC_TRY(pick(call, &one, 0, indices, count, error));
    DC_TRY(dc__onnx_reshape(m, &out, &one, dims, made, error));
    dc__onnx_give(call, 0, out.node, &out.view);
    return DC_OK;
}

// DepthToSpace and SpaceToDepth: an axis of channels becomes one of rows and one of columns, or the
// other way around.
enum dc_status dc__onnx_depth_to_space(struct dc_onnx_call *call, struct dc_error *error)
{
    static const int orders[3][6] = {
        {0, 3, 4, 1, 5, 2}, {0, 1, 4, 2, 5, 3}, {0, 3, 5, 1, 2, 4}};  // DCR, CRD, to depth
    struct dc_import *m = call->m;
    const struct dc_onnx_value *v = call->in[0];
    const bool to_space = strcmp(call->proto->op_type, "DepthToSpace") == 0;
    const bool by_columns = to_space && dc__onnx_is(call, "mode", "DCR", "CRD");
    const int64_t block = dc__onnx_int(call, "blocksize", 0);
    if (v->kind != DC_VALUE_GRAPH || v->view.rank != 4 || block < 1 ||
        block > DC_ONNX_ATTRIBUTE_MOST ||
        (to_space && !by_columns && !dc__onnx_is(call, "mode", "DCR", "DCR")))
        return dc_fail(error, DC_ERR_DATA, "an image, a block from 1 and mode DCR or CRD");
    const struct dc_linear n = dc__onnx_dim(m, v, 0), b = {.c = block};
    const int64_t c = dc__onnx_dim(m, v, 1).c, h = dc__onnx_dim(m, v, 2).c,
                  w = dc__onnx_dim(m, v, 3).c;
    if (to_space ? c % (block * block) : h % block || w % block)
        return dc_fail(error, DC_ERR_DATA,
                       "[%" PRId64 ", %" PRId64 ", %" PRId64
                       "] is no multiple of blocks of %" PRId64,
                       c, h, w, block);
    const struct dc_linear fewer = {.c = c / (block * block)}, hs = {.c = h / block},
                           ws = {.c = w / block};
    const struct dc_linear to[6] = {
        n, by_columns ? fewer : b, b, by_columns ? b : fewer, {.c = h}, {.c = w}};
    const struct dc_linear from[6] = {n, {.c = c}, hs, b, ws, b};
    const struct dc_linear small[4] = {n, {.c = c * block * block}, hs, ws};
    const struct dc_linear large[4] = {n, fewer, {.c = h * block}, {.c = w * block}};
    const int *order = orders[!to_space ? 2 : by_columns ? 1 : 0];
    struct dc_onnx_value parts, moved = *v, out;
    DC_TRY(dc__onnx_reshape(m, &parts, v, to_space ? to : from, 6, error));
    moved.node = parts.node;
    moved.view = parts.view;
    for (int i = 0; i < 6; i++)
        moved.view.axes[i] = parts.view.axes[order[i]];
    DC_TRY(dc__onnx_reshape(m, &out, &moved, to_space ? large : small, 4, error));
    dc__onnx_give(call, 0, out.node, &out.view);
    return DC_OK;
}

// Padding.

static enum dc_status pad_node(struct dc_onnx_call *call, const struct dc_pad_axes_attributes *a,
                               int *node, struct dc_error *error)
{
    const struct dc_shape *shape = &call->m->graph->nodes[*node].shape;
    const struct dc_pad_attributes image = {a->before[0], a->after[0],  a->before[1],
                                            a->after[1],  a->before[2], a->after[2]};
    const bool plain = a->mode == DC_PAD_CONSTANT && a->value == 0.0f && shape->rank == 4;
    return dc__onnx_emit(call->m, call->name, plain ? &dc_op_pad : &dc_op_pad_axes,
                         plain ? (const void *)&image : a, node, 1, node, error);
}

enum dc_status dc__onnx_pad(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_onnx_value v = *call->in[0];
    int64_t pads[DC_ONNX_LIST], axes[DC_ONNX_LIST];
    int count, axis_count;
    const struct dc_onnx_value *value = call->count > 2 ? call->in[2] : NULL;
    const float *number = dc__onnx_floats(call, 2, 1);
    struct dc_pad_axes_attributes a = {.value = dc__onnx_float(call, "value", 0.0f)};
    a.value = number ? *number : a.value;
    a.mode = dc__onnx_is(call, "mode", "constant", "reflect") ? DC_PAD_REFLECT
             : dc__onnx_is(call, "mode", "constant", "edge")  ? DC_PAD_EDGE
                                                              : DC_PAD_CONSTANT;
    DC_TRY(dc__onnx_list(call, 1, "pads", pads, &count, error));
    DC_TRY(dc__onnx_list(call, 3, "axes", axes, &axis_count, error));
    const int rank = v.view.rank, n = axis_count < 0 ? rank : axis_count;
    if (count != 2 * n || (value && !number) ||
        (a.mode == DC_PAD_CONSTANT && !dc__onnx_is(call, "mode", "constant", "constant")))
        return dc_fail(error, DC_ERR_DATA, "pads, mode or value are not known so");
    bool any = false, apart = true;
    for (int i = 0; i < n; i++) {
        axes[i] = axis_count < 0 ? i : axes[i];
        DC_TRY(dc__onnx_axis(&axes[i], rank, error));
        const int64_t before = pads[i], after = pads[n + i];
        if (before < 0 || after < 0 || before > DC_ONNX_ATTRIBUTE_MOST ||
            after > DC_ONNX_ATTRIBUTE_MOST ||
            (axes[i] == 0 && !call->m->lifted && (before || after)))
            return dc_fail(error, DC_ERR_DATA,
                           "padding %" PRId64 " and %" PRId64 " of axis %" PRId64, before, after,
                           axes[i]);
        any = any || before || after;
        apart = apart && ((!before && !after) || dc__onnx_atom(call->m, &v, (int)axes[i]) > 0);
    }
    for (int i = 0; any && i < n; i++) {
        int atom;
        struct dc_onnx_value single;
        if (pads[i] == 0 && pads[n + i] == 0)
            continue;
        DC_TRY(dc__onnx_single(call->m, &single, &atom, &v, (int)axes[i], error));
        v = single;
        a.before[atom - 1] = (int)pads[i];
        a.after[atom - 1] = (int)pads[n + i];
        if (apart)
            continue;
        DC_TRY(pad_node(call, &a, &v.node, error));  // each by itself: the next may move the axes
        a.before[atom - 1] = a.after[atom - 1] = 0;
    }
    if (any && apart)
        DC_TRY(pad_node(call, &a, &v.node, error));
    dc__onnx_give(call, 0, v.node, &v.view);
    return DC_OK;
}

// Expand, Tile.

// The axis `times` over: an axis of its own in memory, the last there and the first of this one.
static enum dc_status grow(struct dc_onnx_call *call, struct dc_onnx_value *v, int axis,
                           int64_t times, struct dc_error *error)
{
    const struct dc_shape shape = *dc__onnx_shape(call->m, v);
    struct dc_onnx_axis *a = &v->view.axes[axis], grown = {1, {shape.rank}};
    struct dc_reshape_attributes longer;
    struct dc_expand_attributes repeated = {.rank = shape.rank};
    memset(&longer, 0, sizeof longer);
    if (shape.rank == DC_RANK_MAX || a->count == DC_RANK_MAX || times < 1)
        return dc_fail(error, DC_ERR_DATA, "axis %d cannot be repeated so", axis);
    longer.rank = shape.rank;
    for (int i = 1; i < shape.rank; i++)
        longer.dims[i - 1] = repeated.dims[i - 1] = shape.dims[i];
    longer.dims[shape.rank - 1] = 1;
    repeated.dims[shape.rank - 1] = times;
    for (int i = 0; i < a->count; i++)
        grown.atoms[grown.count++] = a->atoms[i];
    *a = grown;
    DC_TRY(
        dc__onnx_emit(call->m, call->name, &dc_op_reshape, &longer, &v->node, 1, &v->node, error));
    return dc__onnx_emit(call->m, call->name, &dc_op_expand, &repeated, &v->node, 1, &v->node,
                         error);
}

enum dc_status dc__onnx_tile(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_onnx_value v = *call->in[0];
    const struct dc_onnx_constant *c = &v.constant;
    struct dc_linear times[DC_ONNX_LIST];
    int n;
    bool rest = false;
    DC_TRY(dc__onnx_linear_list(call, 1, "repeats", times, &n, error));
    if (n != dc__onnx_rank(&v) || n < 1)
        return dc_fail(error, DC_ERR_DATA, "not as many repeats as axes");
    for (int i = 1; i < n; i++)
        rest = rest || times[i].k || times[i].c != 1;
    if (v.kind == DC_VALUE_CONSTANT && !times[0].k)
        return dc__fold_tile(call, error);
    if (v.kind == DC_VALUE_CONSTANT && (rest || times[0].k != 1 || times[0].c))
        return dc__fold_fail_batch(error);
    if (v.kind == DC_VALUE_CONSTANT) {
        DC_TRY(dc__onnx_repeat(call->m, &v, call->in[0], c->dims + 1, n - 1, error));
    } else {
        for (int i = 0; i < n; i++) {
            if (times[i].k || (dc__onnx_dim(call->m, &v, i).k && times[i].c != 1))
                return dc__fold_fail_batch(error);
            if (times[i].c != 1)
                DC_TRY(grow(call, &v, i, times[i].c, error));
        }
    }
    dc__onnx_give(call, 0, v.node, &v.view);
    return DC_OK;
}

static enum dc_status expand_value(struct dc_onnx_call *call, const struct dc_linear *list, int n,
                                   struct dc_error *error)
{
    static const int order[DC_RANK_MAX] = {0, 1, 2, 3, 4, 5, 6, 7};
    const struct dc_onnx_value *v = call->in[0];
    struct dc_expand_attributes a = {.rank = v->view.rank - 1};
    struct dc_onnx_value grown = *v;
    const bool merged = v->view.axes[0].count != 1 || v->view.axes[0].atoms[0] != 0;
    bool same = true;
    if (n > v->view.rank)
        return dc_fail(error, DC_ERR_DATA, "a new axis before the batch");
    for (int i = 0; i < v->view.rank; i++) {
        const struct dc_linear dim = dc__onnx_dim(call->m, v, i);
        const int at = i - (v->view.rank - n);
        const struct dc_linear wish = at < 0 ? (struct dc_linear){.c = 1} : list[at];
        const bool keeps = (!wish.k && wish.c == 1) || (wish.k == dim.k && wish.c == dim.c);
        if (!keeps && (dim.k || dim.c != 1 || wish.k))
            return dc_fail(error, DC_ERR_DATA, "axis %d cannot be expanded so", i);
        same = same && keeps;
        if (!keeps && merged)
            DC_TRY(grow(call, &grown, i, wish.c, error));
        if (i > 0)
            a.dims[i - 1] = keeps ? dim.c : wish.c;
    }
    if (same || merged)
        return dc__onnx_give(call, 0, grown.node, &grown.view), DC_OK;
    int node;
    const struct dc_onnx_view view = dc__onnx_plain(v->view.rank);
    DC_TRY(dc__onnx_ordered(call->m, &node, v, order, error));
    DC_TRY(dc__onnx_emit(call->m, call->name, &dc_op_expand, &a, &node, 1, &node, error));
    dc__onnx_give(call, 0, node, &view);
    return DC_OK;
}

enum dc_status dc__onnx_expand(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_linear list[DC_ONNX_LIST];
    struct dc_onnx_value out = *call->in[0];
    int n;
    bool batch = false;
    int64_t row[DC_RANK_MAX];
    DC_TRY(dc__onnx_linear_list(call, 1, "shape", list, &n, error));
    if (n < 1 || n > DC_RANK_MAX)
        return dc_fail(error, DC_ERR_DATA, "a shape of %d dimensions", n);
    for (int i = 0; i < n; i++)
        batch = batch || list[i].k;
    if (call->in[0]->kind == DC_VALUE_GRAPH)
        return expand_value(call, list, n, error);
    if (!batch)
        return dc__fold_expand(call, error);
    const struct dc_onnx_constant *c = &call->in[0]->constant;
    for (int i = 1; i < n; i++) {
        const int from = i - (n - c->rank);
        row[i - 1] = from >= 0 && list[i].c == 1 ? c->dims[from] : list[i].c;
        if (list[i].k || from >= c->rank)
            return dc_fail(error, DC_ERR_DATA, "the batch must be the first axis");
    }
    if (list[0].k != 1 || list[0].c)
        return dc_fail(error, DC_ERR_DATA, "the batch must be the first axis");
    DC_TRY(dc__onnx_repeat(call->m, &out, call->in[0], row, n - 1, error));
    dc__onnx_give(call, 0, out.node, &out.view);
    return DC_OK;
}

// Resize.

static enum dc_status resize_sizes(struct dc_onnx_call *call, struct dc_resize_attributes *a,
                                   const int *image, struct dc_error *error)
{
    const int scale_input = call->m->opset < 11 ? 1 : 2;
    const float *scales = dc__onnx_floats(call, scale_input, 4);
    const struct dc_onnx_value *sizes = call->count > 3 ? call->in[3] : NULL;
    const Onnx__AttributeProto *old = dc__onnx_attribute(call, "scales", DC_ONNX_FLOATS);
    const struct dc_shape *shape = &call->m->graph->nodes[*image].shape;
    if (old && old->n_floats == 4)
        scales = old->floats;
    double out[2];
    for (int i = 0; i < 2; i++) {
        const double in = (double)shape->dims[1 + i];
        if (scales && scales[0] == 1.0f && scales[1] == 1.0f)
            out[i] = floor(in * (double)scales[2 + i]);
        else if (sizes && sizes->constant.i && sizes->constant.count == 4 &&
                 sizes->constant.i[1].c == shape->dims[3])
            out[i] = (double)sizes->constant.i[2 + i].c;
        else
            return dc_fail(error, DC_ERR_DATA, "constant scales or sizes of height and width only");
        if (!(out[i] >= 1 && out[i] <= DC_ONNX_ATTRIBUTE_MOST))
            return dc_fail(error, DC_ERR_DATA, "a size of %g", out[i]);
    }
    a->height = (int)out[0];
    a->width = (int)out[1];
    a->scale_h = scales ? (double)scales[2] : 0.0;
    a->scale_w = scales ? (double)scales[3] : 0.0;
    return DC_OK;
}

enum dc_status dc__onnx_resize(struct dc_onnx_call *call, struct dc_error *error)
{
    static const char *const coordinates[] = {"half_pixel", "pytorch_half_pixel", "asymmetric",
                                              "align_corners"};
    static const char *const modes[] = {"linear", "round_prefer_floor", "round_prefer_ceil",
                                        "floor", "ceil"};
    const bool old = call->m->opset < 11;
    struct dc_resize_attributes a = {.coordinates = DC_COORDINATES_COUNT,
                                     .mode = DC_RESIZE_MODE_COUNT};
    for (int i = 0; i < DC_COORDINATES_COUNT; i++)
        if (dc__onnx_is(call, "coordinate_transformation_mode", old ? "asymmetric" : "half_pixel",
                        coordinates[i]))
            a.coordinates = (enum dc_coordinates)i;
    for (int i = 1; i < DC_RESIZE_MODE_COUNT; i++)
        if (dc__onnx_is(call, "nearest_mode", old ? "floor" : "round_prefer_floor", modes[i]))
            a.mode = (enum dc_resize_mode)i;
    if (dc__onnx_is(call, "mode", "nearest", "linear"))
        a.mode = DC_RESIZE_LINEAR;
    else if (!dc__onnx_is(call, "mode", "nearest", "nearest"))
        a.mode = DC_RESIZE_MODE_COUNT;
    (void)dc__onnx_float(call, "cubic_coeff_a", 0.0f);
    (void)dc__onnx_float(call, "extrapolation_value", 0.0f);
    if (a.coordinates == DC_COORDINATES_COUNT || a.mode == DC_RESIZE_MODE_COUNT ||
        dc__onnx_int(call, "antialias", 0) || dc__onnx_int(call, "exclude_outside", 0) ||
        !dc__onnx_is(call, "keep_aspect_ratio_policy", "stretch", "stretch"))
        return dc_fail(error, DC_ERR_DATA, "nearest and linear by the usual coordinates only");
    int node;
    const struct dc_onnx_view view = dc__onnx_channels_last(4);
    DC_TRY(dc__onnx_image(call->m, &node, call->in[0], error));
    DC_TRY(resize_sizes(call, &a, &node, error));
    DC_TRY(dc__onnx_emit(call->m, call->name, &dc_op_resize, &a, &node, 1, &node, error));
    dc__onnx_give(call, 0, node, &view);
    return DC_OK;
}
