// Ranges from what was seen: histograms of activations, and clipping scales of weights.
//
// Min-max and the moving average live in the op (fake_quantize.h); these look at all values of the
// calibration set at once. Bins are counts between the exact least and greatest value (and 0), so
// a histogram does not depend on batches, order or threads. low <= 0 <= high:
//   percentile  the least edge with at least p of the values at or below it, and the greatest with
//               at least p at or above it: each end loses at most 1 - p
//   mse         of the ranges [low i / n, high j / n], 1 <= i, j <= n, the one whose grid has the
//               least squared error over the bins' centres: n = 128 where an end is 0, else 32
//   entropy     the threshold T that loses least information (S. Migacz, 8-bit inference with
//               TensorRT, GTC 2017): of magnitudes (their first bin taken to be as full as the
//               second, since ReLU leaves zeros that any grid holds), P is the histogram up to T
//               with what lies above added to its last bin; Q is the histogram up to T, cut into L
//               runs of bins, each run's sum spread over its bins that are not empty. The least
//               KL(P || Q) over T = L .. DC_HISTOGRAM_BINS bins wins, the first of equals; a Q of 0
//               where P is not counts as 1e-10 of the values. L = 2^bits where an end is 0, else
//               2^(bits-1). The range is [max(low, -T), min(high, T)].
// A histogram without values, or of zeros alone, gives [0, 0].

#ifndef DC_QAT_OBSERVE_H
#define DC_QAT_OBSERVE_H

#include "qat/fake_quantize.h"

enum { DC_HISTOGRAM_BINS = 2048 };

struct dc_histogram {
    float low, high;  // low <= 0 <= high
    int64_t counts[DC_HISTOGRAM_BINS];
    int64_t magnitudes[DC_HISTOGRAM_BINS];  // of |x| in [0, max(-low, high)]
};

// Empty, for values in [min(0, minimum), max(0, maximum)].
void dc_histogram_start(struct dc_histogram *histogram, float minimum, float maximum);
// Values outside the range count in the outermost bins; they are finite.
void dc_histogram_add(struct dc_histogram *histogram, const float *values, int64_t count);

// The range that an observer takes: percentile, mse or entropy; of others the whole.
void dc_histogram_range(float *minimum, float *maximum, const struct dc_histogram *histogram,
                        enum dc_observer observer, int bits, double percentile);

// Scales of kept weights, one a channel, all equal where the kernel shares one:
//   min_max     max |w| / high
//   percentile  |w| of rank ceil(p count) of ascending ones, / high
//   mse         of max |w| k / (100 high), 1 <= k <= 100, the one of least squared error; the
//               larger of equals
// At least DC_STEP_FLOOR. weights: [taps, channels], finite.
DC_MUST_USE enum dc_status dc_observe_weights(float *scales, const float *weights, int64_t taps,
                                              int channels,
                                              const struct dc_weight_quantizer *quantizer,
                                              struct dc_error *error);

#endif
