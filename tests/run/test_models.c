// Shipped model files against published counts of parameters and multiply-accumulates, and against
// those of tests/golden/count_models.py; and whether they learn.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/optimizer.h"
#include "qat/fake_quantize.h"
#include "run/network.h"
#include "tests/core/helper_folder.h"

struct count_case {
    const char *file;
    struct dc_named_value parameters[5];
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
    {"mlp.yaml", {{0}}, 0, 16 * 64 + 128 + 64 * 64 + 128 + 65 * 2, 16 * 64 + 64 * 64 + 64 * 2},
    // torchvision's mobilenet_v2, and the same with strides of 1 in the stem and stage 2
    {"mobilenet-v2.yaml", {{"size", 224}, {"width", 1}, {"classes", 1000}}, 3, 3504872, 300774272},
    {"mobilenet-v2.yaml",
     {{"size", 224}, {"width", 1.4}, {"classes", 1000}},
     3,
     6108776,
     582195824},
    {"mobilenet-v2.yaml", {{0}}, 0, 398690, 10656688},
    {"mobilenet-v2.yaml", {{"width", 0.1}}, 1, 88642, 4664128},  // no layer below 8 channels
    {"mobilenet-v2.yaml",
     {{"size", 32}, {"width", 0.5}, {"classes", 10}, {"stem_stride", 1}, {"stage2_stride", 1}},
     5,
     700490,
     27969024},
    // torchvision's mobilenet_v3_small and timm's efficientnet_lite0
    {"mobilenet-v3-small.yaml",
     {{"size", 224}, {"width", 1}, {"classes", 1000}},
     3,
     2542856,
     56510400},
    {"efficientnet-lite0.yaml",
     {{"size", 224}, {"width", 1}, {"classes", 1000}},
     3,
     4652008,
     385187552},
    // arXiv:1605.07146 table 4: 36.5M; arXiv:1910.10699: 0.70M, 2.26M, 0.57M, 3.97M, 9.46M
    {"wide-resnet.yaml", {{"depth", 28}, {"width", 10}}, 2, 36479194, 5243328768},
    {"wide-resnet.yaml", {{"classes", 100}}, 1, 703284, 101118464},
    {"wide-resnet.yaml", {{"depth", 40}, {"classes", 100}}, 2, 2255156, 327610880},
    {"wide-resnet.yaml", {{"depth", 40}, {"width", 1}, {"classes", 100}}, 3, 569780, 83286272},
    {"vgg.yaml", {{"classes", 100}}, 1, 3965028, 96192512},
    {"vgg.yaml", {{"convolutions", 2}, {"classes", 100}}, 2, 9462180, 284936192},
    {"ds-cnn-1d.yaml", {{0}}, 0, 30342, 621824},
    // MLPerf Tiny's reference: 269,992 with the 2,064 running statistics
    {"autoencoder.yaml", {{0}}, 0, 269992 - 2064, 264192},
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
        const struct dc_model_spec spec = {
            path, cases[i].parameters, cases[i].parameter_count, DC_LAYOUT_AUTO, NULL, NULL};
        if (dc_model_read(&model, &spec, &error))
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
    assert_int_equal(dc_model_read(&model, &(struct dc_model_spec){.path = path}, &error), DC_OK);
    const struct dc_node *stem = &model.graph->nodes[dc_graph_find(model.graph, "stem")];
    // 49x10 with a 10x4 kernel and stride 2: out 25x5; totals (25-1)*2+10-49 = 9, (5-1)*2+4-10 = 2
    assert_true(dc_shape_equal(&stem->shape, &DC_SHAPE(DC_BATCH, 25, 5, 64)));
    dc_model_free(&model);
}

enum { ROWS = 8, STEPS = 40, CLASSES = 4 };

// An experiment of one stage, which trains the model, under simulated int8 if asked for.
#define M4 DECANT_SOURCE_DIR "/configs/targets/cortex-m4.yaml"

static struct dc_experiment *one_stage(const char *model, const char *parameters, bool quantizes,
                                       const char *target)
{
    char text[1024];
    struct dc_error error;
    struct dc_experiment *experiment = NULL;
    const int length = snprintf(
        text, sizeof text,
        "name: one\ndata: {path: .}\n"
        "target: %s\nstages:\n"
        "  one: {model: %s/configs/models/%s, parameters: {%s}, train: {loss: %s}%s}\n",
        target, DECANT_SOURCE_DIR, model, parameters,
        strcmp(model, "autoencoder.yaml") ? "cross_entropy" : "reconstruction",
        quantizes ? ", quantize: {average_constant: 0.5}" : "");
    test_write(test_path("one.yaml"), text, (size_t)length);
    if (dc_experiment_read(&experiment, test_path("one.yaml"), NULL, 0, &error) != DC_OK)
        fail_msg("%s", error.message);
    return experiment;
}

// Steps of gradient descent on one batch of noise; the losses of the first and the last.
static void descend(double losses[2], const struct dc_ctx *ctx, const struct dc_training_graph *t,
                    struct dc_params *params)
{
    static float images[ROWS * 32 * 32 * 3], targets[ROWS * CLASSES];
    const struct dc_optimizer sgd = {.kind = DC_SGD, .momentum = 0.9f};
    const struct dc_plan_config config = {.mode = DC_TRAINING,
                                          .max_rows = ROWS,
                                          .params = params,
                                          .outputs = &t->output,
                                          .output_count = 1};
    struct dc_plan *plan = NULL;
    struct dc_error error;
    uint64_t ids[ROWS];
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof images / sizeof images[0]; i++) {
        state = state * 1664525u + 1013904223u;
        images[i] = (float)(state >> 16) / 32768.0f - 1.0f;
    }
    memset(targets, 0, sizeof targets);
    for (int r = 0; r < ROWS; r++) {
        ids[r] = (uint64_t)r;
        targets[r * CLASSES + r % CLASSES] = 1.0f;
    }
    assert_int_equal(dc_plan_create(&plan, ctx, t->graph, &config, &error), DC_OK);
    dc_plan_set_loss_weight(plan, t->terms.terms[0].node, 1.0);
    for (int s = 0; s < STEPS; s++) {
        const struct dc_step step = {.total_batch = ROWS, .ids = ids, .step = s};
        dc_plan_bind(plan, t->image, images);
        if (t->targets >= 0)
            dc_plan_bind(plan, t->targets, targets);
        if (dc_plan_forward(plan, params, ROWS, &step, &error) != DC_OK ||
            dc_plan_backward(plan, params, ROWS, &step, &error) != DC_OK)
            fail_msg("%s", error.message);
        losses[s > 0] = dc_plan_loss(plan, t->terms.terms[0].node);
        if (s > 0 && losses[1] < 0.25 * losses[0])
            break;  // it has learnt
        dc_optimizer_step(ctx, &sgd, params, 0.05, 1.0, 0.0, s + 1);
    }
    dc_plan_free(plan);
}

static void networks_learn_a_batch(void **state)
{
    static const struct {
        const char *model, *parameters;
        bool quantizes;
    } students[] = {
        {"mobilenet-v1.yaml", "size: 32, stem_stride: 1, classes: 4", true},
        {"mobilenet-v2.yaml", "size: 32, stem_stride: 1, classes: 4, dropout: 0", true},
        {"mobilenet-v3-small.yaml", "size: 32, stem_stride: 1, width: 0.25, classes: 4, dropout: 0",
         true},
        {"wide-resnet.yaml", "depth: 10, width: 1, classes: 4", false},
        {"vgg.yaml", "classes: 4", true},
        {"ds-cnn-1d.yaml", "classes: 4, dropout: 0", true},
        {"autoencoder.yaml", "", true},
    };
    struct dc_ctx *ctx = *state;
    for (size_t i = 0; i < 2 * sizeof students / sizeof students[0]; i++) {
        const bool quantizes = i % 2 == 1;
        if (quantizes && !students[i / 2].quantizes)
            continue;
        struct dc_experiment *experiment = one_stage(students[i / 2].model,
                                                     students[i / 2].parameters, quantizes, M4);
        struct dc_stage_network network = {0};
        struct dc_training_graph training = {0};
        struct dc_params *params = NULL;
        struct dc_error error;
        double losses[2] = {0.0, INFINITY};
        if (dc_stage_network_open(&network, &experiment->stages[0], NULL, &error) != DC_OK ||
            dc_training_graph_create(&training, &network, &experiment->stages[0], NULL, &error) !=
                DC_OK)
            fail_msg("%s", error.message);
        assert_int_equal(dc_params_create(&params, training.graph, 1, false, &error), DC_OK);
        dc_params_init(params, 1);
        descend(losses, ctx, &training, params);
        if (!(losses[1] < 0.5 * losses[0]))
            fail_msg("%s%s: loss %g, then %g", students[i / 2].model, quantizes ? ", int8" : "",
                     losses[0], losses[1]);
        dc_params_free(params);
        dc_training_graph_free(&training);
        dc_stage_network_close(&network);
        dc_experiment_free(experiment);
    }
}

// What training rounds of the input is what the target's runtime rounds.
static void inputs_round_as_the_target_does(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        enum dc_code_rounding rounding;
    } targets[] = {{"tflm", DC_CODE_HALF_AWAY}, {"onnxruntime", DC_CODE_HALF_EVEN}};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        char target[64];
        const int length = snprintf(target, sizeof target, "name: t\nprofile: %s\n",
                                    targets[i].profile);
        test_write(test_path("target.yaml"), target, (size_t)length);
        struct dc_experiment *experiment = one_stage("autoencoder.yaml", "", true, "target.yaml");
        struct dc_stage_network network = {0};
        struct dc_error error;
        int quantizers = 0;
        if (dc_stage_network_open(&network, &experiment->stages[0], NULL, &error) != DC_OK)
            fail_msg("%s", error.message);
        for (int n = 0; n < network.graph->count; n++) {
            const struct dc_node *node = &network.graph->nodes[n];
            const struct dc_fake_quantize_attributes *a = node->attributes;
            if (node->op != &dc_op_fake_quantize)
                continue;
            quantizers++;
            assert_int_equal(a->rounding, node->inputs[0] == network.image ? targets[i].rounding
                                                                           : DC_CODE_OF_PRODUCT);
        }
        assert_true(quantizers > 2);
        dc_stage_network_close(&network);
        dc_experiment_free(experiment);
    }
}

static int set_up(void **state)
{
    struct dc_ctx *ctx = NULL;
    const struct dc_ctx_config config = {.threads = 2};
    test_folder();
    *state = dc_ctx_create(&ctx, &config, NULL) == DC_OK ? ctx : NULL;
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    dc_ctx_free(*state);
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_the_published_ones),
        cmocka_unit_test(padding_by_name_becomes_four_numbers),
        cmocka_unit_test(networks_learn_a_batch),
        cmocka_unit_test(inputs_round_as_the_target_does),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
