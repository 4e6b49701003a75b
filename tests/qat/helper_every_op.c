#include "tests/qat/helper_every_op.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops/ops.h"
#include "core/random.h"

enum { CHANNELS = 6, RANKS = TEST_EVERY_RANK_MOST - TEST_EVERY_RANK_LEAST + 1, VARIANTS = 4 };

// A row's sizes by rank; the last axis is CHANNELS.
static const int64_t sizes[RANKS][TEST_EVERY_RANK_MOST - 1] = {
    {CHANNELS}, {4, CHANNELS}, {4, 5, CHANNELS}, {2, 3, 4, CHANNELS}};

union attributes {
    struct dc_conv_attributes conv;
    struct dc_conv_transpose_attributes transposed;
    struct dc_dense_attributes dense;
    struct dc_matmul_attributes matmul;
    struct dc_batch_norm_attributes batch_norm;
    struct dc_layer_norm_attributes layer_norm;
    struct dc_group_norm_attributes group_norm;
    struct dc_pool_attributes pool;
    struct dc_pad_attributes pad;
    struct dc_pad_axes_attributes pad_axes;
    struct dc_slice_attributes slice;
    struct dc_reshape_attributes reshape;
    struct dc_concat_attributes concat;
    struct dc_softmax_attributes softmax;
    struct dc_transpose_attributes transpose;
    struct dc_expand_attributes expand;
    struct dc_gather_attributes gather;
    struct dc_reduce_attributes reduce;
    struct dc_resize_attributes resize;
    struct dc_constant_attributes constant;
    struct dc_leaky_relu_attributes leaky_relu;
    struct dc_hard_sigmoid_attributes hard_sigmoid;
    struct dc_clip_attributes clip;
    struct dc_pow_attributes pow;
    struct dc_dropout_attributes dropout;
};

typedef void filler(union attributes *a, int rank, int variant);

static const int64_t *dims_of(int rank)
{
    return sizes[rank - TEST_EVERY_RANK_LEAST];
}

// Plain, depthwise, strided and dilated, in groups.
static void fill_conv(union attributes *a, int rank, int variant)
{
    (void)rank;
    a->conv = (struct dc_conv_attributes){.window = {.kernel = {3, 3},
                                                     .stride = {1, 1},
                                                     .dilation = {1, 1},
                                                     .before = {1, 1},
                                                     .after = {1, 1}},
                                          .filters = CHANNELS,
                                          .groups = 1,
                                          .bias = true};
    a->conv.groups = variant == 2 ? CHANNELS : variant == 4 ? 2 : 1;
    if (variant == 3)
        a->conv.window.stride[0] = a->conv.window.dilation[1] = 2;
}

static void fill_transposed(union attributes *a, int rank, int variant)
{
    fill_conv(a, rank, variant);
}

static void fill_dense(union attributes *a, int rank, int variant)
{
    (void)rank;
    a->dense = (struct dc_dense_attributes){variant == 1 ? 5 : 1, variant == 1};
}

static void fill_matmul(union attributes *a, int rank, int variant)
{
    (void)rank;
    a->matmul = (struct dc_matmul_attributes){.transpose_b = variant == 1,
                                              .transpose_a = variant == 2};
}

static void fill_norm(union attributes *a, int rank, int variant)
{
    (void)rank;
    (void)variant;
    a->batch_norm = (struct dc_batch_norm_attributes){1e-3f, 0.1f};
}

static void fill_layer_norm(union attributes *a, int rank, int variant)
{
    (void)rank;
    a->layer_norm = (struct dc_layer_norm_attributes){variant, 1e-5f, true};
}

static void fill_group_norm(union attributes *a, int rank, int variant)
{
    (void)rank;
    a->group_norm = (struct dc_group_norm_attributes){variant, 1e-5f};
}

// Halves, overlapping and padded, over the whole map, and one that counts its padding.
static void fill_pool(union attributes *a, int rank, int variant)
{
    const int64_t *d = dims_of(rank);
    a->pool = (struct dc_pool_attributes){
        .window = {.kernel = {2, 2}, .stride = {2, 2}, .dilation = {1, 1}}};
    if (variant == 2 || variant == 4)
        a->pool = (struct dc_pool_attributes){.window = {.kernel = {3, 3},
                                                         .stride = {1, 1},
                                                         .dilation = {1, 1},
                                                         .before = {1, 1},
                                                         .after = {1, 1}},
                                              .count_padding = variant == 4};
    if (variant == 3)
        a->pool = (struct dc_pool_attributes){
            .window = {.kernel = {(int)d[0], (int)d[1]}, .stride = {1, 1}, .dilation = {1, 1}}};
}

static void fill_pad(union attributes *a, int rank, int variant)
{
    (void)rank;
    a->pad = variant == 1 ? (struct dc_pad_attributes){1, 0, 2, 1, 0, 0}
                          : (struct dc_pad_attributes){0, 0, 0, 0, 1, 2};
}

static void fill_pad_axes(union attributes *a, int rank, int variant)
{
    (void)rank;
    a->pad_axes.before[variant - 1] = 1;
}

static void fill_slice(union attributes *a, int rank, int variant)
{
    a->slice = (struct dc_slice_attributes){variant, 1,
                                            variant < rank ? dims_of(rank)[variant - 1] : 2, 1};
}

// Flat; sizes the other way around; one more axis; one axis less.
static void fill_reshape(union attributes *a, int rank, int variant)
{
    const int64_t *d = dims_of(rank);
    a->reshape.rank = variant == 1 ? 1 : variant == 3 ? rank : rank - 1;
    for (int i = 0; i < rank - 1; i++)
        a->reshape.dims[i] = variant == 2 ? d[rank - 2 - i] : d[i];
    if (variant == 1)
        a->reshape.dims[0] = -1;
    if (variant == 3)
        a->reshape.dims[rank - 1] = 1;
    if (variant == 4 && rank > 2) {
        a->reshape.rank = rank - 2;
        a->reshape.dims[rank - 3] = -1;
    }
}

static void fill_concat(union attributes *a, int rank, int variant)
{
    (void)rank;
    a->concat.axis = variant;
}

static void fill_softmax(union attributes *a, int rank, int variant)
{
    (void)rank;
    a->softmax.axis = variant;
}

static void fill_transpose(union attributes *a, int rank, int variant)
{
    for (int i = 0; i < rank; i++)
        a->transpose.axes[i] = i;
    a->transpose.axes[variant] = rank - 1;
    a->transpose.axes[rank - 1] = variant;
}

static void fill_expand(union attributes *a, int rank, int variant)
{
    (void)variant;
    a->expand.rank = rank;
    a->expand.dims[0] = 2;
    memcpy(a->expand.dims + 1, dims_of(rank), sizeof(int64_t) * (size_t)(rank - 1));
}

static void fill_gather(union attributes *a, int rank, int variant)
{
    (void)rank;
    a->gather = (struct dc_gather_attributes){variant, 2};
}

static void fill_reduce(union attributes *a, int rank, int variant)
{
    (void)rank;
    a->reduce = (struct dc_reduce_attributes){1u << variant, true};
}

static void fill_resize(union attributes *a, int rank, int variant)
{
    (void)rank;
    a->resize = (struct dc_resize_attributes){
        .height = 8, .width = 10, .mode = variant == 1 ? DC_RESIZE_LINEAR : DC_RESIZE_FLOOR};
}

static void fill_constant(union attributes *a, int rank, int variant)
{
    (void)variant;
    a->constant.shape = (struct dc_shape){.rank = rank, .dims = {1}};
    memcpy(a->constant.shape.dims + 1, dims_of(rank), sizeof(int64_t) * (size_t)(rank - 1));
    a->constant.role = DC_ROLE_STATISTIC;
}

static void fill_numbers(union attributes *a, int rank, int variant)
{
    (void)rank;
    (void)variant;
    a->clip = (struct dc_clip_attributes){0.1f, 0.7f};  // slope, alpha and beta, exponent, rate
}

// variants AXES: one for each axis of a row.
enum { AXES = -1 };
static const struct {
    const struct dc_op *op;
    filler *fill;  // NULL: no attributes
    int variants, inputs;
} rows[] = {
    {&dc_op_conv, fill_conv, 4, 1},
    {&dc_op_conv_transpose, fill_transposed, 1, 1},
    {&dc_op_dense, fill_dense, 2, 1},
    {&dc_op_matmul, fill_matmul, 2, 2},
    {&dc_op_batch_norm, fill_norm, 1, 1},
    {&dc_op_layer_norm, fill_layer_norm, AXES, 1},
    {&dc_op_group_norm, fill_group_norm, 2, 1},
    {&dc_op_relu, NULL, 1, 1},
    {&dc_op_relu6, NULL, 1, 1},
    {&dc_op_clip, fill_numbers, 1, 1},
    {&dc_op_leaky_relu, fill_numbers, 1, 1},
    {&dc_op_prelu, NULL, 1, 1},
    {&dc_op_sigmoid, NULL, 1, 1},
    {&dc_op_hard_sigmoid, fill_numbers, 1, 1},
    {&dc_op_tanh, NULL, 1, 1},
    {&dc_op_h_swish, NULL, 1, 1},
    {&dc_op_silu, NULL, 1, 1},
    {&dc_op_elu, fill_numbers, 1, 1},
    {&dc_op_softplus, NULL, 1, 1},
    {&dc_op_gelu, NULL, 1, 1},
    {&dc_op_gelu_tanh, NULL, 1, 1},
    {&dc_op_erf, NULL, 1, 1},
    {&dc_op_exp, NULL, 1, 1},
    {&dc_op_log, NULL, 1, 1},
    {&dc_op_sqrt, NULL, 1, 1},
    {&dc_op_pow, fill_numbers, 1, 1},
    {&dc_op_negate, NULL, 1, 1},
    {&dc_op_abs, NULL, 1, 1},
    {&dc_op_reciprocal, NULL, 1, 1},
    {&dc_op_softmax, fill_softmax, AXES, 1},
    {&dc_op_dropout, fill_numbers, 1, 1},
    {&dc_op_add, NULL, 1, 2},
    {&dc_op_broadcast_add, NULL, 1, 2},
    {&dc_op_subtract, NULL, 1, 2},
    {&dc_op_multiply, NULL, 1, 2},
    {&dc_op_divide, NULL, 1, 2},
    {&dc_op_maximum, NULL, 1, 2},
    {&dc_op_minimum, NULL, 1, 2},
    {&dc_op_max_pool, fill_pool, 3, 1},
    {&dc_op_average_pool, fill_pool, 4, 1},
    {&dc_op_global_average_pool, NULL, 1, 1},
    {&dc_op_reduce_mean, fill_reduce, AXES, 1},
    {&dc_op_reduce_sum, fill_reduce, AXES, 1},
    {&dc_op_reduce_max, fill_reduce, AXES, 1},
    {&dc_op_constant, fill_constant, 1, 0},
    {&dc_op_concat, fill_concat, AXES, 2},
    {&dc_op_pad, fill_pad, 2, 1},
    {&dc_op_pad_axes, fill_pad_axes, AXES, 1},
    {&dc_op_slice, fill_slice, AXES, 1},
    {&dc_op_flatten, NULL, 1, 1},
    {&dc_op_reshape, fill_reshape, 4, 1},
    {&dc_op_transpose, fill_transpose, AXES, 1},
    {&dc_op_expand, fill_expand, 1, 1},
    {&dc_op_gather, fill_gather, AXES, 1},
    {&dc_op_resize, fill_resize, 2, 1},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static const struct dc_op *const *table(void)
{
    return dc_op_table();
}

static int row_of(const struct dc_op *op)
{
    for (int i = 0; i < ROWS; i++)
        if (rows[i].op == op)
            return i;
    return -1;
}

int test_every_count(void)
{
    int count = 0;
    for (; table()[count]; count++)
        if (row_of(table()[count]) < 0)
            return 0;
    return count == ROWS ? count * 2 * RANKS * VARIANTS : 0;
}

static bool add(struct test_every *e, const char *name, const struct dc_op *op,
                const void *attributes, const int *inputs, int count, int *node)
{
    struct dc_error error;
    return dc_graph_add(e->graph, name, op, attributes, attributes ? op->attribute_bytes : 0,
                        inputs, count, node, &error) == DC_OK;
}

// Near 0 these enlarge what is left of rounding, and below 0 most have no value.
static bool of_positive(const struct dc_op *op)
{
    return op == &dc_op_divide || op == &dc_op_reciprocal || op == &dc_op_log ||
           op == &dc_op_sqrt || op == &dc_op_pow;
}

static bool build(struct test_every *e, int row)
{
    union attributes a = {0};
    const struct dc_dense_attributes dense = {CHANNELS, true};
    const int image = 0;
    int inputs[2] = {0, 0}, node = -1;
    bool good = true;
    if (rows[row].fill)
        rows[row].fill(&a, e->rank, e->variant);
    if (e->behind || rows[row].inputs != 1)
        good = add(e, "dense", &dc_op_dense, &dense, &image, 1, &inputs[0]);
    if (e->behind && rows[row].inputs == 2)
        good = good && add(e, "relu", &dc_op_relu, NULL, &inputs[0], 1, &inputs[0]);
    if (rows[row].inputs == 2)
        good = good && add(e, "other", &dc_op_dense, &dense, &image, 1, &inputs[1]);
    if (of_positive(e->op))
        good = good && add(e, "sigmoid", &dc_op_sigmoid, NULL, &inputs[rows[row].inputs - 1], 1,
                           &inputs[rows[row].inputs - 1]);
    good = good && add(e, "op", e->op, rows[row].fill ? &a : NULL, inputs, rows[row].inputs, &node);
    e->output = node;
    if (rows[row].inputs == 0) {  // a constant is read by a sum
        inputs[1] = node;
        good = good && add(e, "sum", &dc_op_broadcast_add, NULL, inputs, 2, &e->output);
    }
    return good;
}

bool test_every_asks(const struct test_every *e)
{
    const int variants = rows[row_of(e->op)].variants;
    return e->variant <= (variants == AXES ? e->rank - 1 : variants);
}

void test_every_make(struct test_every *e, int index)
{
    struct dc_error error;
    struct dc_shape shape = {.dims = {DC_BATCH}};
    int image;
    *e = (struct test_every){.variant = 1 + index % VARIANTS};
    index /= VARIANTS;
    e->rank = TEST_EVERY_RANK_LEAST + index % RANKS;
    index /= RANKS;
    e->behind = index % 2 == 1;
    e->op = table()[index / 2];
    const int row = row_of(e->op);
    snprintf(e->name, sizeof e->name, "%s%s, rank %d, variant %d", e->op->name,
             e->behind ? " behind dense" : "", e->rank, e->variant);
    if (!test_every_asks(e))
        return;
    shape.rank = e->rank;
    memcpy(shape.dims + 1, dims_of(e->rank), sizeof(int64_t) * (size_t)(e->rank - 1));
    assert_int_equal(dc_graph_create(&e->graph, &error), DC_OK);
    assert_int_equal(dc_graph_add_input(e->graph, "image", DC_F32, &shape, &image, &error), DC_OK);
    if (build(e, row))
        return;
    dc_graph_free(e->graph);
    e->graph = NULL;
}

void test_every_free(struct test_every *e)
{
    dc_graph_free(e->graph);
    e->graph = NULL;
}

void test_every_params(struct dc_params *params)
{
    for (int i = 0; i < params->count; i++) {
        const struct dc_slice *s = &params->slices[i];
        float *v = params->value + s->offset;
        struct dc_random random;
        dc_random_start(&random, 41, DC_PURPOSE_TEST, 0, dc_hash_name(s->name));
        const int64_t channels = s->shape.dims[s->shape.rank - 1];
        const bool spread = strstr(s->name, "variance") || strstr(s->name, "gamma");
        const bool indices = strstr(s->name, "indices") != NULL;
        for (int64_t k = 0; k < s->count && s->role != DC_ROLE_OBSERVER; k++) {
            const int code = (int)dc_random_below(&random, 255) - 127;
            v[k] = spread    ? dc_random_between(&random, 0.5f, 1.5f)
                   : indices ? (float)(k % 2)
                             : (float)code * 0x1p-7f;
            if (s->role == DC_ROLE_WEIGHT && k < channels)
                v[k] = k % 2 ? 127.0f * 0x1p-7f : -127.0f * 0x1p-7f;
        }
    }
}
