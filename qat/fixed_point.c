// Owns the way from a real factor to its multiplier and shift. The arithmetic that uses them is in
// the header, to be inlined.

#include "qat/fixed_point.h"

#include <assert.h>
#include <math.h>

void dc_quantize_multiplier(int32_t *multiplier, int32_t *shift, double factor, int32_t shift_max)
{
    assert(factor >= 0.0 && isfinite(factor));
    int exponent = 0;
    const double fraction = frexp(factor, &exponent);     // [0.5, 1), or 0
    int64_t m = (int64_t)floor(fraction * 0x1p31 + 0.5);  // exact: 53 bits hold it
    if (m == INT64_C(1) << 31) {
        m >>= 1;
        exponent++;
    }
    if (m == 0 || exponent < -31) {
        m = 0;
        exponent = 0;
    }
    if (exponent > shift_max) {
        m = INT32_MAX;
        exponent = shift_max;
    }
    *multiplier = (int32_t)m;
    *shift = exponent;
}
