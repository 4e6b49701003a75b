// The fixed-point primitives against exact wide-integer definitions, over all pairs of edge values
// and every shift.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/random.h"
#include "qat/fixed_point.h"
#include "tests/oracles/integer_oracle.h"

enum { EDGES_MAX = 1024, RANDOM_CASES = 200000 };

// Powers of two, their neighbours and halves, both signs, and the ends of int32.
static int edges(int32_t values[EDGES_MAX])
{
    int count = 0;
    for (int bit = 0; bit < 31; bit++) {
        for (int64_t near = -2; near <= 2; near++) {
            const int64_t v = (INT64_C(1) << bit) + near;
            values[count++] = (int32_t)v;
            values[count++] = (int32_t)-v;
        }
    }
    for (int32_t near = 0; near < 3; near++) {
        values[count++] = INT32_MAX - near;
        values[count++] = INT32_MIN + near;
        values[count++] = (INT32_C(3) << 29) - 1 + near;
    }
    return count;
}

static void srdhm_matches_definition(void **state)
{
    (void)state;
    int32_t v[EDGES_MAX];
    const int count = edges(v);
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < count; k++)
            assert_int_equal(dc_srdhm(v[i], v[k]), oracle_srdhm(v[i], v[k]));
    }
    assert_int_equal(dc_srdhm(INT32_MIN, INT32_MIN), INT32_MAX);
    assert_int_equal(dc_srdhm(1, 1 << 30), 1);   // a tie goes up
    assert_int_equal(dc_srdhm(-1, 1 << 30), 0);  // also below zero
}

static void divide_pot_matches_definition(void **state)
{
    (void)state;
    int32_t v[EDGES_MAX];
    const int count = edges(v);
    for (int exponent = 0; exponent <= 31; exponent++) {
        for (int i = 0; i < count; i++)
            assert_int_equal(dc_rounding_divide_pot(v[i], exponent),
                             oracle_divide_pot(v[i], exponent));
    }
    for (int32_t x = -5000; x <= 5000; x++) {
        for (int exponent = 0; exponent <= 12; exponent++)
            assert_int_equal(dc_rounding_divide_pot(x, exponent), oracle_divide_pot(x, exponent));
    }
    assert_int_equal(dc_rounding_divide_pot(-1, 1), -1);  // a tie goes away from zero
}

static int64_t clamped(int64_t x)  // what any code sees: beyond +-1000 all values are one
{
    return x < -1000 ? -1000 : x > 1000 ? 1000 : x;
}

static void check_requantize(int32_t x, int32_t m, int32_t s)
{
    const int64_t by_two = oracle_requantize(x, m, s, false);
    const int64_t upward = oracle_requantize_up(x, m, s);
    if (s <= 0) {
        assert_int_equal(dc_requantize_double(x, m, s), by_two);
        assert_int_equal(dc_requantize_double_up(x, m, s), upward);
    } else {
        assert_int_equal(clamped(dc_requantize_double(x, m, s)), clamped(by_two));
        assert_int_equal(clamped(dc_requantize_double_up(x, m, s)), clamped(upward));
    }
    if (s <= 30)
        assert_int_equal(dc_requantize_single(x, m, s), oracle_requantize(x, m, s, true));
}

static void requantize_matches_definition(void **state)
{
    (void)state;
    int32_t v[EDGES_MAX];
    const int count = edges(v);
    const int32_t multipliers[] = {0,          1 << 30,       (1 << 30) + 1, 1518500250,
                                   1717986918, INT32_MAX - 1, INT32_MAX};
    for (int32_t s = -31; s <= 40; s++) {
        for (unsigned k = 0; k < sizeof multipliers / sizeof multipliers[0]; k++) {
            for (int i = 0; i < count; i++)
                check_requantize(v[i], multipliers[k], s);
        }
    }
    struct dc_random random;
    dc_random_start(&random, 1, DC_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < RANDOM_CASES; i++) {
        const int32_t m = (1 << 30) + (int32_t)dc_random_below(&random, 1u << 30);
        const int32_t s = (int32_t)dc_random_below(&random, 20) - 18;
        check_requantize((int32_t)dc_random_u32(&random) >> dc_random_below(&random, 24), m, s);
    }
}

// The roundings are different rules: inputs where they part.
static void roundings_differ(void **state)
{
    (void)state;
    const int32_t third = 1431655765;  // of 2^32, rounded down: times 6 and 2^-4 nearly a half
    static const struct {
        int32_t x, twice, twice_up, once;
    } cases[] = {{-6, -1, 0, 0}, {6, 1, 1, 0}, {-30, -3, -2, -2}, {30, 3, 3, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(dc_requantize_double(cases[i].x, third, -3), cases[i].twice);
        assert_int_equal(dc_requantize_double_up(cases[i].x, third, -3), cases[i].twice_up);
        assert_int_equal(dc_requantize_single(cases[i].x, third, -3), cases[i].once);
    }
    assert_int_equal(dc_requantize_double(-1, 1 << 30, 0), 0);
    assert_int_equal(dc_requantize_double(-2, 1 << 30, -1), -1);    // -0.5 away from zero
    assert_int_equal(dc_requantize_double_up(-2, 1 << 30, -1), 0);  // up
    assert_int_equal(dc_requantize_single(-2, 1 << 30, -1), 0);
}

static void check_multiplier(double factor)
{
    for (int single = 0; single <= 1; single++) {
        int32_t m, s, m_expected, s_expected;
        dc_quantize_multiplier(&m, &s, factor, single ? 30 : 1024);
        oracle_multiplier(&m_expected, &s_expected, factor, single);
        assert_int_equal(m, m_expected);
        assert_int_equal(s, s_expected);
    }
}

static void multiplier_matches_definition(void **state)
{
    (void)state;
    check_multiplier(0.0);
    for (int exponent = -60; exponent <= 60; exponent++) {
        const double p = ldexp(1.0, exponent);
        check_multiplier(p);
        check_multiplier(nextafter(p, 0.0));
        check_multiplier(nextafter(p, INFINITY));
        check_multiplier(p * (1.0 - 0x1p-32));  // a tie that rounds up to the next power
        check_multiplier(p * (1.0 - 0x1p-33));
        check_multiplier(p * (0.5 + 0x1p-32));  // a tie in the last place
    }
    struct dc_random random;
    dc_random_start(&random, 2, DC_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < RANDOM_CASES; i++)
        check_multiplier(
            ldexp(1.0 + dc_random_u32(&random) * 0x1p-32 + (dc_random_u32(&random) >> 12) * 0x1p-52,
                  (int)dc_random_below(&random, 40) - 35));
    int32_t m, s;
    dc_quantize_multiplier(&m, &s, 0.25, 1024);
    assert_int_equal(m, 1 << 30);
    assert_int_equal(s, -1);
    dc_quantize_multiplier(&m, &s, ldexp(1.0, -33), 1024);  // too small to be written
    assert_int_equal(m, 0);
    assert_int_equal(s, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(srdhm_matches_definition),
        cmocka_unit_test(divide_pot_matches_definition),
        cmocka_unit_test(requantize_matches_definition),
        cmocka_unit_test(roundings_differ),
        cmocka_unit_test(multiplier_matches_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
