// MAE, R2, F1 and mAP against their definitions, counted anew in double by every pair.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "train/target_scores.h"

enum { SAMPLES = 57, OUTPUTS = 3 };

static float said[SAMPLES * OUTPUTS], is[SAMPLES * OUTPUTS];
static uint32_t noise;

static float draw(void)
{
    noise = noise * 1664525u + 1013904223u;
    return (float)(noise >> 8) / 8388608.0f - 1.0f;
}

static struct dc_target_scores *score(struct dc_arena *arena, enum dc_label_kind kind, double *loss)
{
    struct dc_target_scores *s = NULL;
    double part;
    *loss = 0.0;
    assert_int_equal(dc_target_scores_create(&s, kind, OUTPUTS, SAMPLES, arena, NULL), DC_OK);
    for (int first = 0; first < SAMPLES; first += 20) {  // in batches
        const int rows = first + 20 < SAMPLES ? 20 : SAMPLES - first;
        assert_int_equal(dc_target_scores_add(s, &part, said + first * OUTPUTS,
                                              is + first * OUTPUTS, rows, NULL),
                         DC_OK);
        *loss += part;
    }
    assert_int_equal(dc_target_scores_finish(s, NULL), DC_OK);
    return s;
}

static void values_are_measured(void **state)
{
    double loss, absolute = 0.0, squared = 0.0, r2 = 0.0;
    for (int i = 0; i < SAMPLES * OUTPUTS; i++) {
        is[i] = 3.0f * draw();
        said[i] = is[i] + 0.3f * draw();
    }
    const struct dc_target_scores *s = score(*state, DC_LABELS_VALUES, &loss);
    for (int o = 0; o < OUTPUTS; o++) {
        double here = 0.0, apart = 0.0, pairs = 0.0;
        for (int i = 0; i < SAMPLES; i++) {
            const double d = (double)said[i * OUTPUTS + o] - (double)is[i * OUTPUTS + o];
            here += fabs(d) / SAMPLES;
            apart += d * d;
            for (int j = 0; j < SAMPLES; j++)  // sum (t - mean)^2 = sum over pairs (t - u)^2 / 2n
                pairs += pow((double)is[i * OUTPUTS + o] - (double)is[j * OUTPUTS + o], 2);
        }
        assert_true(fabs(s->each[o] - here) < 1e-12);
        absolute += here / OUTPUTS;
        squared += apart / OUTPUTS;
        r2 += (1.0 - apart / (pairs / (2 * SAMPLES))) / OUTPUTS;
    }
    assert_true(fabs(s->absolute_error - absolute) < 1e-12);
    assert_true(fabs(s->r2 - r2) < 1e-12 && r2 > 0.9);
    assert_true(fabs(loss - squared) < 1e-12 * SAMPLES);
}

static void tags_are_measured(void **state)
{
    double loss, expected = 0.0, map = 0.0;
    int hits = 0, all = 0;
    for (int i = 0; i < SAMPLES * OUTPUTS; i++) {
        is[i] = i % OUTPUTS != 2 && draw() > 0.2f;                // nobody has the last tag
        said[i] = floorf(4.0f * (draw() + 0.7f * is[i])) / 4.0f;  // with many ties
        hits += said[i] > 0.0f && is[i] > 0.0f;
        all += (said[i] > 0.0f) + (is[i] > 0.0f);
        expected += -log(is[i] > 0.0f ? 1.0 / (1.0 + exp(-(double)said[i]))
                                      : 1.0 / (1.0 + exp((double)said[i]))) /
                    OUTPUTS;
    }
    const struct dc_target_scores *s = score(*state, DC_LABELS_TAGS, &loss);
    assert_true(fabs(loss - expected) < 1e-9);
    assert_true(fabs(s->f1 - 2.0 * hits / all) < 1e-12);
    for (int o = 0; o < 2; o++) {
        double sum = 0.0;
        int has = 0;
        for (int i = 0; i < SAMPLES; i++) {
            int above = 0, among = 0;
            if (!(is[i * OUTPUTS + o] > 0.0f))
                continue;
            for (int j = 0; j < SAMPLES; j++) {
                const int at_least = said[j * OUTPUTS + o] >= said[i * OUTPUTS + o];
                above += at_least;
                among += at_least && is[j * OUTPUTS + o] > 0.0f;
            }
            sum += (double)among / above;
            has++;
        }
        assert_true(fabs(s->each[o] - sum / has) < 1e-12);
        map += sum / has / 2;
    }
    assert_true(isnan(s->each[2]));
    assert_true(fabs(s->average_precision - map) < 1e-12);
}

static void edges_have_a_value(void **state)
{
    double loss;
    for (int i = 0; i < SAMPLES * OUTPUTS; i++)
        is[i] = said[i] = 0.0f;
    assert_true(score(*state, DC_LABELS_VALUES, &loss)->r2 == 1.0);  // all alike, and met
    assert_true(score(*state, DC_LABELS_TAGS, &loss)->f1 == 1.0);    // nothing there or said
    said[0] = 1.0f;
    assert_true(score(*state, DC_LABELS_VALUES, &loss)->r2 < 1.0);
    assert_true(score(*state, DC_LABELS_TAGS, &loss)->f1 == 0.0);
    struct dc_target_scores *s = NULL;
    struct dc_error error;
    said[4] = NAN;
    assert_int_equal(dc_target_scores_create(&s, DC_LABELS_VALUES, OUTPUTS, SAMPLES, *state, NULL),
                     DC_OK);
    assert_int_equal(dc_target_scores_add(s, &loss, said, is, 2, &error), DC_ERR_NUMERIC);
    assert_string_equal(error.message, "the outputs of sample 1 are not finite");
}

static int set_up(void **state)
{
    struct dc_arena *arena = NULL;
    const int failed = dc_arena_create(&arena, NULL) != DC_OK;
    *state = arena;
    return failed;
}

static int tear_down(void **state)
{
    dc_arena_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_measured),
        cmocka_unit_test(tags_are_measured),
        cmocka_unit_test(edges_have_a_value),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
