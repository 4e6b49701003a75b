// Owns the translation of an integer model's layers to ONNX's operators, a function for each shape
// of layer. Invariant: codes[i] names the int8 value of layer i in the file, of rank 4 ([batch,
// channels, height, width]) or, of what fully connected layers make, of rank 2. Does not compute.

#include "export/onnx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/onnx_write.h"

struct writing {
    struct dc_onnx_writer *w;
    const struct dc_imodel *model;
    const char **codes, **scales, **zero_points;  // [model->count]
    bool *vector;                                 // of rank 2
};

static const char *name_of(const struct writing *t, int i, const char *part)
{
    return dc_onnx_name(t->w, t->model->layers[i].name, part);
}

static struct dc_shape shape_of(const struct dc_ilayer *l, bool vector)
{
    return vector ? DC_SHAPE(DC_BATCH, dc_ilayer_size(l))
                  : DC_SHAPE(DC_BATCH, l->channels, l->height, l->width);
}

// Codes of at most 4 bits are INT4.
static enum dc_onnx_type type_of(int bits)
{
    return bits <= 4 ? DC_ONNX_I4 : DC_ONNX_I8;
}

// Float x to codes at layer i's scale.
static const char *quantize(struct writing *t, int i, const char *name, const char *x,
                            const struct dc_shape *shape)
{
    return dc_onnx_put(t->w, "QuantizeLinear", name, type_of(t->model->layers[i].bits), shape,
                       DC_ONNX_IN(x, t->scales[i], t->zero_points[i]), "%s", "");
}

static const char *dequantize(struct writing *t, int i, const char *name, const char *codes,
                              const struct dc_shape *shape)
{
    return dc_onnx_put(t->w, "DequantizeLinear", name, DC_ONNX_F32, shape,
                       DC_ONNX_IN(codes, t->scales[i], t->zero_points[i]), "%s", "");
}

// Input k of layer i as floats, of rank 2 or 4; a value of the other rank is reshaped.
static const char *real_input(struct writing *t, int i, int k, bool vector)
{
    const int j = t->model->layers[i].inputs[k];
    const struct dc_ilayer *x = &t->model->layers[j];
    const struct dc_shape shape = shape_of(x, vector), before = shape_of(x, t->vector[j]);
    char part[32];
    snprintf(part, sizeof part, "x%d", k);
    if (t->vector[j] == vector)
        return dequantize(t, j, name_of(t, i, part), t->codes[j], &shape);
    const int64_t dims[4] = {-1, x->channels, x->height, x->width};
    const int64_t flat[2] = {-1, dc_ilayer_size(x)};
    snprintf(part, sizeof part, "dims%d", k);
    const char *to = dc_onnx_put_integers(t->w, name_of(t, i, part), vector ? flat : dims,
                                          vector ? 2 : 4);
    snprintf(part, sizeof part, "before%d", k);
    const char *real = dequantize(t, j, name_of(t, i, part), t->codes[j], &before);
    snprintf(part, sizeof part, "shaped%d", k);
    real = dc_onnx_put(t->w, "Reshape", name_of(t, i, part), DC_ONNX_F32, &shape,
                       DC_ONNX_IN(real, to), "%s", "");
    snprintf(part, sizeof part, "codes%d", k);
    const char *codes = quantize(t, j, name_of(t, i, part), real, &shape);
    snprintf(part, sizeof part, "x%d", k);
    return dequantize(t, j, name_of(t, i, part), codes, &shape);
}

// Layer i's codes from its float value, clamped where their type's range does not do it.
static void finish(struct writing *t, int i, const char *real)
{
    const struct dc_ilayer *l = &t->model->layers[i];
    const struct dc_shape shape = shape_of(l, t->vector[i]);
    const int high_code = type_of(l->bits) == DC_ONNX_I4 ? 7 : 127, low_code = -high_code - 1;
    if (l->clamp_low == low_code && l->clamp_high == high_code) {
        t->codes[i] = quantize(t, i, l->name, real, &shape);
        return;
    }
    const float low = l->scale * (float)(l->clamp_low - l->zero_point);
    const float high = l->scale * (float)(l->clamp_high - l->zero_point);
    const char *limits[2] = {"", NULL};
    if (l->clamp_low > low_code)
        limits[0] = dc_onnx_put_float(t->w, name_of(t, i, "low"), low);
    if (l->clamp_high < high_code)
        limits[1] = dc_onnx_put_float(t->w, name_of(t, i, "high"), high);
    const char *codes = quantize(t, i, name_of(t, i, "unclamped"), real, &shape);
    const char *x = dequantize(t, i, name_of(t, i, "unclamped_real"), codes, &shape);
    const char *clamped = dc_onnx_put(t->w, "Clip", name_of(t, i, "clamped"), DC_ONNX_F32, &shape,
                                      DC_ONNX_IN(x, limits[0], limits[1]), "%s", "");
    t->codes[i] = quantize(t, i, l->name, clamped, &shape);
}

// A node that makes layer i's float value.
#define REAL(t, i, op, inputs, ...)                                                                \
    dc_onnx_put((t)->w, op, name_of(t, i, "real"), DC_ONNX_F32,                                    \
                &(struct dc_shape[]){shape_of(&(t)->model->layers[i], (t)->vector[i])}[0], inputs, \
                __VA_ARGS__)

// Layers with weights.

// Weights with their output channel first, then the input channel, as floats to come.
static const char *put_weights(struct writing *t, int i)
{
    const struct dc_ilayer *l = &t->model->layers[i], *x = &t->model->layers[l->inputs[0]];
    const bool dense = l->op == DC_I_FULLY_CONNECTED, depth = l->op == DC_I_DEPTHWISE_CONV2D;
    const int64_t in = depth ? 1 : x->channels, taps = l->weight_count / l->channels;
    int8_t *turned = dc_alloc((size_t)l->weight_count, NULL);
    if (!turned) {
        dc_onnx_refuse(t->w, DC_ERR_MEMORY, "out of memory");
        return "";
    }
    if (depth)  // 1HWC
        dc_onnx_channels_first(turned, l->weights, 1, taps, l->channels, 1);
    else
        dc_onnx_channels_first(turned, l->weights, l->channels, taps / in, in, 1);
    const struct dc_shape shape = dense ? DC_SHAPE(l->channels, taps)
                                        : DC_SHAPE(l->channels, in, l->window.kernel[0],
                                                   l->window.kernel[1]);
    const struct dc_shape scales = l->per_channel ? DC_SHAPE(l->channels) : (struct dc_shape){0};
    int8_t *zeros = dc_alloc((size_t)l->channels, NULL);
    const enum dc_onnx_type type = type_of(t->model->wide_weights ? 8 : l->weight_bits);
    const char *w = dc_onnx_put_tensor(t->w, name_of(t, i, "weight"), type, &shape, turned);
    const char *s = dc_onnx_put_tensor(t->w, name_of(t, i, "weight_scale"), DC_ONNX_F32, &scales,
                                       l->weight_scales);
    if (!zeros)
        dc_onnx_refuse(t->w, DC_ERR_MEMORY, "out of memory");
    const char *z = zeros ? dc_onnx_put_tensor(t->w, name_of(t, i, "weight_zero_point"), type,
                                               &scales, zeros)
                          : "";
    free(zeros);
    free(turned);
    return dc_onnx_put(t->w, "DequantizeLinear", name_of(t, i, "weight_real"), DC_ONNX_F32, &shape,
                       DC_ONNX_IN(w, s, z), "axis=%d", 0);
}

static const char *put_bias(struct writing *t, int i)
{
    const struct dc_ilayer *l = &t->model->layers[i], *x = &t->model->layers[l->inputs[0]];
    const struct dc_shape shape = DC_SHAPE(l->channels);
    const struct dc_shape scales = l->per_channel ? shape : (struct dc_shape){0};
    float *products = dc_alloc((size_t)l->channels * sizeof *products, NULL);
    int32_t *zeros = dc_alloc((size_t)l->channels * sizeof *zeros, NULL);
    const char *b = "", *s = "", *z = "";
    if (!products || !zeros)
        dc_onnx_refuse(t->w, DC_ERR_MEMORY, "out of memory");
    else {
        for (int c = 0; c < l->channels; c++)
            products[c] = x->scale * l->weight_scales[c];
        b = dc_onnx_put_tensor(t->w, name_of(t, i, "bias"), DC_ONNX_I32, &shape, l->biases);
        s = dc_onnx_put_tensor(t->w, name_of(t, i, "bias_scale"), DC_ONNX_F32, &scales, products);
        z = dc_onnx_put_tensor(t->w, name_of(t, i, "bias_zero_point"), DC_ONNX_I32, &scales, zeros);
    }
    free(zeros);
    free(products);
    return dc_onnx_put(t->w, "DequantizeLinear", name_of(t, i, "bias_real"), DC_ONNX_F32, &shape,
                       DC_ONNX_IN(b, s, z), "axis=%d", 0);
}

static void put_weighted(struct writing *t, int i)
{
    const struct dc_ilayer *l = &t->model->layers[i], *x = &t->model->layers[l->inputs[0]];
    const bool dense = l->op == DC_I_FULLY_CONNECTED;
    t->vector[i] = dense;
    const char *in = real_input(t, i, 0, dense), *w = put_weights(t, i), *b = put_bias(t, i);
    const char *const *inputs = DC_ONNX_IN(in, w, b);
    if (dense)
        finish(t, i, REAL(t, i, "Gemm", inputs, "transB=%d", 1));
    else
        finish(t, i,
               REAL(t, i, "Conv", inputs,
                    "kernel_shape=[%d,%d] strides=[%d,%d] dilations=[%d,%d] group=%d "
                    "pads=[%d,%d,%d,%d]",
                    l->window.kernel[0], l->window.kernel[1], l->window.stride[0],
                    l->window.stride[1], l->window.dilation[0], l->window.dilation[1],
                    l->op == DC_I_DEPTHWISE_CONV2D ? x->channels : 1, l->window.before[0],
                    l->window.before[1], l->window.after[0], l->window.after[1]));
}

// Layers without.

static void put_several(struct writing *t, int i)
{
    const struct dc_ilayer *l = &t->model->layers[i];
    const char *in[DC_I_INPUTS_MAX + 1] = {NULL};
    t->vector[i] = true;
    for (int k = 0; k < l->input_count; k++)
        t->vector[i] = t->vector[i] && t->vector[l->inputs[k]];
    for (int k = 0; k < l->input_count; k++)
        in[k] = real_input(t, i, k, t->vector[i]);
    finish(t, i,
           REAL(t, i, l->op == DC_I_ADD ? "Add" : "Concat", in, "%s",
                l->op == DC_I_ADD ? "" : "axis=1"));
}

static void put_pool(struct writing *t, int i)
{
    const struct dc_ilayer *l = &t->model->layers[i];
    const char *const *in = DC_ONNX_IN(real_input(t, i, 0, false));
    if (l->op == DC_I_MEAN)
        finish(t, i, REAL(t, i, "GlobalAveragePool", in, "%s", ""));
    else
        finish(t, i,
               REAL(t, i, l->op == DC_I_MAX_POOL ? "MaxPool" : "AveragePool", in,
                    "kernel_shape=[%d,%d] strides=[%d,%d] pads=[%d,%d,%d,%d]", l->window.kernel[0],
                    l->window.kernel[1], l->window.stride[0], l->window.stride[1],
                    l->window.before[0], l->window.before[1], l->window.after[0],
                    l->window.after[1]));
}

static void put_pad(struct writing *t, int i)
{
    const struct dc_ilayer *l = &t->model->layers[i], *x = &t->model->layers[l->inputs[0]];
    const int64_t pads[8] = {0,
                             l->first_channel,
                             l->window.before[0],
                             l->window.before[1],
                             0,
                             l->channels - x->channels - l->first_channel,
                             l->window.after[0],
                             l->window.after[1]};
    const char *in = real_input(t, i, 0, false);
    const char *widths = dc_onnx_put_integers(t->w, name_of(t, i, "pads"), pads, 8);
    finish(t, i, REAL(t, i, "Pad", DC_ONNX_IN(in, widths), "mode:%s", "constant"));
}

static void put_slice(struct writing *t, int i)
{
    const struct dc_ilayer *l = &t->model->layers[i];
    const int64_t starts[3] = {l->first_channel, l->window.before[0], l->window.before[1]};
    const int64_t steps[3] = {1, l->window.stride[0], l->window.stride[1]}, axes[3] = {1, 2, 3};
    const int64_t ends[3] = {starts[0] + l->channels, starts[1] + (l->height - 1) * steps[1] + 1,
                             starts[2] + (l->width - 1) * steps[2] + 1};
    const char *in = real_input(t, i, 0, false);
    const char *s = dc_onnx_put_integers(t->w, name_of(t, i, "starts"), starts, 3);
    const char *e = dc_onnx_put_integers(t->w, name_of(t, i, "ends"), ends, 3);
    const char *a = dc_onnx_put_integers(t->w, name_of(t, i, "axes"), axes, 3);
    const char *n = dc_onnx_put_integers(t->w, name_of(t, i, "steps"), steps, 3);
    finish(t, i, REAL(t, i, "Slice", DC_ONNX_IN(in, s, e, a, n), "%s", ""));
}

// Codes in the engine's order, [height, width, channels], take new dimensions.
static void put_reshape(struct writing *t, int i)
{
    const struct dc_ilayer *l = &t->model->layers[i], *x = &t->model->layers[l->inputs[0]];
    const int64_t dims[4] = {-1, l->height, l->width, l->channels};
    const int64_t flat[2] = {-1, dc_ilayer_size(l)};
    const struct dc_shape before = DC_SHAPE(DC_BATCH, x->height, x->width, x->channels);
    const struct dc_shape after = DC_SHAPE(DC_BATCH, l->height, l->width, l->channels);
    const bool ordered = x->channels == 1 || x->height * x->width == 1;
    t->vector[i] = l->height * l->width == 1;
    const char *to = dc_onnx_put_integers(t->w, name_of(t, i, "dims"), t->vector[i] ? flat : dims,
                                          t->vector[i] ? 2 : 4);
    const char *real = real_input(t, i, 0, ordered && t->vector[l->inputs[0]]);
    if (!ordered) {
        real = dc_onnx_put(t->w, "Transpose", name_of(t, i, "rows"), DC_ONNX_F32, &before,
                           DC_ONNX_IN(real), "perm=[0,2,3,1]");
        const char *codes = quantize(t, i, name_of(t, i, "rows_codes"), real, &before);
        real = dequantize(t, i, name_of(t, i, "rows_real"), codes, &before);
    }
    if (t->vector[i]) {
        finish(t, i, REAL(t, i, "Reshape", DC_ONNX_IN(real, to), "%s", ""));
        return;
    }
    real = dc_onnx_put(t->w, "Reshape", name_of(t, i, "shaped"), DC_ONNX_F32, &after,
                       DC_ONNX_IN(real, to), "%s", "");
    const char *codes = quantize(t, i, name_of(t, i, "shaped_codes"), real, &after);
    real = dequantize(t, i, name_of(t, i, "shaped_real"), codes, &after);
    finish(t, i, REAL(t, i, "Transpose", DC_ONNX_IN(real), "perm=[0,3,1,2]"));
}

static void put_table(struct writing *t, int i)
{
    const struct dc_ilayer *l = &t->model->layers[i];
    t->vector[i] = t->vector[l->inputs[0]];
    const char *in = real_input(t, i, 0, t->vector[i]);
    if (l->function == DC_F_LEAKY_RELU) {
        finish(t, i,
               REAL(t, i, "LeakyRelu", DC_ONNX_IN(in), "alpha~%.9g", (double)l->parameters[0]));
        return;
    }
    if (l->function != DC_F_H_SWISH) {
        finish(t, i,
               REAL(t, i, l->function == DC_F_TANH ? "Tanh" : "Sigmoid", DC_ONNX_IN(in), "%s", ""));
        return;
    }
    const struct dc_shape shape = shape_of(l, t->vector[i]);
    const char *gate = dc_onnx_put(t->w, "HardSigmoid", name_of(t, i, "gate"), DC_ONNX_F32, &shape,
                                   DC_ONNX_IN(in), "alpha~%.9g beta~0.5", 1.0 / 6.0);
    finish(t, i, REAL(t, i, "Mul", DC_ONNX_IN(in, gate), "%s", ""));
}

// Over the channels, which are axis 1 in either rank.
static void put_softmax(struct writing *t, int i)
{
    t->vector[i] = t->vector[t->model->layers[i].inputs[0]];
    const char *in = real_input(t, i, 0, t->vector[i]);
    finish(t, i, REAL(t, i, "Softmax", DC_ONNX_IN(in), "axis=%d", 1));
}

static void put_input(struct writing *t, int i)
{
    const struct dc_ilayer *l = &t->model->layers[i];
    t->vector[i] = l->height * l->width == 1;
    const struct dc_shape shape = shape_of(l, t->vector[i]);
    dc_onnx_put_input(t->w, l->name, &shape);
    t->codes[i] = quantize(t, i, name_of(t, i, "codes"), l->name, &shape);
}

static void (*const put[DC_IOP_COUNT])(struct writing *, int) = {
    [DC_I_INPUT] = put_input,
    [DC_I_CONV2D] = put_weighted,
    [DC_I_DEPTHWISE_CONV2D] = put_weighted,
    [DC_I_FULLY_CONNECTED] = put_weighted,
    [DC_I_ADD] = put_several,
    [DC_I_AVERAGE_POOL] = put_pool,
    [DC_I_MAX_POOL] = put_pool,
    [DC_I_MEAN] = put_pool,
    [DC_I_RESHAPE] = put_reshape,
    [DC_I_PAD] = put_pad,
    [DC_I_CONCAT] = put_several,
    [DC_I_SLICE] = put_slice,
    [DC_I_TABLE] = put_table,
    [DC_I_SOFTMAX] = put_softmax,
};

static void put_layers(struct writing *t)
{
    const int last = t->model->count - 1;
    for (int i = 0; i <= last; i++) {
        const struct dc_ilayer *l = &t->model->layers[i];
        const int8_t zero_point = (int8_t)l->zero_point;
        t->scales[i] = dc_onnx_put_float(t->w, name_of(t, i, "scale"), l->scale);
        t->zero_points[i] = dc_onnx_put_tensor(t->w, name_of(t, i, "zero_point"), type_of(l->bits),
                                               &(struct dc_shape){0}, &zero_point);
        if (put[l->op])
            put[l->op](t, i);
        else
            dc_onnx_refuse(t->w, DC_ERR_DATA, "no ONNX is written for layer '%s' (%s)", l->name,
                           dc_iop_name(l->op));
    }
    const struct dc_shape shape = shape_of(&t->model->layers[last], t->vector[last]);
    const char *output = dequantize(t, last, name_of(t, last, "output"), t->codes[last], &shape);
    dc_onnx_put_output(t->w, output, &shape);
}

enum dc_status dc_export_onnx(const char *path, const struct dc_imodel *model,
                              struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    struct writing t = {.model = model};
    DC_TRY(dc_arena_create(&arena, error));
    t.codes = DC_NEW(arena, const char *, model->count, error);
    t.scales = DC_NEW(arena, const char *, model->count, error);
    t.zero_points = DC_NEW(arena, const char *, model->count, error);
    t.vector = DC_NEW(arena, bool, model->count, error);
    enum dc_status status = DC_ERR_MEMORY;
    if (t.codes && t.scales && t.zero_points && t.vector)
        status = dc_onnx_writer_create(&t.w, model->name, model->provenance, error);
    if (status == DC_OK) {
        put_layers(&t);
        status = dc_onnx_save(t.w, path, error);
    }
    dc_onnx_writer_free(t.w);
    dc_arena_free(arena);
    return status;
}
