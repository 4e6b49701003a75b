// Owns the loop: see train.h for what a step is. State between steps is in dc_params and
// dc_counters and nowhere else, so that a checkpoint of both is all of it.

#include "train/train.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/file.h"
#include "data/loader.h"
#include "train/checkpoint.h"
#include "train/metrics.h"

struct trainer {
    const struct dc_ctx *ctx;
    const struct dc_train_job *job;
    const struct dc_train_config *config;
    struct dc_plan *plans[DC_NETWORKS_MAX];
    float *recorded[DC_FEEDS_MAX];  // values of feeds that no network makes, one batch each
    struct dc_counters counters;
    struct dc_arena *arena;
    char *last_path, *best_path;
    int64_t batches;        // an epoch
    int64_t epoch_steps;    // optimizer steps an epoch
    double started;         // clock at the start of this process's share
    double seconds_before;  // of earlier starts
    int64_t steps_before;
};

static enum dc_status make_plans(struct trainer *t, struct dc_error *error)
{
    for (int n = 0; n < t->job->network_count; n++) {
        const struct dc_network *network = &t->job->networks[n];
        int *outputs = DC_NEW(t->arena, int, network->output_count + 1, error);
        if (!outputs)
            return DC_ERR_MEMORY;
        outputs[0] = network->output;
        for (int i = 0; i < network->output_count; i++)
            outputs[i + 1] = network->outputs[i];
        const struct dc_plan_config config = {
            .mode = network->trainable ? DC_TRAINING : DC_INFERENCE,
            .max_rows = t->config->batch,
            .outputs = outputs,
            .output_count = network->output_count + 1,
            .params = network->params,
            .constant_params = network->constant,
        };
        DC_TRY_IN(dc_plan_create(&t->plans[n], t->ctx, network->graph, &config, error), error,
                  "network '%s'", network->name);
    }
    return DC_OK;
}

static enum dc_status make_recorded(struct trainer *t, struct dc_error *error)
{
    for (int f = 0; f < t->job->feed_count; f++) {
        const struct dc_feed *feed = &t->job->feeds[f];
        const struct dc_node *input = &t->job->networks[feed->to].graph->nodes[feed->input];
        if (!feed->recorded)
            continue;
        t->recorded[f] = DC_NEW(t->arena, float, t->config->batch *dc_shape_row(&input->shape),
                                error);
        if (!t->recorded[f])
            return DC_ERR_MEMORY;
    }
    return DC_OK;
}

static enum dc_status start_recorded(struct trainer *t, struct dc_error *error)
{
    const struct dc_recorded *last = NULL;
    for (int f = 0; f < t->job->feed_count; f++) {
        const struct dc_recorded *recorded = t->job->feeds[f].recorded;
        if (recorded && recorded != last)
            DC_TRY(recorded->start_epoch(recorded->user, t->counters.epoch, error));
        last = recorded;
    }
    return DC_OK;
}

static enum dc_status read_recorded(struct trainer *t, const struct dc_batch *batch,
                                    struct dc_error *error)
{
    for (int f = 0; f < t->job->feed_count; f++) {
        const struct dc_feed *feed = &t->job->feeds[f];
        if (!feed->recorded)
            continue;
        DC_TRY(feed->recorded->read(t->recorded[f], feed->recorded->user, feed->from_node,
                                    batch->ids, batch->rows, error));
        dc_plan_bind(t->plans[feed->to], feed->input, t->recorded[f]);
    }
    return DC_OK;
}

static struct dc_step step_state(const struct trainer *t, int64_t total_batch, const uint64_t *ids)
{
    const int epoch = (int)t->counters.epoch;
    const struct dc_train_config *c = t->config;
    return (struct dc_step){
        .seed = c->seed,
        .epoch = (uint32_t)epoch,
        .step = t->counters.step,
        .total_batch = total_batch,
        .ids = ids,
        .freeze_observers = c->freeze_observers_epoch != DC_NEVER &&
                            epoch >= c->freeze_observers_epoch,
        .freeze_batch_norm = c->freeze_batch_norm_epoch != DC_NEVER &&
                             epoch >= c->freeze_batch_norm_epoch,
        .quantizers_off = epoch < c->quantizers_epoch,
    };
}

static void bind_network(struct trainer *t, int n, const struct dc_batch *batch)
{
    const struct dc_network *network = &t->job->networks[n];
    dc_plan_bind(t->plans[n], network->image, batch->views[network->view]);
    if (network->targets >= 0)
        dc_plan_bind(t->plans[n], network->targets, batch->targets);
    for (int f = 0; f < t->job->feed_count; f++) {
        const struct dc_feed *feed = &t->job->feeds[f];
        if (feed->recorded || feed->to != n)
            continue;
        assert(feed->from < n);
        dc_plan_bind(t->plans[n], feed->input,
                     dc_plan_value(t->plans[feed->from], feed->from_node));
    }
    for (int i = 0; i < t->job->term_count; i++) {
        const struct dc_loss_term *term = &t->job->terms[i];
        if (term->network == n)
            dc_plan_set_loss_weight(t->plans[n], term->node,
                                    dc_loss_term_weight(term, (int)t->counters.epoch));
    }
}

// Where the run stops on NaN: which layer made it first.
static enum dc_status name_bad_layer(struct trainer *t, int n, int64_t rows,
                                     const struct dc_step *step, struct dc_error *error)
{
    const struct dc_network *network = &t->job->networks[n];
    const int bad = dc_plan_first_not_finite(t->plans[n], network->params, rows, step);
    if (bad < 0)
        return DC_ERR_NUMERIC;
    char before[DC_ERROR_BYTES];
    snprintf(before, sizeof before, "%s", error ? error->message : "");
    return dc_fail(
        error, DC_ERR_NUMERIC,
        "stage '%s', epoch %d, step %lld: the value of layer '%s' of network '%s' is not "
        "finite (%.1024s); a lower learning rate or gradient clipping may help",
        t->job->stage, (int)t->counters.epoch + 1, (long long)t->counters.step + 1,
        network->graph->nodes[bad].name, network->name, before);
}

static void count_correct(struct trainer *t, const struct dc_network *network, int n,
                          const struct dc_batch *batch)
{
    const int64_t classes = dc_shape_row(&network->graph->nodes[network->output].shape);
    const float *logits = dc_plan_value(t->plans[n], network->output);
    for (int64_t r = 0; network->targets >= 0 && batch->labels && r < batch->rows; r++) {
        const float *z = logits + r * classes;
        int64_t best = 0;
        for (int64_t c = 1; c < classes; c++)
            best = z[c] > z[best] ? c : best;
        t->counters.correct += best == batch->labels[r];
    }
}

static enum dc_status run_batch(struct trainer *t, const struct dc_batch *batch,
                                int64_t total_batch, struct dc_error *error)
{
    const struct dc_step step = step_state(t, total_batch, batch->ids);
    DC_TRY_IN(read_recorded(t, batch, error), error, "stage '%s'", t->job->stage);
    for (int n = 0; n < t->job->network_count; n++) {
        const struct dc_network *network = &t->job->networks[n];
        bind_network(t, n, batch);
        enum dc_status status = dc_plan_forward(t->plans[n], network->params, batch->rows, &step,
                                                error);
        if (status == DC_OK && network->trainable)
            status = dc_plan_backward(t->plans[n], network->params, batch->rows, &step, error);
        if (status == DC_ERR_NUMERIC)
            return name_bad_layer(t, n, batch->rows, &step, error);
        DC_TRY_IN(status, error, "stage '%s', network '%s'", t->job->stage, network->name);
        if (network->trainable)
            count_correct(t, network, n, batch);
    }
    for (int i = 0; i < t->job->term_count; i++) {
        const struct dc_loss_term *term = &t->job->terms[i];
        const struct dc_plan *plan = t->plans[term->network];
        t->counters.term_sums[i] += dc_plan_loss(plan, term->node) * (double)total_batch;
        t->counters.norm_sums[i] += dc_plan_loss_gradient_norm(plan, term->node);
    }
    t->counters.samples += (double)batch->rows;
    return DC_OK;
}

static double learning_rate(const struct trainer *t, int64_t step)
{
    const struct dc_train_config *c = t->config;
    return dc_schedule_rate(&c->schedule, c->learning_rate, step, t->epoch_steps,
                            t->epoch_steps * c->epochs);
}

static enum dc_status update(struct trainer *t, struct dc_error *error)
{
    const struct dc_train_config *c = t->config;
    const double rate = learning_rate(t, t->counters.step);
    const double done = (double)t->counters.step;
    const double rising = (1.0 + done) / (10.0 + done);  // so that early weights fade
    const double decay = rising < c->average_decay ? rising : c->average_decay;
    const double progress = done / (double)(t->epoch_steps * c->epochs);
    const struct dc_train_hooks *hooks = &t->job->hooks;
    if (hooks->before_update)
        hooks->before_update(hooks->update_user, progress);
    for (int n = 0; n < t->job->network_count; n++) {
        const struct dc_network *network = &t->job->networks[n];
        if (!network->trainable)
            continue;
        double scale = 1.0;
        if (c->clip_norm > 0.0) {
            const double norm = sqrt(dc_gradient_square(t->ctx, network->params));
            if (!isfinite(norm))
                return dc_fail(error, DC_ERR_NUMERIC,
                               "stage '%s', step %lld: the gradient's norm is not finite",
                               t->job->stage, (long long)t->counters.step + 1);
            scale = norm > c->clip_norm ? c->clip_norm / norm : 1.0;
        }
        dc_optimizer_step(t->ctx, &c->optimizer, network->params, rate, scale, decay,
                          t->counters.step + 1);
    }
    if (hooks->after_update)
        hooks->after_update(hooks->update_user, progress);
    t->counters.step++;
    return DC_OK;
}

static void report(struct trainer *t, bool epoch_done)
{
    if (!t->job->hooks.progress)
        return;
    const struct dc_counters *c = &t->counters;
    double loss = 0.0;
    for (int i = 0; i < t->job->term_count; i++)
        loss += dc_loss_term_weight(&t->job->terms[i], (int)c->epoch) * c->term_sums[i] /
                (c->samples > 0.0 ? c->samples : 1.0);
    const int64_t total = t->epoch_steps * t->config->epochs;
    const int64_t here = c->step - t->steps_before;
    const double spent = dc_seconds() - t->started;
    const struct dc_progress progress = {
        .stage = t->job->stage,
        .epoch = (int)c->epoch + 1,
        .epochs = t->config->epochs,
        .step = c->step,
        .steps = total,
        .loss = loss,
        .accuracy = !dc_train_has_labels(t->job) ? -1.0
                    : c->samples > 0.0           ? c->correct / c->samples
                                                 : 0.0,
        .validation = c->last_accuracy,
        .measure = t->job->measure,
        .seconds = t->seconds_before + spent,
        .seconds_left = here > 0 ? spent / (double)here * (double)(total - c->step) : -1.0,
        .epoch_done = epoch_done,
    };
    t->job->hooks.progress(t->job->hooks.progress_user, &progress);
}

static enum dc_status write_last(struct trainer *t, struct dc_error *error)
{
    t->counters.seconds = t->seconds_before + dc_seconds() - t->started;
    return dc_checkpoint_write(t->last_path, t->job, &t->counters, error);
}

// The average takes the place of the values, and back.
static void swap_average(const struct trainer *t)
{
    for (int n = 0; n < t->job->network_count; n++) {
        struct dc_params *params = t->job->networks[n].params;
        if (t->job->networks[n].trainable && params->average) {
            float *value = params->value;
            params->value = params->average;
            params->average = value;
        }
    }
}

static enum dc_status validate(struct trainer *t, struct dc_error *error)
{
    if (!t->job->hooks.evaluate)
        return DC_OK;
    struct dc_counters *c = &t->counters;
    swap_average(t);
    const enum dc_status status = t->job->hooks.evaluate(t->job->hooks.evaluate_user,
                                                         &c->last_accuracy, error);
    swap_average(t);
    DC_TRY_IN(status, error, "stage '%s', validation after epoch %d", t->job->stage,
              (int)c->epoch + 1);
    const bool better = c->best_epoch < 0 || c->last_accuracy > c->best_accuracy;
    // before its quantizers start, a stage is not yet the network it is going to be
    if (better && c->epoch >= t->config->quantizers_epoch) {
        c->best_accuracy = c->last_accuracy;
        c->best_epoch = c->epoch;
        c->stale = 0;
        return dc_checkpoint_write(t->best_path, t->job, c, error);
    }
    c->stale++;
    return DC_OK;
}

// With a checkpoint of the last update, from which training goes on.
static enum dc_status stop(struct trainer *t, struct dc_error *error)
{
    DC_TRY(write_last(t, error));
    return dc_fail(error, DC_ERR_STOPPED,
                   "stage '%s' stopped at step %lld with a checkpoint; start again to go on",
                   t->job->stage, (long long)t->counters.step);
}

static enum dc_status end_epoch(struct trainer *t, struct dc_error *error)
{
    struct dc_counters *c = &t->counters;
    const enum dc_status validated = validate(t, error);
    if (validated == DC_ERR_STOPPED)
        return stop(t, error);  // behind the epoch's last batch: it goes on with the validation
    DC_TRY(validated);
    c->seconds = t->seconds_before + dc_seconds() - t->started;
    DC_TRY(dc_metrics_append(t->job->metrics_path, t->job, c, (int)c->epoch,
                             learning_rate(t, c->step - 1), error));
    report(t, true);
    c->epoch++;
    c->batch = 0;
    c->samples = c->correct = 0.0;
    memset(c->term_sums, 0, sizeof c->term_sums);
    memset(c->norm_sums, 0, sizeof c->norm_sums);
    return write_last(t, error);
}

// Rows of the optimizer step that batch number `batch` of the epoch belongs to.
static int64_t step_rows(const struct trainer *t, int64_t batch)
{
    const int64_t rows = t->config->batch * t->config->accumulate;
    const int64_t first = batch / t->config->accumulate * rows;
    return t->job->samples - first < rows ? t->job->samples - first : rows;
}

static enum dc_status run_epoch(struct trainer *t, struct dc_error *error)
{
    struct dc_counters *c = &t->counters;
    DC_TRY_IN(start_recorded(t, error), error, "stage '%s'", t->job->stage);
    DC_TRY(dc_loader_start(t->job->loader, (uint32_t)c->epoch, c->batch, error));
    for (;;) {
        struct dc_batch batch;
        DC_TRY_IN(dc_loader_next(t->job->loader, &batch, error), error, "stage '%s'",
                  t->job->stage);
        if (batch.rows == 0)
            return end_epoch(t, error);
        DC_TRY(run_batch(t, &batch, step_rows(t, c->batch), error));
        c->batch++;
        if (c->batch % t->config->accumulate != 0 && c->batch != t->batches)
            continue;
        DC_TRY(update(t, error));
        report(t, false);
        if (dc_stop_requested(t->ctx))
            return stop(t, error);
    }
}

// A checkpoint lies on the path that this training takes: what its counters say of each other.
static enum dc_status check_counters(const struct trainer *t, struct dc_error *error)
{
    const struct dc_counters *c = &t->counters;
    const int64_t accumulate = t->config->accumulate;
    const bool in_range = c->epoch >= 0 && c->epoch <= t->config->epochs && c->batch >= 0 &&
                          c->batch <= (c->epoch < t->config->epochs ? t->batches : 0);
    if (in_range && c->best_epoch >= -1 && c->best_epoch < c->epoch && c->stale >= 0 &&
        c->stale <= c->epoch &&
        c->step == c->epoch * t->epoch_steps + (c->batch + accumulate - 1) / accumulate)
        return DC_OK;
    return dc_fail(
        error, DC_ERR_DATA,
        "%s: step %lld, epoch %lld, batch %lld, best epoch %lld do not fit this training, "
        "which has %lld batches an epoch",
        t->last_path, (long long)c->step, (long long)c->epoch, (long long)c->batch,
        (long long)c->best_epoch, (long long)t->batches);
}

static enum dc_status read_last(struct trainer *t, struct dc_error *error)
{
    struct dc_error reason;
    enum dc_status status = dc_checkpoint_read(t->last_path, t->job, &t->counters, &reason);
    if (status == DC_OK)
        status = check_counters(t, &reason);
    if (status != DC_ERR_DATA)
        return status == DC_OK
                   ? DC_OK
                   : dc_fail(error, status, "stage '%s': %.2048s", t->job->stage, reason.message);
    return dc_fail(error, status,
                   "stage '%s': %.2048s; remove it to train the stage from its start",
                   t->job->stage, reason.message);
}

static enum dc_status start_or_resume(struct trainer *t, struct dc_error *error)
{
    t->counters = (struct dc_counters){
        .best_epoch = -1, .best_accuracy = -1.0, .last_accuracy = -1.0};
    if (dc_file_exists(t->last_path)) {
        DC_TRY(read_last(t, error));
        dc_log(t->ctx, DC_LOG_INFO, "%s: resumed at epoch %d, step %lld", t->job->stage,
               (int)t->counters.epoch + 1, (long long)t->counters.step);
    } else {
        DC_TRY(dc_make_directory(t->job->directory, error));
    }
    int64_t lines = 0;
    DC_TRY(dc_metrics_resume(t->job->metrics_path, t->job->stage, t->counters.epoch, &lines,
                             t->arena, error));
    if (lines != t->counters.epoch)
        dc_log(t->ctx, DC_LOG_WARNING, "%s holds %lld of %lld epochs of stage '%s'",
               t->job->metrics_path, (long long)lines, (long long)t->counters.epoch, t->job->stage);
    t->seconds_before = t->counters.seconds;
    t->steps_before = t->counters.step;
    t->started = dc_seconds();
    // The checkpoint of step 0 meets a full disk before any work.
    return t->counters.step == 0 ? write_last(t, error) : DC_OK;
}

static enum dc_status finish(struct trainer *t, struct dc_train_result *result,
                             struct dc_error *error)
{
    const struct dc_counters *c = &t->counters;
    *result = (struct dc_train_result){
        .epochs = (int)c->epoch,
        .best_epoch = (int)c->best_epoch,
        .best_accuracy = c->best_accuracy,
        .seconds = t->seconds_before + dc_seconds() - t->started,
        .steps = c->step,
    };
    for (int n = 0; n < t->job->network_count; n++)
        result->plan_bytes += dc_plan_bytes(t->plans[n]);
    if (t->config->keep_best && c->best_epoch >= 0) {
        struct dc_counters best;
        DC_TRY(dc_checkpoint_read(t->best_path, t->job, &best, error));
    }
    swap_average(t);
    return DC_OK;
}

static enum dc_status train(struct trainer *t, struct dc_train_result *result,
                            struct dc_error *error)
{
    const struct dc_train_config *c = t->config;
    t->batches = (t->job->samples + c->batch - 1) / c->batch;
    t->epoch_steps = (t->batches + c->accumulate - 1) / c->accumulate;
    t->last_path = dc_arena_printf(t->arena, error, "%s/last.h5", t->job->directory);
    t->best_path = dc_arena_printf(t->arena, error, "%s/best.h5", t->job->directory);
    if (!t->last_path || !t->best_path)
        return DC_ERR_MEMORY;
    DC_TRY(make_plans(t, error));
    DC_TRY(make_recorded(t, error));
    DC_TRY(start_or_resume(t, error));
    while (t->counters.epoch < c->epochs && (c->patience <= 0 || t->counters.stale < c->patience))
        DC_TRY(run_epoch(t, error));
    return finish(t, result, error);
}

enum dc_status dc_train(struct dc_train_result *result, const struct dc_ctx *ctx,
                        const struct dc_train_job *job, struct dc_error *error)
{
    assert(job->network_count <= DC_NETWORKS_MAX && job->term_count <= DC_TERMS_MAX);
    assert(job->feed_count <= DC_FEEDS_MAX);
    struct trainer t = {.ctx = ctx, .job = job, .config = job->config};
    DC_TRY(dc_arena_create(&t.arena, error));
    const enum dc_status status = train(&t, result, error);
    for (int n = 0; n < job->network_count; n++)
        dc_plan_free(t.plans[n]);
    dc_arena_free(t.arena);
    return status;
}
