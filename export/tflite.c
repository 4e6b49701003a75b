// Owns what a TFLite file of an integer model needs beside the network that it is: which weights
// may be packed, where values lie, and what runtimes would compute otherwise than the engine. How a
// network is written is formats/tflite_write.c's.

#include "export/tflite.h"

#include <math.h>
#include <string.h>

#include "formats/tflite_write.h"
#include "qat/integer_graph.h"
#include "qat/profile.h"

enum { ARENA_ALIGNMENT = 16 };  // what TFLM gives its own plans

// Where the profile's runtime computes the same from weights of 4 bits. Elsewhere they are written
// as int8: the runtime refuses them, or leaves them to kernels that round otherwise (what was tried
// is in docs/integers.md).
static bool takes_int4(const struct dc_imodel *model, const struct dc_ilayer *l)
{
    const char *profile = model->profile->name;
    const bool dense = l->op == DC_I_FULLY_CONNECTED;
    if (strcmp(profile, "tflm") == 0)
        return !(dense && l->per_channel);
    if (strcmp(profile, "litert-builtin") == 0)
        return true;
    if (strcmp(profile, "litert-reference") == 0)
        return l->op != DC_I_DEPTHWISE_CONV2D;
    return (strcmp(profile, "litert-xnnpack") == 0 || strcmp(profile, "litert-arm64") == 0) &&
           dense && dc_ilayer_size(&model->layers[l->inputs[0]]) % 2 == 0;
}

int dc_tflite_unpacked(const struct dc_imodel *model)
{
    int count = 0;
    for (int i = 1; i < model->count && !model->wide_weights; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        count += dc_ilayer_has_weights(l) && l->weight_bits <= 4 && !takes_int4(model, l);
    }
    return count;
}

// Runtimes that round twice shift a sum left first where its factor is 1 or more. Their int32
// wraps, the engine saturates.
static enum dc_status check_shifts(const struct dc_imodel *model, const struct dc_ilayer *l,
                                   struct dc_error *error)
{
    const enum dc_rounding rounding = dc_profile_rounding(model->profile, l->op);
    const double most = (double)(-l->accumulator_low > l->accumulator_high ? -l->accumulator_low
                                                                           : l->accumulator_high);
    if (rounding != DC_ROUND_DOUBLE && rounding != DC_ROUND_DOUBLE_UP &&
        rounding != DC_ROUND_DOUBLE_BLOCKS)
        return DC_OK;
    for (int i = 0; i < l->rescales; i++) {
        if (l->shifts[i] > 0 && ldexp(most, l->shifts[i]) >= 0x1p31)
            return dc_fail(error, DC_ERR_DATA,
                           "sums of '%s' can reach %.0f, which TFLite's runtimes shift left by %d "
                           "bits, beyond int32: its output scale %.3g is too small for them",
                           l->name, most, l->shifts[i], (double)l->scale);
    }
    return DC_OK;
}

// A code lies up to 255 from its zero point: from a factor of 2^23 on the runtimes' int32 wraps.
static enum dc_status check_slope(const struct dc_imodel *model, const struct dc_ilayer *l,
                                  struct dc_error *error)
{
    const float slope = l->parameters[0], ratio = model->layers[l->inputs[0]].scale / l->scale;
    if (l->op != DC_I_TABLE || l->function != DC_F_LEAKY_RELU)
        return DC_OK;
    if (ratio < 0x1p23f && fabsf(ratio * slope) < 0x1p23f)
        return DC_OK;
    return dc_fail(error, DC_ERR_DATA,
                   "the output scale %.3g of '%s' is too small for what it reads", (double)l->scale,
                   l->name);
}

// Two codes a layer with weights, in the order of layers: weights, biases.
static void choose_packed(struct dc_network *network, const struct dc_imodel *model)
{
    struct dc_codes *codes = network->codes;
    for (int i = 0; i < model->count; i++) {
        if (!dc_ilayer_has_weights(&model->layers[i]))
            continue;
        codes->packed = codes->packed && takes_int4(model, &model->layers[i]);
        codes += 2;
    }
}

static enum dc_status write_network(const char *path, struct dc_network *network, const int *stored,
                                    const struct dc_imodel *model, const char *normalization,
                                    struct dc_error *error)
{
    const int alignment = model->alignment > ARENA_ALIGNMENT ? model->alignment : ARENA_ALIGNMENT;
    struct dc_arena *arena = network->graph->arena;
    struct dc_block *blocks = DC_NEW(arena, struct dc_block, model->count, error);
    struct dc_block_plan plan;
    int64_t *places = DC_NEW(arena, int64_t, network->graph->count, error);
    if (!blocks || !places)
        return DC_ERR_MEMORY;
    DC_TRY(dc_imodel_place(blocks, &plan, model, DC_PLACE_APART, alignment, error));
    for (int i = 0; i < network->graph->count; i++)
        places[i] = -1;
    for (int i = 0; i < model->count; i++) {
        places[stored[i]] = blocks[i].offset;
        DC_TRY(check_shifts(model, &model->layers[i], error));
        DC_TRY(check_slope(model, &model->layers[i], error));
    }
    choose_packed(network, model);
    return dc_tflite_write_network(path, network, places, model->name, model->provenance,
                                   normalization, error);
}

enum dc_status dc_tflite_write(const char *path, const struct dc_imodel *model,
                               const char *normalization, struct dc_error *error)
{
    struct dc_network network;
    const int *stored;
    DC_TRY(dc_integer_graph(&network, &stored, model, error));
    const enum dc_status status = write_network(path, &network, stored, model, normalization,
                                                error);
    dc_network_free(&network);
    return status;
}
