// Owns the making and the replay of test vectors. Files are bundle.c's and c_source.c's.

#include "export/vectors.h"

#include <inttypes.h>
#include <string.h>

enum dc_status dc_vectors_alloc(struct dc_vectors **vectors, const struct dc_imodel *model,
                                int64_t count, struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    *vectors = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_vectors *v = DC_NEW(arena, struct dc_vectors, 1, error);
    bool ok = v != NULL;
    if (ok) {
        v->arena = arena;
        v->count = count;
        v->outputs = DC_NEW(arena, int8_t *, model->count, error);
        v->accumulators = DC_NEW(arena, int32_t *, model->count, error);
        ok = v->outputs && v->accumulators;
    }
    for (int i = 0; ok && i < model->count; i++) {
        const int64_t size = count * dc_ilayer_size(&model->layers[i]);
        v->outputs[i] = DC_NEW(arena, int8_t, size, error);
        ok = v->outputs[i] != NULL;
        if (ok && dc_ilayer_has_accumulators(&model->layers[i])) {
            v->accumulators[i] = DC_NEW(arena, int32_t, size, error);
            ok = v->accumulators[i] != NULL;
        }
    }
    if (!ok) {
        dc_arena_free(arena);
        return DC_ERR_MEMORY;
    }
    *vectors = v;
    return DC_OK;
}

void dc_vectors_free(struct dc_vectors *vectors)
{
    if (vectors)
        dc_arena_free(vectors->arena);
}

typedef enum dc_status visitor(const struct dc_vectors *v, int64_t n, const struct dc_itrace *trace,
                               const struct dc_imodel *model, struct dc_error *error);

// Every vector through the engine, to be kept or compared.
static enum dc_status run_all(const struct dc_vectors *v, const struct dc_ctx *ctx,
                              const struct dc_imodel *model, visitor *visit, struct dc_error *error)
{
    struct dc_engine *engine = NULL;
    struct dc_itrace *trace = NULL;
    const int64_t in_size = dc_ilayer_size(&model->layers[0]);
    DC_TRY(dc_itrace_create(&trace, model, error));
    enum dc_status status = dc_engine_create(&engine, ctx, model, error);
    for (int64_t n = 0; status == DC_OK && n < v->count; n++) {
        dc_engine_trace(engine, trace, v->outputs[0] + n * in_size);
        status = visit(v, n, trace, model, error);
    }
    dc_itrace_free(trace);
    dc_engine_free(engine);
    return status;
}

static enum dc_status keep(const struct dc_vectors *v, int64_t n, const struct dc_itrace *trace,
                           const struct dc_imodel *model, struct dc_error *error)
{
    (void)error;
    for (int i = 1; i < model->count; i++) {
        const int64_t size = dc_ilayer_size(&model->layers[i]);
        memcpy(v->outputs[i] + n * size, trace->outputs[i], (size_t)size);
        if (v->accumulators[i])
            memcpy(v->accumulators[i] + n * size, trace->accumulators[i],
                   (size_t)size * sizeof(int32_t));
    }
    return DC_OK;
}

enum dc_status dc_vectors_create(struct dc_vectors **vectors, const struct dc_ctx *ctx,
                                 const struct dc_imodel *model, const int8_t *inputs,
                                 int64_t samples, struct dc_error *error)
{
    DC_TRY(dc_vectors_alloc(vectors, model, DC_VECTOR_CORNERS + samples, error));
    const size_t in_size = (size_t)dc_ilayer_size(&model->layers[0]);
    int8_t *in = (*vectors)->outputs[0];
    memset(in, -128, in_size);
    memset(in + in_size, 127, in_size);
    memset(in + 2 * in_size, model->layers[0].zero_point, in_size);
    if (samples > 0)
        memcpy(in + DC_VECTOR_CORNERS * in_size, inputs, in_size * (size_t)samples);
    const enum dc_status status = run_all(*vectors, ctx, model, keep, error);
    if (status != DC_OK) {
        dc_vectors_free(*vectors);
        *vectors = NULL;
    }
    return status;
}

static enum dc_status compare(const struct dc_vectors *v, int64_t n, const struct dc_itrace *trace,
                              const struct dc_imodel *model, struct dc_error *error)
{
    for (int i = 1; i < model->count; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        const int64_t size = dc_ilayer_size(l);
        for (int64_t k = 0; k < size; k++) {
            if (v->accumulators[i] && v->accumulators[i][n * size + k] != trace->accumulators[i][k])
                return dc_fail(error, DC_ERR_VERIFY,
                               "vector %" PRId64 ", layer '%s', accumulator %" PRId64
                               ": the file has %" PRId32 ", the engine %" PRId32,
                               n, l->name, k, v->accumulators[i][n * size + k],
                               trace->accumulators[i][k]);
            if (v->outputs[i][n * size + k] != trace->outputs[i][k])
                return dc_fail(error, DC_ERR_VERIFY,
                               "vector %" PRId64 ", layer '%s', output %" PRId64
                               ": the file has %d, the engine %d",
                               n, l->name, k, v->outputs[i][n * size + k], trace->outputs[i][k]);
        }
    }
    return DC_OK;
}

enum dc_status dc_vectors_replay(const struct dc_vectors *vectors, const struct dc_ctx *ctx,
                                 const struct dc_imodel *model, struct dc_error *error)
{
    return run_all(vectors, ctx, model, compare, error);
}
