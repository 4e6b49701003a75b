// Owns whole-file reading, decompression and atomic writing.
//
// A file being written lives under "NAME.tmp-PID" until it is flushed to disk; the rename is the
// moment it exists. After a failed write neither name is left behind, and what a killed process
// left is removed by the next that writes the file (folder.h). Two processes may write the same
// path: the last rename wins, both files were whole. No file is memory-mapped here.

#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "core/folder.h"
#include "core/random.h"

static enum dc_status fail_errno(struct dc_error *error, enum dc_status status, const char *path,
                                 const char *what)
{
    return dc_fail(error, status, "%s: %s: %s", path, what, strerror(errno));
}

enum dc_status dc_file_read(char **text, size_t *size, const char *path, struct dc_arena *arena,
                            struct dc_error *error)
{
    struct stat info;
    size_t have = 0;
    enum dc_status status = DC_OK;
    FILE *file = fopen(path, "rbe");
    if (!file)
        return fail_errno(error, DC_ERR_DATA, path, "cannot open");
    if (fstat(fileno(file), &info) != 0)
        status = fail_errno(error, DC_ERR_IO, path, "cannot read");
    else if (!S_ISREG(info.st_mode))
        status = dc_fail(error, DC_ERR_DATA, "%s: not a file%s", path,
                         S_ISDIR(info.st_mode) ? " but a folder" : "");
    else if (!(*text = dc_arena_alloc(arena, (size_t)info.st_size + 1, error)))
        status = DC_ERR_MEMORY;
    else if ((have = fread(*text, 1, (size_t)info.st_size, file)) < (size_t)info.st_size)
        status = ferror(file)
                     ? fail_errno(error, DC_ERR_IO, path, "cannot read")
                     : dc_fail(error, DC_ERR_IO, "%s: ended at byte %zu of %zu while being read",
                               path, have, (size_t)info.st_size);
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
    FILE *file = fopen(path, "rbe");
    if (!file)
        return fail_errno(error, DC_ERR_DATA, path, "cannot open");
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
    FILE *file = fopen(path, "rbe");
    if (!file)
        return fail_errno(error, DC_ERR_DATA, path, "cannot open");
    const off_t size = fseeko(file, 0, SEEK_END) == 0 ? ftello(file) : -1;
    rewind(file);
    enum dc_status status = DC_OK;
    if (size >= SEAL_BYTES)
        status = expected_seal(seal, file, path, (uint64_t)size - SEAL_BYTES, error);
    if (status == DC_OK && (size < SEAL_BYTES || fread(have, 1, sizeof have, file) != sizeof have ||
                            memcmp(have, seal, sizeof have) != 0))
        status = dc_fail(error, DC_ERR_DATA, "%s: its bytes are not those that were written", path);
    fclose(file);
    return status;
}

// The decoded bytes while their number is unknown; doubled as they come.
struct growing {
    uint8_t *bytes;
    size_t used, capacity;
};

static bool grow(struct growing *out)
{
    if (out->used < out->capacity)
        return true;
    const size_t capacity = out->capacity ? 2 * out->capacity : 1 << 20;
    uint8_t *bytes = capacity > out->capacity ? realloc(out->bytes, capacity) : NULL;
    if (!bytes)
        return false;
    out->bytes = bytes;
    out->capacity = capacity;
    return true;
}

static enum dc_status fail_grow(struct dc_error *error, const char *path, const struct growing *out)
{
    return dc_fail(error, DC_ERR_MEMORY, "%s: out of memory after %zu decoded bytes", path,
                   out->used);
}

static enum dc_status fail_decode(struct dc_error *error, const char *path, const char *format,
                                  bool truncated, size_t at)
{
    return dc_fail(error, DC_ERR_DATA, "%s: %s %s data near byte %zu", path,
                   truncated ? "truncated" : "damaged", format, at);
}

// Members may follow each other, as gzip allows.
static enum dc_status inflate_all(struct growing *out, z_stream *z, const uint8_t *bytes,
                                  size_t size, const char *path, struct dc_error *error)
{
    const size_t piece = 1 << 30;  // zlib counts in unsigned int
    size_t taken = 0;
    for (;;) {
        if (!grow(out))
            return fail_grow(error, path, out);
        const size_t in = size - taken < piece ? size - taken : piece;
        const size_t room = out->capacity - out->used < piece ? out->capacity - out->used : piece;
        z->next_in = (Bytef *)(uintptr_t)(bytes + taken);
        z->avail_in = (uInt)in;
        z->next_out = out->bytes + out->used;
        z->avail_out = (uInt)room;
        const int result = inflate(z, Z_NO_FLUSH);
        taken += in - z->avail_in;
        out->used += room - z->avail_out;
        if (result == Z_MEM_ERROR)
            return fail_grow(error, path, out);
        if (result == Z_STREAM_END && taken == size)
            return DC_OK;
        if (result == Z_STREAM_END && inflateReset(z) == Z_OK)
            continue;
        if (result != Z_OK)
            return fail_decode(error, path, "gzip", result == Z_BUF_ERROR && taken == size, taken);
    }
}

static enum dc_status decode_gzip(struct growing *out, const uint8_t *bytes, size_t size,
                                  const char *path, struct dc_error *error)
{
    z_stream z = {0};
    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        return fail_grow(error, path, out);
    const enum dc_status status = inflate_all(out, &z, bytes, size, path, error);
    inflateEnd(&z);
    return status;
}

static enum dc_status decode_xz(struct growing *out, const uint8_t *bytes, size_t size,
                                const char *path, struct dc_error *error)
{
    lzma_stream x = LZMA_STREAM_INIT;
    if (lzma_stream_decoder(&x, UINT64_MAX, LZMA_CONCATENATED) != LZMA_OK)
        return fail_grow(error, path, out);
    x.next_in = bytes;
    x.avail_in = size;
    enum dc_status status = DC_OK;
    for (lzma_ret result = LZMA_OK; status == DC_OK && result != LZMA_STREAM_END;) {
        if (!grow(out)) {
            status = fail_grow(error, path, out);
            break;
        }
        x.next_out = out->bytes + out->used;
        x.avail_out = out->capacity - out->used;
        result = lzma_code(&x, LZMA_FINISH);
        out->used = out->capacity - x.avail_out;
        if (result == LZMA_MEM_ERROR)
            status = fail_grow(error, path, out);
        else if (result != LZMA_OK && result != LZMA_STREAM_END)
            status = fail_decode(error, path, "xz", result == LZMA_BUF_ERROR, size - x.avail_in);
    }
    lzma_end(&x);
    return status;
}

enum dc_status dc_file_read_decoded(uint8_t **bytes, size_t *size, const char *path,
                                    struct dc_arena *arena, struct dc_error *error)
{
    static const uint8_t gzip[] = {0x1f, 0x8b}, xz[] = {0xfd, '7', 'z', 'X', 'Z', 0};
    struct dc_arena *packed = NULL;
    struct growing out = {0};
    char *text = NULL;
    size_t length = 0;
    DC_TRY(dc_arena_create(&packed, error));
    enum dc_status status = dc_file_read(&text, &length, path, packed, error);
    const bool is_gzip = status == DC_OK && length >= sizeof gzip && !memcmp(text, gzip, 2);
    const bool is_xz = status == DC_OK && length >= sizeof xz && !memcmp(text, xz, sizeof xz);
    if (status == DC_OK && is_gzip)
        status = decode_gzip(&out, (const uint8_t *)text, length, path, error);
    else if (status == DC_OK && is_xz)
        status = decode_xz(&out, (const uint8_t *)text, length, path, error);
    if (status == DC_OK) {
        *size = is_gzip || is_xz ? out.used : length;
        *bytes = dc_arena_alloc(arena, *size, error);
        if (!*bytes)
            status = DC_ERR_MEMORY;
        else if (*size > 0)
            memcpy(*bytes, is_gzip || is_xz ? out.bytes : (uint8_t *)text, *size);
    }
    free(out.bytes);
    dc_arena_free(packed);
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
    dc_sweep(path);
    if (temporary && lstat(temporary, &info) == 0) {
        dc_fail(error, DC_ERR_IO, "%s is in the way, and Decant did not write it; remove it",
                temporary);
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
