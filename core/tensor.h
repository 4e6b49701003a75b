// Tensors: a pointer, a type and a shape. Non-owning, contiguous, row-major, rank at most 8.
//
// Dimension 0 of a graph value may be DC_BATCH: as many rows as the batch has. A plan replaces it
// by a number. Image values are NHWC (batch, height, width, channels), convolution weights HWIO.

#ifndef DC_CORE_TENSOR_H
#define DC_CORE_TENSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"

enum { DC_RANK_MAX = 8, DC_BATCH = -1 };

// DC_F16: IEEE 754 binary16, in files only (core/half.h).
enum dc_dtype { DC_F32, DC_F64, DC_I8, DC_U8, DC_I32, DC_F16, DC_DTYPE_COUNT };

struct dc_shape {
    int rank;
    int64_t dims[DC_RANK_MAX];
};

struct dc_tensor {
    void *data;
    enum dc_dtype dtype;
    struct dc_shape shape;
};

#define DC_SHAPE(...)                                                                              \
    ((struct dc_shape){.rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),          \
                       .dims = {__VA_ARGS__}})

size_t dc_dtype_bytes(enum dc_dtype dtype);

// Product of the dimensions; 1 for rank 0. The batch must have been replaced.
int64_t dc_shape_count(const struct dc_shape *shape);
// Product of all dimensions but the first: values of one row.
int64_t dc_shape_row(const struct dc_shape *shape);
bool dc_shape_equal(const struct dc_shape *a, const struct dc_shape *b);
// A sample as [height, width, channels]: the last axis is the channels, the one before the width,
// what is before that the height, whose axes fall together; what lacks is 1. [5] is [1, 1, 5],
// [20, 3] is [1, 20, 3]. The values lie as they lay. A batch in front is left out.
struct dc_shape dc_shape_image(const struct dc_shape *sample);
struct dc_shape dc_shape_with_batch(const struct dc_shape *shape, int64_t batch);

// "[batch, 28, 28, 1]"
enum { DC_SHAPE_TEXT = 128 };
const char *dc_shape_text(char text[DC_SHAPE_TEXT], const struct dc_shape *shape);

static inline float *dc_f32(const struct dc_tensor *tensor)
{
    return (float *)tensor->data;
}

#endif
