// Every loss on the exactly representable inputs of the published comparison: value, gradient norm
// and first gradient entries, float64 results of the named programs in PyTorch 1.13. Good to 1e-5.

#include <math.h>
#include <string.h>

#include "distill/losses.h"
#include "helper_term.h"
#include "tests/core/helper_run.h"
#include "train/losses.h"

enum { B = 4, C = 6, SIDE = 4, CS = 3, CT = 5 };

static struct dc_ctx *ctx;
static float z_s[B * C], z_t[B * C], targets[B * C];
static float f_s[B * SIDE * SIDE * CS], f_t[B * SIDE * SIDE * CT], f_t3[B * SIDE * SIDE * CS];
static float f_t2[B * 2 * 2 * CT];  // of 2x2
static float e_s[B * CS], e_t[B * CT];

static float map_value(bool student, int b, int c, int h, int w)
{
    return student ? (float)((31 * b + 17 * c + 7 * h + 3 * w) % 23 - 11) / 8.0f
                   : (float)((29 * b + 13 * c + 11 * h + 5 * w) % 19 - 9) / 8.0f;
}

static void fill_map(float *f, float *mean, bool student, int side, int channels)
{
    for (int b = 0; b < B; b++)
        for (int h = 0; h < side; h++)
            for (int w = 0; w < side; w++)
                for (int c = 0; c < channels; c++) {
                    const float v = map_value(student, b, c, h, w);
                    f[((b * side + h) * side + w) * channels + c] = v;
                    if (mean)
                        mean[b * channels + c] += v / (float)(side * side);
                }
}

static int set_up(void **state)
{
    static const int labels[B] = {0, 3, 5, 1};
    (void)state;
    ctx = run_context(DC_ISA_SCALAR, 2);
    for (int b = 0; b < B; b++) {
        for (int c = 0; c < C; c++) {
            z_s[b * C + c] = (float)((7 * b + 3 * c + 1) % 11) / 2.0f - 2.0f;
            z_t[b * C + c] = (float)((5 * b + 4 * c + 2) % 13) / 2.0f - 3.0f;
            targets[b * C + c] = labels[b] == c ? 1.0f : 0.0f;
        }
    }
    fill_map(f_s, e_s, true, SIDE, CS);
    fill_map(f_t, e_t, false, SIDE, CT);
    fill_map(f_t3, NULL, false, SIDE, CS);
    fill_map(f_t2, NULL, false, 2, CT);
    assert_true(e_s[0] == -0.21875f && e_s[1] == -0.0703125f && e_t[4] == -0.0859375f);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dc_ctx_free(ctx);
    return 0;
}

struct row {
    const char *name;
    struct term term;
    double value, norm, first[6];
    int entries, stride;
};

#define LOGITS  .shape = {DC_SHAPE(B, C), DC_SHAPE(B, C), DC_SHAPE(B, C)}, .in = {z_s, z_t, targets}
#define LABELS  .shape = {DC_SHAPE(B, C), DC_SHAPE(B, C)}, .in = {z_s, targets}
#define VECTORS .shape = {DC_SHAPE(B, CS), DC_SHAPE(B, CT)}, .in = {e_s, e_t}
#define MAPS(side, ct, t)                                                                          \
    .shape = {DC_SHAPE(B, SIDE, SIDE, CS), DC_SHAPE(B, side, side, ct)}, .in = {f_s, t}
#define OF(type, ...)                                                                              \
    &(const struct dc_##type##_attributes)                                                         \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define TERM(op_, attributes_, inputs_, data)                                                      \
    {                                                                                              \
        .op = &dc_op_##op_, .attributes = (attributes_), .inputs = (inputs_), data                 \
    }

// stride: how far the entries listed are apart; of maps f[0][0][0][0..] in PyTorch's order.
#define ROW(name_, term_, value_, norm_, stride_, ...)                                             \
    {                                                                                              \
        .name = (name_), .term = term_, .value = (value_), .norm = (norm_), .stride = (stride_),   \
        .entries = (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), .first = {             \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

static void check(const struct row *row, bool values_only)
{
    struct term t = row->term;
    term_must_run(&t, ctx, row->name);
    if (!(fabs(t.value - row->value) <= 1e-5 * fabs(row->value)))
        fail_msg("%s: %.10f, not %.10f", row->name, t.value, row->value);
    const double norm = term_gradient_norm(&t);
    if (!(fabs(t.norm - norm) <= 1e-6 * norm + 1e-12))
        fail_msg("%s: says that the gradient's norm is %.10f; it is %.10f", row->name, t.norm,
                 norm);
    if (!values_only && !(fabs(norm - row->norm) <= 1e-5 * row->norm))
        fail_msg("%s: gradient norm %.10f, not %.10f", row->name, norm, row->norm);
    for (int i = 0; i < row->entries && !values_only; i++) {
        const double g = (double)t.gradient[0][i * row->stride];
        if (!(fabs(g - row->first[i]) <= 1e-5 * fabs(row->first[i]) + 6e-9))  // 8 decimals printed
            fail_msg("%s: gradient %d is %.10f, not %.10f", row->name, i, g, row->first[i]);
    }
    term_free(&t);
}

static void logit_losses(void **state)
{
    (void)state;
    const struct row rows[] = {
        ROW("CE", TERM(cross_entropy, OF(cross_entropy, 0.0f, NULL), 2, LABELS), 2.9629145557,
            0.5670730877, 1, -0.24799394, 0.00899056, 0.04029288, 0.18058014, 0.00330744,
            0.01482292),
        ROW("KD T=1", TERM(kd, OF(kd, 1.0f), 2, LOGITS), 1.8580487605, 0.4020014784, 1, -0.00046451,
            -0.00926469, -0.09459614, 0.17908166, -0.00776492, -0.06699140),
        ROW("KD T=4", TERM(kd, OF(kd, 4.0f), 2, LOGITS), 2.6749932935, 0.4828674159, 1, -0.00313710,
            -0.02373924, -0.06615426, 0.20786057, -0.03540983, -0.07942014),
        ROW("TCKD T=4", TERM(dkd, OF(dkd, 1.0f, 0.0f, 4.0f), 3, LOGITS), 0.0910008482, 0.0895883141,
            1, -0.00313710, 0.00048383, 0.00070396, 0.00102426, 0.00037680, 0.00054825),
        ROW("NCKD T=4", TERM(dkd, OF(dkd, 0.0f, 1.0f, 4.0f), 3, LOGITS), 2.9927408215, 0.5553916879,
            1, 0, -0.02688396, -0.07420257, 0.22955716, -0.03971777, -0.08875287),
        ROW("DKD 1, 8, T=4", TERM(dkd, OF(dkd, 1.0f, 8.0f, 4.0f), 3, LOGITS), 24.0329274198,
            4.4387597232, 1, -0.00313710, -0.21458784, -0.59291657, 1.83748157, -0.31736537,
            -0.70947469),
        ROW("LS-KD T=2", TERM(standardized_kd, OF(kd, 2.0f), 2, LOGITS), 0.8376994071, 0.1115894661,
            1, 0.02420012, -0.00305020, -0.03724885, 0.03779332, 0.00690619, -0.02860057),
        ROW("DIST tau 1", TERM(dist, OF(dist, 1.0f, 1.0f, 1.0f), 2, LOGITS), 2.3529550734,
            0.1992676731, 1, 0.00346337, 0.02749991, -0.07211308, 0.07351141, 0.00173303,
            -0.03409465),
        ROW("DIST tau 4", TERM(dist, OF(dist, 1.0f, 1.0f, 4.0f), 2, LOGITS), 33.6711298426,
            3.4213485597, 1, 0.55319887, 0.23710188, -1.18140973, 1.14331895, 0.11836444,
            -0.87057442),
        ROW("hard label", TERM(hard_label, NULL, 2, LOGITS), 3.0879145557, 0.5687679642, 1,
            0.00200606, 0.00899056, -0.20970712, 0.18058014, 0.00330744, 0.01482292),
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check(&rows[i], false);
    // published as values alone
    const struct row values[] = {
        ROW("inter tau 1", TERM(dist, OF(dist, 1, 0, 1), 2, LOGITS), 1.1581810289, 0, 1, 0),
        ROW("intra tau 1", TERM(dist, OF(dist, 0, 1, 1), 2, LOGITS), 1.1947740445, 0, 1, 0),
        ROW("inter tau 4", TERM(dist, OF(dist, 1, 0, 4), 2, LOGITS), 17.1671668913, 0, 1, 0),
        ROW("intra tau 4", TERM(dist, OF(dist, 0, 1, 4), 2, LOGITS), 16.5039629513, 0, 1, 0),
        ROW("BCE soft", TERM(binary_cross_entropy, OF(binary_cross_entropy, 1.0f), 2, LOGITS),
            0.9510026990, 0, 1, 0),
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        check(&values[i], true);
}

// 0.1 of the labels' and 0.9 of the teacher's: the loss is linear in the target.
static void binary_cross_entropy_mixes(void **state)
{
    (void)state;
    struct term soft = TERM(binary_cross_entropy, OF(binary_cross_entropy, 1.0f), 2, LOGITS);
    struct term hard = TERM(binary_cross_entropy, OF(binary_cross_entropy, 0.0f), 2, LABELS);
    term_must_run(&soft, ctx, "soft");
    term_must_run(&hard, ctx, "hard");
    assert_true(fabs(0.1 * hard.value + 0.9 * soft.value - 0.9683962993) <= 1e-9);
    term_free(&soft);
    term_free(&hard);
}

// Averaged probabilities of two teachers, published as 1.8496670145, are the teacher's logits here:
// those of the mean, log(mean) T, since the softmax does not see their offset.
static void mean_of_two_teachers(void **state)
{
    (void)state;
    float both[B * C];
    for (int b = 0; b < B; b++) {
        double sum[2] = {0, 0}, e[2][C];
        for (int c = 0; c < C; c++) {
            e[0][c] = exp((double)z_t[b * C + c] / 4.0);
            e[1][c] = exp(((double)((3 * b + 5 * c + 4) % 7) / 2.0 - 1.5) / 4.0);
            sum[0] += e[0][c];
            sum[1] += e[1][c];
        }
        for (int c = 0; c < C; c++)
            both[b * C + c] = (float)(4.0 * log((e[0][c] / sum[0] + e[1][c] / sum[1]) / 2.0));
    }
    struct term t = TERM(kd, OF(kd, 4.0f), 2, LABELS);
    t.in[1] = both;
    term_must_run(&t, ctx, "two teachers");
    assert_true(fabs(t.value - 1.8496670145) <= 1e-6);
    term_free(&t);
}

static void feature_losses(void **state)
{
    (void)state;
    const struct row rows[] = {
        ROW("hint", TERM(mean_squared_error, NULL, 2, MAPS(SIDE, CS, f_t3)), 1.0817871094,
            0.1501240535, CS, -2.60416667e-3, -5.20833333e-3, -7.81250000e-3, -1.04166667e-2),
        ROW("attention, code",
            TERM(attention, OF(attention, DC_ATTENTION_CODE), 2, MAPS(SIDE, CT, f_t)), 0.0076224466,
            0.0064360291, CS, 3.95576487e-4, 3.93613759e-4, -5.88792910e-4, -1.00417957e-4),
        ROW("attention, paper",
            TERM(attention, OF(attention, DC_ATTENTION_PAPER), 2, MAPS(SIDE, CT, f_t)),
            0.3476621379, 0.1488691369, CS, 1.06585520e-2, 1.06056676e-2, -1.58646433e-2,
            -2.70569677e-3),
        ROW("similarity", TERM(similarity, NULL, 2, MAPS(SIDE, CT, f_t)), 0.2719572684,
            0.0413704130, CS, -2.06053047e-3, -3.07330876e-3, -4.08608704e-3, 5.50758892e-3),
        ROW("NST", TERM(nst, NULL, 2, MAPS(SIDE, CT, f_t)), 0.5686743311, 0.0741265340, CS,
            4.61171720e-3, 1.67197919e-3, -3.65505736e-3, -1.00628809e-2),
        ROW("pyramid", TERM(pyramid, NULL, 2, MAPS(SIDE, CS, f_t3)), 0.6671832857, 0.0939715846, CS,
            -3.59235491e-3, -5.08045015e-3, -4.52241443e-3, -6.01050967e-3),
        ROW("RKD distance", TERM(rkd, OF(rkd, 1.0f, 0.0f), 2, VECTORS), 0.0435433391, 0.5129932147,
            1, 1.61368332e-1, 4.88041194e-2, -1.37689490e-1, 3.58621262e-2),
        ROW("RKD angle", TERM(rkd, OF(rkd, 0.0f, 1.0f), 2, VECTORS), 0.0503054988, 0.7098561249, 1,
            2.01456932e-1, 1.43254139e-1, -1.99381075e-1, 2.24403186e-1),
        ROW("RKD 25/50", TERM(rkd, OF(rkd, 25.0f, 50.0f), 2, VECTORS), 3.6038584140, 47.4644284780,
            1, 14.1070549, 8.38280994, -13.4112910, 12.1167125),
        ROW("PKT", TERM(pkt, NULL, 2, VECTORS), 0.0514363634, 0.9117039637, 1, -1.77176827e-2,
            4.03442152e-2, -1.32996941e-2, 5.28275208e-2),
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check(&rows[i], false);
    const struct row small = ROW(
        "attention, teacher 2x2",
        TERM(attention, OF(attention, DC_ATTENTION_CODE), 2, MAPS(2, CT, f_t2)), 0.0392282607,
        0.0626015556, CS, -6.65949317e-3, -6.65949317e-3, 0, 0);
    check(&small, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logit_losses),
        cmocka_unit_test(binary_cross_entropy_mixes),
        cmocka_unit_test(mean_of_two_teachers),
        cmocka_unit_test(feature_losses),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
