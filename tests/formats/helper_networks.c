// Owns the list of networks and their plain run. Compiled into the judge's program too, so without
// cmocka.

#include "tests/formats/helper_networks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/ops/ops.h"
#include "core/plan.h"

// A network being made: the last node, and the first failure.
struct making {
    struct dc_graph *graph;
    int last, count;
    enum dc_status status;
    struct dc_error *error;
};

static int put2(struct making *m, const struct dc_op *op, const void *attributes, int a, int b)
{
    char name[64];
    const int inputs[2] = {a, b};
    snprintf(name, sizeof name, "%s%d", op->name, m->count++);
    if (m->status == DC_OK)
        m->status = dc_graph_add(m->graph, name, op, attributes, op->attribute_bytes, inputs,
                                 a < 0   ? 0
                                 : b < 0 ? 1
                                         : 2,
                                 &m->last, m->error);
    return m->last;
}

static int put(struct making *m, const struct dc_op *op, const void *attributes)
{
    return put2(m, op, attributes, m->last, -1);
}

static const struct dc_conv_attributes conv3 = {.window = {.kernel = {3, 3},
                                                           .stride = {1, 1},
                                                           .dilation = {1, 1},
                                                           .before = {1, 1},
                                                           .after = {1, 1}},
                                                .filters = 6,
                                                .groups = 1,
                                                .bias = true};

static void residual(struct making *m)
{
    const struct dc_conv_attributes strided = {.window = {.kernel = {3, 5},
                                                          .stride = {2, 1},
                                                          .dilation = {1, 2},
                                                          .before = {1, 3},
                                                          .after = {0, 4}},
                                               .filters = 8,
                                               .groups = 1};
    const struct dc_conv_attributes depthwise = {.window = {.kernel = {3, 3},
                                                            .stride = {1, 2},
                                                            .dilation = {1, 1},
                                                            .before = {1, 0},
                                                            .after = {1, 1}},
                                                 .filters = 16,
                                                 .groups = 8,
                                                 .bias = true};
    const struct dc_conv_attributes grouped = {
        .window = {.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}},
        .filters = 8,
        .groups = 2,
        .bias = true};
    const struct dc_batch_norm_attributes norm = {1e-3f, 0.1f};
    const struct dc_pool_attributes max = {.window = {.kernel = {2, 3},
                                                      .stride = {2, 1},
                                                      .dilation = {1, 1},
                                                      .before = {1, 1},
                                                      .after = {0, 1}}};
    const struct dc_dense_attributes dense = {5, true};
    put(m, &dc_op_conv, &conv3);
    const int first = put(m, &dc_op_relu, NULL);
    put(m, &dc_op_batch_norm, &norm);
    put(m, &dc_op_conv, &conv3);
    put(m, &dc_op_batch_norm, &norm);
    put2(m, &dc_op_add, NULL, first, m->last);
    put(m, &dc_op_relu6, NULL);
    put(m, &dc_op_conv, &strided);
    put(m, &dc_op_conv, &depthwise);
    put(m, &dc_op_conv, &grouped);
    put(m, &dc_op_max_pool, &max);
    put(m, &dc_op_flatten, NULL);
    put(m, &dc_op_dense, &dense);
    put(m, &dc_op_softmax, NULL);
}

static void activations(struct making *m)
{
    const struct dc_leaky_relu_attributes leaky = {0.1f};
    const struct dc_hard_sigmoid_attributes hard = {0.2f, 0.5f};
    const struct dc_elu_attributes elu = {0.75f};
    const struct dc_clip_attributes clip = {0.05f, 0.9f};
    const struct dc_pow_attributes pow = {3.0f};
    const struct dc_op *const plain[] = {
        &dc_op_h_swish, &dc_op_silu, &dc_op_gelu,   &dc_op_gelu_tanh, &dc_op_softplus, &dc_op_prelu,
        &dc_op_tanh,    &dc_op_erf,  &dc_op_negate, &dc_op_abs,       &dc_op_exp};
    const struct dc_op *const positive[] = {&dc_op_sqrt, &dc_op_reciprocal, &dc_op_log,
                                            &dc_op_sigmoid};
    const struct dc_softmax_attributes rows = {.axis = 1};
    put(m, &dc_op_conv, &conv3);
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        put(m, plain[i], NULL);
    put(m, &dc_op_leaky_relu, &leaky);
    put(m, &dc_op_hard_sigmoid, &hard);
    put(m, &dc_op_elu, &elu);
    put(m, &dc_op_clip, &clip);
    for (size_t i = 0; i < sizeof positive / sizeof positive[0]; i++)
        put(m, positive[i], NULL);
    put(m, &dc_op_pow, &pow);
    put(m, &dc_op_softmax, &rows);
}

static void moves(struct making *m)
{
    const struct dc_pad_attributes pad = {1, 0, 2, 1, 1, 2};
    const struct dc_pad_axes_attributes reflect = {{1, 2, 0}, {0, 1, 1}, DC_PAD_REFLECT, 0.0f};
    const struct dc_slice_attributes rows = {1, 1, 8, 2}, columns = {2, 7, 2, -1},
                                     channels = {3, 1, 5, 1};
    const struct dc_concat_attributes deep = {3}, wide = {2};
    const struct dc_pool_attributes average = {.window = {.kernel = {3, 2},
                                                          .stride = {1, 2},
                                                          .dilation = {1, 1},
                                                          .before = {1, 1},
                                                          .after = {0, 1}},
                                               .count_padding = true};
    const struct dc_pool_attributes inside = {.window = {.kernel = {2, 2},
                                                         .stride = {2, 2},
                                                         .dilation = {1, 1},
                                                         .before = {1, 0},
                                                         .after = {0, 1}}};
    const struct dc_transpose_attributes turn = {{0, 2, 3, 1}};
    const struct dc_dense_attributes dense = {4, true};
    const int padded = put(m, &dc_op_pad, &pad);
    put2(m, &dc_op_concat, &deep, padded, padded);
    put(m, &dc_op_pad_axes, &reflect);
    put(m, &dc_op_slice, &rows);
    put(m, &dc_op_slice, &channels);
    put2(m, &dc_op_concat, &wide, m->last, m->last);
    put(m, &dc_op_slice, &columns);
    put(m, &dc_op_average_pool, &average);
    put(m, &dc_op_average_pool, &inside);
    put(m, &dc_op_transpose, &turn);
    put(m, &dc_op_dense, &dense);
}

static void products(struct making *m)
{
    const struct dc_reshape_attributes heads = {3, {2, -1, 12}}, map = {3, {4, 3, -1}};
    const struct dc_matmul_attributes scores = {false, true}, values = {false, false};
    const struct dc_constant_attributes constant = {DC_SHAPE(1, 2, 16, 12), DC_ROLE_STATISTIC};
    const struct dc_reduce_attributes mean = {1u << 1 | 1u << 3, true}, sum = {1u << 2, false};
    const int x = put(m, &dc_op_reshape, &heads);
    const int fixed = put2(m, &dc_op_constant, &constant, -1, -1);
    const int sums = put2(m, &dc_op_broadcast_add, NULL, x, fixed);
    put2(m, &dc_op_matmul, &scores, x, sums);
    put(m, &dc_op_softmax, NULL);
    put2(m, &dc_op_matmul, &values, m->last, x);
    const int made = put(m, &dc_op_reshape, &map);
    const int means = put(m, &dc_op_reduce_mean, &mean);
    put2(m, &dc_op_multiply, NULL, made, means);
    put2(m, &dc_op_subtract, NULL, m->last, means);
    put2(m, &dc_op_maximum, NULL, m->last, made);
    put(m, &dc_op_reduce_sum, &sum);
}

static void gates(struct making *m)
{
    const struct dc_dense_attributes dense = {6, true};
    const struct dc_conv_transpose_attributes up = {{.window = {.kernel = {3, 2},
                                                                .stride = {2, 1},
                                                                .dilation = {1, 1},
                                                                .before = {1, 0},
                                                                .after = {0, 1}},
                                                     .filters = 4,
                                                     .groups = 1,
                                                     .bias = true},
                                                    1,
                                                    0};
    const int x = put(m, &dc_op_conv, &conv3);
    put(m, &dc_op_global_average_pool, NULL);
    put(m, &dc_op_dense, &dense);
    const int gate = put(m, &dc_op_sigmoid, NULL);
    put2(m, &dc_op_multiply, NULL, x, gate);
    put2(m, &dc_op_minimum, NULL, m->last, x);
    put(m, &dc_op_conv_transpose, &up);
}

static const struct {
    const char *name;
    void (*make)(struct making *m);
} networks[] = {{"residual", residual},
                {"activations", activations},
                {"moves", moves},
                {"products", products},
                {"gates", gates}};

bool test_network_create(struct test_network *n, int i, struct dc_error *error)
{
    struct making m = {.error = error};
    const struct dc_shape shape = DC_SHAPE(DC_BATCH, 8, 12, 4);
    memset(n, 0, sizeof *n);
    if (i >= (int)(sizeof networks / sizeof networks[0]))
        return true;
    n->name = networks[i].name;
    m.status = dc_graph_create(&m.graph, error);
    if (m.status == DC_OK)
        m.status = dc_graph_add_input(m.graph, "image", DC_F32, &shape, &n->input, error);
    m.last = n->input;
    if (m.status == DC_OK)
        networks[i].make(&m);
    n->graph = m.graph;
    n->output = m.last;
    if (m.status == DC_OK)
        m.status = dc_params_create(&n->params, m.graph, 0, false, error);
    for (int s = 0; m.status == DC_OK && s < n->params->count; s++) {
        const struct dc_slice *slice = &n->params->slices[s];
        test_network_input(n->params->value + slice->offset, slice->count);
        const bool small = slice->role == DC_ROLE_WEIGHT || slice->role == DC_ROLE_BIAS;
        for (int64_t k = 0; k < slice->count; k++) {
            float *v = &n->params->value[slice->offset + k];
            *v = small ? 0.25f * *v : slice->role == DC_ROLE_STATISTIC ? 1.5f + *v / 2 : *v;
        }
    }
    return m.status == DC_OK;
}

void test_network_free(struct test_network *n)
{
    dc_params_free(n->params);
    dc_graph_free(n->graph);
}

void test_network_input(float *values, int64_t count)
{
    static uint32_t state = 1;
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
}

// [rows, pixels, channels] from [rows, channels, pixels], or back.
static void exchange(float *to, const float *from, int64_t rows, int64_t a, int64_t b)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < a; i++)
            for (int64_t k = 0; k < b; k++)
                to[(r * b + k) * a + i] = from[(r * a + i) * b + k];
}

enum dc_status test_network_run(const struct test_network *n, float *output, const float *input,
                                int64_t rows, struct dc_error *error)
{
    struct dc_ctx *ctx = NULL;
    struct dc_plan *plan = NULL;
    const struct dc_ctx_config settings = {.threads = 1};
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = rows, .outputs = &n->output, .output_count = 1};
    const struct dc_shape in = n->graph->nodes[n->input].shape;
    const struct dc_shape out = dc_shape_with_batch(&n->graph->nodes[n->output].shape, rows);
    float *x = malloc(sizeof *x * (size_t)(rows * dc_shape_row(&in)));
    DC_TRY(dc_ctx_create(&ctx, &settings, error));
    DC_TRY(dc_plan_create(&plan, ctx, n->graph, &config, error));
    if (!x)
        return DC_ERR_MEMORY;
    exchange(x, input, rows, in.dims[3], in.dims[1] * in.dims[2]);
    dc_plan_bind(plan, n->input, x);
    DC_TRY(dc_plan_forward(plan, n->params, rows, NULL, error));
    const float *y = dc_plan_value(plan, n->output);
    if (out.rank == 4)
        exchange(output, y, rows, out.dims[1] * out.dims[2], out.dims[3]);
    else
        memcpy(output, y, sizeof *output * (size_t)dc_shape_count(&out));
    free(x);
    dc_plan_free(plan);
    dc_ctx_free(ctx);
    return DC_OK;
}
