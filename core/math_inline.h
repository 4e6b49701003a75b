// Transcendental functions for loops over floats: inline and without branches, so that the compiler
// vectorizes the loop around them.
//
// Like core/math.h plain double arithmetic in one order, so every instruction set gives the same
// bits; but only as exact as a float result needs: relative error below 1e-10 (tests/core/
// test_math.c holds it against libm in long double). Infinite results are out of reach: arguments
// of the exponential are clamped to +-700, beyond what a float can hold. NaN stays NaN.

#ifndef DC_CORE_MATH_INLINE_H
#define DC_CORE_MATH_INLINE_H

#include <stdint.h>
#include <string.h>

// 2^k exp(r), |r| <= ln(2) / 2: the Taylor series of degree 9 is off by 7e-12. Adding 1.5 * 2^52
// leaves k in the low bits, from where it is shifted into the exponent.
static inline double dc__exp(double x)
{
    const double low = x < -700.0 ? -700.0 : x, clamped = low > 700.0 ? 700.0 : low;
    const double magic = 0x1.8p52, shifted = clamped * 1.44269504088896338700 + magic;
    const double k = shifted - magic;
    const double r = (clamped - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10;
    double sum = 1.0 / 362880.0;
    sum = sum * r + 1.0 / 40320.0;
    sum = sum * r + 1.0 / 5040.0;
    sum = sum * r + 1.0 / 720.0;
    sum = sum * r + 1.0 / 120.0;
    sum = sum * r + 1.0 / 24.0;
    sum = sum * r + 1.0 / 6.0;
    sum = sum * r + 0.5;
    sum = sum * r + 1.0;
    sum = sum * r + 1.0;
    uint64_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 52) + UINT64_C(0x3ff0000000000000);
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return sum * scale;
}

static inline double dc__sigmoid(double x)
{
    return 1.0 / (1.0 + dc__exp(-x));
}

// erfc(a) of 0 <= a, relative: exp(-a^2) times a polynomial in (a - 3) / (a + 3) fitted to
// exp(a^2) erfc(a) on [0, 14], off by 4e-11. Beyond 14 the value is that of 14 (1e-86).
static inline double dc__erfc(double a)
{
    const double x = a > 14.0 ? 14.0 : a, u = (x - 3.0) / (x + 3.0);
    double sum = -6.851741820927274e-06;
    sum = sum * u - 9.94324469944335e-06;
    sum = sum * u + 6.377256966603433e-05;
    sum = sum * u + 4.3513565186411833e-05;
    sum = sum * u - 0.0005970866314536082;
    sum = sum * u + 0.0007082766101641362;
    sum = sum * u + 0.004269150979230287;
    sum = sum * u - 0.0243925810185758;
    sum = sum * u + 0.07166583675145448;
    sum = sum * u - 0.15011593100675244;
    sum = sum * u + 0.24560380160929848;
    sum = sum * u - 0.3262335601466975;
    sum = sum * u + 0.1790011511833013;
    return dc__exp(-x * x) * sum;
}

// Below 1 a polynomial in x^2 fitted to erf(x) / x, off by 4e-11.
static inline double dc__erf(double x)
{
    const double a = x < 0.0 ? -x : x, z = a * a, far = 1.0 - dc__erfc(a);
    double sum = -9.63499142882146e-06;
    sum = sum * z + 0.00011254640709467941;
    sum = sum * z - 0.0008482507711381961;
    sum = sum * z + 0.005220923212273513;
    sum = sum * z - 0.026865392122397667;
    sum = sum * z + 0.1128378183904319;
    sum = sum * z - 0.3761263842595227;
    sum = sum * z + 1.1283791670570977;
    const double size = a < 1.0 ? a * sum : far;
    return x < 0.0 ? -size : size;
}

// Phi(x), the normal distribution function, relative on both sides: erfc(|x| / sqrt 2) / 2 or one
// minus it.
static inline double dc__normal(double x)
{
    const double a = x < 0.0 ? -x : x, half = 0.5 * dc__erfc(a * 0.70710678118654752440);
    return x < 0.0 ? half : 1.0 - half;
}

#endif
