// What is done to weights before they are quantized: the network must compute what it computed.
// What is done after: means and variances over the samples, taken anew in two passes in double, are
// what they should be. Powers of two against a search over exponents.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/graph.h"
#include "core/ops/ops.h"
#include "core/plan.h"
#include "core/random.h"
#include "qat/calibrate.h"
#include "qat/correct.h"
#include "qat/fake_quantize.h"
#include "qat/fold.h"
#include "qat/quantize.h"
#include "tests/qat/helper_graphs.h"

static struct dc_step run_step;

enum { ROWS = 6, IN = 9 * 8 * 3, OUT = 5 };

// conv (bias) - bn - relu - depthwise - bn - relu6 - conv - relu - conv - bn + relu6 - gap - dense
static struct dc_graph *network(int *output)
{
    struct dc_graph *g = NULL;
    int image;
    const struct dc_batch_norm_attributes norm = {1e-3f, 0.1f};
    const struct dc_dense_attributes dense = {OUT, true};
    test_must(dc_graph_create(&g, &test_error));
    test_must(
        dc_graph_add_input(g, "image", DC_F32, &DC_SHAPE(DC_BATCH, 9, 8, 3), &image, &test_error));
    int x = test_add(g, "bn", &dc_op_batch_norm, &norm,
                     test_add_conv(g, "conv", image, 8, 3, 1, 1, true), -1);
    x = test_add(g, "relu", &dc_op_relu, NULL, x, -1);
    x = test_add(g, "bn2", &dc_op_batch_norm, &norm,
                 test_add_conv(g, "depthwise", x, 8, 3, 1, 8, false), -1);
    const int r = test_add(g, "relu6", &dc_op_relu6, NULL, x, -1);
    x = test_add(g, "relu_again", &dc_op_relu, NULL, test_add_conv(g, "plain", r, 7, 3, 1, 1, true),
                 -1);
    x = test_add(g, "bn3", &dc_op_batch_norm, &norm, test_add_conv(g, "last", x, 8, 3, 1, 1, false),
                 -1);
    x = test_add(g, "gap", &dc_op_global_average_pool, NULL,
                 test_add(g, "sum", &dc_op_add, NULL, x, r), -1);
    *output = test_add(g, "logits", &dc_op_dense, &dense, x, -1);
    return g;
}

static void fill(float *x, int64_t count, uint64_t id, float low, float high)
{
    struct dc_random random;
    dc_random_start(&random, 77, DC_PURPOSE_TEST, 0, id);
    for (int64_t i = 0; i < count; i++)
        x[i] = dc_random_between(&random, low, high);
}

static struct dc_params *random_params_of(const struct dc_graph *g, bool odd)
{
    struct dc_params *p = NULL;
    test_must(dc_params_create(&p, g, 0, false, &test_error));
    for (int i = 0; i < p->count; i++) {
        const struct dc_slice *s = &p->slices[i];
        const bool positive = strstr(s->name, "variance") || strstr(s->name, "gamma");
        fill(p->value + s->offset, s->count, (uint64_t)i, positive ? 0.3f : -0.5f,
             positive ? 2.0f : 0.5f);
    }
    if (odd) {
        test_values(p, "bn.gamma")[3] = -0.7f;
        test_values(p, "bn.gamma")[6] = 0.0f;
    }
    return p;
}

static struct dc_params *random_params(const struct dc_graph *g)
{
    return random_params_of(g, true);
}

// y: [ROWS, values of the node].
static void run(float *y, const struct dc_graph *g, struct dc_params *p, int node, const float *x)
{
    const size_t count = (size_t)(ROWS * dc_shape_row(&g->nodes[node].shape));
    struct dc_plan *plan = NULL;
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = ROWS, .outputs = &node, .output_count = 1};
    test_must(dc_plan_create(&plan, test_ctx, g, &config, &test_error));
    dc_plan_bind(plan, 0, x);
    test_must(dc_plan_forward(plan, p, ROWS, &run_step, &test_error));
    memcpy(y, dc_plan_value(plan, node), sizeof *y * count);
    dc_plan_free(plan);
}

// Sums of some 70 products a layer, five layers deep, each of magnitude up to `size`.
static void same_function(const float *a, const float *b)
{
    double size = 0.0;
    for (int i = 0; i < ROWS * OUT; i++)
        size = fmax(size, fabs((double)a[i]));
    for (int i = 0; i < ROWS * OUT; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= 5 * 70 * 1.2e-7 * size))
            fail_msg("output %d: %.9g, not %.9g", i, (double)b[i], (double)a[i]);
    assert_true(size > 0.1);
}

static void folding_keeps_the_function(void **state)
{
    (void)state;
    int output, folded;
    struct dc_graph *g = network(&output);
    struct dc_params *p = random_params(g);
    float x[ROWS * IN], before[ROWS * OUT], after[ROWS * OUT];
    fill(x, ROWS * IN, 900, -1.0f, 1.0f);
    run(before, g, p, output, x);
    const float plain = test_values(p, "plain.weight")[5];
    dc_fold_batch_norms(&folded, g, p);
    assert_int_equal(folded, 3);
    run(after, g, p, output, x);
    same_function(before, after);
    assert_true(plain == test_values(p, "plain.weight")[5]);
    for (int i = 0; i < p->count; i++) {
        const struct dc_slice *s = &p->slices[i];
        assert_true(s->frozen == (strstr(s->name, ".gamma") != NULL));
        for (int64_t k = 0; k < s->count; k++) {
            const float v = p->value[s->offset + k];
            const bool one = strstr(s->name, ".gamma");
            if (one || strstr(s->name, ".mean") || !strcmp(s->name, "conv.bias"))
                assert_true(v == (one ? 1.0f : 0.0f));
        }
    }
    dc_fold_batch_norms(&folded, g, p);  // once more
    run(after, g, p, output, x);
    same_function(before, after);
    dc_params_free(p);
    dc_graph_free(g);
}

// What two layers read is not one layer's, and stays.
static void shared_layers_stay(void **state)
{
    (void)state;
    struct dc_graph *g = NULL;
    int image, folded;
    const struct dc_batch_norm_attributes norm = {1e-3f, 0.1f};
    test_must(dc_graph_create(&g, &test_error));
    test_must(
        dc_graph_add_input(g, "image", DC_F32, &DC_SHAPE(DC_BATCH, 9, 8, 3), &image, &test_error));
    const int conv = test_add_conv(g, "conv", image, 4, 3, 1, 1, false);
    test_add(g, "sum", &dc_op_add, NULL, test_add(g, "bn", &dc_op_batch_norm, &norm, conv, -1),
             conv);
    struct dc_params *p = NULL;
    test_must(dc_params_create(&p, g, 0, false, &test_error));
    dc_fold_batch_norms(&folded, g, p);
    assert_int_equal(folded, 0);
    dc_params_free(p);
    dc_graph_free(g);
}

// conv - relu - max_pool - flatten - dense - relu - dense: channels of a flattened map.
static struct dc_graph *flat_network(int *output)
{
    struct dc_graph *g = NULL;
    int image;
    const struct dc_pool_attributes pool = {
        .window = {.kernel = {2, 2}, .stride = {2, 2}, .dilation = {1, 1}}};
    const struct dc_dense_attributes hidden = {11, true}, dense = {OUT, false};
    test_must(dc_graph_create(&g, &test_error));
    test_must(
        dc_graph_add_input(g, "image", DC_F32, &DC_SHAPE(DC_BATCH, 9, 8, 3), &image, &test_error));
    int x = test_add(g, "relu", &dc_op_relu, NULL,
                     test_add_conv(g, "conv", image, 6, 3, 1, 1, true), -1);
    x = test_add(g, "flat", &dc_op_flatten, NULL,
                 test_add(g, "pool", &dc_op_max_pool, &pool, x, -1), -1);
    x = test_add(g, "relu2", &dc_op_relu, NULL, test_add(g, "hidden", &dc_op_dense, &hidden, x, -1),
                 -1);
    *output = test_add(g, "logits", &dc_op_dense, &dense, x, -1);
    return g;
}

// Largest magnitudes of the weights that make channel c, and of those that read it; depthwise: of
// weights [taps, 1, channels].
static void magnitudes(double *makes, double *reads, struct dc_params *p, const char *first,
                       const char *second, int64_t channels, int64_t c, bool depthwise)
{
    const struct dc_slice *a = dc_params_find(p, first), *b = dc_params_find(p, second);
    const int64_t filters = b->shape.dims[b->shape.rank - 1];
    *makes = *reads = 0.0;
    for (int64_t t = 0; t < a->count / channels; t++)
        *makes = fmax(*makes, fabs((double)p->value[a->offset + t * channels + c]));
    for (int64_t t = 0; t < b->count / filters; t++)
        for (int64_t f = 0; f < filters; f++)
            if (depthwise ? f == c : t % channels == c)
                *reads = fmax(*reads, fabs((double)p->value[b->offset + t * filters + f]));
}

static void equalization_keeps_the_function(void **state)
{
    (void)state;
    static const struct {
        bool flat;
        const char *first, *second;
        int channels;
        bool depthwise;
    } pairs[] = {
        {false, "conv.weight", "depthwise.weight", 8, true},
        {false, "plain.weight", "last.weight", 7, false},
        {true, "conv.weight", "hidden.weight", 6, false},
        {true, "hidden.weight", "logits.weight", 11, false},
    };
    for (int flat = 0; flat < 2; flat++) {
        int output, folded, found;
        struct dc_graph *g = flat ? flat_network(&output) : network(&output);
        struct dc_params *p = random_params_of(g, !flat);
        double before_makes[4][11], before_reads[4][11];
        float x[ROWS * IN], before[ROWS * OUT], after[ROWS * OUT];
        fill(x, ROWS * IN, 901, -1.0f, 1.0f);
        run(before, g, p, output, x);
        dc_fold_batch_norms(&folded, g, p);
        for (int k = 2 * flat; k < 2 * flat + 2; k++)
            for (int c = 0; c < pairs[k].channels; c++)
                magnitudes(&before_makes[k][c], &before_reads[k][c], p, pairs[k].first,
                           pairs[k].second, pairs[k].channels, c, pairs[k].depthwise);
        dc_equalize(&found, g, p, 1);
        assert_int_equal(found, 2);
        run(after, g, p, output, x);
        same_function(before, after);
        for (int k = 2 * flat; k < 2 * flat + 2; k++) {
            for (int c = 0; c < pairs[k].channels; c++) {
                double makes, reads;
                magnitudes(&makes, &reads, p, pairs[k].first, pairs[k].second, pairs[k].channels, c,
                           pairs[k].depthwise);
                // The paper: both become sqrt(r1 r2). `hidden` goes on to its own second pair.
                const double wanted = sqrt(before_makes[k][c] * before_reads[k][c]);
                const bool dead = before_makes[k][c] == 0.0;
                if (k == 3)
                    assert_true(fabs(makes - reads) <= 1e-6 * makes);
                else if (k != 2)
                    assert_true(dead ? reads == before_reads[k][c]
                                     : fabs(makes - wanted) <= 1e-6 * wanted &&
                                           fabs(reads - wanted) <= 1e-6 * wanted);
            }
        }
        dc_params_free(p);
        dc_graph_free(g);
    }
}

// Mean and unbiased variance of each channel of a node, in two passes.
static void moments_of(double *mean, double *variance, const struct dc_graph *g,
                       struct dc_params *p, const char *name, const float *x)
{
    static float values[ROWS * 9 * 8 * 8];
    const int node = dc_graph_find(g, name);
    const struct dc_shape *shape = &g->nodes[node].shape;
    const int64_t channels = shape->dims[shape->rank - 1];
    const int64_t count = ROWS * dc_shape_row(shape) / channels;
    run(values, g, p, node, x);
    for (int64_t c = 0; c < channels; c++) {
        mean[c] = variance[c] = 0.0;
        for (int64_t i = 0; i < count; i++)
            mean[c] += (double)values[i * channels + c] / (double)count;
        for (int64_t i = 0; i < count; i++)
            variance[c] += pow((double)values[i * channels + c] - mean[c], 2.0) /
                           (double)(count - 1);
    }
}

// The network in 3-bit weights and 4-bit activations, calibrated on x.
static struct dc_graph *quantized(struct dc_params **p, const float *x)
{
    int output, at;
    struct dc_graph *g = network(&output), *q = NULL;
    const struct dc_quantize_config config = {.weight_bits = 3, .activation_bits = 4};
    struct dc_calibration *calibration = NULL;
    test_must(dc_quantize_graph(&q, &at, g, output, &config, &test_error));
    *p = random_params(q);
    test_must(dc_calibration_create(&calibration, test_ctx, q, *p, 0, ROWS, &test_error));
    test_must(dc_calibration_add(calibration, x, ROWS, &test_error));
    test_must(dc_calibration_end_pass(calibration, &test_error));
    dc_calibration_free(calibration);
    dc_graph_free(g);
    return q;
}

static void carry_out(const struct dc_graph *q, struct dc_params *p, const float *x,
                      enum dc_correction_kind kind, int passes)
{
    struct dc_correction *c = NULL;
    test_must(dc_correction_create(&c, test_ctx, q, p, 0, 4, kind, &test_error));
    assert_int_equal(dc_correction_passes(c), passes);
    for (int pass = 0; pass < passes; pass++) {
        test_must(dc_correction_add(c, x, 4, &test_error));  // in two parts
        test_must(dc_correction_add(c, x + 4 * IN, ROWS - 4, &test_error));
        test_must(dc_correction_end_pass(c, &test_error));
    }
    dc_correction_free(c);
}

// Behind the corrected biases every layer has the means of the float network.
static void corrected_biases_give_float_means(void **state)
{
    (void)state;
    static const char *const ends[] = {"bn", "bn2", "plain", "bn3", "logits"};
    double wanted[5][8], mean[5][8], variance[8], worst = 0.0;
    float x[ROWS * IN];
    fill(x, ROWS * IN, 902, -1.0f, 1.0f);
    struct dc_params *p = NULL;
    struct dc_graph *q = quantized(&p, x);
    const float low = test_values(p, "relu.quant.range")[0];
    for (int k = 0; k < 5; k++) {
        run_step = (struct dc_step){.quantizers_off = true, .freeze_observers = true};
        moments_of(wanted[k], variance, q, p, ends[k], x);
        run_step = (struct dc_step){0};
        moments_of(mean[k], variance, q, p, ends[k], x);
        for (int c = 0; c < 5; c++)
            worst = fmax(worst, fabs(mean[k][c] - wanted[k][c]));
    }
    assert_true(worst > 0.01);  // there is something to correct
    carry_out(q, p, x, DC_CORRECT_BIASES, 6);
    for (int k = 0; k < 5; k++) {
        moments_of(mean[k], variance, q, p, ends[k], x);
        for (int c = 0; c < 5; c++)
            if (!(fabs(mean[k][c] - wanted[k][c]) < 1e-5))  // values up to 10, in floats
                fail_msg("%s, channel %d: %.9g, not %.9g", ends[k], c, mean[k][c], wanted[k][c]);
    }
    assert_true(low == test_values(p, "relu.quant.range")[0]);
    dc_params_free(p);
    dc_graph_free(q);
}

static void statistics_are_those_under_quantization(void **state)
{
    (void)state;
    static const char *const layers[][2] = {{"conv", "bn"}, {"depthwise", "bn2"}, {"last", "bn3"}};
    float x[ROWS * IN];
    fill(x, ROWS * IN, 903, -1.0f, 1.0f);
    struct dc_params *p = NULL;
    struct dc_graph *q = quantized(&p, x);
    run_step = (struct dc_step){0};
    carry_out(q, p, x, DC_CORRECT_STATISTICS, 3);
    for (int k = 0; k < 3; k++) {
        char name[32];
        double mean[8], variance[8];
        moments_of(mean, variance, q, p, layers[k][0], x);
        snprintf(name, sizeof name, "%s.mean", layers[k][1]);
        const float *running = test_values(p, name);
        snprintf(name, sizeof name, "%s.variance", layers[k][1]);
        const float *spread = test_values(p, name);
        for (int c = 0; c < 8; c++) {
            assert_true(fabs((double)running[c] - mean[c]) <= 1e-6 * (1.0 + fabs(mean[c])));
            assert_true(fabs((double)spread[c] - variance[c]) <= 1e-6 * (1.0 + variance[c]));
        }
    }
    dc_params_free(p);
    dc_graph_free(q);
}

static void powers_of_two_are_the_nearest(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 5, DC_PURPOSE_TEST, 0, 0);
    for (int trial = 0; trial < 20000; trial++) {
        double step = (double)(float)ldexp(1.0 + dc_random_between(&random, 0.0f, 1.0f),
                                           trial % 40 - 23);
        if (trial % 50 == 0)
            step = ldexp(1.0, trial % 40 - 23);
        double above = 0.0, near = 0.0, least = INFINITY;
        for (int e = 20; e >= -23; e--) {
            const double power = ldexp(1.0, e);
            above = power >= step ? power : above;
            const double off = fabs(log2(power / step));
            near = off < least ? power : near;
            least = off < least ? off : least;
        }
        assert_true((double)dc_power_of_two_above((float)step) == above);
        if (fabs(least - 0.5) > 1e-6)
            assert_true((double)dc_power_of_two_near((float)step) == near);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folding_keeps_the_function),
        cmocka_unit_test(shared_layers_stay),
        cmocka_unit_test(equalization_keeps_the_function),
        cmocka_unit_test(corrected_biases_give_float_means),
        cmocka_unit_test(statistics_are_those_under_quantization),
        cmocka_unit_test(powers_of_two_are_the_nearest),
    };
    return cmocka_run_group_tests(tests, test_set_up, test_tear_down);
}
