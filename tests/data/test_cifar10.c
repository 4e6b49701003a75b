// CIFAR-10 as it lies beside the checkout or in DECANT_DATA, against its published figures.

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

// README of the data: mean 0.491400 0.482158 0.446531, deviation 0.247029 0.243484 0.261587, the
// published figures to the digits that the stand-in images leave.
static void cifar10_has_its_published_figures(void **state)
{
    (void)state;
    static const double mean[] = {0.491400, 0.482158, 0.446531};
    static const double deviation[] = {0.247029, 0.243484, 0.261587};
    static int64_t ids[50000];
    struct dc_source *train = open_ok("train");
    struct dc_normalization normalization;
    int counts[10] = {0};
    assert_int_equal(train->count, 50000);
    assert_string_equal(train->class_names[0], "airplane");
    assert_string_equal(train->class_names[9], "truck");
    for (int i = 0; i < 50000; i++) {
        ids[i] = i;
        counts[train->labels[i]]++;
    }
    for (int c = 0; c < 10; c++)
        assert_int_equal(counts[c], 5000);
    assert_int_equal(train->labels[0], 6);  // the first training image is a frog
    assert_int_equal(dc_dataset_statistics(&normalization, train, ids, 50000, &error), DC_OK);
    for (int c = 0; c < 3; c++) {
        assert_float_equal(normalization.mean[c], mean[c], 6e-7);
        assert_float_equal(normalization.deviation[c], deviation[c], 6e-7);
    }
    dc_source_free(train);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cifar10_has_its_published_figures),
    };
    const char *data = getenv("DECANT_DATA");
    snprintf(path, sizeof path, "%s/cifar10", data ? data : DECANT_SOURCE_DIR "/../shared/data");
    if (!dc_file_exists(path)) {
        puts("skipped: no CIFAR-10; set DECANT_DATA to the folder that holds cifar10");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
