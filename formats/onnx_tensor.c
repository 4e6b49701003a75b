// Owns what a node brings along: stored tensors, in the file or beside it, and attributes.
//
// The number of bytes that a tensor must have follows from its dimensions and is compared with
// those that are there before anything is allocated for them.

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/half.h"
#include "core/random.h"
#include "formats/onnx_internal.h"

enum {
    TYPE_FLOAT = 1,
    TYPE_UINT8 = 2,
    TYPE_INT8 = 3,
    TYPE_INT32 = 6,
    TYPE_INT64 = 7,
    TYPE_BOOL = 9,
    TYPE_FLOAT16 = 10,
    TYPE_DOUBLE = 11
};

struct dc_onnx_external {
    struct dc_onnx_external *next;
    const char *name;
    char *bytes;
    size_t size;
};

static int64_t bytes_of(int type)
{
    switch (type) {
    case TYPE_UINT8:
    case TYPE_INT8:
    case TYPE_BOOL:
        return 1;
    case TYPE_FLOAT16:
        return 2;
    case TYPE_FLOAT:
    case TYPE_INT32:
        return 4;
    case TYPE_INT64:
    case TYPE_DOUBLE:
        return 8;
    default:
        return 0;
    }
}

// Product of dimensions, or -1 where one is negative or the product is beyond INT32_MAX.
static int64_t count_of(size_t rank, const int64_t *dims)
{
    int64_t count = 1;
    bool empty = false;
    for (size_t i = 0; i < rank; i++) {
        empty = empty || dims[i] == 0;
        if (dims[i] < 0 || dims[i] > INT32_MAX || (dims[i] > 0 && (count *= dims[i]) > INT32_MAX))
            return -1;
    }
    return empty ? 0 : count;
}

static enum dc_status allocate(struct dc_import *m, struct dc_onnx_constant *constant, bool floats,
                               size_t rank, const int64_t *dims, struct dc_error *error)
{
    const int64_t count = rank <= DC_RANK_MAX ? count_of(rank, dims) : -1;
    if (count < 0)
        return dc_fail(error, DC_ERR_DATA, "a constant of %zu dimensions is too large or damaged",
                       rank);
    struct dc_onnx_constant made = {.rank = (int)rank, .count = count};
    for (size_t i = 0; i < rank; i++)
        made.dims[i] = dims[i];
    *constant = made;  // dims may be its own
    if (floats)
        constant->f = DC_NEW(m->arena, float, count, error);
    else
        constant->i = DC_NEW(m->arena, struct dc_linear, count, error);
    return constant->f || constant->i ? DC_OK : DC_ERR_MEMORY;
}

enum dc_status dc__onnx_charge(struct dc_import *m, int64_t count, struct dc_error *error)
{
    if (count > m->folded_most - m->folded)
        return dc_fail(error, DC_ERR_DATA,
                       "folding constants would make more than %" PRId64 " elements",
                       m->folded_most);
    m->folded += count + 1;
    return DC_OK;
}

enum dc_status dc__onnx_new(struct dc_import *m, struct dc_onnx_constant *constant, bool floats,
                            int rank, const int64_t *dims, struct dc_error *error)
{
    DC_TRY(dc__onnx_charge(m, count_of((size_t)rank, dims), error));
    return allocate(m, constant, floats, (size_t)rank, dims, error);
}

// External data: whole files of the model's folder, read once.

static enum dc_status external_file(struct dc_import *m, const struct dc_onnx_external **out,
                                    const char *name, struct dc_error *error)
{
    for (*out = m->externals; *out; *out = (*out)->next)
        if (strcmp((*out)->name, name) == 0)
            return DC_OK;
    if (!*name || *name == '/' || strstr(name, "..") || strchr(name, '\\'))
        return dc_fail(error, DC_ERR_DATA, "external data '%s' is not in the model's folder", name);
    struct dc_onnx_external *file = DC_NEW(m->arena, struct dc_onnx_external, 1, error);
    const char *path = dc_arena_printf(m->arena, error, "%s%s", m->folder, name);
    if (!file || !path)
        return DC_ERR_MEMORY;
    DC_TRY_IN(dc_file_read(&file->bytes, &file->size, path, m->arena, error), error,
              "external data");
    m->hash = dc_hash_bytes(m->hash, file->bytes, file->size);
    m->folded_most += DC_ONNX_FOLDED_A_BYTE * (int64_t)file->size;
    file->name = name;
    file->next = m->externals;
    m->externals = file;
    *out = file;
    return DC_OK;
}

static enum dc_status whole_number(int64_t *value, const char *text, const char *key,
                                   struct dc_error *error)
{
    char *end;
    *value = strtoll(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || *value == INT64_MAX)
        return dc_fail(error, DC_ERR_DATA, "external data: %s '%s' is not a number of bytes", key,
                       text);
    return DC_OK;
}

static enum dc_status external_bytes(struct dc_import *m, const uint8_t **bytes, int64_t *size,
                                     const Onnx__TensorProto *t, struct dc_error *error)
{
    const struct dc_onnx_external *file = NULL;
    int64_t offset = 0, length = -1;
    for (size_t i = 0; i < t->n_external_data; i++) {
        const char *key = t->external_data[i]->key, *value = t->external_data[i]->value;
        if (strcmp(key, "location") == 0)
            DC_TRY(external_file(m, &file, value, error));
        else if (strcmp(key, "offset") == 0)
            DC_TRY(whole_number(&offset, value, key, error));
        else if (strcmp(key, "length") == 0)
            DC_TRY(whole_number(&length, value, key, error));
    }
    if (!file)
        return dc_fail(error, DC_ERR_DATA, "external data without a location");
    const int64_t have = (int64_t)file->size;
    if (offset > have || length > have - offset)
        return dc_fail(error, DC_ERR_DATA,
                       "external data '%s' has %" PRId64 " bytes; %" PRId64 " from byte %" PRId64
                       " are wanted",
                       file->name, have, length, offset);
    *bytes = (const uint8_t *)file->bytes + offset;
    *size = length < 0 ? have - offset : length;
    return DC_OK;
}

static float float_at(const uint8_t *bytes, int type, int64_t i)
{
    float f;
    double d;
    if (type == TYPE_FLOAT16)
        return dc_half_to_float((uint16_t)(bytes[2 * i] | bytes[2 * i + 1] << 8));
    if (type == TYPE_DOUBLE) {
        memcpy(&d, bytes + 8 * i, sizeof d);
        return (float)d;
    }
    memcpy(&f, bytes + 4 * i, sizeof f);
    return f;
}

static int64_t integer_at(const uint8_t *bytes, int type, int64_t i)
{
    int32_t small;
    int64_t wide;
    if (type == TYPE_INT64) {
        memcpy(&wide, bytes + 8 * i, sizeof wide);
        return wide;
    }
    if (type == TYPE_INT32) {
        memcpy(&small, bytes + 4 * i, sizeof small);
        return small;
    }
    return type == TYPE_INT8 ? (int8_t)bytes[i] : bytes[i];
}

// The typed field of a tensor without raw bytes: how many numbers it has, and number i.
static size_t typed_count(const Onnx__TensorProto *t)
{
    return t->data_type == TYPE_FLOAT    ? t->n_float_data
           : t->data_type == TYPE_DOUBLE ? t->n_double_data
           : t->data_type == TYPE_INT64  ? t->n_int64_data
                                         : t->n_int32_data;
}

static float typed_float(const Onnx__TensorProto *t, int64_t i)
{
    return t->data_type == TYPE_FLOAT    ? t->float_data[i]
           : t->data_type == TYPE_DOUBLE ? (float)t->double_data[i]
                                         : dc_half_to_float((uint16_t)(t->int32_data[i] & 0xffff));
}

enum dc_status dc__onnx_tensor(struct dc_import *m, struct dc_onnx_constant *constant,
                               const Onnx__TensorProto *t, struct dc_error *error)
{
    const int type = t->data_type;
    const int64_t count = count_of(t->n_dims, t->dims), width = bytes_of(type);
    const uint8_t *bytes = t->raw_data.data;
    int64_t size = (int64_t)t->raw_data.len;
    if (width == 0)
        return dc_fail(error, DC_ERR_DATA, "tensor '%s' has the unknown element type %d", t->name,
                       type);
    if (t->data_location == 1)
        DC_TRY_IN(external_bytes(m, &bytes, &size, t, error), error, "tensor '%s'", t->name);
    const bool raw = t->data_location == 1 || size > 0;
    const int64_t have = raw ? size / width : (int64_t)typed_count(t);
    if (count < 0 || have != count || (raw && size % width))
        return dc_fail(error, DC_ERR_DATA,
                       "tensor '%s': its dimensions ask for %" PRId64 " values, there are %" PRId64,
                       t->name, count, have);
    const bool floats = type == TYPE_FLOAT || type == TYPE_FLOAT16 || type == TYPE_DOUBLE;
    DC_TRY_IN(allocate(m, constant, floats, t->n_dims, t->dims, error), error, "tensor '%s'",
              t->name);
    for (int64_t i = 0; i < count && floats; i++)
        constant->f[i] = raw ? float_at(bytes, type, i) : typed_float(t, i);
    for (int64_t i = 0; i < count && !floats; i++)
        constant->i[i].c = raw                  ? integer_at(bytes, type, i)
                           : type == TYPE_INT64 ? t->int64_data[i]
                                                : t->int32_data[i];
    return DC_OK;
}

// Attributes.

const Onnx__AttributeProto *dc__onnx_attribute(struct dc_onnx_call *call, const char *name,
                                               int type)
{
    for (size_t i = 0; i < call->proto->n_attribute; i++) {
        const Onnx__AttributeProto *a = call->proto->attribute[i];
        if (strcmp(a->name, name) != 0)
            continue;
        call->asked |= i < 64 ? 1ull << i : 0;
        if (a->type == type && (type != DC_ONNX_TENSOR || a->t))
            return a;
        call->bad = name;
    }
    return NULL;
}

int64_t dc__onnx_int(struct dc_onnx_call *call, const char *name, int64_t otherwise)
{
    const Onnx__AttributeProto *a = dc__onnx_attribute(call, name, DC_ONNX_INT);
    return a ? a->i : otherwise;
}

int64_t dc__onnx_cast_type(struct dc_onnx_call *call)
{
    const struct dc_onnx_value *like = call->count > 1 ? call->in[1] : NULL;
    (void)dc__onnx_int(call, "saturate", 1);
    if (!like)
        return dc__onnx_int(call, "to", DC_ONNX_TYPE_FLOAT);
    return like->kind == DC_VALUE_CONSTANT && like->constant.i ? DC_ONNX_TYPE_INT64
                                                               : DC_ONNX_TYPE_FLOAT;
}

float dc__onnx_float(struct dc_onnx_call *call, const char *name, float otherwise)
{
    const Onnx__AttributeProto *a = dc__onnx_attribute(call, name, DC_ONNX_FLOAT);
    return a ? a->f : otherwise;
}

bool dc__onnx_is(struct dc_onnx_call *call, const char *name, const char *otherwise,
                 const char *text)
{
    const Onnx__AttributeProto *a = dc__onnx_attribute(call, name, DC_ONNX_STRING);
    if (!a)
        return strcmp(otherwise, text) == 0;
    return a->s.len == strlen(text) && memcmp(a->s.data, text, a->s.len) == 0;
}

void dc__onnx_ints(struct dc_onnx_call *call, const char *name, int *values, int count,
                   int otherwise)
{
    const Onnx__AttributeProto *a = dc__onnx_attribute(call, name, DC_ONNX_INTS);
    if (a && a->n_ints != (size_t)count) {
        call->bad = name;
        a = NULL;
    }
    for (int i = 0; i < count; i++) {
        values[i] = otherwise;
        if (a && (a->ints[i] < 0 || a->ints[i] > DC_ONNX_ATTRIBUTE_MOST))
            call->bad = name;
        else if (a)
            values[i] = (int)a->ints[i];
    }
}

enum dc_status dc__onnx_linear_list(struct dc_onnx_call *call, int input, const char *name,
                                    struct dc_linear values[DC_ONNX_LIST], int *count,
                                    struct dc_error *error)
{
    const Onnx__AttributeProto *a = dc__onnx_attribute(call, name, DC_ONNX_INTS);
    const struct dc_onnx_value *v = input < call->count ? call->in[input] : NULL;
    *count = -1;
    if (!a && !v)
        return DC_OK;
    if (!a && (v->kind != DC_VALUE_CONSTANT || !v->constant.i))
        return dc_fail(error, DC_ERR_DATA, "'%s' must be constant integers", v->name);
    if (!a && v->constant.rows)
        return dc__fold_fail_batch(error);
    const int64_t n = a ? (int64_t)a->n_ints : v->constant.count;
    if (n > DC_ONNX_LIST)
        return dc_fail(error, DC_ERR_DATA, "%s has %" PRId64 " entries", name, n);
    *count = (int)n;
    for (int i = 0; i < *count; i++)
        values[i] = a ? (struct dc_linear){.c = a->ints[i]} : v->constant.i[i];
    return DC_OK;
}

enum dc_status dc__onnx_list(struct dc_onnx_call *call, int input, const char *name,
                             int64_t values[DC_ONNX_LIST], int *count, struct dc_error *error)
{
    struct dc_linear linear[DC_ONNX_LIST];
    DC_TRY(dc__onnx_linear_list(call, input, name, linear, count, error));
    for (int i = 0; i < *count; i++) {
        values[i] = linear[i].c;
        if (linear[i].k)
            return dc_fail(error, DC_ERR_DATA, "%s depends on the size of the batch", name);
    }
    return DC_OK;
}

const float *dc__onnx_floats(const struct dc_onnx_call *call, int input, int64_t count)
{
    const struct dc_onnx_value *v = input < call->count ? call->in[input] : NULL;
    return v && v->kind == DC_VALUE_CONSTANT && (count == 0 || v->constant.count == count)
               ? v->constant.f
               : NULL;
}

enum dc_status dc__onnx_reduced_axes(struct dc_onnx_call *call, unsigned *axes, bool *none,
                                     int rank, struct dc_error *error)
{
    int64_t list[DC_ONNX_LIST];
    int count;
    DC_TRY(dc__onnx_list(call, 1, "axes", list, &count, error));
    *none = dc__onnx_int(call, "noop_with_empty_axes", 0) != 0 && count <= 0;
    *axes = count <= 0 && !*none ? (1u << rank) - 1 : 0;
    for (int i = 0; i < count; i++) {
        DC_TRY(dc__onnx_axis(&list[i], rank, error));
        *axes |= 1u << list[i];
    }
    return DC_OK;
}

enum dc_status dc__onnx_axis(int64_t *axis, int rank, struct dc_error *error)
{
    if (*axis < -rank || *axis >= rank)
        return dc_fail(error, DC_ERR_DATA, "axis %" PRId64 " of a value of rank %d", *axis, rank);
    *axis += *axis < 0 ? rank : 0;
    return DC_OK;
}
