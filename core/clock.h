// Time for progress, records and measurements. Never for what shapes a result.

#ifndef DC_CORE_CLOCK_H
#define DC_CORE_CLOCK_H

#include <time.h>

// Seconds since some moment; it does not jump when the date is set.
static inline double dc_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

#endif
