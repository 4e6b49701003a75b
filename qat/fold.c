// Owns exact changes of weights: batch normalization moves into the layer before it, and factors of
// channels move from a layer to the next. Graphs stay as they are.

#include "qat/fold.h"

#include <math.h>

#include "core/ops/ops.h"
#include "qat/fake_quantize.h"

struct layer {
    float *weights, *bias;  // bias: of the layer or NULL
    float *norm[4];         // gamma, beta, mean, variance
    double epsilon;
    int64_t count, channels;
};

static float *values(const struct dc_params *params, const struct dc_node *node, int which)
{
    return params->value + params->slices[node->params[which]].offset;
}

static bool has_bias(const struct dc_node *node)
{
    const bool conv = node->op == &dc_op_conv || node->op == &dc_op_quantized_conv;
    return conv ? ((const struct dc_conv_attributes *)node->attributes)->bias
                : ((const struct dc_dense_attributes *)node->attributes)->bias;
}

static bool is_weighted(const struct dc_node *node)
{
    int scale;
    return node->op == &dc_op_conv || node->op == &dc_op_dense ||
           dc_node_weight_quantizer(&scale, node) != NULL;
}

static struct layer layer_of(const struct dc_graph *graph, const struct dc_params *params, int i,
                             int norm)
{
    const struct dc_node *node = &graph->nodes[i];
    const struct dc_slice *slice = &params->slices[node->params[0]];
    const struct dc_batch_norm_attributes *a = graph->nodes[norm].attributes;
    struct layer l = {.weights = values(params, node, 0),
                      .bias = has_bias(node) ? values(params, node, 1) : NULL,
                      .epsilon = (double)a->epsilon,
                      .count = slice->count,
                      .channels = slice->shape.dims[slice->shape.rank - 1]};
    for (int k = 0; k < 4; k++)
        l.norm[k] = values(params, &graph->nodes[norm], k);
    return l;
}

static void fold(const struct layer *l)
{
    for (int64_t c = 0; c < l->channels; c++) {
        const double factor = (double)l->norm[DC_GAMMA][c] /
                              sqrt((double)l->norm[DC_VARIANCE][c] + l->epsilon);
        const double bias = l->bias ? (double)l->bias[c] : 0.0;
        for (int64_t k = c; k < l->count; k += l->channels)
            l->weights[k] = (float)((double)l->weights[k] * factor);
        if (l->bias)
            l->bias[c] = 0.0f;
        l->norm[DC_BETA][c] = (float)((double)l->norm[DC_BETA][c] +
                                      (bias - (double)l->norm[DC_MEAN][c]) * factor);
        l->norm[DC_GAMMA][c] = 1.0f;
        l->norm[DC_MEAN][c] = 0.0f;
        l->norm[DC_VARIANCE][c] = (float)(1.0 - l->epsilon);
    }
}

void dc_fold_batch_norms(int *folded, const struct dc_graph *graph, struct dc_params *params)
{
    *folded = 0;
    for (int i = 0; i < graph->count; i++) {
        const int norm = is_weighted(&graph->nodes[i]) ? dc_graph_layer(graph, NULL, i, true).norm
                                                       : -1;
        if (norm < 0)
            continue;
        const struct layer l = layer_of(graph, params, i, norm);
        fold(&l);
        params->slices[graph->nodes[norm].params[DC_GAMMA]].frozen = true;
        ++*folded;
    }
}

float *dc__layer_bias(int *end, const struct dc_graph *graph, const struct dc_params *params, int i)
{
    const int norm = is_weighted(&graph->nodes[i]) ? dc_graph_layer(graph, NULL, i, true).norm : -1;
    *end = norm < 0 ? i : norm;
    if (norm >= 0)
        return values(params, &graph->nodes[norm], DC_BETA);
    return has_bias(&graph->nodes[i]) ? values(params, &graph->nodes[i], 1) : NULL;
}

// The layer that alone reads layer i through what factors of channels pass, or -1.
static int next_layer(const struct dc_graph *graph, int i)
{
    static const struct dc_op *const passes[] = {
        &dc_op_relu,    &dc_op_max_pool, &dc_op_average_pool,  &dc_op_global_average_pool,
        &dc_op_flatten, &dc_op_dropout,  &dc_op_fake_quantize, &dc_op_batch_norm};
    for (int reader; (reader = dc_graph_only_reader(graph, NULL, i)) >= 0; i = reader) {
        bool through = false;
        for (size_t k = 0; k < sizeof passes / sizeof passes[0]; k++)
            through = through || graph->nodes[reader].op == passes[k];
        if (!through)
            return is_weighted(&graph->nodes[reader]) ? reader : -1;
    }
    return -1;
}

// A kernel [taps, filters] and which input channel its weight k reads.
struct reading {
    float *weights;
    int64_t count, filters, channels;
    int64_t multiplier;  // of a depthwise convolution: filters a channel; else 0
};

static bool reads_channels(struct reading *r, const struct dc_graph *graph,
                           const struct dc_params *params, int second, int64_t channels)
{
    const struct dc_node *node = &graph->nodes[second];
    const struct dc_slice *slice = &params->slices[node->params[0]];
    const bool conv = node->op == &dc_op_conv || node->op == &dc_op_quantized_conv;
    const int groups = conv ? ((const struct dc_conv_attributes *)node->attributes)->groups : 1;
    const int64_t filters = slice->shape.dims[slice->shape.rank - 1];
    *r = (struct reading){values(params, node, 0), slice->count, filters, channels,
                          groups > 1 ? filters / channels : 0};
    return groups > 1 ? groups == channels : slice->count / filters % channels == 0;
}

static int64_t channel_read(const struct reading *r, int64_t k)
{
    return r->multiplier ? k % r->filters / r->multiplier : k / r->filters % r->channels;
}

static double largest(const float *w, int64_t count, int64_t channels, int64_t c)
{
    double most = 0.0;
    for (int64_t k = c; k < count; k += channels)
        most = fmax(most, fabs((double)w[k]));
    return most;
}

static void equalize(const struct reading *second, const struct dc_graph *graph,
                     const struct dc_params *params, int i)
{
    int end;
    const struct dc_node *node = &graph->nodes[i];
    float *w = values(params, node, 0), *bias = dc__layer_bias(&end, graph, params, i);
    const int64_t count = params->slices[node->params[0]].count, channels = second->channels;
    for (int64_t c = 0; c < channels; c++) {
        double reads = 0.0;
        for (int64_t k = 0; k < second->count; k++)
            if (channel_read(second, k) == c)
                reads = fmax(reads, fabs((double)second->weights[k]));
        const double makes = largest(w, count, channels, c), s = sqrt(makes / reads);
        if (!(makes > 0.0) || !(reads > 0.0) || !isfinite(s))
            continue;
        for (int64_t k = c; k < count; k += channels)
            w[k] = (float)((double)w[k] / s);
        if (bias)
            bias[c] = (float)((double)bias[c] / s);
        for (int64_t k = 0; k < second->count; k++)
            if (channel_read(second, k) == c)
                second->weights[k] = (float)((double)second->weights[k] * s);
    }
}

void dc_equalize(int *pairs, const struct dc_graph *graph, struct dc_params *params, int rounds)
{
    *pairs = 0;
    for (int round = 0; round < rounds; round++) {
        *pairs = 0;
        for (int i = 0; i < graph->count; i++) {
            struct reading second;
            const struct dc_shape *shape = &graph->nodes[i].shape;
            const int next = is_weighted(&graph->nodes[i]) ? next_layer(graph, i) : -1;
            if (next < 0 ||
                !reads_channels(&second, graph, params, next, shape->dims[shape->rank - 1]))
                continue;
            equalize(&second, graph, params, i);
            ++*pairs;
        }
    }
}
