// The comparison of integers with the float network they came from, against its definition: float
// values by loops in double precision, codes of one layer alone by a model that has no other.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops/ops.h"
#include "core/plan.h"
#include "core/random.h"
#include "qat/calibrate.h"
#include "qat/compare.h"
#include "qat/engine.h"
#include "qat/lower.h"
#include "qat/profile.h"
#include "qat/quantize.h"

enum { ROWS = 11, PIXELS = 12, IN = 3, MIDDLE = 5, OUT = 4 };  // 1x1 kernels on 3x4 pixels

static struct dc_ctx *ctx;
static struct dc_error error;
static struct dc_graph *graph;
static struct dc_params *params;
static struct dc_imodel *model;
static float x[ROWS * PIXELS * IN];

static void must(enum dc_status status)
{
    if (status != DC_OK)
        fail_msg("%s", error.message);
}

static int add_conv(const char *name, int from, int filters)
{
    const struct dc_conv_attributes a = {
        .filters = filters,
        .window = {.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}},
        .groups = 1,
        .bias = true};
    int node = -1;
    must(dc_graph_add(graph, name, &dc_op_conv, &a, sizeof a, &from, 1, &node, &error));
    return node;
}

// image -> conv + batch_norm + relu -> out, calibrated on half the range that x has.
static int set_up(void **state)
{
    (void)state;
    const struct dc_ctx_config config = {.threads = 2};
    const struct dc_batch_norm_attributes norm = {1e-3f, 0.1f};
    const struct dc_quantize_config quantize = {.observer = DC_OBSERVER_MIN_MAX};
    struct dc_random random;
    int node = -1, at = -1, copied = 0;
    if (dc_ctx_create(&ctx, &config, NULL) != DC_OK)
        return 1;
    must(dc_graph_create(&graph, &error));
    must(dc_graph_add_input(graph, "image", DC_F32, &DC_SHAPE(DC_BATCH, 3, 4, IN), &node, &error));
    const int conv = add_conv("conv", node, MIDDLE);
    must(dc_graph_add(graph, "bn", &dc_op_batch_norm, &norm, sizeof norm, &conv, 1, &node, &error));
    const int bn = node;
    must(dc_graph_add(graph, "relu", &dc_op_relu, NULL, 0, &bn, 1, &node, &error));
    const int out = add_conv("out", node, OUT);
    must(dc_params_create(&params, graph, 0, false, &error));
    dc_random_start(&random, 31, DC_PURPOSE_TEST, 0, 0);
    for (int64_t i = 0; i < params->total; i++)
        params->value[i] = dc_random_between(&random, -1.0f, 1.0f);
    struct dc_slice *variance = dc_params_find(params, "bn.variance");
    for (int64_t i = 0; i < variance->count; i++)
        params->value[variance->offset + i] = dc_random_between(&random, 0.5f, 1.5f);
    for (int i = 0; i < ROWS * PIXELS * IN; i++)
        x[i] = (float)dc_random_normal(&random);

    struct dc_graph *quantized = NULL;
    struct dc_params *calibrated = NULL;
    struct dc_plan *plan = NULL;
    struct dc_lower_report report;
    float half[ROWS * PIXELS * IN];
    for (int i = 0; i < ROWS * PIXELS * IN; i++)
        half[i] = 0.5f * x[i];
    must(dc_quantize_graph(&quantized, &at, graph, out, &quantize, &error));
    must(dc_params_create(&calibrated, quantized, 0, false, &error));
    must(dc_params_copy_by_name(calibrated, params, &copied, &error));
    const struct dc_plan_config plan_config = {
        .mode = DC_INFERENCE, .max_rows = ROWS, .outputs = &at, .output_count = 1};
    must(dc_plan_create(&plan, ctx, quantized, &plan_config, &error));
    dc_plan_bind(plan, 0, half);
    const struct dc_step step = dc_calibration_step();
    must(dc_plan_forward(plan, calibrated, ROWS, &step, &error));
    dc_plan_free(plan);
    must(dc_lower(&model, quantized, calibrated, "image", "out", "m", "", dc_profile_find("tflm"),
                  &report, &error));
    dc_params_free(calibrated);
    dc_graph_free(quantized);
    assert_int_equal(model->count, 3);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dc_imodel_free(model);
    dc_params_free(params);
    dc_graph_free(graph);
    dc_ctx_free(ctx);
    return 0;
}

static const float *slice(const char *name)
{
    const struct dc_slice *found = dc_params_find(params, name);
    assert_non_null(found);
    return params->value + found->offset;
}

// The value of layer `l` at every pixel of every row: [ROWS][PIXELS][channels].
static void float_value(double *value, int l)
{
    const float *w = slice("conv.weight"), *b = slice("conv.bias");
    const float *gamma = slice("bn.gamma"), *beta = slice("bn.beta");
    const float *mean = slice("bn.mean"), *variance = slice("bn.variance");
    const float *w2 = slice("out.weight"), *b2 = slice("out.bias");
    for (int p = 0; p < ROWS * PIXELS; p++) {
        double middle[MIDDLE];
        for (int m = 0; m < MIDDLE; m++) {
            double sum = (double)b[m];
            for (int i = 0; i < IN; i++)
                sum += (double)x[p * IN + i] * (double)w[i * MIDDLE + m];
            sum = (sum - (double)mean[m]) / sqrt((double)variance[m] + 1e-3) * (double)gamma[m] +
                  (double)beta[m];
            middle[m] = sum < 0.0 ? 0.0 : sum;
        }
        for (int c = 0; l == 0 && c < IN; c++)
            value[p * IN + c] = (double)x[p * IN + c];
        for (int m = 0; l == 1 && m < MIDDLE; m++)
            value[p * MIDDLE + m] = middle[m];
        for (int o = 0; l == 2 && o < OUT; o++) {
            value[p * OUT + o] = (double)b2[o];
            for (int m = 0; m < MIDDLE; m++)
                value[p * OUT + o] += middle[m] * (double)w2[m * OUT + o];
        }
    }
}

static void codes_of(int8_t *codes, const double *value, const struct dc_ilayer *l, int count)
{
    for (int i = 0; i < count; i++) {
        const double code = round(value[i] / (double)l->scale) + l->zero_point;
        codes[i] = (int8_t)fmin(127.0, fmax(-128.0, code));
    }
}

static double sqnr_of(const double *value, const int8_t *codes, const struct dc_ilayer *l,
                      int count)
{
    double signal = 0.0, noise = 0.0;
    for (int i = 0; i < count; i++) {
        const double y = (double)l->scale * (codes[i] - l->zero_point);
        signal += value[i] * value[i];
        noise += (y - value[i]) * (y - value[i]);
    }
    return 10.0 * log10(signal / noise);
}

static struct dc_comparison *compared(void)
{
    struct dc_comparison *c = NULL;
    must(dc_comparison_create(&c, ctx, model, graph, params, 0, &error));
    must(dc_comparison_add(c, x, 3, &error));  // in parts, and more than one pass of the plan
    must(dc_comparison_add(c, x + (ptrdiff_t)3 * PIXELS * IN, ROWS - 3, &error));
    return c;
}

// A float value differs from its double by less than 1e-6 of the signal, some 40 dB below the
// noise: 0.05 dB.
static void figures_are_those_of_the_definition(void **state)
{
    (void)state;
    static double value[ROWS * PIXELS * MIDDLE];
    int8_t codes[3][ROWS * PIXELS * MIDDLE], alone[ROWS * PIXELS * MIDDLE];
    const int channels[3] = {IN, MIDDLE, OUT};
    struct dc_comparison *c = compared();
    struct dc_engine *engine = NULL;
    struct dc_itrace *trace = NULL;
    int64_t largest[3] = {0};
    must(dc_engine_create(&engine, ctx, model, &error));
    must(dc_itrace_create(&trace, model, &error));
    float_value(value, 0);
    codes_of(alone, value, &model->layers[0], ROWS * PIXELS * IN);
    for (int row = 0; row < ROWS; row++) {
        dc_engine_trace(engine, trace, alone + (ptrdiff_t)row * PIXELS * IN);
        for (int l = 0; l < 3; l++) {
            const int size = PIXELS * channels[l];
            memcpy(codes[l] + (ptrdiff_t)row * size, trace->outputs[l], (size_t)size);
            for (int i = 0; l > 0 && i < size; i++)
                largest[l] = llabs(trace->accumulators[l][i]) > largest[l]
                                 ? llabs(trace->accumulators[l][i])
                                 : largest[l];
        }
    }
    for (int l = 0; l < 3; l++) {
        const struct dc_ilayer *layer = &model->layers[l];
        const struct dc_layer_comparison have = dc_comparison_layer(c, l);
        const int count = ROWS * PIXELS * channels[l];
        float_value(value, l);
        int clipped = 0, saturated = 0;
        for (int i = 0; i < count; i++) {
            const double low = (double)layer->scale * (-128.5 - layer->zero_point);
            const double high = (double)layer->scale * (127.5 - layer->zero_point);
            clipped += value[i] < low || value[i] > high;
            saturated += codes[l][i] == 127 || (codes[l][i] == -128 && l != 1);
        }
        assert_true(clipped > 0 && saturated > 0);  // calibrated on half the range
        assert_true(fabs(have.sqnr - sqnr_of(value, codes[l], layer, count)) < 0.05);
        assert_true(have.clipped == (double)clipped / count);
        assert_true(have.saturated == (double)saturated / count);
        assert_int_equal(have.largest, largest[l]);
        // bins: by hand from the value's place between the ends of the grid, 4 codes each
        int64_t bins[DC_COMPARISON_BINS] = {0}, outside = 0;
        for (int i = 0; i < count; i++) {
            const double code = value[i] / (double)layer->scale + layer->zero_point;
            const double bin = floor((code + 128.5) / 4.0) + 16.0;
            bins[(int)fmin(fmax(bin, 0.0), 95.0)]++;
        }
        assert_memory_equal(dc_comparison_bins(c, l), bins, sizeof bins);
        for (int b = 0; b < DC_COMPARISON_BINS; b++)
            outside += b < 16 || b >= 80 ? bins[b] : 0;
        assert_int_equal(outside, clipped);
    }
    dc_itrace_free(trace);
    dc_engine_free(engine);
    dc_comparison_free(c);
}

// What the first layers compute alone is what they compute; the last one reads rounded values of
// the float network, where the engine reads what the layer before it made of its own.
static void a_layer_alone_reads_the_float_network(void **state)
{
    (void)state;
    static double value[ROWS * PIXELS * MIDDLE];
    int8_t codes[ROWS * PIXELS * MIDDLE], out[ROWS * PIXELS * OUT];
    struct dc_comparison *c = compared();
    struct dc_imodel *single = NULL;
    struct dc_engine *engine = NULL;
    int at = -1;
    assert_true(dc_comparison_layer(c, 0).sqnr == dc_comparison_layer(c, 0).sqnr_alone);
    assert_true(dc_comparison_layer(c, 1).sqnr == dc_comparison_layer(c, 1).sqnr_alone);
    must(dc_imodel_create(&single, "single", "", model->profile, &error));
    struct dc_ilayer input = model->layers[0], last = model->layers[2];
    input.channels = MIDDLE;
    input.scale = model->layers[1].scale;
    input.zero_point = model->layers[1].zero_point;
    last.inputs[0] = 0;
    must(dc_imodel_add(single, &input, &at, &error));
    must(dc_imodel_add(single, &last, &at, &error));
    must(dc_engine_create(&engine, ctx, single, &error));
    float_value(value, 1);
    codes_of(codes, value, &model->layers[1], ROWS * PIXELS * MIDDLE);
    dc_engine_run(engine, out, codes, ROWS);
    float_value(value, 2);
    const double want = sqnr_of(value, out, &model->layers[2], ROWS * PIXELS * OUT);
    const struct dc_layer_comparison have = dc_comparison_layer(c, 2);
    assert_true(fabs(have.sqnr_alone - want) < 0.05);
    assert_true(fabs(have.sqnr_alone - have.sqnr) > 0.2);  // else this says nothing
    dc_engine_free(engine);
    dc_imodel_free(single);
    dc_comparison_free(c);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct dc_comparison *c = NULL;
    struct dc_graph *other = NULL;
    int node = -1;
    must(dc_graph_create(&other, &error));
    must(dc_graph_add_input(other, "image", DC_F32, &DC_SHAPE(DC_BATCH, 3, 4, IN), &node, &error));
    assert_int_equal(dc_comparison_create(&c, ctx, model, other, params, 0, &error), DC_ERR_CONFIG);
    assert_non_null(strstr(error.message, "'conv'"));
    assert_null(c);
    dc_graph_free(other);
    c = compared();
    const float kept = x[5];
    x[5] = NAN;
    assert_int_equal(dc_comparison_add(c, x, 1, &error), DC_ERR_NUMERIC);
    x[5] = kept;
    dc_comparison_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_those_of_the_definition),
        cmocka_unit_test(a_layer_alone_reads_the_float_network),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
