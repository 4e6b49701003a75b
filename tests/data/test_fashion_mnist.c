// Fashion-MNIST as Debian packages it, against its published figures.

#define _XOPEN_SOURCE 700
#include "data/open.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include "core/file.h"
#include "data/normalize.h"

static struct dc_error error;
static char path[1024];

static struct dc_source *open_ok(const char *split)
{
    struct dc_source *source = NULL;
    const struct dc_source_spec spec = {.path = path, .split = split};
    if (dc_source_open(&source, &spec, &error) != DC_OK)
        fail_msg("%s", error.message);
    return source;
}

// The published figures of Fashion-MNIST: 60,000 and 10,000 images, 6,000 and 1,000 a class, pixel
// mean 0.2860 and deviation 0.3530 (https://github.com/zalandoresearch/fashion-mnist).
static void fashion_mnist_has_its_published_figures(void **state)
{
    (void)state;
    static int64_t ids[60000];
    struct dc_source *train = open_ok("train"), *test = open_ok("test");
    struct dc_normalization normalization;
    int counts[2][10] = {{0}};
    assert_int_equal(train->count, 60000);
    assert_int_equal(test->count, 10000);
    for (int64_t i = 0; i < 60000; i++) {
        ids[i] = i;
        counts[0][train->labels[i]]++;
        if (i < 10000)
            counts[1][test->labels[i]]++;
    }
    for (int c = 0; c < 10; c++) {
        assert_int_equal(counts[0][c], 6000);
        assert_int_equal(counts[1][c], 1000);
    }
    assert_int_equal(train->labels[0], 9);  // the first sample is an ankle boot
    assert_int_equal(dc_dataset_statistics(&normalization, train, ids, 60000, &error), DC_OK);
    assert_float_equal(normalization.mean[0], 0.2860, 5e-5);
    assert_float_equal(normalization.deviation[0], 0.3530, 5e-5);
    dc_source_free(train);
    dc_source_free(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fashion_mnist_has_its_published_figures),
    };
    snprintf(path, sizeof path, "%s", "/usr/share/datasets/fashion-mnist");
    if (!dc_file_exists(path)) {
        puts("skipped: the package dataset-fashion-mnist is not installed");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
