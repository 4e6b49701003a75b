// Owns the run of a teacher over the views that a cache holds: shard by shard, each written whole.
// The same path recomputes outputs for dc_cache_verify, so both see what training sees.

#include "distill/teach.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/random.h"

struct run {
    const struct dc_teach_job *job;
    const struct dc_cache_spec *spec;
    struct dc_plan *plan;
    int64_t row;   // floats of one view
    int64_t done;  // outputs computed or found
    int64_t computed;
    double started;
};

static enum dc_status open_plan(struct run *run, const struct dc_teach_job *job,
                                struct dc_error *error)
{
    const struct dc_teacher *teacher = job->teacher;
    *run = (struct run){.job = job,
                        .spec = dc_cache_holds(job->cache),
                        .row = dc_cache_row(job->cache),
                        .started = dc_seconds()};
    const struct dc_plan_config config = {.mode = DC_INFERENCE,
                                          .max_rows = job->batch,
                                          .outputs = teacher->outputs,
                                          .output_count = teacher->output_count,
                                          .constant_params = true};
    assert(teacher->output_count == run->spec->column_count);
    return dc_plan_create(&run->plan, job->ctx, teacher->graph, &config, error);
}

// A loader over some of the cache's samples, that gives the views of the whole.
static enum dc_status open_loader(struct dc_loader **loader, const struct run *run,
                                  const int64_t *ids, int64_t count, struct dc_error *error)
{
    const struct dc_cache_spec *spec = run->spec;
    const bool plain = spec->mode == DC_CACHE_STATIC;
    const struct dc_loader_config config = {
        .source = spec->source,
        .ids = ids,
        .id_count = count,
        .batch = run->job->batch,
        .augment_seed = spec->augment_seed,
        .augmentations = plain ? NULL : spec->augmentations,
        .augmentation_count = plain ? 0 : spec->augmentation_count,
        .all_views = spec->mode == DC_CACHE_VIEWS,
        .mix_ids = spec->ids,
        .mix_count = spec->id_count,
        .views = {spec->view},
        .view_count = 1,
        .depth = 3,
        .threads = run->job->loader_threads,
    };
    return dc_loader_create(loader, &config, error);
}

static void report(const struct run *run, int64_t epoch)
{
    const struct dc_teach_job *job = run->job;
    if (!job->progress)
        return;
    const int64_t total = run->spec->id_count * dc_cache_views(job->cache) * job->epochs;
    const double seconds = dc_seconds() - run->started;
    const struct dc_teach_progress progress = {
        .epoch = epoch + 1,
        .epochs = job->first_epoch + job->epochs,
        .done = run->done,
        .total = total,
        .seconds = seconds,
        .seconds_left = run->computed > 0
                            ? seconds / (double)run->computed * (double)(total - run->done)
                            : -1.0,
    };
    job->progress(job->user, &progress);
}

// One pass: the outputs of every sample of the loader for one epoch, or one numbered view. Sample
// i's go to rows[i * stride].
static enum dc_status run_pass(struct run *run, float *rows, int64_t stride,
                               struct dc_loader *loader, int64_t number, int64_t epoch,
                               struct dc_error *error)
{
    const struct dc_teacher *teacher = run->job->teacher;
    const struct dc_step step = {0};
    int64_t first = 0;
    DC_TRY(dc_loader_start(loader, number, 0, error));
    for (;;) {
        struct dc_batch batch;
        DC_TRY(dc_loader_next(loader, &batch, error));
        if (batch.rows == 0)
            return DC_OK;
        dc_plan_bind(run->plan, teacher->image, batch.inputs);
        DC_TRY_IN(dc_plan_forward(run->plan, teacher->params, batch.rows, &step, error), error,
                  "teacher '%s'", teacher->name);
        int64_t offset = 0;
        for (int c = 0; c < run->spec->column_count; c++) {
            const int64_t values = run->spec->columns[c].values;
            const float *out = dc_plan_value(run->plan, teacher->outputs[c]);
            for (int64_t r = 0; r < batch.rows; r++)
                memcpy(rows + (first + r) * stride + offset, out + r * values,
                       sizeof *rows * (size_t)values);
            offset += values;
        }
        first += batch.rows;
        run->done += batch.rows;
        run->computed += batch.rows;
        report(run, epoch);
        DC_TRY(dc_check_stop(run->job->ctx->stop, error));
    }
}

static enum dc_status make_shard(struct run *run, float *rows, int64_t epoch, int64_t block,
                                 struct dc_error *error)
{
    const struct dc_rows samples = dc_cache_block(run->job->cache, block);
    const int64_t views = dc_cache_views(run->job->cache), before = run->done;
    struct dc_loader *loader = NULL;
    DC_TRY(open_loader(&loader, run, run->spec->ids + samples.first, samples.count, error));
    enum dc_status status = DC_OK;
    for (int64_t v = 0; v < views && status == DC_OK; v++)
        status = run_pass(run, rows + v * run->row, views * run->row, loader,
                          run->spec->mode == DC_CACHE_VIEWS ? v : epoch, epoch, error);
    dc_loader_free(loader);
    if (status == DC_OK)
        status = dc_cache_write(run->job->cache, epoch, block, rows, error);
    run->done = before;
    return status;
}

// Whether the shard is there and needs no work; another process's is waited for.
static enum dc_status settle(bool *take, struct run *run, struct dc_teach_report *counts,
                             int64_t epoch, int64_t block, struct dc_error *error)
{
    struct dc_cache *cache = run->job->cache;
    *take = false;
    while (!*take) {
        if (dc_cache_has(cache, epoch, block)) {
            const enum dc_status status = dc_cache_check(cache, epoch, block, error);
            if (status == DC_OK)
                counts->found++;
            if (status != DC_ERR_DATA || !run->job->repair)
                return status;
            counts->repaired++;
            return dc_cache_claim(take, cache, epoch, block, error);
        }
        DC_TRY(dc_cache_claim(take, cache, epoch, block, error));
        if (*take && dc_cache_has(cache, epoch, block)) {
            dc_cache_release(cache);  // it was finished between the two looks
            *take = false;
            continue;
        }
        if (!*take) {
            if (dc_stop_requested(run->job->ctx))
                return dc_fail(error, DC_ERR_STOPPED, "stopped while another process made a shard");
            nanosleep(&(struct timespec){.tv_nsec = 200 * 1000 * 1000}, NULL);
        }
    }
    return DC_OK;
}

static enum dc_status fill(struct run *run, struct dc_teach_report *counts, float *rows,
                           struct dc_error *error)
{
    const struct dc_teach_job *job = run->job;
    const int64_t blocks = dc_cache_blocks(job->cache);
    for (int64_t e = job->first_epoch; e < job->first_epoch + job->epochs; e++) {
        for (int64_t b = 0; b < blocks; b++) {
            bool take = false;
            DC_TRY(settle(&take, run, counts, e, b, error));
            if (take) {
                const enum dc_status status = make_shard(run, rows, e, b, error);
                dc_cache_release(job->cache);
                DC_TRY(status);
                counts->made++;
            }
            run->done += dc_cache_block(job->cache, b).count * dc_cache_views(job->cache);
        }
    }
    return DC_OK;
}

enum dc_status dc_teach(struct dc_teach_report *counts, const struct dc_teach_job *job,
                        struct dc_error *error)
{
    struct run run;
    *counts = (struct dc_teach_report){0};
    DC_TRY(open_plan(&run, job, error));
    const int64_t samples = dc_cache_block(job->cache, 0).count;
    float *rows = dc_alloc(sizeof *rows * (size_t)(samples * dc_cache_views(job->cache) * run.row),
                           error);
    const enum dc_status status = rows ? fill(&run, counts, rows, error) : DC_ERR_MEMORY;
    free(rows);
    dc_plan_free(run.plan);
    counts->seconds = dc_seconds() - run.started;
    return status;
}

// top: of a cache that keeps that many, the others hold one value and are not compared.
static void compare(struct dc_cache_report *report, const float *stored, const float *computed,
                    int64_t classes, int64_t top)
{
    int64_t best[2] = {0, 0}, compared = 0;
    float rest = stored[0];
    double sum = 0.0;
    bool different = false;
    for (int64_t c = 0; c < classes; c++)
        rest = stored[c] < rest ? stored[c] : rest;
    for (int64_t c = 0; c < classes; c++) {
        const double error = fabs((double)stored[c] - (double)computed[c]);
        const double value = fabs((double)computed[c]);
        best[0] = stored[c] > stored[best[0]] ? c : best[0];
        best[1] = computed[c] > computed[best[1]] ? c : best[1];
        if (top > 0 && stored[c] == rest)
            continue;
        compared++;
        sum += error;
        different = different || error != 0.0;
        report->largest_error = error > report->largest_error ? error : report->largest_error;
        report->largest_value = value > report->largest_value ? value : report->largest_value;
    }
    report->different += different;
    report->disagreements += best[0] != best[1];
    report->mean_error += compared > 0 ? sum / (double)compared : 0.0;
    report->samples++;
}

// Some samples of the epoch that is loaded, in one numbered view or as the epoch draws it.
static enum dc_status verify_epoch(struct dc_cache_report *report, struct run *run, int64_t epoch,
                                   int64_t samples, struct dc_random *random,
                                   struct dc_error *error)
{
    const struct dc_cache_spec *spec = run->spec;
    const int64_t view = dc_random_below(random, (uint32_t)dc_cache_views(run->job->cache));
    int64_t *positions = dc_alloc(2 * sizeof *positions * (size_t)samples, error);
    float *rows = dc_alloc(sizeof *rows * (size_t)(samples * run->row), error);
    float *stored = dc_alloc(sizeof *stored * (size_t)spec->columns[0].values, error);
    struct dc_loader *loader = NULL;
    enum dc_status status = positions && rows && stored ? DC_OK : DC_ERR_MEMORY;
    for (int64_t i = 0; status == DC_OK && i < samples; i++) {
        positions[i] = dc_random_below(random, (uint32_t)spec->id_count);
        positions[samples + i] = spec->ids[positions[i]];
    }
    if (status == DC_OK)
        status = open_loader(&loader, run, positions + samples, samples, error);
    if (status == DC_OK)
        status = run_pass(run, rows, run->row, loader, spec->mode == DC_CACHE_VIEWS ? view : epoch,
                          epoch, error);
    for (int64_t i = 0; status == DC_OK && i < samples; i++) {
        dc_cache_read_view(stored, run->job->cache, 0, positions[i], view);
        compare(report, stored, rows + i * run->row, spec->columns[0].values, spec->top);
    }
    dc_loader_free(loader);
    free(stored);
    free(rows);
    free(positions);
    return status;
}

enum dc_status dc_cache_verify(struct dc_cache_report *report, const struct dc_teach_job *job,
                               int64_t samples, struct dc_error *error)
{
    struct run run;
    struct dc_random random;
    const struct dc_cache_spec *spec = dc_cache_holds(job->cache);
    *report = (struct dc_cache_report){
        .exact = spec->dtype == DC_F32 &&
                 strcmp(dc_cache_isa(job->cache), dc_isa_name(job->ctx->isa)) == 0};
    dc_random_start(&random, 1, DC_PURPOSE_TEST, 0, dc_hash_name("verify"));
    DC_TRY(open_plan(&run, job, error));
    enum dc_status status = DC_OK;
    const int64_t tries = dc_cache_views(job->cache) > 1 ? 8 : 1, epochs = job->epochs * tries;
    for (int64_t e = 0; e < epochs && status == DC_OK; e++) {
        const int64_t epoch = job->first_epoch + e / tries;
        int64_t missing = 0;
        for (int64_t b = 0; b < dc_cache_blocks(job->cache); b++)
            missing += !dc_cache_has(job->cache, epoch, b);
        report->missing += e % tries == 0 ? missing : 0;
        const int64_t share = (samples - report->samples) / (epochs - e);
        if (missing > 0 || share == 0)
            continue;
        report->shards += e % tries == 0 ? dc_cache_blocks(job->cache) : 0;
        status = dc_cache_load(job->cache, epoch, error);
        if (status == DC_OK)
            status = verify_epoch(report, &run, epoch, share, &random, error);
    }
    dc_plan_free(run.plan);
    if (report->samples > 0)
        report->mean_error /= (double)report->samples;
    return status;
}
