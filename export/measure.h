// What a network takes of a board, by a linker: its C with the example for QEMU's boards, which is
// examples/device/main.c with a start-up file and nothing of a libc's.

#ifndef DC_EXPORT_MEASURE_H
#define DC_EXPORT_MEASURE_H

#include "core/context.h"
#include "export/c_size.h"
#include "export/vectors.h"

// *flash: bytes of all sections that are loaded; *ram: of those that are not empty while the
// program runs, without the stack. *measured: false where there is no cross compiler, and nothing
// else is set then. A compiler that refuses the C is DC_ERR_VERIFY.
DC_MUST_USE enum dc_status dc_measure(bool *measured, int64_t *flash, int64_t *ram,
                                      const struct dc_ctx *ctx, const struct dc_imodel *model,
                                      const struct dc_vectors *vectors, enum dc_core core,
                                      enum dc_optimization optimization, bool selftest,
                                      struct dc_error *error);

#endif
