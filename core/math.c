// Owns the portable transcendental functions. Plain polynomial kernels on reduced arguments; see
// math.h for why libm is not used. Series are Taylor series cut where the next term is below 2^-56.

#include "core/math.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "core/math_inline.h"

static double from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double power_of_two(int exponent)  // -1022 <= exponent <= 1023
{
    return from_bits((uint64_t)(exponent + 1023) << 52);
}

// exp(x) = 2^k exp(r), |r| <= ln(2)/2, with ln 2 in two parts so that r is exact to the last bits.
double dc_exp(double x)
{
    if (isnan(x))
        return x;
    if (x > 709.78)
        return INFINITY;
    if (x < -745.0)
        return 0.0;
    const double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
    const double k = rint(x * 1.44269504088896338700);
    const double r = (x - k * ln2_high) - k * ln2_low;
    double sum = 1.0;
    for (int n = 14; n >= 1; n--)
        sum = 1.0 + sum * (r / (double)n);
    const int e = (int)k;
    if (e < -1021)
        return sum * power_of_two(e + 54) * 0x1p-54;
    if (e > 1023)
        return sum * power_of_two(e - 1) * 2.0;
    return sum * power_of_two(e);
}

// log(x) = k ln 2 + 2 atanh(s), s = (m - 1) / (m + 1), m in [sqrt(1/2), sqrt(2)).
double dc_ln(double x)
{
    if (isnan(x) || x < 0.0)
        return NAN;
    if (x == 0.0)
        return -INFINITY;
    if (isinf(x))
        return x;
    int k = 0;
    double m = frexp(x, &k);
    if (m < 0.70710678118654752440) {
        m *= 2.0;
        k--;
    }
    const double s = (m - 1.0) / (m + 1.0);
    const double z = s * s;
    double sum = 0.0;
    for (int n = 23; n >= 1; n -= 2)
        sum = 1.0 / (double)n + z * sum;
    const double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
    return (double)k * ln2_high + (2.0 * s * sum + (double)k * ln2_low);
}

// |angle| <= pi/4
static double cos_series(double angle)
{
    const double z = angle * angle;
    double sum = 1.0;
    for (int n = 18; n >= 2; n -= 2)
        sum = 1.0 - sum * (z / (double)(n * (n - 1)));
    return sum;
}

static double sin_series(double angle)
{
    const double z = angle * angle;
    double sum = 1.0;
    for (int n = 19; n >= 3; n -= 2)
        sum = 1.0 - sum * (z / (double)(n * (n - 1)));
    return angle * sum;
}

double dc_cos_turns(double turns)
{
    const double two_pi = 6.28318530717958647693;
    const double t = turns - rint(turns);  // [-1/2, 1/2]
    const double quarter = rint(t * 4.0);  // nearest multiple of a quarter turn
    const double angle = (t - quarter * 0.25) * two_pi;
    switch (((int)quarter + 4) % 4) {
    case 0:
        return cos_series(angle);
    case 1:
        return -sin_series(angle);
    case 2:
        return -cos_series(angle);
    default:
        return sin_series(angle);
    }
}

double dc_sin_turns(double turns)
{
    return dc_cos_turns(turns - 0.25);
}

double dc_sigmoid(double x)
{
    if (x >= 0.0)
        return 1.0 / (1.0 + dc_exp(-x));
    const double e = dc_exp(x);
    return e / (1.0 + e);
}

// tanh(x) = (1 - e) / (1 + e), e = exp(-2|x|); a series near zero, where 1 - e cancels.
double dc_tanh(double x)
{
    const double a = fabs(x);
    if (a < 0.1) {
        const double z = x * x;  // x - x^3/3 + 2x^5/15 - ...
        const double sum =
            z * (-1.0 / 3.0 +
                 z * (2.0 / 15.0 +
                      z * (-17.0 / 315.0 +
                           z * (62.0 / 2835.0 +
                                z * (-1382.0 / 155925.0 +
                                     z * (21844.0 / 6081075.0 + z * (-929569.0 / 638512875.0)))))));
        return x + x * sum;
    }
    const double e = dc_exp(-2.0 * a);
    const double t = (1.0 - e) / (1.0 + e);
    return x < 0.0 ? -t : t;
}

// Small whole exponents by multiplication, square roots exactly, others as exp(y ln x).
double dc_pow(double x, double y)
{
    if (y == rint(y) && fabs(y) <= 64.0) {
        double product = 1.0;
        for (int n = (int)fabs(y); n > 0; n--)
            product *= x;
        return y < 0.0 ? 1.0 / product : product;
    }
    if (fabs(y) == 0.5)
        return y < 0.0 ? 1.0 / sqrt(x) : sqrt(x);
    if (x < 0.0 && y == rint(y))
        return fmod(y, 2.0) == 0.0 ? dc_exp(y * dc_ln(-x)) : -dc_exp(y * dc_ln(-x));
    return dc_exp(y * dc_ln(x));
}

double dc_erf(double x)
{
    return dc__erf(x);
}
