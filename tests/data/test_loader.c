// The loader: what a batch holds, against a plain loop over the parts, and its independence of
// depth, threads and where an epoch is entered.

#include "data/loader.h"

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

#include "tests/data/helper_sources.h"

enum { COUNT = 103, HEIGHT = 7, WIDTH = 5, CHANNELS = 3, CLASSES = 4, BATCH = 16 };
enum { VALUES = HEIGHT * WIDTH * CHANNELS, IDS = 90, BATCHES = 6 };

static struct dc_error error;
static uint8_t values[COUNT * VALUES];
static int32_t labels[COUNT];
static int64_t ids[IDS];
static struct dc_augmentation list[4];

#define ok(call)                                                                                   \
    do {                                                                                           \
        if ((call) != DC_OK)                                                                       \
            fail_msg("%s", error.message);                                                         \
    } while (0)

static int set_up(void **state)
{
    for (int i = 0; i < COUNT * VALUES; i++)
        values[i] = (uint8_t)test_pixel(i);
    for (int i = 0; i < COUNT; i++)
        labels[i] = (i * 7 + i / 9) % CLASSES;
    for (int i = 0; i < IDS; i++)
        ids[i] = i + i / 8;  // not all samples belong to the split
    static const char *const names[] = {"pad_crop", "flip", "rotate", "mixup"};
    for (int i = 0; i < 4; i++)
        list[i] = dc_augmentation_default(dc_augmentation_find(names[i]));
    list[0].values[0] = 2;
    *state = test_source(COUNT, DC_SHAPE(HEIGHT, WIDTH, CHANNELS), DC_U8, CLASSES, values, labels,
                         -1);
    return 0;
}

static int tear_down(void **state)
{
    dc_source_free(*state);
    return 0;
}

static struct dc_loader_config config_of(const struct dc_source *source)
{
    return (struct dc_loader_config){
        .source = source,
        .ids = ids,
        .id_count = IDS,
        .batch = BATCH,
        .shuffle = true,
        .shuffle_seed = 3,
        .augment_seed = 4,
        .augmentations = list,
        .augmentation_count = 4,
        .views = {{{.channels = 3, .mean = {0.5f, 0.4f, 0.3f}, .deviation = {0.2f, 0.3f, 1}},
                   source->sample}},
        .view_count = 1,
        .depth = 2,
        .threads = 1,
    };
}

// One whole epoch, copied out: what there is to compare.
struct epoch {
    int64_t rows;
    uint64_t ids[IDS];
    float inputs[IDS * VALUES], targets[IDS * CLASSES];
    int32_t labels[IDS];
};

static struct epoch *run(const struct dc_loader_config *config, int64_t number, int64_t first)
{
    struct epoch *epoch = calloc(1, sizeof *epoch);
    struct dc_loader *loader = NULL;
    struct dc_batch batch;
    assert_non_null(epoch);
    ok(dc_loader_create(&loader, config, &error));
    ok(dc_loader_start(loader, number, first, &error));
    for (;;) {
        ok(dc_loader_next(loader, &batch, &error));
        if (batch.rows == 0)
            break;
        assert_true(epoch->rows + batch.rows <= IDS);
        memcpy(epoch->ids + epoch->rows, batch.ids, (size_t)batch.rows * sizeof *batch.ids);
        memcpy(epoch->labels + epoch->rows, batch.labels,
               (size_t)batch.rows * sizeof *batch.labels);
        memcpy(epoch->inputs + epoch->rows * VALUES, batch.inputs,
               (size_t)batch.rows * VALUES * sizeof *batch.inputs);
        memcpy(epoch->targets + epoch->rows * CLASSES, batch.targets,
               (size_t)batch.rows * CLASSES * sizeof *batch.targets);
        epoch->rows += batch.rows;
    }
    ok(dc_loader_next(loader, &batch, &error));
    assert_int_equal(batch.rows, 0);
    dc_loader_free(loader);
    return epoch;
}

static void depth_and_threads_change_no_bit(void **state)
{
    struct dc_loader_config config = config_of(*state);
    struct epoch *first = run(&config, 5, 0);
    static const int depths[] = {1, 2, 8}, threads[] = {1, 2, 3};
    for (int d = 0; d < 3; d++) {
        for (int t = 0; t < 3; t++) {
            config.depth = depths[d];
            config.threads = threads[t];
            struct epoch *again = run(&config, 5, 0);
            assert_memory_equal(first, again, sizeof *first);
            free(again);
        }
    }
    assert_int_equal(first->rows, IDS);
    free(first);
}

static void an_epoch_can_be_entered_anywhere(void **state)
{
    struct dc_loader_config config = config_of(*state);
    config.depth = 3;
    config.threads = 2;
    struct epoch *whole = run(&config, 2, 0);
    for (int64_t b = 0; b <= BATCHES; b++) {
        struct epoch *rest = run(&config, 2, b);
        const int64_t skipped = b * BATCH < IDS ? b * BATCH : IDS;
        assert_int_equal(rest->rows, IDS - skipped);
        assert_memory_equal(rest->ids, whole->ids + skipped,
                            (size_t)rest->rows * sizeof *rest->ids);
        assert_memory_equal(rest->inputs, whole->inputs + skipped * VALUES,
                            (size_t)rest->rows * VALUES * sizeof *rest->inputs);
        assert_memory_equal(rest->targets, whole->targets + skipped * CLASSES,
                            (size_t)rest->rows * CLASSES * sizeof *rest->targets);
        free(rest);
    }
    free(whole);
}

// Starting again while batches are under way drops them and changes nothing.
static void a_restart_forgets_what_was_prepared(void **state)
{
    struct dc_loader_config config = config_of(*state);
    config.depth = 4;
    config.threads = 2;
    struct epoch *expected = run(&config, 9, 0);
    struct dc_loader *loader = NULL;
    struct dc_batch batch;
    ok(dc_loader_create(&loader, &config, &error));
    ok(dc_loader_next(loader, &batch, &error));
    assert_int_equal(batch.rows, 0);  // not started
    assert_int_equal(dc_loader_batches(loader), BATCHES);
    for (int i = 0; i < 50; i++) {
        ok(dc_loader_start(loader, i, i % BATCHES, &error));
        for (int k = 0; k < i % 4; k++)
            ok(dc_loader_next(loader, &batch, &error));
    }
    ok(dc_loader_start(loader, 50, 0, &error));
    ok(dc_loader_next(loader, &batch, &error));  // in use when the next epoch takes its place
    ok(dc_loader_start(loader, 9, 0, &error));
    ok(dc_loader_next(loader, &batch, &error));
    assert_memory_equal(batch.inputs, expected->inputs, BATCH * VALUES * sizeof *batch.inputs);
    assert_int_equal(dc_loader_start(loader, 9, BATCHES + 1, &error), DC_ERR_DATA);
    dc_loader_free(loader);
    free(expected);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

// Every id once an epoch; orders differ between epochs and seeds; without shuffle as configured.
static void an_epoch_is_a_permutation(void **state)
{
    struct dc_loader_config config = config_of(*state);
    struct epoch *one = run(&config, 0, 0), *two = run(&config, 1, 0);
    config.shuffle_seed++;
    struct epoch *three = run(&config, 0, 0);
    assert_memory_not_equal(one->ids, two->ids, sizeof one->ids);
    assert_memory_not_equal(one->ids, three->ids, sizeof one->ids);
    struct epoch *all[] = {one, two, three};
    for (int e = 0; e < 3; e++) {
        for (int i = 0; i < IDS; i++)
            assert_int_equal(all[e]->labels[i], labels[all[e]->ids[i]]);
        qsort(all[e]->ids, IDS, sizeof *all[e]->ids, by_value);
        for (int i = 0; i < IDS; i++)
            assert_int_equal(all[e]->ids[i], ids[i]);
        free(all[e]);
    }
    config.shuffle = false;
    struct epoch *plain = run(&config, 0, 0);
    for (int i = 0; i < IDS; i++)
        assert_int_equal(plain->ids[i], ids[i]);
    free(plain);
}

// The shuffle changes when a sample comes, never what it looks like.
static void a_view_does_not_know_its_place(void **state)
{
    struct dc_loader_config config = config_of(*state);
    struct epoch *shuffled = run(&config, 3, 0);
    config.shuffle = false;
    config.batch = 7;
    struct epoch *plain = run(&config, 3, 0);
    for (int i = 0; i < IDS; i++) {
        int j = 0;
        while (plain->ids[j] != shuffled->ids[i])
            j++;
        assert_memory_equal(shuffled->inputs + i * VALUES, plain->inputs + j * VALUES,
                            VALUES * sizeof(float));
    }
    free(shuffled);
    free(plain);
}

// Without augmentation: the formula of normalize.h in double, one-hot targets.
static void plain_samples_are_normalized(void **state)
{
    struct dc_loader_config config = config_of(*state);
    config.augmentation_count = 0;
    struct epoch *epoch = run(&config, 0, 0);
    for (int64_t i = 0; i < IDS; i++) {
        for (int v = 0; v < VALUES; v++) {
            const int c = v % CHANNELS;
            const double mean = (double)config.views[0].normalization.mean[c];
            const double deviation = (double)config.views[0].normalization.deviation[c];
            const double x = (double)values[epoch->ids[i] * VALUES + (uint64_t)v] / 255.0;
            const double y = (x - mean) / deviation;
            // three roundings of numbers no larger than x / deviation and mean / deviation
            assert_float_equal(epoch->inputs[i * VALUES + v], y,
                               3.0 * 6e-8 * (1.0 + mean) / deviation);
        }
        for (int c = 0; c < CLASSES; c++)
            assert_true(epoch->targets[i * CLASSES + c] == (c == epoch->labels[i] ? 1.0f : 0.0f));
    }
    free(epoch);
}

// Mixup alone: find partner and share again from the drawing function, blend in double.
static void mixup_blends_two_views(void **state)
{
    struct dc_loader_config config = config_of(*state);
    config.augmentations = list + 3;
    config.augmentation_count = 1;
    config.views[0].normalization = (struct dc_normalization){1, {0}, {1.0f / 255.0f}};
    struct epoch *epoch = run(&config, 6, 0);
    int mixed = 0;
    for (int64_t i = 0; i < IDS; i++) {
        struct dc_mix mix;
        const struct dc_shape sample = DC_SHAPE(HEIGHT, WIDTH, CHANNELS);
        assert_true(dc_augmentation_mix(&mix, list + 3, 1, &sample, 4, 6, epoch->ids[i], IDS));
        const float lambda = mix.lambda;
        const uint64_t own = epoch->ids[i], other = (uint64_t)ids[mix.partner];
        for (uint64_t v = 0; v < VALUES; v++) {
            const double blend = (double)lambda * values[own * VALUES + v] +
                                 (1.0 - (double)lambda) * values[other * VALUES + v];
            assert_float_equal(epoch->inputs[(uint64_t)i * VALUES + v], blend, 255.0 * 5 * 6e-8);
        }
        double sum = 0.0;
        for (int c = 0; c < CLASSES; c++) {
            const double expected = (double)lambda * (labels[own] == c) +
                                    (1.0 - (double)lambda) * (labels[other] == c);
            assert_float_equal(epoch->targets[i * CLASSES + c], expected, 1.2e-7);
            sum += (double)epoch->targets[i * CLASSES + c];
        }
        assert_float_equal(sum, 1.0, 1.2e-7);
        mixed += labels[own] != labels[other];
    }
    assert_true(mixed > IDS / 2);
    free(epoch);
}

// Each value is the sample's or, in the rectangle, the partner's; targets go by what is left.
static void cutmix_pastes_a_rectangle(void **state)
{
    struct dc_loader_config config = config_of(*state);
    const struct dc_augmentation cutmix = dc_augmentation_default(dc_augmentation_find("cutmix"));
    const struct dc_shape sample = DC_SHAPE(HEIGHT, WIDTH, CHANNELS);
    config.augmentations = &cutmix;
    config.augmentation_count = 1;
    config.views[0].normalization = (struct dc_normalization){1, {0}, {1.0f / 255.0f}};
    struct epoch *epoch = run(&config, 6, 0);
    int pasted = 0;
    for (int64_t i = 0; i < IDS; i++) {
        struct dc_mix mix;
        assert_true(dc_augmentation_mix(&mix, &cutmix, 1, &sample, 4, 6, epoch->ids[i], IDS));
        const uint64_t own = epoch->ids[i], other = (uint64_t)ids[mix.partner];
        int area = 0;
        for (int v = 0; v < VALUES; v++) {
            const int y = v / (WIDTH * CHANNELS), x = v / CHANNELS % WIDTH;
            const bool inside = y >= mix.top && y < mix.bottom && x >= mix.left && x < mix.right;
            area += inside && v % CHANNELS == 0;
            assert_float_equal(epoch->inputs[i * VALUES + v],
                               values[(inside ? other : own) * VALUES + (uint64_t)v],
                               255.0 * 3 * 6e-8);
        }
        pasted += area > 0;
        for (int c = 0; c < CLASSES; c++) {
            const double left = 1.0 - (double)area / (HEIGHT * WIDTH);
            assert_float_equal(epoch->targets[i * CLASSES + c],
                               left * (labels[own] == c) + (1.0 - left) * (labels[other] == c),
                               1.2e-7);
        }
    }
    assert_true(pasted > IDS / 2);
    free(epoch);
}

static void a_failing_read_surfaces_at_its_batch(void **state)
{
    (void)state;
    struct dc_source *source = test_source(COUNT, DC_SHAPE(HEIGHT, WIDTH, CHANNELS), DC_U8, CLASSES,
                                           values, labels, ids[40]);
    struct dc_loader_config config = config_of(source);
    struct dc_loader *loader = NULL;
    struct dc_batch batch;
    char expected[64];
    config.shuffle = false;
    config.augmentation_count = 0;
    config.depth = 3;
    config.threads = 2;
    snprintf(expected, sizeof expected, "sample %d: the disk is gone", (int)ids[40]);
    ok(dc_loader_create(&loader, &config, &error));
    ok(dc_loader_start(loader, 0, 0, &error));
    for (int b = 0; b < 2; b++)
        ok(dc_loader_next(loader, &batch, &error));
    for (int k = 0; k < 3; k++) {
        memset(&error, 0, sizeof error);
        assert_int_equal(dc_loader_next(loader, &batch, &error), DC_ERR_IO);
        assert_string_equal(error.message, expected);
        assert_int_equal(batch.rows, 0);
    }
    ok(dc_loader_start(loader, 0, 3, &error));
    ok(dc_loader_next(loader, &batch, &error));
    assert_int_equal(batch.rows, BATCH);
    dc_loader_free(loader);
    dc_source_free(source);
}

static void wrong_configurations_are_refused(void **state)
{
    struct dc_loader_config config = config_of(*state);
    struct dc_loader *loader = NULL;
    config.views[0].normalization.deviation[1] = 0.0f;
    assert_int_equal(dc_loader_create(&loader, &config, &error), DC_ERR_CONFIG);
    assert_non_null(strstr(error.message, "channel 1"));
    config = config_of(*state);
    config.views[0].normalization.channels = 2;
    assert_int_equal(dc_loader_create(&loader, &config, &error), DC_ERR_CONFIG);
    config = config_of(*state);
    const struct dc_augmentation wrong[] = {list[3], list[0]};
    config.augmentations = wrong;
    config.augmentation_count = 2;
    assert_int_equal(dc_loader_create(&loader, &config, &error), DC_ERR_CONFIG);
    assert_null(loader);
}

// Vectors of floats without labels: nothing of images, classes or bytes is assumed.
static void float_vectors_without_labels_load(void **state)
{
    (void)state;
    static float vectors[COUNT * 6];
    for (int i = 0; i < COUNT * 6; i++)
        vectors[i] = (float)i * 0.25f;
    struct dc_source *source = test_source(COUNT, DC_SHAPE(6), DC_F32, 0, vectors, NULL, -1);
    struct dc_loader_config config = config_of(source);
    struct dc_loader *loader = NULL;
    struct dc_batch batch;
    config.views[0].normalization = (struct dc_normalization){1, {2.0f}, {0.5f}};
    config.augmentation_count = 0;
    config.shuffle = false;
    ok(dc_loader_create(&loader, &config, &error));
    ok(dc_loader_start(loader, 0, 0, &error));
    ok(dc_loader_next(loader, &batch, &error));
    assert_null(batch.labels);
    assert_null(batch.targets);
    for (int i = 0; i < 12; i++)
        assert_true(batch.inputs[i] == (vectors[i] - 2.0f) / 0.5f);
    dc_loader_free(loader);
    dc_source_free(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(depth_and_threads_change_no_bit),
        cmocka_unit_test(an_epoch_can_be_entered_anywhere),
        cmocka_unit_test(a_restart_forgets_what_was_prepared),
        cmocka_unit_test(an_epoch_is_a_permutation),
        cmocka_unit_test(a_view_does_not_know_its_place),
        cmocka_unit_test(plain_samples_are_normalized),
        cmocka_unit_test(mixup_blends_two_views),
        cmocka_unit_test(cutmix_pastes_a_rectangle),
        cmocka_unit_test(a_failing_read_surfaces_at_its_batch),
        cmocka_unit_test(wrong_configurations_are_refused),
        cmocka_unit_test(float_vectors_without_labels_load),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
