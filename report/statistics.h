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
