// Ranges of histograms and scales of weights against searches over the samples themselves, and
// calibration against itself on other threads and batches.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/graph.h"
#include "core/random.h"
#include "qat/calibrate.h"
#include "qat/observe.h"

enum { COUNT = 20000 };

static struct dc_error error;

static void must(enum dc_status status)
{
    if (status != DC_OK)
        fail_msg("%s", error.message);
}

enum shape { NORMAL, RELU, NEGATIVE, OUTLIERS, SHAPES };

// Long epilogues make the observers differ; one range without an end on each side of 0.
static void draw(float *x, int64_t count, enum shape shape, uint64_t id)
{
    struct dc_random random;
    dc_random_start(&random, 41, DC_PURPOSE_TEST, 0, id);
    for (int64_t i = 0; i < count; i++) {
        const float v = (float)dc_random_normal(&random);
        x[i] = shape == RELU       ? (v < 0.0f ? 0.0f : v * v)
               : shape == NEGATIVE ? -fabsf(v) - 0.1f
               : shape == OUTLIERS ? v * (i % 997 == 0 ? 20.0f : 1.0f) + 0.3f
                                   : v;
    }
}

static void make(struct dc_histogram *h, const float *x, int64_t count)
{
    float low = x[0], high = x[0];
    for (int64_t i = 0; i < count; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    dc_histogram_start(h, low, high);
    dc_histogram_add(h, x, count / 3);
    dc_histogram_add(h, x + count / 3, count - count / 3);
}

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

// The sample of that rank from either end, within a bin.
static void percentile_is_a_rank(void **state)
{
    (void)state;
    static float x[COUNT];
    static struct dc_histogram h;
    for (int shape = 0; shape < SHAPES; shape++) {
        draw(x, COUNT, (enum shape)shape, 1);
        make(&h, x, COUNT);
        qsort(x, COUNT, sizeof *x, ascending);
        const float bin = (h.high - h.low) / DC_HISTOGRAM_BINS * 1.001f;
        for (int k = 0; k < 3; k++) {
            const double p = (const double[]){0.9, 0.999, 1.0}[k];
            const int rank = (int)ceil(p * COUNT - 1e-9);
            float low, high;
            dc_histogram_range(&low, &high, &h, DC_OBSERVER_PERCENTILE, 8, p);
            const float want_high = fmaxf(x[rank - 1], 0.0f), want_low = fminf(x[COUNT - rank], 0);
            if (fabsf(high - want_high) > bin || fabsf(low - want_low) > bin)
                fail_msg("shape %d, %g: [%g, %g], not [%g, %g]", shape, p, (double)low,
                         (double)high, (double)want_low, (double)want_high);
        }
    }
}

// Root of the mean squared distance to the nearest of 2^bits points from low to high, of which one
// is 0.
static double distance(const float *x, int64_t count, double low, double high, int bits)
{
    const int last = (1 << bits) - 1;
    const double step = (double)((float)high - (float)low) / last;
    const double zero = -nearbyint(low / step);
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++) {
        double k = nearbyint((double)x[i] / step) + zero;
        k = fmin(fmax(k, 0.0), (double)last);
        sum += pow((k - zero) * step - (double)x[i], 2.0);
    }
    return sqrt(sum / (double)count);
}

// Distance to a grid changes no faster than the value, so half a bin off in each value is half a
// bin off in the mean: what the histogram finds best is within a bin of the best for the samples.
static void mse_is_the_best_of_its_candidates(void **state)
{
    (void)state;
    enum { FEW = 3000 };
    static float x[FEW];
    static struct dc_histogram h;
    for (int shape = 0; shape < SHAPES; shape++) {
        for (int bits = 8; bits >= 4; bits -= 4) {
            float low, high;
            double best = INFINITY;
            draw(x, FEW, (enum shape)shape, 2);
            make(&h, x, FEW);
            dc_histogram_range(&low, &high, &h, DC_OBSERVER_MSE, bits, 0.0);
            const int n = h.low < 0.0f && h.high > 0.0f ? 32 : 128;
            for (int i = h.low < 0.0f ? 1 : n; i <= n; i++) {
                for (int j = h.high > 0.0f ? 1 : n; j <= n; j++) {
                    const double error_here = distance(x, FEW, (double)h.low * i / n,
                                                       (double)h.high * j / n, bits);
                    best = fmin(best, error_here);
                }
            }
            const double bin = (double)(h.high - h.low) / DC_HISTOGRAM_BINS;
            const double ours = distance(x, FEW, (double)low, (double)high, bits);
            const double whole = distance(x, FEW, (double)h.low, (double)h.high, bits);
            if (!(ours <= best + bin * 1.001) || !(ours <= whole + bin * 1.001))
                fail_msg("shape %d, %d bits: %g, the best is %g", shape, bits, ours, best);
            if (shape == OUTLIERS && bits == 4)
                assert_true(ours < 0.8 * whole);  // the case tells a search from none
        }
    }
}

// The definition of observe.h on arrays P and Q.
static double textbook_kl(const double *counts, int bins, int levels)
{
    static double p[DC_HISTOGRAM_BINS], q[DC_HISTOGRAM_BINS];
    double total = 0.0, inside = 0.0, kl = 0.0;
    for (int i = 0; i < DC_HISTOGRAM_BINS; i++)
        total += counts[i];
    for (int i = 0; i < bins; i++)
        inside += p[i] = counts[i];
    p[bins - 1] += total - inside;
    for (int level = 0; level < levels; level++) {
        const int begin = level * bins / levels, end = (level + 1) * bins / levels;
        double sum = 0.0, filled = 0.0;
        for (int i = begin; i < end; i++) {
            sum += counts[i];
            filled += counts[i] != 0.0;
        }
        for (int i = begin; i < end; i++)
            q[i] = counts[i] != 0.0 ? sum / filled / inside : 1e-10;
    }
    for (int i = 0; i < bins; i++)
        kl += p[i] > 0.0 ? p[i] / total * log(p[i] / total / q[i]) : 0.0;
    return inside > 0.0 ? kl : INFINITY;
}

static void entropy_is_the_least_divergence(void **state)
{
    (void)state;
    static float x[COUNT];
    static double counts[DC_HISTOGRAM_BINS];
    static struct dc_histogram h;
    for (int shape = 0; shape < SHAPES; shape++) {
        float low, high;
        draw(x, COUNT, (enum shape)shape, 3);
        make(&h, x, COUNT);
        const double top = fmax(-(double)h.low, (double)h.high);
        memset(counts, 0, sizeof counts);
        for (int i = 0; i < COUNT; i++)
            counts[(int)fmin(fabs((double)x[i]) * (DC_HISTOGRAM_BINS / top), 2047.0)] += 1.0;
        counts[0] = counts[1];
        const int levels = h.low < 0.0f && h.high > 0.0f ? 128 : 256;
        double least = INFINITY;
        for (int bins = levels; bins <= DC_HISTOGRAM_BINS; bins++)
            least = fmin(least, textbook_kl(counts, bins, levels));
        dc_histogram_range(&low, &high, &h, DC_OBSERVER_ENTROPY, 8, 0.0);
        const double threshold = fmax(-(double)low, (double)high);
        const int chosen = (int)lrint(threshold / top * DC_HISTOGRAM_BINS);
        assert_true(chosen >= levels && chosen <= DC_HISTOGRAM_BINS);
        if (fabs(textbook_kl(counts, chosen, levels) - least) > 1e-9)
            fail_msg("shape %d: %d bins give %g, the least is %g", shape, chosen,
                     textbook_kl(counts, chosen, levels), least);
    }
}

static double weight_distance(const float *w, int taps, int channels, int c, double scale,
                              double high)
{
    double sum = 0.0;
    for (int i = c < 0 ? 0 : c; i < taps * channels; i += c < 0 ? 1 : channels) {
        const double code = fmin(fmax(nearbyint((double)w[i] / scale), -high), high);
        sum += pow(code * scale - (double)w[i], 2.0);
    }
    return sum;
}

static void scales_of_weights_follow_their_rules(void **state)
{
    (void)state;
    enum { TAPS = 53, CHANNELS = 7 };
    float w[TAPS * CHANNELS], scales[CHANNELS], sorted[TAPS * CHANNELS];
    draw(w, TAPS * CHANNELS, OUTLIERS, 4);
    for (int bits = 8; bits >= 2; bits /= 2) {
        const double high = (1 << (bits - 1)) - 1;
        for (int c = -1; c < CHANNELS; c++) {  // -1: one scale for the kernel
            struct dc_weight_quantizer quantizer = {
                .per_channel = c >= 0, .bits = bits, .observer = DC_OBSERVER_MSE};
            const int n = c < 0 ? TAPS * CHANNELS : TAPS, at = c < 0 ? 0 : c;
            for (int i = 0; i < n; i++)
                sorted[i] = fabsf(w[c < 0 ? i : i * CHANNELS + c]);
            qsort(sorted, (size_t)n, sizeof *sorted, ascending);
            must(dc_observe_weights(scales, w, TAPS, CHANNELS, &quantizer, &error));
            assert_true(c >= 0 || scales[0] == scales[CHANNELS - 1]);
            double best = INFINITY;
            for (int k = 1; k <= 100; k++)
                best = fmin(best, weight_distance(w, TAPS, CHANNELS, c,
                                                  (double)sorted[n - 1] / high * k / 100, high));
            const double ours = weight_distance(w, TAPS, CHANNELS, c, (double)scales[at], high);
            assert_true(ours <= best * (1.0 + 1e-5));
            quantizer.observer = DC_OBSERVER_PERCENTILE;
            quantizer.percentile = 0.9;
            must(dc_observe_weights(scales, w, TAPS, CHANNELS, &quantizer, &error));
            const double rank = (double)sorted[(int)ceil(0.9 * n) - 1];
            assert_true(fabs((double)scales[at] * high / rank - 1.0) < 1e-6);
            quantizer.observer = DC_OBSERVER_MIN_MAX;
            must(dc_observe_weights(scales, w, TAPS, CHANNELS, &quantizer, &error));
            assert_true(fabs((double)scales[at] * high / (double)sorted[n - 1] - 1.0) < 1e-6);
        }
    }
}

enum { ROWS = 60, ROW = 35 };

static void calibrate(float *range, enum dc_observer observer, int threads, int batch,
                      const float *x)
{
    struct dc_ctx *ctx = NULL;
    struct dc_graph *g = NULL;
    struct dc_params *p = NULL;
    struct dc_calibration *c = NULL;
    int input, node;
    const struct dc_ctx_config config = {.threads = threads};
    const struct dc_fake_quantize_attributes a = {
        .observer = observer, .constant = 0.01f, .bits = 8, .percentile = 0.999};
    must(dc_ctx_create(&ctx, &config, &error));
    must(dc_graph_create(&g, &error));
    must(dc_graph_add_input(g, "x", DC_F32, &DC_SHAPE(DC_BATCH, ROW), &input, &error));
    must(dc_graph_add(g, "q", &dc_op_fake_quantize, &a, sizeof a, &input, 1, &node, &error));
    must(dc_params_create(&p, g, 0, false, &error));
    must(dc_calibration_create(&c, ctx, g, p, input, batch, &error));
    assert_int_equal(dc_calibration_passes(c), observer > DC_OBSERVER_MIN_MAX ? 2 : 1);
    for (int pass = 0; pass < dc_calibration_passes(c); pass++) {
        for (int at = 0; at < ROWS; at += batch) {
            const int rows = batch < ROWS - at ? batch : ROWS - at;
            must(dc_calibration_add(c, x + (ptrdiff_t)at * ROW, rows, &error));
        }
        must(dc_calibration_end_pass(c, &error));
    }
    memcpy(range, p->value + dc_params_find(p, "q.range")->offset, 3 * sizeof *range);
    dc_calibration_free(c);
    dc_params_free(p);
    dc_graph_free(g);
    dc_ctx_free(ctx);
}

// Also against the histogram of all values at once.
static void calibration_knows_no_batches_or_threads(void **state)
{
    (void)state;
    static float x[ROWS * ROW];
    static struct dc_histogram h;
    draw(x, ROWS * ROW, OUTLIERS, 5);
    make(&h, x, ROWS * ROW);
    for (int o = DC_OBSERVER_MIN_MAX; o <= DC_OBSERVER_ENTROPY; o++) {
        float one[3], other[3], low, high;
        calibrate(one, (enum dc_observer)o, 1, ROWS, x);
        calibrate(other, (enum dc_observer)o, 2, 7, x);
        assert_memory_equal(one, other, sizeof one);
        dc_histogram_range(&low, &high, &h, (enum dc_observer)o, 8, 0.999);
        assert_true(one[0] == low && one[1] == high && one[2] == 1.0f);
        if (o == DC_OBSERVER_PERCENTILE)
            assert_true(high - low < h.high - h.low);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentile_is_a_rank),
        cmocka_unit_test(mse_is_the_best_of_its_candidates),
        cmocka_unit_test(entropy_is_the_least_divergence),
        cmocka_unit_test(scales_of_weights_follow_their_rules),
        cmocka_unit_test(calibration_knows_no_batches_or_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
