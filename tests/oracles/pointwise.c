// Functions of single values, softmax, dropout and addition from their definitions.

#include "oracles.h"

#include <math.h>

double oracle_relu(double x)
{
    return x > 0.0 ? x : 0.0;
}

double oracle_relu6(double x)
{
    return x > 6.0 ? 6.0 : oracle_relu(x);
}

double oracle_sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

double oracle_tanh(double x)
{
    return tanh(x);
}

double oracle_h_swish(double x)
{
    return x * oracle_relu6(x + 3.0) / 6.0;
}

double oracle_relu_slope(double x)
{
    return x > 0.0 ? 1.0 : 0.0;
}

double oracle_relu6_slope(double x)
{
    return x > 0.0 && x < 6.0 ? 1.0 : 0.0;
}

double oracle_sigmoid_slope(double x)
{
    return exp(-fabs(x)) / pow(1.0 + exp(-fabs(x)), 2.0);
}

double oracle_tanh_slope(double x)
{
    return 1.0 / pow(cosh(x), 2.0);
}

double oracle_h_swish_slope(double x)
{
    if (x <= -3.0)
        return 0.0;
    return x >= 3.0 ? 1.0 : x / 3.0 + 0.5;
}

void oracle_softmax(double *y, const double *x, int rows, int classes)
{
    for (int r = 0; r < rows; r++, x += classes, y += classes) {
        double top = x[0], sum = 0.0;
        for (int c = 1; c < classes; c++)
            top = x[c] > top ? x[c] : top;
        for (int c = 0; c < classes; c++)
            sum += exp(x[c] - top);
        for (int c = 0; c < classes; c++)
            y[c] = exp(x[c] - top) / sum;
    }
}

// p_i of one row, again from the scores: 1 / sum_k exp(x_k - x_i).
static double probability(const double *x, int i, int classes)
{
    double sum = 0.0;
    for (int k = 0; k < classes; k++)
        sum += exp(x[k] - x[i]);
    return 1.0 / sum;
}

void oracle_softmax_backward(double *dx, const double *g, const double *x, int rows, int classes)
{
    for (int r = 0; r < rows; r++, x += classes, g += classes, dx += classes)
        for (int j = 0; j < classes; j++) {
            dx[j] = 0.0;
            for (int i = 0; i < classes; i++)
                dx[j] += g[i] * probability(x, i, classes) *
                         ((i == j ? 1.0 : 0.0) - probability(x, j, classes));
        }
}

void oracle_dropout(double *y, const double *x, const bool *kept, double rate, int count)
{
    for (int i = 0; i < count; i++)
        y[i] = kept[i] ? x[i] / (1.0 - rate) : 0.0;
}

void oracle_add(double *y, const double *const *x, int inputs, int count)
{
    for (int i = 0; i < count; i++) {
        y[i] = 0.0;
        for (int k = 0; k < inputs; k++)
            y[i] += x[k][i];
    }
}
