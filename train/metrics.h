// metrics.jsonl: one JSON object an epoch, appended. A checkpoint knows the length that belongs to
// it; resume truncates to that length, so that no epoch is there twice.

#ifndef DC_TRAIN_METRICS_H
#define DC_TRAIN_METRICS_H

#include "train/checkpoint.h"

// counters: of the finished epoch. *bytes: the length of the file afterwards.
DC_MUST_USE enum dc_status dc_metrics_append(const char *path, const struct dc_train_job *job,
                                             const struct dc_counters *counters, int epoch,
                                             double learning_rate, int64_t *bytes,
                                             struct dc_error *error);
DC_MUST_USE enum dc_status dc_metrics_truncate(const char *path, int64_t bytes,
                                               struct dc_error *error);

#endif
