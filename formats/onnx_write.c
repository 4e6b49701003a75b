// Owns the messages of a file being written, all in one arena, and their packing. Invariant: counts
// and arrays of the graph's message agree at any time, and the first failure is kept. Knows no
// operator: what is put is what is written.

#include "formats/onnx_write.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/int4.h"
#include "formats/onnx_internal.h"

enum { IR_VERSION = 7, OPSET = 13, IR_VERSION_INT4 = 10, OPSET_INT4 = 21 };
enum { ATTRIBUTES_MOST = 8, ATTRIBUTE_TEXT = 512 };

struct dc_onnx_writer {
    struct dc_arena *arena;
    const struct dc_graph *layers;
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    Onnx__OperatorSetIdProto set, *sets[1];
    int node_room, tensor_room, info_room, input_room, output_room;
    enum dc_status status;
    struct dc_error error;
};

static char *copy(struct dc_onnx_writer *w, const char *text)
{
    char *made = dc_arena_copy(w->arena, text, &w->error);
    if (!made)
        w->status = DC_ERR_MEMORY;
    return made;
}

static void *allocate(struct dc_onnx_writer *w, size_t bytes)
{
    void *made = w->status == DC_OK ? dc_arena_alloc(w->arena, bytes, &w->error) : NULL;
    if (!made && w->status == DC_OK)
        w->status = DC_ERR_MEMORY;
    return made;
}

enum dc_status dc_onnx_writer_create(struct dc_onnx_writer **writer, const struct dc_graph *graph,
                                     const char *name, const char *note, struct dc_error *error)
{
    struct dc_arena *arena = NULL;
    *writer = NULL;
    DC_TRY(dc_arena_create(&arena, error));
    struct dc_onnx_writer *w = DC_NEW(arena, struct dc_onnx_writer, 1, error);
    if (!w) {
        dc_arena_free(arena);
        return DC_ERR_MEMORY;
    }
    w->arena = arena;
    w->layers = graph;
    onnx__model_proto__init(&w->model);
    onnx__graph_proto__init(&w->graph);
    onnx__operator_set_id_proto__init(&w->set);
    w->set.version = OPSET;
    w->sets[0] = &w->set;
    w->model.ir_version = IR_VERSION;
    w->model.producer_name = copy(w, "decant");
    w->model.doc_string = copy(w, note);
    w->model.graph = &w->graph;
    w->model.n_opset_import = 1;
    w->model.opset_import = w->sets;
    w->graph.name = copy(w, name);
    *writer = w;
    return DC_OK;
}

void dc_onnx_writer_free(struct dc_onnx_writer *writer)
{
    if (writer)
        dc_arena_free(writer->arena);
}

void dc_onnx_refuse(struct dc_onnx_writer *w, enum dc_status status, const char *format, ...)
{
    char text[DC_ERROR_BYTES];
    va_list arguments;
    if (w->status != DC_OK)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    w->status = dc_fail(&w->error, status, "%s", text);
}

enum dc_status dc_onnx_save(struct dc_onnx_writer *w, const char *path, struct dc_error *error)
{
    if (w->status != DC_OK)
        return dc_fail(error, w->status, "%s", w->error.message);
    const size_t size = onnx__model_proto__get_packed_size(&w->model);
    if (size > INT32_MAX)
        return dc_fail(error, DC_ERR_DATA, "%s: an ONNX file holds 2 GiB at most, not %zu bytes",
                       path, size);
    uint8_t *bytes = dc_alloc(size, error);
    if (!bytes)
        return DC_ERR_MEMORY;
    const enum dc_status status = dc_file_write(path, bytes,
                                                onnx__model_proto__pack(&w->model, bytes), error);
    free(bytes);
    return status;
}

const char *dc_onnx_parameter_name(struct dc_onnx_writer *w, const char *name)
{
    const char *made = w->status == DC_OK ? dc_graph_free_name(w->layers, w->arena, name, &w->error)
                                          : "";
    if (!made)
        w->status = DC_ERR_MEMORY;
    return made ? made : "";
}

const char *dc_onnx_name(struct dc_onnx_writer *w, const char *base, const char *part)
{
    const char *wanted = w->status == DC_OK
                             ? dc_arena_printf(w->arena, &w->error, "%s/%s", base, part)
                             : "";
    if (!wanted)
        w->status = DC_ERR_MEMORY;
    return wanted ? dc_onnx_parameter_name(w, wanted) : "";
}

// Appends to an array of messages; false: nothing was appended.
static bool append(struct dc_onnx_writer *w, void *list, size_t *count, int *room, void *item)
{
    void ***items = list;
    if (w->status != DC_OK || !item)
        return false;
    *items = dc_arena_grow(w->arena, *items, (int)*count, room, sizeof(void *), &w->error);
    if (!*items) {
        *count = 0;
        w->status = DC_ERR_MEMORY;
        return false;
    }
    (*items)[(*count)++] = item;
    return true;
}

// Values: a name with type and shape.

static Onnx__ValueInfoProto *value_info(struct dc_onnx_writer *w, const char *name,
                                        enum dc_onnx_type type, const struct dc_shape *shape)
{
    struct block {
        Onnx__ValueInfoProto info;
        Onnx__TypeProto type;
        Onnx__TypeProto__Tensor tensor;
        Onnx__TensorShapeProto shape;
        Onnx__TensorShapeProto__Dimension dims[DC_RANK_MAX], *list[DC_RANK_MAX];
    } *b = allocate(w, sizeof *b);
    if (!b)
        return NULL;
    onnx__value_info_proto__init(&b->info);
    onnx__type_proto__init(&b->type);
    onnx__type_proto__tensor__init(&b->tensor);
    onnx__tensor_shape_proto__init(&b->shape);
    b->info.name = copy(w, name);
    b->info.type = &b->type;
    b->type.tensor_type = &b->tensor;
    b->tensor.elem_type = (int32_t)type;
    b->tensor.shape = &b->shape;
    b->shape.n_dim = (size_t)shape->rank;
    b->shape.dim = b->list;
    for (int i = 0; i < shape->rank; i++) {
        const bool open = shape->dims[i] == DC_BATCH;
        onnx__tensor_shape_proto__dimension__init(&b->dims[i]);
        b->dims[i].value_case = open ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM
                                     : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        if (open)
            b->dims[i].dim_param = copy(w, "batch");
        else
            b->dims[i].dim_value = shape->dims[i];
        b->list[i] = &b->dims[i];
    }
    return &b->info;
}

void dc_onnx_put_input(struct dc_onnx_writer *w, const char *name, const struct dc_shape *shape)
{
    append(w, &w->graph.input, &w->graph.n_input, &w->input_room,
           value_info(w, name, DC_ONNX_F32, shape));
}

// What is an output needs no other entry.
void dc_onnx_put_output(struct dc_onnx_writer *w, const char *name, const struct dc_shape *shape)
{
    const size_t last = w->graph.n_value_info;
    append(w, &w->graph.output, &w->graph.n_output, &w->output_room,
           value_info(w, name, DC_ONNX_F32, shape));
    if (last > 0 && strcmp(w->graph.value_info[last - 1]->name, name) == 0)
        w->graph.n_value_info--;
}

// Constants.

static size_t bytes_of(enum dc_onnx_type type)
{
    return type == DC_ONNX_I8 ? 1 : type == DC_ONNX_I64 ? 8 : 4;
}

const char *dc_onnx_put_tensor(struct dc_onnx_writer *w, const char *name, enum dc_onnx_type type,
                               const struct dc_shape *shape, const void *values)
{
    const int64_t count = dc_shape_count(shape);
    const size_t bytes = type == DC_ONNX_I4 ? (size_t)dc_int4_bytes(count)
                                            : (size_t)count * bytes_of(type);
    Onnx__TensorProto *t = allocate(w, sizeof *t);
    int64_t *dims = allocate(w, sizeof shape->dims);
    uint8_t *data = allocate(w, bytes);
    if (!data)
        return "";
    onnx__tensor_proto__init(t);
    memcpy(dims, shape->dims, sizeof shape->dims);
    if (type == DC_ONNX_I4) {
        dc_int4_pack(data, values, count);
        w->model.ir_version = IR_VERSION_INT4;
        w->set.version = OPSET_INT4;
    } else {
        memcpy(data, values, bytes);
    }
    t->n_dims = (size_t)shape->rank;
    t->dims = dims;
    t->data_type = (int32_t)type;
    t->name = copy(w, name);
    t->raw_data.len = bytes;
    t->raw_data.data = data;
    return append(w, &w->graph.initializer, &w->graph.n_initializer, &w->tensor_room, t) ? t->name
                                                                                         : "";
}

const char *dc_onnx_put_integers(struct dc_onnx_writer *w, const char *name, const int64_t *values,
                                 int count)
{
    return dc_onnx_put_tensor(w, name, DC_ONNX_I64, &DC_SHAPE(count), values);
}

const char *dc_onnx_put_float(struct dc_onnx_writer *w, const char *name, float value)
{
    return dc_onnx_put_tensor(w, name, DC_ONNX_F32, &(struct dc_shape){0}, &value);
}

// Nodes. The texts of attributes are the program's own, so their form is asserted, not checked.

static void parse_list(Onnx__AttributeProto *a, int64_t *ints, const char *text)
{
    char *end = (char *)text;
    a->type = DC_ONNX_INTS;
    a->ints = ints;
    while (*end != ']') {
        ints[a->n_ints++] = strtoll(end + 1, &end, 10);
        assert(a->n_ints <= DC_RANK_MAX * 2 && (*end == ',' || *end == ']'));
    }
}

static void add_attribute(struct dc_onnx_writer *w, Onnx__NodeProto *node, char *text)
{
    const size_t length = strcspn(text, "=~:");
    const char mark = text[length];
    struct block {
        Onnx__AttributeProto proto;
        int64_t ints[DC_RANK_MAX * 2];
    } *b = allocate(w, sizeof *b);
    assert(mark && node->n_attribute < ATTRIBUTES_MOST);
    if (!b)
        return;
    Onnx__AttributeProto *a = &b->proto;
    onnx__attribute_proto__init(a);
    text[length] = '\0';
    a->name = copy(w, text);
    text += length + 1;
    if (mark == '~') {
        a->type = DC_ONNX_FLOAT;
        a->f = strtof(text, NULL);
    } else if (mark == ':') {
        a->type = DC_ONNX_STRING;
        a->s.data = (uint8_t *)copy(w, text);
        a->s.len = strlen(text);
    } else if (text[0] == '[') {
        parse_list(a, b->ints, text);
    } else {
        a->type = DC_ONNX_INT;
        a->i = strtoll(text, NULL, 10);
    }
    node->attribute[node->n_attribute++] = a;
}

static void add_attributes(struct dc_onnx_writer *w, Onnx__NodeProto *node, char *text)
{
    node->attribute = allocate(w, ATTRIBUTES_MOST * sizeof *node->attribute);
    for (char *at = text; node->attribute && *at;) {
        const size_t length = strcspn(at, " ");
        char *next = at + length + (at[length] == ' ');
        at[length] = '\0';
        add_attribute(w, node, at);
        at = next;
    }
}

const char *dc_onnx_put(struct dc_onnx_writer *w, const char *op, const char *output,
                        enum dc_onnx_type type, const struct dc_shape *shape,
                        const char *const *inputs, const char *attributes, ...)
{
    char text[ATTRIBUTE_TEXT];
    va_list arguments;
    int count = 0;
    while (inputs[count])
        count++;
    Onnx__NodeProto *node = allocate(w, sizeof *node);
    char **lists = allocate(w, sizeof *lists * (size_t)(count + 1));
    if (!lists)
        return "";
    onnx__node_proto__init(node);
    va_start(arguments, attributes);
    const int length = vsnprintf(text, sizeof text, attributes, arguments);
    va_end(arguments);
    assert(length >= 0 && length < ATTRIBUTE_TEXT);
    (void)length;
    node->op_type = copy(w, op);
    node->name = copy(w, output);
    node->n_input = (size_t)count;
    node->input = lists;
    for (int i = 0; i < count; i++)
        lists[i] = copy(w, inputs[i]);
    node->n_output = 1;
    node->output = lists + count;
    lists[count] = node->name;
    add_attributes(w, node, text);
    append(w, &w->graph.value_info, &w->graph.n_value_info, &w->info_room,
           value_info(w, output, type, shape));
    return append(w, &w->graph.node, &w->graph.n_node, &w->node_room, node) ? node->name : "";
}

// Orders.

struct dc_shape dc_onnx_shape(const struct dc_shape *s)
{
    return s->rank == 4 ? DC_SHAPE(s->dims[0], s->dims[3], s->dims[1], s->dims[2]) : *s;
}

void dc_onnx_channels_first(void *out, const void *in, int64_t outer, int64_t space,
                            int64_t channels, int bytes)
{
    uint8_t *to = out;
    const uint8_t *from = in;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t s = 0; s < space; s++, to += bytes)
                memcpy(to, from + ((o * space + s) * channels + c) * bytes, (size_t)bytes);
}
