// The rungs iverilog and verilator: a network's memory images (export/memory.h) through the units
// of export/rtl, layer by layer, against the engine's codes. Internal to export/.

#ifndef DC_EXPORT_RTL_RUNGS_H
#define DC_EXPORT_RTL_RUNGS_H

#include "export/ladder.h"

// A folder of ours, *work, with the images, the vectors and the testbench. DC_ERR_CONFIG where no
// layer with weights is scaled by integers. The caller discards *work, where it is not NULL.
DC_MUST_USE enum dc_status dc__rtl_prepare(char **work, const struct dc_imodel *model,
                                           const struct dc_vectors *vectors, struct dc_arena *arena,
                                           struct dc_error *error);
// Compiles and runs the testbench of the folder. Where the simulator is slow and the network large,
// one layer of each kind is replayed, and one vector; *result says what was.
DC_MUST_USE enum dc_status dc__rtl_simulate(struct dc_rung_result *result, const struct dc_ctx *ctx,
                                            enum dc_rung rung, const struct dc_imodel *model,
                                            const struct dc_vectors *vectors, const char *work,
                                            struct dc_arena *arena, struct dc_error *error);
// What a simulator has put into the folder goes with it; what a killed process left, with the next
// dc__rtl_prepare.
void dc__rtl_discard(const char *work);

#endif
