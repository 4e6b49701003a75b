// Owns how values and parameters of a network stand in a TFLite file: type, shape, grid, order of
// axes, packing, and the activation that a clamp becomes. Knows no operator by itself.

#include <string.h>

#include "formats/int4.h"
#include "formats/tflite_write_internal.h"

const struct dc_node *dc__tflite_stored_by(const struct dc_tflite_writing *w,
                                           const struct dc_node *node)
{
    const struct dc_node *quantizer = dc_network_quantizer(w->network, index_of(w, node));
    return quantizer ? quantizer : node;
}

const struct dc_quantize_attributes *dc__tflite_grid(const struct dc_tflite_writing *w,
                                                     const struct dc_node *node)
{
    const struct dc_node *by = dc__tflite_stored_by(w, node);
    return by->op == &dc_op_quantize || by->op == &dc_op_dequantize ? by->attributes : NULL;
}

enum dc_status dc__tflite_refuse(const struct dc_tflite_writing *w, const struct dc_node *node,
                                 const char *why)
{
    return dc_fail(w->build.error, DC_ERR_DATA, "node '%s' (%s): %s",
                   dc__tflite_stored_by(w, node)->name, node->op->name, why);
}

bool dc__tflite_is_dense_output(const struct dc_tflite_writing *w, const struct dc_node *node)
{
    const struct dc_node *output = &w->graph->nodes[w->network->output];
    return node->op == &dc_op_dense && input_of(w, output) == dc__tflite_stored_by(w, node);
}

struct dc_tflite_tensor dc__tflite_constant(const char *name, const struct dc_shape *shape)
{
    struct dc_tflite_tensor tensor = {
        .name = name, .type = DC_TFLITE_FLOAT32, .rank = shape->rank, .arena_offset = -1};
    for (int i = 0; i < shape->rank && i < 4; i++)
        tensor.shape[i] = shape->dims[i] == DC_BATCH ? 1 : (int32_t)shape->dims[i];
    return tensor;
}

// A value on the node's grid, if it has one. Integer vectors are [1, 1, 1, channels], so that a
// mean keeps its dimensions, without which runtimes compute it by other kernels; a dense layer that
// is the output gives [1, channels].
struct dc_tflite_tensor dc__tflite_value(const struct dc_tflite_writing *w,
                                         const struct dc_node *node, const char *name,
                                         const struct dc_shape *shape)
{
    const struct dc_quantize_attributes *grid = dc__tflite_grid(w, node);
    struct dc_tflite_tensor tensor = dc__tflite_constant(name, shape);
    if (grid) {
        tensor.type = DC_TFLITE_INT8;
        tensor.scale_count = 1;
        tensor.scales = &grid->scale;
        tensor.zero_point = grid->zero_point;
    }
    if (grid && shape->rank == 2 && !dc__tflite_is_dense_output(w, node)) {
        tensor.rank = 4;
        tensor.shape[3] = tensor.shape[1];
        tensor.shape[1] = tensor.shape[2] = 1;
    }
    return tensor;
}

// The activation whose clamp, as TFLite computes it, is the grid's.
static enum dc_status fuse_activation(const struct dc_tflite_writing *w, const struct dc_node *node,
                                      struct dc_tflite_operator *o)
{
    const struct dc_quantize_attributes *grid = dc__tflite_grid(w, node);
    const char *options = dc_tflite_kinds[o->code].options;
    const char *field = options ? strchr(options, 'a') : NULL;
    if (!grid)
        return DC_OK;
    for (int a = DC_TFLITE_NONE; a <= (field ? DC_TFLITE_RELU6 : DC_TFLITE_NONE); a++) {
        float low, high;
        dc_tflite_clamp(&low, &high, (enum dc_tflite_activation)a, grid->scale, grid->zero_point);
        if (field)
            o->options[field - options] = a;
        if (low == (float)grid->clamp_low && high == (float)grid->clamp_high)
            return DC_OK;
    }
    return dc_fail(w->build.error, DC_ERR_DATA,
                   "TFLite has no fused activation of %s that clamps '%s' to codes %d to %d (scale "
                   "%.9g, zero point %d)",
                   node->op->name, dc__tflite_stored_by(w, node)->name, grid->clamp_low,
                   grid->clamp_high, (double)grid->scale, grid->zero_point);
}

enum dc_status dc__tflite_put(struct dc_tflite_writing *w, const struct dc_node *node,
                              struct dc_tflite_operator *o)
{
    const struct dc_node *by = dc__tflite_stored_by(w, node);
    const struct dc_quantize_attributes *grid = dc__tflite_grid(w, node);
    struct dc_tflite_tensor value = dc__tflite_value(w, node, by->name, &node->shape);
    if (grid && grid->bits < 8)
        return dc_fail(w->build.error, DC_ERR_DATA,
                       "TFLite has no activations of %d bits, as '%s' has", grid->bits, by->name);
    if (w->places)
        value.arena_offset = w->places[index_of(w, by)];
    DC_TRY(fuse_activation(w, node, o));
    DC_TRY(dc_tflite_add_tensor(&w->build, &value, &o->output));
    w->values[index_of(w, node)] = o->output;
    return dc_tflite_add_operator(&w->build, o);
}

enum dc_status dc__tflite_add_integers(struct dc_tflite_writing *w, const struct dc_node *node,
                                       const char *what, const int32_t *values, int rows,
                                       int columns, int *index)
{
    return dc_tflite_add_integers(&w->build, dc__tflite_stored_by(w, node)->name, what, values,
                                  rows, columns, index);
}

const char *dc__tflite_name(struct dc_tflite_writing *w, const struct dc_node *node,
                            const char *what)
{
    return dc_arena_printf(w->build.arena, w->build.error, "%s/%s",
                           dc__tflite_stored_by(w, node)->name, what);
}

enum dc_status dc__tflite_add_floats(struct dc_tflite_writing *w, const char *name,
                                     const struct dc_shape *shape, const float *values, int *index)
{
    struct dc_tflite_tensor tensor = dc__tflite_constant(name, shape);
    tensor.data = values;
    tensor.bytes = 4 * dc_shape_count(shape);
    return dc_tflite_add_tensor(&w->build, &tensor, index);
}

static const struct dc_slice *slice_of(const struct dc_tflite_writing *w,
                                       const struct dc_node *node, int k)
{
    return &w->network->params->slices[node->params[k]];
}

const float *dc__tflite_floats(const struct dc_tflite_writing *w, const struct dc_node *node, int k)
{
    return w->network->params->value + slice_of(w, node, k)->offset;
}

static const struct dc_codes *codes_of(const struct dc_tflite_writing *w,
                                       const struct dc_node *node, int k)
{
    return w->network->codes ? &w->network->codes[node->params[k]] : NULL;
}

// A fully connected layer may have one scale: its multiplier is then another than channels' would
// be.
static void set_scales(struct dc_tflite_tensor *tensor, const struct dc_codes *c, bool dense)
{
    tensor->scale_count = dense && !c->per_channel ? 1 : c->channels;
    tensor->scales = c->scales;
}

// [taps, in, out] of memory to [out, taps, in] of the file; taps and in go together. Depthwise
// ones, [taps, out], lie as they are.
enum dc_status dc__tflite_add_kernel(struct dc_tflite_writing *w, const struct dc_node *node,
                                     const struct dc_shape *shape, bool depthwise, int *index)
{
    const struct dc_codes *c = codes_of(w, node, 0);
    const int64_t count = dc_shape_count(shape), out = depthwise ? 1 : shape->dims[0];
    const int64_t rows = count / out, bytes = c ? 1 : 4;
    const uint8_t *values = c ? (const void *)c->weights : dc__tflite_floats(w, node, 0);
    struct dc_tflite_tensor tensor = dc__tflite_constant(
        c ? dc__tflite_name(w, node, "weights") : slice_of(w, node, 0)->name, shape);
    uint8_t *turned = DC_NEW(w->build.arena, uint8_t, count * bytes, w->build.error);
    if (!turned || !tensor.name)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < count; i++)
        memcpy(turned + (i % out * rows + i / out) * bytes, values + i * bytes, (size_t)bytes);
    tensor.data = turned;
    tensor.bytes = count * bytes;
    if (c) {
        tensor.type = DC_TFLITE_INT8;
        tensor.axis = depthwise ? 3 : 0;
        set_scales(&tensor, c, node->op == &dc_op_dense);
    }
    if (c && c->packed) {
        uint8_t *packed = DC_NEW(w->build.arena, uint8_t, dc_int4_bytes(count), w->build.error);
        if (!packed)
            return DC_ERR_MEMORY;
        dc_int4_pack(packed, (const int8_t *)turned, count);
        tensor.type = DC_TFLITE_INT4;
        tensor.data = packed;
        tensor.bytes = dc_int4_bytes(count);
    }
    return dc_tflite_add_tensor(&w->build, &tensor, index);
}

// Without a bias: zeros, which some runtimes want.
enum dc_status dc__tflite_add_bias(struct dc_tflite_writing *w, const struct dc_node *node,
                                   bool has, int64_t channels, int *index)
{
    const struct dc_codes *c = has ? codes_of(w, node, 1) : NULL;
    const char *name = has && !c ? slice_of(w, node, 1)->name
                                 : dc__tflite_name(w, node, c ? "biases" : "bias");
    const float *values = has ? dc__tflite_floats(w, node, 1)
                              : DC_NEW(w->build.arena, float, channels, w->build.error);
    if (!values || !name)
        return DC_ERR_MEMORY;
    if (!c)
        return dc__tflite_add_floats(w, name, &DC_SHAPE(channels), values, index);
    struct dc_tflite_tensor tensor = dc__tflite_constant(name, &DC_SHAPE(channels));
    tensor.type = DC_TFLITE_INT32;
    tensor.data = c->biases;
    tensor.bytes = 4 * channels;
    set_scales(&tensor, c, node->op == &dc_op_dense);
    return dc_tflite_add_tensor(&w->build, &tensor, index);
}
