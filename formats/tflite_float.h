// A float network as a TFLite file.
//
// Values lie as in memory (TFLite's images are NHWC too), the batch is 1. Batch normalization is
// folded where dc_fold_for_inference does, else it is a multiplication and an addition.

#ifndef DC_FORMATS_TFLITE_FLOAT_H
#define DC_FORMATS_TFLITE_FLOAT_H

#include "core/graph.h"
#include "core/params.h"

// The network from node `input` to node `output` in inference. note: what the file says of its
// origin and of how inputs were normalized. The file appears whole. DC_ERR_DATA names all nodes
// whose op is not written at once, or the one whose attributes TFLite cannot say.
DC_MUST_USE enum dc_status dc_tflite_write_float(const char *path, const struct dc_graph *graph,
                                                 const struct dc_params *params, int input,
                                                 int output, const char *name, const char *note,
                                                 struct dc_error *error);

#endif
