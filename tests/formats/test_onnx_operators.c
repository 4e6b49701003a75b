// Operators that the judge's networks do not have, each in a model of a few nodes, against loops
// written from the definitions of the format, in the file's own order of axes and in double
// precision.

#include "helper_onnx.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/core/helper_folder.h"

enum { ROWS = 3, MOST = 1 << 15 };

static struct onnx_file file;
static float image[MOST];
static double expected[MOST], magnitude[MOST];

static const char *model_path(const char *name)
{
    static char text[256];
    const char *kept = getenv("DECANT_KEEP_ONNX");  // a folder: seeds for tests/faults/onnx
    snprintf(text, sizeof text, "%s/%s.onnx", kept ? kept : "", name);
    return kept ? text : test_path("model.onnx");
}

// Runs the model on `image` and compares `count` values: |y - expected| <= roundings * eps *
// magnitude.
static void compare(const char *name, int64_t count, double roundings)
{
    int64_t have;
    const char *path = model_path(name);
    onnx_save(&file, path, "y");
    float *y = onnx_run(path, ROWS, image, &have);
    if (have != count)
        fail_msg("%s: %lld values, not %lld", name, (long long)have, (long long)count);
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)y[i] - expected[i]) <= roundings * FLT_EPSILON * magnitude[i]))
            fail_msg("%s: value %lld is %.9g, not %.9g", name, (long long)i, (double)y[i],
                     expected[i]);
    free(y);
}

static void begin(int opset, int rank, const int64_t *dims)
{
    int64_t count = ROWS;
    for (int i = 1; i < rank; i++)
        count *= dims[i];
    assert_true(count <= MOST);
    onnx_fill(image, count, "image");
    onnx_begin(&file, opset, "x", rank, dims);
}

// Functions of one value.

static double leaky(double x)
{
    return x < 0 ? 0.2 * x : x;
}
static double hard_sigmoid(double x)
{
    return fmin(fmax(0.2 * x + 0.5, 0.0), 1.0);
}
static double hard_swish(double x)
{
    return x * fmin(fmax(x / 6.0 + 0.5, 0.0), 1.0);
}
static double gelu(double x)
{
    return 0.5 * x * (1.0 + erf(x / sqrt(2.0)));
}
static double gelu_tanh(double x)
{
    return 0.5 * x * (1.0 + tanh(sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
}
static double clip(double x)
{
    return fmin(fmax(x, -0.25), 0.5);
}
static double square(double x)
{
    return x * x;
}
static double reciprocal(double x)
{
    return 1.0 / x;
}
static double negate(double x)
{
    return -x;
}
static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}
static double same(double x)
{
    return x;
}
static double one_minus(double x)
{
    return 1.0 - x;
}
static double silu(double x)
{
    return x / (1.0 + exp(-x));
}

static const struct pointwise {
    const char *op, *inputs, *attributes;
    int opset;
    double (*function)(double);
    bool positive;
} pointwise[] = {
    {"LeakyRelu", "x", "alpha~0.2", 9, leaky, false},
    {"HardSigmoid", "x", "", 13, hard_sigmoid, false},
    {"HardSwish", "x", "", 14, hard_swish, false},
    {"Gelu", "x", "", 20, gelu, false},
    {"Gelu", "x", "approximate:tanh", 20, gelu_tanh, false},
    {"Clip", "x", "min~-0.25 max~0.5", 10, clip, false},
    {"Clip", "x low high", "", 13, clip, false},
    {"Pow", "x two", "", 13, square, false},
    {"Reciprocal", "x", "", 13, reciprocal, true},
    {"Neg", "x", "", 13, negate, false},
    {"Abs", "x", "", 13, fabs, false},
    {"Exp", "x", "", 13, exp, false},
    {"Log", "x", "", 13, log, true},
    {"Sqrt", "x", "", 13, sqrt, true},
    {"Tanh", "x", "", 13, tanh, false},
    {"Erf", "x", "", 13, erf, false},
    {"Sigmoid", "x", "", 13, sigmoid, false},
    {"Dropout", "x", "ratio~0.5", 10, same, false},
    {"Cast", "x", "to=1", 13, same, false},
    {"Sub", "one x", "", 13, one_minus, false},
};

static void functions_of_one_value(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof pointwise / sizeof pointwise[0]; k++) {
        const struct pointwise *p = &pointwise[k];
        begin(p->opset, 4, (int64_t[]){0, 3, 4, 5});
        onnx_floats(&file, "low", 0, NULL)[0] = -0.25f;
        onnx_floats(&file, "high", 0, NULL)[0] = 0.5f;
        onnx_floats(&file, "two", 0, NULL)[0] = 2.0f;
        onnx_floats(&file, "one", 0, NULL)[0] = 1.0f;
        onnx_node(&file, p->op, p->inputs, "y", p->attributes);
        for (int i = 0; i < ROWS * 60; i++) {
            image[i] = p->positive ? 0.1f + fabsf(image[i]) : 3.0f * image[i];
            expected[i] = p->function((double)image[i]);
            magnitude[i] = fabs(expected[i]) + 1.0;
        }
        compare(p->op, ROWS * 60, 8.0);
    }
}

static void patterns_are_one_function(void **state)
{
    (void)state;
    begin(13, 2, (int64_t[]){0, 40});
    onnx_floats(&file, "root", 0, NULL)[0] = 1.41421356f;
    onnx_floats(&file, "one", 0, NULL)[0] = 1.0f;
    onnx_floats(&file, "half", 0, NULL)[0] = 0.5f;
    onnx_node(&file, "Div", "x root", "a", "");
    onnx_node(&file, "Erf", "a", "b", "");
    onnx_node(&file, "Add", "b one", "c", "");
    onnx_node(&file, "Mul", "x c", "d", "");
    onnx_node(&file, "Mul", "half d", "y", "");
    for (int i = 0; i < ROWS * 40; i++) {
        expected[i] = gelu((double)image[i]);
        magnitude[i] = fabs(expected[i]) + 1.0;
    }
    compare("gelu_pattern", ROWS * 40, 8.0);
    struct dc_onnx *onnx;
    struct dc_error error;
    onnx_save(&file, test_path("model.onnx"), "y");
    assert_int_equal(dc_onnx_read(&onnx, test_path("model.onnx"), NULL, &error), DC_OK);
    assert_int_equal(onnx->graph->count, 2);  // the input and one gelu
    dc_onnx_free(onnx);
    begin(13, 2, (int64_t[]){0, 40});
    onnx_node(&file, "Sigmoid", "x", "a", "");
    onnx_node(&file, "Mul", "a x", "y", "");
    for (int i = 0; i < ROWS * 40; i++)
        expected[i] = silu((double)image[i]);
    compare("silu_pattern", ROWS * 40, 8.0);
}

// Convolution: NCHW, [out, in / groups, kh, kw], six loops.

struct window {
    int channels, filters, groups, size, kernel, stride, dilation, before, out;
};

static void reference_conv(const struct window *c, const float *w, const float *bias,
                           bool transposed)
{
    const int in_group = c->channels / c->groups, out_group = c->filters / c->groups;
    const int64_t count = (int64_t)ROWS * c->filters * c->out * c->out;
    for (int64_t i = 0; i < count; i++) {
        expected[i] = bias ? (double)bias[i / (c->out * c->out) % c->filters] : 0.0;
        magnitude[i] = fabs(expected[i]);
    }
    const int from_size = c->size, to_size = c->out;
    for (int n = 0; n < ROWS; n++)
        for (int f = 0; f < c->filters; f++)
            for (int k = 0; k < in_group; k++)
                for (int ky = 0; ky < c->kernel; ky++)
                    for (int kx = 0; kx < c->kernel; kx++) {
                        const int group = f / out_group, channel = group * in_group + k;
                        // Conv: w[f][k]; ConvTranspose: w[channel][f within its group].
                        const int64_t at = transposed ? (int64_t)channel * out_group + f % out_group
                                                      : (int64_t)f * in_group + k;
                        const double weight = (double)w[(at * c->kernel + ky) * c->kernel + kx];
                        const int steps = transposed ? from_size : to_size;
                        for (int sy = 0; sy < steps; sy++)
                            for (int sx = 0; sx < steps; sx++) {
                                const int ty = sy * c->stride + ky * c->dilation - c->before;
                                const int tx = sx * c->stride + kx * c->dilation - c->before;
                                const int iy = transposed ? sy : ty, ix = transposed ? sx : tx;
                                const int oy = transposed ? ty : sy, ox = transposed ? tx : sx;
                                if (iy < 0 || ix < 0 || iy >= from_size || ix >= from_size ||
                                    oy < 0 || ox < 0 || oy >= to_size || ox >= to_size)
                                    continue;
                                const double x =
                                    (double)image[((n * c->channels + channel) * from_size + iy) *
                                                      from_size +
                                                  ix];
                                const int64_t o =
                                    ((int64_t)(n * c->filters + f) * to_size + oy) * to_size + ox;
                                expected[o] += x * weight;
                                magnitude[o] += fabs(x * weight);
                            }
                    }
}

static const struct conv_case {
    const char *name, *op, *attributes;
    struct window w;
} convs[] = {
    {"same_upper", "Conv", "auto_pad:SAME_UPPER strides=2,2", {4, 6, 1, 7, 3, 2, 1, 1, 4}},
    {"same_upper_even", "Conv", "auto_pad:SAME_UPPER strides=2,2", {4, 6, 1, 8, 3, 2, 1, 0, 4}},
    {"same_lower_even", "Conv", "auto_pad:SAME_LOWER strides=2,2", {4, 6, 1, 8, 3, 2, 1, 1, 4}},
    {"valid", "Conv", "auto_pad:VALID group=2", {4, 6, 2, 7, 3, 1, 1, 0, 5}},
    {"dilated", "Conv", "dilations=2,2 pads=2,2,2,2 group=2", {4, 6, 2, 7, 3, 1, 2, 2, 7}},
    {"depthwise", "Conv", "pads=1,1,1,1 group=4", {4, 8, 4, 6, 3, 1, 1, 1, 6}},
    {"uneven", "Conv", "pads=2,2,0,0", {4, 6, 1, 6, 3, 1, 1, 2, 6}},
    {"transposed", "ConvTranspose", "strides=2,2 pads=1,1,1,1", {4, 6, 1, 5, 3, 2, 1, 1, 9}},
    {"transposed_output_padding",
     "ConvTranspose",
     "strides=2,2 pads=1,1,1,1 output_padding=1,1 group=2",
     {4, 6, 2, 5, 3, 2, 1, 1, 10}},
    {"transposed_dilated", "ConvTranspose", "dilations=2,2", {4, 6, 1, 5, 3, 1, 2, 0, 9}},
};

static void convolutions(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof convs / sizeof convs[0]; k++) {
        const struct window *c = &convs[k].w;
        const bool transposed = strcmp(convs[k].op, "ConvTranspose") == 0;
        const int64_t dims[] = {transposed ? c->channels : c->filters,
                                (transposed ? c->filters : c->channels) / c->groups, c->kernel,
                                c->kernel};
        begin(13, 4, (int64_t[]){0, c->channels, c->size, c->size});
        const float *w = onnx_floats(&file, "w", 4, dims);
        const float *b = onnx_floats(&file, "b", 1, (int64_t[]){c->filters});
        onnx_node(&file, convs[k].op, k % 2 ? "x w" : "x w b", "y", convs[k].attributes);
        reference_conv(c, w, k % 2 ? NULL : b, transposed);
        compare(convs[k].name, (int64_t)ROWS * c->filters * c->out * c->out,
                c->channels * c->kernel * c->kernel + 1);
    }
}

// Pooling: sum or maximum over taps; what counts in an average is told by `count`.
static const struct pool_case {
    const char *name, *op, *attributes;
    int size, kernel, stride, dilation, before, after, out;  // after: padding that counts
    bool average, counts;
} pools[] = {
    {"average", "AveragePool", "kernel_shape=3,3 strides=2,2 pads=1,1,1,1", 7, 3, 2, 1, 1, 1, 4,
     true, false},
    {"average_counting", "AveragePool",
     "kernel_shape=3,3 strides=2,2 pads=1,1,1,1 count_include_pad=1", 7, 3, 2, 1, 1, 1, 4, true,
     true},
    {"average_ceil", "AveragePool", "kernel_shape=3,3 strides=2,2 ceil_mode=1", 8, 3, 2, 1, 0, 0, 4,
     true, false},
    {"average_ceil_counting", "AveragePool",
     "kernel_shape=3,3 strides=2,2 pads=1,1,1,1 ceil_mode=1 count_include_pad=1", 8, 3, 2, 1, 1, 1,
     5, true, true},
    {"max_ceil", "MaxPool", "kernel_shape=3,3 strides=2,2 ceil_mode=1", 8, 3, 2, 1, 0, 0, 4, false,
     false},
    {"max_ceil_outside", "MaxPool", "kernel_shape=2,2 strides=3,3 pads=1,1,1,1 ceil_mode=1", 5, 2,
     3, 1, 1, 1, 2, false, false},
    {"max_dilated", "MaxPool", "kernel_shape=2,2 dilations=2,2 pads=1,1,1,1", 7, 2, 1, 2, 1, 1, 7,
     false, false},
    {"max_same", "MaxPool", "kernel_shape=3,3 strides=2,2 auto_pad:SAME_UPPER", 8, 3, 2, 1, 0, 1, 4,
     false, false},
    {"global_max", "GlobalMaxPool", "", 6, 6, 1, 1, 0, 0, 1, false, false},
};

static void pooling(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof pools / sizeof pools[0]; k++) {
        const struct pool_case *p = &pools[k];
        const int s = p->size;
        begin(12, 4, (int64_t[]){0, 5, s, s});
        onnx_node(&file, p->op, "x", "y", p->attributes);
        for (int i = 0; i < ROWS * 5 * p->out * p->out; i++) {
            const int oy = i / p->out % p->out, ox = i % p->out, plane = i / (p->out * p->out);
            double sum = 0, most = -INFINITY, size = 0;
            int taps = 0;
            for (int t = 0; t < p->kernel * p->kernel; t++) {
                const int y = oy * p->stride + t / p->kernel * p->dilation - p->before;
                const int x = ox * p->stride + t % p->kernel * p->dilation - p->before;
                const bool inside = y >= 0 && x >= 0 && y < s && x < s;
                const double v = inside ? (double)image[(plane * s + y) * s + x] : 0.0;
                taps += inside || (p->counts && y < s + p->after && x < s + p->after);
                sum += v;
                size += fabs(v);
                most = inside && v > most ? v : most;
            }
            expected[i] = p->average ? sum / taps : most;
            magnitude[i] = p->average ? size / taps : 0.0;
        }
        compare(p->name, ROWS * 5 * p->out * p->out, p->kernel * p->kernel + 2);
    }
}

// Normalizations over `run` neighbours in the file's order, of which there are `groups` a row.
static void reference_norm(int run, int groups, int channels, const float *scale, const float *bias,
                           bool by_group, double epsilon)
{
    const int plane = run * groups / channels;  // values of a channel; channels 0: of the last axis
    for (int g = 0; g < ROWS * groups; g++) {
        double mean = 0, variance = 0;
        for (int i = 0; i < run; i++)
            mean += (double)image[g * run + i] / run;
        for (int i = 0; i < run; i++)
            variance += ((double)image[g * run + i] - mean) * ((double)image[g * run + i] - mean) /
                        run;
        for (int i = 0; i < run; i++) {
            const int at = g * run + i, channel = at % (run * groups) / plane;
            const int p = by_group ? g % groups : channel;
            const double x = ((double)image[at] - mean) / sqrt(variance + epsilon);
            expected[at] = x * (double)scale[p] + (double)bias[p];
            magnitude[at] = (fabs(x) + 1.0) * fabs((double)scale[p]) + fabs((double)bias[p]);
        }
    }
}

static void normalizations(void **state)
{
    (void)state;
    static const struct {
        const char *name, *op, *attributes;
        int opset, groups, parameters;
    } cases[] = {
        {"instance_norm", "InstanceNormalization", "epsilon~0.001", 13, 6, 6},
        {"group_norm_18", "GroupNormalization", "num_groups=3 epsilon~0.001", 18, 3, 3},
        {"group_norm_21", "GroupNormalization", "num_groups=3 epsilon~0.001", 21, 3, 6},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        begin(cases[k].opset, 4, (int64_t[]){0, 6, 4, 5});
        const float *s = onnx_floats(&file, "s", 1, (int64_t[]){cases[k].parameters});
        const float *b = onnx_floats(&file, "b", 1, (int64_t[]){cases[k].parameters});
        onnx_node(&file, cases[k].op, "x s b", "y", cases[k].attributes);
        reference_norm(120 / cases[k].groups, cases[k].groups, 6, s, b, cases[k].parameters == 3,
                       1e-3);
        compare(cases[k].name, ROWS * 120, 120.0);
    }
    begin(17, 3, (int64_t[]){0, 7, 10});
    const float *s = onnx_floats(&file, "s", 1, (int64_t[]){10});
    const float *b = onnx_floats(&file, "b", 1, (int64_t[]){10});
    onnx_node(&file, "LayerNormalization", "x s b", "y", "axis=-1 epsilon~0.001");
    reference_norm(10, 7, 7, s, b, false, 1e-3);
    for (int i = 0; i < ROWS * 70; i++) {  // its parameters run along the last axis
        const int p = i / 10 % 7;
        const double x = (expected[i] - (double)b[p]) / (double)s[p];
        expected[i] = x * (double)s[i % 10] + (double)b[i % 10];
        magnitude[i] = (fabs(x) + 1.0) * 2.0;
    }
    compare("layer_norm", ROWS * 70, 40.0);
}

// Operators that move values: y[o] = x[source(o)], or `otherwise` where source is -1.

static int64_t flat(int64_t o)
{
    return o;
}
static int64_t transposed_hw(int64_t o)  // [.., 4, 6] from [.., 6, 4]
{
    return o / 24 * 24 + o % 6 * 4 + o / 6 % 4;
}
static int64_t backwards(int64_t o)  // every second column from the last, of 4
{
    return o / 2 * 4 + 3 - 2 * (o % 2);
}
static int64_t rows_1_3(int64_t o)  // h 1 to 3 of 6, w 4
{
    return o / 8 * 24 + 4 + o % 8;
}
static int64_t second_half(int64_t o)  // channels 3 to 5 of 6, pixels 24
{
    return o / 72 * 144 + 72 + o % 72;
}
static int64_t shuffled(int64_t o)  // channel c of 6 is channel c % 2 * 3 + c / 2
{
    const int64_t c = o / 24 % 6;
    return o / 144 * 144 + (c % 2 * 3 + c / 2) * 24 + o % 24;
}
static int64_t gathered(int64_t o)  // channels 4, 0, 5
{
    static const int64_t channels[] = {4, 0, 5};
    return o / 72 * 144 + channels[o / 24 % 3] * 24 + o % 24;
}
static int64_t channel_2(int64_t o)
{
    return o / 24 * 144 + 48 + o % 24;
}
static int64_t reflected(int64_t o)  // one row above and below, two columns left: [8, 6] of [6, 4]
{
    const int64_t y = labs((long)(o / 6 % 8) - 1), x = labs((long)(o % 6) - 2);
    return o / 48 * 24 + (y > 5 ? 10 - y : y) * 4 + x;
}
static int64_t edged(int64_t o)
{
    const int64_t y = o / 6 % 8 - 1, x = o % 6 - 2;
    return o / 48 * 24 + (y < 0 ? 0 : y > 5 ? 5 : y) * 4 + (x < 0 ? 0 : x);
}
static int64_t padded(int64_t o)
{
    const int64_t y = o / 6 % 8 - 1, x = o % 6 - 2;
    return y < 0 || y > 5 || x < 0 ? -1 : o / 48 * 24 + y * 4 + x;
}
static int64_t doubled(int64_t o)  // [12, 8] of [6, 4]
{
    return o / 96 * 24 + o / 8 % 12 / 2 * 4 + o % 8 / 2;
}
static int64_t twice(int64_t o)  // channels 0 to 5, then 0 to 5
{
    return o / 288 * 144 + o % 144;
}
static int64_t repeated(int64_t o)  // [6, 24, 2] of [6, 24, 1]
{
    return o / 2;
}

static const struct move {
    const char *name;
    int opset;
    const char *nodes[6][4];  // op, inputs, outputs, attributes
    int64_t count;            // of a row
    int64_t (*source)(int64_t o);
    double otherwise;
} moves[] = {
    {"reshape_whole", 13, {{"Reshape", "x s_8_18", "y", ""}}, 144, flat, 0},
    {"reshape_split",
     13,
     {{"Reshape", "x s_0_2_3_24", "a", ""}, {"Reshape", "a s_0_6_24", "y", ""}},
     144,
     flat,
     0},
    {"flatten", 9, {{"Flatten", "x", "y", ""}}, 144, flat, 0},
    {"flatten_minus", 11, {{"Flatten", "x", "y", "axis=-3"}}, 144, flat, 0},
    {"transpose", 13, {{"Transpose", "x", "y", "perm=0,1,3,2"}}, 144, transposed_hw, 0},
    {"there_and_back",
     13,
     {{"Transpose", "x", "a", "perm=0,2,3,1"}, {"Transpose", "a", "y", "perm=0,3,1,2"}},
     144,
     flat,
     0},
    {"squeeze_9",
     9,
     {{"Unsqueeze", "x", "a", "axes=2,"}, {"Squeeze", "a", "y", "axes=2,"}},
     144,
     flat,
     0},
    {"squeeze_13",
     13,
     {{"Unsqueeze", "x i2", "a", ""}, {"Squeeze", "a i2", "y", ""}},
     144,
     flat,
     0},
    {"slice_9", 9, {{"Slice", "x", "y", "starts=1, ends=3, axes=2,"}}, 48, rows_1_3, 0},
    {"slice_backwards", 13, {{"Slice", "x last least i3 minus2", "y", ""}}, 72, backwards, 0},
    {"split_9", 9, {{"Split", "x", "a y", "axis=1 split=3,3"}}, 72, second_half, 0},
    {"split_13", 13, {{"Split", "x i33", "a y", "axis=1"}}, 72, second_half, 0},
    {"split_18", 18, {{"Split", "x", "a y", "axis=1 num_outputs=2"}}, 72, second_half, 0},
    {"shuffle",
     13,
     {{"Reshape", "x s_0_2_3_24", "a", ""},
      {"Transpose", "a", "b", "perm=0,2,1,3"},
      {"Reshape", "b s_0_6_6_4", "y", ""}},
     144,
     shuffled,
     0},
    {"gather", 13, {{"Gather", "x i405", "y", "axis=1"}}, 72, gathered, 0},
    {"gather_one", 13, {{"Gather", "x two", "y", "axis=1"}}, 24, channel_2, 0},
    {"concat", 13, {{"Concat", "x x", "y", "axis=1"}}, 288, twice, 0},
    {"pad_reflect", 13, {{"Pad", "x pads", "y", "mode:reflect"}}, 288, reflected, 0},
    {"pad_edge", 13, {{"Pad", "x pads", "y", "mode:edge"}}, 288, edged, 0},
    {"pad_value", 13, {{"Pad", "x pads half", "y", ""}}, 288, padded, 0.5},
    {"pad_9", 9, {{"Pad", "x", "y", "pads=0,0,1,2,0,0,1,0 value~0.25"}}, 288, padded, 0.25},
    {"pad_18", 18, {{"Pad", "x pads_hw - i23", "y", ""}}, 288, padded, 0},
    {"upsample_9", 9, {{"Upsample", "x scales", "y", ""}}, 576, doubled, 0},
    {"resize_10", 10, {{"Resize", "x scales", "y", ""}}, 576, doubled, 0},
    {"resize_sizes", 13, {{"Resize", "x - - sizes", "y", "mode:nearest"}}, 576, doubled, 0},
    {"expand",
     13,
     {{"Reshape", "x s_0_6_24_1", "a", ""}, {"Expand", "a s_1_6_24_2", "y", ""}},
     288,
     repeated,
     0},
    // The batch through integer arithmetic: Shape, Gather, Mul, Div, Concat, Where.
    {"shape_arithmetic",
     13,
     {{"Shape", "x", "s", ""},
      {"Gather", "s i0", "n", ""},
      {"Mul", "n i2", "a", ""},
      {"Div", "a i2", "b", ""},
      {"Concat", "b minus1", "c", "axis=0"},
      {"Reshape", "x c", "y", ""}},
     144,
     flat,
     0},
};

static void add_constants(void)
{
    static const struct {
        const char *name;
        int count;
        int64_t values[8];
    } lists[] = {
        {"s_8_18", 3, {0, 8, 18}},
        {"s_0_2_3_24", 4, {0, 2, 3, 24}},
        {"s_0_6_24", 3, {0, 6, 24}},
        {"s_0_6_6_4", 4, {0, 6, 6, 4}},
        {"s_0_6_24_1", 4, {0, 6, 24, 1}},
        {"s_1_6_24_2", 4, {1, 6, 24, 2}},
        {"i0", 1, {0}},
        {"i2", 1, {2}},
        {"i3", 1, {3}},
        {"i33", 2, {3, 3}},
        {"i23", 2, {2, 3}},
        {"i405", 3, {4, 0, -1}},
        {"minus1", 1, {-1}},
        {"minus2", 1, {-2}},
        {"last", 1, {-1}},
        {"least", 1, {INT64_MIN}},
        {"pads", 8, {0, 0, 1, 2, 0, 0, 1, 0}},
        {"pads_hw", 4, {1, 2, 1, 0}},
        {"sizes", 4, {0, 6, 12, 8}},
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        onnx_integers(&file, lists[i].name, lists[i].count, lists[i].values);
    onnx_integers(&file, "two", 1, (int64_t[]){2});
    file.tensors[file.graph.n_initializer - 1].n_dims = 0;  // a number, not a list
    onnx_floats(&file, "half", 0, NULL)[0] = 0.5f;
    memcpy(onnx_floats(&file, "scales", 1, (int64_t[]){4}), (float[]){1, 1, 2, 2}, 16);
}

static void movements(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof moves / sizeof moves[0]; k++) {
        const struct move *m = &moves[k];
        begin(m->opset, 4, (int64_t[]){0, 6, 6, 4});
        add_constants();
        for (int n = 0; n < 6 && m->nodes[n][0]; n++)
            onnx_node(&file, m->nodes[n][0], m->nodes[n][1], m->nodes[n][2], m->nodes[n][3]);
        for (int64_t o = 0; o < ROWS * m->count; o++) {
            const int64_t from = m->source(o);
            expected[o] = from < 0 ? m->otherwise : (double)image[from];
            magnitude[o] = 0.0;  // moved, not computed
        }
        compare(m->name, ROWS * m->count, 0.0);
    }
}

// Products.

static void products(void **state)
{
    (void)state;
    begin(13, 4, (int64_t[]){0, 3, 4, 5});  // flattened for a Gemm: the weight's rows are moved
    const float *w = onnx_floats(&file, "w", 2, (int64_t[]){7, 60});
    const float *b = onnx_floats(&file, "b", 1, (int64_t[]){7});
    onnx_node(&file, "Flatten", "x", "a", "");
    onnx_node(&file, "Gemm", "a w b", "y", "transB=1 alpha~0.5 beta~2");
    for (int i = 0; i < ROWS * 7; i++) {
        expected[i] = 2.0 * (double)b[i % 7];
        magnitude[i] = fabs(expected[i]);
        for (int k = 0; k < 60; k++) {
            const double term = 0.5 * (double)image[i / 7 * 60 + k] * (double)w[i % 7 * 60 + k];
            expected[i] += term;
            magnitude[i] += fabs(term);
        }
    }
    compare("gemm_of_image", ROWS * 7, 64.0);
    // x [3, 5, 6] by itself transposed: softmax(x x^T) x, as attention does.
    begin(13, 3, (int64_t[]){0, 5, 6});
    onnx_node(&file, "Transpose", "x", "t", "perm=0,2,1");
    onnx_node(&file, "MatMul", "x t", "y", "");
    for (int i = 0; i < ROWS * 25; i++) {
        expected[i] = magnitude[i] = 0;
        for (int k = 0; k < 6; k++) {
            const double term = (double)image[i / 25 * 30 + i / 5 % 5 * 6 + k] *
                                (double)image[i / 25 * 30 + i % 5 * 6 + k];
            expected[i] += term;
            magnitude[i] += fabs(term);
        }
    }
    compare("matmul", ROWS * 25, 7.0);
    begin(13, 3, (int64_t[]){0, 5, 6});
    onnx_node(&file, "Einsum", "x x", "y", "equation:bik,bjk->bij");
    compare("einsum", ROWS * 25, 7.0);
}

static void softmax_and_reductions(void **state)
{
    (void)state;
    begin(13, 4, (int64_t[]){0, 6, 2, 3});  // over the channels, which lie last in memory
    onnx_node(&file, "Softmax", "x", "y", "axis=1");
    for (int i = 0; i < ROWS * 36; i++) {
        double sum = 0;
        for (int c = 0; c < 6; c++)
            sum += exp((double)image[i / 36 * 36 + c * 6 + i % 6]);
        expected[i] = exp((double)image[i]) / sum;
        magnitude[i] = 1.0;
    }
    compare("softmax", ROWS * 36, 8.0);
    static const struct {
        const char *name, *op, *inputs, *attributes;
        int opset;
    } cases[] = {{"mean_13", "ReduceMean", "x", "axes=-1,2 keepdims=0", 13},
                 {"mean_18", "ReduceMean", "x axes", "keepdims=0", 18},
                 {"sum_13", "ReduceSum", "x axes", "keepdims=0", 13},
                 {"max_13", "ReduceMax", "x", "axes=2,3 keepdims=0", 13}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        begin(cases[k].opset, 4, (int64_t[]){0, 6, 2, 3});
        onnx_integers(&file, "axes", 2, (int64_t[]){2, -1});
        onnx_node(&file, cases[k].op, cases[k].inputs, "y", cases[k].attributes);
        for (int i = 0; i < ROWS * 6; i++) {
            double sum = 0, most = -INFINITY, size = 0;
            for (int p = 0; p < 6; p++) {
                const double v = (double)image[i * 6 + p];
                sum += v;
                size += fabs(v);
                most = v > most ? v : most;
            }
            const char kind = cases[k].name[1];  // mEan, sUm, mAx
            expected[i] = kind == 'e' ? sum / 6 : kind == 'u' ? sum : most;
            magnitude[i] = size;
        }
        compare(cases[k].name, ROWS * 6, 8.0);
    }
}

// Operands of other ranks and orders: [c, 1, 1], [w], [h, 1] beside [batch, c, h, w].
static void broadcasts(void **state)
{
    (void)state;
    static const struct {
        const char *name, *op, *inputs, *slope;
        int rank;
        int64_t dims[3];
        int divide, modulo;  // the element of the constant at position i of a row of [6, 4, 5]
    } cases[] = {{"by_channel", "Mul", "x c", "", 3, {6, 1, 1}, 20, 6},
                 {"by_column", "Div", "x c", "", 1, {5}, 1, 5},
                 {"by_row", "Sub", "c x", "", 2, {4, 1}, 5, 4},
                 {"maximum", "Max", "x c", "", 2, {4, 5}, 1, 20},
                 {"prelu", "PRelu", "x c", "", 3, {6, 1, 1}, 20, 6}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        begin(13, 4, (int64_t[]){0, 6, 4, 5});
        float *c = onnx_floats(&file, "c", cases[k].rank, cases[k].dims);
        for (int i = 0; i < cases[k].modulo; i++)
            c[i] += c[i] < 0 ? -0.5f : 0.5f;
        onnx_node(&file, cases[k].op, cases[k].inputs, "y", "");
        for (int i = 0; i < ROWS * 120; i++) {
            const double x = (double)image[i];
            const double v = (double)c[i % 120 / cases[k].divide % cases[k].modulo];
            expected[i] = k == 0   ? x * v
                          : k == 1 ? x / v
                          : k == 2 ? v - x
                          : k == 3 ? fmax(x, v)
                          : x < 0  ? x * v
                                   : x;
            magnitude[i] = fabs(x) + fabs(v) + fabs(expected[i]);
        }
        compare(cases[k].name, ROWS * 120, 1.0);
    }
}

// An export for one sample says 1 for the batch, also in shapes: it runs on several all the same.
static void a_batch_of_one_in_the_file_is_any_batch(void **state)
{
    (void)state;
    for (int k = 0; k < 3; k++) {  // through [4, 1, 18], [4, 1 * 6, 3] and [4 * 1, 18]
        begin(13, 3, (int64_t[]){1, 4, 18});
        onnx_integers(&file, "s", k == 2 ? 2 : 3,
                      k == 2 ? (int64_t[]){4, 18} : (int64_t[]){4, 6, 3});
        onnx_integers(&file, "t", 3, (int64_t[]){4, 1, 18});
        onnx_node(&file, "Transpose", "x", "a", "perm=1,0,2");
        if (k == 0) {
            onnx_node(&file, "Relu", "a", "b", "");
        } else {
            onnx_node(&file, "Reshape", "a s", "c", "");
            onnx_node(&file, "Relu", "c", "d", "");
            onnx_node(&file, "Reshape", "d t", "b", "");
        }
        onnx_node(&file, "Transpose", "b", "y", "perm=1,0,2");
        for (int i = 0; i < ROWS * 72; i++) {
            expected[i] = image[i] < 0 ? 0.0 : (double)image[i];
            magnitude[i] = 0.0;
        }
        compare("one_sample", ROWS * 72, 0.0);
    }
}

static int count_ops(const char *op)
{
    struct dc_onnx *onnx;
    struct dc_error error;
    int count = 0;
    onnx_save(&file, test_path("model.onnx"), "y");
    if (dc_onnx_read(&onnx, test_path("model.onnx"), NULL, &error) != DC_OK)
        fail_msg("%s", error.message);
    for (int i = 0; i < onnx->graph->count; i++)
        count += strcmp(onnx->graph->nodes[i].op->name, op) == 0;
    dc_onnx_free(onnx);
    return count;
}

// Channels first in the file and last in memory cost nothing; a channel shuffle costs one.
static void transpositions_stand_only_where_memory_moves(void **state)
{
    (void)state;
    begin(17, 4, (int64_t[]){0, 4, 6, 6});
    onnx_floats(&file, "w", 4, (int64_t[]){4, 4, 3, 3});
    onnx_floats(&file, "g", 1, (int64_t[]){4});
    onnx_floats(&file, "d", 2, (int64_t[]){64, 5});
    onnx_node(&file, "Conv", "x w", "a", "pads=1,1,1,1");
    onnx_node(&file, "Transpose", "a", "b", "perm=0,2,3,1");
    onnx_node(&file, "LayerNormalization", "b g", "c", "");
    onnx_node(&file, "Transpose", "c", "e", "perm=0,3,1,2");
    onnx_node(&file, "Add", "e a", "f", "");
    onnx_node(&file, "Conv", "f w", "h", "");
    onnx_node(&file, "Flatten", "h", "i", "");
    onnx_node(&file, "Gemm", "i d", "y", "");
    assert_int_equal(count_ops("transpose"), 0);
    begin(13, 4, (int64_t[]){0, 4, 6, 6});
    onnx_floats(&file, "w", 4, (int64_t[]){2, 2, 3, 3});
    onnx_integers(&file, "s", 5, (int64_t[]){0, 2, 2, 6, 6});
    onnx_integers(&file, "t", 4, (int64_t[]){0, 4, 6, 6});
    onnx_node(&file, "Reshape", "x s", "a", "");
    onnx_node(&file, "Transpose", "a", "b", "perm=0,2,1,3,4");
    onnx_node(&file, "Reshape", "b t", "c", "");
    onnx_node(&file, "Split", "c", "d e", "axis=1");
    onnx_node(&file, "Conv", "e w", "f", "pads=1,1,1,1");
    onnx_node(&file, "Concat", "d f", "y", "axis=1");
    assert_int_equal(count_ops("transpose"), 1);
}

static int close_folder(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_of_one_value),
        cmocka_unit_test(patterns_are_one_function),
        cmocka_unit_test(convolutions),
        cmocka_unit_test(pooling),
        cmocka_unit_test(normalizations),
        cmocka_unit_test(movements),
        cmocka_unit_test(products),
        cmocka_unit_test(softmax_and_reductions),
        cmocka_unit_test(broadcasts),
        cmocka_unit_test(a_batch_of_one_in_the_file_is_any_batch),
        cmocka_unit_test(transpositions_stand_only_where_memory_moves),
    };
    test_folder();
    return cmocka_run_group_tests(tests, NULL, close_folder);
}
