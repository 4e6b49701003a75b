// Owns the TFLite schema and its order on disk: model, operator codes, subgraph, tensors,
// operators, metadata, signature, buffers. Buffer 0 is the empty one that the format wants; each
// constant has its own. Field numbers are those of TensorFlow's schema.fbs, version 3.

#include "formats/tflite.h"

#include <string.h>

#include "core/file.h"
#include "formats/flatbuffer.h"

// One character a field number (formats/flatbuffer.h): what this writer says of each table.
static const char model_fields[] =
    "irrrr-rr";                            // version, codes, subgraphs, text, buffers, metadata
static const char code_fields[] = "b-ii";  // code below 128, custom, version, code
static const char subgraph_fields[] = "rrrrr";        // tensors, inputs, outputs, operators, name
static const char tensor_fields[] = "rbirr";          // shape, type, buffer, name, quantization
static const char quantization_fields[] = "--rr--i";  // scales, zero points, axis
static const char operator_fields[] =
    "irrbr";                                 // code index, inputs, outputs, options type, options
static const char metadata_fields[] = "ri";  // name, buffer
static const char signature_fields[] = "rrr-i";  // inputs, outputs, key, subgraph
static const char map_fields[] = "ri";           // name, tensor

enum { SLOTS_MAX = 8, BUFFER_ALIGNMENT = 16, VERSION = 3 };

// The file's list of operator codes: one entry for each in use, in order of appearance, of the
// largest version that one of them needs.
struct codes {
    enum dc_tflite_code *codes;
    int *versions;
    int count;
};

static int index_of(const struct codes *codes, enum dc_tflite_code code)
{
    int i = 0;
    while (i < codes->count && codes->codes[i] != code)
        i++;
    return i;
}

static enum dc_status find_codes(struct codes *codes, const struct dc_tflite_file *file,
                                 struct dc_arena *arena, struct dc_error *error)
{
    codes->codes = DC_NEW(arena, enum dc_tflite_code, file->operator_count + 1, error);
    codes->versions = DC_NEW(arena, int, file->operator_count + 1, error);
    codes->count = 0;
    if (!codes->codes || !codes->versions)
        return DC_ERR_MEMORY;
    for (int i = 0; i < file->operator_count; i++) {
        const struct dc_tflite_operator *o = &file->operators[i];
        const struct dc_tflite_kind *kind = &dc_tflite_kinds[o->code];
        int version = o->version ? o->version : kind->version;
        for (int k = 0; k < o->input_count; k++)
            if (file->tensors[o->inputs[k]].type == DC_TFLITE_INT4)
                version = kind->int4;
        const int at = index_of(codes, o->code);
        codes->codes[at] = o->code;
        codes->versions[at] = version > codes->versions[at] ? version : codes->versions[at];
        codes->count += at == codes->count;
    }
    return DC_OK;
}

static void write_codes(struct dc_flatbuffer *flat, uint32_t slot, const struct codes *codes)
{
    const uint32_t items = dc_flat_vector(flat, slot, NULL, codes->count, 4, 4);
    for (int i = 0; i < codes->count; i++) {
        const int64_t values[] = {codes->codes[i] < 128 ? codes->codes[i] : 127, 0,
                                  codes->versions[i], codes->codes[i]};
        dc_flat_table(flat, items + 4 * (uint32_t)i, code_fields, values, NULL);
    }
}

static void write_quantization(struct dc_flatbuffer *flat, uint32_t slot,
                               const struct dc_tflite_tensor *tensor)
{
    uint32_t slots[SLOTS_MAX];
    const int64_t values[SLOTS_MAX] = {[6] = tensor->axis};
    dc_flat_table(flat, slot, quantization_fields, values, slots);
    (void)dc_flat_vector(flat, slots[2], tensor->scales, tensor->scale_count, 4, 4);
    const uint32_t at = dc_flat_vector(flat, slots[3], NULL, tensor->scale_count, 8, 8);
    const int64_t zero_point = tensor->zero_point;
    for (int i = 0; flat->status == DC_OK && i < tensor->scale_count; i++)
        memcpy(flat->bytes + at + 8 * (uint32_t)i, &zero_point, 8);
}

static void write_tensors(struct dc_flatbuffer *flat, uint32_t slot,
                          const struct dc_tflite_file *file)
{
    const uint32_t items = dc_flat_vector(flat, slot, NULL, file->tensor_count, 4, 4);
    int buffer = 0;
    for (int i = 0; i < file->tensor_count; i++) {
        const struct dc_tflite_tensor *t = &file->tensors[i];
        const bool quantized = t->scale_count > 0;
        uint32_t slots[SLOTS_MAX];
        const int64_t values[] = {0, t->type, t->data ? ++buffer : 0, 0, 0};
        dc_flat_table(flat, items + 4 * (uint32_t)i, quantized ? tensor_fields : "rbir", values,
                      slots);
        (void)dc_flat_vector(flat, slots[0], t->shape, t->rank, 4, 4);
        dc_flat_string(flat, slots[3], t->name);
        if (quantized)
            write_quantization(flat, slots[4], t);
    }
}

static void write_operators(struct dc_flatbuffer *flat, uint32_t slot, const struct codes *codes,
                            const struct dc_tflite_file *file)
{
    const uint32_t items = dc_flat_vector(flat, slot, NULL, file->operator_count, 4, 4);
    for (int i = 0; i < file->operator_count; i++) {
        const struct dc_tflite_operator *o = &file->operators[i];
        const struct dc_tflite_kind *kind = &dc_tflite_kinds[o->code];
        const char *options = kind->options;
        char fields[DC_TFLITE_OPTIONS_MAX + 1] = "";
        uint32_t slots[SLOTS_MAX];
        const int64_t values[] = {index_of(codes, o->code), 0, 0, kind->union_of, 0};
        for (int k = 0; options && options[k]; k++)
            fields[k] = options[k] == 'a' ? 'b' : options[k] == 'd' ? 'i' : options[k];
        dc_flat_table(flat, items + 4 * (uint32_t)i, options ? operator_fields : "irrb", values,
                      slots);
        (void)dc_flat_vector(flat, slots[1], o->inputs, o->input_count, 4, 4);
        (void)dc_flat_vector(flat, slots[2], &o->output, 1, 4, 4);
        if (options)
            dc_flat_table(flat, slots[4], fields, o->options, NULL);
    }
}

static void write_subgraph(struct dc_flatbuffer *flat, uint32_t slot, const struct codes *codes,
                           const struct dc_tflite_file *file)
{
    uint32_t slots[SLOTS_MAX];
    dc_flat_table(flat, slot, subgraph_fields, NULL, slots);
    write_tensors(flat, slots[0], file);
    (void)dc_flat_vector(flat, slots[1], &file->input, 1, 4, 4);
    (void)dc_flat_vector(flat, slots[2], &file->output, 1, 4, 4);
    write_operators(flat, slots[3], codes, file);
    dc_flat_string(flat, slots[4], file->name);
}

static void write_signature(struct dc_flatbuffer *flat, uint32_t slot,
                            const struct dc_tflite_file *file)
{
    uint32_t slots[SLOTS_MAX], name[SLOTS_MAX];
    const int64_t none[SLOTS_MAX] = {0}, tensors[2][2] = {{0, file->input}, {0, file->output}};
    dc_flat_table(flat, slot, signature_fields, none, slots);
    for (int i = 0; i < 2; i++) {
        const uint32_t item = dc_flat_vector(flat, slots[i], NULL, 1, 4, 4);
        dc_flat_table(flat, item, map_fields, tensors[i], name);
        dc_flat_string(flat, name[0], i == 0 ? "input" : "output");
    }
    dc_flat_string(flat, slots[2], "serving_default");
}

static void write_metadata(struct dc_flatbuffer *flat, uint32_t slot, int first_buffer,
                           const struct dc_tflite_file *file)
{
    static const char *const names[] = {"OfflineMemoryAllocation", "normalization"};
    const int count = file->normalization ? 2 : 1;
    const uint32_t items = dc_flat_vector(flat, slot, NULL, count, 4, 4);
    for (int i = 0; i < count; i++) {
        uint32_t slots[SLOTS_MAX];
        const int64_t values[] = {0, first_buffer + i};
        dc_flat_table(flat, items + 4 * (uint32_t)i, metadata_fields, values, slots);
        dc_flat_string(flat, slots[0], names[i]);
    }
}

static void write_buffer(struct dc_flatbuffer *flat, uint32_t slot, const void *data, int64_t bytes)
{
    uint32_t slots[SLOTS_MAX];
    dc_flat_table(flat, slot, "r", NULL, slots);
    (void)dc_flat_vector(flat, slots[0], data, bytes, 1, BUFFER_ALIGNMENT);
}

// plan: version 1, 1 subgraph, tensors, an offset each.
static void write_buffers(struct dc_flatbuffer *flat, uint32_t slot, int constants,
                          const int32_t *plan, const struct dc_tflite_file *file)
{
    const int count = 1 + constants + (file->normalization ? 2 : 1);
    uint32_t item = dc_flat_vector(flat, slot, NULL, count, 4, 4);
    dc_flat_table(flat, item, "", NULL, NULL);
    for (int i = 0; i < file->tensor_count; i++)
        if (file->tensors[i].data)
            write_buffer(flat, item += 4, file->tensors[i].data, file->tensors[i].bytes);
    write_buffer(flat, item += 4, plan, 4 * ((int64_t)file->tensor_count + 3));
    if (file->normalization)
        write_buffer(flat, item + 4, file->normalization, (int64_t)strlen(file->normalization));
}

static enum dc_status write_model(const char *path, const struct dc_tflite_file *file,
                                  struct dc_arena *arena, struct dc_error *error)
{
    int32_t *plan = DC_NEW(arena, int32_t, file->tensor_count + 3, error);
    if (!plan)
        return DC_ERR_MEMORY;
    int constants = 0;
    plan[0] = plan[1] = 1;
    plan[2] = file->tensor_count;
    for (int i = 0; i < file->tensor_count; i++) {
        plan[3 + i] = (int32_t)file->tensors[i].arena_offset;
        constants += file->tensors[i].data != NULL;
    }
    struct dc_flatbuffer flat;
    struct codes codes;
    uint32_t slots[SLOTS_MAX];
    const int64_t values[SLOTS_MAX] = {VERSION};
    DC_TRY(find_codes(&codes, file, arena, error));
    dc_flat_start(&flat, "TFL3", arena, error);
    dc_flat_table(&flat, 0, model_fields, values, slots);
    write_codes(&flat, slots[1], &codes);
    const uint32_t subgraph = dc_flat_vector(&flat, slots[2], NULL, 1, 4, 4);
    write_subgraph(&flat, subgraph, &codes, file);
    dc_flat_string(&flat, slots[3], file->description);
    write_metadata(&flat, slots[6], 1 + constants, file);
    const uint32_t signature = dc_flat_vector(&flat, slots[7], NULL, 1, 4, 4);
    write_signature(&flat, signature, file);
    write_buffers(&flat, slots[4], constants, plan, file);
    DC_TRY(flat.status);
    return dc_file_write(path, flat.bytes, flat.size, error);
}

enum dc_status dc_tflite_file_write(const char *path, const struct dc_tflite_file *file,
                                    struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    const enum dc_status status = write_model(path, file, arena, error);
    dc_arena_free(arena);
    return status;
}
