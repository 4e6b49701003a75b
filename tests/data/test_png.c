// PNG files in folders: every colour type and depth, order of classes and files, sizes, damage.

#define _XOPEN_SOURCE 700
#include "data/open.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

#include "core/file.h"
#include "tests/core/helper_folder.h"
#include "tests/data/helper_png.h"
#include "tests/data/helper_sources.h"

enum { HEIGHT = 11, WIDTH = 13, PIXELS = HEIGHT * WIDTH };

static struct dc_error error;

// The training split of a folder; the path stays, which test_path's does not.
static struct dc_source_spec spec_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s", test_path(name));
    return (struct dc_source_spec){.path = path, .split = "train"};
}

static struct dc_source *open_ok(const struct dc_source_spec *spec)
{
    struct dc_source *source = NULL;
    if (dc_source_open(&source, spec, &error) != DC_OK)
        fail_msg("%s", error.message);
    return source;
}

static void check_refused(const struct dc_source_spec *spec, const char *words)
{
    struct dc_source *source = NULL;
    assert_int_equal(dc_source_open(&source, spec, &error), DC_ERR_DATA);
    assert_null(source);
    if (!strstr(error.message, words))
        fail_msg("nothing about '%s': %s", words, error.message);
}

static void make_folder(const char *name)
{
    assert_int_equal(dc_make_directory(test_path(name), &error), DC_OK);
}

// A grey 8-bit file, every pixel `value`.
static void write_flat(const char *path, int height, int width, int value)
{
    uint16_t samples[400];
    for (int i = 0; i < height * width; i++)
        samples[i] = (uint16_t)value;
    test_write_png(path, &(struct test_png){width, height, 8, 0, false, samples, NULL, 0});
}

// What a sample of `depth` bits is in 8: spread over 0..255; 16 bits to the nearest of 257 v.
static int to_eight(int value, int depth)
{
    const int highest = (1 << depth) - 1;
    return (value * 255 + highest / 2) / highest;
}

static void every_kind_of_png_is_read(void **state)
{
    (void)state;
    static const struct {
        int depth, colour, samples, channels;
    } cases[] = {{1, 0, 1, 1}, {2, 0, 1, 1},  {4, 0, 1, 1},  {8, 0, 1, 1}, {16, 0, 1, 1},
                 {8, 2, 3, 3}, {16, 2, 3, 3}, {1, 3, 1, 3},  {2, 3, 1, 3}, {4, 3, 1, 3},
                 {8, 3, 1, 3}, {8, 4, 2, 1},  {16, 4, 2, 1}, {8, 6, 4, 3}, {16, 6, 4, 3}};
    static uint16_t samples[PIXELS * 4];
    static uint8_t palette[256 * 3], pixels[PIXELS * 3];
    for (int i = 0; i < 256 * 3; i++)
        palette[i] = (uint8_t)test_pixel(5000 + i);
    make_folder("kinds/only");
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        const int n = cases[k].samples, channels = cases[k].channels, depth = cases[k].depth;
        const int entries = cases[k].colour == 3 ? 1 << depth : 0;
        for (int i = 0; i < PIXELS * n; i++)
            samples[i] = (uint16_t)((test_pixel(i) << 8 | test_pixel(i + 999)) >> (16 - depth));
        for (int interlaced = 0; interlaced < 2; interlaced++) {
            test_write_png(test_path("kinds/only/x.png"),
                           &(struct test_png){WIDTH, HEIGHT, depth, cases[k].colour, interlaced,
                                              samples, palette, entries});
            struct dc_source *source = open_ok(
                &(struct dc_source_spec){.path = test_path("kinds"), .split = "train"});
            assert_true(dc_shape_equal(&source->sample, &DC_SHAPE(HEIGHT, WIDTH, channels)));
            assert_int_equal(dc_source_read(source, 0, pixels, &error), DC_OK);
            for (int i = 0; i < PIXELS * channels; i++) {
                const int p = i / channels, c = i % channels;
                const int expected = entries ? palette[3 * samples[p] + c]
                                             : to_eight(samples[p * n + c], depth);
                if (pixels[i] != expected)
                    fail_msg("depth %d, colour %d, interlaced %d, value %d: %d, not %d", depth,
                             cases[k].colour, interlaced, i, pixels[i], expected);
            }
            dc_source_free(source);
        }
    }
}

static void classes_and_files_are_in_order(void **state)
{
    (void)state;
    make_folder("order/b");
    make_folder("order/a c");
    make_folder("order/Z");
    make_folder("order/.hidden");
    write_flat(test_path("order/b/2.png"), 2, 2, 4);
    write_flat(test_path("order/b/10.PNG"), 2, 2, 3);
    write_flat(test_path("order/a c/x.png"), 2, 2, 2);
    write_flat(test_path("order/Z/x.png"), 2, 2, 1);
    write_flat(test_path("order/Z/.thumb"), 2, 2, 9);
    struct dc_source *source = open_ok(
        &(struct dc_source_spec){.path = test_path("order"), .split = "train"});
    assert_string_equal(source->ops->kind, "photos");
    assert_int_equal(source->count, 4);
    assert_int_equal(source->classes, 3);
    assert_string_equal(source->class_names[0], "Z");
    assert_string_equal(source->class_names[1], "a c");
    assert_string_equal(source->class_names[2], "b");
    for (int i = 0; i < 4; i++) {
        uint8_t pixels[4];
        assert_int_equal(dc_source_read(source, i, pixels, &error), DC_OK);
        assert_int_equal(pixels[0], i + 1);
        assert_int_equal(source->labels[i], i < 2 ? i : 2);
    }
    dc_source_free(source);
    check_refused(&(struct dc_source_spec){.path = test_path("order"), .split = "test"},
                  "has no split 'test'");
}

static void sizes_and_channels_are_made_equal(void **state)
{
    (void)state;
    const uint16_t ramp[4] = {0, 100, 200, 40};  // 2 x 2
    const uint16_t colours[6] = {255, 0, 0, 0, 200, 100};
    uint8_t pixels[48];
    make_folder("sizes/a");
    test_write_png(test_path("sizes/a/1.png"),
                   &(struct test_png){2, 2, 8, 0, false, ramp, NULL, 0});
    write_flat(test_path("sizes/a/2.png"), 3, 5, 77);
    struct dc_source_spec spec = spec_of("sizes");
    check_refused(&spec, "2.png: 3x5 pixels, but the first file has 2x2");
    assert_non_null(strstr(error.message, "resize"));
    spec.resize = (struct dc_resize){.height = 4, .width = 4};
    struct dc_source *source = open_ok(&spec);
    assert_true(dc_shape_equal(&source->sample, &DC_SHAPE(4, 4, 1)));
    assert_int_equal(dc_source_read(source, 0, pixels, &error), DC_OK);
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 4; x++) {
            // centres at -1/4, clamped to 0; 1/4; 3/4; 5/4, clamped to 1
            static const double at[4] = {0.0, 0.25, 0.75, 1.0};
            const double v = ramp[0] * (1 - at[y]) * (1 - at[x]) + ramp[1] * (1 - at[y]) * at[x] +
                             ramp[2] * at[y] * (1 - at[x]) + ramp[3] * at[y] * at[x];
            assert_true(pixels[4 * y + x] >= v - 1.0 && pixels[4 * y + x] <= v + 1.0);
        }
    assert_int_equal(dc_source_read(source, 1, pixels, &error), DC_OK);
    for (int i = 0; i < 16; i++)
        assert_int_equal(pixels[i], 77);
    dc_source_free(source);
    make_folder("mixed/a");
    test_write_png(test_path("mixed/a/1.png"),
                   &(struct test_png){2, 1, 8, 2, false, colours, NULL, 0});
    write_flat(test_path("mixed/a/2.png"), 1, 2, 77);
    spec = spec_of("mixed");
    check_refused(&spec, "2.png: 1 channels, but the first file has 3");
    spec.channels = 1;
    source = open_ok(&spec);
    assert_int_equal(dc_source_read(source, 0, pixels, &error), DC_OK);
    assert_int_equal(pixels[0], 76);   // 0.299 * 255 = 76.2
    assert_int_equal(pixels[1], 129);  // 0.587 * 200 + 0.114 * 100 = 128.8
    dc_source_free(source);
    spec.channels = 3;
    source = open_ok(&spec);
    assert_int_equal(dc_source_read(source, 1, pixels, &error), DC_OK);
    for (int i = 0; i < 6; i++)
        assert_int_equal(pixels[i], 77);
    dc_source_free(source);
    spec.channels = 2;
    assert_int_equal(dc_source_open(&source, &spec, &error), DC_ERR_CONFIG);
    spec.channels = 0;
    spec.resize.height = 4;
    spec.resize.width = 0;
    assert_int_equal(dc_source_open(&source, &spec, &error), DC_ERR_CONFIG);
}

// Cut anywhere, or one byte changed in the pixels: refused, with the file's name.
static void damaged_files_are_named(void **state)
{
    (void)state;
    static uint16_t samples[PIXELS * 3];
    struct dc_arena *arena = NULL;
    char *bytes = NULL;
    size_t size = 0;
    for (int i = 0; i < PIXELS * 3; i++)
        samples[i] = (uint16_t)test_pixel(i);
    make_folder("broken/a");
    test_write_png(test_path("broken/a/bad.png"),
                   &(struct test_png){WIDTH, HEIGHT, 8, 2, false, samples, NULL, 0});
    const struct dc_source_spec spec = spec_of("broken");
    dc_source_free(open_ok(&spec));
    assert_int_equal(dc_arena_create(&arena, &error), DC_OK);
    assert_int_equal(dc_file_read(&bytes, &size, test_path("broken/a/bad.png"), arena, &error),
                     DC_OK);
    for (size_t cut = 0; cut < size; cut += cut < 60 ? 1 : 37) {
        test_write(test_path("broken/a/bad.png"), bytes, cut);
        check_refused(&spec, "broken/a/bad.png: ");
        if (cut >= 8)
            assert_non_null(strstr(error.message, "truncated"));
    }
    bytes[size / 2] ^= 1;
    test_write(test_path("broken/a/bad.png"), bytes, size);
    check_refused(&spec, "broken/a/bad.png: near byte");
    test_write(test_path("broken/a/bad.png"), "GIF89a and more", 15);
    check_refused(&spec, "bad.png: neither JPEG, PNG nor BMP");
    dc_arena_free(arena);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_png_is_read),
        cmocka_unit_test(classes_and_files_are_in_order),
        cmocka_unit_test(sizes_and_channels_are_made_equal),
        cmocka_unit_test(damaged_files_are_named),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
