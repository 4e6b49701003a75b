// A board for examples/device/harness.c whose clock is made up: an inference of the network `slow`
// takes 10 ms, and from a minute on 12 where THROTTLES is defined.

#include <stdio.h>

#include "examples/device/board.h"

static uint64_t microseconds;

void slow_run(const int8_t *input, int8_t *output)
{
    const uint64_t minute = 60000000;
    uint64_t took = 10000;
#if defined(THROTTLES)
    took = microseconds < minute ? took : 12000;
#else
    (void)minute;
#endif
    output[0] = input[0];
    microseconds += took;
}

void slow_dequantize_output(float *values, const int8_t *output)
{
    values[0] = (float)output[0];
}

uint64_t board_ticks(void)
{
    return microseconds;
}

uint32_t board_ticks_per_second(void)
{
    return 1000000;
}

int board_get(void)
{
    const int c = getchar();
    return c == EOF ? -1 : c;
}

void board_put(char c)
{
    putchar(c);
    if (c == '\n')
        fflush(stdout);
}
