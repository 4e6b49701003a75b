#include "helper_onnx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/plan.h"
#include "core/random.h"
#include "tests/core/helper_folder.h"

static char *keep(struct onnx_file *f, const char *text, size_t length)
{
    char *at = f->text + f->used;
    assert_true(f->used + length + 1 <= sizeof f->text);
    memcpy(at, text, length);
    at[length] = '\0';
    f->used += length + 1;
    return at;
}

static void *room(struct onnx_file *f, size_t bytes)
{
    void *at = f->data + f->filled;
    f->filled += (bytes + sizeof *f->data - 1) / sizeof *f->data;
    assert_true(f->filled <= sizeof f->data / sizeof *f->data);
    return at;
}

void onnx_fill(float *values, int64_t count, const char *name)
{
    struct dc_random random;
    dc_random_start(&random, 1, DC_PURPOSE_TEST, 0, dc_hash_name(name));
    for (int64_t i = 0; i < count; i++)
        values[i] = dc_random_between(&random, -1.0f, 1.0f);
}

void onnx_begin(struct onnx_file *f, int opset, const char *input, int rank, const int64_t *dims)
{
    memset(f, 0, sizeof *f);
    onnx__model_proto__init(&f->model);
    onnx__graph_proto__init(&f->graph);
    onnx__operator_set_id_proto__init(&f->set);
    onnx__value_info_proto__init(&f->input);
    for (int i = 0; i < 2; i++)
        onnx__value_info_proto__init(&f->output[i]);
    onnx__type_proto__init(&f->type);
    onnx__type_proto__tensor__init(&f->tensor_type);
    onnx__tensor_shape_proto__init(&f->shape);
    f->model.ir_version = 8;
    f->model.graph = &f->graph;
    f->model.opset_import = f->sets;
    f->model.n_opset_import = 1;
    f->sets[0] = &f->set;
    f->set.version = opset;
    f->graph.node = f->node_list;
    f->graph.initializer = f->tensor_list;
    f->graph.input = f->inputs;
    f->graph.n_input = 1;
    f->inputs[0] = &f->input;
    f->input.name = keep(f, input, strlen(input));
    f->input.type = &f->type;
    f->type.tensor_type = &f->tensor_type;
    f->tensor_type.elem_type = 1;
    f->tensor_type.shape = &f->shape;
    f->shape.dim = f->dim_list;
    f->shape.n_dim = (size_t)rank;
    for (int i = 0; i < rank; i++) {
        onnx__tensor_shape_proto__dimension__init(&f->dims[i]);
        f->dim_list[i] = &f->dims[i];
        f->dims[i].value_case = dims[i] ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE
                                        : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        if (dims[i])
            f->dims[i].dim_value = dims[i];
        else
            f->dims[i].dim_param = keep(f, "batch", 5);
    }
}

static Onnx__TensorProto *add_tensor(struct onnx_file *f, const char *name, int type, int rank,
                                     const int64_t *dims, size_t width, void **bytes)
{
    assert_true(f->graph.n_initializer < ONNX_PARTS);
    Onnx__TensorProto *t = &f->tensors[f->graph.n_initializer];
    f->tensor_list[f->graph.n_initializer++] = t;
    onnx__tensor_proto__init(t);
    size_t size = width;
    for (int i = 0; i < rank; i++)
        size *= (size_t)dims[i];
    t->name = keep(f, name, strlen(name));
    t->data_type = type;
    t->n_dims = (size_t)rank;
    t->dims = room(f, sizeof *dims * (size_t)(rank + 1));
    for (int i = 0; i < rank; i++)
        t->dims[i] = dims[i];
    *bytes = t->raw_data.data = room(f, size + 1);
    t->raw_data.len = size;
    return t;
}

float *onnx_floats(struct onnx_file *f, const char *name, int rank, const int64_t *dims)
{
    void *bytes;
    const Onnx__TensorProto *t = add_tensor(f, name, 1, rank, dims, sizeof(float), &bytes);
    onnx_fill(bytes, (int64_t)(t->raw_data.len / sizeof(float)), name);
    return bytes;
}

void onnx_integers(struct onnx_file *f, const char *name, int count, const int64_t *values)
{
    const int64_t dims[] = {count};
    void *bytes;
    add_tensor(f, name, 7, 1, dims, sizeof *values, &bytes);
    memcpy(bytes, values, sizeof *values * (size_t)count);
}

static void parse_attribute(struct onnx_file *f, Onnx__AttributeProto *a, const char *text,
                            size_t length)
{
    const size_t name = strcspn(text, "=~:");
    char *value = keep(f, text + name + 1, length - name - 1);
    onnx__attribute_proto__init(a);
    a->name = keep(f, text, name);
    if (text[name] == '~') {
        a->type = 1;
        a->f = strtof(value, NULL);
    } else if (text[name] == ':') {
        a->type = 3;
        a->s.data = (uint8_t *)value;
        a->s.len = strlen(value);
    } else if (!strchr(value, ',')) {
        a->type = 2;
        a->i = strtoll(value, NULL, 10);
    } else {
        a->type = 7;
        a->ints = room(f, sizeof *a->ints * ONNX_LIST);
        for (char *at = value; *at; at += *at == ',')
            a->ints[a->n_ints++] = strtoll(at, &at, 10);
    }
}

// Words of a text; each of `length`.
static const char *word(const char *text, size_t *length)
{
    text += strspn(text, " ");
    *length = strcspn(text, " ");
    return *length ? text : NULL;
}

void onnx_node(struct onnx_file *f, const char *op_type, const char *inputs, const char *outputs,
               const char *attributes)
{
    const size_t n = f->graph.n_node++;
    size_t length;
    char name[64];
    assert_true(n < ONNX_PARTS);
    Onnx__NodeProto *node = f->node_list[n] = &f->nodes[n];
    onnx__node_proto__init(node);
    node->input = f->in[n];
    node->output = f->out[n];
    node->attribute = f->attribute_list[n];
    node->op_type = keep(f, op_type, strlen(op_type));
    snprintf(name, sizeof name, "%s_%zu", op_type, n);
    node->name = keep(f, name, strlen(name));
    for (const char *w = inputs; (w = word(w, &length)); w += length)
        f->in[n][node->n_input++] = *w == '-' ? keep(f, "", 0) : keep(f, w, length);
    for (const char *w = outputs; (w = word(w, &length)); w += length)
        f->out[n][node->n_output++] = keep(f, w, length);
    for (const char *w = attributes; (w = word(w, &length)); w += length) {
        Onnx__AttributeProto *a = &f->attributes[n][node->n_attribute];
        f->attribute_list[n][node->n_attribute++] = a;
        parse_attribute(f, a, w, length);
    }
}

void onnx_save(struct onnx_file *f, const char *path, const char *outputs)
{
    f->graph.output = f->outputs;
    f->graph.n_output = 0;
    for (size_t length; *outputs; outputs += length + (outputs[length] == ' ')) {
        length = strcspn(outputs, " ");
        assert_true(f->graph.n_output < 2);
        Onnx__ValueInfoProto *output = &f->output[f->graph.n_output];
        output->name = keep(f, outputs, length);
        f->outputs[f->graph.n_output++] = output;
    }
    uint8_t *bytes = malloc(onnx__model_proto__get_packed_size(&f->model) + 1);
    assert_non_null(bytes);
    test_write(path, bytes, onnx__model_proto__pack(&f->model, bytes));
    free(bytes);
}

// [rows, pixels, channels] from [rows, channels, pixels], or back.
static void exchange(float *to, const float *from, int64_t rows, int64_t a, int64_t b)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < a; i++)
            for (int64_t k = 0; k < b; k++)
                to[(r * b + k) * a + i] = from[(r * a + i) * b + k];
}

float *onnx_run(const char *path, int64_t rows, const float *input, int64_t *count)
{
    struct dc_error error;
    struct dc_imported *onnx;
    struct dc_ctx *ctx;
    struct dc_plan *plan;
    const struct dc_ctx_config settings = {.threads = 2};
    if (dc_onnx_read(&onnx, path, NULL, &error) != DC_OK)
        fail_msg("%s", error.message);
    const struct dc_shape in = dc_shape_with_batch(&onnx->graph->nodes[onnx->input].shape, rows);
    const struct dc_shape out = dc_shape_with_batch(&onnx->graph->nodes[onnx->output].shape, rows);
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = rows, .outputs = &onnx->output, .output_count = 1};
    float *values = malloc(sizeof *values * (size_t)dc_shape_count(&in));
    *count = dc_shape_count(&out);
    float *result = malloc(sizeof *result * (size_t)*count);
    assert_true(values && result);
    const int64_t channels = in.dims[in.rank - 1];
    if (onnx->channels_first)
        exchange(values, input, rows, channels, dc_shape_row(&in) / channels);
    else
        memcpy(values, input, sizeof *values * (size_t)dc_shape_count(&in));
    assert_int_equal(dc_ctx_create(&ctx, &settings, &error), DC_OK);
    if (dc_plan_create(&plan, ctx, onnx->graph, &config, &error) != DC_OK)
        fail_msg("%s: %s", path, error.message);
    dc_plan_bind(plan, onnx->input, values);
    assert_int_equal(dc_plan_forward(plan, onnx->params, rows, NULL, &error), DC_OK);
    const float *y = dc_plan_value(plan, onnx->output);
    if (out.rank == 4)
        exchange(result, y, rows, out.dims[1] * out.dims[2], out.dims[3]);
    else
        memcpy(result, y, sizeof *result * (size_t)*count);
    dc_plan_free(plan);
    dc_ctx_free(ctx);
    dc_imported_free(onnx);
    free(values);
    return result;
}
