// One optimizer step against textbook loops in double precision, each value within the roundings of
// its own terms; and what a step must leave alone.

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/graph.h"
#include "core/ops/ops.h"
#include "core/optimizer.h"
#include "helper_run.h"

#define EPS ((double)FLT_EPSILON)

static struct dc_ctx *ctx;
static struct dc_graph *graph;

static int set_up(void **state)
{
    (void)state;
    const struct dc_shape shape = DC_SHAPE(DC_BATCH, 37);
    const struct dc_dense_attributes wide = {33, true}, narrow = {5, true};
    const struct dc_batch_norm_attributes norm = {1e-5f, 0.1f};
    int node;
    ctx = run_context(DC_ISA_SCALAR, 2);
    assert_int_equal(dc_graph_create(&graph, NULL), DC_OK);
    assert_int_equal(dc_graph_add_input(graph, "x", DC_F32, &shape, &node, NULL), DC_OK);
    assert_int_equal(
        dc_graph_add(graph, "a", &dc_op_dense, &wide, sizeof wide, &node, 1, &node, NULL), DC_OK);
    assert_int_equal(
        dc_graph_add(graph, "n", &dc_op_batch_norm, &norm, sizeof norm, &node, 1, &node, NULL),
        DC_OK);
    assert_int_equal(
        dc_graph_add(graph, "b", &dc_op_dense, &narrow, sizeof narrow, &node, 1, &node, NULL),
        DC_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dc_graph_free(graph);
    dc_ctx_free(ctx);
    return 0;
}

struct copy {
    float *value, *gradient, *first, *second, *average;
};

// Values, gradients of several sizes, moments; second moments are not negative. Norm and bias decay
// not at all, b.weight at half, a learns at a quarter, n.beta is frozen.
static struct dc_params *make_params(struct copy *before)
{
    struct dc_params *p = NULL;
    assert_int_equal(dc_params_create(&p, graph, 2, true, NULL), DC_OK);
    run_fill(p->value, p->total, -1.0, 1.0, 1);
    run_fill(p->gradient, p->total, -0.1, 0.1, 2);
    run_fill(p->state[0], p->total, -0.2, 0.2, 3);
    run_fill(p->state[1], p->total, 1e-6, 1e-2, 4);
    run_fill(p->average, p->total, -1.0, 1.0, 5);
    for (int i = 0; i < p->count; i++) {
        struct dc_slice *s = &p->slices[i];
        s->decay_factor = s->role == DC_ROLE_WEIGHT ? 1.0f : 0.0f;
        s->learning_rate_factor = s->name[0] == 'a' ? 0.25f : 1.0f;
        s->frozen = strcmp(s->name, "n.beta") == 0;
        if (strcmp(s->name, "b.weight") == 0)
            s->decay_factor = 0.5f;
    }
    const size_t bytes = sizeof(float) * (size_t)p->total;
    float **to[] = {&before->value, &before->gradient, &before->first, &before->second,
                    &before->average};
    float *const from[] = {p->value, p->gradient, p->state[0], p->state[1], p->average};
    for (int i = 0; i < 5; i++) {
        *to[i] = dc_arena_alloc(p->arena, bytes, NULL);
        assert_non_null(*to[i]);
        memcpy(*to[i], from[i], bytes);
    }
    return p;
}

static void assert_near(float got, double want, double size, const struct dc_slice *slice,
                        int64_t k, const char *what)
{
    if (!(fabs((double)got - want) <= EPS * size))
        fail_msg("%s[%lld], %s: %.9g, not %.9g", slice->name, (long long)k, what, (double)got,
                 want);
}

struct step_case {
    struct dc_optimizer optimizer;
    double rate, scale, average_decay;
    int64_t step;
};

// PyTorch's documentation of SGD: g += decay w; m = momentum m + g; nesterov: g + momentum m.
static void check_sgd(const struct dc_params *p, const struct copy *before, int64_t k,
                      const struct dc_slice *s, const struct step_case *c)
{
    const double w = (double)before->value[k], m = (double)before->first[k];
    const double decay = (double)c->optimizer.weight_decay * (double)s->decay_factor;
    const double g = c->scale * (double)before->gradient[k] + decay * w;
    const double mu = (double)c->optimizer.momentum, new_m = mu * m + g;
    const double direction = c->optimizer.nesterov ? g + mu * new_m : new_m;
    const double rate = c->rate * (double)s->learning_rate_factor;
    const double size = fabs(c->scale * (double)before->gradient[k]) + fabs(decay * w);
    const double m_size = fabs(mu * m) + size;
    assert_near(p->state[0][k], new_m, 3.0 * m_size, s, k, "momentum");
    assert_near(p->value[k], w - rate * direction, fabs(w) + rate * 6.0 * (m_size + size), s, k,
                "value");
}

// Loshchilov and Hutter, algorithm 2, with the schedule multiplier in the rate.
static void check_adamw(const struct dc_params *p, const struct copy *before, int64_t k,
                        const struct dc_slice *s, const struct step_case *c)
{
    const struct dc_optimizer *o = &c->optimizer;
    const double w = (double)before->value[k], b1 = (double)o->beta1, b2 = (double)o->beta2;
    const double g = c->scale * (double)before->gradient[k];
    const double m = b1 * (double)before->first[k] + (1.0 - b1) * g;
    const double v = b2 * (double)before->second[k] + (1.0 - b2) * g * g;
    const double m_hat = m / (1.0 - pow(b1, (double)c->step));
    const double v_hat = v / (1.0 - pow(b2, (double)c->step));
    const double rate = c->rate * (double)s->learning_rate_factor;
    const double decay = (double)o->weight_decay * (double)s->decay_factor;
    const double slope = rate / (sqrt(v_hat) + (double)o->epsilon);
    const double m_size = fabs(b1 * (double)before->first[k]) + fabs((1.0 - b1) * g);
    assert_near(p->state[0][k], m, 3.0 * m_size, s, k, "first moment");
    assert_near(p->state[1][k], v, 4.0 * v, s, k, "second moment");
    assert_near(p->value[k], w - rate * decay * w - slope * m_hat,
                2.0 * fabs(w) + 12.0 * slope * m_size * fabs(m_hat / m), s, k, "value");
}

static void check_step(const struct step_case *c)
{
    struct copy before;
    struct dc_params *p = make_params(&before);
    dc_optimizer_step(ctx, &c->optimizer, p, c->rate, c->scale, c->average_decay, c->step);
    for (int i = 0; i < p->count; i++) {
        const struct dc_slice *s = &p->slices[i];
        const bool still = s->frozen || s->role == DC_ROLE_STATISTIC;
        for (int64_t k = s->offset; k < s->offset + s->count; k++) {
            if (still) {
                assert_true(p->value[k] == before.value[k]);
                assert_true(p->state[0][k] == before.first[k]);
                assert_true(p->state[1][k] == before.second[k]);
            } else {
                (c->optimizer.kind == DC_SGD ? check_sgd : check_adamw)(p, &before, k, s, c);
                assert_true(p->gradient[k] == 0.0f);
            }
            const double keep = s->frozen ? 0.0
                                          : c->average_decay;  // what is not trained is copied
            const double old = (double)before.average[k];
            const double now = (double)p->value[k];
            assert_near(p->average[k], keep * old + (1.0 - keep) * now,
                        3.0 * (fabs(old) + fabs(now)), s, k, "average");
        }
    }
    dc_params_free(p);
}

static void sgd_is_the_textbooks(void **state)
{
    (void)state;
    const struct step_case cases[] = {
        {{.kind = DC_SGD}, 0.1, 1.0, 0.9, 1},
        {{.kind = DC_SGD, .momentum = 0.9f}, 0.1, 1.0, 0.999, 1},
        {{.kind = DC_SGD, .momentum = 0.9f, .weight_decay = 0.01f}, 0.5, 0.25, 0.0, 7},
        {{.kind = DC_SGD, .momentum = 0.9f, .nesterov = true}, 0.1, 1.0, 0.5, 1},
        {{.kind = DC_SGD, .momentum = 0.9f, .nesterov = true, .weight_decay = 0.01f},
         0.1,
         0.5,
         0.9,
         2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_step(&cases[i]);
}

static void adamw_is_the_textbooks(void **state)
{
    (void)state;
    const struct dc_optimizer plain = {
        .kind = DC_ADAMW, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f};
    struct dc_optimizer decayed = plain, other = plain;
    decayed.weight_decay = 0.05f;
    other.beta1 = 0.5f;
    other.beta2 = 0.9f;
    other.epsilon = 0.01f;
    const struct step_case cases[] = {
        {plain, 1e-3, 1.0, 0.9, 1},       {plain, 1e-3, 1.0, 0.9, 2},
        {plain, 1e-2, 0.5, 0.9, 1000},    {decayed, 1e-2, 1.0, 0.9, 3},
        {decayed, 1e-2, 1.0, 0.9, 50000}, {other, 1e-2, 1.0, 0.9, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_step(&cases[i]);
}

// From zero moments: AdamW's first step moves each weight by the rate, whatever its gradient.
static void first_adamw_step_has_the_size_of_the_rate(void **state)
{
    (void)state;
    const struct dc_optimizer o = {
        .kind = DC_ADAMW, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f};
    struct copy before;
    struct dc_params *p = make_params(&before);
    const struct dc_slice *s = dc_params_find(p, "b.bias");
    memset(p->state[0], 0, sizeof(float) * (size_t)p->total);
    memset(p->state[1], 0, sizeof(float) * (size_t)p->total);
    dc_optimizer_step(ctx, &o, p, 1e-3, 1.0, 0.0, 1);
    for (int64_t k = s->offset; k < s->offset + s->count; k++) {
        const double moved = (double)p->value[k] - (double)before.value[k];
        assert_true(fabs(fabs(moved) - 1e-3) <= 1e-6);
        assert_true((moved < 0.0) == (before.gradient[k] > 0.0f));
    }
    dc_params_free(p);
}

static void gradient_square_counts_what_is_trained(void **state)
{
    (void)state;
    struct copy before;
    struct dc_params *p = make_params(&before);
    double sum = 0.0;
    for (int i = 0; i < p->count; i++) {
        const struct dc_slice *s = &p->slices[i];
        if (s->frozen || s->role == DC_ROLE_STATISTIC)
            continue;
        for (int64_t k = s->offset; k < s->offset + s->count; k++)
            sum += (double)p->gradient[k] * (double)p->gradient[k];
    }
    assert_true(fabs(dc_gradient_square(ctx, p) - sum) <= 1e-13 * sum);
    p->gradient[dc_params_find(p, "a.bias")->offset] = NAN;
    assert_true(isnan(dc_gradient_square(ctx, p)));
    dc_params_free(p);
}

static void bits_do_not_depend_on_threads(void **state)
{
    (void)state;
    const struct dc_optimizer o = {.kind = DC_SGD, .momentum = 0.9f, .nesterov = true};
    struct dc_params *p[3];
    struct copy before;
    for (int t = 0; t < 3; t++) {
        struct dc_ctx *other = run_context(DC_ISA_SCALAR, t + 1);
        p[t] = make_params(&before);
        dc_optimizer_step(other, &o, p[t], 0.1, 1.0, 0.9, 1);
        dc_ctx_free(other);
        assert_memory_equal(p[t]->value, p[0]->value, sizeof(float) * (size_t)p[0]->total);
        assert_memory_equal(p[t]->average, p[0]->average, sizeof(float) * (size_t)p[0]->total);
    }
    for (int t = 0; t < 3; t++)
        dc_params_free(p[t]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_is_the_textbooks),
        cmocka_unit_test(adamw_is_the_textbooks),
        cmocka_unit_test(first_adamw_step_has_the_size_of_the_rate),
        cmocka_unit_test(gradient_square_counts_what_is_trained),
        cmocka_unit_test(bits_do_not_depend_on_threads),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
