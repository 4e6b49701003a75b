// Files of data that declare more than they hold, hold more than they declare, or are no files.

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
#include <sys/stat.h>
#include <cmocka.h>
// clang-format on

#include "core/file.h"
#include "tests/core/helper_folder.h"
#include "tests/data/helper_png.h"
#include "tests/data/helper_sources.h"

static struct dc_error error;
static struct dc_source_spec spec;

static void in_folder(const char *kind, const char *name)
{
    static char folder[512];
    snprintf(folder, sizeof folder, "%s", test_path(name));
    spec = (struct dc_source_spec){.kind = kind, .path = folder, .split = "train"};
    assert_int_equal(dc_make_directory(spec.path, &error), DC_OK);
}

static void check_refused(const char *words)
{
    struct dc_source *source = NULL;
    assert_int_equal(dc_source_open(&source, &spec, &error), DC_ERR_DATA);
    assert_null(source);
    if (!strstr(error.message, words))
        fail_msg("nothing about '%s': %s", words, error.message);
}

// Packed by the programs themselves, from what `maker` prints.
static void pack(const char *maker, const char *packer, const char *name)
{
    char line[1024];
    snprintf(line, sizeof line, "cd '%s' && (%s) | %s > %s", spec.path, maker, packer, name);
    assert_int_equal(system(line), 0);
}

#define ZEROS(count) "head -c " count " /dev/zero"

#define TEN           "\\0\\0\\0\\12"
#define MANY          "\\0\\377\\377\\377"
#define LABELS(count) "printf '\\0\\0\\10\\1" count "'; "

static void idx_decodes_what_its_header_declares(void **state)
{
    (void)state;
    static const struct {
        const char *count, *maker, *packer, *ending, *words;
    } cases[] = {
        {TEN, LABELS(TEN) ZEROS("20M"), "gzip -1", "gz",
         "says 10 records of 1 bytes, but more bytes follow them"},
        {TEN, LABELS(TEN) ZEROS("20M"), "xz -0", "xz",
         "says 10 records of 1 bytes, but more bytes follow them"},
        {TEN, LABELS(TEN) ZEROS("11"), "gzip", "gz", "more bytes follow"},
        {TEN, LABELS(TEN) ZEROS("9"), "gzip", "gz",
         "says 10 records of 1 bytes, but the file's size allows 9"},
        {MANY, LABELS(MANY) ZEROS("9"), "xz", "xz", "says 16777215 records of 1 bytes"},
        {TEN, LABELS(MANY), "xz", "xz", "16777215 labels, but"},  // seen before one is read
        {TEN, "printf '\\0\\0\\10\\1\\0\\0'", "gzip", "gz", "6 bytes are too few"},
        {TEN, LABELS(TEN) ZEROS("10"), "xz --lzma2=dict=1536MiB", "xz", "its dictionary needs"},
    };
    in_folder("idx", "idx");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[64], images[128];
        snprintf(name, sizeof name, "train-labels-idx1-ubyte.%s", cases[i].ending);
        pack(cases[i].maker, cases[i].packer, name);
        snprintf(images, sizeof images, "printf '\\0\\0\\10\\3%s\\0\\0\\0\\1\\0\\0\\0\\1'",
                 cases[i].count);
        pack(images, "xz", "train-images-idx3-ubyte.xz");
        check_refused(cases[i].words);
        remove(test_path(strcmp(cases[i].ending, "gz") ? "idx/train-labels-idx1-ubyte.xz"
                                                       : "idx/train-labels-idx1-ubyte.gz"));
    }
}

static void what_is_declared_is_held_against_the_limit(void **state)
{
    (void)state;
    test_write_idx_folder(test_path("limit"), 12, 6, 4, 3, 5, true);
    in_folder("idx", "limit");
    spec.memory = 143;  // 12 images of 12 bytes are 144
    check_refused("its header declares 144 bytes, more than the 143 that limits.memory allows");
    spec.memory = 144;
    struct dc_source *source = NULL;
    assert_int_equal(dc_source_open(&source, &spec, &error), DC_OK);
    dc_source_free(source);
    test_write_idx_folder(test_path("labels"), 12, 6, 1, 1, 5, true);
    in_folder("idx", "labels");
    spec.memory = 107;  // a label needs 9 bytes of memory
    check_refused("its header declares 108 bytes, more than the 107 that limits.memory allows");
}

static void cifar_is_bounded_by_its_file(void **state)
{
    (void)state;
    in_folder("cifar100", "cifar");
    pack(ZEROS("80M"), "gzip -1", "train.bin.gz");
    check_refused("train.bin.gz: unpacks to more than");
    pack(ZEROS("40000"), "gzip", "train.bin.gz");  // thirteen records and a part of one
    check_refused("record 13 is cut off: 40000 bytes are not a multiple of 3074");
    pack(ZEROS("307400"), "gzip", "train.bin.gz");
    spec.memory = 100000;
    check_refused("limits.memory");
}

// Width or height of a good file made large; the checksum of IHDR is looked at later.
static void png_headers_are_held_against_the_file(void **state)
{
    (void)state;
    const uint16_t samples[64] = {0};
    static const struct {
        uint8_t width[4], height[4];
        const char *words;
    } cases[] = {
        {{0, 0, 0xff, 0xff}, {0, 0, 0xff, 0xff}, "65535x65535 pixels (width x height) cannot be"},
        {{0, 0, 0x40, 0}, {0, 0, 0x40, 0}, "16384x16384 pixels"},
        {{0x7f, 0xff, 0xff, 0xff}, {0, 0, 0, 1}, "bad.png: "},
        {{0, 0, 0, 0}, {0, 0, 0, 1}, "bad.png: "},
    };
    in_folder("png", "png");
    assert_int_equal(dc_make_directory(test_path("png/a"), &error), DC_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_write_png(test_path("png/a/bad.png"),
                       &(struct test_png){8, 8, 8, 0, false, samples, NULL, 0});
        FILE *file = fopen(test_path("png/a/bad.png"), "r+b");
        assert_non_null(file);
        assert_int_equal(fseek(file, 16, SEEK_SET), 0);
        assert_int_equal(fwrite(cases[i].width, 1, 4, file), 4);
        assert_int_equal(fwrite(cases[i].height, 1, 4, file), 4);
        fclose(file);
        check_refused(cases[i].words);
    }
    test_write_png(test_path("png/a/bad.png"),
                   &(struct test_png){8, 8, 8, 0, false, samples, NULL, 0});
    spec.memory = 63;
    check_refused("limits.memory");
}

// Nobody writes into this pipe: who opens it like a file waits for ever.
static void pipes_and_devices_are_no_data(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *folder, *file;
    } cases[] = {
        {"idx", "pipes", "pipes/train-labels-idx1-ubyte"},
        {"cifar10", "pipes", "pipes/data_batch_1.bin"},
        {"cifar100", "pipes", "pipes/train.bin"},
        {"png", "folders", "folders/a/b.png"},
        {"idx", "named", "named/classes.txt"},
    };
    assert_int_equal(dc_make_directory(test_path("folders/a"), &error), DC_OK);
    test_write_idx_folder(test_path("named"), 12, 6, 4, 3, 5, false);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        in_folder(cases[i].kind, cases[i].folder);
        assert_int_equal(mkfifo(test_path(cases[i].file), 0600), 0);
        check_refused("not a file but a pipe");
        remove(test_path(cases[i].file));
    }
    spec = (struct dc_source_spec){.kind = "hdf5", .path = "/dev/zero", .split = "train"};
    struct dc_source *source = NULL;
    assert_int_equal(dc_source_open(&source, &spec, &error), DC_ERR_DATA);
    spec.kind = "auto";  // looks into it to find its kind
    assert_int_equal(dc_source_open(&source, &spec, &error), DC_ERR_DATA);
    assert_int_equal(mkfifo(test_path("pipe.h5"), 0600), 0);
    spec.path = test_path("pipe.h5");
    assert_int_equal(dc_source_open(&source, &spec, &error), DC_ERR_DATA);
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
        cmocka_unit_test(idx_decodes_what_its_header_declares),
        cmocka_unit_test(what_is_declared_is_held_against_the_limit),
        cmocka_unit_test(cifar_is_bounded_by_its_file),
        cmocka_unit_test(png_headers_are_held_against_the_file),
        cmocka_unit_test(pipes_and_devices_are_no_data),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
