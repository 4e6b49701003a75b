// Owns the temporary folder of a test program. Failures here are broken tests, so they assert.

#define _XOPEN_SOURCE 700
#include "tests/core/helper_folder.h"

#include <assert.h>
#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[256];

static void check(int good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

const char *test_folder(void)
{
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/decant-test-XXXXXX", parent ? parent : "/tmp");
    check(mkdtemp(folder) != NULL, folder);
    return folder;
}

const char *test_path(const char *name)
{
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

void test_write(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    check(file != NULL, path);
    check(fwrite(bytes, 1, size, file) == size, path);
    check(fclose(file) == 0, path);
}

static int run_there(char line[4096], const char *format, va_list arguments)
{
    char command[3072];
    const int wrote = vsnprintf(command, sizeof command, format, arguments);
    check(wrote >= 0 && wrote < (int)sizeof command, "a line of shell that is too long");
    snprintf(line, 4096, "cd '%s' && { %s\n}", folder, command);
    return system(line);
}

int test_shell(const char *format, ...)
{
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    const int code = run_there(line, format, arguments);
    va_end(arguments);
    return code;
}

void must_shell(const char *format, ...)
{
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    const int code = run_there(line, format, arguments);
    va_end(arguments);
    if (code != 0)
        fprintf(stderr, "fails with %d: %s\n", code, line);
    check(code == 0, "a line of shell");
}

int test_folder_entries(const char *path)
{
    DIR *dir = opendir(path);
    check(dir != NULL, path);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return count;
}

static void remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char inner[1024];
        struct stat info;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (lstat(inner, &info) == 0 && S_ISDIR(info.st_mode))
            remove_tree(inner);
        else
            unlink(inner);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

void test_folder_remove(void)
{
    remove_tree(folder);
}

void test_limit_files(size_t bytes)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    check(getrlimit(RLIMIT_FSIZE, &limit) == 0, "getrlimit");
    limit.rlim_cur = bytes ? bytes : limit.rlim_max;
    check(setrlimit(RLIMIT_FSIZE, &limit) == 0, "setrlimit");
}
