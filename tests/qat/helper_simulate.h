// The simulation of an integer model in float32 beside the engine.

#ifndef DC_TESTS_QAT_HELPER_SIMULATE_H
#define DC_TESTS_QAT_HELPER_SIMULATE_H

#include "core/context.h"
#include "qat/imodel.h"

// How many outputs the simulation gives other values than the engine's codes stand for. inputs:
// [rows, input codes], outputs: [rows, output codes], the engine's.
int64_t test_simulation_apart(const struct dc_ctx *ctx, const struct dc_imodel *model,
                              const int8_t *inputs, const int8_t *outputs, int64_t rows);

#endif
