// Bundles: written, read back, verified against the compiled C; damage and wrong bytes are found.

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/context.h"
#include "core/file.h"
#include "export/bundle.h"
#include "export/c_source.h"
#include "export/verify.h"
#include "tests/qat/helper_models.h"

enum { SAMPLES = 50, INPUT = 13 * 11 * 3 };

static char work[] = "/tmp/decant-test-bundle-XXXXXX";
static char path[256], command[1024];
static int8_t inputs[SAMPLES * INPUT];
static struct dc_ctx *ctx;

static int set_up(void **state)
{
    (void)state;
    struct dc_random random;
    const struct dc_ctx_config config = {.threads = 2};
    dc_random_start(&random, 11, DC_PURPOSE_TEST, 0, 0);
    test_fill_codes(inputs, sizeof inputs, &random);
    return !mkdtemp(work) || dc_ctx_create(&ctx, &config, NULL) != DC_OK;
}

static int tear_down(void **state)
{
    (void)state;
    dc_ctx_free(ctx);
    snprintf(command, sizeof command, "rm -rf %s", work);
    return system(command);
}

static const char *in_work(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", work, name);
    return path;
}

static void must(enum dc_status status, const struct dc_error *error)
{
    if (status != DC_OK)
        fail_msg("%s", error->message);
}

static struct dc_imodel *write_bundle(const char *name, const char *profile, uint64_t seed)
{
    struct dc_error error;
    struct dc_vectors *vectors = NULL;
    struct dc_imodel *m = test_every_op_model(dc_profile_find(profile), seed);
    m->alignment = 4 << seed % 3;
    must(dc_vectors_create(&vectors, ctx, m, inputs, 3, &error), &error);
    must(dc_bundle_write(in_work(name), m, vectors, NULL, &error), &error);
    dc_vectors_free(vectors);
    return m;
}

static void assert_layers_equal(const struct dc_ilayer *a, const struct dc_ilayer *b)
{
    assert_string_equal(a->name, b->name);
    assert_true(a->op == b->op && a->height == b->height && a->width == b->width);
    assert_true(a->channels == b->channels && a->scale == b->scale);
    assert_true(a->zero_point == b->zero_point && a->clamp_low == b->clamp_low);
    assert_true(a->clamp_high == b->clamp_high && a->per_channel == b->per_channel);
    assert_true(a->weight_count == b->weight_count && a->rescales == b->rescales);
    assert_memory_equal(a->multipliers, b->multipliers, (size_t)a->rescales * sizeof(int32_t));
    if (a->weight_count) {
        assert_memory_equal(a->weights, b->weights, (size_t)a->weight_count);
        assert_memory_equal(a->biases, b->biases, (size_t)a->channels * sizeof(int32_t));
    }
}

// In the manifest and in the C, for whoever quantizes the input.
static void says_how_inputs_round(const char *profile)
{
    const bool even = strcmp(profile, "onnxruntime") == 0 || strcmp(profile, "pot-half-even") == 0;
    const bool up = strcmp(profile, "pot-half-up") == 0;
    const char *const files[] = {"good/manifest.json", "good/every_op.h"};
    const char *const words[] = {even ? "\"half_even\""
                                 : up ? "\"half_up\""
                                      : "\"half_away\"",
                                 even ? "to the even integer"
                                 : up ? "a half goes up"
                                      : "away from zero"};
    for (int i = 0; i < 2; i++) {
        struct dc_arena *arena = NULL;
        char *text = NULL;
        size_t size;
        assert_int_equal(dc_arena_create(&arena, NULL), DC_OK);
        assert_int_equal(dc_file_read(&text, &size, in_work(files[i]), arena, NULL), DC_OK);
        if (!strstr(text, words[i]))
            fail_msg("%s: %s does not say %s", profile, files[i], words[i]);
        dc_arena_free(arena);
    }
}

static void bundle_reads_back_and_verifies(void **state)
{
    (void)state;
    static const char *const profiles[] = {
        "tflm",           "ruy",           "onnxruntime",      "pot-half-up",
        "pot-half-even",  "pot-half-away", "litert-reference", "litert-xnnpack",
        "litert-builtin", "litert-arm64"};
    for (uint64_t i = 0; i < sizeof profiles / sizeof *profiles; i++) {
        struct dc_error error;
        struct dc_imodel *again = NULL;
        struct dc_imodel *m = write_bundle("good", profiles[i], i);  // replaces the one before
        must(dc_bundle_read(&again, NULL, in_work("good"), &error), &error);
        assert_string_equal(again->name, m->name);
        assert_string_equal(again->provenance, m->provenance);
        assert_ptr_equal(again->profile, m->profile);
        assert_int_equal(again->count, m->count);
        assert_int_equal(again->alignment, m->alignment);
        assert_true(dc_shape_equal(&again->sample, &DC_SHAPE(13, 11, 3)));
        for (int k = 0; k < m->count; k++)
            assert_layers_equal(&again->layers[k], &m->layers[k]);
        says_how_inputs_round(profiles[i]);
        struct dc_verify_report report;
        must(dc_verify_bundle(ctx, in_work("good"), inputs, SAMPLES, NULL, &report, &error),
             &error);
        assert_int_equal(report.samples, SAMPLES);
        assert_int_equal(report.bytes, SAMPLES * 7);
        assert_int_equal(report.different, 0);
        assert_int_equal(report.vectors, 3 + DC_VECTOR_CORNERS);
        assert_non_null(strstr(report.compiler, "-std=c99"));
        dc_imodel_free(again);
        dc_imodel_free(m);
    }
}

static void expect_damage(const char *name, const char *because)
{
    struct dc_error error;
    struct dc_imodel *m = NULL;
    struct dc_vectors *v = NULL;
    assert_int_equal(dc_bundle_read(&m, &v, in_work(name), &error), DC_ERR_DATA);
    assert_null(m);
    assert_null(v);
    if (!strstr(error.message, because))
        fail_msg("'%s' does not say '%s'", error.message, because);
}

// Overwrite the first occurrence of `bytes` in a file of the bundle with its complement.
static void damage(const char *file, const void *bytes, size_t count)
{
    struct dc_arena *arena = NULL;
    char *text = NULL, name[64];
    size_t size = 0;
    snprintf(name, sizeof name, "bad/%s", file);
    assert_int_equal(dc_arena_create(&arena, NULL), DC_OK);
    assert_int_equal(dc_file_read(&text, &size, in_work(name), arena, NULL), DC_OK);
    char *found = memmem(text, size, bytes, count);
    assert_non_null(found);
    *found = (char)(*found ^ 1);
    assert_int_equal(dc_file_write(in_work(name), text, size, NULL), DC_OK);
    dc_arena_free(arena);
}

// A folder whose manifest says no more what is in it is not replaced; the user removes it.
static void remove_bad(void)
{
    struct dc_error error;
    assert_int_equal(dc_bundle_may_write(in_work("bad"), &error), DC_ERR_USAGE);
    assert_non_null(strstr(error.message, "neither a bundle nor empty"));
    snprintf(command, sizeof command, "rm -r %s/bad", work);
    assert_int_equal(system(command), 0);
}

static void damage_is_found_and_named(void **state)
{
    (void)state;
    struct dc_imodel *m = write_bundle("bad", "tflm", 4);
    damage("model.h5", m->layers[2].weights, 16);
    expect_damage("bad", "model.h5: 'layers/02/weights'");
    dc_imodel_free(write_bundle("bad", "tflm", 4));
    damage("model.h5", m->layers[2].shifts, 16);
    expect_damage("bad", "model.h5: 'layers/02/shifts'");
    dc_imodel_free(write_bundle("bad", "tflm", 4));
    damage("every_op.c", "static", 6);
    expect_damage("bad", "every_op.c");
    dc_imodel_free(write_bundle("bad", "tflm", 4));
    damage("manifest.json", "tflm", 4);
    expect_damage("bad", "manifest.json: its hash");
    dc_imodel_free(write_bundle("bad", "tflm", 4));
    damage("manifest.json", "{", 1);
    expect_damage("bad", "manifest.json:1");
    remove_bad();
    dc_imodel_free(write_bundle("bad", "tflm", 4));
    damage("manifest.json", "bundle_version\": 1", 18);
    expect_damage("bad", "no bundle_version");
    remove_bad();
    dc_imodel_free(write_bundle("bad", "tflm", 4));
    assert_int_equal(unlink(in_work("bad/model.h5")), 0);
    dc_imodel_free(write_bundle("bad", "tflm", 4));
    assert_int_equal(unlink(in_work("bad/model.h5")), 0);
    expect_damage("bad", "model.h5");
    dc_imodel_free(m);
}

// Weights of 4 bits lie two a byte in the exported C, whose rows may begin in the middle of one.
static void packed_weights_verify(void **state)
{
    (void)state;
    static const struct dc_ilayer layers[] = {
        {.op = DC_I_CONV2D, .channels = 5, .window = {.kernel = {3, 3}}, .weight_bits = 4},
        {.op = DC_I_CONV2D, .channels = 6, .window = {.kernel = {2, 3}}, .weight_bits = 3},
        {.op = DC_I_DEPTHWISE_CONV2D,
         .channels = 9,
         .window = {.kernel = {3, 3}, .before = {1, 1}},
         .weight_bits = 4},
        {.op = DC_I_FULLY_CONNECTED, .channels = 7, .weight_bits = 4},
        {.op = DC_I_FULLY_CONNECTED, .channels = 3, .weight_bits = 2}};
    struct dc_random random;
    dc_random_start(&random, 41, DC_PURPOSE_TEST, 0, 0);
    for (int i = 0; i < 10; i++) {
        const int width = 5 + i % 2;  // an odd number of inputs, an even one
        struct dc_error error;
        struct dc_vectors *vectors = NULL;
        struct dc_verify_report report;
        struct dc_imodel *m = test_one_layer_model(dc_profile_find("tflm"), 7, width, 3,
                                                   &layers[i / 2], &random);
        struct dc_imodel_cost cost;
        must(dc_imodel_cost(&cost, m, &error), &error);
        assert_int_equal(cost.weight_bytes, (m->layers[1].weight_count + 1) / 2);
        must(dc_vectors_create(&vectors, ctx, m, inputs, 3, &error), &error);
        must(dc_bundle_write(in_work("packed"), m, vectors, NULL, &error), &error);
        must(dc_verify_bundle(ctx, in_work("packed"), inputs, SAMPLES, NULL, &report, &error),
             &error);
        assert_int_equal(report.different, 0);
        dc_vectors_free(vectors);
        dc_imodel_free(m);
    }
}

// The verifier has to fail when one bit of the program's output is wrong.
static void wrong_bytes_are_found(void **state)
{
    (void)state;
    struct dc_error error;
    struct dc_verify_report report;
    dc_imodel_free(write_bundle("wrong", "ruy", 5));
    static const char header[] =
        "#include <stdio.h>\n"
        "#define fwrite(p, s, n, f) (((char *)(p))[3] ^= 1, fwrite(p, s, n, f))\n";
    assert_int_equal(dc_file_write(in_work("wrong.h"), header, sizeof header - 1, NULL), DC_OK);
    snprintf(command, sizeof command, "cc -include %s", path);
    assert_int_equal(
        dc_verify_bundle(ctx, in_work("wrong"), inputs, SAMPLES, command, &report, &error),
        DC_ERR_VERIFY);
    assert_non_null(strstr(error.message, "sample 0, output 3"));
    assert_int_equal(report.different, SAMPLES);
    assert_int_equal(dc_verify_bundle(ctx, in_work("wrong"), inputs, SAMPLES, "no-such-compiler",
                                      &report, &error),
                     DC_ERR_IO);
    assert_non_null(strstr(error.message, "nothing was proven"));
}

// Vectors that the engine does not reproduce, in the bundle and in the C pair.
static void wrong_vectors_are_found(void **state)
{
    (void)state;
    struct dc_error error;
    struct dc_verify_report report;
    struct dc_vectors *vectors = NULL;
    struct dc_imodel *m = test_every_op_model(dc_profile_find("tflm"), 6);
    must(dc_vectors_create(&vectors, ctx, m, inputs, 1, &error), &error);
    vectors->accumulators[2][5]++;
    must(dc_bundle_write(in_work("vectors"), m, vectors, NULL, &error), &error);
    assert_int_equal(
        dc_verify_bundle(ctx, in_work("vectors"), inputs, SAMPLES, NULL, &report, &error),
        DC_ERR_VERIFY);
    assert_non_null(strstr(error.message, "layer 'conv', accumulator 5"));
    vectors->outputs[m->count - 1][2 * 7]++;
    must(dc_c_source_write(work, "pair", m, vectors, &error), &error);
    FILE *f = fopen(in_work("main.c"), "w");
    assert_non_null(f);
    fputs("#include \"pair.h\"\nint main(void) { return pair_selftest(); }\n", f);
    assert_int_equal(fclose(f), 0);
    snprintf(command, sizeof command, "cd %s && cc -o t main.c pair.c && ./t", work);
    assert_int_equal(WEXITSTATUS(system(command)), 3);  // vector 2
    snprintf(command, sizeof command,
             "cd %s && cc -DPAIR_NO_SELFTEST -Werror -std=c99 -pedantic -Wall -Wextra -c pair.c && "
             "! nm pair.o | grep -q selftest",
             work);
    assert_int_equal(system(command), 0);
    dc_vectors_free(vectors);
    dc_imodel_free(m);
}

static void readme_says(const char *words)
{
    struct dc_arena *arena = NULL;
    char *text = NULL;
    assert_int_equal(dc_arena_create(&arena, NULL), DC_OK);
    assert_int_equal(dc_file_read(&text, NULL, in_work("bad/README.md"), arena, NULL), DC_OK);
    if (!strstr(text, words))
        fail_msg("README.md of the bundle does not say '%s'", words);
    dc_arena_free(arena);
}

// Files of other formats where asked for: listed, hashed, and damage to it found.
static void other_formats_lie_in_the_bundle(void **state)
{
    (void)state;
    struct dc_error error;
    struct dc_random random;
    struct dc_vectors *vectors = NULL;
    const struct dc_texts formats = {4, {"bundle", "c", "tflite", "onnx"}};
    struct dc_imodel *again = NULL;
    const struct dc_ilayer conv = {
        .op = DC_I_CONV2D, .channels = 7, .window = {.kernel = {13, 11}}, .per_channel = true};
    dc_random_start(&random, 3, DC_PURPOSE_TEST, 0, 0);
    struct dc_imodel *m = test_one_layer_model(dc_profile_find("tflm"), 13, 11, 3, &conv, &random);
    must(dc_vectors_create(&vectors, ctx, m, inputs, 3, &error), &error);
    must(dc_bundle_write(in_work("bad"), m, vectors, &formats, &error), &error);
    must(dc_bundle_read(&again, NULL, in_work("bad"), &error), &error);
    readme_says("| `one.tflite` | the network as TensorFlow Lite");
    readme_says("| `one.onnx` | the network as ONNX");
    struct dc_verify_report report;
    must(dc_verify_bundle(ctx, in_work("bad"), inputs, SAMPLES, NULL, &report, &error), &error);
    damage("one.tflite", "TFL3", 4);
    expect_damage("bad", "one.tflite: is damaged");
    must(dc_bundle_write(in_work("bad"), m, vectors, &formats, &error), &error);
    damage("one.onnx", "QuantizeLinear", 14);
    expect_damage("bad", "one.onnx: is damaged");
    dc_vectors_free(vectors);
    dc_imodel_free(again);
    dc_imodel_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bundle_reads_back_and_verifies),
        cmocka_unit_test(damage_is_found_and_named),
        cmocka_unit_test(packed_weights_verify),
        cmocka_unit_test(wrong_bytes_are_found),
        cmocka_unit_test(wrong_vectors_are_found),
        cmocka_unit_test(other_formats_lie_in_the_bundle),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
