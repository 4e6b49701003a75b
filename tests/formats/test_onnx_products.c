// Matrix products, softmax, reductions and broadcasts, against loops written from the definitions
// of the format, in the file's own order of axes and in double precision.

#include "helper_operators.h"

#include <math.h>

#include "tests/core/helper_folder.h"

static void products(void **state)
{
    (void)state;
    onnx_start(13, 4,
               (int64_t[]){0, 3, 4, 5});  // flattened for a Gemm: the weight's rows are moved
    const float *w = onnx_floats(&onnx_case, "w", 2, (int64_t[]){7, 60});
    const float *b = onnx_floats(&onnx_case, "b", 1, (int64_t[]){7});
    onnx_node(&onnx_case, "Flatten", "x", "a", "");
    onnx_node(&onnx_case, "Gemm", "a w b", "y", "transB=1 alpha~0.5 beta~2");
    for (int i = 0; i < ONNX_ROWS * 7; i++) {
        onnx_expected[i] = 2.0 * (double)b[i % 7];
        onnx_magnitude[i] = fabs(onnx_expected[i]);
        for (int k = 0; k < 60; k++) {
            const double term = 0.5 * (double)onnx_image[i / 7 * 60 + k] *
                                (double)w[i % 7 * 60 + k];
            onnx_expected[i] += term;
            onnx_magnitude[i] += fabs(term);
        }
    }
    onnx_compare("gemm_of_image", ONNX_ROWS * 7, 64.0);
    // x [3, 5, 6] by itself transposed: softmax(x x^T) x, as attention does.
    onnx_start(13, 3, (int64_t[]){0, 5, 6});
    onnx_node(&onnx_case, "Transpose", "x", "t", "perm=0,2,1");
    onnx_node(&onnx_case, "MatMul", "x t", "y", "");
    for (int i = 0; i < ONNX_ROWS * 25; i++) {
        onnx_expected[i] = onnx_magnitude[i] = 0;
        for (int k = 0; k < 6; k++) {
            const double term = (double)onnx_image[i / 25 * 30 + i / 5 % 5 * 6 + k] *
                                (double)onnx_image[i / 25 * 30 + i % 5 * 6 + k];
            onnx_expected[i] += term;
            onnx_magnitude[i] += fabs(term);
        }
    }
    onnx_compare("matmul", ONNX_ROWS * 25, 7.0);
    onnx_start(13, 3, (int64_t[]){0, 5, 6});
    onnx_node(&onnx_case, "Einsum", "x x", "y", "equation:bik,bjk->bij");
    onnx_compare("einsum", ONNX_ROWS * 25, 7.0);
}

static void softmax_and_reductions(void **state)
{
    (void)state;
    onnx_start(13, 4, (int64_t[]){0, 6, 2, 3});  // over the channels, which lie last in memory
    onnx_node(&onnx_case, "Softmax", "x", "y", "axis=1");
    for (int i = 0; i < ONNX_ROWS * 36; i++) {
        double sum = 0;
        for (int c = 0; c < 6; c++)
            sum += exp((double)onnx_image[i / 36 * 36 + c * 6 + i % 6]);
        onnx_expected[i] = exp((double)onnx_image[i]) / sum;
        onnx_magnitude[i] = 1.0;
    }
    onnx_compare("softmax", ONNX_ROWS * 36, 8.0);
    static const struct {
        const char *name, *op, *inputs, *attributes;
        int opset;
    } cases[] = {{"mean_13", "ReduceMean", "x", "axes=-1,2 keepdims=0", 13},
                 {"mean_18", "ReduceMean", "x axes", "keepdims=0", 18},
                 {"sum_13", "ReduceSum", "x axes", "keepdims=0", 13},
                 {"max_13", "ReduceMax", "x", "axes=2,3 keepdims=0", 13}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        onnx_start(cases[k].opset, 4, (int64_t[]){0, 6, 2, 3});
        onnx_integers(&onnx_case, "axes", 2, (int64_t[]){2, -1});
        onnx_node(&onnx_case, cases[k].op, cases[k].inputs, "y", cases[k].attributes);
        for (int i = 0; i < ONNX_ROWS * 6; i++) {
            double sum = 0, most = -INFINITY, size = 0;
            for (int p = 0; p < 6; p++) {
                const double v = (double)onnx_image[i * 6 + p];
                sum += v;
                size += fabs(v);
                most = v > most ? v : most;
            }
            const char kind = cases[k].name[1];  // mEan, sUm, mAx
            onnx_expected[i] = kind == 'e' ? sum / 6 : kind == 'u' ? sum : most;
            onnx_magnitude[i] = size;
        }
        onnx_compare(cases[k].name, ONNX_ROWS * 6, 8.0);
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
        onnx_start(13, 4, (int64_t[]){0, 6, 4, 5});
        float *c = onnx_floats(&onnx_case, "c", cases[k].rank, cases[k].dims);
        for (int i = 0; i < cases[k].modulo; i++)
            c[i] += c[i] < 0 ? -0.5f : 0.5f;
        onnx_node(&onnx_case, cases[k].op, cases[k].inputs, "y", "");
        for (int i = 0; i < ONNX_ROWS * 120; i++) {
            const double x = (double)onnx_image[i];
            const double v = (double)c[i % 120 / cases[k].divide % cases[k].modulo];
            onnx_expected[i] = k == 0   ? x * v
                               : k == 1 ? x / v
                               : k == 2 ? v - x
                               : k == 3 ? fmax(x, v)
                               : x < 0  ? x * v
                                        : x;
            onnx_magnitude[i] = fabs(x) + fabs(v) + fabs(onnx_expected[i]);
        }
        onnx_compare(cases[k].name, ONNX_ROWS * 120, 1.0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products),
        cmocka_unit_test(softmax_and_reductions),
        cmocka_unit_test(broadcasts),
    };
    test_folder();
    return cmocka_run_group_tests(tests, NULL, onnx_close);
}
