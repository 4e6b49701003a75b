// Owns the reading of safetensors files. Format: github.com/huggingface/safetensors, README, and
// the checks that its reader makes: tensors lie one behind the other and fill what follows the
// header.

#include "formats/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/half.h"
#include "core/json.h"

enum { LENGTH_BYTES = 8, HEADER_MOST = 100000000, TENSORS_MOST = 1 << 20 };

// Bytes of a value; 0: a type that is not known, whose tensors are placed and never read.
static int width_of(const char *dtype)
{
    static const struct {
        const char *name;
        int width;
    } types[] = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},
                 {"I32", 4}, {"I16", 2}, {"I8", 1},  {"U64", 8},  {"U32", 4},
                 {"U16", 2}, {"U8", 1},  {"BOOL", 1}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, dtype) == 0)
            return types[i].width;
    return 0;
}

static enum dc_status read_shape(struct dc_safetensor *t, const json_t *shape,
                                 struct dc_error *error)
{
    if (!json_is_array(shape) || json_array_size(shape) > DC_RANK_MAX)
        return dc_fail(error, DC_ERR_DATA, "tensor '%s' needs a shape of at most %d dimensions",
                       t->name, (int)DC_RANK_MAX);
    t->count = 1;
    for (size_t i = 0; i < json_array_size(shape); i++) {
        const json_t *item = json_array_get(shape, i);
        const int64_t dim = json_integer_value(item);
        if (!json_is_integer(item) || dim < 0 || dim > INT32_MAX ||
            (dim > 0 && t->count > INT32_MAX / dim))
            return dc_fail(error, DC_ERR_DATA, "tensor '%s' is too large or damaged", t->name);
        t->shape.dims[t->shape.rank++] = dim;
        t->count *= dim;
    }
    return DC_OK;
}

// size: of all bytes behind the header.
static enum dc_status read_entry(struct dc_safetensor *t, const json_t *entry, int64_t size,
                                 struct dc_error *error)
{
    const json_t *ends = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(ends, 0), *end = json_array_get(ends, 1);
    t->dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!t->dtype || json_array_size(ends) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return dc_fail(error, DC_ERR_DATA, "tensor '%s' needs dtype, shape and two data_offsets",
                       t->name);
    DC_TRY(read_shape(t, json_object_get(entry, "shape"), error));
    t->begin = json_integer_value(begin);
    t->end = json_integer_value(end);
    if (t->begin < 0 || t->end < t->begin || t->end > size)
        return dc_fail(error, DC_ERR_DATA,
                       "tensor '%s' lies from byte %" PRId64 " to %" PRId64 ", and %" PRId64
                       " bytes follow the header",
                       t->name, t->begin, t->end, size);
    const int width = width_of(t->dtype);
    if (width && t->end - t->begin != t->count * width)
        return dc_fail(error, DC_ERR_DATA,
                       "tensor '%s': its shape asks for %" PRId64 " bytes of %s, it has %" PRId64,
                       t->name, t->count * width, t->dtype, t->end - t->begin);
    return DC_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct dc_safetensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

// Names and types are copied: they outlive the JSON.
static enum dc_status read_header(struct dc_safetensors *file, json_t *header, const uint8_t *data,
                                  int64_t size, struct dc_arena *arena, struct dc_error *error)
{
    const char *name;
    json_t *entry;
    if (json_object_size(header) > TENSORS_MOST)
        return dc_fail(error, DC_ERR_DATA, "%zu tensors", json_object_size(header));
    file->tensors = DC_NEW(arena, struct dc_safetensor, json_object_size(header), error);
    if (!file->tensors)
        return DC_ERR_MEMORY;
    json_object_foreach(header, name, entry)
    {
        struct dc_safetensor *t = &file->tensors[file->count];
        if (strcmp(name, "__metadata__") == 0)
            continue;
        t->name = dc_arena_copy(arena, name, error);
        if (!t->name)
            return DC_ERR_MEMORY;
        DC_TRY(read_entry(t, entry, size, error));
        t->dtype = dc_arena_copy(arena, t->dtype, error);
        t->bytes = data + t->begin;
        if (!t->dtype)
            return DC_ERR_MEMORY;
        file->count++;
    }
    qsort(file->tensors, (size_t)file->count, sizeof *file->tensors, by_place);
    int64_t at = 0;
    for (int i = 0; i < file->count; at = file->tensors[i++].end)
        if (file->tensors[i].begin != at)
            return dc_fail(error, DC_ERR_DATA,
                           "tensor '%s' begins at byte %" PRId64
                           ", where the one before it ends at %" PRId64,
                           file->tensors[i].name, file->tensors[i].begin, at);
    if (at != size)
        return dc_fail(error, DC_ERR_DATA, "%" PRId64 " bytes belong to no tensor", size - at);
    return DC_OK;
}

static enum dc_status read_file(struct dc_safetensors *file, const char *path,
                                struct dc_arena *arena, struct dc_error *error)
{
    char *text;
    size_t bytes;
    uint64_t length = 0;
    json_error_t problem;
    DC_TRY(dc_file_read(&text, &bytes, path, arena, error));
    const uint8_t *raw = (const uint8_t *)text;
    for (int i = 0; bytes >= LENGTH_BYTES && i < LENGTH_BYTES; i++)
        length |= (uint64_t)raw[i] << 8 * i;
    if (bytes < LENGTH_BYTES || length > bytes - LENGTH_BYTES || length > HEADER_MOST)
        return dc_fail(error, DC_ERR_DATA,
                       "not a safetensors file, or a damaged one: a header of %" PRIu64
                       " bytes in a file of %zu",
                       length, bytes);
    json_t *header = json_loadb(text + LENGTH_BYTES, (size_t)length, JSON_REJECT_DUPLICATES,
                                &problem);
    if (!json_is_object(header)) {
        const char *reason = header ? "something else" : problem.text;
        json_decref(header);
        return dc_fail(error, DC_ERR_DATA, "its header is no JSON object: %s", reason);
    }
    const size_t start = LENGTH_BYTES + (size_t)length;
    const enum dc_status status = read_header(file, header, raw + start, (int64_t)(bytes - start),
                                              arena, error);
    json_decref(header);
    return status;
}

enum dc_status dc_safetensors_read(struct dc_safetensors *file, const char *path,
                                   struct dc_arena *arena, struct dc_error *error)
{
    *file = (struct dc_safetensors){0};
    DC_TRY_IN(read_file(file, path, arena, error), error, "%s", path);
    return DC_OK;
}

const struct dc_safetensor *dc_safetensors_find(const struct dc_safetensors *file, const char *name)
{
    for (int i = 0; i < file->count; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    return NULL;
}

enum dc_status dc_safetensor_values(float **values, const struct dc_safetensor *t,
                                    struct dc_arena *arena, struct dc_error *error)
{
    const bool whole = strcmp(t->dtype, "F32") == 0, half = strcmp(t->dtype, "F16") == 0;
    if (!whole && !half && strcmp(t->dtype, "BF16") != 0)
        return dc_fail(error, DC_ERR_DATA, "tensor '%s' is %s; F32, F16 and BF16 are read", t->name,
                       t->dtype);
    float *to = *values = DC_NEW(arena, float, t->count, error);
    if (!to)
        return DC_ERR_MEMORY;
    for (int64_t i = 0; i < t->count; i++) {
        const uint8_t *at = t->bytes + (whole ? 4 : 2) * i;
        const uint32_t low = (uint32_t)at[0] | (uint32_t)at[1] << 8;
        const uint32_t bits = whole ? low | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24
                                    : low << 16;  // BF16: the upper half of a float32
        if (half)
            to[i] = dc_half_to_float((uint16_t)low);
        else
            memcpy(&to[i], &bits, sizeof bits);
    }
    return DC_OK;
}
