// Owns the float32 reading of the network that an integer model is (integer_graph.h). Sums and
// moves stay its float ops, on codes; the roundings, and what no float op computes to the last bit,
// are one op here, which reads its layer. Shares no arithmetic with the engine or the profiles.

#include "qat/simulate.h"

#include <assert.h>
#include <math.h>

#include "core/ops/ops.h"
#include "qat/integer_graph.h"
#include "qat/profile.h"

// The result is a layer's value, or the reals that the last one stands for.
struct simulated_attributes {
    const struct dc_imodel *model;
    int layer;
    bool reals;
    struct dc_shape shape;  // of the result
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

static void round_product(const struct layer_call *call)
{
    const struct dc_ilayer *l = call->layer, *b = call->in[1];
    const float factor = call->in[0]->scale * b->scale / l->scale;
    for (int64_t i = 0; i < dc_ilayer_size(l); i++) {
        const int64_t c = i % l->channels, x = i / l->channels % l->width,
                      y = i / l->channels / l->width;
        const int64_t at = ((b->height > 1 ? y : 0) * b->width + (b->width > 1 ? x : 0)) *
                               b->channels +
                           (b->channels > 1 ? c : 0);
        const float product = call->x[0][i] * call->x[1][at];
        call->y[i] = clamp_value(l, rintf(product * factor));
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
    [DC_I_MULTIPLY] = round_product,
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
    *out = a->shape;
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
    const struct dc_network *from;
    struct dc_graph *graph;
    const int *layers;  // [node of from]: the layer it stores, or -1
    int *values;        // [node of from]: its node here
    struct dc_error *error;
};

// Ops that work on codes as they do on reals: sums of products, and what moves or compares.
static bool works_on_codes(const struct dc_op *op)
{
    static const struct dc_op *const ops[] = {&dc_op_conv,   &dc_op_dense, &dc_op_max_pool,
                                              &dc_op_pad,    &dc_op_slice, &dc_op_concat,
                                              &dc_op_reshape};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (ops[i] == op)
            return true;
    return false;
}

// The node of `from` that a rounding here reads instead of the op before it, which it replaces.
static enum dc_status add_rounding(struct translation *t, int i, bool reals)
{
    const struct dc_node *node = &t->from->graph->nodes[i];
    const struct dc_node *op = &t->from->graph->nodes[node->inputs[0]];
    const int own[1] = {node->inputs[0]};
    const bool sums = reals || op->op == &dc_op_input || works_on_codes(op->op);
    const int count = sums ? 1 : op->input_count, *reads = sums ? own : op->inputs;
    const struct simulated_attributes a = {
        t->model, reals ? t->model->count - 1 : t->layers[i], reals,
        reals ? DC_SHAPE(DC_BATCH, dc_ilayer_size(dc_imodel_output(t->model))) : node->shape};
    int inputs[DC_I_INPUTS_MAX];
    for (int k = 0; k < count; k++)
        inputs[k] = t->values[reads[k]];
    return dc_graph_add(t->graph, node->name, &simulated_op, &a, sizeof a, inputs, count,
                        &t->values[i], t->error);
}

// Between ends a value is codes, whatever it is in `from`; moves need no rounding.
static enum dc_status add_node(struct translation *t, int i, const struct dc_shape *sample)
{
    const struct dc_node *node = &t->from->graph->nodes[i];
    if (node->op == &dc_op_input)
        return dc_graph_add_input(t->graph, "input", DC_F32, sample, &t->values[i], t->error);
    if (i == t->from->output)
        return add_rounding(t, i, true);
    if (node->op == &dc_op_quantize && t->layers[i] >= 0 &&
        rounding_of[t->model->layers[t->layers[i]].op])
        return add_rounding(t, i, false);
    if (node->op == &dc_op_quantize || node->op == &dc_op_dequantize || !works_on_codes(node->op)) {
        t->values[i] = t->values[node->inputs[0]];
        return DC_OK;
    }
    return dc_graph_add_copy(t->graph, t->from->graph, i, t->values, &t->values[i], t->error);
}

static void set_parameters(struct dc_params *params, const struct dc_network *from)
{
    for (int i = 0; i < params->count; i++) {
        float *value = params->value + params->slices[i].offset;
        for (int64_t k = 0; k < params->slices[i].count; k++)
            value[k] = from->codes[i].weights ? (float)from->codes[i].weights[k]
                                              : (float)from->codes[i].biases[k];
    }
}

static enum dc_status translate(struct translation *t, const int *stored,
                                const struct dc_shape *sample)
{
    const int count = t->from->graph->count;
    int *layers = DC_NEW(t->from->graph->arena, int, count, t->error);
    t->values = DC_NEW(t->from->graph->arena, int, count, t->error);
    if (!layers || !t->values)
        return DC_ERR_MEMORY;
    for (int i = 0; i < count; i++)
        layers[i] = -1;
    for (int i = 0; i < t->model->count; i++)
        layers[stored[i]] = i;
    t->layers = layers;
    for (int i = 0; i < count; i++)
        DC_TRY(add_node(t, i, sample));
    return DC_OK;
}

enum dc_status dc_simulate(struct dc_graph **graph, struct dc_params **params, int *input,
                           int *output, const struct dc_imodel *model,
                           const struct dc_shape *sample, struct dc_error *error)
{
    struct dc_network from;
    struct translation t = {.model = model, .from = &from, .error = error};
    *graph = NULL;
    *params = NULL;
    const int *stored = NULL;
    DC_TRY(dc_integer_graph(&from, &stored, model, error));
    enum dc_status status = dc_graph_create(&t.graph, error);
    if (status == DC_OK)
        status = translate(&t, stored, sample);
    if (status == DC_OK)
        status = dc_params_create(params, t.graph, 0, false, error);
    if (status == DC_OK) {
        set_parameters(*params, &from);
        *input = t.values[from.input];
        *output = t.values[from.output];
        *graph = t.graph;
    } else {
        dc_graph_free(t.graph);
    }
    dc_network_free(&from);
    return status;
}
