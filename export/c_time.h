// How many instructions an inference of the exported C takes, before it is compiled: by what each
// kernel was measured to take on each core under QEMU (code_times.inc.h, made by
// tests/interop/measure_time). Instructions, not cycles: what a core waits for its memory is not
// in them.

#ifndef DC_EXPORT_C_TIME_H
#define DC_EXPORT_C_TIME_H

#include "export/c_size.h"

// instructions: [layers], that of the input 0. DC_ERR_DATA where nobody measured this.
DC_MUST_USE enum dc_status dc_c_instructions(double *instructions, const struct dc_imodel *model,
                                             enum dc_core core, enum dc_optimization optimization,
                                             struct dc_error *error);

// Internal, and of measure_time: a layer takes the sum of its features by the coefficients of its
// column.
enum dc__time_feature {
    DC__READS,     // products, with those that vectors compute in vain; of pools and means, codes
                   // that are added or compared
    DC__OUTPUTS,   // codes, likewise
    DC__GATHERED,  // codes of the columns that a convolution multiplies
    DC__UNEVEN,    // those of them in rows of the kernel that are no whole words; of vectors the
                   // reads in rows of weights that are no whole vectors
    DC__ROWS,      // of the kernel, over all columns
    DC__TIME_FEATURES
};
// A column for each op, but that convolutions of one tap are no others, nor those whose weights are
// packed.
enum dc__time_column {
    DC__POINTWISE = DC_IOP_COUNT,
    DC__PACKED_CONV2D,
    DC__PACKED_POINTWISE,
    DC__PACKED_DEPTHWISE,
    DC__PACKED_FULLY_CONNECTED,
    DC__TIME_COLUMNS
};
int dc__time_column(const struct dc_imodel *model, int layer);
void dc__time_features(double features[DC__TIME_FEATURES], const struct dc_imodel *model, int layer,
                       enum dc_core core);

#endif
