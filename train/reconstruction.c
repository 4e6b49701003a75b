// Owns errors of reconstruction and the rank statistic over them. Which classes are normal, and
// where outputs come from, is the caller's.

#include "train/reconstruction.h"

#include <math.h>
#include <stdlib.h>

struct ranked {
    double value;
    bool positive;
};

static int by_value(const void *a, const void *b)
{
    const double x = ((const struct ranked *)a)->value, y = ((const struct ranked *)b)->value;
    return (x > y) - (x < y);
}

enum dc_status dc_auc(double *auc, const double *values, const bool *positive, int64_t count,
                      struct dc_error *error)
{
    struct ranked *all = dc_alloc(sizeof *all * (size_t)count, error);
    if (!all)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < count; i++)
        all[i] = (struct ranked){values[i], positive[i]};
    qsort(all, (size_t)count, sizeof *all, by_value);
    int64_t halves = 0, negatives = 0, positives = 0;  // halves of won pairs, negatives before
    for (int64_t start = 0, end; start < count; start = end) {
        int64_t equal[2] = {0};
        for (end = start; end < count && all[end].value == all[start].value; end++)
            equal[all[end].positive]++;
        halves += equal[1] * (2 * negatives + equal[0]);
        negatives += equal[0];
        positives += equal[1];
    }
    free(all);
    const double pairs = (double)negatives * (double)positives;
    *auc = pairs > 0.0 ? (double)halves / (2.0 * pairs) : NAN;
    return DC_OK;
}

enum dc_status dc_reconstruction_create(struct dc_reconstruction **out, const bool *normal,
                                        int64_t capacity, struct dc_arena *arena,
                                        struct dc_error *error)
{
    struct dc_reconstruction *r = DC_NEW(arena, struct dc_reconstruction, 1, error);
    double *errors = DC_NEW(arena, double, capacity, error);
    bool *anomalous = DC_NEW(arena, bool, capacity, error);
    if (!r || !errors || !anomalous)
        return DC_ERR_MEMORY;
    *r = (struct dc_reconstruction){
        .normal = normal, .capacity = capacity, .errors = errors, .anomalous = anomalous};
    *out = r;
    return DC_OK;
}

enum dc_status dc_reconstruction_add(struct dc_reconstruction *r, double *sum, const float *outputs,
                                     const float *inputs, const int32_t *labels, int64_t rows,
                                     int64_t values, struct dc_error *error)
{
    if (r->samples + rows > r->capacity)
        return dc_fail(error, DC_ERR_USAGE, "more than %lld samples", (long long)r->capacity);
    *sum = 0.0;
    for (int64_t row = 0; row < rows; row++) {
        double square = 0.0;
        for (int64_t v = row * values; v < (row + 1) * values; v++) {
            const double d = (double)outputs[v] - (double)inputs[v];
            square += d * d;
        }
        const double mean = square / (double)values;
        if (!isfinite(mean))
            return dc_fail(error, DC_ERR_NUMERIC, "the output of sample %lld is not finite",
                           (long long)r->samples);
        r->errors[r->samples] = mean;
        r->anomalous[r->samples++] = r->normal && !r->normal[labels[row]];
        *sum += mean;
    }
    return DC_OK;
}

enum dc_status dc_reconstruction_finish(struct dc_reconstruction *r, struct dc_error *error)
{
    double sums[2] = {0.0}, counts[2] = {0.0};
    for (int64_t i = 0; i < r->samples; i++) {
        sums[r->anomalous[i]] += r->errors[i];
        counts[r->anomalous[i]] += 1.0;
    }
    r->normal_error = counts[0] > 0.0 ? sums[0] / counts[0] : NAN;
    r->anomalous_error = counts[1] > 0.0 ? sums[1] / counts[1] : NAN;
    return dc_auc(&r->auc, r->errors, r->anomalous, r->samples, error);
}
