// What is done to weights before they are quantized: the network must compute what it computed.
// Powers of two against a search over exponents.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/graph.h"
#include "core/ops/ops.h"
#include "core/plan.h"
#include "core/random.h"
#include "qat/fake_quantize.h"
#include "qat/fold.h"

enum { ROWS = 6, IN = 9 * 8 * 3, OUT = 5 };

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

static int add_conv(struct dc_graph *g, const char *name, int x, int filters, int groups, bool bias)
{
    const struct dc_conv_attributes a = {.filters = filters,
                                         .kernel_h = 3,
                                         .kernel_w = 3,
                                         .stride_h = 1,
                                         .stride_w = 1,
                                         .dilation_h = 1,
                                         .dilation_w = 1,
                                         .groups = groups,
                                         .pad_top = 1,
                                         .pad_bottom = 1,
                                         .pad_left = 1,
                                         .pad_right = 1,
                                         .bias = bias};
    return add(g, name, &dc_op_conv, &a, x, -1);
}

// conv (bias) - bn - relu - depthwise - bn - relu6 - conv - relu - conv - bn + relu6 - gap - dense
static struct dc_graph *network(int *output)
{
    struct dc_graph *g = NULL;
    int image;
    const struct dc_batch_norm_attributes norm = {1e-3f, 0.1f};
    const struct dc_dense_attributes dense = {OUT, true};
    must(dc_graph_create(&g, &error));
    must(dc_graph_add_input(g, "image", DC_F32, &DC_SHAPE(DC_BATCH, 9, 8, 3), &image, &error));
    int x = add(g, "bn", &dc_op_batch_norm, &norm, add_conv(g, "conv", image, 8, 1, true), -1);
    x = add(g, "relu", &dc_op_relu, NULL, x, -1);
    x = add(g, "bn2", &dc_op_batch_norm, &norm, add_conv(g, "depthwise", x, 8, 8, false), -1);
    const int r = add(g, "relu6", &dc_op_relu6, NULL, x, -1);
    x = add(g, "relu_again", &dc_op_relu, NULL, add_conv(g, "plain", r, 7, 1, true), -1);
    x = add(g, "bn3", &dc_op_batch_norm, &norm, add_conv(g, "last", x, 8, 1, false), -1);
    x = add(g, "gap", &dc_op_global_average_pool, NULL, add(g, "sum", &dc_op_add, NULL, x, r), -1);
    *output = add(g, "logits", &dc_op_dense, &dense, x, -1);
    return g;
}

static float *values_of(struct dc_params *p, const char *name)
{
    struct dc_slice *slice = dc_params_find(p, name);
    if (!slice)
        fail_msg("no slice '%s'", name);
    return p->value + slice->offset;
}

static void fill(float *x, int64_t count, uint64_t id, float low, float high)
{
    struct dc_random random;
    dc_random_start(&random, 77, DC_PURPOSE_TEST, 0, id);
    for (int64_t i = 0; i < count; i++)
        x[i] = dc_random_between(&random, low, high);
}

static struct dc_params *random_params(const struct dc_graph *g)
{
    struct dc_params *p = NULL;
    must(dc_params_create(&p, g, 0, false, &error));
    for (int i = 0; i < p->count; i++) {
        const struct dc_slice *s = &p->slices[i];
        const bool positive = strstr(s->name, "variance") || strstr(s->name, "gamma");
        fill(p->value + s->offset, s->count, (uint64_t)i, positive ? 0.3f : -0.5f,
             positive ? 2.0f : 0.5f);
    }
    values_of(p, "bn.gamma")[3] = -0.7f;
    values_of(p, "bn.gamma")[6] = 0.0f;
    return p;
}

static void run(float *y, const struct dc_graph *g, struct dc_params *p, int node, const float *x)
{
    struct dc_plan *plan = NULL;
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = ROWS, .outputs = &node, .output_count = 1};
    const struct dc_step step = {0};
    must(dc_plan_create(&plan, ctx, g, &config, &error));
    dc_plan_bind(plan, 0, x);
    must(dc_plan_forward(plan, p, ROWS, &step, &error));
    memcpy(y, dc_plan_value(plan, node), sizeof *y * ROWS * OUT);
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
    const float plain = values_of(p, "plain.weight")[5];
    dc_fold_batch_norms(&folded, g, p);
    assert_int_equal(folded, 3);
    run(after, g, p, output, x);
    same_function(before, after);
    assert_true(plain == values_of(p, "plain.weight")[5]);
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
    must(dc_graph_create(&g, &error));
    must(dc_graph_add_input(g, "image", DC_F32, &DC_SHAPE(DC_BATCH, 9, 8, 3), &image, &error));
    const int conv = add_conv(g, "conv", image, 4, 1, false);
    add(g, "sum", &dc_op_add, NULL, add(g, "bn", &dc_op_batch_norm, &norm, conv, -1), conv);
    struct dc_params *p = NULL;
    must(dc_params_create(&p, g, 0, false, &error));
    dc_fold_batch_norms(&folded, g, p);
    assert_int_equal(folded, 0);
    dc_params_free(p);
    dc_graph_free(g);
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
        cmocka_unit_test(powers_of_two_are_the_nearest),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
