// Functions of one value and their derivatives, softmax and normalization of one line: plain loops
// that the compiler vectorizes at the level of the file that includes this one. All arithmetic is
// double (core/math_inline.h), in one order and never fused, so that every level gives the same
// bits. Included once per level.

#include <math.h>

#include "core/math.h"
#include "core/math_inline.h"

static inline double pointwise_clamp01(double v)
{
    const double low = v < 0.0 ? 0.0 : v;
    return low > 1.0 ? 1.0 : low;
}

// exp(v) - 1 and ln(1 + exp(v)), without the loss of a difference near 0.
static inline double pointwise_exp_minus_1(double v)
{
    return v > -1e-5 && v < 1e-5 ? v * (1.0 + 0.5 * v) : dc__exp(v) - 1.0;
}

static inline double pointwise_softplus_at(double v)
{
    const double e = dc__exp(v < 0.0 ? v : -v);
    return (v < 0.0 ? 0.0 : v) + (e < 1e-5 ? e * (1.0 - 0.5 * e) : dc_ln(1.0 + e));
}

static inline double pointwise_silu_slope(double v)
{
    const double s = dc__sigmoid(v);
    return s * (1.0 + v * (1.0 - s));
}

static inline double pointwise_gelu_slope(double v)
{
    return dc__normal(v) + v * 0.39894228040143267794 * dc__exp(-0.5 * v * v);
}

// 1/2 (1 + tanh u) = sigmoid(2 u); twice sqrt(2 / pi) stands before the cubic.
static inline double pointwise_gelu_tanh_gate(double v)
{
    return dc__sigmoid(1.59576912160573071176 * (v + 0.044715 * v * v * v));
}

static inline double pointwise_gelu_tanh_slope(double v)
{
    const double s = pointwise_gelu_tanh_gate(v);
    return s + v * s * (1.0 - s) * 1.59576912160573071176 * (1.0 + 3.0 * 0.044715 * v * v);
}

// POINTWISE(name, value, slope): both expressions in v, the value, and the attributes k0, k1.
#define POINTWISE(name, value, slope)                                                              \
    static void pointwise_##name(float *restrict y, const float *restrict x, const float *k,       \
                                 int64_t count)                                                    \
    {                                                                                              \
        const double k0 = (double)k[0], k1 = (double)k[1];                                         \
        (void)k0;                                                                                  \
        (void)k1;                                                                                  \
        for (int64_t i = 0; i < count; i++) {                                                      \
            const double v = (double)x[i];                                                         \
            y[i] = (float)(value);                                                                 \
        }                                                                                          \
    }                                                                                              \
    static void pointwise_##name##_gradient(float *restrict dx, const float *restrict g,           \
                                            const float *restrict x, const float *k,               \
                                            int64_t count, bool add)                               \
    {                                                                                              \
        const double k0 = (double)k[0], k1 = (double)k[1];                                         \
        (void)k0;                                                                                  \
        (void)k1;                                                                                  \
        for (int64_t i = 0; i < count; i++) {                                                      \
            const double v = (double)x[i];                                                         \
            (void)v;                                                                               \
            const float d = (float)((slope) * (double)g[i]);                                       \
            dx[i] = add ? dx[i] + d : d;                                                           \
        }                                                                                          \
    }

// clang-format off
POINTWISE(leaky_relu, v < 0.0 ? k0 * v : v, v <= 0.0 ? k0 : 1.0)
POINTWISE(hard_sigmoid, pointwise_clamp01(k0 * v + k1),
          k0 * v + k1 <= 0.0 || k0 * v + k1 >= 1.0 ? 0.0 : k0)
POINTWISE(silu, v * dc__sigmoid(v), pointwise_silu_slope(v))
POINTWISE(elu, v > 0.0 ? v : k0 * pointwise_exp_minus_1(v), v > 0.0 ? 1.0 : k0 * dc__exp(v))
POINTWISE(softplus, pointwise_softplus_at(v), dc__sigmoid(v))
POINTWISE(gelu, v * dc__normal(v), pointwise_gelu_slope(v))
POINTWISE(gelu_tanh, v * pointwise_gelu_tanh_gate(v), pointwise_gelu_tanh_slope(v))
POINTWISE(erf, dc__erf(v), 1.12837916709551257390 * dc__exp(-v * v))
POINTWISE(exp, dc__exp(v), dc__exp(v))
POINTWISE(log, dc_ln(v), 1.0 / v)
POINTWISE(sqrt, sqrt(v), 0.5 / sqrt(v))
POINTWISE(pow, dc_pow(v, k0), k0 * dc_pow(v, k0 - 1.0))
POINTWISE(negate, -v, -1.0)
POINTWISE(abs, v < 0.0 ? -v : v, v < 0.0 ? -1.0 : v > 0.0 ? 1.0 : v)
POINTWISE(reciprocal, 1.0 / v, -1.0 / (v * v))
// clang-format on

#define POINTWISE_ROW(name)                                                                        \
    {                                                                                              \
        pointwise_##name, pointwise_##name##_gradient                                              \
    }
static const struct dc_pointwise pointwise[DC_FUNCTION_COUNT] = {
    [DC_LEAKY_RELU] = POINTWISE_ROW(leaky_relu),
    [DC_HARD_SIGMOID] = POINTWISE_ROW(hard_sigmoid),
    [DC_SILU] = POINTWISE_ROW(silu),
    [DC_ELU] = POINTWISE_ROW(elu),
    [DC_SOFTPLUS] = POINTWISE_ROW(softplus),
    [DC_GELU] = POINTWISE_ROW(gelu),
    [DC_GELU_TANH] = POINTWISE_ROW(gelu_tanh),
    [DC_ERF] = POINTWISE_ROW(erf),
    [DC_EXP] = POINTWISE_ROW(exp),
    [DC_LOG] = POINTWISE_ROW(log),
    [DC_SQRT] = POINTWISE_ROW(sqrt),
    [DC_POW] = POINTWISE_ROW(pow),
    [DC_NEGATE] = POINTWISE_ROW(negate),
    [DC_ABS] = POINTWISE_ROW(abs),
    [DC_RECIPROCAL] = POINTWISE_ROW(reciprocal),
};

enum { LANES = 8 };  // of sums and maxima: a fixed number, whatever the vectors are

static inline double sum_lanes(const double lanes[LANES])
{
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
           ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

static void max_line(float *restrict y, const float *restrict x, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[i] = x[i] > y[i] || x[i] != x[i] ? x[i] : y[i];
}

static void softmax_line(float *restrict y, const float *restrict x, int64_t count)
{
    float top[LANES];
    for (int k = 0; k < LANES; k++)
        top[k] = x[0];
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int k = 0; k < LANES; k++)
            top[k] = x[i + k] > top[k] ? x[i + k] : top[k];
    for (; i < count; i++)
        top[0] = x[i] > top[0] ? x[i] : top[0];
    for (int k = 1; k < LANES; k++)
        top[0] = top[k] > top[0] ? top[k] : top[0];
    const double largest = (double)top[0];
    for (i = 0; i < count; i++)
        y[i] = (float)dc__exp((double)x[i] - largest);
    double sums[LANES] = {0.0};
    for (i = 0; i + LANES <= count; i += LANES)
        for (int k = 0; k < LANES; k++)
            sums[k] += (double)y[i + k];
    for (; i < count; i++)
        sums[i % LANES] += (double)y[i];
    const double scale = 1.0 / sum_lanes(sums);
    for (i = 0; i < count; i++)
        y[i] = (float)((double)y[i] * scale);
}

static double line_moment(const float *x, double centre, int power, int64_t count)
{
    double sums[LANES] = {0.0};
    int64_t i = 0;
    for (; power == 1 && i + LANES <= count; i += LANES)
        for (int k = 0; k < LANES; k++)
            sums[k] += (double)x[i + k] - centre;
    for (; power == 2 && i + LANES <= count; i += LANES)
        for (int k = 0; k < LANES; k++)
            sums[k] += ((double)x[i + k] - centre) * ((double)x[i + k] - centre);
    for (; i < count; i++) {
        const double d = (double)x[i] - centre;
        sums[i % LANES] += power == 1 ? d : d * d;
    }
    return sum_lanes(sums);
}

static void normalize_line(float *restrict y, const float *restrict x, const float *restrict gamma,
                           const float *restrict beta, double mean, double inverse, int64_t count)
{
    if (gamma)
        for (int64_t i = 0; i < count; i++)
            y[i] = (float)(((double)x[i] - mean) * inverse * (double)gamma[i] + (double)beta[i]);
    else
        for (int64_t i = 0; i < count; i++)
            y[i] = (float)(((double)x[i] - mean) * inverse);
}
