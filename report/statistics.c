// Owns the report's statistics: pure functions of counts.

#include "report/statistics.h"

#include <math.h>

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
