// Owns the reading of logits files, NPY or HDF5.

#include "distill/logits.h"

#include <inttypes.h>
#include <math.h>

#include "core/file.h"
#include "core/h5.h"
#include "core/npy.h"
#include "core/random.h"

enum { ELEMENTS_MAX = 1 << 30 };

static enum dc_status want_shape(const struct dc_logits *logits, const char *path,
                                 struct dc_error *error)
{
    if (logits->samples > 0 && logits->classes > 0 &&
        logits->samples <= ELEMENTS_MAX / logits->classes)
        return DC_OK;
    return dc_fail(error, DC_ERR_DATA,
                   "%s: logits are [samples, classes], not [%" PRId64 ", %" PRId64 "]", path,
                   logits->samples, logits->classes);
}

static enum dc_status read_h5(struct dc_logits *logits, const struct dc_h5 *file, const char *path,
                              struct dc_arena *arena, struct dc_error *error)
{
    struct dc_shape shape;
    enum dc_dtype dtype;
    DC_TRY(dc_h5_describe(file, "logits", &dtype, &shape, error));
    logits->samples = shape.rank == 2 ? shape.dims[0] : 0;
    logits->classes = shape.rank == 2 ? shape.dims[1] : 0;
    DC_TRY(want_shape(logits, path, error));
    logits->values = DC_NEW(arena, float, logits->samples * logits->classes, error);
    if (!logits->values)
        return DC_ERR_MEMORY;
    return dc_h5_read(file, "logits", &(struct dc_tensor){logits->values, DC_F32, shape}, error);
}

static enum dc_status read_npy(struct dc_logits *logits, const char *bytes, size_t size,
                               const char *path, struct dc_arena *arena, struct dc_error *error)
{
    struct dc_npy npy;
    DC_TRY(dc_npy_parse(&npy, (const uint8_t *)bytes, size, path, arena, error));
    if (npy.type != DC_NPY_FLOAT)
        return dc_fail(error, DC_ERR_DATA, "%s: logits must be floats", path);
    logits->samples = npy.shape.rank == 2 ? npy.shape.dims[0] : 0;
    logits->classes = npy.shape.rank == 2 ? npy.shape.dims[1] : 0;
    DC_TRY(want_shape(logits, path, error));
    logits->values = DC_NEW(arena, float, npy.count, error);
    if (!logits->values)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < npy.count; i++)
        logits->values[i] = dc_npy_float(&npy, i);
    return DC_OK;
}

enum dc_status dc_logits_read(struct dc_logits *logits, const char *path, struct dc_arena *arena,
                              struct dc_error *error)
{
    char *bytes = NULL;
    size_t size = 0;
    *logits = (struct dc_logits){0};
    DC_TRY(dc_file_read(&bytes, &size, path, arena, error));
    if (dc_npy_is(bytes, size)) {
        DC_TRY(read_npy(logits, bytes, size, path, arena, error));
    } else {
        struct dc_h5 *file = NULL;
        DC_TRY(dc_h5_open(&file, path, error));
        const enum dc_status status = read_h5(logits, file, path, arena, error);
        dc_h5_close(file);
        DC_TRY(status);
    }
    for (int64_t i = 0; i < logits->samples * logits->classes; i++)
        if (!isfinite(logits->values[i]))
            return dc_fail(error, DC_ERR_DATA,
                           "%s: the logits of sample %" PRId64 " are not finite", path,
                           i / logits->classes);
    logits->hash = dc_hash_bytes(DC_HASH_START, logits->values,
                                 sizeof(float) * (uint64_t)(logits->samples * logits->classes));
    return DC_OK;
}
