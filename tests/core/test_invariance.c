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

static const struct dc_conv_attributes full = {24, 3, 3, 2, 1, 1, 1, 1, 1, 0, 1, 1, true};
static const struct dc_conv_attributes grouped = {6, 3, 3, 1, 1, 1, 1, 3, 1, 1, 1, 1, true};
static const struct dc_conv_attributes depthwise = {9, 3, 3, 1, 1, 1, 1, 9, 1, 1, 1, 1, true};
static const struct dc_conv_attributes pointwise = {17, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, false};
static const struct dc_dense_attributes dense = {.units = 10, .bias = true};
static const struct dc_batch_norm_attributes norm = {.epsilon = 1e-3f, .momentum = 0.1f};
static const struct dc_pool_attributes pool = {3, 3, 2, 2, 0, 1, 0, 1, false, 0, 0, 0, 0};
static const struct dc_pad_attributes pad = {1, 0, 2, 1, 0, 3};
static const struct dc_slice_attributes slice = {.axis = 2, .begin = 1, .end = 5, .step = 2};
static const struct dc_reshape_attributes reshape = {.rank = 2, .dims = {-1, 3}};
static const struct dc_concat_attributes concat = {.axis = -1};
static const struct dc_dropout_attributes dropout = {.rate = 0.4f};

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
        while (i < CASES && cases[i].op != *op)
            i++;
        if (i == CASES)
            fail_msg("no case for %s", (*op)->name);
        assert_ptr_equal(dc_op_find((*op)->name), *op);
        assert_int_equal((*op)->attribute_bytes > 0, cases[i].attributes != NULL);
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
