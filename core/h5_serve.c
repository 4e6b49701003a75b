// Owns the reading side of the reader process: what a program becomes where it is started as one.
//
// It takes over before main, so that whatever program the library is linked to can be started anew
// as a reader. It has two descriptors: a socket for questions and answers, and the file; values go
// through memory that both sides have mapped. Once the file is open it can open nothing more, so
// that no external file, link or plugin is reached whatever HDF5 is made to believe; its memory and
// the time of an answer follow the file's size. It dies of what goes wrong, and the side that asks
// tells (h5_reader.c).

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/bounds.h"
#include "core/h5_internal.h"

enum { SECONDS = 2, BYTES_A_SECOND = 20000000, PIECE_MAX = 32 << 20 };
static const int64_t own_bytes = INT64_C(512) << 20;

const char dc__h5_reader_variable[] = "DECANT_HDF5_READER";

struct server {
    int socket, file, segment;
    struct dc_h5 *h5;
    char *shared;
    int64_t shared_bytes, file_bytes;
    struct dc__h5_request request;
    struct dc__h5_answer answer;
};

static int64_t address_space(void)
{
    long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%lld", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void limit(int resource, int64_t most)
{
    struct rlimit now;
    if (getrlimit(resource, &now) != 0)
        return;
    if (now.rlim_max == RLIM_INFINITY || now.rlim_max > (rlim_t)most)
        now.rlim_max = (rlim_t)most;
    now.rlim_cur = now.rlim_max;
    setrlimit(resource, &now);
}

static enum dc_status answer_open(struct server *s, struct dc_error *error)
{
    char where[64];
    const int64_t used = address_space();
    snprintf(where, sizeof where, "/proc/self/fd/%d", s->file);
    limit(RLIMIT_CORE, 0);
    if (used > 0)
        limit(RLIMIT_AS, used + dc_unpacked_most(s->file_bytes) + own_bytes);
    const enum dc_status status = dc__h5_open_here(&s->h5, where, s->request.name, error);
    limit(RLIMIT_NOFILE, 0);
    return status;
}

// As many rows as there is room for, whole chunks where they fit, so that none is unpacked twice.
static enum dc_status answer_rows(struct server *s, struct dc_error *error)
{
    const struct dc__h5_request *r = &s->request;
    const struct dc__h5_held *held = NULL;
    dc__h5_lock();
    enum dc_status status = dc__h5_hold(&held, s->h5, r->name, error);
    dc__h5_unlock();
    if (status != DC_OK)
        return status;
    struct dc_shape row = held->shape;
    row.dims[0] = 1;
    int64_t row_bytes = 0, rows = r->count;
    if ((unsigned)r->dtype >= DC_DTYPE_COUNT || !dc_shape_bytes(&row_bytes, &row, r->dtype))
        return dc_fail(error, DC_ERR_DATA, "%s: a row of array '%s' is too large", s->h5->path,
                       r->name);
    int64_t wanted = row_bytes;
    if (row_bytes > 0 && held->chunk_rows <= PIECE_MAX / row_bytes)
        wanted = row_bytes * (held->chunk_rows < r->count ? held->chunk_rows : r->count);
    s->answer.row_bytes = row_bytes;
    if (rows > 0 && wanted > s->shared_bytes) {
        s->answer.need = wanted;
        return DC_OK;
    }
    if (row_bytes > 0 && rows > s->shared_bytes / row_bytes) {
        rows = s->shared_bytes / row_bytes;
        const int64_t odd = (r->first + rows) % held->chunk_rows;
        rows -= rows > odd ? odd : 0;
    }
    s->answer.number = rows;
    return dc_h5_read_rows(s->h5, r->name, r->dtype, s->shared, r->first, rows, error);
}

static enum dc_status answer_text(struct server *s, struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    char *text = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = dc_h5_get_text(s->h5, s->request.name, &text, arena, error);
    const int64_t length = status == DC_OK ? (int64_t)strlen(text) : 0;
    if (length >= s->shared_bytes)
        s->answer.need = length + 1;
    else if (status == DC_OK)
        memcpy(s->shared, text, (size_t)length);
    s->answer.number = length;
    dc_arena_free(arena);
    return status;
}

static void list_entry(void *user, const char *name, enum dc_dtype dtype,
                       const struct dc_shape *shape)
{
    struct server *s = user;
    struct dc__h5_entry entry = {.dtype = dtype, .shape = *shape};
    const int64_t end = (s->answer.number + 1) * (int64_t)sizeof entry;
    snprintf(entry.name, sizeof entry.name, "%s", name);
    if (end <= s->shared_bytes)
        memcpy(s->shared + end - sizeof entry, &entry, sizeof entry);
    else
        s->answer.need = end;
    s->answer.number++;
}

static enum dc_status answer_question(struct server *s, struct dc_error *error)
{
    struct dc__h5_answer *answer = &s->answer;
    if (s->request.question != DC__H5_OPEN && !s->h5)
        return dc_fail(error, DC_ERR_INTERNAL, "the file is not open");
    switch (s->request.question) {
    case DC__H5_OPEN:
        return answer_open(s, error);
    case DC__H5_HAS:
        answer->number = dc_h5_has(s->h5, s->request.name);
        return DC_OK;
    case DC__H5_DESCRIBE:
        return dc__h5_look_at(&answer->dtype, &answer->shape, s->h5, s->request.name, error);
    case DC__H5_ROWS:
        return answer_rows(s, error);
    case DC__H5_TEXT:
        return answer_text(s, error);
    case DC__H5_INT:
        return dc_h5_get_int(s->h5, s->request.name, &answer->number, error);
    case DC__H5_LIST:
        return dc_h5_list(s->h5, list_entry, s, error);
    }
    return dc_fail(error, DC_ERR_INTERNAL, "an unknown question");
}

// The asking side has made the memory, or made it anew and larger.
static bool map_memory(struct server *s)
{
    if (s->shared && s->request.segment == s->segment)
        return true;
    void *shared = shmat(s->request.segment, NULL, 0);
    if (shared == (void *)-1)
        return false;
    if (s->shared)
        shmdt(s->shared);
    s->shared = shared;
    s->segment = s->request.segment;
    s->shared_bytes = s->request.shared_bytes;
    return true;
}

// Processor time, so that a slow disk is no fault; who uses it up is ended by SIGPROF.
static void set_alarm(int64_t seconds)
{
    const struct itimerval alarm = {.it_value.tv_sec = (time_t)seconds};
    setitimer(ITIMER_PROF, &alarm, NULL);
}

static void serve(struct server *s)
{
    struct stat info;
    if (fstat(s->file, &info) == 0)
        s->file_bytes = (int64_t)info.st_size;
    for (;;) {
        struct dc_error error = {0};
        ssize_t moved = recv(s->socket, &s->request, sizeof s->request, 0);
        if (moved < 0 && errno == EINTR)
            continue;
        if (moved != (ssize_t)sizeof s->request || !map_memory(s))
            return;
        s->request.name[sizeof s->request.name - 1] = '\0';
        s->answer = (struct dc__h5_answer){0};
        set_alarm(SECONDS + s->file_bytes / BYTES_A_SECOND);
        s->answer.status = answer_question(s, &error);
        set_alarm(0);
        if (s->answer.status != DC_OK)
            memcpy(s->answer.message, error.message, sizeof s->answer.message);
        if (send(s->socket, &s->answer, sizeof s->answer, MSG_NOSIGNAL) !=
            (ssize_t)sizeof s->answer)
            return;
    }
}

__attribute__((constructor)) static void become_reader(void)
{
    static struct server server;
    const char *given = getenv(dc__h5_reader_variable);
    if (!given)
        return;
    if (sscanf(given, "%d %d", &server.socket, &server.file) == 2)
        serve(&server);
    _exit(0);
}
