// What each layer's rounding costs: the accuracy of a quantized network with only this layer
// quantized, and with only this layer left float (qat/partial.h), on samples spread evenly over the
// data.

#ifndef DC_RUN_SENSITIVITY_H
#define DC_RUN_SENSITIVITY_H

#include <jansson.h>

#include "run/network.h"
#include "run/run.h"

// How many layers there are to try, each in two evaluations.
int dc_tried_layers(const struct dc_graph *quantized);

// Adds "accuracy_only" and "accuracy_but" to those objects of `layers` whose "layer" names a layer
// that is quantized.
DC_MUST_USE enum dc_status dc_add_sensitivity(json_t *layers, struct dc_run *run,
                                              const struct dc_view *view,
                                              const struct dc_stage_network *network,
                                              const struct dc_source *source, const int64_t *ids,
                                              int64_t samples, struct dc_error *error);

#endif
