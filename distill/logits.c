// Owns the reading of logits files. NPY is NumPy's format (NEP 1): a magic word, a dictionary as
// Python text, then the values.

#include "distill/logits.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/h5.h"
#include "core/half.h"
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

// The value behind 'KEY': in the header's dictionary.
static const char *entry(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    return at ? at + strlen(key) + strspn(at + strlen(key), " :") : "";
}

static enum dc_status read_npy(struct dc_logits *logits, const unsigned char *bytes, size_t size,
                               const char *path, struct dc_arena *arena, struct dc_error *error)
{
    const bool wide = size > 12 && bytes[6] >= 2;
    size_t length = size > 10 ? bytes[8] | (size_t)bytes[9] << 8 : 0;
    if (wide)
        length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    const size_t start = (wide ? 12 : 10) + length;
    if (size <= 10 || bytes[6] < 1 || bytes[6] > 2 || start > size || length > 65536)
        return dc_fail(error, DC_ERR_DATA, "%s: not an NPY file of version 1 or 2", path);
    char *header = DC_NEW(arena, char, length + 1, error);
    if (!header)
        return DC_ERR_MEMORY;
    memcpy(header, bytes + start - length, length);
    const char *type = entry(header, "'descr'");
    const size_t width = !strncmp(type, "'<f2'", 5)   ? 2
                         : !strncmp(type, "'<f4'", 5) ? 4
                         : !strncmp(type, "'<f8'", 5) ? 8
                                                      : 0;
    if (width == 0 || strncmp(entry(header, "'fortran_order'"), "False", 5) != 0)
        return dc_fail(error, DC_ERR_DATA,
                       "%s: logits must be little-endian floats in C order, not %.60s", path,
                       header);
    if (sscanf(entry(header, "'shape'"), "(%" SCNd64 ", %" SCNd64 ")", &logits->samples,
               &logits->classes) != 2)
        logits->samples = 0;
    DC_TRY(want_shape(logits, path, error));
    const int64_t count = logits->samples * logits->classes;
    if (size - start != (size_t)count * width)
        return dc_fail(error, DC_ERR_DATA, "%s: %zu bytes of values, its shape needs %zu", path,
                       size - start, (size_t)count * width);
    logits->values = DC_NEW(arena, float, count, error);
    if (!logits->values)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < count; i++) {
        const unsigned char *at = bytes + start + (size_t)i * width;
        uint16_t half;
        double real;
        if (width == 2)
            logits->values[i] = (memcpy(&half, at, 2), dc_half_to_float(half));
        else if (width == 4)
            memcpy(&logits->values[i], at, 4);
        else
            logits->values[i] = (float)(memcpy(&real, at, 8), real);
    }
    return DC_OK;
}

enum dc_status dc_logits_read(struct dc_logits *logits, const char *path, struct dc_arena *arena,
                              struct dc_error *error)
{
    static const char magic[] = "\x93NUMPY";
    char *bytes = NULL;
    size_t size = 0;
    *logits = (struct dc_logits){0};
    DC_TRY(dc_file_read(&bytes, &size, path, arena, error));
    if (size >= 6 && memcmp(bytes, magic, 6) == 0) {
        DC_TRY(read_npy(logits, (const unsigned char *)bytes, size, path, arena, error));
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
