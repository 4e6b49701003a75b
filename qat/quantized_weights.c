// Owns convolution and dense with fake-quantized weights: the weights are rounded once a step and
// the float op does the rest, forward and backward, on the rounded ones. The weight gradient is the
// float op's, straight through.

#include <math.h>
#include <string.h>

#include "qat/fake_quantize.h"

void dc_weight_scales(float *scales, const float *weights, int64_t taps, int channels,
                      bool per_channel)
{
    memset(scales, 0, sizeof *scales * (size_t)channels);
    for (int64_t t = 0; t < taps; t++) {
        for (int c = 0; c < channels; c++) {
            const float v = fabsf(weights[t * channels + c]);
            scales[c] = scales[c] > v ? scales[c] : v;  // NaN wins, once there
        }
    }
    float largest = 0.0f;
    for (int c = 0; c < channels; c++)
        largest = largest > scales[c] ? largest : scales[c];
    for (int c = 0; c < channels; c++) {
        const float scale = (per_channel ? scales[c] : largest) / (float)DC_WEIGHT_HIGH;
        scales[c] = scale < DC_STEP_FLOOR ? DC_STEP_FLOOR : scale;
    }
}

// Rounded weights, then their scales; the float op's own memory follows.
static size_t weights_bytes(int64_t count, int channels)
{
    return ((size_t)(count + channels) * sizeof(float) + 63) / 64 * 64;
}

struct kernel {
    int64_t taps;
    int channels;
    bool per_channel;
};

// y: [taps, channels], scales: [channels]. The step's reciprocal is taken once a channel; the last
// operations are those of dc_fake_quantize with zero point 0.
static void quantize_weights(float *y, float *scales, const float *w, const struct kernel *k)
{
    dc_weight_scales(scales, w, k->taps, k->channels, k->per_channel);
    for (int64_t t = 0; t < k->taps; t++) {
        for (int c = 0; c < k->channels; c++) {
            const int64_t i = t * k->channels + c;
            y[i] = dc_weight_code(w[i], scales[c]) * scales[c];
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
    if (call->saved)
        inner.saved = (char *)call->saved + bytes;
    else
        inner.scratch = (char *)call->scratch + bytes;
    return inner;
}

static enum dc_status forward(const struct dc_op_call *call, const struct dc_op *op,
                              const struct kernel *k, struct dc_error *error)
{
    if (call->step && call->step->quantizers_off) {
        struct dc_op_call inner = float_call(call, k);
        memcpy(inner.param[0], call->param[0], sizeof(float) * (size_t)(k->taps * k->channels));
        return op->forward(&inner, error);
    }
    struct dc_op_call inner = float_call(call, k);
    float *scales = inner.param[0] + k->taps * k->channels;
    quantize_weights(inner.param[0], scales, call->param[0], k);
    return op->forward(&inner, error);
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
}

static struct kernel conv_kernel(const struct dc_node *node, const struct dc_shape *in)
{
    const struct dc_quantized_conv_attributes *a = node->attributes;
    return (struct kernel){(int64_t)a->conv.kernel_h * a->conv.kernel_w * in->dims[3] /
                               a->conv.groups,
                           a->conv.filters, a->per_channel};
}

static struct kernel dense_kernel(const struct dc_node *node, const struct dc_shape *in)
{
    const struct dc_quantized_dense_attributes *a = node->attributes;
    return (struct kernel){in->dims[1], a->dense.units, a->per_channel};
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
        return dc_op_##kind.declare(specs, node, in);                                              \
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
        const struct dc_op_call inner = float_call(call, &k);                                      \
        return dc_op_##kind.backward(&inner, error);                                               \
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

DC_QUANTIZED_OP(conv, DC_OP_READS_INPUT | DC_OP_TAILS);
DC_QUANTIZED_OP(dense, DC_OP_READS_INPUT);
