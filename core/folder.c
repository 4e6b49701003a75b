// Owns every removal and replacement of folders, and the telling of leftovers. Single files are
// written by file.c.

#include "core/folder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"

enum { MARK_BYTES = 65536, NAME_BYTES = 200, MARKS_APART = 256 };

static const char mark_title[] = "Decant writes these files here, and removes them:";

const char *dc_name_fault(const char *name)
{
    if (!name[0])
        return "is empty";
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strchr(name, '/'))
        return "leaves its folder: it must not be '.' or '..', nor hold a '/'";
    if (strlen(name) > NAME_BYTES)
        return "is longer than 200 bytes";
    for (const char *c = name; *c; c++)
        if (iscntrl((unsigned char)*c))
            return "holds a character that does not print";
    return NULL;
}

static enum dc_status fail_errno(struct dc_error *error, const char *path, const char *what)
{
    return dc_fail(error, DC_ERR_IO, "%s: %s: %s", path, what, strerror(errno));
}

// The path without slashes behind: "link/" would follow the link. false: it does not fit.
static bool without_slashes(char text[PATH_MAX], const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length == 0 || length >= PATH_MAX)
        return false;
    memcpy(text, path, length);
    text[length] = '\0';
    return true;
}

// A folder's entries, opened without following a link in its last part; NULL with errno.
static DIR *open_entries(const char *path)
{
    char text[PATH_MAX];
    if (!without_slashes(text, path)) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    const int fd = open(text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
    if (!entries && fd >= 0)
        close(fd);
    return entries;
}

static const char *next_name(DIR *entries)
{
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return entry->d_name;
    return NULL;
}

// The process number that `digits` are, up to `end`; 0: they are none.
static pid_t process_number(const char *digits, char end, const char **rest)
{
    char *after = NULL;
    if (!isdigit((unsigned char)digits[0]))
        return 0;
    errno = 0;
    const long number = strtol(digits, &after, 10);
    *rest = after;
    return errno || *after != end || number < 1 || number > INT_MAX ? 0 : (pid_t)number;
}

static bool is_gone(pid_t process)
{
    return process == getpid() || (kill(process, 0) != 0 && errno == ESRCH);
}

// When this process began, in seconds of the clock that files have (Linux: field 22 of
// /proc/self/stat counts from the start of the machine); 0: nobody knows.
static double began(void)
{
    char text[1024];
    struct timespec now, running;
    FILE *file = fopen("/proc/self/stat", "re");
    const size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[size] = '\0';
    const char *at = strrchr(text, ')');  // behind the name, which may hold anything
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (!at || clock_gettime(CLOCK_REALTIME, &now) != 0 ||
        clock_gettime(CLOCK_BOOTTIME, &running) != 0)
        return 0.0;
    const double age = (double)running.tv_sec + 1e-9 * (double)running.tv_nsec -
                       strtod(at, NULL) / (double)sysconf(_SC_CLK_TCK);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec - age;
}

// Whether a process of our number left this before we began.
static bool was_before_us(int folder, const char *name)
{
    struct stat info;
    return fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
           (double)info.st_mtim.tv_sec + 1.0 < began();
}

// The process of which `entry` is NAME.tmp-PID (middle ".tmp-"), or 0.
static pid_t process_of(const char *entry, const char *name, size_t length, const char *middle)
{
    const char *rest = NULL;
    const size_t more = strlen(middle);
    if (strncmp(entry, name, length) != 0 || strncmp(entry + length, middle, more) != 0)
        return 0;
    return process_number(entry + length + more, '\0', &rest);
}

static bool is_leftover(const char *entry, const char *name, size_t length, const char *middle)
{
    const pid_t process = process_of(entry, name, length, middle);
    return process > 0 && is_gone(process);
}

static bool is_mine(int folder, const char *name, mode_t type)
{
    struct stat info;
    return fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
           (info.st_mode & S_IFMT) == type && info.st_uid == geteuid();
}

// Whether an open folder carries the mark of one in the making. The names that it lists go to
// `names`, ended by NULL; they lie in `text`.
static bool read_mark(char text[MARK_BYTES], const char **names, int room, int folder)
{
    int count = 0;
    char *rest = NULL;
    if (!is_mine(folder, DC_FOLDER_MARK, S_IFREG))
        return false;
    const int fd = openat(folder, DC_FOLDER_MARK, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    const ssize_t size = fd >= 0 ? read(fd, text, MARK_BYTES - 1) : -1;
    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = '\0';
    const char *line = strtok_r(text, "\n", &rest);
    if (!line || strcmp(line, mark_title) != 0)
        return false;
    while (count + 1 < room && (line = strtok_r(NULL, "\n", &rest)) != NULL)
        if (!dc_name_fault(line))
            names[count++] = line;
    names[count] = NULL;
    return true;
}

static bool is_marked(int folder)
{
    const char *none[1];
    char *text = malloc(MARK_BYTES);
    const bool marked = text && read_mark(text, none, 1, folder);
    free(text);
    return marked;
}

// A plain file that is one of the names, or the temporary of one.
static bool is_listed(int folder, const char *entry, const char *const *names)
{
    struct stat info;
    if (fstatat(folder, entry, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(info.st_mode))
        return false;
    for (; *names; names++)
        if (strcmp(entry, *names) == 0 || process_of(entry, *names, strlen(*names), ".tmp-") > 0)
            return true;
    return false;
}

static enum dc_status fail_no_folder(struct dc_error *error, const char *path)
{
    struct stat info;
    char text[PATH_MAX];
    if (without_slashes(text, path) && lstat(text, &info) == 0 && S_ISLNK(info.st_mode))
        return dc_fail(error, DC_ERR_USAGE,
                       "%s is a symbolic link, which is not followed; name the folder itself",
                       path);
    return dc_fail(error, DC_ERR_USAGE, "%s is not a folder that can be read; name another", path);
}

enum dc_status dc_folder_is_empty(bool *empty, const char *path, struct dc_error *error)
{
    *empty = false;
    if (!path[0])
        return dc_fail(error, DC_ERR_USAGE, "a folder's name is empty");
    DIR *entries = open_entries(path);
    *empty = !entries && errno == ENOENT;
    if (!entries)
        return *empty ? DC_OK : fail_no_folder(error, path);
    *empty = next_name(entries) == NULL;
    closedir(entries);
    return DC_OK;
}

enum dc_status dc_folder_holds_only(const char *path, const char *const *names,
                                    struct dc_error *error)
{
    DIR *entries = open_entries(path);
    enum dc_status status = DC_OK;
    if (!entries)
        return fail_no_folder(error, path);
    for (const char *name; status == DC_OK && (name = next_name(entries)) != NULL;)
        if (!is_listed(dirfd(entries), name, names) &&
            (strcmp(name, DC_FOLDER_MARK) != 0 || !is_marked(dirfd(entries))))
            status = dc_fail(error, DC_ERR_USAGE,
                             "%s: '%s' in it was not written by Decant, so the folder is not "
                             "replaced; move it away, or name another folder",
                             path, name);
    closedir(entries);
    return status;
}

static void remove_mark(const char *path)
{
    DIR *entries = open_entries(path);
    if (!entries)
        return;
    if (is_marked(dirfd(entries)))
        (void)unlinkat(dirfd(entries), DC_FOLDER_MARK, 0);
    closedir(entries);
}

enum dc_status dc_folder_mark(const char *path, const char *const *names, struct dc_error *error)
{
    char place[PATH_MAX];
    if ((size_t)snprintf(place, sizeof place, "%s/%s", path, DC_FOLDER_MARK) >= sizeof place)
        return dc_fail(error, DC_ERR_USAGE, "%s: this path is too long", path);
    remove_mark(path);  // of a process that was killed when it had marked the folder
    const int fd = open(place, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file) {
        const enum dc_status status = fail_errno(error, place, "cannot write");
        if (fd >= 0)
            close(fd);
        return status;
    }
    bool good = fprintf(file, "%s\n", mark_title) > 0;
    for (; *names; names++)
        good = good && fprintf(file, "%s\n", *names) > 0;
    return fclose(file) == 0 && good ? DC_OK : fail_errno(error, place, "cannot write");
}

enum dc_status dc_folder_begin(const char *path, const char *const *names, struct dc_error *error)
{
    if (mkdir(path, 0777) != 0)
        return fail_errno(error, path, "cannot be created");
    const enum dc_status status = dc_folder_mark(path, names, error);
    if (status != DC_OK) {
        dc_folder_discard(path);
        (void)rmdir(path);
    }
    return status;
}

// Removes the names from an open folder; whether nothing but the mark is left.
static bool remove_names(DIR *entries, const char *const *names)
{
    bool clean = true;
    for (const char *name; (name = next_name(entries)) != NULL;) {
        const bool listed = is_listed(dirfd(entries), name, names);
        if (!listed || unlinkat(dirfd(entries), name, 0) != 0)
            clean = clean && strcmp(name, DC_FOLDER_MARK) == 0;
    }
    return clean;
}

void dc_folder_discard(const char *path)
{
    enum { NAMES = 1024 };
    DIR *entries = open_entries(path);
    char *text = malloc(MARK_BYTES);
    const char **names = malloc(NAMES * sizeof *names);
    const bool marked = entries && text && names && read_mark(text, names, NAMES, dirfd(entries));
    // A compiler that outlived its killed parent may have put a file there meanwhile: the mark
    // stays.
    if (marked && remove_names(entries, names) &&
        unlinkat(dirfd(entries), DC_FOLDER_MARK, 0) == 0 && rmdir(path) != 0)
        (void)!dc_folder_mark(path, names, NULL);
    free(names);
    free(text);
    if (entries)
        closedir(entries);
}

// Renaming over a folder that is not empty is refused, so the older one steps aside first. It is
// marked before, so that what a kill leaves is told from a user's folder of such a name.
enum dc_status dc_folder_replace(const char *path, const char *fresh, const char *const *names,
                                 struct dc_error *error)
{
    char old[PATH_MAX];
    bool empty = false;
    if ((size_t)snprintf(old, sizeof old, "%s.old-%ld", path, (long)getpid()) >= sizeof old)
        return dc_fail(error, DC_ERR_USAGE, "%s: this path is too long", path);
    DC_TRY(dc_folder_is_empty(&empty, path, error));
    if (!empty) {
        const char *const none[] = {NULL};
        DC_TRY(dc_folder_holds_only(path, names ? names : none, error));
        DC_TRY(dc_folder_mark(path, names ? names : none, error));
        if (rename(path, old) != 0)
            return fail_errno(error, path, "cannot be replaced");
    }
    if (rename(fresh, path) != 0) {
        const enum dc_status status = fail_errno(error, path, "cannot be created");
        if (!empty && rename(old, path) == 0)
            remove_mark(path);
        return status;
    }
    remove_mark(path);
    if (!empty)
        dc_folder_discard(old);
    return DC_OK;
}

// The folder of a path in `folder`; returns the path's last part without slashes behind, or NULL.
static const char *split_path(char folder[PATH_MAX], const char *path, size_t *length)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    *length = end - start;
    if (end == start || start >= PATH_MAX)
        return NULL;
    if (start == 0)
        memcpy(folder, ".", 2);
    else
        snprintf(folder, PATH_MAX, "%.*s", (int)start, path);
    return path + start;
}

// A folder that a process made and was killed before its mark was whole: it is empty, or holds an
// empty mark. Nothing is lost with it.
static void remove_unbegun(const char *path)
{
    DIR *entries = open_entries(path);
    bool ours = entries != NULL;
    struct stat info;
    for (const char *name; ours && (name = next_name(entries)) != NULL;)
        ours = strcmp(name, DC_FOLDER_MARK) == 0 &&
               fstatat(dirfd(entries), name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
               S_ISREG(info.st_mode) && info.st_size == 0;
    if (ours) {
        (void)unlinkat(dirfd(entries), DC_FOLDER_MARK, 0);
        (void)rmdir(path);
    }
    if (entries)
        closedir(entries);
}

static void sweep_folder(const char *leftover, const char *path, bool aside)
{
    struct stat info;
    DIR *entries = open_entries(leftover);
    const bool marked = entries && is_marked(dirfd(entries));
    if (entries)
        closedir(entries);
    if (marked && aside && lstat(path, &info) != 0) {
        if (rename(leftover, path) == 0)
            remove_mark(path);
    } else if (marked) {
        dc_folder_discard(leftover);
    } else if (!aside) {
        remove_unbegun(leftover);
    }
}

void dc_sweep_files(const char *path)
{
    char folder[PATH_MAX];
    size_t length = 0;
    const char *name = split_path(folder, path, &length);
    DIR *entries = name ? opendir(folder) : NULL;
    if (!entries)
        return;
    for (const char *entry; (entry = next_name(entries)) != NULL;)
        if (is_leftover(entry, name, length, ".tmp-") && is_mine(dirfd(entries), entry, S_IFREG))
            (void)unlinkat(dirfd(entries), entry, 0);
    closedir(entries);
}

void dc_sweep_folders(const char *path)
{
    char folder[PATH_MAX], place[2 * PATH_MAX];
    size_t length = 0;
    const char *name = split_path(folder, path, &length);
    DIR *entries = name ? opendir(folder) : NULL;
    if (!entries)
        return;
    for (const char *entry; (entry = next_name(entries)) != NULL;) {
        const bool aside = is_leftover(entry, name, length, ".old-");
        if ((aside || is_leftover(entry, name, length, ".tmp-")) &&
            is_mine(dirfd(entries), entry, S_IFDIR)) {
            snprintf(place, sizeof place, "%s/%s", folder, entry);
            sweep_folder(place, path, aside);
        }
    }
    closedir(entries);
}

void dc_sweep_prefixed(const char *folder, const char *prefix)
{
    char place[2 * PATH_MAX];
    const size_t length = strlen(prefix);
    DIR *entries = opendir(folder);
    if (!entries)
        return;
    for (const char *entry; (entry = next_name(entries)) != NULL;) {
        const char *rest = NULL;
        if (strncmp(entry, prefix, length) != 0 || entry[length] != '-')
            continue;
        const pid_t process = process_number(entry + length + 1, '-', &rest);
        // What bears this process's number and is younger than it is another thread's, and alive.
        const bool gone = process == getpid() ? was_before_us(dirfd(entries), entry)
                                              : process > 0 && is_gone(process);
        if (!gone || !is_mine(dirfd(entries), entry, S_IFDIR))
            continue;
        snprintf(place, sizeof place, "%s/%s", folder, entry);
        dc_folder_discard(place);
    }
    closedir(entries);
}

// Whether a file holds `mark`, and `second` within the bytes behind it.
static bool holds_marks(const char *path, const char *mark, const char *second)
{
    enum { PIECE = 1 << 20, OVERLAP = 2 * MARKS_APART };
    char *bytes = malloc(PIECE + OVERLAP);
    FILE *file = NULL;
    int64_t whole = 0;
    size_t kept = 0, have = 0;
    bool found = false;
    if (dc_file_open(&file, &whole, path, NULL) != DC_OK)
        file = NULL;
    while (file && bytes && !found && (have = fread(bytes + kept, 1, PIECE, file)) > 0) {
        const size_t size = kept + have;
        for (const char *at = bytes; !found && at;) {
            at = memmem(at, size - (size_t)(at - bytes), mark, strlen(mark));
            if (!at)
                break;
            at += strlen(mark);
            const size_t left = size - (size_t)(at - bytes);
            found = !second ||
                    memmem(at, left < MARKS_APART ? left : MARKS_APART, second, strlen(second));
        }
        kept = size < OVERLAP ? size : OVERLAP;
        memmove(bytes, bytes + size - kept, kept);
    }
    if (file)
        fclose(file);
    free(bytes);
    return found;
}

enum dc_status dc_file_may_replace(const char *path, const char *mark, const char *second_mark,
                                   const char *input, struct dc_error *error)
{
    struct stat info, given;
    if (!path[0])
        return dc_fail(error, DC_ERR_USAGE, "the output's name is empty");
    if (lstat(path, &info) != 0)
        return errno == ENOENT ? DC_OK
                               : dc_fail(error, DC_ERR_USAGE, "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return dc_fail(error, DC_ERR_USAGE, "%s is %s, not a plain file; name another output", path,
                       S_ISDIR(info.st_mode)   ? "a folder"
                       : S_ISLNK(info.st_mode) ? "a symbolic link"
                                               : "a device or a pipe");
    if (input && stat(input, &given) == 0 && given.st_dev == info.st_dev &&
        given.st_ino == info.st_ino)
        return dc_fail(error, DC_ERR_USAGE, "%s is what this command reads; name another output",
                       path);
    if (info.st_size > 0 && !holds_marks(path, mark, second_mark))
        return dc_fail(error, DC_ERR_USAGE,
                       "%s exists, and Decant did not write it as such an output; remove it, or "
                       "name another",
                       path);
    return DC_OK;
}
