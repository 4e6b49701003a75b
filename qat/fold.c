// Owns exact changes of weights: batch normalization moves into the layer before it. Graphs stay
// as they are.

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
        int reader = -1;
        if (!is_weighted(&graph->nodes[i]) || dc_graph_readers(graph, i, &reader) != 1 ||
            graph->nodes[reader].op != &dc_op_batch_norm)
            continue;
        const struct layer l = layer_of(graph, params, i, reader);
        fold(&l);
        params->slices[graph->nodes[reader].params[DC_GAMMA]].frozen = true;
        ++*folded;
    }
}
