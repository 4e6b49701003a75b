// Owns codes, scales and biases: batch-norm folding, the floor of scales, biases that do not fit,
// and the way from HWIO to the integer layouts. All in double; sqrt and division are exact to the
// last bit on every machine.

#include "qat/lower_weights.h"

#include <math.h>
#include <string.h>

#include "core/ops/ops.h"
#include "qat/fake_quantize.h"

// One layer's reals, channel by channel.
struct folding {
    int64_t taps;
    int channels;
    const struct dc_weight_quantizer *quantizer;
    float high;                   // the largest code
    const float *weights, *bias;  // [taps, channels], [channels] or NULL
    const struct dc_node *node;
    double *factor, *offset;  // [channels]: y = factor * (w x) + offset
    float *kernel_scales;     // of the unfolded kernel
    double *scales;           // of the folded one
};

static const float *param(const struct dc_params *params, const struct dc_node *node, int which)
{
    return params->value + params->slices[node->params[which]].offset;
}

static enum dc_status fold(struct folding *f, struct dc_arena *arena, const struct dc_node *norm,
                           const struct dc_node *squash, const struct dc_params *params,
                           struct dc_error *error)
{
    f->factor = DC_NEW(arena, double, f->channels, error);
    f->offset = DC_NEW(arena, double, f->channels, error);
    f->scales = DC_NEW(arena, double, f->channels, error);
    f->kernel_scales = DC_NEW(arena, float, f->channels, error);
    if (!f->factor || !f->offset || !f->scales || !f->kernel_scales)
        return DC_ERR_MEMORY;
    dc_node_weight_scales(f->kernel_scales, f->node, params);
    const struct dc_batch_norm_attributes *a = norm ? norm->attributes : NULL;
    const struct dc_hard_sigmoid_attributes *line = squash ? squash->attributes : NULL;
    for (int c = 0; c < f->channels; c++) {
        const double bias = f->bias ? (double)f->bias[c] : 0.0;
        f->factor[c] = 1.0;
        f->offset[c] = bias;
        if (norm) {
            const double sigma = sqrt((double)param(params, norm, DC_VARIANCE)[c] +
                                      (double)a->epsilon);
            f->factor[c] = (double)param(params, norm, DC_GAMMA)[c] / sigma;
            f->offset[c] = (double)param(params, norm, DC_BETA)[c] +
                           (bias - (double)param(params, norm, DC_MEAN)[c]) * f->factor[c];
        }
        if (line) {
            f->factor[c] *= (double)line->alpha;
            f->offset[c] = f->offset[c] * (double)line->alpha + (double)line->beta;
        }
        f->scales[c] = (double)f->kernel_scales[c] * fabs(f->factor[c]);
        if (!isfinite(f->scales[c]) || !isfinite(f->offset[c]))
            return dc_fail(error, DC_ERR_NUMERIC,
                           "channel %d has a weight or bias that is not finite", c);
    }
    return DC_OK;
}

// Raise scales to the floor, and until the bias leaves room for the sum.
static void raise_scales(struct folding *f, double input_scale, struct dc_lower_report *report)
{
    const double most_sum = (double)f->taps * (double)f->high * 255.0;
    const double room = f->quantizer->accumulator_bits ? dc_bias_limit(f->quantizer)
                                                       : fmax(0x1p20, (double)INT32_MAX - most_sum);
    double largest = 0.0;
    for (int c = 0; c < f->channels; c++) {
        if (f->scales[c] < (double)DC_STEP_FLOOR) {
            f->scales[c] = (double)DC_STEP_FLOOR;
            report->floored_channels++;
        }
        const double least = fabs(f->offset[c]) / (input_scale * room) * (1.0 + 0x1p-20);
        if (f->scales[c] < least) {
            f->scales[c] = f->quantizer->power_of_two ? (double)dc_power_of_two_above((float)least)
                                                      : least;
            report->raised_channels++;
        }
        largest = fmax(largest, f->scales[c]);
    }
    for (int c = 0; c < f->channels && !f->quantizer->per_channel; c++)
        f->scales[c] = largest;
}

// The code under the final scale. Where that is the folded kernel's own, it is the kernel's code
// with the factor's sign; else the real value is rounded anew.
static int8_t code_of(const struct folding *f, int64_t tap, int c)
{
    const float scale = f->kernel_scales[c];
    const double code = (double)dc_weight_code(f->weights[tap * f->channels + c], scale, f->high);
    const double own = (double)scale * fabs(f->factor[c]);
    if (f->factor[c] == 0.0)
        return 0;
    const double moved = own == f->scales[c] ? code : rint(code * (own / f->scales[c]));
    return (int8_t)(f->factor[c] < 0.0 ? -moved : moved);
}

static void set_conv(struct dc_ilayer *l, const struct dc_conv_attributes *a,
                     const struct dc_ilayer *input)
{
    l->op = a->groups == input->channels && a->groups > 1 ? DC_I_DEPTHWISE_CONV2D : DC_I_CONV2D;
    l->window = a->window;
}

// Over the last axis of a map a dense layer is a convolution of 1 x 1, whose weights OHWI are its
// OI.
static void set_dense(struct dc_ilayer *l)
{
    l->op = l->height * l->width == 1 ? DC_I_FULLY_CONNECTED : DC_I_CONV2D;
    if (l->op == DC_I_CONV2D)
        l->window = (struct dc_window){.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
}

enum dc_status dc__lower_weights(struct dc_ilayer *layer, struct dc_arena *arena,
                                 const struct dc_node *node, const struct dc_node *norm,
                                 const struct dc_node *squash, const struct dc_params *params,
                                 const struct dc_ilayer *input, struct dc_lower_report *report,
                                 struct dc_error *error)
{
    struct folding f = {.channels = layer->channels, .weights = param(params, node, 0)};
    bool has_bias;
    if (node->op == &dc_op_quantized_conv) {
        const struct dc_quantized_conv_attributes *a = node->attributes;
        set_conv(layer, &a->conv, input);
        has_bias = a->conv.bias;
    } else {
        const struct dc_quantized_dense_attributes *a = node->attributes;
        set_dense(layer);
        has_bias = a->dense.bias;
    }
    int kept;
    f.quantizer = dc_node_weight_quantizer(&kept, node);
    f.high = (float)dc_code_high(f.quantizer->bits);
    f.node = node;
    f.taps = params->slices[node->params[0]].count / f.channels;
    f.bias = has_bias ? param(params, node, 1) : NULL;
    DC_TRY_IN(fold(&f, arena, norm, squash, params, error), error, "layer '%s'", node->name);
    raise_scales(&f, (double)input->scale, report);
    int8_t *weights = DC_NEW(arena, int8_t, f.taps * f.channels, error);
    int32_t *biases = DC_NEW(arena, int32_t, f.channels, error);
    float *scales = DC_NEW(arena, float, f.channels, error);
    if (!weights || !biases || !scales)
        return DC_ERR_MEMORY;
    for (int c = 0; c < f.channels; c++) {
        scales[c] = (float)f.scales[c];
        const float bias_scale = input->scale * scales[c];
        biases[c] = (int32_t)round(f.offset[c] / (double)bias_scale);
        for (int64_t t = 0; t < f.taps; t++)
            weights[layer->op == DC_I_DEPTHWISE_CONV2D ? t * f.channels + c : c * f.taps + t] =
                code_of(&f, t, c);
    }
    layer->per_channel = f.quantizer->per_channel;
    layer->weight_bits = f.quantizer->bits;
    layer->weights = weights;
    layer->biases = biases;
    layer->weight_scales = scales;
    return DC_OK;
}
