// Adaptors: which layer joins which shapes, and their roles; the blend of ReviewKD by definition.

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/ops/ops.h"
#include "distill/adaptor.h"
#include "tests/core/helper_run.h"

static const struct hint {
    struct dc_shape from, to;
    int kernel_h, kernel_w, stride, pad;  // kernel 0: a dense layer; -1: refused
} hints[] = {
    {DC_SHAPE(DC_BATCH, 8, 8, 3), DC_SHAPE(DC_BATCH, 8, 8, 5), 1, 1, 1, 0},
    {DC_SHAPE(DC_BATCH, 8, 8, 3), DC_SHAPE(DC_BATCH, 4, 4, 5), 3, 3, 2, 1},
    {DC_SHAPE(DC_BATCH, 8, 8, 3), DC_SHAPE(DC_BATCH, 6, 7, 2), 3, 2, 1, 0},
    {DC_SHAPE(DC_BATCH, 4, 3, 3), DC_SHAPE(DC_BATCH, 8, 6, 5), 4, 4, 2, 1},  // transposed
    {DC_SHAPE(DC_BATCH, 9, 7, 3), DC_SHAPE(DC_BATCH, 1, 1, 2), 9, 7, 1, 0},
    {DC_SHAPE(DC_BATCH, 12), DC_SHAPE(DC_BATCH, 7), 0, 0, 0, 0},
    {DC_SHAPE(DC_BATCH, 4, 4, 3), DC_SHAPE(DC_BATCH, 5, 5, 3), -1, 0, 0, 0},
    {DC_SHAPE(DC_BATCH, 4, 4, 3), DC_SHAPE(DC_BATCH, 48), -1, 0, 0, 0},
};

static void hints_join_shapes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        const struct hint *h = &hints[i];
        struct dc_graph *graph = NULL;
        struct dc_error error;
        int input, node;
        assert_int_equal(dc_graph_create(&graph, NULL), DC_OK);
        assert_int_equal(dc_graph_add_input(graph, "x", DC_F32, &h->from, &input, NULL), DC_OK);
        const enum dc_status status = dc_adaptor_add_hint(graph, "adaptor.hint", input, &h->to,
                                                          &node, &error);
        assert_int_equal(status, h->kernel_h < 0 ? DC_ERR_CONFIG : DC_OK);
        if (status == DC_OK) {
            const struct dc_node *layer = &graph->nodes[input + 1];
            assert_true(dc_shape_equal(&graph->nodes[node].shape, &h->to));
            assert_ptr_equal(graph->nodes[node].op, &dc_op_relu);
            assert_ptr_equal(graph->nodes[node - 1].op, &dc_op_batch_norm);
            assert_int_equal(layer->param_count, 2);  // with a bias
            if (h->kernel_h == 0) {
                assert_string_equal(layer->name, "adaptor.hint.dense");
            } else {
                const struct dc_conv_attributes *a = layer->attributes;
                assert_string_equal(layer->name, "adaptor.hint.conv");
                assert_int_equal(a->window.kernel[0], h->kernel_h);
                assert_int_equal(a->window.kernel[1], h->kernel_w);
                assert_int_equal(a->window.stride[0], h->stride);
                assert_int_equal(a->window.before[1], h->pad);
                assert_ptr_equal(layer->op, h->kernel_h == 4 ? &dc_op_conv_transpose : &dc_op_conv);
            }
            for (int p = 0; p < graph->param_count; p++)
                assert_int_equal(graph->params[p].role,
                                 p < 4 ? DC_ROLE_AUXILIARY : DC_ROLE_STATISTIC);
        }
        dc_graph_free(graph);
    }
}

enum { ROWS = 3, H = 5, W = 4, LOW_H = 2, LOW_W = 3, C = 3 };

static double gate(const struct run *run, int b, int y, int x, int k)
{
    const float *big = dc_f32(&run->call.in[2]), *small = dc_f32(&run->call.in[3]);
    const int low = (b * LOW_H + y * LOW_H / H) * LOW_W + x * LOW_W / W;
    return 1.0 /
           (1.0 + exp(-(double)big[((b * H + y) * W + x) * 2 + k] - (double)small[low * 2 + k]));
}

static void blend_is_its_definition(void **state)
{
    (void)state;
    const struct dc_shape in[4] = {DC_SHAPE(ROWS, H, W, C), DC_SHAPE(ROWS, LOW_H, LOW_W, C),
                                   DC_SHAPE(ROWS, H, W, 2), DC_SHAPE(ROWS, LOW_H, LOW_W, 2)};
    struct run run;
    run_open(&run, &dc_op_blend, NULL, in, 4);
    struct expected e = {.mode = DC_TRAINING, .y_factor = 8, .dx_factor = 64, .same_bits = true};
    double *y = run_doubles(&run, ROWS * H * W * C), *size = run_doubles(&run, ROWS * H * W * C);
    double *dx[4], *dx_size[4];
    for (int k = 0; k < 4; k++) {
        e.dx[k] = dx[k] = run_doubles(&run, dc_shape_count(&in[k]));
        e.dx_magnitude[k] = dx_size[k] = run_doubles(&run, dc_shape_count(&in[k]));
    }
    e.y = y;
    e.y_magnitude = size;
    for (int i = 0; i < ROWS * H * W * C; i++) {
        const int c = i % C, x = i / C % W, row = i / (C * W) % H, b = i / (C * W * H);
        const int low = (b * LOW_H + row * LOW_H / H) * LOW_W + x * LOW_W / W;
        const double d = (double)dc_f32(&run.call.d_out)[i];
        const int at[2] = {i, low * C + c}, gates[2] = {i / C * 2, low * 2};
        for (int k = 0; k < 2; k++) {
            const double v = (double)dc_f32(&run.call.in[k])[at[k]], g = gate(&run, b, row, x, k);
            y[i] += v * g;
            size[i] += fabs(v * g);
            dx[k][at[k]] += d * g;
            dx_size[k][at[k]] += fabs(d * g);
            for (int n = 0; n < 2; n++) {
                dx[2 + n][gates[n] + k] += d * v * g * (1.0 - g);
                dx_size[2 + n][gates[n] + k] += fabs(d * v * g);
            }
        }
    }
    run_check(&run, &e, "blend");
    run_close(&run);
    run_check_invariance(&dc_op_blend, NULL, in, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hints_join_shapes),
        cmocka_unit_test(blend_is_its_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
