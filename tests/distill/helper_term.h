// A loss op of any inputs on one batch, called directly: value, norm and gradients.

#ifndef DECANT_TESTS_HELPER_TERM_H
#define DECANT_TESTS_HELPER_TERM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/op.h"

enum { TERM_INPUTS = 3 };

struct term {
    const struct dc_op *op;
    const void *attributes;
    int inputs;
    struct dc_shape shape[TERM_INPUTS];  // batch in front
    const float *in[TERM_INPUTS];
    int trained;          // inputs that get gradients: the first ones
    int64_t total_batch;  // 0: the rows
    const uint64_t *ids;
    float *param[DC_OP_PARAMS_MAX];

    double value, norm;            // results, of weight 1
    float *gradient[TERM_INPUTS];  // [trained], of weight 1; freed by term_free
    struct dc_error error;
};

// Forward and backward. Memory that the op was not told to have is guarded.
enum dc_status term_run(struct term *term, const struct dc_ctx *ctx);
void term_free(struct term *term);

// Must succeed, or the test fails with the message.
void term_must_run(struct term *term, const struct dc_ctx *ctx, const char *name);

// L2 norm of the gradients in double.
double term_gradient_norm(const struct term *term);

#endif
