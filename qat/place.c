// Owns where the values of an integer model live, and what the model costs. Largest value first, at
// the lowest offset that no value alive at the same time occupies. One answer for the engine, the
// exported C and the memory budget.

#include <stdlib.h>
#include <string.h>

#include "qat/imodel.h"

struct value {
    int first, last;  // layers during which it is alive: written by first, last read by last
    int64_t bytes, offset;
    bool placed;
};

// A reshape is the value it reads.
static int root_of(const struct dc_imodel *model, int i)
{
    while (model->layers[i].op == DC_I_RESHAPE)
        i = model->layers[i].inputs[0];
    return i;
}

static int64_t lowest_free(const struct value *values, int count, const struct value *wanted)
{
    int64_t offset = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < count; i++) {
            const struct value *v = &values[i];
            const bool together = v->first <= wanted->last && wanted->first <= v->last;
            if (v->placed && together && v->offset < offset + wanted->bytes &&
                offset < v->offset + v->bytes) {
                offset = v->offset + v->bytes;
                moved = true;
            }
        }
    }
    return offset;
}

enum dc_status dc_imodel_place(int64_t *offsets, int64_t *bytes, const struct dc_imodel *model,
                               int alignment, struct dc_error *error)
{
    const int count = model->count;
    struct value *values = dc_alloc((size_t)count * sizeof *values, error);
    if (!values)
        return DC_ERR_MEMORY;
    for (int i = 0; i < count; i++) {
        values[i].first = values[i].last = i;
        const int64_t size = dc_ilayer_size(&model->layers[i]);
        values[i].bytes = (size + alignment - 1) / alignment * alignment;
        for (int k = 0; k < model->layers[i].input_count; k++)
            values[root_of(model, model->layers[i].inputs[k])].last = i;
    }
    *bytes = 0;
    for (;;) {
        struct value *next = NULL;
        for (int i = 1; i < count - 1; i++) {
            struct value *v = &values[i];
            if (!v->placed && root_of(model, i) == i && (!next || v->bytes > next->bytes))
                next = v;
        }
        if (!next)
            break;
        next->offset = lowest_free(values, count, next);
        next->placed = true;
        *bytes = next->offset + next->bytes > *bytes ? next->offset + next->bytes : *bytes;
    }
    for (int i = 0; i < count; i++) {
        const int root = root_of(model, i);
        offsets[i] = i != count - 1 && values[root].placed ? values[root].offset : -1;
    }
    free(values);
    return DC_OK;
}

int dc_ilayer_stored_bits(const struct dc_imodel *model, const struct dc_ilayer *layer)
{
    return layer->weight_bits <= 4 && !model->wide_weights ? 4 : 8;
}

// A depthwise layer's are unpacked at once, of others four rows.
int64_t dc_imodel_unpacked(const struct dc_imodel *model)
{
    int64_t most = 0;
    for (int i = 1; i < model->count; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        if (!dc_ilayer_has_weights(l) || dc_ilayer_stored_bits(model, l) == 8)
            continue;
        const int64_t codes = l->op == DC_I_DEPTHWISE_CONV2D ? l->weight_count
                                                             : 4 * (l->weight_count / l->channels);
        most = codes > most ? codes : most;
    }
    return most;
}

int64_t dc_imodel_column(const struct dc_imodel *model)
{
    int64_t most = 0;
    for (int i = 1; i < model->count; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        const int64_t codes = l->op == DC_I_CONV2D ? l->weight_count / l->channels : 0;
        most = codes > most ? codes : most;
    }
    return most;
}

enum dc_status dc_imodel_cost(struct dc_imodel_cost *cost, const struct dc_imodel *model,
                              struct dc_error *error)
{
    memset(cost, 0, sizeof *cost);
    for (int i = 0; i < model->count; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        cost->weight_bytes += (l->weight_count * dc_ilayer_stored_bits(model, l) + 7) / 8;
        cost->bias_bytes += dc_ilayer_has_weights(l) ? 4 * (int64_t)l->channels : 0;
        cost->rescale_bytes += 8 * (int64_t)l->rescales;
        cost->macs += dc_ilayer_macs(model, i);
    }
    cost->scratch_bytes = 4 * ((dc_imodel_column(model) + 15) / 16 * 16) +  // two of int16
                          (dc_imodel_unpacked(model) + 31) / 32 * 32;
    cost->input_bytes = dc_ilayer_size(&model->layers[0]);
    cost->output_bytes = dc_ilayer_size(dc_imodel_output(model));
    int64_t *offsets = dc_alloc((size_t)model->count * sizeof *offsets, error);
    if (!offsets)
        return DC_ERR_MEMORY;
    const enum dc_status status = dc_imodel_place(offsets, &cost->arena_bytes, model,
                                                  model->alignment, error);
    free(offsets);
    return status;
}
