// Owns where the axes of an imported value lie in memory.
//
// An operator that only renames, splits or merges axes changes a view; memory moves when an
// operator needs another order, and then by one transposition and one reshape at most. Axis 0 of
// memory is the batch and stays in front: "batch * windows" in the file is an axis of two atoms
// here.

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "formats/onnx_internal.h"

const struct dc_shape *dc__onnx_shape(const struct dc_import *m, const struct dc_onnx_value *v)
{
    return &m->graph->nodes[v->node].shape;
}

struct dc_linear dc__onnx_dim(const struct dc_import *m, const struct dc_onnx_value *v, int axis)
{
    if (v->kind == DC_VALUE_CONSTANT && v->constant.rows == axis + 1)
        return (struct dc_linear){.k = 1};
    if (v->kind == DC_VALUE_CONSTANT)
        return (struct dc_linear){.c = v->constant.dims[axis]};
    const struct dc_shape *shape = dc__onnx_shape(m, v);
    int64_t size = 1;
    bool batch = false;
    for (int i = 0; i < v->view.axes[axis].count; i++) {
        const int atom = v->view.axes[axis].atoms[i];
        batch = batch || atom == 0;
        size *= atom == 0 ? 1 : shape->dims[atom];
    }
    return batch ? (struct dc_linear){.k = size} : (struct dc_linear){.c = size};
}

int dc__onnx_rank(const struct dc_onnx_value *v)
{
    return v->kind == DC_VALUE_CONSTANT ? v->constant.rank : v->view.rank;
}

// The atoms of an axis that are not of size 1.
static struct dc_onnx_axis lean(const struct dc_shape *shape, const struct dc_onnx_axis *axis)
{
    struct dc_onnx_axis out = {0};
    for (int i = 0; i < axis->count; i++)
        if (shape->dims[axis->atoms[i]] != 1)
            out.atoms[out.count++] = axis->atoms[i];
    return out;
}

int dc__onnx_atom(const struct dc_import *m, const struct dc_onnx_value *v, int axis)
{
    const struct dc_onnx_axis *a = &v->view.axes[axis];
    const struct dc_onnx_axis some = lean(dc__onnx_shape(m, v), a);
    return some.count == 1 ? some.atoms[0] : some.count == 0 && a->count > 0 ? a->atoms[0] : 0;
}

struct dc_onnx_view dc__onnx_plain(int rank)
{
    struct dc_onnx_view view = {.rank = rank};
    for (int i = 0; i < rank; i++)
        view.axes[i] = (struct dc_onnx_axis){1, {i}};
    return view;
}

struct dc_onnx_view dc__onnx_image_view(int rank)
{
    struct dc_onnx_view view = dc__onnx_channels_last(4);
    if (rank == 3) {  // of height 1, which is no axis
        view.axes[2] = view.axes[3];
        view.rank = 3;
    }
    return view;
}

struct dc_onnx_view dc__onnx_channels_last(int rank)
{
    struct dc_onnx_view view = dc__onnx_plain(rank);
    for (int i = 1; i < rank; i++)
        view.axes[i].atoms[0] = i == 1 ? rank - 1 : i - 1;
    return view;
}

// All atoms of some axes in turn, those of size 1 left out.
static int concatenate(int atoms[DC_RANK_MAX], const struct dc_shape *shape,
                       const struct dc_onnx_axis *axes, int count)
{
    int n = 0;
    for (int i = 0; i < count; i++) {
        const struct dc_onnx_axis some = lean(shape, &axes[i]);
        for (int k = 0; k < some.count && n < DC_RANK_MAX; k++)
            atoms[n++] = some.atoms[k];
    }
    return n;
}

static enum dc_status reshape_node(struct dc_import *m, int *node, const char *name,
                                   const int64_t *dims, int rank, struct dc_error *error)
{
    const struct dc_shape *have = &m->graph->nodes[*node].shape;
    if (have->rank == rank && !memcmp(have->dims, dims, (size_t)rank * sizeof *dims))
        return DC_OK;
    struct dc_reshape_attributes a;
    memset(&a, 0, sizeof a);
    a.rank = rank - 1;
    memcpy(a.dims, dims + 1, (size_t)(rank - 1) * sizeof *dims);
    return dc__onnx_emit(m, name, &dc_op_reshape, &a, node, 1, node, error);
}

enum dc_status dc__onnx_arrange(struct dc_import *m, int *node, const struct dc_onnx_value *v,
                                const struct dc_onnx_view *want, struct dc_error *error)
{
    const struct dc_shape shape = *dc__onnx_shape(m, v);
    int atoms[DC_RANK_MAX];
    const int count = concatenate(atoms, &shape, want->axes, want->rank);
    bool moves = false;
    for (int i = 1; i < count; i++)
        moves = moves || atoms[i] < atoms[i - 1];
    if (want->rank < 2 || count < 1 || atoms[0] != 0 || lean(&shape, &want->axes[0]).count != 1)
        return dc_fail(
            error, DC_ERR_DATA,
            "the samples of a batch are not apart in '%s': the first axis must be the batch",
            v->name);
    *node = v->node;
    int64_t dims[DC_RANK_MAX] = {DC_BATCH};
    for (int i = 1; i < want->rank; i++) {
        dims[i] = 1;
        for (int k = 0; k < want->axes[i].count; k++)
            dims[i] *= shape.dims[want->axes[i].atoms[k]];
    }
    if (moves) {
        struct dc_transpose_attributes a = {{0}};
        memcpy(a.axes, atoms, (size_t)count * sizeof *atoms);
        for (int i = 1, n = count; i < shape.rank; i++)
            if (shape.dims[i] == 1 && n < shape.rank)
                a.axes[n++] = i;
        DC_TRY(dc__onnx_emit(m, v->name, &dc_op_transpose, &a, node, 1, node, error));
    }
    return reshape_node(m, node, v->name, dims, want->rank, error);
}

enum dc_status dc__onnx_ordered(struct dc_import *m, int *node, const struct dc_onnx_value *v,
                                const int *order, struct dc_error *error)
{
    struct dc_onnx_view want = {.rank = v->view.rank};
    for (int i = 0; i < want.rank; i++)
        want.axes[i] = v->view.axes[order[i]];
    return dc__onnx_arrange(m, node, v, &want, error);
}

enum dc_status dc__onnx_image(struct dc_import *m, int *node, const struct dc_onnx_value *v,
                              struct dc_error *error)
{
    static const int order[] = {0, 2, 3, 1};
    struct dc_onnx_value image = *v;
    if (v->kind != DC_VALUE_GRAPH || (v->view.rank != 4 && v->view.rank != 3))
        return dc_fail(
            error, DC_ERR_DATA,
            "'%s' is not an image [batch, channels, height, width], nor a series [batch, "
            "channels, length]",
            v->name);
    if (v->view.rank == 3) {
        image.view.rank = 4;
        image.view.axes[2] = (struct dc_onnx_axis){0};
        image.view.axes[3] = v->view.axes[2];
    }
    return dc__onnx_ordered(m, node, &image, order, error);
}

enum dc_status dc__onnx_last(struct dc_import *m, int *node, struct dc_onnx_view *view,
                             const struct dc_onnx_value *v, int axis, struct dc_error *error)
{
    const struct dc_shape shape = *dc__onnx_shape(m, v);
    *view = v->view;
    *node = v->node;
    if (v->view.axes[axis].count == 1 && v->view.axes[axis].atoms[0] == shape.rank - 1 &&
        shape.rank > 1)
        return DC_OK;
    struct dc_onnx_view want = {0};
    int place[DC_RANK_MAX] = {0};
    const struct dc_onnx_axis *last = &v->view.axes[axis];
    for (int i = 0; i < shape.rank; i++) {
        bool inside = shape.dims[i] == 1;
        for (int k = 0; k < last->count; k++)
            inside = inside || last->atoms[k] == i;
        place[i] = want.rank;
        if (!inside)
            want.axes[want.rank++] = (struct dc_onnx_axis){1, {i}};
    }
    want.axes[want.rank++] = *last;
    for (int x = 0; x < view->rank; x++) {
        view->axes[x] = lean(&shape, &v->view.axes[x]);
        for (int k = 0; k < view->axes[x].count; k++)
            view->axes[x].atoms[k] = place[view->axes[x].atoms[k]];
    }
    view->axes[axis] = (struct dc_onnx_axis){1, {want.rank - 1}};
    return dc__onnx_arrange(m, node, v, &want, error);
}

// A reshape as a walk along the atoms: each dimension takes whole atoms or the front of one.
struct walk {
    const struct dc_shape *shape;
    int atoms[DC_RANK_MAX], count, at;
    int64_t left;                              // of atoms[at], not yet taken
    int64_t pieces[DC_RANK_MAX][DC_RANK_MAX];  // of each atom
    int piece_count[DC_RANK_MAX];
    struct {
        int atom, piece;
    } taken[DC_RANK_MAX][DC_RANK_MAX];  // by each dimension
    int taken_count[DC_RANK_MAX];
};

static bool take(struct walk *w, int dim, int64_t size, bool batch)
{
    while (size > 1 || batch) {
        if (w->at == w->count || w->left == 0 || w->taken_count[dim] == DC_RANK_MAX)
            return false;
        const int atom = w->atoms[w->at];
        int64_t piece = w->left;
        if (atom == 0 ? !batch : size % w->left != 0 && w->left % size != 0)
            return false;
        if (atom == 0)
            batch = false;
        else if (size % w->left == 0)
            size /= w->left;
        else
            piece = size, size = 1;
        if (w->piece_count[atom] == DC_RANK_MAX)
            return false;
        w->taken[dim][w->taken_count[dim]].atom = atom;
        w->taken[dim][w->taken_count[dim]++].piece = w->piece_count[atom];
        w->pieces[atom][w->piece_count[atom]++] = piece;
        w->left = piece == w->left ? 0 : w->left / piece;
        if (w->left == 0 && ++w->at < w->count)
            w->left = w->shape->dims[w->atoms[w->at]];
    }
    return true;
}

// The value in one run, then cut as dims say.
static enum dc_status reshape_whole(struct dc_import *m, struct dc_onnx_value *out,
                                    const struct dc_onnx_value *v, const struct walk *w,
                                    const struct dc_linear *dims, int rank, struct dc_error *error)
{
    struct dc_onnx_view run = {.rank = 2, .axes = {{1, {0}}}};
    for (int i = 1; i < w->count; i++)
        run.axes[1].atoms[run.axes[1].count++] = w->atoms[i];
    const int merged = rank > 0 && dims[0].k > 1;  // batch * k in front
    if (rank < 1 || rank + merged > DC_RANK_MAX || dims[0].k == 0 || w->atoms[0] != 0)
        return dc_fail(error, DC_ERR_DATA, "this reshape of '%s' mixes the samples of a batch",
                       v->name);
    int64_t sizes[DC_RANK_MAX] = {DC_BATCH, dims[0].k};
    for (int i = 1; i < rank; i++)
        sizes[i + merged] = dims[i].c;
    DC_TRY(dc__onnx_arrange(m, &out->node, v, &run, error));
    out->view = dc__onnx_plain(rank);
    out->view.axes[0].count = 1 + merged;
    out->view.axes[0].atoms[1] = 1;
    for (int i = 1; i < rank; i++)
        out->view.axes[i].atoms[0] = i + merged;
    if (rank + merged == 1)
        sizes[1] = 1;
    return reshape_node(m, &out->node, v->name, sizes, rank + merged < 2 ? 2 : rank + merged,
                        error);
}

enum dc_status dc__onnx_reshape(struct dc_import *m, struct dc_onnx_value *out,
                                const struct dc_onnx_value *v, const struct dc_linear *dims,
                                int rank, struct dc_error *error)
{
    const struct dc_shape shape = *dc__onnx_shape(m, v);
    struct walk w = {.shape = &shape};
    w.count = concatenate(w.atoms, &shape, v->view.axes, v->view.rank);
    w.left = shape.dims[w.atoms[0]];
    bool good = true;
    for (int d = 0; d < rank && good; d++)
        good = take(&w, d, dims[d].k ? dims[d].k : dims[d].c, dims[d].k != 0);
    int64_t sizes[DC_RANK_MAX] = {DC_BATCH};
    int first[DC_RANK_MAX] = {0}, n = 1;
    bool split = false;
    for (int i = 1; i < shape.rank; i++) {
        split = split || w.piece_count[i] > 1;
        first[i] = n;
        for (int k = 0; k < w.piece_count[i] && n < DC_RANK_MAX + 1; k++, n++)
            if (n < DC_RANK_MAX)
                sizes[n] = w.pieces[i][k];
    }
    if (!good || w.at < w.count || n > DC_RANK_MAX)
        return reshape_whole(m, out, v, &w, dims, rank, error);
    out->node = v->node;
    struct dc_onnx_view view = {.rank = rank};
    for (int d = 0; d < rank; d++)
        for (int k = 0; k < w.taken_count[d]; k++)
            view.axes[d].atoms[view.axes[d].count++] =
                split ? first[w.taken[d][k].atom] + w.taken[d][k].piece : w.taken[d][k].atom;
    out->view = view;
    return split ? reshape_node(m, &out->node, v->name, sizes, n, error) : DC_OK;
}

// Broadcasting.

// The common axes of two operands: atoms of both, cut so that each is whole in either.
struct fine {
    int count;
    struct dc_linear dims[2][DC_RANK_MAX];  // of each operand: 1 where it is repeated
    struct dc_onnx_axis axes[DC_RANK_MAX];  // of the result's axes: which of them
};

// Sizes of the atoms of an axis counted from the right, tail left out; the batch is DC_BATCH.
static int sizes_of(int64_t sizes[DC_RANK_MAX], const struct dc_import *m,
                    const struct dc_onnx_value *v, int axis)
{
    int count = 0;
    if (axis < 0)
        return 0;
    if (v->kind == DC_VALUE_CONSTANT) {
        sizes[0] = v->constant.dims[axis];
        return sizes[0] != 1;
    }
    const struct dc_shape *shape = dc__onnx_shape(m, v);
    const struct dc_onnx_axis some = lean(shape, &v->view.axes[axis]);
    for (; count < some.count; count++)
        sizes[count] = shape->dims[some.atoms[count]];
    return count;
}

static struct dc_linear linear_of(int64_t size)
{
    return size == DC_BATCH ? (struct dc_linear){.k = 1} : (struct dc_linear){.c = size};
}

static bool refine(struct fine *f, struct dc_onnx_axis *axis, int64_t a[], int na, int64_t b[],
                   int nb)
{
    int i = 0, k = 0;
    while (i < na || k < nb) {
        if (f->count == DC_RANK_MAX || (na && i == na) || (nb && k == nb))
            return false;
        const int64_t x = i < na ? a[i] : b[k], y = k < nb ? b[k] : x;
        const int64_t part = x < y ? x : y;
        // a constant may be empty
        if (part == 0 || (part == DC_BATCH && x != y) ||
            (part != DC_BATCH && (x % part || y % part)))
            return false;
        f->dims[0][f->count] = linear_of(na ? part : 1);
        f->dims[1][f->count] = linear_of(nb ? part : 1);
        axis->atoms[axis->count++] = f->count++;
        if (i < na && (a[i] = x / part) == 1)
            i++;
        if (k < nb && (b[k] = y / part) == 1)
            k++;
    }
    return true;
}

void dc__onnx_order(int order[DC_RANK_MAX], const struct dc_onnx_view *view, int count)
{
    int key[DC_RANK_MAX];
    for (int i = 0; i < count; i++) {
        const struct dc_onnx_axis *axis = &view->axes[i];
        key[i] = axis->count ? axis->atoms[0] : i ? key[i - 1] : 0;
        int at = i;
        for (; at > 0 && key[order[at - 1]] > key[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    for (int i = 0; i < count; i++) {  // what is repeated over the batch comes behind it
        const struct dc_onnx_axis *axis = &view->axes[order[i]];
        if (axis->count && axis->atoms[0] == 0) {
            const int batch = order[i];
            memmove(order + 1, order, (size_t)i * sizeof *order);
            order[0] = batch;
            break;
        }
    }
}

enum dc_status dc__onnx_single(struct dc_import *m, struct dc_onnx_value *single, int *atom,
                               const struct dc_onnx_value *v, int axis, struct dc_error *error)
{
    *single = *v;
    *atom = dc__onnx_atom(m, v, axis);
    if (*atom > 0)
        return DC_OK;
    if (dc__onnx_dim(m, v, axis).k)
        return dc_fail(error, DC_ERR_DATA, "'%s': not along the batch", v->name);
    DC_TRY(dc__onnx_last(m, &single->node, &single->view, v, axis, error));
    *atom = dc__onnx_shape(m, single)->rank - 1;
    return DC_OK;
}

// Elements of `from`, of these dimensions, in the order of axes `order`.
static void permute(float *to, const float *from, const int64_t *dims, const int *order, int rank)
{
    int64_t strides[DC_RANK_MAX], index[DC_RANK_MAX] = {0}, count = 1;
    for (int i = rank; i-- > 0; count *= dims[i])
        strides[i] = count;
    for (int64_t n = 0, at = 0; n < count; n++) {
        to[n] = from[at];
        for (int i = rank; i-- > 0;) {
            at += strides[order[i]];
            if (++index[i] < dims[order[i]])
                break;
            at -= strides[order[i]] * dims[order[i]];
            index[i] = 0;
        }
    }
}

static enum dc_status constant_node(struct dc_import *m, int *node, const char *name,
                                    const struct dc_onnx_value *v, const struct dc_linear *dims,
                                    const int *order, int rank, struct dc_error *error)
{
    struct dc_constant_attributes a = {
        .role = v->stored && v->constant.count > 1 ? DC_ROLE_WEIGHT : DC_ROLE_STATISTIC};
    int64_t plain[DC_RANK_MAX];
    if (!v->constant.f)
        return dc_fail(error, DC_ERR_DATA, "'%s' holds integers where floats are needed", v->name);
    a.shape.rank = rank < 2 ? 2 : rank;
    a.shape.dims[1] = 1;
    for (int i = 0; i < rank; i++) {
        plain[i] = dims[i].c;
        a.shape.dims[i] = dims[order[i]].c;
    }
    if (rank > 0 && a.shape.dims[0] != 1)
        return dc_fail(error, DC_ERR_DATA, "'%s' differs over the batch", v->name);
    a.shape.dims[0] = 1;
    float *data = DC_NEW(m->arena, float, v->constant.count, error);
    if (!data)
        return DC_ERR_MEMORY;
    permute(data, v->constant.f, plain, order, rank);
    DC_TRY(dc__onnx_emit(m, v->stored ? v->name : name, &dc_op_constant, &a, NULL, 0, node, error));
    return dc__onnx_set(m, *node, 0, data, v->constant.count, error);
}

// One operand with the fine axes, in this order. Its last two are exchanged where they lie so.
static enum dc_status place(struct dc_import *m, struct dc_onnx_pair *pair, int which,
                            const struct dc_onnx_value *v, const struct dc_linear *dims,
                            const int *given, int rank, int tail, const char *name,
                            struct dc_error *error)
{
    int order[DC_RANK_MAX];
    struct dc_onnx_value cut = *v;
    memcpy(order, given, sizeof order);
    for (int i = 0; i < tail; i++)
        order[rank - tail + i] = rank - tail + i;
    if (v->kind == DC_VALUE_CONSTANT)
        return constant_node(m, &pair->node[which], name, v, dims, order, rank, error);
    DC_TRY(dc__onnx_reshape(m, &cut, v, dims, rank, error));
    if (tail == 2 && cut.view.axes[rank - 1].count == 1 && cut.view.axes[rank - 2].count == 1 &&
        cut.view.axes[rank - 1].atoms[0] < cut.view.axes[rank - 2].atoms[0]) {
        pair->exchanged[which] = true;
        order[rank - 2] = rank - 1;
        order[rank - 1] = rank - 2;
    }
    return dc__onnx_ordered(m, &pair->node[which], &cut, order, error);
}

static enum dc_status common_axes(struct fine *f, int *rank, const struct dc_import *m,
                                  const struct dc_onnx_value *const operands[2], int tail,
                                  struct dc_error *error)
{
    const int ra = dc__onnx_rank(operands[0]), rb = dc__onnx_rank(operands[1]);
    *rank = ra > rb ? ra : rb;
    for (int x = 0; x < *rank - tail; x++) {
        int64_t a[DC_RANK_MAX], b[DC_RANK_MAX];
        const int na = sizes_of(a, m, operands[0], ra - *rank + x);
        const int nb = sizes_of(b, m, operands[1], rb - *rank + x);
        if (!refine(f, &f->axes[x], a, na, b, nb))
            return dc_fail(error, DC_ERR_DATA, "'%s' and '%s' do not broadcast along axis %d",
                           operands[0]->name, operands[1]->name, x);
    }
    if (f->count + tail > DC_RANK_MAX)
        return dc_fail(error, DC_ERR_DATA, "more than %d axes", (int)DC_RANK_MAX);
    for (int t = 0; t < tail; t++) {
        f->dims[0][f->count + t] = dc__onnx_dim(m, operands[0], ra - tail + t);
        f->dims[1][f->count + t] = dc__onnx_dim(m, operands[1], rb - tail + t);
    }
    return DC_OK;
}

static int64_t row_of(const struct dc_import *m, const struct dc_onnx_value *v)
{
    return v->kind == DC_VALUE_GRAPH ? dc_shape_row(dc__onnx_shape(m, v)) : 0;
}

enum dc_status dc__onnx_broadcast(struct dc_import *m, struct dc_onnx_pair *pair,
                                  const struct dc_onnx_value *const operands[2], int tail,
                                  const char *name, struct dc_error *error)
{
    static const int identity[DC_RANK_MAX] = {0, 1, 2, 3, 4, 5, 6, 7};
    *pair = (struct dc_onnx_pair){0};
    const struct dc_onnx_value *a = operands[0], *b = operands[1];
    if (tail == 0 && a->kind == b->kind && !memcmp(&a->view, &b->view, sizeof a->view) &&
        dc_shape_equal(dc__onnx_shape(m, a), dc__onnx_shape(m, b))) {
        *pair = (struct dc_onnx_pair){.node = {a->node, b->node}, .view = a->view};
        return DC_OK;
    }
    for (int i = 0; i < 2 && tail == 0; i++) {  // a number beside a value as it is
        const struct dc_onnx_value *number = operands[i], *other = operands[1 - i];
        if (number->kind == DC_VALUE_CONSTANT && number->constant.count == 1 &&
            number->constant.rank <= other->view.rank) {
            pair->node[1 - i] = other->node;
            pair->view = other->view;
            return constant_node(m, &pair->node[i], name, number, NULL, identity, 0, error);
        }
    }
    struct fine f = {0};
    int rank, order[DC_RANK_MAX] = {0};
    DC_TRY(common_axes(&f, &rank, m, operands, tail, error));
    const int lead = row_of(m, b) > row_of(m, a);
    struct dc_onnx_value seen = *operands[lead];
    DC_TRY(dc__onnx_reshape(m, &seen, operands[lead], f.dims[lead], f.count + tail, error));
    dc__onnx_order(order, &seen.view, f.count);
    for (int i = 0; i < 2; i++)
        DC_TRY(place(m, pair, i, operands[i], f.dims[i], order, f.count + tail, tail, name, error));
    int position[DC_RANK_MAX];
    for (int i = 0; i < f.count; i++)
        position[order[i]] = i;
    pair->view.rank = rank;
    for (int x = 0; x < rank - tail; x++) {
        pair->view.axes[x] = f.axes[x];
        for (int k = 0; k < f.axes[x].count; k++)
            pair->view.axes[x].atoms[k] = position[f.axes[x].atoms[k]];
    }
    for (int t = 0; t < tail; t++)
        pair->view.axes[rank - tail + t] = (struct dc_onnx_axis){1, {f.count + t}};
    return DC_OK;
}

enum dc_status dc__onnx_repeat(struct dc_import *m, struct dc_onnx_value *out,
                               const struct dc_onnx_value *v, const int64_t *row, int row_rank,
                               struct dc_error *error)
{
    static const int identity[DC_RANK_MAX] = {0, 1, 2, 3, 4, 5, 6, 7};
    const struct dc_onnx_constant *c = &v->constant;
    struct dc_linear dims[DC_RANK_MAX] = {{.c = 1}};
    const int rank = row_rank + 1, missing = rank - c->rank;
    for (int i = 1; i < rank; i++)
        dims[i].c = i < missing ? 1 : c->dims[i - missing];
    if (missing < 0 || row_rank < 1 || row_rank >= DC_RANK_MAX || (missing == 0 && c->dims[0] != 1))
        return dc_fail(error, DC_ERR_DATA, "'%s' differs over the batch", v->name);
    struct dc_expand_attributes a = {.rank = row_rank};
    memcpy(a.dims, row, (size_t)row_rank * sizeof *row);
    int node;
    DC_TRY(constant_node(m, &node, v->name, v, dims, identity, rank, error));
    DC_TRY(dc__onnx_emit(m, v->name, &dc_op_expand, &a, &node, 1, &out->node, error));
    out->view = dc__onnx_plain(rank);
    return DC_OK;
}
