// Owns the float32 reading of an integer model. Sums are the float ops'; the roundings, and what no
// float op computes to the last bit, are one op here, which reads its layer. Shares no arithmetic
// with the engine or the profiles.

#include "qat/simulate.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "core/ops/ops.h"
#include "qat/profile.h"

// The result is a layer's value, or the reals that the last one stands for.
struct simulated_attributes {
    const struct dc_imodel *model;
    int layer;
    bool reals;
};

// One chunk's rows of one layer; y, and x of each input, a row at a time.
struct layer_call {
    const struct dc_ilayer *layer;
    const struct dc_ilayer *in[2];
    const float *x[2];
    float *y;
    enum dc_code_rounding input;  // the profile's
};

static float clamp_value(const struct dc_ilayer *l, float v)
{
    const float low = (float)(l->clamp_low - l->zero_point);
    const float high = (float)(l->clamp_high - l->zero_point);
    return v < low ? low : v > high ? high : v;
}

static void round_input(const struct layer_call *call)
{
    const struct dc_ilayer *l = call->layer;
    for (int64_t i = 0; i < dc_ilayer_size(l); i++) {
        const float steps = call->x[0][i] / l->scale;
        const float nearest = call->input == DC_CODE_HALF_AWAY ? roundf(steps)
                              : call->input == DC_CODE_HALF_EVEN
                                  ? rintf(steps)
                                  : (float)floor((double)steps + 0.5);
        call->y[i] = clamp_value(l, nearest);
    }
}

static void round_sums(const struct layer_call *call)
{
    const struct dc_ilayer *l = call->layer;
    for (int c = 0; c < l->channels; c++) {
        const float factor = call->in[0]->scale * l->weight_scales[c] / l->scale;
        const float limited = factor < 0x1p100f ? factor : 0x1p100f;  // 0 times it is 0
        for (int64_t i = c; i < dc_ilayer_size(l); i += l->channels)
            call->y[i] = clamp_value(l, rintf(call->x[0][i] * limited));
    }
}

// In double, where multipliers of 21 bits and their sum are exact.
static void round_addition(const struct layer_call *call)
{
    const struct dc_ilayer *l = call->layer;
    const float a = call->in[0]->scale / l->scale, b = call->in[1]->scale / l->scale;
    int exponent;
    frexpf(a < b ? b : a, &exponent);
    const double unit = ldexp(1.0, exponent - 21);
    const double m_a = rint((double)a / unit), m_b = rint((double)b / unit);
    for (int64_t i = 0; i < dc_ilayer_size(l); i++) {
        const double sum = m_a * (double)call->x[0][i] + m_b * (double)call->x[1][i];
        call->y[i] = clamp_value(l, (float)floor(sum * unit + 0.5));
    }
}

static void round_mean(const struct layer_call *call)
{
    const struct dc_ilayer *l = call->layer, *x = call->in[0];
    const int64_t positions = (int64_t)x->height * x->width;
    const float zero = (float)(positions * x->zero_point);
    const float factor = x->scale / l->scale * (1.0f / (float)positions);
    const float offset = (float)l->zero_point - zero * factor;
    for (int c = 0; c < l->channels; c++) {
        float sum = zero;
        for (int64_t p = 0; p < positions; p++)
            sum += call->x[0][p * l->channels + c];
        call->y[c] = clamp_value(l, rintf(sum * factor + offset) - (float)l->zero_point);
    }
}

static void round_average(const struct layer_call *call)
{
    const struct dc_ilayer *l = call->layer, *x = call->in[0];
    for (int64_t i = 0; i < dc_ilayer_size(l); i++) {
        const int c = (int)(i % l->channels);
        const int oy = (int)(i / l->channels / l->width), ox = (int)(i / l->channels % l->width);
        double sum = 0.0;
        int taps = 0;
        for (int ky = 0; ky < l->window.kernel[0]; ky++) {
            for (int kx = 0; kx < l->window.kernel[1]; kx++) {
                const int iy = oy * l->window.stride[0] - l->window.before[0] + ky;
                const int ix = ox * l->window.stride[1] - l->window.before[1] + kx;
                if (iy < 0 || iy >= x->height || ix < 0 || ix >= x->width)
                    continue;
                sum += (double)call->x[0][((int64_t)iy * x->width + ix) * l->channels + c];
                taps++;
            }
        }
        const double codes = sum + (double)taps * l->zero_point;
        call->y[i] = clamp_value(l, (float)(round(codes / taps) - l->zero_point));
    }
}

static void look_up(const struct layer_call *call)
{
    const struct dc_ilayer *l = call->layer;
    for (int64_t i = 0; i < dc_ilayer_size(l); i++) {
        const int code = (int)call->x[0][i] + call->in[0]->zero_point;
        call->y[i] = (float)(l->table[code + 128] - l->zero_point);
    }
}

static void share(const struct layer_call *call)
{
    const struct dc_ilayer *l = call->layer;
    for (int64_t at = 0; at < dc_ilayer_size(l); at += l->channels) {
        const float *x = call->x[0] + at;
        float largest = x[0], sum = 0.0f;
        for (int c = 1; c < l->channels; c++)
            largest = x[c] > largest ? x[c] : largest;
        for (int c = 0; c < l->channels; c++)
            sum += (float)l->exponentials[255 + (int)(x[c] - largest)];
        const float inverse = 1.0f / (sum * l->scale);
        for (int c = 0; c < l->channels; c++) {
            const float e = (float)l->exponentials[255 + (int)(x[c] - largest)];
            call->y[at + c] = clamp_value(l, (float)floor((double)(e * inverse) + 0.5));
        }
    }
}

static void clamp_all(const struct layer_call *call)
{
    for (int64_t i = 0; i < dc_ilayer_size(call->layer); i++)
        call->y[i] = clamp_value(call->layer, call->x[0][i]);
}

static void (*const rounding_of[DC_IOP_COUNT])(const struct layer_call *) = {
    [DC_I_INPUT] = round_input,
    [DC_I_CONV2D] = round_sums,
    [DC_I_DEPTHWISE_CONV2D] = round_sums,
    [DC_I_FULLY_CONNECTED] = round_sums,
    [DC_I_ADD] = round_addition,
    [DC_I_MEAN] = round_mean,
    [DC_I_AVERAGE_POOL] = round_average,
    [DC_I_MAX_POOL] = clamp_all,
    [DC_I_TABLE] = look_up,
    [DC_I_SOFTMAX] = share,
};

static void to_reals(const struct layer_call *call)
{
    for (int64_t i = 0; i < dc_ilayer_size(call->layer); i++)
        call->y[i] = (float)((double)call->layer->scale * (double)call->x[0][i]);
}

static enum dc_status infer(struct dc_shape *out, const struct dc_node *node,
                            const struct dc_shape *in, struct dc_error *error)
{
    const struct simulated_attributes *a = node->attributes;
    const struct dc_ilayer *l = &a->model->layers[a->layer];
    if (l->op == DC_I_INPUT && dc_shape_row(&in[0]) != dc_ilayer_size(l))
        return dc_fail(error, DC_ERR_CONFIG, "samples have %lld values, the model reads %lld",
                       (long long)dc_shape_row(&in[0]), (long long)dc_ilayer_size(l));
    *out = a->reals ? DC_SHAPE(DC_BATCH, dc_ilayer_size(l))
                    : DC_SHAPE(DC_BATCH, l->height, l->width, l->channels);
    return DC_OK;
}

static void forward_rows(const struct dc_op_call *call, struct dc_rows rows)
{
    const struct simulated_attributes *a = call->node->attributes;
    const struct dc_ilayer *l = &a->model->layers[a->layer];
    struct layer_call one = {.layer = l, .input = a->model->profile->input};
    assert(call->node->input_count > 0);
    for (int64_t r = rows.first; r < rows.first + rows.count; r++) {
        for (int i = 0; i < call->node->input_count; i++) {
            one.x[i] = dc_f32(&call->in[i]) + r * dc_shape_row(&call->in[i].shape);
            one.in[i] = &a->model->layers[l->inputs[i]];
        }
        one.y = dc_f32(&call->out) + r * dc_ilayer_size(l);
        (a->reals ? to_reals : rounding_of[l->op])(&one);
    }
}

static const struct dc_op simulated_op = {
    .name = "simulated",
    .inputs_min = 1,
    .inputs_max = 2,
    .flags = DC_OP_NO_GRADIENT,
    .attribute_bytes = sizeof(struct simulated_attributes),
    .infer = infer,
    .forward = dc_rows_forward,
    .forward_rows = forward_rows,
};

struct translation {
    const struct dc_imodel *model;
    struct dc_graph *graph;
    int *values;  // [layer]: nodes
    struct dc_error *error;
};

// A node of the layer, named LAYER.SUFFIX, or LAYER alone; *at is its input, then the node.
static enum dc_status append(struct translation *t, const struct dc_ilayer *l, const char *suffix,
                             const struct dc_op *op, const void *attributes, size_t bytes, int *at)
{
    const char *name = dc_arena_printf(t->graph->arena, t->error, "%s%s", l->name, suffix);
    return name ? dc_graph_add(t->graph, name, op, attributes, bytes, at, 1, at, t->error)
                : DC_ERR_MEMORY;
}

static enum dc_status append_rounding(struct translation *t, int layer, bool reals,
                                      const int *inputs, int input_count, int *node)
{
    const struct dc_ilayer *l = &t->model->layers[layer];
    const struct simulated_attributes a = {t->model, layer, reals};
    const char *name = dc_arena_printf(t->graph->arena, t->error, "%s.%s", l->name,
                                       reals ? "reals" : "rounded");
    return name ? dc_graph_add(t->graph, name, &simulated_op, &a, sizeof a, inputs, input_count,
                               node, t->error)
                : DC_ERR_MEMORY;
}

static enum dc_status append_reshape(struct translation *t, const struct dc_ilayer *l,
                                     const char *suffix, struct dc_shape shape, int *at)
{
    struct dc_reshape_attributes a = {.rank = shape.rank - 1};
    for (int k = 1; k < shape.rank; k++)
        a.dims[k - 1] = shape.dims[k];
    return append(t, l, suffix, &dc_op_reshape, &a, sizeof a, at);
}

// `count` of an axis from `begin` on, where that is not all of it.
static enum dc_status append_slice(struct translation *t, const struct dc_ilayer *l,
                                   const char *suffix, int axis, int begin, int count, int step,
                                   int *at)
{
    const struct dc_slice_attributes a = {axis, begin, begin + (int64_t)(count - 1) * step + 1,
                                          step};
    if (t->graph->nodes[*at].shape.dims[axis] == count)
        return DC_OK;
    return append(t, l, suffix, &dc_op_slice, &a, sizeof a, at);
}

static enum dc_status append_weighted(struct translation *t, const struct dc_ilayer *l, int *at)
{
    const struct dc_conv_attributes conv = {
        .filters = l->channels,
        .window = l->window,
        .groups = l->op == DC_I_DEPTHWISE_CONV2D ? t->model->layers[l->inputs[0]].channels : 1,
        .bias = true};
    const struct dc_dense_attributes dense = {l->channels, true};
    if (l->op != DC_I_FULLY_CONNECTED)
        return append(t, l, "", &dc_op_conv, &conv, sizeof conv, at);
    const int64_t inputs = l->weight_count / l->channels;
    DC_TRY(append_reshape(t, l, ".flat", DC_SHAPE(DC_BATCH, inputs), at));
    return append(t, l, "", &dc_op_dense, &dense, sizeof dense, at);
}

// What stands before a layer's rounding; or all of a layer that only moves codes.
static enum dc_status append_moves(struct translation *t, const struct dc_ilayer *l, int *at)
{
    const struct dc_ilayer *x = &t->model->layers[l->inputs[0]];
    const struct dc_pool_attributes pool = {.window = l->window};
    const struct dc_pad_attributes pad = {.top = l->window.before[0],
                                          .bottom = l->window.after[0],
                                          .left = l->window.before[1],
                                          .right = l->window.after[1],
                                          .before = l->first_channel,
                                          .after = l->channels - l->first_channel - x->channels};
    switch (l->op) {
    case DC_I_CONV2D:
    case DC_I_DEPTHWISE_CONV2D:
    case DC_I_FULLY_CONNECTED:
        return append_weighted(t, l, at);
    case DC_I_MAX_POOL:
        return append(t, l, "", &dc_op_max_pool, &pool, sizeof pool, at);
    case DC_I_PAD:
        return append(t, l, "", &dc_op_pad, &pad, sizeof pad, at);
    case DC_I_RESHAPE:
        return append_reshape(t, l, "", DC_SHAPE(DC_BATCH, l->height, l->width, l->channels), at);
    case DC_I_SLICE:
        DC_TRY(append_slice(t, l, ".rows", 1, l->window.before[0], l->height, l->window.stride[0],
                            at));
        DC_TRY(append_slice(t, l, ".columns", 2, l->window.before[1], l->width, l->window.stride[1],
                            at));
        return append_slice(t, l, "", 3, l->first_channel, l->channels, 1, at);
    default:
        return DC_OK;
    }
}

static enum dc_status append_layer(struct translation *t, int layer)
{
    static const struct dc_concat_attributes last_axis = {-1};
    const struct dc_ilayer *l = &t->model->layers[layer];
    int inputs[DC_I_INPUTS_MAX] = {0}, *at = &t->values[layer];
    for (int i = 0; i < l->input_count; i++)
        inputs[i] = t->values[l->inputs[i]];
    if (l->op == DC_I_CONCAT)
        return dc_graph_add(t->graph, l->name, &dc_op_concat, &last_axis, sizeof last_axis, inputs,
                            l->input_count, at, t->error);
    DC_TRY_IN(append_moves(t, l, inputs), t->error, "layer '%s'", l->name);
    *at = inputs[0];
    return rounding_of[l->op] ? append_rounding(t, layer, false, inputs, l->input_count, at)
                              : DC_OK;
}

// Codes to the float layouts: HWIO, [in, units].
static void set_parameters(struct dc_params *params, const struct dc_imodel *model)
{
    for (int i = 0, slice = 0; i < model->count; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        if (!dc_ilayer_has_weights(l))
            continue;
        float *weights = params->value + params->slices[slice++].offset;
        float *biases = params->value + params->slices[slice++].offset;
        const int64_t taps = l->weight_count / l->channels;
        for (int64_t k = 0; k < l->weight_count; k++)
            weights[l->op == DC_I_DEPTHWISE_CONV2D ? k : k % taps * l->channels + k / taps] =
                (float)l->weights[k];
        for (int c = 0; c < l->channels; c++)
            biases[c] = (float)l->biases[c];
    }
}

static enum dc_status translate(struct translation *t, int *input, int *output,
                                const struct dc_shape *sample)
{
    const int last = t->model->count - 1;
    DC_TRY(dc_graph_add_input(t->graph, "input", DC_F32, sample, input, t->error));
    DC_TRY(append_rounding(t, 0, false, input, 1, &t->values[0]));
    for (int i = 1; i <= last; i++)
        DC_TRY(append_layer(t, i));
    return append_rounding(t, last, true, &t->values[last], 1, output);
}

enum dc_status dc_simulate(struct dc_graph **graph, struct dc_params **params, int *input,
                           int *output, const struct dc_imodel *model,
                           const struct dc_shape *sample, struct dc_error *error)
{
    struct translation t = {.model = model, .error = error};
    *graph = NULL;
    *params = NULL;
    t.values = dc_alloc((size_t)model->count * sizeof *t.values, error);
    enum dc_status status = t.values ? dc_graph_create(&t.graph, error) : DC_ERR_MEMORY;
    if (status == DC_OK)
        status = translate(&t, input, output, sample);
    if (status == DC_OK)
        status = dc_params_create(params, t.graph, 0, false, error);
    if (status == DC_OK) {
        set_parameters(*params, model);
        *graph = t.graph;
    } else {
        dc_graph_free(t.graph);
    }
    free(t.values);
    return status;
}
