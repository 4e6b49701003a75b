// Owns how values and parameters of a network stand in an ONNX file: names, order of axes, numbers,
// codes. The scale and the zero point of a value are the constants NAME/scale and NAME/zero_point
// of the node that stores it. Knows no operator of the network.

#include <stdlib.h>

#include "formats/onnx_write_internal.h"

enum dc_onnx_type dc__type_of(int bits)
{
    return bits <= 4 ? DC_ONNX_I4 : DC_ONNX_I8;
}

const char *dc__put_conversion(struct dc_onnx_writing *t, const char *onnx, const char *name,
                               enum dc_onnx_type type, const struct dc_node *quantizer,
                               const char *x, const struct dc_shape *shape)
{
    return dc_onnx_put(t->w, onnx, name, type, shape,
                       DC_ONNX_IN(x, dc_onnx_name(t->w, quantizer->name, "scale"),
                                  dc_onnx_name(t->w, quantizer->name, "zero_point")),
                       "%s", "");
}

const char *dc__put_rounded(struct dc_onnx_writing *t, const struct dc_node *quantizer,
                            const char *base, const char *real, const struct dc_shape *shape)
{
    const struct dc_quantize_attributes *a = quantizer->attributes;
    const char *codes = dc__put_conversion(t, "QuantizeLinear", dc_onnx_name(t->w, base, "codes"),
                                           dc__type_of(a->bits), quantizer, real, shape);
    return dc__put_conversion(t, "DequantizeLinear", dc_onnx_name(t->w, base, "rounded"),
                              DC_ONNX_F32, quantizer, codes, shape);
}

const char *dc__put_step(struct dc_onnx_writing *t, const struct dc_node *quantizer,
                         const char *real, const struct dc_shape *shape)
{
    return quantizer ? dc__put_rounded(t, quantizer, real, real, shape) : real;
}

// Orders and small constants.

// The axis of the file for an axis of memory.
int dc__file_axis(int axis, int rank)
{
    const int real = dc_axis_of(axis, rank);
    return rank != 4 ? real : real == 3 ? 1 : real + 1;
}

void dc__put_shaped(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx,
                    const char *const *inputs)
{
    const struct dc_shape shape = dc_onnx_shape(&node->shape);
    dc_onnx_put(t->w, onnx, node->name, DC_ONNX_F32, &shape, inputs, "%s", "");
}

const char *dc__put_number(struct dc_onnx_writing *t, const struct dc_node *node, const char *part,
                           float value)
{
    return dc_onnx_put_float(t->w, dc_onnx_name(t->w, node->name, part), value);
}

// Input i in the order of memory.
const char *dc__in_memory(struct dc_onnx_writing *t, const struct dc_node *node, int i)
{
    static const char *const parts[] = {"rows0", "rows1"};
    const struct dc_shape *s = shape_in(t, node, i);
    const struct dc_node *read = &t->graph->nodes[node->inputs[i]];
    if (s->rank != 4)
        return in_of(t, node, i);
    const char *turned = dc_onnx_put(t->w, "Transpose", dc_onnx_name(t->w, node->name, parts[i]),
                                     DC_ONNX_F32, s, DC_ONNX_IN(in_of(t, node, i)),
                                     "perm=[0,2,3,1]");
    return dc__put_step(t, read->op == &dc_op_dequantize ? &t->graph->nodes[read->inputs[0]] : NULL,
                        turned, s);
}

// The node's value from an operator that gives it in the order of memory.
void dc__put_from_memory(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx,
                         const char *const *inputs)
{
    if (node->shape.rank != 4) {
        dc__put_shaped(t, node, onnx, inputs);
        return;
    }
    const struct dc_shape shape = dc_onnx_shape(&node->shape);
    const char *made = dc_onnx_put(t->w, onnx, dc_onnx_name(t->w, node->name, "result"),
                                   DC_ONNX_F32, &node->shape, inputs, "%s", "");
    made = dc__put_step(t, dc_network_quantizer(t->network, (int)(node - t->graph->nodes)), made,
                        &node->shape);
    dc_onnx_put(t->w, "Transpose", node->name, DC_ONNX_F32, &shape, DC_ONNX_IN(made),
                "perm=[0,3,1,2]");
}

const char *dc__put_dims(struct dc_onnx_writing *t, const struct dc_node *node, const char *part,
                         const struct dc_shape *shape)
{
    int64_t dims[DC_RANK_MAX];
    for (int i = 0; i < shape->rank; i++)
        dims[i] = shape->dims[i] == DC_BATCH ? -1 : shape->dims[i];
    return dc_onnx_put_integers(t->w, dc_onnx_name(t->w, node->name, part), dims, shape->rank);
}

// Parameters.

static const struct dc_codes *codes_of(const struct dc_onnx_writing *t, const struct dc_node *node,
                                       int k)
{
    return t->network->codes ? &t->network->codes[node->params[k]] : NULL;
}

const void *dc__values_of(const struct dc_onnx_writing *t, const struct dc_node *node, int k,
                          int *bytes)
{
    const struct dc_params *params = t->network->params;
    const struct dc_codes *c = codes_of(t, node, k);
    *bytes = c && c->weights ? 1 : 4;
    return !c           ? (const void *)(params->value + params->slices[node->params[k]].offset)
           : c->weights ? (const void *)c->weights
                        : (const void *)c->biases;
}

const char *dc__put_values(struct dc_onnx_writing *t, const struct dc_node *node, int k,
                           const struct dc_shape *shape, const void *values)
{
    const struct dc_codes *c = codes_of(t, node, k);
    if (!c)
        return dc_onnx_put_tensor(
            t->w, dc_onnx_parameter_name(t->w, t->network->params->slices[node->params[k]].name),
            DC_ONNX_F32, shape, values);
    const struct dc_node *quantizer = dc_network_quantizer(t->network,
                                                           (int)(node - t->graph->nodes));
    const enum dc_onnx_type type = c->biases ? DC_ONNX_I32 : c->packed ? DC_ONNX_I4 : DC_ONNX_I8;
    const struct dc_shape scales = c->per_channel ? DC_SHAPE(c->channels) : (struct dc_shape){0};
    const char *base = dc_onnx_name(t->w, quantizer->name, c->biases ? "bias" : "weight");
    int32_t *zeros = dc_alloc((size_t)c->channels * sizeof *zeros, NULL);
    if (!zeros) {
        dc_onnx_refuse(t->w, DC_ERR_MEMORY, "out of memory");
        return "";
    }
    const char *codes = dc_onnx_put_tensor(t->w, base, type, shape, values);
    const char *scale = dc_onnx_put_tensor(
        t->w, dc_onnx_name(t->w, quantizer->name, c->biases ? "bias_scale" : "weight_scale"),
        DC_ONNX_F32, &scales, c->scales);
    const char *zero = dc_onnx_put_tensor(
        t->w,
        dc_onnx_name(t->w, quantizer->name, c->biases ? "bias_zero_point" : "weight_zero_point"),
        type, &scales, zeros);
    free(zeros);
    return dc_onnx_put(t->w, "DequantizeLinear", dc_onnx_name(t->w, base, "real"), DC_ONNX_F32,
                       shape, DC_ONNX_IN(codes, scale, zero), "axis=%d", 0);
}

// Parameter k. exchange: [outer, space, channels] to [outer, channels, space]; then the shape's
// dimensions are those of the file.
const char *dc__put_param(struct dc_onnx_writing *t, const struct dc_node *node, int k,
                          const struct dc_shape *shape, int64_t outer, int64_t space)
{
    const int64_t count = dc_shape_count(shape);
    int bytes;
    const void *values = dc__values_of(t, node, k, &bytes);
    void *turned = space > 1 ? dc_alloc((size_t)(count * bytes), NULL) : NULL;
    if (space > 1 && !turned) {
        dc_onnx_refuse(t->w, DC_ERR_MEMORY, "out of memory");
        return "";
    }
    if (turned)
        dc_onnx_channels_first(turned, values, outer, space, count / outer / space, bytes);
    const char *name = dc__put_values(t, node, k, shape, turned ? turned : values);
    free(turned);
    return name;
}
