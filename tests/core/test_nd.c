// Ops on values of any rank against their definitions in double precision: forward against the
// oracle, gradients against central differences of the oracle.

#include "helper_run.h"

#include <math.h>
#include <string.h>

#include "core/ops/ops.h"
#include "tests/oracles/oracles.h"

struct nd_case {
    const char *name;
    const struct dc_op *op;
    const void *attributes;
    int inputs;
    struct dc_shape in[2];
    oracle_function *oracle;
    struct oracle_call call;     // shapes are filled in
    double low, high;            // of the inputs; 0 and 0: -1 and 1
    double y_factor, dx_factor;  // roundings
    bool linear;  // in each input: errors are relative to the sum of absolute terms, else to 1 too
    bool any_bits;  // they depend on the level: sums are fused
};

#define ATTRIBUTES(type, ...) (&(const struct dc_##type##_attributes){__VA_ARGS__})

static double oracle_sum(double a, double b)
{
    return a + b;
}

static double oracle_difference(double a, double b)
{
    return a - b;
}

static double oracle_product(double a, double b)
{
    return a * b;
}

static double oracle_quotient(double a, double b)
{
    return a / b;
}

// One function of one value: results are rounded once, and so is the product with the gradient.
#define FUNCTION_CASE(op_, attributes_, low_, high_, ...)                                          \
    {                                                                                              \
        .name = #op_, .op = &dc_op_##op_, .attributes = attributes_, .inputs = 1,                  \
        .in = {{3, {5, 9, 7}}}, .oracle = oracle_nd_map, .call = {__VA_ARGS__}, .low = low_,       \
        .high = high_, .y_factor = 1.0, .dx_factor = 2.0                                           \
    }

static const struct nd_case function_cases[] = {
    FUNCTION_CASE(leaky_relu, ATTRIBUTES(leaky_relu, 0.1f), -3, 3, .one = oracle_leaky,
                  .r = {(double)0.1f}),
    FUNCTION_CASE(hard_sigmoid, ATTRIBUTES(hard_sigmoid, 0.25f, 0.5f), -4, 4,
                  .one = oracle_hard_sigmoid, .r = {0.25, 0.5}),
    FUNCTION_CASE(clip, ATTRIBUTES(clip, -0.5f, 1.25f), -3, 3, .one = oracle_clip,
                  .r = {-0.5, 1.25}),
    FUNCTION_CASE(silu, NULL, -9, 9, .one = oracle_silu),
    FUNCTION_CASE(elu, ATTRIBUTES(elu, 0.75f), -9, 3, .one = oracle_elu, .r = {0.75}),
    FUNCTION_CASE(softplus, NULL, -30, 9, .one = oracle_softplus),
    FUNCTION_CASE(gelu, NULL, -6, 6, .one = oracle_gelu),
    FUNCTION_CASE(gelu_tanh, NULL, -6, 6, .one = oracle_gelu_tanh),
    FUNCTION_CASE(erf, NULL, -4, 4, .one = oracle_erf),
    FUNCTION_CASE(exp, NULL, -4, 1, .one = oracle_exp),
    FUNCTION_CASE(log, NULL, 0.5, 9, .one = oracle_log),
    FUNCTION_CASE(sqrt, NULL, 0.5, 9, .one = oracle_sqrt),
    FUNCTION_CASE(pow, ATTRIBUTES(pow, 3.0f), -1, 1, .one = oracle_pow, .r = {3.0}),
    FUNCTION_CASE(pow, ATTRIBUTES(pow, -0.5f), 0.5, 2, .one = oracle_pow, .r = {-0.5}),
    FUNCTION_CASE(pow, ATTRIBUTES(pow, 1.7f), 0.5, 2, .one = oracle_pow, .r = {(double)1.7f}),
    FUNCTION_CASE(negate, NULL, -1, 1, .one = oracle_negate),
    FUNCTION_CASE(abs, NULL, -1, 1, .one = oracle_abs),
    FUNCTION_CASE(reciprocal, NULL, 1, 3, .one = oracle_reciprocal),
    {.name = "prelu",
     .op = &dc_op_prelu,
     .inputs = 1,
     .in = {{4, {5, 3, 2, 7}}},
     .oracle = oracle_nd_prelu,
     .y_factor = 1,
     .dx_factor = 40},
    {.name = "softmax, last axis",
     .op = &dc_op_softmax,
     .inputs = 1,
     .in = {{3, {3, 4, 21}}},
     .oracle = oracle_nd_softmax,
     .call = {.n = {2}},
     .low = -5,
     .high = 5,
     .y_factor = 2,
     .dx_factor = 4},
    {.name = "softmax, a middle axis",
     .op = &dc_op_softmax,
     .attributes = ATTRIBUTES(softmax, -2),
     .inputs = 1,
     .in = {{4, {3, 2, 11, 3}}},
     .oracle = oracle_nd_softmax,
     .call = {.n = {2}},
     .low = -5,
     .high = 5,
     .y_factor = 2,
     .dx_factor = 4},
};

// A constant has one row. An input's gradient is the sum of up to all outputs.
#define TWO_CASE(name_, op_, two_, a_, b_, low_)                                                   \
    {                                                                                              \
        .name = name_, .op = &dc_op_##op_, .inputs = 2, .in = {a_, b_}, .oracle = oracle_nd_two,   \
        .call = {.two = two_}, .low = low_, .high = 1.5, .y_factor = 1.0, .dx_factor = 130.0       \
    }
#define ND(...)                                                                                    \
    {                                                                                              \
        (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)),                                         \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define AS_IS(...) __VA_ARGS__

static const struct nd_case two_cases[] = {
    TWO_CASE("equal shapes", broadcast_add, oracle_sum, AS_IS(ND(5, 3, 4)), AS_IS(ND(5, 3, 4)), -1),
    TWO_CASE("channels", broadcast_add, oracle_sum, AS_IS(ND(5, 2, 3, 7)), AS_IS(ND(1, 7)), -1),
    TWO_CASE("gates", multiply, oracle_product, AS_IS(ND(5, 2, 3, 4)), AS_IS(ND(5, 1, 1, 4)), -1),
    TWO_CASE("a mask first", multiply, oracle_product, AS_IS(ND(1, 3, 1)), AS_IS(ND(5, 3, 9)), -1),
    TWO_CASE("outer", subtract, oracle_difference, AS_IS(ND(3, 4, 1)), AS_IS(ND(3, 1, 5)), -1),
    TWO_CASE("a scalar", divide, oracle_quotient, AS_IS(ND(5, 2, 9)), AS_IS(ND(1, 1)), 0.5),
    TWO_CASE("a middle axis", divide, oracle_quotient, AS_IS(ND(3, 2, 5, 3)), AS_IS(ND(3, 2, 1, 3)),
             0.5),
    TWO_CASE("ranks", maximum, fmax, AS_IS(ND(3, 4)), AS_IS(ND(3, 2, 3, 4)), -1),
    TWO_CASE("an axis between", multiply, oracle_product, AS_IS(ND(3, 2, 4, 3)), AS_IS(ND(3, 4, 1)),
             -1),
    TWO_CASE("minimum", minimum, fmin, AS_IS(ND(37, 3)), AS_IS(ND(1, 3)), -1),
};

#define PRODUCT_CASE(name_, m_, k_, n_, a_, b_, ta_, tb_)                                          \
    {                                                                                              \
        .name = name_, .op = &dc_op_matmul, .attributes = ATTRIBUTES(matmul, ta_, tb_),            \
        .inputs = 2, .in = {a_, b_}, .oracle = oracle_nd_matmul, .call = {.n = {ta_, tb_}},        \
        .y_factor = k_ + 1, .dx_factor = 9 * (m_ + n_), .linear = true, .any_bits = true           \
    }

static const struct dc_conv_transpose_attributes up2 = {
    {.window = {.kernel = {2, 2}, .stride = {2, 2}, .dilation = {1, 1}},
     .filters = 6,
     .groups = 1,
     .bias = true},
    0,
    0};
static const struct dc_conv_transpose_attributes up3 = {{.window = {.kernel = {3, 3},
                                                                    .stride = {2, 2},
                                                                    .dilation = {1, 1},
                                                                    .before = {1, 1},
                                                                    .after = {1, 1}},
                                                         .filters = 4,
                                                         .groups = 2,
                                                         .bias = true},
                                                        1,
                                                        1};
static const struct dc_conv_transpose_attributes wide = {
    {.window = {.kernel = {3, 2}, .stride = {1, 3}, .dilation = {2, 1}, .before = {1, 2}},
     .filters = 3,
     .groups = 1},
    0,
    2};
static const struct dc_conv_transpose_attributes deep = {{.window = {.kernel = {3, 3},
                                                                     .stride = {2, 1},
                                                                     .dilation = {1, 1},
                                                                     .before = {1, 1},
                                                                     .after = {1, 0}},
                                                          .filters = 5,
                                                          .groups = 5,
                                                          .bias = true},
                                                         0,
                                                         0};

#define TRANSPOSE_CASE(a_, h_, w_, c_, ...)                                                        \
    {                                                                                              \
        .name = "conv_transpose " #a_, .op = &dc_op_conv_transpose, .attributes = &a_,             \
        .inputs = 1, .in = {{4, {3, h_, w_, c_}}}, .oracle = oracle_nd_conv_transpose,             \
        .call = {.n = {__VA_ARGS__}}, .y_factor = 60, .dx_factor = 110, .linear = true,            \
        .any_bits = true                                                                           \
    }

static const struct nd_case product_cases[] = {
    PRODUCT_CASE("plain", 3, 5, 4, AS_IS(ND(5, 3, 5)), AS_IS(ND(5, 5, 4)), false, false),
    PRODUCT_CASE("heads", 4, 3, 4, AS_IS(ND(3, 2, 4, 3)), AS_IS(ND(3, 2, 4, 3)), false, true),
    PRODUCT_CASE("transposed a", 2, 7, 3, AS_IS(ND(3, 7, 2)), AS_IS(ND(3, 7, 3)), true, false),
    PRODUCT_CASE("both", 5, 2, 3, AS_IS(ND(3, 2, 5)), AS_IS(ND(3, 3, 2)), true, true),
    PRODUCT_CASE("vectors", 1, 1, 1, AS_IS(ND(5, 1, 1)), AS_IS(ND(5, 1, 1)), true, true),
    PRODUCT_CASE("a constant", 3, 4, 18, AS_IS(ND(5, 3, 4)), AS_IS(ND(1, 4, 18)), false, false),
    PRODUCT_CASE("a constant first", 3, 4, 2, AS_IS(ND(1, 2, 3, 4)), AS_IS(ND(3, 2, 2, 4)), false,
                 true),
    PRODUCT_CASE("broadcast", 3, 2, 4, AS_IS(ND(3, 2, 1, 3, 2)), AS_IS(ND(3, 3, 2, 4)), false,
                 false),
    {.name = "dense on tokens",
     .op = &dc_op_dense,
     .attributes = ATTRIBUTES(dense, 5, true),
     .inputs = 1,
     .in = {ND(3, 4, 7)},
     .oracle = oracle_nd_dense,
     .y_factor = 8,
     .dx_factor = 14,
     .linear = true,
     .any_bits = true},
    {.name = "dense on windows",
     .op = &dc_op_dense,
     .attributes = ATTRIBUTES(dense, 17, false),
     .inputs = 1,
     .in = {ND(5, 2, 2, 3)},
     .oracle = oracle_nd_dense,
     .y_factor = 4,
     .dx_factor = 22,
     .linear = true,
     .any_bits = true},
    TRANSPOSE_CASE(up2, 3, 4, 5, 2, 2, 2, 2, 1, 1, 0, 0, 1),
    TRANSPOSE_CASE(up3, 4, 3, 6, 3, 3, 2, 2, 1, 1, 1, 1, 2),
    TRANSPOSE_CASE(wide, 4, 3, 2, 3, 2, 1, 3, 2, 1, 1, 2, 1),
    TRANSPOSE_CASE(deep, 3, 4, 5, 3, 3, 2, 1, 1, 1, 1, 1, 5),
};

#define REDUCE_CASE(op_, mask_, keep_, kind_, ...)                                                 \
    {                                                                                              \
        .name = #op_ " " #mask_, .op = &dc_op_##op_,                                               \
        .attributes = ATTRIBUTES(reduce, mask_, keep_), .inputs = 1, .in = {ND(__VA_ARGS__)},      \
        .oracle = oracle_nd_reduce, .call = {.n = {mask_, kind_}}, .y_factor = 40, .dx_factor = 3, \
        .linear = kind_ != 2                                                                       \
    }
#define MOVE_CASE(name_, op_, attributes_, in_, ...)                                               \
    {                                                                                              \
        .name = name_, .op = &dc_op_##op_, .attributes = attributes_, .inputs = 1, .in = {in_},    \
        .oracle = oracle_nd_##op_, .call = {__VA_ARGS__}, .y_factor = 0, .dx_factor = 20,          \
        .linear = true                                                                             \
    }
#define oracle_nd_pad_axes oracle_nd_pad

static const struct nd_case move_cases[] = {
    REDUCE_CASE(reduce_mean, 6, true, 1, 5, 3, 4, 7),
    REDUCE_CASE(reduce_mean, 2, false, 1, 5, 3, 4),
    REDUCE_CASE(reduce_sum, 8, false, 0, 3, 2, 3, 9),
    REDUCE_CASE(reduce_sum, 10, true, 0, 3, 5, 3, 4),
    REDUCE_CASE(reduce_max, 6, false, 2, 5, 3, 4, 7),
    REDUCE_CASE(reduce_max, 4, true, 2, 37, 2, 5),
    MOVE_CASE("heads", transpose, ATTRIBUTES(transpose, {0, 2, 1, 3}), AS_IS(ND(5, 3, 2, 4)),
              .n = {0, 2, 1, 3}),
    MOVE_CASE("last", transpose, ATTRIBUTES(transpose, {0, 2, 1}), AS_IS(ND(3, 5, 7)),
              .n = {0, 2, 1}),
    MOVE_CASE("windows", transpose, ATTRIBUTES(transpose, {0, 1, 3, 2, 4, 5}),
              AS_IS(ND(2, 2, 3, 2, 2, 3)), .n = {0, 1, 3, 2, 4, 5}),
    MOVE_CASE("token", expand, ATTRIBUTES(expand, 2, {3, 4}), AS_IS(ND(5, 1, 4)), .n = {0}),
    MOVE_CASE("rank", expand, ATTRIBUTES(expand, 3, {2, 3, 4}), AS_IS(ND(5, 3, 1)), .n = {0}),
    MOVE_CASE("take", gather, ATTRIBUTES(gather, 1, 4), AS_IS(ND(5, 3, 4)), .n = {1, 2, 0, 2, 1}),
    MOVE_CASE("take last", gather, ATTRIBUTES(gather, -1, 2), AS_IS(ND(3, 2, 5)), .n = {2, 4, 1}),
    MOVE_CASE("zeros", pad_axes, ATTRIBUTES(pad_axes, {1, 0, 2}, {0, 3, 1}, DC_PAD_CONSTANT, 0.0f),
              AS_IS(ND(3, 2, 3, 2)), .n = {1, 0, 2}),
    MOVE_CASE("reflect", pad_axes, ATTRIBUTES(pad_axes, {2, 1}, {1, 3}, DC_PAD_REFLECT, 0.0f),
              AS_IS(ND(3, 3, 4)), .n = {2, 1, [7] = 1}),
    MOVE_CASE("edge", pad_axes, ATTRIBUTES(pad_axes, {0, 4, 0}, {5, 1, 0}, DC_PAD_EDGE, 0.0f),
              AS_IS(ND(3, 2, 3, 2)), .n = {0, 4, 0, [7] = 2}),
    MOVE_CASE("down", slice, ATTRIBUTES(slice, 1, 4, -1, -1), AS_IS(ND(3, 5, 3)), .n = {1, 4, -1}),
    MOVE_CASE("down by 2", slice, ATTRIBUTES(slice, -1, 5, 0, -2), AS_IS(ND(3, 2, 7)),
              .n = {2, 5, -2}),
};

#define RESIZE_CASE(h_, w_, oh_, ow_, mode_, coordinates_, mode_n, coordinates_n, scale_)          \
    {                                                                                              \
        .name = #mode_ " " #coordinates_, .op = &dc_op_resize,                                     \
        .attributes = ATTRIBUTES(resize, oh_, ow_, scale_, scale_, coordinates_, mode_),           \
        .inputs = 1, .in = {ND(2, h_, w_, 3)}, .oracle = oracle_nd_resize,                         \
        .call = {.n = {mode_n, coordinates_n}, .r = {scale_, scale_}}, .y_factor = 6,              \
        .dx_factor = 60, .linear = true                                                            \
    }
#define NORM_CASE(op_, attributes_, kind_, number_, ...)                                           \
    {                                                                                              \
        .name = #op_, .op = &dc_op_##op_, .attributes = attributes_, .inputs = 1,                  \
        .in = {ND(__VA_ARGS__)}, .oracle = oracle_nd_norm,                                         \
        .call = {.n = {kind_, number_}, .r = {(double)1e-3f}}, .y_factor = 2, .dx_factor = 40      \
    }
#define POOL_CASE(op_, kind_, count_, dh, dw, ub, ur)                                              \
    {                                                                                              \
        .name = #op_, .op = &dc_op_##op_,                                                          \
        .attributes = ATTRIBUTES(pool,                                                             \
                                 .window = {.kernel = {3, 2},                                      \
                                            .stride = {2, 2},                                      \
                                            .dilation = {dh, dw},                                  \
                                            .before = {1, 1},                                      \
                                            .after = {2, 2}},                                      \
                                 .count_padding = count_, .uncounted = {ub, ur}),                  \
        .inputs = 1, .in = {ND(3, 7, 6, 3)}, .oracle = oracle_nd_pool,                             \
        .call = {.n = {kind_, 3, 2, 2, 2, dh, dw, 1, 1, 2 - ub, 2 - ur}}, .y_factor = 8,           \
        .dx_factor = 12                                                                            \
    }

static const struct nd_case other_cases[] = {
    NORM_CASE(layer_norm, ATTRIBUTES(layer_norm, 1, 1e-3f, true), 0, 1, 3, 4, 9),
    NORM_CASE(layer_norm, ATTRIBUTES(layer_norm, 2, 1e-3f, true), 0, 2, 3, 2, 3, 5),
    NORM_CASE(layer_norm, ATTRIBUTES(layer_norm, 3, 1e-3f, false), 0, 3, 3, 2, 3, 3),
    NORM_CASE(group_norm, ATTRIBUTES(group_norm, 2, 1e-3f), 1, 2, 3, 3, 2, 6),
    NORM_CASE(group_norm, ATTRIBUTES(group_norm, 4, 1e-3f), 1, 4, 3, 3, 3, 4),
    RESIZE_CASE(3, 4, 6, 8, DC_RESIZE_LINEAR, DC_HALF_PIXEL, 0, 0, 0),
    RESIZE_CASE(5, 4, 3, 7, DC_RESIZE_LINEAR, DC_ALIGN_CORNERS, 0, 3, 0),
    RESIZE_CASE(5, 4, 1, 6, DC_RESIZE_LINEAR, DC_PYTORCH_HALF_PIXEL, 0, 1, 0),
    RESIZE_CASE(4, 4, 9, 9, DC_RESIZE_LINEAR, DC_ASYMMETRIC, 0, 2, 2.3),
    RESIZE_CASE(3, 4, 6, 8, DC_RESIZE_FLOOR, DC_ASYMMETRIC, 3, 2, 0),
    RESIZE_CASE(5, 6, 2, 4, DC_RESIZE_ROUND_DOWN, DC_HALF_PIXEL, 1, 0, 0),
    RESIZE_CASE(5, 6, 10, 4, DC_RESIZE_ROUND_UP, DC_HALF_PIXEL, 2, 0, 0),
    RESIZE_CASE(5, 6, 7, 13, DC_RESIZE_CEIL, DC_ASYMMETRIC, 4, 2, 0),
    POOL_CASE(max_pool, 0, false, 1, 1, 0, 0),
    POOL_CASE(max_pool, 0, false, 2, 2, 0, 0),
    POOL_CASE(average_pool, 1, false, 2, 1, 0, 0),
    POOL_CASE(average_pool, 2, true, 1, 1, 1, 1),
    POOL_CASE(average_pool, 2, true, 1, 2, 2, 0),
};

struct arrays {
    double *x[2], *p[2];
    int counts[2], p_counts[2], outputs;
};

static void call_oracle(double *y, const struct nd_case *c, const struct oracle_call *call,
                        const struct arrays *a)
{
    const double *const x[2] = {a->x[0], a->x[1]}, *const p[2] = {a->p[0], a->p[1]};
    c->oracle(y, x, p, call);
}

// d[i] = sum_o g_o dy_o / dv_i and the sum of its terms' sizes, dy / dv by central differences.
static void differences(struct run *run, double **d, double **size, double *v, int count,
                        const struct nd_case *c, const struct oracle_call *call,
                        const struct arrays *a)
{
    const double h = 1e-4;
    double *above = run_doubles(run, a->outputs), *below = run_doubles(run, a->outputs);
    *d = run_doubles(run, count);
    *size = run_doubles(run, count);
    for (int i = 0; i < count; i++) {
        const double keep = v[i];
        v[i] = keep + h;
        call_oracle(above, c, call, a);
        v[i] = keep - h;
        call_oracle(below, c, call, a);
        v[i] = keep;
        (*size)[i] = c->linear ? 0.0 : 1.0;
        for (int o = 0; o < a->outputs; o++) {
            const double term = (double)dc_f32(&run->call.d_out)[o] * (above[o] - below[o]) /
                                (2 * h);
            (*d)[i] += term;
            (*size)[i] += fabs(term);
        }
    }
}

static struct oracle_nd nd_of(const struct dc_shape *shape)
{
    struct oracle_nd nd = {.rank = shape->rank};
    for (int k = 0; k < shape->rank; k++)
        nd.dims[k] = (int)shape->dims[k];
    return nd;
}

static void open_case(struct run *run, const struct nd_case *c, struct oracle_call *call,
                      struct arrays *a)
{
    run_open(run, c->op, c->attributes, c->in, c->inputs);
    *call = c->call;
    call->out = nd_of(&run->call.out.shape);
    *a = (struct arrays){.outputs = (int)dc_shape_count(&run->call.out.shape)};
    for (int i = 0; i < c->inputs; i++) {
        const int64_t count = dc_shape_count(&c->in[i]);
        if (c->low < c->high)
            run_fill(dc_f32(&run->call.in[i]), count, c->low, c->high, (uint32_t)(31 + i));
        call->in[i] = nd_of(&c->in[i]);
        a->x[i] = run_wide(run, dc_f32(&run->call.in[i]), count);
        a->counts[i] = (int)count;
    }
    for (int k = 0; k < run->node.param_count; k++) {
        const int64_t count = dc_shape_count(&run->specs[k].shape);
        for (int64_t i = 0; c->op == &dc_op_gather && i < count; i++)
            run->before_param[k][i] = (float)c->call.n[1 + i];
        a->p[k] = run_wide(run, run->call.param[k], count);
        a->p_counts[k] = (int)count;
    }
}

static void check_case(const struct nd_case *c)
{
    struct run run;
    struct oracle_call call;
    struct arrays a;
    open_case(&run, c, &call, &a);
    double *y = run_doubles(&run, a.outputs), *size = run_doubles(&run, a.outputs);
    struct expected e = {.mode = DC_TRAINING,
                         .y_factor = c->y_factor,
                         .dx_factor = c->dx_factor,
                         .dp_factor = 9 * c->dx_factor,
                         .y = y,
                         .y_magnitude = size,
                         .same_bits = !c->any_bits};
    call_oracle(y, c, &call, &a);
    struct arrays absolute = a;
    for (int i = 0; c->linear && i < 2; i++) {
        absolute.x[i] = a.x[i] ? run_absolute(&run, dc_f32(&run.call.in[i]), a.counts[i]) : NULL;
        absolute.p[i] = a.p[i] ? run_absolute(&run, run.call.param[i], a.p_counts[i]) : NULL;
    }
    call_oracle(size, c, &call, &absolute);
    for (int i = 0; i < a.outputs; i++)
        size[i] = c->linear ? size[i] : 1.0 + fabs(y[i]);
    double *d, *d_size;
    for (int i = 0; i < 2; i++) {
        if (a.x[i]) {
            differences(&run, &d, &d_size, a.x[i], a.counts[i], c, &call, &a);
            e.dx[i] = d;
            e.dx_magnitude[i] = d_size;
        }
        if (a.p[i] && run.call.d_param[i]) {
            differences(&run, &d, &d_size, a.p[i], a.p_counts[i], c, &call, &a);
            e.dp[i] = d;
            e.dp_magnitude[i] = d_size;
        }
    }
    run_check(&run, &e, c->name);
    run_close(&run);
}

#define CHECK(name, cases)                                                                         \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)                                \
            check_case(&cases[i]);                                                                 \
    }

CHECK(functions_match_definitions, function_cases)
CHECK(ops_of_two_values_match_definitions, two_cases)
CHECK(products_match_definitions, product_cases)
CHECK(moves_match_definitions, move_cases)
CHECK(norms_resizes_and_pools_match_definitions, other_cases)

// In every function and reduction; softmax: the whole line.
static void nan_survives(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof function_cases / sizeof function_cases[0]; i++) {
        struct run run;
        run_open(&run, function_cases[i].op, function_cases[i].attributes, function_cases[i].in, 1);
        struct dc_ctx *ctx = run_context(dc_isa_detected(), 1);
        dc_f32(&run.call.in[0])[11] = NAN;
        run_forward(&run, ctx, DC_TRAINING);
        run_backward(&run, ctx, false);
        if (!isnan(dc_f32(&run.call.out)[11]))
            fail_msg("%s drops a NaN", function_cases[i].name);
        if (dc_f32(&run.call.d_in[0])[11] == 0.0f)
            fail_msg("%s hides the gradient at NaN", function_cases[i].name);
        dc_ctx_free(ctx);
        run_close(&run);
    }
    const struct dc_op *const two[] = {&dc_op_maximum, &dc_op_minimum, &dc_op_multiply};
    for (int i = 0; i < 6; i++) {
        struct run run;
        run_open(&run, two[i / 2], NULL, (struct dc_shape[]){DC_SHAPE(3, 5), DC_SHAPE(3, 5)}, 2);
        struct dc_ctx *ctx = run_context(dc_isa_detected(), 1);
        dc_f32(&run.call.in[i % 2])[7] = NAN;
        run_forward(&run, ctx, DC_INFERENCE);
        assert_true(isnan(dc_f32(&run.call.out)[7]) && !isnan(dc_f32(&run.call.out)[6]));
        dc_ctx_free(ctx);
        run_close(&run);
    }
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    const struct dc_shape image = DC_SHAPE(DC_BATCH, 4, 6, 8), row = DC_SHAPE(DC_BATCH);
    const struct dc_shape odd[] = {DC_SHAPE(DC_BATCH, 4, 3), DC_SHAPE(DC_BATCH, 2, 3)};
    const struct dc_shape constants[] = {DC_SHAPE(1, 3), DC_SHAPE(1, 3)};
    assert_refused(&dc_op_multiply, NULL, odd, 2, "[batch, 2, 3]");
    assert_refused(&dc_op_multiply, NULL, constants, 2, "must have the batch");
    assert_refused(&dc_op_matmul, ATTRIBUTES(matmul, false, false), odd, 2, "[batch, 4, 3] and");
    assert_refused(&dc_op_transpose, ATTRIBUTES(transpose, {0, 1, 1, 2}), &image, 1, "once");
    assert_refused(&dc_op_transpose, ATTRIBUTES(transpose, {1, 0, 2, 3}), &image, 1, "batch first");
    assert_refused(&dc_op_expand, ATTRIBUTES(expand, 3, {4, 3, 8}), &image, 1, "size is 1");
    assert_refused(&dc_op_gather, ATTRIBUTES(gather, 4, 1), &image, 1, "axis 4");
    assert_refused(&dc_op_pad_axes, ATTRIBUTES(pad_axes, {4}, {0}, DC_PAD_REFLECT, 0.0f), &image, 1,
                   "below");
    assert_refused(&dc_op_reduce_sum, ATTRIBUTES(reduce, 1, false), &image, 1, "mask 0x1");
    assert_refused(&dc_op_reduce_sum, ATTRIBUTES(reduce, 16, false), &image, 1, "axes 1 to 3");
    assert_refused(&dc_op_layer_norm, ATTRIBUTES(layer_norm, 4, 0.0f, true), &image, 1, "1 to 3");
    assert_refused(&dc_op_group_norm, ATTRIBUTES(group_norm, 3, 0.0f), &image, 1, "divide");
    assert_refused(&dc_op_resize, ATTRIBUTES(resize, 0, 4, 0, 0, 0, 0), &image, 1, "0x4");
    assert_refused(&dc_op_clip, ATTRIBUTES(clip, 1.0f, 1.0f), &image, 1, "1 to 1");
    assert_refused(&dc_op_prelu, NULL, &row, 1, "channels");
    assert_refused(&dc_op_constant, ATTRIBUTES(constant, {2, {2, 3}}, DC_ROLE_NORM), NULL, 0,
                   "[2, 3]");
    assert_refused(&dc_op_conv_transpose, &up3, &DC_SHAPE(DC_BATCH, 4, 4, 3), 1, "groups");
    struct run run;
    run_open(&run, &dc_op_gather, ATTRIBUTES(gather, 1, 1), &DC_SHAPE(2, 3), 1);
    struct dc_ctx *ctx = run_context(DC_ISA_SCALAR, 1);
    struct dc_error error;
    for (int i = 0; i < 3; i++) {
        run.before_param[0][0] = (float[]){3.0f, -1.0f, NAN}[i];
        assert_int_equal(run_try_forward(&run, ctx, DC_INFERENCE, &error), DC_ERR_CONFIG);
    }
    dc_ctx_free(ctx);
    run_close(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_match_definitions),
        cmocka_unit_test(ops_of_two_values_match_definitions),
        cmocka_unit_test(products_match_definitions),
        cmocka_unit_test(moves_match_definitions),
        cmocka_unit_test(norms_resizes_and_pools_match_definitions),
        cmocka_unit_test(nan_survives),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
