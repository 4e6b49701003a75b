// Owns the scratch folder of a fuzz entry.

#include "tests/faults/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/core/helper_folder.h"

unsigned long fuzz_taken;

const char *fuzz_path(const char *name)
{
    static const char *folder;
    if (!folder) {
        folder = test_folder();
        if (getenv("DECANT_FUZZ_KEEP"))
            fprintf(stderr, "scratch folder: %s\n", folder);
        else
            atexit(test_folder_remove);
    }
    return test_path(name);
}

const char *fuzz_file(const char *name, const void *bytes, size_t size)
{
    const char *path = fuzz_path(name);
    char folder[512];
    snprintf(folder, sizeof folder, "%s", path);
    for (char *slash = folder + strlen(folder) - strlen(name); (slash = strchr(slash, '/'));
         slash++) {
        *slash = '\0';
        mkdir(folder, 0777);
        *slash = '/';
    }
    (void)remove(path);  // a file cut and written anew is flushed by some file systems
    test_write(path, bytes, size);
    return path;
}
