// Owns which float op, with which attributes, each integer layer is. Does not compute and writes no
// file; a new kind of layer has its float form here and nowhere else.

#include "qat/integer_graph.h"

#include <assert.h>
#include <string.h>

#include "core/ops/ops.h"
#include "qat/table.h"

struct builder {
    const struct dc_imodel *model;
    struct dc_graph *graph;
    int *stored;
    struct dc_error *error;
    // Of the layer being added.
    const struct dc_ilayer *layer;
    int inputs[DC_I_INPUTS_MAX];  // reals; after its ops, [0] is the layer's real
};

static const struct dc_ilayer *input_of(const struct builder *b)
{
    return &b->model->layers[b->layer->inputs[0]];
}

// "LAYER/PART", with underscores behind it where a layer of the model has that name itself.
static const char *part_name(struct builder *b, const char *part)
{
    const char *name = dc_arena_printf(b->graph->arena, b->error, "%s/%s", b->layer->name, part);
    for (int i = 0; name && i < b->model->count; i++) {
        if (strcmp(b->model->layers[i].name, name) != 0)
            continue;
        name = dc_arena_printf(b->graph->arena, b->error, "%s_", name);
        i = -1;
    }
    return name;
}

// A node "LAYER/PART" that reads inputs[0 .. count - 1] and becomes inputs[0].
static enum dc_status append(struct builder *b, const char *part, const struct dc_op *op,
                             const void *attributes, int count)
{
    assert(op);  // every kind of layer has a row in append_op
    const char *name = part_name(b, part);
    return name ? dc_graph_add(b->graph, name, op, attributes, op->attribute_bytes, b->inputs,
                               count, b->inputs, b->error)
                : DC_ERR_MEMORY;
}

static struct dc_quantize_attributes grid_of(const struct dc_ilayer *l, bool clamps)
{
    const int most = l->bits <= 4 ? 7 : 127;  // of the type that the codes have in files
    return (struct dc_quantize_attributes){.scale = l->scale,
                                           .zero_point = l->zero_point,
                                           .bits = l->bits,
                                           .clamp_low = clamps ? l->clamp_low : -most - 1,
                                           .clamp_high = clamps ? l->clamp_high : most};
}

// inputs[0], which holds reals on layer x's grid, stored and read again: what moves codes alone is
// an operator of its own in every file.
static enum dc_status store_move(struct builder *b, const struct dc_ilayer *x, const char *codes,
                                 const char *real)
{
    const struct dc_quantize_attributes grid = grid_of(x, false);
    DC_TRY(append(b, codes, &dc_op_quantize, &grid, 1));
    return append(b, real, &dc_op_dequantize, &grid, 1);
}

static bool is_vector(const struct builder *b, int layer)
{
    return b->graph->nodes[b->stored[layer]].shape.rank == 2;
}

// Input k as reals, [batch, values] or [batch, height, width, channels].
static enum dc_status read_input(struct builder *b, int k, bool vector)
{
    static const char *const parts[DC_I_INPUTS_MAX][4] = {
        {"x0", "shaped0", "codes0", "y0"}, {"x1", "shaped1", "codes1", "y1"},
        {"x2", "shaped2", "codes2", "y2"}, {"x3", "shaped3", "codes3", "y3"},
        {"x4", "shaped4", "codes4", "y4"}, {"x5", "shaped5", "codes5", "y5"},
        {"x6", "shaped6", "codes6", "y6"}, {"x7", "shaped7", "codes7", "y7"}};
    const int from = b->layer->inputs[k], first = b->inputs[0];
    const struct dc_ilayer *x = &b->model->layers[from];
    const struct dc_quantize_attributes grid = grid_of(x, false);
    const struct dc_reshape_attributes flat = {.rank = 1, .dims = {dc_ilayer_size(x)}};
    const struct dc_reshape_attributes image = {.rank = 3,
                                                .dims = {x->height, x->width, x->channels}};
    b->inputs[0] = b->stored[from];
    DC_TRY(append(b, parts[k][0], &dc_op_dequantize, &grid, 1));
    if (is_vector(b, from) != vector) {
        DC_TRY(append(b, parts[k][1], &dc_op_reshape, vector ? &flat : &image, 1));
        DC_TRY(store_move(b, x, parts[k][2], parts[k][3]));
    }
    b->inputs[k] = b->inputs[0];
    if (k > 0)
        b->inputs[0] = first;
    return DC_OK;
}

static enum dc_status append_slices(struct builder *b)
{
    const struct dc_ilayer *l = b->layer, *x = input_of(b);
    const struct dc_slice_attributes axes[3] = {{1, l->window.before[0], 0, l->window.stride[0]},
                                                {2, l->window.before[1], 0, l->window.stride[1]},
                                                {3, l->first_channel, 0, 1}};
    const int have[3] = {x->height, x->width, x->channels};
    const int wanted[3] = {l->height, l->width, l->channels};
    static const char *const parts[3][3] = {{"rows", "rows_codes", "rows_real"},
                                            {"columns", "columns_codes", "columns_real"},
                                            {"channels", "channels_codes", "channels_real"}};
    bool moved = false;
    for (int k = 0; k < 3; k++) {
        struct dc_slice_attributes a = axes[k];
        a.end = a.begin + (int64_t)(wanted[k] - 1) * a.step + 1;
        if (have[k] == wanted[k] && (moved || k < 2))
            continue;
        if (moved)
            DC_TRY(store_move(b, x, parts[k][1], parts[k][2]));
        DC_TRY(append(b, parts[k][0], &dc_op_slice, &a, 1));
        moved = true;
    }
    return DC_OK;
}

// The float op of the layer, on reals.
static enum dc_status append_op(struct builder *b)
{
    static const struct dc_concat_attributes last_axis = {-1};
    const struct dc_ilayer *l = b->layer, *x = input_of(b);
    const struct dc_conv_attributes conv = {.filters = l->channels,
                                            .window = l->window,
                                            .groups = l->op == DC_I_DEPTHWISE_CONV2D ? x->channels
                                                                                     : 1,
                                            .bias = true};
    const struct dc_dense_attributes dense = {l->channels, true};
    const struct dc_pool_attributes pool = {.window = l->window};
    const struct dc_pad_attributes pad = {.top = l->window.before[0],
                                          .bottom = l->window.after[0],
                                          .left = l->window.before[1],
                                          .right = l->window.after[1],
                                          .before = l->first_channel,
                                          .after = l->channels - l->first_channel - x->channels};
    const bool vector = l->height * l->width == 1;
    const struct dc_reshape_attributes shape = {
        .rank = vector ? 1 : 3,
        .dims = {vector ? dc_ilayer_size(l) : l->height, l->width, l->channels}};
    const struct {
        const struct dc_op *op;
        const void *attributes;
    } ops[DC_IOP_COUNT] = {
        [DC_I_CONV2D] = {&dc_op_conv, &conv},
        [DC_I_DEPTHWISE_CONV2D] = {&dc_op_conv, &conv},
        [DC_I_FULLY_CONNECTED] = {&dc_op_dense, &dense},
        [DC_I_ADD] = {&dc_op_add, NULL},
        [DC_I_MULTIPLY] = {&dc_op_multiply, NULL},
        [DC_I_AVERAGE_POOL] = {&dc_op_average_pool, &pool},
        [DC_I_MAX_POOL] = {&dc_op_max_pool, &pool},
        [DC_I_MEAN] = {&dc_op_global_average_pool, NULL},
        [DC_I_RESHAPE] = {&dc_op_reshape, &shape},
        [DC_I_PAD] = {&dc_op_pad, &pad},
        [DC_I_CONCAT] = {&dc_op_concat, &last_axis},
        [DC_I_SOFTMAX] = {&dc_op_softmax, NULL},
    };
    if (l->op == DC_I_SLICE)
        return append_slices(b);
    if (l->op == DC_I_TABLE)
        return append(b, "real", dc_ifunction_op(l->function), l->parameters, 1);
    return append(b, "real", ops[l->op].op, ops[l->op].attributes, l->input_count);
}

static enum dc_status add_layer(struct builder *b, int i)
{
    const struct dc_ilayer *l = &b->model->layers[i];
    const struct dc_quantize_attributes grid = grid_of(l, true);
    bool vector = l->op == DC_I_FULLY_CONNECTED;
    b->layer = l;
    if (l->op == DC_I_ADD || l->op == DC_I_MULTIPLY || l->op == DC_I_CONCAT ||
        l->op == DC_I_TABLE || l->op == DC_I_SOFTMAX || l->op == DC_I_RESHAPE) {
        vector = true;
        for (int k = 0; k < l->input_count; k++)
            vector = vector && is_vector(b, l->inputs[k]);
    }
    for (int k = 0; k < l->input_count; k++)
        DC_TRY(read_input(b, k, vector));
    DC_TRY(append_op(b));
    return dc_graph_add(b->graph, l->name, &dc_op_quantize, &grid, sizeof grid, b->inputs, 1,
                        &b->stored[i], b->error);
}

static enum dc_status build(struct builder *b, int *input, int *output)
{
    const struct dc_ilayer *l = b->layer = &b->model->layers[0];
    const struct dc_quantize_attributes grid = grid_of(l, true);
    const struct dc_shape shape = l->height * l->width == 1
                                      ? DC_SHAPE(DC_BATCH, l->channels)
                                      : DC_SHAPE(DC_BATCH, l->height, l->width, l->channels);
    DC_TRY(dc_graph_add_input(b->graph, l->name, DC_F32, &shape, input, b->error));
    b->inputs[0] = *input;
    DC_TRY(append(b, "codes", &dc_op_quantize, &grid, 1));
    b->stored[0] = b->inputs[0];
    for (int i = 1; i < b->model->count; i++)
        DC_TRY_IN(add_layer(b, i), b->error, "layer '%s'", b->model->layers[i].name);
    b->layer = dc_imodel_output(b->model);
    b->inputs[0] = b->stored[b->model->count - 1];
    const struct dc_quantize_attributes last = grid_of(b->layer, false);
    DC_TRY(append(b, "output", &dc_op_dequantize, &last, 1));
    *output = b->inputs[0];
    return DC_OK;
}

// Codes from [channels, taps] to the parameter's [taps, channels]; depthwise ones lie so.
static const int8_t *turned_weights(const struct dc_ilayer *l, struct dc_arena *arena,
                                    struct dc_error *error)
{
    if (l->op == DC_I_DEPTHWISE_CONV2D)
        return l->weights;
    const int64_t taps = l->weight_count / l->channels;
    int8_t *turned = DC_NEW(arena, int8_t, l->weight_count, error);
    for (int64_t k = 0; turned && k < l->weight_count; k++)
        turned[k % taps * l->channels + k / taps] = l->weights[k];
    return turned;
}

// Of the weights and the biases of one layer: their codes, and the reals they stand for.
static enum dc_status fill_parameters(struct dc_network *n, const struct dc_imodel *model,
                                      const struct dc_ilayer *l, int slice, struct dc_error *error)
{
    struct dc_arena *arena = n->graph->arena;
    float *products = DC_NEW(arena, float, l->channels, error);
    const int8_t *weights = turned_weights(l, arena, error);
    float *const value[2] = {n->params->value + n->params->slices[slice].offset,
                             n->params->value + n->params->slices[slice + 1].offset};
    if (!products || !weights)
        return DC_ERR_MEMORY;
    for (int c = 0; c < l->channels; c++) {
        products[c] = model->layers[l->inputs[0]].scale * l->weight_scales[c];
        value[1][c] = (float)((double)products[c] * l->biases[c]);
    }
    for (int64_t k = 0; k < l->weight_count; k++)
        value[0][k] = l->weight_scales[k % l->channels] * (float)weights[k];
    n->codes[slice] = (struct dc_codes){.weights = weights,
                                        .bits = l->weight_bits,
                                        .packed = l->weight_bits <= 4 && !model->wide_weights,
                                        .per_channel = l->per_channel,
                                        .scales = l->weight_scales,
                                        .channels = l->channels};
    n->codes[slice + 1] = (struct dc_codes){.biases = l->biases,
                                            .bits = 32,
                                            .per_channel = l->per_channel,
                                            .scales = products,
                                            .channels = l->channels};
    return DC_OK;
}

enum dc_status dc_integer_graph(struct dc_network *network, const int **stored,
                                const struct dc_imodel *model, struct dc_error *error)
{
    struct builder b = {.model = model, .error = error};
    *network = (struct dc_network){.graph = NULL};
    DC_TRY(dc_graph_create(&network->graph, error));
    b.graph = network->graph;
    b.stored = DC_NEW(b.graph->arena, int, model->count, error);
    if (stored)
        *stored = b.stored;
    enum dc_status status = b.stored ? build(&b, &network->input, &network->output) : DC_ERR_MEMORY;
    if (status == DC_OK)
        status = dc_params_create(&network->params, b.graph, 0, false, error);
    if (status == DC_OK) {
        // One more than there may be: a network without weights is quantized too.
        network->codes = DC_NEW(b.graph->arena, struct dc_codes, network->params->count + 1, error);
        status = network->codes ? DC_OK : DC_ERR_MEMORY;
    }
    for (int i = 0, slice = 0; status == DC_OK && i < model->count; i++) {
        if (!dc_ilayer_has_weights(&model->layers[i]))
            continue;
        status = fill_parameters(network, model, &model->layers[i], slice, error);
        slice += 2;
    }
    if (status != DC_OK)
        dc_network_free(network);
    return status;
}
