// Weights of a model file from safetensors: each value where PyTorch's layout has it.

#include "run/safetensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "run/experiment.h"
#include "run/model.h"
#include "run/run_internal.h"
#include "tests/core/helper_folder.h"

static struct dc_error error;
static struct dc_model model;
static struct dc_params *params;

static const char model_text[] =
    "name: small\ninput: [4, 6, 2]\nlayers:\n"
    "  - conv: {name: stem.conv, filters: 3, kernel: [3, 2], bias: false}\n"
    "  - batch_norm: {name: stem.norm}\n"
    "  - relu\n"
    "  - flatten\n"
    "  - dense: {name: head, units: 5}\n";

// Tensors whose value i is base + i.
struct tensor {
    const char *name, *shape;
    int count;
    float base;
};
static const struct tensor all[] = {
    {"features.0.weight", "[3,2,3,2]", 36, 0.0f},
    {"features.1.weight", "[3]", 3, 100.0f},
    {"features.1.bias", "[3]", 3, 200.0f},
    {"features.1.running_mean", "[3]", 3, 300.0f},
    {"features.1.running_var", "[3]", 3, 400.0f},
    {"head.weight", "[5,30]", 150, 1000.0f},
    {"head.bias", "[5]", 5, 500.0f},
};
enum { ALL = sizeof all / sizeof all[0] };

static void write_file(const struct tensor *tensors, int count)
{
    static uint8_t bytes[8192];
    char header[2048] = "{";
    int at = 0;
    for (int i = 0; i < count; i++) {
        const size_t used = strlen(header);
        snprintf(header + used, sizeof header - used,
                 "%s\"%s\":{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":[%d,%d]}", i ? "," : "",
                 tensors[i].name, tensors[i].shape, at, at + 4 * tensors[i].count);
        at += 4 * tensors[i].count;
    }
    strcat(header, "}");
    const size_t n = strlen(header);
    memset(bytes, 0, 8);
    bytes[0] = (uint8_t)n;
    bytes[1] = (uint8_t)(n >> 8);
    memcpy(bytes + 8, header, n);
    size_t to = 8 + n;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < tensors[i].count; k++, to += 4)
            memcpy(bytes + to, &(float){tensors[i].base + (float)k}, 4);
    test_write(test_path("w.safetensors"), bytes, to);
}

// *copied: slices taken, of all that the model has.
static enum dc_status take(const char *names, int *copied)
{
    bool taken[16] = {false};
    if (names)
        test_write(test_path("names.yaml"), names, strlen(names));
    assert_true(params->count <= 16);
    const enum dc_status status = dc_safetensors_take(
        params, model.graph, test_path("w.safetensors"), names ? test_path("names.yaml") : NULL,
        taken, &error);
    *copied = 0;
    for (int i = 0; i < params->count; i++)
        *copied += taken[i];
    return status;
}

static const float *values_of(const char *name)
{
    const struct dc_slice *slice = dc_params_find(params, name);
    assert_non_null(slice);
    return params->value + slice->offset;
}

static void values_go_where_they_belong(void **state)
{
    (void)state;
    int copied;
    write_file(all, ALL);
    if (take("stem.conv: features.0\nstem.norm: features.1\n", &copied) != DC_OK)
        fail_msg("%s", error.message);
    assert_int_equal(copied, 7);
    const float *w = values_of("stem.conv.weight"), *head = values_of("head.weight");
    for (int o = 0; o < 3; o++)
        for (int i = 0; i < 2; i++)
            for (int p = 0; p < 6; p++)
                assert_true(w[(p * 2 + i) * 3 + o] == (float)((o * 2 + i) * 6 + p));
    for (int o = 0; o < 5; o++)  // of a map of 2 x 5 places: channel by channel there
        for (int c = 0; c < 3; c++)
            for (int p = 0; p < 10; p++)
                assert_true(head[(p * 3 + c) * 5 + o] == (float)(1000 + o * 30 + c * 10 + p));
    assert_true(values_of("stem.norm.gamma")[1] == 101.0f);
    assert_true(values_of("stem.norm.beta")[1] == 201.0f);
    assert_true(values_of("stem.norm.mean")[1] == 301.0f);
    assert_true(values_of("stem.norm.variance")[2] == 402.0f);
    assert_true(values_of("head.bias")[4] == 504.0f);
}

static void a_name_stands_for_what_begins_with_it(void **state)
{
    (void)state;
    struct tensor some[2] = {all[0], all[1]};
    int copied;
    some[0].name = "block1.conv.weight";
    some[1].name = "block1.norm.weight";
    write_file(some, 2);
    assert_int_equal(take("stem: block1\n", &copied), DC_OK);
    assert_int_equal(copied, 2);
}

static void what_does_not_fit_is_named(void **state)
{
    (void)state;
    int copied;
    write_file(all, ALL);
    assert_int_equal(take("stem.conf: features.0\n", &copied), DC_ERR_CONFIG);
    assert_non_null(strstr(error.message, "names.yaml:1:1"));
    assert_non_null(strstr(error.message, "the model has no layer 'stem.conf'"));
    assert_int_equal(take("- stem.conv\n", &copied), DC_ERR_CONFIG);
    assert_non_null(strstr(error.message, "lines are LAYER: NAME IN THE FILE"));
    assert_int_equal(take("stem.conv: features.0\nstem.norm: feature.1\n", &copied), DC_ERR_CONFIG);
    assert_non_null(strstr(error.message, "names.yaml:2:12"));
    assert_non_null(strstr(error.message, "w.safetensors has no tensor of a layer 'feature.1'"));
    write_file(all, 5);  // none of the names
    assert_int_equal(take(NULL, &copied), DC_ERR_CONFIG);
    assert_non_null(strstr(error.message, "stem.conv.weight"));
    assert_non_null(strstr(error.message, "features.0.weight"));
    assert_non_null(strstr(error.message, "weights_names"));
    struct tensor other = all[5];
    other.shape = "[30,5]";
    write_file(&other, 1);
    assert_int_equal(take(NULL, &copied), DC_ERR_CONFIG);
    assert_non_null(
        strstr(error.message, "tensor 'head.weight' has [30, 5], where [5, 30] belongs"));
}

static struct dc_experiment *experiment;

static const struct dc_stage *read_stage(const char *stage)
{
    static const char target[] = "name: t\nprofile: tflm\n";
    char text[512];
    snprintf(text, sizeof text,
             "name: names\ndata: {source: npz, path: d.npz}\ntarget: target.yaml\n"
             "stages:\n  a: {model: model.yaml, weights: w.safetensors%s}\n",
             stage);
    test_write(test_path("names.experiment.yaml"), text, strlen(text));
    test_write(test_path("target.yaml"), target, strlen(target));
    dc_experiment_free(experiment);
    experiment = NULL;
    if (dc_experiment_read(&experiment, test_path("names.experiment.yaml"), NULL, 0, &error) !=
        DC_OK)
        fail_msg("%s", error.message);
    return &experiment->stages[0];
}

// Another shape is told where the experiment names the file, before any data is read.
static void check_reads_the_header(void **state)
{
    (void)state;
    json_t *report = NULL;
    const struct tensor turned = {"head.weight", "[30,5]", 150, 0.0f};
    write_file(&turned, 1);
    read_stage(", train: {}");
    assert_int_equal(dc_run_check(experiment, &report, &error), DC_ERR_CONFIG);
    assert_non_null(strstr(error.message, "names.experiment.yaml:5:"));
    assert_non_null(strstr(error.message, "has [30, 5], where [5, 30] belongs"));
}

// What the file lacks is an error where nothing trains, also behind quantizers, else told. Both
// name the layers, or the parts of those that are there.
static void what_is_missing_is_told(void **state)
{
    (void)state;
    static const char *const still[] = {"", ", quantize: {}"};
    static const char *const file = "w.safetensors' lacks weights of stem.norm, head.bias";
    char missing[DC_MISSING_TEXT];
    json_t *report = NULL;
    const struct tensor some[] = {{"stem.conv.weight", "[3,2,3,2]", 36, 0.0f},
                                  {"head.weight", "[5,30]", 150, 0.0f}};
    write_file(some, 2);
    for (int i = 0; i < 2; i++) {
        const struct dc_stage *stage = read_stage(still[i]);
        assert_string_equal(stage->train.init_from, "");  // a part that is absent has its defaults
        assert_int_equal(dc__take_weights(missing, stage, &model, params, stage->weights,
                                          stage->weights, &error),
                         DC_ERR_CONFIG);
        assert_non_null(strstr(error.message, "names.experiment.yaml:5:"));
        assert_non_null(strstr(error.message, file));
        assert_non_null(strstr(error.message, "weights_names"));
        assert_int_equal(dc_run_check(experiment, &report, &error), DC_ERR_CONFIG);  // no data
        assert_non_null(strstr(error.message, file));
    }
    const struct dc_stage *stage = read_stage(", train: {}");
    assert_int_equal(
        dc__take_weights(missing, stage, &model, params, stage->weights, stage->weights, &error),
        DC_OK);
    assert_string_equal(missing, "stem.norm, head.bias");
    if (dc_run_check(experiment, &report, &error) != DC_OK)
        fail_msg("%s", error.message);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(report, "a"), "missing_weights")),
        missing);
    json_decref(report);
}

// What shapes a stage: the content of the names, and not where they lie.
static void names_are_settings_by_their_content(void **state)
{
    (void)state;
    static const char *const names[][2] = {{"names.yaml", "stem.conv: features.0\n"},
                                           {"moved.yaml", "stem.conv: features.0\n"},
                                           {"names.yaml", "stem.conv: features.1\n"}};
    uint64_t hashes[3];
    write_file(all, ALL);
    for (int i = 0; i < 3; i++) {
        char stage[64];
        snprintf(stage, sizeof stage, ", weights_names: %s", names[i][0]);
        test_write(test_path(names[i][0]), names[i][1], strlen(names[i][1]));
        const struct dc_stage *read = read_stage(stage);
        assert_int_equal(dc_stage_hash(&hashes[i], experiment, read, &error), DC_OK);
    }
    assert_true(hashes[0] == hashes[1]);
    assert_true(hashes[0] != hashes[2]);
}

static int set_up(void **state)
{
    (void)state;
    test_folder();
    test_write(test_path("model.yaml"), model_text, strlen(model_text));
    if (dc_model_read(&model, &(struct dc_model_spec){.path = test_path("model.yaml")}, &error) !=
        DC_OK)
        fail_msg("%s", error.message);
    assert_int_equal(dc_params_create(&params, model.graph, 0, false, &error), DC_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dc_experiment_free(experiment);
    dc_params_free(params);
    dc_model_free(&model);
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_go_where_they_belong),
        cmocka_unit_test(a_name_stands_for_what_begins_with_it),
        cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test(what_is_missing_is_told),
        cmocka_unit_test(check_reads_the_header),
        cmocka_unit_test(names_are_settings_by_their_content),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
