// Shipped model files against published counts of parameters and multiply-accumulates.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/params.h"
#include "run/model.h"

struct count_case {
    const char *file;
    struct dc_named_value parameters[3];
    int parameter_count;
    int64_t parameters_expected, macs_expected;  // 0: not stated
};

static const struct count_case cases[] = {
    {"resnet8.yaml", {{0}}, 0, 77946, 12501632},
    {"ds-cnn.yaml", {{0}}, 0, 23180, 2656768},
    {"mobilenet-v1.yaml", {{0}}, 0, 213586, 7489664},
    // 257 more values for each of 8 more classes; maps of 32, 16, 8, 4, 2 for 48, 24, 12, 6, 3
    {"mobilenet-v1.yaml",
     {{"size", 32}, {"stem_stride", 1}, {"classes", 10}},
     3,
     213586 + 8 * 257,
     (7489664 - 512) / 9 * 4 + 2560},
    {"resnet-cifar.yaml", {{"n", 9}, {"classes", 10}, {"projection", 1}}, 3, 855770, 125747840},
    {"resnet-cifar.yaml", {{"n", 3}, {"classes", 100}, {"projection", 1}}, 3, 278324, 0},
    {"resnet-cifar.yaml", {{"n", 3}, {"classes", 100}, {"projection", 0}}, 3, 275572, 0},
    {"resnet-cifar.yaml", {{"n", 3}, {"classes", 10}, {"projection", 0}}, 3, 269722, 0},
    {"lenet5.yaml", {{0}}, 0, 61706, 0},
};

static void counts_are_the_published_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[512];
        struct dc_error error;
        struct dc_model model;
        struct dc_params *params = NULL;
        snprintf(path, sizeof path, "%s/configs/models/%s", DECANT_SOURCE_DIR, cases[i].file);
        if (dc_model_read(&model, path, cases[i].parameters, cases[i].parameter_count, &error))
            fail_msg("%s", error.message);
        assert_int_equal(dc_params_create(&params, model.graph, 0, false, &error), DC_OK);
        if (dc_params_trained_count(params) != cases[i].parameters_expected)
            fail_msg("%s, case %zu: %lld parameters", cases[i].file, i,
                     (long long)dc_params_trained_count(params));
        if (cases[i].macs_expected && dc_graph_macs(model.graph) != cases[i].macs_expected)
            fail_msg("%s, case %zu: %lld MACs", cases[i].file, i,
                     (long long)dc_graph_macs(model.graph));
        dc_params_free(params);
        dc_model_free(&model);
    }
}

// TensorFlow's SAME puts the extra row after; a number pads all four sides alike.
static void padding_by_name_becomes_four_numbers(void **state)
{
    (void)state;
    struct dc_error error;
    struct dc_model model;
    char path[512];
    snprintf(path, sizeof path, "%s/configs/models/ds-cnn.yaml", DECANT_SOURCE_DIR);
    assert_int_equal(dc_model_read(&model, path, NULL, 0, &error), DC_OK);
    const struct dc_node *stem = &model.graph->nodes[dc_graph_find(model.graph, "stem")];
    // 49x10 with a 10x4 kernel and stride 2: out 25x5; totals (25-1)*2+10-49 = 9, (5-1)*2+4-10 = 2
    assert_true(dc_shape_equal(&stem->shape, &DC_SHAPE(DC_BATCH, 25, 5, 64)));
    dc_model_free(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_the_published_ones),
        cmocka_unit_test(padding_by_name_becomes_four_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
