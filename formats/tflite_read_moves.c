// Owns what operators that move values become: reshapes, transpositions, paddings, slices,
// resizing, and the two that store reals as codes and read them.

#include <float.h>
#include <string.h>

#include "formats/tflite_read_internal.h"

// RESHAPE, SQUEEZE, EXPAND_DIMS: the file says the new shape of the result; where the batch is left
// open the shape itself is computed, which nobody needs.
enum dc_status dc__tflite_reshape(struct dc_tflite_call *call)
{
    struct dc_shape shape;
    struct dc_reshape_attributes a = {0};
    int node;
    DC_TRY(dc__tflite_input(call, &node, 0, false));
    DC_TRY(dc__tflite_shape(call, &shape, dc__result(call)));
    if (dc_shape_row(&shape) != dc_shape_row(&call->r->graph->nodes[node].shape))
        return dc__tflite_refuse_call(call, "the new shape has another number of values");
    a.rank = shape.rank - 1;
    memcpy(a.dims, shape.dims + 1, sizeof a.dims);
    if (a.rank == 1)
        DC_TRY(dc__tflite_emit(call, NULL, &dc_op_flatten, NULL, &node, 1));
    else
        DC_TRY(dc__tflite_emit(call, NULL, &dc_op_reshape, &a, &node, 1));
    return dc__tflite_give(call, node, DC_TFLITE_NONE);
}

enum dc_status dc__tflite_transpose(struct dc_tflite_call *call)
{
    struct dc_transpose_attributes a = {0};
    int64_t order[DC_TFLITE_LIST];
    int count, node;
    unsigned seen = 0;
    DC_TRY(dc__tflite_list(call, order, &count, 1));
    DC_TRY(dc__tflite_input(call, &node, 0, false));
    for (int i = 0; i < count; i++) {
        seen |= order[i] >= 0 && order[i] < count ? 1u << order[i] : 0;
        a.axes[i] = (int)order[i];
    }
    if (count != call->r->graph->nodes[node].shape.rank || seen != (1u << count) - 1 || order[0])
        return dc__tflite_refuse_call(call, "it moves the batch, or is no order of the axes");
    DC_TRY(dc__tflite_emit(call, NULL, &dc_op_transpose, &a, &node, 1));
    return dc__tflite_give(call, node, DC_TFLITE_NONE);
}

enum dc_status dc__tflite_concat(struct dc_tflite_call *call)
{
    const int count = call->o->input_count, rank = dc__result(call)->rank;
    int64_t axis = call->o->options[0];
    int nodes[DC_TFLITE_INPUTS_MAX];
    axis += axis < 0 ? rank : 0;
    if (axis < 1 || axis >= rank)
        return dc__tflite_refuse_call(call, "the axis is the batch or none of the value's");
    for (int k = 0; k < count; k++)
        DC_TRY(dc__tflite_input(call, &nodes[k], k, false));
    const struct dc_concat_attributes a = {(int)axis};
    DC_TRY(dc__tflite_emit(call, NULL, &dc_op_concat, &a, nodes, count));
    return dc__tflite_give(call, nodes[0], call->o->options[1]);
}

// Padding.

// Whether every operator that reads the result is a window without padding of its own that takes
// this one over: of zeros a convolution, of the least value a maximum.
static bool is_taken_over(const struct dc_tflite_call *call, bool least)
{
    const struct dc_tflite_reading *r = call->r;
    if (r->file.output == call->o->output)
        return false;
    for (int i = 0; i < r->file.operator_count; i++) {
        const struct dc_tflite_operator *o = &r->file.operators[i];
        const bool window = least ? o->code == DC_TFLITE_MAX_POOL_2D
                                  : o->code == DC_TFLITE_CONV_2D ||
                                        o->code == DC_TFLITE_DEPTHWISE_CONV_2D;
        for (int k = 0; k < o->input_count && k < DC_TFLITE_INPUTS_MAX; k++)
            if (o->inputs[k] == call->o->output &&
                (!window || k > 0 || o->options[0] != DC_TFLITE_VALID))
                return false;
    }
    return true;
}

// What a PADV2 pads with; the least that the value can be is what a maximum ignores.
static enum dc_status padding_value(struct dc_tflite_call *call, float *value, bool *least)
{
    const float *values;
    int64_t count;
    *value = 0.0f;
    *least = false;
    if (call->o->code == DC_TFLITE_PAD)
        return DC_OK;
    if (!dc__tflite_is_constant(call, 2))
        return dc__tflite_refuse_call(call, "the padding value is computed, not constant");
    DC_TRY(dc__tflite_numbers(call, &values, &count, 2));
    const struct dc_tflite_tensor *t = dc__tensor(call, 2);
    if (count != 1)
        return dc__tflite_refuse_call(call, "the padding value is one number");
    *value = values[0];
    *least = t->type == DC_TFLITE_INT8 ? *(const int8_t *)t->data == -128 : values[0] <= -FLT_MAX;
    return DC_OK;
}

enum dc_status dc__tflite_pad(struct dc_tflite_call *call)
{
    struct dc_tflite_reading *r = call->r;
    int64_t list[DC_TFLITE_LIST];
    int count, node;
    float value;
    bool least;
    DC_TRY(dc__tflite_list(call, list, &count, 1));
    DC_TRY(padding_value(call, &value, &least));
    for (int i = 0; i < count; i++)
        if (list[i] < 0 || list[i] > 1 << 16)
            return dc__tflite_refuse_call(call, "paddings are from 0 to 65536");
    const struct dc_tflite_tensor *x = dc__tensor(call, 0);
    if (count != 2 * x->rank || list[0] || list[1])
        return dc__tflite_refuse_call(call, "it pads the batch, or not every axis");
    const bool image = count == 8, plane = image && !list[6] && !list[7];
    struct dc_tflite_value *from = &r->values[call->o->inputs[0]];
    if (plane && !from->padded && (value == 0.0f || least) && from->node >= 0 &&
        dc__tflite_is_stored(x) == dc__tflite_is_stored(dc__result(call)) &&
        is_taken_over(call, least)) {
        struct dc_tflite_value *to = &r->values[call->o->output];
        to->node = from->node;
        to->padded = true;
        for (int i = 0; i < 2; i++) {
            to->before[i] = (int)list[2 + 2 * i];
            to->after[i] = (int)list[3 + 2 * i];
        }
        return DC_OK;
    }
    DC_TRY(dc__tflite_input(call, &node, 0, false));
    if (image && value == 0.0f) {
        const struct dc_pad_attributes a = {(int)list[2], (int)list[3], (int)list[4],
                                            (int)list[5], (int)list[6], (int)list[7]};
        DC_TRY(dc__tflite_emit(call, NULL, &dc_op_pad, &a, &node, 1));
        return dc__tflite_give(call, node, DC_TFLITE_NONE);
    }
    struct dc_pad_axes_attributes a = {.mode = DC_PAD_CONSTANT, .value = value};
    for (int i = 1; i < count / 2; i++) {
        a.before[i - 1] = (int)list[2 * i];
        a.after[i - 1] = (int)list[2 * i + 1];
    }
    DC_TRY(dc__tflite_emit(call, NULL, &dc_op_pad_axes, &a, &node, 1));
    return dc__tflite_give(call, node, DC_TFLITE_NONE);
}

// Slices.

// One slice an axis that is not taken whole; all of one axis each, stored between.
static enum dc_status cut(struct dc_tflite_call *call, const int64_t *begin, const int64_t *end,
                          const int64_t *step, int rank)
{
    int node, cuts = 0;
    DC_TRY(dc__tflite_input(call, &node, 0, false));
    const struct dc_shape in = call->r->graph->nodes[node].shape;
    if (rank != in.rank)
        return dc__tflite_refuse_call(call, "it does not say where every axis begins");
    for (int i = 1; i < rank; i++) {
        const struct dc_slice_attributes a = {i, begin[i], end[i], step[i]};
        if (begin[i] < 0 || step[i] < 1 || end[i] <= begin[i] || end[i] > in.dims[i])
            return dc__tflite_refuse_call(call,
                                          "a slice is empty, goes backwards or leads outside");
        if (begin[i] == 0 && end[i] == in.dims[i] && step[i] == 1)
            continue;
        if (cuts++ > 0)
            DC_TRY(dc__tflite_store(call, &node, 0));
        DC_TRY(dc__tflite_emit(call, NULL, &dc_op_slice, &a, &node, 1));
    }
    if (cuts == 0) {
        const struct dc_slice_attributes whole = {rank - 1, 0, in.dims[rank - 1], 1};
        DC_TRY(dc__tflite_emit(call, NULL, &dc_op_slice, &whole, &node, 1));
    }
    return dc__tflite_give(call, node, DC_TFLITE_NONE);
}

enum dc_status dc__tflite_strided_slice(struct dc_tflite_call *call)
{
    enum { BEGIN_MASK, END_MASK, ELLIPSIS_MASK, NEW_AXIS_MASK, SHRINK_MASK };
    const int64_t *masks = call->o->options;
    int64_t begin[DC_TFLITE_LIST] = {0}, end[DC_TFLITE_LIST] = {0}, step[DC_TFLITE_LIST] = {0};
    const struct dc_tflite_tensor *x = dc__tensor(call, 0);
    int ranks[3];
    DC_TRY(dc__tflite_list(call, begin, &ranks[0], 1));
    DC_TRY(dc__tflite_list(call, end, &ranks[1], 2));
    DC_TRY(dc__tflite_list(call, step, &ranks[2], 3));
    if (masks[ELLIPSIS_MASK] || masks[NEW_AXIS_MASK] || masks[SHRINK_MASK])
        return dc__tflite_refuse_call(call, "an ellipsis, new or removed axes are not read");
    if (ranks[0] != x->rank || ranks[1] != x->rank || ranks[2] != x->rank || x->rank > 4)
        return dc__tflite_refuse_call(call, "it does not say where every axis begins");
    for (int i = 0; i < x->rank; i++) {
        begin[i] = masks[BEGIN_MASK] >> i & 1 ? 0 : begin[i] + (begin[i] < 0 ? x->shape[i] : 0);
        end[i] = masks[END_MASK] >> i & 1 ? x->shape[i] : end[i] + (end[i] < 0 ? x->shape[i] : 0);
        end[i] = end[i] > x->shape[i] ? x->shape[i] : end[i];
    }
    if (begin[0] != 0 || end[0] != x->shape[0] || step[0] != 1)
        return dc__tflite_refuse_call(call, "it cuts the batch");
    return cut(call, begin, end, step, x->rank);
}

enum dc_status dc__tflite_slice(struct dc_tflite_call *call)
{
    static const int64_t ones[DC_TFLITE_LIST] = {1, 1, 1, 1, 1, 1, 1, 1};
    int64_t begin[DC_TFLITE_LIST] = {0}, size[DC_TFLITE_LIST] = {0}, end[DC_TFLITE_LIST] = {0};
    const struct dc_tflite_tensor *x = dc__tensor(call, 0);
    int ranks[2];
    DC_TRY(dc__tflite_list(call, begin, &ranks[0], 1));
    DC_TRY(dc__tflite_list(call, size, &ranks[1], 2));
    if (ranks[0] != x->rank || ranks[1] != x->rank || x->rank > 4)
        return dc__tflite_refuse_call(call, "it does not say where every axis begins");
    for (int i = 0; i < x->rank; i++)
        end[i] = size[i] == -1                          ? x->shape[i]
                 : size[i] < 0 || size[i] > x->shape[i] ? -1
                                                        : begin[i] + size[i];
    if (begin[0] != 0 || end[0] != x->shape[0])
        return dc__tflite_refuse_call(call, "it cuts the batch");
    return cut(call, begin, end, ones, x->rank);
}

// The kernels' rules (reference/resize_*.h): without flags a pixel lies at i / scale; nearest takes
// the floor of that, with either flag the nearest, a half upward.
enum dc_status dc__tflite_resize(struct dc_tflite_call *call)
{
    const bool linear = call->o->code == DC_TFLITE_RESIZE_BILINEAR;
    const int64_t *flags = call->o->options + (linear ? 2 : 0);
    const struct dc_tflite_tensor *t = dc__result(call);
    int node;
    DC_TRY(dc__tflite_input(call, &node, 0, false));
    if (t->rank != 4 || (flags[0] && flags[1]))
        return dc__tflite_refuse_call(call, "no image of 4 dimensions, or flags that exclude each "
                                            "other");
    const struct dc_resize_attributes a = {.height = t->shape[1],
                                           .width = t->shape[2],
                                           .coordinates = flags[0]   ? DC_ALIGN_CORNERS
                                                          : flags[1] ? DC_HALF_PIXEL
                                                                     : DC_ASYMMETRIC,
                                           .mode = linear                 ? DC_RESIZE_LINEAR
                                                   : flags[0] || flags[1] ? DC_RESIZE_ROUND_UP
                                                                          : DC_RESIZE_FLOOR};
    DC_TRY(dc__tflite_emit(call, NULL, &dc_op_resize, &a, &node, 1));
    return dc__tflite_give(call, node, DC_TFLITE_NONE);
}

// Codes.

enum dc_status dc__tflite_quantize(struct dc_tflite_call *call)
{
    int node;
    DC_TRY(dc__tflite_input(call, &node, 0, false));
    if (call->r->as_floats) {
        call->r->values[call->o->output].node = node;
        return DC_OK;
    }
    if (!dc__tflite_is_stored(dc__result(call)))
        return dc__tflite_refuse_call(call, "its result is no int8 with one scale and zero point");
    return dc__tflite_give(call, node, DC_TFLITE_NONE);
}

// Of a constant of 16 bits: the constant in floats.
enum dc_status dc__tflite_dequantize(struct dc_tflite_call *call)
{
    struct dc_tflite_value *value = &call->r->values[call->o->output];
    int node;
    if (dc__tflite_is_constant(call, 0)) {
        value->constant = call->r->values[call->o->inputs[0]].constant;
        return DC_OK;
    }
    DC_TRY(dc__tflite_input(call, &node, 0, false));
    if (dc__result(call)->type != DC_TFLITE_FLOAT32)
        return dc__tflite_refuse_call(call, "its result is no float32");
    value->node = node;
    return DC_OK;
}
