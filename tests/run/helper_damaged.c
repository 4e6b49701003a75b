#include "tests/run/helper_damaged.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <png.h>

#include "core/h5.h"
#include "tests/core/helper_folder.h"
#include "tests/run/helper_experiment.h"

static void patch(const char *folder, const char *file, long at, const char *bytes, size_t count)
{
    char command[1100];
    snprintf(command, sizeof command, "cp -r '%s' '%s'", test_path("data"), test_path(folder));
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "%s/%s", test_path(folder), file);
    size_t size = 0;
    char *text = tiny_read(command, &size);
    assert_non_null(text);
    if (bytes)
        memcpy(text + at, bytes, count);
    else
        size = (size_t)at;
    test_write(command, text, size);
    free(text);
}

static void write_png(const char *name, bool cut)
{
    uint8_t pixels[TINY_SIDE * TINY_SIDE];
    for (int i = 0; i < TINY_SIDE * TINY_SIDE; i++)
        pixels[i] = (uint8_t)(i * 7);
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = TINY_SIDE,
                       .height = TINY_SIDE,
                       .format = PNG_FORMAT_GRAY};
    assert_true(png_image_write_to_file(&image, test_path(name), 0, pixels, 0, NULL));
    size_t size = 0;
    char *text = tiny_read(test_path(name), &size);
    if (cut)
        test_write(test_path(name), text, size / 2);
    free(text);
}

static void write_hdf5(const char *name, int64_t labels, int64_t side)
{
    static uint8_t pixels[8 * TINY_SIDE * TINY_SIDE];
    static int32_t classes[] = {0, 1, 2, 3, 0, 1, 2, 3};
    static const char *const arrays[] = {"train/inputs", "train/labels", "test/inputs",
                                         "test/labels"};
    struct dc_error error = {0};
    struct dc_h5 *file = NULL;
    assert_int_equal(dc_h5_create(&file, test_path(name), &error), DC_OK);
    for (int i = 0; i < 4; i++) {
        const struct dc_tensor tensor = i % 2
                                            ? (struct dc_tensor){classes, DC_I32, DC_SHAPE(labels)}
                                            : (struct dc_tensor){pixels, DC_U8,
                                                                 DC_SHAPE(8, side, side, 1)};
        assert_int_equal(dc_h5_write(file, arrays[i], &tensor, &error), DC_OK);
    }
    assert_int_equal(dc_h5_close_commit(file, DC_OK, &error), DC_OK);
}

void damaged_files(void)
{
    mkdir(test_path("empty"), 0777);
    patch("lies", "train-images-idx3-ubyte", 4, "\0\0\0\377", 4);
    patch("cut", "t10k-images-idx3-ubyte", 1000, NULL, 0);
    patch("label", "train-labels-idx1-ubyte", 100, "\7", 1);
    patch("test-label", "t10k-labels-idx1-ubyte", 20, "\7", 1);
    mkdir(test_path("images"), 0777);
    for (int i = 0; i < 2 * TINY_CLASSES; i++) {  // train and test
        const char *part = i < TINY_CLASSES ? "train" : "test";
        char name[64];
        snprintf(name, sizeof name, "images/%s", part);
        mkdir(test_path(name), 0777);
        snprintf(name, sizeof name, "images/%s/%c", part, 'a' + i % TINY_CLASSES);
        mkdir(test_path(name), 0777);
        snprintf(name, sizeof name, "images/%s/%c/%d.png", part, 'a' + i % TINY_CLASSES, i == 1);
        write_png(name, i == 1);
    }
    write_hdf5("wrong.h5", 7, TINY_SIDE);
    write_hdf5("good.h5", 8, 8);
}
