// How a run under load is judged: traces with and without noise, of devices that slow and of ones
// that do not.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/device.h"
#include "core/random.h"

enum { WINDOWS = 120 };
static struct dc_load_window windows[WINDOWS];

// A second a window; from `slows_at` on `factor` times 10 ms; noise: a uniform part of that.
static void make(int slows_at, double factor, double noise, uint64_t seed)
{
    struct dc_random random;
    dc_random_start(&random, (uint32_t)seed, DC_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < WINDOWS; i++) {
        const double level = i < slows_at ? 10.0 : 10.0 * factor;
        const double u = 2.0 * (double)dc_random_unit(&random) - 1.0;
        windows[i] = (struct dc_load_window){i + 1.0, level * (1.0 + noise * u)};
    }
}

static void a_step_is_found_where_it_is(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        make(60, 1.2, 0.02, seed);
        const struct dc_drift drift = dc_judge_drift(windows, WINDOWS);
        assert_true(drift.judged && drift.throttles);
        assert_true(drift.at_seconds == 60.0);
        assert_true(drift.share > 0.17 && drift.share < 0.23);
    }
}

static void noise_alone_is_no_drift(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        make(WINDOWS, 1.0, 0.05, seed);
        assert_false(dc_judge_drift(windows, WINDOWS).throttles);
    }
}

// Faster by a fifth, and slower by a hundredth: no throttling.
static void what_is_faster_or_hardly_slower_does_not_throttle(void **state)
{
    (void)state;
    make(60, 0.8, 0.0, 1);
    assert_false(dc_judge_drift(windows, WINDOWS).throttles);
    make(60, 1.01, 0.0, 1);
    assert_false(dc_judge_drift(windows, WINDOWS).throttles);
    make(60, 1.04, 0.0, 1);
    assert_true(dc_judge_drift(windows, WINDOWS).throttles);
}

// It heats up slowly: 1 % a window over 40 of them.
static void a_slope_is_drift(void **state)
{
    (void)state;
    for (int i = 0; i < WINDOWS; i++) {
        const double share = i < 40 ? 0.0 : i < 80 ? 0.01 * (i - 40) : 0.4;
        windows[i] = (struct dc_load_window){i + 1.0, 10.0 * (1.0 + share)};
    }
    const struct dc_drift drift = dc_judge_drift(windows, WINDOWS);
    assert_true(drift.throttles && drift.share > 0.3);
}

static void a_short_run_is_not_judged(void **state)
{
    (void)state;
    make(4, 1.5, 0.0, 1);
    assert_false(dc_judge_drift(windows, DC_DRIFT_WINDOWS_MIN - 1).judged);
    assert_true(dc_judge_drift(windows, DC_DRIFT_WINDOWS_MIN).throttles);
}

static void a_percentile_is_the_nearest_rank(void **state)
{
    (void)state;
    double sorted[200];
    for (int i = 0; i < 200; i++)
        sorted[i] = i + 1;
    assert_true(dc_percentile(sorted, 200, 0.5) == 100.0);
    assert_true(dc_percentile(sorted, 200, 0.95) == 190.0);
    assert_true(dc_percentile(sorted, 200, 0.99) == 198.0);
    assert_true(dc_percentile(sorted, 3, 0.5) == 2.0);
    assert_true(dc_percentile(sorted, 1, 0.99) == 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_found_where_it_is),
        cmocka_unit_test(noise_alone_is_no_drift),
        cmocka_unit_test(what_is_faster_or_hardly_slower_does_not_throttle),
        cmocka_unit_test(a_slope_is_drift),
        cmocka_unit_test(a_short_run_is_not_judged),
        cmocka_unit_test(a_percentile_is_the_nearest_rank),
    };
    return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
