// Ops on values of any rank from their definitions, index by index.

#include <math.h>

#include "oracles.h"

enum { RANK = 8 };

static int count_of(const struct oracle_nd *shape)
{
    int count = 1;
    for (int k = 0; k < shape->rank; k++)
        count *= shape->dims[k];
    return count;
}

static void unravel(int index[RANK], int i, const struct oracle_nd *shape)
{
    for (int k = shape->rank - 1; k >= 0; k--) {
        index[k] = i % shape->dims[k];
        i /= shape->dims[k];
    }
}

static int ravel(const int index[RANK], const struct oracle_nd *shape)
{
    int i = 0;
    for (int k = 0; k < shape->rank; k++)
        i = i * shape->dims[k] + index[k];
    return i;
}

// Where index `at` of `shape` lies in a value that is broadcast to it, but for the last `own` axes,
// whose indices are taken from own_at.
static int broadcast(const int at[RANK], const struct oracle_nd *shape, const struct oracle_nd *in,
                     int own, const int *own_at)
{
    int index[RANK] = {0};
    index[0] = in->dims[0] == 1 ? 0 : at[0];
    for (int k = 1; k < in->rank; k++) {
        const int from_end = in->rank - k;
        index[k] = from_end <= own    ? own_at[own - from_end]
                   : in->dims[k] == 1 ? 0
                                      : at[shape->rank - from_end];
    }
    return ravel(index, in);
}

#define FOR_OUTPUT(i, at)                                                                          \
    int at[RANK] = {0};                                                                            \
    for (int i = 0; i < count_of(&c->out) && (unravel(at, i, &c->out), true); i++)

void oracle_nd_map(double *y, const double *const *x, const double *const *params,
                   const struct oracle_call *c)
{
    (void)params;
    for (int i = 0; i < count_of(&c->out); i++)
        y[i] = c->one(x[0][i], c->r);
}

void oracle_nd_two(double *y, const double *const *x, const double *const *params,
                   const struct oracle_call *c)
{
    (void)params;
    FOR_OUTPUT(i, at)
    {
        y[i] = c->two(x[0][broadcast(at, &c->out, &c->in[0], 0, 0)],
                      x[1][broadcast(at, &c->out, &c->in[1], 0, 0)]);
    }
}

void oracle_nd_prelu(double *y, const double *const *x, const double *const *params,
                     const struct oracle_call *c)
{
    const int channels = c->out.dims[c->out.rank - 1];
    for (int i = 0; i < count_of(&c->out); i++)
        y[i] = x[0][i] < 0.0 ? params[0][i % channels] * x[0][i] : x[0][i];
}

void oracle_nd_dense(double *y, const double *const *x, const double *const *params,
                     const struct oracle_call *c)
{
    const int in = c->in[0].dims[c->in[0].rank - 1], units = c->out.dims[c->out.rank - 1];
    for (int i = 0; i < count_of(&c->out); i++) {
        y[i] = params[1] ? params[1][i % units] : 0.0;
        for (int k = 0; k < in; k++)
            y[i] += x[0][i / units * in + k] * params[0][k * units + i % units];
    }
}

void oracle_nd_matmul(double *y, const double *const *x, const double *const *params,
                      const struct oracle_call *c)
{
    (void)params;
    const struct oracle_nd *a = &c->in[0], *b = &c->in[1];
    const int depth = a->dims[a->rank - (c->n[0] ? 2 : 1)];
    FOR_OUTPUT(i, at)
    {
        const int row = at[c->out.rank - 2], column = at[c->out.rank - 1];
        y[i] = 0.0;
        for (int k = 0; k < depth; k++) {
            const int in_a[2] = {c->n[0] ? k : row, c->n[0] ? row : k};
            const int in_b[2] = {c->n[1] ? column : k, c->n[1] ? k : column};
            y[i] += x[0][broadcast(at, &c->out, a, 2, in_a)] *
                    x[1][broadcast(at, &c->out, b, 2, in_b)];
        }
    }
}

void oracle_nd_reduce(double *y, const double *const *x, const double *const *params,
                      const struct oracle_call *c)
{
    (void)params;
    const int outputs = count_of(&c->out), inputs = count_of(&c->in[0]);
    struct oracle_nd kept = c->in[0];
    for (int k = 0; k < kept.rank; k++)
        kept.dims[k] = c->n[0] >> k & 1 ? 1 : kept.dims[k];
    for (int o = 0; o < outputs; o++)
        y[o] = c->n[1] == 2 ? -INFINITY : 0.0;
    for (int i = 0; i < inputs; i++) {
        int at[RANK];
        unravel(at, i, &c->in[0]);
        for (int k = 0; k < kept.rank; k++)
            at[k] = kept.dims[k] == 1 ? 0 : at[k];
        const int o = ravel(at, &kept);
        y[o] = c->n[1] == 2 ? fmax(y[o], x[0][i]) : y[o] + x[0][i];
    }
    for (int o = 0; o < outputs && c->n[1] == 1; o++)
        y[o] /= (double)(inputs / outputs);
}

void oracle_nd_softmax(double *y, const double *const *x, const double *const *params,
                       const struct oracle_call *c)
{
    (void)params;
    FOR_OUTPUT(i, at)
    {
        double sum = 0.0;
        for (int k = 0; k < c->out.dims[c->n[0]]; k++) {
            int other[RANK];
            for (int d = 0; d < RANK; d++)
                other[d] = d == c->n[0] ? k : at[d];
            sum += exp(x[0][ravel(other, &c->out)] - x[0][i]);
        }
        y[i] = 1.0 / sum;
    }
}

void oracle_nd_transpose(double *y, const double *const *x, const double *const *params,
                         const struct oracle_call *c)
{
    (void)params;
    FOR_OUTPUT(i, at)
    {
        int from[RANK] = {0};
        for (int k = 0; k < c->out.rank; k++)
            from[c->n[k]] = at[k];
        y[i] = x[0][ravel(from, &c->in[0])];
    }
}

void oracle_nd_expand(double *y, const double *const *x, const double *const *params,
                      const struct oracle_call *c)
{
    (void)params;
    FOR_OUTPUT(i, at)
    y[i] = x[0][broadcast(at, &c->out, &c->in[0], 0, 0)];
}

void oracle_nd_gather(double *y, const double *const *x, const double *const *params,
                      const struct oracle_call *c)
{
    (void)params;
    FOR_OUTPUT(i, at)
    {
        at[c->n[0]] = c->n[1 + at[c->n[0]]];
        y[i] = x[0][ravel(at, &c->in[0])];
    }
}

void oracle_nd_slice(double *y, const double *const *x, const double *const *params,
                     const struct oracle_call *c)
{
    (void)params;
    FOR_OUTPUT(i, at)
    {
        at[c->n[0]] = c->n[1] + at[c->n[0]] * c->n[2];
        y[i] = x[0][ravel(at, &c->in[0])];
    }
}

void oracle_nd_pad(double *y, const double *const *x, const double *const *params,
                   const struct oracle_call *c)
{
    (void)params;
    FOR_OUTPUT(i, at)
    {
        bool inside = true;
        for (int k = 1; k < c->out.rank; k++) {
            const int last = c->in[0].dims[k] - 1;
            at[k] -= c->n[k - 1];
            if (at[k] >= 0 && at[k] <= last)
                continue;
            inside = inside && c->n[7] != 0;
            if (c->n[7] == 1)
                at[k] = at[k] < 0 ? -at[k] : 2 * last - at[k];
            else
                at[k] = at[k] < 0 ? 0 : last;
        }
        y[i] = inside ? x[0][ravel(at, &c->in[0])] : c->r[0];
    }
}

// Which values share statistics with value i: layer: those of the same leading index; group: those
// of the same row and channel group.
static bool together(const struct oracle_call *c, int i, int j)
{
    int a[RANK], b[RANK];
    unravel(a, i, &c->out);
    unravel(b, j, &c->out);
    const int last = c->out.rank - 1, size = c->out.dims[last] / (c->n[0] ? c->n[1] : 1);
    if (c->n[0])
        return a[0] == b[0] && a[last] / size == b[last] / size;
    for (int k = 0; k < c->out.rank - c->n[1]; k++)
        if (a[k] != b[k])
            return false;
    return true;
}

void oracle_nd_norm(double *y, const double *const *x, const double *const *params,
                    const struct oracle_call *c)
{
    const int count = count_of(&c->out);
    int period = 1;
    for (int k = c->out.rank - (c->n[0] ? 1 : c->n[1]); k < c->out.rank; k++)
        period *= c->out.dims[k];
    for (int i = 0; i < count; i++) {
        double sum = 0.0, squares = 0.0, n = 0.0;
        for (int j = 0; j < count; j++)
            if (together(c, i, j)) {
                sum += x[0][j];
                n += 1.0;
            }
        for (int j = 0; j < count; j++)
            if (together(c, i, j))
                squares += (x[0][j] - sum / n) * (x[0][j] - sum / n);
        y[i] = (x[0][i] - sum / n) / sqrt(squares / n + c->r[0]);
        if (params[0])
            y[i] = y[i] * params[0][i % period] + params[1][i % period];
    }
}

static double coordinate(int i, int in, int out, double scale, int mode)
{
    const double s = scale > 0.0 ? scale : (double)out / in;
    if (mode == 3)
        return out > 1 ? i * (in - 1.0) / (out - 1.0) : 0.0;
    if (mode == 2)
        return i / s;
    return mode == 1 && out == 1 ? 0.0 : (i + 0.5) / s - 0.5;
}

static double value_at(const double *x, const struct oracle_nd *in, const int at[RANK], int h,
                       int w)
{
    h = h < 0 ? 0 : h >= in->dims[1] ? in->dims[1] - 1 : h;
    w = w < 0 ? 0 : w >= in->dims[2] ? in->dims[2] - 1 : w;
    return x[ravel((int[RANK]){at[0], h, w, at[3]}, in)];
}

void oracle_nd_resize(double *y, const double *const *x, const double *const *params,
                      const struct oracle_call *c)
{
    (void)params;
    FOR_OUTPUT(i, at)
    {
        double p[2], low[2];
        for (int k = 0; k < 2; k++) {
            p[k] = coordinate(at[k + 1], c->in[0].dims[k + 1], c->out.dims[k + 1], c->r[k],
                              c->n[1]);
            const double half = p[k] - floor(p[k]);
            if (c->n[0] == 1)
                p[k] = half <= 0.5 ? floor(p[k]) : ceil(p[k]);
            else if (c->n[0] == 2)
                p[k] = half < 0.5 ? floor(p[k]) : ceil(p[k]);
            else if (c->n[0] != 0)
                p[k] = c->n[0] == 3 ? floor(p[k]) : ceil(p[k]);
            low[k] = floor(p[k]);
        }
        y[i] = 0.0;
        for (int a = 0; a < 2; a++)
            for (int b = 0; b < 2; b++)
                y[i] += (a ? p[0] - low[0] : 1.0 - p[0] + low[0]) *
                        (b ? p[1] - low[1] : 1.0 - p[1] + low[1]) *
                        value_at(x[0], &c->in[0], at, (int)low[0] + a, (int)low[1] + b);
    }
}

void oracle_nd_conv_transpose(double *y, const double *const *x, const double *const *params,
                              const struct oracle_call *c)
{
    const struct oracle_nd *in = &c->in[0], *out = &c->out;
    const int *n = c->n, channels = in->dims[3], filters = out->dims[3];
    const int group_in = channels / n[8], group_out = filters / n[8];
    for (int i = 0; i < count_of(out); i++)
        y[i] = params[1] ? params[1][i % filters] : 0.0;
    for (int i = 0; i < count_of(in); i++) {
        int at[RANK];
        unravel(at, i, in);
        for (int t = 0; t < n[0] * n[1] * group_out; t++) {
            const int ky = t / group_out / n[1], kx = t / group_out % n[1], f = t % group_out;
            const int p = at[1] * n[2] - n[6] + ky * n[4], q = at[2] * n[3] - n[7] + kx * n[5];
            if (p < 0 || q < 0 || p >= out->dims[1] || q >= out->dims[2])
                continue;
            const int to[RANK] = {at[0], p, q, at[3] / group_in * group_out + f};
            y[ravel(to, out)] += x[0][i] * params[0][t * channels + at[3]];
        }
    }
}

void oracle_nd_pool(double *y, const double *const *x, const double *const *params,
                    const struct oracle_call *c)
{
    (void)params;
    const int *n = c->n, h = c->in[0].dims[1], w = c->in[0].dims[2];
    FOR_OUTPUT(i, at)
    {
        double sum = 0.0, most = -INFINITY, taps = 0.0;
        for (int t = 0; t < n[1] * n[2]; t++) {
            const int p = at[1] * n[3] - n[7] + t / n[2] * n[5];
            const int q = at[2] * n[4] - n[8] + t % n[2] * n[6];
            const bool inside = p >= 0 && q >= 0 && p < h && q < w;
            taps += inside || (n[0] == 2 && p < h + n[9] && q < w + n[10]);
            if (!inside)
                continue;
            const double v = x[0][ravel((int[RANK]){at[0], p, q, at[3]}, &c->in[0])];
            sum += v;
            most = fmax(most, v);
        }
        y[i] = n[0] == 0 ? most : sum / taps;
    }
}

double oracle_leaky(double x, const double *r)
{
    return x < 0.0 ? r[0] * x : x;
}

double oracle_hard_sigmoid(double x, const double *r)
{
    return fmin(fmax(r[0] * x + r[1], 0.0), 1.0);
}

double oracle_clip(double x, const double *r)
{
    return fmin(fmax(x, r[0]), r[1]);
}

#define FUNCTION(name, value)                                                                      \
    double oracle_##name(double x, const double *r)                                                \
    {                                                                                              \
        (void)r;                                                                                   \
        return value;                                                                              \
    }

FUNCTION(silu, x / (1.0 + exp(-x)))
FUNCTION(elu, x > 0.0 ? x : r[0] * expm1(x))
FUNCTION(softplus, x > 30.0 ? x : log1p(exp(x)))
FUNCTION(gelu, 0.5 * x * erfc(-x / sqrt(2.0)))
FUNCTION(gelu_tanh, 0.5 * x * (1.0 + tanh(sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * pow(x, 3.0)))))
FUNCTION(erf, erf(x))
FUNCTION(exp, exp(x))
FUNCTION(log, log(x))
FUNCTION(sqrt, sqrt(x))
FUNCTION(pow, pow(x, r[0]))
FUNCTION(negate, -x)
FUNCTION(abs, fabs(x))
FUNCTION(reciprocal, 1.0 / x)
