// One op on one batch, called directly, compared with an oracle's numbers.
//
// A run owns its memory. Everything the op must write is filled with NaN first and has a guard
// behind it; inputs, parameters and gradients that the op must not write are hashed around each
// call. Values are drawn from the run's own generator, not from the library's.

#ifndef DECANT_TESTS_HELPER_RUN_H
#define DECANT_TESTS_HELPER_RUN_H

#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/op.h"

enum { RUN_BLOCKS = 256, RUN_GUARD = 16 };

struct run {
    struct dc_arena *arena;
    struct dc_node node;
    struct dc_op_call call;
    struct dc_tensor in[DC_INPUTS_MAX], d_in[DC_INPUTS_MAX];  // of the call
    bool add_gradient[DC_INPUTS_MAX];
    struct dc_step step;
    struct dc_param_spec specs[DC_OP_PARAMS_MAX];
    float *before_in[DC_INPUTS_MAX];        // what gradients are added to in an adding backward
    float *before_param[DC_OP_PARAMS_MAX];  // of statistics: their values before each forward
    int block_count;
    struct {
        unsigned char *start;  // of the guard
    } blocks[RUN_BLOCKS];
};

// What the op should give. magnitude: the op on absolute values; a result may be off by
// factor * FLT_EPSILON * magnitude. dx[i] or dp[k] NULL: not compared.
struct expected {
    enum dc_mode mode;
    double y_factor, dx_factor, dp_factor;
    const double *y, *y_magnitude;
    const double *dx[DC_INPUTS_MAX], *dx_magnitude[DC_INPUTS_MAX];
    const double *dp[DC_OP_PARAMS_MAX], *dp_magnitude[DC_OP_PARAMS_MAX];
    bool same_bits;  // on every instruction set
};

// in[i].dims[0] is the batch; an input of one row among larger ones is a constant. Infers,
// declares, allocates; fills inputs, parameters and d_out with values in [-1, 1] (statistics in
// [1/2, 3/2]) and ids with 1000, 1001, ...
void run_open(struct run *run, const struct dc_op *op, const void *attributes,
              const struct dc_shape *in, int inputs);
void run_close(struct run *run);  // checks the guards

void run_forward(struct run *run, const struct dc_ctx *ctx, enum dc_mode mode);
enum dc_status run_try_forward(struct run *run, const struct dc_ctx *ctx, enum dc_mode mode,
                               struct dc_error *error);
// add: gradients start from before_in and before_param, else inputs from NaN, parameters from 0.
void run_backward(struct run *run, const struct dc_ctx *ctx, bool add);

// Forward, backward, and backward that adds, on every instruction set of this machine.
void run_check(struct run *run, const struct expected *expected, const char *name);

// Bits of forward (both modes) and backward agree for 1, 2 and 3 threads, and in inference a row's
// output bits do not depend on the batch around it. in[i].dims[0] is 1 for a constant, else
// ignored.
void run_check_invariance(const struct dc_op *op, const void *attributes, const struct dc_shape *in,
                          int inputs);

struct dc_ctx *run_context(enum dc_isa isa, int threads);

float *run_floats(struct run *run, int64_t count);                     // NaN, guarded
double *run_doubles(struct run *run, int64_t count);                   // zero
double *run_wide(struct run *run, const float *x, int64_t count);      // to double
double *run_absolute(struct run *run, const float *x, int64_t count);  // |x| in double
void run_fill(float *x, int64_t count, double low, double high, uint32_t seed);

// Index of the first value that is further from `slow` than the bound (NaN is), or -1.
int64_t first_outside(const float *fast, const double *slow, const double *magnitude, double factor,
                      int64_t count);

// infer must refuse with a message that contains `part`.
void assert_refused(const struct dc_op *op, const void *attributes, const struct dc_shape *in,
                    int inputs, const char *part);

#endif
