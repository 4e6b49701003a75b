// Owns the making and the continuing of a run directory: what may be one, its lock, its records,
// and what a killed process left in it. Nothing is made before the data was read and fits the
// models, so that a wrong path or a damaged file leaves no trace.

#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "core/file.h"
#include "core/folder.h"
#include "core/json.h"
#include "run/log.h"
#include "run/run_internal.h"

// A new run's log opens with this line: it tells the directory from a user's.
static const char log_title[] = "Decant run directory, begun by version ";

static bool is_plain_file(const char *directory, const char *name, off_t *size)
{
    char path[PATH_MAX];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    const bool plain = lstat(path, &info) == 0 && S_ISREG(info.st_mode);
    *size = plain ? info.st_size : 0;
    return plain;
}

static bool has_title(const char *directory)
{
    char path[PATH_MAX], line[sizeof log_title] = "";
    snprintf(path, sizeof path, "%s/log.txt", directory);
    FILE *file = fopen(path, "rbe");
    const bool has = file && fread(line, 1, sizeof line - 1, file) == sizeof line - 1 &&
                     strcmp(line, log_title) == 0;
    if (file)
        fclose(file);
    return has;
}

// Whether a folder with something in it is a run directory: its log says so, or it holds all
// records of one begun by version 0.1, whose log did not, or of a new one nothing but the empty
// log.
static bool is_run(const char *directory)
{
    static const char *const log[] = {"log.txt", "LOCK", NULL};
    off_t size = 0, ignored = 0;
    if (!is_plain_file(directory, "log.txt", &size))
        return false;
    return has_title(directory) ||
           (is_plain_file(directory, "resolved.yaml", &ignored) &&
            is_plain_file(directory, "env.json", &ignored)) ||
           (size == 0 && dc_folder_holds_only(directory, log, NULL) == DC_OK);
}

// Checkpoints of a stage that the experiment does not have are another experiment's.
static enum dc_status check_stages(struct dc_run *run, struct dc_error *error)
{
    enum dc_status status = DC_OK;
    const char *path = dc__path(run, "checkpoints", error);
    if (!path)
        return DC_ERR_MEMORY;
    DIR *entries = opendir(path);
    struct stat info;
    for (const struct dirent *entry; entries && status == DC_OK && (entry = readdir(entries));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            fstatat(dirfd(entries), entry->d_name, &info, 0) == 0 && S_ISDIR(info.st_mode))
            status = dc__want_own_stage(run, entry->d_name, error);
    if (entries)
        closedir(entries);
    return status;
}

// A run goes on with the version that began it: another computes other numbers, and has other
// files. Versions that differ in their third number alone do not.
static enum dc_status check_begun_by(struct dc_run *run, struct dc_error *error)
{
    const char *path = dc__path(run, "env.json", error);
    json_error_t ignored;
    if (!path)
        return DC_ERR_MEMORY;
    json_t *environment = dc_json_read(path, &ignored);
    const char *version = json_string_value(json_object_get(environment, "version"));
    const char *patch = strrchr(DECANT_VERSION, '.');
    enum dc_status status = DC_OK;
    if (version && strncmp(version, DECANT_VERSION, (size_t)(patch + 1 - DECANT_VERSION)) != 0)
        status = dc_fail(
            error, DC_ERR_CONFIG,
            "%s was begun by version %.32s, and this is version %s, which reads it and "
            "does not continue it; choose another directory with --run",
            run->directory, version, DECANT_VERSION);
    json_decref(environment);
    return status;
}

enum dc_status dc__want_own_stage(const struct dc_run *run, const char *name,
                                  struct dc_error *error)
{
    if (dc_experiment_stage(run->experiment, name))
        return DC_OK;
    return dc_fail(error, DC_ERR_CONFIG,
                   "%s holds stage '%s', which this experiment does not have, so the directory is "
                   "another's; choose another with --run, or remove it",
                   run->directory, name);
}

enum dc_status dc__check_directory(struct dc_run *run, struct dc_error *error)
{
    struct stat info;
    bool empty = false;
    if (!run->directory[0])
        return dc_fail(error, DC_ERR_USAGE, "the name of the run directory is empty");
    if (strlen(run->directory) > PATH_MAX / 2)
        return dc_fail(error, DC_ERR_USAGE, "the name of the run directory is too long");
    if (stat(run->directory, &info) != 0)
        return DC_OK;  // it will be made, or not, with a message
    if (S_ISDIR(info.st_mode) && is_run(run->directory)) {
        DC_TRY(check_begun_by(run, error));
        return check_stages(run, error);
    }
    const char *inside = dc__path(run, ".", error);  // of a link, too: no folder is removed here
    if (!inside)
        return DC_ERR_MEMORY;
    DC_TRY(dc_folder_is_empty(&empty, inside, error));
    if (!empty)
        return dc_fail(error, DC_ERR_USAGE,
                       "%s is neither a run directory nor empty, so nothing is written there; "
                       "choose another with --run",
                       run->directory);
    return DC_OK;
}

// What a killed process left of every file and folder that a run writes.
static enum dc_status sweep(struct dc_run *run, struct dc_error *error)
{
    static const char *const records[] = {"experiment.yaml", "resolved.yaml", "env.json",
                                          "results.json",    "STATUS",        "metrics.jsonl",
                                          "metrics.csv",     "LOCK"};
    static const char *const kept[] = {"last.h5", "best.h5", "final.h5"};
    struct dc_arena *arena = run->arena;
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        const char *path = dc__path(run, records[i], error);
        if (!path)
            return DC_ERR_MEMORY;
        dc_sweep_files(path);
    }
    for (int s = 0; s < run->experiment->stage_count; s++) {
        const struct dc_stage *stage = &run->experiment->stages[s];
        const int peers = stage->distills ? stage->distill.peers.count : 0;
        for (int i = 0; i < 3 + peers + 1; i++) {
            const char *path = i == 3 + peers ? dc_arena_printf(arena, error, "%s/bundle/%s",
                                                                run->directory, stage->name)
                               : i < 3
                                   ? dc_arena_printf(arena, error, "%s/checkpoints/%s/%s",
                                                     run->directory, stage->name, kept[i])
                                   : dc_arena_printf(arena, error, "%s/checkpoints/%s/peer%d.h5",
                                                     run->directory, stage->name, i - 2);
            if (!path)
                return DC_ERR_MEMORY;
            (i == 3 + peers ? dc_sweep_folders : dc_sweep_files)(path);
        }
    }
    return DC_OK;
}

enum dc_status dc__write_records(struct dc_run *run, struct dc_error *error)
{
    char *read = NULL, *copy = dc__path(run, "experiment.yaml", error);
    char *resolved = dc__path(run, "resolved.yaml", error);
    size_t size = 0;
    if (!copy || !resolved)
        return DC_ERR_MEMORY;
    const char *given = run->experiment->text;
    if (!given) {
        DC_TRY(dc_file_read(&read, &size, run->experiment->path, run->arena, error));
        given = read;
    } else {
        size = strlen(given);
    }
    DC_TRY(dc_file_write(copy, given, size, error));
    struct dc_text_buffer text = {0};
    dc_experiment_write(&text, run->experiment);
    enum dc_status status = text.failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory")
                                        : dc_file_write(resolved, text.text, text.length, error);
    dc_text_free(&text);
    return status;
}

enum dc_status dc__claim(struct dc_run *run, struct dc_error *error)
{
    if (run->log_file)
        return DC_OK;
    DC_TRY(dc__check_directory(run, error));
    DC_TRY(dc__log_open(run, log_title, error));  // the log is the lock
    return sweep(run, error);
}

enum dc_status dc__begin(struct dc_run *run, struct dc_error *error)
{
    if (run->begun)
        return DC_OK;
    // The test split is opened to see that it is there and whole; its samples wait for the end.
    DC_TRY(dc__open_data(run, error));
    DC_TRY(dc__check_data(run, error));
    DC_TRY(dc__check_environment(run, error));
    DC_TRY(dc_make_directory(run->directory, error));
    DC_TRY(dc__claim(run, error));
    run->begun = true;
    DC_TRY(dc__write_records(run, error));
    return dc__write_environment(run, error);
}
