// Integer models checked layer by layer: the engine's trace against the exact definitions, then
// every instruction-set level against the trace.

#ifndef DC_TESTS_QAT_HELPER_ENGINE_H
#define DC_TESTS_QAT_HELPER_ENGINE_H

#include "core/context.h"
#include "tests/oracles/integer_oracle.h"
#include "tests/qat/helper_models.h"

struct dc_ctx *test_context(int threads, enum dc_isa isa);
int test_profile_count(void);

// A layer as the oracle wants it.
struct oracle_layer test_describe(const struct dc_imodel *m, const struct dc_ilayer *l);

// How far from a half a function's error decides: of doubles, or of TFLM's 32 bits, whose
// polynomial and reciprocal are good to about 2^-26 of sigmoid's 256 steps.
double test_closeness(const struct dc_imodel *m);

// On random samples; the first has the lowest codes, the second the highest.
void test_check_model(struct dc_imodel *m, int samples, struct dc_random *random);

#endif
