// Owns the exact test. Terms are kept as logarithms, since 2^-n underflows beyond a thousand flips.

#include "train/mcnemar.h"

#include <math.h>

double dc_mcnemar(int64_t lost, int64_t won)
{
    const int64_t n = lost + won, least = lost < won ? lost : won;
    double log_term = -(double)n * log(2.0), sum = exp(log_term);
    for (int64_t k = 1; k <= least; k++) {
        log_term += log((double)(n - k + 1)) - log((double)k);
        sum += exp(log_term);
    }
    return 2.0 * sum < 1.0 ? 2.0 * sum : 1.0;
}
