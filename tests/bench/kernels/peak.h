// The most floating-point operations a second that one core does at a level: multiply-adds (or a
// multiply and an add, where the level has no fused one) on registers alone.

#ifndef DECANT_TESTS_BENCH_PEAK_H
#define DECANT_TESTS_BENCH_PEAK_H

#include "core/context.h"

// Operations done by one call of the loop of this level; about a hundred microseconds.
double peak_loop(enum dc_isa isa);

#endif
