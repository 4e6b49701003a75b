// Owns the losses on one row of logits. All logarithms come from log-sum-exp, so that logits of any
// finite size are fine.

#include <math.h>
#include <stddef.h>

#include "core/math.h"
#include "distill/losses.h"
#include "train/losses.h"
#include "train/row_loss.h"

// The divergence of the student at t from the teacher at a temperature of its own, times t^2;
// gradient: by z, before any factor but t.
static double divergence(double *gradient, const float *student, double t, const float *teacher,
                         double t_teacher, int64_t classes)
{
    double p_student[DC_CLASSES_MAX], p_teacher[DC_CLASSES_MAX], sum = 0.0;
    const double log_student = dc_log_sum_exp(p_student, student, t, classes);
    const double log_teacher = dc_log_sum_exp(p_teacher, teacher, t_teacher, classes);
    for (int64_t c = 0; c < classes; c++) {
        const double log_ratio = ((double)teacher[c] / t_teacher - log_teacher) -
                                 ((double)student[c] / t - log_student);
        sum += p_teacher[c] * log_ratio;
        gradient[c] = t * (p_student[c] - p_teacher[c]);
    }
    return t * t * sum;
}

static double weighted_divergence(const struct dc_loss_row *row, double t, double t_teacher,
                                  double weight)
{
    double gradient[DC_CLASSES_MAX];
    const double loss = divergence(gradient, row->in[0], t, row->in[1], t_teacher, row->values);
    for (int64_t c = 0; c < row->values; c++)
        row->gradient[c] = (float)(weight * gradient[c]);
    return weight * loss;
}

static double temperature(const struct dc_loss_row *row)
{
    return (double)((const struct dc_kd_attributes *)row->attributes)->temperature;
}

static double kd_row(const struct dc_loss_row *row)
{
    return weighted_divergence(row, temperature(row), temperature(row), 1.0);
}

static double ttm_row(const struct dc_loss_row *row)
{
    return weighted_divergence(row, 1.0, temperature(row), 1.0);
}

// log of sum_c p_c^(1/T), p = softmax(z): lse(z / T) - lse(z) / T.
static double wttm_row(const struct dc_loss_row *row)
{
    const double t = temperature(row);
    const double whole = dc_log_sum_exp(NULL, row->in[1], 1.0, row->values) / t;
    const double weight = dc_exp(dc_log_sum_exp(NULL, row->in[1], t, row->values) - whole);
    return weighted_divergence(row, 1.0, t, weight);
}

DC_ROW_LOSS_FORWARD(kd, kd_row)
DC_LOSS_OP(kd, 2, sizeof(struct dc_kd_attributes), dc_row_loss_infer, dc_row_loss_memory, NULL);
DC_ROW_LOSS_FORWARD(ttm, ttm_row)
DC_LOSS_OP(ttm, 2, sizeof(struct dc_kd_attributes), dc_row_loss_infer, dc_row_loss_memory, NULL);
DC_ROW_LOSS_FORWARD(wttm, wttm_row)
DC_LOSS_OP(wttm, 2, sizeof(struct dc_kd_attributes), dc_row_loss_infer, dc_row_loss_memory, NULL);

static int64_t largest(const float *z, int64_t classes)
{
    int64_t best = 0;
    for (int64_t c = 1; c < classes; c++)
        best = z[c] > z[best] ? c : best;
    return best;
}

// The classes but y: their log-sum-exp, and their softmax q.
static double others(double *q, const float *z, double t, int64_t classes, int64_t y)
{
    float rest[DC_CLASSES_MAX];
    for (int64_t c = 0, k = 0; c < classes; c++)
        if (c != y)
            rest[k++] = z[c];
    return dc_log_sum_exp(q, rest, t, classes - 1);
}

// log b = z_y / T - lse(all), log(1 - b) = lse(others) - lse(all): no difference of probabilities.
static double dkd_row(const struct dc_loss_row *row)
{
    const struct dc_dkd_attributes *a = row->attributes;
    const int64_t classes = row->values, y = largest(row->in[2], classes);
    const double t = (double)a->temperature, alpha = (double)a->alpha, beta = (double)a->beta;
    double q[2][DC_CLASSES_MAX], rest[2], yes[2], no[2];  // of student and teacher
    for (int k = 0; k < 2; k++) {
        const double all = dc_log_sum_exp(NULL, row->in[k], t, classes);
        rest[k] = others(q[k], row->in[k], t, classes, y);
        yes[k] = (double)row->in[k][y] / t - all;
        no[k] = rest[k] - all;
    }
    const double b_student = dc_exp(yes[0]), b_teacher = dc_exp(yes[1]);
    const double tckd = b_teacher * (yes[1] - yes[0]) + dc_exp(no[1]) * (no[1] - no[0]);
    double nckd = 0.0;
    for (int64_t c = 0, k = 0; c < classes; c++) {
        if (c == y)
            continue;
        nckd += q[1][k] *
                (((double)row->in[1][c] / t - rest[1]) - ((double)row->in[0][c] / t - rest[0]));
        row->gradient[c] =
            (float)(t * (alpha * q[0][k] * (b_teacher - b_student) + beta * (q[0][k] - q[1][k])));
        k++;
    }
    row->gradient[y] = (float)(t * alpha * (b_student - b_teacher));
    return t * t * (alpha * tckd + beta * nckd);
}

static enum dc_status dkd_infer(struct dc_shape *out, const struct dc_node *node,
                                const struct dc_shape *in, struct dc_error *error)
{
    if (in[0].rank == 2 && in[0].dims[1] < 3)
        return dc_fail(error, DC_ERR_CONFIG,
                       "dkd needs three classes: of two, what is not the target is one class, and "
                       "its part would be empty; kd is the loss for two");
    return dc_row_loss_infer(out, node, in, error);
}

DC_ROW_LOSS_FORWARD(dkd, dkd_row)
DC_LOSS_OP(dkd, 3, sizeof(struct dc_dkd_attributes), dkd_infer, dc_row_loss_memory, NULL);

// u = (z - mean) / divisor. *constant: the divisor does not depend on z.
static double standardize(float *u, bool *constant, const float *z, int64_t classes)
{
    double mean = 0.0, square = 0.0;
    for (int64_t c = 0; c < classes; c++)
        mean += (double)z[c] / (double)classes;
    for (int64_t c = 0; c < classes; c++)
        square += ((double)z[c] - mean) * ((double)z[c] - mean);
    const double plain = sqrt(square / (double)(classes - 1)) + 1e-7;
    *constant = plain < DC_STANDARD_DEVIATION_FLOOR;
    const double divisor = *constant ? DC_STANDARD_DEVIATION_FLOOR : plain;
    for (int64_t c = 0; c < classes; c++)
        u[c] = (float)(((double)z[c] - mean) / divisor);
    return divisor;
}

static double standardized_kd_row(const struct dc_loss_row *row)
{
    const int64_t classes = row->values;
    const double t = temperature(row);
    float student[DC_CLASSES_MAX], teacher[DC_CLASSES_MAX];
    double g[DC_CLASSES_MAX], mean = 0.0, along = 0.0;
    bool constant, ignored;
    standardize(teacher, &ignored, row->in[1], classes);
    const double divisor = standardize(student, &constant, row->in[0], classes);
    const double loss = divergence(g, student, t, teacher, t, classes);
    for (int64_t c = 0; c < classes; c++) {
        mean += g[c] / (double)classes;
        along += constant ? 0.0 : g[c] * (double)student[c] / (double)(classes - 1);
    }
    // d sd / dz = u / (C - 1), but for the 1e-7
    const double scale = divisor / (constant ? divisor : divisor - 1e-7);
    for (int64_t c = 0; c < classes; c++)
        row->gradient[c] = (float)((g[c] - mean - scale * along * (double)student[c]) / divisor);
    return loss;
}

static enum dc_status standardized_infer(struct dc_shape *out, const struct dc_node *node,
                                         const struct dc_shape *in, struct dc_error *error)
{
    if (in[0].rank == 2 && in[0].dims[1] < 2)
        return dc_fail(error, DC_ERR_CONFIG, "standardized_kd needs two classes: one deviates not");
    return dc_row_loss_infer(out, node, in, error);
}

DC_ROW_LOSS_FORWARD(standardized_kd, standardized_kd_row)
DC_LOSS_OP(standardized_kd, 2, sizeof(struct dc_kd_attributes), standardized_infer,
           dc_row_loss_memory, NULL);

static double hard_label_row(const struct dc_loss_row *row)
{
    double p[DC_CLASSES_MAX], nothing = 0.0;
    const int64_t y = largest(row->in[1], row->values);
    const double log_sum = dc_log_sum_exp(p, row->in[0], 1.0, row->values);
    for (int64_t c = 0; c < row->values; c++) {
        row->gradient[c] = (float)(p[c] - (c == y ? 1.0 : 0.0));
        nothing += 0.0 * (double)row->in[0][c] * (double)row->in[1][c];  // unless not finite
    }
    return log_sum - (double)row->in[0][y] + nothing;
}

DC_ROW_LOSS_FORWARD(hard_label, hard_label_row)
DC_LOSS_OP(hard_label, 2, 0, dc_row_loss_infer, dc_row_loss_memory, NULL);

// Weights are those that the losses' authors, or the comparison of Tian et al. (arXiv:1910.10699),
// train with on CIFAR-100.
const struct dc_term_kind dc_term_label = {.name = "label",
                                           .help = "the loss on the labels, as train.loss says",
                                           .weight = 1.0,
                                           .temperature = DC_NO_TEMPERATURE};

const struct dc_term_kind dc_term_hard_label = {
    .name = "hard_label",
    .help = "cross-entropy on the teacher's largest logit (arXiv:2012.12877)",
    .weight = 1.0,
    .op = &dc_op_hard_label,
    .temperature = DC_NO_TEMPERATURE};

#define LEAST_TEMPERATURE 1e-6
#define TEMPERATURE(owner, standard)                                                               \
    DC_FIELD(owner, "temperature", FLOAT, temperature, standard, .minimum = LEAST_TEMPERATURE,     \
             .maximum = 1e4,                                                                       \
             .help = "divides logits; where it is not stated, 1 of a stage that quantizes")

#define FIXED_TEMPERATURE(owner, standard, help_)                                                  \
    DC_FIELD(owner, "temperature", FLOAT, temperature, standard, .minimum = LEAST_TEMPERATURE,     \
             .maximum = 1e4, .help = (help_))

static const struct dc_field kd_keys[] = {TEMPERATURE(dc_kd_attributes, "4")};
const struct dc_term_kind dc_term_kd = {
    .name = "kd",
    .help = "the teacher's softened probabilities (Hinton, arXiv:1503.02531)",
    .weight = 1.0,
    .op = &dc_op_kd,
    .keys = DC_SCHEMA(NULL, kd_keys),
    .bytes = sizeof(struct dc_kd_attributes),
    .temperature = offsetof(struct dc_kd_attributes, temperature),
    .quantized_at_1 = true};

// The pairs of temperature and weight that the authors' README trains with; its exponent is 1/T.
static const struct dc_field ttm_keys[] = {
    FIXED_TEMPERATURE(dc_kd_attributes, "10", "divides the teacher's logits")};
const struct dc_term_kind dc_term_ttm = {
    .name = "ttm",
    .help =
        "transformed teacher matching: the temperature is the teacher's alone (arXiv:2402.11148)",
    .weight = 45.0,
    .op = &dc_op_ttm,
    .keys = DC_SCHEMA(NULL, ttm_keys),
    .bytes = sizeof(struct dc_kd_attributes),
    .temperature = offsetof(struct dc_kd_attributes, temperature)};

static const struct dc_field wttm_keys[] = {
    FIXED_TEMPERATURE(dc_kd_attributes, "5", "divides the teacher's logits")};
const struct dc_term_kind dc_term_wttm = {
    .name = "wttm",
    .help = "the same, more where the teacher is less sure (arXiv:2402.11148)",
    .weight = 4.0,
    .op = &dc_op_wttm,
    .keys = DC_SCHEMA(NULL, wttm_keys),
    .bytes = sizeof(struct dc_kd_attributes),
    .temperature = offsetof(struct dc_kd_attributes, temperature)};

static const struct dc_field standardized_kd_keys[] = {
    FIXED_TEMPERATURE(dc_kd_attributes, "2", "divides standardized logits")};
const struct dc_term_kind dc_term_standardized_kd = {
    .name = "standardized_kd",
    .help = "kd on logits of mean 0 and deviation 1 (arXiv:2403.01427)",
    .weight = 9.0,
    .op = &dc_op_standardized_kd,
    .keys = DC_SCHEMA(NULL, standardized_kd_keys),
    .bytes = sizeof(struct dc_kd_attributes),
    .temperature = offsetof(struct dc_kd_attributes, temperature)};

static const struct dc_field dkd_keys[] = {
    TEMPERATURE(dc_dkd_attributes, "4"),
    DC_FIELD(dc_dkd_attributes, "alpha", FLOAT, alpha, "1", .maximum = 1e6,
             .help = "weight of the target class against the others"),
    DC_FIELD(dc_dkd_attributes, "beta", FLOAT, beta, "8", .maximum = 1e6,
             .help = "weight of the classes but the target"),
};
const struct dc_term_kind dc_term_dkd = {
    .name = "dkd",
    .help = "kd with the target class and the others weighed apart (arXiv:2203.08679)",
    .weight = 1.0,
    .op = &dc_op_dkd,
    .keys = DC_SCHEMA(NULL, dkd_keys),
    .bytes = sizeof(struct dc_dkd_attributes),
    .temperature = offsetof(struct dc_dkd_attributes, temperature),
    .quantized_at_1 = true};

// Of outputs that are numbers (regression).
const struct dc_term_kind dc_term_mse = {.name = "mse",
                                         .weight = 1.0,
                                         .op = &dc_op_mean_squared_error,
                                         .temperature = DC_NO_TEMPERATURE};

static const struct dc_field bce_keys[] = {
    FIXED_TEMPERATURE(dc_binary_cross_entropy_attributes, "1", "divides the teacher's logits")};
const struct dc_term_kind dc_term_bce = {
    .name = "bce",
    .help =
        "cross-entropy of each class by itself, on the teacher's sigmoids: many labels a sample",
    .weight = 1.0,
    .op = &dc_op_binary_cross_entropy,
    .keys = DC_SCHEMA(NULL, bce_keys),
    .bytes = sizeof(struct dc_binary_cross_entropy_attributes),
    .temperature = offsetof(struct dc_binary_cross_entropy_attributes, temperature),
    .probability = true};
