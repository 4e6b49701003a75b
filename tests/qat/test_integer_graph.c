// The network that an integer model is: run as the float ops that it consists of, it gives the
// engine's codes but for the rounding of single results, which may go one code the other way;
// quantize and dequantize against the textbook; and what its parameters stand for.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops/ops.h"
#include "core/plan.h"
#include "qat/engine.h"
#include "qat/integer_graph.h"
#include "qat/profile.h"
#include "tests/qat/helper_graphs.h"
#include "tests/qat/helper_models.h"

enum { ROWS = 16, SEEDS = 12 };

// The largest difference, in codes, between the network's output and the engine's.
static int codes_apart(struct dc_imodel *model, struct dc_random *random)
{
    const struct dc_ilayer *in = &model->layers[0], *out = dc_imodel_output(model);
    const int64_t inputs = ROWS * dc_ilayer_size(in), outputs = ROWS * dc_ilayer_size(out);
    int8_t *codes = malloc((size_t)(inputs + outputs));
    float *x = malloc(sizeof *x * (size_t)inputs);
    struct dc_engine *engine = NULL;
    struct dc_network network;
    struct dc_plan *plan = NULL;
    const int *stored;
    int most = 0;
    assert_true(codes && x);
    test_fill_codes(codes, inputs, random);
    for (int64_t i = 0; i < inputs; i++)
        x[i] = in->scale * (float)(codes[i] - in->zero_point);
    test_must(dc_engine_create(&engine, test_ctx, model, &test_error));
    dc_engine_run(engine, codes + inputs, codes, ROWS);
    test_must(dc_integer_graph(&network, &stored, model, &test_error));
    const int wanted = stored[model->count - 1];
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = ROWS, .outputs = &wanted, .output_count = 1};
    const struct dc_step step = {.total_batch = ROWS};
    test_must(dc_plan_create(&plan, test_ctx, network.graph, &config, &test_error));
    dc_plan_bind(plan, network.input, x);
    test_must(dc_plan_forward(plan, network.params, ROWS, &step, &test_error));
    const float *have = dc_plan_value(plan, wanted);
    for (int64_t i = 0; i < outputs; i++) {
        assert_true(have[i] == (float)(int)have[i]);
        const int apart = abs((int)have[i] - codes[inputs + i]);
        most = apart > most ? apart : most;
    }
    dc_plan_free(plan);
    dc_network_free(&network);
    dc_engine_free(engine);
    free(x);
    free(codes);
    dc_imodel_free(model);
    return most;
}

static const struct dc_ilayer alone[] = {
    {.op = DC_I_CONV2D, .channels = 9, .window = {.kernel = {3, 3}}, .per_channel = true},
    {.op = DC_I_CONV2D,
     .channels = 6,
     .window = {.kernel = {2, 3}, .stride = {2, 0}, .before = {0, 2}},
     .clamp_low = -60,
     .clamp_high = 90},
    {.op = DC_I_DEPTHWISE_CONV2D,
     .channels = 8,
     .window = {.kernel = {3, 3}, .dilation = {2, 0}, .after = {3, 0}},
     .per_channel = true},
    {.op = DC_I_FULLY_CONNECTED, .channels = 17, .weight_bits = 4},
    {.op = DC_I_AVERAGE_POOL, .window = {.kernel = {3, 2}, .stride = {0, 2}, .before = {2, 0}}},
    {.op = DC_I_MAX_POOL, .window = {.kernel = {2, 3}, .after = {0, 1}}},
    {.op = DC_I_MEAN},
    {.op = DC_I_PAD,
     .window = {.before = {2, 0}, .after = {0, 1}},
     .first_channel = 1,
     .channels = 2},
    {.op = DC_I_SLICE,
     .window = {.stride = {3, 0}, .before = {2, 1}},
     .first_channel = 1,
     .channels = 2},
    {.op = DC_I_SOFTMAX},
    {.op = DC_I_TABLE, .function = DC_F_SIGMOID},
    {.op = DC_I_TABLE, .function = DC_F_TANH},
    {.op = DC_I_TABLE, .function = DC_F_LEAKY_RELU},
};

// One rounding lies between the reals and the code, in the network and in the profile alike.
static void each_layer_is_within_a_code(void **state)
{
    (void)state;
    const struct dc_profile *profile = dc_profile_find("ruy");
    struct dc_random random;
    dc_random_start(&random, 21, DC_PURPOSE_TEST, 0, 0);
    for (size_t k = 0; k < sizeof alone / sizeof alone[0]; k++)
        for (int seed = 0; seed < SEEDS; seed++)
            assert_in_range(
                codes_apart(test_one_layer_model(profile, 9, 8, 4, &alone[k], &random), &random), 0,
                1);
}

// Sums too; and what only moves codes moves them exactly.
static void moves_are_exact(void **state)
{
    (void)state;
    struct dc_random random;
    dc_random_start(&random, 22, DC_PURPOSE_TEST, 0, 0);
    for (size_t k = 0; k < sizeof alone / sizeof alone[0]; k++) {
        const enum dc_iop op = alone[k].op;
        if (op == DC_I_MAX_POOL || op == DC_I_PAD || op == DC_I_SLICE)
            assert_int_equal(codes_apart(test_one_layer_model(dc_profile_find("tflm"), 9, 8, 4,
                                                              &alone[k], &random),
                                         &random),
                             0);
    }
}

// Codes times their scales are the values, in the parameter's order: HWIO.
static void parameters_are_their_codes(void **state)
{
    (void)state;
    struct dc_imodel *model = test_every_op_model(dc_profile_find("tflm"), 4);
    struct dc_network n;
    int checked = 0;
    test_must(dc_integer_graph(&n, NULL, model, &test_error));
    for (int i = 0, k = 0; i < model->count; i++) {
        const struct dc_ilayer *l = &model->layers[i];
        if (!dc_ilayer_has_weights(l))
            continue;
        const struct dc_slice *s = &n.params->slices[k];
        const struct dc_codes *c = &n.codes[k];
        const int64_t taps = l->weight_count / l->channels;
        assert_int_equal(s->count, l->weight_count);
        assert_ptr_equal(n.codes[k + 1].biases, l->biases);
        for (int o = 0; o < l->channels; o++) {
            for (int64_t t = 0; t < taps; t++, checked++) {
                const int8_t code =
                    l->weights[l->op == DC_I_DEPTHWISE_CONV2D ? t * l->channels + o : o * taps + t];
                assert_int_equal(c->weights[t * l->channels + o], code);
                assert_true(n.params->value[s->offset + t * l->channels + o] ==
                            l->weight_scales[o] * (float)code);
            }
        }
        k += 2;
    }
    assert_true(checked > 1000);
    dc_network_free(&n);
    dc_imodel_free(model);
}

static void quantize_rounds_to_even_and_clamps(void **state)
{
    (void)state;
    static const float x[] = {0.25f, 0.75f, -0.25f, -0.75f, 1.24f, 90.0f, -90.0f, -0.0f};
    static const float wanted[] = {3, 5, 3, 1, 5, 10, -7, 3};  // 3 + x / 0.5, a half to even
    const struct dc_quantize_attributes a = {0.5f, 3, 8, -7, 10};
    struct dc_graph *g = NULL;
    struct dc_params *p = NULL;
    struct dc_plan *plan = NULL;
    int nodes[3];
    test_must(dc_graph_create(&g, &test_error));
    test_must(dc_graph_add_input(g, "x", DC_F32, &DC_SHAPE(DC_BATCH, 8), &nodes[0], &test_error));
    test_must(dc_graph_add(g, "codes", &dc_op_quantize, &a, sizeof a, &nodes[0], 1, &nodes[1],
                           &test_error));
    test_must(dc_graph_add(g, "reals", &dc_op_dequantize, &a, sizeof a, &nodes[1], 1, &nodes[2],
                           &test_error));
    test_must(dc_params_create(&p, g, 0, false, &test_error));
    const struct dc_plan_config config = {
        .mode = DC_INFERENCE, .max_rows = 1, .outputs = nodes + 1, .output_count = 2};
    test_must(dc_plan_create(&plan, test_ctx, g, &config, &test_error));
    dc_plan_bind(plan, nodes[0], x);
    test_must(dc_plan_forward(plan, p, 1, &(const struct dc_step){.total_batch = 1}, &test_error));
    for (int i = 0; i < 8; i++) {
        assert_true(((const float *)dc_plan_value(plan, nodes[1]))[i] == wanted[i]);
        assert_true(((const float *)dc_plan_value(plan, nodes[2]))[i] == 0.5f * (wanted[i] - 3));
    }
    dc_plan_free(plan);
    dc_params_free(p);
    dc_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_layer_is_within_a_code),
        cmocka_unit_test(moves_are_exact),
        cmocka_unit_test(parameters_are_their_codes),
        cmocka_unit_test(quantize_rounds_to_even_and_clamps),
    };
    return cmocka_run_group_tests(tests, test_set_up, test_tear_down);
}
