// Pooling from its definitions. Backward passes ask, for every input value, which windows hold it.

#include "oracles.h"

#include <math.h>

struct view {
    int top, left;    // of one window, in input coordinates; may be negative
    int count;        // taps inside the image
    double sum, max;  // over them
    int first_max;    // its index in x, the first in row-major order
};

static struct view look(const double *x, struct oracle_image in, struct oracle_window v, int n,
                        int p, int q, int c)
{
    struct view view = {
        p * v.stride_h - v.pad_top, q * v.stride_w - v.pad_left, 0, 0.0, -INFINITY, -1};
    for (int i = view.top; i < view.top + v.kernel_h; i++)
        for (int j = view.left; j < view.left + v.kernel_w; j++) {
            if (i < 0 || i >= in.h || j < 0 || j >= in.w)
                continue;
            const int at = ((n * in.h + i) * in.w + j) * in.c + c;
            view.count++;
            view.sum += x ? x[at] : 0.0;
            if (x && (view.first_max < 0 || x[at] > view.max)) {
                view.max = x[at];
                view.first_max = at;
            }
        }
    return view;
}

static int out_h(struct oracle_image in, struct oracle_window v)
{
    return oracle_window_count(in.h, v.pad_top, v.pad_bottom, v.kernel_h, v.stride_h, 1);
}

static int out_w(struct oracle_image in, struct oracle_window v)
{
    return oracle_window_count(in.w, v.pad_left, v.pad_right, v.kernel_w, v.stride_w, 1);
}

void oracle_max_pool(double *y, const double *x, struct oracle_image in, struct oracle_window v)
{
    for (int n = 0; n < in.n; n++)
        for (int p = 0; p < out_h(in, v); p++)
            for (int q = 0; q < out_w(in, v); q++)
                for (int c = 0; c < in.c; c++)
                    *y++ = look(x, in, v, n, p, q, c).max;
}

void oracle_average_pool(double *y, const double *x, struct oracle_image in, struct oracle_window v,
                         bool count_padding)
{
    for (int n = 0; n < in.n; n++)
        for (int p = 0; p < out_h(in, v); p++)
            for (int q = 0; q < out_w(in, v); q++)
                for (int c = 0; c < in.c; c++) {
                    const struct view view = look(x, in, v, n, p, q, c);
                    *y++ = view.sum / (count_padding ? v.kernel_h * v.kernel_w : view.count);
                }
}

// Sum over windows that hold input value (n, row, column, c) of what it gets from each.
static double pool_gradient(const double *g, const double *x, struct oracle_image in,
                            struct oracle_window v, bool max, bool count_padding, const int at[4])
{
    const int index = ((at[0] * in.h + at[1]) * in.w + at[2]) * in.c + at[3];
    double sum = 0.0;
    for (int p = 0; p < out_h(in, v); p++)
        for (int q = 0; q < out_w(in, v); q++) {
            const struct view view = look(x, in, v, at[0], p, q, at[3]);
            if (at[1] < view.top || at[1] >= view.top + v.kernel_h || at[2] < view.left ||
                at[2] >= view.left + v.kernel_w)
                continue;
            const double d = g[((at[0] * out_h(in, v) + p) * out_w(in, v) + q) * in.c + at[3]];
            if (max)
                sum += view.first_max == index ? d : 0.0;
            else
                sum += d / (count_padding ? v.kernel_h * v.kernel_w : view.count);
        }
    return sum;
}

static void pool_backward(double *dx, const double *g, const double *x, struct oracle_image in,
                          struct oracle_window v, bool max, bool count_padding)
{
    for (int n = 0; n < in.n; n++)
        for (int i = 0; i < in.h; i++)
            for (int j = 0; j < in.w; j++)
                for (int c = 0; c < in.c; c++)
                    *dx++ = pool_gradient(g, x, in, v, max, count_padding, (int[]){n, i, j, c});
}

void oracle_max_pool_backward(double *dx, const double *g, const double *x, struct oracle_image in,
                              struct oracle_window v)
{
    pool_backward(dx, g, x, in, v, true, false);
}

void oracle_average_pool_backward(double *dx, const double *g, struct oracle_image in,
                                  struct oracle_window v, bool count_padding)
{
    pool_backward(dx, g, 0, in, v, false, count_padding);
}

void oracle_global_average_pool(double *y, const double *x, struct oracle_image in)
{
    for (int n = 0; n < in.n; n++)
        for (int c = 0; c < in.c; c++) {
            y[n * in.c + c] = 0.0;
            for (int i = 0; i < in.h * in.w; i++)
                y[n * in.c + c] += x[(n * in.h * in.w + i) * in.c + c] / (in.h * in.w);
        }
}

void oracle_global_average_pool_backward(double *dx, const double *g, struct oracle_image in)
{
    for (int i = 0; i < in.n * in.h * in.w * in.c; i++)
        dx[i] = g[i / (in.h * in.w * in.c) * in.c + i % in.c] / (in.h * in.w);
}
