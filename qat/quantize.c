// Owns the rule where quantizers stand. Each node of the float graph is one of five kinds; a
// quantizer goes behind the last node of what the integer engine computes in one layer.

#include "qat/quantize.h"

#include <stdlib.h>
#include <string.h>

#include "qat/imodel.h"
#include "qat/softmax.h"
#include "qat/table.h"

#define DEFAULT_CONSTANT   0.01f
#define DEFAULT_PERCENTILE 0.9999

enum kind { REFUSED, SOURCE, WEIGHTED, NORM, CLAMP, SUM, TABLE, KEEPS, JOINS };

static bool is_pool(const struct dc_node *node)
{
    return node->op == &dc_op_max_pool || node->op == &dc_op_average_pool;
}

struct pass {
    const struct dc_graph *from;
    struct dc_graph *to;
    const struct dc_quantize_config *config;
    int output;
    bool *needed;
    int *map;         // [node]: its value in the new graph, behind its quantizer where it has one
    int *bits;        // [node]: of the quantizer behind it, or behind the layer that it begins
    int first, last;  // weighted layers
    struct dc_error *error;
};

// The one needed node that reads i, or -1: none, several, or the network's output.
static int only_reader(const struct pass *p, int i)
{
    return i == p->output ? -1 : dc_graph_only_reader(p->from, p->needed, i);
}

// An average over a whole map, whose scale may be its own. With a ReLU behind it, it stays a pool.
static bool is_mean(const struct pass *p, int i)
{
    const struct dc_node *node = &p->from->nodes[i];
    const int reader = only_reader(p, i);
    if (node->op == &dc_op_global_average_pool)
        return true;
    if (node->op != &dc_op_average_pool)
        return false;
    const struct dc_pool_attributes *a = node->attributes;
    const struct dc_shape *in = &p->from->nodes[node->inputs[0]].shape;
    return a->window.kernel[0] == in->dims[1] && a->window.kernel[1] == in->dims[2] &&
           !dc_window_is_padded(&a->window) &&
           (reader < 0 || (p->from->nodes[reader].op != &dc_op_relu &&
                           p->from->nodes[reader].op != &dc_op_relu6));
}

static enum kind kind_of(const struct pass *p, int i);

// A hard sigmoid behind a convolution or dense layer scales and shifts its sums, and the ends of
// its codes are its ends. Where scales are powers of two it is a function of codes like others.
static bool is_squashed(const struct pass *p, int i)
{
    const struct dc_node *node = &p->from->nodes[i];
    if (node->op != &dc_op_hard_sigmoid || p->config->power_of_two ||
        only_reader(p, node->inputs[0]) != i)
        return false;
    const enum kind kind = kind_of(p, node->inputs[0]);
    return kind == WEIGHTED || kind == NORM;
}

static enum kind kind_of(const struct pass *p, int i)
{
    static const struct {
        const struct dc_op *op;
        enum kind kind;
    } kinds[] = {
        {&dc_op_input, SOURCE},    {&dc_op_conv, WEIGHTED},      {&dc_op_dense, WEIGHTED},
        {&dc_op_batch_norm, NORM}, {&dc_op_relu, CLAMP},         {&dc_op_relu6, CLAMP},
        {&dc_op_add, SUM},         {&dc_op_average_pool, KEEPS}, {&dc_op_max_pool, KEEPS},
        {&dc_op_flatten, KEEPS},   {&dc_op_reshape, KEEPS},      {&dc_op_pad, KEEPS},
        {&dc_op_dropout, KEEPS},   {&dc_op_concat, JOINS},       {&dc_op_slice, KEEPS},
        {&dc_op_softmax, TABLE},   {&dc_op_multiply, SUM},
    };
    if (is_mean(p, i))
        return SUM;
    if (is_squashed(p, i))
        return CLAMP;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        if (kinds[k].op == p->from->nodes[i].op)
            return kinds[k].kind;
    }
    return dc_ifunction_of(p->from->nodes[i].op) >= 0 ? TABLE : REFUSED;
}

// Does the layer that computes i go on in its reader?
static bool goes_on(const struct pass *p, int i)
{
    const int reader = only_reader(p, i);
    if (reader < 0)
        return false;
    const enum kind kind = kind_of(p, i), next = kind_of(p, reader);
    if (next == NORM)
        return kind == WEIGHTED;
    return next == CLAMP && (kind == WEIGHTED || kind == NORM || (kind == SUM && !is_mean(p, i)));
}

// Does i end, through nodes that keep their quantizer, in a concat alone? Then that one's serves.
static bool ends_in_concat(const struct pass *p, int i)
{
    for (int reader = only_reader(p, i); reader >= 0; reader = only_reader(p, reader)) {
        const enum kind kind = kind_of(p, reader);
        if (kind == JOINS)
            return true;
        const bool kept_relu = kind == CLAMP && is_pool(&p->from->nodes[i]);
        if (kind != KEEPS && !kept_relu)
            return false;
        i = reader;
    }
    return false;
}

static bool keeps_quantizer(const struct pass *p, int i)
{
    const struct dc_node *node = &p->from->nodes[i];
    const enum kind kind = kind_of(p, i);
    return kind == KEEPS || (kind == CLAMP && is_pool(&p->from->nodes[node->inputs[0]]));
}

static enum dc_status refuse(const struct pass *p, int i, const char *why)
{
    const struct dc_node *node = &p->from->nodes[i];
    return dc_fail(p->error, DC_ERR_CONFIG, "layer '%s' (%s) cannot be quantized: %s", node->name,
                   node->op->name, why);
}

// Integers see a value as [height, width, channels] (imodel.h).
static enum dc_status check_slice(const struct pass *p, int i)
{
    const struct dc_slice_attributes *a = p->from->nodes[i].attributes;
    const int rank = p->from->nodes[i].shape.rank, axis = a->axis < 0 ? a->axis + rank : a->axis;
    if (a->step < 1 || (axis == rank - 1 && a->step != 1))
        return refuse(p, i, "slices of integers go forward, and take channels that lie together");
    if (axis < rank - 2 && rank != 4)
        return refuse(p, i, "integers are sliced along channels, width or height");
    return DC_OK;
}

static enum dc_status check_groups(const struct pass *p, int i)
{
    const struct dc_node *node = &p->from->nodes[i];
    const struct dc_conv_attributes *a = node->attributes;
    if (a->groups == 1 || a->groups == p->from->nodes[node->inputs[0]].shape.dims[3])
        return DC_OK;
    return dc_fail(p->error, DC_ERR_CONFIG,
                   "layer '%s': a convolution in %d groups has no integer form; 1 group or one a "
                   "channel",
                   node->name, a->groups);
}

// One of the two has the product's shape; the other is read again along axes of which it has one.
static enum dc_status check_product(const struct pass *p, int i)
{
    const struct dc_node *node = &p->from->nodes[i];
    const int64_t size = dc_shape_row(&node->shape);
    for (int k = 0; k < 2; k++)
        if (dc_shape_row(&p->from->nodes[node->inputs[k]].shape) == size)
            return DC_OK;
    return refuse(p, i, "one of the two values of an integer product has its shape");
}

static enum dc_status check(const struct pass *p, int i)
{
    const struct dc_node *node = &p->from->nodes[i];
    const int input = node->input_count ? node->inputs[0] : -1;
    const enum kind kind = kind_of(p, i);
    if (node->input_count > DC_I_INPUTS_MAX)
        return refuse(p, i, "integers are joined up to eight at a time");
    if (node->op == &dc_op_slice)
        DC_TRY(check_slice(p, i));
    if (node->op == &dc_op_conv)
        DC_TRY(check_groups(p, i));
    if (node->op == &dc_op_multiply)
        DC_TRY(check_product(p, i));
    if (kind == REFUSED)
        return refuse(p, i, "it has no integer form");
    if (kind == SOURCE && node->dtype != DC_F32)
        return refuse(p, i, "inputs are float32");
    if (kind == NORM && !goes_on(p, input))
        return refuse(p, i,
                      "it needs a convolution or dense layer before it that nothing else "
                      "reads");
    if (kind == CLAMP && !goes_on(p, input) &&
        !(is_pool(&p->from->nodes[input]) && only_reader(p, input) == i))
        return refuse(p, i,
                      "it needs a convolution, dense layer, add or pool before it that "
                      "nothing else reads");
    if (node->op == &dc_op_add && node->input_count != 2)
        return refuse(p, i, "the integer add has two inputs");
    if (node->op == &dc_op_average_pool) {
        const struct dc_pool_attributes *a = node->attributes;
        if (a->count_padding && dc_window_is_padded(&a->window))
            return refuse(p, i, "integer average pooling does not count padding");
    }
    if (kind == JOINS) {
        const struct dc_concat_attributes *a = node->attributes;
        if (a->axis != -1 && a->axis != node->shape.rank - 1)
            return refuse(p, i, "integers are concatenated along channels only");
    }
    for (int k = 0; kind == JOINS && k < node->input_count; k++) {
        int origin = node->inputs[k];
        if (only_reader(p, origin) != i)
            return refuse(p, i, "its inputs share its quantizer, so nothing else may read them");
        while (keeps_quantizer(p, origin))
            origin = p->from->nodes[origin].inputs[0];
        if (!ends_in_concat(p, origin) || kind_of(p, origin) == SOURCE)
            return refuse(p, i, "its inputs share its quantizer, so nothing else may read them");
    }
    const struct dc_softmax_attributes *a = node->op == &dc_op_softmax ? node->attributes : NULL;
    if (a && a->axis != 0 && a->axis != -1 && a->axis != node->shape.rank - 1)
        return refuse(p, i, "the integer softmax is over channels");
    return DC_OK;
}

static const struct dc_layer_bits *layer_bits(const struct pass *p, int i)
{
    for (int k = 0; k < p->config->layer_count; k++) {
        if (strcmp(p->config->layers[k].name, p->from->nodes[i].name) == 0)
            return &p->config->layers[k];
    }
    return NULL;
}

// The first of these that is not 0.
static int choose_bits(int stated, int edge, int usual)
{
    return stated ? stated : edge ? edge : usual ? usual : 8;
}

// The last layer's input and the output are edges; what a layer's nodes state goes on behind them.
static void set_activation_bits(struct pass *p)
{
    const int edge_bits = p->config->first_last_bits;
    int read_by_last = p->last < 0 ? -1 : p->from->nodes[p->last].inputs[0];
    while (read_by_last > 0 && keeps_quantizer(p, read_by_last))
        read_by_last = p->from->nodes[read_by_last].inputs[0];
    for (int i = 0; i <= p->output; i++) {
        const struct dc_node *node = &p->from->nodes[i];
        if (!p->needed[i])
            continue;
        const struct dc_layer_bits *own = layer_bits(p, i);
        const int input = node->input_count ? node->inputs[0] : -1;
        const int stated = own && own->activations           ? own->activations
                           : input >= 0 && goes_on(p, input) ? p->bits[input]
                                                             : 0;
        p->bits[i] = stated;
    }
    for (int i = 0; i <= p->output; i++) {
        const bool edge = i == read_by_last || i == p->output;
        const bool source = kind_of(p, i) == SOURCE;
        p->bits[i] =
            source ? 8 : choose_bits(p->bits[i], edge ? edge_bits : 0, p->config->activation_bits);
    }
}

// Every override names a layer, and changes something there.
static enum dc_status check_layers(const struct pass *p)
{
    for (int k = 0; k < p->config->layer_count; k++) {
        const struct dc_layer_bits *l = &p->config->layers[k];
        const int at = dc_graph_find(p->from, l->name);
        if (at < 0 || at > p->output || !p->needed[at])
            return dc_fail(p->error, DC_ERR_CONFIG, "layers: the network has no layer '%s'",
                           l->name);
        if (l->weights && kind_of(p, at) != WEIGHTED)
            return dc_fail(p->error, DC_ERR_CONFIG, "layers: '%s' has no weights to quantize",
                           l->name);
        int end = at;
        while (goes_on(p, end))
            end = only_reader(p, end);
        const bool bare = keeps_quantizer(p, end) || ends_in_concat(p, end) ||
                          kind_of(p, end) == SOURCE;
        if (l->activations && (bare || p->bits[end] != l->activations))
            return dc_fail(p->error, DC_ERR_CONFIG,
                           "layers: '%s' has no activations of its own to quantize", l->name);
    }
    return DC_OK;
}

// Of the codes that a layer reads.
static int input_bits(const struct pass *p, int i)
{
    int input = p->from->nodes[i].inputs[0];
    while (input > 0 && keeps_quantizer(p, input))
        input = p->from->nodes[input].inputs[0];
    return p->bits[input];
}

static struct dc_weight_quantizer weight_quantizer(const struct pass *p, int i, bool per_channel)
{
    const struct dc_quantize_config *config = p->config;
    const struct dc_layer_bits *own = layer_bits(p, i);
    const bool edge = i == p->first || i == p->last;
    return (struct dc_weight_quantizer){
        .per_channel = per_channel,
        .bits = choose_bits(own ? own->weights : 0, edge ? config->first_last_bits : 0,
                            config->weight_bits),
        .scaling = config->weight_scaling,
        .accumulator_bits = config->accumulator_bits < 32 ? config->accumulator_bits : 0,
        .input_bits = input_bits(p, i),
        .power_of_two = config->power_of_two,
        .tracks = config->tracks,
        .observer = config->weight_observer == DC_OBSERVER_MOVING_AVERAGE ? DC_OBSERVER_MIN_MAX
                                                                          : config->weight_observer,
        .percentile = config->weight_percentile == 0.0 ? DEFAULT_PERCENTILE
                                                       : config->weight_percentile};
}

static enum dc_status add_weighted(struct pass *p, int i, int *added)
{
    const struct dc_node *node = &p->from->nodes[i];
    const int input = p->map[node->inputs[0]];
    const int reader = goes_on(p, i) ? only_reader(p, i) : -1;
    const bool normalized = reader >= 0 && kind_of(p, reader) == NORM;
    const struct dc_weight_quantizer plain = weight_quantizer(p, i, true);
    if (plain.accumulator_bits > 0 &&
        dc_sum_limit(&plain) <
            (double)dc_weight_taps(node->op, node, &p->from->nodes[node->inputs[0]].shape))
        return refuse(p, i, "its kernel has too many taps for so narrow an accumulator");
    if (node->op == &dc_op_conv) {
        if (normalized && p->config->conv_per_tensor && !p->config->folded)
            return refuse(p, i,
                          "batch normalization folds into a scale per channel, so that one scale "
                          "for all cannot stay; use per_channel or fold it");
        const struct dc_quantized_conv_attributes a = {
            *(const struct dc_conv_attributes *)node->attributes,
            weight_quantizer(p, i, !p->config->conv_per_tensor)};
        return dc_graph_add(p->to, node->name, &dc_op_quantized_conv, &a, sizeof a, &input, 1,
                            added, p->error);
    }
    // Batch normalization that stays multiplies scales by channel.
    const struct dc_quantized_dense_attributes a = {
        *(const struct dc_dense_attributes *)node->attributes,
        weight_quantizer(p, i, (normalized && !p->config->folded) || !p->config->dense_per_tensor)};
    return dc_graph_add(p->to, node->name, &dc_op_quantized_dense, &a, sizeof a, &input, 1, added,
                        p->error);
}

// Sigmoid, softmax and tanh have the grids that runtimes demand.
static void fix_range(struct dc_fake_quantize_attributes *a, const struct dc_op *op)
{
    const int function = dc_ifunction_of(op);
    int zero_point = DC_SOFTMAX_ZERO_POINT;
    float scale = 0.0f;
    if (op == &dc_op_softmax) {
        a->bits = 8;
        scale = DC_SOFTMAX_SCALE;
    } else if (function >= 0) {
        scale = dc_ifunction_scale((enum dc_ifunction)function, a->power_of_two, &zero_point);
    }
    if (scale == 0.0f || a->bits != 8)
        return;
    a->observer = DC_OBSERVER_MIN_MAX;
    a->scaling = DC_STEP_OF_RANGE;
    a->symmetric = false;
    a->fixed_low = scale * (float)(-128 - zero_point);
    a->fixed_high = scale * (float)(127 - zero_point);
}

static enum dc_status add_quantizer(struct pass *p, int i, int *value)
{
    const bool source = kind_of(p, i) == SOURCE;
    struct dc_fake_quantize_attributes a = {
        .observer = p->config->observer,
        .constant = p->config->constant == 0.0f ? DEFAULT_CONSTANT : p->config->constant,
        .bits = p->bits[i],
        .percentile = p->config->percentile == 0.0 ? DEFAULT_PERCENTILE : p->config->percentile,
        .scaling = source ? DC_STEP_OF_RANGE : p->config->activation_scaling,
        .clip_decay = p->config->clip_decay,
        .power_of_two = p->config->power_of_two,
        .symmetric = p->config->symmetric,
        .rounding = source ? p->config->input_rounding : DC_CODE_OF_PRODUCT};
    fix_range(&a, p->from->nodes[i].op);
    const char *full = dc_arena_printf(p->to->arena, p->error, "%s.quant", p->from->nodes[i].name);
    if (!full)
        return DC_ERR_MEMORY;
    return dc_graph_add(p->to, full, &dc_op_fake_quantize, &a, sizeof a, value, 1, value, p->error);
}

static enum dc_status visit(struct pass *p, int i)
{
    const enum kind kind = kind_of(p, i);
    DC_TRY(check(p, i));
    if (kind == WEIGHTED)
        DC_TRY(add_weighted(p, i, &p->map[i]));
    else
        DC_TRY(dc_graph_add_copy(p->to, p->from, i, p->map, &p->map[i], p->error));
    if (keeps_quantizer(p, i) || goes_on(p, i) || ends_in_concat(p, i))
        return DC_OK;
    return add_quantizer(p, i, &p->map[i]);
}

static bool keeps_order(const struct dc_node *node, const struct dc_shape *in)
{
    const struct dc_shape after = dc_shape_image(&node->shape), before = dc_shape_image(in);
    return (node->op == &dc_op_flatten || node->op == &dc_op_reshape) &&
           dc_shape_equal(&after, &before);
}

// A network of dropouts and flattenings that change no order has no layer of integers.
static enum dc_status check_computes(const struct pass *p)
{
    int i = p->output;
    while (p->from->nodes[i].input_count == 1) {
        const struct dc_node *node = &p->from->nodes[i];
        const struct dc_shape *in = &p->from->nodes[node->inputs[0]].shape;
        if (node->op != &dc_op_dropout && !keeps_order(node, in))
            return DC_OK;
        i = node->inputs[0];
    }
    return kind_of(p, i) == SOURCE ? refuse(p, p->output, "the network computes nothing") : DC_OK;
}

static enum dc_status choose(struct pass *p)
{
    DC_TRY(check_computes(p));
    p->first = p->last = -1;
    for (int i = 0; i <= p->output; i++) {
        if (!p->needed[i] || kind_of(p, i) != WEIGHTED)
            continue;
        p->first = p->first < 0 ? i : p->first;
        p->last = i;
    }
    set_activation_bits(p);
    return check_layers(p);
}

enum dc_status dc_quantize_graph(struct dc_graph **quantized, int *quantized_output,
                                 const struct dc_graph *graph, int output,
                                 const struct dc_quantize_config *config, struct dc_error *error)
{
    struct pass p = {.from = graph, .config = config, .output = output, .error = error};
    *quantized = NULL;
    p.needed = dc_alloc((size_t)graph->count * sizeof *p.needed, error);
    p.map = dc_alloc((size_t)graph->count * sizeof *p.map, error);
    p.bits = dc_alloc((size_t)graph->count * sizeof *p.bits, error);
    enum dc_status status = p.needed && p.map && p.bits ? dc_graph_create(&p.to, error)
                                                        : DC_ERR_MEMORY;
    if (status == DC_OK)
        p.needed[output] = true;
    for (int i = output; status == DC_OK && i >= 0; i--) {
        for (int k = 0; p.needed[i] && k < graph->nodes[i].input_count; k++)
            p.needed[graph->nodes[i].inputs[k]] = true;
    }
    if (status == DC_OK)
        status = choose(&p);
    for (int i = 0; status == DC_OK && i <= output; i++) {
        if (p.needed[i])
            status = visit(&p, i);
    }
    if (status == DC_OK) {
        *quantized = p.to;
        *quantized_output = p.map[output];
    } else {
        dc_graph_free(p.to);
    }
    free(p.needed);
    free(p.map);
    free(p.bits);
    return status;
}
