// Checkpoints: every slice of every trained network and the counters of the loop, in one HDF5 file.
//
// A file is written whole. It carries a format version and the hash of the configuration that made
// it, and ends in a seal over all its bytes; another version or configuration is refused with both
// values, and a file that was changed since is refused too.

#ifndef DC_TRAIN_CHECKPOINT_H
#define DC_TRAIN_CHECKPOINT_H

#include "train/train.h"

enum { DC_REALS = 5 + 2 * DC_TERMS_MAX };

// What the loop must know to go on where it was.
struct dc_counters {
    int64_t step;        // optimizer steps done
    int64_t epoch;       // the epoch the next batch belongs to
    int64_t batch;       // batches of that epoch done
    int64_t best_epoch;  // -1: none
    int64_t stale;       // epochs since the best
    union {
        struct {
            double best_accuracy, last_accuracy, seconds;
            double samples, correct;         // of the running epoch
            double term_sums[DC_TERMS_MAX];  // of the running epoch: value times rows
            double norm_sums[DC_TERMS_MAX];  // and norm of its gradient, over batches
        };
        double reals[DC_REALS];  // the same as an array, for files
    };
};

DC_MUST_USE enum dc_status dc_checkpoint_write(const char *path, const struct dc_train_job *job,
                                               const struct dc_counters *counters,
                                               struct dc_error *error);
DC_MUST_USE enum dc_status dc_checkpoint_read(const char *path, const struct dc_train_job *job,
                                              struct dc_counters *counters, struct dc_error *error);

// A network alone, as a stage's result: values without optimizer state.
DC_MUST_USE enum dc_status dc_weights_write(const char *path, const struct dc_params *params,
                                            struct dc_error *error);
DC_MUST_USE enum dc_status dc_weights_read(const char *path, struct dc_params *params,
                                           struct dc_error *error);
// Slices that the file has by name; the others keep their values. taken: [params->count], set where
// one was there. A slice of another shape is an error.
DC_MUST_USE enum dc_status dc_weights_read_matching(const char *path, struct dc_params *params,
                                                    bool *taken, struct dc_error *error);

#endif
