// Owns the incomplete beta function, and the bound that is made from it.

#include "train/binomial.h"

#include <math.h>

// Lentz's continued fraction (Numerical Recipes, 6.4), which converges fast for x < (a + 1) / (a +
// b + 2).
static double beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1.0, d = 1.0 - (a + b) * x / (a + 1.0);
    d = 1.0 / (fabs(d) < tiny ? tiny : d);
    double value = d;
    for (int m = 1; m < 100000; m++) {
        const double even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        const double steps[2] = {even, odd};
        double factor = 1.0;
        for (int k = 0; k < 2; k++) {
            d = 1.0 + steps[k] * d;
            c = 1.0 + steps[k] / c;
            d = 1.0 / (fabs(d) < tiny ? tiny : d);
            c = fabs(c) < tiny ? tiny : c;
            factor = c * d;
            value *= factor;
        }
        if (fabs(factor - 1.0) < 1e-15)
            break;
    }
    return value;
}

static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

double dc_incomplete_beta(double a, double b, double x)
{
    if (x <= 0.0 || x >= 1.0)
        return x <= 0.0 ? 0.0 : 1.0;
    const double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) +
                             b * log1p(-x));
    return x < (a + 1.0) / (a + b + 2.0) ? front * beta_fraction(a, b, x) / a
                                         : 1.0 - front * beta_fraction(b, a, 1.0 - x) / b;
}

double dc_clopper_pearson_low(int64_t successes, int64_t trials, double confidence)
{
    const double k = (double)successes, n = (double)trials;
    double low = 0.0, high = successes > 0 ? k / n : 0.0;
    for (int i = 0; i < 200 && low < high; i++) {
        const double middle = 0.5 * (low + high);
        if (middle <= low || middle >= high)
            break;
        if (dc_incomplete_beta(k, n - k + 1.0, middle) < 1.0 - confidence)
            low = middle;
        else
            high = middle;
    }
    return low;
}
