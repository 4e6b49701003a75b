// Owns RUN/LOCK: which process works in a run directory, in words, for machines that share the
// directory but not flock (NFS), and for people. On one machine flock of log.txt decides; what a
// killed process left is then known to be stale. A lock of another machine is never broken unasked.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "run/log.h"
#include "run/run_internal.h"

static const char mark[] = "A decant works here.";

struct holder {
    char host[256], started[32];
    long pid;
};

static struct holder own_holder(void)
{
    struct holder own = {.pid = (long)getpid()};
    struct tm parts;
    const time_t now = time(NULL);
    if (gethostname(own.host, sizeof own.host - 1) != 0)
        snprintf(own.host, sizeof own.host, "unknown");
    strftime(own.started, sizeof own.started, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
    return own;
}

// False: there is none, or a file that is no lock of Decant's.
static bool read_holder(struct holder *holder, const char *path)
{
    char text[1024] = "", words[64] = "";
    FILE *file = fopen(path, "re");
    const size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    *holder = (struct holder){.host = "?"};
    return size > 0 &&
           sscanf(text, "%63[^\n]\nhost: %255[^\n]\npid: %ld\nstarted: %31[^\n]", words,
                  holder->host, &holder->pid, holder->started) == 4 &&
           strcmp(words, mark) == 0;
}

const char *dc__lock_holder(char text[512], const struct dc_run *run)
{
    struct holder holder;
    const char *path = dc__path(run, "LOCK", NULL);
    text[0] = '\0';
    if (path && read_holder(&holder, path))
        snprintf(text, 512, " (pid %ld on %s, since %s)", holder.pid, holder.host, holder.started);
    return text;
}

// What lies there may be removed: of this machine and dead, or the user said so.
static enum dc_status check_stale(struct dc_run *run, const char *path, const struct holder *own,
                                  struct dc_error *error)
{
    struct holder holder;
    if (!read_holder(&holder, path))
        return dc_fail(error, DC_ERR_USAGE,
                       "%s: is no lock of Decant's, or one that was not written to its end; remove "
                       "it if no decant is at work on this run",
                       path);
    const bool here = strcmp(holder.host, own->host) == 0;
    const bool dead = here && (run->flocked || (kill((pid_t)holder.pid, 0) != 0 && errno == ESRCH));
    if (!dead && !run->break_lock)
        return dc_fail(error, DC_ERR_USAGE,
                       "%s: a decant with pid %ld on %s is at work here since %s, or died there; "
                       "if it is dead, --break-lock goes on without it",
                       run->directory, holder.pid, holder.host, holder.started);
    if (!here && run->ctx)  // a sweep has none
        dc_log(run->ctx, DC_LOG_WARNING, "the lock of pid %ld on %s was broken", holder.pid,
               holder.host);
    return DC_OK;
}

static bool write_text(const char *path, const struct holder *own)
{
    char text[512];
    const int length = snprintf(text, sizeof text, "%s\nhost: %s\npid: %ld\nstarted: %s\n", mark,
                                own->host, own->pid, own->started);
    const int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    const bool written = file >= 0 && write(file, text, (size_t)length) == length &&
                         fsync(file) == 0;
    const int problem = errno;
    if (file >= 0)
        close(file);
    errno = problem;
    return written;
}

// A lock appears with its words or not at all, where the file system has hard links.
static bool take(const char *path, const char *temporary)
{
    const bool taken = link(temporary, path) == 0;
    if (taken || (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS))
        return taken;
    const struct holder own = own_holder();
    return write_text(path, &own);
}

enum dc_status dc__lock(struct dc_run *run, struct dc_error *error)
{
    const struct holder own = own_holder();
    const char *path = dc__path(run, "LOCK", error);
    char *temporary = path ? dc_temporary_path(run->arena, path, error) : NULL;
    enum dc_status status = DC_OK;
    if (!temporary)
        return DC_ERR_MEMORY;
    run->locked = write_text(temporary, &own) && take(path, temporary);
    if (!run->locked && errno == EEXIST) {
        status = check_stale(run, path, &own, error);
        run->locked = status == DC_OK && unlink(path) == 0 && take(path, temporary);
    }
    const int problem = errno;
    unlink(temporary);
    if (status == DC_OK && !run->locked)
        status = dc_fail(error, DC_ERR_IO, "%s: cannot write: %s", path, strerror(problem));
    return status;
}

void dc__unlock(struct dc_run *run)
{
    struct holder holder;
    const struct holder own = own_holder();
    const char *path = run->locked ? dc__path(run, "LOCK", NULL) : NULL;
    if (path && read_holder(&holder, path) && holder.pid == own.pid &&
        strcmp(holder.host, own.host) == 0)
        unlink(path);
    run->locked = false;
}
