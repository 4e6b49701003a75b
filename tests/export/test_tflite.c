// TFLite files as bytes, read by a reader of its own that shares nothing with the writer: header,
// alignment, quantization, constants, memory plan; and what the format cannot say. That runtimes
// take the files and compute the engine's bytes is tests/interop/check_tflite's.

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/file.h"
#include "export/tflite.h"
#include "tests/qat/helper_models.h"

static char path[] = "/tmp/decant-tflite-XXXXXX";
static const uint8_t *bytes;
static size_t size;

static uint32_t u32(uint32_t at)
{
    assert_true(at + 4 <= size && at % 4 == 0);
    return bytes[at] | (uint32_t)bytes[at + 1] << 8 | (uint32_t)bytes[at + 2] << 16 |
           (uint32_t)bytes[at + 3] << 24;
}

static uint32_t follow(uint32_t at)
{
    return at + u32(at);
}

// Where field `id` of the table lies; 0: absent.
static uint32_t field(uint32_t table, uint32_t id)
{
    const uint32_t vtable = table - u32(table);
    const uint32_t vtable_bytes = bytes[vtable] | (uint32_t)bytes[vtable + 1] << 8;
    const uint32_t slot = 4 + 2 * id;
    if (slot >= vtable_bytes)
        return 0;
    const uint32_t offset = bytes[vtable + slot] | (uint32_t)bytes[vtable + slot + 1] << 8;
    return offset ? table + offset : 0;
}

static uint32_t item(uint32_t vector, uint32_t i)
{
    assert_true(i < u32(vector));
    return vector + 4 + 4 * i;
}

// The vector that a field refers to; its first item follows 4 bytes of length.
static uint32_t child(uint32_t table, uint32_t id)
{
    assert_int_not_equal(field(table, id), 0);
    return follow(field(table, id));
}

static struct dc_imodel *conv_model(const struct dc_ilayer *conv)
{
    struct dc_random random;
    dc_random_start(&random, 5, DC_PURPOSE_TEST, 0, 1);
    return test_one_layer_model(dc_profile_find("tflm"), 9, 8, 3, conv, &random);
}

static const struct dc_ilayer same = {
    .op = DC_I_CONV2D,
    .channels = 4,
    .window = {.kernel = {3, 2}, .before = {1, 0}, .after = {1, 1}},
    .per_channel = true};

static struct dc_arena *read_back(const struct dc_imodel *m)
{
    struct dc_arena *arena = NULL;
    struct dc_error error;
    char *text;
    if (dc_tflite_write(path, m, "input = x / 255", &error) != DC_OK)
        fail_msg("%s", error.message);
    assert_int_equal(dc_arena_create(&arena, NULL), DC_OK);
    assert_int_equal(dc_file_read(&text, &size, path, arena, NULL), DC_OK);
    bytes = (const uint8_t *)text;
    return arena;
}

static void a_convolution_is_one_operator(void **state)
{
    (void)state;
    struct dc_imodel *m = conv_model(&same);
    struct dc_arena *arena = read_back(m);
    const struct dc_ilayer *l = &m->layers[1];
    assert_memory_equal(bytes + 4, "TFL3", 4);
    const uint32_t model = follow(0);
    assert_int_equal(u32(field(model, 0)), 3);
    const uint32_t code = follow(item(child(model, 1), 0));
    assert_int_equal(bytes[field(code, 0)], 3);
    assert_int_equal(u32(field(code, 3)), 3);
    const uint32_t graph = follow(item(child(model, 2), 0));
    assert_int_equal(u32(child(graph, 0)), 4);  // image, weights, biases, output
    assert_int_equal(u32(child(graph, 3)), 1);
    const uint32_t operation = follow(item(child(graph, 3), 0));
    const uint32_t options = child(operation, 4);
    assert_int_equal(bytes[field(operation, 3)], 1);
    assert_int_equal(bytes[field(options, 0)], 0);  // SAME
    const uint32_t weights = follow(item(child(graph, 0), u32(item(child(operation, 1), 1))));
    const uint32_t scales = child(child(weights, 4), 2);
    assert_int_equal(u32(scales), 4);
    assert_memory_equal(bytes + scales + 4, l->weight_scales, 16);
    const uint32_t biases = follow(item(child(graph, 0), u32(item(child(operation, 1), 2))));
    for (uint32_t c = 0; c < 4; c++) {
        const volatile float product = m->layers[0].scale * l->weight_scales[c];
        float scale;
        memcpy(&scale, bytes + child(child(biases, 4), 2) + 4 + 4 * c, 4);
        assert_true(scale == product);
    }
    const uint32_t buffers = child(model, 4);
    const uint32_t data = child(follow(item(buffers, u32(field(weights, 2)))), 0);
    assert_int_equal(u32(data), l->weight_count);
    assert_memory_equal(bytes + data + 4, l->weights, (size_t)l->weight_count);
    assert_int_equal(field(follow(item(buffers, 0)), 0), 0);  // the empty one
    for (uint32_t i = 1; i < u32(buffers); i++)
        assert_int_equal((child(follow(item(buffers, i)), 0) + 4) % 16, 0);
    dc_arena_free(arena);
    dc_imodel_free(m);
}

// The buffer of the metadata of this name.
static uint32_t metadata(uint32_t model, const char *name)
{
    const uint32_t entries = child(model, 6), buffers = child(model, 4);
    for (uint32_t i = 0; i < u32(entries); i++) {
        const uint32_t entry = follow(item(entries, i)), text = child(entry, 0);
        if (u32(text) == strlen(name) && memcmp(bytes + text + 4, name, strlen(name)) == 0)
            return child(follow(item(buffers, u32(field(entry, 1)))), 0);
    }
    fail_msg("no metadata '%s'", name);
    return 0;
}

enum { VALUES = 32 };

// When each value lives, from the operators of the file: [first, last]; -1 where it never does.
static void find_lives(int lives[][2], uint32_t graph)
{
    const uint32_t operators = child(graph, 3);
    memset(lives, -1, VALUES * sizeof *lives);
    for (uint32_t o = 0; o < u32(operators); o++) {
        const uint32_t operation = follow(item(operators, o)), inputs = child(operation, 1);
        const uint32_t output = u32(item(child(operation, 2), 0));
        assert_true(output < VALUES);
        lives[output][0] = lives[output][1] = (int)o;
        for (uint32_t i = 0; i < u32(inputs); i++)
            lives[u32(item(inputs, i))][1] = (int)o;
    }
}

static int64_t bytes_of(uint32_t tensor)
{
    const uint32_t shape = child(tensor, 0);
    int64_t count = 1;
    for (uint32_t i = 0; i < u32(shape); i++)
        count *= u32(item(shape, i));
    return count;
}

// One subgraph; every value between input and output has a place, aligned to 16 bytes, and shares
// no byte with one alive at the same time, but shares bytes with others.
static void the_memory_plan_keeps_values_apart(void **state)
{
    (void)state;
    struct dc_random random;
    struct dc_imodel *m = conv_model(&same);
    dc_random_start(&random, 6, DC_PURPOSE_TEST, 0, 1);
    struct dc_ilayer odd = same;
    odd.channels = 5;
    static const char *const names[] = {"", "more", "and more", "most"};
    for (int i = 1; i < 4; i++)
        (void)test_add_layer(m, names[i], &odd, i, -1, &random);
    (void)test_add_layer(m, "sum", &(const struct dc_ilayer){.op = DC_I_ADD}, 2, 4, &random);
    (void)test_add_layer(m, "last", &odd, 5, -1, &random);
    struct dc_arena *arena = read_back(m);
    const uint32_t model = follow(0), graph = follow(item(child(model, 2), 0));
    const uint32_t tensors = child(graph, 0), plan = metadata(model, "OfflineMemoryAllocation") + 4;
    int lives[VALUES][2], planned = 0;
    int64_t end = 0, sum = 0;
    find_lives(lives, graph);
    assert_true(u32(tensors) <= VALUES);
    assert_int_equal(u32(plan + 4), 1);
    assert_int_equal(u32(plan + 8), u32(tensors));
    for (uint32_t i = 0; i < u32(tensors); i++) {
        const int64_t at = (int32_t)u32(plan + 12 + 4 * i);
        const int64_t size_i = bytes_of(follow(item(tensors, i)));
        if (at < 0)
            continue;
        assert_true(lives[i][0] >= 0 && lives[i][1] > lives[i][0]);
        assert_int_equal(at % 16, 0);
        planned++;
        sum += size_i;
        end = at + size_i > end ? at + size_i : end;
        for (uint32_t k = 0; k < i; k++) {
            const int64_t other = (int32_t)u32(plan + 12 + 4 * k);
            if (other >= 0 && lives[k][0] <= lives[i][1] && lives[i][0] <= lives[k][1])
                assert_true(other >= at + size_i ||
                            at >= other + bytes_of(follow(item(tensors, k))));
        }
    }
    assert_int_equal(planned, 5);
    assert_true(end < sum);
    dc_arena_free(arena);
    dc_imodel_free(m);
}

static void assert_text(uint32_t vector, const char *text)
{
    assert_int_equal(u32(vector), strlen(text));
    assert_memory_equal(bytes + vector + 4, text, strlen(text));
}

static void the_signature_names_input_and_output(void **state)
{
    (void)state;
    struct dc_imodel *m = conv_model(&same);
    struct dc_arena *arena = read_back(m);
    const uint32_t model = follow(0), graph = follow(item(child(model, 2), 0));
    const uint32_t signature = follow(item(child(model, 7), 0));
    assert_text(child(signature, 2), "serving_default");
    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t map = follow(item(child(signature, i), 0));
        assert_text(child(map, 0), i == 0 ? "input" : "output");
        assert_int_equal(u32(field(map, 1)), u32(item(child(graph, 1 + i), 0)));
    }
    assert_text(metadata(model, "normalization"), "input = x / 255");
    dc_arena_free(arena);
    dc_imodel_free(m);
}

// The weights of the last operator as the file holds them, whatever their type.
static int weight_of(uint32_t model, int64_t i, int type)
{
    const uint32_t graph = follow(item(child(model, 2), 0)), operators = child(graph, 3);
    const uint32_t operation = follow(item(operators, u32(operators) - 1));
    const uint32_t weights = follow(item(child(graph, 0), u32(item(child(operation, 1), 1))));
    const uint32_t data = child(follow(item(child(model, 4), u32(field(weights, 2)))), 0);
    const int64_t count = bytes_of(weights);
    assert_int_equal(bytes[field(weights, 1)], type);
    assert_int_equal(u32(data), type == 17 ? (count + 1) / 2 : count);
    if (type == 9)
        return (int8_t)bytes[data + 4 + i];
    const int half = bytes[data + 4 + i / 2] / (i % 2 ? 16 : 1) % 16;
    return half > 7 ? half - 16 : half;
}

// Weights of at most 4 bits are INT4 (type 17) where the profile's runtime computes the engine's
// bytes from them, which tests/interop/check_tflite judges; else INT8 (9). The operator's version
// says so: 7 of convolutions, 10 of fully connected layers.
static void weights_of_four_bits_are_packed(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        enum dc_iop op;
        int bits, width;
        bool per_channel;
        uint32_t type, version;
    } cases[] = {{"tflm", DC_I_CONV2D, 4, 8, true, 17, 7},
                 {"tflm", DC_I_CONV2D, 2, 8, false, 17, 7},
                 {"tflm", DC_I_CONV2D, 5, 8, true, 9, 3},
                 {"tflm", DC_I_DEPTHWISE_CONV2D, 4, 8, true, 17, 7},
                 {"tflm", DC_I_FULLY_CONNECTED, 4, 7, false, 17, 10},
                 {"tflm", DC_I_FULLY_CONNECTED, 4, 8, true, 9, 5},
                 {"litert-reference", DC_I_CONV2D, 3, 8, true, 17, 7},
                 {"litert-reference", DC_I_DEPTHWISE_CONV2D, 4, 8, true, 9, 3},
                 {"litert-reference", DC_I_FULLY_CONNECTED, 4, 7, true, 17, 10},
                 {"litert-xnnpack", DC_I_CONV2D, 4, 8, true, 9, 3},
                 {"litert-xnnpack", DC_I_DEPTHWISE_CONV2D, 4, 8, true, 9, 3},
                 {"litert-xnnpack", DC_I_FULLY_CONNECTED, 4, 8, true, 17, 10},
                 {"litert-xnnpack", DC_I_FULLY_CONNECTED, 4, 7, true, 9, 5},
                 {"litert-builtin", DC_I_DEPTHWISE_CONV2D, 4, 8, true, 17, 7},
                 {"litert-builtin", DC_I_FULLY_CONNECTED, 4, 7, true, 17, 10},
                 {"ruy", DC_I_CONV2D, 4, 8, true, 9, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dc_random random;
        const bool dense = cases[i].op == DC_I_FULLY_CONNECTED;
        const struct dc_ilayer layer = {.op = cases[i].op,
                                        .channels = 3,
                                        .window = {.kernel = {dense ? 0 : 3, dense ? 0 : 3}},
                                        .per_channel = cases[i].per_channel,
                                        .weight_bits = cases[i].bits};
        dc_random_start(&random, 7, DC_PURPOSE_TEST, 0, i);
        struct dc_imodel *m = test_one_layer_model(dc_profile_find(cases[i].profile), 9,
                                                   cases[i].width, 3, &layer, &random);
        struct dc_arena *arena = read_back(m);
        uint32_t model = follow(0), codes = child(model, 1);
        assert_int_equal(dc_tflite_unpacked(m), cases[i].bits <= 4 && cases[i].type == 9);
        for (int64_t k = 0; k < m->layers[1].weight_count; k++)
            assert_int_equal(weight_of(model, k, (int)cases[i].type), m->layers[1].weights[k]);
        assert_int_equal(u32(field(follow(item(codes, u32(codes) - 1)), 2)), cases[i].version);
        dc_arena_free(arena);
        m->wide_weights = true;  // as a target may want
        assert_int_equal(dc_tflite_unpacked(m), 0);
        arena = read_back(m);
        model = follow(0);
        codes = child(model, 1);
        for (int64_t k = 0; k < m->layers[1].weight_count; k++)
            assert_int_equal(weight_of(model, k, 9), m->layers[1].weights[k]);
        assert_in_range(u32(field(follow(item(codes, u32(codes) - 1)), 2)), 3, 5);
        dc_arena_free(arena);
        dc_imodel_free(m);
    }
}

static void other_pads_are_an_operator(void **state)
{
    (void)state;
    struct dc_ilayer conv = same;
    conv.window.before[0] = 2;
    struct dc_imodel *m = conv_model(&conv);
    struct dc_arena *arena = read_back(m);
    const uint32_t graph = follow(item(child(follow(0), 2), 0));
    assert_int_equal(u32(child(graph, 3)), 2);
    const uint32_t options = child(follow(item(child(graph, 3), 1)), 4);
    assert_int_equal(bytes[field(options, 0)], 1);  // VALID
    dc_arena_free(arena);
    dc_imodel_free(m);
}

// A maximum is padded with what loses to every code, not with the zero point.
static void a_maximum_is_padded_with_the_least_code(void **state)
{
    (void)state;
    const struct dc_ilayer pool = {
        .op = DC_I_MAX_POOL, .window = {.kernel = {3, 3}, .stride = {2, 1}, .before = {2, 1}}};
    struct dc_imodel *m = conv_model(&pool);
    struct dc_arena *arena = read_back(m);
    const uint32_t model = follow(0), graph = follow(item(child(model, 2), 0));
    const uint32_t pad = follow(item(child(graph, 3), 0));
    const uint32_t options = child(follow(item(child(graph, 3), 1)), 4);
    const int32_t pads[] = {0, 0, 2, 0, 1, 0, 0, 0};
    const uint32_t inputs = child(pad, 1), buffers = child(model, 4);
    uint32_t data[3] = {0};
    for (uint32_t i = 1; i < 3; i++) {
        const uint32_t tensor = follow(item(child(graph, 0), u32(item(inputs, i))));
        data[i] = child(follow(item(buffers, u32(field(tensor, 2)))), 0);
    }
    assert_int_equal(u32(data[1]), sizeof pads);
    assert_memory_equal(bytes + data[1] + 4, pads, sizeof pads);
    assert_int_equal(u32(data[2]), 1);
    assert_int_equal((int8_t)bytes[data[2] + 4], -128);
    assert_int_equal(u32(field(options, 1)), 1);  // stride: width, then height
    assert_int_equal(u32(field(options, 2)), 2);
    dc_arena_free(arena);
    dc_imodel_free(m);
}

static void what_tflite_cannot_say_is_refused(void **state)
{
    (void)state;
    struct dc_ilayer conv = same;
    conv.clamp_low = -100;
    conv.clamp_high = 99;
    const struct dc_ilayer average = {
        .op = DC_I_AVERAGE_POOL, .window = {.kernel = {3, 3}, .stride = {2, 2}, .before = {2, 0}}};
    const struct dc_ilayer *const layers[] = {&conv, &average};
    const char *const reasons[] = {"clamps 'layer' to codes -100 to 99",
                                   "'layer' (average_pool): an average over a padded window"};
    for (int i = 0; i < 2; i++) {
        struct dc_error error;
        struct dc_imodel *m = conv_model(layers[i]);
        assert_int_equal(dc_tflite_write(path, m, NULL, &error), DC_ERR_DATA);
        assert_non_null(strstr(error.message, reasons[i]));
        dc_imodel_free(m);
    }
}

// A bias of 2^20 and a factor of 2^10, shift 11: 2^31 where runtimes round twice.
static void sums_that_wrap_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        int32_t bias;
        bool refused;
    } cases[] = {{"tflm", 1 << 20, true},
                 {"tflm", (1 << 20) - 200, false},
                 {"tflm", -(1 << 20), true},
                 {"litert-builtin", 1 << 20, true},
                 {"litert-reference", 1 << 20, false},  // doubles
                 {"ruy", 1 << 20, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dc_error error = {0};
        struct dc_imodel *m = NULL;
        struct dc_ilayer l = {.name = "x",
                              .op = DC_I_INPUT,
                              .height = 1,
                              .width = 1,
                              .channels = 1,
                              .scale = 1024.0f,
                              .bits = 8,
                              .clamp_low = -128,
                              .clamp_high = 127};
        assert_int_equal(
            dc_imodel_create(&m, "wrap", "", dc_profile_find(cases[i].profile), &error), DC_OK);
        assert_int_equal(dc_imodel_add(m, &l, NULL, &error), DC_OK);
        l.name = "logits";
        l.op = DC_I_FULLY_CONNECTED;
        l.input_count = 1;
        l.scale = 1.0f;
        l.weight_bits = 8;
        l.weights = (const int8_t[]){1};
        l.biases = &cases[i].bias;
        l.weight_scales = (const float[]){1.0f};
        assert_int_equal(dc_imodel_add(m, &l, NULL, &error), DC_OK);
        assert_int_equal(dc_tflite_write(path, m, NULL, &error),
                         cases[i].refused ? DC_ERR_DATA : DC_OK);
        if (cases[i].refused)
            assert_non_null(strstr(error.message, "sums of 'logits' can reach"));
        dc_imodel_free(m);
    }
}

// 255 steps times a factor of 2^23: shift 24.
static void slopes_that_wrap_are_refused(void **state)
{
    (void)state;
    static const float slopes[] = {1.0f, 0x1.fp22f, 0x1p23f, -0x1p23f};
    for (int i = 0; i < 4; i++) {
        struct dc_random random;
        struct dc_error error = {0};
        dc_random_start(&random, 6, DC_PURPOSE_TEST, 0, 1);
        struct dc_imodel *m = NULL;
        const struct dc_ilayer x = {.name = "x",
                                    .op = DC_I_INPUT,
                                    .height = 1,
                                    .width = 1,
                                    .channels = 1,
                                    .scale = 1.0f,
                                    .bits = 8,
                                    .clamp_low = -128,
                                    .clamp_high = 127};
        assert_int_equal(dc_imodel_create(&m, "slope", "", dc_profile_find("tflm"), &error), DC_OK);
        assert_int_equal(dc_imodel_add(m, &x, NULL, &error), DC_OK);
        test_add_layer(m, "leaky",
                       &(struct dc_ilayer){.op = DC_I_TABLE,
                                           .function = DC_F_LEAKY_RELU,
                                           .parameters = {slopes[i]},
                                           .scale = 1.0f},
                       0, -1, &random);
        assert_int_equal(dc_tflite_write(path, m, NULL, &error), i < 2 ? DC_OK : DC_ERR_DATA);
        if (i >= 2)
            assert_non_null(strstr(error.message, "of 'leaky' is too small"));
        dc_imodel_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_convolution_is_one_operator),
        cmocka_unit_test(the_memory_plan_keeps_values_apart),
        cmocka_unit_test(the_signature_names_input_and_output),
        cmocka_unit_test(weights_of_four_bits_are_packed),
        cmocka_unit_test(other_pads_are_an_operator),
        cmocka_unit_test(a_maximum_is_padded_with_the_least_code),
        cmocka_unit_test(what_tflite_cannot_say_is_refused),
        cmocka_unit_test(sums_that_wrap_are_refused),
        cmocka_unit_test(slopes_that_wrap_are_refused),
    };
    const int file = mkstemp(path);
    if (file < 0)
        return 1;
    close(file);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
