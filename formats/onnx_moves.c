// Owns what nodes that move values ask for, as folding and converting both read it: new dimensions,
// the order of a transposition, where a slice begins.

#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "formats/onnx_internal.h"

// Reshapes.

static bool multiply(int64_t *product, int64_t factor)
{
    const int64_t most = INT64_C(1) << 40;
    if (factor < 0 || factor > most || (factor > 0 && *product > most / factor))
        return false;
    *product *= factor;
    return true;
}

// Product of dimensions [first, end): of c, or of k where one of them is the batch's.
static bool product_of(struct dc_linear *out, const struct dc_linear *dims, int first, int end)
{
    int64_t product = 1;
    bool batch = false, good = true;
    for (int i = first; i < end; i++) {
        good = good && multiply(&product, dims[i].k ? dims[i].k : dims[i].c) &&
               !(dims[i].k && (batch || dims[i].c));
        batch = batch || dims[i].k;
    }
    *out = batch ? (struct dc_linear){.k = product} : (struct dc_linear){.c = product};
    return good;
}

// Where a file says 1 for the batch: the new dimension that begins where the batch does in the old
// ones is a multiple of it.
static void place_batch(struct dc_linear *dims, int rank, const struct dc_import *m,
                        const struct dc_onnx_value *v)
{
    const struct dc_shape *shape = dc__onnx_shape(m, v);
    int64_t before = 1, so_far = 1;
    bool found = false;
    for (int x = 0; x < v->view.rank; x++) {
        for (int k = 0; k < v->view.axes[x].count && !found; k++) {
            const int atom = v->view.axes[x].atoms[k];
            found = atom == 0;
            before *= found ? 1 : shape->dims[atom];
        }
    }
    for (int i = 0; i < rank; so_far *= dims[i++].c) {
        if (so_far * dims[i].c > before || so_far == before) {
            const int at = i == rank - 1 && i > 0 && so_far == before ? i - 1 : i;
            dims[at] = (struct dc_linear){.k = dims[at].c};
            return;
        }
    }
}

static enum dc_status reshape_dims(struct dc_onnx_call *call, struct dc_linear dims[DC_RANK_MAX],
                                   int *rank, const struct dc_linear *have, int have_rank,
                                   struct dc_error *error)
{
    struct dc_linear list[DC_ONNX_LIST] = {0}, total, rest;
    int open = -1;
    bool batch = false;
    const bool zero = dc__onnx_int(call, "allowzero", 0) != 0;
    DC_TRY(dc__onnx_linear_list(call, 1, "shape", list, rank, error));
    if (*rank < 0 || *rank > DC_RANK_MAX)
        return dc_fail(error, DC_ERR_DATA, "a shape of %d dimensions", *rank);
    for (int i = 0; i < *rank; i++) {
        dims[i] = list[i];
        if (dims[i].k == 0 && dims[i].c == 0 && !zero && i < have_rank)
            dims[i] = have[i];
        if (dims[i].k == 0 && dims[i].c == -1 && open >= 0)
            return dc_fail(error, DC_ERR_DATA, "two dimensions of the new shape are open");
        if (dims[i].k == 0 && dims[i].c == -1)
            open = i;
        batch = batch || dims[i].k;
    }
    if (open >= 0)
        dims[open] = (struct dc_linear){.c = 1};
    if (!product_of(&total, have, 0, have_rank) || !product_of(&rest, dims, 0, *rank) ||
        (open >= 0 && rest.c == 0 && rest.k == 0))
        return dc_fail(error, DC_ERR_DATA, "the new shape does not fit");
    const int64_t all = total.k ? total.k : total.c, known = rest.k ? rest.k : rest.c;
    const bool fixed = call->m->batch_fixed && total.k && !batch;
    if (open >= 0 && total.k && !rest.k && !fixed)
        dims[open] = (struct dc_linear){.k = all / known};
    else if (open >= 0)
        dims[open].c = all / known;
    if (fixed && product_of(&rest, dims, 0, *rank) && rest.c == total.k)
        place_batch(dims, *rank, call->m, call->in[0]);
    DC_TRY(product_of(&rest, dims, 0, *rank) && rest.c == total.c && rest.k == total.k
               ? DC_OK
               : dc_fail(error, DC_ERR_DATA,
                         "the new shape does not hold the %" PRId64 " values%s that there are", all,
                         total.k ? " a sample" : ""));
    return DC_OK;
}

static enum dc_status squeeze_dims(struct dc_onnx_call *call, struct dc_linear dims[DC_RANK_MAX],
                                   int *rank, const struct dc_linear *have, int have_rank,
                                   bool insert, struct dc_error *error)
{
    int64_t axes[DC_ONNX_LIST];
    int count;
    unsigned chosen = 0;
    DC_TRY(dc__onnx_list(call, 1, "axes", axes, &count, error));
    const int full = insert ? have_rank + count : have_rank;
    if ((insert && count < 1) || full > DC_RANK_MAX)
        return dc_fail(error, DC_ERR_DATA, "axes are missing, or too many");
    for (int i = 0; i < count; i++) {
        DC_TRY(dc__onnx_axis(&axes[i], full, error));
        chosen |= 1u << axes[i];
    }
    for (int i = 0; i < have_rank && count < 0; i++)
        chosen |= (unsigned)(have[i].k == 0 && have[i].c == 1) << i;
    *rank = 0;
    for (int i = 0, from = 0; i < full; i++) {
        const bool here = chosen >> i & 1;
        if (here && !insert && (have[i].k || have[i].c != 1))
            return dc_fail(error, DC_ERR_DATA, "axis %d is not of size 1", i);
        if (here && insert)
            dims[(*rank)++] = (struct dc_linear){.c = 1};
        else if (insert && from >= have_rank)
            return dc_fail(error, DC_ERR_DATA, "an axis is named twice");
        else if (!here)
            dims[(*rank)++] = have[insert ? from++ : i];
    }
    return DC_OK;
}

enum dc_status dc__onnx_new_dims(struct dc_onnx_call *call, struct dc_linear dims[DC_RANK_MAX],
                                 int *rank, struct dc_error *error)
{
    const char *name = call->proto->op_type;
    const int have_rank = dc__onnx_rank(call->in[0]);
    struct dc_linear have[DC_RANK_MAX] = {0};
    for (int i = 0; i < have_rank; i++)
        have[i] = dc__onnx_dim(call->m, call->in[0], i);
    if (strcmp(name, "Reshape") == 0)
        return reshape_dims(call, dims, rank, have, have_rank, error);
    if (strcmp(name, "Flatten") != 0)
        return squeeze_dims(call, dims, rank, have, have_rank, *name == 'U', error);
    int64_t axis = dc__onnx_int(call, "axis", 1);
    if (axis != have_rank)
        DC_TRY(dc__onnx_axis(&axis, have_rank, error));
    *rank = 2;
    return product_of(&dims[0], have, 0, (int)axis) &&
                   product_of(&dims[1], have, (int)axis, have_rank)
               ? DC_OK
               : dc_fail(error, DC_ERR_DATA, "too large");
}

enum dc_status dc__onnx_permutation(struct dc_onnx_call *call, int order[DC_RANK_MAX], int rank,
                                    struct dc_error *error)
{
    const Onnx__AttributeProto *a = dc__onnx_attribute(call, "perm", DC_ONNX_INTS);
    unsigned seen = 0;
    if (a && a->n_ints != (size_t)rank)
        return dc_fail(error, DC_ERR_DATA, "%zu axes for a value of rank %d", a->n_ints, rank);
    for (int i = 0; i < rank; i++) {
        int64_t axis = a ? a->ints[i] : rank - 1 - i;
        DC_TRY(dc__onnx_axis(&axis, rank, error));
        if (seen >> axis & 1)
            return dc_fail(error, DC_ERR_DATA, "axis %" PRId64 " comes twice", axis);
        seen |= 1u << axis;
        order[i] = (int)axis;
    }
    return DC_OK;
}

// Slices.

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

enum dc_status dc__onnx_slices(struct dc_onnx_call *call, struct dc_onnx_slices *s,
                               struct dc_error *error)
{
    struct dc_linear starts[DC_ONNX_LIST], ends[DC_ONNX_LIST];
    int64_t axes[DC_ONNX_LIST], steps[DC_ONNX_LIST];
    int n, end_count, axis_count, step_count;
    const int rank = dc__onnx_rank(call->in[0]);
    DC_TRY(dc__onnx_linear_list(call, 1, "starts", starts, &n, error));
    DC_TRY(dc__onnx_linear_list(call, 2, "ends", ends, &end_count, error));
    DC_TRY(dc__onnx_list(call, 3, "axes", axes, &axis_count, error));
    DC_TRY(dc__onnx_list(call, 4, "steps", steps, &step_count, error));
    *s = (struct dc_onnx_slices){0};
    if (n < 0 || n > rank || end_count != n || (axis_count >= 0 && axis_count != n) ||
        (step_count >= 0 && step_count != n))
        return dc_fail(error, DC_ERR_DATA, "starts, ends, axes and steps do not fit each other");
    for (int i = 0; i < n; i++) {
        int64_t axis = axis_count < 0 ? i : axes[i], step = step_count < 0 ? 1 : steps[i];
        DC_TRY(dc__onnx_axis(&axis, rank, error));
        const struct dc_linear dim = dc__onnx_dim(call->m, call->in[0], (int)axis);
        const bool whole = !starts[i].k && starts[i].c == 0 && step == 1 &&
                           (ends[i].k ? ends[i].k >= dim.k && ends[i].c >= dim.c
                                      : ends[i].c >= (dim.k ? INT32_MAX : dim.c));
        if (whole)
            continue;
        if (dim.k || starts[i].k || ends[i].k || step == 0 || step < -INT32_MAX || step > INT32_MAX)
            return dc_fail(error, DC_ERR_DATA, "axis %" PRId64 " cannot be sliced so", axis);
        const int64_t d = dim.c, b = starts[i].c, e = ends[i].c;
        const int64_t begin = clamp(b < 0 ? clamp(b, -d - 1, 0) + d : b, step < 0 ? -1 : 0,
                                    step < 0 ? d - 1 : d);
        const int64_t end = clamp(e < 0 ? clamp(e, -d - 1, 0) + d : e, step < 0 ? -1 : 0, d);
        const int64_t size = step > 0 ? (end - begin + step - 1) / step
                                      : (begin - end - step - 1) / -step;
        s->axes[s->count] = axis;
        s->begin[s->count] = begin;
        s->step[s->count] = step;
        s->size[s->count++] = size < 0 ? 0 : size;
    }
    return DC_OK;
}
