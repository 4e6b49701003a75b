// Functions of one value as the parts that a runtime has of them.
//
// TFLite has no SiLU: it is a sigmoid and a product there. Split in the float network, so that
// training, the engine and every file round where the runtime does.

#ifndef DC_QAT_SPLIT_H
#define DC_QAT_SPLIT_H

#include "core/graph.h"
#include "qat/profile.h"

// Whether the profile's runtime has parts of a function that the graph holds.
bool dc_is_split(const struct dc_graph *graph, const struct dc_profile *profile);

// The same network with those functions in parts; the last part has the function's name. map:
// [graph->count], filled with the nodes' places in the new graph, which is the caller's.
DC_MUST_USE enum dc_status dc_split_functions(struct dc_graph **split, int *map,
                                              const struct dc_graph *graph,
                                              const struct dc_profile *profile,
                                              struct dc_error *error);

#endif
