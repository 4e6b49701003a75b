// Verification: does the bundle on disk compute what the engine computes?
//
// Reads the bundle back, replays its vectors, makes its C pair anew from its model, compiles that
// with the system's compiler, runs the self-test and then every given sample through the compiled
// program, and compares every output byte with the engine's. Nothing that lies in the bundle is
// executed: its own C must equal the C made anew in every byte, or is reported as not checked where
// another version wrote it.

#ifndef DC_EXPORT_VERIFY_H
#define DC_EXPORT_VERIFY_H

#include "export/ladder.h"

enum { DC_VERIFY_LINE = 512 };

struct dc_verify_report {
    int64_t samples, bytes;  // compared between the engine and the compiled program
    int64_t vectors;         // replayed, every layer
    int64_t different;       // bytes
    double seconds;
    char compiler[DC_VERIFY_LINE];  // the command line
    char other_writer[64];  // version that wrote the bundle, whose C was not compared; "": this one
    bool climbed;           // the ladder's results are there; dc_verify_bundle leaves them empty
    struct dc_rung_result rungs[DC_RUNG_COUNT];
};

// inputs: [samples, input codes]. compiler: words split at spaces; NULL: $CC, else cc.
// A difference of the bundle's C is DC_ERR_VERIFY and names the first line. A difference of the
// outputs is DC_ERR_VERIFY and names sample, output, both
// values and how many bytes differ; the report is filled as far as it got. A compiler that is not
// there or refuses the code is DC_ERR_VERIFY with its own words on stderr.
DC_MUST_USE enum dc_status dc_verify_bundle(const struct dc_ctx *ctx, const char *directory,
                                            const int8_t *inputs, int64_t samples,
                                            const char *compiler, struct dc_verify_report *report,
                                            struct dc_error *error);

#endif
