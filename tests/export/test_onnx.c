// The QDQ file of an integer model, opened again with the schema alone: every code, scale and zero
// point is there, in the file's order, and every value ends in a QuantizeLinear. What the operators
// compute is judged by ONNX Runtime (tests/interop/check_qdq), which this file cannot replace.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <onnx.pb-c.h>

#include "core/file.h"
#include "export/formats.h"
#include "export/onnx.h"
#include "tests/core/helper_folder.h"
#include "tests/qat/helper_models.h"

static struct dc_imodel *model;
static Onnx__ModelProto *file;

static Onnx__ModelProto *written(const char *name, const struct dc_imodel *m)
{
    struct dc_error error;
    struct dc_arena *arena = NULL;
    char *bytes = NULL;
    size_t size = 0;
    if (dc_export_onnx(test_path(name), m, &error) != DC_OK)
        fail_msg("%s", error.message);
    assert_int_equal(dc_arena_create(&arena, &error), DC_OK);
    assert_int_equal(dc_file_read(&bytes, &size, test_path(name), arena, &error), DC_OK);
    Onnx__ModelProto *read = onnx__model_proto__unpack(NULL, size, (const uint8_t *)bytes);
    dc_arena_free(arena);
    return read;
}

static int set_up(void **state)
{
    (void)state;
    model = test_every_op_model(dc_profile_find("ruy"), 3);
    file = test_folder() ? written("every_op.onnx", model) : NULL;
    return file ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    onnx__model_proto__free_unpacked(file, NULL);
    dc_imodel_free(model);
    test_folder_remove();
    return 0;
}

static const Onnx__TensorProto *tensor(const char *layer, const char *part)
{
    char name[160];
    snprintf(name, sizeof name, "%s/%s", layer, part);
    for (size_t i = 0; i < file->graph->n_initializer; i++)
        if (strcmp(file->graph->initializer[i]->name, name) == 0)
            return file->graph->initializer[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

// Tap (y, x, i) of output channel o: OHWI, 1HWC and OI in the model; OIHW and OI in the file.
static void weights_are_there(void **state)
{
    int checked = 0;
    (void)state;
    for (int k = 0; k < model->count; k++) {
        const struct dc_ilayer *l = &model->layers[k], *in = &model->layers[l->inputs[0]];
        if (!dc_ilayer_has_weights(l))
            continue;
        const bool dense = l->op == DC_I_FULLY_CONNECTED, depth = l->op == DC_I_DEPTHWISE_CONV2D;
        const int h = dense ? in->height : l->window.kernel[0],
                  w = dense ? in->width : l->window.kernel[1];
        const int c = depth ? 1 : in->channels;
        const Onnx__TensorProto *t = tensor(l->name, "weight");
        const int8_t *codes = (const int8_t *)t->raw_data.data;
        assert_int_equal(t->raw_data.len, l->weight_count);
        assert_int_equal(t->dims[0], l->channels);
        assert_int_equal(t->n_dims, dense ? 2 : 4);
        for (int o = 0; o < l->channels; o++)
            for (int y = 0; y < h; y++)
                for (int x = 0; x < w; x++)
                    for (int i = 0; i < c; i++, checked++)
                        assert_int_equal(codes[((o * c + i) * h + y) * w + x],
                                         depth ? l->weights[(y * w + x) * l->channels + o]
                                               : l->weights[((o * h + y) * w + x) * c + i]);
        assert_memory_equal(tensor(l->name, "bias")->raw_data.data, l->biases,
                            sizeof(int32_t) * (size_t)l->channels);
        const Onnx__TensorProto *scales = tensor(l->name, "bias_scale");
        assert_int_equal(scales->raw_data.len,
                         sizeof(float) * (size_t)(l->per_channel ? l->channels : 1));
        for (int o = 0; o < (l->per_channel ? l->channels : 1); o++) {
            float scale;
            memcpy(&scale, scales->raw_data.data + sizeof scale * (size_t)o, sizeof scale);
            const float product = in->scale * l->weight_scales[o];
            assert_memory_equal(&scale, &product, sizeof scale);
        }
    }
    assert_true(checked > 1000);
}

static const Onnx__NodeProto *maker(const char *value)
{
    for (size_t i = 0; i < file->graph->n_node; i++)
        if (strcmp(file->graph->node[i]->output[0], value) == 0)
            return file->graph->node[i];
    return NULL;
}

static void every_value_is_quantized(void **state)
{
    char name[128];
    (void)state;
    for (int k = 0; k < model->count; k++) {
        const struct dc_ilayer *l = &model->layers[k];
        snprintf(name, sizeof name, "%s%s", l->name, k == 0 ? "/codes" : "");
        const Onnx__NodeProto *q = maker(name);
        assert_non_null(q);
        assert_string_equal(q->op_type, "QuantizeLinear");
        assert_memory_equal(tensor(name, "scale")->raw_data.data, &l->scale, sizeof l->scale);
        assert_int_equal((int8_t)tensor(name, "zero_point")->raw_data.data[0], l->zero_point);
        char scale[160];
        snprintf(scale, sizeof scale, "%s/scale", name);
        assert_string_equal(q->input[1], scale);
        const bool clamped = l->clamp_low > -128 || l->clamp_high < 127;
        const Onnx__NodeProto *made = maker(q->input[0]);
        assert_true(clamped == (made && strcmp(made->op_type, "Clip") == 0));
    }
}

static void shapes_are_the_files(void **state)
{
    const Onnx__TensorShapeProto *in = file->graph->input[0]->type->tensor_type->shape;
    const Onnx__TensorShapeProto *out = file->graph->output[0]->type->tensor_type->shape;
    (void)state;
    assert_int_equal(in->n_dim, 4);
    assert_string_equal(in->dim[0]->dim_param, "batch");
    assert_int_equal(in->dim[1]->dim_value, 3);
    assert_int_equal(in->dim[2]->dim_value, 13);
    assert_int_equal(in->dim[3]->dim_value, 11);
    assert_int_equal(out->n_dim, 2);
    assert_int_equal(out->dim[1]->dim_value, 7);
    assert_int_equal(file->opset_import[0]->version, 13);
    assert_string_equal(file->doc_string, "random weights of a test");
    // Every value has its type: inputs, outputs, and what lies between.
    assert_int_equal(file->graph->n_value_info + file->graph->n_output, file->graph->n_node);
}

static void formats_are_found(void **state)
{
    (void)state;
    assert_non_null(dc_export_format_find("onnx"));
    assert_null(dc_export_format_find("onn"));
}

static int low_half_first(const Onnx__TensorProto *t, int64_t i)
{
    const int half = t->raw_data.data[i / 2] / (i % 2 ? 16 : 1) % 16;
    return half > 7 ? half - 16 : half;
}

// Weights of 4 bits and less, and codes: INT4, two a byte, and the operator set that knows them.
static void four_bits_are_packed(void **state)
{
    (void)state;
    Onnx__ModelProto *every = file;
    struct dc_random random;
    const struct dc_ilayer layer = {
        .op = DC_I_FULLY_CONNECTED, .channels = 5, .weight_bits = 3, .bits = 4};
    dc_random_start(&random, 31, DC_PURPOSE_TEST, 0, 0);
    struct dc_imodel *m = test_one_layer_model(dc_profile_find("ruy"), 1, 1, 7, &layer, &random);
    assert_int_equal(every->opset_import[0]->version, 13);
    assert_int_equal(every->ir_version, 7);
    file = written("low.onnx", m);
    assert_non_null(file);
    assert_int_equal(file->opset_import[0]->version, 21);
    assert_int_equal(file->ir_version, 10);
    const Onnx__TensorProto *weights = tensor("layer", "weight");
    assert_int_equal(weights->data_type, 22);
    assert_int_equal(weights->raw_data.len, 18);  // of 35 codes
    for (int64_t i = 0; i < 35; i++)
        assert_int_equal(low_half_first(weights, i), m->layers[1].weights[i]);
    assert_int_equal(tensor("layer", "weight_zero_point")->data_type, 22);
    assert_int_equal(tensor("layer", "zero_point")->data_type, 22);
    assert_int_equal(low_half_first(tensor("layer", "zero_point"), 0), m->layers[1].zero_point);
    assert_int_equal(tensor("x/codes", "zero_point")->data_type, 3);
    onnx__model_proto__free_unpacked(file, NULL);
    m->wide_weights = true;  // as a target may want
    file = written("wide.onnx", m);
    assert_int_equal(tensor("layer", "weight")->data_type, 3);
    assert_int_equal(tensor("layer", "weight")->raw_data.len, 35);
    onnx__model_proto__free_unpacked(file, NULL);
    dc_imodel_free(m);
    file = every;
}

static int same_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// Layers called as the parts of others are called keep their names, and no name stands twice.
static void names_are_told_apart(void **state)
{
    static const char *const names[] = {"a",          "a/x0",   "a/x0/scale", "a/codes",
                                        "a/weight",   "a/real", "a/output",   "a/weight/real",
                                        "a/x0/codes", "a/scale"};
    enum { RENAMED = sizeof names / sizeof *names };
    struct dc_imodel *m = test_every_op_model(dc_profile_find("ruy"), 3);
    Onnx__ModelProto *every = file;
    (void)state;
    assert_true(m->count > RENAMED + 1);
    for (int i = 0; i < RENAMED; i++)
        m->layers[i + 1].name = names[i];
    file = written("alike.onnx", m);
    const Onnx__GraphProto *g = file->graph;
    const char **all = calloc(g->n_initializer + g->n_node + g->n_input, sizeof *all);
    size_t count = 0;
    for (size_t i = 0; i < g->n_initializer; i++)
        all[count++] = g->initializer[i]->name;
    for (size_t i = 0; i < g->n_node; i++)
        all[count++] = g->node[i]->output[0];
    for (size_t i = 0; i < g->n_input; i++)
        all[count++] = g->input[i]->name;
    qsort(all, count, sizeof *all, same_text);
    for (size_t i = 1; i < count; i++)
        assert_string_not_equal(all[i - 1], all[i]);
    for (int i = 0; i < RENAMED; i++)
        assert_non_null(bsearch(&names[i], all, count, sizeof *all, same_text));
    free(all);
    onnx__model_proto__free_unpacked(file, NULL);
    dc_imodel_free(m);
    file = every;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_there),    cmocka_unit_test(every_value_is_quantized),
        cmocka_unit_test(shapes_are_the_files), cmocka_unit_test(formats_are_found),
        cmocka_unit_test(four_bits_are_packed), cmocka_unit_test(names_are_told_apart)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
