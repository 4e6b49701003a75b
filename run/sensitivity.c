// Owns the evaluations with one layer quantized, and with one layer float.

#include "run/sensitivity.h"

#include <stdlib.h>
#include <string.h>

#include "qat/fake_quantize.h"
#include "qat/partial.h"
#include "run/run_internal.h"

static enum dc_status accuracy_of(double *accuracy, struct dc_run *run, const struct dc_view *view,
                                  const struct dc_predictor *predictor,
                                  const struct dc_source *source, const int64_t *ids,
                                  int64_t samples, struct dc_error *error)
{
    struct dc_scores *scores = NULL;
    DC_TRY(dc_scores_create(&scores, predictor->classes, run->arena, error));
    DC_TRY(dc__evaluate(scores, NULL, view, predictor, source, ids, samples, error));
    *accuracy = dc_accuracy(scores);
    return DC_OK;
}

static json_t *find(const json_t *layers, const char *name)
{
    size_t i;
    json_t *layer;
    json_array_foreach(layers, i, layer)
    {
        if (strcmp(json_string_value(json_object_get(layer, "layer")), name) == 0)
            return layer;
    }
    return NULL;
}

// One layer, one of the two ways.
static enum dc_status try_layer(json_t *entry, struct dc_run *run, const struct dc_view *view,
                                const struct dc_stage_network *network, int layer, bool only,
                                const struct dc_source *source, const int64_t *ids, int64_t samples,
                                struct dc_error *error)
{
    struct dc_graph *graph = NULL;
    struct dc_params *params = NULL;
    struct dc_float_predictor *predictor = NULL;
    int output, copied;
    double accuracy = 0.0;
    DC_TRY(
        dc_quantize_partly(&graph, &output, network->graph, network->output, layer, only, error));
    const int input = dc_graph_find(graph, network->graph->nodes[network->image].name);
    enum dc_status status = dc_params_create(&params, graph, 0, false, error);
    if (status == DC_OK)
        status = dc_params_copy_by_name(params, network->params, &copied, error);
    if (status == DC_OK)
        status = dc_float_predictor_create(&predictor, run->ctx, graph, params, input, output,
                                           dc__evaluation_rows(dc_graph_macs(graph)), error);
    if (status == DC_OK)
        status = accuracy_of(&accuracy, run, view, &predictor->predictor, source, ids, samples,
                             error);
    if (status == DC_OK)
        json_object_set_new(entry, only ? "accuracy_only" : "accuracy_but", json_real(accuracy));
    dc_float_predictor_free(predictor);
    dc_params_free(params);
    dc_graph_free(graph);
    return status;
}

int dc_tried_layers(const struct dc_graph *quantized)
{
    int count = 0;
    for (int i = 0; i < quantized->count; i++)
        count += quantized->nodes[i].op == &dc_op_fake_quantize;
    return count;
}

enum dc_status dc_add_sensitivity(json_t *layers, struct dc_run *run, const struct dc_view *view,
                                  const struct dc_stage_network *network,
                                  const struct dc_source *source, const int64_t *ids,
                                  int64_t samples, struct dc_error *error)
{
    const struct dc_graph *graph = network->graph;
    int *starts = dc_alloc((size_t)graph->count * sizeof *starts, error);
    enum dc_status status = starts ? DC_OK : DC_ERR_MEMORY;
    if (status == DC_OK)
        dc_find_layers(starts, graph);
    for (int i = 0; status == DC_OK && i < graph->count; i++) {
        json_t *entry = starts[i] == i && dc_layer_is_quantized(graph, starts, i)
                            ? find(layers, graph->nodes[i].name)
                            : NULL;
        for (int only = 0; entry && status == DC_OK && only < 2; only++)
            status = try_layer(entry, run, view, network, i, only, source, ids, samples, error);
    }
    free(starts);
    return status;
}
