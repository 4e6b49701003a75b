// Views: what several networks read of one sample, and the numbered views of a finite augmentation.

#include "data/loader.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

#include "tests/data/helper_sources.h"

enum { HEIGHT = 5, WIDTH = 7, CHANNELS = 3, VALUES = HEIGHT * WIDTH * CHANNELS, SAMPLES = 12 };

static struct dc_error error;

static enum dc_status read_sample(const struct dc_source *source, int64_t id, void *values,
                                  struct dc_error *e)
{
    (void)source;
    (void)e;
    uint8_t *bytes = values;
    for (int i = 0; i < VALUES; i++)
        bytes[i] = (uint8_t)(test_pixel(i + 31 * (int)id) + 1);
    return DC_OK;
}

static const struct dc_source_ops ops = {"test", read_sample, NULL};
static const struct dc_source source = {
    .ops = &ops, .count = SAMPLES, .sample = {3, {HEIGHT, WIDTH, CHANNELS}}, .dtype = DC_U8};

static struct dc_augmentation make(const char *name, double value)
{
    struct dc_augmentation augmentation = dc_augmentation_default(dc_augmentation_find(name));
    augmentation.values[0] = value;
    return augmentation;
}

// The weight of input pixel `at` in output pixel `i`. Where there are fewer output pixels: a
// triangle around the place of i that reaches one output pixel to both sides, over the sum of those
// inside (PyTorch's interpolate with antialias, Pillow's BILINEAR). Else one input pixel, and what
// falls outside belongs to the edge.
static double triangle(int i, int to, int at, int from)
{
    const double ratio = (double)from / to, place = (i + 0.5) * ratio - 0.5;
    return fmax(0.0, 1.0 - fabs(at - place) / ratio);
}

static double weight(int i, int to, int at, int from)
{
    const double place = (i + 0.5) * from / to - 0.5;
    double sum = 0.0;
    for (int k = 0; k < from && to < from; k++)
        sum += triangle(i, to, k, from);
    if (to < from)
        return triangle(i, to, at, from) / sum;
    const double clamped = fmin(fmax(place, 0.0), from - 1.0);
    const double distance = fabs(clamped - at);
    return distance < 1.0 ? 1.0 - distance : 0.0;
}

static void test_resized(void **state)
{
    (void)state;
    static const int sizes[][2] = {{5, 7}, {10, 14}, {8, 8}, {3, 4}, {1, 1}, {13, 5}, {2, 9}};
    struct dc_arena *arena = NULL;
    assert_int_equal(dc_arena_create(&arena, &error), DC_OK);
    uint8_t raw[VALUES];
    float sample[VALUES];
    assert_int_equal(read_sample(&source, 3, raw, &error), DC_OK);
    dc_values_to_float(sample, raw, DC_U8, VALUES);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const int height = sizes[s][0], width = sizes[s][1];
        const struct dc_view view = {{3, {0.4f, 0.5f, 0.6f}, {0.2f, 0.25f, 0.5f}},
                                     DC_SHAPE(height, width, CHANNELS)};
        struct dc_view_maker maker;
        float *out = calloc((size_t)(height * width * CHANNELS), sizeof *out);
        assert_int_equal(dc_view_maker_create(&maker, &view, &source, arena, &error), DC_OK);
        dc_view_make(out, sample, &maker);
        for (int i = 0; i < height * width * CHANNELS; i++) {
            const int c = i % CHANNELS, x = i / CHANNELS % width, y = i / CHANNELS / width;
            double want = 0.0;
            for (int k = 0; k < HEIGHT * WIDTH; k++)
                want += weight(y, height, k / WIDTH, HEIGHT) * weight(x, width, k % WIDTH, WIDTH) *
                        (double)raw[k * CHANNELS + c];
            const double mean = (double)view.normalization.mean[c];
            want = (want / 255.0 - mean) / (double)view.normalization.deviation[c];
            // Of values up to 255, divided by 255 deviation: 3 blends and the normalization, 8
            // roundings; or sums of up to 7 and of up to 5 products, with rounded weights, 19.
            const int roundings = height < HEIGHT || width < WIDTH ? 19 : 8;
            assert_true(fabs((double)out[i] - want) <= roundings * 0x1p-24 * (1 + mean) / 0.2);
        }
        free(out);
    }
    dc_arena_free(arena);
}

static struct dc_loader_config loading(const struct dc_augmentation *list, int count,
                                       const int64_t *ids)
{
    return (struct dc_loader_config){.source = &source,
                                     .ids = ids,
                                     .id_count = SAMPLES,
                                     .batch = SAMPLES,
                                     .augment_seed = 5,
                                     .augmentations = list,
                                     .augmentation_count = count,
                                     .views = {{{1, {0.5f}, {0.25f}}, source.sample}},
                                     .view_count = 1,
                                     .depth = 1,
                                     .threads = 1};
}

static void take(float *out, const struct dc_loader_config *config, int64_t epoch, int view)
{
    struct dc_loader *loader = NULL;
    struct dc_batch batch;
    assert_int_equal(dc_loader_create(&loader, config, &error), DC_OK);
    assert_int_equal(dc_loader_start(loader, epoch, 0, &error), DC_OK);
    assert_int_equal(dc_loader_next(loader, &batch, &error), DC_OK);
    assert_int_equal(batch.rows, config->id_count);
    assert_ptr_equal(batch.inputs, batch.views[0]);
    memcpy(out, batch.views[view],
           sizeof *out * (size_t)(batch.rows * dc_shape_count(&config->views[view].sample)));
    dc_loader_free(loader);
}

// The second network's view is the same crop: equal to a loader of its own with that view first.
static void test_several_views(void **state)
{
    (void)state;
    int64_t ids[SAMPLES];
    for (int i = 0; i < SAMPLES; i++)
        ids[i] = i;
    const struct dc_augmentation list[] = {make("pad_crop", 2), make("rotate", 20),
                                           make("mixup", 1)};
    const struct dc_view other = {{3, {0.1f, 0.2f, 0.3f}, {1, 2, 3}}, DC_SHAPE(9, 4, CHANNELS)};
    static float both[SAMPLES * 9 * 4 * CHANNELS], own[SAMPLES * 9 * 4 * CHANNELS];
    struct dc_loader_config config = loading(list, 3, ids);
    config.views[config.view_count++] = other;
    take(both, &config, 3, 1);
    config.views[0] = other;
    config.view_count = 1;
    take(own, &config, 3, 0);
    assert_memory_equal(both, own, sizeof own);
}

// Partners are drawn from mix_ids, so that a part of an epoch has the views of the whole.
static void test_part_of_an_epoch(void **state)
{
    (void)state;
    int64_t ids[SAMPLES];
    for (int i = 0; i < SAMPLES; i++)
        ids[i] = (i * 5 + 2) % SAMPLES;
    const struct dc_augmentation list[] = {make("flip", 0.5), make("mixup", 1)};
    static float whole[SAMPLES * VALUES], part[SAMPLES * VALUES];
    struct dc_loader_config config = loading(list, 2, ids);
    take(whole, &config, 1, 0);
    config.ids = ids + 4;
    config.id_count = 3;
    config.mix_ids = ids;
    config.mix_count = SAMPLES;
    take(part, &config, 1, 0);
    assert_memory_equal(part, whole + 4 * VALUES, 3 * VALUES * sizeof *part);
}

static void test_finite_augmentation(void **state)
{
    (void)state;
    int64_t ids[SAMPLES];
    for (int i = 0; i < SAMPLES; i++)
        ids[i] = i;
    const struct dc_augmentation list[] = {make("pad_crop", 4), make("flip", 0.5)};
    const int64_t outcomes = dc_augmentation_outcomes(list, 2);
    assert_int_equal(outcomes, 162);
    struct dc_loader_config config = loading(list, 2, ids);
    static float all[162][SAMPLES * VALUES], drawn[SAMPLES * VALUES];
    config.all_views = true;
    for (int64_t v = 0; v < outcomes; v++)
        take(all[v], &config, v, 0);
    config.all_views = false;
    bool seen[162] = {false};
    for (uint32_t epoch = 0; epoch < 60; epoch++) {
        take(drawn, &config, epoch, 0);
        for (int i = 0; i < SAMPLES; i++) {
            const int64_t v = dc_augmentation_drawn(list, 2, 5, epoch, (uint64_t)i);
            assert_in_range(v, 0, outcomes - 1);
            seen[v] = true;
            assert_memory_equal(drawn + i * VALUES, all[v] + i * VALUES, VALUES * sizeof *drawn);
        }
    }
    int count = 0;
    for (int64_t v = 0; v < outcomes; v++)
        count += seen[v];
    assert_true(count > 150);  // 720 draws leave 162 exp(-720 / 162) = 2 unseen on average
    // a 5 x 7 image padded by 4 is all zeros nowhere, so all views differ
    for (int64_t v = 1; v < outcomes; v++)
        assert_memory_not_equal(all[v], all[v - 1], sizeof all[v]);

    const struct dc_augmentation others[] = {make("flip", 1), make("rotate", 5), make("mixup", 1)};
    assert_int_equal(dc_augmentation_outcomes(others, 1), 1);
    assert_int_equal(dc_augmentation_outcomes(others, 2), 0);
    assert_int_equal(dc_augmentation_outcomes(others + 2, 1), 0);
    assert_int_equal(dc_augmentation_outcomes(NULL, 0), 1);
}

static void test_refusals(void **state)
{
    (void)state;
    struct dc_view view = {{3, {0}, {1, 1, 1}}, DC_SHAPE(8, 8, 1)};
    assert_int_equal(dc_view_check(&view, &source, &error), DC_ERR_CONFIG);
    assert_non_null(strstr(error.message, "[8, 8, 1]"));
    view.sample = DC_SHAPE(8);
    assert_int_equal(dc_view_check(&view, &source, &error), DC_ERR_CONFIG);
    view = (struct dc_view){{3, {0}, {1, 1, 0}}, source.sample};
    assert_int_equal(dc_view_check(&view, &source, &error), DC_ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resized),          cmocka_unit_test(test_several_views),
        cmocka_unit_test(test_part_of_an_epoch), cmocka_unit_test(test_finite_augmentation),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
