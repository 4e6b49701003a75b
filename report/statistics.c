// Owns the report's statistics: pure functions of counts.

#include "report/statistics.h"

#include <math.h>

#include "train/binomial.h"

struct dc_interval dc_wilson(int64_t successes, int64_t trials)
{
    const double z = 1.959963984540054;  // the normal distribution's quantile of 0.975
    if (trials <= 0)
        return (struct dc_interval){0.0, 1.0};
    const double n = (double)trials, p = (double)successes / n, z2 = z * z;
    const double middle = p + z2 / (2.0 * n);
    const double half = z * sqrt(p * (1.0 - p) / n + z2 / (4.0 * n * n));
    const double low = (middle - half) / (1.0 + z2 / n), high = (middle + half) / (1.0 + z2 / n);
    // the ends of no success and of nothing else are exact, whatever rounding makes of them
    return (struct dc_interval){successes == 0 ? 0.0 : low, successes == trials ? 1.0 : high};
}

struct dc_summary dc_summarize(const double *values, int count)
{
    struct dc_summary s = {.count = count, .mean = NAN, .deviation = NAN, .error = NAN};
    double sum = 0.0, squares = 0.0;
    for (int i = 0; i < count; i++)
        sum += values[i];
    if (count > 0)
        s.mean = sum / count;
    for (int i = 0; i < count; i++)
        squares += (values[i] - s.mean) * (values[i] - s.mean);
    if (count > 1) {
        s.deviation = sqrt(squares / (count - 1));
        s.error = s.deviation / sqrt(count);
    }
    return s;
}

// The probability of a |t| at least as large.
static double two_sided(double t, double freedom)
{
    return dc_incomplete_beta(0.5 * freedom, 0.5, freedom / (freedom + t * t));
}

double dc_paired_t_test(struct dc_interval *interval, const struct dc_summary *d)
{
    const double freedom = d->count - 1.0;
    double low = 0.0, high = 1e3;
    *interval = (struct dc_interval){NAN, NAN};
    if (d->count < DC_TESTED_MIN)
        return NAN;
    for (int i = 0; i < 100; i++) {
        const double middle = 0.5 * (low + high);
        if (two_sided(middle, freedom) > 0.05)
            low = middle;
        else
            high = middle;
    }
    *interval = (struct dc_interval){d->mean - low * d->error, d->mean + low * d->error};
    if (!(d->error > 0.0))
        return d->mean == 0.0 ? 1.0 : 0.0;
    return two_sided(d->mean / d->error, freedom);
}

void dc_reliability_add(struct dc_reliability *r, double confidence, int right)
{
    const int bin = (int)ceil(confidence * DC_RELIABILITY_BINS) - 1;
    const int b = bin < 0 ? 0 : bin < DC_RELIABILITY_BINS ? bin : DC_RELIABILITY_BINS - 1;
    r->samples[b]++;
    r->right[b] += right != 0;
    r->confidence[b] += confidence;
}

double dc_calibration_error(const struct dc_reliability *r)
{
    double sum = 0.0, all = 0.0;
    for (int b = 0; b < DC_RELIABILITY_BINS; b++) {
        sum += fabs((double)r->right[b] - r->confidence[b]);
        all += (double)r->samples[b];
    }
    return all > 0.0 ? sum / all : 0.0;
}
