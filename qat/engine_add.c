// Owns the search for an addition's shortcut: three integers with
//   code(a, b) = clamp((first * a + second * b + offset) >> shift)
// for every pair of codes. A profile's own addition rounds three times; on 65,536 pairs that is
// still a staircase over a plane, and a plane with fewer roundings mostly has the same steps. The
// proof is by trying all pairs: what is found is the profile's addition, bit for bit. Where nothing
// is found, the plain loop adds. Nothing here knows how the profile rounds.

#include <math.h>
#include <stdlib.h>

#include "qat/engine_kernels.h"
#include "qat/profile.h"

enum { CODES = 256, SHIFT_MOST = 24, TRIES = 3, FIRST = 16 };

// The offsets for which first * a + second * b + offset passes k * 2^shift where the codes pass
// from below k to k, for every k. codes: [a][b]. An empty range: there is none.
static void offset_range(int64_t *low, int64_t *high, const int8_t *codes,
                         const struct dc__add_line *line, const struct dc_ilayer *l)
{
    int64_t least[CODES], most[CODES];  // of the plane where the code is c, at c + 128
    for (int c = 0; c < CODES; c++) {
        least[c] = INT32_MAX;
        most[c] = INT32_MIN;
    }
    for (int a = 0; a < CODES; a++) {
        for (int b = 0; b < CODES; b++) {
            const int c = codes[a * CODES + b] + 128;
            const int64_t v = (int64_t)line->first * (a - 128) + (int64_t)line->second * (b - 128);
            least[c] = v < least[c] ? v : least[c];
            most[c] = v > most[c] ? v : most[c];
        }
    }
    for (int c = CODES - 2; c >= 0; c--)  // where the code is c or more
        least[c] = least[c + 1] < least[c] ? least[c + 1] : least[c];
    *low = INT32_MIN;
    *high = INT32_MAX;
    int64_t below = INT32_MIN;
    for (int k = l->clamp_low + 1; k <= l->clamp_high; k++) {
        const int64_t step = (int64_t)k * (INT64_C(1) << line->shift);
        below = most[k + 127] > below ? most[k + 127] : below;
        if (least[k + 128] != INT32_MAX && step - least[k + 128] > *low)
            *low = step - least[k + 128];
        if (below != INT32_MIN && step - 1 - below < *high)
            *high = step - 1 - below;
    }
}

static bool proven(const int8_t *codes, const struct dc__add_line *line, const struct dc_ilayer *l)
{
    for (int i = 0; i < CODES * CODES; i++) {
        const int32_t v = line->first * (i / CODES - 128) + line->second * (i % CODES - 128) +
                          line->offset;
        const int32_t code = v >> line->shift;
        if (codes[i] != (code < l->clamp_low    ? l->clamp_low
                         : code > l->clamp_high ? l->clamp_high
                                                : code))
            return false;
    }
    return true;
}

// No sum of this plane leaves int32, whatever offset a code needs.
static bool fits(double first, double second, int shift)
{
    return 128.0 * (first + second) + 512.0 * ldexp(1.0, shift) < 0x1p31;
}

static bool search(struct dc__add_line *line, const int8_t *codes, const struct dc_ilayer *l,
                   double ratio_a, double ratio_b)
{
    int shift = SHIFT_MOST;
    while (shift > 0 && !fits(ldexp(ratio_a, shift) + TRIES, ldexp(ratio_b, shift) + TRIES, shift))
        shift--;
    for (int i = 0; shift > 0 && i < (2 * TRIES + 1) * (2 * TRIES + 1); i++) {
        int64_t low, high;
        line->shift = shift;
        line->first = (int32_t)floor(ldexp(ratio_a, shift) + 0.5) + i / (2 * TRIES + 1) - TRIES;
        line->second = (int32_t)floor(ldexp(ratio_b, shift) + 0.5) + i % (2 * TRIES + 1) - TRIES;
        offset_range(&low, &high, codes, line, l);
        const int64_t most = INT64_C(256) << shift;
        low = low < -most ? -most : low;
        high = high > most ? most : high;
        line->offset = (int32_t)(low + (high - low) / 2);
        if (low <= high && proven(codes, line, l))
            return true;
    }
    return false;
}

enum dc_status dc__add_line_find(struct dc__add_line *line, bool *found, const struct dc_ilayer *l,
                                 const struct dc_ilayer *a, const struct dc_ilayer *b,
                                 const struct dc_profile *profile, struct dc_error *error)
{
    int8_t *codes = dc_alloc((size_t)CODES * CODES, error), x[CODES], y[CODES];
    int32_t sums[CODES];
    *found = false;
    if (!codes)
        return DC_ERR_MEMORY;
    for (int i = 0; i < CODES; i++) {
        for (int k = 0; k < CODES; k++) {
            x[k] = (int8_t)(i - 128);
            y[k] = (int8_t)(k - 128);
        }
        // As the value's first codes are added: the kernels compute no others.
        for (int k = 0; k < CODES; k += FIRST)
            profile->add(codes + (ptrdiff_t)i * CODES + k, sums + k, x + k, y + k, l, a->zero_point,
                         b->zero_point, 0, FIRST);
    }
    *found = search(line, codes, l, (double)a->scale / (double)l->scale,
                    (double)b->scale / (double)l->scale);
    free(codes);
    return DC_OK;
}
