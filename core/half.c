// Owns the conversion between float and half, on their bits.

#include "core/half.h"

#include <string.h>

uint16_t dc_half_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u)  // 65520
        return (uint16_t)(sign | 0x7c00u);
    // 2^-14 and above lose 13 bits; below, all have the unit 2^-24.
    const uint32_t exponent = magnitude >> 23;
    const uint32_t lost = exponent >= 113 ? 13 : 126 - exponent;
    if (lost > 24)
        return (uint16_t)sign;
    const uint32_t kept = exponent >= 113 ? magnitude - (112u << 23)
                                          : (magnitude & 0x7fffffu) | 0x800000u;
    const uint32_t half = kept >> lost, rest = kept & ((1u << lost) - 1), tie = 1u << (lost - 1);
    return (uint16_t)(sign | (half + (rest > tie || (rest == tie && (half & 1)))));
}

float dc_half_to_float(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16, magnitude = half & 0x7fffu;
    uint32_t bits = magnitude << 13;
    if (magnitude >= 0x7c00u)
        bits += 224u << 23;
    else if (magnitude >= 0x400u)
        bits += 112u << 23;
    float value;
    if (magnitude < 0x400u) {
        value = (float)magnitude * 0x1p-24f;
        memcpy(&bits, &value, sizeof bits);
    }
    bits |= sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}
