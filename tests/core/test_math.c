// Decant's transcendental functions against libm in long double (64-bit mantissa).

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/math.h"
#include "core/math_inline.h"

enum { POINTS = 20001 };

// Largest relative error over points from low to high, evenly spaced, and where it is.
static double worst(double (*f)(double), long double (*exact)(long double), double low, double high,
                    double *where)
{
    double largest = 0.0;
    for (int i = 0; i < POINTS; i++) {
        const double x = low + (high - low) * i / (POINTS - 1) * 0.99999;
        const long double truth = exact((long double)x);
        const long double off = fabsl((long double)f(x) - truth);
        const double error = truth == 0.0L ? (double)off : (double)(off / fabsl(truth));
        if (!(error <= largest)) {
            largest = error;
            *where = x;
        }
    }
    return largest;
}

static long double exact_sigmoid(long double x)
{
    return 1.0L / (1.0L + expl(-x));
}

static long double exact_normal(long double x)
{
    return 0.5L * erfcl(-x / sqrtl(2.0L));
}

static double three_tenths_power(double x)
{
    return dc_pow(x, -0.3);
}

static long double exact_three_tenths_power(long double x)
{
    return powl(x, (long double)-0.3);
}

// A float holds 6e-8: these are right to the last bit but where a value lies between two floats.
static void functions_for_floats_are_within_1e_10(void **state)
{
    (void)state;
    const struct {
        const char *name;
        double (*f)(double);
        long double (*exact)(long double);
        double low, high;
    } cases[] = {
        {"exp", dc__exp, expl, -690.0, 690.0},
        {"exp", dc__exp, expl, -1.0, 1.0},
        {"sigmoid", dc__sigmoid, exact_sigmoid, -600.0, 40.0},
        {"erfc", dc__erfc, erfcl, 0.0, 14.0},
        {"erfc", dc__erfc, erfcl, 0.0, 1.0},
        {"erf", dc_erf, erfl, -6.0, 6.0},
        {"erf", dc_erf, erfl, -1.1, 1.1},
        {"erf", dc_erf, erfl, -1e-6, 1e-6},
        {"normal", dc__normal, exact_normal, -19.0, 9.0},
        {"normal", dc__normal, exact_normal, -1.0, 1.0},
        {"pow", three_tenths_power, exact_three_tenths_power, 1e-6, 1e6},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double where = 0.0;
        const double error = worst(cases[i].f, cases[i].exact, cases[i].low, cases[i].high, &where);
        if (!(error < 1e-10))
            fail_msg("%s(%.17g) is off by %g", cases[i].name, where, error);
    }
    assert_true(dc__exp(-1e9) < 1e-300 && dc__exp(1e9) > 1e300 && isnan(dc__exp(NAN)));
    assert_true(dc_erf(0.0) == 0.0 && dc_erf(40.0) == 1.0 && dc_erf(-40.0) == -1.0);
    assert_true(isnan(dc_erf(NAN)) && isnan(dc__normal(NAN)) && isnan(dc__sigmoid(NAN)));
    assert_true(dc_pow(-2.0, 3.0) == -8.0 && dc_pow(-2.0, -2.0) == 0.25 &&
                isnan(dc_pow(-2.0, 0.7)));
    assert_true(dc_pow(0.0, 0.0) == 1.0 && dc_pow(9.0, 0.5) == 3.0 && dc_pow(-1.0, 65.0) == -1.0);
}

static void functions_are_within_their_bound(void **state)
{
    (void)state;
    const struct {
        const char *name;
        double (*f)(double);
        long double (*exact)(long double);
        double low, high;
    } cases[] = {
        {"exp", dc_exp, expl, -708.0, 709.7},
        {"exp", dc_exp, expl, -1.0, 1.0},
        {"exp", dc_exp, expl, -1e-8, 1e-8},
        {"ln", dc_ln, logl, 1e-300, 1e-290},
        {"ln", dc_ln, logl, 1e-9, 10.0},
        {"ln", dc_ln, logl, 0.5, 2.0},
        {"ln", dc_ln, logl, 0.999999, 1.000001},
        {"ln", dc_ln, logl, 1.0, 1e300},
        {"tanh", dc_tanh, tanhl, -25.0, 25.0},
        {"tanh", dc_tanh, tanhl, -1.0, 1.0},
        {"tanh", dc_tanh, tanhl, -0.11, 0.11},
        {"tanh", dc_tanh, tanhl, -1e-5, 1e-5},
        {"sigmoid", dc_sigmoid, exact_sigmoid, -700.0, 700.0},
        {"sigmoid", dc_sigmoid, exact_sigmoid, -10.0, 10.0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double where = 0.0;
        const double error = worst(cases[i].f, cases[i].exact, cases[i].low, cases[i].high, &where);
        if (!(error < 1e-14))
            fail_msg("%s(%.17g) is off by %g", cases[i].name, where, error);
    }
}

// Held to an absolute bound, since both have zeros. The sine is a cosine of t - 1/4, which is
// rounded to 2^-53 |t| turns.
static void circle_functions_are_within_their_bound(void **state)
{
    (void)state;
    const long double two_pi = 6.283185307179586476925286766559L;
    for (int i = -POINTS; i <= POINTS; i++) {
        const double t = i * 1.2345e-4;
        const long double turn = two_pi * ((long double)t - roundl((long double)t));
        const double cos_off = (double)fabsl((long double)dc_cos_turns(t) - cosl(turn));
        const double sin_off = (double)fabsl((long double)dc_sin_turns(t) - sinl(turn));
        const double shifted = 6.2832 * 0x1p-53 * (fabs(t) + 1.0);
        if (!(cos_off < 1e-15 && sin_off < 1e-15 + shifted))
            fail_msg("at %.17g turns: cos off by %g, sin by %g", t, cos_off, sin_off);
    }
    assert_true(dc_cos_turns(0.0) == 1.0 && dc_cos_turns(0.5) == -1.0);
    assert_true(dc_cos_turns(0.25) == 0.0 && dc_cos_turns(0.75) == 0.0);
    assert_true(dc_sin_turns(0.25) == 1.0 && dc_sin_turns(0.0) == 0.0);
    assert_true(dc_cos_turns(1e15 + 0.5) == -1.0);
}

static void edges_are_defined(void **state)
{
    (void)state;
    assert_true(dc_exp(0.0) == 1.0 && dc_exp(-746.0) == 0.0 && isinf(dc_exp(709.79)));
    assert_true(dc_exp(-INFINITY) == 0.0 && isinf(dc_exp(INFINITY)));
    assert_true(fabs(dc_exp(-740.0) - exp(-740.0)) <= 0x1p-1074);  // below the normal numbers
    assert_true(dc_ln(1.0) == 0.0 && isinf(dc_ln(0.0)) && dc_ln(0.0) < 0.0);
    assert_true(isnan(dc_ln(-1.0)) && isinf(dc_ln(INFINITY)));
    assert_true(fabs(dc_ln(0x1p-1074) + 744.4400719213812) < 1e-12);
    assert_true(dc_tanh(0.0) == 0.0 && dc_tanh(1e4) == 1.0 && dc_tanh(-1e4) == -1.0);
    assert_true(dc_tanh(INFINITY) == 1.0 && dc_tanh(-0.3) == -dc_tanh(0.3));
    assert_true(dc_sigmoid(0.0) == 0.5 && dc_sigmoid(1e4) == 1.0 && dc_sigmoid(-1e4) == 0.0);
    double (*const functions[])(double) = {dc_exp, dc_ln, dc_tanh, dc_sigmoid};
    for (int i = 0; i < 4; i++)
        assert_true(isnan(functions[i](NAN)));
}

static double slightly_wrong(double x)
{
    return dc_exp(x) * (1.0 + 3e-14);
}

static void the_comparison_sees_a_small_error(void **state)
{
    (void)state;
    double where = 0.0;
    assert_true(worst(slightly_wrong, expl, -1.0, 1.0, &where) > 1e-14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_within_their_bound),
        cmocka_unit_test(functions_for_floats_are_within_1e_10),
        cmocka_unit_test(circle_functions_are_within_their_bound),
        cmocka_unit_test(edges_are_defined),
        cmocka_unit_test(the_comparison_sees_a_small_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
