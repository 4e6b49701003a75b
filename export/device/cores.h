#pragma once

#include "export/device/layer.h"

/* Which instructions the compiler may use. VECTORS: Helium (Cortex-M55). WIDE_COLUMNS: two products
   of 16 bits at a time (Cortex-M4, M7, M33). Neither: plain C. All give the same bytes. */
#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#define VECTORS
#elif defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
#define WIDE_COLUMNS
#endif
/* Four codes may be read wherever they lie. */
#if defined(__ARM_FEATURE_UNALIGNED) && defined(__GNUC__)
#define WORDS
typedef uint32_t __attribute__((may_alias, aligned(1))) code_word;
#endif

/* What a network needs of this is not known beforehand. OUT_OF_LINE: the loop needs every register
   there is. */
#if defined(__GNUC__)
#define HELPER      __attribute__((unused)) static inline
#define OUT_OF_LINE __attribute__((noinline, unused)) static
#else
#define HELPER      static
#define OUT_OF_LINE static
#endif

/* Whether packed rows of so many codes can be multiplied as they lie: each begins with a byte, and
   sums of codes that count 16 stay within 32 bits. */
HELPER int lies_in_bytes(int32_t count)
{
    return count % 2 == 0 && count < 131072;
}

#if defined(WIDE_COLUMNS)
/* Bytes 0 and 2 of a word, and 1 and 3, as two signed halves. */
HELPER uint32_t even_bytes(uint32_t word)
{
    uint32_t halves;
    __asm__("sxtb16 %0, %1" : "=r"(halves) : "r"(word));
    return halves;
}

HELPER uint32_t odd_bytes(uint32_t word)
{
    uint32_t halves;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(halves) : "r"(word));
    return halves;
}

/* The same, added to two halves. */
HELPER uint32_t even_bytes_and(uint32_t halves, uint32_t word)
{
    uint32_t sums;
    __asm__("sxtab16 %0, %1, %2" : "=r"(sums) : "r"(halves), "r"(word));
    return sums;
}

HELPER uint32_t odd_bytes_and(uint32_t halves, uint32_t word)
{
    uint32_t sums;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(sums) : "r"(halves), "r"(word));
    return sums;
}

/* The low halves of two words, the high ones. */
HELPER uint32_t join_low(uint32_t first, uint32_t second)
{
    return (first & 0xFFFF) | second << 16;
}

HELPER uint32_t join_high(uint32_t first, uint32_t second)
{
    return first >> 16 | (second & 0xFFFF0000);
}

/* Both products of halves, the low ones', the high ones', added to a sum. */
HELPER int32_t multiply_halves(uint32_t w, uint32_t x, int32_t sum)
{
    __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(w), "r"(x));
    return sum;
}

HELPER int32_t multiply_low(uint32_t w, uint32_t x, int32_t sum)
{
    __asm__("smlabb %0, %1, %2, %0" : "+r"(sum) : "r"(w), "r"(x));
    return sum;
}

HELPER int32_t multiply_high(uint32_t w, uint32_t x, int32_t sum)
{
    __asm__("smlatt %0, %1, %2, %0" : "+r"(sum) : "r"(w), "r"(x));
    return sum;
}
#endif
