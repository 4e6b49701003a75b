// Owns the timing of what surrounds a step: the loader, and the way from the start of the process
// to the first step.

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench_internal.h"
#include "core/file.h"
#include "data/loader.h"
#include "data/open.h"
#include "run/run.h"

enum { LOADER_BATCH = 128 };

struct loading {
    struct dc_loader *loader;
    int64_t epoch;
};

static enum dc_status take_batch(void *user, int64_t *samples, struct dc_error *error)
{
    struct loading *l = user;
    struct dc_batch batch;
    DC_TRY(dc_loader_next(l->loader, &batch, error));
    *samples = batch.rows;
    return batch.rows > 0 ? DC_OK : dc_loader_start(l->loader, ++l->epoch, 0, error);
}

static enum dc_status open_loader(struct dc_loader **loader, struct dc_run *run, int64_t batch,
                                  struct dc_error *error)
{
    DC_TRY(dc_run_need_train_data(run, error));
    struct dc_loader_config config = dc_run_training_samples(run, batch, 1);
    config.views[config.view_count++] = dc_run_view(run, NULL, &run->train_source->sample);
    return dc_loader_create(loader, &config, error);
}

static enum dc_status measure_loader(json_t *result, struct dc_run *run,
                                     const struct dc_bench_options *options, int64_t batch,
                                     struct dc_error *error)
{
    struct loading loading = {0};
    enum dc_status status = open_loader(&loading.loader, run, batch, error);
    if (status == DC_OK)
        status = dc_loader_start(loading.loader, 0, 0, error);
    if (status == DC_OK)
        status = dc__time_windows(result, options, take_batch, &loading, error);
    dc_loader_free(loading.loader);
    json_object_set_new(result, "loader_threads",
                        json_integer((json_int_t)run->experiment->data.loader_threads));
    json_object_set_new(result, "peak_memory_bytes", json_integer(dc__peak_memory()));
    return status;
}

// The data block of configs/bench.yaml, with the source and the augmentation that were asked for.
static enum dc_status open_source(struct dc_run **run, const struct dc_bench_options *options,
                                  struct dc_arena *arena, struct dc_error *error)
{
    const struct dc_source_spec spec = dc_source_spec_of(options->source, "train");
    char *path = NULL, *augment = NULL, *experiment = NULL;
    DC_TRY(dc_path_absolute(&path, spec.path, NULL, arena, error));
    if (options->augment) {
        DC_TRY(dc_search(&augment, DC_SEARCH_AUGMENT, options->augment, NULL, arena, error));
        DC_TRY(dc_path_absolute(&augment, augment, NULL, arena, error));
    }
    DC_TRY(dc__bench_experiment(&experiment, arena, error));
    const char *overrides[] = {
        dc_arena_printf(arena, error, "data.source=%s", spec.kind ? spec.kind : "auto"),
        dc_arena_printf(arena, error, "data.path='%s'", path),
        augment ? dc_arena_printf(arena, error, "data.augment='%s'", augment) : "data.augment=[]"};
    if (!overrides[0] || !overrides[1] || !overrides[2])
        return DC_ERR_MEMORY;
    const struct dc_run_options open = {.experiment = experiment,
                                        .overrides = overrides,
                                        .override_count = 3,
                                        .directory = "runs/bench",
                                        .context = options->context};
    return dc_run_open(run, &open, error);
}

enum dc_status dc_bench_loader(json_t **result, const struct dc_bench_options *options,
                               struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    struct dc_run *run = NULL;
    const int64_t batch = options->batch ? options->batch : LOADER_BATCH;
    DC_TRY(dc_arena_create(&arena, error));
    json_t *object = json_pack("{s:s, s:s, s:s, s:I}", "bench", "loader", "version", DECANT_VERSION,
                               "source", options->source, "batch", (json_int_t)batch);
    if (options->augment)
        json_object_set_new(object, "augment", json_string(options->augment));
    enum dc_status status = open_source(&run, options, arena, error);
    if (status == DC_OK)
        status = measure_loader(object, run, options, batch, error);
    dc_run_close(run);
    dc_arena_free(arena);
    return dc__finish(result, object, status, error);
}

// Seconds since this process began, to a tick of the system (10 ms); 0 where it does not tell.
static double process_age(void)
{
    FILE *file = fopen("/proc/self/stat", "r");
    char line[1024] = "";
    unsigned long long ticks = 0;
    if (file && !fgets(line, sizeof line, file))
        line[0] = '\0';
    if (file)
        fclose(file);
    const char *field = strrchr(line, ')');  // field 2; the start is field 22
    for (int i = 2; field && i < 22; i++)
        field = strchr(field + 1, ' ');
    struct timespec now;
    if (!field || sscanf(field, "%llu", &ticks) != 1 || clock_gettime(CLOCK_BOOTTIME, &now) != 0)
        return 0.0;
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec -
           (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

struct first_step {
    volatile sig_atomic_t stop;
    double reached;
};

static void note_first_step(void *user, const struct dc_progress *progress)
{
    struct first_step *first = user;
    (void)progress;
    if (!first->stop)
        first->reached = dc__now();
    first->stop = 1;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *at)
{
    (void)info;
    (void)type;
    (void)at;
    return remove(path);
}

// Data first, then everything up to the first step, which raises the stop flag.
static enum dc_status run_first_step(json_t *result, struct dc_run *run, struct first_step *first,
                                     double age, struct dc_error *error)
{
    struct dc_stage *stage = &run->experiment->stages[0];
    if (!stage->trains)
        return dc_fail(error, DC_ERR_USAGE, "%s: the first stage, '%s', does not train",
                       run->experiment->path, stage->name);
    const double opened = dc__now();
    DC_TRY(dc_run_need_test_data(run, error));
    const double read = dc__now();
    const enum dc_status status = dc_run_stage(run, stage, error);
    if (status != DC_ERR_STOPPED && status != DC_OK)
        return status;
    const double step = first->reached - read;
    json_object_set_new(result, "stage", json_string(stage->name));
    json_object_set_new(result, "before_data_seconds", json_real(age));
    json_object_set_new(result, "data_seconds", json_real(read - opened));
    json_object_set_new(result, "first_step_seconds", json_real(step));
    json_object_set_new(result, "start_seconds", json_real(age + step));
    return DC_OK;
}

enum dc_status dc_bench_start(json_t **result, const char *experiment, const char *const *overrides,
                              int override_count, const struct dc_bench_options *options,
                              struct dc_error *error)
{
    const char *parent = getenv("TMPDIR");
    char directory[1024];
    struct first_step first = {0};
    struct dc_run *run = NULL;
    snprintf(directory, sizeof directory, "%s/decant-bench-XXXXXX", parent ? parent : "/tmp");
    if (!mkdtemp(directory))
        return dc_fail(error, DC_ERR_IO, "%s: the folder cannot be made", directory);
    struct dc_run_options open = {.experiment = experiment,
                                  .overrides = overrides,
                                  .override_count = override_count,
                                  .directory = directory,
                                  .context = options->context,
                                  .hooks = {.user = &first, .progress = note_first_step}};
    open.context.stop = &first.stop;
    json_t *object = json_pack("{s:s, s:s, s:s}", "bench", "start", "version", DECANT_VERSION,
                               "experiment", experiment);
    enum dc_status status = dc_run_open(&run, &open, error);
    if (status == DC_OK)
        status = run_first_step(object, run, &first, process_age(), error);
    dc_run_close(run);
    nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return dc__finish(result, object, status, error);
}
