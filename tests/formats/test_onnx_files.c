// Files that must be refused, with a message that names the reason, and the forms in which a tensor
// may be stored.

#include "helper_onnx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "tests/core/helper_folder.h"

static struct onnx_file file;
static struct dc_error error;
static const int64_t four[] = {0, 3, 8, 8};

static enum dc_status read_back(const struct dc_onnx_options *options)
{
    struct dc_imported *onnx = NULL;
    const enum dc_status status = dc_onnx_read(&onnx, test_path("model.onnx"), options, &error);
    assert_true((status == DC_OK) == (onnx != NULL));
    dc_imported_free(onnx);
    return status;
}

static void assert_says(const char *name, enum dc_status status, const char *part)
{
    if (status != DC_ERR_DATA || !strstr(error.message, part))
        fail_msg("%s: status %d, '%s' does not say '%s'", name, status,
                 status == DC_OK ? "" : error.message, part);
}

static Onnx__TensorProto *last_tensor(void)
{
    return &file.tensors[file.graph.n_initializer - 1];
}

static void conv(const char *attributes)
{
    onnx_floats(&file, "w", 4, (int64_t[]){4, 3, 3, 3});
    onnx_node(&file, "Conv", "x w", "y", attributes);
}

static void cycle(void)
{
    onnx_node(&file, "Add", "x b", "a", "");
    onnx_node(&file, "Relu", "a", "b", "");
    onnx_node(&file, "Relu", "b", "y", "");
}
static void itself(void)
{
    onnx_node(&file, "Add", "x y", "y", "");
}
static void unknown(void)
{
    onnx_node(&file, "Frobnicate", "x", "a", "");
    onnx_node(&file, "Relu", "a", "b", "");
    onnx_node(&file, "Quux", "b", "y", "");
}
static void other_domain(void)
{
    onnx_node(&file, "Relu", "x", "y", "");
    file.nodes[0].domain = "com.vendor";
}
static void twice(void)
{
    onnx_node(&file, "Relu", "x", "y", "");
    onnx_node(&file, "Relu", "x", "y", "");
}
static void channels(void)
{
    onnx_floats(&file, "w", 4, (int64_t[]){4, 5, 3, 3});
    onnx_node(&file, "Conv", "x w", "y", "");
}
static void bias(void)
{
    onnx_floats(&file, "w", 4, (int64_t[]){4, 3, 3, 3});
    onnx_floats(&file, "b", 1, (int64_t[]){5});
    onnx_node(&file, "Conv", "x w b", "y", "");
}
static void short_tensor(void)
{
    conv("");
    last_tensor()->raw_data.len -= 4;
}
static void huge_tensor(void)
{
    conv("");
    last_tensor()->dims[0] = INT64_C(1) << 40;
}
static void negative_tensor(void)
{
    conv("");
    last_tensor()->dims[0] = -4;
}
static void huge_kernel(void)
{
    conv("strides=1,99999999");
}
static void zero_stride(void)
{
    conv("strides=0,1");
}
static void wrong_type(void)
{
    conv("group~1");
}
static void wrong_count(void)
{
    conv("pads=1,1");
}
static void new_attribute(void)
{
    conv("speed=3");
}
static void too_large_window(void)
{
    onnx_node(&file, "MaxPool", "x", "y", "kernel_shape=9,9");
}
static void huge_fill(void)
{
    onnx_integers(&file, "s", 2, (int64_t[]){1 << 13, 1 << 13});
    onnx_node(&file, "ConstantOfShape", "s", "a", "");
    onnx_node(&file, "Add", "x a", "y", "");
}
static void huge_expand(void)
{
    onnx_integers(&file, "s", 5, (int64_t[]){1 << 20, 1, 3, 8, 8});
    onnx_integers(&file, "t", 5, (int64_t[]){1, 1 << 30, 3, 8, 8});
    onnx_node(&file, "Unsqueeze", "x one", "a", "");
    onnx_node(&file, "Expand", "a t", "b", "");
    onnx_node(&file, "Relu", "b", "y", "");
}
static void huge_range(void)
{
    onnx_floats(&file, "a", 0, NULL)[0] = 0;
    onnx_floats(&file, "b", 0, NULL)[0] = 1e30f;
    onnx_floats(&file, "c", 0, NULL)[0] = 1e-30f;
    onnx_node(&file, "Range", "a b c", "r", "");
    onnx_node(&file, "Add", "x r", "y", "");
}
static void divided_by_zero(void)
{
    onnx_integers(&file, "z", 1, (int64_t[]){0});
    onnx_node(&file, "Div", "z z", "a", "");
    onnx_node(&file, "Reshape", "x a", "y", "");
}
static void batch_squared(void)
{
    onnx_node(&file, "Shape", "x", "s", "");
    onnx_node(&file, "Mul", "s s", "a", "");
    onnx_node(&file, "Reshape", "x a", "y", "");
}
static void samples_mixed(void)
{
    onnx_node(&file, "Transpose", "x", "a", "perm=1,0,2,3");
    onnx_node(&file, "Softmax", "a", "y", "axis=1");
}
static void does_not_fit(void)
{
    onnx_integers(&file, "s", 2, (int64_t[]){0, 191});
    onnx_node(&file, "Reshape", "x s", "y", "");
}
static void does_not_broadcast(void)
{
    onnx_floats(&file, "c", 1, (int64_t[]){7});
    onnx_node(&file, "Add", "x c", "y", "");
}
static void constant_output(void)
{
    onnx_floats(&file, "c", 1, (int64_t[]){7});
    onnx_node(&file, "Identity", "c", "y", "");
}
static void batch_of_two(void)
{
    conv("");
    file.dims[0].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    file.dims[0].dim_value = 2;
}
static void huge_input(void)
{
    conv("");
    file.dims[2].dim_value = INT64_C(1) << 40;
}
static void integer_input(void)
{
    conv("");
    file.tensor_type.elem_type = 7;
}
static void external(const char *location)
{
    static Onnx__StringStringEntryProto entry, *entries[1] = {&entry};
    conv("");
    onnx__string_string_entry_proto__init(&entry);
    entry.key = "location";
    entry.value = (char *)(uintptr_t)location;
    last_tensor()->raw_data.len = 0;
    last_tensor()->data_location = 1;
    last_tensor()->external_data = entries;
    last_tensor()->n_external_data = 1;
}
static void external_missing(void)
{
    external("no.bin");
}
static void external_above(void)
{
    external("../model.bin");
}
static void external_absolute(void)
{
    external("/etc/passwd");
}
static void external_short(void)
{
    test_write(test_path("short.bin"), "1234", 4);
    external("short.bin");
}
static void old_set(void)
{
    conv("");
    file.set.version = 8;
}
static void new_set(void)
{
    conv("");
    file.set.version = 24;
}
static void training(void)
{
    onnx_floats(&file, "r", 0, NULL)[0] = 0.5f;
    onnx_integers(&file, "t", 1, (int64_t[]){1});
    onnx_node(&file, "Dropout", "x r t", "y", "");
}

static const struct refusal {
    const char *name;
    void (*build)(void);
    const char *says;
} refusals[] = {
    {"cycle", cycle, "'Add_0' (Add) reads 'b', which no node before it makes"},
    {"itself", itself, "reads 'y'"},
    {"unknown", unknown, "2 unknown operators: Quux (node 'Quux_2'), Frobnicate (node"},
    {"other_domain", other_domain, "com.vendor.Relu"},
    {"twice", twice, "two values are named 'y'"},
    {"channels", channels, "node 'Conv_0' (Conv): a weight of [4, 5, ...]"},
    {"bias", bias, "4 constant floats"},
    {"short_tensor", short_tensor, "tensor 'w': its dimensions ask for 108 values"},
    {"huge_tensor", huge_tensor, "tensor 'w'"},
    {"negative_tensor", negative_tensor, "tensor 'w'"},
    {"huge_kernel", huge_kernel, "'strides' is of the wrong type or out of range"},
    {"zero_stride", zero_stride, "stride 0"},
    {"wrong_type", wrong_type, "'group' is of the wrong type"},
    {"wrong_count", wrong_count, "'pads' is of the wrong type"},
    {"new_attribute", new_attribute, "attribute 'speed' is not known"},
    {"too_large_window", too_large_window, "MaxPool"},
    {"huge_fill", huge_fill, "folding constants would make more than"},
    {"huge_expand", huge_expand, ""},
    {"huge_range", huge_range, "a range from 0"},
    {"divided_by_zero", divided_by_zero, "a division by 0"},
    {"batch_squared", batch_squared, "depends on the size of the batch"},
    {"samples_mixed", samples_mixed, "not along the batch"},
    {"does_not_fit", does_not_fit, "does not hold the 192 values a sample"},
    {"does_not_broadcast", does_not_broadcast, "'x' and 'c' do not broadcast along axis 3"},
    {"constant_output", constant_output, "depends on no input"},
    {"batch_of_two", batch_of_two, "a fixed batch of 2"},
    {"huge_input", huge_input, "dimension 2 of the input 'x'"},
    {"integer_input", integer_input, "does not hold floats"},
    {"external_missing", external_missing, "no.bin"},
    {"external_above", external_above, "'../model.bin' is not in the model's folder"},
    {"external_absolute", external_absolute, "is not in the model's folder"},
    {"external_short", external_short, "ask for 108 values, there are 1"},
    {"old_set", old_set, "operator set 8; 9 to 23 are read"},
    {"new_set", new_set, "operator set 24; 9 to 23 are read"},
    {"training", training, "training mode"},
};

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    const char *kept = getenv("DECANT_KEEP_ONNX");  // a folder: seeds for tests/faults/onnx
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        onnx_begin(&file, 13, "x", 4, four);
        onnx_integers(&file, "one", 1, (int64_t[]){1});
        refusals[i].build();
        onnx_save(&file, test_path("model.onnx"), "y");
        assert_says(refusals[i].name, read_back(NULL), refusals[i].says);
        char path[512];
        snprintf(path, sizeof path, "%s/refused_%s.onnx", kept, refusals[i].name);
        if (kept)
            onnx_save(&file, path, "y");
    }
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    struct dc_arena *arena;
    char *bytes;
    size_t size;
    onnx_begin(&file, 13, "x", 4, four);
    conv("pads=1,1,1,1");
    onnx_save(&file, test_path("model.onnx"), "y");
    assert_int_equal(dc_arena_create(&arena, &error), DC_OK);
    assert_int_equal(dc_file_read(&bytes, &size, test_path("model.onnx"), arena, &error), DC_OK);
    for (size_t length = 0; length < size - 1; length++) {
        test_write(test_path("model.onnx"), bytes, length);
        assert_says("cut", read_back(NULL), "model.onnx");
    }
    test_write(test_path("model.onnx"), bytes, size);
    assert_int_equal(read_back(NULL), DC_OK);
    dc_arena_free(arena);
    assert_int_equal(
        dc_onnx_read(&(struct dc_imported *){NULL}, test_path("none.onnx"), NULL, &error),
        DC_ERR_DATA);
}

static void options_choose_output_and_size(void **state)
{
    (void)state;
    struct dc_imported *onnx;
    onnx_begin(&file, 13, "x", 4, (int64_t[]){0, 3, 0, 0});
    onnx_floats(&file, "layer1.conv.weight", 4, (int64_t[]){4, 3, 3, 3});
    onnx_node(&file, "Conv", "x layer1.conv.weight", "features", "");
    onnx_node(&file, "Relu", "features", "y", "");
    onnx_save(&file, test_path("model.onnx"), "y");
    assert_says("size", read_back(NULL), "height and width must be given");
    assert_says("output", read_back(&(struct dc_onnx_options){.output = "z"}), "no value 'z'");
    const struct dc_onnx_options options = {.output = "features", .height = 9, .width = 7};
    assert_int_equal(dc_onnx_read(&onnx, test_path("model.onnx"), &options, &error), DC_OK);
    assert_true(dc_shape_equal(&onnx->sample, &DC_SHAPE(9, 7, 3)));
    assert_int_equal(onnx->graph->count, 2);
    assert_string_equal(onnx->graph->nodes[1].name, "layer1.conv");
    assert_string_equal(onnx->params->slices[0].name, "layer1.conv.weight");
    assert_int_equal(onnx->opset, 13);
    dc_imported_free(onnx);
}

// The same 108 weights in every form give the same network; the hash tells the files apart.

static void as_halves(Onnx__TensorProto *t)
{
    static uint8_t halves[216];
    for (int i = 0; i < 108; i++) {  // 1/2 + i / 256: a half with exponent -1
        const unsigned half = 14u << 10 | (unsigned)i << 3;
        halves[2 * i] = (uint8_t)half;
        halves[2 * i + 1] = (uint8_t)(half >> 8);
    }
    t->data_type = 10;
    t->raw_data.data = halves;
    t->raw_data.len = sizeof halves;
}

static void stored_forms_are_equal(void **state)
{
    (void)state;
    static Onnx__StringStringEntryProto entries[3],
        *list[] = {&entries[0], &entries[1], &entries[2]};
    static double doubles[108];
    static uint8_t beside[7 + 432];
    uint64_t hashes[5];
    for (int form = 0; form < 5; form++) {
        struct dc_imported *onnx;
        onnx_begin(&file, 13, "x", 4, four);
        conv("");
        Onnx__TensorProto *t = last_tensor();
        float *w = (float *)(void *)t->raw_data.data;
        for (int i = 0; i < 108; i++) {
            w[i] = 0.5f + (float)i / 256.0f;
            doubles[i] = (double)w[i];
        }
        memcpy(beside + 7, w, 432);
        if (form == 1)
            as_halves(t);
        if (form == 2) {
            t->float_data = w;
            t->n_float_data = 108;
        } else if (form == 3) {
            t->data_type = 11;
            t->double_data = doubles;
            t->n_double_data = 108;
        } else if (form == 4) {
            static char *const words[][2] = {
                {"location", "weights.bin"}, {"offset", "7"}, {"length", "432"}};
            test_write(test_path("weights.bin"), beside, sizeof beside);
            t->data_location = 1;
            t->external_data = list;
            t->n_external_data = 3;
            for (int i = 0; i < 3; i++) {
                onnx__string_string_entry_proto__init(&entries[i]);
                entries[i].key = words[i][0];
                entries[i].value = words[i][1];
            }
        }
        if (form >= 2)
            t->raw_data.len = 0;
        onnx_save(&file, test_path("model.onnx"), "y");
        if (dc_onnx_read(&onnx, test_path("model.onnx"), NULL, &error) != DC_OK)
            fail_msg("form %d: %s", form, error.message);
        for (int o = 0; o < 4; o++)  // OIHW in the file, HWIO here
            for (int i = 0; i < 3; i++)
                for (int p = 0; p < 9; p++)
                    assert_true(onnx->params->value[(p * 3 + i) * 4 + o] ==
                                0.5f + (float)((o * 3 + i) * 9 + p) / 256.0f);
        hashes[form] = onnx->hash;
        dc_imported_free(onnx);
        for (int other = 0; other < form; other++)
            assert_true(hashes[other] != hashes[form]);
    }
    struct dc_imported *onnx;  // a byte of the external data is a byte of the network
    beside[0] ^= 1;
    test_write(test_path("weights.bin"), beside, sizeof beside);
    assert_int_equal(dc_onnx_read(&onnx, test_path("model.onnx"), NULL, &error), DC_OK);
    assert_true(onnx->hash != hashes[4]);
    dc_imported_free(onnx);
}

static int close_folder(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(options_choose_output_and_size),
        cmocka_unit_test(stored_forms_are_equal),
    };
    test_folder();
    return cmocka_run_group_tests(tests, NULL, close_folder);
}
