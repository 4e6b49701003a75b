// A finished network asked about samples that are not a run's data: photographs, a caller's array.
//
// What it must know of the samples comes from the run's record or from the bundle; data is read
// only of runs whose samples are no bytes, or whose record is older.

#ifndef DC_RUN_ASKED_H
#define DC_RUN_ASKED_H

#include "core/preprocessing.h"
#include "run/run_internal.h"

struct dc_asked {
    struct dc_preprocessing record;  // names lie in the arena
    struct dc_shape sample;          // as the data has them, and dc_asked_values takes them
    enum dc_dtype dtype;             // DC_U8, or DC_F32
    const char *stage;               // or the bundle
    const char *arithmetic;          // "float32" or the profile's name
    bool reconstructs;               // its outputs are no classes
    struct dc__any_predictor predictor;
};

// The integers of a bundle. One without preprocessing takes floats that are normalized already.
DC_MUST_USE enum dc_status dc_asked_bundle(struct dc_asked *asked, const struct dc_ctx *ctx,
                                           const char *bundle, struct dc_arena *arena,
                                           struct dc_error *error);
// A stage of a run that is done (NULL: the last with a network), under a profile (NULL: the
// experiment's).
DC_MUST_USE enum dc_status dc_asked_stage(struct dc_asked *asked, struct dc_run *run,
                                          const char *stage, const char *profile,
                                          struct dc_error *error);
void dc_asked_close(struct dc_asked *asked);

// outputs [count, predictor.predictor->classes]: logits, of integers codes times their scale.
// values [count, sample] of `dtype`, row-major, not normalized.
DC_MUST_USE enum dc_status dc_asked_values(float *outputs, const struct dc_asked *asked,
                                           const void *values, int64_t count,
                                           const volatile sig_atomic_t *stop,
                                           struct dc_error *error);

// Rows of outputs become probabilities, in place: of classes by softmax in double, unless they are
// already; of tags each by itself. Values stay as they are.
void dc_asked_probabilities(float *rows, const struct dc_asked *asked, int64_t count);
// The same of logits [count, classes].
void dc_logits_to_probabilities(float *rows, enum dc_label_kind labels, int classes, int64_t count);

#endif
