// Owns the building of integer models: every check that a layer fits its inputs, the proof that its
// accumulator stays within int32, and the derivation of multipliers through the profile. A model
// that exists is valid, so the engine and the exporters check nothing. Does not compute values.

#include "qat/imodel.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "qat/profile.h"
#include "qat/softmax.h"
#include "qat/table.h"

enum { DIMENSION_MAX = 1 << 16 };

const char *const dc_bit_orders[] = {"low_first", "high_first", NULL};

static const char *const op_names[] = {
    [DC_I_INPUT] = "input",
    [DC_I_CONV2D] = "conv2d",
    [DC_I_DEPTHWISE_CONV2D] = "depthwise_conv2d",
    [DC_I_FULLY_CONNECTED] = "fully_connected",
    [DC_I_ADD] = "add",
    [DC_I_MULTIPLY] = "multiply",
    [DC_I_AVERAGE_POOL] = "average_pool",
    [DC_I_MAX_POOL] = "max_pool",
    [DC_I_MEAN] = "mean",
    [DC_I_RESHAPE] = "reshape",
    [DC_I_PAD] = "pad",
    [DC_I_SLICE] = "slice",
    [DC_I_TABLE] = "table",
    [DC_I_SOFTMAX] = "softmax",
    [DC_I_CONCAT] = "concat",
};
static_assert(sizeof op_names / sizeof op_names[0] == DC_IOP_COUNT, "a name for every op");

const char *dc_iop_name(enum dc_iop op)
{
    return op_names[op];
}

int dc_iop_find(const char *name)
{
    for (int i = 0; i < DC_IOP_COUNT; i++) {
        if (strcmp(op_names[i], name) == 0)
            return i;
    }
    return -1;
}

bool dc_ilayer_has_accumulators(const struct dc_ilayer *layer)
{
    return dc_ilayer_has_weights(layer) || layer->op == DC_I_ADD || layer->op == DC_I_MULTIPLY ||
           layer->op == DC_I_MEAN || layer->op == DC_I_AVERAGE_POOL;
}

static bool has_window(const struct dc_ilayer *layer)
{
    return layer->op == DC_I_CONV2D || layer->op == DC_I_DEPTHWISE_CONV2D ||
           layer->op == DC_I_AVERAGE_POOL || layer->op == DC_I_MAX_POOL;
}

static bool shares_quantization(const struct dc_ilayer *layer)
{
    return layer->op == DC_I_AVERAGE_POOL || layer->op == DC_I_MAX_POOL ||
           layer->op == DC_I_RESHAPE || layer->op == DC_I_PAD || layer->op == DC_I_SLICE ||
           layer->op == DC_I_CONCAT;
}

int64_t dc_ilayer_size(const struct dc_ilayer *layer)
{
    return (int64_t)layer->height * layer->width * layer->channels;
}

int64_t dc_ilayer_macs(const struct dc_imodel *model, int index)
{
    const struct dc_ilayer *layer = &model->layers[index];
    if (!dc_ilayer_has_weights(layer))
        return 0;
    if (layer->op == DC_I_FULLY_CONNECTED)
        return layer->weight_count;
    return layer->weight_count * layer->height * layer->width;
}

enum dc_status dc_imodel_create(struct dc_imodel **model, const char *name, const char *provenance,
                                const struct dc_profile *profile, struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    *model = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_imodel *m = DC_NEW(arena, struct dc_imodel, 1, error);
    if (!m) {
        dc_arena_free(arena);
        return DC_ERR_MEMORY;
    }
    m->arena = arena;
    m->profile = profile;
    m->alignment = DC_I_ALIGNMENT;
    m->tiling = (struct dc_tiling){.pe = DC_TILING_PE, .simd = DC_TILING_SIMD};
    m->confident_margin = -1;
    m->name = dc_arena_copy(arena, name, error);
    m->provenance = dc_arena_copy(arena, provenance, error);
    if (!m->name || !m->provenance) {
        dc_arena_free(arena);
        return DC_ERR_MEMORY;
    }
    *model = m;
    return DC_OK;
}

void dc_imodel_free(struct dc_imodel *model)
{
    if (model)
        dc_arena_free(model->arena);
}

static bool within(int64_t value, int64_t low, int64_t high)
{
    return value >= low && value <= high;
}

static enum dc_status check_output(const struct dc_ilayer *l, struct dc_error *error)
{
    if (!within(l->height, 1, DIMENSION_MAX) || !within(l->width, 1, DIMENSION_MAX) ||
        !within(l->channels, 1, INT32_MAX) || !within(dc_ilayer_size(l), 1, INT32_MAX))
        return dc_fail(error, DC_ERR_DATA, "the output cannot be %d x %d x %d", l->height, l->width,
                       l->channels);
    if (!(l->scale > 0.0f) || !isfinite(l->scale))
        return dc_fail(error, DC_ERR_DATA, "the scale %g is not finite and positive",
                       (double)l->scale);
    if (!within(l->bits, l->op == DC_I_INPUT ? 8 : 2, 8))
        return dc_fail(error, DC_ERR_DATA, "activations have 2 to 8 bits, the input 8, not %d",
                       l->bits);
    const int low = -(1 << (l->bits - 1)), high = -low - 1;
    if (!within(l->zero_point, low, high))
        return dc_fail(error, DC_ERR_DATA, "the zero point %d is not an int%d", l->zero_point,
                       l->bits);
    if (!within(l->clamp_low, low, l->clamp_high) || !within(l->clamp_high, low, high))
        return dc_fail(error, DC_ERR_DATA, "the clamp [%d, %d] is not a range of int%d",
                       l->clamp_low, l->clamp_high, l->bits);
    return DC_OK;
}

static enum dc_status check_extent(const struct dc_window *w, int axis, int out, int in,
                                   struct dc_error *error)
{
    const char *name = axis == 0 ? "height" : "width";
    const int kernel = w->kernel[axis], stride = w->stride[axis], dilation = w->dilation[axis];
    const int before = w->before[axis], after = w->after[axis];
    if (!within(kernel, 1, DIMENSION_MAX) || !within(stride, 1, DIMENSION_MAX) ||
        !within(dilation, 1, DIMENSION_MAX) || !within(before, 0, DIMENSION_MAX) ||
        !within(after, 0, DIMENSION_MAX))
        return dc_fail(error, DC_ERR_DATA, "%s: kernel %d, stride %d, dilation %d, pads %d and %d",
                       name, kernel, stride, dilation, before, after);
    if (dc_window_places(w, axis, in) != out)
        return dc_fail(error, DC_ERR_DATA,
                       "%s: %d is not the output of input %d, kernel %d, stride %d, dilation %d, "
                       "pads %d and %d",
                       name, out, in, kernel, stride, dilation, before, after);
    return DC_OK;
}

// A window wholly in the padding would have no valid tap.
static bool pool_fits(const struct dc_window *w)
{
    bool fits = true;
    for (int i = 0; i < 2; i++)
        fits = fits && w->before[i] < w->kernel[i] && w->after[i] < w->kernel[i] &&
               w->dilation[i] == 1;
    return fits;
}

static bool repeats(int size, int out)
{
    return size == out || size == 1;
}

static enum dc_status check_shapes(const struct dc_ilayer *l, const struct dc_ilayer *const *in,
                                   struct dc_error *error)
{
    const struct dc_ilayer *x = in[0];
    const struct dc_window *w = &l->window;
    bool fits = true;
    if (has_window(l)) {
        DC_TRY(check_extent(w, 0, l->height, x->height, error));
        DC_TRY(check_extent(w, 1, l->width, x->width, error));
    }
    if (l->op == DC_I_AVERAGE_POOL || l->op == DC_I_MAX_POOL) {
        fits = x->channels == l->channels && pool_fits(w);
    } else if (l->op == DC_I_DEPTHWISE_CONV2D) {
        fits = l->channels % x->channels == 0;
    } else if (l->op == DC_I_FULLY_CONNECTED) {
        fits = l->height == 1 && l->width == 1;
    } else if (l->op == DC_I_ADD) {
        fits = x->height == l->height && x->width == l->width && x->channels == l->channels &&
               in[1]->height == l->height && in[1]->width == l->width &&
               in[1]->channels == l->channels;
    } else if (l->op == DC_I_MULTIPLY) {
        fits = x->height == l->height && x->width == l->width && x->channels == l->channels &&
               repeats(in[1]->height, l->height) && repeats(in[1]->width, l->width) &&
               repeats(in[1]->channels, l->channels);
    } else if (l->op == DC_I_TABLE || l->op == DC_I_SOFTMAX) {
        fits = x->height == l->height && x->width == l->width && x->channels == l->channels;
    } else if (l->op == DC_I_MEAN) {
        fits = l->height == 1 && l->width == 1 && x->channels == l->channels;
    } else if (l->op == DC_I_RESHAPE) {
        fits = dc_ilayer_size(x) == dc_ilayer_size(l);
    } else if (l->op == DC_I_PAD) {
        fits = within(w->before[0], 0, DIMENSION_MAX) && within(w->after[0], 0, DIMENSION_MAX) &&
               within(w->before[1], 0, DIMENSION_MAX) && within(w->after[1], 0, DIMENSION_MAX) &&
               within(l->first_channel, 0, l->channels - x->channels) &&
               l->height == x->height + w->before[0] + w->after[0] &&
               l->width == x->width + w->before[1] + w->after[1];
    } else if (l->op == DC_I_SLICE) {
        fits = within(w->before[0], 0, x->height - 1) && within(w->before[1], 0, x->width - 1) &&
               within(w->stride[0], 1, DIMENSION_MAX) && within(w->stride[1], 1, DIMENSION_MAX) &&
               within(l->first_channel, 0, x->channels - l->channels) &&
               l->height - 1 <= (x->height - 1 - w->before[0]) / w->stride[0] &&
               l->width - 1 <= (x->width - 1 - w->before[1]) / w->stride[1];
    } else if (l->op == DC_I_CONCAT) {
        int64_t channels = 0;
        for (int i = 0; i < l->input_count; i++) {
            fits = fits && in[i]->height == l->height && in[i]->width == l->width;
            channels += in[i]->channels;
        }
        fits = fits && channels == l->channels;
    }
    if (!fits)
        return dc_fail(error, DC_ERR_DATA, "output %d x %d x %d does not fit input %d x %d x %d",
                       l->height, l->width, l->channels, x->height, x->width, x->channels);
    return DC_OK;
}

static enum dc_status check_sharing(const struct dc_ilayer *l, const struct dc_ilayer *const *in,
                                    struct dc_error *error)
{
    for (int i = 0; shares_quantization(l) && i < l->input_count; i++) {
        if (in[i]->scale != l->scale || in[i]->zero_point != l->zero_point ||
            in[i]->bits != l->bits)
            return dc_fail(error, DC_ERR_DATA,
                           "%s computes nothing, so its output needs the scale, zero point and "
                           "bits of '%s' (%.9g, %d, %d), not (%.9g, %d, %d)",
                           dc_iop_name(l->op), in[i]->name, (double)in[i]->scale, in[i]->zero_point,
                           in[i]->bits, (double)l->scale, l->zero_point, l->bits);
    }
    const bool copies = l->op == DC_I_INPUT || l->op == DC_I_RESHAPE || l->op == DC_I_PAD ||
                        l->op == DC_I_SLICE || l->op == DC_I_CONCAT;
    const int low = -(1 << (l->bits - 1));
    if (copies && (l->clamp_low != low || l->clamp_high != -low - 1))
        return dc_fail(error, DC_ERR_DATA, "%s has no clamp", dc_iop_name(l->op));
    return DC_OK;
}

static enum dc_status set_table(struct dc_imodel *model, struct dc_ilayer *l,
                                const struct dc_ilayer *input, struct dc_error *error)
{
    int zero_point;
    l->table = NULL;
    if (l->op != DC_I_TABLE)
        return DC_OK;
    if (!within((int)l->function, 0, DC_IFUNCTION_COUNT - 1))
        return dc_fail(error, DC_ERR_DATA, "there is no function %d", (int)l->function);
    const float scale = dc_ifunction_scale(l->function, model->profile->power_of_two, &zero_point);
    if (scale > 0.0f && l->bits == 8 && (l->scale != scale || l->zero_point != zero_point))
        return dc_fail(error, DC_ERR_DATA, "%s gives scale %.9g and zero point %d, not %.9g and %d",
                       dc_ifunction_name(l->function), (double)scale, zero_point, (double)l->scale,
                       l->zero_point);
    for (int i = 0; i < dc_ifunction_parameters(l->function); i++)
        if (!isfinite(l->parameters[i]))
            return dc_fail(error, DC_ERR_DATA, "a parameter of %s is not finite",
                           dc_ifunction_name(l->function));
    int8_t *table = DC_NEW(model->arena, int8_t, DC_TABLE_CODES, error);
    if (!table)
        return DC_ERR_MEMORY;
    dc_fill_table(table, l, input, model->profile);
    l->table = table;
    return DC_OK;
}

static enum dc_status set_exponentials(struct dc_imodel *model, struct dc_ilayer *l,
                                       const struct dc_ilayer *input, struct dc_error *error)
{
    l->exponentials = NULL;
    if (l->op != DC_I_SOFTMAX)
        return DC_OK;
    if (l->scale != DC_SOFTMAX_SCALE || l->zero_point != DC_SOFTMAX_ZERO_POINT || l->bits != 8)
        return dc_fail(error, DC_ERR_DATA,
                       "softmax gives 8 bits, scale %.9g and zero point %d, not %d, %.9g and %d",
                       (double)DC_SOFTMAX_SCALE, DC_SOFTMAX_ZERO_POINT, l->bits, (double)l->scale,
                       l->zero_point);
    if (l->channels > DC_SOFTMAX_CHANNELS_MAX)
        return dc_fail(error, DC_ERR_DATA, "softmax is over %d channels at most, not %d",
                       DC_SOFTMAX_CHANNELS_MAX, l->channels);
    double *exponentials = DC_NEW(model->arena, double, DC_EXPONENTIALS, error);
    if (!exponentials)
        return DC_ERR_MEMORY;
    dc_fill_exponentials(exponentials, input, model->profile);
    l->exponentials = exponentials;
    return DC_OK;
}

static int64_t weights_wanted(const struct dc_ilayer *l, const struct dc_ilayer *input)
{
    if (l->op == DC_I_FULLY_CONNECTED)
        return dc_ilayer_size(input) * l->channels;
    const int64_t window = (int64_t)l->window.kernel[0] * l->window.kernel[1] * l->channels;
    return l->op == DC_I_CONV2D ? window * input->channels : window;
}

// The weight of output channel c at position i of its taps, whatever the layout.
static int weight_of(const struct dc_ilayer *l, int64_t taps, int c, int64_t i)
{
    return l->op == DC_I_DEPTHWISE_CONV2D ? l->weights[i * l->channels + c]
                                          : l->weights[c * taps + i];
}

static enum dc_status check_weights(struct dc_ilayer *l, const struct dc_ilayer *input,
                                    struct dc_error *error)
{
    if (l->weight_bits < 2 || l->weight_bits > 8)
        return dc_fail(error, DC_ERR_DATA, "weights have 2 to 8 bits, not %d", l->weight_bits);
    const int limit = (1 << (l->weight_bits - 1)) - 1;
    const int64_t taps = l->weight_count / l->channels;
    for (int c = 0; c < l->channels; c++) {
        const float scale = l->weight_scales[c];
        if (!(scale > 0.0f) || !isfinite(scale) ||
            (!l->per_channel && scale != l->weight_scales[0]))
            return dc_fail(error, DC_ERR_DATA, "weight scale %g of channel %d", (double)scale, c);
        int64_t low = 0, high = 0;
        for (int64_t i = 0; i < taps; i++) {
            const int w = weight_of(l, taps, c, i);
            if (!within(w, -limit, limit))
                return dc_fail(error, DC_ERR_DATA, "weight %d of channel %d is not within +-%d", w,
                               c, limit);
            const int at_low = w * (-128 - input->zero_point),
                      at_high = w * (127 - input->zero_point);
            low += at_low < at_high ? at_low : at_high;
            high += at_low < at_high ? at_high : at_low;
        }
        low += l->biases[c] < 0 ? l->biases[c] : 0;
        high += l->biases[c] > 0 ? l->biases[c] : 0;
        if (low < INT32_MIN || high > INT32_MAX)
            return dc_fail(error, DC_ERR_DATA,
                           "the accumulator of channel %d can reach [%" PRId64 ", %" PRId64
                           "], beyond int32",
                           c, low, high);
        l->accumulator_low = low < l->accumulator_low ? low : l->accumulator_low;
        l->accumulator_high = high > l->accumulator_high ? high : l->accumulator_high;
    }
    return DC_OK;
}

static void bound_products(struct dc_ilayer *l, int zero_point_a, int zero_point_b)
{
    for (int k = 0; k < 4; k++) {
        const int product = ((k % 2 ? 127 : -128) - zero_point_a) *
                            ((k / 2 ? 127 : -128) - zero_point_b);
        l->accumulator_low = product < l->accumulator_low ? product : l->accumulator_low;
        l->accumulator_high = product > l->accumulator_high ? product : l->accumulator_high;
    }
}

// Bounds of the sums that have no weights. The profile's own kernel says what add can reach.
static enum dc_status bound_sums(struct dc_ilayer *l, const struct dc_ilayer *const *in,
                                 const struct dc_profile *profile, struct dc_error *error)
{
    const struct dc_ilayer *x = in[0];
    int64_t positions = 0;
    if (l->op == DC_I_ADD) {
        const int8_t least = -128, most = 127;
        const int64_t ends[2] = {0, dc_ilayer_size(l) - 1};  // the first and the last value
        for (int i = 0; i < 2; i++) {
            int8_t code;
            int32_t low, high;
            profile->add(&code, &low, &least, &least, l, x->zero_point, in[1]->zero_point, ends[i],
                         1);
            profile->add(&code, &high, &most, &most, l, x->zero_point, in[1]->zero_point, ends[i],
                         1);
            l->accumulator_low = low < l->accumulator_low ? low : l->accumulator_low;
            l->accumulator_high = high > l->accumulator_high ? high : l->accumulator_high;
        }
    } else if (l->op == DC_I_MULTIPLY) {
        bound_products(l, x->zero_point, in[1]->zero_point);
    } else if (l->op == DC_I_MEAN) {
        positions = (int64_t)x->height * x->width;
        l->accumulator_low = positions * (-128 - x->zero_point);
        l->accumulator_high = positions * (127 - x->zero_point);
    } else if (l->op == DC_I_AVERAGE_POOL) {
        positions = (int64_t)l->window.kernel[0] * l->window.kernel[1];
        l->accumulator_low = positions * -128;
        l->accumulator_high = positions * 127;
    }
    if (positions > INT32_MAX / 256)
        return dc_fail(error, DC_ERR_DATA, "a sum over %" PRId64 " positions can leave int32",
                       positions);
    return DC_OK;
}

static enum dc_status copy_layer(struct dc_imodel *model, struct dc_ilayer *l,
                                 const struct dc_ilayer *input, struct dc_error *error)
{
    l->name = dc_arena_copy(model->arena, l->name, error);
    if (!l->name)
        return DC_ERR_MEMORY;
    l->weight_count = 0;
    l->fused = false;
    l->rescales = l->op == DC_I_ADD ? 3 : l->op == DC_I_MEAN || l->op == DC_I_MULTIPLY ? 1 : 0;
    if (dc_ilayer_has_weights(l)) {
        l->weight_count = weights_wanted(l, input);
        l->rescales = l->channels;
        int8_t *weights = DC_NEW(model->arena, int8_t, l->weight_count, error);
        int32_t *biases = DC_NEW(model->arena, int32_t, l->channels, error);
        float *scales = DC_NEW(model->arena, float, l->channels, error);
        if (!weights || !biases || !scales)
            return DC_ERR_MEMORY;
        memcpy(weights, l->weights, (size_t)l->weight_count);
        memcpy(biases, l->biases, (size_t)l->channels * sizeof *biases);
        memcpy(scales, l->weight_scales, (size_t)l->channels * sizeof *scales);
        l->weights = weights;
        l->biases = biases;
        l->weight_scales = scales;
    }
    l->multipliers = DC_NEW(model->arena, int32_t, l->rescales, error);
    l->shifts = DC_NEW(model->arena, int32_t, l->rescales, error);
    return l->multipliers && l->shifts ? DC_OK : DC_ERR_MEMORY;
}

static bool is_power_of_two(float scale)
{
    int exponent;
    return frexpf(scale, &exponent) == 0.5f;
}

static enum dc_status check_powers(const struct dc_ilayer *l, const struct dc_profile *profile,
                                   struct dc_error *error)
{
    const int kernels = dc_ilayer_has_weights(l) ? l->channels : 0;
    for (int c = -1; profile->power_of_two && c < kernels; c++) {
        const float scale = c < 0 ? l->scale : l->weight_scales[c];
        if (!is_power_of_two(scale))
            return dc_fail(error, DC_ERR_DATA,
                           "scale %.9g is no power of two, as profile %s needs: quantize with "
                           "power_of_two: true",
                           (double)scale, profile->name);
    }
    return DC_OK;
}

static enum dc_status add_layer(struct dc_imodel *model, struct dc_ilayer *l,
                                struct dc_error *error)
{
    const struct dc_ilayer *in[DC_I_INPUTS_MAX] = {NULL};
    const int wanted = l->op == DC_I_INPUT                           ? 0
                       : l->op == DC_I_ADD || l->op == DC_I_MULTIPLY ? 2
                                                                     : 1;
    const int most = l->op == DC_I_CONCAT ? DC_I_INPUTS_MAX : wanted;
    if ((l->op == DC_I_INPUT) != (model->count == 0) || !within(l->input_count, wanted, most))
        return dc_fail(error, DC_ERR_DATA, "layer %d cannot be %s with %d inputs", model->count,
                       dc_iop_name(l->op), l->input_count);
    for (int i = 0; i < l->input_count; i++) {
        if (!within(l->inputs[i], 0, model->count - 1))
            return dc_fail(error, DC_ERR_DATA, "input %d is not an earlier layer", l->inputs[i]);
        in[i] = &model->layers[l->inputs[i]];
    }
    DC_TRY(check_output(l, error));
    if (l->op != DC_I_INPUT)
        DC_TRY(check_shapes(l, in, error));
    DC_TRY(check_sharing(l, in, error));
    DC_TRY(copy_layer(model, l, in[0], error));
    l->accumulator_low = l->accumulator_high = 0;
    if (dc_ilayer_has_weights(l))
        DC_TRY(check_weights(l, in[0], error));
    DC_TRY(check_powers(l, model->profile, error));
    const char *reason = model->profile->refuses ? model->profile->refuses(l, in) : NULL;
    if (reason)
        return dc_fail(error, DC_ERR_DATA, "profile %s does not take it: %s", model->profile->name,
                       reason);
    model->profile->derive(l, in);
    DC_TRY(set_table(model, l, in[0], error));
    DC_TRY(set_exponentials(model, l, in[0], error));
    return bound_sums(l, in, model->profile, error);
}

enum dc_status dc_imodel_add(struct dc_imodel *model, const struct dc_ilayer *layer, int *index,
                             struct dc_error *error)
{
    if (model->count == model->capacity) {
        const int capacity = model->capacity ? 2 * model->capacity : 16;
        struct dc_ilayer *grown = DC_NEW(model->arena, struct dc_ilayer, capacity, error);
        if (!grown)
            return DC_ERR_MEMORY;
        if (model->count)
            memcpy(grown, model->layers, (size_t)model->count * sizeof *grown);
        model->layers = grown;
        model->capacity = capacity;
    }
    struct dc_ilayer l = *layer;
    DC_TRY_IN(add_layer(model, &l, error), error, "layer '%s'", layer->name);
    model->layers[model->count] = l;
    if (l.op == DC_I_INPUT && model->sample.rank == 0)
        model->sample = DC_SHAPE(l.height, l.width, l.channels);
    if (index)
        *index = model->count;
    model->count++;
    return DC_OK;
}

enum dc_status dc_imodel_quantize_input(int8_t *codes, const struct dc_imodel *model,
                                        const float *x, int64_t count, struct dc_error *error)
{
    const float scale = model->layers[0].scale;
    const float zero_point = (float)model->layers[0].zero_point;
    for (int64_t i = 0; i < count; i++) {
        if (isnan(x[i]))
            return dc_fail(error, DC_ERR_NUMERIC, "input value %" PRId64 " is NaN", i);
        const float code = dc_round_code(x[i] / scale, model->profile->input) + zero_point;
        codes[i] = (int8_t)(code < -128.0f ? -128.0f : code > 127.0f ? 127.0f : code);
    }
    return DC_OK;
}

enum dc_status dc_imodel_set_preprocessing(struct dc_imodel *model,
                                           const struct dc_preprocessing *p, struct dc_error *error)
{
    const struct dc_ilayer *in = &model->layers[0], *out = dc_imodel_output(model);
    const char *fault = dc_preprocessing_fault(p, in->height, in->width, in->channels,
                                               (int)dc_ilayer_size(out));
    if (fault)
        return dc_fail(error, DC_ERR_DATA, "%s: %s", model->name, fault);
    const char **names = DC_NEW(model->arena, const char *, p->classes, error);
    for (int i = 0; names && i < p->classes; i++)
        if (!(names[i] = dc_arena_copy(model->arena, p->class_names[i], error)))
            return DC_ERR_MEMORY;
    model->preprocessing = *p;
    model->preprocessing.class_names = names;
    return names ? DC_OK : DC_ERR_MEMORY;
}

enum dc_status dc_imodel_byte_codes(int8_t codes[DC_BYTE_CODES], const struct dc_imodel *model,
                                    int channel, struct dc_error *error)
{
    const struct dc_normalization *n = &model->preprocessing.normalization;
    const int c = n->channels == 1 ? 0 : channel;
    float scale, shift, x[DC_BYTE_CODES];
    dc_normalization_factors(&scale, &shift, n->mean[c], n->deviation[c], 255.0);
    for (int i = 0; i < DC_BYTE_CODES; i++)
        x[i] = (float)i * scale + shift;
    return dc_imodel_quantize_input(codes, model, x, DC_BYTE_CODES, error);
}

void dc_imodel_dequantize_output(float *x, const struct dc_imodel *model, const int8_t *codes,
                                 int64_t count)
{
    const struct dc_ilayer *output = dc_imodel_output(model);
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)((double)output->scale * (codes[i] - output->zero_point));
}
