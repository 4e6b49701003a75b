// A folder for one test program's files, removed again with all it holds.

#ifndef DC_TESTS_CORE_HELPER_FOLDER_H
#define DC_TESTS_CORE_HELPER_FOLDER_H

#include <stddef.h>

// Make a fresh folder; returns its path (static memory).
const char *test_folder(void);
void test_folder_remove(void);

// FOLDER/NAME in static memory; four calls may be alive at a time.
const char *test_path(const char *name);

void test_write(const char *path, const void *bytes, size_t size);

// A line of shell in the folder; its exit code. must_shell: it is 0, or the test program ends.
int test_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
void must_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

// How many entries the folder has, "." and ".." not counted.
int test_folder_entries(const char *path);

// From here on files cannot grow past `bytes`, as if the disk were full; 0 lifts it.
void test_limit_files(size_t bytes);

#endif
