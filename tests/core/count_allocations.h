// Counts calls of the allocator. For a test program linked with --wrap for each function below
// (tests/CMakeLists.txt); included by its one .c file.

#ifndef DECANT_TESTS_COUNT_ALLOCATIONS_H
#define DECANT_TESTS_COUNT_ALLOCATIONS_H

#include <stdatomic.h>
#include <stdlib.h>

static atomic_long allocations;

#define COUNTED(type, name, parameters, ...)                                                       \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        atomic_fetch_add(&allocations, 1);                                                         \
        return __real_##name(__VA_ARGS__);                                                         \
    }

COUNTED(void *, malloc, (size_t bytes), bytes)
COUNTED(void *, calloc, (size_t count, size_t bytes), count, bytes)
COUNTED(void *, realloc, (void *old, size_t bytes), old, bytes)
COUNTED(void *, aligned_alloc, (size_t alignment, size_t bytes), alignment, bytes)
COUNTED(int, posix_memalign, (void **to, size_t alignment, size_t bytes), to, alignment, bytes)

#endif
