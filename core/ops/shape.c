// Owns the ops that move values without computing: concat, slice, pad, reshape, flatten.
//
// All are copies of runs of neighbouring floats between two layouts of a row, so each op only says
// where the runs lie; backward copies them the other way. Values are never looked at: NaN passes.

#include <inttypes.h>
#include <string.h>

#include "core/ops/ops.h"

// Runs of one input of one row: for o < outer, for k < count, `run` floats at
// wide[wide_start + o * wide_outer + k * wide_step] and narrow[(o * count + k) * run].
// narrow: the op's input (concat, pad, reshape) or its output (slice).
struct runs {
    int64_t outer, count, run;
    int64_t wide_start, wide_outer, wide_step;
};

typedef void layout(struct runs *runs, const struct dc_op_call *call, int input);

static void put(float *to, const float *from, int64_t count, bool add)
{
    if (add)
        for (int64_t i = 0; i < count; i++)
            to[i] += from[i];
    else
        memcpy(to, from, (size_t)count * sizeof *to);
}

static void gather_runs(float *narrow, const float *wide, const struct runs *r, bool add)
{
    for (int64_t o = 0; o < r->outer; o++)
        for (int64_t k = 0; k < r->count; k++, narrow += r->run)
            put(narrow, wide + r->wide_start + o * r->wide_outer + k * r->wide_step, r->run, add);
}

static void scatter_runs(float *wide, const float *narrow, const struct runs *r, bool add)
{
    for (int64_t o = 0; o < r->outer; o++)
        for (int64_t k = 0; k < r->count; k++, narrow += r->run)
            put(wide + r->wide_start + o * r->wide_outer + k * r->wide_step, narrow, r->run, add);
}

static enum dc_status fail_axis(struct dc_error *error, const char *op, int axis,
                                const struct dc_shape *in)
{
    char text[DC_SHAPE_TEXT];
    return dc_fail(error, DC_ERR_CONFIG, "%s along axis %d: %s has axes 1 to %d behind the batch",
                   op, axis, dc_shape_text(text, in), in->rank - 1);
}

// Concatenation.

static enum dc_status concat_infer(struct dc_shape *out, const struct dc_node *node,
                                   const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_concat_attributes *attributes = node->attributes;
    const int axis = dc_axis_of(attributes->axis, in[0].rank);
    if (axis == 0)
        return fail_axis(error, "concat", attributes->axis, &in[0]);
    *out = in[0];
    for (int i = 1; i < node->input_count; i++) {
        struct dc_shape other = in[i];
        if (other.rank == out->rank)
            other.dims[axis] = in[0].dims[axis];
        if (!dc_shape_equal(&other, &in[0])) {
            char a[DC_SHAPE_TEXT], b[DC_SHAPE_TEXT];
            return dc_fail(error, DC_ERR_CONFIG,
                           "concat along axis %d needs equal shapes but for that axis: input 1 is "
                           "%s, input %d is %s",
                           axis, dc_shape_text(a, &in[0]), i + 1, dc_shape_text(b, &in[i]));
        }
        out->dims[axis] += in[i].dims[axis];
    }
    return DC_OK;
}

static void concat_layout(struct runs *runs, const struct dc_op_call *call, int input)
{
    const struct dc_concat_attributes *attributes = call->node->attributes;
    const struct dc_shape *out = &call->out.shape;
    const int axis = dc_axis_of(attributes->axis, out->rank);
    const int64_t inner = dc_shape_product(out, axis + 1, out->rank);
    *runs = (struct runs){
        .outer = dc_shape_product(out, 1, axis),
        .count = 1,
        .run = call->in[input].shape.dims[axis] * inner,
        .wide_outer = out->dims[axis] * inner,
    };
    for (int i = 0; i < input; i++)
        runs->wide_start += call->in[i].shape.dims[axis] * inner;
}

// Padding.

static enum dc_status pad_infer(struct dc_shape *out, const struct dc_node *node,
                                const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_pad_attributes *a = node->attributes;
    char text[DC_SHAPE_TEXT];
    if (in[0].rank != 4)
        return dc_fail(error, DC_ERR_CONFIG, "pad needs [batch, height, width, channels], not %s",
                       dc_shape_text(text, &in[0]));
    if (a->top < 0 || a->bottom < 0 || a->left < 0 || a->right < 0 || a->before < 0 || a->after < 0)
        return dc_fail(error, DC_ERR_CONFIG,
                       "padding must not be negative: %d, %d, %d, %d, channels %d, %d", a->top,
                       a->bottom, a->left, a->right, a->before, a->after);
    *out = in[0];
    out->dims[1] += a->top + a->bottom;
    out->dims[2] += a->left + a->right;
    out->dims[3] += a->before + a->after;
    return DC_OK;
}

static void pad_layout(struct runs *runs, const struct dc_op_call *call, int input)
{
    const struct dc_pad_attributes *a = call->node->attributes;
    const struct dc_shape *in = &call->in[input].shape;
    const int64_t channels = call->out.shape.dims[3], wide = call->out.shape.dims[2] * channels;
    *runs = (struct runs){
        .outer = in->dims[1],
        .count = in->dims[2],
        .run = in->dims[3],
        .wide_start = a->top * wide + a->left * channels + a->before,
        .wide_outer = wide,
        .wide_step = channels,
    };
}

// Slices.

static enum dc_status slice_infer(struct dc_shape *out, const struct dc_node *node,
                                  const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_slice_attributes *a = node->attributes;
    const int axis = dc_axis_of(a->axis, in[0].rank);
    if (axis == 0)
        return fail_axis(error, "slice", a->axis, &in[0]);
    const int64_t size = in[0].dims[axis];
    const bool up = a->step >= 1 && a->begin >= 0 && a->begin < a->end && a->end <= size;
    const bool down = a->step <= -1 && a->begin < size && a->begin > a->end && a->end >= -1;
    if (!up && !down)
        return dc_fail(error, DC_ERR_CONFIG,
                       "slice [%" PRId64 ", %" PRId64 ") by %" PRId64
                       " of axis %d: it needs 0 <= begin < end <= %" PRId64
                       " and a step from 1, or %" PRId64 " > begin > end >= -1 and a step below 0",
                       a->begin, a->end, a->step, axis, size, size);
    *out = in[0];
    out->dims[axis] = (a->end - a->begin - (up ? 1 : -1)) / a->step + 1;
    return DC_OK;
}

static void slice_layout(struct runs *runs, const struct dc_op_call *call, int input)
{
    const struct dc_slice_attributes *a = call->node->attributes;
    const struct dc_shape *in = &call->in[input].shape;
    const int axis = dc_axis_of(a->axis, in->rank);
    const int64_t inner = dc_shape_product(in, axis + 1, in->rank);
    *runs = (struct runs){
        .outer = dc_shape_product(in, 1, axis),
        .count = call->out.shape.dims[axis],
        .run = inner,
        .wide_start = a->begin * inner,
        .wide_outer = in->dims[axis] * inner,
        .wide_step = a->step * inner,
    };
    if (a->step == 1) {  // neighbours: one long run
        runs->run *= runs->count;
        runs->count = 1;
    }
}

// Reshape and flatten.

static enum dc_status reshape_infer(struct dc_shape *out, const struct dc_node *node,
                                    const struct dc_shape *in, struct dc_error *error)
{
    const struct dc_reshape_attributes *a = node->attributes;
    if (a->rank < 1 || a->rank >= DC_RANK_MAX)
        return dc_fail(error, DC_ERR_CONFIG, "reshape to %d dimensions; it may be 1 to %d", a->rank,
                       DC_RANK_MAX - 1);
    const int64_t row = dc_shape_row(&in[0]);
    int64_t known = 1;
    int open = -1;  // the dimension that takes what is left
    *out = (struct dc_shape){.rank = a->rank + 1, .dims = {in[0].dims[0]}};
    for (int i = 0; i < a->rank; i++) {
        out->dims[i + 1] = a->dims[i];
        if (a->dims[i] == -1 && open < 0)
            open = i + 1;
        else if (a->dims[i] < 1 || a->dims[i] > row)
            known = -1;
        if (known > 0 && open != i + 1)
            known = known <= row / a->dims[i] ? known * a->dims[i] : -1;
    }
    if (open > 0 && known > 0) {
        out->dims[open] = row / known;
        known *= out->dims[open];
    }
    char text[DC_SHAPE_TEXT];
    if (known != row)
        return dc_fail(error, DC_ERR_CONFIG,
                       "the %" PRId64 " values of a row of %s do not fill the new shape", row,
                       dc_shape_text(text, &in[0]));
    return DC_OK;
}

static enum dc_status flatten_infer(struct dc_shape *out, const struct dc_node *node,
                                    const struct dc_shape *in, struct dc_error *error)
{
    (void)node;
    (void)error;
    *out = DC_SHAPE(in[0].dims[0], dc_shape_row(&in[0]));
    return DC_OK;
}

static void whole_layout(struct runs *runs, const struct dc_op_call *call, int input)
{
    (void)input;
    *runs = (struct runs){.outer = 1, .count = 1, .run = dc_shape_row(&call->out.shape)};
}

// Running them.

struct kind {
    layout *layout;
    bool narrows;  // slice: the output is the narrow side
    bool covers;   // the narrow sides together fill the wide one
};

static struct kind kind_of(const struct dc_op *op)
{
    if (op == &dc_op_concat)
        return (struct kind){concat_layout, false, true};
    if (op == &dc_op_pad)
        return (struct kind){pad_layout, false, false};
    if (op == &dc_op_slice)
        return (struct kind){slice_layout, true, false};
    return (struct kind){whole_layout, false, true};
}

static void forward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const struct kind kind = kind_of(call->node->op);
    const int64_t out_row = dc_shape_row(&call->out.shape);
    float *out = dc_f32(&call->out);
    if (!kind.narrows && !kind.covers)
        memset(out + rows.first * out_row, 0, (size_t)(rows.count * out_row) * sizeof *out);
    for (int i = 0; i < call->node->input_count; i++) {
        struct runs runs;
        kind.layout(&runs, call, i);
        const float *in = dc_f32(&call->in[i]);
        const int64_t in_row = dc_shape_row(&call->in[i].shape);
        for (int64_t r = rows.first; r < rows.first + rows.count; r++)
            (kind.narrows ? gather_runs : scatter_runs)(out + r * out_row, in + r * in_row, &runs,
                                                        false);
    }
}

static void backward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const struct kind kind = kind_of(call->node->op);
    const int64_t out_row = dc_shape_row(&call->out.shape);
    const float *g = dc_f32(&call->d_out);
    for (int i = 0; i < call->node->input_count; i++) {
        struct runs runs;
        kind.layout(&runs, call, i);
        float *dx = dc_f32(&call->d_in[i]);
        const int64_t in_row = dc_shape_row(&call->in[i].shape);
        if (!dx)
            continue;
        if (kind.narrows && !call->add_gradient[i])
            memset(dx + rows.first * in_row, 0, (size_t)(rows.count * in_row) * sizeof *dx);
        for (int64_t r = rows.first; r < rows.first + rows.count; r++)
            (kind.narrows ? scatter_runs : gather_runs)(dx + r * in_row, g + r * out_row, &runs,
                                                        call->add_gradient[i]);
    }
}

#define SHAPE_OP(name_, inputs_min_, inputs_max_, attribute_bytes_, infer_)                        \
    DC_ROW_OP(name_, inputs_min_, inputs_max_, .attribute_bytes = attribute_bytes_, .infer = infer_)

const struct dc_op dc_op_concat = SHAPE_OP("concat", 2, DC_INPUTS_MAX,
                                           sizeof(struct dc_concat_attributes), concat_infer);
const struct dc_op dc_op_pad = SHAPE_OP("pad", 1, 1, sizeof(struct dc_pad_attributes), pad_infer);
const struct dc_op dc_op_slice = SHAPE_OP("slice", 1, 1, sizeof(struct dc_slice_attributes),
                                          slice_infer);
const struct dc_op dc_op_reshape = SHAPE_OP("reshape", 1, 1, sizeof(struct dc_reshape_attributes),
                                            reshape_infer);
const struct dc_op dc_op_flatten = SHAPE_OP("flatten", 1, 1, 0, flatten_infer);
