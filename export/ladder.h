// The ladder: an exported network on one rung after the other, against the integer engine.
//
// What is compiled is the C made anew from the model, in a temporary folder of ours; nothing that
// came with a bundle is run. On each rung the network is built twice: as it ships, whose outputs
// are compared byte for byte and whose instructions QEMU counts; and with its trace, by which every
// layer's codes are compared (CRC-32), so that the first layer that differs has a name.
// Of a runtime outputs alone are compared; of logic the layers' codes, for vectors alone.

#ifndef DC_EXPORT_LADDER_H
#define DC_EXPORT_LADDER_H

#include <jansson.h>

#include "export/rungs.h"
#include "export/vectors.h"

enum dc_rung_outcome {
    DC_RUNG_NOT_ASKED,
    DC_RUNG_NOT_RUN,    // a tool is missing, or the emulated board too small
    DC_RUNG_EQUAL,      // every byte, every layer, and the embedded self-test passes
    DC_RUNG_COUNTED,    // a runtime of another arithmetic than the model's differs, as it may
    DC_RUNG_DIFFERENT,  // from the engine
    DC_RUNG_FAILED      // the compiler refused the C, or the program ended before its answers
};

struct dc_rung_result {
    enum dc_rung_outcome outcome;
    int64_t samples, bytes, different;  // bytes of outputs; of logic, of all layers replayed
    uint64_t ticks;                     // of examples/device, of all samples
    double instructions;                // of one inference, the mean; 0: not counted
    int first_layer;                    // that differs from the engine; -1: none
    char layer[128];                    // its name, or ""
    char why[512];  // a sentence of every outcome but DC_RUNG_EQUAL, of logic of that too
};

struct dc_ladder;
// vectors are embedded in the C, go before the samples, and outlive the ladder; inputs: [samples,
// input codes].
DC_MUST_USE enum dc_status dc_ladder_create(struct dc_ladder **ladder, const struct dc_ctx *ctx,
                                            const struct dc_imodel *model,
                                            const struct dc_vectors *vectors, const int8_t *inputs,
                                            int64_t samples, struct dc_error *error);
void dc_ladder_free(struct dc_ladder *ladder);  // NULL is allowed; removes the folder

// A difference is no error here: *result says it. A stop or a full disk is. flags: of the compiler
// beside the rung's, as "-Os"; or "".
DC_MUST_USE enum dc_status dc_ladder_run(struct dc_rung_result *result, struct dc_ladder *ladder,
                                         enum dc_rung rung, const char *flags,
                                         struct dc_error *error);

// The folder that holds network.h and network.c, which the next run compiles.
const char *dc__ladder_folder(const struct dc_ladder *ladder);

// Runs those wanted, in order. What they found: DC_ERR_VERIFY where one differs or failed, else
// DC_ERR_IO where one was not run.
DC_MUST_USE enum dc_status dc_ladder_climb(struct dc_rung_result results[DC_RUNG_COUNT],
                                           struct dc_ladder *ladder,
                                           const bool wanted[DC_RUNG_COUNT],
                                           struct dc_error *error);

#endif
