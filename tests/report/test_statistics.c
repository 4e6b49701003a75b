// Statistics of the report against scipy's values and sums by hand.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "report/chart.h"
#include "report/statistics.h"
#include "train/binomial.h"

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

// scipy 1.14.1: special.betainc
static void incomplete_beta_is_scipys(void **state)
{
    (void)state;
    static const double cases[][4] = {
        {0.5, 0.5, 0.25, 0.333333333333333},
        {2, 3, 0.4, 0.5248},
        {970, 31, 0.96, 0.0579883769622826},
        {1, 1000000, 1e-07, 0.0951625864882278},
        {1.5, 0.5, 0.9, 0.604181303590592},
        {50, 0.5, 0.999, 0.752369019965377},
        {9700, 301, 0.97, 0.51535053756278},
        {999999, 2, 0.999998, 0.406005579053485},
        {3, 4, 0.0, 0.0},
        {3, 4, 1.0, 1.0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_true(fabs(dc_incomplete_beta(cases[i][0], cases[i][1], cases[i][2]) - cases[i][3]) <
                    1e-9);
}

// scipy 1.14.1: beta.ppf(0.05, k, n - k + 1)
static void clopper_pearson_is_scipys(void **state)
{
    (void)state;
    static const struct {
        int64_t k, n;
        double low;
    } cases[] = {
        {0, 10, 0},
        {10, 10, 0.741134449106948},
        {9, 10, 0.605836697563495},
        {1, 2, 0.0253205655191036},
        {485, 500, 0.954180357249003},
        {970, 1000, 0.959527762719134},
        {9700, 10000, 0.967040564101922},
        {299, 300, 0.984285445108416},
        {58, 59, 0.922102078481182},
        {1, 1000000, 5.12932930720495e-08},
        {999999, 1000000, 0.999995256144362},
        {4250, 5000, 0.841442813482232},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const double low = dc_clopper_pearson_low(cases[i].k, cases[i].n, 0.95);
        // lgamma of a million is known to 3e-9, which is how well the bound is known then
        const double slack = cases[i].n > 100000 ? 2e-8 : 1e-10;
        assert_true(fabs(low - cases[i].low) <= slack * fmin(cases[i].low, 1.0 - cases[i].low));
    }
}

// numpy's mean and std(ddof=1); scipy 1.14.1: ttest_1samp(v, 0) and its confidence_interval(0.95)
static void paired_t_test_is_scipys(void **state)
{
    (void)state;
    static const struct {
        int n;
        double v[8], mean, deviation, p, low, high;
    } cases[] = {
        {4,
         {0.3, 0.5, 0.1, 0.4},
         0.325,
         0.170782512765993,
         0.0318741951036,
         0.0532469116204,
         0.59675308838},
        {5,
         {1.0, -1.0, 0.5, -0.4, 0.2},
         0.06,
         0.779743547584717,
         0.871743440233,
         -0.908179490868,
         1.02817949087},
        {8,
         {0.35, 0.41, 0.39, 0.2, 0.52, 0.44, 0.31, 0.28},
         0.3625,
         0.099964279334456,
         1.8097610741e-05,
         0.278927771061,
         0.446072228939},
        {4,
         {-2.0, -2.1, -1.9, -2.05},
         -2.0125,
         0.0853912563829967,
         2.10237439753e-05,
         -2.14837654419,
         -1.87662345581},
    };
    struct dc_interval interval;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct dc_summary s = dc_summarize(cases[i].v, cases[i].n);
        const double p = dc_paired_t_test(&interval, &s);
        assert_true(fabs(s.mean - cases[i].mean) < 1e-12);
        assert_true(fabs(s.deviation - cases[i].deviation) < 1e-12);
        assert_true(fabs(s.error - cases[i].deviation / sqrt(cases[i].n)) < 1e-12);
        assert_true(fabs(p - cases[i].p) < 1e-9 * cases[i].p + 1e-12);
        assert_true(fabs(interval.low - cases[i].low) < 1e-9);
        assert_true(fabs(interval.high - cases[i].high) < 1e-9);
    }
    const struct dc_summary three = dc_summarize(cases[0].v, 3), one = dc_summarize(cases[0].v, 1);
    assert_true(isnan(dc_paired_t_test(&interval, &three)) && isnan(interval.low));
    assert_true(isnan(one.deviation) && one.mean == 0.3);
    const double equal[4] = {0.0, 0.0, 0.0, 0.0};
    const struct dc_summary nothing = dc_summarize(equal, 4);
    assert_true(dc_paired_t_test(&interval, &nothing) == 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(incomplete_beta_is_scipys), cmocka_unit_test(clopper_pearson_is_scipys),
        cmocka_unit_test(paired_t_test_is_scipys),   cmocka_unit_test(wilson_is_scipys),
        cmocka_unit_test(calibration_error_by_hand), cmocka_unit_test(ticks_cover),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
