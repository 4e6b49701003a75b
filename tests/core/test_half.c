// Halves: every one of the 65,536 against its definition, and rounding between neighbours.

#include "core/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// (-1)^s 2^(e-15) (1 + m / 1024), 2^-14 m / 1024 for e = 0.
static double defined(unsigned half)
{
    const int exponent = (int)(half >> 10 & 31), fraction = (int)(half & 1023);
    const double magnitude = exponent == 0    ? ldexp(fraction, -24)
                             : exponent == 31 ? (fraction ? (double)NAN : (double)INFINITY)
                                              : ldexp(1024 + fraction, exponent - 25);
    return half & 0x8000u ? -magnitude : magnitude;
}

static void test_every_half(void **state)
{
    (void)state;
    for (unsigned half = 0; half < 65536; half++) {
        const double want = defined(half);
        const float have = dc_half_to_float((uint16_t)half);
        if (isnan(want)) {
            assert_true(isnan(have) && isnan(dc_half_to_float(dc_half_from_float(have))));
            continue;
        }
        assert_true((double)have == want && !signbit(have) == !(half & 0x8000u));
        assert_int_equal(dc_half_from_float(have), half);
    }
}

static void test_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (unsigned half = 0; half < 0x7bffu; half++) {
        const float low = dc_half_to_float((uint16_t)half);
        const float high = dc_half_to_float((uint16_t)(half + 1));
        const float middle = low + (high - low) / 2.0f;
        assert_int_equal(dc_half_from_float(middle), half + (half & 1));
        assert_int_equal(dc_half_from_float(nextafterf(middle, low)), half);
        assert_int_equal(dc_half_from_float(nextafterf(middle, high)), half + 1);
        assert_int_equal(dc_half_from_float(-middle), 0x8000u + half + (half & 1));
    }
    assert_int_equal(dc_half_from_float(65519.0f), 0x7bff);
    assert_int_equal(dc_half_from_float(65520.0f), 0x7c00);
    assert_int_equal(dc_half_from_float(1e30f), 0x7c00);
    assert_int_equal(dc_half_from_float(0x1p-25f), 0);
    assert_int_equal(dc_half_from_float(nextafterf(0x1p-25f, 1.0f)), 1);
    assert_int_equal(dc_half_from_float(1e-30f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_half),
        cmocka_unit_test(test_rounds_to_nearest_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
