// Owns how the values and constants of a TFLite file are had in the graph: nodes with names of
// their own, reals between dequantize and quantize, fused activations, and constants as floats or
// codes. Knows no operator.

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/half.h"
#include "formats/int4.h"
#include "formats/tflite_read_internal.h"

bool dc__tflite_is_stored(const struct dc_tflite_tensor *t)
{
    return t->type == DC_TFLITE_INT8 && t->scale_count == 1 && t->scales[0] > 0.0f &&
           t->zero_point >= -128 && t->zero_point <= 127;
}

enum dc_status dc__tflite_refuse_call(const struct dc_tflite_call *call, const char *why)
{
    return dc_fail(call->r->error, DC_ERR_DATA, "%s", why);
}

bool dc__tflite_is_given(const struct dc_tflite_call *call, int k)
{
    return k < call->o->input_count && call->o->inputs[k] >= 0;
}

// Nodes.

enum dc_status dc__tflite_shape(const struct dc_tflite_call *call, struct dc_shape *shape,
                                const struct dc_tflite_tensor *t)
{
    *shape = (struct dc_shape){.rank = t->rank, .dims = {DC_BATCH}};
    if (t->rank < 2 || t->rank > 4)
        return dc_fail(call->r->error, DC_ERR_DATA,
                       "'%s' has %d dimensions; 2 to 4 are read, the "
                       "first of them the batch",
                       t->name, t->rank);
    if (t->shape[0] != call->r->batch)
        return dc_fail(call->r->error, DC_ERR_DATA,
                       "'%s' has %" PRId32 " rows, the input %" PRId32
                       ": the first dimension is not the batch",
                       t->name, t->shape[0], call->r->batch);
    for (int i = 1; i < t->rank; i++)
        shape->dims[i] = t->shape[i];
    return dc__import_check_size(shape, call->r->error);
}

enum dc_status dc__tflite_emit(struct dc_tflite_call *call, const char *part,
                               const struct dc_op *op, const void *attributes, int *nodes,
                               int count)
{
    struct dc_tflite_reading *r = call->r;
    const char *name = part ? dc_arena_printf(r->arena, r->error, "%s.%s", call->name, part)
                            : call->name;
    const char *unique = name ? dc__import_name(r->graph, r->arena, name, r->error) : NULL;
    if (!unique)
        return DC_ERR_MEMORY;
    DC_TRY(dc_graph_add(r->graph, unique, op, attributes, attributes ? op->attribute_bytes : 0,
                        nodes, count, nodes, r->error));
    return dc__import_check_size(&r->graph->nodes[*nodes].shape, r->error);
}

enum dc_status dc__tflite_set(struct dc_tflite_call *call, int node, int slot, const float *data,
                              const struct dc_codes *codes, int64_t count)
{
    struct dc_tflite_reading *r = call->r;
    const int param = r->graph->nodes[node].params[slot];
    const struct dc_param_spec *spec = &r->graph->params[param];
    if (dc_shape_count(&spec->shape) != count)
        return dc_fail(r->error, DC_ERR_DATA,
                       "'%s' has %" PRId64 " values where %" PRId64 " belong", spec->name, count,
                       dc_shape_count(&spec->shape));
    while (param >= r->data_capacity) {
        const int filled = r->data_capacity;
        r->data = dc_arena_grow(r->arena, r->data, filled, &r->data_capacity, sizeof *r->data,
                                r->error);
        r->codes = r->data ? dc_arena_grow(r->arena, r->codes, filled, &r->codes_capacity,
                                           sizeof *r->codes, r->error)
                           : NULL;
        if (!r->data || !r->codes)
            return DC_ERR_MEMORY;
    }
    r->data[param] = data;
    r->codes[param] = codes ? *codes : (struct dc_codes){.weights = NULL};
    return DC_OK;
}

static struct dc_quantize_attributes grid_of(const struct dc_tflite_tensor *t)
{
    return (struct dc_quantize_attributes){.scale = t->scales[0],
                                           .zero_point = t->zero_point,
                                           .bits = 8,
                                           .clamp_low = -128,
                                           .clamp_high = 127};
}

// A constant that both sides of an operator may be: [1, ...], equal in every row.
static enum dc_status constant_node(struct dc_tflite_call *call, int *node, int k)
{
    const struct dc_tflite_tensor *t = &call->r->file.tensors[call->o->inputs[k]];
    const float *values;
    int64_t count;
    DC_TRY(dc__tflite_numbers(call, &values, &count, k));
    struct dc_constant_attributes a = {
        .shape = {.rank = 2, .dims = {1, 1}},
        .role = count > 1 ? DC_ROLE_WEIGHT : DC_ROLE_STATISTIC,
    };
    const int rank = dc__result(call)->rank, missing = rank - t->rank;
    if (rank > 4 || missing < 0 || (missing == 0 && t->rank > 0 && t->shape[0] != 1))
        return dc_fail(call->r->error, DC_ERR_DATA, "the constant '%s' differs over the batch",
                       t->name);
    if (t->rank > 0) {
        a.shape.rank = rank;
        for (int i = 0; i < rank; i++)
            a.shape.dims[i] = i < missing ? 1 : t->shape[i - missing];
    }
    DC_TRY(dc__tflite_emit(call, "constant", &dc_op_constant, &a, node, 0));
    return dc__tflite_set(call, *node, 0, values, NULL, count);
}

enum dc_status dc__tflite_input(struct dc_tflite_call *call, int *node, int k, bool shared)
{
    static const char *const parts[DC_TFLITE_INPUTS_MAX] = {"x0", "x1", "x2", "x3",
                                                            "x4", "x5", "x6", "x7"};
    const struct dc_tflite_tensor *t = dc__tensor(call, k);
    const struct dc_tflite_value *value = &call->r->values[call->o->inputs[k]];
    if (value->node < 0)
        return shared ? constant_node(call, node, k)
                      : dc_fail(call->r->error, DC_ERR_DATA,
                                "'%s' is a constant, where a value is read", t->name);
    *node = value->node;
    if (t->type == DC_TFLITE_FLOAT32)
        return DC_OK;
    if (!dc__tflite_is_stored(t))
        return dc_fail(call->r->error, DC_ERR_DATA,
                       "'%s' is of TFLite's type %d%s; values of float32 and int8 with one scale "
                       "are read",
                       t->name, (int)t->type, t->type == DC_TFLITE_INT8 ? " without a scale" : "");
    const struct dc_quantize_attributes grid = grid_of(t);
    return dc__tflite_emit(call, parts[k], &dc_op_dequantize, &grid, node, 1);
}

enum dc_status dc__tflite_store(struct dc_tflite_call *call, int *node, int k)
{
    const struct dc_tflite_tensor *t = dc__tensor(call, k);
    if (!dc__tflite_is_stored(dc__result(call)) || !dc__tflite_is_stored(t))
        return DC_OK;
    const struct dc_quantize_attributes grid = grid_of(t);
    DC_TRY(dc__tflite_emit(call, "codes", &dc_op_quantize, &grid, node, 1));
    return dc__tflite_emit(call, "again", &dc_op_dequantize, &grid, node, 1);
}

// The activation as a node of its own.
static enum dc_status activate(struct dc_tflite_call *call, int *node, int64_t activation)
{
    static const struct dc_clip_attributes one = {-1.0f, 1.0f};
    switch (activation) {
    case DC_TFLITE_NONE:
        return DC_OK;
    case DC_TFLITE_RELU:
        return dc__tflite_emit(call, "relu", &dc_op_relu, NULL, node, 1);
    case DC_TFLITE_RELU6:
        return dc__tflite_emit(call, "relu6", &dc_op_relu6, NULL, node, 1);
    case DC_TFLITE_RELU_N1_TO_1:
        return dc__tflite_emit(call, "clip", &dc_op_clip, &one, node, 1);
    default:
        return dc_fail(call->r->error, DC_ERR_DATA, "fused activation %d is not read",
                       (int)activation);
    }
}

// The codes that a fused activation lets through, as TFLite computes them.
static enum dc_status clamp(struct dc_quantize_attributes *grid, const struct dc_tflite_call *call,
                            int64_t activation)
{
    if (activation < DC_TFLITE_NONE || activation > DC_TFLITE_RELU6)
        return dc_fail(call->r->error, DC_ERR_DATA, "fused activation %d is not read",
                       (int)activation);
    float low, high;
    dc_tflite_clamp(&low, &high, (enum dc_tflite_activation)activation, grid->scale,
                    grid->zero_point);
    grid->clamp_low = low > 127.0f ? 127 : (int)low;
    grid->clamp_high = high < -128.0f ? -128 : (int)high;
    return DC_OK;
}

// Of integers read as floats: a sum whose codes begin at 0 is a ReLU's, said or not, since what is
// below has no code.
static bool begins_at_zero(const struct dc_tflite_call *call)
{
    const enum dc_tflite_code code = call->o->code;
    return call->r->as_floats && dc__result(call)->zero_point == -128 &&
           (code == DC_TFLITE_CONV_2D || code == DC_TFLITE_DEPTHWISE_CONV_2D ||
            code == DC_TFLITE_FULLY_CONNECTED || code == DC_TFLITE_ADD || code == DC_TFLITE_SUB ||
            code == DC_TFLITE_MUL);
}

enum dc_status dc__tflite_give(struct dc_tflite_call *call, int node, int64_t activation)
{
    const struct dc_tflite_tensor *t = dc__result(call);
    struct dc_tflite_reading *r = call->r;
    const bool stored = dc__tflite_is_stored(t);
    struct dc_shape wanted, *made = &r->graph->nodes[node].shape;
    struct dc_quantize_attributes grid = {.scale = 0.0f};
    char here[DC_SHAPE_TEXT], there[DC_SHAPE_TEXT];
    if (!stored && t->type != DC_TFLITE_FLOAT32)
        return dc_fail(r->error, DC_ERR_DATA,
                       "'%s' is of TFLite's type %d; values of float32 and int8 with one scale are "
                       "read",
                       t->name, (int)t->type);
    DC_TRY(dc__tflite_shape(call, &wanted, t));
    const bool reshapes = !dc_shape_equal(made, &wanted);
    if (activation == DC_TFLITE_NONE && begins_at_zero(call))
        activation = DC_TFLITE_RELU;
    if (dc_shape_row(made) != dc_shape_row(&wanted))
        return dc_fail(r->error, DC_ERR_DATA, "gives %s, and the file says %s",
                       dc_shape_text(here, made), dc_shape_text(there, &wanted));
    if (stored) {
        r->integers = true;
        grid = grid_of(t);
        DC_TRY(clamp(&grid, call, activation));
        DC_TRY(dc__tflite_emit(call, "quant", &dc_op_quantize, &grid, &node, 1));
    } else {
        DC_TRY(activate(call, &node, activation));
    }
    if (reshapes) {
        struct dc_reshape_attributes shape = {.rank = wanted.rank - 1};
        memcpy(shape.dims, wanted.dims + 1, sizeof shape.dims);
        grid = stored ? grid_of(t) : grid;
        if (stored)
            DC_TRY(dc__tflite_emit(call, "again", &dc_op_dequantize, &grid, &node, 1));
        DC_TRY(dc__tflite_emit(call, "shaped", &dc_op_reshape, &shape, &node, 1));
        if (stored)
            DC_TRY(dc__tflite_emit(call, "shaped.quant", &dc_op_quantize, &grid, &node, 1));
    }
    r->values[call->o->output].node = node;
    return DC_OK;
}

// Constants.

bool dc__tflite_is_constant(const struct dc_tflite_call *call, int k)
{
    return dc__tflite_is_given(call, k) && call->r->values[call->o->inputs[k]].constant >= 0;
}

static int64_t count_of(const struct dc_tflite_tensor *t)
{
    int64_t count = 1;
    for (int i = 0; i < t->rank; i++)
        count *= t->shape[i];
    return count;
}

// Position i along the axis of the scales.
static float scale_at(const struct dc_tflite_tensor *t, int64_t i)
{
    int64_t inner = 1;
    for (int k = t->axis + 1; k < t->rank; k++)
        inner *= t->shape[k];
    return t->scales[t->scale_count > 1 ? i / inner % t->scale_count : 0];
}

static enum dc_status spend(struct dc_tflite_reading *r, int64_t count)
{
    r->budget -= count;
    return r->budget >= 0 ? DC_OK
                          : dc_fail(r->error, DC_ERR_DATA,
                                    "constants are shared by so many operators that they would "
                                    "take many times the size of the file");
}

enum dc_status dc__tflite_codes(struct dc_tflite_call *call, const int8_t **codes, int64_t *count,
                                int k)
{
    struct dc_tflite_reading *r = call->r;
    const struct dc_tflite_tensor *t = &r->file.tensors[r->values[call->o->inputs[k]].constant];
    *count = count_of(t);
    DC_TRY(spend(r, *count));
    int8_t *copy = DC_NEW(r->graph->arena, int8_t, *count + 1, r->error);
    if (!copy)
        return DC_ERR_MEMORY;
    if (t->type == DC_TFLITE_INT8)
        memcpy(copy, t->data, (size_t)*count);
    else
        dc_int4_unpack(copy, t->data, *count);
    *codes = copy;
    return DC_OK;
}

enum dc_status dc__tflite_numbers(struct dc_tflite_call *call, const float **values, int64_t *count,
                                  int k)
{
    struct dc_tflite_reading *r = call->r;
    const struct dc_tflite_tensor *t = &r->file.tensors[r->values[call->o->inputs[k]].constant];
    if (t->rank > 4 || !t->data)
        return dc_fail(r->error, DC_ERR_DATA, "the constant '%s' is empty or of %d dimensions",
                       t->name, t->rank);
    *count = count_of(t);
    DC_TRY(spend(r, *count));
    float *out = DC_NEW(r->arena, float, *count + 1, r->error);
    const int8_t *codes = NULL;
    if (!out)
        return DC_ERR_MEMORY;
    *values = out;
    if (t->type == DC_TFLITE_FLOAT32) {
        memcpy(out, t->data, sizeof(float) * (size_t)*count);
        return DC_OK;
    }
    if (t->type == DC_TFLITE_FLOAT16) {
        for (int64_t i = 0; i < *count; i++) {
            uint16_t half;
            memcpy(&half, (const char *)t->data + 2 * i, 2);
            out[i] = dc_half_to_float(half);
        }
        return DC_OK;
    }
    if (t->type == DC_TFLITE_INT32 && t->scale_count > 0) {
        for (int64_t i = 0; i < *count; i++) {
            int32_t code;
            memcpy(&code, (const char *)t->data + 4 * i, 4);
            out[i] = (float)((double)scale_at(t, i) * code);
        }
        return DC_OK;
    }
    if ((t->type != DC_TFLITE_INT8 && t->type != DC_TFLITE_INT4) || t->scale_count == 0)
        return dc_fail(r->error, DC_ERR_DATA,
                       "the constant '%s' is of TFLite's type %d, where numbers with a scale or "
                       "floats are read",
                       t->name, (int)t->type);
    DC_TRY(dc__tflite_codes(call, &codes, count, k));
    for (int64_t i = 0; i < *count; i++)
        out[i] = scale_at(t, i) * (float)(codes[i] - t->zero_point);
    return DC_OK;
}

enum dc_status dc__tflite_list(struct dc_tflite_call *call, int64_t values[DC_TFLITE_LIST],
                               int *count, int k)
{
    struct dc_tflite_reading *r = call->r;
    if (!dc__tflite_is_constant(call, k))
        return dc_fail(r->error, DC_ERR_DATA, "input %d must be a constant", k);
    const struct dc_tflite_tensor *t = &r->file.tensors[r->values[call->o->inputs[k]].constant];
    const int width = t->type == DC_TFLITE_INT64 ? 8 : 4;
    if ((t->type != DC_TFLITE_INT32 && t->type != DC_TFLITE_INT64) ||
        t->bytes > width * DC_TFLITE_LIST)
        return dc_fail(r->error, DC_ERR_DATA, "'%s' must hold up to %d integers", t->name,
                       (int)DC_TFLITE_LIST);
    *count = (int)(t->bytes / width);
    for (int i = 0; i < *count; i++) {
        int32_t narrow;
        memcpy(&narrow, (const char *)t->data + (ptrdiff_t)i * width, 4);
        values[i] = narrow;
        if (width == 8)
            memcpy(&values[i], (const char *)t->data + (ptrdiff_t)i * 8, 8);
    }
    return DC_OK;
}
