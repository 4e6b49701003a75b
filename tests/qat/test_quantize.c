// Fake quantization, the quantizing pass and lowering: where quantizers stand, what they compute,
// and that the integer engine gives what the fake-quantized float network promised.

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/kernels/kernels.h"
#include "core/plan.h"
#include "core/random.h"
#include "qat/calibrate.h"
#include "qat/engine.h"
#include "qat/fold.h"
#include "qat/lower.h"
#include "qat/profile.h"
#include "qat/quantize.h"

enum { ROWS = 24 };

static struct dc_ctx *ctx;
static struct dc_error error;

static int set_up(void **state)
{
    (void)state;
    const struct dc_ctx_config config = {.threads = 2};
    return dc_ctx_create(&ctx, &config, NULL) != DC_OK;
}

static int tear_down(void **state)
{
    (void)state;
    dc_ctx_free(ctx);
    return 0;
}

static void must(enum dc_status status)
{
    if (status != DC_OK)
        fail_msg("%s", error.message);
}

static int add(struct dc_graph *g, const char *name, const struct dc_op *op, const void *a, int x,
               int y)
{
    const int inputs[2] = {x, y};
    int node = -1;
    must(dc_graph_add(g, name, op, a, op->attribute_bytes, inputs, y < 0 ? 1 : 2, &node, &error));
    return node;
}

static int add_conv(struct dc_graph *g, const char *name, int x, int filters, int kernel,
                    int stride, int groups, bool bias)
{
    const struct dc_conv_attributes a = {.filters = filters,
                                         .kernel_h = kernel,
                                         .kernel_w = kernel,
                                         .stride_h = stride,
                                         .stride_w = stride,
                                         .dilation_h = 1,
                                         .dilation_w = 1,
                                         .groups = groups,
                                         .pad_top = kernel / 2,
                                         .pad_bottom = kernel / 2,
                                         .pad_left = kernel / 2,
                                         .pad_right = kernel / 2,
                                         .bias = bias};
    return add(g, name, &dc_op_conv, &a, x, -1);
}

static int add_norm(struct dc_graph *g, const char *name, int x)
{
    const struct dc_batch_norm_attributes a = {1e-3f, 0.1f};
    return add(g, name, &dc_op_batch_norm, &a, x, -1);
}

static struct dc_graph *start(int height, int width, int channels)
{
    struct dc_graph *g = NULL;
    int node;
    must(dc_graph_create(&g, &error));
    must(dc_graph_add_input(g, "image", DC_F32, &DC_SHAPE(DC_BATCH, height, width, channels), &node,
                            &error));
    return g;
}

// conv-bn-relu, depthwise-bn-relu6, pointwise, add-relu, max_pool, gap, dropout, dense
static struct dc_graph *network(int *output)
{
    struct dc_graph *g = start(12, 10, 3);
    const struct dc_dropout_attributes rate = {0.5f};
    const struct dc_pool_attributes pool = {
        .kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2};
    const struct dc_dense_attributes dense = {5, true};
    int x = add_conv(g, "conv", 0, 8, 3, 1, 1, false);
    x = add(g, "relu", &dc_op_relu, NULL, add_norm(g, "bn", x), -1);
    int y = add_conv(g, "depthwise", x, 8, 3, 1, 8, false);
    y = add(g, "relu6", &dc_op_relu6, NULL, add_norm(g, "bn2", y), -1);
    y = add_conv(g, "pointwise", y, 8, 1, 1, 1, true);
    y = add(g, "sum_relu", &dc_op_relu, NULL, add(g, "sum", &dc_op_add, NULL, x, y), -1);
    y = add(g, "pool", &dc_op_max_pool, &pool, y, -1);
    y = add(g, "gap", &dc_op_global_average_pool, NULL, y, -1);
    y = add(g, "drop", &dc_op_dropout, &rate, y, -1);
    *output = add(g, "logits", &dc_op_dense, &dense, y, -1);
    return g;
}

static float *values_of(struct dc_params *p, const char *name)
{
    struct dc_slice *slice = dc_params_find(p, name);
    if (!slice)
        fail_msg("no slice '%s'", name);
    return p->value + slice->offset;
}

static struct dc_params *random_params(const struct dc_graph *g)
{
    struct dc_params *p = NULL;
    struct dc_random random;
    must(dc_params_create(&p, g, 0, false, &error));
    dc_random_start(&random, 21, DC_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < p->count; i++) {
        const struct dc_slice *s = &p->slices[i];
        for (int64_t k = 0; k < s->count; k++) {
            float *v = &p->value[s->offset + k];
            if (s->role == DC_ROLE_WEIGHT)
                *v = (float)dc_random_normal(&random) * 0.35f;
            else if (strstr(s->name, "variance") || strstr(s->name, "gamma"))
                *v = dc_random_between(&random, 0.5f, 1.5f);
            else if (s->role != DC_ROLE_OBSERVER)
                *v = dc_random_between(&random, -0.4f, 0.4f);
        }
    }
    return p;
}

static void fill(float *x, int64_t count, uint64_t id)
{
    struct dc_random random;
    dc_random_start(&random, 22, DC_PURPOSE_TEST, 0, id);
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)dc_random_normal(&random);
}

// Forward in inference; the value of `node` is copied to y where it is given.
static void run(const struct dc_graph *g, struct dc_params *p, int node, const float *x,
                struct dc_step step, float *y)
{
    struct dc_plan *plan = NULL;
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = ROWS, .outputs = &node, .output_count = 1};
    must(dc_plan_create(&plan, ctx, g, &config, &error));
    dc_plan_bind(plan, 0, x);
    must(dc_plan_forward(plan, p, ROWS, &step, &error));
    if (y)
        memcpy(y, dc_plan_value(plan, node),
               sizeof *y * ROWS * (size_t)dc_shape_row(&g->nodes[node].shape));
    dc_plan_free(plan);
}

static void expect_quantizers(const struct dc_graph *g, const char *const *wanted)
{
    int count = 0;
    for (int i = 0; i < g->count; i++)
        count += g->nodes[i].op == &dc_op_fake_quantize;
    int listed = 0;
    for (; wanted[listed]; listed++) {
        if (dc_graph_find(g, wanted[listed]) < 0)
            fail_msg("no quantizer '%s'", wanted[listed]);
    }
    assert_int_equal(count, listed);
}

static void quantizers_stand_where_the_rules_say(void **state)
{
    (void)state;
    int output, at;
    struct dc_graph *g = network(&output), *q = NULL;
    const struct dc_quantize_config config = {.observer = DC_OBSERVER_MIN_MAX};
    must(dc_quantize_graph(&q, &at, g, output, &config, &error));
    expect_quantizers(q, (const char *const[]){"image.quant", "relu.quant", "relu6.quant",
                                               "pointwise.quant", "sum_relu.quant", "gap.quant",
                                               "logits.quant", NULL});
    assert_string_equal(q->nodes[at].name, "logits.quant");
    assert_ptr_equal(q->nodes[dc_graph_find(q, "conv")].op, &dc_op_quantized_conv);
    // The add reads both quantized values, the pool the sum's.
    const struct dc_node *sum = &q->nodes[dc_graph_find(q, "sum")];
    assert_string_equal(q->nodes[sum->inputs[0]].name, "relu.quant");
    assert_string_equal(q->nodes[sum->inputs[1]].name, "pointwise.quant");
    assert_string_equal(q->nodes[q->nodes[dc_graph_find(q, "pool")].inputs[0]].name,
                        "sum_relu.quant");
    // Every float slice has its namesake, and nothing else but ranges is new.
    struct dc_params *from = random_params(g), *to = NULL;
    int copied = 0;
    must(dc_params_create(&to, q, 0, false, &error));
    must(dc_params_copy_by_name(to, from, &copied, &error));
    assert_int_equal(copied, from->count);
    assert_int_equal(to->count, from->count + 7);
    dc_params_free(from);
    dc_params_free(to);
    dc_graph_free(g);
    dc_graph_free(q);
}

// Over a whole map: a mean with a scale of its own. Over a part of it, or with a ReLU that it takes
// in: a pool, which has its input's scale.
static void average_over_a_map_is_a_mean(void **state)
{
    (void)state;
    for (int trial = 0; trial < 3; trial++) {
        const int kernel = trial == 1 ? 3 : 6;
        struct dc_graph *g = start(6, 6, 2), *q = NULL;
        const struct dc_pool_attributes pool = {
            .kernel_h = kernel, .kernel_w = kernel, .stride_h = kernel, .stride_w = kernel};
        int x = add(g, "pool", &dc_op_average_pool, &pool, add_conv(g, "a", 0, 4, 3, 1, 1, true),
                    -1);
        if (trial == 2)
            x = add(g, "relu", &dc_op_relu, NULL, x, -1);
        const int output = add_conv(g, "out", x, 3, 1, 1, 1, true);
        const struct dc_quantize_config config = {.observer = DC_OBSERVER_MIN_MAX};
        int at;
        must(dc_quantize_graph(&q, &at, g, output, &config, &error));
        expect_quantizers(
            q, trial == 0 ? (const char *const[]){"image.quant", "a.quant", "pool.quant",
                                                  "out.quant", NULL}
                          : (const char *const[]){"image.quant", "a.quant", "out.quant", NULL});
        struct dc_params *p = random_params(q);
        float images[ROWS * 6 * 6 * 2];
        fill(images, ROWS * 72, 2);
        run(q, p, at, images, dc_calibration_step(), NULL);
        struct dc_imodel *m = NULL;
        struct dc_lower_report report;
        must(dc_lower(&m, q, p, "image", "out", "pool", "", dc_profile_find("tflm"), &report,
                      &error));
        assert_int_equal(m->layers[2].op, trial == 0 ? DC_I_MEAN : DC_I_AVERAGE_POOL);
        assert_int_equal(m->layers[2].scale == m->layers[1].scale, trial > 0);
        dc_imodel_free(m);
        dc_params_free(p);
        dc_graph_free(g);
        dc_graph_free(q);
    }
}

// Sigmoid and tanh have the grids that runtimes demand, whatever was observed; the integers are the
// simulated codes but for sums near ties.
static void functions_are_tables(void **state)
{
    (void)state;
    enum { OUT = 3 * 36 };
    static const struct dc_quantize_config configs[] = {
        {.observer = DC_OBSERVER_MIN_MAX},
        {.symmetric = true},
        {.activation_scaling = DC_STEP_LEARNED},
    };
    for (size_t c = 0; c < sizeof configs / sizeof configs[0]; c++) {
        struct dc_graph *g = start(6, 6, 2), *q = NULL;
        int at;
        int y = add(g, "gate", &dc_op_sigmoid, NULL, add_conv(g, "a", 0, 4, 3, 1, 1, true), -1);
        y = add(g, "bent", &dc_op_tanh, NULL, add_conv(g, "b", y, 4, 3, 1, 1, true), -1);
        y = add(g, "swish", &dc_op_h_swish, NULL, add_conv(g, "c", y, 4, 3, 1, 1, true), -1);
        const int output = add_conv(g, "out", y, 3, 1, 1, 1, true);
        must(dc_quantize_graph(&q, &at, g, output, &configs[c], &error));
        expect_quantizers(q, (const char *const[]){"image.quant", "a.quant", "gate.quant",
                                                   "b.quant", "bent.quant", "c.quant",
                                                   "swish.quant", "out.quant", NULL});
        struct dc_params *p = random_params(q);
        static float images[ROWS * 72], simulated[ROWS * OUT];
        static int8_t codes[ROWS * 72], got[ROWS * OUT];
        fill(images, ROWS * 72, 2);
        run(q, p, at, images, dc_calibration_step(), NULL);
        must(dc_calibrate_scales(q, p, &error));
        const struct dc_step step = {0};
        run(q, p, at, images, step, simulated);
        struct dc_imodel *m = NULL;
        struct dc_engine *engine = NULL;
        struct dc_lower_report report;
        must(dc_lower(&m, q, p, "image", "out", "tables", "", dc_profile_find("onnxruntime"),
                      &report, &error));
        assert_int_equal(m->count, 8);
        assert_int_equal(m->layers[2].op, DC_I_TABLE);
        assert_true(m->layers[2].scale == 1.0f / 256 && m->layers[2].zero_point == -128);
        assert_true(m->layers[4].scale == 1.0f / 128 && m->layers[4].zero_point == 0);
        assert_int_equal(m->layers[6].function, DC_F_H_SWISH);
        must(dc_imodel_quantize_input(codes, m, images, ROWS * 72, &error));
        must(dc_engine_create(&engine, ctx, m, &error));
        dc_engine_run(engine, got, codes, ROWS);
        int equal = 0;
        for (int i = 0; i < ROWS * OUT; i++) {
            const int promised = (int)lrintf(simulated[i] / dc_imodel_output(m)->scale) +
                                 dc_imodel_output(m)->zero_point;
            equal += promised == got[i];
            assert_true(abs(promised - got[i]) <= 2);
        }
        assert_true(equal >= ROWS * OUT * 9 / 10);
        dc_engine_free(engine);
        dc_imodel_free(m);
        dc_params_free(p);
        dc_graph_free(g);
        dc_graph_free(q);
    }
}

static void concat_inputs_share_one_quantizer(void **state)
{
    (void)state;
    int at;
    struct dc_graph *g = start(6, 6, 2), *q = NULL;
    const struct dc_pool_attributes pool = {.kernel_h = 3,
                                            .kernel_w = 3,
                                            .stride_h = 1,
                                            .stride_w = 1,
                                            .pad_top = 1,
                                            .pad_bottom = 1,
                                            .pad_left = 1,
                                            .pad_right = 1};
    const struct dc_concat_attributes last = {-1};
    const int a = add(g, "relu", &dc_op_relu, NULL, add_conv(g, "a", 0, 4, 3, 1, 1, true), -1);
    const int b = add(g, "pool", &dc_op_average_pool, &pool, add_conv(g, "b", 0, 3, 1, 1, 1, true),
                      -1);
    const int both = add(g, "both", &dc_op_concat, &last, a, b);
    const int output = add_conv(g, "out", both, 4, 1, 1, 1, true);
    const struct dc_quantize_config config = {.observer = DC_OBSERVER_MIN_MAX};
    must(dc_quantize_graph(&q, &at, g, output, &config, &error));
    expect_quantizers(q, (const char *const[]){"image.quant", "both.quant", "out.quant", NULL});
    struct dc_params *p = random_params(q);
    float x[ROWS * 6 * 6 * 2];
    fill(x, ROWS * 72, 1);
    run(q, p, at, x, dc_calibration_step(), NULL);
    struct dc_imodel *m = NULL;
    struct dc_lower_report report;
    must(
        dc_lower(&m, q, p, "image", "out", "concat", "", dc_profile_find("tflm"), &report, &error));
    assert_int_equal(report.layers, 6);
    assert_true(m->layers[1].scale == m->layers[2].scale);
    assert_int_equal(m->layers[1].clamp_low, m->layers[1].zero_point);
    dc_imodel_free(m);
    dc_params_free(p);
    dc_graph_free(g);
    dc_graph_free(q);
}

static void what_has_no_integers_is_refused(void **state)
{
    (void)state;
    int at;
    struct dc_graph *q = NULL;
    const struct dc_quantize_config config = {.observer = DC_OBSERVER_MIN_MAX};
    for (int trial = 0; trial < 3; trial++) {
        struct dc_graph *g = start(4, 4, 2);
        const int conv = add_conv(g, "conv", 0, 2, 1, 1, 1, false);
        int output;
        if (trial == 0)
            output = add(g, "bad", &dc_op_softmax, &(struct dc_softmax_attributes){.axis = 1}, conv,
                         -1);
        else if (trial == 1)
            output = add_norm(g, "bad", 0);
        else
            output = add(g, "end", &dc_op_add, NULL, conv,
                         add(g, "bad", &dc_op_relu, NULL, conv, -1));
        assert_int_equal(dc_quantize_graph(&q, &at, g, output, &config, &error), DC_ERR_CONFIG);
        assert_non_null(strstr(error.message, "'bad'"));
        dc_graph_free(g);
    }
}

// Independent of the library's formula: brute force over the 256 codes for the nearest value.
static void rounding_takes_the_nearest_code(void **state)
{
    (void)state;
    const float ranges[][2] = {{-1.0f, 2.0f}, {0.0f, 6.0f}, {-3.0f, -1.0f}, {0.5f, 0.7f}, {0, 0}};
    for (size_t r = 0; r < sizeof ranges / sizeof ranges[0]; r++) {
        const struct dc_grid grid = dc_grid_of_range(ranges[r][0], ranges[r][1], 8);
        assert_true(grid.zero_point >= -128.0f && grid.zero_point <= 127.0f);
        assert_true(grid.step >= DC_STEP_FLOOR);
        assert_true(grid.zero_point == floorf(grid.zero_point));
        // The grid covers the range with 0 in it, within half a step at either end.
        const double low = fmin(0.0, (double)ranges[r][0]), high = fmax(0.0, (double)ranges[r][1]);
        const double first = (double)grid.step * (-128.0 - (double)grid.zero_point);
        const double last = (double)grid.step * (127.0 - (double)grid.zero_point);
        assert_true(fabs(first - low) <= 0.501 * (double)grid.step);
        assert_true(high == 0.0 || fabs(last - high) <= 0.501 * (double)grid.step);
        float x[1000], y[1000];
        float one[1000], pass[1000];
        for (int i = 0; i < 1000; i++)
            x[i] = ((float)i - 500.0f) * 0.011f;
        x[0] = INFINITY;
        x[1] = -INFINITY;
        x[2] = NAN;
        for (int i = 0; i < 1000; i++)
            one[i] = 1.0f;
        struct dc_tail tail = {.channels = 1, .period = dc_tail_period(1)};
        dc_tail_begin(&tail);
        dc_tail_quantize(&tail, grid);
        const struct dc_kernels *kernels = dc_kernels_for(dc_isa_detected());
        kernels->tail(y, x, &tail, 1000);
        kernels->tail_gradient(pass, one, x, &tail, 1000, false);
        assert_true(isnan(y[2]) && pass[2] == 1.0f);
        for (int i = 0; i < 1000; i++) {
            double best = INFINITY, lowest = 0.0, highest = 0.0;
            for (int code = -128; code <= 127 && i != 2; code++) {
                const double value = (double)grid.step * (code - (double)grid.zero_point);
                const double distance = fabs(value - fmax(-1e9, fmin(1e9, (double)x[i])));
                best = fmin(best, distance);
                lowest = fmin(lowest, value);
                highest = fmax(highest, value);
            }
            if (i == 2)
                continue;
            const double slack = 1e-5 * (fabs((double)x[i]) < 1e9 ? fabs((double)x[i]) : 1.0);
            const double distance = fabs((double)y[i] - fmax(-1e9, fmin(1e9, (double)x[i])));
            assert_true(distance <= best + slack + 1e-9 || isinf(x[i]));
            const double half = 0.5 * (double)grid.step;
            const bool inside = (double)x[i] > lowest - half * 0.98 &&
                                (double)x[i] < highest + half * 0.98;
            const bool outside = (double)x[i] < lowest - half * 1.02 ||
                                 (double)x[i] > highest + half * 1.02;
            if (inside || outside)
                assert_true(pass[i] == (inside ? 1.0f : 0.0f));
        }
    }
}

static void observers_follow_their_rules(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct dc_graph *g = start(1, 1, 4);
        const struct dc_fake_quantize_attributes a = {.observer = kind ? DC_OBSERVER_MIN_MAX
                                                                       : DC_OBSERVER_MOVING_AVERAGE,
                                                      .constant = 0.25f,
                                                      .bits = 8};
        const int node = add(g, "q", &dc_op_fake_quantize, &a, 0, -1);
        struct dc_params *p = NULL;
        must(dc_params_create(&p, g, 0, false, &error));
        float x[ROWS * 4] = {0};
        struct dc_plan *plan = NULL;
        const struct dc_plan_config config = {
            .mode = DC_INFERENCE, .max_rows = ROWS, .outputs = &node, .output_count = 1};
        must(dc_plan_create(&plan, ctx, g, &config, &error));
        dc_plan_bind(plan, 0, x);
        struct dc_step step = {0};
        assert_int_equal(dc_plan_forward(plan, p, ROWS, &step, &error), DC_ERR_NUMERIC);
        assert_non_null(strstr(error.message, "calibrate"));
        assert_int_equal(dc_observers_check(g, p, &error), DC_ERR_NUMERIC);
        step = dc_calibration_step();
        x[7] = 4.0f;
        x[90] = -2.0f;
        must(dc_plan_forward(plan, p, ROWS, &step, &error));
        const float *range = values_of(p, "q.range");
        assert_true(range[0] == -2.0f && range[1] == 4.0f && range[2] == 1.0f);
        assert_memory_equal(dc_plan_value(plan, node), x, sizeof x);  // passed through
        x[7] = 8.0f;
        x[90] = -1.0f;
        must(dc_plan_forward(plan, p, ROWS, &step, &error));
        assert_true(range[0] == (kind ? -2.0f : -1.75f) && range[1] == (kind ? 8.0f : 5.0f));
        must(dc_observers_check(g, p, &error));
        x[3] = NAN;
        assert_int_equal(dc_plan_forward(plan, p, ROWS, &step, &error), DC_ERR_NUMERIC);
        assert_non_null(strstr(error.message, "not finite"));
        step.freeze_observers = true;
        must(dc_plan_forward(plan, p, ROWS, &step, &error));
        dc_observers_reset(p);
        assert_true(range[2] == 0.0f);
        dc_plan_free(plan);
        dc_params_free(p);
        dc_graph_free(g);
    }
}

// Scales are powers of two: so is every multiplier, that of a mean but for its count.
static void shifts_alone(const struct dc_imodel *m)
{
    for (int i = 0; i < m->count; i++) {
        const struct dc_ilayer *l = &m->layers[i];
        int exponent;
        assert_true(frexpf(l->scale, &exponent) == 0.5f);
        for (int k = 0; k < l->rescales && l->op != DC_I_MEAN; k++)
            assert_true((l->multipliers[k] & (l->multipliers[k] - 1)) == 0);
    }
}

// Sums of kernels fit the accumulator, biases included, and one that was not limited would not.
static void sums_fit(const struct dc_imodel *m, int bits)
{
    for (int i = 0; i < m->count; i++) {
        const struct dc_ilayer *l = &m->layers[i];
        if (!dc_ilayer_has_weights(l))
            continue;
        assert_true(l->accumulator_low >= -(INT64_C(1) << (bits - 1)));
        assert_true(l->accumulator_high < INT64_C(1) << (bits - 1));
    }
}

// No zero points, and the input's step is its larger end over 127.
static void zero_is_code_zero(const struct dc_imodel *m, const struct dc_params *p, bool powers)
{
    for (int i = 0; i < m->count; i++)
        assert_int_equal(m->layers[i].zero_point, 0);
    for (int i = 0; i < p->count && !powers; i++)
        if (strcmp(p->slices[i].name, "image.quant.range") == 0) {
            const float *range = p->value + p->slices[i].offset;
            const double larger = fmax(fabs((double)range[0]), fabs((double)range[1]));
            assert_true(fabs((double)m->layers[0].scale / (larger / 127.0) - 1.0) < 1e-6);
            return;
        }
    assert_true(powers);
}

// Codes of the engine against the fake-quantized network's values: at most one code apart in logits
// on nearly all, since each layer's rounding of a value near a tie may differ by one.
static void compare_with_engine(const struct dc_quantize_config *config)
{
    int output, at;
    struct dc_graph *g = network(&output), *q = NULL;
    must(dc_quantize_graph(&q, &at, g, output, config, &error));
    struct dc_params *p = random_params(q);
    values_of(p, "bn.gamma")[2] = -0.8f;  // negates codes
    values_of(p, "bn.gamma")[5] = 0.0f;   // floors the scale
    int folded = 0;
    if (config->folded)
        dc_fold_batch_norms(&folded, q, p);
    assert_int_equal(folded, config->folded ? 2 : 0);
    const bool coarse = config->weight_bits || config->activation_bits ||
                        (config->power_of_two && config->symmetric);
    // Integer biases are rounded to steps that grow with those of the weights; training does not
    // know that, so that a network of few bits is compared without them.
    for (int i = 0; i < p->count && coarse; i++) {
        const struct dc_slice *s = &p->slices[i];
        if (strstr(s->name, ".beta") || strstr(s->name, ".mean") || strstr(s->name, ".bias"))
            memset(p->value + s->offset, 0, sizeof(float) * (size_t)s->count);
    }
    enum { IN = 12 * 10 * 3, OUT = 5 };
    static float x[ROWS * IN], y[ROWS * OUT];
    static int8_t codes[ROWS * IN], got[ROWS * OUT];
    fill(x, ROWS * IN, 2);
    run(q, p, at, x, dc_calibration_step(), NULL);
    must(dc_calibrate_scales(q, p, &error));
    for (int i = 0; i < p->count; i++) {  // as training would: smaller, and one negative
        const struct dc_slice *s = &p->slices[i];
        if (strstr(s->name, ".step") || strstr(s->name, ".clip"))
            p->value[s->offset] *= i % 2 ? 0.8f : -0.9f;
    }
    run(q, p, at, x, (struct dc_step){0}, y);
    for (const struct dc_profile *const *profile = dc_profile_table(); *profile; profile++) {
        struct dc_imodel *m = NULL;
        struct dc_engine *engine = NULL;
        struct dc_lower_report report;
        if ((*profile)->power_of_two && !config->power_of_two) {
            assert_int_equal(
                dc_lower(&m, q, p, "image", "logits", "net", "a test", *profile, &report, &error),
                DC_ERR_DATA);
            assert_non_null(strstr(error.message, "no power of two"));
            continue;
        }
        must(dc_lower(&m, q, p, "image", "logits", "net", "a test", *profile, &report, &error));
        assert_int_equal(report.layers, 8);  // image conv depthwise pointwise sum pool gap logits
        assert_true(config->folded || report.floored_channels == 1);
        if (config->power_of_two)
            shifts_alone(m);
        if (config->accumulator_bits)
            sums_fit(m, config->accumulator_bits);
        if (config->symmetric)
            zero_is_code_zero(m, p, config->power_of_two);
        assert_int_equal(report.raised_channels, config->accumulator_bits ? 1 : 0);  // the floored
        must(dc_imodel_quantize_input(codes, m, x, ROWS * IN, &error));
        must(dc_engine_create(&engine, ctx, m, &error));
        dc_engine_run(engine, got, codes, ROWS);
        const struct dc_ilayer *last = dc_imodel_output(m);
        int equal = 0, most = 0;
        for (int i = 0; i < ROWS * OUT; i++) {
            const int promised = (int)lrintf(y[i] / last->scale) + last->zero_point;
            const int apart = abs(promised - got[i]);
            equal += apart == 0;
            most = apart > most ? apart : most;
        }
        // Sums of few bits are often ties, which double rounding rounds twice; of shifts without
        // zero points most are, and only those that round a half to even are as in training: then
        // every code is.
        const bool even = strstr(dc_profile_rounding(*profile, DC_I_ADD), "even");
        const bool shifts = config->power_of_two && config->symmetric;
        const bool twice = (coarse && strcmp((*profile)->rounding, "double") == 0) ||
                           (shifts && !even);
        if (shifts && even)
            assert_int_equal(equal, ROWS * OUT);
        if (!twice && (most > (coarse ? 1 : 3) || equal < ROWS * OUT * 7 / 10))
            fail_msg("%s: %d of %d codes equal, %d apart", (*profile)->name, equal, ROWS * OUT,
                     most);
        dc_engine_free(engine);
        dc_imodel_free(m);
    }
    dc_params_free(p);
    dc_graph_free(g);
    dc_graph_free(q);
}

static void engine_gives_what_training_promised(void **state)
{
    (void)state;
    static const struct dc_quantize_config configs[] = {
        {.observer = DC_OBSERVER_MIN_MAX},
        {.weight_bits = 4, .weight_scaling = DC_SCALE_KEPT, .weight_observer = DC_OBSERVER_MSE},
        {.weight_bits = 2, .activation_bits = 4, .first_last_bits = 8},
        {.activation_bits = 4, .weight_scaling = DC_SCALE_LEARNED, .dense_per_tensor = true},
        {.weight_bits = 4,
         .activation_bits = 4,
         .first_last_bits = 8,
         .weight_scaling = DC_SCALE_LEARNED,
         .activation_scaling = DC_STEP_LEARNED},
        {.activation_scaling = DC_STEP_CLIPPED, .observer = DC_OBSERVER_MIN_MAX},
        {.power_of_two = true, .folded = true, .dense_per_tensor = true},
        {.symmetric = true, .observer = DC_OBSERVER_MIN_MAX},
        {.accumulator_bits = 18, .observer = DC_OBSERVER_MIN_MAX},
        {.symmetric = true, .activation_scaling = DC_STEP_LEARNED},
        {.symmetric = true, .power_of_two = true, .folded = true, .dense_per_tensor = true},
        {.power_of_two = true,
         .folded = true,
         .conv_per_tensor = true,
         .weight_scaling = DC_SCALE_LEARNED,
         .activation_scaling = DC_STEP_LEARNED},
    };
    for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++)
        compare_with_engine(&configs[i]);
}

// Bits of every layer of network(), and codes that use them.
static void bits_stand_where_the_rules_say(void **state)
{
    (void)state;
    static const struct dc_layer_bits mixed[] = {{"depthwise", 2, 0}, {"relu", 0, 6}};
    static const struct {
        struct dc_quantize_config config;
        int bits[8], weights[8];  // image conv depthwise pointwise sum pool gap logits
    } cases[] = {
        {{.weight_bits = 4}, {8, 8, 8, 8, 8, 8, 8, 8}, {0, 4, 4, 4, 0, 0, 0, 4}},
        {{.weight_bits = 2, .activation_bits = 4, .first_last_bits = 8},
         {8, 4, 4, 4, 4, 4, 8, 8},
         {0, 8, 2, 2, 0, 0, 0, 8}},
        {{.weight_bits = 4, .activation_bits = 4, .layers = mixed, .layer_count = 2},
         {8, 6, 4, 4, 4, 4, 4, 4},
         {0, 4, 2, 4, 0, 0, 0, 4}},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        int output, at;
        struct dc_graph *g = network(&output), *q = NULL;
        struct dc_imodel *m = NULL;
        struct dc_lower_report report;
        static float x[ROWS * 12 * 10 * 3];
        must(dc_quantize_graph(&q, &at, g, output, &cases[k].config, &error));
        struct dc_params *p = random_params(q);
        fill(x, ROWS * 12 * 10 * 3, 2);
        run(q, p, at, x, dc_calibration_step(), NULL);
        must(dc_lower(&m, q, p, "image", "logits", "net", "", dc_profile_find("tflm"), &report,
                      &error));
        assert_int_equal(m->count, 8);
        for (int i = 0; i < m->count; i++) {
            const struct dc_ilayer *l = &m->layers[i];
            int most = 0;
            for (int64_t w = 0; w < l->weight_count; w++)
                most = abs(l->weights[w]) > most ? abs(l->weights[w]) : most;
            assert_int_equal(l->bits, cases[k].bits[i]);
            assert_int_equal(l->weight_bits, cases[k].weights[i]);
            assert_true(l->clamp_low >= -(1 << (l->bits - 1)));
            assert_true(l->clamp_high < 1 << (l->bits - 1));
            assert_int_equal(most, l->weight_count ? (1 << (l->weight_bits - 1)) - 1 : 0);
        }
        dc_imodel_free(m);
        dc_params_free(p);
        dc_graph_free(g);
        dc_graph_free(q);
    }
}

static void bits_that_fit_no_layer_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct dc_layer_bits layer;
        const char *says;
    } cases[] = {
        {{"nosuch", 4, 0}, "no layer 'nosuch'"},
        {{"sum", 4, 0}, "no weights"},
        {{"pool", 0, 4}, "no activations of its own"},
        {{"image", 0, 4}, "no activations of its own"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        int output, at;
        struct dc_graph *g = network(&output), *q = NULL;
        const struct dc_quantize_config config = {.layers = &cases[k].layer, .layer_count = 1};
        assert_int_equal(dc_quantize_graph(&q, &at, g, output, &config, &error), DC_ERR_CONFIG);
        assert_non_null(strstr(error.message, cases[k].says));
        dc_graph_free(g);
    }
    int output, at;
    struct dc_graph *g = network(&output), *q = NULL;
    const struct dc_quantize_config shared = {.conv_per_tensor = true};
    assert_int_equal(dc_quantize_graph(&q, &at, g, output, &shared, &error), DC_ERR_CONFIG);
    assert_non_null(strstr(error.message, "'conv'"));
    dc_graph_free(g);
}

// Zero kernels, zero, negative and tiny gamma, and biases far outside int32, against reals.
static void odd_channels_are_defined(void **state)
{
    (void)state;
    int at;
    struct dc_graph *g = start(1, 1, 4), *q = NULL;
    const int conv = add_conv(g, "conv", 0, 6, 1, 1, 1, false);
    const int output = add_norm(g, "bn", conv);
    const struct dc_quantize_config config = {.observer = DC_OBSERVER_MIN_MAX};
    must(dc_quantize_graph(&q, &at, g, output, &config, &error));
    struct dc_params *p = random_params(q);
    float *w = values_of(p, "conv.weight"), *gamma = values_of(p, "bn.gamma");
    for (int t = 0; t < 4; t++)
        w[t * 6 + 0] = 0.0f;  // a zero range
    gamma[1] = 0.0f;
    gamma[2] = -1.0f;
    gamma[3] = 1e-9f;
    for (int t = 0; t < 4; t++)
        w[t * 6 + 4] *= 1e-5f;
    values_of(p, "bn.beta")[4] = 3e6f;  // far beyond int32 at this scale
    float x[ROWS * 4], y[ROWS * 6];
    fill(x, ROWS * 4, 3);
    run(q, p, at, x, dc_calibration_step(), y);
    float *range = values_of(p, "bn.quant.range");
    range[0] = -4.0f;  // channel 4 saturates, the others stay visible
    range[1] = 4.0f;
    run(q, p, at, x, (struct dc_step){0}, y);
    struct dc_imodel *m = NULL;
    struct dc_engine *engine = NULL;
    struct dc_lower_report report;
    must(dc_lower(&m, q, p, "image", "bn", "odd", "", dc_profile_find("tflm"), &report, &error));
    const struct dc_ilayer *l = dc_imodel_output(m);
    assert_int_equal(report.raised_channels, 1);
    assert_true(report.floored_channels >= 2);
    for (int t = 0; t < 4; t++) {
        assert_int_equal(l->weights[0 * 4 + t], 0);
        assert_int_equal(l->weights[1 * 4 + t], 0);
        assert_int_equal(l->weights[3 * 4 + t], 0);
        const float largest = fmaxf(fmaxf(fabsf(w[2]), fabsf(w[8])),
                                    fmaxf(fabsf(w[14]), fabsf(w[20])));
        assert_int_equal(l->weights[2 * 4 + t], -(int)lrintf(w[t * 6 + 2] / largest * 127.0f));
    }
    assert_true(l->biases[4] > 1 << 30);
    int8_t codes[ROWS * 4], got[ROWS * 6];
    must(dc_imodel_quantize_input(codes, m, x, ROWS * 4, &error));
    must(dc_engine_create(&engine, ctx, m, &error));
    dc_engine_run(engine, got, codes, ROWS);
    for (int i = 0; i < ROWS * 6; i++) {
        const int promised = (int)lrintf(y[i] / l->scale) + l->zero_point;
        assert_true(abs(promised - got[i]) <= 1);
    }
    dc_engine_free(engine);
    dc_imodel_free(m);
    dc_params_free(p);
    dc_graph_free(g);
    dc_graph_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantizers_stand_where_the_rules_say),
        cmocka_unit_test(average_over_a_map_is_a_mean),
        cmocka_unit_test(functions_are_tables),
        cmocka_unit_test(concat_inputs_share_one_quantizer),
        cmocka_unit_test(what_has_no_integers_is_refused),
        cmocka_unit_test(rounding_takes_the_nearest_code),
        cmocka_unit_test(observers_follow_their_rules),
        cmocka_unit_test(engine_gives_what_training_promised),
        cmocka_unit_test(odd_channels_are_defined),
        cmocka_unit_test(bits_stand_where_the_rules_say),
        cmocka_unit_test(bits_that_fit_no_layer_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
