// Intervals and measures that the report states beside counts. Each names its source.

#ifndef DC_REPORT_STATISTICS_H
#define DC_REPORT_STATISTICS_H

#include <stdint.h>

struct dc_interval {
    double low, high;
};

// Wilson's score interval of a proportion, 95 % (E. B. Wilson, JASA 22, 1927), without continuity
// correction. trials 0: [0, 1].
struct dc_interval dc_wilson(int64_t successes, int64_t trials);

// Of values that vary by chance. deviation: with n - 1; error: deviation / sqrt(n), of the mean;
// both NaN of one value.
struct dc_summary {
    int count;
    double mean, deviation, error;
};
struct dc_summary dc_summarize(const double *values, int count);
// Of paired differences: whether their mean is 0 (Student's t with n - 1 degrees of freedom, two
// sides), and its 95 % interval. NaN where there are fewer than DC_TESTED_MIN values, of which a
// test could say next to nothing.
enum { DC_TESTED_MIN = 4 };
double dc_paired_t_test(struct dc_interval *interval, const struct dc_summary *differences);

// Expected calibration error (Guo et al., arXiv:1706.04599): samples go to bins of equal width by
// the confidence of their prediction, (b / DC_RELIABILITY_BINS, (b + 1) / DC_RELIABILITY_BINS];
// sum over bins of share * |accuracy - mean confidence|.
enum { DC_RELIABILITY_BINS = 15 };
struct dc_reliability {
    int64_t samples[DC_RELIABILITY_BINS], right[DC_RELIABILITY_BINS];
    double confidence[DC_RELIABILITY_BINS];  // sums
};
void dc_reliability_add(struct dc_reliability *reliability, double confidence, int right);
double dc_calibration_error(const struct dc_reliability *reliability);

#endif
