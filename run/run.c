// Owns the run directory and the order of stages.

#include "run/run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "core/random.h"
#include "export/bundle.h"
#include "run/log.h"
#include "run/report.h"
#include "run/run_internal.h"
#include "train/metrics.h"

enum { RESULTS_VERSION = 2 };
static const char results_hash[] = "content_hash";

// The state alone in the first line; then the stage, and the first line of the reason.
enum dc_status dc__set_status(struct dc_run *run, const char *state, const struct dc_stage *stage,
                              const char *reason, struct dc_error *error)
{
    struct dc_text_buffer text = {0};
    const char *path = dc__path(run, "STATUS", error);
    if (!path)
        return DC_ERR_MEMORY;
    dc_text_append(&text, "%s\n", state);
    if (stage)
        dc_text_append(&text, "stage: %s\n", stage->name);
    if (reason)
        dc_text_append(&text, "reason: %.*s\n", (int)strcspn(reason, "\n"), reason);
    const enum dc_status status = text.failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory")
                                              : dc_file_write(path, text.text, text.length, error);
    dc_text_free(&text);
    return status;
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

// What the results say of a bundle is said of these files only: a damaged one is written again.
static bool bundle_is_whole(const char *path)
{
    struct dc_imodel *model = NULL;
    const bool whole = dc_bundle_read(&model, NULL, path, NULL) == DC_OK;
    dc_imodel_free(model);
    return whole;
}

bool dc_run_stage_done(struct dc_run *run, const struct dc_stage *stage)
{
    char hash[32];
    const json_t *done = json_object_get(stage_results(run), stage->name);
    const char *there = json_string_value(json_object_get(done, "config_hash"));
    if (!there || stage_hash_text(hash, run, stage, NULL) != DC_OK || strcmp(there, hash) != 0)
        return false;
    char *path = stage->exports ? dc_arena_printf(run->arena, NULL, "%s/bundle/%s", run->directory,
                                                  stage->name)
                                : dc_run_weights_path(run, stage, NULL);
    return path && (stage->exports ? bundle_is_whole(path) : dc_file_exists(path));
}

// Of all that the results say, as text: the same in memory and read back.
static enum dc_status hash_results(char text[32], const struct dc_run *run, struct dc_error *error)
{
    json_t *copy = json_copy(run->results);
    json_object_del(copy, results_hash);
    char *dump = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(9));
    json_decref(copy);
    if (!dump)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    snprintf(text, 32, "%016" PRIx64, dc_hash_bytes(DC_HASH_START, dump, strlen(dump)));
    free(dump);
    return DC_OK;
}

enum dc_status dc__write_results(struct dc_run *run, struct dc_error *error)
{
    char hash[32];
    const char *path = dc__path(run, "results.json", error);
    if (!path)
        return DC_ERR_MEMORY;
    DC_TRY(hash_results(hash, run, error));
    json_object_set_new(run->results, results_hash, json_string(hash));
    return dc_report_write(path, run->results, error);
}

// Version 1, of Decant 0.1, has no hash; such a run is read and not continued.
static enum dc_status check_results(const struct dc_run *run, const char *path,
                                    struct dc_error *error)
{
    char hash[32];
    const json_t *version = json_object_get(run->results, "version");
    const char *stated = json_string_value(json_object_get(run->results, results_hash));
    if (!json_is_object(stage_results(run)) || !json_is_integer(version))
        return dc_fail(error, DC_ERR_DATA, "%s: not a results file: it has no object 'stages'",
                       path);
    if (json_integer_value(version) == 1)
        return DC_OK;
    if (json_integer_value(version) != RESULTS_VERSION)
        return dc_fail(error, DC_ERR_DATA, "%s has version %lld; this program reads %d", path,
                       (long long)json_integer_value(version), RESULTS_VERSION);
    DC_TRY(hash_results(hash, run, error));
    if (!stated || strcmp(stated, hash) != 0)
        return dc_fail(
            error, DC_ERR_DATA,
            "%s: was changed or is damaged: its hash is not that of what it says; remove "
            "it to carry out its stages anew from their checkpoints",
            path);
    return DC_OK;
}

static enum dc_status read_results(struct dc_run *run, struct dc_error *error)
{
    char *path = dc__path(run, "results.json", error);
    if (!path)
        return DC_ERR_MEMORY;
    json_error_t problem;
    if (dc_file_exists(path)) {
        run->results = dc_json_read(path, &problem);
        if (!run->results)
            return dc_fail(
                error, DC_ERR_DATA,
                "%s:%d:%d: damaged: %s; remove it to carry out its stages anew from their "
                "checkpoints",
                path, problem.line, problem.column, problem.text);
        return check_results(run, path, error);
    }
    run->results = json_pack("{s:i, s:s, s:{}}", "version", RESULTS_VERSION, "experiment",
                             run->experiment->name, "stages");
    return run->results ? DC_OK : dc_fail(error, DC_ERR_MEMORY, "out of memory");
}

// The first line in which resolved.yaml would differ: "'WAS' then, 'IS' now", or "".
static void name_difference(char text[256], struct dc_run *run)
{
    char *path = dc__path(run, "resolved.yaml", NULL), *before = NULL;
    struct dc_text_buffer after = {0};
    dc_experiment_write(&after, run->experiment);
    text[0] = '\0';
    if (!path || after.failed || dc_file_read(&before, NULL, path, run->arena, NULL) != DC_OK)
        before = NULL;
    for (const char *a = before, *b = after.text; a && b && *a && *b;) {
        const size_t m = strcspn(a, "\n"), n = strcspn(b, "\n");
        const size_t indent = strspn(a, " ");
        const bool free_to_change = strncmp(a + indent, "loader_", 7) == 0 ||
                                    !strncmp(a, "name:", 5);
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
    const char *name;
    json_t *ignored;
    json_object_foreach(stage_results(run), name, ignored)
    {
        DC_TRY(dc__want_own_stage(run, name, error));
    }
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

// A run directory's own record.
static enum dc_status read_resolved(struct dc_run *run, struct dc_error *error)
{
    char *resolved = dc__path(run, "resolved.yaml", error), hint[DC_HINT];
    if (!resolved)
        return DC_ERR_MEMORY;
    if (!dc_file_exists(resolved))
        return dc_fail(error, DC_ERR_USAGE, "%s is not a run directory: %s%s", run->directory,
                       dc_file_exists(run->directory) ? "it has no resolved.yaml" : "there is none",
                       dc_file_exists(run->directory) ? ""
                                                      : dc_file_hint(hint, run->directory, NULL));
    return dc_experiment_read(&run->experiment, resolved, NULL, 0, error);
}

// A run cannot be its own cache.
static enum dc_status check_caches(const struct dc_run *run, struct dc_error *error)
{
    char *directory = NULL, *cache = NULL;
    DC_TRY(dc_path_absolute(&directory, run->directory, NULL, run->arena, error));
    for (int i = 0; i < run->experiment->stage_count; i++) {
        const struct dc_stage *stage = &run->experiment->stages[i];
        if (!stage->distills || !stage->distill.caches || !stage->distill.cache.path[0])
            continue;
        DC_TRY(dc_path_absolute(&cache, stage->distill.cache.path, NULL, run->arena, error));
        if (strcmp(directory, cache) == 0)
            return dc_fail_yaml(error, dc_stage_place(stage, "distill", "cache"),
                                "stage '%s': the cache would lie in the run's own directory %s; "
                                "name a folder in it, or another",
                                stage->name, run->directory);
    }
    return DC_OK;
}

static enum dc_status read_experiment(struct dc_run *run, const struct dc_run_options *options,
                                      struct dc_error *error)
{
    json_t *report = NULL, *stage;  // shapes that do not fit are told before anything is made
    const char *name;
    DC_TRY(dc_experiment_parse(&run->experiment, options->text, options->experiment,
                               options->overrides, options->override_count, error));
    DC_TRY(dc_run_check(run->experiment, &report, error));
    json_object_foreach(report, name, stage)
    {
        const char *note = json_string_value(json_object_get(stage, "note"));
        if (note && !options->of_sweep)
            dc_log(run->ctx, DC_LOG_WARNING, "%s", note);
    }
    json_decref(report);
    if (!run->directory)
        run->directory = dc_arena_printf(run->arena, error, "runs/%s", run->experiment->name);
    return run->directory ? check_caches(run, error) : DC_ERR_MEMORY;
}

// A sweep over seeds is no run: its networks lie in the runs within it.
static enum dc_status check_seeds(const struct dc_run *run, const struct dc_run_options *options,
                                  struct dc_error *error)
{
    const struct dc_numbers *seeds = &run->experiment->seeds;
    if (seeds->count > 0 && !options->experiment)
        return dc_fail(error, DC_ERR_USAGE,
                       "%s is a sweep over seeds; name one of its runs: %s/seed-%.0f",
                       run->directory, run->directory, seeds->items[0]);
    if (seeds->count > 0 && !options->sweeps)
        return dc_fail(error, DC_ERR_USAGE,
                       "%s has 'seeds', which decant run carries out; for one of them: "
                       "--set seeds=[] --set seed=%.0f --run %s/seed-%.0f",
                       options->experiment, seeds->items[0], run->directory, seeds->items[0]);
    if (seeds->count == 0 && json_object_get(run->results, "seeds"))
        return dc_fail(error, DC_ERR_USAGE,
                       "%s holds a sweep over seeds, and this experiment has none; choose another "
                       "directory with --run",
                       run->directory);
    return DC_OK;
}

static void start_log(struct dc_run *run, const char *command)
{
    struct dc_text_buffer text = {0};
    dc_text_append(&text, "decant %s starts%s%s", DECANT_VERSION, command ? ": " : "",
                   command ? command : "");
    if (!text.failed)
        dc__log_line(run, text.text);
    dc_text_free(&text);
}

static enum dc_status open_run(struct dc_run *run, const struct dc_run_options *options,
                               struct dc_error *error)
{
    struct dc_ctx_config config = options->context;
    run->hooks = options->hooks;
    run->strict = options->strict;
    if (options->caches && !(run->caches = dc_arena_copy(run->arena, options->caches, error)))
        return DC_ERR_MEMORY;
    run->break_lock = options->break_lock;
    run->outer_log = config.log;
    config.log = (struct dc_log_sink){dc__log_sink, run};
    if (options->command && !(run->command = dc_arena_copy(run->arena, options->command, error)))
        return DC_ERR_MEMORY;
    start_log(run, run->command);
    if (options->directory) {
        run->directory = dc_arena_copy(run->arena, options->directory, error);
        if (!run->directory)
            return DC_ERR_MEMORY;
    }
    DC_TRY(dc_ctx_create(&run->ctx, &config, error));
    DC_TRY(options->experiment ? read_experiment(run, options, error) : read_resolved(run, error));
    if (options->experiment)
        DC_TRY(dc__check_directory(run, error));
    DC_TRY(read_results(run, error));
    DC_TRY(check_seeds(run, options, error));
    if (!options->experiment)
        return DC_OK;
    if (!options->of_sweep)
        dc_experiment_warn(run->experiment, &config.log);
    return run->experiment->seeds.count > 0 ? DC_OK : refuse_other_settings(run, error);
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
    if (status == DC_OK)
        *out = run;
    else
        dc_run_close(run);
    return status;
}

void dc_run_close(struct dc_run *run)
{
    if (!run)
        return;
    dc__log_close(run);
    dc_source_free(run->train_source);
    dc_source_free(run->test_source);
    json_decref(run->results);
    dc_ctx_free(run->ctx);
    dc_experiment_free(run->experiment);
    dc_arena_free(run->arena);
    free(run);
}

// What a finished stage reached, in a few words.
static void say_done(struct dc_run *run, const struct dc_stage *stage, const json_t *result)
{
    const json_t *proof = json_object_get(result, "verification");
    const json_t *floats = json_object_get(result, "float"),
                 *int8 = json_object_get(result, "int8");
    char what[128] = "done", a[32], b[32];
    if (proof)
        snprintf(what, sizeof what, "done; the compiled C equals the engine on %lld test samples",
                 (long long)json_integer_value(json_object_get(proof, "samples")));
    else if (int8)
        snprintf(what, sizeof what, "done; test: float %s, int8 %s", dc_report_measure(a, floats),
                 dc_report_measure(b, int8));
    else if (floats)
        snprintf(what, sizeof what, "done; test: %s", dc_report_measure(a, floats));
    dc__log_stage(run, stage, what);
}

// Writes down how a stage ended. Before there is a directory of this run, there is nothing to
// write.
static enum dc_status end_stage(struct dc_run *run, const struct dc_stage *stage,
                                enum dc_status status, struct dc_error *error)
{
    struct dc_error ignored;
    if (!run->log_file)
        return status;
    const enum dc_status written = dc__write_csv(run, status == DC_OK ? error : &ignored);
    if (status == DC_OK)
        status = written;
    if (status == DC_OK)
        return dc__set_status(run, "done", NULL, NULL, error);
    const char *how = status == DC_ERR_STOPPED ? "stopped" : "failed";
    struct dc_text_buffer text = {0};
    dc_text_append(&text, "%s: %s: %s", stage->name, how, error->message);
    if (!text.failed)
        dc__log_line(run, text.text);
    dc_text_free(&text);
    if (dc__set_status(run, how, stage, error->message, &ignored) != DC_OK)
        dc__log_line(run, ignored.message);
    return status;
}

static enum dc_status carry_out(struct dc_run *run, struct dc_stage *stage, struct dc_error *error)
{
    char hash[32];
    DC_TRY(dc__begin(run, error));
    DC_TRY(stage_hash_text(hash, run, stage, error));
    json_t *settings = NULL;
    DC_TRY(dc_stage_settings(&settings, run->experiment, stage, error));
    json_t *result = json_pack("{s:s, s:s*, s:o}", "config_hash", hash, "command", run->command,
                               "settings", settings);
    if (!result)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    dc__log_stage(run, stage, "starts");
    enum dc_status status = dc__set_status(run, "running", stage, NULL, error);
    if (status == DC_OK)
        status = stage->exports  ? dc__export_stage(run, stage, result, error)
                 : stage->trains ? dc__train_stage(run, stage, result, error)
                                 : dc__untrained_stage(run, stage, result, error);
    if (status == DC_OK) {
        json_object_set(stage_results(run), stage->name, result);
        status = dc__write_results(run, error);
    }
    if (status == DC_OK)
        say_done(run, stage, result);
    json_decref(result);
    return status;
}

enum dc_status dc_run_stage(struct dc_run *run, struct dc_stage *stage, struct dc_error *error)
{
    struct dc_error unheard = {0};
    error = error ? error : &unheard;
    return end_stage(run, stage, carry_out(run, stage, error), error);
}

enum dc_status dc_run_all(struct dc_run *run, struct dc_error *error)
{
    enum dc_status status = DC_OK;
    if (dc_file_exists(run->directory))
        DC_TRY(dc__claim(run, error));
    for (int i = 0; i < run->experiment->stage_count && status == DC_OK; i++) {
        struct dc_stage *stage = &run->experiment->stages[i];
        if (dc_run_stage_done(run, stage))
            dc__log_stage(run, stage, "done before");
        else
            status = dc_run_stage(run, stage, error);
    }
    if (status != DC_OK || run->begun)
        return status;
    // killed between the last result and its mark, a run has nothing left to do but this
    DC_TRY(dc__write_csv(run, error));
    return dc__set_status(run, "done", NULL, NULL, error);
}
