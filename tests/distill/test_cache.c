// The soft-target cache: what goes in comes out, and what does not fit is refused with both values.

#include "distill/cache.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
// clang-format on

#include "core/half.h"
#include "core/random.h"
#include "tests/core/helper_folder.h"

enum { SAMPLES = 23, IDS = 20, CLASSES = 6, FEATURE = 5, BLOCK = 8, ROW = CLASSES + FEATURE };

static struct dc_error error;
static struct dc_source source = {
    .count = SAMPLES, .sample = {3, {6, 6, 1}}, .dtype = DC_U8, .classes = CLASSES, .hash = 77};
static int64_t ids[IDS];
static struct dc_augmentation augmentations[3];

static int set_up(void **state)
{
    (void)state;
    for (int i = 0; i < IDS; i++)
        ids[i] = i + (i > 4) + (i > 11);  // 5 and 13 are left out
    augmentations[0] = dc_augmentation_default(dc_augmentation_find("pad_crop"));
    augmentations[0].values[0] = 1;
    augmentations[1] = dc_augmentation_default(dc_augmentation_find("flip"));
    augmentations[2] = dc_augmentation_default(dc_augmentation_find("mixup"));
    return test_folder() ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    test_folder_remove();
    return 0;
}

static struct dc_cache_spec spec_of(enum dc_cache_mode mode)
{
    return (struct dc_cache_spec){.mode = mode,
                                  .dtype = DC_F32,
                                  .block = BLOCK,
                                  .columns = {{"logits", CLASSES}, {"feature", FEATURE}},
                                  .column_count = 2,
                                  .teacher = 1234,
                                  .teacher_name = "big",
                                  .view = {{1, {0.5f}, {0.25f}}, source.sample},
                                  .augmentations = augmentations,
                                  .augmentation_count = 2,
                                  .augment_seed = 9,
                                  .source = &source,
                                  .ids = ids,
                                  .id_count = IDS,
                                  .isa = DC_ISA_SCALAR};
}

// A number of its own for every value.
static float value_of(int64_t epoch, int64_t position, int64_t view, int64_t i)
{
    const uint64_t key[] = {(uint64_t)epoch, (uint64_t)position, (uint64_t)view, (uint64_t)i};
    return (float)(dc_hash_bytes(DC_HASH_START, key, sizeof key) % 100003) / 5000.0f - 10.0f;
}

static struct dc_cache *opened(const char *folder, const struct dc_cache_spec *spec)
{
    struct dc_cache *cache = NULL;
    if (dc_cache_open(&cache, test_path(folder), spec, DC_CACHE_MAKE, &error) != DC_OK)
        fail_msg("%s", error.message);
    return cache;
}

static void write_block(struct dc_cache *cache, int64_t epoch, int64_t block)
{
    const struct dc_rows rows = dc_cache_block(cache, block);
    const int64_t views = dc_cache_views(cache), row = dc_cache_row(cache);
    float *values = malloc(sizeof *values * (size_t)(rows.count * views * row));
    for (int64_t s = 0; s < rows.count; s++)
        for (int64_t v = 0; v < views; v++)
            for (int64_t i = 0; i < row; i++)
                values[(s * views + v) * row + i] = value_of(epoch, rows.first + s, v, i);
    if (dc_cache_write(cache, epoch, block, values, &error) != DC_OK)
        fail_msg("%s", error.message);
    free(values);
}

static void write_epoch(struct dc_cache *cache, int64_t epoch)
{
    for (int64_t b = 0; b < dc_cache_blocks(cache); b++) {
        bool taken = false;
        assert_false(dc_cache_has(cache, epoch, b));
        assert_int_equal(dc_cache_claim(&taken, cache, epoch, b, &error), DC_OK);
        assert_true(taken);
        write_block(cache, epoch, b);
        dc_cache_release(cache);
        assert_true(dc_cache_has(cache, epoch, b));
    }
}

static void assert_column(const struct dc_cache *cache, int64_t epoch, int column, bool half)
{
    float values[3 * CLASSES];
    const int64_t width = column ? FEATURE : CLASSES;
    const uint64_t wanted[] = {(uint64_t)ids[19], (uint64_t)ids[0], (uint64_t)ids[9]};
    static const int64_t positions[] = {19, 0, 9};
    const struct dc_cache_spec *spec = dc_cache_holds(cache);
    assert_int_equal(dc_cache_read(values, cache, column, wanted, 3, &error), DC_OK);
    for (int r = 0; r < 3; r++) {
        const int64_t view = spec->mode == DC_CACHE_VIEWS
                                 ? dc_augmentation_drawn(augmentations, 2, spec->augment_seed,
                                                         (uint32_t)epoch, wanted[r])
                                 : 0;
        const int64_t folder = spec->mode == DC_CACHE_EPOCHS ? epoch : 0;
        for (int64_t i = 0; i < width; i++) {
            float want = value_of(folder, positions[r], view, i + (column ? CLASSES : 0));
            if (half)
                want = dc_half_to_float(dc_half_from_float(want));
            assert_true(values[r * width + i] == want);
        }
    }
}

static void what_goes_in_comes_out(void **state)
{
    (void)state;
    for (int mode = 0; mode < DC_CACHE_MODE_COUNT; mode++) {
        for (int half = 0; half < 2; half++) {
            char folder[32];
            snprintf(folder, sizeof folder, "io-%d-%d", mode, half);
            struct dc_cache_spec spec = spec_of((enum dc_cache_mode)mode);
            spec.dtype = half ? DC_F16 : DC_F32;
            struct dc_cache *cache = opened(folder, &spec);
            assert_int_equal(dc_cache_views(cache), mode == DC_CACHE_VIEWS ? 18 : 1);
            assert_int_equal(dc_cache_blocks(cache), 3);
            assert_int_equal(dc_cache_block(cache, 2).count, 4);
            for (int64_t e = 0; e < dc_cache_epochs(cache, 2); e++)
                write_epoch(cache, e);
            dc_cache_free(cache);
            cache = opened(folder, &spec);  // another process
            for (int64_t epoch = 0; epoch < 2; epoch++) {
                if (dc_cache_load(cache, epoch, &error) != DC_OK)
                    fail_msg("%s", error.message);
                assert_column(cache, epoch, 0, half);
                assert_column(cache, epoch, 1, half);
            }
            const uint64_t strange[] = {5, SAMPLES + 9};
            float values[CLASSES];
            for (int i = 0; i < 2; i++)
                assert_int_equal(dc_cache_read(values, cache, 0, &strange[i], 1, &error),
                                 DC_ERR_DATA);
            dc_cache_free(cache);
        }
    }
}

// Other augment seeds read other views of the same cache; epochs do not.
static void views_serve_every_seed(void **state)
{
    (void)state;
    struct dc_cache_spec spec = spec_of(DC_CACHE_VIEWS);
    struct dc_cache *cache = opened("seeds", &spec);
    write_epoch(cache, 0);
    dc_cache_free(cache);
    spec.augment_seed = 10;
    cache = opened("seeds", &spec);
    assert_int_equal(dc_cache_load(cache, 7, &error), DC_OK);
    assert_column(cache, 7, 0, false);
    dc_cache_free(cache);
}

static void refused(const char *folder, const struct dc_cache_spec *spec, const char *a,
                    const char *b)
{
    struct dc_cache *cache = NULL;
    assert_int_equal(dc_cache_open(&cache, test_path(folder), spec, DC_CACHE_MAKE, &error),
                     DC_ERR_CONFIG);
    assert_null(cache);
    if (!strstr(error.message, a) || !strstr(error.message, b))
        fail_msg("'%s' and '%s' are not in: %s", a, b, error.message);
}

static void another_identity_is_refused_with_both_values(void **state)
{
    (void)state;
    const struct dc_cache_spec good = spec_of(DC_CACHE_EPOCHS);
    dc_cache_free(opened("identity", &good));
    dc_cache_free(opened("identity", &good));
    struct dc_cache_spec spec = good;
    spec.teacher++;
    refused("identity", &spec, "'00000000000004d2'", "'00000000000004d3'");
    spec = good;
    spec.augment_seed = 10;
    refused("identity", &spec, "augment_seed '9'", "'10'");
    spec = good;
    spec.augmentation_count = 1;
    refused("identity", &spec, "flip", "'pad_crop pad=1'");
    spec = good;
    spec.view.normalization.mean[0] = 0.25f;
    refused("identity", &spec, "mean 0.5", "mean 0.25");
    spec = good;
    spec.view.sample = DC_SHAPE(8, 8, 1);
    refused("identity", &spec, "[6, 6, 1]", "[8, 8, 1]");
    struct dc_source other = source;
    other.hash++;
    spec = good;
    spec.source = &other;
    refused("identity", &spec, "data '000000000000004d'", "'000000000000004e'");
    spec = good;
    spec.id_count--;
    refused("identity", &spec, "samples '20", "'19");
    spec = good;
    spec.dtype = DC_F16;
    refused("identity", &spec, "float32", "float16");
    spec = good;
    spec.mode = DC_CACHE_STATIC;
    refused("identity", &spec, "epochs", "static");
    spec = good;
    spec.column_count = 1;
    refused("identity", &spec, "feature, 5 values", "none");
    spec = good;
    spec.top = 2;
    refused("identity", &spec, "top '0'", "'2'");
    spec = good;
    spec.isa = DC_ISA_AVX2;  // told, not refused
    struct dc_cache *cache = opened("identity", &spec);
    assert_string_equal(dc_cache_isa(cache), dc_isa_name(DC_ISA_SCALAR));
    dc_cache_free(cache);
}

static void modes_say_what_they_cannot_hold(void **state)
{
    (void)state;
    struct dc_cache_spec spec = spec_of(DC_CACHE_VIEWS);
    spec.augmentation_count = 3;
    refused("no", &spec, "mixup", "epochs");
    spec.mode = DC_CACHE_STATIC;
    refused("no", &spec, "mixup", "epochs");
    const struct dc_augmentation rotate = dc_augmentation_default(dc_augmentation_find("rotate"));
    spec.mode = DC_CACHE_VIEWS;
    spec.augmentations = &rotate;
    spec.augmentation_count = 1;
    refused("no", &spec, "rotate", "epochs");
    spec = spec_of(DC_CACHE_EPOCHS);
    spec.top = CLASSES;
    refused("no", &spec, "1 to 5", "6");
    assert_int_not_equal(access(test_path("no"), F_OK), 0);
}

static void change_byte(const char *path, long at, bool cut)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    const int byte = fgetc(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_not_equal(fputc(byte ^ 1, file), EOF);
    fclose(file);
    if (cut)
        assert_int_equal(truncate(path, at), 0);
}

// Every byte of the file counts, and none that changed reaches HDF5.
static void damage_is_found(void **state)
{
    (void)state;
    const struct dc_cache_spec spec = spec_of(DC_CACHE_EPOCHS);
    struct dc_cache *cache = opened("damage", &spec);
    write_epoch(cache, 0);
    const char *path = test_path("damage/epoch-0000/block-0001.h5");
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    const long size = ftell(file);
    fclose(file);
    for (long at = 0; at < size; at++) {
        change_byte(path, at, false);
        assert_int_equal(dc_cache_check(cache, 0, 1, &error), DC_ERR_DATA);
        change_byte(path, at, false);
    }
    assert_int_equal(dc_cache_check(cache, 0, 1, &error), DC_OK);
    change_byte(path, size / 2, true);
    assert_int_equal(dc_cache_check(cache, 0, 1, &error), DC_ERR_DATA);
    assert_int_equal(dc_cache_load(cache, 0, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "--repair"));
    assert_non_null(strstr(error.message, "block-0001.h5"));
    assert_int_equal(remove(path), 0);
    assert_int_equal(dc_cache_load(cache, 0, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "missing"));
    write_block(cache, 0, 1);
    assert_int_equal(dc_cache_load(cache, 0, &error), DC_OK);
    // a shard of another place, or of another cache, is not taken
    assert_int_equal(rename(test_path("damage/epoch-0000/block-0000.h5"), path), 0);
    assert_int_equal(dc_cache_check(cache, 0, 1, &error), DC_ERR_DATA);
    dc_cache_free(cache);
}

// Reference values: the three largest logits of z_t, the rest spread evenly, at temperature 1.
static void the_top_keeps_its_probabilities(void **state)
{
    (void)state;
    static const double published[CLASSES] = {0.0200552325, 0.0730209705, 0.5395560470,
                                              0.0200552325, 0.0200552325, 0.3272572852};
    int64_t four[4] = {0, 1, 2, 3};
    float z_t[4][CLASSES], z_s[4][CLASSES];
    for (int b = 0; b < 4; b++) {
        for (int c = 0; c < CLASSES; c++) {
            z_s[b][c] = (float)((7 * b + 3 * c + 1) % 11) / 2.0f - 2.0f;
            z_t[b][c] = (float)((5 * b + 4 * c + 2) % 13) / 2.0f - 3.0f;
        }
    }
    struct dc_cache_spec spec = spec_of(DC_CACHE_STATIC);
    spec.column_count = 1;
    spec.top = 3;
    spec.ids = four;
    spec.id_count = 4;
    struct dc_cache *cache = opened("top", &spec);
    bool taken = false;
    assert_int_equal(dc_cache_claim(&taken, cache, 0, 0, &error), DC_OK);
    assert_int_equal(dc_cache_write(cache, 0, 0, z_t[0], &error), DC_OK);
    dc_cache_release(cache);
    assert_int_equal(dc_cache_load(cache, 0, &error), DC_OK);
    double cross_entropy = 0.0;
    for (int b = 0; b < 4; b++) {
        float z[CLASSES];
        double sum = 0.0, sum_s = 0.0;
        dc_cache_read_view(z, cache, 0, b, 0);
        for (int c = 0; c < CLASSES; c++) {
            sum += exp((double)z[c]);
            sum_s += exp((double)z_s[b][c]);
        }
        for (int c = 0; c < CLASSES; c++) {
            const double p = exp((double)z[c]) / sum;
            if (b == 0)
                assert_true(fabs(p - published[c]) < 1e-6 * published[c] + 1e-9);
            cross_entropy -= p * ((double)z_s[b][c] - log(sum_s)) / 4.0;
        }
    }
    assert_true(fabs(cross_entropy - 2.9183011974) < 1e-6);
    dc_cache_free(cache);
}

static void what_cannot_be_stored_is_refused(void **state)
{
    (void)state;
    struct dc_cache_spec spec = spec_of(DC_CACHE_EPOCHS);
    float rows[BLOCK * ROW] = {0};
    struct dc_cache *cache = opened("nan", &spec);
    rows[2 * ROW + 3] = NAN;
    assert_int_equal(dc_cache_write(cache, 0, 0, rows, &error), DC_ERR_NUMERIC);
    assert_false(dc_cache_has(cache, 0, 0));
    dc_cache_free(cache);
    spec.dtype = DC_F16;
    cache = opened("wide", &spec);
    rows[2 * ROW + 3] = 70000.0f;
    assert_int_equal(dc_cache_write(cache, 0, 0, rows, &error), DC_ERR_DATA);
    assert_non_null(strstr(error.message, "float32"));
    assert_false(dc_cache_has(cache, 0, 0));
    dc_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(views_serve_every_seed),
        cmocka_unit_test(another_identity_is_refused_with_both_values),
        cmocka_unit_test(modes_say_what_they_cannot_hold),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(the_top_keeps_its_probabilities),
        cmocka_unit_test(what_cannot_be_stored_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
