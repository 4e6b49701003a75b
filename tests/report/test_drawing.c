// Drawings as PNG, read back by libpng, and as SVG: marks are where they were put, in their
// colours.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/image.h"
#include "report/drawing.h"
#include "tests/core/helper_folder.h"

static struct dc_arena *arena;
static struct dc_error error;
static struct dc__image image;

static void must(enum dc_status status)
{
    if (status != DC_OK)
        fail_msg("%s", error.message);
}

static int set_up(void **state)
{
    (void)state;
    test_folder();
    return dc_arena_create(&arena, &error) != DC_OK;
}

static int tear_down(void **state)
{
    (void)state;
    dc_arena_free(arena);
    test_folder_remove();
    return 0;
}

static void read_back(struct dc_png *png)
{
    test_write(test_path("x.png"), png->bytes, png->size);
    free(png->bytes);
    must(dc__photo_read(&image, test_path("x.png"), 0, arena, &error));
    assert_int_equal(image.channels, 3);
}

// The pixel of a place in a drawing, which has two dots a pixel.
static uint32_t at(double x, double y)
{
    const uint8_t *p = image.pixels + ((int64_t)(2 * y) * image.width + (int64_t)(2 * x)) * 3;
    return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static uint32_t light(enum dc_paint paint)
{
    return dc_paint_colours[paint].light;
}

static void marks_are_painted(void **state)
{
    (void)state;
    struct dc_png png;
    struct dc_drawing d = {
        .arena = arena, .name = "x", .title = "t", .words = "w", .width = 100, .height = 60};
    dc_draw_box(&d, DC_PAINT_BAD, 1.0, 10, 10, 20, 10);
    dc_draw_box(&d, DC_PAINT_TEXT, 0.5, 10, 30, 20, 10);
    dc_draw_dot(&d, DC_PAINT_SERIES, 50, 15, 5);
    dc_draw_path(&d, DC_PAINT_SERIES + 1, 0, (const double[]){40, 35, 60, 35, 60, 45}, 3);
    dc_draw_words(&d, DC_PAINT_GOOD, DC_ANCHOR_END, 98, 20, "%s", "HHH");
    must(dc_drawing_png(&png, &d, &error));
    read_back(&png);
    assert_int_equal(image.width, 200);
    assert_int_equal(image.height, 120);
    const uint32_t page = light(DC_PAINT_PAGE);
    assert_int_equal(at(11, 11), light(DC_PAINT_BAD));
    assert_int_equal(at(29, 19), light(DC_PAINT_BAD));
    assert_int_equal(at(31, 15), page);
    assert_int_equal(at(20, 21), page);
    // half of 0x1c2129 over white
    const uint32_t half = at(20, 35);
    assert_in_range(half >> 16, (0xff + 0x1c) / 2 - 1, (0xff + 0x1c) / 2 + 1);
    assert_int_equal(at(50, 15), light(DC_PAINT_SERIES));
    assert_int_equal(at(50, 18), light(DC_PAINT_SERIES));
    assert_int_equal(at(50, 21), page);
    assert_int_equal(at(50, 35), light(DC_PAINT_SERIES + 1));
    assert_int_equal(at(60, 40), light(DC_PAINT_SERIES + 1));
    assert_int_equal(at(50, 40), page);
    int green = 0, behind = 0;
    for (double y = 8; y < 22; y += 0.5)
        for (double x = 62; x < 100; x += 0.5) {
            green += at(x, y) == light(DC_PAINT_GOOD);
            behind += x > 98.5 && at(x, y) != page;
        }
    assert_true(green > 20);      // three letters, where there is a font
    assert_int_equal(behind, 0);  // which end at 98
}

static void images_keep_their_pixels(void **state)
{
    (void)state;
    uint8_t rgb[3 * 5 * 7];
    struct dc_png png;
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * 37 + 11);
    must(dc_image_png(&png, rgb, 7, 5, &error));
    read_back(&png);
    assert_int_equal(image.height, 7);
    assert_int_equal(image.width, 5);
    assert_memory_equal(image.pixels, rgb, sizeof rgb);
}

static void svg_names_roles(void **state)
{
    (void)state;
    struct dc_text_buffer out = {0};
    struct dc_drawing d = {
        .arena = arena, .name = "x", .title = "a < b", .words = "w", .width = 10, .height = 20};
    dc_draw_box(&d, DC_PAINT_BAD, 0.5, 1, 2, 3, 4);
    dc_draw_line(&d, DC_PAINT_GRID, 2, 1, 2, 3.25, 4);
    dc_draw_dot(&d, DC_PAINT_SERIES, 5, 6, 2);
    dc_draw_words(&d, DC_PAINT_TEXT, DC_ANCHOR_MIDDLE, 7, 8, "%s", "<x>");
    dc_drawing_svg(&out, &d);
    assert_string_equal(
        out.text,
        "<svg viewBox=\"0 0 10 20\" width=\"10\" height=\"20\" role=\"img\" "
        "aria-labelledby=\"x-t x-d\"><title id=\"x-t\">a &lt; b</title><desc id=\"x-d\">w</desc>"
        "<rect class=\"f bad\" x=\"1.0\" y=\"2.0\" width=\"3.0\" height=\"4.0\" opacity=\"0.50\"/>"
        "<path class=\"l grid d2\" d=\"M1.0 2.0L3.2 4.0\"/>"
        "<circle class=\"f s0\" cx=\"5.0\" cy=\"6.0\" r=\"2.0\"/>"
        "<text class=\"f text m\" x=\"7.0\" y=\"8.0\">&lt;x&gt;</text></svg>\n");
    dc_text_free(&out);
}

// Words leave no pen behind them: what is painted next does not begin there.
static void marks_do_not_join(void **state)
{
    (void)state;
    struct dc_drawing d = {.arena = arena, .name = "n", .width = 60, .height = 40};
    struct dc_png png;
    const uint8_t *page;
    dc_draw_words(&d, DC_PAINT_TEXT, DC_ANCHOR_START, 2, 36, "x");
    dc_draw_line(&d, DC_PAINT_BAD, 0, 50, 4, 56, 4);
    dc_draw_words(&d, DC_PAINT_TEXT, DC_ANCHOR_START, 2, 36, "x");
    dc_draw_dot(&d, DC_PAINT_BAD, 50, 8, 3);
    must(dc_drawing_png(&png, &d, &error));
    read_back(&png);
    page = image.pixels;
    for (int y = 24; y < 36; y++)  // between the words and the marks
        for (int x = 30; x < 90; x++)
            assert_memory_equal(image.pixels + 3 * (y * image.width + x), page, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_are_painted),
        cmocka_unit_test(marks_do_not_join),
        cmocka_unit_test(images_keep_their_pixels),
        cmocka_unit_test(svg_names_roles),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
