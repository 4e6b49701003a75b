// Post-training calibration: ranges without training.
//
// Run the plan of a quantized graph in inference mode over some batches with
// dc_calibration_step(): quantizers pass values through, observers look, batch normalization uses
// its running statistics, dropout is off. The loop over batches is the caller's. Then check, then
// lower (lower.h) or evaluate with an ordinary step.

#ifndef DC_QAT_CALIBRATE_H
#define DC_QAT_CALIBRATE_H

#include "core/graph.h"
#include "core/params.h"

struct dc_step dc_calibration_step(void);

// Forget all ranges.
void dc_observers_reset(struct dc_params *params);

// Every quantizer of the graph has a finite range, else DC_ERR_NUMERIC naming it.
DC_MUST_USE enum dc_status dc_observers_check(const struct dc_graph *graph,
                                              const struct dc_params *params,
                                              struct dc_error *error);

#endif
