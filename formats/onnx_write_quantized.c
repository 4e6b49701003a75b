// Owns codes in the file: what stores a value, what reads it, and parameters that are codes. The
// scale and the zero point of a value are the constants NAME/scale and NAME/zero_point of the node
// that stores it. See onnx_write_graph.c.

#include <stdlib.h>

#include "formats/onnx_write_internal.h"

enum { INT4_HIGH = 7, INT8_HIGH = 127 };

static enum dc_onnx_type type_of(int bits)
{
    return bits <= 4 ? DC_ONNX_I4 : DC_ONNX_I8;
}

// Between a float and the codes that `quantizer` stores.
static const char *convert(struct dc_onnx_writing *t, const char *onnx, const char *name,
                           enum dc_onnx_type type, const struct dc_node *quantizer, const char *x,
                           const struct dc_shape *shape)
{
    return dc_onnx_put(t->w, onnx, name, type, shape,
                       DC_ONNX_IN(x, dc_onnx_name(t->w, quantizer->name, "scale"),
                                  dc_onnx_name(t->w, quantizer->name, "zero_point")),
                       "%s", "");
}

// A float rounded to the grid.
static const char *put_rounded(struct dc_onnx_writing *t, const struct dc_node *quantizer,
                               const char *base, const char *real, const struct dc_shape *shape)
{
    const struct dc_quantize_attributes *a = quantizer->attributes;
    const char *codes = convert(t, "QuantizeLinear", dc_onnx_name(t->w, base, "codes"),
                                type_of(a->bits), quantizer, real, shape);
    return convert(t, "DequantizeLinear", dc_onnx_name(t->w, base, "rounded"), DC_ONNX_F32,
                   quantizer, codes, shape);
}

const char *dc__put_step(struct dc_onnx_writing *t, const struct dc_node *quantizer,
                         const char *real, const struct dc_shape *shape)
{
    return quantizer ? put_rounded(t, quantizer, real, real, shape) : real;
}

// A clamp that the range of the type does not do is a Clip on the grid.
void dc__onnx_put_quantize(struct dc_onnx_writing *t, const struct dc_node *node, const char *onnx)
{
    const struct dc_quantize_attributes *a = node->attributes;
    const struct dc_shape shape = dc_onnx_shape(&node->shape);
    const int8_t zero_point = (int8_t)a->zero_point;
    const int high_code = a->bits <= 4 ? INT4_HIGH : INT8_HIGH, low_code = -high_code - 1;
    const char *real = in_of(t, node, 0), *limits[2] = {"", NULL};
    dc__put_number(t, node, "scale", a->scale);
    dc_onnx_put_tensor(t->w, dc_onnx_name(t->w, node->name, "zero_point"), type_of(a->bits),
                       &(struct dc_shape){0}, &zero_point);
    if (a->clamp_low > low_code)
        limits[0] = dc__put_number(t, node, "low",
                                   a->scale * (float)(a->clamp_low - a->zero_point));
    if (a->clamp_high < high_code)
        limits[1] = dc__put_number(t, node, "high",
                                   a->scale * (float)(a->clamp_high - a->zero_point));
    if (a->clamp_low > low_code || a->clamp_high < high_code) {
        real = put_rounded(t, node, dc_onnx_name(t->w, node->name, "unclamped"), real, &shape);
        real = dc_onnx_put(t->w, "Clip", dc_onnx_name(t->w, node->name, "clamped"), DC_ONNX_F32,
                           &shape, DC_ONNX_IN(real, limits[0], limits[1]), "%s", "");
    }
    convert(t, onnx, node->name, type_of(a->bits), node, real, &shape);
}

void dc__onnx_put_dequantize(struct dc_onnx_writing *t, const struct dc_node *node,
                             const char *onnx)
{
    const struct dc_shape shape = dc_onnx_shape(&node->shape);
    convert(t, onnx, node->name, DC_ONNX_F32, &t->graph->nodes[node->inputs[0]], in_of(t, node, 0),
            &shape);
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
        return dc_onnx_put_tensor(t->w, t->network->params->slices[node->params[k]].name,
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
