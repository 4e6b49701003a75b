// Convolutions, pools and normalizations that the judge's networks do not have, against loops
// written from the definitions of the format, in the file's own order of axes and in double
// precision.

#include "helper_operators.h"

#include <math.h>
#include <string.h>

#include "tests/core/helper_folder.h"

// Convolution: NCHW, [out, in / groups, kh, kw], six loops.

struct window {
    int channels, filters, groups, size, kernel, stride, dilation, before, out;
};

static void reference_conv(const struct window *c, const float *w, const float *bias,
                           bool transposed)
{
    const int in_group = c->channels / c->groups, out_group = c->filters / c->groups;
    const int64_t count = (int64_t)ONNX_ROWS * c->filters * c->out * c->out;
    for (int64_t i = 0; i < count; i++) {
        onnx_expected[i] = bias ? (double)bias[i / (c->out * c->out) % c->filters] : 0.0;
        onnx_magnitude[i] = fabs(onnx_expected[i]);
    }
    const int from_size = c->size, to_size = c->out;
    for (int n = 0; n < ONNX_ROWS; n++)
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
                                const double x = (double)
                                    onnx_image[((n * c->channels + channel) * from_size + iy) *
                                                   from_size +
                                               ix];
                                const int64_t o =
                                    ((int64_t)(n * c->filters + f) * to_size + oy) * to_size + ox;
                                onnx_expected[o] += x * weight;
                                onnx_magnitude[o] += fabs(x * weight);
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
        onnx_start(13, 4, (int64_t[]){0, c->channels, c->size, c->size});
        const float *w = onnx_floats(&onnx_case, "w", 4, dims);
        const float *b = onnx_floats(&onnx_case, "b", 1, (int64_t[]){c->filters});
        onnx_node(&onnx_case, convs[k].op, k % 2 ? "x w" : "x w b", "y", convs[k].attributes);
        reference_conv(c, w, k % 2 ? NULL : b, transposed);
        onnx_compare(convs[k].name, (int64_t)ONNX_ROWS * c->filters * c->out * c->out,
                     c->channels * c->kernel * c->kernel + 1);
    }
}

// Of series [batch, channels, length]: the same with one axis less.
static const struct series_case {
    const char *name, *op, *attributes;
    int kernel, stride, before, out, groups;
} series[] = {
    {"series_conv", "Conv", "strides=2, pads=1,1 group=2", 3, 2, 1, 5, 2},
    {"series_conv_uneven", "Conv", "pads=0,2", 3, 1, 0, 9, 1},
    {"series_transposed", "ConvTranspose", "strides=2, pads=1,0 output_padding=1,", 3, 2, 1, 19, 1},
    {"series_max", "MaxPool", "kernel_shape=3, strides=2, pads=1,1", 3, 2, 1, 5, 0},
    {"series_average", "AveragePool", "kernel_shape=2, strides=2,", 2, 2, 0, 4, 0},
    {"series_global", "GlobalAveragePool", "", 9, 1, 0, 1, 0},
};

static void one_axis(void **state)
{
    (void)state;
    enum { CHANNELS = 4, FILTERS = 6, LENGTH = 9 };
    for (size_t k = 0; k < sizeof series / sizeof series[0]; k++) {
        const struct series_case *c = &series[k];
        const bool weighted = c->groups > 0, transposed = strcmp(c->op, "ConvTranspose") == 0;
        const bool most = strcmp(c->op, "MaxPool") == 0;
        const int filters = weighted ? FILTERS : CHANNELS, groups = weighted ? c->groups : CHANNELS;
        const int each = CHANNELS / groups, made = filters / groups;
        onnx_start(13, 3, (int64_t[]){0, CHANNELS, LENGTH});
        const float *w = onnx_floats(&onnx_case, "w", 3,
                                     transposed ? (int64_t[]){CHANNELS, made, c->kernel}
                                                : (int64_t[]){filters, each, c->kernel});
        onnx_node(&onnx_case, c->op, weighted ? "x w" : "x", "y", c->attributes);
        for (int i = 0; i < ONNX_ROWS * filters * c->out; i++) {
            const int f = i / c->out % filters, o = i % c->out, g = f / made;
            double sum = 0, size = 0, maximum = -INFINITY;
            for (int t = 0; t < each * c->kernel; t++) {
                const int j = t / c->kernel, tap = t % c->kernel, channel = g * each + j;
                const int place = transposed ? o + c->before - tap
                                             : o * c->stride + tap - c->before;
                const int at = transposed ? place / c->stride : place;
                if (place < 0 || at >= LENGTH || (transposed && place % c->stride))
                    continue;
                const float factor = !weighted    ? 1.0f / (float)c->kernel
                                     : transposed ? w[(channel * made + f % made) * c->kernel + tap]
                                                  : w[(f * each + j) * c->kernel + tap];
                const double x =
                    (double)onnx_image[(i / (filters * c->out) * CHANNELS + channel) * LENGTH + at];
                sum += x * (double)factor;
                size += fabs(x * (double)factor);
                maximum = fmax(maximum, x);
            }
            onnx_expected[i] = most ? maximum : sum;
            onnx_magnitude[i] = size;
        }
        onnx_compare(c->name, (int64_t)ONNX_ROWS * filters * c->out, 32.0);
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
        onnx_start(12, 4, (int64_t[]){0, 5, s, s});
        onnx_node(&onnx_case, p->op, "x", "y", p->attributes);
        for (int i = 0; i < ONNX_ROWS * 5 * p->out * p->out; i++) {
            const int oy = i / p->out % p->out, ox = i % p->out, plane = i / (p->out * p->out);
            double sum = 0, most = -INFINITY, size = 0;
            int taps = 0;
            for (int t = 0; t < p->kernel * p->kernel; t++) {
                const int y = oy * p->stride + t / p->kernel * p->dilation - p->before;
                const int x = ox * p->stride + t % p->kernel * p->dilation - p->before;
                const bool inside = y >= 0 && x >= 0 && y < s && x < s;
                const double v = inside ? (double)onnx_image[(plane * s + y) * s + x] : 0.0;
                taps += inside || (p->counts && y < s + p->after && x < s + p->after);
                sum += v;
                size += fabs(v);
                most = inside && v > most ? v : most;
            }
            onnx_expected[i] = p->average ? sum / taps : most;
            onnx_magnitude[i] = p->average ? size / taps : 0.0;
        }
        onnx_compare(p->name, ONNX_ROWS * 5 * p->out * p->out, p->kernel * p->kernel + 2);
    }
}

// Normalizations over `run` neighbours in the file's order, of which there are `groups` a row.
static void reference_norm(int run, int groups, int channels, const float *scale, const float *bias,
                           bool by_group, double epsilon)
{
    const int plane = run * groups / channels;  // values of a channel; channels 0: of the last axis
    for (int g = 0; g < ONNX_ROWS * groups; g++) {
        double mean = 0, variance = 0;
        for (int i = 0; i < run; i++)
            mean += (double)onnx_image[g * run + i] / run;
        for (int i = 0; i < run; i++)
            variance += ((double)onnx_image[g * run + i] - mean) *
                        ((double)onnx_image[g * run + i] - mean) / run;
        for (int i = 0; i < run; i++) {
            const int at = g * run + i, channel = at % (run * groups) / plane;
            const int p = by_group ? g % groups : channel;
            const double x = ((double)onnx_image[at] - mean) / sqrt(variance + epsilon);
            onnx_expected[at] = x * (double)scale[p] + (double)bias[p];
            onnx_magnitude[at] = (fabs(x) + 1.0) * fabs((double)scale[p]) + fabs((double)bias[p]);
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
        onnx_start(cases[k].opset, 4, (int64_t[]){0, 6, 4, 5});
        const float *s = onnx_floats(&onnx_case, "s", 1, (int64_t[]){cases[k].parameters});
        const float *b = onnx_floats(&onnx_case, "b", 1, (int64_t[]){cases[k].parameters});
        onnx_node(&onnx_case, cases[k].op, "x s b", "y", cases[k].attributes);
        reference_norm(120 / cases[k].groups, cases[k].groups, 6, s, b, cases[k].parameters == 3,
                       1e-3);
        onnx_compare(cases[k].name, ONNX_ROWS * 120, 120.0);
    }
    onnx_start(17, 3, (int64_t[]){0, 7, 10});
    const float *s = onnx_floats(&onnx_case, "s", 1, (int64_t[]){10});
    const float *b = onnx_floats(&onnx_case, "b", 1, (int64_t[]){10});
    onnx_node(&onnx_case, "LayerNormalization", "x s b", "y", "axis=-1 epsilon~0.001");
    reference_norm(10, 7, 7, s, b, false, 1e-3);
    for (int i = 0; i < ONNX_ROWS * 70; i++) {  // its parameters run along the last axis
        const int p = i / 10 % 7;
        const double x = (onnx_expected[i] - (double)b[p]) / (double)s[p];
        onnx_expected[i] = x * (double)s[i % 10] + (double)b[i % 10];
        onnx_magnitude[i] = (fabs(x) + 1.0) * 2.0;
    }
    onnx_compare("layer_norm", ONNX_ROWS * 70, 40.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions),
        cmocka_unit_test(one_axis),
        cmocka_unit_test(pooling),
        cmocka_unit_test(normalizations),
    };
    test_folder();
    return cmocka_run_group_tests(tests, NULL, onnx_close);
}
