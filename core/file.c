// Owns the opening of files, whole-file reading and atomic writing.
//
// A file being written lives under "NAME.tmp-PID" until it is flushed to disk; the rename is the
// moment it exists. After a failed write neither name is left behind; what a killed process left is
// core/folder.h's to find. Two processes may write the same path: the last rename wins, both files
// were whole. No file is memory-mapped here.

#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/bounds.h"
#include "core/random.h"

static enum dc_status fail_errno(struct dc_error *error, enum dc_status status, const char *path,
                                 const char *what)
{
    return dc_fail(error, status, "%s: %s: %s", path, what, strerror(errno));
}

enum dc_status dc_file_open(FILE **file, int64_t *size, const char *path, struct dc_error *error)
{
    struct stat info;
    *file = NULL;
    *size = 0;
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(error, DC_ERR_DATA, path, "cannot open");
    enum dc_status status = DC_OK;
    if (fstat(fd, &info) != 0)
        status = fail_errno(error, DC_ERR_IO, path, "cannot read");
    else if (!S_ISREG(info.st_mode))
        status = dc_fail(error, DC_ERR_DATA, "%s: not a file but %s", path,
                         S_ISDIR(info.st_mode)    ? "a folder"
                         : S_ISFIFO(info.st_mode) ? "a pipe"
                                                  : "a device or socket");
    else if (!(*file = fdopen(fd, "rb")))
        status = dc_fail(error, DC_ERR_MEMORY, "out of memory");
    if (status != DC_OK) {
        close(fd);
        return status;
    }
    *size = (int64_t)info.st_size;
    return DC_OK;
}

static enum dc_status read_whole(char **text, size_t *have, FILE *file, size_t size,
                                 const char *path, struct dc_arena *arena, struct dc_error *error)
{
    DC_TRY(dc_want_memory(path, "its size", (int64_t)size, 0, error));
    *text = dc_arena_alloc(arena, size + 1, error);
    if (!*text)
        return DC_ERR_MEMORY;
    *have = fread(*text, 1, size, file);
    if (*have == size)
        return DC_OK;
    return ferror(file) ? fail_errno(error, DC_ERR_IO, path, "cannot read")
                        : dc_fail(error, DC_ERR_IO, "%s: ended at byte %zu of %zu while being read",
                                  path, *have, size);
}

enum dc_status dc_file_read(char **text, size_t *size, const char *path, struct dc_arena *arena,
                            struct dc_error *error)
{
    FILE *file = NULL;
    int64_t bytes = 0;
    size_t have = 0;
    DC_TRY(dc_file_open(&file, &bytes, path, error));
    const enum dc_status status = read_whole(text, &have, file, (size_t)bytes, path, arena, error);
    fclose(file);
    if (size)
        *size = have;
    return status;
}

// *hash goes on over the file's next `limit` bytes, or what there is of them.
static enum dc_status hash_some(uint64_t *hash, FILE *file, const char *path, uint64_t limit,
                                struct dc_error *error)
{
    char bytes[65536];
    for (size_t have = 1; limit > 0 && have > 0; limit -= have) {
        have = fread(bytes, 1, limit < sizeof bytes ? (size_t)limit : sizeof bytes, file);
        *hash = dc_hash_bytes(*hash, bytes, have);
    }
    return ferror(file) ? fail_errno(error, DC_ERR_IO, path, "cannot read") : DC_OK;
}

enum dc_status dc_file_hash(uint64_t *hash, const char *path, struct dc_error *error)
{
    FILE *file = NULL;
    int64_t size = 0;
    DC_TRY(dc_file_open(&file, &size, path, error));
    const enum dc_status status = hash_some(hash, file, path, UINT64_MAX, error);
    fclose(file);
    return status;
}

// What a sealed file ends with, after the mark: the hash of all before it and the mark.
static const char seal_mark[8] = "DCSEAL1\n";
enum { SEAL_BYTES = sizeof seal_mark + 8 };

static enum dc_status expected_seal(char seal[SEAL_BYTES], FILE *file, const char *path,
                                    uint64_t bytes, struct dc_error *error)
{
    uint64_t hash = DC_HASH_START;
    DC_TRY(hash_some(&hash, file, path, bytes, error));
    memcpy(seal, seal_mark, sizeof seal_mark);
    hash = dc_hash_bytes(hash, seal_mark, sizeof seal_mark);
    for (int i = 0; i < 8; i++)
        seal[sizeof seal_mark + (size_t)i] = (char)(hash >> 8 * i & 0xff);
    return DC_OK;
}

enum dc_status dc_file_seal(const char *path, struct dc_error *error)
{
    char seal[SEAL_BYTES];
    FILE *file = fopen(path, "r+be");
    if (!file)
        return fail_errno(error, DC_ERR_IO, path, "cannot open");
    enum dc_status status = expected_seal(seal, file, path, UINT64_MAX, error);
    const bool written = status == DC_OK && fseeko(file, 0, SEEK_END) == 0 &&
                         fwrite(seal, 1, sizeof seal, file) == sizeof seal;
    if ((fclose(file) != 0 || !written) && status == DC_OK)
        status = fail_errno(error, DC_ERR_IO, path, "cannot write");
    return status;
}

enum dc_status dc_file_check_seal(const char *path, struct dc_error *error)
{
    char seal[SEAL_BYTES], have[SEAL_BYTES];
    FILE *file = NULL;
    int64_t size = 0;
    DC_TRY(dc_file_open(&file, &size, path, error));
    enum dc_status status = DC_OK;
    // the mark first: a file of any size without it is not read
    bool sealed = size >= SEAL_BYTES && fseeko(file, -SEAL_BYTES, SEEK_END) == 0 &&
                  fread(have, 1, sizeof have, file) == sizeof have &&
                  memcmp(have, seal_mark, sizeof seal_mark) == 0 && fseeko(file, 0, SEEK_SET) == 0;
    if (sealed)
        status = expected_seal(seal, file, path, (uint64_t)size - SEAL_BYTES, error);
    sealed = sealed && status == DC_OK && memcmp(have, seal, sizeof have) == 0;
    if (status == DC_OK && !sealed)
        status = dc_fail(error, DC_ERR_DATA, "%s: its bytes are not those that were written", path);
    fclose(file);
    return status;
}

enum dc_status dc_file_write(const char *path, const void *bytes, size_t size,
                             struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    enum dc_status status = DC_ERR_IO;
    const char *temporary = dc_temporary_path(arena, path, error);
    const int fd = temporary ? open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
    FILE *file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (file) {
        const bool wrote = fwrite(bytes, 1, size, file) == size;
        if (fclose(file) == 0 && wrote) {
            status = dc_file_commit(temporary, path, error);
        } else {
            status = fail_errno(error, DC_ERR_IO, path, "cannot write");
            dc_file_discard(temporary);
        }
    } else if (temporary) {
        status = fail_errno(error, DC_ERR_IO, path, "cannot write");
        if (fd >= 0)
            close(fd);
    }
    dc_arena_free(arena);
    return status;
}

char *dc_temporary_path(struct dc_arena *arena, const char *path, struct dc_error *error)
{
    struct stat info;
    char *temporary = dc_arena_printf(arena, error, "%s.tmp-%ld", path, (long)getpid());
    if (temporary && lstat(temporary, &info) == 0) {
        dc_fail(error, DC_ERR_IO, "%s is in the way of a file to be written; remove it", temporary);
        return NULL;
    }
    return temporary;
}

static bool flush_path(const char *path, int flags)
{
    const int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return false;
    const int result = fsync(fd);
    const int reason = errno;
    close(fd);
    errno = reason;
    return result == 0 || reason == EINVAL;  // some file systems cannot flush a folder
}

// The rename itself is on disk only when the folder is.
static bool flush_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return flush_path(".", O_RDONLY);
    char *folder = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    const bool flushed = folder && flush_path(folder, O_RDONLY);
    free(folder);
    return flushed;
}

enum dc_status dc_file_commit(const char *temporary, const char *path, struct dc_error *error)
{
    if (!flush_path(temporary, O_RDWR) || rename(temporary, path) != 0) {
        const enum dc_status status = fail_errno(error, DC_ERR_IO, path, "cannot write");
        dc_file_discard(temporary);
        return status;
    }
    if (!flush_folder_of(path))
        return fail_errno(error, DC_ERR_IO, path, "written, but its folder cannot be flushed");
    return DC_OK;
}

void dc_file_discard(const char *temporary)
{
    unlink(temporary);
}

enum dc_status dc_make_directory(const char *path, struct dc_error *error)
{
    char *text = strdup(path);
    if (!text)
        return dc_fail(error, DC_ERR_MEMORY, "out of memory");
    enum dc_status status = DC_OK;
    for (char *end = text; status == DC_OK && *end;) {
        end += strspn(end, "/");
        end += strcspn(end, "/");
        const char kept = *end;
        *end = '\0';
        struct stat info;
        if (mkdir(text, 0777) != 0 && errno != EEXIST)
            status = fail_errno(error, DC_ERR_IO, text, "cannot make the folder");
        else if (stat(text, &info) != 0 || !S_ISDIR(info.st_mode))
            status = dc_fail(error, DC_ERR_IO, "%s: exists and is not a folder", text);
        *end = kept;
    }
    free(text);
    return status;
}

bool dc_file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

static bool is_name_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

// `from` points at a '$'. *value: what it stands for; *after: the rest of the path.
static enum dc_status expand_variable(const char **value, const char **after, const char *from,
                                      const char *path, struct dc_arena *arena,
                                      struct dc_error *error)
{
    const bool braces = from[1] == '{';
    const char *start = from + (braces ? 2 : 1);
    size_t length = 0;
    while (is_name_char(start[length]))
        length++;
    if (length == 0 || (braces && start[length] != '}'))
        return dc_fail(error, DC_ERR_CONFIG,
                       "path '%s': '$' must be followed by NAME or {NAME} of a variable", path);
    char *name = dc_arena_alloc(arena, length + 1, error);
    if (!name)
        return DC_ERR_MEMORY;
    memcpy(name, start, length);
    *value = getenv(name);
    *after = start + length + (braces ? 1 : 0);
    if (!*value)
        return dc_fail(error, DC_ERR_CONFIG, "path '%s': the environment variable %s is not set",
                       path, name);
    return DC_OK;
}

enum dc_status dc_path_resolve(char **resolved, const char *path, const char *relative_to,
                               struct dc_arena *arena, struct dc_error *error)
{
    char *text = dc_arena_copy(arena, "", error);
    for (const char *rest = path; text && *rest;) {
        const int plain = (int)strcspn(rest, "$");
        const char *value = "", *after = rest + plain;
        if (*after == '$')
            DC_TRY(expand_variable(&value, &after, after, path, arena, error));
        text = dc_arena_printf(arena, error, "%s%.*s%s", text, plain, rest, value);
        rest = after;
    }
    const char *slash = relative_to ? strrchr(relative_to, '/') : NULL;
    if (text && slash && text[0] != '/')
        text = dc_arena_printf(arena, error, "%.*s%s", (int)(slash + 1 - relative_to), relative_to,
                               text);
    *resolved = text;
    return text ? DC_OK : DC_ERR_MEMORY;
}

enum dc_status dc_path_absolute(char **absolute, const char *path, const char *relative_to,
                                struct dc_arena *arena, struct dc_error *error)
{
    char *resolved = NULL;
    DC_TRY(dc_path_resolve(&resolved, path, relative_to, arena, error));
    char *real = realpath(resolved, NULL);  // also without symbolic links
    char *here = real || resolved[0] == '/' ? NULL : getcwd(NULL, 0);
    *absolute = real   ? dc_arena_copy(arena, real, error)
                : here ? dc_arena_printf(arena, error, "%s/%s", here, resolved)
                       : resolved;
    free(real);
    free(here);
    return *absolute ? DC_OK : DC_ERR_MEMORY;
}
