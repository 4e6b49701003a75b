// What rounding a network to integers did: to its accuracy, to each sample, to each layer.
//
// Adds to an object:
//   "float", "in_training", "simulated", "int8"   scores of the unrounded network; as training
//                   simulates it, where biases and folded batch normalization are not rounded; of
//                   what ships, simulated in float32 (qat/simulate.h); and of the integer engine
//   "quantization"    {profile, flips, simulation, compared_samples, tried_samples, layers}
//     simulation      {outputs, different, furthest}: outputs that the simulation of what ships
//                     and the engine give other codes, and by how many at most; none under profile
//                     litert-xnnpack
//     flips           of classifiers: {lost, won, p, lost_samples, won_samples}: samples that only
//                     the float network, or only the integers, get right; p of McNemar's test
//                     (train/mcnemar.h)
//     layers          worst first: {layer, op, sqnr, sqnr_alone, clipped, saturated, scale,
//                     zero_point, multipliers, shifts, largest_sum, sum_range}, qat/compare.h's
//                     figures over samples spread evenly; pairs are [least, most]; sqnr null:
//                     nothing differs
//                     accuracy_only, accuracy_but: over tried_samples, 1,000 at most, this layer
//                     alone quantized, this layer alone float (run/sensitivity.h); oscillating,
//                     frozen: shares of weights, where training followed them (qat/oscillation.h)
// Sample ids are those of the data set.

#ifndef DC_RUN_QUANTIZATION_H
#define DC_RUN_QUANTIZATION_H

#include <jansson.h>

#include "core/schema.h"
#include "run/network.h"
#include "run/run.h"

// network: an opened quantized stage; count: of the source's first samples, which have labels.
// most_macs: what evaluations with each layer alone quantized, and alone float, may cost in
// multiplications, two evaluations a layer; where 100 samples are too many for it, there are none.
DC_MUST_USE enum dc_status dc_quantization_report(json_t *object, struct dc_run *run,
                                                  const struct dc_stage *stage,
                                                  const struct dc_stage_network *network,
                                                  const char *profile,
                                                  const struct dc_source *source, int64_t count,
                                                  double most_macs, struct dc_error *error);

void dc_quantization_text(struct dc_text_buffer *out, const json_t *report);

#endif
