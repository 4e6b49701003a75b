// Owns shape arithmetic.

#include "core/tensor.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

size_t dc_dtype_bytes(enum dc_dtype dtype)
{
    static const size_t bytes[] = {
        [DC_F32] = 4, [DC_F64] = 8, [DC_I8] = 1, [DC_U8] = 1, [DC_I32] = 4, [DC_F16] = 2};
    static_assert(sizeof bytes / sizeof bytes[0] == DC_DTYPE_COUNT, "one size per type");
    return bytes[dtype];
}

int64_t dc_shape_count(const struct dc_shape *shape)
{
    int64_t count = 1;
    for (int i = 0; i < shape->rank; i++) {
        assert(shape->dims[i] >= 0);
        count *= shape->dims[i];
    }
    return count;
}

int64_t dc_shape_row(const struct dc_shape *shape)
{
    int64_t count = 1;
    for (int i = 1; i < shape->rank; i++)
        count *= shape->dims[i];
    return count;
}

bool dc_shape_equal(const struct dc_shape *a, const struct dc_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i])
            return false;
    return true;
}

struct dc_shape dc_shape_image(const struct dc_shape *sample)
{
    struct dc_shape image = DC_SHAPE(1, 1, 1);
    for (int i = sample->rank > 0 && sample->dims[0] == DC_BATCH; i < sample->rank; i++) {
        const int behind = sample->rank - 1 - i;
        image.dims[behind < 2 ? 2 - behind : 0] *= sample->dims[i];
    }
    return image;
}

struct dc_shape dc_shape_with_batch(const struct dc_shape *shape, int64_t batch)
{
    struct dc_shape result = *shape;
    if (result.rank > 0 && result.dims[0] == DC_BATCH)
        result.dims[0] = batch;
    return result;
}

const char *dc_shape_text(char text[DC_SHAPE_TEXT], const struct dc_shape *shape)
{
    int used = snprintf(text, DC_SHAPE_TEXT, "[");
    for (int i = 0; i < shape->rank && used < DC_SHAPE_TEXT; i++) {
        const char *comma = i ? ", " : "";
        const size_t left = (size_t)(DC_SHAPE_TEXT - used);
        if (shape->dims[i] == DC_BATCH)
            used += snprintf(text + used, left, "%sbatch", comma);
        else
            used += snprintf(text + used, left, "%s%" PRId64, comma, shape->dims[i]);
    }
    if (used < DC_SHAPE_TEXT)
        snprintf(text + used, (size_t)(DC_SHAPE_TEXT - used), "]");
    return text;
}
