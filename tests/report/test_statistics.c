// Statistics of the report against scipy's values and sums by hand.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "report/chart.h"
#include "report/statistics.h"

// scipy 1.14.1: binomtest(k, n).proportion_ci(0.95, 'wilson')
static const struct {
    int64_t k, n;
    double low, high;
} wilson[] = {
    {0, 10, 0.000000000000, 0.277532799863},
    {10, 10, 0.722467200137, 1.000000000000},
    {5, 10, 0.236593090513, 0.763406909487},
    {9130, 10000, 0.907316327154, 0.918366490192},
    {1, 3, 0.061491944720, 0.792340399198},
    {70, 70, 0.947976937590, 1.000000000000},
    {123456, 1000000, 0.122812696531, 0.124102196414},
};

static void wilson_is_scipys(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wilson / sizeof wilson[0]; i++) {
        const struct dc_interval interval = dc_wilson(wilson[i].k, wilson[i].n);
        assert_true(fabs(interval.low - wilson[i].low) < 1e-11);
        assert_true(fabs(interval.high - wilson[i].high) < 1e-11);
    }
    assert_true(dc_wilson(0, 0).low == 0.0 && dc_wilson(0, 0).high == 1.0);
}

// Ten samples at 0.95, of which 8 are right, five at 0.5, of which 4 are: by the definition
// (10 |0.8 - 0.95| + 5 |0.8 - 0.5|) / 15 = 0.2. Confidences at an edge belong below it.
static void calibration_error_by_hand(void **state)
{
    (void)state;
    struct dc_reliability r = {0}, edges = {0};
    assert_true(dc_calibration_error(&r) == 0.0);
    for (int i = 0; i < 10; i++)
        dc_reliability_add(&r, 0.95, i < 8);
    for (int i = 0; i < 5; i++)
        dc_reliability_add(&r, 0.5, i < 4);
    assert_true(fabs(dc_calibration_error(&r) - 0.2) < 1e-12);
    dc_reliability_add(&edges, 1.0 / 15.0, 1);
    dc_reliability_add(&edges, 0.0, 1);
    dc_reliability_add(&edges, 1.0, 1);
    dc_reliability_add(&edges, 1.5, 1);
    assert_int_equal(edges.samples[0], 2);
    assert_int_equal(edges.samples[DC_RELIABILITY_BINS - 1], 2);
}

// Ticks ascend in equal steps of 1, 2, 2.5 or 5 times a power of ten, cover what they are for, and
// are no more than were asked for.
static void ticks_cover(void **state)
{
    (void)state;
    static const double ends[][2] = {{0.0, 1.0},     {0.2, 0.95},     {81.8, 94.0}, {-3.0, 66.0},
                                     {1e-7, 3e-7},   {5.0, 5.0},      {0.0, 0.0},   {-1.0, -0.999},
                                     {0.0, 1234567}, {1e300, 1.5e300}};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        for (int most = 2; most <= 8; most++) {
            double ticks[9];
            const int count = dc_chart_ticks(ticks, ends[i][0], ends[i][1], most);
            const double step = ticks[1] - ticks[0], slack = 1e-6 * step;
            assert_in_range(count, 2, most + 1);
            assert_true(ticks[0] <= ends[i][0] + slack);
            assert_true(ticks[count - 1] >= ends[i][1] - slack);
            for (int k = 1; k < count; k++)
                assert_true(fabs(ticks[k] - ticks[k - 1] - step) <= slack);
            const double lead = step / pow(10.0, floor(log10(step) + 1e-9));
            assert_true(fabs(lead - 1.0) < 1e-3 || fabs(lead - 2.0) < 1e-3 ||
                        fabs(lead - 2.5) < 1e-3 || fabs(lead - 5.0) < 1e-3);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wilson_is_scipys),
        cmocka_unit_test(calibration_error_by_hand),
        cmocka_unit_test(ticks_cover),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
