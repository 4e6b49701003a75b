// What the integer oracles compute with: integers of 128 bits, float32 by its bits alone, and the
// roundings in words. Shared by the oracles of windows and sums and of functions.

#ifndef DC_TESTS_ORACLES_WIDE_H
#define DC_TESTS_ORACLES_WIDE_H

#include <stdint.h>

#include "integer_oracle.h"

__extension__ typedef __int128 wide;

static inline wide floor_divide(wide a, wide b)  // b > 0
{
    const wide q = a / b;
    return a % b < 0 ? q - 1 : q;
}

// Nearest integer to a / b; a tie goes up (toward plus infinity).
static inline wide nearest_up(wide a, wide b)
{
    const wide q = floor_divide(a, b);
    return 2 * (a - q * b) >= b ? q + 1 : q;
}

// Nearest integer to a / b; a tie goes away from zero.
static inline wide nearest_away(wide a, wide b)
{
    return a < 0 ? -nearest_up(-a, b) : nearest_up(a, b);
}

static inline wide power(int exponent)
{
    wide p = 1;
    while (exponent-- > 0)
        p *= 2;
    return p;
}

static inline int8_t clamp(int64_t value, const struct oracle_layer *l)
{
    return (int8_t)(value < l->low ? l->low : value > l->high ? l->high : value);
}

// A float32 by its bits alone, kept from wider registers.
static inline float narrow(double exact)
{
    volatile float f = (float)exact;
    return f;
}

// The nearest integer; of two, the even one. |value| is below 2^40 where it matters.
static inline int64_t nearest_even(double value)
{
    if (value > 1e9 || value < -1e9)
        return value > 0 ? 1000000000 : -1000000000;
    int64_t below = (int64_t)value;
    while ((double)below > value)
        below--;
    const double rest = value - (double)below;
    return below + (rest > 0.5 || (rest == 0.5 && below % 2 != 0));
}

// Products of two float32 are exact in double, so each is rounded once, when narrowed. A sum of two
// and a quotient, rounded to double first, come out of the second rounding as out of one: double
// has more than twice float32's digits (Figueroa, 1995).
static inline int8_t even_code(double steps, const struct oracle_layer *l)
{
    return clamp(nearest_even(narrow(steps)) + l->out_zero_point, l);
}

#endif
