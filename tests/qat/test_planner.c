// The memory planner: no byte is two values' at a time, whatever the lifetimes; the bound is one;
// the shipped networks come within 5 % of theirs. What kernels do to inputs that they overwrite is
// tests/export/test_overlap.c's.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/random.h"
#include "qat/planner.h"
#include "tests/interop/helper_network.h"
#include "tests/qat/helper_models.h"

enum { BLOCKS_MAX = 24, STEPS = 12, SETS = 400, BYTES_MAX = 24 * 64 };

// A byte is written by its block's step, and may be lost to the successor's step alone, whose first
// bytes come `distance` before the block: what the step has written then is not yet read.
static void assert_apart(const struct dc_block *b, int count, const struct dc_block_plan *plan)
{
    for (int step = 0; step < STEPS + 1; step++) {
        int owner[BYTES_MAX];
        for (int i = 0; i < BYTES_MAX; i++)
            owner[i] = -1;
        for (int i = 0; i < count; i++) {
            if (b[i].first > step || step > b[i].last)
                continue;
            assert_true(b[i].offset >= 0 && b[i].offset + b[i].bytes <= plan->bytes);
            for (int64_t k = b[i].offset; k < b[i].offset + b[i].bytes; k++) {
                const int other = owner[k];
                owner[k] = i;
                if (other < 0)
                    continue;
                const int x = b[other].successor == i ? other : i, y = x == i ? other : i;
                assert_int_equal(b[x].successor, y);
                assert_int_equal(b[x].last, step);
                assert_true(b[y].offset + b[x].distance <= b[x].offset);
            }
        }
    }
}

static int fill_blocks(struct dc_block *b, struct dc_random *random)
{
    const int count = 1 + (int)dc_random_below(random, BLOCKS_MAX);
    for (int i = 0; i < count; i++) {
        const int first = (int)dc_random_below(random, STEPS);
        b[i] = (struct dc_block){
            .first = first,
            .last = first + (int)dc_random_below(random, (uint32_t)(STEPS + 1 - first)),
            .bytes = 4 * (1 + dc_random_below(random, 15)),
            .offset = -1,
            .successor = -1};
    }
    for (int i = 0; i < count; i++)
        for (int y = 0; y < count; y++)
            if (b[y].first == b[i].last && b[i].first < b[y].first && dc_random_below(random, 2)) {
                b[i].successor = y;
                b[i].distance = 4 * (int64_t)dc_random_below(random, 20);
            }
    return count;
}

static void no_byte_is_two_values(void **state)
{
    (void)state;
    struct dc_random random;
    int overlays = 0;
    dc_random_start(&random, 21, DC_PURPOSE_TEST, 0, 0);
    for (int set = 0; set < SETS; set++) {
        struct dc_block b[BLOCKS_MAX], again[BLOCKS_MAX];
        struct dc_block_plan plan, second;
        const int count = fill_blocks(b, &random);
        for (int i = 0; i < count; i++)
            again[i] = b[i];
        assert_int_equal(dc_blocks_place(&plan, b, count, NULL), DC_OK);
        assert_int_equal(dc_blocks_place(&second, again, count, NULL), DC_OK);
        assert_true(plan.bytes >= plan.bound && plan.bytes == second.bytes);
        assert_apart(b, count, &plan);
        for (int i = 0; i < count; i++) {
            assert_int_equal(b[i].offset, again[i].offset);
            assert_int_equal(b[i].offset % 4, 0);
            const struct dc_block *y = b[i].successor < 0 ? NULL : &b[b[i].successor];
            overlays += y && y->offset + y->bytes > b[i].offset && y->offset <= b[i].offset;
        }
    }
    assert_true(overlays > SETS / 10);
}

// Two of 40 bytes and one of 50 that is read into one of 30, which may begin 10 before it.
static void bound_by_hand(void **state)
{
    (void)state;
    struct dc_block b[] = {{.first = 0, .last = 3, .bytes = 40, .successor = -1},
                           {.first = 1, .last = 2, .bytes = 50, .successor = 2, .distance = 10},
                           {.first = 2, .last = 3, .bytes = 30, .successor = -1}};
    struct dc_block_plan plan;
    assert_int_equal(dc_blocks_place(&plan, b, 3, NULL), DC_OK);
    assert_int_equal(plan.bound, 40 + 10 + 50);
    assert_int_equal(plan.busiest, 2);
    assert_int_equal(plan.bytes, plan.bound);
    b[1].successor = -1;
    assert_int_equal(dc_blocks_place(&plan, b, 3, NULL), DC_OK);
    assert_int_equal(plan.bound, 40 + 50 + 30);
    assert_int_equal(plan.bytes, plan.bound);
}

// Of each model of configs/models that is quantized as it stands, within 5 % of what must be.
static void shipped_networks(void **state)
{
    (void)state;
    static const char *const models[] = {"resnet8",      "ds-cnn",         "ds-cnn-1d",
                                         "mobilenet-v1", "mobilenet-v2",   "fashion-student",
                                         "lenet5",       "autoencoder",    "resnet-cifar",
                                         "vgg",          "fashion-teacher"};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct dc_imodel *m = NULL;
        struct dc_imodel_cost cost;
        struct dc_error error;
        char path[512];
        snprintf(path, sizeof path, DECANT_SOURCE_DIR "/configs/models/%s.yaml", models[i]);
        if (test_lower_random(&m, path, dc_profile_find("tflm"), 8, 8, &error) != DC_OK)
            fail_msg("%s", error.message);
        assert_int_equal(dc_imodel_cost(&cost, m, &error), DC_OK);
        if (getenv("DECANT_SHOW"))
            print_message("%-16s arena %8lld, at least %8lld, with input and output %8lld, at %s\n",
                          models[i], (long long)cost.arena_bytes, (long long)cost.arena_bound,
                          (long long)cost.whole_arena_bytes, m->layers[cost.busiest].name);
        assert_true(cost.arena_bytes >= cost.arena_bound);
        assert_true((double)cost.arena_bytes <= 1.05 * (double)cost.arena_bound);
        dc_imodel_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_byte_is_two_values),
                                       cmocka_unit_test(bound_by_hand),
                                       cmocka_unit_test(shipped_networks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
