// Bounds of a proportion that was counted.

#ifndef DC_TRAIN_BINOMIAL_H
#define DC_TRAIN_BINOMIAL_H

#include <stdint.h>

// Clopper and Pearson's one-sided lower bound of a proportion (Biometrika 26, 1934): the p at which
// so many successes or more have the probability 1 - confidence; 0 without successes.
double dc_clopper_pearson_low(int64_t successes, int64_t trials, double confidence);

// The regularized incomplete beta function I_x(a, b), a and b above 0.
double dc_incomplete_beta(double a, double b, double x);

#endif
