// Ops that move values, one value at a time by its coordinates.

#include "oracles.h"

enum { RANK_MAX = 8 };

static int count_of(const int *dims, int rank)
{
    int count = 1;
    for (int i = 0; i < rank; i++)
        count *= dims[i];
    return count;
}

static void coordinates(int at[RANK_MAX], int index, const int *dims, int rank)
{
    for (int i = rank - 1; i >= 0; i--) {
        at[i] = index % dims[i];
        index /= dims[i];
    }
}

static int index_of(const int at[RANK_MAX], const int *dims, int rank)
{
    int index = 0;
    for (int i = 0; i < rank; i++)
        index = index * dims[i] + at[i];
    return index;
}

void oracle_pad(double *y, const double *x, struct oracle_image in, struct oracle_sides s)
{
    for (int n = 0; n < in.n; n++)
        for (int p = -s.top; p < in.h + s.bottom; p++)
            for (int q = -s.left; q < in.w + s.right; q++)
                for (int c = -s.before; c < in.c + s.after; c++)
                    *y++ = p >= 0 && p < in.h && q >= 0 && q < in.w && c >= 0 && c < in.c
                               ? x[((n * in.h + p) * in.w + q) * in.c + c]
                               : 0.0;
}

void oracle_pad_backward(double *dx, const double *g, struct oracle_image in, struct oracle_sides s)
{
    const int h = s.top + in.h + s.bottom, w = s.left + in.w + s.right;
    const int channels = s.before + in.c + s.after;
    for (int n = 0; n < in.n; n++)
        for (int p = 0; p < in.h; p++)
            for (int q = 0; q < in.w; q++)
                for (int c = 0; c < in.c; c++)
                    *dx++ = g[((n * h + s.top + p) * w + s.left + q) * channels + s.before + c];
}

void oracle_slice(double *y, const double *x, const int *dims, int rank, int axis, int begin,
                  int end, int step)
{
    for (int i = 0; i < count_of(dims, rank); i++) {
        int at[RANK_MAX] = {0};
        coordinates(at, i, dims, rank);
        if (at[axis] >= begin && at[axis] < end && (at[axis] - begin) % step == 0)
            *y++ = x[i];
    }
}

void oracle_slice_backward(double *dx, const double *g, const int *dims, int rank, int axis,
                           int begin, int end, int step)
{
    int out[RANK_MAX];
    for (int i = 0; i < rank; i++)
        out[i] = i == axis ? (end - begin + step - 1) / step : dims[i];
    for (int i = 0; i < count_of(dims, rank); i++)
        dx[i] = 0.0;
    for (int i = 0; i < count_of(out, rank); i++) {
        int at[RANK_MAX] = {0};
        coordinates(at, i, out, rank);
        at[axis] = begin + at[axis] * step;
        dx[index_of(at, dims, rank)] = g[i];
    }
}

// Which input holds index `at` of the output's axis; *at becomes the index there.
static int holder(int *at, const int *sizes)
{
    int input = 0;
    for (; *at >= sizes[input]; input++)
        *at -= sizes[input];
    return input;
}

static int place(int *input, int index, const int *sizes, const int *dims, int rank, int axis)
{
    int at[RANK_MAX] = {0}, inner[RANK_MAX] = {0};
    coordinates(at, index, dims, rank);
    *input = holder(&at[axis], sizes);
    for (int i = 0; i < rank; i++)
        inner[i] = i == axis ? sizes[*input] : dims[i];
    return index_of(at, inner, rank);
}

void oracle_concat(double *y, const double *const *x, const int *sizes, int inputs, const int *dims,
                   int rank, int axis)
{
    (void)inputs;
    for (int i = 0; i < count_of(dims, rank); i++) {
        int input;
        const int at = place(&input, i, sizes, dims, rank, axis);
        y[i] = x[input][at];
    }
}

void oracle_concat_backward(double *const *dx, const double *g, const int *sizes, int inputs,
                            const int *dims, int rank, int axis)
{
    (void)inputs;
    for (int i = 0; i < count_of(dims, rank); i++) {
        int input;
        const int at = place(&input, i, sizes, dims, rank, axis);
        dx[input][at] = g[i];
    }
}

void oracle_reshape(double *y, const double *x, int count)
{
    for (int i = 0; i < count; i++)
        y[i] = x[i];
}
