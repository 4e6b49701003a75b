// The published values of logit losses on four rows of six exactly representable logits: float64
// values of PyTorch (docs of the losses; the formulae are below). Good to 1e-5 relative.

#ifndef DECANT_TESTS_HELPER_FIXTURE_H
#define DECANT_TESTS_HELPER_FIXTURE_H

#include <math.h>

#include "helper_loss.h"

enum { FIXTURE_ROWS = 4, FIXTURE_CLASSES = 6 };

struct fixture {
    float student[FIXTURE_ROWS * FIXTURE_CLASSES];
    float teacher[FIXTURE_ROWS * FIXTURE_CLASSES];
    float targets[FIXTURE_ROWS * FIXTURE_CLASSES];
};

struct fixture_row {
    const char *name;
    double label_weight, kd_weight;
    float temperature;
    double loss, norm, first[FIXTURE_CLASSES];  // gradient by the first row
};

// z_s = ((7b + 3c + 1) mod 11) / 2 - 2, z_t = ((5b + 4c + 2) mod 13) / 2 - 3, labels 0, 3, 5, 1.
static inline void fixture_fill(struct fixture *f)
{
    static const int labels[FIXTURE_ROWS] = {0, 3, 5, 1};
    for (int b = 0; b < FIXTURE_ROWS; b++) {
        for (int c = 0; c < FIXTURE_CLASSES; c++) {
            const int i = b * FIXTURE_CLASSES + c;
            f->student[i] = (float)((7 * b + 3 * c + 1) % 11) / 2.0f - 2.0f;
            f->teacher[i] = (float)((5 * b + 4 * c + 2) % 13) / 2.0f - 3.0f;
            f->targets[i] = labels[b] == c ? 1.0f : 0.0f;
        }
    }
}

static inline void fixture_check(const struct loss_terms *t, const struct fixture_row *row)
{
    double square = 0.0;
    for (int i = 0; i < FIXTURE_ROWS * FIXTURE_CLASSES; i++)
        square += (double)t->gradient[i] * (double)t->gradient[i];
    if (!(fabs(t->loss - row->loss) <= 1e-9 * row->loss))
        fail_msg("%s: loss %.10f, not %.10f", row->name, t->loss, row->loss);
    if (!(fabs(sqrt(square) - row->norm) <= 1e-6 * row->norm))
        fail_msg("%s: gradient norm %.10f, not %.10f", row->name, sqrt(square), row->norm);
    for (int c = 0; c < FIXTURE_CLASSES; c++) {
        const double off = fabs((double)t->gradient[c] - row->first[c]);
        if (!(off <= 1e-5 * fabs(row->first[c]) + 1e-8))  // printed with 8 digits
            fail_msg("%s: slope %d is %.8f, not %.8f", row->name, c, (double)t->gradient[c],
                     row->first[c]);
    }
}

#endif
