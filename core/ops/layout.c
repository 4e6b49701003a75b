// Owns the ops that move values by index: transpose, expand, gather, pad_axes.
//
// Where an output value comes from is a sum over the axes: each has a table of the offset in the
// row of the input for every index, or none (padding). Backward adds along the same tables. Values
// are never looked at: NaN passes. Copies of whole runs are shape.c's.

#include <inttypes.h>
#include <string.h>

#include "core/ops/ops.h"
#include "core/parallel.h"

enum { NOWHERE = -1 };

// Tables of axes 1 .. rank - 1 of the output, one behind the other in the scratch.
struct map {
    int rank;
    int64_t size[DC_RANK_MAX];
    int64_t *from[DC_RANK_MAX];
    bool run;    // the last axis is a run of neighbours
    float fill;  // where nothing comes from the input
};

static int64_t table_bytes(const struct dc_shape *out)
{
    int64_t indices = 0;
    for (int k = 1; k < out->rank; k++)
        indices += out->dims[k];
    return (indices * (int64_t)sizeof(int64_t) + 63) / 64 * 64;
}

static void memory(struct dc_op_memory *memory, const struct dc_node *node,
                   const struct dc_shape *in, const struct dc_shape *out, const struct dc_ctx *ctx)
{
    dc_adding_memory(memory, node, in, out, ctx);
    memory->forward = (size_t)table_bytes(out);
    memory->backward += (size_t)table_bytes(out);
}

// What each op says: from[i] of output axis k, in strides of input axis *axis.
typedef void axis_map(int64_t *from, int *axis, const struct dc_op_call *call, int k);

static void transpose_axis(int64_t *from, int *axis, const struct dc_op_call *call, int k)
{
    const struct dc_transpose_attributes *a = call->node->attributes;
    *axis = a->axes[k];
    for (int64_t i = 0; i < call->out.shape.dims[k]; i++)
        from[i] = i;
}

static void expand_axis(int64_t *from, int *axis, const struct dc_op_call *call, int k)
{
    const struct dc_shape *in = &call->in[0].shape;
    *axis = k - (call->out.shape.rank - in->rank);
    for (int64_t i = 0; i < call->out.shape.dims[k]; i++)
        from[i] = *axis < 1 || in->dims[*axis] == 1 ? 0 : i;
}

static void gather_axis(int64_t *from, int *axis, const struct dc_op_call *call, int k)
{
    const struct dc_gather_attributes *a = call->node->attributes;
    const bool gathers = k == dc_axis_of(a->axis, call->out.shape.rank);
    *axis = k;
    for (int64_t i = 0; i < call->out.shape.dims[k]; i++)
        from[i] = gathers ? (int64_t)call->param[0][i] : i;
}

static void pad_axis(int64_t *from, int *axis, const struct dc_op_call *call, int k)
{
    const struct dc_pad_axes_attributes *a = call->node->attributes;
    const int64_t size = call->in[0].shape.dims[k];
    *axis = k;
    for (int64_t i = 0; i < call->out.shape.dims[k]; i++) {
        const int64_t at = i - a->before[k - 1];
        const int64_t over = at < 0 ? -at : at >= size ? at - size + 1 : 0;
        if (over == 0)
            from[i] = at;
        else if (a->mode == DC_PAD_CONSTANT)
            from[i] = NOWHERE;
        else if (a->mode == DC_PAD_REFLECT)
            from[i] = at < 0 ? over : size - 1 - over;
        else
            from[i] = at < 0 ? 0 : size - 1;
    }
}

static struct map map_of(const struct dc_op_call *call, int64_t *tables)
{
    const struct dc_op *op = call->node->op;
    axis_map *const fill = op == &dc_op_transpose ? transpose_axis
                           : op == &dc_op_expand  ? expand_axis
                           : op == &dc_op_gather  ? gather_axis
                                                  : pad_axis;
    const struct dc_shape *in = &call->in[0].shape, *out = &call->out.shape;
    struct map map = {.rank = out->rank, .run = true};
    if (op == &dc_op_pad_axes)
        map.fill = ((const struct dc_pad_axes_attributes *)call->node->attributes)->value;
    for (int k = 1; k < out->rank; k++) {
        int axis;
        map.size[k] = out->dims[k];
        map.from[k] = tables;
        fill(tables, &axis, call, k);
        const int64_t stride = axis < 1 ? 0 : dc_shape_product(in, axis + 1, in->rank);
        for (int64_t i = 0; i < out->dims[k]; i++) {
            if (tables[i] != NOWHERE)
                tables[i] *= stride;
            map.run = map.run && (k + 1 < out->rank || tables[i] == i);
        }
        tables += out->dims[k];
    }
    return map;
}

// Calls visit for every line along the last axis of a row: `at` is where the other axes put it in
// the input, or NOWHERE; y_line counts lines.
typedef void visit_line(const struct map *map, float *wide, float *line, int64_t at);

static void for_each_line(const struct map *map, float *wide, float *lines, visit_line *visit)
{
    const int last = map->rank - 1;
    int64_t index[DC_RANK_MAX] = {0};
    for (int k = last - 1; k >= 0;) {
        int64_t at = 0;
        for (int j = 1; j < last; j++) {
            const int64_t from = map->from[j][index[j]];
            at = from == NOWHERE || at == NOWHERE ? NOWHERE : at + from;
        }
        visit(map, wide, lines, at);
        lines += map->size[last];
        for (k = last - 1; k >= 1 && ++index[k] == map->size[k]; k--)
            index[k] = 0;
        if (k < 1)
            break;
    }
}

static void read_line(const struct map *map, float *wide, float *line, int64_t at)
{
    const int64_t count = map->size[map->rank - 1], *from = map->from[map->rank - 1];
    if (at == NOWHERE)
        for (int64_t i = 0; i < count; i++)
            line[i] = map->fill;
    else if (map->run)
        memcpy(line, wide + at, (size_t)count * sizeof *line);
    else
        for (int64_t i = 0; i < count; i++)
            line[i] = from[i] == NOWHERE ? map->fill : wide[at + from[i]];
}

static void add_line(const struct map *map, float *wide, float *line, int64_t at)
{
    const int64_t count = map->size[map->rank - 1], *from = map->from[map->rank - 1];
    for (int64_t i = 0; i < count && at != NOWHERE; i++)
        if (from[i] != NOWHERE)
            wide[at + from[i]] += line[i];
}

struct job {
    const struct dc_op_call *call;
    struct map map;
};

static void forward_chunk(void *arg, int chunk, int thread)
{
    (void)thread;
    const struct job *job = arg;
    const struct dc_op_call *call = job->call;
    const struct dc_rows rows = dc_chunk_rows(call->rows, call->ctx->chunks, chunk);
    const int64_t in = dc_is_shared(call, 0) ? 0 : dc_shape_row(&call->in[0].shape);
    const int64_t out = dc_shape_row(&call->out.shape);
    for (int64_t r = rows.first; r < rows.first + rows.count; r++)
        for_each_line(&job->map, dc_f32(&call->in[0]) + r * in, dc_f32(&call->out) + r * out,
                      read_line);
}

static enum dc_status check_indices(const struct dc_op_call *call, struct dc_error *error)
{
    const struct dc_gather_attributes *a = call->node->attributes;
    const int64_t size = call->in[0].shape.dims[dc_axis_of(a->axis, call->in[0].shape.rank)];
    for (int64_t i = 0; i < a->count; i++) {
        const float index = call->param[0][i];
        if (!(index >= 0.0f && index < (float)size))
            return dc_fail(error, DC_ERR_CONFIG,
                           "index %g of a gather from an axis of %" PRId64 " values", (double)index,
                           size);
    }
    return DC_OK;
}

static enum dc_status forward(const struct dc_op_call *call, struct dc_error *error)
{
    if (call->node->op == &dc_op_gather)
        DC_TRY(check_indices(call, error));
    struct job job = {call, map_of(call, call->scratch)};
    dc_parallel_for(call->ctx, call->ctx->chunks, forward_chunk, &job);
    return DC_OK;
}

// The tables lie behind the sums of dc_adding_backward.
static int64_t *backward_tables(const struct dc_op_call *call)
{
    struct dc_op_memory sums = {0};
    dc_adding_memory(&sums, call->node, &call->in[0].shape, &call->out.shape, call->ctx);
    return (int64_t *)((char *)call->scratch + sums.backward);
}

static void backward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const struct map *map = (const struct map *)call->saved;
    const struct dc_target target = dc_input_target(call, 0, rows);
    const int64_t out = dc_shape_row(&call->out.shape);
    for (int64_t r = 0; r < rows.count; r++)
        for_each_line(map, target.at + r * target.row,
                      dc_f32(&call->d_out) + (rows.first + r) * out, add_line);
}

static enum dc_status backward(const struct dc_op_call *call, struct dc_error *error)
{
    struct map map = map_of(call, backward_tables(call));
    struct dc_op_call with_map = *call;
    with_map.saved = &map;
    return dc_adding_backward(&with_map, error);
}

// Shapes.

static enum dc_status transpose_infer(struct dc_shape *out, const struct dc_node *node,
                                      const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_transpose_attributes *a = node->attributes;
    char text[DC_SHAPE_TEXT];
    unsigned seen = 0;
    *out = in[0];
    for (int k = 0; k < in[0].rank; k++) {
        const bool fits = a->axes[k] >= 0 && a->axes[k] < in[0].rank;
        seen |= fits ? 1u << a->axes[k] : 0u;
        out->dims[k] = in[0].dims[fits ? a->axes[k] : 0];
    }
    if (in[0].rank < 2 || a->axes[0] != 0 || seen != (1u << in[0].rank) - 1u)
        return dc_fail(error, DC_ERR_CONFIG,
                       "a transpose of %s names each of its axes once, the batch first",
                       dc_shape_text(text, &in[0]));
    return DC_OK;
}

static enum dc_status expand_infer(struct dc_shape *out, const struct dc_node *node,
                                   const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_expand_attributes *a = node->attributes;
    *out = (struct dc_shape){.rank = a->rank + 1, .dims = {DC_BATCH}};
    bool fits = a->rank >= 1 && a->rank >= in[0].rank - 1 && a->rank < DC_RANK_MAX;
    for (int k = 1; fits && k <= a->rank; k++) {
        const int axis = k - (a->rank + 1 - in[0].rank);
        const int64_t own = axis < 1 ? 1 : in[0].dims[axis];
        out->dims[k] = a->dims[k - 1];
        fits = out->dims[k] >= 1 && (own == 1 || own == out->dims[k]);
    }
    char text[DC_SHAPE_TEXT];
    if (!fits)
        return dc_fail(error, DC_ERR_CONFIG,
                       "expand of %s: new dimensions must be there for all axes of a row, and "
                       "differ only where the size is 1",
                       dc_shape_text(text, &in[0]));
    return DC_OK;
}

static enum dc_status gather_infer(struct dc_shape *out, const struct dc_node *node,
                                   const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_gather_attributes *a = node->attributes;
    const int axis = dc_axis_of(a->axis, in[0].rank);
    char text[DC_SHAPE_TEXT];
    if (axis == 0 || a->count < 1)
        return dc_fail(error, DC_ERR_CONFIG, "gather of %" PRId64 " indices along axis %d of %s",
                       a->count, a->axis, dc_shape_text(text, &in[0]));
    *out = in[0];
    out->dims[axis] = a->count;
    return DC_OK;
}

static int gather_declare(struct dc_param_spec specs[DC_OP_PARAMS_MAX], const struct dc_node *node,
                          const struct dc_shape *in)
{
    const struct dc_gather_attributes *a = node->attributes;
    (void)in;
    specs[0] = (struct dc_param_spec){
        .name = "indices", .role = DC_ROLE_STATISTIC, .shape = DC_SHAPE(a->count)};
    return 1;
}

static enum dc_status pad_infer(struct dc_shape *out, const struct dc_node *node,
                                const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_pad_axes_attributes *a = node->attributes;
    *out = in[0];
    if (in[0].rank < 2)
        return dc_fail(error, DC_ERR_CONFIG, "pad_axes needs an axis behind the batch");
    for (int k = 1; k < in[0].rank; k++) {
        const int before = a->before[k - 1], after = a->after[k - 1];
        const int most = before > after ? before : after;
        if (before < 0 || after < 0 || (a->mode == DC_PAD_REFLECT && most >= in[0].dims[k]))
            return dc_fail(error, DC_ERR_CONFIG,
                           "padding %d and %d of axis %d of size %" PRId64
                           ": it must not be negative, and a reflection is below the size",
                           before, after, k, in[0].dims[k]);
        out->dims[k] += before + after;
    }
    return DC_OK;
}

#define LAYOUT(name_, attributes_, infer_, ...)                                                    \
    {                                                                                              \
        .name = name_, .inputs_min = 1, .inputs_max = 1,                                           \
        .attribute_bytes = sizeof(struct attributes_), .infer = infer_, .memory = memory,          \
        .forward = forward, .backward = backward, .backward_rows = backward_rows, __VA_ARGS__      \
    }

const struct dc_op dc_op_transpose = LAYOUT("transpose", dc_transpose_attributes, transpose_infer,
                                            .flags = 0);
const struct dc_op dc_op_expand = LAYOUT("expand", dc_expand_attributes, expand_infer,
                                         .flags = DC_OP_CONSTANT_INPUTS);
const struct dc_op dc_op_gather = LAYOUT("gather", dc_gather_attributes, gather_infer,
                                         .declare = gather_declare);
const struct dc_op dc_op_pad_axes = LAYOUT("pad_axes", dc_pad_axes_attributes, pad_infer,
                                           .flags = 0);
