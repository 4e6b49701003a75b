// Owns the exact integer definitions of windows and sums, written from prose. Slow on purpose.

#include "integer_oracle.h"

#include <math.h>
#include <string.h>

#include "wide.h"

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
    if (l->away)
        return (int64_t)nearest_away((wide)x * m, power(31 - shift));
    if (!l->to_even)
        return oracle_requantize(x, m, shift, l->single);
    const wide a = (wide)x * m, b = power(31 - shift), below = floor_divide(a, b);
    const wide twice = 2 * (a - below * b);
    return (int64_t)(below + (twice > b || (twice == b && below % 2 != 0)));
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

void oracle_integer_multiply(int8_t *codes, int32_t *sums, const int8_t *a, const int8_t *b,
                             float b_scale, int b_zero_point, const int b_shape[3],
                             const struct oracle_layer *l)
{
    const float product = narrow((double)l->in_scale * (double)b_scale);
    const float quotient = narrow((double)product / (double)l->out_scale);
    const double exact = (double)l->in_scale * (double)b_scale / (double)l->out_scale;
    int32_t m, s;
    oracle_multiplier(&m, &s, l->float_product ? (double)quotient : exact, l->single);
    for (int64_t i = 0; i < (int64_t)l->out_h * l->out_w * l->out_c; i++) {
        const int at[3] = {(int)(i / l->out_c / l->out_w), (int)(i / l->out_c % l->out_w),
                           (int)(i % l->out_c)};
        int64_t other = 0;
        for (int k = 0; k < 3; k++)
            other = other * b_shape[k] + (b_shape[k] == 1 ? 0 : at[k]);
        sums[i] = (a[i] - l->in_zero_point) * (b[other] - b_zero_point);
        const float scaled = narrow((double)sums[i] * (double)quotient);
        if (l->delegate)
            codes[i] = even_code((double)scaled, l);
        else if (l->even)  // the zero point is added before the rounding
            codes[i] = clamp(nearest_even(narrow((double)scaled + l->out_zero_point)), l);
        else
            codes[i] = clamp(rescaled(sums[i], m, s, l) + l->out_zero_point, l);
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
