// IEEE 754 binary16 ("half"), as files hold it; nothing computes in it.

#ifndef DC_CORE_HALF_H
#define DC_CORE_HALF_H

#include <stdint.h>

// Rounded to nearest, ties to even; beyond 65519 an infinity. NaN stays NaN.
uint16_t dc_half_from_float(float value);
float dc_half_to_float(uint16_t half);  // exact

#endif
