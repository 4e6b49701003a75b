// Test vectors: what every layer of an integer model computes for a few inputs.
//
// The corner cases come first: all -128, all 127, all zero point. Then the caller's samples. Sums
// before requantization are included, so that a target can be checked layer by layer.

#ifndef DC_EXPORT_VECTORS_H
#define DC_EXPORT_VECTORS_H

#include "core/context.h"
#include "qat/engine.h"

enum { DC_VECTOR_CORNERS = 3 };

struct dc_vectors {
    struct dc_arena *arena;
    int64_t count;           // corner cases included
    int8_t **outputs;        // [layer]: [count, codes]; layer 0 holds the inputs
    int32_t **accumulators;  // [layer]: [count, codes], or NULL where a layer has none
};

// inputs: [samples, input codes]; samples may be 0.
DC_MUST_USE enum dc_status dc_vectors_create(struct dc_vectors **vectors, const struct dc_ctx *ctx,
                                             const struct dc_imodel *model, const int8_t *inputs,
                                             int64_t samples, struct dc_error *error);
// Room for `count` vectors, to be filled by a reader.
DC_MUST_USE enum dc_status dc_vectors_alloc(struct dc_vectors **vectors,
                                            const struct dc_imodel *model, int64_t count,
                                            struct dc_error *error);
void dc_vectors_free(struct dc_vectors *vectors);  // NULL is allowed

// Replays all inputs through the engine; the first difference in any layer is DC_ERR_VERIFY.
DC_MUST_USE enum dc_status dc_vectors_replay(const struct dc_vectors *vectors,
                                             const struct dc_ctx *ctx,
                                             const struct dc_imodel *model, struct dc_error *error);

#endif
