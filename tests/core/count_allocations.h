// Counts calls of the allocator, and refuses one of them where asked. For a test program linked
// with --wrap for each function below (tests/CMakeLists.txt); included by its one .c file.

#ifndef DECANT_TESTS_COUNT_ALLOCATIONS_H
#define DECANT_TESTS_COUNT_ALLOCATIONS_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

static atomic_long allocations;
static long refused = -1;  // the call with this number fails

#define COUNTED(type, name, failure, parameters, ...)                                              \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        const bool fails = atomic_fetch_add(&allocations, 1) == refused;                           \
        return fails ? failure : __real_##name(__VA_ARGS__);                                       \
    }

COUNTED(void *, malloc, NULL, (size_t bytes), bytes)
COUNTED(void *, calloc, NULL, (size_t count, size_t bytes), count, bytes)
COUNTED(void *, realloc, NULL, (void *old, size_t bytes), old, bytes)
COUNTED(void *, aligned_alloc, NULL, (size_t alignment, size_t bytes), alignment, bytes)
COUNTED(int, posix_memalign, ENOMEM, (void **to, size_t alignment, size_t bytes), to, alignment,
        bytes)

#endif
