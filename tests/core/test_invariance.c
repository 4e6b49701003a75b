// Laws that hold for every op of the table: bits do not depend on threads, and in inference a row's
// bits do not depend on its batch. An op without a case here fails the last test.

#include "helper_run.h"

#include <string.h>

#include "core/ops/ops.h"

struct op_case {
    const struct dc_op *op;
    const void *attributes;
    int inputs;
    struct dc_shape in[3];
};

static const struct dc_conv_attributes full = {.window = {.kernel = {3, 3},
                                                          .stride = {2, 1},
                                                          .dilation = {1, 1},
                                                          .before = {1, 1},
                                                          .after = {0, 1}},
                                               .filters = 24,
                                               .groups = 1,
                                               .bias = true};
static const struct dc_conv_attributes many = {.window = {.kernel = {3, 2},
                                                          .stride = {1, 1},
                                                          .dilation = {1, 1},
                                                          .before = {1, 0},
                                                          .after = {1, 1}},
                                               .filters = 200,
                                               .groups = 1,
                                               .bias = true};
static const struct dc_conv_attributes deep = {.window = {.kernel = {3, 3},
                                                          .stride = {1, 1},
                                                          .dilation = {1, 1},
                                                          .before = {1, 1},
                                                          .after = {1, 1}},
                                               .filters = 70,
                                               .groups = 1,
                                               .bias = true};
static const struct dc_conv_attributes grouped = {.window = {.kernel = {3, 3},
                                                             .stride = {1, 1},
                                                             .dilation = {1, 1},
                                                             .before = {1, 1},
                                                             .after = {1, 1}},
                                                  .filters = 6,
                                                  .groups = 3,
                                                  .bias = true};
static const struct dc_conv_attributes depthwise = {.window = {.kernel = {3, 3},
                                                               .stride = {1, 1},
                                                               .dilation = {1, 1},
                                                               .before = {1, 1},
                                                               .after = {1, 1}},
                                                    .filters = 9,
                                                    .groups = 9,
                                                    .bias = true};
static const struct dc_conv_attributes pointwise = {
    .window = {.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}}, .filters = 17, .groups = 1};
static const struct dc_conv_transpose_attributes upward = {{.window = {.kernel = {3, 3},
                                                                       .stride = {2, 2},
                                                                       .dilation = {1, 1},
                                                                       .before = {1, 1},
                                                                       .after = {1, 1}},
                                                            .filters = 4,
                                                            .groups = 2,
                                                            .bias = true},
                                                           1,
                                                           1};
static const struct dc_dense_attributes dense = {.units = 10, .bias = true};
static const struct dc_batch_norm_attributes norm = {.epsilon = 1e-3f, .momentum = 0.1f};
static const struct dc_pool_attributes pool = {
    .window = {.kernel = {3, 3}, .stride = {2, 2}, .dilation = {1, 1}, .after = {1, 1}}};
static const struct dc_pad_attributes pad = {1, 0, 2, 1, 0, 3};
static const struct dc_slice_attributes slice = {.axis = 2, .begin = 1, .end = 5, .step = 2};
static const struct dc_reshape_attributes reshape = {.rank = 2, .dims = {-1, 3}};
static const struct dc_concat_attributes concat = {.axis = -1};
static const struct dc_dropout_attributes dropout = {.rate = 0.4f};

#define ATTRIBUTES(type, ...) (&(const struct dc_##type##_attributes){__VA_ARGS__})
#define IMAGE(channels)                                                                            \
    {                                                                                              \
        4,                                                                                         \
        {                                                                                          \
            0, 7, 6, channels                                                                      \
        }                                                                                          \
    }

static const struct op_case cases[] = {
    {&dc_op_conv, &full, 1, {IMAGE(5)}},
    {&dc_op_conv, &grouped, 1, {IMAGE(9)}},
    {&dc_op_conv, &depthwise, 1, {IMAGE(9)}},
    {&dc_op_conv, &pointwise, 1, {IMAGE(16)}},
    {&dc_op_conv, &many, 1, {IMAGE(3)}},
    {&dc_op_conv, &deep, 1, {{4, {0, 3, 4, 240}}}},
    {&dc_op_dense, &dense, 1, {{2, {0, 65}}}},
    {&dc_op_batch_norm, &norm, 1, {IMAGE(9)}},
    {&dc_op_relu, NULL, 1, {IMAGE(3)}},
    {&dc_op_relu6, NULL, 1, {IMAGE(3)}},
    {&dc_op_sigmoid, NULL, 1, {IMAGE(3)}},
    {&dc_op_tanh, NULL, 1, {IMAGE(3)}},
    {&dc_op_h_swish, NULL, 1, {IMAGE(3)}},
    {&dc_op_softmax, NULL, 1, {{2, {0, 11}}}},
    {&dc_op_add, NULL, 3, {IMAGE(3), IMAGE(3), IMAGE(3)}},
    {&dc_op_concat, &concat, 2, {IMAGE(3), IMAGE(2)}},
    {&dc_op_max_pool, &pool, 1, {IMAGE(5)}},
    {&dc_op_average_pool, &pool, 1, {IMAGE(5)}},
    {&dc_op_global_average_pool, NULL, 1, {IMAGE(5)}},
    {&dc_op_pad, &pad, 1, {IMAGE(3)}},
    {&dc_op_slice, &slice, 1, {IMAGE(3)}},
    {&dc_op_flatten, NULL, 1, {IMAGE(3)}},
    {&dc_op_reshape, &reshape, 1, {IMAGE(3)}},
    {&dc_op_dropout, &dropout, 1, {IMAGE(3)}},
    {&dc_op_conv_transpose, &upward, 1, {IMAGE(6)}},
    {&dc_op_dense, &dense, 1, {IMAGE(9)}},
    {&dc_op_matmul, ATTRIBUTES(matmul, false, true), 2, {{4, {0, 2, 5, 7}}, {4, {0, 2, 3, 7}}}},
    {&dc_op_matmul, ATTRIBUTES(matmul, false, false), 2, {{3, {0, 5, 7}}, {3, {1, 7, 18}}}},
    {&dc_op_layer_norm, ATTRIBUTES(layer_norm, 1, 1e-5f, true), 1, {IMAGE(19)}},
    {&dc_op_group_norm, ATTRIBUTES(group_norm, 3, 1e-5f), 1, {IMAGE(9)}},
    {&dc_op_clip, ATTRIBUTES(clip, -0.5f, 0.25f), 1, {IMAGE(3)}},
    {&dc_op_leaky_relu, ATTRIBUTES(leaky_relu, 0.1f), 1, {IMAGE(3)}},
    {&dc_op_prelu, NULL, 1, {IMAGE(3)}},
    {&dc_op_hard_sigmoid, ATTRIBUTES(hard_sigmoid, 0.2f, 0.5f), 1, {IMAGE(3)}},
    {&dc_op_silu, NULL, 1, {IMAGE(3)}},
    {&dc_op_elu, ATTRIBUTES(elu, 0.5f), 1, {IMAGE(3)}},
    {&dc_op_softplus, NULL, 1, {IMAGE(3)}},
    {&dc_op_gelu, NULL, 1, {IMAGE(3)}},
    {&dc_op_gelu_tanh, NULL, 1, {IMAGE(3)}},
    {&dc_op_erf, NULL, 1, {IMAGE(3)}},
    {&dc_op_exp, NULL, 1, {IMAGE(3)}},
    {&dc_op_log, NULL, 1, {IMAGE(3)}},
    {&dc_op_sqrt, NULL, 1, {IMAGE(3)}},
    {&dc_op_pow, ATTRIBUTES(pow, 3.0f), 1, {IMAGE(3)}},
    {&dc_op_negate, NULL, 1, {IMAGE(3)}},
    {&dc_op_abs, NULL, 1, {IMAGE(3)}},
    {&dc_op_reciprocal, NULL, 1, {IMAGE(3)}},
    {&dc_op_softmax, ATTRIBUTES(softmax, 1), 1, {IMAGE(3)}},
    {&dc_op_broadcast_add, NULL, 2, {IMAGE(3), {2, {1, 3}}}},
    {&dc_op_subtract, NULL, 2, {IMAGE(3), IMAGE(3)}},
    {&dc_op_multiply, NULL, 2, {IMAGE(3), {4, {0, 1, 1, 3}}}},
    {&dc_op_divide, NULL, 2, {{2, {1, 1}}, IMAGE(3)}},
    {&dc_op_maximum, NULL, 2, {IMAGE(3), {3, {1, 6, 1}}}},
    {&dc_op_minimum, NULL, 2, {IMAGE(3), {2, {1, 3}}}},
    {&dc_op_reduce_mean, ATTRIBUTES(reduce, 6, true), 1, {IMAGE(9)}},
    {&dc_op_reduce_sum, ATTRIBUTES(reduce, 8, false), 1, {IMAGE(9)}},
    {&dc_op_reduce_max, ATTRIBUTES(reduce, 6, false), 1, {IMAGE(9)}},
    {&dc_op_pad_axes, ATTRIBUTES(pad_axes, {1, 2}, {0}, DC_PAD_REFLECT, 0.0f), 1, {IMAGE(3)}},
    {&dc_op_transpose, ATTRIBUTES(transpose, {0, 3, 1, 2}), 1, {IMAGE(3)}},
    {&dc_op_expand, ATTRIBUTES(expand, 2, {6, 5}), 1, {{3, {0, 6, 1}}}},
    {&dc_op_gather, ATTRIBUTES(gather, 2, 5), 1, {IMAGE(3)}},
    {&dc_op_resize, ATTRIBUTES(resize, 5, 9, 0, 0, DC_HALF_PIXEL, DC_RESIZE_LINEAR), 1, {IMAGE(3)}},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static void bits_follow_neither_threads_nor_batch(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++)
        run_check_invariance(cases[i].op, cases[i].attributes, cases[i].in, cases[i].inputs);
}

static void every_op_has_a_case_and_a_name(void **state)
{
    (void)state;
    for (const struct dc_op *const *op = dc_op_table(); *op; op++) {
        int i = 0;
        if (*op == &dc_op_constant)  // has no rows
            continue;
        while (i < CASES && cases[i].op != *op)
            i++;
        if (i == CASES)
            fail_msg("no case for %s", (*op)->name);
        assert_ptr_equal(dc_op_find((*op)->name), *op);
        if ((*op)->attribute_bytes > 0 && *op != &dc_op_softmax)
            assert_non_null(cases[i].attributes);
    }
    assert_null(dc_op_find("convolve"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_follow_neither_threads_nor_batch),
        cmocka_unit_test(every_op_has_a_case_and_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
