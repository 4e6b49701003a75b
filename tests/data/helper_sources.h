// Tiny data sets for tests of data/, made by the test itself.

#ifndef DC_TESTS_DATA_HELPER_SOURCES_H
#define DC_TESTS_DATA_HELPER_SOURCES_H

#include "core/source.h"

// Write an IDX file: type byte, dims, then `size` bytes of values.
void test_write_idx(const char *path, int type, int rank, const uint32_t *dims, const void *values,
                    size_t size);

// A folder of IDX files: `train` and `test` images of height x width; pixel p of image i is
// (31 i + 7 p + 5) % 256, label i % classes. Plain or .gz, told by `packed`.
void test_write_idx_folder(const char *folder, int train, int test, int height, int width,
                           int classes, bool packed);

// A source in memory. values: [count, sample...] of the dtype, labels: [count] or NULL; both stay
// the caller's. fails: reading this id fails, or -1. Freed with dc_source_free.
struct dc_source *test_source(int64_t count, struct dc_shape sample, enum dc_dtype dtype,
                              int classes, const void *values, const int32_t *labels,
                              int64_t fails);

// A value in [0, 255] that looks random, from its place alone.
int test_pixel(int64_t i);

#endif
