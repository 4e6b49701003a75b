// A network as a TFLite file.
//
// Values lie as in memory (TFLite's images are NHWC too), the batch is 1. Of a quantized network
// (core/network.h) every value is INT8, weights too (INT4 where packed), biases INT32; the file
// takes and gives int8. Padding that is not TensorFlow's SAME is a PAD (of maxima: PADV2 of the
// least value) before the operator. TFLite derives its multipliers from the scales and has its own
// arithmetic on every runtime.

#ifndef DC_FORMATS_TFLITE_WRITE_H
#define DC_FORMATS_TFLITE_WRITE_H

#include "core/network.h"

// places: [graph->count], where the value that node i stores lies in an arena, a multiple of 16, or
// -1; NULL: the runtime chooses. note: where the network comes from; normalization: how inputs were
// normalized, kept as metadata of that name, NULL: none. The file appears whole. DC_ERR_DATA names
// all nodes whose op is not written at once, or the one that TFLite cannot say: attributes, clamps
// that are no fused activation, values of fewer than 8 bits.
DC_MUST_USE enum dc_status dc_tflite_write_network(const char *path,
                                                   const struct dc_network *network,
                                                   const int64_t *places, const char *name,
                                                   const char *note, const char *normalization,
                                                   struct dc_error *error);

// The float network from node `input` to node `output`, in the form of dc_network_fold; batch
// normalization that is left is a multiplication and an addition. note: as normalization, too.
DC_MUST_USE enum dc_status dc_tflite_write_float(const char *path, const struct dc_graph *graph,
                                                 const struct dc_params *params, int input,
                                                 int output, const char *name, const char *note,
                                                 struct dc_error *error);

// Whether TFLite has an operator that this op is written as.
bool dc_tflite_has(const struct dc_op *op);

#endif
