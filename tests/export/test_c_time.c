// The estimate of instructions: every profile has its row for every core and optimization; what a
// layer takes follows its shape. How near it comes to what QEMU counts is
// tests/interop/check_device's.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "export/c_time.h"
#include "tests/qat/helper_models.h"

static void every_profile_and_core_is_measured(void **state)
{
    (void)state;
    for (const struct dc_profile *const *p = dc_profile_table(); *p; p++) {
        struct dc_imodel *m = test_every_op_model(*p, 1);
        double *layers = calloc((size_t)m->count, sizeof *layers);
        assert_non_null(layers);
        for (int core = 0; core < DC_CORE_COUNT; core++)
            for (int how = 0; how < DC_OPTIMIZATION_COUNT; how++) {
                struct dc_error error;
                if (dc_c_instructions(layers, m, (enum dc_core)core, (enum dc_optimization)how,
                                      &error) != DC_OK)
                    fail_msg("%s: run tests/interop/measure_time", error.message);
                for (int i = 0; i < m->count; i++) {
                    const enum dc_iop op = m->layers[i].op;
                    const double outputs = (double)dc_ilayer_size(&m->layers[i]);
                    if (op == DC_I_INPUT || op == DC_I_RESHAPE)
                        assert_true(layers[i] == 0.0);
                    else if (!(layers[i] > outputs / 8 && layers[i] < 1e7))
                        fail_msg("%s on %s: %g instructions of layer %s", (*p)->name,
                                 dc_core_names[core], layers[i], m->layers[i].name);
                }
            }
        free(layers);
        dc_imodel_free(m);
    }
}

static double convolution(int bits, int width, int channels, int kernel, enum dc_core core)
{
    struct dc_random random;
    double layers[2];
    const struct dc_ilayer conv = {.op = DC_I_CONV2D,
                                   .channels = 16,
                                   .window = {.kernel = {kernel, kernel}},
                                   .weight_bits = bits,
                                   .per_channel = true};
    dc_random_start(&random, 8, DC_PURPOSE_TEST, 0, 0);
    struct dc_imodel *m = test_one_layer_model(dc_profile_find("tflm"), 8, width, channels, &conv,
                                               &random);
    assert_int_equal(m->count, 2);
    assert_int_equal(dc_c_instructions(layers, m, core, DC_FOR_SPEED, NULL), DC_OK);
    dc_imodel_free(m);
    return layers[1];
}

static void it_follows_the_shape(void **state)
{
    (void)state;
    const double one = convolution(8, 9, 16, 1, DC_CORTEX_M4);
    const double twice = convolution(8, 18, 16, 1, DC_CORTEX_M4);
    assert_true(twice > 1.99 * one && twice < 2.01 * one);
    // rows of words are gathered faster than others, here 48 of 54 codes a row of the kernel
    assert_true(convolution(8, 9, 18, 3, DC_CORTEX_M4) >
                1.3 * convolution(8, 9, 16, 3, DC_CORTEX_M4));
    // plain C takes longer than halves, and those than vectors
    assert_true(convolution(8, 9, 16, 3, DC_CORTEX_M3) > convolution(8, 9, 16, 3, DC_CORTEX_M4));
    assert_true(convolution(8, 9, 16, 3, DC_CORTEX_M4) > convolution(8, 9, 16, 3, DC_CORTEX_M55));
    assert_true(convolution(4, 9, 16, 3, DC_CORTEX_M4) > convolution(8, 9, 16, 3, DC_CORTEX_M4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_profile_and_core_is_measured),
                                       cmocka_unit_test(it_follows_the_shape)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
