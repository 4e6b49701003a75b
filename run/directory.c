// Owns the making and the continuing of a run directory: its lock, its records, and what a killed
// process left in it. Nothing is made before the data was read and fits the models, so that a wrong
// path or a damaged file leaves no trace.

#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "core/file.h"
#include "run/run_internal.h"

// A temporary of a killed process, or what lies in one: named *.tmp-* below the run directory.
static int remove_temporary(const char *path, const struct stat *info, int type, struct FTW *at)
{
    (void)info;
    (void)type;
    const char *below = path + strlen(path);  // the part of the path inside the run directory
    for (int level = 0; level < at->level; level++)
        for (below--; below > path && below[-1] != '/';)
            below--;
    if (at->level > 0 && strstr(below, ".tmp-"))
        remove(path);
    return 0;
}

static enum dc_status write_records(struct dc_run *run, struct dc_error *error)
{
    char *given = NULL, *copy = dc__path(run, "experiment.yaml", error);
    char *resolved = dc__path(run, "resolved.yaml", error);
    size_t size = 0;
    if (!copy || !resolved)
        return DC_ERR_MEMORY;
    DC_TRY(dc_file_read(&given, &size, run->experiment->path, run->arena, error));
    DC_TRY(dc_file_write(copy, given, size, error));
    struct dc_text_buffer text = {0};
    dc_experiment_write(&text, run->experiment);
    enum dc_status status = text.failed ? dc_fail(error, DC_ERR_MEMORY, "out of memory")
                                        : dc_file_write(resolved, text.text, text.length, error);
    dc_text_free(&text);
    return status;
}

// The log is the lock: the system frees it when its process ends, however it ends.
static enum dc_status lock(struct dc_run *run, struct dc_error *error)
{
    char *path = dc__path(run, "log.txt", error);
    if (!path)
        return DC_ERR_MEMORY;
    FILE *file = fopen(path, "ae");
    if (!file)
        return dc_fail(error, DC_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
    if (flock(fileno(file), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        fclose(file);
        return dc_fail(error, DC_ERR_USAGE,
                       "%s: another decant is at work here; wait for it, or choose another "
                       "directory with --run",
                       run->directory);
    }
    run->log_file = file;
    return DC_OK;
}

enum dc_status dc__claim(struct dc_run *run, struct dc_error *error)
{
    if (run->log_file)
        return DC_OK;
    DC_TRY(lock(run, error));
    nftw(run->directory, remove_temporary, 16, FTW_DEPTH | FTW_PHYS);
    return DC_OK;
}

enum dc_status dc__begin(struct dc_run *run, struct dc_error *error)
{
    if (run->begun)
        return DC_OK;
    // The test split is opened to see that it is there and whole; its samples wait for the end.
    DC_TRY(dc_run_need_test_data(run, error));
    DC_TRY(dc__check_data(run, error));
    DC_TRY(dc__check_environment(run, error));
    DC_TRY(dc_make_directory(run->directory, error));
    DC_TRY(dc__claim(run, error));
    run->begun = true;
    DC_TRY(write_records(run, error));
    return dc__write_environment(run, error);
}
