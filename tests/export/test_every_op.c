// Every float op, at every rank and axis (tests/qat/helper_every_op.h), through training's
// rounding, the integer engine, the compiled C and the file writers. Either the quantizing pass
// refuses the layer by its name, or all of them agree with the float network within what rounding
// can do. Which of the two is written down below: an op that learns a rank or an axis changes a
// letter here.

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops/ops.h"
#include "core/random.h"
#include "export/bundle.h"
#include "export/onnx.h"
#include "export/tflite.h"
#include "export/vectors.h"
#include "export/verify.h"
#include "qat/adaround.h"
#include "qat/calibrate.h"
#include "qat/compare.h"
#include "qat/correct.h"
#include "qat/engine.h"
#include "qat/fold.h"
#include "qat/lower.h"
#include "qat/profile.h"
#include "qat/quantize.h"
#include "tests/core/helper_folder.h"
#include "tests/qat/helper_every_op.h"
#include "tests/qat/helper_graphs.h"

enum { VALUES_MAX = 2048, LETTERS = 64 };

#define INPUT_STEP 0x1p-5f

// A letter a variant, ranks 2 to 5: i integers, r refused by name, - no such float layer. NULL: all
// are refused.
static const struct {
    const char *op, *alone, *behind;
} expected[] = {
    {"conv", "----|----|iiir|----", "----|----|iiir|----"},
    {"conv_transpose", "-|-|r|-", "-|-|r|-"},
    {"dense", "ii|ii|ii|ii", "ii|ii|ii|ii"},
    {"matmul", "--|rr|rr|rr", "--|rr|rr|rr"},
    {"batch_norm", NULL, "i|i|i|i"},
    {"layer_norm", NULL, NULL},
    {"group_norm", NULL, NULL},
    {"relu", NULL, "i|i|i|i"},
    {"relu6", NULL, "i|i|i|i"},
    {"clip", NULL, NULL},
    {"leaky_relu", "i|i|i|i", "i|i|i|i"},
    {"prelu", NULL, NULL},
    {"sigmoid", "i|i|i|i", "i|i|i|i"},
    {"hard_sigmoid", "i|i|i|i", "i|i|i|i"},
    {"tanh", "i|i|i|i", "i|i|i|i"},
    {"h_swish", "i|i|i|i", "i|i|i|i"},
    {"silu", "i|i|i|i", "i|i|i|i"},
    {"elu", "i|i|i|i", "i|i|i|i"},
    {"softplus", "i|i|i|i", "i|i|i|i"},
    {"gelu", "i|i|i|i", "i|i|i|i"},
    {"gelu_tanh", "i|i|i|i", "i|i|i|i"},
    {"erf", "i|i|i|i", "i|i|i|i"},
    {"exp", NULL, NULL},
    {"log", NULL, NULL},
    {"sqrt", "i|i|i|i", "i|i|i|i"},
    {"pow", NULL, NULL},
    {"negate", "i|i|i|i", "i|i|i|i"},
    {"abs", "i|i|i|i", "i|i|i|i"},
    {"reciprocal", NULL, NULL},
    {"softmax", "i|ri|rri|rrri", "i|ri|rri|rrri"},
    {"dropout", NULL, "i|i|i|i"},
    {"add", "i|i|i|i", "i|i|i|i"},
    {"broadcast_add", NULL, NULL},
    {"subtract", NULL, NULL},
    {"multiply", "i|i|i|i", "i|i|i|i"},
    {"divide", NULL, NULL},
    {"maximum", NULL, NULL},
    {"minimum", NULL, NULL},
    {"max_pool", "---|---|iii|---", "---|---|iii|---"},
    {"average_pool", "----|----|iiir|----", "----|----|iiir|----"},
    {"global_average_pool", "-|-|i|-", "-|-|i|-"},
    {"reduce_mean", NULL, NULL},
    {"reduce_sum", NULL, NULL},
    {"reduce_max", NULL, NULL},
    {"constant", NULL, NULL},
    {"concat", "i|ri|rri|rrri", "i|ri|rri|rrri"},
    {"pad", "--|--|ii|--", "--|--|ii|--"},
    {"pad_axes", NULL, NULL},
    {"slice", "i|ii|iii|rrii", "i|ii|iii|rrii"},
    {"flatten", "r|i|i|i", "i|i|i|i"},
    {"reshape", "rrir|iiii|iiii|iiii", "iiii|iiii|iiii|iiii"},
    {"transpose", NULL, NULL},
    {"expand", NULL, NULL},
    {"gather", NULL, NULL},
    {"resize", "--|--|rr|--", "--|--|rr|--"},
};

static float x[TEST_ROWS * VALUES_MAX], wanted[TEST_ROWS * VALUES_MAX];
static float simulated[TEST_ROWS * VALUES_MAX];
static int8_t codes[TEST_ROWS * VALUES_MAX], output[TEST_ROWS * VALUES_MAX];

// Input values on the grid that the observer finds for them, both ends among them: the input's
// rounding changes nothing.
static void fill_input(int64_t count)
{
    struct dc_random random;
    dc_random_start(&random, 43, DC_PURPOSE_TEST, 0, 0);
    for (int64_t i = 0; i < count; i++)
        x[i] = INPUT_STEP * (float)((int)dc_random_below(&random, 256) - 128);
    x[0] = -128.0f * INPUT_STEP;
    x[1] = 127.0f * INPUT_STEP;
}

// The largest values of both factors, together: each enlarges the other's error.
static double enlarges_product(const struct test_every *e, struct dc_params *params)
{
    static float factor[TEST_ROWS * VALUES_MAX];
    const struct dc_node *node = &e->graph->nodes[dc_graph_find(e->graph, "op")];
    double sum = 0.0;
    for (int k = 0; node->op == &dc_op_multiply && k < 2; k++) {
        double most = 0.0;
        test_run(e->graph, params, node->inputs[k], x, (struct dc_step){0}, factor);
        const struct dc_shape *shape = &e->graph->nodes[node->inputs[k]].shape;
        for (int64_t i = 0; i < TEST_ROWS * dc_shape_row(shape); i++)
            most = fmax(most, fabs((double)factor[i]));
        sum += most;
    }
    return sum;
}

// By how much at most an error of what "op" reads is enlarged: the sum of a channel's weights, of
// functions and sums their slope.
static double enlarges(const struct test_every *e, struct dc_params *params)
{
    double most = fmax(2.0, enlarges_product(e, params));
    const struct dc_slice *w = dc_params_find(params, "op.weight");
    for (int64_t c = 0; w && c < w->shape.dims[w->shape.rank - 1]; c++) {
        double sum = 0.0;
        for (int64_t k = c; k < w->count; k += w->shape.dims[w->shape.rank - 1])
            sum += fabs((double)params->value[w->offset + k]);
        most = fmax(most, sum);
    }
    return most;
}

// Steps of the values between input and output, and of the output.
static void steps_of(double *inner, double *last, const struct dc_imodel *m)
{
    *inner = 0.0;
    for (int i = 1; i < m->count - 1; i++)
        *inner = fmax(*inner, (double)m->layers[i].scale);
    *last = m->count > 1 ? (double)dc_imodel_output(m)->scale : 0.0;
}

// Each rounding moves a value by half a step, what lies at the end of a grid by a whole one; the
// engine rounds twice, and biases too: `times` steps.
static void compare(const struct test_every *e, const float *have, int64_t count, double inner,
                    double last, double times, struct dc_params *params, const char *what)
{
    double size = 0.0;
    for (int64_t i = 0; i < count; i++)
        size = fmax(size, fabs((double)wanted[i]));
    const double bound = times * (enlarges(e, params) * inner + last) + 1e-5 * size;
    for (int64_t i = 0; i < count; i++) {
        const double apart = fabs((double)have[i] - (double)wanted[i]);
        if (!(apart <= bound))
            fail_msg("%s, %s, value %d: %g, not %g within %g", e->name, what, (int)i,
                     (double)have[i], (double)wanted[i], bound);
    }
}

static void check_c(const struct test_every *e, const struct dc_imodel *m)
{
    struct dc_vectors *vectors = NULL;
    struct dc_verify_report report;
    const char *bundle = test_path("bundle");
    test_must(dc_vectors_create(&vectors, test_ctx, m, codes, 1, &test_error));
    test_must(dc_bundle_write(bundle, m, vectors, NULL, &test_error));
    dc_vectors_free(vectors);
    if (dc_verify_bundle(test_ctx, bundle, codes, TEST_ROWS, "cc -O0", &report, &test_error) !=
        DC_OK)
        fail_msg("%s, C of %s: %s", e->name, m->profile->name, test_error.message);
}

// Written, or refused in words.
static void check_files(const struct test_every *e, const struct dc_imodel *m)
{
    const enum dc_status tflite = dc_tflite_write(test_path("m.tflite"), m, NULL, &test_error);
    if (tflite != DC_OK && (tflite != DC_ERR_DATA || !strstr(test_error.message, "'")))
        fail_msg("%s, TFLite: %s", e->name, test_error.message);
    if (dc_export_onnx(test_path("m.onnx"), m, &test_error) != DC_OK)
        fail_msg("%s, ONNX: %s", e->name, test_error.message);
}

// The reports and corrections that look at layers with weights.
static void check_tools(const struct test_every *e, struct dc_graph *q, struct dc_params *p,
                        const struct dc_imodel *m, struct dc_params *plain)
{
    struct dc_comparison *comparison = NULL;
    struct dc_correction *correction = NULL;
    struct dc_adaround *adaround = NULL;
    const struct dc_adaround_config config = {1000, 0.01, 0.01, 0.2, 20.0, 2.0, 1024};
    test_must(dc_comparison_create(&comparison, test_ctx, m, e->graph, plain, 0, &test_error));
    test_must(dc_comparison_add(comparison, x, 3, &test_error));
    for (int i = 1; i < m->count; i++)
        if (!(dc_comparison_layer(comparison, i).sqnr > 15.0))
            fail_msg("%s, layer '%s': %g dB", e->name, m->layers[i].name,
                     dc_comparison_layer(comparison, i).sqnr);
    dc_comparison_free(comparison);
    test_must(dc_correction_create(&correction, test_ctx, q, p, 0, TEST_ROWS, DC_CORRECT_BIASES,
                                   &test_error));
    for (int k = 0; k < dc_correction_passes(correction); k++) {
        test_must(dc_correction_add(correction, x, TEST_ROWS, &test_error));
        test_must(dc_correction_end_pass(correction, &test_error));
    }
    dc_correction_free(correction);
    test_must(dc_adaround_create(&adaround, test_ctx, q, p, 0, TEST_ROWS, TEST_ROWS, &config,
                                 &test_error));
    test_must(dc_adaround_add(adaround, x, TEST_ROWS, &test_error));
    test_must(dc_adaround_finish(adaround, &test_error));
    dc_adaround_free(adaround);
    const struct dc_slice *w = dc_params_find(p, "op.weight");
    const struct dc_slice *before = dc_params_find(plain, "op.weight");
    assert_memory_equal(p->value + w->offset, plain->value + before->offset,
                        sizeof(float) * (size_t)w->count);  // on their grid already
}

// One profile's integers of an accepted network.
static void check_integers(struct test_every *e, const struct dc_profile *profile, bool with_c,
                           bool with_tools, struct dc_params *plain)
{
    const struct dc_quantize_config config = {.observer = DC_OBSERVER_MIN_MAX,
                                              .power_of_two = profile->power_of_two,
                                              .folded = profile->power_of_two,
                                              .weight_scaling = with_tools ? DC_SCALE_KEPT
                                                                           : DC_SCALE_OF_WEIGHTS,
                                              .input_rounding = profile->input};
    const int64_t in = dc_shape_row(&e->graph->nodes[0].shape);
    const int64_t out = dc_shape_row(&e->graph->nodes[e->output].shape);
    struct dc_graph *q = NULL;
    struct dc_params *p = NULL;
    struct dc_imodel *m = NULL;
    struct dc_engine *engine = NULL;
    struct dc_lower_report report;
    double inner, last;
    int at, folded;
    test_must(dc_quantize_graph(&q, &at, e->graph, e->output, &config, &test_error));
    test_must(dc_params_create(&p, q, 0, false, &test_error));
    test_every_params(p);
    if (config.folded)
        dc_fold_batch_norms(&folded, q, p);
    test_must(dc_calibrate_scales(q, p, &test_error));
    test_run(q, p, at, x, dc_calibration_step(), NULL);
    test_run(q, p, at, x, (struct dc_step){0}, simulated);
    if (dc_lower(&m, q, p, "image", e->graph->nodes[e->output].name, "m", "", profile, &report,
                 &test_error) != DC_OK)
        fail_msg("%s was taken for quantizing and not lowered: %s", e->name, test_error.message);
    steps_of(&inner, &last, m);
    compare(e, simulated, TEST_ROWS * out, inner, last, 1.0, plain, "training");
    test_must(dc_imodel_quantize_input(codes, m, x, TEST_ROWS * in, &test_error));
    test_must(dc_engine_create(&engine, test_ctx, m, &test_error));
    dc_engine_run(engine, output, codes, TEST_ROWS);
    assert_int_equal(dc_ilayer_size(dc_imodel_output(m)), out);
    dc_imodel_dequantize_output(simulated, m, output, TEST_ROWS * out);
    compare(e, simulated, TEST_ROWS * out, inner, last, 2.0, plain, profile->name);
    if (with_c)
        check_c(e, m);
    check_files(e, m);
    if (with_tools)
        check_tools(e, q, p, m, plain);
    dc_engine_free(engine);
    dc_imodel_free(m);
    dc_params_free(p);
    dc_graph_free(q);
}

static char outcome(struct test_every *e, int number)
{
    const struct dc_quantize_config config = {.observer = DC_OBSERVER_MIN_MAX};
    struct dc_graph *q = NULL;
    struct dc_params *plain = NULL;
    int at, count = 0;
    if (!e->graph)
        return '-';
    if (dc_quantize_graph(&q, &at, e->graph, e->output, &config, &test_error) != DC_OK) {
        const struct dc_node *last = &e->graph->nodes[e->output];
        if (!strstr(test_error.message, "'op'") && !strstr(test_error.message, last->name))
            fail_msg("%s: '%s' does not name the layer", e->name, test_error.message);
        return 'r';
    }
    dc_graph_free(q);
    test_must(dc_params_create(&plain, e->graph, 0, false, &test_error));
    test_every_params(plain);
    fill_input(TEST_ROWS * dc_shape_row(&e->graph->nodes[0].shape));
    test_run(e->graph, plain, e->output, x, (struct dc_step){0}, wanted);
    while (dc_profile_table()[count])
        count++;
    const bool weighted = dc_params_find(plain, "op.weight") != NULL;
    for (int i = 0; i < count; i++)
        check_integers(e, dc_profile_table()[i], i == number % count, weighted && i == 0, plain);
    dc_params_free(plain);
    return 'i';
}

// What is written down, or "" where the op is not.
static const char *expectation(const char *op, bool behind)
{
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        if (strcmp(expected[i].op, op) == 0)
            return behind ? expected[i].behind : expected[i].alone;
    return "";
}

static void integers_agree_or_are_refused_by_name(void **state)
{
    (void)state;
    const int count = test_every_count();
    int wrong = 0, accepted = 0;
    if (count == 0)
        fail_msg("an op of dc_op_table has no row in tests/qat/helper_every_op.c");
    for (int i = 0; i < count;) {
        char found[LETTERS] = "";
        size_t used = 0;
        struct test_every e;
        const struct dc_op *op = NULL;
        bool behind = false;
        int rank = 0;
        for (bool same = true; same && i < count; i += same) {
            test_every_make(&e, i);
            same = !op || (op == e.op && behind == e.behind);
            if (same) {
                if (op && rank != e.rank)
                    found[used++] = '|';
                op = e.op;
                behind = e.behind;
                rank = e.rank;
                const char letter = test_every_asks(&e) ? outcome(&e, i) : ' ';
                if (letter != ' ')
                    found[used++] = letter;
                accepted += letter == 'i';
            }
            test_every_free(&e);
        }
        found[used] = '\0';
        const char *want = expectation(op->name, behind);
        if (want ? strcmp(found, want) != 0 : strspn(found, "r|") != used) {
            print_message("%s %s: \"%s\", expected \"%s\"\n", op->name, behind ? "behind" : "alone",
                          found, want ? want : "r alone");
            wrong++;
        }
    }
    print_message("%d networks became integers\n", accepted);
    assert_int_equal(wrong, 0);
}

static int set_up(void **state)
{
    test_folder();
    return test_set_up(state);
}

static int tear_down(void **state)
{
    test_folder_remove();
    return test_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(integers_agree_or_are_refused_by_name)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
