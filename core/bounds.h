// What a file may ask of this process.
//
// A file that others made names sizes: dimensions, counts of records, lengths of what is packed in
// it. None of them is believed. A product is checked before it is used, a declared size is held
// against a limit before memory is asked for, and what declares no size is bounded by its file's.

#ifndef DC_CORE_BOUNDS_H
#define DC_CORE_BOUNDS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/tensor.h"

// The product of `count` factors. false: a factor is negative, or the product exceeds INT64_MAX.
DC_MUST_USE bool dc_product(int64_t *product, const int64_t *factors, int count);
// Bytes of an array of this shape, checked in the same way.
DC_MUST_USE bool dc_shape_bytes(int64_t *bytes, const struct dc_shape *shape, enum dc_dtype dtype);

// Half of what this process may use: the least of the machine's memory, the limit of the control
// group that it runs in and RLIMIT_AS.
int64_t dc_memory_default(void);

// DC_ERR_DATA where a file declares more than `limit` bytes (0: dc_memory_default); the message
// names the key limits.memory. what: "its header", "array 'inputs'".
DC_MUST_USE enum dc_status dc_want_memory(const char *path, const char *what, int64_t bytes,
                                          int64_t limit, struct dc_error *error);

// The most that a file of this size may unpack to where it declares no size itself: 16 times its
// size and 64 MiB.
int64_t dc_unpacked_most(int64_t file_bytes);

// The most that deflate can make of so many bytes, and 64 MiB for small files: 1,032 to 1 is what
// its longest match in its shortest code gives.
int64_t dc_inflated_most(int64_t stored_bytes);

#endif
