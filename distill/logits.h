// Logits from a file: what some teacher said of every training sample, once. Row i belongs to
// sample i of the training source, whatever augmentation makes of it.

#ifndef DC_DISTILL_LOGITS_H
#define DC_DISTILL_LOGITS_H

#include "core/arena.h"
#include "core/tensor.h"

struct dc_logits {
    int64_t samples, classes;
    float *values;  // [samples, classes], in the arena
    uint64_t hash;  // of the values
};

// HDF5 with a dataset "logits" (what `decant predict` writes), or NPY (version 1 or 2, little
// endian float16, float32 or float64, C order), told by the first bytes. Not finite values, and
// other shapes than [samples, classes], are DC_ERR_DATA.
DC_MUST_USE enum dc_status dc_logits_read(struct dc_logits *logits, const char *path,
                                          struct dc_arena *arena, struct dc_error *error);

#endif
