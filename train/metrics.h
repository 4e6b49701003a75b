// metrics.jsonl: one JSON object an epoch, appended; all stages of a run share the file. A line is
// on disk before the checkpoint that counts its epoch; resume takes out what a stage wrote beyond
// its checkpoint, so that no epoch is there twice.
//
// Of every loss term: "terms", its unweighted value, the mean over samples; "weights"; and
// "gradient_norms", the L2 norm of the unweighted term's gradient by the tensors that the loss node
// reads, the mean over the epoch's batches.

#ifndef DC_TRAIN_METRICS_H
#define DC_TRAIN_METRICS_H

#include "train/checkpoint.h"

// counters: of the finished epoch.
DC_MUST_USE enum dc_status dc_metrics_append(const char *path, const struct dc_train_job *job,
                                             const struct dc_counters *counters, int epoch,
                                             double learning_rate, struct dc_error *error);

// Keeps other stages' lines and this one's up to `epochs`. *lines: how many of its own were there.
DC_MUST_USE enum dc_status dc_metrics_resume(const char *path, const char *stage, int64_t epochs,
                                             int64_t *lines, struct dc_arena *arena,
                                             struct dc_error *error);

// metrics.csv from metrics.jsonl: a row a line, a column for each key in the order they come up,
// "terms.kd" for a key within one; a field that a line lacks is empty. It is written whole, so no
// row is ever torn. No metrics.jsonl: nothing is written.
DC_MUST_USE enum dc_status dc_metrics_write_csv(const char *csv, const char *jsonl,
                                                struct dc_error *error);

#endif
