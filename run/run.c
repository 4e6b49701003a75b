// Owns the run directory and the order of stages.

#include "run/run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "data/open.h"
#include "data/split.h"
#include "run/run_internal.h"

static void write_log(void *user, enum dc_log_level level, const char *line)
{
    struct dc_run *run = user;
    if (run->log_file)
        fprintf(run->log_file, "%s\n", line);
    if (run->outer_log.write)
        run->outer_log.write(run->outer_log.user, level, line);
}

static char *path_in(struct dc_run *run, const char *name, struct dc_error *error)
{
    return dc_arena_printf(run->arena, error, "%s/%s", run->directory, name);
}

enum dc_status dc__write_json(const char *path, const json_t *json, struct dc_error *error)
{
    char *text = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    if (!text)
        return dc_fail(error, DC_ERR_MEMORY, "%s: cannot be written as JSON", path);
    const size_t length = strlen(text);
    text[length] = '\n';  // in place of the terminator: the file ends in a newline
    const enum dc_status status = dc_file_write(path, text, length + 1, error);
    free(text);
    return status;
}

static enum dc_status set_status(struct dc_run *run, const char *status, struct dc_error *error)
{
    char *path = path_in(run, "STATUS", error);
    if (!path)
        return DC_ERR_MEMORY;
    return dc_file_write(path, status, strlen(status), error);
}

char *dc_run_weights_path(struct dc_run *run, const struct dc_stage *stage, struct dc_error *error)
{
    return dc_arena_printf(run->arena, error, "%s/checkpoints/%s/final.h5", run->directory,
                           stage->name);
}

static json_t *stage_results(const struct dc_run *run)
{
    return json_object_get(run->results, "stages");
}

static enum dc_status stage_hash_text(char text[32], struct dc_run *run,
                                      const struct dc_stage *stage, struct dc_error *error)
{
    uint64_t hash = 0;
    DC_TRY(dc_stage_hash(&hash, run->experiment, stage, error));
    snprintf(text, 32, "%016" PRIx64, hash);
    return DC_OK;
}

bool dc_run_stage_done(struct dc_run *run, const struct dc_stage *stage)
{
    char hash[32];
    const json_t *done = json_object_get(stage_results(run), stage->name);
    const char *there = json_string_value(json_object_get(done, "config_hash"));
    if (!there || stage_hash_text(hash, run, stage, NULL) != DC_OK || strcmp(there, hash) != 0)
        return false;
    char *path = stage->exports ? dc_arena_printf(run->arena, NULL, "%s/bundle/%s/manifest.json",
                                                  run->directory, stage->name)
                                : dc_run_weights_path(run, stage, NULL);
    return path && dc_file_exists(path);
}

static enum dc_status read_results(struct dc_run *run, struct dc_error *error)
{
    char *path = path_in(run, "results.json", error);
    if (!path)
        return DC_ERR_MEMORY;
    json_error_t problem;
    if (dc_file_exists(path)) {
        run->results = json_load_file(path, JSON_REJECT_DUPLICATES, &problem);
        if (!run->results)
            return dc_fail(error, DC_ERR_DATA,
                           "%s:%d:%d: damaged: %s; remove it to carry out its stages anew from their "
                           "checkpoints", path, problem.line, problem.column, problem.text);
        if (!json_is_object(stage_results(run)))
            return dc_fail(error, DC_ERR_DATA, "%s: not a results file: it has no object 'stages'",
                           path);
        return DC_OK;
    }
    run->results = json_pack("{s:i, s:s, s:{}}", "version", 1, "experiment", run->experiment->name,
                             "stages");
    return run->results ? DC_OK : dc_fail(error, DC_ERR_MEMORY, "out of memory");
}

// The first line in which resolved.yaml would differ: "'WAS' then, 'IS' now", or "".
static void name_difference(char text[256], struct dc_run *run)
{
    char *path = path_in(run, "resolved.yaml", NULL), *before = NULL;
    struct dc_text_buffer after = {0};
    dc_experiment_write(&after, run->experiment);
    text[0] = '\0';
    if (!path || after.failed || dc_file_read(&before, NULL, path, run->arena, NULL) != DC_OK)
        before = NULL;
    for (const char *a = before, *b = after.text; a && b && *a && *b;) {
        const size_t m = strcspn(a, "\n"), n = strcspn(b, "\n");
        const size_t indent = strspn(a, " ");
        const bool free_to_change = strncmp(a + indent, "loader_", 7) == 0 || !strncmp(a, "name:", 5);
        if ((m != n || memcmp(a, b, n) != 0) && !free_to_change) {
            snprintf(text, 256, "'%.*s' then, '%.*s' now; ", (int)(m - indent), a + indent,
                     (int)(n - strspn(b, " ")), b + strspn(b, " "));
            break;
        }
        a += m + (a[m] == '\n');
        b += n + (b[n] == '\n');
    }
    dc_text_free(&after);
}

// Stages done under other settings are not mixed with new ones.
static enum dc_status refuse_other_settings(struct dc_run *run, struct dc_error *error)
{
    for (int i = 0; i < run->experiment->stage_count; i++) {
        const struct dc_stage *stage = &run->experiment->stages[i];
        const json_t *done = json_object_get(stage_results(run), stage->name);
        const char *there = json_string_value(json_object_get(done, "config_hash"));
        char hash[32];
        DC_TRY(stage_hash_text(hash, run, stage, error));
        if (there && strcmp(there, hash) != 0) {
            char difference[256];
            name_difference(difference, run);
            return dc_fail(error, DC_ERR_CONFIG,
                           "%s: stage '%s' was done with other settings (%shash %s, now %s); take "
                           "back the change, remove the directory, or choose another with --run",
                           run->directory, stage->name, difference, there, hash);
        }
    }
    return DC_OK;
}

static enum dc_status start(struct dc_run *run, const struct dc_ctx_config *context,
                            struct dc_error *error)
{
    struct dc_ctx_config config = *context;
    run->outer_log = config.log;
    config.log = (struct dc_log_sink){write_log, run};
    return dc_ctx_create(&run->ctx, &config, error);
}

static enum dc_status open_run(struct dc_run *run, const struct dc_run_options *options,
                               struct dc_error *error)
{
    run->hooks = options->hooks;
    DC_TRY(dc_experiment_read(&run->experiment, options->experiment, options->overrides,
                              options->override_count, error));
    json_t *report = NULL;  // shapes that do not fit are told before anything is made
    DC_TRY(dc_run_check(run->experiment, &report, error));
    json_decref(report);
    run->directory = options->directory
                         ? dc_arena_copy(run->arena, options->directory, error)
                         : dc_arena_printf(run->arena, error, "runs/%s", run->experiment->name);
    if (!run->directory)
        return DC_ERR_MEMORY;
    DC_TRY(start(run, &options->context, error));
    DC_TRY(read_results(run, error));
    return refuse_other_settings(run, error);
}

enum dc_status dc_run_open(struct dc_run **out, const struct dc_run_options *options,
                           struct dc_error *error)
{
    *out = NULL;
    struct dc_run *run = dc_alloc(sizeof *run, error);
    if (!run)
        return DC_ERR_MEMORY;
    enum dc_status status = dc_arena_create(&run->arena, error);
    if (status == DC_OK)
        status = open_run(run, options, error);
    if (status != DC_OK) {
        dc_run_close(run);
        return status;
    }
    *out = run;
    return DC_OK;
}

static enum dc_status open_directory(struct dc_run *run, const char *directory,
                                     const struct dc_ctx_config *context, struct dc_error *error)
{
    run->directory = dc_arena_copy(run->arena, directory, error);
    char *resolved = run->directory ? path_in(run, "resolved.yaml", error) : NULL;
    if (!resolved)
        return DC_ERR_MEMORY;
    if (!dc_file_exists(resolved))
        return dc_fail(error, DC_ERR_USAGE, "%s is not a run directory: it has no resolved.yaml",
                       directory);
    DC_TRY(dc_experiment_read(&run->experiment, resolved, NULL, 0, error));
    DC_TRY(start(run, context, error));
    return read_results(run, error);
}

enum dc_status dc_run_open_directory(struct dc_run **out, const char *directory,
                                     const struct dc_ctx_config *context, struct dc_error *error)
{
    *out = NULL;
    struct dc_run *run = dc_alloc(sizeof *run, error);
    if (!run)
        return DC_ERR_MEMORY;
    enum dc_status status = dc_arena_create(&run->arena, error);
    if (status == DC_OK)
        status = open_directory(run, directory, context, error);
    if (status != DC_OK) {
        dc_run_close(run);
        return status;
    }
    *out = run;
    return DC_OK;
}

void dc_run_close(struct dc_run *run)
{
    if (!run)
        return;
    if (run->log_file)
        fclose(run->log_file);
    dc_source_free(run->train_source);
    dc_source_free(run->test_source);
    json_decref(run->results);
    dc_ctx_free(run->ctx);
    dc_experiment_free(run->experiment);
    dc_arena_free(run->arena);
    free(run);
}

static enum dc_status open_split(struct dc_source **source, const struct dc_run *run,
                                 const char *split, struct dc_error *error)
{
    const struct dc_data_spec *data = &run->experiment->data;
    const struct dc_source_spec spec = {
        .kind = data->source,
        .path = data->path,
        .split = split,
        .resize_height = data->resize.count == 2 ? (int)data->resize.items[0] : 0,
        .resize_width = data->resize.count == 2 ? (int)data->resize.items[1] : 0,
        .channels = (int)data->channels,
        .class_count = (int)data->classes,
    };
    DC_TRY_IN(dc_source_open(source, &spec, error), error, "%s: data", run->experiment->path);
    return DC_OK;
}

static enum dc_status set_normalization(struct dc_run *run, struct dc_error *error)
{
    const struct dc_normalize_spec *spec = &run->experiment->data.normalize;
    if (spec->automatic)
        return dc_dataset_statistics(&run->normalization, run->train_source, run->train_ids,
                                     run->train_count, error);
    run->normalization.channels = spec->mean.count;
    for (int c = 0; c < spec->mean.count; c++) {
        run->normalization.mean[c] = (float)spec->mean.items[c];
        run->normalization.deviation[c] = (float)spec->deviation.items[c];
    }
    return dc_normalization_check(&run->normalization, run->train_source, error);
}

enum dc_status dc_run_need_train_data(struct dc_run *run, struct dc_error *error)
{
    if (run->train_source)
        return DC_OK;
    const struct dc_data_spec *data = &run->experiment->data;
    DC_TRY(open_split(&run->train_source, run, "train", error));
    DC_TRY_IN(dc_split_validation(&run->train_ids, &run->train_count, &run->validation_ids,
                                  &run->validation_count, run->train_source, data->validation,
                                  (uint32_t)data->split_seed, run->arena, error),
              error, "%s: data", run->experiment->path);
    DC_TRY_IN(set_normalization(run, error), error, "%s: data", run->experiment->path);
    return DC_OK;
}

enum dc_status dc_run_need_test_data(struct dc_run *run, struct dc_error *error)
{
    DC_TRY(dc_run_need_train_data(run, error));
    return run->test_source ? DC_OK : open_split(&run->test_source, run, "test", error);
}

enum dc_status dc__plain_loader(struct dc_loader **loader, const struct dc_run *run,
                                const struct dc_source *source, const int64_t *ids, int64_t count,
                                int64_t batch, struct dc_error *error)
{
    const int64_t n = ids ? count : count < source->count ? count : source->count;
    int64_t *all = ids ? NULL : dc_alloc(sizeof *all * (size_t)n, error);
    if (!ids && !all)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; all && i < n; i++)
        all[i] = i;
    const struct dc_loader_config config = {
        .source = source,
        .ids = ids ? ids : all,
        .id_count = n,
        .batch = batch,
        .normalization = run->normalization,
        .view = source->sample,
        .depth = 2,
        .threads = 1,
    };
    const enum dc_status status = dc_loader_create(loader, &config, error);
    free(all);
    return status;
}

enum dc_status dc_run_stage(struct dc_run *run, struct dc_stage *stage, struct dc_error *error)
{
    char hash[32];
    DC_TRY(dc__begin(run, error));
    DC_TRY(stage_hash_text(hash, run, stage, error));
    json_t *result = json_pack("{s:s}", "config_hash", hash);
    if (!result)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    enum dc_status status = set_status(run, "running\n", error);
    if (status == DC_OK)
        status = stage->exports  ? dc__export_stage(run, stage, result, error)
                 : stage->trains ? dc__train_stage(run, stage, result, error)
                                 : dc__calibrate_stage(run, stage, result, error);
    char *path = path_in(run, "results.json", error);
    if (status == DC_OK && path) {
        json_object_set(stage_results(run), stage->name, result);
        status = dc__write_json(path, run->results, error);
    }
    json_decref(result);
    fflush(run->log_file);
    struct dc_error ignored;
    const enum dc_status marked = set_status(run,
                                             status == DC_OK            ? "done\n"
                                             : status == DC_ERR_STOPPED ? "stopped\n"
                                                                        : "failed\n",
                                             status == DC_OK ? error : &ignored);
    return status == DC_OK ? marked : status;
}

enum dc_status dc_run_all(struct dc_run *run, struct dc_error *error)
{
    enum dc_status status = DC_OK;
    if (dc_file_exists(run->directory))
        DC_TRY(dc__claim(run, error));
    for (int i = 0; i < run->experiment->stage_count && status == DC_OK; i++) {
        struct dc_stage *stage = &run->experiment->stages[i];
        const bool done = dc_run_stage_done(run, stage);
        if (run->hooks.stage)
            run->hooks.stage(run->hooks.user, stage, done ? "done before" : "starts");
        if (!done)
            status = dc_run_stage(run, stage, error);
    }
    // killed between the last result and its mark, a run has nothing left to do but this
    return status == DC_OK && !run->begun ? set_status(run, "done\n", error) : status;
}
