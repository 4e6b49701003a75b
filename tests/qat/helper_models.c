#include "tests/qat/helper_models.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "qat/softmax.h"
#include "qat/table.h"

void test_fill_codes(int8_t *codes, int64_t count, struct dc_random *random)
{
    for (int64_t i = 0; i < count; i++)
        codes[i] = (int8_t)((int)dc_random_below(random, 256) - 128);
}

static int extent(int in, int before, int after, int kernel, int stride, int dilation)
{
    return (in + before + after - ((kernel - 1) * dilation + 1)) / stride + 1;
}

static void infer(struct dc_ilayer *l, const struct dc_imodel *model)
{
    const struct dc_ilayer *x = &model->layers[l->inputs[0]];
    l->bits = l->bits ? l->bits : 8;
    switch (l->op) {
    case DC_I_FULLY_CONNECTED:
    case DC_I_MEAN:
        l->height = l->width = 1;
        break;
    case DC_I_ADD:
    case DC_I_MULTIPLY:
    case DC_I_TABLE:
    case DC_I_SOFTMAX:
    case DC_I_CONCAT:
        l->height = x->height;
        l->width = x->width;
        break;
    case DC_I_PAD:
        l->height = x->height + l->window.before[0] + l->window.after[0];
        l->width = x->width + l->window.before[1] + l->window.after[1];
        break;
    case DC_I_SLICE:
        l->height = (x->height - 1 - l->window.before[0]) / l->window.stride[0] + 1;
        l->width = (x->width - 1 - l->window.before[1]) / l->window.stride[1] + 1;
        l->channels = l->channels ? l->channels : x->channels - l->first_channel;
        return;
    case DC_I_RESHAPE:
        l->height = l->width = 1;
        l->channels = (int)dc_ilayer_size(x);
        return;
    default:
        l->height = extent(x->height, l->window.before[0], l->window.after[0], l->window.kernel[0],
                           l->window.stride[0], l->window.dilation[0]);
        l->width = extent(x->width, l->window.before[1], l->window.after[1], l->window.kernel[1],
                          l->window.stride[1], l->window.dilation[1]);
    }
    if (l->op == DC_I_CONCAT)
        l->channels = x->channels + model->layers[l->inputs[1]].channels;
    else if (l->op == DC_I_PAD)
        l->channels += x->channels + l->first_channel;  // given: those behind
    else if (!dc_ilayer_has_weights(l))
        l->channels = x->channels;
}

// The scale, or the power of two near it where the profile shifts.
static float fit(const struct dc_imodel *model, float scale)
{
    return model->profile->power_of_two ? exp2f(rintf(log2f(scale))) : scale;
}

// Scales that give codes of a useful spread whatever the number of taps.
static void choose_scales(struct dc_ilayer *l, const struct dc_imodel *model, float *scales,
                          int32_t *biases, int64_t taps, struct dc_random *random)
{
    const struct dc_ilayer *x = &model->layers[l->inputs[0]];
    l->scale = fit(model, dc_random_between(random, 0.01f, 0.1f));
    const float wanted = 40.0f / (5000.0f * (float)(taps + 4)) * 4.0f;
    for (int c = 0; c < l->channels; c++) {
        const float factor = wanted * dc_random_between(random, 0.2f, 2.0f);
        scales[c] = l->per_channel || c == 0 ? fit(model, factor * l->scale / x->scale) : scales[0];
        biases[c] = (int32_t)dc_random_below(random, 20000) - 10000;
    }
    l->weights = NULL;
}

int test_add_layer(struct dc_imodel *model, const char *name, const struct dc_ilayer *wanted,
                   int input, int second, struct dc_random *random)
{
    struct dc_ilayer l = *wanted;
    struct dc_error error;
    int8_t *weights = NULL;
    int32_t *biases = NULL;
    float *scales = NULL;
    l.name = name;
    l.input_count = second >= 0 ? 2 : 1;
    l.inputs[0] = input;
    l.inputs[1] = second;
    l.window.stride[0] = l.window.stride[0] ? l.window.stride[0] : 1;
    l.window.stride[1] = l.window.stride[1] ? l.window.stride[1] : 1;
    l.window.dilation[0] = l.window.dilation[0] ? l.window.dilation[0] : 1;
    l.window.dilation[1] = l.window.dilation[1] ? l.window.dilation[1] : 1;
    infer(&l, model);
    const struct dc_ilayer *x = &model->layers[input];
    const int codes = 1 << l.bits;
    if (l.clamp_low == 0 && l.clamp_high == 0) {
        l.clamp_low = -codes / 2;
        l.clamp_high = codes / 2 - 1;
    }
    l.scale = x->scale;
    l.zero_point = x->zero_point;
    if (dc_ilayer_has_weights(&l)) {
        const int64_t taps = l.op == DC_I_FULLY_CONNECTED ? dc_ilayer_size(x)
                             : l.op == DC_I_CONV2D
                                 ? l.window.kernel[0] * l.window.kernel[1] * x->channels
                                 : l.window.kernel[0] * l.window.kernel[1];
        const int64_t count = taps * l.channels;
        weights = calloc((size_t)count, 1);
        biases = calloc((size_t)l.channels, sizeof *biases);
        scales = calloc((size_t)l.channels, sizeof *scales);
        assert_true(weights && biases && scales);
        l.weight_bits = wanted->weight_bits ? wanted->weight_bits : 8;
        const int limit = (1 << (l.weight_bits - 1)) - 1;
        choose_scales(&l, model, scales, biases, taps, random);
        for (int64_t i = 0; i < count; i++)
            weights[i] = (int8_t)((int)dc_random_below(random, 2 * (uint32_t)limit + 1) - limit);
        for (int c = 0; c < l.channels; c++)
            scales[c] *= 128.0f / (float)(limit + 1);
        l.weights = weights;
        l.biases = biases;
        l.weight_scales = scales;
    }
    if (dc_ilayer_has_weights(&l) || l.op == DC_I_ADD || l.op == DC_I_MULTIPLY ||
        l.op == DC_I_MEAN) {
        l.zero_point = (int)dc_random_below(random, (uint32_t)codes) - codes / 2;
        if (!dc_ilayer_has_weights(&l))
            l.scale = wanted->scale > 0.0f
                          ? wanted->scale
                          : fit(model, x->scale * dc_random_between(random, 0.6f, 1.4f));
        if (l.op == DC_I_MULTIPLY && wanted->scale <= 0.0f)  // of codes of some 64 steps
            l.scale = fit(model, l.scale * 64.0f * model->layers[l.inputs[1]].scale);
    }
    const bool powers = model->profile->power_of_two;
    if (l.op == DC_I_TABLE && l.function == DC_F_HARD_SIGMOID) {
        l.parameters[0] = 0.2f;
        l.parameters[1] = 0.5f;
    }
    if (l.op == DC_I_TABLE && dc_ifunction_scale(l.function, powers, &l.zero_point) > 0.0f) {
        l.scale = dc_ifunction_scale(l.function, powers, &l.zero_point);
    } else if (l.op == DC_I_TABLE) {
        l.scale = wanted->scale > 0.0f
                      ? wanted->scale
                      : fit(model, x->scale * dc_random_between(random, 0.6f, 1.4f));
        l.zero_point = (int)dc_random_below(random, 256) - 128;
        static const float slopes[] = {0.01f, 0.1f, 0.2f, 0.25f, 0.5f, -0.3f, 1e-4f, 1.5f};
        const bool sloped = l.function == DC_F_LEAKY_RELU || l.function == DC_F_ELU;
        if (sloped && l.parameters[0] == 0.0f)
            l.parameters[0] = slopes[dc_random_below(random, 8)];
    }
    if (l.op == DC_I_SOFTMAX) {
        l.scale = DC_SOFTMAX_SCALE;
        l.zero_point = DC_SOFTMAX_ZERO_POINT;
    }
    int index = -1;
    if (dc_imodel_add(model, &l, &index, &error) != DC_OK)
        fail_msg("%s", error.message);
    free(weights);
    free(biases);
    free(scales);
    return index;
}

struct dc_imodel *test_one_layer_model(const struct dc_profile *profile, int height, int width,
                                       int channels, const struct dc_ilayer *wanted,
                                       struct dc_random *random)
{
    struct dc_imodel *m = NULL;
    assert_int_equal(dc_imodel_create(&m, "one", "", profile, NULL), DC_OK);
    const struct dc_ilayer input = {.name = "x",
                                    .op = DC_I_INPUT,
                                    .height = height,
                                    .width = width,
                                    .channels = channels,
                                    .scale = fit(m, 0.05f),
                                    .bits = 8,
                                    .zero_point = (int)dc_random_below(random, 256) - 128,
                                    .clamp_low = -128,
                                    .clamp_high = 127};
    assert_int_equal(dc_imodel_add(m, &input, NULL, NULL), DC_OK);
    test_add_layer(m, "layer", wanted, 0, -1, random);
    return m;
}

struct dc_imodel *test_every_op_model(const struct dc_profile *profile, uint64_t seed)
{
    struct dc_random random;
    struct dc_imodel *m = NULL;
    dc_random_start(&random, 7, DC_PURPOSE_TEST, 0, seed);
    assert_int_equal(dc_imodel_create(&m, "every_op", "random weights of a test", profile, NULL),
                     DC_OK);
    const struct dc_ilayer input = {.name = "image",
                                    .op = DC_I_INPUT,
                                    .height = 13,
                                    .width = 11,
                                    .channels = 3,
                                    .scale = fit(m, 0.02f),
                                    .zero_point = -5,
                                    .bits = 8,
                                    .clamp_low = -128,
                                    .clamp_high = 127};
    assert_int_equal(dc_imodel_add(m, &input, NULL, NULL), DC_OK);
#define LAYER(...)                                                                                 \
    &(const struct dc_ilayer)                                                                      \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
    const int pad = test_add_layer(m, "pad", LAYER(.op = DC_I_PAD, .window = {.before = {1, 2}}), 0,
                                   -1, &random);
    const int conv = test_add_layer(
        m, "conv",
        LAYER(.op = DC_I_CONV2D, .channels = 10,
              .window = {.kernel = {3, 5}, .stride = {1, 2}, .before = {1, 0}, .after = {0, 3}},
              .per_channel = true, .clamp_low = -100, .clamp_high = 120),
        pad, -1, &random);
    const int pointwise = test_add_layer(
        m, "pointwise",
        LAYER(.op = DC_I_CONV2D, .channels = 10, .window = {.kernel = {1, 1}}, .per_channel = true),
        conv, -1, &random);
    const int add = test_add_layer(m, "add", LAYER(.op = DC_I_ADD), conv, pointwise, &random);
    const int depthwise = test_add_layer(
        m, "depthwise",
        LAYER(.op = DC_I_DEPTHWISE_CONV2D, .channels = 20,
              .window = {.kernel = {3, 3}, .dilation = {0, 2}, .before = {1, 2}, .after = {1, 2}},
              .per_channel = true),
        add, -1, &random);
    const int most = test_add_layer(
        m, "max_pool",
        LAYER(.op = DC_I_MAX_POOL,
              .window = {.kernel = {3, 2}, .stride = {2, 2}, .before = {1, 0}}),
        depthwise, -1, &random);
    const int average = test_add_layer(
        m, "average_pool",
        LAYER(.op = DC_I_AVERAGE_POOL,
              .window = {.kernel = {3, 2}, .stride = {2, 2}, .before = {1, 0}}),
        depthwise, -1, &random);
    const int both = test_add_layer(m, "concat", LAYER(.op = DC_I_CONCAT), most, average, &random);
    const int part = test_add_layer(m, "slice",
                                    LAYER(.op = DC_I_SLICE,
                                          .window = {.stride = {2, 1}, .before = {1, 0}},
                                          .first_channel = 3, .channels = 30),
                                    both, -1, &random);
    const int wider = test_add_layer(
        m, "channels",
        LAYER(.op = DC_I_PAD, .first_channel = 2, .channels = 5, .window = {.before = {0, 1}}),
        part, -1, &random);
    const int swish = test_add_layer(
        m, "h_swish", LAYER(.op = DC_I_TABLE, .function = DC_F_H_SWISH), wider, -1, &random);
    const int leaky = test_add_layer(
        m, "leaky", LAYER(.op = DC_I_TABLE, .function = DC_F_LEAKY_RELU, .parameters = {0.1f}),
        swish, -1, &random);
    const int bent = test_add_layer(m, "tanh", LAYER(.op = DC_I_TABLE, .function = DC_F_TANH),
                                    leaky, -1, &random);
    const int squeezed = test_add_layer(m, "squeeze", LAYER(.op = DC_I_MEAN), bent, -1, &random);
    const int gate = test_add_layer(m, "gate", LAYER(.op = DC_I_TABLE, .function = DC_F_SIGMOID),
                                    squeezed, -1, &random);
    const int excited = test_add_layer(m, "excite", LAYER(.op = DC_I_MULTIPLY), bent, gate,
                                       &random);
    const int gap = test_add_layer(m, "mean", LAYER(.op = DC_I_MEAN), excited, -1, &random);
    const int wide = test_add_layer(
        m, "hidden", LAYER(.op = DC_I_FULLY_CONNECTED, .channels = 12, .per_channel = true), gap,
        -1, &random);
    const int flat = test_add_layer(m, "reshape", LAYER(.op = DC_I_RESHAPE), wide, -1, &random);
    const int logits = test_add_layer(m, "logits", LAYER(.op = DC_I_FULLY_CONNECTED, .channels = 7),
                                      flat, -1, &random);
    test_add_layer(m, "softmax", LAYER(.op = DC_I_SOFTMAX), logits, -1, &random);
#undef LAYER
    return m;
}

static enum dc_status add_full_range(int *index, struct dc_imodel *m, struct dc_ilayer l)
{
    l.bits = 8;
    l.clamp_low = -128;
    l.clamp_high = 127;
    return dc_imodel_add(m, &l, index, NULL);
}

// Channel `which` of the input at another scale: a convolution whose factor is 1.
static int operand(struct dc_imodel *m, int which, float scale, int zero_point)
{
    const struct dc_ilayer *x = &m->layers[0];
    int index = -1;
    struct dc_ilayer l = {.name = which ? "b0" : "a0",
                          .op = DC_I_SLICE,
                          .input_count = 1,
                          .height = x->height,
                          .width = x->width,
                          .channels = 1,
                          .scale = x->scale,
                          .window = {.stride = {1, 1}},
                          .first_channel = which};
    assert_int_equal(add_full_range(&index, m, l), DC_OK);
    l.name = which ? "b" : "a";
    l.op = DC_I_CONV2D;
    l.inputs[0] = index;
    l.scale = scale;
    l.zero_point = zero_point;
    l.first_channel = 0;
    l.window.kernel[0] = l.window.kernel[1] = l.window.dilation[0] = l.window.dilation[1] = 1;
    l.weight_bits = 8;
    l.weights = (const int8_t[]){1};
    l.biases = (const int32_t[]){-zero_point};
    l.weight_scales = &scale;
    assert_int_equal(add_full_range(&index, m, l), DC_OK);
    return index;
}

struct dc_imodel *test_pair_model(const struct dc_profile *profile, const struct test_pair *pair,
                                  int height, int width)
{
    struct dc_imodel *m = NULL;
    int index;
    const struct dc_ilayer input = {.name = "x",
                                    .op = DC_I_INPUT,
                                    .height = height,
                                    .width = width,
                                    .channels = 2,
                                    .scale = 1.0f};
    assert_int_equal(dc_imodel_create(&m, "sum", "", profile, NULL), DC_OK);
    assert_int_equal(add_full_range(&index, m, input), DC_OK);
    const int a = operand(m, 0, pair->a, pair->zero_a), b = operand(m, 1, pair->b, pair->zero_b);
    const struct dc_ilayer sum = {.name = "sum",
                                  .op = DC_I_ADD,
                                  .input_count = 2,
                                  .inputs = {a, b},
                                  .height = height,
                                  .width = width,
                                  .channels = 1,
                                  .scale = pair->sum,
                                  .zero_point = pair->zero_sum};
    if (add_full_range(&index, m, sum) == DC_OK)
        return m;
    dc_imodel_free(m);
    return NULL;
}
