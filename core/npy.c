// Owns the parsing of NPY.

#include "core/npy.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/bounds.h"
#include "core/half.h"

static const char magic[] = "\x93NUMPY";
enum { MAGIC = sizeof magic - 1, HEADER_MAX = 65536 };

bool dc_npy_is(const void *bytes, size_t size)
{
    return size >= MAGIC && memcmp(bytes, magic, MAGIC) == 0;
}

// The value behind 'KEY': in the header's dictionary.
static const char *entry(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    return at ? at + strlen(key) + strspn(at + strlen(key), " :") : "";
}

static bool parse_type(struct dc_npy *npy, const char *type)
{
    static const struct {
        const char *name;
        enum dc_npy_type type;
        int width;
    } types[] = {
        {"'|u1'", DC_NPY_UNSIGNED, 1}, {"'<u2'", DC_NPY_UNSIGNED, 2}, {"'<u4'", DC_NPY_UNSIGNED, 4},
        {"'<u8'", DC_NPY_UNSIGNED, 8}, {"'|i1'", DC_NPY_SIGNED, 1},   {"'<i2'", DC_NPY_SIGNED, 2},
        {"'<i4'", DC_NPY_SIGNED, 4},   {"'<i8'", DC_NPY_SIGNED, 8},   {"'<f2'", DC_NPY_FLOAT, 2},
        {"'<f4'", DC_NPY_FLOAT, 4},    {"'<f8'", DC_NPY_FLOAT, 8},    {"'|b1'", DC_NPY_BOOL, 1}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strncmp(type, types[i].name, strlen(types[i].name)) == 0) {
            npy->type = types[i].type;
            npy->width = types[i].width;
            return true;
        }
    return false;
}

// "(3, 4)", "(3,)", "()".
static bool parse_shape(struct dc_npy *npy, const char *text)
{
    if (*text++ != '(')
        return false;
    while (*text != ')') {
        int64_t side = 0;
        int used = 0;
        if (sscanf(text, " %18" SCNd64 "%n", &side, &used) != 1 || side < 0 ||
            npy->shape.rank == DC_RANK_MAX)
            return false;
        npy->shape.dims[npy->shape.rank++] = side;
        text += used;
        text += strspn(text, ", ");
    }
    return dc_product(&npy->count, npy->shape.dims, npy->shape.rank);
}

enum dc_status dc_npy_parse(struct dc_npy *npy, const uint8_t *bytes, size_t size, const char *name,
                            struct dc_arena *arena, struct dc_error *error)
{
    const bool wide = size > 12 && bytes[6] >= 2;
    size_t length = size > 10 ? bytes[8] | (size_t)bytes[9] << 8 : 0;
    if (wide)
        length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    const size_t start = (wide ? 12 : 10) + length;
    *npy = (struct dc_npy){0};
    if (!dc_npy_is(bytes, size) || size <= 10 || bytes[6] < 1 || bytes[6] > 2 || start > size ||
        length > HEADER_MAX)
        return dc_fail(error, DC_ERR_DATA, "%s: not an NPY file of version 1 or 2", name);
    char *header = DC_NEW(arena, char, length + 1, error);
    if (!header)
        return DC_ERR_MEMORY;
    memcpy(header, bytes + start - length, length);
    if (!parse_type(npy, entry(header, "'descr'")) ||
        strncmp(entry(header, "'fortran_order'"), "False", 5) != 0)
        return dc_fail(error, DC_ERR_DATA,
                       "%s: values must be little-endian integers or floats in C order, not %.60s",
                       name, header);
    int64_t needed = 0;
    if (!parse_shape(npy, entry(header, "'shape'")) ||
        !dc_product(&needed, (const int64_t[]){npy->count, npy->width}, 2))
        return dc_fail(error, DC_ERR_DATA, "%s: its header has no shape that can be: %.60s", name,
                       header);
    if ((int64_t)(size - start) != needed)
        return dc_fail(error, DC_ERR_DATA, "%s: %zu bytes of values, its shape needs %" PRId64,
                       name, size - start, needed);
    npy->values = bytes + start;
    return DC_OK;
}

int64_t dc_npy_integer(const struct dc_npy *npy, int64_t i)
{
    const uint8_t *at = npy->values + i * npy->width;
    uint64_t value = 0;
    assert(npy->type != DC_NPY_FLOAT);
    for (int k = 0; k < npy->width; k++)
        value |= (uint64_t)at[k] << 8 * k;
    const int spare = 64 - 8 * npy->width;
    return npy->type == DC_NPY_SIGNED ? (int64_t)(value << spare) >> spare : (int64_t)value;
}

float dc_npy_float(const struct dc_npy *npy, int64_t i)
{
    const uint8_t *at = npy->values + i * npy->width;
    uint16_t half;
    float single;
    double real;
    if (npy->type != DC_NPY_FLOAT)
        return (float)dc_npy_integer(npy, i);
    if (npy->width == 2)
        return memcpy(&half, at, sizeof half), dc_half_to_float(half);
    if (npy->width == 4)
        return memcpy(&single, at, sizeof single), single;
    return memcpy(&real, at, sizeof real), (float)real;
}
