// Owns convolution and dense with fake-quantized weights: the weights are rounded once a step and
// the float op does the rest, forward and backward, on the rounded ones. The weight gradient is the
// float op's, straight through where no weight is clamped; that of a learned scale comes from it.

#include <math.h>
#include <string.h>

#include "qat/fake_quantize.h"
#include "qat/oscillation.h"

// The scale under which sum |code| stays within the limit, though each code may be half a step more
// than its weight.
static float least_scale(const float *weights, int64_t taps, int channels, int c, double limit)
{
    double sum = 0.0;
    for (int64_t t = 0; limit > 0.0 && t < taps; t++)
        sum += fabs((double)weights[t * channels + c]);
    return limit > 0.0 ? (float)(sum * (1.0 + 0x1p-20) / (limit - 0.5 * (double)taps)) : 0.0f;
}

void dc_weight_scales(float *scales, const float *weights, int64_t taps, int channels,
                      const struct dc_weight_quantizer *quantizer)
{
    memset(scales, 0, sizeof *scales * (size_t)channels);
    for (int64_t t = 0; t < taps; t++) {
        for (int c = 0; c < channels; c++) {
            const float v = fabsf(weights[t * channels + c]);
            scales[c] = scales[c] > v ? scales[c] : v;  // NaN wins, once there
        }
    }
    for (int c = 0; c < channels; c++) {
        const float least = least_scale(weights, taps, channels, c, dc_sum_limit(quantizer));
        scales[c] /= (float)dc_code_high(quantizer->bits);
        scales[c] = scales[c] < least ? least : scales[c];
    }
    float largest = 0.0f;
    for (int c = 0; c < channels; c++)
        largest = largest > scales[c] ? largest : scales[c];
    for (int c = 0; c < channels; c++) {
        const float scale = quantizer->per_channel ? scales[c] : largest;
        scales[c] = scale < DC_STEP_FLOOR ? DC_STEP_FLOOR : scale;
        if (quantizer->power_of_two)
            scales[c] = dc_power_of_two_above(scales[c]);
    }
}

const struct dc_weight_quantizer *dc_node_weight_quantizer(int *scale, const struct dc_node *node)
{
    const struct dc_weight_quantizer *quantizer = NULL;
    *scale = -1;
    if (node->op == &dc_op_quantized_conv)
        quantizer = &((const struct dc_quantized_conv_attributes *)node->attributes)->weights;
    else if (node->op == &dc_op_quantized_dense)
        quantizer = &((const struct dc_quantized_dense_attributes *)node->attributes)->weights;
    if (quantizer && quantizer->scaling != DC_SCALE_OF_WEIGHTS)
        *scale = node->param_count - 1 - quantizer->tracks;
    return quantizer;
}

void dc_node_weight_scales(float *scales, const struct dc_node *node,
                           const struct dc_params *params)
{
    int kept;
    const struct dc_weight_quantizer *quantizer = dc_node_weight_quantizer(&kept, node);
    const struct dc_slice *weights = &params->slices[node->params[0]];
    const int channels = (int)weights->shape.dims[weights->shape.rank - 1];
    const float *trained = kept < 0 ? NULL
                                    : params->value + params->slices[node->params[kept]].offset;
    if (!trained)
        dc_weight_scales(scales, params->value + weights->offset, weights->count / channels,
                         channels, quantizer);
    for (int c = 0; c < channels && trained; c++)
        scales[c] = dc_kept_scale(trained[quantizer->per_channel ? c : 0], quantizer);
}

// Rounded weights, then their scales; the float op's own memory follows.
static size_t weights_bytes(int64_t count, int channels)
{
    return ((size_t)(count + channels) * sizeof(float) + 63) / 64 * 64;
}

struct kernel {
    int64_t taps;
    int channels;
    bool bias;
    const struct dc_weight_quantizer *quantizer;
};

// The parameter of a kept or learned scale stands behind the float op's.
static int scale_param(const struct kernel *k)
{
    return k->quantizer->scaling == DC_SCALE_OF_WEIGHTS ? -1 : 1 + k->bias;
}

static enum dc_status find_scales(float *scales, const struct dc_op_call *call,
                                  const struct kernel *k, struct dc_error *error)
{
    const int at = scale_param(k);
    if (at < 0)
        dc_weight_scales(scales, call->param[0], k->taps, k->channels, k->quantizer);
    for (int c = 0; c < k->channels && at >= 0; c++) {
        const float parameter = call->param[at][k->quantizer->per_channel ? c : 0];
        if (parameter == 0.0f)
            return dc_fail(error, DC_ERR_NUMERIC,
                           "the weights of '%s' have no scale: calibrate first", call->node->name);
        scales[c] = dc_kept_scale(parameter, k->quantizer);
    }
    return DC_OK;
}

// y: [taps, channels], scales: [channels]. The step's reciprocal is taken once a channel; the last
// operations are those of dc_fake_quantize with zero point 0.
static void quantize_weights(float *y, const float *scales, const float *w, const struct kernel *k)
{
    const float high = (float)dc_code_high(k->quantizer->bits);
    for (int64_t t = 0; t < k->taps; t++) {
        for (int c = 0; c < k->channels; c++) {
            const int64_t i = t * k->channels + c;
            y[i] = dc_weight_code(w[i], scales[c], high) * scales[c];
        }
    }
}

// The call of the float op: rounded weights in place of the node's, its notes behind ours.
static struct dc_op_call float_call(const struct dc_op_call *call, const struct kernel *k)
{
    struct dc_op_call inner = *call;
    const size_t bytes = weights_bytes(k->taps * k->channels, k->channels);
    char *ours = call->saved ? call->saved : call->scratch;
    inner.param[0] = (float *)ours;
    for (int p = 1 + k->bias; p < DC_OP_PARAMS_MAX; p++)  // the float op would take one for a bias
        inner.param[p] = inner.d_param[p] = NULL;
    if (call->saved)
        inner.saved = (char *)call->saved + bytes;
    else
        inner.scratch = (char *)call->scratch + bytes;
    return inner;
}

static enum dc_status forward(const struct dc_op_call *call, const struct dc_op *op,
                              const struct kernel *k, struct dc_error *error)
{
    struct dc_op_call inner = float_call(call, k);
    float *scales = inner.param[0] + k->taps * k->channels;
    if (call->step && call->step->quantizers_off) {
        memcpy(inner.param[0], call->param[0], sizeof(float) * (size_t)(k->taps * k->channels));
    } else {
        DC_TRY(find_scales(scales, call, k, error));
        quantize_weights(inner.param[0], scales, call->param[0], k);
    }
    return op->forward(&inner, error);
}

// Adds what passes of dq, the gradient of the rounded weights, to dw, and to d_scale its share.
// dw, d_scale: NULL where no gradient is wanted. Esser et al., equation 3.
static void pass_gradient(float *dw, float *d_scale, const float *dq, const float *scales,
                          const struct dc_op_call *call, const struct kernel *k)
{
    const bool learned = k->quantizer->scaling == DC_SCALE_LEARNED;
    const float high = (float)dc_code_high(k->quantizer->bits);
    const float limit = learned ? high : high + 0.5f;
    const bool shared = !k->quantizer->per_channel;
    const double share = sqrt((double)(k->taps * (shared ? k->channels : 1)) * (double)high);
    double sum = 0.0;
    for (int c = 0; c < k->channels; c++) {
        sum = shared ? sum : 0.0;
        for (int64_t t = 0; t < k->taps; t++) {
            const int64_t i = t * k->channels + c;
            const float v = call->param[0][i] * (1.0f / scales[c]);
            const bool inside = fabsf(v) <= limit;
            if (dw)
                dw[i] += inside ? dq[i] : 0.0f;
            const float slope = inside ? rintf(v) - v : v < 0.0f ? -high : high;
            sum += (double)dq[i] * (double)slope;
        }
        if (d_scale && (!shared || c == k->channels - 1)) {
            const int at = shared ? 0 : c;
            const double sign = call->param[scale_param(k)][at] < 0.0f ? -1.0 : 1.0;
            d_scale[at] += (float)(sign * sum / share);
        }
    }
}

static enum dc_status backward(const struct dc_op_call *call, const struct dc_op *op,
                               const struct kernel *k, struct dc_error *error)
{
    struct dc_op_call inner = float_call(call, k);
    const int at = scale_param(k);
    const bool off = call->step && call->step->quantizers_off;
    float *d_scale = k->quantizer->scaling == DC_SCALE_LEARNED ? call->d_param[at] : NULL;
    if (at < 0 || off || (!call->d_param[0] && !d_scale))
        return op->backward(&inner, error);
    const size_t bytes = weights_bytes(k->taps * k->channels, k->channels);
    float *dq = call->scratch;
    memset(dq, 0, bytes);
    inner.d_param[0] = dq;
    inner.scratch = (char *)call->scratch + bytes;
    DC_TRY(op->backward(&inner, error));
    pass_gradient(call->d_param[0], d_scale, dq, inner.param[0] + k->taps * k->channels, call, k);
    return DC_OK;
}

static int declare(struct dc_param_spec specs[DC_OP_PARAMS_MAX], int count, const struct kernel *k)
{
    const bool learned = k->quantizer->scaling == DC_SCALE_LEARNED;
    if (scale_param(k) >= 0)
        specs[count++] = (struct dc_param_spec){
            .name = "scale",
            .role = learned ? DC_ROLE_QUANTIZER : DC_ROLE_OBSERVER,
            .shape = DC_SHAPE(k->quantizer->per_channel ? k->channels : 1),
            .init = DC_INIT_CONSTANT};
    if (k->quantizer->tracks)
        specs[count++] = (struct dc_param_spec){
            .name = "oscillation",
            .role = DC_ROLE_OBSERVER,
            .shape = DC_SHAPE(DC_OSCILLATION_ROWS, k->taps * k->channels),
            .init = DC_INIT_CONSTANT};
    return count;
}

static void grow_memory(struct dc_op_memory *memory, const struct dc_node *node,
                        const struct dc_shape *in, const struct dc_shape *out,
                        const struct dc_ctx *ctx, const struct dc_op *op, const struct kernel *k)
{
    const size_t bytes = weights_bytes(k->taps * k->channels, k->channels);
    if (op->memory)
        op->memory(memory, node, in, out, ctx);
    memory->saved += bytes;
    memory->forward += bytes;
    memory->backward += scale_param(k) < 0 ? 0 : bytes;
}

int64_t dc_weight_taps(const struct dc_op *op, const struct dc_node *node,
                       const struct dc_shape *in)
{
    struct dc_param_spec specs[DC_OP_PARAMS_MAX];
    (void)op->declare(specs, node, in);
    const struct dc_shape *weight = &specs[0].shape;
    return dc_shape_product(weight, 0, weight->rank - 1);
}

static struct kernel conv_kernel(const struct dc_node *node, const struct dc_shape *in)
{
    const struct dc_quantized_conv_attributes *a = node->attributes;
    return (struct kernel){dc_weight_taps(&dc_op_conv, node, in), a->conv.filters, a->conv.bias,
                           &a->weights};
}

static struct kernel dense_kernel(const struct dc_node *node, const struct dc_shape *in)
{
    const struct dc_quantized_dense_attributes *a = node->attributes;
    return (struct kernel){dc_weight_taps(&dc_op_dense, node, in), a->dense.units, a->dense.bias,
                           &a->weights};
}

#define DC_QUANTIZED_OP(kind, flags_)                                                              \
    static enum dc_status kind##_infer(struct dc_shape *out, const struct dc_node *node,           \
                                       const struct dc_shape *in, struct dc_error *error)          \
    {                                                                                              \
        return dc_op_##kind.infer(out, node, in, error);                                           \
    }                                                                                              \
    static int kind##_declare(struct dc_param_spec specs[DC_OP_PARAMS_MAX],                        \
                              const struct dc_node *node, const struct dc_shape *in)               \
    {                                                                                              \
        const struct kernel k = kind##_kernel(node, in);                                           \
        return declare(specs, dc_op_##kind.declare(specs, node, in), &k);                          \
    }                                                                                              \
    static void kind##_memory(struct dc_op_memory *memory, const struct dc_node *node,             \
                              const struct dc_shape *in, const struct dc_shape *out,               \
                              const struct dc_ctx *ctx)                                            \
    {                                                                                              \
        const struct kernel k = kind##_kernel(node, in);                                           \
        grow_memory(memory, node, in, out, ctx, &dc_op_##kind, &k);                                \
    }                                                                                              \
    static enum dc_status kind##_forward(const struct dc_op_call *call, struct dc_error *error)    \
    {                                                                                              \
        const struct kernel k = kind##_kernel(call->node, &call->in[0].shape);                     \
        return forward(call, &dc_op_##kind, &k, error);                                            \
    }                                                                                              \
    static enum dc_status kind##_backward(const struct dc_op_call *call, struct dc_error *error)   \
    {                                                                                              \
        const struct kernel k = kind##_kernel(call->node, &call->in[0].shape);                     \
        return backward(call, &dc_op_##kind, &k, error);                                           \
    }                                                                                              \
    static int64_t kind##_macs(const struct dc_node *node, const struct dc_shape *in,              \
                               const struct dc_shape *out)                                         \
    {                                                                                              \
        return dc_op_##kind.macs(node, in, out);                                                   \
    }                                                                                              \
    const struct dc_op dc_op_quantized_##kind = {                                                  \
        .name = "quantized_" #kind,                                                                \
        .inputs_min = 1,                                                                           \
        .inputs_max = 1,                                                                           \
        .flags = flags_,                                                                           \
        .attribute_bytes = sizeof(struct dc_quantized_##kind##_attributes),                        \
        .infer = kind##_infer,                                                                     \
        .declare = kind##_declare,                                                                 \
        .memory = kind##_memory,                                                                   \
        .forward = kind##_forward,                                                                 \
        .backward = kind##_backward,                                                               \
        .macs = kind##_macs,                                                                       \
    }

DC_QUANTIZED_OP(conv, DC_OP_READS_INPUT | DC_OP_EPILOGUES);
DC_QUANTIZED_OP(dense, DC_OP_READS_INPUT);
