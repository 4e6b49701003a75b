// Convolution, dense and batch normalization from their definitions.

#include "oracles.h"

#include <math.h>
#include <stddef.h>

int oracle_window_count(int in, int before, int after, int kernel, int stride, int dilation)
{
    int count = 0;
    for (int start = -before; start + dilation * (kernel - 1) < in + after; start += stride)
        count++;
    return count;
}

static int rows_of(struct oracle_image in, struct oracle_window v)
{
    return oracle_window_count(in.h, v.pad_top, v.pad_bottom, v.kernel_h, v.stride_h, v.dilation_h);
}

static int columns_of(struct oracle_image in, struct oracle_window v)
{
    return oracle_window_count(in.w, v.pad_left, v.pad_right, v.kernel_w, v.stride_w, v.dilation_w);
}

static double pixel(const double *x, struct oracle_image in, int n, int row, int column, int c)
{
    if (row < 0 || row >= in.h || column < 0 || column >= in.w)
        return 0.0;
    return x[((n * in.h + row) * in.w + column) * in.c + c];
}

void oracle_conv(double *y, const double *x, const double *w, const double *bias,
                 struct oracle_image in, struct oracle_window v, int filters, int groups)
{
    const int depth = in.c / groups, per_group = filters / groups;
    for (int n = 0; n < in.n; n++)
        for (int p = 0; p < rows_of(in, v); p++)
            for (int q = 0; q < columns_of(in, v); q++)
                for (int f = 0; f < filters; f++) {
                    double sum = bias ? bias[f] : 0.0;
                    for (int i = 0; i < v.kernel_h; i++)
                        for (int j = 0; j < v.kernel_w; j++)
                            for (int k = 0; k < depth; k++)
                                sum += pixel(x, in, n,
                                             p * v.stride_h - v.pad_top + i * v.dilation_h,
                                             q * v.stride_w - v.pad_left + j * v.dilation_w,
                                             f / per_group * depth + k) *
                                       w[((i * v.kernel_w + j) * depth + k) * filters + f];
                    *y++ = sum;
                }
}

// The output coordinate whose tap `tap` reads input coordinate `at`, or -1.
static int reader(int at, int tap, int before, int stride, int dilation, int outputs)
{
    const int t = at + before - tap * dilation;
    return t >= 0 && t % stride == 0 && t / stride < outputs ? t / stride : -1;
}

// One input value: everything that reads it.
static double conv_input_gradient(const double *g, const double *w, struct oracle_image in,
                                  struct oracle_window v, int filters, int groups, const int at[4])
{
    const int depth = in.c / groups, per_group = filters / groups;
    const int out_h = rows_of(in, v), out_w = columns_of(in, v);
    const int group = at[3] / depth, k = at[3] % depth;
    double sum = 0.0;
    for (int i = 0; i < v.kernel_h; i++)
        for (int j = 0; j < v.kernel_w; j++) {
            const int p = reader(at[1], i, v.pad_top, v.stride_h, v.dilation_h, out_h);
            const int q = reader(at[2], j, v.pad_left, v.stride_w, v.dilation_w, out_w);
            if (p < 0 || q < 0)
                continue;
            for (int f = group * per_group; f < (group + 1) * per_group; f++)
                sum += g[((at[0] * out_h + p) * out_w + q) * filters + f] *
                       w[((i * v.kernel_w + j) * depth + k) * filters + f];
        }
    return sum;
}

static double conv_weight_gradient(const double *g, const double *x, struct oracle_image in,
                                   struct oracle_window v, int filters, int groups, const int at[4])
{
    const int channel = at[3] / (filters / groups) * (in.c / groups) + at[2];
    double sum = 0.0;
    for (int n = 0; n < in.n; n++)
        for (int p = 0; p < rows_of(in, v); p++)
            for (int q = 0; q < columns_of(in, v); q++)
                sum += g[((n * rows_of(in, v) + p) * columns_of(in, v) + q) * filters + at[3]] *
                       pixel(x, in, n, p * v.stride_h - v.pad_top + at[0] * v.dilation_h,
                             q * v.stride_w - v.pad_left + at[1] * v.dilation_w, channel);
    return sum;
}

void oracle_conv_backward(double *dx, double *dw, double *db, const double *g, const double *x,
                          const double *w, struct oracle_image in, struct oracle_window v,
                          int filters, int groups)
{
    for (int n = 0; dx && n < in.n; n++)
        for (int row = 0; row < in.h; row++)
            for (int column = 0; column < in.w; column++)
                for (int c = 0; c < in.c; c++)
                    *dx++ = conv_input_gradient(g, w, in, v, filters, groups,
                                                (int[]){n, row, column, c});
    for (int i = 0; dw && i < v.kernel_h; i++)
        for (int j = 0; j < v.kernel_w; j++)
            for (int k = 0; k < in.c / groups; k++)
                for (int f = 0; f < filters; f++)
                    *dw++ = conv_weight_gradient(g, x, in, v, filters, groups, (int[]){i, j, k, f});
    const int pixels = in.n * rows_of(in, v) * columns_of(in, v);
    for (int f = 0; db && f < filters; f++) {
        db[f] = 0.0;
        for (int i = 0; i < pixels; i++)
            db[f] += g[i * filters + f];
    }
}

void oracle_dense(double *y, const double *x, const double *w, const double *bias, int rows, int in,
                  int units)
{
    for (int r = 0; r < rows; r++)
        for (int u = 0; u < units; u++) {
            double sum = bias ? bias[u] : 0.0;
            for (int i = 0; i < in; i++)
                sum += x[r * in + i] * w[i * units + u];
            y[r * units + u] = sum;
        }
}

void oracle_dense_backward(double *dx, double *dw, double *db, const double *g, const double *x,
                           const double *w, int rows, int in, int units)
{
    for (int r = 0; dx && r < rows; r++)
        for (int i = 0; i < in; i++) {
            dx[r * in + i] = 0.0;
            for (int u = 0; u < units; u++)
                dx[r * in + i] += g[r * units + u] * w[i * units + u];
        }
    for (int i = 0; dw && i < in; i++)
        for (int u = 0; u < units; u++) {
            dw[i * units + u] = 0.0;
            for (int r = 0; r < rows; r++)
                dw[i * units + u] += x[r * in + i] * g[r * units + u];
        }
    for (int u = 0; db && u < units; u++) {
        db[u] = 0.0;
        for (int r = 0; r < rows; r++)
            db[u] += g[r * units + u];
    }
}

static void moments(double *mean, double *variance, const double *x, int count, int channels)
{
    *mean = *variance = 0.0;
    for (int i = 0; i < count; i++)
        *mean += x[i * channels] / count;
    for (int i = 0; i < count; i++)
        *variance += (x[i * channels] - *mean) * (x[i * channels] - *mean) / count;
}

void oracle_batch_norm_training(double *y, double *mean, double *variance, const double *x,
                                const double *gamma, const double *beta, double epsilon, int count,
                                int channels)
{
    for (int c = 0; c < channels; c++) {
        double m, v;
        moments(&m, &v, x + c, count, channels);
        for (int i = c; i < count * channels; i += channels)
            y[i] = (x[i] - m) / sqrt(v + epsilon) * gamma[c] + beta[c];
        if (mean)
            mean[c] = m;
        if (variance)
            variance[c] = v;
    }
}

void oracle_batch_norm_training_backward(double *dx, double *d_gamma, double *d_beta,
                                         const double *g, const double *x, const double *gamma,
                                         double epsilon, int count, int channels)
{
    for (int c = 0; c < channels; c++) {
        double m, v, sum_g = 0.0, sum_gh = 0.0;
        moments(&m, &v, x + c, count, channels);
        for (int i = c; i < count * channels; i += channels) {
            sum_g += g[i];
            sum_gh += g[i] * (x[i] - m) / sqrt(v + epsilon);
        }
        for (int i = c; i < count * channels; i += channels) {
            const double h = (x[i] - m) / sqrt(v + epsilon);
            dx[i] = gamma[c] / sqrt(v + epsilon) * (g[i] - sum_g / count - h * sum_gh / count);
        }
        d_beta[c] = sum_g;
        d_gamma[c] = sum_gh;
    }
}

void oracle_batch_norm_inference(double *y, const double *x, const double *gamma,
                                 const double *beta, const double *mean, const double *variance,
                                 double epsilon, int count, int channels)
{
    for (int i = 0; i < count; i++)
        for (int c = 0; c < channels; c++)
            *y++ = (*x++ - mean[c]) / sqrt(variance[c] + epsilon) * gamma[c] + beta[c];
}

void oracle_batch_norm_inference_backward(double *dx, double *d_gamma, double *d_beta,
                                          const double *g, const double *x, const double *gamma,
                                          const double *mean, const double *variance,
                                          double epsilon, int count, int channels)
{
    for (int c = 0; c < channels; c++) {
        const double deviation = sqrt(variance[c] + epsilon);
        d_gamma[c] = d_beta[c] = 0.0;
        for (int i = c; i < count * channels; i += channels) {
            dx[i] = g[i] * gamma[c] / deviation;
            d_gamma[c] += g[i] * (x[i] - mean[c]) / deviation;
            d_beta[c] += g[i];
        }
    }
}
