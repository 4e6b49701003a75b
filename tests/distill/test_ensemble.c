// The mean of several teachers' probabilities: the published value, the definition, large logits.

#include "tests/core/helper_fixture.h"

#include <math.h>
#include <string.h>

#include "core/plan.h"
#include "distill/ensemble.h"
#include "tests/core/helper_run.h"

enum { BATCH = 4, CLASSES = 6 };

static struct dc_error error;

static void run(float *out, float z[2][BATCH][CLASSES], const struct dc_ensemble_attributes *a)
{
    struct dc_ctx *ctx = run_context(DC_ISA_SCALAR, 1);
    struct dc_graph *graph = NULL;
    struct dc_params *params = NULL;
    struct dc_plan *plan = NULL;
    const struct dc_shape shape = DC_SHAPE(DC_BATCH, CLASSES);
    int inputs[2], node;
    assert_int_equal(dc_graph_create(&graph, &error), DC_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            dc_graph_add_input(graph, i ? "b" : "a", DC_F32, &shape, &inputs[i], &error), DC_OK);
    assert_int_equal(
        dc_graph_add(graph, "mean", &dc_op_ensemble, a, sizeof *a, inputs, 2, &node, &error),
        DC_OK);
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = BATCH, .outputs = &node, .output_count = 1};
    assert_int_equal(dc_params_create(&params, graph, 0, false, &error), DC_OK);
    assert_int_equal(dc_plan_create(&plan, ctx, graph, &config, &error), DC_OK);
    for (int i = 0; i < 2; i++)
        dc_plan_bind(plan, inputs[i], z[i]);
    const struct dc_step step = {0};
    assert_int_equal(dc_plan_forward(plan, params, BATCH, &step, &error), DC_OK);
    memcpy(out, dc_plan_value(plan, node), sizeof(float) * BATCH * CLASSES);
    dc_plan_free(plan);
    dc_params_free(params);
    dc_graph_free(graph);
    dc_ctx_free(ctx);
}

static void softmax(double *p, const float *z, double t)
{
    double sum = 0.0;
    for (int c = 0; c < CLASSES; c++)
        sum += p[c] = exp(((double)z[c] - (double)z[0]) / t);
    for (int c = 0; c < CLASSES; c++)
        p[c] /= sum;
}

// Hinton's loss of the fixture's student against two teachers at T = 4: 1.8496670145. Averaged
// logits would give 1.8717813358, averaged losses 2.3313907170.
static void the_mean_of_probabilities_is_the_published_one(void **state)
{
    (void)state;
    float z[2][BATCH][CLASSES], u[BATCH][CLASSES];
    double loss = 0.0;
    for (int b = 0; b < BATCH; b++) {
        for (int c = 0; c < CLASSES; c++) {
            z[0][b][c] = (float)((5 * b + 4 * c + 2) % 13) / 2.0f - 3.0f;
            z[1][b][c] = (float)((3 * b + 5 * c + 4) % 7) / 2.0f - 1.5f;
        }
    }
    const struct dc_ensemble_attributes a = {.temperature = 4.0f, .weights = {0.5, 0.5}};
    run(u[0], z, &a);
    for (int b = 0; b < BATCH; b++) {
        float student[CLASSES];
        double p[CLASSES], q[CLASSES];
        for (int c = 0; c < CLASSES; c++)
            student[c] = (float)((7 * b + 3 * c + 1) % 11) / 2.0f - 2.0f;
        softmax(p, u[b], 4.0);
        softmax(q, student, 4.0);
        for (int c = 0; c < CLASSES; c++)
            loss += 16.0 * p[c] * log(p[c] / q[c]) / BATCH;
    }
    assert_true(fabs(loss - 1.8496670145) < 1e-6);
}

static void weights_and_large_logits_follow_the_definition(void **state)
{
    (void)state;
    float z[2][BATCH][CLASSES], u[BATCH][CLASSES];
    for (int i = 0; i < 2 * BATCH * CLASSES; i++)
        z[i / (BATCH * CLASSES)][i / CLASSES % BATCH][i % CLASSES] =
            (float)((i * 37 + 11) % 41 - 20) * (i % 4 == 0 ? 10.0f : 0.25f);
    for (int binary = 0; binary < 2; binary++) {
        const struct dc_ensemble_attributes a = {
            .temperature = 2.0f, .binary = binary, .weights = {0.25, 0.75}};
        run(u[0], z, &a);
        for (int b = 0; b < BATCH; b++) {
            double p[2][CLASSES], have[CLASSES];
            for (int i = 0; i < 2; i++)
                softmax(p[i], z[i][b], 2.0);
            softmax(have, u[b], 2.0);
            for (int c = 0; c < CLASSES; c++) {
                assert_true(isfinite(u[b][c]));
                double want = 0.25 * p[0][c] + 0.75 * p[1][c], got = have[c];
                if (binary) {
                    want = 0.25 / (1 + exp(-(double)z[0][b][c] / 2)) +
                           0.75 / (1 + exp(-(double)z[1][b][c] / 2));
                    got = 1 / (1 + exp(-(double)u[b][c] / 2));
                }
                // u is rounded to float: relative 2^-24 of up to 200, halved by T
                assert_true(fabs(got - want) <= 200 * 0x1p-24 * want + 1e-12);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mean_of_probabilities_is_the_published_one),
        cmocka_unit_test(weights_and_large_logits_follow_the_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
