// Owns how other programs are started and ended, and the folders that they work in.

#include "export/process.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/folder.h"

enum dc_status dc__process_start(pid_t *pid, const struct dc__command *command,
                                 struct dc_error *error)
{
    const char *name = command->argv[0];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed)
        return dc_fail(error, DC_ERR_MEMORY, "cannot start %s: %s", name, strerror(failed));
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    if (command->in)
        failed = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, command->in, O_RDONLY, 0);
    const char *const outs[] = {command->out, command->err};
    for (int i = 0; i < 2; i++)
        if (outs[i] && !failed)
            failed = posix_spawn_file_actions_addopen(&actions, i ? STDERR_FILENO : STDOUT_FILENO,
                                                      outs[i], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (command->folder && !failed)
        failed = posix_spawn_file_actions_addchdir_np(&actions, command->folder);
    if (!failed)
        failed = posix_spawnp(pid, name, &actions, &attributes, command->argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (failed)
        return dc_fail(error, DC_ERR_IO, "cannot start %s: %s", name, strerror(failed));
    return DC_OK;
}

// until: a moment of dc_seconds, or INFINITY.
static enum dc_status finish(int *code, const struct dc_ctx *ctx, pid_t pid, double until,
                             struct dc_error *error)
{
    const struct timespec moment = {.tv_nsec = 2000000};
    int status = 0;
    pid_t ended;
    while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && !dc_stop_requested(ctx) &&
           dc_seconds() < until)
        nanosleep(&moment, NULL);
    if (ended == 0) {
        kill(-pid, SIGKILL);
        waitpid(pid, &status, 0);
        *code = DC__PROCESS_OVERDUE;
        return dc_check_stop(ctx->stop, error);
    }
    *code = ended < 0 ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return DC_OK;
}

enum dc_status dc__process_finish(int *code, const struct dc_ctx *ctx, pid_t pid,
                                  struct dc_error *error)
{
    return finish(code, ctx, pid, INFINITY, error);
}

enum dc_status dc__process_run(int *code, const struct dc_ctx *ctx,
                               const struct dc__command *command, struct dc_error *error)
{
    pid_t pid;
    DC_TRY(dc__process_start(&pid, command, error));
    return finish(code, ctx, pid,
                  command->seconds > 0.0 ? dc_seconds() + command->seconds : INFINITY, error);
}

bool dc__has_program(const char *name)
{
    const char *rest = getenv("PATH");
    char path[1024];
    while (rest && *rest) {
        const size_t length = strcspn(rest, ":");
        snprintf(path, sizeof path, "%.*s/%s", (int)length, rest, name);
        if (access(path, X_OK) == 0)
            return true;
        rest += length + (rest[length] == ':');
    }
    return false;
}

enum dc_status dc__work_create(char **work, const char *prefix, const char *const *names,
                               struct dc_arena *arena, struct dc_error *error)
{
    const char *base = getenv("TMPDIR");
    base = base && *base ? base : "/tmp";
    dc_sweep_prefixed(base, prefix);
    char *made = dc_arena_printf(arena, error, "%s/%s-%ld-XXXXXX", base, prefix, (long)getpid());
    if (!made)
        return DC_ERR_MEMORY;
    if (!mkdtemp(made))
        return dc_fail(error, DC_ERR_IO, "%s: cannot be created: %s", made, strerror(errno));
    *work = made;
    return dc_folder_mark(made, names, error);
}
