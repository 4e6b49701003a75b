// AdaRound against all roundings there are, against cases whose best is known, and against the
// errors of the layers' own outputs.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/plan.h"
#include "core/random.h"
#include "qat/adaround.h"
#include "qat/calibrate.h"
#include "qat/quantize.h"

enum { TAPS = 9, HIGH = 7 };

static const struct dc_adaround_config config = {.iterations = 1000,
                                                 .learning_rate = 0.01,
                                                 .regularization = 0.01,
                                                 .warm_up = 0.2,
                                                 .beta_start = 20,
                                                 .beta_end = 2,
                                                 .positions = 1000000};
static struct dc_error error;

static void must(enum dc_status status)
{
    if (status != DC_OK)
        fail_msg("%s", error.message);
}

static double loss(const double *w, const double *q, const double *gram)
{
    double sum = 0.0;
    for (int i = 0; i < TAPS * TAPS; i++)
        sum += gram[i] * (q[i / TAPS] - w[i / TAPS]) * (q[i % TAPS] - w[i % TAPS]);
    return sum;
}

// Moments of 40 correlated inputs, positive as behind a ReLU.
static void draw_gram(double *gram, struct dc_random *random)
{
    memset(gram, 0, sizeof *gram * TAPS * TAPS);
    for (int n = 0; n < 40; n++) {
        double x[TAPS];
        const double common = fabs(dc_random_normal(random));
        for (int t = 0; t < TAPS; t++)
            x[t] = fmax(0.0, common + 0.5 * dc_random_normal(random));
        for (int i = 0; i < TAPS * TAPS; i++)
            gram[i] += x[i / TAPS] * x[i % TAPS] / 40.0;
    }
}

// Never worse than rounding to nearest, every code a neighbour of its weight; over 20 filters most
// of what the best of all 512 roundings gains.
static void comes_near_the_best_of_all_roundings(void **state)
{
    (void)state;
    struct dc_random random;
    double gained = 0.0, possible = 0.0;
    dc_random_start(&random, 51, DC_PURPOSE_TEST, 0, 0);
    for (int f = 0; f < 20; f++) {
        double gram[TAPS * TAPS], w[TAPS], q[TAPS], ours[TAPS], work[5 * TAPS], best = INFINITY;
        const double scale = 0.25;
        draw_gram(gram, &random);
        for (int t = 0; t < TAPS; t++) {
            w[t] = 0.6 * dc_random_normal(&random);
            ours[t] = w[t];
            q[t] = fmin(fmax(nearbyint(w[t] / scale), -HIGH), HIGH) * scale;
        }
        const double nearest = loss(w, q, gram);
        for (int bits = 0; bits < 1 << TAPS; bits++) {
            for (int t = 0; t < TAPS; t++)
                q[t] = fmin(fmax(floor(w[t] / scale) + (bits >> t & 1), -HIGH), HIGH) * scale;
            best = fmin(best, loss(w, q, gram));
        }
        dc_adaround_filter(ours, scale, HIGH, gram, work, TAPS, &config, NULL);
        for (int t = 0; t < TAPS; t++) {
            const double code = ours[t] / scale;
            assert_true(code == nearbyint(code) && fabs(code) <= HIGH);
            assert_true(fabs(code - w[t] / scale) < 1.0 || fabs(code) == HIGH);
        }
        assert_true(loss(w, ours, gram) <= nearest * (1.0 + 1e-12));
        gained += nearest - loss(w, ours, gram);
        possible += nearest - best;
    }
    assert_true(possible > 0.0 && gained >= 0.5 * possible);
}

// Inputs that know nothing of each other: nearest is best. Inputs that are all one: what counts is
// the sum of the errors, and nine weights of 0.4 steps round up about four times.
static void known_cases(void **state)
{
    (void)state;
    double gram[TAPS * TAPS] = {0}, w[TAPS], work[5 * TAPS], sum = 0.0;
    for (int t = 0; t < TAPS; t++) {
        gram[t * TAPS + t] = 1.0 + t;
        w[t] = 0.3 * t - 1.13;
    }
    dc_adaround_filter(w, 0.25, HIGH, gram, work, TAPS, &config, NULL);
    for (int t = 0; t < TAPS; t++)
        assert_true(w[t] == nearbyint((0.3 * t - 1.13) / 0.25) * 0.25);
    for (int i = 0; i < TAPS * TAPS; i++)
        gram[i] = 1.0;
    for (int t = 0; t < TAPS; t++)
        w[t] = 0.25 * (t - 4) + 0.1 + 0.001 * t;
    dc_adaround_filter(w, 0.25, HIGH, gram, work, TAPS, &config, NULL);
    for (int t = 0; t < TAPS; t++)
        sum += w[t] - (0.25 * (t - 4) + 0.1 + 0.001 * t);
    assert_true(fabs(sum) <= 0.25);  // to nearest: -0.936
}

enum { ROWS = 40, IN = 9 * 8 * 6 };

// Squared error of a node's values against the float network's.
static double output_error(struct dc_ctx *ctx, const struct dc_graph *g, struct dc_params *p,
                           int node, const float *x, float *wanted, bool sets)
{
    struct dc_plan *plan = NULL;
    const struct dc_plan_config plan_config = {
        .mode = DC_INFERENCE, .max_rows = ROWS, .outputs = &node, .output_count = 1};
    struct dc_step step = dc_calibration_step();
    step.freeze_observers = true;
    must(dc_plan_create(&plan, ctx, g, &plan_config, &error));
    dc_plan_bind(plan, 0, x);
    must(dc_plan_forward(plan, p, ROWS, &step, &error));
    const float *y = dc_plan_value(plan, node);
    const int64_t count = ROWS * dc_shape_row(&g->nodes[node].shape);
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++) {
        sum += ((double)y[i] - (double)wanted[i]) * ((double)y[i] - (double)wanted[i]);
        wanted[i] = sets ? y[i] : wanted[i];
    }
    dc_plan_free(plan);
    return sum;
}

// Nearest codes of the kept scales.
static void round_weights(struct dc_params *p, const char *weight, const char *scale)
{
    const struct dc_slice *w = dc_params_find(p, weight), *s = dc_params_find(p, scale);
    for (int64_t i = 0; i < w->count; i++) {
        const float step = p->value[s->offset + i % s->count];
        p->value[w->offset + i] = fmaxf(-HIGH, fminf(HIGH, rintf(p->value[w->offset + i] / step))) *
                                  step;
    }
}

// Moments of the inputs of one group, of the convolution below, from the definition.
static void textbook_gram(double *gram, const float *x, int groups, int group)
{
    const int depth = 6 / groups, taps = 6 * depth;
    memset(gram, 0, sizeof *gram * (size_t)(taps * taps));
    for (int n = 0; n < ROWS * 4 * 8; n++) {  // sample, output row, output column
        double patch[36] = {0};
        for (int t = 0; t < taps; t++) {
            const int row = n / 8 % 4 * 2 - 1 + t / depth / 2, column = n % 8 + t / depth % 2 * 2;
            const int c = group * depth + t % depth;
            const bool inside = row >= 0 && row < 9 && column < 8;
            patch[t] = inside ? (double)x[n / 32 * IN + (row * 8 + column) * 6 + c] : 0.0;
        }
        for (int i = 0; i < taps * taps; i++)
            gram[i] += patch[i / taps] * patch[i % taps] / (ROWS * 4 * 8);
    }
}

static void expect_textbook(const float *rounded, const float *weights, const float *scales,
                            const float *x, int groups)
{
    const int taps = 36 / groups;
    static double gram[36 * 36], work[5 * 36];
    for (int f = 0; f < 6; f++) {
        double w[36];
        textbook_gram(gram, x, groups, groups == 6 ? f : 0);
        for (int t = 0; t < taps; t++)
            w[t] = (double)weights[t * 6 + f];
        dc_adaround_filter(w, (double)scales[f], HIGH, gram, work, taps, &config, NULL);
        for (int t = 0; t < taps; t++)
            assert_true((float)w[t] == rounded[t * 6 + f]);
    }
}

// One convolution of odd numbers with weights of 4 bits.
static void make_network(struct dc_graph **g, struct dc_graph **q, struct dc_params **p, int groups)
{
    struct dc_random random;
    int input, conv, output;
    const struct dc_conv_attributes attributes = {.filters = 6,
                                                  .window = {.kernel = {3, 2},
                                                             .stride = {2, 1},
                                                             .dilation = {1, 2},
                                                             .before = {1, 0},
                                                             .after = {0, 2}},
                                                  .groups = groups};
    const struct dc_quantize_config quantize = {
        .observer = DC_OBSERVER_MIN_MAX, .weight_bits = 4, .weight_scaling = DC_SCALE_KEPT};
    must(dc_graph_create(g, &error));
    must(dc_graph_add_input(*g, "x", DC_F32, &DC_SHAPE(DC_BATCH, 9, 8, 6), &input, &error));
    must(dc_graph_add(*g, "conv", &dc_op_conv, &attributes, sizeof attributes, &input, 1, &conv,
                      &error));
    must(dc_quantize_graph(q, &output, *g, conv, &quantize, &error));
    must(dc_params_create(p, *q, 0, false, &error));
    dc_random_start(&random, 52, DC_PURPOSE_TEST, 0, (uint64_t)groups);
    const struct dc_slice *w = dc_params_find(*p, "conv.weight");
    for (int64_t i = 0; i < w->count; i++)
        (*p)->value[w->offset + i] = (float)dc_random_normal(&random);
}

// Rows of an image are alike, behind a little noise.
static void draw_images(float *x)
{
    struct dc_random random;
    dc_random_start(&random, 53, DC_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < ROWS * IN; i++)
        x[i] = 0.2f * fabsf((float)dc_random_normal(&random)) + fabsf(sinf((float)(i / (6 * 8))));
}

static void layers_outputs_come_closer(void **state)
{
    (void)state;
    static float x[ROWS * IN], wanted[ROWS * IN * 2];
    draw_images(x);
    for (int groups = 1; groups <= 6; groups += 5) {
        float rounded[2][512];
        for (int threads = 1; threads <= 2; threads++) {
            struct dc_ctx *ctx = NULL;
            struct dc_graph *g = NULL, *q = NULL;
            struct dc_params *p = NULL;
            struct dc_adaround *a = NULL;
            const struct dc_ctx_config ctx_config = {.threads = threads};
            must(dc_ctx_create(&ctx, &ctx_config, &error));
            make_network(&g, &q, &p, groups);
            struct dc_slice *w = dc_params_find(p, "conv.weight");
            must(dc_calibrate_scales(q, p, &error));
            const int node = dc_graph_find(q, "conv");
            (void)output_error(ctx, q, p, node, x, wanted, true);
            float *kept = dc_alloc(sizeof *kept * (size_t)w->count, &error);
            assert_non_null(kept);
            memcpy(kept, p->value + w->offset, sizeof *kept * (size_t)w->count);
            round_weights(p, "conv.weight", "conv.scale");
            const double nearest = output_error(ctx, q, p, node, x, wanted, false);
            memcpy(p->value + w->offset, kept, sizeof *kept * (size_t)w->count);
            must(dc_adaround_create(&a, ctx, q, p, 0, ROWS, ROWS, &config, &error));
            assert_int_equal(dc_adaround_finish(a, &error), DC_ERR_USAGE);  // no samples
            must(dc_adaround_add(a, x, ROWS / 4, &error));
            must(dc_adaround_add(a, x + ROWS / 4 * IN, ROWS - ROWS / 4, &error));
            must(dc_adaround_finish(a, &error));
            const double ours = output_error(ctx, q, p, node, x, wanted, false);
            if (!(ours < nearest * (groups == 1 ? 0.9 : 1.0)))  // of 6 taps there is less to gain
                fail_msg("%d groups: %g, to nearest %g", groups, ours, nearest);
            memcpy(rounded[threads - 1], p->value + w->offset, sizeof(float) * (size_t)w->count);
            assert_memory_equal(rounded[0], rounded[threads - 1], sizeof(float) * (size_t)w->count);
            expect_textbook(rounded[0], kept, p->value + dc_params_find(p, "conv.scale")->offset, x,
                            groups);
            round_weights(p, "conv.weight", "conv.scale");  // they are codes times scales
            for (int64_t i = 0; i < w->count; i++)
                assert_true(fabsf(p->value[w->offset + i] - rounded[0][i]) < 1e-6f);
            free(kept);
            dc_adaround_free(a);
            dc_params_free(p);
            dc_graph_free(g);
            dc_graph_free(q);
            dc_ctx_free(ctx);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_near_the_best_of_all_roundings),
        cmocka_unit_test(known_cases),
        cmocka_unit_test(layers_outputs_come_closer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
