// The validation rule, its shares and its independence of anything but the seed.

#include "data/split.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

#include "core/random.h"
#include "tests/data/helper_sources.h"

enum { COUNT = 1000, CLASSES = 5 };

static struct dc_arena *arena;
static struct dc_error error;
static int32_t labels[COUNT];

static struct dc_source *make_source(bool labelled)
{
    static uint8_t value[COUNT];
    for (int i = 0; i < COUNT; i++)  // 500, 250, 125, 63, 62
        labels[i] = i % 2 ? 0 : i % 4 ? 1 : i % 8 ? 2 : i % 16 ? 3 : 4;
    return test_source(COUNT, DC_SHAPE(1), DC_U8, CLASSES, value, labelled ? labels : NULL, -1);
}

struct split {
    int64_t *train, *validation, n_train, n_validation;
};

static struct split cut(const struct dc_source *source, int64_t count, uint32_t seed)
{
    struct split split;
    if (dc_split_validation(&split.train, &split.n_train, &split.validation, &split.n_validation,
                            source, count, seed, arena, &error) != DC_OK)
        fail_msg("%s", error.message);
    return split;
}

static void both_parts_ascend_and_are_everything(void **state)
{
    (void)state;
    struct dc_source *source = make_source(true);
    static const int64_t counts[] = {0, 1, 7, 100, 500, 999};
    for (int k = 0; k < 6; k++) {
        const struct split split = cut(source, counts[k], 11);
        bool seen[COUNT] = {false};
        assert_int_equal(split.n_validation, counts[k]);
        assert_int_equal(split.n_train, COUNT - counts[k]);
        for (int64_t i = 0; i < split.n_train; i++) {
            assert_true(i == 0 || split.train[i] > split.train[i - 1]);
            seen[split.train[i]] = true;
        }
        for (int64_t i = 0; i < split.n_validation; i++) {
            assert_true(i == 0 || split.validation[i] > split.validation[i - 1]);
            assert_false(seen[split.validation[i]]);
            seen[split.validation[i]] = true;
        }
    }
    dc_source_free(source);
}

// 100 of 500, 250, 125, 63, 62: 50, 25, 12.5, 6.3, 6.2, so 50 25 13 6 6. 10: 5, 2.5, 1.25, .63,
// .62: 5 2 1 0 0 and one more to classes 3 and 4. 2: 1, .5, .25, .126, .124: 1 1. The hands worked
// these.
static void classes_give_their_share(void **state)
{
    (void)state;
    struct dc_source *source = make_source(true);
    static const struct {
        int64_t count;
        int shares[CLASSES];
    } cases[] = {{100, {50, 25, 13, 6, 6}}, {10, {5, 2, 1, 1, 1}}, {2, {1, 1, 0, 0, 0}}};
    for (int k = 0; k < 3; k++) {
        const struct split split = cut(source, cases[k].count, 5);
        int shares[CLASSES] = {0};
        for (int64_t i = 0; i < split.n_validation; i++)
            shares[labels[split.validation[i]]]++;
        assert_memory_equal(shares, cases[k].shares, sizeof shares);
    }
    dc_source_free(source);
}

static void only_the_seed_chooses(void **state)
{
    (void)state;
    struct dc_source *source = make_source(true), *bare = make_source(false);
    const struct split a = cut(source, 100, 1), b = cut(source, 100, 1), c = cut(source, 100, 2);
    assert_memory_equal(a.validation, b.validation, 100 * sizeof(int64_t));
    assert_memory_not_equal(a.validation, c.validation, 100 * sizeof(int64_t));
    const struct split d = cut(bare, 100, 1);
    assert_int_equal(d.n_validation, 100);
    dc_source_free(source);
    dc_source_free(bare);
}

// The header's rule again, on 8 samples without classes, from Philox blocks alone.
static void the_stated_rule_is_what_happens(void **state)
{
    (void)state;
    static const uint8_t values[8];
    struct dc_source *source = test_source(8, DC_SHAPE(1), DC_U8, 0, values, NULL, -1);
    int order[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    uint32_t words[8];
    for (uint32_t block = 0; block < 2; block++)
        dc_philox(words + 4 * block, (uint32_t[4]){block, 0, 0, 0},
                  (uint32_t[2]){77, DC_PURPOSE_SPLIT});
    for (int i = 7, used = 0; i > 0; i--) {  // no word here needs rejection
        const int j = (int)((uint64_t)words[used++] * (uint64_t)(i + 1) >> 32);
        const int kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    const struct split split = cut(source, 3, 77);
    for (int k = 0; k < 3; k++) {
        bool found = false;
        for (int i = 0; i < 3; i++)
            found = found || split.validation[i] == order[k];
        assert_true(found);
    }
    dc_source_free(source);
}

static void impossible_counts_are_refused(void **state)
{
    (void)state;
    struct dc_source *source = make_source(true);
    struct split split;
    static const int64_t counts[] = {-1, COUNT, COUNT + 1};
    for (int k = 0; k < 3; k++) {
        assert_int_equal(dc_split_validation(&split.train, &split.n_train, &split.validation,
                                             &split.n_validation, source, counts[k], 1, arena,
                                             &error),
                         DC_ERR_CONFIG);
        assert_non_null(strstr(error.message, "1000 training samples"));
    }
    dc_source_free(source);
}

static int set_up(void **state)
{
    (void)state;
    return dc_arena_create(&arena, &error) == DC_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    dc_arena_free(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_parts_ascend_and_are_everything),
        cmocka_unit_test(classes_give_their_share),
        cmocka_unit_test(only_the_seed_chooses),
        cmocka_unit_test(the_stated_rule_is_what_happens),
        cmocka_unit_test(impossible_counts_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
