#include "tests/qat/helper_graphs.h"

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
#include "qat/fake_quantize.h"

struct dc_error test_error;
struct dc_ctx *test_ctx;

int test_set_up(void **state)
{
    (void)state;
    const struct dc_ctx_config config = {.threads = 2};
    return dc_ctx_create(&test_ctx, &config, NULL) != DC_OK;
}

int test_tear_down(void **state)
{
    (void)state;
    dc_ctx_free(test_ctx);
    return 0;
}

void test_must(enum dc_status status)
{
    if (status != DC_OK)
        fail_msg("%s", test_error.message);
}

int test_add(struct dc_graph *g, const char *name, const struct dc_op *op, const void *a, int x,
             int y)
{
    const int inputs[2] = {x, y};
    int node = -1;
    test_must(dc_graph_add(g, name, op, a, op->attribute_bytes, inputs, y < 0 ? 1 : 2, &node,
                           &test_error));
    return node;
}

int test_add_conv(struct dc_graph *g, const char *name, int x, int filters, int kernel, int stride,
                  int groups, bool bias)
{
    const struct dc_conv_attributes a = {.filters = filters,
                                         .window = {.kernel = {kernel, kernel},
                                                    .stride = {stride, stride},
                                                    .dilation = {1, 1},
                                                    .before = {kernel / 2, kernel / 2},
                                                    .after = {kernel / 2, kernel / 2}},
                                         .groups = groups,
                                         .bias = bias};
    return test_add(g, name, &dc_op_conv, &a, x, -1);
}

int test_add_norm(struct dc_graph *g, const char *name, int x)
{
    const struct dc_batch_norm_attributes a = {1e-3f, 0.1f};
    return test_add(g, name, &dc_op_batch_norm, &a, x, -1);
}

struct dc_graph *test_start(int height, int width, int channels)
{
    struct dc_graph *g = NULL;
    int node;
    test_must(dc_graph_create(&g, &test_error));
    test_must(dc_graph_add_input(g, "image", DC_F32, &DC_SHAPE(DC_BATCH, height, width, channels),
                                 &node, &test_error));
    return g;
}

struct dc_graph *test_network(int *output)
{
    struct dc_graph *g = test_start(12, 10, 3);
    const struct dc_dropout_attributes rate = {0.5f};
    const struct dc_pool_attributes pool = {
        .window = {.kernel = {2, 2}, .stride = {2, 2}, .dilation = {1, 1}}};
    const struct dc_dense_attributes dense = {5, true};
    int x = test_add_conv(g, "conv", 0, 8, 3, 1, 1, false);
    x = test_add(g, "relu", &dc_op_relu, NULL, test_add_norm(g, "bn", x), -1);
    int y = test_add_conv(g, "depthwise", x, 8, 3, 1, 8, false);
    y = test_add(g, "relu6", &dc_op_relu6, NULL, test_add_norm(g, "bn2", y), -1);
    y = test_add_conv(g, "pointwise", y, 8, 1, 1, 1, true);
    y = test_add(g, "sum_relu", &dc_op_relu, NULL, test_add(g, "sum", &dc_op_add, NULL, x, y), -1);
    y = test_add(g, "pool", &dc_op_max_pool, &pool, y, -1);
    y = test_add(g, "gap", &dc_op_global_average_pool, NULL, y, -1);
    y = test_add(g, "drop", &dc_op_dropout, &rate, y, -1);
    *output = test_add(g, "logits", &dc_op_dense, &dense, y, -1);
    return g;
}

float *test_values(struct dc_params *p, const char *name)
{
    struct dc_slice *slice = dc_params_find(p, name);
    if (!slice)
        fail_msg("no slice '%s'", name);
    return p->value + slice->offset;
}

struct dc_params *test_random_params(const struct dc_graph *g)
{
    struct dc_params *p = NULL;
    struct dc_random random;
    test_must(dc_params_create(&p, g, 0, false, &test_error));
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

void test_fill(float *x, int64_t count, uint64_t id)
{
    struct dc_random random;
    dc_random_start(&random, 22, DC_PURPOSE_TEST, 0, id);
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)dc_random_normal(&random);
}

void test_run(const struct dc_graph *g, struct dc_params *p, int node, const float *x,
              struct dc_step step, float *y)
{
    struct dc_plan *plan = NULL;
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = TEST_ROWS, .outputs = &node, .output_count = 1};
    test_must(dc_plan_create(&plan, test_ctx, g, &config, &test_error));
    dc_plan_bind(plan, 0, x);
    test_must(dc_plan_forward(plan, p, TEST_ROWS, &step, &test_error));
    if (y)
        memcpy(y, dc_plan_value(plan, node),
               sizeof *y * TEST_ROWS * (size_t)dc_shape_row(&g->nodes[node].shape));
    dc_plan_free(plan);
}
