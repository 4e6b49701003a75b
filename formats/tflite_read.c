// Owns the reading of a TFLite file as a network: which operators the output needs, in their order,
// and the finished graph. One row an operator; what each becomes is in tflite_read_layers.c and
// tflite_read_moves.c.
//
// Operators must come in order of use, as the format asks: one that reads what no operator before
// it gives is refused.

#include "formats/tflite_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/tflite_read_internal.h"

enum { UNKNOWN_BYTES = 2000 };
// Numbers that constants may become: of any file, and for each of its bytes.
enum { BUDGET = 1 << 22, BUDGET_A_BYTE = 8 };

struct row {
    enum dc_tflite_code code;
    int inputs_min, inputs_max;
    unsigned followed;  // bit k: the value needs input k; the others are told by shapes
    dc_tflite_convert *convert;
    const struct dc_op *op;
};

static const struct row rows[] = {
    {DC_TFLITE_CONV_2D, 2, 3, 7, dc__tflite_conv, NULL},
    {DC_TFLITE_DEPTHWISE_CONV_2D, 2, 3, 7, dc__tflite_depthwise, NULL},
    {DC_TFLITE_TRANSPOSE_CONV, 3, 4, 14, dc__tflite_conv_transpose, NULL},
    {DC_TFLITE_FULLY_CONNECTED, 2, 3, 7, dc__tflite_dense, NULL},
    {DC_TFLITE_BATCH_MATMUL, 2, 2, 3, dc__tflite_matmul, NULL},
    {DC_TFLITE_MAX_POOL_2D, 1, 1, 1, dc__tflite_pool, &dc_op_max_pool},
    {DC_TFLITE_AVERAGE_POOL_2D, 1, 1, 1, dc__tflite_pool, &dc_op_average_pool},
    {DC_TFLITE_MEAN, 2, 2, 1, dc__tflite_reduce, &dc_op_reduce_mean},
    {DC_TFLITE_SUM, 2, 2, 1, dc__tflite_reduce, &dc_op_reduce_sum},
    {DC_TFLITE_REDUCE_MAX, 2, 2, 1, dc__tflite_reduce, &dc_op_reduce_max},
    {DC_TFLITE_SOFTMAX, 1, 1, 1, dc__tflite_softmax, NULL},
    {DC_TFLITE_RELU_OP, 1, 1, 1, dc__tflite_function, &dc_op_relu},
    {DC_TFLITE_RELU6_OP, 1, 1, 1, dc__tflite_function, &dc_op_relu6},
    {DC_TFLITE_RELU_N1_TO_1_OP, 1, 1, 1, dc__tflite_clip, NULL},
    {DC_TFLITE_RELU_0_TO_1, 1, 1, 1, dc__tflite_clip, NULL},
    {DC_TFLITE_LOGISTIC, 1, 1, 1, dc__tflite_function, &dc_op_sigmoid},
    {DC_TFLITE_TANH, 1, 1, 1, dc__tflite_function, &dc_op_tanh},
    {DC_TFLITE_HARD_SWISH, 1, 1, 1, dc__tflite_function, &dc_op_h_swish},
    {DC_TFLITE_LEAKY_RELU, 1, 1, 1, dc__tflite_function, &dc_op_leaky_relu},
    {DC_TFLITE_ELU, 1, 1, 1, dc__tflite_function, &dc_op_elu},
    {DC_TFLITE_GELU, 1, 1, 1, dc__tflite_function, &dc_op_gelu},
    {DC_TFLITE_ABS, 1, 1, 1, dc__tflite_function, &dc_op_abs},
    {DC_TFLITE_NEG, 1, 1, 1, dc__tflite_function, &dc_op_negate},
    {DC_TFLITE_EXP, 1, 1, 1, dc__tflite_function, &dc_op_exp},
    {DC_TFLITE_LOG, 1, 1, 1, dc__tflite_function, &dc_op_log},
    {DC_TFLITE_SQRT, 1, 1, 1, dc__tflite_function, &dc_op_sqrt},
    {DC_TFLITE_RSQRT, 1, 1, 1, dc__tflite_function, &dc_op_pow},
    {DC_TFLITE_SQUARE, 1, 1, 1, dc__tflite_function, &dc_op_pow},
    {DC_TFLITE_PRELU, 2, 2, 3, dc__tflite_prelu, NULL},
    {DC_TFLITE_ADD, 2, 2, 3, dc__tflite_pair, &dc_op_broadcast_add},
    {DC_TFLITE_SUB, 2, 2, 3, dc__tflite_pair, &dc_op_subtract},
    {DC_TFLITE_MUL, 2, 2, 3, dc__tflite_pair, &dc_op_multiply},
    {DC_TFLITE_DIV, 2, 2, 3, dc__tflite_pair, &dc_op_divide},
    {DC_TFLITE_MAXIMUM, 2, 2, 3, dc__tflite_pair, &dc_op_maximum},
    {DC_TFLITE_MINIMUM, 2, 2, 3, dc__tflite_pair, &dc_op_minimum},
    {DC_TFLITE_RESHAPE, 1, 2, 1, dc__tflite_reshape, NULL},
    {DC_TFLITE_SQUEEZE, 1, 1, 1, dc__tflite_reshape, NULL},
    {DC_TFLITE_EXPAND_DIMS, 2, 2, 1, dc__tflite_reshape, NULL},
    {DC_TFLITE_TRANSPOSE, 2, 2, 1, dc__tflite_transpose, NULL},
    {DC_TFLITE_CONCATENATION, 1, DC_TFLITE_INPUTS_MAX, 255, dc__tflite_concat, NULL},
    {DC_TFLITE_PAD, 2, 2, 1, dc__tflite_pad, NULL},
    {DC_TFLITE_PADV2, 3, 3, 1, dc__tflite_pad, NULL},
    {DC_TFLITE_STRIDED_SLICE, 4, 4, 1, dc__tflite_strided_slice, NULL},
    {DC_TFLITE_SLICE, 3, 3, 1, dc__tflite_slice, NULL},
    {DC_TFLITE_RESIZE_BILINEAR, 2, 2, 1, dc__tflite_resize, NULL},
    {DC_TFLITE_RESIZE_NEAREST_NEIGHBOR, 2, 2, 1, dc__tflite_resize, NULL},
    {DC_TFLITE_QUANTIZE, 1, 1, 1, dc__tflite_quantize, NULL},
    {DC_TFLITE_DEQUANTIZE, 1, 1, 1, dc__tflite_dequantize, NULL},
};

static const struct row *row_of(enum dc_tflite_code code)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].code == code)
            return &rows[i];
    return NULL;
}

// "operator 7 (CONV_2D)"
enum { PLACE_BYTES = DC_TFLITE_NAME_BYTES + 32 };
static const char *place_of(char text[PLACE_BYTES], const struct dc_tflite_reading *r, int i)
{
    char name[DC_TFLITE_NAME_BYTES];
    snprintf(text, PLACE_BYTES, "operator %d (%s)", i,
             dc_tflite_code_name(name, (int)r->file.operators[i].code));
    return text;
}

// Of what is to be floats: values that are codes become reals; constants stay, to be dequantized.
static enum dc_status forget_grids(struct dc_tflite_reading *r)
{
    const size_t count = (size_t)r->file.tensor_count;
    struct dc_tflite_tensor *tensors = DC_NEW(r->arena, struct dc_tflite_tensor, count, r->error);
    if (!tensors)
        return DC_ERR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        tensors[i] = r->file.tensors[i];
        if (tensors[i].data || !dc__tflite_is_stored(&tensors[i]))
            continue;
        tensors[i].type = DC_TFLITE_FLOAT32;
        tensors[i].scale_count = 0;
    }
    r->file.tensors = tensors;
    return DC_OK;
}

static enum dc_status make_values(struct dc_tflite_reading *r)
{
    r->values = DC_NEW(r->arena, struct dc_tflite_value, r->file.tensor_count, r->error);
    if (!r->values)
        return DC_ERR_MEMORY;
    for (int i = 0; i < r->file.tensor_count; i++)
        r->values[i] = (struct dc_tflite_value){
            .node = -1, .constant = r->file.tensors[i].data ? i : -1, .producer = -1};
    for (int i = 0; i < r->file.operator_count; i++) {
        const struct dc_tflite_operator *o = &r->file.operators[i];
        char place[PLACE_BYTES];
        if (o->output_count == 0)
            continue;
        if (r->values[o->output].producer >= 0 || r->values[o->output].constant >= 0 ||
            o->output == r->file.input)
            return dc_fail(r->error, DC_ERR_DATA, "%s gives '%s', which is there already",
                           place_of(place, r, i), r->file.tensors[o->output].name);
        r->values[o->output].producer = i;
    }
    return DC_OK;
}

static enum dc_status choose_output(struct dc_tflite_reading *r, const char *output)
{
    bool found = !output;
    for (int i = 0; !found && i < r->file.tensor_count; i++) {
        found = strcmp(r->file.tensors[i].name, output) == 0 && r->values[i].producer >= 0;
        if (found)
            r->file.output = i;
    }
    if (!found)
        return dc_fail(r->error, DC_ERR_DATA, "no operator gives a value '%s'", output);
    if (r->values[r->file.output].producer < 0)
        return dc_fail(r->error, DC_ERR_DATA, "the output '%s' does not depend on the input",
                       r->file.tensors[r->file.output].name);
    r->values[r->file.output].needed = true;
    return DC_OK;
}

// What the output needs; operators that are not read, all of them.
static enum dc_status find_needed(struct dc_tflite_reading *r)
{
    char unknown[UNKNOWN_BYTES] = "";
    size_t used = 0;
    int count = 0;
    for (int i = r->file.operator_count; i-- > 0;) {
        const struct dc_tflite_operator *o = &r->file.operators[i];
        const struct row *row = row_of(o->code);
        char place[PLACE_BYTES];
        if (o->output_count == 0 || !r->values[o->output].needed)
            continue;
        if (!row) {
            count++;
            if (used < sizeof unknown - 2 * PLACE_BYTES)
                used += (size_t)snprintf(unknown + used, sizeof unknown - used, "%s%s",
                                         used ? ", " : "", place_of(place, r, i));
        }
        for (int k = 0; k < o->input_count && k < DC_TFLITE_INPUTS_MAX; k++)
            if (o->inputs[k] >= 0 && (!row || row->followed >> k & 1))
                r->values[o->inputs[k]].needed = true;
    }
    return count == 0 ? DC_OK
                      : dc_fail(r->error, DC_ERR_DATA, "%d operator%s not read: %s", count,
                                count > 1 ? "s are" : " is", unknown);
}

// What Keras calls a layer: its weights are named "model/conv2d/Conv2D", perhaps among others that
// were fused, parted by ';'. Its length; 0: they are named otherwise.
static int find_layer(const char **layer, const char *name)
{
    static const char *const last[] = {"Conv2D", "depthwise", "MatMul", "conv2d_transpose"};
    for (; *name; name += strcspn(name, ";"), name += *name == ';') {
        const int length = (int)strcspn(name, ";");
        for (size_t i = 0; i < sizeof last / sizeof last[0]; i++) {
            const int rest = length - (int)strlen(last[i]) - 1;
            *layer = name;
            if (rest > 0 && name[rest] == '/' &&
                strncmp(name + rest + 1, last[i], strlen(last[i])) == 0)
                return rest;
        }
    }
    return 0;
}

// For the node of the operator's value: as the layer is called, else the value.
static const char *name_of(const struct dc_tflite_reading *r, const struct dc_tflite_operator *o)
{
    const char *name = r->file.tensors[o->output].name, *layer;
    int length = 0;
    for (int k = 1; k < o->input_count && length == 0; k++)
        if (o->inputs[k] >= 0 && r->values[o->inputs[k]].constant >= 0)
            length = find_layer(&layer, r->file.tensors[r->values[o->inputs[k]].constant].name);
    if (length == 0) {
        layer = name;
        length = (int)strcspn(name, ";");
    }
    return dc_arena_printf(r->arena, r->error, "%.*s", length, layer);
}

static enum dc_status convert(struct dc_tflite_reading *r, int i)
{
    const struct dc_tflite_operator *o = &r->file.operators[i];
    const struct row *row = row_of(o->code);
    struct dc_tflite_call call = {.r = r, .o = o, .op = row->op, .index = i};
    if (o->input_count < row->inputs_min || o->input_count > row->inputs_max || o->output_count > 1)
        return dc_fail(r->error, DC_ERR_DATA, "%d inputs and %d outputs, which is not read",
                       o->input_count, o->output_count);
    for (int k = 0; k < o->input_count; k++) {
        const int t = o->inputs[k];
        const bool wanted = k < row->inputs_min && row->followed >> k & 1;
        if (wanted && t < 0)
            return dc_fail(r->error, DC_ERR_DATA, "input %d is left out", k);
        if (t >= 0 && row->followed >> k & 1 && r->values[t].node < 0 && r->values[t].constant < 0)
            return dc_fail(r->error, DC_ERR_DATA,
                           "reads '%s', which no operator before it gives (a cycle, operators out "
                           "of order, or a second input)",
                           r->file.tensors[t].name);
    }
    call.name = name_of(r, o);
    return call.name ? row->convert(&call) : DC_ERR_MEMORY;
}

static enum dc_status add_input(struct dc_tflite_reading *r, struct dc_imported *out)
{
    const struct dc_tflite_tensor *t = &r->file.tensors[r->file.input];
    struct dc_tflite_value *value = &r->values[r->file.input];
    struct dc_tflite_call call = {.r = r};
    struct dc_shape shape;
    if (t->type != DC_TFLITE_FLOAT32 && !dc__tflite_is_stored(t))
        return dc_fail(r->error, DC_ERR_DATA,
                       "the input '%s' is of TFLite's type %d; float32 and quantized int8 are read "
                       "(convert again with inference_input_type tf.int8)",
                       t->name, (int)t->type);
    r->batch = t->rank > 0 ? t->shape[0] : 1;
    DC_TRY(dc__tflite_shape(&call, &shape, t));
    const char *name = dc__import_name(r->graph, r->arena, t->name, r->error);
    if (!name)
        return DC_ERR_MEMORY;
    DC_TRY(dc_graph_add_input(r->graph, name, DC_F32, &shape, &out->input, r->error));
    out->sample.rank = shape.rank - 1;
    memcpy(out->sample.dims, shape.dims + 1, sizeof shape.dims - sizeof shape.dims[0]);
    value->node = out->input;
    if (!dc__tflite_is_stored(t))
        return DC_OK;
    const struct dc_quantize_attributes grid = {.scale = t->scales[0],
                                                .zero_point = t->zero_point,
                                                .bits = 8,
                                                .clamp_low = -128,
                                                .clamp_high = 127};
    call.name = name;
    r->integers = true;
    return dc__tflite_emit(&call, "codes", &dc_op_quantize, &grid, &value->node, 1);
}

// The output as [batch, classes] where it is one position.
static enum dc_status add_output(struct dc_tflite_reading *r, int *node)
{
    const struct dc_tflite_tensor *t = &r->file.tensors[r->file.output];
    struct dc_tflite_call call = {.r = r, .name = "output"};
    *node = r->values[r->file.output].node;
    if (dc__tflite_is_stored(t)) {
        const struct dc_quantize_attributes grid = {
            .scale = t->scales[0], .zero_point = t->zero_point, .bits = 8};
        DC_TRY(dc__tflite_emit(&call, NULL, &dc_op_dequantize, &grid, node, 1));
    }
    const struct dc_shape *shape = &r->graph->nodes[*node].shape;
    if (shape->rank > 2 && dc_shape_row(shape) == shape->dims[shape->rank - 1])
        return dc__tflite_emit(&call, "flat", &dc_op_flatten, NULL, node, 1);
    return DC_OK;
}

static enum dc_status set_params(struct dc_tflite_reading *r, struct dc_imported *out)
{
    DC_TRY(dc_params_create(&out->params, r->graph, 0, false, r->error));
    for (int i = 0; i < out->params->count; i++) {
        const struct dc_slice *slice = &out->params->slices[i];
        memcpy(out->params->value + slice->offset, r->data[i],
               sizeof(float) * (size_t)slice->count);
    }
    if (!r->integers)
        return DC_OK;
    out->codes = DC_NEW(r->graph->arena, struct dc_codes, out->params->count + 1, r->error);
    if (!out->codes)
        return DC_ERR_MEMORY;
    for (int i = 0; i < out->params->count; i++)
        out->codes[i] = r->codes[i];
    return DC_OK;
}

static enum dc_status read_network(struct dc_tflite_reading *r, struct dc_imported *out,
                                   const char *path, const struct dc_tflite_options *options)
{
    DC_TRY(dc_tflite_file_read(&r->file, path, r->arena, r->error));
    out->hash = r->file.hash;
    r->budget = BUDGET + BUDGET_A_BYTE * r->file.bytes;
    if (r->as_floats)
        DC_TRY(forget_grids(r));
    DC_TRY(make_values(r));
    DC_TRY(choose_output(r, options ? options->output : NULL));
    DC_TRY(find_needed(r));
    DC_TRY(dc_graph_create(&out->graph, r->error));
    r->graph = out->graph;
    DC_TRY(add_input(r, out));
    for (int i = 0; i < r->file.operator_count; i++) {
        const struct dc_tflite_operator *o = &r->file.operators[i];
        char place[PLACE_BYTES];
        if (o->output_count > 0 && r->values[o->output].needed)
            DC_TRY_IN(convert(r, i), r->error, "%s", place_of(place, r, i));
    }
    DC_TRY(add_output(r, &out->output));
    DC_TRY(set_params(r, out));
    out->input_name = dc_arena_copy(out->arena, r->file.tensors[r->file.input].name, r->error);
    out->output_name = dc_arena_copy(out->arena, r->file.tensors[r->file.output].name, r->error);
    return out->input_name && out->output_name ? DC_OK : DC_ERR_MEMORY;
}

enum dc_status dc_tflite_read(struct dc_imported **network, const char *path,
                              const struct dc_tflite_options *options, struct dc_error *error)
{
    struct dc_tflite_reading r = {.error = error, .as_floats = options && options->as_floats};
    struct dc_arena *arena = NULL;
    *network = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_imported *out = DC_NEW(arena, struct dc_imported, 1, error);
    if (!out) {
        dc_arena_free(arena);
        return DC_ERR_MEMORY;
    }
    out->arena = arena;
    enum dc_status status = dc_arena_create(&r.arena, error);
    if (status == DC_OK)
        status = read_network(&r, out, path, options);
    if (status == DC_ERR_CONFIG)  // an op refused what the file asks of it
        status = DC_ERR_DATA;
    dc_arena_free(r.arena);
    if (status == DC_OK)
        *network = out;
    else
        dc_imported_free(out);
    return status == DC_OK ? DC_OK : dc_context(status, error, "%s", path);
}
