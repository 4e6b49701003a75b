// Weights of a model from a safetensors file: by the names of its layers, in PyTorch's layout.

#ifndef DC_RUN_SAFETENSORS_H
#define DC_RUN_SAFETENSORS_H

#include "core/graph.h"
#include "core/params.h"

bool dc_is_safetensors(const char *path);  // told by the name's end

// Each layer LAYER of the graph takes its parameters, found in `params` by name, from tensors of
// the same layer there: weight and bias, of a batch normalization weight, bias, running_mean and
// running_var. names: a YAML file with lines LAYER: THEIRS for those that are called otherwise
// there (a name stands for all layers that begin with it and a dot), or NULL. Convolutions are
// turned from [out, in, height, width], dense layers from [out, in], whose inputs are an image's
// channels by channel where a flattening is before them. What the file lacks stays as it is;
// taken: [params->count], set where the file had it. DC_ERR_CONFIG: a shape that does not fit,
// nothing that fits, a line of names whose layer the model or the file does not have.
DC_MUST_USE enum dc_status dc_safetensors_take(struct dc_params *params,
                                               const struct dc_graph *graph, const char *path,
                                               const char *names, bool *taken,
                                               struct dc_error *error);

#endif
