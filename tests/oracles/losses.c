// Loss terms from their definitions.

#include "oracles.h"

#include <math.h>

// log softmax(x / T)_i = x_i / T - log sum_k exp(x_k / T), the maximum taken out of the sum.
static double log_probability(const double *x, int i, double temperature, int classes)
{
    double top = x[0], sum = 0.0;
    for (int k = 1; k < classes; k++)
        top = x[k] > top ? x[k] : top;
    for (int k = 0; k < classes; k++)
        sum += exp((x[k] - top) / temperature);
    return (x[i] - top) / temperature - log(sum);
}

double oracle_cross_entropy(double *d_logits, const double *logits, const double *targets,
                            const double *class_weights, double smoothing, int rows, int classes)
{
    double loss = 0.0;
    for (int r = 0; r < rows; r++) {
        const double *z = logits + r * classes;
        double mass = 0.0;  // sum_c weight_c q_c
        for (int c = 0; c < classes; c++) {
            const double weight = class_weights ? class_weights[c] : 1.0;
            const double q = (1.0 - smoothing) * targets[r * classes + c] + smoothing / classes;
            loss -= weight * q * log_probability(z, c, 1.0, classes) / rows;
            mass += weight * q;
        }
        for (int c = 0; d_logits && c < classes; c++) {
            const double weight = class_weights ? class_weights[c] : 1.0;
            const double q = (1.0 - smoothing) * targets[r * classes + c] + smoothing / classes;
            d_logits[r * classes + c] =
                (mass * exp(log_probability(z, c, 1.0, classes)) - weight * q) / rows;
        }
    }
    return loss;
}

double oracle_mean_squared_error(double *dy, const double *y, const double *t, int rows, int values)
{
    const int count = rows * values;
    double loss = 0.0;
    for (int i = 0; i < count; i++) {
        loss += (y[i] - t[i]) * (y[i] - t[i]) / count;
        if (dy)
            dy[i] = 2.0 * (y[i] - t[i]) / count;
    }
    return loss;
}

double oracle_kd(double *d_student, const double *student, const double *teacher,
                 double temperature, int rows, int classes)
{
    double loss = 0.0;
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < classes; c++) {
            const double ls = log_probability(student + r * classes, c, temperature, classes);
            const double lt = log_probability(teacher + r * classes, c, temperature, classes);
            loss += temperature * temperature / rows * exp(lt) * (lt - ls);
            if (d_student)
                d_student[r * classes + c] = temperature * (exp(ls) - exp(lt)) / rows;
        }
    return loss;
}
