// A network of float ops between quantize and dequantize as an integer model: the way back of
// integer_graph.h, for networks that came in files (formats/tflite_read.h).
//
// What stands between a value that is read and one that is stored must be one op that integers
// have; what has none is refused by its name, and so is what a profile's runtime computes by
// another kernel than the model says.

#ifndef DC_QAT_FROM_GRAPH_H
#define DC_QAT_FROM_GRAPH_H

#include "core/graph.h"
#include "qat/imodel.h"

struct dc_codes;  // core/network.h

// codes: one for each parameter of the graph. A layer has the name of the op that computes it. The
// caller frees with dc_imodel_free.
DC_MUST_USE enum dc_status dc_imodel_from_graph(struct dc_imodel **model,
                                                const struct dc_graph *graph,
                                                const struct dc_codes *codes, int output,
                                                const char *name, const char *provenance,
                                                const struct dc_profile *profile,
                                                struct dc_error *error);

#endif
