// Learning-rate schedules against values worked out by hand.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "train/schedule.h"

struct schedule_case {
    const char *name;
    struct dc_schedule schedule;
    double base;
    int64_t steps_per_epoch, total_steps;
    int count;
    struct {
        int64_t step;
        double rate;
    } points[12];
};

static const struct schedule_case cases[] = {
    {"constant", {.kind = DC_SCHEDULE_CONSTANT}, 0.1, 10, 100, 3, {{0, 0.1}, {50, 0.1}, {99, 0.1}}},
    {"step: a tenth every 30 epochs",
     {.kind = DC_SCHEDULE_STEP, .step_epochs = 30, .factor = 0.1},
     1.0,
     5,
     500,
     6,
     {{0, 1.0}, {149, 1.0}, {150, 0.1}, {299, 0.1}, {300, 0.01}, {450, 0.001}}},
    {"milestones 150, 180, 210",
     {.kind = DC_SCHEDULE_MULTI_STEP,
      .factor = 0.1,
      .milestones = {150, 180, 210},
      .milestone_count = 3},
     0.05,
     782,
     782 * 240,
     8,
     {{0, 0.05},
      {782 * 150 - 1, 0.05},
      {782 * 150, 0.005},
      {782 * 180 - 1, 0.005},
      {782 * 180, 0.0005},
      {782 * 210 - 1, 0.0005},
      {782 * 210, 0.00005},
      {782 * 240 - 1, 0.00005}}},
    // (1 + cos(pi t)) / 2 at t = 0, 1/6, 1/4, 1/3, 1/2, 2/3, and (1 + sqrt(3)/2) / 2 and so on.
    {"cosine to zero",
     {.kind = DC_SCHEDULE_COSINE},
     0.2,
     12,
     120,
     7,
     {{0, 0.2},
      {20, 0.2 * 0.93301270189221941},
      {30, 0.2 * 0.85355339059327373},
      {40, 0.15},
      {60, 0.1},
      {80, 0.05},
      {120, 0.0}}},
    {"cosine to a tenth",
     {.kind = DC_SCHEDULE_COSINE, .final_fraction = 0.1},
     1.0,
     10,
     60,
     4,
     {{0, 1.0}, {20, 0.1 + 0.9 * 0.75}, {30, 0.55}, {60, 0.1}}},
    // 4 steps of rise, the last of which has the full rate; the cosine starts behind them.
    {"warm-up from a half, then cosine",
     {.kind = DC_SCHEDULE_COSINE, .warmup_epochs = 0.5, .start_fraction = 0.5},
     0.8,
     8,
     64,
     7,
     {{0, 0.5}, {1, 0.6}, {2, 0.7}, {3, 0.8}, {4, 0.8}, {34, 0.4}, {64, 0.0}}},
    {"warm-up from zero, then constant",
     {.kind = DC_SCHEDULE_CONSTANT, .warmup_epochs = 1},
     0.1,
     5,
     50,
     4,
     {{0, 0.02}, {3, 0.08}, {4, 0.1}, {5, 0.1}}},
    {"milestones count epochs from the start, warm-up or not",
     {.kind = DC_SCHEDULE_MULTI_STEP,
      .warmup_epochs = 2,
      .factor = 0.5,
      .milestones = {3, 4},
      .milestone_count = 2},
     1.0,
     4,
     40,
     5,
     {{7, 1.0}, {8, 1.0}, {11, 1.0}, {12, 0.5}, {16, 0.25}}},
};

static void rates_are_those_worked_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct schedule_case *c = &cases[i];
        for (int k = 0; k < c->count; k++) {
            const double rate = dc_schedule_rate(&c->schedule, c->base, c->points[k].step,
                                                 c->steps_per_epoch, c->total_steps);
            if (!(fabs(rate - c->points[k].rate) <= 1e-14 * c->base))
                fail_msg("%s, step %lld: %.17g, not %.17g", c->name, (long long)c->points[k].step,
                         rate, c->points[k].rate);
        }
    }
}

// After warm-up a cosine only falls, and stays between its ends.
static void cosine_falls(void **state)
{
    (void)state;
    const struct dc_schedule s = {
        .kind = DC_SCHEDULE_COSINE, .warmup_epochs = 1, .final_fraction = 0.01};
    double last = 1.0;
    for (int64_t step = 10; step <= 1000; step++) {
        const double rate = dc_schedule_rate(&s, 1.0, step, 10, 1000);
        assert_true(rate <= last && rate >= 0.01 - 1e-15);
        last = rate;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_those_worked_out),
        cmocka_unit_test(cosine_falls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
