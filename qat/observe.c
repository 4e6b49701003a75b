// Owns the rules that turn seen values into ranges and scales. All sums are double, in one order.
// When values are looked at is calibrate.c's.

#include "qat/observe.h"

#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/math.h"

enum { BINS = DC_HISTOGRAM_BINS, ONE_END = 128, TWO_ENDS = 32, WEIGHT_STEPS = 100 };

void dc_histogram_start(struct dc_histogram *h, float minimum, float maximum)
{
    memset(h, 0, sizeof *h);
    h->low = minimum < 0.0f ? minimum : 0.0f;
    h->high = maximum > 0.0f ? maximum : 0.0f;
}

static double magnitude(const struct dc_histogram *h)
{
    return (double)(-h->low > h->high ? -h->low : h->high);
}

static int bin_of(double position)
{
    return position < 0.0 ? 0 : position >= BINS ? BINS - 1 : (int)position;
}

void dc_histogram_add(struct dc_histogram *h, const float *values, int64_t count)
{
    const double low = (double)h->low, width = (double)h->high - low;
    if (!(width > 0.0))
        return;
    const double inverse = BINS / width, inverse_magnitude = BINS / magnitude(h);
    for (int64_t i = 0; i < count; i++) {
        const double x = (double)values[i];
        h->counts[bin_of((x - low) * inverse)]++;
        h->magnitudes[bin_of((x < 0.0 ? -x : x) * inverse_magnitude)]++;
    }
}

static double edge(const struct dc_histogram *h, double bin)
{
    return (double)h->low + bin * (((double)h->high - (double)h->low) / BINS);
}

static int64_t total_of(const int64_t *counts)
{
    int64_t total = 0;
    for (int i = 0; i < BINS; i++)
        total += counts[i];
    return total;
}

static void percentile_range(float *minimum, float *maximum, const struct dc_histogram *h, double p)
{
    const double wanted = p * (double)total_of(h->counts);
    int first = BINS, last = 0;
    for (int64_t below = 0; last < BINS && (double)below < wanted; last++)
        below += h->counts[last];
    for (int64_t above = 0; first > 0 && (double)above < wanted; first--)
        above += h->counts[first - 1];
    const double low = edge(h, first), high = edge(h, last);
    *minimum = low < 0.0 ? (float)low : 0.0f;
    *maximum = high > 0.0 ? (float)high : 0.0f;
}

static double grid_error(const struct dc_histogram *h, struct dc_grid grid)
{
    const double step = (double)grid.step, zero_point = (double)grid.zero_point;
    const double low = (double)grid.low, high = (double)grid.high, inverse = 1.0 / step;
    double sum = 0.0;
    for (int i = 0; i < BINS; i++) {
        if (h->counts[i] == 0)
            continue;
        const double x = edge(h, i + 0.5);
        const double code = rint(x * inverse) + zero_point;
        const double q = code < low ? low : code > high ? high : code;
        const double off = (q - zero_point) * step - x;
        sum += (double)h->counts[i] * (off * off);
    }
    return sum;
}

static void mse_range(float *minimum, float *maximum, const struct dc_histogram *h, int bits)
{
    const bool both = h->low < 0.0f && h->high > 0.0f;
    const int steps = both ? TWO_ENDS : ONE_END;
    const int low_steps = h->low < 0.0f ? steps : 1, high_steps = h->high > 0.0f ? steps : 1;
    double least = INFINITY;
    for (int i = low_steps; i >= 1; i--) {
        for (int j = high_steps; j >= 1; j--) {
            const float low = h->low * ((float)i / (float)low_steps);
            const float high = h->high * ((float)j / (float)high_steps);
            const double error = grid_error(h, dc_grid_of_range(low, high, bits));
            if (!(error < least))
                continue;
            least = error;
            *minimum = low;
            *maximum = high;
        }
    }
}

// KL(P || Q) of the first `bins` magnitudes in `levels` runs; run r is bins [r bins / levels,
// (r + 1) bins / levels). total: all values; inside: those in these bins.
static double divergence(const int64_t *counts, int bins, int levels, int64_t total, int64_t inside)
{
    const double outside = (double)(total - inside);
    double sum = 0.0;
    for (int r = 0; r < levels; r++) {
        const int from = (int)((int64_t)r * bins / levels);
        const int to = (int)((int64_t)(r + 1) * bins / levels);
        int64_t run = 0;
        int filled = 0;
        for (int i = from; i < to; i++) {
            run += counts[i];
            filled += counts[i] > 0;
        }
        for (int i = from; i < to; i++) {
            const double p = ((double)counts[i] + (i == bins - 1 ? outside : 0.0)) / (double)total;
            if (!(p > 0.0))
                continue;
            const double q = counts[i] > 0 ? (double)run / filled / (double)inside : 1e-10;
            sum += p * dc_ln(p / q);
        }
    }
    return sum;
}

static void entropy_range(float *minimum, float *maximum, const struct dc_histogram *h, int bits)
{
    int64_t counts[BINS];
    memcpy(counts, h->magnitudes, sizeof counts);
    counts[0] = counts[1];
    const bool both = h->low < 0.0f && h->high > 0.0f;
    const int levels = 1 << (both ? bits - 1 : bits);
    const int64_t total = total_of(counts);
    double least = INFINITY;
    int best = BINS;
    int64_t inside = 0;
    for (int bins = 1; bins <= BINS; bins++) {
        inside += counts[bins - 1];
        if (bins < levels || inside == 0)
            continue;
        const double kl = divergence(counts, bins, levels, total, inside);
        if (kl < least) {
            least = kl;
            best = bins;
        }
    }
    const float threshold = (float)(magnitude(h) * best / BINS);
    *minimum = h->low < -threshold ? -threshold : h->low;
    *maximum = h->high > threshold ? threshold : h->high;
}

void dc_histogram_range(float *minimum, float *maximum, const struct dc_histogram *h,
                        enum dc_observer observer, int bits, double percentile)
{
    *minimum = h->low;
    *maximum = h->high;
    if (total_of(h->counts) == 0)
        return;
    if (observer == DC_OBSERVER_PERCENTILE)
        percentile_range(minimum, maximum, h, percentile);
    else if (observer == DC_OBSERVER_MSE)
        mse_range(minimum, maximum, h, bits);
    else if (observer == DC_OBSERVER_ENTROPY)
        entropy_range(minimum, maximum, h, bits);
}

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

// magnitudes: ascending, count of them; the last is the largest.
static float observed_scale(const float *magnitudes, int64_t count,
                            const struct dc_weight_quantizer *quantizer)
{
    const double high = (double)dc_code_high(quantizer->bits);
    const double largest = (double)magnitudes[count - 1];
    if (quantizer->observer == DC_OBSERVER_PERCENTILE) {
        const int64_t rank = (int64_t)ceil(quantizer->percentile * (double)count);
        return (float)((double)magnitudes[rank < 1 ? 0 : rank - 1] / high);
    }
    double best = largest / high, least = INFINITY;
    const bool searches = quantizer->observer == DC_OBSERVER_MSE && largest > 0.0;
    for (int k = WEIGHT_STEPS; searches && k >= 1; k--) {
        const double scale = largest * k / (WEIGHT_STEPS * high);
        double sum = 0.0;
        for (int64_t i = 0; i < count; i++) {
            const double w = (double)magnitudes[i], code = rint(w / scale);
            const double off = (code > high ? high : code) * scale - w;
            sum += off * off;
        }
        if (sum < least) {
            least = sum;
            best = scale;
        }
    }
    return (float)best;
}

enum dc_status dc_observe_weights(float *scales, const float *weights, int64_t taps, int channels,
                                  const struct dc_weight_quantizer *quantizer,
                                  struct dc_error *error)
{
    const int groups = quantizer->per_channel ? channels : 1;
    const int64_t count = taps * channels / groups;
    float *sorted = dc_alloc((size_t)count * sizeof *sorted, error);
    if (!sorted)
        return DC_ERR_MEMORY;
    for (int g = 0; g < groups; g++) {
        for (int64_t i = 0; i < count; i++)
            sorted[i] = fabsf(weights[i * groups + g]);
        qsort(sorted, (size_t)count, sizeof *sorted, ascending);
        const float scale = observed_scale(sorted, count, quantizer);
        const float least = scale < DC_STEP_FLOOR ? DC_STEP_FLOOR : scale;
        for (int c = 0; c < channels / groups; c++)
            scales[g + c] = quantizer->power_of_two ? dc_power_of_two_above(least) : least;
    }
    free(sorted);
    return DC_OK;
}
