// The training loop.
//
// Owns steps, epochs, schedules, metrics, best-so-far, checkpoints and resume. It sees networks as
// graphs with parameters: quantization is only more ops in the graph it was handed, distillation
// only another network whose output feeds an input, and validation is a callback.
//
// One step:  every network in order: bind the image and the feeds, forward
//            every trainable network: weights of its loss terms, backward
//            after `accumulate` batches: clip, optimizer, moving average
//
// A run that is killed and started again gives the same bytes: batches, augmentation and dropout
// are functions of (seed, epoch, sample), and a checkpoint holds all slices and counters.

#ifndef DC_TRAIN_TRAIN_H
#define DC_TRAIN_TRAIN_H

#include <stdio.h>

#include "core/optimizer.h"
#include "core/plan.h"
#include "train/evaluate.h"
#include "train/schedule.h"

struct dc_loader;

struct dc_network {
    const char *name;        // "student", "teacher": the group in checkpoints
    bool trainable;          // false: runs in inference mode and is not checkpointed
    struct dc_graph *graph;  // trainable: with loss nodes behind the network
    struct dc_params *params;
    int image, output;   // nodes: what is bound to the batch, and the logits
    int view;            // of the batch's views: what is bound to image
    bool constant;       // params stay as they are: the plan may keep them packed
    int targets;         // input node bound to the batch's targets, or -1
    const int *outputs;  // nodes beside output whose values feeds read
    int output_count;
};

// Values by sample that no network of the job computes: those a teacher gave before.
struct dc_recorded {
    void *user;
    // Called before the first batch of an epoch and of a resumed one.
    enum dc_status (*start_epoch)(void *user, int64_t epoch, struct dc_error *error);
    // values: [rows, ...] of one column, for the samples as this epoch augments them.
    enum dc_status (*read)(float *values, void *user, int column, const uint64_t *ids, int64_t rows,
                           struct dc_error *error);
};

// The value of a node of one network is that of an input node of a later one; or a recorded column
// is.
struct dc_feed {
    int from, to;   // networks, from < to
    int from_node;  // of the former: its output, or one of its outputs; or the column
    int input;      // node of the latter
    const struct dc_recorded *recorded;  // or NULL; then `from` means nothing
};

enum { DC_NETWORKS_MAX = 8, DC_FEEDS_MAX = 64, DC_TERMS_MAX = 16, DC_NEVER = -1 };

struct dc_train_config {
    int64_t epochs, batch;
    int64_t accumulate;  // batches an optimizer step
    struct dc_optimizer optimizer;
    double learning_rate;
    struct dc_schedule schedule;
    double clip_norm;      // of all gradients together; 0: none
    double average_decay;  // 0: no moving average
    uint32_t seed;
    int64_t patience;  // epochs without a better validation before the run stops; 0: none
    bool keep_best;    // the stage's result is the best on validation, else the last
    int freeze_observers_epoch, freeze_batch_norm_epoch;  // from this epoch on, or DC_NEVER
    int quantizers_epoch;  // fake quantization passes values through before this epoch
};

struct dc_progress {
    const char *stage;
    int epoch, epochs;
    int64_t step, steps;  // of the whole stage
    double loss;
    double accuracy;    // negative: no labels are trained on
    double validation;  // the job's measure after the last epoch; negative: none yet
    enum dc_measure measure;
    double seconds, seconds_left;
    bool epoch_done;
};

struct dc_train_hooks {
    // The job's measure, in [0, 1], of the trained networks as they are now; NULL: no validation.
    enum dc_status (*evaluate)(void *user, double *accuracy, struct dc_error *error);
    void *evaluate_user;
    // Around every optimizer step: once gradients are whole, and once weights are new. progress:
    // share of the stage's steps done. Both or neither.
    void (*before_update)(void *user, double progress);
    void (*after_update)(void *user, double progress);
    void *update_user;
    void (*progress)(void *user, const struct dc_progress *progress);  // or NULL
    void *progress_user;
};

struct dc_train_job {
    const char *stage;
    enum dc_measure measure;  // what labels are trained on and hooks.evaluate tells
    const struct dc_network *networks;
    int network_count;
    const struct dc_feed *feeds;
    int feed_count;
    const struct dc_loss_term *terms;
    int term_count;
    struct dc_loader *loader;
    int64_t samples;  // an epoch
    const struct dc_train_config *config;
    struct dc_train_hooks hooks;
    const char *directory;     // of checkpoints: last.h5 and best.h5
    const char *metrics_path;  // one JSON object an epoch is appended
    uint64_t config_hash;      // a checkpoint of another configuration is refused
};

struct dc_train_result {
    int epochs, best_epoch;
    double best_accuracy;  // the measure, on validation; negative without
    double seconds;        // over all starts of the stage
    int64_t steps;
    size_t plan_bytes;
};

// Whether classes are trained on: accuracies make sense, not so of networks that reconstruct or
// give values or tags.
static inline bool dc_train_has_labels(const struct dc_train_job *job)
{
    for (int n = 0; n < job->network_count && job->measure == DC_MEASURE_ACCURACY; n++)
        if (job->networks[n].targets >= 0)
            return true;
    return false;
}

// Trains, or resumes from directory/last.h5 where there is one. On return the parameters are the
// stage's result (best or last, averaged if asked for). DC_ERR_STOPPED after a checkpoint where the
// context's stop flag was raised; DC_ERR_NUMERIC names the layer whose value was not finite first.
DC_MUST_USE enum dc_status dc_train(struct dc_train_result *result, const struct dc_ctx *ctx,
                                    const struct dc_train_job *job, struct dc_error *error);

#endif
