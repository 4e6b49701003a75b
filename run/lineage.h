// What a network was made of, by hashes: from the data over teachers to the weights that became
// integers.
//
//   {"hash": "FNV-1a, 64 bits", "train_data": H,
//    "stages": [{"name": N, "settings": H, "weights": H, "starts_from": N, "teachers": [N, ...]},
//               ...],
//    "files": [{"name": N, "hash": H}, ...]}
//
// settings: of all that shapes the stage's result (dc_stage_hash); weights: of the name, with its
// zero byte, and the float32 values of each parameter, in the network's order. Stages come in the
// order of the experiment; starts_from is "" where weights were drawn. files: what is no stage, as
// logits and weights of other programs. These hashes are against mistakes: against forgery there is
// a package's signature.

#ifndef DC_RUN_LINEAGE_H
#define DC_RUN_LINEAGE_H

#include "run/run.h"

// *text: JSON, in the run's arena. `from` and what it stands on are done.
DC_MUST_USE enum dc_status dc_run_lineage(const char **text, struct dc_run *run,
                                          const struct dc_stage *from, struct dc_error *error);

#endif
