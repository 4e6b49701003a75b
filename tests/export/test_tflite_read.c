// TFLite files of integers, written here and read again: the engine gives the same bytes, a file
// that is written once more is the same file, and what integers do not have is refused by name.
// That other runtimes' files are read rightly is tests/interop/check_tflite's.

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/file.h"
#include "export/tflite.h"
#include "formats/tflite_build.h"
#include "formats/tflite_read.h"
#include "qat/engine.h"
#include "qat/from_graph.h"
#include "tests/core/helper_folder.h"
#include "tests/qat/helper_models.h"

enum { ROWS = 6 };

static struct dc_error error;
static struct dc_ctx *ctx;

static void must(enum dc_status status)
{
    if (status != DC_OK)
        fail_msg("%s", error.message);
}

static int8_t *run(const struct dc_imodel *model, const int8_t *inputs)
{
    struct dc_engine *engine = NULL;
    int8_t *outputs = malloc((size_t)(ROWS * dc_ilayer_size(dc_imodel_output(model))));
    assert_non_null(outputs);
    must(dc_engine_create(&engine, ctx, model, &error));
    dc_engine_run(engine, outputs, inputs, ROWS);
    dc_engine_free(engine);
    return outputs;
}

static struct dc_imodel *read_model(const char *path, const struct dc_imodel *like)
{
    struct dc_imported *n = NULL;
    struct dc_imodel *model = NULL;
    must(dc_tflite_read(&n, path, NULL, &error));
    assert_non_null(n->codes);
    must(dc_imodel_from_graph(&model, n->graph, n->codes, n->output, like->name, like->provenance,
                              like->profile, &error));
    dc_imported_free(n);
    return model;
}

// twice: whether the file that is written again must be the same. A dense layer of an image is
// written behind a reshape, which is then a layer of its own in the memory plan.
static void there_and_back(struct dc_imodel *model, bool twice)
{
    struct dc_random random;
    char first[512];
    snprintf(first, sizeof first, "%s", test_path("first.tflite"));
    const char *second = test_path("second.tflite");
    const int64_t inputs = ROWS * dc_ilayer_size(&model->layers[0]);
    const int64_t outputs = ROWS * dc_ilayer_size(dc_imodel_output(model));
    int8_t *codes = malloc((size_t)inputs);
    assert_non_null(codes);
    dc_random_start(&random, 11, DC_PURPOSE_TEST, 0, 1);
    test_fill_codes(codes, inputs, &random);
    must(dc_tflite_write(first, model, NULL, &error));
    struct dc_imodel *read = read_model(first, model);
    int8_t *want = run(model, codes), *have = run(read, codes);
    assert_memory_equal(want, have, (size_t)outputs);
    must(dc_tflite_write(second, read, NULL, &error));
    struct dc_arena *arena = NULL;
    char *a, *b;
    size_t size_a, size_b;
    must(dc_arena_create(&arena, &error));
    must(dc_file_read(&a, &size_a, first, arena, &error));
    must(dc_file_read(&b, &size_b, second, arena, &error));
    if (twice && (size_a != size_b || memcmp(a, b, size_a) != 0))
        fail_msg("%s: written again it has %zu bytes, not %zu, or others",
                 dc_iop_name(dc_imodel_output(model)->op), size_b, size_a);
    dc_arena_free(arena);
    free(want);
    free(have);
    free(codes);
    dc_imodel_free(read);
    dc_imodel_free(model);
}

// Layers that read one another, as the file can say them: clamps are those of activations.
static struct dc_imodel *chain(const char *profile, uint64_t seed)
{
    const struct dc_window window = {
        .kernel = {3, 3}, .stride = {1, 1}, .dilation = {1, 1}, .before = {1, 1}, .after = {1, 1}};
    const struct dc_ilayer conv = {
        .op = DC_I_CONV2D, .channels = 6, .window = window, .per_channel = true};
    const struct dc_ilayer depthwise = {
        .op = DC_I_DEPTHWISE_CONV2D, .channels = 6, .window = window, .per_channel = true};
    const struct dc_ilayer add = {.op = DC_I_ADD}, join = {.op = DC_I_CONCAT};
    const struct dc_ilayer mean = {.op = DC_I_MEAN}, multiply = {.op = DC_I_MULTIPLY};
    const struct dc_ilayer pool = {.op = DC_I_AVERAGE_POOL, .window = window};
    const struct dc_ilayer dense = {.op = DC_I_FULLY_CONNECTED, .channels = 5};
    const struct dc_ilayer shares = {.op = DC_I_SOFTMAX};
    struct dc_random random;
    dc_random_start(&random, 3, DC_PURPOSE_TEST, 1, seed);
    struct dc_imodel *m = test_one_layer_model(dc_profile_find(profile), 6, 5, 3, &conv, &random);
    const int first = m->count - 1;
    const int second = test_add_layer(m, "depthwise", &depthwise, first, -1, &random);
    const int sum = test_add_layer(m, "sum", &add, first, second, &random);
    const int factor = test_add_layer(m, "mean", &mean, sum, -1, &random);
    const int gated = test_add_layer(m, "gated", &multiply, sum, factor, &random);
    const int joined = test_add_layer(m, "joined", &join, gated, gated, &random);
    const int pooled = test_add_layer(m, "pooled", &pool, joined, -1, &random);
    const int logits = test_add_layer(m, "logits", &dense, pooled, -1, &random);
    test_add_layer(m, "shares", &shares, logits, -1, &random);
    return m;
}

static void integers_come_back(void **state)
{
    (void)state;
    static const char *const profiles[] = {"tflm", "litert-reference", "litert-builtin",
                                           "litert-xnnpack"};
    for (int p = 0; p < 4; p++)
        for (uint64_t seed = 1; seed < 4; seed++)
            there_and_back(chain(profiles[p], seed), false);
}

// What one layer is written as is one operator, or a padding and one.
static void layers_come_back_as_they_were(void **state)
{
    (void)state;
    const struct dc_window window = {.kernel = {3, 2}, .stride = {1, 2}, .dilation = {1, 1}};
    struct dc_window padded = window;
    padded.before[0] = 2;
    padded.after[0] = padded.after[1] = 1;
    const struct dc_ilayer layers[] = {
        {.op = DC_I_CONV2D, .channels = 5, .window = window, .per_channel = true},
        {.op = DC_I_CONV2D, .channels = 5, .window = padded},
        {.op = DC_I_CONV2D, .channels = 4, .window = window, .weight_bits = 4},
        {.op = DC_I_DEPTHWISE_CONV2D, .channels = 6, .window = padded, .per_channel = true},
        {.op = DC_I_FULLY_CONNECTED, .channels = 7, .per_channel = true},
        {.op = DC_I_FULLY_CONNECTED, .channels = 7},
        {.op = DC_I_AVERAGE_POOL, .window = window},
        {.op = DC_I_MAX_POOL, .window = padded},
        {.op = DC_I_MEAN},
        {.op = DC_I_TABLE, .function = DC_F_SIGMOID},
        {.op = DC_I_TABLE, .function = DC_F_LEAKY_RELU, .parameters = {0.125f}},
        {.op = DC_I_SOFTMAX},
        {.op = DC_I_SLICE, .window = {.before = {1, 0}, .stride = {2, 1}}},
        {.op = DC_I_SLICE, .window = {.stride = {1, 1}}, .first_channel = 1},
    };
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        struct dc_random random;
        dc_random_start(&random, 3, DC_PURPOSE_TEST, 0, i);
        there_and_back(test_one_layer_model(dc_profile_find("tflm"), 7, 6, 3, &layers[i], &random),
                       layers[i].op != DC_I_FULLY_CONNECTED);
    }
}

// A file with one value of int8, which `operator` makes another of.
static void write_one(const char *path, enum dc_tflite_code code, int32_t height, float scale,
                      const struct dc_tflite_tensor *second, const int64_t *options)
{
    static const float input_scale = 0.05f;
    const float output_scale = scale;
    struct dc_tflite_builder b = {.error = &error, .file = {.name = "one", .description = ""}};
    struct dc_tflite_operator o = {.code = code, .version = 2, .input_count = second ? 2 : 1};
    struct dc_tflite_tensor t = {.name = "x",
                                 .type = DC_TFLITE_INT8,
                                 .rank = 4,
                                 .shape = {1, 4, 3, 2},
                                 .scale_count = 1,
                                 .scales = &input_scale,
                                 .zero_point = -3,
                                 .arena_offset = -1};
    must(dc_arena_create(&b.arena, &error));
    must(dc_tflite_add_tensor(&b, &t, &o.inputs[0]));
    if (second)
        must(dc_tflite_add_tensor(&b, second, &o.inputs[1]));
    t.name = "y";
    t.scales = &output_scale;
    t.shape[1] = height;
    if (height == 0) {
        t.rank = 2;
        t.shape[1] = 2;
    }
    must(dc_tflite_add_tensor(&b, &t, &o.output));
    memcpy(o.options, options, sizeof(int64_t) * 2);
    must(dc_tflite_add_operator(&b, &o));
    b.file.input = o.inputs[0];
    b.file.output = o.output;
    must(dc_tflite_save(&b, path));
    dc_arena_free(b.arena);
}

static void refused(const char *profile, const char *words)
{
    struct dc_imported *n = NULL;
    struct dc_imodel *model = NULL;
    must(dc_tflite_read(&n, test_path("one.tflite"), NULL, &error));
    const enum dc_status status = dc_imodel_from_graph(&model, n->graph, n->codes, n->output, "one",
                                                       "", dc_profile_find(profile), &error);
    dc_imported_free(n);
    if (!words)
        must(status);
    else if (status != DC_ERR_DATA || !strstr(error.message, words))
        fail_msg("'%s' does not say '%s'", error.message, words);
    dc_imodel_free(model);
}

static void what_integers_lack_is_refused(void **state)
{
    (void)state;
    static const int32_t image_axes[] = {1, 2};
    static const int8_t codes[] = {1, 2};
    static const float scale = 0.1f;
    const struct dc_tflite_tensor axes = {.name = "axes",
                                          .type = DC_TFLITE_INT32,
                                          .rank = 1,
                                          .shape = {2},
                                          .data = image_axes,
                                          .bytes = 8,
                                          .arena_offset = -1};
    const struct dc_tflite_tensor constant = {.name = "c",
                                              .type = DC_TFLITE_INT8,
                                              .rank = 1,
                                              .shape = {2},
                                              .scale_count = 1,
                                              .scales = &scale,
                                              .data = codes,
                                              .bytes = 2,
                                              .arena_offset = -1};
    const int64_t none[2] = {0, 0};
    write_one(test_path("one.tflite"), DC_TFLITE_MEAN, 0, 0.03f, &axes, none);
    refused("tflm", NULL);
    refused("litert-builtin", "layer 'y' (reduce_mean) has no integers here: this profile's");
    write_one(test_path("one.tflite"), DC_TFLITE_MUL, 4, 0.03f, &constant, none);
    refused("tflm", "one of its values is a constant");
    write_one(test_path("one.tflite"), DC_TFLITE_RELU_OP, 4, 0.05f, NULL, none);
    refused("tflm", "layer 'y' (relu) has no integers here: no integer layer computes it");
    write_one(test_path("one.tflite"), DC_TFLITE_QUANTIZE, 4, 0.06f, NULL, none);
    refused("tflm", "it only changes the scale of a value");
}

// A network that takes floats, quantizes them and gives floats again is its integers.
static void floats_at_the_ends_are_seen_through(void **state)
{
    (void)state;
    static const float scale = 0.05f;
    struct dc_tflite_builder b = {.error = &error, .file = {.name = "ends", .description = ""}};
    struct dc_tflite_tensor t = {.name = "x",
                                 .type = DC_TFLITE_FLOAT32,
                                 .rank = 4,
                                 .shape = {1, 4, 4, 2},
                                 .arena_offset = -1};
    struct dc_tflite_operator steps[3] = {
        {.code = DC_TFLITE_QUANTIZE, .version = 1, .input_count = 1},
        {.code = DC_TFLITE_MAX_POOL_2D,
         .input_count = 1,
         .options = {DC_TFLITE_VALID, 2, 2, 2, 2, DC_TFLITE_NONE}},
        {.code = DC_TFLITE_DEQUANTIZE, .version = 2, .input_count = 1}};
    static const char *const names[] = {"codes", "pool", "y"};
    must(dc_arena_create(&b.arena, &error));
    must(dc_tflite_add_tensor(&b, &t, &b.file.input));
    steps[0].inputs[0] = b.file.input;
    for (int i = 0; i < 3; i++) {
        t.name = names[i];
        t.type = i < 2 ? DC_TFLITE_INT8 : DC_TFLITE_FLOAT32;
        t.scale_count = i < 2;
        t.scales = &scale;
        t.zero_point = i < 2 ? -3 : 0;
        t.shape[1] = t.shape[2] = i == 0 ? 4 : 2;
        must(dc_tflite_add_tensor(&b, &t, &steps[i].output));
        if (i < 2)
            steps[i + 1].inputs[0] = steps[i].output;
        must(dc_tflite_add_operator(&b, &steps[i]));
    }
    b.file.output = steps[2].output;
    must(dc_tflite_save(&b, test_path("ends.tflite")));
    dc_arena_free(b.arena);
    const struct dc_imodel like = {
        .name = "ends", .provenance = "", .profile = dc_profile_find("tflm")};
    struct dc_imodel *model = read_model(test_path("ends.tflite"), &like);
    assert_int_equal(model->count, 2);
    assert_true(model->layers[0].scale == scale && model->layers[0].zero_point == -3);
    assert_int_equal(model->layers[1].op, DC_I_MAX_POOL);
    assert_string_equal(model->layers[1].name, "pool");
    dc_imodel_free(model);
    struct dc_imported *floats = NULL;
    const struct dc_tflite_options options = {.as_floats = true};
    must(dc_tflite_read(&floats, test_path("ends.tflite"), &options, &error));
    assert_int_equal(floats->graph->count, 2);
    dc_imported_free(floats);
}

// The float network that integers stand for has layers of the same names, and weights that are the
// codes' reals.
static void floats_behind_integers(void **state)
{
    (void)state;
    const struct dc_tflite_options floats = {.as_floats = true};
    struct dc_imported *a = NULL, *b = NULL;
    struct dc_imodel *model = chain("tflm", 2);
    int copied = 0;
    must(dc_tflite_write(test_path("both.tflite"), model, NULL, &error));
    must(dc_tflite_read(&a, test_path("both.tflite"), NULL, &error));
    must(dc_tflite_read(&b, test_path("both.tflite"), &floats, &error));
    assert_true(a->codes && !b->codes);
    assert_int_equal(a->params->count, b->params->count);
    float *kept = malloc(sizeof(float) * (size_t)b->params->total);
    assert_non_null(kept);
    memcpy(kept, b->params->value, sizeof(float) * (size_t)b->params->total);
    must(dc_params_copy_by_name(b->params, a->params, &copied, &error));
    assert_int_equal(copied, a->params->count);
    assert_memory_equal(kept, b->params->value, sizeof(float) * (size_t)b->params->total);
    for (int i = 1; i < model->count; i++)
        assert_true(dc_graph_find(b->graph, model->layers[i].name) >= 0);
    free(kept);
    dc_imported_free(a);
    dc_imported_free(b);
    dc_imodel_free(model);
}

static int set_up(void **state)
{
    const struct dc_ctx_config settings = {.threads = 2};
    (void)state;
    return test_folder() && dc_ctx_create(&ctx, &settings, &error) == DC_OK ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    dc_ctx_free(ctx);
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_come_back),
        cmocka_unit_test(layers_come_back_as_they_were),
        cmocka_unit_test(what_integers_lack_is_refused),
        cmocka_unit_test(floats_at_the_ends_are_seen_through),
        cmocka_unit_test(floats_behind_integers),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
