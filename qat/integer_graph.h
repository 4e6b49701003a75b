// An integer model as a network of float ops between quantize and dequantize (core/network.h): what
// files are written from, and what is simulated. The engine has no part in it.
//
// Layer i is stored by the node quantize of its name (of the input: NAME/codes). Values are
// [batch, height, width, channels]; input, dense layers, means, reshapes of one position, and sums,
// functions and concatenations of such are [batch, channels]. A layer that reads the other rank
// reads a reshape with a quantize of its own.

#ifndef DC_QAT_INTEGER_GRAPH_H
#define DC_QAT_INTEGER_GRAPH_H

#include "core/network.h"
#include "qat/imodel.h"

// *stored: [model->count] nodes, where layer i is stored; in the graph's arena; may be NULL. The
// caller frees the network; the model must outlive it. Parameters' values are the reals that their
// codes stand for.
DC_MUST_USE enum dc_status dc_integer_graph(struct dc_network *network, const int **stored,
                                            const struct dc_imodel *model, struct dc_error *error);

#endif
