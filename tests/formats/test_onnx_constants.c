// What a file computes from constants and from the batch's size: folded while reading, against
// loops in double precision.

#include "helper_operators.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/core/helper_folder.h"

enum { FILTERS = 4, CHANNELS = 3, KERNEL = 3, SIDE = 5, TAPS = CHANNELS * KERNEL * KERNEL };

// The image [3, 5, 5], padded by 1, through these weights [4, 3, 3, 3].
static void expect_conv(const double *w)
{
    for (int i = 0; i < ONNX_ROWS * FILTERS * SIDE * SIDE; i++) {
        const int row = i / (FILTERS * SIDE * SIDE), f = i / (SIDE * SIDE) % FILTERS;
        const int h = i / SIDE % SIDE, v = i % SIDE;
        onnx_expected[i] = onnx_magnitude[i] = 0.0;
        for (int t = 0; t < TAPS; t++) {
            const int c = t / 9, y = h + t / 3 % 3 - 1, x = v + t % 3 - 1;
            if (y < 0 || y >= SIDE || x < 0 || x >= SIDE)
                continue;
            const double image = (double)onnx_image[((row * CHANNELS + c) * SIDE + y) * SIDE + x];
            onnx_expected[i] += w[f * TAPS + t] * image;
            onnx_magnitude[i] += fabs(w[f * TAPS + t] * image);
        }
        onnx_magnitude[i] += 1.0;
    }
}

// w [4, 27]: each filter less its mean, over its deviation where `scale`, times gain plus shift.
static void standardize(double *to, const float *w, bool scale, double epsilon, const float *gain,
                        const float *shift)
{
    for (int f = 0; f < FILTERS; f++) {
        double mean = 0.0, variance = 0.0;
        for (int t = 0; t < TAPS; t++)
            mean += (double)w[f * TAPS + t] / TAPS;
        for (int t = 0; t < TAPS; t++)
            variance += pow((double)w[f * TAPS + t] - mean, 2.0) / TAPS;
        for (int t = 0; t < TAPS; t++)
            to[f * TAPS + t] = ((double)w[f * TAPS + t] - mean) *
                                   (scale ? 1.0 / sqrt(variance + epsilon) : 1.0) *
                                   (gain ? (double)gain[f] : 1.0) +
                               (shift ? (double)shift[f] : 0.0);
    }
}

static void weights_are_standardized(void **state)
{
    (void)state;
    double w[FILTERS * TAPS];
    onnx_start(13, 4, (int64_t[]){0, CHANNELS, SIDE, SIDE});
    const float *raw = onnx_floats(&onnx_case, "w", 4, (int64_t[]){FILTERS, CHANNELS, 3, 3});
    onnx_node(&onnx_case, "ReduceMean", "w", "m", "axes=1,2,3 keepdims=1");
    onnx_node(&onnx_case, "Sub", "w m", "v", "");
    onnx_node(&onnx_case, "Conv", "x v", "y", "pads=1,1,1,1");
    standardize(w, raw, false, 0.0, NULL, NULL);
    expect_conv(w);
    onnx_compare("reduce_mean_of_weights", ONNX_ROWS * FILTERS * SIDE * SIDE, 64.0);

    onnx_start(15, 4, (int64_t[]){0, CHANNELS, SIDE, SIDE});  // as timm's convolutions do
    raw = onnx_floats(&onnx_case, "w", 4, (int64_t[]){FILTERS, CHANNELS, 3, 3});
    const float *gain = onnx_floats(&onnx_case, "gain", 1, (int64_t[]){FILTERS});
    const float *shift = onnx_floats(&onnx_case, "shift", 1, (int64_t[]){FILTERS});
    onnx_floats(&onnx_case, "mean", 1, (int64_t[]){FILTERS});
    onnx_floats(&onnx_case, "variance", 1, (int64_t[]){FILTERS});
    onnx_integers(&onnx_case, "flat", 3, (int64_t[]){1, FILTERS, -1});
    onnx_integers(&onnx_case, "as_w", 4, (int64_t[]){FILTERS, CHANNELS, 3, 3});
    onnx_node(&onnx_case, "Reshape", "w flat", "a", "");
    onnx_node(&onnx_case, "BatchNormalization", "a gain shift mean variance", "b c d",
              "training_mode=1 epsilon~0.001");
    onnx_node(&onnx_case, "Reshape", "b as_w", "v", "");
    onnx_node(&onnx_case, "Conv", "x v", "y", "pads=1,1,1,1");
    standardize(w, raw, true, 0.001, gain, shift);
    expect_conv(w);
    onnx_compare("batch_norm_of_weights", ONNX_ROWS * FILTERS * SIDE * SIDE, 64.0);
}

static double leaky(double x)
{
    return x < 0 ? 0.01 * x : x;
}
static double clipped(double x)
{
    return x < -0.25 ? -0.25 : x;
}
static double hard_sigmoid(double x)
{
    return fmin(fmax(0.2 * x + 0.5, 0.0), 1.0);
}
static double relu(double x)
{
    return x < 0 ? 0 : x;
}
static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}
static double same(double x)
{
    return x;
}

// Operators of one constant [6, 1, 1], which multiplies the image.
static void functions_of_a_constant(void **state)
{
    (void)state;
    static const struct {
        const char *op, *inputs, *attributes;
        double (*function)(double);
    } cases[] = {
        {"Clip", "c low", "", clipped},
        {"Erf", "c", "", erf},
        {"Sigmoid", "c", "", sigmoid},
        {"Tanh", "c", "", tanh},
        {"Relu", "c", "", relu},
        {"LeakyRelu", "c", "", leaky},
        {"HardSigmoid", "c", "", hard_sigmoid},
        {"CastLike", "c low", "", same},
        {"Sum", "c zero", "", same},
        {"MaxPool", "c4", "kernel_shape=1,1", same},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        onnx_start(15, 4, (int64_t[]){0, 6, 2, 3});
        const float *c = onnx_floats(&onnx_case, "c", 3, (int64_t[]){6, 1, 1});
        float *c4 = onnx_floats(&onnx_case, "c4", 4, (int64_t[]){1, 6, 1, 1});
        memcpy(c4, c, 6 * sizeof *c);
        onnx_floats(&onnx_case, "low", 0, NULL)[0] = -0.25f;
        onnx_floats(&onnx_case, "zero", 0, NULL)[0] = 0.0f;
        onnx_node(&onnx_case, cases[k].op, cases[k].inputs, "k", cases[k].attributes);
        onnx_node(&onnx_case, "Mul", "x k", "y", "");
        for (int i = 0; i < ONNX_ROWS * 36; i++) {
            onnx_expected[i] = (double)onnx_image[i] * cases[k].function((double)c[i / 6 % 6]);
            onnx_magnitude[i] = fabs((double)onnx_image[i]) + fabs(onnx_expected[i]);
        }
        char name[64];
        snprintf(name, sizeof name, "constant_%s", cases[k].op);
        onnx_compare(name, ONNX_ROWS * 36, 8.0);
    }
}

static void products_and_parts_of_constants(void **state)
{
    (void)state;
    onnx_start(13, 2, (int64_t[]){0, 4});
    const float *a = onnx_floats(&onnx_case, "a", 2, (int64_t[]){4, 5});
    const float *b = onnx_floats(&onnx_case, "b", 2, (int64_t[]){5, 3});
    const float *c = onnx_floats(&onnx_case, "c", 1, (int64_t[]){6});
    onnx_node(&onnx_case, "MatMul", "a b", "w", "");
    onnx_node(&onnx_case, "Split", "c", "first last", "axis=0");
    onnx_node(&onnx_case, "MatMul", "x w", "p", "");
    onnx_node(&onnx_case, "Add", "p last", "y", "");
    for (int i = 0; i < ONNX_ROWS * 3; i++) {
        onnx_expected[i] = (double)c[3 + i % 3];
        onnx_magnitude[i] = fabs(onnx_expected[i]);
        for (int t = 0; t < 20; t++) {
            const double term = (double)onnx_image[i / 3 * 4 + t / 5] * (double)a[t] *
                                (double)b[t % 5 * 3 + i % 3];
            onnx_expected[i] += term;
            onnx_magnitude[i] += fabs(term);
        }
    }
    onnx_compare("matmul_of_constants", ONNX_ROWS * 3, 32.0);
}

// Six values of an axis, as the format reduces them.
static double reduced(const char *name, const double v[6])
{
    double sum = 0, absolute = 0, squares = 0, most = v[0], least = v[0], power = 0, product = 1;
    for (int i = 0; i < 6; i++) {
        sum += v[i];
        absolute += fabs(v[i]);
        squares += v[i] * v[i];
        power += exp(v[i]);
        product *= v[i];
        most = fmax(most, v[i]);
        least = fmin(least, v[i]);
    }
    return !strcmp(name, "ReduceL1")          ? absolute
           : !strcmp(name, "ReduceL2")        ? sqrt(squares)
           : !strcmp(name, "ReduceLogSum")    ? log(sum)
           : !strcmp(name, "ReduceLogSumExp") ? log(power)
           : !strcmp(name, "ReduceMax")       ? most
           : !strcmp(name, "ReduceMean")      ? sum / 6
           : !strcmp(name, "ReduceMin")       ? least
           : !strcmp(name, "ReduceProd")      ? product
           : !strcmp(name, "ReduceSum")       ? sum
                                              : squares;
}

// Of values over their channels, of a constant over its first axis; in both [6] becomes one.
static void reductions(void **state)
{
    (void)state;
    static const char *const names[] = {
        "ReduceL1",        "ReduceL2",  "ReduceLogSum", "ReduceMax",       "ReduceMean",
        "ReduceLogSumExp", "ReduceMin", "ReduceSum",    "ReduceSumSquare", "ReduceProd"};
    for (size_t k = 0; k < 2 * sizeof names / sizeof names[0]; k++) {
        const char *name = names[k / 2];
        const bool constant = k % 2;
        double v[6];
        char file[64];
        if (!constant && !strcmp(name, "ReduceProd"))
            continue;
        onnx_start(18, 4, (int64_t[]){0, 6, 2, 3});
        float *c = onnx_floats(&onnx_case, "c", 2, (int64_t[]){6, 3});
        for (int i = 0; i < 18; i++)
            c[i] = 0.1f + fabsf(c[i]);
        for (int i = 0; i < ONNX_ROWS * 36 && !strcmp(name, "ReduceLogSum"); i++)
            onnx_image[i] = 0.1f + fabsf(onnx_image[i]);
        onnx_integers(&onnx_case, "axis", 1, (int64_t[]){constant ? 0 : 1});
        onnx_node(&onnx_case, name, constant ? "c axis" : "x axis", "r", "keepdims=1");
        onnx_node(&onnx_case, "Sub", "x r", "y", "");
        for (int i = 0; i < ONNX_ROWS * 36; i++) {
            for (int n = 0; n < 6; n++)
                v[n] = constant ? (double)c[n * 3 + i % 3]
                                : (double)onnx_image[i / 36 * 36 + n * 6 + i % 6];
            onnx_expected[i] = (double)onnx_image[i] - reduced(name, v);
            onnx_magnitude[i] = fabs((double)onnx_image[i]) + fabs(reduced(name, v)) + 6.0;
        }
        snprintf(file, sizeof file, "%s_%s", name, constant ? "of_constant" : "of_values");
        onnx_compare(file, ONNX_ROWS * 36, 8.0);
    }
}

// [batch, 4] gathered at [3, 0, 1, 1] through indices into [batch * 4], as torch's exporter writes
// as_strided; and the number of values as a product of the shape.
static void rows_of_the_batch(void **state)
{
    (void)state;
    static const int from[4] = {3, 0, 1, 1};
    onnx_start(18, 3, (int64_t[]){0, 4, 3});
    onnx_integers(&onnx_case, "all", 1, (int64_t[]){-1});
    onnx_integers(&onnx_case, "zero", 1, (int64_t[]){0});
    onnx_integers(&onnx_case, "one", 1, (int64_t[]){1});
    onnx_integers(&onnx_case, "four", 1, (int64_t[]){4});
    onnx_integers(&onnx_case, "last", 1, (int64_t[]){-1});
    onnx_integers(&onnx_case, "offsets", 4, (int64_t[]){3, 0, 1, 1});
    onnx_node(&onnx_case, "ReduceSum", "x last", "m", "keepdims=0");
    onnx_node(&onnx_case, "Reshape", "m all", "flat", "");
    onnx_node(&onnx_case, "Shape", "x", "n", "start=0 end=1");
    onnx_node(&onnx_case, "Squeeze", "n", "n0", "");
    onnx_node(&onnx_case, "Range", "zero n0 one", "rows", "");
    onnx_node(&onnx_case, "Mul", "rows four", "starts", "");
    onnx_node(&onnx_case, "Unsqueeze", "starts one", "column", "");
    onnx_node(&onnx_case, "Add", "column offsets", "index", "");
    onnx_node(&onnx_case, "Gather", "flat index", "y", "axis=0");
    for (int i = 0; i < ONNX_ROWS * 4; i++) {
        const float *x = onnx_image + (i / 4 * 4 + from[i % 4]) * 3;
        onnx_expected[i] = (double)x[0] + (double)x[1] + (double)x[2];
        onnx_magnitude[i] = 3.0;
    }
    onnx_compare("gather_of_rows", ONNX_ROWS * 4, 2.0);

    onnx_start(18, 4, (int64_t[]){0, 2, 3, 4});
    onnx_integers(&onnx_case, "twelve", 1, (int64_t[]){12});
    onnx_integers(&onnx_case, "two", 1, (int64_t[]){2});
    onnx_node(&onnx_case, "Shape", "x", "s", "");
    onnx_node(&onnx_case, "ReduceProd", "s", "all", "keepdims=1");
    onnx_node(&onnx_case, "Div", "all twelve", "n", "");
    onnx_node(&onnx_case, "Div", "n two", "batch", "");
    onnx_node(&onnx_case, "Concat", "batch two twelve", "to", "axis=0");
    onnx_node(&onnx_case, "Reshape", "x to", "y", "");
    for (int i = 0; i < ONNX_ROWS * 24; i++) {
        onnx_expected[i] = (double)onnx_image[i];
        onnx_magnitude[i] = 1.0;
    }
    onnx_compare("product_of_shape", ONNX_ROWS * 24, 0.0);
}

static void refused(const char *what, const char *part)
{
    struct dc_imported *onnx = NULL;
    struct dc_error error;
    onnx_save(&onnx_case, test_path("model.onnx"), "y");
    if (dc_onnx_read(&onnx, test_path("model.onnx"), NULL, &error) != DC_ERR_DATA ||
        !strstr(error.message, part))
        fail_msg("%s: '%s' does not say '%s'", what, onnx ? "" : error.message, part);
    assert_null(onnx);
}

static void what_cannot_be_folded_is_refused(void **state)
{
    (void)state;
    onnx_start(18, 2, (int64_t[]){0, 4});  // the numbers of rows as values
    onnx_integers(&onnx_case, "zero", 1, (int64_t[]){0});
    onnx_integers(&onnx_case, "one", 1, (int64_t[]){1});
    onnx_node(&onnx_case, "Shape", "x", "n", "end=1");
    onnx_node(&onnx_case, "Range", "zero n one", "r", "");
    onnx_node(&onnx_case, "Cast", "r", "f", "to=1");
    onnx_node(&onnx_case, "Unsqueeze", "f one", "u", "");
    onnx_node(&onnx_case, "Add", "x u", "y", "");
    refused("rows as floats", "depends on the size of the batch");

    onnx_start(18, 2, (int64_t[]){0, 4});  // into another row
    onnx_integers(&onnx_case, "all", 1, (int64_t[]){-1});
    onnx_integers(&onnx_case, "zero", 1, (int64_t[]){0});
    onnx_integers(&onnx_case, "one", 1, (int64_t[]){1});
    onnx_integers(&onnx_case, "three", 1, (int64_t[]){3});
    onnx_node(&onnx_case, "Shape", "x", "n", "end=1");
    onnx_node(&onnx_case, "Range", "zero n one", "r", "");
    onnx_node(&onnx_case, "Mul", "r three", "s", "");
    onnx_node(&onnx_case, "Reshape", "x all", "flat", "");
    onnx_node(&onnx_case, "Gather", "flat s", "y", "axis=0");
    refused("steps of three", "index 0 of 4");

    onnx_start(18, 4, (int64_t[]){0, 1, 2, 2});  // 2^30 multiplications for 8 KB
    onnx_floats(&onnx_case, "a", 2, (int64_t[]){1024, 1});
    onnx_floats(&onnx_case, "b", 2, (int64_t[]){1, 1024});
    onnx_node(&onnx_case, "MatMul", "a b", "c", "");
    onnx_node(&onnx_case, "MatMul", "c c", "d", "");
    onnx_node(&onnx_case, "Mul", "x d", "y", "");
    refused("too much work", "too much to compute here");

    onnx_start(13, 4, (int64_t[]){0, 1, 2, 2});  // no row to run on
    onnx_floats(&onnx_case, "none", 4, (int64_t[]){0, 1, 2, 2});
    onnx_floats(&onnx_case, "w", 4, (int64_t[]){1, 1, 1, 1});
    onnx_node(&onnx_case, "Conv", "none w", "c", "");
    onnx_node(&onnx_case, "Mul", "x c", "y", "");
    refused("an empty constant", "a constant of 4 axes and 0 values");

    onnx_start(13, 4, (int64_t[]){0, 1, 2, 2});
    onnx_integers(&onnx_case, "k", 1, (int64_t[]){1 << 25});
    onnx_node(&onnx_case, "Relu", "k", "r", "");
    onnx_node(&onnx_case, "Cast", "r", "c", "to=1");
    onnx_node(&onnx_case, "Mul", "x c", "y", "");
    refused("an integer that a float may not hold", "the integer 33554432");

    onnx_start(15, 4, (int64_t[]){0, CHANNELS, SIDE, SIDE});  // of values, not of constants
    for (int i = 0; i < 4; i++)
        onnx_floats(&onnx_case, (const char *[]){"s", "b", "m", "v"}[i], 1, (int64_t[]){CHANNELS});
    onnx_node(&onnx_case, "BatchNormalization", "x s b m v", "y", "training_mode=1");
    refused("training", "exported in training mode");
    onnx_case.set.version = 9;
    onnx_case.nodes[0].n_attribute = 0;
    onnx_case.nodes[0].n_output = 2;
    onnx_case.out[0][1] = "mean";
    refused("training of old", "exported in training mode");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_standardized),
        cmocka_unit_test(functions_of_a_constant),
        cmocka_unit_test(products_and_parts_of_constants),
        cmocka_unit_test(reductions),
        cmocka_unit_test(rows_of_the_batch),
        cmocka_unit_test(what_cannot_be_folded_is_refused),
    };
    test_folder();
    return cmocka_run_group_tests(tests, NULL, onnx_close);
}
