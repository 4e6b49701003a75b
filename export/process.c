// Owns how other programs are started and ended.

#include "export/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum dc_status dc__process_start(pid_t *pid, char *const argv[], const char *in, const char *out,
                                 struct dc_error *error)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed)
        return dc_fail(error, DC_ERR_MEMORY, "cannot start %s: %s", argv[0], strerror(failed));
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    if (in)
        failed = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, in, O_RDONLY, 0);
    if (out && !failed)
        failed = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out,
                                                  O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (!failed)
        failed = posix_spawnp(pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (failed)
        return dc_fail(error, DC_ERR_IO, "cannot start %s: %s", argv[0], strerror(failed));
    return DC_OK;
}

enum dc_status dc__process_finish(int *code, const struct dc_ctx *ctx, pid_t pid,
                                  struct dc_error *error)
{
    const struct timespec moment = {.tv_nsec = 2000000};
    int status = 0;
    pid_t ended;
    while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && !dc_stop_requested(ctx))
        nanosleep(&moment, NULL);
    if (ended == 0) {
        kill(-pid, SIGKILL);
        waitpid(pid, &status, 0);
        return dc_check_stop(ctx->stop, error);
    }
    *code = ended < 0 ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return DC_OK;
}
