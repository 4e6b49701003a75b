// Filling a soft-target cache, and proving it.

#ifndef DC_DISTILL_TEACH_H
#define DC_DISTILL_TEACH_H

#include "distill/cache.h"
#include "distill/teacher.h"

struct dc_teach_progress {
    int64_t epoch, epochs;  // of the cache's folders
    int64_t done, total;    // samples times views, of all that was asked for
    double seconds, seconds_left;
};

struct dc_teach_job {
    struct dc_cache *cache;  // its spec says what is computed
    const struct dc_ctx *ctx;
    const struct dc_teacher *teacher;
    int64_t batch;  // samples the teacher sees at once; shapes no bit
    int loader_threads;
    int64_t first_epoch, epochs;  // folders [first_epoch, first_epoch + epochs)
    bool repair;                  // shards that cannot be read are made anew, else an error
    void (*progress)(void *user, const struct dc_teach_progress *progress);  // or NULL
    void *user;
};

struct dc_teach_report {
    int64_t made, found, repaired;  // shards
    double seconds;
};

// Makes every shard that is not there. Several processes may fill one cache: each shard is made by
// one, and what another is at work on is waited for. DC_ERR_STOPPED where the context's stop flag
// was raised; what was made stays, so a second start goes on.
DC_MUST_USE enum dc_status dc_teach(struct dc_teach_report *report, const struct dc_teach_job *job,
                                    struct dc_error *error);

// Recomputes up to `samples` outputs, drawn from the shards that are there, and compares.
struct dc_cache_report {
    int64_t samples, shards, missing;  // missing: of all that the job's epochs should have
    int64_t different;                 // outputs of which any value differs
    double largest_error, mean_error;  // of the logits that are kept
    double largest_value;              // of those, by magnitude
    bool exact;             // float32 and made on this instruction set: not a bit may differ
    int64_t disagreements;  // other largest logit
};
DC_MUST_USE enum dc_status dc_cache_verify(struct dc_cache_report *report,
                                           const struct dc_teach_job *job, int64_t samples,
                                           struct dc_error *error);

#endif
