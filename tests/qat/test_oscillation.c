// Oscillating weights against Algorithm 1 of Nagel et al. in double precision, from the whole
// history of codes, and the dampening term's gradient against finite differences of its definition.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/graph.h"
#include "core/random.h"
#include "qat/fake_quantize.h"
#include "qat/oscillation.h"
#include "tests/qat/helper_graphs.h"

enum { INPUTS = 5, UNITS = 3, WEIGHTS = INPUTS * UNITS, STEPS = 60 };

static const double scales[UNITS] = {0.125, 0.25, 0.1875};

struct net {
    struct dc_graph *graph;
    struct dc_params *params;
    struct dc_oscillation *oscillation;
    float *w, *gradient, *average;
};

// A dense layer of 4-bit weights with kept scales.
static void open_net(struct net *n, const struct dc_oscillation_config *config)
{
    int image, node;
    const struct dc_quantized_dense_attributes a = {
        {UNITS, false}, {.per_channel = true, .bits = 4, .scaling = DC_SCALE_KEPT, .tracks = true}};
    test_must(dc_graph_create(&n->graph, &test_error));
    test_must(dc_graph_add_input(n->graph, "x", DC_F32, &DC_SHAPE(DC_BATCH, INPUTS), &image,
                                 &test_error));
    test_must(dc_graph_add(n->graph, "fc", &dc_op_quantized_dense, &a, sizeof a, &image, 1, &node,
                           &test_error));
    test_must(dc_params_create(&n->params, n->graph, 1, true, &test_error));
    assert_string_equal(n->params->slices[n->params->count - 1].name, "fc.oscillation");
    for (int c = 0; c < UNITS; c++)
        n->params->value[dc_params_find(n->params, "fc.scale")->offset + c] = (float)scales[c];
    const struct dc_slice *w = dc_params_find(n->params, "fc.weight");
    n->w = n->params->value + w->offset;
    n->gradient = n->params->gradient + w->offset;
    n->average = n->params->average + w->offset;
    test_must(
        dc_oscillation_create(&n->oscillation, test_ctx, n->graph, n->params, config, &test_error));
}

static void close_net(struct net *n)
{
    dc_oscillation_free(n->oscillation);
    dc_params_free(n->params);
    dc_graph_free(n->graph);
}

static double code_of(double w, int i)
{
    return fmax(-7.0, fmin(7.0, rint(w / scales[i % UNITS])));
}

// The latent weight of step t: some rest, some drift, some hop over a border, some past the grid.
static double latent(int i, int t)
{
    const double s = scales[i % UNITS], drift = 0.01 * t * s;
    switch (i % 5) {
    case 0:
        return 2.2 * s;
    case 1:
        return (1.5 + (t / (1 + i / 5) % 2 ? 0.2 : -0.2)) * s;
    case 2:
        return -1.1 * s + drift;
    case 3:
        return (t % 3 ? 6.0 : 9.0) * s;
    default:
        return (-2.5 + 0.9 * sin(0.45 * t + i)) * s;
    }
}

// From codes[0..t] alone: how often they turned.
static double frequency_of(const double *codes, int t, double momentum)
{
    double frequency = 0.0, last = 0.0;
    for (int k = 1; k <= t; k++) {
        const double moved = codes[k] - codes[k - 1];
        const bool turned = moved != 0.0 && last != 0.0 && (moved > 0.0) != (last > 0.0);
        last = moved != 0.0 ? moved : last;
        frequency = momentum * turned + (1.0 - momentum) * frequency;
    }
    return frequency;
}

static void codes_are_followed(void **state)
{
    (void)state;
    const struct dc_oscillation_config config = {.momentum = 0.1,
                                                 .threshold = 0.2,
                                                 .threshold_start = 0.4,
                                                 .freeze_start = 0.25,
                                                 .reported_frequency = 0.05};
    struct net n;
    static double codes[WEIGHTS][STEPS];
    int frozen_at[WEIGHTS];
    double frozen_code[WEIGHTS], average[WEIGHTS], frequency[WEIGHTS];
    open_net(&n, &config);
    memset(frozen_at, -1, sizeof frozen_at);
    for (int t = 0; t < STEPS; t++) {
        const double share = ((double)t / STEPS - 0.25) / 0.75;
        const double threshold = 0.2 + 0.2 * 0.5 * (1.0 + cos(acos(-1.0) * share));
        for (int i = 0; i < WEIGHTS; i++)
            n.w[i] = (float)latent(i, t);  // what an optimizer did, to frozen weights too
        dc_oscillation_track(n.oscillation, (double)t / STEPS);
        for (int i = 0; i < WEIGHTS; i++) {
            if (frozen_at[i] < 0) {
                codes[i][t] = code_of((double)(float)latent(i, t), i);
                average[i] = t ? 0.1 * codes[i][t] + 0.9 * average[i] : codes[i][0];
                frequency[i] = frequency_of(codes[i], t, 0.1);
                if (share >= 0.0 && frequency[i] > threshold) {
                    frozen_at[i] = t;
                    frozen_code[i] = rint(average[i]);
                }
            }
            const double wanted = frozen_at[i] < 0 ? (double)(float)latent(i, t)
                                                   : frozen_code[i] * scales[i % UNITS];
            if ((double)n.w[i] != wanted)
                fail_msg("step %d, weight %d: %g, not %g", t, i, (double)n.w[i], wanted);
            assert_true(frozen_at[i] < 0 || n.average[i] == n.w[i]);
        }
    }
    const float *state_row = n.params->value + dc_params_find(n.params, "fc.oscillation")->offset;
    int frozen = 0, oscillating = 0;
    for (int i = 0; i < WEIGHTS; i++) {
        const double f = (double)state_row[DC_OSCILLATION_FREQUENCY * WEIGHTS + i];
        assert_true(fabs(f - frequency[i]) < STEPS * 1.2e-7);
        frozen += frozen_at[i] >= 0;
        oscillating += frozen_at[i] < 0 && frequency[i] > 0.05;
    }
    struct dc_oscillation_share share;
    assert_true(frozen > 2 && frozen < WEIGHTS - 4 && oscillating > 0);
    assert_true(dc_oscillation_of(&share, &n.graph->nodes[1], n.params, 0.05));
    assert_true(fabs(share.frozen * WEIGHTS - frozen) < 1e-9);
    assert_true(fabs(share.oscillating * WEIGHTS - oscillating) < 1e-9);
    assert_false(dc_oscillation_of(&share, &n.graph->nodes[0], n.params, 0.05));
    close_net(&n);
}

// weight * (round(w) - clip(w))^2, what is rounded taken for a constant.
static double dampening(double w, double rounded, int i, double weight)
{
    const double s = scales[i % UNITS], end = 7.0 * s;
    const double off = rounded - fmax(-end, fmin(end, w));
    return weight * off * off;
}

static void dampening_is_its_gradient(void **state)
{
    (void)state;
    const struct dc_oscillation_config config = {.momentum = 0.1, .dampening = 3.0};
    for (int part = 0; part <= 4; part++) {
        struct net n;
        const double progress = part / 4.0;
        const double weight = 3.0 * 0.5 * (1.0 - cos(acos(-1.0) * progress));
        open_net(&n, &config);
        for (int i = 0; i < WEIGHTS; i++) {
            n.w[i] = (float)latent(i, 3 + part);
            n.gradient[i] = 0.5f;
        }
        dc_oscillation_dampen(n.oscillation, progress);
        for (int i = 0; i < WEIGHTS; i++) {
            const double w = (double)n.w[i], rounded = code_of(w, i) * scales[i % UNITS];
            const double h = 1e-6;
            const double slope = (dampening(w + h, rounded, i, weight) -
                                  dampening(w - h, rounded, i, weight)) /
                                 (2.0 * h);
            // Truncation is none for a square; 1e-16 of terms up to 3 * 0.5^2 over h, and floats.
            if (!(fabs((double)n.gradient[i] - 0.5 - slope) < 1e-6))
                fail_msg("weight %d: %.9g, not %.9g", i, (double)n.gradient[i] - 0.5, slope);
        }
        close_net(&n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_followed),
        cmocka_unit_test(dampening_is_its_gradient),
    };
    return cmocka_run_group_tests(tests, test_set_up, test_tear_down);
}
