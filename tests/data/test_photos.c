// Photographs: every kind of file against what Pillow reads (tests/golden/photos), resizing against
// what Pillow makes, damage, limits.

#define _XOPEN_SOURCE 700
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
#include "data/image.h"
#include "tests/core/helper_folder.h"
#include "tests/data/helper_sources.h"

static struct dc_error error;
static struct dc_arena *arena;

static const char *golden(const char *name)
{
    static char paths[4][512];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/tests/golden/photos/%s", DECANT_SOURCE_DIR, name);
    return path;
}

static struct dc__image read_photo(const char *path)
{
    struct dc__image image = {0};
    if (dc__photo_read(&image, path, 0, arena, &error) != DC_OK)
        fail_msg("%s", error.message);
    return image;
}

// A binary PGM or PPM, read by its own few rules.
static struct dc__image read_pnm(const char *path)
{
    struct dc__image image = {0};
    char kind = 0;
    int start = 0;
    char *text = NULL;
    size_t size = 0;
    assert_int_equal(dc_file_read(&text, &size, path, arena, &error), DC_OK);
    assert_int_equal(sscanf(text, "P%c %d %d 255%n", &kind, &image.width, &image.height, &start),
                     3);
    image.channels = kind == '6' ? 3 : 1;
    image.pixels = (uint8_t *)text + start + 1;
    assert_int_equal(size - (size_t)start - 1, image.width * image.height * image.channels);
    return image;
}

static void check_equal(const struct dc__image *image, const struct dc__image *expected,
                        const char *name)
{
    if (image->height != expected->height || image->width != expected->width ||
        image->channels != expected->channels)
        fail_msg("%s: %dx%dx%d, not %dx%dx%d", name, image->height, image->width, image->channels,
                 expected->height, expected->width, expected->channels);
    const int values = image->height * image->width * image->channels;
    for (int i = 0; i < values; i++)
        if (image->pixels[i] != expected->pixels[i])
            fail_msg("%s: value %d is %d, not %d", name, i, image->pixels[i], expected->pixels[i]);
}

static void photographs_are_what_pillow_reads(void **state)
{
    (void)state;
    static const char *const names[] = {
        "baseline-420.jpg",  "baseline-422.jpg",  "baseline-444.jpg",
        "progressive.jpg",   "grey.jpg",          "grey-progressive.jpg",
        "profile.jpg",       "optimized.jpeg",    "orientation-1.jpg",
        "orientation-2.jpg", "orientation-3.jpg", "orientation-4.jpg",
        "orientation-5.jpg", "orientation-6.jpg", "orientation-7.jpg",
        "orientation-8.jpg", "orientation-6.png", "alpha.png",
        "palette.png",       "colour.bmp",        "alpha.bmp",
        "grey.bmp",          "palette.bmp",       "bits.bmp",
        "scene.png",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char expected[128];
        snprintf(expected, sizeof expected, "%s.pnm", names[i]);
        const struct dc__image image = read_photo(golden(names[i])),
                               pillows = read_pnm(golden(expected));
        check_equal(&image, &pillows, names[i]);
    }
}

static void check_refused(const char *path, int64_t limit, const char *words)
{
    struct dc__image image = {0};
    assert_int_equal(dc__photo_read(&image, path, limit, arena, &error), DC_ERR_DATA);
    if (!strstr(error.message, words) || !strstr(error.message, strrchr(path, '/') + 1))
        fail_msg("nothing about '%s': %s", words, error.message);
}

static void kinds_that_are_not_read_are_named(void **state)
{
    (void)state;
    check_refused(golden("refused-cmyk.jpg"), 0, "CMYK colours, for printing, are not read");
    check_refused(golden("refused-12-bits.jpg"), 0, "12 bits a sample; only 8 are read");
    check_refused(golden("refused-arithmetic.jpg"), 0, "arithmetic coding is not read");
    check_refused(golden("refused-huge.jpg"), 0,
                  "65500x65500 pixels (width x height) cannot be in");
    check_refused(golden("baseline-420.jpg.pnm"), 0, "neither JPEG, PNG nor BMP");
    test_write(test_path("x.jpg"), "GIF89a", 6);
    check_refused(test_path("x.jpg"), 0, "neither JPEG, PNG nor BMP");
    test_write(test_path("x.jpg"), "", 0);
    check_refused(test_path("x.jpg"), 0, "neither JPEG, PNG nor BMP");
}

// 33 x 21 pixels of 3 bytes are 2079; the coefficients of several scans twice that again.
static void headers_are_held_against_the_limit(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t bytes;
    } cases[] = {{"baseline-420.jpg", 2079}, {"progressive.jpg", 6237}, {"grey.jpg", 693},
                 {"colour.bmp", 2079},       {"palette.bmp", 2079},     {"palette.png", 2079},
                 {"orientation-6.jpg", 4158}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dc__image image;
        check_refused(golden(cases[i].name), cases[i].bytes - 1, "that limits.memory allows");
        assert_int_equal(
            dc__photo_read(&image, golden(cases[i].name), cases[i].bytes, arena, &error), DC_OK);
    }
}

// The same header in a file of 13 MB, which 101 million blocks of a bit each need: refused by the
// limit, before anything is unpacked; with a byte less, because such a file cannot hold them.
// Chroma of 4:2:0 has a quarter of the blocks.
static void a_plausible_giant_is_refused_by_its_header(void **state)
{
    (void)state;
    char *bytes = NULL;
    size_t size = 0;
    const int64_t side = (65500 + 7) / 8, chroma = (65500 / 2 + 7) / 8;
    const size_t least = (size_t)((side * side + 2 * chroma * chroma) / 8);
    assert_int_equal(dc_file_read(&bytes, &size, golden("refused-huge.jpg"), arena, &error), DC_OK);
    char *padded = calloc(least, 1);
    memcpy(padded, bytes, size);
    test_write(test_path("giant.jpg"), padded, least);
    check_refused(
        test_path("giant.jpg"), 1 << 30,
        "its header declares 12870750000 bytes, more than the 1073741824 that limits.memory");
    test_write(test_path("giant.jpg"), padded, least - 1);
    check_refused(test_path("giant.jpg"), 1 << 30, "65500x65500 pixels (width x height) cannot be");
    free(padded);
}

static void files_that_are_cut_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"baseline-420.jpg", "progressive.jpg", "grey.bmp",
                                        "palette.png"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *bytes = NULL;
        size_t size = 0;
        assert_int_equal(dc_file_read(&bytes, &size, golden(names[i]), arena, &error), DC_OK);
        for (size_t cut = 0; cut < size; cut += cut < 40 ? 1 : 7) {
            test_write(test_path(names[i]), bytes, cut);
            check_refused(test_path(names[i]), 0, cut > 1100 ? "truncated" : "");
        }
        test_write(test_path(names[i]), bytes, size - 1);  // of JPEG, half of the end marker
        check_refused(test_path(names[i]), 0, "truncated");
    }
}

static void rare_bitmaps_are_read_or_named(void **state)
{
    (void)state;
    uint8_t *bytes = NULL;
    size_t size = 0;
    assert_int_equal(dc_file_read((char **)&bytes, &size, golden("colour.bmp"), arena, &error),
                     DC_OK);
    const struct dc__image upright = read_photo(golden("colour.bmp"));
    bytes[22] = (uint8_t)-21;  // top down
    memset(bytes + 23, 255, 3);
    test_write(test_path("x.bmp"), bytes, size);
    const struct dc__image turned = read_photo(test_path("x.bmp"));
    for (int y = 0; y < 21; y++)
        assert_memory_equal(turned.pixels + y * 99, upright.pixels + (20 - y) * 99, 99);
    static const struct {
        int place, value;
        const char *words;
    } cases[] = {{30, 1, "run-length coding (RLE) is not read"},
                 {30, 3, "this compression, or order of colours, is not read"},
                 {28, 16, "16 bits a pixel; 1, 4, 8, 24 and 32 are read"},
                 {14, 12, "the header of OS/2 is not read"},
                 {10, 255, "the file is truncated"},
                 {18, 0, "width and height must be 1 to 65535"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint8_t kept = bytes[cases[i].place];
        bytes[cases[i].place] = (uint8_t)cases[i].value;
        test_write(test_path("x.bmp"), bytes, size);
        check_refused(test_path("x.bmp"), 0, cases[i].words);
        bytes[cases[i].place] = kept;
    }
    // 3 x 2 pixels of 4 bits: codes 0 1 2 below 2 1 0, of a palette of three
    static const uint8_t four[14 + 40 + 12 + 8] = {
        'B', 'M', 74, 0, 0, 0, 0, 0, 0, 0, 66, 0, 0, 0, 40, 0, 0, 0,  3, 0, 0,  0, 2, 0, 0,
        0,   1,   0,  4, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0,  0, 0, 0,  3, 0, 0, 0,
        0,   0,   0,  0, 1, 2, 3, 0, 4, 5, 6,  0, 7, 8, 9,  0, 1, 32, 0, 0, 33, 0, 0, 0};
    static const uint8_t colours[18] = {9, 8, 7, 6, 5, 4, 3, 2, 1, 3, 2, 1, 6, 5, 4, 9, 8, 7};
    uint8_t copy[sizeof four];
    memcpy(copy, four, sizeof copy);
    copy[66] = 0x01, copy[67] = 0x20;  // the lower row
    copy[70] = 0x21, copy[71] = 0x00;
    test_write(test_path("x.bmp"), copy, sizeof copy);
    const struct dc__image small = read_photo(test_path("x.bmp"));
    assert_int_equal(small.channels, 3);
    assert_memory_equal(small.pixels, colours, sizeof colours);
    copy[66] = 0x03;
    test_write(test_path("x.bmp"), copy, sizeof copy);
    check_refused(test_path("x.bmp"), 0, "a colour that its palette lacks");
}

static void resize(struct dc__image *image, struct dc_resize to)
{
    assert_int_equal(dc__image_resize(image, &to, "photo", 0, arena, &error), DC_OK);
}

static void sizes_are_what_pillow_makes(void **state)
{
    (void)state;
    static const struct {
        int method, height, width;
    } cases[] = {
        {DC_RESIZE_BILINEAR, 12, 16},  {DC_RESIZE_BILINEAR, 7, 9},   {DC_RESIZE_BILINEAR, 48, 10},
        {DC_RESIZE_BILINEAR, 100, 64}, {DC_RESIZE_BILINEAR, 61, 85}, {DC_RESIZE_BILINEAR, 1, 1},
        {DC_RESIZE_AREA, 12, 16},      {DC_RESIZE_AREA, 48, 32},     {DC_RESIZE_AREA, 1, 1},
        {DC_RESIZE_AREA, 16, 64},      {DC_RESIZE_AREA, 48, 128},    {DC_RESIZE_NEAREST, 12, 16},
        {DC_RESIZE_NEAREST, 7, 9},     {DC_RESIZE_NEAREST, 64, 37}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[64];
        struct dc__image image = read_photo(golden("scene.png"));
        snprintf(name, sizeof name, "scene-%s-%dx%d.pnm", dc_resize_methods[cases[i].method],
                 cases[i].height, cases[i].width);
        resize(&image, (struct dc_resize){cases[i].height, cases[i].width, cases[i].method, 0});
        const struct dc__image pillows = read_pnm(golden(name));
        check_equal(&image, &pillows, name);
    }
}

// Area where the ratio is not whole, in doubles: the shares that pixels cover. Rows are rounded
// before columns, so that a value is within 1 of the exact one.
static void area_weighs_what_pixels_cover(void **state)
{
    (void)state;
    const struct dc__image image = read_photo(golden("scene.png"));
    struct dc__image small = image;
    resize(&small, (struct dc_resize){7, 11, DC_RESIZE_AREA, DC_FIT_STRETCH});
    for (int i = 0; i < 7 * 11 * 3; i++) {
        const double top = i / 33 * 48 / 7.0, left = i / 3 % 11 * 64 / 11.0;
        double sum = 0.0;
        for (int y = 0; y < 48; y++)
            for (int x = 0; x < 64; x++) {
                const double h = (y + 1 < top + 48 / 7.0 ? y + 1 : top + 48 / 7.0) -
                                 (y > top ? y : top);
                const double w = (x + 1 < left + 64 / 11.0 ? x + 1 : left + 64 / 11.0) -
                                 (x > left ? x : left);
                if (h > 0 && w > 0)
                    sum += h * w * image.pixels[(y * 64 + x) * 3 + i % 3];
            }
        sum /= 48 / 7.0 * 64 / 11.0;
        assert_true(small.pixels[i] >= sum - 1.01 && small.pixels[i] <= sum + 1.01);
    }
}

// 48 x 64 into 20 x 20: crop reads columns 8 to 55; pad fills 15 rows, 2 above and 3 below.
static void crop_and_pad_keep_the_shape_of_things(void **state)
{
    (void)state;
    const struct dc__image image = read_photo(golden("scene.png"));
    struct dc__image cropped = image, padded = image, expected = {48, 48, 3, NULL};
    static uint8_t part[48 * 48 * 3];
    for (int y = 0; y < 48; y++)
        memcpy(part + y * 144, image.pixels + (y * 64 + 8) * 3, 144);
    expected.pixels = part;
    resize(&expected, (struct dc_resize){20, 20, DC_RESIZE_BILINEAR, DC_FIT_STRETCH});
    resize(&cropped, (struct dc_resize){20, 20, DC_RESIZE_BILINEAR, DC_FIT_CROP});
    check_equal(&cropped, &expected, "crop");
    expected = image;
    resize(&expected, (struct dc_resize){15, 20, DC_RESIZE_BILINEAR, DC_FIT_STRETCH});
    resize(&padded, (struct dc_resize){20, 20, DC_RESIZE_BILINEAR, DC_FIT_PAD});
    for (int i = 0; i < 20 * 60; i++)
        assert_int_equal(padded.pixels[i],
                         i / 60 < 2 || i / 60 >= 17 ? 0 : expected.pixels[i - 120]);
    // a strip: a part is never empty
    struct dc_part from, to;
    dc_resize_parts(&from, &to, &(struct dc_resize){2, 1000, 0, DC_FIT_PAD}, 60000, 3);
    assert_int_equal(to.width, 1);
    assert_int_equal(to.height, 2);
    assert_int_equal(to.left, 499);
    dc_resize_parts(&from, &to, &(struct dc_resize){3, 5, 0, DC_FIT_CROP}, 4, 7);  // 6.67 is 7
    assert_int_equal(from.width, 7);
    assert_int_equal(from.left, 0);
}

// Noise: what is left of its deviation tells whether pixels were averaged or picked.
static void shrinking_smooths_unless_nearest(void **state)
{
    (void)state;
    static uint8_t noise[720 * 960];
    static const double most[DC_RESIZE_METHODS] = {
        [DC_RESIZE_BILINEAR] = 3.0, [DC_RESIZE_AREA] = 3.0, [DC_RESIZE_NEAREST] = 90.0};
    for (int i = 0; i < 720 * 960; i++)
        noise[i] = (uint8_t)test_pixel(i);
    for (int method = 0; method < DC_RESIZE_METHODS; method++) {
        struct dc__image image = {720, 960, 1, noise};
        double sum = 0.0, squares = 0.0;
        resize(&image, (struct dc_resize){32, 32, method, DC_FIT_STRETCH});
        for (int i = 0; i < 1024; i++) {
            sum += image.pixels[i] / 1024.0;
            squares += image.pixels[i] * image.pixels[i] / 1024.0;
        }
        const double variance = squares - sum * sum;
        assert_true(variance < most[method] * most[method]);
        assert_true((method == DC_RESIZE_NEAREST) == (variance > 50.0 * 50.0));
    }
}

static void a_resize_is_held_against_the_limit(void **state)
{
    (void)state;
    struct dc__image image = read_photo(golden("scene.png"));
    const struct dc_resize to = {100, 100, DC_RESIZE_BILINEAR, DC_FIT_STRETCH};
    const int64_t bytes = (100 + 48) * 100 * 3;  // the result, and rows between the passes
    assert_int_equal(dc__image_resize(&image, &to, "photo", bytes - 1, arena, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "limits.memory"));
    assert_int_equal(dc__image_resize(&image, &to, "photo", bytes, arena, &error), DC_OK);
}

// Both byte orders; damage is upright.
static void orientation_is_read_or_upright(void **state)
{
    (void)state;
    uint8_t big[26] = "MM\0*\0\0\0\10\0\1\1\22\0\3\0\0\0\1\0\6";
    uint8_t small[26] = "II*\0\10\0\0\0\1\0\22\1\3\0\1\0\0\0\3";
    assert_int_equal(dc__exif_orientation(big, sizeof big), 6);
    assert_int_equal(dc__exif_orientation(small, sizeof small), 3);
    for (size_t cut = 0; cut < 22; cut++) {
        uint8_t *copy = malloc(cut + 1);  // so that a sanitizer sees a read past it
        memcpy(copy, big, cut);
        assert_int_equal(dc__exif_orientation(copy, cut), 1);
        free(copy);
    }
    big[19] = 9;
    assert_int_equal(dc__exif_orientation(big, sizeof big), 1);
    big[19] = 6;
    big[4] = 0xff;  // a directory far away
    assert_int_equal(dc__exif_orientation(big, sizeof big), 1);
}

static int set_up(void **state)
{
    (void)state;
    test_folder();
    return dc_arena_create(&arena, &error);
}

static int tear_down(void **state)
{
    (void)state;
    dc_arena_free(arena);
    test_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(photographs_are_what_pillow_reads),
        cmocka_unit_test(kinds_that_are_not_read_are_named),
        cmocka_unit_test(headers_are_held_against_the_limit),
        cmocka_unit_test(a_plausible_giant_is_refused_by_its_header),
        cmocka_unit_test(files_that_are_cut_are_refused),
        cmocka_unit_test(rare_bitmaps_are_read_or_named),
        cmocka_unit_test(sizes_are_what_pillow_makes),
        cmocka_unit_test(area_weighs_what_pixels_cover),
        cmocka_unit_test(crop_and_pad_keep_the_shape_of_things),
        cmocka_unit_test(shrinking_smooths_unless_nearest),
        cmocka_unit_test(a_resize_is_held_against_the_limit),
        cmocka_unit_test(orientation_is_read_or_upright),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
