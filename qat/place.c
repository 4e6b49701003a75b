// Owns what the planner is told of an integer model: which values take memory and how long, and
// what of an input each kernel of the exported C has read when it writes (export/device: rows from
// the top, places from the left, channels in order). And what the model costs.

#include <stdlib.h>
#include <string.h>

#include "qat/imodel.h"

// A reshape is the value it reads.
static int root_of(const struct dc_imodel *model, int i)
{
    while (model->layers[i].op == DC_I_RESHAPE)
        i = model->layers[i].inputs[0];
    return i;
}

// The first code that the window at output place (oy, ox) reads, or one before it.
static int64_t first_read(const struct dc_ilayer *l, const struct dc_ilayer *x, int oy, int ox)
{
    const int64_t top = (int64_t)oy * l->window.stride[0] - l->window.before[0];
    const int64_t left = (int64_t)ox * l->window.stride[1] - l->window.before[1];
    return ((top > 0 ? top * x->width : 0) + (left > 0 ? left : 0)) * x->channels;
}

// A place's codes are written while its window, and those of places behind it, are yet to be read:
// of a convolution two places at a time; of others, where channel c reads channel c alone, behind
// what is read for it.
static int64_t window_distance(const struct dc_ilayer *l, const struct dc_ilayer *x)
{
    const int64_t group = l->op == DC_I_CONV2D ? 2 : 1;
    const bool by_channel = l->op != DC_I_CONV2D && l->channels == x->channels;
    const int64_t places = (int64_t)l->height * l->width;
    int64_t distance = 0, needed = dc_ilayer_size(x);
    for (int64_t p = places - 1; p >= 0; p--) {
        const int64_t read = first_read(l, x, (int)(p / l->width), (int)(p % l->width));
        needed = read < needed ? read : needed;
        const int64_t end = p - p % group + group < places ? p - p % group + group : places;
        const int64_t written = (by_channel ? p : end) * l->channels;
        distance = written - needed > distance ? written - needed : distance;
    }
    return distance;
}

// How far before value `i`, which layer `reader` is the last to read, that layer's output begins at
// least, in codes. Its size: they are apart.
static int64_t distance_to(const struct dc_imodel *model, int reader, int i)
{
    const struct dc_ilayer *l = &model->layers[reader];
    int64_t first = 0, distance = 0;
    switch (l->op) {
    case DC_I_CONV2D:
    case DC_I_DEPTHWISE_CONV2D:
    case DC_I_AVERAGE_POOL:
    case DC_I_MAX_POOL:
        return window_distance(l, &model->layers[l->inputs[0]]);
    case DC_I_ADD:
    case DC_I_TABLE:
    case DC_I_SOFTMAX:
    case DC_I_MEAN:
    case DC_I_RESHAPE:  // the network's output, copied
    case DC_I_SLICE:
        return 0;
    case DC_I_MULTIPLY:  // a value of fewer codes is read again and again
        return dc_ilayer_size(&model->layers[i]) == dc_ilayer_size(l) ? 0 : dc_ilayer_size(l);
    case DC_I_CONCAT:  // at one place the inputs are copied one behind the other
        for (int k = 0; k < l->input_count; k++) {
            distance = root_of(model, l->inputs[k]) == i ? first : distance;
            first += model->layers[l->inputs[k]].channels;
        }
        return l->height * l->width == 1 ? distance : dc_ilayer_size(l);
    default:
        return dc_ilayer_size(l);
    }
}

static int64_t round_up(int64_t bytes, int alignment)
{
    return (bytes + alignment - 1) / alignment * alignment;
}

// Lifetimes of all values; of those that are another's, or the caller's, `first` is above `last`.
static void find_lifetimes(struct dc_block *blocks, const struct dc_imodel *model,
                           enum dc_placement placement, int alignment)
{
    const int count = model->count;
    for (int i = 0; i < count; i++) {
        blocks[i] = (struct dc_block){.first = i, .last = i, .offset = -1, .successor = -1};
        blocks[i].bytes = round_up(dc_ilayer_size(&model->layers[i]), alignment);
        for (int k = 0; k < model->layers[i].input_count; k++)
            blocks[root_of(model, model->layers[i].inputs[k])].last = i;
    }
    for (int i = 0; i < count; i++) {
        const bool end = i == 0 || i == count - 1;
        if (end ? placement != DC_PLACE_OVER_WITH_ENDS : root_of(model, i) != i)
            blocks[i].first = count;
    }
    for (int i = 0; i < count && placement != DC_PLACE_APART; i++) {
        const int reader = blocks[i].last;
        if (reader == i || blocks[i].first > i || blocks[reader].first > reader)
            continue;
        blocks[i].successor = reader;
        blocks[i].distance = round_up(distance_to(model, reader, i), alignment);
    }
}

enum dc_status dc_imodel_place(struct dc_block *blocks, struct dc_block_plan *plan,
                               const struct dc_imodel *model, enum dc_placement placement,
                               int alignment, struct dc_error *error)
{
    const int count = model->count;
    struct dc_block *some = dc_alloc((size_t)count * sizeof *some, error);
    int *at = dc_alloc((size_t)count * sizeof *at, error);  // of value i in `some`
    enum dc_status status = some && at ? DC_OK : DC_ERR_MEMORY;
    int used = 0;
    if (status == DC_OK) {
        find_lifetimes(blocks, model, placement, alignment);
        for (int i = 0; i < count; i++) {
            at[i] = blocks[i].first == i ? used : -1;
            if (at[i] >= 0)
                some[used++] = blocks[i];
        }
        for (int k = 0; k < used; k++)
            some[k].successor = some[k].successor >= 0 ? at[some[k].successor] : -1;
        status = dc_blocks_place(plan, some, used, error);
    }
    for (int i = 0; status == DC_OK && i < count; i++) {
        const int root = i == count - 1 ? i : root_of(model, i);
        blocks[i].offset = at[root] >= 0 ? some[at[root]].offset : -1;
        blocks[i].first = blocks[root].first;
        blocks[i].last = blocks[root].last;
    }
    free(at);
    free(some);
    return status;
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
    struct dc_block *blocks = dc_alloc((size_t)model->count * sizeof *blocks, error);
    struct dc_block_plan plan, whole;
    if (!blocks)
        return DC_ERR_MEMORY;
    enum dc_status status = dc_imodel_place(blocks, &plan, model, DC_PLACE_OVER, model->alignment,
                                            error);
    if (status == DC_OK)
        status = dc_imodel_place(blocks, &whole, model, DC_PLACE_OVER_WITH_ENDS, model->alignment,
                                 error);
    free(blocks);
    if (status != DC_OK)
        return status;
    cost->arena_bytes = plan.bytes;
    cost->arena_bound = plan.bound;
    cost->whole_arena_bytes = whole.bytes;
    cost->busiest = plan.bytes > 0 ? plan.busiest : 0;
    return DC_OK;
}
