// The order of an image's axes is what the operators that read it say, not what its sizes look
// like. Each case is a file of a few nodes; the sample is [height, width, channels] whatever the
// file's order.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/helper_folder.h"
#include "tests/formats/helper_onnx.h"

enum { NODES = 5 };

struct layout_case {
    const char *name;
    int64_t dims[4];  // of the input in the file
    struct {
        const char *op, *inputs, *attributes;  // the result is v1, v2, ...
    } nodes[NODES];
    enum dc_onnx_layout layout;
    int64_t sample[3];  // 0: refused
};

// w is [6, channels, 1, 1], with the channels of the case's sample.
#define CONV(from)                                                                                 \
    {                                                                                              \
        "Conv", from " w", ""                                                                      \
    }
#define FIRST "perm=0,3,1,2"
#define LAST  "perm=0,2,3,1"

static const struct layout_case cases[] = {
    {"9 channels, width 1", {0, 9, 128, 1}, {CONV("x")}, DC_LAYOUT_AUTO, {128, 1, 9}},
    {"width 2", {0, 8, 8, 2}, {CONV("x")}, DC_LAYOUT_AUTO, {8, 2, 8}},
    {"width 4 behind a ReLU",
     {0, 16, 9, 4},
     {{"Relu", "x", ""}, CONV("v1")},
     DC_LAYOUT_AUTO,
     {9, 4, 16}},
    {"a constant taken away first",
     {0, 12, 20, 3},
     {{"Sub", "x one", ""}, {"Div", "v1 one", ""}, CONV("v2")},
     DC_LAYOUT_AUTO,
     {20, 3, 12}},
    {"a pool", {0, 9, 16, 1}, {{"MaxPool", "x", "kernel_shape=2,1"}}, DC_LAYOUT_AUTO, {16, 1, 9}},
    {"a global pool", {0, 9, 16, 1}, {{"GlobalAveragePool", "x", ""}}, DC_LAYOUT_AUTO, {16, 1, 9}},
    {"channels last, turned for a convolution",
     {0, 10, 12, 5},
     {{"Transpose", "x", FIRST}, CONV("v1")},
     DC_LAYOUT_AUTO,
     {10, 12, 5}},
    {"the same behind an activation",
     {0, 10, 12, 5},
     {{"Relu", "x", ""}, {"Transpose", "v1", FIRST}, {"Relu", "v2", ""}, CONV("v3")},
     DC_LAYOUT_AUTO,
     {10, 12, 5}},
    {"turned there and back",
     {0, 9, 16, 2},
     {{"Transpose", "x", LAST}, {"Relu", "v1", ""}, {"Transpose", "v2", FIRST}, CONV("v3")},
     DC_LAYOUT_AUTO,
     {16, 2, 9}},
    {"two convolutions that agree",
     {0, 9, 16, 1},
     {CONV("x"), {"Conv", "x w", ""}, {"Add", "v1 v2", ""}},
     DC_LAYOUT_AUTO,
     {16, 1, 9}},
    {"two that do not",
     {0, 9, 9, 9},
     {CONV("x"), {"Transpose", "x", FIRST}, CONV("v2"), {"Add", "v1 v3", ""}},
     DC_LAYOUT_AUTO,
     {0}},
    {"axis 2 for the channel",
     {0, 9, 9, 9},
     {{"Transpose", "x", "perm=0,2,1,3"}, CONV("v1")},
     DC_LAYOUT_AUTO,
     {0}},
    {"flattened: few last", {0, 16, 16, 3}, {{"Flatten", "x", ""}}, DC_LAYOUT_AUTO, {16, 16, 3}},
    {"flattened: few first", {0, 3, 16, 16}, {{"Flatten", "x", ""}}, DC_LAYOUT_AUTO, {16, 16, 3}},
    {"flattened, and said", {0, 9, 16, 1}, {{"Flatten", "x", ""}}, DC_LAYOUT_NCHW, {16, 1, 9}},
    {"said otherwise", {0, 3, 16, 16}, {{"Flatten", "x", ""}}, DC_LAYOUT_NHWC, {3, 16, 16}},
};

static struct onnx_file file;

static void write_case(const struct layout_case *c)
{
    static const char *const results[] = {"v1", "v2", "v3", "v4", "v5"};
    const char *last = "x";
    const int64_t channels = c->sample[2] ? c->sample[2] : 9;
    onnx_begin(&file, 13, "x", 4, c->dims);
    onnx_floats(&file, "w", 4, (int64_t[]){6, channels, 1, 1});
    onnx_floats(&file, "one", 1, (int64_t[]){1});
    for (int i = 0; i < NODES && c->nodes[i].op; i++) {
        last = results[i];
        onnx_node(&file, c->nodes[i].op, c->nodes[i].inputs, last, c->nodes[i].attributes);
    }
    onnx_save(&file, test_path("model.onnx"), last);
}

static void readers_decide(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct layout_case *c = &cases[i];
        const struct dc_onnx_options options = {.layout = c->layout};
        struct dc_error error;
        struct dc_imported *onnx = NULL;
        write_case(c);
        const enum dc_status status = dc_onnx_read(&onnx, test_path("model.onnx"), &options,
                                                   &error);
        if (c->sample[0] == 0) {
            assert_int_equal(status, DC_ERR_DATA);
            assert_non_null(strstr(error.message, "layout: nchw or nhwc"));
            continue;
        }
        if (status != DC_OK)
            fail_msg("%s: %s", c->name, error.message);
        if (memcmp(onnx->sample.dims, c->sample, sizeof c->sample) != 0 || onnx->sample.rank != 3) {
            char text[DC_SHAPE_TEXT];
            fail_msg("%s: the sample is %s", c->name, dc_shape_text(text, &onnx->sample));
        }
        dc_imported_free(onnx);
    }
}

static int set_up(void **state)
{
    (void)state;
    test_folder();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(readers_decide)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
