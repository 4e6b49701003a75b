// The integer engine: the one definition of what an exported network computes.
//
// Plain loops in textbook order over a dc_imodel, and on newer machines kernels that give the same
// bytes faster; where targets round differently, the model's arithmetic profile decides
// (qat/profile.h). Every exported form is checked against this, bit for bit. Samples are
// independent of each other, of the batch and of the number of threads.

#ifndef DC_QAT_ENGINE_H
#define DC_QAT_ENGINE_H

#include "core/context.h"
#include "qat/imodel.h"

struct dc_engine;

// ctx and model must outlive the engine. Holds an activation arena a thread and weights packed for
// the context's instruction-set level; a run allocates nothing and takes any number of rows.
DC_MUST_USE enum dc_status dc_engine_create(struct dc_engine **engine, const struct dc_ctx *ctx,
                                            const struct dc_imodel *model, struct dc_error *error);
void dc_engine_free(struct dc_engine *engine);  // NULL is allowed

// output: [rows, output codes], input: [rows, input codes].
void dc_engine_run(struct dc_engine *engine, int8_t *output, const int8_t *input, int64_t rows);

// Everything one sample goes through, for test vectors and for finding where a board differs.
struct dc_itrace {
    struct dc_arena *arena;
    int8_t **outputs;        // [layer]: its codes
    int32_t **accumulators;  // [layer]: sums before requantization, one a code; NULL: it has none
};
DC_MUST_USE enum dc_status dc_itrace_create(struct dc_itrace **trace, const struct dc_imodel *model,
                                            struct dc_error *error);
void dc_itrace_free(struct dc_itrace *trace);  // NULL is allowed

void dc_engine_trace(struct dc_engine *engine, struct dc_itrace *trace, const int8_t *input);

// Each layer by itself: what it makes of the codes given for its inputs. values: [layer], layer 0
// the input.
void dc_engine_trace_alone(struct dc_engine *engine, struct dc_itrace *trace,
                           int8_t *const *values);

#endif
