// Owns arithmetic on constants: what a file computes from shapes becomes numbers here.
//
// Integers are c + k * batch, so that the shape of a value whose batch is open can be computed
// with. What cannot be said so (batch times batch, a remainder of it) is an error. The numbers of
// the rows, from 0 to the batch, are one element too, of an axis of its own. Integers wrap as the
// format's do. Everything made here counts against one bound (dc__onnx_new).

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "formats/onnx_internal.h"

// Both hold floats, or both integers.
static void copy(struct dc_onnx_constant *to, int64_t n, const struct dc_onnx_constant *from,
                 int64_t at)
{
    if (to->f && from->f)
        to->f[n] = from->f[at];
    else if (to->i && from->i)
        to->i[n] = from->i[at];
}

// Element n of the result is element offset + sum of index * stride of `from`.
static enum dc_status strided(struct dc_import *m, struct dc_onnx_constant *out,
                              const struct dc_onnx_constant *from, int rank, const int64_t *dims,
                              int64_t at, const int64_t *strides, struct dc_error *error)
{
    int64_t index[DC_RANK_MAX] = {0};
    DC_TRY(dc__onnx_new(m, out, from->f != NULL, rank, dims, error));
    for (int64_t n = 0; n < out->count; n++) {
        copy(out, n, from, at);
        for (int i = rank; i-- > 0;) {
            at += strides[i];
            if (++index[i] < dims[i])
                break;
            at -= strides[i] * dims[i];
            index[i] = 0;
        }
    }
    return DC_OK;
}

static void strides_of(int64_t strides[DC_RANK_MAX], const struct dc_onnx_constant *c)
{
    int64_t stride = 1;
    for (int i = c->rank; i-- > 0; stride *= c->dims[i])
        strides[i] = stride;
}

// The dimensions that two shapes broadcast to.
enum dc_status dc__fold_join(struct dc_onnx_constant *shape, const struct dc_onnx_constant *c,
                             struct dc_error *error)
{
    const int shift = c->rank > shape->rank ? c->rank - shape->rank : 0;
    if (shift) {
        memmove(shape->dims + shift, shape->dims, (size_t)shape->rank * sizeof *shape->dims);
        for (int i = 0; i < shift; i++)
            shape->dims[i] = 1;
        shape->rank = c->rank;
    }
    for (int i = 0; i < c->rank; i++) {
        int64_t *dim = &shape->dims[shape->rank - c->rank + i];
        if (*dim == 1)
            *dim = c->dims[i];
        else if (c->dims[i] != 1 && c->dims[i] != *dim)
            return dc_fail(error, DC_ERR_DATA, "sizes %" PRId64 " and %" PRId64 " do not broadcast",
                           *dim, c->dims[i]);
    }
    return DC_OK;
}

void dc__fold_strides(int64_t strides[DC_RANK_MAX], const struct dc_onnx_constant *c, int rank)
{
    int64_t own[DC_RANK_MAX];
    strides_of(own, c);
    for (int i = 0; i < rank; i++) {
        const int k = i - (rank - c->rank);
        strides[i] = k < 0 || c->dims[k] == 1 ? 0 : own[k];
    }
}

enum dc_status dc__fold_repeat(struct dc_import *m, struct dc_onnx_constant *out,
                               const struct dc_onnx_constant *c,
                               const struct dc_onnx_constant *shape, struct dc_error *error)
{
    int64_t strides[DC_RANK_MAX];
    dc__fold_strides(strides, c, shape->rank);
    return strided(m, out, c, shape->rank, shape->dims, 0, strides, error);
}

// Making constants.

enum dc_status dc__fold_constant(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_onnx_constant out;
    const Onnx__AttributeProto *a;
    const int64_t one[] = {1};
    if ((a = dc__onnx_attribute(call, "value", DC_ONNX_TENSOR))) {
        DC_TRY(dc__onnx_tensor(call->m, &out, a->t, error));
    } else if ((a = dc__onnx_attribute(call, "value_float", DC_ONNX_FLOAT))) {
        DC_TRY(dc__onnx_new(call->m, &out, true, 0, one, error));
        out.f[0] = a->f;
    } else if ((a = dc__onnx_attribute(call, "value_int", DC_ONNX_INT))) {
        DC_TRY(dc__onnx_new(call->m, &out, false, 0, one, error));
        out.i[0].c = a->i;
    } else if ((a = dc__onnx_attribute(call, "value_floats", DC_ONNX_FLOATS))) {
        DC_TRY(dc__onnx_new(call->m, &out, true, 1, (int64_t[]){(int64_t)a->n_floats}, error));
        for (size_t i = 0; i < a->n_floats && out.f; i++)
            out.f[i] = a->floats[i];
    } else if ((a = dc__onnx_attribute(call, "value_ints", DC_ONNX_INTS))) {
        DC_TRY(dc__onnx_new(call->m, &out, false, 1, (int64_t[]){(int64_t)a->n_ints}, error));
        for (size_t i = 0; i < a->n_ints && out.i; i++)
            out.i[i].c = a->ints[i];
    } else {
        return dc_fail(error, DC_ERR_DATA, "a constant without a value that is read");
    }
    dc__onnx_give_constant(call, &out);
    return DC_OK;
}

// The entries of a one-dimensional constant as dimensions, free of the batch.
static enum dc_status dims_of(int64_t dims[DC_RANK_MAX], const struct dc_onnx_constant *c,
                              struct dc_error *error)
{
    if (!c->i || c->count > DC_RANK_MAX)
        return dc_fail(error, DC_ERR_DATA, "a shape must be at most %d integers", (int)DC_RANK_MAX);
    for (int64_t i = 0; i < c->count; i++) {
        if (c->i[i].k)
            return dc__fold_fail_batch(error);
        dims[i] = c->i[i].c;
    }
    return DC_OK;
}

enum dc_status dc__fold_fill(struct dc_onnx_call *call, struct dc_error *error)
{
    const Onnx__AttributeProto *a = dc__onnx_attribute(call, "value", DC_ONNX_TENSOR);
    int64_t dims[DC_RANK_MAX];
    struct dc_onnx_constant value = {0}, out;
    DC_TRY(dims_of(dims, &call->in[0]->constant, error));
    if (a)
        DC_TRY(dc__onnx_tensor(call->m, &value, a->t, error));
    if (a && value.count != 1)
        return dc_fail(error, DC_ERR_DATA, "one value fills it, not %" PRId64, value.count);
    DC_TRY(dc__onnx_new(call->m, &out, !value.i, (int)call->in[0]->constant.count, dims, error));
    for (int64_t i = 0; i < out.count; i++)  // without a value: zeros
        copy(&out, i, &value, 0);
    dc__onnx_give_constant(call, &out);
    return DC_OK;
}

// From a number in steps to as many steps further as there are rows: one element for each.
static bool range_of_rows(const struct dc_linear v[3])
{
    return !v[0].k && !v[2].k && v[2].c > 0 && v[1].k == v[2].c && v[1].c == v[0].c;
}

enum dc_status dc__fold_range(struct dc_onnx_call *call, struct dc_error *error)
{
    const struct dc_onnx_constant *c[3];
    struct dc_linear ends[3] = {{0}};
    struct dc_onnx_constant out;
    double v[3];
    for (int i = 0; i < 3; i++) {
        c[i] = &call->in[i]->constant;
        if (c[i]->count != 1 || !(c[i]->f || c[i]->i) || (c[i]->f != NULL) != (c[0]->f != NULL))
            return dc_fail(error, DC_ERR_DATA, "start, limit and step must be numbers of one type");
        if (c[i]->i)
            ends[i] = c[i]->i[0];
        v[i] = c[i]->f ? (double)c[i]->f[0] : (double)ends[i].c;
    }
    if (range_of_rows(ends)) {
        DC_TRY(dc__onnx_new(call->m, &out, false, 1, (int64_t[]){1}, error));
        out.rows = 1;
        out.i[0] = (struct dc_linear){.c = ends[0].c, .n = ends[2].c};
        dc__onnx_give_constant(call, &out);
        return DC_OK;
    }
    if (ends[0].k || ends[1].k || ends[2].k)
        return dc__fold_fail_batch(error);
    const double count = ceil((v[1] - v[0]) / v[2]);
    if (!(count < INT_MAX) || v[2] == 0.0)
        return dc_fail(error, DC_ERR_DATA, "a range from %g to %g by %g", v[0], v[1], v[2]);
    DC_TRY(dc__onnx_new(call->m, &out, c[0]->f != NULL, 1,
                        (int64_t[]){count > 0 ? (int64_t)count : 0}, error));
    for (int64_t i = 0; i < out.count; i++) {
        if (out.f)
            out.f[i] = (float)(v[0] + (double)i * v[2]);
        else if (out.i && c[0]->i && c[2]->i)
            out.i[i].c = (int64_t)((uint64_t)c[0]->i[0].c + (uint64_t)i * (uint64_t)c[2]->i[0].c);
    }
    dc__onnx_give_constant(call, &out);
    return DC_OK;
}

enum dc_status dc__fold_where(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_onnx_constant shape = call->in[0]->constant, in[3], out;
    for (int i = 1; i < 3; i++)
        DC_TRY(dc__fold_join(&shape, &call->in[i]->constant, error));
    for (int i = 0; i < 3; i++)
        DC_TRY(dc__fold_repeat(call->m, &in[i], &call->in[i]->constant, &shape, error));
    if (!in[0].i || (in[1].f != NULL) != (in[2].f != NULL))
        return dc_fail(error, DC_ERR_DATA, "operands of different or unfitting types");
    DC_TRY(dc__onnx_new(call->m, &out, in[1].f != NULL, shape.rank, shape.dims, error));
    for (int64_t i = 0; i < out.count; i++)
        copy(&out, i, &in[in[0].i[i].c || in[0].i[i].k ? 1 : 2], i);
    dc__onnx_give_constant(call, &out);
    return DC_OK;
}

// Moving elements.

enum dc_status dc__fold_expand(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_onnx_constant shape = {.rank = (int)call->in[1]->constant.count}, out;
    DC_TRY(dims_of(shape.dims, &call->in[1]->constant, error));
    DC_TRY(dc__fold_join(&shape, &call->in[0]->constant, error));
    DC_TRY(dc__fold_repeat(call->m, &out, &call->in[0]->constant, &shape, error));
    dc__onnx_give_constant(call, &out);
    return DC_OK;
}

// Each axis so many times over, free of the batch.
enum dc_status dc__fold_tile(struct dc_onnx_call *call, struct dc_error *error)
{
    const struct dc_onnx_constant *c = &call->in[0]->constant, *repeats = &call->in[1]->constant;
    int64_t dims[DC_RANK_MAX] = {0}, times[DC_RANK_MAX] = {0}, own[DC_RANK_MAX];
    struct dc_onnx_constant out;
    DC_TRY(dims_of(times, repeats, error));
    if (repeats->count != c->rank)
        return dc_fail(error, DC_ERR_DATA, "%" PRId64 " repeats of %d axes", repeats->count,
                       c->rank);
    strides_of(own, c);
    for (int i = 0; i < c->rank; i++) {
        if (times[i] < 0 || (times[i] > 0 && c->dims[i] > INT32_MAX / times[i]))
            return dc_fail(error, DC_ERR_DATA, "%" PRId64 " times axis %d", times[i], i);
        dims[i] = c->dims[i] * times[i];
    }
    DC_TRY(dc__onnx_new(call->m, &out, c->f != NULL, c->rank, dims, error));
    for (int64_t n = 0; n < out.count; n++) {
        int64_t rest = n, at = 0;
        for (int i = c->rank - 1; i >= 0 && dims[i] > 0 && c->dims[i] > 0; rest /= dims[i--])
            at += rest % dims[i] % c->dims[i] * own[i];
        copy(&out, n, c, at);
    }
    dc__onnx_give_constant(call, &out);
    return DC_OK;
}

enum dc_status dc__fold_transpose(struct dc_onnx_call *call, struct dc_error *error)
{
    const struct dc_onnx_constant *c = &call->in[0]->constant;
    int order[DC_RANK_MAX];
    int64_t own[DC_RANK_MAX], strides[DC_RANK_MAX], dims[DC_RANK_MAX];
    struct dc_onnx_constant out;
    DC_TRY(dc__onnx_permutation(call, order, c->rank, error));
    strides_of(own, c);
    for (int i = 0; i < c->rank; i++) {
        strides[i] = own[order[i]];
        dims[i] = c->dims[order[i]];
    }
    DC_TRY(strided(call->m, &out, c, c->rank, dims, 0, strides, error));
    dc__onnx_give_constant(call, &out);
    return DC_OK;
}

enum dc_status dc__fold_slice(struct dc_onnx_call *call, struct dc_error *error)
{
    const struct dc_onnx_constant *c = &call->in[0]->constant;
    struct dc_onnx_slices s;
    int64_t strides[DC_RANK_MAX] = {0}, dims[DC_RANK_MAX], at = 0;
    struct dc_onnx_constant out;
    DC_TRY(dc__onnx_slices(call, &s, error));
    strides_of(strides, c);
    memcpy(dims, c->dims, sizeof dims);
    for (int i = 0; i < s.count; i++) {
        const int axis = (int)s.axes[i];
        at += s.begin[i] * strides[axis];
        strides[axis] *= s.step[i];
        dims[axis] = s.size[i];
    }
    DC_TRY(strided(call->m, &out, c, c->rank, dims, at, strides, error));
    dc__onnx_give_constant(call, &out);
    return DC_OK;
}

enum dc_status dc__fold_gather(struct dc_onnx_call *call, struct dc_error *error)
{
    const struct dc_onnx_constant *c = &call->in[0]->constant, *index = &call->in[1]->constant;
    int64_t axis = dc__onnx_int(call, "axis", 0), dims[DC_RANK_MAX], inner = 1, outer = 1;
    DC_TRY(dc__onnx_axis(&axis, c->rank, error));
    const int rank = c->rank - 1 + index->rank;
    if (!index->i || rank > DC_RANK_MAX)
        return dc_fail(error, DC_ERR_DATA, "indices must be integers, and few");
    for (int i = 0; i < rank; i++)
        dims[i] = i < axis                 ? c->dims[i]
                  : i < axis + index->rank ? index->dims[i - axis]
                                           : c->dims[i - index->rank + 1];
    for (int i = 0; i < c->rank; i++)
        *(i < axis ? &outer : &inner) *= i == axis ? 1 : c->dims[i];
    struct dc_onnx_constant out;
    DC_TRY(dc__onnx_new(call->m, &out, c->f != NULL, rank, dims, error));
    for (int64_t n = 0; n < out.count; n++) {
        const struct dc_linear at = index->i[n / inner % index->count];
        const int64_t k = at.c < 0 ? at.c + c->dims[axis] : at.c;
        if (at.k || k < 0 || k >= c->dims[axis])
            return dc_fail(error, DC_ERR_DATA, "index %" PRId64 " of %" PRId64, at.c,
                           c->dims[axis]);
        const int64_t from = (n / inner / index->count * c->dims[axis] + k) * inner + n % inner;
        copy(&out, n, c, from);
    }
    dc__onnx_give_constant(call, &out);
    return DC_OK;
}

enum dc_status dc__fold_concat(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_onnx_constant out = call->in[0]->constant;
    int64_t axis = dc__onnx_int(call, "axis", 0), inner = 1, start = 0;
    const bool floats = out.f != NULL;
    DC_TRY(dc__onnx_axis(&axis, out.rank, error));
    for (int k = 1; k < call->count; k++) {
        struct dc_onnx_constant c = call->in[k] ? call->in[k]->constant
                                                : (struct dc_onnx_constant){0};
        const int64_t size = c.dims[axis];
        c.dims[axis] = out.dims[axis];
        if (c.rank != out.rank || memcmp(c.dims, out.dims, (size_t)c.rank * sizeof *c.dims) != 0 ||
            (c.f != NULL) != floats)
            return dc_fail(error, DC_ERR_DATA, "input %d does not fit the first", k);
        out.dims[axis] += size;
    }
    for (int i = (int)axis + 1; i < out.rank; i++)
        inner *= out.dims[i];
    const int64_t run = out.dims[axis] * inner;
    DC_TRY(dc__onnx_new(call->m, &out, floats, out.rank, out.dims, error));
    for (int k = 0; k < call->count; k++) {
        assert(call->in[k]);
        const struct dc_onnx_constant *c = &call->in[k]->constant;
        const int64_t part = c->dims[axis] * inner;
        for (int64_t n = 0; n < c->count; n++)
            copy(&out, n / part * run + start + n % part, c, n);
        start += part;
    }
    dc__onnx_give_constant(call, &out);
    return DC_OK;
}

enum dc_status dc__fold_scatter(struct dc_onnx_call *call, struct dc_error *error)
{
    const struct dc_onnx_constant *c = &call->in[0]->constant, *index = &call->in[1]->constant;
    const struct dc_onnx_constant *updates = &call->in[2]->constant;
    const int64_t depth = index->rank ? index->dims[index->rank - 1] : 0;
    int64_t strides[DC_RANK_MAX] = {0};
    struct dc_onnx_constant out;
    strides_of(strides, c);
    if (!index->i || depth < 1 || depth > c->rank ||
        !dc__onnx_is(call, "reduction", "none", "none"))
        return dc_fail(error, DC_ERR_DATA, "indices that do not fit, or a reduction");
    const int64_t run = strides[depth - 1];
    if ((c->f != NULL) != (updates->f != NULL) || updates->count != index->count / depth * run)
        return dc_fail(error, DC_ERR_DATA, "updates that do not fit");
    DC_TRY(strided(call->m, &out, c, c->rank, c->dims, 0, strides, error));
    for (int64_t n = 0; n < updates->count; n++) {
        int64_t at = n % run;
        for (int64_t d = 0; d < depth; d++) {
            const int64_t i = index->i[n / run * depth + d].c;
            const int64_t k = i < 0 ? i + c->dims[d] : i;
            if (k < 0 || k >= c->dims[d])
                return dc_fail(error, DC_ERR_DATA, "index %" PRId64 " of %" PRId64, i, c->dims[d]);
            at += k * strides[d];
        }
        copy(&out, at, updates, n);
    }
    dc__onnx_give_constant(call, &out);
    return DC_OK;
}

// Reshape, Flatten, Squeeze and Unsqueeze: the same elements. An axis of the rows stays in front.
enum dc_status dc__fold_reshape(struct dc_onnx_call *call, struct dc_error *error)
{
    struct dc_onnx_constant out = call->in[0]->constant;
    struct dc_linear dims[DC_RANK_MAX] = {0};
    int64_t count = 1;
    DC_TRY(dc__onnx_new_dims(call, dims, &out.rank, error));
    if (out.rows) {
        int at = 0;
        while (at < out.rank && !dims[at].k)
            count *= dims[at++].c;
        for (int i = 0; i < out.rows - 1; i++)
            count *= out.dims[i];
        if (count != 1 || at == out.rank || dims[at].k != 1)
            return dc__fold_fail_batch(error);
        out.rows = at + 1;
        dims[at] = (struct dc_linear){.c = 1};
    }
    for (int i = 0; i < out.rank; i++) {
        out.dims[i] = dims[i].c;
        if (dims[i].k || dims[i].c < 0 || dims[i].c > INT32_MAX || (count *= dims[i].c) > out.count)
            return dc_fail(error, DC_ERR_DATA, "the new shape does not fit %" PRId64 " elements",
                           out.count);
    }
    if (count != out.count)
        return dc_fail(error, DC_ERR_DATA, "a shape of %" PRId64 " for %" PRId64 " elements", count,
                       out.count);
    dc__onnx_give_constant(call, &out);
    return DC_OK;
}

// Shape of any value: its dimensions as integers.
enum dc_status dc__fold_shape(struct dc_onnx_call *call, struct dc_error *error)
{
    const struct dc_onnx_value *v = call->in[0];
    const int64_t rank = dc__onnx_rank(v);
    int64_t start = dc__onnx_int(call, "start", 0), end = dc__onnx_int(call, "end", rank);
    start = start < 0 ? start + rank : start;
    end = end < 0 ? end + rank : end > rank ? rank : end;
    const int64_t first = start < 0 ? 0 : start, count = end > first ? end - first : 0;
    struct dc_onnx_constant out;
    DC_TRY(dc__onnx_new(call->m, &out, false, 1, &count, error));
    for (int64_t i = 0; i < count; i++)
        out.i[i] = dc__onnx_dim(call->m, v, (int)(first + i));
    dc__onnx_give_constant(call, &out);
    return DC_OK;
}
