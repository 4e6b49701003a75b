// Owns the way from the bytes of a TFLite file to dc_tflite_file: what each field is, and every
// check that needs no knowledge of operators. Copies nothing but the tables; names, scales and
// constants stay in the file's bytes. Field numbers are those of TensorFlow's schema.fbs,
// version 3.

#include <inttypes.h>
#include <string.h>

#include "core/file.h"
#include "core/random.h"
#include "formats/flatbuffer_read.h"
#include "formats/int4.h"
#include "formats/tflite.h"

enum { VERSION = 3, RANK_MOST = 8, SHAPE_RANK = 4 };
// Field numbers of each table, those that are read.
enum { MODEL_VERSION, MODEL_CODES, MODEL_SUBGRAPHS, MODEL_BUFFERS = 4 };
enum { CODE_OLD, CODE_VERSION = 2, CODE_NEW };
enum { SUBGRAPH_TENSORS, SUBGRAPH_INPUTS, SUBGRAPH_OUTPUTS, SUBGRAPH_OPERATORS, SUBGRAPH_NAME };
enum {
    TENSOR_SHAPE,
    TENSOR_TYPE,
    TENSOR_BUFFER,
    TENSOR_NAME,
    TENSOR_QUANTIZATION,
    TENSOR_VARIABLE,
    TENSOR_SPARSITY
};
enum { QUANTIZATION_SCALES = 2, QUANTIZATION_ZERO_POINTS, QUANTIZATION_AXIS = 6 };
enum { OPERATOR_CODE, OPERATOR_INPUTS, OPERATOR_OUTPUTS, OPERATOR_OPTIONS_TYPE, OPERATOR_OPTIONS };
enum { BUFFER_DATA, BUFFER_OFFSET };

struct parsing {
    struct dc_flat_reader reader;
    struct dc_arena *arena;
    struct dc_error *error;
    struct dc_flat_items codes, buffers;
    struct dc_tflite_file *file;
};

static enum dc_status fault(const struct parsing *p)
{
    return p->reader.fault
               ? dc_fail(p->error, DC_ERR_DATA, "the file is damaged: %s", p->reader.fault)
               : DC_OK;
}

// Bits of a value; 0: of a type that is not read, whose constants are never looked at.
static int bits_of(enum dc_tflite_type type)
{
    switch (type) {
    case DC_TFLITE_FLOAT32:
    case DC_TFLITE_INT32:
        return 32;
    case DC_TFLITE_FLOAT16:
        return 16;
    case DC_TFLITE_INT64:
        return 64;
    case DC_TFLITE_INT8:
        return 8;
    case DC_TFLITE_INT4:
        return 4;
    }
    return 0;
}

// The bytes of a constant are as many as its shape asks for.
static enum dc_status read_data(struct parsing *p, struct dc_tflite_tensor *t, int64_t buffer)
{
    if (buffer < 0 || buffer >= p->buffers.count)
        return dc_fail(p->error, DC_ERR_DATA, "tensor '%s' names buffer %" PRId64 " of %" PRIu32,
                       t->name, buffer, p->buffers.count);
    const struct dc_flat_ref table = dc_flat_item(&p->reader, p->buffers, (uint32_t)buffer);
    const struct dc_flat_items data = dc_flat_items(&p->reader, table, BUFFER_DATA, 1);
    DC_TRY(fault(p));
    if (dc_flat_number(&p->reader, table, BUFFER_OFFSET, 8, 0) > 1)
        return dc_fail(p->error, DC_ERR_DATA,
                       "the weights lie behind the FlatBuffer, as in files above 2 GiB, which is "
                       "not read");
    int64_t count = 1;
    for (int i = 0; i < t->rank && i < SHAPE_RANK; i++)
        count = count > INT32_MAX ? count : count * t->shape[i];
    const int bits = bits_of(t->type);
    if (data.count == 0)
        return DC_OK;
    if (count > INT32_MAX)
        return dc_fail(p->error, DC_ERR_DATA, "tensor '%s' is larger than its buffer", t->name);
    const int64_t bytes = bits == 4 ? dc_int4_bytes(count) : count * bits / 8;
    if (bits > 0 && t->rank <= SHAPE_RANK && bytes != data.count)
        return dc_fail(p->error, DC_ERR_DATA,
                       "tensor '%s' asks for %" PRId64 " bytes by its shape, its buffer has "
                       "%" PRIu32,
                       t->name, bytes, data.count);
    t->data = data.first;
    t->bytes = data.count;
    return DC_OK;
}

static enum dc_status read_quantization(struct parsing *p, struct dc_tflite_tensor *t,
                                        struct dc_flat_ref table)
{
    const struct dc_flat_items scales = dc_flat_items(&p->reader, table, QUANTIZATION_SCALES, 4);
    const struct dc_flat_items zeros = dc_flat_items(&p->reader, table, QUANTIZATION_ZERO_POINTS,
                                                     8);
    const int64_t *zero = zeros.first;
    const int64_t axis = dc_flat_number(&p->reader, table, QUANTIZATION_AXIS, 4, 0);
    DC_TRY(fault(p));
    t->scale_count = (int)scales.count;
    t->scales = scales.first;
    t->axis = (int)axis;
    for (uint32_t i = 0; i < zeros.count; i++)
        if (zero[i] != zero[0] || zero[i] < INT16_MIN || zero[i] > INT16_MAX)
            return dc_fail(p->error, DC_ERR_DATA,
                           "tensor '%s': zero point %" PRId64 " of channel %" PRIu32
                           "; all channels have one, of at most 16 bits",
                           t->name, zero[i], i);
    t->zero_point = zeros.count ? (int)zero[0] : 0;
    for (int i = 0; i < t->scale_count; i++)
        if (!(t->scales[i] >= 0.0f && t->scales[i] <= 3e38f))
            return dc_fail(p->error, DC_ERR_DATA, "tensor '%s': scale %g", t->name,
                           (double)t->scales[i]);
    if (t->scale_count > 1 &&
        (axis < 0 || axis >= t->rank || axis >= SHAPE_RANK || t->shape[axis] != t->scale_count))
        return dc_fail(p->error, DC_ERR_DATA,
                       "tensor '%s' has %d scales along axis %" PRId64 ", which has another size",
                       t->name, t->scale_count, axis);
    return DC_OK;
}

static enum dc_status read_tensor(struct parsing *p, struct dc_tflite_tensor *t,
                                  struct dc_flat_ref table)
{
    struct dc_flat_reader *r = &p->reader;
    const struct dc_flat_items shape = dc_flat_items(r, table, TENSOR_SHAPE, 4);
    const int32_t *dims = shape.first;
    t->name = dc_flat_text(r, table, TENSOR_NAME);
    t->type = (enum dc_tflite_type)dc_flat_number(r, table, TENSOR_TYPE, 1, 0);
    t->rank = (int)shape.count;
    t->arena_offset = -1;
    const int64_t buffer = dc_flat_number(r, table, TENSOR_BUFFER, 4, 0);
    const struct dc_flat_ref quantization = dc_flat_child(r, table, TENSOR_QUANTIZATION);
    const bool odd = dc_flat_number(r, table, TENSOR_VARIABLE, 1, 0) != 0 ||
                     dc_flat_has(r, table, TENSOR_SPARSITY);
    DC_TRY(fault(p));
    if (odd)
        return dc_fail(p->error, DC_ERR_DATA,
                       "tensor '%s' is a variable or sparse, which is not read", t->name);
    if (shape.count > RANK_MOST)
        return dc_fail(p->error, DC_ERR_DATA, "tensor '%s' has %" PRIu32 " dimensions", t->name,
                       shape.count);
    for (int i = 0; i < t->rank; i++) {
        if (dims[i] < 0)
            return dc_fail(p->error, DC_ERR_DATA, "tensor '%s': dimension %d is %" PRId32, t->name,
                           i, dims[i]);
        if (i < SHAPE_RANK)
            t->shape[i] = dims[i];
    }
    DC_TRY(read_quantization(p, t, quantization));
    return read_data(p, t, buffer);
}

static enum dc_status read_options(struct parsing *p, struct dc_tflite_operator *o,
                                   struct dc_flat_ref table)
{
    char text[DC_TFLITE_NAME_BYTES];
    const bool known = o->code < DC_TFLITE_CODE_COUNT && dc_tflite_kinds[o->code].options;
    const int64_t type = dc_flat_number(&p->reader, table, OPERATOR_OPTIONS_TYPE, 1, 0) & 0xff;
    const struct dc_flat_ref options = dc_flat_child(&p->reader, table, OPERATOR_OPTIONS);
    if (!known || p->reader.fault)
        return fault(p);
    const struct dc_tflite_kind *kind = &dc_tflite_kinds[o->code];
    if (type != kind->union_of && type != 0)
        return dc_fail(p->error, DC_ERR_DATA, "options of kind %" PRId64 " do not belong to %s",
                       type, dc_tflite_code_name(text, (int)o->code));
    for (int i = 0; kind->options[i]; i++) {
        const bool byte = strchr("ba", kind->options[i]) != NULL;
        if (kind->options[i] != '-')
            o->options[i] = dc_flat_number(&p->reader, type ? options : (struct dc_flat_ref){0}, i,
                                           byte ? 1 : 4, kind->options[i] == 'd');
    }
    return fault(p);
}

static enum dc_status read_operator(struct parsing *p, struct dc_tflite_operator *o,
                                    struct dc_flat_ref table)
{
    struct dc_flat_reader *r = &p->reader;
    const struct dc_flat_items inputs = dc_flat_items(r, table, OPERATOR_INPUTS, 4);
    const struct dc_flat_items outputs = dc_flat_items(r, table, OPERATOR_OUTPUTS, 4);
    const int64_t index = dc_flat_number(r, table, OPERATOR_CODE, 4, 0);
    const int32_t *in = inputs.first, *out = outputs.first;
    DC_TRY(fault(p));
    if (index < 0 || index >= p->codes.count)
        return dc_fail(p->error, DC_ERR_DATA, "operator code %" PRId64 " of %" PRIu32, index,
                       p->codes.count);
    const struct dc_flat_ref entry = dc_flat_item(r, p->codes, (uint32_t)index);
    const int64_t old = dc_flat_number(r, entry, CODE_OLD, 1, 0);
    const int64_t code = dc_flat_number(r, entry, CODE_NEW, 4, 0);
    o->code = (enum dc_tflite_code)(code > old ? code : old);
    o->version = (int)dc_flat_number(r, entry, CODE_VERSION, 4, 1);
    DC_TRY(fault(p));
    if (code < 0 || old < 0)
        return dc_fail(p->error, DC_ERR_DATA, "a code that is negative");
    o->output_count = (int)outputs.count;
    o->output = outputs.count ? out[0] : -1;
    o->input_count = (int)inputs.count;
    for (uint32_t i = 0; i < outputs.count; i++)
        if (out[i] < 0 || out[i] >= p->file->tensor_count)
            return dc_fail(p->error, DC_ERR_DATA, "gives tensor %" PRId32, out[i]);
    for (uint32_t i = 0; i < inputs.count; i++) {
        if (in[i] < -1 || in[i] >= p->file->tensor_count)
            return dc_fail(p->error, DC_ERR_DATA, "reads tensor %" PRId32, in[i]);
        if (i < DC_TFLITE_INPUTS_MAX)
            o->inputs[i] = in[i];
    }
    return read_options(p, o, table);
}

static enum dc_status read_end(const struct parsing *p, int *tensor, struct dc_flat_items items,
                               const char *what)
{
    const int32_t *ends = items.first;
    if (items.count == 0 || ends[0] < 0 || ends[0] >= p->file->tensor_count)
        return dc_fail(p->error, DC_ERR_DATA, "the network has no %s", what);
    *tensor = ends[0];
    return DC_OK;
}

static enum dc_status read_subgraph(struct parsing *p, struct dc_flat_ref table)
{
    struct dc_flat_reader *r = &p->reader;
    struct dc_tflite_file *file = p->file;
    const struct dc_flat_items tensors = dc_flat_items(r, table, SUBGRAPH_TENSORS, 4);
    const struct dc_flat_items operators = dc_flat_items(r, table, SUBGRAPH_OPERATORS, 4);
    const struct dc_flat_items inputs = dc_flat_items(r, table, SUBGRAPH_INPUTS, 4);
    const struct dc_flat_items outputs = dc_flat_items(r, table, SUBGRAPH_OUTPUTS, 4);
    file->name = dc_flat_text(r, table, SUBGRAPH_NAME);
    DC_TRY(fault(p));
    struct dc_tflite_tensor *t = DC_NEW(p->arena, struct dc_tflite_tensor, tensors.count + 1,
                                        p->error);
    struct dc_tflite_operator *o = DC_NEW(p->arena, struct dc_tflite_operator, operators.count + 1,
                                          p->error);
    if (!t || !o)
        return DC_ERR_MEMORY;
    file->tensors = t;
    file->operators = o;
    file->tensor_count = (int)tensors.count;
    file->operator_count = (int)operators.count;
    for (uint32_t i = 0; i < tensors.count; i++)
        DC_TRY(read_tensor(p, &t[i], dc_flat_item(r, tensors, i)));
    for (uint32_t i = 0; i < operators.count; i++)
        DC_TRY_IN(read_operator(p, &o[i], dc_flat_item(r, operators, i)), p->error,
                  "operator %" PRIu32, i);
    DC_TRY(read_end(p, &file->input, inputs, "input"));
    if (inputs.count > 1)
        return dc_fail(p->error, DC_ERR_DATA, "the network has %" PRIu32 " inputs; one is read",
                       inputs.count);
    return read_end(p, &file->output, outputs, "output");
}

static enum dc_status read_model(struct parsing *p, const char *bytes, size_t size)
{
    struct dc_flat_reader *r = &p->reader;
    const struct dc_flat_ref model = dc_flat_open(r, bytes, size, "TFL3");
    if (r->fault)
        return dc_fail(p->error, DC_ERR_DATA, "not a TFLite file, or a damaged one: %s", r->fault);
    const int64_t version = dc_flat_number(r, model, MODEL_VERSION, 4, 0);
    p->codes = dc_flat_items(r, model, MODEL_CODES, 4);
    p->buffers = dc_flat_items(r, model, MODEL_BUFFERS, 4);
    const struct dc_flat_items subgraphs = dc_flat_items(r, model, MODEL_SUBGRAPHS, 4);
    const struct dc_flat_ref subgraph = dc_flat_item(r, subgraphs, 0);
    DC_TRY(fault(p));
    if (version != VERSION)
        return dc_fail(p->error, DC_ERR_DATA, "schema version %" PRId64 "; %d is read", version,
                       (int)VERSION);
    return subgraph.at ? read_subgraph(p, subgraph)
                       : dc_fail(p->error, DC_ERR_DATA, "the file holds no network");
}

enum dc_status dc_tflite_file_read(struct dc_tflite_file *file, const char *path,
                                   struct dc_arena *arena, struct dc_error *error)
{
    char *bytes;
    size_t size;
    struct parsing p = {.arena = arena, .error = error, .file = file};
    *file = (struct dc_tflite_file){.name = ""};
    DC_TRY(dc_file_read(&bytes, &size, path, arena, error));
    file->bytes = (int64_t)size;
    file->hash = dc_hash_bytes(DC_HASH_START, bytes, size);
    return read_model(&p, bytes, size);
}
