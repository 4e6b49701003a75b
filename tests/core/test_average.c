// The moving average of the optimizer: what is averaged and what is copied.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/optimizer.h"

enum { COUNT = 16, SLICES = 4 };

static void observers_and_frozen_slices_are_copied(void **state)
{
    (void)state;
    struct dc_error error;
    struct dc_ctx *ctx = NULL;
    const struct dc_ctx_config config = {.threads = 2};
    assert_int_equal(dc_ctx_create(&ctx, &config, &error), DC_OK);
    static const enum dc_role roles[SLICES] = {DC_ROLE_WEIGHT, DC_ROLE_STATISTIC, DC_ROLE_OBSERVER,
                                               DC_ROLE_WEIGHT};
    struct dc_slice slices[SLICES] = {{0}};
    float value[SLICES * COUNT], before[SLICES * COUNT], average[SLICES * COUNT];
    float gradient[SLICES * COUNT] = {0}, momentum[SLICES * COUNT] = {0};
    for (int i = 0; i < SLICES; i++) {
        slices[i] = (struct dc_slice){.name = "slice",
                                      .role = roles[i],
                                      .offset = i * COUNT,
                                      .count = COUNT,
                                      .frozen = i == SLICES - 1};
        for (int k = 0; k < COUNT; k++) {
            value[i * COUNT + k] = 0.1f * (float)(k + 1) + (float)i;
            average[i * COUNT + k] = -1.0f;
        }
    }
    memcpy(before, value, sizeof before);
    struct dc_params params = {.slices = slices,
                               .count = SLICES,
                               .total = SLICES * COUNT,
                               .value = value,
                               .gradient = gradient,
                               .average = average,
                               .state = {momentum}};
    const struct dc_optimizer sgd = {.kind = DC_SGD, .momentum = 0.9f};
    dc_optimizer_step(ctx, &sgd, &params, 0.1, 1.0, 0.7, 1);
    assert_memory_equal(value, before, sizeof value);
    for (int i = 0; i < SLICES; i++) {
        for (int k = 0; k < COUNT; k++) {
            const double v = (double)value[i * COUNT + k], a = (double)average[i * COUNT + k];
            if (i < 2)
                assert_true(a - (0.7 * -1.0 + 0.3 * v) < 1e-6 &&
                            a - (0.7 * -1.0 + 0.3 * v) > -1e-6);
            else
                assert_true(average[i * COUNT + k] == value[i * COUNT + k]);
        }
    }
    dc_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(observers_and_frozen_slices_are_copied)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
