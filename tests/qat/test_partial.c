// Networks with one layer quantized, or one layer float, against loops in double precision: two
// dense layers with a ReLU between them.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops/ops.h"
#include "core/plan.h"
#include "core/random.h"
#include "qat/calibrate.h"
#include "qat/partial.h"
#include "qat/quantize.h"

enum { ROWS = 9, IN = 6, MIDDLE = 5, OUT = 3 };
enum { INPUT, HIDDEN, LAST, LAYERS };  // the layers, each with its quantizer

static struct dc_ctx *ctx;
static struct dc_error error;
static struct dc_graph *quantized;
static struct dc_params *params;
static int output;
static float x[ROWS * IN];

static void must(enum dc_status status)
{
    if (status != DC_OK)
        fail_msg("%s", error.message);
}

static void forward(float *y, const struct dc_graph *graph, int node, struct dc_params *values,
                    const struct dc_step *step)
{
    struct dc_plan *plan = NULL;
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = ROWS, .outputs = &node, .output_count = 1};
    must(dc_plan_create(&plan, ctx, graph, &config, &error));
    dc_plan_bind(plan, dc_graph_find(graph, "image"), x);
    must(dc_plan_forward(plan, values, ROWS, step, &error));
    memcpy(y, dc_plan_value(plan, node), sizeof *y * ROWS * OUT);
    dc_plan_free(plan);
}

static int set_up(void **state)
{
    (void)state;
    const struct dc_ctx_config config = {.threads = 1};
    const struct dc_quantize_config quantize = {.observer = DC_OBSERVER_MIN_MAX,
                                                .dense_per_tensor = true};
    const struct dc_dense_attributes hidden = {MIDDLE, true}, last = {OUT, true};
    struct dc_graph *graph = NULL;
    struct dc_random random;
    float y[ROWS * OUT];
    int node;
    if (dc_ctx_create(&ctx, &config, NULL) != DC_OK)
        return 1;
    must(dc_graph_create(&graph, &error));
    must(dc_graph_add_input(graph, "image", DC_F32, &DC_SHAPE(DC_BATCH, IN), &node, &error));
    must(dc_graph_add(graph, "a", &dc_op_dense, &hidden, sizeof hidden, &node, 1, &node, &error));
    must(dc_graph_add(graph, "relu", &dc_op_relu, NULL, 0, &node, 1, &node, &error));
    must(dc_graph_add(graph, "b", &dc_op_dense, &last, sizeof last, &node, 1, &node, &error));
    must(dc_quantize_graph(&quantized, &output, graph, node, &quantize, &error));
    dc_graph_free(graph);
    must(dc_params_create(&params, quantized, 0, false, &error));
    dc_random_start(&random, 41, DC_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < params->count; i++)
        for (int64_t k = 0; !strstr(params->slices[i].name, "quant") && k < params->slices[i].count;
             k++)
            params->value[params->slices[i].offset + k] = dc_random_between(&random, -1.0f, 1.0f);
    for (int i = 0; i < ROWS * IN; i++)
        x[i] = (float)dc_random_normal(&random);
    const struct dc_step step = dc_calibration_step();
    forward(y, quantized, output, params, &step);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dc_params_free(params);
    dc_graph_free(quantized);
    dc_ctx_free(ctx);
    return 0;
}

static const float *slice(const char *name)
{
    const struct dc_slice *found = dc_params_find(params, name);
    assert_non_null(found);
    return params->value + found->offset;
}

// The nearest of 256 values from the least of the range to the greatest, one of them 0.
static double on_grid(double value, const float *range)
{
    const double low = fmin(0.0, (double)range[0]), high = fmax(0.0, (double)range[1]);
    const double step = (double)(float)((high - low) / 255.0);
    const double zero = -128.0 - rint(low / step);
    const double code = rint(value / step) + zero;
    return (fmin(127.0, fmax(-128.0, code)) - zero) * step;
}

static void dense(double *y, const double *v, const char *name, int in, int out, bool rounds)
{
    char weight[32], bias[32];
    snprintf(weight, sizeof weight, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    const float *w = slice(weight);
    double largest = 0.0;
    for (int i = 0; i < in * out; i++)
        largest = fmax(largest, fabs((double)w[i]));
    const double scale = largest / 127.0;
    for (int o = 0; o < out; o++) {
        y[o] = (double)slice(bias)[o];
        for (int i = 0; i < in; i++) {
            const double exact = (double)w[i * out + o];
            y[o] += v[i] * (rounds ? rint(exact / scale) * scale : exact);
        }
    }
}

static void by_hand(double *y, const bool rounds[LAYERS])
{
    for (int r = 0; r < ROWS; r++) {
        double image[IN], middle[MIDDLE];
        for (int i = 0; i < IN; i++)
            image[i] = rounds[INPUT] ? on_grid((double)x[r * IN + i], slice("image.quant.range"))
                                     : (double)x[r * IN + i];
        dense(middle, image, "a", IN, MIDDLE, rounds[HIDDEN]);
        for (int i = 0; i < MIDDLE; i++) {
            middle[i] = fmax(0.0, middle[i]);
            if (rounds[HIDDEN])
                middle[i] = on_grid(middle[i], slice("relu.quant.range"));
        }
        dense(y + r * OUT, middle, "b", MIDDLE, OUT, rounds[LAST]);
        for (int o = 0; rounds[LAST] && o < OUT; o++)
            y[r * OUT + o] = on_grid(y[r * OUT + o], slice("b.quant.range"));
    }
}

// The random values lie clear of ties, so that float32 and double round to the same codes.
static void one_layer_rounds_or_all_but_one(void **state)
{
    (void)state;
    static const char *const begins[LAYERS] = {"image", "a", "b"};
    for (int i = 0; i < 2 * LAYERS; i++) {
        const bool only = i % 2;
        const int layer = dc_graph_find(quantized, begins[i / 2]);
        struct dc_graph *partial = NULL;
        struct dc_params *values = NULL;
        int at, copied;
        float y[ROWS * OUT];
        double wanted[ROWS * OUT];
        bool rounds[LAYERS];
        const struct dc_step step = {0};
        for (int k = 0; k < LAYERS; k++)
            rounds[k] = (k == i / 2) == only;
        must(dc_quantize_partly(&partial, &at, quantized, output, layer, only, &error));
        must(dc_params_create(&values, partial, 0, false, &error));
        must(dc_params_copy_by_name(values, params, &copied, &error));
        assert_int_equal(copied, values->count);
        forward(y, partial, at, values, &step);
        by_hand(wanted, rounds);
        for (int k = 0; k < ROWS * OUT; k++)
            if (!(fabs((double)y[k] - wanted[k]) < 1e-5))
                fail_msg("%s, only %d: %d is %g, not %g", begins[i / 2], only, k, (double)y[k],
                         wanted[k]);
        dc_params_free(values);
        dc_graph_free(partial);
    }
}

static void layers_are_found(void **state)
{
    (void)state;
    int layers[16], begun = 0;
    assert_true(quantized->count <= 16);
    dc_find_layers(layers, quantized);
    for (int i = 0; i < quantized->count; i++) {
        begun += layers[i] == i;
        if (layers[i] == i)
            assert_true(dc_layer_is_quantized(quantized, layers, i));
    }
    assert_int_equal(begun, LAYERS);
    assert_int_equal(layers[dc_graph_find(quantized, "relu.quant")], dc_graph_find(quantized, "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_layer_rounds_or_all_but_one),
        cmocka_unit_test(layers_are_found),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
