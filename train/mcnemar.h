// Whether two networks differ on the same samples (McNemar, Psychometrika 12, 1947).
//
// Only samples that one of them gets right and the other wrong count. If neither is better, each of
// them is a fair coin; p is the exact two-sided probability of a split at least as uneven:
//   min(1, 2 sum over k <= min(lost, won) of C(n, k) / 2^n),  n = lost + won

#ifndef DC_TRAIN_MCNEMAR_H
#define DC_TRAIN_MCNEMAR_H

#include <stdint.h>

double dc_mcnemar(int64_t lost, int64_t won);  // 1 where both are 0

#endif
