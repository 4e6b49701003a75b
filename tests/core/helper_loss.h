// A loss op on one batch, called directly.

#ifndef DECANT_TESTS_HELPER_LOSS_H
#define DECANT_TESTS_HELPER_LOSS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/op.h"

struct loss_terms {
    const float *x, *y;  // [rows, values]: what is trained, what it is compared with
    int rows, values;
    int64_t total_batch;  // 0: rows
    double loss;          // sum of weight times value
    float *gradient;      // [rows, values] by x
    const struct dc_ctx *ctx;
};

// y has as many rows. The terms own their gradient; it starts at zero.
void loss_open(struct loss_terms *terms, const struct dc_ctx *ctx, const float *x, const float *y,
               int rows, int values);
void loss_close(struct loss_terms *terms);

// Adds a term's loss and gradient.
void loss_add(struct loss_terms *terms, const struct dc_op *op, const void *attributes,
              const float *y, double weight);
// The same; forward may fail, and then nothing is added.
enum dc_status loss_try_add(struct loss_terms *terms, const struct dc_op *op,
                            const void *attributes, const float *y, double weight,
                            struct dc_error *error);

// Each slope of a loss of weight 1 against a central difference of the loss itself.
void loss_check_slopes(const struct dc_ctx *ctx, const struct dc_op *op, const void *attributes,
                       const float *x, const float *y, int rows, int values);

// Loss and gradient of weight 1 against an oracle's numbers. A gradient is a double rounded to
// float and multiplied once more: off by two roundings, and by what double loses near zero.
void loss_check(const struct loss_terms *terms, double loss, const double *gradient,
                const char *name);

#endif
