// Owns the asking side of the reader process: starting it, one question at a time, and the message
// when it dies.
//
// HDF5 1.10 reads out of its buffers where a file is damaged with intent. So a file that others
// made is read by a process that has nothing to lose: this program started anew (h5_serve.c takes
// it over before its main), with limits on memory, time and files. What it answers is checked like
// a file. docs/decisions/0007 tells why it is not forked.
//
// Thread safe: one lock a reader. A question allocates nothing once the memory is large enough.

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/bounds.h"
#include "core/file.h"
#include "core/h5_internal.h"

enum { FIRST_BYTES = 1 << 20, LEAST_DESCRIPTOR = 10 };
#define NO_MEMORY ((void *)-1)  // of shmat

struct dc__h5_reader {
    pid_t pid;   // 0: none runs
    int socket;  // -1: closed
    char *path;
    void *shared;
    int64_t shared_bytes;
    int ended;  // what waitpid said of it
    pthread_mutex_t lock;
    struct dc__h5_request request;
    struct dc__h5_answer answer;
};

// The same descriptor under a number that is out of the way of those the new process gets.
static int out_of_the_way(int fd)
{
    const int moved = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, LEAST_DESCRIPTOR);
    if (fd >= 0)
        close(fd);
    return moved;
}

// This program's environment and the reader's variable before it.
static char **make_environment(char *variable)
{
    size_t count = 0;
    while (environ[count])
        count++;
    char **all = malloc(sizeof *all * (count + 2));
    if (!all)
        return NULL;
    all[0] = variable;
    memcpy(all + 1, environ, sizeof *all * (count + 1));
    return all;
}

// Signals that stop a run in order are the run's business; the reader ends when its socket does.
static void block_stops(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGQUIT);
    sigaddset(set, SIGUSR1);
    sigaddset(set, SIGUSR2);
}

// The program that runs here, by a name that debuggers resolve too; by its descriptor where another
// file has taken its place since.
static const char *own_program(char path[PATH_MAX])
{
    static const char gone[] = " (deleted)", own[] = "/proc/self/exe";
    const ssize_t length = readlink(own, path, PATH_MAX - 1);
    if (length <= 0)
        return own;
    path[length] = '\0';
    const size_t end = strlen(path), tail = sizeof gone - 1;
    return end > tail && strcmp(path + end - tail, gone) == 0 ? own : path;
}

// Descriptors 3 and 4 of the new process are socket and file; it has no others.
static int set_descriptors(posix_spawn_file_actions_t *actions, int socket, int file)
{
    const int moves[][2] = {{socket, 3}, {file, 4}};
    int failed = 0;
    for (int i = 0; i < 2 && !failed; i++)
        failed = posix_spawn_file_actions_adddup2(actions, moves[i][0], moves[i][1]);
    for (int i = 0; i < 3 && !failed; i++)
        failed = posix_spawn_file_actions_addopen(actions, i, "/dev/null", O_RDWR, 0);
    return failed ? failed : posix_spawn_file_actions_addclosefrom_np(actions, 5);
}

static int spawn_with(pid_t *pid, char *const *arguments, char *const *environment,
                      posix_spawn_file_actions_t *actions)
{
    posix_spawnattr_t attributes;
    sigset_t blocked;
    char program[PATH_MAX];
    int failed = posix_spawnattr_init(&attributes);
    if (failed)
        return failed;
    block_stops(&blocked);
    failed = posix_spawnattr_setsigmask(&attributes, &blocked);
    if (!failed)
        failed = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    if (!failed)
        failed = posix_spawn(pid, own_program(program), actions, &attributes, arguments,
                             environment);
    posix_spawnattr_destroy(&attributes);
    return failed;
}

// 0, or the number of what went wrong.
static int spawn(pid_t *pid, char *path, int socket, int file)
{
    char variable[128], name[] = "decant: HDF5 reader of";
    char *const arguments[] = {name, path, NULL};
    posix_spawn_file_actions_t actions;
    snprintf(variable, sizeof variable, "%s=3 4", dc__h5_reader_variable);
    char **environment = make_environment(variable);
    int failed = environment ? posix_spawn_file_actions_init(&actions) : ENOMEM;
    if (!failed) {
        failed = set_descriptors(&actions, socket, file);
        if (!failed)
            failed = spawn_with(pid, arguments, environment, &actions);
        posix_spawn_file_actions_destroy(&actions);
    }
    free(environment);
    return failed;
}

static enum dc_status fail_start(const char *path, int reason, struct dc_error *error)
{
    return dc_fail(error, DC_ERR_IO, "%s: no process can be started to read it: %s", path,
                   strerror(reason));
}

// Memory of both processes: a System V segment, because no limit on the size of files counts for
// it. It is marked for removal at once, so that it goes with the last of the two. Read-only here.
static enum dc_status share(struct dc__h5_reader *reader, int64_t bytes, struct dc_error *error)
{
    const int segment = shmget(IPC_PRIVATE, (size_t)bytes, IPC_CREAT | 0600);
    void *shared = segment >= 0 ? shmat(segment, NULL, SHM_RDONLY) : NO_MEMORY;
    const int reason = errno;
    if (segment >= 0)
        shmctl(segment, IPC_RMID, NULL);
    if (shared == NO_MEMORY)
        return dc_fail(error, DC_ERR_MEMORY,
                       "%s: %" PRId64 " bytes of shared memory to read it with were refused: %s",
                       reader->path, bytes, strerror(reason));
    if (reader->shared)
        shmdt(reader->shared);
    reader->shared = shared;
    reader->shared_bytes = bytes;
    reader->request.segment = segment;
    return DC_OK;
}

static enum dc_status start(struct dc__h5_reader *reader, struct dc_error *error)
{
    int ends[2] = {-1, -1};
    FILE *file = NULL;
    int64_t size = 0;
    DC_TRY(dc_file_open(&file, &size, reader->path, error));
    const int given = fcntl(fileno(file), F_DUPFD_CLOEXEC, LEAST_DESCRIPTOR);
    const int reason = errno;
    fclose(file);
    int failed = given < 0 ? reason : 0;
    if (!failed && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        failed = errno;
    reader->socket = out_of_the_way(ends[0]);
    const int other = out_of_the_way(ends[1]);
    if (!failed && (reader->socket < 0 || other < 0))
        failed = EMFILE;
    if (!failed)
        failed = spawn(&reader->pid, reader->path, other, given);
    if (other >= 0)
        close(other);
    if (given >= 0)
        close(given);
    if (failed) {
        reader->pid = 0;
        return fail_start(reader->path, failed, error);
    }
    return share(reader, FIRST_BYTES, error);
}

// After its end: the message, each time that it is asked again.
static enum dc_status fail_dead(struct dc__h5_reader *reader, struct dc_error *error)
{
    if (reader->pid > 0) {
        close(reader->socket);
        reader->socket = -1;
        reader->ended = 0;
        while (waitpid(reader->pid, &reader->ended, 0) < 0 && errno == EINTR)
            continue;
        reader->pid = 0;
    }
    const int by = WIFSIGNALED(reader->ended) ? WTERMSIG(reader->ended) : 0;
    if (by == SIGPROF)
        return dc_fail(error, DC_ERR_DATA,
                       "%s: reading it takes more time than a file of its size may: it is damaged",
                       reader->path);
    return dc_fail(error, DC_ERR_DATA,
                   "%s: the process that reads it ended (%s): the file is damaged, or made to "
                   "break its reader",
                   reader->path, by ? strsignal(by) : "it exited");
}

// Whether an answer makes sense; one that does not comes from a reader gone bad.
static bool is_sound(const struct dc__h5_reader *reader, enum dc__h5_question question)
{
    const struct dc__h5_answer *a = &reader->answer;
    int64_t bytes = 0;
    return (unsigned)a->status < DC_STATUS_COUNT && (unsigned)a->dtype <= DC_DTYPE_COUNT &&
           a->shape.rank >= 0 && a->shape.rank <= DC_RANK_MAX &&
           dc_product(&bytes, a->shape.dims, a->shape.rank) &&
           (a->number >= 0 || question == DC__H5_INT) &&
           memchr(a->message, '\0', sizeof a->message) != NULL;
}

// The request is filled in but for its name. Under the reader's lock.
static enum dc_status ask(struct dc__h5_reader *reader, enum dc__h5_question question,
                          const char *name, struct dc_error *error)
{
    struct dc__h5_request *request = &reader->request;
    struct dc__h5_answer *answer = &reader->answer;
    if (reader->pid <= 0)
        return fail_dead(reader, error);
    if (strlen(name) >= sizeof request->name)
        return dc_fail(error, DC_ERR_DATA, "%s: a name of %zu bytes is too long", reader->path,
                       strlen(name));
    request->question = question;
    memset(request->name, 0, sizeof request->name);
    memcpy(request->name, name, strlen(name));
    for (;;) {
        ssize_t moved;
        request->shared_bytes = reader->shared_bytes;
        while ((moved = send(reader->socket, request, sizeof *request, MSG_NOSIGNAL)) < 0 &&
               errno == EINTR)
            continue;
        if (moved == (ssize_t)sizeof *request)
            while ((moved = recv(reader->socket, answer, sizeof *answer, 0)) < 0 && errno == EINTR)
                continue;
        if (moved != (ssize_t)sizeof *answer)
            return fail_dead(reader, error);
        if (!is_sound(reader, question))
            return dc_fail(error, DC_ERR_DATA, "%s: its reader gives no sensible answer",
                           reader->path);
        if (answer->status != DC_OK)
            return dc_fail(error, answer->status, "%s", answer->message);
        if (answer->need <= reader->shared_bytes)
            return DC_OK;
        DC_TRY(dc_want_memory(reader->path, name, answer->need, 0, error));
        DC_TRY(share(reader, answer->need, error));
    }
}

enum dc_status dc__reader_open(struct dc__h5_reader **out, const char *path, struct dc_error *error)
{
    *out = NULL;
    struct dc__h5_reader *reader = calloc(1, sizeof *reader);
    if (!reader || !(reader->path = strdup(path))) {
        free(reader);
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    }
    reader->socket = -1;
    pthread_mutex_init(&reader->lock, NULL);
    enum dc_status status = start(reader, error);
    if (status == DC_OK)
        status = ask(reader, DC__H5_OPEN, path, error);
    if (status == DC_OK)
        *out = reader;
    else
        dc__reader_close(reader);
    return status;
}

void dc__reader_close(struct dc__h5_reader *reader)
{
    if (!reader)
        return;
    if (reader->socket >= 0)
        close(reader->socket);
    while (reader->pid > 0 && waitpid(reader->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    if (reader->shared)
        shmdt(reader->shared);
    pthread_mutex_destroy(&reader->lock);
    free(reader->path);
    free(reader);
}

bool dc__reader_has(struct dc__h5_reader *reader, const char *name)
{
    pthread_mutex_lock(&reader->lock);
    // What cannot be asked may be there: whoever goes on to read it is told why it cannot be.
    const bool has = ask(reader, DC__H5_HAS, name, NULL) != DC_OK || reader->answer.number == 1;
    pthread_mutex_unlock(&reader->lock);
    return has;
}

enum dc_status dc__reader_describe(struct dc__h5_reader *reader, const char *name,
                                   enum dc_dtype *dtype, struct dc_shape *shape,
                                   struct dc_error *error)
{
    pthread_mutex_lock(&reader->lock);
    const enum dc_status status = ask(reader, DC__H5_DESCRIBE, name, error);
    if (status == DC_OK) {
        *dtype = reader->answer.dtype;
        *shape = reader->answer.shape;
    }
    pthread_mutex_unlock(&reader->lock);
    return status;
}

// Piece by piece, as many rows as the memory holds.
static enum dc_status read_pieces(struct dc__h5_reader *reader, const char *name,
                                  enum dc_dtype dtype, uint8_t *rows, int64_t first, int64_t count,
                                  struct dc_error *error)
{
    const struct dc__h5_answer *answer = &reader->answer;
    do {
        reader->request.dtype = dtype;
        reader->request.first = first;
        reader->request.count = count;
        DC_TRY(ask(reader, DC__H5_ROWS, name, error));
        int64_t bytes = 0;
        if (!dc_product(&bytes, (int64_t[]){answer->number, answer->row_bytes}, 2) ||
            bytes > reader->shared_bytes || answer->number > count ||
            (answer->number == 0 && count > 0))
            return dc_fail(error, DC_ERR_DATA, "%s: its reader gives no sensible answer",
                           reader->path);
        if (bytes > 0)
            memcpy(rows, reader->shared, (size_t)bytes);
        rows += bytes;
        first += answer->number;
        count -= answer->number;
    } while (count > 0);
    return DC_OK;
}

enum dc_status dc__reader_rows(struct dc__h5_reader *reader, const char *name, enum dc_dtype dtype,
                               void *rows, int64_t first, int64_t count, struct dc_error *error)
{
    pthread_mutex_lock(&reader->lock);
    const enum dc_status status = read_pieces(reader, name, dtype, rows, first, count, error);
    pthread_mutex_unlock(&reader->lock);
    return status;
}

enum dc_status dc__reader_text(struct dc__h5_reader *reader, const char *name, char **text,
                               struct dc_arena *arena, struct dc_error *error)
{
    pthread_mutex_lock(&reader->lock);
    enum dc_status status = ask(reader, DC__H5_TEXT, name, error);
    const int64_t length = reader->answer.number;
    if (status == DC_OK && length >= reader->shared_bytes)
        status = dc_fail(error, DC_ERR_DATA, "%s: its reader gives no sensible answer",
                         reader->path);
    *text = status == DC_OK ? dc_arena_alloc(arena, (size_t)length + 1, error) : NULL;
    if (*text)
        memcpy(*text, reader->shared, (size_t)length);
    else if (status == DC_OK)
        status = DC_ERR_MEMORY;
    pthread_mutex_unlock(&reader->lock);
    return status;
}

enum dc_status dc__reader_int(struct dc__h5_reader *reader, const char *name, int64_t *value,
                              struct dc_error *error)
{
    pthread_mutex_lock(&reader->lock);
    const enum dc_status status = ask(reader, DC__H5_INT, name, error);
    *value = status == DC_OK ? reader->answer.number : 0;
    pthread_mutex_unlock(&reader->lock);
    return status;
}

enum dc_status dc__reader_list(struct dc__h5_reader *reader,
                               void (*visit)(void *user, const char *name, enum dc_dtype dtype,
                                             const struct dc_shape *shape),
                               void *user, struct dc_error *error)
{
    pthread_mutex_lock(&reader->lock);
    enum dc_status status = ask(reader, DC__H5_LIST, "", error);
    const int64_t entries = status == DC_OK ? reader->answer.number : 0;
    if (entries > reader->shared_bytes / (int64_t)sizeof(struct dc__h5_entry))
        status = dc_fail(error, DC_ERR_DATA, "%s: its reader gives no sensible answer",
                         reader->path);
    for (int64_t i = 0; status == DC_OK && i < entries; i++) {
        struct dc__h5_entry entry;
        memcpy(&entry, (const char *)reader->shared + (size_t)i * sizeof entry, sizeof entry);
        entry.name[sizeof entry.name - 1] = '\0';
        if ((unsigned)entry.dtype < DC_DTYPE_COUNT && entry.shape.rank >= 0 &&
            entry.shape.rank <= DC_RANK_MAX)
            visit(user, entry.name, entry.dtype, &entry.shape);
    }
    pthread_mutex_unlock(&reader->lock);
    return status;
}
