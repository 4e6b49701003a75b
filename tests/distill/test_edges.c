// The edges of all losses: large, constant and zero values, one row, two classes, what is not a
// number, gradient accumulation, and the same bits with any number of threads.

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "distill/losses.h"
#include "helper_term.h"
#include "tests/core/helper_run.h"
#include "train/losses.h"

enum { VALUES_MAX = 4096 };

#define OF(type, ...)                                                                              \
    &(const struct dc_##type##_attributes)                                                         \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static const struct kind {
    const struct dc_op *op;
    const void *attributes;
    int inputs;
    bool maps;
} kinds[] = {
    {&dc_op_kd, OF(kd, 4.0f), 2, false},
    {&dc_op_kd, OF(kd, 1.0f), 2, false},
    {&dc_op_ttm, OF(kd, 10.0f), 2, false},
    {&dc_op_ttm, OF(kd, 0.25f), 2, false},
    {&dc_op_wttm, OF(kd, 5.0f), 2, false},
    {&dc_op_wttm, OF(kd, 0.25f), 2, false},
    {&dc_op_dkd, OF(dkd, 1.0f, 8.0f, 4.0f), 3, false},
    {&dc_op_dkd, OF(dkd, 1.0f, 8.0f, 1.0f), 3, false},
    {&dc_op_standardized_kd, OF(kd, 2.0f), 2, false},
    {&dc_op_dist, OF(dist, 1.0f, 1.0f, 1.0f), 2, false},
    {&dc_op_hard_label, NULL, 2, false},
    {&dc_op_binary_cross_entropy, OF(binary_cross_entropy, 1.0f), 2, false},
    {&dc_op_mean_squared_error, NULL, 2, false},
    {&dc_op_similarity, NULL, 2, false},
    {&dc_op_pkt, NULL, 2, false},
    {&dc_op_rkd, OF(rkd, 25.0f, 50.0f), 2, false},
    {&dc_op_attention, OF(attention, DC_ATTENTION_CODE), 2, true},
    {&dc_op_attention, OF(attention, DC_ATTENTION_PAPER), 2, true},
    {&dc_op_nst, NULL, 2, true},
    {&dc_op_pyramid, NULL, 2, true},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static struct dc_ctx *ctx;
static float in[TERM_INPUTS][VALUES_MAX];

static int set_up(void **state)
{
    (void)state;
    ctx = run_context(DC_ISA_SCALAR, 2);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dc_ctx_free(ctx);
    return 0;
}

// rows of 5x5x3 maps or of `classes` values, random; targets one-hot.
static struct term make(const struct kind *k, int rows, int classes)
{
    struct term t = {.op = k->op, .attributes = k->attributes, .inputs = k->inputs};
    const struct dc_shape shape = k->maps ? DC_SHAPE(rows, 5, 5, 3) : DC_SHAPE(rows, classes);
    const int64_t count = dc_shape_count(&shape);
    assert_true(count <= VALUES_MAX);
    for (int i = 0; i < TERM_INPUTS; i++) {
        t.shape[i] = shape;
        t.in[i] = in[i];
        run_fill(in[i], count, -3.0, 3.0, (uint32_t)(i + 1));
    }
    for (int64_t i = 0; k->inputs == 3 && i < count; i++)
        in[2][i] = i % classes == i / classes % classes ? 1.0f : 0.0f;
    return t;
}

static void assert_finite(struct term *t, const char *what)
{
    term_must_run(t, ctx, t->op->name);
    if (!isfinite(t->value) || !isfinite(term_gradient_norm(t)) || !isfinite(t->norm))
        fail_msg("%s of %s is not finite", t->op->name, what);
    term_free(t);
}

static void fill(int side, int64_t count, float even, float odd)
{
    for (int64_t i = 0; i < count; i++)
        in[side][i] = i * 7 % 3 ? even : odd;
}

static void large_constant_and_zero_values(void **state)
{
    (void)state;
    static const float values[][2] = {{200, -200}, {-200, 200}, {3.25f, 3.25f}, {0, 0}};
    for (int k = 0; k < KINDS; k++) {
        for (int s = 0; s < 5; s++) {
            for (int t = 0; t < 5; t++) {
                struct term term = make(&kinds[k], 5, 7);
                const int64_t count = dc_shape_count(&term.shape[0]);
                if (s < 4)
                    fill(0, count, values[s][0], values[s][1]);
                if (t < 4)
                    fill(1, count, values[t][0], values[t][1]);
                assert_finite(&term, "an extreme batch");
            }
        }
    }
}

// Constant logits of a student: with the published 1e-7 alone the gradient would be of size 1e6.
static void standardized_logits_have_a_floor(void **state)
{
    (void)state;
    struct term t = make(&kinds[8], 4, 10);
    fill(0, 40, 0.0f, 0.0f);
    term_must_run(&t, ctx, "constant logits");
    assert_true(t.norm < 2.0 / DC_STANDARD_DEVIATION_FLOOR);
    assert_true(t.norm > 0.1 / DC_STANDARD_DEVIATION_FLOOR);
    term_free(&t);
}

static void one_row(void **state)
{
    (void)state;
    for (int k = 0; k < KINDS; k++) {
        struct term t = make(&kinds[k], 1, 7);
        if (t.op != &dc_op_dist) {
            assert_finite(&t, "one row");
            continue;
        }
        assert_int_equal(term_run(&t, ctx), DC_ERR_CONFIG);
        assert_non_null(strstr(t.error.message, "needs two rows"));
        const struct dc_dist_attributes rows_alone = {1.0f, 0.0f, 1.0f};
        t.attributes = &rows_alone;
        assert_finite(&t, "one row without gamma");
    }
}

static void two_classes(void **state)
{
    (void)state;
    for (int k = 0; k < KINDS; k++) {
        if (kinds[k].maps)
            continue;
        struct term t = make(&kinds[k], 5, 2);
        if (t.op != &dc_op_dkd) {
            assert_finite(&t, "two classes");
            continue;
        }
        assert_int_equal(term_run(&t, ctx), DC_ERR_CONFIG);
        assert_non_null(strstr(t.error.message, "dkd needs three classes"));
    }
}

// A loss by rows names the row; others the batch. The plan names the term (tests/run/test_terms.c).
static void not_finite_is_an_error(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int k = 0; k < KINDS; k++) {
        for (int b = 0; b < 3; b++) {
            for (int side = 0; side < 2; side++) {
                struct term t = make(&kinds[k], 5, 7);
                in[side][3 * dc_shape_row(&t.shape[0]) + 2] = bad[b];
                if (term_run(&t, ctx) != DC_ERR_NUMERIC)
                    fail_msg("%s lets %g of side %d pass: %g", t.op->name, (double)bad[b], side,
                             t.value);
                const bool batch = t.op == &dc_op_dist || t.op == &dc_op_similarity ||
                                   t.op == &dc_op_pkt || t.op == &dc_op_rkd;
                assert_non_null(strstr(t.error.message, batch ? "of the batch" : "row 3"));
                term_free(&t);
            }
        }
    }
    struct term alone = make(&kinds[15], 1, 7);
    in[0][2] = NAN;
    assert_int_equal(term_run(&alone, ctx), DC_ERR_NUMERIC);
}

// A term of the whole batch counts rows / total_batch; so does its gradient.
static void batches_of_a_step_are_weighted(void **state)
{
    (void)state;
    for (int k = 0; k < KINDS; k++) {
        struct term t = make(&kinds[k], 5, 7);
        term_must_run(&t, ctx, "whole");
        struct term part = t;
        part.total_batch = 20;
        term_must_run(&part, ctx, "part");
        assert_true(fabs(part.value - t.value / 4.0) <= 1e-15 * fabs(t.value));
        assert_true(fabs(part.norm - t.norm / 4.0) <= 1e-15 * t.norm);
        for (int64_t i = 0; i < dc_shape_count(&t.shape[0]); i++)
            assert_true(fabsf(part.gradient[0][i] - t.gradient[0][i] / 4.0f) <=
                        2.0f * 0x1p-24f * fabsf(t.gradient[0][i]));
        term_free(&part);
        term_free(&t);
    }
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    static const int rows[] = {3, 16, 37};
    for (int k = 0; k < KINDS; k++) {
        for (int r = 0; r < 3; r++) {
            struct term one = make(&kinds[k], rows[r], 7);
            const size_t bytes = sizeof(float) * (size_t)dc_shape_count(&one.shape[0]);
            struct dc_ctx *single = run_context(DC_ISA_SCALAR, 1);
            term_must_run(&one, single, "one thread");
            for (int threads = 2; threads <= 4; threads++) {
                struct dc_ctx *many = run_context(DC_ISA_SCALAR, threads);
                struct term t = one;
                term_must_run(&t, many, "threads");
                assert_memory_equal(&t.value, &one.value, sizeof t.value);
                assert_memory_equal(&t.norm, &one.norm, sizeof t.norm);
                assert_memory_equal(t.gradient[0], one.gradient[0], bytes);
                term_free(&t);
                dc_ctx_free(many);
            }
            term_free(&one);
            dc_ctx_free(single);
        }
    }
}

// The bank is the unit vectors and v lies apart from all of them, so every entry has the same P and
// the gradient counts how often each was drawn: never of the own class, the others alike. 40 ids of
// another class and 20,000 draws: 500 +- 22 each; six deviations are allowed.
static void negatives_are_of_other_classes(void **state)
{
    (void)state;
    enum { IDS = 60, SIZE = IDS + 1, DRAWS = 20000 };
    static float bank[2][IDS * SIZE], v[2][SIZE];
    int32_t labels[IDS];
    int64_t by_class[IDS], start[4] = {0, 20, 40, 60};
    for (int i = 0; i < IDS; i++) {
        labels[(i * 7 + 3) % IDS] = i / 20;  // ids of a class do not follow each other
        by_class[i] = (i * 7 + 3) % IDS;
        bank[0][i * SIZE + i] = bank[1][i * SIZE + i] = 1.0f;
    }
    v[0][IDS] = v[1][IDS] = 1.0f;
    const struct dc_crd_attributes a = {.temperature = 1.0f,
                                        .momentum = 1.0f,
                                        .negatives = DRAWS,
                                        .samples = IDS,
                                        .bank_rows = IDS,
                                        .labels = labels,
                                        .by_class = by_class,
                                        .class_start = start};
    for (uint64_t id = 0; id < IDS; id += 17) {
        float normalizer[2] = {(float)IDS, (float)IDS};  // P = 1 / 60
        struct term t = {.op = &dc_op_crd,
                         .attributes = &a,
                         .inputs = 2,
                         .shape = {DC_SHAPE(1, SIZE), DC_SHAPE(1, SIZE)},
                         .in = {v[0], v[1]},
                         .trained = 2,
                         .ids = &id,
                         .param = {bank[0], bank[1], normalizer}};
        term_must_run(&t, ctx, "crd");
        const double p = 1.0 / IDS, below = p + (double)DRAWS / IDS + 1e-7;
        double total = 0.0;
        for (int i = 0; i < IDS; i++) {
            const double count = (double)t.gradient[0][i] / (p / below);
            assert_true(t.gradient[0][i] == t.gradient[1][i]);
            if (i == (int)id) {
                assert_true(fabs((double)t.gradient[0][i] - (p / below - 1.0)) <= 1e-6);
            } else if (labels[i] == labels[id]) {
                assert_true(t.gradient[0][i] == 0.0f);
            } else {
                assert_true(fabs(count - 500.0) <= 6.0 * 22.1);
                total += count;
            }
        }
        assert_true(fabs(total - DRAWS) <= 1e-2 * DRAWS / 100.0);
        term_free(&t);
    }
}

// As a graph is built where only shapes are known: it has no samples to draw from.
static void crd_needs_labels(void **state)
{
    (void)state;
    static const uint64_t ids[1] = {0};
    const struct dc_crd_attributes a = {.temperature = 1.0f, .negatives = 2, .bank_rows = 1};
    float x[4] = {1, 2, 3, 4}, bank[4] = {0}, normalizer[2] = {0};
    struct term t = {.op = &dc_op_crd,
                     .attributes = &a,
                     .inputs = 2,
                     .shape = {DC_SHAPE(1, 4), DC_SHAPE(1, 4)},
                     .in = {x, x},
                     .trained = 2,
                     .ids = ids,
                     .param = {bank, bank, normalizer}};
    assert_int_equal(term_run(&t, ctx), DC_ERR_CONFIG);
    assert_non_null(strstr(t.error.message, "no labels"));
}

// What a row is contrasted with depends on its id, not on its place in the batch.
static void negatives_follow_the_id(void **state)
{
    (void)state;
    enum { IDS = 30, SIZE = 5, ROWS = 3 };
    static float bank[IDS * SIZE], x[2][ROWS * SIZE], banks[2][IDS * SIZE];
    int32_t labels[IDS];
    int64_t by_class[IDS], start[3] = {0, 15, 30};
    for (int i = 0; i < IDS; i++) {
        labels[i] = i / 15;
        by_class[i] = i;
    }
    const struct dc_crd_attributes a = {.temperature = 0.5f,
                                        .momentum = 1.0f,
                                        .negatives = 4,
                                        .samples = IDS,
                                        .bank_rows = IDS,
                                        .labels = labels,
                                        .by_class = by_class,
                                        .class_start = start};
    float gradients[2][ROWS * SIZE], normalizer[2] = {30.0f, 30.0f};
    run_fill(bank, IDS * SIZE, -1.0, 1.0, 1);
    run_fill(x[0], ROWS * SIZE, -1.0, 1.0, 2);
    for (int r = 0; r < ROWS; r++)  // the rows in the opposite order
        memcpy(x[1] + (ROWS - 1 - r) * SIZE, x[0] + r * SIZE, sizeof(float) * SIZE);
    static const uint64_t ids[2][ROWS] = {{3, 8, 21}, {21, 8, 3}};
    for (int k = 0; k < 2; k++) {
        memcpy(banks[0], bank, sizeof bank);
        memcpy(banks[1], bank, sizeof bank);
        struct term t = {.op = &dc_op_crd,
                         .attributes = &a,
                         .inputs = 2,
                         .shape = {DC_SHAPE(ROWS, SIZE), DC_SHAPE(ROWS, SIZE)},
                         .in = {x[k], x[k]},
                         .trained = 2,
                         .ids = ids[k],
                         .param = {banks[0], banks[1], normalizer}};
        term_must_run(&t, ctx, "crd");
        memcpy(gradients[k], t.gradient[0], sizeof gradients[k]);
        term_free(&t);
    }
    for (int r = 0; r < ROWS; r++)
        assert_memory_equal(gradients[0] + r * SIZE, gradients[1] + (ROWS - 1 - r) * SIZE,
                            sizeof(float) * SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_constant_and_zero_values),
        cmocka_unit_test(standardized_logits_have_a_floor),
        cmocka_unit_test(one_row),
        cmocka_unit_test(two_classes),
        cmocka_unit_test(not_finite_is_an_error),
        cmocka_unit_test(batches_of_a_step_are_weighted),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(negatives_are_of_other_classes),
        cmocka_unit_test(crd_needs_labels),
        cmocka_unit_test(negatives_follow_the_id),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
