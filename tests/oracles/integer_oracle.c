// Owns the exact integer definitions, written from prose. Slow on purpose.

#include "integer_oracle.h"

#include <math.h>
#include <string.h>

__extension__ typedef __int128 wide;

static wide floor_divide(wide a, wide b)  // b > 0
{
    const wide q = a / b;
    return a % b < 0 ? q - 1 : q;
}

// Nearest integer to a / b; a tie goes up (toward plus infinity).
static wide nearest_up(wide a, wide b)
{
    const wide q = floor_divide(a, b);
    return 2 * (a - q * b) >= b ? q + 1 : q;
}

// Nearest integer to a / b; a tie goes away from zero.
static wide nearest_away(wide a, wide b)
{
    return a < 0 ? -nearest_up(-a, b) : nearest_up(a, b);
}

static wide power(int exponent)
{
    wide p = 1;
    while (exponent-- > 0)
        p *= 2;
    return p;
}

// From the bits of a normal double: factor = mantissa * 2^exponent, mantissa in [2^52, 2^53).
void oracle_multiplier(int32_t *multiplier, int32_t *shift, double factor, bool single)
{
    uint64_t bits;
    memcpy(&bits, &factor, sizeof bits);
    const int biased = (int)(bits >> 52 & 0x7ff);
    const wide mantissa = (wide)(bits & 0xfffffffffffffull) + power(52);
    wide m = nearest_away(mantissa, power(53 - 31));
    int s = biased - 1075 + 53;
    if (m == power(31)) {
        m = power(30);
        s = s + 1;
    }
    if (biased == 0 || s < -31) {
        m = 0;
        s = 0;
    }
    if (single && s > 30) {
        m = power(31) - 1;
        s = 30;
    }
    *multiplier = (int32_t)m;
    *shift = s;
}

int64_t oracle_srdhm(int64_t a, int64_t b)
{
    const wide r = nearest_up((wide)a * b, power(31));
    return r > INT32_MAX ? INT32_MAX : (int64_t)r;
}

int64_t oracle_divide_pot(int64_t x, int exponent)
{
    return (int64_t)nearest_away(x, power(exponent));
}

// Unbounded where a target would overflow; the caller clamps.
int64_t oracle_requantize(int64_t x, int32_t multiplier, int32_t shift, bool single)
{
    wide r;
    if (single) {
        r = nearest_up((wide)x * multiplier, power(31 - shift));
    } else {
        const wide shifted = (wide)x * power(shift > 0 ? shift : 0);
        r = nearest_up(shifted * multiplier, power(31));
        r = nearest_away(r, power(shift < 0 ? -shift : 0));
    }
    return r > INT32_MAX ? INT32_MAX : r < INT32_MIN ? INT32_MIN : (int64_t)r;
}

// Twice, and a tie of the second goes up as well.
int64_t oracle_requantize_up(int64_t x, int32_t multiplier, int32_t shift)
{
    const wide high = nearest_up((wide)x * power(shift > 0 ? shift : 0) * multiplier, power(31));
    const wide r = nearest_up(high, power(shift < 0 ? -shift : 0));
    return r > INT32_MAX ? INT32_MAX : r < INT32_MIN ? INT32_MIN : (int64_t)r;
}

// As the layer's target rounds x * m * 2^(shift - 31).
static int64_t rescaled(int64_t x, int32_t m, int32_t shift, const struct oracle_layer *l)
{
    if (!l->to_even)
        return oracle_requantize(x, m, shift, l->single);
    const wide a = (wide)x * m, b = power(31 - shift), below = floor_divide(a, b);
    const wide twice = 2 * (a - below * b);
    return (int64_t)(below + (twice > b || (twice == b && below % 2 != 0)));
}

static int8_t clamp(int64_t value, const struct oracle_layer *l)
{
    return (int8_t)(value < l->low ? l->low : value > l->high ? l->high : value);
}

// A float32 by its bits alone, kept from wider registers.
static float narrow(double exact)
{
    volatile float f = (float)exact;
    return f;
}

// The nearest integer; of two, the even one. |value| is below 2^40 where it matters.
static int64_t nearest_even(double value)
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
static int8_t even_code(double steps, const struct oracle_layer *l)
{
    return clamp(nearest_even(narrow(steps)) + l->out_zero_point, l);
}

static int8_t requantized(int64_t sum, double factor, const struct oracle_layer *l)
{
    int32_t m, s;
    oracle_multiplier(&m, &s, factor, l->single);
    return clamp(rescaled(sum, m, s, l) + l->out_zero_point, l);
}

// Of channel c, where vectors compute `block` channels at a time.
static int8_t requantized_in_blocks(int64_t sum, double factor, int c, int block,
                                    const struct oracle_layer *l)
{
    int32_t m, s;
    oracle_multiplier(&m, &s, factor, false);
    return clamp((c < l->out_c - l->out_c % block ? oracle_requantize_up(sum, m, s)
                                                  : oracle_requantize(sum, m, s, false)) +
                     l->out_zero_point,
                 l);
}

float oracle_even_factor(float in_scale, float weight_scale, const struct oracle_layer *l)
{
    return narrow((double)narrow((double)in_scale * (double)weight_scale) / (double)l->out_scale);
}

void oracle_integer_conv(int8_t *codes, int32_t *sums, const int8_t *x, const int8_t *weights,
                         const int32_t *biases, const float *scales, bool depthwise,
                         const struct oracle_layer *l)
{
    for (int oy = 0; oy < l->out_h; oy++)
        for (int ox = 0; ox < l->out_w; ox++)
            for (int o = 0; o < l->out_c; o++) {
                int64_t sum = biases[o];
                for (int i = 0; i < l->in_c; i++)
                    for (int ky = 0; ky < l->kernel_h; ky++)
                        for (int kx = 0; kx < l->kernel_w; kx++) {
                            const int iy = oy * l->stride_h + ky * l->dilation_h - l->pad_top;
                            const int ix = ox * l->stride_w + kx * l->dilation_w - l->pad_left;
                            if (depthwise && o / (l->out_c / l->in_c) != i)
                                continue;
                            if (iy < 0 || ix < 0 || iy >= l->in_h || ix >= l->in_w)
                                continue;
                            const int64_t tap = ky * l->kernel_w + kx;
                            const int64_t w =
                                depthwise
                                    ? weights[tap * l->out_c + o]
                                    : weights[(o * l->kernel_h * l->kernel_w + tap) * l->in_c + i];
                            sum += w * (x[(iy * l->in_w + ix) * l->in_c + i] - l->in_zero_point);
                        }
                const int64_t at = (int64_t)(oy * l->out_w + ox) * l->out_c + o;
                sums[at] = (int32_t)sum;
                const double factor = (double)l->in_scale * (double)scales[o] /
                                      (double)l->out_scale;
                if (l->even)
                    codes[at] = even_code((double)narrow((double)sum) *
                                              (double)oracle_even_factor(l->in_scale, scales[o], l),
                                          l);
                else if (l->vectors)
                    codes[at] = requantized_in_blocks(sum, factor, o, depthwise ? 8 : 1, l);
                else
                    codes[at] = requantized(sum, factor, l);
            }
}

// sum * factor, rounded to a double (53 bits, half to even), then half away from zero. factor > 0.
static int64_t double_away(int64_t sum, double factor)
{
    uint64_t bits;
    memcpy(&bits, &factor, sizeof bits);
    const int exponent = (int)(bits >> 52 & 0x7ff) - 1075;
    const wide mantissa = (wide)(bits & 0xfffffffffffffull) + power(52);
    wide product = mantissa * (sum < 0 ? -sum : sum), unit = 1;
    while (product >= unit * power(53))
        unit *= 2;
    wide kept = nearest_up(product, unit);
    if (2 * (product - floor_divide(product, unit) * unit) == unit && kept % 2 != 0)
        kept--;
    product = kept * unit;
    if (exponent < -100)
        return 0;
    const wide whole = exponent < 0 ? nearest_away(product, power(-exponent))
                                    : product * power(exponent > 20 ? 20 : exponent);
    const int64_t far = whole > 1000000 ? 1000000 : (int64_t)whole;
    return sum < 0 ? -far : far;
}

void oracle_integer_dense(int8_t *codes, int32_t *sums, const int8_t *x, const int8_t *weights,
                          const int32_t *biases, const float *scales, bool per_channel, int inputs,
                          const struct oracle_layer *l)
{
    for (int o = 0; o < l->out_c; o++) {
        int64_t sum = 0;
        for (int i = inputs - 1; i >= 0; i--)
            sum += (int64_t)weights[o * inputs + i] * (x[i] - l->in_zero_point);
        sum += biases[o];
        sums[o] = (int32_t)sum;
        volatile float rounded = l->in_scale * scales[o];
        const double product = per_channel || !(l->single || l->vectors)
                                   ? (double)l->in_scale * (double)scales[o]
                                   : (double)rounded;
        if (l->dense_away) {
            const double factor = (double)l->in_scale * (double)scales[o] / (double)l->out_scale;
            codes[o] = clamp(double_away(sum, factor) + l->out_zero_point, l);
            continue;
        }
        if (l->vectors) {
            codes[o] = requantized_in_blocks(sum, product / (double)l->out_scale, o, 1, l);
            continue;
        }
        codes[o] = l->even ? even_code((double)narrow((double)sum) *
                                           (double)oracle_even_factor(l->in_scale, scales[o], l),
                                       l)
                           : requantized(sum, product / (double)l->out_scale, l);
    }
}

// Both ratios of scales in units of 2^-k, k such that the larger has 21 bits; a tie goes up.
static void plane_add(int8_t *codes, int32_t *sums, const int8_t *a, const int8_t *b, float b_scale,
                      int b_zero_point, int count, const struct oracle_layer *l)
{
    const double first = (double)narrow((double)l->in_scale / (double)l->out_scale);
    const double second = (double)narrow((double)b_scale / (double)l->out_scale);
    const double largest = first > second ? first : second;
    int k = 0;
    while (largest * (double)power(k) < 1048576.0)
        k++;
    const int64_t m = nearest_even(first * (double)power(k));
    const int64_t n = nearest_even(second * (double)power(k));
    for (int i = 0; i < count; i++) {
        const int64_t sum = m * (a[i] - l->in_zero_point) + n * (b[i] - b_zero_point);
        sums[i] = (int32_t)sum;
        codes[i] = clamp((int64_t)nearest_up(sum, power(k)) + l->out_zero_point, l);
    }
}

// QLinearAdd: y = q_a r_a + (q_b r_b + f), each sum fused with its product, f likewise but that the
// product of the second zero point is rounded first.
static void fused_add(int8_t *codes, int32_t *sums, const int8_t *a, const int8_t *b, float b_scale,
                      int b_zero_point, int count, const struct oracle_layer *l)
{
    const float first = narrow((double)l->in_scale / (double)l->out_scale);
    const float second = narrow((double)b_scale / (double)l->out_scale);
    const float share = narrow((double)second * b_zero_point);
    const float zeros = oracle_fused((float)l->in_zero_point, first, share);
    const float offset = narrow((double)l->out_zero_point - (double)zeros);
    for (int i = 0; i < count; i++) {
        const float inner = oracle_fused((float)b[i], second, offset);
        const int64_t code = nearest_even((double)oracle_fused((float)a[i], first, inner));
        sums[i] = (int32_t)(code - l->out_zero_point);
        codes[i] = clamp(code, l);
    }
}

// In whole blocks of 16 LiteRT's vectors shift an operand by 20 bits and its multiplier's exponent
// at once, downward, and round the product; what is left behind them rounds twice.
static int64_t operand(int64_t v, double factor, bool in_block, const struct oracle_layer *l)
{
    int32_t m, s;
    oracle_multiplier(&m, &s, factor, false);
    if (!in_block)
        return rescaled(v * 1048576, m, s, l);
    const wide shifted = s < -20 ? floor_divide(v, power(-20 - s)) : (wide)v * power(20 + s);
    return (int64_t)nearest_up(shifted * m, power(31));
}

void oracle_integer_add(int8_t *codes, int32_t *sums, const int8_t *a, const int8_t *b,
                        float b_scale, int b_zero_point, int count, const struct oracle_layer *l)
{
    if (l->delegate) {
        plane_add(codes, sums, a, b, b_scale, b_zero_point, count, l);
        return;
    }
    if (l->fused) {
        fused_add(codes, sums, a, b, b_scale, b_zero_point, count, l);
        return;
    }
    for (int i = 0; i < count && l->even; i++) {
        const float left = narrow((double)l->in_scale * (a[i] - l->in_zero_point));
        const float right = narrow((double)b_scale * (b[i] - b_zero_point));
        const double sum = (double)narrow((double)left + (double)right);
        sums[i] = (int32_t)nearest_even(narrow(sum / (double)l->out_scale));
        codes[i] = even_code(sum / (double)l->out_scale, l);
    }
    if (l->even)
        return;
    const double largest = (double)(l->in_scale > b_scale ? l->in_scale : b_scale);
    int32_t m[2], s[2];
    oracle_multiplier(&m[0], &s[0], (double)l->in_scale / (2.0 * largest), l->single);
    oracle_multiplier(&m[1], &s[1], (double)b_scale / (2.0 * largest), l->single);
    for (int i = 0; i < count && l->vectors; i++) {
        const bool in_block = i < count - count % 16;
        const int64_t sum =
            operand(a[i] - l->in_zero_point, (double)l->in_scale / (2.0 * largest), in_block, l) +
            operand(b[i] - b_zero_point, (double)b_scale / (2.0 * largest), in_block, l);
        sums[i] = (int32_t)sum;
        codes[i] = requantized(sum, 2.0 * largest / (1048576.0 * (double)l->out_scale), l);
    }
    for (int i = 0; i < count && !l->vectors; i++) {
        const int64_t first = (int64_t)(a[i] - l->in_zero_point) * 1048576;
        const int64_t second = (int64_t)(b[i] - b_zero_point) * 1048576;
        const int64_t sum = rescaled(first, m[0], s[0], l) + rescaled(second, m[1], s[1], l);
        sums[i] = (int32_t)sum;
        codes[i] = requantized(sum, 2.0 * largest / (1048576.0 * (double)l->out_scale), l);
    }
}

void oracle_integer_mean(int8_t *codes, int32_t *sums, const int8_t *x,
                         const struct oracle_layer *l)
{
    const int n = l->in_h * l->in_w;
    int32_t m, s;
    oracle_multiplier(&m, &s, (double)l->in_scale / (double)l->out_scale, l->single);
    int k = 0;
    while (power(k + 1) <= n)
        k++;
    if (k > 32)
        k = 32;
    if (k > 31 + s)
        k = 31 + s;
    const int32_t divided = (int32_t)(m * power(k) / n);
    for (int c = 0; c < l->out_c; c++) {
        int64_t sum = 0;
        for (int i = 0; i < n; i++)
            sum += x[i * l->out_c + c];
        sum -= (int64_t)n * l->in_zero_point;
        sums[c] = (int32_t)sum;
        if (l->delegate) {  // codes summed as they are; the zero points' share is one float32
            const float ratio = narrow((double)l->in_scale / (double)l->out_scale);
            const float factor = narrow((double)ratio * (double)narrow(1.0 / n));
            const float zeros = narrow((double)n * l->in_zero_point * (double)factor);
            const float offset = narrow((double)l->out_zero_point - (double)zeros);
            const int64_t plain = sum + (int64_t)n * l->in_zero_point;
            const float share = narrow((double)plain * (double)factor);
            codes[c] = clamp(nearest_even(narrow((double)share + (double)offset)), l);
            continue;
        }
        if (l->vectors) {  // codes summed as they are; the zero points' share is one integer
            const float whole = narrow((double)n * (double)l->out_scale);
            const double zero = (double)narrow((double)l->in_zero_point * (double)l->in_scale);
            const double share = (double)narrow(zero / (double)l->out_scale);
            struct oracle_layer moved = *l;
            moved.out_zero_point -= (int)(share < 0 ? -floor((double)narrow(0.5 - share))
                                                    : floor((double)narrow(share + 0.5)));
            codes[c] = requantized_in_blocks(sum + (int64_t)n * l->in_zero_point,
                                             (double)narrow((double)l->in_scale / (double)whole), c,
                                             16, &moved);
            continue;
        }
        if (l->even) {
            const float whole = narrow((double)l->out_scale * n);
            codes[c] = even_code((double)narrow((double)sum) *
                                     (double)narrow((double)l->in_scale / (double)whole),
                                 l);
            continue;
        }
        codes[c] = clamp(rescaled(sum, divided, s - k, l) + l->out_zero_point, l);
    }
}

void oracle_integer_pool(int8_t *codes, const int8_t *x, bool average, const struct oracle_layer *l)
{
    for (int oy = 0; oy < l->out_h; oy++)
        for (int ox = 0; ox < l->out_w; ox++)
            for (int c = 0; c < l->out_c; c++) {
                int64_t sum = 0, taps = 0, best = -1000;
                for (int ky = 0; ky < l->kernel_h; ky++)
                    for (int kx = 0; kx < l->kernel_w; kx++) {
                        const int iy = oy * l->stride_h + ky - l->pad_top;
                        const int ix = ox * l->stride_w + kx - l->pad_left;
                        if (iy < 0 || ix < 0 || iy >= l->in_h || ix >= l->in_w)
                            continue;
                        const int v = x[(iy * l->in_w + ix) * l->in_c + c];
                        sum += v;
                        taps++;
                        best = v > best ? v : best;
                    }
                // (sum + n/2) / n in truncating integer division is half away from zero on the
                // magnitude for even n, and the nearest integer for odd n.
                codes[(oy * l->out_w + ox) * l->out_c + c] = clamp(
                    average ? (int64_t)nearest_away(sum, taps > 0 ? taps : 1) : best, l);
                if (average && l->even && !l->delegate)
                    codes[(oy * l->out_w + ox) * l->out_c + c] = even_code(
                        (double)(sum - taps * l->in_zero_point) / (double)taps, l);
            }
}

int8_t oracle_function_code(bool *doubtful, enum oracle_function function, int code, double close,
                            const struct oracle_layer *l)
{
    const long double x = (long double)l->in_scale * (code - l->in_zero_point);
    const long double gate = x < -3 ? 0 : x > 3 ? 6 : x + 3;
    const long double y = function == ORACLE_SIGMOID ? 1 / (1 + expl(-x))
                          : function == ORACLE_TANH  ? tanhl(x)
                                                     : x * gate / 6;
    const long double steps = y / (long double)l->out_scale, size = fabsl(steps);
    const long double whole = floorl(size), rest = size - whole;
    *doubtful = fabsl(rest - 0.5L) < (long double)close;
    const int64_t nearest = (int64_t)whole + (rest >= 0.5L);
    return clamp((steps < 0 ? -nearest : nearest) + l->out_zero_point, l);
}

// In units of 1/256, ties up, where both factors lie within a wide range; *taken: they do.
static int64_t plane_code(bool *taken, wide x, const struct oracle_layer *l)
{
    const double ratio = (double)narrow((double)l->in_scale / (double)l->out_scale);
    const double other = (double)narrow(ratio * (double)l->slope);
    *taken = fabs((double)l->slope) >= 0x1p-126 && ratio >= 1.0 / 256 && ratio <= 128 &&
             fabs(other) >= 1.0 / 256 && fabs(other) <= 128;
    return *taken ? (int64_t)nearest_up(x * nearest_even(256 * (x < 0 ? other : ratio)), 256) : 0;
}

int8_t oracle_leaky_relu(int code, const struct oracle_layer *l)
{
    const int64_t x = (int64_t)code - l->in_zero_point;
    const double slope = x < 0 ? (double)l->slope : 1.0;
    const double in = (double)l->in_scale, out = (double)l->out_scale;
    bool taken;
    if (l->codes == ORT_CODES)
        return even_code((double)narrow(slope * (double)narrow((double)x * in)) / out, l);
    if (l->codes == NEAREST_CODES) {
        const long double steps = (long double)slope * in * (long double)x / out;
        return clamp((int64_t)(steps < 0 ? ceill(steps - 0.5L) : floorl(steps + 0.5L)) +
                         l->out_zero_point,
                     l);
    }
    const int64_t plane = plane_code(&taken, x, l);
    if (l->codes == XNNPACK_CODES && taken)
        return clamp(plane + l->out_zero_point, l);
    const double factor = l->codes == TFLM_CODES ? in * slope / out
                                                 : (double)narrow((double)narrow(in * slope) / out);
    int32_t m, s;
    oracle_multiplier(&m, &s, fabs(factor), l->single);
    return clamp(oracle_requantize(x, factor < 0 ? -m : m, s, l->single) + l->out_zero_point, l);
}

static wide toward_zero(wide a, wide b)  // b > 0
{
    return a < 0 ? -(-a / b) : a / b;
}

static wide within16(wide x)
{
    return x > 32767 ? 32767 : x < -32768 ? -32768 : x;
}

// A 32-bit multiplier's upper half, rounded; 2^15 does not fit.
static wide half_multiplier(int32_t *shift, double factor)
{
    int32_t m;
    oracle_multiplier(&m, shift, factor, false);
    const wide upper = floor_divide((wide)m + power(15), power(16));
    return upper > 32767 ? 32767 : upper;
}

static wide product16(wide a, wide b)
{
    const wide ab = a * b;
    return within16(toward_zero(ab >= 0 ? ab + power(14) : ab + 1 - power(14), power(15)));
}

int8_t oracle_h_swish16(int code, const struct oracle_layer *l)
{
    volatile float fine = l->in_scale / 128.0f;  // exact: a power of two
    volatile float unit = 3.0f / 32768.0f;
    int32_t out_shift, gate_shift;
    const wide out = half_multiplier(&out_shift, (double)fine / (double)l->out_scale);
    const wide gate = half_multiplier(&gate_shift, (double)fine / (double)unit);
    const wide x = ((wide)code - l->in_zero_point) * 128;
    wide share = x;
    if (gate_shift > 0)
        share = within16(share * power(gate_shift > 40 ? 39 : gate_shift - 1));
    share = product16(share, gate);
    if (gate_shift > 0)
        share = within16(share * 2);
    if (gate_shift < 0)
        share = nearest_away(share, power(-gate_shift));
    share = floor_divide(share + power(15), 2);
    const wide product = toward_zero(share * product16(x, out), power(15));
    const wide steps = nearest_away(product, power(out_shift < 0 ? -out_shift : 0));
    return clamp((int64_t)steps + l->out_zero_point, l);
}

static int64_t fraction_power(int64_t z)  // exp(z / 2^26) * 2^31, z <= 0
{
    // Of exp(-1/4), exp(-1/2), exp(-1) ... exp(-16), each of 31 bits.
    static const int64_t steps[] = {1672461947, 1302514674, 790015084, 290630308,
                                    39332535,   720401,     242};
    if (z == 0)
        return INT32_MAX;
    const wide quarter = power(24);
    const wide within = z - floor_divide(z, quarter) * quarter - quarter;  // [-1/4, 0)
    const int64_t x = (int64_t)(within * 32 + power(28));  // exp(-1/8) (1 + x + x^2/2 + ...)
    const int64_t x2 = oracle_srdhm(x, x), x3 = oracle_srdhm(x2, x), x4 = oracle_srdhm(x2, x2);
    const int64_t thirds = oracle_srdhm(oracle_divide_pot(x4, 2) + x3, 715827883) + x2;
    int64_t y = 1895147668;
    y += oracle_srdhm(y, x + oracle_divide_pot(thirds, 1));
    wide rest = floor_divide(within - z, quarter);  // in quarters
    for (int k = 0; k < 7; k++) {
        if (rest % 2 != 0)
            y = oracle_srdhm(y, steps[k]);
        rest /= 2;
    }
    return y;
}

void oracle_integer_softmax(int8_t *codes, const int8_t *x, const struct oracle_layer *l)
{
    int32_t m, shift;
    int largest = x[0], bits = 0;
    int64_t e[4096], sum = 0;
    const double factor = (double)l->in_scale * 67108864.0;
    oracle_multiplier(&m, &shift, factor > 2147483647.0 ? 2147483647.0 : factor, false);
    const int64_t least = -(int64_t)floor(31.0 * 67108864.0 / exp2(shift));
    for (int c = 0; c < l->in_c; c++)
        largest = x[c] > largest ? x[c] : largest;
    for (int c = 0; c < l->in_c; c++) {
        const int64_t d = x[c] - largest;
        e[c] = d < least ? 0 : fraction_power(oracle_requantize(d, m, shift, false));
        sum += oracle_divide_pot(e[c], 12);
    }
    while ((wide)sum >= power(bits + 1))
        bits++;  // sum in [2^bits, 2^(bits + 1))
    const int64_t f = (int64_t)((wide)sum * power(31 - bits) - power(31));
    const int64_t half = (int64_t)nearest_away((wide)f + power(31) - 1, 2);  // (1 + f) / 2
    int64_t inverse = 1515870810 + oracle_srdhm(half, -1010580540);
    for (int k = 0; k < 3; k++)
        inverse += 4 * oracle_srdhm(inverse, (int64_t)power(29) - oracle_srdhm(half, inverse));
    inverse = 2 * inverse > INT32_MAX ? INT32_MAX : 2 * inverse;
    for (int c = 0; c < l->in_c; c++)
        codes[c] = clamp(oracle_divide_pot(oracle_srdhm(inverse, e[c]), bits + 4) - 128, l);
}

void oracle_short_softmax(int8_t *codes, bool *doubtful, const int8_t *x,
                          const struct oracle_layer *l)
{
    int32_t m, shift;
    int largest = -128;
    int64_t e[4096], sum = 0;
    bool any = false;
    for (int c = 0; c < l->in_c; c++)
        largest = x[c] > largest ? x[c] : largest;
    for (int c = 0; c < l->in_c; c++) {
        const float d = narrow((double)l->in_scale * (x[c] - largest));
        const long double share = 65535.0L * expl((long double)d), whole = floorl(share);
        e[c] = (int64_t)whole + (share - whole >= 0.5L);
        any = any || fabsl(share - whole - 0.5L) < 65535.0L * 0x1p-22L;  // some units of float32
        sum += e[c];
    }
    const float part = narrow((double)narrow((double)sum) / 256.0);
    oracle_multiplier(&m, &shift, (double)narrow(1.0 / (double)part), false);
    for (int c = 0; c < l->in_c; c++) {
        codes[c] = clamp(oracle_requantize(e[c], m, shift, false) - 128, l);
        doubtful[c] = any;
    }
}

void oracle_share_codes(int8_t *codes, bool *doubtful, const int8_t *x, double close,
                        const struct oracle_layer *l)
{
    for (int c = 0; c < l->in_c; c++) {
        long double sum = 0;
        for (int k = 0; k < l->in_c; k++)
            sum += expl((long double)l->in_scale * (x[k] - x[c]));
        const long double steps = 256 / sum;
        doubtful[c] = fabsl(steps + 0.5L - roundl(steps + 0.5L)) < (long double)close;
        codes[c] = clamp((int64_t)floorl(steps + 0.5L) - 128, l);
    }
}
