// What ships in front of the network: exported C, compiled, against evaluation's own resizing and
// normalization; and the manifest that tells of them.

#define _XOPEN_SOURCE 700
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/context.h"
#include "data/image.h"
#include "data/view.h"
#include "export/bundle.h"
#include "export/bundle_format.h"
#include "export/c_source.h"
#include "tests/core/helper_folder.h"
#include "tests/data/helper_sources.h"
#include "tests/qat/helper_models.h"

enum { HEIGHT = 13, WIDTH = 11, PHOTOS = 112, SIDE = 90 };

static struct dc_error error;
static struct dc_ctx *ctx;

static void must(enum dc_status status)
{
    if (status != DC_OK)
        fail_msg("%s", error.message);
}

static struct dc_imodel *model_of(const char *profile, int channels,
                                  const struct dc_preprocessing *p)
{
    struct dc_random random;
    const struct dc_ilayer conv = {.op = DC_I_CONV2D,
                                   .channels = 4,
                                   .window = {.kernel = {HEIGHT, WIDTH}},
                                   .per_channel = true};
    dc_random_start(&random, 5, DC_PURPOSE_TEST, 0, (uint64_t)channels);
    struct dc_imodel *m = test_one_layer_model(dc_profile_find(profile), HEIGHT, WIDTH, channels,
                                               &conv, &random);
    must(dc_imodel_set_preprocessing(m, p, &error));
    return m;
}

static struct dc_vectors *vectors_of(const struct dc_imodel *m)
{
    static int8_t inputs[HEIGHT * WIDTH * 3];
    struct dc_vectors *vectors = NULL;
    must(dc_vectors_create(&vectors, ctx, m, inputs, 1, &error));
    return vectors;
}

static const char *const names[] = {"cat", "d\"o\\g\?\?/", "B\303\244r", ""};

static struct dc_preprocessing plain(int channels)
{
    struct dc_preprocessing p = {
        .bytes = true, .normalization = {.channels = channels}, .classes = 4, .class_names = names};
    for (int c = 0; c < channels; c++) {
        p.normalization.mean[c] = 0.4f + 0.05f * (float)c;
        p.normalization.deviation[c] = 0.2f + 0.03f * (float)c;
    }
    return p;
}

// Compiles one.c with a main and runs it on in.bin into out.bin, warnings as errors.
static void run_c(const char *main_text)
{
    char command[4096];
    test_write(test_path("main.c"), main_text, strlen(main_text));
    const char *folder = test_path("");
    snprintf(
        command, sizeof command,
        "cd %s && cc -std=c99 -pedantic -Wall -Wextra -Werror -Wconversion -Wno-sign-conversion "
        "-O1 one.c main.c -o program && ./program <in.bin >out.bin",
        folder);
    assert_int_equal(system(command), 0);
}

// Images until the input ends: height, width, pixels; writes the network's pixels, and 1 where the
// scratch was written beyond its end.
static const char resize_main[] =
    "#include <stdio.h>\n"
    "#include \"one.h\"\n"
    "static uint8_t image[90 * 90 * 3], pixels[ONE_INPUT_SIZE + 1];\n"
    "static int32_t scratch[ONE_RESIZE_SCRATCH(90) + 1];\n"
    "int main(void)\n"
    "{\n"
    "    int size[2];\n"
    "    while (fread(size, sizeof size, 1, stdin) == 1) {\n"
    "        int n = ONE_RESIZE_SCRATCH(size[1]);\n"
    "        scratch[n] = 12345;\n"
    "        if (fread(image, ONE_INPUT_CHANNELS, (size_t)(size[0] * size[1]), stdin) == 0 ||\n"
    "            one_resize(pixels, image, size[0], size[1], scratch) != 0)\n"
    "            return 1;\n"
    "        pixels[ONE_INPUT_SIZE] = scratch[n] != 12345;\n"
    "        fwrite(pixels, 1, sizeof pixels, stdout);\n"
    "    }\n"
    "    return one_resize(pixels, image, 0, 5, scratch) != 1 ||\n"
    "           one_resize(pixels, image, 5, 65536, scratch) != 1;\n"
    "}\n";

static void resize_in_c_is_evaluations(void **state)
{
    (void)state;
    static uint8_t image[SIDE * SIDE * 3];
    int combination = 0, equal = 0;
    for (int method = 0; method < DC_RESIZE_METHODS; method++)
        for (int fit = 0; fit < DC_RESIZE_FITS; fit++, combination++) {
            const int channels = combination % 2 ? 1 : 3, size = HEIGHT * WIDTH * channels;
            struct dc_preprocessing p = plain(channels);
            p.resize = (struct dc_resize){HEIGHT, WIDTH, method, fit};
            struct dc_imodel *m = model_of("tflm", channels, &p);
            struct dc_vectors *vectors = vectors_of(m);
            must(dc_c_source_write(test_path(""), "one", m, vectors, &error));
            dc_vectors_free(vectors);
            dc_imodel_free(m);
            FILE *in = fopen(test_path("in.bin"), "wb"), *out;
            uint8_t *expected = calloc(PHOTOS, (size_t)size), *given = calloc((size_t)size + 1, 1);
            for (int i = 0; i < PHOTOS; i++) {
                struct dc_arena *arena = NULL;
                const int place = combination * PHOTOS + i;  // sizes 1 to 90, some extreme
                const int sides[2] = {i % 16 == 3 ? 1 : 1 + test_pixel(2 * place) * 89 / 255,
                                      i % 16 == 5 ? 1 : 1 + test_pixel(2 * place + 1) * 89 / 255};
                for (int k = 0; k < sides[0] * sides[1] * channels; k++)
                    image[k] = (uint8_t)(i % 8 ? test_pixel(place * 31 + k) : 255);
                fwrite(sides, sizeof sides, 1, in);
                fwrite(image, (size_t)channels, (size_t)(sides[0] * sides[1]), in);
                must(dc_arena_create(&arena, &error));
                struct dc__image photo = {sides[0], sides[1], channels, image};
                must(dc__image_resize(&photo, &p.resize, "photo", 0, arena, &error));
                memcpy(expected + (size_t)i * (size_t)size, photo.pixels, (size_t)size);
                dc_arena_free(arena);
            }
            assert_int_equal(fclose(in), 0);
            run_c(resize_main);
            out = fopen(test_path("out.bin"), "rb");
            for (int i = 0; i < PHOTOS; i++) {
                assert_int_equal(fread(given, (size_t)size + 1, 1, out), 1);
                assert_int_equal(given[size], 0);
                assert_memory_equal(given, expected + (size_t)i * (size_t)size, (size_t)size);
                equal++;
            }
            fclose(out);
            free(expected);
            free(given);
        }
    assert_int_equal(equal, 9 * PHOTOS);
    assert_true(equal >= 1000);
}

// Pixels in, codes out, then the class names and the constants.
static const char codes_main[] = "#include <stdio.h>\n"
                                 "#include \"one.h\"\n"
                                 "static uint8_t pixels[ONE_INPUT_SIZE];\n"
                                 "static int8_t codes[ONE_INPUT_SIZE];\n"
                                 "int main(void)\n"
                                 "{\n"
                                 "    static const float mean[] = ONE_MEAN, std[] = ONE_STD;\n"
                                 "    int i;\n"
                                 "    while (fread(pixels, sizeof pixels, 1, stdin) == 1) {\n"
                                 "        one_quantize_input(codes, pixels);\n"
                                 "        fwrite(codes, sizeof codes, 1, stdout);\n"
                                 "    }\n"
                                 "    fwrite(mean, sizeof mean, 1, stdout);\n"
                                 "    fwrite(std, sizeof std, 1, stdout);\n"
                                 "    for (i = 0; i < ONE_CLASSES; i++)\n"
                                 "        printf(\"%s\\n\", one_class_names[i]);\n"
                                 "    return 0;\n"
                                 "}\n";

// Every byte in every channel, through what evaluation does: a view, then the input's codes.
static void check_codes(const char *profile, int channels, int normalized)
{
    enum { PER_IMAGE = HEIGHT * WIDTH, IMAGES = 256 / PER_IMAGE + 1 };
    static uint8_t pixels[IMAGES][PER_IMAGE * 3];
    static float x[PER_IMAGE * 3], y[PER_IMAGE * 3];
    static int8_t expected[PER_IMAGE * 3], given[PER_IMAGE * 3];
    const struct dc_preprocessing p = plain(normalized);
    const int size = PER_IMAGE * channels;
    struct dc_imodel *m = model_of(profile, channels, &p);
    struct dc_vectors *vectors = vectors_of(m);
    must(dc_c_source_write(test_path(""), "one", m, vectors, &error));
    dc_vectors_free(vectors);
    FILE *file = fopen(test_path("in.bin"), "wb");
    for (int i = 0; i < IMAGES; i++) {
        for (int k = 0; k < size; k++)
            pixels[i][k] = (uint8_t)(i * PER_IMAGE + k / channels);
        fwrite(pixels[i], (size_t)size, 1, file);
    }
    assert_int_equal(fclose(file), 0);
    run_c(codes_main);
    file = fopen(test_path("out.bin"), "rb");
    struct dc_source *source = test_source(1, DC_SHAPE(HEIGHT, WIDTH, channels), DC_U8, 0,
                                           pixels[0], NULL, -1);
    struct dc_arena *arena = NULL;
    struct dc_view_maker maker;
    const struct dc_view view = {p.normalization, DC_SHAPE(HEIGHT, WIDTH, channels)};
    must(dc_arena_create(&arena, &error));
    must(dc_view_maker_create(&maker, &view, source, arena, &error));
    for (int i = 0; i < IMAGES; i++) {
        dc_values_to_float(x, pixels[i], DC_U8, size);
        dc_view_make(y, x, &maker);
        must(dc_imodel_quantize_input(expected, m, y, size, &error));
        assert_int_equal(fread(given, (size_t)size, 1, file), 1);
        for (int k = 0; k < size; k++)
            if (given[k] != expected[k])
                fail_msg("%s, %d channels: byte %d is %d, not %d", profile, channels, pixels[i][k],
                         given[k], expected[k]);
    }
    float constants[DC_NORMALIZATION_CHANNELS];
    char text[256] = "";
    assert_int_equal(fread(constants, sizeof(float), (size_t)normalized, file), normalized);
    assert_memory_equal(constants, p.normalization.mean, (size_t)normalized * sizeof(float));
    assert_int_equal(fread(constants, sizeof(float), (size_t)normalized, file), normalized);
    assert_memory_equal(constants, p.normalization.deviation, (size_t)normalized * sizeof(float));
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    assert_string_equal(text, "cat\nd\"o\\g\?\?/\nB\303\244r\n\n");
    fclose(file);
    dc_source_free(source);
    dc_arena_free(arena);
    dc_imodel_free(m);
}

static void codes_of_bytes_are_evaluations(void **state)
{
    (void)state;
    static const char *const profiles[] = {"tflm", "onnxruntime", "pot-half-up", "litert-xnnpack"};
    for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++) {
        check_codes(profiles[i], 3, 3);
        check_codes(profiles[i], i % 2 ? 1 : 3, 1);
    }
}

// The same without a compiler, for means and deviations enough that each rounding counts.
static void tables_follow_every_rounding(void **state)
{
    (void)state;
    enum { NORMALIZATIONS = 2000 };
    static uint8_t bytes[256];
    static float x[256], y[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    struct dc_preprocessing p = plain(1);
    struct dc_imodel *m = model_of("tflm", 1, &p);
    struct dc_source *source = test_source(1, DC_SHAPE(16, 16, 1), DC_U8, 0, bytes, NULL, -1);
    for (int n = 0; n < NORMALIZATIONS; n++) {
        struct dc_arena *arena = NULL;
        struct dc_view_maker maker;
        int8_t expected[256], given[DC_BYTE_CODES];
        p.normalization.mean[0] = (float)(n % 40) / 39.0f;
        p.normalization.deviation[0] = 0.02f + (float)(n / 40) / 64.0f;
        must(dc_imodel_set_preprocessing(m, &p, &error));
        must(dc_arena_create(&arena, &error));
        must(dc_view_maker_create(&maker, &(struct dc_view){p.normalization, source->sample},
                                  source, arena, &error));
        dc_values_to_float(x, bytes, DC_U8, 256);
        dc_view_make(y, x, &maker);
        must(dc_imodel_quantize_input(expected, m, y, 256, &error));
        must(dc_imodel_byte_codes(given, m, 0, &error));
        assert_memory_equal(given, expected, 256);
        dc_arena_free(arena);
    }
    dc_source_free(source);
    dc_imodel_free(m);
}

static void bundles_keep_it(void **state)
{
    (void)state;
    struct dc_preprocessing p = plain(3);
    p.resize = (struct dc_resize){HEIGHT, WIDTH, DC_RESIZE_AREA, DC_FIT_PAD};
    struct dc_imodel *m = model_of("tflm", 3, &p), *again = NULL;
    struct dc_vectors *vectors = vectors_of(m);
    must(dc_bundle_write(test_path("bundle"), m, vectors, NULL, &error));
    must(dc_bundle_read(&again, NULL, test_path("bundle"), &error));
    const struct dc_preprocessing *q = &again->preprocessing;
    assert_true(q->bytes && q->classes == 4 && q->normalization.channels == 3);
    assert_true(dc_resize_equal(&q->resize, &p.resize));
    for (int i = 0; i < 4; i++)
        assert_string_equal(q->class_names[i], names[i]);
    for (int c = 0; c < 3; c++) {
        assert_true(q->normalization.mean[c] == p.normalization.mean[c]);
        assert_true(q->normalization.deviation[c] == p.normalization.deviation[c]);
    }
    dc_imodel_free(again);
    // Without it, neither manifest nor header speaks of it, as before.
    m->preprocessing = (struct dc_preprocessing){0};
    must(dc_bundle_write(test_path("bundle"), m, vectors, NULL, &error));
    json_t *manifest = json_load_file(test_path("bundle/manifest.json"), 0, NULL);
    assert_non_null(manifest);
    assert_null(json_object_get(manifest, "preprocessing"));
    json_decref(manifest);
    must(dc_bundle_read(&again, NULL, test_path("bundle"), &error));
    assert_false(again->preprocessing.bytes);
    dc_imodel_free(again);
    dc_vectors_free(vectors);
    dc_imodel_free(m);
}

// The manifest with a value replaced by what cannot be, and signed anew.
static void impossible_preprocessing_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key, *inner, *value, *words;
    } cases[] = {
        {"mean", NULL, "[]", "without mean and std"},
        {"std", NULL, "[{\"bits\": \"0x3f000000\"}]", "without mean and std"},
        {"mean", NULL, "[{}, {}, {}]", "that is no number"},
        {"classes", NULL, "[\"a\", \"b\", \"c\", \"d\", \"e\"]", "too many classes"},
        {"classes", NULL, "[\"a\"]", "other class names than outputs"},
        {"classes", NULL, "[1, 2, 3, 4]", "a class name that is no text"},
        {"resize", "height", "12", "to another size than the input's"},
        {"resize", "method", "\"cubic\"", "unknown method or fit"},
        {"resize", "fit", "1", "unknown method or fit"},
    };
    struct dc_preprocessing p = plain(3);
    p.resize = (struct dc_resize){HEIGHT, WIDTH, DC_RESIZE_AREA, DC_FIT_PAD};
    struct dc_imodel *m = model_of("tflm", 3, &p), *again = NULL;
    struct dc_vectors *vectors = vectors_of(m);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char crc[16];
        bool ok = false;
        must(dc_bundle_write(test_path("bad"), m, vectors, NULL, &error));
        json_t *manifest = json_load_file(test_path("bad/manifest.json"), 0, NULL);
        json_t *to = json_object_get(manifest, "preprocessing");
        json_t *value = json_loads(cases[i].value, JSON_DECODE_ANY, NULL);
        assert_non_null(value);
        assert_int_equal(cases[i].inner ? json_object_set_new(json_object_get(to, cases[i].key),
                                                              cases[i].inner, value)
                                        : json_object_set_new(to, cases[i].key, value),
                         0);
        snprintf(crc, sizeof crc, "%08x", dc__manifest_crc32(manifest, &ok));
        json_object_set_new(manifest, "crc32", json_string(crc));
        assert_int_equal(json_dump_file(manifest, test_path("bad/manifest.json"), 0), 0);
        json_decref(manifest);
        assert_int_equal(dc_bundle_read(&again, NULL, test_path("bad"), &error), DC_ERR_DATA);
        if (!strstr(error.message, cases[i].words) || !strstr(error.message, "manifest.json"))
            fail_msg("nothing about '%s': %s", cases[i].words, error.message);
    }
    dc_vectors_free(vectors);
    dc_imodel_free(m);
}

static int set_up(void **state)
{
    (void)state;
    const struct dc_ctx_config config = {.threads = 1};
    test_folder();
    return dc_ctx_create(&ctx, &config, &error);
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
        cmocka_unit_test(resize_in_c_is_evaluations),
        cmocka_unit_test(codes_of_bytes_are_evaluations),
        cmocka_unit_test(tables_follow_every_rounding),
        cmocka_unit_test(bundles_keep_it),
        cmocka_unit_test(impossible_preprocessing_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
