// Functions of one value, by themselves and as the patterns that exporters write for them, against
// their definitions in double precision.

#include "helper_operators.h"

#include <math.h>

#include "tests/core/helper_folder.h"

// Functions of one value.

static double leaky(double x)
{
    return x < 0 ? 0.2 * x : x;
}
static double elu(double x)
{
    return x > 0 ? x : 0.5 * expm1(x);
}
static double softplus(double x)
{
    return log1p(exp(x));
}
static double mish(double x)
{
    return x * tanh(log1p(exp(x)));
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
    {"Elu", "x", "alpha~0.5", 13, elu, false},
    {"Softplus", "x", "", 13, softplus, false},
    {"Mish", "x", "", 18, mish, false},
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
        onnx_start(p->opset, 4, (int64_t[]){0, 3, 4, 5});
        onnx_floats(&onnx_case, "low", 0, NULL)[0] = -0.25f;
        onnx_floats(&onnx_case, "high", 0, NULL)[0] = 0.5f;
        onnx_floats(&onnx_case, "two", 0, NULL)[0] = 2.0f;
        onnx_floats(&onnx_case, "one", 0, NULL)[0] = 1.0f;
        onnx_node(&onnx_case, p->op, p->inputs, "y", p->attributes);
        for (int i = 0; i < ONNX_ROWS * 60; i++) {
            onnx_image[i] = p->positive ? 0.1f + fabsf(onnx_image[i]) : 3.0f * onnx_image[i];
            onnx_expected[i] = p->function((double)onnx_image[i]);
            onnx_magnitude[i] = fabs(onnx_expected[i]) + 1.0;
        }
        onnx_compare(p->op, ONNX_ROWS * 60, 8.0);
    }
}

static void patterns_are_one_function(void **state)
{
    (void)state;
    onnx_start(13, 2, (int64_t[]){0, 40});
    onnx_floats(&onnx_case, "root", 0, NULL)[0] = 1.41421356f;
    onnx_floats(&onnx_case, "one", 0, NULL)[0] = 1.0f;
    onnx_floats(&onnx_case, "half", 0, NULL)[0] = 0.5f;
    onnx_node(&onnx_case, "Div", "x root", "a", "");
    onnx_node(&onnx_case, "Erf", "a", "b", "");
    onnx_node(&onnx_case, "Add", "b one", "c", "");
    onnx_node(&onnx_case, "Mul", "x c", "d", "");
    onnx_node(&onnx_case, "Mul", "half d", "y", "");
    for (int i = 0; i < ONNX_ROWS * 40; i++) {
        onnx_expected[i] = gelu((double)onnx_image[i]);
        onnx_magnitude[i] = fabs(onnx_expected[i]) + 1.0;
    }
    onnx_compare("gelu_pattern", ONNX_ROWS * 40, 8.0);
    struct dc_imported *onnx;
    struct dc_error error;
    onnx_save(&onnx_case, test_path("model.onnx"), "y");
    assert_int_equal(dc_onnx_read(&onnx, test_path("model.onnx"), NULL, &error), DC_OK);
    assert_int_equal(onnx->graph->count, 2);  // the input and one gelu
    dc_imported_free(onnx);
    onnx_start(13, 2, (int64_t[]){0, 40});
    onnx_node(&onnx_case, "Sigmoid", "x", "a", "");
    onnx_node(&onnx_case, "Mul", "a x", "y", "");
    for (int i = 0; i < ONNX_ROWS * 40; i++)
        onnx_expected[i] = silu((double)onnx_image[i]);
    onnx_compare("silu_pattern", ONNX_ROWS * 40, 8.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_of_one_value),
        cmocka_unit_test(patterns_are_one_function),
    };
    test_folder();
    return cmocka_run_group_tests(tests, NULL, onnx_close);
}
