// Owns the translation of integer layers to TFLite operators: which operator, padding, activation
// and constants say exactly what a layer computes. The file's layout is formats/tflite.c's.

#include "export/tflite.h"

#include <math.h>
#include <string.h>

#include "formats/int4.h"
#include "formats/tflite_build.h"
#include "qat/profile.h"

enum {
    ARENA_ALIGNMENT = 16,   // what TFLM gives its own plans
    FLOAT_ONE = 0x3f800000  // softmax's factor beta
};

struct writer {
    struct dc_tflite_builder build;
    struct dc_arena *arena;
    struct dc_error *error;
    const struct dc_imodel *model;
    int *values;  // [layer]: its tensor
};

// A value of the layer's quantization; of its shape too, unless changed by the caller.
static struct dc_tflite_tensor value_of(const struct dc_ilayer *l)
{
    return (struct dc_tflite_tensor){.name = l->name,
                                     .type = DC_TFLITE_INT8,
                                     .rank = 4,
                                     .shape = {1, l->height, l->width, l->channels},
                                     .scale_count = 1,
                                     .scales = &l->scale,
                                     .zero_point = l->zero_point,
                                     .arena_offset = -1};
}

// Where the profile's runtime computes the same from weights of 4 bits. Elsewhere they are written
// as int8: the runtime refuses them, or leaves them to kernels that round otherwise (what was tried
// is in docs/integers.md).
static bool takes_int4(const struct dc_imodel *model, const struct dc_ilayer *l)
{
    const char *profile = model->profile->name;
    const bool dense = l->op == DC_I_FULLY_CONNECTED;
    if (strcmp(profile, "tflm") == 0)
        return !(dense && l->per_channel);
    if (strcmp(profile, "litert-builtin") == 0)
        return true;
    if (strcmp(profile, "litert-reference") == 0)
        return l->op != DC_I_DEPTHWISE_CONV2D;
    return (strcmp(profile, "litert-xnnpack") == 0 || strcmp(profile, "litert-arm64") == 0) &&
           dense && dc_ilayer_size(&model->layers[l->inputs[0]]) % 2 == 0;
}

int dc_tflite_unpacked(const struct dc_imodel *model)
{
    int count = 0;
    for (int i = 1; i < model->count && !model->wide_weights; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        count += dc_ilayer_has_weights(l) && l->weight_bits <= 4 && !takes_int4(model, l);
    }
    return count;
}

// Weights with a scale a channel (one where a fully connected layer has one: its multiplier is then
// another), biases with the float32 products of scales.
static enum dc_status add_weights(struct writer *w, const struct dc_ilayer *l,
                                  struct dc_tflite_operator *o)
{
    const struct dc_ilayer *x = &w->model->layers[l->inputs[0]];
    const bool dense = l->op == DC_I_FULLY_CONNECTED, depthwise = l->op == DC_I_DEPTHWISE_CONV2D;
    const int count = dense && !l->per_channel ? 1 : l->channels;
    float *scales = DC_NEW(w->arena, float, count, w->error);
    const char *weights_name = dc_arena_printf(w->arena, w->error, "%s/weights", l->name);
    const char *biases_name = dc_arena_printf(w->arena, w->error, "%s/biases", l->name);
    if (!scales || !weights_name || !biases_name)
        return DC_ERR_MEMORY;
    for (int c = 0; c < count; c++)
        scales[c] = x->scale * l->weight_scales[c];
    struct dc_tflite_tensor t = {
        .name = weights_name,
        .type = DC_TFLITE_INT8,
        .rank = 4,
        .shape = {l->channels, l->window.kernel[0], l->window.kernel[1], x->channels},
        .scale_count = count,
        .scales = l->weight_scales,
        .axis = depthwise ? 3 : 0,
        .data = l->weights,
        .bytes = l->weight_count,
        .arena_offset = -1};
    if (depthwise) {
        t.shape[0] = 1;
        t.shape[3] = l->channels;
    } else if (dense) {
        t.rank = 2;
        t.shape[1] = (int32_t)dc_ilayer_size(x);
    }
    if (l->weight_bits <= 4 && !w->model->wide_weights && takes_int4(w->model, l)) {
        uint8_t *packed = DC_NEW(w->arena, uint8_t, dc_int4_bytes(l->weight_count), w->error);
        if (!packed)
            return DC_ERR_MEMORY;
        dc_int4_pack(packed, l->weights, l->weight_count);
        t.type = DC_TFLITE_INT4;
        t.data = packed;
        t.bytes = dc_int4_bytes(l->weight_count);
    }
    DC_TRY(dc_tflite_add_tensor(&w->build, &t, &o->inputs[1]));
    o->input_count = 3;
    return dc_tflite_add_tensor(&w->build,
                                &(struct dc_tflite_tensor){.name = biases_name,
                                                           .type = DC_TFLITE_INT32,
                                                           .rank = 1,
                                                           .shape = {l->channels},
                                                           .scale_count = count,
                                                           .scales = scales,
                                                           .data = l->biases,
                                                           .bytes = 4 * (int64_t)l->channels,
                                                           .arena_offset = -1},
                                &o->inputs[2]);
}

// The activation whose clamp, as TFLite computes it, is the layer's.
static enum dc_status find_activation(int64_t *activation, const struct dc_ilayer *l,
                                      struct dc_error *error)
{
    static const float bounds[][2] = {[DC_TFLITE_NONE] = {-INFINITY, INFINITY},
                                      [DC_TFLITE_RELU] = {0, INFINITY},
                                      [DC_TFLITE_RELU_N1_TO_1] = {-1, 1},
                                      [DC_TFLITE_RELU6] = {0, 6}};
    for (int a = DC_TFLITE_NONE; a <= DC_TFLITE_RELU6; a++) {
        const float low = roundf(bounds[a][0] / l->scale) + (float)l->zero_point;
        const float high = roundf(bounds[a][1] / l->scale) + (float)l->zero_point;
        *activation = a;
        if ((low < -128 ? -128 : low) == (float)l->clamp_low &&
            (high > 127 ? 127 : high) == (float)l->clamp_high)
            return DC_OK;
    }
    return dc_fail(error, DC_ERR_DATA,
                   "TFLite has no fused activation that clamps '%s' to codes %d to %d (scale %.9g, "
                   "zero point %d)",
                   l->name, l->clamp_low, l->clamp_high, (double)l->scale, l->zero_point);
}

// VALID without padding, SAME where TensorFlow's rule gives these pads, else an operator that pads.
static enum dc_status pad_window(struct writer *w, const struct dc_ilayer *l,
                                 struct dc_tflite_operator *o)
{
    const struct dc_ilayer *x = &w->model->layers[l->inputs[0]];
    o->options[0] = DC_TFLITE_VALID;
    if (!dc_window_is_padded(&l->window))
        return DC_OK;
    if (dc_window_is_same(&l->window, 0, x->height) && dc_window_is_same(&l->window, 1, x->width)) {
        o->options[0] = DC_TFLITE_SAME;
        return DC_OK;
    }
    if (l->op == DC_I_AVERAGE_POOL)
        return dc_fail(w->error, DC_ERR_DATA,
                       "'%s' averages over a padded window that is not TFLite's SAME", l->name);
    static const int8_t least = -128;
    const int32_t pads[] = {
        0, 0, l->window.before[0], l->window.after[0], l->window.before[1], l->window.after[1],
        0, 0};
    struct dc_tflite_tensor padded = value_of(x);
    struct dc_tflite_operator pad = {
        .kind = DC_TFLITE_PAD, .input_count = 2, .inputs = {o->inputs[0]}};
    padded.name = dc_arena_printf(w->arena, w->error, "%s/padded", l->name);
    if (!padded.name)
        return DC_ERR_MEMORY;
    padded.shape[1] += l->window.before[0] + l->window.after[0];
    padded.shape[2] += l->window.before[1] + l->window.after[1];
    DC_TRY(dc_tflite_add_integers(&w->build, l->name, "pads", pads, 4, 2, &pad.inputs[1]));
    if (l->op == DC_I_MAX_POOL) {
        struct dc_tflite_tensor fill = value_of(x);
        fill.name = padded.name;
        fill.rank = 1;
        fill.shape[0] = 1;
        fill.data = &least;
        fill.bytes = 1;
        pad.kind = DC_TFLITE_PAD_VALUE;
        pad.input_count = 3;
        DC_TRY(dc_tflite_add_tensor(&w->build, &fill, &pad.inputs[2]));
    }
    DC_TRY(dc_tflite_add_tensor(&w->build, &padded, &pad.output));
    o->inputs[0] = pad.output;
    return dc_tflite_add_operator(&w->build, &pad);
}

static enum dc_status write_window(struct writer *w, const struct dc_ilayer *l,
                                   struct dc_tflite_operator *o)
{
    const bool pool = !dc_ilayer_has_weights(l), depthwise = l->op == DC_I_DEPTHWISE_CONV2D;
    int64_t *option = o->options + 1;
    DC_TRY(pad_window(w, l, o));
    *option++ = l->window.stride[1];
    *option++ = l->window.stride[0];
    if (pool) {
        *option++ = l->window.kernel[1];
        *option++ = l->window.kernel[0];
    } else if (depthwise) {
        *option++ = l->channels / w->model->layers[l->inputs[0]].channels;
    }
    DC_TRY(find_activation(option++, l, w->error));
    if (pool && (l->window.dilation[0] != 1 || l->window.dilation[1] != 1))
        return dc_fail(w->error, DC_ERR_DATA, "TFLite has no dilated pool ('%s')", l->name);
    if (pool)
        return DC_OK;
    *option++ = l->window.dilation[1];
    *option++ = l->window.dilation[0];
    return add_weights(w, l, o);
}

// Images are flattened by a RESHAPE of their own; then rank 4 is kept, but for the network's
// output.
static enum dc_status write_dense(struct writer *w, const struct dc_ilayer *l,
                                  struct dc_tflite_operator *o)
{
    const struct dc_ilayer *x = &w->model->layers[l->inputs[0]];
    if (x->height * x->width > 1) {
        const int32_t shape[] = {1, 1, 1, (int32_t)dc_ilayer_size(x)};
        struct dc_tflite_tensor flat = value_of(x);
        struct dc_tflite_operator reshape = {
            .kind = DC_TFLITE_RESHAPE, .input_count = 2, .inputs = {o->inputs[0]}};
        memcpy(flat.shape, shape, sizeof shape);
        flat.name = dc_arena_printf(w->arena, w->error, "%s/flat", l->name);
        if (!flat.name)
            return DC_ERR_MEMORY;
        DC_TRY(
            dc_tflite_add_integers(&w->build, l->name, "shape", shape, 4, 0, &reshape.inputs[1]));
        DC_TRY(dc_tflite_add_tensor(&w->build, &flat, &reshape.output));
        DC_TRY(dc_tflite_add_operator(&w->build, &reshape));
        o->inputs[0] = reshape.output;
    }
    o->options[2] = l != dc_imodel_output(w->model);
    DC_TRY(find_activation(&o->options[0], l, w->error));
    return add_weights(w, l, o);
}

// Copies and means: what they need beside the value is integer constants.
static enum dc_status write_move(struct writer *w, const struct dc_ilayer *l,
                                 struct dc_tflite_operator *o)
{
    const struct dc_ilayer *x = &w->model->layers[l->inputs[0]];
    if (l->op == DC_I_MEAN) {
        o->options[0] = 1;
        if (l->clamp_low != -128 || l->clamp_high != 127)
            return dc_fail(w->error, DC_ERR_DATA, "TFLite's mean has no activation ('%s')",
                           l->name);
        o->input_count = 2;
        return dc_tflite_add_integers(&w->build, l->name, "axes", (const int32_t[]){1, 2}, 2, 0,
                                      &o->inputs[1]);
    }
    if (l->op == DC_I_PAD) {
        const int behind = l->channels - x->channels - l->first_channel;
        const int32_t pads[] = {0,
                                0,
                                l->window.before[0],
                                l->window.after[0],
                                l->window.before[1],
                                l->window.after[1],
                                l->first_channel,
                                behind};
        o->input_count = 2;
        return dc_tflite_add_integers(&w->build, l->name, "pads", pads, 4, 2, &o->inputs[1]);
    }
    const int32_t shape[] = {1, l->height, l->width, l->channels};
    if (l->op == DC_I_RESHAPE) {
        o->input_count = 2;
        return dc_tflite_add_integers(&w->build, l->name, "shape", shape, 4, 0, &o->inputs[1]);
    }
    const int32_t begin[] = {0, l->window.before[0], l->window.before[1], l->first_channel};
    const int32_t strides[] = {1, l->window.stride[0], l->window.stride[1], 1};
    int32_t end[4];
    for (int i = 0; i < 4; i++)
        end[i] = begin[i] + (shape[i] - 1) * strides[i] + 1;
    o->input_count = 4;
    DC_TRY(dc_tflite_add_integers(&w->build, l->name, "begin", begin, 4, 0, &o->inputs[1]));
    DC_TRY(dc_tflite_add_integers(&w->build, l->name, "end", end, 4, 0, &o->inputs[2]));
    return dc_tflite_add_integers(&w->build, l->name, "strides", strides, 4, 0, &o->inputs[3]);
}

// Runtimes that round twice shift a sum left first where its factor is 1 or more. Their int32
// wraps, the engine saturates.
static enum dc_status check_shifts(const struct writer *w, const struct dc_ilayer *l)
{
    const enum dc_rounding rounding = dc_profile_rounding(w->model->profile, l->op);
    const double most = (double)(-l->accumulator_low > l->accumulator_high ? -l->accumulator_low
                                                                           : l->accumulator_high);
    if (rounding != DC_ROUND_DOUBLE && rounding != DC_ROUND_DOUBLE_UP &&
        rounding != DC_ROUND_DOUBLE_BLOCKS)
        return DC_OK;
    for (int i = 0; i < l->rescales; i++) {
        if (l->shifts[i] > 0 && ldexp(most, l->shifts[i]) >= 0x1p31)
            return dc_fail(w->error, DC_ERR_DATA,
                           "sums of '%s' can reach %.0f, which TFLite's runtimes shift left by %d "
                           "bits, beyond int32: its output scale %.3g is too small for them",
                           l->name, most, l->shifts[i], (double)l->scale);
    }
    return DC_OK;
}

// A code lies up to 255 from its zero point: from a factor of 2^23 on the runtimes' int32 wraps.
static enum dc_status write_slope(const struct writer *w, const struct dc_ilayer *l,
                                  struct dc_tflite_operator *o)
{
    const float slope = l->parameters[0], ratio = w->model->layers[l->inputs[0]].scale / l->scale;
    o->options[0] = dc_tflite_float_bits(slope);
    if (ratio < 0x1p23f && fabsf(ratio * slope) < 0x1p23f)
        return DC_OK;
    return dc_fail(w->error, DC_ERR_DATA,
                   "the output scale %.3g of '%s' is too small for what it reads", (double)l->scale,
                   l->name);
}

static enum dc_status write_layer(struct writer *w, int i, int64_t offset)
{
    static const enum dc_tflite_kind kinds[DC_IOP_COUNT] = {
        [DC_I_CONV2D] = DC_TFLITE_CONV,
        [DC_I_DEPTHWISE_CONV2D] = DC_TFLITE_DEPTHWISE_CONV,
        [DC_I_FULLY_CONNECTED] = DC_TFLITE_FULLY_CONNECTED,
        [DC_I_ADD] = DC_TFLITE_ADD,
        [DC_I_AVERAGE_POOL] = DC_TFLITE_AVERAGE_POOL,
        [DC_I_MAX_POOL] = DC_TFLITE_MAX_POOL,
        [DC_I_MEAN] = DC_TFLITE_MEAN,
        [DC_I_RESHAPE] = DC_TFLITE_RESHAPE,
        [DC_I_PAD] = DC_TFLITE_PAD,
        [DC_I_CONCAT] = DC_TFLITE_CONCATENATION,
        [DC_I_SLICE] = DC_TFLITE_STRIDED_SLICE,
        [DC_I_SOFTMAX] = DC_TFLITE_SOFTMAX,
    };
    const struct dc_ilayer *l = &w->model->layers[i];
    static const enum dc_tflite_kind functions[] = {[DC_F_SIGMOID] = DC_TFLITE_LOGISTIC,
                                                    [DC_F_TANH] = DC_TFLITE_TANH,
                                                    [DC_F_H_SWISH] = DC_TFLITE_HARD_SWISH,
                                                    [DC_F_LEAKY_RELU] = DC_TFLITE_LEAKY_RELU};
    struct dc_tflite_operator o = {.kind = l->op == DC_I_TABLE ? functions[l->function]
                                                               : kinds[l->op],
                                   .input_count = l->input_count};
    struct dc_tflite_tensor value = value_of(l);
    if (l->bits < 8)
        return dc_fail(w->error, DC_ERR_DATA, "TFLite has no activations of %d bits, as '%s' has",
                       l->bits, l->name);
    DC_TRY(check_shifts(w, l));
    for (int k = 0; k < l->input_count; k++)
        o.inputs[k] = w->values[l->inputs[k]];
    value.arena_offset = offset;
    if (l->op == DC_I_FULLY_CONNECTED && l == dc_imodel_output(w->model)) {
        value.rank = 2;
        value.shape[1] = l->channels;
    }
    if (l->op == DC_I_FULLY_CONNECTED)
        DC_TRY(write_dense(w, l, &o));
    else if (dc_ilayer_has_weights(l) || l->op == DC_I_AVERAGE_POOL || l->op == DC_I_MAX_POOL)
        DC_TRY(write_window(w, l, &o));
    else if (l->op == DC_I_ADD)
        DC_TRY(find_activation(&o.options[0], l, w->error));
    else if (l->op == DC_I_CONCAT)
        o.options[0] = 3;
    else if (l->op == DC_I_SOFTMAX)
        o.options[0] = FLOAT_ONE;
    else if (o.kind == DC_TFLITE_LEAKY_RELU)
        DC_TRY(write_slope(w, l, &o));
    else if (l->op != DC_I_INPUT && l->op != DC_I_TABLE)
        DC_TRY(write_move(w, l, &o));
    DC_TRY(dc_tflite_add_tensor(&w->build, &value, &w->values[i]));
    o.output = w->values[i];
    return l->op == DC_I_INPUT ? DC_OK : dc_tflite_add_operator(&w->build, &o);
}

static enum dc_status translate(struct writer *w, const char *path)
{
    int64_t *offsets = DC_NEW(w->arena, int64_t, w->model->count, w->error), bytes;
    w->values = DC_NEW(w->arena, int, w->model->count, w->error);
    if (!offsets || !w->values)
        return DC_ERR_MEMORY;
    const int alignment = w->model->alignment > ARENA_ALIGNMENT ? w->model->alignment
                                                                : ARENA_ALIGNMENT;
    DC_TRY(dc_imodel_place(offsets, &bytes, w->model, alignment, w->error));
    for (int i = 0; i < w->model->count; i++)
        DC_TRY(write_layer(w, i, offsets[i]));
    w->build.file.input = w->values[0];
    w->build.file.output = w->values[w->model->count - 1];
    return dc_tflite_save(&w->build, path);
}

enum dc_status dc_tflite_write(const char *path, const struct dc_imodel *model,
                               const char *normalization, struct dc_error *error)
{
    struct writer w = {.error = error, .model = model};
    DC_TRY(dc_arena_create(&w.arena, error));
    w.build = (struct dc_tflite_builder){.arena = w.arena,
                                         .error = error,
                                         .file = {.name = model->name,
                                                  .description = model->provenance,
                                                  .normalization = normalization}};
    const enum dc_status status = translate(&w, path);
    dc_arena_free(w.arena);
    return status;
}
