// Owns finished networks of libdecant.

#include <stdlib.h>

#include "library/internal.h"

static decant_code open_network(decant_network **out, decant_context *context, decant_run *run,
                                const char *what, decant_error *error)
{
    struct dc_error own = {0};
    decant_network *n = dc_alloc(sizeof *n, &own);
    *out = NULL;
    enum dc_status status = n ? dc_arena_create(&n->arena, &own) : DC_ERR_MEMORY;
    if (status == DC_OK && run) {
        n->stop = run->run->ctx->stop;
        status = dc_asked_stage(&n->asked, run->run, what, NULL, &own);
    } else if (status == DC_OK) {
        const struct dc_ctx_config config = dc__context_config(context);
        const char *bundle = dc_arena_copy(n->arena, what, &own);
        n->stop = config.stop;
        status = bundle ? dc_ctx_create(&n->own, &config, &own) : DC_ERR_MEMORY;
        if (status == DC_OK)
            status = dc_asked_bundle(&n->asked, n->own, bundle, n->arena, &own);
    }
    if (status == DC_OK)
        *out = n;
    else
        decant_network_close(n);
    return dc__give_error(error, status, &own);
}

decant_code decant_network_open(decant_network **network, decant_run *run, const char *stage,
                                decant_error *error)
{
    return open_network(network, NULL, run, stage, error);
}

decant_code decant_network_load(decant_network **network, decant_context *context,
                                const char *bundle, decant_error *error)
{
    *network = NULL;
    if (!bundle)
        return dc__refuse(error, "there is no bundle to load");
    return open_network(network, context, NULL, bundle, error);
}

void decant_network_close(decant_network *n)
{
    if (!n)
        return;
    dc_asked_close(&n->asked);
    dc_ctx_free(n->own);
    dc_arena_free(n->arena);
    free(n);
}

int decant_network_shape(const decant_network *n, int64_t shape[8])
{
    for (int i = 0; i < n->asked.sample.rank; i++)
        shape[i] = n->asked.sample.dims[i];
    return n->asked.sample.rank;
}

int decant_network_takes_bytes(const decant_network *n)
{
    return n->asked.dtype == DC_U8;
}

int decant_network_output_count(const decant_network *n)
{
    return n->asked.predictor.predictor->classes;
}

const char *decant_network_class_name(const decant_network *n, int index)
{
    const struct dc_preprocessing *record = &n->asked.record;
    const int count = decant_network_output_count(n);
    return index >= 0 && index < count && record->classes == count ? record->class_names[index]
                                                                   : NULL;
}

static decant_code predict(decant_network *n, float *outputs, const void *samples, int64_t count,
                           enum dc_dtype dtype, decant_error *error)
{
    struct dc_error own = {0};
    if (count < 0 || (count > 0 && (!samples || !outputs)))
        return dc__refuse(error, "a prediction needs samples and room for outputs");
    if (dtype != n->asked.dtype)
        return dc__refuse(error, n->asked.dtype == DC_U8
                                     ? "this network takes bytes: decant_network_predict_bytes"
                                     : "this network takes floats: decant_network_predict_floats");
    return dc__give_error(error, dc_asked_values(outputs, &n->asked, samples, count, n->stop, &own),
                          &own);
}

decant_code decant_network_predict_bytes(decant_network *n, float *outputs, const uint8_t *samples,
                                         int64_t count, decant_error *error)
{
    return predict(n, outputs, samples, count, DC_U8, error);
}

decant_code decant_network_predict_floats(decant_network *n, float *outputs, const float *samples,
                                          int64_t count, decant_error *error)
{
    return predict(n, outputs, samples, count, DC_F32, error);
}

void decant_network_softmax(const decant_network *n, float *outputs, int64_t count)
{
    dc_asked_probabilities(outputs, &n->asked, count);
}
