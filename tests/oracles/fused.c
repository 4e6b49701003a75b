// Owns a * b + c rounded to float32 once, in exact integers.

#include <math.h>
#include <string.h>

#include "integer_oracle.h"

__extension__ typedef __int128 wide;

enum { SPAN = 75, DIGITS = 24 };

// A float32 as mantissa * 2^exponent.
static wide parts_of(int *exponent, float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    const int biased = (int)(bits >> 23 & 0xff);
    const wide mantissa = (wide)(bits & 0x7fffff) + (biased ? 1 << 23 : 0);
    *exponent = (biased ? biased : 1) - 150;
    return bits >> 31 ? -mantissa : mantissa;
}

// value * 2^exponent to the nearest float32, of two the even one.
static float rounded(wide value, int exponent)
{
    wide size = value < 0 ? -value : value, rest = 0, unit = 1;
    for (; size >> DIGITS; exponent++) {
        rest += (size & 1) * unit;
        unit *= 2;
        size >>= 1;
    }
    if (2 * rest > unit || (2 * rest == unit && size % 2 != 0))
        size++;
    return (float)ldexp((double)(value < 0 ? -size : size), exponent);
}

// Both parts in one unit. A part that lies SPAN bits below the other counts by its sign alone.
float oracle_fused(float a, float b, float c)
{
    int e_a, e_b, e_c;
    const wide m_a = parts_of(&e_a, a), m_b = parts_of(&e_b, b);
    wide product = m_a * m_b, other = parts_of(&e_c, c);
    const int apart = e_a + e_b - e_c;
    if (product == 0 || other == 0)
        return product == 0 ? c : rounded(product, e_a + e_b);
    if (apart > SPAN)
        return rounded(4 * product + (other < 0 ? -1 : 1), e_a + e_b - 2);
    if (apart < -SPAN)
        return rounded(4 * other + (product < 0 ? -1 : 1), e_c - 2);
    if (apart > 0)
        return rounded(product * ((wide)1 << apart) + other, e_c);
    return rounded(product + other * ((wide)1 << -apart), e_a + e_b);
}
